//! From guest code ranges to native ones.

use crate::native::NativeFunction;

/// A half-open range of `.text`.
pub(crate) type TextRange = (u32, u32);

/// The native pieces of one function by guest offset.
#[derive(Debug, Default)]
pub(crate) struct AddressMap {
    pieces: Pieces,
    /// Where the code of scopes lies, if that is elsewhere: see [`AddressMap::scope_ranges`].
    scopes: Option<Pieces>,
}

/// `(wasm offset, native start, native end)`, sorted.
type Pieces = Vec<(u32, u32, u32)>;

impl AddressMap {
    /// The compiler's own instructions belong to the operator before them, so that ranges have no needless holes. The
    /// prologue belongs to none: no home is valid there.
    ///
    /// What comes from an operator that traps begins one byte before the trapping instruction, in the last byte of the one
    /// before it. gdb takes a stop at the first address of an inlined subroutine for one at its call, and would show a trap
    /// that lies apart from its code in the frame outside. No program counter is that byte, unless a call ends there: a
    /// caller is looked up by the byte before its return address.
    pub(crate) fn new(native: &NativeFunction, body_start: u32) -> AddressMap {
        let boundary = |text: u32| {
            let traps = native.traps.binary_search_by_key(&text, |trap| trap.0).is_ok();
            let returns = native.calls.binary_search_by_key(&text, |call| call.return_address.0).is_ok();
            if traps && !returns && text > native.text.start.0 { text - 1 } else { text }
        };
        let collect = |offsets: &dyn Fn(usize) -> Option<u32>| {
            let mut pieces: Pieces = Vec::with_capacity(native.rows.len());
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
            let first = native.rows.first().map_or(native.text.end.0, |row| boundary(row.text.0));
            push(current, native.text.start.0, first);
            for (position, row) in native.rows.iter().enumerate() {
                let end = native.rows.get(position + 1).map_or(native.text.end.0, |next| boundary(next.text.0));
                current = offsets(position).unwrap_or(current);
                push(current, boundary(row.text.0), end);
            }
            pieces.sort_unstable();
            pieces
        };
        let pieces = collect(&|position| native.rows[position].wasm.map(|wasm| wasm.0));
        let statements = statement_offsets(native);
        let scopes = statements.map(|offsets| collect(&|position| offsets[position]));
        AddressMap { pieces, scopes }
    }

    /// The native code of the guest range `begin..end`: sorted, disjoint, not touching.
    pub(crate) fn ranges(&self, begin: u64, end: u64) -> Vec<TextRange> {
        native_ranges(&self.pieces, begin, end)
    }

    /// The same for the guest range of a scope. What the optimizer has moved past the anchor of another statement belongs
    /// to the scope of that statement: a debugger that steps would else stop there as in a function that was entered or
    /// left.
    pub(crate) fn scope_ranges(&self, begin: u64, end: u64) -> Vec<TextRange> {
        native_ranges(self.scopes.as_ref().unwrap_or(&self.pieces), begin, end)
    }

    /// The native address of the first piece that comes from an operator at or after `offset`.
    pub(crate) fn address(&self, offset: u64) -> Option<u32> {
        let from = self.pieces.partition_point(|piece| u64::from(piece.0) < offset);
        self.pieces.get(from).map(|piece| piece.1)
    }
}

fn native_ranges(pieces: &Pieces, begin: u64, end: u64) -> Vec<TextRange> {
    let from = pieces.partition_point(|piece| u64::from(piece.0) < begin);
    let to = pieces.partition_point(|piece| u64::from(piece.0) < end);
    if from >= to {
        return Vec::new();
    }
    let mut ranges: Vec<TextRange> = pieces[from..to].iter().map(|piece| (piece.1, piece.2)).collect();
    merge(&mut ranges);
    ranges
}

/// The guest offset of each native row as its scope counts: that of the anchor before it, where the row has been moved past
/// that anchor or past the next. `None` if none has. Calls and traps are never moved.
fn statement_offsets(native: &NativeFunction) -> Option<Vec<Option<u32>>> {
    let fixed = |position: usize| {
        let start = native.rows[position].text;
        let end = native.rows.get(position + 1).map_or(native.text.end, |next| next.text);
        let calls = native.calls.partition_point(|call| call.return_address <= start);
        let traps = native.traps.partition_point(|trap| *trap < start);
        native.calls.get(calls).is_some_and(|call| call.return_address <= end)
            || native.traps.get(traps).is_some_and(|trap| *trap < end)
    };
    let anchors: Vec<usize> = (0..native.rows.len()).filter(|position| native.rows[*position].anchor).collect();
    if anchors.is_empty() {
        return None;
    }
    let mut offsets: Vec<Option<u32>> = native.rows.iter().map(|row| row.wasm.map(|wasm| wasm.0)).collect();
    let mut moved = false;
    // Where the statements that precede the anchor in both orders begin.
    let mut run_start = u32::MAX;
    let mut before = 0;
    for (number, &anchor) in anchors.iter().enumerate() {
        let Some(begin) = offsets[anchor] else { continue };
        if begin < before || run_start == u32::MAX {
            run_start = begin;
        }
        before = begin;
        let next = anchors.get(number + 1).copied();
        let next_begin = next.and_then(|next| offsets[next]).filter(|next_begin| *next_begin > begin);
        let end = next.unwrap_or(native.rows.len());
        for (position, place) in offsets.iter_mut().enumerate().take(end).skip(anchor + 1) {
            let Some(offset) = *place else { continue };
            let sunk = offset < begin && offset >= run_start;
            let hoisted = next_begin.is_some_and(|next_begin| offset >= next_begin);
            if (sunk || hoisted) && !fixed(position) {
                *place = Some(begin);
                moved = true;
            }
        }
    }
    moved.then_some(offsets)
}

/// Sorts ranges and joins those that touch or overlap.
pub(crate) fn merge(ranges: &mut Vec<TextRange>) {
    ranges.sort_unstable();
    let mut kept = 0;
    for position in 0..ranges.len() {
        let range = ranges[position];
        if kept > 0 && range.0 <= ranges[kept - 1].1 {
            ranges[kept - 1].1 = ranges[kept - 1].1.max(range.1);
        } else {
            ranges[kept] = range;
            kept += 1;
        }
    }
    ranges.truncate(kept);
}
