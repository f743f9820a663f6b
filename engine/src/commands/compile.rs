//! `wasmscope compile`: writes the native code and everything that goes with it to a file.

use super::source::Source;
use super::source::debug_files;
use super::{CodeArgs, compile_on_own_threads, debug_info_warnings};
use anyhow::{Context, Result, bail};
use artifact::Artifact;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use wasmscope::compile::CompileReport;

/// Compile a program to an ELF file with code, symbols, frame table, native debug info, address map and traps
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    code: CodeArgs,
    /// The machine to compile for
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// Where to write (default: PROGRAM with the extension `.elf`)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say what was written and what debug info could not be translated
    #[arg(short, long)]
    verbose: bool,
    /// The program: a wasm module in binary or text form
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  wasmscope compile -g list.wasm -o list.elf
  llvm-dwarfdump --verify list.elf
  wasm-objdump -d list.elf
  wasmscope run list.elf";

/// Runs the command.
pub fn run(args: &Args, output: &mut dyn Write) -> Result<i32> {
    let shown = args.program.display();
    let mut tunables = args.code.tunables();
    let path = args.output.clone().unwrap_or_else(|| args.program.with_extension("elf"));
    let text = || {
        let mut name = path.file_name()?.to_owned();
        name.push(".wat");
        Some(path.with_file_name(name))
    };
    let Source::Wasm(wasm) = Source::read(&args.program, tunables.debug_info, text)? else {
        bail!("`{shown}` is compiled already");
    };
    if let Some(triple) = &args.target {
        tunables.target = match triple.parse() {
            Ok(target) => target,
            Err(error) => bail!("`{triple}` is not a target: {error}"),
        };
    }
    let files = debug_files(&args.program, &wasm, &tunables);
    let compilation =
        compile_on_own_threads(&wasm, files, &tunables).with_context(|| format!("`{shown}` cannot be compiled"))?;
    for warning in debug_info_warnings(compilation.report()) {
        eprintln!("warning: `{shown}`: {warning}");
    }
    write(&path, compilation.artifact()).with_context(|| format!("`{}` cannot be written", path.display()))?;
    if args.verbose {
        describe(&path, compilation.artifact(), compilation.report(), output)?;
    }
    Ok(0)
}

/// Writes the file so that it is there whole or not at all, unless the path names something that is not a file.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        File::options().write(true).open(path)?.write_all(bytes)?;
        return Ok(());
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".wasmscope-").tempfile_in(directory)?;
    file.write_all(bytes)?;
    // Temporary files are private; this one gets the rights that any new file gets.
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    rustix::fs::fchmod(file.as_file(), rustix::fs::Mode::from_raw_mode(0o666) - mask)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn describe(path: &Path, elf: &[u8], report: &CompileReport, output: &mut dyn Write) -> Result<()> {
    let artifact = Artifact::parse(elf)?;
    writeln!(output, "{}: {} bytes for {:?}", path.display(), elf.len(), artifact.machine())?;
    let mut row = |what: &str, count: usize, unit: &str| writeln!(output, "  {what:<20} {count:>10} {unit}");
    row("code", artifact.text().len(), "bytes")?;
    row("functions", artifact.functions().len(), "")?;
    row("frame table", artifact.eh_frame().len(), "bytes")?;
    row("address map", artifact.address_map().len(), "rows")?;
    row("traps", artifact.traps().len(), "")?;
    row("stack maps", artifact.stack_maps().len(), "")?;
    row("homes", artifact.homes().len(), "")?;
    for (name, contents) in artifact.debug_sections() {
        row(name, contents.len(), "bytes")?;
    }
    let losses = &report.losses;
    if losses.is_empty() {
        writeln!(output, "  all debug info was translated")?;
    } else {
        writeln!(output, "  debug info that could not be translated:")?;
        for line in losses.to_string().lines() {
            writeln!(output, "    {line}")?;
        }
    }
    if losses.dead_functions() > 0 {
        writeln!(output, "  functions without code: {} (removed by the guest's linker)", losses.dead_functions())?;
    }
    Ok(())
}
