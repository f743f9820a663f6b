//! Settings of an engine.

use crate::api::{Error, Result};
use crate::environ::{DebugInfo, OptLevel, PointerFlavour, Tunables};

/// Settings of an [`Engine`](crate::Engine).
///
/// ```
/// use wasmscope::{Config, DebugInfo, Engine};
///
/// let mut config = Config::new();
/// config.debug_info(DebugInfo::Full).interruptible(true);
/// let engine = Engine::new(&config)?;
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) tunables: Tunables,
    pub(crate) max_wasm_stack: usize,
    pub(crate) identity_map: Option<bool>,
    pub(crate) wasm_backtrace: bool,
    pub(crate) profile: Option<debugger_support::Profile>,
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl Config {
    /// The defaults: optimized for speed, no debug info, not interruptible.
    #[must_use]
    pub fn new() -> Config {
        Config {
            tunables: Tunables::default(),
            max_wasm_stack: 1 << 20,
            identity_map: None,
            wasm_backtrace: true,
            profile: None,
        }
    }

    /// What is written for profilers when a module is loaded; nothing by default. With a jitdump, debug info in the wasm
    /// file gives lines.
    pub fn profile(&mut self, profile: debugger_support::Profile) -> &mut Config {
        self.profile = Some(profile);
        self
    }

    /// Replaces every setting that shapes code.
    pub fn tunables(&mut self, tunables: Tunables) -> &mut Config {
        self.tunables = tunables;
        self
    }

    /// How much debug info is kept. Debuggers are told of modules unless this is [`DebugInfo::None`].
    pub fn debug_info(&mut self, level: DebugInfo) -> &mut Config {
        self.tunables.debug_info = level;
        self
    }

    /// How much the code generator optimizes.
    pub fn opt_level(&mut self, level: OptLevel) -> &mut Config {
        self.tunables.opt_level = level;
        self
    }

    /// Which debugger the pointer types are made for: gdb by default. lldb reads 8 bytes for each pointer of the other's;
    /// [`PointerFlavour::detected`] tells which one is at work.
    pub fn pointer_flavour(&mut self, flavour: PointerFlavour) -> &mut Config {
        self.tunables.pointer_flavour = flavour;
        self
    }

    /// The version of the DWARF that is written (4 or 5).
    pub fn dwarf_version(&mut self, version: u8) -> &mut Config {
        self.tunables.dwarf_version = version;
        self
    }

    /// Whether debuggers also see the wasm's own locals, globals and operand stack (`__wasm_local0`, `__wasm_global0`,
    /// `__wasm_stack0`), with [`DebugInfo::Full`].
    pub fn wasm_variables(&mut self, wasm_variables: bool) -> &mut Config {
        self.tunables.wasm_variables = wasm_variables;
        self
    }

    /// Whether an [`InterruptHandle`](crate::InterruptHandle) can stop the guest.
    pub fn interruptible(&mut self, interruptible: bool) -> &mut Config {
        self.tunables.interruptible = interruptible;
        self
    }

    /// Address space reserved for a memory, in bytes.
    pub fn memory_reservation(&mut self, bytes: u64) -> &mut Config {
        self.tunables.memory_reservation = bytes;
        self
    }

    /// Unmapped bytes behind each memory's reservation.
    pub fn memory_guard_size(&mut self, bytes: u64) -> &mut Config {
        self.tunables.memory_guard_size = bytes;
        self
    }

    /// Whether relaxed SIMD operators give the same results on every machine.
    pub fn relaxed_simd_deterministic(&mut self, deterministic: bool) -> &mut Config {
        self.tunables.relaxed_simd_deterministic = deterministic;
        self
    }

    /// Whether host values are collected at every safepoint: on entry to each function, at each loop, and around each call
    /// of the host. Each collection is held against a conservative scan of the stack, values that were dropped too early
    /// or are missing from the activations table when the guest shows them are a panic, and the memory of dropped values
    /// stays until the store is dropped. Slow: this is to test the collector, or an embedding of it.
    pub fn collect_always(&mut self, collect_always: bool) -> &mut Config {
        self.tunables.collect_always = collect_always;
        self
    }

    /// Bytes of native stack that guest code may use (1 MiB); less if the thread's stack has less left.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Config {
        self.max_wasm_stack = bytes;
        self
    }

    /// Whether a store's first memory is also mapped at the host addresses that equal its wasm addresses, so that
    /// debuggers can follow guest pointers. By default with [`DebugInfo::Full`] only.
    pub fn identity_map(&mut self, identity_map: bool) -> &mut Config {
        self.identity_map = Some(identity_map);
        self
    }

    /// Whether errors get a [`WasmBacktrace`](crate::WasmBacktrace) (they do by default).
    pub fn wasm_backtrace(&mut self, wasm_backtrace: bool) -> &mut Config {
        self.wasm_backtrace = wasm_backtrace;
        self
    }

    /// Refuses settings that make no sense.
    pub(crate) fn check(&self) -> Result<()> {
        const LEAST_STACK: usize = 16 << 10;
        if self.max_wasm_stack < LEAST_STACK {
            return Err(Error::msg(format!("max_wasm_stack must be at least {LEAST_STACK} bytes")));
        }
        if !matches!(self.tunables.dwarf_version, 4 | 5) {
            return Err(Error::msg(format!(
                "DWARF version {} cannot be written, only 4 and 5",
                self.tunables.dwarf_version
            )));
        }
        if self.tunables.memory_guard_size > 1 << 40 || self.tunables.memory_reservation > 1 << 44 {
            return Err(Error::msg("memory_reservation or memory_guard_size exceeds the address space"));
        }
        Ok(())
    }
}
