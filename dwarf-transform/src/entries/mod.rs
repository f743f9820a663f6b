//! Fills the output's units: a clone of the guest's trees, with native code addresses and locations.

mod attributes;
mod callable;
mod declared;
mod discriminants;
mod host_references;
mod locations;
mod member_pointers;
mod named_pointers;
mod parts;
mod pointer_types;
mod results;
mod types;
mod virtual_bases;
mod wasm_variables;
mod wide_floats;

pub(crate) use attributes::is_callee_location;
pub(crate) use callable::Callable;
pub use callable::{CALL_ENTRY_PREFIX, CallShape};
pub(crate) use declared::DeclaredSizes;
use parts::{Part, Use};
pub(crate) use results::ReturnedTypes;
use results::ShownResult;

use crate::address::{TextOffset, ValType, WasmOffset};
use crate::address_map::{RangeBudget, TextRange};
use crate::address_table::{ADDRESS_BASE, AddressTable};
use crate::expression::{EntryLookup, Failure, FrameBase, GuestExpression, Role};
use crate::files::{Files, files};
use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::guest_lines::UnitLines;
use crate::host_reference::HostReference;
use crate::loss::{LossKind, Losses};
use crate::macros::{self, UnitMacros};
use crate::native_lines::{function_rows, rows_for_gdb, rows_for_lldb};
use crate::options::{PointerFlavour, TransformOptions};
use crate::plan::{Input, NONE, Plan};
use crate::pointers::PointerKind;
use crate::scope::{Entry, scope_begin};
use crate::static_objects::linkage_name;
use crate::tables::{EntryId, EntryReference, ExpressionId, LineProgram, LineRow, LineSequence, Unit as Output, Value};
use gimli::{AttributeValue, DieReference, Encoding, Format, Section as _, UnitOffset, constants as c};
use std::collections::HashMap;

/// The string sections of the guest and of its split units, one behind the other: the output's strings.
pub(crate) struct Strings {
    /// Where the section of each container begins, and its size.
    containers: Vec<(usize, usize)>,
}

impl Strings {
    /// Copies the sections to `output`.
    pub(crate) fn new(dwarf: &GuestDwarf<'_>, output: &mut Vec<u8>) -> Strings {
        // The units of a package share their strings.
        let mut known: HashMap<(*const u8, usize), usize> = HashMap::new();
        let mut containers = Vec::new();
        for container in &dwarf.containers {
            let section = container.debug_str.reader().slice();
            // What comes after the last zero is no text.
            let size = section.iter().rposition(|byte| *byte == 0).map_or(0, |last| last + 1);
            let begin = *known.entry((section.as_ptr(), section.len())).or_insert_with(|| {
                let begin = output.len();
                output.extend_from_slice(&section[..size]);
                begin
            });
            containers.push((begin, size));
        }
        Strings { containers }
    }

    /// The output's offset of the text at `offset` in the section of a container.
    fn get(&self, container: usize, offset: usize) -> Option<u32> {
        let (begin, size) = self.containers[container];
        u32::try_from(begin + offset).ok().filter(|_| offset < size)
    }
}

/// Everything that filling a unit looks at.
#[derive(Clone, Copy)]
pub(crate) struct Fill<'f, 'a> {
    pub(crate) input: Input<'f, 'a>,
    pub(crate) plan: &'f Plan,
    pub(crate) strings: &'f Strings,
    pub(crate) options: &'f TransformOptions,
    pub(crate) encoding: Encoding,
    pub(crate) addresses: &'f AddressTable,
    /// The guest's lines, by unit.
    pub(crate) lines: &'f [UnitLines],
    /// The functions whose lines each unit writes.
    pub(crate) line_owner: &'f [Vec<usize>],
    pub(crate) returned: &'f ReturnedTypes<'a>,
    pub(crate) declared: &'f DeclaredSizes<'a>,
    pub(crate) callable: &'f Callable<'a>,
}

