//! Which variables are live where.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use gimli::{AttributeValue, DebuggingInformationEntry, UnitOffset, UnitRef};

use super::{RegisterNames, describe_frame_base, describe_location, text_of};
use crate::native::Reader;

/// A variable or parameter of a function, with where it is found in which code.
#[derive(Clone, Debug)]
pub struct LiveVariable {
    pub name: String,
    /// The code of the block that declares it.
    pub scope: Vec<Range<u64>>,
    /// Code ranges and what the variable's location is in each.
    pub locations: Vec<(Range<u64>, String)>,
}

/// All local variables of a file.
#[derive(Default)]
pub struct Variables {
    /// By the first address of their scope.
    list: Vec<(u64, LiveVariable)>,
    /// The frame base of each function by its address, where it is not the CFA.
    frame_bases: Vec<(u64, String)>,
    /// How many more list entries may be read.
    budget: usize,
}

/// Lists that many entries share unfold to more than the file holds; a compiler hardly shares any.
pub fn budget_of(dwarf: &gimli::Dwarf<Reader<'_>>) -> usize {
    use gimli::Section as _;
    dwarf.debug_info.reader().len().saturating_mul(2).saturating_add(10_000)
}

/// A scope that is open while entries are walked.
struct Scope {
    depth: isize,
    ranges: Vec<Range<u64>>,
    /// How the frame base is written in locations: `cfa`, or `fb` for what is longer.
    frame_base: &'static str,
}

impl Variables {
    pub fn read(dwarf: &gimli::Dwarf<Reader<'_>>, names: RegisterNames<'_>) -> Result<Variables> {
        let mut variables = Variables { budget: budget_of(dwarf), ..Variables::default() };
        let mut headers = dwarf.units();
        while let Some(header) = headers.next().context(".debug_info is damaged")? {
            let unit = dwarf.unit(header).context("a unit is damaged")?;
            let unit = unit.unit_ref(dwarf);
            variables.read_unit(&unit, names)?;
        }
        variables.list.sort_by_key(|(start, _)| *start);
        variables.frame_bases.sort();
        Ok(variables)
    }

    fn read_unit(&mut self, unit: &UnitRef<'_, Reader<'_>>, names: RegisterNames<'_>) -> Result<()> {
        let mut scopes: Vec<Scope> = Vec::new();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs().context("the entries of a unit")? {
            while scopes.last().is_some_and(|scope| scope.depth >= entry.depth()) {
                scopes.pop();
            }
            match entry.tag() {
                gimli::DW_TAG_subprogram | gimli::DW_TAG_lexical_block | gimli::DW_TAG_inlined_subroutine => {
                    let mut ranges = Vec::new();
                    if let Ok(mut list) = unit.die_ranges(entry) {
                        while let Ok(Some(range)) = list.next() {
                            if range.begin < range.end {
                                self.spend(1)?;
                                ranges.push(range.begin..range.end);
                            }
                        }
                    }
                    let outer = scopes.last();
                    let is_function = entry.tag() == gimli::DW_TAG_subprogram;
                    let frame_base = match (is_function, outer) {
                        (false, Some(outer)) => outer.frame_base,
                        _ => match frame_base_of(unit, entry, names) {
                            Some(base) if base == "cfa" => "cfa",
                            Some(base) => {
                                self.frame_bases.extend(ranges.iter().map(|range| (range.start, base.clone())));
                                "fb"
                            }
                            None => "fb",
                        },
                    };
                    // A block without ranges of its own has those of its parent.
                    if ranges.is_empty()
                        && entry.tag() == gimli::DW_TAG_lexical_block
                        && let Some(outer) = outer
                    {
                        ranges = outer.ranges.clone();
                        self.spend(ranges.len())?;
                    }
                    scopes.push(Scope { depth: entry.depth(), ranges, frame_base });
                }
                gimli::DW_TAG_variable | gimli::DW_TAG_formal_parameter => {
                    if let Some(scope) = scopes.last().filter(|scope| !scope.ranges.is_empty()) {
                        self.add(unit, entry, scope, names)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add<'d>(
        &mut self,
        unit: &UnitRef<'_, Reader<'d>>,
        entry: &DebuggingInformationEntry<Reader<'d>>,
        scope: &Scope,
        names: RegisterNames<'_>,
    ) -> Result<()> {
        self.spend(scope.ranges.len())?;
        let mut locations = Vec::new();
        let location = entry.attr_value(gimli::DW_AT_location);
        if let Some(AttributeValue::Exprloc(expression)) = location {
            let text = describe_location(expression, unit.encoding(), names, scope.frame_base);
            locations.extend(scope.ranges.iter().map(|range| (range.clone(), text.clone())));
        } else if let Some(location) = location
            && let Ok(Some(mut list)) = unit.attr_locations(location)
        {
            while let Ok(Some(entry)) = list.next() {
                self.spend(1)?;
                let text = describe_location(entry.data, unit.encoding(), names, scope.frame_base);
                locations.push((entry.range.begin..entry.range.end, text));
            }
        }
        let Some(start) = scope.ranges.iter().map(|range| range.start).min() else { return Ok(()) };
        let name = name_of(unit, entry, 8).unwrap_or_else(|| "(unnamed)".to_owned());
        let scope = scope.ranges.clone();
        self.list.push((start, LiveVariable { name, scope, locations }));
        Ok(())
    }

    fn spend(&mut self, entries: usize) -> Result<()> {
        match self.budget.checked_sub(entries) {
            Some(rest) => self.budget = rest,
            None => {
                bail!("the location and range lists have more entries than the size of .debug_info can account for")
            }
        }
        Ok(())
    }

    /// What `fb` stands for in the locations of the function at this address.
    pub fn frame_base_of(&self, function: u64) -> Option<&str> {
        let index = self.frame_bases.binary_search_by_key(&function, |(start, _)| *start).ok()?;
        self.frame_bases.get(index).map(|(_, base)| base.as_str())
    }

    /// The variables whose scope begins in this range.
    pub fn of_function(&self, range: Range<u64>) -> impl Iterator<Item = &LiveVariable> {
        let start = self.list.partition_point(|(at, _)| *at < range.start);
        let end = self.list.partition_point(|(at, _)| *at < range.end);
        self.list[start..end.max(start)].iter().map(|(_, variable)| variable)
    }
}

/// The entry's name, or that of what it is an instance of. `depth` bounds circular references.
fn name_of<'d>(
    unit: &UnitRef<'_, Reader<'d>>,
    entry: &DebuggingInformationEntry<Reader<'d>>,
    depth: u32,
) -> Option<String> {
    if let Some(name) = entry.attr_value(gimli::DW_AT_name) {
        return unit.attr_string(name).ok().map(|name| text_of(&name));
    }
    let origin = entry.attr_value(gimli::DW_AT_abstract_origin).or(entry.attr_value(gimli::DW_AT_specification))?;
    let AttributeValue::UnitRef(UnitOffset(offset)) = origin else { return None };
    let origin = unit.entry(UnitOffset(offset)).ok()?;
    if depth == 0 { None } else { name_of(unit, &origin, depth - 1) }
}

fn frame_base_of<'d>(
    unit: &UnitRef<'_, Reader<'d>>,
    entry: &DebuggingInformationEntry<Reader<'d>>,
    names: RegisterNames<'_>,
) -> Option<String> {
    let AttributeValue::Exprloc(expression) = entry.attr_value(gimli::DW_AT_frame_base)? else { return None };
    Some(describe_frame_base(expression, unit.encoding(), names))
}
