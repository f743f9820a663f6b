//! Functions.

use crate::api::{
    AsContext, AsContextMut, Engine, Error, Extern, ExternRef, Instance, Memory, Result, StoreContext, StoreContextMut,
    StoreInner, V128, Val,
};
use crate::runtime::entry;
use crate::runtime::host_func::{HostFunc, HostFuncDef};
use crate::runtime::store::{StoreId, StoreOpaque};
use crate::runtime::vm::{VMContext, VMFuncRef, VMHostFuncContext, ValRaw};
use crate::types::{FuncType, ValType};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;

/// A function of the guest or of the host; a handle that is valid with its store.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Func {
    store: StoreId,
    func_ref: NonNull<VMFuncRef>,
}

// SAFETY: the pointer is only followed with a borrow of the store.
unsafe impl Send for Func {}
// SAFETY: as above.
unsafe impl Sync for Func {}

impl std::fmt::Debug for Func {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Func({:?})", self.func_ref)
    }
}

impl Func {
    pub(crate) fn from_raw(store: StoreId, func_ref: NonNull<VMFuncRef>) -> Func {
        Func { store, func_ref }
    }

    /// The function reference, if the function belongs to this store.
    pub(crate) fn raw(&self, store: StoreId) -> Option<NonNull<VMFuncRef>> {
        (self.store == store).then_some(self.func_ref)
    }

    #[track_caller]
    fn checked(&self, store: &StoreOpaque) -> NonNull<VMFuncRef> {
        self.raw(store.id()).expect("a function was used with another store than its own")
    }

    /// A host function of a type that is known at run time. It writes its results to the last slice, whose values are
    /// zeros and nulls of the right types at first.
    ///
    /// ```
    /// use wasmscope::{Engine, Func, FuncType, Store, Val, ValType};
    ///
    /// let mut store = Store::new(&Engine::default(), ());
    /// let ty = FuncType::new([ValType::I32, ValType::I32], [ValType::I64]);
    /// let add = Func::new(&mut store, ty, |_, params, results| {
    ///     results[0] = Val::I64(i64::from(params[0].unwrap_i32()) + i64::from(params[1].unwrap_i32()));
    ///     Ok(())
    /// });
    /// let mut results = [Val::I64(0)];
    /// add.call(&mut store, &[Val::I32(i32::MAX), Val::I32(1)], &mut results)?;
    /// assert_eq!(results[0].unwrap_i64(), 1 << 31);
    /// # Ok::<(), wasmscope::Error>(())
    /// ```
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Func {
        let store = &mut store.as_context_mut().0.opaque;
        let def = dynamic_host_func(store.engine(), ty, func);
        store.add_host_func(&Arc::new(def), false)
    }

