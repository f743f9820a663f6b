//! Layout of the structures that compiled code reads and writes (x86-64 and every other 64-bit target).
//!
//! ```text
//! VMContext (one per instance, 16-byte aligned)
//!   0   magic: u32 = "wctx", reserved: u32
//!   8   limits: *mut VMRuntimeLimits
//!   16  builtins: *const [*const u8; NUM_BUILTINS]
//!   24  store: *mut u8                 opaque to compiled code
//!   32  instance: *mut u8              opaque to compiled code
//!   40  activations: *mut VMExternRefActivations
//!   48  type_ids: *const u32           engine-wide type number of each type of the module
//!   56  reserved: u64
//!   64  imported functions   [VMFunctionImport; n]   {wasm_call, vmctx}             16 bytes each
//!       imported tables      [*mut VMTableDefinition; n]
//!       imported memories    [*mut VMMemoryDefinition; n]
//!       imported globals     [*mut VMGlobalDefinition; n]
//!       defined memory ptrs  [*mut VMMemoryDefinition; n] one for each defined memory (shared ones lie elsewhere)
//!       defined memories     [VMMemoryDefinition; n]  {base, byte length}            16 bytes each
//!       defined tables       [VMTableDefinition; n]   {base, element count: u64}     16 bytes each
//!       (aligned to 16)
//!       defined globals      [VMGlobalDefinition; n]                                 16 bytes each
//!       function references  [VMFuncRef; n]                                          32 bytes each
//! VMFuncRef
//!   0   wasm_call: *const u8           guest calling convention: (callee vmctx, caller vmctx, params...)
//!   8   vmctx: *mut u8                 VMContext or VMHostFuncContext
//!   16  array_to_wasm: *const u8       trampoline of this type, or null for a host function
//!   24  type_id: u32, reserved: u32
//! VMHostFuncContext
//!   0   magic: u32 = "host", reserved: u32
//!   8   host_call: extern "C" fn(callee: *mut VMHostFuncContext, caller: *mut VMContext, values: *mut ValRaw) -> u8
//! VMExternRefActivations (one per store; its address is the store's as an owner of counts)
//!   0   next: *mut *mut u8             where the next reference is pushed
//!   8   end: *mut *mut u8              where there is no room
//! header of a host value (what an externref points to)
//!   0   count: usize                   references of the host and of stores that do not own the count, and one for `owned`
//!   8   owner: usize                   the store that counts in `owned`: the address of its VMExternRefActivations, or 0
//!   16  owned: usize                   references of that store; not atomic
//!   24  listed: usize                  `owner` if the value is in that store's activations table, or 0
//! VMRuntimeLimits (one per store)
//!   0   stack_limit: usize
//!   8   interrupted: u64               non-zero: compiled code that checks traps with `Interrupt`
//!   16  last_wasm_exit_fp: usize
//!   24  last_wasm_exit_pc: usize
//!   32  last_wasm_entry_fp: usize
//! ```

use crate::environ::Module;

/// The magic number at the start of a `VMContext`.
pub const VMCONTEXT_MAGIC: u32 = u32::from_le_bytes(*b"wctx");
/// The magic number at the start of a `VMHostFuncContext`.
pub const VMHOSTFUNC_MAGIC: u32 = u32::from_le_bytes(*b"host");

/// Offset of the pointer to the `VMRuntimeLimits`.
pub const VMCTX_LIMITS: u32 = 8;
/// Offset of the pointer to the table of built-in functions.
pub const VMCTX_BUILTINS: u32 = 16;
/// Offset of the store's pointer.
pub const VMCTX_STORE: u32 = 24;
/// Offset of the instance's pointer.
pub const VMCTX_INSTANCE: u32 = 32;
/// Offset of the pointer to the activations table's bump chunk.
pub const VMCTX_ACTIVATIONS: u32 = 40;
/// Offset of the pointer to the module's engine-wide type numbers.
pub const VMCTX_TYPE_IDS: u32 = 48;
const VMCTX_HEADER: u32 = 64;

/// Size of a `VMFunctionImport`: `wasm_call` at 0, `vmctx` at 8.
pub const FUNCTION_IMPORT_SIZE: u32 = 16;
/// Size of a `VMMemoryDefinition`: `base` at 0, the length in bytes at 8.
pub const MEMORY_DEFINITION_SIZE: u32 = 16;
/// Size of a `VMTableDefinition`: `base` at 0, the number of elements (u64) at 8.
pub const TABLE_DEFINITION_SIZE: u32 = 16;
/// Size of a `VMGlobalDefinition`.
pub const GLOBAL_DEFINITION_SIZE: u32 = 16;

