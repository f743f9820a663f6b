//! Compiled code on disk, found again by what it was made from.
//!
//! In: everything that a result depends on, as something that can be hashed, and a function that computes the result.
//! Out: the result, from the disk if it is there. The key is the SHA-256 of the hashed bytes and of what shapes code
//! without being an input: the engine's version and build, and the processor's features. Two inputs with the same key
//! are thus the same input, and what was computed from one is right for the other.
//!
//! What is read is verified: a file that was cut short, changed or renamed is reported, removed and computed anew. Files
//! appear whole or not at all. The directory must belong to the user alone, since its contents will be executed.
//!
//! Of several processes that need the same result at the same time, one computes it and the others wait for it.
//!
//! A failing disk costs the saving, never the result.

use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// First in every file; changes with the layout of the files.
const MAGIC: &[u8; 16] = b"wasmscope-code\x001";
/// The magic, the checksum.
const HEADER: usize = MAGIC.len() + 32;
const EXTENSION: &str = "code";
/// A temporary file or a lock that is older belongs to a process that is gone.
const STALE: Duration = Duration::from_secs(3600);

/// A directory with compiled code.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
    limit: u64,
    environment: Environment,
}

/// What shapes code without being an input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Environment {
    version: &'static str,
    build: Vec<u8>,
    processor: Vec<u64>,
}

/// Identifies an input.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A result and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The result.
    pub bytes: Vec<u8>,
    /// Was it on the disk?
    pub hit: bool,
    /// What went wrong on the way, as sentences for the user.
    pub problems: Vec<String>,
}

/// The cache cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The directory is not there and cannot be made, or not be looked at.
    #[error("the cache directory `{}` cannot be used: {cause}", .directory.display())]
    Directory {
        /// Its path.
        directory: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Somebody else could put code there.
    #[error("the cache directory `{}` is not used, because other users can write to it", .0.display())]
    NotPrivate(PathBuf),
    /// Builds of the engine cannot be told apart.
    #[error("the cache is not used, because the running program cannot be read: {0}")]
    Build(io::Error),
}

impl Cache {
    /// The cache in `directory`, which is made if it is not there. Its files may take `limit` bytes together.
    ///
    /// # Errors
    ///
    /// When the directory cannot be used or is open to other users.
    pub fn open(directory: impl Into<PathBuf>, limit: u64) -> Result<Cache, CacheError> {
        let directory = directory.into();
        let failed = |cause| CacheError::Directory { directory: directory.clone(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let metadata = fs::metadata(&directory).map_err(failed)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.permissions().mode() & 0o022 != 0 {
            return Err(CacheError::NotPrivate(directory));
        }
        Ok(Cache { directory, limit, environment: Environment::of_this_process().map_err(CacheError::Build)? })
    }

    /// The directory that is used where none is named: `wasmscope` in `$XDG_CACHE_HOME` or `~/.cache`.
    #[must_use]
    pub fn default_directory() -> Option<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(base.join("wasmscope"))
    }

    /// The key for an input: every byte that its `Hash` writes counts.
    #[must_use]
    pub fn key(&self, input: impl Hash) -> Key {
        let mut hasher = StrongHasher(Sha256::new());
        hasher.0.update(MAGIC);
        self.environment.hash(&mut hasher);
        input.hash(&mut hasher);
        Key(hasher.0.finalize().into())
    }

    /// The result for `input`: from the disk, else from `compute`, whose result is kept.
    ///
    /// # Errors
    ///
    /// The error of `compute`. Problems with the disk are told in [`Loaded::problems`].
    pub fn load<E>(&self, input: impl Hash, compute: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Loaded, E> {
        let key = self.key(input);
        let path = self.directory.join(format!("{key}.{EXTENSION}"));
        let mut problems = Vec::new();
        let mut kept = || match read(&path, key) {
            Ok(Some(bytes)) => {
                // Marks it as used; if that fails, it goes earlier than it should.
                let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(bytes)
            }
            Ok(None) => None,
            Err(reason) => {
                problems.push(format!("the cached code `{}` {reason}; compiling again", path.display()));
                let _ = fs::remove_file(&path);
                None
            }
        };
        if let Some(bytes) = kept() {
            return Ok(Loaded { bytes, hit: true, problems });
        }
        // Without one, several may compute the same.
        let _turn = self.turn(key).ok();
        if let Some(bytes) = kept() {
            return Ok(Loaded { bytes, hit: true, problems });
        }
        let bytes = compute()?;
        if let Err(cause) = self.write(&path, key, &bytes).and_then(|()| self.clean(&path)) {
            problems.push(format!("the code cache `{}` cannot be written: {cause}", self.directory.display()));
        }
        Ok(Loaded { bytes, hit: false, problems })
    }

    /// Whether there is a result for `input`. It may be a damaged one.
    #[must_use]
    pub fn contains(&self, input: impl Hash) -> bool {
        self.directory.join(format!("{}.{EXTENSION}", self.key(input))).exists()
    }

    /// Waits until no other process computes the result of `key`.
    fn turn(&self, key: Key) -> io::Result<Turn> {
        let path = self.directory.join(format!("{key}.lock"));
        let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.lock()?;
        Ok(Turn { path, _file: file })
    }

    fn write(&self, path: &Path, key: Key, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix("new-").suffix(".tmp").tempfile_in(&self.directory)?;
        file.write_all(MAGIC)?;
        file.write_all(&checksum(key, bytes))?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    }

    /// Removes the files that were not used for the longest time until the rest is within the limit; `newest` stays.
    fn clean(&self, newest: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            // Another process may remove files at the same time.
            let Ok(metadata) = path.metadata() else { continue };
            let used = metadata.modified()?;
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(EXTENSION) => files.push((used, metadata.len(), path)),
                Some("tmp" | "lock") if used.elapsed().is_ok_and(|age| age > STALE) => drop(fs::remove_file(&path)),
                _ => {}
            }
        }
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort();
        for (_, size, path) in files {
            if total <= self.limit {
                break;
            }
            if path != newest && fs::remove_file(&path).is_ok() {
                total -= size;
            }
        }
        Ok(())
    }
}

