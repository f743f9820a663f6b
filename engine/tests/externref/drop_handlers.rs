//! Drop handlers that do whatever host code may do.

use crate::{Live, engines};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use wasmscope::{Caller, ExternRef, Instance, Linker, Module, Store, TypedFunc};

const MODULE: &str = r#"(module
    (import "" "make" (func $make (param i32) (result externref)))
    (table (export "t") 8 externref)
    (global $g (mut externref) (ref.null extern))
    (func (export "overwrite") (param $n i32) (result externref) (local $mine externref)
        (local.set $mine (call $make (i32.const 0)))
        (loop $again
            (global.set $g (call $make (local.get $n)))
            (table.set (i32.const 1) (call $make (local.get $n)))
            (table.fill (i32.const 2) (call $make (local.get $n)) (i32.const 3))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $mine))
    (func (export "work") (result i32) (local $r externref)
        (local.set $r (call $make (i32.const 0)))
        (table.set (i32.const 5) (local.get $r))
        (table.set (i32.const 5) (ref.null extern))
        (ref.is_null (local.get $r))))"#;

struct Host {
    live: Live,
    instance: Option<Instance>,
}

thread_local! {
    /// The store whose guest runs.
    static STORE: Cell<*mut Store<Host>> = const { Cell::new(ptr::null_mut()) };
    /// How many drop handlers are running.
    static RUNNING: Cell<u32> = const { Cell::new(0) };
}

static RUN: AtomicU32 = AtomicU32::new(0);

/// A value whose drop handler collects, enters the guest of its own store, and makes further values.
struct Busy {
    _counted: ExternRef,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let store = STORE.get();
        // Each handler's own guest calls drop further values.
        if store.is_null() || RUNNING.get() >= 3 {
            return;
        }
        RUN.fetch_add(1, Ordering::Relaxed);
        RUNNING.set(RUNNING.get() + 1);
        // SAFETY: the store waits for the guest, or for the collection, that runs this handler, and is not used meanwhile.
        let store = unsafe { &mut *store };
        store.gc();
        let instance = store.data().instance.expect("instantiated");
        let work: TypedFunc<(), u32> = instance.get_typed_func(&mut *store, "work").unwrap();
        assert_eq!(work.call(&mut *store, ()).unwrap(), 0);
        let table = instance.get_table(&mut *store, "t").unwrap();
        table.grow(&mut *store, 1, ExternRef::new(()).into()).unwrap();
        store.gc();
        RUNNING.set(RUNNING.get() - 1);
    }
}

#[test]
fn a_drop_handler_may_collect_and_enter_the_guest_again() {
    for (engine, divisor) in engines() {
        let live = Live::default();
        let module = Module::new(&engine, MODULE).unwrap();
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("", "make", |caller: Caller<'_, Host>, n: u32| {
                let counted = caller.data().live.make(n);
                Some(if n.is_multiple_of(3) && n > 0 { ExternRef::new(Busy { _counted: counted }) } else { counted })
            })
            .unwrap();
        let store = Box::into_raw(Box::new(Store::new(&engine, Host { live: live.clone(), instance: None })));
        // SAFETY: from `Box::into_raw`; drop handlers use it while these calls wait for them.
        unsafe {
            let instance = linker.instantiate(&mut *store, &module).unwrap();
            (*store).data_mut().instance = Some(instance);
            STORE.set(store);
            let overwrite: TypedFunc<u32, Option<ExternRef>> =
                instance.get_typed_func(&mut *store, "overwrite").unwrap();
            assert!(overwrite.call(&mut *store, (600 / divisor).max(12)).unwrap().is_some());
            (*store).gc();
            STORE.set(ptr::null_mut());
            drop(Box::from_raw(store));
        }
        assert_eq!(live.count(), 0);
    }
    assert!(RUN.load(Ordering::Relaxed) > 100);
}

#[test]
fn a_drop_handler_may_use_another_store() {
    struct Other(Arc<Mutex<Store<()>>>, TypedFunc<u32, u32>, #[expect(dead_code, reason = "counts")] ExternRef);
    impl Drop for Other {
        fn drop(&mut self) {
            let mut store = self.0.lock().unwrap();
            assert_eq!(self.1.call(&mut *store, 20).unwrap(), 21);
            store.gc();
        }
    }
    for (engine, _) in engines() {
        let live = Live::default();
        let other = Arc::new(Mutex::new(Store::new(&engine, ())));
        let module = Module::new(
            &engine,
            r#"(module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))"#,
        );
        let f = {
            let mut other = other.lock().unwrap();
            Instance::new(&mut *other, &module.unwrap(), &[]).unwrap().get_typed_func(&mut *other, "f").unwrap()
        };
        let mut store = Store::new(&engine, Host { live: live.clone(), instance: None });
        let mut linker = Linker::new(&engine);
        let makes = live.clone();
        linker
            .func_wrap("", "make", move |n: u32| Some(ExternRef::new(Other(Arc::clone(&other), f, makes.make(n)))))
            .unwrap();
        let instance = linker.instantiate(&mut store, &Module::new(&engine, MODULE).unwrap()).unwrap();
        let overwrite: TypedFunc<u32, Option<ExternRef>> = instance.get_typed_func(&mut store, "overwrite").unwrap();
        overwrite.call(&mut store, 5).unwrap();
        drop(store);
        assert_eq!(live.count(), 0);
    }
}

#[test]
fn a_panic_of_a_drop_handler_reaches_the_host_and_the_store_goes_on() {
    struct Panics(bool, #[expect(dead_code, reason = "counts")] ExternRef);
    impl Drop for Panics {
        fn drop(&mut self) {
            if self.0 && !std::thread::panicking() {
                panic!("from a drop handler");
            }
        }
    }
    for (engine, _) in engines() {
        let live = Live::default();
        let mut store = Store::new(&engine, Host { live: live.clone(), instance: None });
        let mut linker = Linker::new(&engine);
        let makes = live.clone();
        linker
            .func_wrap("", "make", move |mut caller: Caller<'_, Host>, n: u32| {
                if n == 1 {
                    caller.gc();
                }
                Some(ExternRef::new(Panics(n == 3, makes.make(n))))
            })
            .unwrap();
        let instance = linker.instantiate(&mut store, &Module::new(&engine, MODULE).unwrap()).unwrap();
        let overwrite: TypedFunc<u32, Option<ExternRef>> = instance.get_typed_func(&mut store, "overwrite").unwrap();
        // Round 2 overwrites the values of round 3; the collection in round 1 drops them at the latest.
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(overwrite.call(&mut store, 4))));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"from a drop handler"));
        let work: TypedFunc<(), u32> = instance.get_typed_func(&mut store, "work").unwrap();
        assert_eq!(work.call(&mut store, ()).unwrap(), 0);
        // Code that collects at every safepoint drops them one by one: others of that round may be left.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(store)));
        drop(linker);
        assert_eq!(live.count(), 0);
    }
}
