//! Third stage: section bytes and relocations.

use crate::address_table::{ADDRESS_BASE, AddressTable};
use crate::macros::{MacroEntry, MacroUnit};
use crate::output::{Error, Generated, Relocation, RelocationTarget, Section};
use gimli::write::{Address, EndianVec, Error as WriteError, Result as WriteResult, Sections, Writer};
use gimli::{EndianSlice, LittleEndian, Reader, SectionId, constants};
use std::collections::HashMap;

/// The symbol index that stands for the start of `.text` in an [`Address::Symbol`].
pub(crate) const TEXT_SYMBOL: usize = 0;
/// The symbol index that stands for the instance cell.
pub(crate) const CELL_SYMBOL: usize = 1;

/// Bytes of one section and the fields in it that need an address.
///
/// Offsets into other debug sections are final when they are written, since each section is written once.
#[derive(Debug, Clone)]
struct SectionWriter {
    bytes: EndianVec<LittleEndian>,
    relocations: Vec<Relocation>,
}

impl Writer for SectionWriter {
    type Endian = LittleEndian;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn write(&mut self, bytes: &[u8]) -> WriteResult<()> {
        self.bytes.write(bytes)
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> WriteResult<()> {
        self.bytes.write_at(offset, bytes)
    }

    fn write_address(&mut self, address: Address, size: u8) -> WriteResult<()> {
        match address {
            Address::Constant(value) => self.write_udata(value, size),
            Address::Symbol { symbol, addend } => {
                let target = match symbol {
                    TEXT_SYMBOL => RelocationTarget::Text,
                    CELL_SYMBOL => RelocationTarget::InstanceCell,
                    _ => return Err(WriteError::InvalidAddress),
                };
                let offset = u32::try_from(self.len()).map_err(|_| WriteError::OffsetOutOfBounds)?;
                self.relocations.push(Relocation { offset, size, target, addend });
                self.write_udata(0, size)
            }
        }
    }
}

/// Writes the tables.
///
/// # Errors
///
/// [`Error::Write`] where a table cannot be encoded: a section of more than 4 GiB.
pub fn serialize(mut generated: Generated) -> Result<Vec<Section>, Error> {
    let mut sections = Sections::new(SectionWriter { bytes: EndianVec::new(LittleEndian), relocations: Vec::new() });
    generated.dwarf.write(&mut sections)?;
    let mut output: Vec<Section> = address_section(&generated.addresses)?.into_iter().collect();
    sections.for_each_mut(|id: SectionId, writer| -> Result<(), Error> {
        let mut bytes = writer.bytes.take();
        if id == SectionId::DebugAbbrev {
            index_addresses(&mut bytes);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let mut relocations = std::mem::take(&mut writer.relocations);
        relocations.sort_by_key(|relocation| relocation.offset);
        output.push(Section { name: id.name(), bytes, relocations });
        Ok(())
    })?;
    if !generated.macros.is_empty() {
        macro_section(&generated.macros, &mut output)?;
    }
    Ok(output)
}

/// Writes `.debug_macro`, whose texts go to the end of `.debug_str`.
fn macro_section(units: &[MacroUnit], output: &mut Vec<Section>) -> Result<(), Error> {
    let small = |size: usize| u32::try_from(size).map_err(|_| WriteError::OffsetOutOfBounds);
    let lines = line_offsets(output);
    let version = lines.first().map_or(5, |unit| unit.0.min(5));
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
        bytes.extend_from_slice(&lines.get(unit.unit).map_or(0, |unit| unit.1).to_le_bytes());
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

/// The version of each unit and the offset of its line number program, read back from what was written.
fn line_offsets(output: &[Section]) -> Vec<(u16, u32)> {
    let section = |id: SectionId| {
        let bytes = output.iter().find(|section| section.name == id.name()).map_or(&[][..], |section| &section.bytes);
        Ok::<_, gimli::Error>(EndianSlice::new(bytes, LittleEndian))
    };
    let Ok(dwarf) = gimli::Dwarf::load(section) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let offset = dwarf.abbreviations(&header).ok().and_then(|abbreviations| {
            let mut entries = header.entries(&abbreviations);
            entries.next_dfs().ok()?;
            match entries.current()?.attr_value(constants::DW_AT_stmt_list)? {
                gimli::AttributeValue::DebugLineRef(offset) => u32::try_from(offset.0).ok(),
                _ => None,
            }
        });
        found.push((header.version(), offset.unwrap_or(0)));
    }
    found
}

fn push_unsigned(bytes: &mut Vec<u8>, value: u64) {
    // A Vec takes everything.
    let _ = gimli::leb128::write::unsigned(bytes, value);
}

/// The contribution to `.debug_addr`: a header and the entries.
fn address_section(table: &AddressTable) -> Result<Option<Section>, Error> {
    if table.entries.is_empty() {
        return Ok(None);
    }
    let size = ADDRESS_BASE + table.entries.len() * 8;
    let length = u32::try_from(size - 4).map_err(|_| WriteError::OffsetOutOfBounds)?;
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(&length.to_le_bytes());
    // Version 5, addresses of 8 bytes, no segments.
    bytes.extend_from_slice(&[5, 0, 8, 0]);
    let mut relocations = Vec::with_capacity(table.entries.len());
    for &(target, addend) in &table.entries {
        relocations.push(Relocation { offset: bytes.len() as u32, size: 8, target, addend });
        bytes.extend_from_slice(&[0; 8]);
    }
    Ok(Some(Section { name: SectionId::DebugAddr.name(), bytes, relocations }))
}

/// Turns the form of each `DW_AT_low_pc` that is an index (gimli writes no other for a bare number) into `DW_FORM_addrx`,
/// which is encoded in the same way.
fn index_addresses(abbreviations: &mut [u8]) {
    let mut reader = EndianSlice::new(abbreviations, LittleEndian);
    let total = reader.len();
    let mut found = Vec::new();
    // Ends where the section ends, after the last list's end.
    let _ = (|| -> gimli::Result<()> {
        while !reader.is_empty() {
            if reader.read_uleb128()? == 0 {
                continue;
            }
            reader.read_uleb128()?;
            reader.read_u8()?;
            loop {
                let name = reader.read_uleb128()?;
                let at = total - reader.len();
                let form = reader.read_uleb128()?;
                if (name, form) == (0, 0) {
                    break;
                }
                if form == u64::from(constants::DW_FORM_implicit_const.0) {
                    reader.read_sleb128()?;
                }
                if name == u64::from(constants::DW_AT_low_pc.0) && form == u64::from(constants::DW_FORM_udata.0) {
                    found.push(at);
                }
            }
        }
        Ok(())
    })();
    for at in found {
        abbreviations[at] = constants::DW_FORM_addrx.0 as u8;
    }
}

/// The address of an offset in `.text`.
pub(crate) fn text_address(offset: crate::TextOffset) -> Address {
    Address::Symbol { symbol: TEXT_SYMBOL, addend: i64::from(offset.0) }
}
