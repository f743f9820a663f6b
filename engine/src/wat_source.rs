//! Debug info for modules that have none: their own text is the source.
//!
//! A module is printed in the text format, and debug info is made that says on which line of the text each operator
//! stands, and which local, global or entry of the operand stack each variable of the text is. It is DWARF as a
//! compiler would have put it into the module, so that everything else treats the module as any other.
//!
//! Where the module was assembled from text, that text is the source; the assembler says where each operator stands.

use crate::environ::Tunables;
use crate::translate::{ModuleTranslation, StackSpan, TranslateError, operand_stack_spans};
use crate::types::{HeapType, RefType, ValType};
use gimli::write::{
    Address, AttributeValue, DwarfUnit, EndianVec, Expression, FileId, LineProgram, LineString, Location, LocationList,
    Sections, UnitEntryId,
};
use gimli::{Encoding, Format, LineEncoding, LittleEndian, constants};
use std::collections::{BTreeMap, HashMap, HashSet};
use thiserror::Error;

/// A module with debug info that names its text.
#[derive(Clone, Debug)]
pub struct WatSource {
    /// The module's text, to be written to the file that the debug info names.
    pub text: String,
    /// The module with debug info added; every offset in it is as before.
    pub wasm: Vec<u8>,
}

/// Why there is no text.
#[derive(Debug, Error)]
pub enum WatSourceError {
    /// The module is malformed or invalid.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// It cannot be printed.
    #[error("the module cannot be printed as text: {0}")]
    Print(String),
    /// The debug info cannot be written.
    #[error("debug info for the module's text cannot be written: {0}")]
    Write(#[from] gimli::write::Error),
}

/// Prints a module and gives it debug info for the text, which will be the file `name` in `directory`.
///
/// `None` where the module has debug info of its own, or no code.
///
/// # Errors
///
/// A module that is not valid, or that cannot be printed.
pub fn wat_source(wasm: &[u8], directory: &str, name: &str) -> Result<Option<WatSource>, WatSourceError> {
    let tunables = Tunables::default();
    let module = ModuleTranslation::parse(wasm, &tunables)?;
    if !module.debug_sections.is_empty() || module.functions.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    let lines = line_numbers(wasm, &mut text)?;
    let mut writer = Writer::new(&module, lines, directory, name);
    writer.globals();
    for number in 0..module.functions.len() {
        writer.function(number);
    }
    let mut annotated = wasm.to_vec();
    writer.append_sections(&mut annotated)?;
    Ok(Some(WatSource { text, wasm: annotated }))
}

/// Gives a module that was assembled from text debug info for that text, which is the file `name` in `directory`.
///
/// `assembled` has debug info of the assembler's (the crate `wat`), of which the lines are kept. `None` where it has none.
///
/// # Errors
///
/// A module that is not valid.
pub fn with_own_text(assembled: &[u8], directory: &str, name: &str) -> Result<Option<Vec<u8>>, WatSourceError> {
    let tunables = Tunables::default();
    let module = ModuleTranslation::parse(assembled, &tunables)?;
    let Some(first_body) = module.functions.first().map(|function| function.body.range().start) else {
        return Ok(None);
    };
    let sections = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let section = module.debug_sections.iter().find(|(name, _)| *name == id.name());
        Ok(gimli::EndianSlice::new(section.map_or(&[][..], |(_, bytes)| bytes), LittleEndian))
    };
    let places = gimli::Dwarf::load(sections).and_then(|dwarf| assembler_places(&dwarf, first_body));
    let Ok(places) = places else { return Ok(None) };
    let Some(mut annotated) = without_debug_sections(assembled) else { return Ok(None) };
    let mut writer = Writer::new(&module, places, directory, name);
    writer.globals();
    for number in 0..module.functions.len() {
        writer.function(number);
    }
    writer.append_sections(&mut annotated)?;
    Ok(Some(annotated))
}

