//! `--stack-maps`: where references are at each safepoint.

use anyhow::Result;
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::output::Output;

#[derive(Serialize)]
struct Row {
    return_address: u64,
    function: Option<String>,
    /// How many bytes below the frame pointer.
    slots: Vec<u32>,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let (native, artifact) = super::artifact(input, "--stack-maps")?;
    out.begin_view("stack_maps", "Stack maps")?;
    out.note("Return address  References at            Where")?;
    for (index, map) in artifact.stack_maps().iter().enumerate() {
        let return_address = map.return_address.link_address();
        // The call belongs to the function; its return address may lie after it.
        let known = native.function_at(return_address.saturating_sub(1));
        if arguments.function.is_some() && !known.is_some_and(|known| known.is_wanted(arguments)) {
            continue;
        }
        let function =
            known.map(|known| format!("<{}+{:#x}>", known.display_name(arguments), return_address - known.address));
        let row = Row { return_address, function, slots: artifact.stack_map_slots(index).iter().collect() };
        out.row(&row, |w, palette| {
            let slots: Vec<String> = row.slots.iter().map(|slot| format!("[fp-{slot}]")).collect();
            let function = row.function.as_deref().unwrap_or("");
            write!(w, "{:<#15x} {:<24} ", row.return_address, slots.join(" "))?;
            writeln!(w, "{}{function}{}", palette.name, palette.reset)
        })?;
    }
    out.end_view()?;
    Ok(())
}
