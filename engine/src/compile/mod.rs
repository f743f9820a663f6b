//! From a translated module to an artifact.
//!
//! The stages in order: parse, scan the guest's debug info, compile the functions in parallel, link the text, build
//! the frame table, generate and serialize the native debug info, write the artifact.

mod anchors;
mod call_entries;
mod folded_loads;
mod function;
mod guest_function;
mod guest_symbols;
mod home_stores;
mod isa;
mod leading;
mod native_blocks;
mod reloads;
mod returns;
mod stack_check;
mod trampolines;

use crate::debug_files::{DebugFiles, Source};
use crate::environ::{DebugInfo, Module, PointerFlavour, Tunables, VMOffsets};
use crate::translate::{
    Declarations, FunctionInput, ModuleTranslation, SOURCE_FLAGS, TranslateError, behind_silent, ends_of_blocks,
    operand_stack_spans, operator_behind,
};
use crate::types::ValType;
use artifact::{ArtifactBuilder, FunctionKind, LinkLayout, Machine};
use call_entries::CallEntries;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::TargetIsa;
use function::{CompiledFunction, ModuleContext, Scratch};
use guest_function::{FunctionCompiler, returned_to};
use rayon::prelude::*;
use std::panic::AssertUnwindSafe;
use thiserror::Error;
use unwind::{FrameTable, FunctionFrame, SectionAddresses, TextOffset};

/// Why a module cannot be compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// It is malformed, invalid, or needs what the code generator cannot do.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// No code can be made for this machine.
    #[error("no code can be generated for {target}: {reason}")]
    Target {
        /// The target triple.
        target: String,
        /// What is missing.
        reason: String,
    },
    /// A trampoline could not be compiled.
    #[error("a trampoline cannot be compiled: {reason}")]
    Trampoline {
        /// What the code generator says.
        reason: String,
    },
    /// The frame table could not be built.
    #[error("the frame table cannot be built: {0}")]
    Unwind(#[from] unwind::Error),
    /// The artifact could not be written.
    #[error("the artifact cannot be written: {0}")]
    Artifact(#[from] artifact::BuildError),
    /// The code of the module is too large to be linked.
    #[error("a call from function {function} cannot reach its target: the module's code is too large")]
    CallOutOfReach {
        /// The caller.
        function: u32,
    },
}

/// What a compilation has to say beside its result.
#[derive(Clone, Debug, Default)]
pub struct CompileReport {
    /// Debug info that could not be read before the compilation.
    pub scan_losses: dwarf_transform::Losses,
    /// Debug info that could not be said natively.
    pub losses: dwarf_transform::Losses,
    /// Sentences about debug info for the user; empty when all is well.
    pub warnings: Vec<String>,
}

/// Compiles a module to the bytes of an artifact.
///
/// # Errors
///
/// A module that is invalid or that the code generator cannot translate. Debug info is never a reason.
pub fn compile(wasm: &[u8], tunables: &Tunables) -> Result<Vec<u8>, CompileError> {
    Ok(compile_with_report(wasm, tunables)?.0)
}

/// Compiles a module to the bytes of an artifact and says what debug info was lost.
///
/// # Errors
///
/// As [`compile`].
pub fn compile_with_report(wasm: &[u8], tunables: &Tunables) -> Result<(Vec<u8>, CompileReport), CompileError> {
    let compilation = Compilation::of(wasm, tunables)?;
    Ok((compilation.artifact, compilation.report))
}

/// A compiled module, ready to be loaded.
pub struct Compilation {
    pub(crate) artifact: Vec<u8>,
    pub(crate) report: CompileReport,
    pub(crate) declarations: Declarations,
}

impl Compilation {
    /// Compiles a module.
    ///
    /// # Errors
    ///
    /// As [`compile`].
    pub fn of(wasm: &[u8], tunables: &Tunables) -> Result<Compilation, CompileError> {
        Compilation::with_debug_files(wasm, DebugFiles::default(), tunables)
    }

    /// As [`Compilation::of`], with debug info that lies in other files too.
    ///
    /// # Errors
    ///
    /// As [`compile`].
    pub fn with_debug_files(
        wasm: &[u8],
        mut debug_files: DebugFiles,
        tunables: &Tunables,
    ) -> Result<Compilation, CompileError> {
        let isa = isa::build(tunables)?;
        let mut translation = ModuleTranslation::parse(wasm, tunables)?;
        let mut report =
            CompileReport { warnings: std::mem::take(&mut translation.warnings), ..CompileReport::default() };
        report.warnings.append(&mut debug_files.warnings);
        let (sources, headers) = (std::mem::take(&mut debug_files.sources), std::mem::take(&mut debug_files.headers));
        let debug = GuestDebug::scan(&translation, &debug_files, (&sources, &headers), &mut report);
        // They are large, and nothing else looks at them.
        drop((sources, headers));
        for (position, uses) in debug.iter().flat_map(|debug| debug.uses.functions.iter().enumerate()) {
            if let Some(name) = &uses.thunk {
                translation.names.functions.insert(translation.functions[position].index, name.clone());
            }
        }
        let functions = compile_functions(&*isa, &mut translation, debug.as_ref())?;
        report.warnings.extend(functions.warning(translation.module.num_imported_functions));
        let linked = link(&*isa, &translation, functions)?;
        let artifact = write_artifact(&*isa, &translation, linked, debug, &mut report)?;
        Ok(Compilation { artifact, report, declarations: translation.into_declarations() })
    }

    /// The bytes of the artifact.
    #[must_use]
    pub fn artifact(&self) -> &[u8] {
        &self.artifact
    }

    /// What there is to say beside the result.
    #[must_use]
    pub fn report(&self) -> &CompileReport {
        &self.report
    }
}

/// The guest's debug info as the compiler needs it.
struct GuestDebug<'a> {
    guest: dwarf_transform::GuestModule<'a>,
    uses: dwarf_transform::VariableUses,
    static_objects: Vec<dwarf_transform::StaticObject>,
    lines: dwarf_transform::GuestLines,
}