/// Where in the text operators and functions stand, by file offset, as the assembler's debug info has it.
///
/// The crate `wast` (263.0.0) counts addresses from behind the number of functions, and not from that number as all
/// others do. So the first function tells where they are counted from.
fn assembler_places<R: gimli::Reader<Offset = usize>>(
    dwarf: &gimli::Dwarf<R>,
    first_body: usize,
) -> Result<HashMap<u64, TextPlace>, gimli::Error> {
    let mut places = Vec::new();
    let mut first = u64::MAX;
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        if let Some(program) = &unit.line_program {
            let mut rows = program.clone().rows();
            while let Some((_, row)) = rows.next_row()? {
                if let Some(line) = row.line().filter(|_| !row.end_sequence()) {
                    let column = match row.column() {
                        gimli::ColumnType::LeftEdge => 0,
                        gimli::ColumnType::Column(column) => column.get(),
                    };
                    places.push((row.address(), TextPlace { line: line.get(), column }));
                }
            }
        }
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() == constants::DW_TAG_subprogram
                && let Some(gimli::AttributeValue::Addr(address)) = entry.attr_value(constants::DW_AT_low_pc)
                && let Some(line) = entry.attr_value(constants::DW_AT_decl_line).and_then(|line| line.udata_value())
            {
                first = first.min(address);
                places.push((address, TextPlace { line, column: 0 }));
            }
        }
    }
    Ok(places
        .into_iter()
        .map(|(address, place)| (address.wrapping_sub(first).wrapping_add(first_body as u64), place))
        .collect())
}

/// The module without the sections that debug info is in, which follow the code.
fn without_debug_sections(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut out = wasm.get(..8)?.to_vec();
    let mut start = 8;
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        let dropped =
            matches!(&payload, wasmparser::Payload::CustomSection(section) if section.name().starts_with(".debug_"));
        // The range is that of the contents, so that a section begins where the one before it ends.
        if let Some((_, range)) = payload.as_section() {
            if !dropped {
                out.extend_from_slice(wasm.get(start..range.end)?);
            }
            start = range.end;
        }
    }
    Some(out)
}

/// A place in the text; lines are counted from 1, columns too where there is one.
#[derive(Clone, Copy, Debug)]
struct TextPlace {
    line: u64,
    column: u64,
}

/// The line of everything that the text shows from the binary, by file offset.
fn line_numbers(wasm: &[u8], text: &mut String) -> Result<HashMap<u64, TextPlace>, WatSourceError> {
    let print = |error: &dyn std::fmt::Display| WatSourceError::Print(error.to_string().replace('\n', " "));
    let printed = wasmprinter::Config::new().offsets_and_lines(wasm, text).map_err(|error| print(&error))?;
    let mut lines = HashMap::new();
    for (line, (offset, _)) in printed.enumerate() {
        if let Some(offset) = offset {
            lines.entry(offset).or_insert(TextPlace { line: line as u64 + 1, column: 0 });
        }
    }
    Ok(lines)
}

const ENCODING: Encoding = Encoding { format: Format::Dwarf32, version: 5, address_size: 4 };

struct Writer<'m, 'a> {
    module: &'m ModuleTranslation<'a>,
    places: HashMap<u64, TextPlace>,
    dwarf: DwarfUnit,
    file: FileId,
    types: HashMap<ValType, UnitEntryId>,
}

