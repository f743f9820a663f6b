//! The types that are only declared in a unit: how large they are is said where they are defined.

use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::plan::{NONE, Plan, UnitPlan};
use gimli::{DwTag, UnitOffset, constants as c};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Sizes of types by qualified name; `None` where two definitions differ.
#[derive(Debug)]
pub(crate) struct Definitions(HashMap<Vec<u8>, Option<u64>>);

impl Definitions {
    pub(crate) fn read(dwarf: &GuestDwarf<'_>, plan: &Plan) -> Definitions {
        let mut sizes: HashMap<Vec<u8>, Option<u64>> = HashMap::new();
        for (unit, planned) in dwarf.units.iter().zip(&plan.units) {
            for (position, entry) in planned.entries.iter().enumerate().filter(|(_, entry)| is_type(entry.tag)) {
                let Ok(read) = unit.entry(UnitOffset(entry.offset as usize)) else { continue };
                if read.attr(c::DW_AT_declaration).is_some() {
                    continue;
                }
                let Some(size) = read.attr_value(c::DW_AT_byte_size).and_then(|size| size.udata_value()) else {
                    continue;
                };
                let Some(name) = qualified_name(dwarf, unit, planned, position) else { continue };
                match sizes.entry(name) {
                    Entry::Vacant(place) => {
                        place.insert(Some(size));
                    }
                    Entry::Occupied(mut place) if *place.get() != Some(size) => {
                        place.insert(None);
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        Definitions(sizes)
    }

    pub(crate) fn size(&self, name: &[u8]) -> Option<u64> {
        self.0.get(name).copied().flatten()
    }
}

pub(crate) fn is_type(tag: DwTag) -> bool {
    matches!(tag, c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type | c::DW_TAG_enumeration_type)
}

/// The name of a type with the namespaces and types around it. `None` for what has none, or is local to a function.
pub(crate) fn qualified_name<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    plan: &UnitPlan,
    position: usize,
) -> Option<Vec<u8>> {
    let mut parts: Vec<Slice<'_>> = Vec::new();
    let mut position = position;
    // The root has no name of this kind.
    while position != 0 {
        let entry = &plan.entries[position];
        if !is_type(entry.tag) && !matches!(entry.tag, c::DW_TAG_namespace | c::DW_TAG_module) {
            return None;
        }
        let read = unit.entry(UnitOffset(entry.offset as usize)).ok()?;
        parts.push(dwarf.sections(unit).attr_string(unit, read.attr_value(c::DW_AT_name)?).ok()?);
        if entry.parent == NONE {
            return None;
        }
        position = entry.parent as usize;
    }
    let parts: Vec<&[u8]> = parts.iter().rev().map(|part| part.slice()).collect();
    Some(parts.join(&b"::"[..]))
}
