//! Native instructions as text.

use iced_x86::{Formatter, GasFormatter, IntelFormatter, SymbolResolver, SymbolResult};

use super::flow::{Piece, pieces};
use super::{Native, NativeFunction};
use crate::output::hex;
use crate::{Arguments, Syntax};

/// An instruction, or a row of data between instructions.
pub struct Instruction {
    pub address: u64,
    pub bytes: Vec<u8>,
    pub text: String,
}

/// Decodes and formats; made once a file, since it holds the table of names that calls look into.
pub struct Disassembler<'n, 'a> {
    native: &'n Native<'a>,
    /// `None` for machines that cannot be disassembled here.
    bitness: Option<u32>,
    formatter: Box<dyn Formatter>,
}

impl<'n, 'a> Disassembler<'n, 'a> {
    pub fn new(native: &'n Native<'a>, arguments: &Arguments) -> Self {
        let functions = native.functions.iter().filter(|function| function.name.is_some() || function.row.is_some());
        let functions =
            functions.map(|function| (function.address, function.end(), function.display_name(arguments))).collect();
        let resolver: Option<Box<dyn SymbolResolver>> = Some(Box::new(Symbols { functions }));
        let mut formatter: Box<dyn Formatter> = match arguments.syntax {
            Syntax::Intel => Box::new(IntelFormatter::with_options(resolver, None)),
            Syntax::Att => Box::new(GasFormatter::with_options(resolver, None)),
        };
        let options = formatter.options_mut();
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_uppercase_hex(false);
        options.set_small_hex_numbers_in_decimal(true);
        options.set_space_after_operand_separator(true);
        options.set_rip_relative_addresses(false);
        options.set_branch_leading_zeros(false);
        options.set_show_symbol_address(true);
        let bitness = match native.machine {
            object::Architecture::X86_64 | object::Architecture::X86_64_X32 => Some(64),
            object::Architecture::I386 => Some(32),
            _ => None,
        };
        Disassembler { native, bitness, formatter }
    }

    /// All instructions of a function.
    pub fn instructions_of(&mut self, function: &NativeFunction<'_>) -> Vec<Instruction> {
        let bytes = self.native.code_of(function);
        let Some(bitness) = self.bitness else { return words(bytes, function.address) };
        let rows = self.native.artifact.as_ref().zip(function.row).map(|(artifact, row)| artifact.address_map_of(&row));
        let starts = rows.iter().flat_map(|rows| rows.iter());
        let starts = starts.map(|row| (row.text.link_address() - function.address) as usize);
        let mut instructions = Vec::new();
        for piece in pieces(bytes, function.address, bitness, starts, function.row.is_none()) {
            match piece {
                Piece::Code(instruction) => {
                    let start = (instruction.ip() - function.address) as usize;
                    let mut text = String::new();
                    self.formatter.format(&instruction, &mut text);
                    let end = (start + instruction.len()).min(bytes.len());
                    instructions.push(Instruction {
                        address: instruction.ip(),
                        bytes: bytes[start..end].to_vec(),
                        text,
                    });
                }
                Piece::Data(range) => {
                    data(&bytes[range.clone()], function.address + range.start as u64, &mut instructions);
                }
            }
        }
        instructions
    }
}

/// Names of functions by address.
struct Symbols {
    functions: Vec<(u64, u64, String)>,
}

impl SymbolResolver for Symbols {
    fn symbol(
        &mut self,
        instruction: &iced_x86::Instruction,
        _: u32,
        _: Option<u32>,
        address: u64,
        _: u32,
    ) -> Option<SymbolResult<'_>> {
        if !instruction.is_call_near() && !instruction.is_jmp_short_or_near() && !instruction.is_jcc_short_or_near() {
            return None;
        }
        let index = self.functions.partition_point(|(start, ..)| *start <= address).checked_sub(1)?;
        let (start, end, name) = &self.functions[index];
        // Branches inside of a function are plain addresses.
        (address < *end && !(*start..*end).contains(&instruction.ip()))
            .then(|| SymbolResult::with_str(*start, name.as_str()))
    }
}

/// Data in rows of up to eight bytes.
fn data(bytes: &[u8], address: u64, out: &mut Vec<Instruction>) {
    // Padding is one row, however long.
    if bytes.iter().all(|&byte| byte == bytes[0]) && (bytes[0] == 0xcc || bytes[0] == 0x90 || bytes[0] == 0) {
        let text = format!(".fill {}, 1, {:#04x}", bytes.len(), bytes[0]);
        return out.push(Instruction { address, bytes: bytes[..bytes.len().min(8)].to_vec(), text });
    }
    for (index, row) in bytes.chunks(8).enumerate() {
        let text = match *row {
            [a, b, c, d] => format!(".long {:#x}", u32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => {
                let (low, high) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
                format!(".long {low:#x}, {high:#x}")
            }
            _ => format!(".byte {}", row.iter().map(|byte| format!("{byte:#04x}")).collect::<Vec<_>>().join(", ")),
        };
        out.push(Instruction { address: address + index as u64 * 8, bytes: row.to_vec(), text });
    }
}

/// Machines without a disassembler here: their 32-bit words.
fn words(bytes: &[u8], address: u64) -> Vec<Instruction> {
    let word = |(index, word): (usize, &[u8])| Instruction {
        address: address + index as u64 * 4,
        bytes: word.to_vec(),
        text: format!(".word 0x{}", hex(&word.iter().rev().copied().collect::<Vec<_>>())),
    };
    bytes.chunks(4).enumerate().map(word).collect()
}
