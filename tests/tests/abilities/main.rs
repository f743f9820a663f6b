//! One table: debugger x program x input x optimization level x ability. Each cell is asserted by the debugger's answer.
//!
//! A script (`gdb.rs`, `lldb.rs`) lists for one column what is typed and what the answers must say. A cell that is not met
//! must be named in `EXCEPTIONS` with the reason, and one that is named must not be met. The result is
//! `docs/abilities.md`; `BLESS=1` writes it anew.

mod gdb;
mod lldb;
mod reach;
mod script;
mod table;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use reach::Reach;
use script::{Column, Debugger, Language, Script};
use table::{Cell, Table};
use tests::Session;

/// The rows of the table, in order.
pub const ROWS: &[&str] = &[
    "`main` is the guest's",
    "break at a function",
    "break at a line",
    "conditional breakpoint",
    "temporary breakpoint",
    "backtrace in one piece",
    "up, down",
    "recursion",
    "next",
    "step into",
    "finish with its value",
    "run to a line",
    "arguments",
    "locals",
    "file-scope variables",
    "follow pointers",
    "strings",
    "arrays and slices",
    "structs and enums",
    "raw memory",
    "expressions",
    "casts to pointers",
    "function pointers by name",
    "calls of functions",
    "reverse debugging",
    "containers",
    "dynamic types",
    "references and methods",
    "types",
    "source and symbols",
    "instructions and registers",
    "set a variable",
    "set through a pointer",
    "watch a variable",
    "watch through a pointer",
    "display",
    "a trap stops at its line",
    "the engine reports the trap",
    "`wasmscope debug`",
    "completion of names",
    "to the end without a stop",
    "attach to a process",
    "detach",
    "a core file",
    "through a debug server",
    "an instance on each thread",
    "a forked child",
    "an executed program",
];

/// The row that needs gdb itself to be able to call functions.
const CALLS: &str = "calls of functions";

/// Cells that are not met, and why: a row, which columns, the reason.
type Exception = (&'static str, fn(&Column) -> bool, &'static str);

const EXCEPTIONS: &[Exception] = &[];

/// More of them where the process has no capabilities and `vm.mmap_min_addr` is in force.
const UNPRIVILEGED_EXCEPTIONS: &[Exception] = &[
    ("raw memory", lldb_on_c, PAGE_ZERO),
    ("strings", lldb_on_c, PAGE_ZERO),
    ("a core file", gdb_on_c_and_cxx, LOW_CORE),
    ("through a debug server", gdb_on_c_and_cxx, LOW_SERVER),
];

const PAGE_ZERO: &str =
    "the C program's texts lie below `vm.mmap_min_addr`, where lldb's `memory read` does not find them";

const LOW_CORE: &str = "the programs' texts lie below `vm.mmap_min_addr`, and gdb itself reads core files; variables and pointers elsewhere \
     are shown";

const LOW_SERVER: &str = "the programs' texts lie below `vm.mmap_min_addr`, where gdbserver does not read; variables and pointers elsewhere \
     are shown";

fn gdb_on_c_and_cxx(column: &Column) -> bool {
    column.debugger == Debugger::Gdb && column.language != Language::Rust
}

fn lldb_on_c(column: &Column) -> bool {
    column.debugger == Debugger::Lldb && column.language == Language::C
}

/// The columns of the table.
fn columns() -> Vec<Column> {
    let mut columns = Vec::new();
    for debugger in [Debugger::Gdb, Debugger::Lldb] {
        for language in [Language::C, Language::Cxx, Language::Rust] {
            for input in [0, 2] {
                for level in [0, 2] {
                    columns.push(Column { debugger, language, input, level });
                }
            }
        }
    }
    columns
}

/// What is typed in a column, in the session of which most is asked.
fn script(column: &Column) -> Script {
    match column.debugger {
        Debugger::Gdb => gdb::script(column),
        Debugger::Lldb => lldb::script(column),
    }
}

