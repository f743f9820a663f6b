//! Types and what else attributes refer to.

use super::{Fill, MAX_TYPE_CHAIN, UnitFiller};
use crate::guest_dwarf::Slice;
use crate::pointers::{PointerKind, is_transparent, pointer_kind};
use crate::scope::Entry;
use crate::tables::{EntryReference, Value};
use gimli::{AttributeValue, DieReference, UnitOffset, constants as c};

/// Parameters that the name of a function type tells.
const MAX_PARAMETERS: usize = 24;
/// How deep in a name there may be function types that tell theirs.
const MAX_FUNCTION_DEPTH: usize = 4;

impl<'a> Fill<'_, 'a> {
    pub(super) fn attribute_of(
        &self,
        unit: usize,
        entry: usize,
        name: gimli::DwAt,
    ) -> Option<AttributeValue<Slice<'a>>> {
        let offset = self.plan.units[unit].entries[entry].offset as usize;
        self.input.dwarf.units[unit].entry(UnitOffset(offset)).ok()?.attr_value(name)
    }

    /// The entry that an attribute of the unit at `unit` refers to.
    pub(super) fn target(&self, unit: usize, value: AttributeValue<Slice<'a>>) -> Option<(usize, usize)> {
        let (plan, dwarf) = (self.plan, self.input.dwarf);
        match value {
            AttributeValue::UnitRef(offset) => plan.find(dwarf, unit, DieReference::UnitRef(offset)),
            AttributeValue::DebugInfoRef(offset) => plan.find_global(dwarf, unit, offset.0),
            AttributeValue::DebugTypesRef(signature) => plan.find_signature(signature.0),
            _ => None,
        }
    }
}

