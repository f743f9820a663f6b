//! `--homes`: wasm locals that live in the frame; of a module those that would, since its DWARF names them.

use anyhow::Result;
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::output::Output;
use crate::wasm::{Module, scan};

#[derive(Serialize)]
struct Row<'a> {
    function: &'a str,
    /// The wasm local; absent for the vmctx.
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    cfa_offset: i32,
    size: u8,
    writable: bool,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    if let Input::Wasm(module) = input {
        return wasm(module, arguments, out);
    }
    let (native, artifact) = super::artifact(input, "--homes")?;
    out.begin_view("homes", "Homes")?;
    for function in native.functions.iter().filter(|function| function.is_wanted(arguments)) {
        let Some(row) = function.row else { continue };
        let homes = artifact.homes_of(&row);
        if homes.is_empty() && row.vmctx_home.is_none() {
            continue;
        }
        let name = function.display_name(arguments);
        out.note(&format!("{:#x} <{name}> {}:", function.address, function.kind()))?;
        if let Some(cfa_offset) = row.vmctx_home {
            let shown = Row { function: &name, local: None, name: Some("vmctx"), cfa_offset, size: 8, writable: false };
            out.row(&shown, |w, palette| {
                writeln!(w, "  {}vmctx{}       [cfa{cfa_offset:+}] 8 bytes", palette.variable, palette.reset)
            })?;
        }
        let index = function.wasm_index();
        for home in homes.iter() {
            let names = native.module.as_ref().map(|module| &module.names.locals);
            let local_name = index.zip(names).and_then(|(index, names)| names.get(&(index, home.local)).copied());
            let shown = Row {
                function: &name,
                local: Some(home.local),
                name: local_name,
                cfa_offset: home.cfa_offset,
                size: home.size,
                writable: home.writable,
            };
            out.row(&shown, |w, palette| {
                let kind = if home.writable { "read back" } else { "a copy" };
                let label = label(home.local);
                write!(w, "  {}{label:<11}{} ", palette.variable, palette.reset)?;
                write!(w, "[cfa{:+}] {} bytes, {kind}", home.cfa_offset, home.size)?;
                writeln!(w, "{}", local_name.map_or_else(String::new, |name| format!(" <{name}>")))
            })?;
        }
    }
    out.end_view()?;
    Ok(())
}

fn shown_local(home: u32) -> String {
    match home.checked_sub(dwarf_transform::ENTRY_VALUE_HOME) {
        Some(local) => format!("{local}@entry"),
        None => home.to_string(),
    }
}

/// What a home holds.
fn label(home: u32) -> String {
    if let Some(depth) = home.checked_sub(dwarf_transform::OPERAND_STACK_HOME) {
        format!("stack[{depth}]")
    } else if let Some(local) = home.checked_sub(dwarf_transform::ENTRY_VALUE_HOME) {
        format!("local[{local}] at entry")
    } else {
        format!("local[{home}]")
    }
}

#[derive(Serialize)]
struct Uses<'a> {
    index: u32,
    name: Option<&'a str>,
    locals: &'a [u32],
    operand_stack_values: usize,
    statements: usize,
}

fn wasm(module: &Module<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let scan = scan(module);
    out.begin_view("homes", "Locals that the DWARF names")?;
    for (function, uses) in module.functions.iter().zip(&scan.uses.functions) {
        let name = module.function_name(function.index);
        if !uses.described || !crate::symbols::matches(arguments.function.as_deref(), Some(function.index), name) {
            continue;
        }
        let row = Uses {
            index: function.index,
            name,
            locals: &uses.locals,
            operand_stack_values: uses.stack_values.len(),
            statements: uses.statements.len(),
        };
        out.row(&row, |w, palette| {
            let mut shown = String::new();
            if let Some(name) = name {
                shown.push_str(" <");
                crate::wasm::push_printable(&mut shown, name);
                shown.push('>');
            }
            let locals: Vec<String> = uses.locals.iter().map(|&local| shown_local(local)).collect();
            let locals = if locals.is_empty() { "none".to_owned() } else { locals.join(" ") };
            write!(w, "func[{}]{}{shown}{}: ", function.index, palette.name, palette.reset)?;
            writeln!(w, "{} statements; locals: {locals}", row.statements)
        })?;
    }
    out.end_view()?;
    module.check_whole()
}
