//! Compiles a guest function, with what debuggers need of it.

use super::function::{self, CompiledFunction, ModuleContext, Scratch};
use super::{CompileError, file_offset, folded_loads, local_types, native_blocks, panic_message, reloads};
use crate::environ::{Module, OptLevel, PointerFlavour};
use crate::translate::{
    AnchorRange, Assigning, BodyScan, ChangingPlace, ChangingVariable, Code, DebugPlan, Followed, FunctionInput,
    HomeSlots, NamedRange, PlaceValue, Reaching, TranslateError, ValueKind, needed_stores,
};
use dwarf_transform::{ContinuedValue, Spot};
use std::ops::Range;
use std::panic::AssertUnwindSafe;

/// What all functions are compiled with.
pub(super) struct FunctionCompiler<'a> {
    pub(super) shared: &'a ModuleContext<'a>,
    /// What debug info wants of the functions.
    pub(super) uses: Option<&'a dwarf_transform::VariableUses>,
    /// See [`returned_to`].
    pub(super) returned_to: Vec<bool>,
    /// Where the code section begins in the file.
    pub(super) base: usize,
}

impl FunctionCompiler<'_> {
    /// Compiles the function with this number. Where that fails with debug info, be it by a bug, the function does without, and
    /// the reason comes with it.
    pub(super) fn compile(
        &self,
        scratch: &mut Scratch,
        number: usize,
        input: &mut FunctionInput<'_>,
    ) -> Result<(CompiledFunction, Option<String>), CompileError> {
        let mut attempt = |uses| {
            // A panic of the code generator is a bug in it, but not one that should take the process down.
            let attempt = AssertUnwindSafe(|| self.compile_with(uses, scratch, number, input));
            std::panic::catch_unwind(attempt).unwrap_or_else(|panic| {
                *scratch = Scratch::new();
                let (function, offset) = (input.index, input.body.range().start);
                let reason = format!("internal error: {}", panic_message(&*panic));
                Err(TranslateError::Function { function, offset, reason }.into())
            })
        };
        let compiled = match attempt(self.uses) {
            Err(error) if self.uses.is_some() => attempt(None).map(|compiled| (compiled, Some(error.to_string()))),
            compiled => compiled.map(|compiled| (compiled, None)),
        };
        input.validator = None;
        compiled
    }

    fn compile_with(
        &self,
        uses: Option<&dwarf_transform::VariableUses>,
        scratch: &mut Scratch,
        number: usize,
        input: &FunctionInput<'_>,
    ) -> Result<CompiledFunction, CompileError> {
        let (shared, base) = (self.shared, self.base);
        // A function that no debug info describes has nothing to show and pays for nothing.
        let uses = uses.map(|uses| &uses.functions[number]).filter(|uses| uses.described);
        let Some(uses) = uses else { return function::compile_guest(shared, input, None, scratch) };
        let body = BodyScan::read(input);
        let flavour = shared.tunables.pointer_flavour;
        let calls = match uses.unoptimized && (uses.is_c || flavour == PointerFlavour::Gdb) {
            true => reloads::behind_calls(uses, (&body, input), (shared.module, &self.returned_to)),
            false => Vec::new(),
        };
        let anchors = self.anchors(uses, &body, input, &calls);
        let mut overwritten = overwritten(uses, &body, base as u32);
        let parameters = shared.module.func_type(input.index).params.len();
        let mut continued = kept(uses, parameters, &body, base as u32);
        let (goes_on, stale) = changing(uses, parameters, (&body, input), base as u32);
        continued.extend(goes_on);
        continued.sort_unstable();
        overwritten.extend(stale);
        overwritten.sort_unstable();
        let moves_behind = if flavour == PointerFlavour::Gdb { calls } else { Vec::new() };
        let plan = debug_plan(shared, input, uses, (body, &anchors, &self.returned_to), &continued, base);
        let mut compiled = function::compile_guest(shared, input, Some(plan), scratch)?;
        if uses.inlined.is_empty() {
            compiled.apart = Vec::new();
        }
        Ok(CompiledFunction { overwritten, continued, moves_behind, ..compiled })
    }

    /// Where statements begin. `calls` are those that natively have something behind them.
    fn anchors(
        &self,
        uses: &dwarf_transform::FunctionUses,
        body: &BodyScan,
        input: &FunctionInput<'_>,
        calls: &[u32],
    ) -> Vec<AnchorRange> {
        if !matches!(self.shared.isa.triple().architecture, target_lexicon::Architecture::X86_64) {
            return Vec::new();
        }
        let flavour = self.shared.tunables.pointer_flavour;
        let mut anchors = anchor_ranges(uses, body, self.base, flavour, |start| body.call_before(input, start));
        if uses.unoptimized && uses.is_c && flavour == PointerFlavour::Lldb {
            for anchor in &mut anchors {
                let call = body.call_and_operands_before(input, anchor.start);
                anchor.behind_call = call.map(|(call, _)| call);
                anchor.reloads = call.is_some_and(|(call, computes)| computes || calls.binary_search(&call).is_ok());
            }
        }
        if uses.reloads || uses.unoptimized && uses.is_c && flavour == PointerFlavour::Gdb {
            if uses.reloads && flavour == PointerFlavour::Gdb {
                leave_out_moves(&mut anchors, &uses.statements, body, self.base);
            }
            let takes_place = has_result_place(self.shared.module, input, uses);
            let has_place =
                takes_place && !(uses.reloads && (uses.has_small_result || body.stores_before_return(input)));
            let blocks = uses
                .reloads
                .then(|| native_blocks::find(uses, (body, input), self.base, (takes_place, has_place)))
                .flatten();
            let has_blocks = blocks.is_some();
            if let Some(blocks) = blocks {
                let blocks = if flavour == PointerFlavour::Lldb { blocks.for_lldb() } else { blocks };
                native_blocks::add_anchors(&mut anchors, &blocks);
            }
            if !has_blocks || flavour == PointerFlavour::Lldb {
                let reloads = reloads::find(uses, (body, input), self.base, (flavour, has_place));
                for anchor in &mut anchors {
                    anchor.reloads = reloads.binary_search(&anchor.start).is_ok();
                }
            }
        }
        if uses.unoptimized && uses.is_c && flavour == PointerFlavour::Gdb {
            // A `finish` ends in the call's line where natively something of it follows.
            for anchor in anchors.iter_mut().filter(|anchor| !anchor.reloads && anchor.spot == Spot::Operator) {
                // Where branches join twice with nothing between, a jump without a line is.
                let jumps = body.call_before_joins(input, anchor.start);
                anchor.behind_call = jumps.or_else(|| body.call_before(input, anchor.start));
                let moves = |call: u32| jumps.is_some() || calls.binary_search(&call).is_ok();
                anchor.reloads = anchor.behind_call.is_some_and(moves);
            }
        }
        if uses.unoptimized && uses.is_c {
            folded_loads::leave_out(&mut anchors, uses, (body, Code::of(input)), self.base);
        }
        anchors
    }
}

