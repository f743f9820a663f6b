//! A process with compiled code in it, for the stepper: compiles random functions that call each
//! other, tail-call, call the host and are called back, registers them with debuggers, and runs them.
//!
//! `compiled SEED FUNCTIONS DEPTH CALLS [CORRUPTION]`; the last spoils one field of the table.

#[path = "../tests/common/mod.rs"]
mod common;

use std::ffi::c_void;

use common::{Module, TEXT, random_module};

/// Struct `jit_code_entry` of the GDB JIT interface.
#[repr(C)]
struct Entry {
    next: *const Entry,
    previous: *const Entry,
    file: *const u8,
    size: u64,
}

/// Struct `jit_descriptor`.
#[repr(C)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *const Entry,
    first: *const Entry,
}

#[unsafe(no_mangle)]
static mut __jit_debug_descriptor: Descriptor =
    Descriptor { version: 1, action: 0, relevant: std::ptr::null(), first: std::ptr::null() };

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn __jit_debug_register_code() {
    std::hint::black_box(());
}

/// What guest functions are given.
#[repr(C)]
struct Context {
    stack_limit: u64,
    host: extern "C" fn(&Context, i64, i64) -> i64,
    guest: extern "C" fn(&Context, i64, i64) -> i64,
}

extern "C" fn host(context: &Context, depth: i64, value: i64) -> i64 {
    match depth > 1 && value & 3 == 0 {
        true => (context.guest)(context, depth - 1, value >> 2),
        false => value.wrapping_mul(17),
    }
}

/// An ELF file that tells where the module's functions are, with its frame table.
fn image(module: &Module, corruption: u64) -> Vec<u8> {
    let at = module.addresses();
    let mut eh_frame = module.table().eh_frame(at).unwrap();
    if corruption > 0 {
        // Of the first function: advance_loc 1, def_cfa_offset 16, offset rbp 2.
        let found = eh_frame.windows(5).position(|bytes| bytes == [0x41, 0x0e, 0x10, 0x86, 0x02]);
        eh_frame[found.expect("a frame") + if corruption == 1 { 2 } else { 4 }] += 1;
    }
    let mut strings = vec![0];
    let mut symbols = vec![0; 24];
    for (number, function) in module.functions.iter().enumerate() {
        symbols.extend((strings.len() as u32).to_le_bytes());
        symbols.extend([2, 0, 1, 0]); // a local function in section 1
        symbols.extend((TEXT + u64::from(function.start)).to_le_bytes());
        symbols.extend((function.code.len() as u64).to_le_bytes());
        strings.extend(format!("function_{number}\0").bytes());
    }
    let names = b"\0.text\0.eh_frame\0.symtab\0.strtab\0";
    let mut file = vec![0; 64];
    let mut headers = vec![0; 64];
    // name, type, flags, address, contents or size of none, link, info, entry size
    let mut section = |name: u32,
                       kind: u32,
                       flags: u64,
                       address: u64,
                       contents: Result<&[u8], u64>,
                       link: u32,
                       info: u32,
                       entry: u64| {
        let offset = file.len() as u64;
        let size = match contents {
            Ok(contents) => {
                file.extend(contents);
                contents.len() as u64
            }
            Err(size) => size,
        };
        headers.extend(name.to_le_bytes());
        headers.extend(kind.to_le_bytes());
        for value in [flags, address, offset, size] {
            headers.extend(value.to_le_bytes());
        }
        headers.extend(link.to_le_bytes());
        headers.extend(info.to_le_bytes());
        headers.extend(1u64.to_le_bytes());
        headers.extend(entry.to_le_bytes());
    };
    section(1, 8, 6, TEXT, Err(module.text.len() as u64), 0, 0, 0);
    section(7, 1, 2, at.eh_frame, Ok(&eh_frame), 0, 0, 0);
    section(17, 2, 0, 0, Ok(&symbols), 4, symbols.len() as u32 / 24, 24);
    section(25, 3, 0, 0, Ok(&strings), 0, 0, 0);
    section(25, 3, 0, 0, Ok(names), 0, 0, 0);
    let headers_at = file.len() as u64;
    file.extend(headers);
    let mut header = Vec::new();
    header.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    header.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    for value in [0, 0, headers_at] {
        header.extend(value.to_le_bytes());
    }
    header.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 6, 0, 5, 0]);
    file[..64].copy_from_slice(&header);
    file
}

#[allow(dead_code, reason = "the test that includes this file has its own way in")]
fn main() {
    run(std::env::args().skip(1).map(|argument| argument.parse().expect("a number")));
}

/// Does as the arguments say.
pub fn run(mut arguments: impl Iterator<Item = u64>) {
    let mut next = |default| arguments.next().unwrap_or(default);
    let (seed, functions, depth, calls) = (next(1), next(40), next(6), next(10));
    let corruption = next(0);
    let module = random_module(seed, functions as usize, "speed");

    let size = module.text.len();
    // SAFETY: a fresh mapping at an address that nothing else uses (the kernel is told not to replace
    // anything), filled before it is made executable.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let text = libc::mmap(TEXT as *mut c_void, size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_eq!(text as u64, TEXT, "the address of the text is taken");
        std::ptr::copy_nonoverlapping(module.text.as_ptr(), text.cast(), size);
        assert_eq!(libc::mprotect(text, size, libc::PROT_READ | libc::PROT_EXEC), 0);
    }
    let file: &'static [u8] = image(&module, corruption).leak();
    let entry: &'static Entry = Box::leak(Box::new(Entry {
        next: std::ptr::null(),
        previous: std::ptr::null(),
        file: file.as_ptr(),
        size: file.len() as u64,
    }));
    // SAFETY: there is one thread, and nothing else refers to the descriptor.
    unsafe {
        __jit_debug_descriptor = Descriptor { version: 1, action: 1, relevant: entry, first: entry };
    }
    __jit_debug_register_code();

    // SAFETY: function 0 has this signature and the System V convention.
    let guest: extern "C" fn(&Context, i64, i64) -> i64 =
        unsafe { std::mem::transmute((TEXT + u64::from(module.functions[0].start)) as *const c_void) };
    let context = Context { stack_limit: 0, host, guest };
    let mut sum = 0i64;
    for call in 0..calls {
        sum = sum.wrapping_add(guest(&context, depth as i64, call as i64 * 4));
    }
    println!("{sum}");
}
