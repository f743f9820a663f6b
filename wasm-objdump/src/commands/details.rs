//! `-x`: what is in the sections.

use anyhow::{Context as _, Result};
use goblin::elf::Elf;
use serde::Serialize;
use wasmparser::{
    ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, KnownCustom, Linking, Name, OperatorsReader, Payload,
    SymbolFlags, SymbolInfo, TableInit, TypeRef,
};

use crate::Arguments;
use crate::input::Input;
use crate::native::Native;
use crate::output::{Output, hex_dump};
use crate::symbols::Names;
use crate::wasm::{Module, OperatorPrinter};

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    match input {
        Input::Wasm(module) => {
            out.begin_view("details", "Section Details")?;
            Details { module, arguments, out }.all()?;
            out.end_view()?;
            module.check_whole()
        }
        Input::Native(native) => elf(native, arguments, out),
    }
}

/// One thing in a section: ` - func[1] sig=0 <inner>`.
#[derive(Serialize)]
struct Item<'a> {
    section: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    description: String,
}

struct Details<'d, 'a, 'w> {
    module: &'d Module<'a>,
    arguments: &'d Arguments,
    out: &'d mut Output<'w>,
}

/// ` <name>`, or nothing.
fn angled(name: Option<&str>) -> String {
    let Some(name) = name else { return String::new() };
    let mut text = String::from(" <");
    crate::wasm::push_printable(&mut text, name);
    text.push('>');
    text
}

