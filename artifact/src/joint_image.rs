//! One in-memory ELF file for many loaded modules.
//!
//! What a debugger does for each object that it is told of grows with the objects it knows (gdb resolves all breakpoints
//! anew, in each of them), so that a thousand small modules are better shown as one object. Their debug sections are
//! appended to one another. Offsets from one section into another are not recorded in artifacts: they are found by
//! reading the units, and moved by what lies before in the section that they lead into.

use std::collections::HashSet;

use gimli::{
    AttributeValue, DieReference, Encoding, EndianSlice, Expression, LittleEndian, Operation, RawLocListEntry,
    SectionId, UnitHeader, UnwindSection as _,
};
use object::elf;

use crate::elf::{Contents, ImageSection};
use crate::image::{LoadedModule, write};
use crate::{ArtifactError, section};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The sections that can be joined. All hold nothing but what is relative to themselves, but for `.debug_info` and the
/// location lists.
const JOINABLE: [SectionId; 10] = [
    SectionId::DebugInfo,
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugLine,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugLineStr,
];

/// The ELF file for `__jit_debug_register_code` of several modules. It is what [`registered_image`](crate::registered_image)
/// makes of each, in one: a `.text` section for each module, one `.eh_frame`, no `.eh_frame_hdr`, one of each debug section and
/// of the trap sites.
///
/// # Errors
///
/// [`ArtifactError::NotJoinable`] and [`ArtifactError::Unreadable`] if a module can only be shown alone, or all together are
/// too large for 32-bit offsets.
pub fn joint_image(modules: &[LoadedModule<'_>]) -> Result<Vec<u8>, ArtifactError> {
    let first = modules.first().ok_or(ArtifactError::NotJoinable("there are no modules"))?;
    let machine = first.artifact.machine();
    let mut sections = Vec::new();
    let mut symbols = Vec::new();
    let mut frames = Vec::new();
    let mut trap_sites = Vec::new();
    let mut joined: [Vec<u8>; JOINABLE.len()] = Default::default();
    for module in modules {
        if module.artifact.machine() != machine {
            return Err(ArtifactError::NotJoinable("it is for another machine"));
        }
        let text = sections.len() as u32 + 1;
        symbols.extend(module.symbols(text, text + 1));
        let loaded = |name, rights, address, align, size| ImageSection {
            name,
            kind: elf::SHT_NOBITS,
            flags: elf::SHF_ALLOC | rights,
            address,
            align,
            contents: Contents::Nothing(size),
        };
        let text_len = module.artifact.text().len() as u64;
        sections.push(loaded(".text", elf::SHF_EXECINSTR, module.text_address, 64, text_len));
        let cell_size = module.artifact.instance_cell_size();
        sections.push(loaded(section::INSTANCE, elf::SHF_WRITE, module.cell_address, 8, cell_size));
        append_frames(&mut frames, module, first.eh_frame_address())?;
        append_debug_sections(&mut joined, module)?;
        module.append_trap_sites(&mut trap_sites);
    }
    frames.extend([0; 4]);
    sections.push(ImageSection {
        name: ".eh_frame",
        address: first.eh_frame_address(),
        ..ImageSection::private(".eh_frame", &frames)
    });
    let present = JOINABLE.iter().zip(&joined).filter(|(_, bytes)| !bytes.is_empty());
    sections.extend(present.map(|(id, bytes)| ImageSection::debug(id.name(), bytes)));
    sections.push(ImageSection::private(section::TRAP_SITES, &trap_sites));
    write(machine, sections, symbols)
}

/// Appends a module's frame table, without the terminator, to a table at `address`.
fn append_frames(frames: &mut Vec<u8>, module: &LoadedModule<'_>, address: u64) -> Result<(), ArtifactError> {
    let table = module.artifact.eh_frame();
    let eh_frame = gimli::EhFrame::new(table, LittleEndian);
    let bases = gimli::BaseAddresses::default().set_eh_frame(module.eh_frame_address());
    let start = frames.len();
    let mut end = 0;
    let mut entries = eh_frame.entries(&bases);
    let pc_relative = gimli::DwEhPe(gimli::DW_EH_PE_pcrel.0 | gimli::DW_EH_PE_sdata4.0);
    let moved = module.eh_frame_address().wrapping_sub(address.wrapping_add(start as u64));
    let mut fields = Vec::new();
    while let Some(entry) = entries.next()? {
        let (offset, length) = match entry {
            gimli::CieOrFde::Cie(cie) => (cie.offset(), cie.entry_len()),
            gimli::CieOrFde::Fde(partial) => {
                let fde = partial.parse(gimli::EhFrame::cie_from_offset)?;
                let cie = fde.cie();
                if cie.fde_address_encoding() != Some(pc_relative) || cie.has_lsda() || cie.personality().is_some() {
                    return Err(ArtifactError::NotJoinable("the frame table is of an unknown form"));
                }
                fields.push(fde.offset() + 8);
                (fde.offset(), fde.entry_len())
            }
        };
        end = offset + 4 + length;
    }
    frames.extend_from_slice(table.get(..end).unwrap_or(table));
    for field in fields {
        let word = frames.get_mut(start + field..).and_then(|rest| rest.first_chunk_mut());
        let word: &mut [u8; 4] = word.ok_or(ArtifactError::NotJoinable("the frame table is cut off"))?;
        // The field moves away from what it points to.
        let distance = i64::from(i32::from_le_bytes(*word)).wrapping_add(moved as i64);
        let distance = i32::try_from(distance)
            .map_err(|_| ArtifactError::NotJoinable("its code is too far from that of others"))?;
        *word = distance.to_le_bytes();
    }
    Ok(())
}

fn append_debug_sections(
    joined: &mut [Vec<u8>; JOINABLE.len()],
    module: &LoadedModule<'_>,
) -> Result<(), ArtifactError> {
    let own = module.debug_sections()?;
    let place = |name: &str| JOINABLE.iter().position(|id| id.name() == name);
    if own.iter().any(|(name, bytes)| !bytes.is_empty() && place(name).is_none()) {
        return Err(ArtifactError::NotJoinable("it has a debug section that refers to others"));
    }
    let bytes_of = |id: SectionId| own.iter().find(|(name, _)| *name == id.name()).map_or(&[][..], |(_, bytes)| bytes);
    let references = References::find(bytes_of)?;
    let starts = joined.each_ref().map(Vec::len);
    let start_of = |id: SectionId| place(id.name()).map_or(0, |place| starts[place]);
    for (name, bytes) in &own {
        if let Some(place) = place(name) {
            joined[place].extend_from_slice(bytes);
        }
    }
    if joined.iter().any(|bytes| u32::try_from(bytes.len()).is_err()) {
        return Err(ArtifactError::NotJoinable("together the modules have more than 4 GiB of debug info"));
    }
    for Reference { holder, offset, target } in references {
        let Some(holder) = place(holder.name()) else { continue };
        let word = joined[holder].get_mut(starts[holder] + offset..).and_then(|rest| rest.first_chunk_mut());
        let word: &mut [u8; 4] = word.ok_or(ArtifactError::NotJoinable("its debug info is cut off"))?;
        // All is smaller than 4 GiB, or the reference was wrong before.
        *word = u32::from_le_bytes(*word).wrapping_add(start_of(target) as u32).to_le_bytes();
    }
    Ok(())
}

/// A word of 4 bytes in one debug section that is an offset into another, or into the same one from its start.
struct Reference {
    holder: SectionId,
    offset: usize,
    target: SectionId,
}

/// Finds the references of a module.
struct References<'a> {
    dwarf: gimli::Dwarf<Slice<'a>>,
    /// The sections that hold expressions.
    info: Slice<'a>,
    loc: Slice<'a>,
    loclists: Slice<'a>,
    found: Vec<Reference>,
    /// Entries can share a location list.
    lists: HashSet<(bool, usize)>,
}

