//! First stage: what the code generator must know about the guest's DWARF.

use crate::address::WasmOffset;
use crate::by_reference::is_passed_by_reference;
use crate::entries::is_callee_location;
use crate::expression::GuestExpression;
use crate::guest::{GuestFunction, GuestModule, GuestSources, StackEntry};
use crate::guest_dwarf::{FunctionIndex, GuestDwarf, Unit};
use crate::guest_lines::{GuestLines, GuestRow, UnitLines, statements};
use crate::host_reference::misplaced_local;
use crate::lasting::{LastingScan, LastingVariable};
use crate::loss::{LossKind, Losses};
use crate::native::ENTRY_VALUE_HOME;
use crate::scope::{
    Code, Entry, calls_end_blocks, has_result, is_optimized, lowest, opens_with_a_stop, place_of, producer, scope_code,
    subprogram_code,
};
use crate::small_results;
use crate::source::{self, Originals};
use crate::static_objects::{StaticObject, linkage_name, static_object};
use gimli::{AttributeValue, Operation, UnitOffset};
use rayon::prelude::*;
use std::ops::Range;

/// An operator at which a row of the line table begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    /// The row's address.
    pub offset: WasmOffset,
    /// Where the next row begins. The anchor belongs to the first operator in between that is reachable and more than
    /// `block`, `loop`, `else` or `end`; a row without one is not executed, and needs none. (The last `end` of a function
    /// returns, and counts.)
    pub end: WasmOffset,
    /// The row is marked `is_stmt`. Where it is not, only lldb stops, and only where a branch leads.
    pub is_stmt: bool,
    /// The row is a statement of another line than the row before it. Where this is false, the row is of interest only
    /// where the operator can be reached by a branch (the head of a loop, the join after a block).
    pub new_line: bool,
    /// The row is no statement, and has the line and the column of the row before it but for code without a line: natively no row begins
    /// there in unoptimized C and C++, though other blocks may lead there.
    pub goes_on: bool,
    /// Another row of the same line, marked `is_stmt`, follows soon. Where there are only operands up to the next line's row,
    /// the statement is executed there.
    pub again: bool,
    /// Where its anchor goes.
    pub spot: Spot,
}

/// A row of the line table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRow {
    /// Its address.
    pub offset: WasmOffset,
    /// As the guest numbers files.
    pub file: u32,
    /// 0 where the code has no line.
    pub line: u32,
    /// In bytes, from 1.
    pub column: u32,
    /// Where it is for no operator, but for a jump that wasm does without.
    pub spot: Spot,
}

/// Where the anchor of a statement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Spot {
    /// Before its first operator that does something.
    #[default]
    Operator,
    /// Right behind the `end` at its offset, where branches join: a jump that wasm does without.
    BehindEnd,
    /// Right before the `end`, `block` or `loop` at its offset: the same, where nothing but the code before leads to.
    Before,
}

/// A variable is on the wasm operand stack from `offset` on.
///
/// To make it readable, the code generator copies the entry at `depth` to the home of
/// [`OPERAND_STACK_HOME`](crate::OPERAND_STACK_HOME)` + depth`, zero-extended to its size, before the operator at `offset`
/// is executed. Where it does not, it says so in
/// [`NativeFunction::lost_stack_values`](crate::NativeFunction::lost_stack_values), and the variable is reported as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackValue {
    /// The operator before which the entry is to be copied.
    pub offset: WasmOffset,
    /// Entries below it on the function's operand stack.
    pub depth: u32,
    /// Where the variable leaves this place. Where no operator in between has native code, no copy is needed.
    pub end: WasmOffset,
}

