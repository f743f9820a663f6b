//! The ways to a process other than to start it in a debugger: what is typed then, and what must be answered.
//!
//! Each session goes to the same place of the column's program, and looks around there.

use std::path::Path;
use std::process::Command;

use tests::{Answers, Process, Session, core_of, engine, free_port, run_for, wait_for_listener};

use crate::script::{Column, Debugger, Language, Script};

/// A way to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// `wasmscope debug PROGRAM`.
    Debug,
    /// `wasmscope debug --attach`.
    Attach,
    /// `wasmscope debug --core`.
    Core,
    /// `wasmscope debug --serve` and, elsewhere, `wasmscope debug --remote`.
    Remote,
    /// A host program with an instance on each of three threads.
    Threads,
    /// A host program that forks; its child executes another.
    Processes,
}

pub const ALL: &[Reach] = &[Reach::Debug, Reach::Attach, Reach::Core, Reach::Remote, Reach::Threads, Reach::Processes];

/// A place in a program, and how one looks around there: commands and the answers, in order.
struct Place {
    /// The function that is stopped in.
    function: &'static str,
    arrived: &'static str,
    frames: &'static [&'static str],
    looks: &'static [(&'static str, &'static [&'static str])],
    /// Lets a guest go on that waits, and the frame that it waits in.
    release: &'static str,
    waits: &'static str,
}

fn place(column: &Column) -> Place {
    match (column.debugger, column.language) {
        (Debugger::Gdb, Language::C) => Place {
            function: "score",
            arrived: "score (it=0x?, bonus=10)",
            frames: &["#0  score (it=0x?, bonus=10)", "visit (list=", "main (argc="],
            looks: &[
                ("p *it", &["name = 0x? \"third\", value = 333, color = BLUE", "apply = 0x? <add>"]),
                ("p it->next->name", &["\"second\""]),
                ("p counter", &["= 3"]),
                ("up", &["visit (list="]),
                ("p sum", &["= 10"]),
            ],
            release: "set var waiting = 0",
            waits: " main (argc=2, argv=0x?)",
        },
        (Debugger::Gdb, Language::Cxx) => Place {
            function: "score",
            arrived: "score (it=0x?, total=",
            frames: &["#0  score (it=0x?", "walk (list=", "main (argc="],
            looks: &[
                ("p *it", &["name = 0x? \"first\", value = 1, kind = geometry::Kind::Round", "<add(int, int)>"]),
                ("p it->next->name", &["\"second\""]),
                ("p total", &["34"]),
                ("p counter", &["= 6"]),
                ("up", &["walk (list="]),
                ("p steps", &["= 0"]),
                ("up", &["main (argc="]),
                ("p ages", &["std::map with 2 elements = {[\"ada\"] = 36, [\"grace\"] = 85}"]),
            ],
            release: "set var waiting = 0",
            waits: " main (argc=2, argv=0x?)",
        },
        (Debugger::Gdb, Language::Rust) => Place {
            function: "abilities::score",
            arrived: "abilities::score (it=0x?, bonus=",
            frames: &["#0  abilities::score (it=0x?", "abilities::visit (list=", "abilities::main ()"],
            looks: &[
                ("p *it", &["abilities::Node {name: \"third\", value: 333, color: abilities::Color::Blue"]),
                ("p *it.next.0", &["name: \"second\", value: 22"]),
                ("p abilities::COUNTER.v.value.0", &["= 3"]),
                ("up", &["abilities::visit (list="]),
                ("p sum", &["= 10"]),
            ],
            release: "set var abilities::WAITING.v.value.0 = 0",
            waits: "abilities::main ()",
        },
        (Debugger::Lldb, Language::C) => Place {
            function: "score",
            arrived: "score(it=0x?, bonus=10) at main.c:",
            frames: &["score(it=0x?, bonus=10)", "visit(list=", "main(argc="],
            looks: &[
                ("v *it", &["name = 0x? \"third\"", "value = 333", "color = BLUE", "`add at main.c:"]),
                ("v it->next->name", &["\"second\""]),
                ("target variable counter", &["(int) counter = 3"]),
                ("up", &["visit(list="]),
                ("v sum", &["sum = 10"]),
            ],
            release: "expr waiting = 0",
            waits: "main(argc=2, argv=0x?)",
        },
        (Debugger::Lldb, Language::Cxx) => Place {
            function: "score",
            arrived: "score(it=0x?, total=0x?) at main.cc:",
            frames: &["score(it=0x?, total=0x?)", "walk(list=", "main(argc="],
            looks: &[
                ("v *it", &["name = 0x? \"first\"", "value = 1", "kind = Round", "`add(int, int) at main.cc:"]),
                ("v it->next->name", &["\"second\""]),
                ("v total", &["(&total = 34)"]),
                ("target variable counter", &["(int) counter = 6"]),
                ("up", &["walk(list="]),
                ("v steps", &["steps = 0"]),
                ("up", &["main(argc="]),
                ("v ages", &["size=2", "first = \"ada\"", "second = 36", "first = \"grace\"", "second = 85"]),
            ],
            release: "expr waiting = 0",
            waits: "main(argc=2, argv=0x?)",
        },
        (Debugger::Lldb, Language::Rust) => Place {
            function: "abilities::score",
            arrived: "abilities::score(it=0x?, bonus=10) at main.rs:",
            frames: &["abilities::score(it=0x?, bonus=10)", "abilities::visit(list=", "abilities::main at main.rs:"],
            looks: &[
                ("v *it", &["name = \"third\"", "value = 333", "color = Blue"]),
                ("v *it->next.0", &["name = \"second\"", "value = 22"]),
                ("target variable --regex COUNTER", &["COUNTER = ", "3"]),
                ("up", &["abilities::visit(list="]),
                ("v sum", &["sum = 10"]),
            ],
            release: "expr *(int *)&WAITING = 0",
            waits: "abilities::main at main.rs:",
        },
    }
}

