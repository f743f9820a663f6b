//! Reads and validates a wasm module.

use super::TranslateError;
use crate::environ::{
    ConstExpr, ConstOp, DataSegment, ElementItems, ElementSegment, EntityIndex, Export, Import, Module, SegmentMode,
    Tunables,
};
use crate::types::{FuncType, GlobalType, HeapType, MemoryType, RefType, TableType, TypeIndex, ValType};
use std::collections::BTreeMap;
use std::ops::Range;
use wasmparser::{
    AbstractHeapType, CompositeInnerType, Encoding, FuncToValidate, FuncValidator, FuncValidatorAllocations,
    FunctionBody, Name, Operator, Parser, Payload, TypeRef, ValidPayload, Validator, ValidatorResources, WasmFeatures,
};

/// Everything that is known of a module before its functions are compiled: one context, passed whole.
pub struct ModuleTranslation<'a> {
    /// The whole file.
    pub wasm: &'a [u8],
    /// The settings.
    pub tunables: &'a Tunables,
    /// The declarations.
    pub module: Module,
    /// The function bodies in order.
    pub functions: Vec<FunctionInput<'a>>,
    /// Where the contents of the code section lie in the file. DWARF counts from its start.
    pub code_section: Range<usize>,
    /// The custom sections whose names start with `.debug_`, and the others that say where debug info lies.
    pub debug_sections: Vec<(&'a str, &'a [u8])>,
    /// Where the sections whose names start with `.debug_` lie in the file, headers included, in order.
    debug_ranges: Vec<Range<usize>>,
    /// Names from the name section.
    pub names: Names,
    /// What was odd but harmless, for instance an unreadable name section.
    pub warnings: Vec<String>,
}

/// What is needed of a module when its functions are compiled.
pub(crate) struct Declarations {
    pub(crate) module: Module,
    pub(crate) names: Names,
    /// Where the contents of the code section start in the wasm file.
    pub(crate) code_section_start: u32,
}

/// The magic number and the version.
const HEADER_SIZE: usize = 8;

/// One function body.
pub struct FunctionInput<'a> {
    /// Its index in the index space of functions.
    pub index: u32,
    /// The body.
    pub body: FunctionBody<'a>,
    /// What is needed to validate it; thrown away by the thread that has compiled it.
    pub validator: Option<FuncToValidate<ValidatorResources>>,
}

impl FunctionInput<'_> {
    /// A validator for the body, as long as what it needs is there.
    pub(crate) fn new_validator(
        &self,
        allocations: FuncValidatorAllocations,
    ) -> Option<FuncValidator<&ValidatorResources>> {
        let FuncToValidate { resources, index, ty, features } = self.validator.as_ref()?;
        let validator = FuncToValidate { resources, index: *index, ty: *ty, features: *features };
        Some(validator.into_validator(allocations))
    }
}

/// Names for people, from the name section.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Names of functions by index.
    pub functions: BTreeMap<u32, String>,
    /// Names of locals by function and index.
    pub locals: BTreeMap<u32, BTreeMap<u32, String>>,
    /// Names of globals by index.
    pub globals: BTreeMap<u32, String>,
}

impl Names {
    /// The symbol of function `index`.
    #[must_use]
    pub fn symbol(&self, index: u32) -> String {
        match self.functions.get(&index) {
            Some(name) if !name.is_empty() && !name.contains('\0') => name.clone(),
            _ => format!("wasm_function_{index}"),
        }
    }
}

/// The wasm features that the translator knows.
pub(crate) fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::MEMORY64
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::THREADS
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::CUSTOM_PAGE_SIZES
        // For references to integers, and constant expressions that name the module's own globals; of the rest of the
        // proposal, types are refused in `declare` and operators by the translator.
        | WasmFeatures::GC
}

/// Reads the declarations of a module, validating all of it but the function bodies.
///
/// # Errors
///
/// A module that is malformed, invalid, or uses a feature the translator lacks.
pub fn parse_module(wasm: &[u8]) -> Result<Module, TranslateError> {
    Ok(ModuleTranslation::parse(wasm, &Tunables::default())?.module)
}

