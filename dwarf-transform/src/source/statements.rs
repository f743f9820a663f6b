//! The statements of a function, as its text has them.
//!
//! Macros are not expanded: one that stands for a statement is a simple statement, also without a semicolon, and one with
//! a block behind it is a statement of unknown kind.

use super::Place;
use super::tokens::{Kind, Tokens};
use std::ops::RangeInclusive;

/// How deep statements may be nested.
const MAX_DEPTH: u32 = 200;

/// What a statement is. Statements are numbered ([`Statements::shape`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// An expression, a declaration, nothing.
    Simple,
    /// `break`, `continue`, `goto`, and `return` without a value.
    Jump,
    /// `return` with a value.
    Return,
    /// A label or several; the statement that they are for comes next.
    Labels,
    Compound(Vec<usize>),
    If {
        condition: RangeInclusive<usize>,
        then: usize,
        otherwise: Option<usize>,
    },
    /// A loop with its condition before the body, if it has one. Of a `for` with something to do after each round, that is `next`, as
    /// tokens.
    Loop {
        header: RangeInclusive<usize>,
        next: Option<RangeInclusive<usize>>,
        is_for: bool,
        has_condition: bool,
        body: usize,
    },
    Do {
        body: usize,
        condition: RangeInclusive<usize>,
    },
    Switch {
        header: RangeInclusive<usize>,
        body: usize,
    },
    /// What a macro makes of a block is not known.
    Unknown(usize),
}

#[derive(Debug)]
struct Statement {
    shape: Shape,
    tokens: RangeInclusive<usize>,
    goes_on: bool,
    may_break: bool,
}

/// The statements of one function.
pub(super) struct Statements<'t> {
    pub(super) tokens: &'t Tokens,
    all: Vec<Statement>,
    /// Of the function's body, the last of all.
    root: usize,
}

impl<'t> Statements<'t> {
    /// The statements of the function whose body begins with the brace at token `begin`. `None` where the text is not understood.
    pub(super) fn read(tokens: &'t Tokens, begin: usize) -> Option<Statements<'t>> {
        let mut statements = Statements { tokens, all: Vec::new(), root: 0 };
        statements.root = statements.compound(begin, 0)?;
        Some(statements)
    }

    pub(super) fn shape(&self, number: usize) -> &Shape {
        &self.all[number].shape
    }

    /// The tokens of a statement.
    pub(super) fn tokens_of(&self, number: usize) -> RangeInclusive<usize> {
        self.all[number].tokens.clone()
    }

    /// The first and the last line of a statement.
    pub(super) fn lines(&self, number: usize) -> (u32, u32) {
        let tokens = self.tokens_of(number);
        (self.tokens.place(*tokens.start()).line, self.tokens.place(*tokens.end()).line)
    }

    /// Where a statement's last token begins.
    pub(super) fn end(&self, number: usize) -> Place {
        self.tokens.place(*self.all[number].tokens.end())
    }

    /// The statements around a token, the outermost first.
    pub(super) fn around(&self, token: usize) -> Vec<usize> {
        let mut path = Vec::new();
        let mut next = Some(self.root).filter(|root| self.all[*root].tokens.contains(&token));
        while let Some(number) = next {
            path.push(number);
            let has = |child: &&usize| self.all[**child].tokens.contains(&token);
            next = match &self.all[number].shape {
                Shape::Simple | Shape::Jump | Shape::Return | Shape::Labels => None,
                Shape::Compound(children) => {
                    let at = children.partition_point(|child| *self.all[*child].tokens.end() < token);
                    children.get(at).filter(has).copied()
                }
                Shape::If { then, otherwise, .. } => {
                    [Some(then), otherwise.as_ref()].into_iter().flatten().find(has).copied()
                }
                Shape::Loop { body, .. }
                | Shape::Do { body, .. }
                | Shape::Switch { body, .. }
                | Shape::Unknown(body) => Some(body).filter(has).copied(),
            };
        }
        path
    }

    /// Can what comes behind a statement be reached from its end? (Calls may not return; that is not known.)
    pub(super) fn goes_on(&self, number: usize) -> bool {
        self.all[number].goes_on
    }

    fn may_break(&self, number: usize) -> bool {
        self.all[number].may_break
    }

    /// [`Statements::goes_on`], of one whose parts are known.
    fn find_goes_on(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Jump | Shape::Return => false,
            Shape::Compound(children) => children.last().is_none_or(|last| self.goes_on(*last)),
            Shape::If { then, otherwise: Some(otherwise), .. } => self.goes_on(*then) || self.goes_on(*otherwise),
            Shape::Switch { body, .. } => self.goes_on_behind_switch(*body),
            Shape::Loop { has_condition: false, body, .. } => self.may_break(*body),
            _ => true,
        }
    }

