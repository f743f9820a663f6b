//! `--explain`: native code, wasm operators, source, frame rows and live variables in one view.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::rc::Rc;

use anyhow::{Result, bail};
use serde::Serialize;

use super::disassemble::push_instruction;
use crate::Arguments;
use crate::dwarf::{LiveVariable, Variables};
use crate::input::Input;
use crate::native::{
    Disassembler, FrameRow, FrameTable, Instruction, Lines, MappedCode, Native, NativeFunction, SourceLine, covering,
};
use crate::output::{Output, Palette, hex};
use crate::wasm::{Operator, operators_of};

#[derive(Serialize)]
struct FunctionRow<'a> {
    address: u64,
    size: u64,
    name: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_base: Option<&'a str>,
    instructions: Vec<InstructionRow>,
}

#[derive(Serialize)]
struct InstructionRow {
    address: u64,
    bytes: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm_offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    anchor: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trap: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<String>,
    live: Live,
}

/// Live variables and where each is found.
type Live = BTreeMap<String, String>;

/// What comes with an instruction, beside its text.
#[derive(Clone)]
struct Facts<'f> {
    source: Option<&'f SourceLine>,
    mapped: Option<MappedCode>,
    frame: Option<&'f FrameRow>,
    live: Rc<Live>,
    trap: Option<String>,
}

/// Everything that is known about a file, for looking facts up.
struct Knowledge<'n> {
    native: &'n Native<'n>,
    lines: Option<Lines<'n>>,
    frames: FrameTable,
    variables: Variables,
}

/// The facts about one function, by address.
struct FunctionFacts<'f> {
    knowledge: &'f Knowledge<'f>,
    sources: Vec<(u64, SourceLine)>,
    mapped: Vec<(u64, MappedCode)>,
    live: Vec<(u64, Rc<Live>)>,
    operators: Vec<(u32, Operator)>,
}

impl<'f> FunctionFacts<'f> {
    fn new(knowledge: &'f Knowledge<'f>, function: &NativeFunction<'_>) -> FunctionFacts<'f> {
        let range = function.address..function.end();
        let locals: Vec<&LiveVariable> = knowledge.variables.of_function(range.clone()).collect();
        FunctionFacts {
            knowledge,
            sources: knowledge.lines.as_ref().map_or_else(Vec::new, |lines| lines.of_range(range.clone())),
            mapped: knowledge.native.address_map_of(function),
            live: live_from(&locals, range),
            operators: operators_by_offset(knowledge.native, function),
        }
    }

    fn at(&self, address: u64) -> Facts<'_> {
        let text = address.checked_sub(artifact::TEXT_ADDRESS).and_then(|offset| u32::try_from(offset).ok());
        let text = self.knowledge.native.artifact.as_ref().zip(text.map(artifact::TextOffset));
        let trap = text.and_then(|(artifact, text)| artifact.trap_at(text));
        Facts {
            source: covering(&self.sources, address),
            mapped: covering(&self.mapped, address).copied(),
            frame: self.knowledge.frames.row_at(address),
            live: covering(&self.live, address).cloned().unwrap_or_default(),
            trap: trap.map(|trap| {
                let known = trap.trap_code();
                known.map_or_else(|| format!("code {}", trap.code), |code| code.description().to_owned())
            }),
        }
    }

    fn operator(&self, mapped: Option<MappedCode>) -> Option<&str> {
        mapped?.wasm.map(|wasm| operator_text(&self.operators, wasm))
    }
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let native = super::native(input, "--explain")?;
    let names = |register| native.register_name(register);
    let knowledge = Knowledge {
        native,
        lines: Lines::new(native).ok(),
        frames: FrameTable::read(native)?,
        variables: Variables::read(&native.dwarf(), &names)?,
    };
    let mut disassembler = Disassembler::new(native, arguments);

    out.begin_view("explain", "Code, operators, source, frame rows and live variables")?;
    let mut shown = 0;
    for function in native.functions.iter().filter(|function| function.is_wanted(arguments)) {
        shown += 1;
        let facts = FunctionFacts::new(&knowledge, function);
        let instructions = disassembler.instructions_of(function);
        let name = function.display_name(arguments);
        let kind = function.kind();
        let frame_base = knowledge.variables.frame_base_of(function.address);
        if out.is_json() {
            let row = FunctionRow {
                address: function.address,
                size: function.size,
                name: &name,
                kind: &kind,
                frame_base,
                instructions: instructions.into_iter().map(|instruction| json_row(&facts, instruction)).collect(),
            };
            out.row(&row, |_, _| Ok(()))?;
            continue;
        }
        let Palette { name: colour, variable, reset, .. } = out.palette;
        let mut text = format!("{:016x} {colour}<{name}>{reset}:  {kind}\n", function.address);
        if let Some(base) = frame_base {
            text += &format!("{variable}    fb: {base}{reset}\n");
        }
        print_function(&facts, &instructions, out.palette, &mut text);
        text.push('\n');
        out.text().write_all(text.as_bytes())?;
    }
    out.end_view()?;
    if shown == 0
        && let Some(wanted) = &arguments.function
    {
        bail!("no function {wanted:?}");
    }
    Ok(())
}

