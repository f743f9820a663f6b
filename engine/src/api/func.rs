//! Functions.

use crate::api::{
    AsContext, AsContextMut, Engine, Error, Extern, ExternRef, Memory, Result, StoreContext, StoreContextMut, V128, Val,
};
use crate::types::{FuncType, ValType};
use std::marker::PhantomData;

/// A function of the guest or of the host; a handle that is valid with its store.
#[derive(Clone, Copy, Debug)]
pub struct Func(());

impl Func {
    /// A host function of a type that is known at run time. It writes its results to the last slice, whose values are
    /// zeros and nulls of the right types at first.
    pub fn new<T: 'static>(
        store: impl AsContextMut<Data = T>,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Func {
        let _ = (store, ty, func);
        todo!()
    }
    /// A host function from a Rust closure: its parameters are wasm values, the first may be a [`Caller`]; it returns a
    /// wasm value, a tuple of them or nothing, or a [`Result`] with that.
    pub fn wrap<T: 'static, Params, Args>(
        store: impl AsContextMut<Data = T>,
        func: impl IntoFunc<T, Params, Args>,
    ) -> Func {
        let _ = (store, func);
        todo!()
    }
    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let _ = store;
        todo!()
    }
    /// Calls it; `results` must have the right length, its old values do not matter.
    ///
    /// # Errors
    ///
    /// If numbers or types of arguments are wrong, or when it traps or fails: the cause is then a
    /// [`Trap`](crate::Trap) or the host function's error.
    pub fn call(&self, store: impl AsContextMut, params: &[Val], results: &mut [Val]) -> Result<()> {
        let _ = (store, params, results);
        todo!()
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
        let _ = store;
        todo!()
    }
}

/// A function of a type that is known at compile time.
pub struct TypedFunc<Params, Results> {
    func: Func,
    types: PhantomData<fn(Params) -> Results>,
}

impl<Params, Results> Clone for TypedFunc<Params, Results> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<Params, Results> Copy for TypedFunc<Params, Results> {}

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
    pub fn call(&self, store: impl AsContextMut, params: Params) -> Result<Results> {
        let _ = (store, params);
        todo!()
    }
}

/// The store and the instance from which a host function is called.
pub struct Caller<'a, T> {
    store: StoreContextMut<'a, T>,
}

impl<T> Caller<'_, T> {
    /// An export of the calling instance; `None` too if the host itself is the caller.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        let _ = name;
        todo!()
    }
    /// The memory named `memory` of the calling instance.
    pub fn memory(&mut self) -> Option<Memory> {
        self.get_export("memory")?.into_memory()
    }
    /// The embedder's data.
    pub fn data(&self) -> &T {
        todo!()
    }
    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        todo!()
    }
    /// The engine.
    pub fn engine(&self) -> &Engine {
        todo!()
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

/// A Rust type of a wasm value: `i32`, `u32`, `i64`, `u64`, `f32`, `f64`, [`V128`], `Option<`[`Func`]`>`,
/// `Option<`[`ExternRef`]`>`.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmTy: Sized + Send {
    #[doc(hidden)]
    const TYPE: ValType;
}
macro_rules! wasm_ty {
    ($($ty:ty => $valtype:expr;)*) => { $(
        // SAFETY: see the trait.
        unsafe impl WasmTy for $ty { const TYPE: ValType = $valtype; }
    )* };
}
wasm_ty! {
    i32 => ValType::I32;
    u32 => ValType::I32;
    i64 => ValType::I64;
    u64 => ValType::I64;
    f32 => ValType::F32;
    f64 => ValType::F64;
    V128 => ValType::V128;
    Option<Func> => ValType::FUNCREF;
    Option<ExternRef> => ValType::EXTERNREF;
}

/// Parameters of a [`TypedFunc`]: a wasm value, or a tuple of up to 16.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmParams: Send {}

/// Results of a [`TypedFunc`]: a wasm value, or a tuple of up to 16.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmResults: WasmParams {}

/// What a host function may return: [`WasmResults`], or a [`Result`] with them.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait WasmRet {}

/// What [`Func::wrap`] takes: closures of up to 16 wasm values with or without a [`Caller`] before them.
///
/// # Safety
///
/// Implemented here only.
pub unsafe trait IntoFunc<T, Params, Args>: Send + Sync + 'static {}

// SAFETY: see the trait.
unsafe impl<T: WasmTy> WasmParams for T {}
// SAFETY: see the trait.
unsafe impl<T: WasmTy> WasmResults for T {}
// SAFETY: see the trait.
unsafe impl<R: WasmResults> WasmRet for R {}
// SAFETY: see the trait.
unsafe impl<R: WasmResults> WasmRet for Result<R, Error> {}

macro_rules! tuples {
    ($each:ident) => {
        $each!();
        $each!(A1);
        $each!(A1 A2);
        $each!(A1 A2 A3);
        $each!(A1 A2 A3 A4);
        $each!(A1 A2 A3 A4 A5);
        $each!(A1 A2 A3 A4 A5 A6);
        $each!(A1 A2 A3 A4 A5 A6 A7);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15);
        $each!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16);
    };
}
macro_rules! tuple_impls {
    ($($arg:ident)*) => {
        // SAFETY: see the trait.
        unsafe impl<$($arg: WasmTy),*> WasmParams for ($($arg,)*) {}
        // SAFETY: see the trait.
        unsafe impl<$($arg: WasmTy),*> WasmResults for ($($arg,)*) {}
        // SAFETY: see the trait.
        unsafe impl<T, F, R: WasmRet, $($arg: WasmTy),*> IntoFunc<T, (), ($($arg,)*)> for F
        where F: Fn($($arg),*) -> R + Send + Sync + 'static {}
        // SAFETY: see the trait.
        unsafe impl<T, F, R: WasmRet, $($arg: WasmTy),*> IntoFunc<T, Caller<'_, T>, ($($arg,)*)> for F
        where F: Fn(Caller<'_, T>, $($arg),*) -> R + Send + Sync + 'static {}
    };
}
tuples!(tuple_impls);
