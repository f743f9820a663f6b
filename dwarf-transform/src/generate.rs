//! Second stage: the native debugging information, as tables.

use crate::address_table::AddressTable;
use crate::entries::{Callable, DeclaredSizes, Fill, Filled, ReturnedTypes, Strings, encoding, fill_unit};
use crate::guest::GuestModule;
use crate::guest_dwarf::{FunctionIndex, GuestDwarf};
use crate::guest_lines::{GuestLines, UnitLines};
use crate::loss::Losses;
use crate::macros::MacroTable;
use crate::native::NativeModule;
use crate::options::{PointerFlavour, TransformOptions};
use crate::output::{Error, Generated};
use crate::plan::{AddressMaps, Input, Plan, plan_unit};
use crate::tables::{Dwarf, Unit, Value};
use gimli::SectionId;
use rayon::prelude::*;

/// Makes the native debugging information. `lines` are those that the first stage has read of `guest`.
///
/// The units are worked on in parallel; the result does not depend on how many threads there are.
///
/// # Errors
///
/// Only where the caller's own input is inconsistent ([`Error`]); never because of the guest's DWARF.
pub fn generate(
    guest: &GuestModule<'_>,
    lines: GuestLines,
    native: &NativeModule,
    options: &TransformOptions,
) -> Result<Generated, Error> {
    check(guest, native, options)?;
    let version = options.dwarf_version;
    let mut output = Dwarf::default();
    if !guest.sections.has_dwarf() {
        return Ok(Generated {
            dwarf: output,
            version,
            addresses: AddressTable::default(),
            macros: Vec::new(),
            losses: Losses::default(),
            linkage_names: Vec::new(),
            call_entries: Vec::new(),
        });
    }
    let dwarf = GuestDwarf::read(guest);
    let index = FunctionIndex::new(guest);
    let mut lines = lines.units;
    lines.resize(dwarf.units.len(), UnitLines::default());
    let maps = AddressMaps::new(native, &index, &lines, options.flavour);
    let input = Input { guest, native, dwarf: &dwarf, index: &index, maps: &maps, lines_only: options.lines_only };
    let mut losses = dwarf.losses.clone();
    let described = lines.iter().flat_map(UnitLines::functions);
    let described = described.filter(|position| *position < native.functions.len()).collect();
    // Plans need maps, and make those that are not there yet. Both go through the functions in the same order.
    let plans = || dwarf.units.par_iter().zip(&lines).map(|(unit, lines)| plan_unit(input, unit, lines)).collect();
    let (plans, ()) = rayon::join(plans, || maps.make(described));
    let mut plan = Plan::new(&dwarf, plans);
    let encoding = encoding(options);
    output.units = plan
        .units
        .par_iter_mut()
        .map(|plan| {
            let mut unit = Unit::new();
            Plan::reserve(plan, &mut unit);
            unit
        })
        .collect();
    let line_owner = line_owners(&plan, &lines, native);
    let strings = Strings::new(&dwarf, &mut output.strings);
    let addresses = if encoding.version >= 5 { address_table(&plan, native) } else { AddressTable::default() };
    let fill = Fill {
        input,
        plan: &plan,
        strings: &strings,
        options,
        encoding,
        addresses: &addresses,
        lines: &lines,
        line_owner: &line_owner,
        returned: &ReturnedTypes::default(),
        declared: &DeclaredSizes::default(),
        callable: &Callable::default(),
    };
    let is_for_lldb = options.flavour == PointerFlavour::Lldb && !options.lines_only;
    let returned = if is_for_lldb { ReturnedTypes::find(fill) } else { ReturnedTypes::default() };
    let declared = DeclaredSizes::find(fill);
    let fill = Fill { returned: &returned, declared: &declared, ..fill };
    let callable = if is_for_lldb { Callable::find(fill) } else { Callable::default() };
    let fill = Fill { callable: &callable, ..fill };
    let filled: Vec<Filled> =
        output.units.par_iter_mut().enumerate().map(|(position, unit)| fill_unit(fill, position, unit)).collect();
    let name = if encoding.version >= 5 { gimli::DW_AT_macros } else { gimli::DW_AT_GNU_macros };
    let mut macros = MacroTable::default();
    let mut linkage_names = Vec::new();
    for (position, (planned, filled)) in plan.units.into_iter().zip(filled).enumerate() {
        losses.merge(planned.losses);
        losses.merge(filled.losses);
        linkage_names.extend(filled.linkage_names);
        if let Some(lists) = filled.macros {
            let offset = u32::try_from(macros.add(position, lists));
            let offset = offset.map_err(|_| Error::SectionTooLarge(SectionId::DebugMacro.name()))?;
            let unit = &mut output.units[position];
            unit.set(unit.root(), name, Value::SecOffset(offset));
        }
    }
    linkage_names.sort_unstable();
    linkage_names.dedup_by_key(|name| name.0);
    let text = |name: &[u8]| std::str::from_utf8(name).ok().map(str::to_owned);
    let calls = callable.iter().filter_map(|(function, name, shape)| Some((function, text(name)?, shape)));
    let mut call_entries: Vec<_> = calls.collect();
    call_entries.sort_unstable_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    Ok(Generated { dwarf: output, version, addresses, macros: macros.units, losses, linkage_names, call_entries })
}

