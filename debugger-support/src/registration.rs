//! The GDB JIT interface: a list of in-memory object files that debuggers find by its symbol.
//!
//! gdb and lldb look for the symbols `__jit_debug_descriptor` and `__jit_debug_register_code` in the program, read the
//! list when they attach, and set a breakpoint on the function to hear of each change (gdb manual, "JIT Compilation
//! Interface"). The layouts below are that manual's.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const JIT_NOACTION: u32 = 0;
const JIT_REGISTER: u32 = 1;
const JIT_UNREGISTER: u32 = 2;

/// `struct jit_code_entry`. Atomics have the layout of what they hold, so that everything but the list's links can be
/// written without `unsafe`; they do not order anything, the lock does.
#[repr(C)]
struct CodeEntry {
    next: AtomicPtr<CodeEntry>,
    prev: AtomicPtr<CodeEntry>,
    symfile_addr: *const u8,
    symfile_size: u64,
}

/// `struct jit_descriptor`.
#[repr(C)]
struct Descriptor {
    version: u32,
    action_flag: AtomicU32,
    relevant_entry: AtomicPtr<CodeEntry>,
    first_entry: AtomicPtr<CodeEntry>,
}

/// The head of the list; debuggers find it by name and write `relevant_entry` never.
#[used]
#[unsafe(no_mangle)]
static __jit_debug_descriptor: Descriptor = Descriptor {
    version: 1,
    action_flag: AtomicU32::new(JIT_NOACTION),
    relevant_entry: AtomicPtr::new(ptr::null_mut()),
    first_entry: AtomicPtr::new(ptr::null_mut()),
};

/// Debuggers stop here. The empty assembly keeps the body, and each call of it, from being seen as without effect.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn __jit_debug_register_code() {
    // SAFETY: no instruction is emitted. Without `nomem` the compiler must have the list in memory by now, which is
    // what the debugger that stops here relies on.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) }
}

/// Keeps the function's symbol through `--gc-sections` also where nothing in the program registers code.
#[used]
static KEEP_REGISTER_CODE: extern "C" fn() = __jit_debug_register_code;

/// Guards the list. The interface demands one lock for the whole process.
static LIST: Mutex<()> = Mutex::new(());

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// An image that debuggers see; dropping it takes the image out of their sight.
#[derive(Debug)]
#[must_use = "dropping a registration unregisters the image at once"]
pub struct Registration {
    /// From `Box::into_raw`; only the list has other pointers to it, and only `drop` takes it out of the list.
    entry: ptr::NonNull<CodeEntry>,
    /// What `entry` points at; a `Vec` that is never touched until `entry` has left the list.
    image: Vec<u8>,
}

// SAFETY: the entry is reached through the list only under `LIST`, and its image is immutable.
unsafe impl Send for Registration {}
// SAFETY: a shared `Registration` gives out nothing but the immutable image.
unsafe impl Sync for Registration {}

impl Registration {
    /// The registered image, as given.
    pub fn image(&self) -> &[u8] {
        &self.image
    }
}

/// How many images are registered in this process.
pub fn registered_images() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Shows an ELF image to the debugger that is or will be attached to this process.
///
/// Takes constant time, whatever is registered already. The image is not checked: a debugger that cannot read it says
/// so in its own words.
pub fn register(image: Vec<u8>) -> Registration {
    let entry = Box::into_raw(Box::new(CodeEntry {
        next: AtomicPtr::new(ptr::null_mut()),
        prev: AtomicPtr::new(ptr::null_mut()),
        symfile_addr: image.as_ptr(),
        symfile_size: image.len() as u64,
    }));
    let lock = lock();
    let first = __jit_debug_descriptor.first_entry.load(Ordering::Relaxed);
    // SAFETY: `entry` is a fresh box. `first` is null or in the list, hence alive: `Registration::drop` takes an entry
    // out of the list before it frees it, and both happen under the lock that we hold.
    unsafe {
        (*entry).next.store(first, Ordering::Relaxed);
        if let Some(first) = first.as_ref() {
            first.prev.store(entry, Ordering::Relaxed);
        }
    }
    __jit_debug_descriptor.first_entry.store(entry, Ordering::Relaxed);
    COUNT.fetch_add(1, Ordering::Relaxed);
    announce(JIT_REGISTER, entry, &lock);
    drop(lock);
    Registration { entry: ptr::NonNull::new(entry).expect("a box is not null"), image }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let entry = self.entry.as_ptr();
        let lock = lock();
        // SAFETY: `entry` is in the list since `register` and leaves it only here; its neighbours are in the list too
        // and thus alive, see `register`. The lock is held.
        unsafe {
            let next = (*entry).next.load(Ordering::Relaxed);
            let prev = (*entry).prev.load(Ordering::Relaxed);
            match prev.as_ref() {
                Some(prev) => prev.next.store(next, Ordering::Relaxed),
                None => __jit_debug_descriptor.first_entry.store(next, Ordering::Relaxed),
            }
            if let Some(next) = next.as_ref() {
                next.prev.store(prev, Ordering::Relaxed);
            }
        }
        COUNT.fetch_sub(1, Ordering::Relaxed);
        announce(JIT_UNREGISTER, entry, &lock);
        drop(lock);
        // SAFETY: `entry` came from `Box::into_raw`, has left the list, and the descriptor no longer names it.
        drop(unsafe { Box::from_raw(entry) });
    }
}

