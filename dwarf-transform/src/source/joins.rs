//! Lays the statements of a function over the ends of blocks in its code.

use super::Place;
use super::statements::{Shape, Statements};
use super::tokens::{Kind, Tokens};
use crate::address::WasmOffset;
use crate::guest::{BlockEnd, Joins};
use crate::guest_lines::{GuestRow, covering};
use crate::scan::Spot;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A row that a function's line table lacks, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingRow {
    pub(crate) row: GuestRow,
    /// The jump lies in the scopes of the operator at this offset,
    pub(crate) before: u32,
    /// but not in those that begin in these lines: there is the last statement of its block.
    pub(crate) inner: (u32, u32),
    /// Where the row that is there goes instead: the first operator behind that does something.
    pub(crate) moved: Option<u32>,
}

/// The rows that a function's line table lacks where blocks end: of `rows`, those that it has, the ones of `file` are looked at,
/// which `tokens` are of. `joins` are the places where blocks end.
///
/// Where text, rows and code do not fit together, there are none.
pub(crate) fn missing_rows(rows: &[GuestRow], file: u32, tokens: &Tokens, joins: &[Joins]) -> Vec<MissingRow> {
    let token = |row: &GuestRow| tokens.at(place(row)?);
    let mut own = rows.iter().filter(|row| row.file == file && row.line != 0);
    let Some(opening) = own.clone().next() else { return Vec::new() };
    if !own.all(|row| row.column == 0 || token(row).is_some()) {
        return Vec::new();
    }
    // The opening row has no column.
    let opening = Place { line: opening.line, column: opening.column };
    let mut bodies: BTreeMap<usize, Option<Statements<'_>>> = BTreeMap::new();
    let mut found: Vec<MissingRow> = Vec::new();
    for (number, here) in joins.iter().enumerate() {
        let (first, ends) = with_jumps(rows, &joins[..=number]);
        let last = here.ends.last().map_or(here.begin.0.saturating_sub(1), |end| end.offset.0);
        let before = covering(rows, first.before.0).map(|at| &rows[at]);
        let next = rows.partition_point(|row| row.offset <= last);
        let after = rows.get(next).filter(|row| row.offset <= here.after.0);
        let after = after.or_else(|| rows.get(next.checked_sub(1)?).filter(|row| row.line == 0));
        let token = |row: &GuestRow| Some(row).filter(|row| row.file == file).and_then(token);
        let (Some(before), Some(after)) = (before.and_then(token), after) else { continue };
        let after = match token(after) {
            None if after.line != 0 => continue,
            after => after,
        };
        let Some(begin) = body_around(tokens, before, opening) else { continue };
        let statements = bodies.entry(begin).or_insert_with(|| Statements::read(tokens, begin));
        let Some(statements) = statements else { continue };
        let mut walk = Walk {
            statements,
            ends: &ends,
            after,
            found: Vec::new(),
            line: tokens.place(before).line,
            budget: LONGEST_WAY,
        };
        if walk.leads_on(before).is_none() {
            continue;
        }
        for (end, place, inner) in walk.found {
            let spot = if end.is_some() { Spot::BehindEnd } else { Spot::Before };
            let row = jump_row(end.map_or(first.begin, |end| ends[end].offset()).0, file, place, spot);
            // What a loop begins with has code.
            let moved = first.ends.is_empty().then_some(first.after.0);
            found.push(MissingRow { row, before: first.before.0, inner, moved });
        }
    }
    found
}

/// The row of a jump that has none.
pub(super) fn jump_row(offset: u32, file: u32, place: Place, spot: Spot) -> GuestRow {
    GuestRow {
        offset,
        file,
        line: place.line,
        column: place.column,
        discriminator: 0,
        is_stmt: true,
        prologue_end: false,
        epilogue_begin: false,
        spot,
    }
}

/// What stands between two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    End(BlockEnd),
    /// A jump that has no line, as after the inlining of functions, at this offset.
    Jump(WasmOffset),
}

impl Between {
    fn offset(self) -> WasmOffset {
        match self {
            Between::End(end) => end.offset,
            Between::Jump(offset) => offset,
        }
    }

    fn is_loop(&self) -> bool {
        matches!(self, Between::End(end) if end.is_loop)
    }
}

/// How many jumps without a line are followed.
const MAX_JUMPS: usize = 8;

