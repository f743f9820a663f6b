//! The program itself: exit status, streams, help.

use std::io::Read as _;
use std::process::{Command, Output, Stdio};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wasm-objdump")).args(arguments).output().unwrap()
}

#[test]
fn h_is_headers_and_help_is_help() {
    let headers = run(&["-h", &fixture("switch.wasm")]);
    assert!(headers.status.success());
    assert!(String::from_utf8_lossy(&headers.stdout).contains("Code start="));
    let help = run(&["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("Examples:") && help.contains("wasm-objdump --verify program.elf"), "{help}");
}

#[test]
fn something_must_be_asked_for() {
    let output = run(&[&fixture("switch.wasm")]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--headers"));
}

#[test]
fn a_missing_file_is_named_and_the_others_are_shown() {
    let output = run(&["-h", "/nonexistent/file.wasm", &fixture("switch.wasm")]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("/nonexistent/file.wasm: cannot read the file: No such file"), "{error}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Code start="));
}

/// Of what never ends, no more is read than tells that it cannot be shown.
#[test]
fn what_never_ends_is_refused() {
    let output = run(&["-h", "/dev/zero"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("/dev/zero: neither a wasm module nor an ELF file: starts with 00000000"), "{error}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wasm-objdump"))
        .args(["--dwarf", "-d", "-s", "-x", &fixture("switch.wasm"), &fixture("switch.wasm"), &fixture("switch.o")])
        .args([fixture("switch.wasm"), fixture("switch.wasm"), fixture("switch.wasm"), fixture("switch.wasm")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 16];
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn colour_is_for_terminals_or_when_asked_for() {
    let plain = run(&["-d", &fixture("switch.wasm")]);
    assert!(!plain.stdout.contains(&0x1b));
    let coloured = run(&["-d", "--colour", &fixture("switch.wasm")]);
    assert!(coloured.stdout.contains(&0x1b));
}

#[test]
fn verification_decides_the_exit_status() {
    assert!(run(&["--verify", &fixture("switch.elf")]).status.success());
    let mut bytes = std::fs::read(fixture("switch.elf")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1; // in the section headers' alignment or size: the hash covers all
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    assert_eq!(run(&["--verify", &file.path().to_string_lossy()]).status.code(), Some(1));
}

#[test]
fn two_builds_are_compared() {
    let same = run(&["--diff", &fixture("switch.elf"), &fixture("switch.elf")]);
    let same = String::from_utf8_lossy(&same.stdout).into_owned();
    assert!(same.contains("0 functions differ"), "{same}");
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (dir.path().join("a.wasm"), dir.path().join("b.wasm"));
    let module = |constant: u32, extra: &str| {
        wat::parse_str(format!(
            "(module (func $same i32.const 1 drop) (func $f (result i32) i32.const 1 i32.const {constant} i32.add) {extra})"
        ))
        .unwrap()
    };
    std::fs::write(&before, module(2, "")).unwrap();
    std::fs::write(&after, module(3, "(func $new)")).unwrap();
    let output = run(&["--diff", &before.to_string_lossy(), &after.to_string_lossy()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("<f>: changed"), "{text}");
    assert!(text.contains("- i32.const 2") && text.contains("+ i32.const 3"), "{text}");
    assert!(text.contains("<new>: only after"), "{text}");
    assert!(text.contains("2 functions differ, 1 are the same"), "{text}");
}
