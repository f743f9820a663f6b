//! What a person types in gdb, and what it must answer.

use tests::{at, line};

use crate::script::{Column, Language, Script};

/// The session of a column.
pub fn script(column: &Column) -> Script {
    match column.language {
        Language::C => c(),
        Language::Cxx => cxx(),
        Language::Rust => rust(),
    }
}

fn c() -> Script {
    let source = "abilities/main.c";
    let part = at(source, "int part = it->apply");
    let mut it = Script::default();
    it.can("`main` is the guest's", &["break main", "run", "p argc"], &["Breakpoint 1, main (argc=1, argv=", source, "= 1"]);
    it.can(
        "break at a function",
        &["break push", "continue"],
        &["Breakpoint 2, push (list=0x?, name=0x? \"first\", value=1, color=RED, apply=0x? <add>)", source],
    );
    it.can(
        "arguments",
        &["info args"],
        &["list = 0x?", "name = 0x? \"first\"", "value = 1", "color = RED", "apply = 0x? <add>"],
    );
    it.can("finish with its value", &["finish"], &["main (argc=1", "Value returned is $? = (struct node *) 0x?"]);
    it.can(
        "conditional breakpoint",
        &["delete", "break push if value == 333", "continue"],
        &["push (list=0x?, name=0x? \"third\", value=333, color=BLUE"],
    );
    it.can("backtrace in one piece", &["bt"], &["#0  push (list=0x?", "#1 ", " main (argc=1", "_start"]);
    it.can(
        "up, down",
        &["up", "p head->value", "down", "p value"],
        &["main (argc=1", "push(head, \"third\"", "= 22", "push (list=0x?", "= 333"],
    );
    let tbreak = format!("tbreak {part}");
    it.can(
        "temporary breakpoint",
        &["delete", &tbreak, "continue", "info breakpoints"],
        &["Temporary breakpoint", "visit (list=0x?, bonus=10)", "int part =", "No breakpoints"],
    );
    it.can("locals", &["info locals"], &["it = 0x?", "sum = 10"]);
    it.can(
        "follow pointers",
        &["p *it", "p it->next->value", "p it->next->next->next", "p *it->next->next"],
        &[
            "{name = 0x? \"third\", value = 333, color = BLUE",
            "= 22",
            "(struct node *) 0x?",
            "{name = 0x? \"first\", value = 1, color = RED",
        ],
    );
    it.can("strings", &["p it->next->name", "p it->name[1]", "x/s it->name"], &["\"second\"", "104 'h'", "\"third\""]);
    it.can("arrays and slices", &["p it->scores", "p *it->scores@2", "p it->scores[3]"], &["{333, 332, 331, 330}", "{333, 332}", "= 330"]);
    it.can(
        "structs and enums",
        &["p it->color", "p it->number", "p (enum color) 5"],
        &["= BLUE", "{integer = 1069547520, real = 1.5}", "= GREEN"],
    );
    it.can("raw memory", &["x/2dh it->scores", "x/s &it->name[2]"], &["333\t332", "\"ird\""]);
    it.can("expressions", &["p it->value * 2 + counter", "p it == head && sum > 3", "p sizeof(*it)"], &["= 669", "= 1", "= 32"]);
    it.can(
        "casts to pointers",
        &["p *(short *) it->scores", "p ((struct node *) it->next)->value", "p *(char **) it", "p *(unsigned *) &it->number"],
        &["= 333", "= 22", "\"third\"", "= 1069547520"],
    );
    it.can(
        "function pointers by name",
        &["p it->apply", "p it->next->apply", "p it->apply == it->next->next->apply"],
        &["(operation) 0x? <add>", "(operation) 0x? <multiply>", "= 1"],
    );
    it.can("file-scope variables", &["p counter", "p head->value", "p &counter"], &["= 3", "= 333", "(int *) 0x?"]);
    it.can(
        "types",
        &["whatis it", "ptype struct node", "ptype operation", "whatis it->name"],
        &["struct node *", "const char *name;", "short scores[4];", "int (*)(int, int)", "const char *"],
    );
    let source_line = format!("Line {} of ", line(source, "KEEP static int add"));
    it.can(
        "source and symbols",
        &["list add", "info line add", "info symbol add", "info address visit"],
        &["counter++;", &source_line, "add in section .text", "visit"],
    );
    it.can(
        "instructions and registers",
        &["x/3i $pc", "p $pc", "info registers rip", "info frame"],
        &["=> 0x?", "<visit", "rip ", "0x?", "visit", "rip = 0x? in visit"],
    );
    it.can("display", &["display it->value", "next", "undisplay 1"], &["1: it->value = 333", "sum += part", "1: it->value = 333"]);
    it.can("next", &["next", "next", "p it->value"], &["it", "int part =", "= 22"]);
    it.can("set through a pointer", &["set var it->value = 30", "p it->value", "p head->next->value"], &["= 30", "= 30"]);
    it.can("step into", &["step", "bt 2"], &["multiply (left=30, right=10)", "#1 ", "visit (list="]);
    it.can("finish with its value", &["finish"], &["visit (list=0x?", "Value returned is $? = 300"]);
    it.can("set a variable", &["next", "set var sum = 5000", "p sum", "set var counter = 100", "p counter"], &["= 5000", "= 100"]);
    it.can(
        "watch a variable",
        &["watch counter", "continue", "bt 2", "delete"],
        &["Hardware watchpoint", "Old value = 100", "New value = 101", "#0  add (left=1, right=10)", "visit"],
    );
    let end = format!("tbreak {}", at(source, "return sum;"));
    it.can(
        "watch through a pointer",
        &["up", "watch it->number.integer", "set var it->number.integer = 7", &end, "continue", "delete"],
        &["visit", "Hardware watchpoint", "visit (list="],
    );
    it.can("run to a line", &["p sum", "finish"], &["= 5311", "Value returned is $? = 5311"]);
    let printf = format!("advance {}", at(source, "unsigned depth = descend(4)"));
    it.can("run to a line", &[&printf], &["main (argc=1", "unsigned depth = descend(4)"]);
    it.can(
        "recursion",
        &["break descend if depth == 2", "continue", "bt 4", "up", "p depth", "up", "p below"],
        &[
            "descend (depth=2)",
            "#0  descend (depth=2)",
            "#1 ",
            "descend (depth=3)",
            "#2 ",
            "descend (depth=4)",
            "#3 ",
            "main",
            "= 3",
            "= 4",
        ],
    );
    trap(&mut it, "fail (wild=0x?)", "main (argc=1");
    it
}

