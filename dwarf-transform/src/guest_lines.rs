//! The guest's line table, sorted by function.

use crate::address::WasmOffset;
use crate::guest_dwarf::{FunctionIndex, Slice, Unit};
use crate::loss::{LossKind, Losses};
use crate::scan::{LineRow, Spot, Statement};
use crate::source::MissingRow;
use gimli::ColumnType;
use std::collections::BTreeMap;
use std::ops::Range;

/// A row of the guest's line table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GuestRow {
    pub(crate) offset: u32,
    /// As the guest numbers files.
    pub(crate) file: u32,
    /// 0 where the code has no line.
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) discriminator: u32,
    pub(crate) is_stmt: bool,
    pub(crate) prologue_end: bool,
    pub(crate) epilogue_begin: bool,
    /// Where it is for no operator, but for a jump that wasm does without.
    pub(crate) spot: Spot,
}

impl GuestRow {
    pub(crate) fn line_row(&self) -> LineRow {
        let GuestRow { file, line, column, spot, .. } = *self;
        LineRow { offset: WasmOffset(self.offset), file, line, column, spot }
    }
}

#[cfg(test)]
impl GuestRow {
    /// A statement's row in file 1.
    pub(crate) fn at(offset: u32, line: u32) -> GuestRow {
        GuestRow {
            offset,
            file: 1,
            line,
            column: 0,
            discriminator: 0,
            is_stmt: true,
            prologue_end: false,
            epilogue_begin: false,
            spot: Spot::Operator,
        }
    }
}

/// The guest's line tables. Both stages need them, and they are read once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestLines {
    /// By unit.
    pub(crate) units: Vec<UnitLines>,
}

/// The rows of one unit's line table that lie in live functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnitLines {
    rows: Vec<GuestRow>,
    functions: BTreeMap<usize, Range<usize>>,
    /// Opening lines at which gdb is to stop when it steps into the function.
    openings: BTreeMap<usize, u32>,
    /// Rows that the guest does not have.
    added: BTreeMap<usize, Vec<MissingRow>>,
}

impl UnitLines {
    /// Reads the line number program of `unit`; what comes before an error in it is kept.
    pub(crate) fn read(unit: &Unit<'_>, index: &FunctionIndex, losses: &mut Losses) -> UnitLines {
        let Some(program) = unit.line_program.clone() else {
            return UnitLines::default();
        };
        let mut found: Vec<GuestRow> = Vec::new();
        // The rows of a function that follow one another: its position, and where they begin.
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let mut rows = program.rows();
        // A sequence that begins outside of every function belongs to a dropped one, and its rows overlap live code by
        // accident only.
        let mut alive = None;
        // Where the sequence begins, and how many rows and runs there are before.
        let mut sequence = None;
        // The function of the row before, and the addresses that belong to it.
        let mut current = None;
        let mut here = 0..0;
        loop {
            let row = match rows.next_row() {
                Ok(Some((_, row))) => row,
                Ok(None) => break,
                Err(error) => {
                    let place = unit.place();
                    losses.count(LossKind::MalformedLines, || format!("{place}: {error}"));
                    break;
                }
            };
            let address = row.address();
            if row.end_sequence() {
                alive = None;
                if let Some((begin, rows, before)) = sequence.take()
                    && index.is_other_copy(begin, address)
                {
                    found.truncate(rows);
                    runs.truncate(before);
                }
                continue;
            }
            sequence.get_or_insert((address, found.len(), runs.len()));
            if !here.contains(&address) {
                current = index.find(address);
                here = current.map_or(0..0, |position| index.addresses(position));
            }
            if !*alive.get_or_insert(current.is_some()) {
                continue;
            }
            let (Some(position), Ok(offset)) = (current, u32::try_from(address)) else {
                continue;
            };
            if runs.last().is_none_or(|run| run.0 != position) {
                runs.push((position, found.len()));
            }
            let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
            found.push(GuestRow {
                offset,
                file: narrow(row.file_index()),
                line: row.line().map_or(0, |line| narrow(line.get())),
                column: match row.column() {
                    ColumnType::LeftEdge => 0,
                    ColumnType::Column(column) => narrow(column.get()),
                },
                discriminator: narrow(row.discriminator()),
                is_stmt: row.is_stmt(),
                prologue_end: row.prologue_end(),
                epilogue_begin: row.epilogue_begin(),
                spot: Spot::Operator,
            });
        }
        found.shrink_to_fit();
        UnitLines::sorted(found, &runs)
    }

