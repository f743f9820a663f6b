//! lldb on the C program: variables, followed pointers, strings, assignments and stepping at both optimization levels.

use tests::{Session, line};

const SOURCE: &str = "records/main.c";

#[test]
fn a_person_walks_through_the_program() {
    let stop = format!("breakpoint set --file main.c --line {}", line(SOURCE, "printf(\"%s: %d"));
    let commands = [
        "breakpoint set --name list_sum",
        "run",
        "bt",
        "v list",
        "v list->name",
        "v list->next->next->name",
        "v list->next->corners[1].x",
        "p list->value",
        "v list->next->next->next",
        "expr ((__typeof__(list))(void *)list->next)->value",
        "expr *(__typeof__(&list->name))(void *)&list->next->name",
        "expr (long)(void *)list->next == (long)&*list->next",
        "expr list->next - list->next->next > 0 && list->next != list->next->next && !list->next->next->next",
        "expr (list->next + 1)[-1].value",
        "up",
        "v text",
        "down",
        "next",
        "next",
        "next",
        "v sum",
        "finish",
        "next",
        "v total",
        &stop,
        "continue",
        "v head->flags",
        "v *follow",
        "v grid[1][2]",
        "v results",
        "v name",
        "target variable greeting counter ratios",
        "expr counter = 7",
        "expr head->payload.integer",
        "expr follow->x = 50",
        "v middle.x",
        "v head->color",
        "expr small = '+'",
        "v small",
        "continue",
        "program output",
    ];
    for level in [0, 2] {
        let answers = Session::new("records/records", level).run_lldb(&commands);
        let is = |command: &str, parts: &[&str]| answers.assert_contains(command, 0, parts);
        is("run", &["list_sum", "main.c:78"]);
        is(
            "bt",
            &[
                "list_sum(list=0x",
                " at main.c:78",
                "main(argc=1, argv=0x",
                " at main.c:159",
                "_start",
                "__libc_start_main",
            ],
        );
        is("v list->name", &["\"third\""]);
        is("v list->next->next->name", &["\"first\""]);
        is("v list->next->corners[1].x", &["= 23"]);
        is("p list->value", &["333"]);
        is("v list->next->next->next", &["= 0x00000000"]);
        is("expr ((__typeof__(list))(void *)list->next)->value", &["= 22"]);
        is("expr *(__typeof__(&list->name))(void *)&list->next->name", &["\"second\""]);
        is("expr (long)(void *)list->next == (long)&*list->next", &["= true"]);
        let compared =
            "expr list->next - list->next->next > 0 && list->next != list->next->next && !list->next->next->next";
        is(compared, &["= true"]);
        is("expr (list->next + 1)[-1].value", &["= 22"]);
        is("v text", &["\"stressed\""]);
        is("v sum", &["= 333"]);
        is("finish", &["main", "main.c:159"]);
        is("v total", &["= 356"]);
        is("continue", &["main", &format!("main.c:{}", line(SOURCE, "printf(\"%s: %d"))]);
        is("v head->flags", &["ready = 1", "mode = 5", "balance = -13", "wide = 333000"]);
        is("v *follow", &["x = 205", "y = -3"]);
        is("v grid[1][2]", &["= 6"]);
        is("v results", &["360", "1780"]);
        is("v name", &["\"green\""]);
        is("target variable greeting counter ratios", &["\"hello, wasm\"", "= -96", "1.25"]);
        is("expr counter = 7", &["= 7"]);
        is("expr head->payload.integer", &["1126596608"]);
        is("v middle.x", &["= 50"]);
        is("v head->color", &["BLUE"]);
        is("v small", &["= '+'"]);
        is("program output", &["hello, wasm: 360 1780 24 (50,-3) green 7 desserts", " 7 2"]);
    }
}

