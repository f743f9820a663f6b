//! Instances.

use crate::api::{
    AsContext, AsContextMut, Export, Extern, Func, Global, Memory, Module, Result, SharedMemory, Table, TypedFunc,
    WasmParams, WasmResults,
};

/// An instance of a module; a handle that is valid with its store.
#[derive(Clone, Copy, Debug)]
pub struct Instance(());

impl Instance {
    /// Instantiates a module with imports in the order of [`Module::imports`] and runs its start function.
    ///
    /// # Errors
    ///
    /// As [`Linker::instantiate`](crate::Linker::instantiate).
    pub fn new(store: impl AsContextMut, module: &Module, imports: &[Extern]) -> Result<Instance> {
        let _ = (store, module, imports);
        todo!()
    }
    /// Its module.
    pub fn module(&self, store: impl AsContext) -> Module {
        let _ = store;
        todo!()
    }
    /// An export.
    pub fn get_export(&self, store: impl AsContextMut, name: &str) -> Option<Extern> {
        let _ = (store, name);
        todo!()
    }
    /// An exported function.
    pub fn get_func(&self, store: impl AsContextMut, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }
    /// An exported function of a type that is known at compile time.
    ///
    /// # Errors
    ///
    /// If there is no such function or its type is another.
    pub fn get_typed_func<Params: WasmParams, Results: WasmResults>(
        &self,
        store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<Params, Results>> {
        let _ = (store, name);
        todo!()
    }
    /// An exported memory.
    pub fn get_memory(&self, store: impl AsContextMut, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }
    /// An exported shared memory.
    pub fn get_shared_memory(&self, store: impl AsContextMut, name: &str) -> Option<SharedMemory> {
        self.get_export(store, name)?.into_shared_memory()
    }
    /// An exported table.
    pub fn get_table(&self, store: impl AsContextMut, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }
    /// An exported global.
    pub fn get_global(&self, store: impl AsContextMut, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }
    /// All exports in order.
    pub fn exports(&self, store: impl AsContextMut) -> Vec<Export> {
        let _ = store;
        todo!()
    }
}
