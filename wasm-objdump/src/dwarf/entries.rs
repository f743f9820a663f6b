//! Debugging information entries as text.

use anyhow::{Context as _, Result};
use gimli::{Attribute, AttributeValue, UnitRef};
use serde::Serialize;

use super::{RegisterNames, expression_text, text_of};
use crate::native::Reader;
use crate::output::Output;

#[derive(Serialize)]
struct Entry {
    offset: u64,
    depth: isize,
    tag: String,
    attributes: Vec<(String, String)>,
}

/// Every unit with every entry.
pub fn dump_units(dwarf: &gimli::Dwarf<Reader<'_>>, names: RegisterNames<'_>, out: &mut Output<'_>) -> Result<()> {
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().context(".debug_info is damaged")? {
        dump_unit(dwarf, header, names, out)?;
    }
    let mut headers = dwarf.type_units();
    while let Some(header) = headers.next().context(".debug_types is damaged")? {
        dump_unit(dwarf, header, names, out)?;
    }
    Ok(())
}

fn unit_start(header: &gimli::UnitHeader<Reader<'_>>) -> u64 {
    header.offset().0 as u64
}

fn dump_unit(
    dwarf: &gimli::Dwarf<Reader<'_>>,
    header: gimli::UnitHeader<Reader<'_>>,
    names: RegisterNames<'_>,
    out: &mut Output<'_>,
) -> Result<()> {
    let start = unit_start(&header);
    let (version, address_size) = (header.version(), header.address_size());
    out.note(&format!("\nUnit at {start:#010x}: DWARF {version}, {address_size}-byte addresses"))?;
    let unit = dwarf.unit(header).with_context(|| format!("the unit at {start:#x}"))?;
    let unit = unit.unit_ref(dwarf);
    let mut entries = unit.entries();
    while let Some(entry) = entries.next_dfs().with_context(|| format!("the entries of the unit at {start:#x}"))? {
        let attributes = entry
            .attrs()
            .iter()
            .map(|attribute| (attribute.name().to_string(), attribute_text(&unit, start, attribute, names)));
        let row = Entry {
            offset: start + entry.offset().0 as u64,
            depth: entry.depth(),
            tag: entry.tag().to_string(),
            attributes: attributes.collect(),
        };
        out.row(&row, |w, palette| {
            let indent = usize::try_from(row.depth).unwrap_or(0).min(64) * 2;
            let (address, name, reset) = (palette.address, palette.name, palette.reset);
            writeln!(w, "\n{address}{:#010x}:{reset} {:indent$}{name}{}{reset}", row.offset, "", row.tag)?;
            for (attribute, value) in &row.attributes {
                writeln!(w, "            {:indent$}  {attribute:<24} {value}", "")?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn attribute_text<'d>(
    unit: &UnitRef<'_, Reader<'d>>,
    unit_start: u64,
    attribute: &Attribute<Reader<'d>>,
    names: RegisterNames<'_>,
) -> String {
    let string = || match unit.attr_string(attribute.value()) {
        Ok(text) => format!("{:?}", text_of(&text)),
        Err(error) => format!("(damaged: {error})"),
    };
    match attribute.value() {
        AttributeValue::Addr(address) => format!("{address:#018x}"),
        AttributeValue::DebugAddrIndex(index) => match unit.address(index) {
            Ok(address) => format!("{address:#018x} (address {})", index.0),
            Err(error) => format!("address {} (damaged: {error})", index.0),
        },
        AttributeValue::Block(block) => crate::output::hex(block.slice()),
        AttributeValue::Data1(value) => format!("{value:#x}"),
        AttributeValue::Data2(value) => format!("{value:#x}"),
        AttributeValue::Data4(value) => format!("{value:#x}"),
        AttributeValue::Data8(value) => format!("{value:#x}"),
        AttributeValue::Data16(value) => format!("{value:#x}"),
        AttributeValue::Sdata(value) => format!("{value}"),
        AttributeValue::Udata(value) => format!("{value}"),
        AttributeValue::Exprloc(expression) => expression_text(expression, unit.encoding(), names),
        AttributeValue::Flag(value) => format!("{value}"),
        AttributeValue::UnitRef(offset) => format!("{{{:#010x}}}", unit_start + offset.0 as u64),
        AttributeValue::DebugInfoRef(offset) => format!("{{{:#010x}}}", offset.0),
        AttributeValue::DebugInfoRefSup(offset) => format!("{{{:#010x}}} in the supplementary file", offset.0),
        AttributeValue::DebugTypesRef(signature) => format!("type {:#018x}", signature.0),
        AttributeValue::LocationListsRef(_) | AttributeValue::DebugLocListsIndex(_) => {
            location_list(unit, attribute.value(), names)
        }
        AttributeValue::RangeListsRef(_) | AttributeValue::DebugRngListsIndex(_) => ranges(unit, attribute.value()),
        AttributeValue::DebugLineRef(offset) => format!("{:#010x}", offset.0),
        AttributeValue::String(_)
        | AttributeValue::DebugStrRef(_)
        | AttributeValue::DebugStrOffsetsIndex(_)
        | AttributeValue::DebugLineStrRef(_) => string(),
        AttributeValue::Encoding(value) => value.to_string(),
        AttributeValue::Language(value) => value.to_string(),
        AttributeValue::Accessibility(value) => value.to_string(),
        AttributeValue::Visibility(value) => value.to_string(),
        AttributeValue::Virtuality(value) => value.to_string(),
        AttributeValue::CallingConvention(value) => value.to_string(),
        AttributeValue::Inline(value) => value.to_string(),
        AttributeValue::Ordering(value) => value.to_string(),
        AttributeValue::DecimalSign(value) => value.to_string(),
        AttributeValue::Endianity(value) => value.to_string(),
        AttributeValue::IdentifierCase(value) => value.to_string(),
        AttributeValue::FileIndex(index) => match file_name(unit, index) {
            Some(name) => format!("{name:?}"),
            None => format!("file {index}"),
        },
        AttributeValue::SecOffset(offset) => format!("{offset:#010x}"),
        AttributeValue::DebugAddrBase(base) => format!("{:#010x}", base.0),
        AttributeValue::DebugLocListsBase(base) => format!("{:#010x}", base.0),
        AttributeValue::DebugRngListsBase(base) => format!("{:#010x}", base.0),
        AttributeValue::DebugStrOffsetsBase(base) => format!("{:#010x}", base.0),
        AttributeValue::DebugMacinfoRef(offset) => format!("{:#010x}", offset.0),
        AttributeValue::DebugMacroRef(offset) => format!("{:#010x}", offset.0),
        AttributeValue::DwoId(id) => format!("{:#018x}", id.0),
        other => format!("{other:?}"),
    }
}

/// The name of a file of the unit's line table.
fn file_name<'d>(unit: &UnitRef<'_, Reader<'d>>, index: u64) -> Option<String> {
    let program = unit.line_program.as_ref()?;
    let file = program.header().file(index)?;
    unit.attr_string(file.path_name()).ok().map(|name| text_of(&name))
}

/// A list of a hostile file can be long: what is shown of one has an end.
const SHOWN_OF_A_LIST: usize = 10_000;

fn location_list<'d>(
    unit: &UnitRef<'_, Reader<'d>>,
    value: AttributeValue<Reader<'d>>,
    names: RegisterNames<'_>,
) -> String {
    let mut text = String::from("location list");
    let mut list = match unit.attr_locations(value) {
        Ok(Some(list)) => list,
        Ok(None) => return text,
        Err(error) => return format!("{text} (damaged: {error})"),
    };
    for _ in 0..SHOWN_OF_A_LIST {
        match list.next() {
            Ok(Some(entry)) => {
                let what = expression_text(entry.data, unit.encoding(), names);
                let what = if what.is_empty() { "(nothing)" } else { &what };
                text.push_str(&format!("\n{:44}[{:#x}, {:#x}): {what}", "", entry.range.begin, entry.range.end));
            }
            Ok(None) => return text,
            Err(error) => return format!("{text} (damaged: {error})"),
        }
    }
    text.push_str(" ...");
    text
}

fn ranges<'d>(unit: &UnitRef<'_, Reader<'d>>, value: AttributeValue<Reader<'d>>) -> String {
    let mut text = String::from("ranges");
    let mut list = match unit.attr_ranges(value) {
        Ok(Some(list)) => list,
        Ok(None) => return text,
        Err(error) => return format!("{text} (damaged: {error})"),
    };
    for _ in 0..SHOWN_OF_A_LIST {
        match list.next() {
            Ok(Some(range)) => text.push_str(&format!("\n{:44}[{:#x}, {:#x})", "", range.begin, range.end)),
            Ok(None) => return text,
            Err(error) => return format!("{text} (damaged: {error})"),
        }
    }
    text.push_str(" ...");
    text
}
