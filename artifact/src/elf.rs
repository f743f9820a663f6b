//! A list of sections and symbols in, an ELF64 file out.

use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Sym, Writer};

use crate::Machine;

pub(crate) struct ElfImage<'a> {
    pub machine: Machine,
    pub sections: Vec<ImageSection<'a>>,
    /// Local symbols first.
    pub symbols: Vec<ImageSymbol<'a>>,
}

#[derive(Clone, Copy)]
pub(crate) enum Contents<'a> {
    Bytes(&'a [u8]),
    /// As many bytes in memory, none in the file.
    Nothing(u64),
}

impl Contents<'_> {
    fn memory_size(&self) -> u64 {
        match *self {
            Contents::Bytes(bytes) => bytes.len() as u64,
            Contents::Nothing(size) => size,
        }
    }

    fn file_bytes(&self) -> &[u8] {
        match self {
            Contents::Bytes(bytes) => bytes,
            Contents::Nothing(_) => &[],
        }
    }
}

pub(crate) struct ImageSection<'a> {
    pub name: &'a str,
    pub kind: elf::SectionType,
    pub flags: elf::SectionFlags,
    pub address: u64,
    pub align: u64,
    pub contents: Contents<'a>,
}

impl<'a> ImageSection<'a> {
    pub fn debug(name: &'a str, bytes: &'a [u8]) -> Self {
        // String sections keep their merge flags: readers use them to tell strings from bytes.
        let flags = match name {
            ".debug_str" | ".debug_line_str" => elf::SHF_MERGE | elf::SHF_STRINGS,
            _ => elf::SectionFlags(0),
        };
        ImageSection { flags, ..Self::private(name, bytes) }
    }

    /// A section that only a reader of the file sees. Eight-aligned, so that tables can be read where they are mapped.
    pub fn private(name: &'a str, bytes: &'a [u8]) -> Self {
        ImageSection {
            name,
            kind: elf::SHT_PROGBITS,
            flags: elf::SectionFlags(0),
            address: 0,
            align: 8,
            contents: Contents::Bytes(bytes),
        }
    }

    fn is_loaded(&self) -> bool {
        self.flags.contains(elf::SHF_ALLOC)
    }
}

/// In the place of a section's number: the symbol's address belongs to no section.
pub(crate) const ABSOLUTE: u32 = 0;

pub(crate) struct ImageSymbol<'a> {
    pub name: &'a [u8],
    /// The section's number, counted from 1 in the order of [`ElfImage::sections`], or [`ABSOLUTE`].
    pub section: u32,
    pub kind: elf::SymbolType,
    pub bind: elf::SymbolBind,
    pub address: u64,
    pub size: u64,
}

