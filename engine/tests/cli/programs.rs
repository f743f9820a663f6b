//! Programs that run: their output, status, arguments, and what the system gives them.

use crate::{Ended, Folder, bundled, run, wasmscope};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::Stdio;

/// Writes all of memory from address 64 on, up to the length that `$length` gives, to standard output.
fn program(body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_sizes_get"
                (func $environ_sizes_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
            (memory (export "memory") 1)
            (func $print (param $from i32) (param $length i32)
                (i32.store (i32.const 0) (local.get $from))
                (i32.store (i32.const 4) (local.get $length))
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func (export "_start") {body}))"#
    )
}

#[test]
fn programs_of_every_toolchain_run_at_every_level() {
    let expected = "hello, wasm: 360 1780 24 (205,-3) green 7 desserts -0.083 -9223372036854721487 -96 2\n";
    for build in ["records", "records-O2", "records-clang14", "records-zig"] {
        let program = bundled(&format!("records/{build}.wasm"));
        for level in ["0", "1", "2", "s"] {
            run([OsStr::new("run"), OsStr::new("--opt-level"), OsStr::new(level), program.as_os_str()]).says(expected);
        }
    }
}

#[test]
fn debug_info_does_not_change_what_a_program_does() {
    let program = bundled("records/records.wasm");
    let plain = run([OsStr::new("run"), program.as_os_str()]);
    assert_eq!(plain.status, Some(0));
    for option in ["-g", "-g=full", "-g=lines"] {
        let debugged = run([OsStr::new("run"), OsStr::new(option), program.as_os_str()]);
        assert_eq!((debugged.status, &debugged.stdout), (Some(0), &plain.stdout), "{option}: {}", debugged.stderr);
    }
}

/// Variables that hold what each kind of operator makes: the code generator stores some of it without a register.
#[test]
fn variables_of_the_text_hold_lanes_of_vectors_and_what_is_loaded() {
    let lanes = [("i8x16.extract_lane_u 3", "i32"), ("i16x8.extract_lane_s 2", "i32"), ("i32x4.extract_lane 1", "i32")];
    let wide = [("i64x2.extract_lane 1", "i64"), ("f32x4.extract_lane 0", "f32"), ("f64x2.extract_lane 0", "f64")];
    let mut body = String::from("(local $v v128) (local $sum i32)");
    for (number, (_, ty)) in lanes.iter().chain(&wide).enumerate() {
        body += &format!("(local $x{number} {ty})");
    }
    body += "(local $loaded i32) (i32.store (i32.const 64) (i32.const 3))
        (local.set $v (i32x4.splat (i32.load (i32.const 64))))";
    for (number, (lane, ty)) in lanes.iter().chain(&wide).enumerate() {
        body += &format!("(local.set $x{number} ({lane} (local.get $v)))");
        let value = match *ty {
            "i64" => format!("(i32.wrap_i64 (local.get $x{number}))"),
            "f32" => format!("(i32.reinterpret_f32 (local.get $x{number}))"),
            "f64" => format!("(i32.wrap_i64 (i64.reinterpret_f64 (local.get $x{number})))"),
            _ => format!("(local.get $x{number})"),
        };
        body += &format!("(local.set $sum (i32.add (local.get $sum) {value}))");
    }
    body += "(local.set $loaded (i32.load8_u (i32.const 64)))
        (call $proc_exit (i32.add (local.get $sum) (local.get $loaded)))";
    let folder = Folder::new();
    let path = folder.file("lanes.wat", program(&body));
    for options in [&[][..], &["-g"], &["-g", "--wasm-variables"], &["-g", "--debugger", "lldb"]] {
        for level in ["0", "2", "s"] {
            let arguments = [&["run", "--opt-level", level], options].concat();
            let ended = run(arguments.iter().map(OsStr::new).chain([path.as_os_str()]));
            // The first two lanes hold a part of the number only.
            assert_eq!(ended.status, Some(18), "{options:?} at level {level}: {}", ended.stderr);
        }
    }
}

#[test]
fn the_exit_status_is_the_programs() {
    let folder = Folder::new();
    for status in [0, 1, 2, 42, 125, 126, 134, 255] {
        let path = folder.file("exit.wat", program(&format!("(call $proc_exit (i32.const {status}))")));
        let ended = run([OsStr::new("run"), path.as_os_str()]);
        assert_eq!(ended, Ended { status: Some(status), stdout: String::new(), stderr: String::new() });
    }
}

