//! The native line table: one sequence a function.
//!
//! What a debugger makes of the rows decides where it stops:
//!
//! - The first row, at the function's entry, carries the line of its opening and covers both prologues: the native one,
//!   and the guest's (stack pointer, parameters stored to memory). No other row may lie in between, since gdb takes the
//!   address of the second row for the end of the prologue.
//! - Then comes the row where the body begins, marked `prologue_end`, which lldb looks for. Before it there is one more of
//!   the opening line, as soon as the homes are filled, where gdb is to stop when it steps into the function.
//! - Statements begin at anchors, where the function has any: only they are marked `is_stmt`. The optimizer has moved
//!   the rest about, and a debugger that stops at all of it would run back and forth.
//! - The compiler's own instructions belong to the row before them; those that a block begins with, to the row behind.
//! - Where a native build of unoptimized Rust loads what other blocks computed, two instructions come before the statement. A row of
//!   the line before in the guest begins within the first: gdb takes the line of an instruction in the middle of a row for the
//!   current one, but not that of one with which a row begins that is no statement. It stops at the statement once more.

use crate::address::{TextOffset, WasmOffset};
use crate::address_map::TextRange;
use crate::guest_lines::{Covering, GuestRow, body_row, covering, has_no_line, row_with_line};
use crate::native::{AddressRow, NativeFunction};

/// A row of the native line table, before files are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NativeRow {
    /// Offset in `.text`.
    pub(crate) text: u32,
    pub(crate) file: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) discriminator: u32,
    pub(crate) is_stmt: bool,
    pub(crate) prologue_end: bool,
    pub(crate) epilogue_begin: bool,
}

impl NativeRow {
    fn new(text: u32, row: &GuestRow, is_stmt: bool) -> NativeRow {
        NativeRow {
            text,
            file: row.file,
            line: row.line,
            column: row.column,
            discriminator: row.discriminator,
            is_stmt,
            prologue_end: false,
            epilogue_begin: false,
        }
    }

    fn same_place(&self, row: &GuestRow) -> bool {
        (self.file, self.line, self.column) == (row.file, row.line, row.column)
    }
}

/// The rows of a function, sorted by address. Empty where the guest has no lines for it. A debugger that steps into it is to
/// stop at its `opening` line. `hidden` native rows get none (see [`crate::address_map::AddressMap::hidden`]).
pub(crate) fn function_rows(
    guest: &[GuestRow],
    native: &NativeFunction,
    opening: Option<u32>,
    hidden: &[bool],
) -> Vec<NativeRow> {
    let Some(entry) = guest.iter().find(|row| row.line != 0) else {
        return Vec::new();
    };
    // One that has no row in the guest has none in native code that sets up no frame, as where nothing is called.
    let opening = opening.filter(|line| *line == entry.line || !native.calls.is_empty());
    let (line, column) = match opening {
        Some(line) if line != entry.line => (line, 0),
        _ => (entry.line, entry.column),
    };
    let entry = &GuestRow { line, column, ..*entry };
    let mut rows = vec![NativeRow::new(native.text.start.0, entry, true)];
    let anchored = native.rows.iter().any(|row| row.anchor);
    let body = body_row(guest);
    let prologue_end = native.prologue_end.0.max(native.text.start.0);
    let body_start = body_address(guest, body, native, anchored).unwrap_or(prologue_end).max(prologue_end);

    // Which guest rows already have a native row that begins a statement.
    let mut seen = vec![false; guest.len()];
    let mut begun = false;
    let mut covered = Covering::new(guest);
    for (number, row) in native.rows.iter().enumerate() {
        if row.text.0 < body_start {
            continue;
        }
        let leads = row.wasm.is_none() && begun && native.leading.binary_search(&row.text).is_ok();
        let of = number + usize::from(leads);
        let is_reload = native.reloads.binary_search(&row.text).is_ok();
        let is_hidden = *hidden.get(of).unwrap_or(&false) && !is_reload;
        let Some(wasm) = native.rows.get(of).and_then(|row| row.wasm).filter(|_| !is_hidden) else {
            continue;
        };
        let Some(position) = covered.find(wasm.0).and_then(|position| row_with_line(guest, position)) else {
            continue;
        };
        let source = &guest[position];
        if !begun {
            begun = true;
            let source = body.map_or(source, |body| if body > position { &guest[body] } else { source });
            if opening.is_some() && source.line != entry.line && prologue_end < body_start {
                rows.push(NativeRow::new(prologue_end, entry, true));
            }
            let mut first = NativeRow::new(body_start, source, true);
            first.prologue_end = true;
            seen[position] = true;
            rows.push(first);
            continue;
        }
        let Some(last) = rows.last() else {
            continue;
        };
        if is_reload {
            let is_other = |row: &&GuestRow| row.line != 0 && (row.file, row.line) != (source.file, source.line);
            let before = guest[..position].iter().rev().find(is_other).filter(|before| !last.same_place(before));
            rows.extend(before.map(|before| NativeRow::new(row.text.0 + 1, before, false)));
            continue;
        }
        let is_stmt = if anchored { row.anchor } else { source.is_stmt && !seen[position] && !leads };
        if !is_stmt && last.same_place(source) {
            continue;
        }
        seen[position] |= !leads;
        let mut next = NativeRow::new(row.text.0, source, is_stmt);
        next.epilogue_begin = source.epilogue_begin && is_stmt;
        rows.push(next);
    }
    rows
}

