//! From guest code ranges to native ones.

use crate::native::NativeFunction;

/// A half-open range of `.text`.
pub(crate) type TextRange = (u32, u32);

/// The native pieces of one function by guest offset.
#[derive(Debug, Default)]
pub(crate) struct AddressMap {
    /// `(wasm offset, native start, native end)`, sorted.
    pieces: Vec<(u32, u32, u32)>,
}

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
        let mut pieces: Vec<(u32, u32, u32)> = Vec::with_capacity(native.rows.len());
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
            if let Some(wasm) = row.wasm {
                current = wasm.0;
            }
            push(current, boundary(row.text.0), end);
        }
        pieces.sort_unstable();
        AddressMap { pieces }
    }

    /// The native code of the guest range `begin..end`: sorted, disjoint, not touching.
    pub(crate) fn ranges(&self, begin: u64, end: u64) -> Vec<TextRange> {
        let from = self.pieces.partition_point(|piece| u64::from(piece.0) < begin);
        let to = self.pieces.partition_point(|piece| u64::from(piece.0) < end);
        if from >= to {
            return Vec::new();
        }
        let mut ranges: Vec<TextRange> = self.pieces[from..to].iter().map(|piece| (piece.1, piece.2)).collect();
        merge(&mut ranges);
        ranges
    }

    /// The native address of the first piece that comes from an operator at or after `offset`.
    pub(crate) fn address(&self, offset: u64) -> Option<u32> {
        let from = self.pieces.partition_point(|piece| u64::from(piece.0) < offset);
        self.pieces.get(from).map(|piece| piece.1)
    }
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
