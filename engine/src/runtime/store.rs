//! What a store owns.

use super::entry;
use super::externref::{Activations, VMExternRef};
use super::host_func::{HostFunc, HostFuncDef};
use super::instance::InstanceData;
use super::memory::{LinearMemory, MemoryInstance, SharedMemoryInner};
use super::table::TableInstance;
use super::vm::{ArrayToWasm, VMFuncRef, VMGlobalDefinition, VMRuntimeLimits, ValRaw};
use crate::api::{Engine, Error, ExternRef, Func, Module, ResourceLimiter, V128, Val};
use crate::types::{FuncType, GlobalType, MemoryType, ValType};
use artifact::FunctionKind;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells stores apart, so that handles are not used with the wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(NonZeroU64);

impl StoreId {
    fn next() -> StoreId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        StoreId(NonZeroU64::new(number).expect("2^64 stores are never made"))
    }
}

/// Code between the two calling conventions, for one type.
#[derive(Clone, Copy, Debug)]
struct Trampolines {
    array_to_wasm: *const u8,
    wasm_to_array: *const u8,
}

/// A global.
#[derive(Debug)]
pub struct GlobalInstance {
    /// In terms of the engine's type numbers.
    pub ty: GlobalType,
    /// In a `VMContext`, or `own`.
    pub definition: NonNull<VMGlobalDefinition>,
    _own: Option<Box<VMGlobalDefinition>>,
}

impl GlobalInstance {
    /// A global whose value compiled code reads at `definition`; without it the global has its own.
    pub fn new(ty: GlobalType, definition: Option<NonNull<VMGlobalDefinition>>) -> GlobalInstance {
        let mut own = None;
        let definition =
            definition.unwrap_or_else(|| NonNull::from(&mut **own.insert(Box::new(VMGlobalDefinition([0; 16])))));
        GlobalInstance { ty, definition, _own: own }
    }

    pub fn get(&self) -> ValRaw {
        // SAFETY: the definition lives as long as the store; no reference to one is ever kept.
        unsafe { self.definition.cast().read() }
    }

    pub fn set(&self, value: ValRaw) {
        // SAFETY: as above; compiled code does not run meanwhile.
        unsafe { self.definition.cast().write(value) }
    }
}

/// Leads from a store to its limiter, which lies with the embedder's data.
pub type AskLimiter = unsafe fn(*mut StoreOpaque, &mut dyn FnMut(&mut dyn ResourceLimiter));

/// A store without the embedder's data. Everything in it stays until it is dropped, so that pointers into it (in
/// contexts, function references, handles) are valid as long as it is.
#[allow(clippy::vec_box, reason = "compiled code and handles hold pointers to the items, which must not move")]
pub struct StoreOpaque {
    id: StoreId,
    engine: Engine,
    limits: Arc<VMRuntimeLimits>,
    /// The engine's setting, at hand for each call.
    max_wasm_stack: usize,
    pub activations: Activations,
    ask_limiter: AskLimiter,
    modules: Vec<Module>,
    trampolines: HashMap<u32, Trampolines>,
    /// Host functions whose type no module of this store has yet.
    without_trampoline: Vec<NonNull<VMFuncRef>>,
    instances: Vec<Box<InstanceData>>,
    memories: Vec<Box<MemoryInstance>>,
    tables: Vec<Box<TableInstance>>,
    globals: Vec<Box<GlobalInstance>>,
    host_funcs: Vec<Box<HostFunc>>,
    /// The functions of host function definitions that several stores may use.
    known_host_funcs: HashMap<*const HostFuncDef, NonNull<VMFuncRef>>,
    func_refs: Vec<Box<VMFuncRef>>,
    /// Function types by their numbers in the engine, as far as they were needed; each stays where it is.
    types: Vec<Option<Box<FuncType>>>,
    /// Room for the values of one call after the other.
    spare_raw: Vec<ValRaw>,
    spare_values: Vec<Val>,
    /// Collect when the activations table holds as many values.
    collect_at: usize,
}

// SAFETY: the raw pointers lead to what the store itself owns (with the modules that it keeps), nothing of which is bound
// to a thread. A store whose guest runs is borrowed and cannot move.
unsafe impl Send for StoreOpaque {}
// SAFETY: a shared store gives read access only.
unsafe impl Sync for StoreOpaque {}

const FIRST_COLLECTION: usize = 1 << 12;

