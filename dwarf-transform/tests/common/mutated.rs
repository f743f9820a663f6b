//! Real debug sections with something wrong in them, and what must hold whatever that is: no stage panics, and what comes
//! out can be read by another reader.

#![allow(dead_code, reason = "each user needs its own part")]

use super::common::{custom_sections, link, native_module, read_module};
use dwarf_transform::{
    GuestSection, GuestSections, GuestSplitFile, PointerFlavour, Section, TransformOptions, generate, named_files,
    scan, serialize,
};

/// A module, its debug sections and those of the files beside it.
pub struct Seed {
    pub wasm: Vec<u8>,
    /// Of the module, then of each file.
    pub files: Vec<Vec<(String, Vec<u8>)>>,
}

impl Seed {
    pub fn new(wasm: &[u8], split: &[&[u8]]) -> Seed {
        let owned = |sections: &GuestSections<'_>| -> Vec<(String, Vec<u8>)> {
            sections.sections.iter().map(|section| (section.name.to_owned(), section.bytes.to_vec())).collect()
        };
        let mut files = vec![owned(&read_module(wasm).0.sections)];
        files.extend(split.iter().map(|file| owned(&custom_sections(file))));
        Seed { wasm: wasm.to_vec(), files }
    }

    /// The same with a few changes that `next` chooses: it returns a number below the one it is given.
    pub fn mutated(&self, mut next: impl FnMut(usize) -> usize) -> Seed {
        const TELLING: [u8; 12] = [0, 1, 0x0b, 0x1f, 0x21, 0x40, 0x7f, 0x80, 0xed, 0xfe, 0xff, 0x17];
        let mut seed = Seed { wasm: self.wasm.clone(), files: self.files.clone() };
        for _ in 0..=next(5) {
            let file = next(seed.files.len());
            if seed.files[file].is_empty() {
                continue;
            }
            let section = next(seed.files[file].len());
            let donor = next(seed.files[file].len());
            let taken = seed.files[file][donor].1.clone();
            let bytes = &mut seed.files[file][section].1;
            if bytes.is_empty() {
                continue;
            }
            let at = next(bytes.len());
            match next(10) {
                0 => bytes.truncate(at),
                1 => {
                    bytes.remove(at);
                }
                2 => bytes.insert(at, TELLING[next(TELLING.len())]),
                3 => bytes[at] = TELLING[next(TELLING.len())],
                4 => bytes[at] = bytes[at].wrapping_add(1),
                5 => bytes[at] ^= 1 << next(8),
                // An offset or a length.
                6 if at + 4 <= bytes.len() => {
                    let value = (next(bytes.len() * 2) as u32).to_le_bytes();
                    bytes[at..at + 4].copy_from_slice(&value);
                }
                // A part of the same section, or of another.
                7 => {
                    let end = (at + next(32)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    let to = next(bytes.len());
                    bytes.splice(to..to, part);
                }
                8 if !taken.is_empty() => {
                    let from = next(taken.len());
                    let end = (from + next(64)).min(taken.len());
                    let to = (at + end - from).min(bytes.len());
                    bytes.splice(at..to, taken[from..end].iter().copied());
                }
                _ => bytes[at] = next(256) as u8,
            }
        }
        seed
    }

    /// Runs all stages, for both debuggers and both versions, and reads what comes out.
    pub fn check(&self) {
        let (mut guest, operators) = read_module(&self.wasm);
        let view = |position: usize| GuestSections {
            sections: self.files[position].iter().map(|(name, bytes)| GuestSection { name, bytes }).collect(),
        };
        guest.sections = view(0);
        let _ = named_files(&guest.sections);
        for position in 1..self.files.len() {
            guest.split_files.push(GuestSplitFile { name: "other", sections: view(position) });
        }
        let scan = scan(&guest);
        let native = native_module(&guest, &operators, &scan);
        for (dwarf_version, flavour, lines_only) in
            [(5, PointerFlavour::Gdb, false), (4, PointerFlavour::Lldb, false), (5, PointerFlavour::Gdb, true)]
        {
            let options = TransformOptions { dwarf_version, flavour, lines_only, ..TransformOptions::default() };
            let generated =
                generate(&guest, scan.lines.clone(), &native, &options).expect("guest DWARF is never an error");
            let sections = serialize(generated).expect("what was generated can be written");
            read(&sections).expect("what was written can be read");
        }
    }
}

/// Reads everything: entries, attributes, lists, expressions, lines, macros.
fn read(sections: &[Section]) -> gimli::Result<()> {
    let linked: Vec<(&str, Vec<u8>)> = sections.iter().map(|section| (section.name, link(section))).collect();
    let dwarf = gimli::Dwarf::load(|id| -> gimli::Result<_> {
        let bytes = linked.iter().find(|section| section.0 == id.name()).map_or(&[][..], |section| &section.1);
        Ok(gimli::EndianSlice::new(bytes, gimli::LittleEndian))
    })?;
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let operations = |expression: gimli::Expression<_>| -> gimli::Result<()> {
            let mut operations = expression.operations(unit.encoding());
            while operations.next()?.is_some() {}
            Ok(())
        };
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            for attr in entry.attrs() {
                let value = attr.value();
                if let gimli::AttributeValue::Exprloc(expression) = value {
                    operations(expression)?;
                }
                if let Some(mut list) = dwarf.attr_locations(&unit, value)? {
                    while let Some(item) = list.next()? {
                        operations(item.data)?;
                    }
                }
                if let Some(mut list) = dwarf.attr_ranges(&unit, value)? {
                    while list.next()?.is_some() {}
                }
                dwarf.attr_address(&unit, value)?;
                if let gimli::AttributeValue::DebugMacroRef(offset) = value
                    && matches!(attr.name(), gimli::DW_AT_macros | gimli::DW_AT_GNU_macros)
                {
                    let mut macros = dwarf.macros(offset)?;
                    while macros.next()?.is_some() {}
                }
            }
        }
        if let Some(program) = unit.line_program.clone() {
            let mut rows = program.rows();
            while rows.next_row()?.is_some() {}
        }
    }
    Ok(())
}

/// SplitMix64: the same numbers everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}

/// The seeds in a folder: each module, those with split units with their file or package.
pub fn seeds(folder: &std::path::Path) -> Vec<Seed> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of the inputs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    paths.sort();
    let mut seeds = Vec::new();
    for path in paths {
        let wasm = std::fs::read(&path).expect("a module");
        let beside: Vec<Vec<u8>> =
            ["dwo", "dwp"].iter().filter_map(|other| std::fs::read(path.with_extension(other)).ok()).collect();
        if beside.is_empty() {
            seeds.push(Seed::new(&wasm, &[]));
        }
        seeds.extend(beside.iter().map(|file| Seed::new(&wasm, &[file])));
    }
    seeds
}
