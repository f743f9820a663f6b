//! Calls, interruptibility, instantiation and compilation of wasmscope: `cargo bench`.

use beside_wasmtime::ours;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;
use wasmscope::{Config, Engine, Instance, Module, OptLevel, Store};

fn calls(criterion: &mut Criterion) {
    for mut work in ours::calls() {
        criterion.bench_function(work.name, |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                for _ in 0..iterations / u64::from(u32::MAX) {
                    (work.run)(u32::MAX);
                }
                // A guest's loop runs at least once.
                (work.run)(((iterations % u64::from(u32::MAX)) as u32).max(1));
                start.elapsed()
            });
        });
    }
}

const LOOPS: &str = r#"(module
    (func (export "spin") (param i32) (result i32) (loop
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 0))
    (func $fib (export "fib") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
            (then (local.get 0))
            (else (i32.add
                (call $fib (i32.sub (local.get 0) (i32.const 1)))
                (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"#;

fn interruption(criterion: &mut Criterion) {
    for (label, interruptible) in [("", false), (", interruptible", true)] {
        let engine = Engine::new(Config::new().interruptible(interruptible)).unwrap();
        let module = Module::new(&engine, LOOPS).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for (name, export, argument) in [("100,000 empty iterations", "spin", 100_000), ("fib(20)", "fib", 20)] {
            let func = instance.get_typed_func::<i32, i32>(&mut store, export).unwrap();
            criterion.bench_function(&format!("{name}{label}"), |bencher| {
                bencher.iter(|| func.call(&mut store, black_box(argument)).unwrap());
            });
        }
    }
}

fn instantiate(criterion: &mut Criterion) {
    let engine = Engine::default();
    let module =
        Module::new(&engine, "(module (memory 1) (table 10 funcref) (func $f) (elem (i32.const 0) $f))").unwrap();
    criterion.bench_function("a store and an instance with a memory", |bencher| {
        bencher.iter_batched(
            || (),
            |()| {
                let mut store = Store::new(&engine, ());
                Instance::new(&mut store, &module, &[]).unwrap();
                store
            },
            BatchSize::SmallInput,
        );
    });
}

fn compile(criterion: &mut Criterion) {
    let kernels = include_bytes!("../../kernels/kernels.wasm");
    for (name, opt_level) in [("0", OptLevel::None), ("2", OptLevel::Speed), ("s", OptLevel::SpeedAndSize)] {
        let engine = Engine::new(Config::new().opt_level(opt_level)).unwrap();
        criterion.bench_function(&format!("compile the kernels at opt-level {name}"), |bencher| {
            bencher.iter(|| Module::new(&engine, kernels).unwrap());
        });
    }
}

criterion_group!(benches, calls, interruption, instantiate, compile);
criterion_main!(benches);
