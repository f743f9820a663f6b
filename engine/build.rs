//! Links the `wasmscope` executable so that debuggers take the guest for the program.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(own_entry)");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" {
        return;
    }
    let link = |argument: &str| println!("cargo::rustc-link-arg-bins={argument}");

    // No symbol `main`; see `src/entry.rs`.
    let static_libc = target("FEATURE").split(',').any(|feature| feature == "crt-static");
    if target("ARCH") == "x86_64" && target("ENV") == "gnu" && !static_libc {
        println!("cargo::rustc-cfg=own_entry");
        link("-nostartfiles");
    }

    // `break push` means the guest's `push`, and not each `Vec::push` of the engine: the executable has no symbols but
    // the two of the JIT interface, which debuggers also find among the dynamic ones. Who works on the engine sets
    // WASMSCOPE_HOST_SYMBOLS to keep all.
    println!("cargo::rerun-if-env-changed=WASMSCOPE_HOST_SYMBOLS");
    for symbol in ["__jit_debug_descriptor", "__jit_debug_register_code"] {
        link(&format!("-Wl,--export-dynamic-symbol={symbol}"));
    }
    if env::var_os("WASMSCOPE_HOST_SYMBOLS").is_none() {
        link("-Wl,--strip-all");
    }

    // The code cache tells builds of the engine apart by this note.
    link("-Wl,--build-id=sha1");
}
