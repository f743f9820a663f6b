//! `wasmscope debug --core`: core files in both debuggers, and files that are none or not whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::{assert_in_order, core_of, engine, everything_said, normalized, programs, tool};

fn gdb_core(program: &[&str], stop: &str, file: &Path) {
    core_of(tool("gdb", "gdb"), program, stop, file);
}

fn guest_core(options: &[&str], file: &Path) {
    let engine = engine().display().to_string();
    let command = [&[engine.as_str(), "run"], options, &["abilities/c-O0.wasm"]].concat();
    gdb_core(&command, "break score", file);
}

/// What `wasmscope debug --core` answers.
fn debug(core: &Path, debugger: &str, commands: &[&str]) -> String {
    let (quiet, option): (&[&str], _) = match debugger {
        "gdb" => (&["-batch", "-nx", "-iex", "set auto-load no", "-ex", "set width 0"], "-ex"),
        _ => (&["-x", "-b", "-O", "settings set use-color false"], "-o"),
    };
    let mut debug = Command::new(engine());
    debug.args(["debug", "--debugger", debugger, "--core"]).arg(core).current_dir(programs()).stdin(Stdio::null());
    debug.args(quiet.iter().map(|argument| format!("--debugger-arg={argument}")));
    for command in commands {
        debug.args([format!("--debugger-arg={option}"), format!("--debugger-arg={command}")]);
    }
    everything_said(debug)
}

#[test]
fn the_memory_of_a_core_file_is_known_to_the_helpers() {
    let scratch = tempfile::tempdir().unwrap();
    // Names that gdb would take for the number of a process, or for two files.
    for (debugger, name, command) in [("gdb", "4711", "wasm memory"), ("lldb", "a core file", "wasm-memory")] {
        let core = scratch.path().join(name);
        guest_core(&["-g", "--debugger", debugger], &core);
        let said = debug(&core, debugger, &["bt 1", command]);
        assert_in_order(
            &said,
            &["score", "(it=0x?, bonus=10)", "memory 0: ", " KiB at 0x", "identity map: wasm addresses 0"],
        );
    }
}

/// A trap's own core file, where the system writes one here.
#[test]
fn gdb_names_the_trap_that_left_a_core_file() {
    let scratch = tempfile::tempdir().unwrap();
    let status = Command::new(engine())
        .args(["run", "-g", "--core"])
        .arg(programs().join("trap/trap.wasm"))
        .arg("memory")
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let files = fs::read_dir(scratch.path()).unwrap().flatten().map(|entry| entry.path());
    let Some(core) = files.into_iter().find(|path| path.display().to_string().contains("/core")) else {
        assert!(!status.success());
        return;
    };
    let said = debug(&core, "gdb", &["bt 2"]);
    assert_in_order(&said, &["out_of_bounds ()", "wasm trap: out of bounds memory access at wasm address 0x?", "#1 "]);
}

/// A file that cannot be debugged, with the reason for it.
fn assert_refused(core: &Path, debugger: &str, parts: &[&str]) {
    let said = debug(core, debugger, &["bt"]);
    assert!(said.starts_with("error: "), "{said}");
    assert!(said.contains(&normalized(&core.display().to_string())), "the file is named: {said}");
    assert_in_order(&said, parts);
    assert!(!said.contains("#0"), "no debugger was started: {said}");
}

#[test]
fn what_is_no_core_file_of_a_guest_is_refused_with_the_reason() {
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name);
    let written = |name: &str, bytes: &[u8]| -> PathBuf {
        fs::write(place(name), bytes).unwrap();
        place(name)
    };
    assert_refused(&place("missing"), "gdb", &["cannot be read: No such file"]);
    assert_refused(scratch.path(), "gdb", &["is not a core file: it is no file"]);
    assert_refused(&written("empty", b""), "gdb", &["is not a core file", "ELF"]);
    assert_refused(&written("text", b"a text that is long enough for a header"), "gdb", &["is not a core file", "ELF"]);
    assert_refused(engine(), "gdb", &["is not a core file", "a program or library"]);

    let core = place("core");
    guest_core(&["-g"], &core);
    let whole = fs::read(&core).unwrap();
    assert_refused(&core, "lldb", &["is for gdb"]);
    for share in [1, 50, 99] {
        let cut = written("cut", &whole[..whole.len() * share / 100]);
        assert_refused(&cut, "gdb", &[&format!("is cut off: it has {} of ", whole.len() * share / 100)]);
    }
    for len in [4, 16, 63] {
        assert_refused(&written("cut", &whole[..len]), "gdb", &["is not a core file"]);
    }
    let mut foreign = whole;
    // e_machine: that of SPARC.
    foreign[18..20].copy_from_slice(&[2, 0]);
    assert_refused(&written("foreign", &foreign), "gdb", &["is not a core file", "another kind of machine"]);

    guest_core(&["-g", "--debugger", "lldb"], &core);
    assert_refused(&core, "gdb", &["is for lldb: add `--debugger lldb`"]);
    gdb_core(&["sleep", "1"], "break __libc_start_main", &core);
    assert_refused(&core, "gdb", &["was left by `/", "sleep`, which has no code for debuggers"]);
    gdb_core(&[&engine().display().to_string(), "run", "abilities/c-O0.wasm"], "break _exit", &core);
    assert_refused(&core, "gdb", &["it showed no guest code to debuggers: run it with `-g`"]);
}

#[test]
fn the_program_that_left_a_core_file_must_be_there_unchanged() {
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("copy");
    fs::copy(engine(), &copy).unwrap();
    let core = scratch.path().join("core");
    gdb_core(&[&copy.display().to_string(), "run", "-g", "abilities/c-O0.wasm"], "break score", &core);
    assert_in_order(&debug(&core, "gdb", &["bt 1"]), &["#0  score (it=0x?, bonus=10)"]);
    let mut built_anew = fs::read(&copy).unwrap();
    // e_shoff, which differs from one build to the next.
    built_anew[40] ^= 8;
    fs::write(&copy, built_anew).unwrap();
    assert_refused(&core, "gdb", &["/copy`, which was built anew since"]);
    fs::remove_file(&copy).unwrap();
    assert_refused(&core, "gdb", &["/copy`, which cannot be read"]);
}
