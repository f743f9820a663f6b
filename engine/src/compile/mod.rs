//! From a translated module to an artifact.
//!
//! The stages in order: parse, scan the guest's debug info, compile the functions in parallel, link the text, build
//! the frame table, generate and serialize the native debug info, write the artifact.

mod anchors;
mod function;
mod guest_symbols;
mod home_stores;
mod isa;
mod leading;
mod reloads;
mod returns;
mod stack_check;
mod trampolines;

use crate::debug_files::{DebugFiles, Source};
use crate::environ::{DebugInfo, Module, OptLevel, PointerFlavour, Tunables, VMOffsets};
use crate::translate::{
    AnchorRange, BodyScan, DebugPlan, Declarations, Followed, FollowedVariable, FunctionInput, HomeSlots,
    ModuleTranslation, NamedRange, Reaching, SOURCE_FLAGS, TranslateError, ends_of_blocks, needed_stores,
    operand_stack_spans, operator_behind,
};
use crate::types::ValType;
use artifact::{ArtifactBuilder, FunctionKind, LinkLayout, Machine};
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::TargetIsa;
use function::{CompiledFunction, ModuleContext, Scratch};
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
        let sources = std::mem::take(&mut debug_files.sources);
        let debug = GuestDebug::scan(&translation, &debug_files, &sources, &mut report);
        // They are large, and nothing else looks at them.
        drop(sources);
        for (position, uses) in debug.iter().flat_map(|debug| debug.uses.functions.iter().enumerate()) {
            if let Some(name) = &uses.thunk {
                translation.names.functions.insert(translation.functions[position].index, name.clone());
            }
        }
        let functions = compile_functions(&*isa, &mut translation, debug.as_ref())?;
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
        sources: &[Source],
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
        // Jumps that wasm does without are given anchors, which only full debug info has.
        let scan = if translation.tunables.debug_info == DebugInfo::Full {
            let files: Vec<_> = sources.iter().map(Source::as_source).collect();
            let is_original = |position: usize| sources[position].is_original();
            let joins = |position: usize| joins(&translation.functions[position], base);
            let sources = dwarf_transform::GuestSources { files: &files, is_original: &is_original, joins: &joins };
            dwarf_transform::scan_with_sources(&guest, &sources)
        } else {
            dwarf_transform::scan(&guest)
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
    array_to_wasm: Vec<(u32, CompiledFunction)>,
    wasm_to_array: Vec<(u32, CompiledFunction)>,
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
    let returned_to = full.map_or_else(Vec::new, |debug| returned_to(translation, &inputs, &debug.uses));
    let has_anchors = matches!(isa.triple().architecture, target_lexicon::Architecture::X86_64);

    // The largest first, one at a time: else a thread may begin with one when all others have nothing left to do.
    let mut order: Vec<_> = inputs.iter_mut().enumerate().collect();
    order.sort_by_key(|(_, input)| std::cmp::Reverse(input.body.range().len()));
    let mut guest = order
        .into_iter()
        .par_bridge()
        .map_init(Scratch::new, |scratch, (number, input)| {
            // A function that no debug info describes has nothing to show and pays for nothing.
            let full = full.filter(|debug| debug.uses.functions[number].described);
            let body = if full.is_some() { BodyScan::read(input) } else { BodyScan::default() };
            let anchors = match full {
                Some(debug) if has_anchors => {
                    let flavour = translation.tunables.pointer_flavour;
                    let uses = &debug.uses.functions[number];
                    let call_before = |start| body.call_before(input, start);
                    let mut anchors = anchor_ranges(&uses.statements, &body, base, flavour, call_before);
                    if uses.reloads {
                        if flavour == PointerFlavour::Gdb {
                            leave_out_moves(&mut anchors, &uses.statements, &body, base);
                        }
                        let has_place = has_result_place(&translation.module, input, uses);
                        let reloads = reloads::find(uses, (&body, input), base, (flavour, has_place));
                        for anchor in &mut anchors {
                            anchor.reloads = reloads.binary_search(&anchor.start).is_ok();
                        }
                    }
                    anchors
                }
                _ => Vec::new(),
            };
            let overwritten =
                full.map_or_else(Vec::new, |debug| overwritten(&debug.uses.functions[number], &body, base as u32));
            let parameters = translation.module.func_type(input.index).params.len();
            let continued = full.map_or_else(Vec::new, |debug| {
                continued(&debug.uses.functions[number], parameters, &body, base as u32)
            });
            let request = full.map(|debug| {
                let uses = &debug.uses.functions[number];
                debug_plan(&shared, input, uses, (body, &anchors, &returned_to), &continued, base)
            });
            // A panic of the code generator is a bug in it, but not one that should take the process down.
            let (index, offset) = (input.index, input.body.range().start);
            let compiled = std::panic::catch_unwind(AssertUnwindSafe(|| {
                function::compile_guest(&shared, input, request, scratch)
            }));
            let compiled = compiled
                .unwrap_or_else(|panic| {
                    *scratch = Scratch::new();
                    let reason = format!("internal error of the code generator: {}", panic_message(&*panic));
                    Err(TranslateError::Function { function: index, offset, reason }.into())
                })
                .map(|compiled| CompiledFunction { overwritten, continued, ..compiled });
            (number, compiled)
        })
        .collect::<Vec<(usize, Result<CompiledFunction, CompileError>)>>();
    guest.sort_unstable_by_key(|(number, _)| *number);
    // The first function in the module's order that fails is the one that is reported.
    let guest = guest.into_iter().map(|(_, compiled)| compiled).collect::<Result<Vec<_>, _>>()?;
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

/// What the translation of a function does for the debugger.
fn debug_plan<'a>(
    shared: &ModuleContext<'_>,
    input: &FunctionInput<'_>,
    uses: &dwarf_transform::FunctionUses,
    (body, anchors, returned_to): (BodyScan, &'a [AnchorRange], &'a [bool]),
    continued: &[dwarf_transform::Continued],
    base: usize,
) -> DebugPlan<'a> {
    let file_offset = |offset| file_offset(offset, base);
    let has_uses = !uses.locals.is_empty() || !uses.stack_values.is_empty();
    let types = if has_uses { local_types(shared.module, input) } else { Vec::new() };
    let value_of = |it: &dwarf_transform::Continued| {
        let variable = uses.lasting.binary_search_by_key(&it.variable, |lasting| lasting.variable).ok()?;
        uses.lasting[variable].places.iter().find(|place| place.begin == it.location)?.value?.local
    };
    let at_entry = continued.iter().filter(|it| it.at_entry).filter_map(value_of);
    let at_entry = at_entry.map(|local| dwarf_transform::ENTRY_VALUE_HOME + local);
    let mut homes: Vec<u32> = uses.locals.iter().copied().chain(at_entry).collect();
    homes.sort_unstable();
    homes.dedup();
    let named = homes.iter().filter_map(|&home| {
        let local = home.checked_sub(dwarf_transform::ENTRY_VALUE_HOME).unwrap_or(home);
        Some((home, *types.get(local as usize)?))
    });
    // A `local.set` has no code of its own, unless a statement begins with it.
    let begins_statement = |begin: u32| anchors.binary_search_by_key(&begin, |anchor| anchor.start).is_ok();
    let (unseen, mut wanted): (Vec<_>, Vec<_>) = uses
        .stack_values
        .iter()
        .map(|value| (file_offset(value.offset), value.depth, file_offset(value.end)))
        .partition(|&(begin, _, end)| body.is_one_set(begin, end) && !begins_statement(begin));
    wanted.sort_unstable();
    let mut wanted: Vec<(u32, u32)> = wanted.into_iter().map(|(begin, depth, _)| (begin, depth)).collect();
    wanted.dedup();
    let followed = Followed { input, module: shared.module, body: &body, locals: &types };
    let mut copies = crate::translate::plan_stack_copies(&followed, &wanted);
    let unseen = unseen.into_iter().map(|(begin, depth, _)| (begin, depth));
    copies.lost.extend(unseen.filter(|entry| wanted.binary_search(entry).is_err()));
    let entries: Vec<_> =
        copies.depths.iter().map(|(depth, ty)| (dwarf_transform::OPERAND_STACK_HOME + depth, *ty)).collect();
    // Homes that are read back hold every value.
    let needed = (shared.tunables.opt_level != OptLevel::None)
        .then(|| {
            let listed = uses
                .local_uses
                .iter()
                .filter(|named| named.local < dwarf_transform::ENTRY_VALUE_HOME && named.begin < named.end)
                .map(|named| (named.local, named.begin, named.end));
            let continued = continued.iter().filter(|it| !it.at_entry);
            let continued = continued.filter_map(|it| Some((value_of(it)?, it.begin, it.end)));
            let named: Vec<_> = listed
                .chain(continued)
                .map(|(local, begin, end)| NamedRange { local, operators: file_offset(begin)..file_offset(end) })
                .collect();
            needed_stores(&body, &named)
        })
        .flatten();
    let opening_stop =
        uses.opening_stop && !anchors.is_empty() && shared.tunables.pointer_flavour == PointerFlavour::Gdb;
    // Without anchors there is nothing that could stand before a loop.
    let loops_at_entries = if anchors.is_empty() {
        Vec::new()
    } else {
        let code =
            |it: &dwarf_transform::InlinedCode| (file_offset(it.entry), file_offset(it.begin)..file_offset(it.end));
        body.loops_at_entries(&uses.inlined.iter().map(code).collect::<Vec<_>>())
    };
    DebugPlan {
        homes: HomeSlots::new(named.chain(entries)),
        opening_stop,
        operators: body.offsets,
        anchors,
        loops_at_entries,
        copies,
        needed,
        result_place: has_result_place(shared.module, input, uses),
        returned_to: if uses.is_c { returned_to } else { &[] },
    }
}

