//! Names for what guest pointers hold: a function pointer is an index of table 0, a pointer to a variable or a virtual table
//! an offset in linear memory.
//!
//! A linker leaves no symbols for data. The names of variables are those of the debug info. The virtual tables and type
//! descriptions of C++ are found in the data segments by their layout (Itanium C++ ABI, 2.5.2 and 2.9.5), beginning with the
//! names of the descriptions' own classes.

use crate::environ::{ConstExpr, ConstOp, DebugInfo, ElementItems, Module, PointerFlavour, SegmentMode};
use crate::symbolize::demangle;
use crate::translate::ModuleTranslation;
use artifact::{GuestSymbol, GuestSymbolKind};
use dwarf_transform::StaticObject;
use std::collections::{HashMap, HashSet};

/// The symbols of a module, whose debug info has these variables; none unless full debug info is wanted.
pub fn guest_symbols(translation: &ModuleTranslation<'_>, variables: &[StaticObject]) -> Vec<GuestSymbol> {
    if translation.tunables.debug_info != DebugInfo::Full {
        return Vec::new();
    }
    let module = &translation.module;
    let memory = InitialMemory::new(module, translation.wasm);
    let table_size = module.tables.first().map_or(0, |table| table.minimum);
    let ClassObjects { mut symbols, unnamed } = class_objects(&memory, table_size);
    match translation.tunables.pointer_flavour {
        PointerFlavour::Lldb => symbols.iter_mut().for_each(hide_virtual_table),
        PointerFlavour::Gdb => symbols.extend(unnamed.into_iter().map(|address| GuestSymbol {
            name: String::new(),
            address: u64::from(address),
            size: 1,
            kind: GuestSymbolKind::Gap,
        })),
    }
    let named: HashSet<u64> =
        symbols.iter().filter(|symbol| symbol.kind != GuestSymbolKind::Gap).map(|symbol| symbol.address).collect();
    let unnamed = variables.iter().filter(|variable| !named.contains(&variable.address));
    symbols.extend(unnamed.map(|StaticObject { address, name, size }| GuestSymbol {
        name: name.clone(),
        address: *address,
        size: *size,
        kind: GuestSymbolKind::Data,
    }));
    // A table index that is the address of data, too, keeps its name to itself.
    let is_data = |address: u64| {
        let before = variables.partition_point(|variable| variable.address <= address).checked_sub(1);
        memory.holds(address) || before.is_some_and(|at| address - variables[at].address < variables[at].size)
    };
    symbols.extend(table_symbols(translation).into_iter().filter(|symbol| !is_data(symbol.address)));
    symbols
}

/// lldb looks for an object's dynamic type by a symbol "vtable for ..." at its beginning, and reads 8 bytes for each word there: it
/// would take the object to begin far off. Under another name the table is shown, but not read.
fn hide_virtual_table(symbol: &mut GuestSymbol) {
    if let Some(class) = symbol.name.strip_prefix("_ZTV") {
        let name = demangle(&symbol.name);
        let name = name.strip_prefix("{vtable(").and_then(|name| name.strip_suffix(")}"));
        symbol.name = format!("vtable of {}", name.unwrap_or(class));
    }
}

fn constant(expression: &ConstExpr) -> Option<u32> {
    match expression.ops[..] {
        [ConstOp::I32Const(value)] => Some(value.cast_unsigned()),
        [ConstOp::I64Const(value)] => u32::try_from(value).ok(),
        _ => None,
    }
}

/// A function's name as the debugger shows the function itself. It demangles C++ in the same way, but of Rust it shows more
/// than the name that the debug info has.
fn readable(symbol: String) -> String {
    let rust = symbol.starts_with("_R") || (symbol.starts_with("_ZN") && symbol.contains("17h"));
    match rustc_demangle::try_demangle(&symbol) {
        Ok(name) if rust => format!("{name:#}").replace("::<", "<"),
        _ => symbol,
    }
}

