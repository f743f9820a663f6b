//! Native expressions as they are written down.

use crate::address_table::CELL_INDEX;
use crate::tables::{EntryId, EntryReference, Expression, Operand};
use gimli::leb128::write;
use gimli::{Encoding, constants as c};

/// An operation that names another entry.
pub(crate) enum Reference {
    /// `DW_OP_deref_type`
    DerefType { size: u8, base: EntryId },
    /// `DW_OP_const_type`
    ConstType { base: EntryId, value: Box<[u8]> },
    /// `DW_OP_convert`
    Convert(EntryId),
    /// `DW_OP_reinterpret`
    Reinterpret(EntryId),
    /// `DW_OP_implicit_pointer`
    ImplicitPointer { entry: EntryReference, byte_offset: i64 },
    /// `DW_OP_GNU_variable_value`
    VariableValue(EntryReference),
}

/// A native expression that grows.
pub(crate) struct Bytecode {
    expression: Expression,
    /// The version whose opcodes are written.
    version: u16,
    length: usize,
}

impl Bytecode {
    /// An expression without operations.
    pub(crate) fn new(encoding: Encoding) -> Bytecode {
        Bytecode { expression: Expression::default(), version: encoding.version, length: 0 }
    }

    pub(crate) fn finish(self) -> Expression {
        self.expression
    }

    /// Operations so far.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Where the next operation begins, for [`Bytecode::set_target`].
    pub(crate) fn next_index(&self) -> usize {
        self.expression.bytes.len()
    }

    pub(crate) fn op(&mut self, opcode: gimli::DwOp) {
        self.operation(&[opcode.0]);
    }

    fn operation(&mut self, bytes: &[u8]) {
        self.length += 1;
        self.expression.bytes.extend_from_slice(bytes);
    }

    fn unsigned(&mut self, value: u64) {
        // A Vec takes everything.
        let _ = write::unsigned(&mut self.expression.bytes, value);
    }

    fn signed(&mut self, value: i64) {
        let _ = write::signed(&mut self.expression.bytes, value);
    }

    /// Leaves room for an operand.
    fn operand(&mut self, operand: Operand) {
        let bytes = &mut self.expression.bytes;
        self.expression.operands.push((bytes.len() as u32, operand));
        bytes.resize(bytes.len() + operand.size(), 0);
    }

    pub(crate) fn op_constu(&mut self, value: u64) {
        match value {
            0..32 => self.operation(&[c::DW_OP_lit0.0 + value as u8]),
            0xffff_ffff => self.operation(&[c::DW_OP_const4u.0, 0xff, 0xff, 0xff, 0xff]),
            _ => {
                self.op(c::DW_OP_constu);
                self.unsigned(value);
            }
        }
    }

    pub(crate) fn op_consts(&mut self, value: i64) {
        match u8::try_from(value) {
            Ok(small @ 0..32) => self.operation(&[c::DW_OP_lit0.0 + small]),
            _ => {
                self.op(c::DW_OP_consts);
                self.signed(value);
            }
        }
    }

    pub(crate) fn op_plus_uconst(&mut self, value: u64) {
        self.op(c::DW_OP_plus_uconst);
        self.unsigned(value);
    }

    pub(crate) fn op_fbreg(&mut self, offset: i64) {
        self.op(c::DW_OP_fbreg);
        self.signed(offset);
    }

    /// `DW_OP_deref`, or `DW_OP_deref_size` for other sizes than a word's.
    pub(crate) fn op_load(&mut self, size: u8) {
        if size == 8 {
            self.op(c::DW_OP_deref);
        } else {
            self.operation(&[c::DW_OP_deref_size.0, size]);
        }
    }

    pub(crate) fn op_pick(&mut self, index: u8) {
        self.operation(&[c::DW_OP_pick.0, index]);
    }

    pub(crate) fn op_piece(&mut self, size_in_bytes: u64) {
        self.op(c::DW_OP_piece);
        self.unsigned(size_in_bytes);
    }

