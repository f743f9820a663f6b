//! Plain facts in, the bytes of an artifact out.

use std::collections::{HashMap, HashSet};

use object::elf;

use crate::elf::{ABSOLUTE, Contents, ElfImage, ImageSection, ImageSymbol};
use crate::read::META_HEADER;
use crate::rows::{AddressMapRow, FunctionKind, FunctionRow, HomeRow, RelocationRow, StackMapRow, TrapRow};
use crate::table::{Row as _, Table};
use crate::{
    BuildError, CodeOffset, FORMAT_VERSION, INSTANCE_SYMBOL, LinkLayout, Loss, Machine, RelocationTarget, TextOffset,
    WasmOffset, section,
};

/// Everything an artifact holds, as plain data.
///
/// Fill the fields, then call [`finish`](Self::finish). The same input gives the same bytes.
#[derive(Clone, Debug)]
pub struct ArtifactBuilder {
    /// The machine the code is for.
    pub machine: Machine,
    /// All code of the module, linked at [`TEXT_ADDRESS`](crate::TEXT_ADDRESS) with every relocation of its own resolved.
    pub text: Vec<u8>,
    /// The frame table, written for [`LinkLayout::eh_frame_address`].
    pub eh_frame: Vec<u8>,
    /// Its search table, written for [`LinkLayout::eh_frame_hdr_address`].
    pub eh_frame_hdr: Vec<u8>,
    /// The `.debug_*` sections.
    pub debug_sections: Vec<DebugSection>,
    /// Every piece of code: functions, trampolines, stubs, in any order.
    pub functions: Vec<Function>,
    /// More names for code: exports, helpers inside of a stub.
    pub symbols: Vec<Symbol>,
    /// Names for the guest's own addresses: table indices and places in linear memory.
    pub guest_symbols: Vec<GuestSymbol>,
    /// The size of the instance cell in bytes, at least 8.
    pub instance_cell_size: u32,
    /// Debug info that could not be translated, to be listed by tools. Of many rows the first 1000 are kept.
    pub losses: Vec<Loss>,
    /// The wasm module.
    pub module: Vec<u8>,
    /// The engine's own bytes; this crate does not look at them.
    pub meta: Vec<u8>,
}

/// A name for an address of the guest, where its pointers point: to code by an index of a table, to data by an offset in
/// linear memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSymbol {
    /// The linkage name.
    pub name: String,
    /// The table index or the wasm address.
    pub address: u64,
    /// How many addresses it covers, at least 1.
    pub size: u64,
    /// What is there.
    pub kind: GuestSymbolKind,
}

/// The words of an instance cell: the context of the instance that runs, where that has the guest's stack pointer, one for
/// debuggers to write.
const INSTANCE_CELL_SIZE: u32 = 24;

/// What a guest's address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestSymbolKind {
    /// The address is an index of a function.
    Function,
    /// Data in linear memory.
    Data,
    /// Nothing that a debugger is to have a name for, whatever covers the address otherwise.
    Gap,
}

/// A DWARF section.
#[derive(Clone, Debug, Default)]
pub struct DebugSection {
    /// Its name, with the dot: `.debug_info`.
    pub name: String,
    /// Its bytes. What stands in the words that `relocations` names does not matter.
    pub bytes: Vec<u8>,
    /// Its words that hold addresses, in any order.
    pub relocations: Vec<DebugRelocation>,
}

/// A word of a debug section that holds an address: `target + addend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugRelocation {
    /// The word's offset in its section.
    pub offset: u32,
    /// The word's size: 4 or 8 bytes.
    pub size: u8,
    /// What the address is relative to.
    pub target: RelocationTarget,
    /// The distance from the target.
    pub addend: i64,
}

