//! Compiled modules.

use crate::api::{Context, Engine, Error, Result, profile};
use crate::compile::{Compilation, CompileReport};
use crate::environ::{self, DataSegment, DebugInfo, EntityIndex, VMOffsets};
use crate::runtime::code::LoadedCode;
use crate::runtime::debug_view::DebugView;
use crate::runtime::type_registry::{canonical_ref, canonical_val};
use crate::symbolize::Symbolizer;
use crate::translate::{Declarations, ModuleTranslation, Names};
use crate::types::{ExternType, FuncType, GlobalType, MemoryType, TableType};
use std::path::Path;
use std::sync::Arc;

/// A compiled module; a cheap handle: clones are the same module.
///
/// ```
/// use wasmscope::{Engine, Module};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module (func (export "f") (param i32)))"#)?;
/// let exports: Vec<String> = module.exports().map(|export| export.name.to_owned()).collect();
/// assert_eq!(exports, ["f"]);
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone)]
pub struct Module(Arc<ModuleInner>);

struct ModuleInner {
    debug_view: Arc<DebugView>,
    engine: Engine,
    env: environ::Module,
    offsets: VMOffsets,
    code: Arc<LoadedCode>,
    /// The engine's number for each type of the module.
    type_ids: Box<[u32]>,
    /// The module's types in terms of those numbers.
    types: Box<[FuncType]>,
    names: Names,
    /// Where the contents of the code section start in the wasm file.
    code_section_start: u32,
    symbolizer: Symbolizer,
    report: Option<CompileReport>,
}

/// What a module imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportType<'m> {
    /// The module name.
    pub module: &'m str,
    /// The field name.
    pub name: &'m str,
    /// Its type.
    pub ty: ExternType,
}

/// What a module exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportType<'m> {
    /// Its name.
    pub name: &'m str,
    /// Its type.
    pub ty: ExternType,
}

impl Module {
    /// Compiles a module from the binary or the text format.
    ///
    /// # Errors
    ///
    /// If the module is malformed, invalid, or uses what the engine does not support.
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Module> {
        let wasm = wat::parse_bytes(bytes.as_ref())?;
        Module::from_binary(engine, &wasm)
    }

    /// Compiles a module from the binary format only.
    ///
    /// # Errors
    ///
    /// As [`Module::new`].
    pub fn from_binary(engine: &Engine, wasm: &[u8]) -> Result<Module> {
        Module::from_compilation(engine, Compilation::of(wasm, engine.tunables())?, wasm)
    }

    /// Loads what was compiled from `wasm`, whose debug info gives backtraces their source positions.
    ///
    /// # Errors
    ///
    /// If it was compiled with settings that this engine does not have.
    pub fn from_compilation(engine: &Engine, compilation: Compilation, wasm: &[u8]) -> Result<Module> {
        let Compilation { artifact, report, declarations } = compilation;
        Module::load(engine, artifact, Some(wasm), Some(report), Some(declarations))
    }

