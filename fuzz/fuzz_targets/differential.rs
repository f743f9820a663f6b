#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(wasm) = wasmscope_fuzz::generate::module(bytes) {
        wasmscope_fuzz::checks::agree_with_oracle(&wasm);
    }
});