/// A location that holds from `begin` to `end` names a wasm local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalUse {
    /// The local, or [`ENTRY_VALUE_HOME`](crate::ENTRY_VALUE_HOME) plus the local whose value on entry is named; or
    /// [`CONSTANT`](LocalUse::CONSTANT).
    pub local: u32,
    /// Where the location begins to hold.
    pub begin: WasmOffset,
    /// Where it ends; of a location that holds wherever its scope is, the end of the function.
    pub end: WasmOffset,
    /// Which variable (by the offset of its entry) this is a location of, if it holds only as long as the local does not get
    /// another value, one that it cannot have where the location begins. The variable's own assignments begin other
    /// locations. [`NativeFunction::overwritten`](crate::NativeFunction::overwritten) says where it does not hold.
    pub variable: Option<u32>,
}

impl LocalUse {
    /// Stands for the local where a location names none, but a constant.
    pub const CONSTANT: u32 = u32::MAX;
}

/// Code of an inlined function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InlinedCode {
    /// The lowest offset of all its ranges, where it begins.
    pub entry: WasmOffset,
    /// Where one of them begins.
    pub begin: WasmOffset,
    /// Where that ends.
    pub end: WasmOffset,
}

/// What the guest's DWARF names in one function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionUses {
    /// The wasm locals that a location or a frame base names: sorted, without duplicates. Each needs a home. Those from
    /// [`ENTRY_VALUE_HOME`](crate::ENTRY_VALUE_HOME) on are values on entry to the function.
    pub locals: Vec<u32>,
    /// Where they are named: sorted, without duplicates. Elsewhere nobody looks at their homes.
    pub local_uses: Vec<LocalUse>,
    /// The entries of the operand stack that a location names: sorted, without duplicates.
    pub stack_values: Vec<StackValue>,
    /// Where statements begin: sorted by offset, without duplicates. The row at the function's entry is left out; it
    /// belongs to the prologue.
    pub statements: Vec<Statement>,
    /// The code of inlined functions: sorted, without duplicates.
    pub inlined: Vec<InlinedCode>,
    /// The function has a location in linear memory or in a global, so that its frame needs the vmctx.
    pub needs_vmctx: bool,
    /// gdb is to stop at the function's opening line when it steps in, as it does natively, and needs an instruction for it
    /// between the homes and the first statement.
    pub opening_stop: bool,
    /// A debugging information entry or line rows describe this function.
    pub described: bool,
    /// The function only adjusts `this` and goes on to another one, and this is its mangled name. Debuggers step through
    /// what is called so; the name section often has it demangled.
    pub thunk: Option<String>,
    /// The source's function has a result.
    pub has_result: bool,
    /// The result of this unoptimized Rust is natively no larger than a register.
    pub has_small_result: bool,
    /// clang made it of C or C++.
    pub is_c: bool,
    /// It is Rust that was not optimized: natively, a block that uses what was computed in others begins by loading that. Such code has
    /// no line, and so gdb gives it the line before.
    pub reloads: bool,
    /// clang or rustc did not optimize it.
    pub unoptimized: bool,
    /// Natively, each call of this Rust ends its basic block. What is loaded behind it has line 0 then.
    pub calls_end_blocks: bool,
    /// The rows of the line table, sorted: of Rust whose blocks are known to lie in an order of rustc's ([`FunctionUses::reloads`],
    /// not [`FunctionUses::calls_end_blocks`]).
    pub rows: Vec<LineRow>,
    /// Variables that keep their value, and whose locations may hold on where their lists end; sorted by variable.
    /// [`NativeFunction::continued`](field@crate::NativeFunction::continued) says where.
    pub lasting: Vec<LastingVariable>,
}

/// Parallel to [`GuestModule::functions`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariableUses {
    /// One for each defined function.
    pub functions: Vec<FunctionUses>,
}

/// What [`scan`](crate::scan) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Locals and statements of each function.
    pub uses: VariableUses,
    /// There is DWARF, but every function in it begins at 0: a tool that ran after the linker (often `wasm-opt`)
    /// moved the code and zeroed the addresses.
    pub zeroed_addresses: bool,
    /// Variables with an address of their own: sorted by address, one at each.
    pub static_objects: Vec<StaticObject>,
    /// The line tables, for the second stage.
    pub lines: GuestLines,
    /// What could not be read.
    pub losses: Losses,
}

