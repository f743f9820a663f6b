//! Walks from a frame to its caller with a module's table. x86-64 only.
//!
//! With R the registers in a frame, M memory and the row found for the frame's pc, the caller's are:
//!
//! ```text
//! CFA   = R[row.cfa.register] + row.cfa.offset
//! pc'   = M[CFA + row.return_address]
//! rsp'  = CFA
//! r'    = M[CFA + row.r] if the row has a slot for r, else R[r]      (rbx, rbp, r12 .. r15)
//! ```
#![forbid(unsafe_code)]

use gimli::constants as dw;

use crate::{Error, SectionAddresses};

/// The registers that make up a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The instruction pointer: of the next instruction, or a return address ([`Lookup`] tells).
    pub rip: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The frame pointer.
    pub rbp: u64,
    /// A callee-saved register, as the next four.
    pub rbx: u64,
    /// Callee-saved.
    pub r12: u64,
    /// Callee-saved.
    pub r13: u64,
    /// Callee-saved.
    pub r14: u64,
    /// Callee-saved.
    pub r15: u64,
}

/// What the pc of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// That of an instruction not yet executed: in the innermost frame, or where a signal came.
    Instruction,
    /// A return address: in all outer frames. Its row is that of the call before it, which matters
    /// when the call is the last thing its function does.
    ReturnAddress,
}

/// Why there is no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// No function of the table covers the pc: the frame is someone else's.
    #[error("no row for {0:#x}")]
    NoRow(u64),
    /// The memory that a rule names cannot be read.
    #[error("{0:#x} cannot be read")]
    Unreadable(u64),
    /// The caller's frame would not be above this one.
    #[error("the CFA {cfa:#x} is not above the stack pointer {rsp:#x}")]
    NoProgress {
        /// The CFA of the row.
        cfa: u64,
        /// The frame's stack pointer.
        rsp: u64,
    },
    /// The table entry at this offset of `.eh_frame` cannot be read, or says what is not supported.
    #[error("no usable entry at {0:#x} of .eh_frame")]
    BadEntry(u64),
}

/// A table ready for lookups.
///
/// Nothing is copied from the sections or allocated. Everything read from them is bounds-checked: a
/// damaged section leads to a [`StepError`] or to wrong registers, and to nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Unwinder<'a> {
    eh_frame: &'a [u8],
    eh_frame_address: u64,
    /// Pairs of function start and FDE, both relative to the header.
    index: &'a [[u8; 8]],
    index_address: u64,
    guide: Guide,
    /// The first CIE. There rarely is another.
    cie: Cie,
}

/// Rows lately used, found by pc. One a thread; it may be shared by all modules of a process, as long
/// as it is [cleared](RowCache::clear) when a module is dropped.
#[derive(Clone, Debug)]
pub struct RowCache {
    rows: [(u64, Row); RowCache::SIZE],
}

impl RowCache {
    const SIZE: usize = 256;

    /// An empty cache. (About 12 KiB.)
    pub fn new() -> RowCache {
        RowCache { rows: [(0, Row::UNKNOWN); RowCache::SIZE] }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        *self = RowCache::new();
    }
}

impl Default for RowCache {
    fn default() -> Self {
        RowCache::new()
    }
}

/// The registers a row has a place for. The numbers are indices into [`Row::slots`].
const RETURN_ADDRESS: usize = 0;
const RBP: usize = 1;
const RBX: usize = 2;
const R12: usize = 3;
const SLOTS: usize = 7;

/// Index of a register by its DWARF number. The others play no part: a call may change them.
fn slot_of(dwarf: u64) -> Option<usize> {
    match dwarf {
        3 => Some(RBX),
        6 => Some(RBP),
        12..=15 => Some(R12 + dwarf as usize - 12),
        16 => Some(RETURN_ADDRESS),
        _ => None,
    }
}

/// What holds at one pc.
#[derive(Clone, Copy, Debug)]
struct Row {
    cfa_offset: i32,
    /// CFA is relative to rbp; else to rsp.
    cfa_is_rbp: bool,
    /// Distance of each register's slot from the CFA. [`Row::SAME`]: the register has its value.
    slots: [i32; SLOTS],
}

