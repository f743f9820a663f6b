//! Threads that wait at addresses of shared memory (`memory.atomic.wait`, `memory.atomic.notify`).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Waiters by host address, first come first served.
type Waiters = HashMap<usize, VecDeque<Arc<Waiter>>>;

static WAITERS: LazyLock<Mutex<Waiters>> = LazyLock::new(Mutex::default);

struct Waiter {
    /// Changed and read with `WAITERS` locked.
    woken: std::sync::atomic::AtomicBool,
    condvar: Condvar,
}

fn lock() -> MutexGuard<'static, Waiters> {
    WAITERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// Another thread notified. As wasm counts: 0.
    Woken,
    /// The value was not the expected one: 1.
    NotEqual,
    /// The time is up: 2.
    TimedOut,
    /// The guest is to be interrupted.
    Interrupted,
}

/// Waits at `address` while it holds what was expected, which `still_expected` tells atomically; at most `timeout`.
pub fn wait(
    address: usize,
    still_expected: impl FnOnce() -> bool,
    timeout: Option<Duration>,
    interrupted: &AtomicU64,
) -> WaitResult {
    /// An interruption comes without a wake-up call: look this often.
    const INTERRUPT_POLL: Duration = Duration::from_millis(20);
    // A timeout beyond what the clock can tell is none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut waiters = lock();
    // Checked under the lock that `notify` takes: a store that precedes a notification is seen here, or we are seen there.
    if !still_expected() {
        return WaitResult::NotEqual;
    }
    let waiter = Arc::new(Waiter { woken: false.into(), condvar: Condvar::new() });
    waiters.entry(address).or_default().push_back(Arc::clone(&waiter));
    let result = loop {
        if waiter.woken.load(Ordering::Relaxed) {
            return WaitResult::Woken;
        }
        if interrupted.load(Ordering::Relaxed) != 0 {
            break WaitResult::Interrupted;
        }
        let now = Instant::now();
        let left = match deadline {
            Some(deadline) if deadline <= now => break WaitResult::TimedOut,
            Some(deadline) => deadline - now,
            None => INTERRUPT_POLL,
        };
        waiters =
            waiter.condvar.wait_timeout(waiters, left.min(INTERRUPT_POLL)).unwrap_or_else(PoisonError::into_inner).0;
    };
    if let Some(queue) = waiters.get_mut(&address) {
        queue.retain(|other| !Arc::ptr_eq(other, &waiter));
        if queue.is_empty() {
            waiters.remove(&address);
        }
    }
    result
}

/// Wakes up to `count` threads that wait at `address`; how many it were.
pub fn notify(address: usize, count: u32) -> u32 {
    let mut waiters = lock();
    let Some(queue) = waiters.get_mut(&address) else { return 0 };
    let mut woken = 0;
    while woken < count
        && let Some(waiter) = queue.pop_front()
    {
        waiter.woken.store(true, Ordering::Relaxed);
        waiter.condvar.notify_one();
        woken += 1;
    }
    if queue.is_empty() {
        waiters.remove(&address);
    }
    woken
}

/// Does a thread wait at an address of this range?
pub fn is_waited_for(start: usize, len: usize) -> bool {
    lock().keys().any(|address| (start..start + len).contains(address))
}

/// The value that a 32-bit wait compares.
///
/// # Safety
///
/// `address` must be valid for reads and a multiple of 4, and may only be written atomically meanwhile.
pub unsafe fn load_u32(address: *const u8) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { (*address.cast::<AtomicU32>()).load(Ordering::SeqCst) }
}

/// The value that a 64-bit wait compares.
///
/// # Safety
///
/// `address` must be valid for reads and a multiple of 8, and may only be written atomically meanwhile.
pub unsafe fn load_u64(address: *const u8) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { (*address.cast::<AtomicU64>()).load(Ordering::SeqCst) }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NEVER: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn an_unexpected_value_is_not_waited_for() {
        assert_eq!(wait(0x10, || false, None, &NEVER), WaitResult::NotEqual);
        assert_eq!(notify(0x10, 1), 0);
    }

    #[test]
    fn a_timeout_is_honoured_and_leaves_no_waiter() {
        let start = Instant::now();
        assert_eq!(wait(0x20, || true, Some(Duration::from_millis(30)), &NEVER), WaitResult::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(30));
        assert!(!is_waited_for(0x20, 1));
        assert_eq!(wait(0x20, || true, Some(Duration::ZERO), &NEVER), WaitResult::TimedOut);
    }

    #[test]
    fn notify_wakes_as_many_as_asked() {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..5).map(|_| scope.spawn(|| wait(0x30, || true, None, &NEVER))).collect();
            while lock().get(&0x30).map_or(0, VecDeque::len) < 5 {
                std::thread::yield_now();
            }
            assert_eq!(notify(0x30, 2), 2);
            assert_eq!(notify(0x30, u32::MAX), 3);
            for thread in threads {
                assert_eq!(thread.join().unwrap(), WaitResult::Woken);
            }
        });
    }

    #[test]
    fn an_interruption_ends_a_wait() {
        let interrupted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| wait(0x40, || true, None, &interrupted));
            interrupted.store(1, Ordering::Relaxed);
            assert_eq!(thread.join().unwrap(), WaitResult::Interrupted);
        });
    }
}
