//! A small artifact, put together by hand: two functions with a frame table and DWARF of their own.
//!
//! ```c
//!  1  int sample_counter = 42;
//!  2  int inner(int a)
//!  3  {
//!  4    return a + 1;
//!  5  }
//!  6
//!  7  int outer(int n)
//!  8  {
//!  9    return inner(n) * 2;
//! 10  }
//! ```
#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use artifact::{
    AddressMap, AddressMapEntry, ArtifactBuilder, CodeOffset, DebugRelocation, DebugSection, Function, FunctionKind,
    LinkLayout, LocalHome, Machine, RelocationTarget, StackMap, Symbol, TextOffset, Trap, TrapCode, WasmOffset,
};
use gimli::write::{
    Address, AttributeValue, CallFrameInstruction, CommonInformationEntry, Dwarf, EhFrame, EndianVec, Expression,
    FrameDescriptionEntry, FrameTable, LineProgram, LineString, RelocateWriter, Relocation, Sections,
};
use gimli::{Encoding, Format, LittleEndian, X86_64};

/// The wasm text the code was "compiled" from.
pub const WAT: &str = r#"(module
  (func $inner (export "inner") (param $a i32) (result i32)
    local.get $a
    i32.const 1
    i32.add)
  (func $outer (export "outer") (param $n i32) (result i32)
    local.get $n
    call $inner
    i32.const 1
    i32.shl))
"#;

const INNER: &[u8] = &[
    0x55, //             0  push rbp
    0x48, 0x89, 0xe5, // 1  mov rbp, rsp
    0x89, 0x7d, 0xfc, // 4  mov [rbp-4], edi
    0x8b, 0x45, 0xfc, // 7  mov eax, [rbp-4]
    0x83, 0xc0, 0x01, // 10 add eax, 1
    0x5d, //             13 pop rbp
    0xc3, //             14 ret
];
/// `outer` starts here; a `nop` fills the gap.
pub const OUTER_AT: u32 = 16;
const OUTER: &[u8] = &[
    0x55, //                         0  push rbp
    0x48, 0x89, 0xe5, //             1  mov rbp, rsp
    0x48, 0x83, 0xec, 0x10, //       4  sub rsp, 16
    0x89, 0x7d, 0xfc, //             8  mov [rbp-4], edi
    0x8b, 0x7d, 0xfc, //             11 mov edi, [rbp-4]
    0xe8, 0xdd, 0xff, 0xff, 0xff, // 14 call inner
    0x01, 0xc0, //                   19 add eax, eax
    0xc9, //                         21 leave
    0xc3, //                         22 ret
    0x0f, 0x0b, //                   23 ud2
];

/// The sample's builder, complete.
pub fn builder() -> ArtifactBuilder {
    let mut builder = ArtifactBuilder::new(Machine::X86_64);
    builder.text = INNER.to_vec();
    builder.text.resize(OUTER_AT as usize, 0x90);
    builder.text.extend_from_slice(OUTER);
    builder.eh_frame = eh_frame(LinkLayout::eh_frame_address(Machine::X86_64, builder.text.len()));
    builder.module = wat::parse_str(WAT).expect("the sample is valid");
    builder.meta = b"the engine's own".to_vec();
    builder.symbols.push(Symbol { name: "alias_of_inner".into(), text: TextOffset(0), size: INNER.len() as u32 });

    let mut inner = Function::new(FunctionKind::Guest(0), "inner", TextOffset(0), INNER.len() as u32);
    inner.body = 2..9;
    inner.address_map = address_map(&[(0, None), (7, Some(3)), (10, Some(7)), (13, None)], None);
    inner.homes = vec![LocalHome { local: 0, cfa_offset: -20, size: 4, writable: true }];
    let mut outer = Function::new(FunctionKind::Guest(1), "outer", TextOffset(OUTER_AT), OUTER.len() as u32);
    outer.body = 10..19;
    outer.address_map = address_map(&[(0, None), (11, Some(11)), (14, Some(13)), (19, Some(17)), (21, None)], Some(11));
    outer.homes = vec![LocalHome { local: 0, cfa_offset: -20, size: 4, writable: false }];
    outer.vmctx_home = Some(-32);
    outer.traps = vec![Trap { code: CodeOffset(23), trap_code: TrapCode::UnreachableCodeReached as u8 }];
    outer.stack_maps = vec![StackMap { return_address: CodeOffset(19), slots: vec![0, 8] }];
    // Not in the order of their text, which the builder must not need.
    builder.functions = vec![outer, inner];

    builder.debug_sections = dwarf();
    builder
}

