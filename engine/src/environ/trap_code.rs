//! Why compiled code stops.

use std::fmt;

/// The reason of a trap; the number is what an artifact stores ([`artifact::TrapCode`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TrapCode {
    /// The stack is used up.
    StackOverflow = 11,
    /// An access outside a linear memory.
    MemoryOutOfBounds = 2,
    /// An atomic access to an address that is not a multiple of its size.
    HeapMisaligned = 3,
    /// An access outside a table.
    TableOutOfBounds = 4,
    /// An indirect call to a null element.
    IndirectCallToNull = 6,
    /// An indirect call to a function of another type.
    BadSignature = 7,
    /// The result of an integer operation does not fit.
    IntegerOverflow = 8,
    /// An integer division by zero.
    IntegerDivisionByZero = 9,
    /// A float that is not a number or too large was converted to an integer.
    BadConversionToInteger = 10,
    /// The `unreachable` operator.
    UnreachableCodeReached = 1,
    /// The guest was interrupted.
    Interrupt = 13,
    /// A null reference was used.
    NullReference = 12,
    /// `memory.atomic.wait` on a memory that is not shared.
    AtomicWaitNonSharedMemory = 64,
}

impl TrapCode {
    /// All of them.
    pub const ALL: [TrapCode; 13] = [
        TrapCode::StackOverflow,
        TrapCode::MemoryOutOfBounds,
        TrapCode::HeapMisaligned,
        TrapCode::TableOutOfBounds,
        TrapCode::IndirectCallToNull,
        TrapCode::BadSignature,
        TrapCode::IntegerOverflow,
        TrapCode::IntegerDivisionByZero,
        TrapCode::BadConversionToInteger,
        TrapCode::UnreachableCodeReached,
        TrapCode::Interrupt,
        TrapCode::NullReference,
        TrapCode::AtomicWaitNonSharedMemory,
    ];

    /// The reason with this number.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<TrapCode> {
        TrapCode::ALL.into_iter().find(|code| *code as u8 == number)
    }
}

impl fmt::Display for TrapCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrapCode::StackOverflow => "call stack exhausted",
            TrapCode::MemoryOutOfBounds => "out of bounds memory access",
            TrapCode::HeapMisaligned => "unaligned atomic",
            TrapCode::TableOutOfBounds => "undefined element: out of bounds table access",
            TrapCode::IndirectCallToNull => "uninitialized element",
            TrapCode::BadSignature => "indirect call type mismatch",
            TrapCode::IntegerOverflow => "integer overflow",
            TrapCode::IntegerDivisionByZero => "integer divide by zero",
            TrapCode::BadConversionToInteger => "invalid conversion to integer",
            TrapCode::UnreachableCodeReached => "wasm `unreachable` instruction executed",
            TrapCode::Interrupt => "interrupted",
            TrapCode::NullReference => "null reference",
            TrapCode::AtomicWaitNonSharedMemory => "atomic wait on non-shared memory",
        })
    }
}
