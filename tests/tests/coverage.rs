//! In how much of the code of optimized guests where their DWARF locates a variable the native DWARF locates it too.

use clap::Parser;
use tests::{compile, programs};
use wasm_objdump::{Arguments, run};

/// The share in percent, by a reader that shares no code with the transform.
fn coverage(program: &str, level: &str) -> f64 {
    let scratch = tempfile::tempdir().unwrap();
    let module = programs().join(format!("{program}.wasm"));
    let artifact = scratch.path().join("program.elf");
    compile(&module, &["--opt-level", level], &artifact);
    let arguments = Arguments::parse_from([
        "wasm-objdump".as_ref(),
        "--coverage".as_ref(),
        module.as_os_str(),
        artifact.as_os_str(),
    ]);
    let mut text = Vec::new();
    run(&arguments, &mut text, false).expect("the artifact can be read");
    let text = String::from_utf8(text).unwrap();
    let line =
        text.lines().find(|line| line.trim_start().starts_with("located natively")).expect("there are variables");
    line.split_whitespace().rev().nth(1).and_then(|share| share.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn variables_of_optimized_guests_are_located_nearly_everywhere() {
    for (program, least) in [
        ("records/records-O2", 99.9),
        ("optimized/optimized", 99.9),
        ("abilities/c-O2", 99.9),
        ("abilities/cxx-O2", 99.8),
        ("abilities/rust-O2", 99.6),
        ("inventory/inventory", 99.6),
    ] {
        for level in ["0", "2", "s"] {
            let share = coverage(program, level);
            assert!(share >= least, "{program} at level {level}: {share} %");
        }
    }
}
