//! Calls between host and guest, compilation, instantiation, and what interruptibility costs.
//!
//! `cargo bench -p wasmscope` prints the median over batches, in nanoseconds. An argument picks what contains it.

use std::hint::black_box;
use std::time::{Duration, Instant};
use wasmscope::{Config, Engine, Instance, Linker, Module, OptLevel, Store, Val};

const MODULE: &str = r#"(module
    (import "" "host" (func $host (param i32 i64) (result i32)))
    (memory (export "memory") 1)
    (func (export "nop"))
    (func (export "add") (param i32 i64) (result i32) (i32.add (local.get 0) (i32.wrap_i64 (local.get 1))))
    (func (export "host") (param i32) (loop
        (drop (call $host (local.get 0) (i64.const 2)))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "spin") (param i32) (loop
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func $fib (export "fib") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
            (then (local.get 0))
            (else (i32.add
                (call $fib (i32.sub (local.get 0) (i32.const 1)))
                (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"#;

/// The median time of one of `inner` steps that `batch` takes, over batches of about 10 ms.
fn measure(name: &str, inner: u64, mut batch: impl FnMut()) {
    let wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect::<Vec<_>>();
    if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
        return;
    }
    let mut repeat = 1u32;
    let once = |repeat: u32, batch: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..repeat).for_each(|_| batch());
        start.elapsed()
    };
    while repeat < 1 << 24 && once(repeat, &mut batch) < Duration::from_millis(10) {
        repeat *= 2;
    }
    let mut times: Vec<f64> =
        (0..15).map(|_| once(repeat, &mut batch).as_nanos() as f64 / (f64::from(repeat) * inner as f64)).collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<36} {:>14.2} ns   (fastest {:.2})", times[times.len() / 2], times[0]);
}

fn main() -> wasmscope::Result<()> {
    for (label, interruptible) in [("", false), (", interruptible", true)] {
        let engine = Engine::new(Config::new().interruptible(interruptible))?;
        let module = Module::new(&engine, MODULE)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("", "host", |a: i32, b: i64| a.wrapping_add(b as i32))?;
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module)?;

        let nop = instance.get_typed_func::<(), ()>(&mut store, "nop")?;
        measure(&format!("host to guest, typed, nop{label}"), 1, || nop.call(&mut store, ()).unwrap());
        let add = instance.get_typed_func::<(i32, i64), i32>(&mut store, "add")?;
        measure(&format!("host to guest, typed, add{label}"), 1, || {
            black_box(add.call(&mut store, black_box((1, 2))).unwrap());
        });
        let func = *add.func();
        measure(&format!("host to guest, values, add{label}"), 1, || {
            let mut results = [Val::I32(0)];
            func.call(&mut store, &[Val::I32(1), Val::I64(2)], &mut results).unwrap();
        });
        let host = instance.get_typed_func::<i32, ()>(&mut store, "host")?;
        measure(&format!("guest to host, wrapped{label}"), 1000, || host.call(&mut store, 1000).unwrap());

        let spin = instance.get_typed_func::<i32, ()>(&mut store, "spin")?;
        measure(&format!("an empty loop's iteration{label}"), 100_000, || spin.call(&mut store, 100_000).unwrap());
        let fib = instance.get_typed_func::<i32, i32>(&mut store, "fib")?;
        measure(&format!("fib(20){label}"), 1, || {
            black_box(fib.call(&mut store, 20).unwrap());
        });
    }

    let engine = Engine::default();
    let no_import =
        Module::new(&engine, r#"(module (memory 1) (table 10 funcref) (func $f) (elem (i32.const 0) $f))"#)?;
    let mut store = Store::new(&engine, ());
    let mut used = 0;
    measure("instantiate, with a memory", 1, || {
        // A store keeps its instances.
        if used == 1000 {
            (store, used) = (Store::new(&engine, ()), 0);
        }
        used += 1;
        Instance::new(&mut store, &no_import, &[]).unwrap();
    });
    let kernels = include_bytes!("kernels/kernels.wasm");
    for (name, opt_level) in [("0", OptLevel::None), ("2", OptLevel::Speed)] {
        let engine = Engine::new(Config::new().opt_level(opt_level))?;
        measure(&format!("compile the kernels at opt-level {name}"), 1, || {
            drop(Module::new(&engine, kernels).unwrap())
        });
    }
    Ok(())
}
