//! Tables of small functions, pinned; and tables of all targets, read back by other readers.

mod common;

use std::fmt::Write;
use std::process::Command;

use common::{Body, Module, Shape, function, target};
use cranelift_codegen::isa::CallConv;
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, RegisterRule, RunTimeEndian, UnwindContext, UnwindOffset,
    UnwindSection,
};
use goblin::pe::exception::{UnwindCode, UnwindInfo, UnwindOperation};
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};
use object::write::{Object, Relocation, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};
use unwind::{Arch, Error, FrameTable, SectionAddresses, WindowsUnwind};

const NOWHERE: SectionAddresses = SectionAddresses { text: 0, eh_frame: 0, eh_frame_hdr: 0 };

fn compile(triple: &str, shapes: &[Shape], body: impl FnOnce(&mut Body<'_>)) -> Module {
    let isa = target(triple, "speed");
    let mut functions = vec![function(shapes, 0, body)];
    for index in 1..shapes.len() {
        functions.push(function(shapes, index, |body| body.finish()));
    }
    Module::compile(&*isa, functions)
}

/// All rows of a section, as text.
fn rows<'a, S>(section: &S, name: impl Fn(u16) -> String) -> String
where
    S: UnwindSection<gimli::EndianSlice<'a, RunTimeEndian>>,
    S::Offset: UnwindOffset<usize>,
{
    let bases = BaseAddresses::default().set_eh_frame(0).set_text(0);
    let mut text = String::new();
    let mut entries = section.entries(&bases);
    let mut context = UnwindContext::new();
    while let Some(entry) = entries.next().unwrap() {
        let partial = match entry {
            CieOrFde::Cie(cie) => {
                let (code, data) = (cie.code_alignment_factor(), cie.data_alignment_factor());
                let column = name(cie.return_address_register().0);
                writeln!(text, "CIE version {}, code {code}, data {data}, return address {column}", cie.version())
                    .unwrap();
                continue;
            }
            CieOrFde::Fde(partial) => partial,
        };
        let fde = partial.parse(S::cie_from_offset).unwrap();
        writeln!(text, "FDE {:#x}..{:#x}", fde.initial_address(), fde.end_address()).unwrap();
        let mut table = fde.rows(section, &bases, &mut context).unwrap();
        while let Some(row) = table.next_row().unwrap() {
            let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { panic!("an expression") };
            write!(text, "  {:#06x} CFA={}{offset:+}", row.start_address(), name(register.0)).unwrap();
            let mut rules: Vec<_> = row.registers().cloned().collect();
            rules.sort_by_key(|(register, _)| register.0);
            for (register, rule) in rules {
                match rule {
                    RegisterRule::Offset(offset) => write!(text, " {}=[CFA{offset:+}]", name(register.0)).unwrap(),
                    other => write!(text, " {}={other:?}", name(register.0)).unwrap(),
                }
            }
            text.push('\n');
        }
    }
    text
}

fn eh_frame_rows(section: &[u8], endian: RunTimeEndian, name: impl Fn(u16) -> String) -> String {
    rows(&EhFrame::new(section, endian), name)
}

fn x86_name(register: u16) -> String {
    gimli::X86_64::register_name(gimli::Register(register)).unwrap().to_owned()
}

/// Code and rows of the first function, side by side.
fn listing(module: &Module) -> String {
    let section = module.table().eh_frame(NOWHERE).unwrap();
    let rows = eh_frame_rows(&section, RunTimeEndian::Little, x86_name);
    let of_first = rows.split("FDE ").nth(1).unwrap();
    let mut text = String::new();
    let code = &module.functions[0].code;
    let mut rows = of_first.lines().skip(1).peekable();
    for instruction in Decoder::with_ip(64, code, 0, DecoderOptions::NONE) {
        let place = format!("  {:#06x} ", instruction.ip());
        if let Some(row) = rows.next_if(|row| row.starts_with(&place)) {
            writeln!(text, "{}", &row[place.len()..]).unwrap();
        }
        let mut line = String::new();
        NasmFormatter::new().format(&instruction, &mut line);
        writeln!(text, "    {:#06x} {line}", instruction.ip()).unwrap();
    }
    assert_eq!(rows.next(), None, "a row between instructions");
    text
}

const LINUX: &str = "x86_64-unknown-linux-gnu";

#[test]
fn leaf_takes_its_last_row_from_its_first() {
    insta::assert_snapshot!(listing(&compile(LINUX, &[Shape::new(CallConv::Tail, 1)], |body| body.finish())));
}

#[test]
fn early_return_goes_back_to_the_rows_of_the_body() {
    let shapes = [Shape::new(CallConv::Tail, 1), Shape::new(CallConv::Tail, 0)];
    insta::assert_snapshot!(listing(&compile(LINUX, &shapes, |body| {
        body.return_at_the_bottom();
        body.call(1, false);
        body.finish();
    })));
}

#[test]
fn stack_check_traps_before_the_saves() {
    let mut shapes = [Shape::new(CallConv::Tail, 1), Shape::new(CallConv::Tail, 0)];
    shapes[0].stack_limit = true;
    insta::assert_snapshot!(listing(&compile(LINUX, &shapes, |body| {
        body.call(1, false);
        body.finish();
    })));
}

#[test]
fn frame_that_slides_down() {
    let shapes = [Shape::new(CallConv::Tail, 0), Shape::new(CallConv::Tail, 7)];
    insta::assert_snapshot!(listing(&compile(LINUX, &shapes, |body| {
        body.call(1, false);
        body.tail_call(1, false);
    })));
}

#[test]
fn return_address_that_moves_up() {
    let shapes = [Shape::new(CallConv::Tail, 7), Shape::new(CallConv::Tail, 0)];
    insta::assert_snapshot!(listing(&compile(LINUX, &shapes, |body| {
        body.call(1, false);
        body.tail_call(1, false);
    })));
}

/// A function with saves, one without, on another machine.
fn other(triple: &str) -> Module {
    let mut shapes = [Shape::new(CallConv::SystemV, 2), Shape::new(CallConv::SystemV, 0)];
    shapes[0].slot = 64;
    compile(triple, &shapes, |body| {
        body.call(1, false);
        body.call(1, false);
        body.finish();
    })
}

#[test]
fn tables_of_other_targets() {
    for (triple, arch, endian) in [
        ("aarch64-unknown-linux-gnu", Arch::Aarch64, RunTimeEndian::Little),
        ("riscv64gc-unknown-linux-gnu", Arch::Riscv64, RunTimeEndian::Little),
        ("s390x-unknown-linux-gnu", Arch::S390x, RunTimeEndian::Big),
    ] {
        let module = other(triple);
        let table = FrameTable::build(arch, module.frames()).unwrap();
        let name = |register: u16| {
            let register = gimli::Register(register);
            let name = match arch {
                Arch::Aarch64 => gimli::AArch64::register_name(register),
                Arch::Riscv64 => gimli::RiscV::register_name(register),
                _ => None,
            };
            name.map_or_else(|| format!("r{}", register.0), str::to_owned)
        };
        let from_eh_frame = eh_frame_rows(&table.eh_frame(NOWHERE).unwrap(), endian, name);
        insta::assert_snapshot!(triple.split('-').next().unwrap(), from_eh_frame);

        let debug_frame = table.debug_frame(0).unwrap();
        let mut section = DebugFrame::new(&debug_frame, endian);
        section.set_address_size(8);
        let from_debug_frame = rows(&section, name);
        assert_eq!(from_eh_frame.replace("CIE version 1", "CIE version 4"), from_debug_frame);
    }
}

#[test]
fn debug_frame_says_the_same_as_eh_frame() {
    let table = common::random_module(3, 30, "speed").table();
    let from_eh_frame = eh_frame_rows(&table.eh_frame(NOWHERE).unwrap(), RunTimeEndian::Little, x86_name);
    let debug_frame = table.debug_frame(0).unwrap();
    let mut section = DebugFrame::new(&debug_frame, RunTimeEndian::Little);
    section.set_address_size(8);
    assert_eq!(from_eh_frame.replace("CIE version 1", "CIE version 4"), rows(&section, x86_name));
}

#[test]
fn other_programs_read_the_tables() {
    for (triple, arch, object_arch, endian) in [
        (LINUX, Arch::X86_64, Architecture::X86_64, Endianness::Little),
        ("aarch64-unknown-linux-gnu", Arch::Aarch64, Architecture::Aarch64, Endianness::Little),
        ("riscv64gc-unknown-linux-gnu", Arch::Riscv64, Architecture::Riscv64, Endianness::Little),
        ("s390x-unknown-linux-gnu", Arch::S390x, Architecture::S390x, Endianness::Big),
    ] {
        let module = other(triple);
        let table = FrameTable::build(arch, module.frames()).unwrap();
        let mut file = Object::new(BinaryFormat::Elf, object_arch, endian);
        for (name, kind, contents) in [
            (".text", SectionKind::Text, module.text.clone()),
            (".eh_frame", SectionKind::ReadOnlyData, table.eh_frame(NOWHERE).unwrap()),
            (".debug_frame", SectionKind::Debug, table.debug_frame(0).unwrap()),
        ] {
            let section = file.add_section(Vec::new(), name.into(), kind);
            file.append_section_data(section, &contents, 1);
        }
        let path = written(&file, triple);
        let text = answer(Command::new("llvm-dwarfdump-19").arg("--eh-frame").arg(&path));
        // It prints both sections.
        assert_eq!(text.matches(" FDE cie=").count(), 2 * module.functions.len(), "{triple}:\n{text}");
        assert!(!text.contains("error"), "{text}");

        let rows = eh_frame_rows(
            &table.eh_frame(NOWHERE).unwrap(),
            if endian == Endianness::Big { RunTimeEndian::Big } else { RunTimeEndian::Little },
            |_| String::new(),
        );
        assert!(places_and_offsets(&rows).len() > module.functions.len(), "{rows}");
        let text = answer(Command::new("readelf").arg("-wF").arg(&path));
        for section in ["eh_frame", "debug_frame"] {
            let of_section = text.split("Contents of the .").find(|part| part.starts_with(section)).expect(section);
            assert_eq!(rows_of_readelf(of_section), places_and_offsets(&rows), "{triple}, {section}:\n{text}");
        }

        let text = answer(Command::new("llvm-readobj-19").arg("--unwind").arg(&path));
        assert_eq!(text.matches(" FDE length=").count(), module.functions.len(), "{triple}:\n{text}");
        assert_eq!(text.matches("initial_location: ").count(), module.functions.len(), "{triple}:\n{text}");
        std::fs::remove_file(path).unwrap();
    }
}

/// A file of the tests' own, to be read by other programs.
fn written(file: &Object<'_>, name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("unwind-{}-{name}.o", std::process::id()));
    std::fs::write(&path, file.write().unwrap()).unwrap();
    path
}

/// What a reader prints, which must not complain.
fn answer(reader: &mut Command) -> String {
    let output = reader.output().unwrap_or_else(|error| panic!("{reader:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{reader:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Addresses of rows, and how far the CFA is from its register.
type Places = Vec<(u64, i64)>;

fn cfa_offset(rule: &str) -> i64 {
    rule[rule.find(['+', '-']).unwrap()..].parse().unwrap()
}

/// Of the lines that [`rows`] makes.
fn places_and_offsets(rows: &str) -> Places {
    let rows = rows.lines().filter_map(|line| line.strip_prefix("  0x")?.split_once(" CFA="));
    rows.map(|(address, rest)| (u64::from_str_radix(address, 16).unwrap(), cfa_offset(rest.split(' ').next().unwrap())))
        .collect()
}

/// Of the lines of `readelf -wF`: those of a FDE begin with an address of 16 digits and the CFA.
fn rows_of_readelf(text: &str) -> Places {
    let mut places = Places::new();
    let mut in_fde = false;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if first == "LOC" {
            continue;
        }
        match u64::from_str_radix(first, 16) {
            Ok(_) if line.contains(" FDE ") || line.contains(" CIE ") => in_fde = line.contains(" FDE "),
            Ok(address) if first.len() == 16 && in_fde => places.push((address, cfa_offset(second))),
            _ => {}
        }
    }
    places
}

#[test]
fn llvm_readobj_reads_the_windows_tables() {
    let module = on_windows();
    let sections = WindowsUnwind::build(module.frames(), 0, 0).unwrap();
    let mut file = Object::new(BinaryFormat::Coff, Architecture::X86_64, Endianness::Little);
    let mut section = |name: &str, kind, contents: &[u8]| {
        let section = file.add_section(Vec::new(), name.into(), kind);
        file.append_section_data(section, contents, 4);
        section
    };
    let text = section(".text", SectionKind::Text, &module.text);
    let xdata = section(".xdata", SectionKind::ReadOnlyData, &sections.xdata);
    let pdata = section(".pdata", SectionKind::ReadOnlyData, &sections.pdata);
    for (index, function) in module.functions.iter().enumerate() {
        file.add_symbol(Symbol {
            name: format!("function{index}").into(),
            value: u64::from(function.start),
            size: function.code.len() as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
    }
    let (text, xdata) = (file.section_symbol(text), file.section_symbol(xdata));
    for word in 0..sections.pdata.len() as u64 / 4 {
        // Begin, end, unwind information.
        let symbol = if word % 3 == 2 { xdata } else { text };
        let flags = RelocationFlags::Coff { typ: object::pe::IMAGE_REL_AMD64_ADDR32NB };
        file.add_relocation(pdata, Relocation { offset: word * 4, symbol, addend: 0, flags }).unwrap();
    }
    let path = written(&file, "windows");
    let text = answer(Command::new("llvm-readobj-19").arg("--unwind").arg(&path));
    std::fs::remove_file(path).unwrap();
    assert_eq!(text.matches("RuntimeFunction {").count(), module.functions.len(), "{text}");
    insta::assert_snapshot!(text.split_once("UnwindInformation").unwrap().1);
}

/// Two functions for Windows, one with saves.
fn on_windows() -> Module {
    let mut shapes = [Shape::new(CallConv::WindowsFastcall, 2), Shape::new(CallConv::WindowsFastcall, 0)];
    shapes[0].slot = 64;
    compile("x86_64-pc-windows-msvc", &shapes, |body| {
        body.call(1, false);
        body.call(1, false);
        body.finish();
    })
}

#[test]
fn windows_unwind_codes() {
    let module = on_windows();
    let sections = WindowsUnwind::build(module.frames(), 0x1000, 0x8000).unwrap();
    assert_eq!(sections.pdata.len(), 12 * module.functions.len());
    let mut text = String::new();
    for entry in sections.pdata.chunks(12) {
        let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
        let unwind = UnwindInfo::parse(&sections.xdata, (word(8) - 0x8000) as usize).unwrap();
        writeln!(
            text,
            "{:#x}..{:#x}: prologue of {} bytes, frame {:?} + {}",
            word(0),
            word(4),
            unwind.size_of_prolog,
            unwind.frame_register,
            unwind.frame_register_offset
        )
        .unwrap();
        for code in unwind.unwind_codes() {
            let UnwindCode { code_offset, operation } = code.unwrap();
            writeln!(text, "  {code_offset:#04x} {operation:?}").unwrap();
            assert!(!matches!(operation, UnwindOperation::Noop));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn functions_with_equal_frames_share_their_windows_codes() {
    let shapes = [Shape::new(CallConv::WindowsFastcall, 1), Shape::new(CallConv::WindowsFastcall, 2)];
    let module = compile("x86_64-pc-windows-msvc", &shapes, |body| body.finish());
    let sections = WindowsUnwind::build(module.frames(), 0, 0).unwrap();
    assert_eq!(sections.pdata[8..12], sections.pdata[20..24]);
}

#[test]
fn wrong_operations_are_refused() {
    let module = compile(LINUX, &[Shape::new(CallConv::Tail, 1)], |body| body.finish());
    let build = |change: &dyn Fn(&mut unwind::FunctionFrame<'_>)| {
        let mut frame = module.frames().next().unwrap();
        change(&mut frame);
        FrameTable::build(Arch::X86_64, [frame]).unwrap_err()
    };
    const NOPS: &[u8] = &[0x90; 64];
    assert!(matches!(build(&|frame| frame.code = NOPS), Error::UnexpectedPrologue { .. }));
    assert!(matches!(build(&|frame| frame.code = &[]), Error::EmptyFunction(_)));
    assert!(matches!(build(&|frame| frame.code = &frame.code[..2]), Error::UnexpectedPrologue { .. }));
    assert!(matches!(build(&|frame| frame.prologue.reverse()), Error::UnexpectedOperation { .. }));
    let end = module.functions[0].code.len() - 1;
    assert!(matches!(build(&|frame| frame.code = &frame.code[..end]), Error::UnexpectedEpilogue { .. }));
    let twice = || module.frames().chain(module.frames());
    assert!(matches!(FrameTable::build(Arch::X86_64, twice()), Err(Error::Overlap { .. })));
}

#[test]
fn jump_tables_need_blocks() {
    let module = compile(LINUX, &[Shape::new(CallConv::Tail, 3)], |body| {
        body.switch(body.values[1]);
        body.finish();
    });
    let without = module.frames().map(|mut frame| {
        frame.basic_blocks = None;
        frame
    });
    assert!(matches!(FrameTable::build(Arch::X86_64, without), Err(Error::BlocksNeeded { .. })));
}