/// One piece of code and what is known about it.
///
/// Code offsets are relative to this function; wasm offsets to the contents of the code section.
#[derive(Clone, Debug)]
pub struct Function {
    /// What it is.
    pub kind: FunctionKind,
    /// Its linkage name as it is to be in the symbol table; empty for none.
    pub name: String,
    /// Where its code starts.
    pub text: TextOffset,
    /// The size of its code in bytes.
    pub size: u32,
    /// Its wasm body; empty for code that has none.
    pub body: std::ops::Range<u32>,
    /// Code to operators, in any order. A row covers the code up to the next row.
    pub address_map: AddressMap,
    /// Its trapping instructions, in any order.
    pub traps: Vec<Trap>,
    /// Its safepoints, in any order.
    pub stack_maps: Vec<StackMap>,
    /// The wasm locals that live in its frame.
    pub homes: Vec<LocalHome>,
    /// The CFA-relative offset of the word that holds the vmctx.
    pub vmctx_home: Option<i32>,
}

impl Function {
    /// A function of which nothing but its place is known.
    pub fn new(kind: FunctionKind, name: impl Into<String>, text: TextOffset, size: u32) -> Function {
        Function {
            kind,
            name: name.into(),
            text,
            size,
            body: 0..0,
            address_map: AddressMap::default(),
            traps: Vec::new(),
            stack_maps: Vec::new(),
            homes: Vec::new(),
            vmctx_home: None,
        }
    }

    fn label(&self) -> String {
        if self.name.is_empty() { format!("{:?}", self.kind) } else { self.name.clone() }
    }
}

/// Code from `code` on belongs to one operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressMapEntry {
    /// Where the code starts.
    pub code: CodeOffset,
    /// The operator; `None` for code the compiler made up.
    pub wasm: Option<WasmOffset>,
    /// Is this a statement anchor?
    pub anchor: bool,
}

/// Entries of a function's address map in eight bytes each: there are more of them than of anything else in an artifact.
#[derive(Clone, Default)]
pub struct AddressMap(Vec<u8>);

impl AddressMap {
    /// Adds an entry. Offsets of 2 GiB and more, which lie in no function, count as the largest below.
    pub fn push(&mut self, entry: AddressMapEntry) {
        let text = TextOffset(entry.code.0.min(i32::MAX as u32));
        AddressMapRow { text, wasm: entry.wasm, anchor: entry.anchor }.encode(&mut self.0);
    }

    /// The entries, in the order in which they were added.
    pub fn entries(&self) -> impl Iterator<Item = AddressMapEntry> {
        Table::<AddressMapRow>::new(&self.0).iter().map(|row| AddressMapEntry {
            code: CodeOffset(row.text.0),
            wasm: row.wasm,
            anchor: row.anchor,
        })
    }
}

impl FromIterator<AddressMapEntry> for AddressMap {
    fn from_iter<I: IntoIterator<Item = AddressMapEntry>>(entries: I) -> AddressMap {
        let entries = entries.into_iter();
        let mut map = AddressMap(Vec::with_capacity(entries.size_hint().0 * AddressMapRow::SIZE));
        entries.for_each(|entry| map.push(entry));
        map
    }
}

impl std::fmt::Debug for AddressMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

/// An instruction that traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The instruction.
    pub code: CodeOffset,
    /// Why: the number of a [`TrapCode`](crate::TrapCode).
    pub trap_code: u8,
}

/// The references in a frame while a call is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackMap {
    /// The return address of the call.
    pub return_address: CodeOffset,
    /// The words that hold references: how many bytes each begins below the frame pointer.
    pub slots: Vec<u32>,
}

/// A wasm local that lives in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalHome {
    /// The local's index.
    pub local: u32,
    /// Where it lies, relative to the canonical frame address.
    pub cfa_offset: i32,
    /// Its size in bytes.
    pub size: u8,
    /// Does code read the home back, so that a debugger's write takes effect?
    pub writable: bool,
}

/// One more name for code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The name.
    pub name: String,
    /// Where the code starts.
    pub text: TextOffset,
    /// Its size in bytes.
    pub size: u32,
}

impl ArtifactBuilder {
    /// A builder without any contents.
    pub fn new(machine: Machine) -> ArtifactBuilder {
        ArtifactBuilder {
            machine,
            text: Vec::new(),
            eh_frame: Vec::new(),
            eh_frame_hdr: Vec::new(),
            debug_sections: Vec::new(),
            functions: Vec::new(),
            symbols: Vec::new(),
            guest_symbols: Vec::new(),
            instance_cell_size: INSTANCE_CELL_SIZE,
            losses: Vec::new(),
            module: Vec::new(),
            meta: Vec::new(),
        }
    }