    /// A host function from a Rust closure: its parameters are wasm values, the first may be a [`Caller`]; it returns a
    /// wasm value, a tuple of them or nothing, or a [`Result`] with that.
    ///
    /// ```
    /// use wasmscope::{Error, Func, Result, Store, Engine};
    ///
    /// let mut store = Store::new(&Engine::default(), ());
    /// let root = Func::wrap(&mut store, |n: f64| -> Result<(f64, i32)> {
    ///     if n < 0.0 { Err(Error::msg("a negative number has no root")) } else { Ok((n.sqrt(), 2)) }
    /// });
    /// let root = root.typed::<f64, (f64, i32)>(&store)?;
    /// assert_eq!(root.call(&mut store, 9.0)?, (3.0, 2));
    /// assert_eq!(root.call(&mut store, -1.0).unwrap_err().to_string(), "a negative number has no root");
    /// # Ok::<(), wasmscope::Error>(())
    /// ```
    pub fn wrap<T: 'static, Params, Args>(
        mut store: impl AsContextMut<Data = T>,
        func: impl IntoFunc<T, Params, Args>,
    ) -> Func {
        let store = &mut store.as_context_mut().0.opaque;
        let def = func.into_host_func(store.engine());
        store.add_host_func(&Arc::new(def), false)
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        self.ty_in(&store.as_context().0.opaque)
    }

    fn ty_in(&self, store: &StoreOpaque) -> FuncType {
        // SAFETY: the store owns it and is borrowed.
        let type_id = unsafe { self.checked(store).as_ref().type_id };
        store.engine().types().get(type_id).expect("the types of functions are registered")
    }

    /// Calls it; `results` must have the right length, its old values do not matter.
    ///
    /// # Errors
    ///
    /// If numbers or types of arguments are wrong, or when it traps or fails: the cause is then a
    /// [`Trap`](crate::Trap) or the host function's error.
    pub fn call(&self, mut store: impl AsContextMut, params: &[Val], results: &mut [Val]) -> Result<()> {
        let mut store = store.as_context_mut();
        let func_ref = self.checked(&store.0.opaque);
        // SAFETY: functions and types live as long as their store, which is borrowed.
        let ty: &FuncType = unsafe { store.0.opaque.func_type(func_ref.as_ref().type_id).as_ref() };
        for (what, expected, found) in
            [("arguments", ty.params.len(), params.len()), ("results", ty.results.len(), results.len())]
        {
            if expected != found {
                return Err(Error::msg(format!("expected {expected} {what}, got {found}")));
            }
        }
        store.0.opaque.collect_if_due();
        let mut values = store.0.opaque.take_raw(params.len().max(results.len()));
        for ((param, ty), slot) in params.iter().zip(&ty.params).zip(&mut values) {
            let store = &mut store.0.opaque;
            param.check(store, *ty)?;
            // The guest borrows what the slice keeps alive until the call returns.
            *slot = if store.collects_always() { store.expose(param)? } else { store.raw_of(param)? };
        }
        // SAFETY: of this store, as checked; the arguments are of the right types, as checked.
        unsafe { StoreOpaque::call_raw(store.raw(), func_ref, values.as_mut_ptr())? };
        for ((result, ty), raw) in results.iter_mut().zip(&ty.results).zip(&values) {
            // SAFETY: the function has left its results.
            *result = unsafe { store.0.opaque.shown_val(*raw, *ty) };
        }
        store.0.opaque.give_back_raw(values);
        Ok(())
    }

    /// The function with its type checked once.
    ///
    /// # Errors
    ///
    /// If its type is another.
    pub fn typed<Params: WasmParams, Results: WasmResults>(
        &self,
        store: impl AsContext,
    ) -> Result<TypedFunc<Params, Results>> {
        let ty = self.ty_in(&store.as_context().0.opaque);
        let (params, results) = (Params::types(), Results::types());
        if *params != *ty.params || *results != *ty.results {
            let wanted = FuncType::new(params, results);
            return Err(Error::msg(format!("type mismatch: the function is of type {ty}, not {wanted}")));
        }
        Ok(TypedFunc { func: *self, types: PhantomData })
    }
}

/// A function of a type that is known at compile time: calls neither check types nor allocate.
///
/// ```
/// use wasmscope::{Engine, Instance, Module, Store};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (func (export "swap") (param i32 i64) (result i64 i32) (local.get 1) (local.get 0)))"#)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let swap = instance.get_typed_func::<(i32, i64), (i64, i32)>(&mut store, "swap")?;
/// assert_eq!(swap.call(&mut store, (1, 2))?, (2, 1));
/// assert!(instance.get_typed_func::<i32, ()>(&mut store, "swap").is_err());
/// # Ok::<(), wasmscope::Error>(())
/// ```
pub struct TypedFunc<Params, Results> {
    func: Func,
    /// Covariant: what takes references of one lifetime takes those of a shorter one, since each call is one of its own.
    types: PhantomData<fn() -> (Params, Results)>,
}

impl<Params, Results> Clone for TypedFunc<Params, Results> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Params, Results> Copy for TypedFunc<Params, Results> {}

impl<Params, Results> std::fmt::Debug for TypedFunc<Params, Results> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TypedFunc").field(&self.func).finish()
    }
}

