//! The native debugging information before it has bytes.
//!
//! A large module has hundreds of thousands of attributes, so that they are kept small: entries and attributes are chained
//! by their positions in one list each, contents of variable length lie one behind the other, and equal expressions and
//! lists are kept once.

use crate::address::TextOffset;
use crate::address_map::TextRange;
use gimli::{DwAt, DwForm, DwTag, Reader, constants as c};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::num::NonZeroU32;

/// "Nothing" where a position is expected.
const NONE: u32 = u32::MAX;

/// An entry of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(NonZeroU32);

impl EntryId {
    pub(crate) fn new(position: usize) -> EntryId {
        let number = u32::try_from(position + 1).unwrap_or(u32::MAX);
        EntryId(NonZeroU32::new(number).unwrap_or(NonZeroU32::MAX))
    }

    /// Its position among the entries of its unit.
    #[must_use]
    pub fn position(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// An entry of any unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryReference {
    /// The position of the unit.
    pub unit: u32,
    /// The entry in it.
    pub entry: EntryId,
}

/// What an operand in an expression stands for, whose value is known only when the sections are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A base type: its offset in the unit, as a LEB128 number of [`Operand::BASE_TYPE_SIZE`] bytes.
    BaseType(EntryId),
    /// An entry: its offset in `.debug_info`, of 4 bytes.
    Entry(EntryReference),
    /// The address of the instance cell, of 8 bytes.
    InstanceCell,
}

impl Operand {
    /// Bytes of the offset of a base type.
    pub const BASE_TYPE_SIZE: usize = 4;

    /// The bytes that are left for it.
    pub(crate) fn size(self) -> usize {
        match self {
            Operand::BaseType(_) => Operand::BASE_TYPE_SIZE,
            Operand::Entry(_) => 4,
            Operand::InstanceCell => 8,
        }
    }
}

/// A native expression.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Expression {
    /// The operations, with zeros for what `operands` says.
    pub bytes: Vec<u8>,
    /// Where in `bytes` which operand is, sorted.
    pub operands: Vec<(u32, Operand)>,
}

/// An expression that a unit keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExpressionId(u32);

impl ExpressionId {
    /// Where it is stored.
    pub(crate) fn position(self) -> u32 {
        self.0
    }
}

/// A list of locations or ranges that a unit keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListId(u32);

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An address in `.text`.
    Address(TextOffset),
    /// An index in the table of addresses (DWARF 5).
    AddressIndex(u32),
    /// Bytes.
    Block(Vec<u8>),
    /// A constant of 1 byte.
    Data1(u8),
    /// A constant of 2 bytes.
    Data2(u16),
    /// A constant of 4 bytes.
    Data4(u32),
    /// A constant of 8 bytes.
    Data8(u64),
    /// A constant of 16 bytes.
    Data16(u128),
    /// A signed constant.
    Sdata(i64),
    /// An unsigned constant.
    Udata(u64),
    /// Present or not.
    Flag(bool),
    /// Present.
    FlagPresent,
    /// An entry of the same unit.
    UnitRef(EntryId),
    /// An entry of any unit.
    DebugInfoRef(EntryReference),
    /// An offset in a section that is known.
    SecOffset(u32),
    /// A list of the unit's ranges.
    RangeList(ListId),
    /// A list of the unit's locations.
    LocationList(ListId),
    /// Text that is kept with the entry; without zero bytes.
    String(Vec<u8>),
    /// The offset of a text in [`Dwarf::strings`].
    StringRef(u32),
    /// An expression.
    Exprloc(ExpressionId),
}

/// How [`Attribute::value`] is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    Address,
    AddressIndex,
    /// A position in [`Unit::bytes`], where length and contents are.
    Block,
    Data1,
    Data2,
    Data4,
    /// A position in [`Unit::wide`].
    Data8,
    /// A position in [`Unit::wide`], where the lower half is, then the upper.
    Data16,
    /// An `i32`.
    Sdata,
    /// A position in [`Unit::wide`].
    SdataWide,
    Udata,
    /// A position in [`Unit::wide`].
    UdataWide,
    Flag,
    FlagPresent,
    UnitRef,
    /// A position in [`Unit::references`].
    DebugInfoRef,
    SecOffset,
    RangeList,
    LocationList,
    /// A position in [`Unit::bytes`], where the text and a zero are.
    String,
    StringRef,
    /// A position in [`Unit::bytes`], where length and operations are.
    Exprloc,
    /// The offset of the unit's line number program.
    LineProgram,
}

