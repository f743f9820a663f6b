//! Statement anchors become part of the instructions behind them.
//!
//! An anchor is a `nop` of one byte. Where the instruction behind it is reached from nowhere else, the byte becomes a
//! prefix of it that means nothing (a segment override, as assemblers use it for padding): the anchor then costs no
//! instruction. A debugger that stops there sees what it saw before, since the instruction has not been executed; the only
//! address that is lost is the one between the two.

use super::function::{CompiledFunction, Row};
use super::leading;
use crate::translate::AnchorRange;

/// What an anchor is as an instruction of its own.
pub(super) const NOP: u8 = 0x90;
/// The override of CS, which 64-bit code ignores.
const PREFIX: u8 = 0x2e;
/// More of them make some processors slow.
const MAX_PREFIXES: usize = 3;
const LONGEST: usize = 15;

/// How control goes through a function's code.
pub(super) struct Flow {
    /// The return addresses of its calls: sorted.
    returns: Vec<u32>,
    /// The starts of a basic block and of one that comes before it: sorted.
    edges: Vec<(u32, u32)>,
    /// The other way round: sorted. Blocks without code begin where the next one does.
    exits: Vec<(u32, u32)>,
}

impl Flow {
    /// Calls return to `returns`, in order. `edges` lead from basic block to basic block.
    pub(super) fn new(returns: impl Iterator<Item = u32>, edges: &[(u32, u32)]) -> Flow {
        // Mostly in the order of their blocks, which helps to sort them.
        let mut exits = edges.to_vec();
        exits.sort_unstable();
        let mut edges: Vec<(u32, u32)> = exits.iter().map(|&(from, to)| (to, from)).collect();
        edges.sort_unstable();
        Flow { returns: returns.collect(), edges, exits }
    }

    /// Does a call return to this address?
    pub(super) fn is_returned_to(&self, address: u32) -> bool {
        self.returns.binary_search(&address).is_ok()
    }

    /// Does an edge lead from the block at `from` to the one at `to`?
    pub(super) fn leads(&self, from: u32, to: u32) -> bool {
        self.edges.binary_search(&(to, from)).is_ok()
    }

    /// Do all edges from the block at `from`, of which there is one, lead to the block at `to`?
    pub(super) fn leads_only(&self, from: u32, to: u32) -> bool {
        let first = self.exits.partition_point(|edge| edge.0 < from);
        let mut exits = self.exits[first..].iter().take_while(|edge| edge.0 == from).peekable();
        exits.peek().is_some() && exits.all(|edge| edge.1 == to)
    }

    /// Is the block at `start` reached only from the end of the one before it, which starts at `before`?
    fn continues(&self, start: u32, before: Option<u32>) -> bool {
        let first = self.edges.partition_point(|edge| edge.0 < start);
        let mut from = self.edges[first..].iter().take_while(|edge| edge.0 == start).map(|edge| edge.1);
        from.next() == before && from.next().is_none()
    }
}

/// Makes the anchors of an x86-64 function prefixes; those to which a call returns only if they need not `stay_apart`.
pub(super) fn absorb(function: &mut CompiledFunction, flow: &Flow, stay_apart: bool) {
    function.traps.sort_unstable_by_key(|trap| trap.0);
    let mut rows: Vec<Row> = Vec::with_capacity(function.rows.len());
    // Up to where an instruction has been taken into the row before.
    let mut taken = 0;
    for (number, &row) in function.rows.iter().enumerate() {
        let next = function.rows.get(number + 1).map_or(function.code.len() as u32, |row| row.start);
        if next <= taken {
            continue;
        }
        rows.push(Row { start: row.start.max(taken), ..row });
        let at = row.start as usize;
        let behind = row.start + 1;
        if !row.anchor
            || function.code[at] != NOP
            || function.traps.binary_search_by_key(&behind, |trap| trap.0).is_ok()
            || (stay_apart && flow.is_returned_to(row.start))
        {
            continue;
        }
        let block = function.basic_blocks.binary_search(&behind);
        if let Ok(number) = block
            && !flow.continues(behind, number.checked_sub(1).map(|before| function.basic_blocks[before]))
        {
            continue;
        }
        if let Some(length) = can_take_prefix(&function.code[at + 1..]) {
            function.code[at] = PREFIX;
            taken = behind + length as u32;
            if let Ok(number) = block {
                function.basic_blocks.remove(number);
            }
        }
    }
    function.rows = rows;
}

