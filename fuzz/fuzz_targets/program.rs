#![no_main]
//! The bytes choose a program of the tests and what is changed in its sources.

use std::sync::LazyLock;
use wasmscope_fuzz::checks::{Program, compile_program, programs};

static PROGRAMS: LazyLock<Vec<Program>> =
    LazyLock::new(|| programs(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/programs").as_ref()));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes.iter().map(|byte| usize::from(*byte));
    let program = &PROGRAMS[rest.next().unwrap_or(0) % PROGRAMS.len()];
    let mut files = program.files.clone();
    let source = rest.next().unwrap_or(0) % files.sources.len();
    let text = &mut files.sources[source].text;
    // Each change: where, how much goes, how much comes, and what.
    while let (Some(high), Some(low), Some(gone), Some(new)) = (rest.next(), rest.next(), rest.next(), rest.next()) {
        let begin = (high << 8 | low) % (text.len() + 1);
        let end = (begin + gone % 16).min(text.len());
        text.splice(begin..end, rest.by_ref().take(new % 16).map(|byte| byte as u8));
    }
    compile_program(&program.wasm, &files);
});
