//! The environment in which cranelift-wasm translates one function.

use super::barriers::Slot;
use super::body_scan::LoopAtEntry;
use super::home_stores::NeededStores;
use super::operand_stack::StackCopies;
use super::reference_roots::ReferenceRoots;
use super::sink_guard::SinkGuard;
use crate::environ::builtins::{Builtin, BuiltinType};
use crate::environ::{DebugInfo, Module, OptLevel, Place, Tunables, VMOffsets, vmoffsets};
use crate::types::{FuncType, HeapType, ValType};
use cranelift_codegen::cursor::FuncCursor;
use cranelift_codegen::entity::{EntityRef, PrimaryMap};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{self, AbiParam, ArgumentPurpose, InstBuilder, MemFlags, Signature, types};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, Variable};
use cranelift_wasm::{
    FuncEnvironment, FuncIndex, FuncTranslationState, GlobalIndex, GlobalVariable, Heap, HeapData, HeapStyle,
    MemoryIndex, TableIndex, TargetEnvironment, TypeConvert, TypeIndex, WasmHeapType, WasmResult,
};
use dwarf_transform::Spot;
use std::collections::HashMap;
use wasmparser::{Operator, UnpackedIndex};

/// A wait on a memory that is not shared.
pub(crate) const NOT_SHARED: ir::TrapCode = ir::TrapCode::User(1);
/// Source locations with this bit are statement anchors.
pub(crate) const ANCHOR_BIT: u32 = 1 << 31;
/// Source locations with this bit are the stores that fill the homes at entry.
pub(crate) const ENTRY_BIT: u32 = 1 << 30;
/// Source locations with this bit are stores to homes; with that of anchors, instructions that stand for the entry of an inlined
/// function and begin no statement.
pub(crate) const HOME_BIT: u32 = 1 << 29;
/// The source location, but for the offset, of the instruction at which the opening line of a function is shown.
pub(crate) const OPENING_BITS: u32 = ANCHOR_BIT | ENTRY_BIT;
/// The source location, but for the offset, of an instruction to which a call returns that has nothing left to do, and of those before
/// the anchor of a statement that [`reloads`](AnchorRange::reloads), which are three in line.
pub(crate) const RETURN_BITS: u32 = ANCHOR_BIT | ENTRY_BIT | HOME_BIT;
/// The bits of a source location that are no part of the offset, in a function that has full debug info.
pub(crate) const SOURCE_FLAGS: u32 = ANCHOR_BIT | ENTRY_BIT | HOME_BIT;

/// Index of the first wasm parameter in a guest function's signature; before it come the two contexts.
pub(super) const FIRST_WASM_PARAM: usize = 2;

/// The Cranelift type of a wasm value.
pub(crate) fn ir_type(ty: ValType) -> ir::Type {
    match ty {
        ValType::I32 => types::I32,
        ValType::I64 | ValType::Ref(_) => types::I64,
        ValType::F32 => types::F32,
        ValType::F64 => types::F64,
        ValType::V128 => types::I8X16,
    }
}

/// The signature of a guest function: callee's context, caller's context, then the wasm parameters.
pub(crate) fn guest_signature(ty: &FuncType) -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.push(AbiParam::special(types::I64, ArgumentPurpose::VMContext));
    signature.params.push(AbiParam::new(types::I64));
    signature.params.extend(ty.params.iter().map(|ty| AbiParam::new(ir_type(*ty))));
    signature.returns.extend(ty.results.iter().map(|ty| AbiParam::new(ir_type(*ty))));
    signature
}

/// Which locals of a function have a home in its frame, and where the home lies in the one stack slot of homes.
#[derive(Clone, Debug, Default)]
pub(crate) struct HomeSlots {
    /// The stack slot; its offset 0 is the home of the function's own context.
    pub(crate) slot: Option<ir::StackSlot>,
    /// The slot's address, made at the function's entry. See `compile::home_stores` for what becomes of it.
    base: Option<ir::Value>,
    /// The stores to it.
    pub(crate) stores: Vec<ir::Inst>,
    /// For each local that has a home: its offset in the slot and its type.
    pub(crate) locals: Vec<(u32, u32, ValType)>,
    /// The size of the slot.
    pub(crate) size: u32,
    /// The same sorted by local.
    by_local: Vec<(u32, u32, ValType)>,
}

impl HomeSlots {
    /// Lays out homes for `locals`, given with their types.
    pub(crate) fn new(locals: impl IntoIterator<Item = (u32, ValType)>) -> HomeSlots {
        let mut homes = HomeSlots { size: 8, ..HomeSlots::default() };
        let mut locals: Vec<_> = locals.into_iter().collect();
        // Large values first, so that each is aligned without holes.
        locals.sort_by_key(|(local, ty)| (std::cmp::Reverse(ty.byte_size()), *local));
        for (local, ty) in locals {
            let size = u32::from(ty.byte_size());
            let offset = homes.size.next_multiple_of(size);
            homes.size = offset + size;
            homes.locals.push((local, offset, ty));
        }
        homes.by_local.clone_from(&homes.locals);
        homes.by_local.sort_unstable_by_key(|home| home.0);
        homes
    }

    /// Stores to the slot, at `offset`.
    fn store(&mut self, builder: &mut FunctionBuilder<'_>, value: ir::Value, offset: u32) {
        if let Some(base) = self.base {
            let store = builder.ins().store(MemFlags::new().with_notrap(), value, base, offset as i32);
            self.stores.push(store);
        }
    }

    /// The offset in the slot and the type of a local that has a home.
    fn home(&self, local: u32) -> Option<(u32, ValType)> {
        let at = self.by_local.binary_search_by_key(&local, |home| home.0).ok()?;
        Some((self.by_local[at].1, self.by_local[at].2))
    }
}

/// A statement of the source, as file offsets of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnchorRange {
    /// Where it begins.
    pub(crate) start: u32,
    /// Where the next one begins.
    pub(crate) end: u32,
    /// The operator whose row it has: where it begins, but for jumps of gdb's that wasm does without.
    pub(crate) of: u32,
    /// Where its anchor goes.
    pub(crate) spot: Spot,
    /// A native build has something else there first, for which instructions of ours stand: behind the call that the statement is
    /// returned to from, or else before the anchor.
    pub(crate) reloads: bool,
    /// The file offset of the call that comes right before it: for lldb, and for gdb in unoptimized C and C++.
    pub(crate) behind_call: Option<u32>,
}

/// What one function's translation does for the debugger.
pub(crate) struct DebugPlan<'a> {
    /// Homes of locals and of operand stack entries.
    pub(crate) homes: HomeSlots,
    /// Offset in the file of each operator of the body, in order.
    pub(crate) operators: Vec<u32>,
    /// Where statements begin and end, sorted.
    pub(crate) anchors: &'a [AnchorRange],
    /// An instruction stands for the opening line, behind the stores to the homes.
    pub(crate) opening_stop: bool,
    /// Loops that inlined functions begin with, sorted.
    pub(crate) loops_at_entries: Vec<LoopAtEntry>,
    /// Operand stack entries that are copied to a home.
    pub(crate) copies: StackCopies,
    /// The assignments of locals that are stored to their homes; absent where all are.
    pub(crate) needed: Option<NeededStores>,
    /// The function is given a place for its result, and is to return it.
    pub(crate) result_place: bool,
    /// Of each defined function, whether its callers have an instruction behind the call. Empty where this caller has none.
    pub(crate) returned_to: &'a [bool],
}

