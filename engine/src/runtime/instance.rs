//! Instances: the context that compiled code works on, and what belongs to it.

use super::debug_view::GuestSymbols;
use super::externref::{Doomed, Owner};
use super::memory::{MemoryInstance, SharedMemoryInner};
use super::store::{GlobalInstance, StoreOpaque};
use super::table::TableInstance;
use super::vm::{VMContext, VMFuncRef, VMFunctionImport, VMGlobalDefinition, VMMemoryDefinition, ValRaw};
use super::{builtins, collect};
use crate::api::limits::Wanted;
use crate::api::{Context as _, Error, Module, ResourceLimiter};
use crate::environ::vmoffsets::VMCONTEXT_MAGIC;
use crate::environ::{ConstExpr, ConstOp, DebugInfo, ElementItems, EntityIndex, SegmentMode};
use crate::types::{HeapType, i31_word};
use artifact::{FunctionKind, TrapCode};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Something to import, of the right type and the right store.
#[derive(Clone, Copy, Debug)]
pub enum ImportValue {
    Function(NonNull<VMFuncRef>),
    Table(NonNull<TableInstance>),
    Memory(NonNull<MemoryInstance>),
    Global(NonNull<GlobalInstance>),
}

/// An instance. All index spaces hold imports first.
#[derive(Debug)]
pub struct InstanceData {
    module: Module,
    vmctx: Context,
    memories: Vec<NonNull<MemoryInstance>>,
    tables: Vec<NonNull<TableInstance>>,
    globals: Vec<NonNull<GlobalInstance>>,
    /// For each data segment, whether it has been dropped.
    dropped_data: Vec<bool>,
    /// The items of each passive element segment; empty once it has been dropped.
    elements: Vec<Box<[u64]>>,
    guest_symbols: Option<GuestSymbols>,
}

/// The memory of a `VMContext`.
#[derive(Debug)]
struct Context {
    base: NonNull<VMContext>,
    layout: Layout,
}

impl Context {
    fn new(size: u32) -> Context {
        let layout = Layout::from_size_align(size as usize, 16).expect("the size fits in 32 bits");
        // SAFETY: a context is never empty.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base.cast()) else { handle_alloc_error(layout) };
        Context { base, layout }
    }

    /// The address of the `T` at an offset.
    ///
    /// # Safety
    ///
    /// The layout must have a `T` there.
    unsafe fn at<T>(&self, offset: u32) -> NonNull<T> {
        debug_assert!(offset as usize + size_of::<T>() <= self.layout.size(), "offset lies in the context");
        // SAFETY: inside the allocation.
        unsafe { self.base.byte_add(offset as usize).cast() }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.base.as_ptr().cast(), self.layout) };
    }
}

impl Drop for InstanceData {
    fn drop(&mut self) {
        self.module.debug_view().remove_instance(self.vmctx.base);
    }
}

impl InstanceData {
    /// Makes an instance without running anything of it: neither segments nor the start function.
    ///
    /// `imports` must be as many, of the kinds and types, as the module declares, and of this store.
    pub fn allocate(
        store: &mut StoreOpaque,
        limiter: &mut dyn ResourceLimiter,
        module: &Module,
        imports: &[ImportValue],
    ) -> Result<NonNull<InstanceData>, Error> {
        let env = module.env();
        let own_memories = &env.memories[env.num_imported_memories as usize..];
        let own_tables = &env.tables[env.num_imported_tables as usize..];
        // Everything that can be refused is refused before anything is allocated.
        Wanted { instances: 1, memories: own_memories, tables: own_tables }.check(store, limiter)?;
        store.add_module(module);
        let vmctx = Context::new(module.offsets().size());
        let data = InstanceData {
            module: module.clone(),
            vmctx,
            memories: Vec::with_capacity(env.memories.len()),
            tables: Vec::with_capacity(env.tables.len()),
            globals: Vec::with_capacity(env.globals.len()),
            dropped_data: vec![false; env.data.len()],
            elements: vec![Box::default(); env.elements.len()],
            guest_symbols: None,
        };
        // From here on the store owns it: what fails half-way stays until the store is dropped.
        let mut this = store.add_instance(Box::new(data));
        // SAFETY: the store keeps instances; nothing else refers to this one yet.
        let data = unsafe { this.as_mut() };
        data.fill_header(store, this);
        data.fill_imports(imports);
        data.fill_func_refs(store);
        data.make_globals(store)?;
        data.make_memories(store)?;
        data.make_tables(store)?;
        Ok(this)
    }