#[test]
fn arguments_after_the_program_are_the_programs() {
    let folder = Folder::new();
    let body = "(drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
                (drop (call $args_get (i32.const 256) (i32.const 1024)))
                (call $print (i32.const 1024) (i32.load (i32.const 20)))";
    folder.file("args.wat", program(body));
    let ended = wasmscope()
        .current_dir(folder.0.path())
        .args(["run", "args.wat", "-g", "--env", "x", "--", "", "ü"])
        .output()
        .unwrap();
    Ended::of(ended).says("args.wat\0-g\0--env\0x\0--\0\0ü\0");
}

#[test]
fn the_environment_is_what_is_given_and_nothing_else() {
    let folder = Folder::new();
    let body = "(drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
                (drop (call $environ_get (i32.const 256) (i32.const 1024)))
                (call $print (i32.const 1024) (i32.load (i32.const 20)))";
    let path = folder.file("env.wat", program(body));
    let ended = wasmscope().args(["run", "--env", "A=1", "--env", "B=x=y"]).arg(path).env("C", "2").output().unwrap();
    Ended::of(ended).says("A=1\0B=x=y\0");
}

#[test]
fn standard_input_reaches_the_program() {
    let folder = Folder::new();
    let body = "(i32.store (i32.const 0) (i32.const 1024))
                (i32.store (i32.const 4) (i32.const 100))
                (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 20)))
                (call $print (i32.const 1024) (i32.load (i32.const 20)))";
    let path = folder.file("cat.wat", program(body));
    let mut child = wasmscope().arg("run").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"some input").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"some input");
}

