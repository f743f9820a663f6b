//! The table of addresses (DWARF 5, section 7.27): one for all units, so that what many entries name is relocated once.

use crate::address::TextOffset;
use crate::output::RelocationTarget;

/// Where the table's entries begin in `.debug_addr`: the `DW_AT_addr_base` of all units.
pub(crate) const ADDRESS_BASE: usize = 8;

/// The entry of the instance cell.
pub(crate) const CELL_INDEX: u64 = 0;

/// The entries of `.debug_addr`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressTable {
    /// What each entry is relative to, and what is to be added to that.
    pub entries: Vec<(RelocationTarget, i64)>,
    /// The entry of each native function, by position; `None` where no unit names it.
    functions: Vec<Option<u32>>,
}

impl AddressTable {
    /// A table with the instance cell and the starts of some of `functions`, which are `(start, whether it is named)`.
    pub(crate) fn new(functions: impl Iterator<Item = (TextOffset, bool)>) -> AddressTable {
        let mut table = AddressTable { entries: vec![(RelocationTarget::InstanceCell, 0)], functions: Vec::new() };
        for (start, named) in functions {
            let index = named.then(|| {
                table.entries.push((RelocationTarget::Text, i64::from(start.0)));
                table.entries.len() as u32 - 1
            });
            table.functions.push(index);
        }
        table
    }

    /// The entry of the function at `position`.
    pub(crate) fn function(&self, position: usize) -> Option<u32> {
        self.functions.get(position).copied().flatten()
    }
}