/// The last of `joins`, with those before it from which only jumps without a line separate it: the first of them, and all ends
/// and jumps between.
fn with_jumps<'j>(rows: &[GuestRow], joins: &'j [Joins]) -> (&'j Joins, Vec<Between>) {
    let has_no_line = |offset: WasmOffset| covering(rows, offset.0).is_some_and(|at| rows[at].line == 0);
    let follows = |pair: &&[Joins]| pair[0].after == pair[1].before && has_no_line(pair[1].before);
    let jumps = joins.windows(2).rev().take(MAX_JUMPS).take_while(follows).count();
    let joins = &joins[joins.len() - 1 - jumps..];
    let mut between: Vec<Between> = Vec::new();
    for (number, joins) in joins.iter().enumerate() {
        between.extend((number > 0).then_some(Between::Jump(joins.before)));
        between.extend(joins.ends.iter().map(|end| Between::End(*end)));
    }
    (&joins[0], between)
}

/// Is this a place where rows are often missing: do several blocks end, does a loop begin, or does control go back from there? (A
/// condition that other statements follow is none of them, and most functions have no more.)
pub(super) fn may_lack_rows(rows: &[GuestRow], joins: &Joins) -> bool {
    let line = |offset: u32| covering(rows, offset).map(|at| rows[at].line);
    let begins = joins.ends.last().is_some_and(|end| end.offset.0 + 1 < joins.after.0);
    joins.ends.len() != 1 || begins || line(joins.after.0) < line(joins.before.0)
}

fn place(row: &GuestRow) -> Option<Place> {
    (row.line != 0 && row.column != 0).then_some(Place { line: row.line, column: row.column })
}

/// The brace that begins the body of the function that `token` is in: the outermost block that can be one. A function, whose
/// opening row is at `opening`, may have others in itself that were inlined, and it may itself be in one.
fn body_around(tokens: &Tokens, token: usize, opening: Place) -> Option<usize> {
    let is_behind = |position: usize| tokens.place(position) > opening;
    let outward = |begin: usize| begin.checked_sub(1).and_then(|before| tokens.block_around(before));
    let mut around = std::iter::successors(tokens.block_around(token), |begin| outward(*begin));
    let inside = |begin: &usize| is_behind(*begin) || !is_behind(token);
    let blocks: Vec<usize> = around.by_ref().take_while(inside).collect();
    let is_function = |begin: &usize| tokens.follows_parameters(*begin);
    blocks.iter().rev().copied().find(is_function).or_else(|| blocks.last().copied().filter(|_| is_behind(token)))
}

/// Where control is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    /// Behind code of the same basic block.
    Code,
    /// Where a basic block begins to which nothing but the code before leads.
    Begin,
    /// Behind a jump.
    Nowhere,
    /// Right behind the end of a block, by its number, to which branches lead.
    Join(usize),
}

/// How many statements are gone through from one place; a way that is longer is given up.
const LONGEST_WAY: u32 = 2000;

/// The way from what is executed last before some blocks end to what is executed next.
struct Walk<'a> {
    statements: &'a Statements<'a>,
    ends: &'a [Between],
    /// The token of what comes next; if that has no line, it can only be the jump that is the condition of `while (1)`.
    after: Option<usize>,
    /// Jumps on the way that natively are alone in their basic block: behind which end, if not before all, the place they have, and the
    /// lines of the statement before in the block that they end.
    found: Vec<(Option<usize>, Place, (u32, u32))>,
    /// The line of the code before.
    line: u32,
    /// How many statements may still be gone through.
    budget: u32,
}

/// How far the way is known.
#[derive(Debug, Clone, Copy)]
struct At {
    here: Here,
    /// How many ends lie behind.
    passed: usize,
    /// The place of a jump that the compiler adds here.
    place: Place,
    /// The lines of the statement before in the same block.
    inner: (u32, u32),
}

