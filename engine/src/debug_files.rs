//! Debug info of a module that lies in other files: where it is looked for, and what is found.
//!
//! - A module without DWARF may have it in a *separate debug file*: the one that its `external_debug_info` section names, or
//!   one where debuggers look for such files by convention: beside the module as `NAME.debug.wasm`, `NAME.wasm.debug` or
//!   `.debug/NAME.wasm.debug`, and below `/usr/lib/debug` by build ID and by path.
//! - *Split units* lie in `.dwo` files or in a package of these. The package is looked for as `NAME.wasm.dwp` and
//!   `NAME.dwp` beside the module (as it is named, then as it is with links resolved) and by its name below
//!   `/usr/lib/debug`; a `.dwo` file in the directory of compilation, then beside the module by its path and by its name
//!   alone, then in the working directory and below `/usr/lib/debug`.
//!
//! - *Sources* of C, C++ and Rust tell which lines have code that the wasm does without, and which variables keep their values. They
//!   are taken from where the line table says that they were (relative paths: to the working directory, then to the module), if they
//!   are what was compiled (where the table says what that was). Headers without code, which no line table names, are looked for where
//!   others include them.
//!
//! The first file that exists is taken. A separate debug file that was made for other code is refused.

use crate::environ::DebugInfo;
use md5::{Digest, Md5};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use wasmparser::{BinaryReader, Parser, Payload};

/// Below which systems keep debug files.
const SYSTEM_DIRECTORY: &str = "/usr/lib/debug";

/// The largest source file that is looked at, and how much of all sources together.
const MAX_SOURCE: u64 = 64 << 20;
const MAX_SOURCES: u64 = 256 << 20;

/// In how many directories headers are looked for, and at how many places together.
const MAX_DIRECTORIES: usize = 64;
const MAX_TRIED: usize = 20_000;

/// The contents of a debug file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DebugFile {
    /// Its path.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A source file that may be what was compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// Its path, as the line table has it.
    pub name: String,
    /// All of it.
    pub text: Vec<u8>,
    /// The MD5 sum of what was compiled, if the line table has it.
    pub md5: Option<[u8; 16]>,
}

impl Source {
    /// Is it what was compiled, as far as can be known?
    #[must_use]
    pub fn is_original(&self) -> bool {
        self.md5.is_none_or(|md5| md5[..] == Md5::digest(&self.text)[..])
    }

    pub(crate) fn as_source(&self) -> dwarf_transform::GuestSource<'_> {
        dwarf_transform::GuestSource { path: &self.name, text: &self.text }
    }
}

/// The files that hold the debug info of a module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct DebugFiles {
    /// The separate debug file, if the module itself has no DWARF.
    pub separate: Option<DebugFile>,
    /// The files with split units.
    pub split: Vec<DebugFile>,
    /// Source files that line tables name. Those that are not [`Source::is_original`] are not looked at.
    pub sources: Vec<Source>,
    /// What the sources include and no line table names: headers that have macros, but no code.
    pub headers: Vec<Source>,
    /// What was looked for in vain, as sentences for the user.
    pub warnings: Vec<String>,
}

impl DebugFiles {
    /// Looks for the debug files of the module at `path`, whose contents are `wasm`: those that `debug_info` makes use of. Only
    /// full debug info does of sources.
    #[must_use]
    pub fn find(path: &Path, wasm: &[u8], debug_info: DebugInfo) -> DebugFiles {
        let mut files = DebugFiles::default();
        if debug_info == DebugInfo::None {
            return files;
        }
        let sections = Sections::read(wasm);
        if !sections.has_dwarf() {
            files.find_separate(path, &sections);
        }
        let separate = files.separate.as_ref().map(|file| Sections::read(&file.bytes));
        let sections = separate.unwrap_or(sections);
        let sections = sections.debug();
        let dwarf_transform::NamedFiles { split_units: units, sources } = dwarf_transform::named_files(&sections);
        if debug_info == DebugInfo::Full {
            let mut rest = MAX_SOURCES;
            files.sources = read_sources(directory_of(path), sources, &mut rest);
            files.headers = read_headers(directory_of(path), &files.sources, &mut rest);
        }
        if units.is_empty() {
            return files;
        }
        let mut split: Vec<DebugFile> = package_places(path).iter().find_map(|place| read(place)).into_iter().collect();
        let packaged = !split.is_empty();
        let mut tried = HashSet::new();
        for unit in units {
            // With a package there are no other files.
            if packaged || !tried.insert((unit.name.clone(), unit.directory.clone())) {
                continue;
            }
            split.extend(split_places(path, &unit).iter().find_map(|place| read(place)));
        }
        files.split = split;
        files
    }

