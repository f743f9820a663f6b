//! Compiles one function and turns the code generator's results into plain data.

use super::{CompileError, anchors, home_stores, leading, returns, stack_check};
use crate::environ::{DebugInfo, Module, OptLevel, PointerFlavour, Tunables, VMOffsets};
use crate::translate::{
    ANCHOR_BIT, AnchorRange, DebugPlan, ENTRY_BIT, FuncEnv, FunctionInput, HOME_BIT, HomeSlots, LoopAtEntry,
    OPENING_BITS, RETURN_BITS, SOURCE_FLAGS, TranslateError,
};
use crate::types::ValType;
use artifact::TrapCode;
use cranelift_codegen::binemit::{Addend, Reloc};
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::isa::unwind::UnwindInst;
use cranelift_codegen::{CompiledCode, Context, FinalizedRelocTarget};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_wasm::FuncTranslator;
use target_lexicon::Architecture;
use unwind::{CodeOffset, PrologueOp, UnwindOp};

/// One function's machine code and everything that is known about it. Offsets are relative to the function.
#[derive(Debug, Default)]
pub(super) struct CompiledFunction {
    pub(super) code: Vec<u8>,
    pub(super) alignment: u32,
    /// Calls of other functions: where, how, which.
    pub(super) relocations: Vec<(u32, Reloc, Addend, u32)>,
    pub(super) traps: Vec<(u32, TrapCode)>,
    pub(super) rows: Vec<Row>,
    pub(super) prologue: Vec<PrologueOp>,
    pub(super) basic_blocks: Vec<u32>,
    /// Return address and the distances below the frame pointer of the references that are live there.
    pub(super) stack_maps: Vec<(u32, Vec<u32>)>,
    pub(super) homes: Vec<Home>,
    pub(super) vmctx_home: Option<i32>,
    pub(super) prologue_end: u32,
    /// Return addresses of calls with the file offset of the operator.
    pub(super) calls: Vec<(u32, u32)>,
    /// The return addresses at which a statement begins natively; here it begins further on, as branches lead to it: sorted.
    pub(super) met: Vec<u32>,
    /// Operand stack entries that debug info names and that have no home: file offset of an operator, and depth.
    pub(super) lost_stack_entries: Vec<(u32, u32)>,
    /// File offset of an operator, depth of an operand stack entry that debug info names there, and where it is gone.
    pub(super) stack_entry_ends: Vec<(u32, u32, u32)>,
    /// Instructions that stand for the entry of an inlined function before a loop, sorted, and the loop.
    pub(super) entries: Vec<(u32, LoopAtEntry)>,
    /// The first of two instructions that stand for what a native build loads at the begin of a block, sorted.
    pub(super) reloads: Vec<u32>,
    /// The rows without an operator from which control goes on to the next row only: where they begin, sorted.
    pub(super) leading: Vec<u32>,
    /// Where blocks begin that control does not go on to from the code before: sorted. No call returns there.
    pub(super) apart: Vec<u32>,
    /// Assignments that end the locations of what was in a local before.
    pub(super) overwritten: Vec<dwarf_transform::Overwritten>,
    /// Calls that natively have an instruction of theirs behind them: file offsets, sorted.
    pub(super) moves_behind: Vec<u32>,
    /// Where locations hold on.
    pub(super) continued: Vec<dwarf_transform::Continued>,
    /// The code returns where the result of the source's function lies.
    pub(super) returns_result_place: bool,
}

/// Code from `start` up to the next row comes from the operator at file offset `wasm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) start: u32,
    pub(super) wasm: Option<u32>,
    pub(super) anchor: bool,
}

/// A local's home, relative to the CFA.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    pub(super) local: u32,
    pub(super) cfa_offset: i32,
    pub(super) ty: ValType,
}

/// What one thread reuses from function to function.
pub(super) struct Scratch {
    context: Context,
    translator: FuncTranslator,
    builder: FunctionBuilderContext,
    allocations: wasmparser::FuncValidatorAllocations,
}

impl Scratch {
    pub(super) fn new() -> Scratch {
        Scratch {
            context: Context::new(),
            translator: FuncTranslator::new(),
            builder: FunctionBuilderContext::new(),
            allocations: wasmparser::FuncValidatorAllocations::default(),
        }
    }
}

/// What the compilation of every function of a module shares.
pub(super) struct ModuleContext<'a> {
    pub(super) isa: &'a dyn TargetIsa,
    pub(super) module: &'a Module,
    pub(super) offsets: &'a VMOffsets,
    pub(super) tunables: &'a Tunables,
}

