//! The interface from outside: what a user sees of traps, limits, linking and references.

use super::*;
use crate::types::{FuncType, GlobalType, MemoryType, RefType, TableType, ValType};
use crate::{DebugInfo, OptLevel};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Engines whose code differs.
fn engines() -> Vec<Engine> {
    let engine = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::new();
        config.identity_map(false);
        change(&mut config);
        Engine::new(&config).unwrap()
    };
    vec![
        engine(&|_| ()),
        engine(&|config| {
            config.opt_level(OptLevel::None);
        }),
        engine(&|config| {
            config.debug_info(DebugInfo::Full).interruptible(true);
        }),
    ]
}

fn instance<T: 'static>(store: &mut Store<T>, wat: &str) -> Instance {
    let module = Module::new(&store.engine().clone(), wat).unwrap();
    Linker::new(store.engine()).instantiate(store, &module).unwrap()
}

#[track_caller]
fn trap_of<R>(result: Result<R>) -> Trap {
    match result {
        Ok(_) => panic!("expected a trap"),
        Err(error) => *error.downcast_ref::<Trap>().unwrap_or_else(|| panic!("expected a trap, got {error:?}")),
    }
}

fn func_names(error: &Error) -> Vec<String> {
    let frames = error.backtrace().expect("a backtrace").frames();
    frames.iter().map(|frame| frame.func_name.clone().unwrap()).collect()
}

#[test]
fn every_kind_of_value_passes_both_ways() {
    for engine in engines() {
        let module = Module::new(
            &engine,
            r#"(module
                (import "" "host" (func $host (param i32 i64 f32 f64 v128 externref funcref i32 i64)
                    (result i64 i32 f64 f32 v128 funcref externref i64 i32)))
                (func (export "f") (param i32 i64 f32 f64 v128 externref funcref i32 i64)
                    (result i64 i32 f64 f32 v128 funcref externref i64 i32)
                    (call $host (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
                        (local.get 5) (local.get 6) (local.get 7) (local.get 8))))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, ());
        type Refs = (Option<ExternRef>, Option<Func>);
        let host = Func::wrap(
            &mut store,
            |a: i32, b: i64, c: f32, d: f64, v: V128, e: Option<ExternRef>, f: Option<Func>, g: u32, h: u64| {
                (b, a, d, c, v, f, e, h, g)
            },
        );
        let f = Instance::new(&mut store, &module, &[host.into()]).unwrap().get_func(&mut store, "f").unwrap();
        let reference = ExternRef::new(7u8);
        let (e, func): Refs = (Some(reference.clone()), Some(host));
        let typed = f
            .typed::<(i32, i64, f32, f64, V128, Option<ExternRef>, Option<Func>, i32, u64), (
                i64,
                u32,
                f64,
                f32,
                V128,
                Option<Func>,
                Option<ExternRef>,
                i64,
                i32,
            )>(&store)
            .unwrap();
        let vector = V128(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        let (b, a, d, c, v, f2, e2, h, g) =
            typed.call(&mut store, (-1, i64::MIN, 1.5, -0.0, vector, e, func, 9, u64::MAX)).unwrap();
        assert_eq!((a, b, c, d, v, g, h), (u32::MAX, i64::MIN, 1.5, -0.0, vector, 9, -1));
        assert_eq!(f2, Some(host));
        assert!(ExternRef::ptr_eq(&e2.unwrap(), &reference));

        let ty = f.ty(&store);
        let params: Vec<Val> = ty.params.iter().map(|ty| Val::default_for(*ty)).collect();
        let mut results: Vec<Val> = ty.results.iter().map(|_| Val::I32(1)).collect();
        f.call(&mut store, &params, &mut results).unwrap();
        assert!(results.iter().map(Val::ty).eq(ty.results.iter().copied()));
        assert!(matches!(results[5], Val::FuncRef(None)));
        assert!(f.call(&mut store, &params[1..], &mut results).is_err());
        assert!(f.call(&mut store, &vec![Val::I32(0); params.len()], &mut results).is_err());
        assert!(f.typed::<i32, ()>(&store).is_err());
    }
}

#[test]
fn traps_name_their_cause_and_their_place() {
    let wat = r#"(module
        (memory 1) (table 2 funcref) (type $v (func)) (func $other (param i32)) (elem (i32.const 1) $other)
        (func $unreachable (export "unreachable") unreachable)
        (func $load (export "load") (drop (i64.load (i32.const 65529))))
        (func $store (export "store") (i32.store8 offset=4294967295 (i32.const 4294967295) (i32.const 0)))
        (func $div (export "div") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
        (func $min (export "min") (param i64) (result i64)
            (i64.div_s (i64.const 0x8000000000000000) (local.get 0)))
        (func $trunc (export "trunc") (param f32) (result i32) (i32.trunc_f32_s (local.get 0)))
        (func $null (export "null") (call_indirect (type $v) (i32.const 0)))
        (func $type (export "type") (call_indirect (type $v) (i32.const 1)))
        (func $bounds (export "bounds") (call_indirect (type $v) (i32.const 2)))
        (func $fill (export "fill") (memory.fill (i32.const 65530) (i32.const 0) (i32.const 7)))
        (func $atomic (export "atomic") (drop (i64.atomic.load (i32.const 4))))
        (func $rmw (export "rmw") (drop (i32.atomic.rmw.add (i32.const 2) (i32.const 1))))
        (func $outer (export "outer") call $unreachable))"#;
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instance(&mut store, wat);
        let mut expect = |name: &str, params: &[Val], trap, frames: &[&str]| {
            let func = instance.get_func(&mut store, name).unwrap();
            let mut results = vec![Val::I32(0); func.ty(&store).results.len()];
            let error = func.call(&mut store, params, &mut results).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&trap), "{name}");
            assert_eq!(func_names(&error), frames);
            assert!(error.backtrace().unwrap().frames().iter().all(|frame| frame.func_offset.is_some()), "{name}");
        };
        expect("unreachable", &[], Trap::UnreachableCodeReached, &["unreachable"]);
        expect("outer", &[], Trap::UnreachableCodeReached, &["unreachable", "outer"]);
        expect("load", &[], Trap::MemoryOutOfBounds, &["load"]);
        expect("store", &[], Trap::MemoryOutOfBounds, &["store"]);
        expect("div", &[Val::I32(0)], Trap::IntegerDivisionByZero, &["div"]);
        expect("min", &[Val::I64(-1)], Trap::IntegerOverflow, &["min"]);
        expect("min", &[Val::I64(0)], Trap::IntegerDivisionByZero, &["min"]);
        expect("trunc", &[f32::NAN.into()], Trap::BadConversionToInteger, &["trunc"]);
        expect("trunc", &[3e9f32.into()], Trap::IntegerOverflow, &["trunc"]);
        expect("null", &[], Trap::IndirectCallToNull, &["null"]);
        expect("type", &[], Trap::BadSignature, &["type"]);
        expect("bounds", &[], Trap::TableOutOfBounds, &["bounds"]);
        expect("fill", &[], Trap::MemoryOutOfBounds, &["fill"]);
        expect("atomic", &[], Trap::HeapMisaligned, &["atomic"]);
        expect("rmw", &[], Trap::HeapMisaligned, &["rmw"]);
    }
}

