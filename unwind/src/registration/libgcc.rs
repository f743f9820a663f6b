//! libgcc, which can be given the memory of its nodes, and several sections as one object.

use std::ffi::CStr;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Room for libgcc's `struct object` (unwind-dw2-fde.h): six words, or seven with an optional field.
#[repr(C, align(64))]
struct Node([usize; 8]);

unsafe extern "C" {
    fn __register_frame_info(begin: *const u8, node: *mut Node);
    fn __register_frame_info_table(sections: *const *const u8, node: *mut Node);
    fn __deregister_frame_info(begin: *const u8) -> *mut Node;
}

struct Free(Vec<*mut Node>);

// SAFETY: the nodes are owned by the list and point to nothing.
unsafe impl Send for Free {}

/// Nodes that are not in use. They are made in blocks, which are kept.
static FREE: Mutex<Free> = Mutex::new(Free(Vec::new()));

const BLOCK: usize = 64;

fn node() -> *mut Node {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    free.0.pop().unwrap_or_else(|| {
        let block: &'static mut [Node] = Vec::leak((0..BLOCK).map(|_| Node([0; 8])).collect());
        free.0.extend(block.iter_mut().rev().map(std::ptr::from_mut));
        free.0.pop().expect("a block has nodes")
    })
}

pub(super) unsafe fn __register_frame(begin: *const u8) {
    // SAFETY: the caller vouches for the section; the node is libgcc's until it is given back.
    unsafe { __register_frame_info(begin, node()) }
}

/// Registers the sections of an array, which ends in a null pointer, as one object. The array is the
/// object's name and libgcc's until it is deregistered. The low half of its first pointer is not 0.
pub(super) unsafe fn __register_frame_table(sections: *const *const u8) {
    // SAFETY: the caller vouches for sections and array.
    unsafe { __register_frame_info_table(sections, node()) }
}

/// `begin`: a section, or the array of several.
pub(super) unsafe fn __deregister_frame(begin: *const u8) {
    // SAFETY: the caller has registered it.
    let node = unsafe { __deregister_frame_info(begin) };
    if !node.is_null() {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).0.push(node);
    }
}

/// Whether this is libgcc before version 13, which keeps objects in lists and may be told about a
/// section twice, alone and with others. False if in doubt: later versions refuse what overlaps.
pub(super) fn keeps_lists() -> bool {
    static KEEPS_LISTS: OnceLock<bool> = OnceLock::new();
    *KEEPS_LISTS.get_or_init(|| cfg!(target_arch = "x86_64") && library().is_some_and(|bytes| is_before_13(&bytes)))
}

/// Each version of the library since 12 names itself in its table of symbol versions.
fn is_before_13(library: &[u8]) -> bool {
    memchr::memmem::find(library, b"GCC_3.0\0").is_some() && memchr::memmem::find(library, b"GCC_13.0.0\0").is_none()
}

/// The shared library that the functions above come from, if they come from one.
fn library() -> Option<Vec<u8>> {
    // SAFETY: a structure of pointers, which may be null.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: `found` is written to; the name it is given lives as long as the library.
    let name = unsafe {
        if libc::dladdr(__register_frame_info_table as *const libc::c_void, &raw mut found) == 0 {
            return None;
        }
        CStr::from_ptr(found.dli_fname)
    };
    let name = name.to_str().ok().filter(|name| name.ends_with("/libgcc_s.so.1"))?;
    std::fs::read(name).ok()
}
