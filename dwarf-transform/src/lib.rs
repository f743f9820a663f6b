//! Turns the DWARF of a wasm module into DWARF for its native code.
//!
//! Three stages, each a pure function:
//!
//! 1. [`scan`] reads the guest's DWARF and says which wasm locals need a home in the native frame and where statements
//!    begin ([`Scan`]);
//! 2. [`generate`] makes the native debugging information as [`tables`] ([`Generated`]), once the code is
//!    compiled ([`NativeModule`]);
//! 3. [`serialize`] turns the tables into section bytes with relocations ([`Section`]).
//!
//! Where a part of the DWARF lies in other files, [`named_files`] names them, and the caller looks for them.
//!
//! The caller provides the raw `.debug_*` sections, the functions of the module in the order of their bodies, and what
//! it knows of the code it made. The transform never fails because of what the guest's DWARF says: what cannot be read
//! or said natively is counted in [`Losses`]. It does no I/O and keeps no state.
//!
//! ```
//! use dwarf_transform::{GuestModule, NativeModule, TransformOptions, generate, scan, serialize};
//!
//! // A module without functions and without DWARF; a real one comes from a wasm parser.
//! let guest = GuestModule::default();
//! let scan = scan(&guest);
//! // Here the code generator makes homes for `scan.uses` and reports what it made.
//! let native = NativeModule::default();
//! let generated = generate(&guest, scan.lines, &native, &TransformOptions::default())?;
//! assert!(generated.losses.is_empty());
//! assert!(serialize(generated)?.is_empty());
//! # Ok::<(), dwarf_transform::Error>(())
//! ```
#![forbid(unsafe_code)]

mod address;
mod address_map;
mod address_table;
mod by_reference;
mod bytecode;
mod definitions;
mod entries;
mod expression;
mod extents;
mod files;
mod generate;
mod guest;
mod guest_dwarf;
mod guest_lines;
mod host_reference;
mod lasting;
mod loss;
mod macros;
mod named_files;
mod native;
mod native_lines;
mod options;
mod output;
mod plan;
mod pointers;
mod scan;
mod scope;
mod serialize;
mod small_results;
mod source;
mod split;
mod static_objects;
pub mod tables;

pub use address::{TextOffset, ValType, WasmOffset};
pub use address_table::AddressTable;
pub use entries::{CALL_ENTRY_PREFIX, CallShape};
pub use generate::generate;
pub use guest::{
    BlockEnd, GuestFunction, GuestModule, GuestSection, GuestSections, GuestSource, GuestSources, GuestSplitFile,
    Joins, StackEntry, ThreadLocals, WasmVariables,
};
pub use guest_lines::GuestLines;
pub use host_reference::{EXTERNREF_STRUCTURE, ExternRefField, FUNCREF_STRUCTURE, FuncRefField};
pub use lasting::{AssigningCode, Assignments, Continued, ContinuedValue, LastingPlace, LastingValue, LastingVariable};
pub use loss::{LossKind, Losses};
pub use macros::{MacroEntry, MacroUnit};
pub use named_files::{NamedFiles, named_files};
pub use native::{
    AddressRow, ENTRY_VALUE_HOME, EntryBeforeLoop, GlobalAccess, Home, MemoryAccess, NativeCall, NativeFunction,
    NativeModule, NativeStub, OPERAND_STACK_HOME, Overwritten,
};
pub use options::{PointerFlavour, TransformOptions};
pub use output::{Error, Generated, Relocation, RelocationTarget, Section};
pub use pointers::{
    POINTER_ASSIGNMENT_CODE, POINTER_ASSIGNMENT_SYMBOL, POINTER_MEMBER, POINTER_OPERATOR_CODE, POINTER_OPERATOR_SYMBOL,
    REFERENCE_ASSIGNMENTS, ReferenceAssignment,
};
pub use scan::{
    FunctionUses, InlinedCode, LineRow, LocalUse, Scan, Spot, StackValue, Statement, VariableUses, scan,
    scan_with_sources,
};
pub use serialize::serialize;
pub use source::{SourceFile, included_files};
pub use split::SplitUnit;
pub use static_objects::StaticObject;
