//! Native expressions as they are written down.
//!
//! Almost every expression consists of operations whose bytes are known at once, and is kept as these: the words of memory
//! that the tables of a large module take are mostly expressions. What names another entry has a place only once the
//! units are laid out; such an expression is kept as a list of operations instead.

use crate::address_table::CELL_INDEX;
use crate::serialize::CELL_SYMBOL;
use gimli::leb128::write;
use gimli::write::{Address, DebugInfoRef, Expression, UnitEntryId};
use gimli::{Encoding, constants as c};

/// An operation that names another entry.
pub(crate) enum Reference {
    /// `DW_OP_deref_type`
    DerefType { size: u8, base: UnitEntryId },
    /// `DW_OP_const_type`
    ConstType { base: UnitEntryId, value: Box<[u8]> },
    /// `DW_OP_convert`
    Convert(UnitEntryId),
    /// `DW_OP_reinterpret`
    Reinterpret(UnitEntryId),
    /// `DW_OP_implicit_pointer`
    ImplicitPointer { entry: DebugInfoRef, byte_offset: i64 },
    /// `DW_OP_GNU_variable_value`
    VariableValue(DebugInfoRef),
}

/// The expression cannot be kept as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeedsOperations;

enum Form {
    Bytes(Vec<u8>),
    Operations(Expression),
}

/// A native expression that grows.
pub(crate) struct Bytecode {
    form: Form,
    /// The version whose opcodes are written.
    version: u16,
    length: usize,
}

impl Bytecode {
    /// An expression of bytes.
    pub(crate) fn bytes(encoding: Encoding) -> Bytecode {
        Bytecode { form: Form::Bytes(Vec::new()), version: encoding.version, length: 0 }
    }

    /// An expression of operations, which takes everything.
    pub(crate) fn operations(encoding: Encoding) -> Bytecode {
        Bytecode { form: Form::Operations(Expression::new()), version: encoding.version, length: 0 }
    }

    pub(crate) fn finish(self) -> Expression {
        match self.form {
            Form::Bytes(bytes) => Expression::raw(bytes),
            Form::Operations(expression) => expression,
        }
    }

    /// Operations so far.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Where the next operation begins, for [`Bytecode::set_target`].
    pub(crate) fn next_index(&self) -> usize {
        match &self.form {
            Form::Bytes(bytes) => bytes.len(),
            Form::Operations(expression) => expression.next_index(),
        }
    }

    pub(crate) fn op(&mut self, opcode: gimli::DwOp) {
        self.length += 1;
        match &mut self.form {
            Form::Bytes(bytes) => bytes.push(opcode.0),
            Form::Operations(expression) => expression.op(opcode),
        }
    }

    fn unsigned(&mut self, opcode: gimli::DwOp, value: u64) {
        if let Form::Bytes(bytes) = &mut self.form {
            bytes.push(opcode.0);
            push_unsigned(bytes, value);
        }
    }

    fn signed(&mut self, opcode: gimli::DwOp, value: i64) {
        if let Form::Bytes(bytes) = &mut self.form {
            bytes.push(opcode.0);
            // A Vec takes everything.
            let _ = write::signed(bytes, value);
        }
    }

