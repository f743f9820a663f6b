//! Debug info in other files than the module's, in other versions, and for a memory of 64 bits: from the files to the
//! debugger's answers. The program is `layouts/store.c`, the builds are made by `layouts/build.sh`.

use std::fs;
use std::process::Command;
use tests::{Session, at, compile, engine, line, programs};

/// What gdb answers in `total`, whatever the debug info came from.
const LIST: &[(&str, &str)] = &[
    ("print *list", "{name = 0x? \"saffron\", price = 5000000000, next = 0x? <items+24>}"),
    ("print list->next->next->name", "0x? \"bread\""),
    ("print used", "3"),
    ("print shop", "0x? \"corner\""),
    ("print items[1].price", "-1"),
];

fn store(build: &str, level: u8) -> Session {
    Session::new(&format!("layouts/{build}"), level).invoke("run").arguments(&["21"])
}

/// Stops in the loop of `total`.
fn commands(tail: &[&'static str]) -> Vec<String> {
    let stop = format!("tbreak {}", at("layouts/store.c", "sum += it->price").replace("layouts/", ""));
    let values = LIST.iter().map(|(command, _)| (*command).to_owned());
    [stop, "run".to_owned()].into_iter().chain(values).chain(tail.iter().map(|&it| it.to_owned())).collect()
}

fn run(session: &Session, tail: &[&'static str]) -> tests::Answers {
    let commands = commands(tail);
    session.run(&commands.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn units_in_other_files_are_as_if_they_were_in_the_module() {
    for build in ["split", "package", "separate"] {
        let answers = run(&store(build, 2), &["bt 2", "finish"]);
        answers.assert_values(LIST);
        answers.assert_contains("bt 2", 0, &["#0  total (list=0x", "#1 ", "run (count=21) at "]);
        answers.assert_contains("finish", 0, &["Value returned is", "5000000002"]);
    }
    let answers = store("split", 2).run_lldb(&["breakpoint set -n total", "run", "frame variable *list"]);
    answers.assert_contains("frame variable *list", 0, &["name = ", "\"saffron\"", "price = 5000000000"]);
}

#[test]
fn missing_split_units_are_named_and_lines_stay() {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let module = elsewhere.path().join("moved.wasm");
    fs::copy(programs().join("layouts/split.wasm"), &module).expect("the module is copied");
    let output = Command::new(engine())
        .args(["run", "-g", "--invoke", "run"])
        .arg(&module)
        .arg("21")
        .current_dir(elsewhere.path())
        .output()
        .expect("the engine runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "5000000143\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 of its files cannot be found: layouts/split.dwo"), "{said}");

    let artifact = elsewhere.path().join("moved.elf");
    let compiled = Command::new(engine())
        .args(["compile", "-g", "-o"])
        .arg(&artifact)
        .arg(&module)
        .current_dir(elsewhere.path())
        .output()
        .expect("the engine runs");
    assert!(compiled.status.success());
    let lines = tests::tool("llvm-dwarfdump-19", "llvm-19").arg("--debug-line").arg(&artifact).output().expect("runs");
    assert!(String::from_utf8_lossy(&lines.stdout).contains("store.c"), "the lines of the split unit are gone");
}

#[test]
fn macros_are_expanded_at_the_prompt() {
    for version in ["4", "5"] {
        let session = store("macros", 2).options(&["--dwarf-version", version]);
        let answers = run(&session, &["info macro DOUBLE", "print DOUBLE(used) + CAPACITY", "macro expand DOUBLE(1)"]);
        answers.assert_values(LIST);
        answers.assert_contains("info macro DOUBLE", 0, &["store.c:3", "#define DOUBLE(x) ((x) + (x))"]);
        answers.assert_values(&[("print DOUBLE(used) + CAPACITY", "10")]);
        answers.assert_contains("macro expand DOUBLE(1)", 0, &["expands to: ((1) + (1))"]);
    }
}

#[test]
fn dwarf_4_answers_as_dwarf_5_does() {
    let commands = ["break collatz", "run", "print start", "next", "next", "next", "info locals", "bt 2", "info line"];
    let [four, five] = ["4", "5"].map(|version| {
        let answers = Session::new("records/records", 2).options(&["--dwarf-version", version]).run(&commands);
        (0..commands.len()).map(|index| tests::normalized(answers.answer(index))).collect::<Vec<_>>()
    });
    assert_eq!(four[2..], five[2..]);
    assert_eq!(four[2], "$? = 27");
    let answers = Session::new("records/records", 2).options(&["--dwarf-version", "4"]).run_lldb(&[
        "breakpoint set -n collatz",
        "run",
        "frame variable start",
        "bt",
    ]);
    answers.assert_contains("frame variable start", 0, &["start = 27"]);

    let scratch = tempfile::tempdir().expect("a temporary folder");
    let artifact = scratch.path().join("four.elf");
    compile(&programs().join("records/records.wasm"), &["--dwarf-version", "4"], &artifact);
    let units = tests::tool("llvm-dwarfdump-19", "llvm-19").arg("--debug-info").arg(&artifact).output().expect("runs");
    let units = String::from_utf8_lossy(&units.stdout).into_owned();
    assert!(units.contains("version = 0x0004") && !units.contains("version = 0x0005"), "not all units are version 4");
}

#[test]
fn gdb_follows_pointers_of_8_bytes() {
    for (build, level) in [("wide-O0", 0), ("wide-O0", 2), ("wide-O2", 2)] {
        // Optimized, `total` is a part of `run`, and its parameter is gone.
        let through = if build == "wide-O0" { "list" } else { "it" };
        let values = LIST.iter().map(|(command, value)| (command.replace("list", through), *value));
        let values: Vec<(String, &str)> = values.chain([("print sizeof(items[0].next)".to_owned(), "8")]).collect();
        let stop = format!("tbreak {}", at("layouts/store.c", "sum += it->price").replace("layouts/", ""));
        let mut commands = vec![stop.as_str(), "run"];
        commands.extend(values.iter().map(|(command, _)| command.as_str()));
        commands.extend(["set var items[1].price = 9", "up", "finish"]);
        let answers = store(build, level).run(&commands);
        answers.assert_values(&values.iter().map(|(command, value)| (command.as_str(), *value)).collect::<Vec<_>>());
        answers.assert_contains("finish", 0, &["Value returned is", "5000000153"]);
    }
}

#[test]
fn lldb_follows_pointers_of_8_bytes() {
    for build in ["wide-O0", "wide-O2"] {
        let stop = at("layouts/store.c", "sum += it->price").replace("layouts/store.c:", "");
        let stop = format!("breakpoint set -f store.c -l {stop}");
        let answers = store(build, 2).run_lldb(&[
            &stop,
            "run",
            "frame variable *it",
            "expression it->next->next->name",
            "expression sizeof(it->next)",
            "expression shop",
        ]);
        answers.assert_contains("frame variable *it", 0, &["\"saffron\"", "price = 5000000000"]);
        answers.assert_contains("expression it->next->next->name", 0, &["\"bread\""]);
        answers.assert_contains("expression sizeof(it->next)", 0, &["8"]);
        answers.assert_contains("expression shop", 0, &["\"corner\""]);
    }
}

/// The names, types and language of TinyGo's output; values are those of the Go program in `layouts/go/main.c`.
#[test]
fn a_program_in_the_layout_of_tinygo_is_shown_as_go() {
    for level in [0, 2] {
        let answers = Session::new("layouts/go/go", level).invoke("_start").run(&[
            "break main.total",
            "break '(*main.point).move'",
            "run",
            "show language",
            "backtrace 2",
            "print *p",
            "print dx",
            "ptype p",
            "continue",
            "print values",
            "print values.ptr[1]",
            "up",
            "print p.x",
            "print main.numbers",
        ]);
        answers.assert_contains("show language", 0, &["go"]);
        answers.assert_contains("backtrace 2", 0, &["(*main.point).move (p=0x", "dx=40)", "main.main () at "]);
        answers.assert_values(&[
            ("print *p", "{x = 1, y = 2, label = 0x? \"origin\"}"),
            ("print dx", "40"),
            ("print values.ptr[1]", "4"),
            ("print p.x", "41"),
            ("print main.numbers", "{3, 4, 5}"),
        ]);
        answers.assert_contains("ptype p", 0, &["struct main.point {", "int32 x;", "string label;"]);
        answers.assert_contains("print values", 0, &["len = 3", "cap = <optimized out>"]);
    }
    // lldb 19 has no types of Go: functions and lines are what it knows.
    let answers =
        Session::new("layouts/go/go", 2).invoke("_start").run_lldb(&["breakpoint set --name main.total", "run", "up"]);
    answers.assert_contains("up", 0, &["main.main at main.c:"]);
}

#[test]
fn unions_optional_pointers_and_slices_of_zig_are_shown() {
    let stop = format!("break list.zig:{}", line("layouts/zig/list.zig", "sum += switch"));
    for level in [0, 2] {
        let answers = Session::new("layouts/zig/list", level).invoke("calculate").arguments(&["10"]).run(&[
            &stop,
            "run",
            "backtrace 2",
            "print item->name",
            "print item->price.tag",
            "print item->price.payload.unknown",
            "continue",
            "print *item",
            "print sum",
            "delete",
            "up",
            "print numbers",
            "down",
            "finish",
        ]);
        answers.assert_contains("backtrace 2", 0, &["list.total (first=0x", "list.calculate (count=10) at "]);
        answers.assert_values(&[
            ("print item->name", "{ptr = 0x? \"saffron\", len = 7}"),
            ("print item->price.tag", "unknown"),
            ("print item->price.payload.unknown", "{ptr = 0x? \"much\", len = 4}"),
            ("print sum", "4"),
            ("print numbers", "{1, 2, 3, 10}"),
        ]);
        answers.assert_contains(
            "print *item",
            0,
            &["\"rye\"", "cents = 250", "tag = cents", "next = 0x0", "kind = bread"],
        );
        answers.assert_contains("finish", 0, &["Value returned is", "254"]);
    }
}
