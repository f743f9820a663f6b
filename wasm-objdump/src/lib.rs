//! Inspects wasm modules and compiled artifacts.