impl<'m, 'a> Writer<'m, 'a> {
    fn new(
        module: &'m ModuleTranslation<'a>,
        places: HashMap<u64, TextPlace>,
        directory: &str,
        name: &str,
    ) -> Writer<'m, 'a> {
        let mut dwarf = DwarfUnit::new(ENCODING);
        let string = |text: &str| LineString::String(text.replace('\0', "?").into_bytes());
        let mut program =
            LineProgram::new(ENCODING, LineEncoding::default(), string(directory), None, string(name), None);
        let file = program.add_file(string(name), program.default_directory(), None);
        dwarf.unit.line_program = program;
        let root = dwarf.unit.get_mut(dwarf.unit.root());
        let text = |text: &str| AttributeValue::String(text.replace('\0', "?").into_bytes());
        root.set(constants::DW_AT_producer, text(concat!("wasmscope ", env!("CARGO_PKG_VERSION"))));
        // There is no code for the text format; as C, debuggers evaluate expressions with its variables.
        root.set(constants::DW_AT_language, AttributeValue::Language(constants::DW_LANG_C11));
        root.set(constants::DW_AT_name, text(name));
        root.set(constants::DW_AT_comp_dir, text(directory));
        root.set(constants::DW_AT_low_pc, AttributeValue::Address(Address::Constant(0)));
        Writer { module, places, dwarf, file, types: HashMap::new() }
    }

    fn place(&self, file_offset: usize) -> Option<TextPlace> {
        self.places.get(&(file_offset as u64)).copied()
    }

    fn address(&self, file_offset: usize) -> u64 {
        (file_offset - self.module.code_section.start) as u64
    }

    fn globals(&mut self) {
        let mut names = UniqueNames(self.module.names.functions.values().cloned().collect());
        for (index, global) in self.module.module.globals.iter().enumerate() {
            let given = self.module.names.globals.get(&(index as u32)).map(String::as_str);
            let name = names.pick(given, "global", index);
            let mut location = Expression::new();
            location.op_wasm_global(index as u32);
            location.op(constants::DW_OP_stack_value);
            let root = self.dwarf.unit.root();
            self.variable(root, constants::DW_TAG_variable, name, global.content, AttributeValue::Exprloc(location));
        }
    }

    fn variable(
        &mut self,
        parent: UnitEntryId,
        tag: gimli::DwTag,
        name: String,
        ty: ValType,
        location: AttributeValue,
    ) {
        let ty = self.ty(ty);
        let id = self.dwarf.unit.add(parent, tag);
        let entry = self.dwarf.unit.get_mut(id);
        entry.set(constants::DW_AT_name, AttributeValue::String(name.into_bytes()));
        entry.set(constants::DW_AT_type, AttributeValue::UnitRef(ty));
        entry.set(constants::DW_AT_location, location);
    }

    fn ty(&mut self, ty: ValType) -> UnitEntryId {
        let ty = match ty {
            ValType::Ref(reference) if reference.heap.is_extern() => ValType::EXTERNREF,
            ValType::Ref(reference) if reference.heap == HeapType::I31 => {
                ValType::Ref(RefType { nullable: true, ..reference })
            }
            ValType::Ref(_) => ValType::FUNCREF,
            ty => ty,
        };
        if let Some(&id) = self.types.get(&ty) {
            return id;
        }
        let (name, size, encoding) = match ty {
            ValType::I32 => ("i32", 4, constants::DW_ATE_signed),
            ValType::I64 => ("i64", 8, constants::DW_ATE_signed),
            ValType::F32 => ("f32", 4, constants::DW_ATE_float),
            ValType::F64 => ("f64", 8, constants::DW_ATE_float),
            ValType::V128 => ("u8", 1, constants::DW_ATE_unsigned_char),
            // As it is: twice the value plus 1, or 0 for null.
            ValType::Ref(reference) if reference.heap == HeapType::I31 => ("i31ref", 8, constants::DW_ATE_unsigned),
            ValType::Ref(reference) => {
                let id = self.reference(reference.heap.is_extern());
                self.types.insert(ty, id);
                return id;
            }
        };
        let root = self.dwarf.unit.root();
        let mut id = self.dwarf.unit.add(root, constants::DW_TAG_base_type);
        let entry = self.dwarf.unit.get_mut(id);
        entry.set(constants::DW_AT_name, AttributeValue::String(name.into()));
        entry.set(constants::DW_AT_byte_size, AttributeValue::Udata(size));
        entry.set(constants::DW_AT_encoding, AttributeValue::Encoding(encoding));
        if ty == ValType::V128 {
            let array = self.dwarf.unit.add(root, constants::DW_TAG_array_type);
            self.dwarf.unit.get_mut(array).set(constants::DW_AT_type, AttributeValue::UnitRef(id));
            self.dwarf.unit.get_mut(array).set(constants::DW_AT_GNU_vector, AttributeValue::Flag(true));
            let bounds = self.dwarf.unit.add(array, constants::DW_TAG_subrange_type);
            self.dwarf.unit.get_mut(bounds).set(constants::DW_AT_count, AttributeValue::Udata(16));
            id = array;
        }
        self.types.insert(ty, id);
        id
    }

