//! What can be wrong with the input, or with a section that is read back.
#![forbid(unsafe_code)]

use crate::{CodeOffset, TextOffset};

/// A fact that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The prologue operations name an instruction that is not what they say.
    #[error("function at {function}: prologue at {offset} is not {expected}")]
    UnexpectedPrologue {
        /// The function.
        function: TextOffset,
        /// Where in it.
        offset: CodeOffset,
        /// What the operation calls for.
        expected: &'static str,
    },
    /// A frame is torn down in a way that is not known.
    #[error("function at {function}: epilogue at {offset} does not end in a return or a tail jump")]
    UnexpectedEpilogue {
        /// The function.
        function: TextOffset,
        /// Where its stack pointer was restored.
        offset: CodeOffset,
    },
    /// Bytes that are no instruction where one must be.
    #[error("function at {function}: no instruction at {offset}")]
    BadInstruction {
        /// The function.
        function: TextOffset,
        /// Where in it.
        offset: CodeOffset,
    },
    /// An inline jump table in a function whose basic blocks are not given.
    #[error("function at {function}: jump table at {offset}, but its basic blocks are not given")]
    BlocksNeeded {
        /// The function.
        function: TextOffset,
        /// Where the table starts.
        offset: CodeOffset,
    },
    /// An operation that the target does not have, or that comes in the wrong order.
    #[error("function at {function}: operation at {offset} does not belong there")]
    UnexpectedOperation {
        /// The function.
        function: TextOffset,
        /// Where in it.
        offset: CodeOffset,
    },
    /// Two functions share bytes.
    #[error("functions at {first} and {second} overlap")]
    Overlap {
        /// The one that starts first.
        first: TextOffset,
        /// The other.
        second: TextOffset,
    },
    /// A function without code, which no table entry can stand for.
    #[error("function at {0} is empty")]
    EmptyFunction(TextOffset),
    /// Text and table are too far apart for 32-bit relative addresses.
    #[error("{address:#x} cannot be reached from {from:#x} with 32 bits")]
    OutOfReach {
        /// The address to encode.
        address: u64,
        /// The place that is to hold it.
        from: u64,
    },
    /// The table is larger than its format can say.
    #[error("the frame table exceeds {0}")]
    TooLarge(&'static str),
    /// A section that cannot be read.
    #[error("{section} at {offset:#x}: {reason}")]
    Malformed {
        /// Name of the section.
        section: &'static str,
        /// Offset in it.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
}