#[test]
fn runaway_recursion_traps_on_any_thread_and_the_guest_can_go_on() {
    let wat = r#"(module
        (func $r (export "r") (param i64 i64) (result i64)
            (i64.add (call $r (i64.add (local.get 0) (i64.const 1)) (local.get 1)) (local.get 1)))
        (func (export "ok") (result i32) (i32.const 1)))"#;
    for engine in engines() {
        let run = || {
            let mut store = Store::new(&engine, ());
            let instance = instance(&mut store, wat);
            let r = instance.get_typed_func::<(i64, i64), i64>(&mut store, "r").unwrap();
            for _ in 0..3 {
                let error = r.call(&mut store, (0, 0)).unwrap_err();
                assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
                let backtrace = error.backtrace().unwrap();
                assert!(backtrace.frames().len() + backtrace.omitted() > 1000);
                assert!(backtrace.to_string().contains("more"));
            }
            assert_eq!(instance.get_typed_func::<(), i32>(&mut store, "ok").unwrap().call(&mut store, ()).unwrap(), 1);
        };
        run();
        std::thread::scope(|scope| {
            std::thread::Builder::new().stack_size(512 << 10).spawn_scoped(scope, run).unwrap().join().unwrap();
        });
    }
}

#[test]
fn recursion_through_the_host_is_bounded() {
    let engine = Engine::default();
    let module =
        Module::new(&engine, r#"(module (import "" "again" (func $again)) (func (export "f") (call $again)))"#)
            .unwrap();
    let mut store = Store::new(&engine, None::<TypedFunc<(), ()>>);
    let again = Func::wrap(&mut store, |mut caller: Caller<'_, Option<TypedFunc<(), ()>>>| {
        let f = caller.data().unwrap();
        f.call(&mut caller, ())
    });
    let instance = Instance::new(&mut store, &module, &[again.into()]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    *store.data_mut() = Some(f);
    assert_eq!(trap_of(f.call(&mut store, ())), Trap::StackOverflow);
}

#[test]
fn a_trap_in_a_nested_guest_unwinds_exactly_its_part() {
    for engine in engines() {
        let module = Module::new(
            &engine,
            r#"(module
                (import "" "host" (func $host (param i32) (result i32)))
                (func $trapping (export "trapping") unreachable)
                (func $outer (export "outer") (param i32) (result i32)
                    (i32.add (i32.const 100) (call $host (local.get 0)))))"#,
        )
        .unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        struct CountsDrop(Arc<AtomicUsize>);
        impl Drop for CountsDrop {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut linker = Linker::<()>::new(&engine);
        let count = Arc::clone(&dropped);
        linker
            .func_wrap("", "host", move |mut caller: Caller<'_, ()>, swallow: i32| -> Result<i32> {
                let _guard = CountsDrop(Arc::clone(&count));
                let trapping = caller.get_export("trapping").unwrap().into_func().unwrap();
                let error = trapping.call(&mut caller, &[], &mut []).unwrap_err();
                assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::UnreachableCodeReached));
                assert_eq!(func_names(&error), ["trapping", "outer"]);
                let here = WasmBacktrace::capture(&caller);
                assert_eq!(here.frames()[0].func_name.as_deref(), Some("outer"));
                if swallow == 1 { Ok(5) } else { Err(error) }
            })
            .unwrap();
        let mut store = Store::new(&engine, ());
        let outer =
            linker.instantiate(&mut store, &module).unwrap().get_typed_func::<i32, i32>(&mut store, "outer").unwrap();
        assert_eq!(outer.call(&mut store, 1).unwrap(), 105);
        let error = outer.call(&mut store, 0).unwrap_err();
        assert_eq!(func_names(&error), ["trapping", "outer"], "the inner backtrace is kept");
        assert_eq!(dropped.load(Ordering::Relaxed), 2, "the host function's frame is unwound as Rust code");
        assert_eq!(outer.call(&mut store, 1).unwrap(), 105);
    }
}

#[test]
fn errors_of_host_functions_come_back_as_they_are() {
    #[derive(Debug, thiserror::Error)]
    #[error("my own error {0}")]
    struct Own(u32);
    let engine = Engine::default();
    let module =
        Module::new(&engine, r#"(module (import "" "fail" (func $fail)) (func $f (export "f") call $fail))"#).unwrap();
    let mut store = Store::new(&engine, ());
    let fail = Func::wrap(&mut store, || -> Result<()> { Err(Error::new(Own(3)).context("outer")) });
    let instance = Instance::new(&mut store, &module, &[fail.into()]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let error = f.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref::<Own>().unwrap().0, 3);
    assert_eq!(format!("{error:#}"), "outer: my own error 3");
    assert_eq!(func_names(&error), ["f"]);
    assert!(error.is::<WasmBacktrace>());
    assert!(format!("{error:?}").contains("<unknown>!f"));
    // The host calls a host function: no guest, no backtrace.
    let error = fail.call(&mut store, &[], &mut []).unwrap_err();
    assert!(error.is::<Own>() && error.backtrace().is_none());
}

#[test]
fn panics_of_host_functions_pass_through_the_guest() {
    let engine = Engine::default();
    let module = Module::new(&engine, r#"(module (import "" "p" (func $p)) (func (export "f") call $p))"#).unwrap();
    let mut store = Store::new(&engine, ());
    let p = Func::wrap(&mut store, || -> () { std::panic::resume_unwind(Box::new("payload")) });
    let instance = Instance::new(&mut store, &module, &[p.into()]).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    for _ in 0..2 {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f.call(&mut store, ()))).unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "payload");
    }
}

#[test]
fn two_stores_nest() {
    let engine = Engine::default();
    let inner_module = Module::new(&engine, r#"(module (func (export "f") (param i32) (unreachable)))"#).unwrap();
    let outer_module =
        Module::new(&engine, r#"(module (import "" "h" (func $h)) (func $f (export "f") call $h unreachable))"#)
            .unwrap();
    let mut outer = Store::new(&engine, ());
    let h = Func::wrap(&mut outer, move || {
        let mut inner = Store::new(inner_module.engine(), ());
        let f = Instance::new(&mut inner, &inner_module, &[]).unwrap();
        let f = f.get_typed_func::<i32, ()>(&mut inner, "f").unwrap();
        assert_eq!(trap_of(f.call(&mut inner, 1)), Trap::UnreachableCodeReached);
    });
    let instance = Instance::new(&mut outer, &outer_module, &[h.into()]).unwrap();
    let error = instance.get_typed_func::<(), ()>(&mut outer, "f").unwrap().call(&mut outer, ()).unwrap_err();
    assert_eq!(func_names(&error), ["f"]);
}

#[test]
fn an_interruption_ends_loops_calls_and_waits() {
    let engine = Engine::new(Config::new().interruptible(true)).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = instance(
        &mut store,
        r#"(module (memory 1 1 shared)
            (func (export "spin") (loop (br 0)))
            (func (export "wait") (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
            (func (export "ok")))"#,
    );
    for name in ["spin", "wait"] {
        let handle = store.interrupt_handle().unwrap();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            handle.interrupt();
        });
        let f = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
        assert_eq!(trap_of(f.call(&mut store, ())), Trap::Interrupt);
        thread.join().unwrap();
        // Served: the next call runs.
        instance.get_typed_func::<(), ()>(&mut store, "ok").unwrap().call(&mut store, ()).unwrap();
    }
    assert!(Store::new(&Engine::default(), ()).interrupt_handle().is_err());
}

#[test]
fn memory_grows_to_its_maximum_and_to_the_stores_limit() {
    for engine in engines() {
        let wat = r#"(module (memory (export "m") 1 5)
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1))))"#;
        let mut store = Store::new(&engine, ());
        store.set_limits(StoreLimitsBuilder::new().memory_size(4 << 16).build());
        let instance = instance(&mut store, wat);
        let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
        let peek = instance.get_typed_func::<i32, i32>(&mut store, "peek").unwrap();
        let poke = instance.get_typed_func::<(i32, i32), ()>(&mut store, "poke").unwrap();
        poke.call(&mut store, (65535, 7)).unwrap();
        assert_eq!(trap_of(peek.call(&mut store, 65536)), Trap::MemoryOutOfBounds);
        assert_eq!(grow.call(&mut store, 2).unwrap(), 1);
        assert_eq!(peek.call(&mut store, 65536).unwrap(), 0);
        assert_eq!(peek.call(&mut store, 65535).unwrap(), 7);
        assert_eq!(grow.call(&mut store, 2).unwrap(), -1, "the limit");
        assert_eq!(grow.call(&mut store, -1).unwrap(), -1);
        assert_eq!(grow.call(&mut store, 0).unwrap(), 3);
        store.set_limits(StoreLimits::default());
        assert_eq!(grow.call(&mut store, 3).unwrap(), -1, "the maximum");
        assert_eq!(grow.call(&mut store, 2).unwrap(), 3);
        let memory = instance.get_memory(&mut store, "m").unwrap();
        assert_eq!((memory.size(&store), memory.data_size(&store)), (5, 5 << 16));
        assert!(memory.grow(&mut store, 1).is_err());
        store.set_limits(StoreLimitsBuilder::new().trap_on_grow_failure(true).build());
        assert!(grow.call(&mut store, 1).is_err());
    }
}

