//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use clap::Parser as _;
use wasm_objdump::Arguments;

pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All views, as a command line would ask for them.
pub const VIEWS: &[&[&str]] = &[
    &["-h"],
    &["-x"],
    &["-d"],
    &["-d", "-r", "--section-offsets"],
    &["-s"],
    &["-r"],
    &["--frames"],
    &["--dwarf"],
    &["--verify"],
    &["--traps"],
    &["--stack-maps"],
    &["--addrmap"],
    &["--homes"],
    &["--explain"],
    &["--losses"],
    &["--wat"],
    &["--statistics"],
];

/// What is printed, with the error after it if there is one.
pub fn show(name: &str, bytes: &[u8], flags: &[&str]) -> String {
    let command_line: Vec<&str> = ["wasm-objdump"].iter().chain(flags).chain(&[name]).copied().collect();
    let arguments = Arguments::parse_from(command_line);
    let mut out = Vec::new();
    let shown = wasm_objdump::show_bytes(name, bytes, &arguments, &mut out);
    let mut text = String::from_utf8_lossy(&out).into_owned();
    if let Err(error) = shown {
        text.push_str(&format!("error: {error:#}\n"));
    }
    text
}
