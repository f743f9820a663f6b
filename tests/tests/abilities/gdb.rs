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

/// Sets a temporary breakpoint at a line with this text and goes there.
fn go(script: &mut Script, source: &str, text: &str) {
    let stop = format!("tbreak {}", at(source, text));
    script.can("temporary breakpoint", &["delete", &stop, "continue"], &["Temporary breakpoint", text]);
}

/// Records a line and undoes it; `and_again` is what does it again.
fn there_and_back(script: &mut Script, line: &str, next: &str, and_again: impl FnOnce(&mut Script)) {
    script.can("reverse debugging", &["record full", "next", "reverse-next"], &[next, line]);
    and_again(script);
    script.can("reverse debugging", &["record stop"], &["Process record is stopped"]);
}

fn c() -> Script {
    let source = "abilities/main.c";
    let mut it = Script::default();
    it.can(
        "`main` is the guest's",
        &["break main", "run", "p argc"],
        &["Breakpoint 1, main (argc=1, argv=", source, "= 1"],
    );
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
    it.can("finish with its value", &["finish"], &["main (argc=", "Value returned is $? = (struct node *) 0x?"]);
    it.can(
        "conditional breakpoint",
        &["delete", "break push if value == 333", "continue"],
        &["push (list=0x?, name=0x? \"third\", value=333, color=BLUE"],
    );
    it.can("backtrace in one piece", &["bt"], &["#0  push (list=0x?", "#1 ", " main (argc=", "_start"]);
    it.can(
        "up, down",
        &["up", "p counter", "down", "p value"],
        &["main (argc=", "push(head, \"third\"", "= 3", "push (list=0x?", "= 333"],
    );
    go(&mut it, source, "int part = score(it");
    it.can("locals", &["info locals"], &["sum = 10"]);
    it.can(
        "break at a line",
        &[&format!("break {}", at(source, "int part = it->apply")), "continue"],
        &["score (it=0x?, bonus=10)", "int part = it->apply"],
    );
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
    it.can(
        "arrays and slices",
        &["p it->scores", "p *it->scores@2", "p it->scores[3]"],
        &["{333, 332, 331, 330}", "{333, 332}", "= 330"],
    );
    it.can(
        "structs and enums",
        &["p it->color", "p it->number", "p (enum color) 5"],
        &["= BLUE", "{integer = 1069547520, real = 1.5}", "= GREEN"],
    );
    it.can("raw memory", &["x/2dh it->scores", "x/s &it->name[2]"], &["333\t332", "\"ird\""]);
    it.can(
        "expressions",
        &["p it->value * 2 + counter", "p it == head && bonus > 3", "p sizeof(*it)"],
        &["= 669", "= 1", "= 32"],
    );
    it.can(
        "casts to pointers",
        &[
            "p *(short *) it->scores",
            "p ((struct node *) it->next)->value",
            "p *(char **) it",
            "p *(unsigned *) &it->number",
            "p sizeof(long *) + sizeof(void *)",
            "p *(short *) &it->value",
            "p *(unsigned *) (void *) &it->number",
            "p *(const char *) it->name",
        ],
        &["= 333", "= 22", "\"third\"", "= 1069547520", "= 8", "= 333", "= 1069547520", "116 't'"],
    );
    it.can(
        "function pointers by name",
        &["p it->apply", "p it->next->apply", "p it->apply == it->next->next->apply"],
        &["(operation) 0x? <add>", "(operation) 0x? <multiply>", "= 1"],
    );
    it.can(
        "calls of functions",
        &["wasm call descend(3)", "wasm call it->next->apply(6, 7)", "set var counter = 3", "p add(1, 2)"],
        // gdb by itself would pass the arguments in the wrong places.
        &["= 6", "= 42", "Cannot call functions in the program"],
    );
    it.can("file-scope variables", &["p counter", "p head->value", "p &counter"], &["= 3", "= 333", "(int *) 0x?"]);
    it.can(
        "types",
        &["whatis it", "ptype struct node", "ptype operation", "whatis it->name"],
        &["struct node *", "const char *name;", "short scores[4];", "int (*)(int, int)", "const char *"],
    );
    let source_line = format!("Line {} of ", line(source, "KEEP static int add") + 1);
    it.can(
        "source and symbols",
        &["list add", &format!("info line {}", line(source, "counter++;")), "info symbol add", "info address visit"],
        &["counter++;", &source_line, "add in section .text", "visit"],
    );
    it.can(
        "instructions and registers",
        &["x/3i $pc", "p $pc", "info registers rip", "info frame"],
        &["=> 0x?", "<score", "<score", "rip ", "0x?", "score", "rip = 0x? in score"],
    );
    it.can("display", &["display it->value", "next", "undisplay 1"], &["keep(&", "1: it->value = 333"]);
    there_and_back(&mut it, "keep(&part);", "return part;", |it| {
        it.can("next", &["next", "p part"], &["return part;", "= 343"]);
    });
    go(&mut it, source, "int part = it->apply");
    it.can(
        "set through a pointer",
        &["set var it->value = 30", "p it->value", "p head->next->value"],
        &["= 30", "= 30"],
    );
    it.can("step into", &["step", "bt 2"], &["multiply (left=30, right=10)", "#1 ", "score (it="]);
    it.can("finish with its value", &["finish"], &["score (it=", "Value returned is $? = 300"]);
    it.can(
        "set a variable",
        &["up", "set var sum = 5000", "p sum", "set var counter = 100", "p counter", "down"],
        &["visit (list=", "= 5000", "= 100", "score (it="],
    );
    it.can(
        "watch a variable",
        &["watch counter", "continue", "bt 2", "delete"],
        &["Hardware watchpoint", "Old value = 100", "New value = 101", "#0  add (left=1, right=10)", "score"],
    );
    it.can(
        "watch through a pointer",
        &[
            "watch head->number.integer",
            "print head->number.integer = 7",
            "up 2",
            "watch -l sum",
            "continue",
            "p sum",
            "delete",
        ],
        &[
            "Hardware watchpoint",
            "= 7",
            "visit (list=",
            "Hardware watchpoint",
            "Old value = 5300",
            "New value = 5311",
            "= 5311",
        ],
    );
    let line = format!("advance {}", at(source, "unsigned depth = descend(4)"));
    it.can("run to a line", &["finish", &line], &["main (argc=", "unsigned depth = descend(4)"]);
    recursion(&mut it);
    trap(&mut it, "fail (wild=0x?)", "main (argc=", "SIGSEGV");
    it
}

