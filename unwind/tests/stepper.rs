//! The run-time checker on a program that this crate brings along.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[path = "../examples/compiled.rs"]
mod compiled;

use std::process::{Command, Output};

const ARGUMENTS: &str = "COMPILED_ARGUMENTS";

/// Not a test of its own: what the stepper is told to run is this very executable, with this chosen.
#[test]
#[ignore = "run by the other tests"]
fn tracee() {
    let arguments = std::env::var(ARGUMENTS).unwrap();
    compiled::run(arguments.split(' ').map(|argument| argument.parse().unwrap()));
}

fn step_check(max_steps: u64, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_step-check"))
        .args(["--max-steps", &max_steps.to_string(), "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "tracee", "--nocapture"])
        .env(ARGUMENTS, arguments)
        .output()
        .unwrap()
}

/// The number before a word in the summary.
fn count(output: &str, word: &str) -> u64 {
    let summary = output.lines().last().unwrap_or_default();
    let at = summary.find(word).unwrap_or_else(|| panic!("no {word} in {output}"));
    summary[..at].trim_end().rsplit([' ', ';']).next().unwrap().parse().unwrap()
}

#[test]
fn every_row_is_right_where_it_executes() {
    let (mut tail_calls, mut host_calls, mut deepest) = (0, 0, 0);
    for seed in ["3", "9", "12", "21"] {
        let output = step_check(100_000, &format!("{seed} 60 8 10"));
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stdout}{stderr}");
        assert_eq!(count(&stdout, "wrong"), 0);
        tail_calls += count(&stdout, "tail calls");
        host_calls += count(&stdout, "host calls");
        deepest = deepest.max(count(&stdout, "frames deep"));
    }
    assert!(tail_calls > 100 && host_calls > 10 && deepest >= 4, "{tail_calls} {host_calls} {deepest}");
}

#[test]
fn a_corrupted_table_is_found_out() {
    // The fifth argument adds one to an operand of the first function's entry: the offset of the CFA
    // after `push rbp`, and the slot of rbp.
    for corruption in ["1", "2"] {
        let output = step_check(100_000, &format!("9 60 8 10 {corruption}"));
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stdout}");
        assert!(count(&stdout, "wrong") > 0);
    }
}
