//! perf on jitted code: names, lines, and stacks that are the program's own calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use linux_perf_data::jitdump::{JitDumpReader, JitDumpRecord};
use linux_perf_data::linux_perf_event_reader::RawData;
use tests::{engine, programs, tool};

/// The name under which the linker sees a `main` without parameters.
const MAIN: &str = "__original_main";

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Records the program with perf, whose samples a clock triggers: machines without counters have that, too.
fn record(scratch: &Path, graph: &str, profile: &str) {
    let mut perf = tool("perf", "linux-perf");
    perf.args(["record", "-q", "-k", "mono", "-e", "cpu-clock:u", "-F", "250", "--call-graph", graph, "-o"])
        .arg(scratch.join("perf.data"))
        .arg("--")
        .arg(engine())
        .args(["run", "--profile", profile])
        .arg(programs().join("profile/profile.wasm"))
        .current_dir(scratch);
    run(&mut perf);
}

/// The stacks of the samples, innermost function first, cut behind the guest's `main`.
fn stacks(scratch: &Path, file: &str, fields: &str) -> Vec<Vec<String>> {
    let mut perf = tool("perf", "linux-perf");
    perf.args(["script", "-F", fields, "-i"]).arg(scratch.join(file)).current_dir(scratch);
    let text = String::from_utf8_lossy(&run(&mut perf).stdout).into_owned();
    text.split("\n\n")
        .map(|sample| {
            let mut stack: Vec<String> = Vec::new();
            for frame in sample.lines().filter_map(|line| line.trim().split_once(' ')) {
                let name = frame.1.split([' ', '+']).next().unwrap_or_default();
                stack.push(name.to_owned());
                if name == MAIN {
                    break;
                }
            }
            stack
        })
        .filter(|stack| stack.first().is_some_and(|name| name == "spin"))
        .collect()
}

const LEFT: [&str; 3] = ["spin", "left", MAIN];
const RIGHT: [&str; 6] = ["spin", "right", "right", "right", "right", MAIN];

/// Every sample in `spin` came by one of the two ways that the program has. Before `spin` has its own frame pointer, and
/// once it has restored its caller's, following frame pointers misses the caller: a few samples may hit there.
fn assert_ways(stacks: &[Vec<String>]) {
    assert!(stacks.len() > 10, "too few samples: {stacks:?}");
    let lacks_caller = |stack: &[String]| {
        [&LEFT[..], &RIGHT[..]]
            .iter()
            .any(|way| stack.len() + 1 == way.len() && stack[0] == way[0] && stack[1..] == way[2..])
    };
    let (whole, rest): (Vec<_>, Vec<_>) = stacks.iter().partition(|stack| **stack == LEFT || **stack == RIGHT);
    let wrong: Vec<_> = rest.iter().filter(|stack| !lacks_caller(stack)).collect();
    assert!(wrong.is_empty(), "{} of {} stacks are wrong: {:?}", wrong.len(), stacks.len(), wrong[0]);
    assert!(rest.len() * 5 < stacks.len(), "{} of {} stacks lack the caller", rest.len(), stacks.len());
    let ways: BTreeSet<usize> = whole.into_iter().map(Vec::len).collect();
    assert_eq!(ways, BTreeSet::from([LEFT.len(), RIGHT.len()]));
}

/// The same, but stacks may end early: the files that `perf inject` makes of functions begin 128 bytes before their code,
/// so that those of neighbours overlap, and perf 6.1 stops unwinding where it takes the wrong one.
fn assert_parts_of_ways(stacks: &[Vec<String>]) {
    assert!(stacks.len() > 10, "too few samples: {stacks:?}");
    let is_part = |stack: &[String]| {
        stack.len() > 1 && [&LEFT[..], &RIGHT[..]].iter().any(|way| way.iter().zip(stack).all(|(a, b)| a == b))
    };
    let wrong: Vec<_> = stacks.iter().filter(|stack| !is_part(stack)).collect();
    assert!(wrong.is_empty(), "{} of {} stacks are wrong: {:?}", wrong.len(), stacks.len(), wrong[0]);
    assert!(stacks.iter().any(|stack| *stack == LEFT), "no stack is complete: {stacks:?}");
}

