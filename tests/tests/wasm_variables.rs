//! `--wasm-variables`: the wasm's own locals, globals and operand stack beside the variables of the source.
//!
//! What each local is, is said by the modules' own debug info and code (`llvm-dwarfdump`, `wasm-objdump -d`): in
//! `factorial` without optimization, local 3 is the frame base and holds the stack pointer, which is global 0; in the optimized
//! `main`, local 2 does, and local 5 is the `it` of the inlined `list_sum`.

use tests::Session;

fn session(program: &str, level: u8) -> Session {
    Session::new(program, level).options(&["--wasm-variables"])
}

#[test]
fn gdb_reads_what_the_wasm_has() {
    for level in [0, 2] {
        let answers = session("records/records", level).run(&[
            "break factorial",
            "run",
            "print n",
            "print __wasm_local0",
            "print __wasm_local3 == __wasm_global0",
            "print (int)&n - __wasm_local3",
            "info locals",
            "continue",
            "print __wasm_local0",
            "print __wasm_local3 == __wasm_global0",
            "up",
            "print __wasm_local0",
            "print __wasm_local3 - __wasm_global0",
        ]);
        answers.assert_values(&[
            ("print n", "4"),
            ("print __wasm_local3 == __wasm_global0", "1"),
            ("print (int)&n - __wasm_local3", "8"),
            ("print __wasm_local3 - __wasm_global0", "16"),
        ]);
        // The second is that of the inner frame, the third that of the outer one.
        assert_eq!(answers.values("print __wasm_local0"), ["4", "3", "4"]);
        assert_eq!(answers.values("print __wasm_local3 == __wasm_global0"), ["1", "1"]);
        answers.assert_contains("info locals", 0, &["rest = ", "__wasm_local1 = ", "__wasm_stack0 = "]);
    }
}

#[test]
fn gdb_reads_locals_that_hold_variables_of_optimized_code() {
    for level in [0, 2] {
        let answers = session("records/records-O2", level).run(&[
            "break list_sum",
            "run",
            "print (int)it",
            "up",
            "print __wasm_local5 == (int)head",
            "print __wasm_local2 == __wasm_global0",
            "print sizeof(__wasm_local13)",
        ]);
        answers.assert_values(&[
            ("print __wasm_local5 == (int)head", "1"),
            ("print __wasm_local2 == __wasm_global0", "1"),
            ("print sizeof(__wasm_local13)", "8"),
        ]);
        answers.assert_contains("up", 0, &["main (argc=1"]);
    }
}

#[test]
fn lldb_reads_what_the_wasm_has() {
    for (program, level) in [("records/records", 0), ("records/records", 2)] {
        let answers = session(program, level).run_lldb(&[
            "breakpoint set -n factorial",
            "run",
            "frame variable __wasm_local0 __wasm_global0",
            "expression __wasm_local3 == __wasm_global0",
            "frame variable",
            "settings set target.display-runtime-support-values true",
            "frame variable",
        ]);
        answers.assert_contains("frame variable __wasm_local0 __wasm_global0", 0, &["__wasm_local0 = 4"]);
        answers.assert_contains("expression __wasm_local3 == __wasm_global0", 0, &["true"]);
        let [without, with] = answers.to("frame variable")[..] else { panic!("two answers") };
        assert!(without.contains("n = 4") && !without.contains("__wasm_"), "artificial variables are shown: {without}");
        assert!(with.contains("n = 4") && with.contains("__wasm_local19 = "), "{with}");
    }
}

#[test]
fn rust_has_them_too() {
    let answers = session("inventory/inventory", 2).run(&["break inventory::main", "run", "print __wasm_local0 + 0"]);
    answers.assert_contains("print __wasm_local0 + 0", 0, &["$1 = "]);
}

#[test]
fn nobody_has_them_who_has_not_asked() {
    let answers = Session::new("records/records", 2).run(&["break factorial", "run", "info locals"]);
    assert!(!answers.to("info locals")[0].contains("__wasm_"));
}