/// The environment in which one function is translated.
pub(crate) struct FuncEnv<'a> {
    pub(super) module: &'a Module,
    pub(super) offsets: &'a VMOffsets,
    tunables: &'a Tunables,
    target: TargetFrontendConfig,
    heaps: PrimaryMap<Heap, HeapData>,
    vmctx: Option<ir::GlobalValue>,
    /// Loads of pointers out of the context, by offset, so that equal ones are one global value.
    loads: HashMap<(u32, bool), ir::GlobalValue>,
    /// Homes of locals; absent without full debug info.
    pub(crate) homes: Option<HomeSlots>,
    /// Offset in the file of each operator of the body, in order.
    operators: Vec<u32>,
    next_operator: usize,
    /// Where statements begin and end, sorted.
    pub(crate) anchors: &'a [AnchorRange],
    opening_stop: bool,
    /// See [`DebugPlan::returned_to`].
    returned_to: &'a [bool],
    next_anchor: usize,
    pending_anchor: Option<AnchorRange>,
    /// The anchor that is due behind the current operator.
    anchor_behind: Option<AnchorRange>,
    /// The statement whose anchor is there already.
    anchored: Option<u32>,
    pub(crate) loops_at_entries: Vec<LoopAtEntry>,
    /// Operand stack entries that are copied to a home.
    copies: StackCopies,
    /// The assignments of locals that are stored to their homes; absent where all are.
    needed: Option<NeededStores>,
    pub(crate) result_place: bool,
    guard: SinkGuard,
    roots: ReferenceRoots,
    /// The last counted reference that was loaded; the code that lists it ends in another block.
    last_loaded: Option<ir::Value>,
}