impl<'a> ModuleTranslation<'a> {
    /// Reads a module, validating all of it but the function bodies.
    ///
    /// # Errors
    ///
    /// A module that is malformed, invalid, or uses a feature the translator lacks.
    pub fn parse(wasm: &'a [u8], tunables: &'a Tunables) -> Result<ModuleTranslation<'a>, TranslateError> {
        let mut this = ModuleTranslation {
            wasm,
            tunables,
            module: Module::default(),
            functions: Vec::new(),
            code_section: 0..0,
            debug_sections: Vec::new(),
            debug_ranges: Vec::new(),
            names: Names::default(),
            warnings: Vec::new(),
        };
        let mut validator = Validator::new_with_features(features());
        let mut escaping = Vec::new();
        let mut section_start = HEADER_SIZE;
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Payload::Version { encoding: Encoding::Component, range, .. } = &payload {
                return Err(TranslateError::Component { offset: range.start });
            }
            if let ValidPayload::Func(to_validate, body) = validator.payload(&payload)? {
                let index = this.module.num_imported_functions + this.functions.len() as u32;
                this.functions.push(FunctionInput { index, body, validator: Some(to_validate) });
            }
            if let Some((_, range)) = payload.as_section() {
                if matches!(&payload, Payload::CustomSection(section) if section.name().starts_with(".debug_")) {
                    this.debug_ranges.push(section_start..range.end);
                }
                section_start = range.end;
            }
            this.declare(payload, &mut escaping)?;
        }
        this.number_func_refs(&escaping);
        Ok(this)
    }

    /// The module as it is kept in the artifact: all but the debug sections, which are there in translated form.
    pub(crate) fn without_debug_sections(&self) -> Vec<u8> {
        let mut kept = Vec::with_capacity(self.wasm.len() - self.debug_ranges.iter().map(Range::len).sum::<usize>());
        let mut start = 0;
        for range in &self.debug_ranges {
            kept.extend_from_slice(&self.wasm[start..range.start]);
            start = range.end;
        }
        kept.extend_from_slice(&self.wasm[start..]);
        kept
    }

    /// What instances need, in terms of [`without_debug_sections`](Self::without_debug_sections).
    pub(crate) fn into_declarations(mut self) -> Declarations {
        for segment in &mut self.module.data {
            let before = self.debug_ranges.iter().take_while(|range| range.end <= segment.bytes.start);
            let removed: usize = before.map(Range::len).sum();
            segment.bytes = segment.bytes.start - removed..segment.bytes.end - removed;
        }
        Declarations {
            module: self.module,
            names: self.names,
            code_section_start: u32::try_from(self.code_section.start).unwrap_or(u32::MAX),
        }
    }

    fn declare(&mut self, payload: Payload<'a>, escaping: &mut Vec<u32>) -> Result<(), TranslateError> {
        let module = &mut self.module;
        match payload {
            Payload::TypeSection(reader) => {
                for group in reader.into_iter_with_offsets() {
                    let (offset, group) = group?;
                    module.type_groups.push(group.types().len() as u32);
                    for ty in group.types() {
                        if !ty.is_final || ty.supertype_idx.is_some() {
                            return Err(TranslateError::Unsupported {
                                offset,
                                feature: "subtypes (the garbage collection proposal)".into(),
                            });
                        }
                        let CompositeInnerType::Func(func) = &ty.composite_type.inner else {
                            return Err(TranslateError::Unsupported {
                                offset,
                                feature: "struct and array types (the garbage collection proposal)".into(),
                            });
                        };
                        module.types.push(FuncType {
                            params: convert_types(func.params(), offset)?,
                            results: convert_types(func.results(), offset)?,
                        });
                    }
                }
            }
            Payload::ImportSection(reader) => {
                for import in reader.into_iter_with_offsets() {
                    let (offset, import) = import?;
                    let entity = match import.ty {
                        TypeRef::Func(ty) => {
                            module.functions.push(ty);
                            module.num_imported_functions += 1;
                            EntityIndex::Function(module.num_imported_functions - 1)
                        }
                        TypeRef::Table(ty) => {
                            module.tables.push(convert_table(&ty, offset)?);
                            module.num_imported_tables += 1;
                            EntityIndex::Table(module.num_imported_tables - 1)
                        }
                        TypeRef::Memory(ty) => {
                            module.memories.push(convert_memory(&ty));
                            module.num_imported_memories += 1;
                            EntityIndex::Memory(module.num_imported_memories - 1)
                        }
                        TypeRef::Global(ty) => {
                            module.globals.push(convert_global(&ty, offset)?);
                            module.num_imported_globals += 1;
                            EntityIndex::Global(module.num_imported_globals - 1)
                        }
                        TypeRef::Tag(_) => {
                            return Err(TranslateError::Unsupported {
                                offset,
                                feature: "imported tags (the exceptions proposal)".into(),
                            });
                        }
                    };
                    module.imports.push(Import { module: import.module.into(), name: import.name.into(), entity });
                }
            }
            Payload::FunctionSection(reader) => {
                for ty in reader {
                    module.functions.push(ty?);
                }
            }
            Payload::TableSection(reader) => {
                for table in reader.into_iter_with_offsets() {
                    let (offset, table) = table?;
                    module.tables.push(convert_table(&table.ty, offset)?);
                    module.table_inits.push(match table.init {
                        wasmparser::TableInit::RefNull => ConstExpr { ops: vec![ConstOp::RefNull] },
                        wasmparser::TableInit::Expr(expr) => convert_expr(&expr, escaping)?,
                    });
                }
            }
            Payload::MemorySection(reader) => {
                for memory in reader {
                    module.memories.push(convert_memory(&memory?));
                }
            }
            Payload::GlobalSection(reader) => {
                for global in reader.into_iter_with_offsets() {
                    let (offset, global) = global?;
                    module.globals.push(convert_global(&global.ty, offset)?);
                    module.global_inits.push(convert_expr(&global.init_expr, escaping)?);
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader.into_iter_with_offsets() {
                    let (offset, export) = export?;
                    let entity = match export.kind {
                        wasmparser::ExternalKind::Func => {
                            escaping.push(export.index);
                            EntityIndex::Function(export.index)
                        }
                        wasmparser::ExternalKind::Table => EntityIndex::Table(export.index),
                        wasmparser::ExternalKind::Memory => EntityIndex::Memory(export.index),
                        wasmparser::ExternalKind::Global => EntityIndex::Global(export.index),
                        wasmparser::ExternalKind::Tag => {
                            return Err(TranslateError::Unsupported {
                                offset,
                                feature: "exported tags (the exceptions proposal)".into(),
                            });
                        }
                    };
                    module.exports.push(Export { name: export.name.into(), entity });
                }
            }
            Payload::StartSection { func, .. } => {
                escaping.push(func);
                module.start = Some(func);
            }
            Payload::ElementSection(reader) => {
                for segment in reader.into_iter_with_offsets() {
                    let (offset, segment) = segment?;
                    let mode = match segment.kind {
                        wasmparser::ElementKind::Passive => SegmentMode::Passive,
                        wasmparser::ElementKind::Declared => SegmentMode::Declared,
                        wasmparser::ElementKind::Active { table_index, offset_expr } => SegmentMode::Active {
                            index: table_index.unwrap_or(0),
                            offset: convert_expr(&offset_expr, escaping)?,
                        },
                    };
                    let (ty, items) = match segment.items {
                        wasmparser::ElementItems::Functions(functions) => {
                            let functions = functions.into_iter().collect::<Result<Vec<u32>, _>>()?;
                            escaping.extend_from_slice(&functions);
                            (RefType::FUNCREF, ElementItems::Functions(functions))
                        }
                        wasmparser::ElementItems::Expressions(ty, expressions) => {
                            let items = expressions
                                .into_iter()
                                .map(|expr| convert_expr(&expr?, escaping))
                                .collect::<Result<Vec<_>, TranslateError>>()?;
                            (convert_ref(ty, offset)?, ElementItems::Expressions(items))
                        }
                    };
                    module.elements.push(ElementSegment { mode, ty, items });
                }
            }
            Payload::DataSection(reader) => {
                for segment in reader {
                    let segment = segment?;
                    let mode = match segment.kind {
                        wasmparser::DataKind::Passive => SegmentMode::Passive,
                        wasmparser::DataKind::Active { memory_index, offset_expr } => {
                            SegmentMode::Active { index: memory_index, offset: convert_expr(&offset_expr, escaping)? }
                        }
                    };
                    let end = segment.range.end;
                    module.data.push(DataSegment { mode, bytes: end - segment.data.len()..end });
                }
            }
            Payload::CodeSectionStart { range, .. } => self.code_section = range,
            Payload::CustomSection(section) => match section.as_known() {
                wasmparser::KnownCustom::Name(names) => {
                    if let Err(error) = self.read_names(names) {
                        self.warnings.push(format!(
                            "the name section is unreadable at offset {:#x}: {}",
                            error.offset(),
                            error.message()
                        ));
                    }
                }
                _ if is_debug_section(section.name()) => {
                    self.debug_sections.push((section.name(), section.data()));
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn read_names(&mut self, names: wasmparser::NameSectionReader<'a>) -> Result<(), wasmparser::BinaryReaderError> {
        for subsection in names {
            match subsection? {
                Name::Module { name, .. } => self.module.name = Some(name.into()),
                Name::Function(map) => {
                    for naming in map {
                        let naming = naming?;
                        self.names.functions.insert(naming.index, naming.name.into());
                    }
                }
                Name::Local(map) => {
                    for function in map {
                        let function = function?;
                        let locals = self.names.locals.entry(function.index).or_default();
                        for naming in function.names {
                            let naming = naming?;
                            locals.insert(naming.index, naming.name.into());
                        }
                    }
                }
                Name::Global(map) => {
                    for naming in map {
                        let naming = naming?;
                        self.names.globals.insert(naming.index, naming.name.into());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives a number to each function that a reference can be taken of.
    fn number_func_refs(&mut self, escaping: &[u32]) {
        let module = &mut self.module;
        module.func_refs = vec![None; module.functions.len()];
        for &function in escaping {
            let slot = &mut module.func_refs[function as usize];
            if slot.is_none() {
                *slot = Some(module.num_func_refs);
                module.num_func_refs += 1;
            }
        }
    }
}

fn is_debug_section(name: &str) -> bool {
    name.starts_with(".debug_") || matches!(name, "external_debug_info" | "sourceMappingURL" | ".gdb_index")
}

fn convert_types(types: &[wasmparser::ValType], offset: usize) -> Result<Box<[ValType]>, TranslateError> {
    types.iter().map(|ty| convert_type(*ty, offset)).collect()
}

pub(crate) fn convert_type(ty: wasmparser::ValType, offset: usize) -> Result<ValType, TranslateError> {
    Ok(match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(ty) => ValType::Ref(convert_ref(ty, offset)?),
    })
}

fn convert_ref(ty: wasmparser::RefType, offset: usize) -> Result<RefType, TranslateError> {
    let heap = match ty.heap_type() {
        wasmparser::HeapType::Abstract { shared: false, ty: AbstractHeapType::Func } => HeapType::Func,
        wasmparser::HeapType::Abstract { shared: false, ty: AbstractHeapType::NoFunc } => HeapType::NoFunc,
        wasmparser::HeapType::Abstract { shared: false, ty: AbstractHeapType::Extern } => HeapType::Extern,
        wasmparser::HeapType::Abstract { shared: false, ty: AbstractHeapType::NoExtern } => HeapType::NoExtern,
        wasmparser::HeapType::Abstract { shared: false, ty: AbstractHeapType::I31 } => HeapType::I31,
        wasmparser::HeapType::Concrete(index) => match index.as_module_index() {
            Some(index) => HeapType::Concrete(TypeIndex(index)),
            None => {
                return Err(TranslateError::Unsupported {
                    offset,
                    feature: "recursive types (the garbage collection proposal)".into(),
                });
            }
        },
        other => {
            return Err(TranslateError::Unsupported {
                offset,
                feature: format!("references to {other:?} (the garbage collection or exceptions proposal)"),
            });
        }
    };
    Ok(RefType { nullable: ty.is_nullable(), heap })
}

fn convert_table(ty: &wasmparser::TableType, offset: usize) -> Result<TableType, TranslateError> {
    if ty.shared {
        return Err(TranslateError::Unsupported { offset, feature: "shared tables".into() });
    }
    let too_large = |_| {
        let reason = "table size above 2^32 - 1";
        if ty.table64 {
            TranslateError::Unsupported { offset, feature: reason.into() }
        } else {
            TranslateError::Invalid { offset, reason: reason.into() }
        }
    };
    // No table has so many elements, whatever it may have.
    let maximum = ty.maximum.map(|size| if ty.table64 { size.min(u64::from(u32::MAX)) } else { size });
    Ok(TableType {
        element: convert_ref(ty.element_type, offset)?,
        minimum: u32::try_from(ty.initial).map_err(too_large)?,
        maximum: maximum.map(u32::try_from).transpose().map_err(too_large)?,
        table64: ty.table64,
    })
}

fn convert_memory(ty: &wasmparser::MemoryType) -> MemoryType {
    MemoryType {
        minimum: ty.initial,
        maximum: ty.maximum,
        shared: ty.shared,
        memory64: ty.memory64,
        page_size_log2: ty.page_size_log2.unwrap_or(16) as u8,
    }
}

fn convert_global(ty: &wasmparser::GlobalType, offset: usize) -> Result<GlobalType, TranslateError> {
    if ty.shared {
        return Err(TranslateError::Unsupported { offset, feature: "shared globals".into() });
    }
    Ok(GlobalType { content: convert_type(ty.content_type, offset)?, mutable: ty.mutable })
}

fn convert_expr(expr: &wasmparser::ConstExpr<'_>, escaping: &mut Vec<u32>) -> Result<ConstExpr, TranslateError> {
    let mut ops = Vec::new();
    let mut reader = expr.get_operators_reader();
    loop {
        let (op, offset) = reader.read_with_offset()?;
        ops.push(match op {
            Operator::I32Const { value } => ConstOp::I32Const(value),
            Operator::I64Const { value } => ConstOp::I64Const(value),
            Operator::F32Const { value } => ConstOp::F32Const(value.bits()),
            Operator::F64Const { value } => ConstOp::F64Const(value.bits()),
            Operator::V128Const { value } => ConstOp::V128Const(u128::from_le_bytes(*value.bytes())),
            Operator::GlobalGet { global_index } => ConstOp::GlobalGet(global_index),
            Operator::RefNull { .. } => ConstOp::RefNull,
            Operator::RefI31 => ConstOp::RefI31,
            Operator::RefFunc { function_index } => {
                escaping.push(function_index);
                ConstOp::RefFunc(function_index)
            }
            Operator::I32Add => ConstOp::I32Add,
            Operator::I32Sub => ConstOp::I32Sub,
            Operator::I32Mul => ConstOp::I32Mul,
            Operator::I64Add => ConstOp::I64Add,
            Operator::I64Sub => ConstOp::I64Sub,
            Operator::I64Mul => ConstOp::I64Mul,
            Operator::End => return Ok(ConstExpr { ops }),
            other => {
                return Err(TranslateError::Unsupported {
                    offset,
                    feature: format!("{other:?} in a constant expression"),
                });
            }
        });
    }
}
