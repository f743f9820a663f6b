//! Fills the output's units: a clone of the guest's trees, with native code addresses and locations.

use crate::address::TextOffset;
use crate::address_map::TextRange;
use crate::expression::{Context, EntryLookup, Failure, FrameBase, GuestExpression, Role};
use crate::files::{Files, files};
use crate::guest_dwarf::{Slice, Unit, section_offset};
use crate::guest_lines::UnitLines;
use crate::loss::{LossKind, Losses};
use crate::native_lines::function_rows;
use crate::options::{PointerFlavour, TransformOptions};
use crate::plan::{Input, NONE, Plan};
use crate::pointers::{
    POINTER_MEMBER, POINTER_OPERATOR_SYMBOL, PointerKind, holds_value, is_transparent, pointer_kind,
};
use crate::scan::is_expression;
use crate::scope::Entry;
use crate::serialize::text_address;
use gimli::write::{
    self, AttributeValue as Value, DebugInfoRef, Location, LocationList, Range, RangeList, UnitEntryId,
};
use gimli::{AttributeValue, DieReference, Encoding, Format, UnitOffset, constants as c};
use std::collections::HashMap;

/// The guest's string section, already in the output's string table.
pub(crate) struct Strings {
    /// `(offset in the guest's section, id)`, sorted.
    ids: Vec<(usize, write::StringId)>,
}

impl Strings {
    /// Adds every string of the guest's `.debug_str`.
    pub(crate) fn new(section: &[u8], table: &mut write::StringTable) -> Strings {
        let mut ids = Vec::new();
        let mut offset = 0;
        while offset < section.len() {
            let Some(length) = section[offset..].iter().position(|byte| *byte == 0) else {
                break;
            };
            ids.push((offset, table.add(&section[offset..offset + length])));
            offset += length + 1;
        }
        Strings { ids }
    }

    fn get(&self, offset: usize) -> Option<write::StringId> {
        let position = self.ids.binary_search_by_key(&offset, |entry| entry.0).ok()?;
        Some(self.ids[position].1)
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
    /// The guest's lines, by unit.
    pub(crate) lines: &'f [UnitLines],
    /// The functions whose lines each unit writes.
    pub(crate) line_owner: &'f [Vec<usize>],
}

/// The output's encoding.
pub(crate) fn encoding(options: &TransformOptions) -> Encoding {
    Encoding { format: Format::Dwarf32, version: options.dwarf_version, address_size: 8 }
}

struct UnitFiller<'u, 'f, 'a> {
    fill: Fill<'f, 'a>,
    position: usize,
    unit: &'f Unit<'a>,
    output: &'u mut write::Unit,
    files: Files,
    losses: Losses,
    /// Pointer types of the debugger's own width, by the position of the guest's pointer type.
    wide_pointers: HashMap<usize, UnitEntryId>,
    /// The 4-byte type of the members of structures that stand for pointers.
    address_type: Option<UnitEntryId>,
    /// An offset pair needs the unit's base address.
    needs_base: bool,
    /// List items left before lists are given up: lists that share their bytes could blow up otherwise.
    list_budget: usize,
}

impl<'a> EntryLookup<'a> for UnitFiller<'_, '_, 'a> {
    fn base_type(&self, offset: UnitOffset) -> Option<UnitEntryId> {
        // Operations name base types by their offset in the unit, and only children of the root come early enough.
        let plan = &self.fill.plan.units[self.position];
        let entry = &plan.entries[plan.find(offset.0)?];
        (entry.tag == c::DW_TAG_base_type && entry.parent == 0).then_some(entry.id).flatten()
    }

    fn entry(&self, reference: DieReference<usize>) -> Option<DebugInfoRef> {
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

/// How many scalars a type consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scalars {
    None,
    One,
    Many,
}

/// Where the walk over the entries is.
#[derive(Clone, Copy)]
struct Here<'h, 'a> {
    id: UnitEntryId,
    tag: gimli::DwTag,
    function: u32,
    base: Option<&'h FrameBase<'a>>,
    codeless: bool,
    /// The entry is a variable of pointer or reference type that becomes a value of the debugger's width.
    pointer: Option<PointerKind>,
}

/// Fills one unit and says what was lost.
pub(crate) fn fill_unit<'a>(fill: Fill<'_, 'a>, position: usize, output: &mut write::Unit) -> Losses {
    let unit = &fill.input.dwarf.units[position];
    let files = files(fill.input.dwarf, unit, fill.encoding);
    let sections = &fill.input.guest.sections;
    let list_bytes: usize = [".debug_loc", ".debug_loclists", ".debug_ranges", ".debug_rnglists"]
        .iter()
        .map(|name| sections.get(name).len())
        .sum();
    let mut filler = UnitFiller {
        fill,
        position,
        unit,
        output,
        files,
        losses: Losses::default(),
        wide_pointers: HashMap::new(),
        address_type: None,
        needs_base: false,
        list_budget: list_bytes * 4 + 100_000,
    };
    filler.lines();
    // An error in the entries was counted when they were planned, and ends both passes at the same entry.
    let _ = filler.entries();
    filler.root();
    let UnitFiller { files, losses, .. } = filler;
    output.line_program = files.program;
    losses
}

impl<'a> UnitFiller<'_, '_, 'a> {
    fn place(&self, entry: &Entry<'_>) -> String {
        format!("unit {:#x} entry {:#x}", section_offset(&self.unit.header), entry.offset().0)
    }

