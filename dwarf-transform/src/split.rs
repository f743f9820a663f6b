//! Split DWARF: the units that a module's skeleton units stand for lie in other files.
//!
//! A `.dwo` file holds what one compilation left out of its object file, a `.dwp` file (a package) what all have. Which file
//! a skeleton unit means is decided by its identifier, not by its name; the name says where to look, which is the
//! caller's to do ([`named_files`](crate::named_files)).

use crate::guest::{GuestModule, GuestSplitFile};
use crate::guest_dwarf::{GuestDwarf, Slice, Unit, headers};
use crate::loss::{LossKind, Losses};
use gimli::{AttributeValue, EndianSlice, LittleEndian, UnitHeader, UnitType, constants};
use std::collections::{HashMap, HashSet};

/// A unit that lies in another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitUnit {
    /// The file's path as the compiler wrote it (`DW_AT_dwo_name`).
    pub name: String,
    /// What a relative path is relative to (`DW_AT_comp_dir`).
    pub directory: Option<String>,
    /// Which unit it is (`DW_AT_GNU_dwo_id`, or in the header).
    pub id: Option<u64>,
}

/// The units that lie in other files.
pub(crate) fn split_units(dwarf: &GuestDwarf<'_>) -> Vec<SplitUnit> {
    dwarf.units.iter().filter_map(|unit| skeleton_of(dwarf.sections(unit), unit)).collect()
}

/// What a unit is the skeleton of.
pub(crate) fn skeleton_of<'a>(sections: &gimli::Dwarf<Slice<'a>>, unit: &Unit<'a>) -> Option<SplitUnit> {
    let mut entries = unit.entries();
    entries.next_dfs().ok()?;
    let root = entries.current()?;
    let name = root.attr_value(constants::DW_AT_dwo_name).or_else(|| root.attr_value(constants::DW_AT_GNU_dwo_name))?;
    let name = sections.attr_string(unit, name).ok()?.to_string_lossy().into_owned();
    let directory = unit.comp_dir.map(|directory| directory.to_string_lossy().into_owned());
    Some(SplitUnit { name, directory, id: unit.dwo_id.map(|id| id.0) })
}

/// The units of the files that the caller found.
pub(crate) struct SplitUnits<'a> {
    /// By identifier: the sections it lies in, its header and its file.
    units: HashMap<u64, (usize, UnitHeader<Slice<'a>>, &'a str)>,
    /// The type units of `.dwo` files.
    types: Vec<(usize, UnitHeader<Slice<'a>>, &'a str)>,
    packages: Vec<(gimli::DwarfPackage<Slice<'a>>, &'a str)>,
    /// All files.
    files: Vec<&'a str>,
}