fn recursion(it: &mut Script) {
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
}

/// The last part of each session.
fn trap(it: &mut Script, frame: &str, caller: &str, signal: &str) {
    let wild = "wasm trap: out of bounds memory access at wasm address 0x?";
    it.can(
        "a trap stops at its line",
        &["delete", "set var failing = 1", "continue", "bt 2"],
        &[signal, "int found = *wild;", wild, "#0 ", frame, "#1 ", caller],
    );
    it.can("the engine reports the trap", &["continue"], &["exited with code 0206"]);
}

fn cxx() -> Script {
    let source = "abilities/main.cc";
    let mut it = Script::default();
    it.can(
        "`main` is the guest's",
        &["break main", "run", "p argc"],
        &["Breakpoint 1, main (argc=1, argv=", source, "= 1"],
    );
    it.can(
        "break at a function",
        &["delete", "break inspect", "continue"],
        &["inspect (greeting=", "numbers=", "shapes="],
    );
    it.can(
        "containers",
        &["p greeting", "p numbers", "p ages", "p shapes"],
        &[
            "\"hello\"",
            "std::vector of length 5 = {3, 1, 4, 1, 5}",
            "std::map with 2 elements = {[\"ada\"] = 36, [\"grace\"] = 85}",
            "std::vector of length 2 = {std::unique_ptr = {get() = 0x?}, std::unique_ptr = {get() = 0x?}}",
        ],
    );
    it.can("arrays and slices", &["p *numbers.__begin_@3", "p numbers.__begin_[2]"], &["{3, 1, 4}", "= 4"]);
    it.can(
        "break at a function",
        &["break geometry::Circle::area", "continue"],
        &["geometry::Circle::area (this=0x?)", source],
    );
    it.can(
        "references and methods",
        &["p *this", "p radius", "p name", "p this->radius * 2"],
        &["name = \"circle\"", "radius = 2", "= 2", "\"circle\"", "= 4"],
    );
    it.can("arguments", &["info args"], &["this = 0x?"]);
    go(&mut it, source, "counter++;");
    there_and_back(&mut it, "counter++;", "return 3 * square;", |it| {
        it.can("next", &["next", "p square", "p counter"], &["return 3 * square;", "= 4", "= 4"]);
    });
    it.can("finish with its value", &["finish"], &["measure (", "Value returned is $? = 12"]);
    it.can(
        "conditional breakpoint",
        &["delete", "break measure", "continue", "info args"],
        &["measure (it=0x?", "it = 0x?", "factor = "],
    );
    it.can("step into", &["step"], &["geometry::Box::area (this=0x?)"]);
    it.can(
        "backtrace in one piece",
        &["bt"],
        &["#0  geometry::Box::area (this=0x?", "#1 ", "measure (", "#2 ", "visit (", "#3 ", " main (argc=", "_start"],
    );
    it.can(
        "up, down",
        &["up", "p counter", "down", "p sides"],
        &["measure (", "it->area()", "= 4", "geometry::Box::area", "{3, 4}"],
    );
    it.can(
        "types",
        &["ptype this", "whatis sides", "ptype geometry::Kind", "ptype Node"],
        &[
            "const struct geometry::Box : public geometry::Shape {",
            "int sides[2];",
            "int [2]",
            "enum class geometry::Kind",
            "Cornered = 4",
            "Operation apply;",
        ],
    );
    it.can("set through a pointer", &["set var this->sides[0] = 30", "finish"], &["Value returned is $? = 120"]);
    it.can("locals", &["next", "info locals", "up", "info locals", "down"], &["part = 120", "sum = 22"]);
    it.can(
        "dynamic types",
        &["set print object on", "p *it", "p it", "whatis it", "info vtbl it", "set print object off"],
        &[
            "(geometry::Box) {<geometry::Shape> = {_vptr$Shape = 0x? <vtable for geometry::Box+8>, name = \"box with a \
             name that is long\"}, sides = {30, 4}}",
            "(geometry::Box *) 0x?",
            "geometry::Shape *",
            "vtable for 'geometry::Box'",
            "<geometry::Box::~Box()>",
            "<geometry::Box::area() const>",
        ],
    );
    it.can("set a variable", &["up", "set var sum = 1000", "p sum"], &["visit (", "= 1000"]);
    it.can(
        "conditional breakpoint",
        &["delete", "break score if it->value == 1", "continue"],
        &["score (it=0x?, total="],
    );
    it.can("file-scope variables", &["p counter", "p ::counter + 1"], &["= 6", "= 7"]);
    it.can(
        "follow pointers",
        &["p *it", "p it->next->value"],
        &["{name = 0x? \"first\", value = 1, kind = geometry::Kind::Round", "= 22"],
    );
    it.can("references and methods", &["p total", "whatis total", "p &total"], &["1120", "int &", "(int *) 0x?"]);
    it.can("strings", &["p it->next->name", "x/s it->name"], &["\"second\"", "\"first\""]);
    it.can("structs and enums", &["p it->next->kind", "p *it->next"], &["= geometry::Kind::Cornered", "value = 22"]);
    it.can("raw memory", &["x/1dw &it->value"], &["1"]);
    it.can("expressions", &["p it->value * 2 + counter", "p it->next != 0"], &["= 8", "= true"]);
    it.can(
        "casts to pointers",
        &[
            "p *(short *) &it->value",
            "p ((Node *) it->next)->value",
            "p *(char **) it",
            "p *reinterpret_cast<unsigned *>(&it->value)",
            "p sizeof(void *)",
        ],
        &["= 1", "= 22", "\"first\"", "= 1", "= 4"],
    );
    it.can(
        "function pointers by name",
        &["p it->apply", "p it->next->apply"],
        &["(Operation) 0x? <add(int, int)>", "(Operation) 0x? <multiply(int, int)>"],
    );
    it.can(
        "calls of functions",
        &["wasm call add(1, 2)", "wasm call it->next->apply(6, 7)", "p add(1, 2)"],
        &["= 3", "= 42", "Cannot call functions in the program"],
    );
    it.can(
        "source and symbols",
        &["list add", "info symbol add"],
        &["return left + right;", "add(int, int) in section .text"],
    );
    it.can("instructions and registers", &["x/2i $pc", "info registers rip"], &["=> 0x?", "score", "rip ", "score("]);
    it.can(
        "watch a variable",
        &["delete", "watch *&total", "continue", "delete"],
        &["Hardware watchpoint", "Old value = 1120", "New value = 1123", "score (it="],
    );
    it.can("display", &["display total", "next", "undisplay 1"], &["1: total = (int &) @0x?: 1123"]);
    it.can(
        "watch through a pointer",
        &["watch it->next->value", "watch *&counter", "tbreak geometry::Box::area", "delete"],
        &["atchpoint", "atchpoint"],
    );
    it.can("break at a line", &["break largest<int>", "continue"], &["largest<int> (values=", "main.cc"]);
    let line = format!("advance {}", at(source, "unsigned depth = descend(4)"));
    it.can("run to a line", &["delete", "finish", &line], &["main (argc=", "unsigned depth = descend(4)"]);
    recursion(&mut it);
    trap(&mut it, "fail (wild=0x?)", "main (argc=", "SIGSEGV");
    it
}

