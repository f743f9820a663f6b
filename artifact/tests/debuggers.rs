//! The registered image, in the hands of stock debuggers.
//!
//! The test program is its own debuggee: gdb and lldb start it again with the one ignored test, which maps the sample's
//! code, registers the image for it and calls the code.

mod sample;

use std::process::Command;

use artifact::{Artifact, LoadedModule, registered_image};

const DEBUGGEE: &str = "debuggee_runs_registered_code";

/// The GDB JIT interface, as its manual lays it out.
mod jit {
    use std::ptr;

    #[repr(C)]
    pub struct Entry {
        pub next: *mut Entry,
        pub previous: *mut Entry,
        pub image: *const u8,
        pub size: u64,
    }

    #[repr(C)]
    pub struct Descriptor {
        pub version: u32,
        pub action: u32,
        pub relevant: *mut Entry,
        pub first: *mut Entry,
    }

    #[unsafe(no_mangle)]
    pub static mut __jit_debug_descriptor: Descriptor =
        Descriptor { version: 1, action: 0, relevant: ptr::null_mut(), first: ptr::null_mut() };

    #[unsafe(no_mangle)]
    #[inline(never)]
    pub extern "C" fn __jit_debug_register_code() {
        std::hint::black_box(());
    }

    pub fn register(image: &'static [u8]) {
        let entry =
            Entry { next: ptr::null_mut(), previous: ptr::null_mut(), image: image.as_ptr(), size: image.len() as u64 };
        let entry = Box::into_raw(Box::new(entry));
        // SAFETY: one thread registers one image; the debugger reads while the process stands still.
        unsafe {
            let descriptor = &raw mut __jit_debug_descriptor;
            (*descriptor).relevant = entry;
            (*descriptor).first = entry;
            (*descriptor).action = 1;
        }
        __jit_debug_register_code();
    }
}

#[test]
#[ignore = "run by a debugger"]
fn debuggee_runs_registered_code() {
    let bytes = sample::bytes();
    let artifact = Artifact::parse(&bytes).unwrap();
    let code = artifact.text();
    // SAFETY: a fresh anonymous mapping, filled before it becomes executable; the code keeps to the C ABI.
    let outer: extern "C" fn(i32) -> i32 = unsafe {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let memory = libc::mmap(std::ptr::null_mut(), 4096, rights, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        memory.cast::<u8>().copy_from_nonoverlapping(code.as_ptr(), code.len());
        assert_eq!(libc::mprotect(memory, 4096, libc::PROT_READ | libc::PROT_EXEC), 0);
        std::mem::transmute(memory.byte_add(sample::OUTER_AT as usize))
    };
    let cell: &'static u64 = Box::leak(Box::new(42));
    let text_address = outer as usize as u64 - u64::from(sample::OUTER_AT);
    let image = registered_image(LoadedModule {
        artifact: &artifact,
        text_address,
        cell_address: std::ptr::from_ref(cell) as u64,
    })
    .unwrap();
    jit::register(image.leak());
    assert_eq!(outer(5), 12);
}

fn session(debugger: &str, arguments: &[&str], separator: &str) -> String {
    let output = Command::new(debugger)
        .args(arguments)
        .arg(separator)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", DEBUGGEE, "--test-threads=1"])
        .output()
        .unwrap_or_else(|error| panic!("this test needs {debugger}: {error}"));
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_in_order(text: &str, needles: &[&str]) {
    let mut rest = text;
    for needle in needles {
        let Some(at) = rest.find(needle) else { panic!("{needle:?} is missing (in this order) from:\n{text}") };
        rest = &rest[at + needle.len()..];
    }
}

#[test]
fn gdb_shows_registered_code() {
    let commands = [
        "set debuginfod enabled off",
        "set breakpoint pending on",
        "break guest.c:4",
        "run",
        "backtrace 2",
        "info args",
        "print sample_counter",
        "set var sample_counter = 43",
        "print sample_counter",
        "up",
        "print n",
        "down",
        "info symbol $pc",
        // By the table alone: at the `ret` the CFA is rsp+8 again.
        "stepi 3",
        "x/i $pc",
        "bt 2",
        "set var $before = $rsp",
        "finish",
        "print $rsp - $before",
    ];
    let mut arguments = vec!["-q", "-nx", "-batch"];
    for command in &commands {
        arguments.extend(["-ex", command]);
    }
    let text = session("gdb", &arguments, "--args");
    assert_in_order(
        &text,
        &[
            "inner (a=5) at guest.c:4",
            "#0  inner (a=5) at guest.c:4",
            "in outer (n=5) at guest.c:9",
            "a = 5",
            "$1 = 42",
            "$2 = 43",
            "$3 = 5",
            "inner + 7 in section .text",
            "ret",
            "#1  0x",
            "in outer (n=5) at guest.c:9",
            "Value returned is $4 = 6",
            "$5 = 8",
        ],
    );
}

#[test]
fn lldb_shows_registered_code() {
    let commands = [
        "settings set plugin.jit-loader.gdb.enable on",
        "breakpoint set --file guest.c --line 4",
        "run",
        "bt 2",
        "frame variable",
        "target variable sample_counter",
        "image lookup --address $pc",
        "expression sample_counter = 43",
        "expression sample_counter + a",
        "up",
        "frame variable n",
        "finish",
    ];
    let mut arguments = vec!["--no-lldbinit", "--batch"];
    for command in &commands {
        arguments.extend(["-o", command]);
    }
    let text = session("lldb-19", &arguments, "--");
    assert_in_order(
        &text,
        &[
            "stop reason = breakpoint 1.1",
            "`inner(a=5) at guest.c:4",
            "`outer(n=5) at guest.c:9",
            "(int) a = 5",
            "(int) sample_counter = 42",
            "inner + 7 at guest.c:4",
            "= 43",
            "= 48",
            "(int) n = 5",
            "Return value: (int) $3 = 12",
        ],
    );
}
