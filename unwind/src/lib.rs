//! Unwind operations of compiled functions, collected into one frame table.
//!
//! **In:** for each function its place in the module's text, its machine code, the operations of its
//! prologue as the compiler reports them, and the starts of its basic blocks ([`FunctionFrame`]).
//! **Out:** a [`FrameTable`], and from it `.eh_frame` with `.eh_frame_hdr`, `.debug_frame`, or for
//! Windows `.pdata` with `.xdata` ([`WindowsUnwind`]).
//!
//! Compilers describe prologues. A debugger that stops at a `ret`, a profiler that interrupts a
//! function as it slides its frame for a tail call, and a trap handler that looks at a failed stack
//! check need more: a row for every instruction. For x86-64 the rows are exact at each one. What the
//! compiler does not say is read from the code: where frames end, when a sliding frame's return
//! address moves, which traps are reached before registers are saved.
//!
//! # What the caller provides
//!
//! * Code that keeps a frame pointer and touches it nowhere but in prologues and epilogues, as
//!   Cranelift's does with `preserve_frame_pointers`.
//! * Basic blocks of functions that contain jump tables.
//! * Addresses: the sections are written for given ones. They hold differences only, so nothing needs
//!   relocation while text and table keep their distance, and [`rebase_eh_frame`] moves a written
//!   table when they do not.
//!
//! # What it never does
//!
//! It does not guess: code that does not look as its operations say is an [`Error`]. It does not
//! allocate or lock while it walks a stack ([`Unwinder`]). It does not read a stack by itself; memory
//! is read through the caller's closure. It has no unsafe code outside [`registration`], the one module that
//! hands a table to the process's own unwinder.
//!
//! # Targets
//!
//! | target | rows | epilogues |
//! |---|---|---|
//! | x86-64, System V | exact at every instruction, checked by [`check`](mod@check) | exact |
//! | x86-64, Windows | prologue and body | known to the system by their instructions; `ret n` is not |
//! | aarch64, riscv64 | prologue and body | not derived: a row is wrong from the restore of the frame pointer to the end of the epilogue |
//! | s390x | prologue and body | not derived: wrong from the restore of the stack pointer on |
//!
//! # How it is known to be right
//!
//! [`check`](mod@check) follows the machine code by abstract interpretation and recomputes the CFA,
//! the return address and each callee-saved register at every reachable instruction. It shares no
//! code with the generator. The binary `step-check` (feature `stepper`) does the same to a running
//! process, instruction by instruction.
//!
//! ```
//! use unwind::*;
//!
//! // push rbp; mov rbp, rsp; nop; mov rsp, rbp; pop rbp; ret
//! let code = [0x55, 0x48, 0x89, 0xe5, 0x90, 0x48, 0x89, 0xec, 0x5d, 0xc3];
//! let operation = |offset, op| PrologueOp { offset: CodeOffset(offset), op };
//! let function = FunctionFrame {
//!     start: TextOffset(0),
//!     code: &code,
//!     prologue: vec![
//!         operation(1, UnwindOp::PushFrameRegs { offset_upward_to_caller_sp: 16 }),
//!         operation(4, UnwindOp::DefineNewFrame {
//!             offset_upward_to_caller_sp: 16,
//!             offset_downward_to_clobbers: 0,
//!         }),
//!     ],
//!     basic_blocks: Some(&[0]),
//! };
//! let table = FrameTable::build(Arch::X86_64, [function])?;
//! let at = SectionAddresses { text: 0x1_0000, eh_frame: 0x2_0000, eh_frame_hdr: 0x2_1000 };
//! let (eh_frame, eh_frame_hdr) = (table.eh_frame(at)?, table.eh_frame_hdr(at)?);
//!
//! // At `ret` the return address is on top of the stack.
//! let unwinder = Unwinder::new(&eh_frame, &eh_frame_hdr, at)?;
//! let frame = Registers { rip: 0x1_0009, rsp: 0x7000, ..Registers::default() };
//! let caller = unwinder
//!     .step(&mut RowCache::new(), &frame, Lookup::Instruction, |address| {
//!         Some(if address == 0x7000 { 0x1234 } else { 0 })
//!     })
//!     .unwrap();
//! assert_eq!((caller.rip, caller.rsp), (0x1234, 0x7008));
//!
//! let report = check::check(&check::Checked {
//!     text: &code,
//!     text_address: at.text,
//!     functions: &[0x1_0000..0x1_000a],
//!     eh_frame: &eh_frame,
//!     eh_frame_address: at.eh_frame,
//!     eh_frame_hdr: Some((&eh_frame_hdr, at.eh_frame_hdr)),
//!     foreign: false,
//! });
//! assert!(report.is_exact());
//! # Ok::<(), Error>(())
//! ```
#![deny(unsafe_code)]

pub mod check;
#[cfg(unix)]
pub mod registration;

mod error;
mod function;
mod program;
mod prologue_only;
mod rebase;
mod single;
mod table;
mod unwinder;
mod windows;
mod x86_64;
mod x86_length;

pub use error::Error;
pub use function::{Arch, CodeOffset, FunctionFrame, PrologueOp, TextOffset, UnwindOp};
pub use rebase::{eh_frame_hdr_of, rebase_eh_frame};
pub use single::{FrameEntry, frame_entries};
pub use table::{FrameTable, SectionAddresses};
pub use unwinder::{Frames, Lookup, Registers, RowCache, StepError, Unwinder};
pub use windows::WindowsUnwind;
pub use x86_length::instruction_length;