/// Lets statements begin where a call returns to if they come right behind it, and what lies between is no more than what the
/// register allocator moves and the space of arguments that is taken back: natively nothing lies there. `made` are instructions that stand
/// for what does; sorted.
pub(super) fn meet_returns(function: &mut CompiledFunction, flow: &Flow, anchors: &[AnchorRange], made: &[u32]) {
    let is_own = |row: &Row| row.wasm.is_none() && !row.anchor;
    for number in 1..function.rows.len() {
        let (before, rows) = function.rows.split_at_mut(number);
        let row = &mut rows[0];
        let Some(statement) = row.wasm.filter(|_| row.anchor) else { continue };
        let of_call = anchors.binary_search_by_key(&statement, |anchor| anchor.start);
        let Some(call) = of_call.ok().and_then(|position| anchors[position].behind_call) else { continue };
        let last = flow.returns.partition_point(|address| *address <= row.start).checked_sub(1);
        let Some(address) = last.map(|last| flow.returns[last]) else { continue };
        // What the code generator moves has no operator.
        let moves = before.iter().rev().take_while(|row| is_own(row) && row.start >= address).count();
        let is_of_call = before[..number - moves].last().is_some_and(|it| it.wasm == Some(call) && it.start < address);
        if !is_of_call || made.get(made.partition_point(|at| *at < address)).is_some_and(|at| *at < row.start) {
            continue;
        }
        // A branch leads to the statement where it is now.
        let joins = function.basic_blocks.binary_search(&row.start).is_ok();
        if !joins && moves == 0 {
            row.start = address;
        } else if address < row.start && !leading::jumps_before(&function.code, row.start) {
            function.met.push(address);
        }
    }
}

/// The length of the instruction that `code` begins with, if it may get a prefix: it goes on behind it, whatever it does,
/// and does not move the frame.
fn can_take_prefix(code: &[u8]) -> Option<usize> {
    let prefixes = code.iter().take_while(|&&byte| matches!(byte, 0x66 | 0xf2 | 0xf3 | PREFIX)).count();
    let mut at = prefixes;
    let rex = *code.get(at)?;
    let high = if rex & 0xf0 == 0x40 {
        at += 1;
        (rex & 4 != 0, rex & 1 != 0)
    } else {
        (false, false)
    };
    let modrm = *code.get(at + 1)?;
    let frame = |field: u8, high: bool| !high && matches!(field & 7, RSP | RBP);
    let moves_frame = match code[at] {
        // Operations on the register or memory of one field; the other one is a part of the opcode.
        0x80 | 0x81 | 0x83 | 0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3 | 0xf6 | 0xf7 => {
            modrm >= 0xc0 && frame(modrm, high.1)
        }
        // On both.
        0x63 | 0x69 | 0x6b | 0x84..=0x8b | 0x8d => frame(modrm >> 3, high.0) || (modrm >= 0xc0 && frame(modrm, high.1)),
        opcode @ 0..0x40 if opcode & 7 < 4 => frame(modrm >> 3, high.0) || (modrm >= 0xc0 && frame(modrm, high.1)),
        opcode @ 0xb8..=0xbf => frame(opcode, high.1),
        // Moves, conversions and arithmetic of vectors, `cmov`, `setcc`, `imul`, `movzx` and the like.
        0x0f => !matches!(modrm, 0x10..=0x17 | 0x28..=0x2f | 0x38 | 0x3a | 0x40..=0x7f | 0x90..=0x9f | 0xa3..=0xff),
        // VEX has only vectors, and no frame is moved by what of it works on other registers.
        0xc4 | 0xc5 => false,
        _ => true,
    };
    if moves_frame || prefixes >= MAX_PREFIXES {
        return None;
    }
    unwind::instruction_length(code).filter(|length| *length < LONGEST)
}

