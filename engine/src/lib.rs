//! Compiles and runs WebAssembly so that stock debuggers can debug it.
//!
//! In: modules in the binary or the text format, host functions, settings. Out: instances whose functions are called from
//! Rust, and artifacts, ELF files with everything that was compiled ([`Module::serialize`]). With
//! [`Config::debug_info`], a debugger that is attached to the process sees the guest's functions, lines and variables.
//!
//! What the embedder provides: a [`Store`] for what instances own, a [`Linker`] or a list with what they import, limits
//! ([`Store::limiter`], [`Store::set_max_wasm_stack`]) and interruption ([`Store::interrupt_handle`]) for guests that are
//! not trusted. The interface is safe but for [`Module::deserialize`], which executes what it is given.
//!
//! What is never done: malformed modules do not panic but give an error with an offset; debug info that cannot be
//! translated does not keep a module from running; a trap or a host function's error ends the call that led to it and
//! nothing else; faults of the host go to whoever handled them before.
//!
//! ```
//! use wasmscope::{Caller, Engine, Linker, Module, Store, Trap, WasmBacktrace};
//!
//! let engine = Engine::default();
//! let module = Module::new(&engine, r#"(module
//!     (import "host" "log" (func $log (param i32)))
//!     (func $divide (export "divide") (param i32 i32) (result i32)
//!         (call $log (local.get 1))
//!         (i32.div_u (local.get 0) (local.get 1))))"#)?;
//!
//! let mut linker = Linker::new(&engine);
//! linker.func_wrap("host", "log", |mut caller: Caller<'_, Vec<i32>>, n: i32| caller.data_mut().push(n))?;
//!
//! let mut store = Store::new(&engine, Vec::new());
//! let instance = linker.instantiate(&mut store, &module)?;
//! let divide = instance.get_typed_func::<(i32, i32), i32>(&mut store, "divide")?;
//! assert_eq!(divide.call(&mut store, (42, 6))?, 7);
//!
//! let error = divide.call(&mut store, (42, 0)).unwrap_err();
//! assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::IntegerDivisionByZero));
//! let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
//! assert_eq!(backtrace.frames()[0].func_name.as_deref(), Some("divide"));
//! assert_eq!(store.data(), &[6, 0]);
//! # Ok::<(), wasmscope::Error>(())
//! ```

pub mod cache;
pub mod compile;
pub mod debug_files;
pub mod environ;
pub mod symbolize;
pub mod translate;
pub mod types;
pub mod wasi;
pub mod wat_source;

mod api;
mod runtime;

pub use api::*;
pub use environ::{DebugInfo, OptLevel, PointerFlavour, Tunables};
pub use types::{ExternType, FuncType, GlobalType, HeapType, MemoryType, RefType, TableType, TypeIndex, ValType};