fn rust() -> Script {
    let source = "abilities/main.rs";
    let mut it = Script::default();
    it.can(
        "`main` is the guest's",
        &["break abilities::main", "run"],
        &["Breakpoint 1, abilities::main () at", source],
    );
    it.can(
        "break at a function",
        &["break abilities::visit", "continue"],
        &["Breakpoint 2, abilities::visit (list=", "bonus=10)", source],
    );
    it.can(
        "backtrace in one piece",
        &["bt"],
        &["#0  abilities::visit (list=", "#1 ", "abilities::main () at", "_start"],
    );
    it.can(
        "up, down",
        &["up", "down", "p bonus"],
        &["abilities::main ()", "visit(&head, 10)", "abilities::visit", "= 10"],
    );
    it.can(
        "break at a line",
        &[&format!("break {}", at(source, "let part = (it.apply)")), "continue"],
        &["abilities::score (it=0x?, bonus=", "let part = (it.apply)"],
    );
    it.can("arguments", &["info args"], &["it = 0x?", "bonus = 10"]);
    it.can(
        "follow pointers",
        &["p *it", "p it.value", "p (*it).value"],
        &["abilities::Node {name: \"third\", value: 333, color: abilities::Color::Blue", "= 333", "= 333"],
    );
    it.can("strings", &["p it.name"], &["\"third\""]);
    it.can("arrays and slices", &["p it.scores", "p it.scores[1]"], &["[333, 332, 331, 330]", "= 332"]);
    it.can(
        "structs and enums",
        &["p it.color", "p it.next", "p *it.next.0"],
        &[
            "= abilities::Color::Blue",
            "core::option::Option<alloc::boxed::Box<abilities::Node, alloc::alloc::Global>>::Some(0x?)",
            "name: \"second\", value: 22",
        ],
    );
    it.can("raw memory", &["x/2dh &it.scores"], &["333\t332"]);
    it.can("expressions", &["p it.value * 2 + 10", "p it.value > 3"], &["= 676", "= true"]);
    it.can(
        "casts to pointers",
        &["p *(&it.scores as *const i16)", "p *(&it.value as *const u32)"],
        &["= 333", "= 333"],
    );
    it.can("function pointers by name", &["p it.apply"], &["0x? <abilities::add>"]);
    it.can(
        "calls of functions",
        &["wasm call abilities::descend(3)", "wasm call it.apply(3, 4)", "p abilities::descend(3)"],
        &["= 6", "= 7", "Cannot call functions in the program"],
    );
    it.can(
        "types",
        &["whatis *it", "ptype *it", "whatis it.next"],
        &["abilities::Node", "struct abilities::Node {", "value: i32,", "Option<"],
    );
    it.can(
        "source and symbols",
        &["list abilities::descend", "info symbol abilities::descend"],
        &["let mut below = depth;", "::descend", "in section .text"],
    );
    it.can("instructions and registers", &["x/2i $pc", "info registers rip"], &["=> 0x?", "rip "]);
    it.can(
        "display",
        &["display abilities::COUNTER.v.value.0", "next", "undisplay 1"],
        &["1: abilities::COUNTER.v.value.0 = "],
    );
    go(&mut it, source, "sum += part;");
    it.can("locals", &["info locals"], &["part = 343"]);
    there_and_back(&mut it, "sum += part;", "keep(&sum);", |it| {
        it.can("next", &["next"], &["keep(&sum);"]);
    });
    go(&mut it, source, "let part = (it.apply)");
    it.can("set through a pointer", &["set var it.value = 30", "p it.value"], &["= 30"]);
    it.can(
        "step into",
        &["step", "bt 2"],
        &["abilities::multiply (left=30, right=10)", "#1 ", "abilities::score (it="],
    );
    it.can("finish with its value", &["finish"], &["abilities::score (it=", "Value returned is $? = 300"]);
    it.can(
        "set a variable",
        &["set var abilities::COUNTER.v.value.0 = 100", "p abilities::COUNTER.v.value.0"],
        &["= 100"],
    );
    it.can(
        "file-scope variables",
        &["p abilities::COUNTER", "p abilities::FAILING"],
        &["Atomic", "100", "Atomic", "0"],
    );
    it.can(
        "conditional breakpoint",
        &["break abilities::score if it.value == 1", "continue"],
        &["abilities::score (it=0x?, bonus=10)"],
    );
    it.can("watch through a pointer", &["watch it.value", "print it.value = 2", "delete"], &["atchpoint", "= ()"]);
    it.can(
        "watch a variable",
        &["watch abilities::COUNTER.v.value.0", "continue", "delete"],
        &["Hardware watchpoint", "Old value = 100", "New value = 101"],
    );
    it.can(
        "break at a function",
        &["delete", "break abilities::inspect", "continue"],
        &["abilities::inspect (greeting=0x?"],
    );
    it.can(
        "containers",
        &["p *greeting", "p *numbers", "p *counts"],
        &["\"hello\"", "Vec(size=5) = {3, 1, 4, 1, 5}", "HashMap(size=2) = {[2] = \"two\", [1] = \"one\"}"],
    );
    it.can(
        "structs and enums",
        &["p (*events)[0]", "p (*events)[1]", "p (*events)[2]", "p (*events)[3]"],
        &[
            "abilities::Event::Nothing",
            "abilities::Event::Sold(7)",
            "abilities::Event::Moved{from: -3, to: 4}",
            "abilities::Event::Renamed(\"pear\")",
        ],
    );
    it.can("dynamic types", &["p *shape", "p shape"], &["abilities::Circle {radius: 2}", "&dyn abilities::Shape"]);
    go(&mut it, source, "let square = self.radius");
    it.can("references and methods", &["p *self", "p self.radius"], &["abilities::Circle {radius: 2}", "= 2"]);
    it.can(
        "run to a line",
        &["finish", &format!("advance {}", at(source, "let depth = descend(4)"))],
        &["abilities::main ()", "let depth = descend(4)"],
    );
    it.can(
        "recursion",
        &["break abilities::descend if depth == 2", "continue", "bt 4", "up", "p depth", "up", "p below"],
        &[
            "abilities::descend (depth=2)",
            "#0  abilities::descend (depth=2)",
            "#1 ",
            "descend (depth=3)",
            "#2 ",
            "descend (depth=4)",
            "#3 ",
            "abilities::main",
            "= 3",
            "= 4",
        ],
    );
    it.can(
        "a trap stops at its line",
        &["delete", "set var abilities::FAILING.v.value.0 = 1", "continue", "bt 2"],
        &[
            "SIGSEGV",
            "let found = unsafe { *wild };",
            "wasm trap: out of bounds memory access at wasm address 0x?",
            "#0 ",
            "abilities::fail (wild=0x?)",
            "#1 ",
            "abilities::main",
        ],
    );
    it.can("the engine reports the trap", &["continue"], &["exited with code 0206"]);
    it
}
