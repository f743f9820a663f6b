//! From an operator of a wasm file to the source: function, file, line and column, with inlined functions.
//!
//! In: the custom sections `.debug_*` of a wasm file, whose addresses count from the start of the code section's
//! contents. Out: [`FrameSymbol`]s. Nothing is parsed before the first lookup, and a lookup parses only the units that it
//! needs. Broken debug info gives fewer symbols, never an error: who looks up a frame of a backtrace already has an
//! error to report.

use gimli::{EndianArcSlice, LittleEndian, Section, SectionId};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// One source position of a frame: a frame has several where functions are inlined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameSymbol {
    /// The function's name as the source language writes it.
    pub name: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<u32>,
    /// The column, counted from 1.
    pub column: Option<u32>,
}

type Slice = EndianArcSlice<LittleEndian>;

/// The debug info of one wasm file, ready for lookups.
pub struct Symbolizer {
    state: Mutex<State>,
}

enum State {
    /// The sections as they are, until the first lookup.
    Sections(Box<gimli::Dwarf<Slice>>),
    Parsed(Box<addr2line::Context<Slice>>),
    /// There is nothing to be found.
    Nothing,
}

impl Symbolizer {
    /// Takes the debug info of a wasm file. Bytes behind a section that cannot be read are left alone.
    #[must_use]
    pub fn new(wasm: &[u8]) -> Symbolizer {
        let sections: Vec<(&str, &[u8])> = wasmparser::Parser::new(0)
            .parse_all(wasm)
            .map_while(Result::ok)
            .filter_map(|payload| match payload {
                wasmparser::Payload::CustomSection(section) => Some((section.name(), section.data())),
                _ => None,
            })
            .collect();
        Symbolizer::from_sections(|name| {
            sections.iter().find(|(candidate, _)| *candidate == name).map_or(&[], |(_, contents)| contents)
        })
    }

    /// Takes the debug info from sections: the contents for a name such as `.debug_info`, empty if there is none.
    #[must_use]
    pub fn from_sections<'a>(mut section: impl FnMut(&str) -> &'a [u8]) -> Symbolizer {
        if section(SectionId::DebugInfo.name()).is_empty() {
            return Symbolizer { state: Mutex::new(State::Nothing) };
        }
        let load = |id: SectionId| -> Result<Slice, std::convert::Infallible> {
            let contents = match id {
                SectionId::DebugAbbrev
                | SectionId::DebugAddr
                | SectionId::DebugInfo
                | SectionId::DebugLine
                | SectionId::DebugLineStr
                | SectionId::DebugRanges
                | SectionId::DebugRngLists
                | SectionId::DebugStr
                | SectionId::DebugStrOffsets => section(id.name()),
                // An index of what the units say themselves; if broken, it would spoil all.
                SectionId::DebugAranges => &[],
                // Not needed for source positions.
                _ => &[],
            };
            Ok(Slice::new(Arc::from(contents), LittleEndian))
        };
        let Ok(dwarf) = gimli::Dwarf::load(load);
        Symbolizer { state: Mutex::new(State::Sections(Box::new(dwarf))) }
    }

    /// The source positions of the operator at `offset` from the start of the code section's contents, innermost
    /// inlined function first. Empty if the debug info says nothing about it.
    #[must_use]
    pub fn lookup(&self, offset: u32) -> Vec<FrameSymbol> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Sections(_) = *state {
            let State::Sections(dwarf) = std::mem::replace(&mut *state, State::Nothing) else { unreachable!() };
            if let Ok(context) = addr2line::Context::from_dwarf(without_broken_tail(*dwarf)) {
                *state = State::Parsed(Box::new(context));
            }
        }
        let State::Parsed(context) = &*state else { return Vec::new() };
        let mut symbols = Vec::new();
        // Companion files (split DWARF) are not looked for.
        let Ok(mut frames) = context.find_frames(u64::from(offset)).skip_all_loads() else { return symbols };
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.as_ref();
            symbols.push(FrameSymbol {
                name: name.map(|name| demangle(&name)),
                file: location.and_then(|location| location.file).map(str::to_owned),
                line: location.and_then(|location| location.line).filter(|&line| line != 0),
                column: location.and_then(|location| location.column).filter(|&column| column != 0),
            });
        }
        symbols
    }
}

impl fmt::Debug for Symbolizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbolizer").finish_non_exhaustive()
    }
}

