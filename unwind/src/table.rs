//! The frame table of a module, and its sections.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::program::{DATA_ALIGNMENT, Program, Register, sleb, uleb};
use crate::{Arch, Error, FunctionFrame, TextOffset, prologue_only, x86_64};

/// What the rows of a target start from.
pub(crate) struct Target {
    /// Byte order of the fixed-size fields.
    pub(crate) big_endian: bool,
    /// Unit of row starts in bytes.
    pub(crate) code_alignment: u8,
    /// The column of the return address.
    pub(crate) return_address: Register,
    /// At the first instruction, CFA = this register + `cfa_offset`.
    pub(crate) stack_pointer: Register,
    pub(crate) cfa_offset: i32,
    /// At the first instruction, the return address is at CFA + this, or in its register.
    return_address_offset: Option<i32>,
    /// The register that compiled frames are found by.
    pub(crate) frame_pointer: Option<Register>,
}

impl Target {
    fn of(arch: Arch) -> Target {
        match arch {
            Arch::X86_64 => Target {
                big_endian: false,
                code_alignment: 1,
                return_address: 16,
                stack_pointer: 7,
                cfa_offset: 8,
                return_address_offset: Some(-8),
                frame_pointer: Some(6),
            },
            Arch::Aarch64 => Target {
                big_endian: false,
                code_alignment: 4,
                return_address: 30,
                stack_pointer: 31,
                cfa_offset: 0,
                return_address_offset: None,
                frame_pointer: Some(29),
            },
            Arch::Riscv64 => Target {
                big_endian: false,
                code_alignment: 2,
                return_address: 1,
                stack_pointer: 2,
                cfa_offset: 0,
                return_address_offset: None,
                frame_pointer: Some(8),
            },
            Arch::S390x => Target {
                big_endian: true,
                code_alignment: 2,
                return_address: 14,
                stack_pointer: 15,
                cfa_offset: 160,
                return_address_offset: None,
                frame_pointer: None,
            },
        }
    }

    /// A field of four bytes.
    fn word(&self, value: u32) -> [u8; 4] {
        match self.big_endian {
            true => value.to_be_bytes(),
            false => value.to_le_bytes(),
        }
    }

    /// A field of eight bytes.
    fn long(&self, value: u64) -> [u8; 8] {
        match self.big_endian {
            true => value.to_be_bytes(),
            false => value.to_le_bytes(),
        }
    }

    /// Fields of the CIE from its version to its initial instructions.
    fn cie_body(&self, kind: Kind) -> Vec<u8> {
        let mut body = Vec::new();
        match kind {
            Kind::EhFrame => body.extend(*b"\x01zR\0"),
            // version 4: no augmentation, address size, segment selector size
            Kind::DebugFrame => body.extend([4, 0, 8, 0]),
        }
        uleb(&mut body, self.code_alignment.into());
        sleb(&mut body, DATA_ALIGNMENT);
        // In version 1 this is a byte, in version 4 a ULEB128; all are below 128.
        body.push(self.return_address as u8);
        if kind == Kind::EhFrame {
            body.extend([1, PCREL_SDATA4]);
        }
        let mut rows = Program::new(&mut body, self);
        rows.def_cfa(self.stack_pointer, self.cfa_offset);
        if let Some(offset) = self.return_address_offset {
            rows.offset(self.return_address, offset);
        }
        body
    }
}

/// The two sections a table can be written as.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    EhFrame,
    DebugFrame,
}

const PCREL_SDATA4: u8 = gimli::DW_EH_PE_pcrel.0 | gimli::DW_EH_PE_sdata4.0;

/// Length, CIE pointer, start, size, length of augmentation.
const FDE_FIXED: usize = 4 + 4 + 4 + 4 + 1;

/// Addresses of a module's sections: in its file, or where they are loaded.
///
/// The tables hold differences of them only, so any three addresses with the same distances give the
/// same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionAddresses {
    /// Of the text section.
    pub text: u64,
    /// Of `.eh_frame`.
    pub eh_frame: u64,
    /// Of `.eh_frame_hdr`.
    pub eh_frame_hdr: u64,
}

/// One function in the table.
#[derive(Clone, Debug)]
struct Entry {
    start: u32,
    length: u32,
    /// Its call frame instructions in [`FrameTable::programs`].
    program: Range<u32>,
}

/// Frame rows of all functions of a module, sorted by address.
///
/// Rows depend on no address, so the table can be built once and written for any place.
#[derive(Clone, Debug)]
pub struct FrameTable {
    arch: Arch,
    entries: Box<[Entry]>,
    programs: Box<[u8]>,
}

