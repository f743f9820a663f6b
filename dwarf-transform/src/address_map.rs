//! From guest code ranges to native ones.

use crate::address::{TextOffset, WasmOffset};
use crate::guest_lines::{Covering, GuestRow, has_no_line, row_with_line};
use crate::native::{EntryBeforeLoop, NativeCall, NativeFunction};
use crate::options::PointerFlavour;
use std::borrow::Cow;
use std::ops::Range;

/// A half-open range of `.text`.
pub(crate) type TextRange = (u32, u32);

/// The native pieces of one function by guest offset.
#[derive(Debug, Default)]
pub(crate) struct AddressMap {
    pieces: Pieces,
    /// Where the code of scopes lies, if that is elsewhere: see [`AddressMap::scope_ranges`].
    scopes: Option<Pieces>,
    /// Where blocks begin that scopes have from one byte before on: sorted.
    apart: Vec<u32>,
    /// Where code begins that was moved into another statement: sorted.
    moved: Vec<u32>,
    hidden: Vec<bool>,
    /// Sorted by their first operators.
    outside: Vec<Outside>,
    /// Their code, sorted.
    outside_code: Vec<TextRange>,
}

/// How many pieces of code are looked at for the entry of a scope.
const MAX_ENTRY_PIECES: usize = 1000;

/// Code that does not count to a scope that begins with it.
#[derive(Debug)]
struct Outside {
    /// The guest offset of its first operator, and of one that tells which scopes keep it: those that have that one too.
    first: u64,
    keeper: u64,
    code: TextRange,
}

/// The native pieces of some code.
#[derive(Debug, Default)]
struct Pieces {
    /// `(wasm offset, native start, native end)`, sorted.
    list: Vec<(u32, u32, u32)>,
    /// The positions of those that do not begin where the one before ends: sorted.
    breaks: Vec<u32>,
}

/// How many ranges may still be looked at, those in lists and those of native code: a few bytes of debug info can name any
/// number of them.
#[derive(Debug)]
pub(crate) struct RangeBudget(usize);

impl RangeBudget {
    /// For a unit that has `bytes` of the `all` bytes of the units' entries. Real ones use less than a range for each of their
    /// bytes; a small module with a large function may use more.
    pub(crate) fn of(bytes: usize, all: usize) -> RangeBudget {
        const OF_A_BYTE: u64 = 16;
        const OF_A_MODULE: u64 = 4_000_000;
        let (bytes, all) = (bytes as u64, all.max(1) as u64);
        let share = u128::from(OF_A_MODULE) * u128::from(bytes) / u128::from(all);
        RangeBudget(usize::try_from(u128::from(OF_A_BYTE * bytes) + share).unwrap_or(usize::MAX))
    }

    /// For debug info that is the caller's own.
    pub(crate) fn unlimited() -> RangeBudget {
        RangeBudget(usize::MAX)
    }

    /// Takes `count` ranges off.
    pub(crate) fn spend(&mut self, count: usize) -> Result<(), TooManyRanges> {
        self.0 = self.0.checked_sub(count).ok_or(TooManyRanges)?;
        Ok(())
    }
}

/// A [`RangeBudget`] is used up.
#[derive(Debug)]
pub(crate) struct TooManyRanges;

