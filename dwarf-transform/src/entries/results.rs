//! What types consist of: whether the guest returns a result where the host would, and whether there is anything in it.

use super::{Fill, MAX_TYPE_CHAIN, UnitFiller};
use crate::address::ValType;
use crate::definitions::{Definitions, qualified_name};
use crate::guest_dwarf::Slice;
use crate::options::PointerFlavour;
use crate::plan::NONE;
use crate::pointers::{is_transparent, pointer_kind};
use crate::scope::Entry;
use crate::tables::{EntryId, Value};
use gimli::{AttributeValue, UnitOffset, constants as c};
use rayon::prelude::*;
use std::collections::HashSet;

/// How many scalars a type consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalars {
    None,
    One,
    Many,
}

/// What a debugger is told of a function's result.
pub(super) enum ShownResult {
    /// The guest's type.
    AsItIs,
    /// Another type.
    By(Value),
    /// That it does not know where the result is.
    Hidden,
    /// That there is none: the compiler has removed it.
    Removed,
}

/// The types of the objects that functions return in memory and whose place they return.
///
/// lldb looks in memory for any object that is too large for registers, and for others if their types say that they are passed by
/// reference. Each unit has its own description of a type, and lldb may read another one than that of the function's unit.
#[derive(Debug, Default)]
pub(crate) struct ReturnedTypes<'a> {
    /// Unit and entry.
    entries: HashSet<(usize, usize)>,
    /// Name, and size where it is known.
    names: HashSet<(&'a [u8], Option<u64>)>,
}

impl<'a> ReturnedTypes<'a> {
    pub(crate) fn find(fill: Fill<'_, 'a>) -> ReturnedTypes<'a> {
        let functions = &fill.input.native.functions;
        let found: Vec<(usize, usize)> = (0..fill.plan.units.len())
            .into_par_iter()
            .flat_map_iter(|position| {
                let entries = fill.plan.units[position].entries.iter();
                entries.filter_map(move |planned| {
                    let function = functions.get(planned.function as usize)?;
                    if planned.tag != c::DW_TAG_subprogram || planned.id.is_none() || !function.returns_result_place {
                        return None;
                    }
                    let entry = fill.input.dwarf.units[position].entry(UnitOffset(planned.offset as usize)).ok()?;
                    let ty = fill.record(fill.type_of(position, &entry)?)?;
                    let scalars = fill.scalars(ty, fill.is_rust(position), 0, &mut 10_000);
                    // One alone comes in a register, unless it has been removed.
                    (scalars == Scalars::Many).then_some(ty)
                })
            })
            .collect();
        let entries: HashSet<(usize, usize)> = found.into_iter().collect();
        let names = entries.iter().filter_map(|&(unit, entry)| fill.name_and_size(unit, entry)).collect();
        ReturnedTypes { entries, names }
    }

    pub(super) fn has(&self, fill: &Fill<'_, 'a>, unit: usize, entry: usize) -> bool {
        let has_name = || {
            let Some((name, size)) = fill.name_and_size(unit, entry) else { return false };
            self.names.contains(&(name, size)) || self.names.contains(&(name, None))
        };
        self.entries.contains(&(unit, entry)) || !self.names.is_empty() && has_name()
    }
}

