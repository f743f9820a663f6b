//! The height of the operand stack, read off the operators' first bytes.
//!
//! Almost all operators of a valid body say with one byte how many entries they take and what they leave; only a few have
//! an operand that must be read for it. That is much cheaper than to validate the body once more. Bodies with anything else
//! (vectors, references, atomics, tail calls) are left to the validator.

use super::{BodyScan, FunctionInput};
use crate::environ::Module;
use crate::types::ValType;
use wasmparser::BinaryReader;

/// What an operator does to the operand stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Takes entries and leaves one of a known type, or none.
    Plain(u8, Option<ValType>),
    Select,
    LocalGet,
    LocalSet,
    LocalTee,
    GlobalGet,
    Call,
    CallIndirect,
    Block,
    If,
    Else,
    End,
    BrIf,
    /// Takes entries and goes elsewhere.
    Leave(u8),
    /// The number behind the byte tells.
    Prefixed,
    Unknown,
}

use ValType::{F32, F64, I32, I64};

/// The shapes by first byte (section 5.4 of the specification).
const SHAPES: [Shape; 256] = {
    let mut shapes = [Shape::Unknown; 256];
    let mut byte = 0;
    while byte < 256 {
        shapes[byte] = shape(byte as u8);
        byte += 1;
    }
    shapes
};

const fn shape(byte: u8) -> Shape {
    match byte {
        0x00 | 0x0f => Shape::Leave(0),
        0x01 => Shape::Plain(0, None),
        0x02 | 0x03 => Shape::Block,
        0x04 => Shape::If,
        0x05 => Shape::Else,
        0x0b => Shape::End,
        0x0c => Shape::Leave(0),
        0x0d => Shape::BrIf,
        0x0e => Shape::Leave(1),
        0x10 => Shape::Call,
        0x11 => Shape::CallIndirect,
        0x1a => Shape::Plain(1, None),
        0x1b => Shape::Select,
        0x20 => Shape::LocalGet,
        0x21 => Shape::LocalSet,
        0x22 => Shape::LocalTee,
        0x23 => Shape::GlobalGet,
        0x24 => Shape::Plain(1, None),
        // Loads and stores.
        0x28 | 0x2c..=0x2f => Shape::Plain(1, Some(I32)),
        0x29 | 0x30..=0x35 => Shape::Plain(1, Some(I64)),
        0x2a => Shape::Plain(1, Some(F32)),
        0x2b => Shape::Plain(1, Some(F64)),
        0x36..=0x3e => Shape::Plain(2, None),
        // Constants.
        0x41 => Shape::Plain(0, Some(I32)),
        0x42 => Shape::Plain(0, Some(I64)),
        0x43 => Shape::Plain(0, Some(F32)),
        0x44 => Shape::Plain(0, Some(F64)),
        // Tests and comparisons.
        0x45 | 0x50 => Shape::Plain(1, Some(I32)),
        0x46..=0x4f | 0x51..=0x66 => Shape::Plain(2, Some(I32)),
        // Arithmetic.
        0x67..=0x69 => Shape::Plain(1, Some(I32)),
        0x6a..=0x78 => Shape::Plain(2, Some(I32)),
        0x79..=0x7b => Shape::Plain(1, Some(I64)),
        0x7c..=0x8a => Shape::Plain(2, Some(I64)),
        0x8b..=0x91 => Shape::Plain(1, Some(F32)),
        0x92..=0x98 => Shape::Plain(2, Some(F32)),
        0x99..=0x9f => Shape::Plain(1, Some(F64)),
        0xa0..=0xa6 => Shape::Plain(2, Some(F64)),
        // Conversions.
        0xa7..=0xab | 0xbc | 0xc0 | 0xc1 => Shape::Plain(1, Some(I32)),
        0xac..=0xb1 | 0xbd | 0xc2..=0xc4 => Shape::Plain(1, Some(I64)),
        0xb2..=0xb6 | 0xbe => Shape::Plain(1, Some(F32)),
        0xb7..=0xbb | 0xbf => Shape::Plain(1, Some(F64)),
        0xfc => Shape::Prefixed,
        // The types of `memory.size` and `memory.grow` are the memory's.
        _ => Shape::Unknown,
    }
}

/// The shape of what comes behind the byte 0xfc.
fn prefixed(number: u32) -> Shape {
    match number {
        0..=3 => Shape::Plain(1, Some(I32)),
        4..=7 => Shape::Plain(1, Some(I64)),
        // `memory.init`, `memory.copy`, `memory.fill`, `table.init`, `table.copy`.
        8 | 10..=12 | 14 => Shape::Plain(3, None),
        // `data.drop`, `elem.drop`.
        9 | 13 => Shape::Plain(0, None),
        _ => Shape::Unknown,
    }
}

