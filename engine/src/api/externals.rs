//! Things that can be imported and exported.

use crate::api::{AsContext, AsContextMut, Func, Memory, Result, SharedMemory, Val};
use crate::types::{ExternType, GlobalType, TableType};

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
        let _ = store;
        todo!()
    }
}

/// A global; a handle that is valid with its store.
#[derive(Clone, Copy, Debug)]
pub struct Global(());

impl Global {
    /// A global of the host's.
    ///
    /// # Errors
    ///
    /// If the value is not of the type.
    pub fn new(store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global> {
        let _ = (store, ty, value);
        todo!()
    }
    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        let _ = store;
        todo!()
    }
    /// Its value.
    pub fn get(&self, store: impl AsContextMut) -> Val {
        let _ = store;
        todo!()
    }
    /// Assigns it.
    ///
    /// # Errors
    ///
    /// If it is not mutable or the value is not of its type.
    pub fn set(&self, store: impl AsContextMut, value: Val) -> Result<()> {
        let _ = (store, value);
        todo!()
    }
}

/// A table; a handle that is valid with its store.
#[derive(Clone, Copy, Debug)]
pub struct Table(());

impl Table {
    /// A table of the host's, filled with `init`.
    ///
    /// # Errors
    ///
    /// If the type is absurd, a limit forbids it, or the value is not of the type.
    pub fn new(store: impl AsContextMut, ty: TableType, init: Val) -> Result<Table> {
        let _ = (store, ty, init);
        todo!()
    }
    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        let _ = store;
        todo!()
    }
    /// An element.
    pub fn get(&self, store: impl AsContextMut, index: u64) -> Option<Val> {
        let _ = (store, index);
        todo!()
    }
    /// Assigns an element.
    ///
    /// # Errors
    ///
    /// If there is no such element or the value is not of the type.
    pub fn set(&self, store: impl AsContextMut, index: u64, value: Val) -> Result<()> {
        let _ = (store, index, value);
        todo!()
    }
    /// Number of elements.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let _ = store;
        todo!()
    }
    /// Grows by `delta` elements that hold `init`; the old size.
    ///
    /// # Errors
    ///
    /// If the maximum or a limit forbids it, or the value is not of the type.
    pub fn grow(&self, store: impl AsContextMut, delta: u64, init: Val) -> Result<u64> {
        let _ = (store, delta, init);
        todo!()
    }
}