#[test]
fn memories_that_move_keep_their_contents() {
    // Without a reservation, code checks bounds and reloads the base.
    let engine = Engine::new(Config::new().memory_reservation(1 << 16).memory_guard_size(1 << 16)).unwrap();
    for index in ["i32", "i64"] {
        let memory = if index == "i64" { "(memory i64 1)" } else { "(memory 1)" };
        let wat = format!(
            r#"(module {memory}
            (func (export "grow") (param {index}) (result {index}) (memory.grow (local.get 0)))
            (func (export "peek") (param {index}) (result i32) (i32.load (local.get 0)))
            (func (export "poke") (param {index} i32) (i32.store (local.get 0) (local.get 1))))"#
        );
        let mut store = Store::new(&engine, ());
        let instance = instance(&mut store, &wat);
        let mut call = |name: &str, params: &[i64]| -> Result<i64> {
            let func = instance.get_func(&mut store, name).unwrap();
            let ty = func.ty(&store);
            let params: Vec<Val> = params
                .iter()
                .zip(&ty.params)
                .map(|(n, ty)| if *ty == ValType::I32 { Val::I32(*n as i32) } else { Val::I64(*n) })
                .collect();
            let mut results = vec![Val::I32(0); ty.results.len()];
            func.call(&mut store, &params, &mut results)?;
            Ok(match results.first() {
                Some(Val::I32(n)) => i64::from(*n),
                Some(Val::I64(n)) => *n,
                _ => 0,
            })
        };
        call("poke", &[65532, 77]).unwrap();
        assert_eq!(trap_of(call("peek", &[65533])), Trap::MemoryOutOfBounds);
        for pages in 1..20 {
            assert_eq!(call("grow", &[1]).unwrap(), pages);
            assert_eq!(call("peek", &[65532]).unwrap(), 77);
            call("poke", &[(pages + 1) * 65536 - 4, 1]).unwrap();
            assert_eq!(trap_of(call("peek", &[(pages + 1) * 65536 - 3])), Trap::MemoryOutOfBounds);
        }
    }
}

#[test]
fn absurd_declarations_are_refused() {
    let engine = Engine::default();
    for wat in ["(module (memory i64 0x1000000000000))", "(module (table 4000000000 funcref))"] {
        // Some are refused as invalid already.
        let result = Module::new(&engine, wat).and_then(|it| Instance::new(Store::new(&engine, ()), &it, &[]));
        assert!(result.is_err(), "{wat}");
    }
    let mut store = Store::new(&engine, ());
    store.set_limits(StoreLimitsBuilder::new().instances(1).tables(0).table_elements(5).build());
    let empty = Module::new(&engine, "(module)").unwrap();
    assert!(Instance::new(&mut store, &Module::new(&engine, "(module (table 1 funcref))").unwrap(), &[]).is_err());
    Instance::new(&mut store, &empty, &[]).unwrap();
    assert!(Instance::new(&mut store, &empty, &[]).is_err());
}

#[test]
fn a_limiter_is_asked_before_anything_is_made() {
    #[derive(Default)]
    struct Log(Vec<String>);
    impl ResourceLimiter for Log {
        fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
            self.0.push(format!("memory {current} {desired} {maximum:?}"));
            if desired == 7 << 16 { Err(Error::msg("seven is too much")) } else { Ok(desired <= 8 << 16) }
        }
        fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
            self.0.push(format!("memory failed: {error}"));
            Ok(())
        }
        fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
            self.0.push(format!("table {current} {desired} {maximum:?}"));
            Ok(desired <= 20)
        }
        fn table_grow_failed(&mut self, error: Error) -> Result<()> {
            Err(error.context("the table"))
        }
        fn instances(&self) -> usize {
            2
        }
    }
    let engine = Engine::default();
    let mut store = Store::new(&engine, Log::default());
    store.limiter(|log| log);
    let wat = r#"(module (memory (export "m") 1 6) (table (export "t") 3 12 funcref)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "grow-table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;
    let found = instance(&mut store, wat);
    assert_eq!(std::mem::take(&mut store.data_mut().0), ["memory 0 65536 Some(393216)", "table 0 3 Some(12)"]);
    let grow = found.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
    let grow_table = found.get_typed_func::<i32, i32>(&mut store, "grow-table").unwrap();
    assert_eq!(grow.call(&mut store, 1).unwrap(), 1);
    assert_eq!(grow.call(&mut store, 0).unwrap(), 2);
    assert_eq!(grow.call(&mut store, 9).unwrap(), -1);
    assert_eq!(grow.call(&mut store, 6).unwrap(), -1, "allowed, but above the maximum");
    assert_eq!(grow.call(&mut store, 5).unwrap_err().to_string(), "seven is too much");
    assert_eq!(grow_table.call(&mut store, 4).unwrap(), 3);
    assert_eq!(grow_table.call(&mut store, 90).unwrap(), -1);
    assert_eq!(grow_table.call(&mut store, 10).unwrap_err().to_string(), "the table");
    let log = std::mem::take(&mut store.data_mut().0);
    assert_eq!(
        log[..3],
        ["memory 65536 131072 Some(393216)", "memory 131072 720896 Some(393216)", "memory 131072 524288 Some(393216)"]
    );
    assert!(log[3].starts_with("memory failed: "), "{log:?}");
    // The host's own requests are asked about as well.
    let memory = found.get_memory(&mut store, "m").unwrap();
    assert!(memory.grow(&mut store, 20).is_err());
    let big = MemoryType { minimum: 9, maximum: None, shared: false, memory64: false, page_size_log2: 16 };
    assert!(Memory::new(&mut store, big).unwrap_err().to_string().contains("resource limit"));
    let ty = TableType { element: RefType::FUNCREF, minimum: 21, maximum: None, table64: false };
    assert!(Table::new(&mut store, ty, Val::FuncRef(None)).is_err());
    instance(&mut store, "(module)");
    let third = Module::new(&engine, "(module)").unwrap();
    assert!(Instance::new(&mut store, &third, &[]).unwrap_err().to_string().contains("instances limit of 2"));
}

