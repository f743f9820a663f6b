//! One newtype for each address space.

/// An offset from the start of the contents of the wasm code section: how DWARF for
/// WebAssembly says "address" of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WasmOffset(pub u32);

/// An offset from the start of the native module's `.text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TextOffset(pub u32);

/// The type of a wasm local or global, as far as its home in memory matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
    /// A reference of any kind; the guest's DWARF has no use for its value.
    Ref,
}

impl ValType {
    /// Bytes that a value of this type takes in memory.
    #[must_use]
    pub fn size(self) -> u8 {
        match self {
            ValType::I32 | ValType::F32 => 4,
            ValType::I64 | ValType::F64 | ValType::Ref => 8,
            ValType::V128 => 16,
        }
    }
}
