//! Broken DWARF costs debug information, never the process: no panic, no hang, and what was lost is counted.

mod common;

#[path = "common/mutated.rs"]
mod mutated;

use common::{native_module, read_module};
use dwarf_transform::{
    AddressRow, GuestFunction, GuestModule, GuestSection, GuestSections, LossKind, Losses, NativeFunction,
    NativeModule, PointerFlavour, TextOffset, TransformOptions, WasmOffset, generate, scan, serialize,
};

fn input(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/inputs/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A module whose debug sections can be changed.
struct Subject {
    wasm: Vec<u8>,
    sections: Vec<(String, Vec<u8>)>,
}

impl Subject {
    fn new(name: &str) -> Subject {
        let wasm = input(name);
        let (guest, _) = read_module(&wasm);
        let sections =
            guest.sections.sections.iter().map(|section| (section.name.to_owned(), section.bytes.to_vec())).collect();
        Subject { wasm, sections }
    }

    fn section(&mut self, name: &str) -> &mut Vec<u8> {
        let position = self.sections.iter().position(|section| section.0 == name);
        let position = position.unwrap_or_else(|| {
            self.sections.push((name.to_owned(), Vec::new()));
            self.sections.len() - 1
        });
        &mut self.sections[position].1
    }

    /// Runs all stages.
    fn run(&self) -> Losses {
        let (mut guest, operators) = read_module(&self.wasm);
        guest.sections.sections = self.sections.iter().map(|(name, bytes)| GuestSection { name, bytes }).collect();
        let scan = scan(&guest);
        let native = native_module(&guest, &operators, &scan);
        run(&guest, &native)
    }
}

fn run(guest: &GuestModule<'_>, native: &NativeModule) -> Losses {
    let scan = scan(guest);
    let mut losses = Losses::default();
    for (dwarf_version, flavour) in [(4, PointerFlavour::Lldb), (5, PointerFlavour::Gdb)] {
        let options = TransformOptions { dwarf_version, flavour, ..TransformOptions::default() };
        let generated = generate(guest, scan.lines.clone(), native, &options).expect("guest DWARF is never an error");
        losses = generated.losses.clone();
        serialize(generated).expect("what was generated can be written");
    }
    losses.merge(scan.losses);
    losses
}

/// A small generator of pseudo-random numbers, so that failures repeat.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("small")
    }
}

#[test]
fn every_section_may_end_anywhere() {
    for name in ["list-O2-v5", "types-O0-v4", "list-O0-v2"] {
        let whole = Subject::new(name);
        for section in 0..whole.sections.len() {
            let length = whole.sections[section].1.len();
            for cut in (0..length).step_by(7) {
                let mut subject = Subject { wasm: whole.wasm.clone(), sections: whole.sections.clone() };
                subject.sections[section].1.truncate(cut);
                subject.run();
            }
        }
    }
}

#[test]
fn bytes_may_be_anything() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for name in ["list-O2-v5", "types-O0-v5", "list-O1-v3"] {
        let whole = Subject::new(name);
        for _ in 0..400 {
            let mut subject = Subject { wasm: whole.wasm.clone(), sections: whole.sections.clone() };
            for _ in 0..=random.below(4) {
                let section = random.below(subject.sections.len());
                let bytes = &mut subject.sections[section].1;
                if bytes.is_empty() {
                    continue;
                }
                let position = random.below(bytes.len());
                bytes[position] = match random.below(3) {
                    0 => 0xff,
                    1 => bytes[position].wrapping_add(1),
                    _ => random.next() as u8,
                };
            }
            subject.run();
        }
    }
}

/// A second of what `examples/mutate.rs` does for as long as one likes.
#[test]
fn mutated_sections_never_panic_and_what_comes_out_can_be_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs");
    let seeds = mutated::seeds(&folder);
    assert!(seeds.len() > 12);
    let mut random = mutated::Random(1);
    for seed in &seeds {
        seed.check();
        for _ in 0..20 {
            seed.mutated(|limit| random.below(limit)).check();
        }
    }
}

