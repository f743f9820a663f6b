//! Where entries have their code: the function of a subprogram and the ranges of a scope.

use crate::address_map::RangeBudget;
use crate::guest_dwarf::{FunctionIndex, GuestDwarf, Slice, Unit};
use gimli::{AttributeValue, constants};

/// An entry of the guest.
pub(crate) type Entry<'a> = gimli::DebuggingInformationEntry<Slice<'a>>;

/// What an entry says of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Nothing: a declaration, an abstract instance, a type.
    None,
    /// It had code, but the linker dropped it.
    Dead,
    /// It has code in the function at this position.
    Function(usize),
}

/// The compiler that made a unit, as its root names it.
pub(crate) fn producer<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, root: &Entry<'a>) -> Option<Slice<'a>> {
    let producer = root.attr_value(constants::DW_AT_producer)?;
    dwarf.sections(unit).attr_string(unit, producer).ok()
}

/// Major and minor version that come behind `words` in a producer's name.
pub(crate) fn version_behind(producer: &str, words: &str) -> Option<(u32, u32)> {
    let mut numbers = producer.split_once(words)?.1.split(|character: char| !character.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    Some((number()?, number().unwrap_or(0)))
}

/// Does each call end a basic block of the code that LLVM is given? In Rust it did before version 1.67.
pub(crate) fn calls_end_blocks<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, root: &Entry<'a>) -> bool {
    let producer = producer(dwarf, unit, root);
    let producer = producer.as_ref().and_then(|producer| std::str::from_utf8(producer.slice()).ok());
    producer.and_then(|producer| version_behind(producer, "rustc version ")).is_some_and(|version| version < (1, 67))
}

/// Whether gdb stops at the opening line of this unit's optimized functions when it steps into them.
///
/// It does in native code, where such a function has no frame pointer that would let gdb find the end of its prologue,
/// unless it trusts the line table because the producer's name begins with `clang ` (that of Debian's clang does not).
pub(crate) fn opens_with_a_stop<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, root: &Entry<'a>) -> bool {
    producer(dwarf, unit, root).is_some_and(|producer| !producer.slice().starts_with(b"clang "))
}

/// Compilers say that they describe all calls only of what they optimized.
pub(crate) const DESCRIBES_CALLS: [gimli::DwAt; 3] =
    [constants::DW_AT_call_all_calls, constants::DW_AT_call_all_tail_calls, constants::DW_AT_GNU_all_call_sites];

/// Was this function optimized?
pub(crate) fn is_optimized(subprogram: &Entry<'_>) -> bool {
    subprogram.attrs().iter().any(|attr| DESCRIBES_CALLS.contains(&attr.name()))
}

/// The entry of the same unit that another one completes or is an instance of.
pub(crate) fn declaration_of<'a>(unit: &Unit<'a>, entry: &Entry<'a>) -> Option<Entry<'a>> {
    [constants::DW_AT_specification, constants::DW_AT_abstract_origin].into_iter().find_map(|name| {
        let AttributeValue::UnitRef(offset) = entry.attr_value(name)? else { return None };
        unit.entry(offset).ok()
    })
}

/// An entry and what it completes or is an instance of. An instance of an abstract function may complete a declaration by it.
pub(crate) struct Described<'e, 'a> {
    entry: &'e Entry<'a>,
    others: [Option<Entry<'a>>; 2],
}

impl<'e, 'a> Described<'e, 'a> {
    pub(crate) fn of(unit: &Unit<'a>, entry: &'e Entry<'a>) -> Described<'e, 'a> {
        let declaration = declaration_of(unit, entry);
        let first = declaration.as_ref().and_then(|it| declaration_of(unit, it));
        Described { entry, others: [declaration, first] }
    }

    /// What the entry, or else the first of the others that has the attribute, says.
    pub(crate) fn value(&self, name: gimli::DwAt) -> Option<AttributeValue<Slice<'a>>> {
        let others = self.others.iter().flatten();
        std::iter::once(self.entry).chain(others).find_map(|entry| entry.attr_value(name))
    }

