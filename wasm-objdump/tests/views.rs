//! What each view says, over small inputs. `INSTA_UPDATE=always cargo test -p wasm-objdump` accepts a change.

mod common;
#[path = "../../artifact/tests/sample/mod.rs"]
mod sample;

use common::{VIEWS, fixture, show};

fn operators() -> Vec<u8> {
    wat::parse_bytes(&fixture("operators.wat")).unwrap().into_owned()
}

#[test]
fn module_sections() {
    insta::assert_snapshot!(show("operators.wasm", &operators(), &["-h"]));
}

#[test]
fn module_details() {
    insta::assert_snapshot!(show("operators.wasm", &operators(), &["-x"]));
}

#[test]
fn module_instructions() {
    insta::assert_snapshot!(show("operators.wasm", &operators(), &["-d"]));
}

#[test]
fn object_file_with_relocations() {
    let text = show("switch.o", &fixture("switch.o"), &["-x", "-d", "-r"]);
    insta::assert_snapshot!(text);
}

#[test]
fn one_section_in_hex() {
    insta::assert_snapshot!(show("switch.wasm", &fixture("switch.wasm"), &["-s", "-j", "Type", "-j", "data"]));
}

#[test]
fn guest_dwarf() {
    insta::assert_snapshot!(show("switch.wasm", &fixture("switch.wasm"), &["--dwarf"]));
}

#[test]
fn coverage_of_the_module_that_was_compiled() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/switch.wasm");
    insta::assert_snapshot!(show("switch.elf", &fixture("switch.elf"), &["--coverage", module]));
}

#[test]
fn coverage_without_the_module_is_an_error() {
    let text = show("sample.elf", &sample::bytes(), &["--coverage", "no-such-file"]);
    assert!(text.contains("error: cannot read no-such-file"), "{text}");
}

#[test]
fn artifact_headers() {
    insta::assert_snapshot!(show("sample.elf", &sample::bytes(), &["-h"]));
}

#[test]
fn artifact_details() {
    insta::assert_snapshot!(show("sample.elf", &sample::bytes(), &["-x"]));
}

#[test]
fn artifact_code_with_operators_and_lines() {
    insta::assert_snapshot!(show("switch.elf", &fixture("switch.elf"), &["-d"]));
}

#[test]
fn artifact_code_in_the_syntax_of_gas() {
    insta::assert_snapshot!(show("sample.elf", &sample::bytes(), &["-d", "--syntax", "att", "-f", "outer"]));
}

#[test]
fn artifact_frame_rows() {
    insta::assert_snapshot!(show("sample.elf", &sample::bytes(), &["--frames"]));
}

#[test]
fn artifact_tables() {
    let flags = ["--traps", "--stack-maps", "--addrmap", "--homes", "-r"];
    insta::assert_snapshot!(show("sample.elf", &sample::bytes(), &flags));
}

#[test]
fn artifact_losses() {
    let loss = |count, kind: &str, detail: &str, place: &str| artifact::Loss {
        count,
        kind: kind.into(),
        detail: detail.into(),
        place: place.into(),
    };
    let mut builder = sample::builder();
    builder.losses = vec![
        loss(3, "expression without native meaning", "", "unit 0x0 entry 0x2a: DW_AT_location"),
        loss(2, "expression without native meaning", "DW_OP_regx", ""),
        loss(1, "expression without native meaning", "DW_OP_xderef", ""),
        loss(1, "missing split unit", "", "a\u{1b}[31m.dwo"),
    ];
    let bytes = builder.finish().unwrap();
    let text = show("sample.elf", &bytes, &["--losses"]);
    insta::assert_snapshot!(text + &show("sample.elf", &bytes, &["--losses", "--json"]));
    let none = show("sample.elf", &sample::bytes(), &["--losses"]);
    assert!(none.ends_with("\n\nnone\n"), "{none}");
}

#[test]
fn artifact_dwarf() {
    insta::assert_snapshot!(show("sample.elf", &sample::bytes(), &["--dwarf"]));
}

#[test]
fn everything_about_one_function() {
    insta::assert_snapshot!(show("switch.elf", &fixture("switch.elf"), &["--explain", "-f", "pick"]));
}

#[test]
fn everything_in_json() {
    insta::assert_snapshot!(show("sample.elf", &sample::bytes(), &["--json", "--explain", "-f", "inner"]));
}

#[test]
fn figures() {
    insta::assert_snapshot!(show("switch.elf", &fixture("switch.elf"), &["--statistics"]));
}

#[test]
fn locals_that_guest_dwarf_names() {
    let text = show("switch.wasm", &fixture("switch.wasm"), &["--homes", "-f", "sum"]);
    assert!(text.contains("func[0] <sum>: "), "{text}");
    // The frame base of a function compiled without optimization is a local.
    assert!(text.contains("locals: 4\n"), "{text}");
}