impl AddressMap {
    /// The compiler's own instructions belong to the operator before them, so that ranges have no needless holes. The
    /// prologue belongs to none: no home is valid there.
    ///
    /// What comes from an operator that traps begins one byte before the trapping instruction, in the last byte of the one
    /// before it. gdb takes a stop at the first address of an inlined subroutine for one at its call, and would show a trap
    /// that lies apart from its code in the frame outside. No program counter is that byte, unless a call ends there: a
    /// caller is looked up by the byte before its return address.
    ///
    /// `lines` are the guest's.
    pub(crate) fn new(
        native: &NativeFunction,
        body_start: u32,
        lines: &[GuestRow],
        flavour: PointerFlavour,
    ) -> AddressMap {
        let boundaries = boundaries(native);
        let collect = |boundaries: &[u32], offsets: &[Option<u32>]| {
            let mut pieces: Vec<(u32, u32, u32)> = Vec::with_capacity(native.rows.len() + 1);
            let mut current = body_start;
            let mut push = |wasm: u32, start: u32, end: u32| {
                let start = start.max(native.prologue_end.0);
                if start >= end {
                    return;
                }
                match pieces.last_mut() {
                    Some(last) if last.0 == wasm && last.2 == start => last.2 = end,
                    _ => pieces.push((wasm, start, end)),
                }
            };
            push(current, native.text.start.0, boundaries[0]);
            for (offset, ends) in offsets.iter().zip(boundaries.windows(2)) {
                current = offset.unwrap_or(current);
                push(current, ends[0], ends[1]);
            }
            // Mostly sorted, which this algorithm makes use of; those of one operator are in order already.
            pieces.sort_by_key(|piece| piece.0);
            pieces.shrink_to_fit();
            Pieces::new(pieces)
        };
        let entries: Vec<_> = entries_before_loops(native).collect();
        let mut offsets: Vec<Option<u32>> = native.rows.iter().map(|row| row.wasm.map(|wasm| wasm.0)).collect();
        // The statement's operands come behind the loop's head.
        let mut before_loops = Vec::new();
        for &(entry, head, it) in &entries {
            before_loops.extend((entry..=head).map(|position| (position, offsets[position])));
            offsets[entry..=head].iter_mut().flatten().for_each(|offset| *offset = it.head.0);
        }
        let pieces = collect(&boundaries, &offsets);
        let mut places = moved_rows(native);
        let (mut hidden, mut outside) = match flavour {
            PointerFlavour::Gdb => (hidden_rows(native, lines, &places), lineless_after_calls(native, lines)),
            // It may stop at any instruction that a branch leads to.
            PointerFlavour::Lldb => {
                places.extend(rows_of_other_lines(native, lines));
                places.sort_unstable();
                places.dedup();
                (Vec::new(), Vec::new())
            }
        };
        let moved = places.iter().map(|(position, _)| boundaries[*position]).collect();
        places.retain(|place| !hidden.get(place.0).unwrap_or(&false));
        places.extend(leading_rows(native));
        for &(entry, head, it) in &entries {
            let Some(offset) = native.rows[entry].wasm else { continue };
            let code = (boundaries[entry], boundaries[head]);
            outside.push(Outside { first: offset.0.into(), keeper: it.branch.0.into(), code });
            hidden.resize(native.rows.len(), false);
            hidden[entry + 1..head].fill(true);
            places.extend((entry + 1..head).map(|position| (position, offset.0)));
        }
        let (begins, apart) = begin_before(native, &boundaries);
        let scopes = (!places.is_empty() || !entries.is_empty() || !apart.is_empty()).then(|| {
            // Where entries overlap, the first one notes what was there.
            before_loops.iter().rev().for_each(|&(position, offset)| offsets[position] = offset);
            for &(position, statement) in &places {
                offsets[position] = Some(statement);
            }
            collect(&begins, &offsets)
        });
        outside.sort_by_key(|outside| outside.first);
        let mut outside_code: Vec<TextRange> = outside.iter().map(|outside| outside.code).collect();
        outside_code.sort_unstable();
        AddressMap { pieces, scopes, apart, moved, hidden, outside, outside_code }
    }

    /// Which native rows have been moved into a statement, and gdb never looks at: they get no row in the line table. Empty where
    /// there is none.
    pub(crate) fn hidden(&self) -> &[bool] {
        &self.hidden
    }

    /// Adds the native code of the guest range `begin..end` to `found`, sorted, disjoint and not touching.
    pub(crate) fn ranges(
        &self,
        begin: u64,
        end: u64,
        budget: &mut RangeBudget,
        found: &mut Vec<TextRange>,
    ) -> Result<(), TooManyRanges> {
        let before = found.len();
        self.pieces.ranges(begin, end, budget, found)?;
        merge_from(found, before);
        Ok(())
    }

    /// The same for the guest range of a scope, neither sorted nor merged. What the optimizer has moved past the anchor of
    /// another statement belongs to the scope of that statement, unless it is hidden in it: a debugger that steps would
    /// else stop there as in a function that was entered or left.
    pub(crate) fn scope_ranges(
        &self,
        begin: u64,
        end: u64,
        budget: &mut RangeBudget,
        found: &mut Vec<TextRange>,
    ) -> Result<(), TooManyRanges> {
        self.scope_pieces().ranges(begin, end, budget, found)
    }

