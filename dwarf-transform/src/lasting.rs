//! Variables that keep the value they get first, and where the guest says that it is.
//!
//! A location ends where wasm gives its local to something else, and with LLVM before 16, which does not follow variables from one basic
//! block of wasm to the next, with its block, although the value is still there. It may also end there because the variable got another value that nothing holds, and the list does not
//! tell the two apart. For a variable that never gets another one, only the first is possible: the code generator, which knows where
//! the wasm local is assigned, may follow it.
//!
//! LLVM also loses what a variable is where control flow joins, and leaves a constant in the list behind a loop that changes the variable.
//! Where the text says what assigns a variable, and the code of all that is known, the code generator can tell what it still is.

use crate::address::WasmOffset;
use crate::expression::GuestExpression;
use crate::guest::GuestFunction;
use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::guest_lines::UnitLines;
use crate::scope::{Described, Entry, place_of};
use crate::source::{Change, Changes, Language, Originals, Place, Texts, plain_name};
use foldhash::{HashMap, HashMapExt, HashSet};
use gimli::{AttributeValue, Operation, Reader, UnitOffset, constants as c};
use std::ops::Range;
use std::sync::Arc;

/// A variable that nothing assigns after its first value, or of which it is known what does.
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
    /// What assigns it other values.
    pub assigned: Assignments,
    /// Where a loop begins, it is still the same variable. It is not where each round has a new one.
    pub enters_loops: bool,
    /// The function, or one that is inlined into it, may call itself. If it was made a loop, its parameters get new values there.
    pub may_call_itself: bool,
}

/// What assigns a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignments {
    /// The code of assignments in the variable's scope, and what a round of the loop that it is declared in has outside of its scope; sorted.
    pub code: Vec<AssigningCode>,
    /// An assignment has no code, and begins no location in the list.
    pub are_hidden: bool,
}

/// The code of a statement, or a part of it, that assigns a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssigningCode {
    /// Where it begins.
    pub begin: WasmOffset,
    /// The first operator behind it.
    pub end: WasmOffset,
    /// The new value is made of the one before, and nothing else is assigned.
    pub is_update: bool,
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
    /// It is that local's value.
    pub is_local: bool,
    /// It is this number.
    pub constant: Option<i64>,
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
    /// By what.
    pub value: ContinuedValue,
}

/// What the value of a variable is in where the guest's list has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContinuedValue {
    /// What the location says.
    Listed,
    /// The value on entry to the function of the local that it says, in its [home](crate::ENTRY_VALUE_HOME).
    AtEntry,
    /// Another local.
    Local(u32),
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
    let described = Described::of(unit, entry);
    let AttributeValue::UnitRef(at) = described.value(c::DW_AT_type)? else { return None };
    let is_artificial = matches!(described.value(c::DW_AT_artificial), Some(AttributeValue::Flag(true)));
    match types.of(dwarf, unit, at, 0) {
        Type::Other => return None,
        Type::Constant | Type::Reference => return Some(Constancy::Sure),
        // `this`, the place of the result.
        Type::Scalar if is_artificial && entry.tag() == c::DW_TAG_formal_parameter => return Some(Constancy::Sure),
        Type::Scalar => {}
    }
    let name = described.name(dwarf, unit)?;
    let (file, line) = described.place()?;
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
    /// The last of its parameters is one.
    pub(crate) takes_reference_last: bool,
}

/// A variable of the function at a position that may keep its value, and what the text must tell.
struct Found<'a> {
    position: usize,
    variable: LastingVariable,
    /// Whether it is assigned.
    asked: Option<Asked<'a>>,
    /// The function of the code.
    function: Option<UnitOffset>,
    /// It is a variable of a function that was inlined.
    is_inlined: bool,
}

/// Finds the variables of a unit that keep their values.
#[derive(Default)]
pub(crate) struct LastingScan<'a> {
    /// Of a unit that is looked at.
    language: Option<Language>,
    types: Types,
    /// By depth: the innermost function, whether that is an inlined one, and the code of the innermost scope.
    scopes: Vec<(Option<UnitOffset>, bool, ScopeCode)>,
    /// Where functions are declared: file and line.
    declared: HashMap<UnitOffset, Option<(u64, u64)>>,
    /// The function that is read.
    current: Option<UnitOffset>,
    /// The functions that are inlined into each.
    inlined: HashMap<UnitOffset, Vec<UnitOffset>>,
    /// The functions of the unit, with their depths.
    callees: Vec<(usize, Callee<'a>)>,
    found: Vec<Found<'a>>,
}

