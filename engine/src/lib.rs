//! Compiles and runs WebAssembly so that stock debuggers can debug it.

pub mod environ;
pub mod types;
