//! Which entries of the guest go into the output.
//!
//! A function that the linker dropped goes with everything in it, and so does a scope of which no native instruction
//! is left; unless something that stays refers to an entry in it. Then the whole of it stays, without code.

use crate::address_map::{AddressMap, RangeBudget, TextRange, TooManyRanges, merge};
use crate::definitions::Definitions;
use crate::extents::{Extents, is_virtual};
use crate::guest::GuestModule;
use crate::guest_dwarf::{FunctionIndex, GuestDwarf, Unit, section_offset};
use crate::guest_lines::{GuestRow, UnitLines};
use crate::loss::{LossKind, Losses};
use crate::native::NativeModule;
use crate::options::PointerFlavour;
use crate::scope::{Code, Entry, place_of, ranges, subprogram_code};
use crate::tables::{self, EntryId};
use gimli::{AttributeValue, DieReference, SectionId, UnitOffset, constants};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::OnceLock;

/// "Nothing" in the index fields of [`Planned`].
pub(crate) const NONE: u32 = u32::MAX;
/// Nesting below which entries are left out. Trees of real programs stay far above it.
const MAX_DEPTH: usize = 400;

/// An entry of the guest, in the order of the unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) offset: u32,
    pub(crate) parent: u32,
    pub(crate) tag: gimli::DwTag,
    /// The function around it, as a position in the module's functions.
    pub(crate) function: u32,
    /// Its native ranges, as a position in [`UnitPlan::scopes`].
    pub(crate) scope: u32,
    /// The dropped subtree it lies in, as a position in [`UnitPlan::dead`].
    dead: u32,
    /// Its entry in the output; `None` where it is dropped.
    pub(crate) id: Option<EntryId>,
}

/// A subtree that goes unless something refers into it.
#[derive(Debug, Default)]
struct Dead {
    /// Same-unit and whole-section references from inside.
    local: Vec<u32>,
    global: Vec<usize>,
    signatures: Vec<u64>,
    rescued: bool,
}

/// What becomes of a unit.
#[derive(Debug, Default)]
pub(crate) struct UnitPlan {
    pub(crate) entries: Vec<Planned>,
    /// Native ranges of scopes; of an inlined subroutine the one with its entry first.
    pub(crate) scopes: Vec<Vec<TextRange>>,
    /// The functions of its subprograms, sorted.
    pub(crate) functions: Vec<usize>,
    dead: Vec<Dead>,
    live: Dead,
    /// A class has virtual bases.
    has_virtual_bases: bool,
    pub(crate) losses: Losses,
}

impl UnitPlan {
    /// The position of the entry at `offset`.
    pub(crate) fn find(&self, offset: usize) -> Option<usize> {
        let offset = u32::try_from(offset).ok()?;
        self.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()
    }

    /// Whether the entry at `position` stays without its code.
    pub(crate) fn codeless(&self, position: usize) -> bool {
        self.entries[position].dead != NONE
    }
}

/// The address maps of all functions, each made when it is first asked for.
pub(crate) struct AddressMaps<'m> {
    native: &'m NativeModule,
    index: &'m FunctionIndex,
    maps: Vec<OnceLock<AddressMap>>,
    /// The guest's lines of each function.
    lines: Vec<&'m [GuestRow]>,
    flavour: PointerFlavour,
}