    /// Compiles the module in a file (binary or text).
    ///
    /// # Errors
    ///
    /// As [`Module::new`], or if the file cannot be read.
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Module::new(engine, bytes).with_context(|| format!("cannot compile `{}`", path.display()))
    }

    /// Checks that bytes are a valid module in the binary format: whatever passes can be compiled, but for limits of the
    /// code generator.
    ///
    /// # Errors
    ///
    /// If they are not, or the module uses what the engine does not support.
    pub fn validate(engine: &Engine, wasm: &[u8]) -> Result<()> {
        let translation = ModuleTranslation::parse(wasm, engine.tunables())?;
        for function in translation.functions {
            if let Some(validator) = function.validator {
                validator.into_validator(Default::default()).validate(&function.body)?;
            }
        }
        Ok(())
    }

    /// The artifact: an ELF file that [`Module::deserialize`] and object file tools read.
    #[must_use]
    pub fn serialize(&self) -> &[u8] {
        self.0.code.bytes()
    }

    /// Loads an artifact. Backtraces have no source positions; the debugger has them all the same.
    ///
    /// ```
    /// use wasmscope::{Engine, Module};
    ///
    /// let engine = Engine::default();
    /// let artifact = Module::new(&engine, "(module)")?.serialize().to_vec();
    /// // SAFETY: it comes from `serialize`.
    /// let module = unsafe { Module::deserialize(&engine, artifact)? };
    /// # Ok::<(), wasmscope::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the artifact is malformed or was made with settings that this engine does not have.
    ///
    /// # Safety
    ///
    /// The artifact's code is executed: it must come from [`Module::serialize`] and be unchanged.
    pub unsafe fn deserialize(engine: &Engine, artifact: impl Into<Vec<u8>>) -> Result<Module> {
        Module::load(engine, artifact.into(), None, None, None)
    }

    /// Loads an artifact that was compiled from `wasm`, whose debug info then gives backtraces their source positions.
    ///
    /// # Errors
    ///
    /// As [`Module::deserialize`].
    ///
    /// # Safety
    ///
    /// As [`Module::deserialize`].
    pub unsafe fn deserialize_with_source(
        engine: &Engine,
        artifact: impl Into<Vec<u8>>,
        wasm: &[u8],
    ) -> Result<Module> {
        Module::load(engine, artifact.into(), Some(wasm), None, None)
    }

    fn load(
        engine: &Engine,
        artifact: Vec<u8>,
        wasm: Option<&[u8]>,
        report: Option<CompileReport>,
        declarations: Option<Declarations>,
    ) -> Result<Module> {
        let code = LoadedCode::load(artifact)?;
        check_settings(engine, code.artifact().meta())?;
        let tunables = engine.tunables();
        let Declarations { module: env, names, code_section_start } = match declarations {
            Some(declarations) => declarations,
            None => ModuleTranslation::parse(code.artifact().module(), tunables)?.into_declarations(),
        };
        let (type_ids, types) = engine
            .types()
            .register_module(&env.types, &env.type_groups)
            .map_err(|index| Error::msg(format!("type {index} refers to a later recursion group")))?;
        let offsets = VMOffsets::new(&env);
        let debug_view = Arc::new(DebugView::new(&code, (&env, &names), &offsets, tunables.debug_info));
        if tunables.debug_info != DebugInfo::None {
            engine.debug_views().add(&debug_view);
        }
        let symbolizer = Symbolizer::new(wasm.unwrap_or_default());
        engine
            .with_profiler(|profiler| profile::describe(profiler, &code, &symbolizer))
            .context("the profiler cannot be told of the module")?;
        Ok(Module(Arc::new(ModuleInner {
            debug_view,
            engine: engine.clone(),
            env,
            offsets,
            code,
            type_ids,
            types,
            names,
            code_section_start,
            symbolizer,
            report,
        })))
    }

    /// What the compiler had to say about the module's debug info; `None` if it was loaded from an artifact.
    #[must_use]
    pub fn compile_report(&self) -> Option<&CompileReport> {
        self.0.report.as_ref()
    }

    /// The engine that compiled it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The module's own name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.env.name.as_deref()
    }

    /// What it imports, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        self.0.env.imports.iter().map(|import| ImportType {
            module: &import.module,
            name: &import.name,
            ty: self.entity_type(import.entity),
        })
    }

    /// What it exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        let exports = self.0.env.exports.iter();
        exports.map(|export| ExportType { name: &export.name, ty: self.entity_type(export.entity) })
    }

    /// The type of an export.
    #[must_use]
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        self.find_export(name).map(|entity| self.entity_type(entity))
    }

    /// Are the two handles of the same module?
    #[must_use]
    pub fn same(a: &Module, b: &Module) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }

    pub(crate) fn find_export(&self, name: &str) -> Option<EntityIndex> {
        self.0.env.exports.iter().find(|export| export.name == name).map(|export| export.entity)
    }

    pub(crate) fn entity_type(&self, entity: EntityIndex) -> ExternType {
        match entity {
            EntityIndex::Function(index) => ExternType::Func(self.func_type(index).clone()),
            EntityIndex::Table(index) => ExternType::Table(self.table_type(index)),
            EntityIndex::Memory(index) => ExternType::Memory(self.memory_type(index)),
            EntityIndex::Global(index) => ExternType::Global(self.global_type(index)),
        }
    }

    pub(crate) fn env(&self) -> &environ::Module {
        &self.0.env
    }

    pub(crate) fn offsets(&self) -> &VMOffsets {
        &self.0.offsets
    }

    pub(crate) fn code(&self) -> &Arc<LoadedCode> {
        &self.0.code
    }

    pub(crate) fn type_ids(&self) -> &[u32] {
        &self.0.type_ids
    }

    /// The type of a function in terms of the engine's numbers.
    pub(crate) fn func_type(&self, index: u32) -> &FuncType {
        &self.0.types[self.0.env.functions[index as usize] as usize]
    }

    /// The engine's number of a function's type.
    pub(crate) fn func_type_id(&self, index: u32) -> u32 {
        self.0.type_ids[self.0.env.functions[index as usize] as usize]
    }

    /// The type of a table in terms of the engine's numbers.
    pub(crate) fn table_type(&self, index: u32) -> TableType {
        let ty = self.0.env.tables[index as usize];
        TableType { element: canonical_ref(ty.element, &self.0.type_ids).unwrap_or(ty.element), ..ty }
    }

    pub(crate) fn memory_type(&self, index: u32) -> MemoryType {
        self.0.env.memories[index as usize]
    }

    /// The type of a global in terms of the engine's numbers.
    pub(crate) fn global_type(&self, index: u32) -> GlobalType {
        let ty = self.0.env.globals[index as usize];
        GlobalType { content: canonical_val(ty.content, &self.0.type_ids).unwrap_or(ty.content), ..ty }
    }

    /// The bytes of a data segment.
    pub(crate) fn data(&self, segment: &DataSegment) -> &[u8] {
        self.0.code.artifact().module().get(segment.bytes.clone()).unwrap_or_default()
    }

    pub(crate) fn func_name(&self, index: u32) -> Option<&str> {
        self.0.names.functions.get(&index).map(String::as_str)
    }

    pub(crate) fn symbolizer(&self) -> &Symbolizer {
        &self.0.symbolizer
    }

    pub(crate) fn code_section_start(&self) -> u32 {
        self.0.code_section_start
    }

    /// What debuggers see of it.
    pub(crate) fn debug_view(&self) -> &DebugView {
        &self.0.debug_view
    }

    /// Lets debuggers see it, if it is to be debugged; before any of its code runs.
    pub(crate) fn show_to_debuggers(&self) -> Result<()> {
        if self.0.engine.tunables().debug_info == DebugInfo::None {
            return Ok(());
        }
        let shown = self.0.engine.debug_views().show(&self.0.debug_view);
        shown.context("the module cannot be shown to debuggers")
    }
}

/// Debuggers must not look at code that is gone.
impl Drop for ModuleInner {
    fn drop(&mut self) {
        self.engine.debug_views().remove(&self.debug_view);
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// Refuses an artifact whose code relies on what this engine does not do.
fn check_settings(engine: &Engine, meta: &[u8]) -> Result<()> {
    let tunables = engine.tunables();
    let meta = String::from_utf8_lossy(meta);
    let found = |key: &str| meta.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    for (key, wanted) in [
        ("engine", env!("CARGO_PKG_VERSION").to_owned()),
        ("target", tunables.target.to_string()),
        ("reservation", tunables.memory_reservation.to_string()),
        ("guard", tunables.memory_guard_size.to_string()),
        ("interruptible", tunables.interruptible.to_string()),
        ("collect-always", tunables.collect_always.to_string()),
    ] {
        let found = found(key).unwrap_or("unknown");
        if found != wanted {
            let text =
                format!("the artifact was compiled with other settings: {key} is {found}, this engine has {wanted}");
            return Err(Error::msg(text));
        }
    }
    Ok(())
}
