//! What the compiler and the runtime both know: declarations, layouts, settings.

pub mod builtins;
mod module;
mod tunables;
pub mod vmoffsets;

pub use module::{
    ConstExpr, ConstOp, DataSegment, ElementItems, ElementSegment, EntityIndex, Export, Import, Module, SegmentMode,
};
pub use tunables::{DebugInfo, OptLevel, PointerFlavour, Tunables};
pub use vmoffsets::{Place, VMOffsets};
