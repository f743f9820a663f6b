//! The tokens of a C or C++ file, as far as statements are told by them.

use super::Place;
use std::ops::Range;
use std::sync::OnceLock;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    If,
    Else,
    For,
    While,
    Do,
    Switch,
    Case,
    Default,
    Break,
    /// `continue` and `goto`.
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

/// The lines of a file.
pub(crate) struct Lines<'t> {
    text: &'t [u8],
    /// Where each line begins.
    begins: Vec<u32>,
    /// Where what follows the `#` of directives begins; found when first needed.
    directives: OnceLock<Vec<u32>>,
}

impl<'t> Lines<'t> {
    /// Finds the lines of `text`, if it is not too large.
    pub(crate) fn new(text: &'t [u8]) -> Option<Lines<'t>> {
        u32::try_from(text.len()).ok()?;
        let mut begins = vec![0];
        begins.extend(memchr::memchr_iter(b'\n', text).map(|newline| newline as u32 + 1));
        Some(Lines { text, begins, directives: OnceLock::new() })
    }

    /// The lines of `text`, a part of a file of acceptable size.
    pub(crate) fn of_part(text: &'t [u8]) -> Lines<'t> {
        Lines::new(text).unwrap_or_else(|| Lines { text: &[], begins: vec![0], directives: OnceLock::new() })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.begins.len()
    }

    /// The word that begins at `place`.
    pub(crate) fn word(&self, place: Place) -> &'t [u8] {
        let line = self.begins.get((place.line as usize).wrapping_sub(1));
        let begin = line.map_or(self.text.len(), |line| *line as usize + place.column as usize - 1);
        let rest = self.text.get(begin..).unwrap_or_default();
        &rest[..rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len())]
    }

    /// The lines of the function that begins in `line`; `None` where it is not clear where it ends: at a brace that is not further to the
    /// right than its begin.
    pub(crate) fn function_lines(&self, line: u32) -> Option<Range<u32>> {
        let indent = |line: u32| self.line(line).iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        let first = indent(line)?;
        let count = |brace: u8| memchr::memchr_iter(brace, without_comment(self.line(line))).count();
        if count(b'{') > 0 && count(b'{') == count(b'}') {
            return Some(line..line.checked_add(1)?);
        }
        let is_end = |number: &u32| indent(*number).is_some_and(|at| at <= first && self.line(*number)[at] == b'}');
        let last = (line.checked_add(1)?..self.begins.len() as u32).take(MAX_FUNCTION).find(is_end)?;
        Some(line..last + 1)
    }

    pub(crate) fn line(&self, number: u32) -> &'t [u8] {
        self.text(number..number.saturating_add(1))
    }

    /// The words of these lines, without comments to the end of a line.
    pub(crate) fn words(&self, lines: Range<u32>) -> impl Iterator<Item = &'t [u8]> {
        lines.flat_map(|line| words(without_comment(self.line(line))))
    }

    /// What follows the `#` of each directive and the blanks behind it, up to the end of the file.
    fn directives(&self) -> impl Iterator<Item = &'t [u8]> {
        let text = self.text;
        let begins_line = |at: &usize| {
            let blanks = text[..*at].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            matches!(text[..at - blanks].last(), None | Some(b'\n'))
        };
        let found = self
            .directives
            .get_or_init(|| memchr::memchr_iter(b'#', text).filter(begins_line).map(|at| at as u32 + 1).collect());
        found.iter().map(move |at| behind_blanks(&text[*at as usize..]))
    }

    /// The macros that are defined in the file: name, parameters, what they stand for.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = Definition<'t>> {
        self.directives().filter_map(Definition::read)
    }

    /// The files that are included, as the text has their names.
    pub(crate) fn includes(&self) -> impl Iterator<Item = &'t [u8]> {
        self.directives().filter_map(included)
    }

    /// The lines of this range, which are counted from 1.
    pub(crate) fn text(&self, lines: Range<u32>) -> &'t [u8] {
        let begin = |line: u32| {
            let begin = self.begins.get((line as usize).saturating_sub(1));
            begin.map_or(self.text.len(), |begin| *begin as usize)
        };
        self.text.get(begin(lines.start)..begin(lines.end)).unwrap_or_default()
    }
}