#[test]
fn zeroed_addresses_are_explained() {
    // What a tool leaves that rewrites the code after linking: entries for functions, all at address 0.
    use gimli::write::{Address, AttributeValue, Dwarf, EndianVec, LineProgram, Sections, Unit};
    let encoding = gimli::Encoding { format: gimli::Format::Dwarf32, version: 4, address_size: 4 };
    let mut dwarf = Dwarf::new();
    let unit = dwarf.units.add(Unit::new(encoding, LineProgram::none()));
    let unit = dwarf.units.get_mut(unit);
    for name in ["first", "second"] {
        let function = unit.add(unit.root(), gimli::DW_TAG_subprogram);
        let function = unit.get_mut(function);
        function.set(gimli::DW_AT_name, AttributeValue::String(name.into()));
        function.set(gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(0)));
        function.set(gimli::DW_AT_high_pc, AttributeValue::Udata(3));
    }
    let mut sections = Sections::new(EndianVec::new(gimli::LittleEndian));
    dwarf.write(&mut sections).unwrap();
    let mut module = wat::parse_str("(module (func) (func))").unwrap();
    sections
        .for_each(|id, bytes| {
            let name = id.name().as_bytes();
            if !bytes.slice().is_empty() {
                let size = 1 + name.len() + bytes.slice().len();
                // A section's size in two bytes of LEB128.
                module.extend([0, (size & 0x7f) as u8 | 0x80, (size >> 7) as u8, name.len() as u8]);
                module.extend(name);
                module.extend(bytes.slice());
            }
            Ok::<(), gimli::write::Error>(())
        })
        .unwrap();
    let text = show("zeroed.wasm", &module, &["--verify"]);
    assert!(text.contains("every function begins at 0"), "{text}");
}

#[test]
fn text_format_of_the_module_in_an_artifact() {
    let text = show("sample.elf", &sample::bytes(), &["--wat"]);
    assert!(text.contains("(func $outer (;1;) (type 0) (param $n i32) (result i32)"), "{text}");
}

#[test]
fn all_of_d_is_explain() {
    let elf = fixture("switch.elf");
    assert_eq!(show("switch.elf", &elf, &["-d", "--all"]), show("switch.elf", &elf, &["--explain"]));
}

#[test]
fn sound_files_pass_verification() {
    for (name, bytes) in [("switch.wasm", fixture("switch.wasm")), ("switch.elf", fixture("switch.elf"))] {
        let text = show(name, &bytes, &["--verify"]);
        assert!(!text.contains("error: "), "{text}");
        assert!(text.contains("dwarf: 1 units"), "{text}");
    }
    let text = show("sample.elf", &sample::bytes(), &["--verify"]);
    assert!(text.contains("2 functions, 16 instructions held against their rows"), "{text}");
}

#[test]
fn a_wrong_frame_row_is_found() {
    let mut builder = sample::builder();
    // DW_CFA_def_cfa_offset 16 of the first function: after the push the CFA is rsp+16, not rsp+24.
    let at = builder.eh_frame.windows(2).position(|pair| pair == [0x0e, 16]).unwrap();
    builder.eh_frame[at + 1] = 24;
    let text = show("sample.elf", &builder.finish().unwrap(), &["--verify"]);
    assert!(text.contains("frames at 0x10001: <inner+0x1>"), "{text}");
    assert!(text.contains("CFA"), "{text}");
    assert!(text.contains("error: "), "{text}");
}

#[test]
fn a_changed_byte_of_code_is_found() {
    let mut bytes = sample::bytes();
    let code = bytes.windows(3).position(|window| window == [0x83, 0xc0, 0x01]).unwrap();
    bytes[code + 2] = 0x02;
    let text = show("sample.elf", &bytes, &["--verify"]);
    assert!(text.contains("content hash: the content hash does not match"), "{text}");
}

#[test]
fn a_wrong_address_map_is_found() {
    let mut builder = sample::builder();
    // The second byte of `i32.const 1` starts no operator.
    let function = &mut builder.functions[1];
    let mut entries: Vec<_> = function.address_map.entries().collect();
    entries[1].wasm = Some(artifact::WasmOffset(6));
    function.address_map = entries.into_iter().collect();
    let text = show("sample.elf", &builder.finish().unwrap(), &["--verify"]);
    assert!(text.contains("address map at 0x10007: no operator of func[0] starts at 0x6"), "{text}");
}

#[test]
fn every_view_is_valid_json() {
    for (name, bytes) in [
        ("operators.wasm", operators()),
        ("switch.o", fixture("switch.o")),
        ("switch.elf", fixture("switch.elf")),
        ("sample.elf", sample::bytes()),
    ] {
        for view in VIEWS {
            let flags: Vec<&str> = ["--json"].iter().chain(*view).copied().collect();
            let text = show(name, &bytes, &flags);
            if let Some(error) = text.strip_prefix("error: ").or(text.rsplit_once("}\nerror: ").map(|(_, error)| error))
            {
                // A view that the kind of file does not have.
                assert!(name.ends_with('o') || name.ends_with("wasm"), "{name} {view:?}: {error}");
                continue;
            }
            let value: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name} {view:?}: {error}\n{text}"));
            assert_eq!(value["file"], name);
        }
    }
}

#[test]
fn jump_tables_are_shown_as_data() {
    let text = show("switch.elf", &fixture("switch.elf"), &["-d", "-f", "pick"]);
    let table = text.lines().filter(|line| line.contains(".long")).count();
    assert_eq!(table, 3, "five cases and the default are six words: {text}");
    assert!(!text.contains("(bad)"), "{text}");
}

#[test]
fn stripped_code_is_shown_by_section() {
    let text = show("env", &std::fs::read("/usr/bin/env").unwrap(), &["-d", "-j", ".text"]);
    assert!(text.contains("<.text>:"), "{}", &text[..400]);
    let lines = text.lines().count();
    let strange = text.lines().filter(|line| line.contains(".byte")).count();
    assert!(lines > 1000 && strange * 100 < lines, "{strange} of {lines} lines are data");
}

#[test]
fn functions_are_found_by_name_and_index() {
    let elf = fixture("switch.elf");
    let by_name = show("switch.elf", &elf, &["-d", "-f", "pick"]);
    let index = by_name.split("func[").nth(1).unwrap().split(']').next().unwrap();
    assert_eq!(by_name, show("switch.elf", &elf, &["-d", "-f", index]));
    assert!(show("switch.elf", &elf, &["-d", "-f", "pic"]).contains("error: no function \"pic\""));
}