impl<'m> AddressMaps<'m> {
    pub(crate) fn new(
        native: &'m NativeModule,
        index: &'m FunctionIndex,
        units: &'m [UnitLines],
        flavour: PointerFlavour,
    ) -> AddressMaps<'m> {
        let mut lines: Vec<&[GuestRow]> = vec![&[]; native.functions.len()];
        for unit in units {
            for position in unit.functions().filter(|position| *position < native.functions.len()) {
                if lines[position].is_empty() {
                    lines[position] = unit.function(position);
                }
            }
        }
        AddressMaps { native, index, maps: native.functions.iter().map(|_| OnceLock::new()).collect(), lines, flavour }
    }

    /// Makes the maps of `functions`, in parallel.
    pub(crate) fn make(&self, functions: Vec<usize>) {
        functions.into_par_iter().for_each(|position| {
            self.get(position);
        });
    }

    /// The map of the function at `position`.
    pub(crate) fn get(&self, position: usize) -> &AddressMap {
        self.maps[position].get_or_init(|| {
            let native = &self.native.functions[position];
            AddressMap::new(native, self.index.start(position), self.lines[position], self.flavour)
        })
    }

    /// The native code of guest ranges, and whether any of them lies in live code.
    pub(crate) fn map(
        &self,
        guest: &[(u64, u64)],
        budget: &mut RangeBudget,
    ) -> Result<(Vec<TextRange>, bool), TooManyRanges> {
        let mut found = Vec::new();
        let mut function = None;
        for &(begin, end) in guest {
            if let Some(position) = self.index.find(begin) {
                function = Some(position);
                self.get(position).scope_ranges(begin, end, budget, &mut found)?;
            }
        }
        merge(&mut found);
        if let Some(position) = function {
            self.get(position).leave_outside(guest, budget, &mut found)?;
        }
        let live = function.is_some();
        Ok((found, live))
    }
}

/// Everything that the plan looks at.
#[derive(Clone, Copy)]
pub(crate) struct Input<'i, 'a> {
    pub(crate) guest: &'i GuestModule<'a>,
    pub(crate) native: &'i NativeModule,
    pub(crate) dwarf: &'i GuestDwarf<'a>,
    pub(crate) index: &'i FunctionIndex,
    pub(crate) maps: &'i AddressMaps<'i>,
    /// No types and no variables are wanted.
    pub(crate) lines_only: bool,
}

/// Entries that say where code is or what it is called.
fn names_code(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        constants::DW_TAG_compile_unit
            | constants::DW_TAG_partial_unit
            | constants::DW_TAG_skeleton_unit
            | constants::DW_TAG_subprogram
            | constants::DW_TAG_inlined_subroutine
            | constants::DW_TAG_lexical_block
            | constants::DW_TAG_namespace
            | constants::DW_TAG_module
    )
}

/// Reads the tree of a unit and finds what would go.
pub(crate) fn plan_unit<'a>(input: Input<'_, 'a>, unit: &Unit<'a>, lines: &UnitLines) -> UnitPlan {
    let mut plan = UnitPlan::default();
    if let Err(error) = plan_entries(input, unit, lines, &mut plan) {
        let place = unit.place();
        plan.losses.count(LossKind::MalformedUnit, || format!("{place}: {error}"));
    }
    plan.entries.shrink_to_fit();
    plan.functions.sort_unstable();
    plan.functions.dedup();
    plan
}

