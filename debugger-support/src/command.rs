//! The command line that starts a debugger with everything set.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A debugger that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debugger {
    /// GNU gdb.
    Gdb,
    /// LLVM's lldb.
    Lldb,
}

/// No debugger of the wanted kind is installed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{name} is not installed (looked for {tried} on PATH). On Debian and Ubuntu: apt-get install {package}; \
     on Fedora: dnf install {name}."
)]
pub struct MissingDebugger {
    name: &'static str,
    tried: String,
    package: &'static str,
}

impl Debugger {
    /// The names to look for, best first.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Gdb => &["gdb"],
            Self::Lldb => &["lldb-19", "lldb", "lldb-20", "lldb-18", "lldb-17", "lldb-16", "lldb-15", "lldb-14"],
        }
    }

    /// The names of its debug server, best first, and the package that has it.
    fn servers(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Gdb => (&["gdbserver"], "gdbserver"),
            Self::Lldb => (&["lldb-server-19", "lldb-server", "lldb-server-20", "lldb-server-18"], "lldb-19"),
        }
    }

    /// Finds the debugger's server on `PATH`.
    pub fn locate_server(self) -> Result<PathBuf, MissingDebugger> {
        let (names, package) = self.servers();
        find(names, &env::var_os("PATH").unwrap_or_default()).ok_or_else(|| MissingDebugger {
            name: names[0],
            tried: names.join(", "),
            package,
        })
    }

    /// Finds the debugger's program on `PATH`.
    pub fn locate(self) -> Result<PathBuf, MissingDebugger> {
        self.locate_in(&env::var_os("PATH").unwrap_or_default())
    }

    fn locate_in(self, path: &OsStr) -> Result<PathBuf, MissingDebugger> {
        find(self.names(), path).ok_or_else(|| MissingDebugger {
            name: self.names()[usize::from(self == Self::Lldb)],
            tried: self.names().join(", "),
            package: self.names()[0],
        })
    }
}

/// The command line of a debug server that starts a program and waits for a debugger at `address`, `HOST:PORT`.
pub fn server_argv(debugger: Debugger, server: &Path, address: &str, command: &[OsString]) -> Vec<OsString> {
    let mut argv = vec![server.as_os_str().to_owned()];
    match debugger {
        Debugger::Gdb => argv.extend(["--once".into(), address.into()]),
        Debugger::Lldb => argv.extend(["gdbserver".into(), address.into(), "--".into()]),
    }
    argv.extend(command.iter().cloned());
    argv
}

fn find(names: &[&str], path: &OsStr) -> Option<PathBuf> {
    let directories: Vec<PathBuf> = env::split_paths(path).collect();
    names
        .iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|program| is_executable(program))
}

fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// What is debugged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A program to start, with its arguments.
    Launch(Vec<OsString>),
    /// A process that runs already.
    Attach(u32),
    /// What a debug server (gdbserver, lldb-server) at `HOST:PORT` debugs.
    Remote(String),
    /// The core file of a process that has ended.
    Core(PathBuf),
}

/// Everything that the start of a debugger depends on.
///
/// ```
/// use debugger_support::{DebugSession, Debugger, Target};
///
/// let session = DebugSession {
///     debugger: Debugger::Gdb,
///     program: "/usr/bin/gdb".into(),
///     executable: "/usr/bin/wasmscope".into(),
///     target: Target::Launch(vec!["run".into(), "-g".into(), "list.wasm".into()]),
///     helpers: "/tmp/helpers.py".into(),
///     breakpoints: vec!["list.c:12".to_owned()],
///     extra: vec![],
/// };
/// assert_eq!(session.argv()[0], "/usr/bin/gdb");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugSession {
    /// Which debugger.
    pub debugger: Debugger,
    /// Its program, as [`Debugger::locate`] found it.
    pub program: PathBuf,
    /// The engine's executable: what holds the JIT interface's symbols.
    pub executable: PathBuf,
    /// What is debugged.
    pub target: Target,
    /// A file with [`gdb_helpers`](crate::gdb_helpers) or [`lldb_helpers`](crate::lldb_helpers) in it.
    pub helpers: PathBuf,
    /// Where to stop, in the debugger's own notation. The engine's executable has no symbol `main`, so that `main`
    /// is the guest's.
    pub breakpoints: Vec<String>,
    /// More arguments for the debugger itself, such as `-tui` or `-batch -x script`.
    pub extra: Vec<OsString>,
}

impl DebugSession {
    /// The program to execute and its arguments.
    pub fn argv(&self) -> Vec<OsString> {
        let mut argv = vec![self.program.clone().into_os_string()];
        match self.debugger {
            Debugger::Gdb => self.gdb(&mut argv),
            Debugger::Lldb => self.lldb(&mut argv),
        }
        argv
    }

    /// The commands that the debugger needs before it knows the target.
    pub(crate) fn setup_commands(&self) -> Vec<OsString> {
        match self.debugger {
            // The guest's symbols appear when its module is registered: until then each breakpoint has to wait. No
            // question about that, and none to a debuginfod server for the engine's own symbols.
            Debugger::Gdb => vec![
                "set breakpoint pending on".into(),
                "set debuginfod enabled off".into(),
                quoted("source ", &self.helpers, ""),
            ],
            // Off by default where lldb expects a debug server to announce modules (macOS), harmless elsewhere.
            Debugger::Lldb => vec![
                "settings set plugin.jit-loader.gdb.enable on".into(),
                quoted("command script import \"", &self.helpers, "\""),
            ],
        }
    }

