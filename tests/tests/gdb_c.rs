//! gdb on the C program: every answer value by value, at both optimization levels, for every compiler.

use tests::{Session, at, line};

const SOURCE: &str = "records/main.c";

/// Each build of the program whose variables are all in memory, at each level.
fn everywhere(check: impl Fn(&str, u8)) {
    for program in ["records/records", "records/records-clang14", "records/records-zig"] {
        for level in [0, 2] {
            check(program, level);
        }
    }
}

#[test]
fn data_of_every_kind_is_read() {
    let stop = format!("break {}", at(SOURCE, "printf(\"%s: %d"));
    let printf_line = line(SOURCE, "printf(\"%s: %d").to_string();
    let commands = [
        &stop,
        "run",
        "p counter",
        "info symbol &counter",
        "p &ratios[1]",
        "p greeting",
        "p ratios",
        "p big",
        "p *head",
        "p head->next->name",
        "p *head->next->next",
        "p head->next->next->next",
        "p head->flags",
        "p/x head->payload.integer",
        "p grid",
        "p grid[1]",
        "p text",
        "p small",
        "p negative",
        "p port",
        "p ratio",
        "p happy",
        "p results",
        "p *results@2",
        "p origin",
        "p *follow",
        "p &middle == follow",
        "p *&middle",
        "x/s text",
        "p *head->corners@2",
        "x/s head->name",
        "p head->color",
        "p (enum color) 5",
        "p product",
        "p total",
        "p steps",
        "p average",
        "p sizeof(struct node)",
        "p name",
        "p head->name[1]",
        "p *head->name@5",
        "p head->value + head->next->value * 2",
        "whatis head",
        "ptype struct flags",
        "ptype head",
        "ptype operation",
        "info line",
    ];
    everywhere(|program, level| {
        let answers = Session::new(program, level).run(&commands);
        answers.assert_contains("run", 0, &["main (", &printf_line]);
        answers.assert_contains("info symbol &counter", 0, &["counter in section .wasm"]);
        answers.assert_values(&[
            ("p counter", "-96"),
            ("p &ratios[1]", "(double *) 0x? <ratios+8>"),
            ("p greeting", "0x? \"hello, wasm\""),
            ("p ratios", "{0.5, 1.25, -2, 10000000000}"),
            ("p big", "-9223372036854721487"),
            (
                "p *head",
                "{name = 0x? \"third\", value = 333, color = BLUE, flags = {ready = 1, mode = 5, balance = -13, \
                 wide = 333000}, payload = {integer = 1126596608, real = 166.5, bytes = \"\\000\\200&C\"}, corners = \
                 {{x = 333, y = 333}, {x = 334, y = 332}}, next = 0x?}",
            ),
            ("p head->next->name", "0x? \"second\""),
            (
                "p *head->next->next",
                "{name = 0x? \"first\", value = 1, color = RED, flags = {ready = 1, mode = 1, balance = -1, wide = \
                 1000}, payload = {integer = 1056964608, real = 0.5, bytes = \"\\000\\000\\000?\"}, corners = {{x = \
                 1, y = 1}, {x = 2, y = 0}}, next = 0x?}",
            ),
            ("p head->next->next->next", "(struct node *) 0x?"),
            ("p head->flags", "{ready = 1, mode = 5, balance = -13, wide = 333000}"),
            ("p/x head->payload.integer", "0x?"),
            ("p grid", "{{1, 2, 3}, {4, 5, 6}}"),
            ("p grid[1]", "{4, 5, 6}"),
            ("p text", "\"desserts\\000\\000\\000\\000\\000\\000\\000\""),
            ("p small", "200 '\\310'"),
            ("p negative", "-100 '\\234'"),
            ("p port", "54321"),
            ("p ratio", "0.125"),
            ("p happy", "true"),
            ("p results", "{360, 1780}"),
            ("p *results@2", "{360, 1780}"),
            ("p origin", "{x = 0, y = 0}"),
            ("p *follow", "{x = 205, y = -3}"),
            ("p &middle == follow", "1"),
            ("p *&middle", "{x = 205, y = -3}"),
            ("p head->color", "BLUE"),
            ("p (enum color) 5", "GREEN"),
            ("p product", "24"),
            ("p total", "356"),
            ("p steps", "7"),
            ("p average", "-0.083333333333333329"),
            ("p sizeof(struct node)", "40"),
            ("p name", "0x? \"green\""),
            ("p head->name[1]", "104 'h'"),
            ("p *head->name@5", "\"third\""),
            ("p head->value + head->next->value * 2", "377"),
            ("whatis head", "type = struct node *"),
            (
                "ptype struct flags",
                "type = struct flags {\n    unsigned int ready : 1;\n    unsigned int mode : 3;\n    int balance : \
                 5;\n    unsigned int wide : 23;\n}",
            ),
            ("ptype operation", "type = int (*)(int, int)"),
        ]);
        answers.assert_contains("x/s text", 0, &["\"desserts\""]);
        answers.assert_contains("x/s head->name", 0, &["\"third\""]);
    });
}

