//! `-s`: the bytes of the sections.

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::output::{Output, hex, hex_dump};

#[derive(Serialize)]
struct Contents<'a> {
    section: &'a str,
    /// The file offset of the first byte.
    offset: u64,
    bytes: String,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let mut sections: Vec<(String, u64, &[u8])> = Vec::new();
    match input {
        Input::Wasm(module) => {
            for section in &module.sections {
                sections.push((section.name.to_owned(), section.range.start, module.contents(section)));
            }
        }
        Input::Native(native) => {
            let elf = goblin::elf::Elf::parse(native.data).context("the ELF headers are damaged")?;
            for section in &elf.section_headers {
                let name = elf.shdr_strtab.get_at(section.sh_name).unwrap_or("?");
                let Some(range) = section.file_range() else { continue };
                let bytes = native.data.get(range.clone());
                let bytes =
                    bytes.with_context(|| format!("section {name} ends beyond the file, at {:#x}", range.end))?;
                if !bytes.is_empty() {
                    sections.push((name.to_owned(), section.sh_offset, bytes));
                }
            }
        }
    }
    if !out.is_json() {
        for (name, offset, bytes) in sections.iter().filter(|(name, ..)| arguments.wants_section(name)) {
            out.note(&format!("\nContents of section {name}:"))?;
            hex_dump(out.text(), bytes, *offset, "")?;
        }
        return check(input);
    }
    out.begin_view("contents", "Contents")?;
    for (name, offset, bytes) in sections.iter().filter(|(name, ..)| arguments.wants_section(name)) {
        out.row(&Contents { section: name, offset: *offset, bytes: hex(bytes) }, |_, _| Ok(()))?;
    }
    out.end_view()?;
    check(input)
}

fn check(input: &Input<'_>) -> Result<()> {
    match input {
        Input::Wasm(module) => module.check_whole(),
        Input::Native(_) => Ok(()),
    }
}
