//! Times references to host values in wasmscope beside Wasmtime's DRC collector, in alternating rounds.
//!
//!     cargo run --release --bin references
//!
//! Nanoseconds of the thread's processor time, medians; a ratio is the median of the rounds' ratios, and below 1 wasmscope
//! is faster. A collection is one with so many references live in guest frames, so deep on the stack.

use std::fmt::Write;

const MODULE: &str = r#"(module
    (import "" "same" (func $same (param externref) (result externref)))
    (table $t 8 externref)
    (global $g (mut externref) (ref.null extern))
    (func (export "one") (param externref))
    (func (export "table") (param $r externref) (param $n i32)
        (table.set $t (i32.const 0) (local.get $r))
        (loop $again
            (table.set $t (i32.const 1) (table.get $t (i32.const 0)))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "global.set") (param $r externref) (param $n i32)
        (loop $again
            (global.set $g (local.get $r))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "round trip") (param $r externref) (param $n i32)
        (loop $again
            (drop (call $same (local.get $r)))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "local.set externref") (param $r externref) (param $n i32) (result i32)
        (local $a externref) (local $b externref) (local $c externref)
        (local.set $a (local.get $r))
        (loop $again
            (local.set $c (local.get $a)) (local.set $a (local.get $b)) (local.set $b (local.get $c))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (ref.is_null (local.get $a)))
    (func (export "local.set i64") (param $r externref) (param $n i32) (result i32)
        (local $a i64) (local $b i64) (local $c i64)
        (local.set $a (i64.extend_i32_u (local.get $n)))
        (loop $again
            (local.set $c (local.get $a)) (local.set $a (local.get $b)) (local.set $b (local.get $c))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i64.eqz (local.get $a))))"#;

/// So many references come from one call of the host.
const BATCH: usize = 100;

/// A function that recurses `depth` deep, with `width` references of its own in each of the last `holders` frames, and
/// collects at the bottom.
fn deep_module(width: usize) -> String {
    let batch = width.min(BATCH);
    let mut text = String::from("(module (import \"\" \"gc\" (func $gc))\n(import \"\" \"make\" (func $make (result");
    text.push_str(&" externref".repeat(batch));
    text.push_str(")))\n(func $f (param $depth i32) (param $holders i32) (result i32)");
    text.push_str(&"(local externref)".repeat(width));
    text.push_str("(if (i32.gt_s (local.get $holders) (i32.const 0)) (then\n");
    for start in (0..width).step_by(batch) {
        text.push_str("call $make\n");
        (start..start + batch).for_each(|local| writeln!(text, "local.set {}", local + 2).unwrap());
    }
    text.push_str(
        "))(if (result i32) (local.get $depth)
        (then (call $f (i32.sub (local.get $depth) (i32.const 1)) (i32.sub (local.get $holders) (i32.const 1))))
        (else (call $gc) (i32.const 0)))\n",
    );
    (0..width).for_each(|local| writeln!(text, "(i32.add (ref.is_null (local.get {})))", local + 2).unwrap());
    text.push_str(
        ")
        (func $g (export \"f\") (param $depth i32) (param $holders i32) (result i32)
            (if (result i32) (i32.gt_s (local.get $depth) (local.get $holders))
                (then (i32.add (i32.const 1)
                    (call $g (i32.sub (local.get $depth) (i32.const 1)) (local.get $holders))))
                (else (call $f (local.get $depth) (local.get $holders))))))",
    );
    text
}

/// Seconds of this thread's processor time.
fn now() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes to the structure, which lives.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "the clock is there");
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = now();
    work();
    now() - start
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds for so many repetitions.
type Run = Box<dyn FnMut(u32) -> f64>;

const LOOPS: [&str; 5] = ["table", "global.set", "round trip", "local.set externref", "local.set i64"];
/// The most that Wasmtime allows without a build for asynchronous hosts.
const STACK: usize = 2 << 20;

mod ours {
    use super::*;
    use wasmscope::{Caller, Config, Engine, ExternRef, Func, FuncType, Instance, Module, Store, Val, ValType};