impl<'a> LastingScan<'a> {
    pub(crate) fn new(language: Option<Language>) -> LastingScan<'a> {
        let types = Types::new(language == Some(Language::Rust));
        LastingScan { language, types, ..LastingScan::default() }
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
            self.add_inlined(entry);
        }
    }

    /// Goes into the entry, whose code is `code` if it is a block or an inlined function.
    pub(crate) fn enter(&mut self, entry: &Entry<'_>, depth: usize, code: &[(u64, u64)]) {
        if self.language.is_none() {
            return;
        }
        let (mut function, mut is_inlined, mut scope) = self.scopes.last().cloned().unwrap_or_default();
        if matches!(entry.tag(), c::DW_TAG_subprogram | c::DW_TAG_inlined_subroutine) {
            function = Some(entry.offset());
            is_inlined = entry.tag() == c::DW_TAG_inlined_subroutine;
            scope = None;
        }
        if !code.is_empty() {
            let offset = |offset: u64| WasmOffset(u32::try_from(offset).unwrap_or(u32::MAX));
            let mut ranges: Vec<_> = code.iter().map(|&(begin, end)| offset(begin)..offset(end)).collect();
            ranges.sort_unstable_by_key(|range| range.start);
            scope = Some(ranges.into());
        }
        while self.scopes.len() <= depth {
            self.scopes.push((function, is_inlined, scope.clone()));
        }
    }

    /// Notes what is inlined into what.
    fn add_inlined(&mut self, entry: &Entry<'_>) {
        match (entry.tag(), entry.attr_value(c::DW_AT_abstract_origin)) {
            (c::DW_TAG_subprogram, _) => self.current = Some(entry.offset()),
            (c::DW_TAG_inlined_subroutine, Some(AttributeValue::UnitRef(origin))) => {
                let into = self.current.map(|current| self.inlined.entry(current).or_default());
                into.into_iter().for_each(|inlined| inlined.push(origin));
            }
            _ => {}
        }
    }

    /// Notes functions, and which of them take references to what they may assign.
    fn add_callee(&mut self, dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, entry: &Entry<'a>, depth: usize) {
        match (entry.tag(), self.language) {
            (c::DW_TAG_subprogram, _) => {
                let name = entry.attr_value(c::DW_AT_name);
                let name = name.and_then(|name| dwarf.sections(unit).attr_string(unit, name).ok());
                self.callees.extend(
                    name.map(|name| (depth, Callee { name, takes_reference: false, takes_reference_last: false })),
                );
            }
            (c::DW_TAG_formal_parameter, Some(Language::Cxx)) => {
                let is_reference = self.types.is_assignable_reference(dwarf, unit, entry);
                if let Some((around, callee)) = self.callees.iter_mut().rev().find(|callee| callee.0 < depth) {
                    callee.takes_reference |= is_reference;
                    if *around + 1 == depth {
                        callee.takes_reference_last = is_reference;
                    }
                }
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
        let Some((around, is_inlined, scope)) = scope.cloned() else { return };
        let at_entry = parameter(entry, items, code).filter(|_| scope.is_none());
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
        let variable = LastingVariable {
            variable,
            enters_loops: scope.is_none(),
            scope,
            places,
            at_entry,
            assigned: Assignments::default(),
            may_call_itself: false,
        };
        self.found.push(Found { position, variable, asked, function: self.current, is_inlined });
    }

    /// Leaves those variables that the text says to keep their values, or to change them where it is known.
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
        let mut changes = texts.changes(language, lines, &asked, callees).into_iter();
        let mut code = ChangingCode { lines, places: Vec::new(), of: None };
        self.found.retain_mut(|found| {
            let Some(asked) = found.asked else { return true };
            let Some(Some(changes)) = changes.next() else { return false };
            let is_renewed = changes.in_loop || found.is_inlined;
            found.variable.enters_loops = changes.has_loops || !is_renewed;
            if !changes.list.is_empty() {
                found.variable.at_entry = None;
            }
            let assigned = code.of(found.position, asked.declaration.file, &changes, &found.variable);
            assigned.map(|assigned| found.variable.assigned = assigned).is_some()
        });
        let mut families = Families::new(dwarf, unit, &texts, &self.callees);
        let mut functions: HashMap<UnitOffset, bool> = HashMap::new();
        for found in &mut self.found {
            let Some(function) = found.function else { continue };
            let inlined = self.inlined.get(&function).map_or(&[][..], Vec::as_slice);
            let may_call = || families.may_call_itself(function, inlined);
            found.variable.may_call_itself = *functions.entry(function).or_insert_with(may_call);
        }
    }

    /// The variables, with the positions of their functions.
    pub(crate) fn found(self) -> impl Iterator<Item = (usize, LastingVariable)> {
        self.found.into_iter().map(|found| (found.position, found.variable))
    }
}

