//! Derives the rows of one x86-64 function: its prologue from the compiler's operations, its
//! epilogues from its code.
//!
//! With E the stack pointer at the function's first instruction and d the bytes by which the frame
//! slides down for the arguments of a tail call (mostly 0), the rows are:
//!
//! ```text
//! at entry                         CFA = rsp+8            RA at CFA-8
//! push rbp                         CFA = rsp+16                          rbp at CFA-16
//! mov rbp, rsp                     CFA = rbp+16            (or only from where rsp moves)
//!   stack check, probes              (whatever they do to rsp)
//! sub rsp, d; mov rbp, rsp         CFA = rbp+16+d           (only if d > 0)
//!   rbp and RA moved down          RA at CFA-8-d, rbp at CFA-16-d
//! sub rsp, n; mov [rsp+k], saved   saved at its slot
//!   body
//! mov saved, [rsp+k]; add rsp, n
//! mov rsp, rbp; pop rbp            CFA = rsp+8+d
//!   mov t, [rsp]; mov [rsp+s], t     (only if the next function takes s fewer bytes)
//!   add rsp, s                     CFA = rsp+8+d-s, RA at CFA-8-d+s, the rest in its register
//! ret, jmp
//! ```
//!
//! The CFA is E+8 throughout, the stack pointer just before the call that entered the function:
//! it names the activation, also while its frame moves. Slots of saved registers stay valid after
//! `pop rbp` because they lie at most 128 bytes below rsp: in the red zone (System V ABI, 3.2.2),
//! which nothing overwrites behind the function's back. Where that is not so they are given up.
//!
//! The rule of a callee-saved register becomes its slot only after the last of them is stored: until
//! the body starts, the register itself still holds the value.
#![forbid(unsafe_code)]

use memchr::memmem;

use crate::program::{Program, Register};
use crate::x86_length::instruction_length;
use crate::{CodeOffset, Error, FunctionFrame, PrologueOp, UnwindOp};

const RBP: Register = 6;
const RSP: Register = 7;
const RETURN_ADDRESS: Register = 16;

const PUSH_RBP: &[u8] = &[0x55];
const MOV_RBP_RSP: &[u8] = &[0x48, 0x89, 0xe5];
/// `mov rsp, rbp; pop rbp`: the code generator reserves rbp, so this only ever ends a frame.
const LEAVE: &[u8] = &[0x48, 0x89, 0xec, 0x5d];
const UD2: &[u8] = &[0x0f, 0x0b];
/// The area below the stack pointer that signal handlers keep off.
const RED_ZONE: i32 = 128;

/// `sub rsp, imm8` and `sub rsp, imm32` up to the immediate.
const SUB_RSP: [&[u8]; 2] = [&[0x48, 0x83, 0xec], &[0x48, 0x81, 0xec]];

/// The frame as the prologue leaves it.
struct Frame {
    /// Where the frame registers are established, and the stack check starts.
    frame_pointer_set: u32,
    /// Where the CFA begins to be told by rbp: there, or where rsp first moves.
    by_frame_pointer: u32,
    /// Where everything is in place.
    body: u32,
    /// By how much the frame slid.
    slide: i32,
    /// Where during the slide rbp moved, if it slid.
    slid: u32,
    /// Registers with their slots, relative to the CFA.
    saved: Vec<(Register, i32)>,
}

/// Where a frame ends.
struct Epilogue {
    /// After `pop rbp`.
    popped: u32,
    /// After `add rsp, s`, and s, where the argument area shrinks.
    shrunk: Option<(u32, i32)>,
    /// After the return or jump.
    end: u32,
}

