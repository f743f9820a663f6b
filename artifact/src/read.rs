//! An artifact, read where it lies.

use object::elf;
use object::read::elf::{FileHeader as _, SectionHeader as _, SectionTable, Sym as _, SymbolTable};
use object::read::{SectionIndex, SymbolIndex};
use object::{LittleEndian, ReadRef as _};
use twox_hash::XxHash3_128;

use crate::rows::{AddressMapRow, FunctionKind, FunctionRow, HomeRow, RelocationRow, StackMapRow, TrapRow};
use crate::table::{Row, Table, u32_at};
use crate::{
    ArtifactError, FORMAT_VERSION, GuestSymbolKind, LinkLayout, Loss, Machine, TextOffset, WasmOffset, section,
};

type Header = elf::FileHeader64<LittleEndian>;
const ENDIAN: LittleEndian = LittleEndian;

/// Magic, version, four bytes of zero, content hash.
pub(crate) const META_HEADER: usize = 32;
pub(crate) const MAGIC: &[u8; 8] = b"wscope\x1a\n";
const HASH: std::ops::Range<usize> = 16..32;

/// A compiled module in the bytes of its file.
///
/// Opening checks the bounds and the order of every table once; no accessor allocates or fails afterwards, so that they
/// can be used in a signal handler.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    data: &'a [u8],
    machine: Machine,
    layout: LinkLayout,
    text: &'a [u8],
    text_file_offset: u64,
    eh_frame: &'a [u8],
    eh_frame_hdr: &'a [u8],
    instance_cell_size: u64,
    debug_sections: Vec<NumberedSection<'a>>,
    engine_meta: &'a [u8],
    hash_offset: usize,
    module: &'a [u8],
    functions: Table<'a, FunctionRow>,
    functions_by_kind: Table<'a, u32>,
    address_map: Table<'a, AddressMapRow>,
    traps: Table<'a, TrapRow>,
    stack_maps: Table<'a, StackMapRow>,
    stack_map_slots: Table<'a, u32>,
    homes: Table<'a, HomeRow>,
    relocations: Table<'a, RelocationRow>,
    symbols: SymbolTable<'a, Header>,
    /// Their place in the file and their bytes.
    losses: (u64, &'a [u8]),
}

/// A section's ELF section index, its name and its bytes.
type NumberedSection<'a> = (u16, &'a str, &'a [u8]);

/// What is known about one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The number of the function's row.
    pub function_index: usize,
    /// The function.
    pub function: FunctionRow,
    /// The operator; `None` for code the compiler made up and for functions without an address map.
    pub wasm: Option<WasmOffset>,
    /// Where the operator's code starts.
    pub operator_start: TextOffset,
    /// Does the instruction belong to a statement anchor?
    pub anchor: bool,
}