/// Compiles a guest function.
pub(super) fn compile_guest(
    shared: &ModuleContext<'_>,
    input: &FunctionInput<'_>,
    debug: Option<DebugPlan<'_>>,
    scratch: &mut Scratch,
) -> Result<CompiledFunction, CompileError> {
    let offset = input.body.range().start;
    let ty = shared.module.func_type(input.index);
    let mut env = FuncEnv::new(shared.module, shared.offsets, shared.tunables, shared.isa.frontend_config(), ty);
    let flags = if debug.is_some() { SOURCE_FLAGS } else { 0 };
    if let Some(debug) = debug {
        env = env.with_debug_info(debug);
    }
    let allocations = std::mem::take(&mut scratch.allocations);
    let mut validator = input.new_validator(allocations).expect("it was not compiled before");
    scratch.context.clear();
    scratch.context.func.signature = crate::translate::guest_signature(ty);
    let translated =
        scratch.translator.translate_body(&mut validator, input.body.clone(), &mut scratch.context.func, &mut env);
    scratch.allocations = validator.into_allocations();
    if translated.is_err() {
        // Half a function lies in the translator; the next one must not find it there.
        *scratch = Scratch::new();
    }
    translated.map_err(|error| match error {
        cranelift_wasm::WasmError::InvalidWebAssembly { message, offset } => {
            TranslateError::Invalid { offset, reason: message }
        }
        cranelift_wasm::WasmError::Unsupported(feature) => TranslateError::Unsupported { offset, feature },
        other => TranslateError::Function { function: input.index, offset, reason: other.to_string() },
    })?;
    env.spill_references(&mut scratch.context.func).map_err(|reason| {
        CompileError::Translate(TranslateError::Function { function: input.index, offset, reason })
    })?;
    let homes = env.homes.take();
    let lost_stack_entries = env.lost_stack_entries();
    let stack_entry_ends = env.stack_entry_ends();
    returns::merge(&mut scratch.context.func);
    let returns_result_place = env.result_place && env.return_result_place(&mut scratch.context.func);
    let stores = homes.as_ref().map_or(&[][..], |homes| &homes.stores);
    let code = emit(shared.isa, &mut scratch.context, stores).map_err(|reason| {
        CompileError::Translate(TranslateError::Function { function: input.index, offset, reason })
    })?;
    let source = Source {
        flags,
        homes: homes.as_ref(),
        loops: &env.loops_at_entries,
        anchors: env.anchors,
        body: input.body.get_operators_reader().map_or(0, |operators| operators.original_position() as u32),
    };
    let compiled = extract(shared, &code, &scratch.context.func, source).map_err(|reason| {
        CompileError::Translate(TranslateError::Function { function: input.index, offset, reason })
    })?;
    Ok(CompiledFunction { lost_stack_entries, stack_entry_ends, returns_result_place, ..compiled })
}

/// Compiles a trampoline.
pub(super) fn compile_trampoline(
    shared: &ModuleContext<'_>,
    scratch: &mut Scratch,
    build: impl FnOnce(&dyn TargetIsa, &mut FunctionBuilderContext) -> ir::Function,
) -> Result<CompiledFunction, CompileError> {
    scratch.context.clear();
    scratch.context.func = build(shared.isa, &mut scratch.builder);
    let code = emit(shared.isa, &mut scratch.context, &[]).map_err(|reason| CompileError::Trampoline { reason })?;
    let compiled = extract(shared, &code, &scratch.context.func, Source::default());
    let mut compiled = compiled.map_err(|reason| CompileError::Trampoline { reason })?;
    // Its traps are never reached and its instructions come from no operator.
    compiled.rows = vec![Row { start: 0, wasm: None, anchor: false }];
    Ok(compiled)
}

/// `stores` are those to homes.
fn emit(isa: &dyn TargetIsa, context: &mut Context, stores: &[ir::Inst]) -> Result<CompiledCode, String> {
    let mut control = ControlPlane::default();
    context.optimize(isa, &mut control).map_err(|error| error.to_string())?;
    home_stores::localize(&mut context.func, stores, is_x86(isa));
    let compile = |context: &Context, control: &mut ControlPlane| {
        isa.compile_function(&context.func, &context.domtree, context.want_disasm, control)
            .map_err(|error| error.to_string())
    };
    // A small frame that calls nothing fits into what is left to the host, and need not look for the limit.
    let limit = if context.func.is_leaf() { context.func.stack_limit.take() } else { None };
    let mut stencil = compile(context, &mut control)?;
    if limit.is_some() && stencil.frame_size > UNCHECKED_FRAME {
        context.func.stack_limit = limit;
        stencil = compile(context, &mut control)?;
    }
    Ok(stencil.apply_params(&context.func.params))
}

