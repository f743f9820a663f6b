//! Which variables a text assigns, and where.
//!
//! A variable keeps its value if no token of its function that is its name is assigned, increased, or has its address taken,
//! by itself or in a macro. What is not understood counts as an assignment that may be anywhere.

use super::Place;
use super::macros::Forms;
use super::statements::{Shape, Statements, Words};
use super::tokens::{Definition, Kind, Lines, Tokens};
use crate::lasting::Declaration;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::{Range, RangeInclusive};

/// The functions that a program calls, by their names without template arguments.
#[derive(Debug)]
pub(super) struct Callees<'a> {
    /// There are references, by which a function can assign what it is given.
    has_references: bool,
    /// Whether one of that name takes a reference to what it may assign.
    known: HashMap<&'a [u8], bool>,
    /// The operators that take such a reference last.
    operators: HashSet<&'a [u8]>,
}

impl<'a> Callees<'a> {
    pub(super) fn new(has_references: bool) -> Callees<'a> {
        Callees { has_references, known: HashMap::new(), operators: HashSet::new() }
    }

    pub(super) fn add(&mut self, name: &'a [u8], takes_reference: bool, takes_reference_last: bool) {
        if let Some(operator) = name.strip_prefix(b"operator").filter(|_| takes_reference_last) {
            self.operators.extend(OPERATORS.into_iter().find(|it| operator.starts_with(it)));
        }
        let end = name.iter().position(|byte| *byte == b'<').unwrap_or(name.len());
        *self.known.entry(&name[..end]).or_default() |= takes_reference;
    }

    /// Is it known that all of this name take nothing but values?
    fn take_values(&self, name: &[u8]) -> bool {
        self.known.get(name) == Some(&false) || LIBRARY.contains(&name)
    }
}

/// The variables that a function's text declares.
pub(super) struct Function<'a> {
    /// The line where it begins.
    pub(super) line: u32,
    pub(super) variables: Vec<Declaration<'a>>,
}

/// What gives a variable a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Where it begins, and where its last token does.
    pub(crate) begin: Place,
    pub(crate) last: Place,
    /// The value is a number, text or the like, for which there is no code.
    pub(crate) is_literal: bool,
    /// It is made of the one before, by the only operator of the statement that assigns anything: `v += 2`, `v++`.
    pub(crate) is_update: bool,
}

/// What a text says of the values that a variable has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Changes {
    /// What assigns it; nothing where it keeps its first value.
    pub(crate) list: Vec<Change>,
    /// It is declared in a loop: where each round has its own.
    pub(crate) in_loop: bool,
    /// There are loops in its scope.
    pub(crate) has_loops: bool,
    /// The parts of the innermost loop around its scope that do not lie in that: the first and the last token of each.
    pub(crate) outside: Vec<(Place, Place)>,
}

/// What gives the variables of `functions` (sorted by their lines, of one file) other values, in the order of the variables; `None` where
/// that is not known.
pub(super) fn changes(
    text: &Lines<'_>,
    functions: &[Function<'_>],
    executed: &[u32],
    callees: &Callees<'_>,
    macros: &Macros<'_>,
) -> Vec<Vec<Option<Changes>>> {
    // Functions mostly follow one another.
    let mut budget = text.count().saturating_mul(MAX_OVERLAP) + MAX_LINES;
    let lines: Vec<_> = functions
        .iter()
        .enumerate()
        .map(|(number, function)| {
            let last = function.variables.iter().map(|variable| variable.line).max().unwrap_or(function.line);
            let behind = functions[number + 1..].iter().map(|next| next.line).find(|line| *line > last);
            let limit = behind.unwrap_or(u32::MAX).min(function.line.saturating_add(MAX_LINES as u32));
            budget = budget.saturating_sub(limit.min(text.count() as u32).saturating_sub(function.line) as usize);
            (last < limit && budget > 0).then_some((function.line..last + 1, limit))
        })
        .collect();
    let changes = |(function, lines): (&Function<'_>, Option<(Range<u32>, u32)>)| {
        let tokens = lines.and_then(|(head, limit)| Tokens::of_function(text, head, limit, executed));
        let Some(tokens) = tokens else { return vec![None; function.variables.len()] };
        let named = Named::of(&function.variables);
        let budget = &Cell::new(tokens.len().saturating_mul(MAX_STEPS));
        Uses { text, tokens: &tokens, callees, macros, named: &named, budget }.changes(&function.variables)
    };
    functions.par_iter().zip(lines).map(changes).collect()
}

/// How many lines a function may have, and how often each line of a file may be looked at.
const MAX_LINES: usize = 20_000;
const MAX_OVERLAP: usize = 16;

/// How many tokens may be looked at for each that there is, in order to find what brackets are around words.
const MAX_STEPS: usize = 16;

/// What the macros of some files may do to variables.
#[derive(Debug, Default)]
pub(super) struct Macros<'t> {
    /// Those with parameters, and which parameters they assign.
    functions: HashMap<&'t [u8], Vec<bool>>,
    /// Words that macros assign.
    assigned: HashSet<&'t [u8]>,
    /// Macros that assign something and paste names together.
    pasting: HashSet<&'t [u8]>,
}