    fn lose(&mut self, kind: LossKind, entry: &Entry<'_>, name: gimli::DwAt) {
        let place = self.place(entry);
        self.losses.count(kind, || format!("{place}: {name}"));
    }

    /// Writes the line sequences of the functions whose lines this unit has.
    fn lines(&mut self) {
        for &position in &self.fill.line_owner[self.position] {
            let native = &self.fill.input.native.functions[position];
            let rows = function_rows(self.fill.lines[self.position].function(position), native);
            if rows.is_empty() || self.files.program.is_none() {
                continue;
            }
            let start = native.text.start;
            let mut begun = false;
            for row in rows {
                let Some(file) = self.files.get(u64::from(row.file)) else {
                    continue;
                };
                let program = &mut self.files.program;
                if !begun {
                    begun = true;
                    program.begin_sequence(Some(text_address(start)));
                }
                let out = program.row();
                out.address_offset = u64::from(row.text.saturating_sub(start.0));
                out.file = file;
                out.line = u64::from(row.line);
                out.column = u64::from(row.column);
                out.discriminator = u64::from(row.discriminator);
                out.is_statement = row.is_stmt;
                out.prologue_end = row.prologue_end;
                out.epilogue_begin = row.epilogue_begin;
                program.generate_row();
            }
            if begun {
                self.files.program.end_sequence(u64::from(native.text.end.0 - start.0));
            }
        }
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
        if !ranges.is_empty() || self.needs_base {
            // The base of all offset pairs, so that they are offsets in .text.
            self.output.get_mut(root).set(c::DW_AT_low_pc, Value::Address(text_address(TextOffset(0))));
        }
        if !ranges.is_empty() {
            let list = self.range_list(&ranges);
            self.output.get_mut(root).set(c::DW_AT_ranges, list);
        }
    }

    fn range_list(&mut self, ranges: &[TextRange]) -> Value {
        self.needs_base = true;
        let list = ranges
            .iter()
            .map(|range| Range::OffsetPair { begin: u64::from(range.0), end: u64::from(range.1) })
            .collect();
        Value::RangeListRef(self.output.ranges.add(RangeList(list)))
    }

    fn entry_reference(&self, (unit, entry): (usize, usize)) -> Option<DebugInfoRef> {
        let plan = &self.fill.plan.units[unit];
        Some(DebugInfoRef::Entry(plan.unit_id?, plan.entries[entry].id?))
    }

    fn entries(&mut self) -> Result<(), gimli::Error> {
        let plan = &self.fill.plan.units[self.position];
        let mut reader = self.unit.entries_raw(None)?;
        let mut entry = Entry::null();
        // The frame bases of the subprograms around the current entry: `(position, frame base)`.
        let mut frame_bases: Vec<(isize, FrameBase<'a>)> = Vec::new();
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
            let here = position;
            position += 1;
            let Some(id) = planned.id else {
                continue;
            };
            if here > 0 {
                let Some(parent) = plan.entries.get(planned.parent as usize).and_then(|parent| parent.id) else {
                    continue;
                };
                let tag = if self.is_pointer_structure(planned.tag) { c::DW_TAG_structure_type } else { planned.tag };
                self.output.add_reserved(id, parent, tag);
                if tag != planned.tag {
                    self.pointer_structure(here, id);
                    continue;
                }
            }
            self.output.get_mut(id).reserve(entry.attrs().len());
            if planned.tag == c::DW_TAG_subprogram {
                let base = self.subprogram(&entry, id, planned.function, plan.codeless(here));
                frame_bases.push((entry.depth(), base));
            } else if let Some(ranges) = plan.scopes.get(planned.scope as usize) {
                let list = self.range_list(ranges);
                self.output.get_mut(id).set(c::DW_AT_ranges, list);
            }
            let base = frame_bases.last().map(|base| base.1.clone());
            let codeless = plan.codeless(here);
            let pointer = self.pointer_variable(&entry, planned.tag);
            for attr in entry.attrs() {
                let here =
                    Here { id, tag: planned.tag, function: planned.function, base: base.as_ref(), codeless, pointer };
                self.attribute(&entry, here, attr);
            }
            self.pointer_size(id, planned.tag);
        }
        Ok(())
    }

    /// The code of a subprogram and its frame base.
    fn subprogram(&mut self, entry: &Entry<'a>, id: UnitEntryId, function: u32, codeless: bool) -> FrameBase<'a> {
        let native = self.fill.input.native;
        let Some(code) = native.functions.get(function as usize).filter(|_| !codeless) else {
            return FrameBase::default();
        };
        let size = code.text.end.0 - code.text.start.0;
        self.output.get_mut(id).set(c::DW_AT_low_pc, Value::Address(text_address(code.text.start)));
        self.output.get_mut(id).set(c::DW_AT_high_pc, Value::Data4(size));
        if !self.fill.options.lines_only && self.has_hidden_result(entry) {
            self.output.get_mut(id).set(c::DW_AT_calling_convention, Value::CallingConvention(c::DW_CC_nocall));
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
                self.output.get_mut(id).set(c::DW_AT_frame_base, Value::Exprloc(native));
                base.native = true;
            }
            Err(failure) => self.failed(failure, entry, c::DW_AT_frame_base),
        }
        base
    }