    pub(crate) fn op_bit_piece(&mut self, size_in_bits: u64, bit_offset: u64) {
        self.op(c::DW_OP_bit_piece);
        self.unsigned(size_in_bits);
        self.unsigned(bit_offset);
    }

    pub(crate) fn op_implicit_value(&mut self, value: &[u8]) {
        self.op(c::DW_OP_implicit_value);
        self.unsigned(value.len() as u64);
        self.expression.bytes.extend_from_slice(value);
    }

    /// The address of an object of the process.
    pub(crate) fn op_address(&mut self, address: u64) {
        self.op(c::DW_OP_addr);
        self.expression.bytes.extend_from_slice(&address.to_le_bytes());
    }

    /// The opcode of an operation of DWARF 5, or GNU's one before.
    fn opcode(&self, standard: gimli::DwOp, gnu: gimli::DwOp) -> gimli::DwOp {
        if self.version >= 5 { standard } else { gnu }
    }

    /// `DW_OP_convert` or `DW_OP_reinterpret` (`opcode`) to the generic type.
    pub(crate) fn op_to_generic(&mut self, opcode: gimli::DwOp) {
        let gnu = if opcode == c::DW_OP_convert { c::DW_OP_GNU_convert } else { c::DW_OP_GNU_reinterpret };
        self.operation(&[self.opcode(opcode, gnu).0, 0]);
    }

    /// The address of the instance cell: in DWARF 5 through the table of addresses, so that it is relocated once.
    pub(crate) fn op_cell(&mut self) {
        if self.version >= 5 {
            self.op(c::DW_OP_addrx);
            self.unsigned(CELL_INDEX);
        } else {
            self.op(c::DW_OP_addr);
            self.operand(Operand::InstanceCell);
        }
    }

    /// An operation that names an entry.
    pub(crate) fn reference(&mut self, reference: Reference) {
        match reference {
            Reference::DerefType { size, base } => {
                let opcode = self.opcode(c::DW_OP_deref_type, c::DW_OP_GNU_deref_type);
                self.operation(&[opcode.0, size]);
                self.operand(Operand::BaseType(base));
            }
            Reference::ConstType { base, value } => {
                self.op(self.opcode(c::DW_OP_const_type, c::DW_OP_GNU_const_type));
                self.operand(Operand::BaseType(base));
                self.expression.bytes.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
                self.expression.bytes.extend_from_slice(&value[..value.len().min(usize::from(u8::MAX))]);
            }
            Reference::Convert(base) => {
                self.op(self.opcode(c::DW_OP_convert, c::DW_OP_GNU_convert));
                self.operand(Operand::BaseType(base));
            }
            Reference::Reinterpret(base) => {
                self.op(self.opcode(c::DW_OP_reinterpret, c::DW_OP_GNU_reinterpret));
                self.operand(Operand::BaseType(base));
            }
            Reference::ImplicitPointer { entry, byte_offset } => {
                self.op(self.opcode(c::DW_OP_implicit_pointer, c::DW_OP_GNU_implicit_pointer));
                self.operand(Operand::Entry(entry));
                self.signed(byte_offset);
            }
            Reference::VariableValue(entry) => {
                self.op(c::DW_OP_GNU_variable_value);
                self.operand(Operand::Entry(entry));
            }
        }
    }

    /// `DW_OP_bra` or `DW_OP_skip`, whose target is set later.
    pub(crate) fn op_branch(&mut self, conditional: bool) -> usize {
        let index = self.next_index();
        let opcode = if conditional { c::DW_OP_bra } else { c::DW_OP_skip };
        self.operation(&[opcode.0, 0, 0]);
        index
    }

    /// Lets the branch at `index` go to `target`; `false` if it is too far away.
    #[must_use]
    pub(crate) fn set_target(&mut self, index: usize, target: usize) -> bool {
        // Relative to the end of the branch, which takes 3 bytes.
        let Ok(distance) = i16::try_from(target as i64 - (index as i64 + 3)) else {
            return false;
        };
        self.expression.bytes[index + 1..index + 3].copy_from_slice(&distance.to_le_bytes());
        true
    }
}