    /// The separate debug file of a module without DWARF.
    fn find_separate(&mut self, path: &Path, sections: &Sections<'_>) {
        let named = sections.external();
        let mut refused = Vec::new();
        for place in separate_places(path, named.as_deref(), sections.build_id()) {
            let Some(file) = read(&place) else { continue };
            let found = Sections::read(&file.bytes);
            if !found.has_dwarf() {
                continue;
            }
            if !sections.same_code(&found) {
                refused.push(file.name);
                continue;
            }
            self.separate = Some(file);
            return;
        }
        if !refused.is_empty() {
            self.warnings.push(format!("the debug file `{}` was made for other code, so it is not used", refused[0]));
        } else if let Some(named) = named {
            self.warnings.push(format!("the debug info is in the file `{named}`, which was not found"));
        }
    }

    /// The sections of the separate debug file.
    pub(crate) fn separate_sections(&self) -> dwarf_transform::GuestSections<'_> {
        self.separate.as_ref().map(|file| Sections::read(&file.bytes).debug()).unwrap_or_default()
    }

    /// The files with split units.
    pub(crate) fn split_files(&self) -> Vec<dwarf_transform::GuestSplitFile<'_>> {
        self.split
            .iter()
            .map(|file| dwarf_transform::GuestSplitFile {
                name: &file.name,
                sections: Sections::read(&file.bytes).debug(),
            })
            .collect()
    }
}

/// What of a wasm file matters here. A file that ends in nonsense has what comes before.
#[derive(Default)]
struct Sections<'a> {
    custom: Vec<(&'a str, &'a [u8])>,
    code: Option<&'a [u8]>,
}

impl<'a> Sections<'a> {
    fn read(wasm: &'a [u8]) -> Sections<'a> {
        let mut sections = Sections::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload {
                Ok(Payload::CustomSection(section)) => sections.custom.push((section.name(), section.data())),
                Ok(Payload::CodeSectionStart { range, .. }) => sections.code = wasm.get(range),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        sections
    }

    fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.custom.iter().find(|section| section.0 == name).map(|section| section.1)
    }

    fn has_dwarf(&self) -> bool {
        self.get(".debug_info").is_some_and(|bytes| !bytes.is_empty())
    }

    fn debug(&self) -> dwarf_transform::GuestSections<'a> {
        dwarf_transform::GuestSections {
            sections: self
                .custom
                .iter()
                .filter(|section| section.0.starts_with(".debug_"))
                .map(|&(name, bytes)| dwarf_transform::GuestSection { name, bytes })
                .collect(),
        }
    }

    /// The path or address in `external_debug_info`.
    fn external(&self) -> Option<String> {
        let bytes = self.get("external_debug_info")?;
        let name = BinaryReader::new(bytes, 0).read_string().ok()?;
        Some(name.to_owned())
    }

    /// The build ID, which the section `build_id` holds with its length before it.
    fn build_id(&self) -> Option<&'a [u8]> {
        let mut reader = BinaryReader::new(self.get("build_id")?, 0);
        let length = reader.read_var_u32().ok()?;
        reader.read_bytes(length as usize).ok().filter(|id| id.len() > 1)
    }

    /// Whether the debug info in `debug` can be for this module.
    fn same_code(&self, debug: &Sections<'_>) -> bool {
        match (self.build_id(), debug.build_id()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => debug.code.is_none() || debug.code == self.code,
        }
    }
}

