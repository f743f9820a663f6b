//! `wasmscope debug`: starts a debugger on a program with everything set.

use super::{AHEAD, Level, SERVED, source};
use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use debugger_support::{
    CoreFile, DebugSession, Debugger, Editor, Target, gdb_helpers, launch_config, lldb_helpers, server_argv,
};
use sha2::{Digest, Sha256};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wasmscope::cache::Cache;

/// Start a debugger on a program, with everything set
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "wasmscope debug [OPTIONS] PROGRAM [ARGS]...
       wasmscope debug [OPTIONS] --attach PID
       wasmscope debug [OPTIONS] --remote HOST:PORT
       wasmscope debug [OPTIONS] --core FILE")]
pub struct Args {
    /// Which debugger to start
    #[arg(long, value_name = "DEBUGGER", default_value = "gdb")]
    debugger: Choice,
    /// How much to optimize; 1 is the same as 2, `s` is for size too
    #[arg(long, value_name = "LEVEL", default_value = "2")]
    opt_level: Level,
    /// Also show the wasm's own locals, globals and operand stack beside the source's variables, as `__wasm_local0`,
    /// `__wasm_global0`, `__wasm_stack0`
    #[arg(long)]
    wasm_variables: bool,
    /// Where to stop: a function, or FILE:LINE; may be given several times
    #[arg(long = "break", value_name = "LOCATION")]
    breakpoints: Vec<String>,
    /// An argument for the debugger itself, such as `-batch`; may be given several times
    #[arg(long = "debugger-arg", value_name = "ARG", allow_hyphen_values = true)]
    debugger_args: Vec<OsString>,
    /// Give the program access to a directory, under another name if GUEST is given
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    dirs: Vec<OsString>,
    /// Set a variable in the program's environment
    #[arg(long = "env", value_name = "NAME=VALUE")]
    env: Vec<OsString>,
    /// Call this exported function instead of starting the program
    #[arg(long, value_name = "EXPORT")]
    invoke: Option<OsString>,
    /// Keep compiled code in this directory and take it from there, which makes the next start about as fast as that of a
    /// native program (default: `wasmscope` in the user's cache)
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, require_equals = true)]
    cache: Option<Option<PathBuf>>,
    /// Compile the program anew, and do not keep its code
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
    /// Debug a process that runs already; `run` must have been given `-g` and, for lldb, `--debugger lldb`
    #[arg(long, value_name = "PID", conflicts_with_all = ["program", "remote", "serve"])]
    attach: Option<u32>,
    /// Debug what a debug server (gdbserver, lldb-server) at this address debugs
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "program")]
    remote: Option<String>,
    /// Run the program under gdbserver or lldb-server, to be debugged by `--remote` from elsewhere
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "remote")]
    serve: Option<String>,
    /// Look at the core file of a process that has ended; `run` must have been given `-g` and, for lldb, `--debugger lldb`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["program", "attach", "remote", "serve", "breakpoints"])]
    core: Option<PathBuf>,
    /// Show source and registers in windows of the terminal (gdb)
    #[arg(long)]
    tui: bool,
    /// Print a configuration for VS Code's launch.json instead of starting a debugger: for the extension C/C++ (gdb) or
    /// CodeLLDB
    #[arg(long, value_name = "EXTENSION")]
    launch_config: Option<Extension>,
    /// The program and its arguments
    #[arg(value_name = "PROGRAM", required_unless_present_any = ["attach", "remote", "core"], trailing_var_arg = true)]
    program: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  wasmscope debug --break list.c:12 list.wasm
  wasmscope debug --debugger lldb --opt-level 0 --break main list.wasm some arguments
  wasmscope debug --debugger lldb --attach 4711
  wasmscope debug --serve :1234 list.wasm      # and elsewhere: wasmscope debug --remote HOST:1234 --break main
  wasmscope debug --core core.4711
  wasmscope debug --launch-config codelldb list.wasm
  wasmscope debug --break main --debugger-arg=-batch --debugger-arg=-ex --debugger-arg=run list.wasm";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    Gdb,
    Lldb,
}

