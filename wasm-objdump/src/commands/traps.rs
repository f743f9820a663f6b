//! `--traps`: which instructions trap, and why.

use anyhow::Result;
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::native::Lines;
use crate::output::Output;

#[derive(Serialize)]
struct Row {
    address: u64,
    function: Option<String>,
    code: u8,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm_offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let (native, artifact) = super::artifact(input, "--traps")?;
    let lines = Lines::new(native).ok();
    out.begin_view("traps", "Traps")?;
    out.note("Address    Wasm       Reason                        Where")?;
    for trap in artifact.traps().iter() {
        let address = trap.text.link_address();
        let known = native.function_at(address);
        if arguments.function.is_some() && !known.is_some_and(|known| known.is_wanted(arguments)) {
            continue;
        }
        let source = lines.as_ref().and_then(|lines| lines.of_range(address..address + 1).pop());
        let row = Row {
            address,
            function: native.symbolize(address, arguments),
            code: trap.code,
            reason: trap
                .trap_code()
                .map_or_else(|| format!("code {} (unknown)", trap.code), |code| code.description().to_owned()),
            wasm_offset: artifact.lookup(trap.text).and_then(|found| found.wasm).map(|wasm| wasm.0),
            source: source.map(|(_, line)| line.to_string()),
        };
        out.row(&row, |w, palette| {
            let wasm = row.wasm_offset.map_or_else(|| "-".to_owned(), |wasm| format!("{wasm:#x}"));
            let function = row.function.as_deref().unwrap_or("");
            let source = row.source.as_deref().unwrap_or("");
            write!(w, "{:#010x} {}{wasm:<10}{} {:<29} ", row.address, palette.wasm, palette.reset, row.reason)?;
            writeln!(w, "{}{function}{} {}{source}{}", palette.name, palette.reset, palette.source, palette.reset)
        })?;
    }
    out.end_view()?;
    Ok(())
}