impl<'t> Macros<'t> {
    /// Adds the macros that a file defines. Of several with one name, each may be meant.
    pub(super) fn add(&mut self, lines: &Lines<'t>, callees: &Callees<'_>) {
        for Definition { name, parameters, body } in lines.definitions() {
            let count = parameters.as_ref().map_or(0, Vec::len);
            let may_assign = may_assign(body);
            if may_assign && memchr::memmem::find(body, b"##").is_some() {
                self.pasting.insert(name);
            }
            let is_looked_at = count <= MAX_PARAMETERS;
            let mut assigned = vec![may_assign && !is_looked_at; count];
            if may_assign && is_looked_at {
                self.find_assigned(parameters.as_deref().unwrap_or_default(), body, callees, &mut assigned);
            }
            if parameters.is_some() {
                let known = self.functions.entry(name).or_default();
                known.resize(known.len().max(assigned.len()), false);
                known.iter_mut().zip(assigned).for_each(|(known, assigned)| *known |= assigned);
            }
        }
    }

    /// Finds what a macro with these parameters assigns.
    fn find_assigned(&mut self, parameters: &[&[u8]], body: &'t [u8], callees: &Callees<'_>, assigned: &mut [bool]) {
        let (text, tokens) = (Lines::of_part(body), Tokens::of_part(body));
        // What a macro calls may be another one, which is not looked into.
        let (macros, named) = (&Macros::default(), &Named::default());
        let budget = &Cell::new(tokens.len().saturating_mul(MAX_STEPS));
        let uses = Uses { text: &text, tokens: &tokens, callees, macros, named, budget };
        let is_all = |position: usize| uses.with_parentheses(position) == (0, tokens.len() - 1);
        for position in tokens.words().filter(|position| uses.is_assigned(*position) || is_all(*position)) {
            let word = text.word(tokens.place(position));
            match parameters.iter().position(|parameter| *parameter == word) {
                Some(parameter) => assigned[parameter] = true,
                None => {
                    self.assigned.insert(word);
                }
            }
        }
    }
}

/// How many parameters of a macro are looked at.
const MAX_PARAMETERS: usize = 64;

/// Can what a macro stands for assign anything? Most are a number or a text.
fn may_assign(body: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let assigns = |pair: &[u8]| match pair {
        [b'+', b'+'] | [b'-', b'-'] => true,
        [before, b'('] => is_word(before) || before.is_ascii_whitespace(),
        [_, last] => matches!(last, b'=' | b'&' | b'{'),
        _ => false,
    };
    let is_name = |byte: &u8| is_word(byte) || matches!(byte, b'(' | b')' | b' ' | b'\t');
    body.windows(2).any(assigns) || body.iter().all(is_name)
}

/// How many brackets around a word are looked at.
const MAX_BRACKETS: usize = 16;

struct Uses<'u, 't> {
    text: &'u Lines<'t>,
    tokens: &'u Tokens,
    callees: &'u Callees<'u>,
    macros: &'u Macros<'t>,
    named: &'u Named<'u>,
    /// How many tokens may still be looked at.
    budget: &'u Cell<usize>,
}