#[test]
fn a_person_walks_through_the_program() {
    let in_push = format!("break {}", at(SOURCE, "it->value = value;"));
    let second = format!("break {} if value == 22", at(SOURCE, "it->next = list;"));
    let after_loop = format!("until {}", line(SOURCE, "sum += it->value;") + 2);
    let commands = [
        "break main",
        "run",
        "info args",
        &in_push,
        "continue",
        "bt",
        "info args",
        "p it",
        "next",
        "next",
        "p it->value",
        "p it->color",
        "up",
        "info frame",
        "p total",
        "down",
        "p value",
        "delete 2",
        &second,
        "continue",
        "p value",
        "p i",
        "p list->value",
        "p *it",
        "delete",
        "finish",
        "next",
        "p head->value",
        "break list_sum",
        "continue",
        "info args",
        "bt",
        "step",
        "step",
        "step",
        "step",
        "p sum",
        "p it->value",
        "info locals",
        &after_loop,
        "p sum",
        "finish",
        "tbreak factorial if n == 1",
        "continue",
        "bt",
        "p n",
        "up",
        "p n",
        "up",
        "p n",
        "finish",
        "tbreak midpoint",
        "continue",
        "info args",
        "next",
        "next",
        "info locals",
        "finish",
        "info breakpoints",
    ];
    everywhere(|program, level| {
        let answers = Session::new(program, level).run(&commands);
        answers.assert_contains("run", 0, &["Breakpoint 1, main (argc=1, argv=", "records/main.c:"]);
        answers.assert_contains("info args", 0, &["argc = 1"]);
        answers.assert_contains(
            "continue",
            0,
            &["Breakpoint 2, push (list=", "name=", "\"first\", value=1, color=RED)"],
        );
        // In one piece: the guest's frames, then its library's and the host's down to the process's entry.
        answers.assert_contains("bt", 0, &["#0  push (list=", "#1 ", " main (argc=1, argv=", "_start"]);
        answers.assert_contains("info args", 1, &["list = 0x0", "name = 0x", "\"first\"", "value = 1", "color = RED"]);
        answers.assert_contains("p it->value", 0, &["= 1"]);
        answers.assert_contains("up", 0, &["main (argc=1, argv=", "push(head, \"first\", 1, RED);"]);
        answers.assert_contains("info frame", 0, &["ip = 0x", " in main (", "caller of frame at"]);
        answers.assert_contains("down", 0, &["push (list="]);
        answers.assert_values(&[("p value", "1"), ("p sum", "333"), ("p it->color", "RED")]);
        answers.assert_contains("continue", 1, &["Breakpoint 3, push (list=0x", "\"second\", value=22, color=GREEN)"]);
        assert_eq!(answers.values("p value")[1], "22");
        answers.assert_contains("p i", 0, &["No symbol \"i\" in current context."]);
        answers.assert_values(&[
            ("p list->value", "1"),
            (
                "p *it",
                "{name = 0x? \"second\", value = 22, color = GREEN, flags = {ready = 0, mode = 6, balance = 10, \
              wide = 22000}, payload = {integer = 1093664768, real = 11, bytes = \"\\000\\0000A\"}, corners = {{x = \
              22, y = 22}, {x = 23, y = 21}}, next = 0x?}",
            ),
            ("p head->value", "22"),
        ]);
        answers.assert_contains("finish", 0, &["main (argc=1, argv=", "Value returned is", "(struct node *) 0x"]);
        answers.assert_contains("continue", 2, &["Breakpoint 4, list_sum (list=0x"]);
        answers.assert_contains("bt", 1, &["#0  list_sum (list=0x", "#1 ", " main (argc=1"]);
        assert_eq!(answers.values("p it->value")[1], "22", "{}", answers.transcript());
        answers.assert_contains("info locals", 0, &["it = 0x", "sum = 333"]);
        answers.assert_contains(&after_loop, 0, &["return sum;"]);
        assert_eq!(answers.values("p sum")[1], "356");
        answers.assert_contains("finish", 1, &["Value returned is", "= 356"]);
        answers.assert_contains("continue", 3, &["factorial (n=1)"]);
        answers.assert_contains(
            "bt",
            2,
            &["#0  factorial (n=1)", "#1 ", "factorial (n=2)", "#3 ", "factorial (n=4)", "#4 ", " main ("],
        );
        let depths = answers.values("p n");
        assert_eq!(depths, ["1", "2", "3"]);
        answers.assert_contains("finish", 2, &["factorial (n=4)", "Value returned is", "= 6"]);
        answers.assert_contains("continue", 4, &["midpoint (a=..., b=...)"]);
        answers.assert_contains("info args", 3, &["a = {x = 0, y = 0}", "b = {x = 10, y = -6}"]);
        answers.assert_contains("info locals", 1, &["middle = {x = 5, y = -3}"]);
        // A struct is returned through a hidden pointer, which gdb cannot know: no value is better than a wrong one.
        let finished = answers.to("finish")[3];
        assert!(finished.contains("midpoint(origin, corner)") || finished.contains("follow = &middle"), "{finished}");
        assert!(!finished.contains("{x =") || finished.contains("{x = 5, y = -3}"), "{finished}");
        answers.assert_contains("info breakpoints", 0, &["list_sum", "breakpoint already hit 1 time"]);
    });
}