#[test]
fn types_of_recursion_groups_are_told_apart_where_they_are_called() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        // $a and $b have the same parameters, but are members of different groups.
        let provider = instance(
            &mut store,
            r#"(module (rec (type $a (func (param i32) (result i32))) (type (func (param (ref null $a)))))
                (func (export "f") (type $a) (i32.mul (local.get 0) (i32.const 3)))
                (type $self (func (param (ref null $self)) (result i32)))
                (func (export "self") (type $self) (i32.const 7)))"#,
        );
        let mut linker = Linker::new(&engine);
        linker.instance(&mut store, "p", provider).unwrap();
        let same = r#"(module (rec (type $x (func (param i32) (result i32))) (type (func (param (ref null $x)))))
            (type $b (func (param i32) (result i32)))
            (type $own (func (param (ref null $own)) (result i32)))
            (import "p" "f" (func $f (type $x))) (import "p" "self" (func $self (type $own)))
            (table 2 funcref) (elem (i32.const 0) $f $self)
            (func (export "right") (result i32) (call_indirect (type $x) (i32.const 5) (i32.const 0)))
            (func (export "wrong") (result i32) (call_indirect (type $b) (i32.const 5) (i32.const 0)))
            (func (export "own") (result i32) (call_indirect (type $own) (ref.null $own) (i32.const 1))))"#;
        let module = Module::new(&engine, same).unwrap();
        let found = linker.instantiate(&mut store, &module).unwrap();
        let mut call = |name| found.get_typed_func::<(), i32>(&mut store, name).unwrap().call(&mut store, ());
        assert_eq!(call("right").unwrap(), 15);
        assert_eq!(trap_of(call("wrong")), Trap::BadSignature);
        assert_eq!(call("own").unwrap(), 7);
        let other = r#"(module (type $b (func (param i32) (result i32))) (import "p" "f" (func (type $b))))"#;
        assert!(linker.instantiate(&mut store, &Module::new(&engine, other).unwrap()).is_err());
        // The host calls through the trampoline of the equal-looking type.
        let f = provider.get_typed_func::<i32, i32>(&mut store, "f").unwrap();
        assert_eq!(f.call(&mut store, 4).unwrap(), 12);
    }
}

#[test]
fn debug_sections_may_come_before_what_is_needed() {
    // A custom section between the header and the rest moves every offset.
    let plain = wat::parse_str(
        r#"(module (memory (export "m") 1) (data (i32.const 3) "hello") (data $p "xyz")
            (func $f (export "f") (memory.init $p (i32.const 0) (i32.const 0) (i32.const 3)) unreachable))"#,
    )
    .unwrap();
    let section = |name: &str, size: usize| {
        let mut bytes = vec![0, (1 + name.len() + size) as u8, name.len() as u8];
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len() + size, 0xaa);
        bytes
    };
    let shifted =
        [&plain[..8], &section(".debug_odd", 40), &section("kept", 9), &section(".debug_more", 3), &plain[8..]]
            .concat();
    let offset_of = |error: &Error| error.backtrace().unwrap().frames()[0].module_offset.unwrap() as usize;
    for engine in engines() {
        let mut offsets = Vec::new();
        for wasm in [&plain, &shifted] {
            let mut store = Store::new(&engine, ());
            let module = Module::new(&engine, wasm).unwrap();
            let found = Instance::new(&mut store, &module, &[]).unwrap();
            let f = found.get_typed_func::<(), ()>(&mut store, "f").unwrap();
            offsets.push(offset_of(&f.call(&mut store, ()).unwrap_err()));
            let memory = found.get_memory(&mut store, "m").unwrap();
            assert_eq!(&memory.data(&store)[..8], b"xyzhello");
            // SAFETY: just made.
            let again = unsafe { Module::deserialize(&engine, module.serialize()) }.unwrap();
            let found = Instance::new(&mut store, &again, &[]).unwrap();
            let memory = found.get_memory(&mut store, "m").unwrap();
            assert_eq!(&memory.data(&store)[3..8], b"hello");
        }
        assert_eq!(offsets[1] - offsets[0], shifted.len() - plain.len(), "offsets are those of the file");
    }
}

