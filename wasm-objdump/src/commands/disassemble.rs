//! `-d`: instructions.

use std::fmt::Write as _;
use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::relocations::{WasmRelocation, relocations_of};
use crate::Arguments;
use crate::input::Input;
use crate::native::{Disassembler, Lines, Native, covering};
use crate::output::{Output, hex};
use crate::symbols::matches;
use crate::wasm::{Module, disassemble_function, operators_of};

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    match input {
        Input::Wasm(module) => wasm(module, arguments, out),
        Input::Native(native) => native_code(native, arguments, out),
    }
}

#[derive(Serialize)]
struct WasmFunction<'a> {
    index: u32,
    name: Option<&'a str>,
    start: u64,
    end: u64,
    instructions: Vec<WasmInstruction>,
}

#[derive(Serialize)]
struct WasmInstruction {
    offset: u64,
    bytes: String,
    text: String,
    depth: usize,
}

fn wasm(module: &Module<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    out.begin_view("code", "Code Disassembly")?;
    let base = if arguments.section_offsets { module.code_start } else { 0 };
    let relocations = if arguments.reloc { relocations_of(module, "Code")? } else { Vec::new() };
    let mut damaged = Ok(());
    let mut shown = 0;
    for function in &module.functions {
        let name = module.function_name(function.index);
        if !matches(arguments.function.as_deref(), Some(function.index), name) {
            continue;
        }
        shown += 1;
        let range = function.body.range();
        let read = if out.is_json() {
            let (operators, read) = operators_of(module, function);
            let instructions = operators.into_iter().map(|operator| WasmInstruction {
                offset: operator.file_offset - base,
                bytes: hex(&module.bytes[operator.file_offset as usize..operator.file_offset as usize + operator.size]),
                text: operator.text,
                depth: operator.depth,
            });
            let row = WasmFunction {
                index: function.index,
                name,
                start: range.start - base,
                end: range.end - base,
                instructions: instructions.collect(),
            };
            out.row(&row, |_, _| Ok(()))?;
            read
        } else {
            let palette = out.palette;
            let shown_name = name.map_or_else(String::new, |name| {
                let mut text = String::from(" <");
                crate::wasm::push_printable(&mut text, name);
                text + ">"
            });
            let (colour, reset) = (palette.name, palette.reset);
            writeln!(out.text(), "{:06x} func[{}]{colour}{shown_name}{reset}:", range.start - base, function.index)?;
            let inline = |operator: Range<u64>, lines: &mut String| {
                inline_relocations(&relocations, operator, base, lines);
            };
            disassemble_function(module, function, base, inline, palette, out.text())
        };
        if let Err(error) = read {
            // What follows a damaged body has its own size, and can be read.
            let error = error.context(format!("the body of func[{}]", function.index));
            out.note(&format!("           (damaged: {error:#})"))?;
            if damaged.is_ok() {
                damaged = Err(error);
            }
        }
    }
    out.end_view()?;
    module.check_whole()?;
    if shown == 0
        && let Some(wanted) = &arguments.function
    {
        bail!("no function {wanted:?} with a body");
    }
    damaged
}

fn inline_relocations(relocations: &[WasmRelocation], operator: Range<u64>, base: u64, lines: &mut String) {
    let start = relocations.partition_point(|relocation| relocation.file_offset < operator.start);
    for relocation in relocations[start..].iter().take_while(|relocation| relocation.file_offset < operator.end) {
        let offset = relocation.file_offset - base;
        lines.push_str(&format!("           {offset:06x}: {}\n", relocation.description));
    }
}

#[derive(Serialize)]
struct NativeFunctionRow {
    address: u64,
    size: u64,
    name: String,
    kind: String,
    instructions: Vec<NativeInstruction>,
}

