//! Runs a program and holds the frame table of its compiled code against every instruction that
//! executes.
//!
//! The program is traced. What it registers through the GDB JIT interface (`__jit_debug_descriptor`)
//! is read from its memory: text, symbols and `.eh_frame`. From the first entry into such text on,
//! each instruction there is single-stepped, and a shadow stack tells what the caller's frame was
//! when a function was entered: the stack pointer, the return address, the callee-saved registers.
//! Before each instruction the row of the table, evaluated with the present registers and memory,
//! must give the same. Host code runs at full speed; breakpoints at the starts of all functions and
//! at the returns from host calls bring the stepper back.
//!
//! Rows come from gimli; the crate's own unwinder is run beside and must agree.
#![deny(unsafe_code)]

mod image;
mod shadow;
mod tracee;

use std::process::{Command, ExitCode};

/// What the command line says.
struct Options {
    max_steps: u64,
    /// Every so many steps, the whole chain of frames is walked.
    walk_every: u64,
    command: Vec<String>,
}

const USAGE: &str = "\
usage: step-check [--max-steps N] [--walk-every N] [--] PROGRAM [ARGUMENT]...

Single-steps the compiled code that PROGRAM registers with debuggers and checks its frame
table at every instruction. Exits with 1 if a row is wrong, with 2 if nothing was stepped.

example: step-check --max-steps 1000000 -- wasmscope run -g program.wasm";

fn options() -> Option<Options> {
    let mut options = Options { max_steps: u64::MAX, walk_every: 256, command: Vec::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--max-steps" => options.max_steps = arguments.next()?.parse().ok()?,
            "--walk-every" => options.walk_every = arguments.next()?.parse().ok().filter(|&every| every > 0)?,
            "--" => break,
            other if other.starts_with('-') => return None,
            other => {
                options.command.push(other.to_owned());
                break;
            }
        }
    }
    options.command.extend(arguments);
    (!options.command.is_empty()).then_some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut command = Command::new(&options.command[0]);
    command.args(&options.command[1..]);
    match shadow::run(&mut command, options.max_steps, options.walk_every) {
        Err(error) => {
            eprintln!("step-check: {error}");
            ExitCode::from(2)
        }
        Ok(summary) => {
            println!("{summary}");
            match (summary.wrong, summary.steps) {
                (0, 0) => ExitCode::from(2),
                (0, _) => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
    }
}
