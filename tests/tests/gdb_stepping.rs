//! The bundled programs stepped side by side with their native builds, whose recordings lie beside the sources.

use tests::{compare, programs, record};

/// Steps every build at both levels; 95 % of the native stops and of the native values are the least.
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
            let enough = |(all, good): (usize, usize)| good * 100 >= all * 95;
            if !enough(comparison.stops)
                || !enough(comparison.values)
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
fn cxx_steps_like_native() {
    assert_like_native("shapes/main.cc", &["shapes/shapes"]);
}

#[test]
fn rust_steps_like_native() {
    assert_like_native("inventory/main.rs", &["inventory/inventory"]);
}
