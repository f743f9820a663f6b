//! Runs a program's `_start` on several host threads at once, each with an instance of its own; all but the first get the
//! argument `wait`. The last argument is the optimization level: 0, else 2. For a look at them in a debugger:
//!
//!     gdb --args target/release/examples/threads 3 tests/programs/abilities/c-O0.wasm

mod guest;

use guest::Guest;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use wasmscope::{Engine, Module, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(2);
    let path = arguments.next().expect("a module");
    let wasm = std::fs::read(&path).expect("the module can be read");
    let engine = Engine::new(&guest::config(arguments.next().as_deref()))?;
    let module = Module::new(&engine, &wasm)?;
    let begin = Arc::new(Barrier::new(count));
    for _ in 1..count {
        let (engine, module, begin) = (engine.clone(), module.clone(), begin.clone());
        thread::spawn(move || -> Result<()> {
            let mut guest = Guest::new(&engine, &module, &["guest", "wait"])?;
            begin.wait();
            guest.run()
        });
    }
    begin.wait();
    // The others are in their loop by then.
    thread::sleep(Duration::from_millis(500));
    Guest::new(&engine, &module, &["guest"])?.run()?;
    // The others never return.
    std::process::exit(0)
}
