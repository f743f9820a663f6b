//! What the transform is told about the guest module.

use crate::address::{ValType, WasmOffset};
use std::ops::Range;

/// A custom section of the guest: its name (`.debug_info`, `.debug_line`, ...) and contents.
#[derive(Debug, Clone, Copy)]
pub struct GuestSection<'a> {
    /// The custom section's name, with its leading dot.
    pub name: &'a str,
    /// The contents after the name.
    pub bytes: &'a [u8],
}

/// The guest's debug sections.
#[derive(Debug, Clone, Default)]
pub struct GuestSections<'a> {
    /// Every custom section whose name begins with `.debug_`, in any order.
    /// Where a name occurs twice the first one counts.
    pub sections: Vec<GuestSection<'a>>,
}

impl<'a> GuestSections<'a> {
    /// The contents of the section `name`; empty where the guest has none.
    #[must_use]
    pub fn get(&self, name: &str) -> &'a [u8] {
        self.sections.iter().find(|section| section.name == name).map_or(&[], |section| section.bytes)
    }

    /// Whether there is any DWARF to transform.
    #[must_use]
    pub fn has_dwarf(&self) -> bool {
        !self.get(".debug_info").is_empty()
    }
}

/// A file beside the module that holds split units: a `.dwo` file or a package (`.dwp`).
#[derive(Debug, Clone)]
pub struct GuestSplitFile<'a> {
    /// Its path, to be named where something is wrong with it.
    pub name: &'a str,
    /// Its custom sections `.debug_*.dwo`, and `.debug_cu_index` and `.debug_tu_index` of a package.
    pub sections: GuestSections<'a>,
}

/// A source file that the guest's line tables name.
#[derive(Debug, Clone, Copy)]
pub struct GuestSource<'a> {
    /// Its path, as [`named_files`](crate::named_files) gives it.
    pub path: &'a str,
    /// All of it.
    pub text: &'a [u8],
}

/// The `end` of a block or a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEnd {
    /// The operator's address.
    pub offset: WasmOffset,
    /// It ends a loop, so that no branch leads to it.
    pub is_loop: bool,
}

/// Where blocks end, one right after the other, or a loop begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joins {
    /// The operator before the first `end`.
    pub before: WasmOffset,
    /// In order. Where a loop begins behind a conditional branch, none.
    pub ends: Vec<BlockEnd>,
    /// The conditional branch to the first `end` that comes last, if control goes on to the `end` from the operator before.
    pub guard: Option<WasmOffset>,
    /// The operator before is a call, or drops the result of one; told where there is a guard.
    pub calls: bool,
    /// The branch compares an integer with a constant for equality, and is the only one to the first `end`; told where there is a guard.
    pub equals: bool,
    /// The operator before is a call that gives back nothing, or does not come back.
    pub ends_with_call: bool,
    /// Where the last loop began or block ended before; 0 if none did.
    pub joined: WasmOffset,
    /// Right behind the operator before: the first `end`, or what begins.
    pub begin: WasmOffset,
    /// The next operator that is more than the begin of a block or loop.
    pub after: WasmOffset,
}

impl Joins {
    /// The place before an operator where no block ends.
    pub(crate) fn between(operator: WasmOffset) -> Joins {
        Joins {
            before: WasmOffset(operator.0.saturating_sub(1)),
            ends: Vec::new(),
            guard: None,
            calls: false,
            equals: false,
            ends_with_call: false,
            joined: WasmOffset(0),
            begin: operator,
            after: operator,
        }
    }
}

/// What a guest was made from.
#[derive(Clone, Copy)]
pub struct GuestSources<'a> {
    /// What was found of the files that [`named_files`](crate::named_files) names, in its order.
    pub files: &'a [GuestSource<'a>],
    /// What they include, for which the line tables have no code: for the macros that are defined there.
    pub headers: &'a [GuestSource<'a>],
    /// Is the file at this position in `files` what was compiled? It is asked once for each, while the DWARF is read.
    pub is_original: &'a (dyn Fn(usize) -> bool + Sync),
    /// Where blocks end in the function at this position in [`GuestModule::functions`].
    pub joins: &'a (dyn Fn(usize) -> Vec<Joins> + Sync),
    /// The operator behind the one at this offset of that function, if the latter makes no code.
    pub behind_silent: &'a (dyn Fn(usize, WasmOffset) -> Option<WasmOffset> + Sync),
}

/// A function that the guest module defines.
#[derive(Debug, Clone)]
pub struct GuestFunction {
    /// Its index in the module's function index space, imports counted.
    pub index: u32,
    /// The whole body, from its local declarations to the end of the last `end`.
    pub body: Range<WasmOffset>,
    /// The first operator, after the local declarations.
    pub code_start: WasmOffset,
    /// The types of its locals, parameters first.
    pub locals: Vec<ValType>,
    /// How many of these are parameters.
    pub parameters: usize,
    /// The types of its results.
    pub results: Vec<ValType>,
}

/// An entry of a function's operand stack, while it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackEntry {
    /// Entries below it.
    pub depth: u32,
    /// Its type, of at most 8 bytes.
    pub ty: ValType,
    /// The operator before which it is there for the first time, and what one operator has pushed.
    pub begin: WasmOffset,
    /// The operator before which it is no longer there.
    pub end: WasmOffset,
}

/// The wasm-level view: each described function gets artificial variables for its locals, the module's globals and the
/// entries of its operand stack, beside the variables of the source.
///
/// They are named `__wasm_local0`, `__wasm_global0` and `__wasm_stack0`, the last with the type behind it
/// (`__wasm_stack0_f64`) where entries of several types come to lie at one depth. C and C++ reserve such names; gdb and lldb
/// take a name with a `$` in front for a variable of their own.
#[derive(Debug, Clone, Default)]
pub struct WasmVariables {
    /// Parallel to [`GuestModule::functions`]: the entries that are to be shown, in any order.
    pub operand_stacks: Vec<Vec<StackEntry>>,
}

/// What the addresses of thread-local objects in the guest's DWARF are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ThreadLocals {
    /// Ordinary addresses: the module has one thread, which is so where its memory is not shared.
    #[default]
    Absolute,
    /// Relative to the value of this global (`__tls_base` by convention).
    RelativeTo(u32),
    /// Relative to something that is not known.
    Unknown,
}

/// Everything about the guest that the transform looks at.
#[derive(Debug, Clone, Default)]
pub struct GuestModule<'a> {
    /// The debug sections.
    pub sections: GuestSections<'a>,
    /// The files found for what [`named_files`](crate::named_files) names, in the order in which they are searched.
    pub split_files: Vec<GuestSplitFile<'a>>,
    /// The defined functions in the order of their bodies.
    pub functions: Vec<GuestFunction>,
    /// How many functions are imported: the index of the first defined one.
    pub imported_functions: u32,
    /// The types of all globals, imported ones first.
    pub globals: Vec<ValType>,
    /// Whether there are to be variables for what the wasm itself has.
    pub wasm_variables: Option<WasmVariables>,
    /// Memory 0 has 64-bit addresses, and so have the guest's pointers.
    pub memory64: bool,
    /// What the addresses of thread-local objects are.
    pub thread_locals: ThreadLocals,
}