/// lldb 19 takes an answer of one byte that is `+` or `-` for an acknowledgement, and waits for another one in vain.
#[test]
fn a_byte_is_read_whatever_it_is_without_privileges() {
    let stop = format!("breakpoint set --file main.c --line {}", line(SOURCE, "printf(\"%s: %d"));
    let commands = [
        &stop,
        "run",
        "expr small = '+'",
        "v small",
        "expr small = '-'",
        "v small",
        "p small",
        "v grid[1][2]",
        "continue",
    ];
    let answers = Session::new("records/records", 0).privileged(false).run_lldb(&commands);
    assert!(answers.to("v small")[0].contains("= '+'"), "{}", answers.transcript());
    assert!(answers.to("v small")[1].contains("= '-'"), "{}", answers.transcript());
    answers.assert_contains("p small", 0, &["'-'"]);
    answers.assert_contains("v grid[1][2]", 0, &["= 6"]);
    answers.assert_contains("continue", 0, &["exited with status = 0"]);
}

/// lldb takes what is not described of a structure for zeros.
#[test]
fn a_structure_of_which_only_a_part_is_known_is_not_shown() {
    let answers =
        Session::new("parts/parts", 2).run_lldb(&["breakpoint set --name look", "run", "v value", "up", "v span"]);
    assert!(answers.answer(2).contains("value = 42"), "{}", answers.transcript());
    assert!(answers.answer(4).contains("span = <variable not available>"), "{}", answers.transcript());
}

#[test]
fn numbers_of_16_bytes_are_shown_in_the_guests_format() {
    let commands = [
        "breakpoint set --name look",
        "run",
        "v passed",
        "v *pair",
        "v shared",
        "p pair->others[1]",
        "up",
        "v at[0] pair.first",
    ];
    for level in [0, 2] {
        let answers = Session::new("floats/floats", level).invoke("run").run_lldb(&commands);
        let is = |command: &str, parts: &[&str]| answers.assert_contains(command, 0, parts);
        is("v passed", &["(long double) passed = 0.1"]);
        is("v *pair", &["first = 1.25", "letter = 'a'", "[0] = 1.0E+30", "[1] = -3"]);
        is("v shared", &["shared = -0.5"]);
        is("p pair->others[1]", &["(long double) -3"]);
        is("v at[0] pair.first", &["= -3", "(long double) pair.first = 1.25"]);
    }
}

#[test]
fn a_pointer_to_a_pointer_leads_to_a_pointer() {
    let main = format!("breakpoint set --file main.c --line {}", line(SOURCE, "printf(\"%s: %d"));
    let commands = [&main, "run", "v *argv", "v argv[0]", "p *argv"];
    for level in [0, 2] {
        let answers = Session::new("records/records", level).run_lldb(&commands);
        for (command, name) in
            [("v *argv", "(char*) *argv = 0x"), ("v argv[0]", "(char*) argv[0] = 0x"), ("p *argv", "(char*) 0x")]
        {
            answers.assert_contains(command, 0, &[name, "records"]);
        }
    }
}

/// Editors put together what is watched from the expressions that lldb has for the parts of variables.
#[test]
fn parts_behind_pointers_have_expressions() {
    let watched = [
        ("list next value", "list->next->value = 22, is one value"),
        ("list next", "list->next = 0x000000000001"),
        ("list next next name", "list->next->next->name = \"first\", expands"),
        ("list flags mode", "list->flags.mode = 5, is one value"),
    ];
    let commands = watched.map(|(parts, _)| format!("editor watches {parts}"));
    let commands: Vec<&str> =
        ["breakpoint set --name list_sum", "run"].into_iter().chain(commands.iter().map(String::as_str)).collect();
    for level in [0, 2] {
        let answers = Session::new("records/records", level).run_lldb(&commands);
        for (command, (_, expected)) in commands[2..].iter().zip(watched) {
            answers.assert_contains(command, 0, &[expected]);
        }
        answers.assert_contains("editor watches list next", 0, &[", expands"]);
    }
}

