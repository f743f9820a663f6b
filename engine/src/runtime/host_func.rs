//! Functions of the host that the guest can call.

use super::store::StoreOpaque;
use super::vm::{HostCall, VMContext, VMFuncRef, VMHostFuncContext, ValRaw};
use crate::api::Error;
use crate::types::FuncType;
use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

/// Calls a closure: its address, the store, the calling instance's context (null: the host calls), arguments and results.
pub type Invoke = unsafe fn(*const (), *mut StoreOpaque, *mut VMContext, *mut ValRaw) -> Result<(), Error>;

/// A closure with its type; no store owns it.
pub struct HostFuncDef {
    ty: FuncType,
    type_id: u32,
    host_call: HostCall,
    invoke: Invoke,
    closure: Box<dyn Any + Send + Sync>,
}

impl HostFuncDef {
    /// A host function.
    ///
    /// # Safety
    ///
    /// `host_call` and `invoke` must be made for closures of type `F` and functions of type `ty`, whose number in the
    /// engine is `type_id`. `host_call` finds the closure with [`HostFunc::closure`].
    pub unsafe fn new<F: Send + Sync + 'static>(
        ty: FuncType,
        type_id: u32,
        host_call: HostCall,
        invoke: Invoke,
        closure: F,
    ) -> HostFuncDef {
        HostFuncDef { ty, type_id, host_call, invoke, closure: Box::new(closure) }
    }

    /// Its type.
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// The number of its type.
    pub fn type_id(&self) -> u32 {
        self.type_id
    }
}

/// A host function in a store.
#[repr(C)]
pub struct HostFunc {
    /// What compiled code gets as callee; first, so that the one's address is the other's.
    context: VMHostFuncContext,
    closure: *const (),
    func_ref: VMFuncRef,
    def: Arc<HostFuncDef>,
}

impl HostFunc {
    /// `wasm_call` is the trampoline to host functions of its type, or null if there is none yet.
    pub fn new(def: Arc<HostFuncDef>, wasm_call: *const u8) -> Box<HostFunc> {
        let closure = std::ptr::from_ref::<dyn Any>(&*def.closure).cast();
        let mut func = Box::new(HostFunc {
            context: VMHostFuncContext::new(def.host_call),
            closure,
            func_ref: VMFuncRef {
                wasm_call,
                vmctx: std::ptr::null_mut(),
                array_to_wasm: std::ptr::null(),
                type_id: def.type_id,
                reserved: 0,
            },
            def,
        });
        let address: *mut HostFunc = &raw mut *func;
        func.func_ref.vmctx = address.cast();
        func
    }

    /// Its function reference.
    pub fn func_ref(&mut self) -> NonNull<VMFuncRef> {
        NonNull::from(&mut self.func_ref)
    }

    /// The address of the closure.
    ///
    /// # Safety
    ///
    /// `callee` must be the context of a live `HostFunc`.
    pub unsafe fn closure(callee: *mut VMHostFuncContext) -> *const () {
        // SAFETY: the context is the first field of a `HostFunc`.
        unsafe { (*callee.cast::<HostFunc>()).closure }
    }

    /// Calls it on behalf of the host.
    ///
    /// # Safety
    ///
    /// `callee` must be the context of a live `HostFunc` of `store`; for `values` see
    /// [`StoreOpaque::call_raw`].
    pub unsafe fn call_from_host(
        callee: *mut VMHostFuncContext,
        store: *mut StoreOpaque,
        values: *mut ValRaw,
    ) -> Result<(), Error> {
        // SAFETY: the caller's promise; the definition says that closure and `invoke` belong together.
        unsafe {
            let func = &*callee.cast::<HostFunc>();
            (func.def.invoke)(func.closure, store, std::ptr::null_mut(), values)
        }
    }
}