/// The last part of each session.
fn trap(it: &mut Script, frame: &str, caller: &str) {
    let wild = "wasm trap: out of bounds memory access at wasm address 0x?";
    it.can(
        "a trap stops at its line",
        &["delete", "set var failing = 1", "continue", "bt 2"],
        &["SIGSEGV", "int found = *wild;", wild, "#0 ", frame, "#1 ", caller],
    );
    it.can("the engine reports the trap", &["continue"], &["exited with code 0206"]);
}

fn cxx() -> Script {
    let source = "abilities/main.cc";
    let mut it = Script::default();
    it.can("`main` is the guest's", &["break main", "run", "p argc"], &["Breakpoint 1, main (argc=1, argv=", source, "= 1"]);
    it.can("break at a function", &["break geometry::Circle::area", "continue"], &["Breakpoint 2, geometry::Circle::area (this=0x?)", source]);
    it.can(
        "references and methods",
        &["p *this", "p radius", "p name", "p this->radius * 2"],
        &["name = \"circle\"", "radius = 2", "= 2", "\"circle\"", "= 4"],
    );
    it.can("arguments", &["info args"], &["this = 0x?"]);
    it.can("next", &["next", "p square"], &["counter++", "= 4"]);
    it.can("finish with its value", &["finish"], &["visit (", "Value returned is $? = 12"]);
    it.can("step into", &["next", "next", "next", "next", "step"], &["geometry::Box::area (this=0x?)"]);
    it.can("backtrace in one piece", &["bt"], &["#0  geometry::Box::area (this=0x?", "#1 ", "visit (", "#2 ", " main (argc=1", "_start"]);
    it.can(
        "up, down",
        &["up", "p bonus", "down", "p sides"],
        &["visit (", "it->area()", "= 10", "geometry::Box::area", "{3, 4}"],
    );
    it.can(
        "types",
        &["ptype this", "whatis sides", "ptype geometry::Kind", "ptype Node"],
        &[
            "const struct geometry::Box : public geometry::Shape {",
            "int sides[2];",
            "int [2]",
            "enum class geometry::Kind",
            "geometry::Cornered",
            "Operation apply;",
        ],
    );
    it.can("set through a pointer", &["set var this->sides[0] = 30", "finish"], &["Value returned is $? = 120"]);
    it.can("locals", &["next", "info locals"], &["part = 120", "sum = 22"]);
    it.can(
        "dynamic types",
        &["set print object on", "p *it", "p it", "whatis it", "info vtbl it", "set print object off"],
        &[
            "(geometry::Box) {<geometry::Shape> = {_vptr$Shape = 0x? <vtable for geometry::Box+8>, name = \"box with a name that is long\"}, sides = {30, 4}}",
            "(geometry::Box *) 0x?",
            "geometry::Box *",
            "vtable for 'geometry::Box'",
            "geometry::Box::~Box()>",
            "<geometry::Box::area() const>",
        ],
    );
    it.can("set a variable", &["set var sum = 1000", "p sum"], &["= 1000"]);
    it.can(
        "conditional breakpoint",
        &["delete", "break add if left == 1", "continue"],
        &["add (left=1, right=2)"],
    );
    it.can("file-scope variables", &["p counter", "p ::counter + 1"], &["= 6", "= 7"]);
    it.can(
        "follow pointers",
        &["up", "p *it", "p it->next->value"],
        &["walk (list=0x?", "{name = 0x? \"first\", value = 1, kind = geometry::Kind::Round", "= 22"],
    );
    it.can("references and methods", &["p total", "whatis total", "p &total"], &["1142", "int &", "(int *) 0x?"]);
    it.can("strings", &["p it->next->name", "x/s it->name"], &["\"second\"", "\"first\""]);
    it.can("structs and enums", &["p it->next->kind", "p *it->next"], &["= geometry::Kind::Cornered", "value = 22"]);
    it.can("raw memory", &["x/1dw &it->value"], &["\t1"]);
    it.can("expressions", &["p it->value * 2 + counter", "p it->next != 0"], &["= 8", "= true"]);
    it.can(
        "casts to pointers",
        &["p *(short *) &it->value", "p ((Node *) it->next)->value", "p *(char **) it", "p *reinterpret_cast<unsigned *>(&it->value)"],
        &["= 1", "= 22", "\"first\"", "= 1"],
    );
    it.can(
        "function pointers by name",
        &["p it->apply", "p it->next->apply"],
        &["(Operation) 0x? <add(int, int)>", "(Operation) 0x? <multiply(int, int)>"],
    );
    it.can("source and symbols", &["list add", "info symbol add"], &["return left + right;", "add(int, int) in section .text"]);
    it.can("instructions and registers", &["x/2i $pc", "info registers rip"], &["=> 0x?", "walk(", "rip "]);
    it.can(
        "watch a variable",
        &["delete", "watch total", "continue", "delete"],
        &["atchpoint", "Old value = 1142", "New value = 1145", "walk (list="],
    );
    it.can("display", &["display total", "next", "undisplay 1"], &["total = 1145", "total = 1145"]);
    it.can(
        "watch through a pointer",
        &["watch *list", "delete", "p list->value"],
        &["atchpoint", "= 1"],
    );
    let containers = format!("tbreak {}", at(source, "int steps = walk"));
    let _ = containers;
    let top = format!("tbreak {}", at(source, "int top = largest"));
    it.can("temporary breakpoint", &[&top, "continue", "info breakpoints"], &["Temporary breakpoint", "main (argc=1", "No breakpoints"]);
    it.can(
        "containers",
        &["p greeting", "p numbers", "p ages", "p shapes", "p *shapes.__begin_[0].__ptr_.__value_"],
        &[
            "\"hello\"",
            "std::vector of length 5 = {3, 1, 4, 1, 5}",
            "std::map with 2 elements = {[\"ada\"] = 36, [\"grace\"] = 85}",
            "std::vector of length 2 = {std::unique_ptr = {get() = 0x?}, std::unique_ptr = {get() = 0x?}}",
        ],
    );
    it.can("arrays and slices", &["p *numbers.__begin_@3", "p first.name[0]@3"], &["{3, 1, 4}", "\"fir\""]);
    it.can("break at a line", &["break largest<int>", "continue"], &["largest<int> (values=", "T best = values[0];"]);
    let line = format!("advance {}", at(source, "unsigned depth = descend(4)"));
    it.can("run to a line", &["delete", &line], &["main (argc=1", "unsigned depth = descend(4)"]);
    it.can(
        "recursion",
        &["break descend if depth == 2", "continue", "bt 4", "up", "p depth", "up", "p below"],
        &["descend (depth=2)", "#0  descend (depth=2)", "#1 ", "descend (depth=3)", "#2 ", "descend (depth=4)", "#3 ", "main", "= 3", "= 4"],
    );
    trap(&mut it, "fail (wild=0x?)", "main (argc=1");
    it
}

