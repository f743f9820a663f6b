//! What small programs become, entry by entry and row by row. The inputs are built by `inputs/build.sh`.

mod common;

#[path = "common/dump.rs"]
mod dump;

use common::{native_module, read_module};
use dwarf_transform::{PointerFlavour, Section, TransformOptions, generate, scan, serialize};
use std::fmt::Write;

fn input(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/inputs/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The dump and the losses.
fn transform(name: &str, options: &TransformOptions) -> String {
    let wasm = input(name);
    let (guest, operators) = read_module(&wasm);
    let scan = scan(&guest);
    let native = native_module(&guest, &operators, &scan);
    let generated = generate(&guest, &scan.uses, &native, options).expect("generate");
    let mut text = format!("losses\n{}{}", scan.losses, generated.losses);
    writeln!(text, "dead functions: {}", generated.losses.dead_functions()).unwrap();
    let sections = serialize(generated).expect("serialize");
    text.push_str(&dump::dump(&sections));
    text
}

fn sections(name: &str, options: &TransformOptions) -> Vec<Section> {
    let wasm = input(name);
    let (guest, operators) = read_module(&wasm);
    let scan = scan(&guest);
    let native = native_module(&guest, &operators, &scan);
    serialize(generate(&guest, &scan.uses, &native, options).expect("generate")).expect("serialize")
}

#[test]
fn scan_names_locals_statements_and_stack_values() {
    let mut text = String::new();
    for name in ["list-O0-v5", "list-O2-v5"] {
        let wasm = input(name);
        let (guest, _) = read_module(&wasm);
        let scan = scan(&guest);
        writeln!(text, "{name}").unwrap();
        for (function, uses) in guest.functions.iter().zip(&scan.uses.functions) {
            writeln!(
                text,
                "  function {} at {:#x}: locals {:?}, vmctx {}, described {}",
                function.index, function.body.start.0, uses.locals, uses.needs_vmctx, uses.described
            )
            .unwrap();
            for value in &uses.stack_values {
                writeln!(text, "    stack value {} at {:#x}", value.depth, value.offset.0).unwrap();
            }
            for statement in &uses.statements {
                let kind = if statement.new_line { "new line" } else { "same line" };
                writeln!(text, "    {:#x}..{:#x} {kind}", statement.offset.0, statement.end.0).unwrap();
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn c_without_optimization() {
    insta::assert_snapshot!(transform("list-O0-v5", &TransformOptions::default()));
}

#[test]
fn c_optimized() {
    insta::assert_snapshot!(transform("list-O2-v5", &TransformOptions::default()));
}

#[test]
fn c_from_dwarf_2_and_3() {
    let old = transform("list-O0-v2", &TransformOptions::default());
    insta::assert_snapshot!("c_from_dwarf_2", old);
    insta::assert_snapshot!("c_from_dwarf_3", transform("list-O1-v3", &TransformOptions::default()));
}

#[test]
fn c_to_dwarf_4() {
    let options = TransformOptions { dwarf_version: 4, ..TransformOptions::default() };
    insta::assert_snapshot!(transform("list-O0-v4", &options));
}

#[test]
fn classes_in_type_units() {
    insta::assert_snapshot!("classes_dwarf_5", transform("types-O0-v5", &TransformOptions::default()));
    insta::assert_snapshot!("classes_dwarf_4", transform("types-O0-v4", &TransformOptions::default()));
}

#[test]
fn lldb_gets_structures_for_pointers_in_memory() {
    let options = TransformOptions { flavour: PointerFlavour::Lldb, ..TransformOptions::default() };
    insta::assert_snapshot!("c_for_lldb", transform("list-O0-v5", &options));
    insta::assert_snapshot!("classes_for_lldb", transform("types-O0-v5", &options));
}

#[test]
fn lines_only_leaves_functions_and_lines() {
    let options = TransformOptions { lines_only: true, ..TransformOptions::default() };
    insta::assert_snapshot!(transform("list-O2-v5", &options));
}

#[test]
fn a_function_costs_few_relocations() {
    let wasm = input("list-O2-v5");
    let (guest, _) = read_module(&wasm);
    let count: usize =
        sections("list-O2-v5", &TransformOptions::default()).iter().map(|section| section.relocations.len()).sum();
    let variables = 6;
    assert!(count <= 1 + 2 * guest.functions.len() + variables, "{count} relocations");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for name in ["types-O0-v5", "list-O2-v5"] {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| sections(name, &TransformOptions::default()))
        };
        let one = with(1);
        for threads in [2, 3, 8] {
            assert_eq!(one, with(threads), "{name} with {threads} threads");
        }
    }
}

#[test]
fn llvm_dwarfdump_finds_no_error() {
    let folder = tempfile::tempdir().expect("folder");
    for name in ["list-O0-v2", "list-O1-v3", "list-O0-v4", "list-O0-v5", "list-O2-v5", "types-O0-v4", "types-O0-v5"] {
        for (dwarf_version, flavour) in [(4, PointerFlavour::Gdb), (5, PointerFlavour::Gdb), (5, PointerFlavour::Lldb)]
        {
            let options = TransformOptions { dwarf_version, flavour, ..TransformOptions::default() };
            let wasm = input(name);
            let (guest, operators) = read_module(&wasm);
            let scan = scan(&guest);
            let native = native_module(&guest, &operators, &scan);
            let sections =
                serialize(generate(&guest, &scan.uses, &native, &options).expect("generate")).expect("serialize");
            let path = folder.path().join(format!("{name}-{dwarf_version}.elf"));
            std::fs::write(&path, common::elf(&sections, &native)).expect("file");
            let tool = ["llvm-dwarfdump-19", "llvm-dwarfdump"]
                .iter()
                .find_map(|tool| std::process::Command::new(tool).arg("--verify").arg(&path).output().ok())
                .expect("this test needs llvm-dwarfdump");
            let text = String::from_utf8_lossy(&tool.stdout);
            assert!(tool.status.success() && text.contains("No errors."), "{name} as DWARF {dwarf_version}: {text}");
        }
    }
}
