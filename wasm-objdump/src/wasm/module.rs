//! The outline of a module: sections, names, functions.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use wasmparser::{
    CompositeInnerType, Encoding, FuncType, FunctionBody, KnownCustom, Linking, Name, Parser, Payload, SymbolInfo,
    TypeRef, ValType,
};

/// A module, with what could be read of it.
pub struct Module<'a> {
    pub bytes: &'a [u8],
    pub version: u16,
    pub sections: Vec<Section<'a>>,
    /// Function types by type index; `None` where the type is of another kind.
    pub types: Vec<Option<FuncType>>,
    /// The type index of each function, imports first.
    pub function_types: Vec<u32>,
    pub imported_functions: u32,
    pub functions: Vec<Function<'a>>,
    pub globals: Vec<ValType>,
    pub imported_globals: u32,
    /// Has memory 0 64-bit addresses?
    pub memory64: bool,
    /// Where the contents of the code section start in the file: offset zero of guest DWARF.
    pub code_start: u64,
    pub names: ModuleNames<'a>,
    /// Why the module could not be read to its end. What comes before is there.
    pub broken: Option<anyhow::Error>,
}

/// A section.
pub struct Section<'a> {
    pub id: u8,
    /// The section's name as `-j` takes it; for a custom section its own.
    pub name: &'a str,
    /// The contents.
    pub range: Range<u64>,
    /// The number of entries, for sections that are vectors.
    pub count: Option<u32>,
}

/// A function with a body.
pub struct Function<'a> {
    pub index: u32,
    pub body: FunctionBody<'a>,
}

/// Names from the name section, and for functions from imports and exports where it has none.
#[derive(Default)]
pub struct ModuleNames<'a> {
    pub module: Option<&'a str>,
    pub functions: HashMap<u32, String>,
    pub globals: HashMap<u32, String>,
    pub tables: HashMap<u32, &'a str>,
    pub memories: HashMap<u32, &'a str>,
    pub types: HashMap<u32, &'a str>,
    pub tags: HashMap<u32, &'a str>,
    pub elements: HashMap<u32, &'a str>,
    pub data: HashMap<u32, &'a str>,
    pub locals: HashMap<(u32, u32), &'a str>,
}

