//! Macros: `.debug_macinfo` of DWARF 2 to 4, GNU's `.debug_macro` of version 4 and that of DWARF 5 become `.debug_macro`.

use crate::files::Files;
use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::loss::LossKind;
use gimli::read::{MacroEntry as GuestEntry, MacroIter, MacroString};
use gimli::{DebugMacinfoOffset, DebugMacroOffset, UnitRef};
use std::collections::HashMap;

/// An entry of a macro unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MacroEntry {
    /// A definition: name, parameters, replacement.
    Define {
        /// Where, in the file that is open.
        line: u64,
        /// As the standard writes it: `NAME(PARAMETERS) REPLACEMENT`.
        text: Vec<u8>,
    },
    /// The end of a definition.
    Undefine {
        /// Where, in the file that is open.
        line: u64,
        /// The macro's name.
        name: Vec<u8>,
    },
    /// A file is included (or, first of all, the unit's own file begins).
    StartFile {
        /// The line of the directive.
        line: u64,
        /// The file's number in the output's line number program.
        file: u64,
    },
    /// The end of the file that was started last.
    EndFile,
    /// All entries of another macro unit, given by its position.
    Import(usize),
}

/// A contribution to `.debug_macro`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroUnit {
    /// The entries in order.
    pub entries: Vec<MacroEntry>,
    /// The unit whose line number program names the files, by its position in the output.
    pub unit: usize,
}

impl MacroUnit {
    /// Bytes of the header: version, flags, offset of the line number program.
    pub(crate) const HEADER: usize = 7;

    /// Bytes that it takes in the section.
    pub(crate) fn size(&self) -> usize {
        let entry = |entry: &MacroEntry| match entry {
            MacroEntry::Define { line, .. } | MacroEntry::Undefine { line, .. } => 5 + uleb128_size(*line),
            MacroEntry::StartFile { line, file } => 1 + uleb128_size(*line) + uleb128_size(*file),
            MacroEntry::EndFile => 1,
            MacroEntry::Import(_) => 5,
        };
        MacroUnit::HEADER + self.entries.iter().map(entry).sum::<usize>() + 1
    }
}

fn uleb128_size(value: u64) -> usize {
    gimli::leb128::write::uleb128_size(value)
}

/// Where a guest's macro unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Macinfo(usize),
    Macro(usize),
}

/// The macros of one unit: the lists that it reaches, its own first. An [`MacroEntry::Import`] is a position in it.
pub(crate) type UnitMacros = Vec<Vec<MacroEntry>>;

/// Reads the macros of `unit`. What comes before an error is kept; `lost` is told of it.
pub(crate) fn read<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    source: Source,
    files: &Files,
    mut lost: impl FnMut(LossKind, String),
) -> UnitMacros {
    let sections = dwarf.sections(unit);
    let context = UnitRef::new(sections, unit);
    // Entries take at least a byte; units that share their entries could blow up.
    let mut budget = 4 * (section_size(sections.debug_macinfo) + section_size(sections.debug_macro));
    let mut known = HashMap::from([(source, 0)]);
    let mut wanted = vec![source];
    let mut lists = UnitMacros::new();
    while let Some(&source) = wanted.get(lists.len()) {
        let mut list = Vec::new();
        let entries = match source {
            Source::Macinfo(offset) => sections.macinfo(DebugMacinfoOffset(offset)),
            Source::Macro(offset) => sections.macros(DebugMacroOffset(offset)),
        };
        if let Err(error) = entries.and_then(|entries| {
            read_list(entries, context, &mut budget, |entry| match entry {
                Read::Entry(entry) => list.push(entry),
                Read::File { line, file } => match files.number(file) {
                    Some(file) => list.push(MacroEntry::StartFile { line, file: u64::from(file) }),
                    // The file's end would end another.
                    None => list.push(MacroEntry::StartFile { line, file: files.number(1).map_or(0, u64::from) }),
                },
                Read::Import(offset) => {
                    let position = *known.entry(Source::Macro(offset)).or_insert_with(|| {
                        wanted.push(Source::Macro(offset));
                        wanted.len() - 1
                    });
                    list.push(MacroEntry::Import(position));
                }
                Read::Lost => lost(LossKind::Macros, "entry without native meaning".to_owned()),
            })
        }) {
            lost(LossKind::MalformedMacros, error.to_string());
        }
        lists.push(list);
    }
    lists
}

fn section_size<'a>(section: impl gimli::Section<Slice<'a>>) -> usize {
    section.reader().len()
}

enum Read {
    Entry(MacroEntry),
    File { line: u64, file: u64 },
    Import(usize),
    Lost,
}

fn read_list<'a>(
    mut entries: MacroIter<Slice<'a>>,
    context: UnitRef<'_, Slice<'a>>,
    budget: &mut usize,
    mut push: impl FnMut(Read),
) -> Result<(), gimli::Error> {
    let text = |string: MacroString<Slice<'a>>| -> Result<Vec<u8>, gimli::Error> {
        let string = string.string(context)?;
        Ok(string.slice().split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    };
    while let Some(entry) = entries.next()? {
        *budget = budget.checked_sub(1).ok_or(gimli::Error::UnexpectedEof(gimli::ReaderOffsetId(0)))?;
        push(match entry {
            GuestEntry::Define { line, text: string } => Read::Entry(MacroEntry::Define { line, text: text(string)? }),
            GuestEntry::Undef { line, name } => Read::Entry(MacroEntry::Undefine { line, name: text(name)? }),
            GuestEntry::StartFile { line, file } => Read::File { line, file },
            GuestEntry::EndFile => Read::Entry(MacroEntry::EndFile),
            GuestEntry::Import { offset } => Read::Import(offset.0),
            GuestEntry::ImportSup { .. } | GuestEntry::VendorExt { .. } => Read::Lost,
        });
    }
    Ok(())
}

/// The macro units of the output, and where each begins in the section.
#[derive(Debug, Default)]
pub(crate) struct MacroTable {
    pub(crate) units: Vec<MacroUnit>,
    size: usize,
}

impl MacroTable {
    /// Adds the macros of the unit at position `unit`: the offset of its own list.
    pub(crate) fn add(&mut self, unit: usize, lists: UnitMacros) -> usize {
        let (first, offset) = (self.units.len(), self.size);
        for mut entries in lists {
            for entry in &mut entries {
                if let MacroEntry::Import(position) = entry {
                    *position += first;
                }
            }
            let unit = MacroUnit { entries, unit };
            self.size += unit.size();
            self.units.push(unit);
        }
        offset
    }
}
