//! Units, their abbreviations and their lists.

use super::{SectionBytes, Sizes, line, push_unsigned, unsigned_size};
use crate::output::{Error, RelocationTarget};
use crate::tables::{Attribute, EntryId, Kind, Operand, Unit, WordHasher};
use gimli::{Encoding, Format, SectionId, constants as c};
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// Bytes before the entries of a unit.
fn header_size(version: u16) -> usize {
    if version >= 5 { 12 } else { 11 }
}

/// Bytes before the lists of a unit.
fn list_header_size(version: u16) -> usize {
    if version >= 5 { 12 } else { 0 }
}

/// The sections of one version of DWARF.
pub(super) struct Names {
    pub(super) info: &'static str,
    pub(super) line: &'static str,
    pub(super) locations: &'static str,
    pub(super) ranges: &'static str,
}

impl Names {
    pub(super) fn of(version: u16) -> Names {
        let (locations, ranges) = if version >= 5 {
            (SectionId::DebugLocLists, SectionId::DebugRngLists)
        } else {
            (SectionId::DebugLoc, SectionId::DebugRanges)
        };
        Names {
            info: SectionId::DebugInfo.name(),
            line: SectionId::DebugLine.name(),
            locations: locations.name(),
            ranges: ranges.name(),
        }
    }
}

/// A step of the walk through a unit's tree.
enum Step {
    Entry(EntryId),
    /// The children of an entry have ended.
    End,
}

/// The entries of a unit in the order of the section.
fn walk(unit: &Unit) -> impl Iterator<Item = Step> {
    let mut open = Vec::new();
    let mut root = Some(unit.root());
    std::iter::from_fn(move || {
        let entry = match root.take() {
            Some(root) => root,
            None => match open.last_mut().and_then(Iterator::next) {
                Some(entry) => entry,
                None => return open.pop().map(|_| Step::End),
            },
        };
        // An entry without children has no end of them either.
        let mut children = unit.children(entry).peekable();
        if children.peek().is_some() {
            open.push(children);
        }
        Some(Step::Entry(entry))
    })
}

/// The numbers of known shapes (see [`abbreviate`]).
type Shapes = HashMap<Vec<u32>, u32, BuildHasherDefault<WordHasher>>;

/// The abbreviations of all units, which share them.
pub(super) struct Abbreviations {
    /// By unit and position of the entry; 0 for those outside of the tree.
    codes: Vec<Vec<u32>>,
    /// The contents of `.debug_abbrev`.
    pub(super) section: Vec<u8>,
}

impl Abbreviations {
    pub(super) fn of(units: &[Unit], version: u16) -> Abbreviations {
        let mut own: Vec<(Vec<u32>, Vec<Vec<u32>>)> = units.par_iter().map(|unit| abbreviate(unit, version)).collect();
        let mut known: Shapes = HashMap::default();
        let mut section = Vec::new();
        let mut numbers: Vec<Vec<u32>> = Vec::with_capacity(own.len());
        for (_, shapes) in &mut own {
            numbers.push(
                std::mem::take(shapes)
                    .into_iter()
                    .map(|shape| {
                        let next = known.len() as u32 + 1;
                        if let Some(code) = known.get(&shape) {
                            return *code;
                        }
                        write_abbreviation(next, &shape, &mut section);
                        known.insert(shape, next);
                        next
                    })
                    .collect(),
            );
        }
        if !units.is_empty() {
            section.push(0);
        }
        let mut codes: Vec<Vec<u32>> = own.into_iter().map(|(codes, _)| codes).collect();
        for (codes, numbers) in codes.iter_mut().zip(numbers) {
            for code in codes.iter_mut().filter(|code| **code != 0) {
                *code = numbers[*code as usize - 1];
            }
        }
        Abbreviations { codes, section }
    }

    pub(super) fn codes(&self, unit: usize) -> &[u32] {
        &self.codes[unit]
    }
}

/// For each entry of a unit the number of its shape, from 1; and the shapes: tag, whether there are children, and for
/// each attribute name and form.
fn abbreviate(unit: &Unit, version: u16) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut codes = vec![0; unit.len()];
    let mut shapes: Vec<Vec<u32>> = Vec::new();
    let mut known: Shapes = HashMap::default();
    let mut shape = Vec::new();
    for step in walk(unit) {
        let Step::Entry(entry) = step else { continue };
        shape.clear();
        shape.extend([u32::from(unit.tag(entry).0), u32::from(unit.children(entry).next().is_some())]);
        shape.extend(
            unit.attributes(entry)
                .map(|attribute| u32::from(attribute.name.0) << 16 | u32::from(attribute.kind.form(version).0)),
        );
        codes[entry.position()] = match known.get(&shape) {
            Some(code) => *code,
            None => {
                shapes.push(shape.clone());
                known.insert(shape.clone(), shapes.len() as u32);
                shapes.len() as u32
            }
        };
    }
    (codes, shapes)
}

