//! A guest module read from a file, native code that is made up for it, and an ELF file to show the result to tools.
//!
//! The made-up code is simple enough to know by heart: each function begins at a multiple of 16; its prologue takes
//! [`PROLOGUE`] bytes, each operator [`STEP`], the epilogue [`EPILOGUE`].

#![allow(dead_code, reason = "each test file uses its own part")]

use dwarf_transform::{
    AddressRow, ENTRY_VALUE_HOME, GlobalAccess, GuestFunction, GuestModule, GuestSection, GuestSections, Home,
    MemoryAccess, NativeFunction, NativeModule, OPERAND_STACK_HOME, RelocationTarget, Scan, Section, TextOffset,
    ValType, WasmOffset,
};
use object::write::{Object, StandardSegment, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use wasmparser::{Parser, Payload, TypeRef};

/// Bytes of a made-up prologue.
pub const PROLOGUE: u32 = 16;
/// Bytes of a made-up operator.
pub const STEP: u32 = 4;
/// Bytes of a made-up epilogue.
pub const EPILOGUE: u32 = 4;
/// Where `.text` is linked in the ELF file.
pub const TEXT_ADDRESS: u64 = 0x10000;
/// Where the instance cell is.
pub const CELL_ADDRESS: u64 = 0x8000;

/// The operators of each function.
pub type Operators = Vec<Vec<(WasmOffset, bool)>>;

/// Reads a module. The operators are `(offset, whether an anchor may stand before it)`.
pub fn read_module(wasm: &[u8]) -> (GuestModule<'_>, Operators) {
    let mut guest = GuestModule::default();
    let mut operators = Vec::new();
    let values = |types: &[wasmparser::ValType]| types.iter().map(|ty| val_type(*ty)).collect();
    let mut types: Vec<(Vec<ValType>, Vec<ValType>)> = Vec::new();
    let mut signatures: Vec<u32> = Vec::new();
    let mut code_base = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("valid wasm") {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    let ty = ty.expect("function type");
                    types.push((values(ty.params()), values(ty.results())));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    match import.expect("import").ty {
                        TypeRef::Func(_) => guest.imported_functions += 1,
                        TypeRef::Global(global) => guest.globals.push(val_type(global.content_type)),
                        TypeRef::Memory(memory) => guest.memory64 |= memory.memory64,
                        _ => {}
                    }
                }
            }
            Payload::FunctionSection(section) => {
                signatures = section.into_iter().map(|index| index.expect("type index")).collect();
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.expect("memory");
                    guest.memory64 |= memory.memory64;
                    if memory.shared {
                        // wasm-ld gives `__tls_base` the number 1, after `__stack_pointer`.
                        guest.thread_locals = dwarf_transform::ThreadLocals::RelativeTo(1);
                    }
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    guest.globals.push(val_type(global.expect("global").ty.content_type));
                }
            }
            Payload::CodeSectionStart { unchecked_range, .. } => code_base = unchecked_range.start,
            Payload::CodeSectionEntry(body) => {
                let position = guest.functions.len();
                let relative = |offset: u64| WasmOffset(u32::try_from(offset - code_base).expect("small module"));
                let (mut locals, results) = types[signatures[position] as usize].clone();
                for group in body.get_locals_reader().expect("locals") {
                    let (count, ty) = group.expect("local group");
                    locals.extend(std::iter::repeat_n(val_type(ty), count as usize));
                }
                let parameters = types[signatures[position] as usize].0.len();
                let mut found = Vec::new();
                let mut reader = body.get_operators_reader().expect("operators");
                let code_start = relative(reader.original_position());
                while !reader.eof() {
                    let offset = relative(reader.original_position());
                    let operator = reader.read().expect("operator");
                    let anchor = !matches!(
                        operator,
                        wasmparser::Operator::End | wasmparser::Operator::Else | wasmparser::Operator::Loop { .. }
                    );
                    found.push((offset, anchor));
                }
                let range = body.range();
                guest.functions.push(GuestFunction {
                    index: guest.imported_functions + u32::try_from(position).expect("few functions"),
                    body: relative(range.start)..relative(range.end),
                    code_start,
                    locals,
                    parameters,
                    results,
                });
                operators.push(found);
            }
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                guest.sections.sections.push(GuestSection { name: section.name(), bytes: section.data() });
            }
            _ => {}
        }
    }
    (guest, operators)
}

/// The custom sections of a file with debug info.
pub fn custom_sections(wasm: &[u8]) -> GuestSections<'_> {
    let mut sections = GuestSections::default();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CustomSection(section) = payload.expect("valid wasm") {
            sections.sections.push(GuestSection { name: section.name(), bytes: section.data() });
        }
    }
    sections
}

fn val_type(ty: wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(_) => ValType::Ref,
    }
}