/// The largest frame of a function without calls that may lie beyond the stack limit: a small part of the host's reserve.
const UNCHECKED_FRAME: u32 = 4 << 10;

fn is_x86(isa: &dyn TargetIsa) -> bool {
    matches!(isa.triple().architecture, Architecture::X86_64)
}

/// What is known of a guest function's source locations.
#[derive(Clone, Copy, Default)]
struct Source<'a> {
    /// The bits that are no part of the file offset; without debug info there are none.
    flags: u32,
    homes: Option<&'a HomeSlots>,
    /// The loops that inlined functions begin with.
    loops: &'a [LoopAtEntry],
    anchors: &'a [AnchorRange],
    /// The file offset of the first operator, behind the declarations of the locals.
    body: u32,
}

fn extract(
    shared: &ModuleContext<'_>,
    compiled: &CompiledCode,
    func: &ir::Function,
    source: Source<'_>,
) -> Result<CompiledFunction, String> {
    let buffer = &compiled.buffer;
    let mut out = CompiledFunction {
        code: buffer.data().to_vec(),
        alignment: buffer.alignment,
        basic_blocks: compiled.bb_starts.clone(),
        ..CompiledFunction::default()
    };
    for reloc in buffer.relocs() {
        let target = match &reloc.target {
            FinalizedRelocTarget::ExternalName(ir::ExternalName::User(name)) => {
                func.params.user_named_funcs()[*name].index
            }
            other => unreachable!("only guest functions are called by name, not {other:?}"),
        };
        out.relocations.push((reloc.offset, reloc.kind, reloc.addend, target));
    }
    out.traps.extend(buffer.traps().iter().filter_map(|trap| Some((trap.offset, trap_code(trap.code)?))));
    out.prologue = prologue(shared.isa, &buffer.unwind_info);
    out.stack_maps = buffer
        .user_stack_maps()
        .iter()
        // Offsets from the stack pointer become distances from the frame pointer, which a walk of the frames knows.
        .map(|(offset, span, map)| (*offset, map.entries().map(|(_, slot)| span - slot).collect()))
        .collect();
    let is_x86 = is_x86(shared.isa);
    let slot = source.homes.and_then(|homes| homes.slot);
    // The slot's begin, relative to the frame pointer.
    let slot = slot.map(|slot| compiled.sized_stackslot_offsets[slot] as i32 - compiled.frame_size as i32);
    let made = rows(&mut out, compiled, source, slot.filter(|_| is_x86).map(home_stores::FrameOffset))?;
    let has_debug_info = shared.tunables.debug_info != DebugInfo::None;
    let flow = has_debug_info.then(|| {
        let returns = buffer.call_sites().iter().map(|site| site.ret_addr);
        anchors::Flow::new(returns, &compiled.bb_edges)
    });
    if is_x86 {
        if let Some(flow) = flow.as_ref().filter(|_| out.rows.iter().any(|row| row.anchor)) {
            // lldb stops where a call returns to.
            let stay_apart = shared.tunables.pointer_flavour == PointerFlavour::Lldb;
            anchors::absorb(&mut out, flow, stay_apart);
            if stay_apart {
                anchors::meet_returns(&mut out, flow, source.anchors, &made);
            }
        }
        stack_check::inline(&mut out);
    }
    if let Some(flow) = &flow {
        leading::find(&mut out, flow);
        if is_x86 {
            out.apart = leading::apart(&out, flow);
        }
    }
    if let Some(homes) = source.homes
        && let Some(slot) = slot
    {
        // Where the frame slid down for the arguments of a tail call, the CFA is that much higher.
        let slide = out
            .prologue
            .iter()
            .find_map(|op| match op.op {
                UnwindOp::DefineNewFrame { offset_upward_to_caller_sp, .. } => Some(offset_upward_to_caller_sp),
                _ => None,
            })
            .unwrap_or(16);
        let base = slot - slide as i32;
        out.vmctx_home = Some(base);
        out.homes = homes
            .locals
            .iter()
            .map(|&(local, offset, ty)| Home { local, cfa_offset: base + offset as i32, ty })
            .collect();
        out.homes.sort_by_key(|home| home.local);
    }
    out.calls = buffer
        .call_sites()
        .iter()
        .filter_map(|site| {
            let row = out.rows.partition_point(|row| row.start < site.ret_addr).checked_sub(1)?;
            Some((site.ret_addr, out.rows[row].wasm?))
        })
        .collect();
    // All functions are kept until the last one is compiled.
    out.rows.shrink_to_fit();
    out.traps.shrink_to_fit();
    Ok(out)
}

