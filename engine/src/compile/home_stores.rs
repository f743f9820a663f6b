//! Keeps the stores of homes cheap.
//!
//! The code generator makes a store to a stack slot out of an address and a store through it. Left alone, the address of
//! each home is computed once, outside of all loops, and occupies a register from there on; the registers that are
//! then missing cost far more than the stores. And an address of its own for each store is one more instruction to
//! allocate registers for.
//!
//! So, for x86-64, a store of an integer gets the value itself for its address, with a displacement that says which home is
//! meant ([`localize`]); in the code, the address becomes that of the home ([`fold`]). Constants and vectors get an address of
//! their own, right before the store, and the two instructions become one.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Value, ValueDef, types};

/// The displacement of a store through its value, before the offset in the slot is added. Guest code has none below zero.
const MARK: i32 = -0x4000_0000;
/// Slots are smaller: a function has at most 50,000 locals.
const MARKS: u32 = 0x100_0000;

/// Gives each of `stores`, which are to a stack slot, an address that occupies no other register. `through_values`: that may be
/// the value, and [`fold`] is called for the code.
///
/// To be called after the optimizer, which would merge the addresses again. It leaves stores where they are, or out if
/// they are never reached.
pub(super) fn localize(func: &mut Function, stores: &[Inst], through_values: bool) {
    for &store in stores {
        if func.layout.inst_block(store).is_none() {
            continue;
        }
        let InstructionData::Store { opcode: Opcode::Store, args: [value, address], offset: beyond, .. } =
            func.dfg.insts[store]
        else {
            continue;
        };
        let ValueDef::Result(def, _) = func.dfg.value_def(func.dfg.resolve_aliases(address)) else {
            continue;
        };
        let InstructionData::StackLoad { opcode: Opcode::StackAddr, stack_slot, offset } = func.dfg.insts[def] else {
            continue;
        };
        let Some(offset) = offset.try_add_i64(beyond.into()) else { continue };
        let mark = u32::try_from(i32::from(offset)).ok().filter(|offset| through_values && *offset < MARKS);
        let (own, offset) = match mark.and_then(|mark| Some((mark, value_as_address(func, store, value)?))) {
            Some((mark, value)) => (value, MARK + mark as i32),
            None => {
                let ty = func.dfg.value_type(address);
                (before(func, store).ins().stack_addr(ty, stack_slot, offset), 0)
            }
        };
        func.dfg.inst_args_mut(store)[1] = own;
        if let InstructionData::Store { offset: beyond, .. } = &mut func.dfg.insts[store] {
            *beyond = offset.into();
        }
    }
}

/// For instructions before the store, with its location.
fn before(func: &mut Function, store: Inst) -> FuncCursor<'_> {
    let mut pos = FuncCursor::new(func).at_inst(store);
    pos.use_srcloc(store);
    pos
}

/// An address that is in the register of `value`, if that is an integer which is in one.
fn value_as_address(func: &mut Function, store: Inst, value: Value) -> Option<Value> {
    let value = func.dfg.resolve_aliases(value);
    let ty = func.dfg.value_type(value);
    if ty != types::I32 && ty != types::I64 {
        return None;
    }
    let opcode = func.dfg.value_def(value).inst().map(|inst| func.dfg.insts[inst].opcode());
    match opcode {
        // A store has room for it.
        Some(Opcode::Iconst) => None,
        // It is stored out of the vector, and has no register.
        Some(Opcode::Extractlane) => None,
        // Sums would become a part of the address. These have no code, and hide them.
        Some(Opcode::Iadd) if ty == types::I32 => Some(before(func, store).ins().uextend(types::I64, value)),
        Some(Opcode::Iadd) => Some(before(func, store).ins().ireduce(types::I32, value)),
        _ => Some(value),
    }
}

/// Where a function's slot of homes lies: its begin, relative to the frame pointer.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameOffset(pub(super) i32);

