//! Variables that keep the value they get first, and where the guest says that it is.
//!
//! A location ends where wasm gives its local to something else, and with LLVM before 16, which does not follow variables from one basic
//! block of wasm to the next, with its block, although the value is still there. It may also end there because the variable got another value that nothing holds, and the list does not
//! tell the two apart. For a variable that never gets another one, only the first is possible: the code generator, which knows where
//! the wasm local is assigned, may follow it.

use crate::address::WasmOffset;
use crate::expression::GuestExpression;
use crate::guest::GuestFunction;
use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::guest_lines::UnitLines;
use crate::scope::{Entry, declaration_of, name_of, place_of, version_behind};
use crate::source::{Language, Originals, Texts};
use gimli::{AttributeValue, Operation, Reader, UnitOffset, constants as c};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A variable that nothing assigns after its first value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastingVariable {
    /// The offset of its entry.
    pub variable: u32,
    /// The code of its scope, sorted; `None` where that is the whole function.
    pub scope: Option<Arc<[Range<WasmOffset>]>>,
    /// Its locations, sorted by their begin.
    pub places: Vec<LastingPlace>,
    /// It is a parameter, and keeps the value that this local has on entry to the function.
    pub at_entry: Option<u32>,
}

/// A location that holds from `begin` to `end`, says the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastingPlace {
    /// Where it begins to hold.
    pub begin: WasmOffset,
    /// Where its entry in the list ends.
    pub end: WasmOffset,
    /// What it says; equal for locations of the variable that say the same. `None` where it ends when the list says so: of an entry of
    /// the operand stack, of anything in memory.
    pub value: Option<LastingValue>,
}

/// A location that says a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastingValue {
    /// The wasm local that it is made of; `None` for a constant.
    pub local: Option<u32>,
    /// The number of the first location of the variable with the same expression.
    pub same: u32,
}

/// A location that holds on where the guest's list has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Continued {
    /// The offset of the variable's entry.
    pub variable: u32,
    /// Where the location begins.
    pub location: WasmOffset,
    /// The first of the operators before which it still holds.
    pub begin: WasmOffset,
    /// The first after them.
    pub end: WasmOffset,
    /// It does so by the local's value on entry to the function, in its [home](crate::ENTRY_VALUE_HOME).
    pub at_entry: bool,
}

impl Continued {
    pub(crate) fn operators(&self) -> Range<u64> {
        self.begin.0.into()..self.end.0.into()
    }
}

/// How many locations of a variable are looked at.
const MAX_PLACES: usize = 256;

/// What tells whether a variable keeps its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Constancy<'a> {
    /// It has no name that could be assigned, or its type forbids it.
    Sure,
    /// The text does.
    Text(Declaration<'a>),
}

/// Where a variable is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Declaration<'a> {
    pub(crate) name: Slice<'a>,
    /// As the unit's line table numbers files.
    pub(crate) file: u64,
    pub(crate) line: u32,
}

/// What types say of their variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    /// A number, a pointer.
    Scalar,
    /// One that cannot be assigned.
    Constant,
    /// A reference to what may be.
    Reference,
    /// It consists of parts, which may be assigned, or changes by itself.
    Other,
}

/// What is known of the types of a unit.
#[derive(Debug, Default)]
struct Types {
    known: HashMap<UnitOffset, Type>,
    is_rust: bool,
}

/// Type definitions and qualifiers that are followed in a row.
const MAX_TYPE_CHAIN: u32 = 16;

impl Types {
    fn new(is_rust: bool) -> Types {
        Types { known: HashMap::new(), is_rust }
    }

