//! What a store's guests may allocate.

use crate::api::{Error, Result};
use crate::runtime::memory::{MemoryError, MemoryInstance};
use crate::runtime::store::StoreOpaque;
use crate::runtime::table::{TableError, TableInstance};
use crate::types::{MemoryType, TableType};

/// How many instances, memories or tables a store may have unless a limiter says otherwise.
const DEFAULT_COUNT: usize = 10_000;

/// Decides what a store's guests may allocate; set with [`Store::limiter`](crate::Store::limiter).
///
/// It is asked before anything is allocated: when a memory or table is made (`current` is then 0) and when one grows,
/// through an operator of the guest as through the embedder.
///
/// ```
/// use wasmscope::{Engine, Instance, Module, ResourceLimiter, Result, Store};
///
/// /// Lets all memories of a store have so many bytes together.
/// struct Budget(usize);
///
/// impl ResourceLimiter for Budget {
///     fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
///         let Some(left) = self.0.checked_sub(desired - current) else { return Ok(false) };
///         self.0 = left;
///         Ok(true)
///     }
///     fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
///         Ok(desired <= 1000)
///     }
/// }
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (memory 1)
///     (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#)?;
/// let mut store = Store::new(&engine, Budget(3 << 16));
/// store.limiter(|budget| budget);
/// let grow = Instance::new(&mut store, &module, &[])?.get_typed_func::<i32, i32>(&mut store, "grow")?;
/// assert_eq!(grow.call(&mut store, 2)?, 1);
/// assert_eq!(grow.call(&mut store, 1)?, -1);
/// assert_eq!(store.data().0, 0);
/// # Ok::<(), wasmscope::Error>(())
/// ```
pub trait ResourceLimiter {
    /// May a memory grow from `current` to `desired` bytes? `maximum` is the most that its type allows, if it says so;
    /// beyond that growth fails, whatever this answers. With `false` the operator gives -1.
    ///
    /// # Errors
    ///
    /// An error ends the guest instead.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool>;

    /// A memory could not grow although it was allowed to: its maximum is reached, or the system has no more.
    ///
    /// # Errors
    ///
    /// An error ends the guest; without one the operator gives -1.
    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// As [`memory_growing`](ResourceLimiter::memory_growing), for a table and its elements.
    ///
    /// # Errors
    ///
    /// An error ends the guest.
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool>;

    /// As [`memory_grow_failed`](ResourceLimiter::memory_grow_failed), for a table.
    ///
    /// # Errors
    ///
    /// An error ends the guest.
    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// How many instances the store may have.
    fn instances(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many tables the store may have.
    fn tables(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many memories the store may have.
    fn memories(&self) -> usize {
        DEFAULT_COUNT
    }
}

/// Fixed limits for each memory and table and for their numbers; a [`ResourceLimiter`].
#[derive(Clone, Debug)]
pub struct StoreLimits {
    memory_size: Option<usize>,
    table_elements: Option<usize>,
    instances: usize,
    tables: usize,
    memories: usize,
    trap_on_grow_failure: bool,
}

/// Makes [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits {
            memory_size: None,
            table_elements: None,
            instances: DEFAULT_COUNT,
            tables: DEFAULT_COUNT,
            memories: DEFAULT_COUNT,
            trap_on_grow_failure: false,
        }
    }
}

impl StoreLimitsBuilder {
    /// The defaults: 10,000 instances, memories and tables, each as large as its type allows.
    #[must_use]
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }
    /// Bytes that one memory may have.
    #[must_use]
    pub fn memory_size(mut self, bytes: usize) -> Self {
        self.0.memory_size = Some(bytes);
        self
    }
    /// Elements that one table may have.
    #[must_use]
    pub fn table_elements(mut self, elements: usize) -> Self {
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
    /// Whether growth that fails ends the guest with an error instead of -1.
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

impl StoreLimits {
    fn within(&self, limit: Option<usize>, desired: usize, what: &str) -> Result<bool> {
        match limit {
            Some(limit) if desired > limit && self.trap_on_grow_failure => {
                Err(Error::msg(format!("growing to {desired} {what} exceeds the limit of {limit}")))
            }
            Some(limit) => Ok(desired <= limit),
            None => Ok(true),
        }
    }

    fn failed(&self, error: Error) -> Result<()> {
        if self.trap_on_grow_failure { Err(error) } else { Ok(()) }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        self.within(self.memory_size, desired, "bytes of memory")
    }
    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed(error)
    }
    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        self.within(self.table_elements, desired, "table elements")
    }
    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed(error)
    }
    fn instances(&self) -> usize {
        self.instances
    }
    fn tables(&self) -> usize {
        self.tables
    }
    fn memories(&self) -> usize {
        self.memories
    }
}

