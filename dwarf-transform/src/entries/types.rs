//! Types and what else attributes refer to.

use super::{MAX_TYPE_CHAIN, UnitFiller};
use crate::guest_dwarf::Slice;
use crate::pointers::{PointerKind, is_transparent, pointer_kind};
use crate::scope::Entry;
use crate::tables::{EntryReference, Value};
use gimli::{AttributeValue, DieReference, UnitOffset, constants as c};

impl<'a> UnitFiller<'_, '_, 'a> {
    pub(super) fn attribute_of(
        &self,
        unit: usize,
        entry: usize,
        name: gimli::DwAt,
    ) -> Option<AttributeValue<Slice<'a>>> {
        let offset = self.fill.plan.units[unit].entries[entry].offset as usize;
        self.fill.input.dwarf.units[unit].entry(UnitOffset(offset)).ok()?.attr_value(name)
    }

    /// The entry that an attribute of the unit at `unit` refers to.
    pub(super) fn target(&self, unit: usize, value: AttributeValue<Slice<'a>>) -> Option<(usize, usize)> {
        let (plan, dwarf) = (self.fill.plan, self.fill.input.dwarf);
        match value {
            AttributeValue::UnitRef(offset) => plan.find(dwarf, unit, DieReference::UnitRef(offset)),
            AttributeValue::DebugInfoRef(offset) => plan.find_global(dwarf, unit, offset.0),
            AttributeValue::DebugTypesRef(signature) => plan.find_signature(signature.0),
            _ => None,
        }
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
    pub(super) fn pointer_variable(&self, entry: &Entry<'a>, tag: gimli::DwTag) -> Option<PointerKind> {
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

    /// What a pointer type points to; `None` for `void`.
    pub(super) fn pointee(&self, (unit, entry): (usize, usize)) -> Option<Value> {
        let target = self.target(unit, self.attribute_of(unit, entry, c::DW_AT_type)?)?;
        let id = self.fill.plan.units[target.0].entries[target.1].id?;
        if target.0 == self.position {
            Some(Value::UnitRef(id))
        } else {
            Some(Value::DebugInfoRef(self.entry_reference(target)?))
        }
    }

    /// A type's name as C++ would write it, roughly.
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
            c::DW_TAG_subroutine_type => inner() + " ()",
            _ => self
                .attribute_of(unit, entry, c::DW_AT_name)
                .and_then(|name| {
                    let dwarf = self.fill.input.dwarf;
                    dwarf.sections(&dwarf.units[unit]).attr_string(&dwarf.units[unit], name).ok()
                })
                .map_or_else(|| "(anonymous)".to_owned(), |name| name.to_string_lossy().into_owned()),
        }
    }
}