impl<Params: WasmParams, Results: WasmResults> TypedFunc<Params, Results> {
    /// The function.
    #[must_use]
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Calls it.
    ///
    /// # Errors
    ///
    /// As [`Func::call`].
    pub fn call(&self, mut store: impl AsContextMut, params: Params) -> Result<Results> {
        /// Arguments, then results.
        #[repr(C)]
        union Slots<P: Copy, R: Copy> {
            params: MaybeUninit<P>,
            results: MaybeUninit<R>,
            /// For an address also when there is neither.
            one: ValRaw,
        }
        let mut store = store.as_context_mut();
        let func_ref = self.func.checked(&store.0.opaque);
        store.0.opaque.collect_if_due();
        let mut slots = Slots::<Params::Slots, Results::Slots> { one: ValRaw::ZERO };
        let values: *mut ValRaw = (&raw mut slots).cast();
        // SAFETY: there is a slot for each argument and each result, whose types `Func::typed` has checked.
        unsafe {
            params.store(&mut store.0.opaque, values)?;
            StoreOpaque::call_raw(store.raw(), func_ref, values)?;
            Ok(Results::load(&store.0.opaque, values))
        }
    }
}

/// The store and the instance from which a host function is called.
///
/// ```
/// use wasmscope::{Caller, Engine, Linker, Module, Result, Store};
///
/// let engine = Engine::default();
/// let mut linker = Linker::<String>::new(&engine);
/// linker.func_wrap("host", "print", |mut caller: Caller<'_, String>, at: i32, len: i32| -> Result<()> {
///     let memory = caller.memory().expect("the guest exports its memory");
///     let (bytes, printed) = memory.data_and_store_mut(&mut caller);
///     printed.push_str(std::str::from_utf8(&bytes[at as usize..][..len as usize])?);
///     Ok(())
/// })?;
/// let module = Module::new(&engine, r#"(module
///     (import "host" "print" (func $print (param i32 i32)))
///     (memory (export "memory") 1) (data (i32.const 16) "hello")
///     (func (export "run") (call $print (i32.const 16) (i32.const 5))))"#)?;
/// let mut store = Store::new(&engine, String::new());
/// let instance = linker.instantiate(&mut store, &module)?;
/// instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())?;
/// assert_eq!(store.data(), "hello");
/// # Ok::<(), wasmscope::Error>(())
/// ```
pub struct Caller<'a, T> {
    store: StoreContextMut<'a, T>,
    /// Null: the host calls.
    vmctx: *mut VMContext,
}

impl<'a, T> Caller<'a, T> {
    /// # Safety
    ///
    /// `store` must be valid for `'a` and used by nobody else meanwhile; `vmctx` null or a context of it.
    unsafe fn new(store: *mut StoreOpaque, vmctx: *mut VMContext) -> Caller<'a, T> {
        // SAFETY: the caller's promise. Stores are the first field of a `StoreInner` of their data's type.
        Caller { store: StoreContextMut(unsafe { &mut *store.cast::<StoreInner<T>>() }), vmctx }
    }

    /// The calling instance; `None` if the host itself is the caller.
    pub fn instance(&self) -> Option<Instance> {
        // SAFETY: the context of a live instance, or null.
        let instance = unsafe { NonNull::new(self.vmctx.as_ref()?.instance)? };
        Some(Instance::from_raw(&self.store.0.opaque, instance))
    }

    /// An export of the calling instance; `None` too if the host itself is the caller.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        self.instance()?.get_export(&mut self.store, name)
    }

    /// The memory named `memory` of the calling instance.
    pub fn memory(&mut self) -> Option<Memory> {
        self.get_export("memory")?.into_memory()
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.store.0.data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.store.0.data
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.store.0.opaque.engine()
    }

    /// As [`Store::gc`](crate::Store::gc).
    pub fn gc(&mut self) {
        self.store.gc();
    }
}

impl<T> AsContext for Caller<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}

/// The native side of a host function whose definition was made for `invoke`: `extern "C"` for the trampoline.
///
/// # Safety
///
/// As [`HostCall`](crate::runtime::vm::HostCall): `callee` must be the context of a host function that `I` is made for.
unsafe extern "C" fn host_call<I: InvokeClosure>(
    callee: *mut VMHostFuncContext,
    caller: *mut VMContext,
    values: *mut ValRaw,
) -> u8 {
    // SAFETY: the guest passes its own context, arguments of the function's types in as many slots as it needs, and waits.
    unsafe {
        let store = (*caller).store;
        entry::host_function(store, move || I::invoke(HostFunc::closure(callee), store, caller, values))
    }
}