fn plan_entries<'a>(
    input: Input<'_, 'a>,
    unit: &Unit<'a>,
    lines: &UnitLines,
    plan: &mut UnitPlan,
) -> Result<(), gimli::Error> {
    let Input { native, dwarf, index, maps, .. } = input;
    let mut entries = unit.entries_raw(None)?;
    let mut entry = Entry::null();
    // The position of the entry around the current one at each depth.
    let mut parents: Vec<u32> = Vec::new();
    let mut budget = dwarf.range_budget(unit);
    // A block that there may be jumps behind, by the position of its entry, and its ranges. Its first variable tells where it begins.
    let mut block: Option<(u32, Vec<(u64, u64)>)> = None;
    while !entries.is_empty() {
        if !entries.read_entry(&mut entry)? {
            continue;
        }
        let Ok(depth) = usize::try_from(entry.depth()) else {
            break;
        };
        if depth > MAX_DEPTH {
            plan.losses.count(LossKind::MalformedUnit, || format!("{}: nested too deeply", unit.entry_place(&entry)));
            continue;
        }
        // A second root, or an entry without its parent.
        if depth > parents.len() || (depth == 0 && !plan.entries.is_empty()) {
            break;
        }
        parents.truncate(depth);
        let position = plan.entries.len() as u32;
        let parent = parents.last().copied().unwrap_or(NONE);
        parents.push(position);
        let around = plan.entries.get(parent as usize).copied();
        let mut planned = Planned {
            offset: u32::try_from(entry.offset().0).unwrap_or(NONE),
            parent,
            tag: entry.tag(),
            function: around.map_or(NONE, |around| around.function),
            scope: NONE,
            dead: around.map_or(NONE, |around| around.dead),
            id: None,
        };
        let place = || unit.entry_place(&entry);
        let mut drop_it = false;
        match entry.tag() {
            constants::DW_TAG_subprogram => match subprogram_code(dwarf, unit, index, &entry, &mut budget) {
                Code::None => planned.function = NONE,
                Code::Function(function) if !native.functions[function].text.is_empty() => {
                    planned.function = function as u32;
                    plan.functions.push(function);
                    if planned.dead != NONE {
                        // A live function inside of a dropped one keeps it, as the scope of its name.
                        planned.dead = NONE;
                        plan.live.local.extend(around.map(|around| around.offset));
                    }
                }
                Code::Dead | Code::Function(_) => {
                    planned.function = NONE;
                    drop_it = true;
                    plan.losses.count_dead_function();
                }
            },
            constants::DW_TAG_call_site | constants::DW_TAG_GNU_call_site => {
                drop_it = native.functions.get(planned.function as usize).is_none_or(|f| f.calls.is_empty());
                if drop_it && planned.dead == NONE {
                    plan.losses.count(LossKind::CallSite, place);
                }
            }
            constants::DW_TAG_label => {}
            constants::DW_TAG_variable if block.as_ref().is_some_and(|block| block.0 == parent) => {
                let line = place_of(unit, &entry).map(|place| place.1);
                let scope = plan.scopes.get_mut(around.map_or(NONE, |around| around.scope) as usize);
                if let (Some((_, mut guest)), Some(_), Some(scope)) = (block.take(), line, scope) {
                    guest.extend(lines.jumps_behind(planned.function as usize, &guest, line));
                    if let Ok((native, _)) = maps.map(&guest, &mut budget) {
                        *scope = native;
                    }
                }
            }
            constants::DW_TAG_inheritance => plan.has_virtual_bases |= is_virtual(&entry),
            _ if depth > 0 && planned.dead == NONE => {
                if let Some((mut guest_ranges, broken)) = ranges(dwarf, unit, &entry, &mut budget) {
                    if broken {
                        plan.losses.count(LossKind::MalformedList, place);
                    }
                    let jumps = lines.jumps_behind(planned.function as usize, &guest_ranges, None);
                    match entry.tag() {
                        _ if jumps.is_empty() => {}
                        constants::DW_TAG_inlined_subroutine => guest_ranges.extend(jumps),
                        _ => block = Some((position, guest_ranges.clone())),
                    }
                    let (mut native_ranges, live) = maps.map(&guest_ranges, &mut budget).unwrap_or_else(|_| {
                        plan.losses.count(LossKind::TooManyRanges, place);
                        (Vec::new(), false)
                    });
                    if native_ranges.is_empty() {
                        drop_it = true;
                        if live {
                            plan.losses.count(LossKind::OptimizedAway, place);
                        }
                    } else {
                        if entry.tag() == constants::DW_TAG_inlined_subroutine {
                            entry_first(input, unit, &entry, &guest_ranges, &mut native_ranges);
                        }
                        let outer = around.and_then(|around| plan.scopes.get(around.scope as usize));
                        if let Some(outer) = outer {
                            leave_bytes(maps, planned.function, outer, &mut native_ranges, &mut budget);
                        }
                        planned.scope = plan.scopes.len() as u32;
                        plan.scopes.push(native_ranges);
                    }
                }
            }
            _ => {}
        }
        drop_it |= input.lines_only && !names_code(entry.tag());
        if drop_it && planned.dead == NONE {
            planned.dead = plan.dead.len() as u32;
            plan.dead.push(Dead::default());
        }
        let references = match plan.dead.get_mut(planned.dead as usize) {
            Some(dead) => dead,
            None => &mut plan.live,
        };
        for attr in entry.attrs() {
            if input.lines_only
                && !matches!(attr.name(), constants::DW_AT_specification | constants::DW_AT_abstract_origin)
            {
                continue;
            }
            match attr.value() {
                AttributeValue::UnitRef(offset) => references.local.push(u32::try_from(offset.0).unwrap_or(NONE)),
                AttributeValue::DebugInfoRef(offset) => references.global.push(offset.0),
                AttributeValue::DebugTypesRef(signature) => references.signatures.push(signature.0),
                _ => {}
            }
        }
        plan.entries.push(planned);
    }
    Ok(())
}

