//! Faults of the translator that the engine works around: each test fails without the workaround.

mod constants;
mod memory_end;
mod stack_maps;