    /// The commands that set the breakpoints.
    pub(crate) fn breakpoint_commands(&self) -> Vec<String> {
        let command = |place: &String| match (self.debugger, place.rsplit_once(':')) {
            (Debugger::Gdb, _) => format!("break {place}"),
            (Debugger::Lldb, Some((file, line)))
                if line.bytes().all(|byte| byte.is_ascii_digit()) && !line.is_empty() =>
            {
                format!("breakpoint set --file \"{file}\" --line {line}")
            }
            (Debugger::Lldb, _) => format!("breakpoint set --name \"{place}\""),
        };
        self.breakpoints.iter().map(command).collect()
    }

    fn gdb(&self, argv: &mut Vec<OsString>) {
        let mut option = |name: &str, value: OsString| argv.extend([name.into(), value]);
        for (index, command) in self.setup_commands().into_iter().enumerate() {
            option(if index < 2 { "-iex" } else { "-ex" }, command);
        }
        let breakpoints = self.breakpoint_commands().into_iter().map(OsString::from);
        match &self.target {
            Target::Remote(address) => {
                option("-ex", format!("target remote {address}").into());
                breakpoints.for_each(|command| option("-ex", command));
            }
            Target::Core(_) => option("-ex", "wasm trap".into()),
            _ => breakpoints.for_each(|command| option("-ex", command)),
        }
        argv.push("-q".into());
        argv.extend(self.extra.iter().cloned());
        match &self.target {
            Target::Launch(arguments) => {
                argv.push("--args".into());
                argv.push(self.executable.clone().into_os_string());
                argv.extend(arguments.iter().cloned());
            }
            Target::Attach(pid) => {
                argv.push("-p".into());
                argv.push(pid.to_string().into());
                argv.push(self.executable.clone().into_os_string());
            }
            Target::Remote(_) => argv.push(self.executable.clone().into_os_string()),
            Target::Core(file) => {
                argv.extend(["-c".into(), file.clone().into_os_string()]);
                argv.push(self.executable.clone().into_os_string());
            }
        }
    }

    fn lldb(&self, argv: &mut Vec<OsString>) {
        let mut option = |name: &str, value: OsString| argv.extend([name.into(), value]);
        self.setup_commands().into_iter().for_each(|command| option("-O", command));
        if let Target::Remote(address) = &self.target {
            option("-o", format!("gdb-remote {address}").into());
        }
        self.breakpoint_commands().into_iter().for_each(|command| option("-o", command.into()));
        argv.extend(self.extra.iter().cloned());
        match &self.target {
            Target::Launch(arguments) => {
                argv.push("--".into());
                argv.push(self.executable.clone().into_os_string());
                argv.extend(arguments.iter().cloned());
            }
            Target::Attach(pid) => {
                argv.push("-p".into());
                argv.push(pid.to_string().into());
            }
            Target::Remote(_) => argv.push(self.executable.clone().into_os_string()),
            Target::Core(file) => {
                argv.push("-c".into());
                argv.push(file.clone().into_os_string());
                argv.push(self.executable.clone().into_os_string());
            }
        }
    }
}

fn quoted(before: &str, path: &Path, after: &str) -> OsString {
    let mut command = OsString::from(before);
    command.push(path);
    command.push(after);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(debugger: Debugger, target: Target) -> DebugSession {
        DebugSession {
            debugger,
            program: "/bin/debugger".into(),
            executable: "/bin/wasmscope".into(),
            target,
            helpers: "/tmp/a b/helpers.py".into(),
            breakpoints: vec!["main".to_owned(), "dir/list.c:12".to_owned()],
            extra: vec!["-batch".into()],
        }
    }

    #[test]
    fn guest_arguments_come_last_for_gdb() {
        let arguments = vec!["run".into(), "-g".into(), "x.wasm".into(), "-q".into()];
        let argv = session(Debugger::Gdb, Target::Launch(arguments)).argv();
        let at = argv.iter().position(|argument| argument == "--args").unwrap();
        assert_eq!(argv[at + 1..], ["/bin/wasmscope", "run", "-g", "x.wasm", "-q"]);
        assert!(argv[..at].iter().any(|argument| argument == "break dir/list.c:12"));
        assert!(argv[..at].iter().any(|argument| argument == "source /tmp/a b/helpers.py"));
    }

    #[test]
    fn a_core_file_is_never_taken_for_a_process() {
        for debugger in [Debugger::Gdb, Debugger::Lldb] {
            let argv = session(debugger, Target::Core("4711".into())).argv();
            assert_eq!(argv[argv.len() - 3..], ["-c", "4711", "/bin/wasmscope"]);
        }
    }

    #[test]
    fn lldb_breakpoints_are_told_apart_by_a_line_number() {
        let argv = session(Debugger::Lldb, Target::Attach(12)).argv();
        assert!(argv.iter().any(|argument| argument == "breakpoint set --name \"main\""));
        assert!(argv.iter().any(|argument| argument == "breakpoint set --file \"dir/list.c\" --line 12"));
        assert_eq!(argv[argv.len() - 2..], ["-p", "12"]);
    }

    #[test]
    fn a_missing_debugger_is_answered_with_the_way_to_get_it() {
        let error = Debugger::Lldb.locate_in(OsStr::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("apt-get install lldb-19"), "{error}");
        let error = Debugger::Gdb.locate_in(OsStr::new("")).unwrap_err().to_string();
        assert!(error.contains("apt-get install gdb"), "{error}");
    }

    #[test]
    fn only_executable_files_are_debuggers() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("gdb");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        assert!(Debugger::Gdb.locate_in(directory.path().as_os_str()).is_err());
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Debugger::Gdb.locate_in(directory.path().as_os_str()), Ok(program));
    }
}