/// Finds out which functions may call themselves, by their texts: a call that was made a loop is not there any more.
struct Families<'f, 'a, 't> {
    dwarf: &'f GuestDwarf<'a>,
    unit: &'f Unit<'a>,
    texts: &'f Texts<'t>,
    names: HashSet<&'a [u8]>,
    /// Which functions macros mention; found when first needed.
    macros: Option<HashMap<&'t [u8], Vec<&'a [u8]>>>,
    /// Which functions the text of each mentions, itself only if it does so once more than where it begins.
    mentioned: HashMap<UnitOffset, Option<Vec<&'a [u8]>>>,
}

impl<'f, 'a, 't> Families<'f, 'a, 't> {
    fn new(
        dwarf: &'f GuestDwarf<'a>,
        unit: &'f Unit<'a>,
        texts: &'f Texts<'t>,
        callees: &[(usize, Callee<'a>)],
    ) -> Families<'f, 'a, 't> {
        let name = |callee: &(usize, Callee<'a>)| callee.1.name.slice().split(|byte| *byte == b'<').next();
        let names = callees.iter().filter_map(name).collect();
        Families { dwarf, unit, texts, names, macros: None, mentioned: HashMap::new() }
    }

    fn name(&self, function: UnitOffset) -> Option<&'a [u8]> {
        plain_name(self.dwarf, self.unit, &self.unit.entry(function).ok()?)
    }

    /// May `function`, with what is `inlined` into it, call itself, or one of those itself? It may where its text is not at hand.
    fn may_call_itself(&mut self, function: UnitOffset, inlined: &[UnitOffset]) -> bool {
        let mut family: Vec<UnitOffset> = inlined.to_vec();
        family.sort_unstable();
        family.dedup();
        if family.len() > MAX_FAMILY || self.mentioned(function).is_none() {
            return true;
        }
        family.push(function);
        // What mentions nothing of the family that is left calls nothing that comes back.
        let mentioned: Vec<_> = family.iter().map(|member| self.mentioned(*member).unwrap_or_default()).collect();
        let mut left: Vec<usize> = (0..family.len()).collect();
        loop {
            let names: HashSet<&[u8]> = left.iter().filter_map(|member| self.name(family[*member])).collect();
            let before = left.len();
            left.retain(|member| mentioned[*member].iter().any(|name| names.contains(name)));
            if left.len() == before {
                return before > 0;
            }
        }
    }

    fn mentioned(&mut self, function: UnitOffset) -> Option<Vec<&'a [u8]>> {
        if let Some(known) = self.mentioned.get(&function) {
            return known.clone();
        }
        let own = self.name(function);
        let (names, texts) = (&self.names, self.texts);
        let macros = self.macros.get_or_insert_with(|| texts.macros_with(names));
        let mut is_begun = false;
        let found = texts.words_of(self.dwarf, self.unit, function).map(|words| {
            let mut found: Vec<&[u8]> = Vec::new();
            for word in words {
                if Some(word) == own && !std::mem::replace(&mut is_begun, true) {
                    continue;
                }
                found.extend(own.filter(|own| *own == word).or_else(|| names.get(word).copied()));
                found.extend(macros.get(word).into_iter().flatten());
            }
            found.sort_unstable();
            found.dedup();
            found
        });
        self.mentioned.insert(function, found.clone());
        found
    }
}

/// How many functions that are inlined into one are looked at.
const MAX_FAMILY: usize = 256;

/// Finds the code of what assigns variables.
struct ChangingCode<'l> {
    lines: &'l UnitLines,
    /// Of one function and file: where the rows of its line table are in the text, and their numbers; sorted.
    places: Vec<(Place, usize)>,
    of: Option<(usize, u64)>,
}

