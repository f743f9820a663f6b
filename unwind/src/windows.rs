//! `.pdata` and `.xdata` for Windows on x64.
//!
//! The unwind codes describe a frame as if the prologue ended in `sub rsp, c; lea rbp, [rsp+c]` with
//! c the size of the area of saved registers: saved registers must lie above the base that the
//! frame register gives. Both codes take effect with `mov rbp, rsp`, from where on rbp alone finds the
//! frame, whatever a stack check or a probe does to rsp.
//!
//! ```text
//! mov [..], register   UWOP_SAVE_NONVOL  register at base + k     base = rbp - c
//! mov rbp, rsp         UWOP_SET_FPREG    rsp = base
//!                      UWOP_ALLOC        rsp = base + c
//! push rbp             UWOP_PUSH_NONVOL  rbp = [rsp], rsp + 8
//! ```
//!
//! Epilogues have no codes in this format: the system's unwinder knows them by their instructions. It
//! knows `pop rbp; ret`. It does not know `ret n` (functions that pop their stack arguments, at that
//! one instruction), nor frames that slide for a tail call (while they do).
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::{Error, FunctionFrame, TextOffset, UnwindOp};

/// The two sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowsUnwind {
    /// One `RUNTIME_FUNCTION` a function, sorted.
    pub pdata: Vec<u8>,
    /// The `UNWIND_INFO` structures; functions with equal ones share.
    pub xdata: Vec<u8>,
}

const PUSH_NONVOL: u8 = 0;
const ALLOC_LARGE: u8 = 1;
const ALLOC_SMALL: u8 = 2;
const SET_FPREG: u8 = 3;
const SAVE_NONVOL: u8 = 4;
const SAVE_NONVOL_FAR: u8 = 5;
const SAVE_XMM128: u8 = 8;
const SAVE_XMM128_FAR: u8 = 9;

const RBP: u8 = 5;
/// After `push rbp`.
const PUSHED: u8 = 1;
/// After `mov rbp, rsp`.
const FRAME_POINTER_SET: u8 = 4;

impl WindowsUnwind {
    /// Writes the sections of a module whose text and `.xdata` have these relative virtual addresses.
    pub fn build<'a>(
        functions: impl IntoIterator<Item = FunctionFrame<'a>>,
        text: u32,
        xdata: u32,
    ) -> Result<WindowsUnwind, Error> {
        let mut sections = WindowsUnwind::default();
        let mut entries = Vec::new();
        let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
        for function in functions {
            let structure = unwind_info(&function)?;
            let place = *known.entry(structure).or_insert_with_key(|structure| {
                let place = sections.xdata.len() as u32;
                sections.xdata.extend(structure);
                place
            });
            let limit = Error::TooLarge("4 GiB of image");
            let start = text.checked_add(function.start.0).ok_or(limit.clone())?;
            let end = u32::try_from(function.code.len()).ok().and_then(|length| start.checked_add(length));
            let place = xdata.checked_add(place).ok_or(limit.clone())?;
            entries.push((start, end.ok_or(limit)?, place));
        }
        entries.sort_unstable();
        for pair in entries.windows(2) {
            if pair[0].1 > pair[1].0 {
                return Err(Error::Overlap {
                    first: TextOffset(pair[0].0 - text),
                    second: TextOffset(pair[1].0 - text),
                });
            }
        }
        for (start, end, place) in entries {
            for value in [start, end, place] {
                sections.pdata.extend(value.to_le_bytes());
            }
        }
        Ok(sections)
    }
}

/// Windows numbers the general registers as the machine does.
fn machine_number(dwarf: u16) -> Option<u8> {
    const FIRST: [u8; 8] = [0, 2, 1, 3, 6, 7, 5, 4];
    match dwarf {
        0..=7 => Some(FIRST[usize::from(dwarf)]),
        8..=15 => Some(dwarf as u8),
        _ => None,
    }
}

fn unwind_info(function: &FunctionFrame<'_>) -> Result<Vec<u8>, Error> {
    // Slots of two bytes, in the order of the prologue; written backwards.
    let mut codes: Vec<Vec<u8>> = Vec::new();
    let mut prologue_size = 0;
    let mut frame = 0;
    for operation in &function.prologue {
        let unexpected = || Error::UnexpectedOperation { function: function.start, offset: operation.offset };
        // A prologue of more than 255 bytes has no place in the format.
        let offset = u8::try_from(operation.offset.0).map_err(|_| unexpected())?;
        match operation.op {
            UnwindOp::PushFrameRegs { .. } if codes.is_empty() && offset == PUSHED => {
                codes.push(vec![PUSHED, PUSH_NONVOL | (RBP << 4)]);
                prologue_size = PUSHED;
            }
            UnwindOp::DefineNewFrame { offset_downward_to_clobbers: down, .. } if codes.len() == 1 => {
                // The offset of the frame register counts units of 16 bytes, in four bits.
                let units = u8::try_from(down / 16).ok().filter(|units| *units < 16 && down % 16 == 0);
                let units = units.ok_or_else(unexpected)?;
                match down {
                    0 => {}
                    8..=128 => codes.push(vec![FRAME_POINTER_SET, ALLOC_SMALL | ((((down - 8) / 8) as u8) << 4)]),
                    _ => codes.push(vec![FRAME_POINTER_SET, ALLOC_LARGE, (down / 8) as u8, 0]),
                }
                codes.push(vec![FRAME_POINTER_SET, SET_FPREG]);
                frame = RBP | (units << 4);
                prologue_size = FRAME_POINTER_SET;
            }
            UnwindOp::SaveReg { dwarf_reg, clobber_offset } if frame != 0 => {
                let (near, far, register, unit) = match (machine_number(dwarf_reg), dwarf_reg) {
                    (Some(register), _) => (SAVE_NONVOL, SAVE_NONVOL_FAR, register, 8),
                    (None, 17..=32) => (SAVE_XMM128, SAVE_XMM128_FAR, (dwarf_reg - 17) as u8, 16),
                    _ => return Err(unexpected()),
                };
                if clobber_offset % unit != 0 {
                    return Err(unexpected());
                }
                let mut code = vec![offset];
                match u16::try_from(clobber_offset / unit) {
                    Ok(scaled) => {
                        code.push(near | (register << 4));
                        code.extend(scaled.to_le_bytes());
                    }
                    Err(_) => {
                        code.push(far | (register << 4));
                        code.extend(clobber_offset.to_le_bytes());
                    }
                }
                codes.push(code);
                prologue_size = offset;
            }
            UnwindOp::StackAlloc { .. } => {}
            _ => return Err(unexpected()),
        }
    }
    let slots = codes.iter().map(Vec::len).sum::<usize>() / 2;
    let count = u8::try_from(slots).map_err(|_| Error::TooLarge("255 unwind codes"))?;
    let mut structure = vec![1, prologue_size, count, frame];
    structure.extend(codes.into_iter().rev().flatten());
    if slots % 2 == 1 {
        structure.extend([0, 0]);
    }
    Ok(structure)
}
