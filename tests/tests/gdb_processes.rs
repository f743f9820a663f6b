//! gdb on processes that it did not start, on core files, backwards, and with several threads.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::{
    Process, assert_in_order, at, engine, everything_said, line, normalized, package, programs, run_for, tool,
    wait_until,
};

const SOURCE: &str = "abilities/main.c";

/// What `wasmscope debug` answers to gdb commands; `program` comes after all options.
fn debug(options: &[&str], commands: &[&str], program: Option<&str>) -> String {
    tool("gdb", "gdb");
    let mut debug = Command::new(engine());
    debug.arg("debug").args(options).current_dir(programs()).stdin(Stdio::null());
    for argument in ["-batch", "-nx", "-iex", "set auto-load no", "-ex", "set pagination off", "-ex", "set width 0"] {
        debug.arg(format!("--debugger-arg={argument}"));
    }
    for command in commands {
        debug.args(["--debugger-arg=-ex".to_owned(), format!("--debugger-arg={command}")]);
    }
    debug.args(program);
    everything_said(debug)
}

/// What stock gdb answers, with nothing loaded into it.
fn gdb(arguments: &[&str], commands: &[&str]) -> String {
    let mut gdb = tool("gdb", "gdb");
    gdb.args(["-batch", "-nx", "-q", "-iex", "set auto-load no", "-iex", "set debuginfod enabled off"])
        .args(["-iex", "set breakpoint pending on", "-iex", "set startup-with-shell off"])
        .current_dir(programs());
    for command in commands {
        gdb.args(["-ex", command]);
    }
    gdb.args(arguments);
    everything_said(gdb)
}

#[test]
fn a_running_process_is_attached_to_and_its_core_file_opens_without_it() {
    let scratch = tempfile::tempdir().unwrap();
    let core = scratch.path().join("core");
    let guest = Process::waiting_guest(run_for("gdb", 2), "abilities/c-O0");
    let pid = guest.id().to_string();
    let dump = format!("generate-core-file {}", core.display());
    let answers = debug(
        &["--attach", &pid, "--break", "score"],
        &["bt", "set var waiting = 0", "continue", "p it->apply", "p it->next->name", &dump, "kill"],
        None,
    );
    assert_in_order(
        &answers,
        &[
            "#0 ",
            " main (argc=2, argv=0x?) at ",
            "Breakpoint 1, score (it=0x?, bonus=10)",
            "(operation) 0x? <add>",
            "\"second\"",
            "Saved corefile",
        ],
    );
    drop(guest);
    let answers = gdb(
        &[&engine().display().to_string(), &core.display().to_string()],
        &["bt", "p *it", "p it->next->name", "p counter", "up", "p sum", "info symbol add", "x/2i $pc"],
    );
    assert_in_order(
        &answers,
        &[
            "#0  score (it=0x?, bonus=10)",
            "visit (list=0x?",
            " main (argc=",
            "name = 0x? \"third\", value = 333, color = BLUE",
            "apply = 0x? <add>",
            "\"second\"",
            "= 3\n",
            "= 10\n",
            "add in section .text",
            "<visit+",
        ],
    );
}

#[test]
fn a_trap_leaves_a_core_file_of_the_system() {
    let scratch = tempfile::tempdir().unwrap();
    let trap = programs().join("trap/trap.wasm");
    let status = Command::new(engine())
        .args(["run", "-g", "--core"])
        .arg(trap)
        .arg("memory")
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    if status.code() == Some(1) {
        // The system's hard limit is 0: said, and nothing of the guest was run.
        return;
    }
    assert_eq!(status.signal(), Some(11), "{status}");
    // Where core files go is the system's choice; where it is this folder, the file must be good.
    let Some(core) =
        fs::read_dir(scratch.path()).unwrap().flatten().map(|entry| entry.path()).find(|path| is_core(path))
    else {
        return;
    };
    let answers =
        gdb(&[&engine().display().to_string(), &core.display().to_string()], &["bt", "p wild", "up", "info locals"]);
    assert_in_order(
        &answers,
        &["#0 ", &format!("main.c:{}", line("trap/main.c", "return *wild;")), " main (argc=", "volatile int *"],
    );
}

fn is_core(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
}

