//! Why and where the guest stopped.

use crate::runtime::backtrace::RawFrame;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Why the guest trapped; the cause of the [`Error`](crate::Error) that a call returns.
pub use crate::environ::TrapCode as Trap;

impl std::error::Error for Trap {}

/// The guest's call stack at a point in time, innermost frame first.
///
/// Names and source positions are looked up when they are first asked for.
#[derive(Clone)]
pub struct WasmBacktrace(Arc<Captured>);

struct Captured {
    raw: Vec<RawFrame>,
    /// How many outer frames there are that `raw` leaves out.
    omitted: usize,
    frames: OnceLock<Vec<FrameInfo>>,
}

/// One frame of a [`WasmBacktrace`].
#[derive(Clone, Debug)]
pub struct FrameInfo {
    /// The function's index.
    pub func_index: u32,
    /// The function's name from the name section.
    pub func_name: Option<String>,
    /// The module's name.
    pub module_name: Option<String>,
    /// The operator's offset in the wasm file, if known.
    pub module_offset: Option<u32>,
    /// The operator's offset from the start of the function's body, if known.
    pub func_offset: Option<u32>,
    /// The native pc: the trapping instruction or the return address.
    pub native_pc: usize,
    /// Source positions from the guest's DWARF, innermost inlined function first.
    pub symbols: Vec<FrameSymbol>,
}

/// One source position of a frame: a frame has several where functions are inlined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameSymbol {
    /// The function's name as the source language writes it.
    pub name: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<u32>,
    /// The column, counted from 1.
    pub column: Option<u32>,
}

impl WasmBacktrace {
    /// The frames, innermost first.
    #[must_use]
    pub fn frames(&self) -> &[FrameInfo] {
        todo!()
    }
}

impl std::error::Error for WasmBacktrace {}
impl fmt::Debug for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Display for WasmBacktrace {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
