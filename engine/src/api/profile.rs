//! What profilers are told of a module's code.

use super::Result;
use crate::runtime::code::LoadedCode;
use crate::symbolize::{Symbolizer, demangle};
use artifact::{FunctionRow, WasmOffset};
use debugger_support::jitdump::UnwindTable;
use debugger_support::{ProfiledFunction, ProfiledLine, Profiler};
use unwind::{FrameEntry, SectionAddresses, frame_entries};

/// Tells the profiler of all functions of a module.
///
/// # Errors
///
/// If the file cannot be written or the module's frame table cannot be read.
pub fn describe(profiler: &mut Profiler, code: &LoadedCode, symbolizer: &Symbolizer) -> Result<()> {
    let artifact = code.artifact();
    let details = profiler.wants_details();
    let layout = artifact.layout();
    let at = SectionAddresses { text: layout.text, eh_frame: layout.eh_frame, eh_frame_hdr: layout.eh_frame_hdr };
    let entries = if details { frame_entries(artifact.eh_frame(), at)? } else { Vec::new() };
    let described: Vec<Described> = artifact
        .functions()
        .iter()
        .map(|function| Described::new(code, symbolizer, &entries, &function, details))
        .collect::<Result<_>>()?;
    let lines: Vec<Vec<ProfiledLine<'_>>> = described
        .iter()
        .map(|function| {
            function
                .lines
                .iter()
                .map(|(address, file, line)| ProfiledLine { address: *address, file, line: *line })
                .collect()
        })
        .collect();
    profiler.add(described.iter().zip(&lines).map(|(function, lines)| {
        let start = function.text as usize;
        let profiled = ProfiledFunction {
            name: &function.name,
            address: (code.text_address() + start) as u64,
            code: &artifact.text()[start..start + function.size as usize],
            lines,
        };
        let unwind = function.unwind.as_ref().map(|(eh_frame, eh_frame_hdr)| UnwindTable { eh_frame, eh_frame_hdr });
        (profiled, unwind)
    }))?;
    Ok(())
}

/// A function's description, owned.
struct Described {
    name: String,
    text: u32,
    size: u32,
    lines: Vec<(u64, String, u32)>,
    unwind: Option<(Vec<u8>, Vec<u8>)>,
}

impl Described {
    fn new(
        code: &LoadedCode,
        symbolizer: &Symbolizer,
        entries: &[FrameEntry<'_>],
        function: &FunctionRow,
        details: bool,
    ) -> Result<Described> {
        let artifact = code.artifact();
        let start = artifact.layout().text + u64::from(function.text.0);
        let unwind = match entries.binary_search_by_key(&start, |entry| entry.start) {
            // As `perf inject` lays each function out: the table at the next multiple of 8 behind the code.
            Ok(index) => Some(entries[index].alone(0, u64::from(function.size).next_multiple_of(8))?),
            Err(_) => None,
        };
        Ok(Described {
            name: artifact.function_name(function).map_or_else(|| "?".to_owned(), demangle),
            text: function.text.0,
            size: function.size,
            lines: if details { lines(code, symbolizer, function) } else { Vec::new() },
            unwind,
        })
    }
}

/// The line rows of a function, without those that repeat the one before them. Of inlined code the innermost line.
fn lines(code: &LoadedCode, symbolizer: &Symbolizer, function: &FunctionRow) -> Vec<(u64, String, u32)> {
    let mut lines: Vec<(u64, String, u32)> = Vec::new();
    for row in code.artifact().address_map_of(function).iter() {
        let Some(WasmOffset(offset)) = row.wasm else { continue };
        let Some(symbol) = symbolizer.lookup(offset).into_iter().next() else { continue };
        let (Some(file), Some(line)) = (symbol.file, symbol.line) else { continue };
        if lines.last().is_none_or(|last| (last.1.as_str(), last.2) != (file.as_str(), line)) {
            lines.push((code.text_address() as u64 + u64::from(row.text.0), file, line));
        }
    }
    lines
}
