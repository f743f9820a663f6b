//! A million references through everything that the guest can do with them.

use crate::{Live, engines, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use wasmscope::{Caller, ExternRef, Global, GlobalType, Instance, Linker, Module, Store, Trap, Val, ValType};

const MODULE: &str = r#"(module
    (import "" "make" (func $make (result externref)))
    (import "" "make3" (func $make3 (result externref externref externref)))
    (import "" "use" (func $use (param externref)))
    (import "" "use2" (func $use2 (param externref externref)))
    (import "" "gc" (func $gc))
    (import "" "constant" (global $constant externref))
    (table $t (export "t") 64 512 externref)
    (table $u 64 externref)
    (elem $passive externref (global.get $constant) (ref.null extern) (global.get $constant))
    (elem (table $u) (i32.const 3) externref (global.get $constant) (global.get $constant))
    (table $initialized 4 externref (global.get $constant))
    (global $g (mut externref) (ref.null extern))
    (global $h (mut externref) (global.get $constant))
    (memory 1)
    (func $id (param externref) (result externref) (local.get 0))
    (func $swap (param externref externref) (result externref externref) (local.get 1) (local.get 0))

    (func (export "calls") (param $n i32)
        (loop $again
            (call $use (call $id (call $id (call $make))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "globals") (param $n i32)
        (loop $again
            (global.set $g (call $make))
            (call $use (global.get $g))
            (global.set $h (global.get $g))
            (if (i32.and (local.get $n) (i32.const 1)) (then (global.set $g (ref.null extern))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "tables") (param $n i32)
        (loop $again
            (table.set $t (i32.and (local.get $n) (i32.const 63)) (call $make))
            (table.set $u (i32.and (i32.mul (local.get $n) (i32.const 7)) (i32.const 63))
                (table.get $t (i32.and (i32.mul (local.get $n) (i32.const 5)) (i32.const 63))))
            (call $use2
                (table.get $t (i32.and (i32.mul (local.get $n) (i32.const 3)) (i32.const 63)))
                (table.get $u (i32.and (i32.mul (local.get $n) (i32.const 11)) (i32.const 63))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "bulk") (param $n i32)
        (loop $again
            (table.fill $t (i32.const 5) (call $make) (i32.const 9))
            (table.copy $t $t (i32.const 8) (i32.const 3) (i32.const 12))
            (table.copy $t $t (i32.const 3) (i32.const 8) (i32.const 12))
            (table.copy $u $t (i32.const 0) (i32.const 0) (i32.const 30))
            (table.init $t $passive (i32.const 40) (i32.const 0) (i32.const 3))
            (drop (table.grow $t (call $make) (i32.const 1)))
            (call $use2 (table.get $t (i32.const 40)) (table.get $u (i32.const 10)))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (elem.drop $passive))
    (func (export "select") (param $n i32) (local $r externref)
        (loop $again
            (local.set $r (select (result externref) (call $make) (local.get $r) (i32.and (local.get $n) (i32.const 3))))
            (call $use (select (result externref) (local.get $r) (call $make) (i32.and (local.get $n) (i32.const 1))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "phis") (param $n i32) (local $a externref) (local $b externref) (local $c externref)
        (loop $again
            (if (i32.and (local.get $n) (i32.const 2))
                (then (local.set $a (local.get $b)))
                (else (local.set $a (call $make))))
            (local.set $c (local.get $b))
            (local.set $b (local.get $a))
            (if (i32.and (local.get $n) (i32.const 1)) (then (call $use2 (local.get $b) (local.get $c))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (call $use2 (local.get $a) (local.get $c)))
    (func (export "blocks") (param $n i32)
        (loop $again
            (call $make)
            (call $make)
            (block (param externref externref) (result externref externref)
                (call $swap)
                (br_if 0 (i32.and (local.get $n) (i32.const 1)))
                (call $use)
                (call $make))
            (loop (param externref externref) (result externref externref)
                (call $swap)
                (br_if 0 (i32.eqz (i32.and (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 3)))))
            (call $use2)
            (br_if $again (i32.gt_s (local.get $n) (i32.const 0)))))
    (func (export "multi") (param $n i32)
        (loop $again
            (call $make3)
            (call $swap)
            (call $use2)
            (call $swap (call $make))
            (call $use)
            (call $use)
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func $trap (export "trap") (param $r externref) (param $kind i32) (local $m externref)
        (local.set $m (call $make))
        (global.set $g (local.get $r))
        (if (i32.gt_s (local.get $kind) (i32.const 4))
            (then (call $trap (local.get $m) (i32.sub (local.get $kind) (i32.const 4)))))
        (if (i32.eq (local.get $kind) (i32.const 1)) (then unreachable))
        (if (i32.eq (local.get $kind) (i32.const 2)) (then (drop (i32.load (i32.const -1)))))
        (if (i32.eq (local.get $kind) (i32.const 3)) (then (table.set $t (i32.const 5000) (local.get $m))))
        (table.fill $t (i32.const 60) (local.get $m) (i32.const 600)))
    (func (export "grow") (param $n i32) (local $r externref)
        (local.set $r (call $make))
        (loop $again
            (call $make)
            (if (i32.eqz (i32.and (local.get $n) (i32.const 1023))) (then (drop (memory.grow (i32.const 1)))))
            (i32.store (i32.const 8) (local.get $n))
            (call $use2 (local.get $r))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func $deep (export "deep") (param $n i32) (param $up externref) (result externref) (local $r externref)
        (local.set $r (call $make))
        (if (local.get $n)
            (then (call $use (call $deep (i32.sub (local.get $n) (i32.const 1)) (local.get $r))))
            (else (call $gc)))
        (call $use (local.get $r))
        (local.get $up)))"#;

fn instantiate(store: &mut Store<Live>, constant: Option<ExternRef>) -> Instance {
    let engine = store.engine().clone();
    let module = Module::new(&engine, MODULE).unwrap();
    let next = Arc::new(AtomicU32::new(0));
    let make = move |live: &Live| live.make(next.fetch_add(1, Ordering::Relaxed));
    let make = Arc::new(make);
    let mut linker = Linker::new(&engine);
    let one = Arc::clone(&make);
    linker.func_wrap("", "make", move |caller: Caller<'_, Live>| Some(one(caller.data()))).unwrap();
    let three = move |caller: Caller<'_, Live>| {
        let one = || Some(make(caller.data()));
        (one(), one(), one())
    };
    linker.func_wrap("", "make3", three).unwrap();
    let check = |reference: Option<ExternRef>| reference.as_ref().map_or(0, id);
    linker
        .func_wrap("", "use", move |r: Option<ExternRef>| {
            check(r);
        })
        .unwrap();
    linker
        .func_wrap("", "use2", move |a: Option<ExternRef>, b: Option<ExternRef>| {
            check(a);
            check(b);
        })
        .unwrap();
    linker.func_wrap("", "gc", |mut caller: Caller<'_, Live>| caller.gc()).unwrap();
    let ty = GlobalType { content: ValType::EXTERNREF, mutable: false };
    let global = Global::new(&mut *store, ty, Val::ExternRef(constant)).unwrap();
    linker.define(&*store, "", "constant", global).unwrap();
    linker.instantiate(store, &module).unwrap()
}

/// Runs `body` with each kind of code; no value must be left.
fn check(rounds: u32, body: impl Fn(&mut Store<Live>, &Instance, u32)) {
    for (engine, divisor) in engines() {
        let live = Live::default();
        let mut store = Store::new(&engine, live.clone());
        let constant = live.make(u32::MAX);
        let instance = instantiate(&mut store, Some(constant));
        body(&mut store, &instance, (rounds / divisor).max(8));
        drop(store);
        assert_eq!(live.count(), 0);
    }
}

fn rounds(name: &'static str, rounds: u32) {
    check(rounds, |store, instance, rounds| {
        instance.get_typed_func::<u32, ()>(&mut *store, name).unwrap().call(&mut *store, rounds).unwrap();
        // What the guest let go of is gone after a collection: a few hundred elements and globals are left at most.
        store.gc();
        assert!(store.data().count() < 1100, "{name}: {} values are left", store.data().count());
    });
}

#[test]
fn calls() {
    rounds("calls", 150_000);
}

#[test]
fn globals() {
    rounds("globals", 150_000);
}

#[test]
fn tables() {
    rounds("tables", 150_000);
}

#[test]
fn bulk_table_operators() {
    rounds("bulk", 50_000);
}

#[test]
fn selects() {
    rounds("select", 100_000);
}

#[test]
fn loops() {
    rounds("phis", 150_000);
}

#[test]
fn block_parameters() {
    rounds("blocks", 100_000);
}

#[test]
fn multiple_results() {
    rounds("multi", 50_000);
}

#[test]
fn memory_growth() {
    rounds("grow", 100_000);
}

#[test]
fn traps_in_mid_flight() {
    check(20_000, |store, instance, rounds| {
        let trap = instance.get_typed_func::<(Option<ExternRef>, u32), ()>(&mut *store, "trap").unwrap();
        for round in 0..rounds {
            let argument = store.data().make(round);
            let kind = round % 16 + 1;
            let error = trap.call(&mut *store, (Some(argument), kind)).unwrap_err();
            assert!(error.downcast_ref::<Trap>().is_some(), "{error:?}");
        }
        store.gc();
        // One in the global, one element of each table may be left of all these, and the constant.
        assert!(store.data().count() < 10, "{} values are left", store.data().count());
    });
}

#[test]
fn deep_recursion() {
    check(4_000, |store, instance, rounds| {
        let deep = instance.get_typed_func::<(u32, Option<ExternRef>), Option<ExternRef>>(&mut *store, "deep").unwrap();
        for depth in [1, 10, rounds] {
            let outer = store.data().make(0);
            let back = deep.call(&mut *store, (depth, Some(outer.clone()))).unwrap().unwrap();
            assert!(ExternRef::ptr_eq(&outer, &back));
        }
    });
}

#[test]
fn a_call_that_overflows_the_stack_leaves_nothing() {
    check(1_000_000, |store, instance, rounds| {
        let deep = instance.get_typed_func::<(u32, Option<ExternRef>), Option<ExternRef>>(&mut *store, "deep").unwrap();
        // Code that collects at every safepoint would walk deep stacks thousands of times.
        if store.engine().tunables().collect_always {
            return;
        }
        let outer = store.data().make(0);
        let error = deep.call(&mut *store, (rounds, Some(outer))).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
        store.gc();
        assert_eq!(store.data().count(), 1);
    });
}

#[test]
fn the_host_counts_what_comes_back() {
    check(1, |store, instance, _| {
        let deep =
            instance.get_typed_func::<(u32, Option<&ExternRef>), Option<ExternRef>>(&mut *store, "deep").unwrap();
        let outer = store.data().make(0);
        let kept: Vec<_> = (0..100).map(|_| deep.call(&mut *store, (0, Some(&outer))).unwrap().unwrap()).collect();
        store.gc();
        assert_eq!(outer.strong_count(), 101);
        drop(kept);
        assert_eq!(outer.strong_count(), 1);
        let table = instance.get_table(&mut *store, "t").unwrap();
        table.set(&mut *store, 3, outer.clone().into()).unwrap();
        table.fill(&mut *store, 10, outer.clone().into(), 5).unwrap();
        table.grow(&mut *store, 2, outer.clone().into()).unwrap();
        assert_eq!(outer.strong_count(), 9);
        assert!(ExternRef::ptr_eq(&table.get(&mut *store, 12).unwrap().unwrap_extern_ref().unwrap(), &outer));
        table.fill(&mut *store, 0, Val::ExternRef(None), 66).unwrap();
        assert_eq!(outer.strong_count(), 1);
    });
}

#[test]
fn a_drop_handler_sees_the_store_let_go_in_order() {
    // The values of a dropped store go one by one, each exactly once, whatever held them.
    let order = Arc::new(Mutex::new(Vec::new()));
    struct Noted(u32, Arc<Mutex<Vec<u32>>>);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    for (engine, _) in engines() {
        let mut store = Store::new(&engine, Live::default());
        let instance = instantiate(&mut store, Some(ExternRef::new(Noted(7, Arc::clone(&order)))));
        let table = instance.get_table(&mut store, "t").unwrap();
        for index in 0..5 {
            table.set(&mut store, index, ExternRef::new(Noted(index as u32, Arc::clone(&order))).into()).unwrap();
        }
        drop(store);
        let mut order = std::mem::take(&mut *order.lock().unwrap());
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3, 4, 7]);
    }
}