impl<'a> Artifact<'a> {
    /// Opens an artifact.
    pub fn parse(data: &'a [u8]) -> Result<Artifact<'a>, ArtifactError> {
        let header = Header::parse(data)?;
        header.endian()?;
        let machine = header.e_machine(ENDIAN);
        let machine = Machine::from_elf(machine).ok_or(ArtifactError::UnknownMachine(machine.0))?;
        let sections = Sections { data, table: header.sections(ENDIAN, data)? };

        let meta = sections.find(section::META).ok_or(ArtifactError::NotAnArtifact(section::META))?.contents()?;
        let bad_meta = |reason| ArtifactError::BadSection { section: section::META.to_owned(), reason };
        if meta.bytes.len() < META_HEADER || &meta.bytes[..8] != MAGIC {
            return Err(bad_meta("does not start with the magic bytes"));
        }
        let found = u32_at(meta.bytes, 8);
        if found != FORMAT_VERSION {
            return Err(ArtifactError::WrongVersion { found, expected: FORMAT_VERSION });
        }

        let text = sections.contents(".text")?;
        let eh_frame = sections.contents(".eh_frame")?;
        let eh_frame_hdr = sections.contents(".eh_frame_hdr")?;
        let instance = sections.required(section::INSTANCE)?;
        if text.bytes.len() >= 1 << 31 {
            return Err(ArtifactError::BadSection { section: ".text".to_owned(), reason: "2 GiB or more" });
        }
        let layout = LinkLayout::new(machine, text.bytes.len(), eh_frame.bytes.len(), eh_frame_hdr.bytes.len());
        for (section, found, expected) in [
            (".text", text.address, layout.text),
            (".eh_frame", eh_frame.address, layout.eh_frame),
            (".eh_frame_hdr", eh_frame_hdr.address, layout.eh_frame_hdr),
            (section::INSTANCE, instance.address(), layout.instance_cell),
        ] {
            if found != expected {
                return Err(ArtifactError::WrongAddress { section, found, expected });
            }
        }
        let instance_cell_size = instance.size();
        if !(8..=1 << 20).contains(&instance_cell_size) {
            return Err(ArtifactError::BadSection {
                section: section::INSTANCE.to_owned(),
                reason: "not between 8 bytes and 1 MiB long",
            });
        }

        let functions = sections.contents(section::FUNCTIONS)?;
        let (functions_rows, functions_by_kind) = functions.counted::<FunctionRow, u32>()?;
        let stack_maps = sections.contents(section::STACK_MAPS)?;
        let (stack_map_rows, stack_map_slots) = stack_maps.counted::<StackMapRow, u32>()?;
        let address_map = sections.contents(section::ADDRESS_MAP)?;
        let traps = sections.contents(section::TRAPS)?;
        let homes = sections.contents(section::HOMES)?;
        let relocations = sections.contents(section::RELOCATIONS)?;
        let losses = sections.find(section::LOSSES).map(|section| section.contents()).transpose()?;
        let symbols = sections.table.symbols(ENDIAN, data, elf::SHT_SYMTAB)?;

        let artifact = Artifact {
            data,
            machine,
            layout,
            text: text.bytes,
            text_file_offset: text.file_offset,
            eh_frame: eh_frame.bytes,
            eh_frame_hdr: eh_frame_hdr.bytes,
            instance_cell_size,
            debug_sections: sections.debug()?,
            engine_meta: &meta.bytes[META_HEADER..],
            hash_offset: meta.file_offset as usize + HASH.start,
            module: sections.contents(section::MODULE)?.bytes,
            functions: functions_rows,
            functions_by_kind,
            address_map: address_map.table()?,
            traps: traps.table()?,
            stack_maps: stack_map_rows,
            stack_map_slots,
            homes: homes.table()?,
            relocations: relocations.table()?,
            symbols,
            losses: losses.map_or((0, &[]), |losses| (losses.file_offset, losses.bytes)),
        };
        artifact.check_functions(&functions)?;
        artifact.check_address_map(&address_map)?;
        artifact.check_traps(&traps)?;
        artifact.check_stack_maps(&stack_maps)?;
        artifact.check_relocations(&relocations)?;
        Ok(artifact)
    }

    /// Has this file the magic of an artifact, sound or not?
    pub fn is_artifact(data: &[u8]) -> bool {
        let find = || {
            let header = Header::parse(data).ok()?;
            header.endian().ok()?;
            let table = header.sections(ENDIAN, data).ok()?;
            Sections { data, table }.find(section::META).map(|_| ())
        };
        find().is_some()
    }

    fn check_functions(&self, source: &Contents<'a>) -> Result<(), ArtifactError> {
        let symbol_count = self.symbols.len();
        let text_len = self.text.len() as u64;
        let (mut end, mut rows_end, mut homes_end) = (0u64, 0u64, 0u64);
        for (index, bytes) in self.functions.bytes().chunks_exact(FunctionRow::SIZE).enumerate() {
            let bad = |reason| source.bad_row(index, 8, FunctionRow::SIZE, reason);
            let Some(row) = FunctionRow::try_decode(bytes) else { return Err(bad("unknown kind of function")) };
            if u64::from(row.text.0) < end {
                return Err(bad("overlaps the function before, or is out of order"));
            }
            end = u64::from(row.text.0) + u64::from(row.size);
            if end > text_len {
                return Err(bad("lies outside of .text"));
            }
            if row.body.0.checked_add(row.body_size).is_none() {
                return Err(bad("the wasm body ends beyond 4 GiB"));
            }
            if row.symbol as usize >= symbol_count.max(1) {
                return Err(bad("names a symbol that does not exist"));
            }
            // Each function's rows follow those of the function before, so that the tables as a whole are in order.
            if u64::from(row.address_map.0) != rows_end {
                return Err(bad("its address map does not follow that of the function before"));
            }
            rows_end += u64::from(row.address_map.1);
            if u64::from(row.homes.0) != homes_end {
                return Err(bad("its homes do not follow those of the function before"));
            }
            homes_end += u64::from(row.homes.1);
        }
        let whole = |section: &'static str, rows: u64, table: usize| {
            if rows == table as u64 {
                return Ok(());
            }
            Err(ArtifactError::BadSection {
                section: section.to_owned(),
                reason: "has another number of rows than its functions together",
            })
        };
        whole(section::ADDRESS_MAP, rows_end, self.address_map.len())?;
        whole(section::HOMES, homes_end, self.homes.len())?;

        if self.functions_by_kind.len() != self.functions.len() {
            return Err(ArtifactError::BadSection {
                section: section::FUNCTIONS.to_owned(),
                reason: "its index has another number of entries than it has rows",
            });
        }
        let mut previous = None;
        for (index, row) in self.functions_by_kind.iter().enumerate() {
            let bad = |reason| source.bad_row(index, 8 + self.functions.bytes().len(), 4, reason);
            let Some(function) = self.functions.get(row as usize) else {
                return Err(bad("the index names a row that does not exist"));
            };
            if previous.is_some_and(|previous: FunctionKind| previous >= function.kind) {
                return Err(bad("the index is not ordered by kind"));
            }
            previous = Some(function.kind);
        }
        Ok(())
    }

