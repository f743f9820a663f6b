//! Executable memory: modules' code and frame tables, side by side in large regions.
//!
//! ```text
//! region   | text | table | text | table | ...  no access, for later modules |
//! pages    |  A   |       |  B   |       |      which module's text a page is of
//! ```
//!
//! Neighbours' tables are registered together with the process's unwinder, which keeps loading, dropping and walking
//! cheap with many modules. A module's place is not used again: a table may be known to the unwinder for a while
//! after its module was dropped. Memory is given back at once, address space with the last module of a region.

use super::code::LoadedCode;
use super::mmap::{Mapping, page_size, round_up_to_page};
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use unwind::registration;

/// Address space of a region. It takes memory by what is loaded.
const REGION: usize = 16 << 20;

/// A module's text and frame table in memory, the table known to the process's unwinder.
#[derive(Debug)]
pub struct CodeMemory {
    region: Arc<Region>,
    start: usize,
    text_len: usize,
    table: *const u8,
}

// SAFETY: the memory is not written to any more, and is not bound to a thread.
unsafe impl Send for CodeMemory {}
// SAFETY: as above.
unsafe impl Sync for CodeMemory {}

/// The code whose text a page is of, for each page of a region.
type Pages = Arc<[AtomicPtr<LoadedCode>]>;

#[derive(Debug)]
struct Region {
    /// Refers to memory of the mapping; declared first, dropped first.
    tables: registration::Region<TablePages>,
    pages: Pages,
    /// Where the next module goes. Changed by the holder of [`OPEN`] alone.
    used: AtomicUsize,
    memory: Mapping,
}

/// The pages of a table, given back when the process's unwinder has forgotten it.
#[derive(Debug)]
struct TablePages {
    /// Lives as long as the region whose `tables` hold this.
    memory: *const Mapping,
    start: usize,
    len: usize,
}

// SAFETY: a mapping can be used from any thread.
unsafe impl Send for TablePages {}

impl Drop for TablePages {
    fn drop(&mut self) {
        // SAFETY: the region drops its mapping last. The pages hold the table alone, and nobody knows of it any more.
        unsafe { (*self.memory).release(self.start, self.len) };
    }
}

/// The region that the next module goes to, if it fits.
static OPEN: Mutex<Weak<Region>> = Mutex::new(Weak::new());

impl CodeMemory {
    /// Copies code and table, the table `table_at` bytes after the code.
    ///
    /// # Safety
    ///
    /// `unwind` wrote the table, for this distance from the text it describes.
    pub unsafe fn load(text: &[u8], table_at: usize, table: &[u8]) -> io::Result<CodeMemory> {
        if table_at < text.len() || !table_at.is_multiple_of(page_size()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let len = table_at.checked_add(table.len()).and_then(round_up_to_page).ok_or(io::ErrorKind::OutOfMemory)?;
        // Held until the table is registered: a region's tables are registered in the order of their places.
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (region, start) = Region::with_room(&mut open, len)?;
        let memory = &region.memory;
        memory.make_accessible(start, table_at + table.len())?;
        // SAFETY: the range is writable, was never used, and is long enough for both; the table lies behind the code.
        let table_in_memory = unsafe {
            let base = memory.base().add(start);
            std::ptr::copy_nonoverlapping(text.as_ptr(), base, text.len());
            std::ptr::copy_nonoverlapping(table.as_ptr(), base.add(table_at), table.len());
            std::slice::from_raw_parts(base.add(table_at), table.len())
        };
        memory.make_executable(start, text.len())?;
        memory.make_read_only(start + table_at, table.len())?;
        let pages = TablePages { memory, start: start + table_at, len: len - table_at };
        // SAFETY: the caller vouches for the table. It is not written to until `pages` is dropped; the text is there
        // until this is dropped, and its place is not used again. The region's address space is ours alone.
        unsafe { region.tables.add(table_in_memory, pages) };
        Ok(CodeMemory { start, text_len: text.len(), table: table_in_memory.as_ptr(), region })
    }

    /// Makes the text's addresses lead to `code`.
    pub fn set_code(&self, code: *mut LoadedCode) {
        let first = self.start / page_size();
        for page in &self.region.pages[first..first + self.text_len.div_ceil(page_size())] {
            page.store(code, Ordering::Release);
        }
    }

    pub fn text(&self) -> *const u8 {
        self.region.memory.base().wrapping_add(self.start)
    }

    pub fn text_len(&self) -> usize {
        self.text_len
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        self.set_code(std::ptr::null_mut());
        let text_pages = round_up_to_page(self.text_len).expect("it was mapped");
        // SAFETY: nobody runs the code any more, and no lookup leads to it.
        unsafe { self.region.memory.release(self.start, text_pages) };
        self.region.tables.remove(self.table);
    }
}

impl Region {
    /// A region with room for `len` bytes, whole pages, and where they are. They are taken.
    fn with_room(open: &mut Weak<Region>, len: usize) -> io::Result<(Arc<Region>, usize)> {
        if let Some(region) = open.upgrade() {
            let start = region.used.load(Ordering::Relaxed);
            if len <= region.memory.len() - start {
                region.used.store(start + len, Ordering::Relaxed);
                return Ok((region, start));
            }
        }
        // Code that would take much of a region has one of its own.
        let shared = if len <= REGION / 4 { Region::new(REGION, len).ok() } else { None };
        if let Some(region) = shared {
            *open = Arc::downgrade(&region);
            return Ok((region, 0));
        }
        Ok((Region::new(len, len)?, 0))
    }