#[test]
fn imports_are_matched_by_type() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let provider = instance(
        &mut store,
        r#"(module
            (func (export "f") (param i32)) (global (export "g") i32 (i32.const 1))
            (global (export "mg") (mut i32) (i32.const 1))
            (memory (export "m") 2 4) (table (export "t") 10 funcref))"#,
    );
    let mut linker = Linker::new(&engine);
    linker.instance(&mut store, "p", provider).unwrap();
    let fits = [
        r#"(func (param i32))"#,
        "(global i32)",
        "(global (mut i32))",
        "(memory 1 4)",
        "(memory 2)",
        "(table 10 funcref)",
    ];
    for (name, import) in ["f", "g", "mg", "m", "m", "t"].iter().zip(fits) {
        let module = Module::new(&engine, format!(r#"(module (import "p" "{name}" {import}))"#)).unwrap();
        linker.instantiate(&mut store, &module).unwrap_or_else(|error| panic!("{name} {import}: {error}"));
    }
    let misfits = [
        ("f", "(func)"),
        ("f", "(memory 1)"),
        ("g", "(global (mut i32))"),
        ("g", "(global i64)"),
        ("mg", "(global i32)"),
        ("m", "(memory 3)"),
        ("m", "(memory 1 3)"),
        ("m", "(memory 2 4 shared)"),
        ("t", "(table 11 funcref)"),
        ("t", "(table 1 20 funcref)"),
        ("t", "(table 1 externref)"),
    ];
    for (name, import) in misfits {
        let module = Module::new(&engine, format!(r#"(module (import "p" "{name}" {import}))"#)).unwrap();
        let error = linker.instantiate(&mut store, &module).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(LinkError::IncompatibleImport { .. })), "{name} {import}: {error}");
    }
    let module = Module::new(&engine, r#"(module (import "p" "none" (func)))"#).unwrap();
    let error = linker.instantiate(&mut store, &module).unwrap_err();
    assert_eq!(error.to_string(), "unknown import: `p::none` has not been defined");
    let mut other = Store::new(&engine, ());
    let module = Module::new(&engine, r#"(module (import "p" "f" (func (param i32))))"#).unwrap();
    assert!(matches!(
        linker.instantiate(&mut other, &module).unwrap_err().downcast_ref(),
        Some(LinkError::WrongStore(_))
    ));
    assert!(linker.instance(&mut store, "p", provider).is_err());
}

#[test]
fn segments_apply_in_order_and_a_trap_keeps_what_was_written() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let ty = MemoryType { minimum: 1, maximum: None, shared: false, memory64: false, page_size_log2: 16 };
    let memory = Memory::new(&mut store, ty).unwrap();
    let module = Module::new(
        &engine,
        r#"(module (memory (import "" "m") 1)
            (data (i32.const 0) "ab") (data (i32.const 1) "c") (data (i32.const 65535) "too long"))"#,
    )
    .unwrap();
    let result = Instance::new(&mut store, &module, &[memory.into()]);
    assert_eq!(trap_of(result), Trap::MemoryOutOfBounds);
    assert_eq!(memory.data(&store)[..3], *b"ac\0");
}

#[test]
fn the_start_function_runs_at_instantiation() {
    let engine = Engine::default();
    let module = Module::new(&engine, r#"(module (import "" "h" (func $h)) (func $s (call $h)) (start $s))"#).unwrap();
    let mut store = Store::new(&engine, 0);
    let h = Func::wrap(&mut store, |mut caller: Caller<'_, i32>| *caller.data_mut() += 1);
    Instance::new(&mut store, &module, &[h.into()]).unwrap();
    assert_eq!(*store.data(), 1);
    let imported = Module::new(&engine, r#"(module (import "" "h" (func $h)) (start $h))"#).unwrap();
    Instance::new(&mut store, &imported, &[h.into()]).unwrap();
    assert_eq!(*store.data(), 2);
}

#[test]
fn tables_hold_functions_of_host_and_guest() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        // Made before any module of the store has its type.
        let host = Func::wrap(&mut store, |n: i32| n + 1000);
        let ty = TableType { element: RefType::FUNCREF, minimum: 2, maximum: Some(6), table64: false };
        let table = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap();
        table.set(&mut store, 0, host.into()).unwrap();
        let module = Module::new(
            &engine,
            r#"(module (table $t (import "" "t") 2 funcref) (type $f (func (param i32) (result i32)))
                (func $own (type $f) (i32.mul (local.get 0) (i32.const 2)))
                (elem declare func $own)
                (func (export "set") (table.set $t (i32.const 1) (ref.func $own)))
                (func (export "grow") (result i32) (table.grow $t (ref.func $own) (i32.const 3)))
                (func (export "call") (param i32 i32) (result i32)
                    (call_indirect $t (type $f) (local.get 1) (local.get 0))))"#,
        )
        .unwrap();
        let instance = Instance::new(&mut store, &module, &[table.into()]).unwrap();
        instance.get_typed_func::<(), ()>(&mut store, "set").unwrap().call(&mut store, ()).unwrap();
        let call = instance.get_typed_func::<(i32, i32), i32>(&mut store, "call").unwrap();
        assert_eq!(call.call(&mut store, (0, 5)).unwrap(), 1005);
        assert_eq!(call.call(&mut store, (1, 5)).unwrap(), 10);
        assert_eq!(trap_of(call.call(&mut store, (2, 5))), Trap::TableOutOfBounds);
        let grow = instance.get_typed_func::<(), i32>(&mut store, "grow").unwrap();
        assert_eq!(grow.call(&mut store, ()).unwrap(), 2);
        assert_eq!(grow.call(&mut store, ()).unwrap(), -1);
        assert_eq!(call.call(&mut store, (4, 5)).unwrap(), 10);
        let own = table.get(&mut store, 1).unwrap().unwrap_func_ref().unwrap();
        assert_eq!(own.typed::<i32, i32>(&store).unwrap().call(&mut store, 4).unwrap(), 8);
        assert!(table.set(&mut store, 9, Val::FuncRef(None)).is_err());
        assert!(table.set(&mut store, 0, Val::ExternRef(None)).is_err());
        assert!(table.get(&mut store, 9).is_none());
    }
}

#[test]
fn globals_are_shared_by_their_importers() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let ty = GlobalType { content: ValType::I64, mutable: true };
    let global = Global::new(&mut store, ty, Val::I64(5)).unwrap();
    let module = Module::new(
        &engine,
        r#"(module (global $g (import "" "g") (mut i64)) (global (export "v") v128 (v128.const i64x2 1 2))
            (func (export "inc") (global.set $g (i64.add (global.get $g) (i64.const 1)))))"#,
    )
    .unwrap();
    let instance = Instance::new(&mut store, &module, &[global.into()]).unwrap();
    instance.get_typed_func::<(), ()>(&mut store, "inc").unwrap().call(&mut store, ()).unwrap();
    assert_eq!(global.get(&mut store).unwrap_i64(), 6);
    global.set(&mut store, Val::I64(-9)).unwrap();
    assert!(global.set(&mut store, Val::I32(1)).is_err());
    let v = instance.get_global(&mut store, "v").unwrap();
    assert_eq!(v.get(&mut store).unwrap_v128(), V128(1 | 2 << 64));
    assert!(v.set(&mut store, Val::V128(V128(0))).is_err());
}

#[test]
fn host_values_live_while_the_guest_can_reach_them() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    for engine in engines() {
        let live = Arc::new(AtomicUsize::new(0));
        let new = |live: &Arc<AtomicUsize>| {
            live.fetch_add(1, Ordering::Relaxed);
            ExternRef::new(Counted(Arc::clone(live)))
        };
        let module = Module::new(
            &engine,
            r#"(module (import "" "gc" (func $gc)) (import "" "use" (func $use (param externref)))
                (table 4 externref) (global $g (mut externref) (ref.null extern))
                (func (export "table") (param i32 externref) (table.set (local.get 0) (local.get 1)))
                (func (export "global") (param externref) (global.set $g (local.get 0)))
                (func (export "local") (param externref) (local externref)
                    (local.set 1 (local.get 0)) (call $gc) (call $use (local.get 1)))
                (func (export "drop") (param externref)))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, ());
        let gc = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| caller.gc());
        let seen = Arc::clone(&live);
        let use_ = Func::wrap(&mut store, move |reference: Option<ExternRef>| {
            let value = reference.unwrap();
            assert!(Arc::ptr_eq(&value.downcast_ref::<Counted>().unwrap().0, &seen));
        });
        let instance = Instance::new(&mut store, &module, &[gc.into(), use_.into()]).unwrap();
        let table = instance.get_typed_func::<(i32, Option<ExternRef>), ()>(&mut store, "table").unwrap();
        let one =
            |store: &mut Store<()>, name: &str| instance.get_typed_func::<Option<ExternRef>, ()>(store, name).unwrap();
        let (global, local, drop_) = (one(&mut store, "global"), one(&mut store, "local"), one(&mut store, "drop"));
        table.call(&mut store, (1, Some(new(&live)))).unwrap();
        global.call(&mut store, Some(new(&live))).unwrap();
        local.call(&mut store, Some(new(&live))).unwrap();
        drop_.call(&mut store, Some(new(&live))).unwrap();
        store.gc();
        assert_eq!(live.load(Ordering::Relaxed), 2, "the table's and the global's");
        table.call(&mut store, (1, None)).unwrap();
        store.gc();
        assert_eq!(live.load(Ordering::Relaxed), 1);
        for _ in 0..20_000 {
            drop_.call(&mut store, Some(new(&live))).unwrap();
            assert!(live.load(Ordering::Relaxed) < 10_000, "values that are passed in are collected by and by");
        }
        drop(store);
        assert_eq!(live.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn threads_wait_and_notify_through_shared_memory() {
    let engine = Engine::default();
    let ty = MemoryType { minimum: 1, maximum: Some(2), shared: true, memory64: false, page_size_log2: 16 };
    let memory = SharedMemory::new(&engine, ty).unwrap();
    let module = Module::new(
        &engine,
        r#"(module (memory (import "" "m") 1 2 shared) (export "m" (memory 0))
            (func (export "wait") (param i32 i64) (result i32)
                (memory.atomic.wait32 (i32.const 8) (local.get 0) (local.get 1)))
            (func (export "notify") (param i32) (result i32) (memory.atomic.notify (i32.const 8) (local.get 0)))
            (func (export "misaligned") (result i32) (memory.atomic.notify (i32.const 2) (i32.const 1)))
            (func (export "outside") (result i32) (memory.atomic.wait32 (i32.const 65536) (i32.const 0) (i64.const 0)))
            (func (export "grow") (result i32) (memory.grow (i32.const 1))))"#,
    )
    .unwrap();
    let run = |name: &str, params: &[Val]| {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
        let mut results = [Val::I32(0)];
        let result = instance.get_func(&mut store, name).unwrap().call(&mut store, params, &mut results);
        result.map(|()| results[0].unwrap_i32())
    };
    let start = Instant::now();
    assert_eq!(run("wait", &[Val::I32(1), Val::I64(-1)]).unwrap(), 1);
    assert_eq!(run("wait", &[Val::I32(0), Val::I64(20_000_000)]).unwrap(), 2);
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(trap_of(run("misaligned", &[])), Trap::HeapMisaligned);
    assert_eq!(trap_of(run("outside", &[])), Trap::MemoryOutOfBounds);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| run("wait", &[Val::I32(0), Val::I64(-1)]).unwrap());
        while run("notify", &[Val::I32(1)]).unwrap() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(waiter.join().unwrap(), 0);
    });
    assert_eq!(run("grow", &[]).unwrap(), 1);
    assert_eq!(run("grow", &[]).unwrap(), -1);
    assert_eq!(memory.size(), 2);
    let mut store = Store::new(&engine, ());
    let unshared = instance(
        &mut store,
        r#"(module (memory 1) (func (export "f") (result i32)
            (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0))))"#,
    );
    let f = unshared.get_typed_func::<(), i32>(&mut store, "f").unwrap();
    assert_eq!(trap_of(f.call(&mut store, ())), Trap::AtomicWaitNonSharedMemory);
}

