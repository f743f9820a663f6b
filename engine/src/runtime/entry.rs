//! Entering the guest, and leaving it by a trap or an error.
//!
//! Each entry pushes an [`Activation`], a record on the host's stack that the thread's innermost-activation pointer
//! leads to. Leaving early means restoring the stack pointer that the entry stub saved in it and returning from the stub
//! with 0: every frame between is given up. Those are guest frames, trampolines and the stubs and outermost `extern "C"`
//! functions of this runtime, none of which has anything to drop at that moment.
//!
//! ```text
//! host frame                  calls wasmscope_enter
//! wasmscope_enter             saves rbx rbp r12-r15; saved_rsp -> Activation      <- unwinding lands here
//! array-to-wasm trampoline
//! guest frames ...
//! ( wasm-to-array trampoline -> host function -> a further activation, or
//!   builtin stub -> builtin, or
//!   a fault -> signal handler -> wasmscope_trap_landing )
//! ```

use super::store::StoreOpaque;
use super::vm::{ArrayToWasm, VMContext, VMRuntimeLimits, ValRaw};
use super::{backtrace, collect};
use super::{signals, stack};
use crate::api::{Error, Trap, WasmBacktrace};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::Ordering;

/// One entry into the guest.
#[repr(C)]
pub struct Activation {
    /// The entry stub's stack pointer once it has saved the registers. Offset 0, known to the stub.
    saved_rsp: Cell<usize>,
    /// Offset 8, known to the stub.
    limits: *const VMRuntimeLimits,
    pub store: *mut StoreOpaque,
    /// The thread's next outer activation.
    pub previous: *const Activation,
    /// What `limits` held before this entry: the exit of the store's next outer activation.
    pub outer_exit: (usize, usize),
    pub outer_entry_fp: usize,
    outer_stack_limit: usize,
    /// Why the guest is being left; set before [`unwind`] is called.
    reason: Cell<Option<Reason>>,
    /// What the signal handler found.
    fault: Cell<Fault>,
}

/// A fault in guest code.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    pub trap_code: u8,
    pub pc: usize,
    pub fp: usize,
}