/// The sample's bytes.
pub fn bytes() -> Vec<u8> {
    builder().finish().expect("the sample is sound")
}

fn address_map(rows: &[(u32, Option<u32>)], anchor: Option<u32>) -> AddressMap {
    let entry = |&(code, wasm): &(u32, Option<u32>)| AddressMapEntry {
        code: CodeOffset(code),
        wasm: wasm.map(WasmOffset),
        anchor: anchor == Some(code),
    };
    rows.iter().map(entry).collect()
}

fn eh_frame(address: u64) -> Vec<u8> {
    let encoding = Encoding { format: Format::Dwarf32, version: 1, address_size: 8 };
    let mut table = FrameTable::default();
    let mut cie = CommonInformationEntry::new(encoding, 1, -8, X86_64::RA);
    cie.fde_address_encoding = gimli::DwEhPe(gimli::DW_EH_PE_pcrel.0 | gimli::DW_EH_PE_sdata4.0);
    cie.add_instruction(CallFrameInstruction::Cfa(X86_64::RSP, 8));
    cie.add_instruction(CallFrameInstruction::Offset(X86_64::RA, -8));
    let cie = table.add_cie(cie);
    for (start, len, ret) in [(0, INNER.len(), 14), (OUTER_AT, OUTER.len(), 22)] {
        // gimli takes the section to start at zero.
        let start = Address::Constant((artifact::TEXT_ADDRESS + u64::from(start)).wrapping_sub(address));
        let mut fde = FrameDescriptionEntry::new(start, len as u32);
        fde.add_instruction(1, CallFrameInstruction::CfaOffset(16));
        fde.add_instruction(1, CallFrameInstruction::Offset(X86_64::RBP, -16));
        fde.add_instruction(4, CallFrameInstruction::CfaRegister(X86_64::RBP));
        fde.add_instruction(ret, CallFrameInstruction::RememberState);
        fde.add_instruction(ret, CallFrameInstruction::Cfa(X86_64::RSP, 8));
        fde.add_instruction(ret, CallFrameInstruction::SameValue(X86_64::RBP));
        fde.add_instruction(ret + 1, CallFrameInstruction::RestoreState);
        table.add_fde(cie, fde);
    }
    let mut section = EhFrame(EndianVec::new(LittleEndian));
    table.write_eh_frame(&mut section).expect("the sample's frame table is sound");
    let mut bytes = section.0.into_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// gimli symbols: 0 is the text, 1 the instance cell.
const TEXT: usize = 0;
const CELL: usize = 1;

fn dwarf() -> Vec<DebugSection> {
    let encoding = Encoding { format: Format::Dwarf32, version: 4, address_size: 8 };
    let text = |offset: u32| Address::Symbol { symbol: TEXT, addend: i64::from(offset) };
    let mut dwarf = Dwarf::new();
    let name = LineString::String(b"guest.c".to_vec());
    let mut lines =
        LineProgram::new(encoding, Default::default(), LineString::String(b"/src".to_vec()), None, name.clone(), None);
    let file = lines.add_file(name, lines.default_directory(), None);
    lines.begin_sequence(Some(text(0)));
    for (offset, line, prologue_end) in [(0, 3, false), (7, 4, true), (13, 5, false)]
        .into_iter()
        .chain([(0, 8, false), (11, 9, true), (21, 10, false)].map(|(at, line, end)| (at + OUTER_AT, line, end)))
    {
        let row = lines.row();
        (row.address_offset, row.file, row.line, row.prologue_end) = (u64::from(offset), file, line, prologue_end);
        lines.generate_row();
    }
    let text_len = OUTER_AT + OUTER.len() as u32;
    lines.end_sequence(u64::from(text_len));

    let unit_id = dwarf.units.add(gimli::write::Unit::new(encoding, lines));
    let unit = dwarf.units.get_mut(unit_id);
    let root = unit.root();
    let string = |text: &str| AttributeValue::String(text.as_bytes().to_vec());
    let entry = unit.get_mut(root);
    entry.set(gimli::DW_AT_name, string("guest.c"));
    entry.set(gimli::DW_AT_comp_dir, string("/src"));
    entry.set(gimli::DW_AT_producer, string("by hand"));
    entry.set(gimli::DW_AT_language, AttributeValue::Language(gimli::DW_LANG_C99));
    entry.set(gimli::DW_AT_low_pc, AttributeValue::Address(text(0)));
    entry.set(gimli::DW_AT_high_pc, AttributeValue::Udata(u64::from(text_len)));
    let int = unit.add(root, gimli::DW_TAG_base_type);
    let entry = unit.get_mut(int);
    entry.set(gimli::DW_AT_name, string("int"));
    entry.set(gimli::DW_AT_byte_size, AttributeValue::Udata(4));
    entry.set(gimli::DW_AT_encoding, AttributeValue::Encoding(gimli::DW_ATE_signed));

    let counter = unit.add(root, gimli::DW_TAG_variable);
    let mut cell = Expression::new();
    cell.op_addr(Address::Symbol { symbol: CELL, addend: 0 });
    let entry = unit.get_mut(counter);
    entry.set(gimli::DW_AT_name, string("sample_counter"));
    entry.set(gimli::DW_AT_type, AttributeValue::UnitRef(int));
    entry.set(gimli::DW_AT_external, AttributeValue::Flag(true));
    entry.set(gimli::DW_AT_location, AttributeValue::Exprloc(cell));

    for (function, parameter, start, len, line) in
        [("inner", "a", 0, INNER.len(), 2), ("outer", "n", OUTER_AT, OUTER.len(), 7)]
    {
        let subprogram = unit.add(root, gimli::DW_TAG_subprogram);
        let mut frame_base = Expression::new();
        frame_base.op(gimli::DW_OP_call_frame_cfa);
        let entry = unit.get_mut(subprogram);
        entry.set(gimli::DW_AT_name, string(function));
        entry.set(gimli::DW_AT_external, AttributeValue::Flag(true));
        entry.set(gimli::DW_AT_decl_file, AttributeValue::FileIndex(Some(file)));
        entry.set(gimli::DW_AT_decl_line, AttributeValue::Udata(line));
        entry.set(gimli::DW_AT_prototyped, AttributeValue::Flag(true));
        entry.set(gimli::DW_AT_type, AttributeValue::UnitRef(int));
        entry.set(gimli::DW_AT_low_pc, AttributeValue::Address(text(start)));
        entry.set(gimli::DW_AT_high_pc, AttributeValue::Udata(len as u64));
        entry.set(gimli::DW_AT_frame_base, AttributeValue::Exprloc(frame_base));
        let formal = unit.add(subprogram, gimli::DW_TAG_formal_parameter);
        let mut home = Expression::new();
        home.op_fbreg(-20);
        let entry = unit.get_mut(formal);
        entry.set(gimli::DW_AT_name, string(parameter));
        entry.set(gimli::DW_AT_type, AttributeValue::UnitRef(int));
        entry.set(gimli::DW_AT_location, AttributeValue::Exprloc(home));
    }

    let mut sections = Sections::new(RecordingSection::default());
    dwarf.write(&mut sections).expect("the sample's DWARF is sound");
    let mut out = Vec::new();
    sections
        .for_each(|id, section| {
            let mut bytes = section.bytes.clone().into_vec();
            if bytes.is_empty() {
                return Ok(());
            }
            let mut relocations = Vec::new();
            for relocation in &section.relocations {
                match relocation.target {
                    gimli::write::RelocationTarget::Symbol(symbol) => relocations.push(DebugRelocation {
                        offset: relocation.offset as u32,
                        size: relocation.size,
                        target: if symbol == TEXT { RelocationTarget::Text } else { RelocationTarget::InstanceCell },
                        addend: relocation.addend,
                    }),
                    gimli::write::RelocationTarget::Section(_) => {
                        let size = usize::from(relocation.size);
                        bytes[relocation.offset..][..size].copy_from_slice(&relocation.addend.to_le_bytes()[..size]);
                    }
                }
            }
            out.push(DebugSection { name: id.name().to_owned(), bytes, relocations });
            Ok::<(), gimli::write::Error>(())
        })
        .expect("nothing fails");
    out
}

#[derive(Clone)]
struct RecordingSection {
    bytes: EndianVec<LittleEndian>,
    relocations: Vec<Relocation>,
}

impl Default for RecordingSection {
    fn default() -> Self {
        RecordingSection { bytes: EndianVec::new(LittleEndian), relocations: Vec::new() }
    }
}

impl RelocateWriter for RecordingSection {
    type Writer = EndianVec<LittleEndian>;

    fn writer(&self) -> &Self::Writer {
        &self.bytes
    }

    fn writer_mut(&mut self) -> &mut Self::Writer {
        &mut self.bytes
    }

    fn relocate(&mut self, relocation: Relocation) {
        self.relocations.push(relocation);
    }
}