/// The sources that are there, of a reasonable size. Only where there are several of one name does it matter here which is the
/// original: sums take longer than reading.
fn read_sources(beside: &Path, named: Vec<dwarf_transform::SourceFile>, rest: &mut u64) -> Vec<Source> {
    let mut read = |place: &Path, source: &dwarf_transform::SourceFile| {
        Some(Source { name: source.path.clone(), text: read_source(place, rest)?, md5: source.md5 })
    };
    let found = named.into_iter().filter_map(|source| {
        let as_named = Path::new(&source.path);
        let beside = as_named.is_relative().then(|| beside.join(as_named));
        let first = read(as_named, &source);
        let mut second = || read(beside.as_deref()?, &source);
        match first {
            Some(first) if beside.as_ref().is_none_or(|it| !it.exists()) || first.is_original() => Some(first),
            _ => second(),
        }
    });
    found.collect()
}

/// The text of a file of a reasonable size; `rest` says how much may still be read.
fn read_source(place: &Path, rest: &mut u64) -> Option<Vec<u8>> {
    let size = fs::metadata(place).ok().filter(fs::Metadata::is_file)?.len();
    *rest = rest.checked_sub(size).filter(|_| size <= MAX_SOURCE)?;
    let mut text = Vec::new();
    File::open(place).ok()?.take(MAX_SOURCE).read_to_end(&mut text).ok()?;
    Some(text)
}

/// What sources of C and C++ include, directly or not, beyond themselves. It is looked for where the file is that includes it, and where
/// the sources are: the compiler's options are not known.
fn read_headers(beside: &Path, sources: &[Source], rest: &mut u64) -> Vec<Source> {
    let directory = |name: &str| match Path::new(name) {
        name if name.is_relative() && !name.exists() => plain(&beside.join(directory_of(name))),
        name => plain(directory_of(name)),
    };
    let is_c = |source: &&Source| !source.name.ends_with(".rs");
    let sources: Vec<(PathBuf, &Source)> = sources.iter().filter(is_c).map(|it| (directory(&it.name), it)).collect();
    let path =
        |(directory, source): &(PathBuf, &Source)| Path::new(&source.name).file_name().map(|name| directory.join(name));
    let mut known: HashSet<PathBuf> = sources.iter().filter_map(path).collect();
    let mut directories: Vec<&PathBuf> = sources.iter().map(|(directory, _)| directory).collect();
    directories.sort_unstable();
    directories.dedup();
    directories.truncate(MAX_DIRECTORIES);
    let names = |text: &[u8]| -> Vec<PathBuf> {
        let names = dwarf_transform::included_files(text).into_iter();
        names.filter_map(|name| std::str::from_utf8(name).ok().map(PathBuf::from)).collect()
    };
    let mut headers: Vec<Source> = Vec::new();
    let mut tried: HashSet<PathBuf> = HashSet::new();
    let mut open: Vec<(PathBuf, Vec<PathBuf>)> =
        sources.iter().map(|(directory, source)| (directory.clone(), names(&source.text))).collect();
    while let Some((own, names_there)) = open.pop() {
        for name in names_there {
            let places = std::iter::once(&own).chain(directories.iter().copied()).map(|it| plain(&it.join(&name)));
            for place in places {
                if known.contains(&place) {
                    break;
                }
                if tried.len() >= MAX_TRIED || !tried.insert(place.clone()) {
                    continue;
                }
                let Some((text, path)) = read_source(&place, rest).zip(place.to_str()) else { continue };
                open.push((directory_of(&place).to_owned(), names(&text)));
                headers.push(Source { name: path.to_owned(), text, md5: None });
                known.insert(place);
                break;
            }
        }
    }
    headers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    headers
}

/// A path without `.` and `..`, as far as its text tells.
fn plain(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(found.components().next_back(), Some(Component::Normal(_))) => {
                found.pop();
            }
            part => found.push(part),
        }
    }
    found
}

