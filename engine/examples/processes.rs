//! Host programs with guest code in several processes or instances, for a look at them in a debugger:
//!
//!     processes fork FILE        loads a program, forks, and runs it in the child, then in the parent
//!     processes exec FILE        runs a program, then replaces itself by a process that runs it again
//!     processes fork-exec FILE   forks, and does that in the child
//!     processes taken FILE       calls `run` of a module while something else is mapped at 0x30000
//!     processes instances FILE   two instances of a module that exports `bump`, called in turn, one inside the other
//!
//! A third argument is the optimization level: 0, else 2.
//!
//!     gdb -ex 'set breakpoint pending on' -ex 'set follow-fork-mode child' -ex 'break score' -ex run \
//!         --args target/debug/examples/processes fork tests/programs/abilities/c-O0.wasm

mod guest;

use guest::Guest;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use wasmscope::{Caller, Engine, Func, Instance, Module, Result, Store};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [program, mode, file, level @ ..] = &*arguments else {
        panic!("arguments: fork|exec|fork-exec|run|taken|instances FILE [LEVEL]")
    };
    let engine = Engine::new(&guest::config(level.first().map(String::as_str)))?;
    let module = Module::from_file(&engine, file)?;
    match &**mode {
        "fork" => {
            let mut guest = Guest::new(&engine, &module, &["guest"])?;
            // SAFETY: the compiler's threads are idle, and the child uses none.
            let child = unsafe { libc::fork() };
            if child == 0 {
                guest.run()?;
                println!("child done");
                std::process::exit(0);
            }
            let mut status = 0;
            // SAFETY: a child of ours.
            unsafe { libc::waitpid(child, &mut status, 0) };
            guest.run()?;
            println!("parent done, child {status}");
        }
        "exec" => {
            Guest::new(&engine, &module, &["guest"])?.run()?;
            panic!("cannot execute {program}: {}", Command::new(program).args(["run", file]).args(level).exec());
        }
        "fork-exec" => {
            // SAFETY: the compiler's threads are idle, and the child uses none.
            let child = unsafe { libc::fork() };
            if child == 0 {
                Guest::new(&engine, &module, &["guest"])?.run()?;
                panic!("cannot execute {program}: {}", Command::new(program).args(["run", file]).args(level).exec());
            }
            // SAFETY: a child of ours.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
        "run" => Guest::new(&engine, &module, &["guest"])?.run()?,
        "taken" => {
            // SAFETY: nothing is replaced.
            let taken = unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
                libc::mmap(0x3_0000 as *mut _, 0x1000, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
            };
            assert_eq!(taken as usize, 0x3_0000);
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let run = instance.get_typed_func::<(), i32>(&mut store, "run")?;
            println!("run: {}", run.call(&mut store, ())?);
        }
        "instances" => instances(&engine, &module)?,
        _ => panic!("unknown mode {mode}"),
    }
    Ok(())
}

/// `bump(n)` adds `n` to the guest's counter and calls the host in between; in the first instance's, the host calls the second's.
fn instances(engine: &Engine, module: &Module) -> Result<()> {
    let mut inner = Store::new(engine, ());
    let quiet = Func::wrap(&mut inner, |n: i32| n);
    let second = Instance::new(&mut inner, module, &[quiet.into()])?;
    let second = second.get_typed_func::<i32, i32>(&mut inner, "bump")?;
    second.call(&mut inner, 1000)?;

    let mut outer = Store::new(engine, inner);
    let nested = Func::wrap(&mut outer, move |mut caller: Caller<'_, Store<()>>, n: i32| {
        second.call(caller.data_mut(), n * 2).expect("the guest does not trap")
    });
    let first = Instance::new(&mut outer, module, &[nested.into()])?;
    let first = first.get_typed_func::<i32, i32>(&mut outer, "bump")?;
    for n in 1..=2 {
        println!("bump: {}", first.call(&mut outer, n)?);
    }
    Ok(())
}