    fn scope_pieces(&self) -> &Pieces {
        self.scopes.as_ref().unwrap_or(&self.pieces)
    }

    /// Takes out of the code of a scope, which has the guest ranges `guest`, what it begins with and does not count to it:
    /// the entry of a function around it, and code without a line where a call returns to. Nothing where that is all of it.
    pub(crate) fn leave_outside(
        &self,
        guest: &[(u64, u64)],
        budget: &mut RangeBudget,
        native: &mut Vec<TextRange>,
    ) -> Result<(), TooManyRanges> {
        let has = |offset: u64| guest.iter().any(|range| (range.0..range.1).contains(&offset));
        for &(begin, end) in guest {
            let from = self.outside.partition_point(|outside| outside.first < begin);
            let inside = self.outside[from..].iter().take_while(|outside| outside.first < end);
            for outside in inside {
                budget.spend(guest.len())?;
                if has(outside.keeper) {
                    continue;
                }
                budget.spend(native.len())?;
                let rest: Vec<TextRange> = native.iter().flat_map(|range| without(*range, outside.code)).collect();
                if !rest.is_empty() {
                    *native = rest;
                }
            }
        }
        Ok(())
    }

    /// Does a block that lies apart begin one byte behind this address?
    pub(crate) fn begins_before(&self, address: u32) -> bool {
        self.apart.binary_search(&(address + 1)).is_ok()
    }

    /// Where a scope with the code `native` begins whose first operator is the one at or after `offset`. Code that was moved
    /// away is no entry.
    pub(crate) fn entry(&self, offset: u64, native: &[TextRange]) -> Option<u32> {
        let pieces = self.scope_pieces();
        let starts = pieces.list[pieces.from(offset)..].iter().map(|piece| piece.1).take(MAX_ENTRY_PIECES);
        // Another instruction's byte is no entry.
        let mut starts = starts.map(|start| start + u32::from(self.begins_before(start)));
        let is_left = |start: u32| {
            let at = self.outside_code.partition_point(|code| code.0 <= start);
            at.checked_sub(1).is_some_and(|at| start < self.outside_code[at].1)
                && !native.iter().any(|range| (range.0..range.1).contains(&start))
        };
        starts.find(|start| self.moved.binary_search(start).is_err() && !is_left(*start))
    }

    /// The native address of the first piece that comes from an operator at or after `offset`.
    pub(crate) fn address(&self, offset: u64) -> Option<u32> {
        let from = self.pieces.from(offset);
        self.pieces.list.get(from).map(|piece| piece.1)
    }
}

/// Where the code of each row begins, and the end of the last: see [`AddressMap::new`].
fn boundaries(native: &NativeFunction) -> Vec<u32> {
    // All three lists are sorted.
    let mut traps = native.traps.iter().map(|trap| trap.0).peekable();
    let mut returns = native.calls.iter().map(|call| call.return_address.0).peekable();
    let mut boundaries = Vec::with_capacity(native.rows.len() + 1);
    for text in native.rows.iter().map(|row| row.text.0) {
        while traps.next_if(|trap| *trap < text).is_some() {}
        while returns.next_if(|address| *address < text).is_some() {}
        let traps_here = traps.peek() == Some(&text) && returns.peek() != Some(&text);
        boundaries.push(if traps_here && text > native.text.start.0 { text - 1 } else { text });
    }
    boundaries.push(native.text.end.0);
    boundaries
}

