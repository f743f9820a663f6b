//! A readable dump of native DWARF, read back with gimli's reader.

use crate::common::{CELL_ADDRESS, TEXT_ADDRESS, link};
use dwarf_transform::Section;
use gimli::{AttributeValue, EndianSlice, LittleEndian, Operation, UnitOffset};
use std::fmt::Write;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Unit<'a> = gimli::Unit<Slice<'a>>;

/// The sections with their relocations applied.
pub struct Linked(Vec<(&'static str, Vec<u8>)>);

impl Linked {
    /// Applies the relocations.
    pub fn new(sections: &[Section]) -> Linked {
        Linked(sections.iter().map(|section| (section.name, link(section))).collect())
    }

    /// Reads them.
    pub fn dwarf(&self) -> gimli::Dwarf<Slice<'_>> {
        gimli::Dwarf::load(|id| -> Result<_, gimli::Error> {
            let bytes = self.0.iter().find(|section| section.0 == id.name()).map_or(&[][..], |section| &section.1);
            Ok(EndianSlice::new(bytes, LittleEndian))
        })
        .expect("sections load")
    }
}

/// Addresses in `.text` are written `T+0x10`, the instance cell `CELL`.
fn address(value: u64) -> String {
    match value {
        CELL_ADDRESS => "CELL".into(),
        _ if value >= TEXT_ADDRESS => format!("T+{:#x}", value - TEXT_ADDRESS),
        _ => format!("{value:#x}"),
    }
}

/// All units: entries and line rows.
pub fn dump(sections: &[Section]) -> String {
    let linked = Linked::new(sections);
    let dwarf = linked.dwarf();
    let mut out = String::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next().expect("unit header") {
        let unit = dwarf.unit(header).expect("unit");
        writeln!(out, "unit version {} address size {}", unit.header.version(), unit.header.address_size()).unwrap();
        entries(&dwarf, &unit, &mut out);
        lines(&dwarf, &unit, &mut out);
        macros(&dwarf, &unit, &mut out);
    }
    out
}

/// A name for the entry that is referred to.
fn name_of(dwarf: &gimli::Dwarf<Slice<'_>>, unit: &Unit<'_>, offset: UnitOffset) -> String {
    let entry = unit.entry(offset).expect("the reference is valid");
    let name = entry
        .attr_value(gimli::DW_AT_name)
        .and_then(|name| dwarf.attr_string(unit, name).ok())
        .map(|name| name.to_string_lossy().into_owned());
    let tag = entry.tag().static_string().unwrap_or("?").trim_start_matches("DW_TAG_").to_owned();
    match (name, entry.attr_value(gimli::DW_AT_type)) {
        (Some(name), _) => format!("{tag} {name}"),
        (None, Some(AttributeValue::UnitRef(inner))) if inner != offset => {
            format!("{tag} to {}", name_of(dwarf, unit, inner))
        }
        _ => tag,
    }
}

fn entries(dwarf: &gimli::Dwarf<Slice<'_>>, unit: &Unit<'_>, out: &mut String) {
    let mut cursor = unit.entries();
    while cursor.next_dfs().expect("entry").is_some() {
        let entry = cursor.current().expect("current entry");
        let indent = "  ".repeat(usize::try_from(entry.depth()).unwrap() + 1);
        let tag = entry.tag().static_string().unwrap_or("?").trim_start_matches("DW_TAG_");
        writeln!(out, "{indent}{tag}").unwrap();
        for attr in entry.attrs() {
            let name = attr.name().static_string().unwrap_or("?").trim_start_matches("DW_AT_");
            if name == "stmt_list" {
                continue;
            }
            let text = attribute(dwarf, unit, attr);
            writeln!(out, "{indent}  .{name} {text}").unwrap();
        }
    }
}

fn attribute(dwarf: &gimli::Dwarf<Slice<'_>>, unit: &Unit<'_>, attr: &gimli::Attribute<Slice<'_>>) -> String {
    match attr.value() {
        AttributeValue::Addr(value) => address(value),
        AttributeValue::DebugAddrIndex(index) => address(dwarf.address(unit, index).expect("address")),
        AttributeValue::Exprloc(expression) => self::expression(dwarf, unit, expression),
        AttributeValue::UnitRef(offset) => name_of(dwarf, unit, offset),
        AttributeValue::DebugInfoRef(offset) => {
            let mut units = dwarf.units();
            while let Some(header) = units.next().expect("unit header") {
                if let Some(inside) = offset.to_unit_offset(&header) {
                    let other = dwarf.unit(header).expect("unit");
                    return format!("other unit's {}", name_of(dwarf, &other, inside));
                }
            }
            panic!("reference to nowhere: {offset:?}");
        }
        AttributeValue::RangeListsRef(_) => {
            let mut ranges = dwarf.attr_ranges(unit, attr.value()).expect("ranges").expect("range list");
            let mut text = Vec::new();
            while let Some(range) = ranges.next().expect("range") {
                text.push(format!("{}..{}", address(range.begin), address(range.end)));
            }
            text.join(" ")
        }
        AttributeValue::LocationListsRef(_) => {
            let mut list = dwarf.attr_locations(unit, attr.value()).expect("locations").expect("location list");
            let mut text = Vec::new();
            while let Some(item) = list.next().expect("location") {
                let range = format!("{}..{}", address(item.range.begin), address(item.range.end));
                text.push(format!("[{range}: {}]", self::expression(dwarf, unit, item.data)));
            }
            text.join(" ")
        }
        AttributeValue::FileIndex(index) => file_name(dwarf, unit, index),
        value => match dwarf.attr_string(unit, value) {
            Ok(string) => format!("{:?}", string.to_string_lossy()),
            Err(_) => match attr.value() {
                AttributeValue::Udata(value) => format!("{value}"),
                AttributeValue::Sdata(value) => format!("{value}"),
                AttributeValue::Flag(value) => format!("{value}"),
                AttributeValue::Data1(value) => format!("{value}"),
                AttributeValue::Data2(value) => format!("{value}"),
                AttributeValue::Data4(value) => format!("{value}"),
                AttributeValue::Data8(value) => format!("{value}"),
                AttributeValue::Block(block) => format!("{:02x?}", block.slice()),
                value => format!("{value:?}"),
            },
        },
    }
}

/// An expression in short.
pub fn expression(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    unit: &Unit<'_>,
    expression: gimli::Expression<Slice<'_>>,
) -> String {
    let mut operations = expression.operations(unit.encoding());
    let mut text = Vec::new();
    while let Some(operation) = operations.next().expect("operation") {
        text.push(match operation {
            Operation::CallFrameCFA => "cfa".into(),
            Operation::SignedConstant { value } => format!("{value}"),
            Operation::UnsignedConstant { value } => format!("{value}"),
            Operation::PlusConstant { value } => format!("+{value:#x}"),
            Operation::Plus => "plus".into(),
            Operation::Deref { size, .. } => format!("load{}", u32::from(size) * 8),
            Operation::FrameOffset { offset } => format!("fb{offset:+}"),
            Operation::StackValue => "value".into(),
            Operation::Address { address } => self::address(address),
            Operation::AddressIndex { index } => address(dwarf.address(unit, index).expect("address")),
            Operation::Piece { size_in_bits, bit_offset: None } => format!("piece{size_in_bits}"),
            Operation::ImplicitPointer { value, byte_offset } => {
                let offset = value.to_unit_offset(&unit.header).expect("same unit");
                format!("pointer to {}{byte_offset:+}", name_of(dwarf, unit, offset))
            }
            Operation::Convert { base_type: UnitOffset(0) } => "convert".into(),
            Operation::Convert { base_type } => format!("convert to {}", name_of(dwarf, unit, base_type)),
            operation => format!("{operation:?}"),
        });
    }
    text.join(" ")
}

fn file_name(dwarf: &gimli::Dwarf<Slice<'_>>, unit: &Unit<'_>, index: u64) -> String {
    let header = unit.line_program.as_ref().expect("line program").header();
    let file = header.file(index).expect("file");
    let directory = file.directory(header).map(|dir| dwarf.attr_string(unit, dir).expect("directory"));
    let name = dwarf.attr_string(unit, file.path_name()).expect("file name");
    match directory {
        Some(directory) => format!("{}/{}", directory.to_string_lossy(), name.to_string_lossy()),
        None => name.to_string_lossy().into_owned(),
    }
}

fn lines(dwarf: &gimli::Dwarf<Slice<'_>>, unit: &Unit<'_>, out: &mut String) {
    let Some(program) = unit.line_program.clone() else {
        return;
    };
    writeln!(out, "  lines").unwrap();
    let mut rows = program.rows();
    while let Some((_, row)) = rows.next_row().expect("row") {
        if row.end_sequence() {
            writeln!(out, "    {} end", address(row.address())).unwrap();
            continue;
        }
        let column = match row.column() {
            gimli::ColumnType::LeftEdge => 0,
            gimli::ColumnType::Column(column) => column.get(),
        };
        let file = file_name(dwarf, unit, row.file_index());
        let line = row.line().map_or(0, |line| line.get());
        write!(out, "    {} {}:{line}:{column}", address(row.address()), file).unwrap();
        for (flag, text) in [
            (row.is_stmt(), " statement"),
            (row.prologue_end(), " prologue-end"),
            (row.epilogue_begin(), " epilogue-begin"),
        ] {
            if flag {
                out.push_str(text);
            }
        }
        out.push('\n');
    }
}

fn macros(dwarf: &gimli::Dwarf<Slice<'_>>, unit: &Unit<'_>, out: &mut String) {
    let mut cursor = unit.entries();
    cursor.next_dfs().expect("entry");
    let root = cursor.current().expect("root");
    let value = root.attr_value(gimli::DW_AT_macros).or_else(|| root.attr_value(gimli::DW_AT_GNU_macros));
    let offset = match value {
        Some(AttributeValue::DebugMacroRef(offset)) => offset,
        Some(AttributeValue::SecOffset(offset)) => gimli::DebugMacroOffset(offset),
        _ => return,
    };
    writeln!(out, "  macros").unwrap();
    let mut entries = dwarf.macros(offset).expect("macros");
    let context = gimli::UnitRef::new(dwarf, unit);
    while let Some(entry) = entries.next().expect("macro entry") {
        let text = match entry {
            gimli::MacroEntry::Define { line, text } => {
                format!("define {line} {}", text.string(context).expect("text").to_string_lossy())
            }
            gimli::MacroEntry::Undef { line, name } => {
                format!("undef {line} {}", name.string(context).expect("name").to_string_lossy())
            }
            gimli::MacroEntry::StartFile { line, file } => format!("start {line} {}", file_name(dwarf, unit, file)),
            gimli::MacroEntry::EndFile => "end".to_owned(),
            other => format!("{other:?}"),
        };
        writeln!(out, "    {text}").unwrap();
    }
}
