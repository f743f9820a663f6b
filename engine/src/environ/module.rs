//! What a wasm module declares, in plain types: everything that instantiation needs to know.

use crate::types::{FuncType, GlobalType, MemoryType, RefType, TableType};
use std::collections::HashMap;
use std::ops::Range;

/// A module's declarations. Index spaces hold imports first, as in the wasm specification.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// The module's own name, from the name section.
    pub name: Option<String>,
    /// The type section. A `HeapType::Concrete` in it refers to an index of this list.
    pub types: Vec<FuncType>,
    /// How many of `types` belong to each recursion group, in order.
    pub type_groups: Vec<u32>,
    /// The imports in order of declaration.
    pub imports: Vec<Import>,
    /// The exports in order of declaration.
    pub exports: Vec<Export>,
    /// Every function's type, as an index of `types`.
    pub functions: Vec<u32>,
    /// How many of `functions` are imported.
    pub num_imported_functions: u32,
    /// Every table.
    pub tables: Vec<TableType>,
    /// Initial element of each defined table (null when the module says nothing).
    pub table_inits: Vec<ConstExpr>,
    /// How many of `tables` are imported.
    pub num_imported_tables: u32,
    /// Every memory.
    pub memories: Vec<MemoryType>,
    /// How many of `memories` are imported.
    pub num_imported_memories: u32,
    /// Every global.
    pub globals: Vec<GlobalType>,
    /// Initial value of each defined global.
    pub global_inits: Vec<ConstExpr>,
    /// How many of `globals` are imported.
    pub num_imported_globals: u32,
    /// The start function.
    pub start: Option<u32>,
    /// The element segments.
    pub elements: Vec<ElementSegment>,
    /// The data segments.
    pub data: Vec<DataSegment>,
    /// Functions that a reference can be taken of (exported, in an element segment, in `ref.func`, in a global):
    /// for each function its number among the instance's function references, or `None`.
    pub func_refs: Vec<Option<u32>>,
    /// How many function references an instance has.
    pub num_func_refs: u32,
}

impl Module {
    /// The type of the function `index`.
    #[must_use]
    pub fn func_type(&self, index: u32) -> &FuncType {
        &self.types[self.functions[index as usize] as usize]
    }

    /// For each type the first one with the same parameters and results: types of distinct recursion groups may be different
    /// types and yet share their trampolines.
    #[must_use]
    pub fn trampoline_types(&self) -> Vec<u32> {
        let mut first: HashMap<&FuncType, u32> = HashMap::new();
        self.types.iter().enumerate().map(|(index, ty)| *first.entry(ty).or_insert(index as u32)).collect()
    }

    /// The index among the defined functions of function `index`, unless it is imported.
    #[must_use]
    pub fn defined_function(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.num_imported_functions)
    }

    /// The index among the defined tables of table `index`, unless it is imported.
    #[must_use]
    pub fn defined_table(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.num_imported_tables)
    }

    /// The index among the defined memories of memory `index`, unless it is imported.
    #[must_use]
    pub fn defined_memory(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.num_imported_memories)
    }

    /// The index among the defined globals of global `index`, unless it is imported.
    #[must_use]
    pub fn defined_global(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.num_imported_globals)
    }
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module name.
    pub module: String,
    /// The field name.
    pub name: String,
    /// What is imported.
    pub entity: EntityIndex,
}

/// One export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// What is exported.
    pub entity: EntityIndex,
}

/// An item of one of the index spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntityIndex {
    /// A function.
    Function(u32),
    /// A table.
    Table(u32),
    /// A memory.
    Memory(u32),
    /// A global.
    Global(u32),
}

/// A constant expression as a list of operators of a stack machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConstExpr {
    /// The operators, without the closing `end`.
    pub ops: Vec<ConstOp>,
}

/// One operator of a constant expression.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are named after the wasm operators")]
pub enum ConstOp {
    I32Const(i32),
    I64Const(i64),
    /// The bits of the value.
    F32Const(u32),
    /// The bits of the value.
    F64Const(u64),
    V128Const(u128),
    GlobalGet(u32),
    RefNull,
    RefFunc(u32),
    RefI31,
    I32Add,
    I32Sub,
    I32Mul,
    I64Add,
    I64Sub,
    I64Mul,
}

/// When a segment is applied.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentMode {
    /// At instantiation, to this table or memory at this offset.
    Active {
        /// The table or memory.
        index: u32,
        /// Where its first item goes.
        offset: ConstExpr,
    },
    /// When an operator asks for it.
    Passive,
    /// Never: it only declares references.
    Declared,
}

/// An element segment.
#[derive(Clone, Debug, PartialEq)]
pub struct ElementSegment {
    /// When it is applied.
    pub mode: SegmentMode,
    /// The type of its items.
    pub ty: RefType,
    /// Its items.
    pub items: ElementItems,
}

/// The items of an element segment.
#[derive(Clone, Debug, PartialEq)]
pub enum ElementItems {
    /// References to these functions.
    Functions(Vec<u32>),
    /// Values of these expressions.
    Expressions(Vec<ConstExpr>),
}

impl ElementItems {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            ElementItems::Functions(items) => items.len(),
            ElementItems::Expressions(items) => items.len(),
        }
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A data segment.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSegment {
    /// When it is applied.
    pub mode: SegmentMode,
    /// Where its bytes lie in the wasm file.
    pub bytes: Range<usize>,
}
