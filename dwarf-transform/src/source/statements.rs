//! The statements of a function, as its text has them.
//!
//! Macros are not expanded, but what kind of statement one stands for is looked up ([`macros`](super::macros)). Where that is not known,
//! one that stands for a statement is a simple statement, also without a semicolon, and one with a block behind it is a statement of
//! unknown kind.

use super::Place;
use super::macros::{Form, Forms};
use super::tokens::{Kind, Lines, Tokens};
use std::cell::Cell;
use std::ops::RangeInclusive;

/// How deep statements may be nested.
const MAX_DEPTH: u32 = 200;

/// More than one.
const MANY: u32 = 2;

/// What a statement is. Statements are numbered ([`Statements::shape`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// An expression, a declaration, nothing.
    Simple,
    /// One for which there is no code, and which leaves the block that it is in empty.
    Nothing,
    /// An expression whose branches join at its end: `?:`, `&&` and `||`.
    Choice(Choice),
    /// A macro for `do { ... } while (0)`: how many blocks end with the last of its statements, if that is known, and whether it has none.
    Once {
        joins: Option<usize>,
        is_empty: bool,
    },
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
    /// `do ... while`; one `while (0)` goes on behind its end.
    Do {
        body: usize,
        condition: RangeInclusive<usize>,
        repeats: bool,
    },
    Switch {
        header: RangeInclusive<usize>,
        body: usize,
    },
    /// What a macro makes of a block is not known.
    Unknown(usize),
}

/// What is known of an expression whose branches join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// Has it a value? `None` where its text does not say so.
    pub(super) has_value: Option<bool>,
    /// How many blocks end with it: the last branch may have no code.
    pub(super) joins: usize,
}

#[derive(Debug)]
struct Statement {
    shape: Shape,
    tokens: RangeInclusive<usize>,
    goes_on: bool,
    breaks: u32,
}

/// What is known of the words of a text.
#[derive(Clone, Copy)]
pub(super) struct Words<'t> {
    pub(super) lines: &'t Lines<'t>,
    pub(super) forms: &'t Forms<'t>,
    /// The tokens that have rows: sorted. `None` where that is not known.
    pub(super) rows: Option<&'t [usize]>,
    /// How many macros stand for one another there.
    pub(super) depth: u32,
    /// How many bytes of macros may still be read.
    pub(super) budget: &'t Cell<usize>,
}

/// The statements of one function.
pub(super) struct Statements<'t> {
    pub(super) tokens: &'t Tokens,
    words: Words<'t>,
    all: Vec<Statement>,
    /// Of the function's body, the last of all.
    root: usize,
}

