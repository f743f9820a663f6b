//! `--losses`: debug info of the module that has no place in the artifact.

use anyhow::Result;
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::output::Output;
use crate::wasm::push_printable;

#[derive(Serialize)]
struct Row<'a> {
    count: u64,
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    first: &'a str,
}

pub fn run(input: &Input<'_>, _: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let (_, artifact) = super::artifact(input, "--losses")?;
    let losses = artifact.losses()?;
    out.begin_view("losses", "Debug info that could not be translated")?;
    if losses.is_empty() {
        let has_debug_info = artifact.debug_sections().len() > 0;
        out.note(if has_debug_info { "none" } else { "none: the artifact has no debug info at all" })?;
    }
    for artifact::Loss { count, kind, detail, place } in losses {
        out.row(&Row { count, kind, detail, first: place }, |w, _| {
            let mut text = if detail.is_empty() { format!("{count:>8} x ") } else { format!("{count:>12} ") };
            push_printable(&mut text, if detail.is_empty() { kind } else { detail });
            if !place.is_empty() {
                text.push_str(" (first: ");
                push_printable(&mut text, place);
                text.push(')');
            }
            writeln!(w, "{text}")
        })?;
    }
    out.end_view()?;
    Ok(())
}