/// A macro.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Definition<'t> {
    pub(crate) name: &'t [u8],
    /// `None` for one that is not called.
    pub(crate) parameters: Option<Vec<&'t [u8]>>,
    pub(crate) body: &'t [u8],
}

impl<'t> Definition<'t> {
    /// Reads a directive, without its `#`.
    fn read(directive: &'t [u8]) -> Option<Definition<'t>> {
        let rest = behind_blanks(directive.strip_prefix(b"define")?);
        let (name, rest) = rest.split_at(rest.iter().position(|byte| !is_word(*byte))?);
        let mut reader = Reader::new(rest, 1);
        reader.rest_of_line();
        let rest = &rest[..reader.at];
        let (parameters, body) = match rest.strip_prefix(b"(") {
            Some(rest) => {
                let end = rest.iter().position(|byte| *byte == b')')?;
                let parameters = rest[..end].split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                // `...` is called otherwise in what the macro stands for.
                let named = parameters.map(|name| if name == b"..." { b"__VA_ARGS__" } else { name });
                (Some(named.collect()), &rest[end + 1..])
            }
            None => (None, rest),
        };
        Some(Definition { name, parameters, body })
    }
}

/// The tokens of some lines of a file that the compiler saw.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    tokens: Vec<Token>,
    /// The position of each bracket's counterpart; of other tokens, and of brackets without one, its own.
    counterparts: Vec<u32>,
    /// The brace that opens the innermost block around each token. A block's own braces are in it.
    blocks: Vec<u32>,
    /// Those that the compiler is not thought to have seen.
    left_out: Option<Box<Tokens>>,
    /// Other files are included between them.
    includes_files: bool,
}

/// How many lines a function may have.
pub(crate) const MAX_FUNCTION: usize = 5_000;

/// How many words there may be between the parameters of a function and its body.
const MAX_SPECIFIERS: usize = 8;

/// No block.
const NONE: u32 = u32::MAX;

impl Tokens {
    /// Reads the lines `wanted` of a file (no comment and no string may go on into them), and what follows up to where the blocks end
    /// that begin there, but not the line `limit`. Of the alternatives that the preprocessor chose among, the one with most of the
    /// lines in `executed` (sorted) counts; those without any do not. `None` where the line numbers are other ones (`#line`).
    pub(crate) fn read(lines: &Lines<'_>, wanted: Range<u32>, limit: u32, executed: &[u32]) -> Option<Tokens> {
        let mut depth = 0;
        Tokens::read_while(lines, wanted.start..limit.max(wanted.end), executed, |line, token| {
            depth += match token {
                Some(Kind::Punctuation(b'{')) => 1,
                Some(Kind::Punctuation(b'}')) => -1,
                _ => 0,
            };
            line < wanted.end || depth > 0
        })
    }

    /// Reads a function that begins in the lines `head` and whose body follows, but not the line `limit`; see [`Tokens::read`].
    pub(crate) fn of_function(lines: &Lines<'_>, head: Range<u32>, limit: u32, executed: &[u32]) -> Option<Tokens> {
        let (mut braces, mut others) = (0, 0);
        let mut is_closed = false;
        Tokens::read_while(lines, head.start..limit.max(head.end), executed, |line, token| {
            match token {
                Some(Kind::Punctuation(b'{')) => braces += 1,
                Some(Kind::Punctuation(b'}')) => braces -= 1,
                Some(Kind::Punctuation(b'(' | b'[')) => others += 1,
                Some(Kind::Punctuation(b')' | b']')) => others -= 1,
                _ => {}
            }
            // Behind an initializer of a member comes another one, or the body.
            let goes_on = matches!(token, Some(Kind::Punctuation(b',' | b'{')));
            let was_closed = is_closed && !goes_on;
            is_closed = match token {
                Some(Kind::Punctuation(b'}')) => braces <= 0 && others <= 0,
                Some(_) => false,
                None => is_closed,
            };
            !was_closed || line < head.end
        })
    }