/// How a kind of closure is called.
///
/// # Safety
///
/// `invoke` must expect a closure of type `Self::Closure`.
unsafe trait InvokeClosure {
    type Closure: Send + Sync + 'static;

    /// # Safety
    ///
    /// As [`Invoke`](crate::runtime::host_func::Invoke).
    unsafe fn invoke(
        closure: *const (),
        store: *mut StoreOpaque,
        caller: *mut VMContext,
        values: *mut ValRaw,
    ) -> Result<()>;

    /// A host function of type `ty`.
    ///
    /// # Safety
    ///
    /// `invoke` must be made for `ty`.
    unsafe fn define(engine: &Engine, ty: FuncType, closure: Self::Closure) -> HostFuncDef
    where
        Self: Sized,
    {
        let type_id = engine.types().register(&ty);
        // SAFETY: made for this closure's type, and, as the caller promises, for `ty`.
        unsafe { HostFuncDef::new(ty, type_id, host_call::<Self>, Self::invoke, closure) }
    }
}

/// A closure over slices of values, with the type that it was declared with.
struct DynamicClosure<F> {
    ty: FuncType,
    func: F,
}

struct InvokeDynamic<T, F>(PhantomData<(T, F)>);

// SAFETY: `invoke` expects a `DynamicClosure<F>`.
unsafe impl<T, F> InvokeClosure for InvokeDynamic<T, F>
where
    F: Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
{
    type Closure = DynamicClosure<F>;

    unsafe fn invoke(
        closure: *const (),
        store: *mut StoreOpaque,
        vmctx: *mut VMContext,
        values: *mut ValRaw,
    ) -> Result<()> {
        // SAFETY: the caller's promise.
        let DynamicClosure { ty, func } = unsafe { &*closure.cast::<DynamicClosure<F>>() };
        // SAFETY: the caller lends the store.
        let mut all = unsafe { (*store).take_values() };
        for (i, ty) in ty.params.iter().enumerate() {
            // SAFETY: the caller's promise: arguments of the types of `ty`.
            all.push(unsafe { (*store).shown_val(values.add(i).read(), *ty) });
        }
        all.extend(ty.results.iter().map(|ty| Val::default_for(*ty)));
        let (params, results) = all.split_at_mut(ty.params.len());
        // SAFETY: the caller lends the store and its own context.
        func(unsafe { Caller::new(store, vmctx) }, params, results)?;
        // SAFETY: as above; the results keep what they refer to.
        unsafe { (*store).collect_if_due() };
        for (i, (result, ty)) in results.iter().zip(&ty.results).enumerate() {
            // SAFETY: the caller lends the store; there is a slot for each result.
            unsafe {
                result.check(&*store, *ty).map_err(|error| error.context("a host function's result"))?;
                values.add(i).write((*store).expose(result)?);
            }
        }
        // SAFETY: the caller lends the store.
        unsafe { (*store).give_back_values(all) };
        Ok(())
    }
}

/// A host function over slices of values.
pub(crate) fn dynamic_host_func<T: 'static>(
    engine: &Engine,
    ty: FuncType,
    func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
) -> HostFuncDef {
    fn define<T: 'static, F>(engine: &Engine, ty: FuncType, func: F) -> HostFuncDef
    where
        F: Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    {
        // SAFETY: the closure carries the type that `invoke` goes by.
        unsafe { InvokeDynamic::<T, F>::define(engine, ty.clone(), DynamicClosure { ty, func }) }
    }
    define(engine, ty, func)
}

/// A Rust type that can be passed for a wasm value: each [`WasmTy`], and `Option<&`[`ExternRef`]`>`, which the guest only
/// borrows: nothing is counted.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmArg: Sized + Send {
    #[doc(hidden)]
    const TYPE: ValType;

    #[doc(hidden)]
    fn into_raw(self, store: &mut StoreOpaque) -> Result<ValRaw>;
}

