//! Linear memories.

use crate::api::handle::Handle;
use crate::api::limits::{Wanted, grow_memory};
use crate::api::{AsContext, AsContextMut, Engine, Error, Result, StoreContext, StoreContextMut, Trap};
use crate::runtime::memory::{MemoryError, MemoryInstance, SharedMemoryInner};
use crate::runtime::parking;
use crate::runtime::store::StoreId;
use crate::types::MemoryType;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// An access outside a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of bounds memory access: {len} bytes at {offset:#x}, the memory has {size:#x}")]
pub struct MemoryAccessError {
    /// Where the access begins.
    pub offset: u64,
    /// Its length.
    pub len: u64,
    /// The memory's size in bytes.
    pub size: u64,
}

fn range(offset: usize, len: usize, size: usize) -> Result<std::ops::Range<usize>, MemoryAccessError> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(offset..end),
        _ => Err(MemoryAccessError { offset: offset as u64, len: len as u64, size: size as u64 }),
    }
}

/// A linear memory; a handle that is valid with its store.
///
/// ```
/// use wasmscope::{Engine, Instance, Module, Store};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module (memory (export "memory") 1 3) (data (i32.const 8) "hello"))"#)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let memory = instance.get_memory(&mut store, "memory").unwrap();
/// assert_eq!(&memory.data(&store)[8..13], b"hello");
/// memory.write(&mut store, 8, b"J")?;
/// let mut word = [0; 5];
/// memory.read(&store, 8, &mut word)?;
/// assert_eq!(&word, b"Jello");
/// assert_eq!(memory.grow(&mut store, 1)?, 1);
/// assert!(memory.grow(&mut store, 2).is_err());
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Memory(Handle<MemoryInstance>);

impl Memory {
    pub(crate) fn from_raw(store: StoreId, memory: NonNull<MemoryInstance>) -> Memory {
        Memory(Handle::new(store, memory))
    }

    pub(crate) fn handle(&self) -> &Handle<MemoryInstance> {
        &self.0
    }

    /// A memory of the host's.
    ///
    /// # Errors
    ///
    /// If the type is absurd or shared (see [`SharedMemory`]), a limit forbids it, or there is no address space.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let store = store.as_context_mut();
        let (store, limiter) = store.0.with_limiter();
        if ty.shared {
            return Err(Error::msg("a shared memory is made with `SharedMemory::new`"));
        }
        if ty.page_size_log2 != 16 && ty.page_size_log2 != 0 {
            return Err(Error::msg("a memory's pages have 64 KiB or 1 byte"));
        }
        Wanted { memories: &[ty], ..Wanted::default() }.check(store, limiter)?;
        let memory = store.allocate_memory(ty)?;
        // SAFETY: the memory has its own definition.
        let memory = unsafe { MemoryInstance::new(memory, None) };
        Ok(Memory::from_raw(store.id(), store.add_memory(memory)))
    }

    /// Its type, with the current size as minimum.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        let memory = self.0.item(&store.as_context().0.opaque);
        MemoryType { minimum: memory.pages(), ..memory.ty() }
    }

    /// Copies out.
    ///
    /// # Errors
    ///
    /// If the range is not inside the memory.
    pub fn read(&self, store: impl AsContext, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryAccessError> {
        let data = self.data(store.as_context());
        buffer.copy_from_slice(&data[range(offset, buffer.len(), data.len())?]);
        Ok(())
    }

    /// Copies in.
    ///
    /// # Errors
    ///
    /// If the range is not inside the memory.
    pub fn write(&self, mut store: impl AsContextMut, offset: usize, buffer: &[u8]) -> Result<(), MemoryAccessError> {
        let data = self.data_mut(store.as_context_mut());
        let range = range(offset, buffer.len(), data.len())?;
        data[range].copy_from_slice(buffer);
        Ok(())
    }

    /// All bytes.
    pub fn data<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        let memory = self.0.item(&store.into().0.opaque);
        // SAFETY: that many bytes are accessible, and nobody writes them while the store is borrowed: a `Memory` is not
        // shared with other threads.
        unsafe { std::slice::from_raw_parts(memory.base(), memory.len()) }
    }

    /// All bytes.
    pub fn data_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> &'a mut [u8] {
        self.data_and_store_mut(store).0
    }

    /// All bytes, and the embedder's data beside them.
    pub fn data_and_store_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> (&'a mut [u8], &'a mut T) {
        let inner = store.into().0;
        let memory = self.0.item(&inner.opaque);
        // SAFETY: as in `data`, with a mutable borrow of the store. The bytes do not lie in the embedder's data.
        let data = unsafe { std::slice::from_raw_parts_mut(memory.base(), memory.len()) };
        (data, &mut inner.data)
    }

    /// The address of the first byte; it may change when the memory grows.
    pub fn data_ptr(&self, store: impl AsContext) -> *mut u8 {
        self.0.item(&store.as_context().0.opaque).base()
    }

    /// Size in bytes.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        self.0.item(&store.as_context().0.opaque).len()
    }

    /// Size in pages.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.0.item(&store.as_context().0.opaque).pages()
    }

    /// Grows by `delta` pages; the old size in pages.
    ///
    /// # Errors
    ///
    /// If the maximum or a limit forbids it, or there is no memory.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64> {
        let store = store.as_context_mut();
        let (store, limiter) = store.0.with_limiter();
        let old = grow_memory(self.0.item_mut(store), delta, limiter)?;
        old.ok_or_else(|| MemoryError::Grow { delta }.into())
    }
}