    /// All tokens of a text without lines of the preprocessor.
    pub(crate) fn of_part(text: &[u8]) -> Tokens {
        let lines = Lines::of_part(text);
        Tokens::read_while(&lines, 1..u32::MAX, &[], |_, _| true).unwrap_or_default()
    }

    /// Reads `wanted` lines, as long as `goes_on` says so, which is given the line and the kind of the last token.
    fn read_while(
        lines: &Lines<'_>,
        wanted: Range<u32>,
        executed: &[u32],
        mut goes_on: impl FnMut(u32, Option<Kind>) -> bool,
    ) -> Option<Tokens> {
        let mut tokens: Vec<Token> = Vec::new();
        let mut alternatives = Alternatives::new(executed);
        let mut reader = Reader::new(lines.text(wanted.clone()), wanted.start);
        let mut last = None;
        let mut includes_files = false;
        while goes_on(reader.line, last) {
            match reader.next() {
                Some(Found::Token(token)) => {
                    last = Some(token.kind);
                    tokens.push(token);
                }
                Some(Found::Directive { name, line }) => {
                    last = None;
                    includes_files |= name == b"include";
                    alternatives.directive(name, line)?;
                }
                None => break,
            }
        }
        let ranges = alternatives.left_out();
        let mut left_out = None;
        if !ranges.is_empty() {
            let mut at = 0;
            let is_seen = |token: &Token| {
                while ranges.get(at).is_some_and(|range| range.end <= token.place.line) {
                    at += 1;
                }
                ranges.get(at).is_none_or(|range| token.place.line < range.start)
            };
            let (seen, unseen): (Vec<Token>, Vec<Token>) = tokens.into_iter().partition(is_seen);
            tokens = seen;
            left_out = Some(Box::new(Tokens::new(unseen, None)));
        }
        Some(Tokens { includes_files, ..Tokens::new(tokens, left_out) })
    }

    fn new(tokens: Vec<Token>, left_out: Option<Box<Tokens>>) -> Tokens {
        let (counterparts, blocks) = pairs(&tokens);
        Tokens { tokens, counterparts, blocks, left_out, includes_files: false }
    }

    /// Is some of the text in other files?
    pub(crate) fn includes_files(&self) -> bool {
        self.includes_files
    }

