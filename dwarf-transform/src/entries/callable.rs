//! Member functions of C++ that lldb's expressions can call: `p shape.area()`, `p a + b`, `p numbers[2]`.
//!
//! A guest function takes two hidden arguments first, so that a call by its own address passes the others in the wrong places. An
//! expression calls a member function by the linkage name of its declaration. There it is told that of an entry, which is code that adds
//! what is hidden; the function itself keeps its name. Functions that are no members are called by the name that their
//! types make, whatever the debug info says.
//!
//! Both sides agree about the rest: scalars come in registers, and structures are returned through memory, where lldb is told that they
//! are passed by reference ([`ReturnedTypes`](super::ReturnedTypes)).

use super::results::{Scalars, is_record};
use super::{Fill, MAX_TYPE_CHAIN};
use crate::address::ValType;
use crate::plan::NONE;
use crate::pointers::{PointerKind, is_transparent, pointer_kind};
use crate::scope::Entry;
use crate::static_objects::linkage_name;
use gimli::{AttributeValue, UnitOffset, constants as c};
use rayon::prelude::*;
use std::collections::HashMap;

/// What the linkage names of entries begin with; those of their functions follow.
pub const CALL_ENTRY_PREFIX: &str = "__wasm_call_";

/// How the entry of a function is to call it: bytes of a result in memory, whose place comes first; at bit 16 and up, which arguments
/// in registers for whole numbers are addresses; whether the result is an address, and what it is that of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallShape(pub u32);

impl CallShape {
    const ADDRESSES: u32 = 16;
    const RETURNS_ADDRESS: u32 = 1 << 30;
    /// With [`RETURNS_ADDRESS`](Self::RETURNS_ADDRESS): of a reference, through which the debugger reads.
    const RETURNS_REFERENCE: u32 = 1 << 31;
    const MAX_RESULT: u64 = 0xffff;
    /// What the hidden arguments leave of the registers for whole numbers.
    const WORDS: u32 = 4;
}

/// The functions that have entries, by linkage name.
#[derive(Debug, Default)]
pub(crate) struct Callable<'a> {
    functions: HashMap<&'a [u8], (usize, CallShape)>,
    /// The linkage names of functions whose declarations, by unit and position, have none: those of lambda expressions.
    unnamed: HashMap<(usize, usize), &'a [u8]>,
}

/// What the declaration of a subprogram says, which it completes or is an instance of.
struct Declared<'a> {
    linkage_name: &'a [u8],
    is_member: bool,
    is_virtual: bool,
    /// The declaration, if it has no linkage name and is that of an operator: constructors have several.
    unnamed: Option<(usize, usize)>,
}

impl<'a> Callable<'a> {
    pub(crate) fn find(fill: Fill<'_, 'a>) -> Callable<'a> {
        let functions = &fill.input.native.functions;
        if !functions.iter().any(|function| function.has_call_entry) {
            return Callable::default();
        }
        let found: Vec<_> = (0..fill.plan.units.len())
            .into_par_iter()
            .flat_map_iter(|unit| {
                let entries = fill.plan.units[unit].entries.iter().enumerate();
                entries.filter_map(move |(at, planned)| {
                    let function = planned.function as usize;
                    let is_one = planned.tag == c::DW_TAG_subprogram && planned.id.is_some();
                    if !is_one || !functions.get(function)?.has_call_entry {
                        return None;
                    }
                    let entry = fill.input.dwarf.units[unit].entry(UnitOffset(planned.offset as usize)).ok()?;
                    let declared = fill.declared_function(unit, &entry)?;
                    // Of a virtual one the object's own would be meant.
                    if !declared.is_member || declared.is_virtual {
                        return None;
                    }
                    Some((declared, (function, fill.call_shape((unit, at), &entry, function)?)))
                })
            })
            .collect();
        let unnamed = found.iter().filter_map(|(declared, _)| Some((declared.unnamed?, declared.linkage_name)));
        let unnamed = unnamed.collect();
        let functions = found.into_iter().map(|(declared, function)| (declared.linkage_name, function));
        Callable { functions: functions.collect(), unnamed }
    }

    /// The linkage name of what is declared there without one.
    pub(super) fn of_unnamed(&self, declaration: (usize, usize)) -> Option<&'a [u8]> {
        self.unnamed.get(&declaration).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    pub(super) fn has(&self, linkage_name: &[u8]) -> bool {
        self.functions.contains_key(linkage_name)
    }

    /// Position, linkage name and shape of the functions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &'a [u8], CallShape)> {
        self.functions.iter().map(|(name, (function, shape))| (*function, *name, *shape))
    }
}

