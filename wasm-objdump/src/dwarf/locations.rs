//! Where the variables of a file have a location, keyed so that two descriptions of one program can be compared.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use gimli::{AttributeValue, DebuggingInformationEntry, Operation, Unit, UnitOffset};

use super::{budget_of, text_of};
use crate::native::Reader;

/// What a location needs that may not be there natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    Nothing,
    /// The value of this wasm local.
    Local(u32),
    /// The entry of the operand stack at this depth.
    OperandStack(u32),
    EntryValue,
    ThreadLocal,
    /// The address of an object that the linker removed.
    Removed,
}

/// A variable or parameter in a function.
pub struct Located {
    /// The address of its function.
    pub function: u64,
    /// The scopes around it and itself, as far as the source tells them apart.
    pub key: String,
    pub name: String,
    /// Code in which a debugger looks for it.
    pub scope: Vec<Range<u64>>,
    /// Code in which it has a location, and what that needs.
    pub locations: Vec<(Range<u64>, Needs)>,
}

struct Scope {
    depth: isize,
    function: Option<u64>,
    ranges: Vec<Range<u64>>,
    key: String,
}

type Entry<'a> = DebuggingInformationEntry<Reader<'a>>;

/// The units of a file with what reading them needs.
struct Units<'d, 'a> {
    dwarf: &'d gimli::Dwarf<Reader<'a>>,
    /// By their offset in `.debug_info`.
    units: Vec<(usize, Unit<Reader<'a>>)>,
    budget: usize,
}

/// All variables of functions.
pub fn located<'a>(dwarf: &gimli::Dwarf<Reader<'a>>) -> Result<Vec<Located>> {
    let mut units = Units { dwarf, units: Vec::new(), budget: budget_of(dwarf) };
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().context(".debug_info is damaged")? {
        let offset = header.offset().0;
        units.units.push((offset, dwarf.unit(header).context("a unit is damaged")?));
    }
    let mut found = Vec::new();
    for position in 0..units.units.len() {
        units.read(position, &mut found)?;
    }
    Ok(found)
}