/// So many variables have one place for one that has a list, where a unit was not optimized.
const PLACES_TO_LISTS: usize = 8;

/// What one unit says of the functions.
#[derive(Default)]
struct UnitScan<'a> {
    /// The function and the use.
    local_uses: Vec<(usize, LocalUse)>,
    stack_values: Vec<(usize, StackValue)>,
    inlined: Vec<(usize, InlinedCode)>,
    needs_vmctx: Vec<usize>,
    described: Vec<usize>,
    /// clang made it of C or C++.
    is_c: bool,
    with_result: Vec<usize>,
    /// Functions of Rust; see [`FunctionUses::has_small_result`].
    with_small_result: Vec<usize>,
    /// Functions that gdb is to enter at their opening lines, and file and line where they are declared.
    opened: Vec<(usize, Option<(u64, u64)>)>,
    /// Functions whose blocks may end without a row for the jump that natively is there.
    unoptimized: Vec<usize>,
    /// Functions of Rust; see [`FunctionUses::reloads`].
    reloading: Vec<usize>,
    /// See [`FunctionUses::calls_end_blocks`].
    calls_end_blocks: bool,
    /// How many of their variables have one place, and how many a list.
    located: (usize, usize),
    thunks: Vec<(usize, String)>,
    lasting: LastingScan<'a>,
    static_objects: Vec<StaticObject>,
    /// Subprograms that begin at 0.
    at_zero: usize,
    subprograms: usize,
    lines: UnitLines,
    losses: Losses,
}

/// Reads the guest's DWARF for the code generator.
#[must_use]
pub fn scan(guest: &GuestModule<'_>) -> Scan {
    scan_unit_by_unit(guest, None)
}

/// As [`scan`]. Rows that the line tables of functions compiled without optimization lack, of jumps that wasm does without, are
/// added where the sources tell them.
#[must_use]
pub fn scan_with_sources(guest: &GuestModule<'_>, sources: &GuestSources<'_>) -> Scan {
    scan_unit_by_unit(guest, Some(sources))
}