#[test]
fn an_artifact_runs_as_the_module_it_was_made_from() {
    let wat = r#"(module (memory 1) (data (i32.const 3) "\2a") (data $p "\07")
        (func $f (export "f") (result i32)
            (memory.init $p (i32.const 4) (i32.const 0) (i32.const 1))
            (i32.load16_u (i32.const 3)))
        (func $t (export "t") unreachable))"#;
    for engine in engines() {
        let artifact = Module::new(&engine, wat).unwrap().serialize().to_vec();
        // SAFETY: just made.
        let module = unsafe { Module::deserialize(&engine, artifact.clone()) }.unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let f = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
        assert_eq!(f.call(&mut store, ()).unwrap(), 0x072a);
        let t = instance.get_typed_func::<(), ()>(&mut store, "t").unwrap();
        assert_eq!(func_names(&t.call(&mut store, ()).unwrap_err()), ["t"]);
        let other = Engine::new(Config::new().memory_guard_size(1 << 16)).unwrap();
        // SAFETY: just made.
        let error = unsafe { Module::deserialize(&other, artifact) }.unwrap_err();
        assert!(error.to_string().contains("guard"), "{error}");
    }
}

#[test]
fn custom_handlers_still_see_the_hosts_faults() {
    // In a child process: the handler that was there before ours gets the fault, and ends it with a code of its own.
    if std::env::var_os("WASMSCOPE_FAULT_TEST").is_some() {
        extern "C" fn previous(_: libc::c_int) {
            // SAFETY: ends the process.
            unsafe { libc::_exit(42) };
        }
        // SAFETY: a valid handler.
        unsafe { libc::signal(libc::SIGSEGV, previous as *const () as libc::sighandler_t) };
        {
            let engine = Engine::default();
            let mut store = Store::new(&engine, ());
            let module =
                Module::new(&engine, r#"(module (import "" "h" (func $h)) (func (export "f") call $h))"#).unwrap();
            let h = Func::wrap(&mut store, || {
                // SAFETY: not at all: this faults.
                unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) }
            });
            let instance = Instance::new(&mut store, &module, &[h.into()]).unwrap();
            let _ = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap().call(&mut store, ());
        }
        return;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "api::tests::custom_handlers_still_see_the_hosts_faults", "--test-threads=1"])
        .env("WASMSCOPE_FAULT_TEST", "1")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(42));
}

/// Runs a test of this module again in a process of its own, with a variable set that tells it so.
fn again_in_a_child(test: &str, variable: &str) -> std::process::Output {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("api::tests::{test}"), "--test-threads=1", "--nocapture"])
        .env(variable, "1")
        .output()
        .unwrap()
}

#[test]
fn a_host_function_that_uses_up_its_stack_is_no_trap() {
    // The standard library's handler, which was there before ours, recognizes the guard page and ends the process.
    const VARIABLE: &str = "WASMSCOPE_HOST_STACK_TEST";
    if std::env::var_os(VARIABLE).is_none() {
        let output = again_in_a_child("a_host_function_that_uses_up_its_stack_is_no_trap", VARIABLE);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(libc::SIGABRT), "{stderr}");
        assert!(stderr.contains("has overflowed its stack"), "{stderr}");
        return;
    }
    #[allow(unconditional_recursion, reason = "this is what is tested")]
    fn deep(n: u64) -> u64 {
        std::hint::black_box([n; 64])[3] + deep(n + 1)
    }
    let engine = Engine::default();
    let module =
        Module::new(&engine, r#"(module (import "" "h" (func $h (result i64))) (func (export "f") (drop (call $h))))"#);
    let mut store = Store::new(&engine, ());
    let h = Func::wrap(&mut store, || deep(0));
    let found = Instance::new(&mut store, &module.unwrap(), &[h.into()]).unwrap();
    let _ = found.get_typed_func::<(), ()>(&mut store, "f").unwrap().call(&mut store, ());
}