/// Runs one session of a column: the one that starts the program in the debugger, or one that reaches it otherwise.
fn session(column: &Column, reach: Option<Reach>, privileged: bool) -> Vec<(&'static str, Result<(), String>)> {
    let session = Session::new(&column.program(), column.level).privileged(privileged);
    let mut script = match reach {
        Some(reach) => reach::script(column, reach),
        None => script(column),
    };
    let cannot_call = column.debugger == Debugger::Gdb && !tests::gdb_calls_functions();
    let mut untried = Vec::new();
    if cannot_call {
        untried.extend(script.abilities.extract_if(.., |it| it.row == CALLS).map(|it| (it.row, Ok(()))));
    }
    let commands = script.commands();
    let answers = || match (reach, column.debugger) {
        (Some(reach), _) => reach::answers(column, reach, &session, &commands),
        (None, Debugger::Gdb) => session.run(&commands),
        (None, Debugger::Lldb) => session.run_lldb(&commands),
    };
    let mut said = answers();
    // lldb-server 19 does not always survive that a process of several threads executes another.
    for _ in 1..5 {
        if !said.transcript().contains("lost connection") {
            break;
        }
        said = answers();
    }
    let texts: Vec<&str> = (0..commands.len()).map(|index| said.answer(index)).collect();
    // The page tells what can be done where gdb itself can call functions.
    [script.judge(&texts), untried].concat()
}

/// Runs the sessions of all columns, two at a time.
fn run(columns: &[Column], privileged: bool, reaches: &[Reach]) -> Table {
    let reaches = || [None].into_iter().chain(reaches.iter().copied().map(Some));
    let sessions: Vec<_> = columns.iter().flat_map(|column| reaches().map(move |reach| (column, reach))).collect();
    let next = AtomicUsize::new(0);
    let table = Mutex::new(Table::new(columns));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((column, reach)) = sessions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for (row, result) in session(column, *reach, privileged) {
                        assert!(ROWS.contains(&row), "the table has no row {row:?}");
                        table.lock().unwrap().add(**column, row, result);
                    }
                }
            });
        }
    });
    table.into_inner().unwrap()
}

/// Holds the exceptions against the table: the cells that differ, as text.
fn differences(table: &mut Table, exceptions: &[&[Exception]]) -> String {
    let mut wrong = BTreeMap::new();
    for (column, row, cell) in table.cells_mut() {
        let reason = exceptions.iter().copied().flatten().find(|(it, applies, _)| it == row && applies(column));
        match (reason, &*cell) {
            (None, Cell::No(why)) => _ = wrong.insert((*column, *row), why.clone()),
            (Some(_), Cell::Yes) => _ = wrong.insert((*column, *row), "an exception, but met".to_owned()),
            (Some((_, _, reason)), Cell::No(_)) => *cell = Cell::Exception(reason),
            _ => {}
        }
    }
    wrong.iter().map(|((column, row), why)| format!("{column}: {row}: {why}\n")).collect()
}

#[test]
fn the_table_of_abilities() {
    let mut table = run(&columns(), true, reach::ALL);
    let wrong = differences(&mut table, &[EXCEPTIONS]);
    assert!(wrong.is_empty(), "{wrong}");
    table.compare_with("abilities.md");
}

/// A user without capabilities: the identity map has a hole below `vm.mmap_min_addr`, and code does not run on it.
#[test]
fn the_table_of_abilities_without_privileges() {
    let columns: Vec<Column> = columns().into_iter().filter(|column| column.level == 2).collect();
    let mut table = run(&columns, false, &[Reach::Attach, Reach::Core, Reach::Remote]);
    let wrong = differences(&mut table, &[EXCEPTIONS, UNPRIVILEGED_EXCEPTIONS]);
    assert!(wrong.is_empty(), "{wrong}");
    table.compare_with("abilities-unprivileged.md");
}