/// gdb takes any symbol in small letters for one of Ada's if it can, and shows `a__b` as `a.b`. It asks C++ first.
fn kept_from_ada(name: String) -> String {
    let ends_in_number = name.trim_end_matches(|it: char| it.is_ascii_digit()).ends_with(['.', '$']);
    let could_be = !name.starts_with(['_', '<']) && !name.contains(|it: char| it.is_ascii_uppercase() || it == ' ');
    if could_be && (name.contains("__") || ends_in_number) { format!("_Z{}{name}", name.len()) } else { name }
}

fn table_symbols(translation: &ModuleTranslation<'_>) -> Vec<GuestSymbol> {
    let shown = |function| {
        let name = readable(translation.names.symbol(function));
        match translation.tunables.pointer_flavour {
            PointerFlavour::Gdb => kept_from_ada(name),
            PointerFlavour::Lldb => name,
        }
    };
    let mut symbols = Vec::new();
    for segment in &translation.module.elements {
        let SegmentMode::Active { index: 0, offset } = &segment.mode else { continue };
        let Some(start) = constant(offset) else { continue };
        let mut name = |position: usize, function: u32| {
            let address = u64::from(start) + position as u64;
            symbols.push(GuestSymbol { name: shown(function), address, size: 1, kind: GuestSymbolKind::Function });
        };
        match &segment.items {
            ElementItems::Functions(functions) => {
                functions.iter().enumerate().for_each(|(position, &function)| name(position, function));
            }
            ElementItems::Expressions(items) => {
                for (position, item) in items.iter().enumerate() {
                    if let [ConstOp::RefFunc(function)] = item.ops[..] {
                        name(position, function);
                    }
                }
            }
        }
    }
    // A null pointer has no name.
    symbols.retain(|symbol| symbol.address != 0);
    symbols
}

/// What memory 0 holds at the start, as far as it can be known.
struct InitialMemory<'a> {
    /// Address and bytes, by address.
    segments: Vec<(u32, &'a [u8])>,
}

impl<'a> InitialMemory<'a> {
    fn new(module: &Module, wasm: &'a [u8]) -> InitialMemory<'a> {
        let mut segments: Vec<(u32, &[u8])> = module
            .data
            .iter()
            .filter_map(|segment| {
                let SegmentMode::Active { index: 0, offset } = &segment.mode else { return None };
                Some((constant(offset)?, wasm.get(segment.bytes.clone())?))
            })
            .filter(|(start, bytes)| u64::from(*start) + bytes.len() as u64 <= u64::from(u32::MAX))
            .collect();
        segments.sort_by_key(|(start, _)| *start);
        InitialMemory { segments }
    }

    fn holds(&self, address: u64) -> bool {
        u32::try_from(address).is_ok_and(|address| self.from(address).is_some())
    }

    /// The bytes from an address to the end of its segment.
    fn from(&self, address: u32) -> Option<&'a [u8]> {
        let index = self.segments.partition_point(|(start, _)| *start <= address).checked_sub(1)?;
        let (start, bytes) = self.segments[index];
        bytes.get((address - start) as usize..).filter(|rest| !rest.is_empty())
    }

    fn word(&self, address: u32) -> Option<u32> {
        self.from(address)?.first_chunk().map(|word| u32::from_le_bytes(*word))
    }

    fn string(&self, address: u32) -> Option<&'a str> {
        let bytes = self.from(address)?;
        let end = bytes.iter().take(MAX_NAME).position(|&byte| byte == 0)?;
        std::str::from_utf8(&bytes[..end]).ok()
    }

    /// Every aligned word with its address.
    fn words(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.segments.iter().flat_map(|&(start, bytes)| {
            let first = start.next_multiple_of(4);
            let aligned = bytes.get((first - start) as usize..).unwrap_or_default();
            aligned.chunks_exact(4).enumerate().map(move |(index, word)| {
                (first + 4 * index as u32, u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            })
        })
    }

    /// Where these bytes lie.
    fn find(&self, wanted: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        for &(start, bytes) in &self.segments {
            let at = bytes.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
            found.extend(at.map(|(offset, _)| start + offset as u32));
        }
        found
    }
}

/// Longer names of types are not believed.
const MAX_NAME: usize = 1 << 14;