impl<'a> GuestDebug<'a> {
    /// Reads the guest's debug info, unless the tunables ask for none.
    fn scan(
        translation: &ModuleTranslation<'a>,
        debug_files: &'a DebugFiles,
        (sources, headers): (&[Source], &[Source]),
        report: &mut CompileReport,
    ) -> Option<GuestDebug<'a>> {
        if translation.tunables.debug_info == DebugInfo::None {
            return None;
        }
        if translation.tunables.debug_info == DebugInfo::Full && !offsets_fit(translation.code_section.end) {
            report.warnings.push(format!(
                "compiled without debug info, all {} functions: the code section ends at offset {:#x} of the module, and \
                 `-g` can describe code only below {:#x} (512 MiB); `-g=lines` has no such limit",
                translation.functions.len(),
                translation.code_section.end,
                SOURCE_FLAGS & SOURCE_FLAGS.wrapping_neg(),
            ));
            return None;
        }
        let base = translation.code_section.start;
        let module = &translation.module;
        let functions = translation.functions.iter().map(|input| {
            let range = input.body.range();
            let code_start = input.body.get_operators_reader().map_or(range.start, |reader| reader.original_position());
            dwarf_transform::GuestFunction {
                index: input.index,
                body: wasm_offset(range.start, base)..wasm_offset(range.end, base),
                code_start: wasm_offset(code_start, base),
                locals: local_types(module, input).into_iter().map(dwarf_type).collect(),
                parameters: module.func_type(input.index).params.len(),
                results: module.func_type(input.index).results.iter().copied().map(dwarf_type).collect(),
            }
        });
        let guest = dwarf_transform::GuestModule {
            sections: if debug_files.separate.is_some() {
                debug_files.separate_sections()
            } else {
                let sections = translation.debug_sections.iter();
                let sections = sections.map(|&(name, bytes)| dwarf_transform::GuestSection { name, bytes });
                dwarf_transform::GuestSections { sections: sections.collect() }
            },
            split_files: debug_files.split_files(),
            functions: functions.collect(),
            imported_functions: module.num_imported_functions,
            globals: module.globals.iter().map(|global| dwarf_type(global.content)).collect(),
            wasm_variables: translation.tunables.wasm_variables.then(|| wasm_variables(translation)),
            memory64: module.memories.first().is_some_and(|memory| memory.memory64),
            thread_locals: thread_locals(translation),
        };
        let scan = || {
            // Jumps that wasm does without are given anchors, which only full debug info has.
            if translation.tunables.debug_info != DebugInfo::Full {
                return dwarf_transform::scan(&guest);
            }
            let files: Vec<_> = sources.iter().map(Source::as_source).collect();
            let headers: Vec<_> = headers.iter().map(Source::as_source).collect();
            let is_original = |position: usize| sources[position].is_original();
            let joins = |position: usize| joins(&translation.functions[position], base);
            let behind_silent = |position: usize, offset: dwarf_transform::WasmOffset| {
                let behind = behind_silent(&translation.functions[position], file_offset(offset, base))?;
                Some(wasm_offset(behind as usize, base))
            };
            let sources = dwarf_transform::GuestSources {
                files: &files,
                headers: &headers,
                is_original: &is_original,
                joins: &joins,
                behind_silent: &behind_silent,
            };
            dwarf_transform::scan_with_sources(&guest, &sources)
        };
        // It reads what strangers have written; whatever it does, the program must run.
        let scan = match std::panic::catch_unwind(AssertUnwindSafe(scan)) {
            Ok(scan) => scan,
            Err(panic) => {
                let reason = panic_message(&*panic);
                report.warnings.push(format!("the debug info cannot be read (internal error: {reason})"));
                return None;
            }
        };
        if scan.zeroed_addresses {
            report.warnings.push(
                "the module's debug info says that every function is at address 0: a tool that ran after the linker \
                 (often wasm-opt, which clang runs with -O when it finds it) has destroyed it; build without that tool"
                    .into(),
            );
        }
        report.scan_losses = scan.losses;
        Some(GuestDebug { guest, uses: scan.uses, static_objects: scan.static_objects, lines: scan.lines })
    }
}

/// Where blocks of a function end.
fn joins(input: &FunctionInput<'_>, base: usize) -> Vec<dwarf_transform::Joins> {
    let offset = |offset: u32| wasm_offset(offset as usize, base);
    let end = |&(end, is_loop): &(u32, bool)| dwarf_transform::BlockEnd { offset: offset(end), is_loop };
    let runs = ends_of_blocks(input).into_iter().map(|run| dwarf_transform::Joins {
        before: offset(run.before),
        begin: offset(run.begin),
        ends: run.ends.iter().map(end).collect(),
        guard: run.guard.map(offset),
        calls: run.calls,
        equals: run.equals,
        ends_with_call: run.ends_with_call,
        joined: offset(run.joined),
        after: offset(run.after),
    });
    runs.collect()
}

/// Whether the offsets of code that ends here leave the flags of source locations free.
fn offsets_fit(code_end: usize) -> bool {
    u32::try_from(code_end).is_ok_and(|end| end & SOURCE_FLAGS == 0)
}

/// wasm-ld makes the addresses of thread-local objects relative where the memory is shared.
fn thread_locals(translation: &ModuleTranslation<'_>) -> dwarf_transform::ThreadLocals {
    let module = &translation.module;
    if !module.memories.first().is_some_and(|memory| memory.shared) {
        return dwarf_transform::ThreadLocals::Absolute;
    }
    let named = translation.names.globals.iter().find(|(_, name)| *name == "__tls_base").map(|(index, _)| *index);
    named.map_or(dwarf_transform::ThreadLocals::Unknown, dwarf_transform::ThreadLocals::RelativeTo)
}