impl StoreOpaque {
    pub fn new(engine: &Engine, ask_limiter: AskLimiter) -> StoreOpaque {
        StoreOpaque {
            id: StoreId::next(),
            engine: engine.clone(),
            limits: Arc::default(),
            max_wasm_stack: engine.config().max_wasm_stack,
            activations: Activations::new(),
            ask_limiter,
            modules: Vec::new(),
            trampolines: HashMap::new(),
            without_trampoline: Vec::new(),
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            host_funcs: Vec::new(),
            known_host_funcs: HashMap::new(),
            func_refs: Vec::new(),
            types: Vec::new(),
            spare_raw: Vec::new(),
            spare_values: Vec::new(),
            collect_at: FIRST_COLLECTION,
        }
    }

    pub fn id(&self) -> StoreId {
        self.id
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn limits_ptr(&self) -> *const VMRuntimeLimits {
        Arc::as_ptr(&self.limits)
    }

    pub fn limits(&self) -> &Arc<VMRuntimeLimits> {
        &self.limits
    }

    /// The type with a number, which stays where it is as long as the store lives.
    #[inline]
    pub fn func_type(&mut self, number: u32) -> NonNull<FuncType> {
        match self.types.get(number as usize) {
            Some(Some(ty)) => NonNull::from(&**ty),
            _ => self.learn_type(number),
        }
    }

    #[cold]
    fn learn_type(&mut self, number: u32) -> NonNull<FuncType> {
        let index = number as usize;
        if self.types.len() <= index {
            self.types.resize_with(index + 1, || None);
        }
        let ty = self.engine.types().get(number).expect("the types of functions are registered");
        NonNull::from(&**self.types[index].insert(Box::new(ty)))
    }

    /// Room for `len` zeroed slots; to be given back with [`Self::give_back_raw`].
    #[inline]
    pub fn take_raw(&mut self, len: usize) -> Vec<ValRaw> {
        let mut values = std::mem::take(&mut self.spare_raw);
        values.clear();
        values.resize(len, ValRaw::ZERO);
        values
    }

    #[inline]
    pub fn give_back_raw(&mut self, values: Vec<ValRaw>) {
        self.spare_raw = values;
    }

    /// Room for values, empty; to be given back with [`Self::give_back_values`].
    #[inline]
    pub fn take_values(&mut self) -> Vec<Val> {
        std::mem::take(&mut self.spare_values)
    }

    #[inline]
    pub fn give_back_values(&mut self, mut values: Vec<Val>) {
        values.clear();
        self.spare_values = values;
    }

    pub fn max_wasm_stack(&self) -> usize {
        self.max_wasm_stack
    }

    pub fn set_max_wasm_stack(&mut self, bytes: usize) {
        self.max_wasm_stack = bytes;
    }

    /// Lets the limiter of the store at `this` answer.
    ///
    /// # Safety
    ///
    /// `this` must be what compiled code knows as its store, and the guest that runs must wait for this call.
    pub unsafe fn ask_limiter<R>(this: *mut StoreOpaque, ask: impl FnOnce(&mut dyn ResourceLimiter) -> R) -> R {
        let (mut ask, mut answer) = (Some(ask), None);
        // SAFETY: the caller's promise.
        unsafe {
            ((*this).ask_limiter)(this, &mut |limiter| answer = ask.take().map(|ask| ask(limiter)));
        }
        answer.expect("the limiter is there and is asked once")
    }

    pub fn wants_backtraces(&self) -> bool {
        self.engine.config().wasm_backtrace
    }

    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    pub fn instances(&self) -> &[Box<InstanceData>] {
        &self.instances
    }

    pub fn num_tables(&self) -> usize {
        self.tables.len()
    }

    pub fn memories(&self) -> &[Box<MemoryInstance>] {
        &self.memories
    }

    /// Keeps a module's code and learns its trampolines.
    pub fn add_module(&mut self, module: &Module) {
        if self.modules.iter().any(|known| Module::same(known, module)) {
            return;
        }
        self.modules.push(module.clone());
        let code = module.code();
        for (index, &type_id) in module.env().trampoline_types().into_iter().zip(module.type_ids()) {
            if let (Some(array_to_wasm), Some(wasm_to_array)) =
                (code.function(FunctionKind::ArrayToWasm(index)), code.function(FunctionKind::WasmToArray(index)))
            {
                self.trampolines.entry(type_id).or_insert(Trampolines { array_to_wasm, wasm_to_array });
            }
        }
        let trampolines = &self.trampolines;
        self.without_trampoline.retain(|func_ref| {
            // SAFETY: the function references of host functions live as long as the store; nobody borrows them now.
            let func_ref = unsafe { &mut *func_ref.as_ptr() };
            match trampolines.get(&func_ref.type_id) {
                Some(found) => {
                    func_ref.wasm_call = found.wasm_to_array;
                    false
                }
                None => true,
            }
        });
    }

    /// The trampoline into guest functions of a type that a module of this store has.
    pub fn array_to_wasm(&self, type_id: u32) -> *const u8 {
        self.trampolines.get(&type_id).map_or(std::ptr::null(), |found| found.array_to_wasm)
    }

    /// Makes the function of a host function definition, or finds it if `shared` and made before.
    pub fn add_host_func(&mut self, def: &Arc<HostFuncDef>, shared: bool) -> Func {
        if let Some(&known) = self.known_host_funcs.get(&Arc::as_ptr(def)) {
            return Func::from_raw(self.id, known);
        }
        let wasm_call = self.trampolines.get(&def.type_id()).map_or(std::ptr::null(), |found| found.wasm_to_array);
        let mut func = HostFunc::new(Arc::clone(def), wasm_call);
        let func_ref = func.func_ref();
        if wasm_call.is_null() {
            self.without_trampoline.push(func_ref);
        }
        self.host_funcs.push(func);
        if shared {
            self.known_host_funcs.insert(Arc::as_ptr(def), func_ref);
        }
        Func::from_raw(self.id, func_ref)
    }

    /// A function reference outside any context.
    pub fn add_func_ref(&mut self, func_ref: VMFuncRef) -> NonNull<VMFuncRef> {
        let mut func_ref = Box::new(func_ref);
        let pointer = NonNull::from(&mut *func_ref);
        self.func_refs.push(func_ref);
        pointer
    }

    pub fn add_instance(&mut self, instance: Box<InstanceData>) -> NonNull<InstanceData> {
        self.instances.push(instance);
        NonNull::from(&mut **self.instances.last_mut().expect("just pushed"))
    }

    pub fn add_memory(&mut self, memory: MemoryInstance) -> NonNull<MemoryInstance> {
        self.memories.push(Box::new(memory));
        NonNull::from(&mut **self.memories.last_mut().expect("just pushed"))
    }

    pub fn add_table(&mut self, table: TableInstance) -> NonNull<TableInstance> {
        self.tables.push(Box::new(table));
        NonNull::from(&mut **self.tables.last_mut().expect("just pushed"))
    }

    pub fn add_global(&mut self, global: GlobalInstance) -> NonNull<GlobalInstance> {
        self.globals.push(Box::new(global));
        NonNull::from(&mut **self.globals.last_mut().expect("just pushed"))
    }

    /// Makes the bytes of a memory that is going to be this store's.
    pub fn allocate_memory(&self, ty: MemoryType) -> Result<LinearMemory, Error> {
        // The first memory of the store; an instance's memories are made in order.
        let identity = self.memories.is_empty() && self.engine.wants_identity_map();
        Ok(LinearMemory::new(ty, self.engine.tunables(), identity)?)
    }

    /// This store's view of a shared memory.
    pub fn add_shared_memory(&mut self, memory: &Arc<SharedMemoryInner>) -> NonNull<MemoryInstance> {
        let known = self.memories.iter_mut().find(|known| known.as_shared().is_some_and(|m| Arc::ptr_eq(m, memory)));
        match known {
            Some(known) => NonNull::from(&mut **known),
            None => self.add_memory(MemoryInstance::shared(Arc::clone(memory))),
        }
    }

    /// Calls a function with arguments and results in `values`.
    ///
    /// # Safety
    ///
    /// `func_ref` must be of this store; `values` must have a slot for each parameter, which must be of the right types,
    /// and for each result. References in it must be of this store.
    #[inline]
    pub unsafe fn call_raw(
        this: *mut StoreOpaque,
        func_ref: NonNull<VMFuncRef>,
        values: *mut ValRaw,
    ) -> Result<(), Error> {
        // SAFETY: function references live as long as their store.
        let func = unsafe { func_ref.read() };
        if func.array_to_wasm.is_null() {
            // SAFETY: without a trampoline it is a host function, whose context is that of a `HostFunc`.
            return unsafe { HostFunc::call_from_host(func.vmctx.cast(), this, values) };
        }
        // SAFETY: the artifact's trampolines have this signature.
        let trampoline: ArrayToWasm = unsafe { std::mem::transmute(func.array_to_wasm) };
        // SAFETY: the caller's promise, and the function reference's parts belong together.
        unsafe { entry::enter(this, trampoline, func.vmctx, func.wasm_call, values) }
    }

    /// A value for the guest. The caller has checked its type.
    pub fn raw_of(&mut self, value: &Val) -> Result<ValRaw, Error> {
        let mut raw = ValRaw::ZERO;
        match value {
            Val::I32(value) => raw.i32 = *value,
            Val::I64(value) => raw.i64 = *value,
            Val::F32(bits) => raw.f32 = *bits,
            Val::F64(bits) => raw.f64 = *bits,
            Val::V128(V128(value)) => raw.v128 = *value,
            Val::FuncRef(None) => raw.func_ref = None,
            Val::FuncRef(Some(func)) => {
                raw.func_ref = Some(func.raw(self.id).ok_or_else(|| Error::msg("function of another store"))?);
            }
            Val::ExternRef(None) => raw.extern_ref = None,
            Val::ExternRef(Some(value)) => raw.extern_ref = Some(self.expose(value.0.clone())),
        }
        Ok(raw)
    }

    /// A value from the guest.
    ///
    /// # Safety
    ///
    /// `raw` must hold a value of type `ty` that the guest of this store produced.
    pub unsafe fn val_of(&self, raw: ValRaw, ty: ValType) -> Val {
        // SAFETY: the caller's promise.
        unsafe {
            match ty {
                ValType::I32 => Val::I32(raw.i32),
                ValType::I64 => Val::I64(raw.i64),
                ValType::F32 => Val::F32(raw.f32),
                ValType::F64 => Val::F64(raw.f64),
                ValType::V128 => Val::V128(V128(raw.v128)),
                ValType::Ref(ty) if ty.heap.is_extern() => Val::ExternRef(self.extern_ref_of(raw)),
                ValType::Ref(_) => Val::FuncRef(raw.func_ref.map(|func_ref| Func::from_raw(self.id, func_ref))),
            }
        }
    }

    /// A reference to a host value from the guest.
    ///
    /// # Safety
    ///
    /// `raw` must hold an `externref` that the guest of this store produced.
    pub unsafe fn extern_ref_of(&self, raw: ValRaw) -> Option<ExternRef> {
        // SAFETY: the caller's promise; the guest's references are kept alive by the activations table.
        unsafe { raw.extern_ref.map(|raw| ExternRef(VMExternRef::clone_from_raw(raw))) }
    }

    /// Passes a reference into the guest.
    pub fn expose(&mut self, reference: VMExternRef) -> NonNull<u8> {
        let raw = self.activations.insert(reference);
        // Outside the guest, references that were exposed just before may be in no place that a collection looks at.
        if self.activations.len() >= self.collect_at && !entry::current().is_null() {
            self.collect_except(Some(raw));
        }
        raw
    }

    /// Collects if the time has come. To be called before references are exposed for a call into the guest.
    #[inline]
    pub fn collect_if_due(&mut self) {
        if self.activations.len() >= self.collect_at {
            self.collect();
        }
    }

    /// Lets go of the host values that the guest no longer refers to.
    pub fn collect(&mut self) {
        self.collect_except(None);
    }

    /// As [`Self::collect`], but keeps a value that is on its way into the guest.
    fn collect_except(&mut self, keep: Option<NonNull<u8>>) {
        let mut live = std::collections::HashSet::new();
        live.extend(keep.map(|raw| raw.as_ptr() as usize));
        for global in self.globals.iter().filter(|global| global.ty.content.is_extern_ref()) {
            // SAFETY: a global of this type holds a pointer.
            live.extend(unsafe { global.get().extern_ref }.map(|raw| raw.as_ptr() as usize));
        }
        for table in self.tables.iter().filter(|table| table.ty().element.heap.is_extern()) {
            live.extend(table.elements().iter().map(|&element| element as usize));
        }
        super::conservative_stack_scan(|word| {
            if let Some(raw) = NonNull::new(word as *mut u8)
                && self.activations.contains(raw)
            {
                live.insert(word);
            }
        });
        // SAFETY: tables, globals and the stack are all places in which the guest keeps references; element segments of
        // references to host values are null. What a debugger holds does not count.
        let dead = unsafe { self.activations.retain(|raw| live.contains(&(raw.as_ptr() as usize))) };
        // Half of the next round's work is new values, so that collections cost a constant share.
        self.collect_at = (self.activations.len() * 2).max(FIRST_COLLECTION);
        // Drop handlers are the embedder's: they run when the tables are in order again.
        drop(dead);
    }
}
