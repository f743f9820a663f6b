//! How long an x86-64 instruction is, and little else.
//!
//! The generator only needs instruction boundaries between a block's start and an epilogue in it.
//! The tables follow the opcode maps of the AMD64 manual (volume 3, appendix A) and Intel's (volume
//! 2, appendix A), for 64-bit mode. The static checker decodes with something else.
#![forbid(unsafe_code)]

/// Length in bytes of the x86-64 instruction that `code` starts with; `None` if there is none or it is cut off.
#[must_use]
pub fn instruction_length(code: &[u8]) -> Option<usize> {
    const LONGEST: usize = 15;
    let mut at = 0;
    let mut operand_size_16 = false;
    let mut address_size_32 = false;
    let mut rex_w = false;
    loop {
        match *code.get(at)? {
            0x66 => operand_size_16 = true,
            0x67 => address_size_32 = true,
            0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65 | 0xf0 | 0xf2 | 0xf3 => {}
            rex @ 0x40..=0x4f => {
                rex_w = rex & 8 != 0;
                at += 1;
                // REX counts only right before the opcode.
                match *code.get(at)? {
                    0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 => rex_w = false,
                    _ => break,
                }
                continue;
            }
            _ => break,
        }
        at += 1;
        if at >= LONGEST {
            return None;
        }
    }
    let opcode = *code.get(at)?;
    at += 1;
    // Immediate operands of "z" size: 4 bytes, 2 with an operand size prefix (which REX.W beats).
    let z = if operand_size_16 && !rex_w { 2 } else { 4 };

    let (modrm, immediate) = match opcode {
        0x0f => {
            let second = *code.get(at)?;
            at += 1;
            match second {
                0x38 => {
                    at += 1;
                    (true, 0)
                }
                0x3a => {
                    at += 1;
                    (true, 1)
                }
                _ => two_byte(second)?,
            }
        }
        // VEX and EVEX; in 64-bit mode these bytes have no other meaning.
        0xc5 => {
            let op = *code.get(at + 1)?;
            at += 2;
            vector(1, op)
        }
        0xc4 => {
            let map = *code.get(at)? & 0x1f;
            let op = *code.get(at + 2)?;
            at += 3;
            vector(map, op)
        }
        0x62 => {
            let map = *code.get(at)? & 0x07;
            let op = *code.get(at + 3)?;
            at += 4;
            vector(map, op)
        }
        // mov between rAX and an absolute address
        0xa0..=0xa3 => (false, if address_size_32 { 4 } else { 8 }),
        0xb8..=0xbf if rex_w => (false, 8),
        0xf6 | 0xf7 => {
            // Of this group only test has an immediate.
            let is_test = *code.get(at)? & 0x38 < 0x10;
            let size = if opcode == 0xf6 { 1 } else { z };
            (true, if is_test { size } else { 0 })
        }
        _ => one_byte(opcode, z)?,
    };
    if modrm {
        at += modrm_length(code.get(at..)?)?;
    }
    at += immediate;
    (at <= code.len() && at <= LONGEST).then_some(at)
}

/// ModRM byte, SIB byte and displacement.
fn modrm_length(code: &[u8]) -> Option<usize> {
    let modrm = *code.first()?;
    let (mode, rm) = (modrm >> 6, modrm & 7);
    if mode == 3 {
        return Some(1);
    }
    let mut length = 1;
    let mut base = rm;
    if rm == 4 {
        base = *code.get(1)? & 7;
        length += 1;
    }
    length += match mode {
        0 if base == 5 => 4, // rip-relative, or a SIB byte without a base
        0 => 0,
        1 => 1,
        _ => 4,
    };
    Some(length)
}

/// (has ModRM, bytes of immediate) in the map of one-byte opcodes.
fn one_byte(opcode: u8, z: usize) -> Option<(bool, usize)> {
    Some(match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => (true, 0),
            4 => (false, 1),
            5 => (false, z),
            _ => return None,
        },
        0x50..=0x5f => (false, 0),
        0x63 => (true, 0),
        0x68 => (false, z),
        0x69 => (true, z),
        0x6a => (false, 1),
        0x6b => (true, 1),
        0x6c..=0x6f => (false, 0),
        0x70..=0x7f => (false, 1),
        0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => (true, 1),
        0x81 | 0xc7 => (true, z),
        0x84..=0x8f | 0xd0..=0xd3 | 0xd8..=0xdf | 0xfe | 0xff => (true, 0),
        0x90..=0x99 | 0x9b..=0x9f | 0xa4..=0xa7 | 0xaa..=0xaf => (false, 0),
        0xa8 | 0xb0..=0xb7 | 0xcd | 0xe0..=0xe7 | 0xeb => (false, 1),
        0xa9 => (false, z),
        // 32 bits also with a REX.W prefix left out; with it, the caller took 8.
        0xb8..=0xbf => (false, z),
        0xc2 | 0xca => (false, 2),
        0xc3 | 0xc9 | 0xcb | 0xcc | 0xcf | 0xd7 => (false, 0),
        0xc8 => (false, 3),
        // Near branches ignore the operand size prefix in 64-bit mode on Intel's machines.
        0xe8 | 0xe9 => (false, 4),
        0xec..=0xef | 0xf1 | 0xf4 | 0xf5 | 0xf8..=0xfd => (false, 0),
        _ => return None,
    })
}

