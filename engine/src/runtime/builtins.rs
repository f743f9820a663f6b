//! The functions that compiled code calls through the table in its context.
//!
//! Each is entered through a stub that records where the guest was left, so that backtraces can start there.

use super::entry;
use super::instance::InstanceData;
use super::memory::MemoryInstance;
use super::parking::{self, WaitResult};
use super::store::StoreOpaque;
use super::vm::VMContext;
use crate::api::limits::{grow_memory, grow_table};
use crate::api::{Error, ResourceLimiter, Trap};
use crate::environ::builtins::Builtin;
use crate::environ::vmoffsets::{VMCTX_LIMITS, limits};
use crate::for_each_builtin;
use std::ptr::NonNull;
use std::time::Duration;

/// The table for contexts.
pub fn table() -> *const *const u8 {
    TABLE.0.as_ptr()
}

struct Table([*const u8; crate::environ::builtins::Builtin::ALL.len()]);

// SAFETY: the pointers are addresses of code.
unsafe impl Sync for Table {}

macro_rules! native {
    (vmctx) => { *mut VMContext };
    (pointer) => { *mut u8 };
    (i32) => { u32 };
    (i64) => { u64 };
}

macro_rules! stubs {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $ty:ident),*) $(-> $result:ident)?;)*) => {
        $(
            // The implementation has the declared signature.
            const _: unsafe extern "C" fn($(native!($ty)),*) $(-> native!($result))? = implementation::$name;

            core::arch::global_asm!(
                ".pushsection .text.wasmscope_builtins,\"ax\",@progbits",
                ".p2align 4",
                concat!(".globl wasmscope_builtin_", stringify!($name)),
                concat!(".hidden wasmscope_builtin_", stringify!($name)),
                concat!(".type wasmscope_builtin_", stringify!($name), ",@function"),
                concat!("wasmscope_builtin_", stringify!($name), ":"),
                ".cfi_startproc",
                "mov r11, [rdi + {vmctx_limits}]",
                "mov r10, [rsp]",
                "mov [r11 + {exit_fp}], rbp",
                "mov [r11 + {exit_pc}], r10",
                "jmp {implementation}",
                ".cfi_endproc",
                concat!(".size wasmscope_builtin_", stringify!($name), ", . - wasmscope_builtin_", stringify!($name)),
                ".popsection",
                vmctx_limits = const VMCTX_LIMITS,
                exit_fp = const limits::LAST_WASM_EXIT_FP,
                exit_pc = const limits::LAST_WASM_EXIT_PC,
                implementation = sym implementation::$name,
            );
        )*

        mod stub {
            unsafe extern "C" {
                $(
                    #[link_name = concat!("wasmscope_builtin_", stringify!($name))]
                    pub fn $name();
                )*
            }
        }

        static TABLE: Table = Table([$(stub::$name as *const u8),*]);
    };
}

for_each_builtin!(stubs);

/// The instance that calls.
///
/// # Safety
///
/// `vmctx` must be the guest's.
unsafe fn instance<'a>(vmctx: *mut VMContext) -> &'a mut InstanceData {
    // SAFETY: the guest passes its own context; its instance lives as long as the store, and while the guest waits for
    // this call nobody else uses it.
    unsafe { &mut *(*vmctx).instance }
}

/// A memory of the instance that calls.
///
/// # Safety
///
/// As [`instance`].
unsafe fn memory<'a>(vmctx: *mut VMContext, index: u32) -> Result<&'a mut MemoryInstance, Error> {
    // SAFETY: the caller's promise; as for `instance`.
    unsafe { Ok(&mut *instance(vmctx).memory(index)?.as_ptr()) }
}

/// Runs the body of a built-in function after which the guest itself traps if it went out of `bounds`: 1 then, else 0.
///
/// # Safety
///
/// As [`entry::builtin`].
unsafe fn within_bounds(vmctx: *mut VMContext, bounds: Trap, body: impl FnOnce() -> Result<(), Error>) -> u32 {
    let body = || match body() {
        Err(error) if error.downcast_ref() == Some(&bounds) => Ok(1),
        result => result.map(|()| 0),
    };
    // SAFETY: the caller's promise.
    unsafe { entry::builtin(vmctx, body) }
}

/// The functions behind the stubs.
///
/// # Safety
///
/// All: only compiled code calls them, with its own context, and arguments of the declared types.
#[allow(clippy::missing_safety_doc, reason = "said once, above")]
mod implementation {
    use super::*;
    use crate::runtime::collect;