/// Suits the rows of a function to gdb, which stops where a person steps out of a callee if a row begins there. One does
/// where the guest has a row for what follows the call, as in a native build, and none where a native build moves the result first,
/// which need not be an instruction here. (Not so in 32-bit C and C++, where the caller pops the arguments first.)
pub(crate) fn rows_for_gdb(mut rows: Vec<NativeRow>, guest: &[GuestRow], native: &NativeFunction) -> Vec<NativeRow> {
    let mut added: Vec<NativeRow> = Vec::new();
    let mut removed: Vec<u32> = Vec::new();
    for call in &native.calls {
        let text = call.return_address.0;
        if text >= native.text.end.0 || text <= native.prologue_end.0 {
            continue;
        }
        let position = rows.partition_point(|row| row.text < text);
        let Some(before) = position.checked_sub(1).map(|before| &rows[before]) else { continue };
        let goes_on = |file: u32, line: u32| (before.file, before.line) == (file, line);
        let follows = covering(guest, call.behind.0).map(|at| &guest[at]).filter(|row| row.offset > call.wasm.0);
        match rows.get(position).filter(|row| row.text == text) {
            None => {
                let source = follows.filter(|source| source.line != 0 && goes_on(source.file, source.line));
                added.extend(source.map(|source| NativeRow::new(text, source, false)));
            }
            Some(row) if follows.is_none() && !row.is_stmt && goes_on(row.file, row.line) => removed.push(text),
            Some(_) => {}
        }
    }
    if !removed.is_empty() {
        rows.retain(|row| removed.binary_search(&row.text).is_err());
    }
    if !added.is_empty() {
        rows.extend(added);
        // Two sorted lists, which this algorithm merges.
        rows.sort_by_key(|row| row.text);
    }
    rows
}

/// Suits the rows of a function with anchors to lldb, which stops at every row of another line, `is_stmt` or not.
///
/// What the optimizer has moved about belongs to the statement that it lies in.
pub(crate) fn rows_for_lldb(rows: Vec<NativeRow>, guest: &[GuestRow], native: &NativeFunction) -> Vec<NativeRow> {
    if !native.rows.iter().any(|row| row.anchor) {
        return rows;
    }
    let mut kept: Vec<NativeRow> = Vec::with_capacity(rows.len());
    // Where files change, lldb would stop at code without a line.
    let is_of_one_file = rows.windows(2).all(|pair| pair[0].file == pair[1].file);
    let mut rows = rows.into_iter().peekable();
    while let Some(row) = rows.next() {
        // What leads to a statement belongs to the one before, wherever that is, which lldb knows.
        let statement = rows.peek().filter(|next| next.is_stmt && is_of_one_file && !row.is_stmt);
        if statement.is_some_and(|next| native.leads_to(TextOffset(row.text), TextOffset(next.text))) {
            kept.push(NativeRow { line: 0, column: 0, ..row });
            continue;
        }
        // Trapping instructions lie apart from their statements, and are only reached to stop there.
        let traps = native.traps.binary_search_by_key(&row.text, |trap| trap.0).is_ok();
        match kept.last() {
            Some(last) if !row.is_stmt && !traps && (last.file, last.line) != (row.file, row.line) => {}
            _ => kept.push(row),
        }
    }
    pass_code_without_line(&mut kept, guest, native);
    pass_what_is_returned_to(&mut kept, native);
    kept
}

