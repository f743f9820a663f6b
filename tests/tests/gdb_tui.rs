//! gdb's source window on a guest, in a terminal: what a person sees there.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tests::{engine, everything_said, line, programs, tool};

const SOURCE: &str = "abilities/main.c";

/// How long the screen may take to show what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal without a window, in which a program runs: a tmux server of its own.
struct Terminal {
    folder: tempfile::TempDir,
}

impl Terminal {
    /// Starts the program in `programs/`.
    fn new(command: &[&str]) -> Self {
        let terminal = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let place = programs().display().to_string();
        let start = ["-u", "-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "-c", &place];
        let said = terminal.tmux(&[&start, command].concat());
        assert!(said.is_empty(), "{said}");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut tmux = tool("tmux", "tmux");
        let socket: PathBuf = self.folder.path().join("tmux");
        // What gdb and the engine keep goes there, too; a server that runs in a terminal of a tmux would refuse.
        tmux.arg("-S").arg(socket).args(arguments).env("XDG_CACHE_HOME", self.folder.path()).env_remove("TMUX");
        // Borders are drawn by what the locale has for them.
        tmux.env("LC_ALL", "C.UTF-8");
        everything_said(tmux)
    }

    fn type_line(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// The screen, once it is as wanted.
    #[track_caller]
    fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if wanted(&screen) {
                return screen;
            }
            assert!(start.elapsed() < PATIENCE, "the screen does not show {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// Is the line of the source with this text in the window, with its number and these marks before it?
fn shows(screen: &str, marks: &str, text: &str) -> bool {
    let number = line(SOURCE, text).to_string();
    screen.lines().any(|row| {
        let mut words = row.trim_start_matches(['│', '|']).split_whitespace();
        let mut before = String::new();
        let found = words.by_ref().any(|word| {
            if word != number {
                before.push_str(word);
            }
            word == number
        });
        found && before == marks && row.contains(text)
    })
}

#[test]
fn the_source_window_follows_the_guest() {
    let engine = engine().display().to_string();
    let quiet = ["--debugger-arg=-nx", "--debugger-arg=-iex", "--debugger-arg=set auto-load no"];
    let command = [&[engine.as_str(), "debug", "--tui"], &quiet[..], &["abilities/c-O0.wasm"]].concat();
    let terminal = Terminal::new(&command);
    terminal.wait_for("the prompt", |screen| screen.contains("(gdb)"));
    terminal.type_line("break score");
    terminal.wait_for("that the breakpoint is pending", |screen| screen.contains("Breakpoint 1 (score) pending."));
    terminal.type_line("run");
    let here = "int part = it->apply";
    let screen = terminal.wait_for("the line of the breakpoint", |screen| shows(screen, "B+>", here));
    assert!(screen.contains(SOURCE), "the window has the file's name:\n{screen}");
    assert!(screen.contains("In: score"), "the line below has the function's:\n{screen}");
    // The arrow goes where execution does, and where the frame is.
    terminal.type_line("next 2");
    terminal.wait_for("the line after", |screen| shows(screen, ">", "return part;") && shows(screen, "B+", here));
    terminal.type_line("up");
    let call = "int part = score(it, bonus);";
    terminal.wait_for("the caller", |screen| shows(screen, ">", call) && screen.contains("In: visit"));
    // gdb 13 shows the right instructions from the next command on that changes the frame, natively as well.
    terminal.type_line("layout asm");
    terminal.type_line("down");
    let at_pc = |row: &str| row.trim_start_matches('│').trim_start().starts_with('>') && row.contains("<score+");
    terminal.wait_for("the instruction that is next", |screen| screen.lines().any(at_pc));
}