impl<'t> Statements<'t> {
    /// The statements of the function whose body begins with the brace at token `begin`. `None` where the text is not understood.
    pub(super) fn read(tokens: &'t Tokens, begin: usize, words: Words<'t>) -> Option<Statements<'t>> {
        let mut statements = Statements { tokens, words, all: Vec::new(), root: 0 };
        statements.root = statements.compound(begin, 0)?;
        Some(statements)
    }

    /// The statement that a macro with these tokens stands for. `None` where it is not one.
    pub(super) fn of_macro(tokens: &'t Tokens, words: Words<'t>) -> Option<Statements<'t>> {
        let mut statements = Statements { tokens, words, all: Vec::new(), root: 0 };
        statements.root = statements.statement(0, tokens.len(), 0)?;
        (statements.all[statements.root].tokens.end() + 1 == tokens.len()).then_some(statements)
    }

    /// Is it `do ... while (0)`, whatever stands between?
    pub(super) fn runs_once(tokens: &'t Tokens, words: Words<'t>) -> bool {
        let statements = Statements { tokens, words, all: Vec::new(), root: 0 };
        let Some(last) = tokens.len().checked_sub(4).filter(|last| *last > 0) else { return false };
        tokens.kind(0) == Some(Kind::Do)
            && tokens.kind(last) == Some(Kind::While)
            && tokens.is(last + 1, b'(')
            && statements.is_false(last + 2)
            && tokens.is(last + 3, b')')
    }

    /// The outermost statement.
    pub(super) fn root(&self) -> usize {
        self.root
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
                Shape::Simple
                | Shape::Nothing
                | Shape::Choice(_)
                | Shape::Once { .. }
                | Shape::Jump
                | Shape::Return
                | Shape::Labels => None,
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

    /// May a `break` in a statement leave what is around it?
    pub(super) fn may_break(&self, number: usize) -> bool {
        self.breaks(number) > 0
    }

    /// How many do; [`MANY`] where it is not known.
    fn breaks(&self, number: usize) -> u32 {
        self.all[number].breaks
    }

    /// Is one `break` the only way out of this loop or `switch`?
    pub(super) fn has_one_way_out(&self, number: usize) -> bool {
        match self.shape(number) {
            Shape::Loop { has_condition, body, .. } => !has_condition && self.breaks(*body) == 1,
            Shape::Switch { body, .. } => self.breaks(*body) == 1 && self.has_default(*body) && !self.goes_on(*body),
            _ => false,
        }
    }

    /// How many blocks end where control comes from the end of this statement, or `None` where that is not known.
    pub(super) fn joins_at_end(&self, number: usize) -> Option<usize> {
        let inner = |number: usize| if self.goes_on(number) { self.joins_at_end(number) } else { Some(0) };
        Some(match self.shape(number) {
            Shape::Simple | Shape::Nothing | Shape::Jump | Shape::Return | Shape::Labels => 0,
            Shape::Once { joins, .. } => (*joins)?,
            Shape::Compound(children) => children.last().map_or(Some(0), |last| inner(*last))?,
            Shape::If { then, otherwise: None, .. } => inner(*then)? + 1,
            Shape::If { then, otherwise: Some(otherwise), .. } => inner(*otherwise)? + usize::from(self.goes_on(*then)),
            Shape::Loop { .. } => 1,
            Shape::Do { body, repeats: true, .. } => usize::from(self.may_break(*body)),
            Shape::Do { body, .. } => inner(*body)? + usize::from(self.may_break(*body)),
            Shape::Choice(_) | Shape::Switch { .. } | Shape::Unknown(_) => return None,
        })
    }

    /// Is this a block in which nothing is done?
    pub(super) fn is_empty(&self, number: usize) -> bool {
        match self.shape(number) {
            Shape::Compound(children) => children.iter().all(|child| matches!(self.shape(*child), Shape::Nothing)),
            _ => false,
        }
    }

    /// Is there a row in these tokens? `None` where that is not known.
    pub(super) fn has_row(&self, tokens: &RangeInclusive<usize>) -> Option<bool> {
        let rows = self.words.rows?;
        Some(rows.get(rows.partition_point(|row| row < tokens.start())).is_some_and(|row| row <= tokens.end()))
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
        !self.has_default(body)
            || children.last().is_none_or(|last| self.goes_on(*last))
            || children.iter().any(|child| self.may_break(*child))
    }

    /// Has a `switch` with this body a case for what fits no other one?
    fn has_default(&self, body: usize) -> bool {
        let Shape::Compound(children) = self.shape(body) else { return false };
        children.iter().any(|child| self.begins_with(*child, Kind::Default))
    }

    /// How many `break`s in a statement of these tokens leave what is around it? They may be in a macro.
    fn find_breaks(&self, shape: &Shape, tokens: &RangeInclusive<usize>) -> u32 {
        match shape {
            Shape::Jump => u32::from(self.tokens.kind(*tokens.start()) == Some(Kind::Break)),
            Shape::Simple if !self.tokens.is(*tokens.end(), b';') => MANY,
            Shape::Compound(children) => {
                children.iter().fold(0, |breaks, child| breaks.saturating_add(self.breaks(*child)))
            }
            Shape::If { then, otherwise, .. } => {
                self.breaks(*then).saturating_add(otherwise.map_or(0, |otherwise| self.breaks(otherwise)))
            }
            Shape::Unknown(_) => MANY,
            _ => 0,
        }
    }

    /// Is a statement's first token of this kind?
    pub(super) fn begins_with(&self, number: usize, kind: Kind) -> bool {
        self.tokens.kind(*self.tokens_of(number).start()) == Some(kind)
    }

    fn add(&mut self, shape: Shape, tokens: RangeInclusive<usize>) -> usize {
        let goes_on = self.find_goes_on(&shape);
        let breaks = self.find_breaks(&shape, &tokens);
        self.all.push(Statement { shape, tokens, goes_on, breaks });
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
                let has_condition = self.has_condition(is_for, &header);
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
                let repeats = !(condition.clone().count() == 3 && self.is_false(condition.start() + 1));
                return Some(self.add(Shape::Do { body, condition, repeats }, begin..=end));
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
                let mut called = None;
                if kind == Kind::Word && self.tokens.is(at + 1, b'(') {
                    let arguments = self.parentheses(at + 1)?;
                    let behind = arguments.end() + 1;
                    called = self.form(at, true);
                    if let Some(Form::Loop { is_for, has_next, has_condition }) = called {
                        let body = self.statement(behind, limit, depth + 1)?;
                        let end = *self.all[body].tokens.end();
                        // All of its code is where the macro's name is.
                        let next = has_next.then_some(at..=at);
                        let shape = Shape::Loop { header: at..=*arguments.end(), next, is_for, has_condition, body };
                        return Some(self.add(shape, begin..=end));
                    }
                    if self.tokens.is(behind, b'{') {
                        let body = self.compound(behind, depth + 1)?;
                        let end = *self.all[body].tokens.end();
                        return Some(self.add(Shape::Unknown(body), begin..=end));
                    }
                }
                let end = self.end_of_simple(at, limit)?;
                let shape = match kind {
                    Kind::Break | Kind::Jump => Shape::Jump,
                    Kind::Return if end == at + 1 && self.tokens.is(end, b';') => Shape::Jump,
                    Kind::Return => Shape::Return,
                    _ => self.expression(at, end, called),
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

    /// What stands from `begin` to `end`, without statements in it. If it begins with a macro that is called, that stands for `called`.
    fn expression(&self, begin: usize, end: usize, called: Option<Form>) -> Shape {
        let last = if self.tokens.is(end, b';') { end.checked_sub(1) } else { Some(end) };
        let Some(last) = last.filter(|last| *last >= begin) else { return Shape::Simple };
        if self.tokens.kind(begin) == Some(Kind::Word) {
            let calls = self.tokens.is(begin + 1, b'(') && self.tokens.counterpart(begin + 1) == Some(last);
            let form = if calls { called } else { None };
            match form.or_else(|| (last == begin).then(|| self.form(begin, false))?) {
                Some(Form::Nothing) => return Shape::Nothing,
                Some(Form::Once { joins, is_empty }) => return Shape::Once { joins, is_empty },
                Some(Form::Choice(choice)) => return Shape::Choice(choice),
                Some(Form::Loop { .. } | Form::Other) | None => {}
            }
        }
        let (mut first, mut last) = (begin, last);
        let mut is_void = false;
        // `(void)`, and brackets around all.
        while self.tokens.is(first, b'(') {
            match self.tokens.counterpart(first) {
                Some(close) if close == first + 2 && close < last && self.is_word(first + 1, b"void") => {
                    is_void = true;
                    first = close + 1;
                }
                Some(close) if close == last && first + 1 < last => (first, last) = (first + 1, last - 1),
                _ => break,
            }
        }
        // The value of a literal or a variable is not computed if nobody wants it.
        if is_void && first == last && self.has_row(&(begin..=end)) != Some(true) {
            return match self.tokens.kind(first) {
                Some(Kind::Literal) => Shape::Nothing,
                Some(Kind::Word) if self.words.rows.is_some() => Shape::Nothing,
                _ => Shape::Simple,
            };
        }
        self.choice(first, last).map_or(Shape::Simple, Shape::Choice)
    }

    /// The branches that join at the end of this expression.
    fn choice(&self, first: usize, last: usize) -> Option<Choice> {
        let is = |at: usize, characters: &[u8]| characters.iter().any(|character| self.tokens.is(at, *character));
        let (mut is_choice, mut has_value) = (false, true);
        let (mut question, mut colon) = (0, 0);
        let mut at = first;
        while at <= last {
            match self.tokens.kind(at)? {
                Kind::Punctuation(b',') => return None,
                Kind::Punctuation(b'=') if self.tokens.is(at + 1, b'=') => at += 1,
                Kind::Punctuation(b'=')
                    if at > first && is(at - 1, b"!<>") && !(at > first + 1 && is(at - 2, b"<>")) => {}
                // What comes behind the first `?` is in a branch.
                Kind::Punctuation(b'=') if has_value => return None,
                Kind::Punctuation(b'?') => (is_choice, has_value, question) = (true, false, at),
                Kind::Punctuation(b':') => colon = at,
                Kind::Punctuation(character @ (b'&' | b'|')) if self.tokens.is(at + 1, character) => {
                    is_choice = true;
                    at += 1;
                }
                Kind::Punctuation(b'(' | b'[' | b'{') => {
                    at = self.tokens.counterpart(at).filter(|other| *other > at)?
                }
                _ => {}
            }
            at += 1;
        }
        // `(void)0`.
        let is_nothing =
            |begin: usize| self.is_word(begin + 2, b"void") && self.tokens.kind(begin + 4) == Some(Kind::Literal);
        let is_last_nothing = colon > 0 && colon + 4 == last && is_nothing(colon);
        let is_void = !has_value && (is_last_nothing || is_nothing(question));
        let has_value = if is_void { Some(false) } else { has_value.then_some(true) };
        is_choice.then_some(Choice { has_value, joins: 1 + usize::from(is_last_nothing) })
    }

    /// What the macro at token `at` stands for, which is called there or not.
    fn form(&self, at: usize, calls: bool) -> Option<Form> {
        let name = self.words.lines.word(self.tokens.place(at));
        let has_row = self.words.rows.map(|rows| rows.binary_search(&at).is_ok());
        self.words.forms.find(name, calls, has_row, (self.words.depth, self.words.budget))
    }

    /// Is the token at `at` this word?
    fn is_word(&self, at: usize, word: &[u8]) -> bool {
        at < self.tokens.len() && self.words.lines.word(self.tokens.place(at)) == word
    }

    fn is_false(&self, at: usize) -> bool {
        self.is_word(at, b"0") || self.is_word(at, b"false")
    }

    fn parentheses(&self, open: usize) -> Option<RangeInclusive<usize>> {
        let close = self.tokens.counterpart(open).filter(|close| self.tokens.is(open, b'(') && *close > open)?;
        Some(open..=close)
    }

    fn has_condition(&self, is_for: bool, header: &RangeInclusive<usize>) -> bool {
        match is_for {
            true => !header.clone().any(|at| self.tokens.is(at, b';') && self.tokens.is(at + 1, b';')),
            // `while (1)`.
            false => self.tokens.kind(header.start() + 1) != Some(Kind::Literal) || header.clone().count() > 3,
        }
    }

    /// The loop that these tokens are the begin of, up to its body.
    pub(super) fn loop_of_macro(tokens: &'t Tokens, words: Words<'t>) -> Option<Form> {
        let statements = Statements { tokens, words, all: Vec::new(), root: 0 };
        let is_for = match tokens.kind(0)? {
            Kind::For => true,
            Kind::While => false,
            _ => return None,
        };
        let header = statements.parentheses(1).filter(|header| header.end() + 1 == tokens.len())?;
        let has_next = is_for && statements.next_of_for(&header).is_some();
        let has_condition = statements.has_condition(is_for, &header);
        Some(Form::Loop { is_for, has_next, has_condition })
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