/// What the wasm-level view shows of the functions.
fn wasm_variables(translation: &ModuleTranslation<'_>) -> dwarf_transform::WasmVariables {
    let base = translation.code_section.start;
    let operand_stack = |input| {
        let spans = operand_stack_spans(input, &translation.module);
        spans.into_iter().map(|span| dwarf_transform::StackEntry {
            depth: span.depth,
            ty: dwarf_type(span.ty),
            begin: wasm_offset(span.operators.start as usize, base),
            end: wasm_offset(span.operators.end as usize, base),
        })
    };
    let functions = translation.functions.par_iter();
    dwarf_transform::WasmVariables { operand_stacks: functions.map(|input| operand_stack(input).collect()).collect() }
}

fn wasm_offset(file_offset: usize, base: usize) -> dwarf_transform::WasmOffset {
    dwarf_transform::WasmOffset(file_offset.saturating_sub(base) as u32)
}

/// The place in the file of an address of the guest's code section, which begins at `base`.
fn file_offset(offset: dwarf_transform::WasmOffset, base: usize) -> u32 {
    (base as u32).saturating_add(offset.0)
}

/// The types of a function's locals, parameters first.
pub(crate) fn local_types(module: &Module, input: &crate::translate::FunctionInput<'_>) -> Vec<ValType> {
    let mut types = module.func_type(input.index).params.to_vec();
    // Reading stops at the first thing that is wrong; the validator will refuse the function for it.
    if let Ok(reader) = input.body.get_locals_reader() {
        for locals in reader {
            let Ok((count, ty)) = locals else { break };
            let Ok(ty) = crate::translate::convert_type(ty, input.body.range().start) else { break };
            if types.len() + count as usize > MAX_LOCALS {
                break;
            }
            types.extend(std::iter::repeat_n(ty, count as usize));
        }
    }
    types
}

/// The validator's limit.
const MAX_LOCALS: usize = 50_000;

fn dwarf_type(ty: ValType) -> dwarf_transform::ValType {
    match ty {
        ValType::I32 => dwarf_transform::ValType::I32,
        ValType::I64 => dwarf_transform::ValType::I64,
        ValType::F32 => dwarf_transform::ValType::F32,
        ValType::F64 => dwarf_transform::ValType::F64,
        ValType::V128 => dwarf_transform::ValType::V128,
        ValType::Ref(_) => dwarf_transform::ValType::Ref,
    }
}

/// All code of a module before it is linked.
struct CompiledFunctions {
    guest: Vec<CompiledFunction>,
    /// Of those that are compiled without debug info because something went wrong with it: what that was.
    without_debug_info: Vec<Option<String>>,
    array_to_wasm: Vec<(u32, CompiledFunction)>,
    wasm_to_array: Vec<(u32, CompiledFunction)>,
}

impl CompiledFunctions {
    /// What a person should know about functions that are compiled without debug info. Imports have the first indices.
    fn warning(&self, imports: u32) -> Option<String> {
        let mut without =
            (imports..).zip(&self.without_debug_info).filter_map(|(index, why)| Some((index, why.as_ref()?)));
        let (index, why) = without.next()?;
        let functions = match without.count() {
            0 => format!("function {index} is"),
            more => format!("function {index} and {more} more are"),
        };
        Some(format!("{functions} compiled without debug info ({why})"))
    }
}

fn compile_functions(
    isa: &dyn TargetIsa,
    translation: &mut ModuleTranslation<'_>,
    debug: Option<&GuestDebug<'_>>,
) -> Result<CompiledFunctions, CompileError> {
    let mut inputs = std::mem::take(&mut translation.functions);
    let offsets = VMOffsets::new(&translation.module);
    let shared = ModuleContext { isa, module: &translation.module, offsets: &offsets, tunables: translation.tunables };
    let base = translation.code_section.start;
    let full = debug.filter(|_| translation.tunables.debug_info == DebugInfo::Full);
    let returned_to = full.map_or_else(Vec::new, |debug| returned_to(&translation.module, &inputs, &debug.uses));
    let compiler = FunctionCompiler { shared: &shared, uses: full.map(|debug| &debug.uses), returned_to, base };
    // The largest first, one at a time: else a thread may begin with one when all others have nothing left to do.
    let mut order: Vec<_> = inputs.iter_mut().enumerate().collect();
    order.sort_by_key(|(_, input)| std::cmp::Reverse(input.body.range().len()));
    let mut guest = order
        .into_iter()
        .par_bridge()
        .map_init(Scratch::new, |scratch, (number, input)| (number, compiler.compile(scratch, number, input)))
        .collect::<Vec<_>>();
    guest.sort_unstable_by_key(|(number, _)| *number);
    // The first function in the module's order that fails is the one that is reported.
    let guest = guest.into_iter().map(|(_, compiled)| compiled).collect::<Result<Vec<_>, _>>()?;
    let (guest, without_debug_info): (Vec<_>, Vec<_>) = guest.into_iter().unzip();
    translation.functions = inputs;

    let mut types = translation.module.trampoline_types();
    types.sort_unstable();
    types.dedup();
    let trampolines = |build: fn(
        &dyn TargetIsa,
        &crate::types::FuncType,
        &mut cranelift_frontend::FunctionBuilderContext,
    ) -> cranelift_codegen::ir::Function| {
        types
            .par_iter()
            .map_init(Scratch::new, |scratch, &index| {
                let ty = &translation.module.types[index as usize];
                let function = function::compile_trampoline(&shared, scratch, |isa, context| build(isa, ty, context))?;
                Ok((index, function))
            })
            .collect::<Result<Vec<_>, CompileError>>()
    };
    Ok(CompiledFunctions {
        guest,
        without_debug_info,
        array_to_wasm: trampolines(trampolines::array_to_wasm)?,
        wasm_to_array: trampolines(trampolines::wasm_to_array)?,
    })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|message| (*message).to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}

/// A module's code in one piece.
struct Linked {
    text: Vec<u8>,
    functions: Vec<LinkedFunction>,
    call_entries: CallEntries,
}

/// A function, where it starts in the text, and what is known of it.
type LinkedFunction = (FunctionKind, u32, CompiledFunction);

