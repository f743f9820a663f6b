//! What is said when the guest stopped: where it was.

use std::fmt::Write;
use wasmscope::symbolize::{FrameSymbol, demangle};
use wasmscope::{FrameInfo, WasmBacktrace};

/// A runaway recursion shows this many frames of each end.
const SHOWN: usize = 20;

/// The backtrace as text, a line for each source position, innermost first.
pub fn render(backtrace: &WasmBacktrace) -> String {
    let frames = backtrace.frames();
    let mut text = String::from("wasm backtrace:\n");
    let tail = frames.len().saturating_sub(SHOWN).max(SHOWN);
    for (number, frame) in frames.iter().enumerate() {
        if number < SHOWN || number >= tail {
            write_frame(&mut text, number, frame);
        } else if number == SHOWN {
            text.push_str(&format!("      ... {} more frames ...\n", tail - SHOWN));
        }
    }
    if backtrace.omitted() > 0 {
        text.push_str(&format!("      ... {} more frames\n", backtrace.omitted()));
    }
    text
}

fn write_frame(text: &mut String, number: usize, frame: &FrameInfo) {
    let own_name = || match &frame.func_name {
        Some(name) => demangle(name),
        None => format!("<wasm function {}>", frame.func_index),
    };
    let unknown = [FrameSymbol::default()];
    let symbols = if frame.symbols.is_empty() { &unknown[..] } else { &frame.symbols[..] };
    let last = symbols.len() - 1;
    for (depth, symbol) in symbols.iter().enumerate() {
        let name = symbol.name.clone().unwrap_or_else(own_name);
        let place = match (&symbol.file, symbol.line, symbol.column) {
            (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            (Some(file), Some(line), None) => format!("{file}:{line}"),
            (Some(file), None, _) => file.clone(),
            (None, ..) => match frame.module_offset {
                Some(offset) => format!("wasm offset {offset:#x}"),
                None => format!("wasm function {}", frame.func_index),
            },
        };
        let label = if depth == 0 { format!("#{number}") } else { String::new() };
        let inlined = if depth < last { " (inlined)" } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:>5} {name} at {place}{inlined}");
    }
}