/// The same for scopes. Debuggers take a stop where a range of an inlined subroutine begins for one at its call. A block that lies apart from
/// the others, such as the end of a loop's round, is none: scopes have it from one byte before on, in an instruction from which control does
/// not go on to it. With where these blocks begin.
fn begin_before<'b>(native: &NativeFunction, boundaries: &'b [u32]) -> (Cow<'b, [u32]>, Vec<u32>) {
    if native.apart.is_empty() {
        return (Cow::Borrowed(boundaries), Vec::new());
    }
    let mut apart = native.apart.iter().map(|begin| begin.0).peekable();
    let mut begins = boundaries.to_vec();
    let mut moved = Vec::new();
    for position in 1..native.rows.len() {
        let begin = boundaries[position];
        while apart.next_if(|it| *it < begin).is_some() {}
        // Rows of one place stay at one.
        if apart.peek() == Some(&begin) && (begins[position - 1] + 1 < begin || moved.last() == Some(&begin)) {
            begins[position] -= 1;
            moved.push(begin);
        }
    }
    moved.dedup();
    (Cow::Owned(begins), moved)
}

impl Pieces {
    /// `list` is sorted.
    fn new(list: Vec<(u32, u32, u32)>) -> Pieces {
        let follows = list.windows(2).map(|pair| pair[0].2 == pair[1].1);
        let breaks = (1..).zip(follows).filter(|(_, follows)| !follows).map(|(position, _)| position).collect();
        Pieces { list, breaks }
    }

    /// The position of the first one of an operator at or after `offset`.
    fn from(&self, offset: u64) -> usize {
        match u32::try_from(offset) {
            Ok(offset) => self.list.partition_point(|piece| piece.0 < offset),
            Err(_) => self.list.len(),
        }
    }

    /// Adds the native code of the guest range `begin..end` to `found`, in the guest's order. Most code follows that of the
    /// operator before, and needs no place of its own.
    fn ranges(
        &self,
        begin: u64,
        end: u64,
        budget: &mut RangeBudget,
        found: &mut Vec<TextRange>,
    ) -> Result<(), TooManyRanges> {
        let from = self.from(begin);
        let to = from + self.list[from..].partition_point(|piece| u64::from(piece.0) < end);
        if from >= to {
            return Ok(());
        }
        let first = self.breaks.partition_point(|position| *position as usize <= from);
        let last = first + self.breaks[first..].partition_point(|position| (*position as usize) < to);
        budget.spend(last - first + 1)?;
        let mut start = self.list[from].1;
        for &position in &self.breaks[first..last] {
            let next = position as usize;
            found.push((start, self.list[next - 1].2));
            start = self.list[next].1;
        }
        found.push((start, self.list[to - 1].2));
        Ok(())
    }
}

/// The parts of a range outside of another one.
fn without(range: TextRange, taken: TextRange) -> impl Iterator<Item = TextRange> {
    let parts = [(range.0, range.1.min(taken.0)), (range.0.max(taken.1), range.1)];
    parts.into_iter().filter(|part| part.0 < part.1)
}

/// Calls, traps and entries of inlined functions are never moved.
fn is_fixed(native: &NativeFunction, position: usize) -> bool {
    native.has_call(span(native, position)) || stops(native, position)
}

/// Whether the code of a row traps, or is the entry of an inlined function.
fn stops(native: &NativeFunction, position: usize) -> bool {
    let code = span(native, position);
    native.entries.binary_search_by_key(&code.start, |entry| entry.text).is_ok() || native.has_trap(code)
}

/// The code of a row.
fn span(native: &NativeFunction, position: usize) -> Range<TextOffset> {
    let end = native.rows.get(position + 1).map_or(native.text.end, |next| next.text);
    native.rows[position].text..end
}

/// Where an inlined function begins before a loop: its row, and that of the loop's head. What lies between them is code of the
/// function, too, wherever the optimizer took it from: a debugger would else see it left and entered again.
fn entries_before_loops(native: &NativeFunction) -> impl Iterator<Item = (usize, usize, EntryBeforeLoop)> {
    native.entries.iter().filter_map(|it| {
        let entry = native.rows.binary_search_by_key(&it.text, |row| row.text).ok()?;
        let head = native.rows[entry..].iter().position(|row| row.anchor)? + entry;
        (native.rows[head].wasm == native.rows[entry].wasm).then_some((entry, head, *it))
    })
}

/// The rows that lead to what lies behind them, and the operator of that.
fn leading_rows(native: &NativeFunction) -> impl Iterator<Item = (usize, u32)> {
    native.leading.iter().filter_map(|begin| {
        let position = native.rows.binary_search_by_key(begin, |row| row.text).ok()?;
        let next = native.rows.get(position + 1)?.wasm?;
        native.rows[position].wasm.is_none().then_some((position, next.0))
    })
}