impl Uses<'_, '_> {
    /// What gives the variables other values.
    fn changes(&self, variables: &[Declaration<'_>]) -> Vec<Option<Changes>> {
        let none = vec![None; variables.len()];
        let captures_all = || (0..self.tokens.len()).any(|position| self.captures_all(position));
        if !self.tokens.is_balanced() || self.tokens.includes_files() || self.callees.has_references && captures_all() {
            return none;
        }
        // Where each is declared, and where it is assigned: by number.
        let mut declared: Vec<Option<usize>> = vec![None; variables.len()];
        let mut assigned: Vec<(usize, usize)> = Vec::new();
        let mut unknown = vec![false; variables.len()];
        for position in self.tokens.words() {
            let word = self.text.word(self.tokens.place(position));
            if matches!(word, b"asm" | b"__asm__" | b"__asm") || self.macros.pasting.contains(word) {
                return none;
            }
            let of_name = self.named.get(word);
            if of_name.is_empty() || self.is_member(position) {
                continue;
            }
            let line = self.tokens.place(position).line;
            let mut is_declared = false;
            if let Some(&number) =
                of_name.iter().find(|number| variables[**number].line == line && declared[**number].is_none())
            {
                declared[number] = Some(position);
                is_declared = self.is_initialized(position);
            }
            if is_declared || !self.is_assigned(position) {
                continue;
            }
            match self.is_changed(position) {
                true => assigned.extend(of_name.iter().map(|number| (*number, position))),
                // It may be assigned later, by what has its address.
                false => of_name.iter().for_each(|number| unknown[*number] = true),
            }
        }
        if let Some(tokens) = self.tokens.left_out() {
            // Which of the alternatives was compiled is a guess.
            let uses = Uses { tokens, ..*self };
            for position in tokens.words() {
                let of_name = self.named.get(self.text.word(tokens.place(position)));
                if !of_name.is_empty() && !uses.is_member(position) && uses.is_assigned(position) {
                    of_name.iter().for_each(|number| unknown[*number] = true);
                }
            }
        }
        assigned.sort_unstable();
        let scopes = Scopes::of((self.text, self.tokens), &declared);
        let changes = |(number, variable): (usize, &Declaration<'_>)| {
            let position = declared[number].filter(|_| !unknown[number])?;
            if self.macros.assigned.contains(variable.name.slice()) {
                return None;
            }
            let first = assigned.partition_point(|it| it.0 < number);
            let own = assigned[first..].iter().take_while(|it| it.0 == number);
            let mut own: Vec<usize> = own.map(|it| it.1).collect();
            let Some(scope) = scopes.of_variable(number) else {
                return own.is_empty().then(|| Changes { in_loop: true, ..Changes::default() });
            };
            let same = self.named.get(variable.name.slice());
            own.retain(|at| scopes.declaration(*at, same) == Some(number));
            let is_renewed = !own.is_empty() || scope.around.is_some();
            let first = (is_renewed && self.is_initialized(position)).then_some(position);
            let place = |at: usize| self.tokens.place(at);
            let (begin, end) = (*scope.tokens.start(), *scope.tokens.end());
            let around = scope.around.as_ref().map(|around| [(*around.start(), begin), (end + 1, *around.end() + 1)]);
            let outside = around.into_iter().flatten().filter(|part| part.0 < part.1);
            Some(Changes {
                list: own.into_iter().chain(first).map(|at| self.change(at)).collect(),
                in_loop: scope.around.is_some(),
                has_loops: scope.has_loops,
                outside: outside.map(|(begin, end)| (place(begin), place(end - 1))).collect(),
            })
        };
        variables.iter().enumerate().map(changes).collect()
    }

    /// The part of the text that gives the variable at `position` its value.
    fn change(&self, position: usize) -> Change {
        let begin = if self.is_increased(position) { position.saturating_sub(2) } else { position };
        let mut last = begin;
        let mut at = begin;
        while let Some(kind) = self.tokens.kind(at) {
            match kind {
                Kind::Punctuation(b'(' | b'[' | b'{') => {
                    match self.tokens.counterpart(at).filter(|other| *other > at) {
                        Some(other) => at = other,
                        None => break,
                    }
                }
                Kind::Punctuation(b';' | b',' | b')' | b']' | b'}') if at > position => break,
                _ => {}
            }
            last = at;
            at += 1;
        }
        Change {
            begin: self.tokens.place(begin),
            last: self.tokens.place(last),
            is_literal: self.is_literal(position, last),
            is_update: self.is_update(position, begin..=last),
        }
    }

    /// Is the word at `position` assigned by `++`, `--`, `+=` or the like, and nothing else by these tokens?
    fn is_update(&self, position: usize, tokens: RangeInclusive<usize>) -> bool {
        let is_given = self.is_assignment(position + 1) && self.is(Some(position + 1), b'=');
        let others = tokens.filter(|at| *at != position && self.tokens.kind(*at) == Some(Kind::Word));
        let mut changed = others.filter(|at| self.is_changed(*at));
        !is_given && changed.next().is_none()
    }

    /// Is the word at `position` given a number, text or the like, with which the assignment ends at `last`?
    fn is_literal(&self, position: usize, last: usize) -> bool {
        let mut at = position;
        // `a = b = 1`.
        while self.tokens.kind(at) == Some(Kind::Word) && self.is(Some(at + 1), b'=') && !self.are(Some(at + 1), b"==")
        {
            at += 2;
        }
        let sign = usize::from(self.is(Some(at), b'-'));
        let is_constant = match self.tokens.kind(last) {
            Some(Kind::Literal) => true,
            Some(Kind::Word) => {
                let word = self.text.word(self.tokens.place(last));
                matches!(word, b"true" | b"false" | b"nullptr" | b"NULL")
                    || word.first().is_some_and(u8::is_ascii_digit)
            }
            _ => false,
        };
        at > position && at + sign == last && is_constant
    }

    fn is(&self, position: Option<usize>, character: u8) -> bool {
        position.is_some_and(|position| self.tokens.is(position, character))
    }

    /// Are the tokens from `position` on these characters, with nothing between them?
    fn are(&self, position: Option<usize>, characters: &[u8]) -> bool {
        let Some(first) = position.filter(|first| self.tokens.is(*first, characters[0])) else { return false };
        let begin = self.tokens.place(first);
        characters.iter().zip(0..).skip(1).all(|(character, distance)| {
            let at = first + distance as usize;
            let place = Place { column: begin.column + distance, ..begin };
            self.tokens.is(at, *character) && self.tokens.place(at) == place
        })
    }

    /// Is it what stands behind `.` or `->`?
    fn is_member(&self, position: usize) -> bool {
        self.is(position.checked_sub(1), b'.') || self.are(position.checked_sub(2), b"->")
    }

    /// Does an operator for members or elements, or a call, come next?
    fn leads_elsewhere(&self, position: usize) -> bool {
        let next = Some(position + 1);
        self.is(next, b'.') || self.is(next, b'[') || self.is(next, b'(') || self.are(next, b"->")
    }

    /// Is the word followed by its initial value?
    fn is_initialized(&self, position: usize) -> bool {
        self.is(Some(position + 1), b'=')
    }

    /// May the word at `position` be assigned there, or by what is made there?
    fn is_assigned(&self, position: usize) -> bool {
        self.is_changed(position) || self.is_changed_by_prefix(position) || self.is_assigned_by_call(position)
    }

    /// Is the word at `position` assigned there, by an operator?
    fn is_changed(&self, position: usize) -> bool {
        let (begin, end) = self.with_parentheses(position);
        let (before, next) = (begin.checked_sub(1), end + 1);
        // `*v = 1` does not.
        let is_followed = self.is(before, b'*');
        self.is_changed_by_suffix(next)
            || (!is_followed && self.is_assignment(next))
            || self.is_increased(position)
            || self.is_last_of_assigned(position)
    }

    /// The word at `position` with the parentheses that are around nothing else: their first and last token.
    fn with_parentheses(&self, position: usize) -> (usize, usize) {
        let (mut begin, mut end) = (position, position);
        for _ in 0..MAX_BRACKETS {
            let Some(open) = begin.checked_sub(1).filter(|open| self.opens_expression(*open)) else { break };
            if self.tokens.counterpart(open) != Some(end + 1) {
                break;
            }
            (begin, end) = (open, end + 1);
        }
        (begin, end)
    }

    /// Is it a parenthesis that is no call's, and not the one of a condition?
    fn opens_expression(&self, open: usize) -> bool {
        let before = open.checked_sub(1).and_then(|before| self.tokens.kind(before));
        let is_head = matches!(before, Some(Kind::Word | Kind::If | Kind::For | Kind::While | Kind::Switch));
        self.tokens.is(open, b'(') && !is_head
    }

    /// `(f(), v) = 1`.
    fn is_last_of_assigned(&self, position: usize) -> bool {
        let mut end = position + 1;
        for _ in 0..MAX_BRACKETS {
            if !self.tokens.is(end, b')')
                || !self.tokens.counterpart(end).is_some_and(|open| self.opens_expression(open))
            {
                return false;
            }
            end += 1;
            if self.is_changed_by_suffix(end) || self.is_assignment(end) {
                return true;
            }
        }
        true
    }

    /// Does `++` or `--` stand before the word at `position`, for all of what begins there?
    fn is_increased(&self, position: usize) -> bool {
        let (begin, end) = self.with_parentheses(position);
        let two = begin.checked_sub(2);
        !self.leads_elsewhere(end) && (self.are(two, b"++") || self.are(two, b"--"))
    }

    fn is_assignment(&self, at: usize) -> bool {
        const COMPOUND: [&[u8]; 10] = [b"+=", b"-=", b"*=", b"/=", b"%=", b"&=", b"|=", b"^=", b"<<=", b">>="];
        let at = Some(at);
        (self.is(at, b'=') && !self.are(at, b"==")) || COMPOUND.iter().any(|operator| self.are(at, operator))
    }

    fn is_changed_by_suffix(&self, at: usize) -> bool {
        self.are(Some(at), b"++") || self.are(Some(at), b"--")
    }

    fn is_changed_by_prefix(&self, position: usize) -> bool {
        let (begin, end) = self.with_parentheses(position);
        if self.leads_elsewhere(end) {
            return false;
        }
        let (before, two) = (begin.checked_sub(1), begin.checked_sub(2));
        if self.callees.has_references && (self.is_bound(begin) || self.is_operand_by_reference(begin)) {
            return true;
        }
        if !self.is(before, b'&') || self.are(two, b"&&") {
            return false;
        }
        // What comes before a binary `&` is a value. A parenthesis may be a cast's.
        match two.and_then(|before| self.tokens.kind(before)) {
            Some(Kind::Word | Kind::Literal) => false,
            Some(Kind::Punctuation(character)) => character != b']',
            _ => true,
        }
    }

    /// Is it a part of what a reference is bound to: `auto &reference = v`?
    fn is_bound(&self, position: usize) -> bool {
        let begins = |at: &usize| [b';', b'{', b'}'].iter().any(|character| self.tokens.is(*at, *character));
        let statement = (0..position).rev().take(MAX_BOUND).take_while(|at| !begins(at));
        statement.filter(|at| self.tokens.is(*at, b'=')).any(|equals| {
            let [name, ampersand] = [1, 2].map(|distance| equals.checked_sub(distance));
            let is_word = name.and_then(|name| self.tokens.kind(name)) == Some(Kind::Word);
            is_word && self.is(ampersand, b'&')
        })
    }

    /// Is what begins at `begin` the right operand of an operator that may take a reference to it?
    fn is_operand_by_reference(&self, begin: usize) -> bool {
        let is_operator = |operator: &&&[u8]| self.are(begin.checked_sub(operator.len()), operator);
        // The longest comes first.
        let operator = OPERATORS.iter().find(is_operator);
        operator.is_some_and(|operator| *operator == b">>" || self.callees.operators.contains(operator))
    }

    /// `[&]` or `[&, ...]`.
    fn captures_all(&self, position: usize) -> bool {
        let at = |distance, character| self.tokens.is(position + distance, character);
        at(0, b'[') && at(1, b'&') && (at(2, b']') || at(2, b','))
    }

    /// Is it an argument of what may assign it?
    fn is_assigned_by_call(&self, position: usize) -> bool {
        let (before, next) = (position.checked_sub(1), Some(position + 1));
        let begins = [b'(', b',', b'{'].into_iter().any(|character| self.is(before, character));
        let ends = [b')', b',', b'}'].into_iter().any(|character| self.is(next, character));
        let mut is_whole = begins && ends;
        let mut at = position;
        for _ in 0..MAX_BRACKETS {
            let rest = self.budget.get();
            if rest == 0 {
                return true;
            }
            let (around, steps) = self.tokens.bracket_around(at);
            self.budget.set(rest.saturating_sub(steps));
            let Some((open, argument)) = around else { return false };
            let name = open.checked_sub(1).filter(|name| self.tokens.kind(*name) == Some(Kind::Word));
            let name = name.map(|name| self.text.word(self.tokens.place(name)));
            if name
                .is_some_and(|name| self.is_assigned_by_macro(name, argument) || is_whole && self.is_macro(name, open))
            {
                return true;
            }
            // An object that a reference may be to: in `f(v + 1)` there is none.
            if is_whole && self.may_take_reference(open, name) {
                return true;
            }
            is_whole = false;
            at = open;
        }
        true
    }

    fn is_assigned_by_macro(&self, name: &[u8], argument: usize) -> bool {
        match self.macros.functions.get(name) {
            Some(assigned) => assigned.get(argument).or(assigned.last()).is_some_and(|assigned| *assigned),
            // One of a file that is not at hand.
            None => name.len() > 1 && !name.iter().any(u8::is_ascii_lowercase),
        }
    }

    /// Can what is called `name` be nothing but a macro? What comes behind a function's arguments is no other statement.
    fn is_macro(&self, name: &[u8], open: usize) -> bool {
        const OF_ARGUMENTS: [&[u8]; 4] = [b"va_start", b"va_arg", b"va_copy", b"va_end"];
        let behind = self.tokens.counterpart(open).and_then(|close| self.tokens.kind(close + 1));
        let begins_statement = match behind {
            Some(Kind::Punctuation(character)) => character == b'{',
            Some(Kind::Else | Kind::Scope) | None => false,
            Some(_) => true,
        };
        begins_statement || OF_ARGUMENTS.contains(&name) || name.starts_with(b"__builtin_va_")
    }

    /// Can what stands before the bracket at `open` take a reference to an argument, or be a macro that nothing is known of?
    fn may_take_reference(&self, open: usize, name: Option<&[u8]>) -> bool {
        let before = open.checked_sub(1);
        match before.and_then(|before| self.tokens.kind(before)).zip(before) {
            Some((Kind::Word, before)) => name.is_some_and(|name| {
                let is_pointer = || self.is_member(before) || !self.named.get(name).is_empty();
                let takes_values = NO_FUNCTIONS.contains(&name)
                    || self.callees.take_values(name)
                    || (!self.callees.has_references && is_pointer())
                    || self.macros.functions.contains_key(name);
                !takes_values && (self.callees.has_references || self.tokens.is(open, b'('))
            }),
            _ if !self.callees.has_references => false,
            Some((Kind::Punctuation(b'>'), before)) => !self.is_cast(before),
            Some((Kind::Punctuation(b')' | b']' | b'}'), _)) => true,
            _ => self.tokens.is(open, b'{'),
        }
    }

    /// Does the bracket at `end` end the type of a cast?
    fn is_cast(&self, end: usize) -> bool {
        let before = (0..end).rev().take(MAX_TYPE);
        let words = before.filter(|position| self.tokens.kind(*position) == Some(Kind::Word));
        words.map(|position| self.text.word(self.tokens.place(position))).any(|word| word.ends_with(b"_cast"))
    }
}

/// The scope of a variable, as tokens.
struct Scope {
    tokens: RangeInclusive<usize>,
    /// The innermost loop around it.
    around: Option<RangeInclusive<usize>>,
    has_loops: bool,
}

/// The scopes of a function's variables, by their numbers; of those without a declaration, and where the text is not understood, there is
/// none.
struct Scopes(Vec<Option<Scope>>);

impl Scopes {
    fn of((lines, tokens): (&Lines<'_>, &Tokens), declared: &[Option<usize>]) -> Scopes {
        let begins_body = |position: &usize| tokens.is(*position, b'{') && tokens.follows_parameters(*position);
        let body = (0..tokens.len()).find(begins_body);
        // What macros stand for declares nothing that is asked for.
        let (forms, budget) = (&Forms::default(), &Cell::new(0));
        let words = Words { lines, forms, rows: None, depth: 0, budget };
        // Parameters need none.
        let is_inside = |body: &usize| declared.iter().flatten().any(|position| position >= body);
        let statements = body.filter(is_inside).and_then(|body| Statements::read(tokens, body, words));
        let is_loop = |position: &usize| matches!(tokens.kind(*position), Some(Kind::For | Kind::While | Kind::Do));
        let loops: Vec<usize> = (0..tokens.len()).filter(is_loop).collect();
        let has_loops = |scope: &RangeInclusive<usize>| {
            loops.get(loops.partition_point(|at| at < scope.start())).is_some_and(|at| scope.contains(at))
        };
        let scope = |position: usize| {
            if body.is_some_and(|body| position < body) {
                let tokens = position..=tokens.len();
                return Some(Scope { has_loops: has_loops(&tokens), tokens, around: None });
            }
            let statements = statements.as_ref()?;
            // The innermost block, or the loop, condition or `switch` in whose head it is.
            let holds = |number: &usize| match statements.shape(*number) {
                Shape::Compound(_) | Shape::Unknown(_) => true,
                Shape::Loop { header, .. } | Shape::Switch { header, .. } => header.contains(&position),
                Shape::If { condition, .. } => condition.contains(&position),
                _ => false,
            };
            let path = statements.around(position);
            let holder = path.iter().rposition(holds)?;
            let scope = position..=*statements.tokens_of(path[holder]).end();
            let is_loop = |number: &&usize| {
                matches!(statements.shape(**number), Shape::Loop { .. } | Shape::Do { .. } | Shape::Unknown(_))
            };
            let around = path[..holder].iter().rev().find(is_loop);
            // What the head of a loop declares goes through all rounds.
            let of_head = matches!(statements.shape(path[holder]), Shape::Loop { .. });
            let has_loops = of_head || has_loops(&scope);
            Some(Scope { tokens: scope, around: around.map(|number| statements.tokens_of(*number)), has_loops })
        };
        Scopes(declared.iter().map(|position| position.and_then(scope)).collect())
    }

    fn of_variable(&self, number: usize) -> Option<&Scope> {
        self.0[number].as_ref()
    }

    /// Which of the variables of one name the word at `position` is: the one that is declared last.
    fn declaration(&self, position: usize, same: &[usize]) -> Option<usize> {
        let scopes = same.iter().filter_map(|number| Some((*number, &self.0[*number].as_ref()?.tokens)));
        let own = scopes.filter(|(_, scope)| scope.contains(&position));
        own.max_by_key(|(_, scope)| *scope.start()).map(|(number, _)| number)
    }
}

/// How many tokens what a reference is bound to may have.
const MAX_BOUND: usize = 32;

/// Operators that are called with a reference to what stands behind them by some libraries.
const OPERATORS: [&[u8]; 9] = [b"<<", b">>", b"&&", b"&", b"|", b"^", b"%", b"/", b","];

/// How many tokens a cast's type may have.
const MAX_TYPE: usize = 12;

/// Words before parentheses that make copies of values.
const NO_FUNCTIONS: [&[u8]; 16] = [
    b"sizeof",
    b"alignof",
    b"decltype",
    b"noexcept",
    b"int",
    b"unsigned",
    b"long",
    b"short",
    b"char",
    b"bool",
    b"float",
    b"double",
    b"size_t",
    b"uint32_t",
    b"uint64_t",
    b"int64_t",
];

/// Functions of C's library that compilers know, and do not describe.
const LIBRARY: [&[u8]; 56] = [
    b"abort",
    b"abs",
    b"calloc",
    b"ceil",
    b"cos",
    b"exit",
    b"exp",
    b"fabs",
    b"fclose",
    b"fflush",
    b"floor",
    b"fmod",
    b"fopen",
    b"fprintf",
    b"fputc",
    b"fputs",
    b"fread",
    b"free",
    b"fscanf",
    b"fwrite",
    b"isalnum",
    b"isalpha",
    b"isdigit",
    b"islower",
    b"isspace",
    b"isupper",
    b"labs",
    b"log",
    b"malloc",
    b"memchr",
    b"memcmp",
    b"memcpy",
    b"memmove",
    b"memset",
    b"pow",
    b"printf",
    b"putchar",
    b"puts",
    b"realloc",
    b"sin",
    b"snprintf",
    b"sprintf",
    b"sqrt",
    b"strcat",
    b"strchr",
    b"strcmp",
    b"strcpy",
    b"strdup",
    b"strlen",
    b"strncmp",
    b"strncpy",
    b"strrchr",
    b"strstr",
    b"strtol",
    b"tolower",
    b"toupper",
];

/// Variables by their names.
#[derive(Default)]
struct Named<'n> {
    numbers: HashMap<&'n [u8], Vec<usize>>,
    /// The lengths of the names: most words have another one.
    lengths: u64,
}

impl<'n> Named<'n> {
    fn of(variables: &[Declaration<'n>]) -> Named<'n> {
        let mut named = Named::default();
        for (number, variable) in variables.iter().enumerate() {
            let name = variable.name.slice();
            named.lengths |= Named::length(name);
            named.numbers.entry(name).or_default().push(number);
        }
        named
    }

    fn length(name: &[u8]) -> u64 {
        1 << name.len().min(63)
    }

    fn get(&self, name: &[u8]) -> &[usize] {
        let has_length = self.lengths & Named::length(name) != 0;
        if has_length { self.numbers.get(name).map_or(&[], Vec::as_slice) } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{EndianSlice, LittleEndian};

    /// Which of the variables of a function that begins in line 1 keep their values, by name and line.
    fn lasting(text: &str, callees: &Callees<'_>, variables: &[(&str, u32)]) -> Vec<bool> {
        let lines = Lines::new(text.as_bytes()).unwrap();
        let mut macros = Macros::default();
        macros.add(&lines, callees);
        let variables = variables.iter().map(|&(name, line)| Declaration {
            name: EndianSlice::new(name.as_bytes(), LittleEndian),
            file: 1,
            line,
        });
        let function = Function { line: 1, variables: variables.collect() };
        let found = changes(&lines, &[function], &[], callees, &macros).remove(0);
        found.into_iter().map(|changes| changes.is_some_and(|changes| changes.list.is_empty())).collect()
    }

    /// What changes a variable of a C function that begins in line 1: the lines and columns where it begins and where its last token does;
    /// `None` where it is not known.
    fn changed(text: &str, variable: (&str, u32)) -> Option<Vec<[(u32, u32); 2]>> {
        changes_of(text, &[variable])
            .map(|changes| changes.list.iter().map(|it| [place(it.begin), place(it.last)]).collect())
    }

    /// The same of the first of several variables, with all that is known of it.
    fn changes_of(text: &str, variables: &[(&str, u32)]) -> Option<Changes> {
        let lines = Lines::new(text.as_bytes()).unwrap();
        let variables = variables.iter().map(|&(name, line)| Declaration {
            name: EndianSlice::new(name.as_bytes(), LittleEndian),
            file: 1,
            line,
        });
        let function = Function { line: 1, variables: variables.collect() };
        changes(&lines, &[function], &[], &in_c(), &Macros::default()).remove(0).remove(0)
    }

    fn place(place: Place) -> (u32, u32) {
        (place.line, place.column)
    }

    #[test]
    fn assignments_are_found_with_the_code_that_they_have() {
        let text = "int f(int v)\n{\nv = 1;\nif (v > 2) v += g(v,\n 3);\nfor (; v < 3; v++) g(++v);\n}\n";
        let places = [[(3, 1), (3, 5)], [(4, 12), (5, 3)], [(6, 15), (6, 17)], [(6, 22), (6, 24)]];
        assert_eq!(changed(text, ("v", 1)), Some(places.to_vec()));
        let list = changes_of(text, &[("v", 1)]).unwrap().list;
        assert_eq!(list.iter().map(|it| it.is_literal).collect::<Vec<_>>(), [true, false, false, false]);
        assert_eq!(list.iter().map(|it| it.is_update).collect::<Vec<_>>(), [false, true, true, true]);
        // By what has its address, it may change anywhere.
        assert_eq!(changed("int f(int v)\n{\nv = 1;\ng(&v);\n}\n", ("v", 1)), None);
    }

    #[test]
    fn a_variable_is_changed_where_its_name_means_it() {
        let text = "int f(void)\n{\nint a = 1;\nfor (int a = 0; a < 3; a++)\ng(a);\na = 2;\n{ int b = 0; b++; }\n}\n";
        let changes = changes_of(text, &[("a", 3), ("a", 4)]).unwrap();
        assert_eq!(changes.list.iter().map(|it| place(it.begin)).collect::<Vec<_>>(), [(6, 1), (3, 5)]);
        assert!(!changes.in_loop && changes.has_loops && changes.outside.is_empty());
        // In a loop, each round has its own; the rest of the loop is not of it.
        let text = "int f(int n)\n{\nwhile (n--) {\ng(n);\nint a = n;\ng(a);\n}\nreturn n;\n}\n";
        let changes = changes_of(text, &[("a", 5)]).unwrap();
        assert!(changes.in_loop && !changes.has_loops);
        assert_eq!(changes.outside.iter().map(|it| [place(it.0), place(it.1)]).collect::<Vec<_>>(), [[(3, 1), (5, 1)]]);
        assert_eq!(changes.list.len(), 1, "its declaration gives it a new value");
    }

    /// Functions of a C program.
    fn in_c() -> Callees<'static> {
        let mut callees = Callees::new(false);
        ["f", "g", "max"].iter().for_each(|name| callees.add(name.as_bytes(), false, false));
        callees
    }

    /// Does parameter `v` of a C function with this body keep its value?
    fn keeps(body: &str) -> bool {
        lasting(&format!("int f(int v)\n{{ {body}\n}}\n"), &in_c(), &[("v", 1)])[0]
    }

    /// The same in C++, where functions take references: `swap` and others that are not known.
    fn keeps_in_cxx(body: &str) -> bool {
        let mut callees = Callees::new(true);
        callees.add(b"swap<int>", true, true);
        callees.add(b"max<int>", false, false);
        callees.add(b"operator&<int>", true, true);
        callees.add(b"operator<<<char>", true, false);
        lasting(&format!("int f(int v)\n{{ {body}\n}}\n"), &callees, &[("v", 1)])[0]
    }

    #[test]
    fn a_variable_that_is_only_read_keeps_its_value() {
        for body in [
            "return v + 1;",
            "if (v) ++w; while (v) --w; switch (v) { default: ++w; } if (w < v) ++w;",
            "if (v == 1 || v <= 2 || v >= 3 || v != 4) return -v;",
            "p->v = 1; p.v++; q = v->next; ++v->count; ++v[1]; *v = 3;",
            "g(v, a & v, a && v, &v->member, &v[2], sizeof(v)); memcpy(v, w, 1); p->call(v); v(v);",
            "for (;;) { while (v) g(); do g(); while (v); }",
            "/* v = 1 */ g(\"v = 1\"); // v++",
        ] {
            assert!(keeps(body), "{body}");
        }
        for body in ["g(v + 1);", "x = max(v, w);", "y = static_cast<long>(v); z = int(v);", "s << v;", "return (v);"] {
            assert!(keeps_in_cxx(body), "{body}");
        }
    }

    #[test]
    fn a_variable_that_may_be_assigned_does_not() {
        for body in [
            "v = 1;",
            "v += 1;",
            "v <<= 1;",
            "v++;",
            "--v;",
            "(v) = 1;",
            "((v)) += 1;",
            "++(v);",
            "((v))++;",
            "g(&(v));",
            "(g(), v) = 1;",
            "g(&v);",
            "return (long)&v;",
            "if ((v = g())) ;",
            "*v++ = 1;",
            "SET(v);",
            "UNKNOWN(v + 1);",
            "for_each(v, list) { g(); }",
            "for_each(v, list) g();",
            "va_start(v, f);",
            "asm(\"\" : \"=r\"(v));",
            "hidden();",
            "unknown(v);",
        ] {
            let text = format!("int f(int v)\n{{ {body}\n}}\n#define SET(x) x = 1\n#define hidden() v = 2\n");
            assert!(!lasting(&text, &in_c(), &[("v", 1)])[0], "{body}");
        }
        for body in [
            "g(v);",
            "swap(v, w);",
            "T x(v);",
            "T x{v};",
            "auto &r = v;",
            "auto &r = static_cast<int &>(v);",
            "int &r = (v);",
            "auto *p = &(v);",
            "archive & v;",
            "in >> v;",
            "a([&] { g(); });",
            "a([&v] {});",
        ] {
            assert!(!keeps_in_cxx(body), "{body}");
        }
        assert!(!keeps("}"), "what is not understood");
        assert!(!lasting("int f(int w)\n{ return w; }\n", &in_c(), &[("v", 1)])[0], "it is not declared there");
    }

    #[test]
    fn macros_assign_what_they_say() {
        let keeps = |definition: &str| {
            lasting(&format!("int f(int v)\n{{ CALL(1, v); }}\n{definition}\n"), &in_c(), &[("v", 1)])[0]
        };
        assert!(keeps("#define CALL(a, b) g(a, (b) + 1)"));
        assert!(keeps("#define CALL(a, b) g(a = 1, \\\n  b)"));
        assert!(!keeps("#define CALL(a, b) g(a, \\\n  (b)++)"));
        assert!(!keeps("#define CALL(a, ...) g(__VA_ARGS__ = 1)"));
        assert!(keeps("#define CALL(a, ...) g(__VA_ARGS__)"));
        assert!(!keeps("#define CALL(a, b) OTHER(b)"));
        assert!(!keeps("#define CALL(a, b) (++(b))"));
        assert!(!keeps("#define CALL(a, b) x##a = (b)"));
        let many: Vec<String> = (0..=MAX_PARAMETERS).map(|number| format!("a{number}")).collect();
        assert!(!keeps(&format!("#define CALL({}) f(1)", many.join(", "))));
    }

    #[test]
    fn declarations_give_first_values() {
        let text = "int f(void)\n{\nint a = 1;\nint b;\nb = a;\n{ int a = 2; g(a); }\nfor (int c = 0, d = 5; c < d; c++)\ng(c);\n}\n";
        let variables = [("a", 3), ("a", 6), ("b", 4), ("c", 7), ("d", 7)];
        assert_eq!(lasting(text, &in_c(), &variables), [true, true, false, false, true]);
        // What the preprocessor left out may not have been.
        let text = "int f(int v)\n{\n#if A\nreturn v;\n#else\nv = 1;\n#endif\n}\n";
        assert_eq!(lasting(text, &in_c(), &[("v", 1)]), [false]);
        // Initializers of members come before the body.
        let text = "T(int v)\n: a{1}, b(2)\n{ v = 3; }\nint g() { }";
        assert_eq!(lasting(text, &in_c(), &[("v", 1)]), [false]);
    }
}
