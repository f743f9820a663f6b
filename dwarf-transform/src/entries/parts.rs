//! Types that debuggers are shown in the place of a class, with its name and members, but larger. Variables, members and elements keep
//! the class itself, and so does its name.
//!
//! For gdb, what pointers and references to classes with virtual bases lead to. A pointer may lead to a part of an object, whose
//! virtual bases lie behind the part's own end. gdb reads as many bytes as the class has, unless it knows the whole object,
//! which it looks for by a virtual table of 8-byte words; of bases that lie further behind it then shows whatever is in its own
//! memory. So pointers lead to a type that is as large as the largest object that the class can be a part of.
//!
//! For gdb, too, what functions return through memory: results of up to 16 bytes it would look for in registers.

use super::results::LARGEST_IN_REGISTERS;
use super::{MAX_TYPE_CHAIN, UnitFiller};
use crate::definitions::is_type;
use crate::extents::Extents;
use crate::guest_dwarf::Slice;
use crate::options::PointerFlavour;
use crate::pointers::is_transparent;
use crate::tables::{EntryId, Value};
use gimli::{AttributeValue, constants as c};
use std::collections::HashMap;

/// What a type is shown for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Use {
    /// A pointer leads to it.
    Pointee,
    /// A function returns it through memory.
    Result,
}

/// A type in the place of another.
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
        let target = self.target(self.position, pointee)?;
        self.type_for(target, Use::Pointee)
    }

    /// What a function returns, of a type that gdb would look for in registers.
    pub(super) fn larger_result(&mut self, result: (usize, usize)) -> Option<Value> {
        self.type_for(result, Use::Result)
    }

    fn type_for(&mut self, (unit, position): (usize, usize), use_: Use) -> Option<Value> {
        let part = if unit == self.position { self.part_at(position, use_, MAX_TYPE_CHAIN)? } else { return None };
        Some(Value::UnitRef(part.id))
    }

    fn part_at(&mut self, position: usize, use_: Use, depth: usize) -> Option<Part> {
        if let Some(known) = self.parts.get(&(position, use_)) {
            return *known;
        }
        let (plan, dwarf) = (self.fill.plan, self.fill.input.dwarf);
        let entry = &plan.units[self.position].entries[position];
        let attribute = |name| self.attribute_of(self.position, position, name);
        let instead = if is_transparent(entry.tag) && depth > 0 {
            let target = attribute(c::DW_AT_type).and_then(|ty| self.target(self.position, ty));
            let target = target.filter(|(unit, _)| *unit == self.position);
            target.and_then(|(_, target)| self.part_at(target, use_, depth - 1)).map(|part| Instead::Type(part.id))
        } else if is_type(entry.tag) {
            let size = attribute(c::DW_AT_byte_size).and_then(|size| size.udata_value());
            let wanted = match use_ {
                Use::Pointee => {
                    let extents = plan.extents.get_or_init(|| Extents::read(dwarf, plan));
                    extents.of(dwarf, plan, self.position, position)
                }
                Use::Result => Some(LARGEST_IN_REGISTERS + 1),
            };
            wanted.filter(|wanted| size.is_some_and(|size| size < *wanted)).map(Instead::Size)
        } else {
            None
        };
        let mut part = None;
        if let Some(instead) = instead.filter(|_| entry.id.is_some()) {
            part = self.output.reserve(1).next().map(|id| Part { id, instead });
        }
        self.parts.insert((position, use_), part);
        part
    }

    /// Is there a type that pointers to the one at a position lead to instead?
    pub(super) fn has_part(&self, position: usize) -> bool {
        self.parts.get(&(position, Use::Pointee)).is_some_and(Option::is_some)
    }

    /// Writes the types, behind those that have the names: gdb finds the first one.
    pub(super) fn fill_parts(&mut self) {
        let parts = self.parts.iter().filter_map(|(place, part)| Some((*place, (*part)?)));
        let mut parts: Vec<((usize, Use), Part)> = parts.collect();
        parts.sort_unstable_by_key(|(place, _)| *place);
        let entries = &self.fill.plan.units[self.position].entries;
        for ((position, use_), Part { id, instead }) in parts {
            let parent = entries.get(entries[position].parent as usize).and_then(|parent| parent.id);
            let parent = parent.unwrap_or(self.output.root());
            let Some(original) = entries[position].id else { continue };
            self.output.add_reserved(id, parent, entries[position].tag);
            let mut copies = HashMap::from([(original, id)]);
            self.copy(original, id, use_, &mut copies);
            for &copy in copies.values() {
                let inner = |(name, value)| match value {
                    Value::UnitRef(target) => Some((name, *copies.get(&target)?)),
                    _ => None,
                };
                let moved: Vec<_> = self.output.values(copy).filter_map(inner).collect();
                for (name, target) in moved {
                    self.output.get_mut(copy).set(name, Value::UnitRef(target));
                }
            }
            let mut part = self.output.get_mut(id);
            match instead {
                Instead::Size(size) => part.set(c::DW_AT_byte_size, Value::Udata(size)),
                Instead::Type(target) => part.set(c::DW_AT_type, Value::UnitRef(target)),
            }
        }
    }

    /// Attributes and children, without the types and the code that are defined there. The functions of a class are of no use for a
    /// result.
    fn copy(&mut self, from: EntryId, to: EntryId, use_: Use, copies: &mut HashMap<EntryId, EntryId>) {
        let values: Vec<_> = self.output.values(from).collect();
        for (name, value) in values {
            self.output.get_mut(to).set(name, value);
        }
        let children: Vec<EntryId> = self.output.children(from).collect();
        for child in children {
            let tag = self.output.tag(child);
            let has_code = [c::DW_AT_low_pc, c::DW_AT_ranges].into_iter().any(|name| self.output.has(child, name));
            let is_left_out = use_ == Use::Result && matches!(tag, c::DW_TAG_subprogram | c::DW_TAG_typedef);
            if !is_type(tag) && !has_code && !is_left_out {
                let copy = self.output.add(to, tag);
                copies.insert(child, copy);
                self.copy(child, copy, use_, copies);
            }
        }
    }
}
