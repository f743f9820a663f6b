//! The static checker finds corrupted tables.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Module, Random, random_module};
use gimli::{BaseAddresses, CfaRule, CieOrFde, EhFrame, LittleEndian, RegisterRule, UnwindContext, UnwindSection};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register};

/// A place in the section that holds one field of an entry.
#[derive(Debug)]
struct Field {
    at: usize,
    length: usize,
    /// Bits of the first byte that belong to it.
    mask: u8,
    #[allow(dead_code, reason = "shown when a test fails")]
    name: &'static str,
}

fn leb_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1
}

/// All fields of the entries: addresses, and the opcodes and operands of call frame instructions.
fn fields(section: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let length = u32::from_le_bytes(section[at..at + 4].try_into().unwrap()) as usize;
        if length == 0 {
            return fields;
        }
        let end = at + 4 + length;
        let mut push = |at, length, mask, name| fields.push(Field { at, length, mask, name });
        let is_cie = section[at + 4..at + 8] == [0; 4];
        let mut program = if is_cie {
            // version, augmentation, code and data alignment, return address, length, encoding
            push(at + 12, 1, 0x7f, "code alignment");
            push(at + 13, 1, 0x7f, "data alignment");
            push(at + 14, 1, 0x7f, "return address register");
            at + 17
        } else {
            push(at + 8, 4, 0xff, "start");
            push(at + 12, 4, 0xff, "length");
            at + 17
        };
        while program < end {
            let opcode = section[program];
            let primary = opcode & 0xc0;
            let operands: &[usize] = match (primary, opcode) {
                (0x40, _) => {
                    push(program, 1, 0x3f, "delta");
                    &[]
                }
                (0x80, _) => {
                    push(program, 1, 0x3f, "register");
                    &[0]
                }
                (0xc0, _) => {
                    push(program, 1, 0x3f, "register");
                    &[]
                }
                (_, 0x02) => &[1],
                (_, 0x03) => &[2],
                (_, 0x04) => &[4],
                (_, 0x0a | 0x0b) => &[],
                (_, 0x0c | 0x12 | 0x11 | 0x05) => &[0, 0],
                (_, 0x0d | 0x0e | 0x13) => &[0],
                other => panic!("opcode {other:x?} is not one the tables use"),
            };
            if primary == 0 {
                push(program, 1, 0xff, "opcode");
            }
            program += 1;
            for &size in operands {
                let length = if size == 0 { leb_length(&section[program..]) } else { size };
                push(program, length, if size == 0 { 0x7f } else { 0xff }, "operand");
                program += length;
            }
        }
        at = end;
    }
}

#[derive(Clone, PartialEq, Debug)]
struct Row {
    cfa: CfaRule<usize>,
    return_address: u16,
    rules: Vec<(u16, RegisterRule<usize>)>,
}

/// The row at each of the addresses, or why there is none.
fn rows(module: &Module, eh_frame: &[u8], addresses: &[u64]) -> Vec<Option<Row>> {
    let section = EhFrame::new(eh_frame, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(module.addresses().eh_frame);
    let mut all = Vec::new();
    let mut entries = section.entries(&bases);
    let mut context = UnwindContext::new();
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(fde) = partial.parse(EhFrame::cie_from_offset) else { continue };
        let Ok(mut table) = fde.rows(&section, &bases, &mut context) else { continue };
        while let Ok(Some(row)) = table.next_row() {
            let mut rules: Vec<_> = row.registers().map(|(register, rule)| (register.0, rule.clone())).collect();
            rules.retain(|(_, rule)| *rule != RegisterRule::SameValue);
            rules.sort_by_key(|(register, _)| *register);
            let return_address = fde.cie().return_address_register().0;
            // What lies past the entry's end belongs to nobody.
            let end = row.end_address().min(fde.end_address());
            if row.start_address() >= end {
                continue;
            }
            all.push((row.start_address()..end, Row { cfa: row.cfa().clone(), return_address, rules }));
        }
    }
    all.sort_by_key(|(range, _)| range.start);
    addresses
        .iter()
        .map(|address| {
            let index = all.partition_point(|(range, _)| range.start <= *address);
            let (range, row) = &all[index.checked_sub(1)?];
            range.contains(address).then(|| row.clone())
        })
        .collect()
}

