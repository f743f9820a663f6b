//! `wasmscope run`: runs a program, so that a debugger can be at it.

use super::source::{Source, debug_files};
use super::values::{format_value, parse_arguments};
use super::{AHEAD, CodeArgs, SERVED, TRAPPED, compile_on_own_threads, debug_info_warnings, trap_report};
use anyhow::{Context, Result, anyhow, bail};
use debugger_support::Profile;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use wasmscope::cache::{Cache, Key};
use wasmscope::compile::CompileError;
use wasmscope::debug_files::DebugFiles;
use wasmscope::wasi::{SystemInterface, SystemStop, Wasi, add_to_linker};
use wasmscope::{
    Config, DebugInfo, Engine, Error, ExternType, Instance, Linker, MissingReason, Module, Store, StoreLimitsBuilder,
    Trap, Tunables, Val, WasmBacktrace,
};

/// Run a program or one of its exported functions
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "wasmscope run [OPTIONS] PROGRAM [ARGS]...")]
pub struct Args {
    #[command(flatten)]
    code: CodeArgs,
    /// Give the program access to a directory, under another name if GUEST is given
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    dirs: Vec<String>,
    /// Set a variable in the program's environment, which is empty otherwise
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Call this exported function instead of starting the program; ARGS are its arguments
    #[arg(long, value_name = "EXPORT")]
    invoke: Option<String>,
    /// If the program traps, let the system write a core file, to be opened by `wasmscope debug --core` (use -g too)
    #[arg(long)]
    core: bool,
    /// Stop the program after a time such as `500ms`, `5s` or `2m`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Let no memory of the program grow beyond a size such as `64k`, `16m` or `2g`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_memory: Option<usize>,
    /// Let the program's calls use that much of the native stack (default: 1m)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_stack: Option<usize>,
    /// Tell a profiler of the code: `perf-map` writes names to /tmp/perf-PID.map, `jitdump` writes code, lines and
    /// unwinding tables to jit-PID.dump in DIRECTORY (default: here), for `perf inject --jit`
    #[arg(long, value_name = "FORMAT[=DIRECTORY]", value_parser = profile)]
    profile: Option<Profile>,
    /// Keep compiled code in a directory (default: `wasmscope` in the user's cache) and take it from there
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1, require_equals = true)]
    cache: Option<Option<PathBuf>>,
    /// The program (a wasm module in binary or text form, or what `wasmscope compile` made of one) and its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true)]
    program: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  wasmscope run --dir . --env LANG=C sort.wasm input.txt
  wasmscope run --invoke add math.wat 1 2
  gdb --args wasmscope run -g --opt-level 0 list.wasm

The process ends with the program's exit status, with 134 if the program trapped, and with 1 (2 for wrong options) if it \
could not be run.";

/// What the compiled code of all cached programs may take.
pub(super) const CACHE_LIMIT: u64 = 1 << 30;

/// Runs the command.
pub fn run(args: &Args, output: &mut dyn Write) -> Result<i32> {
    let path = Path::new(&args.program[0]);
    let mut tunables = args.code.tunables();
    tunables.interruptible = args.timeout.is_some();
    if std::env::var_os(AHEAD).is_some() {
        return compile_ahead(args, path, tunables).map(|()| 0);
    }
    let (engine, module) = load(args, path, tunables)?;

    // The module stays registered until the process is gone: gdb 13 crashes when code is unregistered that a
    // watchpoint of the user's refers to.
    std::mem::forget(module.clone());

    if engine.tunables().debug_info == DebugInfo::Full {
        allow_attaching();
    }
    if args.core {
        wasmscope::dump_core_on_trap().context("no core file can be written")?;
    }

    let wasi = system(args)?;
    let mut linker = Linker::<Wasi>::new(&engine);
    add_to_linker(&mut linker, wasi.functions(), |wasi| wasi)?;
    let mut store = Store::new(&engine, wasi);
    if let Some(bytes) = args.max_memory {
        store.set_limits(StoreLimitsBuilder::new().memory_size(bytes).build());
    }
    if let Some(bytes) = args.max_stack {
        store.set_max_wasm_stack(bytes);
    }
    if let Some(timeout) = args.timeout {
        let handle = store.interrupt_handle().map_err(|error| anyhow!("{error:#}, so `--timeout` does not work"))?;
        thread::spawn(move || {
            thread::sleep(timeout);
            handle.interrupt();
        });
    }

    let result = run_module(args, path, &linker, &mut store, &module, output)?;
    match result {
        Ok(()) => Ok(0),
        Err(error) => stopped(args, path, error),
    }
}

