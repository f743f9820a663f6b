//! The tokens of a C or C++ file, as far as statements are told by them.

use super::Place;
use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    If,
    Else,
    For,
    While,
    Do,
    Switch,
    /// `case` and `default`.
    Case,
    /// `break`, `continue` and `goto`.
    Jump,
    /// `return`.
    Return,
    /// Any other word.
    Word,
    /// `::`, which is no label's colon.
    Scope,
    /// A character that is not a part of a word or literal.
    Punctuation(u8),
    Literal,
}

/// A token and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

/// The tokens of one file that the compiler saw.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    tokens: Vec<Token>,
    /// The position of each bracket's counterpart; of other tokens, and of brackets without one, its own.
    counterparts: Vec<u32>,
    /// The brace that opens the innermost block around each token. A block's own braces are in it.
    blocks: Vec<u32>,
}

/// No block.
const NONE: u32 = u32::MAX;

impl Tokens {
    /// Reads `text`. Of the alternatives that the preprocessor chose among, the one with most of the lines in `executed` (sorted)
    /// counts; those without any do not. `None` where the line numbers are other ones (`#line`) or the file is too large.
    pub(crate) fn read(text: &[u8], executed: &[u32]) -> Option<Tokens> {
        u32::try_from(text.len()).ok()?;
        let mut reader = Reader::new(text);
        let mut tokens = Vec::new();
        let mut alternatives = Alternatives::new(executed);
        while let Some(found) = reader.next() {
            match found {
                Found::Token(token) => tokens.push(token),
                Found::Directive { name, line } => alternatives.directive(name, line)?,
            }
        }
        let left_out = alternatives.left_out();
        let mut at = 0;
        tokens.retain(|token: &Token| {
            while left_out.get(at).is_some_and(|range| range.end <= token.place.line) {
                at += 1;
            }
            left_out.get(at).is_none_or(|range| token.place.line < range.start)
        });
        let (counterparts, blocks) = pairs(&tokens);
        Some(Tokens { tokens, counterparts, blocks })
    }

    /// The kind of the token at `position`.
    pub(crate) fn kind(&self, position: usize) -> Option<Kind> {
        self.tokens.get(position).map(|token| token.kind)
    }

    /// Is the token at `position` this character?
    pub(crate) fn is(&self, position: usize, character: u8) -> bool {
        self.kind(position) == Some(Kind::Punctuation(character))
    }

    /// Where the token at `position` begins.
    pub(crate) fn place(&self, position: usize) -> Place {
        self.tokens[position].place
    }

    /// The token that begins at `place`.
    pub(crate) fn at(&self, place: Place) -> Option<usize> {
        self.tokens.binary_search_by_key(&place, |token| token.place).ok()
    }

    /// The brace that opens the innermost block around the token at `position`; of a block's braces, that block.
    pub(crate) fn block_around(&self, position: usize) -> Option<usize> {
        self.blocks.get(position).filter(|block| **block != NONE).map(|block| *block as usize)
    }

    /// The position of the other bracket of the pair.
    pub(crate) fn counterpart(&self, position: usize) -> Option<usize> {
        self.counterparts.get(position).map(|other| *other as usize).filter(|other| *other != position)
    }
}

/// Counterparts and blocks.
fn pairs(tokens: &[Token]) -> (Vec<u32>, Vec<u32>) {
    let mut counterparts: Vec<u32> = (0..tokens.len() as u32).collect();
    let mut blocks = Vec::with_capacity(tokens.len());
    let mut open: Vec<(u8, u32)> = Vec::new();
    let mut braces: Vec<u32> = Vec::new();
    for (position, token) in (0..).zip(tokens) {
        if let Kind::Punctuation(opening @ (b'(' | b'[' | b'{')) = token.kind {
            open.push((opening, position));
            braces.extend((opening == b'{').then_some(position));
        }
        blocks.push(braces.last().copied().unwrap_or(NONE));
        if let Kind::Punctuation(closing @ (b')' | b']' | b'}')) = token.kind {
            let opening = match closing {
                b')' => b'(',
                b']' => b'[',
                _ => b'{',
            };
            // A brace closes what was left open in it.
            while closing == b'}' && open.last().is_some_and(|last| last.0 != b'{') {
                open.pop();
            }
            if let Some((_, other)) = open.pop_if(|last| last.0 == opening) {
                counterparts[position as usize] = other;
                counterparts[other as usize] = position;
                if opening == b'{' {
                    braces.pop();
                }
            }
        }
    }
    (counterparts, blocks)
}