/// Debuggers take the first range's start for the entry of an inlined subroutine, as the standard has it without a
/// `DW_AT_entry_pc`: so there is to be a range that begins there, and it is to be the first.
fn entry_first<'a>(
    input: Input<'_, 'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    guest: &[(u64, u64)],
    native: &mut Vec<TextRange>,
) {
    let Some(&(first, _)) = guest.first() else {
        return;
    };
    let begin = match entry.attr_value(constants::DW_AT_entry_pc) {
        Some(AttributeValue::Udata(offset)) => first.saturating_add(offset),
        Some(value) => input.dwarf.sections(unit).attr_address(unit, value).ok().flatten().unwrap_or(first),
        None => first,
    };
    let Some(map) = input.index.find(begin).map(|position| input.maps.get(position)) else { return };
    let Some(entry) = map.entry(begin, native) else { return };
    if let Some(position) = native.iter().position(|range| (range.0..range.1).contains(&entry)) {
        if native[position].0 < entry {
            // Code that was moved before the entry, or the byte of another instruction.
            native.insert(position + 1, (entry, native[position].1));
            native[position].1 = entry;
            if entry - native[position].0 == 1 && map.begins_before(native[position].0) {
                native.remove(position);
                native[..=position].rotate_right(1);
            } else {
                native[..=position + 1].rotate_right(1);
            }
        } else {
            native[..=position].rotate_right(1);
        }
    }
}

/// Takes off the bytes of other instructions with which ranges begin, where the scope around has not got them: it is entered there.
fn leave_bytes(
    maps: &AddressMaps<'_>,
    function: u32,
    around: &[TextRange],
    native: &mut Vec<TextRange>,
    budget: &mut RangeBudget,
) {
    if function as usize >= maps.maps.len() {
        return;
    }
    let map = maps.get(function as usize);
    for (begin, _) in native.iter_mut().filter(|range| map.begins_before(range.0)) {
        let is_around =
            budget.spend(around.len()).is_ok() && around.iter().any(|range| (range.0..range.1).contains(begin));
        *begin += u32::from(!is_around);
    }
    if native.iter().any(|range| range.0 < range.1) {
        native.retain(|range| range.0 < range.1);
    }
}

/// All units of the guest and what becomes of them.
pub(crate) struct Plan {
    pub(crate) units: Vec<UnitPlan>,
    /// `(container, start in .debug_info, position)`, sorted.
    starts: Vec<(usize, usize, usize)>,
    /// Type signature to `(unit, offset of the type in it)`.
    signatures: HashMap<u64, (usize, usize)>,
    /// Some unit has types of pointers to members.
    pub(crate) has_member_pointers: bool,
    /// Some unit has types with variants.
    pub(crate) has_variants: bool,
    /// Some unit has classes with virtual bases.
    pub(crate) has_virtual_bases: bool,
    /// Read when a declared type is met whose size matters.
    pub(crate) definitions: OnceLock<Definitions>,
    /// Read when there is a pointer to a class where one has virtual bases.
    pub(crate) extents: OnceLock<Extents>,
}