impl Fill<'_, '_> {
    /// Is the unit at `position` written in Rust?
    fn is_rust(&self, position: usize) -> bool {
        let root = self.plan.units[position].entries.first().map(|root| UnitOffset(root.offset as usize));
        let root = root.and_then(|root| self.input.dwarf.units[position].entry(root).ok());
        let language = root.and_then(|root| root.attr_value(c::DW_AT_language));
        language == Some(AttributeValue::Language(c::DW_LANG_Rust))
    }
}

/// The output's encoding.
pub(crate) fn encoding(options: &TransformOptions) -> Encoding {
    Encoding { format: Format::Dwarf32, version: options.dwarf_version, address_size: 8 }
}

/// Type definitions, qualifiers and origins that are followed in a row.
const MAX_TYPE_CHAIN: usize = 32;

struct UnitFiller<'u, 'f, 'a> {
    fill: Fill<'f, 'a>,
    position: usize,
    unit: &'f Unit<'a>,
    output: &'u mut Output,
    files: &'u Files,
    losses: Losses,
    /// Pointer types of the debugger's own width, by the position of the guest's pointer type.
    wide_pointers: HashMap<usize, EntryId>,
    /// The 4-byte type of the members of structures that stand for pointers.
    address_type: Option<EntryId>,
    /// What the structures that stand for pointers have as their base.
    pointer_base: Option<EntryId>,
    /// Types in the place of the guest's, by their positions.
    parts: HashMap<(usize, Use), Option<Part>>,
    /// Types of results in registers, for lldb, by the guest's type and that of the wasm function.
    results: HashMap<((usize, usize), ValType), EntryId>,
    /// The type of what has no value.
    void_type: Option<EntryId>,
    /// Whether types have variants, of which functions return some.
    variants: HashMap<(usize, usize), bool>,
    /// An offset pair needs the unit's base address.
    needs_base: bool,
    /// What is left before lists are given up: lists that share their bytes could blow up otherwise.
    range_budget: RangeBudget,
    /// Locations in wasm locals of the function around the current entry.
    local_places: LocalPlaces,
    /// The unit's macros.
    macros: Option<macros::Source>,
    /// Where the scope around the current entry begins.
    begin: Option<WasmOffset>,
    /// Some entry names a file.
    names_files: bool,
    /// See [`Filled::linkage_names`].
    linkage_names: Vec<(usize, String)>,
}

impl<'a> EntryLookup<'a> for UnitFiller<'_, '_, 'a> {
    fn base_type(&self, offset: UnitOffset) -> Option<EntryId> {
        // Operations name base types by their offset in the unit, and only children of the root come early enough.
        let plan = &self.fill.plan.units[self.position];
        let position = plan.find(offset.0)?;
        let entry = &plan.entries[position];
        if entry.tag != c::DW_TAG_base_type || entry.parent != 0 || self.wide_float_at(position).is_some() {
            return None;
        }
        entry.id
    }

    fn entry(&self, reference: DieReference<usize>) -> Option<EntryReference> {
        let target = self.fill.plan.find(self.fill.input.dwarf, self.position, reference)?;
        self.entry_reference(target)
    }

    fn location(&self, reference: DieReference<usize>) -> Option<GuestExpression<'a>> {
        let (unit, entry) = self.fill.plan.find(self.fill.input.dwarf, self.position, reference)?;
        if unit != self.position {
            return None;
        }
        let offset = self.fill.plan.units[unit].entries[entry].offset as usize;
        let entry = self.unit.entry(UnitOffset(offset)).ok()?;
        match entry.attr_value(c::DW_AT_location)? {
            AttributeValue::Exprloc(expression) => Some(expression),
            AttributeValue::Block(block) => Some(gimli::Expression(block)),
            _ => None,
        }
    }
}

/// The translations of locations that are nothing but a wasm local. Variables name the same few locals again and again.
#[derive(Default)]
struct LocalPlaces {
    function: u32,
    places: HashMap<(u32, Role), Result<ExpressionId, Failure>>,
}

impl LocalPlaces {
    /// What depends on nothing but the local and its function.
    const ROLES: [Role; 4] = [Role::Location, Role::Pointer, Role::Referent, Role::DataMember];
}