    fn engine() -> Engine {
        Engine::new(Config::new().max_wasm_stack(STACK)).unwrap()
    }

    pub fn calls() -> Vec<(String, Run)> {
        let mut runs: Vec<(String, Run)> = Vec::new();
        let new = || {
            let engine = engine();
            let mut store = Store::new(&engine, ());
            let same = Func::wrap(&mut store, |reference: Option<ExternRef>| reference);
            let module = Module::new(&engine, MODULE).unwrap();
            let instance = Instance::new(&mut store, &module, &[same.into()]).unwrap();
            (store, instance, ExternRef::new(5))
        };
        let (mut store, instance, value) = new();
        let one = instance.get_typed_func::<Option<ExternRef>, ()>(&mut store, "one").unwrap();
        runs.push((
            "call with an externref".into(),
            Box::new(move |n| timed(|| (0..n).for_each(|_| one.call(&mut store, Some(value.clone())).unwrap()))),
        ));
        let (mut store, instance, value) = new();
        let one = instance.get_typed_func::<Option<&ExternRef>, ()>(&mut store, "one").unwrap();
        runs.push((
            "call with a borrowed externref".into(),
            Box::new(move |n| timed(|| (0..n).for_each(|_| one.call(&mut store, Some(&value)).unwrap()))),
        ));
        for name in LOOPS {
            let (mut store, instance, value) = new();
            let f = instance.get_func(&mut store, name).unwrap();
            let mut results = vec![Val::I32(0); f.ty(&store).results.len()];
            let mut call = move |n: u32| {
                f.call(&mut store, &[Some(value.clone()).into(), Val::I32(n as i32)], &mut results).unwrap();
            };
            runs.push((name.into(), Box::new(move |n| timed(|| call(n)))));
        }
        runs
    }

    pub fn collection(width: usize) -> Box<dyn FnMut(u32, u32, u32) -> f64> {
        let engine = engine();
        let mut store = Store::new(&engine, (0, 0.0));
        let gc = Func::wrap(&mut store, |mut caller: Caller<'_, (u32, f64)>| {
            let count = caller.data().0;
            let seconds = timed(|| (0..count).for_each(|_| caller.gc()));
            caller.data_mut().1 = seconds;
        });
        let ty = FuncType::new([], vec![ValType::EXTERNREF; width.min(BATCH)]);
        let make = Func::new(&mut store, ty, |_, _, results| {
            results.iter_mut().for_each(|result| *result = Val::ExternRef(Some(ExternRef::new(1))));
            Ok(())
        });
        let module = Module::new(&engine, deep_module(width)).unwrap();
        let instance = Instance::new(&mut store, &module, &[gc.into(), make.into()]).unwrap();
        let f = instance.get_typed_func::<(u32, u32), u32>(&mut store, "f").unwrap();
        Box::new(move |depth, holders, count| {
            store.data_mut().0 = count;
            f.call(&mut store, (depth, holders)).unwrap();
            store.data().1
        })
    }
}

mod theirs {
    use super::*;
    use wasmtime::{
        AsContextMut, Caller, Collector, Config, Engine, ExternRef, Func, FuncType, Instance, Module, Rooted, Store,
        Val, ValType,
    };

    fn engine() -> Engine {
        let mut config = Config::new();
        config.collector(Collector::DeferredReferenceCounting).max_wasm_stack(STACK);
        Engine::new(&config).unwrap()
    }

