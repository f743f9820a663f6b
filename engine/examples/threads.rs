//! Runs a program's `_start` on several host threads at once, each with an instance of its own; all but the first get the
//! argument `wait`. For a look at them in a debugger:
//!
//!     gdb --args target/release/examples/threads 3 tests/programs/abilities/c-O0.wasm

use std::thread;
use std::time::Duration;
use wasmscope::wasi::{SystemInterface, Wasi, add_to_linker};
use wasmscope::{Config, DebugInfo, Engine, Linker, Module, Result, Store, Tunables};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(2);
    let path = arguments.next().expect("a module");
    let wasm = std::fs::read(&path).expect("the module can be read");
    let engine = Engine::new(Config::new().tunables(Tunables { debug_info: DebugInfo::Full, ..Tunables::default() }))?;
    let module = Module::new(&engine, &wasm)?;
    for _ in 1..count {
        let (engine, module) = (engine.clone(), module.clone());
        thread::spawn(move || run(&engine, &module, &["guest", "wait"]));
    }
    // The others are in their loop by then.
    thread::sleep(Duration::from_millis(500));
    run(&engine, &module, &["guest"])?;
    // The others never return.
    std::process::exit(0)
}

fn run(engine: &Engine, module: &Module, arguments: &[&str]) -> Result<()> {
    let mut builder = Wasi::builder();
    builder.inherit_stdio();
    for argument in arguments {
        builder.arg(argument)?;
    }
    let mut linker = Linker::<Wasi>::new(engine);
    let wasi = builder.build();
    add_to_linker(&mut linker, wasi.functions(), |wasi| wasi)?;
    let mut store = Store::new(engine, wasi);
    let instance = linker.instantiate(&mut store, module)?;
    let start = instance.get_func(&mut store, "_start").expect("a program");
    start.call(&mut store, &[], &mut [])
}
