//! What the transform of debug information would make of a module's DWARF.

use dwarf_transform::{GuestFunction, GuestModule, GuestSection, GuestSections, Scan, ValType, WasmOffset};

use super::Module;

/// Reads the module's DWARF as the compiler does before it generates code.
pub fn scan(module: &Module<'_>) -> Scan {
    let debug = module.sections.iter().filter(|section| section.id == 0 && section.name.starts_with(".debug_"));
    let sections =
        debug.filter_map(|section| Some(GuestSection { name: section.name, bytes: module.custom_data(section.name)? }));
    let functions = module.functions.iter().filter_map(|function| {
        let range = function.body.range();
        let offset = |at: u64| Some(WasmOffset(u32::try_from(at.checked_sub(module.code_start)?).ok()?));
        let code = function.body.get_binary_reader_for_operators().ok()?;
        Some(GuestFunction {
            index: function.index,
            body: offset(range.start)?..offset(range.end)?,
            code_start: offset(code.original_position())?,
            locals: locals_of(module, function)?,
            // A scan has no use for these.
            parameters: 0,
            results: Vec::new(),
        })
    });
    dwarf_transform::scan(&GuestModule {
        sections: GuestSections { sections: sections.collect() },
        functions: functions.collect(),
        imported_functions: module.imported_functions,
        globals: module.globals.iter().map(|&ty| value_type(ty)).collect(),
        wasm_variables: None,
        memory64: module.memory64,
        ..GuestModule::default()
    })
}

/// A body may declare as many locals as this; a hostile one could declare four billion in six bytes.
const MOST_LOCALS: usize = 50_000;

fn locals_of(module: &Module<'_>, function: &super::Function<'_>) -> Option<Vec<ValType>> {
    let parameters = module.function_type(function.index)?.params();
    let mut locals: Vec<ValType> = parameters.iter().map(|&ty| value_type(ty)).collect();
    for group in function.body.get_locals_reader().ok()? {
        let (count, ty) = group.ok()?;
        let count = usize::try_from(count).ok().filter(|count| locals.len() + count <= MOST_LOCALS)?;
        locals.extend(std::iter::repeat_n(value_type(ty), count));
    }
    Some(locals)
}

fn value_type(ty: wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(_) => ValType::Ref,
    }
}