/// Offsets in a `VMFuncRef`.
pub mod func_ref {
    /// Code that follows the guest calling convention.
    pub const WASM_CALL: u32 = 0;
    /// First argument of that code.
    pub const VMCTX: u32 = 8;
    /// Trampoline from the array calling convention; null for host functions.
    pub const ARRAY_TO_WASM: u32 = 16;
    /// Engine-wide number of the function's type.
    pub const TYPE_ID: u32 = 24;
    /// Size of the structure.
    pub const SIZE: u32 = 32;
}

/// Offset of `host_call` in a `VMHostFuncContext`.
pub const HOSTFUNC_HOST_CALL: u32 = 8;

/// Offsets in a `VMExternRefActivations`.
pub mod activations {
    /// Where the next reference is pushed.
    pub const NEXT: u32 = 0;
    /// Where there is no room.
    pub const END: u32 = 8;
}

/// Offsets in the header of a host value.
pub mod externref {
    /// References that are counted atomically.
    pub const COUNT: u32 = 0;
    /// The store that counts in `OWNED`.
    pub const OWNER: u32 = 8;
    /// References of the owner.
    pub const OWNED: u32 = 16;
    /// The owner, if the value is in its activations table.
    pub const LISTED: u32 = 24;
}

// Debug info has them by the same layouts.
const _: () = {
    use dwarf_transform::{ExternRefField, FuncRefField};
    assert!(externref::COUNT == ExternRefField::Count.offset());
    assert!(externref::OWNER == ExternRefField::Owner.offset());
    assert!(externref::OWNED == ExternRefField::Owned.offset());
    assert!(externref::LISTED == ExternRefField::Listed.offset());
    assert!(func_ref::WASM_CALL == FuncRefField::Code.offset());
    assert!(func_ref::VMCTX == FuncRefField::Context.offset());
};

/// Offsets in a `VMRuntimeLimits`.
pub mod limits {
    /// Lowest address that the stack pointer may reach.
    pub const STACK_LIMIT: u32 = 0;
    /// Non-zero when the guest is to be interrupted.
    pub const INTERRUPTED: u32 = 8;
    /// Frame pointer of the last guest frame that called the host.
    pub const LAST_WASM_EXIT_FP: u32 = 16;
    /// Return address into that frame.
    pub const LAST_WASM_EXIT_PC: u32 = 24;
    /// Frame pointer of the trampoline that entered the guest last.
    pub const LAST_WASM_ENTRY_FP: u32 = 32;
    /// Size of the structure.
    pub const SIZE: u32 = 40;
}

/// Size of a `ValRaw`, the slot of one value in the array calling convention.
pub const VALRAW_SIZE: u32 = 16;
/// Size of an element of a table.
pub const TABLE_ELEMENT_SIZE: u32 = 8;

/// Offsets of a module's `VMContext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VMOffsets {
    imported_functions: u32,
    imported_tables: u32,
    imported_memories: u32,
    imported_globals: u32,
    defined_memory_pointers: u32,
    defined_memories: u32,
    defined_tables: u32,
    defined_globals: u32,
    func_refs: u32,
    size: u32,
    num_imported_tables: u32,
    num_imported_memories: u32,
    num_imported_globals: u32,
}

impl VMOffsets {
    /// The layout of `module`'s contexts.
    ///
    /// # Panics
    ///
    /// If the layout is larger than 4 GiB, which the validator's limits on counts rule out.
    #[must_use]
    pub fn new(module: &Module) -> VMOffsets {
        let mut at = VMCTX_HEADER;
        let mut take = |count: usize, size: u32, align: u32| {
            at = at.next_multiple_of(align);
            let start = at;
            at = u32::try_from(count)
                .ok()
                .and_then(|n| n.checked_mul(size))
                .and_then(|n| at.checked_add(n))
                .expect("the validator limits the number of items");
            start
        };
        let imported_functions = take(module.num_imported_functions as usize, FUNCTION_IMPORT_SIZE, 8);
        let imported_tables = take(module.num_imported_tables as usize, 8, 8);
        let imported_memories = take(module.num_imported_memories as usize, 8, 8);
        let imported_globals = take(module.num_imported_globals as usize, 8, 8);
        let own_memories = module.memories.len() - module.num_imported_memories as usize;
        let own_tables = module.tables.len() - module.num_imported_tables as usize;
        let own_globals = module.globals.len() - module.num_imported_globals as usize;
        let defined_memory_pointers = take(own_memories, 8, 8);
        let defined_memories = take(own_memories, MEMORY_DEFINITION_SIZE, 16);
        let defined_tables = take(own_tables, TABLE_DEFINITION_SIZE, 16);
        let defined_globals = take(own_globals, GLOBAL_DEFINITION_SIZE, 16);
        let func_refs = take(module.num_func_refs as usize, func_ref::SIZE, 16);
        VMOffsets {
            imported_functions,
            imported_tables,
            imported_memories,
            imported_globals,
            defined_memory_pointers,
            defined_memories,
            defined_tables,
            defined_globals,
            func_refs,
            size: at.next_multiple_of(16),
            num_imported_tables: module.num_imported_tables,
            num_imported_memories: module.num_imported_memories,
            num_imported_globals: module.num_imported_globals,
        }
    }

