//! What a person types in lldb, and what it must answer.

use tests::line;

use crate::script::{Column, Language, Script};

/// What is said where lldb would call a guest function as one of the host.
const REFUSED: &str = "guest_functions_are_called_by_wasm_call";

/// The session of a column.
pub fn script(column: &Column) -> Script {
    match column.language {
        Language::C => c(),
        Language::Cxx => cxx(),
        Language::Rust => rust(column.input),
    }
}

/// The command that stops at a line with this text, and its line.
fn stop(source: &str, text: &str) -> String {
    let file = source.rsplit('/').next().unwrap_or(source);
    format!("breakpoint set --file {file} --line {}", line(source, text))
}

/// Goes to a line with this text with a breakpoint that is gone afterwards.
fn go(script: &mut Script, source: &str, text: &str) {
    let stop = stop(source, text) + " --one-shot true";
    script.can(
        "temporary breakpoint",
        &["breakpoint delete -f", &stop, "continue", "breakpoint list"],
        &["where = ", &format!(":{}", line(source, text)), "No breakpoints currently set."],
    );
}

fn c() -> Script {
    let source = "abilities/main.c";
    let mut it = Script::default();
    it.can(
        "`main` is the guest's",
        &["breakpoint set --name main", "run", "p argc"],
        &["main(argc=1, argv=0x?", " at main.c:", "(int) 1"],
    );
    it.can(
        "break at a function",
        &["breakpoint set --name push", "continue"],
        &["where = ", "push + ", "push(list=0x?, name=\"first\", value=1, color=RED, apply=", "`add at main.c:"],
    );
    it.can(
        "arguments",
        &["frame variable --no-locals"],
        &["(node *) list = ", "name = 0x? \"first\"", "value = 1", "color = RED", "`add at main.c:"],
    );
    it.can("finish with its value", &["finish"], &["Return value: (node *) $? = 0x?", "main(argc="]);
    it.can(
        "conditional breakpoint",
        &["breakpoint delete -f", "breakpoint set --name push --condition 'value == 333'", "continue"],
        &["push(list=0x?, name=\"third\", value=333, color=BLUE"],
    );
    it.can(
        "backtrace in one piece",
        &["bt"],
        &["frame #0: 0x?", "push(list=0x?", "frame #1: ", "main(argc=", "_start", "__libc_start_main"],
    );
    it.can(
        "up, down",
        &["up", "p counter", "down", "p value"],
        &["main(argc=", "(int) 3", "push(list=0x?", "(int) 333"],
    );
    go(&mut it, source, "int part = score(it");
    it.can("locals", &["v sum"], &["sum = 10"]);
    let stop_line = stop(source, "int part = it->apply");
    it.can("break at a line", &[&stop_line, "continue"], &["score(it=0x?, bonus=10) at main.c:"]);
    it.can(
        "follow pointers",
        &["v *it", "p it->next->value", "v it->next->next->next", "p *it->next->next", "v it->next->value"],
        &[
            "name = 0x? \"third\"",
            "value = 333",
            "color = BLUE",
            "(int) 22",
            "= 0x?",
            "name = 0x? \"first\"",
            "value = 1",
            "= 22",
        ],
    );
    it.can("strings", &["v it->next->name", "p it->name[1]", "x/s it->name"], &["\"second\"", "'h'", "\"third\""]);
    it.can(
        "arrays and slices",
        &["v it->scores", "p it->scores[3]", "parray 2 &it->scores[0]"],
        &["[0] = 333, [1] = 332, [2] = 331, [3] = 330", "330", "[0] = 333", "[1] = 332"],
    );
    it.can(
        "structs and enums",
        &["v it->color", "v it->number", "expr (enum color)5"],
        &["= BLUE", "integer = 1069547520, real = 1.5", "= GREEN"],
    );
    it.can(
        "raw memory",
        &["memory read --format d --size 2 --count 2 &it->scores[0]", "x/s &it->name[2]"],
        &["333", "332", "\"ird\""],
    );
    it.can(
        "expressions",
        &["expr it->value * 2 + counter", "expr it == head && bonus > 3", "expr sizeof(*it)"],
        &["= 669", "= true", "= 32"],
    );
    it.can(
        "casts to pointers",
        &["expr *(short *)it->scores", "expr *(unsigned *)&it->number", "expr *(short *)&it->value"],
        &["= 333", "= 1069547520", "= 333"],
    );
    it.can(
        "function pointers by name",
        &["v it->apply", "v it->next->apply"],
        &["`add at main.c:", "`multiply at main.c:"],
    );
    it.can(
        "calls of functions",
        &[
            "wasm-call it->next->apply(6, 7)",
            "wasm-call descend(3)",
            "wasm-call add(1, descend(2)) * 10",
            "p add(1, descend(2)) + 1",
            // More arguments than registers hold.
            "p push(head, it->name, 7, 6, 0)",
        ],
        // lldb by itself would pass the arguments in the wrong places.
        &["= 42", "= 6", "= 40", "(int) 5", REFUSED],
    );
    it.can(
        "file-scope variables",
        &["target variable counter", "expr counter = 3", "p head->value", "p &counter"],
        &["(int) counter = ", "= 3", "(int) 333", "(int *) 0x?"],
    );
    it.can(
        "types",
        &["v --show-types it", "image lookup --type operation", "image lookup --type color"],
        &["(node *) it", "typedef", "operation", "enum color {", "BLUE"],
    );
    it.can(
        "source and symbols",
        &["source list --name add", "image lookup --address $pc", "image lookup --name add"],
        &["counter++;", "score + ", " at main.c:", "add"],
    );
    it.can(
        "instructions and registers",
        &["disassemble --pc --count 3", "register read rip", "frame info"],
        &["score:", "->  0x?", "rip = 0x?", "score + ", "score(it="],
    );
    it.can("next", &["next", "v part"], &["score(it=", "part = 343"]);
    go(&mut it, source, "int part = it->apply");
    it.can(
        "set through a pointer",
        &["expr it->value = 30", "p it->value", "p head->next->value", "expr it->next->next = 0"],
        &["= 30", "(int) 30", "(int) 30", "= "],
    );
    it.can("step into", &["step", "bt 2"], &["multiply(left=30, right=10)", "frame #1: ", "score(it="]);
    it.can("finish with its value", &["finish"], &["Return value: (int) $? = 300", "score(it="]);
    it.can(
        "set a variable",
        &["up", "expr sum = 5000", "v sum", "expr counter = 100", "p counter", "down"],
        &["visit(list=", "= 5000", "sum = 5000", "= 100", "(int) 100", "score(it="],
    );
    it.can(
        "watch a variable",
        &["watchpoint set variable counter", "breakpoint delete -f", "continue", "bt 2", "watchpoint delete -f"],
        &["Watchpoint created", "add(left=1, right=10)", "frame #1: ", "score(it=", "All watchpoints removed"],
    );
    it.can(
        "watch through a pointer",
        &[
            "watchpoint set variable head->number.integer",
            "watchpoint delete -f",
            "watchpoint set expression -- &head->value",
            "watchpoint list",
            "watchpoint delete -f",
        ],
        &["Watchpoint created", "Watchpoint created", "addr = 0x?", "All watchpoints removed"],
    );
    let until = stop(source, "unsigned depth = descend(4)") + " --one-shot true";
    it.can(
        "run to a line",
        &[&until, "continue"],
        &["main(argc=", &format!(":{}", line(source, "unsigned depth = desc"))],
    );
    recursion(&mut it);
    trap(&mut it, "fail(wild=0x?)", "main(argc=");
    it
}