/// Writes the rows of `function`.
pub(crate) fn derive(function: &FunctionFrame<'_>, out: &mut Program<'_>) -> Result<(), Error> {
    let Some(frame) = prologue(function)? else {
        return Ok(());
    };
    let length = function.code.len() as u32;
    let epilogues = epilogues(function, &frame)?;
    let stubs = stack_check_stubs(function, &frame)?;

    // The last epilogue of a function that ends with it can take its row from the first one.
    let closes = stubs.is_empty()
        && frame.slide == 0
        && epilogues.last().is_some_and(|epilogue| epilogue.end == length && epilogue.shrunk.is_none());
    // Where nothing follows the last epilogue but the traps of the stack check, their row, that of the
    // frame before anything is saved, can be taken from the prologue.
    let checks_last = !stubs.is_empty()
        && epilogues.last().is_some_and(|epilogue| {
            let traps = (epilogue.end..length).step_by(UD2.len());
            epilogue.shrunk.is_none() && traps.eq(stubs.iter().copied())
        });
    if closes {
        out.remember_state();
    }
    out.advance_to(1);
    out.def_cfa_offset(16);
    out.offset(RBP, -16);
    out.advance_to(frame.by_frame_pointer);
    out.def_cfa_register(RBP);
    if checks_last {
        out.remember_state();
    }
    if frame.slide > 0 {
        out.advance_to(frame.slid);
        out.def_cfa_offset(16 + frame.slide);
    }
    if frame.slide > 0 || !frame.saved.is_empty() {
        out.advance_to(frame.body);
    }
    if frame.slide > 0 {
        out.offset(RETURN_ADDRESS, -8 - frame.slide);
        out.offset(RBP, -16 - frame.slide);
    }
    for &(register, offset) in &frame.saved {
        out.offset(register, offset);
    }

    let mut stubs = stubs.into_iter().peekable();
    for epilogue in &epilogues {
        while let Some(stub) = stubs.next_if(|&stub| stub < epilogue.popped) {
            stub_row(out, &frame, stub, length);
        }
        if closes && epilogue.end == length {
            out.advance_to(epilogue.popped);
            out.restore_state();
        } else if checks_last && stubs.peek() == Some(&epilogue.end) {
            out.advance_to(epilogue.popped);
            out.def_cfa(RSP, 8 + frame.slide);
            out.advance_to(epilogue.end);
            out.restore_state();
            return Ok(());
        } else {
            epilogue_rows(out, &frame, epilogue, length);
        }
    }
    for stub in stubs {
        stub_row(out, &frame, stub, length);
    }
    Ok(())
}

/// The rows from `pop rbp` to the end of the epilogue, and back to the body's.
fn epilogue_rows(out: &mut Program<'_>, frame: &Frame, epilogue: &Epilogue, length: u32) {
    let continues = epilogue.end < length;
    out.advance_to(epilogue.popped);
    if continues {
        out.remember_state();
    }
    out.def_cfa(RSP, 8 + frame.slide);
    let cfa = 8 + frame.slide;
    for &(register, offset) in &frame.saved {
        if cfa + offset < -RED_ZONE {
            out.restore(register);
        }
    }
    if let Some((at, shrink)) = epilogue.shrunk {
        out.advance_to(at);
        out.def_cfa_offset(8 + frame.slide - shrink);
        out.offset(RETURN_ADDRESS, shrink - frame.slide - 8);
        out.restore(RBP);
        for &(register, offset) in &frame.saved {
            if cfa + offset >= -RED_ZONE {
                out.restore(register);
            }
        }
    }
    if continues {
        out.advance_to(epilogue.end);
        out.restore_state();
    }
}

/// The row of a trap that the stack check jumps to: the frame is there, but has not slid, and nothing
/// is saved.
fn stub_row(out: &mut Program<'_>, frame: &Frame, stub: u32, length: u32) {
    let end = stub + UD2.len() as u32;
    out.advance_to(stub);
    if end < length {
        out.remember_state();
    }
    if frame.slide > 0 {
        out.def_cfa_offset(16);
        out.restore(RETURN_ADDRESS);
        out.offset(RBP, -16);
    }
    for &(register, _) in &frame.saved {
        out.restore(register);
    }
    if end < length {
        out.advance_to(end);
        out.restore_state();
    }
}

/// Reads the prologue operations and confirms in the code what they leave out. `None` for a function
/// without a frame.
fn prologue(function: &FunctionFrame<'_>) -> Result<Option<Frame>, Error> {
    let mut operations = function.prologue.iter();
    let Some(first) = operations.next() else {
        return Ok(None);
    };
    let unexpected = |op: &PrologueOp| Error::UnexpectedOperation { function: function.start, offset: op.offset };
    if first.op != (UnwindOp::PushFrameRegs { offset_upward_to_caller_sp: 16 }) {
        return Err(unexpected(first));
    }
    expect(function, 0, PUSH_RBP, "push rbp")?;
    if first.offset.0 != 1 {
        return Err(unexpected(first));
    }
    expect(function, 1, MOV_RBP_RSP, "mov rbp, rsp")?;
    let frame_pointer_set = 4;
    let mut frame = Frame {
        frame_pointer_set,
        by_frame_pointer: frame_pointer_set,
        body: frame_pointer_set,
        slide: 0,
        slid: frame_pointer_set,
        saved: Vec::new(),
    };

    let mut clobbers = None;
    for operation in operations {
        let at = operation.offset.0;
        if at < frame.body || at as usize > function.code.len() {
            return Err(unexpected(operation));
        }
        match operation.op {
            UnwindOp::DefineNewFrame { offset_upward_to_caller_sp: up, offset_downward_to_clobbers: down }
                if clobbers.is_none() =>
            {
                let (Ok(up), Ok(down)) = (i32::try_from(up), i32::try_from(down)) else {
                    return Err(unexpected(operation));
                };
                if up < 16 || up % 8 != 0 || down.checked_add(up).is_none() {
                    return Err(unexpected(operation));
                }
                frame.slide = up - 16;
                clobbers = Some(-up - down);
                if frame.slide > 0 {
                    frame.slid = slide(function, at, frame.slide)?;
                }
            }
            UnwindOp::SaveReg { dwarf_reg, clobber_offset } => {
                let slot = clobbers
                    .zip(i32::try_from(clobber_offset).ok())
                    .and_then(|(base, offset)| base.checked_add(offset))
                    .filter(|slot| slot % 8 == 0)
                    .ok_or_else(|| unexpected(operation))?;
                frame.saved.push((dwarf_reg, slot));
            }
            UnwindOp::StackAlloc { .. } => {}
            _ => return Err(unexpected(operation)),
        }
        frame.body = at;
    }
    frame.by_frame_pointer = by_frame_pointer(function, &frame)?;
    Ok(Some(frame))
}