/// Where the walk over the entries is.
#[derive(Clone, Copy)]
struct Here<'h, 'a> {
    id: EntryId,
    tag: gimli::DwTag,
    function: u32,
    base: Option<&'h FrameBase<'a>>,
    codeless: bool,
    /// The entry is a variable of pointer or reference type that becomes a value of the debugger's width.
    pointer: Option<PointerKind>,
}

/// The rows of the functions whose lines the unit at `position` has, and of each function its code and where its rows end.
fn line_rows(fill: Fill<'_, '_>, position: usize, files: &Files) -> (Vec<LineRow>, Vec<LineSequence>) {
    if files.header.is_none() {
        return (Vec::new(), Vec::new());
    }
    let mut all = Vec::new();
    let mut sequences = Vec::new();
    for &function in &fill.line_owner[position] {
        let native = &fill.input.native.functions[function];
        let guest = fill.lines[position].function(function);
        let opening = fill.lines[position].opening(function);
        let map = fill.input.maps.get(function);
        let mut rows = function_rows(guest, native, opening, map.hidden());
        if fill.options.flavour == PointerFlavour::Lldb {
            rows = rows_for_lldb(rows, guest, native);
        } else {
            rows = rows_for_gdb(rows, guest, native);
        }
        let begin = all.len();
        all.extend(rows.into_iter().filter_map(|row| {
            Some(LineRow {
                text: TextOffset(row.text),
                file: files.number(u64::from(row.file))?,
                line: row.line,
                column: row.column,
                discriminator: row.discriminator,
                is_stmt: row.is_stmt,
                prologue_end: row.prologue_end,
                epilogue_begin: row.epilogue_begin,
            })
        }));
        if all.len() > begin {
            let text = (native.text.start.0, native.text.end.0);
            sequences.push(LineSequence { text, rows_end: all.len() as u32 });
        }
    }
    all.shrink_to_fit();
    (all, sequences)
}

/// The linkage name of the entry for calls of a function.
fn entry_name(linkage_name: &[u8]) -> Value {
    Value::String([CALL_ENTRY_PREFIX.as_bytes(), linkage_name].concat())
}

/// What comes of a unit beside its entries.
pub(crate) struct Filled {
    pub(crate) losses: Losses,
    pub(crate) macros: Option<UnitMacros>,
    /// See [`Generated::linkage_names`](crate::Generated::linkage_names).
    pub(crate) linkage_names: Vec<(usize, String)>,
}

/// Fills one unit.
pub(crate) fn fill_unit<'a>(fill: Fill<'_, 'a>, position: usize, output: &mut Output) -> Filled {
    let unit = &fill.input.dwarf.units[position];
    let mut files = files(fill.input.dwarf, unit, fill.encoding);
    let (filled, (rows, sequences)) = rayon::join(
        || {
            let mut filler = UnitFiller {
                fill,
                position,
                unit,
                output: &mut *output,
                files: &files,
                losses: Losses::default(),
                wide_pointers: HashMap::new(),
                address_type: None,
                pointer_base: None,
                parts: HashMap::new(),
                results: HashMap::new(),
                void_type: None,
                variants: HashMap::new(),
                needs_base: false,
                begin: None,
                names_files: false,
                range_budget: fill.input.dwarf.range_budget(unit),
                local_places: LocalPlaces::default(),
                macros: None,
                linkage_names: Vec::new(),
            };
            // An error in the entries was counted when they were planned, and ends both passes at the same entry.
            let _ = filler.entries();
            filler.fill_parts();
            filler.named_pointers();
            filler.wasm_variables();
            filler.root();
            let macros = filler.macros.map(|source| filler.read_macros(source));
            (Filled { losses: filler.losses, macros, linkage_names: filler.linkage_names }, filler.names_files)
        },
        || line_rows(fill, position, &files),
    );
    let (filled, names_files) = filled;
    if let Some(files) = files.header.take().filter(|_| names_files || !rows.is_empty()) {
        output.set_line_program(LineProgram { files, rows, sequences });
    }
    output.seal();
    filled
}