/// A locked file. Whoever has it computes a result; the system unlocks it when the process is gone.
struct Turn {
    path: PathBuf,
    _file: File,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before it is unlocked. Who waits for the file has it still, and finds the result.
        let _ = fs::remove_file(&self.path);
    }
}

/// The verified contents of a file: `None` if it is not there, else what is wrong with it.
fn read(path: &Path, key: Key) -> Result<Option<Vec<u8>>, String> {
    let mut contents = match fs::read(path) {
        Ok(contents) => contents,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read ({error})")),
    };
    let Some(header) = contents.get(..HEADER) else {
        return Err(format!("is damaged (it has only {} bytes)", contents.len()));
    };
    if header[..MAGIC.len()] != *MAGIC {
        return Err("is damaged (it does not start like one)".to_owned());
    }
    if header[MAGIC.len()..] != checksum(key, &contents[HEADER..]) {
        return Err("is damaged (its checksum is wrong)".to_owned());
    }
    contents.drain(..HEADER);
    Ok(Some(contents))
}

/// Over the key too, so that a file under another's name is found out.
fn checksum(key: Key, bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(key.0).chain_update(bytes).finalize().into()
}

/// Feeds all that is hashed to SHA-256. `finish` is of no use: 64 bits are not enough.
struct StrongHasher(Sha256);

impl Hasher for StrongHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        u64::from_le_bytes(digest[..8].try_into().expect("8 bytes"))
    }
}

impl Environment {
    fn of_this_process() -> io::Result<Environment> {
        Ok(Environment { version: env!("CARGO_PKG_VERSION"), build: build_id()?, processor: processor_features() })
    }
}

/// Tells builds of the running program apart: the linker's build id if it made one, else the hash of the whole file.
fn build_id() -> io::Result<Vec<u8>> {
    static ID: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(id) = ID.get() {
        return Ok(id.clone());
    }
    let path = std::env::current_exe()?;
    // Not all of it is read: with debug info it is large.
    let parts = object::ReadCache::new(File::open(&path)?);
    let noted = object::File::parse(&parts).ok().and_then(|program| {
        object::Object::build_id(&program).ok().flatten().filter(|id| !id.is_empty()).map(<[u8]>::to_vec)
    });
    let id = match noted {
        Some(id) => id,
        None => Sha256::digest(fs::read(&path)?).to_vec(),
    };
    Ok(ID.get_or_init(|| id).clone())
}

