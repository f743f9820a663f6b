//! Modules out of bytes.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};

/// Steps (calls and loop iterations) after which a generated module traps.
const FUEL: u32 = 1000;

/// A module that runs to an end, has no imports, and gives away all that it computes.
///
/// # Errors
///
/// If there are too few bytes.
pub fn module(bytes: &[u8]) -> arbitrary::Result<Vec<u8>> {
    let mut input = Unstructured::new(bytes);
    let mut config = Config {
        max_imports: 0,
        min_funcs: 1,
        max_memories: 2,
        max_tables: 3,
        max_memory32_bytes: 4 << 16,
        max_memory64_bytes: 4 << 16,
        memory_max_size_required: true,
        table_max_size_required: true,
        max_table_elements: 100,
        max_instructions: 300,
        export_everything: true,
        canonicalize_nans: true,
        // The code generator has none of these, or the oracle has not.
        gc_enabled: false,
        exceptions_enabled: false,
        threads_enabled: false,
        relaxed_simd_enabled: false,
        wide_arithmetic_enabled: false,
        custom_page_sizes_enabled: false,
        compact_imports_enabled: false,
        allow_start_export: true,
        ..Config::default()
    };
    // Two thirds of the modules without vectors, whose many operators crowd out the others.
    config.simd_enabled = input.ratio(1, 3)?;
    config.memory64_enabled = input.ratio(1, 4)?;
    let mut module = Module::new(config, &mut input)?;
    module.ensure_termination(FUEL).map_err(|_| arbitrary::Error::IncorrectFormat)?;
    Ok(module.to_bytes())
}
