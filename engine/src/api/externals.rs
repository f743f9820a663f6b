//! Things that can be imported and exported.

use crate::api::handle::Handle;
use crate::api::limits::{Wanted, grow_table};
use crate::api::{AsContext, AsContextMut, Error, Func, Memory, Result, SharedMemory, Trap, Val};
use crate::runtime::instance::ImportValue;
use crate::runtime::store::{GlobalInstance, StoreOpaque};
use crate::runtime::table::{TableError, TableInstance};
use crate::runtime::vm::ValRaw;
use crate::types::{ExternType, GlobalType, TableType, ValType};
use std::sync::Arc;

/// Something that can be imported and exported.
#[derive(Clone, Debug)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A table.
    Table(Table),
    /// A memory of one store.
    Memory(Memory),
    /// A memory that several stores may use.
    SharedMemory(SharedMemory),
    /// A global.
    Global(Global),
}

/// A named export of an instance.
#[derive(Clone, Debug)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// What it is.
    pub item: Extern,
}

macro_rules! extern_kinds {
    ($($kind:ident $into:ident;)*) => {
        impl Extern {
            $(
                #[doc = concat!("The `", stringify!($kind), "`, if it is one.")]
                #[must_use]
                pub fn $into(self) -> Option<$kind> {
                    match self { Extern::$kind(item) => Some(item), _ => None }
                }
            )*
        }
        $(impl From<$kind> for Extern { fn from(item: $kind) -> Extern { Extern::$kind(item) } })*
    };
}

extern_kinds! {
    Func into_func;
    Table into_table;
    Memory into_memory;
    SharedMemory into_shared_memory;
    Global into_global;
}

impl Extern {
    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        match self {
            Extern::Func(func) => ExternType::Func(func.ty(store)),
            Extern::Table(table) => ExternType::Table(table.ty(store)),
            Extern::Memory(memory) => ExternType::Memory(memory.ty(store)),
            Extern::SharedMemory(memory) => ExternType::Memory(memory.ty()),
            Extern::Global(global) => ExternType::Global(global.ty(store)),
        }
    }

    /// Can an instance of this store import it?
    pub(crate) fn belongs_to(&self, store: &StoreOpaque) -> bool {
        match self {
            Extern::Func(func) => func.raw(store.id()).is_some(),
            Extern::Table(table) => table.0.belongs_to(store),
            Extern::Memory(memory) => memory.handle().belongs_to(store),
            Extern::SharedMemory(_) => true,
            Extern::Global(global) => global.0.belongs_to(store),
        }
    }

    /// What an entity of an instance is to the embedder.
    pub(crate) fn from_raw(store: &StoreOpaque, value: ImportValue) -> Extern {
        let id = store.id();
        match value {
            ImportValue::Function(func_ref) => Extern::Func(Func::from_raw(id, func_ref)),
            ImportValue::Table(table) => Extern::Table(Table(Handle::new(id, table))),
            ImportValue::Memory(memory) => {
                let handle = Memory::from_raw(id, memory);
                match handle.handle().item(store).as_shared() {
                    Some(shared) => Extern::SharedMemory(SharedMemory(Arc::clone(shared))),
                    None => Extern::Memory(handle),
                }
            }
            ImportValue::Global(global) => Extern::Global(Global(Handle::new(id, global))),
        }
    }

    /// What an instance of this store gets; `None` if it is of another store.
    pub(crate) fn to_raw(&self, store: &mut StoreOpaque) -> Option<ImportValue> {
        if !self.belongs_to(store) {
            return None;
        }
        Some(match self {
            Extern::Func(func) => ImportValue::Function(func.raw(store.id())?),
            Extern::Table(table) => ImportValue::Table(table.0.pointer(store)),
            Extern::Memory(memory) => ImportValue::Memory(memory.handle().pointer(store)),
            Extern::SharedMemory(memory) => ImportValue::Memory(store.add_shared_memory(&memory.0)),
            Extern::Global(global) => ImportValue::Global(global.0.pointer(store)),
        })
    }
}

/// A global; a handle that is valid with its store.
///
/// ```
/// use wasmscope::{Engine, Global, GlobalType, Instance, Module, Store, Val, ValType};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (global $count (import "host" "count") (mut i64))
///     (func (export "step") (global.set $count (i64.add (global.get $count) (i64.const 2)))))"#)?;
/// let mut store = Store::new(&engine, ());
/// let count = Global::new(&mut store, GlobalType { content: ValType::I64, mutable: true }, Val::I64(40))?;
/// let instance = Instance::new(&mut store, &module, &[count.into()])?;
/// instance.get_typed_func::<(), ()>(&mut store, "step")?.call(&mut store, ())?;
/// assert_eq!(count.get(&mut store).unwrap_i64(), 42);
/// count.set(&mut store, Val::I64(0))?;
/// assert!(count.set(&mut store, Val::I32(0)).is_err());
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Global(Handle<GlobalInstance>);

