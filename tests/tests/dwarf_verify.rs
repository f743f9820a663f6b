//! The artifact's DWARF, read by llvm-dwarfdump: no error where the input has none.

use std::fs;
use std::path::Path;

use tests::{compile, programs, tool};

/// How many errors `llvm-dwarfdump --verify` finds, and what it says.
fn verify(path: &Path) -> (usize, String) {
    let output = tool("llvm-dwarfdump-19", "llvm-19")
        .args(["--verify", "--error-display=full"])
        .arg(path)
        .output()
        .expect("llvm-dwarfdump starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let errors = text.lines().filter(|line| line.starts_with("error:")).count();
    assert!(output.status.success() || errors > 0, "llvm-dwarfdump failed without an error: {text}");
    (errors, text)
}

#[test]
fn emitted_dwarf_verifies_where_the_input_does() {
    let scratch = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for program in [
        "records/records",
        "records/records-O2",
        "records/records-clang14",
        "records/records-zig",
        "shapes/shapes",
        "inventory/inventory",
        "trap/trap",
    ] {
        let input = programs().join(format!("{program}.wasm"));
        let (before, _) = verify(&input);
        for level in ["0", "2"] {
            let artifact = scratch.path().join("program.elf");
            compile(&input, &["--opt-level", level], &artifact);
            let units = tool("llvm-dwarfdump-19", "llvm-19")
                .args(["--debug-info", "--recurse-depth=0"])
                .arg(&artifact)
                .output()
                .unwrap();
            let units = String::from_utf8_lossy(&units.stdout).matches("Compile Unit:").count();
            assert!(units > 0, "{program}: the artifact has no DWARF");
            let (after, text) = verify(&artifact);
            assert!(after <= before, "{program} at level {level}: {before} errors before, {after} after\n{text}");
            checked += usize::from(before == 0);
            fs::remove_file(&artifact).unwrap();
        }
    }
    assert!(checked >= 8, "too few inputs without errors to say anything");
}
