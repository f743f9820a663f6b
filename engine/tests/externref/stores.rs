//! Several stores, several threads.

use crate::{Live, engines, id};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use wasmscope::{Caller, Engine, ExternRef, Func, Instance, Module, Store, TypedFunc};

const MODULE: &str = r#"(module
    (import "" "check" (func $check (param externref i32)))
    (table (export "t") 16 externref)
    (global $g (mut externref) (ref.null extern))
    (func (export "work") (param $r externref) (param $n i32) (result externref) (local $old externref)
        (local.set $old (table.get (i32.and (local.get $n) (i32.const 15))))
        (table.set (i32.and (local.get $n) (i32.const 15)) (local.get $r))
        (global.set $g (local.get $r))
        (call $check (global.get $g) (local.get $n))
        (call $check (table.get (i32.and (local.get $n) (i32.const 15))) (local.get $n))
        (local.get $old)))"#;

/// A store on its way between threads: its function, the round, and values that others use, too.
type Job = (Store<()>, Work, u32, Vec<ExternRef>);
type Work = TypedFunc<(Option<ExternRef>, u32), Option<ExternRef>>;

fn store(engine: &Engine, module: &Module) -> (Store<()>, Work) {
    let mut store = Store::new(engine, ());
    let check = Func::wrap(&mut store, |mut caller: Caller<'_, ()>, reference: Option<ExternRef>, n: u32| {
        if n.is_multiple_of(7) {
            caller.gc();
        }
        assert_eq!(id(&reference.unwrap()), n);
    });
    let work = Instance::new(&mut store, module, &[check.into()]).unwrap().get_typed_func(&mut store, "work").unwrap();
    (store, work)
}

#[test]
fn two_stores_share_values() {
    for (engine, divisor) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, MODULE).unwrap();
        let mut stores = [store(&engine, &module), store(&engine, &module), store(&engine, &module)];
        let mut kept: Vec<ExternRef> = Vec::new();
        for n in 0..60_000 / divisor {
            let reference = live.make(n);
            for (index, (store, work)) in stores.iter_mut().enumerate() {
                let back = work.call(&mut *store, (Some(reference.clone()), n)).unwrap();
                if n % 5 == index as u32 {
                    kept.extend(back);
                }
            }
            if kept.len() > 100 {
                kept.drain(..50).for_each(|reference| assert!(id(&reference) < n));
            }
            if n % 1000 == 999 {
                let (store, work) = &mut stores[n as usize / 1000 % 3];
                (*store, *work) = self::store(&engine, &module);
            }
        }
        stores.iter_mut().for_each(|(store, _)| store.gc());
        assert!(live.count() <= 16 + 1 + 101, "{} values are left", live.count());
        drop(kept);
        let [first, second, third] = stores;
        drop((second, first));
        assert!(live.count() <= 17);
        drop(third);
        assert_eq!(live.count(), 0);
    }
}

#[test]
fn stores_move_between_threads_while_others_use_their_values() {
    for (engine, divisor) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, MODULE).unwrap();
        // Each thread works with the store that is next, passes it on, and keeps values of its own.
        let stores = 3;
        let rounds = 4_000 / divisor.min(100);
        let jobs: Mutex<VecDeque<Job>> = Mutex::default();
        for number in 0..stores {
            let (store, work) = store(&engine, &module);
            jobs.lock().unwrap().push_back((store, work, number, Vec::new()));
        }
        let done = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut mine: Vec<ExternRef> = Vec::new();
                    while done.load(Ordering::Relaxed) < stores {
                        let job = jobs.lock().unwrap().pop_front();
                        let Some((mut store, work, n, shared)) = job else {
                            std::thread::yield_now();
                            continue;
                        };
                        for reference in &shared {
                            work.call(&mut store, (Some(reference.clone()), id(reference))).unwrap();
                        }
                        mine.extend(work.call(&mut store, (Some(live.make(n)), n)).unwrap());
                        mine.extend(shared.iter().take(2).cloned());
                        if mine.len() > 20 {
                            mine.drain(..15);
                        }
                        if n >= rounds {
                            done.fetch_add(1, Ordering::Relaxed);
                            continue; // The store ends on this thread.
                        }
                        let shared = mine.iter().rev().take(3).cloned().collect();
                        jobs.lock().unwrap().push_back((store, work, n + 1, shared));
                    }
                });
            }
        });
        assert_eq!(live.count(), 0);
    }
}