    fn check_address_map(&self, source: &Contents<'a>) -> Result<(), ArtifactError> {
        for function in self.functions.iter() {
            let mut free_from = function.text;
            let first = function.address_map.0 as usize;
            for (index, row) in self.address_map_of(&function).iter().enumerate() {
                if row.text < free_from || row.text >= function.end() {
                    let reason = "is out of order, or outside of its function";
                    return Err(source.bad_row(first + index, 0, AddressMapRow::SIZE, reason));
                }
                free_from = TextOffset(row.text.0 + 1);
            }
        }
        Ok(())
    }

    fn check_traps(&self, source: &Contents<'a>) -> Result<(), ArtifactError> {
        let mut free_from = 0;
        for (index, row) in self.traps.iter().enumerate() {
            if row.text.0 < free_from || row.text.0 as usize >= self.text.len() {
                return Err(source.bad_row(index, 0, TrapRow::SIZE, "is out of order, or outside of .text"));
            }
            free_from = row.text.0 + 1;
        }
        Ok(())
    }

    fn check_stack_maps(&self, source: &Contents<'a>) -> Result<(), ArtifactError> {
        let (mut free_from, mut first_slot) = (0, 0);
        for (index, row) in self.stack_maps.iter().enumerate() {
            let bad = |reason| source.bad_row(index, 8, StackMapRow::SIZE, reason);
            if row.return_address.0 < free_from || row.return_address.0 as usize > self.text.len() {
                return Err(bad("is out of order, or outside of .text"));
            }
            free_from = row.return_address.0 + 1;
            if row.first_slot < first_slot || row.first_slot as usize > self.stack_map_slots.len() {
                return Err(bad("its slots are out of order, or do not exist"));
            }
            first_slot = row.first_slot;
        }
        Ok(())
    }

    fn check_relocations(&self, source: &Contents<'a>) -> Result<(), ArtifactError> {
        let mut free_from = (0u16, 0u64);
        let mut section: Option<(u16, usize)> = None;
        for (index, bytes) in self.relocations.bytes().chunks_exact(RelocationRow::SIZE).enumerate() {
            let bad = |reason| source.bad_row(index, 0, RelocationRow::SIZE, reason);
            let row = RelocationRow::decode(bytes);
            if !RelocationRow::has_known_target(bytes) {
                return Err(bad("unknown target"));
            }
            if !matches!(row.size, 4 | 8) {
                return Err(bad("an address has 4 or 8 bytes"));
            }
            if (row.section, u64::from(row.offset)) < free_from {
                return Err(bad("is out of order, or overlaps the one before"));
            }
            let end = u64::from(row.offset) + u64::from(row.size);
            free_from = (row.section, end);
            if section.is_none_or(|(number, _)| number != row.section) {
                section = self
                    .debug_sections
                    .iter()
                    .find(|(number, ..)| *number == row.section)
                    .map(|(number, _, bytes)| (*number, bytes.len()));
            }
            if section.is_none_or(|(_, len)| end > len as u64) {
                return Err(bad("lies outside of every debug section"));
            }
        }
        Ok(())
    }

    /// The machine the code is for.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Where the loadable sections are linked; a loader keeps their distances.
    pub fn layout(&self) -> LinkLayout {
        self.layout
    }

    /// All bytes of the file.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The code.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where the code lies in the file: a multiple of the page size, to be mapped as it is.
    pub fn text_file_offset(&self) -> u64 {
        self.text_file_offset
    }