fn recursion(it: &mut Script) {
    it.can(
        "recursion",
        &[
            "breakpoint set --name descend --condition 'depth == 2'",
            "continue",
            "bt 4",
            "up",
            "p depth",
            "up",
            "p below",
        ],
        &[
            "descend(depth=2)",
            "frame #0: 0x?",
            "descend(depth=2)",
            "frame #1: 0x?",
            "descend(depth=3)",
            "frame #2: 0x?",
            "descend(depth=4)",
            "frame #3: 0x?",
            "main",
            "3",
            "4",
        ],
    );
}

/// The last part of each session.
fn trap(it: &mut Script, frame: &str, caller: &str) {
    it.can(
        "a trap stops at its line",
        &["breakpoint delete -f", "expr failing = 1", "continue", "bt 2"],
        &["fail(wild=0x?) at main.", "SIGSEGV", "frame #0: 0x?", frame, "frame #1: ", caller],
    );
    it.can("the engine reports the trap", &["continue", "process status"], &["exited with status = 134"]);
}

fn cxx() -> Script {
    let source = "abilities/main.cc";
    let mut it = Script::default();
    it.can(
        "`main` is the guest's",
        &["breakpoint set --name main", "run", "p argc"],
        &["main(argc=1, argv=0x?", " at main.cc:", "(int) 1"],
    );
    it.can(
        "break at a function",
        &["breakpoint delete -f", "breakpoint set --name inspect", "continue"],
        &["inspect(greeting=\"hello\", numbers=size=5, ages=size=2, shapes=size=2) at main.cc:"],
    );
    it.can(
        "containers",
        &["v greeting", "v numbers", "v ages", "v shapes", "v shapes[0]->name"],
        &[
            "\"hello\"",
            "size=5",
            "[0] = 3",
            "[4] = 5",
            "size=2",
            "first = \"ada\"",
            "second = 36",
            "first = \"grace\"",
            "second = 85",
            "size=2",
            "pointer = 0x?",
            "\"circle\"",
        ],
    );
    it.can("arrays and slices", &["v numbers[2]", "v numbers[0]"], &["= 4", "= 3"]);
    it.can(
        "break at a function",
        &["breakpoint set --name geometry::Circle::area", "continue"],
        &["geometry::Circle::area(this=0x?) const at main.cc:"],
    );
    it.can(
        "references and methods",
        &["v *this", "p radius", "expr this->radius * 2", "expr name", "p this->area()"],
        &["name = \"circle\"", "radius = 2", "(int) 2", "= 4", "\"circle\"", REFUSED],
    );
    it.can("arguments", &["frame variable --no-locals"], &["this = 0x?"]);
    go(&mut it, source, "counter++;");
    it.can("next", &["next", "v square", "p counter"], &["square = 4", "(int) 4"]);
    it.can("finish with its value", &["finish"], &["Return value: (int) $? = 12", "measure("]);
    it.can(
        "conditional breakpoint",
        &["breakpoint delete -f", "breakpoint set --name measure --condition 'counter > 3'", "continue"],
        &["measure(it=0x?"],
    );
    it.can("step into", &["step"], &["geometry::Box::area(this=0x?"]);
    it.can(
        "backtrace in one piece",
        &["bt"],
        &["geometry::Box::area(this=0x?", "measure(", "visit(", "main(argc=", "_start", "__libc_start_main"],
    );
    it.can("up, down", &["up", "p counter", "down", "p sides"], &["measure(", "4", "Box::area", "[0] = 3, [1] = 4"]);
    it.can(
        "types",
        &["v --show-types sides", "image lookup --type geometry::Kind", "image lookup --type geometry::Box"],
        &["(int[2]) sides", "enum class Kind", "Cornered", "Box : public geometry::Shape"],
    );
    it.can(
        "set through a pointer",
        &["expr this->sides[0] = 30", "breakpoint disable", "finish"],
        &["= 30", "Return value: (int) $? = 120"],
    );
    it.can("locals", &["next", "v part", "up", "v sum", "down"], &["part = 120", "sum = 22"]);
    it.can(
        "dynamic types",
        &["v *it", "v it->sides[1]"],
        &["name = \"box with a name that is long\"", "sides = ([0] = 30, [1] = 4)", "= 4"],
    );
    it.can("set a variable", &["up", "expr sum = 1000", "v sum"], &["= 1000", "sum = 1000"]);
    it.can(
        "conditional breakpoint",
        &["breakpoint delete -f", "breakpoint set --name score --condition 'it->value == 1'", "continue"],
        &["score(it=0x?, total="],
    );
    it.can("file-scope variables", &["target variable counter", "expr ::counter + 1"], &["= 6", "= 7"]);
    it.can(
        "follow pointers",
        &["v *it", "p it->next->value", "v it->next->kind"],
        &["name = 0x? \"first\"", "value = 1", "kind = Round", "(int) 22", "Cornered"],
    );
    it.can(
        "references and methods",
        &["v total", "expr total", "expr &total"],
        &["(int &) total = 0x? (&total = 1120)", "= 1120", "(int *)"],
    );
    it.can("strings", &["v it->next->name", "x/s it->name"], &["\"second\"", "\"first\""]);
    it.can("structs and enums", &["v it->next->kind", "p *it->next"], &["= Cornered", "value = 22"]);
    it.can("raw memory", &["memory read --format d --size 4 --count 1 &it->value"], &[": 1"]);
    it.can("expressions", &["expr it->value * 2 + counter", "expr it->next != 0"], &["= 8", "= true"]);
    it.can(
        "casts to pointers",
        &[
            "expr *(short *)&it->value",
            "expr ((Node *)it->next)->value",
            "expr *reinterpret_cast<unsigned *>(&it->value)",
        ],
        &["= 1", "= 22", "= 1"],
    );
    it.can(
        "function pointers by name",
        &["v it->apply", "v it->next->apply"],
        &["`add(int, int) at main.cc:", "`multiply(int, int) at main.cc:"],
    );
    it.can(
        "calls of functions",
        &[
            "wasm-call it->next->apply(6, 7)",
            "wasm-call add(1, 2)",
            "expr add(1, 2)",
            "wasm-call geometry::Circle::area()",
        ],
        &["= 42", "= 3", "= 3", "it is a member function"],
    );
    it.can(
        "source and symbols",
        &["source list --name add", "image lookup --name add", "image lookup --address $pc"],
        &["return left + right;", "add(int, int)", "score("],
    );
    it.can(
        "instructions and registers",
        &["disassemble --pc --count 2", "register read rip"],
        &["->  0x?", "rip = 0x?", "score("],
    );
    it.can(
        "watch a variable",
        &["breakpoint delete -f", "watchpoint set expression -- &total", "continue", "watchpoint delete -f"],
        &["Watchpoint created", "score(it=0x?", "All watchpoints removed"],
    );
    it.can(
        "watch through a pointer",
        &["watchpoint set variable it->next->value", "watchpoint list", "watchpoint delete -f"],
        &["Watchpoint created", "addr = 0x?", "All watchpoints removed"],
    );
    it.can(
        "break at a line",
        &[&stop(source, "T best = values[0]"), "continue"],
        &["largest<int>(values=size=5) at main.cc:"],
    );
    let until = stop(source, "unsigned depth = descend(4)") + " --one-shot true";
    it.can(
        "run to a line",
        &["breakpoint delete -f", &until, "continue"],
        &["main(argc=", &format!(":{}", line(source, "unsigned depth = desc"))],
    );
    recursion(&mut it);
    trap(&mut it, "fail(wild=0x?)", "main(argc=");
    it
}