/// What the translation of a function does for the debugger.
fn debug_plan<'a>(
    shared: &ModuleContext<'_>,
    input: &FunctionInput<'_>,
    uses: &dwarf_transform::FunctionUses,
    (body, anchors, returned_to): (BodyScan, &'a [AnchorRange], &'a [bool]),
    continued: &[dwarf_transform::Continued],
    base: usize,
) -> DebugPlan<'a> {
    let file_offset = |offset| file_offset(offset, base);
    let has_uses = !uses.locals.is_empty() || !uses.stack_values.is_empty() || !continued.is_empty();
    let types = if has_uses { local_types(shared.module, input) } else { Vec::new() };
    let home_of = |it: &dwarf_transform::Continued| {
        let listed = || {
            let variable = uses.lasting.binary_search_by_key(&it.variable, |lasting| lasting.variable).ok()?;
            uses.lasting[variable].places.iter().find(|place| place.begin == it.location)?.value?.local
        };
        match it.value {
            ContinuedValue::Listed => listed(),
            ContinuedValue::AtEntry => Some(dwarf_transform::ENTRY_VALUE_HOME + listed()?),
            ContinuedValue::Local(local) => Some(local),
        }
    };
    let others = continued.iter().filter(|it| it.value != ContinuedValue::Listed).filter_map(home_of);
    let mut homes: Vec<u32> = uses.locals.iter().copied().chain(others).collect();
    homes.sort_unstable();
    homes.dedup();
    let named = homes.iter().filter_map(|&home| {
        let local = home.checked_sub(dwarf_transform::ENTRY_VALUE_HOME).unwrap_or(home);
        Some((home, *types.get(local as usize)?))
    });
    // A `local.set` has no code of its own, unless a statement begins with it.
    let begins_statement = |begin: u32| anchors.binary_search_by_key(&begin, |anchor| anchor.start).is_ok();
    let (unseen, mut wanted): (Vec<_>, Vec<_>) = uses
        .stack_values
        .iter()
        .map(|value| (file_offset(value.offset), value.depth, file_offset(value.end)))
        .partition(|&(begin, _, end)| body.is_one_set(begin, end) && !begins_statement(begin));
    wanted.sort_unstable();
    let mut wanted: Vec<(u32, u32)> = wanted.into_iter().map(|(begin, depth, _)| (begin, depth)).collect();
    wanted.dedup();
    let followed = Followed { input, module: shared.module, body: &body, locals: &types };
    let mut copies = crate::translate::plan_stack_copies(&followed, &wanted);
    let unseen = unseen.into_iter().map(|(begin, depth, _)| (begin, depth));
    copies.lost.extend(unseen.filter(|entry| wanted.binary_search(entry).is_err()));
    let entries: Vec<_> =
        copies.depths.iter().map(|(depth, ty)| (dwarf_transform::OPERAND_STACK_HOME + depth, *ty)).collect();
    // Homes that are read back hold every value.
    let needed = (shared.tunables.opt_level != OptLevel::None)
        .then(|| {
            let listed = uses
                .local_uses
                .iter()
                .filter(|named| named.local < dwarf_transform::ENTRY_VALUE_HOME && named.begin < named.end)
                .map(|named| (named.local, named.begin, named.end));
            let continued = continued.iter().filter(|it| it.value != ContinuedValue::AtEntry);
            let continued = continued.filter_map(|it| Some((home_of(it)?, it.begin, it.end)));
            let named: Vec<_> = listed
                .chain(continued)
                .map(|(local, begin, end)| NamedRange { local, operators: file_offset(begin)..file_offset(end) })
                .collect();
            needed_stores(&body, &named)
        })
        .flatten();
    let opening_stop =
        uses.opening_stop && !anchors.is_empty() && shared.tunables.pointer_flavour == PointerFlavour::Gdb;
    // Without anchors there is nothing that could stand before a loop.
    let loops_at_entries = if anchors.is_empty() {
        Vec::new()
    } else {
        let code =
            |it: &dwarf_transform::InlinedCode| (file_offset(it.entry), file_offset(it.begin)..file_offset(it.end));
        body.loops_at_entries(&uses.inlined.iter().map(code).collect::<Vec<_>>())
    };
    DebugPlan {
        homes: HomeSlots::new(named.chain(entries)),
        opening_stop,
        operators: body.offsets,
        anchors,
        loops_at_entries,
        copies,
        needed,
        result_place: has_result_place(shared.module, input, uses),
        returned_to: if uses.is_c { returned_to } else { &[] },
    }
}