fn link(
    isa: &dyn TargetIsa,
    translation: &ModuleTranslation<'_>,
    compiled: CompiledFunctions,
) -> Result<Linked, CompileError> {
    let mut builder = isa.text_section_builder(compiled.guest.len());
    let mut control = ControlPlane::default();
    let alignment = isa.function_alignment();
    let imported = translation.module.num_imported_functions;
    let mut functions = Vec::new();
    let guest = compiled.guest.into_iter().enumerate().map(|(n, f)| (FunctionKind::Guest(imported + n as u32), f));
    let enter = compiled.array_to_wasm.into_iter().map(|(ty, f)| (FunctionKind::ArrayToWasm(ty), f));
    let leave = compiled.wasm_to_array.into_iter().map(|(ty, f)| (FunctionKind::WasmToArray(ty), f));
    let helpers = debugger_helpers(isa, translation.tunables);
    let mut call_entries = CallEntries::new(translation, !helpers.is_empty());
    let calls = (!call_entries.is_empty())
        .then(|| (FunctionKind::Stub(CALL_ENTRIES_STUB), debugger_code(call_entries.placeholder())));
    for (kind, function) in guest.chain(enter).chain(leave).chain(helpers).chain(calls) {
        let is_guest = matches!(kind, FunctionKind::Guest(_));
        let align = function.alignment.max(alignment.minimum).max(16);
        let start = builder.append(is_guest, &function.code, align, &mut control);
        for &(offset, reloc, addend, target) in &function.relocations {
            let target = translation.module.defined_function(target).expect("imports are called through the context");
            if !builder.resolve_reloc(start + u64::from(offset), reloc, addend, target as usize) {
                let FunctionKind::Guest(function) = kind else { unreachable!("trampolines call by pointer") };
                return Err(CompileError::CallOutOfReach { function });
            }
        }
        functions.push((kind, start as u32, function));
    }
    let mut text = builder.finish(&mut control);
    if let Some((FunctionKind::Stub(CALL_ENTRIES_STUB), start, _)) = functions.last() {
        call_entries.place(*start, &mut text, &functions);
    }
    Ok(Linked { text, functions, call_entries })
}

/// Code that only debuggers call: what lldb's pointer classes use to widen an address and to assign one.
fn debugger_helpers(isa: &dyn TargetIsa, tunables: &Tunables) -> Vec<(FunctionKind, CompiledFunction)> {
    let x86 = matches!(isa.triple().architecture, target_lexicon::Architecture::X86_64);
    if !x86 || tunables.debug_info != DebugInfo::Full || tunables.pointer_flavour != PointerFlavour::Lldb {
        return Vec::new();
    }
    let leaf = |code: &[u8]| debugger_code(code.to_vec());
    let pointers = [
        (FunctionKind::Stub(POINTER_OPERATOR_STUB), leaf(&dwarf_transform::POINTER_OPERATOR_CODE)),
        (FunctionKind::Stub(POINTER_ASSIGNMENT_STUB), leaf(&dwarf_transform::POINTER_ASSIGNMENT_CODE)),
    ];
    let references = (REFERENCE_ASSIGNMENT_STUB..).zip(dwarf_transform::REFERENCE_ASSIGNMENTS);
    let references = references.map(|(stub, assignment)| (FunctionKind::Stub(stub), leaf(assignment.code)));
    pointers.into_iter().chain(references).collect()
}

fn debugger_code(code: Vec<u8>) -> CompiledFunction {
    CompiledFunction {
        code,
        alignment: 1,
        rows: vec![function::Row { start: 0, wasm: None, anchor: false }],
        basic_blocks: vec![0],
        ..CompiledFunction::default()
    }
}

/// The instruction that only traps.
const UD2: [u8; 2] = [0x0f, 0x0b];

/// The numbers of the stubs behind lldb's pointer classes.
const POINTER_OPERATOR_STUB: u32 = 0;
const POINTER_ASSIGNMENT_STUB: u32 = 1;
/// The first of those of [`dwarf_transform::REFERENCE_ASSIGNMENTS`].
const REFERENCE_ASSIGNMENT_STUB: u32 = 2;
/// Behind those.
const CALL_ENTRIES_STUB: u32 = REFERENCE_ASSIGNMENT_STUB + dwarf_transform::REFERENCE_ASSIGNMENTS.len() as u32;

fn write_artifact(
    isa: &dyn TargetIsa,
    translation: &ModuleTranslation<'_>,
    linked: Linked,
    debug: Option<GuestDebug<'_>>,
    report: &mut CompileReport,
) -> Result<Vec<u8>, CompileError> {
    let (machine, arch) = match isa.triple().architecture {
        target_lexicon::Architecture::X86_64 => (Machine::X86_64, unwind::Arch::X86_64),
        target_lexicon::Architecture::Aarch64(_) => (Machine::Aarch64, unwind::Arch::Aarch64),
        target_lexicon::Architecture::Riscv64(_) => (Machine::Riscv64, unwind::Arch::Riscv64),
        other => {
            return Err(CompileError::Target {
                target: isa.triple().to_string(),
                reason: format!("artifacts for {other} are not written"),
            });
        }
    };
    let mut builder = ArtifactBuilder::new(machine);
    let static_objects = debug.as_ref().map_or(&[][..], |debug| &debug.static_objects);
    let (frames, ()) = rayon::join(
        || frame_table(arch, &linked),
        || {
            builder.functions = linked
                .functions
                .iter()
                .map(|(kind, start, f)| artifact_function(translation, *kind, *start, f))
                .collect();
            builder.guest_symbols = guest_symbols::guest_symbols(translation, static_objects);
        },
    );
    let frames = frames?;
    let Linked { text, functions, call_entries } = linked;
    builder.text = text;
    let DebugInfoSections { sections: debug_sections, linkage_names, call_shapes } = debug
        .map_or_else(Default::default, |debug| {
            native_debug_info(translation, builder.text.len(), (functions, &call_entries), debug, report)
        });
    // Guest functions come first.
    builder.symbols.extend(linkage_names.into_iter().map(|(position, name)| {
        let artifact::Function { text, size, .. } = builder.functions[position];
        artifact::Symbol { name, text, size }
    }));
    let entries = call_shapes.into_iter().filter_map(|it| call_entries.finish(&mut builder.text, it));
    builder.symbols.extend(entries);
    let at = LinkLayout::eh_frame_address(machine, builder.text.len());
    let mut addresses = SectionAddresses { text: artifact::TEXT_ADDRESS, eh_frame: at, eh_frame_hdr: 0 };
    builder.eh_frame = frames.eh_frame(addresses)?;
    addresses.eh_frame_hdr = LinkLayout::eh_frame_hdr_address(machine, builder.text.len(), builder.eh_frame.len());
    builder.eh_frame_hdr = frames.eh_frame_hdr(addresses)?;
    builder.debug_sections = debug_sections
        .into_iter()
        .map(|section| artifact::DebugSection {
            name: section.name.to_owned(),
            bytes: section.bytes,
            relocations: section
                .relocations
                .into_iter()
                .map(|relocation| artifact::DebugRelocation {
                    offset: relocation.offset,
                    size: relocation.size,
                    target: match relocation.target {
                        dwarf_transform::RelocationTarget::Text => artifact::RelocationTarget::Text,
                        dwarf_transform::RelocationTarget::InstanceCell => artifact::RelocationTarget::InstanceCell,
                    },
                    addend: relocation.addend,
                })
                .collect(),
        })
        .collect();
    report.losses.merge_other_kinds(report.scan_losses.clone());
    builder.losses = artifact_losses(&report.losses);
    builder.module = translation.without_debug_sections();
    builder.meta = describe(isa, translation.tunables).into_bytes();
    Ok(builder.finish()?)
}