enum Reason {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

/// What an entry needs to know of its thread, in one place so that one access finds all of it.
struct Thread {
    current: Cell<*const Activation>,
    /// Lowest address of the stack; 0 until the thread is prepared.
    stack_low: Cell<usize>,
}

thread_local! {
    static THREAD: Thread = const { Thread { current: Cell::new(ptr::null()), stack_low: Cell::new(0) } };
}

/// This thread's innermost activation, or null. Fit for a signal handler.
pub fn current() -> *const Activation {
    THREAD.with(|thread| thread.current.get())
}

/// Gives the thread what guest code needs; once.
#[cold]
#[inline(never)]
fn prepare_thread() {
    signals::prepare_thread();
    let low = stack::query_stack_low();
    THREAD.with(|thread| thread.stack_low.set(low));
}

core::arch::global_asm!(
    // u32 wasmscope_enter(rdi: *const Activation, rsi: trampoline, rdx: callee, rcx: caller, r8: wasm_call, r9: values)
    ".pushsection .text.wasmscope_enter,\"ax\",@progbits",
    ".p2align 4",
    ".globl wasmscope_enter",
    ".hidden wasmscope_enter",
    ".type wasmscope_enter,@function",
    "wasmscope_enter:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    ".cfi_offset rbx, -24",
    ".cfi_offset r12, -32",
    ".cfi_offset r13, -40",
    ".cfi_offset r14, -48",
    ".cfi_offset r15, -56",
    "mov [rdi], rsp",
    "mov rax, [rdi + 8]",
    "mov [rax + {entry_fp}], rbp",
    "mov rax, rsi",
    "mov rdi, rdx",
    "mov rsi, rcx",
    "mov rdx, r8",
    "mov rcx, r9",
    "call rax",
    "mov eax, 1",
    "2:",
    "mov rbx, [rbp - 8]",
    "mov r12, [rbp - 16]",
    "mov r13, [rbp - 24]",
    "mov r14, [rbp - 32]",
    "mov r15, [rbp - 40]",
    "mov rsp, rbp",
    ".cfi_def_cfa_register rsp",
    "pop rbp",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    ".size wasmscope_enter, . - wasmscope_enter",
    // ! wasmscope_leave(rdi: saved_rsp): returns 0 from the wasmscope_enter that saved it.
    ".p2align 4",
    ".globl wasmscope_leave",
    ".hidden wasmscope_leave",
    ".type wasmscope_leave,@function",
    "wasmscope_leave:",
    ".cfi_startproc",
    // The registers live where the entry stub saved them, below its frame pointer, rdi + 48.
    ".cfi_def_cfa rdi, 64",
    ".cfi_offset rbp, -16",
    ".cfi_offset rbx, -24",
    ".cfi_offset r12, -32",
    ".cfi_offset r13, -40",
    ".cfi_offset r14, -48",
    ".cfi_offset r15, -56",
    "mov rsp, rdi",
    "lea rbp, [rdi + 48]",
    ".cfi_def_cfa rbp, 16",
    "cld",
    "xor eax, eax",
    "jmp 2b",
    ".cfi_endproc",
    ".size wasmscope_leave, . - wasmscope_leave",
    // The signal handler makes a faulting guest instruction continue here, as if it had called this code: its address is
    // on the stack as the return address, the stack pointer it had above that, and rbp is still the guest's frame pointer.
    ".p2align 4",
    ".globl wasmscope_trap_landing",
    ".hidden wasmscope_trap_landing",
    ".type wasmscope_trap_landing,@function",
    "wasmscope_trap_landing:",
    ".cfi_startproc simple",
    ".cfi_signal_frame",
    ".cfi_def_cfa rsp, 8",
    ".cfi_offset rip, -8",
    ".cfi_offset rsp, 0",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "cld",
    "call {landed}",
    "ud2",
    ".cfi_endproc",
    ".size wasmscope_trap_landing, . - wasmscope_trap_landing",
    ".popsection",
    entry_fp = const crate::environ::vmoffsets::limits::LAST_WASM_ENTRY_FP,
    landed = sym trap_landed,
);

#[allow(improper_ctypes, reason = "the stub only passes the pointers on, and knows the activation's first two fields")]
unsafe extern "C" {
    fn wasmscope_enter(
        activation: *const Activation,
        trampoline: ArrayToWasm,
        callee: *mut u8,
        caller: *mut u8,
        wasm_call: *const u8,
        values: *mut ValRaw,
    ) -> u32;
    fn wasmscope_leave(saved_rsp: usize) -> !;
    fn wasmscope_trap_landing() -> !;
}

/// Distance between the stack pointer that the entry stub saves and its frame pointer.
const ENTRY_FRAME: usize = 48;

impl Activation {
    /// The entry stub's frame pointer: guest frames lie below.
    pub fn entry_fp(&self) -> usize {
        self.saved_rsp.get() + ENTRY_FRAME
    }

