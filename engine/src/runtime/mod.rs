//! What runs compiled code: memory, stacks, traps.

pub mod backtrace;