impl<'a> Fill<'_, 'a> {
    fn declared_function(&self, mut unit: usize, entry: &Entry<'a>) -> Option<Declared<'a>> {
        let mut name = None;
        let (mut is_member, mut is_virtual, mut unnamed) = (false, false, None);
        let mut entry = entry.clone();
        for _ in 0..MAX_TYPE_CHAIN {
            name = name.or_else(|| Some((unit, linkage_name(&entry)?)));
            is_virtual |= entry.attr_value(c::DW_AT_virtuality).is_some_and(|it| {
                !matches!(it, AttributeValue::Virtuality(c::DW_VIRTUALITY_none)) && it.udata_value() != Some(0)
            });
            let origin = [c::DW_AT_specification, c::DW_AT_abstract_origin];
            let Some(origin) = origin.into_iter().find_map(|origin| entry.attr_value(origin)) else { break };
            let at;
            (unit, at) = self.target(unit, origin)?;
            let entries = &self.plan.units[unit].entries;
            is_member = entries.get(entries[at].parent as usize).is_some_and(|parent| is_record(parent.tag));
            entry = self.input.dwarf.units[unit].entry(UnitOffset(entries[at].offset as usize)).ok()?;
            let is_operator = || self.name_and_size(unit, at).is_some_and(|it| it.0.starts_with(b"operator"));
            unnamed = (linkage_name(&entry).is_none() && is_operator()).then_some((unit, at));
        }
        let (unit, name) = name?;
        let unit = &self.input.dwarf.units[unit];
        let name = self.input.dwarf.sections(unit).attr_string(unit, name).ok()?.slice();
        name.starts_with(b"_Z").then_some(Declared { linkage_name: name, is_member, is_virtual, unnamed })
    }

    /// How the function is called; `None` if it is not as its declaration says, or not in a way that entries know.
    fn call_shape(&self, (unit, at): (usize, usize), entry: &Entry<'a>, function: usize) -> Option<CallShape> {
        let guest = self.input.guest.functions.get(function)?;
        let mut shape = 0;
        let mut wasm = guest.locals[..guest.parameters].iter();
        let mut word = 0;
        if let Some(ty) = self.type_of(unit, entry) {
            match self.scalars(ty, false, 0, &mut 1_000) {
                Scalars::None if guest.results.is_empty() => {}
                Scalars::One if guest.results.len() == 1 => match self.kind_of(ty) {
                    Some(PointerKind::Pointer) => shape |= CallShape::RETURNS_ADDRESS,
                    Some(PointerKind::Reference) => {
                        shape |= CallShape::RETURNS_ADDRESS | CallShape::RETURNS_REFERENCE;
                    }
                    _ => {}
                },
                Scalars::Many if self.input.native.functions[function].returns_result_place => {
                    let record = self.record(ty)?;
                    let size = self.attribute_of(record.0, record.1, c::DW_AT_byte_size)?.udata_value()?;
                    if size > CallShape::MAX_RESULT || !self.is_passed_by_reference(record) {
                        return None;
                    }
                    shape |= size as u32;
                    word += 1;
                    wasm.next()?;
                }
                _ => return None,
            }
        } else if !guest.results.is_empty() {
            return None;
        }
        let entries = &self.plan.units[unit].entries;
        let inside = (at + 1..entries.len())
            .take_while(|child| entries[*child].parent != NONE && entries[*child].parent as usize >= at);
        for child in inside.filter(|child| entries[*child].parent as usize == at) {
            if entries[child].tag != c::DW_TAG_formal_parameter {
                continue;
            }
            let offset = UnitOffset(entries[child].offset as usize);
            let ty = self.type_of(unit, &self.input.dwarf.units[unit].entry(offset).ok()?)?;
            let is_address = match self.scalars(ty, false, 0, &mut 1_000) {
                Scalars::One => self.kind_of(ty).is_some(),
                // An expression would pass the address of a copy of its own.
                Scalars::None | Scalars::Many => return None,
            };
            match wasm.next()? {
                ValType::I32 | ValType::I64 => {
                    shape |= u32::from(is_address) << (CallShape::ADDRESSES + word);
                    word += 1;
                }
                ValType::F32 | ValType::F64 if !is_address => {}
                _ => return None,
            }
        }
        (wasm.next().is_none() && word <= CallShape::WORDS).then_some(CallShape(shape))
    }

    fn kind_of(&self, (mut unit, mut entry): (usize, usize)) -> Option<PointerKind> {
        for _ in 0..MAX_TYPE_CHAIN {
            let tag = self.plan.units[unit].entries[entry].tag;
            if !is_transparent(tag) {
                return pointer_kind(tag);
            }
            (unit, entry) = self.target(unit, self.attribute_of(unit, entry, c::DW_AT_type)?)?;
        }
        None
    }

    fn is_passed_by_reference(&self, (unit, record): (usize, usize)) -> bool {
        let own = self.attribute_of(unit, record, c::DW_AT_calling_convention);
        own == Some(AttributeValue::CallingConvention(c::DW_CC_pass_by_reference))
            || self.returned.has(self, unit, record)
    }
}