    /// Whether the guest returns the result of a subprogram through a hidden pointer, where the host's convention has it
    /// in registers (or the other way round), so that a debugger would show something else for it.
    ///
    /// The basic C ABI of WebAssembly returns a structure with one scalar as that scalar and all others through memory;
    /// so Rust does, except that what fits in a pointer comes in a register.
    fn has_hidden_result(&self, entry: &Entry<'a>) -> bool {
        let mut ty = entry.attr_value(c::DW_AT_type).map(|ty| (self.position, ty));
        let origin = entry.attr_value(c::DW_AT_specification).or_else(|| entry.attr_value(c::DW_AT_abstract_origin));
        let mut origin = origin.and_then(|origin| self.target(self.position, origin));
        for _ in 0..MAX_TYPE_CHAIN {
            let Some((unit, at)) = origin.filter(|_| ty.is_none()) else {
                break;
            };
            ty = self.attribute_of(unit, at, c::DW_AT_type).map(|ty| (unit, ty));
            origin = self
                .attribute_of(unit, at, c::DW_AT_specification)
                .or_else(|| self.attribute_of(unit, at, c::DW_AT_abstract_origin))
                .and_then(|origin| self.target(unit, origin));
        }
        let Some((unit, entry)) = ty.and_then(|(unit, ty)| self.target(unit, ty)) else {
            return false;
        };
        let mut budget = 10_000;
        match self.scalars(unit, entry, 0, &mut budget) {
            Scalars::None | Scalars::One => false,
            Scalars::Many => {
                let size = self.attribute_of(unit, entry, c::DW_AT_byte_size).and_then(|size| size.udata_value());
                let rust = self.attribute_of(self.position, 0, c::DW_AT_language)
                    == Some(AttributeValue::Language(c::DW_LANG_Rust));
                !(rust && size.is_some_and(|size| size <= 4))
            }
        }
    }

    /// How many scalars a type consists of, for the question whether it is returned in a register.
    fn scalars(&self, unit: usize, entry: usize, depth: usize, budget: &mut u32) -> Scalars {
        if depth > MAX_TYPE_CHAIN || *budget == 0 {
            return Scalars::Many;
        }
        *budget -= 1;
        let plan = &self.fill.plan.units[unit];
        let tag = plan.entries[entry].tag;
        let number = |name| self.attribute_of(unit, entry, name).and_then(|value| value.udata_value());
        let inner =
            |budget: &mut u32| match self.attribute_of(unit, entry, c::DW_AT_type).and_then(|ty| self.target(unit, ty))
            {
                Some((unit, entry)) => self.scalars(unit, entry, depth + 1, budget),
                None => Scalars::None,
            };
        match tag {
            tag if is_transparent(tag) => inner(budget),
            c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type => {
                if number(c::DW_AT_calling_convention) == Some(u64::from(c::DW_CC_pass_by_reference.0))
                    || self.attribute_of(unit, entry, c::DW_AT_calling_convention)
                        == Some(AttributeValue::CallingConvention(c::DW_CC_pass_by_reference))
                {
                    return Scalars::Many;
                }
                let mut found = Scalars::None;
                for child in entry + 1..plan.entries.len() {
                    let planned = &plan.entries[child];
                    if planned.parent == NONE || (planned.parent as usize) < entry {
                        break;
                    }
                    if planned.parent as usize != entry {
                        continue;
                    }
                    *budget = budget.saturating_sub(1);
                    let more = match planned.tag {
                        c::DW_TAG_member if self.attribute_of(unit, child, c::DW_AT_external).is_some() => {
                            Scalars::None
                        }
                        c::DW_TAG_member | c::DW_TAG_inheritance => {
                            let ty = self.attribute_of(unit, child, c::DW_AT_type);
                            match ty.and_then(|ty| self.target(unit, ty)) {
                                Some((unit, entry)) => self.scalars(unit, entry, depth + 1, budget),
                                None => Scalars::Many,
                            }
                        }
                        c::DW_TAG_variant_part => Scalars::Many,
                        _ => Scalars::None,
                    };
                    found = match (found, more) {
                        (found, Scalars::None) => found,
                        (Scalars::None, more) => more,
                        _ => Scalars::Many,
                    };
                    if found == Scalars::Many || *budget == 0 {
                        return Scalars::Many;
                    }
                }
                found
            }
            c::DW_TAG_array_type => match number(c::DW_AT_byte_size) {
                Some(0) => Scalars::None,
                _ => Scalars::Many,
            },
            c::DW_TAG_base_type => match number(c::DW_AT_byte_size) {
                Some(0) => Scalars::None,
                Some(size) if size > 8 => Scalars::Many,
                _ if self.attribute_of(unit, entry, c::DW_AT_encoding)
                    == Some(AttributeValue::Encoding(c::DW_ATE_complex_float)) =>
                {
                    Scalars::Many
                }
                _ => Scalars::One,
            },
            c::DW_TAG_ptr_to_member_type => Scalars::Many,
            _ => Scalars::One,
        }
    }

    fn failed(&mut self, failure: Failure, entry: &Entry<'_>, name: gimli::DwAt) {
        if let Failure::Loss(kind) = failure {
            self.lose(kind, entry, name);
        }
    }