fn write_abbreviation(code: u32, shape: &[u32], section: &mut Vec<u8>) {
    let (head, attributes) = shape.split_at(2);
    push_unsigned(section, u64::from(code));
    push_unsigned(section, u64::from(head[0]));
    section.push(head[1] as u8);
    for attribute in attributes {
        push_unsigned(section, u64::from(attribute >> 16));
        push_unsigned(section, u64::from(attribute & 0xffff));
    }
    section.extend_from_slice(&[0, 0]);
}

/// Where everything in a unit goes, from the begin of its contribution to each section.
pub(super) struct Layout {
    pub(super) sizes: Sizes,
    /// By position of the entry; 0 for those outside of the tree.
    entries: Vec<u32>,
    locations: Vec<u32>,
    ranges: Vec<u32>,
    pub(super) line: SectionBytes,
}

impl Layout {
    /// `line` is the unit's [`line_program`].
    pub(super) fn of(unit: &Unit, version: u16, codes: &[u32], line: SectionBytes) -> Result<Layout, Error> {
        let too_large = |_| Error::SectionTooLarge(SectionId::DebugInfo.name());
        let mut entries = vec![0; unit.len()];
        let mut at = header_size(version);
        for step in walk(unit) {
            let Step::Entry(entry) = step else {
                at += 1;
                continue;
            };
            entries[entry.position()] = u32::try_from(at).map_err(too_large)?;
            at += unsigned_size(u64::from(codes[entry.position()]));
            at += unit.attributes(entry).map(|attribute| value_size(unit, attribute, version)).sum::<usize>();
        }
        let mut sizes = Sizes { info: at, line: line.bytes.len(), ..Sizes::default() };
        let lists = |count: usize, size: &dyn Fn(usize) -> usize, end: usize| {
            let mut at = if count == 0 { 0 } else { list_header_size(version) };
            let offsets: Vec<u32> = (0..count)
                .map(|list| {
                    // The total is checked later.
                    let begin = at as u32;
                    at += size(list) + end;
                    begin
                })
                .collect();
            (offsets, at)
        };
        let pair = |(begin, end): (u32, u32)| unsigned_size(u64::from(begin)) + unsigned_size(u64::from(end));
        let (locations, ranges);
        if version >= 5 {
            let size = |list| -> usize {
                let entry = |it: &crate::tables::Location| 1 + pair(it.range) + unit.stored(it.expression).len();
                unit.locations.get(list).iter().map(entry).sum()
            };
            (locations, sizes.locations) = lists(unit.locations.len(), &size, 1);
            let size = |list| -> usize { unit.ranges.get(list).iter().map(|range| 1 + pair(*range)).sum() };
            (ranges, sizes.ranges) = lists(unit.ranges.len(), &size, 1);
        } else {
            let size = |list| -> usize {
                unit.locations.get(list).iter().map(|it| 18 + unit.operations(it.expression).len()).sum()
            };
            (locations, sizes.locations) = lists(unit.locations.len(), &size, 16);
            let size = |list| unit.ranges.get(list).len() * 16;
            (ranges, sizes.ranges) = lists(unit.ranges.len(), &size, 16);
        }
        Ok(Layout { sizes, entries, locations, ranges, line })
    }
}

/// The bytes of a unit's line number program.
pub(super) fn line_program(unit: &Unit, version: u16) -> Result<SectionBytes, Error> {
    let encoding = Encoding { format: Format::Dwarf32, version, address_size: 8 };
    unit.line_program.as_ref().map_or_else(|| Ok(SectionBytes::default()), |program| line::write(program, encoding))
}

fn value_size(unit: &Unit, attribute: &Attribute, version: u16) -> usize {
    let value = attribute.value;
    match attribute.kind {
        Kind::Address | Kind::Data8 => 8,
        Kind::AddressIndex | Kind::Udata => unsigned_size(u64::from(value)),
        Kind::Block | Kind::Exprloc => unit.stored_block(value).len(),
        Kind::Data1 | Kind::Flag => 1,
        Kind::Data2 => 2,
        Kind::Data16 => 16 + usize::from(version < 5),
        Kind::Sdata => signed_size(i64::from(value as i32)),
        Kind::SdataWide => signed_size(unit.wide[value as usize] as i64),
        Kind::UdataWide => unsigned_size(unit.wide[value as usize]),
        Kind::FlagPresent => 0,
        Kind::Data4
        | Kind::UnitRef
        | Kind::DebugInfoRef
        | Kind::SecOffset
        | Kind::RangeList
        | Kind::LocationList
        | Kind::LineProgram
        | Kind::StringRef => 4,
        Kind::String => unit.text(value).len() + 1,
    }
}

