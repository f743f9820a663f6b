//! Macros.

use super::push_unsigned;
use crate::macros::{MacroEntry, MacroUnit};
use crate::output::{Error, Section};
use gimli::{SectionId, constants};
use std::collections::HashMap;

/// Writes `.debug_macro`, whose texts go to the end of `.debug_str`.
///
/// `lines` says where the line number program of each unit begins.
pub(super) fn write(units: &[MacroUnit], version: u16, lines: &[u32], output: &mut Vec<Section>) -> Result<(), Error> {
    let small = |size: usize| u32::try_from(size).map_err(|_| Error::SectionTooLarge(SectionId::DebugMacro.name()));
    let strings = SectionId::DebugStr.name();
    let mut pool = match output.iter_mut().find(|section| section.name == strings) {
        Some(section) => std::mem::take(&mut section.bytes),
        None => {
            output.push(Section { name: strings, bytes: Vec::new(), relocations: Vec::new() });
            Vec::new()
        }
    };
    let mut starts = Vec::with_capacity(units.len());
    let mut size = 0;
    for unit in units {
        starts.push(size);
        size += unit.size();
    }
    let mut bytes = Vec::with_capacity(size);
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    for unit in units {
        // Version; offsets of 4 bytes, and that of the line number program follows.
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.push(2);
        bytes.extend_from_slice(&lines.get(unit.unit).copied().unwrap_or(0).to_le_bytes());
        for entry in &unit.entries {
            match entry {
                MacroEntry::Define { line, text } | MacroEntry::Undefine { line, name: text } => {
                    let define = matches!(entry, MacroEntry::Define { .. });
                    bytes.push(if define {
                        constants::DW_MACRO_define_strp.0
                    } else {
                        constants::DW_MACRO_undef_strp.0
                    });
                    push_unsigned(&mut bytes, *line);
                    let offset = match known.get(text.as_slice()) {
                        Some(offset) => *offset,
                        None => {
                            let offset = small(pool.len())?;
                            pool.extend_from_slice(text);
                            pool.push(0);
                            known.insert(text, offset);
                            offset
                        }
                    };
                    bytes.extend_from_slice(&offset.to_le_bytes());
                }
                MacroEntry::StartFile { line, file } => {
                    bytes.push(constants::DW_MACRO_start_file.0);
                    push_unsigned(&mut bytes, *line);
                    push_unsigned(&mut bytes, *file);
                }
                MacroEntry::EndFile => bytes.push(constants::DW_MACRO_end_file.0),
                MacroEntry::Import(position) => {
                    bytes.push(constants::DW_MACRO_import.0);
                    let start = starts.get(*position).copied().unwrap_or(0);
                    bytes.extend_from_slice(&small(start)?.to_le_bytes());
                }
            }
        }
        bytes.push(0);
    }
    if let Some(section) = output.iter_mut().find(|section| section.name == strings) {
        section.bytes = pool;
    }
    output.push(Section { name: SectionId::DebugMacro.name(), bytes, relocations: Vec::new() });
    Ok(())
}