    fn context<'c>(&'c self, function: u32, frame_base: Option<&'c FrameBase<'a>>) -> Context<'c, 'a> {
        Context {
            dwarf: self.fill.input.dwarf,
            unit: self.unit,
            native: self.fill.input.native,
            function: self.fill.input.native.functions.get(function as usize),
            frame_base,
            lookup: self,
            memory64: self.fill.input.guest.memory64,
        }
    }

    fn attribute(&mut self, entry: &Entry<'a>, here: Here<'_, 'a>, attr: &gimli::Attribute<Slice<'a>>) {
        let Here { id, tag, function, base, codeless, pointer } = here;
        let name = attr.name();
        if is_dropped(name) {
            return;
        }
        let function = if codeless { NONE } else { function };
        // Where a thing was in code that is gone.
        if codeless && role_of(name) == Role::Location {
            return;
        }
        if self.fill.options.lines_only && is_detail(name) {
            return;
        }
        if is_code_address(name) {
            if let Some(value) = self.code_address(tag, function, name, attr.value()) {
                self.output.get_mut(id).set(name, value);
            }
            return;
        }
        if tag == c::DW_TAG_subprogram && name == c::DW_AT_linkage_name && self.is_main_alias(attr.value()) {
            return;
        }
        if is_call_flag(name)
            && self.fill.input.native.functions.get(function as usize).is_some_and(|f| f.calls.is_empty())
        {
            return;
        }
        if name == c::DW_AT_type
            && holds_value(tag)
            && let Some(value) = self.wide_type(tag, attr.value())
        {
            self.output.get_mut(id).set(name, value);
            return;
        }
        let role = match pointer {
            Some(PointerKind::Pointer) if name == c::DW_AT_location => Role::Pointer,
            Some(PointerKind::Reference) if name == c::DW_AT_location => Role::Referent,
            Some(PointerKind::DataMember) if name == c::DW_AT_location => Role::DataMember,
            Some(PointerKind::Method) if name == c::DW_AT_location => Role::Method,
            _ => role_of(name),
        };
        if let Some(value) = self.value(entry, name, attr.value(), function, base, role) {
            self.output.get_mut(id).set(name, value);
        }
    }

    /// The names under which wasm's toolchains hide `main` from the linker.
    fn is_main_alias(&self, value: AttributeValue<Slice<'a>>) -> bool {
        self.fill
            .input
            .dwarf
            .sections
            .attr_string(self.unit, value)
            .is_ok_and(|name| matches!(name.slice(), b"__main_argc_argv" | b"__main_void" | b"__original_main"))
    }

    /// Code addresses of labels and call sites. Those of functions and scopes are set with their ranges.
    fn code_address(
        &mut self,
        tag: gimli::DwTag,
        function: u32,
        name: gimli::DwAt,
        value: AttributeValue<Slice<'a>>,
    ) -> Option<Value> {
        let call = matches!(tag, c::DW_TAG_call_site | c::DW_TAG_GNU_call_site);
        let wanted = match tag {
            c::DW_TAG_label => name == c::DW_AT_low_pc,
            c::DW_TAG_call_site => matches!(name, c::DW_AT_call_return_pc | c::DW_AT_low_pc),
            c::DW_TAG_GNU_call_site => name == c::DW_AT_low_pc,
            _ => false,
        };
        if !wanted {
            return None;
        }
        let address = self.fill.input.dwarf.sections.attr_address(self.unit, value).ok()??;
        let native = self.fill.input.native.functions.get(function as usize)?;
        let text = if call {
            // The guest's return address follows its call operator, which takes at most 11 bytes.
            native
                .calls
                .iter()
                .filter(|call| u64::from(call.wasm.0) < address && address - u64::from(call.wasm.0) <= 11)
                .max_by_key(|call| call.wasm)?
                .return_address
        } else {
            TextOffset(self.fill.input.maps.get(function as usize).address(address)?)
        };
        Some(Value::Address(text_address(text)))
    }

    fn reference(&mut self, target: Option<(usize, usize)>, entry: &Entry<'a>, name: gimli::DwAt) -> Option<Value> {
        let found = target.and_then(|target| {
            let id = self.fill.plan.units[target.0].entries[target.1].id?;
            if target.0 == self.position {
                Some(Value::UnitRef(id))
            } else {
                Some(Value::DebugInfoRef(self.entry_reference(target)?))
            }
        });
        if found.is_none() {
            self.lose(LossKind::DanglingReference, entry, name);
        }
        found
    }

    fn string(&mut self, value: AttributeValue<Slice<'a>>, entry: &Entry<'a>, name: gimli::DwAt) -> Option<Value> {
        let sections = &self.fill.input.dwarf.sections;
        let offset = match value {
            AttributeValue::DebugStrRef(offset) => Some(offset),
            AttributeValue::DebugStrOffsetsIndex(index) => sections.string_offset(self.unit, index).ok(),
            _ => None,
        };
        if let Some(id) = offset.and_then(|offset| self.fill.strings.get(offset.0)) {
            return Some(Value::StringRef(id));
        }
        match sections.attr_string(self.unit, value) {
            Ok(string) => {
                let bytes = string.slice().split(|byte| *byte == 0).next().unwrap_or_default();
                Some(Value::String(bytes.to_vec()))
            }
            Err(_) => {
                self.lose(LossKind::MalformedAttribute, entry, name);
                None
            }
        }
    }

    fn value(
        &mut self,
        entry: &Entry<'a>,
        name: gimli::DwAt,
        value: AttributeValue<Slice<'a>>,
        function: u32,
        base: Option<&FrameBase<'a>>,
        role: Role,
    ) -> Option<Value> {
        let plan = self.fill.plan;
        let dwarf = self.fill.input.dwarf;
        Some(match value {
            AttributeValue::Block(block) if is_expression(name) => {
                return self.expression(entry, name, gimli::Expression(block), function, base, role);
            }
            AttributeValue::Block(block) => Value::Block(block.slice().to_vec()),
            AttributeValue::Exprloc(expression) => {
                return self.expression(entry, name, expression, function, base, role);
            }
            AttributeValue::Data1(value) => Value::Data1(value),
            AttributeValue::Data2(value) => Value::Data2(value),
            AttributeValue::Data4(value) => Value::Data4(value),
            AttributeValue::Data8(value) => Value::Data8(value),
            AttributeValue::Data16(value) => Value::Data16(value),
            AttributeValue::Sdata(value) => Value::Sdata(value),
            AttributeValue::Udata(value) => Value::Udata(value),
            AttributeValue::Flag(true) => Value::FlagPresent,
            AttributeValue::Flag(false) => Value::Flag(false),
            AttributeValue::UnitRef(offset) => {
                let target = plan.find(dwarf, self.position, DieReference::UnitRef(offset));
                return self.reference(target, entry, name);
            }
            AttributeValue::DebugInfoRef(offset) => {
                let target = plan.find_global(dwarf, offset.0);
                return self.reference(target, entry, name);
            }
            AttributeValue::DebugTypesRef(signature) => {
                let target = plan.find_signature(signature.0);
                return self.reference(target, entry, name);
            }
            value @ (AttributeValue::LocationListsRef(_) | AttributeValue::DebugLocListsIndex(_)) => {
                return self.location_list(entry, name, value, function, base, role);
            }
            value @ (AttributeValue::String(_)
            | AttributeValue::DebugStrRef(_)
            | AttributeValue::DebugStrOffsetsIndex(_)
            | AttributeValue::DebugLineStrRef(_)) => return self.string(value, entry, name),
            AttributeValue::Encoding(value) => Value::Encoding(value),
            AttributeValue::DecimalSign(value) => Value::DecimalSign(value),
            AttributeValue::Endianity(value) => Value::Endianity(value),
            AttributeValue::Accessibility(value) => Value::Accessibility(value),
            AttributeValue::Visibility(value) => Value::Visibility(value),
            AttributeValue::Virtuality(value) => Value::Virtuality(value),
            AttributeValue::Language(value) => Value::Language(value),
            AttributeValue::AddressClass(value) => Value::AddressClass(value),
            AttributeValue::IdentifierCase(value) => Value::IdentifierCase(value),
            AttributeValue::CallingConvention(value) => Value::CallingConvention(value),
            AttributeValue::Inline(value) => Value::Inline(value),
            AttributeValue::Ordering(value) => Value::Ordering(value),
            AttributeValue::FileIndex(index) => match self.files.get(index) {
                Some(file) => Value::FileIndex(Some(file)),
                None => {
                    if index != 0 {
                        self.lose(LossKind::MalformedAttribute, entry, name);
                    }
                    return None;
                }
            },
            // The address of an object, as the value of a constant.
            value @ (AttributeValue::Addr(_) | AttributeValue::DebugAddrIndex(_)) => {
                match dwarf.sections.attr_address(self.unit, value) {
                    Ok(Some(address)) if name == c::DW_AT_const_value => Value::Udata(address),
                    _ => {
                        self.lose(LossKind::UnsupportedAttribute, entry, name);
                        return None;
                    }
                }
            }
            AttributeValue::DebugMacinfoRef(_) | AttributeValue::DebugMacroRef(_) => {
                self.lose(LossKind::Macros, entry, name);
                return None;
            }
            AttributeValue::SecOffset(_)
            | AttributeValue::DebugAddrBase(_)
            | AttributeValue::DebugInfoRefSup(_)
            | AttributeValue::DebugLineRef(_)
            | AttributeValue::DebugLocListsBase(_)
            | AttributeValue::RangeListsRef(_)
            | AttributeValue::DebugRngListsBase(_)
            | AttributeValue::DebugRngListsIndex(_)
            | AttributeValue::DebugStrRefSup(_)
            | AttributeValue::DebugStrOffsetsBase(_)
            | AttributeValue::DwoId(_) => {
                self.lose(LossKind::UnsupportedAttribute, entry, name);
                return None;
            }
        })
    }

    fn expression(
        &mut self,
        entry: &Entry<'a>,
        name: gimli::DwAt,
        expression: GuestExpression<'a>,
        function: u32,
        base: Option<&FrameBase<'a>>,
        role: Role,
    ) -> Option<Value> {
        if expression.0.is_empty() {
            return Some(Value::Exprloc(write::Expression::new()));
        }
        match self.context(function, base).translate(expression, role) {
            Ok(expression) => Some(Value::Exprloc(expression)),
            Err(failure) => {
                self.failed(failure, entry, name);
                None
            }
        }
    }

    fn location_list(
        &mut self,
        entry: &Entry<'a>,
        name: gimli::DwAt,
        value: AttributeValue<Slice<'a>>,
        function: u32,
        base: Option<&FrameBase<'a>>,
        role: Role,
    ) -> Option<Value> {
        let input = self.fill.input;
        let Ok(Some(mut list)) = input.dwarf.sections.attr_locations(self.unit, value) else {
            self.lose(LossKind::MalformedList, entry, name);
            return None;
        };
        let mut pieces: Vec<(TextRange, write::Expression)> = Vec::new();
        let mut failures: HashMap<u8, Failure> = HashMap::new();
        let mut live = false;
        loop {
            let item = match list.next() {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(_) => {
                    self.lose(LossKind::MalformedList, entry, name);
                    break;
                }
            };
            let Some(budget) = self.list_budget.checked_sub(1) else {
                self.lose(LossKind::MalformedList, entry, name);
                break;
            };
            self.list_budget = budget;
            let ranges = if item.range.begin == 0 && item.range.end == u64::MAX {
                match input.native.functions.get(function as usize) {
                    Some(native) => vec![(native.prologue_end.0, native.text.end.0)],
                    None => continue,
                }
            } else {
                let Some(position) = input.index.find(item.range.begin) else {
                    continue;
                };
                input.maps.get(position).ranges(item.range.begin, item.range.end)
            };
            live = true;
            if ranges.is_empty() || item.data.0.is_empty() {
                continue;
            }
            match self.context(function, base).translate(item.data, role) {
                Ok(expression) => pieces.extend(ranges.into_iter().map(|range| (range, expression.clone()))),
                Err(failure) => {
                    let key = match failure {
                        Failure::Loss(kind) => kind as u8,
                        Failure::Dropped => u8::MAX,
                    };
                    failures.entry(key).or_insert(failure);
                }
            }
        }
        let mut failures: Vec<(u8, Failure)> = failures.into_iter().collect();
        failures.sort_by_key(|failure| failure.0);
        let failed = !failures.is_empty();
        for (_, failure) in failures {
            self.failed(failure, entry, name);
        }
        if pieces.is_empty() {
            if live && !failed {
                self.lose(LossKind::OptimizedAway, entry, name);
            }
            return None;
        }
        pieces.sort_by_key(|piece| piece.0);
        let mut locations: Vec<Location> = Vec::with_capacity(pieces.len());
        for ((begin, end), data) in pieces {
            let (begin, end) = (u64::from(begin), u64::from(end));
            if let Some(Location::OffsetPair { end: last, data: before, .. }) = locations.last_mut()
                && *last == begin
                && *before == data
            {
                *last = end;
                continue;
            }
            locations.push(Location::OffsetPair { begin, end, data });
        }
        self.needs_base = true;
        Some(Value::LocationListRef(self.output.locations.add(LocationList(locations))))
    }

    /// lldb's flavour, with pointers that are narrower than lldb's.
    fn narrow_pointers(&self) -> bool {
        self.fill.options.flavour == PointerFlavour::Lldb && !self.fill.input.guest.memory64
    }

    fn is_pointer_structure(&self, tag: gimli::DwTag) -> bool {
        self.narrow_pointers() && pointer_kind(tag).is_some()
    }

    fn attribute_of(&self, unit: usize, entry: usize, name: gimli::DwAt) -> Option<AttributeValue<Slice<'a>>> {
        let offset = self.fill.plan.units[unit].entries[entry].offset as usize;
        self.fill.input.dwarf.units[unit].entry(UnitOffset(offset)).ok()?.attr_value(name)
    }

    /// The entry that an attribute of the unit at `unit` refers to.
    fn target(&self, unit: usize, value: AttributeValue<Slice<'a>>) -> Option<(usize, usize)> {
        let (plan, dwarf) = (self.fill.plan, self.fill.input.dwarf);
        match value {
            AttributeValue::UnitRef(offset) => plan.find(dwarf, unit, DieReference::UnitRef(offset)),
            AttributeValue::DebugInfoRef(offset) => plan.find_global(dwarf, offset.0),
            AttributeValue::DebugTypesRef(signature) => plan.find_signature(signature.0),
            _ => None,
        }
    }

    /// The pointer type that a type is, after type definitions and qualifiers.
    fn pointer_type(&self, unit: usize, value: AttributeValue<Slice<'a>>) -> Option<((usize, usize), PointerKind)> {
        let (mut unit, mut entry) = self.target(unit, value)?;
        for _ in 0..MAX_TYPE_CHAIN {
            let tag = self.fill.plan.units[unit].entries[entry].tag;
            if let Some(kind) = pointer_kind(tag) {
                return Some(((unit, entry), kind));
            }
            if tag == c::DW_TAG_ptr_to_member_type {
                let to = self.target(unit, self.attribute_of(unit, entry, c::DW_AT_type)?)?;
                let function = self.fill.plan.units[to.0].entries[to.1].tag == c::DW_TAG_subroutine_type;
                return Some(((unit, entry), if function { PointerKind::Method } else { PointerKind::DataMember }));
            }
            if !is_transparent(tag) {
                return None;
            }
            (unit, entry) = self.target(unit, self.attribute_of(unit, entry, c::DW_AT_type)?)?;
        }
        None
    }

    /// The kind of a variable that the debugger would read too wide, by its own type or that of its origin.
    fn pointer_variable(&self, entry: &Entry<'a>, tag: gimli::DwTag) -> Option<PointerKind> {
        let kind = self.pointer_of(entry, tag)?;
        (self.narrow_pointers() || matches!(kind, PointerKind::DataMember | PointerKind::Method)).then_some(kind)
    }

    fn pointer_of(&self, entry: &Entry<'a>, tag: gimli::DwTag) -> Option<PointerKind> {
        let wanted = self.narrow_pointers() || self.fill.plan.has_member_pointers;
        if !wanted || self.fill.input.guest.memory64 || !matches!(tag, c::DW_TAG_variable | c::DW_TAG_formal_parameter)
        {
            return None;
        }
        if let Some(ty) = entry.attr_value(c::DW_AT_type) {
            return Some(self.pointer_type(self.position, ty)?.1);
        }
        let origin = entry.attr_value(c::DW_AT_abstract_origin).or_else(|| entry.attr_value(c::DW_AT_specification))?;
        let (mut unit, mut at) = self.target(self.position, origin)?;
        for _ in 0..MAX_TYPE_CHAIN {
            if let Some(ty) = self.attribute_of(unit, at, c::DW_AT_type) {
                return Some(self.pointer_type(unit, ty)?.1);
            }
            let origin = self
                .attribute_of(unit, at, c::DW_AT_abstract_origin)
                .or_else(|| self.attribute_of(unit, at, c::DW_AT_specification))?;
            (unit, at) = self.target(unit, origin)?;
        }
        None
    }

    /// The type of a value outside of objects: a wide pointer in place of a pointer, the referent of a reference.
    fn wide_type(&mut self, tag: gimli::DwTag, value: AttributeValue<Slice<'a>>) -> Option<Value> {
        if !self.narrow_pointers() {
            return None;
        }
        let (found, kind) = self.pointer_type(self.position, value)?;
        if matches!(kind, PointerKind::DataMember | PointerKind::Method) {
            return None;
        }
        let variable = matches!(tag, c::DW_TAG_variable | c::DW_TAG_formal_parameter);
        if kind == PointerKind::Reference && variable {
            return self.pointee(found);
        }
        if found.0 != self.position {
            return None;
        }
        Some(Value::UnitRef(self.wide_pointer(found.1)))
    }

    /// What a pointer type points to; `None` for `void`.
    fn pointee(&self, (unit, entry): (usize, usize)) -> Option<Value> {
        let target = self.target(unit, self.attribute_of(unit, entry, c::DW_AT_type)?)?;
        let id = self.fill.plan.units[target.0].entries[target.1].id?;
        if target.0 == self.position {
            Some(Value::UnitRef(id))
        } else {
            Some(Value::DebugInfoRef(self.entry_reference(target)?))
        }
    }

    /// A pointer (or reference) type of lldb's width to what the guest's one at `position` points to.
    fn wide_pointer(&mut self, position: usize) -> UnitEntryId {
        if let Some(id) = self.wide_pointers.get(&position) {
            return *id;
        }
        let root = self.output.root();
        let id = self.output.add(root, self.fill.plan.units[self.position].entries[position].tag);
        self.wide_pointers.insert(position, id);
        self.output.get_mut(id).set(c::DW_AT_byte_size, Value::Udata(8));
        if let Some(pointee) = self.pointee((self.position, position)) {
            self.output.get_mut(id).set(c::DW_AT_type, pointee);
        }
        id
    }

    /// Makes the entry `id` the structure that stands for the pointer type at `position` in memory.
    fn pointer_structure(&mut self, position: usize, id: UnitEntryId) {
        let plan = &self.fill.plan.units[self.position];
        let kind = pointer_kind(plan.entries[position].tag);
        let name = self.type_name(self.position, position, 0);
        let root = self.output.root();
        let address_type = match self.address_type {
            Some(id) => id,
            None => {
                let id = self.output.add(root, c::DW_TAG_base_type);
                let base = self.output.get_mut(id);
                base.set(c::DW_AT_name, Value::String(b"__wasm_address".to_vec()));
                base.set(c::DW_AT_encoding, Value::Encoding(c::DW_ATE_unsigned));
                base.set(c::DW_AT_byte_size, Value::Udata(4));
                self.address_type = Some(id);
                id
            }
        };
        let entry = self.output.get_mut(id);
        entry.set(c::DW_AT_name, Value::String(name.into_bytes()));
        entry.set(c::DW_AT_byte_size, Value::Udata(4));
        let member = self.output.add(id, c::DW_TAG_member);
        let entry = self.output.get_mut(member);
        entry.set(c::DW_AT_name, Value::String(POINTER_MEMBER.as_bytes().to_vec()));
        entry.set(c::DW_AT_type, Value::UnitRef(address_type));
        entry.set(c::DW_AT_data_member_location, Value::Udata(0));
        let constant = self.output.add(root, c::DW_TAG_const_type);
        self.output.get_mut(constant).set(c::DW_AT_type, Value::UnitRef(id));
        let this = self.output.add(root, c::DW_TAG_pointer_type);
        self.output.get_mut(this).set(c::DW_AT_type, Value::UnitRef(constant));
        self.output.get_mut(this).set(c::DW_AT_byte_size, Value::Udata(8));

        let pointee = self.pointee((self.position, position));
        let wide = if kind == Some(PointerKind::Pointer) {
            self.wide_pointer(position)
        } else {
            self.pointer_to(c::DW_TAG_pointer_type, pointee.clone())
        };
        let mut operators = vec![("operator ".to_owned() + &self.pointer_name(position), wide)];
        if pointee.is_some() {
            operators.push(("operator->".to_owned(), wide));
            let reference = if kind == Some(PointerKind::Reference) {
                self.wide_pointer(position)
            } else {
                self.pointer_to(c::DW_TAG_reference_type, pointee)
            };
            operators.push(("operator*".to_owned(), reference));
        }
        for (name, result) in operators {
            let operator = self.output.add(id, c::DW_TAG_subprogram);
            let object = self.output.add(operator, c::DW_TAG_formal_parameter);
            let entry = self.output.get_mut(object);
            entry.set(c::DW_AT_type, Value::UnitRef(this));
            entry.set(c::DW_AT_artificial, Value::FlagPresent);
            let entry = self.output.get_mut(operator);
            entry.set(c::DW_AT_name, Value::String(name.into_bytes()));
            entry.set(c::DW_AT_linkage_name, Value::String(POINTER_OPERATOR_SYMBOL.as_bytes().to_vec()));
            entry.set(c::DW_AT_type, Value::UnitRef(result));
            entry.set(c::DW_AT_declaration, Value::FlagPresent);
            entry.set(c::DW_AT_external, Value::FlagPresent);
            entry.set(c::DW_AT_object_pointer, Value::UnitRef(object));
        }
    }

    fn pointer_to(&mut self, tag: gimli::DwTag, pointee: Option<Value>) -> UnitEntryId {
        let root = self.output.root();
        let id = self.output.add(root, tag);
        self.output.get_mut(id).set(c::DW_AT_byte_size, Value::Udata(8));
        if let Some(pointee) = pointee {
            self.output.get_mut(id).set(c::DW_AT_type, pointee);
        }
        id
    }

    /// `T *` for the pointer or reference type at `position`.
    fn pointer_name(&self, position: usize) -> String {
        match self.attribute_of(self.position, position, c::DW_AT_type).and_then(|ty| self.target(self.position, ty)) {
            Some((unit, entry)) => self.type_name(unit, entry, 1) + " *",
            None => "void *".to_owned(),
        }
    }

    /// A type's name as C++ would write it, roughly.
    fn type_name(&self, unit: usize, entry: usize, depth: usize) -> String {
        if depth > MAX_TYPE_CHAIN {
            return "...".to_owned();
        }
        let tag = self.fill.plan.units[unit].entries[entry].tag;
        let inner = || {
            self.attribute_of(unit, entry, c::DW_AT_type)
                .and_then(|ty| self.target(unit, ty))
                .map_or_else(|| "void".to_owned(), |(unit, entry)| self.type_name(unit, entry, depth + 1))
        };
        match tag {
            c::DW_TAG_pointer_type => inner() + " *",
            c::DW_TAG_reference_type => inner() + " &",
            c::DW_TAG_rvalue_reference_type => inner() + " &&",
            c::DW_TAG_const_type => match inner() {
                name if name.ends_with('*') => name + "const",
                name => "const ".to_owned() + &name,
            },
            c::DW_TAG_volatile_type => "volatile ".to_owned() + &inner(),
            c::DW_TAG_array_type => inner() + " []",
            c::DW_TAG_subroutine_type => inner() + " ()",
            _ => self
                .attribute_of(unit, entry, c::DW_AT_name)
                .and_then(|name| {
                    self.fill.input.dwarf.sections.attr_string(&self.fill.input.dwarf.units[unit], name).ok()
                })
                .map_or_else(|| "(anonymous)".to_owned(), |name| name.to_string_lossy().into_owned()),
        }
    }

    /// Pointers without a size would have that of the host's.
    fn pointer_size(&mut self, id: UnitEntryId, tag: gimli::DwTag) {
        let pointer = matches!(
            tag,
            c::DW_TAG_pointer_type
                | c::DW_TAG_reference_type
                | c::DW_TAG_rvalue_reference_type
                | c::DW_TAG_ptr_to_member_type
        );
        if pointer && self.output.get(id).get(c::DW_AT_byte_size).is_none() {
            let size = if self.fill.input.guest.memory64 { 8 } else { 4 };
            self.output.get_mut(id).set(c::DW_AT_byte_size, Value::Udata(size));
        }
    }
}