/// A file that is a module. Modules name any path: pipes and devices, which may never end, are none.
fn read(path: &Path) -> Option<DebugFile> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut file = File::open(path).ok()?;
    let mut bytes = vec![0; 4];
    file.read_exact(&mut bytes).ok().filter(|()| bytes == b"\0asm")?;
    file.read_to_end(&mut bytes).ok()?;
    Some(DebugFile { name: path.display().to_string(), bytes })
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The path with something after its whole name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn separate_places(path: &Path, named: Option<&str>, build_id: Option<&[u8]>) -> Vec<PathBuf> {
    let directory = directory_of(path);
    let mut places = Vec::new();
    if let Some(named) = named {
        let named = Path::new(named.strip_prefix("file://").unwrap_or(named));
        places.push(directory.join(named));
        places.extend(named.file_name().map(|name| directory.join(name)));
    }
    places.push(path.with_extension("debug.wasm"));
    places.push(with_suffix(path, ".debug"));
    let file_name = path.file_name().map(Path::new);
    places.extend(file_name.map(|name| with_suffix(&directory.join(".debug").join(name), ".debug")));
    if let Some(id) = build_id {
        let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let (first, rest) = digits.split_at(2);
        places.push(format!("{SYSTEM_DIRECTORY}/.build-id/{first}/{rest}.debug").into());
    }
    if let Ok(absolute) = fs::canonicalize(path) {
        places.push(format!("{SYSTEM_DIRECTORY}{}.debug", absolute.display()).into());
    }
    // The module itself has none.
    places.retain(|place| place != path);
    places
}

fn package_places(path: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for path in [Some(path.to_owned()), fs::canonicalize(path).ok()].into_iter().flatten() {
        places.push(with_suffix(&path, ".dwp"));
        places.push(path.with_extension("dwp"));
    }
    if let Some(name) = path.file_name() {
        places.push(with_suffix(&Path::new(SYSTEM_DIRECTORY).join(name), ".dwp"));
    }
    places
}