fn json_row(facts: &FunctionFacts<'_>, instruction: Instruction) -> InstructionRow {
    let here = facts.at(instruction.address);
    InstructionRow {
        address: instruction.address,
        bytes: hex(&instruction.bytes),
        text: instruction.text,
        source: here.source.map(ToString::to_string),
        wasm_offset: here.mapped.and_then(|mapped| mapped.wasm),
        operator: facts.operator(here.mapped).map(str::to_owned),
        anchor: here.mapped.is_some_and(|mapped| mapped.anchor),
        trap: here.trap,
        frame: here.frame.map(FrameRow::summary),
        live: Live::clone(&here.live),
    }
}

/// Each instruction, and before it what is different from the one before.
fn print_function(facts: &FunctionFacts<'_>, instructions: &[Instruction], palette: Palette, text: &mut String) {
    let reset = palette.reset;
    let mut before = Facts { source: None, mapped: None, frame: None, live: Rc::default(), trap: None };
    for instruction in instructions {
        let here = facts.at(instruction.address);
        if here.source != before.source {
            let source = here.source.map_or_else(|| "no source line".to_owned(), ToString::to_string);
            let _ = writeln!(text, "{}; {source}{reset}", palette.source);
        }
        if here.mapped != before.mapped {
            let was_operator = before.mapped.is_some_and(|mapped| mapped.wasm.is_some());
            if let Some(MappedCode { wasm: Some(wasm), anchor }) = here.mapped {
                let anchor = if anchor { "anchor " } else { "" };
                let operator = facts.operator(here.mapped).unwrap_or("");
                let _ = writeln!(text, "{}  {wasm:#06x}: {anchor}{operator}{reset}", palette.wasm);
            } else if was_operator {
                let _ = writeln!(text, "{}  made by the compiler{reset}", palette.wasm);
            }
        }
        // Rows that follow each other differ, so that the same row is the same object.
        if here.frame.map(std::ptr::from_ref) != before.frame.map(std::ptr::from_ref) {
            let frame = here.frame.map_or_else(|| "no frame row".to_owned(), FrameRow::summary);
            let _ = writeln!(text, "{}    frame: {frame}{reset}", palette.frame);
        }
        if !Rc::ptr_eq(&here.live, &before.live) && here.live != before.live {
            let change = live_change(&before.live, &here.live);
            let _ = writeln!(text, "{}    live: {change}{reset}", palette.variable);
        }
        push_instruction(text, instruction, palette.address, reset);
        if let Some(trap) = &here.trap {
            let _ = write!(text, "   {}; traps: {trap}{reset}", palette.error);
        }
        text.push('\n');
        before = here;
    }
}

/// From which address on which variables have which locations.
fn live_from(locals: &[&LiveVariable], range: Range<u64>) -> Vec<(u64, Rc<Live>)> {
    let mut boundaries: Vec<u64> = vec![range.start];
    for (part, _) in locals.iter().flat_map(|variable| &variable.locations) {
        boundaries.extend([part.start, part.end].iter().filter(|at| range.contains(at)));
    }
    boundaries.sort_unstable();
    boundaries.dedup();
    boundaries.into_iter().map(|address| (address, Rc::new(live_at(locals, address)))).collect()
}

/// The variables that have a location at this address. Of two with one name, the inner one.
fn live_at(locals: &[&LiveVariable], address: u64) -> Live {
    let mut live = BTreeMap::new();
    for variable in locals {
        let here = variable.locations.iter().find(|(range, _)| range.contains(&address));
        if let Some((_, location)) = here.filter(|(_, location)| location != "optimized out") {
            live.insert(variable.name.clone(), location.clone());
        }
    }
    live
}

/// `a=[cfa-20] b=rax`, and what is gone.
fn live_change(before: &Live, now: &Live) -> String {
    let mut parts: Vec<String> = Vec::new();
    let changed = now.iter().filter(|(name, location)| before.get(*name) != Some(location));
    parts.extend(changed.map(|(name, location)| format!("{name}={location}")));
    parts.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("-{name}")));
    parts.join(" ")
}

/// The wasm operators of a native function with their offsets relative to the code section, in order.
pub fn operators_by_offset(native: &Native<'_>, function: &NativeFunction<'_>) -> Vec<(u32, Operator)> {
    let Some(module) = &native.module else { return Vec::new() };
    let Some(body) = function.wasm_index().and_then(|index| module.function(index)) else { return Vec::new() };
    // Of a damaged body, the operators before the damage.
    let (operators, _) = operators_of(module, body);
    let relative = |operator: Operator| {
        let offset = operator.file_offset.checked_sub(module.code_start)?;
        Some((u32::try_from(offset).ok()?, operator))
    };
    operators.into_iter().filter_map(relative).collect()
}

/// The text of what the address map means by this offset: an operator, or the declaration of the locals, to which the
/// code belongs that sets them to zero.
pub fn operator_text(operators: &[(u32, Operator)], offset: u32) -> &str {
    match operator_at(operators, offset) {
        Some(operator) => &operator.text,
        None if operators.first().is_some_and(|(first, _)| offset < *first) => "(declaration of the locals)",
        None => "",
    }
}

/// The operator that starts at this offset.
pub fn operator_at(operators: &[(u32, Operator)], offset: u32) -> Option<&Operator> {
    let index = operators.binary_search_by_key(&offset, |(start, _)| *start).ok()?;
    operators.get(index).map(|(_, operator)| operator)
}
