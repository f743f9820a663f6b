//! Gives the `wasmscope` executable its own entry point where that is supported; see `src/entry.rs`.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(own_entry)");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let static_libc = target("FEATURE").split(',').any(|feature| feature == "crt-static");
    if target("OS") == "linux" && target("ARCH") == "x86_64" && target("ENV") == "gnu" && !static_libc {
        println!("cargo::rustc-cfg=own_entry");
        println!("cargo::rustc-link-arg-bins=-nostartfiles");
    }
    if target("OS") == "linux" {
        // The code cache tells builds of the engine apart by this note.
        println!("cargo::rustc-link-arg-bins=-Wl,--build-id=sha1");
    }
}
