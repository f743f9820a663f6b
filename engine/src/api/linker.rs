//! Names for imports.

use crate::api::{
    AsContext, AsContextMut, Caller, Engine, Error, Extern, Func, Instance, IntoFunc, LinkError, Module, Result,
    StoreContextMut, Val,
};
use crate::runtime::host_func::HostFuncDef;
use crate::types::{ExternType, FuncType};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// Names for things to import, and instantiation by those names.
///
/// Host functions of a linker belong to no store: one linker serves many stores. What is [defined](Linker::define) from
/// a store can only be imported in that store.
///
/// ```
/// use wasmscope::{Caller, Engine, Linker, Module, Store};
///
/// let engine = Engine::default();
/// let mut linker = Linker::<Vec<i32>>::new(&engine);
/// linker.func_wrap("host", "push", |mut caller: Caller<'_, Vec<i32>>, n: i32| caller.data_mut().push(n))?;
/// let module = Module::new(&engine, r#"(module
///     (import "host" "push" (func $push (param i32)))
///     (func (export "run") (call $push (i32.const 1)) (call $push (i32.const 2))))"#)?;
/// let mut store = Store::new(&engine, Vec::new());
/// let instance = linker.instantiate(&mut store, &module)?;
/// instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())?;
/// assert_eq!(store.data(), &[1, 2]);
/// # Ok::<(), wasmscope::Error>(())
/// ```
pub struct Linker<T> {
    engine: Engine,
    allow_shadowing: bool,
    names: HashMap<String, HashMap<String, Definition>>,
    data: PhantomData<fn(T)>,
}

#[derive(Clone)]
enum Definition {
    HostFunc(Arc<HostFuncDef>),
    Item(Extern),
}

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Linker<T> {
        Linker {
            engine: self.engine.clone(),
            allow_shadowing: self.allow_shadowing,
            names: self.names.clone(),
            data: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.names.iter().flat_map(|(module, names)| names.keys().map(move |name| (module, name)));
        f.debug_set().entries(names).finish()
    }
}

impl<T: 'static> Linker<T> {
    /// An empty linker.
    #[must_use]
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker { engine: engine.clone(), allow_shadowing: false, names: HashMap::new(), data: PhantomData }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a name may be defined again (it may not by default).
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.allow_shadowing = allow;
        self
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> Result<&mut Self> {
        let names = match self.names.get_mut(module) {
            Some(names) => names,
            None => self.names.entry(module.to_owned()).or_default(),
        };
        if !self.allow_shadowing && names.contains_key(name) {
            return Err(Error::new(LinkError::DefinedTwice { module: module.to_owned(), name: name.to_owned() }));
        }
        names.insert(name.to_owned(), definition);
        Ok(self)
    }

    /// Defines a name.
    ///
    /// # Errors
    ///
    /// If it is defined already, or the item is not the store's.
    pub fn define(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self> {
        let item = item.into();
        if !item.belongs_to(&store.as_context().0.opaque) {
            return Err(Error::new(LinkError::WrongStore(format!("{module}::{name}"))));
        }
        self.insert(module, name, Definition::Item(item))
    }

    /// Defines a host function from a Rust closure, its type from the closure's; see [`Func::wrap`].
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
        let definition = Definition::HostFunc(Arc::new(func.into_host_func(&self.engine)));
        self.insert(module, name, definition)
    }

    /// Defines a host function of a type that is known at run time; see [`Func::new`].
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
        let definition = Definition::HostFunc(Arc::new(super::func::dynamic_host_func(&self.engine, ty, func)));
        self.insert(module, name, definition)
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
        for export in instance.exports(store) {
            self.insert(module, &export.name, Definition::Item(export.item))?;
        }
        Ok(self)
    }

    /// Instantiates a module and defines its exports under a module name.
    ///
    /// # Errors
    ///
    /// As [`Linker::instantiate`] and [`Linker::instance`].
    pub fn module(&mut self, mut store: impl AsContextMut<Data = T>, name: &str, module: &Module) -> Result<&mut Self> {
        let instance = self.instantiate(store.as_context_mut(), module)?;
        self.instance(store, name, instance)
    }

    /// Gives another name to what a name stands for.
    ///
    /// # Errors
    ///
    /// If the old name is not defined or the new one is.
    pub fn alias(&mut self, module: &str, name: &str, as_module: &str, as_name: &str) -> Result<&mut Self> {
        let found = self.names.get(module).and_then(|names| names.get(name)).cloned();
        let definition = found
            .ok_or_else(|| Error::new(LinkError::UnknownImport { module: module.to_owned(), name: name.to_owned() }))?;
        self.insert(as_module, as_name, definition)
    }

    /// Defines every import of a module that is a function and not defined yet as one that fails, with an error that
    /// names it, when it is called.
    ///
    /// # Errors
    ///
    /// Never for a function; imports of other kinds are left undefined.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<&mut Self> {
        for import in module.imports() {
            let known = self.names.get(import.module).is_some_and(|names| names.contains_key(import.name));
            if let (ExternType::Func(ty), false) = (import.ty, known) {
                let error = LinkError::UnknownImport { module: import.module.into(), name: import.name.into() };
                self.func_new(import.module, import.name, ty, move |_, _, _| Err(Error::new(error.clone())))?;
            }
        }
        Ok(self)
    }

    /// Instantiates a module and runs its start function.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if an import is missing or of the wrong type; a trap if a segment does not fit or the start function
    /// traps; an error if a limit of the store forbids the instance.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let mut imports = Vec::with_capacity(module.env().imports.len());
        for import in &module.env().imports {
            let item = self.get_in(&mut store, &import.module, &import.name).ok_or_else(|| {
                Error::new(LinkError::UnknownImport { module: import.module.clone(), name: import.name.clone() })
            })?;
            imports.push(item);
        }
        Instance::instantiate(&mut store, module, &imports)
    }

    fn get_in(&self, store: &mut StoreContextMut<'_, T>, module: &str, name: &str) -> Option<Extern> {
        Some(match self.names.get(module)?.get(name)? {
            Definition::HostFunc(def) => Extern::Func(store.0.opaque.add_host_func(def, true)),
            Definition::Item(item) => item.clone(),
        })
    }

    /// What a name stands for.
    pub fn get(&self, mut store: impl AsContextMut<Data = T>, module: &str, name: &str) -> Option<Extern> {
        self.get_in(&mut store.as_context_mut(), module, name)
    }

    /// The function to run of what is defined under a module name: the one named `_start`, or the one without a name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn get_default(&self, mut store: impl AsContextMut<Data = T>, module: &str) -> Result<Func> {
        let mut store = store.as_context_mut();
        ["_start", ""]
            .into_iter()
            .find_map(|name| self.get_in(&mut store, module, name)?.into_func())
            .ok_or_else(|| Error::msg(format!("`{module}` has no function `_start`")))
    }
}