fn rust(input: u8) -> Script {
    let source = "abilities/main.rs";
    let mut it = Script::default();
    it.can(
        "`main` is the guest's",
        &["breakpoint set --name abilities::main", "run"],
        &["abilities::main at main.rs:"],
    );
    it.can(
        "break at a function",
        &["breakpoint set --name abilities::visit", "continue"],
        &["abilities::visit(list=0x?, bonus=10) at main.rs:"],
    );
    it.can(
        "backtrace in one piece",
        &["bt"],
        &["abilities::visit(list=", "abilities::main at main.rs:", "_start", "__libc_start_main"],
    );
    it.can("up, down", &["up", "down", "p bonus"], &["abilities::main", "abilities::visit", "(int) 10"]);
    it.can(
        "break at a line",
        &[&stop(source, "let part = (it.apply)"), "continue"],
        &["abilities::score(it=0x?, bonus=10) at main.rs:"],
    );
    it.can("arguments", &["frame variable --no-locals"], &["it = 0x?", "bonus = 10"]);
    it.can(
        "follow pointers",
        &["v *it", "p it->value", "p (*it).value"],
        &["name = \"third\"", "value = 333", "color = Blue", "(int) 333", "(int) 333"],
    );
    it.can("strings", &["v it->name"], &["\"third\""]);
    it.can("arrays and slices", &["v it->scores", "p it->scores[1]"], &["[0] = 333, [1] = 332", "332"]);
    it.can(
        "structs and enums",
        &["v it->color", "v it->next", "v *it->next.0"],
        &["= Blue", "Some(0x?)", "name = \"second\"", "value = 22"],
    );
    it.can("raw memory", &["memory read --format d --size 4 --count 1 &it->value"], &[": 333"]);
    it.can("expressions", &["expr it->value * 2 + bonus", "expr it->value > 300"], &["= 676", "= true"]);
    it.can("casts to pointers", &["expr *(short *)&it->value"], &["= 333"]);
    it.can("function pointers by name", &["v it->apply"], &["abilities::add"]);
    it.can(
        "calls of functions",
        &["wasm-call it->apply(3, 4)", "wasm-call descend(3)", "p abilities::descend(3)"],
        &["= 7", "= 6", REFUSED],
    );
    it.can("types", &["v --show-types it", "image lookup --type Node"], &["(abilities::Node *) it", "struct Node {"]);
    it.can(
        "source and symbols",
        &["image lookup --name abilities::add", "image lookup --address $pc"],
        &["abilities::add", "abilities::score", " at main.rs:"],
    );
    it.can(
        "instructions and registers",
        &["disassemble --pc --count 2", "register read rip"],
        &["->  0x?", "rip = 0x?", "score"],
    );
    it.can("set through a pointer", &["expr *(int *)&it->value = 30", "p it->value"], &["= 30", "(int) 30"]);
    it.can(
        "watch through a pointer",
        &["watchpoint set variable it->value", "watchpoint list", "watchpoint delete -f"],
        &["Watchpoint created", "addr = 0x?", "All watchpoints removed"],
    );
    it.can("step into", &["step"], &["abilities::add(left=30, right=10)"]);
    it.can("finish with its value", &["finish"], &["Return value: (int) $? = 40", "abilities::score"]);
    it.can("next", &["next", "v part"], &["part = 40"]);
    it.can("locals", &["up", "v sum"], &["sum = 10"]);
    it.can("set a variable", &["expr sum = 1000", "v sum", "down"], &["= 1000", "sum = 1000", "abilities::score"]);
    it.can(
        "watch a variable",
        &["up", "watchpoint set variable sum", "breakpoint delete -f", "continue", "watchpoint delete -f"],
        &["Watchpoint created", "abilities::visit(", "All watchpoints removed"],
    );
    it.can(
        "conditional breakpoint",
        &["breakpoint set --name abilities::score --condition 'it->value == 1'", "continue", "v it->name"],
        &["abilities::score(it=0x?", "\"first\""],
    );
    it.can(
        "containers",
        &[
            "breakpoint delete -f",
            "breakpoint set --name abilities::inspect",
            "continue",
            "v greeting",
            "v *numbers",
            "v *counts",
            "v *events",
        ],
        &[
            "abilities::inspect(",
            "\"hello\"",
            "size=5",
            "[0] = 3",
            "size=2",
            "__1 = \"one\"",
            "Nothing",
            "Sold(7)",
            "Moved{from:-3, to:4}",
            "Renamed(\"pear\")",
        ],
    );
    it.can("references and methods", &["v shape", "v *numbers"], &["pointer = 0x?", "size=5"]);
    it.can(
        "dynamic types",
        &["v shape", "v *shape"],
        &["= abilities::Circle {", "object = (radius = 2)", "(abilities::Circle) *shape = (radius = 2)"],
    );
    if input == 0 {
        let stop_area = stop(source, "3 * square");
        it.can(
            "references and methods",
            &[&stop_area, "continue", "v self", "v *self", "v square"],
            &["Circle", "self = 0x?", "radius = 2", "square = 4"],
        );
    }
    it.can("file-scope variables", &["target variable --regex COUNTER"], &["COUNTER = "]);
    go(&mut it, source, "let depth = descend(4)");
    it.can("run to a line", &["frame info"], &["abilities::main", &format!(":{}", line(source, "let depth = desc"))]);
    it.can(
        "recursion",
        &["breakpoint set --name abilities::descend --condition 'depth == 2'", "continue", "bt 4", "up", "p depth"],
        &["descend(depth=2)", "descend(depth=3)", "descend(depth=4)", "abilities::main", "3"],
    );
    it.can(
        "a trap stops at its line",
        &["breakpoint delete -f", "expr *(int *)&FAILING = 1", "continue", "bt 2"],
        &["fail(wild=0x?) at main.rs:", "SIGSEGV", "fail(wild=0x?)", "abilities::main"],
    );
    it.can("the engine reports the trap", &["continue", "process status"], &["exited with status = 134"]);
    it
}
