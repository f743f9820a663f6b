//! Each operator with an operand that is loaded from the memory's last bytes.
//!
//! An instruction that takes its operand from memory may read more than the load does; at the memory's end it faults.

use wasmscope::{Config, DebugInfo, Engine, Linker, Module, OptLevel, Store, Trap, Val};

/// An operator: its name with immediates, its operands' types, its result's type.
struct Op {
    name: String,
    params: Vec<&'static str>,
    result: &'static str,
}

fn op(name: impl Into<String>, params: &[&'static str], result: &'static str) -> Op {
    Op { name: name.into(), params: params.to_vec(), result }
}

fn scalar_ops() -> Vec<Op> {
    let mut ops = Vec::new();
    for ty in ["f32", "f64"] {
        for name in ["abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"] {
            ops.push(op(format!("{ty}.{name}"), &[ty], ty));
        }
        for name in ["add", "sub", "mul", "div", "min", "max", "copysign"] {
            ops.push(op(format!("{ty}.{name}"), &[ty, ty], ty));
        }
        for name in ["eq", "ne", "lt", "gt", "le", "ge"] {
            ops.push(op(format!("{ty}.{name}"), &[ty, ty], "i32"));
        }
        for int in ["i32", "i64"] {
            for sign in ["s", "u"] {
                ops.push(op(format!("{int}.trunc_{ty}_{sign}"), &[ty], int));
                ops.push(op(format!("{int}.trunc_sat_{ty}_{sign}"), &[ty], int));
                ops.push(op(format!("{ty}.convert_{int}_{sign}"), &[int], ty));
            }
        }
    }
    for ty in ["i32", "i64"] {
        for name in ["clz", "ctz", "popcnt", "extend8_s", "extend16_s"] {
            ops.push(op(format!("{ty}.{name}"), &[ty], ty));
        }
        for name in
            ["add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u", "and", "or", "xor", "shl", "shr_s", "shr_u"]
        {
            ops.push(op(format!("{ty}.{name}"), &[ty, ty], ty));
        }
        for name in ["rotl", "rotr"] {
            ops.push(op(format!("{ty}.{name}"), &[ty, ty], ty));
        }
        for name in ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"] {
            ops.push(op(format!("{ty}.{name}"), &[ty, ty], "i32"));
        }
        ops.push(op(format!("{ty}.eqz"), &[ty], "i32"));
        ops.push(op("select", &[ty, ty, "i32"], ty));
    }
    for (name, param, result) in [
        ("i64.extend32_s", "i64", "i64"),
        ("i64.extend_i32_s", "i32", "i64"),
        ("i64.extend_i32_u", "i32", "i64"),
        ("i32.wrap_i64", "i64", "i32"),
        ("f32.demote_f64", "f64", "f32"),
        ("f64.promote_f32", "f32", "f64"),
        ("i32.reinterpret_f32", "f32", "i32"),
        ("i64.reinterpret_f64", "f64", "i64"),
        ("f32.reinterpret_i32", "i32", "f32"),
        ("f64.reinterpret_i64", "i64", "f64"),
    ] {
        ops.push(op(name, &[param], result));
    }
    for ty in ["f32", "f64", "v128"] {
        ops.push(op("select", &[ty, ty, "i32"], ty));
    }
    ops
}

