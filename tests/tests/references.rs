//! References to host values and to functions are variables as any other, with an address and a count.

use tests::{Answers, Session};

/// A program whose export `keep` is called with a host value: `count` then has four references to it, of its caller's
/// argument, the activations table, a table and a global (in C, two elements of a table).
fn session(program: &str, level: u8) -> Session {
    Session::new(program, level).invoke("keep").arguments(&["text"])
}

/// The address that a debugger gave for a variable; it must be the same in each of the answers.
fn address<'a>(answers: &'a Answers, commands: &[&str]) -> &'a str {
    let mut found = None;
    for command in commands {
        let answer = answers.to(command)[0];
        let at = answer.find("0x").unwrap_or_else(|| panic!("an address in the answer to `{command}`: {answer}"));
        let end = answer[at + 2..].find(|c: char| !c.is_ascii_hexdigit()).map_or(answer.len(), |end| at + 2 + end);
        assert_eq!(*found.get_or_insert(&answer[at..end]), &answer[at..end], "`{command}`");
    }
    found.expect("a command")
}

#[test]
fn gdb_shows_references_of_the_text_format() {
    for (program, level) in [("references/keep", 0), ("references/keep", 2), ("references/keep.wat", 2)] {
        let answers = session(program, level).run(&[
            "break count",
            "run",
            "bt 2",
            "up",
            "print value",
            "print *value",
            "print copy",
            "print none",
            "print action",
            "print *action",
            "print last",
            "print/r none",
            "wasm externref value",
            "wasm externref last",
            "wasm externref none",
            "wasm externref times",
        ]);
        let value = address(&answers, &["print value", "print copy", "print last", "wasm externref value"]);
        answers.assert_contains("bt 2", 0, &[&format!("keep (value={value}, 4 references, times=3)")]);
        answers.assert_contains("print value", 0, &[&format!("{value}, 4 references")]);
        answers.assert_contains("print *value", 0, &["{count = 2, owner = 0x", "owned = 3, listed = 0x"]);
        answers.assert_contains("print none", 0, &["= null"]);
        answers.assert_contains("print/r none", 0, &["= (externref) 0x0"]);
        answers.assert_contains("print action", 0, &["<count>"]);
        answers.assert_contains("print *action", 0, &["{code = 0x", "<count>, context = 0x"]);
        answers.assert_contains("wasm externref value", 0, &["4 references", "3 of them are of the store 0x"]);
        answers.assert_contains("wasm externref last", 0, &["4 references"]);
        answers.assert_contains("wasm externref none", 0, &["null"]);
        answers.assert_contains("wasm externref times", 0, &["0x3 is no reference to a host value"]);
    }
}

/// Without optimization, clang describes such variables as if they were in memory.
#[test]
fn gdb_shows_references_of_c() {
    for (program, level) in [("references/keep-O0", 0), ("references/keep-O0", 2), ("references/keep-O2", 2)] {
        let answers = session(program, level).run(&[
            "break keep.c:8",
            "run",
            "whatis value",
            "print value",
            "print *value",
            "print again",
            "print times",
            "up",
            "print back",
        ]);
        answers.assert_contains("whatis value", 0, &["__externref_t"]);
        let value = address(&answers, &["print value", "print again"]);
        answers.assert_contains("print again", 0, &[&format!("{value}, 4 references")]);
        answers.assert_contains("print *value", 0, &["{count = 2, owner = 0x", "owned = 3, listed = 0x"]);
        answers.assert_contains("print times", 0, &["= 7"]);
        if program.ends_with("O0") {
            assert_eq!(address(&answers, &["print back"]), value);
        }
    }
}

#[test]
fn lldb_shows_references() {
    for (program, level) in [("references/keep", 0), ("references/keep.wat", 2)] {
        let answers = session(program, level).run_lldb(&[
            "breakpoint set -n count",
            "run",
            "up",
            "frame variable value copy none action",
            "frame variable copy",
            "target variable last",
            "p *value",
            "frame variable *action",
            "wasm-externref value",
            "wasm-externref none",
            "wasm-externref times",
        ]);
        let value = address(&answers, &["frame variable copy", "target variable last", "wasm-externref value"]);
        answers.assert_contains(
            "frame variable value copy none action",
            0,
            &[&format!("value = {value}, 4 references"), "none = NULL", "action = 0x", "<count>"],
        );
        answers.assert_contains("p *value", 0, &["count = 2", "owned = 3"]);
        answers.assert_contains("frame variable *action", 0, &["`count"]);
        answers.assert_contains("wasm-externref value", 0, &["4 references", "3 of them are of the store 0x"]);
        answers.assert_contains("wasm-externref none", 0, &["null"]);
        answers.assert_contains("wasm-externref times", 0, &["0x3 is no reference to a host value"]);
    }
    for (program, level) in [("references/keep-O0", 0), ("references/keep-O2", 2)] {
        let answers = session(program, level).run_lldb(&[
            "breakpoint set -f keep.c -l 8",
            "run",
            "frame variable value again times",
            "p *value",
        ]);
        answers.assert_contains(
            "frame variable value again times",
            0,
            &["(__externref_t) value = 0x", "again = 0x", "4 references", "times = 7"],
        );
        answers.assert_contains("p *value", 0, &["count = 2", "owned = 3"]);
    }
}