/// Lets lldb pass what lies behind calls where natively the next statement begins. It is none of that statement: lldb sets a breakpoint
/// where the first row of a line is, and branches lead to a later one.
fn pass_what_is_returned_to(rows: &mut Vec<NativeRow>, native: &NativeFunction) {
    let mut added: Vec<NativeRow> = Vec::new();
    for call in native.calls.iter().filter(|call| call.meets_statement) {
        let text = call.return_address.0;
        let next = rows.partition_point(|row| row.text < text);
        let Some([before, next]) = next.checked_sub(1).and_then(|before| rows.get(before..=next)) else { continue };
        // It would stop where the file changes.
        if next.text > text && next.is_stmt && next.file == before.file {
            added.push(NativeRow { text, line: 0, column: 0, is_stmt: false, prologue_end: false, ..*before });
        }
    }
    if !added.is_empty() {
        rows.extend(added);
        rows.sort_by_key(|row| row.text);
    }
}

/// Lets lldb pass code that has no line in the guest, as it does natively: a branch to there would else stop it at the line
/// before, in the wrong frame where that is another one's. Calls keep that line, which is shown in backtraces, and traps; so does
/// what a call returns to, from where lldb would go on when a person steps out of the callee.
fn pass_code_without_line(rows: &mut Vec<NativeRow>, guest: &[GuestRow], native: &NativeFunction) {
    if guest.iter().all(|row| row.line != 0) {
        return;
    }
    let Some(body) = rows.iter().find(|row| row.prologue_end).map(|row| row.text) else { return };
    let mut found: Vec<NativeRow> = Vec::new();
    let mut passed: Vec<TextRange> = Vec::new();
    let mut at = 0;
    while at < native.rows.len() {
        let lineless = |row: &AddressRow| row.wasm.is_none_or(|wasm| has_no_line(guest, wasm));
        let first = &native.rows[at];
        // The compiler's own instructions belong to the code before.
        if first.wasm.is_none() {
            at += 1;
            continue;
        }
        let count = native.rows[at..].iter().take_while(|row| lineless(row) && !row.anchor).count();
        let end = native.rows.get(at + count).map_or(native.text.end, |row| row.text);
        let is_fixed =
            native.is_returned_to(first.text) || native.has_call(first.text..end) || native.has_trap(first.text..end);
        let before = rows.partition_point(|row| row.text <= first.text.0).checked_sub(1).map(|before| rows[before]);
        if count > 0
            && !is_fixed
            && first.text.0 > body
            // lldb 19 takes the row behind that of the prologue's end for the place of breakpoints, if it has no line.
            && let Some(before) = before.filter(|before| before.text < first.text.0 && !before.prologue_end)
        {
            let next = rows.partition_point(|row| row.text < end.0);
            passed.push((first.text.0, end.0));
            let plain = NativeRow { is_stmt: false, prologue_end: false, epilogue_begin: false, ..before };
            // lldb takes it for a part of the line before if it is of the same file, and stops there if not. (In the guest
            // it has the file of what came before it there.)
            found.push(NativeRow { text: first.text.0, line: 0, column: 0, ..plain });
            if end < native.text.end && rows.get(next).is_none_or(|row| row.text > end.0) {
                found.push(NativeRow { text: end.0, ..plain });
            }
        }
        at += count.max(1);
    }
    let is_passed = |text: u32| {
        let before = passed.partition_point(|range| range.0 <= text).checked_sub(1);
        before.is_some_and(|before| text < passed[before].1)
    };
    rows.retain(|row| row.is_stmt || !is_passed(row.text));
    rows.extend(found);
    rows.sort_by_key(|row| row.text);
}

