//! Why compiled code stops.

use std::fmt;

/// The reason of a trap; the number is what an artifact stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TrapCode {
    /// The stack is used up.
    StackOverflow = 0,
    /// An access outside a linear memory.
    MemoryOutOfBounds = 1,
    /// An atomic access to an address that is not a multiple of its size.
    HeapMisaligned = 2,
    /// An access outside a table.
    TableOutOfBounds = 3,
    /// An indirect call to a null element.
    IndirectCallToNull = 4,
    /// An indirect call to a function of another type.
    BadSignature = 5,
    /// The result of an integer operation does not fit.
    IntegerOverflow = 6,
    /// An integer division by zero.
    IntegerDivisionByZero = 7,
    /// A float that is not a number or too large was converted to an integer.
    BadConversionToInteger = 8,
    /// The `unreachable` operator.
    UnreachableCodeReached = 9,
    /// The guest was interrupted.
    Interrupt = 10,
    /// A null reference was used.
    NullReference = 11,
    /// `memory.atomic.wait` on a memory that is not shared.
    AtomicWaitNonSharedMemory = 12,
}

impl TrapCode {
    /// All of them in order of their numbers.
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
        TrapCode::ALL.get(usize::from(number)).copied()
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