fn split_places(path: &Path, unit: &dwarf_transform::SplitUnit) -> Vec<PathBuf> {
    let name = Path::new(&unit.name);
    let beside = directory_of(path);
    // A relative directory of compilation (-fdebug-compilation-dir=.) is relative to where the module is.
    let compiled_in = unit.directory.as_deref().map_or_else(|| beside.to_owned(), |directory| beside.join(directory));
    let mut places = vec![compiled_in.join(name)];
    places.push(beside.join(name));
    places.extend(name.file_name().map(|name| beside.join(name)));
    if name.is_relative() {
        places.push(name.to_owned());
        places.push(Path::new(SYSTEM_DIRECTORY).join(name));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(name: &str, contents: &[u8]) -> Vec<u8> {
        let mut section = vec![name.len() as u8];
        section.extend_from_slice(name.as_bytes());
        section.extend_from_slice(contents);
        let mut bytes = vec![0, section.len() as u8];
        bytes.extend(section);
        bytes
    }

    fn module(parts: &[Vec<u8>]) -> Vec<u8> {
        [b"\0asm\x01\0\0\0".to_vec(), parts.concat()].concat()
    }

    /// The sections of a module with one function that does nothing, or with two.
    fn code(bodies: u8) -> Vec<u8> {
        let types = vec![1, 4, 1, 0x60, 0, 0];
        let functions = [vec![3, 1 + bodies, bodies], vec![0; bodies.into()]].concat();
        let code = [vec![10, 1 + 3 * bodies, bodies], [2, 0, 0x0b].repeat(bodies.into())].concat();
        [types, functions, code].concat()
    }

    #[test]
    fn the_named_debug_file_is_taken_if_it_is_for_the_same_code() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program.wasm");
        let wasm = module(&[code(1), custom("external_debug_info", b"\x09other.dbg")]);
        let found = DebugFiles::find(&path, &wasm, DebugInfo::Full);
        assert_eq!(found.separate, None);
        assert!(found.warnings[0].contains("`other.dbg`, which was not found"), "{:?}", found.warnings);

        let named = directory.path().join("other.dbg");
        fs::write(&named, module(&[code(2), custom(".debug_info", b"x")])).unwrap();
        let found = DebugFiles::find(&path, &wasm, DebugInfo::Full);
        assert_eq!(found.separate, None);
        assert!(found.warnings[0].contains("was made for other code"), "{:?}", found.warnings);

        let debug = module(&[code(1), custom(".debug_info", b"x")]);
        fs::write(&named, &debug).unwrap();
        let found = DebugFiles::find(&path, &wasm, DebugInfo::Full);
        assert_eq!(found.separate.unwrap().bytes, debug);
        assert_eq!(found.warnings, Vec::<String>::new());
    }

    #[test]
    fn a_debug_file_is_found_by_convention_and_told_by_build_id() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program.wasm");
        let wasm = module(&[code(1), custom("build_id", b"\x04abcd")]);
        fs::create_dir(directory.path().join(".debug")).unwrap();
        let file = directory.path().join(".debug/program.wasm.debug");
        fs::write(&file, module(&[custom("build_id", b"\x04abcX"), custom(".debug_info", b"x")])).unwrap();
        assert_eq!(DebugFiles::find(&path, &wasm, DebugInfo::Full).separate, None);
        fs::write(&file, module(&[custom("build_id", b"\x04abcd"), custom(".debug_info", b"x")])).unwrap();
        assert!(DebugFiles::find(&path, &wasm, DebugInfo::Full).separate.is_some());
        // One with DWARF of its own needs no other.
        let whole = module(&[wasm[8..].to_vec(), custom(".debug_info", b"x")]);
        assert_eq!(DebugFiles::find(&path, &whole, DebugInfo::Full), DebugFiles::default());
    }

    #[test]
    fn headers_without_code_are_found_beside_what_includes_them() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(directory_of(&path)).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        write("src/macros.h", "#include \"../src/more.h\"\n#include \"main.c\"\n#include \"macros.h\"\n");
        write("src/more.h", "#include \"gone.h\"\n");
        write("include/lib/all.h", "");
        write("include/lib/inner.h", "int inner;");
        let source = |name: &str, text: &str| Source {
            name: directory.path().join(name).to_str().expect("it is a text").to_owned(),
            text: text.into(),
            md5: None,
        };
        let sources = [
            source("src/main.c", "# include \"macros.h\"\n#include <inner.h>\nint a; // #include \"lib/all.h\"\n"),
            source("include/lib/code.h", ""),
            source("include/main.rs", "#include \"lib/all.h\"\n"),
        ];
        let mut rest = MAX_SOURCES;
        let found = read_headers(directory.path(), &sources, &mut rest);
        let names: Vec<_> = found.iter().map(|header| Path::new(&header.name).strip_prefix(directory.path())).collect();
        assert_eq!(names, ["include/lib/inner.h", "src/macros.h", "src/more.h"].map(|name| Ok(Path::new(name))));
        assert!(read_headers(directory.path(), &sources, &mut 0).is_empty(), "they are too large");
    }

    #[test]
    fn sources_are_taken_if_they_are_what_was_compiled() {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program.wasm");
        let place = |name: &str| {
            let place = directory.path().join(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            place
        };
        let found = |module: &str| {
            let files = DebugFiles::find(&path, &fs::read(programs.join(module)).unwrap(), DebugInfo::Full);
            let names = files.sources.into_iter().filter(Source::is_original).map(|source| source.name);
            names.filter(|name| name.ends_with(".c")).collect::<Vec<_>>()
        };
        assert_eq!(found("records/records.wasm"), [""; 0]);
        fs::copy(programs.join("records/main.c"), place("records/main.c")).unwrap();
        assert_eq!(found("records/records.wasm"), ["./records/main.c"]);
        assert_eq!(found("records/records-O2.wasm"), ["./records/main.c"], "lists tell where variables are");

        // The line table of this one has checksums.
        fs::copy(programs.join("layouts/store.c"), place("layouts/store.c")).unwrap();
        assert_eq!(found("layouts/split.wasm"), ["./layouts/store.c"]);
        fs::write(place("layouts/store.c"), "int other;").unwrap();
        assert_eq!(found("layouts/split.wasm"), [""; 0]);
        // The working directory has another file of this name, the module's has the one that was compiled.
        fs::write(place("Cargo.toml"), "original").unwrap();
        let md5 = Some(Md5::digest("original").into());
        let original = dwarf_transform::SourceFile { path: "Cargo.toml".into(), md5 };
        let mut rest = MAX_SOURCES;
        let read = read_sources(directory.path(), vec![original], &mut rest);
        assert_eq!(read[0].text, b"original");
        // Only files are read, and not those of any size.
        fs::remove_file(place("records/main.c")).unwrap();
        fs::create_dir(place("records/main.c")).unwrap();
        assert_eq!(found("records/records.wasm"), [""; 0]);
        fs::remove_dir(place("records/main.c")).unwrap();
        File::create(place("records/main.c")).unwrap().set_len(MAX_SOURCE + 1).unwrap();
        assert_eq!(found("records/records.wasm"), [""; 0]);
    }
}
