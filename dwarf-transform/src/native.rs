//! What the transform is told about the native code, after it was compiled.

use crate::address::{TextOffset, ValType, WasmOffset};
use crate::lasting::Continued;
use crate::scan::LocalUse;
use crate::scope::Entry;
use std::ops::Range;

/// Native code from `text` to the next row (or the function's end) comes from one guest operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRow {
    /// Where the code begins.
    pub text: TextOffset,
    /// The operator it comes from; `None` for code of the compiler's own (prologue, epilogue, moves).
    pub wasm: Option<WasmOffset>,
    /// The row begins at a statement anchor: an instruction that is sure to be reached when the guest's
    /// statement begins.
    pub anchor: bool,
    /// A basic block begins here, or between the begin of the row before and here.
    pub new_block: bool,
}

/// The first of the made-up local indices that stand for entries of the wasm operand stack: `OPERAND_STACK_HOME + depth`.
///
/// A home with such an index holds what [`FunctionUses::stack_values`](crate::FunctionUses::stack_values) asks for:
/// the entry at `depth` of the operand stack, zero-extended to the size of the home. It is a copy, so not writable.
pub const OPERAND_STACK_HOME: u32 = 0x8000_0000;

/// The first of the made-up local indices that stand for the values of locals on entry to their function:
/// `ENTRY_VALUE_HOME + local`. Such a home is stored once, at entry, and is a copy.
pub const ENTRY_VALUE_HOME: u32 = 0x4000_0000;

/// Where a wasm local lives in its function's frame, from [`NativeFunction::prologue_end`] to the epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// The wasm local's index, parameters first; or [`OPERAND_STACK_HOME`] plus a depth of the operand stack, or
    /// [`ENTRY_VALUE_HOME`] plus a local's index.
    pub local: u32,
    /// Its address is the canonical frame address plus this.
    pub cfa_offset: i32,
    /// Bytes of the value: 4, 8 or 16.
    pub size: u8,
    /// The code reads the local back from here, so that an assignment in the debugger takes effect. Otherwise the
    /// home is a copy, and described as a value and not as an lvalue.
    pub writable: bool,
}

/// A call in a function's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeCall {
    /// The address after the call instruction (for a tail call: after the jump).
    pub return_address: TextOffset,
    /// The guest's call operator.
    pub wasm: WasmOffset,
    /// The operator with which a native build would go on: behind it and what takes its result without an instruction.
    pub behind: WasmOffset,
    /// Natively the next statement begins where the call returns to. Here it begins behind what the code generator has put there, as branches
    /// lead to it.
    pub meets_statement: bool,
}

/// A place where a wasm local holds something else than the variable that is said to be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overwritten {
    /// What says so.
    pub location: LocalUse,
    /// The first of the operators before which the local may hold another value, or the variable be another constant.
    pub begin: WasmOffset,
    /// The first after them.
    pub end: WasmOffset,
}

/// The native code of a guest function.
#[derive(Debug, Clone, Default)]
pub struct NativeFunction {
    /// All of its code, prologue and epilogues included. Empty where the function was not compiled.
    pub text: Range<TextOffset>,
    /// Sorted by `text`; each row is valid until the next.
    pub rows: Vec<AddressRow>,
    /// The first address at which every home holds its local's value.
    pub prologue_end: TextOffset,
    /// Homes, sorted by local.
    pub homes: Vec<Home>,
    /// Where the frame keeps the vmctx pointer, relative to the canonical frame address.
    pub vmctx_home_cfa_offset: Option<i32>,
    /// The calls, sorted by return address. Without them call site entries are left out.
    pub calls: Vec<NativeCall>,
    /// What of [`FunctionUses::stack_values`](crate::FunctionUses::stack_values) is in no home: offset and depth, sorted.
    pub lost_stack_values: Vec<(WasmOffset, u32)>,
    /// Where what [`FunctionUses::stack_values`](crate::FunctionUses::stack_values) asks for leaves the operand stack: the
    /// offset and the depth there, and the first operator before which it is gone; sorted.
    pub stack_value_ends: Vec<(WasmOffset, u32, WasmOffset)>,
    /// Where locations of a [`variable`](crate::LocalUse::variable) do not hold: sorted, those of one location disjoint.
    pub overwritten: Vec<Overwritten>,
    /// Where locations of [`FunctionUses::lasting`](crate::FunctionUses::lasting) hold on: sorted, those of one variable disjoint.
    pub continued: Vec<Continued>,
    /// Of a function whose result comes through memory: the code returns, where the host's convention has pointers, the host's address
    /// of the result.
    pub returns_result_place: bool,
    /// There is code that debuggers can call the function by; see [`CallShape`](crate::CallShape).
    pub has_call_entry: bool,
    /// Instructions that do nothing but trap, sorted. They often lie apart from the code of their operator.
    pub traps: Vec<TextOffset>,
    /// Rows without an operator that begin a block from which control goes on to the next row only, and to which no call returns:
    /// where they begin, sorted. They have nothing to do with the row before.
    pub leading: Vec<TextOffset>,
    /// Where code begins that control does not go on to from the code before, and to which no call returns: sorted.
    pub apart: Vec<TextOffset>,
    /// The first of two instructions before the anchor of a statement, which stand for what a native build loads there
    /// ([`FunctionUses::reloads`](crate::FunctionUses::reloads)): sorted. It is longer than a byte.
    pub reloads: Vec<TextOffset>,
    /// Instructions before loops that inlined functions begin with: sorted.
    pub entries: Vec<EntryBeforeLoop>,
}