impl<'a> Units<'_, 'a> {
    fn read(&mut self, position: usize, found: &mut Vec<Located>) -> Result<()> {
        let root = Scope { depth: -1, function: None, ranges: Vec::new(), key: String::new() };
        let mut scopes = vec![root];
        let mut offsets = Vec::new();
        {
            let mut entries = self.units[position].1.entries();
            while let Some(entry) = entries.next_dfs().context("the entries of a unit")? {
                offsets.push((entry.offset(), entry.depth()));
            }
        }
        for (offset, depth) in offsets {
            while scopes.len() > 1 && scopes.last().is_some_and(|scope| scope.depth >= depth) {
                scopes.pop();
            }
            let entry = self.units[position].1.entry(offset).context("an entry of a unit")?;
            let outer = scopes.last().context("a scope")?;
            match entry.tag() {
                gimli::DW_TAG_subprogram => {
                    let ranges = self.ranges(position, &entry)?;
                    let function = ranges.first().map(|range| range.start);
                    scopes.push(Scope { depth, function, ranges, key: String::new() });
                }
                gimli::DW_TAG_lexical_block | gimli::DW_TAG_inlined_subroutine if outer.function.is_some() => {
                    let (function, mut key, inherited) = (outer.function, outer.key.clone(), outer.ranges.clone());
                    let mut ranges = self.ranges(position, &entry)?;
                    if ranges.is_empty() && entry.tag() == gimli::DW_TAG_lexical_block {
                        ranges = inherited;
                    }
                    if entry.tag() == gimli::DW_TAG_inlined_subroutine {
                        let number = |name| entry.attr_value(name).and_then(|value| value.udata_value()).unwrap_or(0);
                        key += &format!(
                            "{}@{}:{}/",
                            self.name(position, &entry, 8).unwrap_or_default(),
                            number(gimli::DW_AT_call_line),
                            number(gimli::DW_AT_call_column)
                        );
                    } else {
                        key.push_str("{/");
                    }
                    scopes.push(Scope { depth, function, ranges, key });
                }
                gimli::DW_TAG_variable | gimli::DW_TAG_formal_parameter => {
                    let Some(function) = outer.function else { continue };
                    let scope = outer.ranges.clone();
                    let line = entry.attr_value(gimli::DW_AT_decl_line).and_then(|line| line.udata_value());
                    let name = self.name(position, &entry, 8).unwrap_or_else(|| "(unnamed)".to_owned());
                    let key = format!("{}{name}:{}", outer.key, line.unwrap_or(0));
                    let locations = self.locations(position, &entry, &scope)?;
                    found.push(Located { function, key, name, scope, locations });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn spend(&mut self, entries: usize) -> Result<()> {
        match self.budget.checked_sub(entries) {
            Some(rest) => self.budget = rest,
            None => bail!("the lists have more entries than the size of .debug_info can account for"),
        }
        Ok(())
    }

    fn ranges(&mut self, position: usize, entry: &Entry<'a>) -> Result<Vec<Range<u64>>> {
        let mut ranges = Vec::new();
        if let Ok(mut list) = self.dwarf.die_ranges(&self.units[position].1, entry) {
            while let Ok(Some(range)) = list.next() {
                if range.begin < range.end {
                    ranges.push(range.begin..range.end);
                }
            }
        }
        self.spend(ranges.len())?;
        Ok(ranges)
    }

    fn locations(
        &mut self,
        position: usize,
        entry: &Entry<'a>,
        scope: &[Range<u64>],
    ) -> Result<Vec<(Range<u64>, Needs)>> {
        let Some(location) = entry.attr_value(gimli::DW_AT_location) else { return Ok(Vec::new()) };
        let unit = &self.units[position].1;
        let mut found = Vec::new();
        if let AttributeValue::Exprloc(expression) = location {
            let needs = needs(expression, unit.encoding());
            found.extend(needs.into_iter().flat_map(|needs| scope.iter().map(move |range| (range.clone(), needs))));
        } else if let Ok(Some(mut list)) = self.dwarf.attr_locations(unit, location) {
            while let Ok(Some(item)) = list.next() {
                if let Some(needs) = needs(item.data, unit.encoding()) {
                    found.push((item.range.begin..item.range.end, needs));
                }
            }
        }
        self.spend(found.len())?;
        Ok(found)
    }

    /// The entry's name, or that of what it is an instance of. `depth` bounds circular references.
    fn name(&self, position: usize, entry: &Entry<'a>, depth: u32) -> Option<String> {
        let unit = &self.units[position].1;
        if let Some(name) = entry.attr_value(gimli::DW_AT_name) {
            return self.dwarf.attr_string(unit, name).ok().map(|name| text_of(&name));
        }
        let origin = entry.attr_value(gimli::DW_AT_abstract_origin).or(entry.attr_value(gimli::DW_AT_specification))?;
        let (position, offset) = match origin {
            AttributeValue::UnitRef(offset) => (position, offset),
            AttributeValue::DebugInfoRef(offset) => {
                let position = self.units.partition_point(|unit| unit.0 <= offset.0).checked_sub(1)?;
                (position, UnitOffset(offset.0 - self.units[position].0))
            }
            _ => return None,
        };
        let origin = self.units[position].1.entry(offset).ok()?;
        if depth == 0 { None } else { self.name(position, &origin, depth - 1) }
    }
}

/// What an expression needs; `None` where it is no location at all.
fn needs(expression: gimli::Expression<Reader<'_>>, encoding: gimli::Encoding) -> Option<Needs> {
    let mut operations = expression.operations(encoding);
    let mut needs = None;
    while let Ok(Some(operation)) = operations.next() {
        let one = match operation {
            // Clang writes this for what has no frame base: there is nothing to add to.
            Operation::PlusConstant { .. } if needs.is_none() => return None,
            // A piece without a location says that there is none.
            Operation::Piece { .. } | Operation::Nop => continue,
            Operation::WasmLocal { index } => Needs::Local(index),
            Operation::WasmStack { index } => Needs::OperandStack(index),
            Operation::EntryValue { .. } | Operation::ParameterRef { .. } => Needs::EntryValue,
            Operation::TLS => Needs::ThreadLocal,
            Operation::Address { address } if is_tombstone(address) => Needs::Removed,
            _ => Needs::Nothing,
        };
        needs = needs.max(Some(one));
    }
    needs
}

/// Linkers write these for what they removed.
fn is_tombstone(address: u64) -> bool {
    address == 0 || address >= u64::from(u32::MAX) - 1
}

/// Sorted, disjoint ranges.
pub fn merged(ranges: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = ranges.into_iter().filter(|range| range.start < range.end).collect();
    all.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(all.len());
    for range in all {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Does one of these (sorted, disjoint) hold the whole of `range`?
pub fn holds(merged: &[Range<u64>], range: &Range<u64>) -> bool {
    let after = merged.partition_point(|part| part.start <= range.start);
    after.checked_sub(1).is_some_and(|position| range.end <= merged[position].end)
}

/// The variables of each function, by their keys.
pub fn by_key(list: Vec<Located>) -> HashMap<(u64, String), Vec<Located>> {
    let mut map: HashMap<(u64, String), Vec<Located>> = HashMap::new();
    for located in list {
        map.entry((located.function, located.key.clone())).or_default().push(located);
    }
    map
}
