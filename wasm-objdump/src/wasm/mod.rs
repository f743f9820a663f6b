//! Wasm modules.

mod guest;
mod instructions;
mod module;
mod operator;

pub use guest::scan;
pub use instructions::{Operator, disassemble_function, operator_offsets, operators_of};
pub use module::{Function, Module, broken};
pub use operator::{OperatorPrinter, push_printable};
