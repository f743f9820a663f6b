//! What small programs become, entry by entry and row by row. The inputs are built by `inputs/build.sh`.

mod common;

#[path = "common/dump.rs"]
mod dump;

use common::{custom_sections, native_module, read_module};
use dwarf_transform::{
    GuestFunction, GuestSplitFile, PointerFlavour, Section, StackEntry, TransformOptions, ValType, WasmVariables,
    generate, named_files, scan, serialize,
};
use std::fmt::Write;

fn input(name: &str) -> Vec<u8> {
    read(&format!("{name}.wasm"))
}

fn read(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/inputs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The dump and the losses.
fn transform(name: &str, options: &TransformOptions) -> String {
    transform_with(name, &[], options)
}

/// The same of a module some of whose units lie in other files.
fn transform_with(name: &str, split: &[&str], options: &TransformOptions) -> String {
    let files: Vec<(String, Vec<u8>)> = split.iter().map(|name| ((*name).to_owned(), read(name))).collect();
    transform_bytes(&input(name), &files, options)
}

fn transform_bytes(wasm: &[u8], split: &[(String, Vec<u8>)], options: &TransformOptions) -> String {
    let (mut guest, operators) = read_module(wasm);
    for (name, file) in split {
        guest.split_files.push(GuestSplitFile { name, sections: custom_sections(file) });
    }
    let scan = scan(&guest);
    let native = native_module(&guest, &operators, &scan);
    let generated = generate(&guest, scan.lines.clone(), &native, options).expect("generate");
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
    serialize(generate(&guest, scan.lines.clone(), &native, options).expect("generate")).expect("serialize")
}

/// The types that gdb would otherwise make for a cast, with the host's width.
#[test]
fn types_that_casts_can_name_have_guest_pointers() {
    let options = TransformOptions { named_pointers: true, ..TransformOptions::default() };
    let text = transform("list-O0-v5", &options);
    for pointed in [
        "pointer_type to structure_type bits",
        "const_type to structure_type bits",
        "const_type to enumeration_type color",
        // `void`
        "const_type",
    ] {
        let member = format!("        .type pointer_type to {pointed}");
        assert!(text.lines().any(|line| line == member), "{pointed}: {text}");
    }
    // The unit has this one.
    assert_eq!(text.matches("    const_type\n      .type structure_type node\n").count(), 1, "{text}");
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
                let kind = match (statement.is_stmt, statement.new_line) {
                    (true, true) => "new line",
                    (true, false) => "same line",
                    (false, _) => "no statement",
                };
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
fn what_the_wasm_has_is_shown_beside_the_source() {
    let wasm = input("list-O2-v5");
    let (mut guest, operators) = read_module(&wasm);
    // As if the first two operators had pushed an integer and a float.
    let stack = |function: &GuestFunction| {
        let [begin, end] = [function.code_start, function.body.end];
        [ValType::I32, ValType::F64].map(|ty| StackEntry { depth: 0, ty, begin, end }).to_vec()
    };
    let operand_stacks = guest.functions.iter().map(stack).collect();
    guest.wasm_variables = Some(WasmVariables { operand_stacks });
    let scan = scan(&guest);
    let native = native_module(&guest, &operators, &scan);
    for (version, flavour) in [(4, PointerFlavour::Gdb), (5, PointerFlavour::Lldb)] {
        let options = TransformOptions { dwarf_version: version, flavour, ..TransformOptions::default() };
        let sections =
            serialize(generate(&guest, scan.lines.clone(), &native, &options).expect("generate")).expect("serialize");
        let text = dump::dump(&sections);
        let shown = text.split("\n").filter(|line| line.contains("__wasm_") || line.contains("artificial"));
        insta::assert_snapshot!(format!("wasm_variables_{version}"), shown.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn c_from_dwarf_2_and_3() {
    let old = transform("list-O0-v2", &TransformOptions::default());
    insta::assert_snapshot!("c_from_dwarf_2", old);
    insta::assert_snapshot!("c_from_dwarf_3", transform("list-O1-v3", &TransformOptions::default()));
}

/// LLVM 14 ends the location of an object that the caller passes by reference with the function's first block.
#[test]
fn an_object_by_reference_is_located_in_all_of_its_function() {
    let text = transform("passed-v4", &TransformOptions::default());
    let count = text.split("subprogram").find(|part| part.contains(".name \"count\"")).expect("the function is there");
    let record = count.split("formal_parameter").nth(1).expect("its first parameter is there");
    let lines = count.lines().filter(|line| line.contains(".low_pc") || line.contains(".high_pc"));
    insta::assert_snapshot!(format!("{}\n{record}", lines.take(2).collect::<Vec<_>>().join("\n")));
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
fn split_units_are_as_if_they_were_not_split() {
    for version in [4, 5] {
        let name = format!("types-split-v{version}");
        let wasm = input(&name);
        let (guest, _) = read_module(&wasm);
        let wanted = named_files(&guest.sections).split_units;
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].name, format!("{name}.dwo"));
        assert_eq!(wanted[0].directory.as_deref(), Some("/src"));
        assert!(wanted[0].id.is_some());

        let options = TransformOptions::default();
        let whole = transform_with(&name, &[&format!("{name}.dwo")], &options);
        insta::assert_snapshot!(format!("split_dwarf_{version}"), whole);
        assert_eq!(whole, transform_with(&name, &[&format!("{name}.dwp")], &options), "the package");
        // Without the file there are lines, and the loss has its name. Nor will another file do.
        let alone = transform(&name, &options);
        assert!(alone.contains(&format!("missing split unit (first: {name}.dwo (compiled in /src))")), "{alone}");
        assert!(alone.contains("types.cc:"), "{alone}");
        let mut file = read(&format!("{name}.dwo"));
        let id = wanted[0].id.expect("an identifier").to_le_bytes();
        let at = file.windows(8).position(|bytes| bytes == id).expect("the identifier");
        file[at] ^= 1;
        let text = transform_bytes(&wasm, &[("other/".to_owned() + &name + ".dwo", file)], &options);
        assert!(text.contains(&format!("{name}.dwo (other/{name}.dwo is of another compilation)")), "{text}");
    }
}

#[test]
fn macros_keep_their_files_and_lines() {
    for (input, dwarf_version) in [("macros-v4", 5), ("macros-v5", 5), ("macros-v5", 4)] {
        let options = TransformOptions { dwarf_version, ..TransformOptions::default() };
        let text = transform(input, &options);
        let macros =
            &text[text.find("\n  macros").unwrap_or_else(|| panic!("{input} to {dwarf_version}: {text}")) + 1..];
        let seen: Vec<&str> = macros.lines().skip(1).map(str::trim).take(10).collect();
        let expected = [
            "start 0 ",
            "define 2 SQUARE(x) ((x) * (x))",
            "define 3 LIMIT 10",
            "start 4 ",
            "define 1 TWICE(x) (2 * (x))",
            "end",
            "undef 5 LIMIT",
            "define 6 LIMIT TWICE(20)",
            "end",
        ];
        for (seen, expected) in seen.iter().zip(expected) {
            assert!(seen.starts_with(expected), "{input}: {seen:?} and not {expected:?} in {macros}");
        }
        assert!(seen[0].ends_with("macros.c") && seen[3].ends_with("macros.h"), "{input}: {macros}");
    }
}

#[test]
fn files_keep_checksums_and_embedded_source() {
    let options = TransformOptions::default();
    let sections = sections("list-source-v5", &options);
    let linked = dump::Linked::new(&sections);
    let dwarf = linked.dwarf();
    let header = dwarf.units().next().expect("unit").expect("unit");
    let unit = dwarf.unit(header).expect("unit");
    let program = unit.line_program.clone().expect("lines");
    let file = program.header().file(1).or(program.header().file(0)).expect("file");
    assert_ne!(*file.md5(), [0; 16]);
    let source = dwarf.attr_string(&unit, file.source().expect("source")).expect("text");
    assert_eq!(source.to_string_lossy(), String::from_utf8(read("list.c")).expect("text"));
}

#[test]
fn thread_local_objects_are_relative_to_the_threads_base() {
    insta::assert_snapshot!(transform("threads", &TransformOptions::default()));
}

#[test]
fn memories_of_64_bits_have_pointers_of_8_bytes() {
    insta::assert_snapshot!("wide_without_optimization", transform("wide-O0", &TransformOptions::default()));
    let options = TransformOptions { flavour: PointerFlavour::Lldb, ..TransformOptions::default() };
    insta::assert_snapshot!("wide_optimized_for_lldb", transform("wide-O2", &options));
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
    for name in [
        "list-O0-v2",
        "list-O1-v3",
        "list-O0-v4",
        "list-O0-v5",
        "list-O2-v5",
        "types-O0-v4",
        "types-O0-v5",
        "macros-v4",
        "macros-v5",
        "list-source-v5",
        "threads",
        "wide-O0",
        "wide-O2",
    ] {
        for (dwarf_version, flavour) in [(4, PointerFlavour::Gdb), (5, PointerFlavour::Gdb), (5, PointerFlavour::Lldb)]
        {
            let options = TransformOptions { dwarf_version, flavour, ..TransformOptions::default() };
            let wasm = input(name);
            let (guest, operators) = read_module(&wasm);
            let scan = scan(&guest);
            let native = native_module(&guest, &operators, &scan);
            let sections = serialize(generate(&guest, scan.lines.clone(), &native, &options).expect("generate"))
                .expect("serialize");
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