#[test]
fn changes_and_watchpoints_take_effect() {
    let in_sum = format!("tbreak {}", at(SOURCE, "sum += it->value;"));
    let before_steps = format!("tbreak {}", at(SOURCE, "int steps = collatz(27);"));
    let end = format!("tbreak {}", at(SOURCE, "printf(\"%s: %d"));
    let commands = [
        "break main",
        "run",
        "p counter",
        "set var counter = 1000",
        "p counter",
        &in_sum,
        "continue",
        "set var it->value = 1333",
        "p it->value",
        "set var sum = 10000",
        "next",
        "next",
        "p sum",
        "tbreak add",
        "continue",
        "watch counter",
        "continue",
        "info locals",
        "delete",
        &before_steps,
        "continue",
        "set var text[0] = 'S'",
        "set var middle.x = 77",
        "p follow->x",
        "set var follow->y = -78",
        "p middle",
        "set var greeting = head->name",
        "watch middle.y if middle.y > 0",
        &end,
        "continue",
        "p text",
        "set var head->next->flags.mode = 3",
        "p head->next->flags",
        "p head->next->color = BLUE",
        "p happy = 0",
        "p ratios[1] = 2.5",
        "p ratios",
        "p average",
        "delete",
        "continue",
    ];
    everywhere(|program, level| {
        let answers = Session::new(program, level).run(&commands);
        let counters = answers.values("p counter");
        assert_eq!(counters, ["3", "1000"], "{}", answers.transcript());
        answers.assert_values(&[
            ("p it->value", "1333"),
            ("p sum", "11333"),
            ("p follow->x", "77"),
            ("p middle", "{x = 77, y = -78}"),
            ("p text", "\"dessertS\\000\\000\\000\\000\\000\\000\\000\""),
            ("p head->next->flags", "{ready = 0, mode = 3, balance = 10, wide = 22000}"),
            ("p head->next->color = BLUE", "BLUE"),
            ("p ratios", "{0.5, 2.5, -2, 10000000000}"),
        ]);
        answers.assert_contains("continue", 2, &["Old value = 1000", "New value = 1001", "add (left="]);
        answers.assert_contains("info locals", 0, &["sum ="]);
        // 10000 + 1333 + 22 + 1 = 11356 reached the sum, and the program saw every other change too.
        answers.assert_contains(
            "continue",
            5,
            &["third: 11360 56780 24 (77,-78) green 7 dessertS", " 901 ", "exited with code 01"],
        );
    });
}