impl<'a> References<'a> {
    fn find(bytes_of: impl Fn(SectionId) -> &'a [u8]) -> Result<Vec<Reference>, ArtifactError> {
        let section = |id| Slice::new(bytes_of(id), LittleEndian);
        let mut references = References {
            dwarf: gimli::Dwarf::load(|id| Ok::<_, gimli::Error>(section(id)))?,
            info: section(SectionId::DebugInfo),
            loc: section(SectionId::DebugLoc),
            loclists: section(SectionId::DebugLocLists),
            found: Vec::new(),
            lists: HashSet::new(),
        };
        let mut units = references.dwarf.units();
        while let Some(header) = units.next()? {
            references.unit(header)?;
        }
        Ok(references.found)
    }

    fn unit(&mut self, header: UnitHeader<Slice<'a>>) -> Result<(), ArtifactError> {
        if header.format() != gimli::Format::Dwarf32 {
            return Err(ArtifactError::NotJoinable("it has 64-bit DWARF"));
        }
        let start = header.debug_info_offset().map_or(0, |offset| offset.0);
        let abbreviations_at = if header.version() >= 5 { 8 } else { 6 };
        self.push(SectionId::DebugInfo, start + abbreviations_at, SectionId::DebugAbbrev);
        let encoding = header.encoding();
        let version = encoding.version;
        let abbreviations = self.dwarf.abbreviations(&header)?;
        let mut entries = header.entries_raw(&abbreviations, None)?;
        while !entries.is_empty() {
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            for &specification in abbreviation.attributes() {
                let at = start + entries.next_offset().0;
                let attribute = entries.read_attribute(specification)?;
                let target = match attribute.value() {
                    AttributeValue::DebugStrRef(_) => SectionId::DebugStr,
                    AttributeValue::DebugLineStrRef(_) => SectionId::DebugLineStr,
                    AttributeValue::DebugInfoRef(_) => SectionId::DebugInfo,
                    AttributeValue::DebugAddrBase(_) => SectionId::DebugAddr,
                    AttributeValue::DebugRngListsBase(_) => SectionId::DebugRngLists,
                    AttributeValue::DebugLocListsBase(_) => SectionId::DebugLocLists,
                    AttributeValue::RangeListsRef(_) if version < 5 => SectionId::DebugRanges,
                    AttributeValue::RangeListsRef(_) => SectionId::DebugRngLists,
                    AttributeValue::DebugLineRef(line) => {
                        line_program_is_self_contained(&self.dwarf, line, encoding)?;
                        SectionId::DebugLine
                    }
                    AttributeValue::LocationListsRef(list) => {
                        self.location_list(list, encoding)?;
                        if version < 5 { SectionId::DebugLoc } else { SectionId::DebugLocLists }
                    }
                    AttributeValue::Exprloc(expression) => {
                        self.expression(SectionId::DebugInfo, self.info, expression, encoding)?;
                        continue;
                    }
                    AttributeValue::SecOffset(_)
                    | AttributeValue::DebugMacinfoRef(_)
                    | AttributeValue::DebugMacroRef(_)
                    | AttributeValue::DebugStrOffsetsBase(_)
                    | AttributeValue::DebugStrOffsetsIndex(_)
                    | AttributeValue::DebugLocListsIndex(_)
                    | AttributeValue::DebugRngListsIndex(_)
                    | AttributeValue::DebugTypesRef(_)
                    | AttributeValue::DebugInfoRefSup(_)
                    | AttributeValue::DebugStrRefSup(_) => {
                        return Err(ArtifactError::NotJoinable("its debug info refers to a section in an unknown way"));
                    }
                    _ => continue,
                };
                self.push(SectionId::DebugInfo, at, target);
            }
        }
        Ok(())
    }

