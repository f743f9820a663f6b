//! What runs compiled code: executable memory, contexts, linear memories and tables, entries and exits, traps.
//!
//! All of it may assume what the API (`crate::api`) checks: handles belong to their store, values are of the right types.

pub mod backtrace;
pub mod builtins;
pub mod code;
pub mod entry;
pub mod externref;
pub mod host_func;
pub mod identity_map;
pub mod instance;
pub mod memory;
pub mod mmap;
pub mod parking;
pub mod signals;
pub mod stack;
pub mod store;
pub mod table;
pub mod type_registry;
pub mod vm;

/// Visits every word of this thread's stack between here and the outermost entry into the guest: whatever a guest frame
/// keeps lies there, callee-saved registers included, which some frame between has saved.
#[inline(never)]
pub fn conservative_stack_scan(mut visit: impl FnMut(usize)) {
    let mut end = 0;
    let mut activation = entry::current();
    // SAFETY: the thread's activations lie in frames of `enter` that are still there.
    while let Some(found) = unsafe { activation.as_ref() } {
        end = found.entry_fp();
        activation = found.previous;
    }
    if end == 0 {
        return;
    }
    // Registers that no frame between has had a reason to save are saved here.
    let mut registers = [0usize; 6];
    // SAFETY: stores five registers into the array.
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
    let mut at = std::ptr::from_ref(&registers) as usize;
    while at < end {
        // SAFETY: between this frame and the entry stub's lies this thread's stack, all of it mapped. Read as volatile:
        // other frames' contents are nothing that the compiler may reason about.
        visit(unsafe { (at as *const usize).read_volatile() });
        at += size_of::<usize>();
    }
}
