//! Linear memories.

use super::identity_map::{self, IdentityMap, IdentityMapState};
use super::mmap::{Mapping, page_size, round_up_to_page};
use super::parking;
use super::vm::VMMemoryDefinition;
use crate::environ::Tunables;
use crate::types::MemoryType;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A memory cannot be made or grown.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Larger than any memory can be.
    #[error("memory size of {pages} pages of {page_size} bytes exceeds what the engine can give ({limit} bytes)")]
    TooLarge {
        /// The pages.
        pages: u64,
        /// The page size in bytes.
        page_size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// A shared memory has no maximum.
    #[error("a shared memory must have a maximum")]
    SharedWithoutMaximum,
    /// The minimum is above the maximum.
    #[error("memory minimum of {minimum} pages exceeds its maximum of {maximum}")]
    MinimumAboveMaximum {
        /// The minimum.
        minimum: u64,
        /// The maximum.
        maximum: u64,
    },
    /// The system has not enough address space or memory.
    #[error("cannot map {bytes} bytes of linear memory")]
    Map {
        /// How many bytes were wanted.
        bytes: usize,
        /// What the system says.
        source: io::Error,
    },
    /// Growth beyond the maximum or a limit.
    #[error("memory cannot grow by {delta} pages")]
    Grow {
        /// The pages.
        delta: u64,
    },
}

/// No memory is larger, whatever its type and the store's limits say: a quarter of the address space that x86-64 gives
/// to a process.
const ABSOLUTE_LIMIT: u64 = 1 << 45;

/// The bytes of a linear memory.
///
/// ```text
/// base              base+len         base+capacity            end of the mapping
/// | read and write  | no access      | no access: the guard   |
/// ```
#[derive(Debug)]
pub struct LinearMemory {
    ty: MemoryType,
    mapping: Mapping,
    /// How far `mapping` may become accessible.
    capacity: usize,
    guard: usize,
    /// In bytes; a multiple of the memory's page size, not of the host's.
    len: usize,
    /// Largest `len`.
    limit: u64,
    /// May `base` change when the memory grows?
    movable: bool,
    identity: Option<IdentityMap>,
    identity_state: Option<IdentityMapState>,
}

impl LinearMemory {
    /// A zeroed memory of a type's minimal size. `identity`: also at the low addresses.
    pub fn new(ty: MemoryType, tunables: &Tunables, identity: bool) -> Result<LinearMemory, MemoryError> {
        let page_size = 1u64 << ty.page_size_log2;
        let address_limit = if ty.memory64 { ABSOLUTE_LIMIT } else { 1 << 32 };
        let too_large = |pages| MemoryError::TooLarge { pages, page_size, limit: address_limit };
        let minimum = ty.minimum.checked_mul(page_size).filter(|&n| n <= address_limit).ok_or(too_large(ty.minimum))?;
        let maximum = ty.maximum.map(|pages| pages.saturating_mul(page_size));
        if let Some(pages) = ty.maximum.filter(|&maximum| maximum < ty.minimum) {
            return Err(MemoryError::MinimumAboveMaximum { minimum: ty.minimum, maximum: pages });
        }
        if ty.shared && maximum.is_none() {
            return Err(MemoryError::SharedWithoutMaximum);
        }
        let limit = maximum.unwrap_or(address_limit).min(address_limit);
        // Compiled code knows the reservation of 32-bit memories: they get all of it. Others get what they can need.
        let reservation = tunables.memory_reservation;
        let capacity = if ty.shared {
            // Its address must never change. A 32-bit memory's reservation is what the code relies on.
            if ty.memory64 { limit } else { limit.max(reservation) }
        } else if ty.memory64 {
            minimum.max(limit.min(reservation))
        } else {
            minimum.max(reservation)
        };
        let movable = !ty.shared && limit > capacity;
        let guard = tunables.memory_guard_size;
        let mut memory = LinearMemory {
            ty,
            mapping: Mapping::reserve(0).map_err(|source| MemoryError::Map { bytes: 0, source })?,
            capacity: 0,
            guard: usize::try_from(guard).ok().and_then(round_up_to_page).ok_or(too_large(ty.minimum))?,
            len: 0,
            limit,
            movable,
            identity: None,
            identity_state: None,
        };
        if identity {
            match IdentityMap::new() {
                Ok(map) => memory.identity = Some(map),
                Err(reason) => {
                    let missing = vec![(0..minimum, reason)];
                    memory.identity_state = Some(IdentityMapState { wanted: 0..minimum, mapped: Vec::new(), missing });
                }
            }
        }
        let capacity = usize::try_from(capacity).ok().and_then(round_up_to_page).ok_or(too_large(ty.minimum))?;
        memory.reserve(capacity)?;
        if identity && !ty.memory64 && !movable {
            let bytes = capacity.saturating_add(memory.guard);
            let whole = !ty.shared && memory.identity.as_mut().is_some_and(|map| map.reserve_all(bytes));
            if !whole {
                // Debuggers keep the address of a variable in a guest pointer, that is, its low 32 bits. Let these be
                // the guest's address.
                memory.mapping =
                    Mapping::reserve_aligned(bytes, 1 << 32).map_err(|source| MemoryError::Map { bytes, source })?;
            }
        }
        memory.mark_if_another();
        memory.set_len(minimum as usize)?;
        Ok(memory)
    }