#[test]
fn a_guest_function_is_recorded_and_run_backwards() {
    let run: Vec<String> = vec!["--args".into(), engine().display().to_string()];
    let mut arguments: Vec<&str> = run.iter().map(String::as_str).collect();
    arguments.extend(["run", "-g", "abilities/c-O0.wasm"]);
    let stop = format!("break {}", at(SOURCE, "counter++;"));
    let answers = gdb(
        &arguments,
        &[
            &stop,
            "run",
            "record full",
            "p counter",
            "next",
            "p counter",
            "reverse-next",
            "p counter",
            "next",
            "p counter",
            "reverse-stepi",
            "record stop",
            "delete",
            "continue",
        ],
    );
    assert_in_order(
        &answers,
        &[
            "add (left=333, right=10)",
            "counter++;",
            "= 3\n",
            "return left + right;",
            "= 4\n",
            "counter++;",
            "= 3\n",
            "return left + right;",
            "= 4\n",
            "Process record is stopped",
            "exited normally",
        ],
    );
}

/// gdb 13 knows no instruction of AVX or BMI.
#[test]
fn floating_point_is_recorded() {
    let commands = ["break mean", "run", "record full", "next", "next", "next", "p total", "info record"];
    for level in ["0", "2"] {
        let program =
            ["--args", engine().to_str().expect("a path of this workspace"), "run", "-g", "--opt-level", level];
        let answers = gdb(&[&program[..], &["records/records.wasm"]].concat(), &commands);
        assert_in_order(
            &answers,
            &["mean (values=0x", "total += ", "= 0.5\n", "Lowest recorded instruction number is 1."],
        );
    }
}

#[test]
fn threads_have_their_own_frames() {
    let example = engine().with_file_name("examples").join("threads");
    let example = example.to_str().expect("a path of this workspace");
    let stop = "break score if bonus == 10";
    let answers = gdb(
        &["--args", example, "3", "abilities/c-O0.wasm"],
        &[stop, "run", "delete", "thread apply all bt 4", "info threads", "p bonus", "continue"],
    );
    let frames = answers.matches("main (argc=").count();
    assert!(frames >= 3, "each thread has the guest's main\n{answers}");
    assert_in_order(&answers, &["score (it=0x?, bonus=10)", "= 10", "exited normally"]);
}

/// The modules were all loaded before the first instance was made, so that gdb knows them as one object. The breakpoint is
/// pending until then, and hit by the first call of all.
#[test]
fn of_a_thousand_modules_the_last_has_its_breakpoint_and_its_frames() {
    let example = engine().with_file_name("examples").join("many_modules");
    let example = example.to_str().expect("a path of this workspace");
    let list = package().join("../examples/list.wasm").display().to_string();
    let arguments = ["--args", example, "1000", "together", &list, "abilities/c-O0.wasm"];
    let stop = format!("break {}", at(SOURCE, "counter++;"));
    let commands =
        [&stop, "run", "bt 4", "p left", "p counter", "info line total", "maint info jit", "delete", "continue"];
    let answers = gdb(&arguments, &commands);
    assert_in_order(
        &answers,
        &[
            "1000 modules loaded",
            "hit Breakpoint 1, add (left=333, right=10)",
            "#0  add (left=333, right=10)",
            " score (it=",
            " visit (",
            "= 333\n",
            "= 3\n",
            "Line 26 of \"examples/list.c\"",
            "exited normally",
        ],
    );
    let copies = answers.matches("Line 26 of \"examples/list.c\"").count();
    assert_eq!(copies, 999, "each module is known");
    // One object with all of them, one with the names of what the first one's pointers hold.
    let objects = answers.lines().filter(|line| line.starts_with("0x?     0x? ")).count();
    assert_eq!(objects, 2, "{answers}");
}

/// The example program that forks, executes, and makes instances.
fn processes(mode: &str, program: &str) -> [String; 4] {
    let example = engine().with_file_name("examples").join("processes");
    ["--args".to_owned(), example.display().to_string(), mode.to_owned(), program.to_owned()]
}

fn processes_in_gdb(mode: &str, program: &str, commands: &[&str]) -> String {
    let arguments = processes(mode, program);
    gdb(&arguments.each_ref().map(String::as_str), commands)
}

const FORKED: [&str; 7] = [
    "hit Breakpoint 1",
    "score (it=0x?, bonus=10)",
    "#0  score (it=0x?, bonus=10)",
    " visit (list=0x?, bonus=10)",
    "name = 0x? \"third\", value = 333",
    "= 3\n",
    "Value returned is $? = 343",
];