    /// Lets debuggers see the instance: its globals, and the names of its addresses if its pointers can be followed.
    pub fn show_to_debuggers(&mut self) -> Result<(), Error> {
        self.module.debug_view().add_instance(self.vmctx.base);
        // SAFETY: memories are of the store, which keeps them.
        let memory = self.memories.first().map(|memory| unsafe { memory.as_ref() });
        let engine = self.module.engine();
        let owns_addresses = match memory.and_then(MemoryInstance::identity_map) {
            Some(map) => map.is_ours(),
            None => engine.tunables().debug_info != DebugInfo::None && !engine.wants_identity_map(),
        };
        if owns_addresses {
            let shown = GuestSymbols::show(self.module.code());
            self.guest_symbols = shown.context("the names of the module's addresses cannot be shown to debuggers")?;
        }
        Ok(())
    }

    fn fill_header(&mut self, store: &mut StoreOpaque, this: NonNull<InstanceData>) {
        let header = VMContext {
            magic: VMCONTEXT_MAGIC,
            reserved: 0,
            limits: store.limits_ptr(),
            builtins: builtins::table(),
            activations: store.activations.vm(),
            store,
            instance: this.as_ptr(),
            type_ids: self.module.type_ids().as_ptr(),
            reserved2: 0,
        };
        // SAFETY: the header of a fresh context.
        unsafe { self.vmctx.base.write(header) };
    }

    fn fill_imports(&mut self, imports: &[ImportValue]) {
        let offsets = *self.module.offsets();
        let mut functions = 0;
        for import in imports {
            // SAFETY: the layout has these slots for as many imports of each kind as the module has; the caller's values
            // are of this store, which keeps them.
            unsafe {
                match *import {
                    ImportValue::Function(func_ref) => {
                        let func = func_ref.read();
                        debug_assert!(!func.wasm_call.is_null(), "the module brings a trampoline for its imports");
                        let slot = VMFunctionImport { wasm_call: func.wasm_call, vmctx: func.vmctx };
                        self.vmctx.at(offsets.imported_function(functions)).write(slot);
                        let env = self.module.env();
                        if let Some(number) = env.func_refs.get(functions as usize).copied().flatten() {
                            self.vmctx.at(offsets.func_ref(number)).write(func);
                        }
                        functions += 1;
                    }
                    ImportValue::Table(table) => {
                        let slot = self.vmctx.at(offsets.imported_table(self.tables.len() as u32));
                        slot.write(table.as_ref().definition());
                        self.tables.push(table);
                    }
                    ImportValue::Memory(memory) => {
                        let slot = self.vmctx.at(offsets.imported_memory(self.memories.len() as u32));
                        slot.write(memory.as_ref().definition());
                        self.memories.push(memory);
                    }
                    ImportValue::Global(global) => {
                        let slot = self.vmctx.at(offsets.imported_global(self.globals.len() as u32));
                        slot.write(global.as_ref().definition);
                        self.globals.push(global);
                    }
                }
            }
        }
    }

    /// The function references of the module's own functions.
    fn fill_func_refs(&mut self, store: &StoreOpaque) {
        let env = self.module.env();
        for (index, number) in env.func_refs.iter().enumerate() {
            let (Some(number), index) = (*number, index as u32) else { continue };
            if env.defined_function(index).is_some() {
                let func_ref = self.own_func_ref(store, index);
                // SAFETY: the layout has this slot.
                unsafe { self.vmctx.at(self.module.offsets().func_ref(number)).write(func_ref) };
            }
        }
    }