/// The names of the classes of type descriptions; the last one's objects have a list of bases.
const DESCRIPTIONS: [&[u8]; 3] = [
    b"N10__cxxabiv117__class_type_infoE\0",
    b"N10__cxxabiv120__si_class_type_infoE\0",
    b"N10__cxxabiv121__vmi_class_type_infoE\0",
];

/// What memory holds of C++'s classes.
#[derive(Default)]
struct ClassObjects {
    /// The virtual tables, type descriptions and type names.
    symbols: Vec<GuestSymbol>,
    /// Addresses that are to have no name.
    ///
    /// gdb looks for the dynamic type of an object with virtual bases by a symbol two 8-byte words before where the object points
    /// to, a pointer for which it takes the guest's and the four bytes behind. Where these are zeros it would find what
    /// lies before the table, and read the object as another one.
    unnamed: Vec<u32>,
}

/// What the description of a class says of a base.
struct Base {
    description: u32,
    is_virtual: bool,
}

/// Finds them by the layout of type descriptions and virtual tables.
fn class_objects(memory: &InitialMemory<'_>, table_size: u32) -> ClassObjects {
    let names = DESCRIPTIONS.map(|name| memory.find(name));
    if names.iter().all(Vec::is_empty) {
        return ClassObjects::default();
    }
    let mut referrers: HashMap<u32, Vec<u32>> = HashMap::new();
    for (at, word) in memory.words() {
        referrers.entry(word).or_default().push(at);
    }
    let referring = |address: u32| referrers.get(&address).map(Vec::as_slice).unwrap_or_default();
    // A virtual table begins with the offset to the top of the object, 0 in a primary one, and the description of the
    // class; then come the functions, to which objects point.
    let points_to = |description: u32| {
        referring(description).iter().copied().filter(|&at| at >= 4 && memory.word(at - 4) == Some(0)).map(|at| at + 4)
    };

    // The classes of descriptions are described, too: find these descriptions, their virtual tables, and so all others.
    let mut descriptions: HashMap<u32, &str> = HashMap::new();
    let mut base_lists: HashSet<u32> = HashSet::new();
    let mut heirs: HashMap<u32, Vec<Base>> = HashMap::new();
    for (kind, names) in names.iter().enumerate() {
        let classes = names.iter().flat_map(|&name| referring(name)).filter_map(|at| at.checked_sub(4));
        for object in classes.flat_map(points_to).flat_map(referring) {
            let Some(name) = memory.word(object + 4).and_then(|name| memory.string(name)) else { continue };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                continue;
            }
            descriptions.insert(*object, name.trim_start_matches('*'));
            let (first, count) = match kind {
                0 => continue,
                1 => (object + 8, 1),
                _ => (object + 16, memory.word(object + 12).unwrap_or(0).min(1 << 10)),
            };
            let list = (0..count).map(|index| first + 8 * index);
            if kind == 2 {
                base_lists.extend(list.clone());
            }
            let base = |at| {
                let is_virtual = kind == 2 && memory.word(at + 4).is_some_and(|flags| flags & 1 != 0);
                Some(Base { description: memory.word(at)?, is_virtual })
            };
            heirs.insert(*object, list.filter_map(base).collect());
        }
    }

    let mut symbols = Vec::new();
    let mut add = |kind: &str, name: &str, address: u32, size: u32| {
        let (address, size) = (u64::from(address), u64::from(size.max(1)));
        symbols.push(GuestSymbol { name: format!("{kind}{name}"), address, size, kind: GuestSymbolKind::Data });
    };
    let mut sorted: Vec<_> = descriptions.iter().collect();
    sorted.sort_unstable();
    for (&description, name) in sorted {
        add("_ZTI", name, description, 8);
        if let Some(text) = memory.word(description + 4) {
            add("_ZTS", name, text, name.len() as u32 + 1);
        }
        for point in points_to(description).filter(|point| !base_lists.contains(&(point - 4))) {
            add("_ZTV", name, point - 8, table_length(memory, point, description, table_size) + 8);
        }
    }

    let tables = with_virtual_bases(&heirs).into_iter().flat_map(|description| {
        let is_table = |at: u32| {
            at >= 12 && !base_lists.contains(&at) && memory.word(at - 4).is_some_and(|top| top.cast_signed() <= 0)
        };
        referring(description).iter().copied().filter(move |&at| is_table(at))
    });
    let mut unnamed: Vec<u32> = tables.map(|at| at + 4 - GDB_TABLE_HEADER).collect();
    unnamed.sort_unstable();
    ClassObjects { symbols, unnamed }
}

