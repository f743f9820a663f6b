//! Lays the statements of a function over the ends of blocks in its code.

use super::Place;
use super::statements::{Shape, Statements};
use super::tokens::Tokens;
use crate::guest::{BlockEnd, Joins};
use crate::guest_lines::{GuestRow, covering};

/// The rows that a function's line table lacks where blocks end. `rows` are those that it has, sorted; `joins` are the places where
/// blocks end.
///
/// Where text, rows and code do not fit together, there are none.
pub(crate) fn missing_rows(rows: &[GuestRow], tokens: &Tokens, joins: &[Joins]) -> Vec<GuestRow> {
    let Some(statements) = statements_of(rows, tokens) else { return Vec::new() };
    let mut found: Vec<GuestRow> = Vec::new();
    for joins in joins {
        let Some(last) = joins.ends.last() else { continue };
        let before = covering(rows, joins.before.0).map(|at| &rows[at]);
        let after = rows.iter().find(|row| row.offset > last.offset.0).filter(|row| row.offset <= joins.after.0);
        let token = |row: &GuestRow| tokens.at(place(row)?);
        let (Some(before), Some(after)) = (before.and_then(token), after.and_then(token)) else { continue };
        let mut walk = Walk { statements: &statements, ends: &joins.ends, after, found: Vec::new(), budget: LONGEST_WAY };
        if walk.leads_on(before).is_none() {
            continue;
        }
        for (end, place) in walk.found {
            let offset = joins.ends[end].offset.0;
            // Compilers say of the `end` that it has no line.
            let has_line = rows.iter().any(|row| row.offset == offset && row.line != 0);
            if has_line {
                continue;
            }
            found.push(GuestRow {
                offset,
                file: rows[0].file,
                line: place.line,
                column: place.column,
                discriminator: 0,
                is_stmt: true,
                prologue_end: false,
                epilogue_begin: false,
                at_join: true,
            });
        }
    }
    found
}

fn place(row: &GuestRow) -> Option<Place> {
    (row.line != 0 && row.column != 0).then_some(Place { line: row.line, column: row.column })
}

/// The statements of the function with these rows, if the text is the one that it was made from.
fn statements_of<'t>(rows: &[GuestRow], tokens: &'t Tokens) -> Option<Statements<'t>> {
    let file = rows.first()?.file;
    let places: Vec<Place> = rows.iter().filter_map(place).collect();
    let fits = rows.iter().all(|row| row.file == file) && places.iter().all(|place| tokens.at(*place).is_some());
    if !fits {
        return None;
    }
    // The opening row has no column.
    let opening = rows.iter().filter(|row| row.line != 0).map(|row| Place { line: row.line, column: row.column });
    let (first, last) = (opening.min()?, *places.iter().max()?);
    // The body is the outermost block that begins behind the function's name.
    let mut end = None;
    let mut next = tokens.block_around(tokens.at(last)?);
    while let Some(begin) = next.filter(|begin| tokens.place(*begin) > first) {
        end = tokens.counterpart(begin);
        next = begin.checked_sub(1).and_then(|before| tokens.block_around(before));
    }
    Statements::read(tokens, end?)
}

/// Where control is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    /// Behind code of the same basic block.
    Code,
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
    ends: &'a [BlockEnd],
    /// The token of what comes next.
    after: usize,
    /// Jumps on the way that natively are alone in their basic block: at which end, and the place they have.
    found: Vec<(usize, Place)>,
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
}

