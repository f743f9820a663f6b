//! A debugger session: commands in, answers out.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use crate::{engine, package, programs, tool};

/// How long a whole session may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(240);

/// A gdb session on a bundled program at one optimization level.
#[derive(Debug, Clone)]
pub struct Session {
    program: String,
    level: u8,
    invoke: Option<String>,
    options: Vec<String>,
    arguments: Vec<String>,
    privileged: bool,
    /// The program is an executable.
    is_example: bool,
}

/// What the debugger said, one entry a command.
#[derive(Debug)]
pub struct Answers {
    title: String,
    commands: Vec<String>,
    answers: Vec<String>,
    everything: String,
}

impl Session {
    /// A session on `programs/<program>` (without `.wasm`, but with `.wat`), compiled at `level`.
    pub fn new(program: &str, level: u8) -> Self {
        Self {
            program: program.to_owned(),
            level,
            invoke: None,
            options: Vec::new(),
            arguments: Vec::new(),
            privileged: true,
            is_example: false,
        }
    }

    /// A session on a host program of the engine's examples, with its arguments.
    pub fn example(name: &str, arguments: &[&str]) -> Self {
        let program = engine().with_file_name("examples").join(name).display().to_string();
        Self { is_example: true, ..Self::new(&program, 2) }.arguments(arguments)
    }

    /// The same on a host program of the engine's examples.
    pub fn on_example(&self, name: &str, arguments: &[&str]) -> Self {
        Self { privileged: self.privileged, ..Self::example(name, arguments) }
    }

    /// Calls an exported function instead of the program's start.
    pub fn invoke(mut self, export: &str) -> Self {
        self.invoke = Some(export.to_owned());
        self
    }

