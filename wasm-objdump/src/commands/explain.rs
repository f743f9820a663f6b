//! `--explain`: native code, wasm operators, source, frame rows and live variables in one view.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;

use super::disassemble::push_instruction;
use crate::Arguments;
use crate::dwarf::{LiveVariable, Variables};
use crate::input::Input;
use crate::native::{Disassembler, FrameTable, Lines, Native, NativeFunction, covering};
use crate::output::{Output, hex};
use crate::wasm::{Function, Module, Operator, operators_of};

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
    live: BTreeMap<String, String>,
}

/// What comes with an instruction, beside its text.
struct Facts {
    source: Option<String>,
    wasm: Option<u32>,
    anchor: bool,
    frame: Option<String>,
    live: BTreeMap<String, String>,
    trap: Option<String>,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let native = super::native(input, "--explain")?;
    let lines = Lines::new(native).ok();
    let frames = FrameTable::read(native)?;
    let names = |register| native.register_name(register);
    let variables = Variables::read(&native.dwarf(), &names)?;
    let mut disassembler = Disassembler::new(native, arguments);

    out.begin_view("explain", "Code, operators, source, frame rows and live variables")?;
    let mut shown = 0;
    for function in native.functions.iter().filter(|function| function.is_wanted(arguments)) {
        shown += 1;
        let sources = lines.as_ref().map_or_else(Vec::new, |lines| lines.of_range(function.address..function.end()));
        let locals: Vec<&LiveVariable> = variables.of_function(function.address..function.end()).collect();
        let operators = operators_by_offset(native, function, operators_of);
        let instructions = disassembler.instructions_of(function);
        let facts_at = |address: u64| {
            let text = address.checked_sub(artifact::TEXT_ADDRESS).and_then(|offset| u32::try_from(offset).ok());
            let text = native.artifact.as_ref().zip(text.map(artifact::TextOffset));
            let found = text.and_then(|(artifact, text)| artifact.lookup(text));
            let trap = text.and_then(|(artifact, text)| artifact.trap_at(text));
            Facts {
                source: covering(&sources, address).map(ToString::to_string),
                wasm: found.and_then(|found| found.wasm).map(|wasm| wasm.0),
                anchor: found.is_some_and(|found| found.anchor),
                frame: frames.row_at(address).map(|row| row.summary()),
                live: live_at(&locals, address),
                trap: trap.map(|trap| {
                    let known = trap.trap_code();
                    known.map_or_else(|| format!("code {}", trap.code), |code| code.description().to_owned())
                }),
            }
        };
        let name = function.display_name(arguments);
        let kind = function.kind();
        if out.is_json() {
            let instructions = instructions.into_iter().map(|instruction| {
                let facts = facts_at(instruction.address);
                let operator = facts.wasm.map(|wasm| operator_text(&operators, wasm));
                InstructionRow {
                    address: instruction.address,
                    bytes: hex(&instruction.bytes),
                    text: instruction.text,
                    source: facts.source,
                    wasm_offset: facts.wasm,
                    operator: operator.map(str::to_owned),
                    anchor: facts.anchor,
                    trap: facts.trap,
                    frame: facts.frame,
                    live: facts.live,
                }
            });
            let instructions = instructions.collect();
            let frame_base = variables.frame_base_of(function.address);
            let (address, size) = (function.address, function.size);
            let row = FunctionRow { address, size, name: &name, kind: &kind, frame_base, instructions };
            out.row(&row, |_, _| Ok(()))?;
            continue;
        }

        let palette = out.palette;
        let reset = palette.reset;
        let mut text = format!("{:016x} {}<{name}>{reset}:  {kind}\n", function.address, palette.name);
        if let Some(base) = variables.frame_base_of(function.address) {
            text += &format!("{}    fb: {base}{reset}\n", palette.variable);
        }
        let mut before =
            Facts { source: None, wasm: None, anchor: false, frame: None, live: BTreeMap::new(), trap: None };
        for instruction in &instructions {
            let facts = facts_at(instruction.address);
            if facts.source != before.source {
                let source = facts.source.as_deref().unwrap_or("no source line");
                text += &format!("{}; {source}{reset}\n", palette.source);
            }
            if (facts.wasm, facts.anchor) != (before.wasm, before.anchor) {
                let anchor = if facts.anchor { "anchor " } else { "" };
                match facts.wasm {
                    Some(wasm) => {
                        let operator = operator_text(&operators, wasm);
                        text += &format!("{}  {wasm:#06x}: {anchor}{operator}{reset}\n", palette.wasm);
                    }
                    None if before.wasm.is_some() => {
                        text += &format!("{}  made by the compiler{reset}\n", palette.wasm);
                    }
                    None => {}
                }
            }
            if facts.frame != before.frame {
                let frame = facts.frame.as_deref().unwrap_or("no frame row");
                text += &format!("{}    frame: {frame}{reset}\n", palette.frame);
            }
            if facts.live != before.live {
                text += &format!("{}    live: {}{reset}\n", palette.variable, live_change(&before.live, &facts.live));
            }
            push_instruction(&mut text, instruction, palette.address, reset);
            if let Some(trap) = &facts.trap {
                text += &format!("   {}; traps: {trap}{reset}", palette.error);
            }
            text.push('\n');
            before = facts;
        }
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

/// The variables that have a location at this address. Of two with one name, the inner one.
fn live_at(locals: &[&LiveVariable], address: u64) -> BTreeMap<String, String> {
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
fn live_change(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> String {
    let mut parts: Vec<String> = Vec::new();
    let changed = now.iter().filter(|(name, location)| before.get(*name) != Some(location));
    parts.extend(changed.map(|(name, location)| format!("{name}={location}")));
    parts.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("-{name}")));
    parts.join(" ")
}

/// The wasm operators of a native function with their offsets relative to the code section, in order.
pub fn operators_by_offset(
    native: &Native<'_>,
    function: &NativeFunction<'_>,
    read: fn(&Module<'_>, &Function<'_>) -> (Vec<Operator>, Result<()>),
) -> Vec<(u32, Operator)> {
    let Some(module) = &native.module else { return Vec::new() };
    let Some(body) = function.wasm_index().and_then(|index| module.function(index)) else { return Vec::new() };
    let (operators, _) = read(module, body);
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