/// Code without a line right where a call returns to, which gdb counts to the line of the call. A step from there would enter an
/// inlined function that begins with it, as one goes down to a frame, and stop at a line that is not the function's.
fn lineless_after_calls(native: &NativeFunction, lines: &[GuestRow]) -> Vec<Outside> {
    let lineless = |wasm: WasmOffset| has_no_line(lines, wasm);
    if lines.iter().all(|row| row.line != 0) {
        return Vec::new();
    }
    let after = |call: &NativeCall| {
        let begin = native.rows.binary_search_by_key(&call.return_address, |row| row.text).ok()?;
        let first = native.rows[begin].wasm.filter(|wasm| lineless(*wasm))?;
        let is_rest = |at: &usize| native.rows[*at].wasm.is_none_or(lineless) && !is_fixed(native, *at);
        let end = (begin..native.rows.len()).find(|at| !is_rest(at)).filter(|end| *end > begin)?;
        let code = (native.rows[begin].text.0, native.rows[end].text.0);
        Some(Outside { first: first.0.into(), keeper: call.wasm.0.into(), code })
    };
    native.calls.iter().filter_map(after).collect()
}

/// The native rows that have been moved past the anchor before them or past the next, sorted, each with the guest offset of
/// the anchor before it.
fn moved_rows(native: &NativeFunction) -> Vec<(usize, u32)> {
    let anchors: Vec<usize> = (0..native.rows.len()).filter(|position| native.rows[*position].anchor).collect();
    let offset = |position: usize| native.rows[position].wasm.map(|wasm| wasm.0);
    let mut moved = Vec::new();
    // Where the statements that precede the anchor in both orders begin.
    let mut run_start = u32::MAX;
    let mut before = 0;
    for (number, &anchor) in anchors.iter().enumerate() {
        let Some(begin) = offset(anchor) else { continue };
        if run_start == u32::MAX {
            // What comes before the first statement precedes it, too.
            run_start = 0;
        } else if begin < before {
            run_start = begin;
        }
        before = begin;
        let next = anchors.get(number + 1).copied();
        let next_begin = next.and_then(offset).filter(|next_begin| *next_begin > begin);
        let end = next.unwrap_or(native.rows.len());
        let mut same_block = true;
        for (row, position) in native.rows[anchor + 1..end].iter().zip(anchor + 1..) {
            if native.apart.binary_search(&row.text).is_ok() {
                // Control does not come there from the statement.
                break;
            }
            same_block &= !row.new_block;
            let Some(WasmOffset(offset)) = row.wasm else { continue };
            // A block of its own may be the rest of another statement; within a block, the guest's order holds.
            let sunk = offset < begin && (same_block || offset >= run_start);
            let hoisted = next_begin.is_some_and(|next_begin| offset >= next_begin);
            if (sunk || hoisted) && !is_fixed(native, position) {
                moved.push((position, begin));
            }
        }
    }
    moved
}

/// Where the code of the row at `position` is shown.
fn file_and_line(lines: &[GuestRow], position: usize) -> Option<(u32, u32)> {
    row_with_line(lines, position).map(|position| (lines[position].file, lines[position].line))
}

/// The native rows between anchors that come from no line, or another one than the anchor before them, each with the guest offset
/// of the anchor. They have the anchor's line for lldb (see [`crate::native_lines::rows_for_lldb`]), which would see a function
/// entered or left, in the middle of a line, if they were in another scope.
fn rows_of_other_lines(native: &NativeFunction, lines: &[GuestRow]) -> Vec<(usize, u32)> {
    let mut covering = Covering::new(lines);
    let mut found = Vec::new();
    let mut statement = None;
    for (position, row) in native.rows.iter().enumerate() {
        let Some(wasm) = row.wasm else { continue };
        let source = covering.find(wasm.0);
        let line = source.and_then(|source| file_and_line(lines, source));
        if row.anchor {
            statement = Some((wasm.0, line));
        } else if let Some((begin, of_statement)) = statement
            && (line != of_statement || source.is_some_and(|source| lines[source].line == 0))
            && !is_fixed(native, position)
        {
            found.push((position, begin));
        }
    }
    found
}

