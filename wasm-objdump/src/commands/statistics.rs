//! `--statistics`: sizes, and how much of the code and of the variables is described.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Result;
use serde::Serialize;

use crate::Arguments;
use crate::dwarf::Variables;
use crate::input::Input;
use crate::native::{FrameTable, Native};
use crate::output::Output;
use crate::wasm::{Module, operators_of, scan};

/// One figure.
#[derive(Serialize)]
struct Figure<'a> {
    name: &'a str,
    value: u64,
    /// Of how much it is a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    out.begin_view("statistics", "Statistics")?;
    match input {
        Input::Wasm(module) => wasm(module, out)?,
        Input::Native(native) => self::native(native, arguments, out)?,
    }
    out.end_view()?;
    match input {
        Input::Wasm(module) => module.check_whole(),
        Input::Native(_) => Ok(()),
    }
}

fn figure(out: &mut Output<'_>, name: &str, value: u64, of: Option<u64>) -> Result<()> {
    out.row(&Figure { name, value, of }, |w, _| match of {
        Some(0) | None => writeln!(w, "{name:<44} {value:>12}"),
        Some(of) => writeln!(w, "{name:<44} {value:>12}  {:5.1} %", value as f64 * 100.0 / of as f64),
    })?;
    Ok(())
}

fn wasm(module: &Module<'_>, out: &mut Output<'_>) -> Result<()> {
    figure(out, "file, bytes", module.bytes.len() as u64, None)?;
    let mut sections: BTreeMap<&str, u64> = BTreeMap::new();
    for section in &module.sections {
        *sections.entry(section.name).or_default() += section.range.end - section.range.start;
    }
    for (name, size) in sections {
        figure(out, &format!("section {name}, bytes"), size, Some(module.bytes.len() as u64))?;
    }
    figure(out, "functions with a body", module.functions.len() as u64, None)?;
    let named = module.functions.iter().filter(|function| module.function_name(function.index).is_some());
    figure(out, "functions with a name", named.count() as u64, Some(module.functions.len() as u64))?;
    if module.custom_data(".debug_info").is_some() {
        let scan = scan(module);
        let uses = &scan.uses.functions;
        let described = uses.iter().filter(|uses| uses.described).count() as u64;
        figure(out, "functions with DWARF", described, Some(module.functions.len() as u64))?;
        let named: usize = uses.iter().map(|uses| uses.locals.len()).sum();
        figure(out, "locals that the DWARF names", named as u64, None)?;
        let statements: usize = uses.iter().map(|uses| uses.statements.len()).sum();
        figure(out, "statements", statements as u64, None)?;
    }
    let mut mnemonics: BTreeMap<String, u64> = BTreeMap::new();
    let mut total = 0;
    for function in &module.functions {
        for operator in operators_of(module, function).0 {
            total += 1;
            let mnemonic = operator.text.split(' ').next().unwrap_or_default();
            match mnemonics.get_mut(mnemonic) {
                Some(count) => *count += 1,
                None => {
                    mnemonics.insert(mnemonic.to_owned(), 1);
                }
            }
        }
    }
    figure(out, "instructions", total, None)?;
    let mut mnemonics: Vec<_> = mnemonics.into_iter().collect();
    mnemonics.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (mnemonic, count) in mnemonics.into_iter().take(20) {
        figure(out, &format!("  {mnemonic}"), count, Some(total))?;
    }
    Ok(())
}

fn native(native: &Native<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let file = native.data.len() as u64;
    figure(out, "file, bytes", file, None)?;
    let elf = goblin::elf::Elf::parse(native.data)?;
    for section in elf.section_headers.iter().filter(|section| section.file_range().is_some() && section.sh_size != 0) {
        let name = elf.shdr_strtab.get_at(section.sh_name).unwrap_or("?");
        figure(out, &format!("section {name}, bytes"), section.sh_size, Some(file))?;
    }
    let functions: Vec<_> = native.functions.iter().filter(|function| function.is_wanted(arguments)).collect();
    let code: u64 = functions.iter().map(|function| function.size).sum();
    figure(out, "functions", functions.len() as u64, None)?;
    figure(out, "code, bytes", code, None)?;
    if let Some(artifact) = &native.artifact {
        let mut mapped = 0;
        let mut rows = 0;
        let mut anchors = 0;
        for function in &functions {
            let map = native.address_map_of(function);
            for (index, (start, part)) in map.iter().enumerate() {
                let end = map.get(index + 1).map_or(function.end(), |(next, _)| *next);
                rows += 1;
                anchors += u64::from(part.anchor);
                mapped += if part.wasm.is_some() { end - start } else { 0 };
            }
        }
        figure(out, "address map, rows", rows, None)?;
        figure(out, "code of wasm operators, bytes", mapped, Some(code))?;
        figure(out, "statement anchors", anchors, None)?;
        let rows = functions.iter().filter_map(|function| function.row);
        let (mut traps, mut homes) = (0, 0);
        for row in rows {
            traps += artifact.traps_of(&row).len() as u64;
            homes += artifact.homes_of(&row).len() as u64;
        }
        figure(out, "trapping instructions", traps, None)?;
        figure(out, "wasm locals with a home", homes, None)?;
        figure(out, "stack maps", artifact.stack_maps().len() as u64, None)?;
        let lost: u64 = artifact.losses()?.iter().filter(|loss| loss.detail.is_empty()).map(|loss| loss.count).sum();
        figure(out, "debug info not translated (--losses)", lost, None)?;
        figure(out, "relocations of debug sections", artifact.relocations().len() as u64, None)?;
    }
    if let Ok(table) = FrameTable::read(native)
        && !table.functions.is_empty()
    {
        let rows: usize = table.functions.iter().map(|function| function.rows.len()).sum();
        let section = native.section(table.section).map_or(0, |(_, bytes)| bytes.len() as u64);
        figure(out, "frame table, functions", table.functions.len() as u64, Some(native.functions.len() as u64))?;
        figure(out, "frame table, rows", rows as u64, None)?;
        figure(out, "frame table, bytes a function", section / table.functions.len() as u64, None)?;
    }
    variables(native, &functions, out)
}

/// Local variables: how many have a location at all, and in how much of their scope.
fn variables(
    native: &Native<'_>,
    functions: &[&crate::native::NativeFunction<'_>],
    out: &mut Output<'_>,
) -> Result<()> {
    let names = |register| native.register_name(register);
    let variables = Variables::read(&native.dwarf(), &names)?;
    let (mut count, mut located, mut scope, mut covered) = (0, 0, 0, 0);
    for function in functions {
        for variable in variables.of_function(function.address..function.end()) {
            count += 1;
            let here = variable.locations.iter().filter(|(_, location)| location != "optimized out");
            let mut parts: Vec<Range<u64>> = here.map(|(range, _)| range.clone()).collect();
            located += u64::from(!parts.is_empty());
            scope += variable.scope.iter().map(|range| range.end - range.start).sum::<u64>();
            parts.sort_by_key(|part| part.start);
            let mut from = 0;
            for part in parts {
                let start = part.start.max(from);
                // A location may be said to hold beyond the scope; that does not count.
                for scope in &variable.scope {
                    covered += scope.end.min(part.end).saturating_sub(scope.start.max(start));
                }
                from = from.max(part.end);
            }
        }
    }
    figure(out, "local variables and parameters", count, None)?;
    figure(out, "  with a location", located, Some(count))?;
    figure(out, "  bytes of their scopes with a location", covered, Some(scope))
}
