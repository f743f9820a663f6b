//! Rows of prologues and bodies from the compiler's operations alone, for targets whose epilogues are
//! not derived (AArch64, RISC-V, z/Architecture).
//!
//! With F the offset of the CFA from the frame pointer and C the start of the saved registers:
//!
//! ```text
//! PushFrameRegs(n)       CFA = sp+n    fp at CFA-n, lr at CFA-n+8
//! DefineNewFrame(F, d)   CFA = fp+F    C = CFA-F-d
//! StackAlloc(n)          CFA = sp+(F+n)                    (only where no register is the frame pointer)
//! SaveReg(r, k)          r at C+k
//! ```
#![forbid(unsafe_code)]

use crate::program::Program;
use crate::table::Target;
use crate::{Error, FunctionFrame, UnwindOp};

/// DWARF number of AArch64's pseudo register that tells whether return addresses are signed (DWARF
/// for the Arm 64-bit Architecture, 4.1).
const RA_SIGN_STATE: u16 = 34;

/// Writes the rows of `function`.
pub(crate) fn derive(function: &FunctionFrame<'_>, target: &Target, out: &mut Program<'_>) -> Result<(), Error> {
    let mut cfa_offset = target.cfa_offset;
    let mut clobbers = 0;
    let mut last = 0;
    for operation in &function.prologue {
        let at = operation.offset.0;
        let unexpected = || Error::UnexpectedOperation { function: function.start, offset: operation.offset };
        if at < last || at as usize > function.code.len() || !at.is_multiple_of(target.code_alignment.into()) {
            return Err(unexpected());
        }
        last = at;
        // 2^28 bytes are more than any frame has, and keep the sums below in range.
        let offset = |value: u32| {
            i32::try_from(value).ok().filter(|&value| value < 1 << 28 && value % 8 == 0).ok_or_else(unexpected)
        };
        out.advance_to(at);
        match operation.op {
            UnwindOp::PushFrameRegs { offset_upward_to_caller_sp } => {
                let up = offset(offset_upward_to_caller_sp)?;
                let frame_pointer = target.frame_pointer.ok_or_else(unexpected)?;
                out.def_cfa_offset(up);
                out.offset(frame_pointer, -up);
                out.offset(target.return_address, 8 - up);
            }
            UnwindOp::DefineNewFrame { offset_upward_to_caller_sp, offset_downward_to_clobbers } => {
                if let Some(frame_pointer) = target.frame_pointer {
                    out.def_cfa_register(frame_pointer);
                }
                cfa_offset = offset(offset_upward_to_caller_sp)?;
                clobbers = -cfa_offset - offset(offset_downward_to_clobbers)?;
            }
            UnwindOp::StackAlloc { size } => {
                if target.frame_pointer.is_none() {
                    cfa_offset = cfa_offset.checked_add(offset(size)?).ok_or_else(unexpected)?;
                    out.def_cfa_offset(cfa_offset);
                }
            }
            UnwindOp::SaveReg { dwarf_reg, clobber_offset } => {
                out.offset(dwarf_reg, clobbers + offset(clobber_offset)?)
            }
            UnwindOp::SetPointerAuth { return_addresses } => {
                out.val_literal(RA_SIGN_STATE, return_addresses.into());
            }
        }
    }
    Ok(())
}