impl<'a> FuncEnv<'a> {
    pub(crate) fn new(
        module: &'a Module,
        offsets: &'a VMOffsets,
        tunables: &'a Tunables,
        target: TargetFrontendConfig,
        ty: &FuncType,
    ) -> FuncEnv<'a> {
        FuncEnv {
            module,
            offsets,
            tunables,
            target,
            heaps: PrimaryMap::new(),
            vmctx: None,
            loads: HashMap::new(),
            homes: None,
            operators: Vec::new(),
            next_operator: 0,
            anchors: &[],
            returned_to: &[],
            opening_stop: false,
            next_anchor: 0,
            pending_anchor: None,
            anchor_behind: None,
            anchored: None,
            loops_at_entries: Vec::new(),
            copies: StackCopies::default(),
            needed: None,
            result_place: false,
            guard: SinkGuard::default(),
            roots: ReferenceRoots::new(ty),
            last_loaded: None,
        }
    }

    /// Asks for homes and statement anchors.
    pub(crate) fn with_debug_info(mut self, plan: DebugPlan<'a>) -> Self {
        self.homes = Some(plan.homes);
        self.operators = plan.operators;
        self.anchors = plan.anchors;
        self.opening_stop = plan.opening_stop;
        self.loops_at_entries = plan.loops_at_entries;
        self.copies = plan.copies;
        self.needed = plan.needed;
        self.result_place = plan.result_place;
        self.returned_to = plan.returned_to;
        self
    }

    /// Are homes read back, so that an assignment of the debugger takes effect?
    fn homes_are_writable(&self) -> bool {
        self.tunables.opt_level == OptLevel::None && self.tunables.debug_info == DebugInfo::Full
    }

    pub(super) fn tunables(&self) -> &Tunables {
        self.tunables
    }

    /// Notes a counted reference that was loaded.
    pub(super) fn declare_root(&mut self, reference: ir::Value) {
        self.roots.declare(reference);
        self.last_loaded = Some(reference);
    }

    /// Puts the counted references of the finished function into stack maps.
    pub(crate) fn spill_references(&self, func: &mut ir::Function) -> Result<(), String> {
        self.roots.spill(func, FIRST_WASM_PARAM)
    }

    fn vmctx(&mut self, func: &mut ir::Function) -> ir::GlobalValue {
        *self.vmctx.get_or_insert_with(|| func.create_global_value(ir::GlobalValueData::VMContext))
    }

    /// A pointer that lies at `offset` in the context; `fixed` when it never changes while the instance lives.
    pub(super) fn load_from_context(&mut self, func: &mut ir::Function, offset: u32, fixed: bool) -> ir::GlobalValue {
        let base = self.vmctx(func);
        *self.loads.entry((offset, fixed)).or_insert_with(|| {
            let flags = MemFlags::trusted();
            func.create_global_value(ir::GlobalValueData::Load {
                base,
                offset: Offset32::new(offset as i32),
                global_type: types::I64,
                flags: if fixed { flags.with_readonly() } else { flags },
            })
        })
    }

    /// The global value and offset of a field of a definition.
    fn field(&mut self, func: &mut ir::Function, place: Place, field: u32) -> (ir::GlobalValue, i32) {
        if place.indirect {
            (self.load_from_context(func, place.offset, true), field as i32)
        } else {
            (self.vmctx(func), (place.offset + field) as i32)
        }
    }

    pub(super) fn field_value(
        &mut self,
        pos: &mut FuncCursor<'_>,
        place: Place,
        field: u32,
        ty: ir::Type,
        flags: MemFlags,
    ) -> ir::Value {
        let (base, offset) = self.field(pos.func, place, field);
        let base = pos.ins().global_value(types::I64, base);
        pos.ins().load(ty, flags, base, offset)
    }

    pub(super) fn builtin(&mut self, pos: &mut FuncCursor<'_>, builtin: Builtin, args: &[ir::Value]) -> ir::Inst {
        let (params, result) = builtin.signature();
        let convert = |ty: &BuiltinType| {
            AbiParam::new(match ty {
                BuiltinType::vmctx | BuiltinType::pointer | BuiltinType::i64 => types::I64,
                BuiltinType::i32 => types::I32,
            })
        };
        let mut signature = Signature::new(self.target.default_call_conv);
        signature.params.extend(params.iter().map(convert));
        signature.returns.extend(result.iter().map(convert));
        let signature = pos.func.import_signature(signature);
        let vmctx = self.vmctx(pos.func);
        let vmctx = pos.ins().global_value(types::I64, vmctx);
        let table = self.load_from_context(pos.func, vmoffsets::VMCTX_BUILTINS, true);
        let table = pos.ins().global_value(types::I64, table);
        let callee =
            pos.ins().load(types::I64, MemFlags::trusted().with_readonly(), table, (builtin as u32 * 8) as i32);
        let args: Vec<_> = std::iter::once(vmctx).chain(args.iter().copied()).collect();
        pos.ins().call_indirect(signature, callee, &args)
    }

    fn builtin_value(&mut self, pos: &mut FuncCursor<'_>, builtin: Builtin, args: &[ir::Value]) -> ir::Value {
        let call = self.builtin(pos, builtin, args);
        pos.func.dfg.first_result(call)
    }

    /// Calls a built-in function that returns whether something is out of bounds, and traps if so.
    fn builtin_within_bounds(
        &mut self,
        pos: &mut FuncCursor<'_>,
        builtin: Builtin,
        args: &[ir::Value],
        trap: ir::TrapCode,
    ) {
        let outside = self.builtin_value(pos, builtin, args);
        pos.ins().trapnz(outside, trap);
    }

    /// Traps if an address is no multiple of the bytes that are accessed there.
    fn trap_if_misaligned(pos: &mut FuncCursor<'_>, address: ir::Value, bytes: u32) {
        let rest = pos.ins().band_imm(address, i64::from(bytes) - 1);
        pos.ins().trapnz(rest, ir::TrapCode::HeapMisaligned);
    }

    fn const32(pos: &mut FuncCursor<'_>, value: u32) -> ir::Value {
        pos.ins().iconst(types::I32, i64::from(value))
    }

    /// Widens an address or length of a memory to 64 bits.
    fn widen(pos: &mut FuncCursor<'_>, value: ir::Value) -> ir::Value {
        if pos.func.dfg.value_type(value) == types::I64 { value } else { pos.ins().uextend(types::I64, value) }
    }

    /// Narrows a 64-bit size of a memory to the memory's index type.
    fn narrow(&self, pos: &mut FuncCursor<'_>, memory: MemoryIndex, value: ir::Value) -> ir::Value {
        if self.module.memories[memory.index()].memory64 { value } else { pos.ins().ireduce(types::I32, value) }
    }

    /// An index into a table, or a number of its elements, as 32 bits. What does not fit becomes the largest number, which no
    /// table has an element for.
    fn table_index(&self, pos: &mut FuncCursor<'_>, table: TableIndex, index: ir::Value) -> ir::Value {
        if !self.module.tables[table.index()].table64 {
            return index;
        }
        let largest = pos.ins().iconst(types::I64, i64::from(u32::MAX));
        let index = pos.ins().umin(index, largest);
        pos.ins().ireduce(types::I32, index)
    }

    /// The address of element `index` of a table, checked.
    fn table_element(&mut self, builder: &mut FunctionBuilder<'_>, table: TableIndex, index: ir::Value) -> ir::Value {
        let place = self.offsets.table(table.as_u32());
        let ty = self.module.tables[table.index()];
        let mut pos = builder.cursor();
        // A table that cannot grow has a bound and a base that never change.
        let fixed = !place.indirect && ty.maximum == Some(ty.minimum);
        let flags = MemFlags::trusted();
        let flags = if fixed { flags.with_readonly() } else { flags };
        let index_type = if ty.table64 { types::I64 } else { types::I32 };
        let bound = if fixed {
            pos.ins().iconst(index_type, i64::from(ty.minimum))
        } else {
            self.field_value(&mut pos, place, 8, index_type, flags)
        };
        let outside = pos.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, bound);
        pos.ins().trapnz(outside, ir::TrapCode::TableOutOfBounds);
        let base = self.field_value(&mut pos, place, 0, types::I64, flags);
        let index = Self::widen(&mut pos, index);
        let offset = pos.ins().ishl_imm(index, 3);
        pos.ins().iadd(base, offset)
    }

    /// An element of a table of counted references, checked.
    fn reference_element(&mut self, builder: &mut FunctionBuilder<'_>, table: TableIndex, index: ir::Value) -> Slot {
        let nullable = self.module.tables[table.index()].element.nullable;
        let address = self.table_element(builder, table, index);
        Slot { address, offset: 0, flags: Self::table_flags(), nullable }
    }

    /// A global that holds a counted reference.
    fn reference_global(&mut self, builder: &mut FunctionBuilder<'_>, global: GlobalIndex) -> Slot {
        let ValType::Ref(ty) = self.module.globals[global.index()].content else {
            unreachable!("only references are counted")
        };
        let place = self.offsets.global(global.as_u32());
        let (gv, offset) = self.field(builder.func, place, 0);
        let address = builder.ins().global_value(types::I64, gv);
        Slot { address, offset, flags: Self::table_flags(), nullable: ty.nullable }
    }

    fn table_flags() -> MemFlags {
        MemFlags::trusted().with_alias_region(Some(ir::AliasRegion::Table))
    }

    /// Loads the code and the context out of a function reference, and the caller's context.
    fn call_target(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        func_ref: ir::Value,
        args: &[ir::Value],
    ) -> (ir::Value, Vec<ir::Value>) {
        let mut pos = builder.cursor();
        let flags = MemFlags::trusted().with_readonly();
        let code = pos.ins().load(types::I64, flags, func_ref, vmoffsets::func_ref::WASM_CALL as i32);
        let callee = pos.ins().load(types::I64, flags, func_ref, vmoffsets::func_ref::VMCTX as i32);
        let vmctx = self.vmctx(pos.func);
        let caller = pos.ins().global_value(types::I64, vmctx);
        (code, [callee, caller].into_iter().chain(args.iter().copied()).collect())
    }

    /// The function reference that an indirect call goes to, checked for null and for its type.
    fn indirect_callee(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        table: TableIndex,
        ty: TypeIndex,
        index: ir::Value,
    ) -> ir::Value {
        let element = self.table_element(builder, table, index);
        let func_ref = builder.ins().load(types::I64, Self::table_flags(), element, 0);
        let table_type = self.module.tables[table.index()];
        if table_type.element.nullable {
            builder.ins().trapz(func_ref, ir::TrapCode::IndirectCallToNull);
        }
        if table_type.element.heap == HeapType::Concrete(crate::types::TypeIndex(ty.as_u32())) {
            return func_ref;
        }
        let mut pos = builder.cursor();
        let flags = MemFlags::trusted().with_readonly();
        let ids = self.load_from_context(pos.func, vmoffsets::VMCTX_TYPE_IDS, true);
        let ids = pos.ins().global_value(types::I64, ids);
        let expected = pos.ins().load(types::I32, flags, ids, (ty.as_u32() * 4) as i32);
        let actual = pos.ins().load(types::I32, flags, func_ref, vmoffsets::func_ref::TYPE_ID as i32);
        let differs = pos.ins().icmp(IntCC::NotEqual, expected, actual);
        pos.ins().trapnz(differs, ir::TrapCode::BadSignature);
        func_ref
    }

    /// The code and context of an imported function.
    fn imported_callee(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        function: FuncIndex,
        args: &[ir::Value],
    ) -> (ir::Value, Vec<ir::Value>) {
        let mut pos = builder.cursor();
        let vmctx = self.vmctx(pos.func);
        let caller = pos.ins().global_value(types::I64, vmctx);
        let import = self.offsets.imported_function(function.as_u32()) as i32;
        let flags = MemFlags::trusted().with_readonly();
        let code = pos.ins().load(types::I64, flags, caller, import);
        let callee = pos.ins().load(types::I64, flags, caller, import + 8);
        (code, [callee, caller].into_iter().chain(args.iter().copied()).collect())
    }

    fn direct_args(&mut self, builder: &mut FunctionBuilder<'_>, args: &[ir::Value]) -> Vec<ir::Value> {
        let mut pos = builder.cursor();
        let vmctx = self.vmctx(pos.func);
        let vmctx = pos.ins().global_value(types::I64, vmctx);
        [vmctx, vmctx].into_iter().chain(args.iter().copied()).collect()
    }

    fn check_interruption(&mut self, builder: &mut FunctionBuilder<'_>) {
        if !self.tunables.interruptible {
            return;
        }
        let mut pos = builder.cursor();
        let limits = self.load_from_context(pos.func, vmoffsets::VMCTX_LIMITS, true);
        let limits = pos.ins().global_value(types::I64, limits);
        // Another thread writes this word, so the load must neither be hoisted nor merged: an atomic load never is.
        let address = pos.ins().iadd_imm(limits, i64::from(vmoffsets::limits::INTERRUPTED));
        let flag = pos.ins().atomic_load(types::I64, MemFlags::trusted(), address);
        pos.ins().trapnz(flag, ir::TrapCode::Interrupt);
    }

    /// Puts a statement anchor here, of the code at `anchor`.
    fn emit_anchor(builder: &mut FunctionBuilder<'_>, anchor: u32, operator: u32) {
        builder.set_srcloc(ir::SourceLoc::new(anchor | ANCHOR_BIT));
        builder.ins().debugtrap();
        builder.set_srcloc(ir::SourceLoc::new(operator));
    }

    /// Puts the anchor of a statement here, before the current operator.
    fn emit_statement(&self, builder: &mut FunctionBuilder<'_>, anchor: AnchorRange, operator: u32) {
        if anchor.reloads && anchor.behind_call.is_none() {
            // Were they of the same operator, they would be one to the code generator.
            let other = self.operators.get(self.next_operator).copied().unwrap_or(operator);
            for of in [anchor.of, other, anchor.of] {
                Self::emit_anchor(builder, of | RETURN_BITS, operator);
            }
        }
        Self::emit_anchor(builder, anchor.of, operator);
    }

    /// Puts an instruction behind a call if natively there is one and a statement begins there. `callee` is the function's position,
    /// where it is known.
    fn emit_returned_to(&mut self, builder: &mut FunctionBuilder<'_>, callee: Option<u32>) {
        let operator = self.next_operator.checked_sub(1).and_then(|number| self.operators.get(number).copied());
        let next = self.anchors.get(self.next_anchor);
        let Some(operator) = operator.filter(|call| next.is_some_and(|next| next.behind_call == Some(*call))) else {
            return;
        };
        let callers_have_one = callee.and_then(|callee| self.returned_to.get(callee as usize)).copied();
        if callers_have_one.unwrap_or(false) || next.is_some_and(|next| next.reloads) {
            Self::emit_anchor(builder, operator | RETURN_BITS, operator);
        }
    }

    /// The offset at which an inlined function begins, if it begins with the loop of the current operator.
    fn entry_of_loop(&self) -> Option<u32> {
        let number = self.next_operator.wrapping_sub(1);
        let at = self.loops_at_entries.binary_search_by_key(&number, |at| at.head as usize).ok()?;
        Some(self.loops_at_entries[at].entry)
    }

    /// Copies what the operator just translated has pushed, where debug info names it.
    fn copy_stack_entry(&mut self, op: &Operator<'_>, builder: &mut FunctionBuilder<'_>) {
        let number = self.next_operator.wrapping_sub(1);
        let Some(copy) = self.copies.after(number) else { return };
        let (depth, ty) = (copy.depth, copy.ty);
        let pushed = match op {
            Operator::LocalGet { local_index } | Operator::LocalTee { local_index } => {
                Some(builder.use_var(Variable::new(*local_index as usize)))
            }
            Operator::TableGet { .. } | Operator::GlobalGet { .. } if ty.is_extern_ref() => self.last_loaded,
            // The translator ends with the instruction whose result it pushes.
            _ => builder
                .current_block()
                .and_then(|block| builder.func.layout.last_inst(block))
                .and_then(|inst| builder.func.dfg.inst_results(inst).first().copied()),
        };
        let home = self.homes.as_mut().and_then(|homes| {
            let (offset, home) = homes.home(dwarf_transform::OPERAND_STACK_HOME + depth)?;
            Some((homes, offset, home.byte_size()))
        });
        match (pushed.filter(|value| builder.func.dfg.value_type(*value) == ir_type(ty)), home) {
            (Some(value), Some((homes, offset, size))) => {
                // What is narrower than its home is zero-extended.
                let value =
                    if ty == ValType::I32 && size > 4 { builder.ins().uextend(types::I64, value) } else { value };
                homes.store(builder, value, offset);
                if ty == ValType::F32 && size > 4 {
                    let zero = builder.ins().iconst(types::I32, 0);
                    homes.store(builder, zero, offset + 4);
                }
            }
            // A home that misses a copy would show another value.
            _ => self.copies.lose(number),
        }
    }

    /// The operand stack entries that debug info names and that were not copied: file offset of an operator, and depth.
    pub(crate) fn lost_stack_entries(&self) -> Vec<(u32, u32)> {
        self.copies.lost.iter().copied().collect()
    }

    /// Where operand stack entries that debug info names are gone: file offset of the operator where it does, depth, offset.
    pub(crate) fn stack_entry_ends(&mut self) -> Vec<(u32, u32, u32)> {
        std::mem::take(&mut self.copies.ends)
    }

    /// Stores a local's current value to `home`: its own, or the one for its value at entry.
    fn store_home(&mut self, builder: &mut FunctionBuilder<'_>, home: u32) {
        let Some(homes) = &mut self.homes else { return };
        let Some((offset, _)) = homes.home(home) else { return };
        let local = home.checked_sub(dwarf_transform::ENTRY_VALUE_HOME).unwrap_or(home);
        let value = builder.use_var(Variable::new(local as usize));
        homes.store(builder, value, offset);
    }

    /// The statement that the operator at `offset` belongs to, if it has no anchor yet.
    fn due_anchor(&mut self, offset: u32) -> Option<AnchorRange> {
        let is_next = self.anchors.get(self.next_anchor).is_some_and(|anchor| anchor.start <= offset);
        if !is_next && self.pending_anchor.is_none() {
            return None;
        }
        let mut due = self.pending_anchor.take();
        while let Some(&anchor) = self.anchors.get(self.next_anchor) {
            if anchor.start > offset {
                break;
            }
            due = Some(anchor);
            self.next_anchor += 1;
        }
        // The loop that an inlined function begins with has the anchor of the function's first statement.
        due.filter(|anchor| offset < anchor.end && self.anchored.take() != Some(anchor.start))
    }
}

