//! Writes call frame instructions (DWARF 5, section 6.4.2) in their shortest forms.
#![forbid(unsafe_code)]

use crate::table::Target;

/// DWARF number of a register.
pub(crate) type Register = u16;

/// All data offsets are multiples of this, for every target.
pub(crate) const DATA_ALIGNMENT: i32 = -8;

/// Call frame instructions of one function, appended to the bytes of the functions before it.
pub(crate) struct Program<'a> {
    bytes: &'a mut Vec<u8>,
    code_alignment: u32,
    big_endian: bool,
    /// The offset in the function that the next row starts at.
    at: u32,
}

impl<'a> Program<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>, target: &Target) -> Self {
        Program { bytes, code_alignment: target.code_alignment.into(), big_endian: target.big_endian, at: 0 }
    }

    /// Starts a new row at `offset`, unless that is where the present one starts.
    ///
    /// Offsets must ascend and be multiples of the code alignment.
    pub(crate) fn advance_to(&mut self, offset: u32) {
        debug_assert!(offset >= self.at && offset.is_multiple_of(self.code_alignment));
        let delta = (offset - self.at) / self.code_alignment;
        self.at = offset;
        match delta {
            0 => {}
            1..=0x3f => self.bytes.push(gimli::DW_CFA_advance_loc.0 | delta as u8),
            0x40..=0xff => self.bytes.extend([gimli::DW_CFA_advance_loc1.0, delta as u8]),
            0x100..=0xffff => {
                self.bytes.push(gimli::DW_CFA_advance_loc2.0);
                let delta = delta as u16;
                self.bytes.extend(match self.big_endian {
                    true => delta.to_be_bytes(),
                    false => delta.to_le_bytes(),
                });
            }
            _ => {
                self.bytes.push(gimli::DW_CFA_advance_loc4.0);
                self.bytes.extend(match self.big_endian {
                    true => delta.to_be_bytes(),
                    false => delta.to_le_bytes(),
                });
            }
        }
    }

    /// CFA = `register` + `offset`
    pub(crate) fn def_cfa(&mut self, register: Register, offset: i32) {
        if offset >= 0 {
            self.bytes.push(gimli::DW_CFA_def_cfa.0);
            self.uleb(register.into());
            self.uleb(offset as u32);
        } else {
            self.bytes.push(gimli::DW_CFA_def_cfa_sf.0);
            self.uleb(register.into());
            self.sleb(offset / DATA_ALIGNMENT);
        }
    }

    /// CFA = its present register + `offset`
    pub(crate) fn def_cfa_offset(&mut self, offset: i32) {
        if offset >= 0 {
            self.bytes.push(gimli::DW_CFA_def_cfa_offset.0);
            self.uleb(offset as u32);
        } else {
            self.bytes.push(gimli::DW_CFA_def_cfa_offset_sf.0);
            self.sleb(offset / DATA_ALIGNMENT);
        }
    }

    /// CFA = `register` + its present offset
    pub(crate) fn def_cfa_register(&mut self, register: Register) {
        self.bytes.push(gimli::DW_CFA_def_cfa_register.0);
        self.uleb(register.into());
    }

    /// The caller's `register` is stored at CFA + `offset`.
    pub(crate) fn offset(&mut self, register: Register, offset: i32) {
        let factored = offset / DATA_ALIGNMENT;
        debug_assert_eq!(factored * DATA_ALIGNMENT, offset);
        if factored < 0 {
            self.bytes.push(gimli::DW_CFA_offset_extended_sf.0);
            self.uleb(register.into());
            self.sleb(factored);
        } else if register < 0x40 {
            self.bytes.push(gimli::DW_CFA_offset.0 | register as u8);
            self.uleb(factored as u32);
        } else {
            self.bytes.push(gimli::DW_CFA_offset_extended.0);
            self.uleb(register.into());
            self.uleb(factored as u32);
        }
    }

    /// The rule of `register` is again what it was at the function's first instruction.
    pub(crate) fn restore(&mut self, register: Register) {
        if register < 0x40 {
            self.bytes.push(gimli::DW_CFA_restore.0 | register as u8);
        } else {
            self.bytes.push(gimli::DW_CFA_restore_extended.0);
            self.uleb(register.into());
        }
    }

    /// Puts the present rules on a stack.
    pub(crate) fn remember_state(&mut self) {
        self.bytes.push(gimli::DW_CFA_remember_state.0);
    }

    /// Takes the rules from the top of the stack.
    pub(crate) fn restore_state(&mut self) {
        self.bytes.push(gimli::DW_CFA_restore_state.0);
    }

    /// The value of `register` is `value`, a literal below 32.
    pub(crate) fn val_literal(&mut self, register: Register, value: u8) {
        debug_assert!(value < 32);
        self.bytes.push(gimli::DW_CFA_val_expression.0);
        self.uleb(register.into());
        self.bytes.extend([1, gimli::DW_OP_lit0.0 + value]);
    }

    fn uleb(&mut self, value: u32) {
        uleb(self.bytes, value);
    }

    fn sleb(&mut self, value: i32) {
        sleb(self.bytes, value);
    }
}

/// Appends `value` as unsigned LEB128.
pub(crate) fn uleb(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends `value` as signed LEB128.
pub(crate) fn sleb(bytes: &mut Vec<u8>, mut value: i32) {
    while !(-0x40..0x40).contains(&value) {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8 & 0x7f);
}