/// A thread that panicked between two stores cannot leave the list broken: nothing between them panics.
fn lock() -> MutexGuard<'static, ()> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets an attached debugger look at the change, then takes the pointer back so that none is left dangling.
fn announce(action: u32, entry: *mut CodeEntry, _lock: &MutexGuard<'_, ()>) {
    __jit_debug_descriptor.relevant_entry.store(entry, Ordering::Relaxed);
    __jit_debug_descriptor.action_flag.store(action, Ordering::Relaxed);
    __jit_debug_register_code();
    __jit_debug_descriptor.action_flag.store(JIT_NOACTION, Ordering::Relaxed);
    __jit_debug_descriptor.relevant_entry.store(ptr::null_mut(), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list as a debugger would walk it: (address, size) of each image, and the back links checked.
    fn walk() -> Vec<(usize, u64)> {
        let _lock = lock();
        let mut seen = Vec::new();
        let mut prev = ptr::null_mut();
        let mut entry = __jit_debug_descriptor.first_entry.load(Ordering::Relaxed);
        // SAFETY: entries in the list are alive while the lock is held.
        while let Some(it) = unsafe { entry.as_ref() } {
            assert_eq!(it.prev.load(Ordering::Relaxed), prev, "the back link is wrong");
            seen.push((it.symfile_addr as usize, it.symfile_size));
            prev = entry;
            entry = it.next.load(Ordering::Relaxed);
        }
        seen
    }

    fn listed(registration: &Registration) -> bool {
        walk().contains(&(registration.image().as_ptr() as usize, registration.image().len() as u64))
    }

    #[test]
    fn layouts_are_those_of_the_interface() {
        assert_eq!(size_of::<Descriptor>(), 24);
        assert_eq!(std::mem::offset_of!(Descriptor, action_flag), 4);
        assert_eq!(std::mem::offset_of!(Descriptor, relevant_entry), 8);
        assert_eq!(std::mem::offset_of!(Descriptor, first_entry), 16);
        assert_eq!(size_of::<CodeEntry>(), 32);
        assert_eq!(std::mem::offset_of!(CodeEntry, prev), 8);
        assert_eq!(std::mem::offset_of!(CodeEntry, symfile_addr), 16);
        assert_eq!(std::mem::offset_of!(CodeEntry, symfile_size), 24);
    }

    #[test]
    fn images_leave_the_list_in_any_order() {
        let [a, b, c] = [1, 2, 3].map(|n| register(vec![0; n]));
        assert!(listed(&a) && listed(&b) && listed(&c));
        drop(b);
        assert!(listed(&a) && listed(&c));
        drop(c);
        assert!(listed(&a));
        let address = a.image().as_ptr() as usize;
        drop(a);
        assert!(!walk().contains(&(address, 1)));
    }

    #[test]
    fn threads_can_register_at_once() {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for size in 1..100 {
                        let first = register(vec![7; size]);
                        let second = register(vec![8; size]);
                        assert!(listed(&first));
                        drop(first);
                        assert!(listed(&second));
                    }
                });
            }
        });
    }
}