    /// A type as clang has it for references to host values: a definition of an undefined structure, which
    /// [`dwarf_transform`] makes a pointer.
    fn reference(&mut self, is_extern: bool) -> UnitEntryId {
        let (name, structure) = if is_extern {
            ("externref", dwarf_transform::EXTERNREF_STRUCTURE)
        } else {
            ("funcref", dwarf_transform::FUNCREF_STRUCTURE)
        };
        let root = self.dwarf.unit.root();
        let declaration = self.dwarf.unit.add(root, constants::DW_TAG_structure_type);
        let entry = self.dwarf.unit.get_mut(declaration);
        entry.set(constants::DW_AT_name, AttributeValue::String(structure.into()));
        entry.set(constants::DW_AT_declaration, AttributeValue::Flag(true));
        let id = self.dwarf.unit.add(root, constants::DW_TAG_typedef);
        let entry = self.dwarf.unit.get_mut(id);
        entry.set(constants::DW_AT_name, AttributeValue::String(name.into()));
        entry.set(constants::DW_AT_type, AttributeValue::UnitRef(declaration));
        id
    }

    fn function(&mut self, number: usize) {
        let input = &self.module.functions[number];
        let range = input.body.range();
        let Ok(mut operators) = input.body.get_operators_reader() else { return };
        let first = operators.original_position();
        let begin = self.address(range.start);
        // The head of a function stands on the line above its locals or its first operator.
        let head = self.place(range.start).or_else(|| {
            self.place(first).map(|place| TextPlace { line: place.line.saturating_sub(1).max(1), column: 0 })
        });

        let root = self.dwarf.unit.root();
        let id = self.dwarf.unit.add(root, constants::DW_TAG_subprogram);
        let entry = self.dwarf.unit.get_mut(id);
        let name = self.module.names.symbol(input.index);
        entry.set(constants::DW_AT_name, AttributeValue::String(name.into_bytes()));
        entry.set(constants::DW_AT_low_pc, AttributeValue::Address(Address::Constant(begin)));
        entry.set(constants::DW_AT_high_pc, AttributeValue::Udata((range.end - range.start) as u64));
        entry.set(constants::DW_AT_external, AttributeValue::Flag(true));
        if let Some(head) = head {
            entry.set(constants::DW_AT_decl_file, AttributeValue::FileIndex(Some(self.file)));
            entry.set(constants::DW_AT_decl_line, AttributeValue::Udata(head.line));
        }
        self.locals(id, number);
        self.operand_stack(id, number);

        self.dwarf.unit.line_program.begin_sequence(Some(Address::Constant(begin)));
        if let Some(head) = head {
            self.row(0, head, false);
        }
        let mut body = true;
        while !operators.eof() {
            let Ok((_, offset)) = operators.read_with_offset() else { break };
            if let Some(place) = self.place(offset) {
                self.row((offset - range.start) as u64, place, std::mem::take(&mut body));
            }
        }
        self.dwarf.unit.line_program.end_sequence((range.end - range.start) as u64);
    }

    fn row(&mut self, offset: u64, place: TextPlace, prologue_end: bool) {
        let file = self.file;
        let row = self.dwarf.unit.line_program.row();
        (row.address_offset, row.file, row.line, row.column) = (offset, file, place.line, place.column);
        (row.is_statement, row.prologue_end) = (true, prologue_end);
        self.dwarf.unit.line_program.generate_row();
    }

