//! Bad input: one paragraph with the file, the place and the reason, and a status that is not 0.

use crate::{Folder, bundled, run, wasmscope};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

/// One line, the file's name, the given parts; status 1.
#[track_caller]
fn fails(path: &Path, parts: &[&str]) {
    for command in ["run", "compile"] {
        let ended = run([OsStr::new(command), path.as_os_str()]);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""), "{command}: {}", ended.stderr);
        let text = ended.stderr.strip_prefix("error: ").expect("it says that it is an error");
        assert_eq!(text.trim_end().lines().count(), 1, "{command}: more than a paragraph: {text}");
        for part in parts.iter().chain([&format!("`{}`", path.display()).as_str()]) {
            assert!(text.contains(part), "{command}: {part:?} is missing: {text}");
        }
    }
}

#[test]
fn a_missing_file() {
    let folder = Folder::new();
    fails(&folder.path("missing.wasm"), &["cannot be read", "No such file"]);
    fails(folder.0.path(), &["cannot be read", "directory"]);
}

#[test]
fn what_is_no_wasm() {
    let folder = Folder::new();
    fails(&folder.file("empty", ""), &["is not WebAssembly", "empty"]);
    fails(&folder.file("text", "hello"), &["is not WebAssembly", "offset 0x0", "68 65 6c 6c"]);
    fails(Path::new(env!("CARGO_BIN_EXE_wasmscope")), &["is not WebAssembly", "7f 45 4c 46"]);
    fails(&folder.file("version.wasm", b"\0asm\x02\0\0\0"), &["offset 0x", "version"]);
    fails(&folder.file("component.wasm", b"\0asm\x0d\0\x01\0"), &["component"]);
}

/// Of what never ends, no more is read than tells that it is no program.
#[test]
fn what_never_ends() {
    fails(Path::new("/dev/zero"), &["is not WebAssembly", "00 00 00 00"]);
}

/// A debugger that starts would say so only when the program is run.
#[test]
fn no_debugger_starts_for_what_is_no_program() {
    let folder = Folder::new();
    let is_refused = |path: &Path, part: &str| {
        let ended = run([OsStr::new("debug"), OsStr::new("--debugger-arg=-batch"), path.as_os_str()]);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(part) && ended.stderr.contains(path.to_str().unwrap()), "{}", ended.stderr);
    };
    is_refused(&folder.file("empty", ""), "the file is empty");
    is_refused(&folder.file("text", "hello"), "68 65 6c 6c");
    is_refused(folder.0.path(), "directory");
    is_refused(&folder.path("missing.wasm"), "No such file");
}

#[test]
fn text_that_cannot_be_assembled() {
    let folder = Folder::new();
    fails(&folder.file("a.wat", "(module\n  (fnc))"), &["line 2, column 4"]);
    fails(&folder.file("b.wat", "(module (func (call $nowhere)))"), &["line 1", "nowhere"]);
}

#[test]
fn invalid_modules() {
    let folder = Folder::new();
    fails(&folder.file("a.wat", "(module (func (result i32) i64.const 1))"), &["offset 0x", "type mismatch"]);
    fails(&folder.file("b.wat", "(module (func (drop (i32.load (i32.const 0)))))"), &["offset 0x", "memory"]);
}

#[test]
fn a_file_cut_anywhere_is_refused_with_an_offset() {
    let folder = Folder::new();
    let whole = wat::parse_str(
        r#"(module (memory 1) (data (i32.const 0) "abc") (func (export "_start") (drop (i32.const 1234))))"#,
    )
    .unwrap();
    // Between two sections the file is a shorter module, without this one's last parts.
    let ends: Vec<usize> = wasmparser::Parser::new(0)
        .parse_all(&whole)
        .filter_map(|payload| payload.unwrap().as_section().map(|(_, range)| range.end))
        .collect();
    for length in (9..whole.len()).filter(|length| !ends.contains(length)) {
        let path = folder.file("cut.wasm", &whole[..length]);
        let ended = run([OsStr::new("run"), path.as_os_str()]);
        assert_eq!(ended.status, Some(1), "cut at {length}: {}", ended.stderr);
        assert!(ended.stderr.contains("offset 0x"), "cut at {length}: {}", ended.stderr);
    }
}

#[test]
fn a_program_with_threads_is_refused_as_such() {
    let folder = Folder::new();
    let path = folder.file(
        "threads.wat",
        r#"(module (import "env" "memory" (memory 1 2 shared)) (import "wasi" "thread-spawn" (func (param i32) (result i32)))
            (func (export "_start")))"#,
    );
    let ended = run([OsStr::new("run"), path.as_os_str()]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("starts threads (it imports `wasi::thread-spawn`)"), "{}", ended.stderr);
}

