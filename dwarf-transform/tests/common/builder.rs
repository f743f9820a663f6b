//! Debug sections built byte by byte, right or wrong: each attribute has the form and the bytes that it is given.

#![allow(dead_code, reason = "each test file uses its own part")]

use gimli::constants::*;
use std::fmt::Write;

/// An attribute: name, form, bytes of the value.
pub type Attribute = (DwAt, DwForm, Vec<u8>);

/// One unit of `.debug_info` (or `.debug_types`) and the sections that it refers to.
pub struct Builder {
    version: u16,
    format64: bool,
    abbreviations: Vec<u8>,
    entries: Vec<u8>,
    codes: u64,
    /// Other sections, by name.
    pub sections: Vec<(String, Vec<u8>)>,
}

pub fn uleb(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    gimli::leb128::write::unsigned(&mut bytes, value).expect("a Vec takes everything");
    bytes
}

pub fn string(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

impl Builder {
    pub fn new(version: u16, format64: bool) -> Builder {
        Builder { version, format64, abbreviations: Vec::new(), entries: Vec::new(), codes: 0, sections: Vec::new() }
    }

    fn header_size(&self) -> usize {
        let offset = if self.format64 { 8 } else { 4 };
        let length = if self.format64 { 12 } else { 4 };
        length + 2 + usize::from(self.version >= 5) + 1 + offset
    }

    /// Where the next entry will be in the unit.
    pub fn here(&self) -> usize {
        self.header_size() + self.entries.len()
    }

    /// An offset in a section, as wide as the format has them.
    pub fn offset(&self, value: usize) -> Vec<u8> {
        if self.format64 { (value as u64).to_le_bytes().to_vec() } else { (value as u32).to_le_bytes().to_vec() }
    }

    /// Adds an entry; [`Builder::end`] closes one with children.
    pub fn entry(&mut self, tag: DwTag, children: bool, attributes: &[Attribute]) -> &mut Builder {
        self.codes += 1;
        self.abbreviations.extend(uleb(self.codes));
        self.abbreviations.extend(uleb(u64::from(tag.0)));
        self.abbreviations.push(u8::from(children));
        self.entries.extend(uleb(self.codes));
        for (name, form, bytes) in attributes {
            self.abbreviations.extend(uleb(u64::from(name.0)));
            self.abbreviations.extend(uleb(u64::from(form.0)));
            // The value of this form stands in the abbreviation.
            let place = if *form == DW_FORM_implicit_const { &mut self.abbreviations } else { &mut self.entries };
            place.extend(bytes);
        }
        self.abbreviations.extend([0, 0]);
        self
    }

    pub fn end(&mut self) -> &mut Builder {
        self.entries.push(0);
        self
    }

    pub fn section(&mut self, name: &str, bytes: Vec<u8>) -> &mut Builder {
        self.sections.push((name.to_owned(), bytes));
        self
    }

    /// All sections.
    pub fn finish(mut self) -> Vec<(String, Vec<u8>)> {
        self.abbreviations.push(0);
        let mut unit = self.version.to_le_bytes().to_vec();
        if self.version >= 5 {
            unit.extend([DW_UT_compile.0, 4]);
            unit.extend(self.offset(0));
        } else {
            unit.extend(self.offset(0));
            unit.push(4);
        }
        unit.extend(&self.entries);
        let mut info = if self.format64 { vec![0xff; 4] } else { Vec::new() };
        info.extend(self.offset(unit.len()));
        info.extend(unit);
        self.sections.push((".debug_info".to_owned(), info));
        self.sections.push((".debug_abbrev".to_owned(), self.abbreviations));
        self.sections
    }
}

/// The contents of a section with a header as DWARF 5's tables have: length, version, address size, segments, then `rest`.
pub fn table(rest: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(rest.len() + 4).expect("small").to_le_bytes().to_vec();
    bytes.extend([5, 0, 4, 0]);
    bytes.extend(rest);
    bytes
}

/// Names of constants for a test's own messages.
pub fn shown(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for (name, form, _) in attributes {
        write!(text, "{name} {form} ").expect("a String takes everything");
    }
    text
}
