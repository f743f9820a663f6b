//! Collections of host values that the guest no longer refers to.
//!
//! A collection happens where the guest waits for the host: its activations table is full, the host is about to pass it
//! further references, or the embedder asks for it. The store's guest frames are walked by their frame pointers, and the
//! stack map at each return address says where the frame keeps references. Host frames between two activations of the
//! store are stepped over: each activation knows where the one outside it left the guest.
//!
//! ```text
//! [fp + 8]   return address: key of the caller's stack map
//! [fp]       the caller's fp
//! [fp - n]   a reference, for each n of the stack map at the return address into this frame
//! ```
//! Debug builds, and code that collects at every safepoint, hold each collection against a conservative scan of the stack.

use super::code::{self, LoadedCode};
use super::entry::{self, Activation};
use super::externref::Doomed;
use super::store::StoreOpaque;
use std::collections::HashSet;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

/// Lets go of the host values that no frame, table or global of the store refers to. Runs their drop handlers, which may
/// do whatever host code may do, collect and enter the guest included.
///
/// `keep` is kept: a reference that is on its way into a frame.
///
/// # Safety
///
/// `store` must be valid. Nobody may use it meanwhile but what drop handlers do.
pub unsafe fn collect(store: *mut StoreOpaque, keep: Option<NonNull<u8>>) {
    // SAFETY: the caller's promise; the borrow ends before drop handlers run.
    let doomed = find_doomed(unsafe { &mut *store }, keep);
    // SAFETY: as above.
    unsafe { let_go(store, doomed) };
}

/// Runs the drop handlers of values that have no references any more.
///
/// # Safety
///
/// As [`collect`].
pub unsafe fn let_go(store: *mut StoreOpaque, doomed: impl IntoIterator<Item = Doomed>) {
    // SAFETY: the caller's promise; no borrow lasts while a handler runs.
    if !unsafe { (*store).collects_always() } {
        return doomed.into_iter().for_each(drop);
    }
    for doomed in doomed {
        let corpse = doomed.bury();
        // SAFETY: as above.
        unsafe { (*store).bury(corpse) };
    }
}

fn find_doomed(store: &mut StoreOpaque, keep: Option<NonNull<u8>>) -> Vec<Doomed> {
    let mut doomed = Vec::new();
    let Some(segments) = segments(store) else { return doomed };
    let mut roots = Vec::new();
    let checked = cfg!(debug_assertions) || store.collects_always();
    let mut frames = 0;
    let table = &mut store.activations;
    let mut mark = |raw| {
        if checked {
            roots.push(raw);
        }
        // SAFETY: references in frames lead to live values: the table keeps them, or the host that passed them. A sweep
        // follows.
        unsafe { table.mark(raw) };
    };
    let mut maps = StackMaps::default();
    for segment in segments {
        frames += segment.walk(&mut maps, &mut mark);
    }
    keep.into_iter().for_each(mark);
    if checked {
        oracle::check(store, &roots, keep);
    }
    store.activations.sweep(frames, &mut doomed);
    doomed
}

/// The guest's frames of one activation.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Where the guest was left: the return address into its innermost frame, and that frame.
    exit: (usize, usize),
    /// The frame of the entry stub, above all of the guest's.
    entry_fp: usize,
}

/// The store's guest frames, innermost activation first. `None` if some are on another thread's stack, where a host
/// function has taken the store from: then nothing is known of them from here.
fn segments(store: &StoreOpaque) -> Option<Vec<Segment>> {
    let limits = store.limits();
    let mut exit = (limits.last_wasm_exit_pc.load(Ordering::Relaxed), limits.last_wasm_exit_fp.load(Ordering::Relaxed));
    let mut entry_fp = limits.last_wasm_entry_fp.load(Ordering::Relaxed);
    let mut segments = Vec::new();
    let mut at = entry::current();
    // SAFETY: the thread's activations lie in frames of `enter` that are still there.
    while let Some(activation) = unsafe { at.as_ref() } {
        let Activation { outer_exit, outer_entry_fp, previous, .. } = *activation;
        if ptr::eq(activation.store, store) {
            if activation.entry_fp() != entry_fp {
                return None;
            }
            segments.push(Segment { exit, entry_fp });
            (exit, entry_fp) = (outer_exit, outer_entry_fp);
        }
        at = previous;
    }
    (entry_fp == 0).then_some(segments)
}

impl Segment {
    /// Visits the references in the frames; how many frames there were.
    fn walk(self, maps: &mut StackMaps, mut visit: impl FnMut(NonNull<u8>)) -> usize {
        let (mut pc, mut fp) = self.exit;
        let mut frames = 0;
        while fp != 0 && fp < self.entry_fp {
            // The trampoline has no references, and what called it is no guest code.
            let Some(slots) = maps.at(pc) else { break };
            frames += 1;
            for below in slots.iter() {
                // SAFETY: the stack map of the call that this frame waits for says that a reference, or null, lies there.
                let reference = unsafe { ((fp - below as usize) as *const *mut u8).read() };
                NonNull::new(reference).map(&mut visit);
            }
            // SAFETY: `fp` is the frame pointer of a frame of compiled code: see the module's documentation.
            (fp, pc) = unsafe { (*(fp as *const usize), *((fp + 8) as *const usize)) };
        }
        frames
    }
}

