//! Function bodies, instruction by instruction.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use wasmparser::OperatorsReader;

use super::module::broken;
use super::{Function, Module, OperatorPrinter};
use crate::output::Palette;

/// An instruction: where it lies in the file, its size in bytes, its text, how deep in blocks.
pub struct Operator {
    pub file_offset: u64,
    pub size: usize,
    pub text: String,
    pub depth: usize,
}

/// All operators of a body. Stops at damage with an error after the ones before it.
pub fn operators_of(module: &Module<'_>, function: &Function<'_>) -> (Vec<Operator>, Result<()>) {
    let mut operators = Vec::new();
    let read = for_each_operator(module, function, |file_offset, size, printer| {
        operators.push(Operator { file_offset, size, text: printer.text.clone(), depth: printer.own_depth });
        Ok(())
    });
    (operators, read)
}

fn for_each_operator(
    module: &Module<'_>,
    function: &Function<'_>,
    mut see: impl FnMut(u64, usize, &OperatorPrinter<'_, '_>) -> Result<()>,
) -> Result<()> {
    let mut printer = OperatorPrinter::new(module, function.index);
    let mut reader = OperatorsReader::new(function.body.get_binary_reader_for_operators().map_err(broken)?);
    while !reader.eof() {
        let start = reader.original_position();
        reader.visit_operator(&mut printer).map_err(broken)?;
        let size = reader.original_position() - start;
        see(start, size as usize, &printer)?;
    }
    Ok(())
}

/// Bytes of an instruction that fit on its line.
const BYTES_ON_A_LINE: usize = 9;

/// A body as wabt prints it: offset, bytes, text indented by block.
///
/// `base` is what offsets are relative to.
pub fn disassemble_function(
    module: &Module<'_>,
    function: &Function<'_>,
    base: u64,
    mut inline: impl FnMut(std::ops::Range<u64>, &mut String),
    palette: Palette,
    out: &mut dyn Write,
) -> Result<()> {
    // Lines are gathered and written in large pieces: most of the time of a big module goes into them.
    let mut lines = String::with_capacity(1 << 16);
    print_locals(module, function, base, &mut lines)?;
    let bytes = module.bytes;
    let read = for_each_operator(module, function, |start, size, printer| {
        let operator = &bytes[start as usize..start as usize + size];
        let mut shown = operator.len().min(BYTES_ON_A_LINE);
        push_line_start(&mut lines, start - base, &operator[..shown]);
        lines.extend(std::iter::repeat_n("  ", printer.own_depth.min(64)));
        lines.push_str(palette.wasm);
        lines.push_str(&printer.text);
        lines.push_str(palette.reset);
        lines.push('\n');
        while shown < operator.len() {
            let next = operator.len().min(shown + BYTES_ON_A_LINE);
            push_line_start(&mut lines, start - base + shown as u64, &operator[shown..next]);
            lines.push('\n');
            shown = next;
        }
        inline(start..start + size as u64, &mut lines);
        if lines.len() > (1 << 16) - 1024 {
            out.write_all(lines.as_bytes())?;
            lines.clear();
        }
        Ok(())
    });
    out.write_all(lines.as_bytes())?;
    read
}

/// ` 000070: 23 80 80 80 80 00          | `
fn push_line_start(lines: &mut String, offset: u64, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u64| char::from(DIGITS[(value & 15) as usize]);
    lines.push(' ');
    let width = 6.max((64 - offset.leading_zeros()).div_ceil(4));
    lines.extend((0..width).rev().map(|position| digit(offset >> (position * 4))));
    lines.push_str(": ");
    for &byte in bytes {
        lines.push(digit(u64::from(byte) >> 4));
        lines.push(digit(u64::from(byte)));
        lines.push(' ');
    }
    lines.extend(std::iter::repeat_n("   ", BYTES_ON_A_LINE - bytes.len()));
    lines.push_str("| ");
}

fn print_locals(module: &Module<'_>, function: &Function<'_>, base: u64, lines: &mut String) -> Result<()> {
    let parameters = module.function_type(function.index).map_or(0, |ty| ty.params().len() as u32);
    let mut next = parameters;
    let mut locals = function.body.get_locals_reader().map_err(broken)?;
    for _ in 0..locals.get_count() {
        let start = locals.original_position();
        let (count, ty) = locals.read().map_err(broken)?;
        let end = locals.original_position();
        push_line_start(lines, start - base, &module.bytes[start as usize..(end as usize).min(start as usize + 9)]);
        let _ = match count {
            1 => writeln!(lines, "local[{next}] type={ty}"),
            _ => writeln!(lines, "local[{next}..{}] type={ty}", u64::from(next) + u64::from(count).saturating_sub(1)),
        };
        next = next.saturating_add(count);
    }
    Ok(())
}