    /// The same of a `switch` with this body: from its last statement, by a `break`, or where no case fits.
    fn goes_on_behind_switch(&self, body: usize) -> bool {
        let Shape::Compound(children) = self.shape(body) else { return true };
        let is_default = |child: &usize| self.begins_with(*child, Kind::Default);
        !children.iter().any(is_default)
            || children.last().is_none_or(|last| self.goes_on(*last))
            || children.iter().any(|child| self.may_break(*child))
    }

    /// Is there a `break` in a statement of these tokens that leaves what is around it? It may be in a macro.
    fn find_may_break(&self, shape: &Shape, tokens: &RangeInclusive<usize>) -> bool {
        match shape {
            Shape::Jump => self.tokens.kind(*tokens.start()) == Some(Kind::Break),
            Shape::Simple => !self.tokens.is(*tokens.end(), b';'),
            Shape::Compound(children) => children.iter().any(|child| self.may_break(*child)),
            Shape::If { then, otherwise, .. } => {
                self.may_break(*then) || otherwise.is_some_and(|otherwise| self.may_break(otherwise))
            }
            Shape::Unknown(_) => true,
            Shape::Return | Shape::Labels | Shape::Loop { .. } | Shape::Do { .. } | Shape::Switch { .. } => false,
        }
    }

    /// Is a statement's first token of this kind?
    pub(super) fn begins_with(&self, number: usize, kind: Kind) -> bool {
        self.tokens.kind(*self.tokens_of(number).start()) == Some(kind)
    }

    fn add(&mut self, shape: Shape, tokens: RangeInclusive<usize>) -> usize {
        let goes_on = self.find_goes_on(&shape);
        let may_break = self.find_may_break(&shape, &tokens);
        self.all.push(Statement { shape, tokens, goes_on, may_break });
        self.all.len() - 1
    }

    /// The block that begins with the brace at `begin`.
    fn compound(&mut self, begin: usize, depth: u32) -> Option<usize> {
        let end = self.tokens.counterpart(begin)?;
        let mut children = Vec::new();
        let mut at = begin + 1;
        while at < end {
            let child = self.statement(at, end, depth + 1)?;
            at = self.all[child].tokens.end() + 1;
            children.push(child);
        }
        (at == end).then(|| self.add(Shape::Compound(children), begin..=end))
    }

