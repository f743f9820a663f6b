//! From wasm bytes to declarations and Cranelift's intermediate representation.

mod barriers;
mod bits;
mod body_scan;
mod changing;
mod error;
mod func_env;
mod heights;
mod home_stores;
mod native_order;
mod operand_stack;
mod parse;
mod reaching;
mod reference_roots;
mod result_place;
mod sink_guard;
mod spill;

pub(crate) use body_scan::{
    BodyScan, Callee, Code, Effect, LoopAtEntry, Makes, behind_silent, ends_of_blocks, operator_behind,
};
pub(crate) use changing::{Assigning, ChangingPlace, ChangingVariable, PlaceValue, ValueKind, changing};
pub use error::TranslateError;
pub(crate) use func_env::{
    ANCHOR_BIT, AnchorRange, DebugPlan, ENTRY_BIT, FuncEnv, HOME_BIT, HomeSlots, NOT_SHARED, OPENING_BITS, RETURN_BITS,
    SOURCE_FLAGS, guest_signature,
};
pub(crate) use home_stores::{NamedRange, needed_stores};
pub(crate) use native_order::{Exit, NativeBlock, native_order};
pub(crate) use operand_stack::{Followed, StackSpan, plan as plan_stack_copies, spans as operand_stack_spans};
pub(crate) use parse::{Declarations, convert_type};
pub use parse::{FunctionInput, ModuleTranslation, Names, parse_module};
pub(crate) use reaching::Reaching;
pub(crate) use result_place::takes_result_place;
