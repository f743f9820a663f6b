//! Executable memory, and which code an address belongs to.

use super::mmap::Mapping;
use artifact::{Artifact, ArtifactError, FunctionKind, TextOffset};
use std::io;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use unwind::registration::Registration;

/// Code cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The artifact cannot be read.
    #[error("the artifact is malformed")]
    Artifact(#[from] ArtifactError),
    /// The artifact is for another machine.
    #[error("the artifact's code is for {0:?}, not for this machine")]
    Machine(artifact::Machine),
    /// There is no executable memory.
    #[error("cannot map {len} bytes of code")]
    Map {
        /// How many bytes were wanted.
        len: usize,
        /// What the system says.
        source: io::Error,
    },
}

/// An artifact with its text in executable memory, found by [`lookup`] and known to the process's unwinder as long as it
/// lives.
///
/// ```text
/// text            R X
/// next page       R     .eh_frame, at its link-time distance from the text
/// ```
#[derive(Debug)]
pub struct LoadedCode {
    /// Refers to the table in `memory`; declared first, dropped first.
    _frames: Registration<'static>,
    /// Borrows from `bytes`; declared before them.
    artifact: Artifact<'static>,
    memory: Mapping,
    text_len: usize,
    bytes: Box<[u8]>,
}

impl LoadedCode {
    /// Loads an artifact's code.
    pub fn load(bytes: Vec<u8>) -> Result<Arc<LoadedCode>, LoadError> {
        let bytes = bytes.into_boxed_slice();
        // SAFETY: the box's contents neither move nor change while `LoadedCode` owns it, and `artifact`, whose lifetime
        // is extended here, is owned by the same struct: it only leaves it with a borrow of the struct's lifetime.
        let contents: &'static [u8] = unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        let artifact = Artifact::parse(contents)?;
        if artifact.machine() != artifact::Machine::X86_64 {
            return Err(LoadError::Machine(artifact.machine()));
        }
        let (code, frames) = (artifact.text(), artifact.eh_frame());
        // The table holds differences of addresses: at the distance it was written for it needs no changes.
        let frames_at = (artifact.layout().eh_frame - artifact.layout().text) as usize;
        let len = frames_at + frames.len();
        let map_error = |source| LoadError::Map { len, source };
        let memory = Mapping::reserve(len).map_err(map_error)?;
        memory.make_accessible(0, len).map_err(map_error)?;
        // SAFETY: the mapping is writable, fresh, and long enough for both; the table lies behind the code.
        unsafe {
            std::ptr::copy_nonoverlapping(code.as_ptr(), memory.base(), code.len());
            std::ptr::copy_nonoverlapping(frames.as_ptr(), memory.base().wrapping_add(frames_at), frames.len());
        }
        memory.make_executable(0, code.len()).map_err(map_error)?;
        memory.make_read_only(frames_at, frames.len()).map_err(map_error)?;
        // SAFETY: the table is an artifact's, at the distance from its text that it was written for. It lies in `memory`,
        // which is not written to any more and which the same struct keeps until the registration is dropped.
        let frames = unsafe {
            Registration::new(std::slice::from_raw_parts(memory.base().wrapping_add(frames_at), frames.len()))
        };
        let loaded = Arc::new(LoadedCode { _frames: frames, artifact, memory, text_len: code.len(), bytes });
        register(&loaded);
        Ok(loaded)
    }

    /// The artifact.
    pub fn artifact(&self) -> &Artifact<'_> {
        &self.artifact
    }

    /// The artifact's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the text is loaded.
    pub fn text_address(&self) -> usize {
        self.memory.base() as usize
    }

    /// The code of a function or trampoline.
    pub fn function(&self, kind: FunctionKind) -> Option<*const u8> {
        let (_, row) = self.artifact.function_by_kind(kind)?;
        debug_assert!(row.text.0 as usize <= self.text_len);
        Some(self.memory.base().wrapping_add(row.text.0 as usize).cast_const())
    }

    /// Where in the text an address lies.
    pub fn text_offset(&self, pc: usize) -> Option<TextOffset> {
        let offset = pc.checked_sub(self.text_address())?;
        if offset < self.text_len { u32::try_from(offset).ok().map(TextOffset) } else { None }
    }
}

impl Drop for LoadedCode {
    fn drop(&mut self) {
        unregister(self);
    }
}

/// All loaded code, sorted by address.
struct Registry(Vec<Entry>);

#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    end: usize,
    code: *const LoadedCode,
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

fn register(code: &Arc<LoadedCode>) {
    let start = code.text_address();
    let entry = Entry { start, end: start + code.text_len, code: Arc::as_ptr(code) };
    if code.text_len == 0 {
        return;
    }
    replace(|entries| {
        let at = entries.partition_point(|other| other.start < start);
        entries.insert(at, entry);
    });
}

fn unregister(code: &LoadedCode) {
    if code.text_len != 0 {
        let start = code.text_address();
        replace(|entries| entries.retain(|entry| entry.start != start));
    }
}

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

/// Finds the code that an address belongs to and passes it to `found`. Takes no lock, allocates nothing: fit for a
/// signal handler if `found` is. `found` must not panic.
pub fn lookup<R>(pc: usize, found: impl FnOnce(&LoadedCode, TextOffset) -> R) -> Option<R> {
    READERS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: registries are freed only when no lookup is counted; we are.
    let registry = unsafe { CURRENT.load(Ordering::SeqCst).as_ref() };
    let result = registry.and_then(|Registry(entries)| {
        let index = entries.partition_point(|entry| entry.start <= pc).checked_sub(1)?;
        let entry = entries.get(index).filter(|entry| pc < entry.end)?;
        // SAFETY: code unregisters itself before it is freed. An address in it is only looked up by a thread that runs
        // it or has it on its stack, and the store of that thread keeps its modules' code.
        let code = unsafe { &*entry.code };
        Some(found(code, code.text_offset(pc)?))
    });
    READERS.fetch_sub(1, Ordering::SeqCst);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::{ArtifactBuilder, Function, Machine};

    fn code() -> Arc<LoadedCode> {
        let mut builder = ArtifactBuilder::new(Machine::X86_64);
        builder.text = vec![0xb8, 42, 0, 0, 0, 0xc3];
        builder.functions.push(Function::new(FunctionKind::Stub(0), "answer", TextOffset(0), 6));
        LoadedCode::load(builder.finish().unwrap()).unwrap()
    }

    #[test]
    fn loaded_code_runs() {
        let code = code();
        let answer = code.function(FunctionKind::Stub(0)).unwrap();
        // SAFETY: the code is `mov eax, 42; ret`.
        let answer: extern "C" fn() -> i32 = unsafe { std::mem::transmute(answer) };
        assert_eq!(answer(), 42);
    }

    #[test]
    fn code_is_found_by_any_of_its_addresses_until_it_is_dropped() {
        let (a, b) = (code(), code());
        let start = a.text_address();
        for pc in start..start + 6 {
            assert_eq!(
                lookup(pc, |found, offset| (std::ptr::from_ref(found), offset.0 as usize)),
                Some((Arc::as_ptr(&a), pc - start))
            );
        }
        assert!(lookup(start + 6, |_, _| ()).is_none());
        assert!(lookup(b.text_address(), |_, _| ()).is_some());
        let b_start = b.text_address();
        drop(b);
        assert!(lookup(b_start, |_, _| ()).is_none());
    }

    #[test]
    fn lookups_and_changes_may_race() {
        let fixed = code();
        let pc = fixed.text_address();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        drop(code());
                        assert!(lookup(pc, |_, _| ()).is_some());
                    }
                });
            }
        });
    }
}