impl FrameTable {
    /// Derives the rows of all functions. They may come in any order.
    pub fn build<'a>(arch: Arch, functions: impl IntoIterator<Item = FunctionFrame<'a>>) -> Result<FrameTable, Error> {
        let target = Target::of(arch);
        let mut entries: Vec<Entry> = Vec::new();
        let mut programs = Vec::new();
        for function in functions {
            let length = u32::try_from(function.code.len())
                .ok()
                .filter(|&length| length <= i32::MAX as u32 - function.start.0.min(i32::MAX as u32))
                .ok_or(Error::TooLarge("2 GiB of text"))?;
            if length == 0 {
                return Err(Error::EmptyFunction(function.start));
            }
            let first = programs.len();
            let mut program = Program::new(&mut programs, &target);
            match arch {
                Arch::X86_64 => x86_64::derive(&function, &mut program)?,
                _ => prologue_only::derive(&function, &target, &mut program)?,
            }
            if programs.len() > i32::MAX as usize {
                return Err(Error::TooLarge("2 GiB of instructions"));
            }
            entries.push(Entry { start: function.start.0, length, program: first as u32..programs.len() as u32 });
        }
        entries.sort_by_key(|entry| entry.start);
        for pair in entries.windows(2) {
            if pair[0].start + pair[0].length > pair[1].start {
                return Err(Error::Overlap { first: TextOffset(pair[0].start), second: TextOffset(pair[1].start) });
            }
        }
        Ok(FrameTable { arch, entries: entries.into(), programs: programs.into() })
    }

    /// The machine the table is for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// How many functions it covers.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The `.eh_frame` section (LSB 5.0, 10.6.1), with a zero terminator: one CIE, an FDE a function,
    /// addresses relative to their own places.
    ///
    /// Its length is the same for all addresses. Of `at`, the address of `.eh_frame_hdr` is not used.
    pub fn eh_frame(&self, at: SectionAddresses) -> Result<Vec<u8>, Error> {
        let target = Target::of(self.arch);
        let mut section = self.cie(Kind::EhFrame);
        section.reserve(self.programs.len() + self.entries.len() * FDE_FIXED + 4);
        for entry in &self.entries {
            let program = self.program(entry);
            let start = section.len();
            section.extend(target.word((FDE_FIXED - 4 + program.len()) as u32));
            // The CIE is found by the distance from this field back to it.
            section.extend(target.word((start + 4) as u32));
            let place = at.eh_frame.wrapping_add(section.len() as u64);
            let address = at.text.wrapping_add(entry.start.into());
            section.extend(target.word(relative(address, place)?));
            section.extend(target.word(entry.length));
            section.push(0); // no augmentation
            section.extend(program);
        }
        section.extend([0; 4]);
        if section.len() > i32::MAX as usize {
            return Err(Error::TooLarge("2 GiB of .eh_frame"));
        }
        Ok(section)
    }

    /// The `.eh_frame_hdr` section (LSB 5.0, 10.6.2): a table of all functions for binary search.
    pub fn eh_frame_hdr(&self, at: SectionAddresses) -> Result<Vec<u8>, Error> {
        let target = Target::of(self.arch);
        let mut section = Vec::with_capacity(12 + 8 * self.entries.len());
        section.push(1);
        section.push(PCREL_SDATA4);
        section.push(gimli::DW_EH_PE_udata4.0);
        section.push(gimli::DW_EH_PE_datarel.0 | gimli::DW_EH_PE_sdata4.0);
        section.extend(target.word(relative(at.eh_frame, at.eh_frame_hdr.wrapping_add(4))?));
        section.extend(target.word(self.entries.len() as u32));
        let mut fde = at.eh_frame.wrapping_add(self.cie(Kind::EhFrame).len() as u64);
        for entry in &self.entries {
            let address = at.text.wrapping_add(entry.start.into());
            section.extend(target.word(relative(address, at.eh_frame_hdr)?));
            section.extend(target.word(relative(fde, at.eh_frame_hdr)?));
            fde = fde.wrapping_add((FDE_FIXED + self.program(entry).len()) as u64);
        }
        Ok(section)
    }

    /// The `.debug_frame` section (DWARF 5, 6.4.1) for text at the address `text`.
    pub fn debug_frame(&self, text: u64) -> Result<Vec<u8>, Error> {
        let target = Target::of(self.arch);
        let mut section = self.cie(Kind::DebugFrame);
        for entry in &self.entries {
            let program = self.program(entry);
            section.extend(target.word((4 + 16 + program.len()) as u32));
            section.extend([0; 4]); // the CIE's offset in the section
            section.extend(target.long(text.wrapping_add(entry.start.into())));
            section.extend(target.long(entry.length.into()));
            section.extend(program);
        }
        if section.len() > u32::MAX as usize - 16 {
            return Err(Error::TooLarge("4 GiB of .debug_frame"));
        }
        Ok(section)
    }

    fn program(&self, entry: &Entry) -> &[u8] {
        &self.programs[entry.program.start as usize..entry.program.end as usize]
    }

    fn cie(&self, kind: Kind) -> Vec<u8> {
        let id: u32 = match kind {
            Kind::EhFrame => 0,
            Kind::DebugFrame => u32::MAX,
        };
        let target = Target::of(self.arch);
        let body = target.cie_body(kind);
        let mut cie = Vec::new();
        cie.extend(target.word(4 + body.len() as u32));
        cie.extend(target.word(id));
        cie.extend(body);
        cie
    }
}

/// `address` as seen from `from`.
fn relative(address: u64, from: u64) -> Result<u32, Error> {
    i32::try_from(address.wrapping_sub(from).cast_signed())
        .map(i32::cast_unsigned)
        .map_err(|_| Error::OutOfReach { address, from })
}