fn vector_ops() -> Vec<Op> {
    let mut ops = Vec::new();
    let mut unary = |names: &[&str]| ops.extend(names.iter().map(|name| op(*name, &["v128"], "v128")));
    unary(&["v128.not", "i8x16.popcnt"]);
    for shape in ["i8x16", "i16x8", "i32x4", "i64x2"] {
        unary(&[&format!("{shape}.abs"), &format!("{shape}.neg")]);
    }
    for shape in ["f32x4", "f64x2"] {
        for name in ["abs", "neg", "sqrt", "ceil", "floor", "trunc", "nearest"] {
            unary(&[&format!("{shape}.{name}")]);
        }
    }
    for (wide, narrow) in [("i16x8", "i8x16"), ("i32x4", "i16x8"), ("i64x2", "i32x4")] {
        for sign in ["s", "u"] {
            for half in ["low", "high"] {
                unary(&[&format!("{wide}.extend_{half}_{narrow}_{sign}")]);
            }
            if wide != "i64x2" {
                unary(&[&format!("{wide}.extadd_pairwise_{narrow}_{sign}")]);
            }
        }
    }
    for sign in ["s", "u"] {
        unary(&[
            &format!("i32x4.trunc_sat_f32x4_{sign}"),
            &format!("i32x4.trunc_sat_f64x2_{sign}_zero"),
            &format!("f32x4.convert_i32x4_{sign}"),
            &format!("f64x2.convert_low_i32x4_{sign}"),
            &format!("i32x4.relaxed_trunc_f32x4_{sign}"),
            &format!("i32x4.relaxed_trunc_f64x2_{sign}_zero"),
        ]);
    }
    unary(&["f32x4.demote_f64x2_zero", "f64x2.promote_low_f32x4"]);

    let mut binary = |name: String| ops.push(op(name, &["v128", "v128"], "v128"));
    for name in ["and", "andnot", "or", "xor"] {
        binary(format!("v128.{name}"));
    }
    for shape in ["i8x16", "i16x8", "i32x4", "i64x2"] {
        for name in ["add", "sub", "eq", "ne", "lt_s", "gt_s", "le_s", "ge_s"] {
            binary(format!("{shape}.{name}"));
        }
        if shape != "i64x2" {
            for name in ["lt_u", "gt_u", "le_u", "ge_u", "min_s", "min_u", "max_s", "max_u"] {
                binary(format!("{shape}.{name}"));
            }
        }
        if shape != "i8x16" {
            binary(format!("{shape}.mul"));
        }
    }
    for shape in ["i8x16", "i16x8"] {
        for name in ["add_sat_s", "add_sat_u", "sub_sat_s", "sub_sat_u", "avgr_u"] {
            binary(format!("{shape}.{name}"));
        }
    }
    for shape in ["f32x4", "f64x2"] {
        for name in [
            "add",
            "sub",
            "mul",
            "div",
            "min",
            "max",
            "pmin",
            "pmax",
            "eq",
            "ne",
            "lt",
            "gt",
            "le",
            "ge",
            "relaxed_min",
            "relaxed_max",
        ] {
            binary(format!("{shape}.{name}"));
        }
    }
    for (wide, narrow) in [("i16x8", "i8x16"), ("i32x4", "i16x8"), ("i64x2", "i32x4")] {
        for sign in ["s", "u"] {
            for half in ["low", "high"] {
                binary(format!("{wide}.extmul_{half}_{narrow}_{sign}"));
            }
            if wide != "i64x2" {
                binary(format!("{narrow}.narrow_{wide}_{sign}"));
            }
        }
    }
    for name in [
        "i32x4.dot_i16x8_s",
        "i16x8.q15mulr_sat_s",
        "i8x16.swizzle",
        "i8x16.relaxed_swizzle",
        "i16x8.relaxed_q15mulr_s",
        "i16x8.relaxed_dot_i8x16_i7x16_s",
        "i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23",
        "i8x16.shuffle 31 1 2 30 4 5 6 7 16 17 18 3 20 21 22 23",
        "i8x16.shuffle 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
        "i8x16.shuffle 4 5 6 7 20 21 22 23 0 1 2 3 16 17 18 19",
    ] {
        binary(name.into());
    }
    for shape in ["i8x16", "i16x8", "i32x4", "i64x2"] {
        for name in ["shl", "shr_s", "shr_u"] {
            ops.push(op(format!("{shape}.{name}"), &["v128", "i32"], "v128"));
        }
        for name in ["all_true", "bitmask"] {
            ops.push(op(format!("{shape}.{name}"), &["v128"], "i32"));
        }
        ops.push(op(format!("{shape}.relaxed_laneselect"), &["v128", "v128", "v128"], "v128"));
    }
    ops.push(op("v128.any_true", &["v128"], "i32"));
    ops.push(op("v128.bitselect", &["v128", "v128", "v128"], "v128"));
    ops.push(op("i32x4.relaxed_dot_i8x16_i7x16_add_s", &["v128", "v128", "v128"], "v128"));
    for shape in ["f32x4", "f64x2"] {
        for name in ["relaxed_madd", "relaxed_nmadd"] {
            ops.push(op(format!("{shape}.{name}"), &["v128", "v128", "v128"], "v128"));
        }
    }
    for (shape, lane, lanes) in [
        ("i8x16", "i32", 16),
        ("i16x8", "i32", 8),
        ("i32x4", "i32", 4),
        ("i64x2", "i64", 2),
        ("f32x4", "f32", 4),
        ("f64x2", "f64", 2),
    ] {
        ops.push(op(format!("{shape}.splat"), &[lane], "v128"));
        for index in [0, 1, lanes - 1] {
            ops.push(op(format!("{shape}.replace_lane {index}"), &["v128", lane], "v128"));
            for sign in if lanes > 4 { &["_s", "_u"][..] } else { &[""] } {
                ops.push(op(format!("{shape}.extract_lane{sign} {index}"), &["v128"], lane));
            }
        }
    }
    ops
}