fn scan_unit_by_unit(guest: &GuestModule<'_>, sources: Option<&GuestSources<'_>>) -> Scan {
    let mut functions = vec![FunctionUses::default(); guest.functions.len()];
    if !guest.sections.has_dwarf() {
        return Scan { uses: VariableUses { functions }, ..Scan::default() };
    }
    let dwarf = GuestDwarf::read(guest);
    let index = FunctionIndex::new(guest);
    let mut losses = dwarf.losses.clone();
    let (mut scans, originals): (Vec<UnitScan<'_>>, Option<Originals<'_>>) = rayon::join(
        || dwarf.units.par_iter().map(|unit| scan_unit(guest, &dwarf, unit, &index, sources.is_some())).collect(),
        || sources.map(Originals::of),
    );
    let units = scans.par_iter_mut().zip(&dwarf.units);
    units.for_each(|(scan, unit)| complete_unit(scan, &dwarf, unit, originals.as_ref()));
    let (mut at_zero, mut subprograms) = (0, 0);
    let mut static_objects = Vec::new();
    let mut lines = GuestLines::default();
    for scan in scans {
        static_objects.extend(scan.static_objects);
        for (position, mut named) in scan.local_uses {
            let body = &guest.functions[position].body;
            named.begin = named.begin.max(body.start);
            named.end = named.end.min(body.end);
            functions[position].local_uses.push(named);
        }
        for (position, value) in scan.stack_values {
            functions[position].stack_values.push(value);
        }
        for (position, code) in scan.inlined {
            functions[position].inlined.push(code);
        }
        for position in scan.needs_vmctx {
            functions[position].needs_vmctx = true;
        }
        for position in scan.with_result {
            functions[position].has_result = true;
        }
        for position in scan.with_small_result {
            functions[position].has_small_result = true;
        }
        for position in scan.described {
            functions[position].described = true;
            functions[position].is_c |= scan.is_c;
        }
        for position in scan.lines.opened() {
            functions[position].opening_stop = true;
        }
        for position in scan.unoptimized {
            functions[position].unoptimized = true;
        }
        for position in scan.reloading {
            functions[position].reloads = true;
            functions[position].unoptimized = true;
            functions[position].calls_end_blocks = scan.calls_end_blocks;
        }
        for (position, name) in scan.thunks {
            functions[position].thunk = Some(name);
        }
        for (position, variable) in scan.lasting.found() {
            functions[position].lasting.push(variable);
        }
        for position in scan.lines.functions() {
            functions[position].described = true;
        }
        at_zero += scan.at_zero;
        subprograms += scan.subprograms;
        losses.merge(scan.losses);
        lines.units.push(scan.lines);
    }
    find_statements(guest, &lines, &mut functions);
    if let Some(variables) = &guest.wasm_variables {
        for (position, uses) in functions.iter_mut().enumerate().filter(|(_, uses)| uses.described) {
            use_everything(&guest.functions[position], variables.operand_stacks.get(position), uses);
        }
    }
    for (position, uses) in functions.iter_mut().enumerate() {
        let count = guest.functions[position].locals.len();
        uses.local_uses.retain(|named| {
            let local = named.local.checked_sub(ENTRY_VALUE_HOME).unwrap_or(named.local);
            usize::try_from(local).is_ok_and(|local| local < count)
        });
        uses.local_uses.sort_unstable();
        uses.local_uses.dedup();
        // They are kept until all functions are compiled.
        uses.local_uses.shrink_to_fit();
        uses.locals = uses.local_uses.iter().map(|named| named.local).collect();
        uses.locals.dedup();
        uses.lasting.sort_by_key(|lasting| lasting.variable);
        uses.stack_values.sort_unstable();
        uses.stack_values.dedup();
        uses.inlined.sort_unstable();
        uses.inlined.dedup();
        uses.inlined.shrink_to_fit();
    }
    let zeroed_addresses = subprograms > 1 && at_zero == subprograms;
    static_objects.sort_unstable();
    static_objects.dedup_by_key(|object| object.address);
    Scan { uses: VariableUses { functions }, zeroed_addresses, static_objects, lines, losses }
}

/// The statements of each function, by the first unit that has some of it.
fn find_statements(guest: &GuestModule<'_>, lines: &GuestLines, functions: &mut [FunctionUses]) {
    let mut units: Vec<Vec<&UnitLines>> = vec![Vec::new(); functions.len()];
    for unit in &lines.units {
        unit.functions().for_each(|position| units[position].push(unit));
    }
    functions.par_iter_mut().zip(units).enumerate().for_each(|(position, (uses, units))| {
        let end = guest.functions[position].body.end;
        if uses.reloads && !uses.calls_end_blocks {
            let rows = units.iter().map(|unit| unit.function(position)).find(|rows| !rows.is_empty());
            uses.rows = rows.unwrap_or_default().iter().map(GuestRow::line_row).collect();
        }
        let mut found = units.into_iter().map(|unit| statements(unit.function(position), end));
        uses.statements = found.find(|statements| !statements.is_empty()).unwrap_or_default();
        // They are kept until all functions are compiled.
        uses.statements.shrink_to_fit();
    });
}

/// All that the wasm-level view shows of a function.
fn use_everything(function: &GuestFunction, operand_stack: Option<&Vec<StackEntry>>, uses: &mut FunctionUses) {
    let Range { start: begin, end } = function.body;
    uses.local_uses.extend((0..function.locals.len() as u32).map(|local| LocalUse {
        local,
        begin,
        end,
        variable: None,
    }));
    let entries = operand_stack.into_iter().flatten();
    uses.stack_values.extend(entries.map(|e| StackValue { offset: e.begin, depth: e.depth, end: e.end }));
}