impl<'a> UnitFiller<'_, '_, 'a> {
    pub(super) fn attribute_of(
        &self,
        unit: usize,
        entry: usize,
        name: gimli::DwAt,
    ) -> Option<AttributeValue<Slice<'a>>> {
        self.fill.attribute_of(unit, entry, name)
    }

    pub(super) fn target(&self, unit: usize, value: AttributeValue<Slice<'a>>) -> Option<(usize, usize)> {
        self.fill.target(unit, value)
    }

    pub(super) fn entry_reference(&self, (unit, entry): (usize, usize)) -> Option<EntryReference> {
        let id = self.fill.plan.units[unit].entries[entry].id?;
        Some(EntryReference { unit: u32::try_from(unit).ok()?, entry: id })
    }

    /// The pointer type that a type is, after type definitions and qualifiers.
    pub(super) fn pointer_type(
        &self,
        unit: usize,
        value: AttributeValue<Slice<'a>>,
    ) -> Option<((usize, usize), PointerKind)> {
        let (mut unit, mut entry) = self.target(unit, value)?;
        for _ in 0..MAX_TYPE_CHAIN {
            let tag = self.fill.plan.units[unit].entries[entry].tag;
            if let Some(kind) = pointer_kind(tag) {
                return Some(((unit, entry), kind));
            }
            if tag == c::DW_TAG_ptr_to_member_type {
                let function = self.is_to_function(unit, entry)?;
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
    pub(super) fn pointer_variable(&self, entry: &Entry<'a>, tag: gimli::DwTag) -> Option<PointerKind> {
        let kind = self.pointer_of(entry, tag)?;
        match kind {
            PointerKind::Method => None,
            PointerKind::DataMember => Some(kind),
            _ => self.narrow_pointers().then_some(kind),
        }
    }

    fn pointer_of(&self, entry: &Entry<'a>, tag: gimli::DwTag) -> Option<PointerKind> {
        let wanted = self.narrow_pointers() || self.fill.plan.has_member_pointers;
        if !wanted || self.fill.input.guest.memory64 || !matches!(tag, c::DW_TAG_variable | c::DW_TAG_formal_parameter)
        {
            return None;
        }
        if let Some(ty) = entry.attr_value(c::DW_AT_type) {
            return self.kind_of_variable(self.position, ty);
        }
        let origin = entry.attr_value(c::DW_AT_abstract_origin).or_else(|| entry.attr_value(c::DW_AT_specification))?;
        let (mut unit, mut at) = self.target(self.position, origin)?;
        for _ in 0..MAX_TYPE_CHAIN {
            if let Some(ty) = self.attribute_of(unit, at, c::DW_AT_type) {
                return self.kind_of_variable(unit, ty);
            }
            let origin = self
                .attribute_of(unit, at, c::DW_AT_abstract_origin)
                .or_else(|| self.attribute_of(unit, at, c::DW_AT_specification))?;
            (unit, at) = self.target(unit, origin)?;
        }
        None
    }

    fn kind_of_variable(&self, unit: usize, ty: AttributeValue<Slice<'a>>) -> Option<PointerKind> {
        let (found, kind) = self.pointer_type(unit, ty)?;
        // Of another unit, the variable's type is the structure.
        (kind != PointerKind::DataMember || found.0 == unit).then_some(kind)
    }

    /// What a pointer type points to; `None` for `void`.
    pub(super) fn pointee(&self, (unit, entry): (usize, usize)) -> Option<Value> {
        self.reference_to(self.target(unit, self.attribute_of(unit, entry, c::DW_AT_type)?)?)
    }

    /// A reference to an entry of the guest's.
    pub(super) fn reference_to(&self, target: (usize, usize)) -> Option<Value> {
        let id = self.fill.plan.units[target.0].entries[target.1].id?;
        if target.0 == self.position {
            Some(Value::UnitRef(id))
        } else {
            Some(Value::DebugInfoRef(self.entry_reference(target)?))
        }
    }

    /// A type's name as C++ would write it, roughly, and within a unit no other type's.
    pub(super) fn type_name(&self, unit: usize, entry: usize, depth: usize) -> String {
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
            c::DW_TAG_ptr_to_member_type => {
                let class = self.attribute_of(unit, entry, c::DW_AT_containing_type);
                let class = class.and_then(|class| self.target(unit, class));
                let class = class.map_or_else(
                    || "?".to_owned(),
                    |(unit, entry)| self.scope_name(unit, entry, depth) + &self.own_name(unit, entry),
                );
                match inner() {
                    // A function's.
                    name if name.ends_with(')') => name.replacen(" (", &format!(" ({class}::*)("), 1),
                    // Not quite as C++ has it: lldb keeps formatters by name, and variables have the real type.
                    name => format!("{name} ({class}::*)"),
                }
            }
            c::DW_TAG_subroutine_type => format!("{} ({})", inner(), self.parameters(unit, entry, depth)),
            _ => self.scope_name(unit, entry, depth) + &self.own_name(unit, entry),
        }
    }

    fn own_name(&self, unit: usize, entry: usize) -> String {
        let dwarf = self.fill.input.dwarf;
        // A type that has a unit of its own is named there.
        let signature = self.attribute_of(unit, entry, c::DW_AT_signature);
        let (unit, entry) = signature.and_then(|it| self.target(unit, it)).unwrap_or((unit, entry));
        let name = self.attribute_of(unit, entry, c::DW_AT_name);
        match name.and_then(|name| dwarf.sections(&dwarf.units[unit]).attr_string(&dwarf.units[unit], name).ok()) {
            Some(name) => name.to_string_lossy().into_owned(),
            None if self.fill.plan.units[unit].entries[entry].tag == c::DW_TAG_namespace => {
                "(anonymous namespace)".to_owned()
            }
            None => self.unnamed(unit, entry),
        }
    }

    fn unnamed(&self, unit: usize, entry: usize) -> String {
        let place = self.fill.input.dwarf.units[unit].place_in_file(self.fill.plan.units[unit].entries[entry].offset);
        format!("(anonymous {place:#x})")
    }

    /// The namespaces, classes and functions around a type, each with `::` behind it.
    fn scope_name(&self, unit: usize, entry: usize, depth: usize) -> String {
        let entries = &self.fill.plan.units[unit].entries;
        let mut scopes = Vec::new();
        let mut at = entry;
        while at != 0 && depth + scopes.len() <= MAX_TYPE_CHAIN {
            at = entries[at].parent as usize;
            match entries[at].tag {
                c::DW_TAG_namespace | c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type => {
                    scopes.push(self.own_name(unit, at) + "::");
                }
                c::DW_TAG_subprogram => scopes.push(self.own_name(unit, at) + "()::"),
                _ => {}
            }
        }
        scopes.into_iter().rev().collect()
    }

    /// What a function takes. Where that would grow too long, its own place tells it from others.
    fn parameters(&self, unit: usize, function: usize, depth: usize) -> String {
        let entries = &self.fill.plan.units[unit].entries;
        let inside = entries[function + 1..].iter().take_while(|it| it.parent as usize >= function);
        if depth > MAX_FUNCTION_DEPTH || inside.clone().take(MAX_PARAMETERS + 1).count() > MAX_PARAMETERS {
            return self.unnamed(unit, function);
        }
        let own = inside.enumerate().filter(|(_, it)| it.parent as usize == function);
        let named = own.map(|(index, it)| match it.tag {
            _ if self.attribute_of(unit, function + 1 + index, c::DW_AT_artificial).is_some() => String::new(),
            c::DW_TAG_formal_parameter => self
                .attribute_of(unit, function + 1 + index, c::DW_AT_type)
                .and_then(|ty| self.target(unit, ty))
                .map_or_else(|| "void".to_owned(), |(unit, entry)| self.type_name(unit, entry, depth + 1)),
            _ => "...".to_owned(),
        });
        named.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
    }
}