    /// A function reference of one of the module's own functions.
    fn own_func_ref(&self, store: &StoreOpaque, index: u32) -> VMFuncRef {
        let type_id = self.module.func_type_id(index);
        VMFuncRef {
            wasm_call: self.module.code().function(FunctionKind::Guest(index)).unwrap_or(std::ptr::null()),
            vmctx: self.vmctx.base.as_ptr().cast(),
            array_to_wasm: store.array_to_wasm(type_id),
            type_id,
            reserved: 0,
        }
    }

    fn make_globals(&mut self, store: &mut StoreOpaque) -> Result<(), Error> {
        let module = self.module.clone();
        let env = module.env();
        for (number, init) in env.global_inits.iter().enumerate() {
            let ty = module.global_type(env.num_imported_globals + number as u32);
            let value = self.evaluate(init)?;
            // SAFETY: the layout has this slot.
            let definition: NonNull<VMGlobalDefinition> =
                unsafe { self.vmctx.at(module.offsets().defined_global(number as u32)) };
            // SAFETY: the context lives as long as the store; the validator has checked the value's type.
            let global = unsafe { GlobalInstance::new(ty, value, store.activations.owner(), Some(definition)) };
            self.globals.push(store.add_global(global));
        }
        Ok(())
    }

    fn make_memories(&mut self, store: &mut StoreOpaque) -> Result<(), Error> {
        let module = self.module.clone();
        let env = module.env();
        for (number, &ty) in env.memories[env.num_imported_memories as usize..].iter().enumerate() {
            let number = number as u32;
            // SAFETY: the layout has these slots.
            let (definition, pointer) = unsafe {
                (
                    self.vmctx.at::<VMMemoryDefinition>(module.offsets().defined_memory(number)),
                    self.vmctx.at(module.offsets().defined_memory_pointer(number)),
                )
            };
            let memory = if ty.shared {
                let identity = store.memories().is_empty() && store.engine().wants_identity_map();
                MemoryInstance::shared(SharedMemoryInner::new(ty, store.engine().tunables(), identity)?)
            } else {
                let memory = store.allocate_memory(ty)?;
                // SAFETY: the context lives as long as the store, and so does the memory.
                unsafe { MemoryInstance::new(memory, Some(definition)) }
            };
            // SAFETY: the layout has this slot.
            unsafe { pointer.write(memory.definition()) };
            self.memories.push(store.add_memory(memory));
        }
        Ok(())
    }

    fn make_tables(&mut self, store: &mut StoreOpaque) -> Result<(), Error> {
        let module = self.module.clone();
        let env = module.env();
        for (number, init) in env.table_inits.iter().enumerate() {
            let ty = module.table_type(env.num_imported_tables + number as u32);
            // SAFETY: an element is a pointer in the low half of the slot.
            let init = unsafe { self.evaluate(init)?.f64 };
            // SAFETY: the layout has this slot; the context lives as long as the store, and so does the table. The validator
            // has checked the types.
            let table = unsafe {
                let definition = self.vmctx.at(module.offsets().defined_table(number as u32));
                TableInstance::new(ty, init, store.activations.owner(), Some(definition))?
            };
            self.tables.push(store.add_table(table));
        }
        Ok(())
    }

