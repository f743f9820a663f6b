//! What is written is read back; what is damaged is refused with a reason.

mod sample;

use std::process::Command;

use artifact::{
    AddressMapRow, Artifact, ArtifactBuilder, ArtifactError, BuildError, CodeOffset, DebugRelocation, DebugSection,
    FORMAT_VERSION, Function, FunctionKind, HomeRow, LoadedModule, LocalHome, Loss, Machine, RelocationTarget,
    StackMap, TEXT_ADDRESS, TextOffset, Trap, TrapCode, WasmOffset, registered_image,
};

/// Calls every accessor; nothing may panic, whatever the file says.
fn exercise(artifact: &Artifact<'_>) -> usize {
    let mut seen = artifact.text().len() + artifact.eh_frame().len() + artifact.eh_frame_hdr().len();
    seen += artifact.module().len() + artifact.meta().len() + artifact.content_hash() as usize % 7;
    for (name, bytes) in artifact.debug_sections() {
        seen += name.len() + bytes.len();
    }
    for (index, function) in artifact.functions().iter().enumerate() {
        seen += artifact.function_name(&function).map_or(0, str::len);
        seen += artifact.address_map_of(&function).len() + artifact.homes_of(&function).len();
        seen += artifact.traps_of(&function).len();
        if function.size > 0 {
            assert_eq!(artifact.function_at(function.text).unwrap().0, index);
        }
        assert_eq!(artifact.function_by_kind(function.kind).unwrap().0, index);
    }
    for offset in (0..artifact.text().len() as u32 + 2).map(TextOffset) {
        seen += artifact.lookup(offset).map_or(0, |found| found.function_index);
        seen += artifact.trap_at(offset).map_or(0, |trap| usize::from(trap.code));
        seen += artifact.stack_map_at(offset).map_or(0, |slots| slots.iter().count());
    }
    seen += artifact.text_symbols().count() + artifact.relocations().iter().count();
    seen
}

#[test]
fn facts_come_back_as_they_went_in() {
    let bytes = sample::bytes();
    let artifact = Artifact::parse(&bytes).unwrap();
    artifact.verify_content_hash().unwrap();
    assert_eq!(artifact.machine(), Machine::X86_64);
    assert_eq!(artifact.text(), sample::builder().text);
    assert_eq!(artifact.text_file_offset() % 4096, 0);
    assert_eq!(artifact.eh_frame(), sample::builder().eh_frame);
    assert_eq!(artifact.module(), sample::builder().module);
    assert_eq!(artifact.meta(), b"the engine's own");

    let (index, outer) = artifact.function_by_kind(FunctionKind::Guest(1)).unwrap();
    assert_eq!((index, artifact.function_name(&outer)), (1, Some("outer")));
    assert_eq!((outer.text, outer.size, outer.body_range()), (TextOffset(sample::OUTER_AT), 25, Some(10..19)));
    assert_eq!(outer.vmctx_home, Some(-32));
    let homes: Vec<HomeRow> = artifact.homes_of(&outer).iter().collect();
    assert_eq!(homes, [HomeRow { local: 0, cfa_offset: -20, size: 4, writable: false }]);
    assert_eq!(artifact.function_by_kind(FunctionKind::Guest(2)), None);
    assert_eq!(artifact.function_by_kind(FunctionKind::Stub(0)), None);

    let call = TextOffset(sample::OUTER_AT + 15);
    let found = artifact.lookup(call).unwrap();
    assert_eq!((found.function_index, found.wasm, found.anchor), (1, Some(WasmOffset(13)), false));
    assert_eq!(found.operator_start, TextOffset(sample::OUTER_AT + 14));
    assert!(artifact.lookup(TextOffset(sample::OUTER_AT + 12)).unwrap().anchor);
    assert_eq!(artifact.lookup(TextOffset(15)), None, "the gap between the functions belongs to none");
    assert_eq!(artifact.lookup(TextOffset(sample::OUTER_AT + 25)), None);

    let trap = artifact.trap_at(TextOffset(sample::OUTER_AT + 23)).unwrap();
    assert_eq!(trap.trap_code(), Some(TrapCode::UnreachableCodeReached));
    assert_eq!(artifact.trap_at(TextOffset(sample::OUTER_AT + 24)), None);
    let slots = artifact.stack_map_at(TextOffset(sample::OUTER_AT + 19)).unwrap();
    assert_eq!(slots.iter().collect::<Vec<_>>(), [0, 8]);
    assert!(artifact.stack_map_at(TextOffset(sample::OUTER_AT + 18)).is_none());
    exercise(&artifact);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(sample::bytes(), sample::bytes());
}

