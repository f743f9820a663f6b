//! Loaded code, and which code an address belongs to.

use super::code_memory::{self, CodeMemory};
use artifact::{Artifact, ArtifactError, FunctionKind, TextOffset};
use std::io;
use std::sync::Arc;

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
    /// Borrows from `bytes`; declared before them.
    artifact: Artifact<'static>,
    memory: CodeMemory,
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
        let map_error = |source| LoadError::Map { len: frames_at + frames.len(), source };
        // SAFETY: the table is an artifact's, at the distance from its text that it was written for.
        let memory = unsafe { CodeMemory::load(code, frames_at, frames) }.map_err(map_error)?;
        let loaded = Arc::new(LoadedCode { artifact, memory, bytes });
        loaded.memory.set_code(Arc::as_ptr(&loaded).cast_mut());
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
        self.memory.text() as usize
    }

    /// The code of a function or trampoline.
    pub fn function(&self, kind: FunctionKind) -> Option<*const u8> {
        let (_, row) = self.artifact.function_by_kind(kind)?;
        debug_assert!(row.text.0 as usize <= self.memory.text_len());
        Some(self.memory.text().wrapping_add(row.text.0 as usize))
    }

    /// Where in the text an address lies.
    pub fn text_offset(&self, pc: usize) -> Option<TextOffset> {
        let offset = pc.checked_sub(self.text_address())?;
        if offset < self.memory.text_len() { u32::try_from(offset).ok().map(TextOffset) } else { None }
    }
}

/// Finds the code that an address belongs to and passes it to `found`. Takes no lock, allocates nothing: fit for a
/// signal handler if `found` is. `found` must not panic.
pub fn lookup<R>(pc: usize, found: impl FnOnce(&LoadedCode, TextOffset) -> R) -> Option<R> {
    code_memory::lookup(pc, |code| {
        // SAFETY: code takes itself out of its pages before it is freed. An address in it is only looked up by a thread
        // that runs it or has it on its stack, and the store of that thread keeps its modules' code.
        let code = unsafe { code.as_ref()? };
        Some(found(code, code.text_offset(pc)?))
    })
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
    fn memory_of_dropped_code_is_given_back_while_its_neighbours_stay() {
        /// What can be done at an address, as the system lists it.
        fn access(address: usize) -> Option<String> {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.lines().find_map(|line| {
                let (range, rest) = line.split_once(' ')?;
                let (start, end) = range.split_once('-')?;
                let number = |text| usize::from_str_radix(text, 16).unwrap();
                (number(start)..number(end)).contains(&address).then(|| rest[..4].to_owned())
            })
        }
        let (before, dropped, after) = (code(), code(), code());
        let place = dropped.text_address();
        assert_eq!(access(place).as_deref(), Some("r-xp"));
        drop(dropped);
        assert_eq!(access(place).as_deref(), Some("---p"));
        for code in [before, after] {
            assert_eq!(access(code.text_address()).as_deref(), Some("r-xp"));
            assert!(lookup(code.text_address(), |_, _| ()).is_some());
        }
        assert!(lookup(place, |_, _| ()).is_none());
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
