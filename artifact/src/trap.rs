//! Why the guest traps.

use std::fmt;

macro_rules! trap_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// Why the guest traps. The number is what a [`TrapRow`](crate::TrapRow) stores.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum TrapCode {
            $($(#[$doc])* $name = $value,)*
        }

        impl TrapCode {
            /// All of them.
            pub const ALL: &[TrapCode] = &[$(TrapCode::$name,)*];

            /// The code with this number, if there is one.
            #[must_use]
            pub fn from_u8(code: u8) -> Option<TrapCode> {
                match code {
                    $($value => Some(TrapCode::$name),)*
                    _ => None,
                }
            }

            /// What happened, in the words of the specification's test suite where it has them.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(TrapCode::$name => $text,)*
                }
            }
        }
    };
}

trap_codes! {
    /// The `unreachable` operator.
    UnreachableCodeReached = 1, "wasm `unreachable` instruction executed";
    /// An access outside a linear memory.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// An atomic access to an address that is not a multiple of its size.
    HeapMisaligned = 3, "unaligned atomic";
    /// An access outside a table.
    TableOutOfBounds = 4, "undefined element: out of bounds table access";
    /// An indirect call to a null element.
    IndirectCallToNull = 6, "uninitialized element";
    /// An indirect call to a function of another type.
    BadSignature = 7, "indirect call type mismatch";
    /// The result of an integer operation does not fit.
    IntegerOverflow = 8, "integer overflow";
    /// An integer division by zero.
    IntegerDivisionByZero = 9, "integer divide by zero";
    /// A float that is not a number or too large was converted to an integer.
    BadConversionToInteger = 10, "invalid conversion to integer";
    /// The stack is used up.
    StackOverflow = 11, "call stack exhausted";
    /// A null reference was used.
    NullReference = 12, "null reference";
    /// The guest was interrupted.
    Interrupt = 13, "interrupted";
    /// `memory.atomic.wait` on a memory that is not shared.
    AtomicWaitNonSharedMemory = 64, "atomic wait on non-shared memory";
}

impl fmt::Display for TrapCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl std::error::Error for TrapCode {}