impl<'a> Fill<'_, 'a> {
    /// The type of an entry of the unit at `unit`, by its own attribute or that of its origin.
    pub(super) fn type_of(&self, unit: usize, entry: &Entry<'a>) -> Option<(usize, usize)> {
        let (unit, ty) = self.inherited(unit, entry, |entry| entry.attr_value(c::DW_AT_type))?;
        self.target(unit, ty)
    }

    /// An attribute of an entry of the unit at `unit`, its own or that of its origin, and the unit that has it.
    pub(super) fn inherited(
        &self,
        unit: usize,
        entry: &Entry<'a>,
        attribute: impl Fn(&Entry<'a>) -> Option<AttributeValue<Slice<'a>>>,
    ) -> Option<(usize, AttributeValue<Slice<'a>>)> {
        if let Some(value) = attribute(entry) {
            return Some((unit, value));
        }
        let origin_of = |entry: &Entry<'a>| {
            entry.attr_value(c::DW_AT_specification).or_else(|| entry.attr_value(c::DW_AT_abstract_origin))
        };
        let mut origin = self.target(unit, origin_of(entry)?);
        for _ in 0..MAX_TYPE_CHAIN {
            let (unit, at) = origin?;
            let offset = self.plan.units[unit].entries[at].offset as usize;
            let entry = self.input.dwarf.units[unit].entry(UnitOffset(offset)).ok()?;
            if let Some(value) = attribute(&entry) {
                return Some((unit, value));
            }
            origin = self.target(unit, origin_of(&entry)?);
        }
        None
    }

    /// The structure, class or union that a type is, after type definitions and qualifiers.
    pub(super) fn record(&self, (mut unit, mut entry): (usize, usize)) -> Option<(usize, usize)> {
        for _ in 0..MAX_TYPE_CHAIN {
            let tag = self.plan.units[unit].entries[entry].tag;
            if is_record(tag) {
                return Some(self.definition(unit, entry));
            }
            let inner = self.attribute_of(unit, entry, c::DW_AT_type).filter(|_| is_transparent(tag))?;
            (unit, entry) = self.target(unit, inner)?;
        }
        None
    }

    /// What a type that stands for one in a type unit stands for.
    fn definition(&self, unit: usize, entry: usize) -> (usize, usize) {
        let is_record = is_record(self.plan.units[unit].entries[entry].tag);
        let signature = || self.attribute_of(unit, entry, c::DW_AT_signature);
        let definition = is_record.then(signature).flatten().and_then(|signature| self.target(unit, signature));
        definition.unwrap_or((unit, entry))
    }

    /// The elements of an array, where its bounds are constants.
    fn elements(&self, unit: usize, array: usize) -> Option<u64> {
        let entries = &self.plan.units[unit].entries;
        let number = |entry, name| self.attribute_of(unit, entry, name).and_then(|value| value.udata_value());
        let inside = (array + 1..entries.len())
            .take_while(|child| entries[*child].parent != NONE && entries[*child].parent as usize >= array);
        let mut elements: u64 = 1;
        for child in inside.filter(|child| entries[*child].parent as usize == array) {
            if entries[child].tag == c::DW_TAG_subrange_type {
                let lower = number(child, c::DW_AT_lower_bound).unwrap_or(0);
                let upper = || number(child, c::DW_AT_upper_bound)?.checked_sub(lower)?.checked_add(1);
                elements = elements.checked_mul(number(child, c::DW_AT_count).or_else(upper)?)?;
            }
        }
        Some(elements)
    }

    /// How many scalars a type consists of, for the question whether it is returned in a register.
    pub(super) fn scalars(
        &self,
        (unit, entry): (usize, usize),
        is_rust: bool,
        depth: usize,
        budget: &mut u32,
    ) -> Scalars {
        if depth > MAX_TYPE_CHAIN || *budget == 0 {
            return Scalars::Many;
        }
        *budget -= 1;
        let plan = &self.plan.units[unit];
        let tag = plan.entries[entry].tag;
        let number = |name| self.attribute_of(unit, entry, name).and_then(|value| value.udata_value());
        let inner =
            |budget: &mut u32| match self.attribute_of(unit, entry, c::DW_AT_type).and_then(|ty| self.target(unit, ty))
            {
                Some((unit, entry)) => self.scalars((unit, entry), is_rust, depth + 1, budget),
                None => Scalars::None,
            };
        let (definition_unit, definition) = self.definition(unit, entry);
        if (definition_unit, definition) != (unit, entry) {
            return self.scalars((definition_unit, definition), is_rust, depth + 1, budget);
        }
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
                                Some((unit, entry)) => self.scalars((unit, entry), is_rust, depth + 1, budget),
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
            c::DW_TAG_array_type => match self.elements(unit, entry) {
                Some(0) => Scalars::None,
                // In Rust only what fits in a pointer comes in a register.
                Some(1) if !is_rust => inner(budget),
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

    pub(super) fn name_and_size(&self, unit: usize, entry: usize) -> Option<(&'a [u8], Option<u64>)> {
        let name = self.attribute_of(unit, entry, c::DW_AT_name)?;
        let (dwarf, unit_of_name) = (self.input.dwarf, &self.input.dwarf.units[unit]);
        let name = dwarf.sections(unit_of_name).attr_string(unit_of_name, name).ok()?;
        let size = self.attribute_of(unit, entry, c::DW_AT_byte_size).and_then(|size| size.udata_value());
        Some((name.slice(), size))
    }
}

/// Is this the tag of a structure, class or union?
pub(super) fn is_record(tag: gimli::DwTag) -> bool {
    matches!(tag, c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type)
}

/// The members of a structure that lldb finds a result in.
const RESULT_BYTES: &str = "__register";
const RESULT_VALUE: &str = "__value";

/// Larger results are in memory in the host's convention.
pub(super) const LARGEST_IN_REGISTERS: u64 = 16;

impl<'a> UnitFiller<'_, '_, 'a> {
    /// How a debugger comes to read the result of a subprogram, which the guest's function at a position is. `returns_place` says
    /// that the code returns where a result in memory is.
    ///
    /// The basic C ABI of WebAssembly returns a structure with one scalar as that scalar and all others through memory;
    /// so Rust does, except that what fits in a pointer mostly comes in a register. Both debuggers read results of more than 16 bytes
    /// in memory, and know by the type of smaller ones in which registers these are. Results that have variants end gdb 13
    /// with an internal error, natively as well.
    ///
    /// Optimizing compilers remove results that no caller uses, or that are known; the source's type remains.
    pub(super) fn shown_result(&mut self, entry: &Entry<'a>, function: usize, returns_place: bool) -> ShownResult {
        let is_for_gdb = self.fill.options.flavour == PointerFlavour::Gdb;
        if is_for_gdb
            && self.fill.plan.has_variants
            && let Some(ty) = self.type_of(entry)
        {
            let known = self.variants.get(&ty).copied();
            let found = known.unwrap_or_else(|| self.has_variants(ty.0, ty.1, 0, &mut 1_000));
            self.variants.insert(ty, found);
            if found {
                return ShownResult::Hidden;
            }
        }
        let Some(ty) = self.type_of(entry) else { return ShownResult::AsItIs };
        let Some(function) = self.fill.input.guest.functions.get(function) else { return ShownResult::AsItIs };
        let scalars = self.fill.scalars(ty, self.is_rust(), 0, &mut 10_000);
        match scalars {
            Scalars::None => ShownResult::AsItIs,
            Scalars::One if function.results.is_empty() => ShownResult::Removed,
            Scalars::Many if returns_place || !self.is_small_in_rust(ty) => {
                let shown = if returns_place { self.result_in_memory(entry) } else { None };
                shown.unwrap_or(ShownResult::Hidden)
            }
            Scalars::One | Scalars::Many => {
                let misread = !is_for_gdb && self.is_misread_by_lldb(ty, scalars);
                let shown = if misread { self.result_in_register(ty, &function.results) } else { None };
                shown.map_or(ShownResult::AsItIs, ShownResult::By)
            }
        }
    }

    fn is_small_in_rust(&self, (unit, entry): (usize, usize)) -> bool {
        let size = self.attribute_of(unit, entry, c::DW_AT_byte_size).and_then(|size| size.udata_value());
        self.is_rust() && size.is_some_and(|size| size <= 4)
    }

    /// Would lldb 19 not find in a register what is there? It knows no enumerations, and of structures only the members that are
    /// neither arrays nor bases, in a row.
    fn is_misread_by_lldb(&self, (mut unit, mut entry): (usize, usize), scalars: Scalars) -> bool {
        let mut is_member = false;
        for _ in 0..MAX_TYPE_CHAIN {
            (unit, entry) = match self.fill.plan.units[unit].entries[entry].tag {
                // As a member it is known.
                c::DW_TAG_enumeration_type => return !is_member,
                c::DW_TAG_array_type => return true,
                tag if is_record(tag) => {
                    is_member = true;
                    let record = self.fill.definition(unit, entry);
                    let member = if scalars == Scalars::One { self.only_member(record) } else { None };
                    let Some(member) = member else { return true };
                    member
                }
                // What `finish` finds, lldb shows without formatters.
                tag if is_member && self.is_pointer_structure(tag) => return true,
                tag if is_transparent(tag) => {
                    let Some(inner) = self.attribute_of(unit, entry, c::DW_AT_type) else { return false };
                    let Some(inner) = self.target(unit, inner) else { return false };
                    inner
                }
                _ => return false,
            };
        }
        false
    }

    /// The type of the member of a structure that the scalar is in.
    fn only_member(&self, (unit, record): (usize, usize)) -> Option<(usize, usize)> {
        let entries = &self.fill.plan.units[unit].entries;
        let inside = (record + 1..entries.len())
            .take_while(|at| entries[*at].parent != NONE && entries[*at].parent as usize >= record);
        let members = inside.filter(|at| {
            entries[*at].parent as usize == record
                && entries[*at].tag == c::DW_TAG_member
                && self.attribute_of(unit, *at, c::DW_AT_external).is_none()
        });
        let mut types = members.filter_map(|at| self.target(unit, self.attribute_of(unit, at, c::DW_AT_type)?));
        types.find(|ty| self.fill.scalars(*ty, self.is_rust(), 0, &mut 10_000) == Scalars::One)
    }

    /// A structure that lldb finds in a register, with the result in it: the register's bytes are members, and the result is an element
    /// of an array over them, which lldb fills from the same bytes without looking into it.
    fn result_in_register(&mut self, ty: (usize, usize), results: &[ValType]) -> Option<Value> {
        let &[result] = results else { return None };
        if let Some(known) = self.results.get(&(ty, result)) {
            return Some(Value::UnitRef(*known));
        }
        let (mut core, mut named) = (ty, None);
        for _ in 0..MAX_TYPE_CHAIN {
            let tag = self.fill.plan.units[core.0].entries[core.1].tag;
            if named.is_none() && (tag == c::DW_TAG_typedef || !is_transparent(tag)) {
                named = Some(core);
            }
            if !is_transparent(tag) {
                break;
            }
            core = self.target(core.0, self.attribute_of(core.0, core.1, c::DW_AT_type)?)?;
        }
        let core = self.fill.definition(core.0, core.1);
        let size = self.attribute_of(core.0, core.1, c::DW_AT_byte_size)?.udata_value()?;
        let encoding = match result {
            ValType::I32 | ValType::I64 => c::DW_ATE_unsigned,
            ValType::F32 | ValType::F64 => c::DW_ATE_float,
            ValType::V128 | ValType::Ref => return None,
        };
        let register = u64::from(result.size());
        if size == 0 || size > register || encoding == c::DW_ATE_float && size < register {
            return None;
        }
        let shown = self.reference_to(ty)?;
        let has_variants = self.has_variants(core.0, core.1, 0, &mut 1_000);
        let keyword = match self.fill.plan.units[core.0].entries[core.1].tag {
            c::DW_TAG_enumeration_type => "enum ",
            _ if has_variants => "enum ",
            c::DW_TAG_union_type => "union ",
            c::DW_TAG_class_type => "class ",
            _ => "struct ",
        };
        // With the keyword before it, the name is that of no other type: by its own one, lldb finds the type itself.
        let (unit, entry) = named?;
        let name = keyword.to_owned() + &self.type_name(unit, entry, 0);
        let identity =
            self.fill.input.dwarf.units[unit].place_in_file(self.fill.plan.units[unit].entries[entry].offset);
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_structure_type);
        let mut structure = self.output.get_mut(id);
        structure.set(c::DW_AT_name, Value::String(name.into_bytes()));
        structure.set(c::DW_AT_byte_size, Value::Udata(size));
        // As for structures that stand for pointers.
        structure.set(c::DW_AT_decl_line, Value::Udata(identity));
        let mut at = 0;
        while at < size {
            let width = if encoding == c::DW_ATE_float { size } else { 1 << (size - at).ilog2() };
            let base = self.output.add(root, c::DW_TAG_base_type);
            let mut entry = self.output.get_mut(base);
            entry.set(c::DW_AT_name, Value::String(b"__wasm_register".to_vec()));
            entry.set(c::DW_AT_encoding, Value::Udata(encoding.0.into()));
            entry.set(c::DW_AT_byte_size, Value::Udata(width));
            self.result_member(id, RESULT_BYTES, Value::UnitRef(base), at);
            at += width;
        }
        let array = self.output.add(root, c::DW_TAG_array_type);
        let mut entry = self.output.get_mut(array);
        entry.set(c::DW_AT_type, shown);
        entry.set(c::DW_AT_byte_size, Value::Udata(size));
        let bounds = self.output.add(array, c::DW_TAG_subrange_type);
        self.output.get_mut(bounds).set(c::DW_AT_count, Value::Udata(1));
        self.result_member(id, RESULT_VALUE, Value::UnitRef(array), 0);
        self.results.insert((ty, result), id);
        Some(Value::UnitRef(id))
    }

    fn result_member(&mut self, structure: EntryId, name: &str, ty: Value, place: u64) {
        let member = self.output.add(structure, c::DW_TAG_member);
        let mut member = self.output.get_mut(member);
        member.set(c::DW_AT_name, Value::String(name.as_bytes().to_vec()));
        member.set(c::DW_AT_type, ty);
        member.set(c::DW_AT_data_member_location, Value::Udata(place));
    }

    /// The type of a function that returns nothing, to be told in the place of the type of its declaration.
    pub(super) fn no_result(&mut self) -> Value {
        let known = self.void_type;
        let id = known.unwrap_or_else(|| {
            let root = self.output.root();
            let id = self.output.add(root, c::DW_TAG_unspecified_type);
            self.output.get_mut(id).set(c::DW_AT_name, Value::String(b"void".to_vec()));
            id
        });
        self.void_type = Some(id);
        Value::UnitRef(id)
    }

    fn result_in_memory(&mut self, entry: &Entry<'a>) -> Option<ShownResult> {
        let (unit, ty) = self.type_of(entry)?;
        let (mut core_unit, mut core) = (unit, ty);
        for _ in 0..MAX_TYPE_CHAIN {
            if !is_transparent(self.fill.plan.units[core_unit].entries[core].tag) {
                break;
            }
            (core_unit, core) = self.target(core_unit, self.attribute_of(core_unit, core, c::DW_AT_type)?)?;
        }
        (core_unit, core) = self.fill.definition(core_unit, core);
        let planned = &self.fill.plan.units[core_unit].entries[core];
        let size = match planned.tag {
            c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type => {
                self.attribute_of(core_unit, core, c::DW_AT_byte_size)?.udata_value()?
            }
            c::DW_TAG_array_type => self.size_of(entry)?,
            _ => return None,
        };
        if size > LARGEST_IN_REGISTERS {
            return Some(ShownResult::AsItIs);
        }
        if self.fill.options.flavour == PointerFlavour::Gdb {
            return self.larger_result((unit, ty)).map(ShownResult::By);
        }
        // lldb never looks for arrays in registers, and is told of classes by [`ReturnedTypes`].
        Some(ShownResult::AsItIs)
    }

    /// Is one of several things in a type, or in what it consists of? Where that is too much to look at, it may be.
    fn has_variants(&self, unit: usize, entry: usize, depth: usize, budget: &mut u32) -> bool {
        if depth > MAX_TYPE_CHAIN || *budget == 0 {
            return true;
        }
        *budget -= 1;
        let entries = &self.fill.plan.units[unit].entries;
        let inner = |at, budget: &mut u32| {
            let ty = self.attribute_of(unit, at, c::DW_AT_type).and_then(|ty| self.target(unit, ty));
            ty.is_some_and(|(unit, entry)| self.has_variants(unit, entry, depth + 1, budget))
        };
        match entries[entry].tag {
            tag if is_transparent(tag) || tag == c::DW_TAG_array_type => inner(entry, budget),
            c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type => {
                let inside = (entry + 1..entries.len())
                    .take_while(|at| entries[*at].parent != NONE && entries[*at].parent as usize >= entry);
                for at in inside.filter(|at| entries[*at].parent as usize == entry) {
                    let found = match entries[at].tag {
                        c::DW_TAG_variant_part => true,
                        c::DW_TAG_member | c::DW_TAG_inheritance => inner(at, budget),
                        _ => false,
                    };
                    if found {
                        return true;
                    }
                }
                false
            }
            _ => false,
        }
    }

    /// Marks a class that is returned through memory.
    pub(super) fn mark_result(&mut self, position: usize, tag: gimli::DwTag, id: EntryId) {
        if is_record(tag) && self.fill.returned.has(&self.fill, self.position, position) {
            let convention = Value::Udata(c::DW_CC_pass_by_reference.0.into());
            self.output.get_mut(id).set(c::DW_AT_calling_convention, convention);
        }
    }

    /// The type of an entry, by its own attribute or that of its origin.
    fn type_of(&self, entry: &Entry<'a>) -> Option<(usize, usize)> {
        let (unit, ty) = self.fill.type_of(self.position, entry)?;
        Some(self.fill.definition(unit, ty))
    }

    /// Whether the type of a variable has nothing in it that could be read.
    pub(super) fn is_empty_object(&self, entry: &Entry<'a>) -> bool {
        self.scalars_of(entry) == Some(Scalars::None)
    }

    /// Is the object that an entry declares one scalar, in a unit of a version that cannot mark values?
    pub(super) fn is_unmarked_scalar(&self, entry: &Entry<'a>) -> bool {
        self.unit.encoding().version < 4 && self.scalars_of(entry) == Some(Scalars::One)
    }

    fn scalars_of(&self, entry: &Entry<'a>) -> Option<Scalars> {
        let (unit, ty) = self.type_of(entry)?;
        Some(self.fill.scalars((unit, ty), self.is_rust(), 0, &mut 1_000))
    }

    /// The bytes of the object that an entry declares, where its type says so.
    pub(super) fn size_of(&self, entry: &Entry<'a>) -> Option<u64> {
        let (mut unit, mut ty) = self.type_of(entry)?;
        let mut elements: u64 = 1;
        for _ in 0..MAX_TYPE_CHAIN {
            if let Some(size) = self.attribute_of(unit, ty, c::DW_AT_byte_size) {
                return size.udata_value()?.checked_mul(elements);
            }
            match self.fill.plan.units[unit].entries[ty].tag {
                tag if is_transparent(tag) => {}
                c::DW_TAG_array_type => elements = elements.checked_mul(self.fill.elements(unit, ty)?)?,
                tag if pointer_kind(tag).is_some() => {
                    return elements.checked_mul(if self.fill.input.guest.memory64 { 8 } else { 4 });
                }
                _ => {
                    let (dwarf, plan) = (self.fill.input.dwarf, self.fill.plan);
                    self.attribute_of(unit, ty, c::DW_AT_declaration)?;
                    let name = qualified_name(dwarf, &dwarf.units[unit], &plan.units[unit], ty)?;
                    let definitions = plan.definitions.get_or_init(|| Definitions::read(dwarf, plan));
                    return definitions.size(&name)?.checked_mul(elements);
                }
            }
            (unit, ty) = self.target(unit, self.attribute_of(unit, ty, c::DW_AT_type)?)?;
        }
        None
    }

    /// Is the unit written in Rust?
    pub(super) fn is_rust(&self) -> bool {
        self.fill.is_rust(self.position)
    }
}
