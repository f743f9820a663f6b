//! The store: everything that instances own.

use crate::api::{Engine, Result};
use std::marker::PhantomData;

/// Owns instances, functions, memories, tables, globals and the embedder's data `T`. Everything in a store lives as
/// long as the store.
pub struct Store<T> {
    inner: Box<StoreInner<T>>,
}

pub(crate) struct StoreInner<T> {
    data: T,
}

/// A shared borrow of a [`Store`].
pub struct StoreContext<'a, T>(pub(crate) &'a StoreInner<T>);

/// A mutable borrow of a [`Store`].
pub struct StoreContextMut<'a, T>(pub(crate) &'a mut StoreInner<T>);

/// What a store can be borrowed from: `&Store`, `&Caller`, [`StoreContext`], ...
pub trait AsContext {
    /// The embedder's data.
    type Data;
    /// Borrows the store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// What a store can be borrowed mutably from: `&mut Store`, `&mut Caller`, [`StoreContextMut`], ...
pub trait AsContextMut: AsContext {
    /// Borrows the store mutably.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

/// Limits of what a store's guests may allocate.
#[derive(Clone, Debug)]
pub struct StoreLimits {
    pub(crate) memory_size: Option<u64>,
    pub(crate) table_elements: Option<u64>,
    pub(crate) instances: usize,
    pub(crate) tables: usize,
    pub(crate) memories: usize,
    pub(crate) trap_on_grow_failure: bool,
}

/// Makes [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits {
            memory_size: None,
            table_elements: None,
            instances: 10_000,
            tables: 10_000,
            memories: 10_000,
            trap_on_grow_failure: false,
        }
    }
}

impl StoreLimitsBuilder {
    /// The defaults.
    #[must_use]
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }
    /// Bytes that one memory may have.
    #[must_use]
    pub fn memory_size(mut self, bytes: u64) -> Self {
        self.0.memory_size = Some(bytes);
        self
    }
    /// Elements that one table may have.
    #[must_use]
    pub fn table_elements(mut self, elements: u64) -> Self {
        self.0.table_elements = Some(elements);
        self
    }
    /// How many instances there may be.
    #[must_use]
    pub fn instances(mut self, count: usize) -> Self {
        self.0.instances = count;
        self
    }
    /// How many tables there may be.
    #[must_use]
    pub fn tables(mut self, count: usize) -> Self {
        self.0.tables = count;
        self
    }
    /// How many memories there may be.
    #[must_use]
    pub fn memories(mut self, count: usize) -> Self {
        self.0.memories = count;
        self
    }
    /// Whether growth beyond a limit ends the guest with an error instead of `-1`.
    #[must_use]
    pub fn trap_on_grow_failure(mut self, trap: bool) -> Self {
        self.0.trap_on_grow_failure = trap;
        self
    }
    /// The limits.
    #[must_use]
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

/// Stops a store's guest from another thread.
#[derive(Clone, Debug)]
pub struct InterruptHandle(PhantomData<()>);

impl InterruptHandle {
    /// The guest, if it runs or as soon as it runs, traps with [`Trap::Interrupt`](crate::Trap::Interrupt). Needs
    /// [`Config::interruptible`](crate::Config::interruptible).
    pub fn interrupt(&self) {
        todo!()
    }
}

impl<T> Store<T> {
    /// An empty store.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        let _ = engine;
        Store { inner: Box::new(StoreInner { data }) }
    }
    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.inner.data
    }
    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.inner.data
    }
    /// Destroys the store, keeps the data.
    pub fn into_data(self) -> T {
        self.inner.data
    }
    /// The engine.
    pub fn engine(&self) -> &Engine {
        todo!()
    }
    /// Sets limits for what is allocated from now on.
    pub fn set_limits(&mut self, limits: StoreLimits) {
        let _ = limits;
        todo!()
    }
    /// A handle that stops this store's guest.
    ///
    /// # Errors
    ///
    /// If the engine's code is not interruptible.
    pub fn interrupt_handle(&self) -> Result<InterruptHandle> {
        todo!()
    }
    /// Drops host values that the guest no longer refers to.
    pub fn gc(&mut self) {
        todo!()
    }
}

impl<T> AsContext for Store<T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(&self.inner)
    }
}
impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(&mut self.inner)
    }
}
impl<T> AsContext for StoreContext<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}
impl<T> AsContext for StoreContextMut<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}
impl<T> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}
impl<C: AsContext> AsContext for &C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}
impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}
impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}
