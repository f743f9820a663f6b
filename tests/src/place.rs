//! Places in the bundled sources, found by their text so that the tests outlive edits.

use std::fs;

use crate::programs;

/// `file:line` of the first line of a bundled source that contains `text`.
///
/// # Panics
///
/// Panics if there is none.
pub fn at(source: &str, text: &str) -> String {
    format!("{source}:{}", line(source, text))
}

/// The number of the first line of a bundled source that contains `text`.
///
/// # Panics
///
/// Panics if there is none.
pub fn line(source: &str, text: &str) -> usize {
    let all = fs::read_to_string(programs().join(source)).expect("the source is bundled");
    let index = all.lines().position(|it| it.contains(text));
    index.unwrap_or_else(|| panic!("{source} has no line with {text:?}")) + 1
}
