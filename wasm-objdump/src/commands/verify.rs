//! `--verify`: does what the file says hold?

use anyhow::{Result, bail};
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::native::{FrameTable, Native, Reader};
use crate::output::Output;
use crate::wasm::Module;

/// Something that is wrong.
#[derive(Serialize)]
struct Finding {
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<u64>,
    problem: String,
}

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let mut findings = Vec::new();
    let mut summary = Vec::new();
    match input {
        Input::Wasm(module) => {
            check_module(module, &mut findings, &mut summary);
            let dwarf = crate::dwarf::load(gimli::RunTimeEndian::Little, |name| module.custom_data(name));
            let code = module.sections.iter().find(|section| section.name == "Code" && section.id == 10);
            let code = code.map(|section| 0..section.range.end - section.range.start).unwrap_or_default();
            check_dwarf(&dwarf, &[code], 0xffff_fffe, &mut findings, &mut summary);
            check_guest(module, &mut findings, &mut summary);
        }
        Input::Native(native) => {
            check_artifact(native, &mut findings, &mut summary);
            check_frames(native, arguments, &mut findings, &mut summary);
            let code = native.code.iter().map(|code| code.address..code.address + code.bytes.len() as u64);
            let code: Vec<_> = code.collect();
            check_dwarf(&native.dwarf(), &code, u64::MAX - 1, &mut findings, &mut summary);
        }
    }
    out.begin_view("verify", "Verification")?;
    for finding in &findings {
        out.row(finding, |w, palette| {
            let at = finding.address.map_or_else(String::new, |address| format!(" at {address:#x}"));
            writeln!(w, "{}{}{at}: {}{}", palette.error, finding.check, finding.problem, palette.reset)
        })?;
    }
    for line in &summary {
        out.note(line)?;
    }
    out.end_view()?;
    match findings.len() {
        0 => Ok(()),
        1 => bail!("1 problem"),
        count => bail!("{count} problems"),
    }
}

fn check_module(module: &Module<'_>, findings: &mut Vec<Finding>, summary: &mut Vec<String>) {
    let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
    match validator.validate_all(module.bytes) {
        Ok(_) => summary.push(format!("module: valid, {} functions", module.functions.len())),
        Err(error) => findings.push(Finding {
            check: "module",
            address: Some(error.offset()),
            problem: error.message().to_owned(),
        }),
    }
}

/// What the compiler would make of the DWARF.
fn check_guest(module: &Module<'_>, findings: &mut Vec<Finding>, summary: &mut Vec<String>) {
    if module.custom_data(".debug_info").is_none() {
        return;
    }
    let scan = crate::wasm::scan(module);
    if scan.zeroed_addresses {
        findings.push(Finding {
            check: "dwarf",
            address: None,
            problem: "every function begins at 0: a tool that ran after the linker (often wasm-opt) moved the code"
                .into(),
        });
    }
    if scan.losses.dead_functions() > 0 {
        summary.push(format!("dwarf: {} functions were removed by the linker", scan.losses.dead_functions()));
    }
    for (kind, count, places) in scan.losses.iter() {
        let first = places.first().map_or_else(String::new, |place| format!(" (first: {place})"));
        summary.push(format!("dwarf: lost in translation: {count} x {kind}{first}"));
    }
}

fn check_artifact(native: &Native<'_>, findings: &mut Vec<Finding>, summary: &mut Vec<String>) {
    let Some(artifact) = &native.artifact else { return };
    let mut add = |check, address, problem: String| findings.push(Finding { check, address, problem });
    if let Err(error) = artifact.verify_content_hash() {
        add("content hash", None, error.to_string());
    }
    let whole = match &native.module {
        None => Err("the wasm module in the artifact cannot be read".to_owned()),
        Some(module) => module.check_whole().map_err(|error| error.to_string()),
    };
    if let Err(problem) = whole {
        add("module", None, problem);
    }
    let Some(module) = &native.module else { return };
    let mut rows = 0;
    for function in &native.functions {
        let Some(row) = function.row else { continue };
        let Some(index) = function.wasm_index() else { continue };
        let Some(body) = module.function(index) else {
            add("functions", Some(function.address), format!("the module has no body for func[{index}]"));
            continue;
        };
        let range = body.body.range();
        let expected = (range.start - module.code_start)..(range.end - module.code_start);
        let found = u64::from(row.body.0)..u64::from(row.body.0) + u64::from(row.body_size);
        if row.body_size != 0 && (found.start < expected.start || found.end > expected.end) {
            let problem = format!(
                "func[{index}] names the body {:#x}..{:#x}; in the module it is {:#x}..{:#x}",
                found.start, found.end, expected.start, expected.end
            );
            add("functions", Some(function.address), problem);
        }
        let operators = super::explain::operators_by_offset(native, function);
        // Code that sets the declared locals to zero belongs to their declaration.
        let first_operator = operators.first().map_or(0, |(offset, _)| *offset);
        for entry in artifact.address_map_of(&row).iter() {
            rows += 1;
            let Some(wasm) = entry.wasm else { continue };
            let is_declaration = expected.contains(&u64::from(wasm.0)) && wasm.0 < first_operator;
            if !is_declaration && super::explain::operator_at(&operators, wasm.0).is_none() {
                let address = entry.text.link_address();
                add("address map", Some(address), format!("no operator of func[{index}] starts at {:#x}", wasm.0));
            }
        }
    }
    summary.push(format!(
        "tables: {} functions, {rows} rows of the address map held against the module",
        native.functions.len()
    ));
}

