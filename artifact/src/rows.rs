//! The rows of the engine's sections, byte by byte.

use crate::table::{Row, u32_at};
use crate::{TextOffset, TrapCode, WasmOffset};

/// What a piece of code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FunctionKind {
    /// The function with this index in the wasm module's function index space.
    Guest(u32),
    /// The trampoline from the host's array calling convention into guest code, for this signature.
    ArrayToWasm(u32),
    /// The trampoline from guest code to a host function, for this signature.
    WasmToArray(u32),
    /// Any other code: stubs, helpers for a debugger. The number is the engine's.
    Stub(u32),
}

impl FunctionKind {
    pub(crate) fn encode(self) -> (u32, u32) {
        match self {
            FunctionKind::Guest(index) => (0, index),
            FunctionKind::ArrayToWasm(signature) => (1, signature),
            FunctionKind::WasmToArray(signature) => (2, signature),
            FunctionKind::Stub(number) => (3, number),
        }
    }

    pub(crate) fn decode(kind: u32, index: u32) -> Option<FunctionKind> {
        Some(match kind {
            0 => FunctionKind::Guest(index),
            1 => FunctionKind::ArrayToWasm(index),
            2 => FunctionKind::WasmToArray(index),
            3 => FunctionKind::Stub(index),
            _ => return None,
        })
    }
}

/// A function, as stored in `.wasmscope.functions`: twelve words, ordered by text offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionRow {
    /// What it is.
    pub kind: FunctionKind,
    /// Where its code starts.
    pub text: TextOffset,
    /// The size of its code in bytes.
    pub size: u32,
    /// Where its wasm body starts; without meaning when `body_size` is zero.
    pub body: WasmOffset,
    /// The size of its wasm body in bytes; zero for code that has none.
    pub body_size: u32,
    /// The CFA-relative offset of the word that holds the vmctx, if it has one.
    pub vmctx_home: Option<i32>,
    pub(crate) symbol: u32,
    pub(crate) address_map: (u32, u32),
    pub(crate) homes: (u32, u32),
}

/// No home: an offset no frame has.
const NO_HOME: i32 = i32::MIN;

impl FunctionRow {
    /// The text offset after its last byte.
    pub fn end(&self) -> TextOffset {
        TextOffset(self.text.0.saturating_add(self.size))
    }

    /// The range of its wasm body, if it has one.
    pub fn body_range(&self) -> Option<std::ops::Range<u32>> {
        (self.body_size != 0).then(|| self.body.0..self.body.0.saturating_add(self.body_size))
    }

    pub(crate) const SIZE: usize = 48;

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, index) = self.kind.encode();
        for word in [
            kind,
            index,
            self.text.0,
            self.size,
            self.body.0,
            self.body_size,
            self.vmctx_home.unwrap_or(NO_HOME) as u32,
            self.symbol,
            self.address_map.0,
            self.address_map.1,
            self.homes.0,
            self.homes.1,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// The row, unless its kind is unknown.
    pub(crate) fn try_decode(bytes: &[u8]) -> Option<FunctionRow> {
        let word = |index: usize| u32_at(bytes, index * 4);
        Some(FunctionRow {
            kind: FunctionKind::decode(word(0), word(1))?,
            text: TextOffset(word(2)),
            size: word(3),
            body: WasmOffset(word(4)),
            body_size: word(5),
            vmctx_home: Some(word(6) as i32).filter(|&offset| offset != NO_HOME),
            symbol: word(7),
            address_map: (word(8), word(9)),
            homes: (word(10), word(11)),
        })
    }
}

impl Row for FunctionRow {
    const SIZE: usize = FunctionRow::SIZE;

    fn decode(bytes: &[u8]) -> FunctionRow {
        // Kinds are checked when the file is opened.
        FunctionRow::try_decode(bytes).unwrap_or(FunctionRow {
            kind: FunctionKind::Stub(u32::MAX),
            text: TextOffset(0),
            size: 0,
            body: WasmOffset(0),
            body_size: 0,
            vmctx_home: None,
            symbol: 0,
            address_map: (0, 0),
            homes: (0, 0),
        })
    }
}

/// A row of the address map: code from `text` up to the next row (or the function's end) belongs to one operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressMapRow {
    /// Where the code starts.
    pub text: TextOffset,
    /// The operator; `None` for code the compiler made up (prologues, spills, epilogues).
    pub wasm: Option<WasmOffset>,
    /// Is this a statement anchor?
    pub anchor: bool,
}

/// The anchor bit lies above the 31 bits of a text offset.
const ANCHOR: u32 = 1 << 31;

