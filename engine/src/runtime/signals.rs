//! Faults of guest code become traps.
//!
//! The handlers are installed once for the process. A fault whose pc lies in loaded guest code at an instruction that is
//! in the trap table is the guest's; every other fault is passed on to whoever handled the signal before.

use super::code;
use super::entry::{self, Fault};
use artifact::TrapCode;
use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

const SIGNALS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What handled each of `SIGNALS` before; written once before our handler is installed.
static mut PREVIOUS: [MaybeUninit<libc::sigaction>; SIGNALS.len()] = [MaybeUninit::uninit(); SIGNALS.len()];

static INSTALL: Once = Once::new();

/// Does a trap end the process, so that the system writes a core file?
static DUMP_CORE: AtomicBool = AtomicBool::new(false);

/// Lets traps end the process from now on, and the system write a core file as large as it may.
pub fn dump_core_on_trap() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid structure.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if limit.rlim_cur == 0 {
        return Err(io::Error::other("the hard limit for the size of core files is 0 (`ulimit -H -c`)"));
    }
    DUMP_CORE.store(true, Ordering::Relaxed);
    Ok(())
}

/// Is a trap to end the process?
pub fn dumps_core() -> bool {
    DUMP_CORE.load(Ordering::Relaxed)
}

/// Installs the process's handlers.
pub fn install() {
    INSTALL.call_once(|| {
        for (i, &signal) in SIGNALS.iter().enumerate() {
            // SAFETY: `PREVIOUS` is only written here, once, and each element before the handler that reads it can run.
            // The action is fully initialized; `handler` has the signature that SA_SIGINFO asks for.
            unsafe {
                let previous = (&raw mut PREVIOUS).cast::<libc::sigaction>().add(i);
                libc::sigaction(signal, ptr::null(), previous);
                let mut action: libc::sigaction = std::mem::zeroed();
                // SA_NODEFER: the handler returns to other code than was interrupted, and a fault of that code (a trap in
                // a host function's nested guest) must be delivered.
                action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_ONSTACK;
                action.sa_sigaction = handler as *const () as usize;
                libc::sigemptyset(&raw mut action.sa_mask);
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
        }
    });
}

unsafe extern "C" fn handler(signal: libc::c_int, siginfo: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a `ucontext_t`.
    if unsafe { handle_guest_fault(signal, context.cast()) } {
        return;
    }
    // SAFETY: the arguments are the kernel's.
    unsafe { pass_on(signal, siginfo, context) };
}

/// Makes the guest trap if the fault is the guest's. Takes no lock and allocates nothing.
///
/// # Safety
///
/// `context` must be what the kernel passed to the handler.
unsafe fn handle_guest_fault(signal: libc::c_int, context: *mut libc::ucontext_t) -> bool {
    // SAFETY: the thread's current activation, if any, lies in a frame of `enter` that is still there.
    let Some(activation) = (unsafe { entry::current().as_ref() }) else { return false };
    // SAFETY: the caller's promise.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    let register = |number: libc::c_int| registers[number as usize] as usize;
    let pc = register(libc::REG_RIP);
    let trap_code = code::lookup(pc, |code, offset| {
        // Trampolines have traps too: their stack checks.
        code.artifact().trap_at(offset).map(|trap| trap.code)
    });
    let Some(Some(trap_code)) = trap_code else { return false };
    // A hardware division error covers two traps; the table says which one the instruction is compiled for, and a
    // division that also overflows is checked before. Nothing else depends on the signal.
    if dumps_core() {
        // The instruction faults once more when we return, and the default action is taken at it.
        // SAFETY: sets an action that needs nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return true;
    }
    debug_assert!(TrapCode::from_u8(trap_code).is_some());
    let fault = Fault { trap_code, pc, fp: register(libc::REG_RBP) };
    let (rip, rsp) = activation.land(fault, register(libc::REG_RSP));
    registers[libc::REG_RIP as usize] = rip as i64;
    registers[libc::REG_RSP as usize] = rsp as i64;
    true
}

/// Does what would have happened without us.
///
/// # Safety
///
/// The arguments must be those of the handler.
unsafe fn pass_on(signal: libc::c_int, siginfo: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(index) = SIGNALS.iter().position(|&other| other == signal) else { return };
    // SAFETY: written before our handler was installed, and never again.
    let previous = unsafe { &*(&raw const PREVIOUS).cast::<libc::sigaction>().add(index) };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // The faulting instruction runs again when we return, and then the default action (a core dump at the right
            // place) is taken. Ignoring a fault is not possible; the kernel takes the default action too.
            // SAFETY: `previous` is a valid action.
            unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
        }
        previous_handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: installed with SA_SIGINFO, so that it has this signature.
            let previous_handler: unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(previous_handler) };
            // SAFETY: the arguments are the kernel's.
            unsafe { previous_handler(signal, siginfo, context) };
        }
        previous_handler => {
            // SAFETY: installed without SA_SIGINFO, so that it has this signature.
            let previous_handler: unsafe extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(previous_handler) };
            // SAFETY: the argument is the kernel's.
            unsafe { previous_handler(signal) };
        }
    }
}

thread_local! {
    static ALTERNATE_STACK: Cell<Option<AlternateStack>> = const { Cell::new(None) };
}

/// Gives this thread an alternate signal stack unless it has one of sufficient size. To be called once in a thread.
pub fn prepare_thread() {
    /// The handler itself is small; handlers that it chains to (the standard library's, a sanitizer's) are not.
    const SIZE: usize = 64 << 10;
    // SAFETY: `sigaltstack` writes the old stack to `old`, and reads a description of live memory from `new`. The memory
    // is freed by `AlternateStack::drop`, which takes it out of use before.
    unsafe {
        let mut old: libc::stack_t = std::mem::zeroed();
        if libc::sigaltstack(ptr::null(), &raw mut old) == 0
            && old.ss_flags & libc::SS_DISABLE == 0
            && old.ss_size >= SIZE
        {
            return;
        }
        let Ok(mapping) = super::mmap::Mapping::reserve(SIZE + super::mmap::page_size()) else { return };
        let guard = super::mmap::page_size();
        if mapping.make_accessible(guard, SIZE).is_err() {
            return;
        }
        let new = libc::stack_t { ss_sp: mapping.base().add(guard).cast(), ss_flags: 0, ss_size: SIZE };
        if libc::sigaltstack(&raw const new, ptr::null_mut()) == 0 {
            ALTERNATE_STACK.set(Some(AlternateStack { old, mapping }));
        }
    }
}

/// The alternate stack that we gave to a thread; ends with the thread.
struct AlternateStack {
    old: libc::stack_t,
    mapping: super::mmap::Mapping,
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        // SAFETY: puts back the stack that was in use before, which this thread owns, if ours is still in use. `old`
        // may say that there was none.
        unsafe {
            let mut current: libc::stack_t = std::mem::zeroed();
            libc::sigaltstack(ptr::null(), &raw mut current);
            let end = self.mapping.base().wrapping_add(self.mapping.len());
            if (self.mapping.base()..end).contains(&current.ss_sp.cast()) {
                libc::sigaltstack(&raw const self.old, ptr::null_mut());
            }
        }
    }
}
