//! Frames of the guest and of the host on one stack.

use crate::{Live, engines, id};
use wasmscope::{AsContextMut, Caller, ExternRef, Func, Instance, Linker, Module, Store};

const NESTED: &str = r#"(module
    (import "" "again" (func $again (param i32 externref) (result externref)))
    (import "" "make" (func $make (param i32) (result externref)))
    (import "" "use" (func $use (param i32 externref)))
    (func $inner (param $depth i32) (param $outer externref) (result externref) (local $mine externref)
        (local.set $mine (call $make (local.get $depth)))
        (call $use (local.get $depth) (call $again (local.get $depth) (local.get $mine)))
        (call $use (local.get $depth) (local.get $mine))
        (local.get $outer))
    (func (export "f") (param $depth i32) (param $outer externref) (result externref)
        (call $inner (local.get $depth) (local.get $outer))))"#;

#[test]
fn host_frames_between_guest_frames_are_stepped_over() {
    for (engine, _) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, NESTED).unwrap();
        let mut store = Store::new(&engine, None::<Instance>);
        let mut linker = Linker::new(&engine);
        let makes = live.clone();
        linker.func_wrap("", "make", move |depth: u32| Some(makes.make(depth))).unwrap();
        linker
            .func_wrap("", "use", |depth: u32, reference: Option<ExternRef>| {
                assert_eq!(id(&reference.unwrap()), depth);
            })
            .unwrap();
        linker
            .func_wrap("", "again", |mut caller: Caller<'_, Option<Instance>>, depth: u32, mine: Option<ExternRef>| {
                caller.gc();
                if depth > 0 {
                    let instance = caller.data().unwrap();
                    let f = instance
                        .get_typed_func::<(u32, Option<ExternRef>), Option<ExternRef>>(&mut caller, "f")
                        .unwrap();
                    let back = f.call(&mut caller, (depth - 1, mine.clone())).unwrap();
                    assert!(ExternRef::ptr_eq(back.as_ref().unwrap(), mine.as_ref().unwrap()));
                }
                caller.gc();
                mine
            })
            .unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        *store.data_mut() = Some(instance);
        let f = instance.get_typed_func::<(u32, Option<ExternRef>), Option<ExternRef>>(&mut store, "f").unwrap();
        let outer = live.make(99);
        assert!(f.call(&mut store, (20, Some(outer.clone()))).unwrap().is_some());
        store.gc();
        assert_eq!((live.count(), outer.strong_count()), (1, 1));
        drop((store, outer));
        assert_eq!(live.count(), 0);
    }
}

#[test]
fn what_the_guest_no_longer_uses_goes_at_the_next_collection() {
    let wat = r#"(module (import "" "gc" (func $gc (result i32))) (import "" "use" (func $use (param externref)))
        (func (export "f") (param $a externref) (param $b externref) (result i32 i32 i32)
            (call $gc)
            (call $use (local.get $a))
            (call $gc)
            (call $use (local.get $b))
            (call $gc)))"#;
    for (engine, _) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, wat).unwrap();
        let mut store = Store::new(&engine, live.clone());
        let gc = Func::wrap(&mut store, |mut caller: Caller<'_, Live>| {
            caller.gc();
            caller.data().count() as u32
        });
        let use_ = Func::wrap(&mut store, |reference: Option<ExternRef>| {
            reference.as_ref().map(id);
        });
        let f = Instance::new(&mut store, &module, &[gc.into(), use_.into()])
            .unwrap()
            .get_typed_func::<(Option<ExternRef>, Option<ExternRef>), (u32, u32, u32)>(&mut store, "f")
            .unwrap();
        assert_eq!(f.call(&mut store, (Some(live.make(1)), Some(live.make(2)))).unwrap(), (2, 1, 0));
        drop(store);
        assert_eq!(live.count(), 0);
    }
}

#[test]
fn arguments_of_a_call_from_the_host_survive_a_full_table() {
    let wat = r#"(module (import "" "fill" (func $fill))
        (func (export "outer") (call $fill))
        (func (export "inner") (param externref externref externref externref) (result externref externref externref)
            (local.get 0) (local.get 1) (local.get 3)))"#;
    type Four = (Option<ExternRef>, Option<ExternRef>, Option<ExternRef>, Option<ExternRef>);
    type Three = (Option<ExternRef>, Option<ExternRef>, Option<ExternRef>);
    for (engine, divisor) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, wat).unwrap();
        let mut store = Store::new(&engine, None::<Instance>);
        let makes = live.clone();
        let rounds = 10_000 / divisor.min(50);
        let fill = Func::wrap(&mut store, move |mut caller: Caller<'_, Option<Instance>>| {
            let inner = caller.data().unwrap().get_typed_func::<Four, Three>(&mut caller, "inner").unwrap();
            for round in 0..rounds {
                let make = |offset| Some(makes.make(4 * round + offset));
                let (a, b, d) = inner.call(&mut caller, (make(0), make(1), make(2), make(3))).unwrap();
                let ids = [a, b, d].map(|reference| id(&reference.unwrap()) - 4 * round);
                assert_eq!(ids, [0, 1, 3]);
            }
        });
        let instance = Instance::new(&mut store, &module, &[fill.into()]).unwrap();
        *store.data_mut() = Some(instance);
        instance.get_typed_func::<(), ()>(&mut store, "outer").unwrap().call(&mut store, ()).unwrap();
        assert!(live.count() <= 4096, "{} values are kept", live.count());
        drop(store);
        assert_eq!(live.count(), 0);
    }
}