#[test]
fn a_forked_child_is_followed() {
    let commands = [
        "set follow-fork-mode child",
        "break score",
        "run",
        "bt 3",
        "p *it",
        "p counter",
        "finish",
        "delete",
        "continue",
    ];
    let answers = processes_in_gdb("fork", "abilities/c-O0.wasm", &commands);
    assert_in_order(&answers, &[&["fork to child"], &FORKED[..], &["child done"]].concat());
    // What the child's guest does to its memory, the parent's does not see.
    assert_eq!(answers.matches("total 584, depth 10, counter 7").count(), 2, "{answers}");
}

#[test]
fn both_processes_of_a_fork_are_debugged_at_once() {
    let commands = [
        "set detach-on-fork off",
        "set schedule-multiple on",
        "break score",
        "run",
        "bt 3",
        "p *it",
        "p counter",
        "finish",
        "info breakpoints",
        // Between the end of the child and the parent, which waits for it, gdb takes what it hears of first.
        "inferior 1",
        "p counter",
        "delete",
        "continue",
    ];
    let answers = processes_in_gdb("fork", "abilities/c-O0.wasm", &commands);
    assert_in_order(&answers, &FORKED);
    assert_in_order(
        &answers,
        &[
            "score at abilities/main.c:",
            "inf 1\n",
            "score at abilities/main.c:",
            "inf 2\n",
            "Switching to inferior 1",
            "= 3\n",
            "child done",
        ],
    );
}

#[test]
fn a_process_that_executes_another_is_followed() {
    let commands = [
        "break score",
        "run",
        "bt 1",
        "catch exec",
        "disable 1",
        "continue",
        "enable 1",
        "continue",
        "bt 3",
        "p *it",
        "p counter",
        "finish",
    ];
    let answers = processes_in_gdb("exec", "abilities/c-O0.wasm", &commands);
    assert_in_order(&answers, &[&["#0  score (it=", "exec'd"], &FORKED[..]].concat());
}

/// The inner call is that of the second instance: each frame has its own locals, and the globals shown are those of the
/// instance that was entered last, until it is left.
#[test]
fn instances_have_their_own_frames_locals_and_globals() {
    let source = "instances/main.c";
    let stop = format!("break {}", at(source, "counter += step->amount;"));
    let commands = [
        &stop,
        "run",
        "p counter",
        "continue",
        "p counter",
        "p step->name",
        "up",
        "p here.amount",
        "continue",
        "p counter",
        "bt 2",
        "up",
        "p here.amount",
        "p amount",
        "p counter",
        "continue",
        "p counter",
        "continue",
        "p counter",
        "delete",
        "continue",
    ];
    let answers = processes_in_gdb("instances", "instances/instances.wasm", &commands);
    assert_in_order(
        &answers,
        &[
            // The second instance alone, then inside the first one's call, then the first.
            "add (step=0x?)",
            "= 0\n",
            "add (step=0x?)",
            "= 1000\n",
            "\"small\"",
            "bump (amount=2)",
            "= 2\n",
            "add (step=0x?)",
            "= 0\n",
            "#1  0x? in bump (amount=1)",
            "= 1\n",
            "= 1\n",
            "= 0\n",
            "= 1002\n",
            "= 1\n",
            "bump: 1013",
            "exited normally",
        ],
    );
}

/// The second session takes the code and its debug info from the first one's cache: with the cached code in place of the
/// module's, it shows the same.
#[test]
fn a_session_takes_its_code_from_the_cache() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cache = format!("--cache={}", directory.path().display());
    let place = at(SOURCE, "return sum;");
    let session = |options: &[&str]| {
        let options = [options, &["--break", &place]].concat();
        let output = debug(&options, &["run", "bt", "info locals"], Some("abilities/c-O0.wasm"));
        let from = output.find("#0 ").unwrap_or_else(|| panic!("no backtrace: {output}"));
        normalized(&output[from..])
    };
    let files = || kept_code(directory.path());
    let uncached = session(&[]);
    let first = session(&[&cache]);
    assert_eq!(files(), 1);
    assert_eq!((session(&[&cache]), files()), (first.clone(), 1));
    assert_eq!(first, uncached);
}

/// How much compiled code there is in a cache.
fn kept_code(cache: &Path) -> usize {
    let files = fs::read_dir(cache).expect("the cache is there");
    files.filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|it| it == "code"))).count()
}

/// It is compiled while gdb starts, which here never runs it.
#[test]
fn a_program_is_compiled_before_it_is_run() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    debug(&[&format!("--cache={}", directory.path().display())], &[], Some("abilities/c-O0.wasm"));
    wait_until("the program is compiled", || kept_code(directory.path()) > 0);
}
