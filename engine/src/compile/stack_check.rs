//! Moves the trap of a stack check into the prologue.
//!
//! The code generator puts it behind the function's code, where it needs a row of its own in the frame table: it is
//! reached before any register is saved. Between its branch and the rest of the prologue it needs none.
//!
//! ```text
//! cmp limit, rsp         cmp limit, rsp
//! ja  stub               jbe 1f
//!                        ud2
//! ...                 1: ...
//! stub: ud2              (removed where it was the function's last instruction)
//! ```

use super::function::CompiledFunction;
use artifact::TrapCode;
use unwind::UnwindOp;

const UD2: [u8; 2] = [0x0f, 0x0b];
/// Bytes of `ja rel32`.
const BRANCH: usize = 6;
/// What takes its place: `jbe` over the rest, the trap, and a `nop` that is never reached.
const INLINE: [u8; BRANCH] = [0x76, 4, UD2[0], UD2[1], 0x66, 0x90];
/// Where in it the trap is.
const TRAP: usize = 2;
/// In a function this small the branch that is always taken could be felt.
const SMALL: usize = 128;

/// The branch to `stub` in a prologue that ends at `body`.
fn branch_to(code: &[u8], body: usize, stub: usize) -> Option<usize> {
    let prologue = code.get(..body)?;
    (3..=body.checked_sub(BRANCH)?).find(|&at| {
        // cmp r64, rsp; ja rel32
        let &[0x48 | 0x49, 0x39, modrm, 0x0f, 0x87, a, b, c, d] = &prologue[at - 3..at + BRANCH] else { return false };
        let displacement = i32::from_le_bytes([a, b, c, d]);
        modrm & 0xf8 == 0xe0 && (at + BRANCH).checked_add_signed(displacement as isize) == Some(stub)
    })
}

/// Moves the traps of the stack check of an x86-64 function, if it has one.
pub(super) fn inline(function: &mut CompiledFunction) {
    if function.code.len() <= SMALL {
        return;
    }
    let body = function.prologue.iter().filter(|op| !matches!(op.op, UnwindOp::PushFrameRegs { .. }));
    let Some(body) = body.map(|op| op.offset.0 as usize).max() else { return };
    // A large frame is checked twice; the last trap goes first.
    for index in (0..function.traps.len()).rev() {
        let (stub, code) = function.traps[index];
        if code != TrapCode::StackOverflow {
            continue;
        }
        let Some(branch) = branch_to(&function.code, body, stub as usize) else { continue };
        function.code[branch..branch + BRANCH].copy_from_slice(&INLINE);
        function.traps[index].0 = (branch + TRAP) as u32;
        if stub as usize + UD2.len() == function.code.len() && function.code.ends_with(&UD2) {
            function.code.truncate(stub as usize);
            function.rows.retain(|row| row.start < stub);
        }
    }
    function.traps.sort_unstable_by_key(|trap| trap.0);
}