/// The variables of a function that calls none lie where a called one would have its own.
#[test]
fn calls_leave_the_variables_of_the_function_alone() {
    let stop = format!("breakpoint set -l {} -f main.c", line("abilities/main.c", "counter++;"));
    let commands = [stop.as_str(), "run", "p descend(3)", "v left right", "wasm-call descend(4)", "v left right"];
    for level in [0, 2] {
        let answers = Session::new("abilities/c-O0", level).run_lldb(&commands);
        answers.assert_contains("p descend(3)", 0, &["(unsigned int) 6"]);
        answers.assert_contains("wasm-call descend(4)", 0, &["= 10"]);
        for nth in [0, 1] {
            answers.assert_contains("v left right", nth, &["left = 333", "right = 10"]);
        }
    }
}

/// lldb keeps the functions of the run that has ended, and the instance is elsewhere in the next one.
#[test]
fn calls_work_when_the_program_is_run_again() {
    let call = "p descend(3)";
    let text = "settings show target.expr-prefix";
    let stop = format!("breakpoint set -l {} -f main.c", line("abilities/main.c", "counter++;"));
    let commands = [&stop, "run", call, text, "kill", "run", call, "wasm-call descend(4)"];
    let answers = Session::new("abilities/c-O0", 2).run_lldb(&commands);
    for nth in [0, 1] {
        answers.assert_contains(call, nth, &["(unsigned int) 6"]);
    }
    answers.assert_contains("wasm-call descend(4)", 0, &["= 10"]);
    // lldb tells nobody when it ends: a file would stay behind.
    answers.assert_contains(text, 0, &["/proc/self/fd/"]);
}

/// The optimizer made functions without results of them; their source has one.
#[test]
fn a_result_that_was_removed_is_not_shown() {
    let removed = ["unused", "unused_fraction", "known", "known_structure"];
    let breaks = removed.map(|name| format!("breakpoint set --one-shot true --name {name}"));
    let mut commands: Vec<&str> = breaks.iter().map(String::as_str).collect();
    commands.push("breakpoint set --name kept");
    for nth in 0..=removed.len() {
        commands.extend([if nth == 0 { "run" } else { "continue" }, "finish"]);
    }
    for level in [0, 2] {
        let answers = Session::new("removed/removed", level).invoke("run").run_lldb(&commands);
        let finished = answers.to("finish");
        for (answer, name) in finished.iter().zip(removed) {
            assert!(answer.contains("stop reason = step out") && !answer.contains("Return value"), "{name}: {answer}");
        }
        assert!(finished[removed.len()].contains("Return value: (int) $0 = 39"), "{}", answers.transcript());
    }
}

/// A pointer in memory is a structure to lldb, with casts as a pointer has them.
#[test]
fn pointers_in_memory_are_cast_and_read_as_arrays() {
    let commands = [
        "breakpoint set --name list_sum",
        "run",
        "p (long)list->next == (long)&*list->next",
        "p (unsigned)list->next->next->next",
        "p (char *)list->next->name",
        "p *(int *)list->next == *(int *)&list->next->name",
        "p list->next && !list->next->next",
        "parray 2 list->corners",
        "parray 5 list->next->name",
        "parray 1 list",
        "p add",
        "p &multiply",
        "v operations",
        "p operations[0] == operations[1]",
    ];
    for level in [0, 2] {
        let answers = Session::new("records/records", level).run_lldb(&commands);
        let is = |command: &str, parts: &[&str]| answers.assert_contains(command, 0, parts);
        is(commands[2], &["(bool) true"]);
        is(commands[3], &["(unsigned int) 0"]);
        is(commands[4], &["(char *) 0x", "\"second\""]);
        is(commands[5], &["(bool) true"]);
        is(commands[6], &["(bool) false"]);
        is(commands[7], &["[0] = (x = 333, y = 333)", "[1] = (x = 334, y = 332)"]);
        is(commands[8], &["[0] = 's'", "[4] = 'n'"]);
        is(commands[9], &["[0] = {", "value = 333"]);
        is("p add", &["(int (*)(int, int)) 0x", "`add at main.c:46)"]);
        is("p &multiply", &["(int (*)(int, int)) 0x", "`multiply at main.c:52)"]);
        is("v operations", &["`add at main.c:46)", "`multiply at main.c:52)"]);
        is(commands[13], &["(bool) false"]);
    }
}
