//! Reading the guest's DWARF, tolerant of everything that can be wrong with it.

use crate::address::{ValType, WasmOffset};
use crate::address_map::RangeBudget;
use crate::guest::GuestModule;
use crate::loss::{LossKind, Losses};
use crate::split::{SplitUnits, skeleton_of};
use gimli::{
    AttributeValue, DebugAddrBase, DebugLocListsBase, DebugRngListsBase, DebugStrOffsetsBase, EndianSlice,
    LittleEndian, UnitHeader, UnitType, constants,
};
use std::ops::{Deref, Range};

/// Bytes of a guest section.
pub(crate) type Slice<'a> = EndianSlice<'a, LittleEndian>;
/// A unit of the guest. A skeleton unit and its split unit are one: the entries of the second with the addresses, lines
/// and directory of the first.
pub(crate) struct Unit<'a> {
    inner: gimli::Unit<Slice<'a>>,
    /// The sections that it lies in, as a position in [`GuestDwarf::containers`].
    pub(crate) container: usize,
    /// Those that its line number program lies in.
    line_container: usize,
    /// The file it comes from, where that is not the module.
    file: Option<&'a str>,
}

impl<'a> Deref for Unit<'a> {
    type Target = gimli::Unit<Slice<'a>>;

    fn deref(&self) -> &gimli::Unit<Slice<'a>> {
        &self.inner
    }
}

impl Unit<'_> {
    /// Where it is, for a person.
    pub(crate) fn place(&self) -> String {
        let offset = section_offset(&self.header);
        match self.file {
            Some(file) => format!("{file}: unit {offset:#x}"),
            None => format!("unit {offset:#x}"),
        }
    }

    /// A number for the entry at `offset`, which others of its file do not have.
    pub(crate) fn place_in_file(&self, offset: u32) -> u64 {
        section_offset(&self.header) as u64 + u64::from(offset)
    }

    /// Where an entry of it is, for a person.
    pub(crate) fn entry_place(&self, entry: &gimli::DebuggingInformationEntry<Slice<'_>>) -> String {
        format!("{} entry {:#x}", self.place(), entry.offset().0)
    }
}

/// The guest's DWARF: its sections and those units whose header and root entry can be read.
pub(crate) struct GuestDwarf<'a> {
    /// The module's own sections, then those of split units.
    pub(crate) containers: Vec<gimli::Dwarf<Slice<'a>>>,
    pub(crate) units: Vec<Unit<'a>>,
    /// The bytes of all units' entries.
    size: usize,
    /// What could not be read so far.
    pub(crate) losses: Losses,
}

impl<'a> GuestDwarf<'a> {
    /// Reads the headers and root entries of all units.
    pub(crate) fn read(guest: &GuestModule<'a>) -> GuestDwarf<'a> {
        let mut dwarf = GuestDwarf { containers: Vec::new(), units: Vec::new(), size: 0, losses: Losses::default() };
        let load = |id: gimli::SectionId| -> Result<Slice<'a>, gimli::Error> {
            Ok(EndianSlice::new(guest.sections.get(id.name()), LittleEndian))
        };
        let Ok(mut sections) = gimli::Dwarf::load(load) else {
            return dwarf;
        };
        sections.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        let headers = headers(&sections, None, &mut dwarf.losses);
        dwarf.containers.push(sections);
        let mut split = SplitUnits::read(guest, &mut dwarf);
        for header in headers {
            let Some(skeleton) = dwarf.unit(header, 0, None) else {
                continue;
            };
            let unit = match skeleton_of(&dwarf.containers[0], &skeleton) {
                Some(wanted) => split.join(&mut dwarf, skeleton, &wanted),
                None => skeleton,
            };
            dwarf.units.push(unit);
        }
        split.add_types(&mut dwarf);
        dwarf.size = dwarf.units.iter().map(|unit| unit.header.length_including_self()).sum();
        dwarf
    }

    /// What a stage may look at for `unit`.
    pub(crate) fn range_budget(&self, unit: &Unit<'a>) -> RangeBudget {
        RangeBudget::of(unit.header.length_including_self(), self.size)
    }