    /// The frame table, for its link address.
    pub fn eh_frame(&self) -> &'a [u8] {
        self.eh_frame
    }

    /// The frame table's search table, for its link address.
    pub fn eh_frame_hdr(&self) -> &'a [u8] {
        self.eh_frame_hdr
    }

    /// The size of the instance cell in bytes.
    pub fn instance_cell_size(&self) -> u64 {
        self.instance_cell_size
    }

    /// The `.debug_*` sections by name, in the order of the file.
    pub fn debug_sections(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + '_ {
        self.debug_sections.iter().map(|&(_, name, bytes)| (name, bytes))
    }

    /// One debug section; empty when there is none of this name.
    pub fn debug_section(&self, name: &str) -> &'a [u8] {
        self.debug_sections.iter().find(|(_, other, _)| *other == name).map_or(&[], |&(_, _, bytes)| bytes)
    }

    /// The name of the debug section with this ELF section index.
    pub fn debug_section_name(&self, index: u16) -> Option<&'a str> {
        self.debug_sections.iter().find(|(number, ..)| *number == index).map(|&(_, name, _)| name)
    }

    pub(crate) fn numbered_debug_sections(&self) -> &[NumberedSection<'a>] {
        &self.debug_sections
    }

    /// The words of the debug sections that hold addresses.
    pub fn relocations(&self) -> Table<'a, RelocationRow> {
        self.relocations
    }

    /// The engine's own bytes.
    pub fn meta(&self) -> &'a [u8] {
        self.engine_meta
    }

    /// Debug info that could not be translated: the rows in the order in which they were written.
    ///
    /// They are read here and not when the file is opened, since nothing else depends on them.
    pub fn losses(&self) -> Result<Vec<Loss<&'a str>>, ArtifactError> {
        crate::losses::decode(self.losses.1, self.losses.0)
    }

    /// The wasm module.
    pub fn module(&self) -> &'a [u8] {
        self.module
    }

    /// The hash of the whole file that its writer stored.
    pub fn content_hash(&self) -> u128 {
        let mut hash = [0; 16];
        hash.copy_from_slice(&self.data[self.hash_offset..self.hash_offset + 16]);
        u128::from_le_bytes(hash)
    }

    /// Are the bytes the ones that were written? Reads the whole file.
    pub fn verify_content_hash(&self) -> Result<(), ArtifactError> {
        match hash_around(self.data, self.hash_offset) == self.content_hash() {
            true => Ok(()),
            false => Err(ArtifactError::HashMismatch),
        }
    }

    /// All functions, by text offset.
    pub fn functions(&self) -> Table<'a, FunctionRow> {
        self.functions
    }

    /// The function of this kind and index, and the number of its row.
    pub fn function_by_kind(&self, kind: FunctionKind) -> Option<(usize, FunctionRow)> {
        let by_kind = self.functions_by_kind;
        let row = |index: u32| self.functions.get(index as usize);
        let position = by_kind.partition_point(|index| row(index).is_some_and(|function| function.kind < kind));
        let index = by_kind.get(position)? as usize;
        self.functions.get(index).filter(|function| function.kind == kind).map(|function| (index, function))
    }

    /// The function whose code holds this byte, and the number of its row.
    pub fn function_at(&self, text: TextOffset) -> Option<(usize, FunctionRow)> {
        let index = self.functions.partition_point(|function| function.text <= text).checked_sub(1)?;
        self.functions.get(index).filter(|function| text < function.end()).map(|function| (index, function))
    }

    /// The function's linkage name.
    pub fn function_name(&self, function: &FunctionRow) -> Option<&'a str> {
        if function.symbol == 0 {
            return None;
        }
        let symbol = self.symbols.symbol(SymbolIndex(function.symbol as usize)).ok()?;
        std::str::from_utf8(symbol.name(ENDIAN, self.symbols.strings()).ok()?).ok()
    }

    /// The symbols that lie in `.text`: name, text offset, size, and whether the name is global.
    pub fn text_symbols(&self) -> impl Iterator<Item = (&'a [u8], TextOffset, u64, bool)> + '_ {
        self.symbols.iter().filter_map(|symbol| {
            let offset = symbol.st_value(ENDIAN).checked_sub(self.layout.text)?;
            let inside = symbol.st_type() == elf::STT_FUNC
                && symbol.st_shndx(ENDIAN) != elf::SHN_ABS
                && offset <= self.text.len() as u64;
            let name = symbol.name(ENDIAN, self.symbols.strings()).ok()?;
            let is_global = symbol.st_bind() == elf::STB_GLOBAL;
            inside.then_some((name, TextOffset(offset as u32), symbol.st_size(ENDIAN), is_global))
        })
    }

    /// The names of the guest's own addresses: name, address, size, and what is there.
    pub fn guest_symbols(&self) -> impl Iterator<Item = (&'a [u8], u64, u64, GuestSymbolKind)> + '_ {
        self.symbols.iter().filter(|symbol| symbol.st_shndx(ENDIAN) == elf::SHN_ABS).filter_map(|symbol| {
            let name = symbol.name(ENDIAN, self.symbols.strings()).ok()?;
            let kind = match symbol.st_type() {
                elf::STT_FUNC => GuestSymbolKind::Function,
                elf::STT_OBJECT => GuestSymbolKind::Data,
                _ => GuestSymbolKind::Gap,
            };
            Some((name, symbol.st_value(ENDIAN), symbol.st_size(ENDIAN), kind))
        })
    }

    /// The whole address map, by text offset.
    pub fn address_map(&self) -> Table<'a, AddressMapRow> {
        self.address_map
    }

    /// The rows of one function.
    pub fn address_map_of(&self, function: &FunctionRow) -> Table<'a, AddressMapRow> {
        self.address_map.slice(function.address_map.0 as usize, function.address_map.1 as usize)
    }

    /// What is known about the instruction that holds this byte.
    ///
    /// To look up a caller, pass its return address minus one: the return address itself may belong to the next operator,
    /// or even to the next function.
    pub fn lookup(&self, text: TextOffset) -> Option<Location> {
        let (function_index, function) = self.function_at(text)?;
        let rows = self.address_map_of(&function);
        let row = rows.partition_point(|row| row.text <= text).checked_sub(1).and_then(|index| rows.get(index));
        Some(Location {
            function_index,
            function,
            wasm: row.and_then(|row| row.wasm),
            operator_start: row.map_or(function.text, |row| row.text),
            anchor: row.is_some_and(|row| row.anchor),
        })
    }

    /// All traps, by text offset.
    pub fn traps(&self) -> Table<'a, TrapRow> {
        self.traps
    }

    /// The traps of one function.
    pub fn traps_of(&self, function: &FunctionRow) -> Table<'a, TrapRow> {
        let start = self.traps.partition_point(|trap| trap.text < function.text);
        let end = self.traps.partition_point(|trap| trap.text < function.end());
        self.traps.slice(start, end - start)
    }

    /// The trap of the instruction that starts here.
    pub fn trap_at(&self, text: TextOffset) -> Option<TrapRow> {
        let index = self.traps.partition_point(|trap| trap.text < text);
        self.traps.get(index).filter(|trap| trap.text == text)
    }

    /// All stack maps, by return address.
    pub fn stack_maps(&self) -> Table<'a, StackMapRow> {
        self.stack_maps
    }

    /// The offsets from the stack pointer of the references of one row.
    pub fn stack_map_slots(&self, index: usize) -> Table<'a, u32> {
        let Some(row) = self.stack_maps.get(index) else { return Table::new(&[]) };
        let start = row.first_slot as usize;
        let end = self.stack_maps.get(index + 1).map_or(self.stack_map_slots.len(), |next| next.first_slot as usize);
        self.stack_map_slots.slice(start, end.saturating_sub(start))
    }

    /// The offsets from the stack pointer of the references in a frame that waits for a call to return here;
    /// `None` when no safepoint is known.
    pub fn stack_map_at(&self, return_address: TextOffset) -> Option<Table<'a, u32>> {
        let index = self.stack_maps.partition_point(|row| row.return_address < return_address);
        let row = self.stack_maps.get(index)?;
        (row.return_address == return_address).then(|| self.stack_map_slots(index))
    }

    /// The wasm locals that live in the frame of one function.
    pub fn homes_of(&self, function: &FunctionRow) -> Table<'a, HomeRow> {
        self.homes.slice(function.homes.0 as usize, function.homes.1 as usize)
    }

    /// All homes, function by function.
    pub fn homes(&self) -> Table<'a, HomeRow> {
        self.homes
    }
}