    /// Applies the active segments and keeps the passive ones. A trap leaves what was written before.
    ///
    /// # Safety
    ///
    /// `this` must be an instance of a store that nobody else uses at this time.
    pub unsafe fn apply_segments(this: NonNull<InstanceData>) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        let data = unsafe { &mut *this.as_ptr() };
        let module = data.module.clone();
        for (number, segment) in module.env().elements.iter().enumerate() {
            if matches!(segment.mode, SegmentMode::Declared) {
                continue;
            }
            let items = match &segment.items {
                ElementItems::Functions(functions) => {
                    functions.iter().map(|&index| data.func_ref_word(index)).collect::<Result<Vec<u64>, Error>>()?
                }
                ElementItems::Expressions(items) => {
                    // SAFETY: a reference is a pointer in the low half of the slot.
                    let word = |item| data.evaluate(item).map(|raw| unsafe { raw.f64 });
                    items.iter().map(word).collect::<Result<Vec<u64>, Error>>()?
                }
            };
            match &segment.mode {
                SegmentMode::Active { index, offset } => {
                    let raw = data.evaluate(offset)?;
                    // SAFETY: tables live as long as the store, which nobody else uses.
                    let table = unsafe { &mut *data.table(*index)?.as_ptr() };
                    // SAFETY: the offset's type is that of the table's indices.
                    let offset = unsafe { if table.ty().table64 { raw.f64 } else { u64::from(raw.f32) } };
                    let doomed = table.init(offset, &items, 0, items.len() as u64)?;
                    // SAFETY: nobody else uses the store.
                    unsafe { collect::let_go(data.store(), doomed) };
                }
                _ => data.keep_elements(number, items.into()),
            }
        }
        for (number, segment) in module.env().data.iter().enumerate() {
            if let SegmentMode::Active { index, offset } = &segment.mode {
                let raw = data.evaluate(offset)?;
                let memory = data.memory(*index)?;
                // SAFETY: memories live as long as the store; the offset's type is that of the memory's addresses.
                let offset = unsafe { if memory.as_ref().ty().memory64 { raw.f64 } else { u64::from(raw.f32) } };
                let bytes = module.data(segment);
                data.write_memory(*index, offset, bytes)?;
                data.dropped_data[number] = true;
            }
        }
        Ok(())
    }

    /// Evaluates a constant expression.
    fn evaluate(&self, expr: &ConstExpr) -> Result<ValRaw, Error> {
        let mut stack: Vec<ValRaw> = Vec::with_capacity(2);
        let malformed = || Error::msg("malformed constant expression");
        let raw = |bits: u128| ValRaw { v128: bits };
        for op in &expr.ops {
            let value = match *op {
                ConstOp::I32Const(value) => raw(u128::from(value as u32)),
                ConstOp::I64Const(value) => raw(u128::from(value as u64)),
                ConstOp::F32Const(bits) => raw(u128::from(bits)),
                ConstOp::F64Const(bits) => raw(u128::from(bits)),
                ConstOp::V128Const(bits) => raw(bits),
                ConstOp::RefNull => raw(0),
                ConstOp::RefFunc(index) => raw(u128::from(self.func_ref_word(index)?)),
                ConstOp::RefI31 => {
                    // SAFETY: validation says that this is of type i32.
                    let value = unsafe { stack.pop().ok_or_else(malformed)?.i32 };
                    raw(u128::from(i31_word(value)))
                }
                ConstOp::GlobalGet(index) => {
                    let global = self.globals.get(index as usize).ok_or_else(malformed)?;
                    // SAFETY: globals live as long as the store.
                    unsafe { global.as_ref() }.get()
                }
                ConstOp::I32Add | ConstOp::I32Sub | ConstOp::I32Mul => {
                    let (b, a) = (stack.pop().ok_or_else(malformed)?, stack.pop().ok_or_else(malformed)?);
                    // SAFETY: validation says that these are of type i32; any bits are an i32.
                    let (a, b) = unsafe { (a.f32, b.f32) };
                    raw(u128::from(match *op {
                        ConstOp::I32Add => a.wrapping_add(b),
                        ConstOp::I32Sub => a.wrapping_sub(b),
                        _ => a.wrapping_mul(b),
                    }))
                }
                ConstOp::I64Add | ConstOp::I64Sub | ConstOp::I64Mul => {
                    let (b, a) = (stack.pop().ok_or_else(malformed)?, stack.pop().ok_or_else(malformed)?);
                    // SAFETY: validation says that these are of type i64; any bits are an i64.
                    let (a, b) = unsafe { (a.f64, b.f64) };
                    raw(u128::from(match *op {
                        ConstOp::I64Add => a.wrapping_add(b),
                        ConstOp::I64Sub => a.wrapping_sub(b),
                        _ => a.wrapping_mul(b),
                    }))
                }
            };
            stack.push(value);
        }
        match stack.as_slice() {
            // Nothing is said about the first elements of a table: null.
            [] if expr.ops.is_empty() => Ok(ValRaw::ZERO),
            [value] => Ok(*value),
            _ => Err(malformed()),
        }
    }

    /// The function reference of a function that references can be taken of, as a table holds it.
    fn func_ref_word(&self, index: u32) -> Result<u64, Error> {
        let func_ref =
            self.func_ref(index).ok_or_else(|| Error::msg(format!("function {index} has no function reference")))?;
        Ok(func_ref.as_ptr() as u64)
    }

    /// The function reference of a function that references can be taken of.
    pub fn func_ref(&self, index: u32) -> Option<NonNull<VMFuncRef>> {
        let number = self.module.env().func_refs.get(index as usize).copied().flatten()?;
        // SAFETY: the layout has this slot.
        Some(unsafe { self.vmctx.at(self.module.offsets().func_ref(number)) })
    }

    /// The function reference of any function; makes one if the context has none.
    ///
    /// # Safety
    ///
    /// `this` must be an instance of `store`.
    pub unsafe fn any_func_ref(this: NonNull<InstanceData>, store: &mut StoreOpaque, index: u32) -> NonNull<VMFuncRef> {
        // SAFETY: the store keeps instances.
        let data = unsafe { this.as_ref() };
        if let Some(func_ref) = data.func_ref(index) {
            return func_ref;
        }
        let func_ref = if data.module.env().defined_function(index).is_some() {
            data.own_func_ref(store, index)
        } else {
            // SAFETY: the layout has this slot, which `fill_imports` has filled.
            let import: VMFunctionImport =
                unsafe { data.vmctx.at(data.module.offsets().imported_function(index)).read() };
            let type_id = data.module.func_type_id(index);
            // SAFETY: both kinds of context start with a magic number.
            let magic = unsafe { import.vmctx.cast::<u32>().read() };
            VMFuncRef {
                wasm_call: import.wasm_call,
                vmctx: import.vmctx,
                array_to_wasm: if magic == VMCONTEXT_MAGIC { store.array_to_wasm(type_id) } else { std::ptr::null() },
                type_id,
                reserved: 0,
            }
        };
        store.add_func_ref(func_ref)
    }

    pub fn module(&self) -> &Module {
        &self.module
    }

    pub fn vmctx(&self) -> NonNull<VMContext> {
        self.vmctx.base
    }

    pub fn memory(&self, index: u32) -> Result<NonNull<MemoryInstance>, Error> {
        self.memories.get(index as usize).copied().ok_or_else(|| Error::msg(format!("no memory {index}")))
    }

    pub fn table(&self, index: u32) -> Result<NonNull<TableInstance>, Error> {
        self.tables.get(index as usize).copied().ok_or_else(|| Error::msg(format!("no table {index}")))
    }

    pub fn global(&self, index: u32) -> Result<NonNull<GlobalInstance>, Error> {
        self.globals.get(index as usize).copied().ok_or_else(|| Error::msg(format!("no global {index}")))
    }

    /// What an export stands for.
    ///
    /// # Safety
    ///
    /// `this` must be an instance of `store`.
    pub unsafe fn entity(
        this: NonNull<InstanceData>,
        store: &mut StoreOpaque,
        entity: EntityIndex,
    ) -> Result<ImportValue, Error> {
        // SAFETY: the store keeps instances.
        let data = unsafe { this.as_ref() };
        Ok(match entity {
            EntityIndex::Function(index) => {
                // SAFETY: the caller's promise.
                ImportValue::Function(unsafe { InstanceData::any_func_ref(this, store, index) })
            }
            EntityIndex::Table(index) => ImportValue::Table(data.table(index)?),
            EntityIndex::Memory(index) => ImportValue::Memory(data.memory(index)?),
            EntityIndex::Global(index) => ImportValue::Global(data.global(index)?),
        })
    }

    /// The address of `len` bytes of a memory.
    pub fn memory_range(&self, index: u32, start: u64, len: u64) -> Result<*mut u8, Error> {
        // SAFETY: memories live as long as the store.
        let memory = unsafe { self.memory(index)?.as_ref() };
        match start.checked_add(len) {
            Some(end) if end <= memory.len() as u64 => Ok(memory.base().wrapping_add(start as usize)),
            _ => Err(Error::new(TrapCode::MemoryOutOfBounds)),
        }
    }

    fn write_memory(&self, index: u32, start: u64, bytes: &[u8]) -> Result<(), Error> {
        let to = self.memory_range(index, start, bytes.len() as u64)?;
        // SAFETY: the range is accessible, and the module's bytes do not lie in a memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// `memory.init`.
    pub fn init_memory(&self, memory: u32, segment: u32, to: u64, from: u32, len: u32) -> Result<(), Error> {
        let env = self.module.env();
        let segment_bytes = match env.data.get(segment as usize) {
            Some(declared) if !self.dropped_data[segment as usize] => self.module.data(declared),
            _ => &[],
        };
        let bytes = segment_bytes
            .get(from as usize..)
            .and_then(|rest| rest.get(..len as usize))
            .ok_or_else(|| Error::new(TrapCode::MemoryOutOfBounds))?;
        self.write_memory(memory, to, bytes)
    }

    /// `data.drop`.
    pub fn drop_data(&mut self, segment: u32) {
        if let Some(dropped) = self.dropped_data.get_mut(segment as usize) {
            *dropped = true;
        }
    }

    /// The items of an element segment.
    pub fn element_items(&self, segment: u32) -> &[u64] {
        self.elements.get(segment as usize).map_or(&[], |items| items)
    }

    /// Keeps the items of a passive segment, with a reference of each host value.
    fn keep_elements(&mut self, number: usize, items: Box<[u64]>) {
        if self.has_counted_elements(number) {
            for raw in items.iter().filter_map(|&item| NonNull::new(item as *mut u8)) {
                // SAFETY: the items come from globals, which keep the values alive.
                unsafe { self.owner().acquire(raw) };
            }
        }
        self.elements[number] = items;
    }

    /// `elem.drop`; what it gives up is to be dropped by the caller.
    pub fn drop_elements(&mut self, segment: u32) -> Vec<Doomed> {
        let Some(items) = self.elements.get_mut(segment as usize) else { return Vec::new() };
        let items = std::mem::take(items);
        if !self.has_counted_elements(segment as usize) {
            return Vec::new();
        }
        let owner = self.owner();
        let raws = items.iter().filter_map(|&item| NonNull::new(item as *mut u8));
        // SAFETY: the segment had a reference of each.
        raws.filter_map(|raw| unsafe { owner.release(raw) }).collect()
    }

    /// `elem.drop` of all segments.
    pub fn drop_all_elements(&mut self) -> Vec<Doomed> {
        (0..self.elements.len() as u32).flat_map(|segment| self.drop_elements(segment)).collect()
    }

    fn has_counted_elements(&self, segment: usize) -> bool {
        self.module.env().elements[segment].ty.heap == HeapType::Extern
    }

    /// The store, as the owner of counts.
    fn owner(&self) -> Owner {
        // SAFETY: the context's header is filled; the address is that of the store's activations.
        Owner(unsafe { (*self.vmctx.base.as_ptr()).activations } as usize)
    }

    fn store(&self) -> *mut StoreOpaque {
        // SAFETY: the context's header is filled.
        unsafe { (*self.vmctx.base.as_ptr()).store }
    }
}