/// Ways to load a value of a type: bytes that are read, and the expression, whose address is `(local.get $at)`.
fn loads(ty: &str) -> Vec<(u32, String)> {
    let at = "(local.get $at)";
    let zeros = "(v128.const i64x2 0 0)";
    let plain = |names: &[(u32, &str)]| names.iter().map(|(size, name)| (*size, format!("({name} {at})"))).collect();
    match ty {
        "i32" => {
            plain(&[(4, "i32.load"), (1, "i32.load8_s"), (1, "i32.load8_u"), (2, "i32.load16_s"), (2, "i32.load16_u")])
        }
        "i64" => plain(&[
            (8, "i64.load"),
            (1, "i64.load8_s"),
            (1, "i64.load8_u"),
            (2, "i64.load16_s"),
            (2, "i64.load16_u"),
            (4, "i64.load32_s"),
            (4, "i64.load32_u"),
        ]),
        "f32" => vec![
            (4, format!("(f32.load {at})")),
            (4, format!("(f32.reinterpret_i32 (i32.load {at}))")),
            (8, format!("(f32.demote_f64 (f64.load {at}))")),
        ],
        "f64" => vec![
            (8, format!("(f64.load {at})")),
            (8, format!("(f64.reinterpret_i64 (i64.load {at}))")),
            (4, format!("(f64.promote_f32 (f32.load {at}))")),
        ],
        _ => {
            let mut all: Vec<(u32, String)> = plain(&[
                (16, "v128.load"),
                (8, "v128.load8x8_s"),
                (8, "v128.load8x8_u"),
                (8, "v128.load16x4_s"),
                (8, "v128.load16x4_u"),
                (8, "v128.load32x2_s"),
                (8, "v128.load32x2_u"),
                (1, "v128.load8_splat"),
                (2, "v128.load16_splat"),
                (4, "v128.load32_splat"),
                (8, "v128.load64_splat"),
                (4, "v128.load32_zero"),
                (8, "v128.load64_zero"),
                (1, "i8x16.splat (i32.load8_u"),
                (2, "i16x8.splat (i32.load16_u"),
                (4, "i32x4.splat (i32.load"),
                (8, "i64x2.splat (i64.load"),
                (4, "f32x4.splat (f32.load"),
                (8, "f64x2.splat (f64.load"),
            ]);
            for (_, text) in &mut all {
                if text.matches('(').count() > text.matches(')').count() {
                    text.push(')');
                }
            }
            for (size, shape, load) in [
                (1, "i8x16", "i32.load8_u"),
                (2, "i16x8", "i32.load16_u"),
                (4, "i32x4", "i32.load"),
                (8, "i64x2", "i64.load"),
                (4, "f32x4", "f32.load"),
                (8, "f64x2", "f64.load"),
            ] {
                for lane in [0, 1] {
                    all.push((size, format!("({shape}.replace_lane {lane} {zeros} ({load} {at}))")));
                }
            }
            for (size, bits) in [(1, 8), (2, 16), (4, 32), (8, 64)] {
                for lane in [0, 1] {
                    all.push((size, format!("(v128.load{bits}_lane {lane} {at} {zeros})")));
                }
            }
            all
        }
    }
}

