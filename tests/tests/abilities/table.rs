//! The table itself, and its form as a page.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::{env, fs};

use crate::ROWS;
use crate::script::{Column, Debugger, Language};

/// What is known of one ability in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Yes,
    /// What was missing in the answers.
    No(String),
    /// Not met, for a known reason.
    Exception(&'static str),
}

/// All cells.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    cells: BTreeMap<(Column, &'static str), Cell>,
}

impl Table {
    pub fn new(columns: &[Column]) -> Table {
        Table { columns: columns.to_vec(), cells: BTreeMap::new() }
    }

    /// Adds what one of a row's questions gave: the cell is met if all of them are.
    pub fn add(&mut self, column: Column, row: &'static str, result: Result<(), String>) {
        let cell = self.cells.entry((column, row)).or_insert(Cell::Yes);
        match (&mut *cell, result) {
            (Cell::No(why), Err(more)) => why.push_str(&more),
            (_, Err(why)) => *cell = Cell::No(why),
            _ => {}
        }
    }

    pub fn cells_mut(&mut self) -> impl Iterator<Item = (&Column, &&'static str, &mut Cell)> {
        self.cells.iter_mut().map(|((column, row), cell)| (column, row, cell))
    }

    /// The page: a table for each debugger, a column for each language; a cell has its inputs and levels.
    fn page(&self) -> String {
        let mut page = String::from(
            "# What can be done at the prompt\n\nWritten by `BLESS=1 cargo test -p tests --test abilities`, which asks \
             gdb 13 and lldb 19 and checks each answer. `yes`: with -O0 and -O2 input, at each of the levels. \
             `-`: nothing to ask in that language.\n",
        );
        let mut notes: Vec<&str> = Vec::new();
        for (debugger, name) in [(Debugger::Gdb, "gdb 13"), (Debugger::Lldb, "lldb 19")] {
            if !self.cells.keys().any(|(column, _)| column.debugger == debugger) {
                continue;
            }
            let levels: Vec<String> = [0, 2]
                .into_iter()
                .filter(|&level| self.columns.iter().any(|column| column.level == level))
                .map(|level| level.to_string())
                .collect();
            let _ = writeln!(page, "\n## {name}, `--opt-level` {}\n", levels.join(" and "));
            page.push_str("| ability | C | C++ | Rust |\n| --- | --- | --- | --- |\n");
            for row in ROWS {
                // This table may ask for less than the other one.
                if !self.cells.keys().any(|(_, it)| it == row) {
                    continue;
                }
                let _ = write!(page, "| {row} |");
                for language in [Language::C, Language::Cxx, Language::Rust] {
                    let _ = write!(page, " {} |", self.summary(debugger, language, row, &mut notes));
                }
                page.push('\n');
            }
        }
        for (index, note) in notes.iter().enumerate() {
            let _ = write!(page, "\n({}) {note}\n", index + 1);
        }
        page
    }

    fn summary(
        &self,
        debugger: Debugger,
        language: Language,
        row: &'static str,
        notes: &mut Vec<&'static str>,
    ) -> String {
        let cells: Vec<(&Column, Option<&Cell>)> = self
            .columns
            .iter()
            .filter(|column| (column.debugger, column.language) == (debugger, language))
            .map(|column| (column, self.cells.get(&(*column, row))))
            .collect();
        if cells.iter().all(|(_, cell)| cell.is_none()) {
            return "-".to_owned();
        }
        if cells.iter().all(|(_, cell)| cell == &Some(&Cell::Yes)) {
            return "yes".to_owned();
        }
        let mut parts = Vec::new();
        for (column, cell) in cells {
            let answer = match cell {
                Some(Cell::Yes) => "yes".to_owned(),
                Some(Cell::Exception(reason)) => {
                    let at = notes.iter().position(|note| note == reason).unwrap_or_else(|| {
                        notes.push(reason);
                        notes.len() - 1
                    });
                    format!("no ({})", at + 1)
                }
                Some(Cell::No(_)) => "no".to_owned(),
                None => "-".to_owned(),
            };
            parts.push(format!("-O{} at {}: {answer}", column.input, column.level));
        }
        parts.join(", ")
    }

    /// Compares the page with the one in `docs/`, or writes it there.
    #[track_caller]
    pub fn compare_with(&self, name: &str) {
        let path = tests::package().join("../docs").join(name);
        let page = self.page();
        if env::var_os("BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &page).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == page, "docs/{name} is not what the debuggers answer (BLESS=1 writes it):\n{page}");
    }
}
