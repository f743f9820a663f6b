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

/// The source of wasi-libc is not here, and natively the C library has no debug info.
#[test]
fn steps_pass_over_libraries_without_sources() {
    let next = tests::line("records/main.c", "it->name = name;");
    let reset = "settings clear target.process.thread.step-avoid-regexp";
    let commands = ["breakpoint set --name push", "run", "step", reset, "continue", "step"];
    let answers = tests::Session::new("records/records", 0).run_lldb(&commands);
    answers.assert_contains("step", 0, &["`push(list=0x", &format!(" at main.c:{next}:")]);
    answers.assert_contains("step", 1, &["`malloc(size="]);
}
