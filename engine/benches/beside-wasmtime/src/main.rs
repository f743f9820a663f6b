//! Times wasmscope beside Wasmtime in alternating rounds.
//!
//!     cargo run --release -- calls
//!     cargo run --release -- compile 1 FILE.wasm     # on one thread; on two: 2
//!
//! A ratio is the median of the rounds' ratios; below 1, wasmscope is faster. Time is the processor's, of the thread for
//! calls and of the process for compilation, so that other programs on the machine do not count; compilation also has the
//! wall clock's.

use beside_wasmtime::{Work, ours, theirs};

/// Seconds by one of the system's clocks.
fn now(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes to the structure, which lives.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(result, 0, "the clock is there");
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn timed(clock: libc::clockid_t, work: impl FnOnce()) -> f64 {
    let start = now(clock);
    work();
    now(clock) - start
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const ROUNDS: usize = 41;
const BATCH_SECONDS: f64 = 0.01;

fn calls() {
    let clock = libc::CLOCK_THREAD_CPUTIME_ID;
    println!("{:<34} {:>13} {:>13} {:>7}", "", "wasmscope, ns", "Wasmtime, ns", "ratio");
    for (mut a, mut b) in ours::calls().into_iter().zip(theirs::calls()) {
        let mut count = 1000;
        let time = |work: &mut Work, count| timed(clock, || (work.run)(count)) / f64::from(count);
        while time(&mut a, count) * f64::from(count) < BATCH_SECONDS {
            count *= 2;
        }
        let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (time(&mut a, count), time(&mut b, count))).collect();
        let ns = |pick: fn(&(f64, f64)) -> f64| median(rounds.iter().map(pick).collect()) * 1e9;
        let ratio = median(rounds.iter().map(|(a, b)| a / b).collect());
        println!("{:<34} {:>13.2} {:>13.2} {ratio:>7.3}", a.name, ns(|r| r.0), ns(|r| r.1));
    }
}

fn compile(threads: usize, wasm: &[u8]) {
    const ROUNDS: usize = 7;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let run = |compile: fn(&[u8])| {
        let processor = now(libc::CLOCK_PROCESS_CPUTIME_ID);
        let wall = timed(libc::CLOCK_MONOTONIC, || pool.install(|| compile(wasm)));
        (now(libc::CLOCK_PROCESS_CPUTIME_ID) - processor, wall)
    };
    run(ours::compile);
    run(theirs::compile);
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (run(ours::compile), run(theirs::compile))).collect();
    for (what, pick) in [("processor", (|r| r.0) as fn(&(f64, f64)) -> f64), ("wall", |r| r.1)] {
        let ours = median(rounds.iter().map(|(a, _)| pick(a)).collect());
        let theirs = median(rounds.iter().map(|(_, b)| pick(b)).collect());
        let ratio = median(rounds.iter().map(|(a, b)| pick(a) / pick(b)).collect());
        println!("{threads} threads, {what:<10} wasmscope {ours:.3} s, Wasmtime {theirs:.3} s, ratio {ratio:.3}");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["calls"] => calls(),
        ["compile", threads, file] => {
            let wasm = std::fs::read(file).expect("the file can be read");
            compile(threads.parse().expect("a number of threads"), &wasm);
        }
        _ => eprintln!("usage: beside-wasmtime calls | compile THREADS FILE.wasm"),
    }
}