    fn of<'a>(&mut self, dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, at: UnitOffset, depth: u32) -> Type {
        if let Some(known) = self.known.get(&at) {
            return *known;
        }
        let Ok(entry) = unit.entry(at) else { return Type::Other };
        let mut inner = || match entry.attr_value(c::DW_AT_type) {
            Some(AttributeValue::UnitRef(inner)) if depth < MAX_TYPE_CHAIN => self.of(dwarf, unit, inner, depth + 1),
            _ => Type::Other,
        };
        let found = match entry.tag() {
            c::DW_TAG_base_type
            | c::DW_TAG_pointer_type
            | c::DW_TAG_enumeration_type
            | c::DW_TAG_ptr_to_member_type => Type::Scalar,
            c::DW_TAG_reference_type | c::DW_TAG_rvalue_reference_type => match entry.attr_value(c::DW_AT_type) {
                Some(AttributeValue::UnitRef(target)) if is_constant(unit, target) => Type::Constant,
                _ => Type::Reference,
            },
            c::DW_TAG_typedef | c::DW_TAG_restrict_type => inner(),
            c::DW_TAG_const_type => match inner() {
                Type::Other => Type::Other,
                _ => Type::Constant,
            },
            // Rust's references to slices and objects.
            c::DW_TAG_structure_type if self.is_rust && is_reference(dwarf, unit, &entry) => Type::Scalar,
            _ => Type::Other,
        };
        self.known.insert(at, found);
        found
    }

    /// Is the entry's type a reference to what can be assigned?
    fn is_assignable_reference<'a>(&mut self, dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, entry: &Entry<'a>) -> bool {
        let Some(AttributeValue::UnitRef(at)) = entry.attr_value(c::DW_AT_type) else { return false };
        self.of(dwarf, unit, at, 0) == Type::Reference
    }
}

fn is_constant(unit: &Unit<'_>, at: UnitOffset) -> bool {
    unit.entry(at).is_ok_and(|entry| entry.tag() == c::DW_TAG_const_type)
}

fn is_reference<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, entry: &Entry<'a>) -> bool {
    let name = entry.attr_value(c::DW_AT_name).and_then(|name| dwarf.sections(unit).attr_string(unit, name).ok());
    name.is_some_and(|name| name.slice().starts_with(b"&"))
}

/// Can this variable be one that keeps its value, and what tells?
fn constancy<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
    types: &mut Types,
) -> Option<Constancy<'a>> {
    if !matches!(entry.tag(), c::DW_TAG_formal_parameter | c::DW_TAG_variable) {
        return None;
    }
    let origin = declaration_of(unit, entry);
    let value = |name| [Some(entry), origin.as_ref()].into_iter().flatten().find_map(|entry| entry.attr_value(name));
    let AttributeValue::UnitRef(at) = value(c::DW_AT_type)? else { return None };
    let is_artificial = matches!(value(c::DW_AT_artificial), Some(AttributeValue::Flag(true)));
    match types.of(dwarf, unit, at, 0) {
        Type::Other => return None,
        Type::Constant | Type::Reference => return Some(Constancy::Sure),
        // `this`, the place of the result.
        Type::Scalar if is_artificial && entry.tag() == c::DW_TAG_formal_parameter => return Some(Constancy::Sure),
        Type::Scalar => {}
    }
    let name = name_of(dwarf, unit, entry)?;
    let (file, line) = place_of(unit, entry)?;
    Some(Constancy::Text(Declaration { name, file, line: u32::try_from(line).ok()? }))
}

/// The code of a scope, sorted; `None` where that is the whole function.
type ScopeCode = Option<Arc<[Range<WasmOffset>]>>;

/// A variable that keeps its value if the text says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) declaration: Declaration<'a>,
    /// The line where its function is declared, if that is in the same file.
    pub(crate) function: u32,
}

/// A function that a unit describes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Callee<'a> {
    pub(crate) name: Slice<'a>,
    /// It takes a reference to what it may assign.
    pub(crate) takes_reference: bool,
}

/// A variable of the function at a position that may keep its value, and what the text must tell.
struct Found<'a> {
    position: usize,
    variable: LastingVariable,
    /// Whether it is assigned.
    asked: Option<Asked<'a>>,
    /// Whether this function calls itself.
    function: Option<UnitOffset>,
}

