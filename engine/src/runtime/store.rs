//! What a store owns.

use super::activations::ActivationsTable;
use super::collect;
use super::entry;
use super::externref::{Corpse, Doomed, Owner, VMExternRef};
use super::host_func::{HostFunc, HostFuncDef};
use super::instance::InstanceData;
use super::memory::{LinearMemory, MemoryInstance, SharedMemoryInner};
use super::table::TableInstance;
use super::vm::{ArrayToWasm, VMContext, VMFuncRef, VMGlobalDefinition, VMRuntimeLimits, ValRaw};
use crate::api::{Engine, Error, ExternRef, Func, Module, ResourceLimiter, V128, Val};
use crate::environ::DebugInfo;
use crate::types::{FuncType, GlobalType, HeapType, MemoryType, ValType, i31_value, i31_word};
use artifact::FunctionKind;
use std::collections::{HashMap, HashSet};
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
    /// The store, if the value is counted.
    owner: Option<Owner>,
    _own: Option<Box<VMGlobalDefinition>>,
}

impl GlobalInstance {
    /// A global of `owner`'s store whose value compiled code reads at `definition`; without it the global has its own.
    ///
    /// # Safety
    ///
    /// What is assigned must be a value of the type, and a reference must lead to what lives.
    pub unsafe fn new(
        ty: GlobalType,
        value: ValRaw,
        owner: Owner,
        definition: Option<NonNull<VMGlobalDefinition>>,
    ) -> GlobalInstance {
        let mut own = None;
        let definition =
            definition.unwrap_or_else(|| NonNull::from(&mut **own.insert(Box::new(VMGlobalDefinition([0; 16])))));
        // SAFETY: the definition lives as long as the store.
        unsafe { definition.cast::<ValRaw>().write(ValRaw::ZERO) };
        let owner = matches!(ty.content, ValType::Ref(ty) if ty.heap == HeapType::Extern).then_some(owner);
        let global = GlobalInstance { ty, definition, owner, _own: own };
        let old = global.set(value);
        debug_assert!(old.is_none(), "it was zero");
        global
    }

    pub fn get(&self) -> ValRaw {
        // SAFETY: the definition lives as long as the store; no reference to one is ever kept.
        unsafe { self.definition.cast().read() }
    }

