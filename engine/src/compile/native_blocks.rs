//! Blocks of unoptimized Rust at whose line gdb natively stops once more, because of where rustc has put them.
//!
//! A block that uses what other blocks computed begins by loading it, which has no line: gdb counts it to the last line of the block that lies
//! before it. A jump there from code of the block's own line leaves that line, so to say, and comes back to it. In wasm other
//! blocks lie before, so the native order is [found](native_order) first.

use crate::translate::{AnchorRange, BodyScan, Code, Exit, FunctionInput, NativeBlock, native_order};
use dwarf_transform::{FunctionUses, LineRow, Spot};

/// A block that begins by loading something. All are file offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BeginOfBlock {
    /// Right behind the block before it.
    begin: u32,
    /// Its first operator that has a line.
    start: u32,
    /// Where the next row begins.
    end: u32,
}

/// What the order of blocks says of where gdb stops.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NativeBlocks {
    /// The blocks at which it stops once more: sorted.
    anew: Vec<BeginOfBlock>,
    /// Those at which it does not, because they begin within what it takes for the line before: sorted.
    within: Vec<BeginOfBlock>,
    /// Natively, a jump that has a row of its own leads to another block. In wasm that block comes next.
    jumps: Vec<Jump>,
}

/// A jump that wasm does without, as file offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Jump {
    /// The begin or end of the block that comes next.
    at: u32,
    /// An operator that has the jump's line.
    of: u32,
    enters_loop: bool,
}

