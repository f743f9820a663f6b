//! The executable as debuggers see it.

use crate::wasmscope;
use object::{Object, ObjectSymbol};
use std::collections::BTreeSet;

/// Everything that a debugger could take for a function or variable of the guest.
#[test]
fn it_has_no_symbols_but_those_of_the_jit_interface() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_wasmscope")).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let names: BTreeSet<&str> = file
        .symbols()
        .chain(file.dynamic_symbols())
        .filter(|symbol| symbol.is_definition())
        .map(|symbol| symbol.name().unwrap())
        .collect();
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        assert!(!names.contains("main"));
    }
    for symbol in ["__jit_debug_descriptor", "__jit_debug_register_code"] {
        assert!(names.contains(symbol), "debuggers do not find {symbol}");
    }
    if option_env!("WASMSCOPE_HOST_SYMBOLS").is_none() {
        let others: Vec<_> = names.iter().filter(|name| !name.starts_with("__jit_debug_")).collect();
        assert!(others.is_empty(), "{others:?}");
        assert!(file.section_by_name(".debug_info").is_none());
    }
}

/// The cache tells builds apart by it.
#[test]
fn it_has_a_build_id() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_wasmscope")).unwrap();
    assert!(object::File::parse(&*bytes).unwrap().build_id().unwrap().is_some_and(|id| id.len() >= 16));
}

/// The entry is our own: arguments, environment and standard streams must be there all the same.
#[test]
fn its_own_entry_passes_everything_on() {
    let output = wasmscope().args(["run", "a\u{fc}b", ""]).env_clear().output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("`aüb` cannot be read"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}
