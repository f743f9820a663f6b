//! What kinds of statements macros stand for.
//!
//! Many are `do { ... } while (0)`, some nothing, a `?:` or the begin of a loop. Which of several definitions of one name holds is not known;
//! they count where they are of one kind.

use super::statements::{Choice, Shape, Statements, Words};
use super::tokens::{Definition, Lines, Tokens};
use foldhash::HashMap;
use std::cell::Cell;

/// What a macro stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// No code.
    Nothing,
    /// `do { ... } while (0)`, see [`Shape::Once`].
    Once {
        joins: Option<usize>,
        is_empty: bool,
    },
    /// `?:`, `&&` or `||`, see [`Shape::Choice`].
    Choice(Choice),
    /// `for (...)` or `while (...)`, see [`Shape::Loop`].
    Loop {
        is_for: bool,
        has_next: bool,
        has_condition: bool,
    },
    Other,
}

/// The macros that may be statements, by their names.
#[derive(Debug, Default)]
pub(super) struct Forms<'t> {
    definitions: HashMap<&'t [u8], Vec<Definition<'t>>>,
}

/// How many macros may stand for one another.
const MAX_DEPTH: u32 = 8;

/// How many definitions of one name are looked at, and how long those of statements may be.
const MAX_DEFINITIONS: usize = 4;
const LONGEST: usize = 8192;

/// How many bytes of macros are read for one function: they may stand for one another over and over.
pub(super) const MAX_BYTES: usize = 1 << 18;

impl<'t> Forms<'t> {
    /// Adds the macros that a file defines.
    pub(super) fn add(&mut self, lines: &Lines<'t>) {
        for definition in lines.definitions().filter(|definition| may_be_statement(definition.body)) {
            self.definitions.entry(definition.name).or_default().push(definition);
        }
    }

    /// What the macro `name` stands for, where it is called or not and has a row or not. `depth` macros stand for this one, and `budget`
    /// bytes of others may be read.
    pub(super) fn find(
        &self,
        name: &[u8],
        calls: bool,
        has_row: Option<bool>,
        (depth, budget): (u32, &Cell<usize>),
    ) -> Option<Form> {
        let definitions = self.definitions.get(name)?;
        if depth >= MAX_DEPTH || definitions.len() > MAX_DEFINITIONS {
            return None;
        }
        let mut found = None;
        for definition in definitions.iter().filter(|definition| definition.parameters.is_some() == calls) {
            budget.set(budget.get().checked_sub(definition.body.len())?);
            let form = self.form(definition, (depth + 1, budget));
            let is_silent = matches!(form, Form::Nothing | Form::Once { is_empty: true, .. });
            // What has code has a row.
            if has_row.is_some_and(|has_row| has_row == is_silent) {
                continue;
            }
            // Within a macro, one of them may be nothing.
            let may_be_once = |it: &Form| matches!(it, Form::Once { .. }) || has_row.is_none() && *it == Form::Nothing;
            let are_once = |other: Form| [form, other].iter().all(may_be_once);
            found = match found {
                Some(other) if other == form => Some(form),
                Some(other) if are_once(other) => Some(Form::Once { joins: None, is_empty: false }),
                Some(_) => return Some(Form::Other),
                None => Some(form),
            };
        }
        found
    }

    fn form(&self, definition: &Definition<'_>, (depth, budget): (u32, &Cell<usize>)) -> Form {
        let (lines, tokens) = (Lines::of_part(definition.body), Tokens::of_part(definition.body));
        if tokens.len() == 0 {
            return Form::Nothing;
        }
        let words = Words { lines: &lines, forms: self, rows: None, depth, budget };
        if let Some(form) = Statements::loop_of_macro(&tokens, words) {
            return form;
        }
        let Some(statements) = Statements::of_macro(&tokens, words) else {
            // What others stand for may be parts of statements.
            let runs_once = Statements::runs_once(&tokens, words);
            return if runs_once { Form::Once { joins: None, is_empty: false } } else { Form::Other };
        };
        match statements.shape(statements.root()) {
            Shape::Nothing => Form::Nothing,
            Shape::Once { joins, is_empty } => Form::Once { joins: *joins, is_empty: *is_empty },
            Shape::Choice(choice) => Form::Choice(*choice),
            Shape::Do { body, repeats: false, .. } => {
                Form::Once { joins: statements.joins_at_end(statements.root()), is_empty: statements.is_empty(*body) }
            }
            _ => Form::Other,
        }
    }
}