impl Kind {
    pub(crate) fn form(self, version: u16) -> DwForm {
        match self {
            Kind::Address => c::DW_FORM_addr,
            Kind::AddressIndex => c::DW_FORM_addrx,
            Kind::Block => c::DW_FORM_block,
            Kind::Data1 => c::DW_FORM_data1,
            Kind::Data2 => c::DW_FORM_data2,
            Kind::Data4 => c::DW_FORM_data4,
            Kind::Data8 => c::DW_FORM_data8,
            // DWARF 4 has no constant of this size.
            Kind::Data16 if version < 5 => c::DW_FORM_block1,
            Kind::Data16 => c::DW_FORM_data16,
            Kind::Sdata | Kind::SdataWide => c::DW_FORM_sdata,
            Kind::Udata | Kind::UdataWide => c::DW_FORM_udata,
            Kind::Flag => c::DW_FORM_flag,
            Kind::FlagPresent => c::DW_FORM_flag_present,
            Kind::UnitRef => c::DW_FORM_ref4,
            Kind::DebugInfoRef => c::DW_FORM_ref_addr,
            Kind::SecOffset | Kind::RangeList | Kind::LocationList | Kind::LineProgram => c::DW_FORM_sec_offset,
            Kind::String => c::DW_FORM_string,
            Kind::StringRef => c::DW_FORM_strp,
            Kind::Exprloc => c::DW_FORM_exprloc,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    pub(crate) name: DwAt,
    pub(crate) kind: Kind,
    next: u32,
    pub(crate) value: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: DwTag,
    first_child: u32,
    last_child: u32,
    sibling: u32,
    first_attribute: u32,
    last_attribute: u32,
}

const RESERVED: Entry = Entry {
    tag: c::DW_TAG_null,
    first_child: NONE,
    last_child: NONE,
    sibling: NONE,
    first_attribute: NONE,
    last_attribute: NONE,
};

/// Where an object is in a range of `.text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// The half-open range, as offsets in `.text`.
    pub range: TextRange,
    /// Where the object is there.
    pub expression: ExpressionId,
}

/// Lists that lie one behind the other.
#[derive(Debug)]
pub(crate) struct Lists<T> {
    items: Vec<T>,
    /// Where each list ends.
    ends: Vec<u32>,
}

impl<T> Default for Lists<T> {
    fn default() -> Lists<T> {
        Lists { items: Vec::new(), ends: Vec::new() }
    }
}

impl<T: Copy + Eq + Hash> Lists<T> {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, list: usize) -> &[T] {
        let begin = list.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.items[begin..self.ends[list] as usize]
    }

    fn add(&mut self, list: &[T], known: &mut HashMap<u64, u32>) -> ListId {
        let hash = hash(list);
        if let Some(&found) = known.get(&hash)
            && self.get(found as usize) == list
        {
            return ListId(found);
        }
        self.items.extend_from_slice(list);
        self.ends.push(self.items.len() as u32);
        let id = self.ends.len() as u32 - 1;
        known.insert(hash, id);
        ListId(id)
    }
}

/// The same in every process: what is kept once must not depend on chance. Nothing worse comes of equal hashes of different
/// things than that one of them is kept twice.
fn hash(value: impl Hash) -> u64 {
    BuildHasherDefault::<WordHasher>::default().hash_one(value)
}

/// Multiplies and rotates, word by word.
#[derive(Default)]
pub(crate) struct WordHasher(u64);

impl WordHasher {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(last));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.word(value.into());
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// What is needed to keep equal things once, while a unit is filled.
#[derive(Debug, Default)]
struct Known {
    expressions: HashMap<u64, u32>,
    locations: HashMap<u64, u32>,
    ranges: HashMap<u64, u32>,
}

/// A row of a line number program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRow {
    /// Where it begins.
    pub text: TextOffset,
    /// The file's number in the program.
    pub file: u32,
    /// 0 where the code has no line.
    pub line: u32,
    /// 0 for the whole line.
    pub column: u32,
    /// Tells apart blocks of one line.
    pub discriminator: u32,
    /// A good place for a breakpoint.
    pub is_stmt: bool,
    /// Where a breakpoint on the function goes.
    pub prologue_end: bool,
    /// Where the function's frame begins to be taken down.
    pub epilogue_begin: bool,
}

/// The rows of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSequence {
    /// The function's code.
    pub text: TextRange,
    /// Where the next sequence begins in [`LineProgram::rows`].
    pub rows_end: u32,
}

/// A unit's line number program.
#[derive(Debug)]
pub struct LineProgram {
    /// Directories and files; it has no rows.
    pub files: gimli::write::LineProgram,
    /// The rows of all sequences.
    pub rows: Vec<LineRow>,
    /// One for each function.
    pub sequences: Vec<LineSequence>,
}