/// Leads from the embedder's data to its limiter.
type Hook<T> = dyn FnMut(&mut T) -> &mut (dyn ResourceLimiter) + Send + Sync;

/// Where a store has its limits.
pub(crate) enum Limiter<T> {
    Limits(StoreLimits),
    Hook(Box<Hook<T>>),
}

impl<T> Limiter<T> {
    pub(crate) fn get<'a>(&'a mut self, data: &'a mut T) -> &'a mut dyn ResourceLimiter {
        match self {
            Limiter::Limits(limits) => limits,
            Limiter::Hook(hook) => hook(data),
        }
    }
}

/// What a store is about to make.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) instances: usize,
    pub(crate) memories: &'a [MemoryType],
    pub(crate) tables: &'a [TableType],
}

impl Wanted<'_> {
    /// Refuses what the limiter forbids.
    pub(crate) fn check(&self, store: &StoreOpaque, limiter: &mut dyn ResourceLimiter) -> Result<()> {
        for (what, have, more, limit) in [
            ("instances", store.instances().len(), self.instances, limiter.instances()),
            ("memories", store.memories().len(), self.memories.len(), limiter.memories()),
            ("tables", store.num_tables(), self.tables.len(), limiter.tables()),
        ] {
            if more > 0 && have.saturating_add(more) > limit {
                return Err(Error::msg(format!("resource limit exceeded: {what} limit of {limit} reached")));
            }
        }
        for ty in self.memories {
            let bytes = |pages: u64| saturating_usize(pages.saturating_mul(1 << ty.page_size_log2));
            let minimum = bytes(ty.minimum);
            if !limiter.memory_growing(0, minimum, ty.maximum.map(bytes))? {
                return Err(Error::msg(format!("resource limit exceeded: a memory of at least {minimum} bytes")));
            }
        }
        for ty in self.tables {
            if !limiter.table_growing(0, ty.minimum as usize, ty.maximum.map(|maximum| maximum as usize))? {
                let text = format!("resource limit exceeded: a table of at least {} elements", ty.minimum);
                return Err(Error::msg(text));
            }
        }
        Ok(())
    }
}

fn saturating_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Grows a memory by `delta` pages if its limiter agrees; the old size in pages, or `None` if it stays as it is.
pub(crate) fn grow_memory(
    memory: &mut MemoryInstance,
    delta: u64,
    limiter: &mut dyn ResourceLimiter,
) -> Result<Option<u64>> {
    if delta == 0 {
        return Ok(Some(memory.pages()));
    }
    let ty = memory.ty();
    let page_size = 1u64 << ty.page_size_log2;
    let current = memory.len();
    let desired = delta.checked_mul(page_size).and_then(|more| more.checked_add(current as u64));
    let result = match desired.and_then(|bytes| usize::try_from(bytes).ok()) {
        Some(desired) => {
            let maximum = ty.maximum.map(|pages| saturating_usize(pages.saturating_mul(page_size)));
            if !limiter.memory_growing(current, desired, maximum)? {
                return Ok(None);
            }
            memory.grow(delta)
        }
        None => Err(MemoryError::Grow { delta }),
    };
    match result {
        Ok(old) => Ok(Some(old)),
        Err(error) => limiter.memory_grow_failed(error.into()).map(|()| None),
    }
}

/// Grows a table by `delta` elements if its limiter agrees; the old size, or `None` if it stays as it is.
pub(crate) fn grow_table(
    table: &mut TableInstance,
    delta: u64,
    init: u64,
    limiter: &mut dyn ResourceLimiter,
) -> Result<Option<u64>> {
    if delta == 0 {
        return Ok(Some(table.len()));
    }
    let current = saturating_usize(table.len());
    let result = match saturating_usize(delta).checked_add(current) {
        Some(desired) => {
            if !limiter.table_growing(current, desired, table.ty().maximum.map(|maximum| maximum as usize))? {
                return Ok(None);
            }
            table.grow(delta, init)
        }
        None => Err(TableError::Grow { delta }),
    };
    match result {
        Ok(old) => Ok(Some(old)),
        Err(error) => limiter.table_grow_failed(error.into()).map(|()| None),
    }
}
