//! The structures that compiled code reads and writes, as Rust types. Their layouts are those of
//! [`environ::vmoffsets`](crate::environ::vmoffsets).

use crate::environ::vmoffsets::VMHOSTFUNC_MAGIC;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// The head of an instance's context; the rest is laid out by [`VMOffsets`](crate::environ::VMOffsets).
#[repr(C, align(16))]
pub struct VMContext {
    pub magic: u32,
    pub reserved: u32,
    pub limits: *const VMRuntimeLimits,
    pub builtins: *const *const u8,
    pub store: *mut super::store::StoreOpaque,
    pub instance: *mut super::instance::InstanceData,
    pub activations: *mut super::activations::VMExternRefActivations,
    pub type_ids: *const u32,
    pub reserved2: u64,
}

/// Code of a function and the context to call it with.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct VMFunctionImport {
    pub wasm_call: *const u8,
    pub vmctx: *mut u8,
}

/// What a `funcref` points to.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
pub struct VMFuncRef {
    /// Null only for a host function whose type no module of the store has yet.
    pub wasm_call: *const u8,
    /// A `VMContext` or a `VMHostFuncContext`.
    pub vmctx: *mut u8,
    /// Null for a host function.
    pub array_to_wasm: *const u8,
    pub type_id: u32,
    pub reserved: u32,
}

/// Base and length of a linear memory. The length is atomic because a shared memory's grows under its readers.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct VMMemoryDefinition {
    pub base: *mut u8,
    pub length: AtomicUsize,
}

/// Base and number of elements of a table.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct VMTableDefinition {
    pub base: *mut u64,
    pub elements: u64,
}

/// The value of a global.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct VMGlobalDefinition(pub [u8; 16]);

/// What a store's guest code checks and records.
#[repr(C)]
#[derive(Debug)]
pub struct VMRuntimeLimits {
    pub stack_limit: AtomicUsize,
    pub interrupted: AtomicU64,
    pub last_wasm_exit_fp: AtomicUsize,
    pub last_wasm_exit_pc: AtomicUsize,
    pub last_wasm_entry_fp: AtomicUsize,
}

impl Default for VMRuntimeLimits {
    fn default() -> VMRuntimeLimits {
        VMRuntimeLimits {
            // Nothing may run before an entry has set the limit.
            stack_limit: AtomicUsize::new(usize::MAX),
            interrupted: AtomicU64::new(0),
            last_wasm_exit_fp: AtomicUsize::new(0),
            last_wasm_exit_pc: AtomicUsize::new(0),
            last_wasm_entry_fp: AtomicUsize::new(0),
        }
    }
}

/// The signature of `VMHostFuncContext::host_call`: 0 when the host function returned, else it left an error with the
/// store.
pub type HostCall =
    unsafe extern "C" fn(callee: *mut VMHostFuncContext, caller: *mut VMContext, values: *mut ValRaw) -> u8;

/// The context of a host function.
#[repr(C)]
#[derive(Debug)]
pub struct VMHostFuncContext {
    pub magic: u32,
    pub reserved: u32,
    pub host_call: HostCall,
}

impl VMHostFuncContext {
    pub fn new(host_call: HostCall) -> VMHostFuncContext {
        VMHostFuncContext { magic: VMHOSTFUNC_MAGIC, reserved: 0, host_call }
    }
}

/// The signature of the trampolines into the guest.
pub type ArrayToWasm =
    unsafe extern "C" fn(callee_vmctx: *mut u8, caller_vmctx: *mut u8, wasm_call: *const u8, values: *mut ValRaw);

/// The slot of one value in the array calling convention. The bytes that a type does not use are unspecified.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub union ValRaw {
    pub i32: i32,
    pub i64: i64,
    pub f32: u32,
    pub f64: u64,
    pub v128: u128,
    pub func_ref: Option<NonNull<VMFuncRef>>,
    pub extern_ref: Option<NonNull<u8>>,
}

impl ValRaw {
    pub const ZERO: ValRaw = ValRaw { v128: 0 };
}

const _: () = {
    use crate::environ::vmoffsets::{self, func_ref, limits};
    use std::mem::offset_of;
    assert!(size_of::<VMContext>() == 64);
    assert!(offset_of!(VMContext, limits) == vmoffsets::VMCTX_LIMITS as usize);
    assert!(offset_of!(VMContext, builtins) == vmoffsets::VMCTX_BUILTINS as usize);
    assert!(offset_of!(VMContext, store) == vmoffsets::VMCTX_STORE as usize);
    assert!(offset_of!(VMContext, instance) == vmoffsets::VMCTX_INSTANCE as usize);
    assert!(offset_of!(VMContext, activations) == vmoffsets::VMCTX_ACTIVATIONS as usize);
    assert!(offset_of!(VMContext, type_ids) == vmoffsets::VMCTX_TYPE_IDS as usize);
    assert!(size_of::<VMFunctionImport>() == vmoffsets::FUNCTION_IMPORT_SIZE as usize);
    assert!(size_of::<VMFuncRef>() == func_ref::SIZE as usize);
    assert!(offset_of!(VMFuncRef, wasm_call) == func_ref::WASM_CALL as usize);
    assert!(offset_of!(VMFuncRef, vmctx) == func_ref::VMCTX as usize);
    assert!(offset_of!(VMFuncRef, array_to_wasm) == func_ref::ARRAY_TO_WASM as usize);
    assert!(offset_of!(VMFuncRef, type_id) == func_ref::TYPE_ID as usize);
    assert!(size_of::<VMMemoryDefinition>() == vmoffsets::MEMORY_DEFINITION_SIZE as usize);
    assert!(size_of::<VMTableDefinition>() == vmoffsets::TABLE_DEFINITION_SIZE as usize);
    assert!(size_of::<VMGlobalDefinition>() == vmoffsets::GLOBAL_DEFINITION_SIZE as usize);
    assert!(offset_of!(super::activations::VMExternRefActivations, next) == vmoffsets::activations::NEXT as usize);
    assert!(offset_of!(super::activations::VMExternRefActivations, end) == vmoffsets::activations::END as usize);
    assert!(size_of::<VMRuntimeLimits>() == limits::SIZE as usize);
    assert!(offset_of!(VMRuntimeLimits, interrupted) == limits::INTERRUPTED as usize);
    assert!(offset_of!(VMRuntimeLimits, last_wasm_exit_fp) == limits::LAST_WASM_EXIT_FP as usize);
    assert!(offset_of!(VMRuntimeLimits, last_wasm_exit_pc) == limits::LAST_WASM_EXIT_PC as usize);
    assert!(offset_of!(VMRuntimeLimits, last_wasm_entry_fp) == limits::LAST_WASM_ENTRY_FP as usize);
    assert!(offset_of!(VMHostFuncContext, host_call) == vmoffsets::HOSTFUNC_HOST_CALL as usize);
    assert!(size_of::<ValRaw>() == vmoffsets::VALRAW_SIZE as usize);
};
