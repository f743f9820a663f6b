//! What kind of file this is.

use anyhow::{Context as _, Result, bail};
use artifact::Artifact;
use std::io;
use std::path::Path;

use crate::native::Native;
use crate::wasm::Module;

/// What is in a file, or as much of it as tells that it cannot be shown.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    artifact::read_file(path, |start| start == b"\0asm" || start == b"\x7fELF")
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