fn check_frames(native: &Native<'_>, arguments: &Arguments, findings: &mut Vec<Finding>, summary: &mut Vec<String>) {
    let Some((eh_frame_address, eh_frame)) = native.section(".eh_frame").filter(|(_, bytes)| !bytes.is_empty()) else {
        summary.push("frames: the file has no .eh_frame".to_owned());
        return;
    };
    if native.machine != object::Architecture::X86_64 {
        summary.push("frames: rows can be held against x86-64 code only".to_owned());
        return;
    }
    let mut total = unwind::check::Report::default();
    // The search table covers all functions: it can be judged once, and not with a choice of them.
    let mut eh_frame_hdr = native
        .section(".eh_frame_hdr")
        .filter(|_| arguments.function.is_none())
        .map(|(address, bytes)| (bytes, address));
    for text in &native.code {
        let end = text.address.saturating_add(text.bytes.len() as u64);
        let functions = native.functions.iter().filter(|function| function.is_wanted(arguments));
        let functions = functions.filter(|function| function.address >= text.address && function.end() <= end);
        let mut functions: Vec<_> = functions.map(|function| function.address..function.end()).collect();
        if native.artifact.is_none() {
            add_described_functions(native, arguments, text.address..end, &mut functions);
        }
        if functions.is_empty() {
            continue;
        }
        let mut report = unwind::check::check(&unwind::check::Checked {
            text: &text.bytes,
            text_address: text.address,
            functions: &functions,
            eh_frame,
            eh_frame_address,
            eh_frame_hdr: eh_frame_hdr.take(),
            foreign: native.artifact.is_none(),
        });
        total.functions += report.functions;
        total.parts += report.parts;
        total.instructions += report.instructions;
        total.disagreements.append(&mut report.disagreements);
        total.undecided.append(&mut report.undecided);
    }
    if native.artifact.is_none() {
        // Other compilers' start files and assembly have functions without rows.
        let (without, wrong) = total.disagreements.into_iter().partition(unwind::check::Disagreement::is_without_row);
        total.disagreements = wrong;
        total.undecided.extend::<Vec<_>>(without);
    }
    let finding = |disagreement: &unwind::check::Disagreement| {
        let place = native.symbolize(disagreement.address, arguments).unwrap_or_default();
        Finding { check: "frames", address: Some(disagreement.address), problem: format!("{place} {disagreement}") }
    };
    findings.extend(total.disagreements.iter().map(finding));
    summary.push(format!(
        "frames: {} functions, {} instructions held against their rows, {} disagreements",
        total.functions,
        total.instructions,
        total.disagreements.len()
    ));
    if total.parts > 0 {
        summary.push(format!("frames: {} landing pads, taken to start as their first rows say", total.parts));
    }
    if native.artifact.is_some() {
        // Nothing that this compiler emits may be beyond the checker.
        findings.extend(total.undecided.iter().map(finding));
        return;
    }
    let mut reasons: Vec<(String, usize, u64)> = Vec::new();
    for undecided in &total.undecided {
        let reason = undecided.reason();
        match reasons.iter_mut().find(|known| known.0 == reason) {
            Some(known) => known.1 += 1,
            None => reasons.push((reason, 1, undecided.address)),
        }
    }
    reasons.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    for (reason, count, first) in reasons {
        summary.push(format!("frames: undecided: {count} x {reason} (first: {first:#x})"));
    }
}

/// Adds to the functions that symbols name those that only the frame table knows: of stripped files, all.
fn add_described_functions(
    native: &Native<'_>,
    arguments: &Arguments,
    text: std::ops::Range<u64>,
    functions: &mut Vec<std::ops::Range<u64>>,
) {
    if arguments.function.is_some() {
        return;
    }
    let Ok(table) = FrameTable::read(native) else { return };
    let described: Vec<_> = table
        .functions
        .iter()
        .map(|function| function.start..function.end)
        .filter(|range| text.start <= range.start && range.end <= text.end && !range.is_empty())
        .collect();
    // Symbols without a size of their own, or of a whole section, say less than the table does.
    functions.retain(|function| {
        let at = described.partition_point(|range| range.end <= function.start);
        described.get(at).is_none_or(|range| range.start >= function.end)
    });
    functions.extend(described);
    functions.sort_by_key(|function| function.start);
    functions.dedup_by_key(|function| function.start);
}

