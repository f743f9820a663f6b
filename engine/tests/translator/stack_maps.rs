//! References that are live across a call must be in its stack map, whichever way they got there.

use wasmscope::{OptLevel, Tunables};

/// For each call site of the module's only defined function, in code order: how many references are live.
fn live_references(text: &str, opt_level: OptLevel) -> Vec<usize> {
    let wasm = wat::parse_str(text).unwrap();
    let tunables = Tunables { opt_level, ..Tunables::default() };
    let bytes = wasmscope::compile::compile(&wasm, &tunables).unwrap();
    let artifact = artifact::Artifact::parse(&bytes).unwrap();
    let rows = artifact.stack_maps();
    (0..rows.len()).map(|index| artifact.stack_map_slots(index).len()).collect()
}

#[track_caller]
fn check(text: &str, expected: &[usize]) {
    for opt_level in [OptLevel::None, OptLevel::Speed] {
        assert_eq!(live_references(text, opt_level), expected, "{opt_level:?}");
    }
}

#[test]
fn a_loop_that_swaps_references_keeps_both() {
    check(
        r#"(module (import "" "gc" (func $gc)) (import "" "use" (func $use (param externref externref)))
            (func (param $a externref) (param $b externref) (param $n i32) (local $t externref)
                (loop $again
                    (call $gc)
                    (local.set $t (local.get $a))
                    (local.set $a (local.get $b))
                    (local.set $b (local.get $t))
                    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                    (br_if $again (local.get $n)))
                (call $use (local.get $a) (local.get $b))))"#,
        &[2],
    );
}

#[test]
fn a_loops_parameter_that_no_operator_reads_is_kept() {
    // The loop's parameter for `$c` only goes on to the parameter of the block behind `if`.
    check(
        r#"(module (import "" "gc" (func $gc (result i32))) (import "" "use" (func $use (param externref)))
            (import "" "make" (func $make (result externref)))
            (func (param $c externref)
                (loop $again
                    (if (call $gc) (then (local.set $c (call $make))))
                    (br_if $again (call $gc)))
                (call $use (local.get $c))))"#,
        &[1, 1],
    );
}

#[test]
fn a_selected_reference_is_kept() {
    check(
        r#"(module (import "" "gc" (func $gc)) (import "" "use" (func $use (param externref)))
            (func (param $a externref) (param $b externref) (param $n i32)
                (select (result externref) (local.get $a) (local.get $b) (local.get $n))
                (call $gc)
                (call $use)))"#,
        &[1],
    );
}

#[test]
fn a_selected_reference_that_goes_round_a_loop_is_kept() {
    check(
        r#"(module (import "" "gc" (func $gc (result i32))) (import "" "use" (func $use (param externref)))
            (func (param $a externref) (param $b externref) (local $c externref)
                (local.set $c (local.get $a))
                (loop $again
                    (local.set $c (select (result externref) (local.get $c) (local.get $b) (call $gc)))
                    (br_if $again (call $gc)))
                (call $use (local.get $c))))"#,
        // Across the first call `$b` and the old `$c`; across the second `$b` and the new one.
        &[2, 2],
    );
}

#[test]
fn results_of_blocks_calls_tables_and_globals_are_kept() {
    check(
        r#"(module (import "" "gc" (func $gc)) (import "" "make" (func $make (result externref)))
            (import "" "use" (func $use (param externref externref externref externref)))
            (table 1 externref) (global $g (mut externref) (ref.null extern))
            (func (param $a externref) (param $n i32)
                (block (result externref) (br_if 0 (local.get $a) (local.get $n)) (drop) (call $make))
                (table.get (i32.const 0))
                (global.get $g)
                (call $make)
                (call $gc)
                (call $use)))"#,
        // At the first call nothing else is live, so that it has no map. The last two are the slow paths of `table.get` and
        // `global.get`, behind the rest of the code; what was read is live there.
        &[3, 4, 2, 3],
    );
}

#[test]
fn locals_cost_what_integers_cost() {
    let function = |ty: &str, is_null: &str| {
        format!(
            r#"(func (param $a {ty}) (param $b {ty}) (param $n i32) (result i32) (local $c {ty})
                (loop $again
                    (local.set $c (local.get $a))
                    (local.set $a (local.get $b))
                    (local.set $b (local.get $c))
                    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                ({is_null} (local.get $a)))"#
        )
    };
    let text = format!("(module {} {})", function("externref", "ref.is_null"), function("i64", "i64.eqz"));
    for opt_level in [OptLevel::None, OptLevel::Speed] {
        let tunables = Tunables { opt_level, ..Tunables::default() };
        let bytes = wasmscope::compile::compile(&wat::parse_str(&text).unwrap(), &tunables).unwrap();
        let artifact = artifact::Artifact::parse(&bytes).unwrap();
        let code = |index| {
            let (_, row) = artifact.function_by_kind(artifact::FunctionKind::Guest(index)).unwrap();
            &artifact.text()[row.text.0 as usize..][..row.size as usize]
        };
        assert_eq!(code(0), code(1), "{opt_level:?}");
    }
}
