//! Which bytes of a function are instructions.
//!
//! Cranelift puts jump tables and constants between the instructions. A sweep from start to end would decode them as
//! code and come out of step with what follows; so code is followed from where it is known to start: the function, the
//! targets of its branches and jump tables, and the rows of the address map. What is not reached is data.

use std::collections::BTreeSet;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, OpKind, Register};

/// A piece of a function, by offset.
pub enum Piece {
    Code(Box<Instruction>),
    Data(std::ops::Range<usize>),
}

/// All pieces of the function in order. `more_starts` are offsets where instructions are known to start.
///
/// With `sweep` what is not reached is decoded all the same: of code without an address map not all starts are known.
pub fn pieces(
    bytes: &[u8],
    address: u64,
    bitness: u32,
    more_starts: impl IntoIterator<Item = usize>,
    sweep: bool,
) -> Vec<Piece> {
    let mut decoded: Vec<Option<Box<Instruction>>> = Vec::new();
    decoded.resize_with(bytes.len(), || None);
    let mut pending: BTreeSet<usize> = more_starts.into_iter().filter(|&start| start < bytes.len()).collect();
    if !bytes.is_empty() {
        pending.insert(0);
    }
    while let Some(start) = pending.pop_first() {
        follow(bytes, address, bitness, start, &mut decoded, &mut pending);
    }

    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if sweep && decoded[at].is_none() {
            follow(bytes, address, bitness, at, &mut decoded, &mut pending);
        }
        if let Some(instruction) = decoded[at].take() {
            let len = instruction.len().max(1);
            pieces.push(Piece::Code(instruction));
            at += len;
            continue;
        }
        let is_end = |&offset: &usize| decoded[offset].is_some() || sweep;
        let end = (at + 1..bytes.len()).find(is_end).unwrap_or(bytes.len());
        pieces.push(Piece::Data(at..end));
        at = end;
    }
    pieces
}

/// Decodes from `start` to the end of the straight line.
fn follow(
    bytes: &[u8],
    address: u64,
    bitness: u32,
    start: usize,
    decoded: &mut [Option<Box<Instruction>>],
    pending: &mut BTreeSet<usize>,
) {
    let mut decoder = Decoder::with_ip(bitness, bytes, address, DecoderOptions::NONE);
    let inside = |target: u64| target.checked_sub(address).and_then(|offset| usize::try_from(offset).ok());
    // What the last `lea reg, [rip+table]` of each register pointed at.
    let mut tables: Vec<u64> = Vec::new();
    let mut at = start;
    while at < bytes.len() && decoded[at].is_none() {
        if decoder.set_position(at).is_err() {
            return;
        }
        decoder.set_ip(address + at as u64);
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return;
        }
        if instruction.code() == Code::Lea_r64_m && instruction.memory_base() == Register::RIP {
            tables.push(instruction.memory_displacement64());
        }
        let flow = instruction.flow_control();
        if matches!(flow, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch)
            && matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
            && let Some(target) = inside(instruction.near_branch_target()).filter(|&target| target < bytes.len())
        {
            pending.insert(target);
        }
        let next = at + instruction.len();
        if flow == FlowControl::IndirectBranch {
            for table in &tables {
                pending.extend(jump_table(bytes, inside(*table), next));
            }
        }
        let goes_on = match flow {
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch | FlowControl::Return => false,
            // `ud2`: nothing is executed after it.
            FlowControl::Exception => instruction.code() != Code::Ud2,
            _ => true,
        };
        decoded[at] = Some(Box::new(instruction));
        if !goes_on {
            return;
        }
        at = next;
    }
}

/// The targets of a table of 32-bit offsets relative to itself. It ends where its first target begins.
fn jump_table(bytes: &[u8], table: Option<usize>, after_jump: usize) -> Vec<usize> {
    let Some(table) = table.filter(|&table| table >= after_jump && table < after_jump + 16) else { return Vec::new() };
    let mut targets = Vec::new();
    let mut first_target = bytes.len();
    let mut at = table;
    while at + 4 <= first_target {
        let entry = i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let Some(target) = table.checked_add_signed(entry as isize).filter(|&target| target < bytes.len()) else {
            break;
        };
        if target > table {
            first_target = first_target.min(target);
        }
        targets.push(target);
        at += 4;
    }
    targets
}