impl NativeFunction {
    /// Where the location of `variable` that begins at `location` holds on.
    pub(crate) fn continued(&self, variable: &Entry<'_>, location: u64) -> &[Continued] {
        let (Ok(variable), Ok(location)) = (u32::try_from(variable.offset().0), u32::try_from(location)) else {
            return &[];
        };
        let key = |it: &Continued| (it.variable, it.location.0);
        let first = self.continued.partition_point(|it| key(it) < (variable, location));
        let rest = &self.continued[first..];
        &rest[..rest.iter().take_while(|it| key(it) == (variable, location)).count()]
    }

    /// Is the code between these addresses a leading row?
    pub(crate) fn leads_to(&self, begin: TextOffset, end: TextOffset) -> bool {
        let ends_there = || {
            let next = self.rows.partition_point(|row| row.text <= begin);
            self.rows.get(next).is_some_and(|next| next.text == end)
        };
        self.leading.binary_search(&begin).is_ok() && ends_there()
    }

    /// Does a call return to this address?
    pub(crate) fn is_returned_to(&self, text: TextOffset) -> bool {
        self.calls.binary_search_by_key(&text, |call| call.return_address).is_ok()
    }

    /// Does a call return within this code or right behind it?
    pub(crate) fn has_call(&self, code: Range<TextOffset>) -> bool {
        let first = self.calls.partition_point(|call| call.return_address <= code.start);
        self.calls.get(first).is_some_and(|call| call.return_address <= code.end)
    }

    /// Is there an instruction in this code that does nothing but trap?
    pub(crate) fn has_trap(&self, code: Range<TextOffset>) -> bool {
        let first = self.traps.partition_point(|trap| *trap < code.start);
        self.traps.get(first).is_some_and(|trap| *trap < code.end)
    }
}

/// An instruction that does nothing but be the entry of an inlined function that begins with a loop. Debuggers take a stop at
/// the entry for one at the call, so that the loop must not come back there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryBeforeLoop {
    /// Where it is; a row begins there, with the offset of the function's first operator.
    pub text: TextOffset,
    /// The `loop`, up to which the code comes, for variables.
    pub head: WasmOffset,
    /// A branch back to the loop. A function that has the first operator, but not this one, is another one, which is called
    /// in each round.
    pub branch: WasmOffset,
}

/// Code in `.text` that belongs to no guest function: a trampoline, a stub.
#[derive(Debug, Clone)]
pub struct NativeStub {
    /// Its symbol.
    pub name: String,
    /// Its code.
    pub text: Range<TextOffset>,
}

/// How to find a linear memory from the vmctx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryAccess {
    /// Offset of the field in the vmctx.
    pub vmctx_offset: u32,
    /// The field points to the definition whose first word is the base (an imported memory); otherwise the field is
    /// the base itself.
    pub indirect: bool,
}

/// How to find a wasm global from the vmctx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalAccess {
    /// Offset of the field in the vmctx.
    pub vmctx_offset: u32,
    /// The field points to the value (an imported global); otherwise the field is the value itself.
    pub indirect: bool,
    /// The value's type.
    pub ty: ValType,
}

/// Everything about the native code that the transform looks at.
#[derive(Debug, Clone, Default)]
pub struct NativeModule {
    /// Parallel to [`GuestModule::functions`](crate::GuestModule::functions).
    pub functions: Vec<NativeFunction>,
    /// Code that belongs to no guest function.
    pub stubs: Vec<NativeStub>,
    /// The linear memories, by index.
    pub memories: Vec<MemoryAccess>,
    /// The globals, by index, imported ones first.
    pub globals: Vec<GlobalAccess>,
    /// The image has a word that holds the current instance's vmctx (the relocation target
    /// [`RelocationTarget::InstanceCell`](crate::RelocationTarget)). With it, file-scope variables can be read
    /// without a frame.
    pub instance_cell: bool,
    /// Bytes of `.text`.
    pub text_size: u32,
}
