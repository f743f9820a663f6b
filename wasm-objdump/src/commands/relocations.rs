//! `-r`: relocations of wasm objects, and of the debug sections of artifacts.

use anyhow::{Result, bail};
use artifact::RelocationTarget;
use serde::Serialize;
use wasmparser::{KnownCustom, Linking, Payload, SymbolInfo};

use crate::Arguments;
use crate::input::Input;
use crate::output::Output;
use crate::wasm::{Module, broken};

/// A relocation of a wasm object file.
pub struct WasmRelocation {
    /// Where the relocated field lies in the file.
    pub file_offset: u64,
    /// `R_WASM_GLOBAL_INDEX_LEB 1 <env.__stack_pointer>`
    pub description: String,
    kind: String,
    index: u32,
    addend: i64,
    symbol: Option<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    section: &'a str,
    offset: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    addend: i64,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    out.begin_view("relocations", "Relocations")?;
    match input {
        Input::Wasm(module) => wasm(module, arguments, out)?,
        Input::Native(native) => {
            let Some(artifact) = &native.artifact else {
                bail!("relocations are shown of wasm objects and of artifacts; this is another kind of ELF file")
            };
            out.note("Section               Offset     Size Value")?;
            for row in artifact.relocations().iter() {
                let section = artifact.debug_section_name(row.section).unwrap_or("?");
                if !arguments.wants_section(section) {
                    continue;
                }
                let bytes = artifact.debug_section(section);
                let mut word = [0; 8];
                let at = row.offset as usize;
                let size = usize::from(row.size);
                word[..size].copy_from_slice(&bytes[at..at + size]);
                let (target, base) = match row.target {
                    RelocationTarget::Text => (".text", artifact.layout().text),
                    RelocationTarget::InstanceCell => (artifact::INSTANCE_SYMBOL, artifact.layout().instance_cell),
                };
                let addend = u64::from_le_bytes(word).wrapping_sub(base) as i64;
                let offset = u64::from(row.offset);
                let row = Row { section, offset, kind: "address", index: None, symbol: Some(target), addend };
                out.row(&row, |w, _| {
                    let sign = if addend < 0 { "-" } else { "+" };
                    writeln!(w, "{section:<21} {offset:#010x} {size:>4} {target}{sign}{:#x}", addend.unsigned_abs())
                })?;
            }
        }
    }
    out.end_view()?;
    match input {
        Input::Wasm(module) => module.check_whole(),
        Input::Native(_) => Ok(()),
    }
}

fn wasm(module: &Module<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    for section in module.sections.iter().filter(|section| arguments.wants_section(section.name)) {
        let relocations = relocations_of(module, section.name)?;
        if relocations.is_empty() {
            continue;
        }
        out.note(&format!("{}[{}]:", section.name, relocations.len()))?;
        for relocation in relocations {
            let WasmRelocation { file_offset, description, kind, index, addend, symbol } = relocation;
            let offset = file_offset - section.range.start;
            let row = Row {
                section: section.name,
                offset,
                kind: &kind,
                index: Some(index),
                symbol: symbol.as_deref(),
                addend,
            };
            out.row(&row, |w, _| writeln!(w, " - {offset:#08x} (file {file_offset:#08x}): {description}"))?;
        }
    }
    Ok(())
}

/// The relocations of one section, by offset.
pub fn relocations_of(module: &Module<'_>, section: &str) -> Result<Vec<WasmRelocation>> {
    let symbols = symbol_names(module)?;
    let mut found = Vec::new();
    for payload in module.payloads() {
        let Ok(Payload::CustomSection(reader)) = payload else { continue };
        let KnownCustom::Reloc(relocations) = reader.as_known() else { continue };
        let Some(target) = module.sections.get(relocations.section_index() as usize) else {
            bail!(
                "{} at offset {:#x} names section {}, which does not exist",
                reader.name(),
                reader.range().start,
                relocations.section_index()
            );
        };
        if target.name != section {
            continue;
        }
        for entry in relocations.entries() {
            let entry = entry.map_err(broken)?;
            // R_WASM_TYPE_INDEX_LEB counts types; all others count symbols.
            let kind = relocation_name(&format!("{:?}", entry.ty));
            let symbol = if kind == "R_WASM_TYPE_INDEX_LEB" {
                None
            } else {
                symbols.get(entry.index as usize).cloned().flatten()
            };
            let addend = match entry.addend {
                0 => String::new(),
                addend => format!(" {addend:+}"),
            };
            let name = symbol.as_deref().map_or_else(String::new, |name| format!(" <{name}>"));
            found.push(WasmRelocation {
                file_offset: target.range.start + u64::from(entry.offset),
                description: format!("{kind} {}{name}{addend}", entry.index),
                kind,
                index: entry.index,
                addend: entry.addend,
                symbol,
            });
        }
    }
    found.sort_by_key(|relocation| relocation.file_offset);
    Ok(found)
}

/// The names of the linking section's symbols.
fn symbol_names(module: &Module<'_>) -> Result<Vec<Option<String>>> {
    let mut names = Vec::new();
    for payload in module.payloads() {
        let Ok(Payload::CustomSection(reader)) = payload else { continue };
        let KnownCustom::Linking(linking) = reader.as_known() else { continue };
        for part in linking {
            let Linking::SymbolTable(symbols) = part.map_err(broken)? else { continue };
            for symbol in symbols {
                let symbol = symbol.map_err(broken)?;
                names.push(match symbol {
                    SymbolInfo::Func { index, name, .. } => {
                        name.map(str::to_owned).or_else(|| module.function_name(index).map(str::to_owned))
                    }
                    SymbolInfo::Global { index, name, .. } => {
                        name.map(str::to_owned).or_else(|| module.names.globals.get(&index).cloned())
                    }
                    SymbolInfo::Data { name, .. } => Some(name.to_owned()),
                    SymbolInfo::Event { name, .. } | SymbolInfo::Table { name, .. } => name.map(str::to_owned),
                    SymbolInfo::Section { section, .. } => {
                        module.sections.get(section as usize).map(|section| section.name.to_owned())
                    }
                });
            }
        }
    }
    Ok(names)
}

/// `FunctionIndexLeb` is `R_WASM_FUNCTION_INDEX_LEB` in the tool conventions.
fn relocation_name(variant: &str) -> String {
    let mut name = String::from("R_WASM");
    let mut previous = ' ';
    for c in variant.chars() {
        if c.is_ascii_uppercase()
            || (c.is_ascii_digit() && !previous.is_ascii_digit() && !previous.is_ascii_uppercase())
        {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
        previous = c;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::relocation_name;

    #[test]
    fn relocations_have_the_names_of_the_tool_conventions() {
        assert_eq!(relocation_name("FunctionIndexLeb"), "R_WASM_FUNCTION_INDEX_LEB");
        assert_eq!(relocation_name("MemoryAddrLeb"), "R_WASM_MEMORY_ADDR_LEB");
        assert_eq!(relocation_name("TableIndexI32"), "R_WASM_TABLE_INDEX_I32");
        assert_eq!(relocation_name("SectionOffsetI32"), "R_WASM_SECTION_OFFSET_I32");
    }
}
