//! First stage: what the code generator must know about the guest's DWARF.

use crate::address::WasmOffset;
use crate::guest::GuestModule;
use crate::loss::Losses;

/// An operator at which a statement of the source begins: an `is_stmt` row of the line table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    /// The row's address.
    pub offset: WasmOffset,
    /// The row begins another line than the row before it. Where this is false, the row is of interest only where the
    /// operator can be reached by a branch (the head of a loop, the join after a block).
    pub new_line: bool,
}

/// What the guest's DWARF names in one function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionUses {
    /// The wasm locals that a location or a frame base names: sorted, without duplicates. Each needs a home.
    pub locals: Vec<u32>,
    /// Where statements begin: sorted by offset, without duplicates. The row at the function's entry is left out; it
    /// belongs to the prologue.
    pub statements: Vec<Statement>,
    /// The function has a location in linear memory or in a global, so that its frame needs the vmctx.
    pub needs_vmctx: bool,
    /// A debugging information entry or line rows describe this function.
    pub described: bool,
}

/// Parallel to [`GuestModule::functions`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariableUses {
    /// One for each defined function.
    pub functions: Vec<FunctionUses>,
}

/// What [`scan`](crate::scan) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Locals and statements of each function.
    pub uses: VariableUses,
    /// There is DWARF, but every function in it begins at 0: a tool that ran after the linker (often `wasm-opt`)
    /// moved the code and zeroed the addresses.
    pub zeroed_addresses: bool,
    /// What could not be read.
    pub losses: Losses,
}

/// Reads the guest's DWARF for the code generator.
#[must_use]
pub fn scan(guest: &GuestModule<'_>) -> Scan {
    Scan { uses: VariableUses { functions: vec![FunctionUses::default(); guest.functions.len()] }, ..Scan::default() }
}