/// Opens a file that was just written, and stores its hash in it.
pub(crate) fn seal(bytes: &mut [u8]) -> Result<(), ArtifactError> {
    let offset = Artifact::parse(bytes)?.hash_offset;
    let hash = hash_around(bytes, offset);
    bytes[offset..offset + 16].copy_from_slice(&hash.to_le_bytes());
    Ok(())
}

/// The hash of `bytes` with zeros in place of the sixteen at `offset`.
fn hash_around(bytes: &[u8], offset: usize) -> u128 {
    let mut hasher = XxHash3_128::new();
    hasher.write(&bytes[..offset]);
    hasher.write(&[0; 16]);
    hasher.write(&bytes[offset + 16..]);
    hasher.finish_128()
}

struct Sections<'a> {
    data: &'a [u8],
    table: SectionTable<'a, Header>,
}

impl<'a> Sections<'a> {
    fn find(&self, name: &'static str) -> Option<Section<'a>> {
        let (index, header) = self.table.section_by_name(ENDIAN, name.as_bytes())?;
        Some(Section { data: self.data, name, index, header })
    }

    fn required(&self, name: &'static str) -> Result<Section<'a>, ArtifactError> {
        self.find(name).ok_or(ArtifactError::MissingSection(name))
    }

    fn contents(&self, name: &'static str) -> Result<Contents<'a>, ArtifactError> {
        self.required(name)?.contents()
    }

    fn debug(&self) -> Result<Vec<NumberedSection<'a>>, ArtifactError> {
        let mut found = Vec::new();
        for (SectionIndex(index), header) in self.table.enumerate() {
            let Ok(name) = std::str::from_utf8(self.table.section_name(ENDIAN, header)?) else { continue };
            if name.starts_with(".debug_")
                && let Ok(index) = u16::try_from(index)
            {
                found.push((index, name, header.data(ENDIAN, self.data)?));
            }
        }
        Ok(found)
    }
}

struct Section<'a> {
    data: &'a [u8],
    name: &'static str,
    index: SectionIndex,
    header: &'a elf::SectionHeader64<LittleEndian>,
}

impl<'a> Section<'a> {
    fn address(&self) -> u64 {
        self.header.sh_addr(ENDIAN)
    }

