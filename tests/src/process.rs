//! Processes that a debugger did not start.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{engine, everything_said, programs};

/// How long a process may take to get where it is wanted.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is ended when the test is.
#[derive(Debug)]
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts it in `programs/`, with nothing to read and nobody who reads what it writes.
    pub fn start(mut command: Command) -> Process {
        command.current_dir(programs()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process(command.spawn().expect("the process starts"))
    }

    /// The engine on a program of the table of abilities, `abilities/c-O0` or another, that waits in its `main` until a
    /// debugger clears a variable.
    pub fn waiting_guest(mut engine: Command, program: &str) -> Process {
        engine.arg(format!("{program}.wasm")).arg("wait");
        let process = Process::start(engine);
        // The guest runs once its memory is mapped.
        let maps = format!("/proc/{}/maps", process.id());
        wait_until("the guest starts", || fs::read_to_string(&maps).is_ok_and(|maps| maps.contains("memfd:wasm")));
        std::thread::sleep(Duration::from_millis(300));
        process
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.0.try_wait().expect("a child of ours");
            status.is_some()
        });
        status.expect("it was waited for")
    }
}

/// The engine's `run` for a debugger, without the program.
pub fn run_for(debugger: &str, level: u8) -> Command {
    let mut run = Command::new(engine());
    run.args(["run", "-g", "--debugger", debugger, "--opt-level", &level.to_string()]);
    run
}

/// Runs a program in `gdb` until it is stopped by `stop`, a command, or not at all, and has gdb write a core file.
pub fn core_of(mut gdb: Command, program: &[&str], stop: &str, file: &Path) {
    gdb.args(["-batch", "-nx", "-q", "-iex", "set auto-load no", "-iex", "set debuginfod enabled off"])
        .args(["-iex", "set breakpoint pending on", "-iex", "set startup-with-shell off"])
        // Otherwise gdb writes 64 MB for each thread that has allocated.
        .args(["-ex", "set environment MALLOC_ARENA_MAX 1"])
        .args(["-ex", stop, "-ex", "run", "-ex", &format!("generate-core-file {}", file.display()), "-ex", "kill"])
        .arg("--args")
        .args(program)
        .current_dir(programs())
        .stdin(Stdio::null());
    let said = everything_said(gdb);
    assert!(said.contains("Saved corefile"), "{said}");
}

/// A TCP port of this machine that nobody listens at.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("localhost", 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Waits until something listens at a port, without a connection, which might be the only one that a server takes.
pub fn wait_for_listener(port: u16) {
    let listens = |table: &str| {
        let text = fs::read_to_string(table).unwrap_or_default();
        // Local address, remote address, state: 0A is LISTEN.
        text.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let here = fields.next().is_some_and(|it| it.ends_with(&format!(":{port:04X}")));
            here && fields.nth(1) == Some("0A")
        })
    };
    wait_until("the server listens", || listens("/proc/net/tcp") || listens("/proc/net/tcp6"));
}

/// Waits until something holds, for as long as a slow machine may take.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
