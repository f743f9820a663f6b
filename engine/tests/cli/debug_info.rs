//! Debug info that is broken: the program runs, and one line says what was lost.

use crate::{Ended, Folder, bundled, run};
use std::ffi::OsStr;
use std::path::Path;

/// The sections of a wasm file: number, name of a custom section, contents (behind the name).
fn sections(wasm: &[u8]) -> Vec<(u8, String, Vec<u8>)> {
    let mut sections = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.unwrap();
        if let wasmparser::Payload::CustomSection(section) = &payload {
            sections.push((0, section.name().to_owned(), section.data().to_vec()));
        } else if let Some((number, range)) = payload.as_section() {
            sections.push((number, String::new(), wasm[range].to_vec()));
        }
    }
    sections
}

fn assemble(sections: &[(u8, String, Vec<u8>)]) -> Vec<u8> {
    fn leb(mut value: usize, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    for (number, name, contents) in sections {
        let mut body = Vec::new();
        if *number == 0 {
            leb(name.len(), &mut body);
            body.extend(name.bytes());
        }
        body.extend(contents);
        wasm.push(*number);
        leb(body.len(), &mut wasm);
        wasm.extend(body);
    }
    wasm
}

/// The bundled program with its section `name` changed.
fn with_section(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut sections = sections(&std::fs::read(bundled("records/records.wasm")).unwrap());
    let section = sections.iter_mut().find(|section| section.1 == name).expect("the program has debug info");
    change(&mut section.2);
    assemble(&sections)
}

fn run_g(path: &Path) -> Ended {
    run([OsStr::new("run"), OsStr::new("-g"), path.as_os_str()])
}

const OUTPUT: &str = "hello, wasm: 360 1780 24 (205,-3) green 7 desserts -0.083 -9223372036854721487 -96 2\n";

/// Whatever a module names, no pipe is waited for and no device is read.
#[test]
fn debug_info_in_what_is_no_file_is_not_found() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for named in [pipe.as_path(), Path::new("/dev/zero")] {
        let mut program = sections(&std::fs::read(bundled("records/records.wasm")).unwrap());
        program.retain(|section| !section.1.starts_with(".debug_"));
        let name = named.to_str().unwrap();
        let contents = [&[name.len() as u8], name.as_bytes()].concat();
        program.push((0, "external_debug_info".to_owned(), contents));
        let path = folder.file("external.wasm", assemble(&program));
        let ended = run(["run", "-g", "--timeout", "60s", path.to_str().unwrap()]);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), OUTPUT), "{}", ended.stderr);
        let expected = format!("the debug info is in the file `{name}`, which was not found");
        assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    }
}

#[test]
fn reassembling_changes_nothing() {
    let wasm = std::fs::read(bundled("records/records.wasm")).unwrap();
    let folder = Folder::new();
    let path = folder.file("same.wasm", assemble(&sections(&wasm)));
    run_g(&path).says(OUTPUT);
}

#[test]
fn debug_info_cut_in_the_middle_is_said_in_one_line() {
    let folder = Folder::new();
    for name in [".debug_info", ".debug_line", ".debug_abbrev"] {
        let path = folder.file("cut.wasm", with_section(name, |contents| contents.truncate(contents.len() / 2)));
        let ended = run_g(&path);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), OUTPUT), "{name}");
        assert_eq!(ended.stderr.lines().count(), 1, "{name}: {}", ended.stderr);
        assert!(
            ended.stderr.starts_with("warning: ") && ended.stderr.contains("broken debug info"),
            "{}",
            ended.stderr
        );
        // Without -g nobody asked.
        run([OsStr::new("run"), path.as_os_str()]).says(OUTPUT);
    }
}

#[test]
fn rubbish_for_debug_info_does_not_stop_a_program() {
    let folder = Folder::new();
    for name in [".debug_info", ".debug_line", ".debug_abbrev", ".debug_str", ".debug_ranges", ".debug_loc"] {
        for seed in 1..4_u64 {
            let rubbish = |contents: &mut Vec<u8>| {
                let mut state = seed;
                for byte in contents {
                    // Knuth's MMIX generator.
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    *byte = (state >> 33) as u8;
                }
            };
            let path = folder.file("rubbish.wasm", with_section(name, rubbish));
            let ended = run_g(&path);
            assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), OUTPUT), "{name}, {seed}: {}", ended.stderr);
        }
    }
}

/// What `wasm-opt` leaves: all addresses are 0.
#[test]
fn debug_info_without_addresses_is_explained() {
    use gimli::write::{Address, AttributeValue, DwarfUnit, EndianVec, Sections};
    let encoding = gimli::Encoding { address_size: 4, format: gimli::Format::Dwarf32, version: 4 };
    let mut dwarf = DwarfUnit::new(encoding);
    let root = dwarf.unit.root();
    dwarf.unit.get_mut(root).set(gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(0)));
    for name in ["one", "two", "three"] {
        let function = dwarf.unit.add(root, gimli::DW_TAG_subprogram);
        let entry = dwarf.unit.get_mut(function);
        entry.set(gimli::DW_AT_name, AttributeValue::String(name.into()));
        entry.set(gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(0)));
        entry.set(gimli::DW_AT_high_pc, AttributeValue::Udata(0));
    }
    let mut written = Sections::new(EndianVec::new(gimli::LittleEndian));
    dwarf.write(&mut written).unwrap();
    let mut sections = sections(&wat::parse_str(r#"(module (func (export "_start")))"#).unwrap());
    written
        .for_each(|id, contents| -> gimli::write::Result<()> {
            sections.push((0, id.name().to_owned(), contents.slice().to_vec()));
            Ok(())
        })
        .unwrap();
    let folder = Folder::new();
    let ended = run_g(&folder.file("zeroed.wasm", assemble(&sections)));
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("address 0") && ended.stderr.contains("wasm-opt"), "{}", ended.stderr);
}