    /// The link addresses of the sections as they are now.
    pub fn layout(&self) -> LinkLayout {
        LinkLayout::new(self.machine, self.text.len(), self.eh_frame.len(), self.eh_frame_hdr.len())
    }

    /// The bytes of the ELF file.
    pub fn finish(mut self) -> Result<Vec<u8>, BuildError> {
        if self.text.len() >= 1 << 31 {
            return Err(BuildError::TextTooLarge(self.text.len()));
        }
        self.functions.sort_by_key(|function| (function.text, function.kind));
        let names = self.functions.iter_mut().map(|function| &mut function.name);
        let more = self.symbols.iter_mut().map(|symbol| &mut symbol.name);
        for name in names.chain(more).chain(self.guest_symbols.iter_mut().map(|symbol| &mut symbol.name)) {
            // A wasm name may contain NUL, an ELF name ends there.
            if name.contains('\0') {
                *name = name.replace('\0', "\u{fffd}");
            }
        }
        self.check_functions()?;

        let layout = self.layout();
        let names = SymbolPlan::new(&self.functions, &self.symbols, self.text.len())?;
        let tables = FunctionTables::encode(&self.functions, &names)?;
        let relocations = resolve_debug_sections(&mut self.debug_sections, &layout)?;
        let meta = encode_meta(&self.meta);

        let mut sections = loadable_sections(
            &layout,
            LoadableContents {
                text: Contents::Bytes(&self.text),
                eh_frame: &self.eh_frame,
                eh_frame_hdr: &self.eh_frame_hdr,
                instance_cell_size: u64::from(self.instance_cell_size.max(8)),
                eh_frame_is_loaded: true,
            },
        );
        debug_assert_eq!(sections.len(), FIRST_DEBUG_SECTION - 1);
        sections.extend(self.debug_sections.iter().map(|debug| ImageSection::debug(&debug.name, &debug.bytes)));
        for (name, bytes) in [
            (section::META, &meta),
            (section::MODULE, &self.module),
            (section::FUNCTIONS, &tables.functions),
            (section::ADDRESS_MAP, &tables.address_map),
            (section::TRAPS, &tables.traps),
            (section::STACK_MAPS, &tables.stack_maps),
            (section::HOMES, &tables.homes),
            (section::RELOCATIONS, &relocations),
        ] {
            sections.push(ImageSection::private(name, bytes));
        }

        let losses = crate::losses::encode(&self.losses);
        if !losses.is_empty() {
            sections.push(ImageSection::private(section::LOSSES, &losses));
        }

        let mut symbols = names.into_image_symbols(&layout, self.instance_cell_size.max(8));
        symbols.extend(self.guest_symbols.iter().map(|symbol| ImageSymbol {
            name: symbol.name.as_bytes(),
            section: ABSOLUTE,
            kind: match symbol.kind {
                GuestSymbolKind::Function => elf::STT_FUNC,
                GuestSymbolKind::Data => elf::STT_OBJECT,
                GuestSymbolKind::Gap => elf::STT_NOTYPE,
            },
            bind: elf::STB_GLOBAL,
            address: symbol.address,
            size: symbol.size,
        }));
        let mut bytes = ElfImage { machine: self.machine, sections, symbols }.write()?;
        crate::read::seal(&mut bytes)?;
        Ok(bytes)
    }

    fn check_functions(&self) -> Result<(), BuildError> {
        let mut kinds = HashSet::new();
        let mut previous: Option<&Function> = None;
        for function in &self.functions {
            let end = u64::from(function.text.0) + u64::from(function.size);
            if end > self.text.len() as u64 {
                return Err(BuildError::FunctionOutsideText {
                    name: function.label(),
                    offset: function.text.0,
                    size: function.size,
                });
            }
            if let Some(previous) = previous
                && previous.text.0 + previous.size > function.text.0
            {
                return Err(BuildError::FunctionsOverlap { first: previous.label(), second: function.label() });
            }
            if !kinds.insert(function.kind) {
                return Err(BuildError::DuplicateFunction(function.label()));
            }
            previous = Some(function);
        }
        Ok(())
    }
}