#[test]
fn operators_without_code_and_repeated_rows_are_merged() {
    let mut builder = ArtifactBuilder::new(Machine::X86_64);
    builder.text = vec![0x90; 8];
    let mut function = Function::new(FunctionKind::Guest(0), "f", TextOffset(0), 8);
    let row = |code, wasm, anchor| artifact::AddressMapEntry { code: CodeOffset(code), wasm, anchor };
    let at = |offset| Some(WasmOffset(offset));
    function.address_map = [
        row(4, at(9), false),
        row(0, at(5), false),
        row(2, at(5), false),  // the same operator goes on
        row(3, at(7), true),   // an anchor of which nothing is left ...
        row(3, at(8), false),  // ... and the operator after it
        row(8, at(10), false), // no code at all
    ]
    .into_iter()
    .collect();
    builder.functions.push(function);
    let bytes = builder.finish().unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let row = |text, wasm, anchor| AddressMapRow { text: TextOffset(text), wasm, anchor };
    let rows: Vec<_> = artifact.address_map().iter().collect();
    assert_eq!(rows, [row(0, at(5), false), row(3, at(8), true), row(4, at(9), false)]);
}

#[test]
fn local_names_may_repeat_and_names_may_be_strange() {
    let mut builder = ArtifactBuilder::new(Machine::Aarch64);
    builder.text = vec![0; 64];
    for (index, name) in ["twice", "twice", "", "nul\0inside", "ünïcödé", "once"].into_iter().enumerate() {
        let at = TextOffset(index as u32 * 4);
        builder.functions.push(Function::new(FunctionKind::Guest(index as u32), name, at, 4));
    }
    let bytes = builder.finish().unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let names: Vec<_> = artifact.functions().iter().map(|function| artifact.function_name(&function)).collect();
    assert_eq!(names, [Some("twice"), Some("twice"), None, Some("nul\u{fffd}inside"), Some("ünïcödé"), Some("once")]);
    let is_global = |name: &str| artifact.text_symbols().any(|symbol| symbol.0 == name.as_bytes() && symbol.3);
    assert!(is_global("once") && !is_global("twice"));
}

fn loaded<'a>(artifact: &'a Artifact<'a>, text_address: u64, cell_address: u64) -> LoadedModule<'a> {
    LoadedModule { artifact, text_address, cell_address }
}