/// The lines between `#if` and `#endif`.
struct Alternatives<'l> {
    executed: &'l [u32],
    /// For each group that is open: where each of its alternatives begins.
    open: Vec<Vec<u32>>,
    left_out: Vec<Range<u32>>,
}

impl<'l> Alternatives<'l> {
    fn new(executed: &'l [u32]) -> Alternatives<'l> {
        Alternatives { executed, open: Vec::new(), left_out: Vec::new() }
    }

    /// `None` where the lines after the directive have other numbers.
    fn directive(&mut self, name: &[u8], line: u32) -> Option<()> {
        match name {
            b"if" | b"ifdef" | b"ifndef" => self.open.push(vec![line]),
            b"elif" | b"else" | b"elifdef" | b"elifndef" => self.open.last_mut().into_iter().for_each(|group| group.push(line)),
            b"endif" => {
                if let Some(mut group) = self.open.pop() {
                    group.push(line);
                    self.choose(&group);
                }
            }
            b"line" => return None,
            _ if name.first().is_some_and(u8::is_ascii_digit) => return None,
            _ => {}
        }
        Some(())
    }

    fn choose(&mut self, bounds: &[u32]) {
        let before = |line: u32| self.executed.partition_point(|executed| *executed < line);
        let ranges = || bounds.windows(2).map(|bounds| bounds[0]..bounds[1]);
        let lines = |range: &Range<u32>| before(range.end) - before(range.start);
        let chosen = ranges().filter(|range| lines(range) > 0).max_by_key(|range| (lines(range), u32::MAX - range.start));
        self.left_out.extend(ranges().filter(|range| Some(range) != chosen.as_ref()));
    }

    /// The lines that the compiler did not see: sorted, none in another.
    fn left_out(mut self) -> Vec<Range<u32>> {
        self.left_out.sort_by_key(|range| (range.start, u32::MAX - range.end));
        let mut outer: Vec<Range<u32>> = Vec::new();
        for range in self.left_out {
            if outer.last().is_none_or(|last| last.end <= range.start) {
                outer.push(range);
            }
        }
        outer
    }
}

enum Found<'t> {
    Token(Token),
    Directive { name: &'t [u8], line: u32 },
}

/// Goes through a file.
struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    line_start: usize,
    /// No token yet on this line.
    begins_line: bool,
}