    /// Where the signal handler lets the thread continue, with which stack pointer, after noting the fault.
    /// Fit for a signal handler.
    pub fn land(&self, fault: Fault, rsp: usize) -> (usize, usize) {
        const RED_ZONE: usize = 128;
        self.fault.set(fault);
        // As after a call: the return address lies at a multiple of 16, minus 8.
        let landing = ((rsp - RED_ZONE - 16) & !15) - 8;
        // SAFETY: this lies below the faulting guest frame on the stack that it runs on. Guest frames end above the stack
        // limit, below which the stack has room for the host.
        unsafe { (landing as *mut [usize; 2]).write([fault.pc, rsp]) };
        (wasmscope_trap_landing as *const () as usize, landing)
    }
}

/// Calls a guest function from the host with arguments and results in `values`.
///
/// # Safety
///
/// `trampoline`, `callee` and `wasm_call` must be of one function of the store, and `values` must have a slot for each of
/// its parameters, which must be of the right types, and for each of its results.
#[inline]
pub unsafe fn enter(
    store: *mut StoreOpaque,
    trampoline: ArrayToWasm,
    callee: *mut u8,
    wasm_call: *const u8,
    values: *mut ValRaw,
) -> Result<(), Error> {
    // SAFETY: plain cells of this thread, which stay where they are until it ends; guest code does not outlive that.
    let thread: &Thread = unsafe { &*THREAD.with(ptr::from_ref) };
    if thread.stack_low.get() == 0 {
        prepare_thread();
    }
    // SAFETY: the caller's store is alive; its limits outlive it.
    let (limits, max_wasm_stack) = unsafe { ((*store).limits_ptr(), (*store).max_wasm_stack()) };
    // SAFETY: as above.
    let shared = unsafe { &*limits };
    let previous = thread.current.get();
    let outer_stack_limit = shared.stack_limit.load(Ordering::Relaxed);
    // The limit of an activation on another thread, which has lent the store to this one, says nothing of this stack.
    let lent = outer_stack_limit != usize::MAX && !is_entered(previous, store);
    let outer = if lent { usize::MAX } else { outer_stack_limit };
    let Some(stack_limit) = stack::guest_limit(max_wasm_stack, outer, thread.stack_low.get()) else {
        return Err(no_stack());
    };
    shared.stack_limit.store(stack_limit, Ordering::Relaxed);
    let activation = Activation {
        saved_rsp: Cell::new(0),
        limits,
        store,
        previous,
        outer_exit: (
            shared.last_wasm_exit_pc.load(Ordering::Relaxed),
            shared.last_wasm_exit_fp.load(Ordering::Relaxed),
        ),
        outer_entry_fp: shared.last_wasm_entry_fp.load(Ordering::Relaxed),
        outer_stack_limit,
        reason: Cell::new(None),
        fault: Cell::new(Fault::default()),
    };
    thread.current.set(&activation);
    // SAFETY: the caller's promise; `activation` lives until the call returns.
    let finished = unsafe { wasmscope_enter(&activation, trampoline, callee, callee, wasm_call, values) };
    thread.current.set(previous);
    shared.stack_limit.store(activation.outer_stack_limit, Ordering::Relaxed);
    shared.last_wasm_exit_pc.store(activation.outer_exit.0, Ordering::Relaxed);
    shared.last_wasm_exit_fp.store(activation.outer_exit.1, Ordering::Relaxed);
    shared.last_wasm_entry_fp.store(activation.outer_entry_fp, Ordering::Relaxed);
    if finished != 0 { Ok(()) } else { Err(left(&activation, shared)) }
}

/// Has this thread, whose innermost activation is `innermost`, entered the store?
fn is_entered(innermost: *const Activation, store: *mut StoreOpaque) -> bool {
    let mut next = innermost;
    // SAFETY: activations live until they are left, and each is left before the one outside it.
    while let Some(activation) = unsafe { next.as_ref() } {
        if ptr::eq(activation.store, store) {
            return true;
        }
        next = activation.previous;
    }
    false
}

#[cold]
fn no_stack() -> Error {
    Error::new(Trap::StackOverflow)
}

/// The error that the guest was left with.
#[cold]
fn left(activation: &Activation, limits: &VMRuntimeLimits) -> Error {
    match activation.reason.take() {
        Some(Reason::Error(error)) => {
            if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
                // The interruption has been served.
                limits.interrupted.store(0, Ordering::Relaxed);
            }
            error
        }
        Some(Reason::Panic(payload)) => std::panic::resume_unwind(payload),
        None => unreachable!("the guest is left by `leave_with` or by `raise`, which have a reason"),
    }
}

/// Leaves the guest of the innermost activation.
///
/// # Safety
///
/// The thread must have an activation whose reason is set, and no frame up to its entry may have anything to drop.
unsafe fn leave() -> ! {
    // SAFETY: the caller promises an activation; it lies in a frame of `enter` that is still there.
    let saved_rsp = unsafe { (*current()).saved_rsp.get() };
    // SAFETY: saved by the entry stub of this activation, whose frame is still there.
    unsafe { wasmscope_leave(saved_rsp) }
}

/// Notes why the guest has to be left; [`leave`] follows.
#[cold]
#[inline(never)]
fn set_reason(reason: Reason) {
    // SAFETY: the thread's current activation lies in a frame of `enter` that is still there.
    let activation = unsafe { current().as_ref() }.expect("guest code runs in an activation");
    activation.reason.set(Some(reason));
}

