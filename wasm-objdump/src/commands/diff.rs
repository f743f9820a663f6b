//! `--diff`: what changed between two files, function by function.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::native::Disassembler;
use crate::output::Output;
use crate::wasm::operators_of;

#[derive(Serialize)]
struct Change<'a> {
    function: &'a str,
    change: &'static str,
    size_before: Option<u64>,
    size_after: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
}

/// A function for comparison: its size, and its instructions without addresses.
struct Compared {
    size: u64,
    lines: Vec<String>,
}

pub fn run(before: (&str, &[u8]), after: (&str, &[u8]), arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let old = Input::open(before.1).with_context(|| before.0.to_owned())?;
    let new = Input::open(after.1).with_context(|| after.0.to_owned())?;
    out.begin_file(&format!("{} -> {}", before.0, after.0), &format!("{} -> {}", old.format(), new.format()))?;
    let old = functions(&old, arguments);
    let new = functions(&new, arguments);
    out.begin_view("diff", "Functions that differ")?;
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let (mut same, mut changed, mut bytes) = (0u64, 0u64, 0i64);
    for name in names {
        let (a, b) = (old.get(name), new.get(name));
        bytes += b.map_or(0, |f| f.size as i64) - a.map_or(0, |f| f.size as i64);
        let (change, lines) = match (a, b) {
            (Some(a), Some(b)) if a.lines == b.lines => {
                same += 1;
                continue;
            }
            (Some(a), Some(b)) => ("changed", difference(&a.lines, &b.lines)),
            (Some(_), None) => ("only before", Vec::new()),
            _ => ("only after", Vec::new()),
        };
        changed += 1;
        let row =
            Change { function: name, change, size_before: a.map(|f| f.size), size_after: b.map(|f| f.size), lines };
        out.row(&row, |w, palette| {
            let size = |size: Option<u64>| size.map_or_else(|| "-".to_owned(), |size| size.to_string());
            let (old, new) = (size(row.size_before), size(row.size_after));
            writeln!(w, "{}<{name}>{}: {change}, {old} -> {new} bytes", palette.name, palette.reset)?;
            for line in &row.lines {
                let colour = match line.as_bytes().first() {
                    Some(b'-') => palette.error,
                    Some(b'+') => palette.source,
                    _ => "",
                };
                writeln!(w, "  {colour}{line}{}", palette.reset)?;
            }
            Ok(())
        })?;
    }
    out.end_view()?;
    out.note(&format!("{changed} functions differ, {same} are the same; {bytes:+} bytes of code"))?;
    out.end_file()?;
    out.flush()?;
    Ok(())
}

fn functions(input: &Input<'_>, arguments: &Arguments) -> BTreeMap<String, Compared> {
    let mut found = BTreeMap::new();
    let mut add = |name: String, compared: Compared| {
        // Functions of one name are told apart by their order.
        let mut key = name.clone();
        for number in 2.. {
            if !found.contains_key(&key) {
                break;
            }
            key = format!("{name} #{number}");
        }
        found.insert(key, compared);
    };
    match input {
        Input::Wasm(module) => {
            for function in &module.functions {
                let name = module.function_name(function.index);
                if !crate::symbols::matches(arguments.function.as_deref(), Some(function.index), name) {
                    continue;
                }
                let name = name.map_or_else(|| format!("func[{}]", function.index), str::to_owned);
                let range = function.body.range();
                let lines = operators_of(module, function).0.into_iter().map(|operator| operator.text).collect();
                add(name, Compared { size: range.end - range.start, lines });
            }
        }
        Input::Native(native) => {
            let mut disassembler = Disassembler::new(native, arguments);
            for function in native.functions.iter().filter(|function| function.is_wanted(arguments)) {
                let lines = disassembler.instructions_of(function);
                let lines = lines.into_iter().map(|line| without_addresses(&line.text, function.address)).collect();
                add(function.display_name(arguments), Compared { size: function.size, lines });
            }
        }
    }
    found
}

/// Addresses of branch targets differ whenever anything before them changed: within the function they become relative,
/// elsewhere the name stays.
fn without_addresses(text: &str, function: u64) -> String {
    if let Some((start, rest)) = text.split_once(" (0x")
        && let Some((_, tail)) = rest.split_once(')')
    {
        return format!("{start}{tail}");
    }
    let is_branch = text.starts_with('j') || text.starts_with("call") || text.starts_with("loop");
    if let Some((mnemonic, target)) = text.rsplit_once(' ').filter(|_| is_branch)
        && let Some(address) = target.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok())
    {
        return format!("{mnemonic} .{:+#x}", address.wrapping_sub(function) as i64);
    }
    text.to_owned()
}

/// Longer functions are compared by their beginning and end only.
const COMPARED_LINES: usize = 2_000;
/// Unchanged lines around a change.
const AROUND: usize = 2;

/// Lines with `-`, `+` or a space before them, with what is the same left out.
fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let end = before[start..].iter().rev().zip(after[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&before[start..before.len() - end], &after[start..after.len() - end]);
    let mut lines: Vec<(char, &String)> = Vec::new();
    if old.len() > COMPARED_LINES || new.len() > COMPARED_LINES {
        return vec![format!("  ({} lines became {})", old.len(), new.len())];
    }
    lines.extend(before[start.saturating_sub(AROUND)..start].iter().map(|line| (' ', line)));

    // The longest common subsequence, by dynamic programming over what is left.
    let width = new.len() + 1;
    let mut longest = vec![0u16; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', &old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
            lines.push(('-', &old[i]));
            i += 1;
        } else {
            lines.push(('+', &new[j]));
            j += 1;
        }
    }
    lines.extend(before[before.len() - end..].iter().take(AROUND).map(|line| (' ', line)));

    let is_near_change = |index: usize| {
        let from = index.saturating_sub(AROUND);
        lines[from..lines.len().min(index + AROUND + 1)].iter().any(|(sign, _)| *sign != ' ')
    };
    let mut shown = Vec::new();
    let mut left_out = 0;
    for (index, (sign, line)) in lines.iter().enumerate() {
        if is_near_change(index) {
            if left_out > 0 {
                shown.push(format!("  ... {left_out} the same"));
                left_out = 0;
            }
            shown.push(format!("{sign} {line}"));
        } else {
            left_out += 1;
        }
    }
    shown
}