/// The sections that every image starts with, at fixed indices: `.text` is 1, `.wasmscope.instance` is 4.
pub(crate) const TEXT_SECTION: u32 = 1;
pub(crate) const INSTANCE_SECTION: u32 = 4;
const FIRST_DEBUG_SECTION: usize = 5;

pub(crate) struct LoadableContents<'a> {
    pub text: Contents<'a>,
    pub eh_frame: &'a [u8],
    pub eh_frame_hdr: &'a [u8],
    pub instance_cell_size: u64,
    pub eh_frame_is_loaded: bool,
}

pub(crate) fn loadable_sections<'a>(layout: &LinkLayout, contents: LoadableContents<'a>) -> Vec<ImageSection<'a>> {
    let alloc = elf::SHF_ALLOC;
    let table = if contents.eh_frame_is_loaded { alloc } else { elf::SectionFlags(0) };
    let section =
        |name, kind, flags, address, align, contents| ImageSection { name, kind, flags, address, align, contents };
    let text_kind = match contents.text {
        Contents::Bytes(_) => elf::SHT_PROGBITS,
        Contents::Nothing(_) => elf::SHT_NOBITS,
    };
    vec![
        section(".text", text_kind, alloc | elf::SHF_EXECINSTR, layout.text, 64, contents.text),
        section(".eh_frame", elf::SHT_PROGBITS, table, layout.eh_frame, 8, Contents::Bytes(contents.eh_frame)),
        section(
            ".eh_frame_hdr",
            elf::SHT_PROGBITS,
            table,
            layout.eh_frame_hdr,
            4,
            Contents::Bytes(contents.eh_frame_hdr),
        ),
        section(
            section::INSTANCE,
            elf::SHT_NOBITS,
            alloc | elf::SHF_WRITE,
            layout.instance_cell,
            8,
            Contents::Nothing(contents.instance_cell_size),
        ),
    ]
}

/// Which symbols there are, and which number each function's symbol has.
struct SymbolPlan<'a> {
    /// Local symbols first, as ELF wants it.
    symbols: Vec<(&'a str, TextOffset, u32, elf::SymbolBind)>,
    /// For each function its number in the symbol table, zero for none.
    of_function: Vec<u32>,
}

impl<'a> SymbolPlan<'a> {
    fn new(functions: &'a [Function], extra: &'a [Symbol], text_len: usize) -> Result<Self, BuildError> {
        for symbol in extra {
            if u64::from(symbol.text.0) + u64::from(symbol.size) > text_len as u64 {
                return Err(BuildError::SymbolOutsideText(symbol.name.clone()));
            }
        }
        let named = functions.iter().enumerate().filter(|(_, function)| !function.name.is_empty());
        let named = named.map(|(index, function)| (Some(index), function.name.as_str(), function.text, function.size));
        let extra = extra.iter().map(|symbol| (None, symbol.name.as_str(), symbol.text, symbol.size));
        let all: Vec<_> = named.chain(extra).collect();

        // A global name may occur only once; guests have many `static` functions of one name.
        let mut uses: HashMap<&str, u32> = HashMap::new();
        for (_, name, ..) in &all {
            *uses.entry(name).or_default() += 1;
        }
        let is_local = |name: &str| uses[name] > 1;

        let mut plan = SymbolPlan { symbols: Vec::with_capacity(all.len()), of_function: vec![0; functions.len()] };
        for bind in [elf::STB_LOCAL, elf::STB_GLOBAL] {
            for &(function, name, text, size) in &all {
                if is_local(name) == (bind == elf::STB_LOCAL) {
                    plan.symbols.push((name, text, size, bind));
                    if let Some(function) = function {
                        plan.of_function[function] = plan.symbols.len() as u32;
                    }
                }
            }
        }
        Ok(plan)
    }

