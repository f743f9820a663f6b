//! The sizes of classes that a unit only declares.
//!
//! lldb 19 completes a class that it has met as a declaration first from its definition in another unit, but asks for its size
//! before it knows the places of the members. If the declaration says none, clang computes a layout of its own for that, which
//! holds for the whole session: without the 4 bytes of the pointer to a virtual table, and without what `packed` means
//! (natively as well).

use super::results::is_record;
use super::{Fill, UnitFiller};
use crate::options::PointerFlavour;
use crate::scope::Entry;
use crate::tables::{EntryId, Value};
use gimli::{UnitOffset, constants as c};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};

/// The name of a class with those of what it lies in, the innermost first.
type QualifiedName<'a> = Vec<&'a [u8]>;

/// The sizes in bytes of the classes that are declared in some unit and defined in another.
#[derive(Debug, Default)]
pub(crate) struct DeclaredSizes<'a>(HashMap<QualifiedName<'a>, u64>);

impl<'a> DeclaredSizes<'a> {
    /// Looks for them if the debugger needs them.
    pub(crate) fn find(fill: Fill<'_, 'a>) -> DeclaredSizes<'a> {
        if fill.options.flavour != PointerFlavour::Lldb || fill.options.lines_only {
            return DeclaredSizes::default();
        }
        let units: Vec<usize> = (0..fill.plan.units.len()).filter(|position| !fill.is_rust(*position)).collect();
        let classes = |position: usize| {
            let entries = fill.plan.units[position].entries.iter().enumerate();
            entries.filter(|(_, planned)| is_record(planned.tag)).filter_map(move |(entry, planned)| {
                let found = fill.input.dwarf.units[position].entry(UnitOffset(planned.offset as usize)).ok()?;
                Some((position, entry, found))
            })
        };
        let declared = units.par_iter().flat_map_iter(|position| {
            let declarations = classes(*position).filter(|(.., entry)| entry.attr(c::DW_AT_declaration).is_some());
            declarations.filter_map(|(position, entry, _)| fill.qualified_name(position, entry))
        });
        let declared: HashSet<QualifiedName<'a>> = declared.collect();
        if declared.is_empty() {
            return DeclaredSizes::default();
        }
        let defined = units.par_iter().flat_map_iter(|position| {
            let definitions = classes(*position).filter(|(.., entry)| entry.attr(c::DW_AT_declaration).is_none());
            definitions.filter_map(|(position, entry, found)| {
                let size = found.attr_value(c::DW_AT_byte_size)?.udata_value()?;
                let name = fill.qualified_name(position, entry).filter(|name| declared.contains(name))?;
                Some((name, size))
            })
        });
        DeclaredSizes(defined.collect::<Vec<_>>().into_iter().collect())
    }
}

impl<'a> Fill<'_, 'a> {
    /// The name of a class by which all units know it; none for those in functions and without names.
    fn qualified_name(&self, unit: usize, mut entry: usize) -> Option<QualifiedName<'a>> {
        let entries = &self.plan.units[unit].entries;
        let sections = self.input.dwarf.sections(&self.input.dwarf.units[unit]);
        let mut names = Vec::new();
        while entry != 0 {
            let is_scope = is_record(entries[entry].tag) || entries[entry].tag == c::DW_TAG_namespace;
            let name = self.attribute_of(unit, entry, c::DW_AT_name).filter(|_| is_scope)?;
            names.push(sections.attr_string(&self.input.dwarf.units[unit], name).ok()?.slice());
            entry = entries[entry].parent as usize;
        }
        Some(names)
    }
}

impl<'a> UnitFiller<'_, '_, 'a> {
    /// Adds the size to the declaration of a class.
    pub(super) fn declared_size(&mut self, entry: &Entry<'a>, position: usize, id: EntryId) {
        let sizes = &self.fill.declared.0;
        if sizes.is_empty() || !is_record(entry.tag()) || entry.attr(c::DW_AT_declaration).is_none() {
            return;
        }
        let size = self.fill.qualified_name(self.position, position).and_then(|name| sizes.get(&name).copied());
        if let Some(size) = size.filter(|_| !self.output.has(id, c::DW_AT_byte_size)) {
            self.output.get_mut(id).set(c::DW_AT_byte_size, Value::Udata(size));
        }
    }
}
