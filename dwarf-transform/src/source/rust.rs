//! What the text of a Rust program says of its variables and conditions.

use super::joins::jump_row;
use super::tokens::Lines;
use super::{MissingRow, Place};
use crate::guest::Joins;
use crate::guest_lines::{GuestRow, covering};
use crate::scan::Spot;

/// The rows of jumps that a function's line table lacks behind an `if` without an `else`: of `rows`, those that it has, the ones of `file`
/// are looked at, which `text` is of. `joins` are the places where blocks end.
///
/// rustc puts what comes behind such an `if` before its block, from which a jump leads there that has the place of the whole `if`. In wasm
/// what comes behind lies there, too, and no jump is left. A comparison of an integer with a constant is made a `match` of one value
/// (`SimplifyComparisonIntegral`), whose block comes first.
pub(super) fn missing_rows(rows: &[GuestRow], file: u32, text: &Lines<'_>, joins: &[Joins]) -> Vec<MissingRow> {
    let row = |offset: u32| covering(rows, offset).map(|at| &rows[at]).filter(|row| row.file == file && row.line != 0);
    let missing = |joins: &Joins| {
        let guard = joins.guard.filter(|_| !joins.equals)?.0;
        let (condition, before) = (row(guard)?, row(joins.before.0)?);
        let end = joins.begin.0;
        // Else what comes behind would have the jump's line.
        let next = rows[rows.partition_point(|row| row.offset < end)..].first();
        let next = next.filter(|next| next.offset <= joins.after.0)?;
        if condition.line >= before.line || condition.column == 0 {
            return None;
        }
        // What the block ends with is one of its own statements, and none of one within it.
        let inside = &rows[rows.partition_point(|row| row.offset <= guard)..];
        let mut inside = inside.iter().take(MOST_ROWS).take_while(|row| row.offset <= joins.before.0);
        let first = inside.clone().find(|row| row.file == file && row.line > condition.line)?;
        if joins.joined.0 > first.offset {
            let last = inside.find(|row| row.offset >= joins.joined.0 && row.file == file && row.line > first.line)?;
            let is_space = |byte: &&u8| byte.is_ascii_whitespace();
            let indentation = |line: u32| text.line(line).iter().take(LONGEST_CONDITION.1).take_while(is_space).count();
            if indentation(first.line) != indentation(last.line) {
                return None;
            }
        }
        let (line, column) = begin_of_if(text, condition.line, condition.column as usize - 1)?;
        // A call takes the jump to its own line. gdb does not stop there once more, but lldb does.
        let (line, column) = if joins.calls { (before.line, before.column) } else { (line, column as u32 + 1) };
        let row = jump_row(end, file, Place { line, column }, Spot::Before);
        let row = GuestRow { is_stmt: !joins.calls, ..row };
        let moved = (next.offset == end).then_some(joins.after.0);
        Some(MissingRow { row, before: joins.before.0, inner: (condition.line + 1, before.line), moved })
    };
    joins.iter().filter_map(missing).collect()
}

/// How many rows of a block are looked at: blocks lie in one another.
const MOST_ROWS: usize = 1000;

/// How many lines and bytes, with what stands around it there, a condition may have.
const LONGEST_CONDITION: (u32, usize) = (8, 4096);

/// Line and column of the `if` whose condition has a part here.
fn begin_of_if(text: &Lines<'_>, line: u32, column: usize) -> Option<(u32, usize)> {
    let (lines, bytes) = LONGEST_CONDITION;
    (line.saturating_sub(lines).max(1)..=line).rev().find_map(|first| {
        let behind = Some(text.text(first..line.saturating_add(1))).filter(|text| text.len() <= bytes)?;
        Some((first, condition_of(behind, text.text(first..line).len() + column)?))
    })
}

/// Where the `if` is in this text whose condition, or a part of it that leads behind the `if` where it is false, is at `column`: both are
/// bytes before it. (Where the condition is negated, or is one of several of which one is enough, rustc puts the block first.)
fn condition_of(text: &[u8], column: usize) -> Option<usize> {
    let before = text.get(..column)?;
    let begin = memchr::memmem::rfind_iter(before, b"if").find(|&at| {
        let behind = before.get(at + 2).is_some_and(|byte| !is_word(*byte));
        behind && !before[..at].last().is_some_and(|byte| is_word(*byte))
    })?;
    let condition = &text[begin + 2..];
    let condition = &condition[..memchr::memchr3(b'{', b'}', b';', condition).unwrap_or(condition.len())];
    let negates = condition.windows(2).any(|pair| pair[0] == b'!' && pair[1] != b'=');
    let has = |words: &[u8]| memchr::memmem::find(condition, words).is_some();
    let is_inside = column < begin + 2 + condition.len();
    (is_inside && !negates && !has(b"||") && !has(b"let ")).then_some(begin)
}

/// Is it a part of a name or a keyword?
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128
}

