//! `wasmscope debug`: starts a debugger on a program with everything set.

use super::{Level, SERVED};
use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use debugger_support::{DebugSession, Debugger, Target, gdb_helpers, lldb_helpers};
use sha2::{Digest, Sha256};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasmscope::cache::Cache;

/// Start a debugger on a program, with everything set
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "wasmscope debug [OPTIONS] PROGRAM [ARGS]...")]
pub struct Args {
    /// Which debugger to start
    #[arg(long, value_name = "DEBUGGER", default_value = "gdb")]
    debugger: Choice,
    /// How much to optimize; 1 is the same as 2, `s` is for size too
    #[arg(long, value_name = "LEVEL", default_value = "2")]
    opt_level: Level,
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
    /// The program and its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true)]
    program: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  wasmscope debug --break list.c:12 list.wasm
  wasmscope debug --debugger lldb --opt-level 0 --break main list.wasm some arguments
  wasmscope debug --break main --debugger-arg=-batch --debugger-arg=-ex --debugger-arg=run list.wasm";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    Gdb,
    Lldb,
}

/// Replaces this process by the debugger; returns only if that fails.
pub fn run(args: &Args) -> Result<i32> {
    let debugger = match args.debugger {
        Choice::Gdb => Debugger::Gdb,
        Choice::Lldb => Debugger::Lldb,
    };
    let session = DebugSession {
        debugger,
        program: debugger.locate()?,
        executable: env::current_exe().context("the path of the running program is not known")?,
        target: Target::Launch(run_command(args)),
        helpers: helpers(debugger)?,
        breakpoints: args.breakpoints.clone(),
        extra: args.debugger_args.clone(),
    };
    // A debugger that starts for a missing file only says so after `run`.
    let program = Path::new(&args.program[0]);
    fs::metadata(program).with_context(|| format!("`{}` cannot be read", program.display()))?;
    let argv = session.argv();
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]);
    if debugger == Debugger::Gdb {
        command.env(SERVED, "1");
    }
    let error = command.exec();
    Err(anyhow!("`{}` cannot be started: {error}", session.program.display()))
}

/// What the debugger is to run: `run -g` with the options and the program.
fn run_command(args: &Args) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec!["run".into(), "-g".into()];
    let mut option = |name: &str, value: OsString| command.extend([name.into(), value]);
    option("--opt-level", args.opt_level.name().into());
    option("--debugger", if args.debugger == Choice::Gdb { "gdb" } else { "lldb" }.into());
    args.dirs.iter().for_each(|dir| option("--dir", dir.clone()));
    args.env.iter().for_each(|variable| option("--env", variable.clone()));
    args.invoke.iter().for_each(|export| option("--invoke", export.clone()));
    command.push("--".into());
    command.extend(args.program.iter().cloned());
    command
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
