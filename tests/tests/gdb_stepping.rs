//! The bundled programs stepped side by side with their native builds, whose recordings lie beside the sources.

use tests::{compare, programs, record};

/// Steps every build at both levels; 99 % of the native stops (97 % where a line is stopped at more than once) and 95 % of the native
/// values are the least.
fn assert_like_native(source: &str, builds: &[&str]) {
    let scratch = tempfile::tempdir().unwrap();
    let native = programs().join(source).with_file_name("native.json");
    let mut failures = Vec::new();
    for build in builds {
        for level in [0, 2] {
            let out = scratch.path().join("recording.json");
            record(source, build, level, &out);
            let comparison = compare(&native, &out);
            println!("{build} at level {level}\n{}", comparison.table);
            assert!(comparison.stops.0 > 50 && comparison.values.0 > 100, "the native recording is empty");
            let enough = |(all, good): (usize, usize), percent| good * 100 >= all * percent;
            if !enough(comparison.stops, 99)
                || !enough(comparison.unfolded_stops, 97)
                || !enough(comparison.values, 95)
                || comparison.extra_stops * 20 > comparison.stops.0
            {
                failures.push(format!("{build} at level {level}\n{}", comparison.table));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
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