    /// The sections that `unit` lies in.
    pub(crate) fn sections(&self, unit: &Unit<'a>) -> &gimli::Dwarf<Slice<'a>> {
        &self.containers[unit.container]
    }

    /// The sections that the line number program of `unit` lies in.
    pub(crate) fn line_sections(&self, unit: &Unit<'a>) -> &gimli::Dwarf<Slice<'a>> {
        &self.containers[unit.line_container]
    }

    /// Reads the root of a unit.
    pub(crate) fn unit(
        &mut self,
        header: UnitHeader<Slice<'a>>,
        container: usize,
        file: Option<&'a str>,
    ) -> Option<Unit<'a>> {
        let place = section_offset(&header);
        match read_unit(&self.containers[container], header, &mut self.losses) {
            Ok(inner) => Some(Unit { inner, container, line_container: container, file }),
            Err(error) => {
                let file = file.map_or_else(String::new, |file| format!("{file}: "));
                self.losses.count(LossKind::MalformedUnit, || format!("{file}unit {place:#x}: {error}"));
                None
            }
        }
    }
}

impl<'a> Unit<'a> {
    /// Gives a split unit what its skeleton has.
    pub(crate) fn complete(&mut self, skeleton: Unit<'a>) {
        self.inner.copy_relocated_attributes(&skeleton.inner);
        let skeleton = skeleton.inner;
        self.inner.comp_dir = skeleton.comp_dir.or(self.inner.comp_dir);
        self.inner.name = self.inner.name.or(skeleton.name);
        if skeleton.line_program.is_some() {
            self.inner.line_program = skeleton.line_program;
            self.line_container = 0;
        }
    }
}

/// The headers of all units in `.debug_info` and `.debug_types`.
pub(crate) fn headers<'a>(
    sections: &gimli::Dwarf<Slice<'a>>,
    file: Option<&str>,
    losses: &mut Losses,
) -> Vec<UnitHeader<Slice<'a>>> {
    let mut headers = Vec::new();
    let file = file.map_or_else(String::new, |file| format!("{file}: "));
    let mut iter = sections.units();
    loop {
        match iter.next() {
            Ok(Some(header)) => headers.push(header),
            Ok(None) => break,
            Err(error) => {
                losses.count(LossKind::MalformedUnit, || {
                    format!("{file}.debug_info after {} units: {error}", headers.len())
                });
                break;
            }
        }
    }
    let mut iter = sections.type_units();
    loop {
        match iter.next() {
            Ok(Some(header)) => headers.push(header),
            Ok(None) => break,
            Err(error) => {
                losses.count(LossKind::MalformedUnit, || format!("{file}.debug_types: {error}"));
                break;
            }
        }
    }
    headers
}

/// Where a unit begins in its section.
pub(crate) fn section_offset(header: &UnitHeader<Slice<'_>>) -> usize {
    header.offset().0
}

/// As [`gimli::Unit::new`], but a bad line number program or base address loses only itself.
fn read_unit<'a>(
    dwarf: &gimli::Dwarf<Slice<'a>>,
    header: UnitHeader<Slice<'a>>,
    losses: &mut Losses,
) -> Result<gimli::Unit<Slice<'a>>, gimli::Error> {
    let abbreviations = dwarf.abbreviations(&header)?;
    let mut unit = gimli::Unit {
        abbreviations,
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(header.encoding(), dwarf.file_type),
        addr_base: DebugAddrBase(0),
        loclists_base: DebugLocListsBase::default_for_encoding_and_file(header.encoding(), dwarf.file_type),
        rnglists_base: DebugRngListsBase::default_for_encoding_and_file(header.encoding(), dwarf.file_type),
        line_program: None,
        dwo_id: match header.type_() {
            UnitType::Skeleton(id) | UnitType::SplitCompilation(id) => Some(id),
            _ => None,
        },
        header,
    };
    let mut root = gimli::DebuggingInformationEntry::null();
    let mut entries = unit.header.entries_raw(&unit.abbreviations, None)?;
    if !entries.read_entry(&mut root)? {
        return Err(gimli::Error::MissingUnitDie);
    }
    for attr in root.attrs() {
        match (attr.name(), attr.value()) {
            (constants::DW_AT_str_offsets_base, AttributeValue::DebugStrOffsetsBase(base)) => {
                unit.str_offsets_base = base;
            }
            (constants::DW_AT_addr_base | constants::DW_AT_GNU_addr_base, AttributeValue::DebugAddrBase(base)) => {
                unit.addr_base = base;
            }
            (constants::DW_AT_loclists_base, AttributeValue::DebugLocListsBase(base)) => unit.loclists_base = base,
            (
                constants::DW_AT_rnglists_base | constants::DW_AT_GNU_ranges_base,
                AttributeValue::DebugRngListsBase(base),
            ) => unit.rnglists_base = base,
            (constants::DW_AT_GNU_dwo_id, AttributeValue::DwoId(id)) => unit.dwo_id = unit.dwo_id.or(Some(id)),
            _ => {}
        }
    }
    unit.name = root.attr_value(constants::DW_AT_name).and_then(|name| dwarf.attr_string(&unit, name).ok());
    unit.comp_dir = root.attr_value(constants::DW_AT_comp_dir).and_then(|dir| dwarf.attr_string(&unit, dir).ok());
    if let Some(low_pc) = root.attr_value(constants::DW_AT_low_pc)
        && let Ok(Some(address)) = dwarf.attr_address(&unit, low_pc)
    {
        unit.low_pc = address;
    }
    if let Some(AttributeValue::DebugLineRef(offset)) = root.attr_value(constants::DW_AT_stmt_list) {
        let address_size = unit.header.address_size();
        match dwarf.debug_line.program(offset, address_size, unit.comp_dir, unit.name) {
            Ok(program) => unit.line_program = Some(program),
            Err(error) => {
                losses.count(LossKind::MalformedLines, || format!("line number program at {:#x}: {error}", offset.0))
            }
        }
    }
    Ok(unit)
}

