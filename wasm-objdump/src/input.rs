//! What kind of file this is.

use anyhow::{Context as _, Result, bail};
use artifact::Artifact;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::native::Native;
use crate::wasm::Module;

/// What is no file on a disk may never end.
const MOST_FROM_PIPES: u64 = 1 << 30;

/// What is in a file, or as much of it as tells that it cannot be shown.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(4).read_to_end(&mut bytes)?;
    if bytes != b"\0asm" && bytes != b"\x7fELF" {
        return Ok(bytes);
    }
    if file.metadata()?.is_file() {
        file.read_to_end(&mut bytes)?;
    } else if (&mut file).take(MOST_FROM_PIPES).read_to_end(&mut bytes)? as u64 == MOST_FROM_PIPES {
        return Err(io::Error::other("it has more than 1 GiB"));
    }
    Ok(bytes)
}

/// A file that can be shown.
pub enum Input<'a> {
    /// A wasm module.
    Wasm(Box<Module<'a>>),
    /// One of our artifacts, or any other ELF file.
    Native(Box<Native<'a>>),
}

impl<'a> Input<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Input<'a>> {
        if bytes.is_empty() {
            bail!("the file is empty");
        }
        if bytes.starts_with(b"\0asm") {
            return Ok(Input::Wasm(Box::new(Module::parse(bytes)?)));
        }
        if bytes.starts_with(b"\x7fELF") {
            if Artifact::is_artifact(bytes) {
                let artifact = Artifact::parse(bytes).context("a damaged artifact")?;
                return Ok(Input::Native(Box::new(Native::from_artifact(artifact)?)));
            }
            return Ok(Input::Native(Box::new(Native::from_elf(bytes)?)));
        }
        let start = crate::output::hex(&bytes[..bytes.len().min(4)]);
        bail!("neither a wasm module nor an ELF file: starts with {start} at offset 0")
    }

    pub fn format(&self) -> String {
        match self {
            Input::Wasm(module) => format!("wasm {:#x}", module.version),
            Input::Native(native) => native.format.clone(),
        }
    }
}