/// Where the row that tells the CFA by rbp starts.
///
/// It may start anywhere from `mov rbp, rsp` to the instruction that moves rsp. It starts at the first of the two,
/// unless the second is so much nearer to the row after that this one's start then takes a byte less.
fn by_frame_pointer(function: &FunctionFrame<'_>, frame: &Frame) -> Result<u32, Error> {
    /// The longest distance that has room in an opcode.
    const NEAR: u32 = 0x3f;
    let next = if frame.slide > 0 { frame.slid } else { frame.body };
    let mut at = frame.frame_pointer_set;
    if next - at <= NEAR || (frame.slide == 0 && frame.saved.is_empty()) {
        return Ok(at);
    }
    while at < next && at - PUSH_RBP.len() as u32 <= NEAR {
        if SUB_RSP.iter().any(|sub| function.code[at as usize..].starts_with(sub)) {
            return Ok(if next - at <= NEAR { at } else { frame.frame_pointer_set });
        }
        at += length_at(function, at)?;
    }
    Ok(frame.frame_pointer_set)
}

/// Where in the sequence that ends at `end` the frame pointer moved down by `slide`:
///
/// ```text
/// sub rsp, slide
/// mov rbp, rsp              <-- ends here
/// mov r11, [rsp+slide]
/// mov [rsp], r11
/// mov r11, [rsp+slide+8]
/// mov [rsp+8], r11
/// ```
fn slide(function: &FunctionFrame<'_>, end: u32, slide: i32) -> Result<u32, Error> {
    let load = |displacement: i32| if displacement < 0x80 { 5 } else { 8 };
    let moves = load(slide) + 4 + load(slide + 8) + 5;
    let slid = end.checked_sub(moves).filter(|&at| at >= 4 + 3);
    let Some(slid) = slid else {
        return Err(Error::UnexpectedPrologue {
            function: function.start,
            offset: CodeOffset(end),
            expected: "the end of a sliding frame",
        });
    };
    expect(function, slid - 3, MOV_RBP_RSP, "mov rbp, rsp")?;
    Ok(slid)
}

/// The traps that branches of the stack check lead to: those between the establishing of the frame
/// pointer and the body. Empty if their row is the body's anyway.
fn stack_check_stubs(function: &FunctionFrame<'_>, frame: &Frame) -> Result<Vec<u32>, Error> {
    let mut stubs = Vec::new();
    if frame.slide == 0 && frame.saved.is_empty() {
        return Ok(stubs);
    }
    let mut at = frame.frame_pointer_set;
    while at < frame.body {
        let length = length_at(function, at)?;
        let instruction = &function.code[at as usize..(at + length) as usize];
        at += length;
        // jcc rel32; the loop of a stack probe branches backward.
        if let [0x0f, 0x80..=0x8f, displacement @ ..] = instruction
            && let Ok(displacement) = displacement.try_into()
        {
            let target = i64::from(at) + i64::from(i32::from_le_bytes(displacement));
            if target >= i64::from(frame.body) {
                let target = u32::try_from(target).unwrap_or(u32::MAX);
                expect(function, target, UD2, "a trap of the stack check")?;
                stubs.push(target);
            }
        }
    }
    stubs.sort_unstable();
    stubs.dedup();
    Ok(stubs)
}