/// The instructions of a function: its basic blocks, and the traps that branches in them lead to.
fn instructions(module: &Module, index: usize) -> Vec<Instruction> {
    let function = &module.functions[index];
    let start = common::TEXT + u64::from(function.start);
    let end = start + function.code.len() as u64;
    let mut starts: BTreeSet<u64> = function.blocks.iter().map(|&block| start + u64::from(block)).collect();
    starts.insert(start);
    let mut all = BTreeMap::new();
    while let Some(block) = starts.pop_first() {
        let code = &module.text[(block - common::TEXT) as usize..(end - common::TEXT) as usize];
        for instruction in Decoder::with_ip(64, code, block, DecoderOptions::NONE) {
            if all.insert(instruction.ip(), instruction).is_some() {
                break;
            }
            let target = instruction.near_branch_target();
            match instruction.flow_control() {
                FlowControl::IndirectBranch | FlowControl::Return | FlowControl::Exception => break,
                FlowControl::UnconditionalBranch => {
                    if (start + 1..end).contains(&target) {
                        starts.insert(target);
                    }
                    break;
                }
                FlowControl::ConditionalBranch => {
                    starts.insert(target);
                }
                _ => {}
            }
        }
        starts.retain(|start| !all.contains_key(start));
    }
    all.into_values().collect()
}

/// Decides, from the straight-line code around an address, whether two rules for a register give the
/// same value although they differ.
struct Equivalence {
    details: InstructionInfoFactory,
}

impl Equivalence {
    fn writes(&mut self, instruction: &Instruction, register: Register) -> bool {
        self.details.info(instruction).used_registers().iter().any(|used| {
            used.register().full_register() == register
                && !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None)
        })
    }

    /// The register still or again holds its value on entry at `code[index]`, and its slot does too.
    fn holds_entry_value(&mut self, code: &[Instruction], index: usize, register: Register) -> bool {
        if !code[..index].iter().any(|instruction| self.writes(instruction, register)) {
            return true;
        }
        // Restored from the stack, and nothing but the rest of the epilogue since.
        for instruction in code[..index].iter().rev() {
            if self.writes(instruction, register) {
                return instruction.op0_register() == register
                    && (instruction.memory_base() == Register::RSP
                        || instruction.mnemonic() == iced_x86::Mnemonic::Pop);
            }
            if instruction.flow_control() != FlowControl::Next {
                return false;
            }
        }
        false
    }

    /// rsp equals rbp at `code[index]`: one was just copied to the other.
    fn pointers_agree(&mut self, code: &[Instruction], index: usize) -> bool {
        for instruction in code[..index].iter().rev() {
            if self.writes(instruction, Register::RSP) || self.writes(instruction, Register::RBP) {
                return instruction.mnemonic() == iced_x86::Mnemonic::Mov
                    && instruction.op1_register().is_gpr64()
                    && [Register::RSP, Register::RBP].contains(&instruction.op1_register());
            }
        }
        false
    }
}

