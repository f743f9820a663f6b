//! Offsets and values that are computed at instantiation.

use wasmscope::{Config, Engine, Linker, Module, OptLevel, Store, Val};

fn run(text: &str, results: &[(&str, Val)]) {
    for opt_level in [OptLevel::None, OptLevel::Speed] {
        let engine = Engine::new(Config::new().opt_level(opt_level)).unwrap();
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        for (name, expected) in results {
            let mut found = [Val::I32(0)];
            instance.get_func(&mut store, name).unwrap().call(&mut store, &[], &mut found).unwrap();
            assert_eq!(format!("{:?}", found[0]), format!("{expected:?}"), "{opt_level:?}: {name}");
        }
    }
}

#[test]
fn data_segments_reach_the_upper_half_of_a_32_bit_memory() {
    // As signed numbers both offsets are negative.
    run(
        r#"(module (memory 65536)
            (data (i32.const 0x80000000) "\11")
            (data (i32.const 0xfffffffe) "\22\33")
            (func (export "low") (result i32) (i32.load8_u (i32.const 0x80000000)))
            (func (export "last") (result i32) (i32.load16_u (i32.const -2)))
            (func (export "offset") (result i32) (i32.load8_u offset=0x80000000 (i32.const 0))))"#,
        &[("low", Val::I32(0x11)), ("last", Val::I32(0x3322)), ("offset", Val::I32(0x11))],
    );
}

#[test]
fn a_data_segment_that_ends_beyond_memory_traps() {
    let engine = Engine::default();
    for (pages, offset) in [(1, "0xffff"), (1, "-1"), (0x8000, "0x7fffffff"), (65536, "0xffffffff")] {
        let text = format!("(module (memory {pages}) (data (i32.const {offset}) \"ab\"))");
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        assert!(Linker::new(&engine).instantiate(&mut store, &module).is_err(), "{pages} {offset}");
    }
}

#[test]
fn element_segments_take_offsets_as_unsigned() {
    let engine = Engine::default();
    let text = "(module (table 4 funcref) (func $f) (elem (i32.const -1) func $f))";
    let mut store = Store::new(&engine, ());
    assert!(Linker::new(&engine).instantiate(&mut store, &Module::new(&engine, text).unwrap()).is_err());
}

#[test]
fn extended_constant_expressions_wrap_and_use_earlier_globals() {
    run(
        r#"(module (memory 1) (table 8 funcref)
            (global $a i32 (i32.const 7))
            (global $b i32 (i32.sub (i32.mul (global.get $a) (i32.const 0x40000000)) (i32.const 1)))
            (global $c i64 (i64.add (i64.mul (i64.const 0x4000000000000001) (i64.const 4)) (i64.const -5)))
            (data (i32.add (global.get $a) (i32.mul (i32.const 2) (i32.const 3))) "\2a")
            (func $f (result i32) (i32.const 99))
            (elem (i32.sub (global.get $a) (i32.const 5)) func $f)
            (func (export "b") (result i32) (global.get $b))
            (func (export "c") (result i64) (global.get $c))
            (func (export "byte") (result i32) (i32.load8_u (i32.const 13)))
            (func (export "call") (result i32) (call_indirect (result i32) (i32.const 2))))"#,
        &[
            ("b", Val::I32(7i32.wrapping_mul(0x4000_0000).wrapping_sub(1))),
            ("c", Val::I64(0x4000_0000_0000_0001i64.wrapping_mul(4).wrapping_add(-5))),
            ("byte", Val::I32(0x2a)),
            ("call", Val::I32(99)),
        ],
    );
}

#[test]
fn data_offsets_of_a_64_bit_memory_are_64_bits() {
    run(
        r#"(module (memory i64 0x10001) (data (i64.const 0x100000004) "\05")
            (func (export "f") (result i32) (i32.load8_u (i64.const 0x100000004))))"#,
        &[("f", Val::I32(5))],
    );
}
