//! What the process registers: where its compiled code is and what its table says.

use std::collections::{BTreeSet, HashMap};
use std::io;

use gimli::{BaseAddresses, CfaRule, EhFrame, LittleEndian, RegisterRule, UnwindContext, UnwindSection};
use iced_x86::{Decoder, DecoderOptions, FlowControl};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use unwind::{SectionAddresses, eh_frame_hdr_of};

use crate::tracee::Tracee;

/// DWARF numbers of rbx, rbp, r12 to r15.
pub const SAVED: [u16; 6] = [3, 6, 12, 13, 14, 15];

/// How the instruction at a pc goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Next,
    Call,
    Return,
    Jump,
}

/// The row of one pc, and its instruction.
#[derive(Clone)]
pub struct Place {
    /// CFA is relative to rbp; else to rsp.
    pub cfa_is_rbp: bool,
    pub cfa_offset: i64,
    /// Distance of the return address from the CFA.
    pub return_address: i64,
    /// The same for [`SAVED`]; `None`: in its register.
    pub saved: [Option<i64>; 6],
    pub flow: Flow,
    /// Address of the next instruction.
    pub next: u64,
}

/// One registered image.
pub struct Image {
    pub start: u64,
    pub end: u64,
    pub name: String,
    text: Vec<u8>,
    pub functions: BTreeSet<u64>,
    pub names: HashMap<u64, String>,
    pub eh_frame: Vec<u8>,
    pub eh_frame_hdr: Vec<u8>,
    pub at: SectionAddresses,
    places: HashMap<u64, Option<Place>>,
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

impl Image {
    /// Reads an ELF file from the process and the text it speaks of.
    pub fn read(tracee: &Tracee, address: u64, size: u64) -> io::Result<Image> {
        /// More than any module has.
        const LIMIT: u64 = 1 << 32;
        if size > LIMIT {
            return Err(invalid("an image of more than 4 GiB"));
        }
        let mut file = vec![0; size as usize];
        tracee.read(address, &mut file)?;
        let elf = ElfFile64::<object::Endianness>::parse(&file[..]).map_err(invalid)?;
        let section = |name: &str| elf.section_by_name(name).ok_or_else(|| invalid(format!("the image has no {name}")));
        let text_section = section(".text")?;
        let (start, length) = (text_section.address(), text_section.size());
        if length > LIMIT {
            return Err(invalid("a text of more than 4 GiB"));
        }
        let mut text = vec![0; length as usize];
        tracee.read(start, &mut text)?;
        let eh_frame_section = section(".eh_frame")?;
        let mut eh_frame = eh_frame_section.uncompressed_data().map_err(invalid)?.into_owned();
        if !eh_frame.ends_with(&[0; 4]) {
            eh_frame.extend([0; 4]);
        }
        let at = SectionAddresses { text: start, eh_frame: eh_frame_section.address(), eh_frame_hdr: start };
        let eh_frame_hdr = eh_frame_hdr_of(&eh_frame, at).map_err(invalid)?;
        let end = start.wrapping_add(length);
        let mut functions = BTreeSet::new();
        let mut names = HashMap::new();
        for symbol in elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            if (start..end).contains(&symbol.address()) {
                functions.insert(symbol.address());
                names.insert(symbol.address(), symbol.name().unwrap_or("?").to_owned());
            }
        }
        Ok(Image {
            start,
            end,
            name: format!("{start:#x}..{end:#x}"),
            text,
            functions,
            names,
            eh_frame,
            eh_frame_hdr,
            at,
            places: HashMap::new(),
        })
    }

    pub fn contains(&self, pc: u64) -> bool {
        (self.start..self.end).contains(&pc)
    }

    /// The row and instruction at `pc`; `None` if there is no row, or none that can be understood.
    pub fn place(&mut self, pc: u64) -> Option<Place> {
        if let Some(place) = self.places.get(&pc) {
            return place.clone();
        }
        let place = self.find(pc);
        self.places.insert(pc, place.clone());
        place
    }

    fn find(&self, pc: u64) -> Option<Place> {
        let section = EhFrame::new(&self.eh_frame, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(self.at.eh_frame).set_text(self.at.text);
        let fde = section.fde_for_address(&bases, pc, EhFrame::cie_from_offset).ok()?;
        let mut context = UnwindContext::new();
        let row = fde.unwind_info_for_address(&section, &bases, &mut context, pc).ok()?;
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return None };
        let slot = |register: u16| match row.register(gimli::Register(register)) {
            None | Some(RegisterRule::SameValue) => Some(None),
            Some(RegisterRule::Offset(offset)) => Some(Some(offset)),
            Some(_) => None,
        };
        let mut saved = [None; 6];
        for (place, register) in saved.iter_mut().zip(SAVED) {
            *place = slot(register)?;
        }
        let offset_in_text = (pc - self.start) as usize;
        let mut decoder = Decoder::with_ip(64, &self.text[offset_in_text..], pc, DecoderOptions::NONE);
        let instruction = decoder.decode();
        Some(Place {
            cfa_is_rbp: match register.0 {
                6 => true,
                7 => false,
                _ => return None,
            },
            cfa_offset: *offset,
            return_address: slot(16)??,
            saved,
            flow: match instruction.flow_control() {
                FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
                FlowControl::Return => Flow::Return,
                FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => Flow::Jump,
                _ => Flow::Next,
            },
            next: instruction.next_ip(),
        })
    }
}

/// Addresses in the process of the two symbols of the interface.
pub struct Interface {
    pub descriptor: u64,
    pub register_code: u64,
}

impl Interface {
    /// Finds them in the executable.
    pub fn find(tracee: &Tracee) -> io::Result<Interface> {
        let pid = tracee.pid;
        let path = std::fs::read_link(format!("/proc/{pid}/exe"))?;
        let file = std::fs::read(&path)?;
        let elf = ElfFile64::<object::Endianness>::parse(&file[..]).map_err(invalid)?;
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let mut base = 0;
        if elf.kind() == object::ObjectKind::Dynamic {
            let path = path.to_string_lossy();
            let line = maps.lines().find(|line| line.ends_with(&*path));
            let start = line.and_then(|line| line.split('-').next());
            base = start
                .and_then(|start| u64::from_str_radix(start, 16).ok())
                .ok_or_else(|| invalid("the executable is not mapped"))?;
        }
        let symbol = |name: &str| {
            elf.symbols()
                .chain(elf.dynamic_symbols())
                .find(|symbol| symbol.name() == Ok(name) && symbol.is_definition())
                .map(|symbol| base + symbol.address())
                .ok_or_else(|| invalid(format!("{} has no symbol {name}", path.display())))
        };
        Ok(Interface {
            descriptor: symbol("__jit_debug_descriptor")?,
            register_code: symbol("__jit_debug_register_code")?,
        })
    }
}
