//! Loads and registers many modules, to see what each costs here and in a debugger.
//!
//!     cargo build --release --example many_modules
//!     target/release/examples/many_modules 1000 examples/list.wasm
//!     gdb -batch -ex run --args target/release/examples/many_modules 1000 examples/list.wasm
//!
//! Prints the time for each further tenth of the modules: linear is what stays the same.

use std::hint::black_box;
use std::time::Instant;
use wasmscope::{Config, DebugInfo, Engine, Module, Tunables};

fn main() -> wasmscope::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(1000);
    let path = arguments.next().unwrap_or_else(|| "examples/list.wasm".to_owned());
    let wasm = std::fs::read(&path).expect("the module can be read");
    let engine = Engine::new(Config::new().tunables(Tunables { debug_info: DebugInfo::Full, ..Tunables::default() }))?;
    let artifact = Module::new(&engine, &wasm)?.serialize().to_vec();
    let mut modules = Vec::new();
    let start = Instant::now();
    let mut last = start;
    for number in 1..=count {
        // SAFETY: it comes from `serialize`.
        modules.push(unsafe { Module::deserialize(&engine, artifact.clone())? });
        if number % count.div_ceil(10) == 0 || number == count {
            let now = Instant::now();
            println!("{number:5} modules: {:8.1} ms more", (now - last).as_secs_f64() * 1e3);
            last = now;
        }
    }
    let all = start.elapsed();
    println!("{count} modules of {} KiB: {:.1} ms", artifact.len() / 1024, all.as_secs_f64() * 1e3);
    black_box(&modules);
    let start = Instant::now();
    drop(modules);
    println!("unregistered: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
