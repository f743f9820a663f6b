//! Compiles and runs WebAssembly so that stock debuggers can debug it.

pub mod cache;
pub mod compile;
pub mod debug_files;
pub mod environ;
pub mod symbolize;
pub mod translate;
pub mod types;
pub mod wasi;

mod api;
mod runtime;

pub use api::*;
pub use environ::{DebugInfo, OptLevel, PointerFlavour, Tunables};
pub use types::{ExternType, FuncType, GlobalType, HeapType, MemoryType, RefType, TableType, TypeIndex, ValType};