impl Row {
    const SAME: i32 = i32::MIN;
    const UNKNOWN: Row = Row { cfa_offset: 0, cfa_is_rbp: false, slots: [Row::SAME; SLOTS] };
}

/// What a CIE says.
#[derive(Clone, Copy, Debug)]
struct Cie {
    /// Offset in the section.
    offset: usize,
    code_alignment: u64,
    data_alignment: i64,
    initial: Row,
}

impl<'a> Unwinder<'a> {
    /// Reads the headers of both sections, as this crate writes them: addresses relative with 32
    /// bits, the index sorted. `at` is where text and sections are for the process.
    pub fn new(eh_frame: &'a [u8], eh_frame_hdr: &'a [u8], at: SectionAddresses) -> Result<Unwinder<'a>, Error> {
        let malformed = |offset, reason| Error::Malformed { section: ".eh_frame_hdr", offset, reason };
        let (head, index) = eh_frame_hdr.split_at_checked(12).ok_or(malformed(0, "shorter than its header"))?;
        if head[..4] != [1, 0x1b, 0x03, 0x3b] {
            return Err(malformed(0, "another version or other encodings"));
        }
        let count = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let (index, _) = index.as_chunks();
        let index = index.get(..count).ok_or(malformed(8, "an index shorter than its count"))?;
        if !index.is_sorted_by_key(start_of) {
            return Err(malformed(12, "an index that is not sorted"));
        }
        let mut unwinder = Unwinder {
            eh_frame,
            eh_frame_address: at.eh_frame,
            index,
            index_address: at.eh_frame_hdr,
            guide: Guide::new(index),
            cie: Cie { offset: usize::MAX, code_alignment: 1, data_alignment: -8, initial: Row::UNKNOWN },
        };
        if !index.is_empty() {
            unwinder.cie = unwinder.read_cie(0).ok_or(Error::Malformed {
                section: ".eh_frame",
                offset: 0,
                reason: "no usable CIE",
            })?;
        }
        Ok(unwinder)
    }

    /// The registers of the caller of the frame with these registers.
    ///
    /// `read` returns the eight bytes at an address of the stack, or `None` where that must not be
    /// read; it is called for slots the table names and for nothing else, seven times at most.
    ///
    /// The caller's `rip` is a return address. For frames looked up as [`Lookup::ReturnAddress`] its
    /// stack pointer is above the callee's, so a loop of steps ends. (A function that has made its
    /// argument area smaller for a tail call has its CFA below the stack pointer; there it is about
    /// to leave, so this is only found with [`Lookup::Instruction`].)
    #[inline]
    pub fn step(
        &self,
        cache: &mut RowCache,
        frame: &Registers,
        lookup: Lookup,
        mut read: impl FnMut(u64) -> Option<u64>,
    ) -> Result<Registers, StepError> {
        let pc = match lookup {
            Lookup::Instruction => frame.rip,
            Lookup::ReturnAddress => frame.rip.wrapping_sub(1),
        };
        let hash = (pc ^ (pc >> 8)) as usize % RowCache::SIZE;
        let cached = &mut cache.rows[hash];
        if cached.0 != pc || pc == 0 {
            *cached = (pc, self.row(pc)?);
        }
        let row = &cached.1;

        let base = if row.cfa_is_rbp { frame.rbp } else { frame.rsp };
        let cfa = base.wrapping_add_signed(row.cfa_offset.into());
        if lookup == Lookup::ReturnAddress && cfa <= frame.rsp {
            return Err(StepError::NoProgress { cfa, rsp: frame.rsp });
        }
        let mut load = |slot: usize, current: u64| {
            let offset = row.slots[slot];
            if offset == Row::SAME {
                return Ok(current);
            }
            let address = cfa.wrapping_add_signed(offset.into());
            read(address).ok_or(StepError::Unreadable(address))
        };
        Ok(Registers {
            rip: load(RETURN_ADDRESS, 0)?,
            rsp: cfa,
            rbp: load(RBP, frame.rbp)?,
            rbx: load(RBX, frame.rbx)?,
            r12: load(R12, frame.r12)?,
            r13: load(R12 + 1, frame.r13)?,
            r14: load(R12 + 2, frame.r14)?,
            r15: load(R12 + 3, frame.r15)?,
        })
    }

    /// The frames from the one with these registers outward, itself included, for as long as the
    /// table covers them and `read` answers.
    pub fn frames<'c, F: FnMut(u64) -> Option<u64>>(
        &'c self,
        cache: &'c mut RowCache,
        innermost: Registers,
        read: F,
    ) -> Frames<'a, 'c, F> {
        Frames { unwinder: self, cache, next: Some((innermost, Lookup::Instruction)), read, end: None }
    }

    /// Whether a function of the table covers the pc.
    pub fn covers(&self, pc: u64) -> bool {
        self.row(pc).is_ok()
    }

    /// The row at `pc`.
    #[cold]
    #[inline(never)]
    fn row(&self, pc: u64) -> Result<Row, StepError> {
        let key = i32::try_from(pc.wrapping_sub(self.index_address).cast_signed());
        let key = key.map_err(|_| StepError::NoRow(pc))?;
        let entry = self.guide.entry_before(self.index, key).ok_or(StepError::NoRow(pc))?;
        let fde = i32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let fde = self.index_address.wrapping_add_signed(fde.into()).wrapping_sub(self.eh_frame_address);
        let bad = || StepError::BadEntry(fde);
        let at = usize::try_from(fde).map_err(|_| bad())?;
        let covered = key.wrapping_sub(start_of(entry)).cast_unsigned();
        match self.row_in(at, covered) {
            Some(Some(row)) => Ok(row),
            Some(None) => Err(StepError::NoRow(pc)),
            None => Err(bad()),
        }
    }

    /// The row in the FDE at offset `at`, so many bytes from its start. `None` for a damaged FDE, and
    /// for one that ends before.
    fn row_in(&self, at: usize, offset: u32) -> Option<Option<Row>> {
        let mut entry = Bytes::entry(self.eh_frame, at)?;
        let pointer = at.checked_add(4)?;
        let cie_at = pointer.checked_sub(entry.u32()? as usize)?;
        let cie = match cie_at == self.cie.offset {
            true => self.cie,
            false => self.read_cie(cie_at)?,
        };
        entry.u32()?; // the start, which the index has too
        if offset >= entry.u32()? {
            return Some(None);
        }
        let augmentation = entry.uleb()?;
        entry.skip(augmentation)?;
        let mut row = cie.initial;
        run(entry, &cie, Some(offset.into()), &mut row)?;
        Some(Some(row))
    }

    fn read_cie(&self, at: usize) -> Option<Cie> {
        let mut entry = Bytes::entry(self.eh_frame, at)?;
        // zero for a CIE; version 1, and the augmentation that this crate writes
        if entry.u32()? != 0 || entry.take(4)? != b"\x01zR\0" {
            return None;
        }
        let code_alignment = entry.uleb()?;
        let data_alignment = entry.sleb()?;
        if entry.u8()? != 16 || entry.take(2)? != [1, 0x1b] {
            return None;
        }
        let mut cie = Cie { offset: at, code_alignment, data_alignment, initial: Row::UNKNOWN };
        let mut row = Row::UNKNOWN;
        run(entry, &cie, None, &mut row)?;
        if row.slots[RETURN_ADDRESS] == Row::SAME {
            return None;
        }
        cie.initial = row;
        Some(cie)
    }
}