    pub unsafe extern "C" fn memory_grow(vmctx: *mut VMContext, delta: u64, mem: u32) -> u64 {
        // SAFETY: see the module; nothing here has anything to drop when `builtin` leaves.
        unsafe {
            entry::builtin(vmctx, || {
                let memory = memory(vmctx, mem)?;
                let old = StoreOpaque::ask_limiter((*vmctx).store, |limiter| grow_memory(memory, delta, limiter))?;
                Ok(old.unwrap_or(u64::MAX))
            })
        }
    }

    pub unsafe extern "C" fn memory_copy(
        vmctx: *mut VMContext,
        dst_mem: u32,
        dst: u64,
        src_mem: u32,
        src: u64,
        len: u64,
    ) -> u32 {
        // SAFETY: see the module; the ranges are checked, and may overlap.
        unsafe {
            within_bounds(vmctx, Trap::MemoryOutOfBounds, || {
                let to = instance(vmctx).memory_range(dst_mem, dst, len)?;
                let from = instance(vmctx).memory_range(src_mem, src, len)?;
                std::ptr::copy(from, to, len as usize);
                Ok(())
            })
        }
    }

    pub unsafe extern "C" fn memory_fill(vmctx: *mut VMContext, mem: u32, dst: u64, value: u32, len: u64) -> u32 {
        // SAFETY: see the module; the range is checked.
        unsafe {
            within_bounds(vmctx, Trap::MemoryOutOfBounds, || {
                let to = instance(vmctx).memory_range(mem, dst, len)?;
                std::ptr::write_bytes(to, value as u8, len as usize);
                Ok(())
            })
        }
    }

    pub unsafe extern "C" fn memory_init(
        vmctx: *mut VMContext,
        mem: u32,
        segment: u32,
        dst: u64,
        src: u32,
        len: u32,
    ) -> u32 {
        // SAFETY: see the module.
        unsafe {
            within_bounds(vmctx, Trap::MemoryOutOfBounds, || instance(vmctx).init_memory(mem, segment, dst, src, len))
        }
    }

    pub unsafe extern "C" fn data_drop(vmctx: *mut VMContext, segment: u32) {
        // SAFETY: see the module.
        unsafe {
            entry::builtin(vmctx, || {
                instance(vmctx).drop_data(segment);
                Ok(())
            })
        };
    }

    pub unsafe extern "C" fn table_grow(vmctx: *mut VMContext, table: u32, delta: u32, init: *mut u8) -> u32 {
        // SAFETY: see the module; tables live as long as the store, and nobody else uses them.
        unsafe {
            entry::builtin(vmctx, || {
                let table = &mut *instance(vmctx).table(table)?.as_ptr();
                let grow = |limiter: &mut dyn ResourceLimiter| grow_table(table, delta.into(), init as u64, limiter);
                Ok(StoreOpaque::ask_limiter((*vmctx).store, grow)?.map_or(u32::MAX, |old| old as u32))
            })
        }
    }

    pub unsafe extern "C" fn table_fill(vmctx: *mut VMContext, table: u32, dst: u32, value: *mut u8, len: u32) -> u32 {
        // SAFETY: as for `table_grow`; the borrow ends before drop handlers run.
        unsafe {
            within_bounds(vmctx, Trap::TableOutOfBounds, || {
                let table = instance(vmctx).table(table)?.as_ptr();
                let doomed = (*table).fill(u64::from(dst), u64::from(len), value as u64)?;
                collect::let_go((*vmctx).store, doomed);
                Ok(())
            })
        }
    }

    pub unsafe extern "C" fn table_copy(
        vmctx: *mut VMContext,
        dst_table: u32,
        src_table: u32,
        dst: u32,
        src: u32,
        len: u32,
    ) -> u32 {
        // SAFETY: as for `table_fill`; two tables are borrowed only if they are distinct.
        unsafe {
            within_bounds(vmctx, Trap::TableOutOfBounds, || {
                let to = instance(vmctx).table(dst_table)?;
                let from = instance(vmctx).table(src_table)?;
                let (dst, src, len) = (u64::from(dst), u64::from(src), u64::from(len));
                let doomed = if to == from {
                    (*to.as_ptr()).copy_within(dst, src, len)?
                } else {
                    (*to.as_ptr()).copy_from(dst, from.as_ref(), src, len)?
                };
                collect::let_go((*vmctx).store, doomed);
                Ok(())
            })
        }
    }

    pub unsafe extern "C" fn table_init(
        vmctx: *mut VMContext,
        table: u32,
        segment: u32,
        dst: u32,
        src: u32,
        len: u32,
    ) -> u32 {
        // SAFETY: as for `table_fill`.
        unsafe {
            within_bounds(vmctx, Trap::TableOutOfBounds, || {
                let instance = instance(vmctx);
                let table = instance.table(table)?.as_ptr();
                let items = instance.element_items(segment);
                let doomed = (*table).init(u64::from(dst), items, u64::from(src), u64::from(len))?;
                collect::let_go((*vmctx).store, doomed);
                Ok(())
            })
        }
    }