    /// Assigns a value. A reference is borrowed; the one that was there is given up.
    pub fn set(&self, value: ValRaw) -> Option<Doomed> {
        // SAFETY: a counted global holds a reference, or null, that has a count; the constructor's caller promised that new
        // ones are alive. The definition lives as long as the store; compiled code does not run meanwhile.
        unsafe {
            let counted = self.owner.map(|owner| (owner, self.get().extern_ref, value.extern_ref));
            if let Some((owner, _, Some(new))) = counted {
                owner.acquire(new);
            }
            self.definition.cast().write(value);
            let (owner, old, _) = counted?;
            owner.release(old?)
        }
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
    /// The engine's settings, at hand for each call.
    max_wasm_stack: usize,
    collects_always: bool,
    /// Debuggers are shown its modules.
    is_debugged: bool,
    pub activations: ActivationsTable,
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
    /// With code that collects at every safepoint: the headers of dropped values, and the values that only the conservative
    /// scan has found.
    graveyard: Vec<Corpse>,
    suspects: HashSet<NonNull<u8>>,
}

// SAFETY: the raw pointers lead to what the store itself owns (with the modules that it keeps), nothing of which is bound
// to a thread. A store whose guest runs is borrowed and cannot move.
unsafe impl Send for StoreOpaque {}
// SAFETY: a shared store gives read access only.
unsafe impl Sync for StoreOpaque {}

impl StoreOpaque {
    pub fn new(engine: &Engine, ask_limiter: AskLimiter) -> StoreOpaque {
        StoreOpaque {
            id: StoreId::next(),
            engine: engine.clone(),
            limits: Arc::default(),
            max_wasm_stack: engine.config().max_wasm_stack,
            collects_always: engine.tunables().collect_always,
            is_debugged: engine.tunables().debug_info != DebugInfo::None,
            activations: ActivationsTable::new(),
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
            graveyard: Vec::new(),
            suspects: HashSet::new(),
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
        // SAFETY: the caller's promise.
        if unsafe { (*this).is_debugged } {
            // SAFETY: as below; a guest function's context is that of an instance of the store.
            return unsafe { Self::enter_shown(this, trampoline, func, values) };
        }
        // SAFETY: the caller's promise, and the function reference's parts belong together.
        unsafe { entry::enter(this, trampoline, func.vmctx, func.wasm_call, values) }
    }

    /// Enters a guest function while debuggers are shown the globals of its instance.
    ///
    /// # Safety
    ///
    /// As [`Self::call_raw`]; the function must be the guest's.
    #[cold]
    unsafe fn enter_shown(
        this: *mut StoreOpaque,
        trampoline: ArrayToWasm,
        func: VMFuncRef,
        values: *mut ValRaw,
    ) -> Result<(), Error> {
        let vmctx: *mut VMContext = func.vmctx.cast();
        // SAFETY: the store keeps its instances, and each keeps its module.
        let module = unsafe { (*(*vmctx).instance).module().clone() };
        let before = module.debug_view().enter(vmctx);
        // SAFETY: the caller's promise.
        let result = unsafe { entry::enter(this, trampoline, func.vmctx, func.wasm_call, values) };
        module.debug_view().leave(vmctx, before);
        result
    }

    /// A value for the guest, which borrows it: a reference must outlive its use there. The caller has checked its type.
    pub fn raw_of(&self, value: &Val) -> Result<ValRaw, Error> {
        let mut raw = ValRaw::ZERO;
        match value {
            Val::I32(value) => raw.i32 = *value,
            Val::I64(value) => raw.i64 = *value,
            Val::F32(bits) => raw.f32 = *bits,
            Val::F64(bits) => raw.f64 = *bits,
            Val::V128(V128(value)) => raw.v128 = *value,
            Val::I31Ref(value) => raw.i64 = value.map_or(0, |value| i31_word(value).cast_signed()),
            Val::FuncRef(None) => raw.func_ref = None,
            Val::FuncRef(Some(func)) => {
                raw.func_ref = Some(func.raw(self.id).ok_or_else(|| Error::msg("function of another store"))?);
            }
            Val::ExternRef(value) => raw.extern_ref = value.as_ref().map(|value| value.0.as_raw()),
        }
        Ok(raw)
    }

    /// A value for the guest to keep. The caller has checked its type.
    pub fn expose(&mut self, value: &Val) -> Result<ValRaw, Error> {
        if let Val::ExternRef(Some(value)) = value {
            self.activations.insert(value.0.clone());
        }
        self.raw_of(value)
    }

    /// A value that the guest shows: an argument of a host function, or a result.
    ///
    /// # Safety
    ///
    /// `raw` must hold a value of type `ty` that the guest of this store passes now.
    pub unsafe fn shown_val(&self, raw: ValRaw, ty: ValType) -> Val {
        // SAFETY: the caller's promise.
        unsafe {
            match ty {
                ValType::Ref(ty) if ty.heap.is_extern() => Val::ExternRef(self.shown_extern_ref(raw)),
                _ => self.val_of(raw, ty),
            }
        }
    }

    /// A reference to a host value that the guest shows.
    ///
    /// # Safety
    ///
    /// `raw` must hold an `externref` that the guest of this store passes now.
    #[inline]
    pub unsafe fn shown_extern_ref(&self, raw: ValRaw) -> Option<ExternRef> {
        // SAFETY: the caller's promise; the guest's references are kept alive by the activations table, or by the host that
        // waits for the guest.
        unsafe {
            let raw = raw.extern_ref?;
            if self.collects_always() {
                self.assert_listed(raw);
            }
            Some(ExternRef(VMExternRef::clone_from_raw(raw)))
        }
    }

    /// The value of a global, or an element.
    ///
    /// # Safety
    ///
    /// `raw` must hold a value of type `ty` of this store.
    pub unsafe fn val_of(&self, raw: ValRaw, ty: ValType) -> Val {
        // SAFETY: the caller's promise.
        unsafe {
            match ty {
                ValType::I32 => Val::I32(raw.i32),
                ValType::I64 => Val::I64(raw.i64),
                ValType::F32 => Val::F32(raw.f32),
                ValType::F64 => Val::F64(raw.f64),
                ValType::V128 => Val::V128(V128(raw.v128)),
                ValType::Ref(ty) if ty.heap.is_extern() => {
                    Val::ExternRef(raw.extern_ref.map(|raw| ExternRef(VMExternRef::clone_from_raw(raw))))
                }
                ValType::Ref(ty) if ty.heap == HeapType::I31 => Val::I31Ref(i31_value(raw.i64.cast_unsigned())),
                ValType::Ref(_) => Val::FuncRef(raw.func_ref.map(|func_ref| Func::from_raw(self.id, func_ref))),
            }
        }
    }

    /// Collects if the time has come. To be called before references are passed to the guest, not between: what was passed
    /// may be in no frame yet.
    #[inline]
    pub fn collect_if_due(&mut self) {
        if self.activations.is_full() || self.collects_always {
            self.collect();
        }
    }

    /// Lets go of the host values that the guest no longer refers to.
    #[cold]
    pub fn collect(&mut self) {
        // SAFETY: the store is borrowed.
        unsafe { collect::collect(self, None) };
    }

    /// Runs the drop handlers of values without references.
    pub fn let_go(&mut self, doomed: impl IntoIterator<Item = Doomed>) {
        // SAFETY: the store is borrowed.
        unsafe { collect::let_go(self, doomed) };
    }

    /// Does the code collect at every safepoint?
    #[inline]
    pub fn collects_always(&self) -> bool {
        self.collects_always
    }

    /// Keeps what is left of a dropped value.
    pub fn bury(&mut self, corpse: Corpse) {
        self.graveyard.push(corpse);
    }

    /// Remembers which values only the conservative scan has found.
    pub fn note_suspects(&mut self, suspects: Vec<NonNull<u8>>) {
        self.suspects.extend(suspects);
    }

    /// Panics if the guest shows a reference that it cannot have: a collection has missed it.
    ///
    /// # Safety
    ///
    /// `raw` must lead to a value that is alive or buried.
    pub unsafe fn assert_listed(&self, raw: NonNull<u8>) {
        // SAFETY: the caller's promise.
        let known = unsafe { self.activations.is_known(raw) };
        let seen = if self.suspects.contains(&raw) { "it was on the stack" } else { "it was not even on the stack" };
        assert!(known, "a collection has missed the reference {raw:?} of the guest: {seen}");
    }
}

impl Drop for StoreOpaque {
    fn drop(&mut self) {
        let mut doomed = Vec::new();
        for global in &self.globals {
            doomed.extend(global.set(ValRaw::ZERO));
        }
        for table in &mut self.tables {
            doomed.extend(table.clear());
        }
        for instance in &mut self.instances {
            doomed.extend(instance.drop_all_elements());
        }
        self.activations.sweep(0, &mut doomed);
        // Runs drop handlers, when the store holds nothing any more that they could see.
        drop(doomed);
    }
}