/// Where the function of an index entry starts, relative to the header.
#[inline]
fn start_of(entry: &[u8; 8]) -> i32 {
    i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]])
}

/// Where in the index to look: its range of addresses, cut into equal pieces.
#[derive(Clone, Copy)]
struct Guide {
    first: i32,
    shift: u32,
    /// How many entries lie before each piece.
    before: [u32; Guide::PIECES + 1],
}

impl Guide {
    const PIECES: usize = 256;

    fn new(index: &[[u8; 8]]) -> Guide {
        let first = index.first().map_or(0, start_of);
        let span = index.last().map_or(0, |last| distance(start_of(last), first));
        let shift = (u32::BITS - span.leading_zeros()).saturating_sub(Guide::PIECES.ilog2());
        let mut guide = Guide { first, shift, before: [0; Guide::PIECES + 1] };
        let mut reached = 0;
        for (at, entry) in index.iter().enumerate() {
            let piece = guide.piece(distance(start_of(entry), first));
            guide.before[reached..=piece].fill(at as u32);
            reached = piece + 1;
        }
        guide.before[reached..].fill(index.len() as u32);
        guide
    }

    fn piece(&self, distance: u32) -> usize {
        ((distance >> self.shift) as usize).min(Guide::PIECES - 1)
    }

    /// The last entry that starts at or before `key`.
    #[inline]
    fn entry_before<'i>(&self, index: &'i [[u8; 8]], key: i32) -> Option<&'i [u8; 8]> {
        if key < self.first {
            return None;
        }
        let piece = self.piece(distance(key, self.first));
        let start = self.before[piece] as usize;
        let entries = index.get(start..self.before[piece + 1] as usize)?;
        let after = start + entries.partition_point(|entry| start_of(entry) <= key);
        index.get(after.checked_sub(1)?)
    }
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guide").field("first", &self.first).field("shift", &self.shift).finish_non_exhaustive()
    }
}