/// A Rust type of a wasm value: `i32`, `u32`, `i64`, `u64`, `f32`, `f64`, [`V128`], `Option<`[`Func`]`>`,
/// `Option<`[`ExternRef`]`>`.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmTy: WasmArg {
    /// # Safety
    ///
    /// `raw` must hold a value of type `TYPE` that the guest of this store produced.
    #[doc(hidden)]
    unsafe fn from_raw(store: &StoreOpaque, raw: ValRaw) -> Self;
}

macro_rules! wasm_numbers {
    ($($ty:ty, $valtype:ident, |$value:ident| $into:expr, |$raw:ident| $from:expr;)*) => { $(
        // SAFETY: see the trait.
        unsafe impl WasmArg for $ty {
            const TYPE: ValType = ValType::$valtype;
            #[inline]
            fn into_raw(self, _: &mut StoreOpaque) -> Result<ValRaw> {
                let $value = self;
                Ok($into)
            }
        }

        // SAFETY: see the trait.
        unsafe impl WasmTy for $ty {
            #[inline]
            unsafe fn from_raw(_: &StoreOpaque, $raw: ValRaw) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $from }
            }
        }
    )* };
}

wasm_numbers! {
    i32, I32, |value| ValRaw { i32: value }, |raw| raw.i32;
    u32, I32, |value| ValRaw { i32: value as i32 }, |raw| raw.i32 as u32;
    i64, I64, |value| ValRaw { i64: value }, |raw| raw.i64;
    u64, I64, |value| ValRaw { i64: value as i64 }, |raw| raw.i64 as u64;
    f32, F32, |value| ValRaw { f32: value.to_bits() }, |raw| f32::from_bits(raw.f32);
    f64, F64, |value| ValRaw { f64: value.to_bits() }, |raw| f64::from_bits(raw.f64);
    V128, V128, |value| ValRaw { v128: value.0 }, |raw| V128(raw.v128);
}

// SAFETY: see the trait.
unsafe impl WasmArg for Option<Func> {
    const TYPE: ValType = ValType::FUNCREF;

    fn into_raw(self, store: &mut StoreOpaque) -> Result<ValRaw> {
        store.raw_of(&Val::FuncRef(self))
    }
}

// SAFETY: see the trait.
unsafe impl WasmTy for Option<Func> {
    unsafe fn from_raw(store: &StoreOpaque, raw: ValRaw) -> Self {
        // SAFETY: the caller's promise.
        unsafe { raw.func_ref }.map(|func_ref| Func::from_raw(store.id(), func_ref))
    }
}

// SAFETY: see the trait.
unsafe impl WasmArg for Option<ExternRef> {
    const TYPE: ValType = ValType::EXTERNREF;

    #[inline]
    fn into_raw(self, store: &mut StoreOpaque) -> Result<ValRaw> {
        Ok(ValRaw { extern_ref: self.map(|reference| store.activations.insert(reference.0)) })
    }
}

// SAFETY: see the trait.
unsafe impl WasmTy for Option<ExternRef> {
    #[inline]
    unsafe fn from_raw(store: &StoreOpaque, raw: ValRaw) -> Self {
        // SAFETY: the caller's promise.
        unsafe { store.shown_extern_ref(raw) }
    }
}

// SAFETY: see the trait. The call that this is passed to borrows the reference until it returns.
unsafe impl WasmArg for Option<&ExternRef> {
    const TYPE: ValType = ValType::EXTERNREF;

    #[inline]
    fn into_raw(self, store: &mut StoreOpaque) -> Result<ValRaw> {
        if store.collects_always() {
            return self.cloned().into_raw(store);
        }
        Ok(ValRaw { extern_ref: self.map(|reference| reference.0.as_raw()) })
    }
}

