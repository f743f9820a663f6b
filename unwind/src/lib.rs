//! Unwind operations of compiled functions, collected into one frame table.
#![deny(unsafe_code)]

pub mod check;
mod error;
mod function;
mod program;
mod prologue_only;
mod rebase;
mod table;
mod unwinder;
mod x86_64;
mod x86_length;

pub use error::Error;
pub use function::{Arch, CodeOffset, FunctionFrame, PrologueOp, TextOffset, UnwindOp};
pub use rebase::{eh_frame_hdr_of, rebase_eh_frame};
pub use table::{FrameTable, SectionAddresses};
pub use unwinder::{Frames, Lookup, Registers, RowCache, StepError, Unwinder};
