//! Every attribute and every form of the standard, in DWARF 5 and 4, of 32 and 64 bits: what becomes of it.

#![allow(non_upper_case_globals, reason = "patterns of the standard's names")]

mod common;

#[path = "common/builder.rs"]
mod builder;
#[path = "common/dump.rs"]
mod dump;

use builder::{Builder, string, table, uleb};
use common::{native_module, read_module};
use dwarf_transform::{GuestModule, GuestSection, LossKind, TransformOptions, generate, scan, serialize};
use gimli::constants::*;
use std::fmt::Write;

fn input() -> Vec<u8> {
    let path = format!("{}/tests/inputs/list-O0-v5.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The dump of what becomes of the sections, and what was lost.
fn transform(wasm: &[u8], sections: &[(String, Vec<u8>)]) -> String {
    let (mut guest, operators) = read_module(wasm);
    guest.sections.sections = sections.iter().map(|(name, bytes)| GuestSection { name, bytes }).collect();
    let scan = scan(&guest);
    let native = native_module(&guest, &operators, &scan);
    let generated = generate(&guest, scan.lines.clone(), &native, &TransformOptions::default()).expect("generate");
    assert_eq!(generated.losses.get(LossKind::MalformedUnit), 0, "{}", generated.losses);
    let mut text = format!("losses\n{}", generated.losses);
    text.push_str(&dump::dump(&serialize(generated).expect("serialize")));
    text
}

/// The guest's first function: `(start, size)`.
fn function(guest: &GuestModule<'_>) -> (u32, u32) {
    let body = &guest.functions[0].body;
    (body.start.0, body.end.0 - body.start.0)
}

const TEXT: DwForm = DW_FORM_string;

/// The type `int`.
fn add_int(builder: &mut Builder) {
    builder.entry(
        DW_TAG_base_type,
        false,
        &[
            (DW_AT_name, TEXT, string("int")),
            (DW_AT_encoding, DW_FORM_data1, vec![DW_ATE_signed.0]),
            (DW_AT_byte_size, DW_FORM_data1, vec![4]),
        ],
    );
}

/// The form and value with which an attribute usually comes. `ty` is the offset of a type.
fn usual(name: DwAt, ty: usize, start: u32) -> (DwForm, Vec<u8>) {
    let reference = (DW_FORM_ref4, (ty as u32).to_le_bytes().to_vec());
    // DW_OP_lit3
    let expression = (DW_FORM_exprloc, vec![1, 0x33]);
    match name {
        DW_AT_low_pc | DW_AT_high_pc | DW_AT_entry_pc | DW_AT_call_return_pc | DW_AT_call_pc | DW_AT_trampoline => {
            (DW_FORM_addr, start.to_le_bytes().to_vec())
        }
        DW_AT_name | DW_AT_producer | DW_AT_comp_dir | DW_AT_description | DW_AT_linkage_name
        | DW_AT_picture_string | DW_AT_dwo_name => (TEXT, string("text")),
        DW_AT_type
        | DW_AT_import
        | DW_AT_common_reference
        | DW_AT_containing_type
        | DW_AT_abstract_origin
        | DW_AT_base_types
        | DW_AT_friend
        | DW_AT_namelist_item
        | DW_AT_priority
        | DW_AT_specification
        | DW_AT_extension
        | DW_AT_small
        | DW_AT_object_pointer
        | DW_AT_discr
        | DW_AT_sibling
        | DW_AT_call_origin
        | DW_AT_call_parameter
        | DW_AT_default_value => reference,
        DW_AT_signature => (DW_FORM_ref_sig8, vec![7; 8]),
        DW_AT_location
        | DW_AT_frame_base
        | DW_AT_segment
        | DW_AT_static_link
        | DW_AT_string_length
        | DW_AT_use_location
        | DW_AT_vtable_elem_location
        | DW_AT_return_addr
        | DW_AT_allocated
        | DW_AT_associated
        | DW_AT_data_location
        | DW_AT_byte_stride
        | DW_AT_call_value
        | DW_AT_call_target
        | DW_AT_call_target_clobbered
        | DW_AT_call_data_location
        | DW_AT_call_data_value
        | DW_AT_rank => expression,
        DW_AT_external
        | DW_AT_artificial
        | DW_AT_declaration
        | DW_AT_is_optional
        | DW_AT_prototyped
        | DW_AT_variable_parameter
        | DW_AT_mutable
        | DW_AT_threads_scaled
        | DW_AT_explicit
        | DW_AT_elemental
        | DW_AT_pure
        | DW_AT_recursive
        | DW_AT_enum_class
        | DW_AT_main_subprogram
        | DW_AT_const_expr
        | DW_AT_use_UTF8
        | DW_AT_call_all_calls
        | DW_AT_call_all_source_calls
        | DW_AT_call_all_tail_calls
        | DW_AT_call_tail_call
        | DW_AT_noreturn
        | DW_AT_export_symbols
        | DW_AT_deleted
        | DW_AT_reference
        | DW_AT_rvalue_reference => (DW_FORM_flag_present, Vec::new()),
        DW_AT_stmt_list
        | DW_AT_macros
        | DW_AT_macro_info
        | DW_AT_ranges
        | DW_AT_str_offsets_base
        | DW_AT_addr_base
        | DW_AT_rnglists_base
        | DW_AT_loclists_base
        | DW_AT_start_scope => (DW_FORM_sec_offset, vec![0; 4]),
        _ => (DW_FORM_data1, vec![1]),
    }
}

#[test]
fn every_attribute() {
    let wasm = input();
    let (guest, _) = read_module(&wasm);
    let (start, size) = function(&guest);
    let mut text = String::new();
    for version in [4, 5] {
        let mut builder = Builder::new(version, false);
        builder.entry(DW_TAG_compile_unit, true, &[(DW_AT_language, DW_FORM_data1, vec![DW_LANG_C99.0 as u8])]);
        let ty = builder.here();
        add_int(&mut builder);
        let code = [
            (DW_AT_name, TEXT, string("f")),
            (DW_AT_low_pc, DW_FORM_addr, start.to_le_bytes().to_vec()),
            (DW_AT_high_pc, DW_FORM_data4, size.to_le_bytes().to_vec()),
        ];
        builder.entry(DW_TAG_subprogram, true, &code);
        let standard = (1..=DW_AT_loclists_base.0).map(DwAt).filter(|name| name.static_string().is_some());
        // What LLVM and GNU add, and the language attributes that are to be in DWARF 6.
        let vendors = [
            DW_AT_GNU_vector,
            DW_AT_GNU_template_name,
            DW_AT_GNU_all_call_sites,
            DW_AT_LLVM_include_path,
            DW_AT_LLVM_isysroot,
            DW_AT_APPLE_optimized,
            DwAt(0x8d),
            DwAt(0x8e),
            DwAt(0x90),
            DwAt(0x91),
            DwAt(0x3e0b),
            DwAt(0x3fff),
        ];
        for name in standard.chain(vendors) {
            let (form, value) = usual(name, ty, start);
            builder.entry(DW_TAG_variable, false, &[(name, form, value)]);
        }
        builder.end().end();
        writeln!(text, "DWARF {version}").unwrap();
        text.push_str(&transform(&wasm, &builder.finish()));
    }
    insta::assert_snapshot!(text);
}

/// A unit that has each form, with the entries of its tables.
fn all_forms(version: u16, format64: bool, start: u32, size: u32) -> Vec<(String, Vec<u8>)> {
    let mut builder = Builder::new(version, format64);
    let offset = |value| Builder::new(version, format64).offset(value);
    let header = if format64 { 16 } else { 8 };
    // Where the offsets of lists begin, and the one list that there is.
    let (lists, list) = if format64 { (20, 28) } else { (12, 16) };
    let mut root = vec![(DW_AT_name, DW_FORM_strp, offset(1))];
    if version >= 5 {
        root.push((DW_AT_str_offsets_base, DW_FORM_sec_offset, offset(header)));
        root.push((DW_AT_addr_base, DW_FORM_sec_offset, offset(header)));
        root.push((DW_AT_loclists_base, DW_FORM_sec_offset, offset(lists)));
        root.push((DW_AT_rnglists_base, DW_FORM_sec_offset, offset(lists)));
    }
    builder.entry(DW_TAG_compile_unit, true, &root);
    let ty = builder.here();
    let mut constants = vec![
        (DW_FORM_block1, vec![2, 1, 2]),
        (DW_FORM_block2, vec![2, 0, 1, 2]),
        (DW_FORM_block4, vec![2, 0, 0, 0, 1, 2]),
        (DW_FORM_block, vec![2, 1, 2]),
        (DW_FORM_data1, vec![0xfe]),
        (DW_FORM_data2, vec![0xfe, 0xff]),
        (DW_FORM_data4, vec![0xfe, 0xff, 0xff, 0xff]),
        (DW_FORM_data8, vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (DW_FORM_sdata, vec![0x7e]),
        (DW_FORM_udata, vec![0x7e]),
        (DW_FORM_string, string("constant")),
        (DW_FORM_addr, 64_u32.to_le_bytes().to_vec()),
        (DW_FORM_indirect, [uleb(u64::from(DW_FORM_udata.0)), vec![0x11]].concat()),
    ];
    let mut references = vec![
        (DW_FORM_ref1, vec![ty as u8]),
        (DW_FORM_ref2, (ty as u16).to_le_bytes().to_vec()),
        (DW_FORM_ref4, (ty as u32).to_le_bytes().to_vec()),
        (DW_FORM_ref8, (ty as u64).to_le_bytes().to_vec()),
        (DW_FORM_ref_udata, uleb(ty as u64)),
        (DW_FORM_ref_addr, offset(ty)),
        (DW_FORM_ref_sig8, vec![9; 8]),
        (DW_FORM_GNU_ref_alt, offset(0)),
    ];
    let mut names = vec![(DW_FORM_strp, offset(6)), (DW_FORM_GNU_strp_alt, offset(0))];
    let mut flags = vec![(DW_FORM_flag, vec![1]), (DW_FORM_flag, vec![0])];
    let mut locations = Vec::new();
    let mut addresses = vec![(DW_FORM_addr, start.to_le_bytes().to_vec())];
    let mut ranges = Vec::new();
    if version >= 4 {
        flags.push((DW_FORM_flag_present, Vec::new()));
        locations.push((DW_FORM_exprloc, vec![5, DW_OP_addr.0, 64, 0, 0, 0]));
        locations.push((DW_FORM_sec_offset, offset(if version >= 5 { list } else { 0 })));
        ranges.push((DW_FORM_sec_offset, offset(if version >= 5 { list } else { 0 })));
    } else {
        locations.push((DW_FORM_block1, vec![5, DW_OP_addr.0, 64, 0, 0, 0]));
        locations.push((if format64 { DW_FORM_data8 } else { DW_FORM_data4 }, offset(0)));
    }
    if version >= 5 {
        constants.push((DW_FORM_data16, vec![3; 16]));
        constants.push((DW_FORM_implicit_const, vec![0x7d]));
        references.push((DW_FORM_ref_sup4, vec![0; 4]));
        references.push((DW_FORM_ref_sup8, vec![0; 8]));
        names.push((DW_FORM_strp_sup, offset(0)));
        names.push((DW_FORM_line_strp, offset(0)));
        names.push((DW_FORM_strx, vec![1]));
        names.push((DW_FORM_strx1, vec![1]));
        names.push((DW_FORM_strx2, vec![1, 0]));
        names.push((DW_FORM_strx3, vec![1, 0, 0]));
        names.push((DW_FORM_strx4, vec![1, 0, 0, 0]));
        names.push((DW_FORM_GNU_str_index, vec![1]));
        addresses.push((DW_FORM_addrx, vec![0]));
        addresses.push((DW_FORM_addrx1, vec![0]));
        addresses.push((DW_FORM_addrx2, vec![0, 0]));
        addresses.push((DW_FORM_addrx3, vec![0, 0, 0]));
        addresses.push((DW_FORM_addrx4, vec![0, 0, 0, 0]));
        addresses.push((DW_FORM_GNU_addr_index, vec![0]));
        locations.push((DW_FORM_loclistx, vec![0]));
        ranges.push((DW_FORM_rnglistx, vec![0]));
    }
    add_int(&mut builder);
    let code = [
        (DW_AT_low_pc, DW_FORM_addr, start.to_le_bytes().to_vec()),
        (DW_AT_high_pc, DW_FORM_addr, (start + size).to_le_bytes().to_vec()),
    ];
    builder.entry(DW_TAG_subprogram, true, &code);
    let kinds = [
        (DW_TAG_constant, DW_AT_const_value, constants),
        (DW_TAG_typedef, DW_AT_type, references),
        (DW_TAG_variable, DW_AT_name, names),
        (DW_TAG_variable, DW_AT_external, flags),
        (DW_TAG_variable, DW_AT_location, locations),
        (DW_TAG_label, DW_AT_low_pc, addresses),
        (DW_TAG_lexical_block, DW_AT_ranges, ranges),
    ];
    for (tag, name, values) in kinds {
        for (form, value) in values {
            let shown = (DW_AT_description, DW_FORM_string, string(&form.to_string()));
            builder.entry(tag, false, &[shown, (name, form, value)]);
        }
    }
    builder.end().end();

    builder.section(".debug_str", b"\0unit\0name in .debug_str\0".to_vec());
    builder.section(".debug_line_str", b"name in .debug_line_str\0".to_vec());
    if version >= 5 {
        let strings = [offset(1), offset(6)].concat();
        let mut bytes = if format64 { vec![0xff; 4] } else { Vec::new() };
        bytes.extend(offset(strings.len() + 4));
        bytes.extend([5, 0, 0, 0]);
        bytes.extend(strings);
        builder.section(".debug_str_offsets", bytes);
        let mut addresses = table(&start.to_le_bytes());
        if format64 {
            addresses.splice(..4, [vec![0xff; 4], offset(8)].concat());
        }
        builder.section(".debug_addr", addresses);
        // A count of offsets, the offset of the list from where the offsets begin, the list.
        let whole = |kind: u8, rest: &[u8]| {
            let range = [vec![kind], start.to_le_bytes().to_vec(), uleb(u64::from(size))].concat();
            let contents = [&[5, 0, 4, 0, 1, 0, 0, 0][..], &offset(list - lists), &range, rest, &[0]].concat();
            let mut bytes = if format64 { vec![0xff; 4] } else { Vec::new() };
            bytes.extend(offset(contents.len()));
            bytes.extend(contents);
            bytes
        };
        builder.section(".debug_loclists", whole(DW_LLE_start_length.0, &[5, DW_OP_addr.0, 64, 0, 0, 0]));
        builder.section(".debug_rnglists", whole(DW_RLE_start_length.0, &[]));
    } else {
        let ends = [start.to_le_bytes(), (start + size).to_le_bytes()].concat();
        builder.section(".debug_ranges", [&ends[..], &[0; 8]].concat());
        builder.section(".debug_loc", [&ends[..], &[5, 0, DW_OP_addr.0, 64, 0, 0, 0], &[0; 8]].concat());
    }
    builder.finish()
}

#[test]
fn every_form() {
    let wasm = input();
    let (guest, _) = read_module(&wasm);
    let (start, size) = function(&guest);
    let mut text = String::new();
    for version in [3, 4, 5] {
        let small = transform(&wasm, &all_forms(version, false, start, size));
        let large = transform(&wasm, &all_forms(version, true, start, size));
        writeln!(text, "DWARF {version}\n{small}").unwrap();
        // What is lost has other places, and an offset of DWARF 3 is a number of 4 or 8 bytes; nothing else may differ.
        let large = large.replace("DW_FORM_data8\"\n        .location", "DW_FORM_data4\"\n        .location");
        let entries = |text: &str| text[text.find("unit version").expect("a unit")..].to_owned();
        assert_eq!(entries(&small), entries(&large), "DWARF {version} of 64 bits");
    }
    insta::assert_snapshot!(text);
}

/// Every operation of the standard and of GNU and WebAssembly, each as the location of a variable of its own.
#[test]
fn every_operation() {
    let wasm = input();
    let (guest, _) = read_module(&wasm);
    let (start, size) = function(&guest);
    let mut builder = Builder::new(5, false);
    let root = [(DW_AT_addr_base, DW_FORM_sec_offset, builder.offset(8))];
    builder.entry(DW_TAG_compile_unit, true, &root);
    let ty = builder.here() as u8;
    add_int(&mut builder);
    let object = builder.here() as u8;
    let location = (DW_AT_location, DW_FORM_exprloc, vec![5, DW_OP_addr.0, 64, 0, 0, 0]);
    builder.entry(DW_TAG_variable, false, &[(DW_AT_name, TEXT, string("object")), location]);
    let code = [
        (DW_AT_low_pc, DW_FORM_addr, start.to_le_bytes().to_vec()),
        (DW_AT_high_pc, DW_FORM_data4, size.to_le_bytes().to_vec()),
        (DW_AT_frame_base, DW_FORM_exprloc, vec![4, DW_OP_WASM_location.0, 0, 1, DW_OP_stack_value.0]),
    ];
    builder.entry(DW_TAG_subprogram, true, &code);
    // Two values for the operation to work on; what it needs after its opcode; what comes after it.
    let two = [DW_OP_lit8.0, DW_OP_lit9.0];
    let value = [DW_OP_stack_value.0];
    let reference = [object, 0, 0, 0];
    let mut cases: Vec<(DwOp, Vec<u8>)> = Vec::new();
    for code in 0..=u8::MAX {
        let op = DwOp(code);
        if op.static_string().is_none() {
            continue;
        }
        let (before, operands, after): (&[u8], Vec<u8>, &[u8]) = match op {
            DW_OP_addr => (&[], vec![64, 0, 0, 0], &[]),
            DW_OP_const1u | DW_OP_const1s => (&[], vec![0xfe], &value),
            DW_OP_const2u | DW_OP_const2s => (&[], vec![0xfe, 0xff], &value),
            DW_OP_const4u | DW_OP_const4s => (&[], vec![0xfe, 0xff, 0xff, 0xff], &value),
            DW_OP_const8u | DW_OP_const8s => (&[], vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &value),
            DW_OP_constu | DW_OP_consts => (&[], vec![0x7e], &value),
            DW_OP_pick => (&two, vec![1], &value),
            DW_OP_rot => (&[DW_OP_lit1.0, DW_OP_lit2.0, DW_OP_lit3.0], vec![], &value),
            DW_OP_plus_uconst => (&two, vec![3], &value),
            DW_OP_bra => (&[DW_OP_lit5.0, DW_OP_lit1.0], vec![1, 0, DW_OP_neg.0], &value),
            DW_OP_skip => (&two, vec![1, 0, DW_OP_neg.0], &value),
            DW_OP_regx => (&[], vec![1], &[]),
            DW_OP_fbreg => (&[], vec![0x10], &[]),
            DW_OP_bregx => (&[], vec![1, 4], &[]),
            DW_OP_piece => (&two, vec![4], &[]),
            DW_OP_deref_size | DW_OP_xderef_size => (&two, vec![2], &value),
            DW_OP_call2 => (&[], vec![object, 0], &[]),
            DW_OP_call4 | DW_OP_call_ref => (&[], reference.to_vec(), &[]),
            DW_OP_GNU_variable_value => (&[], reference.to_vec(), &value),
            DW_OP_bit_piece => (&two, vec![3, 2], &[]),
            DW_OP_implicit_value => (&[], vec![2, 7, 8], &[]),
            DW_OP_implicit_pointer | DW_OP_GNU_implicit_pointer => (&[], [&reference[..], &[4]].concat(), &[]),
            DW_OP_addrx | DW_OP_GNU_addr_index => (&[], vec![1], &[]),
            DW_OP_constx | DW_OP_GNU_const_index => (&[], vec![1], &value),
            DW_OP_entry_value | DW_OP_GNU_entry_value => (&[], vec![3, DW_OP_WASM_location.0, 0, 0], &value),
            DW_OP_const_type | DW_OP_GNU_const_type => (&[], vec![ty, 4, 1, 2, 3, 4], &value),
            DW_OP_regval_type | DW_OP_GNU_regval_type => (&[], vec![1, ty], &value),
            DW_OP_deref_type | DW_OP_GNU_deref_type | DW_OP_xderef_type => (&two, vec![4, ty], &value),
            DW_OP_convert | DW_OP_GNU_convert | DW_OP_reinterpret | DW_OP_GNU_reinterpret => (&two, vec![ty], &value),
            DW_OP_GNU_parameter_ref => (&[], reference.to_vec(), &value),
            DW_OP_WASM_location => (&[], vec![0, 0], &value),
            DW_OP_push_object_address | DW_OP_call_frame_cfa => (&[], vec![], &value),
            DW_OP_form_tls_address | DW_OP_GNU_push_tls_address => (&[DW_OP_const1u.0, 64], vec![], &[]),
            op if (DW_OP_lit0.0..=DW_OP_lit31.0).contains(&op.0) => (&[], vec![], &value),
            op if (DW_OP_reg0.0..=DW_OP_reg31.0).contains(&op.0) => (&[], vec![], &[]),
            op if (DW_OP_breg0.0..=DW_OP_breg31.0).contains(&op.0) => (&[], vec![4], &[]),
            _ => (&two, vec![], &value),
        };
        cases.push((op, [before, &[op.0], &operands, after].concat()));
    }
    for kind in 1..=4 {
        let mut bytes = vec![DW_OP_WASM_location.0, kind];
        bytes.extend(if kind == 3 { vec![0, 0, 0, 0] } else { vec![0] });
        bytes.extend(value);
        cases.push((DW_OP_WASM_location, bytes));
    }
    cases.push((DwOp(0xe9), vec![0xe9, 0]));
    for (op, bytes) in cases {
        let name = op.static_string().unwrap_or("unknown").trim_start_matches("DW_OP_");
        let expression = [uleb(bytes.len() as u64), bytes].concat();
        let attributes = [(DW_AT_name, TEXT, string(name)), (DW_AT_location, DW_FORM_exprloc, expression)];
        builder.entry(DW_TAG_variable, false, &attributes);
    }
    builder.end().end();
    builder.section(".debug_addr", table(&[start.to_le_bytes(), 64_u32.to_le_bytes()].concat()));
    insta::assert_snapshot!(transform(&wasm, &builder.finish()));
}