/// Gives the stores of homes their addresses, in x86-64 code that consists of such stores: `false` where that code is not known.
///
/// A store to `[reg + MARK + x]` becomes one to `[rbp + slot + x]` of the same length. `lea reg, [rsp + x]` followed by a store
/// to `[reg]`, the only use of that register, becomes a store to `[rsp + x]`. Whatever does not look like this stays as it is.
#[must_use]
pub(super) fn fold(code: &mut [u8], slot: FrameOffset) -> bool {
    let mut at = 0;
    while at < code.len() {
        if let Some(length) = store_length(&code[at..])
            && through_value(&mut code[at..at + length], slot)
        {
            at += length;
            continue;
        }
        let Some(length) = unwind::instruction_length(&code[at..]) else { return false };
        let next = at + length;
        if next > code.len() {
            return false;
        }
        if is_marked(&code[at..next]) {
            // It would write to anywhere.
            return false;
        } else if let Some((register, displacement)) = stack_address(&code[at..next])
            && let Some(length) = unwind::instruction_length(&code[next..])
            && let Some(store) = Store::through(register, &code[next..next + length])
            && store.write(displacement, &mut code[at..next + length])
        {
            at = next + length;
        } else {
            at = next;
        }
    }
    true
}

/// The length of a `mov [base + displacement of 32 bits], register`, if all of it is there.
fn store_length(code: &[u8]) -> Option<usize> {
    let rex = usize::from(code.first()? & 0xf0 == 0x40);
    let &[0x89, modrm, ..] = code.get(rex..)? else { return None };
    // A base of the number 4 takes a SIB byte.
    let length = rex + 6 + usize::from(modrm & 7 == 4);
    (modrm >> 6 == 2 && length <= code.len()).then_some(length)
}

/// Gives a store through its value the address of the home that it means; `false` for every other instruction.
fn through_value(instruction: &mut [u8], slot: FrameOffset) -> bool {
    let Some((rest, displacement)) = instruction.split_last_chunk_mut::<4>() else { return false };
    let Some(mark) = i32::from_le_bytes(*displacement).checked_sub(MARK) else { return false };
    if !(0..MARKS as i32).contains(&mark) {
        return false;
    }
    match rest {
        // The base r12 has a SIB byte, which the base rbp is without.
        [rex, opcode @ 0x89, modrm, 0x24] if *modrm & 0xc7 == 0x84 => {
            let bytes = [CS, *rex & !1, *opcode, *modrm & 0x38 | 0x80 | RBP];
            rest.copy_from_slice(&bytes);
        }
        [rex, 0x89, modrm] if *modrm & 0xc0 == 0x80 => {
            *rex &= !1;
            *modrm = *modrm & 0x38 | 0x80 | RBP;
        }
        [0x89, modrm] if *modrm & 0xc0 == 0x80 => *modrm = *modrm & 0x38 | 0x80 | RBP,
        _ => return false,
    }
    *displacement = (slot.0 + mark).to_le_bytes();
    true
}

/// Does an instruction end with a marked displacement, or with one and a byte behind it? Where it ends with an immediate number of
/// more bytes, that may be any.
fn is_marked(instruction: &[u8]) -> bool {
    let opcode = instruction.iter().find(|byte| !matches!(byte, 0x66 | 0x2e | 0x40..=0x4f));
    let has_number = opcode.is_some_and(|opcode| matches!(opcode, 0xc7 | 0xb8..=0xbf | 0x81 | 0x69));
    let ends_with_mark = |bytes: &[u8]| {
        // The opcode comes first.
        let displacement = bytes.split_last_chunk::<4>().filter(|(opcode, _)| !opcode.is_empty());
        let mark = displacement.and_then(|(_, displacement)| i32::from_le_bytes(*displacement).checked_sub(MARK));
        mark.is_some_and(|mark| (0..MARKS as i32).contains(&mark))
    };
    let before_byte = instruction.split_last().map_or(&[][..], |(_, rest)| rest);
    !has_number && (ends_with_mark(instruction) || ends_with_mark(before_byte))
}