/// The native rows of a function with these guest lines that have been moved into a statement, and that gdb never looks at:
/// they get no row in the line table, so that a step over the statement passes them. Such a row lies in the statement's first
/// row of the line table, or in one of the same line that follows it. An anchor or a trap does not come right behind it: gdb
/// asks where the byte before a stop belongs, to find out whether an inlined function begins there.
fn hidden_rows(native: &NativeFunction, lines: &[GuestRow], moved: &[(usize, u32)]) -> Vec<bool> {
    if lines.is_empty() || moved.is_empty() {
        return Vec::new();
    }
    let mut hidden = vec![false; native.rows.len()];
    let mut moved = moved.iter().map(|(position, _)| *position).peekable();
    let mut covering = Covering::new(lines);
    // The line of the statement, until a row of another one begins.
    let mut statement = None;
    for (position, row) in native.rows.iter().enumerate() {
        let is_moved = moved.next_if_eq(&position).is_some();
        let next_stops = || native.rows.get(position + 1).is_none_or(|next| next.anchor || stops(native, position + 1));
        if is_moved && statement.is_some() && !next_stops() {
            hidden[position] = true;
            continue;
        }
        let Some(wasm) = row.wasm else { continue };
        let line = covering.find(wasm.0).and_then(|position| file_and_line(lines, position));
        if row.anchor {
            statement = line;
        } else if line.is_some() && line != statement {
            statement = None;
        }
    }
    hidden
}

/// Sorts ranges and joins those that touch or overlap.
pub(crate) fn merge(ranges: &mut Vec<TextRange>) {
    merge_from(ranges, 0);
}

