//! libgcc, which can be given the memory of its nodes, and several sections as one object.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Room for libgcc's `struct object` (unwind-dw2-fde.h): six words, or seven with an optional field.
#[repr(C, align(64))]
struct Node([usize; 8]);

unsafe extern "C" {
    fn __register_frame_info(begin: *const u8, node: *mut Node);
    fn __register_frame_info_table(sections: *const *const u8, node: *mut Node);
    fn __deregister_frame_info(begin: *const u8) -> *mut Node;
}

/// Nodes that are not in use. They are made in blocks, which are kept.
///
/// `_Unwind_Find_FDE` reads the node of the object that it has found once more when it has unlocked the list. The code that it
/// looked for runs, but its object may be gone by then, replaced by a larger one. So a node stays as it was for a while: a
/// new one in its place would have no encoding yet, and libgcc would abort.
struct Nodes {
    free: Vec<*mut Node>,
    /// The oldest first.
    retired: VecDeque<(Instant, *mut Node)>,
}

// SAFETY: the nodes are owned by the lists and point to nothing.
unsafe impl Send for Nodes {}

static NODES: Mutex<Nodes> = Mutex::new(Nodes { free: Vec::new(), retired: VecDeque::new() });

const BLOCK: usize = 64;
/// A node is used again when so many others have been retired after it ...
const MIN_RETIRED: usize = 1024;
/// ... and so much time has passed.
const MIN_AGE: Duration = Duration::from_secs(10);

impl Nodes {
    fn take(&mut self) -> *mut Node {
        if self.retired.len() > MIN_RETIRED
            && let Some(&(since, node)) = self.retired.front()
            && since.elapsed() >= MIN_AGE
        {
            self.retired.pop_front();
            return node;
        }
        self.free.pop().unwrap_or_else(|| {
            let block: &'static mut [Node] = Vec::leak((0..BLOCK).map(|_| Node([0; 8])).collect());
            self.free.extend(block.iter_mut().rev().map(std::ptr::from_mut));
            self.free.pop().expect("a block has nodes")
        })
    }
}

fn nodes() -> MutexGuard<'static, Nodes> {
    NODES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn node() -> *mut Node {
    nodes().take()
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
        nodes().retired.push_back((Instant::now(), node));
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
