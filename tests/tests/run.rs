//! `wasmscope run` on the bundled programs: output, exit status, trap backtraces, and debug information that is broken.

use std::fs;
use std::process::{Command, Output};

use tests::{Section, engine, module, programs, sections};

fn run(options: &[&str], program: &str, arguments: &[&str]) -> Output {
    Command::new(engine())
        .arg("run")
        .args(options)
        .arg(program)
        .args(arguments)
        .current_dir(programs())
        .output()
        .expect("the engine starts")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const RECORDS: &str = "hello, wasm: 360 1780 24 (205,-3) green 7 desserts -0.083 -9223372036854721487 -96 2\n";
const SHAPES: &str = "hello, shapes 45 9 121 seven 24.0 -5.0 10 2 1 114 144 42 x 0 2\n";
const INVENTORY: &str = "56 2 Some(4) None Some(\"two\") 18 Ok(1000) true 3 33 5 4 ß (1, \"pair\", 2.5) \
                         3541774862152233910272\n";

#[test]
fn programs_print_the_same_with_and_without_debug_information() {
    for (program, expected) in [
        ("records/records.wasm", RECORDS),
        ("records/records-O2.wasm", RECORDS),
        ("records/records-clang14.wasm", RECORDS),
        ("records/records-zig.wasm", RECORDS),
        ("shapes/shapes.wasm", SHAPES),
        ("inventory/inventory.wasm", INVENTORY),
    ] {
        for options in
            [&["--opt-level", "0"][..], &["--opt-level", "2"], &["-g", "--opt-level", "0"], &["-g", "--opt-level", "2"]]
        {
            let output = run(options, program, &[]);
            assert_eq!(out(&output), expected, "{program} {options:?}: {}", err(&output));
            assert!(output.status.success(), "{program} {options:?}: {}", output.status);
        }
    }
}

#[test]
fn the_guest_chooses_the_exit_status() {
    for status in [0, 1, 7, 100] {
        let output = run(&[], "trap/trap.wasm", &["none", &status.to_string()]);
        assert_eq!(output.status.code(), Some(status), "{}", err(&output));
        assert_eq!(out(&output), "no trap\n");
    }
}

#[test]
fn traps_show_kind_and_source() {
    let mut shown = String::new();
    for kind in ["divide", "memory", "fill", "convert", "signature", "table", "null", "unreachable"] {
        let mut reports = Vec::new();
        for options in
            [&["--opt-level", "0"][..], &["--opt-level", "2"], &["-g", "--opt-level", "0"], &["-g", "--opt-level", "2"]]
        {
            let output = run(options, "trap/trap.wasm", &[kind]);
            assert_eq!(output.status.code(), Some(134), "{kind} {options:?}");
            assert_eq!(out(&output), "");
            let text = err(&output);
            let start = text.find("wasm trap:").unwrap_or_else(|| panic!("{kind} {options:?} shows no trap: {text}"));
            reports.push(text[start..].to_owned());
        }
        assert!(reports.iter().all(|it| *it == reports[0]), "{kind} differs: {reports:#?}");
        shown += &format!("$ trap.wasm {kind}\n{}\n", reports[0]);
    }
    insta::assert_snapshot!("traps", shown);
}

#[test]
fn endless_recursion_is_a_trap() {
    let output = run(&[], "trap/trap.wasm", &["stack"]);
    assert_eq!(output.status.code(), Some(134));
    let text = err(&output);
    assert!(text.contains("overflow at ./trap/main.c:"), "{text}");
    assert!(text.lines().count() < 200, "the backtrace is not cut: {} lines", text.lines().count());
}

/// records.wasm with one custom section replaced.
fn damaged(name: &str, damage: impl Fn(&Section) -> Vec<u8>) -> Vec<u8> {
    let bytes = fs::read(programs().join("records/records.wasm")).unwrap();
    let mut parts = sections(&bytes);
    let section = parts.iter_mut().find(|it| it.name == name).expect("the section exists");
    section.content = damage(section);
    module(&parts)
}

#[test]
fn broken_debug_information_does_not_stop_the_program() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("damaged.wasm");
    for name in [".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_ranges"] {
        for keep in [0, 1, 2, 3] {
            let bytes = damaged(name, |it| it.content[..it.content.len() * keep / 4].to_vec());
            fs::write(&path, bytes).unwrap();
            for options in [&["-g"][..], &[]] {
                let output = run(options, path.to_str().unwrap(), &[]);
                assert_eq!(out(&output), RECORDS, "{name} cut to {keep}/4 {options:?}: {}", err(&output));
                assert!(output.status.success(), "{name} cut to {keep}/4 {options:?}: {}", err(&output));
                assert!(!err(&output).contains("panicked"), "{}", err(&output));
            }
        }
        // Noise in place of every seventh byte.
        for seed in 0u32..4 {
            let bytes = damaged(name, |it| {
                let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
                it.content
                    .iter()
                    .map(|&byte| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if (state >> 16).is_multiple_of(7) { (state >> 24) as u8 } else { byte }
                    })
                    .collect()
            });
            fs::write(&path, bytes).unwrap();
            let output = run(&["-g"], path.to_str().unwrap(), &[]);
            assert_eq!(out(&output), RECORDS, "{name} with noise {seed}: {}", err(&output));
            assert!(!err(&output).contains("panicked"), "{}", err(&output));
        }
    }
}

#[test]
fn lost_debug_information_is_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("damaged.wasm");
    fs::write(&path, damaged(".debug_info", |it| it.content[..it.content.len() / 2].to_vec())).unwrap();
    let output = run(&["-g"], path.to_str().unwrap(), &[]);
    assert!(output.status.success());
    let text = err(&output);
    assert!(text.contains("lost") && text.contains(".debug_info after"), "nothing is said of the loss: {text:?}");
}

#[test]
fn damaged_modules_are_refused_with_offset_and_reason() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("damaged.wasm");
    let whole = fs::read(programs().join("records/records.wasm")).unwrap();
    for keep in (1..60).map(|it| whole.len() * it / 200) {
        fs::write(&path, &whole[..keep]).unwrap();
        let output = run(&[], path.to_str().unwrap(), &[]);
        let text = err(&output);
        assert_eq!(output.status.code(), Some(1), "cut to {keep} bytes: {text}");
        assert!(text.starts_with("error: `") && text.contains("offset 0x"), "cut to {keep} bytes: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "cut to {keep} bytes: {text}");
    }
}
