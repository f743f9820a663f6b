//! Turns the DWARF of a wasm module into DWARF for its native code.