    /// Replaces the mapping by a fresh one without contents.
    fn reserve(&mut self, capacity: usize) -> Result<(), MemoryError> {
        let bytes = capacity.saturating_add(self.guard);
        // What is dropped here has no contents that anybody needs: it is empty, or has been copied (`relocate`).
        self.mapping = Mapping::reserve(bytes).map_err(|source| MemoryError::Map { bytes, source })?;
        self.capacity = capacity;
        Ok(())
    }

    /// Lets debuggers find a memory that might have had the identity map: maps a page of a file of a known name behind it,
    /// at the offset in the file that is the page's offset in the memory. The guard page stays one.
    fn mark_if_another(&self) {
        if self.identity_state.is_some() && self.guard > 0 {
            identity_map::mark(self.mapping.base().wrapping_add(self.capacity), self.capacity);
        }
    }

    /// Makes the memory `len` bytes long; not shorter than it was, not longer than its capacity.
    fn set_len(&mut self, len: usize) -> Result<(), MemoryError> {
        let page = page_size();
        let (old, new) = (self.len.next_multiple_of(page), len.next_multiple_of(page));
        debug_assert!(old <= new && new <= self.capacity, "grows within its capacity");
        let error = |source| MemoryError::Map { bytes: new, source };
        match &mut self.identity {
            Some(map) => {
                map.grow(new).map_err(error)?;
                let access = libc::PROT_READ | libc::PROT_WRITE;
                // SAFETY: this part had no access, so that nobody has looked at its contents.
                unsafe { self.mapping.map_file(old, new - old, map.file(), old, access) }.map_err(error)?;
            }
            None => self.mapping.make_accessible(old, new - old).map_err(error)?,
        }
        self.len = len;
        Ok(())
    }