    fn locals(&mut self, function: UnitEntryId, number: usize) {
        let input = &self.module.functions[number];
        let types = crate::compile::local_types(&self.module.module, input);
        let params = self.module.module.func_type(input.index).params.len();
        let given = self.module.names.locals.get(&input.index);
        let mut names = UniqueNames::default();
        for (index, ty) in types.into_iter().enumerate() {
            let given = given.and_then(|given| given.get(&(index as u32))).map(String::as_str);
            let name = names.pick(given, "local", index);
            let tag = if index < params { constants::DW_TAG_formal_parameter } else { constants::DW_TAG_variable };
            let mut location = Expression::new();
            location.op_wasm_local(index as u32);
            location.op(constants::DW_OP_stack_value);
            self.variable(function, tag, name, ty, AttributeValue::Exprloc(location));
        }
    }

    /// `stack0` is the lowest entry. Where entries of several types come to lie there, each type has its variable.
    fn operand_stack(&mut self, function: UnitEntryId, number: usize) {
        let input = &self.module.functions[number];
        let mut found = BTreeMap::<(u32, &str), (ValType, Vec<_>)>::new();
        for StackSpan { depth, ty, operators } in operand_stack_spans(input, &self.module.module) {
            let range = self.address(operators.start as usize)..self.address(operators.end as usize);
            found.entry((depth, type_name(ty))).or_insert((ty, Vec::new())).1.push(range);
        }

        let depths: Vec<u32> = found.keys().map(|(depth, _)| *depth).collect();
        for ((depth, type_name), (ty, ranges)) in found {
            let several = depths.iter().filter(|other| **other == depth).count() > 1;
            let name = if several { format!("stack{depth}_{type_name}") } else { format!("stack{depth}") };
            let list = ranges.into_iter().map(|range| {
                let mut data = Expression::new();
                data.op_wasm_stack(depth);
                data.op(constants::DW_OP_stack_value);
                let [begin, end] = [range.start, range.end].map(Address::Constant);
                Location::StartEnd { begin, end, data }
            });
            let list = self.dwarf.unit.locations.add(LocationList(list.collect()));
            self.variable(function, constants::DW_TAG_variable, name, ty, AttributeValue::LocationListRef(list));
        }
    }

    fn append_sections(mut self, wasm: &mut Vec<u8>) -> Result<(), WatSourceError> {
        let mut sections = Sections::new(EndianVec::new(LittleEndian));
        self.dwarf.write(&mut sections)?;
        sections.for_each(|id, bytes| -> Result<(), WatSourceError> {
            if !bytes.slice().is_empty() {
                custom_section(wasm, id.name(), bytes.slice());
            }
            Ok(())
        })
    }
}

/// Names as the text has them, made unique and, where there are none, made up.
///
/// Without the text's `$`: debuggers take such a name for a variable of their own.
#[derive(Default)]
struct UniqueNames(HashSet<String>);

impl UniqueNames {
    fn pick(&mut self, given: Option<&str>, kind: &str, index: usize) -> String {
        let given = given.filter(|name| !name.is_empty() && !name.contains('\0') && !self.0.contains(*name));
        let name = given.map_or_else(|| format!("{kind}{index}"), str::to_owned);
        self.0.insert(name.clone());
        name
    }
}

fn type_name(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::V128 => "v128",
        ValType::Ref(reference) if reference.heap.is_extern() => "externref",
        ValType::Ref(reference) if reference.heap == HeapType::I31 => "i31ref",
        ValType::Ref(_) => "funcref",
    }
}

fn custom_section(wasm: &mut Vec<u8>, name: &str, contents: &[u8]) {
    let mut head = Vec::new();
    leb128(&mut head, name.len());
    head.extend_from_slice(name.as_bytes());
    wasm.push(0);
    leb128(wasm, head.len() + contents.len());
    wasm.extend_from_slice(&head);
    wasm.extend_from_slice(contents);
}

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