/// The address map: every instruction has a row, those of the compiler's own have no operator. So have the first values of locals
/// where the optimizer makes them within the body: it is not the function's beginning that is executed there.
///
/// `slot` is where stores to homes go, if they are to be completed. Gives the offsets of the instructions that were made for what calls
/// return to.
fn rows(
    out: &mut CompiledFunction,
    compiled: &CompiledCode,
    source: Source<'_>,
    slot: Option<home_stores::FrameOffset>,
) -> Result<Vec<u32>, String> {
    let mut made = Vec::new();
    let Source { flags, loops, body, .. } = source;
    let size = out.code.len() as u32;
    let mut at = 0;
    let mut in_body = false;
    let push = |rows: &mut Vec<Row>, row: Row| match rows.last() {
        Some(last) if last.wasm == row.wasm && !row.anchor && !last.anchor => {}
        _ => rows.push(row),
    };
    for range in compiled.buffer.get_srclocs_sorted() {
        if range.start >= range.end {
            continue;
        }
        if range.start > at {
            push(&mut out.rows, Row { start: at, wasm: None, anchor: false });
        }
        let bits = range.loc.bits();
        let set = if range.loc.is_default() { 0 } else { bits & flags };
        let is_entry = set == ANCHOR_BIT | HOME_BIT;
        let is_opening = set == OPENING_BITS;
        // Anchors, and the instructions that are made as they are.
        let is_made = set & ANCHOR_BIT != 0;
        let home = set & HOME_BIT != 0 && !is_made;
        if home
            && let Some(slot) = slot
            && !home_stores::fold(&mut out.code[range.start as usize..range.end as usize], slot)
        {
            return Err(format!("the store of a variable at {:#x} in the code is not known", range.start));
        }
        let (wasm, anchor) = if range.loc.is_default() {
            (None, false)
        } else if is_opening {
            out.prologue_end = out.prologue_end.max(range.start);
            (None, false)
        } else if is_made {
            (Some(bits & !SOURCE_FLAGS), set == ANCHOR_BIT)
        } else if set & ENTRY_BIT != 0 {
            out.prologue_end = out.prologue_end.max(range.end);
            (None, false)
        } else if home && compiled.bb_starts.binary_search(&range.start).is_err() {
            // Before the store, all is as it was before the operator: it belongs to what is before it.
            (None, false)
        } else {
            let offset = bits & !(HOME_BIT & flags);
            let is_declaration = in_body && offset < body;
            ((!is_declaration).then_some(offset), false)
        };
        in_body |= wasm.is_some_and(|offset| offset >= body);
        push(&mut out.rows, Row { start: range.start, wasm, anchor });
        if is_entry {
            let offset = bits & !SOURCE_FLAGS;
            out.entries.extend(loops.iter().find(|it| it.entry == offset).map(|it| (range.start, *it)));
        }
        if is_made {
            // Only the anchor's own start, and only where the byte is a breakpoint; what follows it in its range are
            // moves of the register allocator.
            let byte = &mut out.code[range.start as usize];
            if *byte == INT3 {
                *byte = anchors::NOP;
            }
            if anchor && range.end > range.start + 1 {
                out.rows.push(Row { start: range.start + 1, wasm, anchor: false });
            }
            if set == RETURN_BITS {
                made.push(range.start);
                join_reloads(out, range.start);
            }
        }
        at = range.end;
    }
    if at < size {
        push(&mut out.rows, Row { start: at, wasm: None, anchor: false });
    }
    if out.prologue_end == 0 {
        out.prologue_end = out.rows.iter().find(|row| row.wasm.is_some()).map_or(0, |row| row.start);
    }
    Ok(made)
}

/// Makes one row of the three bytes that end at `last`, if they are what a statement that reloads begins with, and two instructions. (What
/// a call returns to lies behind the call.)
fn join_reloads(out: &mut CompiledFunction, last: u32) {
    let [.., first, second, third] = out.rows[..] else { return };
    let are_in_line = first.start + 1 == second.start && second.start + 1 == third.start && third.start == last;
    if are_in_line && first.wasm == third.wasm && out.code[first.start as usize..=last as usize] == [anchors::NOP; 3] {
        out.code[first.start as usize] = OPERAND_SIZE;
        out.rows.truncate(out.rows.len() - 2);
        out.reloads.push(first.start);
    }
}

