//! `--coverage`: in how much of the code where the guest's DWARF locates a variable the native DWARF locates it too.
//!
//! What is counted are pairs of a variable and a wasm operator. A pair is asked for where the guest gives the variable a
//! location at the operator, inside its scope, and native instructions come from the operator. It is met where the native
//! description has the variable, and gives it a location at every one of these instructions. The last byte of a piece of
//! code may count to what follows: where that only traps, the transform lets it begin there.
//!
//! A location in a wasm local is one as long as the local holds the value. LLVM gives a local to several values, one after
//! the other, and does not end the locations of the earlier ones. So a pair is not asked for where the local may hold a value
//! that it cannot hold where the location begins, unless another location of the variable begins with that value; nor where an
//! entry of the operand stack has been taken off. Those are counted apart, and among them those that are shown all the same.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::Arguments;
use crate::dwarf::{Located, Needs, by_key, holds, located, merged};
use crate::input::Input;
use crate::native::{Native, NativeFunction};
use crate::output::Output;
use crate::wasm::{Flow, Module, stack_floors};

/// Why a pair is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    OperandStack,
    EntryValue,
    ThreadLocal,
    NoEntry,
    NoLocation,
    Scope,
    Elsewhere,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Cause::OperandStack => "on the operand stack",
            Cause::EntryValue => "a value at function entry",
            Cause::ThreadLocal => "thread-local",
            Cause::NoEntry => "the native DWARF has no such variable",
            Cause::NoLocation => "the native variable has no location",
            Cause::Scope => "outside of the native scope",
            Cause::Elsewhere => "located, but not here",
        }
    }
}

#[derive(Default)]
struct Counts {
    /// Variables that the guest locates somewhere in native code.
    variables: u64,
    pairs: u64,
    met: u64,
    /// Pairs of operators from which no native instruction comes.
    no_code: u64,
    /// Pairs of objects that the linker removed: their address is a tombstone.
    removed: u64,
    /// Pairs at which another value is there than the one that the location means.
    overwritten: u64,
    /// Those that are located natively.
    stale: (u64, String),
    /// How often, and the first place.
    missed: BTreeMap<Cause, (u64, String)>,
}

#[derive(Serialize)]
struct Figure<'a> {
    name: &'a str,
    value: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<&'a str>,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let (native, _) = super::artifact(input, "--coverage")?;
    let path = arguments.coverage.as_ref().context("--coverage takes the module that was compiled")?;
    let bytes = crate::input::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Input::Wasm(module) = Input::open(&bytes).with_context(|| path.display().to_string())? else {
        bail!("{}: not a wasm module", path.display());
    };
    let counts = count(native, &module, arguments)?;
    out.begin_view("coverage", "Coverage of variables")?;
    figure(out, "variables with a location in the guest", counts.variables, None, None)?;
    figure(out, "pairs of variable and operator", counts.pairs, None, None)?;
    figure(out, "  located natively", counts.met, Some(counts.pairs), None)?;
    for (cause, (missed, first)) in &counts.missed {
        figure(out, &format!("  missed: {}", cause.text()), *missed, Some(counts.pairs), Some(first))?;
    }
    figure(out, "pairs without native code", counts.no_code, None, None)?;
    figure(out, "pairs of objects that the linker removed", counts.removed, None, None)?;
    figure(out, "pairs at which another value is there", counts.overwritten, None, None)?;
    if counts.stale.0 > 0 {
        figure(out, "  located natively", counts.stale.0, Some(counts.overwritten), Some(&counts.stale.1))?;
    }
    out.end_view()?;
    module.check_whole()
}

fn figure(out: &mut Output<'_>, name: &str, value: u64, of: Option<u64>, first: Option<&str>) -> Result<()> {
    Ok(out.row(&Figure { name, value, of, first }, |w, _| {
        write!(w, "  {name:<50} {value:>12}")?;
        if let Some(of) = of.filter(|of| *of > 0) {
            write!(w, " {:>7.3} %", value as f64 * 100.0 / of as f64)?;
        }
        writeln!(w, "{}", first.map_or_else(String::new, |first| format!("   (first: {first})")))
    })?)
}

