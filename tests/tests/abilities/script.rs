//! What a script of abilities is made of.

use std::fmt;

use tests::normalized;

/// A debugger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Debugger {
    Gdb,
    Lldb,
}

/// The language of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    C,
    Cxx,
    Rust,
}

/// What one column of the table stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    pub debugger: Debugger,
    pub language: Language,
    /// How the guest's own compiler optimized: `-O0` or `-O2`.
    pub input: u8,
    /// The engine's optimization level.
    pub level: u8,
}

impl Column {
    /// The bundled program, without `.wasm`.
    pub fn program(&self) -> String {
        let language = match self.language {
            Language::C => "c",
            Language::Cxx => "cxx",
            Language::Rust => "rust",
        };
        format!("abilities/{language}-O{}", self.input)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let debugger = if self.debugger == Debugger::Gdb { "gdb" } else { "lldb" };
        let language = match self.language {
            Language::C => "C",
            Language::Cxx => "C++",
            Language::Rust => "Rust",
        };
        write!(f, "{debugger} {language} -O{} -> {}", self.input, self.level)
    }
}

/// One ability: what a person types, and what the answers must say, in this order.
#[derive(Debug, Clone)]
pub struct Ability {
    /// A row of the table.
    pub row: &'static str,
    pub commands: Vec<String>,
    pub expected: Vec<String>,
}

/// The abilities of one column, in the order of one session.
#[derive(Debug, Default)]
pub struct Script {
    pub abilities: Vec<Ability>,
}

impl Script {
    /// Adds an ability: its row, what is typed, and the parts that the answers must have in this order.
    pub fn can(&mut self, row: &'static str, commands: &[&str], expected: &[&str]) -> &mut Self {
        let own = |items: &[&str]| items.iter().map(|&it| it.to_owned()).collect();
        self.abilities.push(Ability { row, commands: own(commands), expected: own(expected) });
        self
    }

    /// All commands, one after the other.
    pub fn commands(&self) -> Vec<&str> {
        self.abilities.iter().flat_map(|it| it.commands.iter().map(String::as_str)).collect()
    }

    /// Which abilities the answers show: the row, and what is missing if anything is.
    pub fn judge(&self, answers: &[&str]) -> Vec<(&'static str, Result<(), String>)> {
        let mut rest = answers;
        self.abilities
            .iter()
            .map(|ability| {
                let own;
                (own, rest) = rest.split_at(ability.commands.len());
                (ability.row, ability.judge(&own.join("\n")))
            })
            .collect()
    }
}

impl Ability {
    fn judge(&self, answers: &str) -> Result<(), String> {
        let text = normalized(answers);
        let mut rest = text.as_str();
        for part in &self.expected {
            match rest.find(part.as_str()) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return Err(format!("{:?}: expected {part:?} in\n{text}", self.commands)),
            }
        }
        Ok(())
    }
}
