//! The store: everything that instances own.

use crate::api::limits::{Limiter, ResourceLimiter, StoreLimits};
use crate::api::{Engine, Error, Result};
use crate::runtime::identity_map::IdentityMapState;
use crate::runtime::store::StoreOpaque;
use crate::runtime::vm::VMRuntimeLimits;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Owns instances, functions, memories, tables, globals and the embedder's data `T`. Everything in a store lives as
/// long as the store.
///
/// ```
/// use wasmscope::{Engine, Func, Store};
///
/// let mut store = Store::new(&Engine::default(), 41);
/// let answer = Func::wrap(&mut store, |caller: wasmscope::Caller<'_, i32>| *caller.data() + 1);
/// assert_eq!(answer.typed::<(), i32>(&store)?.call(&mut store, ())?, 42);
/// # Ok::<(), wasmscope::Error>(())
/// ```
pub struct Store<T> {
    /// From `Box::into_raw`. A raw pointer, because contexts have copies of it.
    inner: NonNull<StoreInner<T>>,
}

// SAFETY: a store owns what it points to.
unsafe impl<T: Send> Send for Store<T> {}
// SAFETY: a shared store gives shared access only.
unsafe impl<T: Sync> Sync for Store<T> {}

#[repr(C)]
pub struct StoreInner<T> {
    /// First: the address of the one is the address of the other.
    pub(crate) opaque: StoreOpaque,
    pub(crate) data: T,
    limiter: Limiter<T>,
}

impl<T> StoreInner<T> {
    /// The parts that are needed to make something that the limiter must agree to.
    pub(crate) fn with_limiter(&mut self) -> (&mut StoreOpaque, &mut dyn ResourceLimiter) {
        (&mut self.opaque, self.limiter.get(&mut self.data))
    }

    /// Lets the guest's operators ask the limiter.
    ///
    /// # Safety
    ///
    /// `store` must be the first field of a `StoreInner<T>` that nobody else uses at this time but for the guest that
    /// waits for this call.
    unsafe fn ask_limiter(store: *mut StoreOpaque, ask: &mut dyn FnMut(&mut dyn ResourceLimiter)) {
        let inner = store.cast::<StoreInner<T>>();
        // SAFETY: the caller's promise; the two fields are borrowed apart from the opaque part of the store.
        let (data, limiter) = unsafe { (&mut (*inner).data, &mut (*inner).limiter) };
        ask(limiter.get(data));
    }
}

/// A shared borrow of a [`Store`].
pub struct StoreContext<'a, T>(pub(crate) &'a StoreInner<T>);

/// A mutable borrow of a [`Store`].
pub struct StoreContextMut<'a, T>(pub(crate) &'a mut StoreInner<T>);

impl<T> StoreContext<'_, T> {
    /// The embedder's data.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.0.opaque.engine()
    }
}

impl<T> StoreContextMut<'_, T> {
    /// The embedder's data.
    #[must_use]
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.0.opaque.engine()
    }

    /// As [`Store::gc`].
    pub fn gc(&mut self) {
        self.0.opaque.collect();
    }

    /// The store for calls into the guest, which come back with copies of this very pointer.
    pub(crate) fn raw(&mut self) -> *mut StoreOpaque {
        std::ptr::from_mut::<StoreInner<T>>(self.0).cast()
    }
}

/// What a store can be borrowed from: `&Store`, `&Caller`, [`StoreContext`], ...
pub trait AsContext {
    /// The embedder's data.
    type Data;
    /// Borrows the store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// What a store can be borrowed mutably from: `&mut Store`, `&mut Caller`, [`StoreContextMut`], ...
pub trait AsContextMut: AsContext {
    /// Borrows the store mutably.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

/// Stops a store's guest from another thread.
#[derive(Clone, Debug)]
pub struct InterruptHandle(Arc<VMRuntimeLimits>);

impl InterruptHandle {
    /// The guest, if it runs or else as soon as it runs, traps with [`Trap::Interrupt`](crate::Trap::Interrupt).
    ///
    /// ```
    /// use wasmscope::{Config, Engine, Instance, Module, Store, Trap};
    ///
    /// let engine = Engine::new(Config::new().interruptible(true))?;
    /// let module = Module::new(&engine, r#"(module (func (export "spin") (loop (br 0))))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// let spin = Instance::new(&mut store, &module, &[])?.get_typed_func::<(), ()>(&mut store, "spin")?;
    /// let handle = store.interrupt_handle()?;
    /// let thread = std::thread::spawn(move || handle.interrupt());
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
    /// # thread.join().unwrap();
    /// # Ok::<(), wasmscope::Error>(())
    /// ```
    pub fn interrupt(&self) {
        self.0.interrupted.store(1, Ordering::SeqCst);
    }

    /// Takes an interruption back that the guest has not noticed yet.
    pub fn clear(&self) {
        self.0.interrupted.store(0, Ordering::SeqCst);
    }
}

impl<T> Store<T> {
    /// An empty store.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        let opaque = StoreOpaque::new(engine, StoreInner::<T>::ask_limiter);
        let inner = Box::new(StoreInner { opaque, data, limiter: Limiter::Limits(StoreLimits::default()) });
        Store { inner: NonNull::new(Box::into_raw(inner)).expect("a box is not null") }
    }