/// Is `name` bound in this line, and nowhere in it so that it can be assigned?
pub(super) fn is_immutable(line: &[u8], name: &[u8]) -> bool {
    let name = name.strip_prefix(b"r#").unwrap_or(name);
    let mut is_bound = false;
    for at in memchr::memmem::find_iter(line, name) {
        let (before, behind) = (&line[..at], &line[at + name.len()..]);
        let is_whole =
            !before.last().is_some_and(|byte| is_word(*byte)) && !behind.first().is_some_and(|byte| is_word(*byte));
        if !is_whole {
            continue;
        }
        // What a macro makes of it is not known.
        if [b"!(", b"![", b"!{"].iter().any(|call| memchr::memmem::find(before, *call).is_some()) {
            return false;
        }
        let before = before.trim_ascii_end();
        if let Some(before) = before.strip_suffix(b"mut").filter(|rest| !rest.last().is_some_and(|byte| is_word(*byte)))
        {
            // `&mut x` and `&'a mut self` bind what cannot be assigned, and so does `ref mut x`.
            let before = before.trim_ascii_end();
            let word = before.iter().rposition(|byte| !is_word(*byte)).map_or(0, |at| at + 1);
            let (rest, word) = before.split_at(word);
            if !(before.ends_with(b"&") || word == b"ref" || rest.ends_with(b"'")) {
                return false;
            }
        }
        is_bound = true;
    }
    is_bound
}

/// Does what is declared in this line of the function that begins in line `function` lie in no statement of it, by its indentation?
pub(super) fn is_outermost(text: &Lines<'_>, function: u32, line: u32) -> bool {
    let indentation = |line: u32| text.line(line).iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let (outer, own) = (indentation(function), indentation(line));
    let step = if text.line(line).starts_with(b"\t") { 1 } else { 4 };
    line == function || own <= outer + step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::WasmOffset;
    use crate::guest::BlockEnd;

    #[test]
    fn conditions_that_lead_behind_their_block_are_known() {
        let at = |line: &str, part: &str| condition_of(line.as_bytes(), line.find(part).expect("it is there"));
        assert_eq!(at("    if v > 7 {", "v >"), Some(4));
        assert_eq!(at("} else if self.a && v != 3 {", "v !="), Some(7));
        for (line, part) in [
            ("while v > 7 {", "v >"),
            ("if let Some(n) = v {", "Some"),
            ("if !v.is_empty() {", "v."),
            ("if a || v > 7 {", "v >"),
            ("let notif = v > 7;", "v >"),
            ("self.iff (v)", "v)"),
            ("if a { v > 7 }", "v >"),
        ] {
            assert_eq!(at(line, part), None, "{line}");
        }
        assert_eq!(condition_of(b"if", 7), None);
    }

    #[test]
    fn jumps_behind_blocks_have_the_line_of_their_condition() {
        // 1: fn, 2: if, 3: a statement, 5: what comes behind.
        let text = Lines::new(b"fn f() {\n    if v {\n        s();\n    }\n    t();\n}\n").expect("it is short");
        let row = |offset, line, column| GuestRow { column, ..GuestRow::at(offset, line) };
        let joins = |guard: Option<u32>| Joins {
            before: WasmOffset(22),
            ends: vec![BlockEnd { offset: WasmOffset(24), is_loop: false }],
            guard: guard.map(WasmOffset),
            calls: false,
            equals: false,
            ends_with_call: false,
            joined: WasmOffset(0),
            begin: WasmOffset(24),
            after: WasmOffset(25),
        };
        let found = |rows: &[GuestRow], guard| {
            let found = missing_rows(rows, 1, &text, &[joins(guard)]);
            found.iter().map(|it| (it.row.offset, it.row.line, it.row.column, it.moved)).collect::<Vec<_>>()
        };
        let rows = [row(10, 2, 8), row(20, 3, 9), row(25, 5, 5)];
        assert_eq!(found(&rows, Some(12)), [(24, 2, 5, None)]);
        assert_eq!(found(&rows, None), []);
        let equals = Joins { equals: true, ..joins(Some(12)) };
        assert!(missing_rows(&rows, 1, &text, &[equals]).is_empty(), "it is a `match`");
        assert_eq!(found(&rows[..2], Some(12)), [], "what comes behind goes on with the statement");
        assert_eq!(found(&[rows[0], rows[1], row(24, 5, 5)], Some(12)), [(24, 2, 5, Some(25))]);
        assert_eq!(found(&[row(10, 3, 9), row(20, 3, 9), rows[2]], Some(12)), [], "all is in one line");
    }

    #[test]
    fn only_what_is_bound_as_mut_can_be_assigned() {
        let is_immutable = |line: &str| is_immutable(line.as_bytes(), b"x");
        for line in
            ["let x = 1;", "for (i, x) in a {", "fn f(&self, x: u8)", "Some(ref mut x) => ", "|&mut x| x", "let (a, x)"]
        {
            assert!(is_immutable(line), "{line}");
        }
        for line in
            ["let mut x = 1;", "fn f(mut x: u8)", "let (mut a, mut x) = p;", "let y = 1;", "let xs = 1;", "let mut  x;"]
        {
            assert!(!is_immutable(line), "{line}");
        }
        assert!(super::is_immutable(b"fn f(&'a mut self)", b"self"));
        assert!(super::is_immutable(b"fn f(&mut self)", b"self"));
        assert!(!super::is_immutable(b"fn f(mut self)", b"self"));
    }
}
