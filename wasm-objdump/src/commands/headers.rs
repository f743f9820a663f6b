//! `-h`: which sections there are, and for ELF files the file and program headers.

use anyhow::{Context as _, Result};
use goblin::elf::{Elf, header, program_header, section_header};
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::native::Native;
use crate::output::Output;
use crate::wasm::Module;

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    match input {
        Input::Wasm(module) => wasm(module, arguments, out),
        Input::Native(native) => elf(native, arguments, out),
    }
}

#[derive(Serialize)]
struct WasmSection<'a> {
    id: u8,
    name: &'a str,
    start: u64,
    end: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
}

fn wasm(module: &Module<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    out.begin_view("headers", "Sections")?;
    for section in module.sections.iter().filter(|section| arguments.wants_section(section.name)) {
        let (start, end) = (section.range.start, section.range.end);
        let row =
            WasmSection { id: section.id, name: section.name, start, end, size: end - start, count: section.count };
        out.row(&row, |w, palette| {
            let kind = if section.id == 0 { "Custom" } else { section.name };
            write!(w, "{}{kind:>9}{} ", palette.name, palette.reset)?;
            write!(w, "start={start:#010x} end={end:#010x} (size={:#010x})", end - start)?;
            match section.count {
                Some(count) => writeln!(w, " count: {count}"),
                None if section.id == 0 => writeln!(w, " {:?}", section.name),
                None => writeln!(w),
            }
        })?;
    }
    out.end_view()?;
    module.check_whole()
}

#[derive(Serialize)]
struct ElfHeader {
    class: &'static str,
    kind: &'static str,
    machine: &'static str,
    entry: u64,
    program_headers: usize,
    sections: usize,
}

#[derive(Serialize)]
struct Segment {
    #[serde(rename = "type")]
    kind: &'static str,
    offset: u64,
    address: u64,
    file_size: u64,
    memory_size: u64,
    rights: String,
    align: u64,
    sections: Vec<String>,
}

#[derive(Serialize)]
struct ElfSection<'a> {
    index: usize,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    address: u64,
    offset: u64,
    size: u64,
    flags: String,
    align: u64,
}

fn elf(native: &Native<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let elf = Elf::parse(native.data).context("the ELF headers are damaged")?;
    out.begin_view("elf_header", "ELF header")?;
    let row = ElfHeader {
        class: if elf.is_64 { "ELF64" } else { "ELF32" },
        kind: header::et_to_str(elf.header.e_type),
        machine: header::machine_to_str(elf.header.e_machine),
        entry: elf.entry,
        program_headers: elf.program_headers.len(),
        sections: elf.section_headers.len(),
    };
    out.row(&row, |w, _| {
        writeln!(w, "{} {} {}, entry {:#x}", row.class, row.kind, row.machine, row.entry)?;
        writeln!(w, "{} program headers, {} section headers", row.program_headers, row.sections)
    })?;
    out.end_view()?;

    let section_name = |section: &section_header::SectionHeader| elf.shdr_strtab.get_at(section.sh_name).unwrap_or("?");
    out.begin_view("program_headers", "Program headers")?;
    out.note("Type           Offset     Address            FileSize   MemSize    Flags Align   Sections")?;
    for segment in &elf.program_headers {
        let is_inside = |section: &&section_header::SectionHeader| {
            let end = segment.p_vaddr.saturating_add(segment.p_memsz);
            section.sh_flags & u64::from(section_header::SHF_ALLOC) != 0
                && section.sh_size != 0
                && section.sh_addr >= segment.p_vaddr
                && section.sh_addr.saturating_add(section.sh_size) <= end
        };
        let rights = [(program_header::PF_R, 'R'), (program_header::PF_W, 'W'), (program_header::PF_X, 'X')];
        let row = Segment {
            kind: program_header::pt_to_str(segment.p_type),
            offset: segment.p_offset,
            address: segment.p_vaddr,
            file_size: segment.p_filesz,
            memory_size: segment.p_memsz,
            rights: rights.map(|(bit, letter)| if segment.p_flags & bit != 0 { letter } else { '-' }).iter().collect(),
            align: segment.p_align,
            sections: elf.section_headers.iter().filter(is_inside).map(section_name).map(str::to_owned).collect(),
        };
        out.row(&row, |w, _| {
            let Segment { kind, offset, address, file_size, memory_size, rights, align, sections } = &row;
            write!(w, "{kind:<14} {offset:#010x} {address:#018x} {file_size:#010x} {memory_size:#010x} ")?;
            writeln!(w, "{rights:<5} {align:#07x} {}", sections.join(" "))
        })?;
    }
    out.end_view()?;

    out.begin_view("headers", "Sections")?;
    out.note("Idx Name                  Type       Address            Offset     Size       Flags Align")?;
    for (index, section) in elf.section_headers.iter().enumerate().skip(1) {
        let name = section_name(section);
        if !arguments.wants_section(name) {
            continue;
        }
        let flags = [
            (section_header::SHF_WRITE, 'W'),
            (section_header::SHF_ALLOC, 'A'),
            (section_header::SHF_EXECINSTR, 'X'),
            (section_header::SHF_MERGE, 'M'),
            (section_header::SHF_STRINGS, 'S'),
        ];
        let has = |bit: u32| section.sh_flags & u64::from(bit) != 0;
        let row = ElfSection {
            index,
            name,
            kind: section_header::sht_to_str(section.sh_type),
            address: section.sh_addr,
            offset: section.sh_offset,
            size: section.sh_size,
            flags: flags.iter().filter(|(bit, _)| has(*bit)).map(|(_, letter)| letter).collect(),
            align: section.sh_addralign,
        };
        out.row(&row, |w, palette| {
            let kind = row.kind.strip_prefix("SHT_").unwrap_or(row.kind);
            write!(w, "{index:>3} {}{name:<21}{} {kind:<10} ", palette.name, palette.reset)?;
            write!(w, "{:#018x} {:#010x} {:#010x} ", row.address, row.offset, row.size)?;
            writeln!(w, "{:<5} {}", row.flags, row.align)
        })?;
    }
    out.end_view()?;
    Ok(())
}
