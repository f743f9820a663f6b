//! The same work in wasmscope and in Wasmtime, whose embedding interfaces are alike enough for one macro.

use std::hint::black_box;

/// What is called.
pub const MODULE: &str = r#"(module
    (import "" "wrapped" (func $wrapped (param i32 i64) (result i32)))
    (import "" "caller" (func $caller (param i32 i64) (result i32)))
    (import "" "dynamic" (func $dynamic (param i32 i64) (result i32)))
    (func (export "nop"))
    (func (export "add") (param i32 i64) (result i32) (i32.add (local.get 0) (i32.wrap_i64 (local.get 1))))
    (func (export "wrapped") (param i32) (loop
        (drop (call $wrapped (local.get 0) (i64.const 2)))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "caller") (param i32) (loop
        (drop (call $caller (local.get 0) (i64.const 2)))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "dynamic") (param i32) (loop
        (drop (call $dynamic (local.get 0) (i64.const 2)))
        (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;

/// Something to be done a number of times.
pub struct Work {
    /// What it is.
    pub name: &'static str,
    /// Does it that many times.
    pub run: Box<dyn FnMut(u32)>,
}

/// The one difference.
macro_rules! func_type {
    (wasmscope, $ty:ident, $engine:ident, $params:expr, $results:expr) => {
        $ty::new($params, $results)
    };
    (wasmtime, $ty:ident, $engine:ident, $params:expr, $results:expr) => {
        $ty::new(&$engine, $params, $results)
    };
}
macro_rules! calls {
    ($engine:ident) => {
        /// Calls between host and guest.
        pub fn calls() -> Vec<Work> {
            use $engine::{Caller, Engine, FuncType, Linker, Module, Store, Val, ValType};
            let engine = Engine::default();
            let module = Module::new(&engine, MODULE).unwrap();
            let mut linker = Linker::<i32>::new(&engine);
            linker.func_wrap("", "wrapped", |a: i32, b: i64| a.wrapping_add(b as i32)).unwrap();
            let with_caller = |mut caller: Caller<'_, i32>, a: i32, b: i64| {
                *caller.data_mut() += 1;
                a.wrapping_add(b as i32)
            };
            linker.func_wrap("", "caller", with_caller).unwrap();
            let ty = func_type!($engine, FuncType, engine, [ValType::I32, ValType::I64], [ValType::I32]);
            let dynamic = |_: Caller<'_, i32>, params: &[Val], results: &mut [Val]| {
                results[0] = Val::I32(params[0].unwrap_i32().wrapping_add(params[1].unwrap_i64() as i32));
                Ok(())
            };
            linker.func_new("", "dynamic", ty, dynamic).unwrap();
            // Each piece of work has a store of its own.
            let start = || {
                let mut store = Store::new(&engine, 0);
                let instance = linker.instantiate(&mut store, &module).unwrap();
                (store, instance)
            };
            let mut all = Vec::new();
            let (mut store, instance) = start();
            let nop = instance.get_typed_func::<(), ()>(&mut store, "nop").unwrap();
            all.push(Work {
                name: "host to guest, typed, nothing",
                run: Box::new(move |n| (0..n).for_each(|_| nop.call(&mut store, ()).unwrap())),
            });
            let (mut store, instance) = start();
            let add = instance.get_typed_func::<(i32, i64), i32>(&mut store, "add").unwrap();
            all.push(Work {
                name: "host to guest, typed, add",
                run: Box::new(move |n| {
                    (0..n).for_each(|_| {
                        black_box(add.call(&mut store, black_box((1, 2))).unwrap());
                    });
                }),
            });
            let (mut store, instance) = start();
            let add = instance.get_func(&mut store, "add").unwrap();
            all.push(Work {
                name: "host to guest, untyped, add",
                run: Box::new(move |n| {
                    let params = [Val::I32(1), Val::I64(2)];
                    let mut results = [Val::I32(0)];
                    (0..n).for_each(|_| add.call(&mut store, black_box(&params), &mut results).unwrap());
                }),
            });
            for (name, export) in [
                ("guest to host, typed", "wrapped"),
                ("guest to host, typed with caller", "caller"),
                ("guest to host, untyped", "dynamic"),
            ] {
                let (mut store, instance) = start();
                let func = instance.get_typed_func::<i32, ()>(&mut store, export).unwrap();
                all.push(Work { name, run: Box::new(move |n| func.call(&mut store, n as i32).unwrap()) });
            }
            all
        }

        /// Compiles a module and makes it ready to be instantiated.
        pub fn compile(wasm: &[u8]) {
            let engine = $engine::Engine::default();
            drop(black_box($engine::Module::from_binary(&engine, wasm).unwrap()));
        }
    };
}

/// This engine.
pub mod ours {
    use super::*;
    calls!(wasmscope);
}

/// The other one.
#[cfg(feature = "wasmtime")]
pub mod theirs {
    use super::*;
    calls!(wasmtime);
}
