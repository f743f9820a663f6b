//! Wasm modules.

mod flow;
mod guest;
mod instructions;
mod module;
mod operator;

pub use flow::{Flow, stack_floors};
pub use guest::scan;
pub use instructions::{Operator, disassemble_function, operators_of};
pub use module::{Function, Module, broken};
pub use operator::{OperatorPrinter, push_printable};