impl<'a> Module<'a> {
    /// Reads the outline. A file without so much as a header is an error; later damage is kept in `broken`.
    pub fn parse(bytes: &'a [u8]) -> Result<Module<'a>> {
        let mut module = Module {
            bytes,
            version: 0,
            sections: Vec::new(),
            types: Vec::new(),
            function_types: Vec::new(),
            imported_functions: 0,
            functions: Vec::new(),
            globals: Vec::new(),
            imported_globals: 0,
            memory64: false,
            code_start: 0,
            names: ModuleNames::default(),
            broken: None,
        };
        let mut payloads = Parser::new(0).parse_all(bytes);
        match payloads.next() {
            Some(Ok(Payload::Version { num, encoding: Encoding::Module, .. })) => module.version = num,
            Some(Ok(Payload::Version { encoding: Encoding::Component, .. })) => {
                bail!("a component; only core modules can be shown")
            }
            Some(Err(error)) => return Err(broken(error)),
            _ => bail!("no header at offset 0x0"),
        }
        for payload in payloads {
            let added = payload.map_err(broken).and_then(|payload| module.add(payload));
            if let Err(error) = added {
                module.broken = Some(error.context("the module is damaged"));
                break;
            }
        }
        Ok(module)
    }

    /// The error that a view ends with when the module is damaged.
    pub fn check_whole(&self) -> Result<()> {
        match &self.broken {
            None => Ok(()),
            Some(error) => bail!("{error:#}"),
        }
    }

    fn add(&mut self, payload: Payload<'a>) -> Result<()> {
        let mut count = None;
        let mut custom = None;
        let section = payload.as_section();
        match payload {
            Payload::TypeSection(reader) => {
                count = Some(reader.count());
                for group in reader {
                    for ty in group?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => Some(ty),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(reader) => {
                count = Some(reader.count());
                for import in reader.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                            let name = format!("{}.{}", import.module, import.name);
                            self.names.functions.insert(self.imported_functions, name);
                            self.function_types.push(ty);
                            self.imported_functions += 1;
                        }
                        TypeRef::Memory(ty) => self.memory64 |= ty.memory64,
                        TypeRef::Global(ty) => {
                            let name = format!("{}.{}", import.module, import.name);
                            self.names.globals.insert(self.imported_globals, name);
                            self.globals.push(ty.content_type);
                            self.imported_globals += 1;
                        }
                        _ => {}
                    }
                }
            }
            Payload::FunctionSection(reader) => {
                count = Some(reader.count());
                for ty in reader {
                    self.function_types.push(ty?);
                }
            }
            Payload::TableSection(reader) => count = Some(reader.count()),
            Payload::MemorySection(reader) => {
                count = Some(reader.count());
                if let Some(Ok(first)) = reader.into_iter().next() {
                    self.memory64 |= first.memory64;
                }
            }
            Payload::TagSection(reader) => count = Some(reader.count()),
            Payload::GlobalSection(reader) => {
                count = Some(reader.count());
                for global in reader {
                    self.globals.push(global?.ty.content_type);
                }
            }
            Payload::ExportSection(reader) => {
                count = Some(reader.count());
                for export in reader {
                    let export = export?;
                    if matches!(export.kind, wasmparser::ExternalKind::Func) {
                        self.names.functions.entry(export.index).or_insert_with(|| export.name.to_owned());
                    }
                }
            }
            Payload::ElementSection(reader) => count = Some(reader.count()),
            Payload::DataCountSection { count: segments, .. } => count = Some(segments),
            Payload::DataSection(reader) => count = Some(reader.count()),
            Payload::CodeSectionStart { count: bodies, ref unchecked_range, .. } => {
                self.code_start = unchecked_range.start;
                count = Some(bodies);
            }
            Payload::CodeSectionEntry(body) => {
                let index = self.imported_functions + self.functions.len() as u32;
                self.functions.push(Function { index, body });
                return Ok(());
            }
            Payload::CustomSection(reader) => {
                custom = Some(reader.name());
                // Names are a courtesy: where their sections are damaged, numbers are shown instead.
                match reader.as_known() {
                    KnownCustom::Name(names) => {
                        for name in names {
                            let Ok(name) = name else { break };
                            if self.names.add(name).is_err() {
                                break;
                            }
                        }
                    }
                    KnownCustom::Linking(parts) => {
                        for part in parts {
                            let Ok(part) = part else { break };
                            self.names.add_linking(part);
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        if let Some((id, range)) = section {
            let name = custom.unwrap_or_else(|| section_name(id));
            let start = usize::try_from(range.start).unwrap_or(usize::MAX);
            let end = usize::try_from(range.end).unwrap_or(usize::MAX);
            self.sections.push(Section { id, name, range: range.clone(), count });
            if self.bytes.get(start..end).is_none() {
                bail!("section {name} at offset {:#x} ends beyond the file, at {:#x}", range.start, range.end);
            }
        }
        Ok(())
    }

    /// The contents of a section, cut to those that are in the file.
    pub fn contents(&self, section: &Section<'a>) -> &'a [u8] {
        let end = (section.range.end as usize).min(self.bytes.len());
        self.bytes.get(section.range.start as usize..end).unwrap_or(&[])
    }

    /// The contents of a custom section without its name.
    pub fn custom_data(&self, name: &str) -> Option<&'a [u8]> {
        let section = self.sections.iter().find(|section| section.id == 0 && section.name == name)?;
        self.contents(section).get(name_length(section.name)..)
    }

    /// A function's name, if it has one.
    pub fn function_name(&self, index: u32) -> Option<&str> {
        self.names.functions.get(&index).map(String::as_str)
    }

    /// The type of a function.
    pub fn function_type(&self, index: u32) -> Option<&FuncType> {
        let ty = *self.function_types.get(index as usize)?;
        self.types.get(ty as usize)?.as_ref()
    }

    /// The payloads of the sections, once more, for views that need more than the outline.
    pub fn payloads(&self) -> impl Iterator<Item = Result<Payload<'a>>> + use<'a> {
        Parser::new(0).parse_all(self.bytes).map(|payload| payload.map_err(broken))
    }

    /// The body of the function with this index.
    pub fn function(&self, index: u32) -> Option<&Function<'a>> {
        self.functions.get(index.checked_sub(self.imported_functions)? as usize)
    }
}

/// The size of a custom section's name with its length before it.
fn name_length(name: &str) -> usize {
    let mut length = 1;
    let mut rest = name.len() >> 7;
    while rest != 0 {
        length += 1;
        rest >>= 7;
    }
    length + name.len()
}

/// A parser's error, which names its offset.
pub fn broken(error: wasmparser::BinaryReaderError) -> anyhow::Error {
    anyhow::anyhow!("at offset {:#x}: {}", error.offset(), error.message())
}

impl<'a> ModuleNames<'a> {
    /// Object files name functions and segments in their symbol table.
    fn add_linking(&mut self, part: Linking<'a>) {
        match part {
            Linking::SymbolTable(symbols) => {
                for symbol in symbols.into_iter().map_while(Result::ok) {
                    match symbol {
                        SymbolInfo::Func { index, name: Some(name), .. } => {
                            self.functions.entry(index).or_insert_with(|| name.to_owned());
                        }
                        SymbolInfo::Global { index, name: Some(name), .. } => {
                            self.globals.entry(index).or_insert_with(|| name.to_owned());
                        }
                        _ => {}
                    }
                }
            }
            Linking::SegmentInfo(segments) => {
                for (index, segment) in (0u32..).zip(segments.into_iter().map_while(Result::ok)) {
                    self.data.entry(index).or_insert(segment.name);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, name: Name<'a>) -> Result<()> {
        fn fill<'a>(map: &mut HashMap<u32, &'a str>, names: wasmparser::NameMap<'a>) -> Result<()> {
            for naming in names {
                let naming = naming.context("a name")?;
                map.insert(naming.index, naming.name);
            }
            Ok(())
        }
        match name {
            Name::Module { name, .. } => self.module = Some(name),
            Name::Function(names) => {
                for naming in names {
                    let naming = naming?;
                    self.functions.insert(naming.index, naming.name.to_owned());
                }
            }
            Name::Global(names) => {
                for naming in names {
                    let naming = naming?;
                    self.globals.insert(naming.index, naming.name.to_owned());
                }
            }
            Name::Table(names) => fill(&mut self.tables, names)?,
            Name::Memory(names) => fill(&mut self.memories, names)?,
            Name::Type(names) => fill(&mut self.types, names)?,
            Name::Tag(names) => fill(&mut self.tags, names)?,
            Name::Element(names) => fill(&mut self.elements, names)?,
            Name::Data(names) => fill(&mut self.data, names)?,
            Name::Local(functions) => {
                for function in functions {
                    let function = function?;
                    for naming in function.names {
                        let naming = naming?;
                        self.locals.insert((function.index, naming.index), naming.name);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Names as wabt prints them, so that `-j` takes the same.
fn section_name(id: u8) -> &'static str {
    match id {
        0 => "Custom",
        1 => "Type",
        2 => "Import",
        3 => "Function",
        4 => "Table",
        5 => "Memory",
        6 => "Global",
        7 => "Export",
        8 => "Start",
        9 => "Elem",
        10 => "Code",
        11 => "Data",
        12 => "DataCount",
        13 => "Tag",
        _ => "Unknown",
    }
}