    /// More options for the engine.
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&it| it.to_owned()));
        self
    }

    /// Arguments for the guest.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&it| it.to_owned()));
        self
    }

    /// Without privileges, debugger and program run with no capabilities, as a plain user's do.
    pub fn privileged(mut self, privileged: bool) -> Self {
        self.privileged = privileged;
        self
    }

    /// A command with the privileges of this session.
    pub fn with_privileges(&self, command: Command) -> Command {
        if self.privileged {
            return command;
        }
        let mut plain = tool("setpriv", "util-linux");
        plain.args(["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]);
        plain.arg(command.get_program()).args(command.get_args());
        plain
    }

    /// What is debugged: the engine on the program or, where `WASMSCOPE_TEST_NATIVE` names a folder, the native build
    /// of that name in it. The latter is how the expectations of the tests are checked themselves.
    fn inferior(&self) -> Vec<String> {
        if self.is_example {
            return [std::slice::from_ref(&self.program), &*self.arguments].concat();
        }
        let mut inferior = match std::env::var_os("WASMSCOPE_TEST_NATIVE") {
            Some(folder) => {
                let name = self.program.rsplit('/').next().expect("rsplit gives at least one part");
                vec![PathBuf::from(folder).join(name).display().to_string()]
            }
            None => {
                let mut inferior = vec![engine().display().to_string()];
                inferior.extend(["run", "-g", "--opt-level", &self.level.to_string()].map(str::to_owned));
                inferior.extend(self.options.iter().cloned());
                inferior.extend(self.invoke.iter().flat_map(|export| ["--invoke".to_owned(), export.clone()]));
                let extension = if self.program.ends_with(".wat") { "" } else { ".wasm" };
                inferior.push(format!("{}{extension}", self.program));
                inferior
            }
        };
        inferior.extend(self.arguments.iter().cloned());
        inferior
    }

    /// Runs gdb on the program and gives the commands to it, one after the other.
    ///
    /// # Panics
    ///
    /// Panics if gdb is missing, hangs, or ends before the last command was executed.
    pub fn run(&self, commands: &[&str]) -> Answers {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let helpers = scratch.path().join("helpers.py");
        fs::write(&helpers, debugger_support::gdb_helpers()).expect("the helpers are written");
        let mut gdb = self.with_privileges(tool("gdb", "gdb"));
        gdb.args(["-nx", "-q", "-batch", "-iex", "set auto-load no", "-x"])
            .arg(&helpers)
            .arg("-x")
            .arg(package().join("gdb/session.py"))
            .arg("--args")
            .args(self.inferior());
        self.drive(gdb, scratch.path(), commands)
    }

    /// Runs lldb on the program and gives the commands to it, one after the other.
    ///
    /// # Panics
    ///
    /// Panics if lldb is missing, hangs, or ends before the last command was executed.
    pub fn run_lldb(&self, commands: &[&str]) -> Answers {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let helpers = scratch.path().join("wasmscope_helpers.py");
        fs::write(&helpers, debugger_support::lldb_helpers()).expect("the helpers are written");
        let mut lldb = self.with_privileges(tool("lldb-19", "lldb-19"));
        lldb.args([
            "-x",
            "-b",
            "-O",
            "settings set plugin.jit-loader.gdb.enable on",
            "-O",
            "settings set use-color false",
        ])
        .arg("-o")
        .arg(format!("command script import {}", helpers.display()))
        .arg("-o")
        .arg(format!("command script import {}", package().join("lldb/session.py").display()))
        .arg("--")
        .args(self.inferior())
        .env("SESSION_OUTPUT", scratch.path().join("output.txt"));
        self.drive(lldb, scratch.path(), commands)
    }

    /// Has `wasmscope debug` start `gdb` or `lldb`, and gives it the commands. The options say what is debugged:
    /// `--attach`, `--remote`, `--core`; else it is the program.
    ///
    /// # Panics
    ///
    /// Panics if the debugger is missing, hangs, or ends before the last command was executed.
    pub fn debug(&self, debugger: &str, options: &[&str], commands: &[&str]) -> Answers {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let mut debug = self.with_privileges(Command::new(engine()));
        debug.args(["debug", "--debugger", debugger]).args(options);
        let driver = package().join(debugger).join("session.py").display().to_string();
        let arguments: &[&str] = match debugger {
            "gdb" => {
                tool("gdb", "gdb");
                &["-batch", "-nx", "-iex", "set auto-load no", "-x", &driver]
            }
            _ => {
                tool("lldb-19", "lldb-19");
                &["-x", "-b", "-O", "settings set use-color false", "-o", &format!("command script import {driver}")]
            }
        };
        debug.args(arguments.iter().map(|argument| format!("--debugger-arg={argument}")));
        if !options.iter().any(|option| ["--attach", "--remote", "--core"].contains(option)) {
            debug.args(["--opt-level", &self.level.to_string()]).arg(format!("{}.wasm", self.program));
            debug.args(&self.arguments);
        }
        debug.env("SESSION_OUTPUT", scratch.path().join("output.txt"));
        self.drive(debug, scratch.path(), commands)
    }

    fn drive(&self, mut debugger: Command, scratch: &Path, commands: &[&str]) -> Answers {
        let list = scratch.join("commands.json");
        fs::write(&list, json_list(commands)).expect("the commands are written");
        debugger
            .env("SESSION_COMMANDS", &list)
            .env("XDG_CACHE_HOME", scratch)
            .current_dir(programs())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = debugger.spawn().expect("the debugger starts");
        let (sender, outputs) = mpsc::channel();
        let out: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("piped"));
        let err: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("piped"));
        for (index, mut pipe) in [out, err].into_iter().enumerate() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = pipe.read_to_end(&mut bytes);
                let _ = sender.send((index, String::from_utf8_lossy(&bytes).into_owned()));
            });
        }
        let mut texts = [String::new(), String::new()];
        for _ in 0..2 {
            match outputs.recv_timeout(PATIENCE) {
                Ok((index, text)) => texts[index] = text,
                Err(_) => {
                    let _ = child.kill();
                    panic!("the debugger did not end within {PATIENCE:?}; commands: {commands:?}");
                }
            }
        }
        let status = child.wait().expect("the debugger ends");
        let [out, err] = texts;
        let answers = split(&out);
        assert!(
            answers.len() > commands.len(),
            "the debugger ended ({status}) after {} of {} commands\n{out}\n{err}",
            answers.len(),
            commands.len()
        );
        Answers {
            title: format!("{} at level {}", self.program, self.level),
            commands: commands.iter().map(|&it| it.to_owned()).collect(),
            answers: answers[..commands.len()].to_vec(),
            everything: format!("{out}\n{err}"),
        }
    }
}

impl Answers {
    /// The answer to the command with this index, without surrounding blanks.
    pub fn answer(&self, index: usize) -> &str {
        &self.answers[index]
    }

    /// The answers to each command of that text, in order.
    pub fn to(&self, command: &str) -> Vec<&str> {
        let found: Vec<&str> = self
            .commands
            .iter()
            .zip(&self.answers)
            .filter(|(it, _)| it.as_str() == command)
            .map(|(_, answer)| answer.as_str())
            .collect();
        assert!(!found.is_empty(), "no such command was given: {command}");
        found
    }

    /// The values that the answers to each command of that text show: what follows `$n = `, normalized.
    pub fn values(&self, command: &str) -> Vec<String> {
        self.to(command)
            .into_iter()
            .map(|answer| {
                let answer = normalized(answer);
                answer.strip_prefix("$? = ").unwrap_or(&answer).to_owned()
            })
            .collect()
    }

