//! Walks the guest's frames by their frame pointers.
//!
//! ```text
//! [fp + 8]  return address into the caller
//! [fp]      the caller's fp
//! ```
//! Guest functions and trampolines all keep this shape. The walk of one activation ends at its entry stub's frame, and
//! goes on where the store's next outer activation left the guest.

use super::code::{self, LoadedCode};
use super::entry;
use super::store::StoreOpaque;
use artifact::FunctionKind;
use std::ptr;
use std::sync::atomic::Ordering;

/// One frame as found on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// The trapping instruction, or the return address.
    pub pc: usize,
    /// The frame pointer.
    pub fp: usize,
    /// Is `pc` a return address? Then the call lies before it.
    pub is_return: bool,
}

impl RawFrame {
    /// The address to look up: inside the instruction that the frame is at.
    pub fn lookup_pc(&self) -> usize {
        self.pc - usize::from(self.is_return)
    }
}

/// The guest's stack, innermost frame first.
#[derive(Debug, Default)]
pub struct RawBacktrace {
    pub frames: Vec<RawFrame>,
    /// How many outer frames were left out.
    pub omitted: usize,
}

/// Frames of a runaway recursion beyond these are only counted.
const MAX_FRAMES: usize = 1000;

/// The guest's stack of this thread's innermost activation's store. `fault` is the pc and fp of a trapping instruction;
/// without it the guest has called the host.
pub fn capture(fault: Option<(usize, usize)>) -> RawBacktrace {
    let mut result = RawBacktrace::default();
    walk(fault, |frame, _, _| {
        if result.frames.len() < MAX_FRAMES {
            result.frames.push(frame);
        } else {
            result.omitted += 1;
        }
    });
    result
}

/// As [`capture`], if that store is the innermost activation's; else nothing.
pub fn capture_of(store: &StoreOpaque) -> RawBacktrace {
    // SAFETY: the thread's activations lie in frames of `enter` that are still there.
    match unsafe { entry::current().as_ref() } {
        Some(innermost) if ptr::eq(innermost.store, store) => capture(None),
        _ => RawBacktrace::default(),
    }
}

/// Visits the guest's frames, innermost first, with the code that each runs.
pub fn walk(fault: Option<(usize, usize)>, mut visit: impl FnMut(RawFrame, &LoadedCode, artifact::TextOffset)) {
    // SAFETY: the thread's activations lie in frames of `enter` that are still there.
    let Some(innermost) = (unsafe { entry::current().as_ref() }) else { return };
    let limits = innermost.limits();
    let (mut pc, mut fp, mut is_return) = match fault {
        Some((pc, fp)) => (pc, fp, false),
        None => {
            (limits.last_wasm_exit_pc.load(Ordering::Relaxed), limits.last_wasm_exit_fp.load(Ordering::Relaxed), true)
        }
    };
    let mut activation = innermost;
    loop {
        let entry_fp = activation.entry_fp();
        while fp != 0 && fp < entry_fp {
            let frame = RawFrame { pc, fp, is_return };
            let is_guest = code::lookup(frame.lookup_pc(), |code, offset| {
                let guest = matches!(
                    code.artifact().function_at(offset).map(|(_, function)| function.kind),
                    Some(FunctionKind::Guest(_))
                );
                if guest {
                    visit(frame, code, offset);
                }
                guest
            });
            if is_guest != Some(true) {
                break; // The trampoline through which the guest was entered.
            }
            // SAFETY: `fp` is the frame pointer of a guest frame between here and the entry stub: see the module's
            // documentation for what lies there.
            (fp, pc) = unsafe { (*(fp as *const usize), *((fp + 8) as *const usize)) };
            is_return = true;
        }
        (pc, fp) = activation.outer_exit;
        is_return = true;
        let store = activation.store;
        loop {
            // SAFETY: as above.
            let Some(outer) = (unsafe { activation.previous.as_ref() }) else { return };
            activation = outer;
            if ptr::eq(activation.store, store) {
                break;
            }
        }
    }
}