impl Choice {
    fn kind(self) -> Debugger {
        match self {
            Choice::Gdb => Debugger::Gdb,
            Choice::Lldb => Debugger::Lldb,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Extension {
    Cpptools,
    Codelldb,
}

/// Replaces this process by the debugger; returns only if that fails, or if a configuration was to be printed.
pub fn run(args: &Args, output: &mut dyn Write) -> Result<i32> {
    let editor = args.launch_config.map(|extension| match extension {
        Extension::Cpptools => Editor::CppTools,
        Extension::Codelldb => Editor::CodeLldb,
    });
    let debugger = editor.map_or(args.debugger.kind(), Editor::debugger);
    // A debugger that starts for what is no program only says so after `run`.
    if let Some(program) = args.program.first() {
        source::check(Path::new(program))?;
    }
    let mut executable = env::current_exe().context("the path of the running program is not known")?;
    if let Some(address) = &args.serve {
        let mut run = vec![executable.into_os_string()];
        run.extend(run_command(args, debugger));
        return replace_process(&server_argv(debugger, &debugger.locate_server()?, address, &run), &[]);
    }
    if let Some(pid) = args.attach {
        // The one that holds the JIT interface's symbols, whichever copy of it runs.
        let link = format!("/proc/{pid}/exe");
        executable = fs::read_link(&link)
            .with_context(|| format!("process {pid} cannot be debugged: `{link}` cannot be read"))?;
    }
    if let Some(file) = &args.core {
        executable = core_file(file, debugger)?;
    }
    let mut extra = args.debugger_args.clone();
    match (args.tui, debugger) {
        (false, _) => {}
        (true, Debugger::Gdb) => extra.push("-tui".into()),
        (true, Debugger::Lldb) => bail!("`--tui` is for gdb; in lldb, type `gui`"),
    }
    let session = DebugSession {
        debugger,
        // CodeLLDB brings its own.
        program: if editor == Some(Editor::CodeLldb) { PathBuf::new() } else { debugger.locate()? },
        executable,
        target: target(args, debugger),
        helpers: helpers(debugger)?,
        breakpoints: args.breakpoints.clone(),
        extra,
    };
    let environment: &[(&str, &str)] = if debugger == Debugger::Gdb { &[(SERVED, "1")] } else { &[] };
    if let Some(editor) = editor {
        let name = match &session.target {
            Target::Launch(_) => format!("Debug {}", Path::new(&args.program[0]).display()),
            Target::Attach(_) | Target::Remote(_) => "Debug a wasmscope process".to_owned(),
            Target::Core(file) => format!("Debug {}", file.display()),
        };
        writeln!(output, "{}", launch_config(editor, &name, &session, environment))?;
        return Ok(0);
    }
    // What comes through a pipe comes once.
    let is_file = args.program.first().is_some_and(|program| Path::new(program).is_file());
    if matches!(session.target, Target::Launch(_)) && is_file && cache_option(args).is_some() {
        compile_ahead(args, &session.executable, debugger);
    }
    replace_process(&session.argv(), environment)
}

/// Lets the program be compiled into the cache while the debugger starts. Whatever fails, the process that runs it compiles it.
fn compile_ahead(args: &Args, executable: &Path, debugger: Debugger) {
    let mut command = Command::new(executable);
    command.args(run_command(args, debugger)).env(AHEAD, "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It goes on in the background, as no child of the debugger's.
    let _ = command.status();
}

/// Returns only if the program cannot be started.
fn replace_process(argv: &[OsString], environment: &[(&str, &str)]) -> Result<i32> {
    let error = Command::new(&argv[0]).args(&argv[1..]).envs(environment.iter().copied()).exec();
    Err(anyhow!("`{}` cannot be started: {error}", Path::new(&argv[0]).display()))
}

/// The program that left a core file. What debugger its debug info is for can be seen in it.
fn core_file(path: &Path, debugger: Debugger) -> Result<PathBuf> {
    let core = CoreFile::open(path)?;
    let made_for_lldb = core.has_symbol(dwarf_transform::POINTER_OPERATOR_SYMBOL);
    match debugger {
        Debugger::Gdb if made_for_lldb => {
            bail!("the debug info in `{}` is for lldb: add `--debugger lldb`", path.display())
        }
        // There are no such symbols on other machines.
        Debugger::Lldb if !made_for_lldb && cfg!(target_arch = "x86_64") => bail!(
            "the debug info in `{}` is for gdb: leave `--debugger lldb` out, or run the program with it",
            path.display()
        ),
        _ => Ok(core.executable().to_owned()),
    }
}

fn target(args: &Args, debugger: Debugger) -> Target {
    match (args.attach, &args.remote, &args.core) {
        (Some(pid), ..) => Target::Attach(pid),
        (None, Some(address), _) => Target::Remote(address.clone()),
        (None, None, Some(file)) => Target::Core(file.clone()),
        (None, None, None) => Target::Launch(run_command(args, debugger)),
    }
}

/// What the debugger is to run: `run -g` with the options and the program.
fn run_command(args: &Args, debugger: Debugger) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec!["run".into(), "-g".into()];
    let mut option = |name: &str, value: OsString| command.extend([name.into(), value]);
    option("--opt-level", args.opt_level.name().into());
    option("--debugger", if debugger == Debugger::Gdb { "gdb" } else { "lldb" }.into());
    args.dirs.iter().for_each(|dir| option("--dir", dir.clone()));
    args.env.iter().for_each(|variable| option("--env", variable.clone()));
    args.invoke.iter().for_each(|export| option("--invoke", export.clone()));
    if args.wasm_variables {
        command.push("--wasm-variables".into());
    }
    command.extend(cache_option(args));
    command.push("--".into());
    command.extend(args.program.iter().cloned());
    command
}

/// Where compiled code is kept, if it is.
fn cache_option(args: &Args) -> Option<OsString> {
    match &args.cache {
        None if args.no_cache || !has_default_cache() => None,
        None | Some(None) => Some("--cache".into()),
        Some(Some(directory)) => {
            let mut option = OsString::from("--cache=");
            option.push(directory);
            Some(option)
        }
    }
}

/// Can compiled code be kept where it is kept if no place is named?
fn has_default_cache() -> bool {
    Cache::default_directory().is_some_and(|directory| Cache::open(directory, super::run::CACHE_LIMIT).is_ok())
}

/// Puts the debugger's Python file where the debugger can read it, which is after this process is gone: in the user's
/// cache, under a name that changes with the contents, else in a temporary directory.
fn helpers(debugger: Debugger) -> Result<PathBuf> {
    let (name, contents) = match debugger {
        Debugger::Gdb => ("wasmscope_gdb.py", gdb_helpers()),
        Debugger::Lldb => ("wasmscope_lldb.py", lldb_helpers()),
    };
    let version: String =
        Sha256::digest(contents).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>() + "-py";
    if let Some(directory) = Cache::default_directory().map(|directory| directory.join(version))
        && let Ok(path) = place(&directory, name, contents)
    {
        return Ok(path);
    }
    let directory = tempfile::Builder::new()
        .prefix("wasmscope-")
        .tempdir()
        .context("there is no place for the debugger's helpers")?
        .keep();
    place(&directory, name, contents)
}

fn place(directory: &Path, name: &str, contents: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    if fs::read(&path).is_ok_and(|there| there == contents.as_bytes()) {
        return Ok(path);
    }
    // Closed to others, as the cache next to it must be.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(contents.as_bytes())?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}
