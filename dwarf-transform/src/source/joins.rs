//! Lays the statements of a function over the ends of blocks in its code.

use super::Place;
use super::macros::{Forms, MAX_BYTES};
use super::statements::{Shape, Statements, Words};
use super::tokens::{Kind, Lines, Tokens};
use crate::address::WasmOffset;
use crate::guest::{BlockEnd, Joins};
use crate::guest_lines::{GuestRow, covering};
use crate::scan::Spot;
use std::cell::Cell;
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

/// The text that a function is in.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    /// Its number in the line table.
    pub(super) file: u32,
    pub(super) lines: &'t Lines<'t>,
    pub(super) tokens: &'t Tokens,
    pub(super) forms: &'t Forms<'t>,
}

/// The code that a function has.
#[derive(Clone, Copy)]
pub(super) struct Code<'t> {
    /// Where blocks end.
    pub(super) joins: &'t [Joins],
    /// What comes behind the operator at an offset if that makes no code.
    pub(super) behind_silent: &'t dyn Fn(WasmOffset) -> Option<WasmOffset>,
}

/// The rows that a function's line table lacks where blocks of statements end: of `rows`, those that it has, the ones of the text's file
/// are looked at.
///
/// Where text, rows and code do not fit together, there are none.
pub(crate) fn missing_rows(rows: &[GuestRow], text: Text<'_>, code: Code<'_>) -> Vec<MissingRow> {
    let Text { file, lines, tokens, forms } = text;
    let token = |row: &GuestRow| tokens.at(place(row)?);
    let mut own = rows.iter().filter(|row| row.file == file && row.line != 0);
    let Some(opening) = own.clone().next() else { return Vec::new() };
    if !own.all(|row| row.column == 0 || token(row).is_some()) {
        return Vec::new();
    }
    let mut with_rows: Vec<usize> = rows.iter().filter(|row| row.file == file).filter_map(token).collect();
    with_rows.sort_unstable();
    with_rows.dedup();
    let budget = Cell::new(MAX_BYTES);
    let words = Words { lines, forms, rows: Some(&with_rows), depth: 0, budget: &budget };
    // The opening row has no column.
    let opening = Place { line: opening.line, column: opening.column };
    let mut bodies: BTreeMap<usize, Option<Statements<'_>>> = BTreeMap::new();
    let mut found: Vec<MissingRow> = Vec::new();
    let mut find = |joins: &[Joins]| {
        let Some(here) = joins.last() else { return };
        let (first, ends) = with_jumps(rows, joins);
        let last_end = here.ends.last().map_or(here.begin.0.saturating_sub(1), |end| end.offset.0);
        let before = covering(rows, first.before.0).map(|at| &rows[at]);
        let next = rows.partition_point(|row| row.offset <= last_end);
        let after = rows.get(next).filter(|row| row.offset <= here.after.0);
        let after = after.or_else(|| rows.get(next.checked_sub(1)?).filter(|row| row.line == 0));
        let token = |row: &GuestRow| Some(row).filter(|row| row.file == file).and_then(token);
        let (Some(before), Some(after)) = (before, after) else { return };
        let after_offset = after.offset;
        let after = match token(after) {
            None if after.line != 0 => return,
            after => after,
        };
        // Code without a line may be what a value is put together with.
        let resumed =
            rows[next..].iter().take(MAX_JUMPS).find(|row| row.line != 0).filter(|_| after.is_none()).and_then(token);
        // The function's opening row has no column.
        let is_opening = before.column == 0 && before.offset == rows[0].offset && before.file == file;
        let Some(inside) = token(before).or(after.filter(|_| is_opening)) else { return };
        let Some(begin) = body_around(tokens, inside, opening) else { return };
        let statements = bodies.entry(begin).or_insert_with(|| Statements::read(tokens, begin, words));
        let Some(statements) = statements else { return };
        let mut walk = Walk {
            statements,
            ends: &ends,
            after,
            resumed,
            found: Vec::new(),
            line: before.line,
            calls: first.ends_with_call,
            budget: LONGEST_WAY,
        };
        let arrives = match token(before) {
            Some(before) => walk.leads_on(before),
            None => walk.opens(),
        };
        if arrives.is_none() {
            return;
        }
        let jumps = std::mem::take(&mut walk.found);
        let takes = |end: usize| jumps.iter().any(|jump| jump.0 == Some(end));
        let mut added: Vec<MissingRow> = Vec::new();
        // Where control is before what comes next.
        let mut here = WasmOffset(after_offset);
        let mut last = None;
        for &(end, place, inner) in &jumps {
            let spot = if end.is_some() { Spot::BehindEnd } else { Spot::Before };
            let mut row = jump_row(end.map_or(first.begin, |end| ends[end].offset()).0, file, place, spot);
            let next = end.map_or(0, |end| end + 1);
            // There is room for one at one place, and for others before the next one, or before operators without code of what comes next.
            let is_taken = last.replace(end) == Some(end);
            if is_taken && next > 0 && ends.get(next).is_some() && !takes(next) {
                (row.offset, row.spot) = (ends[next].offset().0, Spot::Before);
                last = Some(Some(next));
            } else if is_taken || (ends.is_empty() && row.offset == after_offset) {
                let has_room = next == ends.len() && after_offset > last_end;
                let Some(behind) = (code.behind_silent)(here).filter(|_| has_room) else { continue };
                (row.offset, row.spot) = (here.0, Spot::Before);
                here = behind;
            }
            // What a loop begins with has code.
            let moved = (first.ends.is_empty() && row.offset != after_offset).then_some(first.after.0);
            added.push(MissingRow { row, before: first.before.0, inner, moved });
        }
        if here.0 > after_offset {
            added.iter_mut().filter(|it| it.row.offset == after_offset).for_each(|it| it.moved = Some(here.0));
        }
        found.append(&mut added);
    };
    for number in 0..code.joins.len() {
        find(&code.joins[..=number]);
    }
    // Where no block ends in wasm, one of the source may.
    for pair in rows.windows(2) {
        let &[GuestRow { offset: from, .. }, GuestRow { offset: to, .. }] = pair else { continue };
        let lies_between = |joins: &Joins| from < joins.begin.0 && joins.begin.0 <= to;
        let first = code.joins.partition_point(|joins| joins.begin.0 <= from);
        if from == to || pair.iter().any(|row| row.file != file) || place(&pair[0]) == place(&pair[1]) {
            continue;
        }
        if code.joins.get(first).is_some_and(lies_between) {
            continue;
        }
        find(&[Joins::between(WasmOffset(to))]);
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
    /// If it has no line: the token of the next row that has one.
    resumed: Option<usize>,
    /// Jumps on the way that natively are alone in their basic block: behind which end, if not before all, the place they have, and the
    /// lines of the statement before in the block that they end.
    found: Vec<(Option<usize>, Place, (u32, u32))>,
    /// The line of the code before.
    line: u32,
    /// The code before ends with a call that gives nothing back.
    calls: bool,
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
    /// Behind a `break`: where control is behind what it leaves if nothing else leaves that.
    left: Option<Here>,
}

impl Walk<'_> {
    /// Follows the way from where the function begins.
    fn opens(&mut self) -> Option<()> {
        let root = self.statements.root();
        let Shape::Compound(children) = self.statements.shape(root) else { return None };
        let place = self.statements.end(root);
        self.siblings(&[root], children, At { here: Here::Code, passed: 0, place, inner: (0, 0), left: None })
    }

    /// Follows the way from the token of the last row before.
    fn leads_on(&mut self, before: usize) -> Option<()> {
        let path = self.statements.around(before);
        let number = *path.last()?;
        let tokens = self.statements.tokens_of(number);
        let place = self.statements.tokens.place(*tokens.start());
        let at = At { here: Here::Code, passed: 0, place, inner: (0, 0), left: None };
        match self.statements.shape(number) {
            // Where the next row is one of it too, it goes on.
            Shape::Simple | Shape::Choice(_) | Shape::Once { .. }
                if self.comes_in(&tokens) || self.resumed.is_some_and(|it| tokens.contains(&it)) =>
            {
                None
            }
            Shape::Simple => self.behind(&path, at),
            Shape::Choice(choice) => {
                // A value is code.
                let is_void = !choice.has_value.unwrap_or(!self.calls);
                let joined = (0..choice.joins).try_fold(at, |at, _| self.pass(at));
                let joined = joined.map(|joined| if is_void { joined } else { At { here: Here::Code, ..joined } });
                self.either(joined, Some(at), |walk, at| walk.behind(&path, at))
            }
            Shape::Once { joins, .. } => {
                let at = At { here: Here::Begin, ..at };
                let found = self.found.len();
                // How many are there if that is not known shows in where they lead.
                let mut joined = Some(at);
                for passed in 0..=joins.unwrap_or(self.ends.len()) {
                    if joins.is_none_or(|joins| joins == passed) {
                        self.found.truncate(found);
                        if self.behind(&path, joined?).is_some() {
                            return Some(());
                        }
                    }
                    joined = self.pass(joined?);
                }
                None
            }
            Shape::Jump | Shape::Return => self.behind(&path, At { here: Here::Nowhere, ..at }),
            // The branch back to the begin of a loop is there, too, where its condition comes last.
            Shape::Compound(_) if before == *tokens.end() => {
                match path.iter().nth_back(1).map(|it| self.statements.shape(*it)) {
                    Some(Shape::Do { condition, body, .. }) if self.pass_loop(0).is_some() => {
                        self.behind_do(&path[..path.len() - 1], condition, *body, at)
                    }
                    _ => self.behind(&path, At { place: self.statements.end(number), ..at }),
                }
            }
            // Behind a condition comes what it is for.
            Shape::If { condition, then, .. } if condition.contains(&before) && !self.comes_in(condition) => {
                self.enter(&path, *then, at)
            }
            Shape::Loop { header, next, body, .. }
                if self.ends.is_empty() && !self.statements.tokens_of(*body).contains(&before) =>
            {
                // What is in the header follows the condition only where the body is empty.
                let next = next.as_ref().filter(|next| *next != header);
                let is_next = || next.is_some_and(|next| self.comes_in(next) && !next.contains(&before));
                if self.comes_in(header) && !is_next() {
                    return None;
                }
                self.enter(&path, *body, at)
            }
            Shape::Loop { is_for, body, .. } if !self.statements.tokens_of(*body).contains(&before) => {
                let place = if *is_for { self.statements.end(number) } else { place };
                let at = At { here: Here::Nowhere, place, ..at };
                let is_left = self.statements.goes_on(number);
                let at = match self.pass_loop(0) {
                    Some(passed) if is_left => self.pass(At { passed, ..at })?,
                    Some(passed) => At { passed, ..at },
                    // Where the condition has several parts, what it leads to when it does not hold is a block within the loop.
                    None => {
                        let passed = self.pass_loop(1).filter(|_| is_left)?;
                        At { here: Here::Join(1), passed, ..at }
                    }
                };
                self.behind(&path, at)
            }
            Shape::Do { condition, body, .. } if condition.contains(&before) => {
                self.behind_do(&path, condition, *body, at)
            }
            Shape::Switch { header, body } if header.contains(&before) || before == *tokens.start() => {
                let Shape::Compound(children) = self.statements.shape(*body) else { return None };
                let path = [&path[..], &[*body]].concat();
                self.siblings(&path, children, At { here: Here::Nowhere, ..at })
            }
            _ => None,
        }
    }

    /// Goes on behind the loop with its condition last that ends `path`.
    fn behind_do(&mut self, path: &[usize], condition: &RangeInclusive<usize>, body: usize, at: At) -> Option<()> {
        let place = self.statements.tokens.place(*condition.start());
        let at = At { here: Here::Join(0), passed: self.pass_loop(0)?, place, ..at };
        let (one, other) = self.rather(self.statements.may_break(body), self.pass(at), Some(at));
        self.either(one, other, |walk, at| walk.behind(path, at))
    }

    /// The two ways in the order in which they are tried.
    fn rather(&self, first: bool, one: Option<At>, other: Option<At>) -> (Option<At>, Option<At>) {
        if first { (one, other) } else { (other, one) }
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
        is_end.then_some(At { here: Here::Join(block), passed: block + 1, left: None, ..at })
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
            Here::Begin => at.passed.checked_sub(1),
            Here::Code | Here::Nowhere => return,
        };
        // What is on the line of the code before goes on with that.
        let before = self.found.last().map_or(self.line, |last| last.1.line);
        if before != at.place.line {
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
                match statements.shape(*otherwise) {
                    Shape::Compound(children) => self.siblings(&[outer, &[*otherwise]].concat(), children, at),
                    _ => self.comes_in(&statements.tokens_of(*otherwise)).then(|| self.arrives(at))?,
                }
            }
            // The object that is declared there is destroyed.
            Shape::If { condition, .. } if self.comes_in(condition) => {
                self.jump(at);
                let at = self.pass(at)?;
                self.arrives(at)
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
                // Behind a branch that does not go on, none but the other one leads there.
                let joined = self.pass(at).filter(|_| joins);
                let (one, other) = self.rather(statements.goes_on(*then), joined, Some(at));
                self.either(one, other, |walk, at| walk.behind(outer, At { place, ..at }))
            }
            Shape::Loop { next: Some(next), header, .. } if self.comes_in(next) => {
                // Where it goes over a range, clang has the jump at the loop, and what comes next goes on with that line.
                let is_range = next == header;
                let begin = statements.tokens.place(*statements.tokens_of(parent).start());
                self.jump(At { place: if is_range { begin } else { at.place }, ..at });
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
                let left = at.left.map(|here| At { here, left: None, ..at });
                let (one, other) = self.rather(!statements.has_one_way_out(parent), self.pass(at), left);
                self.either(one, other, |walk, at| walk.behind(outer, At { place, ..at }))
            }
            Shape::Do { repeats: false, body, .. } => {
                self.jump(at);
                let onward = match at.here {
                    Here::Nowhere => at.left.map(|here| At { here, left: None, ..at }),
                    Here::Code => Some(At { here: Here::Begin, ..at }),
                    Here::Begin | Here::Join(_) => Some(at),
                };
                let (one, other) = self.rather(statements.may_break(*body), self.pass(at), onward);
                self.either(one, other, |walk, at| walk.behind(outer, at))
            }
            Shape::Do { condition, .. } if self.after.is_none() || self.comes_in(condition) => {
                self.jump(at);
                self.either(self.pass(at), Some(at), |walk, at| walk.arrives(at))
            }
            Shape::Switch { .. } => {
                self.jump(at);
                let onward = match at.here {
                    Here::Nowhere => at.left.map(|here| At { here, left: None, ..at }),
                    // What comes behind it begins a block also where nothing but its last case leads there.
                    Here::Code => Some(At { here: Here::Begin, ..at }),
                    Here::Begin | Here::Join(_) => Some(at),
                };
                let (one, other) = self.rather(!statements.has_one_way_out(parent), self.pass(at), onward);
                self.either(one, other, |walk, at| walk.behind(outer, at))
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
            let begin = statements.tokens.place(*tokens.start());
            match statements.shape(sibling) {
                // The way leads out through what destroys the objects of a block around, without a jump where it is the only one.
                Shape::Jump if self.is_destroyed(path) && self.arrives(at).is_some() => return Some(()),
                Shape::Jump | Shape::Return if self.is_jump(sibling) => {
                    at = At { place: begin, inner: (0, 0), ..at };
                    at.left = match at.here {
                        _ if !statements.begins_with(sibling, Kind::Break) => None,
                        Here::Code => Some(Here::Begin),
                        Here::Nowhere => None,
                        here => Some(here),
                    };
                    match self.pass_jump(at) {
                        Some(behind) => at = behind,
                        None => self.jump(at),
                    }
                    at.here = Here::Nowhere;
                    if path.len() == 1 && statements.begins_with(sibling, Kind::Return) {
                        // Other ones lead to the function's end, too.
                        return self.either(self.pass(at), Some(at), |walk, at| walk.siblings(path, &[], at));
                    }
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
                Shape::Nothing => {}
                Shape::Once { is_empty: true, .. } if at.here != Here::Nowhere => {
                    at = self.do_nothing(At { place: begin, inner: (0, 0), ..at }, begin);
                }
                Shape::Do { repeats: false, body, .. } if at.here != Here::Nowhere && statements.is_empty(*body) => {
                    at = self.do_nothing(At { place: begin, inner: (0, 0), ..at }, statements.end(*body));
                }
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

    /// Passes a `do { } while (0)`, at whose begin control is and whose block ends at `end`.
    fn do_nothing(&mut self, at: At, end: Place) -> At {
        self.jump(at);
        let here = if at.here == Here::Code { Here::Begin } else { at.here };
        let at = At { here, place: end, ..at };
        self.jump(at);
        at
    }

    /// Is what comes next at the brace of a block of `path`, but for the function's own?
    fn is_destroyed(&self, path: &[usize]) -> bool {
        let is_end = |number: &usize| {
            matches!(self.statements.shape(*number), Shape::Compound(_))
                && self.after == Some(*self.statements.tokens_of(*number).end())
        };
        path.iter().skip(1).any(is_end)
    }

    /// Has this statement no code but a jump? A result that was made in its place has none.
    fn is_jump(&self, number: usize) -> bool {
        let tokens = self.statements.tokens_of(number);
        match self.statements.shape(number) {
            Shape::Jump => true,
            Shape::Return => tokens.clone().count() == 3 && self.statements.has_row(&tokens) == Some(false),
            _ => false,
        }
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
        lines_of(text, found_rows(text, rows, joins, false))
    }

    /// The same where statements begin with operators that make no code, between which other rows fit.
    fn found_between(text: &str, rows: &[(u32, &str)], joins: &[(u32, &[u32], u32)]) -> Vec<(u32, String)> {
        lines_of(text, found_rows(text, rows, joins, true))
    }

    fn lines_of(text: &str, found: Vec<GuestRow>) -> Vec<(u32, String)> {
        let line = |row: &GuestRow| text.lines().nth(row.line as usize - 1).unwrap().trim().to_owned();
        found.iter().map(|row| (row.offset, line(row))).collect()
    }

    fn found_rows(text: &str, rows: &[(u32, &str)], joins: &[(u32, &[u32], u32)], has_room: bool) -> Vec<GuestRow> {
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
                ends_with_call: true,
                joined: WasmOffset(0),
                after: WasmOffset(*after),
            })
            .collect();
        let executed: Vec<u32> = rows.iter().map(|row| row.line).collect();
        let lines = Lines::new(text.as_bytes()).unwrap();
        let last = executed.iter().max().unwrap() + 1;
        let tokens = Tokens::read(&lines, 1..last, u32::MAX, &executed).unwrap();
        let mut forms = Forms::default();
        forms.add(&lines);
        let text = Text { file: 1, lines: &lines, tokens: &tokens, forms: &forms };
        let behind_silent = |offset: WasmOffset| has_room.then_some(WasmOffset(offset.0 + 1));
        let code = Code { joins: &joins, behind_silent: &behind_silent };
        missing_rows(&rows, text, code).into_iter().map(|missing| missing.row).collect()
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
        assert_eq!(spots(found_rows(text, &rows, &[(32, &[34], 40)], false)), [Spot::Before]);
        assert_eq!(spots(found_rows(LOOP, &LOOP_ROWS, &[(30, &[34], 40)], false)), [Spot::BehindEnd]);
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
    fn a_loop_with_two_conditions_is_left_within_it() {
        let text = "void f(int n) {
            if (n) {
                while (one(n) && n > 1)
                    n--;
            } // of the condition
            last();
        }";
        let rows =
            [(10, "n) {\n                while"), (20, "one"), (30, "n > 1"), (40, "n--"), (44, "while"), (60, "last")];
        assert_eq!(found(text, &rows, &[(44, &[46, 47, 48], 60)]), one(47, "} // of the condition"));
        assert_eq!(found(text, &rows, &[(44, &[46, 48], 60)]), [], "no loop ends");
        assert_eq!(found(text, &rows, &[(44, &[46, 48, 49], 60)]), [], "the condition's block does");
    }

    #[test]
    fn behind_a_branch_that_leaves_no_block_ends() {
        let text = "void f(int n) {
            for (int i = 0; i < n; i++) {
                if (i % 2)
                    continue;
                else if (i % 3)
                    one(i);
            } // of the loop
            last();
        }";
        let rows =
            [(10, "i = 0"), (20, "i % 2"), (24, "continue"), (26, "i % 3"), (30, "one(i)"), (40, "i++"), (50, "last")];
        // The second one is where `continue` leads.
        assert_eq!(found(text, &rows, &[(30, &[34, 36], 40)]), one(34, "} // of the loop"));
        let both = text.replace("continue;", "one(n);");
        assert_eq!(found(&both, &rows[..2], &[(30, &[34, 36], 40)]), [], "nothing comes next");
        let rows = [&rows[..2], &rows[3..]].concat();
        assert_eq!(found(&both, &rows, &[(30, &[34, 36], 40)]), one(36, "} // of the loop"));
    }

    #[test]
    fn a_loop_over_a_range_goes_on_within_its_line() {
        let text = "void f(V v) {
            for (int i : v) { // head
                if (i % 2)
                    continue;
                one(i);
                if (i)
                    one(0);
            }
        }";
        let rows =
            [(10, "v) { //"), (20, "i % 2"), (30, "one(i)"), (34, "i)\n                    one"), (36, "one(0)")];
        let rows = [&rows[..], &[(50, ": v")]].concat();
        assert_eq!(found(text, &rows, &[(36, &[40, 42], 50)]), one(40, "for (int i : v) { // head"));
        assert_eq!(found(text, &rows, &[(36, &[40], 50)]), one(40, "for (int i : v) { // head"));
    }

    #[test]
    fn a_way_through_a_destructor_has_no_jump() {
        let text = "void f(int n) {
            switch (n) {
            case 1: {
                D d;
                if (n)
                    one();
                break; // out
            } // of the case
            default:
                break;
            }
        } // of all";
        let rows = [(10, "n) {\n            case"), (20, "d;"), (22, "n)\n                    one"), (30, "one")];
        let destroyed = [&rows[..], &[(40, "} // of the case")]].concat();
        assert_eq!(found(text, &destroyed, &[(30, &[34], 40)]), []);
        let without = [&rows[..], &[(40, "} // of all")]].concat();
        let jumps = [(34, "break; // out".to_owned()), (36, "break;".to_owned())];
        assert_eq!(found(text, &without, &[(30, &[34, 36, 38], 40)]), jumps);
    }

    #[test]
    fn a_return_behind_a_loop_has_a_jump() {
        let text = "void f(int n) {
            if (n < 0)
                return;
            while (n)
                n--;
            return; // last
        } // of all";
        let rows = [(10, "n < 0"), (14, "return;"), (20, "n)\n"), (24, "n--"), (28, "while"), (40, "} // of all")];
        assert_eq!(found(text, &rows, &[(28, &[31, 32, 34], 40)]), one(32, "return; // last"));
        let result = text.replace("return; // last", "return r; // last");
        assert_eq!(
            found(&result, &rows, &[(28, &[31, 32, 34], 40)]),
            one(32, "return r; // last"),
            "it is in its place"
        );
        let value = text.replace("return; // last", "return r + 1; // last");
        assert_eq!(found(&value, &rows, &[(28, &[31, 32, 34], 40)]), []);
    }

    #[test]
    fn an_endless_loop_may_be_left_in_one_place() {
        let text = "void f(int n) {
            if (n) {
                for (;;) {
                    n++;
                    if (one(n)) {
                        n--;
                        continue;
                    }
                    break; // out
                }
            } // of the condition
            last();
        }";
        let rows =
            [(10, "n) {\n                for"), (20, "n++"), (24, "one"), (26, "n--"), (30, "continue"), (50, "last")];
        assert_eq!(
            found(text, &rows, &[(30, &[34, 35, 36], 50)]),
            [(34, "break; // out".to_owned()), (35, "} // of the condition".to_owned())]
        );
        let twice = text.replace("n--;", "if (n) break; n--;");
        let rows = [&rows[..3], &[(25, "n) break"), (26, "n--")], &rows[4..]].concat();
        assert_eq!(
            found(&twice, &rows, &[(30, &[34, 36, 38], 50)]),
            [(34, "break; // out".to_owned()), (36, "} // of the condition".to_owned())]
        );
    }

    #[test]
    fn no_block_ends_behind_a_loop_that_is_left_by_its_condition() {
        let text = "void f(int n) {
            if (n) {
                switch (n) {
                case 1:
                    one();
                    break;
                default:
                    do {
                        n++;
                    } while (n % 2);
                } // of the switch
            } // of the condition
            last();
        }";
        let rows =
            [(10, "n) {\n                switch"), (12, "n) {\n                case"), (20, "one"), (24, "break")];
        let rows = [&rows[..], &[(30, "n++"), (34, "n % 2"), (36, "} while"), (50, "last")]].concat();
        assert_eq!(
            found(text, &rows, &[(38, &[39, 40, 42], 50)]),
            [(39, "} // of the switch".to_owned()), (40, "} // of the condition".to_owned())]
        );
    }

    #[test]
    fn a_choice_without_a_value_ends_a_block() {
        let text = "void f(int n) {
            for (int i = 0; i < n; i++) {
                i > 2 ? one() : two();
            } // of the loop
        }";
        let rows = [(10, "i = 0"), (20, "i > 2"), (24, "one"), (28, "two"), (40, "i++")];
        assert_eq!(found(text, &rows, &[(28, &[32], 40)]), one(32, "} // of the loop"));
        let value = text.replace("? one() : two()", "&& one() && two()");
        assert_eq!(found(&value, &rows, &[(28, &[32], 40)]), [], "the value is code");
        assert_eq!(found(&text.replace("i > 2 ?", "a = i > 2 ?"), &rows, &[(28, &[32], 40)]), [], "it is assigned");
        let checked = format!(
            "#define CHECK(c) ((c) ? (void)0 : die(#c))\n{}",
            text.replace("i > 2 ? one() : two()", "CHECK(i > 2)")
        );
        let rows = [(10, "i = 0"), (20, "CHECK(i"), (40, "i++")];
        assert_eq!(found(&checked, &rows, &[(28, &[30], 40)]), one(30, "} // of the loop"));
        let other = checked.replace("(void)0 : die(#c)", "die(#c) : (void)0");
        assert_eq!(found(&other, &rows, &[(28, &[30, 32], 40)]), one(32, "} // of the loop"), "that is a block, too");
    }

    #[test]
    fn a_block_that_is_executed_once_ends_behind_it() {
        let text = "void f(int n) {
            for (int i = 0; i < n; i++) {
                do {
                    one(i);
                } while (0);
            } // of the loop
            if (n) {
                do { // once
                    if (n > 1)
                        two();
                } while (0);
            } // of the condition
            last();
        }";
        let rows =
            [(10, "i = 0"), (20, "one"), (30, "i++"), (40, "n) {\n                do"), (42, "n > 1"), (46, "two")];
        let rows = [&rows[..], &[(60, "last")]].concat();
        let brace = (30, "} // of the loop".to_owned());
        let once = (42, "do { // once".to_owned());
        let first = (20, "do {".to_owned());
        assert_eq!(found(text, &rows, &[]), [], "there is no room");
        assert_eq!(
            found_between(text, &rows, &[]),
            [first.clone(), brace.clone(), once.clone()],
            "no block ends in wasm"
        );
        let behind = [(50, "} while (0);".to_owned()), (52, "} // of the condition".to_owned())];
        assert_eq!(found(text, &rows, &[(46, &[50, 52], 60)]), behind);
        let all = [&behind[..], &[first.clone(), brace, once.clone()]].concat();
        assert_eq!(found_between(text, &rows, &[(46, &[50, 52], 60)]), all);
        let again = text.replace("while (0)", "while (n)");
        assert_eq!(found_between(&again, &rows, &[]), [first, once]);
    }

    #[test]
    fn macros_that_are_blocks_are_known() {
        let text = "#define NOTHING(x) do {} while (0)
            #define CHECK(c) do { if (!(c)) die(); } while (0)
            #define BOTH(c) do { one(); CHECK(c); } while (0)
            #define EACH(i, n) for (int i = 0; i < (n); i++)
            #define QUIET(x) ((void)0)
        void f(int n) {
            NOTHING(1);
            if (n) {
                BOTH(n);
            } // of the condition
            if (n > 1) {
                QUIET(n);
            } // that is empty
            EACH(i, n) { // head
                if (i)
                    one();
            } // of the loop
            last();
        }";
        let rows =
            [(10, "n) {\n                BOTH"), (20, "BOTH(n)"), (40, "n > 1"), (50, "EACH(i, n) {"), (60, "i)\n")];
        let rows =
            [&rows[..], &[(64, "one();\n            } // of the loop"), (70, "EACH(i, n) {"), (90, "last")]].concat();
        let joins: [(u32, &[u32], u32); 4] =
            [(20, &[30, 32], 40), (42, &[44], 50), (64, &[66], 70), (74, &[75, 76], 90)];
        let expected =
            [(30, "} // of the condition"), (44, "} // that is empty"), (66, "} // of the loop"), (10, "NOTHING(1);")];
        let expected = expected.map(|(at, line)| (at, line.to_owned()));
        assert_eq!(found_between(text, &rows, &joins), expected);
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