    /// Moves to a larger mapping.
    fn relocate(&mut self, len: usize) -> Result<(), MemoryError> {
        let page = page_size();
        let too_large = MemoryError::Map { bytes: len, source: io::ErrorKind::OutOfMemory.into() };
        let Some(capacity) = len.checked_add(len / 2).map(|n| n.min(self.limit as usize).max(len)) else {
            return Err(too_large);
        };
        let capacity = capacity.next_multiple_of(page);
        let accessible = self.len.next_multiple_of(page);
        let bytes = capacity.saturating_add(self.guard);
        let error = |source| MemoryError::Map { bytes, source };
        let mapping = Mapping::reserve(bytes).map_err(error)?;
        match &self.identity {
            Some(map) => {
                let access = libc::PROT_READ | libc::PROT_WRITE;
                // SAFETY: the new mapping has no contents.
                unsafe { mapping.map_file(0, accessible, map.file(), 0, access) }.map_err(error)?;
            }
            None => {
                mapping.make_accessible(0, accessible).map_err(error)?;
                // SAFETY: both mappings are accessible for that many bytes, and distinct.
                unsafe { std::ptr::copy_nonoverlapping(self.mapping.base(), mapping.base(), accessible) };
            }
        }
        self.mapping = mapping;
        self.capacity = capacity;
        self.mark_if_another();
        Ok(())
    }

    /// Grows by `delta` pages; the old size in pages.
    pub fn grow(&mut self, delta: u64) -> Result<u64, MemoryError> {
        let old = self.pages();
        let refused = || MemoryError::Grow { delta };
        let new = delta
            .checked_mul(1 << self.ty.page_size_log2)
            .and_then(|bytes| bytes.checked_add(self.len as u64))
            .filter(|&bytes| bytes <= self.limit)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(refused)?;
        if delta == 0 {
            return Ok(old);
        }
        if new.next_multiple_of(page_size()) > self.capacity {
            if !self.movable {
                return Err(refused());
            }
            self.relocate(new)?;
        }
        self.set_len(new)?;
        Ok(old)
    }

    pub fn ty(&self) -> MemoryType {
        self.ty
    }

    /// Where the host reads and writes the memory.
    pub fn base(&self) -> *mut u8 {
        self.mapping.base()
    }