impl<'a> SplitUnits<'a> {
    /// Reads the headers of all units.
    pub(crate) fn read(guest: &GuestModule<'a>, dwarf: &mut GuestDwarf<'a>) -> SplitUnits<'a> {
        let mut split =
            SplitUnits { units: HashMap::new(), types: Vec::new(), packages: Vec::new(), files: Vec::new() };
        for file in &guest.split_files {
            split.files.push(file.name);
            let load = |id: gimli::SectionId| -> Result<Slice<'a>, gimli::Error> {
                let bytes = id.dwo_name().map_or(&[][..], |name| file.sections.get(name));
                Ok(EndianSlice::new(bytes, LittleEndian))
            };
            if file.is_package() {
                match gimli::DwarfPackage::load(load, EndianSlice::new(&[], LittleEndian)) {
                    Ok(package) => split.packages.push((package, file.name)),
                    Err(error) => dwarf.losses.count(LossKind::MalformedUnit, || format!("{}: {error}", file.name)),
                }
                continue;
            }
            let Ok(mut sections) = gimli::Dwarf::load(load) else {
                continue;
            };
            sections.make_dwo(&dwarf.containers[0]);
            split.add_container(dwarf, sections, file.name);
        }
        split
    }

    /// Adds the units of a file, or of one contribution to a package.
    fn add_container(&mut self, dwarf: &mut GuestDwarf<'a>, sections: gimli::Dwarf<Slice<'a>>, file: &'a str) {
        let container = dwarf.containers.len();
        let headers = headers(&sections, Some(file), &mut dwarf.losses);
        dwarf.containers.push(sections);
        for header in headers {
            match header.type_() {
                UnitType::Type { .. } | UnitType::SplitType { .. } => self.types.push((container, header, file)),
                UnitType::SplitCompilation(id) => {
                    self.units.entry(id.0).or_insert((container, header, file));
                }
                _ => {
                    if let Some(id) = identifier(&dwarf.containers[container], &header) {
                        self.units.entry(id).or_insert((container, header, file));
                    }
                }
            }
        }
    }

    /// The unit that `skeleton` stands for; the skeleton itself where it is missing, for the sake of its lines.
    pub(crate) fn join(&mut self, dwarf: &mut GuestDwarf<'a>, skeleton: Unit<'a>, wanted: &SplitUnit) -> Unit<'a> {
        let other =
            self.files.iter().find(|file| file.ends_with(wanted.name.rsplit('/').next().unwrap_or_default())).copied();
        let missing = |losses: &mut Losses| {
            losses.count(LossKind::MissingSplitUnit, || match (other, &wanted.directory) {
                (Some(file), _) => format!("{} ({file} is of another compilation)", wanted.name),
                (None, Some(directory)) => format!("{} (compiled in {directory})", wanted.name),
                (None, None) => wanted.name.clone(),
            });
        };
        let Some(id) = wanted.id else {
            missing(&mut dwarf.losses);
            return skeleton;
        };
        if !self.units.contains_key(&id) {
            self.find_in_packages(dwarf, gimli::DwoId(id));
        }
        let Some((container, header, file)) = self.units.get(&id).cloned() else {
            missing(&mut dwarf.losses);
            return skeleton;
        };
        match dwarf.unit(header, container, Some(file)) {
            Some(mut unit) => {
                unit.complete(skeleton);
                unit
            }
            None => skeleton,
        }
    }

    fn find_in_packages(&mut self, dwarf: &mut GuestDwarf<'a>, id: gimli::DwoId) {
        let found = self
            .packages
            .iter()
            .find_map(|(package, file)| Some((package.find_cu(id, &dwarf.containers[0]).transpose()?, *file)));
        match found {
            Some((Ok(sections), file)) => self.add_container(dwarf, sections, file),
            Some((Err(error), file)) => {
                dwarf.losses.count(LossKind::MalformedUnit, || format!("{file}: split unit {:#x}: {error}", id.0));
            }
            None => {}
        }
    }

    /// Adds the type units, each type once: every `.dwo` file has its own copies.
    pub(crate) fn add_types(mut self, dwarf: &mut GuestDwarf<'a>) {
        for (package, file) in std::mem::take(&mut self.packages) {
            for row in 1..=package.tu_index.unit_count() {
                match package.tu_sections(row, &dwarf.containers[0]) {
                    Ok(sections) => self.add_container(dwarf, sections, file),
                    Err(error) => dwarf.losses.count(LossKind::MalformedUnit, || format!("{file}: {error}")),
                }
            }
        }
        let mut seen: HashSet<u64> = dwarf.units.iter().filter_map(|unit| signature(&unit.header)).collect();
        for (container, header, file) in self.types {
            if signature(&header).is_some_and(|signature| seen.insert(signature)) {
                let unit = dwarf.unit(header, container, Some(file));
                dwarf.units.extend(unit);
            }
        }
    }
}

fn signature(header: &UnitHeader<Slice<'_>>) -> Option<u64> {
    match header.type_() {
        UnitType::Type { type_signature, .. } | UnitType::SplitType { type_signature, .. } => Some(type_signature.0),
        _ => None,
    }
}

/// The identifier of a split unit before DWARF 5: an attribute of its root.
fn identifier(sections: &gimli::Dwarf<Slice<'_>>, header: &UnitHeader<Slice<'_>>) -> Option<u64> {
    let abbreviations = sections.abbreviations(header).ok()?;
    let mut entries = header.entries(&abbreviations);
    entries.next_dfs().ok()?;
    match entries.current()?.attr_value(constants::DW_AT_GNU_dwo_id)? {
        AttributeValue::DwoId(id) => Some(id.0),
        value => value.udata_value(),
    }
}

impl GuestSplitFile<'_> {
    /// Whether the file is a package: it has an index of its units.
    fn is_package(&self) -> bool {
        !self.sections.get(".debug_cu_index").is_empty() || !self.sections.get(".debug_tu_index").is_empty()
    }
}