#[derive(Serialize)]
struct NativeInstruction {
    address: u64,
    bytes: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm_offset: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    anchor: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

fn native_code(native: &Native<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    out.begin_view("code", "Code Disassembly")?;
    // Code without readable line tables is still code.
    let lines = Lines::new(native);
    let mut disassembler = Disassembler::new(native, arguments);
    let mut shown = 0;
    for function in &native.functions {
        if !function.is_wanted(arguments) || !section_is_wanted(native, function.address, arguments) {
            continue;
        }
        shown += 1;
        let instructions = disassembler.instructions_of(function);
        let sources =
            lines.as_ref().map_or_else(|_| Vec::new(), |lines| lines.of_range(function.address..function.end()));
        let name = function.display_name(arguments);
        let kind = function.kind();
        let rows = native.address_map_of(function);
        let location = |address: u64| covering(&rows, address).copied();
        if out.is_json() {
            let instructions = instructions.into_iter().map(|instruction| NativeInstruction {
                address: instruction.address,
                wasm_offset: location(instruction.address).and_then(|row| row.wasm),
                anchor: location(instruction.address).is_some_and(|row| row.anchor),
                source: covering(&sources, instruction.address).map(ToString::to_string),
                bytes: hex(&instruction.bytes),
                text: instruction.text,
            });
            let row = NativeFunctionRow {
                address: function.address,
                size: function.size,
                name,
                kind,
                instructions: instructions.collect(),
            };
            out.row(&row, |_, _| Ok(()))?;
            continue;
        }

        let palette = out.palette;
        let mut text = String::with_capacity(instructions.len() * 64);
        let body = function.row.and_then(|row| row.body_range());
        let body = body.map_or_else(String::new, |range| format!(", wasm {:#x}..{:#x}", range.start, range.end));
        let separator = if kind.is_empty() { "" } else { "  " };
        text +=
            &format!("{:016x} {}<{name}>{}:{separator}{kind}{body}\n", function.address, palette.name, palette.reset);
        let mut source = None;
        let mut operator = None;
        for instruction in &instructions {
            let now = covering(&sources, instruction.address);
            if now != source {
                source = now;
                let shown = now.map_or_else(|| "no source line".to_owned(), ToString::to_string);
                text += &format!("{}; {shown}{}\n", palette.source, palette.reset);
            }
            push_instruction(&mut text, instruction, palette.address, palette.reset);
            let here = location(instruction.address);
            if here != operator {
                operator = here;
                let pad = 88usize.saturating_sub(text.len() - text.rfind('\n').map_or(0, |at| at + 1));
                if let Some(row) = here {
                    let _ = match (row.wasm, row.anchor) {
                        (Some(wasm), anchor) => {
                            let anchor = if anchor { ", anchor" } else { "" };
                            write!(text, "{:pad$}{}; wasm {wasm:#x}{anchor}{}", "", palette.wasm, palette.reset)
                        }
                        (None, true) => write!(text, "{:pad$}{}; anchor{}", "", palette.wasm, palette.reset),
                        (None, false) if body.is_empty() => Ok(()),
                        (None, false) => write!(text, "{:pad$}{}; -{}", "", palette.wasm, palette.reset),
                    };
                }
            }
            text.push('\n');
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
    lines.map(|_| ()).context("source lines could not be shown")
}

/// `   10010: 55                       push rbp`
pub fn push_instruction(text: &mut String, instruction: &crate::native::Instruction, colour: &str, reset: &str) {
    const BYTES: usize = 8;
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u64| char::from(DIGITS[(value & 15) as usize]);
    text.push_str(colour);
    let width = (64 - instruction.address.leading_zeros()).div_ceil(4).max(1);
    text.extend(std::iter::repeat_n(' ', 8usize.saturating_sub(width as usize)));
    text.extend((0..width).rev().map(|position| digit(instruction.address >> (position * 4))));
    text.push(':');
    text.push_str(reset);
    text.push(' ');
    let bytes = &instruction.bytes;
    for &byte in bytes.iter().take(BYTES) {
        text.push(digit(u64::from(byte) >> 4));
        text.push(digit(u64::from(byte)));
        text.push(' ');
    }
    // Longer instructions show that there is more.
    text.push(if bytes.len() > BYTES { '+' } else { ' ' });
    text.extend(std::iter::repeat_n("   ", BYTES.saturating_sub(bytes.len())));
    text.push_str(&instruction.text);
}

fn section_is_wanted(native: &Native<'_>, address: u64, arguments: &Arguments) -> bool {
    let section = native.code.iter().rev().find(|section| section.address <= address);
    section.is_none_or(|section| arguments.wants_section(&section.name))
}