impl Walk<'_> {
    /// Follows the way from the token of the last row before.
    fn leads_on(&mut self, before: usize) -> Option<()> {
        let path = self.statements.around(before);
        let number = *path.last()?;
        let tokens = self.statements.tokens_of(number);
        let place = self.statements.tokens.place(*tokens.start());
        let at = At { here: Here::Code, passed: 0, place };
        match self.statements.shape(number) {
            // Where the next row is one of it too, it goes on.
            Shape::Simple if tokens.contains(&self.after) => None,
            Shape::Simple => self.behind(&path, at),
            Shape::Jump => self.behind(&path, At { here: Here::Nowhere, ..at }),
            Shape::Compound(_) if before == *tokens.end() => {
                self.behind(&path, At { place: self.statements.end(number), ..at })
            }
            Shape::Loop { is_for, body, .. } if !self.statements.tokens_of(*body).contains(&before) => {
                let place = if *is_for { self.statements.end(number) } else { place };
                let at = self.pass(At { passed: self.pass_loop(0)?, place, ..at })?;
                self.behind(&path, at)
            }
            Shape::Do { condition, .. } if condition.contains(&before) => {
                let at = At { here: Here::Join(0), passed: self.pass_loop(0)?, place: self.statements.tokens.place(*condition.start()) };
                self.either(self.pass(at), Some(at), |walk, at| walk.behind(&path, at))
            }
            Shape::Switch { header, body } if header.contains(&before) || before == *tokens.start() => {
                let Shape::Compound(children) = self.statements.shape(*body) else { return None };
                let path = [&path[..], &[*body]].concat();
                self.siblings(&path, children, At { here: Here::Nowhere, ..at })
            }
            _ => None,
        }
    }

    /// Passes the end of a loop.
    fn pass_loop(&self, passed: usize) -> Option<usize> {
        self.ends.get(passed).filter(|end| end.is_loop).map(|_| passed + 1)
    }

    /// Passes the end of a block, where branches lead to.
    fn pass(&self, at: At) -> Option<At> {
        let is_block = self.ends.get(at.passed).is_some_and(|end| !end.is_loop);
        is_block.then_some(At { here: Here::Join(at.passed), passed: at.passed + 1, ..at })
    }

    /// The first of two ways that leads on.
    fn either(&mut self, one: Option<At>, other: Option<At>, mut go: impl FnMut(&mut Self, At) -> Option<()>) -> Option<()> {
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
        if let Here::Join(end) = at.here {
            self.found.push((end, at.place));
        }
    }

    /// Is that the end of the way, all ends being behind?
    fn arrives(&self, at: At) -> Option<()> {
        (at.passed == self.ends.len()).then_some(())
    }

    /// Goes on behind the last statement of `path`.
    fn behind(&mut self, path: &[usize], at: At) -> Option<()> {
        let (&number, outer) = path.split_last()?;
        let statements = self.statements;
        self.budget = self.budget.checked_sub(1)?;
        // Nothing comes behind the function's own block.
        let &parent = outer.last()?;
        let arrived = |token: usize| token == self.after;
        match statements.shape(parent) {
            Shape::Compound(children) => {
                let next = children.iter().position(|child| *child == number)? + 1;
                self.siblings(outer, &children[next..], at)
            }
            Shape::If { then, otherwise: Some(otherwise), .. } if number == *then => {
                // What is in the other branch comes next.
                let at = self.pass(at)?;
                statements.tokens_of(*otherwise).contains(&self.after).then(|| self.arrives(at))?
            }
            Shape::If { condition, otherwise, .. } => {
                let place = statements.tokens.place(condition.end() - 1);
                if otherwise.is_none() {
                    self.jump(at);
                    let at = self.pass(at)?;
                    return self.behind(outer, At { place, ..at });
                }
                self.either(self.pass(at), Some(at), |walk, at| walk.behind(outer, At { place, ..at }))
            }
            Shape::Loop { next: Some(next), .. } if next.contains(&self.after) => {
                self.jump(at);
                // `continue` leads there.
                self.either(self.pass(at), Some(at), |walk, at| walk.arrives(at))
            }
            Shape::Loop { header, next: None, .. }
                if header.contains(&self.after) || arrived(*statements.tokens_of(parent).start()) =>
            {
                self.arrives(at)
            }
            Shape::Do { condition, .. } if condition.contains(&self.after) => {
                self.jump(at);
                self.either(self.pass(at), Some(at), |walk, at| walk.arrives(at))
            }
            Shape::Switch { .. } => {
                self.jump(at);
                let at = self.pass(at)?;
                self.behind(outer, at)
            }
            _ => None,
        }
    }

    /// Goes on with these statements, the last ones of the block that ends `path`.
    fn siblings(&mut self, path: &[usize], siblings: &[usize], mut at: At) -> Option<()> {
        let statements = self.statements;
        for (position, &sibling) in siblings.iter().enumerate() {
            let tokens = statements.tokens_of(sibling);
            if tokens.contains(&self.after) {
                return self.arrives(at);
            }
            match statements.shape(sibling) {
                Shape::Jump => {
                    self.jump(At { place: statements.tokens.place(*tokens.start()), ..at });
                    at.here = Here::Nowhere;
                }
                Shape::Labels => {
                    // Several in a row are one.
                    let rest = &siblings[position + 1..];
                    let more = rest.iter().take_while(|next| *statements.shape(**next) == Shape::Labels).count();
                    let rest = &rest[more..];
                    let onward = (at.here != Here::Nowhere).then_some(at);
                    return self.either(self.pass(at), onward, |walk, at| walk.siblings(path, rest, at));
                }
                // A declaration without code.
                Shape::Simple => {}
                _ => return None,
            }
        }
        let block = *path.last()?;
        if *statements.tokens_of(block).end() == self.after {
            return self.arrives(at);
        }
        self.behind(path, At { place: statements.end(block), ..at })
    }
}