/// Finds the epilogues.
///
/// A search for the bytes of `mov rsp, rbp; pop rbp` finds them all, and sometimes the same bytes in
/// a constant or across instructions. So each find is confirmed by decoding from the start of its
/// basic block, or from wherever decoding stopped in the same block. A jump table is not decoded: it
/// follows an indirect jump and lasts to the next block. Constants follow the last block; what looks
/// like an epilogue there is passed over, and would only add rows to bytes that never execute.
fn epilogues(function: &FunctionFrame<'_>, frame: &Frame) -> Result<Vec<Epilogue>, Error> {
    let code = function.code;
    let blocks = function.basic_blocks;
    let mut found = Vec::new();
    let mut boundary = frame.body;
    // Whether decoding since the last block's start has passed an instruction that never falls
    // through. (Not the end of the block: conversions have jumps inside them.)
    let mut passed_end = false;
    'candidates: for candidate in memmem::find_iter(code, LEAVE) {
        let candidate = candidate as u32;
        if candidate < boundary {
            continue; // Inside an instruction, in a jump table, or in the epilogue before.
        }
        let next_block = blocks.map(|blocks| {
            let next = blocks.partition_point(|&start| start <= candidate);
            if let Some(&start) = next.checked_sub(1).and_then(|block| blocks.get(block))
                && start > boundary
            {
                boundary = start;
                passed_end = false;
            }
            blocks.get(next).copied()
        });
        // Constants may follow: a block, if given, is the last; else whatever ended.
        let before_constants = next_block.flatten().is_none();
        while boundary < candidate {
            let length = match length_at(function, boundary) {
                Ok(length) => length,
                Err(_) if before_constants && passed_end => break 'candidates,
                Err(error) => return Err(error),
            };
            let instruction = &code[boundary as usize..(boundary + length) as usize];
            boundary += length;
            if is_indirect_jump(instruction) {
                let Some(next_block) = next_block else {
                    return Err(Error::BlocksNeeded { function: function.start, offset: CodeOffset(boundary) });
                };
                match next_block {
                    Some(start) => boundary = start,
                    None => break 'candidates,
                }
                continue 'candidates;
            }
            passed_end |= never_falls_through(instruction);
        }
        if boundary == candidate {
            match epilogue(function, candidate) {
                Ok(epilogue) => {
                    boundary = epilogue.end;
                    passed_end = true;
                    found.push(epilogue);
                }
                Err(_) if before_constants && passed_end => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

/// Reads the epilogue whose `mov rsp, rbp` is at `at`.
fn epilogue(function: &FunctionFrame<'_>, at: u32) -> Result<Epilogue, Error> {
    let popped = at + LEAVE.len() as u32;
    let code = function.code;
    let rest = |at: u32| code.get(at as usize..).unwrap_or_default();
    let mut shrunk = None;
    let mut next = popped;
    // mov t, [rsp]; mov [rsp+s], t; add rsp, s
    if let [0x48 | 0x4c, 0x8b, modrm, 0x24, ..] = *rest(popped)
        && modrm & 0xc7 == 0x04
    {
        let store = popped + 4;
        let add = store + length_at(function, store)?;
        let (amount, length) = match *rest(add) {
            [0x48, 0x83, 0xc4, amount, ..] => (i32::from(amount as i8), 4),
            [0x48, 0x81, 0xc4, a, b, c, d, ..] => (i32::from_le_bytes([a, b, c, d]), 7),
            _ => (0, 0),
        };
        if length == 0 || amount <= 0 || amount % 8 != 0 {
            return Err(Error::UnexpectedEpilogue { function: function.start, offset: CodeOffset(at) });
        }
        next = add + length;
        shrunk = Some((next, amount));
    }
    let length = match *rest(next) {
        [0xc3, ..] => 1,
        [0xc2, _, _, ..] => 3,
        [0xe9, _, _, _, _, ..] => 5,
        [0xff, modrm, ..] if modrm & 0xf8 == 0xe0 => 2,
        [0x41, 0xff, modrm, ..] if modrm & 0xf8 == 0xe0 => 3,
        _ => {
            return Err(Error::UnexpectedEpilogue { function: function.start, offset: CodeOffset(at) });
        }
    };
    Ok(Epilogue { popped, shrunk, end: next + length })
}

/// `jmp reg`; a jump table follows it.
fn is_indirect_jump(instruction: &[u8]) -> bool {
    matches!(
        instruction,
        [0xff, modrm] | [0x40..=0x4f, 0xff, modrm] if modrm & 0xf8 == 0xe0
    )
}

/// Jumps, returns and `ud2`.
fn never_falls_through(instruction: &[u8]) -> bool {
    matches!(instruction, [0xe9 | 0xeb | 0xc3 | 0xc2, ..] | [0x0f, 0x0b])
}

fn length_at(function: &FunctionFrame<'_>, at: u32) -> Result<u32, Error> {
    function
        .code
        .get(at as usize..)
        .and_then(instruction_length)
        .map(|length| length as u32)
        .ok_or(Error::BadInstruction { function: function.start, offset: CodeOffset(at) })
}

fn expect(function: &FunctionFrame<'_>, at: u32, bytes: &[u8], expected: &'static str) -> Result<(), Error> {
    match function.code.get(at as usize..) {
        Some(code) if code.starts_with(bytes) => Ok(()),
        _ => Err(Error::UnexpectedPrologue { function: function.start, offset: CodeOffset(at), expected }),
    }
}
