//! Damaged files: every one gives what can be shown and an error, none a panic.

mod common;
#[path = "../../artifact/tests/sample/mod.rs"]
mod sample;

use common::{VIEWS, fixture, show};

/// Inputs of every kind. The last is an ELF file that is not an artifact.
fn inputs() -> Vec<(&'static str, Vec<u8>)> {
    let mut foreign = sample::bytes();
    let name = foreign.windows(15).position(|window| window == b".wasmscope.meta").unwrap();
    foreign[name + 11] = b'x';
    vec![
        ("operators.wasm", wat::parse_bytes(&fixture("operators.wat")).unwrap().into_owned()),
        ("switch.o", fixture("switch.o")),
        ("sample.elf", sample::bytes()),
        ("foreign.elf", foreign),
    ]
}

fn show_all(name: &str, bytes: &[u8]) {
    for view in VIEWS {
        show(name, bytes, view);
    }
}

#[test]
fn truncated_files_do_not_panic() {
    for (name, bytes) in inputs() {
        for len in (0..bytes.len()).step_by(7) {
            show_all(name, &bytes[..len]);
        }
    }
}

#[test]
fn changed_bytes_do_not_panic() {
    let mut next = 7u32;
    let mut random = |below: usize| {
        next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (next >> 4) as usize % below
    };
    for (name, bytes) in inputs() {
        for _ in 0..400 {
            let mut bytes = bytes.clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                bytes[at] = match random(4) {
                    0 => 0xff,
                    1 => 0,
                    2 => bytes[at] ^ (1 << random(8)),
                    _ => random(256) as u8,
                };
            }
            show_all(name, &bytes);
        }
    }
}

/// The DWARF of a sound artifact with one byte changed: the table of sections is sound, so that the change is reached.
#[test]
fn changed_dwarf_does_not_panic() {
    for section in 0..sample::builder().debug_sections.len() {
        for at in 0..sample::builder().debug_sections[section].bytes.len() {
            for value in [0xff, 0x80, 0x00] {
                let mut builder = sample::builder();
                builder.debug_sections[section].relocations.clear();
                builder.debug_sections[section].bytes[at] = value;
                let bytes = builder.finish().unwrap();
                for view in [&["--dwarf"], &["--verify"], &["--explain"], &["-d"]] {
                    show("sample.elf", &bytes, view);
                }
            }
        }
    }
}

/// The same for the frame table.
#[test]
fn changed_frame_tables_do_not_panic() {
    for at in 0..sample::builder().eh_frame.len() {
        for value in [0xff, 0x80, 0x00, 0x0c] {
            let mut builder = sample::builder();
            builder.eh_frame[at] = value;
            let bytes = builder.finish().unwrap();
            for view in [&["--frames"], &["--verify"], &["--explain"]] {
                show("sample.elf", &bytes, view);
            }
        }
    }
}

#[test]
fn errors_name_the_offset_and_the_reason() {
    let whole = wat::parse_bytes(&fixture("operators.wat")).unwrap().into_owned();
    let text = show("cut.wasm", &whole[..200], &["-h"]);
    assert!(text.contains("Type start="), "what comes before the damage is shown: {text}");
    let reason = "error: the module is damaged: section Code at offset 0xa8 ends beyond the file, at 0x1d7";
    assert!(text.contains(reason), "{text}");
    assert!(show("empty", b"", &["-h"]).contains("error: the file is empty"));
    let text = show("text", b"#!/bin/sh", &["-h"]);
    assert!(text.contains("neither a wasm module nor an ELF file: starts with 23212f62 at offset 0"), "{text}");
    let component = [0, b'a', b's', b'm', 13, 0, 1, 0];
    assert!(show("component", &component, &["-h"]).contains("a component; only core modules"));
    let elf = sample::bytes();
    let text = show("cut.elf", &elf[..elf.len() - 100], &["-d"]);
    assert!(text.contains("error: "), "{text}");
}

#[test]
fn a_view_that_the_file_does_not_have_says_so() {
    let module = fixture("switch.wasm");
    assert!(show("m", &module, &["--frames"]).contains("error: --frames is a view of native code"));
    let own = std::fs::read("/bin/true").unwrap();
    assert!(show("true", &own, &["--traps"]).contains("error: --traps is a view of compiled artifacts"));
}