impl Plan {
    pub(crate) fn new(dwarf: &GuestDwarf<'_>, units: Vec<UnitPlan>) -> Plan {
        let mut starts = Vec::new();
        let mut signatures = HashMap::new();
        for (position, unit) in dwarf.units.iter().enumerate() {
            if unit.header.section() == SectionId::DebugInfo {
                starts.push((unit.container, section_offset(&unit.header), position));
            }
            if let gimli::UnitType::Type { type_signature, type_offset }
            | gimli::UnitType::SplitType { type_signature, type_offset } = unit.header.type_()
            {
                signatures.entry(type_signature.0).or_insert((position, type_offset.0));
            }
        }
        starts.sort_unstable();
        let has = |tag| units.iter().any(|unit| unit.entries.iter().any(|entry| entry.tag == tag));
        let has_member_pointers = has(constants::DW_TAG_ptr_to_member_type);
        let has_variants = has(constants::DW_TAG_variant_part);
        let has_virtual_bases = units.iter().any(|unit| unit.has_virtual_bases);
        let mut plan = Plan {
            units,
            starts,
            signatures,
            has_member_pointers,
            has_variants,
            has_virtual_bases,
            definitions: OnceLock::new(),
            extents: OnceLock::new(),
        };
        plan.rescue(dwarf);
        plan
    }

    /// The unit and entry that an offset in the `.debug_info` of the unit at `from` means.
    pub(crate) fn find_global(&self, dwarf: &GuestDwarf<'_>, from: usize, offset: usize) -> Option<(usize, usize)> {
        let container = dwarf.units[from].container;
        let at = self.starts.partition_point(|start| (start.0, start.1) <= (container, offset)).checked_sub(1)?;
        let (found, start, unit) = self.starts[at];
        if found != container {
            return None;
        }
        let inside = offset - start;
        if inside >= dwarf.units[unit].header.length_including_self() {
            return None;
        }
        Some((unit, self.units[unit].find(inside)?))
    }

    /// The unit and entry that a type signature means.
    pub(crate) fn find_signature(&self, signature: u64) -> Option<(usize, usize)> {
        let (unit, offset) = *self.signatures.get(&signature)?;
        Some((unit, self.units[unit].find(offset)?))
    }

    /// The unit and entry that a reference in the unit at `from` means.
    pub(crate) fn find(
        &self,
        dwarf: &GuestDwarf<'_>,
        from: usize,
        reference: DieReference<usize>,
    ) -> Option<(usize, usize)> {
        match reference {
            DieReference::UnitRef(UnitOffset(offset)) => Some((from, self.units[from].find(offset)?)),
            DieReference::DebugInfoRef(offset) => self.find_global(dwarf, from, offset.0),
        }
    }

    /// Keeps the dropped subtrees that something refers to.
    fn rescue(&mut self, dwarf: &GuestDwarf<'_>) {
        if self.units.iter().all(|unit| unit.dead.is_empty()) {
            return;
        }
        let mut work: Vec<(usize, Dead)> =
            self.units.iter_mut().enumerate().map(|(unit, plan)| (unit, std::mem::take(&mut plan.live))).collect();
        while let Some((from, references)) = work.pop() {
            let local =
                references.local.iter().filter_map(|offset| Some((from, self.units[from].find(*offset as usize)?)));
            let global = references.global.iter().filter_map(|offset| self.find_global(dwarf, from, *offset));
            let signatures = references.signatures.iter().filter_map(|signature| self.find_signature(*signature));
            let targets: Vec<(usize, u32)> = local
                .chain(global)
                .chain(signatures)
                .map(|(unit, entry)| (unit, self.units[unit].entries[entry].dead))
                .filter(|(_, dead)| *dead != NONE)
                .collect();
            for (unit, dead) in targets {
                let dead = &mut self.units[unit].dead[dead as usize];
                if !dead.rescued {
                    let references = std::mem::take(dead);
                    dead.rescued = true;
                    work.push((unit, references));
                }
            }
        }
    }

    /// Gives every entry that stays an id in its output unit.
    pub(crate) fn reserve(plan: &mut UnitPlan, output: &mut tables::Unit) {
        // The parent of one that stays does so too: it lies in the same dropped subtree or in none.
        let stays = |entry: &Planned| plan.dead.get(entry.dead as usize).is_none_or(|dead| dead.rescued);
        let count = plan.entries.iter().skip(1).filter(|entry| stays(entry)).count();
        let mut ids = std::iter::once(output.root()).chain(output.reserve(count));
        for (position, entry) in plan.entries.iter_mut().enumerate() {
            entry.id = if position == 0 || stays(entry) { ids.next() } else { None };
        }
    }
}