/// The same for opcodes after 0x0f.
fn two_byte(opcode: u8) -> Option<(bool, usize)> {
    Some(match opcode {
        0x05..=0x09 | 0x0b | 0x0e | 0x30..=0x37 | 0x77 | 0xa0..=0xa2 | 0xa8..=0xaa => (false, 0),
        0x0f => (true, 1),
        0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => (true, 1),
        0x80..=0x8f => (false, 4),
        0xc8..=0xcf => (false, 0),
        0x00..=0x03 | 0x0d | 0x10..=0x1f | 0x28..=0x2f | 0x40..=0x6f | 0x74..=0x76 | 0x78..=0x7f => (true, 0),
        0x90..=0x9f | 0xa3 | 0xa5 | 0xab | 0xad..=0xb9 | 0xbb..=0xc1 | 0xc3 | 0xc7 => (true, 0),
        0xd0..=0xff => (true, 0),
        _ => return None,
    })
}

/// The same for VEX and EVEX: one of the three opcode maps, all with a ModRM byte.
fn vector(map: u8, opcode: u8) -> (bool, usize) {
    match (map, opcode) {
        (1, 0x77) => (false, 0), // vzeroupper
        (1, 0x70..=0x73 | 0xc2 | 0xc4..=0xc6) | (3, _) => (true, 1),
        _ => (true, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::instruction_length;
    use iced_x86::{CpuidFeature, Decoder, DecoderOptions};

    /// Random bytes are mostly rare instructions: all maps and forms come up.
    #[test]
    fn lengths_are_those_of_another_decoder() {
        let mut state = 0x1234_5678_9abc_def1_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut compared = 0;
        for round in 0..2_000_000 {
            let mut bytes = [0u8; 16];
            bytes[..8].copy_from_slice(&next().to_le_bytes());
            bytes[8..].copy_from_slice(&next().to_le_bytes());
            // Favour what compilers emit.
            match round % 6 {
                0 => bytes[0] = 0x48 | bytes[0] & 7,
                1 => bytes[0] = 0x0f,
                2 => (bytes[0], bytes[1]) = (0x66, 0x0f),
                3 => (bytes[0], bytes[1], bytes[2]) = (0xf2 | bytes[0] & 1, 0x40 | bytes[1] & 0xf, 0x0f),
                4 => bytes[0] = 0xc4 | bytes[0] & 1,
                _ => {}
            }
            let instruction = Decoder::new(64, &bytes, DecoderOptions::NONE).decode();
            // AMD's XOP, 3DNow! and SSE4a and what VIA had are not emitted by anything any more.
            let dropped = instruction.cpuid_features().iter().any(|feature| {
                matches!(
                    feature,
                    CpuidFeature::XOP
                        | CpuidFeature::D3NOW
                        | CpuidFeature::D3NOWEXT
                        | CpuidFeature::TBM
                        | CpuidFeature::SSE4A
                ) || format!("{feature:?}").starts_with("PADLOCK")
            });
            // Control and debug registers: not for user code.
            if instruction.is_invalid() || instruction.is_privileged() || dropped || bytes[0] == 0x8f {
                continue;
            }
            // A 16-bit operand size on near branches and on moves of rel16 differs between vendors.
            let branches = instruction.is_jcc_short_or_near()
                || instruction.is_call_near()
                || instruction.is_jmp_short_or_near()
                || instruction.mnemonic() == iced_x86::Mnemonic::Xbegin;
            if branches && bytes[..instruction.len()].contains(&0x66) {
                continue;
            }
            compared += 1;
            assert_eq!(instruction_length(&bytes), Some(instruction.len()), "{bytes:02x?}: {:?}", instruction.code());
        }
        assert!(compared > 500_000, "only {compared}");
    }

    #[test]
    fn cut_off_instructions_have_no_length() {
        let mov = [0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8];
        for length in 0..mov.len() {
            assert_eq!(instruction_length(&mov[..length]), None);
        }
        assert_eq!(instruction_length(&mov), Some(10));
        assert_eq!(instruction_length(&[0x66; 20]), None);
    }
}
