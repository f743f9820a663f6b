//! Line tables as text.

use anyhow::{Context as _, Result};
use gimli::ColumnType;
use serde::Serialize;

use super::text_of;
use crate::native::Reader;
use crate::output::Output;

#[derive(Serialize)]
struct Row {
    address: u64,
    file: String,
    line: u64,
    column: u64,
    flags: Vec<&'static str>,
}

/// The rows of every unit's line table.
pub fn dump_lines(dwarf: &gimli::Dwarf<Reader<'_>>, out: &mut Output<'_>) -> Result<()> {
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().context(".debug_info is damaged")? {
        let unit = dwarf.unit(header).context("a unit is damaged")?;
        let unit = unit.unit_ref(dwarf);
        let Some(program) = unit.line_program.clone() else { continue };
        let at = program.header().offset().0;
        out.note(&format!("\nLine table at {at:#010x}: version {}\n", program.header().version()))?;
        out.note("Address              Line Column File")?;
        let mut files: std::collections::HashMap<u64, String> = std::collections::HashMap::new();
        let mut rows = program.rows();
        while let Some((header, row)) = rows.next_row().with_context(|| format!("the line table at {at:#x}"))? {
            let file = files.entry(row.file_index()).or_insert_with(|| {
                let name = header.file(row.file_index()).map(|file| unit.attr_string(file.path_name()));
                name.and_then(Result::ok).map_or_else(|| format!("file {}", row.file_index()), |name| text_of(&name))
            });
            let flags = [
                (row.is_stmt(), "is_stmt"),
                (row.basic_block(), "basic_block"),
                (row.prologue_end(), "prologue_end"),
                (row.epilogue_begin(), "epilogue_begin"),
                (row.end_sequence(), "end_sequence"),
            ];
            let row = Row {
                address: row.address(),
                file: file.clone(),
                line: row.line().map_or(0, u64::from),
                column: match row.column() {
                    ColumnType::LeftEdge => 0,
                    ColumnType::Column(column) => column.into(),
                },
                flags: flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect(),
            };
            out.row(&row, |w, palette| {
                let (address, source, reset) = (palette.address, palette.source, palette.reset);
                write!(
                    w,
                    "{address}{:#018x}{reset} {:>6} {:>6} {source}{}{reset}",
                    row.address, row.line, row.column, row.file
                )?;
                for flag in &row.flags {
                    write!(w, " {flag}")?;
                }
                writeln!(w)
            })?;
        }
    }
    Ok(())
}