fn config(args: &Args, tunables: Tunables) -> Config {
    let mut config = Config::new();
    config.tunables(tunables);
    if let Some(profile) = &args.profile {
        config.profile(profile.clone());
    }
    config
}

/// Lets any process of this user trace this one. Where Linux restricts that (yama's `ptrace_scope`), only parents may
/// otherwise, and no debugger could attach.
fn allow_attaching() {
    // SAFETY: sets an attribute of the process. Where the kernel does not know it, nothing is restricted.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
}

/// Compiles the program, or takes it as it is compiled already.
fn load(args: &Args, path: &Path, mut tunables: Tunables) -> Result<(Engine, Module)> {
    let shown = path.display();
    match Source::read(path, tunables.debug_info, || text_file(path))? {
        Source::Wasm(wasm) => {
            let engine = Engine::new(&config(args, tunables))?;
            let module = match cache(args)? {
                Some(cache) => {
                    let files = debug_files(path, &wasm, engine.tunables());
                    let artifact = compile_cached(&cache, path, &wasm, files, engine.tunables())?;
                    // SAFETY: the code comes from the compiler, or from a cache that verified that it does.
                    unsafe { Module::deserialize_with_source(&engine, artifact, &wasm) }
                }
                None => {
                    let files = debug_files(path, &wasm, engine.tunables());
                    let compilation = compile_on_own_threads(&wasm, files, engine.tunables())
                        .with_context(|| format!("`{shown}` cannot be compiled"))?;
                    debug_info_warnings(compilation.report()).iter().for_each(|warning| warn(path, warning));
                    Module::from_compilation(&engine, compilation, &wasm)
                }
            };
            let module = module.map_err(|error| anyhow!("`{shown}` cannot be loaded: {error:#}"))?;
            Ok((engine, module))
        }
        Source::Artifact(artifact) => {
            let settings = super::source::ArtifactSettings::read(path, &artifact)?;
            tunables.debug_info = settings.debug_info;
            tunables.interruptible = settings.interruptible;
            let engine = Engine::new(&config(args, tunables))?;
            // SAFETY: whoever asks to run a file of machine code vouches for it, as for any other program.
            let module = unsafe { Module::deserialize(&engine, artifact) };
            let module = module.map_err(|error| anyhow!("`{shown}` cannot be loaded: {error:#}"))?;
            Ok((engine, module))
        }
    }
}

/// Compiles the program into the cache, where the process that is to run it will find it. Nobody waits for this process, and
/// nobody reads what it says: the other says the same.
fn compile_ahead(args: &Args, path: &Path, tunables: Tunables) -> Result<()> {
    // SAFETY: the process has one thread.
    if unsafe { libc::daemon(1, 0) } != 0 {
        return Err(std::io::Error::last_os_error()).context("nothing can be compiled ahead");
    }
    if let Source::Wasm(wasm) = Source::read(path, tunables.debug_info, || text_file(path))?
        && let Some(cache) = cache(args)?
    {
        let engine = Engine::new(&config(args, tunables))?;
        let files = debug_files(path, &wasm, engine.tunables());
        if !cache.contains(key(&cache, &wasm, &files, engine.tunables())) {
            compile_cached(&cache, path, &wasm, files, engine.tunables())?;
        }
    }
    Ok(())
}

fn warn(path: &Path, warning: &str) {
    eprintln!("warning: `{}`: {warning}", path.display());
}

/// Where the text of a program without debug info is kept for the debugger: in the user's cache, under the program's
/// path.
fn text_file(program: &Path) -> Option<PathBuf> {
    let program = std::path::absolute(program).ok()?;
    let directory = Cache::default_directory().unwrap_or_else(|| std::env::temp_dir().join("wasmscope"));
    let mut file = directory.join("text").join(program.strip_prefix("/").unwrap_or(&program)).into_os_string();
    file.push(".wat");
    Some(file.into())
}