impl Global {
    /// A global of the host's.
    ///
    /// # Errors
    ///
    /// If the value is not of the type.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global> {
        let store = &mut store.as_context_mut().0.opaque;
        value.check(store, ty.content)?;
        let raw = store.raw_of(&value)?;
        // SAFETY: the value is of the type, and alive, as are all that are assigned later.
        let global = unsafe { GlobalInstance::new(ty, raw, store.activations.owner(), None) };
        let id = store.id();
        Ok(Global(Handle::new(id, store.add_global(global))))
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        self.0.item(&store.as_context().0.opaque).ty
    }

    /// Its value.
    pub fn get(&self, mut store: impl AsContextMut) -> Val {
        let store = &store.as_context_mut().0.opaque;
        let global = self.0.item(store);
        // SAFETY: a global holds a value of its type.
        unsafe { store.val_of(global.get(), global.ty.content) }
    }

    /// Assigns it.
    ///
    /// # Errors
    ///
    /// If it is not mutable or the value is not of its type.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        let store = &mut store.as_context_mut().0.opaque;
        let ty = self.0.item(store).ty;
        if !ty.mutable {
            return Err(Error::msg("an immutable global cannot be assigned"));
        }
        value.check(store, ty.content)?;
        let raw = store.raw_of(&value)?;
        let doomed = self.0.item(store).set(raw);
        store.let_go(doomed);
        Ok(())
    }
}

/// A table; a handle that is valid with its store.
///
/// ```
/// use wasmscope::{Engine, Func, Instance, Module, Store, Val};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (type $int (func (result i32)))
///     (table (export "table") 2 5 funcref)
///     (func (export "call") (param i32) (result i32) (call_indirect (type $int) (local.get 0))))"#)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let table = instance.get_table(&mut store, "table").unwrap();
/// let seven = Func::wrap(&mut store, || 7);
/// table.set(&mut store, 1, seven.into())?;
/// assert_eq!(instance.get_typed_func::<i32, i32>(&mut store, "call")?.call(&mut store, 1)?, 7);
/// assert_eq!(table.grow(&mut store, 3, Val::FuncRef(None))?, 2);
/// assert!(table.grow(&mut store, 1, Val::FuncRef(None)).is_err());
/// assert!(table.get(&mut store, 4).is_some() && table.get(&mut store, 5).is_none());
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Table(Handle<TableInstance>);

impl Table {
    /// A table of the host's, filled with `init`.
    ///
    /// # Errors
    ///
    /// If the type is absurd, a limit forbids it, or the value is not of the type.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Val) -> Result<Table> {
        let store = store.as_context_mut();
        let (store, limiter) = store.0.with_limiter();
        Wanted { tables: &[ty], ..Wanted::default() }.check(store, limiter)?;
        let word = element_word(store, ty, &init)?;
        // SAFETY: the table has its own definition; the word is of the type, and alive, as are all that are stored later.
        let table = unsafe { TableInstance::new(ty, word, store.activations.owner(), None)? };
        let id = store.id();
        Ok(Table(Handle::new(id, store.add_table(table))))
    }

    /// Its type, with the current size as minimum.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        let table = self.0.item(&store.as_context().0.opaque);
        TableType { minimum: table.len() as u32, ..table.ty() }
    }

    /// An element.
    pub fn get(&self, mut store: impl AsContextMut, index: u64) -> Option<Val> {
        let store = &store.as_context_mut().0.opaque;
        let table = self.0.item(store);
        let raw = ValRaw { v128: u128::from(table.get(index)?) };
        // SAFETY: an element is of the table's type.
        Some(unsafe { store.val_of(raw, ValType::Ref(table.ty().element)) })
    }

    /// Assigns an element.
    ///
    /// # Errors
    ///
    /// If there is no such element or the value is not of the type.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Val) -> Result<()> {
        let store = &mut store.as_context_mut().0.opaque;
        let word = element_word(store, self.0.item(store).ty(), &value)?;
        let doomed = self.0.item_mut(store).set(index, word).ok_or_else(|| Error::new(Trap::TableOutOfBounds))?;
        store.let_go(doomed);
        Ok(())
    }

    /// Number of elements.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.0.item(&store.as_context().0.opaque).len()
    }

    /// Grows by `delta` elements that hold `init`; the old size.
    ///
    /// # Errors
    ///
    /// If the maximum or a limit forbids it, or the value is not of the type.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Val) -> Result<u64> {
        let store = store.as_context_mut();
        let (store, limiter) = store.0.with_limiter();
        let word = element_word(store, self.0.item(store).ty(), &init)?;
        let old = grow_table(self.0.item_mut(store), delta, word, limiter)?;
        old.ok_or_else(|| TableError::Grow { delta }.into())
    }

    /// Assigns `len` elements from `start` on.
    ///
    /// # Errors
    ///
    /// If there are no such elements or the value is not of the type.
    pub fn fill(&self, mut store: impl AsContextMut, start: u64, value: Val, len: u64) -> Result<()> {
        let store = &mut store.as_context_mut().0.opaque;
        let word = element_word(store, self.0.item(store).ty(), &value)?;
        let doomed = self.0.item_mut(store).fill(start, len, word)?;
        store.let_go(doomed);
        Ok(())
    }
}

/// A value as a table holds it, borrowed.
fn element_word(store: &StoreOpaque, ty: TableType, value: &Val) -> Result<u64> {
    value.check(store, ValType::Ref(ty.element))?;
    // SAFETY: a reference is a pointer in the low half of the slot.
    Ok(unsafe { store.raw_of(value)?.f64 })
}
