//! The command line; see `wasmscope --help`.

#![cfg_attr(own_entry, no_main)]

#[cfg(own_entry)]
mod entry;

fn run_process() -> i32 {
    println!("{:?}", std::env::args().collect::<Vec<_>>());
    print!("unterminated {}", debugger_support::registered_images());
    if std::env::args().len() > 2 {
        panic!("ouch")
    }
    5
}

#[cfg(not(own_entry))]
fn main() {
    std::process::exit(run_process())
}
