//! `--coverage`: in how much of the code where the guest's DWARF locates a variable the native DWARF locates it too.
//!
//! What is counted are pairs of a variable and a wasm operator. A pair is asked for where the guest gives the variable a
//! location at the operator, inside its scope, and native instructions come from the operator. It is met where the native
//! description has the variable, and gives it a location at every one of these instructions. The last byte of a piece of
//! code may count to what follows: where that only traps, the transform lets it begin there.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::Arguments;
use crate::dwarf::{Located, Needs, by_key, holds, located, merged};
use crate::input::Input;
use crate::native::{Native, NativeFunction};
use crate::output::Output;
use crate::wasm::{Module, operator_offsets};

/// Why a pair is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    OperandStack,
    EntryValue,
    ThreadLocal,
    Removed,
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
            Cause::Removed => "an object that the linker removed",
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
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
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
}

impl Code {
    fn new(native: &Native<'_>, function: &NativeFunction<'_>, operators: Vec<u64>) -> Code {
        let mut code = Code { operators, native: HashMap::new() };
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

fn count(native: &Native<'_>, module: &Module<'_>, arguments: &Arguments) -> Result<Counts> {
    let guest_dwarf = crate::dwarf::load(gimli::RunTimeEndian::Little, |name| module.custom_data(name));
    let guest = located(&guest_dwarf).context("the DWARF of the module")?;
    let mut theirs = by_key(located(&native.dwarf()).context("the native DWARF")?);
    let mut ours: BTreeMap<u64, Vec<Located>> = BTreeMap::new();
    for variable in guest {
        ours.entry(variable.function).or_default().push(variable);
    }
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
        let operators = operator_offsets(body)?.into_iter().map(offset).collect();
        let code = Code::new(native, function, operators);
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
                counts.add(variable, natives, &code, function, arguments);
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
        code: &Code,
        function: &NativeFunction<'_>,
        arguments: &Arguments,
    ) {
        let scope = merged(variable.scope.iter().cloned());
        let native_scope = merged(natives.iter().flat_map(|it| it.scope.iter().cloned()));
        let native_location =
            merged(natives.iter().flat_map(|it| it.locations.iter().map(|location| location.0.clone())));
        let before = self.pairs;
        let mut asked: BTreeMap<u64, Needs> = BTreeMap::new();
        for (range, needs) in &variable.locations {
            let from = code.operators.partition_point(|operator| *operator < range.start);
            let to = code.operators.partition_point(|operator| *operator < range.end);
            for &operator in &code.operators[from..to.max(from)] {
                if holds(&scope, &(operator..operator + 1)) {
                    asked.entry(operator).or_insert(*needs);
                }
            }
        }
        for (operator, needs) in asked {
            let Some(pieces) = u32::try_from(operator).ok().and_then(|operator| code.native.get(&operator)) else {
                self.no_code += 1;
                continue;
            };
            self.pairs += 1;
            let everywhere = |ranges: &[Range<u64>]| pieces.iter().all(|piece| holds(ranges, piece));
            if everywhere(&native_location) && everywhere(&native_scope) {
                self.met += 1;
                continue;
            }
            let cause = match needs {
                Needs::OperandStack => Cause::OperandStack,
                Needs::EntryValue => Cause::EntryValue,
                Needs::ThreadLocal => Cause::ThreadLocal,
                Needs::Removed => Cause::Removed,
                Needs::Nothing if natives.is_empty() => Cause::NoEntry,
                Needs::Nothing if native_location.is_empty() => Cause::NoLocation,
                Needs::Nothing if everywhere(&native_location) => Cause::Scope,
                Needs::Nothing => Cause::Elsewhere,
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