/// A function's operators and the native code of each.
struct Code {
    /// Sorted offsets in the code section.
    operators: Vec<u64>,
    native: HashMap<u32, Vec<Range<u64>>>,
    flow: Flow,
    /// See [`stack_floors`].
    floors: Vec<u32>,
    /// Where the code section lies in the file.
    start: u64,
}

impl Code {
    fn new(native: &Native<'_>, function: &NativeFunction<'_>, (flow, floors): (Flow, Vec<u32>), start: u64) -> Code {
        let operators = flow.offsets.iter().map(|at| at.saturating_sub(start)).collect();
        let mut code = Code { operators, native: HashMap::new(), flow, floors, start };
        let map = native.address_map_of(function);
        for (position, (start, part)) in map.iter().enumerate() {
            let end = map.get(position + 1).map_or(function.end(), |(next, _)| *next);
            if let Some(wasm) = part.wasm.filter(|_| *start < end) {
                code.native.entry(wasm).or_default().push(*start..end.saturating_sub(1).max(start + 1));
            }
        }
        code
    }
}

/// Whether a location holds before an operator.
enum Validity {
    Always,
    /// While the local holds the value of none of these assignments.
    Local(u32, Vec<usize>),
    /// Up to this operator.
    Before(usize),
}

impl Code {
    /// `own`: where locations of the variable begin.
    fn validity(&mut self, needs: Needs, location: &Range<u64>, own: &[u64]) -> Validity {
        let begin = self.operators.partition_point(|operator| *operator < location.start);
        match needs {
            Needs::Local(local) if begin < self.operators.len() => {
                Validity::Local(local, self.flow.foreign(local, begin, own))
            }
            Needs::OperandStack(depth) => {
                let taken = self.floors.iter().skip(begin).position(|floor| *floor <= depth);
                taken.map_or(Validity::Always, |taken| Validity::Before(begin + taken + 1))
            }
            _ => Validity::Always,
        }
    }

    fn holds(&mut self, validity: &Validity, operator: usize) -> bool {
        match validity {
            Validity::Always => true,
            Validity::Local(local, foreign) => !self.flow.holds_one_of(*local, foreign, operator),
            Validity::Before(end) => operator < *end,
        }
    }
}

fn count(native: &Native<'_>, module: &Module<'_>, arguments: &Arguments) -> Result<Counts> {
    let guest_dwarf = crate::dwarf::load(gimli::RunTimeEndian::Little, |name| module.custom_data(name));
    let guest = located(&guest_dwarf).context("the DWARF of the module")?;
    let mut theirs = by_key(located(&native.dwarf()).context("the native DWARF")?);
    let mut ours: BTreeMap<u64, Vec<Located>> = BTreeMap::new();
    for variable in guest {
        ours.entry(variable.function).or_default().push(variable);
    }
    let mut floors = stack_floors(module.bytes);
    let mut counts = Counts::default();
    let mut bodies = module.functions.iter().peekable();
    for (address, variables) in ours {
        let offset = |at: u64| at.saturating_sub(module.code_start);
        // Some producers count the size field of the body to the function.
        while bodies.next_if(|body| offset(body.body.range().end) <= address).is_some() {}
        let Some(body) = bodies.peek().filter(|body| offset(body.body.range().start) <= address + 5) else { continue };
        if address == 0 {
            continue;
        }
        let Some(function) = native.functions.iter().find(|function| function.wasm_index() == Some(body.index)) else {
            continue;
        };
        if !function.is_wanted(arguments) {
            continue;
        }
        let mut code = Code::new(
            native,
            function,
            (Flow::read(body)?, floors.remove(&body.index).unwrap_or_default()),
            module.code_start,
        );
        let mut groups: BTreeMap<String, Vec<Located>> = BTreeMap::new();
        for variable in variables {
            groups.entry(variable.key.clone()).or_default().push(variable);
        }
        for (key, group) in groups {
            let natives = theirs.remove(&(function.address, key)).unwrap_or_default();
            for (position, variable) in group.iter().enumerate() {
                // Copies of a scope that lost all their code are dropped; then which one is which is not known.
                let natives = match natives.get(position) {
                    Some(one) if natives.len() == group.len() => std::slice::from_ref(one),
                    _ => &natives[..],
                };
                counts.add(variable, natives, &mut code, function, arguments);
            }
        }
    }
    Ok(counts)
}