    fn into_image_symbols(self, layout: &LinkLayout, cell_size: u32) -> Vec<ImageSymbol<'a>> {
        let code = self.symbols.into_iter().map(|(name, text, size, bind)| ImageSymbol {
            name: name.as_bytes(),
            section: TEXT_SECTION,
            kind: elf::STT_FUNC,
            bind,
            address: layout.text + u64::from(text.0),
            size: u64::from(size),
        });
        code.chain([instance_symbol(layout.instance_cell, u64::from(cell_size))]).collect()
    }
}

pub(crate) fn instance_symbol(address: u64, size: u64) -> ImageSymbol<'static> {
    ImageSymbol {
        name: INSTANCE_SYMBOL.as_bytes(),
        section: INSTANCE_SECTION,
        kind: elf::STT_OBJECT,
        bind: elf::STB_GLOBAL,
        address,
        size,
    }
}

/// The bytes of the sections that describe functions.
#[derive(Default)]
struct FunctionTables {
    functions: Vec<u8>,
    address_map: Vec<u8>,
    traps: Vec<u8>,
    stack_maps: Vec<u8>,
    homes: Vec<u8>,
}

impl FunctionTables {
    fn encode(functions: &[Function], names: &SymbolPlan<'_>) -> Result<FunctionTables, BuildError> {
        let mut tables = FunctionTables::default();
        let mut rows = Vec::with_capacity(functions.len());
        let mut stack_map_rows = Vec::new();
        let mut slots: Vec<u32> = Vec::new();
        let (mut address_map_len, mut homes_len) = (0u32, 0u32);

        for (function, &symbol) in functions.iter().zip(&names.of_function) {
            let address_map = address_map_rows(function)?;
            for row in &address_map {
                row.encode(&mut tables.address_map);
            }
            let mut traps = function.traps.clone();
            traps.sort_by_key(|trap| trap.code);
            traps.dedup_by_key(|trap| trap.code);
            for trap in traps {
                let text = text_offset(function, trap.code, "trap", false)?;
                TrapRow { text, code: trap.trap_code }.encode(&mut tables.traps);
            }
            let mut stack_maps: Vec<&StackMap> = function.stack_maps.iter().collect();
            stack_maps.sort_by_key(|map| map.return_address);
            for map in stack_maps {
                stack_map_rows.push(StackMapRow {
                    return_address: text_offset(function, map.return_address, "stack map", true)?,
                    first_slot: count(slots.len(), "stack map slots")?,
                });
                slots.extend_from_slice(&map.slots);
            }
            for home in &function.homes {
                HomeRow { local: home.local, cfa_offset: home.cfa_offset, size: home.size, writable: home.writable }
                    .encode(&mut tables.homes);
            }
            rows.push(FunctionRow {
                kind: function.kind,
                text: function.text,
                size: function.size,
                body: WasmOffset(function.body.start),
                body_size: function.body.end.saturating_sub(function.body.start),
                vmctx_home: function.vmctx_home,
                symbol,
                address_map: (address_map_len, count(address_map.len(), "address map")?),
                homes: (homes_len, count(function.homes.len(), "homes")?),
            });
            address_map_len = add(address_map_len, address_map.len(), "address map")?;
            homes_len = add(homes_len, function.homes.len(), "homes")?;
        }

        encode_functions(&rows, &mut tables.functions)?;
        encode_stack_maps(&stack_map_rows, &slots, &mut tables.stack_maps)?;
        Ok(tables)
    }
}

fn count(len: usize, table: &'static str) -> Result<u32, BuildError> {
    u32::try_from(len).map_err(|_| BuildError::TableTooLarge(table))
}

fn add(total: u32, len: usize, table: &'static str) -> Result<u32, BuildError> {
    count(total as usize + len, table)
}

/// A return address may lie at the very end of its function (a call that never returns); nothing else may.
fn text_offset(
    function: &Function,
    code: CodeOffset,
    table: &'static str,
    end_is_inside: bool,
) -> Result<TextOffset, BuildError> {
    if code.0 < function.size || (end_is_inside && code.0 == function.size) {
        Ok(TextOffset(function.text.0 + code.0))
    } else {
        Err(BuildError::OffsetOutsideFunction { table, name: function.label(), offset: code, size: function.size })
    }
}