    fn location_list(&mut self, list: gimli::LocationListsOffset, encoding: Encoding) -> Result<(), ArtifactError> {
        if !self.lists.insert((encoding.version < 5, list.0)) {
            return Ok(());
        }
        let (id, section) = match encoding.version {
            ..5 => (SectionId::DebugLoc, self.loc),
            _ => (SectionId::DebugLocLists, self.loclists),
        };
        let mut entries = self.dwarf.locations.raw_locations(list, encoding)?;
        while let Some(entry) = entries.next()? {
            match entry {
                RawLocListEntry::AddressOrOffsetPair { data, .. }
                | RawLocListEntry::StartxEndx { data, .. }
                | RawLocListEntry::StartxLength { data, .. }
                | RawLocListEntry::OffsetPair { data, .. }
                | RawLocListEntry::DefaultLocation { data }
                | RawLocListEntry::StartEnd { data, .. }
                | RawLocListEntry::StartLength { data, .. } => self.expression(id, section, data, encoding)?,
                RawLocListEntry::BaseAddress { .. } | RawLocListEntry::BaseAddressx { .. } => {}
            }
        }
        Ok(())
    }

    /// The references to entries of `.debug_info` from an expression in `section`.
    fn expression(
        &mut self,
        holder: SectionId,
        section: Slice<'a>,
        expression: Expression<Slice<'a>>,
        encoding: Encoding,
    ) -> Result<(), ArtifactError> {
        let start = expression.0.offset_from(section);
        let mut operations = expression.operations(encoding);
        loop {
            // The opcode is one byte.
            let operand = start + operations.offset_from(&expression) + 1;
            match operations.next()? {
                None => return Ok(()),
                Some(
                    Operation::ImplicitPointer { .. }
                    | Operation::VariableValue { .. }
                    | Operation::Call { offset: DieReference::DebugInfoRef(_) },
                ) => self.push(holder, operand, SectionId::DebugInfo),
                Some(Operation::EntryValue { expression }) => {
                    self.expression(holder, section, Expression(expression), encoding)?;
                }
                Some(_) => {}
            }
        }
    }

    fn push(&mut self, holder: SectionId, offset: usize, target: SectionId) {
        self.found.push(Reference { holder, offset, target });
    }
}

/// The header of a line number program can refer to strings in two other sections; ours never do.
fn line_program_is_self_contained(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    line: gimli::DebugLineOffset,
    encoding: Encoding,
) -> Result<(), ArtifactError> {
    let program = dwarf.debug_line.program(line, encoding.address_size, None, None)?;
    let header = program.header();
    let names = header.file_names().iter().map(|file| file.path_name());
    match names
        .chain(header.include_directories().iter().cloned())
        .all(|name| matches!(name, AttributeValue::String(_)))
    {
        true => Ok(()),
        false => Err(ArtifactError::NotJoinable("its line table refers to strings elsewhere")),
    }
}
