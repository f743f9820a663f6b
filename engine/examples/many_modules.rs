//! Loads, shows and instantiates many modules, to see what each costs here and in a debugger; runs the last one.
//!
//!     cargo build --workspace --examples
//!     target/debug/examples/many_modules 1000 together examples/list.wasm
//!     gdb -batch -ex 'set breakpoint pending on' -ex 'break total' -ex run -ex bt \
//!         --args target/debug/examples/many_modules 1000 together examples/list.wasm
//!
//! `together`: all modules are loaded, then an instance is made of each, so that debuggers are shown all as one object.
//! `each`: an instance is made of each module before the next is loaded, which makes an object of each. Prints the time for
//! each further tenth of the modules: linear is what stays the same. With a second file the last module is made of that.

mod guest;

use guest::Guest;
use std::time::Instant;
use wasmscope::{Engine, Module, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, mode, path, ..] = &*arguments else { panic!("arguments: COUNT together|each FILE [LAST-FILE]") };
    let count: usize = count.parse().expect("a number of modules");
    let engine = Engine::new(&guest::config(None))?;
    let compiled = |path: &String| Module::from_file(&engine, path).map(|module| module.serialize().to_vec());
    let artifact = compiled(path)?;
    let last = arguments.get(3).map(compiled).transpose()?;
    let load = |number| {
        let artifact = last.as_ref().filter(|_| number == count).unwrap_or(&artifact);
        // SAFETY: it comes from `serialize`.
        unsafe { Module::deserialize(&engine, artifact.clone()) }
    };

    let mut guests = Vec::with_capacity(count);
    let start = Instant::now();
    let mut watch = Watch { count, last: start };
    if mode == "together" {
        let modules = (1..=count).map(load).collect::<Result<Vec<Module>>>()?;
        println!("{count} modules loaded: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        for (index, module) in modules.iter().enumerate() {
            guests.push(Guest::new(&engine, module, &["guest"])?);
            watch.look(index + 1);
        }
    } else {
        for number in 1..=count {
            guests.push(Guest::new(&engine, &load(number)?, &["guest"])?);
            watch.look(number);
        }
    }
    let all = start.elapsed().as_secs_f64() * 1e3;
    println!("{count} modules of {} KiB: {all:.1} ms", artifact.len() / 1024);

    guests.last_mut().expect("there is one").run()?;
    let start = Instant::now();
    drop(guests);
    println!("dropped: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// Prints how long each tenth takes.
struct Watch {
    count: usize,
    last: Instant,
}

impl Watch {
    fn look(&mut self, number: usize) {
        if number.is_multiple_of(self.count.div_ceil(10)) || number == self.count {
            let now = Instant::now();
            println!("{number:5} instances: {:8.1} ms more", (now - self.last).as_secs_f64() * 1e3);
            self.last = now;
        }
    }
}
