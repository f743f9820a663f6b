//! The command line; see `wasmscope --help`.

#![cfg_attr(own_entry, no_main)]

mod commands;
#[cfg(own_entry)]
mod entry;

use clap::{Parser, Subcommand};
use std::io::{self, Write};

/// Runs WebAssembly programs so that stock gdb and lldb can debug them.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  wasmscope run hello.wasm                     run a program
  wasmscope debug --break main hello.wasm      debug it in gdb
  gdb --args wasmscope run -g hello.wasm       the same by hand
  wasmscope compile -g hello.wasm -o hello.elf write the native code and its debug info to a file";

#[derive(Debug, Subcommand)]
enum Command {
    Run(commands::run::Args),
    Compile(commands::compile::Args),
    Debug(commands::debug::Args),
}

/// Parses the arguments, does what they ask for, and says how the process is to end.
fn run_process() -> i32 {
    keep_large_blocks_apart();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Help and version are answers too. A reader that went away is no reason to say so.
            let _ = answer.print();
            return answer.exit_code();
        }
    };
    let output = &mut io::stdout().lock();
    let result = match arguments.command {
        Command::Run(arguments) => commands::run::run(&arguments, output),
        Command::Compile(arguments) => commands::compile::run(&arguments, output),
        Command::Debug(arguments) => commands::debug::run(&arguments, output),
    };
    match result.and_then(|status| Ok(output.flush().map(|()| status)?)) {
        Ok(status) => status,
        Err(error) if commands::is_broken_pipe(&error) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            1
        }
    }
}

/// Has glibc give large blocks back when they are freed. Else it takes them for the usual size after the first, and keeps more
/// and more of them in the heaps of its threads: 65 instead of 54 MB at the peak of sqlite `-O2` with `-g`, in the same time.
fn keep_large_blocks_apart() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it has no preconditions, and touches no memory that is in use.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 512 << 10);
    }
}

#[cfg(not(own_entry))]
fn main() {
    std::process::exit(run_process())
}