fn artifact_losses(losses: &dwarf_transform::Losses) -> Vec<artifact::Loss> {
    let mut rows = Vec::new();
    for (kind, count, places) in losses.iter() {
        let place = places.first().cloned().unwrap_or_default();
        rows.push(artifact::Loss { count, kind: kind.to_string(), detail: String::new(), place });
        rows.extend(losses.details(kind).map(|(detail, count)| artifact::Loss {
            count,
            kind: kind.to_string(),
            detail: detail.to_owned(),
            place: String::new(),
        }));
    }
    rows
}

fn frame_table(arch: unwind::Arch, linked: &Linked) -> Result<FrameTable, CompileError> {
    let frames = linked.functions.iter().map(|(_, start, function)| FunctionFrame {
        start: TextOffset(*start),
        code: &linked.text[*start as usize..*start as usize + function.code.len()],
        prologue: function.prologue.clone(),
        basic_blocks: Some(&function.basic_blocks),
    });
    Ok(FrameTable::build(arch, frames)?)
}

/// Name of a piece of code in the symbol table.
fn symbol(translation: &ModuleTranslation<'_>, kind: FunctionKind) -> String {
    match kind {
        FunctionKind::Guest(index) => translation.names.symbol(index),
        FunctionKind::ArrayToWasm(ty) => format!("__wasmscope_enter_guest_{ty}"),
        FunctionKind::WasmToArray(ty) => format!("__wasmscope_call_host_{ty}"),
        FunctionKind::Stub(POINTER_OPERATOR_STUB) => dwarf_transform::POINTER_OPERATOR_SYMBOL.to_owned(),
        FunctionKind::Stub(POINTER_ASSIGNMENT_STUB) => dwarf_transform::POINTER_ASSIGNMENT_SYMBOL.to_owned(),
        FunctionKind::Stub(CALL_ENTRIES_STUB) => call_entries::SYMBOL.to_owned(),
        FunctionKind::Stub(number) => {
            let reference = number.checked_sub(REFERENCE_ASSIGNMENT_STUB).map(|it| it as usize);
            match reference.and_then(|it| dwarf_transform::REFERENCE_ASSIGNMENTS.get(it)) {
                Some(assignment) => assignment.symbol.to_owned(),
                None => format!("__wasmscope_stub_{number}"),
            }
        }
    }
}

fn artifact_function(
    translation: &ModuleTranslation<'_>,
    kind: FunctionKind,
    start: u32,
    compiled: &CompiledFunction,
) -> artifact::Function {
    let base = translation.code_section.start as u32;
    let mut function = artifact::Function::new(
        kind,
        symbol(translation, kind),
        artifact::TextOffset(start),
        compiled.code.len() as u32,
    );
    if let FunctionKind::Guest(index) = kind {
        let number = translation.module.defined_function(index).expect("guest functions are defined") as usize;
        let range = translation.functions[number].body.range();
        function.body = range.start as u32 - base..range.end as u32 - base;
    }
    function.address_map = compiled
        .rows
        .iter()
        .map(|row| artifact::AddressMapEntry {
            code: artifact::CodeOffset(row.start),
            wasm: row.wasm.map(|wasm| artifact::WasmOffset(wasm - base)),
            anchor: row.anchor,
        })
        .collect();
    function.traps = compiled
        .traps
        .iter()
        .map(|&(code, trap)| artifact::Trap { code: artifact::CodeOffset(code), trap_code: trap as u8 })
        .collect();
    function.stack_maps = compiled
        .stack_maps
        .iter()
        .map(|(code, slots)| artifact::StackMap { return_address: artifact::CodeOffset(*code), slots: slots.clone() })
        .collect();
    function.homes = compiled
        .homes
        .iter()
        .map(|home| artifact::LocalHome {
            local: home.local,
            cfa_offset: home.cfa_offset,
            size: home.ty.byte_size(),
            writable: function::home_is_writable(translation.tunables, home.local, home.ty),
        })
        .collect();
    function.vmctx_home = compiled.vmctx_home;
    function
}

/// Debug info for a debugger.
#[derive(Default)]
struct DebugInfoSections {
    sections: Vec<dwarf_transform::Section>,
    /// Names of functions for the symbol table, by their positions.
    linkage_names: Vec<(usize, String)>,
    /// What the entries for calls have to know.
    call_shapes: Vec<(usize, String, dwarf_transform::CallShape)>,
}

