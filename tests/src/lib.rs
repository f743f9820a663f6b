//! Whole-system tests of wasmscope.