impl ElfImage<'_> {
    /// The bytes of the file: one PT_LOAD for each run of loaded sections with the same rights, page-aligned.
    pub fn write(&self) -> Result<Vec<u8>, object::write::Error> {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(object::Endianness::Little, true, &mut buffer);
        let page = self.machine.page_size();

        // First every range is reserved, then everything is written in the same order.
        let segments = self.segments();
        let has_frame_header = self.sections.iter().any(is_frame_header);
        writer.reserve_file_header();
        writer.reserve_program_headers((segments.len() + 1 + usize::from(has_frame_header)) as u32);

        writer.reserve_null_section_index();
        let section_names: Vec<_> =
            self.sections.iter().map(|section| writer.add_section_name(section.name.as_bytes())).collect();
        for _ in &self.sections {
            writer.reserve_section_index();
        }
        writer.reserve_symtab_section_index();
        writer.reserve_strtab_section_index();
        writer.reserve_shstrtab_section_index();

        let starts_segment = |index: usize| segments.iter().any(|segment| segment.start == index);
        let mut offsets = Vec::with_capacity(self.sections.len());
        for (index, section) in self.sections.iter().enumerate() {
            let bytes = section.contents.file_bytes();
            let align = if starts_segment(index) && !bytes.is_empty() { page } else { section.align };
            offsets.push(writer.reserve(bytes.len() as u64, align));
        }

        writer.reserve_null_symbol_index();
        let symbol_names: Vec<_> = self
            .symbols
            .iter()
            .map(|symbol| {
                writer.reserve_symbol_index(None);
                writer.add_string(symbol.name)
            })
            .collect();
        writer.reserve_symtab();
        writer.reserve_strtab()?;
        writer.reserve_shstrtab()?;
        writer.reserve_section_headers();

        writer.write_file_header(&FileHeader {
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            e_type: elf::ET_DYN,
            e_machine: self.machine.elf(),
            e_entry: 0,
            e_flags: elf::FileFlags(0),
        })?;
        writer.write_align_program_headers();
        for segment in &segments {
            let first = &self.sections[segment.start];
            let last = &self.sections[segment.end - 1];
            let memory_size = last.address + last.contents.memory_size() - first.address;
            let file_size = match last.contents {
                Contents::Bytes(_) => memory_size,
                Contents::Nothing(_) => 0,
            };
            writer.write_program_header(&ProgramHeader {
                p_type: elf::PT_LOAD,
                p_flags: segment_flags(first.flags),
                // Congruent to the address modulo the page size, also where there is nothing in the file.
                p_offset: if file_size == 0 { first.address % page } else { offsets[segment.start] },
                p_vaddr: first.address,
                p_paddr: first.address,
                p_filesz: file_size,
                p_memsz: memory_size,
                p_align: page,
            });
        }
        for (section, &offset) in self.sections.iter().zip(&offsets).filter(|(section, _)| is_frame_header(section)) {
            let size = section.contents.memory_size();
            writer.write_program_header(&ProgramHeader {
                p_type: elf::PT_GNU_EH_FRAME,
                p_flags: elf::PF_R,
                p_offset: offset,
                p_vaddr: section.address,
                p_paddr: section.address,
                p_filesz: size,
                p_memsz: size,
                p_align: section.align,
            });
        }
        writer.write_program_header(&ProgramHeader {
            p_type: elf::PT_GNU_STACK,
            p_flags: elf::PF_R | elf::PF_W,
            p_offset: 0,
            p_vaddr: 0,
            p_paddr: 0,
            p_filesz: 0,
            p_memsz: 0,
            p_align: 16,
        });

        for (section, &offset) in self.sections.iter().zip(&offsets) {
            writer.pad_until(offset);
            writer.write(section.contents.file_bytes());
        }

        writer.write_null_symbol();
        for (symbol, &name) in self.symbols.iter().zip(&symbol_names) {
            writer.write_symbol(&Sym {
                section: (symbol.section != ABSOLUTE).then_some(symbol.section),
                st_name: writer.string_offset(Some(name)),
                st_info: elf::SymbolInfo::new(symbol.bind, symbol.kind),
                st_other: elf::SymbolOther(0),
                // Used where there is no section.
                st_shndx: elf::SHN_ABS,
                st_value: symbol.address,
                st_size: symbol.size,
            });
        }
        writer.write_strtab();
        writer.write_shstrtab();

        writer.write_null_section_header();
        for ((section, &offset), &name) in self.sections.iter().zip(&offsets).zip(&section_names) {
            let strings = section.flags.contains(elf::SHF_STRINGS);
            writer.write_section_header(&SectionHeader {
                sh_name: writer.section_name_offset(Some(name)),
                sh_type: section.kind,
                sh_flags: section.flags,
                sh_addr: section.address,
                sh_offset: offset,
                sh_size: section.contents.memory_size(),
                sh_link: 0,
                sh_info: 0,
                sh_addralign: if strings { 1 } else { section.align },
                sh_entsize: u64::from(strings),
            });
        }
        let locals = self.symbols.iter().take_while(|symbol| symbol.bind == elf::STB_LOCAL).count();
        writer.write_symtab_section_header(locals as u32 + 1);
        writer.write_strtab_section_header();
        writer.write_shstrtab_section_header();
        Ok(buffer)
    }

    /// Runs of loaded sections, as ranges of their indices, with the same rights and the same presence in the file.
    fn segments(&self) -> Vec<std::ops::Range<usize>> {
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        for (index, section) in self.sections.iter().enumerate() {
            if !section.is_loaded() || section.contents.memory_size() == 0 {
                continue;
            }
            match runs.last_mut() {
                Some(run)
                    if run.end == index
                        && self.sections[run.end - 1].address <= section.address
                        && self.sections[run.start].flags == section.flags
                        && self.sections[run.start].kind == section.kind
                        && self.follows(index) =>
                {
                    run.end = index + 1;
                }
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }

    /// Does a section lie close behind the one before it?
    fn follows(&self, index: usize) -> bool {
        let (before, section) = (&self.sections[index - 1], &self.sections[index]);
        let gap = section.address.checked_sub(before.address + before.contents.memory_size());
        gap.is_some_and(|gap| gap < self.machine.page_size())
    }
}

fn is_frame_header(section: &ImageSection<'_>) -> bool {
    section.name == ".eh_frame_hdr" && section.is_loaded() && section.contents.memory_size() != 0
}

fn segment_flags(flags: elf::SectionFlags) -> elf::ProgramFlags {
    let mut rights = elf::PF_R;
    if flags.contains(elf::SHF_WRITE) {
        rights |= elf::PF_W;
    }
    if flags.contains(elf::SHF_EXECINSTR) {
        rights |= elf::PF_X;
    }
    rights
}