/// Can what a macro stands for be a statement? Most are a number or a text.
fn may_be_statement(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let is_first = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'(' | b'\\' | b'/');
    body.len() <= LONGEST && body.first().is_none_or(is_first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, name: &str, calls: bool, has_row: Option<bool>) -> Option<Form> {
        let mut forms = Forms::default();
        forms.add(&Lines::new(text.as_bytes()).unwrap());
        forms.find(name.as_bytes(), calls, has_row, (0, &Cell::new(MAX_BYTES)))
    }

    #[test]
    fn statements_that_macros_stand_for_are_known() {
        let text = "#define EMPTY do {} while (0)
#define QUIET(x) ((void)0)
#define NONE
#define CHECK(c) do { if (!(c)) return; } while (false)
#define BOTH(c) \\
    do { \\
        one(); \\
        CHECK(c); \\
    } while (0)
#define ASSERT(c) ((c) ? (void)0 : die(#c))
#define EITHER(a, b) (void)((a) || (b))
#define EACH(i, n) for (int i = 0; i < (n); i++)
#define FOREVER() for (;;)
#define MAX 7
#define NEXT(x) x = MIN(x, 7)
";
        let once = |joins, is_empty| Some(Form::Once { joins: Some(joins), is_empty });
        let each = Form::Loop { is_for: true, has_next: true, has_condition: true };
        let forever = Form::Loop { is_for: true, has_next: false, has_condition: false };
        for (name, calls, form) in [
            ("EMPTY", false, once(0, true)),
            ("QUIET", true, Some(Form::Nothing)),
            ("NONE", false, Some(Form::Nothing)),
            ("CHECK", true, once(1, false)),
            ("BOTH", true, once(1, false)),
            ("ASSERT", true, Some(Form::Choice(Choice { has_value: Some(false), joins: 1 }))),
            ("EITHER", true, Some(Form::Choice(Choice { has_value: Some(true), joins: 1 }))),
            ("EACH", true, Some(each)),
            ("FOREVER", true, Some(forever)),
            ("MAX", false, None),
            ("NEXT", true, Some(Form::Other)),
            ("CHECK", false, None),
        ] {
            assert_eq!(find(text, name, calls, None), form, "{name}");
        }
    }

    #[test]
    fn of_several_definitions_those_count_that_may_have_the_code() {
        let text = "#define A(c) do { if (c) die(); } while (0)\n#define A(c) do {} while (0)\n";
        let once = |joins, is_empty| Some(Form::Once { joins, is_empty });
        assert_eq!(find(text, "A", true, None), once(None, false));
        assert_eq!(find(text, "A", true, Some(true)), once(Some(1), false));
        assert_eq!(find(text, "A", true, Some(false)), once(Some(0), true));
        let text = "#define A(c) do { if (c) die(); } while (0)\n#define A(c) die()\n";
        assert_eq!(find(text, "A", true, Some(true)), Some(Form::Other));
    }

    #[test]
    fn macros_that_stand_for_themselves_come_to_an_end() {
        let body = "A(); ".repeat(1000);
        let text = format!("#define A() do {{ {body} }} while (0)\n");
        let form = find(&text, "A", true, None);
        assert_eq!(form.map(|form| matches!(form, Form::Once { joins: Some(0), .. })), Some(true));
    }

    #[test]
    fn macros_are_read_once_where_they_stand() {
        // Were each read twice, the innermost would be read 128 times.
        let mut text = format!("#define M0(c) do {{ if (c) die(); /* {} */ }} while (0)\n", " ".repeat(4096));
        for number in 1..MAX_DEPTH {
            text += &format!("#define M{number}(c) M{}(c)\n", number - 1);
        }
        let last = format!("M{}", MAX_DEPTH - 1);
        assert_eq!(find(&text, &last, true, None), Some(Form::Once { joins: Some(1), is_empty: false }));
    }

    #[test]
    fn how_many_blocks_end_in_a_macro_need_not_be_known() {
        let text = "#define A(c) do { if (c) BEGIN one(); END while (0)
#define B(c) do { (c) ? one() : two(); } while (0)
#define C(c) do { A(c); E(c); } while (0)
#define E(c) do { if (c) one(); } while (0)
#define E(c)
#define D(c) if (c) BEGIN one(); END
";
        let unknown = Some(Form::Once { joins: None, is_empty: false });
        for (name, form) in [("A", unknown), ("B", unknown), ("C", unknown), ("D", Some(Form::Other))] {
            assert_eq!(find(text, name, true, Some(true)), form, "{name}");
        }
    }
}