    pub fn calls() -> Vec<(String, Run)> {
        let mut runs: Vec<(String, Run)> = Vec::new();
        let new = || {
            let engine = engine();
            let mut store = Store::new(&engine, ());
            let same = Func::wrap(&mut store, |reference: Option<Rooted<ExternRef>>| reference);
            let module = Module::new(&engine, MODULE).unwrap();
            let instance = Instance::new(&mut store, &module, &[same.into()]).unwrap();
            let value = ExternRef::new(&mut store, 5).unwrap();
            (store, instance, value)
        };
        for name in ["call with an externref", "call with a borrowed externref"] {
            let (mut store, instance, value) = new();
            let one = instance.get_typed_func::<Option<Rooted<ExternRef>>, ()>(&mut store, "one").unwrap();
            runs.push((
                name.into(),
                Box::new(move |n| timed(|| (0..n).for_each(|_| one.call(&mut store, Some(value)).unwrap()))),
            ));
        }
        for name in LOOPS {
            let (mut store, instance, value) = new();
            let f = instance.get_func(&mut store, name).unwrap();
            let mut results = vec![Val::I32(0); f.ty(&store).results().len()];
            let mut call = move |n: u32| {
                f.call(&mut store, &[Val::ExternRef(Some(value)), Val::I32(n as i32)], &mut results).unwrap();
            };
            runs.push((name.into(), Box::new(move |n| timed(|| call(n)))));
        }
        runs
    }

    pub fn collection(width: usize) -> Box<dyn FnMut(u32, u32, u32) -> f64> {
        let engine = engine();
        let mut store = Store::new(&engine, (0, 0.0));
        let gc = Func::wrap(&mut store, |mut caller: Caller<'_, (u32, f64)>| {
            let count = caller.data().0;
            let seconds = timed(|| (0..count).for_each(|_| caller.as_context_mut().gc(None).unwrap()));
            caller.data_mut().1 = seconds;
        });
        let ty = FuncType::new(&engine, [], vec![ValType::EXTERNREF; width.min(BATCH)]);
        let make = Func::new(&mut store, ty, |mut caller, _, results| {
            for result in results {
                *result = Val::ExternRef(Some(ExternRef::new(&mut caller, 1)?));
            }
            Ok(())
        });
        let module = Module::new(&engine, deep_module(width)).unwrap();
        let instance = Instance::new(&mut store, &module, &[gc.into(), make.into()]).unwrap();
        let f = instance.get_typed_func::<(u32, u32), u32>(&mut store, "f").unwrap();
        Box::new(move |depth, holders, count| {
            store.data_mut().0 = count;
            f.call(&mut store, (depth, holders)).unwrap();
            store.data().1
        })
    }
}

fn report(name: &str, rounds: &[(f64, f64)]) {
    let ns = |pick: fn(&(f64, f64)) -> f64| median(rounds.iter().map(pick).collect()) * 1e9;
    let ratio = median(rounds.iter().map(|(a, b)| a / b).collect());
    println!("{name:<46} {:>13.2} {:>13.2} {ratio:>7.3}", ns(|r| r.0), ns(|r| r.1));
}

fn run() {
    println!("{:<46} {:>13} {:>13} {:>7}", "", "wasmscope, ns", "Wasmtime, ns", "ratio");
    for ((name, mut a), (_, mut b)) in ours::calls().into_iter().zip(theirs::calls()) {
        let mut count = 1000;
        while a(count) < 0.005 {
            count *= 2;
        }
        let n = f64::from(count);
        let rounds: Vec<_> = (0..21).map(|_| (a(count) / n, b(count) / n)).collect();
        report(&name, &rounds);
    }
    // Depth, how many frames hold references, how many each.
    for (depth, holders, width) in
        [(10, 10, 1), (10, 10, 100), (10, 10, 10_000), (10_000, 10, 1), (10_000, 10, 100), (10_000, 100, 1000)]
    {
        let (mut a, mut b) = (ours::collection(width), theirs::collection(width));
        let count = if depth as usize + width * holders as usize > 50_000 { 5 } else { 50 };
        let n = f64::from(count);
        let rounds: Vec<_> =
            (0..7).map(|_| (a(depth - 1, holders, count) / n, b(depth - 1, holders, count) / n)).collect();
        report(&format!("collection, {} live, depth {depth}", width * holders as usize), &rounds);
    }
}

fn main() {
    std::thread::Builder::new().stack_size(8 * STACK).spawn(run).unwrap().join().unwrap();
}