const INT3: u8 = 0xcc;
/// A prefix that makes one instruction of two bytes of a `nop`.
const OPERAND_SIZE: u8 = 0x66;

fn prologue(isa: &dyn TargetIsa, unwind: &[(u32, UnwindInst)]) -> Vec<PrologueOp> {
    unwind
        .iter()
        .filter_map(|(offset, inst)| {
            let op = match *inst {
                UnwindInst::PushFrameRegs { offset_upward_to_caller_sp } => {
                    UnwindOp::PushFrameRegs { offset_upward_to_caller_sp }
                }
                UnwindInst::DefineNewFrame { offset_upward_to_caller_sp, offset_downward_to_clobbers } => {
                    UnwindOp::DefineNewFrame { offset_upward_to_caller_sp, offset_downward_to_clobbers }
                }
                UnwindInst::StackAlloc { size } => UnwindOp::StackAlloc { size },
                UnwindInst::SaveReg { clobber_offset, reg } => {
                    UnwindOp::SaveReg { dwarf_reg: isa.map_regalloc_reg_to_dwarf(reg.into()).ok()?, clobber_offset }
                }
                UnwindInst::Aarch64SetPointerAuth { return_addresses } => UnwindOp::SetPointerAuth { return_addresses },
            };
            Some(PrologueOp { offset: CodeOffset(*offset), op })
        })
        .collect()
}

fn trap_code(code: ir::TrapCode) -> Option<TrapCode> {
    Some(match code {
        ir::TrapCode::StackOverflow => TrapCode::StackOverflow,
        ir::TrapCode::HeapOutOfBounds => TrapCode::MemoryOutOfBounds,
        ir::TrapCode::HeapMisaligned => TrapCode::HeapMisaligned,
        ir::TrapCode::TableOutOfBounds => TrapCode::TableOutOfBounds,
        ir::TrapCode::IndirectCallToNull => TrapCode::IndirectCallToNull,
        ir::TrapCode::BadSignature => TrapCode::BadSignature,
        ir::TrapCode::IntegerOverflow => TrapCode::IntegerOverflow,
        ir::TrapCode::IntegerDivisionByZero => TrapCode::IntegerDivisionByZero,
        ir::TrapCode::BadConversionToInteger => TrapCode::BadConversionToInteger,
        ir::TrapCode::UnreachableCodeReached => TrapCode::UnreachableCodeReached,
        ir::TrapCode::Interrupt => TrapCode::Interrupt,
        ir::TrapCode::NullReference | ir::TrapCode::NullI31Ref => TrapCode::NullReference,
        crate::translate::NOT_SHARED => TrapCode::AtomicWaitNonSharedMemory,
        ir::TrapCode::User(_) => return None,
    })
}

/// Is a home read back at this level, so that it can be assigned?
pub(super) fn home_is_writable(tunables: &Tunables, local: u32, ty: ValType) -> bool {
    tunables.opt_level == OptLevel::None && local < dwarf_transform::ENTRY_VALUE_HOME && !matches!(ty, ValType::Ref(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bytes_in_line_are_two_instructions() {
        let row = |start, wasm| Row { start, wasm: Some(wasm), anchor: false };
        let function = |code: &[u8], rows: &[Row]| {
            let mut out = CompiledFunction { code: code.to_vec(), rows: rows.to_vec(), ..CompiledFunction::default() };
            join_reloads(&mut out, 3);
            (out.code, out.rows, out.reloads)
        };
        let nops = [0xc3, anchors::NOP, anchors::NOP, anchors::NOP];
        let rows = [row(0, 8), row(1, 10), row(2, 12), row(3, 10)];
        let joined = vec![0xc3, OPERAND_SIZE, anchors::NOP, anchors::NOP];
        assert_eq!(function(&nops, &rows), (joined, rows[..2].to_vec(), vec![1]));
        let moved = [row(0, 8), row(1, 10), row(2, 12), row(3, 14)];
        assert_eq!(function(&nops, &moved), (nops.to_vec(), moved.to_vec(), vec![]), "they are not of one statement");
        let apart = [0xc3, anchors::NOP, 0x50, anchors::NOP];
        assert_eq!(function(&apart, &rows), (apart.to_vec(), rows.to_vec(), vec![]));
        assert!(function(&nops, &rows[2..]).2.is_empty());
    }
}