/// An entry of the operand stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of the operator that pushed it, as its only result; else [`Entry::NONE`].
    pusher: u32,
    ty: Option<ValType>,
}

impl Entry {
    const NONE: u32 = u32::MAX;

    /// Of several results, or from several places.
    pub(super) fn unknown(ty: Option<ValType>) -> Entry {
        Entry { pusher: Entry::NONE, ty }
    }

    /// The one result of operator `number`.
    pub(super) fn result(number: usize, ty: ValType) -> Entry {
        Entry { pusher: u32::try_from(number).unwrap_or(Entry::NONE), ty: Some(ty) }
    }

    /// Which operator pushed it, where that is one result of one operator.
    pub(super) fn pusher(self) -> Option<(usize, ValType)> {
        Some((self.pusher as usize, self.ty?)).filter(|_| self.pusher != Entry::NONE)
    }
}

/// An open block.
struct Block<'a> {
    /// Height of the stack below its parameters.
    base: usize,
    params: &'a [ValType],
    results: &'a [ValType],
    is_loop: bool,
}

/// The operand stack of a valid body, operator by operator.
pub(super) struct Heights<'a> {
    module: &'a Module,
    locals: &'a [ValType],
    bytes: &'a [u8],
    /// File offset of the first of the bytes.
    start: usize,
    offsets: &'a [u32],
    stack: Vec<Entry>,
    blocks: Vec<Block<'a>>,
    /// The height below which the operators of the innermost block cannot reach.
    floor: usize,
    /// The last operator has left the entries below this depth as they were.
    renewed: usize,
}