/// Cuts `.debug_info` behind its last whole unit: the parser would else give up all units.
fn without_broken_tail(mut dwarf: gimli::Dwarf<Slice>) -> gimli::Dwarf<Slice> {
    let mut end = 0;
    let mut units = dwarf.units();
    let broken = loop {
        match units.next() {
            Ok(Some(unit)) => {
                end = unit.debug_info_offset().map_or(end, |start| start.0 + unit.length_including_self())
            }
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    if broken {
        let contents = dwarf.debug_info.reader().bytes().get(..end).unwrap_or_default();
        dwarf.debug_info = gimli::DebugInfo::from(Slice::new(Arc::from(contents), LittleEndian));
    }
    dwarf
}

/// No name that a person would want to read is longer. Substitutions in a C++ name of a few hundred bytes can make a
/// text that fills the memory.
const LONGEST_NAME: usize = 1 << 16;

/// The name of a function as its source language writes it: Rust and C++ names demangled, and C's `main`, which has a name
/// of its own if it takes arguments (tool conventions, "Basic C ABI").
#[must_use]
pub fn demangle(name: &str) -> String {
    if name == "__main_argc_argv" {
        return "main".to_owned();
    }
    if name.len() <= LONGEST_NAME {
        if let Ok(demangled) = rustc_demangle::try_demangle(name) {
            let mut text = Bounded(String::new());
            if fmt::write(&mut text, format_args!("{demangled:#}")).is_ok() {
                return text.0;
            }
        } else if name.starts_with("_Z")
            && let Ok(symbol) = cpp_demangle::Symbol::new(name)
        {
            let mut text = Bounded(String::new());
            if symbol.structured_demangle(&mut text, &cpp_demangle::DemangleOptions::new()).is_ok() {
                return text.0;
            }
        }
    }
    name.to_owned()
}

/// Text up to [`LONGEST_NAME`].
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST_NAME {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::write::{
        Address, AttributeValue, DwarfUnit, EndianVec, LineProgram, LineString, Range, RangeList, Sections,
    };
    use std::collections::HashMap;

    const PRODUCER: gimli::Encoding = gimli::Encoding { address_size: 4, format: gimli::Format::Dwarf32, version: 4 };

    /// `dir/list.c`: `main` at 0x10..0x40 with `push` from line 5 inlined at 0x20..0x30 by its line 12.
    fn sections() -> HashMap<&'static str, Vec<u8>> {
        let mut dwarf = DwarfUnit::new(PRODUCER);
        let string = |text: &str| LineString::String(text.into());
        let mut lines =
            LineProgram::new(PRODUCER, gimli::LineEncoding::default(), string("/src"), None, string("list.c"), None);
        let directory = lines.add_directory(string("dir"));
        let file = lines.add_file(string("list.c"), directory, None);
        lines.begin_sequence(Some(Address::Constant(0x10)));
        for (offset, line, column) in [(0, 10, 3), (0x10, 5, 7), (0x20, 13, 0), (0x28, 0, 0)] {
            let row = lines.row();
            (row.address_offset, row.file, row.line, row.column) = (offset, file, line, column);
            lines.generate_row();
        }
        lines.end_sequence(0x30);
        dwarf.unit.line_program = lines;

        let root = dwarf.unit.root();
        let text = |text: &str| AttributeValue::String(text.into());
        dwarf.unit.get_mut(root).set(gimli::DW_AT_name, text("dir/list.c"));
        dwarf.unit.get_mut(root).set(gimli::DW_AT_comp_dir, text("/src"));
        dwarf.unit.get_mut(root).set(gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(0)));
        let ranges =
            dwarf.unit.ranges.add(RangeList(vec![Range::StartLength { begin: Address::Constant(0x10), length: 0x30 }]));
        dwarf.unit.get_mut(root).set(gimli::DW_AT_ranges, AttributeValue::RangeListRef(ranges));
        let origin = dwarf.unit.add(root, gimli::DW_TAG_subprogram);
        dwarf.unit.get_mut(origin).set(gimli::DW_AT_linkage_name, text("_ZN4list4pushEi"));
        dwarf.unit.get_mut(origin).set(gimli::DW_AT_name, text("push"));
        let function = dwarf.unit.add(root, gimli::DW_TAG_subprogram);
        let entry = dwarf.unit.get_mut(function);
        entry.set(gimli::DW_AT_linkage_name, text("__main_argc_argv"));
        entry.set(gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(0x10)));
        entry.set(gimli::DW_AT_high_pc, AttributeValue::Udata(0x30));
        let inlined = dwarf.unit.add(function, gimli::DW_TAG_inlined_subroutine);
        let entry = dwarf.unit.get_mut(inlined);
        entry.set(gimli::DW_AT_abstract_origin, AttributeValue::UnitRef(origin));
        entry.set(gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(0x20)));
        entry.set(gimli::DW_AT_high_pc, AttributeValue::Udata(0x10));
        entry.set(gimli::DW_AT_call_file, AttributeValue::FileIndex(Some(file)));
        entry.set(gimli::DW_AT_call_line, AttributeValue::Udata(12));
        entry.set(gimli::DW_AT_call_column, AttributeValue::Udata(9));

        let mut sections = Sections::new(EndianVec::new(LittleEndian));
        dwarf.write(&mut sections).unwrap();
        let mut named = HashMap::new();
        sections
            .for_each(|id, contents| -> gimli::write::Result<()> {
                named.insert(id.name(), contents.slice().to_vec());
                Ok(())
            })
            .unwrap();
        named
    }

    fn symbolizer(sections: &HashMap<&'static str, Vec<u8>>) -> Symbolizer {
        Symbolizer::from_sections(|name| sections.get(name).map_or(&[], |contents| contents.as_slice()))
    }

    fn shown(symbols: &[FrameSymbol]) -> Vec<String> {
        let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
        symbols
            .iter()
            .map(|s| {
                let (name, file) = (s.name.as_deref().unwrap_or("-"), s.file.as_deref().unwrap_or("-"));
                format!("{name} {file}:{}:{}", number(s.line), number(s.column))
            })
            .collect()
    }

    #[test]
    fn inlined_functions_come_innermost_first() {
        let symbolizer = symbolizer(&sections());
        assert_eq!(shown(&symbolizer.lookup(0x10)), ["main /src/dir/list.c:10:3"]);
        assert_eq!(
            shown(&symbolizer.lookup(0x2f)),
            ["list::push(int) /src/dir/list.c:5:7", "main /src/dir/list.c:12:9"]
        );
    }

    #[test]
    fn an_unknown_column_or_line_is_left_out() {
        let symbolizer = symbolizer(&sections());
        assert_eq!(shown(&symbolizer.lookup(0x30)), ["main /src/dir/list.c:13:-"]);
        assert_eq!(shown(&symbolizer.lookup(0x38)), ["main /src/dir/list.c:-:-"]);
    }

    #[test]
    fn code_without_debug_info_has_no_symbols() {
        let symbolizer = symbolizer(&sections());
        assert_eq!(symbolizer.lookup(0xf), []);
        assert_eq!(symbolizer.lookup(0x40), []);
        assert_eq!(Symbolizer::new(b"\0asm\x01\0\0\0").lookup(1), []);
        assert_eq!(Symbolizer::new(b"not wasm").lookup(1), []);
    }

    #[test]
    fn sections_are_found_in_a_wasm_file() {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        for (name, contents) in sections() {
            let mut section = vec![u8::try_from(name.len()).unwrap()];
            section.extend(name.bytes());
            section.extend(contents);
            wasm.push(0);
            let mut size = section.len();
            while size >= 0x80 {
                wasm.push(size as u8 | 0x80);
                size >>= 7;
            }
            wasm.push(size as u8);
            wasm.extend(section);
        }
        assert_eq!(shown(&Symbolizer::new(&wasm).lookup(0x10)), ["main /src/dir/list.c:10:3"]);
        // A file that ends early still has the sections before its end; whatever is left must not disturb.
        for length in 0..wasm.len() {
            let _ = Symbolizer::new(&wasm[..length]).lookup(0x20);
        }
    }

    #[test]
    fn a_unit_cut_short_does_not_hide_those_before_it() {
        let mut sections = sections();
        let info = sections.get_mut(".debug_info").unwrap();
        let copy = info.clone();
        info.extend(&copy[..copy.len() / 2]);
        assert_eq!(shown(&symbolizer(&sections).lookup(0x10)), ["main /src/dir/list.c:10:3"]);
    }

    #[test]
    fn no_changed_byte_makes_a_lookup_panic() {
        let original = sections();
        for (name, contents) in &original {
            for (at, byte) in contents.iter().enumerate() {
                for value in [0, 1, 0x7f, 0x80, 0xff, byte ^ 0x10] {
                    let mut changed = original.clone();
                    changed.get_mut(name).unwrap()[at] = value;
                    let symbolizer = symbolizer(&changed);
                    let _ = (symbolizer.lookup(0x10), symbolizer.lookup(0x28));
                }
            }
        }
    }

    #[test]
    fn names_are_demangled_by_their_form() {
        for (name, expected) in [
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back(int const&)"),
            ("__main_argc_argv", "main"),
            ("list_push", "list_push"),
            ("_Zbroken", "_Zbroken"),
        ] {
            assert_eq!(demangle(name), expected);
        }
    }

    #[test]
    fn a_name_that_would_fill_the_memory_stays_mangled() {
        // Each substitution refers to the one before it twice: the text doubles with every six bytes.
        let mut name = String::from("_Z1fSt4pairIiiE");
        let digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut last = "S_".to_owned();
        for i in 0..40 {
            name.push_str(&format!("S_I{last}{last}E"));
            last = format!("S{}_", digits.chars().nth(i % 36).unwrap());
        }
        assert!(demangle(&name).len() <= LONGEST_NAME);
    }
}
