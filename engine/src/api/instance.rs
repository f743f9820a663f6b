//! Instances.

use crate::api::handle::Handle;
use crate::api::{
    AsContext, AsContextMut, Error, Export, Extern, Func, Global, LinkError, Memory, Module, Result, SharedMemory,
    StoreContextMut, Table, TypedFunc, WasmParams, WasmResults,
};
use crate::environ::EntityIndex;
use crate::runtime::instance::{ImportValue, InstanceData};
use crate::runtime::store::StoreOpaque;
use crate::runtime::type_registry::{is_ref_subtype, is_subtype};
use crate::runtime::vm::ValRaw;
use crate::types::{ExternType, MemoryType, TableType};
use std::ptr::NonNull;

/// An instance of a module; a handle that is valid with its store.
///
/// ```
/// use wasmscope::{Engine, Func, Instance, Module, Store};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (import "host" "double" (func $double (param i32) (result i32)))
///     (func (export "quadruple") (param i32) (result i32)
///         (call $double (call $double (local.get 0)))))"#)?;
/// let mut store = Store::new(&engine, ());
/// let double = Func::wrap(&mut store, |n: i32| n * 2);
/// let instance = Instance::new(&mut store, &module, &[double.into()])?;
/// let quadruple = instance.get_typed_func::<i32, i32>(&mut store, "quadruple")?;
/// assert_eq!(quadruple.call(&mut store, 5)?, 20);
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Instance(Handle<InstanceData>);