impl<'a> Heights<'a> {
    /// `None` if the body cannot be read.
    pub(super) fn new(
        input: &'a FunctionInput<'_>,
        body: &'a BodyScan,
        module: &'a Module,
        locals: &'a [ValType],
    ) -> Option<Heights<'a>> {
        let range = input.body.range();
        let bytes = input.body.get_binary_reader().read_bytes(range.len()).ok()?;
        let results = &module.func_type(input.index).results;
        Some(Heights {
            module,
            locals,
            bytes,
            start: range.start,
            offsets: &body.offsets,
            stack: Vec::new(),
            blocks: vec![Block { base: 0, params: &[], results, is_loop: false }],
            floor: 0,
            renewed: usize::MAX,
        })
    }

    /// The offset of the first operator that is not yet done, the stack before it, and the depth below which the operator before
    /// has left it as it was.
    pub(super) fn before(&self, number: usize) -> (u32, &[Entry], usize) {
        (self.offsets[number], &self.stack, self.renewed)
    }

    /// Does operator `number`; `false` where it is of another kind, or the body makes no sense.
    pub(super) fn step(&mut self, number: usize) -> bool {
        self.try_step(number).is_some()
    }

    fn try_step(&mut self, number: usize) -> Option<()> {
        self.renewed = usize::MAX;
        match self.shape(number)? {
            Shape::Plain(taken, left) => {
                let height = self.stack.len().saturating_sub(taken.into()).max(self.floor);
                self.stack.truncate(height);
                self.stack.extend(left.map(|ty| Entry::result(number, ty)));
                self.renewed = height;
                return Some(());
            }
            Shape::Select => {
                // In code that is never reached, operands may be missing.
                self.pop(1);
                let operands = &self.stack[self.floor..];
                let ty = operands.iter().rev().take(2).find_map(|entry| entry.ty);
                self.pop(2);
                self.push_entry(ty.map_or(Entry::unknown(None), |ty| Entry::result(number, ty)));
            }
            Shape::LocalGet => self.push(number, self.local(number)?),
            Shape::LocalSet => self.pop(1),
            Shape::LocalTee => {
                self.pop(1);
                self.push(number, self.local(number)?);
            }
            Shape::GlobalGet => self.push(number, self.global(number)?),
            Shape::Call => {
                let callee = self.callee(number)?;
                self.call(number, callee)?;
            }
            Shape::CallIndirect => {
                let callee = self.callee(number)?;
                self.pop(1);
                self.call(number, callee)?;
            }
            Shape::Block => self.open(number)?,
            Shape::If => {
                self.pop(1);
                self.open(number)?;
            }
            Shape::Else => {
                let block = self.blocks.last()?;
                let (base, params) = (block.base, block.params);
                self.renew(base, params);
            }
            Shape::End => {
                let block = self.blocks.pop()?;
                self.floor = self.blocks.last().map_or(0, |block| block.base);
                self.renew(block.base, block.results);
            }
            Shape::BrIf => {
                self.pop(1);
                let depth = self.operand(number)?.read_var_u32().ok()? as usize;
                let block = self.blocks.get(self.blocks.len().checked_sub(depth + 1)?)?;
                let taken = if block.is_loop { block.params } else { block.results };
                // What the label takes is there, also in code that is never reached.
                let there = self.stack.len() - self.floor;
                self.push_all(taken.get(there..).unwrap_or_default());
            }
            Shape::Leave(taken) => {
                self.pop(taken.into());
                self.truncate(self.floor);
            }
            Shape::Prefixed | Shape::Unknown => return None,
        }
        self.renewed = self.renewed.min(self.stack.len());
        Some(())
    }

    fn shape(&self, number: usize) -> Option<Shape> {
        let byte = *self.bytes.get((self.offsets[number] as usize).checked_sub(self.start)?)?;
        match SHAPES[usize::from(byte)] {
            Shape::Prefixed => Some(prefixed(self.operand(number)?.read_var_u32().ok()?)),
            shape => Some(shape),
        }
    }

    /// Reads what comes behind the byte of operator `number`.
    fn operand(&self, number: usize) -> Option<BinaryReader<'a>> {
        let at = self.offsets[number] as usize + 1;
        Some(BinaryReader::new(self.bytes.get(at - self.start..)?, at))
    }

    fn local(&self, number: usize) -> Option<ValType> {
        let index = self.operand(number)?.read_var_u32().ok()?;
        self.locals.get(index as usize).copied().filter(|ty| is_number(*ty))
    }

    fn global(&self, number: usize) -> Option<ValType> {
        let index = self.operand(number)?.read_var_u32().ok()?;
        self.module.globals.get(index as usize).map(|global| global.content).filter(|ty| is_number(*ty))
    }

    /// The type of the function that a `call` or `call_indirect` calls.
    fn callee(&self, number: usize) -> Option<&'a crate::types::FuncType> {
        let index = self.operand(number)?.read_var_u32().ok()?;
        if self.shape(number) == Some(Shape::Call) {
            let known = self.module.functions.len() > index as usize;
            known.then(|| self.module.func_type(index))
        } else {
            self.module.types.get(index as usize)
        }
    }

    fn truncate(&mut self, height: usize) {
        self.stack.truncate(height);
        self.renewed = self.renewed.min(height);
    }

    /// Takes entries. In code that is never reached, fewer may be there.
    fn pop(&mut self, count: usize) {
        self.truncate(self.stack.len().saturating_sub(count).max(self.floor));
    }

    fn push(&mut self, number: usize, ty: ValType) {
        self.push_entry(Entry::result(number, ty));
    }

    fn push_entry(&mut self, entry: Entry) {
        self.renewed = self.renewed.min(self.stack.len());
        self.stack.push(entry);
    }

    /// Pushes entries that come from several places.
    fn push_all(&mut self, types: &[ValType]) {
        for &ty in types {
            self.push_entry(Entry::unknown(Some(ty)));
        }
    }

    /// The entries from `base` on are new.
    fn renew(&mut self, base: usize, types: &[ValType]) {
        self.truncate(base);
        self.push_all(types);
    }

    fn call(&mut self, number: usize, callee: &crate::types::FuncType) -> Option<()> {
        self.pop(callee.params.len());
        match callee.results[..] {
            [ty] if is_number(ty) => self.push(number, ty),
            _ if are_numbers(&callee.results) => self.push_all(&callee.results),
            _ => return None,
        }
        Some(())
    }

    fn open(&mut self, number: usize) -> Option<()> {
        let (params, results) = self.block_type(number)?;
        if !are_numbers(params) || !are_numbers(results) {
            return None;
        }
        let is_loop = self.bytes[self.offsets[number] as usize - self.start] == LOOP;
        self.pop(params.len());
        let base = self.stack.len();
        self.push_all(params);
        self.blocks.push(Block { base, params, results, is_loop });
        self.floor = base;
        Some(())
    }

    fn block_type(&self, number: usize) -> Option<(&'a [ValType], &'a [ValType])> {
        let mut reader = self.operand(number)?;
        Some(match *self.bytes.get(reader.original_position() - self.start)? {
            0x40 => (&[], &[]),
            0x7f => (&[], &[I32]),
            0x7e => (&[], &[I64]),
            0x7d => (&[], &[F32]),
            0x7c => (&[], &[F64]),
            _ => {
                let index = usize::try_from(reader.read_var_s33().ok()?).ok()?;
                let ty = self.module.types.get(index)?;
                (&ty.params, &ty.results)
            }
        })
    }
}

const LOOP: u8 = 0x03;

fn is_number(ty: ValType) -> bool {
    matches!(ty, I32 | I64 | F32 | F64)
}

fn are_numbers(types: &[ValType]) -> bool {
    types.iter().all(|ty| is_number(*ty))
}
