//! Virtual bases for lldb.
//!
//! lldb finds a virtual base by the virtual table, in which it reads 8-byte words: a member of the base would be read from
//! anywhere. So a class does not have these bases for lldb, but type definitions with their names; the helpers find the
//! objects by the guest's tables.

use super::UnitFiller;
use crate::extents::is_virtual;
use crate::scope::Entry;
use crate::tables::{EntryId, Value};
use gimli::constants as c;

/// The definitions' names, before a number that counts a class's bases of either kind. The helpers know it.
const VIRTUAL_BASE: &str = "__virtual_base_";

impl UnitFiller<'_, '_, '_> {
    pub(super) fn is_hidden_base(&self, entry: &Entry<'_>) -> bool {
        entry.tag() == c::DW_TAG_inheritance && self.narrow_pointers() && is_virtual(entry)
    }

    pub(super) fn hidden_base(&mut self, position: usize, id: EntryId) {
        let entries = &self.fill.plan.units[self.position].entries;
        let class = entries[position].parent as usize;
        let before = entries[class + 1..position].iter();
        let number = before.filter(|it| it.parent as usize == class && it.tag == c::DW_TAG_inheritance).count();
        let base = self.pointee((self.position, position));
        let mut definition = self.output.get_mut(id);
        definition.set(c::DW_AT_name, Value::String(format!("{VIRTUAL_BASE}{number}").into_bytes()));
        if let Some(base) = base {
            definition.set(c::DW_AT_type, base);
        }
    }
}