/// What a module's artifact is kept under: everything that it is made from.
fn key(cache: &Cache, wasm: &[u8], files: &DebugFiles, tunables: &Tunables) -> Key {
    cache.key((wasm, files, tunables))
}

/// The artifact, from the cache if it is there.
fn compile_cached(cache: &Cache, path: &Path, wasm: &[u8], files: DebugFiles, tunables: &Tunables) -> Result<Vec<u8>> {
    let shown = path.display();
    // The warnings are kept with the code: first their length, then a line for each, then the code.
    let loaded = cache
        .load(key(cache, wasm, &files, tunables), || {
            let compilation = compile_on_own_threads(wasm, files, tunables)?;
            let warnings: String =
                debug_info_warnings(compilation.report()).iter().map(|warning| format!("{warning}\n")).collect();
            let length = u32::try_from(warnings.len()).unwrap_or(0);
            let kept = &warnings.as_bytes()[..length as usize];
            Ok::<_, CompileError>([&length.to_le_bytes(), kept, compilation.artifact()].concat())
        })
        .with_context(|| format!("`{shown}` cannot be compiled"))?;
    loaded.problems.iter().for_each(|problem| eprintln!("warning: {problem}"));
    let mut bytes = loaded.bytes;
    let length = bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let Some(warnings) = bytes.get(4..4 + length) else { bail!("`{shown}`: the cached code has no header") };
    String::from_utf8_lossy(warnings).lines().for_each(|warning| warn(path, warning));
    bytes.drain(..4 + length);
    Ok(bytes)
}

/// The cache, if one is asked for. One that cannot be used is no reason not to run.
fn cache(args: &Args) -> Result<Option<Cache>> {
    let Some(directory) = &args.cache else { return Ok(None) };
    let directory = match directory {
        Some(directory) => directory.clone(),
        None => Cache::default_directory().context("neither HOME nor XDG_CACHE_HOME says where the cache is")?,
    };
    match Cache::open(directory, CACHE_LIMIT) {
        Ok(cache) => Ok(Some(cache)),
        Err(problem) => {
            eprintln!("warning: {problem}");
            Ok(None)
        }
    }
}

/// What the program is started with.
fn system(args: &Args) -> Result<Wasi> {
    let mut builder = Wasi::builder();
    builder.inherit_stdio();
    let arguments = if args.invoke.is_some() { &args.program[..1] } else { &args.program[..] };
    for argument in arguments {
        builder.arg(argument)?;
    }
    for (name, value) in &args.env {
        builder.env(name, value)?;
    }
    for dir in &args.dirs {
        let (host, guest) = dir.split_once("::").unwrap_or((dir, dir));
        builder.dir(host, guest)?;
    }
    Ok(builder.build())
}

/// Instantiates the module and calls what is to be called. The outer error is the command's, the inner one the guest's.
fn run_module(
    args: &Args,
    path: &Path,
    linker: &Linker<Wasi>,
    store: &mut Store<Wasi>,
    module: &Module,
    output: &mut dyn Write,
) -> Result<Result<(), Error>> {
    let shown = path.display();
    if module.imports().any(|import| import.module == "wasi" && import.name == "thread-spawn") {
        bail!("`{shown}` starts threads (it imports `wasi::thread-spawn`), which `wasmscope run` cannot do");
    }
    let name = args.invoke.as_deref().unwrap_or("_start");
    // Before anything of the guest runs.
    let ty = match module.get_export(name) {
        Some(ExternType::Func(ty)) => ty,
        Some(_) => bail!("`{shown}`: the export `{name}` is not a function"),
        None => bail!("`{shown}` exports no function `{name}`; {}", function_exports(module)),
    };
    let params = match &args.invoke {
        Some(_) => parse_arguments(name, &ty, &args.program[1..])?,
        None if !ty.params.is_empty() || !ty.results.is_empty() => {
            bail!("`{shown}`: `_start` has the type {ty}, not that of a program's entry, () -> ()")
        }
        None => Vec::new(),
    };

    let instance = match linker.instantiate(&mut *store, module) {
        Ok(instance) => instance,
        Err(error) => return Ok(Err(error)),
    };
    warn_of_missing_pages(store, path);
    // A library (a "reactor") wants to be initialized before its functions are called.
    if args.invoke.as_deref().is_some_and(|name| name != "_initialize")
        && matches!(module.get_export("_initialize"), Some(ExternType::Func(ty)) if ty.params.is_empty())
        && let Err(error) = call(&instance, store, "_initialize", &[], &mut [])
    {
        return Ok(Err(error));
    }
    let mut results: Vec<Val> = ty.results.iter().map(|&ty| Val::default_for(ty)).collect();
    if let Err(error) = call(&instance, store, name, &params, &mut results) {
        return Ok(Err(error));
    }
    for result in &results {
        writeln!(output, "{}", format_value(result))?;
    }
    Ok(Ok(()))
}

