//! What runs compiled code: executable memory, contexts, linear memories and tables, entries and exits, traps.
//!
//! All of it may assume what the API (`crate::api`) checks: handles belong to their store, values are of the right types.

pub mod activations;
pub mod backtrace;
pub mod builtins;
pub mod code;
mod code_memory;
pub mod collect;
pub mod debug_view;
pub mod entry;
pub mod externref;
mod fork;
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