    pub(crate) fn name(&self, dwarf: &GuestDwarf<'a>, unit: &Unit<'a>) -> Option<Slice<'a>> {
        dwarf.sections(unit).attr_string(unit, self.value(constants::DW_AT_name)?).ok()
    }

    /// File (as the unit numbers them) and line where it is declared.
    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        let file = match self.value(constants::DW_AT_decl_file)? {
            AttributeValue::FileIndex(file) => file,
            value => value.udata_value()?,
        };
        Some((file, self.value(constants::DW_AT_decl_line)?.udata_value()?))
    }
}

/// Does a subprogram have a result?
pub(crate) fn has_result<'a>(unit: &Unit<'a>, subprogram: &Entry<'a>) -> bool {
    Described::of(unit, subprogram).value(constants::DW_AT_type).is_some()
}

/// The name of an entry, or of what it completes or is an instance of.
pub(crate) fn name_of<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<Slice<'a>> {
    Described::of(unit, entry).name(dwarf, unit)
}

/// File (as the unit numbers them) and line where an entry is declared.
pub(crate) fn place_of<'a>(unit: &Unit<'a>, entry: &Entry<'a>) -> Option<(u64, u64)> {
    Described::of(unit, entry).place()
}

/// The guest code ranges of an entry, with `DW_AT_low_pc`/`DW_AT_high_pc` or `DW_AT_ranges`. `None` where it has no
/// such attribute. Ranges that cannot be read are left out, and those beyond `budget`; `true` says that there were some.
pub(crate) fn ranges<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    budget: &mut RangeBudget,
) -> Option<(Vec<(u64, u64)>, bool)> {
    let mut low = None;
    let mut high = None;
    let mut size = None;
    let mut list = None;
    for attr in entry.attrs() {
        match attr.name() {
            constants::DW_AT_low_pc => low = dwarf.sections(unit).attr_address(unit, attr.value()).ok().flatten(),
            constants::DW_AT_high_pc => match attr.value() {
                AttributeValue::Udata(value) => size = Some(value),
                value => high = dwarf.sections(unit).attr_address(unit, value).ok().flatten(),
            },
            constants::DW_AT_ranges => list = Some(attr.value()),
            _ => {}
        }
    }
    if let Some(list) = list {
        let mut found = Vec::new();
        let Ok(Some(mut iter)) = dwarf.sections(unit).attr_ranges(unit, list) else {
            return Some((found, true));
        };
        loop {
            match iter.next() {
                Ok(Some(_)) if budget.spend(1).is_err() => return Some((found, true)),
                Ok(Some(range)) => found.push((range.begin, range.end)),
                Ok(None) => return Some((found, false)),
                Err(_) => return Some((found, true)),
            }
        }
    }
    let low = low?;
    let high = high.or_else(|| size.and_then(|size| low.checked_add(size)));
    Some((vec![(low, high.unwrap_or(low))], false))
}

/// The code ranges of a block or inlined subroutine.
pub(crate) fn scope_code<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    budget: &mut RangeBudget,
) -> Vec<(u64, u64)> {
    if !matches!(entry.tag(), constants::DW_TAG_lexical_block | constants::DW_TAG_inlined_subroutine) {
        return Vec::new();
    }
    ranges(dwarf, unit, entry, budget).map_or_else(Vec::new, |(ranges, _)| ranges)
}

/// The lowest address of a block or inlined subroutine. An expression without a list of ranges holds from there on.
pub(crate) fn scope_begin<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    budget: &mut RangeBudget,
) -> Option<u32> {
    lowest(&scope_code(dwarf, unit, entry, budget))
}

/// The lowest address of some ranges.
pub(crate) fn lowest(ranges: &[(u64, u64)]) -> Option<u32> {
    u32::try_from(ranges.iter().map(|range| range.0).min()?).ok()
}

/// The function that a subprogram is.
pub(crate) fn subprogram_code<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    index: &FunctionIndex,
    entry: &Entry<'a>,
    budget: &mut RangeBudget,
) -> Code {
    match ranges(dwarf, unit, entry, budget) {
        None => Code::None,
        Some((ranges, _)) if matches!(ranges[..], [(begin, end)] if index.is_other_copy(begin, end)) => Code::Dead,
        Some((ranges, _)) => ranges.iter().find_map(|range| index.find(range.0)).map_or(Code::Dead, Code::Function),
    }
}
