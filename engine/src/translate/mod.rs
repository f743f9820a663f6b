//! From wasm bytes to declarations and Cranelift's intermediate representation.

mod barriers;
mod error;
mod func_env;
mod operand_stack;
mod parse;
mod reference_roots;
mod sink_guard;
mod spill;

pub use error::TranslateError;
pub(crate) use func_env::{ANCHOR_BIT, AnchorRange, ENTRY_BIT, FuncEnv, HomeSlots, guest_signature};
pub(crate) use operand_stack::{StackCopies, plan as plan_stack_copies};
pub(crate) use parse::{Declarations, convert_type};
pub use parse::{FunctionInput, ModuleTranslation, Names, parse_module};
