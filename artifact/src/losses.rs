//! What debug info could not be translated, as text: one line a row, with tabs between the columns.

use std::fmt::Write;

use crate::{ArtifactError, section};

/// Debug info that could not be translated, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss<S = String> {
    /// How often.
    pub count: u64,
    /// What it is: `expression without native meaning`.
    pub kind: S,
    /// Of which operation or attribute: then the row counts a part of the row of its kind. Empty in the latter.
    pub detail: S,
    /// The first place, if it is known.
    pub place: S,
}

/// Rows that are written and read.
const MAX_ROWS: usize = 1000;
/// Characters of a column that are written.
const MAX_COLUMN: usize = 300;

pub(crate) fn encode(losses: &[Loss]) -> Vec<u8> {
    let mut text = String::new();
    for Loss { count, kind, detail, place } in losses.iter().take(MAX_ROWS) {
        let _ = write!(text, "{count}");
        for column in [kind, detail, place] {
            text.push('\t');
            text.extend(column.chars().take(MAX_COLUMN).map(|c| if c.is_control() { ' ' } else { c }));
        }
        text.push('\n');
    }
    text.into_bytes()
}

/// The rows, which are from a stranger as the rest of the file.
pub(crate) fn decode(bytes: &[u8], file_offset: u64) -> Result<Vec<Loss<&str>>, ArtifactError> {
    let mut losses = Vec::new();
    let mut at = file_offset;
    for (row, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let bad = |reason| ArtifactError::BadRow { section: section::LOSSES, row, file_offset: at, reason };
        if row == MAX_ROWS {
            return Err(bad("more rows than are ever written"));
        }
        let text = line.strip_suffix(b"\n").ok_or_else(|| bad("does not end"))?;
        let text = std::str::from_utf8(text).map_err(|_| bad("is not UTF-8"))?;
        let mut columns = text.split('\t');
        let count =
            columns.next().and_then(|count| count.parse().ok()).ok_or_else(|| bad("does not begin with a count"))?;
        let (Some(kind), Some(detail), Some(place), None) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            return Err(bad("does not have four columns"));
        };
        losses.push(Loss { count, kind, detail, place });
        at += line.len() as u64;
    }
    Ok(losses)
}