    /// Rows that come in runs, which linkers write in the order of the functions, and sorted.
    fn sorted(mut rows: Vec<GuestRow>, runs: &[(usize, usize)]) -> UnitLines {
        let end = |run: usize| runs.get(run + 1).map_or(rows.len(), |next| next.1);
        let ranges: Vec<_> = (0..runs.len()).map(|run| (runs[run].0, runs[run].1..end(run))).collect();
        if ranges.is_sorted_by(|one, next| one.0 < next.0) {
            for (_, range) in &ranges {
                let rows = &mut rows[range.clone()];
                if !rows.is_sorted_by_key(|row| row.offset) {
                    rows.sort_by_key(|row| row.offset);
                }
            }
            return UnitLines { rows, functions: ranges.into_iter().collect(), ..UnitLines::default() };
        }
        let mut by_function: BTreeMap<usize, Vec<GuestRow>> = BTreeMap::new();
        for (position, range) in ranges {
            by_function.entry(position).or_default().extend_from_slice(&rows[range]);
        }
        rows.clear();
        let mut functions = BTreeMap::new();
        for (position, mut own) in by_function {
            own.sort_by_key(|row| row.offset);
            let begin = rows.len();
            rows.append(&mut own);
            functions.insert(position, begin..rows.len());
        }
        UnitLines { rows, functions, ..UnitLines::default() }
    }

    /// The rows of the function at `position`, sorted by offset.
    pub(crate) fn function(&self, position: usize) -> &[GuestRow] {
        self.functions.get(&position).map_or(&[], |range| &self.rows[range.clone()])
    }

    /// Adds rows to those of functions, by position. They take the place of rows of the same `end`, which has no code.
    pub(crate) fn add(&mut self, mut added: BTreeMap<usize, Vec<MissingRow>>) {
        added.retain(|_, rows| !rows.is_empty());
        let count: usize = added.values().map(Vec::len).sum();
        if count == 0 {
            return;
        }
        let mut rows = Vec::with_capacity(self.rows.len() + count);
        for (position, range) in &mut self.functions {
            let begin = rows.len();
            let own = &self.rows[range.clone()];
            match added.get_mut(position) {
                Some(added) => {
                    // There is room for one jump at one place; more come by where branches join.
                    added.sort_by_key(|added| (added.row.offset, added.row.spot == Spot::Before));
                    added.dedup_by_key(|added| added.row.offset);
                    let taken = |row: &GuestRow| added.binary_search_by_key(&row.offset, |added| added.row.offset);
                    rows.extend(own.iter().filter_map(|row| match taken(row) {
                        Err(_) => Some(*row),
                        Ok(at) => added[at].moved.map(|offset| GuestRow { offset, ..*row }),
                    }));
                    rows.extend(added.iter().map(|added| added.row));
                    rows[begin..].sort_by_key(|row| row.offset);
                    // The body begins with a jump that was added before its first statement.
                    if let Some(first) = rows[begin..].iter().position(|row| row.prologue_end) {
                        let at = begin + first;
                        let jumps = rows[begin..at].iter().rev().take_while(|row| row.spot != Spot::Operator).count();
                        if jumps > 0 {
                            rows[at].prologue_end = false;
                            rows[at - jumps].prologue_end = true;
                        }
                    }
                    // Compilers let a statement begin where the line changes.
                    let mut last = rows[begin];
                    for at in begin + 1..rows.len() {
                        let (before, line) = (rows[at - 1], (rows[at].file, rows[at].line));
                        if before.spot != Spot::Operator {
                            let goes_on = (before.file, before.line) == line;
                            rows[at].is_stmt = !goes_on && (rows[at].is_stmt || (last.file, last.line) == line);
                        }
                        if rows[at].spot == Spot::Operator && line.1 != 0 {
                            last = rows[at];
                        }
                    }
                }
                None => rows.extend_from_slice(own),
            }
            *range = begin..rows.len();
        }
        self.rows = rows;
        self.added = added;
    }

