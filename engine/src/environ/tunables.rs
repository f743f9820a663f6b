//! Every setting that shapes code.

/// The settings that shape the compiled code, passed whole and hashed whole: two compilations of the same bytes with
/// equal tunables by the same version of the engine give equal artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tunables {
    /// How much the code generator optimizes.
    pub opt_level: OptLevel,
    /// How much debug info is kept for the debugger.
    pub debug_info: DebugInfo,
    /// Which debugger the pointer types are made for.
    pub pointer_flavour: PointerFlavour,
    /// The version of the DWARF that is written (4 or 5).
    pub dwarf_version: u8,
    /// Whether each function that debug info describes has artificial variables for its wasm locals, the module's globals
    /// and its operand stack, beside those of the source. Only where all debug info is kept.
    pub wasm_variables: bool,
    /// Whether loops and calls look whether the guest is to be interrupted.
    pub interruptible: bool,
    /// Address space reserved for a 32-bit memory, in bytes. With 4 GiB, no access needs a bounds check.
    pub memory_reservation: u64,
    /// Unmapped bytes behind the reservation.
    pub memory_guard_size: u64,
    /// Whether relaxed SIMD operators give the same results on every machine.
    pub relaxed_simd_deterministic: bool,
    /// Whether host values are collected at every safepoint, and each collection is checked: a test of the collector.
    pub collect_always: bool,
    /// The machine that the code is made for.
    pub target: target_lexicon::Triple,
}

impl Default for Tunables {
    fn default() -> Tunables {
        Tunables {
            opt_level: OptLevel::default(),
            debug_info: DebugInfo::default(),
            pointer_flavour: PointerFlavour::default(),
            dwarf_version: 5,
            wasm_variables: false,
            interruptible: false,
            memory_reservation: 4 << 30,
            memory_guard_size: 2 << 30,
            relaxed_simd_deterministic: false,
            collect_always: false,
            target: target_lexicon::Triple::host(),
        }
    }
}

/// How much the code generator optimizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OptLevel {
    /// Not at all.
    None,
    /// For speed.
    #[default]
    Speed,
    /// For speed and size.
    SpeedAndSize,
}

/// How much debug info is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum DebugInfo {
    /// None.
    #[default]
    None,
    /// Functions and lines, at no cost at run time.
    Lines,
    /// Everything: variables have homes, statements have anchors.
    Full,
}

/// Which debugger the pointer types are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PointerFlavour {
    /// gdb follows pointers of 4 bytes by itself.
    #[default]
    Gdb,
    /// lldb needs them as classes with operators.
    Lldb,
}

impl PointerFlavour {
    /// That of the debugger that runs this process at this moment, gdb's if none does.
    #[must_use]
    pub fn detected() -> PointerFlavour {
        match debugger_support::tracer() {
            debugger_support::Tracer::Lldb => PointerFlavour::Lldb,
            _ => PointerFlavour::Gdb,
        }
    }
}