impl ChangingCode<'_> {
    /// The code of these changes of a variable of the function at `position`; `None` where there is too much.
    fn of(&mut self, position: usize, file: u64, changes: &Changes, variable: &LastingVariable) -> Option<Assignments> {
        let rows = self.lines.function(position);
        if self.of != Some((position, file)) {
            self.of = Some((position, file));
            self.places.clear();
            let own = rows.iter().enumerate().filter(|(_, row)| u64::from(row.file) == file && row.line != 0);
            self.places.extend(own.map(|(number, row)| (Place { line: row.line, column: row.column }, number)));
            self.places.sort_unstable();
        }
        let is_in_scope = |offset: u32| {
            variable.scope.as_ref().is_none_or(|scope| {
                let behind = scope.partition_point(|range| range.start.0 <= offset);
                behind.checked_sub(1).is_some_and(|at| offset < scope[at].end.0)
            })
        };
        let mut code: Vec<AssigningCode> = Vec::new();
        let mut without_code = 0;
        let outside =
            changes.outside.iter().map(|&(begin, last)| Change { begin, last, is_literal: false, is_update: false });
        let assigning = changes.list.len();
        for (number, change) in changes.list.iter().copied().chain(outside).enumerate() {
            // A row without a column is of all of its line.
            let line = |line: u32| Place { line, column: 0 };
            let first = self.places.partition_point(|place| place.0 < line(change.begin.line));
            let places = self.places[first..].iter().take_while(|place| place.0 <= change.last);
            let own = places.filter(|(place, _)| place.column == 0 || *place >= change.begin);
            let own = own.map(|(_, number)| *number).filter(|number| is_in_scope(rows[*number].offset));
            let mut numbers: Vec<usize> = own.take(MAX_ROWS).collect();
            if numbers.len() == MAX_ROWS {
                return None;
            }
            if change.is_literal || numbers.is_empty() {
                without_code += usize::from(number < assigning);
                continue;
            }
            numbers.sort_unstable();
            let first = code.len();
            for number in numbers {
                let begin = WasmOffset(rows[number].offset);
                let end = WasmOffset(rows.get(number + 1).map_or(u32::MAX, |next| next.offset));
                match code[first..].last_mut() {
                    Some(last) if last.end == begin => last.end = end,
                    _ => code.push(AssigningCode { begin, end, is_update: change.is_update }),
                }
            }
        }
        code.sort_unstable();
        let of_code =
            |place: &&LastingPlace| code.iter().any(|code| code.begin < place.begin && place.begin <= code.end);
        // What was on the operand stack is in a local then.
        let mut behind = None;
        let is_first = |place: &&LastingPlace| {
            let is_stacked = place.value.is_none().then_some(place.end);
            std::mem::replace(&mut behind, is_stacked) != Some(place.begin)
        };
        let places = variable.places.iter().filter(is_first).filter(|place| !of_code(place)).count();
        let are_hidden = without_code > places;
        (code.len() <= MAX_ROWS).then_some(Assignments { code, are_hidden })
    }
}

/// How many rows of the line table may be of what changes a variable.
const MAX_ROWS: usize = 1024;

/// The locations of a variable from the items of its list, if any of them may hold on.
fn places<'a>(unit: &Unit<'a>, items: &[(Range<u32>, GuestExpression<'a>)]) -> Option<Vec<LastingPlace>> {
    if items.len() > MAX_PLACES {
        return None;
    }
    let mut places = Vec::with_capacity(items.len());
    for (range, expression) in items {
        let same = items.iter().position(|(_, other)| other.0.slice() == expression.0.slice())? as u32;
        let value = value(unit, *expression).map(|local| LastingValue {
            local,
            is_local: sole_local(*expression).is_some(),
            constant: constant(unit, *expression),
            same,
        });
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

/// The value of each of the first locals, as an expression.
static VALUES: [[u8; 4]; 0x80] = {
    let mut expressions = [[c::DW_OP_WASM_location.0, 0, 0, c::DW_OP_stack_value.0]; 0x80];
    let mut local = 0;
    while local < expressions.len() {
        expressions[local][2] = local as u8;
        local += 1;
    }
    expressions
};

/// The value of a local, which must be one of the first 128.
pub(crate) fn value_of(local: u32) -> Option<GuestExpression<'static>> {
    let expression = VALUES.get(usize::try_from(local).ok()?)?;
    Some(gimli::Expression(gimli::EndianSlice::new(expression, gimli::LittleEndian)))
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

/// The number that a location is, if it says nothing else.
fn constant(unit: &Unit<'_>, expression: GuestExpression<'_>) -> Option<i64> {
    let mut operations = expression.operations(unit.encoding());
    let number = match operations.next().ok()?? {
        Operation::UnsignedConstant { value } => value.cast_signed(),
        Operation::SignedConstant { value } => value,
        _ => return None,
    };
    let is_value = matches!(operations.next(), Ok(Some(Operation::StackValue)));
    (is_value && matches!(operations.next(), Ok(None))).then_some(number)
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