    fn inner(&self) -> &StoreInner<T> {
        // SAFETY: from `Box::into_raw`; the borrow is the store's.
        unsafe { self.inner.as_ref() }
    }

    fn inner_mut(&mut self) -> &mut StoreInner<T> {
        // SAFETY: from `Box::into_raw`; the borrow is the store's, so that no guest of it runs.
        unsafe { self.inner.as_mut() }
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.inner().data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.inner_mut().data
    }

    /// Destroys the store, keeps the data.
    pub fn into_data(self) -> T {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: from `Box::into_raw`; `self` is not dropped.
        let inner = unsafe { Box::from_raw(this.inner.as_ptr()) };
        inner.data
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.inner().opaque.engine()
    }

    /// Sets limits for what is allocated from now on.
    ///
    /// ```
    /// use wasmscope::{Engine, Instance, Module, Store, StoreLimitsBuilder};
    ///
    /// let engine = Engine::default();
    /// let mut store = Store::new(&engine, ());
    /// store.set_limits(StoreLimitsBuilder::new().memory_size(1 << 20).build());
    /// let module = Module::new(&engine, "(module (memory 17))")?;
    /// assert!(Instance::new(&mut store, &module, &[]).is_err());
    /// # Ok::<(), wasmscope::Error>(())
    /// ```
    pub fn set_limits(&mut self, limits: StoreLimits) {
        self.inner_mut().limiter = Limiter::Limits(limits);
    }

    /// Lets a part of the embedder's data decide what is allocated from now on; replaces what
    /// [`set_limits`](Store::set_limits) has set. See [`ResourceLimiter`].
    pub fn limiter(&mut self, limiter: impl FnMut(&mut T) -> &mut (dyn ResourceLimiter) + Send + Sync + 'static) {
        self.inner_mut().limiter = Limiter::Hook(Box::new(limiter));
    }

    /// How deep this store's guests may recurse: the bytes of native stack that they may use from now on, instead of the
    /// engine's [`max_wasm_stack`](crate::Config::max_wasm_stack). Less if the thread's stack has less left.
    ///
    /// ```
    /// use wasmscope::{Engine, Instance, Module, Store, Trap};
    ///
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module (func $f (export "f") (param i32) (result i32)
    ///     (if (result i32) (local.get 0)
    ///         (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
    ///         (else (i32.const 0)))))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// let f = Instance::new(&mut store, &module, &[])?.get_typed_func::<i32, i32>(&mut store, "f")?;
    /// assert_eq!(f.call(&mut store, 10_000)?, 10_000);
    /// store.set_max_wasm_stack(16 << 10);
    /// let error = f.call(&mut store, 10_000).unwrap_err();
    /// assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::StackOverflow));
    /// # Ok::<(), wasmscope::Error>(())
    /// ```
    pub fn set_max_wasm_stack(&mut self, bytes: usize) {
        self.inner_mut().opaque.set_max_wasm_stack(bytes);
    }

    /// A handle that stops this store's guest.
    ///
    /// # Errors
    ///
    /// If the engine's code is not [interruptible](crate::Config::interruptible).
    pub fn interrupt_handle(&self) -> Result<InterruptHandle> {
        if !self.engine().tunables().interruptible {
            return Err(Error::msg("the engine's code is not interruptible (Config::interruptible)"));
        }
        Ok(InterruptHandle(Arc::clone(self.inner().opaque.limits())))
    }

    /// Drops host values that the guest no longer refers to. This also happens by itself as their number grows.
    ///
    /// Their drop handlers run here. If the guest waits for the host that calls this, its frames are searched for the
    /// references that they still use.
    pub fn gc(&mut self) {
        self.as_context_mut().gc();
    }

    /// Where the [identity map](crate::Config::identity_map) of this store's memory is, if it has one.
    pub fn identity_map(&self) -> Option<IdentityMapState> {
        self.inner().opaque.memories().iter().find_map(|memory| memory.identity_map())
    }
}

impl<T> Drop for Store<T> {
    fn drop(&mut self) {
        // SAFETY: from `Box::into_raw`, dropped once.
        drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("data", self.data()).finish_non_exhaustive()
    }
}

impl<'a, T, C: AsContext<Data = T>> From<&'a C> for StoreContext<'a, T> {
    fn from(store: &'a C) -> StoreContext<'a, T> {
        store.as_context()
    }
}

impl<'a, T, C: AsContextMut<Data = T>> From<&'a mut C> for StoreContext<'a, T> {
    fn from(store: &'a mut C) -> StoreContext<'a, T> {
        C::as_context(store)
    }
}

impl<'a, T, C: AsContextMut<Data = T>> From<&'a mut C> for StoreContextMut<'a, T> {
    fn from(store: &'a mut C) -> StoreContextMut<'a, T> {
        store.as_context_mut()
    }
}

impl<T> AsContext for Store<T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.inner())
    }
}
impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.inner_mut())
    }
}
impl<T> AsContext for StoreContext<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}
impl<T> AsContext for StoreContextMut<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}
impl<T> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}
impl<C: AsContext> AsContext for &C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}
impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}
impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}
