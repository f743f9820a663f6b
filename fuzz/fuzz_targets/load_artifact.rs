#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wasmscope_fuzz::checks::load_artifact(bytes));