/// What gdb expects of a virtual table before the place that objects point to: two words of the host.
const GDB_TABLE_HEADER: u32 = 16;

/// The descriptions of classes that have a virtual base, themselves or by their bases.
fn with_virtual_bases(heirs: &HashMap<u32, Vec<Base>>) -> HashSet<u32> {
    let mut found: HashSet<u32> = HashSet::new();
    loop {
        let known = found.len();
        let more = heirs
            .iter()
            .filter(|(_, bases)| bases.iter().any(|base| base.is_virtual || found.contains(&base.description)));
        found = more.map(|(&description, _)| description).collect();
        if found.len() == known {
            return found;
        }
    }
}

/// How many bytes from its address point on a virtual table has, the secondary ones of the same class included.
fn table_length(memory: &InitialMemory<'_>, point: u32, description: u32, table_size: u32) -> u32 {
    // Offsets of virtual bases and calls stand before a secondary table.
    const MAX_OFFSETS: u32 = 16;
    let mut end = point;
    loop {
        while memory.word(end).is_some_and(|word| word != 0 && word < table_size) {
            end += 4;
        }
        let next = (0..MAX_OFFSETS).map(|index| end + 4 * index).find(|&at| memory.word(at) == Some(description));
        match next {
            Some(at) if at >= 4 && memory.word(at - 4).is_some_and(|offset| offset.cast_signed() < 0) => end = at + 4,
            _ => return end - point,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environ::Tunables;

    fn symbols(text: &str) -> Vec<(String, u64, u64)> {
        symbols_for(text, PointerFlavour::Gdb)
    }

    fn symbols_for(text: &str, pointer_flavour: PointerFlavour) -> Vec<(String, u64, u64)> {
        let wasm = wat::parse_str(text).unwrap();
        let tunables = Tunables { debug_info: DebugInfo::Full, pointer_flavour, ..Tunables::default() };
        let translation = ModuleTranslation::parse(&wasm, &tunables).unwrap();
        guest_symbols(&translation, &[]).into_iter().map(|it| (it.name, it.address, it.size)).collect()
    }

    #[test]
    fn functions_are_named_by_their_table_indices() {
        let found = symbols(
            r#"(module (table 8 funcref) (memory 1)
                 (elem (i32.const 1) $one $two) (elem (i32.const 6) $one) (elem (i32.const 0) $two)
                 (data (i32.const 6) "x")
                 (func $one) (func $two))"#,
        );
        // 0 is the null pointer; 6 is an address of data.
        assert_eq!(found, [("one".to_owned(), 1, 1), ("two".to_owned(), 2, 1)]);
    }

    #[test]
    fn gdb_does_not_take_functions_of_the_table_for_functions_of_ada() {
        let text = r#"(module (table 8 funcref)
            (elem (i32.const 1) $uv__read $plain_name $Upper__case $_under__score $copy.12 $crate::walk__all)
            (func $uv__read) (func $plain_name) (func $Upper__case) (func $_under__score) (func $copy.12) (func $crate::walk__all))"#;
        let names = |flavour| symbols_for(text, flavour).into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
        let plain = ["uv__read", "plain_name", "Upper__case", "_under__score", "copy.12", "crate::walk__all"];
        assert_eq!(names(PointerFlavour::Lldb), plain);
        let for_gdb = names(PointerFlavour::Gdb);
        assert_eq!(
            for_gdb,
            ["_Z8uv__read", "plain_name", "Upper__case", "_under__score", "_Z7copy.12", "_Z16crate::walk__all"]
        );
        assert_eq!(demangle("_Z8uv__read"), "uv__read");
    }

    /// A module with these words and texts in memory.
    fn module(base: i32, texts: &[(usize, &[u8])], words: &[(usize, Vec<i32>)]) -> String {
        let mut data = vec![0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
        texts.iter().for_each(|(at, text)| put(*at, text));
        for (at, words) in words {
            words.iter().enumerate().for_each(|(index, word)| put(at + 4 * index, &word.to_le_bytes()));
        }
        let bytes: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        format!(r#"(module (memory 1) (table 10 funcref) (data (i32.const {base}) "{bytes}"))"#)
    }

    #[test]
    fn virtual_tables_are_found_by_their_layout() {
        // The description of __class_type_info at 100 and its virtual table at 112; the same of __si_class_type_info.
        let base = 1000;
        let texts: [(usize, &[u8]); 4] =
            [(0, DESCRIPTIONS[0]), (40, b"5Shape\0"), (48, b"3Box\0"), (56, DESCRIPTIONS[1])];
        let words = [
            (100, vec![base + 136, base]),
            (112, vec![0, base + 100, 3, 4]),
            (128, vec![0, base + 140, 5, 6]),
            (140, vec![base + 136, base + 56, base + 100]),
            // Shape and Box, which is derived from it and has a secondary table.
            (160, vec![base + 120, base + 40]),
            (168, vec![base + 136, base + 48, base + 160]),
            (180, vec![0, base + 168, 7, 8, -4, base + 168, 9]),
        ];
        let text = module(base, &texts, &words);
        let found = symbols(&text);
        let has = |name: &str, address: u64, size: u64| found.contains(&(name.to_owned(), address, size));
        assert!(has("_ZTV3Box", 1180, 28), "{found:?}");
        assert!(has("_ZTI3Box", 1168, 8), "{found:?}");
        assert!(has("_ZTS5Shape", 1040, 7), "{found:?}");
        assert!(!found.iter().any(|(name, ..)| name == "_ZTV5Shape"), "{found:?}");
        assert!(!found.iter().any(|(name, ..)| name.is_empty()), "no class has virtual bases: {found:?}");
        let found = symbols_for(&text, PointerFlavour::Lldb);
        assert!(found.contains(&("vtable of Box".to_owned(), 1180, 28)), "{found:?}");
        assert!(!found.iter().any(|(name, ..)| name.starts_with("_ZTV")), "{found:?}");
    }

    #[test]
    fn nothing_has_a_name_where_gdb_looks_for_the_tables_of_classes_with_virtual_bases() {
        let base = 1000;
        let texts: [(usize, &[u8]); 6] = [
            (0, DESCRIPTIONS[0]),
            (40, b"5Shape\0"),
            (48, b"3Box\0"),
            (52, b"4Cube\0"),
            (60, DESCRIPTIONS[1]),
            (100, DESCRIPTIONS[2]),
        ];
        let words = [
            // The descriptions of the three kinds of descriptions, and their tables.
            (140, vec![base + 184, base]),
            (152, vec![base + 200, base + 60, base + 140]),
            (164, vec![base + 200, base + 100, base + 140]),
            (176, vec![0, base + 140, 3, 4]),
            (192, vec![0, base + 152, 3, 4]),
            (208, vec![0, base + 164, 3, 4]),
            // Shape; Box with Shape as a virtual base; Cube, which is derived from Box.
            (224, vec![base + 184, base + 40]),
            (232, vec![base + 216, base + 48, 0, 1, base + 224, (-12 << 8) | 3]),
            (256, vec![base + 200, base + 52, base + 232]),
            // Tables: Shape's; Box's and the one of its base; Cube's and the one of its base.
            (268, vec![0, base + 224, 5, 6]),
            (284, vec![8, 0, base + 232, 7, -8, -8, base + 232, 8]),
            (316, vec![8, 0, base + 256, 7, -8, -8, base + 256, 8]),
        ];
        let text = module(base, &texts, &words);
        let gaps = |flavour| {
            let found = symbols_for(&text, flavour).into_iter().filter(|(name, ..)| name.is_empty());
            found.map(|(_, address, size)| (address - 1000, size)).collect::<Vec<_>>()
        };
        // Objects point behind each table's description: to 296, 312, 328 and 344. gdb takes them for 16 bytes from the begin.
        assert_eq!(gaps(PointerFlavour::Gdb), [(280, 1), (296, 1), (312, 1), (328, 1)]);
        assert!(gaps(PointerFlavour::Lldb).is_empty());
    }
}
