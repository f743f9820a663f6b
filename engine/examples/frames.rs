//! A guest with frames of every kind, for the single-steppers: recursion, tail calls, calls through tables, callbacks
//! through the host, traps that the host catches, frames of more than a page.
//!
//! `frames [ROUNDS [none|speed|size [crossings]]]`; the module is registered with debuggers. With `crossings` the rounds
//! are short, and do little but call back through the host and trap.
//!
//! ```text
//! step-check --max-steps 2000000 -- target/debug/examples/frames 100000
//! ```

use std::fmt::Write as _;
use wasmscope::{Caller, Config, DebugInfo, Engine, Func, Linker, Module, OptLevel, Result, Store, Trap, Tunables};

/// A function of so many values that are all alive at once.
fn large(values: usize) -> String {
    let mut text = format!("(func $large (type $binary) (local {})\n", "i64 ".repeat(values));
    for value in 0..values {
        let (local, parameter, address) = (value + 2, value % 2, value * 8 % 4096);
        let _ = writeln!(
            text,
            "(local.set {local} (i64.add (i64.extend_i32_u (local.get {parameter})) (i64.load (i32.const {address}))))"
        );
    }
    text.push_str("(drop (call $add (local.get 0) (local.get 1))) (i64.const 1)\n");
    for value in 0..values {
        let _ = writeln!(text, "(i64.mul (local.get {})) (i64.rotl (i64.const {}))", value + 2, value % 63 + 1);
    }
    text.push_str("(i32.wrap_i64))\n");
    text
}

/// Calls the table's function of that number with both values.
fn call(mut caller: Caller<'_, ()>, number: i32, left: i32, right: i32) -> Result<i32> {
    let table = caller.get_export("table").and_then(|export| export.into_table()).expect("the module has a table");
    let function: Func =
        table.get(&mut caller, number as u64).and_then(|value| value.unwrap_func_ref()).expect("a function");
    function.typed::<(i32, i32), i32>(&caller)?.call(&mut caller, (left, right))
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rounds: i32 = arguments.next().map_or(10, |rounds| rounds.parse().expect("a number of rounds"));
    let opt_level = match arguments.next().as_deref() {
        Some("none") => OptLevel::None,
        Some("size") => OptLevel::SpeedAndSize,
        _ => OptLevel::Speed,
    };
    let crossings = arguments.next().is_some_and(|word| word == "crossings");
    let tunables = Tunables { opt_level, debug_info: DebugInfo::Full, ..Tunables::default() };
    let engine = Engine::new(Config::new().tunables(tunables).max_wasm_stack(64 << 10))?;
    let text = include_str!("frames.wat").replace("(;large;)", &large(700));
    let module = Module::new(&engine, text)?;
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "call", call)?;
    let instance = linker.instantiate(&mut store, &module)?;
    let round = instance.get_typed_func::<i32, i32>(&mut store, "round")?;
    let trap = instance.get_typed_func::<i32, i32>(&mut store, "trap")?;
    let callbacks = instance.get_typed_func::<(i32, i32), i32>(&mut store, "callbacks")?;
    let trap_in_callback = instance.get_typed_func::<i32, i32>(&mut store, "trap_in_callback")?;
    let mut sum = 0i32;
    for seed in 0..rounds {
        if crossings {
            sum = sum.wrapping_add(callbacks.call(&mut store, (1 + seed % 6, seed))?);
            // The last way is the overflow of the stack, which takes long.
            let how = if seed % 64 == 0 { 7 } else { seed % 7 };
            for function in [&trap, &trap_in_callback] {
                let error = function.call(&mut store, how).expect_err("it always traps");
                assert!(error.is::<Trap>(), "{error:?}");
            }
            continue;
        }
        sum = sum.wrapping_add(round.call(&mut store, seed)?);
        let error = trap.call(&mut store, seed % 8).expect_err("it always traps");
        assert!(error.is::<Trap>(), "{error:?}");
    }
    println!("{sum}");
    Ok(())
}