/// Entries, ranges, references and line rows. `tombstone` and above mark code that the linker dropped.
fn check_dwarf(
    dwarf: &gimli::Dwarf<Reader<'_>>,
    code: &[std::ops::Range<u64>],
    tombstone: u64,
    findings: &mut Vec<Finding>,
    summary: &mut Vec<String>,
) {
    let mut add = |address, problem: String| findings.push(Finding { check: "dwarf", address, problem });
    let (mut units, mut entries, mut rows) = (0, 0, 0);
    let mut budget = crate::dwarf::budget_of(dwarf);
    let in_code =
        |range: &std::ops::Range<u64>| code.iter().any(|code| code.start <= range.start && range.end <= code.end);
    let mut headers = dwarf.units();
    loop {
        let header = match headers.next() {
            Ok(None) => break,
            Ok(Some(header)) => header,
            Err(error) => {
                add(None, format!(".debug_info: {error}"));
                break;
            }
        };
        let at = header.offset().0;
        let unit = match dwarf.unit(header) {
            Ok(unit) => unit,
            Err(error) => {
                add(None, format!("the unit at {at:#x}: {error}"));
                continue;
            }
        };
        units += 1;
        let unit = unit.unit_ref(dwarf);

        let mut offsets = std::collections::HashSet::new();
        let mut references = Vec::new();
        let mut cursor = unit.entries();
        loop {
            let entry = match cursor.next_dfs() {
                Ok(None) => break,
                Ok(Some(entry)) => entry,
                Err(error) => {
                    add(None, format!("the entries of the unit at {at:#x}: {error}"));
                    break;
                }
            };
            entries += 1;
            offsets.insert(entry.offset().0);
            let place = at + entry.offset().0;
            for attribute in entry.attrs() {
                match attribute.value() {
                    gimli::AttributeValue::UnitRef(target) => references.push((place, attribute.name(), target.0)),
                    gimli::AttributeValue::Exprloc(expression) => {
                        let mut operations = expression.operations(unit.encoding());
                        while let Some(operation) = operations.next().transpose() {
                            if let Err(error) = operation {
                                add(None, format!("{} of the entry at {place:#x}: {error}", attribute.name()));
                                break;
                            }
                        }
                    }
                    value @ (gimli::AttributeValue::LocationListsRef(_)
                    | gimli::AttributeValue::DebugLocListsIndex(_)) => match unit.attr_locations(value) {
                        Ok(Some(mut list)) => {
                            while let Some(location) = list.next().transpose() {
                                budget = budget.saturating_sub(1);
                                if budget == 0 {
                                    break;
                                }
                                match location {
                                    Ok(location) if location.range.begin <= location.range.end => {}
                                    Ok(location) => {
                                        let (begin, end) = (location.range.begin, location.range.end);
                                        add(
                                            Some(begin),
                                            format!(
                                                "a location of the entry at {place:#x} ends before it begins, at {end:#x}"
                                            ),
                                        );
                                    }
                                    Err(error) => {
                                        add(None, format!("the locations of the entry at {place:#x}: {error}"));
                                        break;
                                    }
                                }
                            }
                        }
                        Ok(None) => {}
                        Err(error) => add(None, format!("the locations of the entry at {place:#x}: {error}")),
                    },
                    _ => {}
                }
            }
            match unit.die_ranges(entry) {
                Ok(mut ranges) => loop {
                    match ranges.next() {
                        Ok(None) => break,
                        Ok(Some(range)) => {
                            let range = range.begin..range.end;
                            if range.start >= tombstone || range.is_empty() {
                                continue;
                            }
                            if !in_code(&range) {
                                add(
                                    Some(range.start),
                                    format!(
                                        "{} at {place:#x} covers {:#x}..{:#x}, outside of the code",
                                        entry.tag(),
                                        range.start,
                                        range.end
                                    ),
                                );
                            }
                        }
                        Err(error) => {
                            add(None, format!("the ranges of the entry at {place:#x}: {error}"));
                            break;
                        }
                    }
                },
                Err(error) => add(None, format!("the ranges of the entry at {place:#x}: {error}")),
            }
        }
        for (place, name, target) in references {
            if !offsets.contains(&target) {
                add(None, format!("{name} of the entry at {place:#x} names {:#x}, where no entry starts", at + target));
            }
        }

        let Some(program) = unit.line_program.clone() else { continue };
        let mut lines = program.rows();
        let mut previous: Option<u64> = None;
        loop {
            match lines.next_row() {
                Ok(None) => break,
                Ok(Some((header, row))) => {
                    rows += 1;
                    let address = row.address();
                    if previous.is_some_and(|previous| address < previous) {
                        add(Some(address), "a line row goes back within its sequence".to_owned());
                    }
                    if previous.is_none()
                        && !row.end_sequence()
                        && address < tombstone
                        && !in_code(&(address..address + 1))
                    {
                        add(Some(address), "a line sequence starts outside of the code".to_owned());
                    }
                    if header.file(row.file_index()).is_none() && !row.end_sequence() {
                        add(Some(address), format!("a line row names file {}, which does not exist", row.file_index()));
                    }
                    previous = if row.end_sequence() { None } else { Some(address) };
                }
                Err(error) => {
                    add(None, format!("the line table of the unit at {at:#x}: {error}"));
                    break;
                }
            }
        }
    }
    if budget == 0 {
        add(None, "location lists have more entries than the size of .debug_info can account for".to_owned());
    }
    summary.push(format!("dwarf: {units} units, {entries} entries, {rows} line rows"));
}