const RSP: u8 = 4;
const RBP: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::TrapCode;

    fn row(start: u32, wasm: u32, anchor: bool) -> Row {
        Row { start, wasm: Some(wasm), anchor }
    }

    /// An anchor in front of `behind`, then `ret`.
    fn function(behind: &[u8]) -> CompiledFunction {
        let code: Vec<u8> = [&[NOP], behind, &[0xc3]].concat();
        let end = code.len() as u32 - 1;
        CompiledFunction {
            code,
            rows: vec![row(0, 10, true), row(1, 12, false), row(end, 20, false)],
            basic_blocks: vec![0],
            ..CompiledFunction::default()
        }
    }

    #[test]
    fn an_anchor_becomes_a_prefix_and_its_row_covers_the_instruction() {
        // add ecx, edx; xor eax, eax
        let mut function = function(&[0x01, 0xd1, 0x31, 0xc0]);
        absorb(&mut function, &Flow::new([].into_iter(), &[]), true);
        assert_eq!(function.code, [PREFIX, 0x01, 0xd1, 0x31, 0xc0, 0xc3]);
        assert_eq!(function.rows, [row(0, 10, true), row(3, 12, false), row(5, 20, false)]);
    }

    #[test]
    fn a_row_of_the_instruction_alone_goes() {
        // vmovsd xmm0, [rcx]
        let mut function = function(&[0xc5, 0xfb, 0x10, 0x01]);
        absorb(&mut function, &Flow::new([].into_iter(), &[]), true);
        assert_eq!(function.code[0], PREFIX);
        assert_eq!(function.rows, [row(0, 10, true), row(5, 20, false)]);
    }

    #[test]
    fn an_instruction_that_is_found_by_its_address_stays_apart() {
        // mov eax, [rcx]
        let load = [0x8b, 0x01];
        let mut target = function(&load);
        target.basic_blocks.push(1);
        let edges = [(0, 1), (1, 1)];
        let mut trap = function(&load);
        trap.traps.push((1, TrapCode::MemoryOutOfBounds));
        let mut returned_to = function(&load);
        let functions = [(&mut target, None, &edges[..]), (&mut trap, None, &[]), (&mut returned_to, Some(0), &[])];
        for (function, returns, edges) in functions {
            let before = (function.code.clone(), function.rows.clone());
            absorb(function, &Flow::new(returns.into_iter(), edges), true);
            assert_eq!((function.code.clone(), function.rows.clone()), before);
        }
    }

    #[test]
    fn a_block_that_only_continues_the_one_before_becomes_a_part_of_it() {
        let mut function = function(&[0x01, 0xd1]);
        function.basic_blocks.push(1);
        absorb(&mut function, &Flow::new([].into_iter(), &[(0, 1)]), true);
        assert_eq!(function.code[0], PREFIX);
        assert_eq!(function.basic_blocks, [0]);
    }

    #[test]
    fn the_second_of_two_anchors_becomes_a_prefix() {
        let mut function = function(&[NOP, 0x01, 0xd1]);
        function.rows[1].anchor = true;
        function.rows.insert(2, row(2, 12, false));
        absorb(&mut function, &Flow::new([].into_iter(), &[]), true);
        assert_eq!(function.code, [NOP, PREFIX, 0x01, 0xd1, 0xc3]);
        assert_eq!(function.rows, [row(0, 10, true), row(1, 12, true), row(4, 20, false)]);
    }

    #[test]
    fn control_flow_and_what_moves_the_frame_take_no_prefix() {
        let codes: [&[u8]; 12] = [
            &[0xe8, 0, 0, 0, 0],          // call
            &[0xff, 0xd0],                // call rax
            &[0xeb, 0x10],                // jmp
            &[0x0f, 0x84, 0, 0, 0, 0],    // je
            &[0xc3, 0x00],                // ret
            &[0x0f, 0x0b],                // ud2
            &[0x5d, 0x00],                // pop rbp
            &[0x48, 0x89, 0xec],          // mov rsp, rbp
            &[0x48, 0x83, 0xc4, 0x10],    // add rsp, 16
            &[0x48, 0x8b, 0x2c, 0x24],    // mov rbp, [rsp]
            &[0x48, 0x8d, 0x64, 0x24, 8], // lea rsp, [rsp+8]
            &[0xf0, 0x01, 0x11],          // lock add [rcx], edx
        ];
        for code in codes {
            assert_eq!(can_take_prefix(code), None, "{code:x?}");
        }
    }

    #[test]
    fn ordinary_instructions_take_one() {
        let codes: [&[u8]; 9] = [
            &[0x4c, 0x89, 0xe0],                         // mov rax, r12
            &[0x44, 0x89, 0x94, 0x24, 0x18, 0, 0, 0],    // mov [rsp+0x18], r10d
            &[0x41, 0x83, 0xec, 0x08],                   // sub r12d, 8
            &[0x83, 0xe1, 0x04],                         // and ecx, 4
            &[0x41, 0xbc, 1, 0, 0, 0],                   // mov r12d, 1
            &[0x8d, 0x41, 0x10],                         // lea eax, [rcx+16]
            &[0x0f, 0xb6, 0x04, 0x0e],                   // movzx eax, byte [rsi+rcx]
            &[0xf2, 0x0f, 0x10, 0x01],                   // movsd xmm0, [rcx]
            &[0xc5, 0xfa, 0x6f, 0x15, 0x6c, 0x0d, 0, 0], // vmovdqu xmm2, [rip+..]
        ];
        for code in codes {
            assert_eq!(can_take_prefix(code), Some(code.len()), "{code:x?}");
        }
        // Three prefixes are enough.
        assert_eq!(can_take_prefix(&[PREFIX, PREFIX, 0x01, 0xd1]), Some(4));
        assert_eq!(can_take_prefix(&[PREFIX, PREFIX, PREFIX, 0x01, 0xd1]), None);
    }

    #[test]
    fn statements_begin_where_calls_return_to() {
        // A call of operator 10 that returns to 5, something that was moved, and the anchor of what comes behind.
        let behind = |call: Option<u32>| {
            let spot = dwarf_transform::Spot::Operator;
            [AnchorRange { start: 12, end: 20, of: 12, spot, reloads: false, behind_call: call }]
        };
        let begin = |call: Option<u32>, rows: &[Row], made: &[u32]| {
            let mut function = CompiledFunction { rows: rows.to_vec(), ..CompiledFunction::default() };
            meet_returns(&mut function, &Flow::new([5].into_iter(), &[]), &behind(call), made);
            assert!(function.met.is_empty());
            function.rows.last().expect("there are some").start
        };
        let rows = [row(0, 10, false), row(9, 12, true)];
        assert_eq!(begin(Some(10), &rows, &[]), 5);
        assert_eq!(begin(None, &rows, &[]), 9, "something comes between in the wasm");
        assert_eq!(begin(Some(10), &rows, &[5]), 9, "natively something is there");
        assert_eq!(begin(Some(10), &rows, &[9]), 5);
        let moved = [row(0, 10, false), row(6, 11, false), row(9, 12, true)];
        assert_eq!(begin(Some(10), &moved, &[]), 9, "code of another operator comes between");

        // A branch leads to where it is.
        let met = |rows: &[Row], code: &[u8]| {
            let mut function = CompiledFunction { rows: rows.to_vec(), basic_blocks: vec![0, 9], ..Default::default() };
            function.code = code.to_vec();
            meet_returns(&mut function, &Flow::new([5].into_iter(), &[]), &behind(Some(10)), &[]);
            assert_eq!(function.rows, rows);
            function.met
        };
        assert_eq!(met(&rows, &[NOP; 12]), [5]);
        let own = [row(0, 10, false), Row { start: 5, wasm: None, anchor: false }, row(9, 12, true)];
        assert_eq!(met(&own, &[NOP; 12]), [5], "the code generator moves something");
        let jump = [NOP, NOP, NOP, NOP, 0xe9, 1, 0, 0, 0, NOP];
        assert!(met(&rows, &jump).is_empty(), "control does not come there");
    }
}