    fn size(&self) -> u64 {
        self.header.sh_size(ENDIAN)
    }

    fn contents(&self) -> Result<Contents<'a>, ArtifactError> {
        let bad = |reason| ArtifactError::BadSection { section: self.name.to_owned(), reason };
        let Some((offset, size)) = self.header.file_range(ENDIAN) else {
            return Err(bad("has no contents"));
        };
        let bytes = self.data.read_bytes_at(offset, size).map_err(|()| bad("lies beyond the end of the file"))?;
        if self.index == SectionIndex(0) {
            return Err(bad("has the number 0, which stands for no section"));
        }
        Ok(Contents { section: self.name, address: self.address(), file_offset: offset, bytes })
    }
}

struct Contents<'a> {
    section: &'static str,
    address: u64,
    file_offset: u64,
    bytes: &'a [u8],
}

impl<'a> Contents<'a> {
    fn bad_row(&self, row: usize, start: usize, size: usize, reason: &'static str) -> ArtifactError {
        let file_offset = self.file_offset + start as u64 + row as u64 * size as u64;
        ArtifactError::BadRow { section: self.section, row, file_offset, reason }
    }

    fn table<R: Row>(&self) -> Result<Table<'a, R>, ArtifactError> {
        if !self.bytes.len().is_multiple_of(R::SIZE) {
            return Err(ArtifactError::BadSection {
                section: self.section.to_owned(),
                reason: "its size is not a multiple of its rows'",
            });
        }
        Ok(Table::new(self.bytes))
    }

    /// A number of rows, four bytes of zero, the rows, and a second table up to the end.
    fn counted<R: Row, S: Row>(&self) -> Result<(Table<'a, R>, Table<'a, S>), ArtifactError> {
        let bad = |reason| ArtifactError::BadSection { section: self.section.to_owned(), reason };
        let rows = self.bytes.get(8..).ok_or_else(|| bad("is shorter than its header"))?;
        let size = (u32_at(self.bytes, 0) as usize)
            .checked_mul(R::SIZE)
            .filter(|&size| size <= rows.len())
            .ok_or_else(|| bad("has fewer rows than it says"))?;
        let (rows, rest) = rows.split_at(size);
        if !rest.len().is_multiple_of(S::SIZE) {
            return Err(bad("its size is not that of whole rows"));
        }
        Ok((Table::new(rows), Table::new(rest)))
    }
}
