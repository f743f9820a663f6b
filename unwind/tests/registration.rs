//! The process's own unwinder walks through registered frames.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod common;

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use common::{Body, Module, Shape, function, random_module, target};
use cranelift_codegen::isa::CallConv;
use unwind::SectionAddresses;
use unwind::registration::Registration;

/// What guest functions are given; the layout is known to `Body::call_host`.
#[repr(C)]
struct Context {
    stack_limit: u64,
    host: extern "C-unwind" fn(&Context, i64, i64) -> i64,
    depth_seen: Cell<usize>,
    text: (u64, u64),
}

type Guest = extern "C-unwind" fn(&Context, i64, i64) -> i64;

/// Code and table in memory.
struct Mapped {
    at: SectionAddresses,
    eh_frame: Vec<u8>,
    size: usize,
}

impl Mapped {
    fn new(module: &Module) -> Mapped {
        let size = module.text.len().next_multiple_of(4096);
        // A table of 32-bit distances has to be near: both go into one mapping.
        let room = size + module.table().eh_frame(SectionAddresses::default()).unwrap().len() + 4096;
        // SAFETY: a fresh mapping, filled within its size before it is made executable.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
            let text = libc::mmap(std::ptr::null_mut(), room, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_ne!(text, libc::MAP_FAILED);
            std::ptr::copy_nonoverlapping(module.text.as_ptr(), text.cast(), module.text.len());
            let at = SectionAddresses { text: text as u64, eh_frame: text as u64 + size as u64, eh_frame_hdr: 0 };
            let eh_frame = module.table().eh_frame(at).unwrap();
            std::ptr::copy_nonoverlapping(eh_frame.as_ptr(), at.eh_frame as *mut u8, eh_frame.len());
            assert_eq!(libc::mprotect(text, size, libc::PROT_READ | libc::PROT_EXEC), 0);
            Mapped { at, eh_frame, size: room }
        }
    }

    fn registered(&self) -> Registration<'_> {
        // SAFETY: the table was written for its place in the mapping, which lives as long as `self`.
        unsafe { Registration::new(std::slice::from_raw_parts(self.at.eh_frame as *const u8, self.eh_frame.len())) }
    }

    fn guest(&self, start: u32) -> Guest {
        // SAFETY: the functions called here are compiled with this signature.
        unsafe { std::mem::transmute((self.at.text + u64::from(start)) as *const c_void) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; nothing refers to it any more.
        unsafe { libc::munmap(self.at.text as *mut c_void, self.size) };
    }
}

/// A chain of functions of all kinds: direct calls, stack arguments, a slid frame; the host at its end.
fn chain() -> Module {
    let isa = target("x86_64-unknown-linux-gnu", "speed");
    let shapes = [
        Shape::new(CallConv::SystemV, 1),
        Shape::new(CallConv::Tail, 12),
        Shape::new(CallConv::Tail, 0),
        Shape::new(CallConv::Tail, 9),
    ];
    let call_then_finish = |callee: usize| {
        move |body: &mut Body<'_>| {
            body.call(callee, false);
            body.finish();
        }
    };
    let functions = vec![
        function(&shapes, 0, call_then_finish(1)),
        function(&shapes, 1, call_then_finish(2)),
        function(&shapes, 2, |body| {
            body.call(3, false);
            body.return_at_the_bottom();
            body.tail_call(3, false);
        }),
        function(&shapes, 3, |body| {
            body.call_host();
            body.finish();
        }),
    ];
    Module::compile(&*isa, functions)
}

extern "C-unwind" fn panics(_: &Context, _: i64, _: i64) -> i64 {
    panic!("from the host")
}

extern "C-unwind" fn counts_frames(context: &Context, _: i64, value: i64) -> i64 {
    extern "C" fn count(frame: *mut c_void, context: *mut c_void) -> i32 {
        unsafe extern "C" {
            fn _Unwind_GetIP(frame: *mut c_void) -> usize;
        }
        // SAFETY: the unwinder gives a frame to ask about, and the context given below.
        let (pc, context) = unsafe { (_Unwind_GetIP(frame) as u64, &*context.cast::<Context>()) };
        if (context.text.0..context.text.1).contains(&pc) {
            context.depth_seen.set(context.depth_seen.get() + 1);
        }
        0
    }
    unsafe extern "C" {
        fn _Unwind_Backtrace(callback: extern "C" fn(*mut c_void, *mut c_void) -> i32, argument: *mut c_void) -> i32;
    }
    // SAFETY: the callback takes the context as what it is.
    unsafe { _Unwind_Backtrace(count, (&raw const *context).cast_mut().cast()) };
    value
}

fn context(mapped: &Mapped, host: extern "C-unwind" fn(&Context, i64, i64) -> i64) -> Context {
    let text = (mapped.at.text, mapped.at.eh_frame);
    Context { stack_limit: 0, host, depth_seen: Cell::new(0), text }
}

#[test]
fn panics_of_the_host_pass_through_compiled_frames() {
    let module = chain();
    let mapped = Mapped::new(&module);
    let registration = mapped.registered();
    let context = context(&mapped, panics);
    let guest = mapped.guest(module.functions[0].start);
    for _ in 0..3 {
        let kept = [1, 2, 3].map(std::hint::black_box);
        let caught = catch_unwind(AssertUnwindSafe(|| guest(&context, 5, 7)));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"from the host"));
        assert_eq!(kept, [1, 2, 3]);
    }
    drop(registration);
}

#[test]
fn backtraces_of_the_process_see_all_compiled_frames() {
    let module = chain();
    let mapped = Mapped::new(&module);
    let registration = mapped.registered();
    let context = context(&mapped, counts_frames);
    let guest = mapped.guest(module.functions[0].start);
    guest(&context, 1, 7);
    // Depth 1: function 2 is at the bottom after its first call and returns, so the host is called
    // once, below functions 0, 1, 2 and 3.
    assert_eq!(context.depth_seen.get() % 4, 0);
    assert!(context.depth_seen.get() >= 4, "{} frames", context.depth_seen.get());
    drop(registration);

    // Without the table the walk ends where compiled code begins: at the return into function 3.
    context.depth_seen.set(0);
    guest(&context, 1, 7);
    assert!(context.depth_seen.get() <= 2, "{} frames", context.depth_seen.get());
}

#[test]
fn many_modules_are_registered_and_dropped_in_linear_time() {
    let module = random_module(1, 8, "none");
    let time = |count: usize, oldest_first: bool| {
        let mapped: Vec<Mapped> = (0..count).map(|_| Mapped::new(&module)).collect();
        let start = Instant::now();
        // One after another, and then all at once.
        mapped.iter().for_each(|mapped| drop(mapped.registered()));
        let mut registrations: Vec<_> = mapped.iter().map(Mapped::registered).collect();
        if !oldest_first {
            registrations.reverse();
        }
        drop(registrations);
        start.elapsed()
    };
    time(100, false);
    let (few, many) = (time(1000, false), time(10_000, false));
    let oldest_first = (time(1000, true), time(10_000, true));
    println!("1000: {few:?}, 10000: {many:?}; the oldest dropped first: {oldest_first:?}");
    // Ten times as many; three times that for the noise of a busy machine.
    assert!(many < few * 30 + Duration::from_millis(20), "{few:?} for 1000, {many:?} for 10000");
}
