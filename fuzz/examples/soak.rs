//! Runs one check on pseudo-random input for a while: `soak TARGET SECONDS SEED`; or `soak corpus COUNT FOLDER`.

use std::io::Write;
use std::time::{Duration, Instant};
use wasmscope_fuzz::mutate::{Random, mutate, mutate_program};
use wasmscope_fuzz::{checks, generate};

/// A generated module for each seed that gives one.
fn module(seed: u64) -> Option<Vec<u8>> {
    let mut random = Random(seed);
    let length = 200 + random.below(6000);
    generate::module(&random.bytes(length)).ok()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, target, amount, last] = &args[..] else {
        panic!("usage: soak compile_bytes|load_artifact|differential|program SECONDS SEED, or soak corpus COUNT FOLDER")
    };
    let amount: u64 = amount.parse().expect("a number");
    if target == "corpus" {
        for (seed, wasm) in
            (0..).filter_map(|seed| Some((seed, module(seed)?))).filter(|m| m.1.len() > 300).take(amount as usize)
        {
            std::fs::write(format!("{last}/smith-{seed:04}.wasm"), wasm).expect("the folder is writable");
        }
        return;
    }
    let mut seed: u64 = last.parse().expect("a seed");
    let programs = checks::programs(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/programs").as_ref());
    let end = Instant::now() + Duration::from_secs(amount);
    let (mut inputs, mut compared) = (0u64, 0u64);
    while Instant::now() < end {
        let Some(wasm) = module(seed) else {
            seed += 1;
            continue;
        };
        let mut random = Random(!seed);
        let run = || match target.as_str() {
            "compile_bytes" => {
                for _ in 0..8 {
                    checks::compile_bytes(&mutate(&wasm, &mut random));
                }
                true
            }
            "load_artifact" => {
                if let Ok(artifact) = wasmscope::compile::compile(&wasm, &wasmscope::Tunables::default()) {
                    for _ in 0..32 {
                        checks::load_artifact(&mutate(&artifact, &mut random));
                    }
                }
                true
            }
            "differential" => checks::agree_with_oracle(&wasm),
            "program" => {
                let program = &programs[random.below(programs.len())];
                let (wasm, files) = mutate_program(&program.wasm, &program.files, &mut random);
                checks::compile_program(&wasm, &files);
                true
            }
            other => panic!("no target {other:?}"),
        };
        // For a crash that nothing catches.
        if std::env::var_os("SOAK_VERBOSE").is_some() {
            eprintln!("seed {seed}");
        }
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(true) => compared += 1,
            Ok(false) => {}
            Err(_) => {
                let path = format!("finding-{target}-{seed}.wasm");
                std::fs::write(&path, &wasm).expect("the folder is writable");
                println!("finding: {path}");
            }
        }
        inputs += 1;
        seed += 1;
    }
    println!("{target}: {inputs} inputs, {compared} of them checked to the end; next seed {seed}");
    std::io::stdout().flush().expect("stdout");
}
