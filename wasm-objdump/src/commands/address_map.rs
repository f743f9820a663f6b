//! `--addrmap`: native code to wasm operators.

use anyhow::Result;
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::output::Output;

#[derive(Serialize)]
struct Row<'a> {
    address: u64,
    end: u64,
    function: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm_offset: Option<u32>,
    anchor: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<&'a str>,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let (native, artifact) = super::artifact(input, "--addrmap")?;
    out.begin_view("addrmap", "Address map")?;
    for function in native.functions.iter().filter(|function| function.is_wanted(arguments)) {
        let Some(row) = function.row else { continue };
        let rows = artifact.address_map_of(&row);
        if rows.is_empty() {
            continue;
        }
        let name = function.display_name(arguments);
        out.note(&format!("{:#x} <{name}> {}:", function.address, function.kind()))?;
        let operators = super::explain::operators_by_offset(native, function);
        for (index, entry) in rows.iter().enumerate() {
            let end = rows.get(index + 1).map_or(function.end(), |next| next.text.link_address());
            let operator = entry.wasm.map(|wasm| super::explain::operator_text(&operators, wasm.0));
            let shown = Row {
                address: entry.text.link_address(),
                end,
                function: &name,
                wasm_offset: entry.wasm.map(|wasm| wasm.0),
                anchor: entry.anchor,
                operator,
            };
            out.row(&shown, |w, palette| {
                let anchor = if shown.anchor { "anchor " } else { "" };
                let (colour, reset) = (palette.wasm, palette.reset);
                write!(w, "  {:#x}..{:#x}  ", shown.address, shown.end)?;
                match shown.wasm_offset {
                    Some(wasm) => writeln!(w, "{colour}{wasm:#x}{reset}  {anchor}{}", shown.operator.unwrap_or("")),
                    None => writeln!(w, "-  {anchor}"),
                }
            })?;
        }
    }
    out.end_view()?;
    Ok(())
}
