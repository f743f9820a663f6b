//! Compiles and runs WebAssembly so that stock debuggers can debug it.