impl<'t> Reader<'t> {
    fn new(text: &'t [u8]) -> Reader<'t> {
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Reader { text, at, line: 1, line_start: 0, begins_line: true }
    }

    fn peek(&self, distance: usize) -> u8 {
        self.text.get(self.at + distance).copied().unwrap_or(0)
    }

    fn place(&self) -> Place {
        Place { line: self.line, column: (self.at - self.line_start) as u32 + 1 }
    }

    /// Takes one byte, and counts lines.
    fn step(&mut self) {
        if self.peek(0) == b'\n' {
            self.line += 1;
            self.line_start = self.at + 1;
        }
        self.at += 1;
    }

    /// Takes bytes while `more` of them and of the rest from them.
    fn step_while(&mut self, more: impl Fn(&Reader<'t>) -> bool) {
        while self.at < self.text.len() && more(self) {
            self.step();
        }
    }

    fn next(&mut self) -> Option<Found<'t>> {
        loop {
            if self.at >= self.text.len() {
                return None;
            }
            match (self.peek(0), self.peek(1)) {
                (b'\n', _) => {
                    self.step();
                    self.begins_line = true;
                }
                (b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c', _) => self.step(),
                (b'\\', b'\n') => self.splice(2),
                (b'\\', b'\r') if self.peek(2) == b'\n' => self.splice(3),
                (b'/', b'/') => self.rest_of_line(),
                (b'/', b'*') => self.comment(),
                (b'#', _) if self.begins_line => return Some(self.directive()),
                _ => return Some(Found::Token(self.token())),
            }
        }
    }

    fn splice(&mut self, length: usize) {
        for _ in 0..length {
            self.step();
        }
    }

    /// Up to the line's end, which is not taken. Lines that end with a backslash go on.
    fn rest_of_line(&mut self) {
        let mut escaped = false;
        while self.at < self.text.len() {
            match self.peek(0) {
                b'\n' if !escaped => return,
                b'\r' => {}
                byte => escaped = byte == b'\\',
            }
            self.step();
        }
    }

    fn comment(&mut self) {
        self.splice(2);
        self.step_while(|here| !(here.peek(0) == b'*' && here.peek(1) == b'/'));
        self.splice(2.min(self.text.len() - self.at.min(self.text.len())));
    }

    fn directive(&mut self) -> Found<'t> {
        let line = self.line;
        self.step();
        self.step_while(|here| matches!(here.peek(0), b' ' | b'\t'));
        let start = self.at;
        self.step_while(|here| is_word(here.peek(0)));
        let name = &self.text[start..self.at];
        // A comment may go on in the next lines, a string may look like one.
        while self.at < self.text.len() && self.peek(0) != b'\n' {
            match (self.peek(0), self.peek(1)) {
                (b'\\', b'\n') => self.splice(2),
                (b'\\', b'\r') if self.peek(2) == b'\n' => self.splice(3),
                (b'/', b'*') => self.comment(),
                (b'/', b'/') => self.rest_of_line(),
                (b'"', _) => self.quoted(b'"'),
                _ => self.step(),
            }
        }
        Found::Directive { name, line }
    }

    /// A string or character; without its second quote it ends with the line.
    fn quoted(&mut self, quote: u8) {
        self.step();
        while self.at < self.text.len() {
            match self.peek(0) {
                b'\n' => return,
                b'\\' => self.splice(2.min(self.text.len() - self.at)),
                byte => {
                    self.step();
                    if byte == quote {
                        return;
                    }
                }
            }
        }
    }

    /// `R"delimiter(...)delimiter"`, from its first quote.
    fn raw_string(&mut self) {
        self.step();
        let start = self.at;
        self.step_while(|here| !matches!(here.peek(0), b'(' | b'\n' | b'"'));
        let end = [b")", &self.text[start..self.at], b"\""].concat();
        self.step_while(|here| !here.text[here.at..].starts_with(&end));
        self.splice(end.len().min(self.text.len() - self.at));
    }

    fn token(&mut self) -> Token {
        self.begins_line = false;
        let place = self.place();
        let start = self.at;
        let first = self.peek(0);
        let kind = match first {
            b'0'..=b'9' => {
                self.step_while(|here| is_word(here.peek(0)) || here.peek(0) == b'.' || here.separates_digits());
                Kind::Literal
            }
            b'"' | b'\'' => {
                self.quoted(first);
                Kind::Literal
            }
            _ if is_word(first) => {
                self.step_while(|here| is_word(here.peek(0)));
                let word = &self.text[start..self.at];
                match (self.peek(0), word) {
                    (b'"', b"R" | b"LR" | b"uR" | b"UR" | b"u8R") => {
                        self.raw_string();
                        Kind::Literal
                    }
                    (quote @ (b'"' | b'\''), b"L" | b"u" | b"U" | b"u8") => {
                        self.quoted(quote);
                        Kind::Literal
                    }
                    _ => word_kind(word),
                }
            }
            b':' if self.peek(1) == b':' => {
                self.splice(2);
                Kind::Scope
            }
            _ => {
                self.step();
                Kind::Punctuation(first)
            }
        };
        Token { kind, place }
    }

    /// The `'` in `1'000`.
    fn separates_digits(&self) -> bool {
        self.peek(0) == b'\'' && is_word(self.peek(1))
    }
}

fn word_kind(word: &[u8]) -> Kind {
    match word {
        b"if" => Kind::If,
        b"else" => Kind::Else,
        b"for" => Kind::For,
        b"while" => Kind::While,
        b"do" => Kind::Do,
        b"switch" => Kind::Switch,
        b"case" | b"default" => Kind::Case,
        b"break" | b"continue" | b"goto" => Kind::Jump,
        b"return" | b"co_return" => Kind::Return,
        _ => Kind::Word,
    }
}

/// What words and numbers consist of; other alphabets have bytes above 127.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}
