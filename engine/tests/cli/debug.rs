//! `wasmscope debug`: which command line the debugger gets.

use crate::{Ended, Folder, bundled, wasmscope};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A program that stands in for a debugger and prints its arguments, one a line.
fn stand_in(folder: &Folder, name: &str) {
    let path = folder.file(name, "#!/bin/sh\nfor argument; do printf '%s\\n' \"$argument\"; done\n");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn debug(path: &Folder, arguments: &[&str], program: &Path) -> Ended {
    let home = Folder::new();
    let mut command = wasmscope();
    command.arg("debug").args(arguments).arg(program).args(["one", "-g"]);
    command.env("PATH", path.0.path()).env("HOME", home.0.path()).env_remove("XDG_CACHE_HOME");
    let ended = Ended::of(command.output().unwrap());
    // The helpers are there when the debugger reads them, long after `wasmscope debug` is gone.
    for line in ended.stdout.lines().filter(|line| line.contains("helpers") || line.contains("wasmscope_")) {
        let start = line.find(home.0.path().to_str().unwrap()).expect("the helpers lie in the user's cache");
        let path = line[start..].trim_end_matches('"');
        assert!(Path::new(path).is_file(), "{path}");
    }
    ended
}

#[test]
fn gdb_gets_the_program_and_the_breakpoints() {
    let tools = Folder::new();
    stand_in(&tools, "gdb");
    let program = bundled("records/records.wasm");
    let ended = debug(&tools, &["--break", "main", "--break", "main.c:12", "--opt-level", "0"], &program);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let arguments: Vec<&str> = ended.stdout.lines().collect();
    assert!(arguments.contains(&"break main") && arguments.contains(&"break main.c:12"), "{arguments:?}");
    let at = arguments.iter().position(|&argument| argument == "--args").expect("gdb is told what to run");
    let program = program.to_str().unwrap();
    let expected = ["run", "-g", "--opt-level", "0", "--debugger", "gdb", "--cache", "--", program, "one", "-g"];
    assert_eq!(arguments[at + 2..], expected);
    assert_eq!(Path::new(arguments[at + 1]).canonicalize().unwrap(), {
        Path::new(env!("CARGO_BIN_EXE_wasmscope")).canonicalize().unwrap()
    });
}

#[test]
fn code_is_kept_where_it_is_wanted() {
    let tools = Folder::new();
    stand_in(&tools, "gdb");
    let program = bundled("records/records.wasm");
    let options = |options: &[&str]| {
        let ended = debug(&tools, options, &program);
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        ended.stdout.lines().filter(|line| line.starts_with("--cache")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(options(&[]), ["--cache"]);
    assert_eq!(options(&["--cache=/elsewhere"]), ["--cache=/elsewhere"]);
    assert!(options(&["--no-cache"]).is_empty());
    // Without a place for it, the program is debugged all the same.
    let mut command = wasmscope();
    command.arg("debug").arg(&program).env("PATH", tools.0.path()).env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let ended = Ended::of(command.output().unwrap());
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    assert!(!ended.stdout.contains("--cache"), "{}", ended.stdout);
}

#[test]
fn lldb_gets_pointers_made_for_it() {
    let tools = Folder::new();
    stand_in(&tools, "lldb");
    let ended = debug(&tools, &["--debugger", "lldb"], &bundled("records/records.wasm"));
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("--debugger\nlldb\n"), "{}", ended.stdout);
}

#[test]
fn a_missing_debugger_or_program_is_said() {
    let empty = Folder::new();
    for (debugger, package) in [("gdb", "apt-get install gdb"), ("lldb", "apt-get install lldb")] {
        let ended = debug(&empty, &["--debugger", debugger], &bundled("records/records.wasm"));
        assert_eq!(ended.status, Some(1));
        assert!(ended.stderr.contains(package), "{}", ended.stderr);
    }
    stand_in(&empty, "gdb");
    let ended = debug(&empty, &[], Path::new("/nonexistent/x.wasm"));
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("`/nonexistent/x.wasm` cannot be read"), "{}", ended.stderr);
}
