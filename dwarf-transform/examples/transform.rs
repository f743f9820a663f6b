//! Transforms the DWARF of a wasm file against made-up native code, and writes an ELF file that readelf, llvm-dwarfdump
//! and gdb can look at: `cargo run --example transform -- in.wasm out.elf [gdb|lldb] [4|5]`.

#[path = "../tests/common/mod.rs"]
mod common;

use dwarf_transform::{PointerFlavour, TransformOptions, generate, scan, serialize};
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, input, output, rest @ ..] = &arguments[..] else {
        eprintln!("usage: transform IN.wasm OUT.elf [gdb|lldb] [4|5]");
        std::process::exit(2);
    };
    let options = TransformOptions {
        flavour: if rest.iter().any(|word| word == "lldb") { PointerFlavour::Lldb } else { PointerFlavour::Gdb },
        dwarf_version: if rest.iter().any(|word| word == "4") { 4 } else { 5 },
        ..TransformOptions::default()
    };
    let wasm = std::fs::read(input).expect("input");
    let (guest, operators) = common::read_module(&wasm);
    let begin = Instant::now();
    let scan = scan(&guest);
    let scanned = begin.elapsed();
    let native = common::native_module(&guest, &operators, &scan);
    let begin = Instant::now();
    let generated = generate(&guest, scan.lines, &native, &options).expect("generate");
    let took = begin.elapsed();
    eprint!("{}{}", scan.losses, generated.losses);
    let begin = Instant::now();
    let sections = serialize(generated).expect("serialize");
    eprintln!("scan {scanned:?}, generate {took:?}, serialize {:?}", begin.elapsed());
    for section in &sections {
        eprintln!("{:18} {:8} bytes {:6} relocations", section.name, section.bytes.len(), section.relocations.len());
    }
    std::fs::write(output, common::elf(&sections, &native)).expect("output");
}