impl Counts {
    fn add(
        &mut self,
        variable: &Located,
        natives: &[Located],
        code: &mut Code,
        function: &NativeFunction<'_>,
        arguments: &Arguments,
    ) {
        let scope = merged(variable.scope.iter().cloned());
        let native_scope = merged(natives.iter().flat_map(|it| it.scope.iter().cloned()));
        let native_location =
            merged(natives.iter().flat_map(|it| it.locations.iter().map(|location| location.0.clone())));
        let before = self.pairs;
        let mut asked: BTreeMap<u64, Needs> = BTreeMap::new();
        let mut overwritten: Vec<u64> = Vec::new();
        let own: Vec<u64> = variable.locations.iter().map(|(range, _)| range.start + code.start).collect();
        for (range, needs) in &variable.locations {
            let validity = code.validity(*needs, range, &own);
            let from = code.operators.partition_point(|operator| *operator < range.start);
            let to = code.operators.partition_point(|operator| *operator < range.end);
            for position in from..to.max(from) {
                let operator = code.operators[position];
                if !holds(&scope, &(operator..operator + 1)) {
                    continue;
                }
                if code.holds(&validity, position) {
                    asked.entry(operator).or_insert(*needs);
                } else {
                    overwritten.push(operator);
                }
            }
        }
        for operator in overwritten.into_iter().filter(|operator| !asked.contains_key(operator)) {
            let pieces = u32::try_from(operator).ok().and_then(|operator| code.native.get(&operator));
            let Some(pieces) = pieces else { continue };
            self.overwritten += 1;
            if pieces.iter().all(|piece| holds(&native_location, piece) && holds(&native_scope, piece)) {
                self.stale.0 += 1;
                if self.stale.0 == 1 {
                    let name = function.display_name(arguments);
                    self.stale.1 = format!("{} in {name} at operator {operator:#x}", variable.name);
                }
            }
        }
        for (operator, needs) in asked {
            let Some(pieces) = u32::try_from(operator).ok().and_then(|operator| code.native.get(&operator)) else {
                self.no_code += 1;
                continue;
            };
            if needs == Needs::Removed {
                self.removed += 1;
                continue;
            }
            self.pairs += 1;
            let everywhere = |ranges: &[Range<u64>]| pieces.iter().all(|piece| holds(ranges, piece));
            if everywhere(&native_location) && everywhere(&native_scope) {
                self.met += 1;
                continue;
            }
            let cause = match needs {
                Needs::OperandStack(_) => Cause::OperandStack,
                Needs::EntryValue => Cause::EntryValue,
                Needs::ThreadLocal => Cause::ThreadLocal,
                _ if natives.is_empty() => Cause::NoEntry,
                _ if native_location.is_empty() => Cause::NoLocation,
                _ if everywhere(&native_location) => Cause::Scope,
                Needs::Nothing | Needs::Local(_) | Needs::Removed => Cause::Elsewhere,
            };
            let place = || {
                let at = pieces.iter().find(|piece| !holds(&native_location, piece)).unwrap_or(&pieces[0]);
                format!(
                    "{} in {} at operator {operator:#x}, native {:#x}",
                    variable.name,
                    function.display_name(arguments),
                    at.start
                )
            };
            self.missed.entry(cause).or_insert_with(|| (0, place())).0 += 1;
        }
        self.variables += u64::from(self.pairs > before);
    }
}