    /// The statement at token `begin`, in a block that ends at `limit`.
    fn statement(&mut self, begin: usize, limit: usize, depth: u32) -> Option<usize> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut at = begin;
        // Attributes.
        while self.tokens.is(at, b'[') && self.tokens.is(at + 1, b'[') {
            at = self.tokens.counterpart(at)? + 1;
        }
        let shape = match self.tokens.kind(at)? {
            Kind::Punctuation(b'{') => return self.compound(at, depth),
            Kind::If => {
                // `if constexpr (`.
                let open = if self.tokens.is(at + 1, b'(') { at + 1 } else { at + 2 };
                let condition = self.parentheses(open)?;
                let then = self.statement(condition.end() + 1, limit, depth + 1)?;
                let behind = self.all[then].tokens.end() + 1;
                let otherwise = match self.tokens.kind(behind) {
                    Some(Kind::Else) if behind < limit => Some(self.statement(behind + 1, limit, depth + 1)?),
                    _ => None,
                };
                Shape::If { condition, then, otherwise }
            }
            kind @ (Kind::For | Kind::While) => {
                let header = self.parentheses(at + 1)?;
                let body = self.statement(header.end() + 1, limit, depth + 1)?;
                let is_for = kind == Kind::For;
                let next = if is_for { self.next_of_for(&header) } else { None };
                let has_condition = match is_for {
                    true => !header.clone().any(|at| self.tokens.is(at, b';') && self.tokens.is(at + 1, b';')),
                    // `while (1)`.
                    false => self.tokens.kind(header.start() + 1) != Some(Kind::Literal) || header.clone().count() > 3,
                };
                Shape::Loop { header, next, is_for, has_condition, body }
            }
            Kind::Do => {
                let body = self.statement(at + 1, limit, depth + 1)?;
                let behind = self.all[body].tokens.end() + 1;
                if self.tokens.kind(behind)? != Kind::While {
                    return None;
                }
                let condition = self.parentheses(behind + 1)?;
                let end = condition.end() + 1;
                let end = if self.tokens.is(end, b';') { end } else { *condition.end() };
                return Some(self.add(Shape::Do { body, condition }, begin..=end));
            }
            Kind::Switch => {
                let header = self.parentheses(at + 1)?;
                let body = self.statement(header.end() + 1, limit, depth + 1)?;
                Shape::Switch { header, body }
            }
            Kind::Case | Kind::Default => {
                let colon = self.colon(at, limit)?;
                return Some(self.add(Shape::Labels, begin..=colon));
            }
            Kind::Word if self.tokens.is(at + 1, b':') => return Some(self.add(Shape::Labels, begin..=at + 1)),
            Kind::Else => return None,
            kind => {
                if kind == Kind::Word && self.tokens.is(at + 1, b'(') {
                    let arguments = self.parentheses(at + 1)?;
                    if self.tokens.is(arguments.end() + 1, b'{') {
                        let body = self.compound(arguments.end() + 1, depth + 1)?;
                        let end = *self.all[body].tokens.end();
                        return Some(self.add(Shape::Unknown(body), begin..=end));
                    }
                }
                let end = self.end_of_simple(at, limit)?;
                let shape = match kind {
                    Kind::Break | Kind::Jump => Shape::Jump,
                    Kind::Return if end == at + 1 => Shape::Jump,
                    Kind::Return => Shape::Return,
                    _ => Shape::Simple,
                };
                return Some(self.add(shape, begin..=end));
            }
        };
        let end = match &shape {
            Shape::If { otherwise: Some(last), .. } | Shape::If { then: last, .. } => *last,
            Shape::Loop { body, .. } | Shape::Switch { body, .. } => *body,
            _ => return None,
        };
        let end = *self.all[end].tokens.end();
        Some(self.add(shape, begin..=end))
    }

    fn parentheses(&self, open: usize) -> Option<RangeInclusive<usize>> {
        let close = self.tokens.counterpart(open).filter(|close| self.tokens.is(open, b'(') && *close > open)?;
        Some(open..=close)
    }

    /// What stands between the second `;` of a `for` and its end, or the whole header where it goes over a range.
    fn next_of_for(&self, header: &RangeInclusive<usize>) -> Option<RangeInclusive<usize>> {
        let mut semicolons = Vec::new();
        let mut at = header.start() + 1;
        let mut colon = false;
        while at < *header.end() {
            match self.tokens.kind(at)? {
                Kind::Punctuation(b';') => semicolons.push(at),
                Kind::Punctuation(b':') => colon = true,
                Kind::Punctuation(b'(' | b'[' | b'{') => {
                    at = self.tokens.counterpart(at).filter(|other| *other > at)?
                }
                _ => {}
            }
            at += 1;
        }
        match semicolons[..] {
            [_, second] if second + 1 < *header.end() => Some(second + 1..=header.end() - 1),
            [] | [_] if colon => Some(header.clone()),
            _ => None,
        }
    }

    /// The colon of the `case` at `at`.
    fn colon(&self, mut at: usize, limit: usize) -> Option<usize> {
        let mut questions = 0;
        while at < limit {
            match self.tokens.kind(at)? {
                Kind::Punctuation(b'?') => questions += 1,
                Kind::Punctuation(b':') if questions == 0 => return Some(at),
                Kind::Punctuation(b':') => questions -= 1,
                Kind::Punctuation(b'(' | b'[' | b'{') => {
                    at = self.tokens.counterpart(at).filter(|other| *other > at)?
                }
                Kind::Punctuation(b';' | b'}') => return None,
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// The last token of a statement without statements in it: its `;`, or what comes before the next statement where a
    /// macro has none.
    fn end_of_simple(&self, begin: usize, limit: usize) -> Option<usize> {
        let mut at = begin;
        while at < limit {
            match self.tokens.kind(at)? {
                Kind::Punctuation(b';') => return Some(at),
                Kind::Punctuation(b'(' | b'[' | b'{') => {
                    at = self.tokens.counterpart(at).filter(|other| *other > at)?
                }
                // `= default`, `operator=(...) = default` are declarations.
                Kind::If | Kind::Else | Kind::For | Kind::While | Kind::Do | Kind::Switch if at > begin => {
                    return Some(at - 1);
                }
                Kind::Case | Kind::Break | Kind::Jump | Kind::Return if at > begin => return Some(at - 1),
                _ => {}
            }
            at += 1;
        }
        (at > begin).then(|| at - 1)
    }
}
