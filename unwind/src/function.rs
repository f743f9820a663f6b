//! What the compiler hands over: one [`FunctionFrame`] a function.
#![forbid(unsafe_code)]

use std::fmt;

/// An offset in bytes from the start of the module's text section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextOffset(pub u32);

/// An offset in bytes from the start of one function's code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeOffset(pub u32);

impl fmt::Display for TextOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text+{:#x}", self.0)
    }
}

impl fmt::Display for CodeOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:#x}", self.0)
    }
}

/// The machine the code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// AMD64. Rows are exact at every instruction, epilogues included.
    X86_64,
    /// AArch64. Rows describe prologue and body; epilogues are not derived.
    Aarch64,
    /// RISC-V, 64 bits. Rows describe prologue and body; epilogues are not derived.
    Riscv64,
    /// IBM z/Architecture. Rows describe prologue and body; epilogues are not derived.
    S390x,
}

/// One function as compiled: guest functions, trampolines and stubs alike.
///
/// The code may be given before or after its relocations are applied; only instructions that
/// set up and tear down frames are read, and those carry none.
#[derive(Clone, Debug)]
pub struct FunctionFrame<'a> {
    /// Where the function starts in the text section.
    pub start: TextOffset,
    /// Its machine code, with any constants and jump tables that lie inline.
    pub code: &'a [u8],
    /// The operations of its prologue in the order of their offsets. Empty for code that never
    /// moves the stack pointer.
    pub prologue: Vec<PrologueOp>,
    /// Offsets of the starts of its basic blocks, ascending, where the compiler knows them.
    ///
    /// They tell code from inline jump tables. Without them the code is decoded from its start, and
    /// a function that holds a jump table is refused ([`Error::BlocksNeeded`](crate::Error)).
    pub basic_blocks: Option<&'a [u32]>,
}

/// An operation that has taken effect when the instruction *ending* at `offset` is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrologueOp {
    /// The end of the instruction (or sequence) that did it.
    pub offset: CodeOffset,
    /// What was done.
    pub op: UnwindOp,
}

/// What a prologue instruction did to the frame. Register numbers are DWARF's.
///
/// ```text
///               +-----------------------------------+
///               | stack arguments                   |
///  CFA -------> +-----------------------------------+
///               | return address                    |
///               | caller's frame pointer            |
///  FP --------> +-----------------------------------+ ) offset_upward_to_caller_sp above FP: the CFA
///               | callee-saved registers            |
///  clobbers --> +-----------------------------------+ ) offset_downward_to_clobbers below FP
///               | the rest of the frame             |
///  SP --------> +-----------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnwindOp {
    /// The frame pointer (and on machines that have one, the link register) has been pushed.
    PushFrameRegs {
        /// The CFA is this far above the stack pointer.
        offset_upward_to_caller_sp: u32,
    },
    /// The frame pointer points to the new frame.
    DefineNewFrame {
        /// The CFA is this far above the frame pointer. More than the frame registers take when the
        /// frame slid down to make room for the arguments of a tail call.
        offset_upward_to_caller_sp: u32,
        /// The area of saved registers starts this far below the frame pointer.
        offset_downward_to_clobbers: u32,
    },
    /// The stack pointer has been lowered.
    StackAlloc {
        /// By this many bytes.
        size: u32,
    },
    /// A callee-saved register has been stored.
    SaveReg {
        /// DWARF number of the register.
        dwarf_reg: u16,
        /// Where, counted upward from the start of the area of saved registers.
        clobber_offset: u32,
    },
    /// AArch64: return addresses are signed from here on, or are not.
    SetPointerAuth {
        /// Whether they are signed.
        return_addresses: bool,
    },
}
