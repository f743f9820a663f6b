//! Inspects wasm modules, compiled artifacts and other ELF files.
//!
//! **In:** the bytes of a file and the views that are asked for ([`Arguments`]). **Out:** text or JSON, on a writer that
//! the caller passes. Wasm modules are shown as `wasm-objdump` of wabt shows them, with the same flags; artifacts are
//! shown together with what the compiler recorded about them: which operator and which source line an instruction
//! belongs to, what the frame looks like at it, and which variables are live.
//!
//! It never runs what it inspects, needs no code generator, and reports a damaged file with the offset and the reason;
//! what could be read before the damage is still shown.
//!
//! ```no_run
//! let arguments = <wasm_objdump::Arguments as clap::Parser>::parse_from(["wasm-objdump", "-h", "program.wasm"]);
//! wasm_objdump::run(&arguments, &mut std::io::stdout().lock(), false)?;
//! # Ok::<(), anyhow::Error>(())
//! ```

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod dwarf;
mod input;
mod native;
mod output;
mod symbols;
mod wasm;

pub use arguments::{Arguments, Syntax};

use std::io::Write;

use anyhow::{Context as _, Result, bail};

use input::Input;
use output::Output;

/// Shows every file that `arguments` names, in every view they ask for.
///
/// Views of one file are shown in a fixed order. After a damaged file the others are still shown; the first error is
/// returned at the end.
pub fn run(arguments: &Arguments, writer: &mut dyn Write, colour: bool) -> Result<()> {
    let mut out = Output::new(writer, arguments.json, colour);
    if let Some(files) = &arguments.diff {
        let [before, after] = files.as_slice() else { bail!("--diff takes two files") };
        let read =
            |path: &std::path::PathBuf| input::read(path).with_context(|| format!("cannot read {}", path.display()));
        let (before_bytes, after_bytes) = (read(before)?, read(after)?);
        let before = (&*before.to_string_lossy(), &*before_bytes);
        let after = (&*after.to_string_lossy(), &*after_bytes);
        return commands::diff::run(before, after, arguments, &mut out);
    }
    let mut first_error = None;
    for path in &arguments.files {
        let name = path.display().to_string();
        let shown = input::read(path)
            .context("cannot read the file")
            .and_then(|bytes| show(&name, &bytes, arguments, &mut out))
            .with_context(|| name.clone());
        if let Err(error) = shown {
            if is_broken_pipe(&error) {
                return Err(error);
            }
            if arguments.files.len() > 1 && first_error.is_some() {
                eprintln!("wasm-objdump: {error:#}");
            }
            first_error.get_or_insert(error);
        }
    }
    out.flush()?;
    first_error.map_or(Ok(()), Err)
}

/// Shows one file from its bytes.
pub fn show_bytes(name: &str, bytes: &[u8], arguments: &Arguments, writer: &mut dyn Write) -> Result<()> {
    show(name, bytes, arguments, &mut Output::new(writer, arguments.json, false))
}

/// Is this the error of a reader that went away, as `head` does?
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn show(name: &str, bytes: &[u8], arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let input = Input::open(bytes)?;
    out.begin_file(name, &input.format())?;
    if let Input::Wasm(module) = &input
        && let Some(name) = module.names.module
    {
        out.note(&format!("module name: <{}>", name.escape_debug()))?;
    }
    let views = commands::views(arguments);
    let mut shown = Ok(());
    for view in views {
        shown = view(&input, arguments, out);
        if shown.is_err() {
            break;
        }
    }
    if shown.as_ref().is_err_and(is_broken_pipe) {
        return shown;
    }
    out.end_file()?;
    shown
}