const RBP: u8 = 5;

/// The register and the displacement of a `lea reg, [rsp + displacement]`.
fn stack_address(instruction: &[u8]) -> Option<(u8, i32)> {
    let [rex @ (0x48 | 0x4c), 0x8d, modrm, 0x24, displacement @ ..] = instruction else { return None };
    if modrm & 7 != RSP {
        return None;
    }
    let displacement = match (modrm >> 6, displacement) {
        (0, []) => 0,
        (1, &[byte]) => i32::from(byte as i8),
        (2, bytes) => i32::from_le_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    Some((modrm >> 3 & 7 | (rex & 4) << 1, displacement))
}

const RSP: u8 = 4;

/// A store through a register, without displacement.
struct Store {
    /// Prefixes and opcode.
    head: Vec<u8>,
    /// The `reg` field of the ModRM byte, in its place.
    reg: u8,
    immediate: Vec<u8>,
}

impl Store {
    /// Reads a store to `[register]`; `None` for every other instruction.
    fn through(register: u8, instruction: &[u8]) -> Option<Store> {
        let mut head = Vec::with_capacity(6);
        let mut rest = instruction;
        let mut next = || {
            let (&byte, tail) = rest.split_first()?;
            rest = tail;
            Some(byte)
        };
        let mut byte = next()?;
        let prefix = matches!(byte, 0x66 | 0xf2 | 0xf3).then_some(byte);
        if prefix.is_some() {
            head.push(byte);
            byte = next()?;
        }
        // The high bit of the base register, and the store's encoding without it.
        let mut high = 0;
        if byte & 0xf0 == 0x40 {
            high = byte & 1;
            head.push(byte & !1);
            byte = next()?;
        } else if prefix.is_none() && byte == 0xc5 {
            head.extend([byte, next()?]);
            byte = next()?;
            return vector_store(byte).then(|| Self::memory(register, 0, head, byte, rest))?;
        } else if prefix.is_none() && byte == 0xc4 {
            // Map 1 is that of the opcodes 0F xx. The bit is stored inverted, and so is that of the absent index.
            let map = next()?;
            if map & 0x1f != 1 {
                return None;
            }
            high = (!map >> 5) & 1;
            head.extend([byte, map | 0x20, next()?]);
            byte = next()?;
            return vector_store(byte).then(|| Self::memory(register, high, head, byte, rest))?;
        }
        if byte == 0x0f {
            head.push(byte);
            byte = next()?;
            return vector_store(byte).then(|| Self::memory(register, high, head, byte, rest))?;
        }
        matches!(byte, 0x89 | 0xc7).then(|| Self::memory(register, high, head, byte, rest))?
    }

    fn memory(register: u8, high: u8, mut head: Vec<u8>, opcode: u8, operand: &[u8]) -> Option<Store> {
        head.push(opcode);
        let (&modrm, mut rest) = operand.split_first()?;
        let base = modrm & 7;
        if base | high << 3 != register {
            return None;
        }
        // A base of the number 4 takes a SIB byte, one of the number 5 a displacement.
        match (modrm >> 6, base) {
            (0, 4) => rest = rest.strip_prefix(&[0x24])?,
            (0, 5) => return None,
            (0, _) => {}
            (1, 5) => rest = rest.strip_prefix(&[0])?,
            _ => return None,
        }
        let immediate = match opcode {
            0xc7 => 4,
            _ => 0,
        };
        (rest.len() == immediate).then_some(Store { head, reg: modrm & 0x38, immediate: rest.to_vec() })
    }

    /// Writes the store with another address over `code`, behind prefixes that mean nothing and fill what is left; `false`
    /// where it does not fit.
    fn write(&self, displacement: i32, code: &mut [u8]) -> bool {
        let fixed = self.head.len() + 2 + self.immediate.len();
        let operand = if fixed + 4 <= code.len() { 4 } else { 1 };
        let Some(filler) = code.len().checked_sub(fixed + operand).filter(|filler| *filler <= MAX_FILLER) else {
            return false;
        };
        let mut bytes = vec![CS; filler];
        bytes.extend(&self.head);
        if operand == 4 {
            bytes.extend([0x80 | self.reg | RSP, 0x24]);
            bytes.extend(displacement.to_le_bytes());
        } else if let Ok(displacement) = i8::try_from(displacement) {
            bytes.extend([0x40 | self.reg | RSP, 0x24, displacement as u8]);
        } else {
            return false;
        }
        bytes.extend(&self.immediate);
        code.copy_from_slice(&bytes);
        true
    }
}

/// The override of the segment CS, which 64-bit code ignores.
const CS: u8 = 0x2e;
/// With more prefixes some processors are slow.
const MAX_FILLER: usize = 3;

/// `movups`, `movss`, `movsd`; `movaps`; `movdqa`, `movdqu`. With these opcodes, every prefix makes a store.
fn vector_store(opcode: u8) -> bool {
    matches!(opcode, 0x11 | 0x29 | 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(code: &[u8]) -> Vec<u8> {
        let mut code = code.to_vec();
        assert!(fold(&mut code, FrameOffset(-0x40)));
        code
    }

    #[test]
    fn an_address_and_a_store_become_one_store_of_the_same_length() {
        // lea rcx, [rsp+0x10]; mov [rcx], edx
        let code = folded(&[0x48, 0x8d, 0x4c, 0x24, 0x10, 0x89, 0x11]);
        assert_eq!(code, [0x89, 0x94, 0x24, 0x10, 0, 0, 0]);
        // lea r8, [rsp+0x18]; mov [r8], r9
        let code = folded(&[0x4c, 0x8d, 0x44, 0x24, 0x18, 0x4d, 0x89, 0x08]);
        assert_eq!(code, [0x4c, 0x89, 0x8c, 0x24, 0x18, 0, 0, 0]);
        // lea rcx, [rsp]; mov [rcx], rdi
        let code = folded(&[0x48, 0x8d, 0x0c, 0x24, 0x48, 0x89, 0x39]);
        assert_eq!(code, [0x2e, 0x2e, 0x48, 0x89, 0x7c, 0x24, 0]);
        // lea rcx, [rsp+0x100]; mov dword [rcx], 7
        let code = folded(&[0x48, 0x8d, 0x8c, 0x24, 0, 1, 0, 0, 0xc7, 0x01, 7, 0, 0, 0]);
        assert_eq!(code, [0x2e, 0x2e, 0x2e, 0xc7, 0x84, 0x24, 0, 1, 0, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn a_store_through_its_value_becomes_one_to_the_frame_of_the_same_length() {
        // mov [rcx+MARK+0x10], ecx
        assert_eq!(folded(&[0x89, 0x89, 0x10, 0, 0, 0xc0]), [0x89, 0x8d, 0xd0, 0xff, 0xff, 0xff]);
        // mov [r9+MARK+0x140], r9
        assert_eq!(folded(&[0x4d, 0x89, 0x89, 0x40, 1, 0, 0xc0]), [0x4c, 0x89, 0x8d, 0, 1, 0, 0]);
        // mov [r12+MARK], r12d: the base takes a SIB byte
        assert_eq!(folded(&[0x45, 0x89, 0xa4, 0x24, 0, 0, 0, 0xc0]), [0x2e, 0x44, 0x89, 0xa5, 0xc0, 0xff, 0xff, 0xff]);
        // mov [rcx-0x10], ecx
        assert_eq!(folded(&[0x89, 0x89, 0xf0, 0xff, 0xff, 0xff]), [0x89, 0x89, 0xf0, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn code_that_is_not_known_is_not_passed_in_silence() {
        // `push es` does not exist in 64-bit code.
        assert!(!fold(&mut [0x06, 0x89, 0x89, 0x10, 0, 0, 0xc0], FrameOffset(0)));
        // add [rcx+MARK], ecx
        assert!(!fold(&mut [0x01, 0x89, 0, 0, 0, 0xc0], FrameOffset(0)));
        // vpextrd [rcx+MARK+0x34], xmm6, 0
        assert!(!fold(&mut [0xc4, 0xe3, 0x79, 0x16, 0xb1, 0x34, 0, 0, 0xc0, 0], FrameOffset(0)));
        // mov dword [rsp+8], MARK+1
        assert!(fold(&mut [0xc7, 0x44, 0x24, 8, 1, 0, 0, 0xc0], FrameOffset(0)));
        // Cut off.
        assert!(!fold(&mut [0x89, 0x89, 0x10, 0, 0], FrameOffset(0)));
    }

    #[test]
    fn bases_with_a_sib_byte_or_a_displacement_are_folded() {
        // lea r12, [rsp+8]; mov [r12], ebx
        let code = folded(&[0x4c, 0x8d, 0x64, 0x24, 8, 0x41, 0x89, 0x1c, 0x24]);
        assert_eq!(code, [0x2e, 0x40, 0x89, 0x9c, 0x24, 8, 0, 0, 0]);
        // lea r13, [rsp+8]; mov [r13+0], ebx
        let code = folded(&[0x4c, 0x8d, 0x6c, 0x24, 8, 0x41, 0x89, 0x5d, 0]);
        assert_eq!(code, [0x2e, 0x40, 0x89, 0x9c, 0x24, 8, 0, 0, 0]);
    }

    #[test]
    fn vector_stores_are_folded() {
        // lea rax, [rsp+0x20]; movups [rax], xmm1
        let code = folded(&[0x48, 0x8d, 0x44, 0x24, 0x20, 0x0f, 0x11, 0x08]);
        assert_eq!(code, [0x0f, 0x11, 0x8c, 0x24, 0x20, 0, 0, 0]);
        // lea rax, [rsp+0x20]; vmovsd [rax], xmm1
        let code = folded(&[0x48, 0x8d, 0x44, 0x24, 0x20, 0xc5, 0xfb, 0x11, 0x08]);
        assert_eq!(code, [0xc5, 0xfb, 0x11, 0x8c, 0x24, 0x20, 0, 0, 0]);
        // lea r9, [rsp+0x20]; vmovups [r9], xmm8
        let code = folded(&[0x4c, 0x8d, 0x4c, 0x24, 0x20, 0xc4, 0x41, 0x78, 0x11, 0x01]);
        assert_eq!(code, [0xc4, 0x61, 0x78, 0x11, 0x84, 0x24, 0x20, 0, 0, 0]);
    }

    #[test]
    fn whatever_is_something_else_stays() {
        let codes: [&[u8]; 5] = [
            // lea rcx, [rsp+0x10]; mov edx, [rcx]
            &[0x48, 0x8d, 0x4c, 0x24, 0x10, 0x8b, 0x11],
            // lea rcx, [rsp+0x10]; mov [rdx], edx
            &[0x48, 0x8d, 0x4c, 0x24, 0x10, 0x89, 0x12],
            // lea rcx, [rsp+0x10]; mov [rcx+4], edx
            &[0x48, 0x8d, 0x4c, 0x24, 0x10, 0x89, 0x51, 4],
            // lea rcx, [rsp+0x10]; movq xmm0, [rcx]
            &[0x48, 0x8d, 0x4c, 0x24, 0x10, 0xf3, 0x0f, 0x7e, 0x01],
            // lea rcx, [rdx+0x10]; mov [rcx], edx
            &[0x48, 0x8d, 0x4a, 0x10, 0x89, 0x11],
        ];
        for code in codes {
            assert_eq!(folded(code), code);
        }
    }
}
