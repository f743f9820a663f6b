//! Tells the process's own unwinder about a table, so that it walks through compiled frames: Rust
//! panics and C++ exceptions raised by host functions, backtraces, sanitizers.
//!
//! The compiled functions have no personality and no landing pads. A panic or exception that a host
//! function lets out (from a function of the `C-unwind` kind) passes through them to whatever host
//! frame catches it; registers and stack pointer are right there. One that nobody catches ends the
//! process as usual.
//!
//! Registering is one call a module and takes the same time for each. libgcc before version 13 keeps
//! what it was told in lists, and looks through them to drop a module and for each frame of a walk.
//! Who loads many modules puts them into a [`Region`], where neighbours are registered together and
//! the lists stay short (figures: docs/unwind.md). Later versions keep a tree.
#![allow(unsafe_code, reason = "the interface is the C runtime's")]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod libgcc;
mod region;

pub use region::{Region, RegionStatistics};

use std::fmt;
use std::marker::PhantomData;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
unsafe extern "C" {
    fn __register_frame(begin: *const u8);
    fn __deregister_frame(begin: *const u8);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use libgcc::{__deregister_frame, __register_frame};

/// A table that the process's unwinder knows, until this is dropped.
pub struct Registration<'a> {
    begin: *const u8,
    section: PhantomData<&'a [u8]>,
}

impl fmt::Debug for Registration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({:p})", self.begin)
    }
}

// SAFETY: the unwinder takes a lock for both calls; they may come from any thread.
unsafe impl Send for Registration<'_> {}
// SAFETY: a shared reference gives access to nothing.
unsafe impl Sync for Registration<'_> {}

impl<'a> Registration<'a> {
    /// Registers an `.eh_frame` section that lies where it was written for. One call a module:
    /// libgcc takes the section as a whole and sorts it when it is first needed.
    ///
    /// An empty table is accepted, and not registered.
    ///
    /// # Safety
    ///
    /// The section is one that this crate wrote, for the address it has in memory and for the
    /// address of the text it describes. The text stays what it is until the registration is
    /// dropped.
    pub unsafe fn new(eh_frame: &'a [u8]) -> Registration<'a> {
        let begin = match eh_frame.first_chunk() {
            Some([0, 0, 0, 0]) | None => std::ptr::null(),
            Some(_) => eh_frame.as_ptr(),
        };
        each_registered(begin, |entry| {
            // SAFETY: the caller vouches for the section; it ends in a zero length, where the
            // unwinder stops.
            unsafe { __register_frame(entry) }
        });
        Registration { begin, section: PhantomData }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        each_registered(self.begin, |entry| {
            // SAFETY: registered by `new`, once, and still there: the section is borrowed.
            unsafe { __deregister_frame(entry) }
        });
    }
}

/// libgcc is given a section, to be walked until its zero terminator.
#[cfg(not(target_vendor = "apple"))]
fn each_registered(begin: *const u8, mut call: impl FnMut(*const u8)) {
    if !begin.is_null() {
        call(begin);
    }
}

/// Apple's unwinder is given each FDE.
#[cfg(target_vendor = "apple")]
fn each_registered(begin: *const u8, mut call: impl FnMut(*const u8)) {
    let mut at = begin;
    while !at.is_null() {
        // SAFETY: `at` is the start of an entry or of the terminator of a section that the caller of
        // `Registration::new` vouched for.
        let (length, id) = unsafe {
            let length = at.cast::<u32>().read_unaligned();
            if length == 0 {
                return;
            }
            (length, at.add(4).cast::<u32>().read_unaligned())
        };
        if id != 0 {
            call(at);
        }
        // SAFETY: the length leads to the next entry.
        at = unsafe { at.add(4 + length as usize) };
    }
}
