//! Unwind operations of compiled functions, collected into one frame table.