/// Parameters of a [`TypedFunc`]: a wasm value ([`WasmArg`]), or a tuple of up to 16.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmParams: Sized + Send {
    #[doc(hidden)]
    type Slots: Copy;

    #[doc(hidden)]
    fn types() -> Vec<ValType>;

    /// # Safety
    ///
    /// `slots` must be valid for writes of `Slots`.
    #[doc(hidden)]
    unsafe fn store(self, store: &mut StoreOpaque, slots: *mut ValRaw) -> Result<()>;
}

/// Results of a [`TypedFunc`]: a wasm value, or a tuple of up to 16.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmResults: WasmParams {
    /// # Safety
    ///
    /// `slots` must hold values of these types that the guest of this store produced.
    #[doc(hidden)]
    unsafe fn load(store: &StoreOpaque, slots: *const ValRaw) -> Self;
}

/// What a host function may return: [`WasmResults`], or a [`Result`] with them.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmRet {
    #[doc(hidden)]
    type Results: WasmResults;

    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Results>;
}

/// What [`Func::wrap`] takes: closures of up to 16 wasm values with or without a [`Caller`] before them.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait IntoFunc<T, Params, Args>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_host_func(self, engine: &Engine) -> HostFuncDef;
}

// SAFETY: see the trait.
unsafe impl<T: WasmArg> WasmParams for T {
    type Slots = [ValRaw; 1];

    fn types() -> Vec<ValType> {
        vec![T::TYPE]
    }

    #[inline]
    unsafe fn store(self, store: &mut StoreOpaque, slots: *mut ValRaw) -> Result<()> {
        let raw = self.into_raw(store)?;
        // SAFETY: the caller's promise.
        unsafe { slots.write(raw) };
        Ok(())
    }
}

// SAFETY: see the trait.
unsafe impl<T: WasmTy> WasmResults for T {
    #[inline]
    unsafe fn load(store: &StoreOpaque, slots: *const ValRaw) -> Self {
        // SAFETY: the caller's promise.
        unsafe { T::from_raw(store, slots.read()) }
    }
}

// SAFETY: see the trait.
unsafe impl<R: WasmResults> WasmRet for R {
    type Results = R;

    #[inline]
    fn into_result(self) -> Result<R> {
        Ok(self)
    }
}

// SAFETY: see the trait.
unsafe impl<R: WasmResults> WasmRet for Result<R, Error> {
    type Results = R;

    #[inline]
    fn into_result(self) -> Result<R> {
        self
    }
}

/// Calls a macro for each number of arguments: a list of (type name, index).
macro_rules! for_each_arity {
    ($each:ident) => {
        $each!(0;);
        $each!(1; A1 0);
        $each!(2; A1 0, A2 1);
        $each!(3; A1 0, A2 1, A3 2);
        $each!(4; A1 0, A2 1, A3 2, A4 3);
        $each!(5; A1 0, A2 1, A3 2, A4 3, A5 4);
        $each!(6; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5);
        $each!(7; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6);
        $each!(8; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7);
        $each!(9; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7, A9 8);
        $each!(10; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7, A9 8, A10 9);
        $each!(11; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7, A9 8, A10 9, A11 10);
        $each!(12; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7, A9 8, A10 9, A11 10, A12 11);
        $each!(13; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7, A9 8, A10 9, A11 10, A12 11, A13 12);
        $each!(14; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7, A9 8, A10 9, A11 10, A12 11, A13 12, A14 13);
        $each!(15; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7, A9 8, A10 9, A11 10, A12 11, A13 12, A14 13,
            A15 14);
        $each!(16; A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7, A9 8, A10 9, A11 10, A12 11, A13 12, A14 13,
            A15 14, A16 15);
    };
}