#[test]
fn earlier_handlers_get_what_the_kernel_said_and_later_ones_may_pass_on() {
    const VARIABLE: &str = "WASMSCOPE_CHAIN_TEST";
    if std::env::var_os(VARIABLE).is_none() {
        let output = again_in_a_child("earlier_handlers_get_what_the_kernel_said_and_later_ones_may_pass_on", VARIABLE);
        assert_eq!(output.status.code(), Some(43), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    static LATER_CALLS: AtomicUsize = AtomicUsize::new(0);
    static OURS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn earlier(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: what the kernel passes.
        let address = unsafe { (*info).si_addr() } as usize;
        // SAFETY: ends the process.
        unsafe { libc::_exit(if address == 0x20 { 43 } else { 44 }) };
    }
    extern "C" fn later(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        LATER_CALLS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the handler that was there before, of this signature; the arguments are the kernel's.
        unsafe {
            let ours: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(OURS.load(Ordering::SeqCst));
            ours(signal, info, context);
        }
    }
    type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let install = |handler: Handler| {
        // SAFETY: the action is complete, the handler of the signature that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let mut old: libc::sigaction = std::mem::zeroed();
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            action.sa_sigaction = handler as *const () as usize;
            libc::sigaction(libc::SIGSEGV, &raw const action, &raw mut old);
            old.sa_sigaction
        }
    };
    install(earlier);
    let engine = Engine::default();
    OURS.store(install(later), Ordering::SeqCst);
    let mut store = Store::new(&engine, ());
    let found = instance(&mut store, r#"(module (memory 1) (func (export "f") (drop (i32.load (i32.const 65536)))))"#);
    let f = found.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    for _ in 0..3 {
        assert_eq!(trap_of(f.call(&mut store, ())), Trap::MemoryOutOfBounds);
    }
    assert_eq!(LATER_CALLS.load(Ordering::SeqCst), 3);
    // SAFETY: not at all: this faults.
    unsafe { std::ptr::without_provenance_mut::<u8>(0x20).write_volatile(1) };
}

#[test]
fn the_identity_map_shows_the_guests_memory_at_its_own_addresses() {
    let engine = Engine::new(Config::new().debug_info(DebugInfo::Full)).unwrap();
    let wat = r#"(module (memory 16 32)
        (func (export "poke") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
        (func (export "grow") (drop (memory.grow (i32.const 4)))))"#;
    // Another test of this process may hold the map for a moment.
    let mut store = Store::new(&engine, ());
    let mut found = instance(&mut store, wat);
    while store.identity_map().unwrap().missing.iter().any(|(_, reason)| *reason == MissingReason::OwnedByAnother) {
        std::thread::yield_now();
        store = Store::new(&engine, ());
        found = instance(&mut store, wat);
    }
    let poke = found.get_typed_func::<(i32, i32), ()>(&mut store, "poke").unwrap();
    let state = store.identity_map().unwrap();
    assert!(state.mapped.iter().any(|range| range.contains(&0x8_0000)), "{state}");
    poke.call(&mut store, (0x8_0000, 0x1234_5678)).unwrap();
    // SAFETY: mapped, as the state says.
    assert_eq!(unsafe { (0x8_0000 as *const u32).read_volatile() }, 0x1234_5678);
    found.get_typed_func::<(), ()>(&mut store, "grow").unwrap().call(&mut store, ()).unwrap();
    poke.call(&mut store, (0x12_0000, 9)).unwrap();
    let state = store.identity_map().unwrap();
    assert_eq!(state.wanted, 0..20 << 16);
    assert!(state.mapped.iter().any(|range| range.contains(&0x12_0000)), "{state}");
    // SAFETY: mapped, as the state says.
    assert_eq!(unsafe { (0x12_0000 as *const u32).read_volatile() }, 9);
    assert_eq!(trap_of(poke.call(&mut store, (20 << 16, 9))), Trap::MemoryOutOfBounds);
}

#[test]
fn handles_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Engine>();
    check::<Module>();
    check::<Store<()>>();
    check::<Linker<()>>();
    check::<Instance>();
    check::<Func>();
    check::<TypedFunc<i32, i32>>();
    check::<Extern>();
    check::<Val>();
    check::<Error>();
    check::<InterruptHandle>();
    let _: Mutex<Option<ExternRef>> = Mutex::new(None);
    let _ = FuncType::default();
}

#[test]
fn handles_of_another_store_are_refused() {
    let engine = Engine::default();
    let (mut a, mut b) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let func = Func::wrap(&mut a, || 1);
    let panics = |f: &mut dyn FnMut()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    assert!(panics(&mut || drop(func.call(&mut b, &[], &mut [Val::I32(0)]))));
    let ty = TableType { element: RefType::FUNCREF, minimum: 1, maximum: None, table64: false };
    assert!(Table::new(&mut b, ty, func.into()).is_err());
}

#[test]
fn integers_of_31_bits_are_references() {
    let module = r#"(module
        (table $kept (export "kept") 2 i31ref)
        (elem (table $kept) (i32.const 1) i31ref (item (ref.i31 (i32.const -5))))
        (global $last (export "last") (mut i31ref) (ref.i31 (i32.const 7)))
        (func (export "make") (param i32) (result i31ref)
            (global.set $last (ref.i31 (local.get 0)))
            (table.set $kept (i32.const 0) (global.get $last))
            (select (result i31ref) (table.get $kept (i32.const 0)) (ref.null i31) (i32.const 1)))
        (func (export "signed") (param i31ref) (result i32) (i31.get_s (local.get 0)))
        (func (export "unsigned") (param i31ref) (result i32) (i31.get_u (local.get 0)))
        (func (export "is_null") (param i31ref) (result i32) (ref.is_null (local.get 0))))"#;
    for opt_level in [OptLevel::None, OptLevel::Speed] {
        let mut config = Config::new();
        config.opt_level(opt_level);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, module).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let mut call = |name: &str, argument: Val| {
            let mut results = [Val::I32(0)];
            let func = instance.get_func(&mut store, name).unwrap();
            func.call(&mut store, &[argument], &mut results).map(|()| results[0].clone())
        };
        for (value, signed, unsigned) in [
            (5, 5, 5),
            (0, 0, 0),
            (-1, -1, 0x7fff_ffff),
            (0x3fff_ffff, 0x3fff_ffff, 0x3fff_ffff),
            (0x4000_0000, -0x4000_0000, 0x4000_0000),
            (i32::MIN, 0, 0),
        ] {
            let made = call("make", Val::I32(value)).unwrap();
            assert_eq!(made.i31_ref(), Some(Some(signed)));
            assert_eq!(call("signed", made.clone()).unwrap().unwrap_i32(), signed);
            assert_eq!(call("unsigned", made.clone()).unwrap().unwrap_i32(), unsigned);
            assert_eq!(call("is_null", made).unwrap().unwrap_i32(), 0);
        }
        assert_eq!(call("is_null", Val::I31Ref(None)).unwrap().unwrap_i32(), 1);
        for getter in ["signed", "unsigned"] {
            let trap = call(getter, Val::I31Ref(None)).unwrap_err();
            assert_eq!(trap.downcast_ref::<Trap>(), Some(&Trap::NullReference), "{trap}");
        }
        assert!(call("signed", Val::I31Ref(Some(1 << 30))).is_err());
        assert!(call("signed", Val::ExternRef(None)).is_err());
        let kept = instance.get_table(&mut store, "kept").unwrap();
        assert_eq!(kept.get(&mut store, 1).and_then(|value| value.i31_ref()), Some(Some(-5)));
        kept.set(&mut store, 1, Val::I31Ref(Some(9))).unwrap();
        let last = instance.get_global(&mut store, "last").unwrap();
        assert_eq!(last.get(&mut store).i31_ref(), Some(Some(0)));
    }
}

#[test]
fn a_store_lent_to_another_thread_is_checked_against_that_threads_stack() {
    let wat = r#"(module (import "" "lend" (func $lend (param i32) (result i32)))
        (func $deep (export "deep") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))
        (func (export "outer") (param i32) (result i32) (call $lend (local.get 0))))"#;
    for engine in engines() {
        let module = Module::new(&engine, wat).unwrap();
        let mut store = Store::new(&engine, None::<Instance>);
        let lend = Func::wrap(&mut store, |mut caller: Caller<'_, Option<Instance>>, depth: i32| {
            let instance = caller.data().unwrap();
            let mut context = caller.as_context_mut();
            std::thread::scope(|scope| {
                let lent = scope.spawn(move || {
                    let deep = instance.get_typed_func::<i32, i32>(&mut context, "deep").unwrap();
                    // As the thread's own stack allows, and no further.
                    assert_eq!(trap_of(deep.call(&mut context, -1)), Trap::StackOverflow);
                    deep.call(&mut context, depth).unwrap()
                });
                lent.join().unwrap()
            })
        });
        let instance = Instance::new(&mut store, &module, &[lend.into()]).unwrap();
        *store.data_mut() = Some(instance);
        let outer = instance.get_typed_func::<i32, i32>(&mut store, "outer").unwrap();
        assert_eq!(outer.call(&mut store, 1000).unwrap(), 1000);
        let deep = instance.get_typed_func::<i32, i32>(&mut store, "deep").unwrap();
        assert_eq!(trap_of(deep.call(&mut store, -1)), Trap::StackOverflow);
        assert_eq!(deep.call(&mut store, 1000).unwrap(), 1000);
    }
}

