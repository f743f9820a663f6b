//! Mutates real debug sections for a while and checks what becomes of them: `mutate SECONDS SEED [FOLDER]`. FOLDER has modules
//! with DWARF (default: those of the tests). Prints the number of an input that fails; giving that as SEED repeats it.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/mutated.rs"]
mod mutated;

use std::path::PathBuf;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (Some(Ok(seconds)), Some(Ok(first))) =
        (args.get(1).map(|text| text.parse::<u64>()), args.get(2).map(|text| text.parse::<u64>()))
    else {
        panic!("usage: mutate SECONDS SEED [FOLDER]")
    };
    let inputs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/inputs");
    let seeds = mutated::seeds(&args.get(3).map_or(inputs, PathBuf::from));
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut number, mut findings) = (first, 0);
    while Instant::now() < end || number == first {
        let mut random = mutated::Random(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let seed = &seeds[random.below(seeds.len())];
        let mutated = seed.mutated(|limit| random.below(limit));
        let started = Instant::now();
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| mutated.check())).is_err() {
            findings += 1;
            println!("finding: input {number}");
        }
        if started.elapsed() > Duration::from_secs(20) {
            println!("slow: input {number} took {:?}", started.elapsed());
        }
        number += 1;
    }
    println!("{} inputs, {findings} findings; next seed {number}", number - first);
    assert_eq!(findings, 0);
}
