//! Names for imports.

use crate::api::{AsContext, AsContextMut, Caller, Engine, Extern, Func, Instance, IntoFunc, Module, Result, Val};
use crate::types::FuncType;
use std::marker::PhantomData;

/// Names for things to import, and instantiation by those names.
pub struct Linker<T>(PhantomData<T>);

impl<T: 'static> Linker<T> {
    /// An empty linker.
    #[must_use]
    pub fn new(engine: &Engine) -> Linker<T> {
        let _ = engine;
        todo!()
    }
    /// Whether a name may be defined again (it may not by default).
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        let _ = allow;
        todo!()
    }
    /// Defines a name.
    ///
    /// # Errors
    ///
    /// If it is defined already.
    pub fn define(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self> {
        let _ = (store, module, name, item.into());
        todo!()
    }
    /// Defines a host function from a Rust closure, its type from the closure's.
    ///
    /// # Errors
    ///
    /// If the name is defined already.
    pub fn func_wrap<Params, Args>(
        &mut self,
        module: &str,
        name: &str,
        func: impl IntoFunc<T, Params, Args>,
    ) -> Result<&mut Self> {
        let _ = (module, name, func);
        todo!()
    }
    /// Defines a host function of a type that is known at run time.
    ///
    /// # Errors
    ///
    /// If the name is defined already.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        let _ = (module, name, ty, func);
        todo!()
    }
    /// Defines all exports of an instance under a module name.
    ///
    /// # Errors
    ///
    /// If one is defined already.
    pub fn instance(
        &mut self,
        store: impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Self> {
        let _ = (store, module, instance);
        todo!()
    }
    /// Instantiates a module and defines its exports under a module name.
    ///
    /// # Errors
    ///
    /// As [`Linker::instantiate`] and [`Linker::instance`].
    pub fn module(&mut self, store: impl AsContextMut<Data = T>, name: &str, module: &Module) -> Result<&mut Self> {
        let _ = (store, module, name);
        todo!()
    }
    /// Instantiates a module and runs its start function.
    ///
    /// # Errors
    ///
    /// [`LinkError`](crate::LinkError) if an import is missing or of the wrong type; a trap if a segment does not fit
    /// or the start function traps.
    pub fn instantiate(&self, store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance> {
        let _ = (store, module);
        todo!()
    }
    /// What a name stands for.
    pub fn get(&self, store: impl AsContextMut<Data = T>, module: &str, name: &str) -> Option<Extern> {
        let _ = (store, module, name);
        todo!()
    }
    /// The function that stands for a command's entry: the export `_start`, or the default export `""`.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn get_default(&self, store: impl AsContextMut<Data = T>, module: &str) -> Result<Func> {
        let _ = (store, module);
        todo!()
    }
}
impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        todo!()
    }
}
