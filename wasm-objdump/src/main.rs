//! The command line of `wasm-objdump`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use wasm_objdump::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stdout = std::io::stdout();
    let colour = arguments.colour.unwrap_or_else(|| stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let mut writer = std::io::BufWriter::with_capacity(1 << 16, stdout.lock());
    let shown = wasm_objdump::run(&arguments, &mut writer, colour);
    let shown = shown.and_then(|()| Ok(writer.flush()?));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if wasm_objdump::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writer.flush();
            eprintln!("wasm-objdump: {error:#}");
            ExitCode::FAILURE
        }
    }
}