impl TypeConvert for FuncEnv<'_> {
    /// Only function types exist, and which one it is makes no difference to the code; the validator may have replaced
    /// the module's index by a number of its own.
    fn lookup_heap_type(&self, index: UnpackedIndex) -> WasmHeapType {
        let index = index.as_module_index().unwrap_or(0);
        WasmHeapType::ConcreteFunc(cranelift_wasm::EngineOrModuleTypeIndex::Module(
            cranelift_wasm::ModuleInternedTypeIndex::from_u32(index),
        ))
    }

    fn lookup_type_index(&self, index: UnpackedIndex) -> cranelift_wasm::EngineOrModuleTypeIndex {
        let index = index.as_module_index().unwrap_or(0);
        cranelift_wasm::EngineOrModuleTypeIndex::Module(cranelift_wasm::ModuleInternedTypeIndex::from_u32(index))
    }
}

impl TargetEnvironment for FuncEnv<'_> {
    fn target_config(&self) -> TargetFrontendConfig {
        self.target
    }

    fn heap_access_spectre_mitigation(&self) -> bool {
        false
    }

    fn proof_carrying_code(&self) -> bool {
        false
    }

    fn reference_type(&self, _ty: WasmHeapType) -> (ir::Type, bool) {
        // The frontend is not to spill references: see `spill`.
        (types::I64, false)
    }
}