#[test]
fn a_unit_cut_in_the_middle_loses_itself_and_says_so() {
    let mut subject = Subject::new("list-O0-v5");
    let info = subject.section(".debug_info");
    let half = info.len() / 2;
    info.truncate(half);
    assert!(subject.run().get(LossKind::MalformedUnit) > 0);
}

/// The linker keeps one of the copies that units have of an inline function, and lets the DWARF of all begin at it.
#[test]
fn what_describes_another_copy_of_a_function_describes_nothing() {
    let wasm = input("list-O0-v5");
    let described = |shorter: u32| {
        let (mut guest, _) = read_module(&wasm);
        let last = scan(&guest).uses.functions.iter().rposition(|uses| !uses.statements.is_empty());
        let last = last.expect("a function has statements");
        guest.functions.truncate(last + 1);
        guest.functions[last].body.end.0 -= shorter;
        let scan = scan(&guest);
        let uses = &scan.uses.functions[last];
        assert!(scan.uses.functions[..last].iter().any(|uses| uses.described), "the others are what they were");
        (uses.described, uses.statements.len(), uses.local_uses.len())
    };
    assert_eq!(described(2), (false, 0, 0));
    let (is_described, statements, locals) = described(0);
    assert!(is_described && statements > 0 && locals > 0);
}

#[test]
fn a_missing_line_section_loses_lines_only() {
    let mut subject = Subject::new("list-O0-v5");
    subject.section(".debug_line").clear();
    let losses = subject.run();
    assert!(losses.get(LossKind::MalformedLines) > 0);
    assert_eq!(losses.get(LossKind::MalformedUnit), 0);
}

/// Builds `.debug_info` and `.debug_abbrev` of one DWARF 4 unit byte by byte.
#[derive(Default)]
struct Builder {
    abbrev: Vec<u8>,
    info: Vec<u8>,
}

impl Builder {
    /// An abbreviation: tag, children, `(attribute, form)` pairs; all numbers below 128.
    fn abbreviation(mut self, code: u8, tag: u8, children: bool, attributes: &[(u8, u8)]) -> Builder {
        self.abbrev.extend([code, tag, u8::from(children)]);
        for (attribute, form) in attributes {
            self.abbrev.extend([*attribute, *form]);
        }
        self.abbrev.extend([0, 0]);
        self
    }

    fn entry(mut self, bytes: &[u8]) -> Builder {
        self.info.extend(bytes);
        self
    }

    fn sections(mut self) -> Vec<(&'static str, Vec<u8>)> {
        self.abbrev.push(0);
        let mut info = u32::try_from(self.info.len() + 7).expect("small").to_le_bytes().to_vec();
        info.extend([4, 0, 0, 0, 0, 0, 4]);
        info.extend(self.info);
        vec![(".debug_info", info), (".debug_abbrev", self.abbrev)]
    }

    fn run(self) -> Losses {
        let mut subject = Subject::new("list-O0-v4");
        subject.sections = self.sections().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        subject.run()
    }
}

const COMPILE_UNIT: u8 = 0x11;
const VARIABLE: u8 = 0x34;
const POINTER: u8 = 0x0f;
const BASE_TYPE: u8 = 0x24;
const LEXICAL_BLOCK: u8 = 0x0b;
const AT_LOCATION: u8 = 0x02;
const AT_TYPE: u8 = 0x49;
const AT_LOW_PC: u8 = 0x11;
const AT_HIGH_PC: u8 = 0x12;
const FORM_ADDR: u8 = 0x01;
const FORM_DATA4: u8 = 0x06;
const FORM_EXPRLOC: u8 = 0x18;
const FORM_REF4: u8 = 0x13;
const FORM_SEC_OFFSET: u8 = 0x17;
const FORM_REF_ADDR: u8 = 0x10;
const FORM_DATA16: u8 = 0x1e;

fn with_variable(expression: &[u8]) -> Losses {
    let mut variable = vec![2, u8::try_from(expression.len()).expect("short")];
    variable.extend(expression);
    Builder::default()
        .abbreviation(1, COMPILE_UNIT, true, &[])
        .abbreviation(2, VARIABLE, false, &[(AT_LOCATION, FORM_EXPRLOC)])
        .entry(&[1])
        .entry(&variable)
        .entry(&[0])
        .run()
}