#[test]
fn watchpoints_follow_guest_pointers() {
    let in_loop = format!("tbreak {}", at(SOURCE, "it->corners[i].x = value + i;"));
    let change = format!("tbreak {}", at(SOURCE, "follow->x += small;"));
    let commands = [
        &in_loop,
        "run",
        "watch it->corners[1].x",
        "continue",
        "p i",
        "info watchpoints",
        "delete",
        &change,
        "continue",
        "watch follow->x",
        "continue",
        "p middle.x",
        "delete",
        "continue",
    ];
    everywhere(|program, level| {
        let answers = Session::new(program, level).run(&commands);
        answers.assert_contains("watch it->corners[1].x", 0, &["Hardware watchpoint 2: it->corners[1].x"]);
        answers.assert_contains(
            "continue",
            0,
            &["Hardware watchpoint 2: it->corners[1].x", "New value = 2", "push (list="],
        );
        answers.assert_values(&[("p i", "1"), ("p middle.x", "205")]);
        answers.assert_contains("continue", 2, &["Old value = 5", "New value = 205", "main (argc="]);
        answers.assert_contains("continue", 3, &["(205,-3)", "exited normally"]);
    });
}

#[test]
fn numbers_of_16_bytes_are_read_and_written_in_the_guests_format() {
    let commands = [
        "break look",
        "run",
        "p passed",
        "p *pair",
        "whatis pair->first",
        "ptype pair->others",
        "p pair->first * 2 + passed > 2.59999 && pair->first * 2 + passed < 2.60001",
        "p shared",
        "up",
        "p both",
        "p *at",
        "set var pair.others[1] = 7.5",
        "p pair",
        "p sizeof(pair.first)",
        "down",
        "next",
        "next",
        "p shared",
    ];
    for level in [0, 2] {
        let answers = Session::new("floats/floats", level).invoke("run").run(&commands);
        answers.assert_contains("p passed", 0, &["= 0.1000000000000000000000000000000000"]);
        answers.assert_contains("p shared", 0, &["= -0.5"]);
        answers.assert_contains("p shared", 1, &["= 0.1000000000000000000000000000000000"]);
        answers.assert_values(&[
            ("p *pair", "{first = 1.25, letter = 97 'a', others = {1000000000000000000000000000000, -3}}"),
            ("whatis pair->first", "type = long double"),
            ("ptype pair->others", "type = _Float128 [2]"),
            ("p pair->first * 2 + passed > 2.59999 && pair->first * 2 + passed < 2.60001", "1"),
            ("p both", "1.5 + -2i"),
            ("p *at", "-3"),
            ("p pair", "{first = 1.25, letter = 97 'a', others = {1000000000000000000000000000000, 7.5}}"),
            ("p sizeof(pair.first)", "16"),
        ]);
    }
}

