//! How far the guest may use the native stack.

/// Stack that is left to the host when the guest has used up its share: host functions, signal landing, backtraces.
const HOST_RESERVE: usize = 256 << 10;

/// The limit for guest frames that begin here, or `None` if there is no room for any.
///
/// `stack_low` is the lowest address of this thread's stack. `outer` is the limit of the store's enclosing activation
/// (`usize::MAX`: none). It stays in force, so that recursion through the host gets no new share each time.
#[inline]
pub fn guest_limit(max_wasm_stack: usize, outer: usize, stack_low: usize) -> Option<usize> {
    /// What a trampoline and a small guest function take at least.
    const LEAST: usize = 4 << 10;
    let here = here();
    if outer != usize::MAX {
        return (here > outer + LEAST).then_some(outer);
    }
    let floor = stack_low.saturating_add(HOST_RESERVE);
    let limit = here.saturating_sub(max_wasm_stack).max(floor);
    (here > limit.saturating_add(LEAST)).then_some(limit)
}

/// The stack pointer.
#[inline(always)]
fn here() -> usize {
    let here: usize;
    // SAFETY: copies a register.
    unsafe { std::arch::asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags)) };
    here
}

/// The lowest address of this thread's stack. Asks the C library; if it does not know, assumes 1 MiB below here.
pub fn query_stack_low() -> usize {
    let here = here();
    let mut low = here.saturating_sub(1 << 20);
    // SAFETY: `attributes` is initialized by `pthread_getattr_np` before it is read, and destroyed once.
    unsafe {
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0 {
            let (mut address, mut size) = (std::ptr::null_mut(), 0);
            if libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut address, &raw mut size) == 0 {
                low = address as usize;
            }
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_gets_what_was_asked_for_but_not_the_hosts_reserve() {
        let (here, low) = (here(), query_stack_low());
        let limit = guest_limit(64 << 10, usize::MAX, low).unwrap();
        assert!(here - limit <= (64 << 10) + 4096 && here > limit);
        let all = guest_limit(usize::MAX, usize::MAX, low).unwrap();
        assert_eq!(all, low + HOST_RESERVE);
    }

    #[test]
    fn an_enclosing_limit_stays_in_force() {
        let low = query_stack_low();
        let outer = guest_limit(64 << 10, usize::MAX, low).unwrap();
        assert_eq!(guest_limit(1 << 20, outer, low), Some(outer));
        let here = here();
        assert_eq!(guest_limit(1 << 20, here, low), None);
    }
}