/// The same from position `begin` on.
fn merge_from(ranges: &mut Vec<TextRange>, begin: usize) {
    if ranges.len() - begin < 2 {
        return;
    }
    // Mostly sorted, which this algorithm makes use of.
    ranges[begin..].sort();
    let mut last = begin;
    for next in begin + 1..ranges.len() {
        let range = ranges[next];
        if range.0 <= ranges[last].1 {
            ranges[last].1 = ranges[last].1.max(range.1);
        } else {
            last += 1;
            ranges[last] = range;
        }
    }
    ranges.truncate(last + 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::AddressRow;

    fn row(text: u32, wasm: u32, anchor: bool) -> AddressRow {
        AddressRow { text: TextOffset(text), wasm: Some(WasmOffset(wasm)), anchor, new_block: false }
    }

    #[test]
    fn what_comes_before_the_first_statement_and_lies_in_it_is_of_its_scope() {
        let native = NativeFunction {
            text: TextOffset(100)..TextOffset(140),
            rows: vec![row(110, 20, true), row(116, 18, false), row(120, 21, false)],
            prologue_end: TextOffset(110),
            ..NativeFunction::default()
        };
        let map = AddressMap::new(&native, 10, &[], PointerFlavour::Gdb);
        let mut budget = RangeBudget::unlimited();
        let mut found = Vec::new();
        map.scope_ranges(20, 30, &mut budget, &mut found).expect("it is one range");
        merge(&mut found);
        assert_eq!(found, [(110, 140)]);
        // Values are where the operators are.
        let mut found = Vec::new();
        map.ranges(18, 20, &mut budget, &mut found).expect("it is one range");
        assert_eq!(found, [(116, 120)]);
    }

    #[test]
    fn code_in_another_order_is_joined_and_counted_by_its_breaks() {
        let list = vec![(1, 10, 20), (2, 20, 25), (3, 40, 50), (4, 30, 40), (5, 25, 30), (6, 50, 60), (9, 60, 61)];
        let map = AddressMap { pieces: Pieces::new(list.clone()), ..AddressMap::default() };
        for begin in 0..11 {
            for end in 0..11 {
                let mut expected: Vec<TextRange> = list
                    .iter()
                    .filter(|piece| (begin..end).contains(&u64::from(piece.0)))
                    .map(|piece| (piece.1, piece.2))
                    .collect();
                merge(&mut expected);
                let mut found = vec![(0, 1)];
                map.ranges(begin, end, &mut RangeBudget::unlimited(), &mut found).expect("it has no limit");
                assert_eq!(found[0], (0, 1), "what was there stays");
                assert_eq!(found[1..], expected, "{begin}..{end}");
            }
        }
        let count = |begin, end, budget| map.ranges(begin, end, &mut RangeBudget(budget), &mut Vec::new()).is_ok();
        assert!(count(1, 3, 1), "one after the other");
        assert!(count(1, 10, 5) && !count(1, 10, 4), "with four breaks");
    }

    #[test]
    fn what_lies_in_the_block_of_a_later_statement_was_moved_there() {
        let row = |text, wasm, anchor, new_block| AddressRow { new_block, ..row(text, wasm, anchor) };
        // The first two statements stand in the other order.
        let rows = vec![
            row(110, 20, true, true),
            row(114, 40, true, true),
            row(116, 30, true, true),
            row(118, 21, false, false),
            row(120, 22, false, true),
        ];
        let native = NativeFunction {
            text: TextOffset(100)..TextOffset(140),
            rows,
            prologue_end: TextOffset(110),
            ..NativeFunction::default()
        };
        assert_eq!(moved_rows(&native), [(3, 30)], "a block of its own is where it was");
    }

    #[test]
    fn between_anchors_lldb_finds_no_other_scope() {
        let native = NativeFunction {
            text: TextOffset(100)..TextOffset(150),
            rows: vec![
                row(110, 20, true),
                row(114, 22, false),
                row(118, 24, false),
                row(122, 26, false),
                row(126, 24, false),
                row(130, 30, true),
            ],
            calls: vec![NativeCall {
                return_address: TextOffset(129),
                wasm: WasmOffset(24),
                behind: WasmOffset(26),
                meets_statement: false,
            }],
            prologue_end: TextOffset(110),
            ..NativeFunction::default()
        };
        // The operands of 22, the code of 24 and what has no line are a part of the statement's row; a call stays where it is.
        let lines = [GuestRow::at(20, 5), GuestRow::at(24, 6), GuestRow::at(26, 0), GuestRow::at(30, 7)];
        assert_eq!(rows_of_other_lines(&native, &lines), [(2, 20), (3, 20)]);
        let ranges = |flavour| {
            let mut ranges = Vec::new();
            let map = AddressMap::new(&native, 20, &lines, flavour);
            map.scope_ranges(24, 30, &mut RangeBudget::unlimited(), &mut ranges).expect("it has no limit");
            merge(&mut ranges);
            ranges
        };
        assert_eq!(ranges(PointerFlavour::Gdb), [(118, 130)]);
        assert_eq!(ranges(PointerFlavour::Lldb), [(126, 130)]);
    }

    #[test]
    fn code_without_a_line_behind_a_call_is_no_entry() {
        let row = |text, wasm| row(text, wasm, false);
        let native = NativeFunction {
            text: TextOffset(100)..TextOffset(140),
            rows: vec![row(110, 20), row(120, 22), row(124, 24), row(130, 30)],
            calls: vec![NativeCall {
                return_address: TextOffset(120),
                wasm: WasmOffset(20),
                behind: WasmOffset(22),
                meets_statement: false,
            }],
            prologue_end: TextOffset(110),
            ..NativeFunction::default()
        };
        let lines = [GuestRow::at(10, 5), GuestRow::at(22, 0), GuestRow::at(30, 7)];
        let map = AddressMap::new(&native, 10, &lines, PointerFlavour::Gdb);
        let left = |guest: (u64, u64)| {
            let mut ranges = Vec::new();
            map.scope_ranges(guest.0, guest.1, &mut RangeBudget::unlimited(), &mut ranges).expect("it has no limit");
            merge(&mut ranges);
            map.leave_outside(&[guest], &mut RangeBudget::unlimited(), &mut ranges).expect("the budget is enough");
            (map.entry(guest.0, &ranges), ranges)
        };
        assert_eq!(left((22, 40)), (Some(130), vec![(130, 140)]));
        // What is around the call has it, and so has what would be empty without.
        assert_eq!(left((10, 40)).1, [(110, 140)]);
        assert_eq!(left((22, 30)), (Some(120), vec![(120, 130)]));
    }
}
