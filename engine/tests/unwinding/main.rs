//! The process's own unwinder and the guest's frames.

use std::backtrace::Backtrace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Instant;
use wasmscope::{Caller, Engine, Instance, Linker, Module, Result, Store};

/// Guest frames of all kinds between an export and the host's function: a plain call, one through a table, one with
/// arguments on the stack, one from a frame that has grown for a tail call.
const MODULE: &str = r#"(module
    (import "host" "function" (func $host (param i32) (result i32)))
    (table 1 funcref)
    (elem (i32.const 0) func $through_table)
    (type $f (func (param i32) (result i32)))
    (func (export "run") (param i32) (result i32)
        (i32.add (call $direct (local.get 0)) (i32.const 1)))
    (func $direct (param i32) (result i32)
        (i32.add (call_indirect (type $f) (local.get 0) (i32.const 0)) (i32.const 1)))
    (func $through_table (param i32) (result i32)
        (i32.add (i32.const 1)
            (call $many (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6)
                (i32.const 7) (i32.const 8) (local.get 0))))
    (func $many (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
        (if (i32.eqz (local.get 8)) (then (return (i32.const 0))))
        (return_call $more (local.get 8) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (func $more (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
        (i32.add (call $host (local.get 0)) (local.get 11))))"#;

/// The export of [`MODULE`], with this as the host's function.
fn run(function: impl Fn(i32) -> Result<i32> + Send + Sync + 'static) -> (Store<()>, Instance) {
    let engine = Engine::default();
    let module = Module::new(&engine, MODULE).unwrap();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "function", move |_: Caller<'_, ()>, value: i32| function(value)).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

#[inline(never)]
fn calls_the_guest(store: &mut Store<()>, instance: &Instance, value: i32) -> Result<i32> {
    instance.get_typed_func::<i32, i32>(&mut *store, "run")?.call(store, value)
}

#[test]
fn backtraces_of_the_host_go_on_beyond_the_guest() {
    let (sender, backtraces) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let (mut store, instance) = run(move |value| {
        sender.lock().unwrap().send(Backtrace::force_capture().to_string()).unwrap();
        Ok(value)
    });
    calls_the_guest(&mut store, &instance, 1).unwrap();
    let backtrace = backtraces.recv().unwrap();
    assert!(backtrace.contains("calls_the_guest"), "{backtrace}");
    // Into the guest, four functions of the guest, out of the guest; nobody knows their names here.
    let entered = backtrace.find("wasmscope_enter").unwrap_or(backtrace.len());
    assert!(backtrace[..entered].matches("<unknown>").count() >= 6, "{backtrace}");
}

#[test]
fn panics_of_host_functions_come_out_where_the_guest_was_called() {
    let (mut store, instance) = run(|value| if value == 1 { panic!("from the host") } else { Ok(value) });
    for _ in 0..3 {
        let kept = [1, 2, 3].map(std::hint::black_box);
        let caught = catch_unwind(AssertUnwindSafe(|| calls_the_guest(&mut store, &instance, 1)));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"from the host"));
        assert_eq!(kept, [1, 2, 3]);
        // The store goes on working.
        assert_eq!(calls_the_guest(&mut store, &instance, 5).unwrap(), 8);
    }
}

const CHILD: &str = "UNWINDING_CHILD";

#[test]
fn foreign_exceptions_of_host_functions_end_the_process() {
    #[repr(C)]
    #[allow(dead_code, reason = "the unwinder reads it")]
    struct Exception {
        class: u64,
        cleanup: usize,
        private: [u64; 6],
    }
    unsafe extern "C-unwind" {
        fn _Unwind_RaiseException(exception: *mut Exception) -> i32;
    }
    if std::env::var_os(CHILD).is_some() {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the process is about to abort, and is to leave no core file.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
        let (mut store, instance) = run(|_| {
            let exception = Box::leak(Box::new(Exception { class: 0x4321, cleanup: 0, private: [0; 6] }));
            // SAFETY: an exception as the ABI has it, which nobody frees.
            unsafe { _Unwind_RaiseException(exception) };
            Ok(0)
        });
        let _ = calls_the_guest(&mut store, &instance, 1);
        std::process::exit(0);
    }
    let this = std::env::current_exe().unwrap();
    let test = "foreign_exceptions_of_host_functions_end_the_process";
    let output = Command::new(this).args(["--exact", test, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("foreign exceptions"), "{:?}: {errors}", output.status);
}

#[test]
#[ignore = "a measurement: prints how long modules take to load and to drop"]
fn many_modules() {
    let engine = Engine::default();
    let artifact = Module::new(&engine, MODULE).unwrap().serialize().to_vec();
    for count in [1000, 10_000, 1000, 10_000] {
        let start = Instant::now();
        // SAFETY: it comes from `serialize`.
        let modules: Vec<_> =
            (0..count).map(|_| unsafe { Module::deserialize(&engine, artifact.clone()) }.unwrap()).collect();
        let loaded = start.elapsed();
        drop(modules);
        println!("{count} modules: loaded in {loaded:?}, dropped in {:?}", start.elapsed() - loaded);
    }
}
