//! Objects of which the guest describes only parts: the rest is said to be nowhere, and nothing is shown where a debugger
//! would take it for zeros.

mod common;

#[path = "common/builder.rs"]
mod builder;
#[path = "common/dump.rs"]
mod dump;

use builder::{Builder, string};
use common::{native_module, read_module};
use dwarf_transform::{GuestSection, LossKind, PointerFlavour, TransformOptions, generate, scan, serialize};
use gimli::constants::*;

fn transform(sections: &[(String, Vec<u8>)], flavour: PointerFlavour) -> (String, u64) {
    let path = format!("{}/tests/inputs/list-O0-v5.wasm", env!("CARGO_MANIFEST_DIR"));
    let wasm = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (mut guest, operators) = read_module(&wasm);
    guest.sections.sections = sections.iter().map(|(name, bytes)| GuestSection { name, bytes }).collect();
    let scan = scan(&guest);
    let native = native_module(&guest, &operators, &scan);
    let options = TransformOptions { flavour, ..TransformOptions::default() };
    let generated = generate(&guest, scan.lines, &native, &options).expect("generate");
    let partial = generated.losses.get(LossKind::PartialObject);
    (dump::dump(&serialize(generated).expect("serialize")), partial)
}

/// A type of 24 bytes that is defined, one of 200 that is only declared beside its definition in a namespace, an array of
/// 3 by 4 numbers, one without a bound, and a variable of each with the given location.
fn module(location: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut builder = Builder::new(5, false);
    let name = |text: &str| (DW_AT_name, DW_FORM_string, string(text));
    let size = |bytes: u8| (DW_AT_byte_size, DW_FORM_data1, vec![bytes]);
    let reference = |at: usize| (DW_AT_type, DW_FORM_ref4, (at as u32).to_le_bytes().to_vec());
    let here = |builder: &Builder| builder.here();
    builder.entry(DW_TAG_compile_unit, true, &[name("pieces")]);
    let defined = here(&builder);
    builder.entry(DW_TAG_structure_type, false, &[name("Defined"), size(24)]);
    builder.entry(DW_TAG_namespace, true, &[name("space")]);
    let declared = here(&builder);
    builder.entry(
        DW_TAG_structure_type,
        false,
        &[name("Declared"), (DW_AT_declaration, DW_FORM_flag_present, Vec::new())],
    );
    builder.end();
    // Another of this name, but elsewhere.
    builder.entry(DW_TAG_structure_type, false, &[name("Declared"), size(4)]);
    builder.entry(DW_TAG_namespace, true, &[name("space")]);
    builder.entry(DW_TAG_structure_type, false, &[name("Declared"), size(200)]);
    builder.end();
    let int = here(&builder);
    builder.entry(DW_TAG_base_type, false, &[name("int"), size(4), (DW_AT_encoding, DW_FORM_data1, vec![5])]);
    let array = here(&builder);
    builder.entry(DW_TAG_array_type, true, &[reference(int)]);
    builder.entry(DW_TAG_subrange_type, false, &[(DW_AT_count, DW_FORM_data1, vec![3])]);
    builder.entry(DW_TAG_subrange_type, false, &[(DW_AT_upper_bound, DW_FORM_data1, vec![3])]);
    builder.end();
    let open = here(&builder);
    builder.entry(DW_TAG_array_type, true, &[reference(int)]);
    builder.entry(DW_TAG_subrange_type, false, &[]);
    builder.end();
    let location = [&[u8::try_from(location.len()).expect("short")], location].concat();
    for (text, ty) in [("defined", defined), ("declared", declared), ("array", array), ("open", open)] {
        let attributes = [name(text), reference(ty), (DW_AT_location, DW_FORM_exprloc, location.clone())];
        builder.entry(DW_TAG_variable, false, &attributes);
    }
    builder.end();
    builder.finish()
}

/// The locations in a dump, which has the sizes of pieces in bits.
fn locations(dump: &str) -> Vec<&str> {
    dump.lines().filter_map(|line| line.trim().strip_prefix(".location ")).collect()
}

#[test]
fn what_no_piece_describes_is_left_open() {
    // DW_OP_lit1, DW_OP_stack_value, DW_OP_piece 8.
    let sections = module(&[DW_OP_lit1.0, DW_OP_stack_value.0, DW_OP_piece.0, 8]);
    let (text, partial) = transform(&sections, PointerFlavour::Gdb);
    assert_eq!(
        locations(&text),
        ["1 value piece64 piece128", "1 value piece64 piece1536", "1 value piece64 piece320", "1 value piece64"]
    );
    assert_eq!(partial, 0);
}

#[test]
fn pieces_of_many_bytes_and_of_bits_count_too() {
    // DW_OP_piece 130 (two bytes long): only the object of 200 bytes is larger.
    let (text, _) =
        transform(&module(&[DW_OP_lit1.0, DW_OP_stack_value.0, DW_OP_piece.0, 0x82, 1]), PointerFlavour::Gdb);
    assert_eq!(locations(&text)[..2], ["1 value piece1040", "1 value piece1040 piece560"]);
    // DW_OP_bit_piece of 3 bits from bit 0.
    let bits = [DW_OP_lit1.0, DW_OP_stack_value.0, DW_OP_bit_piece.0, 3, 0];
    let (text, _) = transform(&module(&bits), PointerFlavour::Gdb);
    assert_eq!(
        locations(&text)[0],
        "1 value Piece { size_in_bits: 3, bit_offset: Some(0) } Piece { size_in_bits: 189, bit_offset: Some(0) }"
    );
}

#[test]
fn lldb_is_not_told_of_objects_whose_rest_it_would_take_for_zeros() {
    let (text, partial) =
        transform(&module(&[DW_OP_lit1.0, DW_OP_stack_value.0, DW_OP_piece.0, 24]), PointerFlavour::Lldb);
    assert_eq!(locations(&text), ["1 value piece192", "1 value piece192"]);
    assert_eq!(partial, 2, "the declared type and the array");
    // Nothing for the first 4 bytes, the rest described.
    let hole = [DW_OP_piece.0, 4, DW_OP_lit1.0, DW_OP_stack_value.0, DW_OP_piece.0, 20];
    let (text, partial) = transform(&module(&hole), PointerFlavour::Lldb);
    assert_eq!((locations(&text).len(), partial), (0, 4));
}