/// gdb makes the pointer types of casts itself.
#[test]
fn casts_need_no_pointer_of_their_kind_in_the_program() {
    let commands = [
        "break look",
        "run",
        "p *(int *) node",
        "p *(unsigned char *) &node->value",
        "p *(char **) &node->name",
        "p (void *) node",
        "p sizeof(void *)",
        "p sizeof(void **)",
        "p sizeof(int *)",
        "p sizeof(const struct node *)",
        "p sizeof(const void *)",
        "p (const void *) node->name == node->name",
    ];
    for level in [0, 2] {
        let answers = Session::new("memory/memory32", level).invoke("run").run(&commands);
        answers.assert_values(&[
            ("p *(int *) node", "2"),
            ("p *(unsigned char *) &node->value", "2 '\\002'"),
            ("p *(char **) &node->name", "0x? \"before\""),
            ("p (void *) node", "(void *) 0x?"),
            ("p sizeof(void *)", "4"),
            ("p sizeof(void **)", "4"),
            ("p sizeof(int *)", "4"),
            ("p sizeof(const struct node *)", "4"),
            ("p sizeof(const void *)", "4"),
            ("p (const void *) node->name == node->name", "1"),
        ]);
    }
}

/// The variables of a function that calls none lie where a called one would have its own.
#[test]
fn calls_leave_the_variables_of_the_function_alone() {
    let stop = format!("break {}", at("abilities/main.c", "counter++;"));
    if !tests::gdb_calls_functions() {
        return;
    }
    for level in [0, 2] {
        let answers = Session::new("abilities/c-O0", level).run(&[&stop, "run", "wasm call descend(3)", "info args"]);
        answers.assert_contains("wasm call descend(3)", 0, &["= 6"]);
        answers.assert_contains("info args", 0, &["left = 333", "right = 10"]);
    }
}

/// The optimizer made functions without results of them; their source has one.
#[test]
fn a_result_that_was_removed_is_not_shown() {
    let removed = ["unused", "unused_fraction", "known", "known_structure"];
    let breaks = removed.map(|name| format!("tbreak {name}"));
    let mut commands: Vec<&str> = breaks.iter().map(String::as_str).collect();
    commands.push("tbreak kept");
    for nth in 0..=removed.len() {
        commands.extend([if nth == 0 { "run" } else { "continue" }, "finish"]);
    }
    for level in [0, 2] {
        let answers = Session::new("removed/removed", level).invoke("run").run(&commands);
        let finished = answers.to("finish");
        for (answer, name) in finished.iter().zip(removed) {
            assert!(answer.contains("run () at") && !answer.contains("Value returned is"), "{name}: {answer}");
        }
        assert!(finished[removed.len()].contains("Value returned is $1 = 39"), "{}", answers.transcript());
    }
}

/// gdb's own function makes pointers of the host's width, and has the program make room for a text.
#[test]
fn bytes_in_memory_are_compared() {
    let commands = [
        "break list_sum if $_memeq(list->name, \"third\", 5)",
        "run",
        "p $_memeq(list->name, \"third\", 6)",
        "p $_memeq(list->name, \"third!\", 5)",
        "p $_memeq(list->name, \"third!\", 6)",
        "p $_memeq(list->next, &list->next->name, 8)",
        "p $_memeq(list->payload.bytes, list->next->payload.bytes, 4)",
        "p $_memeq(list->payload.bytes, \"\\000\\200&C\", 4)",
    ];
    for privileged in [true, false] {
        let answers = Session::new("records/records", 0).privileged(privileged).run(&commands);
        answers.assert_contains("run", 0, &["list_sum (list=0x"]);
        let expected = ["1", "1", "0", "1", "0", "1"];
        let expected: Vec<_> = commands[2..].iter().copied().zip(expected).collect();
        answers.assert_values(&expected);
    }
}