#[test]
fn perf_unwinds_by_the_tables_of_the_jitdump() {
    let scratch = tempfile::tempdir().unwrap();
    record(scratch.path(), "dwarf,16384", "jitdump");
    let mut inject = tool("perf", "linux-perf");
    inject.args(["inject", "--jit", "-i", "perf.data", "-o", "jit.data"]).current_dir(scratch.path());
    run(&mut inject);
    assert_parts_of_ways(&stacks(scratch.path(), "jit.data", "ip,sym"));

    let mut perf = tool("perf", "linux-perf");
    perf.args(["script", "-F", "ip,sym,srcline", "-i", "jit.data"]).current_dir(scratch.path());
    let text = String::from_utf8_lossy(&run(&mut perf).stdout).into_owned();
    let line = tests::line("profile/main.c", "sink += i * i");
    assert!(text.contains(&format!("main.c:{line}")), "no sample has the line of the loop: {text}");
}

/// The crate that samply reads jitdumps with shares no code with what writes them.
#[test]
fn samplys_reader_finds_names_lines_and_unwinding_tables() {
    let scratch = tempfile::tempdir().unwrap();
    let format = format!("jitdump={}", scratch.path().display());
    run(Command::new(engine()).args(["run", "--profile", &format]).arg(programs().join("profile/profile.wasm")));
    let dump = fs::read_dir(scratch.path()).unwrap().next().expect("a file is written").unwrap();
    let mut reader = JitDumpReader::new(File::open(dump.path()).unwrap()).expect("a header");
    let mut functions = BTreeMap::new();
    // Those records come before that of the function's code.
    let (mut lines, mut tables) = (None, None);
    while let Some(record) = reader.next_record().unwrap() {
        match record.parse().expect("a record") {
            JitDumpRecord::CodeDebugInfo(record) => {
                let rows = record.entries.iter().map(|it| (it.code_addr, it.line, text(it.file_path))).collect();
                lines = Some((record.code_addr, rows));
            }
            JitDumpRecord::CodeUnwindingInfo(record) => {
                tables = Some((record.eh_frame.len(), record.eh_frame_hdr.len()))
            }
            JitDumpRecord::CodeLoad(record) => {
                let code = record.code_addr..record.code_addr + record.code_bytes.len() as u64;
                functions.insert(text(record.function_name), (code, lines.take(), tables.take()));
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    let line = tests::line("profile/main.c", "sink += i * i") as u32;
    for name in ["spin", "left", "right", MAIN] {
        let (code, lines, tables) = &functions[name];
        let (start, rows): &(u64, Vec<(u64, u32, String)>) = lines.as_ref().expect("each has lines");
        assert_eq!(*start, code.start, "{name}");
        assert!(rows.iter().all(|(address, line, _)| code.contains(address) && *line > 0), "{name}: {rows:?}");
        assert!(rows.iter().all(|(.., file)| file.ends_with("profile/main.c")), "{name}: {rows:?}");
        assert_eq!(rows.iter().any(|row| row.1 == line), name == "spin", "{name}: {rows:?}");
        assert!(tables.is_some_and(|(frames, header)| frames > 0 && header > 0), "{name}");
    }
}

fn text(bytes: RawData<'_>) -> String {
    String::from_utf8_lossy(&bytes.as_slice()).into_owned()
}

#[test]
fn perf_reads_the_map_and_follows_frame_pointers() {
    let scratch = tempfile::tempdir().unwrap();
    record(scratch.path(), "fp", "perf-map");
    assert_ways(&stacks(scratch.path(), "perf.data", "ip,sym"));
    for entry in fs::read_dir("/tmp").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let own = name.starts_with("perf-") && name.ends_with(".map");
        if own && fs::read_to_string(entry.path()).is_ok_and(|map| map.contains(" spin\n") && map.contains(" right\n"))
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}