type Slots = artifact::Table<'static, u32>;

/// Finds stack maps by return address; remembers a few, since recursion repeats them.
struct StackMaps {
    /// The code that the last address was in.
    code: Option<&'static LoadedCode>,
    known: [(usize, Slots); StackMaps::KNOWN],
}

impl Default for StackMaps {
    fn default() -> StackMaps {
        StackMaps { code: None, known: [(0, Slots::new(&[])); StackMaps::KNOWN] }
    }
}

impl StackMaps {
    const KNOWN: usize = 16;

    /// The stack map at a return address in compiled code, empty if nothing is live there; `None` for other addresses.
    #[inline]
    fn at(&mut self, pc: usize) -> Option<Slots> {
        let place = (pc ^ (pc >> 4)) % StackMaps::KNOWN;
        if self.known[place].0 == pc {
            return Some(self.known[place].1);
        }
        let slots = self.find(pc)?;
        self.known[place] = (pc, slots);
        Some(slots)
    }

    fn find(&mut self, pc: usize) -> Option<Slots> {
        // The call lies before the return address, which may be the first one behind the code.
        let inside = |code: &&LoadedCode| code.text_offset(pc - 1).is_some();
        let code = match self.code.filter(inside) {
            Some(code) => code,
            None => {
                let code = code::lookup(pc - 1, |code, _| ptr::from_ref(code))?;
                // SAFETY: the store keeps the code of its modules, and this is only used while it is borrowed.
                self.code.insert(unsafe { &*code })
            }
        };
        let at = u32::try_from(pc - code.text_address()).ok()?;
        Some(code.artifact().stack_map_at(artifact::TextOffset(at)).unwrap_or(Slots::new(&[])))
    }
}

/// What holds collections against the stack as it is.
mod oracle {
    use super::*;

    /// Each root must lie on the stack; what only looks like a reference to a listed value is noted for
    /// [`StoreOpaque::missing`].
    // Not inlined: `scripts/valgrind.supp` names it.
    #[inline(never)]
    pub fn check(store: &mut StoreOpaque, roots: &[NonNull<u8>], keep: Option<NonNull<u8>>) {
        if roots.is_empty() && store.activations.len() == 0 {
            return;
        }
        let mut words = HashSet::new();
        scan_stack(|word| {
            words.insert(word);
        });
        for root in roots.iter().filter(|root| Some(**root) != keep) {
            let found = words.contains(&(root.as_ptr() as usize));
            assert!(found, "the stack maps led to {root:?}, which lies nowhere on the stack");
        }
        if !store.collects_always() {
            return;
        }
        let table = &store.activations;
        let suspects: Vec<_> = table
            .chunk()
            .iter()
            .chain(table.foreign())
            .copied()
            // SAFETY: the table keeps the values alive.
            .filter(|raw| words.contains(&(raw.as_ptr() as usize)) && !unsafe { table.is_marked(*raw) })
            .collect();
        store.note_suspects(suspects);
    }

    /// Visits every word of this thread's stack between here and the outermost entry into the guest: whatever a guest frame
    /// keeps lies there, callee-saved registers included, which some frame between has saved.
    #[inline(never)]
    pub fn scan_stack(mut visit: impl FnMut(usize)) {
        let mut end = 0;
        let mut activation = entry::current();
        // SAFETY: the thread's activations lie in frames of `enter` that are still there.
        while let Some(found) = unsafe { activation.as_ref() } {
            end = found.entry_fp();
            activation = found.previous;
        }
        // Registers that no frame between has had a reason to save are saved here.
        let mut registers = [0usize; 6];
        // SAFETY: stores six registers into the array.
        unsafe {
            core::arch::asm!(
                "mov [{0}], rbx",
                "mov [{0} + 8], r12",
                "mov [{0} + 16], r13",
                "mov [{0} + 24], r14",
                "mov [{0} + 32], r15",
                "mov [{0} + 40], rbp",
                in(reg) registers.as_mut_ptr(),
                options(nostack, preserves_flags)
            );
        }
        registers.into_iter().for_each(&mut visit);
        let mut at = ptr::from_ref(&registers) as usize;
        while at < end {
            visit(read_word(at));
            at += size_of::<usize>();
        }
    }

    /// A word of this thread's stack, of a frame that the compiler may know nothing about.
    fn read_word(at: usize) -> usize {
        let word: usize;
        // SAFETY: the caller's addresses lie between its own frame and the entry stub's, all of which is mapped. Assembly,
        // because neither the compiler nor a sanitizer may take it for an access to a variable.
        unsafe {
            core::arch::asm!("mov {}, [{}]", out(reg) word, in(reg) at, options(nostack, readonly, preserves_flags))
        };
        word
    }
}
