//! Variables with an address of their own, which debuggers name addresses by.

use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::pointers::is_transparent;
use crate::scope::{Entry, declaration_of};
use gimli::{AttributeValue, Operation, UnitOffset, constants as c};

/// A variable that lies at one address of linear memory as long as the program runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaticObject {
    /// Its address in linear memory.
    pub address: u64,
    /// As a linker would name it: the linkage name, or the name, after that of the function around it.
    pub name: String,
    /// In bytes; 1 where the type does not say.
    pub size: u64,
}

/// Addresses from here on are none.
const TOMBSTONES: u64 = 0xffff_fffe;

/// Types that are followed to find a size.
const MAX_TYPE_CHAIN: usize = 64;

/// The static object that `entry` is; `function` is the subprogram around it.
pub(crate) fn static_object<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    function: Option<UnitOffset>,
) -> Option<StaticObject> {
    if entry.tag() != c::DW_TAG_variable {
        return None;
    }
    let AttributeValue::Exprloc(location) = entry.attr_value(c::DW_AT_location)? else { return None };
    let mut operations = location.operations(unit.encoding());
    let mut address = match operations.next().ok()?? {
        Operation::Address { address } => address,
        Operation::AddressIndex { index } => dwarf.sections(unit).address(unit, index).ok()?,
        _ => return None,
    };
    while let Some(operation) = operations.next().ok()? {
        let Operation::PlusConstant { value } = operation else { return None };
        address = address.checked_add(value)?;
    }
    let declaration = declaration_of(unit, entry);
    let entries: Vec<&Entry<'a>> = [Some(entry), declaration.as_ref()].into_iter().flatten().collect();
    let text = |value| text_of(dwarf, unit, value);
    let of_linker = entries.iter().find_map(|entry| linkage_name(entry)).and_then(text);
    let name = of_linker.or_else(|| {
        let name = text(entries.iter().find_map(|entry| entry.attr_value(c::DW_AT_name))?)?;
        let function = function.and_then(|offset| unit.entry(offset).ok());
        let function = function.and_then(|entry| text(entry.attr_value(c::DW_AT_name)?));
        Some(function.map_or_else(|| name.clone(), |function| format!("{function}.{name}")))
    })?;
    let size = entries
        .iter()
        .find_map(|entry| entry.attr_value(c::DW_AT_type))
        .and_then(|ty| size_of(unit, ty, 0))
        .unwrap_or(0)
        .max(1);
    // Objects that the linker left out are at 0, -1 or -2.
    (address != 0 && address < TOMBSTONES && !name.is_empty()).then_some(StaticObject { address, name, size })
}

/// The linker's name of what an entry declares. Producers of DWARF 2 and 3 have an attribute of their own for it.
pub(crate) fn linkage_name<'a>(entry: &Entry<'a>) -> Option<AttributeValue<Slice<'a>>> {
    entry.attr_value(c::DW_AT_linkage_name).or_else(|| entry.attr_value(c::DW_AT_MIPS_linkage_name))
}

fn text_of<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, value: AttributeValue<Slice<'a>>) -> Option<String> {
    let name = dwarf.sections(unit).attr_string(unit, value).ok()?;
    Some(std::str::from_utf8(name.slice()).ok()?.to_owned())
}

/// How large a type is. `followed` types have led to it.
pub(crate) fn size_of<'a>(unit: &Unit<'a>, ty: AttributeValue<Slice<'a>>, followed: usize) -> Option<u64> {
    let AttributeValue::UnitRef(offset) = ty else { return None };
    let entry = unit.entry(offset).ok()?;
    if let Some(size) = entry.attr_value(c::DW_AT_byte_size).and_then(|size| size.udata_value()) {
        return Some(size);
    }
    let of_target = || {
        let target = entry.attr_value(c::DW_AT_type).filter(|_| followed < MAX_TYPE_CHAIN)?;
        size_of(unit, target, followed + 1)
    };
    match entry.tag() {
        c::DW_TAG_pointer_type | c::DW_TAG_reference_type | c::DW_TAG_rvalue_reference_type => {
            Some(u64::from(unit.encoding().address_size))
        }
        c::DW_TAG_array_type => of_target()?.checked_mul(elements(unit, offset)?),
        tag if is_transparent(tag) => of_target(),
        _ => None,
    }
}

/// How many elements an array type has, in all its dimensions.
fn elements(unit: &Unit<'_>, array: UnitOffset) -> Option<u64> {
    let mut entries = unit.entries_raw(Some(array)).ok()?;
    let mut entry = Entry::null();
    if !entries.read_entry(&mut entry).ok()? {
        return None;
    }
    let depth = entry.depth();
    let mut count = 1u64;
    while !entries.is_empty() && entries.next_depth() > depth {
        if !entries.read_entry(&mut entry).ok()? || entry.tag() != c::DW_TAG_subrange_type {
            continue;
        }
        let bound = |name| entry.attr_value(name).and_then(|value| value.udata_value());
        let of_dimension = bound(c::DW_AT_count).or_else(|| bound(c::DW_AT_upper_bound)?.checked_add(1))?;
        count = count.checked_mul(of_dimension)?;
    }
    Some(count)
}