/// Where the body begins natively: at the first instruction that comes from the guest's body row or from what follows.
fn body_address(guest: &[GuestRow], body: Option<usize>, native: &NativeFunction, anchored: bool) -> Option<u32> {
    let begin = guest[body?].offset;
    let reaches = |wasm: Option<WasmOffset>| wasm.is_some_and(|wasm| wasm.0 >= begin);
    if anchored && let Some(row) = native.rows.iter().find(|row| row.anchor && reaches(row.wasm)) {
        return Some(row.text.0);
    }
    native.rows.iter().find(|row| row.text >= native.prologue_end && reaches(row.wasm)).map(|row| row.text.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::NativeCall;

    fn call(return_address: u32, wasm: u32, behind: u32) -> NativeCall {
        NativeCall {
            return_address: TextOffset(return_address),
            wasm: WasmOffset(wasm),
            behind: WasmOffset(behind),
            meets_statement: false,
        }
    }

    fn guest(offset: u32, line: u32) -> GuestRow {
        GuestRow { is_stmt: line != 0, prologue_end: offset == 10, ..GuestRow::at(offset, line) }
    }

    /// Rows at native offsets of wasm offsets; those of the second list are anchors.
    fn native(rows: &[(u32, Option<u32>)], anchors: &[u32]) -> NativeFunction {
        let row = |&(text, wasm): &(u32, Option<u32>)| AddressRow {
            text: TextOffset(text),
            wasm: wasm.map(WasmOffset),
            anchor: anchors.contains(&text),
            new_block: false,
        };
        NativeFunction {
            text: TextOffset(0)..TextOffset(140),
            rows: rows.iter().map(row).collect(),
            prologue_end: TextOffset(110),
            ..NativeFunction::default()
        }
    }

    #[test]
    fn a_function_opens_with_the_line_that_its_unit_knows() {
        let lines = [guest(10, 5), guest(20, 6)];
        let rows = [(0, None), (110, None), (111, Some(10)), (120, Some(20))];
        let mut code = native(&rows, &[111, 120]);
        let lines_of = |code: &NativeFunction, opening| {
            function_rows(&lines, code, opening, &[]).iter().map(|row| (row.text, row.line)).collect::<Vec<_>>()
        };
        assert_eq!(lines_of(&code, Some(4)), [(0, 5), (111, 5), (120, 6)], "natively it would set up no frame");
        code.calls = vec![call(126, 24, 26)];
        assert_eq!(lines_of(&code, Some(4)), [(0, 4), (110, 4), (111, 5), (120, 6)]);
        assert_eq!(lines_of(&code, None), [(0, 5), (111, 5), (120, 6)]);
    }

    #[test]
    fn a_row_begins_behind_a_call_where_the_guest_has_one() {
        let column = |offset, column| GuestRow { column, is_stmt: false, ..guest(offset, 6) };
        let lines = [guest(0, 4), guest(10, 5), guest(20, 6), column(30, 7), column(40, 9)];
        let rows = [(0, None), (111, Some(10)), (120, Some(20)), (130, Some(30)), (138, Some(40))];
        let mut code = native(&rows, &[111, 120]);
        let rows_of = |code: &NativeFunction| {
            let rows = rows_for_gdb(function_rows(&lines, code, None, &[]), &lines, code);
            rows.iter().map(|row| (row.text, row.column)).collect::<Vec<_>>()
        };
        code.calls = vec![call(130, 24, 30)];
        assert_eq!(rows_of(&code), [(0, 0), (111, 0), (120, 0), (130, 7), (138, 9)]);
        code.calls = vec![call(130, 24, 26)];
        assert_eq!(rows_of(&code), [(0, 0), (111, 0), (120, 0), (138, 9)], "the result is moved first");
        code.calls = vec![call(134, 34, 40)];
        assert_eq!(rows_of(&code), [(0, 0), (111, 0), (120, 0), (130, 7), (134, 9), (138, 9)]);
        code.calls = vec![call(120, 12, 18)];
        assert_eq!(rows_of(&code), [(0, 0), (111, 0), (120, 0), (130, 7), (138, 9)], "a statement begins there");
    }

    #[test]
    fn lldb_passes_what_lies_before_a_statement_that_calls_return_to() {
        let lines = [guest(10, 5), guest(20, 6), guest(30, 7)];
        let mut code = native(&[(0, None), (111, Some(10)), (120, Some(20)), (130, Some(30))], &[111, 120, 130]);
        let lines_of = |code: &NativeFunction| {
            let rows = rows_for_lldb(function_rows(&lines, code, None, &[]), &lines, code);
            rows.iter().map(|row| (row.text, row.line, row.is_stmt)).collect::<Vec<_>>()
        };
        code.calls = vec![call(126, 24, 30)];
        assert_eq!(lines_of(&code)[2..], [(120, 6, true), (130, 7, true)]);
        code.calls[0].meets_statement = true;
        assert_eq!(lines_of(&code)[2..], [(120, 6, true), (126, 0, false), (130, 7, true)]);
    }

    #[test]
    fn what_a_block_begins_with_belongs_to_the_code_behind() {
        let lines = [guest(10, 5), guest(20, 6), guest(30, 7)];
        let rows = [(0, None), (111, Some(10)), (120, Some(20)), (124, None), (128, Some(30))];
        let mut code = native(&rows, &[111, 120, 128]);
        let lines_of = |code: &NativeFunction| {
            let rows = function_rows(&lines, code, None, &[]);
            rows.iter().map(|row| (row.text, row.line, row.is_stmt)).collect::<Vec<_>>()
        };
        assert_eq!(lines_of(&code)[2..], [(120, 6, true), (128, 7, true)]);
        code.leading = vec![TextOffset(0), TextOffset(124)];
        assert_eq!(lines_of(&code)[2..], [(120, 6, true), (124, 7, false), (128, 7, true)]);
        let rows = rows_for_lldb(function_rows(&lines, &code, None, &[]), &lines, &code);
        let rows: Vec<(u32, u32)> = rows.iter().map(|row| (row.text, row.line)).collect();
        assert_eq!(rows[2..], [(120, 6), (124, 0), (128, 7)], "lldb goes on as if it were a part of the line before");
    }

    #[test]
    fn what_a_native_build_loads_has_the_line_before_from_within_its_first_instruction() {
        let lines = [guest(10, 5), guest(20, 6), guest(24, 0), guest(30, 5)];
        let rows = [(0, None), (111, Some(10)), (120, Some(20)), (128, Some(30)), (131, Some(30))];
        let mut code = native(&rows, &[111, 120, 131]);
        code.reloads = vec![TextOffset(128)];
        let lines_of = |code: &NativeFunction, hidden: &[bool]| {
            let rows = function_rows(&lines, code, None, hidden);
            rows.iter().map(|row| (row.text, row.line, row.is_stmt)).collect::<Vec<_>>()
        };
        // Where the row before has that line, it goes on.
        assert_eq!(lines_of(&code, &[])[2..], [(120, 6, true), (131, 5, true)]);
        code.rows.insert(3, AddressRow { text: TextOffset(124), ..code.rows[1] });
        code.rows[3].anchor = false;
        let expected = [(120, 6, true), (124, 5, false), (129, 6, false), (131, 5, true)];
        assert_eq!(lines_of(&code, &[])[2..], expected);
        assert_eq!(lines_of(&code, &[false, false, false, false, true])[2..], expected, "it is not the optimizer's");
    }

    #[test]
    fn lldb_passes_code_without_line() {
        let other_file = GuestRow { file: 2, ..guest(24, 0) };
        let lines = [guest(0, 4), guest(10, 5), guest(20, 6), other_file, guest(30, 7)];
        let rows = [
            (0, None),
            (110, Some(10)),
            (120, Some(20)),
            (124, Some(24)),
            (126, None),
            (128, Some(21)),
            (130, Some(30)),
        ];
        let mut code = native(&rows, &[110, 120, 130]);
        let lines_of = |code: &NativeFunction| {
            let rows = rows_for_lldb(function_rows(&lines, code, None, &[]), &lines, code);
            assert!(rows.iter().all(|row| row.file != 2), "lldb would stop where the file changes");
            rows.iter().map(|row| (row.text, row.line)).collect::<Vec<_>>()
        };
        // The rest of the statement has its line again.
        assert_eq!(lines_of(&code), [(0, 4), (110, 5), (120, 6), (124, 0), (128, 6), (130, 7)]);
        code.calls = vec![call(126, 24, 26)];
        assert_eq!(lines_of(&code), [(0, 4), (110, 5), (120, 6), (130, 7)], "a frame there has a line");
        code.calls = vec![call(124, 20, 24)];
        assert_eq!(lines_of(&code), [(0, 4), (110, 5), (120, 6), (130, 7)], "a call returns there");
        code.calls.clear();
        code.traps = vec![TextOffset(124)];
        assert!(!lines_of(&code).iter().any(|row| row.1 == 0), "a trap there has a line");
    }
}