    fn new(size: usize, used: usize) -> io::Result<Arc<Region>> {
        let memory = Mapping::reserve(size)?;
        let pages: Pages = (0..memory.len() / page_size()).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect();
        let tables = registration::Region::new();
        let region = Arc::new(Region { tables, pages, used: AtomicUsize::new(used), memory });
        let start = region.memory.base() as usize;
        let entry = Entry { start, pages: region.pages.clone() };
        replace(|entries| entries.insert(entries.partition_point(|other| other.start < start), entry));
        Ok(region)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let start = self.memory.base() as usize;
        replace(|entries| entries.retain(|entry| entry.start != start));
    }
}

/// All regions, sorted by address.
struct Registry(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    start: usize,
    pages: Pages,
}

/// The registry that lookups read. Null: empty.
static CURRENT: AtomicPtr<Registry> = AtomicPtr::new(std::ptr::null_mut());
/// How many lookups are reading some registry right now.
static READERS: AtomicUsize = AtomicUsize::new(0);
/// Held by writers; the registries that have been replaced while a lookup may have been reading them.
static RETIRED: Mutex<Retired> = Mutex::new(Retired(Vec::new()));

struct Retired(Vec<*mut Registry>);

// SAFETY: the pointers are owned boxes that only the holder of the lock frees.
unsafe impl Send for Retired {}

/// Publishes a changed copy of the registry, and frees the old ones if no lookup can be reading them.
fn replace(change: impl FnOnce(&mut Vec<Entry>)) {
    let mut retired = RETIRED.lock().unwrap_or_else(PoisonError::into_inner);
    let old = CURRENT.load(Ordering::SeqCst);
    // SAFETY: only the holder of the lock, which we are, replaces or frees the current registry.
    let mut entries = unsafe { old.as_ref() }.map_or_else(Vec::new, |registry| registry.0.clone());
    change(&mut entries);
    CURRENT.store(Box::into_raw(Box::new(Registry(entries))), Ordering::SeqCst);
    if !old.is_null() {
        retired.0.push(old);
    }
    // A lookup counts itself before it loads `CURRENT`. With no lookup counted now, any that comes later sees the new
    // registry (both orders are sequentially consistent), so nobody can reach the old ones any more.
    if READERS.load(Ordering::SeqCst) == 0 {
        for registry in retired.0.drain(..) {
            // SAFETY: from `Box::into_raw` above, replaced, and unreachable as just shown.
            drop(unsafe { Box::from_raw(registry) });
        }
    }
}

/// Passes the code whose text is on an address's page to `found`, null if there is none; `None` outside all regions.
/// Takes no lock, allocates nothing. `found` must not panic.
pub fn lookup<R>(pc: usize, found: impl FnOnce(*const LoadedCode) -> Option<R>) -> Option<R> {
    READERS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: registries are freed only when no lookup is counted; we are.
    let registry = unsafe { CURRENT.load(Ordering::SeqCst).as_ref() };
    let result = registry.and_then(|Registry(entries)| {
        let entry = &entries[entries.partition_point(|entry| entry.start <= pc).checked_sub(1)?];
        found(entry.pages.get((pc - entry.start) / page_size())?.load(Ordering::Acquire))
    });
    READERS.fetch_sub(1, Ordering::SeqCst);
    result
}
