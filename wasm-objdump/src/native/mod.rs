//! Native code and what is known about it.

mod code;
mod flow;
mod frames;
mod lines;

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context as _, Result};
use artifact::{Artifact, FunctionKind, FunctionRow, Machine};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::Arguments;
use crate::symbols::{Names, matches};
use crate::wasm::Module;

pub use code::{Disassembler, Instruction};
pub use frames::{FrameFunction, FrameRow, FrameTable};
pub use lines::{Lines, SourceLine, covering};

/// DWARF in the bytes of a file.
pub type Reader<'a> = gimli::EndianSlice<'a, gimli::RunTimeEndian>;

/// An artifact, or another ELF file.
pub struct Native<'a> {
    pub data: &'a [u8],
    pub format: String,
    pub machine: object::Architecture,
    pub endian: gimli::RunTimeEndian,
    pub address_size: u8,
    /// Executable sections, by address.
    pub code: Vec<CodeSection<'a>>,
    /// By address.
    pub functions: Vec<NativeFunction<'a>>,
    pub artifact: Option<Artifact<'a>>,
    /// The wasm module in the artifact.
    pub module: Option<Box<Module<'a>>>,
    sections: HashMap<String, (u64, Cow<'a, [u8]>)>,
}

/// A section with code.
pub struct CodeSection<'a> {
    pub name: String,
    pub address: u64,
    pub bytes: Cow<'a, [u8]>,
}

/// What a piece of code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedCode {
    /// The operator's offset in the code section; `None` for code the compiler made up.
    pub wasm: Option<u32>,
    /// Is it a statement anchor?
    pub anchor: bool,
}

/// A function with native code.
pub struct NativeFunction<'a> {
    pub address: u64,
    pub size: u64,
    pub name: Option<&'a str>,
    /// Its row, in an artifact.
    pub row: Option<FunctionRow>,
}

impl NativeFunction<'_> {
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }

    /// Its index in the wasm module.
    pub fn wasm_index(&self) -> Option<u32> {
        match self.row?.kind {
            FunctionKind::Guest(index) => Some(index),
            _ => None,
        }
    }

    /// `func[3]`, or which trampoline it is.
    pub fn kind(&self) -> String {
        match self.row.map(|row| row.kind) {
            Some(FunctionKind::Guest(index)) => format!("func[{index}]"),
            Some(FunctionKind::ArrayToWasm(signature)) => format!("array_to_wasm[{signature}]"),
            Some(FunctionKind::WasmToArray(signature)) => format!("wasm_to_array[{signature}]"),
            Some(FunctionKind::Stub(number)) => format!("stub[{number}]"),
            None => String::new(),
        }
    }

    /// Its name as people write it, or what it is.
    pub fn display_name(&self, arguments: &Arguments) -> String {
        match self.name {
            Some(name) => Names { demangle: !arguments.no_demangle }.show(name),
            None => self.kind(),
        }
    }

    /// Is this the function that was asked for, or was none asked for?
    pub fn is_wanted(&self, arguments: &Arguments) -> bool {
        matches(arguments.function.as_deref(), self.wasm_index(), self.name)
    }
}

