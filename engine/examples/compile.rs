//! Compiles a module again and again: a target for profilers.
//!
//! `compile FILE [TIMES]`, without debug info. What building the frame table takes of it:
//!
//! ```text
//! valgrind --tool=callgrind target/debug/examples/compile sqlite.wasm
//! callgrind_annotate --inclusive=yes callgrind.out.* | grep -E 'frame_table|compile_with_report'
//! ```

use wasmscope::{Config, DebugInfo, Engine, Module, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("the name of a module");
    let times: usize = arguments.next().map_or(1, |times| times.parse().expect("how many times"));
    let engine = Engine::new(Config::new().debug_info(DebugInfo::None))?;
    let wasm = std::fs::read(file).expect("the file can be read");
    for _ in 0..times {
        Module::from_binary(&engine, &wasm)?;
    }
    Ok(())
}