    pub(crate) fn op_constu(&mut self, value: u64) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => expression.op_constu(value),
            Form::Bytes(bytes) => match value {
                0..32 => bytes.push(c::DW_OP_lit0.0 + value as u8),
                0xffff_ffff => bytes.extend_from_slice(&[c::DW_OP_const4u.0, 0xff, 0xff, 0xff, 0xff]),
                _ => self.unsigned(c::DW_OP_constu, value),
            },
        }
    }

    pub(crate) fn op_consts(&mut self, value: i64) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => expression.op_consts(value),
            Form::Bytes(bytes) => match u8::try_from(value) {
                Ok(small @ 0..32) => bytes.push(c::DW_OP_lit0.0 + small),
                _ => self.signed(c::DW_OP_consts, value),
            },
        }
    }

    pub(crate) fn op_plus_uconst(&mut self, value: u64) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => expression.op_plus_uconst(value),
            Form::Bytes(_) => self.unsigned(c::DW_OP_plus_uconst, value),
        }
    }

    pub(crate) fn op_fbreg(&mut self, offset: i64) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => expression.op_fbreg(offset),
            Form::Bytes(_) => self.signed(c::DW_OP_fbreg, offset),
        }
    }

    /// `DW_OP_deref`, or `DW_OP_deref_size` for other sizes than a word's.
    pub(crate) fn op_load(&mut self, size: u8) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) if size == 8 => expression.op_deref(),
            Form::Operations(expression) => expression.op_deref_size(size),
            Form::Bytes(bytes) if size == 8 => bytes.push(c::DW_OP_deref.0),
            Form::Bytes(bytes) => bytes.extend_from_slice(&[c::DW_OP_deref_size.0, size]),
        }
    }

    pub(crate) fn op_pick(&mut self, index: u8) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => expression.op_pick(index),
            Form::Bytes(bytes) => bytes.extend_from_slice(&[c::DW_OP_pick.0, index]),
        }
    }

    pub(crate) fn op_piece(&mut self, size_in_bytes: u64) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => expression.op_piece(size_in_bytes),
            Form::Bytes(_) => self.unsigned(c::DW_OP_piece, size_in_bytes),
        }
    }

    pub(crate) fn op_bit_piece(&mut self, size_in_bits: u64, bit_offset: u64) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => expression.op_bit_piece(size_in_bits, bit_offset),
            Form::Bytes(bytes) => {
                bytes.push(c::DW_OP_bit_piece.0);
                push_unsigned(bytes, size_in_bits);
                push_unsigned(bytes, bit_offset);
            }
        }
    }

    pub(crate) fn op_implicit_value(&mut self, value: &[u8]) {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => expression.op_implicit_value(value.into()),
            Form::Bytes(bytes) => {
                bytes.push(c::DW_OP_implicit_value.0);
                push_unsigned(bytes, value.len() as u64);
                bytes.extend_from_slice(value);
            }
        }
    }

    /// `DW_OP_convert` or `DW_OP_reinterpret` (`opcode`) to the generic type.
    pub(crate) fn op_to_generic(&mut self, opcode: gimli::DwOp) {
        self.length += 1;
        let version = self.version;
        match &mut self.form {
            Form::Operations(expression) if opcode == c::DW_OP_convert => expression.op_convert(None),
            Form::Operations(expression) => expression.op_reinterpret(None),
            Form::Bytes(bytes) => {
                let opcode = match opcode {
                    opcode if version >= 5 => opcode,
                    c::DW_OP_convert => c::DW_OP_GNU_convert,
                    _ => c::DW_OP_GNU_reinterpret,
                };
                bytes.extend_from_slice(&[opcode.0, 0]);
            }
        }
    }

    /// The address of the instance cell: in DWARF 5 through the table of addresses, so that it is relocated once.
    pub(crate) fn op_cell(&mut self) -> Result<(), NeedsOperations> {
        self.length += 1;
        match &mut self.form {
            Form::Operations(expression) => {
                expression.op_addr(Address::Symbol { symbol: CELL_SYMBOL, addend: 0 });
                Ok(())
            }
            Form::Bytes(_) if self.version >= 5 => {
                self.unsigned(c::DW_OP_addrx, CELL_INDEX);
                Ok(())
            }
            Form::Bytes(_) => Err(NeedsOperations),
        }
    }

    /// An operation that names an entry.
    pub(crate) fn reference(&mut self, reference: Reference) -> Result<(), NeedsOperations> {
        self.length += 1;
        let Form::Operations(expression) = &mut self.form else {
            return Err(NeedsOperations);
        };
        match reference {
            Reference::DerefType { size, base } => expression.op_deref_type(size, base),
            Reference::ConstType { base, value } => expression.op_const_type(base, value),
            Reference::Convert(base) => expression.op_convert(Some(base)),
            Reference::Reinterpret(base) => expression.op_reinterpret(Some(base)),
            Reference::ImplicitPointer { entry, byte_offset } => expression.op_implicit_pointer(entry, byte_offset),
            Reference::VariableValue(entry) => expression.op_variable_value(entry),
        }
        Ok(())
    }

    /// `DW_OP_bra` or `DW_OP_skip`, whose target is set later.
    pub(crate) fn op_branch(&mut self, conditional: bool) -> usize {
        self.length += 1;
        let index = self.next_index();
        match &mut self.form {
            Form::Operations(expression) if conditional => expression.op_bra(),
            Form::Operations(expression) => expression.op_skip(),
            Form::Bytes(bytes) => {
                let opcode = if conditional { c::DW_OP_bra } else { c::DW_OP_skip };
                bytes.extend_from_slice(&[opcode.0, 0, 0]);
                index
            }
        }
    }

    /// Lets the branch at `index` go to `target`; `false` if it is too far away.
    #[must_use]
    pub(crate) fn set_target(&mut self, index: usize, target: usize) -> bool {
        match &mut self.form {
            Form::Operations(expression) => expression.set_target(index, target),
            Form::Bytes(bytes) => {
                // Relative to the end of the branch, which takes 3 bytes.
                let Ok(distance) = i16::try_from(target as i64 - (index as i64 + 3)) else {
                    return false;
                };
                bytes[index + 1..index + 3].copy_from_slice(&distance.to_le_bytes());
            }
        }
        true
    }
}

fn push_unsigned(bytes: &mut Vec<u8>, value: u64) {
    // A Vec takes everything.
    let _ = write::unsigned(bytes, value);
}