/// Of each function, whether callers in C and C++ have an instruction behind the call: 32-bit code takes something off the stack where a
/// result came through memory. lldb stops there when a person steps out of the callee, and gdb does not stop where a row behind it begins.
pub(super) fn returned_to(
    module: &Module,
    inputs: &[FunctionInput<'_>],
    uses: &dwarf_transform::VariableUses,
) -> Vec<bool> {
    let functions = inputs.iter().zip(&uses.functions);
    functions.map(|(input, uses)| has_result_place(module, input, uses)).collect()
}

/// Is the function given a place for its result?
pub(super) fn has_result_place(
    module: &Module,
    input: &FunctionInput<'_>,
    uses: &dwarf_transform::FunctionUses,
) -> bool {
    uses.has_result && crate::translate::takes_result_place(module, module.func_type(input.index))
}

/// Where locals hold something else than the variables that are said to be in them.
fn overwritten(uses: &dwarf_transform::FunctionUses, body: &BodyScan, base: u32) -> Vec<dwarf_transform::Overwritten> {
    let file_offset = |offset: dwarf_transform::WasmOffset| base.saturating_add(offset.0);
    let mut uses: Vec<_> = uses.local_uses.iter().filter(|named| named.variable.is_some()).copied().collect();
    uses.sort_by_key(|named| (named.local, named.variable));
    let mut locals: Vec<u32> = uses.iter().map(|named| named.local).collect();
    locals.dedup();
    let mut assignments = body.assignments(&locals);
    // The locations of one variable in one local, with the assignments that they begin behind.
    let mut variables: Vec<(&[dwarf_transform::LocalUse], Vec<u32>)> = Vec::new();
    let of_one = |one: &dwarf_transform::LocalUse, other: &dwarf_transform::LocalUse| {
        (one.local, one.variable) == (other.local, other.variable)
    };
    for locations in uses.chunk_by(of_one) {
        let local = locations[0].local;
        let mut own: Vec<u32> = locations.iter().map(|location| file_offset(location.begin)).collect();
        own.sort_unstable();
        let first = assignments.partition_point(|assignment| assignment.local < local);
        let mut of_local = assignments[first..].iter().take_while(|assignment| assignment.local == local);
        // Where the variable is located behind each assignment, the local holds nothing else.
        if of_local.any(|assignment| own.binary_search(&assignment.behind).is_err()) {
            variables.push((locations, own));
        }
    }
    let asked = |local| variables.binary_search_by_key(&local, |(locations, _)| locations[0].local).is_ok();
    assignments.retain(|assignment| asked(assignment.local));
    let Some(mut reaching) = Reaching::of(body, assignments) else { return Vec::new() };
    let mut found: Vec<dwarf_transform::Overwritten> = Vec::new();
    for (locations, own) in &variables {
        for location in *locations {
            let range = file_offset(location.begin)..file_offset(location.end);
            let foreign = reaching.foreign(location.local, range, |behind| own.binary_search(&behind).is_ok());
            found.extend(foreign.into_iter().map(|range| {
                let [begin, end] = [range.start, range.end].map(|at| dwarf_transform::WasmOffset(at - base));
                dwarf_transform::Overwritten { location: *location, begin, end }
            }));
        }
    }
    found.sort_unstable();
    found
}

/// Does this parameter keep the value that its local has on entry?
fn is_kept(variable: &dwarf_transform::LastingVariable, parameters: usize, body: &BodyScan) -> bool {
    let is_parameter = variable.at_entry.is_some_and(|local| (local as usize) < parameters);
    is_parameter && !(variable.may_call_itself && body.has_loops())
}

/// Where variables that change still are although the guest's lists have ended, and where the lists' constants do not hold.
fn changing(
    uses: &dwarf_transform::FunctionUses,
    parameters: usize,
    (body, input): (&BodyScan, &FunctionInput<'_>),
    base: u32,
) -> (Vec<dwarf_transform::Continued>, Vec<dwarf_transform::Overwritten>) {
    let file_offset = |offset: dwarf_transform::WasmOffset| base.saturating_add(offset.0);
    let wasm_offset = |offset: u32| dwarf_transform::WasmOffset(offset.saturating_sub(base));
    let file_range =
        |range: &Range<dwarf_transform::WasmOffset>| file_offset(range.start)..file_offset(range.end).min(body.end);
    let followed: Vec<_> = uses.lasting.iter().filter(|it| !is_kept(it, parameters, body)).collect();
    let place = |variable: &dwarf_transform::LastingVariable, place: &dwarf_transform::LastingPlace| ChangingPlace {
        operators: (file_offset(place.begin), file_offset(place.end)),
        value: place.value.and_then(|value| {
            let is_same = |other: &dwarf_transform::LastingPlace| other.value.is_some_and(|it| it.same == value.same);
            let same = variable.places.iter().position(is_same)?;
            let kind = match (value.constant, value.local) {
                (Some(constant), _) => ValueKind::Constant(constant),
                (None, Some(local)) if value.is_local => ValueKind::Local(local),
                (None, local) => ValueKind::MadeOf(local),
            };
            Some(PlaceValue { same, kind })
        }),
    };
    let assigning = |it: &dwarf_transform::AssigningCode| Assigning {
        code: file_range(&(it.begin..it.end)),
        is_update: it.is_update,
    };
    let variable = |variable: &&dwarf_transform::LastingVariable| ChangingVariable {
        scope: variable.scope.as_ref().map(|scope| scope.iter().map(file_range).collect()),
        places: variable.places.iter().map(|it| place(variable, it)).collect(),
        assigned: variable.assigned.code.iter().map(assigning).collect(),
        is_known: !variable.assigned.are_hidden,
        enters_loops: variable.enters_loops,
        changes_in_loops: variable.may_call_itself,
    };
    let variables: Vec<_> = followed.iter().map(variable).collect();
    let found = crate::translate::changing(body, Code::of(input), &variables);
    let continued = found.continued.into_iter().map(|it| {
        let variable = followed[it.variable];
        let [begin, end] = [it.operators.start, it.operators.end].map(wasm_offset);
        let location = variable.places[it.place].begin;
        let value = it.local.map_or(ContinuedValue::Listed, ContinuedValue::Local);
        dwarf_transform::Continued { variable: variable.variable, location, begin, end, value }
    });
    let stale = found.stale.into_iter().map(|it| {
        let variable = followed[it.variable];
        let place = variable.places[it.place];
        let location = dwarf_transform::LocalUse {
            local: dwarf_transform::LocalUse::CONSTANT,
            begin: place.begin,
            end: place.end,
            variable: Some(variable.variable),
        };
        let [begin, end] = [it.operators.start, it.operators.end].map(wasm_offset);
        dwarf_transform::Overwritten { location, begin, end }
    });
    (continued.collect(), stale.collect())
}

/// Where parameters that keep their value are what their local was on entry.
fn kept(
    uses: &dwarf_transform::FunctionUses,
    parameters: usize,
    body: &BodyScan,
    base: u32,
) -> Vec<dwarf_transform::Continued> {
    let entered: Vec<_> = uses.lasting.iter().filter(|it| is_kept(it, parameters, body)).collect();
    let mut locals: Vec<u32> = entered.iter().filter_map(|it| it.at_entry).collect();
    locals.sort_unstable();
    locals.dedup();
    let assigned = body.assignments(&locals);
    let mut found = Vec::new();
    // A parameter is what its local was on entry, wherever the list says nothing.
    let (Some(&first), end) = (body.offsets.first(), body.end) else { return found };
    let [first, end] = [first, end].map(|offset| dwarf_transform::WasmOffset(offset - base));
    for variable in entered {
        let Some((location, local)) = variable.places.first().map(|place| place.begin).zip(variable.at_entry) else {
            continue;
        };
        let is_assigned = assigned.binary_search_by_key(&local, |it| it.local).is_ok();
        let value = if is_assigned { ContinuedValue::AtEntry } else { ContinuedValue::Listed };
        let mut begin = first;
        for place in variable.places.iter().map(|place| (place.begin, place.end)).chain([(end, end)]) {
            if begin < place.0 {
                let variable = variable.variable;
                found.push(dwarf_transform::Continued { variable, location, begin, end: place.0, value });
            }
            begin = begin.max(place.1);
        }
    }
    found.sort_unstable();
    found
}

/// The statements that need an anchor. One whose first row pushes nothing but operands, before another statement, is
/// executed after that one, where its next row begins. lldb stops, in a step, wherever a branch leads to the begin of a row
/// of another line, be it marked a statement or not.
fn anchor_ranges(
    uses: &dwarf_transform::FunctionUses,
    body: &BodyScan,
    base: usize,
    flavour: PointerFlavour,
    call_before: impl Fn(u32) -> Option<u32>,
) -> Vec<AnchorRange> {
    let is_lldb = flavour == PointerFlavour::Lldb;
    let statements = &uses.statements;
    let file_offset = |offset| file_offset(offset, base);
    let only_operands = |number: usize| {
        let next = statements[number + 1..].iter().find(|next| next.new_line);
        next.is_some_and(|next| body.are_operands(file_offset(statements[number].offset), file_offset(next.offset)))
    };
    statements
        .iter()
        .enumerate()
        .filter_map(|(number, statement)| {
            let (start, end) = (file_offset(statement.offset), file_offset(statement.end));
            let is_row = !(statement.goes_on && uses.unoptimized && uses.is_c);
            let joins = || (statement.is_stmt || is_lldb && is_row) && body.is_reached_from_elsewhere(start);
            let begins = statement.new_line && !(statement.again && only_operands(number));
            (begins || joins()).then(|| {
                let is_operator = statement.spot == Spot::Operator;
                let behind_call = if is_lldb && is_operator { call_before(start) } else { None };
                AnchorRange { start, end, of: start, spot: statement.spot, reloads: false, behind_call }
            })
        })
        .collect()
}

/// Unoptimized Rust: where nothing comes before the next statement but constants that go into locals, these belong to it natively.
fn leave_out_moves(
    anchors: &mut Vec<AnchorRange>,
    statements: &[dwarf_transform::Statement],
    body: &BodyScan,
    base: usize,
) {
    let file_offset = |offset| file_offset(offset, base);
    let starts: Vec<u32> = statements.iter().filter(|it| it.new_line).map(|it| file_offset(it.offset)).collect();
    anchors.retain(|anchor| {
        let next = starts.get(starts.partition_point(|start| *start <= anchor.start));
        anchor.spot != Spot::Operator || !next.is_some_and(|next| body.are_moves(anchor.start, *next))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_begin_no_statement_have_an_anchor_for_lldb_where_a_branch_leads() {
        use crate::translate::Effect;
        let body = BodyScan {
            offsets: vec![100, 102, 104],
            effects: vec![(1, Effect::Loop)],
            end: 106,
            ..BodyScan::default()
        };
        let row = |offset, is_stmt| dwarf_transform::Statement {
            offset: dwarf_transform::WasmOffset(offset),
            end: dwarf_transform::WasmOffset(offset + 2),
            is_stmt,
            new_line: false,
            goes_on: false,
            again: false,
            spot: Spot::Operator,
        };
        let anchored = |rows: &[dwarf_transform::Statement], flavour| {
            let uses = dwarf_transform::FunctionUses { statements: rows.to_vec(), ..Default::default() };
            anchor_ranges(&uses, &body, 100, flavour, |_| None).iter().map(|anchor| anchor.start).collect::<Vec<_>>()
        };
        let rows = [row(0, false), row(2, false)];
        assert_eq!(anchored(&rows, PointerFlavour::Lldb), [102]);
        assert!(anchored(&rows, PointerFlavour::Gdb).is_empty());
        assert_eq!(anchored(&[row(0, true), row(2, true)], PointerFlavour::Gdb), [102]);
    }

    #[test]
    fn constants_of_the_next_statement_begin_none() {
        use crate::translate::Effect::{End, Operand, Set, Silent};
        // Where branches join: a constant goes into a local, and then its statement comes; a sum is something else.
        let body = BodyScan::of_bytes(&[End(0), Silent, Set(1), Operand, Set(2), Operand], &[]);
        let statement = |offset| dwarf_transform::Statement {
            offset: dwarf_transform::WasmOffset(offset),
            end: dwarf_transform::WasmOffset(offset + 1),
            is_stmt: true,
            new_line: true,
            goes_on: false,
            again: false,
            spot: Spot::Operator,
        };
        let statements = [0, 3, 5].map(statement);
        let anchor =
            |start| AnchorRange { start, end: 6, of: start, spot: Spot::Operator, reloads: false, behind_call: None };
        let left = |spot: dwarf_transform::Spot| {
            let mut anchors = vec![AnchorRange { spot, ..anchor(0) }, anchor(3), anchor(5)];
            leave_out_moves(&mut anchors, &statements, &body, 0);
            anchors.iter().map(|anchor| anchor.start).collect::<Vec<_>>()
        };
        assert_eq!(left(Spot::Operator), [3, 5]);
        assert_eq!(left(dwarf_transform::Spot::BehindEnd), [0, 3, 5], "a jump is there");
    }
}
