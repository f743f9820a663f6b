//! A trap under gdb and lldb: the session stops at the guilty source line, before anything is torn down, with the caller's
//! frames, and the trap is named.

use artifact::TrapCode;
use tests::{Session, at, line};

const SOURCE: &str = "trap/main.c";

/// (argument, signal, the line that traps, which trap it is, frames that must be in the backtrace)
const TRAPS: &[(&str, &str, &str, &str, [&str; 2])] = &[
    (
        "memory",
        "SIGSEGV",
        "return *wild;",
        "out of bounds memory access at wasm address 0xfffffff0",
        ["out_of_bounds", "trap"],
    ),
    ("fill", "SIGILL", "memset((void *)wild, 0, length);", "out of bounds memory access", ["clear", "trap"]),
    ("unreachable", "SIGILL", "__builtin_trap();", "wasm `unreachable` instruction executed", ["trap", "main"]),
    ("signature", "SIGILL", "return wrong();", "indirect call type mismatch", ["trap", "main"]),
    ("divide", "SIGILL", "return value / zero;", "integer divide by zero", ["divide", "average"]),
];

#[test]
fn a_trap_stops_at_its_source_line() {
    for level in [0, 2] {
        for (kind, signal, text, trap, [function, caller]) in TRAPS {
            let session = || Session::new("trap/trap", level).arguments(&[kind]);
            let named = format!("wasm trap: {trap}");
            let place = format!("main.c:{}", line(SOURCE, text));
            let answers = session().run(&["run", "bt 4", "wasm trap", "continue"]);
            answers.assert_contains("run", 0, &[signal, &place, text, &named]);
            answers.assert_contains("bt 4", 0, &["#0 ", function, &format!(" {caller} (")]);
            answers.assert_contains("wasm trap", 0, &[&named]);
            // The engine then reports the trap in its own way and ends as it does without a debugger.
            answers.assert_contains("continue", 0, &["exited with code 0206"]);

            let answers = session().run_lldb(&["run", "bt 4", "wasm-trap"]);
            answers.assert_contains("run", 0, &[signal, &place, text]);
            answers.assert_contains("bt 4", 0, &["frame #0", function, &format!("{caller}(")]);
            answers.assert_contains("wasm-trap", 0, &[&named]);
            // lldb says what its stop hooks say by itself, outside the answers.
            assert_eq!(answers.transcript().matches(&named).count(), 2, "{}", answers.transcript());
        }
    }
}

/// What waits and wakes is a function of the host's; the trap is the guest's.
#[test]
fn atomic_operations_trap_at_their_line() {
    const SOURCE: &str = "atomics/main.c";
    let traps: [(&str, &str, &str, &str); 8] = [
        ("atomics", "0", "wait32(at, 1, 0);", "unaligned atomic"),
        ("atomics", "1", "wait32(at, 1, 0);", "out of bounds memory access"),
        ("atomics", "2", "wait64(at, 1, 0);", "unaligned atomic"),
        ("atomics", "3", "notify(at, 1);", "unaligned atomic"),
        ("atomics", "4", "notify(at, 1);", "out of bounds memory access"),
        ("atomics", "5", "load_n(at, __ATOMIC_SEQ_CST);", "unaligned atomic"),
        ("atomics", "6", "load_n(at, __ATOMIC_SEQ_CST);", "out of bounds memory access at wasm address 0xfffff000"),
        ("unshared", "8", "wait32(at, 1, 0);", "atomic wait on non-shared memory"),
    ];
    for level in [0, 2] {
        for (program, which, text, trap) in traps {
            let session = || Session::new(&format!("atomics/{program}"), level).invoke("run").arguments(&[which]);
            let (place, named) = (format!("main.c:{}", line(SOURCE, text)), format!("wasm trap: {trap}"));
            let answers = session().run(&["run", "bt 2", "continue"]);
            answers.assert_contains("run", 0, &[&place, text, &named]);
            answers.assert_contains("bt 2", 0, &["#0 ", "at=0x", "#1 ", " in run (which="]);
            answers.assert_contains("continue", 0, &["exited with code 0206"]);
            let answers = session().run_lldb(&["run", "wasm-trap"]);
            answers.assert_contains("run", 0, &[&place, text]);
            answers.assert_contains("wasm-trap", 0, &[&named]);
        }
        let answers = Session::new("atomics/atomics", level).invoke("run").arguments(&["7"]).run(&["run"]);
        answers.assert_contains("run", 0, &["exited normally"]);
    }
}

#[test]
fn the_helpers_know_the_names_of_traps() {
    for helpers in [debugger_support::gdb_helpers(), debugger_support::lldb_helpers()] {
        for trap in TrapCode::ALL {
            let entry = format!("    {}: \"{trap}\",\n", *trap as u8);
            assert!(helpers.contains(&entry), "{trap}");
        }
    }
}

#[test]
fn inlined_frames_are_frames() {
    let place = format!("break {}", at(SOURCE, "return value / zero;"));
    for level in [0, 2] {
        let commands = [
            &place,
            "run",
            "bt",
            "p value",
            "info frame",
            "up",
            "p total",
            "p scaled",
            "up",
            "x/s kind",
            "delete",
            "continue",
            "bt",
        ];
        let answers = Session::new("trap/trap", level).arguments(&["divide"]).run(&commands);
        answers.assert_contains(
            "bt",
            0,
            &["#0  divide (value=42)", "#1  average (total=21)", "#2  trap (kind=0x", " main ("],
        );
        answers.assert_contains("info frame", 0, &["inlined into frame 1"]);
        answers.assert_contains("up", 0, &["average (total=21)", "return divide(scaled);"]);
        answers.assert_contains("up", 1, &["trap (kind=0x", "return average(21);"]);
        answers.assert_values(&[("p value", "42"), ("p total", "21"), ("p scaled", "42")]);
        answers.assert_contains("x/s kind", 0, &["\"divide\""]);
        answers.assert_contains("continue", 0, &["SIGILL", "divide (value=42)"]);
        // The trapping instruction lies apart, and is the first one of the inlined function there.
        answers.assert_contains("bt", 1, &["#0  0x", " in divide (value=42)", "#1  average (total=21)"]);
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