/// Translates the guest's debug info. Whatever goes wrong is reported; the program runs without it.
fn native_debug_info(
    translation: &ModuleTranslation<'_>,
    text_size: usize,
    (functions, call_entries): (Vec<LinkedFunction>, &CallEntries),
    debug: GuestDebug<'_>,
    report: &mut CompileReport,
) -> DebugInfoSections {
    let tunables = translation.tunables;
    let GuestDebug { guest, lines, uses, .. } = debug;
    // It was for the compiler, and what follows takes the most memory of all.
    drop(uses);
    let native = native_module(translation, text_size, (functions, call_entries));
    return_free_memory();
    let options = dwarf_transform::TransformOptions {
        flavour: match tunables.pointer_flavour {
            PointerFlavour::Gdb => dwarf_transform::PointerFlavour::Gdb,
            PointerFlavour::Lldb => dwarf_transform::PointerFlavour::Lldb,
        },
        dwarf_version: u16::from(tunables.dwarf_version),
        identity_map: true,
        lines_only: tunables.debug_info == DebugInfo::Lines,
        named_pointers: true,
    };
    // The transform reads what strangers have written; whatever it does, the program must run.
    let result = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let mut generated = dwarf_transform::generate(&guest, lines, &native, &options)?;
        drop((guest, native));
        let losses = generated.losses.clone();
        let linkage_names = std::mem::take(&mut generated.linkage_names);
        let call_shapes = std::mem::take(&mut generated.call_entries);
        let sections = dwarf_transform::serialize(generated)?;
        Ok::<_, dwarf_transform::Error>((DebugInfoSections { sections, linkage_names, call_shapes }, losses))
    }));
    match result {
        Ok(Ok((sections, losses))) => {
            report.losses = losses;
            sections
        }
        Ok(Err(error)) => {
            report.warnings.push(format!("the debug info cannot be translated: {error}"));
            DebugInfoSections::default()
        }
        Err(panic) => {
            report
                .warnings
                .push(format!("the debug info cannot be translated (internal error: {})", panic_message(&*panic)));
            DebugInfoSections::default()
        }
    }
}

/// Gives back what the code generator has freed: glibc keeps it apart for each of its threads.
fn return_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it has no preconditions, and touches no memory that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn native_module(
    translation: &ModuleTranslation<'_>,
    text_size: usize,
    (functions, call_entries): (Vec<LinkedFunction>, &CallEntries),
) -> dwarf_transform::NativeModule {
    let base = translation.code_section.start as u32;
    let module = &translation.module;
    let offsets = VMOffsets::new(module);
    let text = |offset: u32| dwarf_transform::TextOffset(offset);
    let wasm = |offset: u32| dwarf_transform::WasmOffset(offset - base);
    let mut native = dwarf_transform::NativeModule {
        memories: (0..module.memories.len() as u32)
            .map(|index| {
                let place = offsets.memory(module, index);
                dwarf_transform::MemoryAccess { vmctx_offset: place.offset, indirect: place.indirect }
            })
            .collect(),
        globals: (0..module.globals.len() as u32)
            .map(|index| {
                let place = offsets.global(index);
                dwarf_transform::GlobalAccess {
                    vmctx_offset: place.offset,
                    indirect: place.indirect,
                    ty: dwarf_type(module.globals[index as usize].content),
                }
            })
            .collect(),
        instance_cell: true,
        text_size: text_size as u32,
        ..dwarf_transform::NativeModule::default()
    };
    for (kind, start, function) in functions {
        let range = text(start)..text(start + function.code.len() as u32);
        let FunctionKind::Guest(index) = kind else {
            native.stubs.push(dwarf_transform::NativeStub { name: symbol(translation, kind), text: range });
            continue;
        };
        let defined = module.defined_function(index).expect("a guest function") as usize;
        let input = &translation.functions[defined];
        let mut blocks = function.basic_blocks.iter().peekable();
        let rows = function.rows.into_iter().map(|row| dwarf_transform::AddressRow {
            text: text(start + row.start),
            wasm: row.wasm.map(wasm),
            anchor: row.anchor,
            new_block: std::iter::from_fn(|| blocks.next_if(|block| **block <= row.start)).count() > 0,
        });
        native.functions.push(dwarf_transform::NativeFunction {
            text: range,
            rows: rows.collect(),
            prologue_end: text(start + function.prologue_end),
            homes: function
                .homes
                .iter()
                .map(|home| dwarf_transform::Home {
                    local: home.local,
                    cfa_offset: home.cfa_offset,
                    size: home.ty.byte_size(),
                    writable: function::home_is_writable(translation.tunables, home.local, home.ty),
                })
                .collect(),
            vmctx_home_cfa_offset: function.vmctx_home,
            calls: function
                .calls
                .iter()
                .map(|&(address, operator)| dwarf_transform::NativeCall {
                    return_address: text(start + address),
                    wasm: wasm(operator),
                    behind: wasm(match function.moves_behind.binary_search(&operator) {
                        Ok(_) => operator,
                        Err(_) => operator_behind(input, operator),
                    }),
                    meets_statement: function.met.binary_search(&address).is_ok(),
                })
                .collect(),
            lost_stack_values: function
                .lost_stack_entries
                .iter()
                .map(|&(operator, depth)| (wasm(operator), depth))
                .collect(),
            stack_value_ends: function
                .stack_entry_ends
                .iter()
                .map(|&(operator, depth, end)| (wasm(operator), depth, wasm(end)))
                .collect(),
            overwritten: function.overwritten,
            continued: function.continued,
            returns_result_place: function.returns_result_place,
            has_call_entry: call_entries.has(defined),
            entries: function
                .entries
                .iter()
                .map(|&(offset, it)| dwarf_transform::EntryBeforeLoop {
                    text: text(start + offset),
                    head: wasm(it.head_at),
                    branch: wasm(it.branch),
                })
                .collect(),
            leading: function.leading.iter().map(|offset| text(start + offset)).collect(),
            apart: function.apart.iter().map(|offset| text(start + offset)).collect(),
            reloads: function.reloads.iter().map(|offset| text(start + offset)).collect(),
            traps: function
                .traps
                .iter()
                .filter(|(offset, _)| function.code[*offset as usize..].starts_with(&UD2))
                .map(|(offset, _)| text(start + offset))
                .collect(),
        });
    }
    native
}