/// A linear memory that several threads and stores may use.
///
/// ```
/// use wasmscope::{Engine, Instance, MemoryType, Module, SharedMemory, Store};
///
/// let engine = Engine::default();
/// let ty = MemoryType { minimum: 1, maximum: Some(1), shared: true, memory64: false, page_size_log2: 16 };
/// let memory = SharedMemory::new(&engine, ty)?;
/// let module = Module::new(&engine, r#"(module
///     (memory (import "" "m") 1 1 shared)
///     (func (export "add") (drop (i32.atomic.rmw8.add_u (i32.const 0) (i32.const 1)))))"#)?;
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             let mut store = Store::new(&engine, ());
///             let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
///             instance.get_typed_func::<(), ()>(&mut store, "add").unwrap().call(&mut store, ()).unwrap();
///         });
///     }
/// });
/// let mut byte = [0];
/// memory.read(0, &mut byte)?;
/// assert_eq!(byte, [2]);
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemory(pub(crate) Arc<SharedMemoryInner>);

impl SharedMemory {
    /// A shared memory of the host's; the type must say `shared` and have a maximum.
    ///
    /// # Errors
    ///
    /// If the type is not such, or there is no address space.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<SharedMemory> {
        if !ty.shared || ty.page_size_log2 != 16 {
            return Err(Error::msg("a shared memory's type must say so and have pages of 64 KiB"));
        }
        Ok(SharedMemory(SharedMemoryInner::new(ty, engine.tunables(), engine.wants_identity_map())?))
    }

    /// Its type, with the current size as minimum.
    #[must_use]
    pub fn ty(&self) -> MemoryType {
        MemoryType { minimum: self.size(), ..self.0.ty() }
    }

    /// Size in pages.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.len() as u64 >> self.0.ty().page_size_log2
    }

    /// Size in bytes.
    #[must_use]
    pub fn data_size(&self) -> usize {
        self.0.len()
    }

    /// Grows by `delta` pages; the old size in pages.
    ///
    /// # Errors
    ///
    /// If the maximum forbids it, or there is no memory.
    pub fn grow(&self, delta: u64) -> Result<u64> {
        Ok(self.0.grow(delta)?)
    }

    /// Copies out, byte by byte atomically.
    ///
    /// # Errors
    ///
    /// If the range is not inside the memory.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryAccessError> {
        let data = self.data();
        let from = &data[range(offset, buffer.len(), data.len())?];
        for (to, from) in buffer.iter_mut().zip(from) {
            *to = from.load(Ordering::Relaxed);
        }
        Ok(())
    }

    /// Copies in, byte by byte atomically.
    ///
    /// # Errors
    ///
    /// If the range is not inside the memory.
    pub fn write(&self, offset: usize, buffer: &[u8]) -> Result<(), MemoryAccessError> {
        let data = self.data();
        for (to, from) in data[range(offset, buffer.len(), data.len())?].iter().zip(buffer) {
            to.store(*from, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The bytes; others may change them at any time.
    #[must_use]
    pub fn data(&self) -> &[AtomicU8] {
        // SAFETY: that many bytes are accessible as long as the memory lives, and never move.
        unsafe { std::slice::from_raw_parts(self.0.base().cast::<AtomicU8>(), self.0.len()) }
    }

    /// `memory.atomic.notify`: how many were woken.
    ///
    /// # Errors
    ///
    /// If the address is outside the memory or not a multiple of 4.
    pub fn atomic_notify(&self, address: u64, count: u32) -> Result<u32> {
        if !address.is_multiple_of(4) {
            return Err(Error::new(Trap::HeapMisaligned));
        }
        let offset = usize::try_from(address).unwrap_or(usize::MAX);
        range(offset, 4, self.data_size())?;
        Ok(parking::notify(self.0.base() as usize + offset, count))
    }
}