fn call(
    instance: &Instance,
    store: &mut Store<Wasi>,
    name: &str,
    params: &[Val],
    results: &mut [Val],
) -> Result<(), Error> {
    let function = instance.get_func(&mut *store, name).ok_or_else(|| Error::msg(format!("no function `{name}`")))?;
    function.call(store, params, results)
}

fn function_exports(module: &Module) -> String {
    let names: Vec<String> = module
        .exports()
        .filter(|export| matches!(export.ty, ExternType::Func(_)))
        .map(|export| format!("`{}`", export.name))
        .collect();
    match names.len() {
        0 => "it exports no function at all".to_owned(),
        count if count <= 10 => format!("`--invoke` can call {}", names.join(", ")),
        count => format!("`--invoke` can call {} and {} more", names[..10].join(", "), count - 10),
    }
}

/// Pointers into the parts that are missing cannot be followed by the debugger itself. Said only if there is one.
fn warn_of_missing_pages(store: &Store<Wasi>, path: &Path) {
    let served = std::env::var_os(SERVED).is_some();
    if store.engine().tunables().debug_info == DebugInfo::Full
        && debugger_support::tracer() != debugger_support::Tracer::None
        && let Some(map) = store.identity_map()
        && !map.missing.iter().all(|(_, reason)| served && matches!(reason, MissingReason::PageZero { .. }))
    {
        eprintln!("note: `{}`: the debugger cannot follow all pointers by itself: {map}", path.display());
    }
}

/// What is said and returned when the guest did not return.
fn stopped(args: &Args, path: &Path, error: Error) -> Result<i32> {
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(trap_report::render).unwrap_or_default();
    let mut stderr = io::stderr().lock();
    match (error.downcast_ref::<SystemStop>(), error.downcast_ref::<Trap>()) {
        (Some(SystemStop::Exit(status)), _) => return Ok(*status),
        (_, Some(trap)) => {
            // A reader that went away does not change the status.
            let _ = match (trap, args.timeout) {
                (Trap::Interrupt, Some(timeout)) => writeln!(stderr, "wasm trap: {trap} after {timeout:?}"),
                _ => writeln!(stderr, "wasm trap: {trap}"),
            };
            let _ = write!(stderr, "{backtrace}");
            return Ok(TRAPPED);
        }
        _ => {}
    }
    let chain: Vec<String> = error.chain().collect();
    let _ = writeln!(stderr, "error: `{}`: {}", path.display(), chain.join(": "));
    if error.downcast_ref::<WasmBacktrace>().is_some_and(|backtrace| !backtrace.frames().is_empty()) {
        let _ = write!(stderr, "{backtrace}");
    }
    Ok(1)
}

/// `NAME=VALUE`.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A number of bytes, with `k`, `m` or `g` behind it for powers of 1024.
fn size(text: &str) -> Result<usize, String> {
    let (number, shift) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: usize = number.parse().map_err(|_| "expected a number of bytes, or one with k, m or g".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "the number is too large".to_owned())
}

/// A number with a unit: `ms`, `s`, `m` or `h`.
fn profile(text: &str) -> Result<Profile, String> {
    match text.split_once('=').map_or((text, None), |(format, directory)| (format, Some(directory))) {
        ("perf-map", None) => Ok(Profile::PerfMap),
        ("jitdump", directory) => Ok(Profile::JitDump(directory.unwrap_or(".").into())),
        _ => Err("expected `perf-map`, `jitdump` or `jitdump=DIRECTORY`".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a number with one of the units ms, s, m, h".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}