    /// The places behind the guest range of a scope in the function at `position` that belong to it all the same, because jumps
    /// that end its block are there: their ranges. `line` is where the scope begins, if it is the scope of a block.
    pub(crate) fn jumps_behind(&self, position: usize, guest: &[(u64, u64)], line: Option<u64>) -> Vec<(u64, u64)> {
        // What the compiler did not optimize lies in one piece, or in a few.
        let Some(added) = self.added.get(&position).filter(|_| guest.len() <= MAX_JUMPS) else { return Vec::new() };
        let has = |offset: u32| guest.iter().any(|range| (range.0..range.1).contains(&offset.into()));
        let is_inner = |added: &MissingRow| {
            let inner = u64::from(added.inner.0)..=u64::from(added.inner.1);
            line.is_some_and(|line| inner.contains(&line))
        };
        let mut found = Vec::new();
        for range in guest {
            let first = added.partition_point(|added| u64::from(added.row.offset) < range.1);
            let behind = added[first..].iter().take(MAX_JUMPS).take_while(|added| u64::from(added.before) < range.1);
            let behind = behind.filter(|added| has(added.before) && !has(added.row.offset) && !is_inner(added));
            found.extend(behind.map(|added| (u64::from(added.row.offset), u64::from(added.row.offset) + 1)));
        }
        found
    }

    /// Lets the function at `position` begin with its opening line, if that is known and none of its statements': the line
    /// of its first row, else where it is `declared` (file and line), right before its first statement. (LLVM has no row for it where
    /// the function begins with that statement, as it does in wasm where x86 has a prologue.)
    pub(crate) fn open(&mut self, position: usize, declared: Option<(u64, u64)>) {
        let rows = self.function(position);
        let Some(entry) = rows.iter().find(|row| row.line != 0) else { return };
        let Some(body) = body_row(rows).map(|body| &rows[body]) else { return };
        let line = if (body.file, body.line) != (entry.file, entry.line) {
            entry.line
        } else if declared == Some((u64::from(body.file), u64::from(body.line).wrapping_sub(1))) && body.line > 1 {
            body.line - 1
        } else {
            return;
        };
        self.openings.insert(position, line);
    }

    /// The opening line of the function at `position`: see [`UnitLines::open`].
    pub(crate) fn opening(&self, position: usize) -> Option<u32> {
        self.openings.get(&position).copied()
    }

    /// The functions that have an opening line.
    pub(crate) fn opened(&self) -> impl Iterator<Item = usize> {
        self.openings.keys().copied()
    }

    /// The functions that have rows.
    pub(crate) fn functions(&self) -> impl Iterator<Item = usize> {
        self.functions.keys().copied()
    }
}

/// The row where the function's own statements begin, after the guest has set up its frame and stored its parameters:
/// the row marked `prologue_end`, else the first that begins a statement after the entry.
pub(crate) fn body_row(rows: &[GuestRow]) -> Option<usize> {
    let entry = rows.first()?;
    rows.iter()
        .position(|row| row.prologue_end && row.line != 0)
        .or_else(|| rows.iter().position(|row| row.is_stmt && row.line != 0 && row.offset > entry.offset))
}

/// How many jumps of the source there may be at one place, and pieces of a scope that has some.
const MAX_JUMPS: usize = 64;

/// How many rows may lie between the operands of a statement and itself.
const MAX_BETWEEN: usize = 16;

/// Where statements, and rows that are none, begin in a function with these rows and this end.
pub(crate) fn statements(rows: &[GuestRow], body_end: WasmOffset) -> Vec<Statement> {
    let body = body_row(rows);
    let mut statements: Vec<Statement> = Vec::new();
    let mut previous: Option<(u32, u32)> = None;
    let mut column = 0;
    for (position, row) in rows.iter().enumerate() {
        let line = (row.file, row.line);
        let new_line = previous != Some(line);
        let goes_on = !new_line && !row.is_stmt && column == row.column;
        if row.line != 0 {
            previous = Some(line);
            column = row.column;
        }
        // Before the body there is the guest's own prologue, which the entry row covers.
        if row.line == 0 || body.is_some_and(|body| position < body) {
            continue;
        }
        if position == 0 && body != Some(0) {
            continue;
        }
        let new_line = row.is_stmt && (new_line || body == Some(position));
        let is_behind = |next: &&GuestRow| next.offset > row.offset;
        let next = rows.get(position + 1).filter(is_behind);
        let next = next.or_else(|| rows.get(rows.partition_point(|next| next.offset <= row.offset)));
        let end = next.map_or(body_end, |next| WasmOffset(next.offset));
        match statements.last_mut() {
            Some(last) if last.offset == WasmOffset(row.offset) => {
                last.new_line |= new_line;
                last.is_stmt |= row.is_stmt;
                last.goes_on &= goes_on;
            }
            _ => {
                let mut behind = rows[position + 1..].iter().take(MAX_BETWEEN);
                let again = new_line && behind.any(|next| next.is_stmt && (next.file, next.line) == line);
                statements.push(Statement {
                    offset: WasmOffset(row.offset),
                    end,
                    is_stmt: row.is_stmt,
                    new_line,
                    goes_on,
                    again,
                    spot: row.spot,
                });
            }
        }
    }
    statements
}

