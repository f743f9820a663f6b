//! The embedding interface: compile a module, link it with host functions, run it.

mod config;
mod engine;
mod error;
mod externals;
mod func;
mod handle;
mod instance;
pub(crate) mod limits;
mod linker;
mod memory;
mod module;
mod profile;
mod store;
mod trap;
mod values;

#[cfg(test)]
mod tests;

pub use crate::compile::CompileReport;
pub use crate::runtime::externref::VMExternRef;
pub use crate::runtime::identity_map::{IdentityMapState, MissingReason};
pub use crate::symbolize::FrameSymbol;
pub use config::Config;
pub use engine::Engine;
pub use error::{Context, Error, LinkError, Result};
pub use externals::{Export, Extern, Global, Table};
pub use func::{Caller, Func, IntoFunc, TypedFunc, WasmArg, WasmParams, WasmResults, WasmRet, WasmTy};
pub use instance::Instance;
pub use limits::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};
pub use linker::Linker;
pub use memory::{Memory, MemoryAccessError, SharedMemory};
pub use module::{ExportType, ImportType, Module};
pub(crate) use store::StoreInner;
pub use store::{AsContext, AsContextMut, InterruptHandle, Store, StoreContext, StoreContextMut};
pub use trap::{FrameInfo, Trap, WasmBacktrace};
pub use values::{ExternRef, V128, Val};

/// Lets a trap of any guest end the process by its signal, so that the system writes a core file: gdb then shows the guest's
/// stack and variables as they were. A handler that a debugger or an embedder installed is not asked.
///
/// # Errors
///
/// If the system does not let this process write core files.
pub fn dump_core_on_trap() -> std::io::Result<()> {
    crate::runtime::signals::dump_core_on_trap()
}
