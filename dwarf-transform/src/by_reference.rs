//! Objects that the caller passes by reference.

use crate::expression::GuestExpression;
use crate::guest::GuestFunction;
use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::scan::producer_is_llvm;
use crate::scope::Entry;
use gimli::{AttributeValue, Operation, constants as c};

/// Is the entry a parameter whose object lies, from the function's first operator on, where one of the function's wasm
/// parameters points?
///
/// LLVM ends the location list of such a parameter with the first basic block, although neither the object nor the wasm
/// parameter changes: the source has no name for the reference, so that assignments go to the object. The list then holds up to
/// the function's end, but where the local is overwritten. A value (`DW_OP_stack_value`, which DWARF has from version 4 on) has
/// no such certainty.
pub(crate) fn is_passed_by_reference<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    function: &GuestFunction,
    entry: &Entry<'a>,
    list: AttributeValue<Slice<'a>>,
) -> bool {
    let tells_values = unit.encoding().version >= 4;
    if !tells_values || entry.tag() != c::DW_TAG_formal_parameter || entry.attr_value(c::DW_AT_location) != Some(list) {
        return false;
    }
    let Ok(Some(mut items)) = dwarf.sections(unit).attr_locations(unit, list) else { return false };
    let (Ok(Some(only)), Ok(None)) = (items.next(), items.next()) else { return false };
    let from_the_start =
        (u64::from(function.body.start.0)..=u64::from(function.code_start.0)).contains(&only.range.begin);
    from_the_start && is_at_local(only.data, unit) && has_llvm_root(dwarf, unit)
}

/// Does the expression say nothing but that the object's address is in a local?
fn is_at_local(expression: GuestExpression<'_>, unit: &Unit<'_>) -> bool {
    let mut operations = expression.operations(unit.encoding());
    matches!((operations.next(), operations.next()), (Ok(Some(Operation::WasmLocal { .. })), Ok(None)))
}

fn has_llvm_root<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>) -> bool {
    let mut entries = unit.entries();
    entries.next_dfs().ok().flatten().is_some_and(|root| producer_is_llvm(dwarf, unit, root))
}