#[test]
fn a_directory_is_seen_under_its_guest_name_only() {
    let folder = Folder::new();
    folder.file("file", "contents");
    // Opens `file` in the first directory that was passed, reads it and prints it; exits with the error number.
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $dir_name (param i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 100) "file")
        (data (i32.const 0) "\00\02\00\00\40\00\00\00")
        (func $check (param i32) (if (local.get 0) (then (call $proc_exit (local.get 0)))))
        (func (export "_start")
            (call $check (call $dir_name (i32.const 3) (i32.const 200) (i32.const 5)))
            (if (i32.ne (i32.load (i32.const 200)) (i32.const 0x6174_6164)) (then (call $proc_exit (i32.const 99))))
            (call $check (call $path_open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 4) (i32.const 0)
                (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
            (call $check (call $fd_read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 4)))
            (call $check (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let elsewhere = Folder::new();
    let program = elsewhere.file("open.wat", wat);
    let dir = format!("{}::data/", folder.0.path().display());
    let ended = Ended::of(wasmscope().args(["run", "--dir", &dir]).arg(&program).output().unwrap());
    ended.says("contents");
    // Without the option there is no such descriptor.
    let ended = run([OsStr::new("run"), program.as_os_str()]);
    assert!(ended.status.is_some_and(|status| status != 0 && status != 99), "{ended:?}");
    assert_eq!(ended.stdout, "");
}

#[test]
fn exports_are_called_with_typed_arguments() {
    let folder = Folder::new();
    let path = folder.file(
        "math.wat",
        r#"(module
            (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
            (func (export "all") (param i32 i64 f32 f64 v128 externref) (result i32 i64 f32 f64 v128 externref)
                local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5)
            (func (export "nothing"))
            (memory (export "memory") 1))"#,
    );
    let invoke = |arguments: &[&str]| {
        let mut command = wasmscope();
        command.args(["run", "--invoke", arguments[0]]).arg(&path).args(&arguments[1..]);
        Ended::of(command.output().unwrap())
    };
    invoke(&["add", "40", "2"]).says("42\n");
    invoke(&["add", "-1", "-2"]).says("-3\n");
    invoke(&["add", "0xffffffff", "4294967295"]).says("-2\n");
    invoke(&["nothing"]).says("");
    invoke(&["all", "-2147483648", "18446744073709551615", "-0.5", "nan", "0x0102", "null"])
        .says("-2147483648\n-1\n-0.5\nNaN\n0x00000000000000000000000000000102\nnull\n");
    invoke(&["all", "1", "2", "0", "0", "0x0", "any text"])
        .says("1\n2\n0\n0\n0x00000000000000000000000000000000\nany text\n");
    for (arguments, reason) in [
        (&["add", "1"][..], "takes 2 arguments, 1 given"),
        (&["add", "1", "2", "3"], "takes 2 arguments, 3 given"),
        (&["add", "1", "4294967296"], "argument 2 of `add`, `4294967296`, is not an i32"),
        (&["add", "1", "2.5"], "argument 2 of `add`, `2.5`, is not an i32"),
        (&["add", "", "--1"], "argument 1 of `add`, ``, is not an i32"),
        (&["all", "1", "1", "1", "1", "1", "null"], "argument 5 of `all`, `1`, is not a v128"),
        (&["memory"], "the export `memory` is not a function"),
        (&["sub"], "exports no function `sub`; `--invoke` can call `add`, `all`, `nothing`"),
    ] {
        let ended = invoke(arguments);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_library_is_initialized_before_its_function_is_called() {
    let folder = Folder::new();
    let path = folder.file(
        "library.wat",
        r#"(module
            (global $ready (mut i32) (i32.const 0))
            (func (export "_initialize") (global.set $ready (i32.const 7)))
            (func (export "ready") (result i32) (global.get $ready)))"#,
    );
    Ended::of(wasmscope().args(["run", "--invoke", "ready"]).arg(path).output().unwrap()).says("7\n");
}

#[test]
fn a_guest_that_does_not_end_is_stopped() {
    let folder = Folder::new();
    let path = folder.file("spin.wat", r#"(module (func $spin (export "_start") (loop (br 0))))"#);
    let ended = Ended::of(wasmscope().args(["run", "--timeout", "200ms"]).arg(path).output().unwrap());
    assert_eq!(ended.status, Some(134));
    assert!(ended.stderr.starts_with("wasm trap: interrupted after 200ms\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("#0 spin at wasm offset 0x"), "{}", ended.stderr);
}

#[test]
fn a_trap_shows_where_the_source_was_also_in_optimized_programs() {
    let program = bundled("trap/trap.wasm");
    let main = std::fs::read_to_string(bundled("trap/main.c")).unwrap();
    let place = |text: &str| {
        let (line, column) =
            main.lines().enumerate().find_map(|(line, source)| Some((line + 1, source.find(text)? + 1))).unwrap();
        (line, column)
    };
    // The column of a division is that of its operator.
    let (divide_line, divide_column) = place("/ zero");
    let (average_line, average_column) = place("divide(scaled)");
    let (trap_line, trap_column) = place("average(21)");
    for level in ["0", "2"] {
        let ended =
            Ended::of(wasmscope().args(["run", "--opt-level", level]).arg(&program).arg("divide").output().unwrap());
        assert_eq!(ended.status, Some(134));
        let expected = format!(
            "wasm trap: integer divide by zero\nwasm backtrace:\n   \
               #0 divide at ./trap/main.c:{divide_line}:{divide_column} (inlined)\n      \
                  average at ./trap/main.c:{average_line}:{average_column} (inlined)\n      \
                  trap at ./trap/main.c:{trap_line}:{trap_column}\n   \
               #1 main at ./trap/main.c:"
        );
        assert!(ended.stderr.starts_with(&expected), "expected\n{expected}\nfound\n{}", ended.stderr);
    }
}

#[test]
fn each_kind_of_trap_has_its_name() {
    let program = bundled("trap/trap.wasm");
    for (kind, name, function) in [
        ("memory", "out of bounds memory access", "out_of_bounds"),
        ("stack", "out of bounds memory access", "overflow"),
        ("convert", "integer overflow", "trap"),
        ("signature", "indirect call type mismatch", "trap"),
        ("table", "undefined element: out of bounds table access", "trap"),
        ("null", "uninitialized element", "trap"),
        ("other", "wasm `unreachable` instruction executed", "trap"),
    ] {
        for options in [&["run"][..], &["run", "-g", "--opt-level", "0"]] {
            let ended = Ended::of(wasmscope().args(options).arg(&program).arg(kind).output().unwrap());
            assert_eq!(ended.status, Some(134), "{kind}: {}", ended.stderr);
            let expected = format!("wasm trap: {name}\nwasm backtrace:\n   #0 {function} at ");
            assert!(ended.stderr.starts_with(&expected), "{kind}: expected\n{expected}\nfound\n{}", ended.stderr);
        }
    }
    let ended = Ended::of(wasmscope().arg("run").arg(&program).args(["none", "77"]).output().unwrap());
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(77), "no trap\n"));
}

#[test]
fn limits_of_memory_and_stack() {
    let folder = Folder::new();
    let path = folder.file(
        "limits.wat",
        r#"(module (memory 1)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func $deep (export "deep") (param i32) (result i32)
                (if (result i32) (local.get 0)
                    (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                    (else (i32.const 0)))))"#,
    );
    let path = path.to_str().unwrap();
    run(["run", "--max-memory", "128k", "--invoke", "grow", path, "1"]).says("1\n");
    run(["run", "--max-memory", "128k", "--invoke", "grow", path, "2"]).says("-1\n");
    let refused = run(["run", "--max-memory", "1000", "--invoke", "grow", path, "0"]);
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains("resource limit exceeded: a memory of at least 65536 bytes"), "{}", refused.stderr);
    run(["run", "--invoke", "deep", path, "10000"]).says("10000\n");
    let ended = run(["run", "--max-stack", "64k", "--invoke", "deep", path, "10000"]);
    assert_eq!(ended.status, Some(134));
    run(["run", "--max-stack", "4m", "--invoke", "deep", path, "50000"]).says("50000\n");
    for size in ["", "m", "-1", "1t", "99999999999999g"] {
        assert_eq!(run(["run", &format!("--max-memory={size}"), path]).status, Some(2), "{size:?}");
    }
}

#[test]
fn a_runaway_recursion_shows_its_two_ends() {
    let folder = Folder::new();
    let path = folder.file(
        "deep.wat",
        r#"(module
            (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
            (func $start (export "_start") (drop (call $deep (i32.const 0)))))"#,
    );
    let ended = run([OsStr::new("run"), path.as_os_str()]);
    assert_eq!(ended.status, Some(134));
    assert!(ended.stderr.starts_with("wasm trap: call stack exhausted\n"), "{}", ended.stderr);
    let lines = ended.stderr.lines().count();
    assert!((20..100).contains(&lines), "{lines} lines:\n{}", ended.stderr);
    assert!(ended.stderr.contains("more frames"), "{}", ended.stderr);
}

#[test]
fn a_text_module_is_its_own_source() {
    let folder = Folder::new();
    let path = folder
        .file("text.wat", "(module\n  (func $inner\n    unreachable)\n  (func (export \"_start\")\n    call $inner))");
    let ended = run([OsStr::new("run"), OsStr::new("-g"), path.as_os_str()]);
    assert_eq!(ended.status, Some(134));
    for expected in ["#0 inner at", "text.wat:3:5\n", "text.wat:5:5\n"] {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
    // So many functions that their number takes two bytes.
    let lines: String = (0..200).map(|number| format!("(func $f{number} nop\nunreachable)\n")).collect();
    let path = folder.file("many.wat", format!("(module\n{lines}(export \"last\" (func $f199)))"));
    let ended = run(["run".as_ref(), "-g".as_ref(), "--invoke".as_ref(), "last".as_ref(), path.as_os_str()]);
    assert!(ended.stderr.contains("#0 f199 at") && ended.stderr.contains("many.wat:401:1\n"), "{}", ended.stderr);
}

#[test]
fn names_without_debug_info_are_demangled() {
    let folder = Folder::new();
    let path = folder.file(
        "names.wat",
        r#"(module
            (func $_ZN3foo3barEi unreachable)
            (func $_ZN4core9panicking5panic17h0123456789abcdefE (call $_ZN3foo3barEi))
            (func (export "_start") (call $_ZN4core9panicking5panic17h0123456789abcdefE)))"#,
    );
    let ended = run([OsStr::new("run"), path.as_os_str()]);
    for expected in ["#0 foo::bar(int) at", "#1 core::panicking::panic at", "#2 <wasm function 2> at"] {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
}

#[test]
fn a_compiled_program_runs_like_its_source() {
    let folder = Folder::new();
    let artifact = folder.path("records.elf");
    for options in [&["compile"][..], &["compile", "-g", "-v"], &["compile", "-g=lines", "--opt-level", "0"]] {
        let ended = Ended::of(
            wasmscope().args(options).arg(bundled("records/records.wasm")).arg("-o").arg(&artifact).output().unwrap(),
        );
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        assert_eq!(ended.stdout.contains("functions"), options.contains(&"-v"), "{}", ended.stdout);
        let from_artifact = run([OsStr::new("run"), artifact.as_os_str()]);
        let from_source = run([OsStr::new("run"), bundled("records/records.wasm").as_os_str()]);
        assert_eq!((from_artifact.status, from_artifact.stdout), (from_source.status, from_source.stdout));
    }
    let again = run([OsStr::new("compile"), artifact.as_os_str()]);
    assert!(again.status == Some(1) && again.stderr.contains("is compiled already"), "{}", again.stderr);
}

#[test]
fn cached_code_is_used_and_damage_is_noticed() {
    let folder = Folder::new();
    let cache = folder.path("cache");
    let program = bundled("records/records.wasm");
    let cached = || {
        let mut option = OsString::from("--cache=");
        option.push(&cache);
        run([OsStr::new("run"), &option, program.as_os_str()])
    };
    let files = || -> Vec<_> { std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let first = cached();
    assert_eq!((first.status, first.stderr.as_str()), (Some(0), ""));
    assert_eq!(files().len(), 1);
    assert_eq!(cached(), first);
    let mut contents = std::fs::read(&files()[0]).unwrap();
    let middle = contents.len() / 2;
    contents[middle] ^= 1;
    std::fs::write(&files()[0], contents).unwrap();
    let damaged = cached();
    assert_eq!((damaged.status, &damaged.stdout), (Some(0), &first.stdout));
    assert!(damaged.stderr.contains("is damaged"), "{}", damaged.stderr);
    assert_eq!(cached(), first);
}
