//! The caller's choices.

/// The debugger whose reading of pointers the output suits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PointerFlavour {
    /// gdb honours `DW_AT_byte_size` on pointer and reference types: they keep their tag and get the guest's size.
    #[default]
    Gdb,
    /// lldb reads 8 bytes for every pointer type: 4-byte pointers become a struct with one 4-byte member.
    Lldb,
}

/// The caller's choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformOptions {
    /// For which debugger.
    pub flavour: PointerFlavour,
    /// The DWARF version of the output: 4 or 5.
    pub dwarf_version: u16,
    /// Linear memory 0 will also be mapped at the host addresses that equal the guest's addresses.
    pub identity_map: bool,
    /// Only units, functions, inlined subroutines and lines: no types and no variables.
    pub lines_only: bool,
    /// For gdb: a pointer type of the guest's width to each type that a cast can name, and C's base types as they are in
    /// wasm. Where a unit has none, gdb makes the host's.
    pub named_pointers: bool,
}

impl Default for TransformOptions {
    fn default() -> Self {
        TransformOptions {
            flavour: PointerFlavour::Gdb,
            dwarf_version: 5,
            identity_map: true,
            lines_only: false,
            named_pointers: false,
        }
    }
}
