//! The process's own unwinder walks through registered frames.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod common;

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Body, Module, Random, Shape, function, target};
use cranelift_codegen::isa::CallConv;
use unwind::SectionAddresses;
use unwind::registration::{Region, RegionStatistics, Registration};

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

/// Copies of a module, side by side in one mapping.
struct Neighbours {
    region: Region<Table>,
    forgotten: Arc<AtomicUsize>,
    copies: usize,
    text: u64,
    table_at: usize,
    /// From one copy to the next.
    stride: usize,
    table_len: usize,
    entry: u32,
}

/// A table's memory: it cannot be read once this is dropped.
struct Table {
    section: *const [u8],
    forgotten: Arc<AtomicUsize>,
}

// SAFETY: the section is the test's own, and is not written to.
unsafe impl Send for Table {}

impl Drop for Table {
    fn drop(&mut self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
        // SAFETY: pages of the test's own mapping, which nobody is to read any more.
        let result = unsafe { libc::mprotect(self.section.cast_mut().cast(), self.section.len(), libc::PROT_NONE) };
        assert_eq!(result, 0);
    }
}

impl Neighbours {
    fn new(module: &Module, copies: usize) -> Neighbours {
        let table_at = module.text.len().next_multiple_of(4096);
        let distance = SectionAddresses { eh_frame: table_at as u64, ..SectionAddresses::default() };
        let table = module.table().eh_frame(distance).unwrap();
        let stride = table_at + table.len().next_multiple_of(4096);
        // SAFETY: a fresh mapping, filled within its size before it is made executable.
        let text = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let base = libc::mmap(std::ptr::null_mut(), copies * stride, access, flags, -1, 0);
            assert_ne!(base, libc::MAP_FAILED);
            for copy in 0..copies {
                let at = base.cast::<u8>().add(copy * stride);
                std::ptr::copy_nonoverlapping(module.text.as_ptr(), at, module.text.len());
                std::ptr::copy_nonoverlapping(table.as_ptr(), at.add(table_at), table.len());
            }
            assert_eq!(libc::mprotect(base, copies * stride, libc::PROT_READ | libc::PROT_EXEC), 0);
            base as u64
        };
        let (region, forgotten, entry) = (Region::new(), Arc::default(), module.functions[0].start);
        Neighbours { region, forgotten, copies, text, table_at, stride, table_len: table.len(), entry }
    }

    fn table(&self, copy: usize) -> *const [u8] {
        let begin = self.text as usize + copy * self.stride + self.table_at;
        std::ptr::slice_from_raw_parts(begin as *const u8, self.table_len)
    }

    fn add(&self, copy: usize) {
        let section = self.table(copy);
        // SAFETY: each table is at its distance from its text, can be read until it is forgotten, and lies among its
        // neighbours alone.
        unsafe { self.region.add(section, Table { section, forgotten: self.forgotten.clone() }) }
        self.is_within_bounds();
    }

    fn remove(&self, copy: usize) {
        self.region.remove(self.table(copy).cast());
        self.is_within_bounds();
    }

    fn is_within_bounds(&self) {
        let RegionStatistics { objects, live, dropped, .. } = self.region.statistics();
        let most = if self.region.joins() { (self.copies.ilog2() + 2) as usize } else { live };
        assert!(objects <= most, "{objects} objects for {live} modules");
        assert!(dropped <= live, "{dropped} dropped, {live} live");
    }

    /// A panic runs through this copy's frames to here.
    fn panic_passes(&self, copy: usize) {
        let text = self.text + (copy * self.stride) as u64;
        let context = Context { stack_limit: 0, host: panics, depth_seen: Cell::new(0), text: (text, text) };
        // SAFETY: the chain's first function has this signature.
        let guest: Guest = unsafe { std::mem::transmute((text + u64::from(self.entry)) as *const c_void) };
        let caught = catch_unwind(AssertUnwindSafe(|| guest(&context, 5, 7)));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"from the host"));
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        let RegionStatistics { objects, live, dropped, registered } = self.region.statistics();
        assert_eq!((objects, live, dropped, self.forgotten.load(Ordering::Relaxed)), (0, 0, 0, self.copies));
        // What all registrations took, by sections: n log n for adding, and as much again for dropping.
        let most = self.copies * (self.copies.ilog2() as usize + 3);
        assert!(registered <= most, "{registered} sections registered for {} modules", self.copies);
        // SAFETY: the mapping of `new`; the region has forgotten all of it.
        unsafe { libc::munmap(self.text as *mut c_void, self.copies * self.stride) };
    }
}

