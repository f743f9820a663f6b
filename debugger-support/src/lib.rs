//! What a debugger or profiler is told at run time.
//!
//! In: a finished ELF image of a module that already lies at its final address (symbols, sections, frame table,
//! DWARF; `.text` as `NOBITS`), or an iterator over the functions of such a module. Out: the image in the list that
//! gdb and lldb read ([`register`]), the files that `perf` reads ([`perf_map`], [`jitdump`]), the Python commands and
//! printers of both debuggers ([`gdb_helpers`], [`lldb_helpers`]), and the command line that starts a debugger with
//! everything set ([`DebugSession`]). A core file is checked before a debugger is started on it ([`CoreFile`]).
//!
//! The caller keeps the code mapped for as long as its [`Registration`] lives, and drops the registration before it
//! unmaps the code: between the two a debugger that stops would read the symbols of code that is gone.
//!
//! The crate never looks into the image, never allocates executable memory and names no code generator. It has no
//! background threads, and nothing runs unless it is called.
//!
//! ```
//! let image = vec![0x7f, b'E', b'L', b'F']; // in earnest: a whole ELF file
//! let registration = debugger_support::register(image);
//! assert_eq!(debugger_support::registered_images(), 1);
//! drop(registration);
//! assert_eq!(debugger_support::registered_images(), 0);
//! ```
//!
//! # The cost of many modules
//!
//! Registering and unregistering take constant time here. A debugger that is attached stops the process once for each
//! and re-resolves its breakpoints; gdb's share grows with the objects it already knows. Who loads hundreds of small
//! modules should put them into one image and register that, and should give sections distinct addresses: gdb 13 walks its
//! list of objects at each comparison of sections that begin at the same one.

mod command;
mod core_file;
mod helpers;
pub mod jitdump;
mod launch_config;
pub mod perf_map;
mod profiler;
mod registration;
mod tracer;

pub use command::{DebugSession, Debugger, MissingDebugger, Target, server_argv};
pub use core_file::{CoreError, CoreFile};
pub use helpers::{gdb_helpers, lldb_helpers};
pub use launch_config::{Editor, launch_config};
pub use profiler::{Profile, Profiler};
pub use registration::{Registration, register, registered_images};
pub use tracer::{Tracer, tracer, with_threads_seen_gone};

/// One jitted function, as profilers want to hear of it.
#[derive(Debug, Clone, Copy)]
pub struct ProfiledFunction<'a> {
    /// The name to show; demangled if the profiler's user is to read it.
    pub name: &'a str,
    /// The address of its first byte in this process.
    pub address: u64,
    /// Its bytes as they lie in memory.
    pub code: &'a [u8],
    /// Its line rows, ascending by address; may be empty.
    pub lines: &'a [ProfiledLine<'a>],
}

/// From this address on, up to the next row's, the code belongs to this source line.
#[derive(Debug, Clone, Copy)]
pub struct ProfiledLine<'a> {
    /// The address of the row's first byte in this process.
    pub address: u64,
    /// The source file's path.
    pub file: &'a str,
    /// The line, counted from 1; 0 says that there is none.
    pub line: u32,
}
