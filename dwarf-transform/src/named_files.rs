//! The files that a module's DWARF names, for the caller to look for.

use crate::guest::{GuestModule, GuestSections};
use crate::guest_dwarf::GuestDwarf;
use crate::source::{SourceFile, source_files};
use crate::split::{SplitUnit, split_units};

/// What the DWARF of a module names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// The units that lie in other files, in the order of their skeletons. Empty for a module without split DWARF.
    pub split_units: Vec<SplitUnit>,
    /// The files that the line tables of C and C++ units name, sorted; those that [`scan_with_sources`](crate::scan_with_sources)
    /// can make use of. Files whose text is in the line table itself are not among them.
    pub sources: Vec<SourceFile>,
}

/// The files that the DWARF in these sections names.
#[must_use]
pub fn named_files(sections: &GuestSections<'_>) -> NamedFiles {
    if sections.get(".debug_info").is_empty() {
        return NamedFiles::default();
    }
    let guest = GuestModule { sections: sections.clone(), ..GuestModule::default() };
    let dwarf = GuestDwarf::read(&guest);
    NamedFiles { split_units: split_units(&dwarf), sources: source_files(&dwarf) }
}