impl AddressMapRow {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let text = self.text.0 | if self.anchor { ANCHOR } else { 0 };
        out.extend_from_slice(&text.to_le_bytes());
        out.extend_from_slice(&self.wasm.map_or(u32::MAX, |offset| offset.0).to_le_bytes());
    }
}

impl Row for AddressMapRow {
    const SIZE: usize = 8;

    fn decode(bytes: &[u8]) -> AddressMapRow {
        let text = u32_at(bytes, 0);
        let wasm = u32_at(bytes, 4);
        AddressMapRow {
            text: TextOffset(text & !ANCHOR),
            wasm: (wasm != u32::MAX).then_some(WasmOffset(wasm)),
            anchor: text & ANCHOR != 0,
        }
    }
}

/// A row of the trap table: five bytes, ordered by text offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapRow {
    /// The instruction that traps.
    pub text: TextOffset,
    /// Why; see [`TrapCode`].
    pub code: u8,
}

impl TrapRow {
    /// The trap code, unless it is one this crate does not know.
    pub fn trap_code(&self) -> Option<TrapCode> {
        TrapCode::from_u8(self.code)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text.0.to_le_bytes());
        out.push(self.code);
    }
}

impl Row for TrapRow {
    const SIZE: usize = 5;

    fn decode(bytes: &[u8]) -> TrapRow {
        TrapRow { text: TextOffset(u32_at(bytes, 0)), code: bytes.get(4).copied().unwrap_or(0) }
    }
}

/// A row of the stack map table, ordered by return address; the slots lie behind the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackMapRow {
    /// The return address of the call, not the address of the call.
    pub return_address: TextOffset,
    /// The index of its first slot.
    pub first_slot: u32,
}

impl StackMapRow {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.return_address.0.to_le_bytes());
        out.extend_from_slice(&self.first_slot.to_le_bytes());
    }
}

impl Row for StackMapRow {
    const SIZE: usize = 8;

    fn decode(bytes: &[u8]) -> StackMapRow {
        StackMapRow { return_address: TextOffset(u32_at(bytes, 0)), first_slot: u32_at(bytes, 4) }
    }
}

/// A wasm local that has a word (or several) in its function's frame, valid after the entry stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeRow {
    /// The local's index.
    pub local: u32,
    /// Where it lies, relative to the canonical frame address.
    pub cfa_offset: i32,
    /// Its size in bytes.
    pub size: u8,
    /// Does code read the home back, so that a debugger's write takes effect?
    pub writable: bool,
}

impl HomeRow {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.local.to_le_bytes());
        out.extend_from_slice(&self.cfa_offset.to_le_bytes());
        out.extend_from_slice(&[self.size, u8::from(self.writable), 0, 0]);
    }
}

impl Row for HomeRow {
    const SIZE: usize = 12;

    fn decode(bytes: &[u8]) -> HomeRow {
        HomeRow {
            local: u32_at(bytes, 0),
            cfa_offset: u32_at(bytes, 4) as i32,
            size: bytes.get(8).copied().unwrap_or(0),
            writable: bytes.get(9).is_some_and(|&flags| flags & 1 != 0),
        }
    }
}

/// What an address in a debug section is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelocationTarget {
    /// The start of `.text`.
    Text,
    /// The instance cell.
    InstanceCell,
}

/// A word of a debug section that holds an address, ordered by section and offset.
///
/// There is no addend: the word in the file holds the link address, and a loader adds the distance its target moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelocationRow {
    /// The ELF section index of the debug section.
    pub section: u16,
    /// The offset of the word in it.
    pub offset: u32,
    /// The size of the word in bytes: 4 or 8.
    pub size: u8,
    /// What the address is relative to.
    pub target: RelocationTarget,
}

impl RelocationRow {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.section.to_le_bytes());
        out.push(self.size);
        out.push(match self.target {
            RelocationTarget::Text => 0,
            RelocationTarget::InstanceCell => 1,
        });
    }

    pub(crate) fn has_known_target(bytes: &[u8]) -> bool {
        bytes.get(7).is_some_and(|&target| target <= 1)
    }
}

impl Row for RelocationRow {
    const SIZE: usize = 8;

    fn decode(bytes: &[u8]) -> RelocationRow {
        let rest = u32_at(bytes, 4);
        RelocationRow {
            offset: u32_at(bytes, 0),
            section: rest as u16,
            size: (rest >> 16) as u8,
            target: match rest >> 24 {
                0 => RelocationTarget::Text,
                _ => RelocationTarget::InstanceCell,
            },
        }
    }
}