/// The row that covers `offset`: the last one that begins at or before it.
pub(crate) fn covering(rows: &[GuestRow], offset: u32) -> Option<usize> {
    rows.partition_point(|row| row.offset <= offset).checked_sub(1)
}

/// [`covering`], of one offset after the other: mostly it is the row of the one before, or the next.
pub(crate) struct Covering<'r> {
    rows: &'r [GuestRow],
    last: usize,
}

impl<'r> Covering<'r> {
    pub(crate) fn new(rows: &'r [GuestRow]) -> Covering<'r> {
        Covering { rows, last: 0 }
    }

    pub(crate) fn find(&mut self, offset: u32) -> Option<usize> {
        let near = (self.last..self.rows.len().min(self.last + 2)).find(|&at| {
            self.rows[at].offset <= offset && self.rows.get(at + 1).is_none_or(|next| offset < next.offset)
        });
        let found = near.or_else(|| covering(self.rows, offset))?;
        self.last = found;
        Some(found)
    }
}

/// The row whose line the code of the row at `position` has: code without a line belongs to the line before it.
pub(crate) fn row_with_line(rows: &[GuestRow], position: usize) -> Option<usize> {
    (0..=position).rev().find(|position| rows[*position].line != 0)
}

/// Does the code at `offset` say that it has no line?
pub(crate) fn has_no_line(rows: &[GuestRow], offset: WasmOffset) -> bool {
    covering(rows, offset.0).is_some_and(|position| rows[position].line == 0)
}

/// Names and directories of the files of a guest line number program.
pub(crate) fn header<'u, 'a>(unit: &'u Unit<'a>) -> Option<&'u gimli::LineProgramHeader<Slice<'a>>> {
    unit.line_program.as_ref().map(gimli::IncompleteLineProgram::header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(offset: u32, line: u32, prologue_end: bool) -> GuestRow {
        GuestRow { prologue_end, ..GuestRow::at(offset, line) }
    }

    #[test]
    fn no_statement_begins_behind_a_jump_of_the_same_line() {
        let mut lines = UnitLines::sorted(vec![row(10, 20, false), row(20, 22, false), row(30, 23, false)], &[(3, 0)]);
        let jump = |offset, line| MissingRow {
            row: GuestRow { spot: Spot::BehindEnd, ..GuestRow::at(offset, line) },
            before: offset - 2,
            inner: (0, 0),
            moved: None,
        };
        lines.add(BTreeMap::from([(3, vec![jump(18, 22), jump(28, 21)])]));
        let found = lines.function(3).iter().map(|row| (row.offset, row.line, row.is_stmt));
        let expected = [(10, 20, true), (18, 22, true), (20, 22, false), (28, 21, true), (30, 23, true)];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_opening_line_is_that_of_the_first_row_or_right_before_the_first_statement() {
        let opening = |rows: &[GuestRow], declared| {
            let mut lines = UnitLines::sorted(rows.to_vec(), &[(3, 0)]);
            lines.open(3, declared);
            assert_eq!(lines.opened().collect::<Vec<_>>(), lines.opening(3).map(|_| 3).as_slice());
            lines.opening(3)
        };
        let with_its_own = [row(10, 20, false), row(12, 22, true)];
        assert_eq!(opening(&with_its_own, None), Some(20));
        assert_eq!(opening(&with_its_own, Some((1, 19))), Some(20));
        let without = [row(10, 22, true), row(12, 23, false)];
        assert_eq!(opening(&without, Some((1, 21))), Some(21));
        assert_eq!(opening(&without, Some((1, 20))), None, "the line of its brace is not known");
        assert_eq!(opening(&without, Some((2, 21))), None);
        assert_eq!(opening(&without, None), None);
        assert_eq!(opening(&[row(10, 0, false)], Some((1, 1))), None);
    }
}
