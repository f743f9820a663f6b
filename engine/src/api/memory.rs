//! Linear memories.

use crate::api::{AsContext, AsContextMut, Engine, Result, StoreContext, StoreContextMut};
use crate::types::MemoryType;

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

/// A linear memory; a handle that is valid with its store.
#[derive(Clone, Copy, Debug)]
pub struct Memory(());

impl Memory {
    /// A memory of the host's.
    ///
    /// # Errors
    ///
    /// If the type is absurd, a limit forbids it, or there is no address space.
    pub fn new(store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let _ = (store, ty);
        todo!()
    }
    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        let _ = store;
        todo!()
    }
    /// Copies out.
    ///
    /// # Errors
    ///
    /// If the range is not inside the memory.
    pub fn read(&self, store: impl AsContext, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryAccessError> {
        let _ = (store, offset, buffer);
        todo!()
    }
    /// Copies in.
    ///
    /// # Errors
    ///
    /// If the range is not inside the memory.
    pub fn write(&self, store: impl AsContextMut, offset: usize, buffer: &[u8]) -> Result<(), MemoryAccessError> {
        let _ = (store, offset, buffer);
        todo!()
    }
    /// All bytes.
    pub fn data<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        let _ = store.into();
        todo!()
    }
    /// All bytes.
    pub fn data_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> &'a mut [u8] {
        let _ = store.into();
        todo!()
    }
    /// All bytes, and the store's data beside them.
    pub fn data_and_store_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> (&'a mut [u8], &'a mut T) {
        let _ = store.into();
        todo!()
    }
    /// The address of the first byte.
    pub fn data_ptr(&self, store: impl AsContext) -> *mut u8 {
        let _ = store;
        todo!()
    }
    /// Size in bytes.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        let _ = store;
        todo!()
    }
    /// Size in pages.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let _ = store;
        todo!()
    }
    /// Grows by `delta` pages; the old size in pages.
    ///
    /// # Errors
    ///
    /// If the maximum or a limit forbids it, or there is no memory.
    pub fn grow(&self, store: impl AsContextMut, delta: u64) -> Result<u64> {
        let _ = (store, delta);
        todo!()
    }
}

/// A linear memory that several threads and stores may use.
#[derive(Clone, Debug)]
pub struct SharedMemory(());

impl SharedMemory {
    /// A shared memory of the host's; the type must say `shared` and have a maximum.
    ///
    /// # Errors
    ///
    /// If the type is not such, or there is no address space.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<SharedMemory> {
        let _ = (engine, ty);
        todo!()
    }
    /// Its type.
    #[must_use]
    pub fn ty(&self) -> MemoryType {
        todo!()
    }
    /// Size in pages.
    #[must_use]
    pub fn size(&self) -> u64 {
        todo!()
    }
    /// Size in bytes.
    #[must_use]
    pub fn data_size(&self) -> usize {
        todo!()
    }
    /// Grows by `delta` pages; the old size in pages.
    ///
    /// # Errors
    ///
    /// If the maximum forbids it, or there is no memory.
    pub fn grow(&self, delta: u64) -> Result<u64> {
        let _ = delta;
        todo!()
    }
    /// Copies out, byte by byte atomically.
    ///
    /// # Errors
    ///
    /// If the range is not inside the memory.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryAccessError> {
        let _ = (offset, buffer);
        todo!()
    }
    /// Copies in, byte by byte atomically.
    ///
    /// # Errors
    ///
    /// If the range is not inside the memory.
    pub fn write(&self, offset: usize, buffer: &[u8]) -> Result<(), MemoryAccessError> {
        let _ = (offset, buffer);
        todo!()
    }
    /// The bytes; others may change them at any time.
    #[must_use]
    pub fn data(&self) -> &[std::sync::atomic::AtomicU8] {
        todo!()
    }
    /// `memory.atomic.notify`: how many were woken.
    ///
    /// # Errors
    ///
    /// If the address is outside the memory or not a multiple of 4.
    pub fn atomic_notify(&self, address: u64, count: u32) -> Result<u32> {
        let _ = (address, count);
        todo!()
    }
}