fn signed_size(value: i64) -> usize {
    gimli::leb128::write::sleb128_size(value)
}

/// Where all units begin.
#[derive(Clone, Copy)]
pub(super) struct Starts<'s> {
    pub(super) layouts: &'s [Layout],
    pub(super) starts: &'s [Sizes],
    pub(super) abbreviations: &'s Abbreviations,
    pub(super) version: u16,
}

impl Starts<'_> {
    /// The offset of an entry in its unit.
    fn entry(self, unit: usize, entry: EntryId) -> Result<u32, Error> {
        match self.layouts.get(unit).and_then(|layout| layout.entries.get(entry.position())) {
            None | Some(0) => Err(Error::UnplacedEntry { unit, entry: entry.position() }),
            Some(offset) => Ok(*offset),
        }
    }
}

/// What a unit contributes to each section.
#[derive(Default)]
pub(super) struct Written {
    pub(super) info: SectionBytes,
    pub(super) locations: SectionBytes,
    pub(super) ranges: SectionBytes,
}

/// Writes the unit at `position`.
pub(super) fn write(unit: &Unit, position: usize, all: Starts<'_>) -> Result<Written, Error> {
    let sizes = all.layouts[position].sizes;
    let mut written = Written::default();
    written.info.bytes.reserve_exact(sizes.info);
    written.locations.bytes.reserve_exact(sizes.locations);
    written.ranges.bytes.reserve_exact(sizes.ranges);
    let writer = UnitWriter { unit, position, all };
    let (entries, locations) = rayon::join(
        || writer.entries(&mut written.info),
        || {
            writer.ranges(&mut written.ranges);
            writer.locations(&mut written.locations)
        },
    );
    entries.and(locations)?;
    debug_assert_eq!(written.info.bytes.len(), sizes.info);
    debug_assert_eq!(written.locations.bytes.len(), sizes.locations);
    debug_assert_eq!(written.ranges.bytes.len(), sizes.ranges);
    Ok(written)
}

struct UnitWriter<'w> {
    unit: &'w Unit,
    position: usize,
    all: Starts<'w>,
}

