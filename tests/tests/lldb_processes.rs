//! lldb, without helpers, on host programs with several threads or processes.

use std::process::Stdio;

use tests::{assert_in_order, engine, everything_said, programs, tool};

/// What lldb answers on an example of the engine's.
///
/// lldb-server 19 does not always survive that a process of several threads ends or executes another.
fn lldb(example: &[&str], commands: &[&str]) -> String {
    let mut answers = lldb_once(example, commands);
    for _ in 1..5 {
        if !answers.contains("lost connection") {
            break;
        }
        answers = lldb_once(example, commands);
    }
    answers
}

fn lldb_once(example: &[&str], commands: &[&str]) -> String {
    let mut lldb = tool("lldb-19", "lldb-19");
    lldb.args(["-x", "-b", "-O", "settings set plugin.jit-loader.gdb.enable on", "-O", "settings set use-color false"]);
    for command in commands {
        lldb.args(["-o", command]);
    }
    lldb.arg("--").arg(engine().with_file_name("examples").join(example[0])).args(&example[1..]);
    lldb.current_dir(programs()).stdin(Stdio::null());
    everything_said(lldb)
}

#[test]
fn threads_have_their_own_frames() {
    let stop = "breakpoint set --name score --condition 'bonus == 10'";
    let commands =
        [stop, "run", "breakpoint delete -f", "thread backtrace all", "v bonus", "up 2", "expr (long)argv >> 32"];
    let answers = lldb(&["threads", "3", "abilities/c-O0.wasm"], &commands);
    let frames = answers.matches("`main(argc=2").count();
    assert_eq!(frames, 2, "each of the two that wait has the guest's main\n{answers}");
    let parts = [
        "breakpoint 1.1",
        "`score(it=0x?, bonus=10)",
        "`visit(list=0x?, bonus=10)",
        "`main(argc=1",
        "bonus = 10",
        // lldb's own pointers.
        "(long) $? = 0\n",
    ];
    assert_in_order(&answers, &parts);
}

#[test]
fn a_forked_child_and_an_executed_program_are_followed() {
    let follow = "settings set target.process.follow-fork-mode child";
    let commands = [
        follow,
        "breakpoint set --name score",
        "run",
        "bt 3",
        "p counter",
        "finish",
        "breakpoint delete -f",
        "continue",
    ];
    let answers = lldb(&["processes", "fork", "abilities/c-O0.wasm"], &commands);
    let parts = [
        "breakpoint 1.1",
        "#0: 0x? JIT(0x?)`score(it=0x?, bonus=10)",
        "`visit(",
        "`main(argc=1",
        "(int) 3",
        "= 343",
        "child done",
    ];
    assert_in_order(&answers, &parts);

    let commands = [
        "breakpoint set --name score",
        "run",
        "breakpoint disable",
        "continue",
        "breakpoint enable",
        "continue",
        "bt 3",
        "v part",
        "p counter",
        "finish",
    ];
    let answers = lldb(&["processes", "exec", "abilities/c-O0.wasm"], &commands);
    let parts = [
        "breakpoint 1.1",
        "stop reason = exec",
        "(lldb) bt 3",
        "`score(it=0x?, bonus=10)",
        "`visit(",
        "`main(argc=1",
        "(int) part = ",
        "(int) 3",
        "= 343",
    ];
    assert_in_order(&answers, &parts);
}
