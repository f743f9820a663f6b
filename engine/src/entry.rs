//! The entry of the process, without a symbol named `main`.
//!
//! Someone who types `break main` in a debugger means the guest's `main`. The executable therefore has none: it is
//! linked without the C library's start files (`-nostartfiles`, see `build.rs`), whose `_start` refers to `main` by
//! name, and brings the `_start` below, which hands [`start`] to the C library instead.
//!
//! What the start files and the standard library's own entry would have done, and who does it here:
//!
//! | duty | done by |
//! | --- | --- |
//! | run `.init_array` (the standard library keeps the arguments there) | [`run_initializers`] |
//! | run `.fini_array`, `atexit` handlers | the dynamic loader and the C library, unchanged |
//! | ignore `SIGPIPE`, so that a closed pipe is an error and not the end | [`start`] |
//! | flush standard output at the end | `std::process::exit` |
//! | keep a panic from crossing into C | [`start`] |
//! | signal stack and handler for a stack overflow | the engine, which has its own |

use std::ffi::{c_char, c_int};
use std::panic;
use std::process;

// The frame is marked as the outermost one twice: rbp is 0 for those who follow frame pointers, and the return
// address is undefined for those who read frame tables. Stack at entry: argc, then argv; rdx is the loader's
// destructor.
std::arch::global_asm!(
    ".pushsection .text._start,\"ax\",@progbits",
    ".globl _start",
    ".type _start,@function",
    "_start:",
    ".cfi_startproc",
    ".cfi_undefined rip",
    "xor ebp, ebp",
    "mov r9, rdx",
    "pop rsi",
    "mov rdx, rsp",
    "and rsp, -16",
    "push rax", // keeps the stack aligned at the call
    "push rsp", // the 7th argument: the end of the stack
    "lea rdi, [rip + {start}]",
    "lea rcx, [rip + {initializers}]",
    "xor r8d, r8d",
    "call qword ptr [rip + __libc_start_main@GOTPCREL]",
    "hlt",
    ".cfi_endproc",
    ".size _start, . - _start",
    ".popsection",
    start = sym start,
    initializers = sym run_initializers,
);

type Initializer = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

unsafe extern "C" {
    // Both are made by the linker.
    static __init_array_start: [Initializer; 0];
    static __init_array_end: [Initializer; 0];
}

/// Runs the executable's `.init_array`.
///
/// Before version 2.34 glibc left this to the start files; since then it does it itself unless it is given a function
/// for it. With one, both behave alike.
///
/// # Safety
///
/// To be called once, by the C library, before [`start`].
unsafe extern "C" fn run_initializers(argc: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    let first: *const Initializer = (&raw const __init_array_start).cast();
    let last: *const Initializer = (&raw const __init_array_end).cast();
    let count = (last as usize - first as usize) / size_of::<Initializer>();
    for i in 0..count {
        // SAFETY: the linker collects pointers to such functions between the two symbols, and nothing else; each is
        // to be called once, here.
        unsafe { (*first.add(i))(argc, argv, envp) }
    }
}

/// Called by the C library in place of `main`.
extern "C" fn start(_argc: c_int, _argv: *const *const c_char) -> c_int {
    // SAFETY: setting a signal to be ignored has no precondition; no other thread exists yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // The panic hook has printed the message.
    let status = panic::catch_unwind(super::run_process).unwrap_or(101);
    process::exit(status)
}
