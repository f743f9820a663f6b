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

/// Two thousand variables that share one list of two thousand locations: small in the file, four million unfolded.
#[test]
fn shared_lists_do_not_unfold_without_limit() {
    use gimli::write::{Address, AttributeValue, Dwarf, EndianVec, Expression, LineProgram, Location, LocationList};
    let encoding = gimli::Encoding { format: gimli::Format::Dwarf32, version: 5, address_size: 8 };
    let mut dwarf = Dwarf::new();
    let unit = dwarf.units.add(gimli::write::Unit::new(encoding, LineProgram::none()));
    let unit = dwarf.units.get_mut(unit);
    let address = |offset: u64| Address::Constant(artifact::TEXT_ADDRESS + offset);
    let mut register = Expression::new();
    register.op_reg(gimli::X86_64::RAX);
    let list = (0..2000).map(|_| Location::StartEnd { begin: address(0), end: address(1), data: register.clone() });
    let list = unit.locations.add(LocationList(list.collect()));
    let function = unit.add(unit.root(), gimli::DW_TAG_subprogram);
    unit.get_mut(function).set(gimli::DW_AT_low_pc, AttributeValue::Address(address(0)));
    unit.get_mut(function).set(gimli::DW_AT_high_pc, AttributeValue::Udata(15));
    for _ in 0..2000 {
        let variable = unit.add(function, gimli::DW_TAG_variable);
        unit.get_mut(variable).set(gimli::DW_AT_location, AttributeValue::LocationListRef(list));
    }
    let mut sections = gimli::write::Sections::new(EndianVec::new(gimli::LittleEndian));
    dwarf.write(&mut sections).unwrap();
    let mut builder = sample::builder();
    builder.debug_sections.clear();
    sections
        .for_each(|id, bytes| {
            if !bytes.slice().is_empty() {
                let section = artifact::DebugSection {
                    name: id.name().to_owned(),
                    bytes: bytes.slice().to_vec(),
                    relocations: Vec::new(),
                };
                builder.debug_sections.push(section);
            }
            Ok::<(), gimli::write::Error>(())
        })
        .unwrap();
    let bytes = builder.finish().unwrap();
    for view in ["--explain", "--statistics"] {
        let text = show("shared.elf", &bytes, &[view]);
        assert!(text.contains("error: the location and range lists have more entries"), "{text}");
    }
    assert!(show("shared.elf", &bytes, &["--verify"]).contains("location lists have more entries"));
}

/// A row in one byte repeats every rule before it.
#[test]
fn frame_rules_do_not_unfold_without_limit() {
    let mut builder = sample::builder();
    let mut cie = Vec::new();
    // version 1, augmentation "", code and data alignment 1, return address in register 16
    cie.extend([1, 0, 1, 1, 16, 0x0c, 7, 8]);
    let mut fde = Vec::new();
    fde.extend((artifact::TEXT_ADDRESS).to_le_bytes());
    fde.extend(30_000u64.to_le_bytes());
    for register in 20..180u8 {
        // DW_CFA_val_offset, a rule of its own for each
        fde.extend([0x14, register | 0x80, 1, 1]);
    }
    for row in 0..20_000u32 {
        // DW_CFA_advance_loc 1, DW_CFA_def_cfa_offset
        fde.extend([0x41, 0x0e, (row % 100) as u8]);
    }
    let mut table = Vec::new();
    let mut entry = |id: u32, contents: &mut Vec<u8>| {
        while contents.len() % 8 != 4 {
            contents.push(0);
        }
        table.extend((contents.len() as u32 + 4).to_le_bytes());
        // The distance back to the CIE, from this field.
        let id = if id == 0 { 0 } else { table.len() as u32 };
        table.extend(id.to_le_bytes());
        table.extend(&*contents);
    };
    entry(0, &mut cie);
    entry(1, &mut fde);
    table.extend([0; 4]);
    builder.eh_frame = table;
    let bytes = builder.finish().unwrap();
    let text = show("rules.elf", &bytes, &["--frames"]);
    assert!(text.contains("error: the frame table has more rules"), "{}", &text[..text.len().min(400)]);
}
