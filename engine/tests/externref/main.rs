//! Host values in the guest's hands: none is dropped while the guest can reach it, and all are dropped in the end.
//!
//! Each test ends with a live count of exactly zero. Code that collects at every safepoint checks itself, see
//! [`Config::collect_always`].

#![allow(missing_docs, reason = "tests")]

mod drop_handlers;
mod frames;
mod leaks;
mod shuffle;
mod stores;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmscope::{Config, Engine, ExternRef, OptLevel};

/// Counts the host values that are alive.
#[derive(Clone, Default)]
pub struct Live(Arc<AtomicUsize>);

/// How many host values there ever were.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A host value with a number.
pub struct Counted {
    pub id: u32,
    magic: u32,
    live: Live,
}

const MAGIC: u32 = 0x600d_cafe;

impl Live {
    pub fn make(&self, id: u32) -> ExternRef {
        self.0.fetch_add(1, Ordering::Relaxed);
        MADE.fetch_add(1, Ordering::Relaxed);
        ExternRef::new(Counted { id, magic: MAGIC, live: self.clone() })
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert_eq!(self.magic, MAGIC, "dropped twice");
        self.magic = 0;
        self.live.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of a value that must be alive.
pub fn id(reference: &ExternRef) -> u32 {
    let value: &Counted = reference.downcast_ref().expect("a value of these tests");
    assert_eq!(value.magic, MAGIC, "value {} was dropped while it could be reached", value.id);
    value.id
}

/// An engine whose memories reserve little, so that checkers of memory accesses can run these tests.
pub fn engine(opt_level: OptLevel, collect_always: bool) -> Engine {
    let mut config = Config::new();
    config.opt_level(opt_level).collect_always(collect_always);
    if let Ok(bytes) = std::env::var("MEMORY_RESERVATION") {
        let bytes = bytes.parse().expect("MEMORY_RESERVATION is a number of bytes");
        config.memory_reservation(bytes).memory_guard_size(1 << 16);
    }
    Engine::new(&config).expect("valid settings")
}

/// Every kind of code, with a divisor for the number of rounds: what collects everywhere is slow.
pub fn engines() -> Vec<(Engine, u32)> {
    vec![
        (engine(OptLevel::Speed, false), 1),
        (engine(OptLevel::None, false), 10),
        (engine(OptLevel::Speed, true), 500),
        (engine(OptLevel::None, true), 500),
    ]
}
