//! Why an instruction traps.

macro_rules! trap_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// Why an instruction traps, as stored in a [`TrapRow`](crate::TrapRow).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum TrapCode {
            $($(#[$doc])* $name = $value,)*
        }

        impl TrapCode {
            /// The code with this number, if there is one.
            pub fn from_u8(code: u8) -> Option<TrapCode> {
                match code {
                    $($value => Some(TrapCode::$name),)*
                    _ => None,
                }
            }

            /// What happened, in the words of the specification's test suite where it has them.
            pub fn description(self) -> &'static str {
                match self {
                    $(TrapCode::$name => $text,)*
                }
            }
        }
    };
}

trap_codes! {
    /// `unreachable` was executed.
    Unreachable = 1, "unreachable";
    /// A load, store or bulk operation left its memory.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// An atomic operation on a misaligned address.
    UnalignedAtomic = 3, "unaligned atomic";
    /// A table operation left its table.
    TableOutOfBounds = 4, "out of bounds table access";
    /// `call_indirect` through an index outside of the table.
    UndefinedElement = 5, "undefined element";
    /// `call_indirect` through a null element.
    UninitializedElement = 6, "uninitialized element";
    /// `call_indirect` of a function of another type.
    IndirectCallTypeMismatch = 7, "indirect call type mismatch";
    /// A signed division overflowed.
    IntegerOverflow = 8, "integer overflow";
    /// A division by zero.
    IntegerDivideByZero = 9, "integer divide by zero";
    /// A NaN was converted to an integer.
    InvalidConversionToInteger = 10, "invalid conversion to integer";
    /// The stack is used up.
    StackOverflow = 11, "call stack exhausted";
    /// A null reference was used.
    NullReference = 12, "null reference";
    /// The host asked the guest to stop.
    Interrupt = 13, "interrupt";
    /// Fuel is used up.
    OutOfFuel = 14, "all fuel consumed";
    /// `throw` found no handler.
    UncaughtException = 15, "uncaught exception";
    /// A breakpoint that the engine itself placed.
    Breakpoint = 16, "breakpoint";
    /// Code that the compiler believed it cannot reach.
    InternalAssertion = 17, "internal assertion of the compiler";
}