/// From `first` to `start`, which is not below.
fn distance(start: i32, first: i32) -> u32 {
    start.wrapping_sub(first).cast_unsigned()
}

/// What most programs start with: `push rbp; mov rbp, rsp`.
const PUSH_FRAME: u8 = dw::DW_CFA_advance_loc.0 | 1;
/// What follows.
const PUSH_FRAME_REST: [u8; 7] = [
    dw::DW_CFA_def_cfa_offset.0,
    16,
    dw::DW_CFA_offset.0 | 6,
    2,
    dw::DW_CFA_advance_loc.0 | 3,
    dw::DW_CFA_def_cfa_register.0,
    6,
];

/// Executes call frame instructions up to the row that covers `until`, or all of them.
fn run(mut program: Bytes<'_>, cie: &Cie, until: Option<u64>, row: &mut Row) -> Option<()> {
    /// Our own tables nest two deep.
    const DEPTH: usize = 4;
    let mut remembered = [Row::UNKNOWN; DEPTH];
    let mut depth = 0;
    let mut location = 0u64;
    while let Some(opcode) = program.u8() {
        let low = u64::from(opcode & 0x3f);
        let advance = match dw::DwCfa(opcode & 0xc0) {
            dw::DW_CFA_advance_loc => {
                // Seven instructions by one comparison.
                if opcode == PUSH_FRAME
                    && program.0.first_chunk() == Some(&PUSH_FRAME_REST)
                    && (cie.code_alignment, cie.data_alignment) == (1, -8)
                    && until.is_none_or(|until| location.saturating_add(4) <= until)
                {
                    program.take(PUSH_FRAME_REST.len())?;
                    location += 4;
                    (row.cfa_is_rbp, row.cfa_offset, row.slots[RBP]) = (true, 16, -16);
                    continue;
                }
                low
            }
            dw::DW_CFA_offset => {
                let offset = program.uleb()?;
                set(row, low, factored(cie, offset.cast_signed())?);
                continue;
            }
            dw::DW_CFA_restore => {
                restore(row, cie, low);
                continue;
            }
            _ => match dw::DwCfa(opcode) {
                dw::DW_CFA_advance_loc1 => program.u8()?.into(),
                dw::DW_CFA_advance_loc2 => {
                    let bytes = program.take(2)?;
                    u16::from_le_bytes([bytes[0], bytes[1]]).into()
                }
                dw::DW_CFA_advance_loc4 => program.u32()?.into(),
                dw::DW_CFA_remember_state => {
                    *remembered.get_mut(depth)? = *row;
                    depth += 1;
                    continue;
                }
                dw::DW_CFA_restore_state => {
                    depth = depth.checked_sub(1)?;
                    *row = *remembered.get(depth)?;
                    continue;
                }
                other => {
                    execute(other, &mut program, cie, row)?;
                    continue;
                }
            },
        };
        location = location.checked_add(advance.checked_mul(cie.code_alignment)?)?;
        if until.is_some_and(|until| location > until) {
            break;
        }
    }
    Some(())
}