/// Of each function, whether callers in C and C++ have an instruction behind the call: 32-bit code takes something off the stack where a
/// result came through memory, and lldb stops there when a person steps out of the callee.
fn returned_to(
    translation: &ModuleTranslation<'_>,
    inputs: &[FunctionInput<'_>],
    uses: &dwarf_transform::VariableUses,
) -> Vec<bool> {
    if translation.tunables.pointer_flavour != PointerFlavour::Lldb {
        return Vec::new();
    }
    let functions = inputs.iter().zip(&uses.functions);
    functions.map(|(input, uses)| has_result_place(&translation.module, input, uses)).collect()
}

/// Is the function given a place for its result?
fn has_result_place(module: &Module, input: &FunctionInput<'_>, uses: &dwarf_transform::FunctionUses) -> bool {
    uses.has_result && crate::translate::takes_result_place(module, module.func_type(input.index))
}

/// Where locals hold something else than the variables that are said to be in them.
fn overwritten(uses: &dwarf_transform::FunctionUses, body: &BodyScan, base: u32) -> Vec<dwarf_transform::Overwritten> {
    let file_offset = |offset: dwarf_transform::WasmOffset| base.saturating_add(offset.0);
    let mut uses: Vec<_> = uses.local_uses.iter().filter(|named| named.variable.is_some()).copied().collect();
    uses.sort_by_key(|named| (named.local, named.variable));
    let mut locals: Vec<u32> = uses.iter().map(|named| named.local).collect();
    locals.dedup();
    let mut assignments = body.assignments(&locals);
    // The locations of one variable in one local, with the assignments that they begin behind.
    let mut variables: Vec<(&[dwarf_transform::LocalUse], Vec<u32>)> = Vec::new();
    let of_one = |one: &dwarf_transform::LocalUse, other: &dwarf_transform::LocalUse| {
        (one.local, one.variable) == (other.local, other.variable)
    };
    for locations in uses.chunk_by(of_one) {
        let local = locations[0].local;
        let mut own: Vec<u32> = locations.iter().map(|location| file_offset(location.begin)).collect();
        own.sort_unstable();
        let first = assignments.partition_point(|assignment| assignment.local < local);
        let mut of_local = assignments[first..].iter().take_while(|assignment| assignment.local == local);
        // Where the variable is located behind each assignment, the local holds nothing else.
        if of_local.any(|assignment| own.binary_search(&assignment.behind).is_err()) {
            variables.push((locations, own));
        }
    }
    let asked = |local| variables.binary_search_by_key(&local, |(locations, _)| locations[0].local).is_ok();
    assignments.retain(|assignment| asked(assignment.local));
    let Some(mut reaching) = Reaching::of(body, assignments) else { return Vec::new() };
    let mut found: Vec<dwarf_transform::Overwritten> = Vec::new();
    for (locations, own) in &variables {
        for location in *locations {
            let range = file_offset(location.begin)..file_offset(location.end);
            let foreign = reaching.foreign(location.local, range, |behind| own.binary_search(&behind).is_ok());
            found.extend(foreign.into_iter().map(|range| {
                let [begin, end] = [range.start, range.end].map(|at| dwarf_transform::WasmOffset(at - base));
                dwarf_transform::Overwritten { location: *location, begin, end }
            }));
        }
    }
    found.sort_unstable();
    found
}

/// Where variables that keep their value still are although the guest's lists have ended.
fn continued(
    uses: &dwarf_transform::FunctionUses,
    parameters: usize,
    body: &BodyScan,
    base: u32,
) -> Vec<dwarf_transform::Continued> {
    let file_offset = |offset: dwarf_transform::WasmOffset| base.saturating_add(offset.0);
    let is_parameter = |variable: &&dwarf_transform::LastingVariable| {
        variable.at_entry.is_some_and(|local| (local as usize) < parameters)
    };
    let mut entered: Vec<u32> = uses.lasting.iter().filter(is_parameter).filter_map(|it| it.at_entry).collect();
    entered.sort_unstable();
    let assigned = body.assignments(&entered);
    let (entered, followed): (Vec<_>, Vec<_>) = uses.lasting.iter().partition(is_parameter);
    let place = |place: &dwarf_transform::LastingPlace| crate::translate::Place {
        begin: file_offset(place.begin),
        end: file_offset(place.end),
        same: place.value.map(|value| value.same),
        local: place.value.and_then(|value| value.local),
    };
    let places: Vec<Vec<_>> = followed.iter().map(|variable| variable.places.iter().map(place).collect()).collect();
    let variables = followed.iter().zip(&places).map(|(variable, places)| FollowedVariable {
        scope: variable
            .scope
            .as_ref()
            .map(|scope| scope.iter().map(|range| file_offset(range.start)..file_offset(range.end)).collect()),
        places,
    });
    let found = crate::translate::continued(body, &variables.collect::<Vec<_>>());
    let mut found: Vec<_> = found
        .into_iter()
        .map(|it| {
            let variable = followed[it.variable];
            let [begin, end] = [it.operators.start, it.operators.end].map(|at| dwarf_transform::WasmOffset(at - base));
            dwarf_transform::Continued {
                variable: variable.variable,
                location: variable.places[it.place].begin,
                begin,
                end,
                at_entry: false,
            }
        })
        .collect();
    // A parameter is what its local was on entry, wherever the list says nothing.
    let (Some(&first), end) = (body.offsets.first(), body.end) else { return found };
    let [first, end] = [first, end].map(|offset| dwarf_transform::WasmOffset(offset - base));
    for variable in entered {
        let Some((location, local)) = variable.places.first().map(|place| place.begin).zip(variable.at_entry) else {
            continue;
        };
        let at_entry = assigned.binary_search_by_key(&local, |it| it.local).is_ok();
        let mut begin = first;
        for place in variable.places.iter().map(|place| (place.begin, place.end)).chain([(end, end)]) {
            if begin < place.0 {
                let variable = variable.variable;
                found.push(dwarf_transform::Continued { variable, location, begin, end: place.0, at_entry });
            }
            begin = begin.max(place.1);
        }
    }
    found.sort_unstable();
    found
}

/// The statements that need an anchor. One whose first row pushes nothing but operands, before another statement, is
/// executed after that one, where its next row begins. lldb stops, in a step, wherever a branch leads to the begin of a row
/// of another line, be it marked a statement or not.
fn anchor_ranges(
    statements: &[dwarf_transform::Statement],
    body: &BodyScan,
    base: usize,
    flavour: PointerFlavour,
    call_before: impl Fn(u32) -> Option<u32>,
) -> Vec<AnchorRange> {
    let is_lldb = flavour == PointerFlavour::Lldb;
    let file_offset = |offset| file_offset(offset, base);
    let only_operands = |number: usize| {
        let next = statements[number + 1..].iter().find(|next| next.new_line);
        next.is_some_and(|next| body.are_operands(file_offset(statements[number].offset), file_offset(next.offset)))
    };
    statements
        .iter()
        .enumerate()
        .filter_map(|(number, statement)| {
            let (start, end) = (file_offset(statement.offset), file_offset(statement.end));
            let joins = || (statement.is_stmt || is_lldb) && body.is_reached_from_elsewhere(start);
            let begins = statement.new_line && !(statement.again && only_operands(number));
            (begins || joins()).then(|| {
                let is_operator = statement.spot == dwarf_transform::Spot::Operator;
                let behind_call = if is_lldb && is_operator { call_before(start) } else { None };
                AnchorRange { start, end, spot: statement.spot, reloads: false, behind_call }
            })
        })
        .collect()
}

/// Unoptimized Rust: where nothing comes before the next statement but constants that go into locals, these belong to it natively.
fn leave_out_moves(
    anchors: &mut Vec<AnchorRange>,
    statements: &[dwarf_transform::Statement],
    body: &BodyScan,
    base: usize,
) {
    let file_offset = |offset| file_offset(offset, base);
    let starts: Vec<u32> = statements.iter().filter(|it| it.new_line).map(|it| file_offset(it.offset)).collect();
    anchors.retain(|anchor| {
        let next = starts.get(starts.partition_point(|start| *start <= anchor.start));
        anchor.spot != dwarf_transform::Spot::Operator || !next.is_some_and(|next| body.are_moves(anchor.start, *next))
    });
}

/// A module's code in one piece.
struct Linked {
    text: Vec<u8>,
    functions: Vec<LinkedFunction>,
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
    let helpers = debugger_helpers(isa, translation.tunables).into_iter();
    for (kind, function) in guest.chain(enter).chain(leave).chain(helpers) {
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
    Ok(Linked { text: builder.finish(&mut control), functions })
}

/// Code that only debuggers call: what lldb's pointer classes use to widen an address and to assign one.
fn debugger_helpers(isa: &dyn TargetIsa, tunables: &Tunables) -> Vec<(FunctionKind, CompiledFunction)> {
    let x86 = matches!(isa.triple().architecture, target_lexicon::Architecture::X86_64);
    if !x86 || tunables.debug_info != DebugInfo::Full || tunables.pointer_flavour != PointerFlavour::Lldb {
        return Vec::new();
    }
    let leaf = |code: &[u8]| CompiledFunction {
        code: code.to_vec(),
        alignment: 1,
        rows: vec![function::Row { start: 0, wasm: None, anchor: false }],
        basic_blocks: vec![0],
        ..CompiledFunction::default()
    };
    vec![
        (FunctionKind::Stub(POINTER_OPERATOR_STUB), leaf(&dwarf_transform::POINTER_OPERATOR_CODE)),
        (FunctionKind::Stub(POINTER_ASSIGNMENT_STUB), leaf(&dwarf_transform::POINTER_ASSIGNMENT_CODE)),
    ]
}

/// The instruction that only traps.
const UD2: [u8; 2] = [0x0f, 0x0b];

/// The numbers of the stubs behind lldb's pointer classes.
const POINTER_OPERATOR_STUB: u32 = 0;
const POINTER_ASSIGNMENT_STUB: u32 = 1;

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
    let Linked { text, functions } = linked;
    builder.text = text;
    let debug_sections = debug
        .map_or_else(Vec::new, |debug| native_debug_info(translation, builder.text.len(), functions, debug, report));
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
        FunctionKind::Stub(number) => format!("__wasmscope_stub_{number}"),
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

/// Translates the guest's debug info. Whatever goes wrong is reported; the program runs without it.
fn native_debug_info(
    translation: &ModuleTranslation<'_>,
    text_size: usize,
    functions: Vec<LinkedFunction>,
    debug: GuestDebug<'_>,
    report: &mut CompileReport,
) -> Vec<dwarf_transform::Section> {
    let tunables = translation.tunables;
    let GuestDebug { guest, lines, uses, .. } = debug;
    // It was for the compiler, and what follows takes the most memory of all.
    drop(uses);
    let native = native_module(translation, text_size, functions);
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
        let generated = dwarf_transform::generate(&guest, lines, &native, &options)?;
        drop((guest, native));
        let losses = generated.losses.clone();
        Ok::<_, dwarf_transform::Error>((dwarf_transform::serialize(generated)?, losses))
    }));
    match result {
        Ok(Ok((sections, losses))) => {
            report.losses = losses;
            sections
        }
        Ok(Err(error)) => {
            report.warnings.push(format!("the debug info cannot be translated: {error}"));
            Vec::new()
        }
        Err(panic) => {
            report
                .warnings
                .push(format!("the debug info cannot be translated (internal error: {})", panic_message(&*panic)));
            Vec::new()
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
    functions: Vec<LinkedFunction>,
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
        let input = &translation.functions[module.defined_function(index).expect("a guest function") as usize];
        let mut blocks = function.basic_blocks.iter().peekable();
        let rows = function.rows.iter().map(|row| dwarf_transform::AddressRow {
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
                    behind: wasm(operator_behind(input, operator)),
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
            entries: function
                .entries
                .iter()
                .map(|&(offset, branch)| dwarf_transform::EntryBeforeLoop {
                    text: text(start + offset),
                    branch: wasm(branch),
                })
                .collect(),
            leading: function.leading.iter().map(|offset| text(start + offset)).collect(),
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

    #[test]
    fn code_out_of_reach_is_compiled_without_debug_info() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/programs/shapes/shapes.wasm");
        let wasm = std::fs::read(path).expect("the program is there");
        let scan = |debug_info, end| {
            let tunables = Tunables { debug_info, ..Tunables::default() };
            let mut translation = ModuleTranslation::parse(&wasm, &tunables).expect("the program is valid");
            translation.code_section.end = end;
            let mut report = CompileReport::default();
            let scanned = GuestDebug::scan(&translation, &DebugFiles::default(), &[], &mut report).is_some();
            (scanned, report.warnings)
        };
        assert_eq!(scan(DebugInfo::Full, 0x1fff_ffff), (true, vec![]));
        assert_eq!(scan(DebugInfo::Lines, 0x2000_0000), (true, vec![]));
        let (scanned, warnings) = scan(DebugInfo::Full, 0x2000_0000);
        assert!(!scanned);
        assert!(warnings[0].contains("ends at offset 0x20000000"), "{warnings:?}");
    }

    #[test]
    fn rows_that_begin_no_statement_have_an_anchor_for_lldb_where_a_branch_leads() {
        use crate::translate::Effect;
        let body = BodyScan {
            offsets: vec![100, 102, 104],
            effects: vec![(1, Effect::Loop)],
            end: 106,
            ..BodyScan::default()
        };
        let row = |offset, is_stmt| dwarf_transform::Statement {
            offset: dwarf_transform::WasmOffset(offset),
            end: dwarf_transform::WasmOffset(offset + 2),
            is_stmt,
            new_line: false,
            again: false,
            spot: dwarf_transform::Spot::Operator,
        };
        let anchored = |rows: &[_], flavour| {
            anchor_ranges(rows, &body, 100, flavour, |_| None).iter().map(|anchor| anchor.start).collect::<Vec<_>>()
        };
        let rows = [row(0, false), row(2, false)];
        assert_eq!(anchored(&rows, PointerFlavour::Lldb), [102]);
        assert!(anchored(&rows, PointerFlavour::Gdb).is_empty());
        assert_eq!(anchored(&[row(0, true), row(2, true)], PointerFlavour::Gdb), [102]);
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
            let debug = GuestDebug::scan(&translation, &files, &[], &mut report);
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

    #[test]
    fn constants_of_the_next_statement_begin_none() {
        use crate::translate::Effect::{End, Operand, Set, Silent};
        // Where branches join: a constant goes into a local, and then its statement comes; a sum is something else.
        let body = BodyScan::of_bytes(&[End(0), Silent, Set(1), Operand, Set(2), Operand], &[]);
        let statement = |offset| dwarf_transform::Statement {
            offset: dwarf_transform::WasmOffset(offset),
            end: dwarf_transform::WasmOffset(offset + 1),
            is_stmt: true,
            new_line: true,
            again: false,
            spot: dwarf_transform::Spot::Operator,
        };
        let statements = [0, 3, 5].map(statement);
        let anchor = |start| AnchorRange {
            start,
            end: 6,
            spot: dwarf_transform::Spot::Operator,
            reloads: false,
            behind_call: None,
        };
        let left = |spot: dwarf_transform::Spot| {
            let mut anchors = vec![AnchorRange { spot, ..anchor(0) }, anchor(3), anchor(5)];
            leave_out_moves(&mut anchors, &statements, &body, 0);
            anchors.iter().map(|anchor| anchor.start).collect::<Vec<_>>()
        };
        assert_eq!(left(dwarf_transform::Spot::Operator), [3, 5]);
        assert_eq!(left(dwarf_transform::Spot::BehindEnd), [0, 3, 5], "a jump is there");
    }

    #[test]
    fn rust_loads_something_behind_some_calls() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/programs/calls/calls.wasm");
        let wasm = std::fs::read(path).expect("the program is there");
        let tunables = Tunables { debug_info: DebugInfo::Full, ..Tunables::default() };
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let (files, mut report) = (DebugFiles::default(), CompileReport::default());
        let debug = GuestDebug::scan(&translation, &files, &[], &mut report).expect("it has debug info");
        let base = translation.code_section.start;
        // How many statements of the function whose mangled name has this in it begin so.
        let count = |name: &str, calls_end_blocks: bool| {
            let is_it = |index: u32| translation.names.functions.iter().any(|it| *it.0 == index && it.1.contains(name));
            let mut functions = translation.functions.iter().zip(&debug.uses.functions);
            let (input, uses) = functions.find(|(input, _)| is_it(input.index)).expect("it is there");
            let uses = dwarf_transform::FunctionUses { calls_end_blocks, ..uses.clone() };
            let has_place = has_result_place(&translation.module, input, &uses);
            reloads::find(&uses, (&BodyScan::read(input), input), base, (PointerFlavour::Lldb, has_place)).len()
        };
        assert_eq!(count("5calls4fill17", false), 3, "parameters are passed on");
        assert_eq!(count("5calls7widened17", false), 1, "the place of the result is given back");
        assert_eq!(count("5calls6weight17", false), 2, "addresses of variables are passed on, and a `match` comes");
        assert_eq!(count("5calls5Store4push17", false), 0, "nothing is called");
        assert_eq!(count("5calls4fill17", true), 0, "line 0 is behind each call");
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
