//! Core files of processes that ran guest code: which program left one, and whether a debugger will find guest code in it.
//!
//! A debugger that is given a core file and the wrong program, or half a file, shows nonsense or nothing at all and hardly
//! says why. So what can be known from the file itself is checked first: its notes (core(5): `NT_FILE`, `NT_AUXV`), its
//! segments, and the list of the JIT interface in the memory that it holds.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, ReadCache, ReadRef};
use thiserror::Error;

/// The symbol of the JIT interface's list.
const DESCRIPTOR: &str = "__jit_debug_descriptor";

/// The place of `first_entry` in the list's head, and of `symfile_addr` and `symfile_size` in an entry.
const FIRST_ENTRY: u64 = 16;
const SYMFILE: u64 = 16;

/// `AT_ENTRY` of getauxval(3): where the program begins.
const AT_ENTRY: u64 = 9;

/// A list that is longer is a circle.
const MOST_IMAGES: usize = 1 << 20;

/// The core file of a process with guest code that debuggers can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreFile {
    executable: PathBuf,
    images: Vec<Vec<u8>>,
}

/// A file cannot be debugged as a core file.
#[derive(Debug, Error)]
pub enum CoreError {
    /// There is no such file, or it may not be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("`{}` is not a core file: {what}", path.display())]
    NoCore {
        /// Which file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// The end of the file is missing.
    #[error(
        "`{}` is cut off: it has {len} of {whole} bytes, and debuggers would show what is missing as unreadable or not \
         at all; was there a limit (`ulimit -c unlimited` lifts it), or was the disk full?", path.display()
    )]
    CutOff {
        /// Which file.
        path: PathBuf,
        /// How long it is.
        len: u64,
        /// How long it was to be.
        whole: u64,
    },
    /// The program that left it is not there, or is another by now.
    #[error("`{}` was left by `{}`, {problem}", path.display(), executable.display())]
    Executable {
        /// Which file.
        path: PathBuf,
        /// The program.
        executable: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl CoreFile {
    /// Reads what there is to know of a core file.
    ///
    /// # Errors
    ///
    /// Fails if the file is no core file of this kind of machine, is cut off, or if the program that left it is gone,
    /// has changed, or has shown no code to debuggers.
    pub fn open(path: &Path) -> Result<Self, CoreError> {
        let unreadable = |source| CoreError::Unreadable { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        let no_core = |what: String| CoreError::NoCore { path: path.to_owned(), what };
        if !metadata.is_file() {
            return Err(no_core("it is no file".to_owned()));
        }
        let cache = ReadCache::new(File::open(path).map_err(unreadable)?);
        let core = Segments::read(&cache, metadata.len()).map_err(|problem| match problem {
            Problem::Other(what) => no_core(what),
            Problem::CutOff { len, whole } => CoreError::CutOff { path: path.to_owned(), len, whole },
        })?;
        let Some((entry, executable)) = core.program() else {
            return Err(no_core(
                "it does not say which program left it (its notes lack NT_FILE or NT_AUXV)".to_owned(),
            ));
        };
        let wrong = |problem: String| CoreError::Executable {
            path: path.to_owned(),
            executable: executable.path.clone(),
            problem,
        };
        let program = fs::read(&executable.path).map_err(|error| wrong(format!("which cannot be read: {error}")))?;
        if core.has_changed(executable, &program) {
            return Err(wrong("which was built anew since; debug it with the program as it was then".to_owned()));
        }
        let descriptor = descriptor(&program, entry).ok_or_else(|| {
            wrong("which has no code for debuggers: only `wasmscope` and programs that embed it have".to_owned())
        })?;
        let images = core.images(descriptor);
        if images.is_empty() {
            return Err(wrong("when it showed no guest code to debuggers: run it with `-g`".to_owned()));
        }
        Ok(Self { executable: executable.path.clone(), images })
    }

    /// The program that left it.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Has an image that was shown to debuggers this symbol?
    pub fn has_symbol(&self, name: &str) -> bool {
        self.images.iter().any(|image| {
            object::File::parse(image.as_slice())
                .is_ok_and(|file| file.symbols().any(|symbol| symbol.name_bytes() == Ok(name.as_bytes())))
        })
    }
}

/// The address of the JIT interface's list in a process of `program` that began at `entry`.
fn descriptor(program: &[u8], entry: u64) -> Option<u64> {
    let file = object::File::parse(program).ok()?;
    let symbol = file
        .symbols()
        .chain(file.dynamic_symbols())
        .find(|symbol| symbol.is_definition() && symbol.name_bytes() == Ok(DESCRIPTOR.as_bytes()))?;
    Some(symbol.address().wrapping_add(entry.wrapping_sub(file.entry())))
}

enum Problem {
    Other(String),
    CutOff { len: u64, whole: u64 },
}

/// A file that was mapped into the process.
#[derive(Debug)]
struct MappedFile {
    start: u64,
    end: u64,
    offset: u64,
    path: PathBuf,
}

/// Memory that the file holds, and what its notes say.
struct Segments<'a> {
    cache: &'a ReadCache<File>,
    /// (address, offset in the file, size).
    memory: Vec<(u64, u64, u64)>,
    files: Vec<MappedFile>,
    entry: Option<u64>,
}

impl<'a> Segments<'a> {
    fn read(cache: &'a ReadCache<File>, len: u64) -> Result<Self, Problem> {
        let other = |what: &str| Problem::Other(what.to_owned());
        if cache.read_bytes_at(0, 4) != Ok(&elf::ELFMAG) {
            return Err(other("it does not begin as an ELF file does (is it compressed?)"));
        }
        let header = elf::FileHeader64::<Endianness>::parse(cache)
            .map_err(|_| other("it is an ELF file of another kind than those of 64-bit machines, or is cut off"))?;
        let endian = header.endian().map_err(|error| Problem::Other(error.to_string()))?;
        if header.e_type(endian) != elf::ET_CORE {
            return Err(other("it is an ELF file, but a program or library"));
        }
        let machine = if cfg!(target_arch = "x86_64") { elf::EM_X86_64 } else { elf::EM_AARCH64 };
        if header.e_machine(endian) != machine {
            return Err(other("it was left on another kind of machine"));
        }
        let cut_off = |whole: u64| Problem::CutOff { len, whole };
        let table = header.e_phoff(endian) + u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
        let Ok(segments) = header.program_headers(endian, cache) else { return Err(cut_off(table)) };
        let whole = segments.iter().map(|it| it.p_offset(endian).saturating_add(it.p_filesz(endian))).max();
        if let Some(whole) = whole.filter(|&whole| whole > len) {
            return Err(cut_off(whole));
        }
        let mut found = Self { cache, memory: Vec::new(), files: Vec::new(), entry: None };
        for segment in segments {
            if segment.p_type(endian) == elf::PT_LOAD && segment.p_filesz(endian) > 0 {
                found.memory.push((segment.p_vaddr(endian), segment.p_offset(endian), segment.p_filesz(endian)));
            }
            let Ok(Some(mut notes)) = segment.notes(endian, cache) else { continue };
            while let Ok(Some(note)) = notes.next() {
                if note.name() != b"CORE" {
                    continue;
                }
                match note.n_type(endian) {
                    elf::NT_FILE => found.files = mapped_files(note.desc()).unwrap_or_default(),
                    elf::NT_AUXV => {
                        let words: Vec<u64> = words(note.desc()).collect();
                        found.entry =
                            words.chunks_exact(2).find(|pair| pair[0] == AT_ENTRY).map(|pair| pair[1]).or(found.entry);
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    /// Where the program begins, and its file.
    fn program(&self) -> Option<(u64, &MappedFile)> {
        let entry = self.entry?;
        Some((entry, self.files.iter().find(|it| (it.start..it.end).contains(&entry))?))
    }

    /// Is the program another one by now? Systems keep the first page of each program that was mapped.
    fn has_changed(&self, executable: &MappedFile, program: &[u8]) -> bool {
        let first = self.files.iter().find(|it| it.path == executable.path && it.offset == 0);
        let Some(kept) = first.and_then(|it| self.bytes(it.start, (it.end - it.start).min(4096))) else { return false };
        !program.starts_with(kept)
    }

    /// Bytes of the process's memory.
    fn bytes(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        let within = |&&(start, _, len): &&(u64, u64, u64)| address >= start && address - start < len;
        let &(start, offset, len) = self.memory.iter().find(within)?;
        let at = address - start;
        if size > len - at { None } else { self.cache.read_bytes_at(offset + at, size).ok() }
    }

    fn word(&self, address: u64) -> Option<u64> {
        words(self.bytes(address, 8)?).next()
    }

    /// The images that debuggers were shown.
    fn images(&self, descriptor: u64) -> Vec<Vec<u8>> {
        let mut images = Vec::new();
        let mut entry = self.word(descriptor + FIRST_ENTRY).unwrap_or(0);
        for _ in 0..MOST_IMAGES {
            if entry == 0 {
                break;
            }
            let image = self.word(entry + SYMFILE).zip(self.word(entry + SYMFILE + 8));
            images.extend(image.and_then(|(address, size)| self.bytes(address, size)).map(<[u8]>::to_vec));
            entry = self.word(entry).unwrap_or(0);
        }
        images
    }
}

/// A note's words, in the byte order of this machine's processes.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word))
}

/// `NT_FILE`: how many files, the unit of their offsets, (start, end, offset) of each, and then their names.
fn mapped_files(note: &[u8]) -> Option<Vec<MappedFile>> {
    let mut numbers = words(note);
    let count = usize::try_from(numbers.next()?).ok()?;
    let unit = numbers.next()?;
    let mut names = note.get(count.checked_mul(24)?.checked_add(16)?..)?.split(|&byte| byte == 0);
    let mut files = Vec::new();
    for _ in 0..count {
        let (start, end, offset) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(names.next()?));
        files.push(MappedFile { start, end, offset: offset.checked_mul(unit)?, path });
    }
    Some(files)
}