impl<'a> Native<'a> {
    pub fn from_artifact(artifact: Artifact<'a>) -> Result<Native<'a>> {
        let layout = artifact.layout();
        let functions = artifact.functions();
        let functions = functions.iter().map(|row| NativeFunction {
            address: row.text.link_address(),
            size: row.size.into(),
            name: artifact.function_name(&row),
            row: Some(row),
        });
        let functions = functions.collect();
        let mut sections = HashMap::new();
        for (name, bytes) in artifact.debug_sections() {
            sections.insert(name.to_owned(), (0, Cow::Borrowed(bytes)));
        }
        sections.insert(".eh_frame".to_owned(), (layout.eh_frame, Cow::Borrowed(artifact.eh_frame())));
        if !artifact.eh_frame_hdr().is_empty() {
            sections.insert(".eh_frame_hdr".to_owned(), (layout.eh_frame_hdr, Cow::Borrowed(artifact.eh_frame_hdr())));
        }
        let (machine, elf) = match artifact.machine() {
            Machine::X86_64 => (object::Architecture::X86_64, "x86-64"),
            Machine::Aarch64 => (object::Architecture::Aarch64, "aarch64"),
            Machine::Riscv64 => (object::Architecture::Riscv64, "riscv64"),
        };
        Ok(Native {
            data: artifact.data(),
            format: format!("elf64-{elf} (wasmscope artifact, version {})", artifact::FORMAT_VERSION),
            machine,
            endian: gimli::RunTimeEndian::Little,
            address_size: 8,
            code: vec![CodeSection {
                name: ".text".to_owned(),
                address: layout.text,
                bytes: Cow::Borrowed(artifact.text()),
            }],
            functions,
            module: Module::parse(artifact.module()).ok().map(Box::new),
            artifact: Some(artifact),
            sections,
        })
    }

    pub fn from_elf(data: &'a [u8]) -> Result<Native<'a>> {
        let file = object::File::parse(data).context("the ELF file is damaged")?;
        let mut code = Vec::new();
        let mut sections = HashMap::new();
        for section in file.sections() {
            let Ok(name) = section.name() else { continue };
            let is_code = section.kind() == object::SectionKind::Text;
            if !is_code && !name.starts_with(".debug") && !name.starts_with(".eh_frame") {
                continue;
            }
            let bytes = section.uncompressed_data().with_context(|| {
                format!("section {name} at file offset {:#x}", section.file_range().unwrap_or_default().0)
            })?;
            if is_code {
                code.push(CodeSection { name: name.to_owned(), address: section.address(), bytes });
            } else {
                sections.insert(name.to_owned(), (section.address(), bytes));
            }
        }
        code.sort_by_key(|section: &CodeSection<'_>| section.address);
        let mut functions: Vec<NativeFunction<'a>> = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.is_definition() && symbol.size() > 0)
            .map(|symbol| NativeFunction {
                address: symbol.address(),
                size: symbol.size(),
                name: symbol.name().ok(),
                row: None,
            })
            .collect();
        // Stripped code is shown section by section.
        for section in file.sections().filter(|section| section.kind() == object::SectionKind::Text) {
            let range = section.address()..section.address().saturating_add(section.size());
            if !functions.iter().any(|function| range.contains(&function.address)) {
                let (address, size) = (section.address(), section.size());
                functions.push(NativeFunction { address, size, name: section.name().ok(), row: None });
            }
        }
        functions.sort_by_key(|function| (function.address, std::cmp::Reverse(function.size)));
        functions.dedup_by_key(|function| function.address);
        let bits = if file.is_64() { "64" } else { "32" };
        Ok(Native {
            data,
            format: format!("elf{bits}-{}", format!("{:?}", file.architecture()).to_lowercase()),
            machine: file.architecture(),
            endian: if file.is_little_endian() { gimli::RunTimeEndian::Little } else { gimli::RunTimeEndian::Big },
            address_size: if file.is_64() { 8 } else { 4 },
            code,
            functions,
            artifact: None,
            module: None,
            sections,
        })
    }

    /// Address and bytes of a section.
    pub fn section(&self, name: &str) -> Option<(u64, &[u8])> {
        self.sections.get(name).map(|(address, bytes)| (*address, &**bytes))
    }

    /// The DWARF of the file.
    pub fn dwarf(&self) -> gimli::Dwarf<Reader<'_>> {
        crate::dwarf::load(self.endian, |name| self.section(name).map(|(_, bytes)| bytes))
    }

    /// The bytes of a function.
    pub fn code_of(&self, function: &NativeFunction<'_>) -> &[u8] {
        let Some(section) = self.code.iter().find(|section| {
            section.address <= function.address && function.address < section.address + section.bytes.len() as u64
        }) else {
            return &[];
        };
        let start = (function.address - section.address) as usize;
        let end = usize::try_from(function.size).unwrap_or(usize::MAX).saturating_add(start).min(section.bytes.len());
        &section.bytes[start..end]
    }

    /// What the address map says of a function: from which address on the code belongs to what.
    pub fn address_map_of(&self, function: &NativeFunction<'_>) -> Vec<(u64, MappedCode)> {
        let Some((artifact, row)) = self.artifact.as_ref().zip(function.row) else { return Vec::new() };
        let start = (function.address, MappedCode { wasm: None, anchor: false });
        let rows = artifact.address_map_of(&row);
        let rows = rows
            .iter()
            .map(|row| (row.text.link_address(), MappedCode { wasm: row.wasm.map(|wasm| wasm.0), anchor: row.anchor }));
        std::iter::once(start).chain(rows).collect()
    }

    /// The function that holds this address.
    pub fn function_at(&self, address: u64) -> Option<&NativeFunction<'a>> {
        let index = self.functions.partition_point(|function| function.address <= address);
        self.functions.get(index.checked_sub(1)?).filter(|function| address < function.end())
    }

    /// `<inner>` or `<inner+0x7>`.
    pub fn symbolize(&self, address: u64, arguments: &Arguments) -> Option<String> {
        let function = self.function_at(address)?;
        let name = function.display_name(arguments);
        Some(match address - function.address {
            0 => format!("<{name}>"),
            offset => format!("<{name}+{offset:#x}>"),
        })
    }

    /// The name of a DWARF register.
    pub fn register_name(&self, register: gimli::Register) -> Cow<'static, str> {
        if self.machine == object::Architecture::X86_64 && register == gimli::X86_64::RA {
            return Cow::Borrowed("rip");
        }
        let name = match self.machine {
            object::Architecture::X86_64 | object::Architecture::X86_64_X32 => gimli::X86_64::register_name(register),
            object::Architecture::I386 => gimli::X86::register_name(register),
            object::Architecture::Aarch64 => gimli::AArch64::register_name(register),
            object::Architecture::Riscv64 | object::Architecture::Riscv32 => gimli::RiscV::register_name(register),
            object::Architecture::Arm => gimli::Arm::register_name(register),
            _ => None,
        };
        name.map_or_else(|| Cow::Owned(format!("r{}", register.0)), Cow::Borrowed)
    }
}