/// Type definitions, qualifiers and origins that are followed in a row.
const MAX_TYPE_CHAIN: usize = 32;

/// What an expression in this attribute is for.
fn role_of(name: gimli::DwAt) -> Role {
    match name {
        c::DW_AT_data_member_location | c::DW_AT_use_location | c::DW_AT_vtable_elem_location => Role::Member,
        c::DW_AT_frame_base => Role::FrameBase,
        c::DW_AT_location
        | c::DW_AT_return_addr
        | c::DW_AT_static_link
        | c::DW_AT_string_length
        | c::DW_AT_data_location
        | c::DW_AT_segment => Role::Location,
        _ => Role::Value,
    }
}

/// Attributes that the output writes itself, or that only make sense for the guest's own sections.
fn is_dropped(name: gimli::DwAt) -> bool {
    matches!(
        name,
        c::DW_AT_sibling
            | c::DW_AT_stmt_list
            | c::DW_AT_frame_base
            | c::DW_AT_high_pc
            | c::DW_AT_ranges
            | c::DW_AT_entry_pc
            | c::DW_AT_str_offsets_base
            | c::DW_AT_addr_base
            | c::DW_AT_rnglists_base
            | c::DW_AT_loclists_base
            | c::DW_AT_dwo_name
            | c::DW_AT_GNU_dwo_name
            | c::DW_AT_GNU_dwo_id
            | c::DW_AT_GNU_addr_base
            | c::DW_AT_GNU_ranges_base
            | c::DW_AT_GNU_pubnames
            | c::DW_AT_GNU_pubtypes
    )
}

fn is_code_address(name: gimli::DwAt) -> bool {
    matches!(name, c::DW_AT_low_pc | c::DW_AT_call_return_pc | c::DW_AT_call_pc)
}

/// Attributes that say more than what code is called and where it comes from.
fn is_detail(name: gimli::DwAt) -> bool {
    matches!(
        name,
        c::DW_AT_type
            | c::DW_AT_location
            | c::DW_AT_const_value
            | c::DW_AT_containing_type
            | c::DW_AT_object_pointer
            | c::DW_AT_vtable_elem_location
            | c::DW_AT_import
            | c::DW_AT_default_value
            | c::DW_AT_macros
            | c::DW_AT_macro_info
            | c::DW_AT_GNU_macros
    )
}

/// "All calls are described", which holds only with call sites.
fn is_call_flag(name: gimli::DwAt) -> bool {
    matches!(
        name,
        c::DW_AT_call_all_calls
            | c::DW_AT_call_all_source_calls
            | c::DW_AT_call_all_tail_calls
            | c::DW_AT_GNU_all_call_sites
            | c::DW_AT_GNU_all_source_call_sites
            | c::DW_AT_GNU_all_tail_call_sites
    )
}