fn scan_unit<'a>(
    guest: &GuestModule<'_>,
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    index: &FunctionIndex,
    wants_lasting: bool,
) -> UnitScan<'a> {
    let mut scan = UnitScan::default();
    let mut losses = Losses::default();
    let (lines, entries) = rayon::join(
        || UnitLines::read(unit, index, &mut losses),
        || scan_entries(guest, dwarf, unit, index, wants_lasting, &mut scan),
    );
    scan.lines = lines;
    losses.merge(std::mem::take(&mut scan.losses));
    if let Err(error) = entries {
        let place = unit.place();
        losses.count(LossKind::MalformedUnit, || format!("{place}: {error}"));
    }
    scan.losses = losses;
    // Compilers do not say of Rust whether it was optimized, but then most variables have lists.
    let (places, lists) = scan.located;
    if lists >= places / PLACES_TO_LISTS {
        scan.reloading.clear();
        scan.with_small_result.clear();
    }
    scan
}

/// Adds what the sources tell.
fn complete_unit<'a>(
    scan: &mut UnitScan<'a>,
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    originals: Option<&Originals<'_>>,
) {
    if let Some(originals) = originals {
        source::complete(&mut scan.lines, &scan.unoptimized, dwarf, unit, originals);
        source::complete_rust(&mut scan.lines, &scan.reloading, dwarf, unit, originals);
        scan.lasting.ask(dwarf, unit, originals, &scan.lines);
    }
    for (position, place) in std::mem::take(&mut scan.opened) {
        scan.lines.open(position, place);
    }
}