/// Runs the body of a host function that the guest called: 0 if it returned normally, else 1 and the error or panic waits
/// for [`raise`].
///
/// Always inlined: what the body has captured then stays in registers.
#[inline(always)]
pub fn host_function(store: *mut StoreOpaque, body: impl FnOnce() -> Result<(), Error>) -> u8 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => host_function_failed(store, error),
        Err(payload) => {
            set_reason(Reason::Panic(payload));
            1
        }
    }
}

/// Keeps a host function's error for [`raise`]; 1.
#[cold]
#[inline(never)]
fn host_function_failed(store: *mut StoreOpaque, error: Error) -> u8 {
    let error = if error.backtrace().is_some() { error } else { error.with_backtrace(at_exit(store)) };
    set_reason(Reason::Error(error));
    1
}

/// Runs the body of a built-in function. An error or panic leaves the guest; the body must have dropped what it owned.
///
/// # Safety
///
/// Must be called by the outermost function that the guest called, which must have nothing to drop.
pub unsafe fn builtin<R>(vmctx: *mut VMContext, body: impl FnOnce() -> Result<R, Error>) -> R {
    let body = || {
        let result = body()?;
        // SAFETY: the guest passes its own context, and waits.
        unsafe {
            if (*(*vmctx).store).collects_always() {
                collect::collect((*vmctx).store, None);
            }
        }
        Ok::<R, Error>(result)
    };
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(result)) => result,
        failure => {
            if let Ok(Err(error)) = &failure
                && error.downcast_ref::<Trap>().is_some()
                && super::signals::dumps_core()
            {
                // The guest's frames are below this one.
                std::process::abort();
            }
            {
                set_reason(match failure {
                    Ok(Ok(_)) => unreachable!("matched above"),
                    // SAFETY: the guest passes its own context.
                    Ok(Err(error)) => Reason::Error(error.with_backtrace(at_exit(unsafe { (*vmctx).store }))),
                    Err(payload) => Reason::Panic(payload),
                });
            }
            // SAFETY: the reason is set, and the caller has nothing to drop.
            unsafe { leave() }
        }
    }
}

/// The built-in function `raise`: a host function has left a reason.
///
/// # Safety
///
/// As [`leave`].
pub unsafe fn raise() -> ! {
    // SAFETY: a host function that returned 1 has set the reason (`host_function`).
    unsafe { leave() }
}

/// What `wasmscope_trap_landing` calls, on the guest's stack but outside the signal handler.
unsafe extern "C" fn trap_landed() -> ! {
    {
        // SAFETY: the signal handler only lands threads with an activation.
        let activation = unsafe { &*current() };
        let fault = activation.fault.get();
        let trap = Trap::from_u8(fault.trap_code).unwrap_or(Trap::UnreachableCodeReached);
        let mut error = Error::new(trap);
        // SAFETY: the activation's store is alive and only borrowed by frames that wait for this call.
        if unsafe { (*activation.store).wants_backtraces() } {
            let raw = backtrace::capture(Some((fault.pc, fault.fp)));
            // SAFETY: as above.
            error = error.with_backtrace(Some(WasmBacktrace::new(raw, unsafe { &*activation.store })));
        }
        set_reason(Reason::Error(error));
    }
    // SAFETY: the reason is set; the block above has dropped everything; the frames up to the entry are the guest's.
    unsafe { leave() }
}

/// The guest's stack, innermost the frame that called the host last.
fn at_exit(store: *mut StoreOpaque) -> Option<WasmBacktrace> {
    // SAFETY: called on behalf of the guest of this store, which is alive and waits.
    let store = unsafe { &*store };
    store.wants_backtraces().then(|| WasmBacktrace::new(backtrace::capture(None), store))
}

impl Activation {
    /// The store's limits.
    pub fn limits(&self) -> &VMRuntimeLimits {
        // SAFETY: limits outlive their store, which outlives its activations.
        unsafe { &*self.limits }
    }
}
