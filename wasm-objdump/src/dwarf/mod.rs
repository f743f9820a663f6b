//! DWARF as text.

mod entries;
mod expression;
mod lines;
mod locations;
mod variables;

use std::borrow::Cow;

use gimli::RunTimeEndian;

use crate::native::Reader;

pub use entries::dump_units;
pub use expression::{describe_frame_base, describe_location, expression_text};
pub use lines::dump_lines;
pub use locations::{Located, Needs, by_key, holds, located, merged};
pub use variables::{LiveVariable, Variables, budget_of};

/// Gives registers their names.
pub type RegisterNames<'n> = &'n dyn Fn(gimli::Register) -> Cow<'static, str>;

/// The DWARF in sections that are found by name.
pub fn load<'a>(endian: RunTimeEndian, find: impl Fn(&str) -> Option<&'a [u8]>) -> gimli::Dwarf<Reader<'a>> {
    let load = |id: gimli::SectionId| -> Result<Reader<'a>, std::convert::Infallible> {
        Ok(Reader::new(find(id.name()).unwrap_or(&[]), endian))
    };
    match gimli::Dwarf::load(load) {
        Ok(dwarf) => dwarf,
        Err(never) => match never {},
    }
}

/// A string of a reader, with what is not UTF-8 replaced.
pub fn text_of(reader: &Reader<'_>) -> String {
    String::from_utf8_lossy(reader.slice()).into_owned()
}