fn scan_entries<'a>(
    guest: &GuestModule<'_>,
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    index: &FunctionIndex,
    wants_lasting: bool,
    scan: &mut UnitScan<'a>,
) -> Result<(), gimli::Error> {
    let mut entries = unit.entries_raw(None)?;
    let mut entry = Entry::null();
    // The function around the current entry at each depth of the tree, its entry, and where the innermost scope begins.
    let mut scopes: Vec<(Code, Option<UnitOffset>, Option<u32>)> = Vec::new();
    let mut is_llvm = false;
    let mut opens = false;
    let mut is_clang = false;
    let mut is_rust = false;
    let mut budget = dwarf.range_budget(unit);
    while !entries.is_empty() {
        if !entries.read_entry(&mut entry)? {
            continue;
        }
        let depth = usize::try_from(entry.depth()).unwrap_or(0);
        if depth == 0 {
            is_llvm = producer_is_llvm(dwarf, unit, &entry);
            opens = opens_with_a_stop(dwarf, unit, &entry);
            is_clang = source::is_clang(dwarf, unit, &entry);
            scan.is_c = is_clang;
            let language = source::language(&entry).filter(|_| is_llvm);
            is_rust = language == Some(source::Language::Rust);
            scan.calls_end_blocks = is_rust && calls_end_blocks(dwarf, unit, &entry);
            let language = language.filter(|_| wants_lasting);
            scan.lasting = LastingScan::new(language);
        }
        scopes.truncate(depth);
        scan.lasting.read(dwarf, unit, &entry, depth);
        let (mut code, mut around, begin) = scopes.last().copied().unwrap_or((Code::None, None, None));
        scan.static_objects.extend(static_object(dwarf, unit, &entry, around));
        if entry.tag() == gimli::constants::DW_TAG_subprogram {
            around = Some(entry.offset());
            code = subprogram_code(dwarf, unit, index, &entry, &mut budget);
            if code != Code::None {
                scan.subprograms += 1;
                let low = entry.attr_value(gimli::constants::DW_AT_low_pc);
                let low = low.and_then(|low| dwarf.sections(unit).attr_address(unit, low).ok().flatten());
                scan.at_zero += usize::from(low == Some(0));
            }
            if let Code::Function(position) = code {
                scan.described.push(position);
                if has_result(unit, &entry) {
                    scan.with_result.push(position);
                }
                match is_optimized(&entry) {
                    true if opens => scan.opened.push((position, place_of(unit, &entry))),
                    false if is_clang => scan.unoptimized.push(position),
                    false if is_rust => {
                        scan.reloading.push(position);
                        if small_results::is_small(dwarf, unit, &entry) {
                            scan.with_small_result.push(position);
                        }
                    }
                    _ => {}
                }
                scan.thunks.extend(thunk_name(dwarf, unit, &entry).map(|name| (position, name)));
            }
        }
        let scope = if code == Code::None { Vec::new() } else { scope_code(dwarf, unit, &entry, &mut budget) };
        let inner = lowest(&scope);
        while scopes.len() <= depth {
            scopes.push((code, around, inner.or(begin)));
        }
        scan.lasting.enter(&entry, depth, &scope);
        let Code::Function(position) = code else {
            continue;
        };
        if entry.tag() == gimli::constants::DW_TAG_inlined_subroutine {
            let offset = |offset: u64| u32::try_from(offset).ok().map(WasmOffset);
            scan.inlined.extend(scope.iter().filter_map(|&(begin, end)| {
                Some((position, InlinedCode { entry: WasmOffset(inner?), begin: offset(begin)?, end: offset(end)? }))
            }));
        }
        for attr in entry.attrs() {
            if is_callee_location(entry.tag(), attr.name()) {
                continue;
            }
            let is_location = is_llvm && attr.name() == gimli::constants::DW_AT_location;
            let variable = u32::try_from(entry.offset().0).ok().filter(|_| is_location);
            if is_rust && is_location {
                match attr.value() {
                    AttributeValue::Exprloc(_) | AttributeValue::Block(_) => scan.located.0 += 1,
                    _ => scan.located.1 += 1,
                }
            }
            let place = Place { begin, end: None, at_entry: false, variable };
            match attr.value() {
                AttributeValue::Exprloc(expression) => {
                    let function = &guest.functions[position];
                    let misplaced = (attr.name() == gimli::constants::DW_AT_location && index.has_references(position))
                        .then(|| misplaced_local(dwarf, unit, function, &entry, expression));
                    match misplaced.flatten() {
                        Some(local) => {
                            let (begin, end) = (WasmOffset(0), WasmOffset(u32::MAX));
                            scan.local_uses.push((position, LocalUse { local, begin, end, variable: None }));
                        }
                        None => scan_operations(unit, expression, position, &place, scan),
                    }
                }
                AttributeValue::Block(block) if is_expression(attr.name()) => {
                    let expression = gimli::Expression(block);
                    scan_operations(unit, expression, position, &place, scan);
                }
                value @ (AttributeValue::LocationListsRef(_) | AttributeValue::DebugLocListsIndex(_)) => {
                    let Ok(Some(mut list)) = dwarf.sections(unit).attr_locations(unit, value) else {
                        continue;
                    };
                    let throughout = is_passed_by_reference(dwarf, unit, &guest.functions[position], &entry, value);
                    let mut followed = scan.lasting.asks(attr.name()).then(Vec::new).filter(|_| !throughout);
                    while let Ok(Some(item)) = list.next()
                        && budget.spend(1).is_ok()
                    {
                        // The default location holds in the whole scope.
                        let listed = u32::try_from(item.range.begin).ok().filter(|_| item.range.end != u64::MAX);
                        let end = u32::try_from(item.range.end).ok().filter(|_| !throughout).unwrap_or(u32::MAX);
                        let end = listed.map(|_| end);
                        let place = Place { begin: listed.or(begin), end, at_entry: false, variable };
                        scan_operations(unit, item.data, position, &place, scan);
                        match (&mut followed, listed.zip(end)) {
                            (Some(items), Some((begin, end))) => items.push((begin..end, item.data)),
                            _ => followed = None,
                        }
                    }
                    if let Some(items) = followed {
                        let function = (position, &guest.functions[position]);
                        scan.lasting.add(dwarf, unit, &entry, function, &items);
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Was the unit made with LLVM (clang, rustc)?
pub(crate) fn producer_is_llvm<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, root: &Entry<'a>) -> bool {
    let has = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|window| window == word);
    producer(dwarf, unit, root)
        .is_some_and(|producer| has(producer.slice(), b"clang") || has(producer.slice(), b"LLVM"))
}

/// The name of a subprogram that is a thunk in the Itanium C++ ABI.
fn thunk_name<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<String> {
    let name = dwarf.sections(unit).attr_string(unit, linkage_name(entry)?).ok()?;
    let name = std::str::from_utf8(name.slice()).ok()?;
    ["_ZTh", "_ZTv", "_ZTc"].iter().any(|prefix| name.starts_with(prefix)).then(|| name.to_owned())
}

/// Collects what an expression names; it holds from `begin` on. Errors are counted by the stage that translates it.
/// Where an expression holds.
struct Place {
    /// From here on, where that is known.
    begin: Option<u32>,
    /// Up to here, where that is known.
    end: Option<u32>,
    /// On entry to the function.
    at_entry: bool,
    /// See [`LocalUse::variable`].
    variable: Option<u32>,
}

fn scan_operations(
    unit: &Unit<'_>,
    expression: GuestExpression<'_>,
    position: usize,
    place: &Place,
    scan: &mut UnitScan<'_>,
) {
    let mut operations = expression.operations(unit.encoding());
    let mut only_constants = true;
    while let Ok(Some(operation)) = operations.next() {
        match operation {
            Operation::WasmLocal { index } => {
                let local = if place.at_entry { ENTRY_VALUE_HOME.checked_add(index) } else { Some(index) };
                let (begin, end) = place.begin.zip(place.end).unwrap_or((0, u32::MAX));
                let (begin, end) = (WasmOffset(begin), WasmOffset(end));
                scan.local_uses.extend(local.map(|local| (position, LocalUse { local, begin, end, variable: None })));
                if let Some(variable) = place.variable.filter(|_| !place.at_entry) {
                    let begin = WasmOffset(place.begin.unwrap_or(0));
                    scan.local_uses.push((position, LocalUse { local: index, begin, end, variable: Some(variable) }));
                }
            }
            Operation::WasmStack { index } => {
                if let Some(begin) = place.begin {
                    let [offset, end] = [begin, place.end.unwrap_or(u32::MAX)].map(WasmOffset);
                    scan.stack_values.push((position, StackValue { offset, depth: index, end }));
                }
            }
            Operation::EntryValue { expression } if !place.at_entry => {
                let place = Place { begin: None, end: None, at_entry: true, variable: None };
                scan_operations(unit, gimli::Expression(expression), position, &place, scan);
            }
            Operation::UnsignedConstant { .. }
            | Operation::SignedConstant { .. }
            | Operation::StackValue
            | Operation::Piece { .. }
            | Operation::ImplicitValue { .. } => continue,
            _ => {}
        }
        only_constants = false;
    }
    if !only_constants {
        scan.needs_vmctx.push(position);
    }
}

/// Attributes whose block form is an expression in DWARF 2 and 3.
pub(crate) fn is_expression(name: gimli::DwAt) -> bool {
    use gimli::constants as c;
    matches!(
        name,
        c::DW_AT_location
            | c::DW_AT_frame_base
            | c::DW_AT_data_member_location
            | c::DW_AT_return_addr
            | c::DW_AT_static_link
            | c::DW_AT_string_length
            | c::DW_AT_use_location
            | c::DW_AT_vtable_elem_location
            | c::DW_AT_data_location
            | c::DW_AT_allocated
            | c::DW_AT_associated
            | c::DW_AT_segment
            | c::DW_AT_lower_bound
            | c::DW_AT_upper_bound
            | c::DW_AT_count
            | c::DW_AT_byte_size
            | c::DW_AT_bit_size
            | c::DW_AT_byte_stride
            | c::DW_AT_bit_stride
            | c::DW_AT_call_value
            | c::DW_AT_call_data_value
            | c::DW_AT_call_data_location
            | c::DW_AT_call_target
            | c::DW_AT_call_target_clobbered
            | c::DW_AT_GNU_call_site_value
            | c::DW_AT_GNU_call_site_data_value
            | c::DW_AT_GNU_call_site_target
            | c::DW_AT_GNU_call_site_target_clobbered
    )
}
