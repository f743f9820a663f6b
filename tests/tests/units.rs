//! Both debuggers on a program of two units: what one has of the other's classes, what the linker drops, templates, overloaded and
//! virtual functions, pointers to functions, addresses of what references lead to.

use tests::{Session, at, line, normalized};

const SOURCE: &str = "units/main.cc";

fn session(level: u8) -> Session {
    Session::new("units/units", level).invoke("run")
}

#[test]
fn gdb_has_pointers_to_all_that_objects_can_be() {
    let commands = [
        "break look",
        "run",
        "p &money",
        "p (&money)->cents",
        "p *&name",
        "p *&counter",
        "p &name == &*&name",
        "p *(char **) nodes",
        "p ((char **) nodes)[2]",
        "p *(int **) &nodes",
        "p sizeof(int ***)",
        "p unused_number",
        "p Money::made",
    ];
    let calls = [
        "p part->which()",
        "set trace-commands on",
        "p part->which()",
        "set trace-commands off",
        "set print demangle off",
        "p part->which()",
    ];
    for level in [0, 2] {
        let answers = session(level).run(&commands);
        answers.assert_values(&[
            ("p &money", "(const Money *) 0x?"),
            ("p (&money)->cents", "5"),
            ("p *&name", "0x? \"lamp\""),
            ("p *&counter", "0"),
            ("p &name == &*&name", "true"),
            ("p *(char **) nodes", "0x? \"first\""),
            ("p ((char **) nodes)[2]", "0x? \"second\""),
            ("p *(int **) &nodes", "(int *) 0x?"),
            ("p sizeof(int ***)", "4"),
            ("p unused_number", "<optimized out>"),
            ("p Money::made", "<optimized out>"),
        ]);
        if !tests::gdb_calls_functions() {
            continue;
        }
        let answers = session(level).run(&[&["break look", "run"], &calls[..]].concat());
        // The overrider is a base's, and its name is found whatever gdb says of itself.
        for nth in 0..3 {
            answers.assert_contains("p part->which()", nth, &["= 3"]);
        }
    }
}

#[test]
fn gdb_shows_arrays_of_one_element_as_results() {
    for level in [0, 2] {
        let answers = session(level).run(&["break only", "run", "finish"]);
        answers.assert_contains("finish", 0, &["Value returned is $", "= {numbers = {8}}"]);
    }
}

/// At the index itself lies the guest's memory.
#[test]
fn gdb_breaks_through_pointers_to_functions() {
    let commands =
        ["break look", "run", "x/2xb 1", "break *nodes->twist if 1 == 1", "x/2xb 1", "continue", "info breakpoints"];
    let answers = session(2).run(&commands);
    answers.assert_contains("break *nodes->twist if 1 == 1", 0, &["the index of a function", "Breakpoint 3 at 0x"]);
    let memory = answers.to("x/2xb 1");
    assert_eq!(memory[0], memory[1], "no breakpoint was written there");
    answers.assert_contains("continue", 0, &["twice (", &format!(":{}", line(SOURCE, "int twice(int x)"))]);
    let all = answers.to("info breakpoints")[0];
    assert!(!all.contains("\n2 ") && all.contains("\n3 "), "{all}");
}

/// gdb disables those that it does not find when the program is run again, before its code is there.
#[test]
fn gdb_keeps_breakpoints_from_run_to_run() {
    let dropped = format!("break {}", at(SOURCE, "return sum + nodes"));
    let commands = [
        "break run",
        "run",
        "break look",
        &dropped,
        "disable 3",
        "kill",
        "run",
        "continue",
        "continue",
        "break total",
        "condition 4 shape->layer == 3",
        "run",
        "continue",
    ];
    let answers = session(2).run(&commands);
    let stops = answers.to("continue");
    assert!(stops[0].contains("Breakpoint 2, look ("), "{}", stops[0]);
    assert!(stops[1].contains("exited normally"), "{}", stops[1]);
    assert!(stops[2].contains("Breakpoint 4, total ("), "{}", stops[2]);
}

#[test]
fn lldb_knows_classes_that_the_unit_only_declares() {
    let commands = [
        "breakpoint set --name total",
        "run",
        "v *shape",
        "v shape->layer shape->id",
        "p shape->id",
        "up",
        "v circle",
        "p circle.id",
    ];
    for level in [0, 2] {
        let answers = session(level).run_lldb(&commands);
        let said = |command: &str| normalized(answers.to(command)[0]);
        assert!(said("v *shape").contains("layer = 3, id = 7"), "{}", said("v *shape"));
        assert!(said("v shape->layer shape->id").contains("shape->id = 7"));
        assert!(said("p shape->id").contains(" 7"), "{}", said("p shape->id"));
        assert!(said("v circle").contains("layer = 3, id = 7"), "{}", said("v circle"));
        assert!(said("p circle.id").contains(" 7"), "{}", said("p circle.id"));
    }
}

#[test]
fn lldb_finds_functions_by_plain_and_linkage_names() {
    let commands = [
        "breakpoint set --name run",
        "run",
        "breakpoint set --name biggest",
        "breakpoint set --method as",
        "breakpoint set --fullname overload(int)",
        "breakpoint set --name _Z8overloadd",
        "image lookup --symbol _Z6thricei",
    ];
    let answers = session(2).run_lldb(&commands);
    for (command, found) in [
        ("breakpoint set --name biggest", "int biggest<int>(int, int)"),
        ("breakpoint set --method as", "double Box::as<double>() const"),
        ("breakpoint set --fullname overload(int)", "overload(int)"),
        ("breakpoint set --name _Z8overloadd", "overload(double)"),
        ("image lookup --symbol _Z6thricei", "thrice(int)"),
    ] {
        let answer = answers.to(command)[0];
        assert!(answer.contains(found) && !answer.contains("no locations"), "{command}: {answer}");
    }
}

#[test]
fn lldb_calls_the_function_that_is_meant() {
    let commands = [
        "breakpoint set --name look",
        "run",
        "wasm-call overload(1)",
        "wasm-call overload(2.25)",
        "up",
        "wasm-call twice(nodes[1].name[0])",
        "p total(&circle)",
    ];
    let answers = session(2).run_lldb(&commands);
    for (command, value) in [
        ("wasm-call overload(1)", "(int) $? = 2"),
        ("wasm-call overload(2.25)", "(double) $? = 2.75"),
        ("wasm-call twice(nodes[1].name[0])", " = 230"),
        ("p total(&circle)", "(int) 12"),
    ] {
        let answer = normalized(answers.to(command)[0]);
        let answer = ["$0", "$1", "$2", "$3", "$4", "$5"].iter().fold(answer, |text, name| text.replace(name, "$?"));
        assert!(answer.contains(value), "{command}: {answer}");
    }
}