/// One of the instructions that change the present row.
fn execute(opcode: dw::DwCfa, program: &mut Bytes<'_>, cie: &Cie, row: &mut Row) -> Option<()> {
    match opcode {
        dw::DW_CFA_nop => {}
        dw::DW_CFA_def_cfa => {
            set_cfa_register(row, program.uleb()?)?;
            row.cfa_offset = i32::try_from(program.uleb()?).ok()?;
        }
        dw::DW_CFA_def_cfa_sf => {
            set_cfa_register(row, program.uleb()?)?;
            row.cfa_offset = factored(cie, program.sleb()?)?;
        }
        dw::DW_CFA_def_cfa_register => set_cfa_register(row, program.uleb()?)?,
        dw::DW_CFA_def_cfa_offset => row.cfa_offset = i32::try_from(program.uleb()?).ok()?,
        dw::DW_CFA_def_cfa_offset_sf => row.cfa_offset = factored(cie, program.sleb()?)?,
        dw::DW_CFA_offset_extended => {
            let register = program.uleb()?;
            let offset = program.uleb()?;
            set(row, register, factored(cie, offset.cast_signed())?);
        }
        dw::DW_CFA_offset_extended_sf => {
            let register = program.uleb()?;
            let offset = program.sleb()?;
            set(row, register, factored(cie, offset)?);
        }
        dw::DW_CFA_restore_extended => restore(row, cie, program.uleb()?),
        dw::DW_CFA_same_value => set(row, program.uleb()?, Row::SAME),
        _ => return None,
    }
    Some(())
}

fn factored(cie: &Cie, offset: i64) -> Option<i32> {
    let offset = i32::try_from(offset.checked_mul(cie.data_alignment)?).ok()?;
    (offset != Row::SAME).then_some(offset)
}

fn set(row: &mut Row, register: u64, offset: i32) {
    if let Some(slot) = slot_of(register) {
        row.slots[slot] = offset;
    }
}

fn restore(row: &mut Row, cie: &Cie, register: u64) {
    if let Some(slot) = slot_of(register) {
        row.slots[slot] = cie.initial.slots[slot];
    }
}

fn set_cfa_register(row: &mut Row, register: u64) -> Option<()> {
    row.cfa_is_rbp = match register {
        6 => true,
        7 => false,
        _ => return None,
    };
    Some(())
}

/// A reader of bytes that ends in `None`.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// What follows the length of the entry at `at`.
    fn entry(section: &'a [u8], at: usize) -> Option<Bytes<'a>> {
        let mut rest = Bytes(section.get(at..)?);
        let length = rest.u32()?;
        rest.take(length as usize).map(Bytes)
    }

    #[inline]
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.take(usize::try_from(count).ok()?).map(|_| ())
    }

    #[inline]
    fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    #[inline]
    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    #[inline]
    fn uleb(&mut self) -> Option<u64> {
        if let Some((&byte @ 0..=0x7f, rest)) = self.0.split_first() {
            self.0 = rest;
            return Some(byte.into());
        }
        let mut value = 0;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            if shift > 56 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    }

    fn sleb(&mut self) -> Option<i64> {
        let mut value = 0i64;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            if shift > 56 {
                return None;
            }
            value |= i64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                if byte & 0x40 != 0 {
                    value |= -1 << shift;
                }
                return Some(value);
            }
        }
    }
}

/// The frames of a stack, innermost first. Made by [`Unwinder::frames`].
#[derive(Debug)]
pub struct Frames<'a, 'c, F> {
    unwinder: &'c Unwinder<'a>,
    cache: &'c mut RowCache,
    next: Option<(Registers, Lookup)>,
    read: F,
    end: Option<StepError>,
}

impl<F> Frames<'_, '_, F> {
    /// Why there are no more frames, once there are none.
    ///
    /// [`StepError::NoRow`] is how the frames of a module end in those of its host.
    pub fn end(&self) -> Option<StepError> {
        self.end
    }
}

impl<F: FnMut(u64) -> Option<u64>> Iterator for Frames<'_, '_, F> {
    type Item = (Registers, Lookup);

    fn next(&mut self) -> Option<Self::Item> {
        let (frame, lookup) = self.next.take()?;
        match self.unwinder.step(self.cache, &frame, lookup, &mut self.read) {
            Ok(caller) => self.next = Some((caller, Lookup::ReturnAddress)),
            Err(error) => self.end = Some(error),
        }
        // A frame that the table does not cover is not one of the module's.
        match self.end {
            Some(StepError::NoRow(_)) => None,
            _ => Some((frame, lookup)),
        }
    }
}