/// Lets a long list grow by a quarter at a time, not to the double.
fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() && list.len() >= 1024 {
        list.reserve_exact(list.len() / 4);
    }
}

/// A unit and its entries.
#[derive(Debug)]
pub struct Unit {
    entries: Vec<Entry>,
    attributes: Vec<Attribute>,
    pub(crate) wide: Vec<u64>,
    pub(crate) references: Vec<EntryReference>,
    /// Expressions, blocks and texts.
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` operands are, sorted.
    pub(crate) operands: Vec<(u32, Operand)>,
    pub(crate) locations: Lists<Location>,
    pub(crate) ranges: Lists<TextRange>,
    /// Its line number program.
    pub line_program: Option<LineProgram>,
    known: Known,
}

impl Default for Unit {
    fn default() -> Unit {
        Unit::new()
    }
}

impl Unit {
    /// A unit with nothing but its root, a compilation unit's entry.
    #[must_use]
    pub fn new() -> Unit {
        Unit {
            entries: vec![Entry { tag: c::DW_TAG_compile_unit, ..RESERVED }],
            attributes: Vec::new(),
            wide: Vec::new(),
            references: Vec::new(),
            bytes: Vec::new(),
            operands: Vec::new(),
            locations: Lists::default(),
            ranges: Lists::default(),
            line_program: None,
            known: Known::default(),
        }
    }

    /// The entry of the unit itself.
    #[must_use]
    pub fn root(&self) -> EntryId {
        EntryId::new(0)
    }

    /// How many entries there are, those included that have no place in the tree.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The ids of `count` entries that will be added.
    pub(crate) fn reserve(&mut self, count: usize) -> impl Iterator<Item = EntryId> + use<> {
        let begin = self.entries.len();
        self.entries.resize(begin + count, RESERVED);
        (begin..begin + count).map(EntryId::new)
    }

    /// Adds a child to `parent`.
    pub fn add(&mut self, parent: EntryId, tag: DwTag) -> EntryId {
        let id = EntryId::new(self.entries.len());
        make_room(&mut self.entries);
        self.entries.push(RESERVED);
        self.add_reserved(id, parent, tag);
        id
    }

    /// Gives a reserved entry its place in the tree.
    pub(crate) fn add_reserved(&mut self, id: EntryId, parent: EntryId, tag: DwTag) {
        let position = id.position() as u32;
        self.entries[id.position()].tag = tag;
        let last = std::mem::replace(&mut self.entries[parent.position()].last_child, position);
        match self.entries.get_mut(last as usize) {
            Some(last) => last.sibling = position,
            None => self.entries[parent.position()].first_child = position,
        }
    }

    /// The tag of an entry.
    #[must_use]
    pub fn tag(&self, entry: EntryId) -> DwTag {
        self.entries[entry.position()].tag
    }

    /// The children of an entry.
    pub fn children(&self, entry: EntryId) -> impl Iterator<Item = EntryId> {
        let mut next = self.entries[entry.position()].first_child;
        std::iter::from_fn(move || {
            let position = next as usize;
            next = self.entries.get(position)?.sibling;
            Some(EntryId::new(position))
        })
    }

    /// The attributes of an entry.
    pub(crate) fn attributes(&self, entry: EntryId) -> impl Iterator<Item = &Attribute> {
        let mut next = self.entries[entry.position()].first_attribute;
        std::iter::from_fn(move || {
            let attribute = self.attributes.get(next as usize)?;
            next = attribute.next;
            Some(attribute)
        })
    }

    /// Whether an entry has an attribute.
    #[must_use]
    pub fn has(&self, entry: EntryId, name: DwAt) -> bool {
        self.attributes(entry).any(|attribute| attribute.name == name)
    }

    /// The value of an attribute.
    #[must_use]
    pub fn value(&self, entry: EntryId, name: DwAt) -> Option<Value> {
        self.attributes(entry).find(|attribute| attribute.name == name).map(|attribute| self.value_of(attribute))
    }

    /// The attributes of an entry and their values.
    pub fn values(&self, entry: EntryId) -> impl Iterator<Item = (DwAt, Value)> {
        self.attributes(entry).map(|attribute| (attribute.name, self.value_of(attribute)))
    }

    fn value_of(&self, attribute: &Attribute) -> Value {
        let value = attribute.value;
        let wide = || self.wide[value as usize];
        match attribute.kind {
            Kind::Address => Value::Address(TextOffset(value)),
            Kind::AddressIndex => Value::AddressIndex(value),
            Kind::Block => Value::Block(self.block(value).to_vec()),
            Kind::Data1 => Value::Data1(value as u8),
            Kind::Data2 => Value::Data2(value as u16),
            Kind::Data4 => Value::Data4(value),
            Kind::Data8 => Value::Data8(wide()),
            Kind::Data16 => Value::Data16(u128::from(wide()) | u128::from(self.wide[value as usize + 1]) << 64),
            Kind::Sdata => Value::Sdata(i64::from(value as i32)),
            Kind::SdataWide => Value::Sdata(wide() as i64),
            Kind::Udata => Value::Udata(u64::from(value)),
            Kind::UdataWide => Value::Udata(wide()),
            Kind::Flag => Value::Flag(value != 0),
            Kind::FlagPresent => Value::FlagPresent,
            Kind::UnitRef => Value::UnitRef(EntryId::new(value as usize)),
            Kind::DebugInfoRef => Value::DebugInfoRef(self.references[value as usize]),
            Kind::SecOffset | Kind::LineProgram => Value::SecOffset(value),
            Kind::RangeList => Value::RangeList(ListId(value)),
            Kind::LocationList => Value::LocationList(ListId(value)),
            Kind::String => Value::String(self.text(value).to_vec()),
            Kind::StringRef => Value::StringRef(value),
            Kind::Exprloc => Value::Exprloc(ExpressionId(value)),
        }
    }

    /// The contents of a block or an expression.
    pub(crate) fn block(&self, position: u32) -> &[u8] {
        let mut rest = gimli::EndianSlice::new(&self.bytes[position as usize..], gimli::LittleEndian);
        let length = rest.read_uleb128().unwrap_or(0);
        &rest.slice()[..length as usize]
    }

    /// The same with its length before it.
    pub(crate) fn stored_block(&self, position: u32) -> &[u8] {
        let length = self.block(position).len();
        let begin = position as usize;
        &self.bytes[begin..begin + gimli::leb128::write::uleb128_size(length as u64) + length]
    }

    /// The text at `position`, without the zero that ends it.
    pub(crate) fn text(&self, position: u32) -> &[u8] {
        self.bytes[position as usize..].split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// An expression as it is stored: its length and its operations.
    pub(crate) fn stored(&self, expression: ExpressionId) -> &[u8] {
        self.stored_block(expression.0)
    }

    /// The operations of an expression; operands are zero.
    #[must_use]
    pub fn operations(&self, expression: ExpressionId) -> &[u8] {
        self.block(expression.0)
    }

    /// A list of locations.
    #[must_use]
    pub fn location_list(&self, list: ListId) -> &[Location] {
        self.locations.get(list.0 as usize)
    }

    /// A list of ranges of `.text`.
    #[must_use]
    pub fn range_list(&self, list: ListId) -> &[TextRange] {
        self.ranges.get(list.0 as usize)
    }

    /// Keeps an expression.
    pub fn add_expression(&mut self, expression: &Expression) -> ExpressionId {
        let hash = hash(expression);
        if let Some(&found) = self.known.expressions.get(&hash)
            && self.block(found) == expression.bytes
            && self.operands_of(found).eq(expression.operands.iter().copied())
        {
            return ExpressionId(found);
        }
        let position = self.push_block(&expression.bytes);
        let begin = (self.bytes.len() - expression.bytes.len()) as u32;
        self.operands.extend(expression.operands.iter().map(|&(at, operand)| (begin + at, operand)));
        self.known.expressions.insert(hash, position);
        ExpressionId(position)
    }

    /// The operands of the expression at `position`, relative to its operations.
    pub(crate) fn operands_of(&self, position: u32) -> impl Iterator<Item = (u32, Operand)> {
        let length = self.block(position).len() as u32;
        let begin = position + gimli::leb128::write::uleb128_size(u64::from(length)) as u32;
        let first = self.operands.partition_point(|operand| operand.0 < begin);
        let here = self.operands[first..].iter().take_while(move |operand| operand.0 < begin + length);
        here.map(move |&(at, operand)| (at - begin, operand))
    }

    /// Keeps a list of locations.
    pub fn add_locations(&mut self, list: &[Location]) -> ListId {
        self.locations.add(list, &mut self.known.locations)
    }

    /// Keeps a list of ranges.
    pub fn add_ranges(&mut self, list: &[TextRange]) -> ListId {
        self.ranges.add(list, &mut self.known.ranges)
    }

    fn push_block(&mut self, bytes: &[u8]) -> u32 {
        let position = self.bytes.len() as u32;
        // A Vec takes everything.
        let _ = gimli::leb128::write::unsigned(&mut self.bytes, bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        position
    }

    fn push_wide(&mut self, value: u64) -> u32 {
        self.wide.push(value);
        self.wide.len() as u32 - 1
    }

    /// Sets an attribute, in the place of one of the same name.
    pub fn set(&mut self, entry: EntryId, name: DwAt, value: Value) {
        let (kind, value) = match value {
            Value::Address(offset) => (Kind::Address, offset.0),
            Value::AddressIndex(index) => (Kind::AddressIndex, index),
            Value::Block(bytes) => (Kind::Block, self.push_block(&bytes)),
            Value::Data1(value) => (Kind::Data1, u32::from(value)),
            Value::Data2(value) => (Kind::Data2, u32::from(value)),
            Value::Data4(value) => (Kind::Data4, value),
            Value::Data8(value) => (Kind::Data8, self.push_wide(value)),
            Value::Data16(value) => {
                let position = self.push_wide(value as u64);
                self.push_wide((value >> 64) as u64);
                (Kind::Data16, position)
            }
            Value::Sdata(value) => match i32::try_from(value) {
                Ok(small) => (Kind::Sdata, small as u32),
                Err(_) => (Kind::SdataWide, self.push_wide(value as u64)),
            },
            Value::Udata(value) => match u32::try_from(value) {
                Ok(small) => (Kind::Udata, small),
                Err(_) => (Kind::UdataWide, self.push_wide(value)),
            },
            Value::Flag(value) => (Kind::Flag, u32::from(value)),
            Value::FlagPresent => (Kind::FlagPresent, 0),
            Value::UnitRef(entry) => (Kind::UnitRef, entry.position() as u32),
            Value::DebugInfoRef(reference) => {
                self.references.push(reference);
                (Kind::DebugInfoRef, self.references.len() as u32 - 1)
            }
            Value::SecOffset(offset) => (Kind::SecOffset, offset),
            Value::RangeList(list) => (Kind::RangeList, list.0),
            Value::LocationList(list) => (Kind::LocationList, list.0),
            Value::String(text) => {
                let position = self.bytes.len() as u32;
                self.bytes.extend(text.iter().take_while(|byte| **byte != 0));
                self.bytes.push(0);
                (Kind::String, position)
            }
            Value::StringRef(offset) => (Kind::StringRef, offset),
            Value::Exprloc(expression) => (Kind::Exprloc, expression.0),
        };
        self.set_kind(entry, name, kind, value);
    }

    /// Gives the unit its line number program.
    pub(crate) fn set_line_program(&mut self, program: LineProgram) {
        self.set_kind(self.root(), c::DW_AT_stmt_list, Kind::LineProgram, 0);
        self.line_program = Some(program);
    }

    fn set_kind(&mut self, entry: EntryId, name: DwAt, kind: Kind, value: u32) {
        let new = self.attributes.len() as u32;
        let entry = &mut self.entries[entry.position()];
        let mut next = entry.first_attribute;
        while let Some(attribute) = self.attributes.get_mut(next as usize) {
            if attribute.name == name {
                (attribute.kind, attribute.value) = (kind, value);
                return;
            }
            next = attribute.next;
        }
        match self.attributes.get_mut(entry.last_attribute as usize) {
            Some(last) => last.next = new,
            None => entry.first_attribute = new,
        }
        entry.last_attribute = new;
        make_room(&mut self.attributes);
        self.attributes.push(Attribute { name, kind, next: NONE, value });
    }

    /// An entry whose attributes are to be set.
    pub fn get_mut(&mut self, id: EntryId) -> EntryMut<'_> {
        EntryMut { unit: self, id }
    }

    /// Forgets what only filling needs.
    pub(crate) fn seal(&mut self) {
        self.known = Known::default();
        self.attributes.shrink_to_fit();
        self.bytes.shrink_to_fit();
        self.locations.items.shrink_to_fit();
    }
}

/// An entry whose attributes are to be set.
#[derive(Debug)]
pub struct EntryMut<'u> {
    unit: &'u mut Unit,
    id: EntryId,
}

impl EntryMut<'_> {
    /// Sets an attribute, in the place of one of the same name.
    pub fn set(&mut self, name: DwAt, value: Value) {
        self.unit.set(self.id, name, value);
    }
}

/// All units.
#[derive(Debug, Default)]
pub struct Dwarf {
    /// The units in order.
    pub units: Vec<Unit>,
    /// The contents of `.debug_str`: texts that end with a zero.
    pub strings: Vec<u8>,
}
