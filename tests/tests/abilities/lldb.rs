//! What a person types in lldb, and what it must answer.

use crate::script::{Column, Script};

/// The session of a column.
pub fn script(_column: &Column) -> Option<Script> {
    None
}
