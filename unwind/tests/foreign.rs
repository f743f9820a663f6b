//! The static checker and other compilers' functions, which come in parts.
#![cfg(target_arch = "x86_64")]

use gimli::write::{
    Address, CallFrameInstruction, CommonInformationEntry, EhFrame, EndianVec, FrameDescriptionEntry, FrameTable,
};
use gimli::{Encoding, Format, LittleEndian, Register, X86_64};
use unwind::check::{Checked, Report, Subject, check};

const TEXT: u64 = 0x1000;
/// Of the part, from the start of the text.
const PART: usize = 16;

/// `push rbx; call +0; pop rbx; ret`, and a landing pad behind a `nop`, in a frame of 48 bytes:
/// `endbr64; mov rdi, rax; add rsp, 24; pop rbx; pop rbp; ret`.
const CODE: [u8; 31] = [
    0x53, 0xe8, 0, 0, 0, 0, 0x5b, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, // the function
    0x90, 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x89, 0xc7, 0x48, 0x83, 0xc4, 0x18, 0x5b, 0x5d, 0xc3, // the part
];

/// The table as a compiler writes it, but with this CFA behind `add rsp, 24`.
fn report_with(cfa_of_epilogue: i32) -> Report {
    use CallFrameInstruction::{Cfa, CfaOffset, Offset};
    let encoding = Encoding { format: Format::Dwarf32, version: 1, address_size: 8 };
    let mut cie = CommonInformationEntry::new(encoding, 1, -8, X86_64::RA);
    cie.add_instruction(Cfa(X86_64::RSP, 8));
    cie.add_instruction(Offset(X86_64::RA, -8));
    let mut table = FrameTable::default();
    let cie = table.add_cie(cie);
    let mut fde = |start: usize, len: u32, instructions: &[(u32, CallFrameInstruction)]| {
        let mut fde = FrameDescriptionEntry::new(Address::Constant(TEXT + start as u64), len);
        instructions.iter().for_each(|(at, instruction)| fde.add_instruction(*at, instruction.clone()));
        table.add_fde(cie, fde);
    };
    let saved = |register: Register, at| Offset(register, at);
    fde(0, 8, &[(1, CfaOffset(16)), (1, saved(X86_64::RBX, -16)), (7, CfaOffset(8))]);
    let part = [
        (1, CfaOffset(48)),
        (1, saved(X86_64::RBX, -24)),
        (1, saved(X86_64::RBP, -16)),
        (12, CfaOffset(cfa_of_epilogue)),
        (13, CfaOffset(16)),
        (14, CfaOffset(8)),
    ];
    fde(PART, 15, &part);
    let mut eh_frame = EhFrame(EndianVec::new(LittleEndian));
    table.write_eh_frame(&mut eh_frame).unwrap();
    check(&Checked {
        text: &CODE,
        text_address: TEXT,
        functions: &[TEXT..TEXT + 8, TEXT + PART as u64..TEXT + CODE.len() as u64],
        eh_frame: eh_frame.slice(),
        eh_frame_address: 0,
        eh_frame_hdr: None,
        foreign: true,
    })
}

#[test]
fn landing_pads_start_as_their_first_row_says() {
    let report = report_with(24);
    assert!(report.is_exact(), "{:?}", report.findings().collect::<Vec<_>>());
    assert_eq!((report.functions, report.parts, report.instructions), (2, 1, 4 + 6));
}

#[test]
fn rows_of_a_landing_pad_are_held_against_its_first() {
    let report = report_with(32);
    let found: Vec<_> = report.findings().map(|found| (found.address - TEXT - PART as u64, found.subject)).collect();
    assert_eq!(found[0], (12, Subject::Cfa), "{found:?}");
    assert!(report.disagreements.iter().all(|found| found.address == TEXT + PART as u64 + 12));
}