/// Sorted, one row an offset (the last one given wins, an anchor stays an anchor), no repeated rows.
fn address_map_rows(function: &Function) -> Result<Vec<AddressMapRow>, BuildError> {
    let mut entries: Vec<_> = function.address_map.entries().collect();
    entries.sort_by_key(|entry| entry.code);
    let mut rows: Vec<AddressMapRow> = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.code.0 == function.size {
            continue;
        }
        let text = text_offset(function, entry.code, "address map", false)?;
        let row = AddressMapRow { text, wasm: entry.wasm, anchor: entry.anchor };
        match rows.last_mut() {
            Some(last) if last.text == text => {
                let anchor = last.anchor || row.anchor;
                *last = AddressMapRow { anchor, ..row };
            }
            Some(last) if last.wasm == row.wasm && !row.anchor && !last.anchor => {}
            _ => rows.push(row),
        }
    }
    Ok(rows)
}

/// `.wasmscope.functions`: the number of rows, four bytes of zero, the rows, then the row numbers ordered by kind.
fn encode_functions(rows: &[FunctionRow], out: &mut Vec<u8>) -> Result<(), BuildError> {
    out.extend_from_slice(&count(rows.len(), "functions")?.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for row in rows {
        row.encode(out);
    }
    let mut by_kind: Vec<u32> = (0..rows.len() as u32).collect();
    by_kind.sort_by_key(|&index| rows[index as usize].kind);
    for index in by_kind {
        out.extend_from_slice(&index.to_le_bytes());
    }
    Ok(())
}

/// `.wasmscope.stackmaps`: the number of rows, four bytes of zero, the rows, then the slots.
fn encode_stack_maps(rows: &[StackMapRow], slots: &[u32], out: &mut Vec<u8>) -> Result<(), BuildError> {
    out.extend_from_slice(&count(rows.len(), "stack maps")?.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for row in rows {
        row.encode(out);
    }
    for slot in slots {
        out.extend_from_slice(&slot.to_le_bytes());
    }
    Ok(())
}

/// Writes link addresses into the debug sections, and lists where they are.
fn resolve_debug_sections(sections: &mut [DebugSection], layout: &LinkLayout) -> Result<Vec<u8>, BuildError> {
    let mut names = HashSet::new();
    let mut table = Vec::new();
    for (index, debug) in sections.iter_mut().enumerate() {
        if !debug.name.starts_with(".debug_") || !names.insert(debug.name.clone()) {
            return Err(BuildError::BadDebugSectionName(debug.name.clone()));
        }
        let section = u16::try_from(FIRST_DEBUG_SECTION + index)
            .map_err(|_| BuildError::TableTooLarge("the section header table"))?;
        debug.relocations.sort_by_key(|relocation| relocation.offset);
        let mut free_from = 0u64;
        for relocation in &debug.relocations {
            let bad = |reason| BuildError::BadRelocation {
                section: debug.name.clone(),
                offset: relocation.offset,
                size: relocation.size,
                reason,
            };
            let (start, size) = (relocation.offset as usize, usize::from(relocation.size));
            if !matches!(size, 4 | 8) {
                return Err(bad("an address has 4 or 8 bytes"));
            }
            if (start as u64) < free_from {
                return Err(bad("overlaps the one before"));
            }
            let base = match relocation.target {
                RelocationTarget::Text => layout.text,
                RelocationTarget::InstanceCell => layout.instance_cell,
            };
            let value = base.wrapping_add_signed(relocation.addend);
            if size == 4 && value > u64::from(u32::MAX) {
                return Err(bad("the address does not fit"));
            }
            let Some(word) = debug.bytes.get_mut(start..start + size) else {
                return Err(bad("beyond the end of the section"));
            };
            word.copy_from_slice(&value.to_le_bytes()[..size]);
            free_from = (start + size) as u64;
            RelocationRow { section, offset: relocation.offset, size: relocation.size, target: relocation.target }
                .encode(&mut table);
        }
    }
    Ok(table)
}

fn encode_meta(engine: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(META_HEADER + engine.len());
    bytes.extend_from_slice(crate::read::MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(engine);
    bytes
}