/// Makes up native code for a module.
pub fn native_module(guest: &GuestModule<'_>, operators: &Operators, scan: &Scan) -> NativeModule {
    let mut native = NativeModule { instance_cell: true, ..NativeModule::default() };
    let mut text = 0;
    for ((function, operators), uses) in guest.functions.iter().zip(operators).zip(&scan.uses.functions) {
        let start = text;
        let mut rows = vec![AddressRow { text: TextOffset(start), wasm: None, anchor: false, new_block: false }];
        text += PROLOGUE;
        let prologue_end = TextOffset(text);
        let mut statements = uses.statements.iter().filter(|statement| statement.new_line).peekable();
        let mut pending = false;
        for &(offset, anchor_allowed) in operators {
            while statements.next_if(|statement| statement.offset <= offset).is_some() {
                pending = true;
            }
            let anchor = pending && anchor_allowed;
            pending &= !anchor;
            rows.push(AddressRow { text: TextOffset(text), wasm: Some(offset), anchor, new_block: false });
            text += STEP;
        }
        rows.push(AddressRow { text: TextOffset(text), wasm: None, anchor: false, new_block: false });
        text += EPILOGUE;
        let mut depths: Vec<u32> = uses.stack_values.iter().map(|value| value.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        let homes = uses
            .locals
            .iter()
            .enumerate()
            .map(|(position, &local)| Home {
                local,
                cfa_offset: -32 - 16 * i32::try_from(position).expect("few locals"),
                size: function.locals[local.checked_sub(ENTRY_VALUE_HOME).unwrap_or(local) as usize].size(),
                writable: position % 2 == 0 && local < ENTRY_VALUE_HOME,
            })
            .chain(depths.into_iter().map(|depth| Home {
                local: OPERAND_STACK_HOME + depth,
                cfa_offset: -1024 - 8 * i32::try_from(depth).expect("few entries"),
                size: 8,
                writable: false,
            }))
            .collect();
        native.functions.push(NativeFunction {
            text: TextOffset(start)..TextOffset(text),
            rows,
            prologue_end,
            homes,
            vmctx_home_cfa_offset: uses.needs_vmctx.then_some(-24),
            calls: Vec::new(),
            lost_stack_values: Vec::new(),
            entries: Vec::new(),
            leading: Vec::new(),
            apart: Vec::new(),
            reloads: Vec::new(),
            overwritten: Vec::new(),
            continued: Vec::new(),
            returns_result_place: uses.has_result,
            has_call_entry: false,
            stack_value_ends: Vec::new(),
            traps: Vec::new(),
        });
        text = text.next_multiple_of(16);
    }
    native.memories.push(MemoryAccess { vmctx_offset: 64, indirect: false });
    for (position, ty) in guest.globals.iter().enumerate() {
        let vmctx_offset = 128 + 16 * u32::try_from(position).expect("few globals");
        native.globals.push(GlobalAccess { vmctx_offset, indirect: false, ty: *ty });
    }
    native.text_size = text;
    native
}

/// Applies the relocations.
pub fn link(section: &Section) -> Vec<u8> {
    let mut bytes = section.bytes.clone();
    for relocation in &section.relocations {
        let target = match relocation.target {
            RelocationTarget::Text => TEXT_ADDRESS,
            RelocationTarget::InstanceCell => CELL_ADDRESS,
        };
        assert_eq!(relocation.size, 8);
        let offset = relocation.offset as usize;
        bytes[offset..offset + 8].copy_from_slice(&target.wrapping_add_signed(relocation.addend).to_le_bytes());
    }
    bytes
}

/// An ELF file with the sections, for tools that read DWARF.
pub fn elf(sections: &[Section], native: &NativeModule) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let text =
        object.add_section(object.segment_name(StandardSegment::Text).to_vec(), b".text".to_vec(), SectionKind::Text);
    object.append_section_data(text, &vec![0x90; native.text_size as usize], 16);
    for (position, function) in native.functions.iter().enumerate() {
        object.add_symbol(Symbol {
            name: format!("wasm_{position}").into_bytes(),
            value: u64::from(function.text.start.0),
            size: u64::from(function.text.end.0 - function.text.start.0),
            kind: SymbolKind::Text,
            scope: SymbolScope::Compilation,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
    }
    for section in sections {
        let id = object.add_section(Vec::new(), section.name.as_bytes().to_vec(), SectionKind::Debug);
        object.append_section_data(id, &link(section), 1);
    }
    let mut bytes = object.write().expect("ELF");
    // An executable whose .text lies where the sections say: `object` only writes relocatable files this simply.
    bytes[16] = 2;
    let header = u64::from_le_bytes(bytes[40..48].try_into().expect("8 bytes")) as usize;
    let count = u16::from_le_bytes(bytes[60..62].try_into().expect("2 bytes")) as usize;
    for position in 0..count {
        let at = header + position * 64;
        let flags = u64::from_le_bytes(bytes[at + 8..at + 16].try_into().expect("8 bytes"));
        if flags & 4 != 0 {
            bytes[at + 16..at + 24].copy_from_slice(&TEXT_ADDRESS.to_le_bytes());
        }
    }
    bytes
}
