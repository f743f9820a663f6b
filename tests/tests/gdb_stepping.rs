//! The bundled programs stepped side by side with their native builds, whose recordings lie beside the sources.

/// 99 % of the native stops (97 % where a line is stopped at more than once).
fn assert_like_native(source: &str, builds: &[&str]) {
    tests::assert_like_native(source, builds, &[], (99, 97));
}

#[test]
fn c_steps_like_native() {
    assert_like_native("records/main.c", &["records/records"]);
}

#[test]
fn jumps_at_ends_of_blocks_are_stopped_at_where_the_source_is_at_hand() {
    assert_like_native("jumps/main.c", &["jumps/jumps", "jumps/jumps-embedded"]);
}

#[test]
fn functions_that_are_inlined_without_optimization_step_like_native() {
    assert_like_native("inlined/main.c", &["inlined/inlined"]);
}

#[test]
fn cxx_steps_like_native() {
    assert_like_native("shapes/main.cc", &["shapes/shapes"]);
}

#[test]
fn rust_steps_like_native() {
    assert_like_native("inventory/main.rs", &["inventory/inventory"]);
}

/// Natively, gdb stops at such statements once more where it has loaded what the block before computed.
#[test]
fn checked_arithmetic_steps_like_native() {
    assert_like_native("sums/main.rs", &["sums/sums"]);
}

/// Natively, gdb stops at an `if` without an `else` once more where a jump leads back from its block.
#[test]
fn jumps_behind_conditions_of_rust_are_stopped_at() {
    assert_like_native("calls/main.rs", &["calls/calls"]);
}

/// The source of wasi-libc is not here, and natively the C library has no debug info.
#[test]
fn steps_pass_over_libraries_without_sources() {
    let next = tests::line("records/main.c", "it->name = name;");
    let commands = ["break push", "run", "step", "info skip", "skip delete", "continue", "step"];
    let answers = tests::Session::new("records/records", 0).run(&commands);
    answers.assert_contains("step", 0, &[&format!("{next}\t")]);
    answers.assert_contains("info skip", 0, &["dlmalloc/src/*"]);
    // What was deleted stays so.
    answers.assert_contains("step", 1, &["malloc (size="]);
}