#[test]
fn an_image_has_the_addresses_it_was_made_for() {
    let bytes = sample::bytes();
    let artifact = Artifact::parse(&bytes).unwrap();
    let (text, cell) = (0x7fff_1234_0000, 0x5555_0000_1238);
    let image = registered_image(loaded(&artifact, text, cell)).unwrap();
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
    let file = object::File::parse(&*image).unwrap();
    let section = |name| file.section_by_name(name).unwrap();
    assert_eq!(section(".text").address(), text);
    assert_eq!(section(".text").data().unwrap(), b"", "no second copy of the code");
    assert_eq!(section(".text").size(), artifact.text().len() as u64);
    let distance = artifact.layout().eh_frame - artifact.layout().text;
    assert_eq!(section(".eh_frame").address(), text + distance);
    assert_eq!(file.symbol_by_name("outer").unwrap().address(), text + u64::from(sample::OUTER_AT));
    assert_eq!(file.symbol_by_name("__wasmscope_instance").unwrap().address(), cell);
    assert!(file.section_by_name(".wasmscope.module").is_none());

    // Every relocated word, and no other byte, differs from the file.
    let mut seen = 0;
    for (name, linked) in artifact.debug_sections() {
        let loaded = section(name).data().unwrap();
        let mut expected = linked.to_vec();
        for row in artifact.relocations().iter().filter(|row| artifact.debug_section_name(row.section) == Some(name)) {
            let at = row.offset as usize..row.offset as usize + 8;
            let link = u64::from_le_bytes(linked[at.clone()].try_into().unwrap());
            let value = match row.target {
                RelocationTarget::Text => link - TEXT_ADDRESS + text,
                RelocationTarget::InstanceCell => link - artifact.layout().instance_cell + cell,
            };
            expected[at].copy_from_slice(&value.to_le_bytes());
            seen += 1;
        }
        assert_eq!(loaded, expected, "{name}");
    }
    assert_eq!(seen, artifact.relocations().len());
    assert!(seen > 3);
}

#[test]
fn an_address_that_does_not_fit_its_word_is_an_error() {
    let mut builder = sample::builder();
    builder.debug_sections = vec![DebugSection {
        name: ".debug_addr".into(),
        bytes: vec![0; 8],
        relocations: vec![DebugRelocation { offset: 4, size: 4, target: RelocationTarget::Text, addend: 2 }],
    }];
    let bytes = builder.finish().unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    assert_eq!(artifact.debug_section(".debug_addr"), [0, 0, 0, 0, 2, 0, 1, 0]);
    assert!(registered_image(loaded(&artifact, 0x4000_0000, 0x5000_0000)).is_ok());
    let error = registered_image(loaded(&artifact, 0x1_0000_0000, 0x5000_0000)).unwrap_err();
    assert_eq!(error.to_string(), "relocation at .debug_addr+0x4: 0x100000002 does not fit 4 bytes");
}

#[test]
fn contradictory_input_is_refused() {
    let refused = |change: &dyn Fn(&mut ArtifactBuilder)| {
        let mut builder = sample::builder();
        change(&mut builder);
        builder.finish().unwrap_err()
    };
    assert!(matches!(refused(&|b| b.text.truncate(30)), BuildError::FunctionOutsideText { .. }));
    assert!(matches!(refused(&|b| b.functions[1].size = 17), BuildError::FunctionsOverlap { .. }));
    assert!(matches!(refused(&|b| b.functions[1].kind = FunctionKind::Guest(1)), BuildError::DuplicateFunction(_)));
    let trap = Trap { code: CodeOffset(15), trap_code: 1 };
    assert!(matches!(
        refused(&|b| b.functions[1].traps.push(trap)),
        BuildError::OffsetOutsideFunction { table: "trap", .. }
    ));
    let map = StackMap { return_address: CodeOffset(3), slots: vec![] };
    assert!(matches!(
        refused(&|b| b.functions[1].stack_maps = vec![map.clone(), map.clone()]),
        BuildError::Unreadable(ArtifactError::BadRow { .. })
    ));
    assert!(matches!(refused(&|b| b.debug_sections[0].name = "debug".into()), BuildError::BadDebugSectionName(_)));
    let far = DebugRelocation { offset: u32::MAX, size: 8, target: RelocationTarget::Text, addend: 0 };
    assert!(matches!(refused(&|b| b.debug_sections[0].relocations.push(far)), BuildError::BadRelocation { .. }));
}

fn loss(count: u64, kind: &str, detail: &str, place: &str) -> Loss {
    Loss { count, kind: kind.into(), detail: detail.into(), place: place.into() }
}

