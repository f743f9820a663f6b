//! What a PROGRAM argument names: a wasm module in binary or text form, or a compiled artifact.

use anyhow::{Context, Result, anyhow};
use artifact::Artifact;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use wasmscope::debug_files::DebugFiles;
use wasmscope::wat_source::{self, WatSourceError, wat_source};
use wasmscope::{DebugInfo, Tunables};

/// The contents of a program's file.
#[derive(Debug)]
pub enum Source {
    /// A wasm module; text has been assembled.
    Wasm(Vec<u8>),
    /// What `wasmscope compile` writes.
    Artifact(Vec<u8>),
}

impl Source {
    /// Reads the file and finds out what it is by its contents. Text is assembled with debug info of its own if it is
    /// wanted: the text is then the source that a debugger shows.
    ///
    /// The debug info of a binary module that has none is made of its text, which is written to `text` for the debugger.
    pub fn read(path: &Path, debug_info: DebugInfo, text: impl FnOnce() -> Option<PathBuf>) -> Result<Source> {
        let shown = path.display();
        let bytes = artifact::read_file(path, may_be_program).with_context(|| format!("`{shown}` cannot be read"))?;
        if bytes.starts_with(b"\0asm") {
            if debug_info == DebugInfo::None {
                return Ok(Source::Wasm(bytes));
            }
            return Ok(Source::Wasm(with_text_as_source(path, bytes, text)));
        }
        if Artifact::is_artifact(&bytes) {
            return Ok(Source::Artifact(bytes));
        }
        if let Some(text) = as_wat(&bytes) {
            let mut assembler = wat::Parser::new();
            if debug_info != DebugInfo::None {
                assembler.generate_dwarf(wat::GenerateDwarf::Lines);
            }
            let wasm = assembler.parse_str(Some(path), text);
            let wasm = wasm.map_err(|error| one_paragraph(path, &error.to_string()))?;
            return Ok(Source::Wasm(if debug_info == DebugInfo::None { wasm } else { with_own_text(path, wasm) }));
        }
        Err(not_wasm(path, &bytes))
    }
}

/// Refuses what cannot be read or is no program, without reading all of it. A pipe is left as it is.
pub fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    let cannot = || format!("`{shown}` cannot be read");
    if !fs::metadata(path).with_context(cannot)?.is_file() && !path.is_dir() {
        return Ok(());
    }
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(artifact::FILE_START).read_to_end(&mut start)).with_context(cannot)?;
    if may_be_program(&start) { Ok(()) } else { Err(not_wasm(path, &start)) }
}

fn not_wasm(path: &Path, bytes: &[u8]) -> anyhow::Error {
    let shown = path.display();
    if bytes.is_empty() {
        return anyhow!("`{shown}` is not WebAssembly: the file is empty");
    }
    let start: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    anyhow!(
        "`{shown}` is not WebAssembly: at offset 0x0 a module starts with 00 61 73 6d (or with `(` in the text format), \
         this file starts with {}",
        start.join(" ")
    )
}

/// Can a program begin like this?
fn may_be_program(start: &[u8]) -> bool {
    let is_text = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'(' | b';');
    start == b"\0asm" || start == b"\x7fELF" || start.first().is_some_and(is_text)
}

/// The files that hold debug info of a module, if it is wanted.
pub fn debug_files(path: &Path, wasm: &[u8], tunables: &Tunables) -> DebugFiles {
    DebugFiles::find(path, wasm, tunables.debug_info)
}

/// Gives a module without debug info its own text as source. Where that is not possible, the module stays as it is; if
/// it is not valid, the compiler will say so.
fn with_text_as_source(path: &Path, wasm: Vec<u8>, text: impl FnOnce() -> Option<PathBuf>) -> Vec<u8> {
    if !lacks_debug_info(&wasm) {
        return wasm;
    }
    let Some(text) = text().and_then(|text| std::path::absolute(text).ok()) else { return wasm };
    let warn = |reason: &dyn std::fmt::Display| {
        eprintln!("warning: `{}` has no debug info and is shown without source: {reason}", path.display());
    };
    let (Some(directory), Some(name)) =
        (text.parent().and_then(Path::to_str), text.file_name().and_then(|n| n.to_str()))
    else {
        return wasm;
    };
    match wat_source(&wasm, directory, name) {
        Ok(Some(source)) => {
            // What is there already may be read by a debugger, or be written by a process that compiles ahead.
            let is_there = fs::read(&text).is_ok_and(|there| there == source.text.as_bytes());
            let write = || fs::create_dir_all(directory).and_then(|()| fs::write(&text, &source.text));
            if let Err(error) = if is_there { Ok(()) } else { write() } {
                warn(&format_args!("`{}` cannot be written: {error}", text.display()));
            }
            source.wasm
        }
        Ok(None) | Err(WatSourceError::Translate(_)) => wasm,
        Err(error) => {
            warn(&error);
            wasm
        }
    }
}

/// Adds variables to the lines that the assembler's debug info has. A module that is not valid stays as it is: the compiler
/// will say so.
fn with_own_text(path: &Path, wasm: Vec<u8>) -> Vec<u8> {
    let directory = path.parent().and_then(Path::to_str).filter(|directory| !directory.is_empty()).unwrap_or(".");
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return wasm };
    wat_source::with_own_text(&wasm, directory, name).ok().flatten().unwrap_or(wasm)
}

/// Has the module no section with debug info and none that names a file with it?
fn lacks_debug_info(wasm: &[u8]) -> bool {
    wasmparser::Parser::new(0).parse_all(wasm).map_while(Result::ok).all(|payload| match payload {
        wasmparser::Payload::CustomSection(section) => {
            !section.name().starts_with(".debug_") && section.name() != "external_debug_info"
        }
        _ => true,
    })
}

/// The file as text, if its first character besides blanks is one that the text format can start with.
fn as_wat(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.trim_start().starts_with(['(', ';']).then_some(text)
}

/// An assembler's message, which is drawn over several lines, in one: `expected ...: at line 3, column 5: SOURCE LINE`.
fn one_paragraph(path: &Path, message: &str) -> anyhow::Error {
    let mut lines = message.lines().map(str::trim);
    let reason = lines.next().unwrap_or_default().to_owned();
    let place = lines.next().and_then(|line| line.strip_prefix("-->")).map(str::trim).and_then(|place| {
        let mut parts = place.rsplitn(3, ':');
        let (column, line) = (parts.next()?, parts.next()?);
        Some(format!(" at line {line}, column {column}"))
    });
    anyhow!("`{}` is not valid WebAssembly text{}: {reason}", path.display(), place.unwrap_or_default())
}

/// The settings of an artifact's code that the engine which loads it must share.
#[derive(Debug, PartialEq, Eq)]
pub struct ArtifactSettings {
    pub debug_info: DebugInfo,
    pub interruptible: bool,
}

impl ArtifactSettings {
    /// Reads what the compiler noted in the artifact, lines of the form `name=value`.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<ArtifactSettings> {
        let artifact = Artifact::parse(bytes).with_context(|| format!("`{}` cannot be loaded", path.display()))?;
        let notes = String::from_utf8_lossy(artifact.meta());
        let note = |name: &str| {
            notes
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .with_context(|| format!("`{}` cannot be loaded: it does not say its `{name}` setting", path.display()))
        };
        let debug_info = match note("debug")? {
            "Full" => DebugInfo::Full,
            "Lines" => DebugInfo::Lines,
            _ => DebugInfo::None,
        };
        Ok(ArtifactSettings { debug_info, interruptible: note("interruptible")? == "true" })
    }
}