    /// Size of the whole context in bytes.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Offset of the `VMFunctionImport` of imported function `index`.
    #[must_use]
    pub fn imported_function(&self, index: u32) -> u32 {
        self.imported_functions + index * FUNCTION_IMPORT_SIZE
    }

    /// Offset of the pointer to the definition of imported table `index`.
    #[must_use]
    pub fn imported_table(&self, index: u32) -> u32 {
        self.imported_tables + index * 8
    }

    /// Offset of the pointer to the definition of imported memory `index`.
    #[must_use]
    pub fn imported_memory(&self, index: u32) -> u32 {
        self.imported_memories + index * 8
    }

    /// Offset of the pointer to the definition of imported global `index`.
    #[must_use]
    pub fn imported_global(&self, index: u32) -> u32 {
        self.imported_globals + index * 8
    }

    /// Offset of the pointer to the definition of the defined memory number `defined`. For an unshared memory it
    /// points to [`Self::defined_memory`]; for a shared one to the definition that all its users share.
    #[must_use]
    pub fn defined_memory_pointer(&self, defined: u32) -> u32 {
        self.defined_memory_pointers + defined * 8
    }

    /// Offset of the definition of the defined memory number `defined`.
    #[must_use]
    pub fn defined_memory(&self, defined: u32) -> u32 {
        self.defined_memories + defined * MEMORY_DEFINITION_SIZE
    }

    /// Offset of the definition of the defined table number `defined`.
    #[must_use]
    pub fn defined_table(&self, defined: u32) -> u32 {
        self.defined_tables + defined * TABLE_DEFINITION_SIZE
    }

    /// Offset of the definition of the defined global number `defined`.
    #[must_use]
    pub fn defined_global(&self, defined: u32) -> u32 {
        self.defined_globals + defined * GLOBAL_DEFINITION_SIZE
    }

    /// Offset of the `VMFuncRef` number `number`.
    #[must_use]
    pub fn func_ref(&self, number: u32) -> u32 {
        self.func_refs + number * func_ref::SIZE
    }

    /// Where compiled code finds the definition of memory `index` (of the index space).
    #[must_use]
    pub fn memory(&self, module: &Module, index: u32) -> Place {
        match index.checked_sub(self.num_imported_memories) {
            None => Place { offset: self.imported_memory(index), indirect: true },
            Some(own) if module.memories[index as usize].shared => {
                Place { offset: self.defined_memory_pointer(own), indirect: true }
            }
            Some(own) => Place { offset: self.defined_memory(own), indirect: false },
        }
    }

    /// Where compiled code finds the definition of table `index` (of the index space).
    #[must_use]
    pub fn table(&self, index: u32) -> Place {
        match index.checked_sub(self.num_imported_tables) {
            None => Place { offset: self.imported_table(index), indirect: true },
            Some(own) => Place { offset: self.defined_table(own), indirect: false },
        }
    }

    /// Where compiled code finds the definition of global `index` (of the index space).
    #[must_use]
    pub fn global(&self, index: u32) -> Place {
        match index.checked_sub(self.num_imported_globals) {
            None => Place { offset: self.imported_global(index), indirect: true },
            Some(own) => Place { offset: self.defined_global(own), indirect: false },
        }
    }
}

/// Where a definition lies, seen from a `VMContext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Offset in the context.
    pub offset: u32,
    /// Whether a pointer to the definition lies there instead of the definition itself.
    pub indirect: bool,
}