#[test]
fn losses_are_read_as_they_were_written() {
    let mut builder = sample::builder();
    assert_eq!(Artifact::parse(&sample::bytes()).unwrap().losses().unwrap(), []);
    builder.losses = vec![loss(3, "kind", "", "unit 0x0\tentry"), loss(u64::MAX, "", "DW_OP_regx", &"ä".repeat(1000))];
    builder.losses.extend(vec![loss(1, "more", "", ""); 2000]);
    let bytes = builder.finish().unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let losses = artifact.losses().unwrap();
    assert_eq!(losses[0], Loss { count: 3, kind: "kind", detail: "", place: "unit 0x0 entry" });
    assert_eq!(losses[1], Loss { count: u64::MAX, kind: "", detail: "DW_OP_regx", place: &"ä".repeat(300) });
    assert_eq!(losses.len(), 1000);
}

#[test]
fn losses_that_no_builder_writes_are_errors() {
    let mut builder = sample::builder();
    builder.losses = vec![loss(1, "kind", "detail", "place"); 2];
    let bytes = builder.finish().unwrap();
    let line = b"1\tkind\tdetail\tplace\n";
    let at = bytes.windows(line.len()).position(|window| window == line).unwrap();
    for (offset, byte, reason) in [
        (0, b'x', "row 0 (file offset 0xAT): does not begin with a count"),
        (1, b' ', "row 0 (file offset 0xAT): does not begin with a count"),
        (6, b' ', "row 0 (file offset 0xAT): does not have four columns"),
        (3, b'\t', "row 0 (file offset 0xAT): does not have four columns"),
        (3, 0xff, "row 0 (file offset 0xAT): is not UTF-8"),
        (line.len() * 2 - 1, b' ', "row 1 (file offset 0xAT): does not end"),
    ] {
        let mut bytes = bytes.clone();
        bytes[at + offset] = byte;
        let error = Artifact::parse(&bytes).unwrap().losses().unwrap_err().to_string();
        let row = if offset < line.len() { at } else { at + line.len() };
        let wanted = format!("section .wasmscope.losses, {}", reason.replace("0xAT", &format!("{row:#x}")));
        assert_eq!(error, wanted);
    }
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = sample::bytes();
    for len in 0..bytes.len() {
        assert!(Artifact::parse(&bytes[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn changed_bytes_never_panic_and_never_keep_the_hash() {
    let bytes = sample::bytes();
    let mut opened = 0;
    for at in 0..bytes.len() {
        // The zeros between sections are many; a few of them are enough.
        if bytes[at] == 0 && at % 16 != 0 {
            continue;
        }
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= change;
            let Ok(artifact) = Artifact::parse(&bytes) else { continue };
            opened += 1;
            exercise(&artifact);
            let _ = registered_image(loaded(&artifact, 0x7fff_0000_0000, 0x1000));
            assert!(matches!(artifact.verify_content_hash(), Err(ArtifactError::HashMismatch)), "byte {at:#x}");
        }
    }
    assert!(opened > 1000, "most changes are in bytes whose values are not restricted");
}

#[test]
fn a_foreign_elf_file_is_named_as_such() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(!Artifact::is_artifact(&own));
    let error = Artifact::parse(&own).unwrap_err();
    assert_eq!(error.to_string(), "an ELF file without a .wasmscope.meta section: not an artifact of wasmscope");
    assert!(Artifact::parse(b"\0asm\x01\0\0\0").is_err());
}

#[test]
fn another_format_version_is_refused() {
    let mut bytes = sample::bytes();
    let magic = bytes.windows(8).position(|window| window == b"wscope\x1a\n").unwrap();
    bytes[magic + 8] += 1;
    assert!(
        matches!(Artifact::parse(&bytes), Err(ArtifactError::WrongVersion { found, expected: FORMAT_VERSION }) if found == FORMAT_VERSION + 1)
    );
}

#[test]
fn lookups_agree_with_a_linear_search() {
    let mut builder = ArtifactBuilder::new(Machine::X86_64);
    builder.text = vec![0xcc; 4000];
    let mut next = 17u32;
    let mut random = |below: u32| {
        next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (next >> 8) % below
    };
    let mut at = 0;
    for index in 0..100 {
        at += random(5);
        let size = 1 + random(30);
        let mut function = Function::new(FunctionKind::Guest(index), format!("f{index}"), TextOffset(at), size);
        for code in (0..size).map(CodeOffset) {
            if random(3) == 0 {
                let wasm = (random(4) != 0).then(|| WasmOffset(random(1000)));
                function.address_map.push(artifact::AddressMapEntry { code, wasm, anchor: random(2) == 0 });
            }
            if random(8) == 0 {
                function.traps.push(Trap { code, trap_code: random(256) as u8 });
            }
        }
        function.homes =
            (0..random(3)).map(|local| LocalHome { local, cfa_offset: -8, size: 8, writable: true }).collect();
        builder.functions.push(function);
        at += size;
    }
    let bytes = builder.finish().unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    for offset in (0..4001).map(TextOffset) {
        let function = artifact.functions().iter().find(|f| f.text <= offset && offset < f.end());
        assert_eq!(artifact.function_at(offset).map(|(_, f)| f), function);
        let row = function.and_then(|f| artifact.address_map_of(&f).iter().rev().find(|row| row.text <= offset));
        assert_eq!(artifact.lookup(offset).and_then(|found| found.wasm), row.and_then(|row| row.wasm));
        assert_eq!(artifact.trap_at(offset), artifact.traps().iter().find(|trap| trap.text == offset));
    }
}

fn run(tool: &str, arguments: &[&str], file: &std::path::Path) -> String {
    let output = Command::new(tool)
        .args(arguments)
        .arg(file)
        .output()
        .unwrap_or_else(|error| panic!("this test needs {tool}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{tool}: {text}");
    text
}

#[test]
fn other_tools_open_the_file_without_a_complaint() {
    let file = std::env::temp_dir().join(format!("artifact-format-{}.elf", std::process::id()));
    std::fs::write(&file, sample::bytes()).unwrap();
    let readelf = run("readelf", &["-W", "-h", "-l", "-S", "-s", "--debug-dump=frames"], &file);
    for expected in ["DYN (Shared object file)", "R E 0x1000", "FUNC    GLOBAL DEFAULT    1 outer"] {
        assert!(readelf.contains(expected), "{expected} in {readelf}");
    }
    assert!(!readelf.to_lowercase().contains("warning"), "{readelf}");
    assert!(readelf.contains("pc=0000000000010010..0000000000010029"), "{readelf}");
    assert!(run("llvm-dwarfdump-19", &["--verify"], &file).contains("No errors."));
    let code = run("llvm-objdump-19", &["-d", "-l"], &file);
    assert!(code.contains("<outer>:") && code.contains("guest.c:9") && code.contains("callq"), "{code}");
    let gdb = Command::new("gdb")
        .args(["-q", "-nx", "-batch", "-ex", "info line outer", "-ex", "info scope inner"])
        .arg(&file)
        .output()
        .expect("this test needs gdb");
    let gdb = String::from_utf8_lossy(&gdb.stdout).into_owned();
    assert!(gdb.contains("Line 8 of \"guest.c\" starts at address 0x10010 <outer> and ends at 0x1001b"), "{gdb}");
    assert!(gdb.contains("DW_OP_fbreg -20"), "{gdb}");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_section_in_the_place_of_the_null_section_is_refused() {
    let bytes = sample::bytes();
    let number = |at: usize, len: usize| bytes[at..at + len].iter().rev().fold(0, |sum, &b| sum << 8 | usize::from(b));
    // e_shoff, e_shentsize, e_shnum of the file header.
    let (table, size, count) = (number(40, 8), number(58, 2), number(60, 2));
    let mut refused = 0;
    for section in 1..count {
        let mut damaged = bytes.clone();
        damaged.copy_within(table + section * size..table + (section + 1) * size, table);
        match Artifact::parse(&damaged) {
            Ok(artifact) => assert!(exercise(&artifact) > 0),
            Err(ArtifactError::BadSection { reason, .. }) => refused += usize::from(reason.contains("number 0")),
            Err(_) => {}
        }
    }
    assert!(refused > 0, "{refused} of {count}");
}