/// What the engine must know to run an artifact: `key=value` lines.
fn describe(isa: &dyn TargetIsa, tunables: &Tunables) -> String {
    let mut features: Vec<String> =
        isa.isa_flags().iter().filter(|flag| flag.as_bool() == Some(true)).map(|flag| flag.name.to_owned()).collect();
    features.sort();
    format!(
        "engine={}\ntarget={}\ncpu={}\ndebug={:?}\nopt={:?}\nflavour={:?}\ninterruptible={}\n\
         collect-always={}\nreservation={}\nguard={}\n",
        env!("CARGO_PKG_VERSION"),
        isa.triple(),
        features.join(","),
        tunables.debug_info,
        tunables.opt_level,
        tunables.pointer_flavour,
        tunables.interruptible,
        tunables.collect_always,
        tunables.memory_reservation,
        tunables.memory_guard_size,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::TrapCode;

    #[test]
    fn debug_info_takes_code_below_512_mib() {
        for (end, fits) in [(0, true), (0x1fff_ffff, true), (0x2000_0000, false), (0x4000_0000, false)] {
            assert_eq!(offsets_fit(end), fits, "{end:#x}");
        }
        assert!(!offsets_fit(0x8000_0000) && !offsets_fit(1 << 32), "no larger flag and no carry is let through");
    }

    /// What the debug info of a function says must not keep the program from running, be it by a bug.
    #[test]
    fn functions_whose_debug_info_fails_are_compiled_without() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/programs/shapes/shapes.wasm");
        let wasm = std::fs::read(path).expect("the program is there");
        let tunables = Tunables { debug_info: DebugInfo::Full, ..Tunables::default() };
        let isa = isa::build(&tunables).expect("this machine is one");
        let mut translation = ModuleTranslation::parse(&wasm, &tunables).expect("the program is valid");
        let (files, mut report) = (DebugFiles::default(), CompileReport::default());
        let mut debug = GuestDebug::scan(&translation, &files, (&[], &[]), &mut report).expect("it has debug info");
        // The last ones are missing, which is such a bug.
        let imports = translation.module.num_imported_functions;
        let all = debug.uses.functions.len();
        debug.uses.functions.truncate(all - 3);
        let compiled = compile_functions(&*isa, &mut translation, Some(&debug)).expect("all functions are compiled");
        assert_eq!(compiled.guest.len(), all);
        let homes =
            |range: std::ops::Range<usize>| compiled.guest[range].iter().filter(|it| !it.homes.is_empty()).count();
        assert!(homes(0..all - 3) > 10 && homes(all - 3..all) == 0);
        let warning = compiled.warning(imports).expect("there is something to say");
        let first = imports as usize + all - 3;
        let begin = format!("function {first} and 2 more are compiled without debug info (function {first} at offset");
        assert!(warning.starts_with(&begin) && warning.contains("internal error"), "{warning}");
        let linked = link(&*isa, &translation, compiled).expect("the code can be linked");
        write_artifact(&*isa, &translation, linked, Some(debug), &mut report).expect("the artifact is written");
        assert_eq!(report.warnings, [""; 0]);
    }

    #[test]
    fn code_out_of_reach_is_compiled_without_debug_info() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/programs/shapes/shapes.wasm");
        let wasm = std::fs::read(path).expect("the program is there");
        let scan = |debug_info, end| {
            let tunables = Tunables { debug_info, ..Tunables::default() };
            let mut translation = ModuleTranslation::parse(&wasm, &tunables).expect("the program is valid");
            translation.code_section.end = end;
            let mut report = CompileReport::default();
            let scanned = GuestDebug::scan(&translation, &DebugFiles::default(), (&[], &[]), &mut report).is_some();
            (scanned, report.warnings)
        };
        assert_eq!(scan(DebugInfo::Full, 0x1fff_ffff), (true, vec![]));
        assert_eq!(scan(DebugInfo::Lines, 0x2000_0000), (true, vec![]));
        let (scanned, warnings) = scan(DebugInfo::Full, 0x2000_0000);
        assert!(!scanned);
        assert!(warnings[0].contains("ends at offset 0x20000000"), "{warnings:?}");
    }

    #[test]
    fn only_unoptimized_rust_reloads() {
        let reloading = |program: &str| {
            let path = format!("{}/../tests/programs/{program}.wasm", env!("CARGO_MANIFEST_DIR"));
            let wasm = std::fs::read(path).expect("the program is there");
            let tunables = Tunables { debug_info: DebugInfo::Full, ..Tunables::default() };
            let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
            let mut report = CompileReport::default();
            let files = DebugFiles::default();
            let debug = GuestDebug::scan(&translation, &files, (&[], &[]), &mut report);
            let uses = debug.expect("it has debug info").uses.functions;
            (uses.iter().filter(|uses| uses.reloads).count(), uses.iter().filter(|uses| uses.described).count())
        };
        // `main`, its two functions, the handler of panics, and the library's generic ones for them.
        let (sums, described) = reloading("sums/sums");
        assert!(sums > 4 && sums < described, "{sums} of {described}: the library is optimized");
        let (optimized, described) = reloading("abilities/rust-O2");
        assert!(optimized * 20 < described, "{optimized} of {described}");
        assert_eq!(reloading("shapes/shapes").0, 0);
    }

    /// What debug info wants of the functions of a bundled program, each by a part of its mangled name.
    fn with_uses(program: &str, check: impl FnOnce(&ModuleTranslation<'_>, &UsesByName<'_>)) {
        let path = format!("{}/../tests/programs/{program}.wasm", env!("CARGO_MANIFEST_DIR"));
        let wasm = std::fs::read(path).expect("the program is there");
        let tunables = Tunables { debug_info: DebugInfo::Full, ..Tunables::default() };
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let (files, mut report) = (DebugFiles::default(), CompileReport::default());
        let debug = GuestDebug::scan(&translation, &files, (&[], &[]), &mut report).expect("it has debug info");
        check(&translation, &|name: &str| {
            let names = &translation.names.functions;
            let is_it = |index: u32| names.iter().any(|it| *it.0 == index && it.1.contains(name));
            let mut functions = translation.functions.iter().zip(&debug.uses.functions);
            let (input, uses) = functions.find(|(input, _)| is_it(input.index)).expect("it is there");
            (input, uses.clone())
        });
    }

    type UsesByName<'a> = dyn Fn(&str) -> (&'a crate::translate::FunctionInput<'a>, dwarf_transform::FunctionUses) + 'a;

    #[test]
    fn small_results_of_rust_are_known() {
        with_uses("calls/calls", |_, uses_of| {
            let is_small = |name: &str| uses_of(name).1.has_small_result;
            assert!(is_small("5calls5Store4push17"), "a number");
            assert!(!is_small("5calls7widened17"), "a structure of four");
            assert!(!is_small("5calls4fill17"), "none");
        });
    }

    #[test]
    fn rust_loads_something_behind_some_calls() {
        with_uses("calls/calls", |translation, uses_of| {
            let base = translation.code_section.start;
            // How many statements of the function begin so.
            let count = |name: &str, calls_end_blocks: bool| {
                let (input, uses) = uses_of(name);
                let uses = dwarf_transform::FunctionUses { calls_end_blocks, ..uses };
                let has_place = guest_function::has_result_place(&translation.module, input, &uses);
                reloads::find(
                    &uses,
                    (&crate::translate::BodyScan::read(input), input),
                    base,
                    (PointerFlavour::Lldb, has_place),
                )
                .len()
            };
            assert_eq!(count("5calls4fill17", false), 3, "parameters are passed on");
            assert_eq!(count("5calls7widened17", false), 1, "the place of the result is given back");
            assert_eq!(count("5calls6weight17", false), 2, "addresses of variables are passed on, and a `match` comes");
            assert_eq!(count("5calls5Store4push17", false), 0, "nothing is called");
            assert_eq!(count("5calls4fill17", true), 0, "line 0 is behind each call");
        });
    }

    #[test]
    fn lines_cost_no_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/kernels/kernels-debug.wasm");
        let wasm = std::fs::read(path).expect("the program is there");
        let text = |debug_info| {
            let bytes = compile(&wasm, &Tunables { debug_info, ..Tunables::default() }).expect("the program compiles");
            artifact::Artifact::parse(&bytes).expect("the artifact can be read").text().to_vec()
        };
        let none = text(DebugInfo::None);
        assert!(text(DebugInfo::Lines) == none);
        assert!(text(DebugInfo::Full) != none, "it has debug info");
    }

    #[test]
    fn functions_without_calls_look_for_the_stack_limit_only_with_large_frames() {
        // Each holds so many words at the same time.
        let function = |words: usize, call: &str| {
            let each = |word: fn(usize) -> String| (0..words).map(word).collect::<String>();
            let loads = each(|word| format!("(local.set {word} (i64.load offset={} (i32.const 0)))", word * 8));
            let stores = each(|word| format!("(i64.store offset={} (i32.const 8) (local.get {word}))", word * 8));
            format!("(func (local{}) {loads} {call} {stores})", " i64".repeat(words))
        };
        let module = [function(100, ""), function(1000, ""), function(100, "(call 0)")].concat();
        let wasm = wat::parse_str(format!("(module (memory 1) {module})")).expect("the module is well-formed");
        let bytes = compile(&wasm, &Tunables::default()).expect("the module compiles");
        let artifact = artifact::Artifact::parse(&bytes).expect("the artifact can be read");
        let checked: Vec<bool> = artifact
            .functions()
            .iter()
            .filter(|function| matches!(function.kind, FunctionKind::Guest(_)))
            .map(|function| artifact.traps_of(&function).iter().any(|trap| trap.code == TrapCode::StackOverflow as u8))
            .collect();
        assert_eq!(checked, [false, true, true]);
    }

    #[test]
    fn what_was_lost_is_listed_in_the_artifact() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/programs/abilities/cxx-O2.wasm");
        let wasm = std::fs::read(path).expect("the program is there");
        let tunables = Tunables { debug_info: DebugInfo::Full, ..Tunables::default() };
        let (bytes, report) = compile_with_report(&wasm, &tunables).expect("the program compiles");
        let artifact = artifact::Artifact::parse(&bytes).expect("the artifact can be read");
        let listed = artifact.losses().expect("the rows can be read");
        let listed = listed.iter().filter(|loss| loss.detail.is_empty());
        let listed: Vec<String> = listed.map(|loss| format!("{} x {}", loss.count, loss.kind)).collect();
        let reported: Vec<String> = report.losses.iter().map(|(kind, count, _)| format!("{count} x {kind}")).collect();
        assert_eq!(listed, reported);
        assert!(!listed.is_empty(), "some variables are in places of the operand stack that cannot be followed");
    }

    #[test]
    fn the_artifact_is_the_same_whatever_the_number_of_threads() {
        for program in ["shapes/shapes.wasm", "inventory/inventory.wasm"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs").join(program);
            let wasm = std::fs::read(path).expect("the program is there");
            for flavour in [PointerFlavour::Gdb, PointerFlavour::Lldb] {
                let tunables =
                    Tunables { debug_info: DebugInfo::Full, pointer_flavour: flavour, ..Tunables::default() };
                let compile_on = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
                    pool.install(|| compile(&wasm, &tunables)).expect("the program compiles")
                };
                let one = compile_on(1);
                for threads in [2, 3, 8] {
                    assert!(compile_on(threads) == one, "{program}: another artifact with {threads} threads");
                }
            }
        }
    }
}