/// Finds the function that a guest code address lies in.
pub(crate) struct FunctionIndex {
    /// `(lowest address taken for the function, body start, body end)`, sorted.
    bodies: Vec<(u32, u32, u32)>,
    has_references: Vec<bool>,
}

impl FunctionIndex {
    pub(crate) fn new(guest: &GuestModule<'_>) -> FunctionIndex {
        // Some producers count the body's size field (up to 5 bytes) to the function. Address 0 is the section's
        // function count and thus no function's; linkers of old write it for functions that they dropped.
        let mut previous_end = 1;
        let bodies = guest
            .functions
            .iter()
            .map(|function| {
                let WasmOffset(start) = function.body.start;
                let lowest = start.saturating_sub(5).max(previous_end).min(start);
                previous_end = function.body.end.0.max(1);
                (lowest, start, function.body.end.0)
            })
            .collect();
        let has_references = guest.functions.iter().map(|function| function.locals.contains(&ValType::Ref)).collect();
        FunctionIndex { bodies, has_references }
    }

    /// The position of the function that `address` belongs to.
    pub(crate) fn find(&self, address: u64) -> Option<usize> {
        let address = u32::try_from(address).ok().filter(|address| *address != 0)?;
        let position = self.bodies.partition_point(|body| body.0 <= address).checked_sub(1)?;
        (address < self.bodies[position].2).then_some(position)
    }

    /// The addresses that belong to the function at `position` and to no later one.
    pub(crate) fn addresses(&self, position: usize) -> Range<u64> {
        let (lowest, _, end) = self.bodies[position];
        let next = self.bodies.get(position + 1).map_or(u32::MAX, |next| next.0);
        u64::from(lowest.max(1))..u64::from(end.min(next))
    }

    /// Is what was compiled to `begin..end` another copy of the function that is there? Of copies that units have of an inline
    /// function or a template the linker keeps one, and has the DWARF of all of them begin there; they need not be the same code.
    pub(crate) fn is_other_copy(&self, begin: u64, end: u64) -> bool {
        let Some(position) = self.find(begin) else { return false };
        let (_, start, _) = self.bodies[position];
        begin == u64::from(start) && begin < end && !self.is_boundary(end)
    }

    /// Does a function begin or end at this address?
    fn is_boundary(&self, address: u64) -> bool {
        let behind = self.bodies.partition_point(|body| u64::from(body.1) < address);
        let begins = self.bodies.get(behind).is_some_and(|body| u64::from(body.0) <= address);
        begins || behind.checked_sub(1).is_some_and(|before| u64::from(self.bodies[before].2) == address)
    }

    /// Whether some local of the function at `position` is a reference.
    pub(crate) fn has_references(&self, position: usize) -> bool {
        self.has_references[position]
    }

    /// The address where the body of the function at `position` begins.
    pub(crate) fn start(&self, position: usize) -> u32 {
        self.bodies[position].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::GuestFunction;

    #[test]
    fn another_copy_of_a_function_ends_where_no_function_does() {
        let function = |start, end| GuestFunction {
            index: 0,
            body: WasmOffset(start)..WasmOffset(end),
            code_start: WasmOffset(start + 1),
            locals: Vec::new(),
            parameters: 0,
            results: Vec::new(),
        };
        let functions = vec![function(10, 30), function(32, 60), function(61, 70)];
        let index = FunctionIndex::new(&GuestModule { functions, ..GuestModule::default() });
        let other: Vec<u64> = (25..80).filter(|end| index.is_other_copy(10, *end)).collect();
        // What ends in the size field of the next function ends with this one.
        let expected = (25..30).chain(33..60).chain(62..70).chain(71..80);
        assert_eq!(other, expected.collect::<Vec<_>>());
        assert!(!index.is_other_copy(12, 25), "a part of a function");
        assert!(!index.is_other_copy(10, 10) && !index.is_other_copy(90, 95));
    }
}
