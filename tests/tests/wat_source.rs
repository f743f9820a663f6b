//! A module without debug info is debugged in its own text, by both debuggers.

use tests::Session;

const COMMANDS: &[&str] = &["break square", "run", "next", "next", "next", "next", "next", "next", "next", "bt"];

fn commands<'a>(tail: &[&'a str]) -> Vec<&'a str> {
    COMMANDS.iter().chain(tail).copied().collect()
}

#[test]
fn gdb_steps_by_operator_and_reads_locals_globals_and_the_operand_stack() {
    for level in [0, 2] {
        let answers = Session::new("text/text", level).run(&commands(&[
            "print x",
            "print y",
            "print counter",
            "print global1",
            "print stack0",
            "up",
        ]));
        answers.assert_contains("run", 0, &["square (x=12)", "local.get $x"]);
        answers.assert_contains("next", 1, &["i32.mul"]);
        answers.assert_contains("next", 6, &["f64.const 0x1.4p+1"]);
        answers.assert_contains("bt", 0, &["#0  square (x=12)", "#1 ", "wasm_function_1 ()"]);
        answers.assert_values(&[
            ("print x", "12"),
            ("print y", "5"),
            ("print counter", "7"),
            ("print global1", "99"),
            ("print stack0", "151"),
        ]);
        answers.assert_contains("up", 0, &["call $square"]);
    }
}

#[test]
fn lldb_steps_by_operator_and_reads_locals_and_globals() {
    let answers = Session::new("text/text", 2).run_lldb(&[
        "breakpoint set -n square",
        "run",
        "next",
        "next",
        "next",
        "frame variable x stack0",
        "target variable counter",
        "bt",
    ]);
    answers.assert_contains("next", 2, &["-> 14", "global.get $counter"]);
    answers.assert_contains("frame variable x stack0", 0, &["x = 12", "stack0 = 144"]);
    answers.assert_contains("target variable counter", 0, &["counter = 7"]);
    answers.assert_contains("bt", 0, &["square(x=12) at text.wasm.wat:14", "wasm_function_1 at text.wasm.wat:25"]);
}