macro_rules! tuple_impls {
    ($count:literal; $($arg:ident $index:tt),*) => {
        // SAFETY: see the trait.
        unsafe impl<$($arg: WasmArg),*> WasmParams for ($($arg,)*) {
            type Slots = [ValRaw; $count];

            fn types() -> Vec<ValType> {
                vec![$($arg::TYPE),*]
            }

            #[inline]
            #[allow(unused_variables, reason = "the empty tuple has nothing to store")]
            unsafe fn store(self, store: &mut StoreOpaque, slots: *mut ValRaw) -> Result<()> {
                $(
                    let raw = self.$index.into_raw(store)?;
                    // SAFETY: the caller's promise.
                    unsafe { slots.add($index).write(raw) };
                )*
                Ok(())
            }
        }

        // SAFETY: see the trait.
        unsafe impl<$($arg: WasmTy),*> WasmResults for ($($arg,)*) {
            #[inline]
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has nothing to load")]
            unsafe fn load(store: &StoreOpaque, slots: *const ValRaw) -> Self {
                // SAFETY: the caller's promise.
                ($(unsafe { $arg::from_raw(store, slots.add($index).read()) },)*)
            }
        }

        const _: () = {
            struct Plain<F, R, $($arg),*>(PhantomData<(F, R, $($arg),*)>);

            // SAFETY: `invoke` expects an `F`.
            unsafe impl<F, R: WasmRet, $($arg: WasmTy),*> InvokeClosure for Plain<F, R, $($arg),*>
            where
                F: Fn($($arg),*) -> R + Send + Sync + 'static,
            {
                type Closure = F;

                unsafe fn invoke(
                    closure: *const (),
                    store: *mut StoreOpaque,
                    _: *mut VMContext,
                    values: *mut ValRaw,
                ) -> Result<()> {
                    // SAFETY: the caller's promises: the closure, the store, arguments of these types, and enough slots.
                    unsafe {
                        let func = &*closure.cast::<F>();
                        let result = func($($arg::from_raw(&*store, values.add($index).read())),*).into_result()?;
                        (*store).collect_if_due();
                        result.store(&mut *store, values)
                    }
                }
            }

            // SAFETY: see the trait.
            unsafe impl<T, F, R: WasmRet, $($arg: WasmTy),*> IntoFunc<T, (), (R, $($arg,)*)> for F
            where
                F: Fn($($arg),*) -> R + Send + Sync + 'static,
            {
                fn into_host_func(self, engine: &Engine) -> HostFuncDef {
                    let ty = FuncType::new([$($arg::TYPE),*], R::Results::types());
                    // SAFETY: `invoke` goes by the same types.
                    unsafe { Plain::<F, R, $($arg),*>::define(engine, ty, self) }
                }
            }

            struct WithCaller<T, F, R, $($arg),*>(PhantomData<(T, F, R, $($arg),*)>);

            // SAFETY: `invoke` expects an `F`.
            unsafe impl<T, F, R: WasmRet, $($arg: WasmTy),*> InvokeClosure for WithCaller<T, F, R, $($arg),*>
            where
                F: Fn(Caller<'_, T>, $($arg),*) -> R + Send + Sync + 'static,
            {
                type Closure = F;

                unsafe fn invoke(
                    closure: *const (),
                    store: *mut StoreOpaque,
                    vmctx: *mut VMContext,
                    #[allow(unused_variables, reason = "without arguments and results")]
                    values: *mut ValRaw,
                ) -> Result<()> {
                    // SAFETY: as for `Plain`; the caller lends the store.
                    unsafe {
                        let func = &*closure.cast::<F>();
                        let args: ($($arg,)*) = <($($arg,)*) as WasmResults>::load(&*store, values);
                        #[allow(clippy::let_unit_value, reason = "without arguments")]
                        let _ = &args;
                        let result = func(Caller::new(store, vmctx), $(args.$index),*).into_result()?;
                        (*store).collect_if_due();
                        result.store(&mut *store, values)
                    }
                }
            }

            // SAFETY: see the trait.
            unsafe impl<T, F, R: WasmRet, $($arg: WasmTy),*> IntoFunc<T, Caller<'_, T>, (R, $($arg,)*)> for F
            where
                F: Fn(Caller<'_, T>, $($arg),*) -> R + Send + Sync + 'static,
            {
                fn into_host_func(self, engine: &Engine) -> HostFuncDef {
                    let ty = FuncType::new([$($arg::TYPE),*], R::Results::types());
                    // SAFETY: `invoke` goes by the same types.
                    unsafe { WithCaller::<T, F, R, $($arg),*>::define(engine, ty, self) }
                }
            }
        };
    };
}

for_each_arity!(tuple_impls);
