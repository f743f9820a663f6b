//! The functions of the runtime that compiled code calls through the table in its context.
//!
//! All follow the System V convention and take the calling instance's `VMContext` first. Those that say so return whether
//! something lies out of bounds, and the caller traps: a debugger then stops in the guest, at the operator. One that traps
//! otherwise does not return.

/// Calls the macro `$each` with the list of built-in functions: name, parameter types, result type.
///
/// Types: `vmctx` and `pointer` are native pointers, the rest are integers of that width.
#[macro_export]
#[doc(hidden)]
macro_rules! for_each_builtin {
    ($each:ident) => {
        $each! {
            /// Grows memory `mem` by `delta` pages; the old size in pages, or all ones.
            memory_grow(vmctx: vmctx, delta: i64, mem: i32) -> i64;
            /// `memory.copy`: 1 if it is out of bounds, else 0.
            memory_copy(vmctx: vmctx, dst_mem: i32, dst: i64, src_mem: i32, src: i64, len: i64) -> i32;
            /// `memory.fill`; the low byte of `value` counts. 1 if it is out of bounds, else 0.
            memory_fill(vmctx: vmctx, mem: i32, dst: i64, value: i32, len: i64) -> i32;
            /// `memory.init`: 1 if it is out of bounds, else 0.
            memory_init(vmctx: vmctx, mem: i32, segment: i32, dst: i64, src: i32, len: i32) -> i32;
            /// `data.drop`.
            data_drop(vmctx: vmctx, segment: i32);
            /// Grows table `table` by `delta` elements that hold `init`; the old size, or all ones.
            table_grow(vmctx: vmctx, table: i32, delta: i32, init: pointer) -> i32;
            /// `table.fill`: 1 if it is out of bounds, else 0.
            table_fill(vmctx: vmctx, table: i32, dst: i32, value: pointer, len: i32) -> i32;
            /// `table.copy`: 1 if it is out of bounds, else 0.
            table_copy(vmctx: vmctx, dst_table: i32, src_table: i32, dst: i32, src: i32, len: i32) -> i32;
            /// `table.init`: 1 if it is out of bounds, else 0.
            table_init(vmctx: vmctx, table: i32, segment: i32, dst: i32, src: i32, len: i32) -> i32;
            /// `elem.drop`.
            elem_drop(vmctx: vmctx, segment: i32);
            /// Lists `reference` in the activations table: its chunk is full, or another store owns the count. May collect.
            activations_insert(vmctx: vmctx, reference: pointer);
            /// Counts a reference of this store that compiled code cannot count: another store owns the count, or none.
            externref_acquire(vmctx: vmctx, reference: pointer);
            /// Gives up a reference of this store: the last that it has, or another store owns the count. The value may go,
            /// and its drop handler run.
            externref_release(vmctx: vmctx, reference: pointer);
            /// Collects (code that collects at every safepoint).
            collect(vmctx: vmctx);
            /// `memory.atomic.wait32` (width 4) and `wait64` (width 8) at a multiple of the width: 0 woken, 1 not equal, 2 timed out
            /// (also where the memory is not shared), [`Builtin::WAIT_OUTSIDE`] out of bounds.
            memory_atomic_wait(vmctx: vmctx, mem: i32, address: i64, expected: i64, timeout: i64, width: i32) -> i32;
            /// `memory.atomic.notify` at a multiple of 4: how many were woken, or -1 if it is out of bounds.
            memory_atomic_notify(vmctx: vmctx, mem: i32, address: i64, count: i32) -> i64;
            /// A host function has left an error with the store: unwind to the host that entered the guest.
            raise(vmctx: vmctx);
        }
    };
}

macro_rules! declare_enum {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $ty:ident),*) $(-> $result:ident)?;)*) => {
        /// A built-in function; its number is its place in the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types, reason = "named after the functions")]
        #[repr(u32)]
        pub enum Builtin { $($(#[$doc])* $name),* }

        impl Builtin {
            /// What [`memory_atomic_wait`](Builtin::memory_atomic_wait) returns out of bounds.
            pub const WAIT_OUTSIDE: u32 = 3;

            /// All of them in order of their numbers.
            pub const ALL: &'static [Builtin] = &[$(Builtin::$name),*];

            /// The function's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Builtin::$name => stringify!($name)),* }
            }

            /// Types of the parameters and of the result.
            #[must_use]
            pub fn signature(self) -> (&'static [BuiltinType], Option<BuiltinType>) {
                match self {
                    $(Builtin::$name => (
                        &[$(BuiltinType::$ty),*],
                        [$(Some(BuiltinType::$result),)? None][0],
                    )),*
                }
            }
        }
    };
}

/// Type of a parameter or result of a built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "named as in the list")]
pub enum BuiltinType {
    /// The caller's context.
    vmctx,
    /// A native pointer.
    pointer,
    /// A 32-bit integer.
    i32,
    /// A 64-bit integer.
    i64,
}

for_each_builtin!(declare_enum);