    /// Where compiled code does: at 0 if the identity map is whole, otherwise at the same place as the host.
    fn code_base(&self) -> *mut u8 {
        match &self.identity {
            Some(map) if map.is_whole() => std::ptr::null_mut(),
            _ => self.base(),
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn pages(&self) -> u64 {
        self.len as u64 >> self.ty.page_size_log2
    }

    /// Where the identity map is, if one was asked for.
    pub fn identity_map(&self) -> Option<IdentityMapState> {
        self.identity.as_ref().map(|map| map.state().clone()).or_else(|| self.identity_state.clone())
    }
}

/// A memory of one store.
#[derive(Debug)]
pub struct MemoryInstance {
    kind: Kind,
    /// In a `VMContext`, in a `SharedMemoryInner`, or `own`.
    definition: NonNull<VMMemoryDefinition>,
    /// The definition of a memory that the host made.
    _own: Option<Box<VMMemoryDefinition>>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly every memory is a local one, and each is boxed already")]
enum Kind {
    Local(LinearMemory),
    Shared(Arc<SharedMemoryInner>),
}

impl MemoryInstance {
    /// A memory whose definition compiled code reads at `definition`; without it the memory has its own.
    ///
    /// # Safety
    ///
    /// `definition` must be valid for writes as long as the memory lives.
    pub unsafe fn new(memory: LinearMemory, definition: Option<NonNull<VMMemoryDefinition>>) -> MemoryInstance {
        let mut own = None;
        let definition = definition.unwrap_or_else(|| {
            let new = VMMemoryDefinition { base: std::ptr::null_mut(), length: AtomicUsize::new(0) };
            NonNull::from(&mut **own.insert(Box::new(new)))
        });
        let mut this = MemoryInstance { kind: Kind::Local(memory), definition, _own: own };
        this.update_definition();
        this
    }

    /// A store's view of a shared memory.
    pub fn shared(memory: Arc<SharedMemoryInner>) -> MemoryInstance {
        let definition = NonNull::from(&memory.definition);
        MemoryInstance { kind: Kind::Shared(memory), definition, _own: None }
    }

    fn update_definition(&mut self) {
        if let Kind::Local(memory) = &self.kind {
            // SAFETY: the constructor's caller promised it; no reference to a definition is ever kept.
            unsafe {
                (*self.definition.as_ptr()).base = memory.code_base();
                (*self.definition.as_ptr()).length.store(memory.len(), Ordering::Relaxed);
            }
        }
    }

    /// The definition that compiled code reads.
    pub fn definition(&self) -> NonNull<VMMemoryDefinition> {
        self.definition
    }

    /// The shared memory, if it is one.
    pub fn as_shared(&self) -> Option<&Arc<SharedMemoryInner>> {
        match &self.kind {
            Kind::Local(_) => None,
            Kind::Shared(memory) => Some(memory),
        }
    }

    /// Its declared type; `minimum` is the declared one.
    pub fn ty(&self) -> MemoryType {
        match &self.kind {
            Kind::Local(memory) => memory.ty(),
            Kind::Shared(memory) => memory.ty,
        }
    }

    pub fn base(&self) -> *mut u8 {
        match &self.kind {
            Kind::Local(memory) => memory.base(),
            Kind::Shared(memory) => memory.definition.base,
        }
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        match &self.kind {
            Kind::Local(memory) => memory.len(),
            Kind::Shared(memory) => memory.len(),
        }
    }

    pub fn pages(&self) -> u64 {
        self.len() as u64 >> self.ty().page_size_log2
    }

    /// Grows; see [`LinearMemory::grow`].
    pub fn grow(&mut self, delta: u64) -> Result<u64, MemoryError> {
        match &mut self.kind {
            Kind::Local(memory) => {
                let old = memory.grow(delta)?;
                self.update_definition();
                Ok(old)
            }
            Kind::Shared(memory) => memory.grow(delta),
        }
    }

    /// Where the identity map is, if one was asked for.
    pub fn identity_map(&self) -> Option<IdentityMapState> {
        match &self.kind {
            Kind::Local(memory) => memory.identity_map(),
            Kind::Shared(memory) => memory.lock().identity_map(),
        }
    }
}

/// A memory that several threads and stores use.
#[derive(Debug)]
pub struct SharedMemoryInner {
    ty: MemoryType,
    memory: Mutex<LinearMemory>,
    /// Its base never changes.
    definition: VMMemoryDefinition,
}

// SAFETY: the definition's base is constant and its length atomic; the rest is behind a lock. The bytes are accessed by
// the guest's own rules and, from the host, atomically.
unsafe impl Send for SharedMemoryInner {}
// SAFETY: as above.
unsafe impl Sync for SharedMemoryInner {}

impl SharedMemoryInner {
    /// A memory of a type that says `shared`.
    pub fn new(ty: MemoryType, tunables: &Tunables, identity: bool) -> Result<Arc<SharedMemoryInner>, MemoryError> {
        let memory = LinearMemory::new(MemoryType { shared: true, ..ty }, tunables, identity)?;
        let definition = VMMemoryDefinition { base: memory.base(), length: AtomicUsize::new(memory.len()) };
        Ok(Arc::new(SharedMemoryInner { ty: memory.ty(), memory: Mutex::new(memory), definition }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LinearMemory> {
        // Growth leaves the memory usable at whatever point it might panic.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ty(&self) -> MemoryType {
        self.ty
    }

    pub fn base(&self) -> *mut u8 {
        self.definition.base
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.definition.length.load(Ordering::SeqCst)
    }

    /// Grows; see [`LinearMemory::grow`].
    pub fn grow(&self, delta: u64) -> Result<u64, MemoryError> {
        let mut memory = self.lock();
        let old = memory.grow(delta)?;
        debug_assert_eq!(memory.base(), self.definition.base, "a shared memory does not move");
        self.definition.length.store(memory.len(), Ordering::SeqCst);
        Ok(old)
    }
}

impl Drop for SharedMemoryInner {
    fn drop(&mut self) {
        debug_assert!(!parking::is_waited_for(self.base() as usize, self.len()), "a waiting thread keeps the memory");
    }
}
