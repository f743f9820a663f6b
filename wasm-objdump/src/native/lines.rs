//! Source lines of native code.

use anyhow::{Context as _, Result};

use super::{Native, Reader};

/// Looks source lines up; parses each unit once.
pub struct Lines<'n> {
    context: addr2line::Context<Reader<'n>>,
}

/// Where an instruction comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl std::fmt::Display for SourceLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if self.column != 0 { write!(f, ":{}", self.column) } else { Ok(()) }
    }
}

impl<'n> Lines<'n> {
    pub fn new(native: &'n Native<'_>) -> Result<Lines<'n>> {
        let context = addr2line::Context::from_dwarf(native.dwarf()).context("the DWARF line tables are damaged")?;
        Ok(Lines { context })
    }

    /// The lines of an address range: where each begins, in order. Lines that cannot be read are left out.
    pub fn of_range(&self, range: std::ops::Range<u64>) -> Vec<(u64, SourceLine)> {
        let Ok(found) = self.context.find_location_range(range.start, range.end) else { return Vec::new() };
        let mut lines: Vec<(u64, SourceLine)> = Vec::new();
        for (start, _, location) in found {
            let (Some(file), Some(line)) = (location.file, location.line) else { continue };
            let line = SourceLine { file: file.to_owned(), line, column: location.column.unwrap_or(0) };
            lines.push((start, line));
        }
        lines.sort_by_key(|(start, _)| *start);
        lines
    }
}

/// The entry that covers `address`, in a list of (start, value).
pub fn covering<T>(list: &[(u64, T)], address: u64) -> Option<&T> {
    let index = list.partition_point(|(start, _)| *start <= address);
    list.get(index.checked_sub(1)?).map(|(_, value)| value)
}
