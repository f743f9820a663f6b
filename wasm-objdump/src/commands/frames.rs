//! `--frames`: where the caller's registers are, row by row.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::native::{FrameFunction, FrameTable};
use crate::output::Output;

#[derive(Serialize)]
struct Row<'a> {
    name: Option<String>,
    #[serde(flatten)]
    function: &'a FrameFunction,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let native = super::native(input, "--frames")?;
    let table = FrameTable::read(native)?;
    if table.functions.is_empty() {
        bail!("the file has no frame table (.eh_frame or .debug_frame)");
    }
    out.begin_view("frames", &format!("Frame rows of {}", table.section))?;
    for function in &table.functions {
        let known = native.function_at(function.start);
        if arguments.function.is_some() && !known.is_some_and(|known| known.is_wanted(arguments)) {
            continue;
        }
        let name = known.map(|known| known.display_name(arguments));
        let row = Row { name: name.clone(), function };
        out.row(&row, |w, palette| {
            let (colour, frame, reset) = (palette.name, palette.frame, palette.reset);
            let name = name.map_or_else(String::new, |name| format!(" {colour}<{name}>{reset}"));
            writeln!(w, "{:#x}..{:#x}{name}, FDE at {:#x}", function.start, function.end, function.fde)?;
            // A column for each register that any row mentions.
            let mut registers: Vec<&str> = Vec::new();
            for (register, _) in function.rows.iter().flat_map(|row| &row.registers) {
                if !registers.contains(&&**register) {
                    registers.push(register);
                }
            }
            write!(w, "  {:>10}  {:<10}", "pc", "cfa")?;
            for register in &registers {
                write!(w, " {register:<10}")?;
            }
            writeln!(w)?;
            for row in &function.rows {
                write!(w, "  {:>#10x}  {frame}{:<10}", row.start, row.cfa)?;
                for register in &registers {
                    let rule = row.registers.iter().find(|(name, _)| name == register);
                    write!(w, " {:<10}", rule.map_or("same", |(_, rule)| rule))?;
                }
                writeln!(w, "{reset}")?;
            }
            writeln!(w)
        })?;
    }
    out.end_view()?;
    Ok(())
}