    /// The tokens that the compiler is not thought to have seen.
    pub(crate) fn left_out(&self) -> Option<&Tokens> {
        self.left_out.as_deref()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The positions of all words.
    pub(crate) fn words(&self) -> impl Iterator<Item = usize> {
        let positions = self.tokens.iter().enumerate();
        positions.filter(|(_, token)| token.kind == Kind::Word).map(|(position, _)| position)
    }

    /// Has each bracket a counterpart?
    pub(crate) fn is_balanced(&self) -> bool {
        let is_bracket =
            |token: &Token| matches!(token.kind, Kind::Punctuation(b'(' | b'[' | b'{' | b')' | b']' | b'}'));
        self.tokens
            .iter()
            .enumerate()
            .all(|(position, token)| !is_bracket(token) || self.counterpart(position).is_some())
    }

    /// The bracket that the token at `position` is in, in the same statement, and how many commas are between them; and how many tokens
    /// were looked at.
    pub(crate) fn bracket_around(&self, position: usize) -> (Option<(usize, usize)>, usize) {
        let (mut commas, mut steps) = (0, 0);
        let mut at = position;
        while let Some(before) = at.checked_sub(1) {
            at = before;
            steps += 1;
            match self.tokens[at].kind {
                Kind::Punctuation(b',') => commas += 1,
                Kind::Punctuation(b')' | b']' | b'}') => at = self.counterpart(at).unwrap_or(at),
                Kind::Punctuation(b'(' | b'[' | b'{') => return (Some((at, commas)), steps),
                Kind::Punctuation(b';') => break,
                _ => {}
            }
        }
        (None, steps)
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

    /// Can the brace at `begin` be the begin of a function's body? Its parameters stand before it, with words (`const`) or an initializer
    /// between them at most; where they are on the lines before, which were not read, nothing does.
    pub(crate) fn follows_parameters(&self, begin: usize) -> bool {
        let before = (0..begin).rev().take(MAX_SPECIFIERS).find(|position| self.kind(*position) != Some(Kind::Word));
        begin == 0 || before.is_some_and(|before| [b')', b']', b'}'].iter().any(|closing| self.is(before, *closing)))
    }

    /// The position of the other bracket of the pair.
    pub(crate) fn counterpart(&self, position: usize) -> Option<usize> {
        self.counterparts.get(position).map(|other| *other as usize).filter(|other| *other != position)
    }
}

/// The name of the file that a directive, without its `#`, includes.
fn included(directive: &[u8]) -> Option<&[u8]> {
    let (open, rest) = behind_blanks(directive.strip_prefix(b"include")?).split_first()?;
    let close = match open {
        b'"' => b'"',
        b'<' => b'>',
        _ => return None,
    };
    let end = rest.iter().take_while(|byte| **byte != b'\n').position(|byte| *byte == close)?;
    Some(&rest[..end])
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
            b"elif" | b"else" | b"elifdef" | b"elifndef" => {
                self.open.last_mut().into_iter().for_each(|group| group.push(line))
            }
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
        let chosen =
            ranges().filter(|range| lines(range) > 0).max_by_key(|range| (lines(range), u32::MAX - range.start));
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

/// Goes through some lines of a file.
struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    line_start: usize,
    /// No token yet on this line.
    begins_line: bool,
}

impl<'t> Reader<'t> {
    /// Reads `text`, whose first line is `line`.
    fn new(text: &'t [u8], line: u32) -> Reader<'t> {
        let at = if line == 1 && text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Reader { text, at, line, line_start: 0, begins_line: true }
    }

    fn peek(&self, distance: usize) -> u8 {
        self.text.get(self.at + distance).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// How far it is to the first byte of the rest that `is` one.
    fn distance(&self, is: impl Fn(u8) -> bool) -> usize {
        let rest = self.rest();
        rest.iter().position(|byte| is(*byte)).unwrap_or(rest.len())
    }

    /// Takes `length` bytes, among which there may be ends of lines.
    fn take(&mut self, length: usize) {
        let end = (self.at + length).min(self.text.len());
        for newline in memchr::memchr_iter(b'\n', &self.text[self.at..end]) {
            self.line += 1;
            self.line_start = self.at + newline + 1;
        }
        self.at = end;
    }

    fn next(&mut self) -> Option<Found<'t>> {
        loop {
            match (*self.text.get(self.at)?, self.peek(1)) {
                (b'\n', _) => {
                    self.take(1);
                    self.begins_line = true;
                }
                (b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c', _) => self.at += 1,
                (b'\\', b'\n' | b'\r') => self.take(2),
                (b'/', b'/') => self.rest_of_line(),
                (b'/', b'*') => self.comment(),
                (b'#', _) if self.begins_line => return Some(self.directive()),
                _ => return Some(Found::Token(self.token())),
            }
        }
    }

    /// Up to the line's end, which is not taken. Lines that end with a backslash go on.
    fn rest_of_line(&mut self) {
        loop {
            self.at += self.distance(|byte| byte == b'\n');
            let line = self.text[..self.at].strip_suffix(b"\r").unwrap_or(&self.text[..self.at]);
            if !line.ends_with(b"\\") || self.at == self.text.len() {
                return;
            }
            self.take(1);
        }
    }

    fn comment(&mut self) {
        let length = memchr::memmem::find(&self.rest()[2..], b"*/").map_or(usize::MAX / 2, |end| end + 4);
        self.take(length);
    }

    fn directive(&mut self) -> Found<'t> {
        let line = self.line;
        self.at += 1;
        self.at += self.distance(|byte| !matches!(byte, b' ' | b'\t'));
        let start = self.at;
        self.at += self.distance(|byte| !is_word(byte));
        let name = &self.text[start..self.at];
        // A comment may go on in the next lines, a string may look like one.
        while self.at < self.text.len() && self.peek(0) != b'\n' {
            match (self.peek(0), self.peek(1)) {
                (b'\\', b'\n') => self.take(2),
                (b'\\', b'\r') if self.peek(2) == b'\n' => self.take(3),
                (b'/', b'*') => self.comment(),
                (b'/', b'/') => self.rest_of_line(),
                (b'"', _) => self.quoted(b'"'),
                _ => self.at += 1,
            }
        }
        Found::Directive { name, line }
    }

    /// A string or character; without its second quote it ends with the line.
    fn quoted(&mut self, quote: u8) {
        self.at += 1;
        loop {
            self.at += self.distance(|byte| byte == quote || byte == b'\\' || byte == b'\n');
            match self.text.get(self.at) {
                Some(b'\\') => self.take(2),
                Some(b'\n') | None => return,
                Some(_) => {
                    self.at += 1;
                    return;
                }
            }
        }
    }

    /// `R"delimiter(...)delimiter"`, from its first quote.
    fn raw_string(&mut self) {
        self.at += 1;
        let length = self.distance(|byte| matches!(byte, b'(' | b'\n' | b'"'));
        let end = [b")", &self.rest()[..length], b"\""].concat();
        let found = memchr::memmem::find(self.rest(), &end);
        self.take(found.map_or(usize::MAX / 2, |at| at + end.len()));
    }

    fn token(&mut self) -> Token {
        self.begins_line = false;
        let place = Place { line: self.line, column: (self.at - self.line_start) as u32 + 1 };
        let first = self.peek(0);
        let kind = match first {
            b'0'..=b'9' => {
                loop {
                    self.at += self.distance(|byte| !is_word(byte) && byte != b'.');
                    // The `'` in `1'000`.
                    if self.peek(0) != b'\'' || !is_word(self.peek(1)) {
                        break;
                    }
                    self.at += 1;
                }
                Kind::Literal
            }
            b'"' | b'\'' => {
                self.quoted(first);
                Kind::Literal
            }
            _ if is_word(first) => {
                let start = self.at;
                self.at += self.distance(|byte| !is_word(byte));
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
                self.at += 2;
                Kind::Scope
            }
            _ => {
                self.at += 1;
                Kind::Punctuation(first)
            }
        };
        Token { kind, place }
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
        b"case" => Kind::Case,
        b"default" => Kind::Default,
        b"break" => Kind::Break,
        b"continue" | b"goto" => Kind::Jump,
        b"return" | b"co_return" => Kind::Return,
        _ => Kind::Word,
    }
}

/// What follows blanks in the same line.
fn behind_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}

/// A line up to the comment at its end, where that is certain.
fn without_comment(line: &[u8]) -> &[u8] {
    let comment = memchr::memmem::find(line, b"//").filter(|_| !line.contains(&b'"'));
    &line[..comment.unwrap_or(line.len())]
}

/// The words and numbers of a text.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !is_word(*byte)).filter(|word| !word.is_empty())
}

/// What words and numbers consist of; other alphabets have bytes above 127.
fn is_word(byte: u8) -> bool {
    WORDS[byte as usize]
}

static WORDS: [bool; 256] = {
    let mut words = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        words[byte] = character.is_ascii_alphanumeric() || matches!(character, b'_' | b'$') || byte >= 0x80;
        byte += 1;
    }
    words
};