impl UnitWriter<'_> {
    fn entries(&self, out: &mut SectionBytes) -> Result<(), Error> {
        let layout = &self.all.layouts[self.position];
        out.u32(layout.sizes.info as u32 - 4);
        out.u16(self.all.version);
        // The abbreviations begin where their section does.
        if self.all.version >= 5 {
            out.bytes.extend_from_slice(&[c::DW_UT_compile.0, 8]);
            out.u32(0);
        } else {
            out.u32(0);
            out.bytes.push(8);
        }
        let codes = self.all.abbreviations.codes(self.position);
        for step in walk(self.unit) {
            let Step::Entry(entry) = step else {
                out.bytes.push(0);
                continue;
            };
            debug_assert_eq!(out.bytes.len(), layout.entries[entry.position()] as usize);
            out.unsigned(u64::from(codes[entry.position()]));
            for attribute in self.unit.attributes(entry) {
                self.value(attribute, out)?;
            }
        }
        Ok(())
    }

    fn value(&self, attribute: &Attribute, out: &mut SectionBytes) -> Result<(), Error> {
        let (unit, value) = (self.unit, attribute.value);
        let start = self.all.starts[self.position];
        let layout = &self.all.layouts[self.position];
        match attribute.kind {
            Kind::Address => out.address(RelocationTarget::Text, i64::from(value)),
            Kind::AddressIndex | Kind::Udata => out.unsigned(u64::from(value)),
            Kind::Block => out.bytes.extend_from_slice(unit.stored_block(value)),
            Kind::Exprloc => self.expression(value, unit.stored_block(value), out)?,
            Kind::Data1 | Kind::Flag => out.bytes.push(value as u8),
            Kind::Data2 => out.u16(value as u16),
            Kind::Data4 | Kind::SecOffset | Kind::StringRef => out.u32(value),
            Kind::Data8 => out.u64(unit.wide[value as usize]),
            Kind::Data16 => {
                if self.all.version < 5 {
                    out.bytes.push(16);
                }
                out.u64(unit.wide[value as usize]);
                out.u64(unit.wide[value as usize + 1]);
            }
            Kind::Sdata => out.signed(i64::from(value as i32)),
            Kind::SdataWide => out.signed(unit.wide[value as usize] as i64),
            Kind::UdataWide => out.unsigned(unit.wide[value as usize]),
            Kind::FlagPresent => {}
            Kind::UnitRef => out.u32(self.all.entry(self.position, EntryId::new(value as usize))?),
            Kind::DebugInfoRef => {
                let to = unit.references[value as usize];
                let offset = self.all.entry(to.unit as usize, to.entry)?;
                out.u32(self.all.starts[to.unit as usize].info as u32 + offset);
            }
            Kind::RangeList => out.u32(start.ranges as u32 + layout.ranges[value as usize]),
            Kind::LocationList => out.u32(start.locations as u32 + layout.locations[value as usize]),
            Kind::LineProgram => out.u32(start.line as u32),
            Kind::String => {
                out.bytes.extend_from_slice(unit.text(value));
                out.bytes.push(0);
            }
        }
        Ok(())
    }

    /// Writes `stored`, which is the end of what the unit stores for the expression at `position`, and its operands.
    fn expression(&self, position: u32, stored: &[u8], out: &mut SectionBytes) -> Result<(), Error> {
        let begin = out.bytes.len();
        out.bytes.extend_from_slice(stored);
        if self.unit.operands.is_empty() {
            return Ok(());
        }
        let end = begin + stored.len();
        for (at, operand) in self.unit.operands_of(position) {
            let at = end - self.unit.block(position).len() + at as usize;
            match operand {
                Operand::BaseType(entry) => {
                    let mut offset = self.all.entry(self.position, entry)?;
                    let bytes = &mut out.bytes[at..at + Operand::BASE_TYPE_SIZE];
                    for byte in bytes.iter_mut() {
                        *byte = offset as u8 | 0x80;
                        offset >>= 7;
                    }
                    if offset != 0 {
                        return Err(Error::DistantBaseType);
                    }
                    bytes[Operand::BASE_TYPE_SIZE - 1] &= 0x7f;
                }
                Operand::Entry(to) => {
                    let offset = self.all.entry(to.unit as usize, to.entry)?;
                    let offset = self.all.starts[to.unit as usize].info as u32 + offset;
                    out.bytes[at..at + 4].copy_from_slice(&offset.to_le_bytes());
                }
                Operand::InstanceCell => out.relocate(at, RelocationTarget::InstanceCell),
            }
        }
        Ok(())
    }

    fn list_header(&self, size: usize, out: &mut SectionBytes) {
        if self.all.version >= 5 {
            out.u32(size as u32 - 4);
            out.u16(self.all.version);
            // Addresses of 8 bytes, no segments; no offsets.
            out.bytes.extend_from_slice(&[8, 0]);
            out.u32(0);
        }
    }

    fn locations(&self, out: &mut SectionBytes) -> Result<(), Error> {
        let lists = &self.unit.locations;
        if lists.len() == 0 {
            return Ok(());
        }
        self.list_header(self.all.layouts[self.position].sizes.locations, out);
        for list in 0..lists.len() {
            for location in lists.get(list) {
                let (begin, end) = (u64::from(location.range.0), u64::from(location.range.1));
                let position = location.expression.position();
                if self.all.version >= 5 {
                    out.bytes.push(c::DW_LLE_offset_pair.0);
                    out.unsigned(begin);
                    out.unsigned(end);
                    self.expression(position, self.unit.stored(location.expression), out)?;
                } else {
                    let operations = self.unit.operations(location.expression);
                    let length = u16::try_from(operations.len()).map_err(|_| Error::SectionTooLarge(".debug_loc"))?;
                    out.u64(begin);
                    out.u64(end);
                    out.u16(length);
                    self.expression(position, operations, out)?;
                }
            }
            if self.all.version >= 5 {
                out.bytes.push(c::DW_LLE_end_of_list.0);
            } else {
                out.bytes.extend_from_slice(&[0; 16]);
            }
        }
        Ok(())
    }

    fn ranges(&self, out: &mut SectionBytes) {
        let lists = &self.unit.ranges;
        if lists.len() == 0 {
            return;
        }
        self.list_header(self.all.layouts[self.position].sizes.ranges, out);
        for list in 0..lists.len() {
            for &(begin, end) in lists.get(list) {
                let (begin, end) = (u64::from(begin), u64::from(end));
                if self.all.version >= 5 {
                    out.bytes.push(c::DW_RLE_offset_pair.0);
                    out.unsigned(begin);
                    out.unsigned(end);
                } else {
                    out.u64(begin);
                    out.u64(end);
                }
            }
            if self.all.version >= 5 {
                out.bytes.push(c::DW_RLE_end_of_list.0);
            } else {
                out.bytes.extend_from_slice(&[0; 16]);
            }
        }
    }
}