    /// Checks the value in each command's first answer, and lists all that differ.
    ///
    /// # Panics
    ///
    /// Panics if one differs.
    #[track_caller]
    pub fn assert_values(&self, expected: &[(&str, &str)]) {
        let wrong: Vec<String> = expected
            .iter()
            .map(|(command, expected)| (command, self.values(command).swap_remove(0), expected))
            .filter(|(_, answer, expected)| answer != *expected)
            .map(|(command, answer, expected)| format!("{command}\n  expected {expected}\n  answered {answer}"))
            .collect();
        assert!(wrong.is_empty(), "{}:\n{}\n{}", self.title, wrong.join("\n"), self.everything);
    }

    /// Checks that the `nth` answer to a command has all these parts.
    ///
    /// # Panics
    ///
    /// Panics if one is missing.
    #[track_caller]
    pub fn assert_contains(&self, command: &str, nth: usize, parts: &[&str]) {
        let answer = self.to(command)[nth];
        for part in parts {
            assert!(
                answer.contains(part),
                "{}: {command} (answer {nth}) lacks {part:?}: {answer}\n{}",
                self.title,
                self.everything
            );
        }
    }

    /// The whole session as text, for failure messages.
    pub fn transcript(&self) -> &str {
        &self.everything
    }
}

/// The parts of gdb's output between the marks that `session.py` writes.
fn split(out: &str) -> Vec<String> {
    out.split("\n\u{1}")
        .skip(1)
        .map(|part| part.split_once('\n').map_or("", |(_, answer)| answer).trim().to_owned())
        .collect()
}

/// Can gdb call functions of a program on this machine? gdb 13 writes the processor's extended state in a form that some
/// kernels refuse: then it cannot in any program, and an attempt leaves the program's registers wrong.
pub fn gdb_calls_functions() -> bool {
    static CALLS: OnceLock<bool> = OnceLock::new();
    *CALLS.get_or_init(|| {
        let mut gdb = tool("gdb", "gdb");
        gdb.args([
            "-nx",
            "-q",
            "-batch",
            "-ex",
            "catch syscall write",
            "-ex",
            "run",
            "-ex",
            "print (int) getpid()",
            "--args",
        ]);
        gdb.arg(engine()).arg("--version");
        let said = everything_said(gdb);
        let refused = said.contains("Couldn't write extended state status");
        assert!(refused || said.contains("$1 = "), "{said}");
        if refused {
            eprintln!("gdb cannot call functions of any program on this machine: calls are not tried");
        }
        !refused
    })
}

/// What a command says on both of its outputs, [`normalized`].
pub fn everything_said(mut command: Command) -> String {
    let output = command.output().expect("the command starts");
    normalized(&format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Are these parts in the text, one after another?
///
/// # Panics
///
/// Panics with the first part that is missing.
#[track_caller]
pub fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => panic!("expected {part:?} in order in\n{text}"),
        }
    }
}

/// An answer without what differs from run to run: addresses become `0x?`, value numbers `$?`, and
/// libc++'s inline namespace, which is its version, `__?`.
pub fn normalized(answer: &str) -> String {
    let answer = answer.replace("std::__1::", "std::__?::").replace("std::__2::", "std::__?::");
    let mut out = String::new();
    let mut rest = answer.as_str();
    while let Some(at) = rest.find(['$', '0']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let (mark, digits): (&str, fn(&char) -> bool) = if tail.starts_with("0x") {
            ("0x", char::is_ascii_hexdigit)
        } else if tail.starts_with('$') {
            ("$", char::is_ascii_digit)
        } else {
            out.push('0');
            rest = &tail[1..];
            continue;
        };
        let body = &tail[mark.len()..];
        let length = body.chars().take_while(digits).count();
        out.push_str(mark);
        out.push_str(if length > 0 { "?" } else { "" });
        rest = &body[length..];
    }
    out.push_str(rest);
    out
}

/// A JSON list of strings.
fn json_list(items: &[&str]) -> String {
    let quoted: Vec<String> = items
        .iter()
        .map(|item| {
            let mut out = String::from("\"");
            for letter in item.chars() {
                match letter {
                    '"' | '\\' => out.extend(['\\', letter]),
                    '\n' => out.push_str("\\n"),
                    letter if letter < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
                    letter => out.push(letter),
                }
            }
            out + "\""
        })
        .collect();
    format!("[{}]", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_their_marks() {
        let out = "hello\n\n\u{1}0\nBreakpoint 1\n\n\u{1}1\nguest says hi\n$1 = 5\n\n\u{1}2\n";
        assert_eq!(split(out), ["Breakpoint 1", "guest says hi\n$1 = 5", ""]);
    }

    #[test]
    fn addresses_and_value_numbers_are_normalized() {
        assert_eq!(normalized("$12 = (int *) 0x10ff0 <x> 100"), "$? = (int *) 0x? <x> 100");
        assert_eq!(normalized("costs 5$, 0 or 0x"), "costs 5$, 0 or 0x");
    }

    #[test]
    fn commands_survive_json() {
        assert_eq!(json_list(&["p \"a\\b\"", "x"]), r#"["p \"a\\b\"","x"]"#);
    }
}