/// It would be a block in DWARF 4, and taken for an expression.
#[test]
fn a_constant_of_16_bytes_is_no_location() {
    let losses = Builder::default()
        .abbreviation(1, COMPILE_UNIT, true, &[])
        .abbreviation(2, VARIABLE, false, &[(AT_LOCATION, FORM_DATA16)])
        .entry(&[1, 2])
        .entry(&[0x02; 16])
        .entry(&[0])
        .run();
    assert_eq!(losses.get(LossKind::UnsupportedAttribute), 1, "{losses}");
}

#[test]
fn references_to_nowhere_are_counted() {
    let losses = Builder::default()
        .abbreviation(1, COMPILE_UNIT, true, &[])
        .abbreviation(2, POINTER, false, &[(AT_TYPE, FORM_REF4)])
        .abbreviation(3, POINTER, false, &[(AT_TYPE, FORM_REF_ADDR)])
        .entry(&[1])
        .entry(&[2, 0xff, 0xff, 0, 0])
        .entry(&[2, 13, 0, 0, 0])
        .entry(&[3, 0xff, 0xff, 0, 0])
        .entry(&[0])
        .run();
    assert_eq!(losses.get(LossKind::DanglingReference), 3);
}

#[test]
fn a_type_may_refer_to_itself() {
    let losses = Builder::default()
        .abbreviation(1, COMPILE_UNIT, true, &[])
        .abbreviation(2, POINTER, false, &[(AT_TYPE, FORM_REF4)])
        .entry(&[1])
        .entry(&[2, 12, 0, 0, 0])
        .entry(&[0])
        .run();
    assert!(losses.is_empty(), "{losses}");
}

#[test]
fn an_unknown_abbreviation_ends_the_unit() {
    let losses = Builder::default().abbreviation(1, COMPILE_UNIT, true, &[]).entry(&[1, 99]).run();
    assert!(losses.get(LossKind::MalformedUnit) > 0);
}

#[test]
fn expressions_that_make_no_sense_are_counted() {
    // DW_OP_plus on an empty stack; an operation that does not exist; a branch out of the expression; one into the
    // middle of an operation; DW_OP_call2 to itself; a register; a wasm local outside of every function.
    let cases: [(&[u8], LossKind); 7] = [
        (&[0x22], LossKind::MalformedExpression),
        (&[0x01], LossKind::UntranslatableExpression),
        (&[0x30, 0x28, 0x40, 0x00], LossKind::MalformedExpression),
        (&[0x30, 0x28, 0xfe, 0xff], LossKind::MalformedExpression),
        (&[0x98, 0x0c, 0x00], LossKind::UntranslatableExpression),
        (&[0x50], LossKind::UntranslatableExpression),
        (&[0xed, 0x00, 0x03, 0x9f], LossKind::LocalWithoutHome),
    ];
    for (expression, kind) in cases {
        let losses = with_variable(expression);
        assert_eq!(losses.get(kind), 1, "{expression:02x?}: {losses}");
    }
}

#[test]
fn endless_loops_in_expressions_are_only_copied() {
    // DW_OP_lit0, DW_OP_skip -4: back to the beginning.
    with_variable(&[0x30, 0x2f, 0xfc, 0xff]);
}

#[test]
fn an_offset_of_a_list_that_does_not_exist_is_counted() {
    let losses = Builder::default()
        .abbreviation(1, COMPILE_UNIT, true, &[])
        .abbreviation(2, VARIABLE, false, &[(AT_LOCATION, FORM_SEC_OFFSET)])
        .entry(&[1])
        .entry(&[2, 0xff, 0, 0, 0])
        .entry(&[0])
        .run();
    assert_eq!(losses.get(LossKind::MalformedList), 1);
}

