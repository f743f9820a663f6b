//! The bundled programs stepped in lldb side by side with their native builds, whose recordings lie beside the sources.

/// 98 % of the native stops.
fn assert_like_native(source: &str, build: &str, main: &str) {
    tests::assert_like_native(source, &[build], &[("DEBUGGER", "lldb"), ("RECORD_MAIN", main)], (98, 98));
}

#[test]
fn c_steps_like_native() {
    assert_like_native("records/main.c", "records/records", "main");
}

#[test]
fn cxx_steps_like_native() {
    assert_like_native("shapes/main.cc", "shapes/shapes", "main");
}

#[test]
fn rust_steps_like_native() {
    assert_like_native("inventory/main.rs", "inventory/inventory", "inventory::main");
}

/// lldb stops at the line of a call once more where a native build loads something behind it that has no line.
#[test]
fn calls_of_rust_return_like_native() {
    assert_like_native("calls/main.rs", "calls/calls", "main");
}