fn rust() -> Script {
    let source = "abilities/main.rs";
    let mut it = Script::default();
    it.can("`main` is the guest's", &["break abilities::main", "run"], &["Breakpoint 1, abilities::main () at", source]);
    it.can("break at a function", &["break abilities::push", "continue"], &["Breakpoint 2, abilities::push (next=", source]);
    it.can("arguments", &["info args"], &["name = \"first\"", "value = 1", "color = abilities::Color::Red", "<abilities::add>"]);
    it.can("conditional breakpoint", &["delete", "break push if value == 333", "continue"], &["abilities::push (next=", "value=333"]);
    it.can("backtrace in one piece", &["bt"], &["#0  abilities::push (next=", "#1 ", " abilities::main () at", "_start"]);
    it.can("up, down", &["up", "down", "p value"], &["abilities::main ()", "push(list, \"third\"", "abilities::push", "= 333"]);
    let part = format!("tbreak {}", at(source, "let part = (it.apply)"));
    it.can(
        "temporary breakpoint",
        &["delete", &part, "continue", "info breakpoints"],
        &["Temporary breakpoint", "abilities::visit (list=", "let part =", "No breakpoints"],
    );
    it.can("locals", &["info locals"], &["it = 0x?", "sum = 10"]);
    it.can(
        "follow pointers",
        &["p *it", "p it.value", "p *list"],
        &["abilities::Node {name: \"third\", value: 333, color: abilities::Color::Blue", "= 333", "value: 333"],
    );
    it.can("strings", &["p it.name"], &["\"third\""]);
    it.can("arrays and slices", &["p it.scores", "p it.scores[1]"], &["[333, 332, 331, 330]", "= 332"]);
    it.can("structs and enums", &["p it.color", "p it.next"], &["= abilities::Color::Blue", "core::option::Option<alloc::boxed::Box<abilities::Node"]);
    it.can("raw memory", &["x/2dh &it.scores"], &["333\t332"]);
    it.can("expressions", &["p it.value * 2 + sum", "p sum > 3"], &["= 676", "= true"]);
    it.can("casts to pointers", &["p *(&it.value as *const u16)", "p *(&it.scores as *const i16)"], &["= 333", "= 333"]);
    it.can("function pointers by name", &["p it.apply"], &["0x? <abilities::add>"]);
    it.can("types", &["whatis it", "ptype it", "whatis it.next"], &["&abilities::Node", "struct abilities::Node {", "value: i32,", "Option<"]);
    it.can("source and symbols", &["list abilities::add", "info symbol abilities::add"], &["left + right", "abilities::add", "in section .text"]);
    it.can("instructions and registers", &["x/2i $pc", "info registers rip"], &["=> 0x?", "rip "]);
    it.can("display", &["display it.value", "next", "undisplay 1"], &["1: it.value = 333", "sum += part", "1: it.value = 333"]);
    it.can("next", &["next", "next", "next", "p it.value"], &["let part =", "= 22"]);
    it.can("set through a pointer", &["set var it.value = 30", "p it.value"], &["= 30"]);
    it.can("step into", &["step", "bt 2"], &["abilities::multiply (left=30, right=10)", "#1 ", "abilities::visit (list="]);
    it.can("finish with its value", &["finish"], &["abilities::visit (list=", "Value returned is $? = 300"]);
    it.can("set a variable", &["next", "set var sum = 5000", "p sum"], &["= 5000"]);
    it.can("file-scope variables", &["p abilities::COUNTER", "p abilities::FAILING"], &["= core::sync::atomic::AtomicI32", "value: 6"]);
    it.can(
        "watch a variable",
        &["watch sum", "continue", "delete"],
        &["atchpoint", "Old value = 5000", "New value = 5300", "abilities::visit (list="],
    );
    it
}
