//! Which variables a text assigns.
//!
//! A variable keeps its value if no token of its function that is its name is assigned, increased, or has its address taken,
//! by itself or in a macro. What is not understood counts as an assignment.

use super::Place;
use super::tokens::{Definition, Kind, Lines, Tokens};
use crate::lasting::Declaration;
use rayon::prelude::*;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The functions that a program calls, by their names without template arguments.
#[derive(Debug)]
pub(super) struct Callees<'a> {
    /// There are references, by which a function can assign what it is given.
    has_references: bool,
    /// Whether one of that name takes a reference to what it may assign.
    known: HashMap<&'a [u8], bool>,
}

impl<'a> Callees<'a> {
    pub(super) fn new(has_references: bool) -> Callees<'a> {
        Callees { has_references, known: HashMap::new() }
    }

    pub(super) fn add(&mut self, name: &'a [u8], takes_reference: bool) {
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

/// Which of the variables of `functions` (sorted by their lines, of one file) are never assigned, in the order of the variables.
pub(super) fn never_assigned(
    text: &Lines<'_>,
    functions: &[Function<'_>],
    executed: &[u32],
    callees: &Callees<'_>,
    macros: &Macros<'_>,
) -> Vec<Vec<bool>> {
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
    let lasting = |(function, lines): (&Function<'_>, Option<(Range<u32>, u32)>)| {
        let tokens = lines.and_then(|(head, limit)| Tokens::of_function(text, head, limit, executed));
        let Some(tokens) = tokens else { return vec![false; function.variables.len()] };
        let named = Named::of(&function.variables);
        let budget = &Cell::new(tokens.len().saturating_mul(MAX_STEPS));
        Uses { text, tokens: &tokens, callees, macros, named: &named, budget }.lasting(&function.variables)
    };
    functions.par_iter().zip(lines).map(lasting).collect()
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
}

impl<'t> Macros<'t> {
    /// Adds the macros that a file defines. Of several with one name, each may be meant.
    pub(super) fn add(&mut self, lines: &Lines<'t>, callees: &Callees<'_>) {
        for Definition { name, parameters, body } in lines.definitions() {
            let count = parameters.as_ref().map_or(0, Vec::len);
            let may_assign = may_assign(body);
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
        for position in tokens.words().filter(|position| uses.is_assigned(*position) || tokens.len() == 1) {
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
    body.windows(2).any(assigns) || body.iter().all(is_word)
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
    /// Which of the variables are never assigned.
    fn lasting(&self, variables: &[Declaration<'_>]) -> Vec<bool> {
        let none = vec![false; variables.len()];
        let captures_all = || (0..self.tokens.len()).any(|position| self.captures_all(position));
        if !self.tokens.is_balanced() || self.tokens.includes_files() || self.callees.has_references && captures_all() {
            return none;
        }
        let mut assigned = vec![false; variables.len()];
        let mut assign = |name: &[usize]| name.iter().for_each(|number| assigned[*number] = true);
        let mut declared = vec![false; variables.len()];
        for position in self.tokens.words() {
            let word = self.text.word(self.tokens.place(position));
            if matches!(word, b"asm" | b"__asm__" | b"__asm") {
                return none;
            }
            let of_name = self.named.get(word);
            if of_name.is_empty() || self.is_member(position) {
                continue;
            }
            let line = self.tokens.place(position).line;
            let is_assigned = self.is_assigned(position);
            match of_name.iter().find(|number| variables[**number].line == line && !declared[**number]) {
                Some(&number) => {
                    declared[number] = true;
                    if is_assigned && !self.is_initialized(position) {
                        assign(of_name);
                    }
                }
                None if is_assigned => assign(of_name),
                None => {}
            }
        }
        if let Some(tokens) = self.tokens.left_out() {
            // Which of the alternatives was compiled is a guess.
            let uses = Uses { tokens, ..*self };
            for position in tokens.words() {
                let of_name = self.named.get(self.text.word(tokens.place(position)));
                if !of_name.is_empty() && !uses.is_member(position) && uses.is_assigned(position) {
                    assign(of_name);
                }
            }
        }
        let is_lasting = |(number, variable): (usize, &Declaration<'_>)| {
            declared[number] && !assigned[number] && !self.macros.assigned.contains(variable.name.slice())
        };
        variables.iter().enumerate().map(is_lasting).collect()
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

    /// May the word at `position` be assigned there?
    fn is_assigned(&self, position: usize) -> bool {
        let (before, next) = (position.checked_sub(1), position + 1);
        let is_alone = self.is(before, b'(') && self.is(Some(next), b')');
        // `*v = 1` does not.
        let is_followed = self.is(before, b'*');
        self.is_changed_by_suffix(next)
            || (!is_followed && self.is_assignment(next))
            || (is_alone && (self.is_changed_by_suffix(next + 1) || self.is_assignment(next + 1)))
            || self.is_changed_by_prefix(position)
            || self.is_assigned_by_call(position)
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
        if self.leads_elsewhere(position) {
            return false;
        }
        let two = position.checked_sub(2);
        if self.are(two, b"++") || self.are(two, b"--") {
            return true;
        }
        if self.callees.has_references && (self.are(two, b">>") || self.is_bound(position)) {
            return true;
        }
        if !self.is(position.checked_sub(1), b'&') || self.are(two, b"&&") {
            return false;
        }
        // What comes before a binary `&` is a value. A parenthesis may be a cast's.
        match two.and_then(|before| self.tokens.kind(before)) {
            Some(Kind::Word | Kind::Literal) => false,
            Some(Kind::Punctuation(character)) => character != b']',
            _ => true,
        }
    }

    /// `auto &reference = v`.
    fn is_bound(&self, position: usize) -> bool {
        let [equals, name, ampersand] = [1, 2, 3].map(|distance| position.checked_sub(distance));
        let is_word = name.and_then(|name| self.tokens.kind(name)) == Some(Kind::Word);
        self.is(equals, b'=') && is_word && self.is(ampersand, b'&')
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
        never_assigned(&lines, &[function], &[], callees, &macros).remove(0)
    }

    /// Functions of a C program.
    fn in_c() -> Callees<'static> {
        let mut callees = Callees::new(false);
        ["f", "g", "max"].iter().for_each(|name| callees.add(name.as_bytes(), false));
        callees
    }

    /// Does parameter `v` of a C function with this body keep its value?
    fn keeps(body: &str) -> bool {
        lasting(&format!("int f(int v)\n{{ {body}\n}}\n"), &in_c(), &[("v", 1)])[0]
    }

    /// The same in C++, where functions take references: `swap` and others that are not known.
    fn keeps_in_cxx(body: &str) -> bool {
        let mut callees = Callees::new(true);
        callees.add(b"swap<int>", true);
        callees.add(b"max<int>", false);
        lasting(&format!("int f(int v)\n{{ {body}\n}}\n"), &callees, &[("v", 1)])[0]
    }

    #[test]
    fn a_variable_that_is_only_read_keeps_its_value() {
        for body in [
            "return v + 1;",
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
