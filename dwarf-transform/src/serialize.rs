//! Third stage: section bytes and relocations.
//!
//! Units are laid out in parallel, each for itself; then it is known where each begins in every section, and they are
//! written in parallel.

mod line;
mod macros;
mod unit;

use crate::address_table::{ADDRESS_BASE, AddressTable};
use crate::output::{Error, Generated, Relocation, RelocationTarget, Section};
use gimli::SectionId;
use rayon::prelude::*;
use unit::{Layout, Starts, Written};

/// Bytes of a section and the fields in it that need an address.
#[derive(Debug, Default)]
struct SectionBytes {
    bytes: Vec<u8>,
    relocations: Vec<Relocation>,
}

impl SectionBytes {
    fn unsigned(&mut self, value: u64) {
        push_unsigned(&mut self.bytes, value);
    }

    fn signed(&mut self, value: i64) {
        // A Vec takes everything.
        let _ = gimli::leb128::write::signed(&mut self.bytes, value);
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// An address that is known when the code is loaded.
    fn address(&mut self, target: RelocationTarget, addend: i64) {
        self.relocations.push(Relocation { offset: self.bytes.len() as u32, size: 8, target, addend });
        self.u64(0);
    }

    /// Lets the 8 bytes at `offset` be an address that is known when the code is loaded.
    fn relocate(&mut self, offset: usize, target: RelocationTarget) {
        self.relocations.push(Relocation { offset: offset as u32, size: 8, target, addend: 0 });
    }

    /// Appends what was written for itself.
    fn append(&mut self, other: SectionBytes) {
        let begin = self.bytes.len() as u32;
        let moved = other.relocations.into_iter().map(|it| Relocation { offset: it.offset + begin, ..it });
        self.relocations.extend(moved);
        self.bytes.extend_from_slice(&other.bytes);
    }
}

/// Sizes, or positions, in the sections that units write to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sizes {
    info: usize,
    line: usize,
    locations: usize,
    ranges: usize,
}

/// Writes the tables.
///
/// # Errors
///
/// [`Error::SectionTooLarge`] and its like where a table cannot be encoded.
pub fn serialize(generated: Generated) -> Result<Vec<Section>, Error> {
    let Generated { dwarf, version, addresses, macros, losses: _, linkage_names: _, call_entries: _ } = generated;
    let (abbreviations, lines) = rayon::join(
        || unit::Abbreviations::of(&dwarf.units, version),
        || dwarf.units.par_iter().map(|unit| unit::line_program(unit, version)).collect::<Result<Vec<_>, _>>(),
    );
    let layouts: Vec<Layout> = dwarf
        .units
        .par_iter()
        .zip(lines?)
        .enumerate()
        .map(|(position, (unit, lines))| Layout::of(unit, version, abbreviations.codes(position), lines))
        .collect::<Result<_, _>>()?;
    let mut total = Sizes::default();
    let starts: Vec<Sizes> = layouts
        .iter()
        .map(|layout| {
            let start = total;
            total.info += layout.sizes.info;
            total.line += layout.sizes.line;
            total.locations += layout.sizes.locations;
            total.ranges += layout.sizes.ranges;
            start
        })
        .collect();
    let names = unit::Names::of(version);
    for (size, name) in [
        (total.info, names.info),
        (total.line, names.line),
        (total.locations, names.locations),
        (total.ranges, names.ranges),
        (dwarf.strings.len(), SectionId::DebugStr.name()),
    ] {
        u32::try_from(size).map_err(|_| Error::SectionTooLarge(name))?;
    }
    let all = Starts { layouts: &layouts, starts: &starts, abbreviations: &abbreviations, version };
    let written: Vec<Written> = dwarf
        .units
        .into_par_iter()
        .enumerate()
        .map(|(position, unit)| unit::write(&unit, position, all))
        .collect::<Result<_, _>>()?;
    let mut parts = Written::default();
    parts.info.bytes.reserve_exact(total.info);
    parts.locations.bytes.reserve_exact(total.locations);
    parts.ranges.bytes.reserve_exact(total.ranges);
    for unit in written {
        parts.info.append(unit.info);
        parts.locations.append(unit.locations);
        parts.ranges.append(unit.ranges);
    }
    let line_starts: Vec<u32> = starts.iter().map(|start| start.line as u32).collect();
    let mut lines = SectionBytes::default();
    lines.bytes.reserve_exact(total.line);
    for layout in layouts {
        lines.append(layout.line);
    }

    let mut output: Vec<Section> = address_section(&addresses)?.into_iter().collect();
    let mut add = |name: &'static str, SectionBytes { bytes, relocations }: SectionBytes| {
        if !bytes.is_empty() {
            output.push(Section { name, bytes, relocations });
        }
    };
    let plain = |bytes| SectionBytes { bytes, relocations: Vec::new() };
    add(SectionId::DebugAbbrev.name(), plain(abbreviations.section));
    add(SectionId::DebugStr.name(), plain(dwarf.strings));
    add(names.line, lines);
    add(names.ranges, parts.ranges);
    add(names.locations, parts.locations);
    add(names.info, parts.info);
    if !macros.is_empty() {
        macros::write(&macros, version, &line_starts, &mut output)?;
    }
    Ok(output)
}

fn push_unsigned(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn unsigned_size(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

/// The contribution to `.debug_addr`: a header and the entries.
fn address_section(table: &AddressTable) -> Result<Option<Section>, Error> {
    if table.entries.is_empty() {
        return Ok(None);
    }
    let name = SectionId::DebugAddr.name();
    let size = ADDRESS_BASE + table.entries.len() * 8;
    let length = u32::try_from(size - 4).map_err(|_| Error::SectionTooLarge(name))?;
    let mut section = SectionBytes::default();
    section.u32(length);
    // Version 5, addresses of 8 bytes, no segments.
    section.bytes.extend_from_slice(&[5, 0, 8, 0]);
    for &(target, addend) in &table.entries {
        section.address(target, addend);
    }
    Ok(Some(Section { name, bytes: section.bytes, relocations: section.relocations }))
}
