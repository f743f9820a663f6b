//! Results of Rust functions that natively come in registers, though in wasm they come through memory.

use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::scope::{Entry, declaration_of};
use crate::static_objects::size_of;
use gimli::{AttributeValue, UnitOffset, constants as c};

/// The size of a register, up to which 64-bit code has results in one.
const REGISTER: u64 = 8;
/// The size of an address of the guest.
const ADDRESS: u64 = 4;
/// How many types a result may consist of.
const MAX_PARTS: usize = 64;

/// Is the result of a subprogram, natively, no larger than a register, or a structure of two numbers, which rustc puts into two? Where
/// that cannot be told, the answer is no.
pub(crate) fn is_small<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, subprogram: &Entry<'a>) -> bool {
    let declaration = declaration_of(unit, subprogram);
    let entries = [Some(subprogram), declaration.as_ref()];
    let Some(ty) = entries.into_iter().flatten().find_map(|entry| entry.attr_value(c::DW_AT_type)) else {
        return false;
    };
    match size_of(unit, ty, 0) {
        Some(size) if size <= ADDRESS => true,
        Some(size) if size <= REGISTER => {
            has_address(dwarf, unit, ty) == Some(false) || is_pair(unit, ty) == Some(true)
        }
        Some(size) if size <= 2 * REGISTER => is_pair(unit, ty) == Some(true),
        _ => false,
    }
}

/// Has a structure two members, and is each a number or an address?
fn is_pair<'a>(unit: &Unit<'a>, ty: AttributeValue<Slice<'a>>) -> Option<bool> {
    let AttributeValue::UnitRef(structure) = ty else { return None };
    let mut entries = unit.entries_raw(Some(structure)).ok()?;
    let mut entry = Entry::null();
    if !entries.read_entry(&mut entry).ok()? || entry.tag() != c::DW_TAG_structure_type {
        return Some(false);
    }
    let depth = entry.depth();
    let mut members = 0;
    while !entries.is_empty() && entries.next_depth() > depth {
        if !entries.read_entry(&mut entry).ok()? || entry.depth() > depth + 1 {
            continue;
        }
        match entry.tag() {
            c::DW_TAG_variant_part => return Some(false),
            c::DW_TAG_member => {
                let AttributeValue::UnitRef(member) = entry.attr_value(c::DW_AT_type)? else { return None };
                let is_scalar = matches!(
                    unit.entry(member).ok()?.tag(),
                    c::DW_TAG_base_type | c::DW_TAG_pointer_type | c::DW_TAG_enumeration_type
                );
                members += 1;
                if !is_scalar || size_of(unit, AttributeValue::UnitRef(member), 0)? > REGISTER || members > 2 {
                    return Some(false);
                }
            }
            _ => {}
        }
    }
    Some(members == 2)
}

/// Is a part of a type as large as an address, so that it takes twice the place in 64-bit code?
fn has_address<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, ty: AttributeValue<Slice<'a>>) -> Option<bool> {
    let AttributeValue::UnitRef(first) = ty else { return None };
    let mut parts: Vec<UnitOffset> = vec![first];
    let mut next = 0;
    let mut entry = Entry::null();
    while let Some(&part) = parts.get(next) {
        next += 1;
        let mut entries = unit.entries_raw(Some(part)).ok()?;
        if !entries.read_entry(&mut entry).ok()? {
            return None;
        }
        let depth = entry.depth();
        match entry.tag() {
            c::DW_TAG_pointer_type | c::DW_TAG_reference_type | c::DW_TAG_subroutine_type => return Some(true),
            c::DW_TAG_base_type => {
                let name = dwarf.sections(unit).attr_string(unit, entry.attr_value(c::DW_AT_name)?).ok()?;
                if matches!(name.slice(), b"usize" | b"isize") {
                    return Some(true);
                }
            }
            _ => {}
        }
        // Its element, or its members and those of its variants.
        let mut of = entry.attr_value(c::DW_AT_type);
        loop {
            if let Some(AttributeValue::UnitRef(offset)) = of
                && !parts.contains(&offset)
            {
                parts.push(offset);
            }
            if parts.len() > MAX_PARTS {
                return None;
            }
            of = None;
            if entries.is_empty() || entries.next_depth() <= depth {
                break;
            }
            if entries.read_entry(&mut entry).ok()? && entry.tag() == c::DW_TAG_member {
                of = entry.attr_value(c::DW_AT_type);
            }
        }
    }
    Some(false)
}
