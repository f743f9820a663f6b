#![no_main]
//! The bytes choose a module of the transform's tests and what is changed in its debug sections.

#[path = "../../dwarf-transform/tests/common/mod.rs"]
mod common;
#[path = "../../dwarf-transform/tests/common/mutated.rs"]
mod mutated;

use std::path::Path;
use std::sync::LazyLock;

static SEEDS: LazyLock<Vec<mutated::Seed>> = LazyLock::new(|| {
    mutated::seeds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../dwarf-transform/tests/inputs"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes.chunks(2);
    let mut next = |limit: usize| {
        let number = rest.next().map_or(0, |chunk| chunk.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)));
        number % limit.max(1)
    };
    let seed = &SEEDS[next(SEEDS.len())];
    seed.mutated(next).check();
});