/// The bits by which the processor and the system say what instructions there are.
#[cfg(target_arch = "x86_64")]
fn processor_features() -> Vec<u64> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    let mut bits = Vec::new();
    let mut push = |registers: &[u32]| bits.extend(registers.iter().map(|&register| u64::from(register)));
    let highest = __cpuid(0).eax;
    // ebx of leaf 1 holds the number of the core that we happen to run on.
    let basic = __cpuid(1);
    push(&[basic.ecx, basic.edx]);
    if highest >= 7 {
        for leaf in 0..=__cpuid_count(7, 0).eax.min(2) {
            let extended = __cpuid_count(7, leaf);
            push(&[extended.eax, extended.ebx, extended.ecx, extended.edx]);
        }
    }
    if __cpuid(0x8000_0000).eax >= 0x8000_0001 {
        let more = __cpuid(0x8000_0001);
        push(&[more.ecx, more.edx]);
    }
    // Which registers the system saves decides whether their instructions are used.
    push(&[u32::from(std::is_x86_feature_detected!("avx")), u32::from(std::is_x86_feature_detected!("avx512f"))]);
    bits
}

/// The bits by which the processor and the system say what instructions there are.
#[cfg(not(target_arch = "x86_64"))]
fn processor_features() -> Vec<u64> {
    let (first, second) = rustix::param::linux_hwcap();
    vec![first as u64, second as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DebugInfo, OptLevel, PointerFlavour, Tunables};
    use std::collections::HashSet;
    use std::convert::Infallible;

    fn cache(directory: &tempfile::TempDir) -> Cache {
        Cache::open(directory.path().join("code"), 1 << 20).unwrap()
    }

    fn compute(bytes: &[u8]) -> impl FnOnce() -> Result<Vec<u8>, Infallible> {
        let bytes = bytes.to_vec();
        move || Ok(bytes)
    }

    fn never() -> Result<Vec<u8>, &'static str> {
        Err("computed again")
    }

    #[test]
    fn every_setting_is_part_of_the_key() {
        // Written without `..`: a setting that is added must be added here.
        let Tunables {
            opt_level: _,
            debug_info: _,
            pointer_flavour: _,
            dwarf_version: _,
            wasm_variables: _,
            interruptible: _,
            memory_reservation: _,
            memory_guard_size: _,
            relaxed_simd_deterministic: _,
            collect_always: _,
            target: _,
        } = Tunables::default();
        let changes: [fn(&mut Tunables); 14] = [
            |_| {},
            |t| t.opt_level = OptLevel::None,
            |t| t.opt_level = OptLevel::SpeedAndSize,
            |t| t.debug_info = DebugInfo::Lines,
            |t| t.debug_info = DebugInfo::Full,
            |t| t.pointer_flavour = PointerFlavour::Lldb,
            |t| t.dwarf_version = 4,
            |t| t.wasm_variables = true,
            |t| t.interruptible = true,
            |t| t.memory_reservation = 1 << 31,
            |t| t.memory_guard_size = 1 << 16,
            |t| t.relaxed_simd_deterministic = true,
            |t| t.collect_always = true,
            |t| t.target = "aarch64-unknown-linux-gnu".parse().unwrap(),
        ];
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(&directory);
        let mut keys = HashSet::new();
        for change in changes {
            let mut tunables = Tunables::default();
            change(&mut tunables);
            assert!(keys.insert(cache.key((b"wasm", &tunables))), "{tunables:?} has the key of other settings");
            assert_eq!(cache.key((b"wasm", &tunables)), cache.key((b"wasm", &tunables.clone())));
        }
        assert!(keys.insert(cache.key((b"wasn", &Tunables::default()))), "the module is not part of the key");
    }

    #[test]
    fn version_build_and_processor_are_part_of_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let original = cache(&directory);
        let mut keys = HashSet::from([original.key("input")]);
        let changes: [fn(&mut Environment); 3] =
            [|e| e.version = "0.0.0-other", |e| e.build[0] ^= 1, |e| e.processor[0] ^= 1];
        for change in changes {
            let mut changed = original.clone();
            change(&mut changed.environment);
            assert!(keys.insert(changed.key("input")));
        }
        assert!(!original.environment.build.is_empty());
    }

    #[test]
    fn neighbouring_inputs_do_not_run_together() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(&directory);
        assert_ne!(cache.key(("ab", "c")), cache.key(("a", "bc")));
        assert_ne!(cache.key((vec![1_u8, 2], vec![3_u8])), cache.key((vec![1_u8], vec![2_u8, 3])));
    }

    #[test]
    fn a_kept_result_is_not_computed_again() {
        let directory = tempfile::tempdir().unwrap();
        let first = cache(&directory).load("input", compute(b"code")).unwrap();
        assert_eq!(first, Loaded { bytes: b"code".to_vec(), hit: false, problems: vec![] });
        let second = cache(&directory).load("input", never).unwrap();
        assert_eq!(second, Loaded { bytes: b"code".to_vec(), hit: true, problems: vec![] });
        assert_eq!(cache(&directory).load("other", never), Err("computed again"));
    }

    #[test]
    fn who_needs_what_is_being_computed_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let cache = &cache(&directory);
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let compute = || {
                    begun.send(()).unwrap();
                    may_end.recv().unwrap();
                    Ok::<_, Infallible>(b"code".to_vec())
                };
                assert!(!cache.load("input", compute).unwrap().hit);
            });
            has_begun.recv().unwrap();
            assert!(!cache.contains("input"));
            let second = scope.spawn(|| cache.load("input", never));
            let third = scope.spawn(|| cache.load("input", never));
            end.send(()).unwrap();
            for waited in [second, third] {
                assert_eq!(waited.join().unwrap(), Ok(Loaded { bytes: b"code".to_vec(), hit: true, problems: vec![] }));
            }
        });
        assert!(cache.contains("input"));
        assert_eq!(fs::read_dir(&cache.directory).unwrap().count(), 1, "no lock is left");
    }

    #[test]
    fn who_waits_for_a_computation_that_fails_computes_it() {
        let directory = tempfile::tempdir().unwrap();
        let cache = &cache(&directory);
        let (begun, has_begun) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let fail = || {
                    begun.send(()).unwrap();
                    never()
                };
                assert!(cache.load("input", fail).is_err());
            });
            has_begun.recv().unwrap();
            assert_eq!(cache.load("input", compute(b"code")).unwrap().bytes, b"code");
        });
        assert!(cache.load("input", never).unwrap().hit);
    }

    #[test]
    fn damage_anywhere_is_reported_and_repaired() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(&directory);
        cache.load("input", compute(b"code")).unwrap();
        let path = cache.directory.join(format!("{}.{EXTENSION}", cache.key("input")));
        let good = fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|length| good[..length].to_vec()).collect();
        damaged.extend((0..good.len()).map(|at| {
            let mut changed = good.clone();
            changed[at] ^= 0x40;
            changed
        }));
        damaged.push([&good[..], b"x"].concat());
        for contents in damaged {
            fs::write(&path, &contents).unwrap();
            let loaded = cache.load("input", compute(b"code")).unwrap();
            assert_eq!((loaded.bytes, loaded.hit), (b"code".to_vec(), false));
            assert!(loaded.problems.len() == 1 && loaded.problems[0].contains("is damaged"), "{:?}", loaded.problems);
            assert_eq!(fs::read(&path).unwrap(), good);
        }
    }

    #[test]
    fn a_file_under_anothers_name_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(&directory);
        cache.load("one", compute(b"code")).unwrap();
        let path = |input: &str| cache.directory.join(format!("{}.{EXTENSION}", cache.key(input)));
        fs::copy(path("one"), path("two")).unwrap();
        let loaded = cache.load("two", compute(b"other code")).unwrap();
        assert_eq!((loaded.bytes.as_slice(), loaded.hit, loaded.problems.len()), (&b"other code"[..], false, 1));
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path(), 2500).unwrap();
        let used = |input: &str, seconds: u64| {
            let path = cache.directory.join(format!("{}.{EXTENSION}", cache.key(input)));
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::open(path).unwrap().set_modified(time).unwrap();
        };
        cache.load("a", compute(&[1; 1000])).unwrap();
        used("a", 1000);
        cache.load("b", compute(&[2; 1000])).unwrap();
        used("b", 2000);
        assert!(cache.load("a", never).unwrap().hit); // now `b` is the older one
        cache.load("c", compute(&[3; 1000])).unwrap();
        assert!(cache.load("a", never).is_ok());
        assert!(cache.load("c", never).is_ok());
        assert!(cache.load("b", never).is_err());
    }

    #[test]
    fn a_result_larger_than_the_limit_is_still_given() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path(), 10).unwrap();
        assert_eq!(cache.load("a", compute(&[1; 1000])).unwrap().bytes, [1; 1000]);
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Cache::open(directory.path(), 1), Err(CacheError::NotPrivate(_))));
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(Cache::open(file, 1), Err(CacheError::Directory { .. })));
    }

    #[test]
    fn a_cache_that_cannot_be_written_costs_the_saving_only() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(&directory);
        fs::remove_dir(&cache.directory).unwrap();
        let loaded = cache.load("input", compute(b"code")).unwrap();
        assert_eq!(loaded.bytes, b"code");
        assert!(loaded.problems[0].contains("cannot be written"), "{:?}", loaded.problems);
    }
}