impl Walk<'_> {
    /// Follows the way from the token of the last row before.
    fn leads_on(&mut self, before: usize) -> Option<()> {
        let path = self.statements.around(before);
        let number = *path.last()?;
        let tokens = self.statements.tokens_of(number);
        let place = self.statements.tokens.place(*tokens.start());
        let at = At { here: Here::Code, passed: 0, place, inner: (0, 0) };
        match self.statements.shape(number) {
            // Where the next row is one of it too, it goes on.
            Shape::Simple if self.comes_in(&tokens) => None,
            Shape::Simple => self.behind(&path, at),
            Shape::Jump | Shape::Return => self.behind(&path, At { here: Here::Nowhere, ..at }),
            // The branch back to the begin of a loop is there, too, where its condition comes last.
            Shape::Compound(_) if before == *tokens.end() => {
                match path.iter().nth_back(1).map(|it| self.statements.shape(*it)) {
                    Some(Shape::Do { condition, .. }) if self.pass_loop(0).is_some() => {
                        self.behind_do(&path[..path.len() - 1], condition, at)
                    }
                    _ => self.behind(&path, At { place: self.statements.end(number), ..at }),
                }
            }
            // Behind a condition comes what it is for.
            Shape::If { condition, then, .. } if condition.contains(&before) => self.enter(&path, *then, at),
            Shape::Loop { body, .. } if self.ends.is_empty() && !self.statements.tokens_of(*body).contains(&before) => {
                self.enter(&path, *body, at)
            }
            Shape::Loop { is_for, body, .. } if !self.statements.tokens_of(*body).contains(&before) => {
                let place = if *is_for { self.statements.end(number) } else { place };
                let at = At { here: Here::Nowhere, passed: self.pass_loop(0)?, place, ..at };
                let is_left = self.statements.goes_on(number);
                self.behind(&path, if is_left { self.pass(at)? } else { at })
            }
            Shape::Do { condition, .. } if condition.contains(&before) => self.behind_do(&path, condition, at),
            Shape::Switch { header, body } if header.contains(&before) || before == *tokens.start() => {
                let Shape::Compound(children) = self.statements.shape(*body) else { return None };
                let path = [&path[..], &[*body]].concat();
                self.siblings(&path, children, At { here: Here::Nowhere, ..at })
            }
            _ => None,
        }
    }

    /// Goes on behind the loop with its condition last that ends `path`.
    fn behind_do(&mut self, path: &[usize], condition: &RangeInclusive<usize>, at: At) -> Option<()> {
        let place = self.statements.tokens.place(*condition.start());
        let at = At { here: Here::Join(0), passed: self.pass_loop(0)?, place, ..at };
        self.either(self.pass(at), Some(at), |walk, at| walk.behind(path, at))
    }

    /// Goes on with the statement `child` of the last one of `path`, right behind a condition.
    fn enter(&mut self, path: &[usize], child: usize, at: At) -> Option<()> {
        let at = At { here: Here::Begin, ..at };
        match self.statements.shape(child) {
            Shape::Compound(children) => self.siblings(&[path, &[child]].concat(), children, at),
            _ if self.comes_in(&self.statements.tokens_of(child)) => self.siblings(path, &[child], at),
            _ => None,
        }
    }

    /// Passes the end of a loop.
    fn pass_loop(&self, passed: usize) -> Option<usize> {
        self.ends.get(passed).filter(|end| end.is_loop()).map(|_| passed + 1)
    }

    /// The number of the next end of a block. What a `goto` goes back to is a loop, too.
    fn behind_loops(&self, passed: usize) -> usize {
        let rest = self.ends.get(passed..).unwrap_or_default();
        passed + rest.iter().take_while(|end| end.is_loop()).count()
    }

    /// Passes the end of a block, where branches lead to.
    fn pass(&self, at: At) -> Option<At> {
        let block = self.behind_loops(at.passed);
        let is_end = matches!(self.ends.get(block), Some(Between::End(_)));
        is_end.then_some(At { here: Here::Join(block), passed: block + 1, ..at })
    }

    /// Passes a jump that is there, and has no line.
    fn pass_jump(&self, at: At) -> Option<At> {
        let jump = self.behind_loops(at.passed);
        let is_jump = matches!(self.ends.get(jump), Some(Between::Jump(_)));
        is_jump.then_some(At { here: Here::Nowhere, passed: jump + 1, ..at })
    }

    /// The first of two ways that leads on.
    fn either(
        &mut self,
        one: Option<At>,
        other: Option<At>,
        mut go: impl FnMut(&mut Self, At) -> Option<()>,
    ) -> Option<()> {
        let found = self.found.len();
        for at in [one, other].into_iter().flatten() {
            if go(self, at).is_some() {
                return Some(());
            }
            self.found.truncate(found);
        }
        None
    }

    /// A jump that is added here is alone in its basic block where there is nothing else.
    fn jump(&mut self, at: At) {
        let end = match at.here {
            Here::Join(end) => Some(end),
            Here::Begin => None,
            Here::Code | Here::Nowhere => return,
        };
        // Of several at one place there is room for one, and what is on the line of the code before goes on with that.
        let before = self.found.last().map_or(self.line, |last| last.1.line);
        if before != at.place.line && self.found.last().is_none_or(|last| last.0 != end) {
            self.found.push((end, at.place, at.inner));
        }
    }

    /// Goes on where nothing but the statement before leads.
    fn onward(at: At) -> Option<At> {
        Some(at).filter(|at| at.here != Here::Nowhere)
    }

    /// Does that what comes next lie in these tokens?
    fn comes_in(&self, tokens: &RangeInclusive<usize>) -> bool {
        self.after.is_some_and(|after| tokens.contains(&after))
    }

    /// Is that the end of the way, all ends being behind?
    fn arrives(&self, at: At) -> Option<()> {
        (self.behind_loops(at.passed) == self.ends.len()).then_some(())
    }

    /// Goes on behind the last statement of `path`.
    fn behind(&mut self, path: &[usize], mut at: At) -> Option<()> {
        let (&number, outer) = path.split_last()?;
        let statements = self.statements;
        if !matches!(statements.shape(number), Shape::Compound(_)) {
            at.inner = statements.lines(number);
        }
        self.budget = self.budget.checked_sub(1)?;
        // Nothing comes behind the function's own block.
        let &parent = outer.last()?;
        match statements.shape(parent) {
            Shape::Compound(children) => {
                // Statements are numbered in their order.
                let next = children.binary_search(&number).ok()? + 1;
                self.siblings(outer, &children[next..], at)
            }
            Shape::If { then, otherwise: Some(otherwise), .. } if number == *then => {
                // What is in the other branch comes next.
                let at = self.pass(self.pass_jump(at).unwrap_or(at))?;
                self.comes_in(&statements.tokens_of(*otherwise)).then(|| self.arrives(at))?
            }
            Shape::If { condition, then, otherwise } => {
                let place = statements.tokens.place(condition.end() - 1);
                if otherwise.is_none() {
                    self.jump(at);
                    let at = self.pass(at)?;
                    return self.behind(outer, At { place, ..at });
                }
                // Where neither of the two goes on, nothing does.
                let joins = statements.goes_on(*then) || at.here != Here::Nowhere;
                if !statements.goes_on(*then) && at.here == Here::Code {
                    return self.behind(outer, At { here: Here::Begin, place, ..at });
                }
                let joined = self.pass(at).filter(|_| joins);
                self.either(joined, Some(at), |walk, at| walk.behind(outer, At { place, ..at }))
            }
            Shape::Loop { next: Some(next), header, .. } if self.comes_in(next) => {
                // Where it goes over a range, clang has the jump at the loop, as what comes next.
                if next != header {
                    self.jump(at);
                }
                // `continue` leads there.
                self.either(self.pass(at), Some(at), |walk, at| walk.arrives(at))
            }
            Shape::Loop { header, next: None, .. }
                if self.comes_in(header) || self.after == Some(*statements.tokens_of(parent).start()) =>
            {
                self.arrives(at)
            }
            // Behind one that is never left comes what something else leads to.
            Shape::Loop { .. } | Shape::Switch { .. } if at.here == Here::Nowhere && !statements.goes_on(parent) => {
                self.behind(outer, at)
            }
            // It goes on where it is left from elsewhere.
            Shape::Loop { is_for, .. } if at.here == Here::Nowhere => {
                let place = match is_for {
                    true => statements.end(parent),
                    false => statements.tokens.place(*statements.tokens_of(parent).start()),
                };
                let at = self.pass(at)?;
                self.behind(outer, At { place, ..at })
            }
            Shape::Do { condition, .. } if self.after.is_none() || self.comes_in(condition) => {
                self.jump(at);
                self.either(self.pass(at), Some(at), |walk, at| walk.arrives(at))
            }
            Shape::Switch { .. } => {
                self.jump(at);
                self.either(self.pass(at), Self::onward(at), |walk, at| walk.behind(outer, at))
            }
            _ => None,
        }
    }

    /// Goes on with these statements, the last ones of the block that ends `path`.
    fn siblings(&mut self, path: &[usize], siblings: &[usize], mut at: At) -> Option<()> {
        let statements = self.statements;
        for (position, &sibling) in siblings.iter().enumerate() {
            self.budget = self.budget.checked_sub(1)?;
            let tokens = statements.tokens_of(sibling);
            if self.comes_in(&tokens) {
                // A jump leads into a loop, but what is done before it begins. The loop's own rows may be on another line, or on this one:
                // then what goes on with the loop does not stop there.
                let is_entered = match statements.shape(sibling) {
                    Shape::Loop { body, is_for, header, .. } => {
                        self.comes_in(&statements.tokens_of(*body)) || (!is_for && self.comes_in(header))
                    }
                    Shape::Do { body, .. } => self.comes_in(&statements.tokens_of(*body)),
                    _ => false,
                };
                if is_entered {
                    self.jump(At { place: statements.tokens.place(*tokens.start()), inner: (0, 0), ..at });
                }
                return self.arrives(at);
            }
            match statements.shape(sibling) {
                Shape::Jump => {
                    at = At { place: statements.tokens.place(*tokens.start()), inner: (0, 0), ..at };
                    match self.pass_jump(at) {
                        Some(behind) => at = behind,
                        None => self.jump(at),
                    }
                    at.here = Here::Nowhere;
                }
                Shape::Labels => {
                    self.jump(at);
                    let begin = |number: usize| *statements.tokens_of(number).start();
                    let is_case = |label: &&usize| statements.begins_with(**label, Kind::Case);
                    // Several cases in a row are one.
                    let cases = siblings[position..].iter().take_while(is_case).count();
                    let (labels, rest) = siblings[position..].split_at(cases.max(1));
                    // clang gives the case before the default one a place of its own.
                    let place = match (labels, rest) {
                        ([.., case], [default, ..]) if cases > 0 && statements.begins_with(*default, Kind::Default) => {
                            statements.tokens.place(begin(*case))
                        }
                        _ => at.place,
                    };
                    let passed = self.pass(At { place, inner: (0, 0), ..at });
                    return self.either(passed, Self::onward(at), |walk, at| walk.siblings(path, rest, at));
                }
                // A macro may be nothing, or compute what is not used: then the block is not empty.
                Shape::Simple if at.here == Here::Begin && tokens.clone().any(|at| statements.tokens.is(at, b'(')) => {
                    return None;
                }
                // A declaration without code.
                Shape::Simple => {}
                _ => return None,
            }
        }
        let block = *path.last()?;
        if self.after == Some(*statements.tokens_of(block).end()) {
            return self.arrives(at);
        }
        self.behind(path, At { place: statements.end(block), ..at })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::Lines;
    use super::*;

    /// The rows that are found in a function of `text`: their offsets and the lines that they name, without blanks. `rows` are the
    /// offsets of rows and the texts that stand where they lead (none: they have no line), `joins` the operators before and behind ends, and between them the
    /// offsets of the latter; an odd one ends a loop.
    fn found(text: &str, rows: &[(u32, &str)], joins: &[(u32, &[u32], u32)]) -> Vec<(u32, String)> {
        let found = found_rows(text, rows, joins).into_iter();
        found.map(|row| (row.offset, text.lines().nth(row.line as usize - 1).unwrap().trim().to_owned())).collect()
    }

    fn found_rows(text: &str, rows: &[(u32, &str)], joins: &[(u32, &[u32], u32)]) -> Vec<GuestRow> {
        let row = |&(offset, needle): &(u32, &str)| {
            let at = text.find(needle).unwrap_or_else(|| panic!("`{needle}` is not there"));
            let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            let line = text[..at].matches('\n').count() as u32 + 1;
            GuestRow { column: (at - line_start) as u32 + 1, ..GuestRow::at(offset, line) }
        };
        let without_line = rows.iter().filter(|row| row.1.is_empty()).map(|row| GuestRow::at(row.0, 0));
        let mut rows: Vec<GuestRow> =
            rows.iter().filter(|row| !row.1.is_empty()).map(row).chain(without_line).collect();
        rows.sort_by_key(|row| row.offset);
        // The opening row.
        rows.insert(0, GuestRow { column: 0, ..GuestRow::at(1, 1) });
        let joins: Vec<Joins> = joins
            .iter()
            .map(|(before, ends, after)| Joins {
                before: WasmOffset(*before),
                begin: WasmOffset(ends.first().map_or(before + 2, |end| *end)),
                ends: ends.iter().map(|end| BlockEnd { offset: WasmOffset(*end), is_loop: end % 2 == 1 }).collect(),
                guard: None,
                calls: false,
                equals: false,
                joined: WasmOffset(0),
                after: WasmOffset(*after),
            })
            .collect();
        let executed: Vec<u32> = rows.iter().map(|row| row.line).collect();
        let lines = Lines::new(text.as_bytes()).unwrap();
        let last = executed.iter().max().unwrap() + 1;
        let tokens = Tokens::read(&lines, 1..last, u32::MAX, &executed).unwrap();
        missing_rows(&rows, 1, &tokens, &joins).into_iter().map(|missing| missing.row).collect()
    }

    const LOOP: &str = "void f(int n) {
        for (int i = 0; i < n; i++) {
            if (i % 2) {
                one(i);
            }
        } // of the loop
        last();
    }";
    const LOOP_ROWS: [(u32, &str); 5] = [(10, "i = 0"), (20, "i % 2"), (30, "one"), (40, "i++"), (50, "last")];

    fn one(offset: u32, line: &str) -> Vec<(u32, String)> {
        vec![(offset, line.to_owned())]
    }

    #[test]
    fn a_loop_that_ends_with_a_condition_has_a_jump_at_its_brace() {
        let brace = one(34, "} // of the loop");
        assert_eq!(found(LOOP, &LOOP_ROWS, &[(30, &[34], 40)]), brace);
        // `continue` leads behind it.
        assert_eq!(found(LOOP, &LOOP_ROWS, &[(30, &[34, 36], 40)]), brace);
        assert_eq!(found(LOOP, &LOOP_ROWS, &[(40, &[45, 46], 50)]), []);
    }

    #[test]
    fn nothing_is_found_where_text_and_code_do_not_fit_together() {
        assert_eq!(found(LOOP, &LOOP_ROWS, &[(30, &[32, 34, 36], 40)]), [], "too many ends");
        assert_eq!(found(LOOP, &LOOP_ROWS, &[(30, &[33], 40)]), [], "the end of a loop");
        assert_eq!(found(LOOP, &LOOP_ROWS, &[(30, &[34, 35], 40)]), one(34, "} // of the loop"), "there is a `goto`");
        assert_eq!(found(LOOP, &LOOP_ROWS, &[(30, &[34], 50)]), one(34, "} // of the loop"));
        let elsewhere = [(10, "i = 0"), (20, "i % 2"), (30, "one"), (40, "last")];
        assert_eq!(found(LOOP, &elsewhere, &[(30, &[34], 40)]), [], "another statement comes next");
        let inside = [(10, "i = 0"), (20, "ne(i"), (30, "one"), (40, "i++")];
        assert_eq!(found(LOOP, &inside, &[(30, &[34], 40)]), [], "a row in the middle of a word");
        assert_eq!(found(&LOOP.replace("one(i);", "one(i;"), &LOOP_ROWS, &[(30, &[34], 40)]), []);
    }

    #[test]
    fn each_loop_and_condition_around_has_its_jump() {
        let text = "void f(int n) {
            for (int i = 0; i < n; i++) {
                if (i % 2) {
                    for (int j = 0; j < i; j++)
                        one(i, j);
                } // if
            } // for
        }";
        let rows =
            [(10, "i = 0"), (20, "i % 2"), (30, "j = 0"), (32, "one"), (34, "j++"), (36, "for (int j"), (50, "i++")];
        let expected = [(42, "} // if".to_owned()), (44, "} // for".to_owned())];
        assert_eq!(found(text, &rows, &[(36, &[41, 42, 44], 50)]), expected);
    }

    #[test]
    fn a_break_alone_in_its_case_has_a_jump() {
        let text = "int f(int n) {
            switch (n) {
            case 1:
                one();
                break;
            case 2:
                break; // two
            case 4:
            default:
                break; // all
            }
            return last();
        }";
        let rows = [(10, "n) {\n            case"), (20, "one"), (24, "break;"), (60, "last"), (70, "return")];
        let rest = &rows[..];
        // After the first `break`: labels of case 2, of case 4, of the default and of the end.
        let jumps =
            [(30, "break; // two"), (32, "case 4:"), (34, "break; // all")].map(|(at, line)| (at, line.to_owned()));
        assert_eq!(found(text, rest, &[(24, &[30, 32, 34, 36], 60)]), jumps);
    }

    #[test]
    fn a_loop_that_is_never_left_has_no_end() {
        let text = "int f(int n) {
            for (;;) {
                if (one(n))
                    goto out;
                n--;
                goto out; // again
            } // of the loop
        out:
            two(n);
            return last();
        }";
        let rows =
            [(10, "n))"), (12, "one"), (20, "goto out;\n                n"), (30, "n--"), (34, "goto out; // again")];
        let rows = [&rows[..], &[(50, "two"), (60, "last")]].concat();
        assert_eq!(found(text, &rows, &[(34, &[42], 50)]), []);
        let back = [&rows[..4], &[(34, "for (;;)")], &rows[5..]].concat();
        assert_eq!(found(&text.replace("goto out; // again", ""), &back, &[(34, &[41, 42], 50)]), []);
        let left = text.replace("if (one(n))\n", "if (one(n)) break; else if (n)\n");
        assert_eq!(found(&left, &rows, &[(34, &[42, 44], 50)]), one(42, "} // of the loop"));
    }

    #[test]
    fn a_switch_that_is_never_left_has_no_end() {
        let text = "int f(int n) {
            switch (n) {
            case 1:
                if (one())
                    break; // 1
                switch (n) {
                case 2:
                    return 1;
                case 3:
                    return 3;
                default:
                    return 2;
                } // inner
            default:
                two();
                break;
            }
            return last();
        }";
        let rows = [
            (10, "n) {\n            case"),
            (20, "one"),
            (30, "n) {\n                case 2"),
            (32, "1;\n                case 3"),
        ];
        let rows = [&rows[..], &[(36, "3;"), (40, "2;"), (50, "two"), (60, "last")]].concat();
        let inner = text.replace("return 3;", "break; 3;");
        assert_eq!(found(text, &rows, &[(40, &[42], 50)]), [], "the default case begins there");
        assert_eq!(found(&inner, &rows, &[(40, &[42, 44], 50)]), one(42, "} // inner"));
    }

    #[test]
    fn a_branch_without_an_end_is_none() {
        let text = "int f(int n) {
            while (n) {
                if (one(n)) {
                    return 1;
                } else {
                    return 2;
                }
                label: n--;
            }
            do {
                if (n) {
                    n++;
                }
            } while (last());
            return 0;
        }";
        let rows = [
            (10, "n) {"),
            (20, "one"),
            (30, "return 1"),
            (34, "return 2"),
            (40, "n--"),
            (50, "n) {\n                    n++"),
        ];
        let rows = [&rows[..], &[(60, "n++"), (70, "last")]].concat();
        assert_eq!(found(text, &rows, &[(34, &[36], 40)]), []);
        assert_eq!(found(text, &rows, &[(60, &[66], 70)]), one(66, "} while (last());"));
    }

    #[test]
    fn a_jump_leads_into_a_loop_that_comes_behind_a_condition() {
        let text = "void f(int n) {
            if (n) {
                one();
            }
            while (last(n)) // head
                n--;
        }";
        let rows = [(10, "n) {\n                one"), (20, "one"), (40, "last"), (50, "n--")];
        assert_eq!(found(text, &rows, &[(20, &[26], 40)]), one(26, "while (last(n)) // head"));
        let counting = text.replace("while (last(n))", "for (last(n); n;)");
        assert_eq!(found(&counting, &rows, &[(20, &[26], 40)]), [], "what it does first is in the block before");
    }

    #[test]
    fn a_loop_that_a_block_begins_with_is_entered_by_a_jump() {
        let text = "void f(int n) {
            while (n) {
                for (;;) { // forever
                    if (one(n))
                        break;
                }
                n--;
            }
            if (last(n)) {
                do { // once more
                    n++;
                } while (n);
            }
        }";
        let rows = [(10, "n) {\n                for"), (12, "while"), (20, "one"), (40, "last"), (50, "n++")];
        assert_eq!(found(text, &rows, &[(14, &[], 20)]), one(16, "for (;;) { // forever"));
        assert_eq!(found(text, &rows, &[(44, &[], 50)]), one(46, "do { // once more"));
        let after_call = text.replace("do { // once more", "MACRO(n); do {");
        assert_eq!(found(&after_call, &rows, &[(44, &[], 50)]), [], "a macro may be code that has no row");
    }

    #[test]
    fn a_jump_that_only_the_other_branch_leads_to_lies_before_the_end() {
        let text = "void f(int n) {
            for (int i = 0; i < n; i++) {
                if (i % 2)
                    continue;
                else
                    one(i);
            } // of the loop
            last();
        }";
        let rows = [(10, "i = 0"), (20, "i % 2"), (24, "continue"), (30, "one"), (40, "i++"), (50, "last")];
        assert_eq!(found(text, &rows, &[(32, &[34], 40)]), one(34, "} // of the loop"));
        let spots = |rows: Vec<GuestRow>| rows.iter().map(|row| row.spot).collect::<Vec<_>>();
        assert_eq!(spots(found_rows(text, &rows, &[(32, &[34], 40)])), [Spot::Before]);
        assert_eq!(spots(found_rows(LOOP, &LOOP_ROWS, &[(30, &[34], 40)])), [Spot::BehindEnd]);
    }

    #[test]
    fn a_block_that_ends_with_a_loop_has_a_jump() {
        let text = "void f(int n) {
            if (n) {
                do {
                    one(n);
                } while (--n);
            } // of the condition
            last();
        }";
        let rows = [(10, "n) {\n                do"), (20, "one"), (30, "--n"), (34, "} while"), (50, "last")];
        assert_eq!(found(text, &rows, &[(36, &[37, 38], 50)]), one(37, "} // of the condition"));
        let label = text.replace("last();\n        }", "last();\n        } // of all");
        let rows = [&rows[..], &[(60, "} // of all")]].concat();
        assert_eq!(found(&label, &rows, &[(62, &[64], 70)]), [], "nothing comes behind");
    }

    #[test]
    fn the_body_of_a_function_may_begin_on_a_line_of_its_own() {
        let text = "{
            if (n) {
                for (int i = 0; i < n; i++)
                    one(n);
            } // of the condition
            last();
        }";
        let rows = [
            (10, "n) {\n                for"),
            (20, "i = 0"),
            (30, "one"),
            (40, "i++"),
            (42, "for (int"),
            (50, "last"),
        ];
        assert_eq!(found(text, &rows, &[(42, &[43, 44, 46], 50)]), one(44, "} // of the condition"));
    }

    #[test]
    fn a_loop_without_a_way_back_at_its_end_is_left_there() {
        let text = "void f(int n) {
            while (n) {
                if (one(n)) {
                    n--;
                    continue;
                }
                break; // out
            }
            last();
        }";
        let rows = [(10, "n) {\n                if"), (20, "one"), (30, "n--"), (34, "continue"), (50, "last")];
        assert_eq!(found(text, &rows, &[(34, &[36, 37, 38], 50)]), one(36, "break; // out"));
    }

    #[test]
    fn jumps_without_a_line_are_followed() {
        let text = "void f(int n) {
            do {
                if (n) {
                    if (one())
                        two();
                    break;
                }
            } while (1);
            last();
        }";
        let rows = [(10, "n) {\n                    if"), (20, "one"), (24, "two"), (30, ""), (50, "last")];
        let jump = (24, &[30][..], 32);
        // The `break` is at 32, the way back to the loop at 38.
        assert_eq!(found(text, &rows, &[jump, (32, &[34, 36], 38)]), one(34, "} while (1);"));
        assert_eq!(found(text, &rows, &[jump, (33, &[34, 36], 38)]), [], "other code is between");
        assert_eq!(found(text, &rows, &[jump, (32, &[34], 38)]), one(34, "} while (1);"));
        assert_eq!(found(text, &rows, &[jump]), []);
    }

    #[test]
    fn of_the_preprocessors_alternatives_the_compiled_one_counts() {
        let text =
            LOOP.replace("one(i);\n            }", "one(i);\n#if A\n            }\n#else\n} other(i); {{\n#endif");
        assert_eq!(found(&text, &LOOP_ROWS, &[(30, &[34], 40)]), [], "neither was compiled");
        let text = LOOP.replace("one(i);\n", "\n#if A\none(i);\n#else\n} other(i); {{\n#endif\n");
        assert_eq!(found(&text, &LOOP_ROWS, &[(30, &[34], 40)]), one(34, "} // of the loop"));
        let text = text.replace("#if A", "#line 7");
        let lines = Lines::new(text.as_bytes()).unwrap();
        assert!(Tokens::read(&lines, 1..9, u32::MAX, &[1]).is_none());
    }
}