#[test]
fn a_collection_on_another_thread_leaves_the_guests_frames_alone() {
    let wat = r#"(module (import "" "gc" (func $gc)) (import "" "use" (func $use (param externref)))
        (func (export "f") (param externref) (call $gc) (call $use (local.get 0))))"#;
    for (engine, _) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, wat).unwrap();
        let mut store = Store::new(&engine, ());
        let gc = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| {
            let mut context = caller.as_context_mut();
            std::thread::scope(|scope| scope.spawn(move || context.gc()).join().unwrap());
        });
        let use_ = Func::wrap(&mut store, |reference: Option<ExternRef>| assert_eq!(id(&reference.unwrap()), 5));
        let f = Instance::new(&mut store, &module, &[gc.into(), use_.into()])
            .unwrap()
            .get_typed_func::<Option<ExternRef>, ()>(&mut store, "f")
            .unwrap();
        f.call(&mut store, Some(live.make(5))).unwrap();
        drop(store);
        assert_eq!(live.count(), 0);
    }
}

#[test]
fn tail_calls_that_grow_and_shrink_the_frame_keep_references() {
    let params = (0..20).map(|i| format!("(param $p{i} externref)")).collect::<String>();
    let gets = (0..20).map(|i| format!("(local.get $p{i})")).collect::<String>();
    let wat = format!(
        r#"(module (import "" "gc" (func $gc)) (import "" "use" (func $use (param externref)))
        (func $wide {params} (param $n i32) (result externref)
            (call $gc)
            (call $use (local.get $p7))
            (if (i32.eqz (local.get $n)) (then (return (local.get $p19))))
            (return_call $narrow (local.get $p19) (i32.sub (local.get $n) (i32.const 1))))
        (func $narrow (param $p0 externref) (param $n i32) (result externref)
            (call $gc)
            (return_call $wide {narrow} (local.get $n)))
        (func (export "f") {params} (param $n i32) (result externref) (local $kept externref)
            (local.set $kept (local.get $p3))
            (call $use (call $wide {gets} (local.get $n)))
            (call $gc)
            (local.get $kept)))"#,
        narrow = "(local.get $p0)".repeat(20),
    );
    for (engine, _) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, &wat).unwrap();
        let mut store = Store::new(&engine, ());
        let gc = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| caller.gc());
        let use_ = Func::wrap(&mut store, |reference: Option<ExternRef>| {
            reference.as_ref().map(id);
        });
        let f = Instance::new(&mut store, &module, &[gc.into(), use_.into()]).unwrap();
        let f = f.get_func(&mut store, "f").unwrap();
        for n in 0..4 {
            let args: Vec<_> = (0..20).map(|i| live.make(i).into()).chain([n.into()]).collect();
            let mut results = [wasmscope::Val::I32(0)];
            f.call(&mut store, &args, &mut results).unwrap();
            assert_eq!(id(&results[0].unwrap_extern_ref().unwrap()), 3);
        }
        drop(store);
        assert_eq!(live.count(), 0);
    }
}

#[test]
fn a_reference_that_is_live_around_a_loop_keeps_its_slot() {
    // Found by `shuffle`: `$b` must not share a slot with what the call in the loop returns.
    let wat = r#"(module (import "" "gc" (func $gc)) (import "" "use" (func $use (param externref)))
        (table 1 externref)
        (func $same (param externref externref) (result externref) (call $gc) (local.get 0))
        (func (export "f") (param $a externref) (param $b externref) (param $n i32) (result externref)
            (loop $again
                (table.set (i32.const 0) (local.get $b))
                (local.set $a (call $same (local.get $a) (local.get $a)))
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (call $use (local.get $b))
            (table.set (i32.const 0) (ref.null extern))
            (call $gc)
            (local.get $a)))"#;
    for (engine, _) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, wat).unwrap();
        let mut store = Store::new(&engine, ());
        let gc = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| caller.gc());
        let use_ = Func::wrap(&mut store, |reference: Option<ExternRef>| assert_eq!(id(&reference.unwrap()), 2));
        let f = Instance::new(&mut store, &module, &[gc.into(), use_.into()])
            .unwrap()
            .get_typed_func::<(Option<ExternRef>, Option<ExternRef>, u32), Option<ExternRef>>(&mut store, "f")
            .unwrap();
        let a = f.call(&mut store, (Some(live.make(1)), Some(live.make(2)), 5)).unwrap().unwrap();
        assert_eq!(id(&a), 1);
        drop((store, a));
        assert_eq!(live.count(), 0);
    }
}
