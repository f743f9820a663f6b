//! What the transform hands back.

use crate::address_table::AddressTable;
use crate::entries::CallShape;
use crate::loss::Losses;
use crate::macros::MacroUnit;
use crate::tables::Dwarf;

/// Native debugging information that has no bytes yet.
#[derive(Debug)]
pub struct Generated {
    /// The units, which can be inspected.
    pub dwarf: Dwarf,
    /// The version that they are to be written in: 4 or 5.
    pub version: u16,
    /// The addresses that DWARF 5 names by index; empty for DWARF 4.
    pub addresses: AddressTable,
    /// Macros, which units name by their offset in the section to be.
    pub macros: Vec<MacroUnit>,
    /// What could not be said.
    pub losses: Losses,
    /// In the flavour for lldb: the names that C++'s linker knows functions by, with their positions, sorted. lldb finds templates and
    /// members of classes by symbols of these names alone.
    pub linkage_names: Vec<(usize, String)>,
    /// In the flavour for lldb: the functions whose declarations tell of entries for calls, as position, linkage name and what the
    /// entry has to know; sorted.
    pub call_entries: Vec<(usize, String, CallShape)>,
}

/// What a relocated field is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelocationTarget {
    /// The start of the module's `.text`.
    Text,
    /// The word of the image that holds the current instance's vmctx.
    InstanceCell,
}

/// A field that needs an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Where the field lies in its section. The bytes there are zero.
    pub offset: u32,
    /// Bytes of the field: 8.
    pub size: u8,
    /// What the address is relative to.
    pub target: RelocationTarget,
    /// To be added to the target's address.
    pub addend: i64,
}

/// A section of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name: `.debug_info`, ...
    pub name: &'static str,
    /// Its contents.
    pub bytes: Vec<u8>,
    /// Sorted by offset.
    pub relocations: Vec<Relocation>,
}

/// Why the transform could not run. The guest's DWARF never is the reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The options ask for a DWARF version that is not written.
    #[error("DWARF version {0} cannot be written (4 and 5 can)")]
    UnsupportedVersion(u16),
    /// The lists of guest and native functions are not parallel.
    #[error("{guest} guest functions, but {native} native ones")]
    FunctionCountMismatch {
        /// Functions of the guest module.
        guest: usize,
        /// Functions of the native module.
        native: usize,
    },
    /// Rows, homes or functions are not sorted.
    #[error("native function {function}: {what} are not sorted or lie outside of the function")]
    UnsortedNativeFunction {
        /// Position in [`NativeModule::functions`](crate::NativeModule::functions).
        function: usize,
        /// Which list.
        what: &'static str,
    },
    /// A section would be larger than 4 GiB.
    #[error("the native {0} would be larger than 4 GiB")]
    SectionTooLarge(&'static str),
    /// Something refers to an entry that has no place in the tree of its unit.
    #[error("entry {entry} of unit {unit} has no place in the native DWARF")]
    UnplacedEntry {
        /// The unit's position.
        unit: usize,
        /// The entry's position in it.
        entry: usize,
    },
    /// The entries of a unit that expressions name lie too far from its begin.
    #[error("base types lie more than 256 MiB behind the begin of their unit")]
    DistantBaseType,
    /// The header of a line number program could not be written.
    #[error("writing the native line number programs: {0}")]
    Lines(#[from] gimli::write::Error),
}
