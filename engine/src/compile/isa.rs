//! The code generator's settings.

use super::CompileError;
use crate::environ::{DebugInfo, OptLevel, PointerFlavour, Tunables};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use target_lexicon::{Architecture, Triple};

/// What brings instructions with a VEX or EVEX prefix. gdb's `record` knows none of them.
const UNRECORDABLE: [&str; 10] = [
    "has_avx",
    "has_avx2",
    "has_fma",
    "has_bmi1",
    "has_bmi2",
    "has_avx512f",
    "has_avx512dq",
    "has_avx512vl",
    "has_avx512vbmi",
    "has_avx512bitalg",
];

/// The code generator for `tunables`.
///
/// For the machine we run on it may use every extension of its processor, but those that gdb cannot record where gdb is to debug
/// it; for another it uses the base set.
///
/// # Errors
///
/// A target that the code generator does not know, or a processor without SSE4.1.
pub(crate) fn build(tunables: &Tunables) -> Result<OwnedTargetIsa, CompileError> {
    let target = &tunables.target;
    let unsupported = |reason: String| CompileError::Target { target: target.to_string(), reason };
    let mut flags = settings::builder();
    let mut set = |name: &str, value: &str| flags.set(name, value).map_err(|error| unsupported(error.to_string()));
    set(
        "opt_level",
        match tunables.opt_level {
            OptLevel::None => "none",
            OptLevel::Speed => "speed",
            OptLevel::SpeedAndSize => "speed_and_size",
        },
    )?;
    // Debuggers, backtraces and the collector walk frame pointers.
    set("preserve_frame_pointers", "true")?;
    set("unwind_info", "true")?;
    set("enable_probestack", "true")?;
    set("probestack_strategy", "inline")?;
    set("enable_verifier", "false")?;
    // Jump tables lie between blocks; the frame table must tell them from code.
    set("machine_code_cfg_info", "true")?;
    let mut builder = if *target == Triple::host() {
        cranelift_native::builder_with_options(true).map_err(|reason| unsupported(reason.to_owned()))?
    } else {
        let mut builder =
            cranelift_codegen::isa::lookup(target.clone()).map_err(|error| unsupported(error.to_string()))?;
        if matches!(target.architecture, Architecture::X86_64) {
            for feature in ["has_sse3", "has_ssse3", "has_sse41"] {
                builder.enable(feature).map_err(|error| unsupported(error.to_string()))?;
            }
        }
        builder
    };
    if *target == Triple::host()
        && matches!(target.architecture, Architecture::X86_64)
        && builder.set("has_sse41", "true").is_err()
    {
        builder.enable("has_sse41").map_err(|error| unsupported(error.to_string()))?;
    }
    if *target == Triple::host()
        && matches!(target.architecture, Architecture::X86_64)
        && tunables.debug_info == DebugInfo::Full
        && tunables.pointer_flavour == PointerFlavour::Gdb
    {
        for feature in UNRECORDABLE {
            builder.set(feature, "false").map_err(|error| unsupported(error.to_string()))?;
        }
    }
    builder.finish(settings::Flags::new(flags)).map_err(|error| unsupported(error.to_string()))
}
