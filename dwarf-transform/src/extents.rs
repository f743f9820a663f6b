//! How large the objects are that a class with virtual bases can be a part of.
//!
//! Where a virtual base lies is said by the whole object, not by the class: of a part, it may begin anywhere up to the whole
//! object's end.

use crate::definitions::{is_type, qualified_name};
use crate::guest_dwarf::GuestDwarf;
use crate::plan::{Plan, UnitPlan};
use crate::pointers::is_transparent;
use crate::scope::Entry;
use gimli::{AttributeValue, DieReference, UnitOffset, constants as c};
use std::collections::{HashMap, HashSet};

/// The sizes of the largest whole objects, of classes that have a virtual base, themselves or by their bases.
#[derive(Debug)]
pub(crate) struct Extents(HashMap<ClassName, u64>);

/// What tells a class from others: its qualified name, or its place if it has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ClassName {
    Qualified(Vec<u8>),
    Place(usize, usize),
}

#[derive(Default)]
struct Class {
    size: u64,
    bases: Vec<ClassName>,
    has_virtual_base: bool,
}

/// Type definitions and qualifiers that are followed in a row.
const MAX_TYPE_CHAIN: usize = 32;

impl Extents {
    pub(crate) fn read(dwarf: &GuestDwarf<'_>, plan: &Plan) -> Extents {
        let mut classes: HashMap<ClassName, Class> = HashMap::new();
        for unit in 0..plan.units.len() {
            for entry in &plan.units[unit].entries {
                if entry.tag != c::DW_TAG_inheritance {
                    continue;
                }
                let Ok(read) = dwarf.units[unit].entry(UnitOffset(entry.offset as usize)) else { continue };
                let Some(base) = base_class(dwarf, plan, unit, &read) else { continue };
                let heir = entry.parent as usize;
                let class = classes.entry(class_name(dwarf, plan, unit, heir)).or_default();
                class.size = class.size.max(size(dwarf, plan, unit, heir));
                class.has_virtual_base |= is_virtual(&read);
                if !class.bases.contains(&base) {
                    class.bases.push(base);
                }
            }
        }
        let mut extents = HashMap::new();
        for (name, class) in &classes {
            // The class and all that it is derived from.
            let mut found = HashSet::from([name]);
            let mut work = vec![name];
            while let Some(at) = work.pop() {
                let bases = classes.get(at).into_iter().flat_map(|class| &class.bases);
                work.extend(bases.filter(|base| found.insert(base)));
            }
            for part in found {
                let extent = extents.entry(part.clone()).or_insert(0);
                *extent = class.size.max(*extent);
            }
        }
        let virtual_heirs = with_virtual_bases(&classes);
        extents.retain(|name, _| virtual_heirs.contains(name));
        Extents(extents)
    }

    /// How large an object may be of which the class at a position of a unit is a part.
    pub(crate) fn of(&self, dwarf: &GuestDwarf<'_>, plan: &Plan, unit: usize, position: usize) -> Option<u64> {
        self.0.get(&class_name(dwarf, plan, unit, position)).copied()
    }
}

/// Is the entry a base that all parts of an object share?
pub(crate) fn is_virtual(inheritance: &Entry<'_>) -> bool {
    let virtuality = inheritance.attr_value(c::DW_AT_virtuality);
    matches!(virtuality, Some(AttributeValue::Virtuality(c::DW_VIRTUALITY_virtual)))
}

fn with_virtual_bases(classes: &HashMap<ClassName, Class>) -> HashSet<&ClassName> {
    let mut found: HashSet<&ClassName> = HashSet::new();
    loop {
        let known = found.len();
        let has = |class: &Class| class.has_virtual_base || class.bases.iter().any(|base| found.contains(base));
        found = classes.iter().filter(|(_, class)| has(class)).map(|(name, _)| name).collect();
        if found.len() == known {
            return found;
        }
    }
}

fn class_name(dwarf: &GuestDwarf<'_>, plan: &Plan, unit: usize, position: usize) -> ClassName {
    match qualified_name(dwarf, &dwarf.units[unit], &plan.units[unit], position) {
        Some(name) => ClassName::Qualified(name),
        None => ClassName::Place(unit, position),
    }
}

fn size(dwarf: &GuestDwarf<'_>, plan: &Plan, unit: usize, position: usize) -> u64 {
    let UnitPlan { entries, .. } = &plan.units[unit];
    let class = dwarf.units[unit].entry(UnitOffset(entries[position].offset as usize));
    class.ok().and_then(|class| class.attr_value(c::DW_AT_byte_size)?.udata_value()).unwrap_or(0)
}

/// The class that an entry of inheritance names, maybe by a type definition.
fn base_class(dwarf: &GuestDwarf<'_>, plan: &Plan, unit: usize, inheritance: &Entry<'_>) -> Option<ClassName> {
    let target = |unit: usize, value| match value {
        AttributeValue::UnitRef(offset) => plan.find(dwarf, unit, DieReference::UnitRef(offset)),
        AttributeValue::DebugInfoRef(offset) => plan.find_global(dwarf, unit, offset.0),
        AttributeValue::DebugTypesRef(signature) => plan.find_signature(signature.0),
        _ => None,
    };
    let (mut unit, mut position) = target(unit, inheritance.attr_value(c::DW_AT_type)?)?;
    for _ in 0..MAX_TYPE_CHAIN {
        let entry = &plan.units[unit].entries[position];
        if is_type(entry.tag) {
            return Some(class_name(dwarf, plan, unit, position));
        }
        if !is_transparent(entry.tag) {
            return None;
        }
        let read = dwarf.units[unit].entry(UnitOffset(entry.offset as usize)).ok()?;
        (unit, position) = target(unit, read.attr_value(c::DW_AT_type)?)?;
    }
    None
}