impl<'a> UnitFiller<'_, '_, 'a> {
    fn scope_begin(&mut self, entry: &Entry<'a>) -> Option<u32> {
        scope_begin(self.fill.input.dwarf, self.unit, entry, &mut self.range_budget)
    }

    /// Keeps the name that C++'s linker knows a function by, its own or that of its declaration.
    fn find_linkage_name(&mut self, entry: &Entry<'a>, function: u32) {
        if function == NONE || self.fill.options.flavour != PointerFlavour::Lldb {
            return;
        }
        let Some((unit, name)) = self.fill.inherited(self.position, entry, linkage_name) else { return };
        let unit = &self.fill.input.dwarf.units[unit];
        let Ok(name) = self.fill.input.dwarf.sections(unit).attr_string(unit, name) else { return };
        // Rust's functions are found by the names of their entries.
        if let Ok(name) = std::str::from_utf8(name.slice())
            && name.starts_with("_Z")
            && !self.is_rust()
        {
            self.linkage_names.push((function as usize, name.to_owned()));
        }
    }

    /// Lets a function keep its name where its declaration has that of its entry for calls.
    fn own_linkage_name(&mut self, entry: &Entry<'a>, id: EntryId) {
        let fill = self.fill;
        if fill.callable.is_empty() || entry.attr(c::DW_AT_declaration).is_some() {
            return;
        }
        let Some((unit, name)) = fill.inherited(self.position, entry, linkage_name) else { return };
        let unit = &fill.input.dwarf.units[unit];
        let Ok(name) = fill.input.dwarf.sections(unit).attr_string(unit, name) else { return };
        if fill.callable.has(name.slice()) {
            // Behind the reference to the declaration: of two names lldb's index takes the last, and its functions the first.
            self.output.get_mut(id).set(c::DW_AT_linkage_name, Value::String(name.slice().to_vec()));
        }
    }