#[test]
fn a_missing_import_is_named() {
    let folder = Folder::new();
    let start = r#"(func (export "_start"))"#;
    for (import, parts) in [
        (r#"(import "env" "f" (func))"#, ["env", "f", "unknown import"]),
        (r#"(import "wasi_snapshot_preview1" "fd_close" (func))"#, ["fd_close", "incompatible", "(i32) -> (i32)"]),
        (r#"(import "wasi_snapshot_preview1" "fd_close" (memory 1))"#, ["fd_close", "incompatible", "memory"]),
    ] {
        let path = folder.file("import.wat", format!("(module {import} {start})"));
        let ended = run([OsStr::new("run"), path.as_os_str()]);
        assert_eq!(ended.status, Some(1));
        for part in parts {
            assert!(ended.stderr.contains(part), "{part:?} is missing: {}", ended.stderr);
        }
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_module_without_entry_says_what_can_be_called() {
    let folder = Folder::new();
    let path = folder.file("library.wat", r#"(module (func (export "one")) (func (export "two")))"#);
    let ended = run([OsStr::new("run"), path.as_os_str()]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("no function `_start`; `--invoke` can call `one`, `two`"), "{}", ended.stderr);
    let path = folder.file("odd.wat", r#"(module (func (export "_start") (param i32)))"#);
    let ended = run([OsStr::new("run"), path.as_os_str()]);
    assert!(ended.status == Some(1) && ended.stderr.contains("(i32) -> ()"), "{}", ended.stderr);
}

#[test]
fn a_damaged_artifact_is_refused() {
    let folder = Folder::new();
    let artifact = folder.path("good.elf");
    let program = folder.file("one.wat", r#"(module (func (export "_start")))"#);
    let made = run([OsStr::new("compile"), program.as_os_str(), OsStr::new("-o"), artifact.as_os_str()]);
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    let good = std::fs::read(&artifact).unwrap();
    for length in [100, good.len() / 2, good.len() - 1] {
        let path = folder.file("cut.elf", &good[..length]);
        let ended = run([OsStr::new("run"), path.as_os_str()]);
        assert_eq!(ended.status, Some(1), "cut at {length}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn wrong_options_are_told_from_wrong_programs() {
    for arguments in [
        &["run"][..],
        &["run", "--bogus", "x.wasm"],
        &["run", "--opt-level", "3", "x.wasm"],
        &["run", "-O", "--opt-level", "0", "x.wasm"],
        &["run", "-g=everything", "x.wasm"],
        &["run", "--env", "NAME", "x.wasm"],
        &["run", "--timeout", "5", "x.wasm"],
        &["walk", "x.wasm"],
        &[],
    ] {
        let ended = run(arguments);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
        let explained = ended.stderr.starts_with("error: ") || ended.stderr.contains("Usage: wasmscope");
        assert!(explained, "{arguments:?}: {}", ended.stderr);
    }
    let version = run(["--version"]);
    assert_eq!((version.status, version.stdout), (Some(0), format!("wasmscope {}\n", env!("CARGO_PKG_VERSION"))));
    for command in ["run", "compile", "debug"] {
        let help = run([command, "--help"]);
        assert!(help.status == Some(0) && help.stdout.contains("Examples:"), "{command}: {}", help.stdout);
    }
}

#[test]
fn a_missing_directory_or_an_unwritable_output_is_named() {
    let program = bundled("records/records.wasm");
    let ended = run([OsStr::new("run"), OsStr::new("--dir"), OsStr::new("/nonexistent/x"), program.as_os_str()]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("`/nonexistent/x`"), "{}", ended.stderr);
    let ended = run([OsStr::new("compile"), program.as_os_str(), OsStr::new("-o"), OsStr::new("/nonexistent/x.elf")]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("`/nonexistent/x.elf` cannot be written"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_complain() {
    let folder = Folder::new();
    let path = folder.file("one.wat", r#"(module (func (export "one") (result i32) i32.const 1))"#);
    let commands: [Vec<&OsStr>; 2] = [
        vec!["run".as_ref(), "--help".as_ref()],
        vec!["run".as_ref(), "--invoke".as_ref(), "one".as_ref(), path.as_os_str()],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = wasmscope().args(&arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{arguments:?}");
    }
}