/// Finds the variables of a unit that keep their values.
#[derive(Default)]
pub(crate) struct LastingScan<'a> {
    /// Of a unit that is looked at.
    language: Option<Language>,
    /// The compiler follows variables from one basic block to the next.
    follows: bool,
    types: Types,
    /// By depth: the innermost function, maybe an inlined one, and the code of the innermost scope.
    scopes: Vec<(Option<UnitOffset>, ScopeCode)>,
    /// Where functions are declared: file and line.
    declared: HashMap<UnitOffset, Option<(u64, u64)>>,
    /// The function that is read, and the abstract one that it is an instance of.
    current: Option<(UnitOffset, Option<UnitOffset>)>,
    /// How many calls of itself each function has.
    self_calls: HashMap<UnitOffset, usize>,
    /// The functions of a C or C++ unit, with their depths.
    callees: Vec<(usize, Callee<'a>)>,
    found: Vec<Found<'a>>,
}

impl<'a> LastingScan<'a> {
    pub(crate) fn new(language: Option<Language>, producer: Option<Slice<'a>>) -> LastingScan<'a> {
        let types = Types::new(language == Some(Language::Rust));
        let follows = producer.is_some_and(|producer| follows_variables(&producer.to_string_lossy()));
        LastingScan { language, follows, types, ..LastingScan::default() }
    }

    /// Are the variables with this attribute looked at?
    pub(crate) fn asks(&self, name: gimli::DwAt) -> bool {
        self.language.is_some() && name == c::DW_AT_location
    }

    /// Looks at the entry at this depth, before it is gone into.
    pub(crate) fn read(&mut self, dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, entry: &Entry<'a>, depth: usize) {
        if self.language.is_some() {
            self.scopes.truncate(depth);
            self.add_callee(dwarf, unit, entry, depth);
            self.add_call(entry);
        }
    }

    /// Goes into the entry, whose code is `code` if it is a block or an inlined function.
    pub(crate) fn enter(&mut self, entry: &Entry<'_>, depth: usize, code: &[(u64, u64)]) {
        if self.language.is_none() {
            return;
        }
        let (mut function, mut scope) = self.scopes.last().cloned().unwrap_or_default();
        if matches!(entry.tag(), c::DW_TAG_subprogram | c::DW_TAG_inlined_subroutine) {
            function = Some(entry.offset());
            scope = None;
        }
        if !code.is_empty() {
            let offset = |offset: u64| WasmOffset(u32::try_from(offset).unwrap_or(u32::MAX));
            let mut ranges: Vec<_> = code.iter().map(|&(begin, end)| offset(begin)..offset(end)).collect();
            ranges.sort_unstable_by_key(|range| range.start);
            scope = Some(ranges.into());
        }
        while self.scopes.len() <= depth {
            self.scopes.push((function, scope.clone()));
        }
    }

    /// Counts the calls that functions have of themselves.
    fn add_call(&mut self, entry: &Entry<'_>) {
        let target = |name| match entry.attr_value(name) {
            Some(AttributeValue::UnitRef(target)) => Some(target),
            _ => None,
        };
        match entry.tag() {
            c::DW_TAG_subprogram => self.current = Some((entry.offset(), target(c::DW_AT_abstract_origin))),
            c::DW_TAG_call_site | c::DW_TAG_GNU_call_site => {
                let called = target(c::DW_AT_call_origin).or_else(|| target(c::DW_AT_abstract_origin));
                if let Some((function, origin)) = self.current
                    && called.is_some_and(|called| called == function || Some(called) == origin)
                {
                    *self.self_calls.entry(function).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// Notes functions, and which of them take references to what they may assign.
    fn add_callee(&mut self, dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, entry: &Entry<'a>, depth: usize) {
        match (entry.tag(), self.language) {
            (_, Some(Language::Rust)) => {}
            (c::DW_TAG_subprogram, _) => {
                let name = entry.attr_value(c::DW_AT_name);
                let name = name.and_then(|name| dwarf.sections(unit).attr_string(unit, name).ok());
                self.callees.extend(name.map(|name| (depth, Callee { name, takes_reference: false })));
            }
            (c::DW_TAG_formal_parameter, Some(Language::Cxx))
                if self.types.is_assignable_reference(dwarf, unit, entry) =>
            {
                let around = self.callees.iter_mut().rev().find(|callee| callee.0 < depth);
                around.into_iter().for_each(|callee| callee.1.takes_reference = true);
            }
            _ => {}
        }
    }

    /// Adds a variable of the function at a position, if it may be one that keeps its value.
    pub(crate) fn add(
        &mut self,
        dwarf: &GuestDwarf<'a>,
        unit: &Unit<'a>,
        entry: &Entry<'a>,
        (position, code): (usize, &GuestFunction),
        items: &[(Range<u32>, GuestExpression<'a>)],
    ) {
        let depth = usize::try_from(entry.depth()).unwrap_or(0);
        let scope = depth.checked_sub(1).and_then(|around| self.scopes.get(around));
        let Some((around, scope)) = scope.cloned() else { return };
        let at_entry = parameter(entry, items, code).filter(|_| scope.is_none());
        if self.follows && at_entry.is_none() {
            return;
        }
        let Some(places) = places(unit, items) else { return };
        let Some(constancy) = constancy(dwarf, unit, entry, &mut self.types) else { return };
        let Ok(variable) = u32::try_from(entry.offset().0) else { return };
        let asked = match constancy {
            Constancy::Sure => None,
            Constancy::Text(declaration) => {
                let declared = around.and_then(|function| {
                    let read = || place_of(unit, &unit.entry(function).ok()?);
                    *self.declared.entry(function).or_insert_with(read)
                });
                let in_file = declared.filter(|(file, _)| *file == declaration.file).map(|(_, line)| line);
                let line = in_file.and_then(|line| u32::try_from(line).ok()).unwrap_or(declaration.line);
                Some(Asked { declaration, function: line.min(declaration.line) })
            }
        };
        let variable = LastingVariable { variable, scope, places, at_entry };
        self.found.push(Found { position, variable, asked, function: around.filter(|_| at_entry.is_some()) });
    }

    /// Leaves those variables that the text says to keep their values.
    pub(crate) fn ask(
        &mut self,
        dwarf: &GuestDwarf<'a>,
        unit: &Unit<'a>,
        originals: &Originals<'_>,
        lines: &UnitLines,
    ) {
        let Some(language) = self.language.filter(|_| !self.found.is_empty()) else { return };
        let texts = Texts::of(dwarf, unit, originals);
        let asked: Vec<_> = self.found.iter().filter_map(|found| found.asked).collect();
        let callees = self.callees.iter().map(|(_, callee)| *callee);
        let mut kept = texts.never_assigned(language, lines, &asked, callees).into_iter();
        self.found.retain(|found| found.asked.is_none() || kept.next() == Some(true));
        // Where a function that calls itself was made a loop, its parameters get new values, and a call is missing.
        let mut functions: HashMap<UnitOffset, bool> = HashMap::new();
        for found in &mut self.found {
            let Some(function) = found.function else { continue };
            let calls = self.self_calls.get(&function).copied().unwrap_or(0);
            let may_loop = || texts.mentions_of_itself(dwarf, unit, function).is_none_or(|it| it > calls);
            let may_loop = *functions.entry(function).or_insert_with(may_loop);
            found.variable.at_entry = found.variable.at_entry.filter(|_| !may_loop);
        }
    }

    /// The variables, with the positions of their functions.
    pub(crate) fn found(self) -> impl Iterator<Item = (usize, LastingVariable)> {
        self.found.into_iter().map(|found| (found.position, found.variable))
    }
}

/// Is this the name of a compiler with an LLVM that follows variables from one basic block of wasm to the next? It does from version 16 on, which
/// came with version 1.70 of rustc.
fn follows_variables(producer: &str) -> bool {
    match version_behind(producer, "rustc version ") {
        Some(version) => version >= (1, 70),
        None => version_behind(producer, "clang version ").is_some_and(|(major, _)| major >= 16),
    }
}

/// The locations of a variable from the items of its list, if any of them may hold on.
fn places<'a>(unit: &Unit<'a>, items: &[(Range<u32>, GuestExpression<'a>)]) -> Option<Vec<LastingPlace>> {
    if items.len() > MAX_PLACES {
        return None;
    }
    let mut places = Vec::with_capacity(items.len());
    for (range, expression) in items {
        let same = items.iter().position(|(_, other)| other.0.slice() == expression.0.slice())? as u32;
        let value = value(unit, *expression).map(|local| LastingValue { local, same });
        places.push(LastingPlace { begin: WasmOffset(range.start), end: WasmOffset(range.end), value });
    }
    places.sort_by_key(|place| place.begin);
    places.iter().any(|place| place.value.is_some()).then_some(places)
}

/// The wasm local whose value on entry to its function is the value of a parameter, as the first item of its list says; `None` where the
/// list is for all of the function.
fn parameter<'a>(
    entry: &Entry<'a>,
    items: &[(Range<u32>, GuestExpression<'a>)],
    function: &GuestFunction,
) -> Option<u32> {
    let (range, location) = items.first()?;
    let is_all = range.end >= function.body.end.0;
    let is_first = entry.tag() == c::DW_TAG_formal_parameter && range.start <= function.code_start.0 && !is_all;
    sole_local(*location).filter(|local| is_first && usize::try_from(*local).is_ok_and(|at| at < AT_ENTRY.len()))
}

/// The value on entry to the function of each of the first locals, as an expression.
static AT_ENTRY: [[u8; 6]; 0x80] = {
    let mut expressions = [[c::DW_OP_entry_value.0, 3, c::DW_OP_WASM_location.0, 0, 0, c::DW_OP_stack_value.0]; 0x80];
    let mut local = 0;
    while local < expressions.len() {
        expressions[local][4] = local as u8;
        local += 1;
    }
    expressions
};

/// The value on entry to the function that `location` says a parameter has.
pub(crate) fn at_entry(location: GuestExpression<'_>) -> Option<GuestExpression<'static>> {
    let local = usize::try_from(sole_local(location)?).ok()?;
    Some(gimli::Expression(gimli::EndianSlice::new(AT_ENTRY.get(local)?, gimli::LittleEndian)))
}

/// The wasm local whose value a location is, if it says nothing else.
pub(crate) fn sole_local(location: GuestExpression<'_>) -> Option<u32> {
    const WASM_LOCAL: u8 = 0;
    let [location_op, WASM_LOCAL, index @ .., last] = location.0.slice() else { return None };
    let mut reader = gimli::EndianSlice::new(index, gimli::LittleEndian);
    let local = u32::try_from(reader.read_uleb128().ok()?).ok()?;
    let is_all = *location_op == c::DW_OP_WASM_location.0 && *last == c::DW_OP_stack_value.0 && reader.is_empty();
    is_all.then_some(local)
}

/// The only wasm local, if any, that the value which an expression says is made of; `None` where it says no value, or more goes into it.
#[expect(clippy::option_option, reason = "a value that needs no local is one")]
fn value(unit: &Unit<'_>, expression: GuestExpression<'_>) -> Option<Option<u32>> {
    let (mut local, mut is_value) = (None, false);
    let mut operations = expression.operations(unit.encoding());
    while let Some(operation) = operations.next().ok()? {
        match operation {
            Operation::WasmLocal { index } if local.is_none_or(|local| local == index) => local = Some(index),
            Operation::StackValue | Operation::ImplicitValue { .. } => is_value = true,
            Operation::UnsignedConstant { .. }
            | Operation::SignedConstant { .. }
            | Operation::Piece { .. }
            | Operation::Abs
            | Operation::And
            | Operation::Div
            | Operation::Minus
            | Operation::Mod
            | Operation::Mul
            | Operation::Neg
            | Operation::Not
            | Operation::Or
            | Operation::Plus
            | Operation::PlusConstant { .. }
            | Operation::Shl
            | Operation::Shr
            | Operation::Shra
            | Operation::Xor
            | Operation::Eq
            | Operation::Ge
            | Operation::Gt
            | Operation::Le
            | Operation::Lt
            | Operation::Ne
            | Operation::Convert { .. }
            | Operation::Pick { .. }
            | Operation::Swap
            | Operation::Drop => {}
            _ => return None,
        }
    }
    is_value.then_some(local)
}
