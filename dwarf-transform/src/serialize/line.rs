//! Line number programs.

use super::{SectionBytes, unsigned_size};
use crate::output::{Error, RelocationTarget};
use crate::tables::{LineProgram, LineRow};
use gimli::write::{DebugLine, EndianVec, LineStringTable, StringTable};
use gimli::{Encoding, LittleEndian, constants as c};

// As gimli's header has them.
const LINE_BASE: i64 = -5;
const LINE_RANGE: u64 = 14;
const OPCODE_BASE: u64 = 13;
/// What `DW_LNS_const_add_pc` adds to the address.
const CONST_ADD: u64 = (255 - OPCODE_BASE) / LINE_RANGE;

/// The whole program, header included.
pub(super) fn write(program: &LineProgram, encoding: Encoding) -> Result<SectionBytes, Error> {
    let mut header = DebugLine::from(EndianVec::new(LittleEndian));
    // All names are in the header itself.
    let (mut line_strings, mut strings) = (LineStringTable::default(), StringTable::default());
    program.files.write(&mut header, encoding, &mut line_strings, &mut strings)?;
    let mut out = SectionBytes { bytes: header.0.into_vec(), relocations: Vec::new() };
    let mut begin = 0;
    for sequence in &program.sequences {
        let rows = &program.rows[begin..sequence.rows_end as usize];
        begin = sequence.rows_end as usize;
        write_sequence(rows, sequence.text, &mut out);
    }
    let length = u32::try_from(out.bytes.len() - 4).map_err(|_| Error::SectionTooLarge(".debug_line"))?;
    out.bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

fn write_sequence(rows: &[LineRow], text: (u32, u32), out: &mut SectionBytes) {
    extended(out, c::DW_LNE_set_address, 8);
    out.address(RelocationTarget::Text, i64::from(text.0));
    let mut address = text.0;
    // The registers at the begin of a sequence.
    let (mut file, mut line, mut column, mut is_stmt) = (1, 1, 0, true);
    for row in rows {
        if row.discriminator != 0 {
            extended(out, c::DW_LNE_set_discriminator, unsigned_size(u64::from(row.discriminator)));
            out.unsigned(u64::from(row.discriminator));
        }
        if row.is_stmt != is_stmt {
            out.bytes.push(c::DW_LNS_negate_stmt.0);
        }
        if row.prologue_end {
            out.bytes.push(c::DW_LNS_set_prologue_end.0);
        }
        if row.epilogue_begin {
            out.bytes.push(c::DW_LNS_set_epilogue_begin.0);
        }
        if row.file != file {
            out.bytes.push(c::DW_LNS_set_file.0);
            out.unsigned(u64::from(row.file));
        }
        if row.column != column {
            out.bytes.push(c::DW_LNS_set_column.0);
            out.unsigned(u64::from(row.column));
        }
        advance(u64::from(row.text.0.saturating_sub(address)), i64::from(row.line) - line, out);
        (file, column, is_stmt) = (row.file, row.column, row.is_stmt);
        line = i64::from(row.line);
        address = address.max(row.text.0);
    }
    out.bytes.push(c::DW_LNS_advance_pc.0);
    out.unsigned(u64::from(text.1.saturating_sub(address)));
    extended(out, c::DW_LNE_end_sequence, 0);
}

/// The begin of an extended operation with operands of `size` bytes.
fn extended(out: &mut SectionBytes, opcode: gimli::DwLne, size: usize) {
    out.bytes.push(0);
    out.unsigned(size as u64 + 1);
    out.bytes.push(opcode.0);
}

/// Advances address and line, and adds a row.
fn advance(addresses: u64, mut lines: i64, out: &mut SectionBytes) {
    if !(LINE_BASE..LINE_BASE + LINE_RANGE as i64).contains(&lines) {
        out.bytes.push(c::DW_LNS_advance_line.0);
        out.signed(lines);
        lines = 0;
    }
    let lowest = (lines - LINE_BASE) as u64 + OPCODE_BASE;
    let special = |addresses: u64| u8::try_from(addresses.checked_mul(LINE_RANGE)?.checked_add(lowest)?).ok();
    if let Some(opcode) = special(addresses) {
        out.bytes.push(opcode);
    } else if let Some(opcode) = addresses.checked_sub(CONST_ADD).and_then(special) {
        out.bytes.extend_from_slice(&[c::DW_LNS_const_add_pc.0, opcode]);
    } else {
        out.bytes.push(c::DW_LNS_advance_pc.0);
        out.unsigned(addresses);
        out.bytes.push(lowest as u8);
    }
}
