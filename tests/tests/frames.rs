//! The frame table where it counts: in gdb, and at every instruction that a program executes.

use std::process::{Command, Output};

use tests::{engine, package, programs, tool};

/// Standard output of a command that succeeds.
fn stdout(output: Output, what: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

/// The number before a word in the last line.
fn count(text: &str, word: &str) -> u64 {
    let line = text.lines().last().unwrap_or_default();
    let at = line.find(word).unwrap_or_else(|| panic!("no {word:?} in {text}"));
    let number = line[..at].trim_end().rsplit([' ', ';']).next().unwrap_or_default();
    number.parse().unwrap_or_else(|_| panic!("no number before {word:?} in {text}"))
}

#[test]
fn gdb_knows_the_caller_at_every_step() {
    for (program, level, steps) in [("records/records", "2", 600), ("shapes/shapes", "0", 600)] {
        let output = tool("gdb", "gdb")
            .args(["-nx", "-q", "-batch-silent", "-iex", "set auto-load no", "-x"])
            .arg(package().join("gdb/callers.py"))
            .arg("--args")
            .arg(engine())
            .args(["run", "-g", "--opt-level", level, &format!("{program}.wasm")])
            .env("CALLERS_STEPS", steps.to_string())
            .current_dir(programs())
            .output()
            .expect("gdb runs");
        let text = stdout(output, program);
        assert_eq!((count(&text, "steps,"), count(&text, "wrong,")), (steps, 0), "{text}");
        assert!(count(&text, "functions entered,") > 5, "{text}");
    }
}

#[test]
fn every_row_of_a_program_is_right_where_it_executes() {
    let stepper = engine().with_file_name("step-check");
    assert!(stepper.exists(), "{} is missing: cargo build --workspace makes it", stepper.display());
    for (program, level) in [("records/records-O2", "2"), ("trap/trap", "0")] {
        let output = Command::new(&stepper)
            .args(["--max-steps", "60000", "--"])
            .arg(engine())
            .args(["run", "-g", "--opt-level", level, &format!("{program}.wasm")])
            .args((program == "trap/trap").then_some("divide"))
            .current_dir(programs())
            .output()
            .expect("the stepper runs");
        let text = stdout(output, program);
        assert_eq!(count(&text, "wrong;"), 0, "{text}");
        assert!(count(&text, "steps,") > 1000, "{text}");
    }
}