/// The addresses that units name by index: those of the functions that some subprogram describes.
fn address_table(plan: &Plan, native: &NativeModule) -> AddressTable {
    let mut named = vec![false; native.functions.len()];
    for &function in plan.units.iter().flat_map(|unit| &unit.functions) {
        named[function] = true;
    }
    AddressTable::new(native.functions.iter().zip(named).map(|(function, named)| (function.text.start, named)))
}

/// The functions whose lines each unit writes: those of its subprograms, then those that no unit has a subprogram for.
/// Units may share a line number program, but a function's lines are written once.
fn line_owners(plan: &Plan, lines: &[UnitLines], native: &NativeModule) -> Vec<Vec<usize>> {
    let mut owned = vec![false; native.functions.len()];
    let mut owners = vec![Vec::new(); plan.units.len()];
    for (position, unit) in plan.units.iter().enumerate() {
        for &function in &unit.functions {
            if !lines[position].function(function).is_empty() && !std::mem::replace(&mut owned[function], true) {
                owners[position].push(function);
            }
        }
    }
    for (position, lines) in lines.iter().enumerate() {
        for function in lines.functions() {
            if !native.functions[function].text.is_empty() && !std::mem::replace(&mut owned[function], true) {
                owners[position].push(function);
            }
        }
        owners[position].sort_unstable();
    }
    owners
}

/// The caller's promises.
fn check(guest: &GuestModule<'_>, native: &NativeModule, options: &TransformOptions) -> Result<(), Error> {
    if !matches!(options.dwarf_version, 4 | 5) {
        return Err(Error::UnsupportedVersion(options.dwarf_version));
    }
    if guest.functions.len() != native.functions.len() {
        return Err(Error::FunctionCountMismatch { guest: guest.functions.len(), native: native.functions.len() });
    }
    for (function, code) in native.functions.iter().enumerate() {
        let error = |what| Error::UnsortedNativeFunction { function, what };
        if code.text.end < code.text.start {
            return Err(error("its ends"));
        }
        let inside = |text| code.text.start <= text && text <= code.text.end;
        if !code.rows.is_sorted_by_key(|row| row.text) || !code.rows.iter().all(|row| inside(row.text)) {
            return Err(error("rows"));
        }
        if !code.homes.is_sorted_by_key(|home| home.local) {
            return Err(error("homes"));
        }
        if !code.overwritten.is_sorted() {
            return Err(error("assignments"));
        }
        if !code.continued.is_sorted() {
            return Err(error("continued locations"));
        }
    }
    Ok(())
}
