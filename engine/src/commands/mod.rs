//! The subcommands, one file each, and what they share.

pub mod compile;
pub mod debug;
pub mod run;
mod source;
mod trap_report;
mod values;

use clap::ValueEnum;
use std::io;
use wasmscope::compile::{Compilation, CompileError, CompileReport};
use wasmscope::debug_files::DebugFiles;
use wasmscope::{DebugInfo, OptLevel, PointerFlavour, Tunables};

/// The status of a process whose guest trapped: that of one killed by `abort`.
const TRAPPED: i32 = 134;

/// A variable of the environment: the debugger has helpers that follow pointers into page zero, so that there is nothing
/// to say about them.
const SERVED: &str = "WASMSCOPE_PAGE_ZERO_SERVED";

/// A variable of the environment: `run` is to compile the program into the cache, in the background, and not to run it.
const AHEAD: &str = "WASMSCOPE_COMPILE_AHEAD";

/// Options that shape the code.
#[derive(Debug, clap::Args)]
struct CodeArgs {
    /// Keep debug info for debuggers: `full` for variables too, `lines` for functions and lines at no cost
    #[arg(short = 'g', value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "full")]
    debug_info: Option<DebugLevel>,
    /// With `-g`: also show the wasm's own locals, globals and operand stack beside the source's variables, as
    /// `__wasm_local0`, `__wasm_global0`, `__wasm_stack0`
    #[arg(long, requires = "debug_info")]
    wasm_variables: bool,
    /// With `-g`: the version of the DWARF that debuggers get, 4 or 5
    #[arg(long, value_name = "VERSION", default_value = "5", value_parser = clap::value_parser!(u8).range(4..=5))]
    dwarf_version: u8,
    /// Optimize (the default): the same as `--opt-level 2`
    #[arg(short = 'O', conflicts_with = "opt_level")]
    optimize: bool,
    /// How much to optimize; 1 is the same as 2, `s` is for size too
    #[arg(long, value_name = "LEVEL", default_value = "2", hide_possible_values = false)]
    opt_level: Level,
    /// Which debugger the debug info is for; `auto`: the one that runs the program, else gdb
    #[arg(long, value_name = "DEBUGGER", default_value = "auto")]
    debugger: DebuggerChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DebugLevel {
    Full,
    Lines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    #[value(name = "0")]
    Zero,
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
    #[value(name = "s")]
    Size,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Zero => "0",
            Level::One => "1",
            Level::Two => "2",
            Level::Size => "s",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DebuggerChoice {
    Gdb,
    Lldb,
    Auto,
}

impl CodeArgs {
    fn tunables(&self) -> Tunables {
        Tunables {
            opt_level: match self.opt_level {
                Level::Zero => OptLevel::None,
                Level::One | Level::Two => OptLevel::Speed,
                Level::Size => OptLevel::SpeedAndSize,
            },
            debug_info: match self.debug_info {
                None => DebugInfo::None,
                Some(DebugLevel::Lines) => DebugInfo::Lines,
                Some(DebugLevel::Full) => DebugInfo::Full,
            },
            dwarf_version: self.dwarf_version,
            wasm_variables: self.wasm_variables && self.debug_info == Some(DebugLevel::Full),
            pointer_flavour: match self.debugger {
                DebuggerChoice::Gdb => PointerFlavour::Gdb,
                DebuggerChoice::Lldb => PointerFlavour::Lldb,
                DebuggerChoice::Auto => PointerFlavour::detected(),
            },
            ..Tunables::default()
        }
    }
}

/// Compiles on threads of its own, which have ended afterwards: to a debugger the program has one thread, and none ends
/// while the process does, where gdb may find no registers.
fn compile_on_own_threads(
    wasm: &[u8],
    debug_files: DebugFiles,
    tunables: &Tunables,
) -> Result<Compilation, CompileError> {
    let mut debug_files = Some(debug_files);
    let mut compile = || Compilation::with_debug_files(wasm, debug_files.take().unwrap_or_default(), tunables);
    // A pool that is merely dropped does not wait for its threads.
    let in_pool = debugger_support::with_threads_seen_gone(|| {
        rayon::ThreadPoolBuilder::new().build_scoped(|thread| thread.run(), |pool| pool.install(&mut compile))
    });
    in_pool.unwrap_or_else(|_| compile())
}

/// What a user has to know of the debug info, one line each: what the module's own is worth, and what of it is broken.
/// What merely cannot be said natively is told by `compile -v`.
fn debug_info_warnings(report: &CompileReport) -> Vec<String> {
    use dwarf_transform::LossKind;
    let mut broken = Vec::new();
    for losses in [&report.losses, &report.scan_losses] {
        for (kind, count, places) in losses.iter() {
            let is_broken = matches!(
                kind,
                LossKind::MalformedUnit
                    | LossKind::MalformedLines
                    | LossKind::MalformedAttribute
                    | LossKind::MalformedList
                    | LossKind::TooManyRanges
                    | LossKind::MalformedExpression
                    | LossKind::DanglingReference
            );
            // Both readers meet the same broken place.
            if is_broken && !broken.iter().any(|&(other, _, _)| other == kind) {
                broken.push((kind, count, places));
            }
        }
    }
    let mut warnings = report.warnings.clone();
    let missing = report.losses.iter().find(|(kind, ..)| *kind == LossKind::MissingSplitUnit);
    if let Some((_, count, places)) = missing {
        let more = if count as usize > places.len() { ", ..." } else { "" };
        warnings.push(format!(
            "the debug info is split, and {count} of its files cannot be found: {}{more}; put them or their package \
             (.dwp) beside the module",
            places.join(", "),
        ));
    }
    if !broken.is_empty() {
        let list: Vec<String> = broken
            .into_iter()
            .map(|(kind, count, places)| match places.first() {
                Some(first) => format!("{count} x {kind} (first: {first})"),
                None => format!("{count} x {kind}"),
            })
            .collect();
        warnings.push(format!("broken debug info, some of it is lost: {}", list.join("; ")));
    }
    for warning in &mut warnings {
        *warning = warning.replace('\n', " ");
    }
    warnings
}

/// Did the reader of our output go away? Then nobody wants to hear more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}