/// The blocks at which gdb natively stops once more, or does not stop; `None` where it is not known how rustc orders them. `takes_place` says that the
/// function is given a place for its result, and `gives_back` that it natively returns it.
pub(super) fn find(
    uses: &FunctionUses,
    (body, input): (&BodyScan, &FunctionInput<'_>),
    base: usize,
    (takes_place, gives_back): (bool, bool),
) -> Option<NativeBlocks> {
    if uses.rows.is_empty() {
        return None;
    }
    let made_anew = body.made_anew(input, &uses.locals);
    let lines = Lines::new(&uses.rows, body, base);
    let (blocks, order) = native_order(
        body,
        input,
        &|number| lines.row(number).map(|row| (row.file, row.line, row.column)),
        &|number| lines.begins_row(number),
    )?;
    // What needs no load.
    let constants = (0..).zip(&made_anew).filter(|local| *local.1).map(|local| local.0);
    let mut at_hand: Vec<u32> = uses.locals.iter().copied().chain(constants).collect();
    at_hand.sort_unstable();
    at_hand.dedup();
    let mut at_hand_at_end = at_hand.clone();
    if let Err(at) = at_hand_at_end.binary_search(&0) {
        at_hand_at_end.insert(at, 0);
    }
    let code = Code::of(input);
    let mut found = NativeBlocks::default();
    for pair in order.windows(2) {
        let [before, number] = [pair[0], pair[1]];
        let block = &blocks[number as usize];
        let [is_behind, is_compared] = match block.predecessors[..] {
            [only] => {
                let from = &blocks[only as usize];
                let is_check = from.successors.iter().any(|to| blocks[*to as usize].exit == Exit::Trap);
                [only == before, !is_check && lines.goes_on_comparing(from, block, code)]
            }
            _ => [false; 2],
        };
        // What only the block before leads to goes on, and so do further comparisons of a `match`.
        if is_behind || is_compared {
            continue;
        }
        let Some(start) = lines.first(block) else { continue };
        let (Some(first), Some(last)) = (lines.row(start), lines.last(&blocks, before, number)) else { continue };
        let returns = block.exit == Exit::Return;
        // LLVM has taken the place for a result that natively is in registers.
        let is_lowered = returns
            && takes_place
            && block.operators.clone().any(|number| code.is_store(body.offsets[number as usize]));
        let at_hand = if is_lowered { &at_hand_at_end } else { &at_hand };
        let [begin, end] = [block.operators.start, block.operators.end - 1].map(|number| body.offsets[number as usize]);
        // Nothing is in registers across a call.
        let call = body.next_call(input, begin);
        let loads =
            returns && gives_back && call > end || body.reads_from_elsewhere(input, begin..end.min(call) + 1, at_hand);
        let [begin, start] = [block.begin, start].map(|number| body.offsets[number as usize]);
        let of_block = BeginOfBlock { begin, start, end: lines.next(start).unwrap_or(body.end) };
        if (first.file, first.line) != (last.file, last.line) {
            if loads {
                found.anew.push(of_block);
            }
        } else if loads || first.column == last.column {
            found.within.push(of_block);
        }
    }
    for pair in order.windows(2) {
        found.jumps.extend(lines.jump(&blocks, pair[0], pair[1], code));
    }
    found.anew.sort_unstable_by_key(|block| block.start);
    found.within.sort_unstable_by_key(|block| block.start);
    found.jumps.sort_unstable();
    Some(found)
}

impl NativeBlocks {
    /// What counts for lldb, too: it stops at the jump into a loop.
    pub(super) fn for_lldb(mut self) -> NativeBlocks {
        self.jumps.retain(|jump| jump.enters_loop);
        NativeBlocks { jumps: self.jumps, ..NativeBlocks::default() }
    }
}

/// Lets blocks begin with an anchor and what stands for their loads, and jumps have an anchor.
pub(super) fn add_anchors(anchors: &mut Vec<AnchorRange>, blocks: &NativeBlocks) {
    let is_within = |anchor: &AnchorRange| {
        let next = blocks.within.partition_point(|block| block.start < anchor.start);
        anchor.spot == Spot::Operator && blocks.within.get(next).is_some_and(|block| block.begin <= anchor.start)
    };
    anchors.retain(|anchor| !is_within(anchor));
    let jump = |jump: &Jump| AnchorRange {
        start: jump.at,
        end: jump.at + 1,
        of: jump.of,
        spot: Spot::Before,
        reloads: false,
        behind_call: None,
    };
    let mut added: Vec<AnchorRange> = blocks.jumps.iter().map(jump).collect();
    for block in &blocks.anew {
        let first = anchors.partition_point(|anchor| anchor.start < block.begin);
        let mut own = anchors[first..].iter_mut().take_while(|anchor| anchor.start <= block.start);
        match own.find(|anchor| anchor.spot == Spot::Operator) {
            Some(anchor) => anchor.reloads = true,
            None => added.push(AnchorRange {
                start: block.start,
                end: block.end,
                of: block.start,
                spot: Spot::Operator,
                reloads: true,
                behind_call: None,
            }),
        }
    }
    // A statement that begins with the `end` at which a jump is comes right behind it.
    for anchor in anchors.iter_mut().filter(|anchor| anchor.spot == Spot::Operator) {
        if blocks.jumps.binary_search_by_key(&anchor.start, |jump| jump.at).is_ok() {
            anchor.start += 1;
        }
    }
    if !added.is_empty() {
        anchors.append(&mut added);
        anchors.sort_by_key(|anchor| anchor.start);
    }
}

/// The length of `if` and a space.
const IF: u32 = 3;

/// How many jumps to one place are looked at.
const MAX_JUMPS: usize = 64;

/// The lines of a function's operators.
struct Lines<'a> {
    body: &'a BodyScan,
    /// Those of operators.
    rows: Vec<(u32, &'a LineRow)>,
    /// Those of jumps that wasm does without.
    jumps: Vec<(u32, &'a LineRow)>,
    /// Of each operator, how many of the rows begin up to it.
    counts: Vec<u32>,
}

impl<'a> Lines<'a> {
    fn new(rows: &'a [LineRow], body: &'a BodyScan, base: usize) -> Lines<'a> {
        let at = rows.iter().map(|row| (super::file_offset(row.offset, base), row));
        let (rows, jumps): (Vec<_>, Vec<_>) = at.partition(|row| row.1.spot == Spot::Operator);
        let mut count = 0;
        let count_to = |offset: &u32| {
            while rows.get(count).is_some_and(|row| row.0 <= *offset) {
                count += 1;
            }
            count as u32
        };
        let counts = body.offsets.iter().map(count_to).collect();
        Lines { body, rows, jumps, counts }
    }

    /// The row that covers an operator.
    fn row(&self, number: u32) -> Option<&'a LineRow> {
        let count = *self.counts.get(number as usize)? as usize;
        Some(self.rows[count.checked_sub(1)?].1)
    }

    fn begins_row(&self, number: u32) -> bool {
        self.rows.binary_search_by_key(&self.body.offsets[number as usize], |row| row.0).is_ok()
    }

    /// Where the first row behind this file offset begins.
    fn next(&self, offset: u32) -> Option<u32> {
        self.rows.get(self.rows.partition_point(|row| row.0 <= offset)).map(|row| row.0)
    }

    /// The first operator of a block that has a line. Constants that go into locals natively belong to what comes behind them.
    fn first(&self, block: &NativeBlock) -> Option<u32> {
        let offset = |number: u32| self.body.offsets[number as usize];
        let mut first = block.operators.start;
        loop {
            if !block.operators.contains(&first) {
                return None;
            }
            let has_line = self.row(first).is_some_and(|row| row.line != 0);
            let next = self.next(offset(first));
            let next = next.map(|next| self.body.offsets.partition_point(|at| *at < next) as u32);
            let next = next.filter(|next| block.operators.contains(next));
            match next {
                Some(next) if !has_line || self.body.are_moves(offset(first), offset(next)) => first = next,
                _ => return has_line.then_some(first),
            }
        }
    }

    /// The row at the end of a block that natively lies before another one.
    fn last(&self, blocks: &[NativeBlock], number: u32, next: u32) -> Option<&'a LineRow> {
        let block = &blocks[number as usize];
        if block.exit == Exit::Next && block.successors != [next] {
            if let Some(jump) = self.jump_row(blocks, number) {
                return Some(jump);
            }
            if let Some((jump, _)) = self.jump_as(blocks, number) {
                return self.row(jump);
            }
        }
        self.end(block)
    }

    /// The last row of a block that has a line.
    fn end(&self, block: &NativeBlock) -> Option<&'a LineRow> {
        block.operators.clone().rev().filter_map(|number| self.row(number)).find(|row| row.line != 0)
    }

    /// The row of the jump at the end of a block, if the source has told it.
    fn jump_row(&self, blocks: &[NativeBlock], number: u32) -> Option<&'a LineRow> {
        let block = &blocks[number as usize];
        let to = blocks.get(*block.successors.first()? as usize)?;
        let offset = |number: u32| self.body.offsets.get(number as usize).copied().unwrap_or(self.body.end);
        let jump = self.jumps.partition_point(|jump| jump.0 < offset(block.operators.end));
        self.jumps.get(jump).filter(|jump| jump.0 <= offset(to.operators.start)).map(|jump| jump.1)
    }

    /// An operator that has the row of the jump at the end of a block, which in wasm goes on to the next one, and whether it leads into a
    /// loop.
    ///
    /// At the end of an `if` with an `else`, jumps have the place of the whole, which comes right before the condition. Into a loop, they
    /// have that of the whole loop, as from its end. From the function's last statement, they have that of the block that returns.
    fn jump_as(&self, blocks: &[NativeBlock], number: u32) -> Option<(u32, bool)> {
        let block = &blocks[number as usize];
        let leads_to = *block.successors.first()?;
        let to = blocks.get(leads_to as usize)?;
        let others = || {
            to.predecessors.iter().filter(|from| **from != number).take(MAX_JUMPS).map(|from| &blocks[*from as usize])
        };
        let is_condition = |row: &LineRow, from: &NativeBlock| {
            let place = (row.file, row.line, row.column.saturating_add(IF));
            self.end(from).is_some_and(|end| (end.file, end.line, end.column) == place)
        };
        let is_of_if = |jump: &u32| {
            let row = self.row(*jump).filter(|row| self.begins_row(*jump) && row.line != 0 && row.column != 0);
            let mut conditions = block.predecessors.iter().take(MAX_JUMPS).map(|from| &blocks[*from as usize]);
            row.is_some_and(|row| conditions.any(|from| is_condition(row, from)))
        };
        let mut jumps = others().filter(|it| it.exit == Exit::Goto).map(|it| it.operators.end - 1);
        if let Some(of_if) = jumps.clone().find(is_of_if) {
            return Some((of_if, false));
        }
        let place =
            |number: u32| self.row(number).map(|row| (row.file, row.line, row.column)).filter(|place| place.1 != 0);
        let is_of_loop = |jump: &u32| {
            let head = self.first(to).and_then(place);
            let is_before = head.zip(place(*jump)).is_some_and(|(head, jump)| jump.0 == head.0 && jump <= head);
            *jump >= to.operators.start && self.begins_row(*jump) && is_before
        };
        let of_loop = if number < leads_to { jumps.find(is_of_loop) } else { None };
        if of_loop.is_some() || to.exit != Exit::Return {
            return of_loop.map(|jump| (jump, true));
        }
        let (end, returns) = (self.end(block)?, self.first(to)?);
        let brace = self.row(returns)?.line;
        let begins = |it: &NativeBlock| self.first(it).and_then(|first| self.row(first));
        let is_last =
            others().filter_map(begins).all(|row| row.file == end.file && (row.line <= end.line || row.line == brace));
        is_last.then_some((returns, false))
    }

    /// The jump at the end of a block, if natively it has a row of another line than what comes before it.
    fn jump(&self, blocks: &[NativeBlock], number: u32, next: u32, code: Code<'_>) -> Option<Jump> {
        let block = &blocks[number as usize];
        if block.exit != Exit::Next || block.successors == [next] || self.jump_row(blocks, number).is_some() {
            return None;
        }
        let (jump, enters_loop) = self.jump_as(blocks, number)?;
        let (row, end) = (self.row(jump)?, self.end(block)?);
        let last = |number: &u32| self.row(*number).is_some_and(|row| std::ptr::eq(row, end) || row.line == 0);
        let calls = block
            .operators
            .clone()
            .rev()
            .take_while(last)
            .any(|number| code.is_call(self.body.offsets[number as usize]));
        let offset = |number: u32| self.body.offsets.get(number as usize).copied();
        (row.line != 0 && (row.file, row.line) != (end.file, end.line) && !calls)
            .then(|| Some(Jump { at: offset(block.operators.end)?, of: offset(jump)?, enters_loop }))?
    }

    /// Is a block, to which only another one leads, nothing but a part of the same comparison?
    fn goes_on_comparing(&self, from: &NativeBlock, block: &NativeBlock, code: Code<'_>) -> bool {
        let place = |number: u32| self.row(number).map(|row| (row.file, row.line, row.column)).filter(|row| row.1 != 0);
        let does_more = |number: u32| {
            let offset = self.body.offsets[number as usize];
            code.is_call(offset) || matches!(code.operator(offset), Some(0x28..=0x3e))
        };
        let (Some(before), Some(first)) = (from.operators.end.checked_sub(1), self.first(block)) else { return false };
        place(before).is_some() && place(before) == place(first) && !block.operators.clone().any(does_more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environ::Tunables;
    use crate::translate::ModuleTranslation;
    use dwarf_transform::WasmOffset;

    #[test]
    fn blocks_that_natively_lie_behind_another_line_begin_with_loads() {
        // `while a && b`: natively what comes behind the loop lies between the conditions.
        let text = "nop loop block local.get 0 i32.eqz br_if 0 local.get 1 i32.eqz br_if 0 nop br 1 end return end";
        let wasm = wat::parse_str(format!("(module (func (param i32 i32) {text}))")).expect("the text is right");
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let input = &translation.functions[0];
        let body = BodyScan::read(input);
        let row = |number: usize, line: u32, column: u32| LineRow {
            offset: WasmOffset(body.offsets[number]),
            file: 1,
            line,
            column,
            spot: Spot::Operator,
        };
        let begins = |locals: &[u32], second: u32, returns: bool| {
            let rows = vec![row(0, 2, 5), row(3, 3, 11), row(6, second, 20), row(9, 4, 9), row(12, 6, 6)];
            let uses = FunctionUses { rows, locals: locals.to_vec(), ..FunctionUses::default() };
            let found = find(&uses, (&body, input), 0, (returns, returns)).expect("rustc makes such code");
            found.anew.iter().map(|block| body.offsets.binary_search(&block.start)).collect::<Vec<_>>()
        };
        assert_eq!(begins(&[], 3, false), [Ok(3), Ok(6)]);
        assert_eq!(begins(&[1], 3, false), [Ok(3)], "what the second condition reads is at hand");
        assert_eq!(begins(&[], 6, false), [Ok(3)], "natively that line lies before");
        assert_eq!(begins(&[0, 1], 3, true), [Ok(12)], "the place of the result is loaded");
        let uses = FunctionUses::default();
        assert_eq!(find(&uses, (&body, input), 0, (false, false)), None, "the lines are not known");
    }

    #[test]
    fn jumps_to_what_comes_next_in_wasm_have_the_line_of_others() {
        // `if a && b {} else {}`: natively the second block lies before the second condition.
        let text = "block block local.get 0 i32.eqz br_if 0 local.get 1 i32.eqz br_if 0 nop br 1 end nop end return";
        let wasm = wat::parse_str(format!("(module (func (param i32 i32) {text}))")).expect("the text is right");
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let input = &translation.functions[0];
        let body = BodyScan::read(input);
        let found = |rows: &[(usize, u32, u32)]| {
            let row = |&(number, line, column): &(usize, u32, u32)| LineRow {
                offset: WasmOffset(body.offsets[number]),
                file: 1,
                line,
                column,
                spot: Spot::Operator,
            };
            let uses = FunctionUses { rows: rows.iter().map(row).collect(), ..FunctionUses::default() };
            let found = find(&uses, (&body, input), 0, (false, false)).expect("rustc makes such code");
            let number = |offset: u32| body.offsets.binary_search(&offset).unwrap_or(usize::MAX);
            let starts = |blocks: &[BeginOfBlock]| blocks.iter().map(|block| number(block.start)).collect::<Vec<_>>();
            let jumps: Vec<_> = found.jumps.iter().map(|jump| (number(jump.at), number(jump.of))).collect();
            (jumps, starts(&found.anew), starts(&found.within))
        };
        let of_if = [(2, 3, 8), (5, 3, 13), (8, 4, 9), (9, 3, 5), (11, 6, 9), (13, 8, 2)];
        assert_eq!(found(&of_if), (vec![(12, 9)], vec![], vec![5]), "the jump has the line of the conditions");
        let last = [(2, 3, 8), (5, 3, 13), (8, 4, 9), (11, 6, 9), (13, 8, 2)];
        assert_eq!(found(&last), (vec![(12, 13)], vec![5], vec![]), "the jump is the end of the function");
        let early = [(2, 3, 8), (5, 3, 13), (8, 7, 9), (11, 6, 9), (13, 8, 2)];
        assert_eq!(found(&early), (vec![], vec![5], vec![]), "it is no last statement");
    }

    #[test]
    fn blocks_have_an_anchor_where_they_begin() {
        let anchor = |start, spot, reloads| AnchorRange { start, end: 90, of: start, spot, reloads, behind_call: None };
        let mut anchors =
            vec![anchor(10, Spot::Operator, false), anchor(20, Spot::Before, false), anchor(40, Spot::Operator, false)];
        let block = |begin, start| BeginOfBlock { begin, start, end: 90 };
        let found = NativeBlocks {
            anew: vec![block(20, 23), block(39, 42)],
            within: vec![block(9, 10)],
            jumps: vec![Jump { at: 60, of: 70, enters_loop: false }],
        };
        add_anchors(&mut anchors, &found);
        let expected = [
            anchor(20, Spot::Before, false),
            anchor(23, Spot::Operator, true),
            anchor(40, Spot::Operator, true),
            AnchorRange { end: 61, of: 70, ..anchor(60, Spot::Before, false) },
        ];
        assert_eq!(anchors, expected);
    }
}