    pub unsafe extern "C" fn elem_drop(vmctx: *mut VMContext, segment: u32) {
        // SAFETY: see the module; the borrow ends before drop handlers run.
        unsafe {
            entry::builtin(vmctx, || {
                let doomed = instance(vmctx).drop_elements(segment);
                collect::let_go((*vmctx).store, doomed);
                Ok(())
            })
        };
    }

    pub unsafe extern "C" fn activations_insert(vmctx: *mut VMContext, reference: *mut u8) {
        // SAFETY: see the module; a table or global that it was read from keeps the value alive, and from then on the
        // activations table does, even if drop handlers take it out of there.
        unsafe {
            entry::builtin(vmctx, || {
                if let Some(reference) = NonNull::new(reference) {
                    let store = (*vmctx).store;
                    (*store).activations.insert_raw(reference);
                    if (*store).activations.is_full() {
                        collect::collect(store, Some(reference));
                    }
                }
                Ok(())
            });
        }
    }

    pub unsafe extern "C" fn externref_acquire(vmctx: *mut VMContext, reference: *mut u8) {
        // SAFETY: see the module; the guest's reference is alive.
        unsafe {
            entry::builtin(vmctx, || {
                if let Some(reference) = NonNull::new(reference) {
                    let store = &*(*vmctx).store;
                    if store.collects_always() {
                        store.assert_listed(reference);
                    }
                    store.activations.owner().acquire(reference);
                }
                Ok(())
            });
        }
    }

    pub unsafe extern "C" fn externref_release(vmctx: *mut VMContext, reference: *mut u8) {
        // SAFETY: see the module; the table or global from which the guest took the reference had counted it.
        unsafe {
            entry::builtin(vmctx, || {
                if let Some(reference) = NonNull::new(reference) {
                    let store = (*vmctx).store;
                    let doomed = (*store).activations.owner().release(reference);
                    collect::let_go(store, doomed);
                }
                Ok(())
            });
        }
    }

    pub unsafe extern "C" fn collect(vmctx: *mut VMContext) {
        // SAFETY: see the module.
        unsafe {
            entry::builtin(vmctx, || {
                collect::collect((*vmctx).store, None);
                Ok(())
            });
        }
    }

    pub unsafe extern "C" fn memory_atomic_wait(
        vmctx: *mut VMContext,
        mem: u32,
        address: u64,
        expected: u64,
        timeout: u64,
        width: u32,
    ) -> u32 {
        // SAFETY: see the module; the range is checked before it is read, and other threads write it atomically.
        unsafe {
            entry::builtin(vmctx, || {
                let Ok(cell) = instance(vmctx).memory_range(mem, address, u64::from(width)) else {
                    return Ok(Builtin::WAIT_OUTSIDE);
                };
                let Some(_keep) = memory(vmctx, mem)?.as_shared() else { return Ok(2) };
                let still_expected = || match width {
                    4 => parking::load_u32(cell) == expected as u32,
                    _ => parking::load_u64(cell) == expected,
                };
                let timeout = u64::try_from(timeout as i64).ok().map(Duration::from_nanos);
                let interrupted = &(*(*vmctx).limits).interrupted;
                match parking::wait(cell as usize, still_expected, timeout, interrupted) {
                    WaitResult::Woken => Ok(0),
                    WaitResult::NotEqual => Ok(1),
                    WaitResult::TimedOut => Ok(2),
                    WaitResult::Interrupted => Err(Error::new(Trap::Interrupt)),
                }
            })
        }
    }

    pub unsafe extern "C" fn memory_atomic_notify(vmctx: *mut VMContext, mem: u32, address: u64, count: u32) -> u64 {
        // SAFETY: see the module.
        unsafe {
            entry::builtin(vmctx, || {
                let Ok(cell) = instance(vmctx).memory_range(mem, address, 4) else { return Ok(u64::MAX) };
                // Nobody can wait at a memory that is not shared.
                let is_shared = memory(vmctx, mem)?.as_shared().is_some();
                Ok(if is_shared { u64::from(parking::notify(cell as usize, count)) } else { 0 })
            })
        }
    }

    pub unsafe extern "C" fn raise(_vmctx: *mut VMContext) {
        // SAFETY: the trampoline calls this when a host function has returned 1 and thus set the reason; neither has
        // anything to drop.
        unsafe { entry::raise() }
    }
}
