//! A trap under gdb: the session stops at the guilty source line, before anything is torn down, with the caller's frames.

use tests::{Session, line};

const SOURCE: &str = "trap/main.c";

/// (argument, signal, the line that traps, what `wasm trap` says, a frame that must be in the backtrace)
const TRAPS: &[(&str, &str, &str, &str, &str)] = &[
    ("divide", "SIGILL", "return value / zero;", "unreachable or a failed check", "average"),
    ("memory", "SIGSEGV", "return *wild;", "out of bounds memory access at wasm address 0xfffffff0", "trap"),
    ("unreachable", "SIGILL", "__builtin_trap();", "unreachable or a failed check", "main"),
    ("signature", "SIGILL", "return wrong();", "unreachable or a failed check", "main"),
];

#[test]
fn a_trap_stops_at_its_source_line() {
    for level in [0, 2] {
        for (kind, signal, text, trap, caller) in TRAPS {
            let answers =
                Session::new("trap/trap", level).arguments(&[kind]).run(&["run", "bt", "wasm trap", "continue"]);
            answers.assert_contains("run", 0, &[signal, &format!("main.c:{}", line(SOURCE, text)), text]);
            answers.assert_contains("bt", 0, &["#0 ", caller, " main (argc=2, argv=0x"]);
            answers.assert_contains("wasm trap", 0, &[trap]);
            // The engine then reports the trap in its own way and ends as it does without a debugger.
            answers.assert_contains("continue", 0, &["exited with code 0206"]);
        }
    }
}

#[test]
fn inlined_frames_are_frames() {
    for level in [0, 2] {
        let answers = Session::new("trap/trap", level).arguments(&["divide"]).run(&[
            "run",
            "bt",
            "up",
            "info frame",
            "up",
            "info args",
        ]);
        answers.assert_contains(
            "bt",
            0,
            &["#0  ", "divide (value=", "#1 ", "average (total=21)", "#2 ", "trap (kind="],
        );
        answers.assert_contains("up", 0, &["average (total="]);
        answers.assert_contains("info frame", 0, &["inlined into frame 2"]);
        answers.assert_contains("up", 1, &["trap (kind="]);
    }
}

#[test]
fn the_state_of_the_identity_map_is_told() {
    let answers = Session::new("records/records", 2).run(&["wasm memory", "break main", "run", "wasm memory"]);
    answers.assert_contains("wasm memory", 0, &["The program is not being run."]);
    answers.assert_contains(
        "wasm memory",
        1,
        &["memory 0: 128 KiB at 0x", "identity map: wasm addresses 0x", " to 0x20000"],
    );
}