#[test]
fn tables_may_have_indices_of_64_bits() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let found = instance(
            &mut store,
            r#"(module (type $number (func (result i32)))
                (table $wide (export "wide") i64 4 1000000000000 funcref) (table $fixed i64 2 2 funcref) (table $narrow 3 funcref)
                (table $hosts (export "hosts") i64 1 externref)
                (elem (table $wide) (i64.const 1) func $seven $eight) (elem $late func $eight $seven)
                (func $seven (result i32) (i32.const 7)) (func $eight (result i32) (i32.const 8))
                (elem (table $fixed) (i64.const 0) func $eight $seven)
                (func (export "call") (param i64) (result i32) (call_indirect $wide (type $number) (local.get 0)))
                (func (export "fixed") (param i64) (result i32) (call_indirect $fixed (type $number) (local.get 0)))
                (func (export "tail") (param i64) (result i32) (return_call_indirect $wide (type $number) (local.get 0)))
                (func (export "narrow") (param i32) (result i32) (call_indirect $narrow (type $number) (local.get 0)))
                (func (export "size") (result i64) (table.size $wide))
                (func (export "grow") (param i64) (result i64) (table.grow $wide (ref.func $eight) (local.get 0)))
                (func (export "get") (param i64) (result i32) (ref.is_null (table.get $wide (local.get 0))))
                (func (export "set") (param i64) (table.set $wide (local.get 0) (ref.func $seven)))
                (func (export "host") (param i64 externref) (table.set $hosts (local.get 0) (local.get 1)))
                (func (export "fill") (param i64 i64) (table.fill $wide (local.get 0) (ref.func $seven) (local.get 1)))
                (func (export "init") (param i64 i32 i32) (table.init $wide $late (local.get 0) (local.get 1) (local.get 2)))
                (func (export "copy") (param i64 i64 i64) (table.copy $wide $wide (local.get 0) (local.get 1) (local.get 2)))
                (func (export "down") (param i32 i64 i32) (table.copy $narrow $wide (local.get 0) (local.get 1) (local.get 2)))
                (func (export "up") (param i64 i32 i32) (table.copy $wide $narrow (local.get 0) (local.get 1) (local.get 2))))"#,
        );
        // What is 1 without its upper half, and what is -1.
        const FAR: [i64; 3] = [(1 << 32) + 1, 1 << 63 | 1, -1];
        let mut call =
            |name: &str, index: i64| found.get_typed_func::<i64, i32>(&mut store, name)?.call(&mut store, index);
        assert_eq!(call("call", 1).unwrap(), 7);
        assert_eq!(call("tail", 2).unwrap(), 8);
        assert_eq!(call("fixed", 1).unwrap(), 7);
        assert_eq!(call("get", 3).unwrap(), 1);
        for far in FAR {
            for name in ["call", "tail", "fixed", "get"] {
                assert_eq!(trap_of(call(name, far)), Trap::TableOutOfBounds, "{name} {far:#x}");
            }
        }
        let grow = found.get_typed_func::<i64, i64>(&mut store, "grow").unwrap();
        for far in FAR {
            assert_eq!(grow.call(&mut store, far).unwrap(), -1);
        }
        assert_eq!(grow.call(&mut store, 2).unwrap(), 4);
        let size = found.get_typed_func::<(), i64>(&mut store, "size").unwrap();
        assert_eq!(size.call(&mut store, ()).unwrap(), 6);
        let set = found.get_typed_func::<i64, ()>(&mut store, "set").unwrap();
        set.call(&mut store, 0).unwrap();
        let fill = found.get_typed_func::<(i64, i64), ()>(&mut store, "fill").unwrap();
        fill.call(&mut store, (3, 1)).unwrap();
        let copy = found.get_typed_func::<(i64, i64, i64), ()>(&mut store, "copy").unwrap();
        copy.call(&mut store, (5, 0, 1)).unwrap();
        let init = found.get_typed_func::<(i64, i32, i32), ()>(&mut store, "init").unwrap();
        init.call(&mut store, (1, 0, 2)).unwrap();
        let down = found.get_typed_func::<(i32, i64, i32), ()>(&mut store, "down").unwrap();
        down.call(&mut store, (1, 0, 2)).unwrap();
        let up = found.get_typed_func::<(i64, i32, i32), ()>(&mut store, "up").unwrap();
        up.call(&mut store, (4, 2, 1)).unwrap();
        for far in FAR {
            assert_eq!(trap_of(set.call(&mut store, far)), Trap::TableOutOfBounds);
            assert_eq!(trap_of(fill.call(&mut store, (far, 0))), Trap::TableOutOfBounds);
            assert_eq!(trap_of(fill.call(&mut store, (1, far))), Trap::TableOutOfBounds);
            assert_eq!(trap_of(copy.call(&mut store, (far, 0, 0))), Trap::TableOutOfBounds);
            assert_eq!(trap_of(copy.call(&mut store, (0, far, 0))), Trap::TableOutOfBounds);
            assert_eq!(trap_of(copy.call(&mut store, (0, 0, far))), Trap::TableOutOfBounds);
            assert_eq!(trap_of(init.call(&mut store, (far, 0, 1))), Trap::TableOutOfBounds);
            assert_eq!(trap_of(down.call(&mut store, (0, far, 0))), Trap::TableOutOfBounds);
            assert_eq!(trap_of(up.call(&mut store, (far, 0, 0))), Trap::TableOutOfBounds);
        }
        let numbers = (0..6).map(|index| {
            let call = found.get_typed_func::<i64, i32>(&mut store, "call").unwrap();
            call.call(&mut store, index).unwrap()
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [7, 8, 7, 7, 8, 7]);
        let narrow = found.get_typed_func::<i32, i32>(&mut store, "narrow").unwrap();
        assert_eq!((narrow.call(&mut store, 1).unwrap(), narrow.call(&mut store, 2).unwrap()), (7, 8));
        let host = found.get_typed_func::<(i64, Option<ExternRef>), ()>(&mut store, "host").unwrap();
        let reference = ExternRef::new(5_u32);
        host.call(&mut store, (0, Some(reference.clone()))).unwrap();
        assert_eq!(trap_of(host.call(&mut store, (1 << 32, Some(reference)))), Trap::TableOutOfBounds);
        // Its indices are part of its type.
        let mut linker = Linker::new(&engine);
        linker.instance(&mut store, "p", found).unwrap();
        let narrow = Module::new(&engine, r#"(module (import "p" "wide" (table 1 funcref)))"#).unwrap();
        let error = linker.instantiate(&mut store, &narrow).unwrap_err().to_string();
        assert!(error.contains("with 64-bit indices"), "{error}");
        let wide = Module::new(&engine, r#"(module (import "p" "wide" (table i64 1 2000000000000 funcref)))"#).unwrap();
        linker.instantiate(&mut store, &wide).unwrap();
        assert!(Module::new(&engine, "(module (table i64 5000000000 funcref))").is_err());
    }
}