    /// Writes the linkage name of a subprogram, if expressions can call it: in its declaration that of the entry, else none yet.
    fn call_entry(
        &mut self,
        entry: &Entry<'a>,
        id: EntryId,
        (at, value): (gimli::DwAt, AttributeValue<Slice<'a>>),
    ) -> bool {
        let callable = self.fill.callable;
        if callable.is_empty() {
            return false;
        }
        let Ok(name) = self.fill.input.dwarf.sections(self.unit).attr_string(self.unit, value) else { return false };
        let is_callable = callable.has(name.slice());
        if is_callable && entry.attr(c::DW_AT_declaration).is_some() {
            self.output.get_mut(id).set(at, entry_name(name.slice()));
        }
        is_callable
    }

    fn lose(&mut self, kind: LossKind, entry: &Entry<'_>, name: gimli::DwAt) {
        self.losses.count(kind, || format!("{}: {name}", self.unit.entry_place(entry)));
    }

    fn read_macros(&mut self, source: macros::Source) -> UnitMacros {
        let (unit, losses) = (self.unit, &mut self.losses);
        macros::read(self.fill.input.dwarf, unit, source, self.files, |kind, reason| {
            losses.count(kind, || format!("{}: {reason}", unit.place()));
        })
    }

    /// The unit's own code addresses.
    fn root(&mut self) {
        let native = self.fill.input.native;
        let mut ranges: Vec<TextRange> = self.fill.plan.units[self.position]
            .functions
            .iter()
            .chain(&self.fill.line_owner[self.position])
            .map(|position| &native.functions[*position].text)
            .filter(|text| !text.is_empty())
            .map(|text| (text.start.0, text.end.0))
            .collect();
        crate::address_map::merge(&mut ranges);
        let root = self.output.root();
        // A split unit has its directory in the skeleton.
        if !self.output.has(root, c::DW_AT_comp_dir)
            && let Some(directory) = self.unit.comp_dir
        {
            let directory = directory.slice().split(|byte| *byte == 0).next().unwrap_or_default();
            self.output.get_mut(root).set(c::DW_AT_comp_dir, Value::String(directory.to_vec()));
        }
        if !ranges.is_empty() || self.needs_base {
            // The base of all offset pairs, so that they are offsets in .text.
            self.output.get_mut(root).set(c::DW_AT_low_pc, Value::Address(TextOffset(0)));
        }
        if !self.fill.addresses.entries.is_empty() {
            self.output.get_mut(root).set(c::DW_AT_addr_base, Value::SecOffset(ADDRESS_BASE as u32));
        }
        if !ranges.is_empty() {
            let list = self.range_list(&ranges);
            self.output.get_mut(root).set(c::DW_AT_ranges, list);
        }
    }

    fn entries(&mut self) -> Result<(), gimli::Error> {
        let plan = &self.fill.plan.units[self.position];
        let mut reader = self.unit.entries_raw(None)?;
        let mut entry = Entry::null();
        // The frame bases of the subprograms around the current entry: `(depth, frame base)`.
        let mut frame_bases: Vec<(isize, FrameBase<'a>)> = Vec::new();
        // Where the scopes around it begin.
        let mut begins: Vec<(isize, WasmOffset)> = Vec::new();
        let mut position = 0;
        while !reader.is_empty() && position < plan.entries.len() {
            if !reader.read_entry(&mut entry)? {
                continue;
            }
            if plan.entries[position].offset as usize != entry.offset().0 {
                continue;
            }
            let planned = plan.entries[position];
            while frame_bases.last().is_some_and(|base| base.0 >= entry.depth()) {
                frame_bases.pop();
            }
            while begins.last().is_some_and(|begin| begin.0 >= entry.depth()) {
                begins.pop();
            }
            self.begin = begins.last().map(|begin| begin.1);
            let here = position;
            position += 1;
            let Some(id) = planned.id else {
                continue;
            };
            if here > 0 {
                let Some(parent) = plan.entries.get(planned.parent as usize).and_then(|parent| parent.id) else {
                    continue;
                };
                if let Some(reference) = HostReference::declared(self.fill.input.dwarf, self.unit, &entry) {
                    self.output.add_reserved(id, parent, c::DW_TAG_pointer_type);
                    self.host_reference(reference, id);
                    continue;
                }
                if let Some(float) = self.wide_float(&entry) {
                    self.output.add_reserved(id, parent, c::DW_TAG_typedef);
                    self.define_wide_float(&entry, id, float);
                    continue;
                }
                let tag = if self.is_pointer_structure(planned.tag) { c::DW_TAG_structure_type } else { planned.tag };
                if self.is_hidden_base(&entry) {
                    self.output.add_reserved(id, parent, c::DW_TAG_typedef);
                    self.hidden_base(here, id);
                    continue;
                }
                let member_pointer = self.member_pointer(here);
                let tag = if member_pointer.is_some() { c::DW_TAG_structure_type } else { tag };
                self.output.add_reserved(id, parent, tag);
                if let Some(kind) = member_pointer {
                    self.member_pointer_structure(here, id, kind);
                    continue;
                }
                if tag != planned.tag {
                    self.pointer_structure(here, id);
                    continue;
                }
            }
            if planned.tag == c::DW_TAG_subprogram {
                let base = self.subprogram(&entry, id, planned.function, plan.codeless(here));
                self.find_linkage_name(&entry, planned.function);
                frame_bases.push((entry.depth(), base));
                let begin = self.scope_begin(&entry).filter(|_| planned.function != NONE);
                begins.extend(begin.map(|begin| (entry.depth(), WasmOffset(begin))));
            } else if let Some(ranges) = plan.scopes.get(planned.scope as usize) {
                let begin = self.scope_begin(&entry);
                begins.extend(begin.map(|begin| (entry.depth(), WasmOffset(begin))));
                let list = self.range_list(ranges);
                self.output.get_mut(id).set(c::DW_AT_ranges, list);
                if entry.attr(c::DW_AT_entry_pc).is_some()
                    && let Some(first) = ranges.first()
                {
                    self.output.get_mut(id).set(c::DW_AT_entry_pc, Value::Address(TextOffset(first.0)));
                }
            }
            let base = frame_bases.last().map(|base| base.1.clone());
            let codeless = plan.codeless(here);
            let pointer = self.pointer_variable(&entry, planned.tag);
            for attr in entry.attrs() {
                let here =
                    Here { id, tag: planned.tag, function: planned.function, base: base.as_ref(), codeless, pointer };
                self.attribute(&entry, here, attr);
            }
            if planned.tag == c::DW_TAG_subprogram {
                self.own_linkage_name(&entry, id);
                if let Some(name) = self.fill.callable.of_unnamed((self.position, here)) {
                    self.output.get_mut(id).set(c::DW_AT_linkage_name, entry_name(name));
                }
            }
            self.captured_this(&entry, planned.parent as usize, id);
            self.pointer_size(id, planned.tag);
            self.declared_size(&entry, here, id);
            self.mark_result(here, planned.tag, id);
            self.discriminant(&entry, planned.parent, id);
        }
        Ok(())
    }

    /// What a debugger is told of a function's result.
    fn result(&mut self, entry: &Entry<'a>, id: EntryId, function: usize, returns_place: bool) {
        let is_for_gdb = self.fill.options.flavour == PointerFlavour::Gdb;
        let ty = match self.shown_result(entry, function, returns_place) {
            ShownResult::AsItIs => return,
            ShownResult::By(ty) => ty,
            ShownResult::Removed if !is_for_gdb => self.no_result(),
            // lldb does not look at it.
            ShownResult::Hidden | ShownResult::Removed => {
                let convention = Value::Udata(c::DW_CC_nocall.0.into());
                return self.output.get_mut(id).set(c::DW_AT_calling_convention, convention);
            }
        };
        // Of a function's own type and that of its declaration gdb takes the former, and lldb the one that it reads last.
        let origins = [c::DW_AT_specification, c::DW_AT_abstract_origin];
        for (name, value) in origins.into_iter().filter_map(|name| Some((name, entry.attr_value(name)?))) {
            if let Some(value) = self.target(self.position, value).and_then(|origin| self.reference_to(origin)) {
                self.output.get_mut(id).set(name, value);
            }
        }
        self.output.get_mut(id).set(c::DW_AT_type, ty);
    }

    /// The code of a subprogram and its frame base.
    fn subprogram(&mut self, entry: &Entry<'a>, id: EntryId, function: u32, codeless: bool) -> FrameBase<'a> {
        let native = self.fill.input.native;
        let Some(code) = native.functions.get(function as usize).filter(|_| !codeless) else {
            return FrameBase::default();
        };
        let size = code.text.end.0 - code.text.start.0;
        let low = match self.fill.addresses.function(function as usize) {
            Some(index) => Value::AddressIndex(index),
            None => Value::Address(code.text.start),
        };
        self.output.get_mut(id).set(c::DW_AT_low_pc, low);
        self.output.get_mut(id).set(c::DW_AT_high_pc, Value::Data4(size));
        if !self.fill.options.lines_only {
            self.result(entry, id, function as usize, code.returns_result_place);
        }
        let mut base = FrameBase::default();
        let Some(value) = entry.attr_value(c::DW_AT_frame_base).filter(|_| !self.fill.options.lines_only) else {
            return base;
        };
        let expression = match value {
            AttributeValue::Exprloc(expression) => expression,
            AttributeValue::Block(block) => gimli::Expression(block),
            value => {
                if let Some(list) =
                    self.location_list(entry, c::DW_AT_frame_base, value, function, None, Role::FrameBase)
                {
                    self.output.get_mut(id).set(c::DW_AT_frame_base, list);
                    base.native = true;
                }
                return base;
            }
        };
        base.guest = Some(expression);
        match self.context(function, None).translate(expression, Role::FrameBase) {
            Ok(native) => {
                let native = self.exprloc(&native);
                self.output.get_mut(id).set(c::DW_AT_frame_base, native);
                base.native = true;
            }
            Err(failure) => self.failed(failure, entry, c::DW_AT_frame_base),
        }
        base
    }
}