/// How many modules the tests below register. At the end of each, all memory is given back.
const MANY: usize = 10_000;

#[test]
fn many_modules_are_dropped_oldest_first() {
    let modules = Neighbours::new(&chain(), MANY);
    (0..MANY).for_each(|copy| modules.add(copy));
    for copy in 0..MANY {
        if copy % 500 == 0 {
            modules.panic_passes(copy);
            modules.panic_passes(MANY - 1);
        }
        modules.remove(copy);
    }
}

#[test]
fn many_modules_are_dropped_newest_first() {
    let modules = Neighbours::new(&chain(), MANY);
    for copy in 0..MANY {
        modules.add(copy);
        if copy % 500 == 0 {
            modules.panic_passes(copy / 2);
        }
    }
    for copy in (0..MANY).rev() {
        if copy % 500 == 0 {
            modules.panic_passes(copy / 2);
        }
        modules.remove(copy);
    }
}

#[test]
fn many_modules_are_added_and_dropped_in_random_order() {
    let modules = Neighbours::new(&chain(), MANY);
    let mut random = Random::new(1);
    let mut live: Vec<usize> = Vec::new();
    let mut added = 0;
    while added < MANY || !live.is_empty() {
        // Two are added for each that is dropped, to the last.
        if added < MANY && random.below(3) > 0 {
            modules.add(added);
            live.push(added);
            added += 1;
        } else if !live.is_empty() {
            modules.remove(live.swap_remove(random.below(live.len())));
        }
        if random.one_in(400) && !live.is_empty() {
            modules.panic_passes(live[random.below(live.len())]);
        }
    }
}

#[test]
fn panics_pass_while_other_modules_come_and_go() {
    const COUNT: usize = 300;
    let modules = Neighbours::new(&chain(), COUNT);
    (0..COUNT / 3).for_each(|copy| modules.add(copy));
    let done = AtomicBool::new(false);
    let kept = 17;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                modules.panic_passes(kept);
            }
        });
        for copy in 0..COUNT - COUNT / 3 {
            modules.add(copy + COUNT / 3);
            if copy != kept {
                modules.remove(copy);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    modules.remove(kept);
    (COUNT - COUNT / 3..COUNT).for_each(|copy| modules.remove(copy));
}

#[test]
fn a_region_forgets_what_is_left_in_it() {
    let modules = Neighbours::new(&chain(), 5);
    (0..5).for_each(|copy| modules.add(copy));
    modules.remove(2);
    let text = modules.text;
    let forgotten = modules.forgotten.clone();
    // Not to be counted as if all had been removed.
    let mut modules = std::mem::ManuallyDrop::new(modules);
    drop(std::mem::take(&mut modules.region));
    assert_eq!(forgotten.load(Ordering::Relaxed), 5);
    // SAFETY: the mapping of `new`.
    unsafe { libc::munmap(text as *mut c_void, modules.copies * modules.stride) };
}

/// What registering and dropping costs, for `valgrind --tool=callgrind --toggle-collect='*measured_work*'`.
#[test]
#[ignore = "a measurement: MODULES, ORDER (oldest, newest, random), ALONE (each a registration of its own), SEEN (sorted by libgcc)"]
fn many_modules_measured() {
    let number = |name: &str, or: usize| std::env::var(name).map_or(or, |value| value.parse().unwrap());
    let (count, alone, seen) = (number("MODULES", MANY), number("ALONE", 0) == 1, number("SEEN", 0) == 1);
    let modules = Neighbours::new(&chain(), count);
    let mut order: Vec<usize> = (0..count).collect();
    match std::env::var("ORDER").as_deref() {
        Ok("newest") => order.reverse(),
        Ok("random") => {
            let mut random = Random::new(1);
            (1..count).rev().for_each(|last| order.swap(last, random.below(last + 1)));
        }
        _ => {}
    }
    let mut registrations: Vec<_> = (0..count).map(|_| None).collect();
    measured_work(|| {
        for (copy, registration) in registrations.iter_mut().enumerate() {
            if alone {
                // SAFETY: as in `add`.
                *registration = Some(unsafe { Registration::new(&*modules.table(copy)) });
            } else {
                modules.add(copy);
            }
        }
    });
    if seen {
        modules.panic_passes(0);
    }
    measured_work(|| {
        for &copy in &order {
            registrations[copy] = None;
            modules.remove(copy);
        }
    });
    println!("{:?}", modules.region.statistics());
    if alone {
        std::process::exit(0);
    }
}

#[inline(never)]
fn measured_work(work: impl FnOnce()) {
    work();
    std::hint::black_box(());
}
