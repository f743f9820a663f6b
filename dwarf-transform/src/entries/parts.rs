//! What pointers and references to classes with virtual bases lead to, for gdb.
//!
//! A pointer may lead to a part of an object, whose virtual bases lie behind the part's own end. gdb reads as many bytes as the
//! class has, unless it knows the whole object, which it looks for by a virtual table of 8-byte words; of bases that lie
//! further behind it then shows whatever is in its own memory. So pointers lead to a type of the class's name and with its
//! members that is as large as the largest object that the class can be a part of. Variables, members and elements keep the
//! class itself, and so does its name.

use super::{MAX_TYPE_CHAIN, UnitFiller};
use crate::definitions::is_type;
use crate::extents::Extents;
use crate::guest_dwarf::Slice;
use crate::options::PointerFlavour;
use crate::pointers::is_transparent;
use crate::tables::{EntryId, Value};
use gimli::{AttributeValue, constants as c};

/// A type that pointers lead to in the place of another.
#[derive(Clone, Copy)]
pub(super) struct Part {
    id: EntryId,
    instead: Instead,
}

/// What is different in it.
#[derive(Clone, Copy)]
enum Instead {
    /// A class's size.
    Size(u64),
    /// What a qualifier or a type definition stands for.
    Type(EntryId),
}

impl<'a> UnitFiller<'_, '_, 'a> {
    /// What a pointer or reference leads to, if not to the type that the guest has for it.
    pub(super) fn part(&mut self, pointee: AttributeValue<Slice<'a>>) -> Option<Value> {
        if !self.fill.plan.has_virtual_bases
            || self.fill.options.flavour != PointerFlavour::Gdb
            || self.fill.input.guest.memory64
        {
            return None;
        }
        let (unit, position) = self.target(self.position, pointee)?;
        let part = if unit == self.position { self.part_at(position, MAX_TYPE_CHAIN)? } else { return None };
        Some(Value::UnitRef(part.id))
    }

    fn part_at(&mut self, position: usize, depth: usize) -> Option<Part> {
        if let Some(known) = self.parts.get(&position) {
            return *known;
        }
        let (plan, dwarf) = (self.fill.plan, self.fill.input.dwarf);
        let entry = &plan.units[self.position].entries[position];
        let attribute = |name| self.attribute_of(self.position, position, name);
        let instead = if is_transparent(entry.tag) && depth > 0 {
            let target = attribute(c::DW_AT_type).and_then(|ty| self.target(self.position, ty));
            let target = target.filter(|(unit, _)| *unit == self.position);
            target.and_then(|(_, target)| self.part_at(target, depth - 1)).map(|part| Instead::Type(part.id))
        } else if is_type(entry.tag) {
            let extents = plan.extents.get_or_init(|| Extents::read(dwarf, plan));
            let size = attribute(c::DW_AT_byte_size).and_then(|size| size.udata_value());
            let extent = extents.of(dwarf, plan, self.position, position);
            extent.filter(|extent| size.is_some_and(|size| size < *extent)).map(Instead::Size)
        } else {
            None
        };
        let mut part = None;
        if let Some(instead) = instead.filter(|_| entry.id.is_some()) {
            part = self.output.reserve(1).next().map(|id| Part { id, instead });
        }
        self.parts.insert(position, part);
        part
    }

    /// Is there a type that pointers to the one at a position lead to instead?
    pub(super) fn has_part(&self, position: usize) -> bool {
        self.parts.get(&position).is_some_and(Option::is_some)
    }

    /// Writes the types, behind those that have the names: gdb finds the first one.
    pub(super) fn fill_parts(&mut self) {
        let mut parts: Vec<(usize, Part)> = self.parts.iter().filter_map(|(at, part)| Some((*at, (*part)?))).collect();
        parts.sort_unstable_by_key(|(position, _)| *position);
        let entries = &self.fill.plan.units[self.position].entries;
        for (position, Part { id, instead }) in parts {
            let parent = entries.get(entries[position].parent as usize).and_then(|parent| parent.id);
            let parent = parent.unwrap_or(self.output.root());
            let Some(original) = entries[position].id else { continue };
            self.output.add_reserved(id, parent, entries[position].tag);
            self.copy(original, id);
            let mut part = self.output.get_mut(id);
            match instead {
                Instead::Size(size) => part.set(c::DW_AT_byte_size, Value::Udata(size)),
                Instead::Type(target) => part.set(c::DW_AT_type, Value::UnitRef(target)),
            }
        }
    }

    /// Attributes and children, without the types and the code that are defined there.
    fn copy(&mut self, from: EntryId, to: EntryId) {
        let values: Vec<_> = self.output.values(from).collect();
        for (name, value) in values {
            self.output.get_mut(to).set(name, value);
        }
        let children: Vec<EntryId> = self.output.children(from).collect();
        for child in children {
            let tag = self.output.tag(child);
            let has_code = [c::DW_AT_low_pc, c::DW_AT_ranges].into_iter().any(|name| self.output.has(child, name));
            if !is_type(tag) && !has_code {
                let copy = self.output.add(to, tag);
                self.copy(child, copy);
            }
        }
    }
}