#[test]
fn corrupted_rows_are_found() {
    const MUTATIONS: usize = 1500;
    let module = random_module(77, 40, "speed");
    let at = module.addresses();
    let table = module.table();
    let eh_frame = table.eh_frame(at).unwrap();
    assert!(module.check_bytes(&eh_frame, None).is_exact());
    let fields = fields(&eh_frame);

    let code: Vec<Vec<Instruction>> = (0..module.functions.len()).map(|index| instructions(&module, index)).collect();
    let places: Vec<(usize, usize)> = code
        .iter()
        .enumerate()
        .flat_map(|(function, code)| (0..code.len()).map(move |index| (function, index)))
        .collect();
    let addresses: Vec<u64> = places.iter().map(|&(function, index)| code[function][index].ip()).collect();
    let reached: BTreeSet<u64> = addresses.iter().copied().collect();
    assert!(reached.len() > 1500);
    let right = rows(&module, &eh_frame, &addresses);
    assert!(right.iter().all(Option::is_some));

    let mut random = Random::new(4711);
    let mut equivalence = Equivalence { details: InstructionInfoFactory::new() };
    let (mut changing, mut found, mut equivalent) = (0, 0, 0);
    for _ in 0..MUTATIONS {
        let field = &fields[random.below(fields.len())];
        let mut mutated = eh_frame.clone();
        let byte = field.at + if field.mask == 0xff { random.below(field.length) } else { 0 };
        // A different value: an addition that does not leave the field's bits.
        let old = mutated[byte];
        let new = loop {
            let new = (old & !field.mask) | (random.next() as u8 & field.mask);
            if new != old {
                break new;
            }
        };
        mutated[byte] = new;
        let wrong = rows(&module, &mutated, &addresses);
        let report = module.check_bytes(&mutated, None);
        if wrong == right {
            continue;
        }
        if !report.is_exact() {
            changing += 1;
            found += 1;
            continue;
        }
        // Nothing found: then each change must leave the values as they are.
        for ((wrong, right), &(function, index)) in wrong.iter().zip(&right).zip(&places) {
            if wrong == right {
                continue;
            }
            let (wrong, right) = (wrong.as_ref().expect("a row"), right.as_ref().expect("a row"));
            let code = &code[function];
            let pc = code[index].ip();
            let start = code[0].ip();
            let around = || module.disassemble(start..pc + 24);
            let context = format!("{field:?}, {old:#x} -> {new:#x}, at {pc:#x} of\n{}", around());
            if wrong.cfa != right.cfa {
                let offset = |rule: &CfaRule<usize>| match rule {
                    CfaRule::RegisterAndOffset { register, offset } if [6, 7].contains(&register.0) => *offset,
                    other => panic!("{context}: CFA {other:?}"),
                };
                assert_eq!(offset(&wrong.cfa), offset(&right.cfa), "{context}");
                assert!(equivalence.pointers_agree(code, index), "{context}");
            }
            let rule =
                |row: &Row, register| row.rules.iter().find(|rule| rule.0 == register).map(|rule| rule.1.clone());
            let registers: BTreeSet<u16> = wrong.rules.iter().chain(&right.rules).map(|rule| rule.0).collect();
            for register in registers {
                let (wrong, right) = (rule(wrong, register), rule(right, register));
                if wrong == right {
                    continue;
                }
                if register == 16 {
                    // While it moves, the return address is in two places.
                    let slides = module.functions[function].prologue.iter().any(|operation| {
                        matches!(operation.op, unwind::UnwindOp::DefineNewFrame { offset_upward_to_caller_sp, .. }
                            if offset_upward_to_caller_sp > 16)
                    });
                    let moves_up = code[index.saturating_sub(4)..index].iter().any(|instruction| {
                        instruction.mnemonic() == iced_x86::Mnemonic::Mov
                            && instruction.op0_kind() == iced_x86::OpKind::Memory
                            && instruction.memory_base() == Register::RSP
                    });
                    assert!(slides || moves_up, "{context}: return address {wrong:?}, was {right:?}");
                    continue;
                }
                let machine = match register {
                    3 => Register::RBX,
                    6 => Register::RBP,
                    12 => Register::R12,
                    13 => Register::R13,
                    14 => Register::R14,
                    15 => Register::R15,
                    other => panic!("{context}: a rule for register {other}"),
                };
                assert!(
                    equivalence.holds_entry_value(code, index, machine),
                    "{context}: {machine:?} {wrong:?}, was {right:?}"
                );
            }
        }
        equivalent += 1;
    }
    println!("{changing} mutations changed reachable rows, {found} found; {equivalent} left all values as they are");
    assert!(found >= 1000, "only {found}");
}