/// One function for each operator, operand and way to load it; the other operands are parameters.
fn cases() -> Vec<(u32, String, String)> {
    let mut cases = Vec::new();
    for op in scalar_ops().into_iter().chain(vector_ops()) {
        for loaded in 0..op.params.len() {
            for (size, load) in loads(op.params[loaded]) {
                let mut params = String::new();
                let mut operands = String::new();
                for (index, ty) in op.params.iter().enumerate() {
                    if index == loaded {
                        operands += &format!(" {load}");
                    } else {
                        params += &format!(" (param $p{index} {ty})");
                        operands += &format!(" (local.get $p{index})");
                    }
                }
                let (name, result) = (&op.name, op.result);
                let label = format!("{name} with operand {loaded} from {load}");
                let text = format!("(param $at i32){params} (result {result}) ({name}{operands})");
                cases.push((size, label, text));
            }
        }
    }
    cases
}

#[test]
fn operands_are_loaded_from_the_last_bytes_of_memory() {
    let cases = cases();
    assert!(cases.len() > 5000);
    let mut text = String::from("(module (memory 1 1)\n");
    for (index, (_, _, function)) in cases.iter().enumerate() {
        text += &format!("(func (export \"{index}\") {function})\n");
    }
    text.push(')');
    let wasm = wat::parse_str(&text).unwrap();
    let mut outcomes: Vec<Vec<String>> = Vec::new();
    for (opt_level, debug_info) in
        [(OptLevel::None, DebugInfo::None), (OptLevel::Speed, DebugInfo::None), (OptLevel::Speed, DebugInfo::Full)]
    {
        let mut config = Config::new();
        config.opt_level(opt_level).debug_info(debug_info).identity_map(false).wasm_backtrace(false);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, &wasm).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        let (mut faults, mut missed) = (Vec::new(), Vec::new());
        let mut outcome = Vec::new();
        for (index, (size, label, _)) in cases.iter().enumerate() {
            let func = instance.get_func(&mut store, &index.to_string()).unwrap();
            let ty = func.ty(&store);
            let mut params: Vec<Val> = ty.params.iter().map(|ty| Val::default_for(*ty)).collect();
            params[0] = Val::I32((65536 - size) as i32);
            let mut results = [Val::default_for(ty.results[0])];
            let result = func.call(&mut store, &params, &mut results);
            if let Err(error) = &result
                && error.downcast_ref::<Trap>() == Some(&Trap::MemoryOutOfBounds)
            {
                faults.push(label.as_str());
            }
            outcome.push(match result {
                // The sign of a NaN is nobody's business.
                Ok(()) if matches!(results[0], Val::F32(bits) if f32::from_bits(bits).is_nan()) => "nan".into(),
                Ok(()) if matches!(results[0], Val::F64(bits) if f64::from_bits(bits).is_nan()) => "nan".into(),
                Ok(()) => format!("{:?}", results[0]),
                Err(error) => error.to_string(),
            });
            // One byte further is out of bounds.
            params[0] = Val::I32((65537 - size) as i32);
            let beyond = func.call(&mut store, &params, &mut results);
            if !beyond.is_err_and(|error| error.downcast_ref::<Trap>() == Some(&Trap::MemoryOutOfBounds)) {
                missed.push(label.as_str());
            }
        }
        assert!(faults.is_empty(), "{opt_level:?} {debug_info:?}: {} faults:\n{}", faults.len(), faults.join("\n"));
        assert!(missed.is_empty(), "{opt_level:?} {debug_info:?}: {} missed:\n{}", missed.len(), missed.join("\n"));
        outcomes.push(outcome);
    }
    for (index, (_, label, _)) in cases.iter().enumerate() {
        assert!(outcomes.iter().all(|outcome| outcome[index] == outcomes[0][index]), "{label}");
    }
}
