//! Placeholder until the first test is in.
