//! Compiled modules.

use crate::api::{Engine, Result};
use crate::types::ExternType;
use std::path::Path;
use std::sync::Arc;

/// A compiled module; a cheap handle.
#[derive(Clone)]
pub struct Module(pub(crate) Arc<ModuleInner>);

pub(crate) struct ModuleInner {
    pub(crate) engine: Engine,
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
        let _ = (engine, bytes);
        todo!()
    }
    /// Compiles a module from the binary format only.
    ///
    /// # Errors
    ///
    /// As [`Module::new`].
    pub fn from_binary(engine: &Engine, wasm: &[u8]) -> Result<Module> {
        let _ = (engine, wasm);
        todo!()
    }
    /// Compiles the module in a file (binary or text).
    ///
    /// # Errors
    ///
    /// As [`Module::new`], or if the file cannot be read.
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module> {
        let _ = (engine, path);
        todo!()
    }
    /// Checks that bytes are a valid binary module.
    ///
    /// # Errors
    ///
    /// If they are not.
    pub fn validate(engine: &Engine, wasm: &[u8]) -> Result<()> {
        let _ = (engine, wasm);
        todo!()
    }
    /// The artifact: an ELF file that [`Module::deserialize`] and object file tools read.
    #[must_use]
    pub fn serialize(&self) -> &[u8] {
        todo!()
    }
    /// Loads an artifact.
    ///
    /// # Errors
    ///
    /// If the artifact is malformed or was made with other tunables or by another version of the engine.
    ///
    /// # Safety
    ///
    /// The artifact's code is executed: it must come from [`Module::serialize`].
    pub unsafe fn deserialize(engine: &Engine, artifact: impl AsRef<[u8]>) -> Result<Module> {
        let _ = (engine, artifact);
        todo!()
    }
    /// The engine that compiled it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }
    /// The module's own name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        todo!()
    }
    /// What it imports, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        std::iter::empty()
    }
    /// What it exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        std::iter::empty()
    }
    /// The type of an export.
    #[must_use]
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        let _ = name;
        todo!()
    }
}