impl Instance {
    /// Instantiates a module with imports in the order of [`Module::imports`] and runs its start function.
    ///
    /// # Errors
    ///
    /// As [`Linker::instantiate`](crate::Linker::instantiate).
    pub fn new(mut store: impl AsContextMut, module: &Module, imports: &[Extern]) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let declared = &module.env().imports;
        if declared.len() != imports.len() {
            return Err(Error::new(LinkError::ImportCount { expected: declared.len(), found: imports.len() }));
        }
        Instance::instantiate(&mut store, module, imports)
    }

    /// Instantiates a module with as many imports as it declares.
    pub(crate) fn instantiate<T>(
        store: &mut StoreContextMut<'_, T>,
        module: &Module,
        imports: &[Extern],
    ) -> Result<Instance> {
        let opaque = &mut store.0.opaque;
        if !crate::Engine::same(opaque.engine(), module.engine()) {
            return Err(Error::msg("the module was compiled by another engine than the store's"));
        }
        let mut values = Vec::with_capacity(imports.len());
        for (number, item) in imports.iter().enumerate() {
            values.push(check_import(opaque, module, number, item)?);
        }
        let (opaque, limiter) = store.0.with_limiter();
        let instance = InstanceData::allocate(opaque, limiter, module, &values)?;
        module.show_to_debuggers()?;
        // SAFETY: just made, of this store, which is borrowed mutably.
        unsafe { instance.clone().as_mut() }.show_to_debuggers()?;
        // SAFETY: as above.
        unsafe { InstanceData::apply_segments(instance)? };
        let handle = Instance(Handle::new(opaque.id(), instance));
        if let Some(start) = module.env().start {
            // SAFETY: an instance of this store.
            let func_ref = unsafe { InstanceData::any_func_ref(instance, opaque, start) };
            let mut values = [ValRaw::ZERO];
            // SAFETY: a start function has neither parameters nor results.
            unsafe { StoreOpaque::call_raw(store.raw(), func_ref, values.as_mut_ptr())? };
        }
        Ok(handle)
    }

    pub(crate) fn from_raw(store: &StoreOpaque, instance: NonNull<InstanceData>) -> Instance {
        Instance(Handle::new(store.id(), instance))
    }

    /// Its module.
    pub fn module(&self, store: impl AsContext) -> Module {
        self.0.item(&store.as_context().0.opaque).module().clone()
    }

    /// An export.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        let store = &mut store.as_context_mut().0.opaque;
        let entity = self.0.item(store).module().find_export(name)?;
        self.entity(store, entity)
    }

    fn entity(&self, store: &mut StoreOpaque, entity: EntityIndex) -> Option<Extern> {
        // SAFETY: `pointer` has checked that it is an instance of this store.
        let value = unsafe { InstanceData::entity(self.0.pointer(store), store, entity) };
        // An export of a valid module always exists.
        Some(Extern::from_raw(store, value.ok()?))
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
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<Params, Results>> {
        let func = self
            .get_func(store.as_context_mut(), name)
            .ok_or_else(|| Error::msg(format!("there is no exported function `{name}`")))?;
        func.typed(store.as_context()).map_err(|error| error.context(format!("the exported function `{name}`")))
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
    pub fn exports(&self, mut store: impl AsContextMut) -> Vec<Export> {
        let store = &mut store.as_context_mut().0.opaque;
        let module = self.0.item(store).module().clone();
        let exports = module.env().exports.iter();
        exports
            .filter_map(|export| Some(Export { name: export.name.clone(), item: self.entity(store, export.entity)? }))
            .collect()
    }
}

/// An import's value, if it fits the declaration.
fn check_import(store: &mut StoreOpaque, module: &Module, number: usize, item: &Extern) -> Result<ImportValue> {
    let import = &module.env().imports[number];
    let name = || format!("{}::{}", import.module, import.name);
    let value = item.to_raw(store).ok_or_else(|| Error::new(LinkError::WrongStore(name())))?;
    let expected = module.entity_type(import.entity);
    // SAFETY: what the value points to is the store's, as just checked, and the store is borrowed.
    let (fits, found) = unsafe {
        match (&value, &expected) {
            (ImportValue::Function(func_ref), _) => {
                let number = func_ref.as_ref().type_id;
                let same =
                    matches!(import.entity, EntityIndex::Function(index) if module.func_type_id(index) == number);
                (same, ExternType::Func(store.engine().types().get(number).unwrap_or_default()))
            }
            (ImportValue::Table(table), expected) => {
                let table = table.as_ref();
                let found = TableType { minimum: table.len() as u32, ..table.ty() };
                let fits = matches!(expected, ExternType::Table(expected)
                if found.table64 == expected.table64
                    && is_ref_subtype(found.element, expected.element)
                    && is_ref_subtype(expected.element, found.element)
                    && limits_fit(
                        (u64::from(found.minimum), found.maximum.map(u64::from)),
                        (u64::from(expected.minimum), expected.maximum.map(u64::from)),
                    ));
                (fits, ExternType::Table(found))
            }
            (ImportValue::Memory(memory), expected) => {
                let memory = memory.as_ref();
                let found = MemoryType { minimum: memory.pages(), ..memory.ty() };
                let fits = matches!(expected, ExternType::Memory(expected)
                    if found.shared == expected.shared
                        && found.memory64 == expected.memory64
                        && found.page_size_log2 == expected.page_size_log2
                        && limits_fit((found.minimum, found.maximum), (expected.minimum, expected.maximum)));
                (fits, ExternType::Memory(found))
            }
            (ImportValue::Global(global), expected) => {
                let found = global.as_ref().ty;
                let fits = matches!(expected, ExternType::Global(expected)
                    if found.mutable == expected.mutable
                        && is_subtype(found.content, expected.content)
                        && (!found.mutable || is_subtype(expected.content, found.content)));
                (fits, ExternType::Global(found))
            }
        }
    };
    if fits {
        return Ok(value);
    }
    Err(Error::new(LinkError::IncompatibleImport {
        module: import.module.clone(),
        name: import.name.clone(),
        expected: describe(&expected),
        found: describe(&found),
    }))
}

/// Do limits (of what there is) satisfy a declaration?
fn limits_fit(found: (u64, Option<u64>), expected: (u64, Option<u64>)) -> bool {
    found.0 >= expected.0
        && match (found.1, expected.1) {
            (_, None) => true,
            (Some(found), Some(expected)) => found <= expected,
            (None, Some(_)) => false,
        }
}

/// A type in words.
fn describe(ty: &ExternType) -> String {
    let limits = |minimum: u64, maximum: Option<u64>, unit: &str| match maximum {
        Some(maximum) => format!("{minimum} to {maximum} {unit}"),
        None => format!("at least {minimum} {unit}"),
    };
    match ty {
        ExternType::Func(ty) => format!("a function of type {ty}"),
        ExternType::Table(ty) => format!(
            "a table of {}{} with {}",
            ty.element,
            if ty.table64 { ", with 64-bit indices," } else { "" },
            limits(u64::from(ty.minimum), ty.maximum.map(u64::from), "elements")
        ),
        ExternType::Memory(ty) => format!(
            "a {}memory{} with {}{}",
            if ty.shared { "shared " } else { "" },
            if ty.memory64 { " of 64-bit addresses" } else { "" },
            limits(ty.minimum, ty.maximum, "pages"),
            if ty.page_size_log2 == 16 { String::new() } else { format!(" of {} bytes", 1u64 << ty.page_size_log2) },
        ),
        ExternType::Global(ty) => {
            format!("a{} global of type {}", if ty.mutable { " mutable" } else { "n immutable" }, ty.content)
        }
    }
}