/// A function whose first 4000 operators each have their code between that of later ones, so that each is a range of its own.
fn in_pieces() -> (GuestFunction, NativeFunction) {
    const OPERATORS: u32 = 4000;
    let guest = GuestFunction {
        index: 0,
        body: WasmOffset(0)..WasmOffset(2 * OPERATORS + 1),
        code_start: WasmOffset(1),
        locals: Vec::new(),
        parameters: 0,
        results: Vec::new(),
    };
    let row = |number| AddressRow {
        text: TextOffset(number * 4),
        wasm: Some(WasmOffset(1 + number / 2 + number % 2 * OPERATORS)),
        anchor: false,
        new_block: false,
    };
    let native = NativeFunction {
        text: TextOffset(0)..TextOffset(OPERATORS * 8),
        rows: (0..2 * OPERATORS).map(row).collect(),
        ..NativeFunction::default()
    };
    (guest, native)
}

/// Compiles a function [`in_pieces`] with this debug info and gives the size of the result.
fn run_in_pieces(sections: &[(&str, Vec<u8>)]) -> (Losses, usize) {
    let (function, native) = in_pieces();
    let sections = sections.iter().map(|(name, bytes)| GuestSection { name, bytes }).collect();
    let guest =
        GuestModule { sections: GuestSections { sections }, functions: vec![function], ..GuestModule::default() };
    let native = NativeModule { functions: vec![native], ..NativeModule::default() };
    let generated =
        generate(&guest, scan(&guest).lines, &native, &TransformOptions::default()).expect("it can be written");
    let losses = generated.losses.clone();
    let sections = serialize(generated).expect("it can be written");
    (losses, sections.iter().map(|section| section.bytes.len()).sum())
}

#[test]
fn lists_that_share_their_bytes_and_cover_scattered_code_are_given_up() {
    // `DW_OP_lit1, DW_OP_stack_value` in all of the function, and that a thousand times.
    let item = [&[1, 0, 0, 0][..], &4001_u32.to_le_bytes(), &[2, 0, 0x31, 0x9f]].concat();
    let list = [item.repeat(1000), vec![0; 8]].concat();
    let variables = |count| {
        Builder::default()
            .abbreviation(1, COMPILE_UNIT, true, &[])
            .abbreviation(2, VARIABLE, false, &[(AT_LOCATION, FORM_SEC_OFFSET)])
            .entry(&[1])
            .entry(&[2, 0, 0, 0, 0].repeat(count))
            .entry(&[0])
            .sections()
    };
    let short = [item.clone(), vec![0; 8]].concat();
    let (losses, size) = run_in_pieces(&[variables(1), vec![(".debug_loc", short)]].concat());
    assert!(losses.is_empty() && size > 12_000, "one list is written whole: {size} bytes, {losses}");
    let (losses, size) = run_in_pieces(&[variables(500), vec![(".debug_loc", list)]].concat());
    assert!((490..=500).contains(&losses.get(LossKind::TooManyRanges)), "{losses}");
    assert!(size < 100_000_000, "{size}");
}

#[test]
fn scopes_that_cover_scattered_code_are_given_up() {
    let block = [&[2, 1, 0, 0, 0][..], &4000_u32.to_le_bytes()].concat();
    let sections = Builder::default()
        .abbreviation(1, COMPILE_UNIT, true, &[])
        .abbreviation(2, LEXICAL_BLOCK, false, &[(AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4)])
        .entry(&[1])
        .entry(&block.repeat(20_000))
        .entry(&[0])
        .sections();
    let (losses, size) = run_in_pieces(&sections);
    let lost = losses.get(LossKind::TooManyRanges);
    assert!((10_000..20_000).contains(&lost), "{losses}");
    assert!(size < 100_000_000, "{size}");
}

#[test]
fn entries_may_be_nested_without_end() {
    let mut builder = Builder::default()
        .abbreviation(1, COMPILE_UNIT, true, &[])
        .abbreviation(2, LEXICAL_BLOCK, true, &[])
        .abbreviation(3, BASE_TYPE, false, &[])
        .entry(&[1]);
    for _ in 0..100_000 {
        builder = builder.entry(&[2]);
    }
    let losses = builder.entry(&[3]).run();
    assert!(losses.get(LossKind::MalformedUnit) > 0);
}