impl FuncEnvironment for FuncEnv<'_> {
    fn is_wasm_parameter(&self, _signature: &Signature, index: usize) -> bool {
        index >= FIRST_WASM_PARAM
    }

    // No value is declared to the frontend: see `spill`.
    fn param_needs_stack_map(&self, _signature: &Signature, _index: usize) -> bool {
        false
    }

    fn sig_ref_result_needs_stack_map(&self, _sig_ref: ir::SigRef, _index: usize) -> bool {
        false
    }

    fn func_ref_result_needs_stack_map(&self, _func: &ir::Function, _func_ref: ir::FuncRef, _index: usize) -> bool {
        false
    }

    fn make_global(&mut self, func: &mut ir::Function, index: GlobalIndex) -> WasmResult<GlobalVariable> {
        let ty = self.module.globals[index.index()];
        if ty.content.is_extern_ref() {
            return Ok(GlobalVariable::Custom);
        }
        let place = self.offsets.global(index.as_u32());
        let (gv, offset) = self.field(func, place, 0);
        Ok(GlobalVariable::Memory { gv, offset: Offset32::new(offset), ty: ir_type(ty.content) })
    }

    fn heaps(&self) -> &PrimaryMap<Heap, HeapData> {
        &self.heaps
    }

    fn make_heap(&mut self, func: &mut ir::Function, index: MemoryIndex) -> WasmResult<Heap> {
        let memory = self.module.memories[index.index()];
        let place = self.offsets.memory(self.module, index.as_u32());
        let fixed = memory_never_moves(&memory, self.tunables);
        let (base, offset) = self.field(func, place, 0);
        let flags = MemFlags::trusted();
        let base_gv = func.create_global_value(ir::GlobalValueData::Load {
            base,
            offset: Offset32::new(offset),
            global_type: types::I64,
            flags: if fixed { flags.with_readonly() } else { flags },
        });
        let style = if fixed {
            HeapStyle::Static { bound: self.tunables.memory_reservation }
        } else {
            let (base, offset) = self.field(func, place, 8);
            let bound_gv = func.create_global_value(ir::GlobalValueData::Load {
                base,
                offset: Offset32::new(offset),
                global_type: types::I64,
                flags,
            });
            HeapStyle::Dynamic { bound_gv }
        };
        let page = 1u64 << memory.page_size_log2;
        Ok(self.heaps.push(HeapData {
            base: base_gv,
            min_size: memory.minimum.saturating_mul(page),
            max_size: memory.maximum.map(|pages| pages.saturating_mul(page)),
            offset_guard_size: self.tunables.memory_guard_size,
            style,
            index_type: if memory.memory64 { types::I64 } else { types::I32 },
            memory_type: None,
            page_size_log2: memory.page_size_log2,
        }))
    }

    fn make_indirect_sig(&mut self, func: &mut ir::Function, index: TypeIndex) -> WasmResult<ir::SigRef> {
        let ty = &self.module.types[index.index()];
        let sig = func.import_signature(guest_signature(ty));
        self.roots.declare_signature(sig, ty);
        Ok(sig)
    }

    fn make_direct_func(&mut self, func: &mut ir::Function, index: FuncIndex) -> WasmResult<ir::FuncRef> {
        let ty = self.module.func_type(index.as_u32());
        let signature = func.import_signature(guest_signature(ty));
        self.roots.declare_signature(signature, ty);
        let name = func.declare_imported_user_function(ir::UserExternalName { namespace: 0, index: index.as_u32() });
        Ok(func.import_function(ir::ExtFuncData {
            name: ir::ExternalName::user(name),
            signature,
            colocated: self.module.defined_function(index.as_u32()).is_some(),
        }))
    }

    fn translate_call(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        callee_index: FuncIndex,
        callee: ir::FuncRef,
        call_args: &[ir::Value],
    ) -> WasmResult<ir::Inst> {
        if let Some(position) = self.module.defined_function(callee_index.as_u32()) {
            let args = self.direct_args(builder, call_args);
            let call = builder.ins().call(callee, &args);
            self.emit_returned_to(builder, Some(position));
            return Ok(call);
        }
        let signature = builder.func.dfg.ext_funcs[callee].signature;
        let (code, args) = self.imported_callee(builder, callee_index, call_args);
        Ok(builder.ins().call_indirect(signature, code, &args))
    }

    fn translate_call_indirect(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        table_index: TableIndex,
        sig_index: TypeIndex,
        sig_ref: ir::SigRef,
        callee: ir::Value,
        call_args: &[ir::Value],
    ) -> WasmResult<Option<ir::Inst>> {
        let func_ref = self.indirect_callee(builder, table_index, sig_index, callee);
        let (code, args) = self.call_target(builder, func_ref, call_args);
        let call = builder.ins().call_indirect(sig_ref, code, &args);
        self.emit_returned_to(builder, None);
        Ok(Some(call))
    }

    fn translate_return_call(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        callee_index: FuncIndex,
        callee: ir::FuncRef,
        call_args: &[ir::Value],
    ) -> WasmResult<()> {
        self.check_interruption(builder);
        if self.module.defined_function(callee_index.as_u32()).is_some() {
            let args = self.direct_args(builder, call_args);
            builder.ins().return_call(callee, &args);
            return Ok(());
        }
        let signature = builder.func.dfg.ext_funcs[callee].signature;
        let (code, args) = self.imported_callee(builder, callee_index, call_args);
        builder.ins().return_call_indirect(signature, code, &args);
        Ok(())
    }

    fn translate_return_call_indirect(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        table_index: TableIndex,
        sig_index: TypeIndex,
        sig_ref: ir::SigRef,
        callee: ir::Value,
        call_args: &[ir::Value],
    ) -> WasmResult<()> {
        self.check_interruption(builder);
        let func_ref = self.indirect_callee(builder, table_index, sig_index, callee);
        let (code, args) = self.call_target(builder, func_ref, call_args);
        builder.ins().return_call_indirect(sig_ref, code, &args);
        Ok(())
    }

    fn translate_return_call_ref(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        sig_ref: ir::SigRef,
        callee: ir::Value,
        call_args: &[ir::Value],
    ) -> WasmResult<()> {
        self.check_interruption(builder);
        builder.ins().trapz(callee, ir::TrapCode::NullReference);
        let (code, args) = self.call_target(builder, callee, call_args);
        builder.ins().return_call_indirect(sig_ref, code, &args);
        Ok(())
    }

    fn translate_call_ref(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        sig_ref: ir::SigRef,
        callee: ir::Value,
        call_args: &[ir::Value],
    ) -> WasmResult<ir::Inst> {
        builder.ins().trapz(callee, ir::TrapCode::NullReference);
        let (code, args) = self.call_target(builder, callee, call_args);
        let call = builder.ins().call_indirect(sig_ref, code, &args);
        self.emit_returned_to(builder, None);
        Ok(call)
    }

    fn translate_memory_grow(
        &mut self,
        mut pos: FuncCursor<'_>,
        index: MemoryIndex,
        _heap: Heap,
        val: ir::Value,
    ) -> WasmResult<ir::Value> {
        let delta = Self::widen(&mut pos, val);
        let memory = Self::const32(&mut pos, index.as_u32());
        let old = self.builtin_value(&mut pos, Builtin::memory_grow, &[delta, memory]);
        Ok(self.narrow(&mut pos, index, old))
    }

    fn translate_memory_size(
        &mut self,
        mut pos: FuncCursor<'_>,
        index: MemoryIndex,
        _heap: Heap,
    ) -> WasmResult<ir::Value> {
        let memory = self.module.memories[index.index()];
        let place = self.offsets.memory(self.module, index.as_u32());
        let bytes = if memory.shared {
            let (base, offset) = self.field(pos.func, place, 8);
            let base = pos.ins().global_value(types::I64, base);
            let address = pos.ins().iadd_imm(base, i64::from(offset));
            pos.ins().atomic_load(types::I64, MemFlags::trusted(), address)
        } else {
            self.field_value(&mut pos, place, 8, types::I64, MemFlags::trusted())
        };
        let pages = pos.ins().ushr_imm(bytes, i64::from(memory.page_size_log2));
        Ok(self.narrow(&mut pos, index, pages))
    }

    fn translate_memory_copy(
        &mut self,
        mut pos: FuncCursor<'_>,
        src_index: MemoryIndex,
        _src_heap: Heap,
        dst_index: MemoryIndex,
        _dst_heap: Heap,
        dst: ir::Value,
        src: ir::Value,
        len: ir::Value,
    ) -> WasmResult<()> {
        let dst = Self::widen(&mut pos, dst);
        let src = Self::widen(&mut pos, src);
        let len = Self::widen(&mut pos, len);
        let dst_index = Self::const32(&mut pos, dst_index.as_u32());
        let src_index = Self::const32(&mut pos, src_index.as_u32());
        let args = &[dst_index, dst, src_index, src, len];
        self.builtin_within_bounds(&mut pos, Builtin::memory_copy, args, ir::TrapCode::HeapOutOfBounds);
        Ok(())
    }

    fn translate_memory_fill(
        &mut self,
        mut pos: FuncCursor<'_>,
        index: MemoryIndex,
        _heap: Heap,
        dst: ir::Value,
        val: ir::Value,
        len: ir::Value,
    ) -> WasmResult<()> {
        let dst = Self::widen(&mut pos, dst);
        let len = Self::widen(&mut pos, len);
        let index = Self::const32(&mut pos, index.as_u32());
        let args = &[index, dst, val, len];
        self.builtin_within_bounds(&mut pos, Builtin::memory_fill, args, ir::TrapCode::HeapOutOfBounds);
        Ok(())
    }

    fn translate_memory_init(
        &mut self,
        mut pos: FuncCursor<'_>,
        index: MemoryIndex,
        _heap: Heap,
        seg_index: u32,
        dst: ir::Value,
        src: ir::Value,
        len: ir::Value,
    ) -> WasmResult<()> {
        let dst = Self::widen(&mut pos, dst);
        let index = Self::const32(&mut pos, index.as_u32());
        let segment = Self::const32(&mut pos, seg_index);
        let args = &[index, segment, dst, src, len];
        self.builtin_within_bounds(&mut pos, Builtin::memory_init, args, ir::TrapCode::HeapOutOfBounds);
        Ok(())
    }

    fn translate_data_drop(&mut self, mut pos: FuncCursor<'_>, seg_index: u32) -> WasmResult<()> {
        let segment = Self::const32(&mut pos, seg_index);
        self.builtin(&mut pos, Builtin::data_drop, &[segment]);
        Ok(())
    }

    fn translate_table_size(&mut self, mut pos: FuncCursor<'_>, index: TableIndex) -> WasmResult<ir::Value> {
        let place = self.offsets.table(index.as_u32());
        let ty = if self.module.tables[index.index()].table64 { types::I64 } else { types::I32 };
        Ok(self.field_value(&mut pos, place, 8, ty, MemFlags::trusted()))
    }

    fn translate_table_grow(
        &mut self,
        mut pos: FuncCursor<'_>,
        table_index: TableIndex,
        delta: ir::Value,
        init_value: ir::Value,
    ) -> WasmResult<ir::Value> {
        let table = Self::const32(&mut pos, table_index.as_u32());
        let delta = self.table_index(&mut pos, table_index, delta);
        let old = self.builtin_value(&mut pos, Builtin::table_grow, &[table, delta, init_value]);
        // -1, or a number of elements, which is never that large.
        Ok(if self.module.tables[table_index.index()].table64 { pos.ins().sextend(types::I64, old) } else { old })
    }

    fn translate_table_get(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        table_index: TableIndex,
        index: ir::Value,
    ) -> WasmResult<ir::Value> {
        if self.module.tables[table_index.index()].element.heap.is_extern() {
            let slot = self.reference_element(builder, table_index, index);
            return Ok(self.read_reference(builder, slot));
        }
        let element = self.table_element(builder, table_index, index);
        Ok(builder.ins().load(types::I64, Self::table_flags(), element, 0))
    }

    fn translate_table_set(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        table_index: TableIndex,
        value: ir::Value,
        index: ir::Value,
    ) -> WasmResult<()> {
        if self.module.tables[table_index.index()].element.heap.is_extern() {
            let slot = self.reference_element(builder, table_index, index);
            self.write_reference(builder, slot, value);
            return Ok(());
        }
        let element = self.table_element(builder, table_index, index);
        builder.ins().store(Self::table_flags(), value, element, 0);
        Ok(())
    }

    fn translate_table_copy(
        &mut self,
        mut pos: FuncCursor<'_>,
        dst_table_index: TableIndex,
        src_table_index: TableIndex,
        dst: ir::Value,
        src: ir::Value,
        len: ir::Value,
    ) -> WasmResult<()> {
        let dst_table = Self::const32(&mut pos, dst_table_index.as_u32());
        let src_table = Self::const32(&mut pos, src_table_index.as_u32());
        // The number of elements is as wide as the narrower of the two indices.
        let narrower =
            if self.module.tables[dst_table_index.index()].table64 { src_table_index } else { dst_table_index };
        let len = self.table_index(&mut pos, narrower, len);
        let dst = self.table_index(&mut pos, dst_table_index, dst);
        let src = self.table_index(&mut pos, src_table_index, src);
        let args = &[dst_table, src_table, dst, src, len];
        self.builtin_within_bounds(&mut pos, Builtin::table_copy, args, ir::TrapCode::TableOutOfBounds);
        Ok(())
    }

    fn translate_table_fill(
        &mut self,
        mut pos: FuncCursor<'_>,
        table_index: TableIndex,
        dst: ir::Value,
        val: ir::Value,
        len: ir::Value,
    ) -> WasmResult<()> {
        let table = Self::const32(&mut pos, table_index.as_u32());
        let dst = self.table_index(&mut pos, table_index, dst);
        let len = self.table_index(&mut pos, table_index, len);
        let args = &[table, dst, val, len];
        self.builtin_within_bounds(&mut pos, Builtin::table_fill, args, ir::TrapCode::TableOutOfBounds);
        Ok(())
    }

    fn translate_table_init(
        &mut self,
        mut pos: FuncCursor<'_>,
        seg_index: u32,
        table_index: TableIndex,
        dst: ir::Value,
        src: ir::Value,
        len: ir::Value,
    ) -> WasmResult<()> {
        let table = Self::const32(&mut pos, table_index.as_u32());
        let segment = Self::const32(&mut pos, seg_index);
        let dst = self.table_index(&mut pos, table_index, dst);
        let args = &[table, segment, dst, src, len];
        self.builtin_within_bounds(&mut pos, Builtin::table_init, args, ir::TrapCode::TableOutOfBounds);
        Ok(())
    }

    fn translate_elem_drop(&mut self, mut pos: FuncCursor<'_>, seg_index: u32) -> WasmResult<()> {
        let segment = Self::const32(&mut pos, seg_index);
        self.builtin(&mut pos, Builtin::elem_drop, &[segment]);
        Ok(())
    }

    fn translate_ref_null(&mut self, mut pos: FuncCursor<'_>, _ty: WasmHeapType) -> WasmResult<ir::Value> {
        Ok(pos.ins().iconst(types::I64, 0))
    }

    fn translate_ref_is_null(&mut self, mut pos: FuncCursor<'_>, value: ir::Value) -> WasmResult<ir::Value> {
        let null = pos.ins().icmp_imm(IntCC::Equal, value, 0);
        Ok(pos.ins().uextend(types::I32, null))
    }

    fn translate_ref_func(&mut self, mut pos: FuncCursor<'_>, func_index: FuncIndex) -> WasmResult<ir::Value> {
        let number = self.module.func_refs[func_index.index()].ok_or_else(|| {
            cranelift_wasm::WasmError::User(format!("function {} is not declared for ref.func", func_index.as_u32()))
        })?;
        let vmctx = self.vmctx(pos.func);
        let vmctx = pos.ins().global_value(types::I64, vmctx);
        Ok(pos.ins().iadd_imm(vmctx, i64::from(self.offsets.func_ref(number))))
    }

    fn translate_custom_global_get(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        global_index: GlobalIndex,
    ) -> WasmResult<ir::Value> {
        let slot = self.reference_global(builder, global_index);
        Ok(self.read_reference(builder, slot))
    }

    fn translate_custom_global_set(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        global_index: GlobalIndex,
        val: ir::Value,
    ) -> WasmResult<()> {
        let slot = self.reference_global(builder, global_index);
        self.write_reference(builder, slot, val);
        Ok(())
    }

    fn translate_atomic_wait(
        &mut self,
        mut pos: FuncCursor<'_>,
        index: MemoryIndex,
        _heap: Heap,
        addr: ir::Value,
        expected: ir::Value,
        timeout: ir::Value,
    ) -> WasmResult<ir::Value> {
        let bytes = pos.func.dfg.value_type(expected).bytes();
        let address = Self::widen(&mut pos, addr);
        let expected = Self::widen(&mut pos, expected);
        let memory = Self::const32(&mut pos, index.as_u32());
        let width = Self::const32(&mut pos, bytes);
        Self::trap_if_misaligned(&mut pos, address, bytes);
        let args = &[memory, address, expected, timeout, width];
        let answer = self.builtin_value(&mut pos, Builtin::memory_atomic_wait, args);
        let outside = pos.ins().icmp_imm(IntCC::Equal, answer, i64::from(Builtin::WAIT_OUTSIDE));
        pos.ins().trapnz(outside, ir::TrapCode::HeapOutOfBounds);
        if !self.module.memories[index.index()].shared {
            // Nobody would wake it.
            let always = Self::const32(&mut pos, 1);
            pos.ins().trapnz(always, NOT_SHARED);
        }
        Ok(answer)
    }

    fn translate_atomic_notify(
        &mut self,
        mut pos: FuncCursor<'_>,
        index: MemoryIndex,
        _heap: Heap,
        addr: ir::Value,
        count: ir::Value,
    ) -> WasmResult<ir::Value> {
        let address = Self::widen(&mut pos, addr);
        let memory = Self::const32(&mut pos, index.as_u32());
        Self::trap_if_misaligned(&mut pos, address, 4);
        let woken = self.builtin_value(&mut pos, Builtin::memory_atomic_notify, &[memory, address, count]);
        let outside = pos.ins().icmp_imm(IntCC::SignedLessThan, woken, 0);
        pos.ins().trapnz(outside, ir::TrapCode::HeapOutOfBounds);
        Ok(pos.ins().ireduce(types::I32, woken))
    }

    fn translate_ref_i31(&mut self, mut pos: FuncCursor<'_>, val: ir::Value) -> WasmResult<ir::Value> {
        // As `types::i31_word`.
        let shifted = pos.ins().ishl_imm(val, 1);
        let tagged = pos.ins().bor_imm(shifted, 1);
        Ok(pos.ins().uextend(types::I64, tagged))
    }

    fn translate_i31_get_s(&mut self, mut pos: FuncCursor<'_>, i31ref: ir::Value) -> WasmResult<ir::Value> {
        pos.ins().trapz(i31ref, ir::TrapCode::NullI31Ref);
        let word = pos.ins().ireduce(types::I32, i31ref);
        Ok(pos.ins().sshr_imm(word, 1))
    }

    fn translate_i31_get_u(&mut self, mut pos: FuncCursor<'_>, i31ref: ir::Value) -> WasmResult<ir::Value> {
        pos.ins().trapz(i31ref, ir::TrapCode::NullI31Ref);
        let word = pos.ins().ireduce(types::I32, i31ref);
        Ok(pos.ins().ushr_imm(word, 1))
    }

    fn translate_loop_header(&mut self, builder: &mut FunctionBuilder<'_>) -> WasmResult<()> {
        self.check_interruption(builder);
        self.collect_if_always(builder);
        Ok(())
    }

    fn before_translate_function(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        _state: &FuncTranslationState,
    ) -> WasmResult<()> {
        let limits = self.load_from_context(builder.func, vmoffsets::VMCTX_LIMITS, true);
        let stack_limit = builder.func.create_global_value(ir::GlobalValueData::Load {
            base: limits,
            offset: Offset32::new(vmoffsets::limits::STACK_LIMIT as i32),
            global_type: types::I64,
            flags: MemFlags::trusted(),
        });
        builder.func.stack_limit = Some(stack_limit);
        if let Some(homes) = &mut self.homes {
            let slot = builder.create_sized_stack_slot(ir::StackSlotData::new(
                ir::StackSlotKind::ExplicitSlot,
                homes.size.next_multiple_of(8),
                if homes.size > 16 { 4 } else { 3 },
            ));
            homes.slot = Some(slot);
            let first = self.operators.first().copied().unwrap_or(0);
            builder.set_srcloc(ir::SourceLoc::new(first | ENTRY_BIT | HOME_BIT));
            homes.base = Some(builder.ins().stack_addr(types::I64, slot, 0));
            let vmctx = self.vmctx(builder.func);
            let vmctx = builder.ins().global_value(types::I64, vmctx);
            let mut homes = self.homes.take().unwrap_or_default();
            homes.store(builder, vmctx, 0);
            let locals: Vec<u32> = homes.locals.iter().map(|home| home.0).collect();
            self.homes = Some(homes);
            for local in locals {
                if local < dwarf_transform::OPERAND_STACK_HOME
                    && (local >= dwarf_transform::ENTRY_VALUE_HOME
                        || self.needed.as_ref().is_none_or(|needed| needed.at_entry(local)))
                {
                    self.store_home(builder, local);
                }
            }
            builder.set_srcloc(ir::SourceLoc::new(first));
            if self.opening_stop {
                Self::emit_anchor(builder, first | ENTRY_BIT, first);
            }
        }
        self.check_interruption(builder);
        self.collect_if_always(builder);
        Ok(())
    }

    fn before_translate_operator(
        &mut self,
        op: &Operator<'_>,
        builder: &mut FunctionBuilder<'_>,
        state: &FuncTranslationState,
    ) -> WasmResult<()> {
        if self.homes.is_none() {
            return Ok(());
        }
        let offset = self.operators.get(self.next_operator).copied();
        self.next_operator += 1;
        if let Some(offset) = offset
            && let Some(anchor) = self.due_anchor(offset)
        {
            // A statement is executed where its first operator is that does something. The function's last `end` returns.
            let structural =
                matches!(op, Operator::Block { .. } | Operator::Loop { .. } | Operator::Else | Operator::End)
                    && self.next_operator < self.operators.len();
            if anchor.spot == Spot::BehindEnd {
                self.anchor_behind = Some(anchor);
            } else if anchor.spot == Spot::Before {
                if state.reachable() {
                    Self::emit_anchor(builder, anchor.of, offset);
                }
            } else if !state.reachable() || structural {
                self.pending_anchor = Some(anchor);
            } else {
                self.emit_statement(builder, anchor, offset);
            }
        }
        if matches!(op, Operator::Loop { .. })
            && state.reachable()
            && let (Some(entry), Some(offset)) = (self.entry_of_loop(), offset)
        {
            // Debuggers take the function's first address for its call, and the loop must not come back there.
            Self::emit_anchor(builder, entry | HOME_BIT, offset);
        }
        if let Operator::LocalGet { local_index } = op
            && state.reachable()
            && self.homes_are_writable()
            && let Some(homes) = &self.homes
            && let (Some(slot), Some((home, ty))) = (homes.slot, homes.home(*local_index))
            && !matches!(ty, ValType::Ref(_))
        {
            let value = builder.ins().stack_load(ir_type(ty), slot, home as i32);
            builder.def_var(Variable::new(*local_index as usize), value);
        }
        Ok(())
    }

    fn after_translate_operator(
        &mut self,
        op: &Operator<'_>,
        builder: &mut FunctionBuilder<'_>,
        state: &FuncTranslationState,
    ) -> WasmResult<()> {
        self.guard.note(op);
        let anchor_behind = self.anchor_behind.take();
        if !state.reachable() {
            return Ok(());
        }
        if self.homes.is_none() {
            return Ok(());
        }
        if let Some(anchor) = anchor_behind {
            Self::emit_anchor(builder, anchor.start, anchor.start);
        }
        let number = self.next_operator.wrapping_sub(1);
        if matches!(op, Operator::Loop { .. })
            && let Some(entry) = self.entry_of_loop()
        {
            // A branch leads to here, and what comes next may be stores of the code before.
            let offset = self.operators.get(number).copied().unwrap_or(0);
            Self::emit_anchor(builder, entry, offset);
            self.anchored = Some(entry);
        }
        let assigned = match op {
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => Some(*local_index),
            _ => None,
        };
        let stored = assigned.filter(|_| self.needed.as_ref().is_none_or(|needed| needed.at_operator(number)));
        let is_copied = self.copies.after(number).is_some();
        if stored.is_none() && !is_copied {
            return Ok(());
        }
        let offset = self.operators.get(number).copied().unwrap_or(0);
        // Only stores are made from here on.
        builder.set_srcloc(ir::SourceLoc::new(offset | HOME_BIT));
        if let Some(local) = stored {
            self.store_home(builder, local);
        }
        if is_copied {
            self.copy_stack_entry(op, builder);
        }
        builder.set_srcloc(ir::SourceLoc::new(offset));
        Ok(())
    }

    fn after_translate_function(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        _state: &FuncTranslationState,
    ) -> WasmResult<()> {
        self.guard.apply(builder);
        Ok(())
    }

    fn relaxed_simd_deterministic(&self) -> bool {
        self.tunables.relaxed_simd_deterministic
    }

    fn has_native_fma(&self) -> bool {
        false
    }

    fn is_x86(&self) -> bool {
        matches!(self.tunables.target.architecture, target_lexicon::Architecture::X86_64)
    }
}

/// Does a memory keep its base address whatever it grows to, so that no access needs a bounds check?
pub(crate) fn memory_never_moves(memory: &crate::types::MemoryType, tunables: &Tunables) -> bool {
    !memory.memory64 && memory.page_size_log2 == 16 && tunables.memory_reservation >= 1 << 32
}