impl Place {
    /// Commands that lead to the place.
    fn reached_by(&self, it: &mut Script, row: &'static str, commands: &[&str]) {
        it.can(row, commands, &[self.arrived]);
        self.look_around(it, row);
    }

    fn look_around(&self, it: &mut Script, row: &'static str) {
        it.can(row, &["bt"], self.frames);
        for (command, answer) in self.looks {
            it.can(row, &[command], answer);
        }
    }
}

/// What is typed in a column, on one way.
pub fn script(column: &Column, reach: Reach) -> Script {
    let place = place(column);
    let gdb = column.debugger == Debugger::Gdb;
    let (break_at, all_gone, exited) = if gdb {
        (format!("break {}", place.function), "delete", "exited normally]")
    } else {
        (format!("breakpoint set --name {}", place.function), "breakpoint delete -f", "exited with status = 0")
    };
    let mut it = Script::default();
    match reach {
        Reach::Debug => {
            place.reached_by(&mut it, "`wasmscope debug`", &["run"]);
            let end = &place.function[place.function.len() - 2..];
            let typed = break_at.strip_suffix(end).expect("the command ends with the name");
            it.can("completion of names", &[&format!("complete {typed}")], &[place.function]);
            it.can(
                "to the end without a stop",
                &[all_gone, "continue", if gdb { "info program" } else { "process status" }],
                &[exited],
            );
        }
        Reach::Attach => {
            let row = "attach to a process";
            it.can(row, &["bt"], &[place.waits]);
            place.reached_by(&mut it, row, &[place.release, "continue"]);
            // That the process then goes on to its end is asserted where it was started.
            it.can("detach", &[all_gone, "detach"], &[if gdb { "detached]" } else { "All breakpoints removed" }]);
        }
        Reach::Core => place.look_around(&mut it, "a core file"),
        Reach::Remote => {
            place.reached_by(&mut it, "through a debug server", &["continue"]);
            it.can(
                "through a debug server",
                &["down", all_gone, "finish"],
                &[place.frames[1].split('(').next().unwrap()],
            );
            it.can("through a debug server", &["continue"], &[exited]);
        }
        Reach::Threads => {
            let row = "an instance on each thread";
            let all = if gdb { "thread apply all bt 12" } else { "thread backtrace all" };
            it.can(row, &[&break_at, "run", all_gone], &[place.arrived]);
            // gdb begins with the newest thread, lldb with the first one.
            let frames = if gdb {
                [place.waits, place.waits, place.frames[0]]
            } else {
                [place.frames[0], place.waits, place.waits]
            };
            it.can(row, &[all], &frames);
            // Pointers lead into the memory of another instance; that is said at the stop.
            let (command, answer) = place.looks[place.looks.iter().position(|(it, _)| *it == "up").unwrap() + 1];
            it.can(row, &["up", command], answer);
        }
        Reach::Processes => {
            let (child, forked) = if gdb {
                ("set follow-fork-mode child", "fork to child")
            } else {
                ("settings set target.process.follow-fork-mode child", "")
            };
            let row = "a forked child";
            it.can(row, &[child, &break_at, "run"], &[forked, place.arrived]);
            place.look_around(&mut it, row);
            let row = "an executed program";
            let commands: &[&str] = if gdb {
                &["catch exec", "disable 1", "continue", "enable 1", "continue"]
            } else {
                &["breakpoint disable", "continue", "breakpoint enable", "continue"]
            };
            it.can(row, commands, &["exec", place.arrived]);
            place.look_around(&mut it, row);
        }
    }
    it
}

/// Has the debugger of a column answer the commands, on one way to the program.
pub fn answers(column: &Column, reach: Reach, session: &Session, commands: &[&str]) -> Answers {
    let debugger = if column.debugger == Debugger::Gdb { "gdb" } else { "lldb" };
    let program = column.program();
    let module = format!("{program}.wasm");
    let level = column.level.to_string();
    let function = place(column).function;
    match reach {
        Reach::Debug => session.debug(debugger, &["--break", function], commands),
        Reach::Attach => {
            let run = session.with_privileges(run_for(debugger, column.level));
            let mut guest = Process::waiting_guest(run, &program);
            let answers =
                session.debug(debugger, &["--attach", &guest.id().to_string(), "--break", function], commands);
            assert!(guest.wait().success(), "the process goes on after `detach`: {}", answers.transcript());
            answers
        }
        Reach::Core => {
            let scratch = tempfile::tempdir().expect("a temporary folder");
            let core = scratch.path().join("core");
            let engine = engine().display().to_string();
            let run = [&engine, "run", "-g", "--debugger", debugger, "--opt-level", &level, &module];
            core_of(session.with_privileges(Command::new("gdb")), &run, &format!("break {function}"), &core);
            session.debug(debugger, &["--core", path(&core)], commands)
        }
        Reach::Remote => {
            let port = free_port();
            let address = format!("localhost:{port}");
            let mut serve = session.with_privileges(Command::new(engine()));
            serve.args(["debug", "--no-cache", "--debugger", debugger, "--opt-level", &level]);
            serve.args(["--serve", &address, &module]);
            let _server = Process::start(serve);
            wait_for_listener(port);
            session.debug(debugger, &["--remote", &address, "--break", function], commands)
        }
        Reach::Threads | Reach::Processes => {
            let (example, argument) =
                if reach == Reach::Threads { ("threads", "3") } else { ("processes", "fork-exec") };
            let session = session.on_example(example, &[argument, &module, &level]);
            match column.debugger {
                Debugger::Gdb => session.run(commands),
                Debugger::Lldb => session.run_lldb(commands),
            }
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