impl<'a> Details<'_, 'a, '_> {
    fn all(&mut self) -> Result<()> {
        let mut next = Spaces::default();
        for payload in self.module.payloads() {
            // Damage is reported once, at the end of the view.
            let Ok(payload) = payload else { break };
            if self.payload(payload, &mut next)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn title(&mut self, name: &str, count: Option<u32>) -> Result<()> {
        match count {
            Some(count) => self.out.note(&format!("{name}[{count}]:"))?,
            None => self.out.note(&format!("{name}:"))?,
        }
        Ok(())
    }

    /// `line` is what is printed; the rest is for JSON.
    fn item(&mut self, section: &str, index: Option<u32>, name: Option<&str>, line: &str) -> Result<()> {
        let description = line.trim_start_matches([' ', '-']).to_owned();
        self.out.row(&Item { section, index, name, description }, |w, _| writeln!(w, "{line}"))?;
        Ok(())
    }

    fn function(&self, index: u32) -> String {
        angled(self.module.function_name(index))
    }

    /// `init i32=1040`, or the operators of a longer expression.
    fn initial(&self, expression: &ConstExpr<'a>) -> String {
        let mut printer = OperatorPrinter::new(self.module, u32::MAX);
        let mut reader = OperatorsReader::new(expression.get_binary_reader());
        let mut operators = Vec::new();
        while !reader.eof() {
            if reader.visit_operator(&mut printer).is_err() {
                operators.push("(damaged)".to_owned());
                break;
            }
            if printer.text != "end" {
                operators.push(printer.text.clone());
            }
        }
        match operators.as_slice() {
            [one] => match one.split_once(".const ") {
                Some((ty, value)) => format!("init {ty}={value}"),
                None => format!("init {one}"),
            },
            _ => format!("init ({})", operators.join(", ")),
        }
    }

    /// `None` stops: the section is damaged, and what follows cannot be trusted.
    fn payload(&mut self, payload: Payload<'a>, next: &mut Spaces) -> Result<Option<()>> {
        macro_rules! entries {
            ($reader:expr) => {
                $reader.into_iter().map_while(Result::ok)
            };
        }
        let wants = |name: &str| self.arguments.wants_section(name);
        match payload {
            Payload::TypeSection(reader) if wants("Type") => {
                self.title("Type", Some(reader.count()))?;
                let mut index = 0;
                for group in entries!(reader) {
                    for ty in group.into_types() {
                        let name = self.module.names.types.get(&index).copied();
                        let shown = match &ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => signature(ty),
                            _ => ty.to_string(),
                        };
                        let line = format!(" - type[{index}] {shown}{}", angled(name));
                        self.item("Type", Some(index), name, &line)?;
                        index += 1;
                    }
                }
            }
            Payload::ImportSection(reader) => {
                let shown = wants("Import");
                if shown {
                    self.title("Import", Some(reader.count()))?;
                }
                for import in reader.into_imports() {
                    let Ok(import) = import else { return Ok(None) };
                    let (kind, index, description) = next.import(import.ty);
                    if !shown {
                        continue;
                    }
                    let name = if kind == "func" { self.module.function_name(index).map(str::to_owned) } else { None };
                    let line = format!(
                        " - {kind}[{index}]{description}{} <- {}.{}",
                        angled(name.as_deref()),
                        import.module,
                        import.name
                    );
                    self.item("Import", Some(index), name.as_deref(), &line)?;
                }
            }
            Payload::FunctionSection(reader) if wants("Function") => {
                self.title("Function", Some(reader.count()))?;
                for ty in entries!(reader) {
                    let index = next.functions;
                    next.functions += 1;
                    let line = format!(" - func[{index}] sig={ty}{}", self.function(index));
                    let name = self.module.function_name(index).map(str::to_owned);
                    self.item("Function", Some(index), name.as_deref(), &line)?;
                }
            }
            Payload::TableSection(reader) if wants("Table") => {
                self.title("Table", Some(reader.count()))?;
                for table in entries!(reader) {
                    let index = next.tables;
                    next.tables += 1;
                    let name = self.module.names.tables.get(&index).copied();
                    let initial = match &table.init {
                        TableInit::RefNull => String::new(),
                        TableInit::Expr(expression) => format!(" - {}", self.initial(expression)),
                    };
                    let line = format!(" - table[{index}]{}{initial}{}", table_type(&table.ty), angled(name));
                    self.item("Table", Some(index), name, &line)?;
                }
            }
            Payload::MemorySection(reader) if wants("Memory") => {
                self.title("Memory", Some(reader.count()))?;
                for memory in entries!(reader) {
                    let index = next.memories;
                    next.memories += 1;
                    let name = self.module.names.memories.get(&index).copied();
                    let line = format!(" - memory[{index}]{}{}", memory_type(&memory), angled(name));
                    self.item("Memory", Some(index), name, &line)?;
                }
            }
            Payload::TagSection(reader) if wants("Tag") => {
                self.title("Tag", Some(reader.count()))?;
                for tag in entries!(reader) {
                    let index = next.tags;
                    next.tags += 1;
                    let name = self.module.names.tags.get(&index).copied();
                    let line = format!(" - tag[{index}] sig={}{}", tag.func_type_idx, angled(name));
                    self.item("Tag", Some(index), name, &line)?;
                }
            }
            Payload::GlobalSection(reader) if wants("Global") => {
                self.title("Global", Some(reader.count()))?;
                for global in entries!(reader) {
                    let index = next.globals;
                    next.globals += 1;
                    let name = self.module.names.globals.get(&index).cloned();
                    let line = format!(
                        " - global[{index}] {} mutable={}{} - {}",
                        global.ty.content_type,
                        u8::from(global.ty.mutable),
                        angled(name.as_deref()),
                        self.initial(&global.init_expr)
                    );
                    self.item("Global", Some(index), name.as_deref(), &line)?;
                }
            }
            Payload::ExportSection(reader) if wants("Export") => {
                self.title("Export", Some(reader.count()))?;
                for export in entries!(reader) {
                    let index = export.index;
                    let what = match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => {
                            format!("func[{index}]{}", self.function(index))
                        }
                        ExternalKind::Table => format!("table[{index}]"),
                        ExternalKind::Memory => format!("memory[{index}]"),
                        ExternalKind::Global => {
                            let name = self.module.names.globals.get(&index).map(String::as_str);
                            format!("global[{index}]{}", angled(name))
                        }
                        ExternalKind::Tag => format!("tag[{index}]"),
                    };
                    let line = format!(" - {what} -> {:?}", export.name);
                    self.item("Export", Some(index), Some(export.name), &line)?;
                }
            }
            Payload::StartSection { func, .. } if wants("Start") => {
                self.title("Start", None)?;
                let line = format!(" - start function: {func}{}", self.function(func));
                self.item("Start", Some(func), None, &line)?;
            }
            Payload::ElementSection(reader) if wants("Elem") => {
                self.title("Elem", Some(reader.count()))?;
                for (index, segment) in (0u32..).zip(entries!(reader)) {
                    let name = self.module.names.elements.get(&index).copied();
                    // Elements are numbered by where they land in the table, if that is known.
                    let mut start = 0u64;
                    let (kind, first) = match segment.kind {
                        ElementKind::Passive => ("passive".to_owned(), String::new()),
                        ElementKind::Declared => ("declared".to_owned(), String::new()),
                        ElementKind::Active { table_index, offset_expr } => {
                            let initial = self.initial(&offset_expr);
                            start = initial.strip_prefix("init i32=").and_then(|value| value.parse().ok()).unwrap_or(0);
                            (format!("table={}", table_index.unwrap_or(0)), format!(" - {initial}"))
                        }
                    };
                    let count = match &segment.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    };
                    let line = format!(" - segment[{index}]{} {kind} count={count}{first}", angled(name));
                    self.item("Elem", Some(index), name, &line)?;
                    match segment.items {
                        ElementItems::Functions(items) => {
                            for (position, function) in (start..).zip(entries!(items)) {
                                let line =
                                    format!("  - elem[{position}] = func[{function}]{}", self.function(function));
                                self.item("Elem", Some(index), None, &line)?;
                            }
                        }
                        ElementItems::Expressions(_, items) => {
                            for (position, expression) in (start..).zip(entries!(items)) {
                                let line = format!("  - elem[{position}] = {}", self.initial(&expression));
                                self.item("Elem", Some(index), None, &line)?;
                            }
                        }
                    }
                }
            }
            Payload::DataCountSection { count, .. } if wants("DataCount") => {
                self.title("DataCount", None)?;
                self.item("DataCount", None, None, &format!(" - data count: {count}"))?;
            }
            Payload::CodeSectionStart { count, .. } if wants("Code") => {
                self.title("Code", Some(count))?;
                for function in &self.module.functions {
                    let range = function.body.range();
                    let name = self.module.function_name(function.index);
                    let size = range.end - range.start;
                    let line = format!(" - func[{}] size={size}{}", function.index, angled(name));
                    self.item("Code", Some(function.index), name, &line)?;
                }
            }
            Payload::DataSection(reader) if wants("Data") => {
                self.title("Data", Some(reader.count()))?;
                for (index, segment) in (0u32..).zip(entries!(reader)) {
                    let name = self.module.names.data.get(&index).copied();
                    let size = segment.data.len();
                    let (line, start) = match segment.kind {
                        DataKind::Passive => (format!(" - segment[{index}]{} passive size={size}", angled(name)), 0),
                        DataKind::Active { memory_index, offset_expr } => {
                            let first = self.initial(&offset_expr);
                            let start = first.rsplit('=').next().and_then(|value| value.parse::<i64>().ok());
                            let line = format!(
                                " - segment[{index}]{} memory={memory_index} size={size} - {first}",
                                angled(name)
                            );
                            // An i32 is an unsigned address.
                            let start = start.unwrap_or(0);
                            (line, if first.contains("i32=") { u64::from(start as u32) } else { start as u64 })
                        }
                    };
                    self.item("Data", Some(index), name, &line)?;
                    if !self.out.is_json() {
                        hex_dump(self.out.text(), segment.data, start, "  - ")?;
                    }
                }
            }
            Payload::CustomSection(reader) if wants(reader.name()) || wants("Custom") => {
                self.title("Custom", None)?;
                let name = reader.name();
                self.item("Custom", None, Some(name), &format!(" - name: {name:?}"))?;
                self.custom(name, reader.as_known())?;
            }
            _ => {}
        }
        Ok(Some(()))
    }

    fn custom(&mut self, section: &str, known: KnownCustom<'a>) -> Result<()> {
        match known {
            KnownCustom::Name(names) => {
                for name in names.into_iter().map_while(Result::ok) {
                    self.names(section, name)?;
                }
            }
            KnownCustom::Producers(fields) => {
                for field in fields.into_iter().map_while(Result::ok) {
                    for value in field.values.into_iter().map_while(Result::ok) {
                        let line = format!(" - {}: {} {}", field.name, value.name, value.version);
                        self.item(section, None, Some(value.name), &line)?;
                    }
                }
            }
            KnownCustom::Linking(linking) => {
                for part in linking.into_iter().map_while(Result::ok) {
                    self.linking(section, part)?;
                }
            }
            KnownCustom::Reloc(relocations) => {
                let count = relocations.entries().count();
                let line = format!(" - relocations for section: {} [{count}]", relocations.section_index());
                self.item(section, None, None, &line)?;
            }
            KnownCustom::Unknown if section == "target_features" => {
                let data = self.module.custom_data(section).unwrap_or(&[]);
                for (prefix, feature) in target_features(data) {
                    let line = format!("  - [{prefix}] {feature}");
                    self.item(section, None, Some(feature), &line)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn names(&mut self, section: &str, name: Name<'a>) -> Result<()> {
        let (kind, map) = match name {
            Name::Module { name, .. } => {
                let line = format!(" - module{}", angled(Some(name)));
                return self.item(section, None, Some(name), &line);
            }
            Name::Function(map) => ("func", map),
            Name::Global(map) => ("global", map),
            Name::Table(map) => ("table", map),
            Name::Memory(map) => ("memory", map),
            Name::Type(map) => ("type", map),
            Name::Element(map) => ("elemseg", map),
            Name::Data(map) => ("dataseg", map),
            Name::Tag(map) => ("tag", map),
            Name::Local(functions) => {
                for function in functions.into_iter().map_while(Result::ok) {
                    for naming in function.names.map_while(Result::ok) {
                        let (outer, index) = (function.index, naming.index);
                        let line = format!(" - func[{outer}] local[{index}]{}", angled(Some(naming.name)));
                        self.item(section, Some(index), Some(naming.name), &line)?;
                    }
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        for naming in map.map_while(Result::ok) {
            let line = format!(" - {kind}[{}]{}", naming.index, angled(Some(naming.name)));
            self.item(section, Some(naming.index), Some(naming.name), &line)?;
        }
        Ok(())
    }

    fn linking(&mut self, section: &str, part: Linking<'a>) -> Result<()> {
        match part {
            Linking::SymbolTable(symbols) => {
                self.out.note(&format!(" - symbol table [count={}]", symbols.count()))?;
                for (index, symbol) in (0u32..).zip(symbols.into_iter().map_while(Result::ok)) {
                    let (name, line) = match symbol {
                        SymbolInfo::Func { flags, index: function, name } => {
                            let name = name.or(self.module.function_name(function)).map(str::to_owned);
                            (
                                name.clone(),
                                format!("F{} func={function} {}", angled(name.as_deref()), symbol_flags(flags)),
                            )
                        }
                        SymbolInfo::Data { flags, name, symbol } => {
                            let place = symbol.map_or_else(
                                || "undefined".to_owned(),
                                |at| format!("segment={} offset={} size={}", at.index, at.offset, at.size),
                            );
                            let line = format!("D{} {place} {}", angled(Some(name)), symbol_flags(flags));
                            (Some(name.to_owned()), line)
                        }
                        SymbolInfo::Global { flags, index: global, name } => {
                            let line = format!("G{} global={global} {}", angled(name), symbol_flags(flags));
                            (name.map(str::to_owned), line)
                        }
                        SymbolInfo::Section { flags, section } => {
                            (None, format!("S section={section} {}", symbol_flags(flags)))
                        }
                        SymbolInfo::Event { flags, index: event, name } => {
                            let line = format!("E{} tag={event} {}", angled(name), symbol_flags(flags));
                            (name.map(str::to_owned), line)
                        }
                        SymbolInfo::Table { flags, index: table, name } => {
                            let line = format!("T{} table={table} {}", angled(name), symbol_flags(flags));
                            (name.map(str::to_owned), line)
                        }
                    };
                    self.item(section, Some(index), name.as_deref(), &format!("   - {index}: {line}"))?;
                }
            }
            Linking::SegmentInfo(segments) => {
                for (index, segment) in (0u32..).zip(segments.into_iter().map_while(Result::ok)) {
                    let line = format!(
                        " - segment {index}: {} p2align={} flags={:#x}",
                        segment.name,
                        segment.alignment,
                        segment.flags.bits()
                    );
                    self.item(section, Some(index), Some(segment.name), &line)?;
                }
            }
            Linking::InitFuncs(functions) => {
                for function in functions.into_iter().map_while(Result::ok) {
                    let line =
                        format!(" - init function: symbol {} priority {}", function.symbol_index, function.priority);
                    self.item(section, Some(function.symbol_index), None, &line)?;
                }
            }
            Linking::ComdatInfo(comdats) => {
                for comdat in comdats.into_iter().map_while(Result::ok) {
                    let line = format!(" - comdat {} [{}]", comdat.name, comdat.symbols.count());
                    self.item(section, None, Some(comdat.name), &line)?;
                }
            }
            Linking::TargetArch(name) => {
                self.item(section, None, Some(name), &format!(" - target architecture: {name}"))?;
            }
            Linking::Unknown { ty, .. } => {
                self.item(section, None, None, &format!(" - unknown part {ty}"))?;
            }
        }
        Ok(())
    }
}

/// `[ undefined binding=global vis=hidden ]`
fn symbol_flags(flags: SymbolFlags) -> String {
    let mut text = String::from("[ ");
    for (flag, word) in [
        (SymbolFlags::UNDEFINED, "undefined "),
        (SymbolFlags::EXPORTED, "exported "),
        (SymbolFlags::EXPLICIT_NAME, "explicit_name "),
        (SymbolFlags::NO_STRIP, "no_strip "),
        (SymbolFlags::TLS, "tls "),
        (SymbolFlags::ABSOLUTE, "absolute "),
    ] {
        if flags.contains(flag) {
            text.push_str(word);
        }
    }
    text.push_str(match (flags.contains(SymbolFlags::BINDING_WEAK), flags.contains(SymbolFlags::BINDING_LOCAL)) {
        (true, _) => "binding=weak ",
        (_, true) => "binding=local ",
        _ => "binding=global ",
    });
    let hidden = flags.contains(SymbolFlags::VISIBILITY_HIDDEN);
    text.push_str(if hidden { "vis=hidden ]" } else { "vis=default ]" });
    text
}

/// The next index of each index space.
#[derive(Default)]
struct Spaces {
    functions: u32,
    tables: u32,
    memories: u32,
    globals: u32,
    tags: u32,
}

impl Spaces {
    fn import(&mut self, ty: TypeRef) -> (&'static str, u32, String) {
        let (kind, space, description) = match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => ("func", &mut self.functions, format!(" sig={ty}")),
            TypeRef::Table(ty) => ("table", &mut self.tables, table_type(&ty)),
            TypeRef::Memory(ty) => ("memory", &mut self.memories, memory_type(&ty)),
            TypeRef::Global(ty) => {
                ("global", &mut self.globals, format!(" {} mutable={}", ty.content_type, u8::from(ty.mutable)))
            }
            TypeRef::Tag(ty) => ("tag", &mut self.tags, format!(" sig={}", ty.func_type_idx)),
        };
        let index = *space;
        *space += 1;
        (kind, index, description)
    }
}

/// `(i32, i32) -> i32`
fn signature(ty: &wasmparser::FuncType) -> String {
    let list = |types: &[wasmparser::ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let results = match ty.results() {
        [] => "nil".to_owned(),
        [one] => one.to_string(),
        several => format!("({})", list(several)),
    };
    format!("({}) -> {results}", list(ty.params()))
}

fn table_type(ty: &wasmparser::TableType) -> String {
    let maximum = ty.maximum.map_or_else(String::new, |maximum| format!(" max={maximum}"));
    let i64 = if ty.table64 { " i64" } else { "" };
    format!(" type={} initial={}{maximum}{i64}", ty.element_type, ty.initial)
}

fn memory_type(ty: &wasmparser::MemoryType) -> String {
    let maximum = ty.maximum.map_or_else(String::new, |maximum| format!(" max={maximum}"));
    let shared = if ty.shared { " shared" } else { "" };
    let i64 = if ty.memory64 { " i64" } else { "" };
    format!(" pages: initial={}{maximum}{shared}{i64}", ty.initial)
}

/// The tool conventions' `target_features` section: a vector of a prefix byte and a name.
fn target_features(data: &[u8]) -> Vec<(char, &str)> {
    let mut reader = wasmparser::BinaryReader::new(data, 0);
    let mut features = Vec::new();
    for _ in 0..reader.read_var_u32().unwrap_or(0) {
        let (Ok(prefix), Ok(name)) = (reader.read_u8(), reader.read_string()) else { break };
        features.push((char::from(prefix), name));
    }
    features
}

#[derive(Serialize)]
struct ElfSymbol<'a> {
    name: &'a str,
    demangled: String,
    address: u64,
    size: u64,
    kind: &'static str,
    binding: &'static str,
    section: &'a str,
}

/// Symbols of any ELF file, and the functions of an artifact.
fn elf(native: &Native<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let elf = Elf::parse(native.data).context("the ELF headers are damaged")?;
    let names = Names { demangle: !arguments.no_demangle };
    out.begin_view("symbols", "Symbols")?;
    out.note("Address            Size     Type    Bind   Section               Name")?;
    for symbol in elf.syms.iter().skip(1) {
        let section =
            elf.section_headers.get(symbol.st_shndx).and_then(|section| elf.shdr_strtab.get_at(section.sh_name));
        let name = elf.strtab.get_at(symbol.st_name).unwrap_or("?");
        let row = ElfSymbol {
            name,
            demangled: names.show(name),
            address: symbol.st_value,
            size: symbol.st_size,
            kind: goblin::elf::sym::type_to_str(symbol.st_type()),
            binding: goblin::elf::sym::bind_to_str(symbol.st_bind()),
            section: section.unwrap_or(""),
        };
        if !arguments.wants_section(row.section) {
            continue;
        }
        out.row(&row, |w, palette| {
            let ElfSymbol { demangled, address, size, kind, binding, section, .. } = &row;
            write!(w, "{address:#018x} {size:>8} {kind:<7} {binding:<6} {section:<21} ")?;
            writeln!(w, "{}{demangled}{}", palette.name, palette.reset)
        })?;
    }
    out.end_view()?;
    if let Some(artifact) = &native.artifact {
        functions(native, artifact, arguments, out)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct FunctionItem {
    kind: String,
    name: String,
    address: u64,
    size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<(u32, u32)>,
    operators: usize,
    homes: usize,
    traps: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmctx_home: Option<i32>,
}

fn functions(
    native: &Native<'_>,
    artifact: &artifact::Artifact<'_>,
    arguments: &Arguments,
    out: &mut Output<'_>,
) -> Result<()> {
    out.begin_view("functions", &format!("Functions (content hash {:032x})", artifact.content_hash()))?;
    out.note("Address            Size     Kind                   Wasm body             Rows  Homes Traps Name")?;
    for function in native.functions.iter().filter(|function| function.is_wanted(arguments)) {
        let Some(row) = function.row else { continue };
        let item = FunctionItem {
            kind: function.kind(),
            name: function.display_name(arguments),
            address: function.address,
            size: row.size,
            body: row.body_range().map(|range| (range.start, range.end)),
            operators: artifact.address_map_of(&row).len(),
            homes: artifact.homes_of(&row).len(),
            traps: artifact.traps_of(&row).len(),
            vmctx_home: row.vmctx_home,
        };
        out.row(&item, |w, palette| {
            let FunctionItem { kind, name, address, size, body, operators, homes, traps, .. } = &item;
            let body = body.map_or_else(String::new, |(start, end)| format!("{start:#x}..{end:#x}"));
            write!(w, "{address:#018x} {size:>8} {kind:<22} {body:<21} {operators:<5} {homes:<5} {traps:<5} ")?;
            writeln!(w, "{}{name}{}", palette.name, palette.reset)
        })?;
    }
    out.end_view()?;
    Ok(())
}