#[cfg(test)]
mod tests {
    use super::super::macros::Forms;
    use super::super::statements::{Statements, Words};
    use super::*;

    fn read(text: &str) -> Tokens {
        Tokens::read(&Lines::new(text.as_bytes()).unwrap(), 1..u32::MAX, u32::MAX, &[1]).unwrap()
    }

    fn kinds(text: &str) -> Vec<Kind> {
        read(text).tokens.into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn the_words_of_a_function_end_with_its_body() {
        let text =
            "  int f(int a)\n  {\n    // f\n    g(a, f(1), ff); // f\n    g(\"//\", f);\n  }\nint g() { f(); }\n";
        let lines = Lines::new(text.as_bytes()).unwrap();
        let function = lines.function_lines(1).unwrap();
        assert_eq!(function, 1..7);
        assert_eq!(lines.words(function).filter(|word| *word == b"f").count(), 3);
        assert_eq!(lines.function_lines(7), Some(7..8));
        assert_eq!(Lines::new(b"int f()\n{").unwrap().function_lines(1), None, "it has no end");
    }

    #[test]
    fn comments_and_literals_hide_what_is_in_them() {
        let word = Kind::Word;
        assert_eq!(kinds("/* } */ a // } \\\n still }\nb"), [word, word]);
        assert_eq!(
            kinds(r#"f("}\"}", '}', '\'', L"}", u8'}')"#).iter().filter(|kind| **kind == Kind::Literal).count(),
            5
        );
        assert_eq!(kinds("R\"x(} )\" })x\" 1'000'000.5e3 '}'"), [Kind::Literal; 3]);
        assert_eq!(kinds("a \\\n b\n#define X } \\\n }\n  # pragma }\nc"), [word; 3]);
        assert_eq!(kinds("a::b : c"), [word, Kind::Scope, word, Kind::Punctuation(b':'), word]);
    }

    #[test]
    fn places_are_counted_as_line_tables_do() {
        let tokens = read("\u{feff}int f() {\n\tif (x) /*\n*/ y = 1;\r\n  z;");
        let place = |line, column| tokens.at(Place { line, column }).map(|position| tokens.kind(position).unwrap());
        assert_eq!(place(1, 4), Some(Kind::Word), "behind the byte order mark");
        assert_eq!([place(2, 2), place(3, 4), place(4, 3)], [Some(Kind::If), Some(Kind::Word), Some(Kind::Word)]);
        assert_eq!(place(4, 4), Some(Kind::Punctuation(b';')));
        assert_eq!(place(2, 3), None);
    }

    #[test]
    fn any_text_is_read() {
        let text = "int f(int n) {\n#if X\n switch (n) { case 'a': do { R\"(x)\"; } while (n ? 1 : 2); /* } */ default: return; }\n#endif\n \\\n}";
        let forms = Forms::default();
        let budget = std::cell::Cell::new(0);
        let read_statements = |tokens: &Tokens, text: &str, begin: usize| {
            let lines = Lines::new(text.as_bytes()).unwrap();
            let words = Words { lines: &lines, forms: &forms, rows: None, depth: 0, budget: &budget };
            Statements::read(tokens, begin, words).map(|statements| statements.around(begin).is_empty())
        };
        for end in 0..=text.len() {
            for begin in [0, end / 2] {
                let text = &text[begin..end];
                let tokens = read(text);
                for position in (0..tokens.tokens.len()).filter(|position| tokens.is(*position, b'{')) {
                    assert_ne!(read_statements(&tokens, text, position), Some(true));
                }
            }
        }
        let deep = "{".repeat(100_000) + &"}".repeat(100_000);
        assert!(read_statements(&read(&deep), &deep, 0).is_none());
        let text = "{ for (;;) if (a) { b(); } else switch (c) {} do d; while (e) }";
        assert!(read_statements(&read(text), text, 0).is_some());
    }
}
