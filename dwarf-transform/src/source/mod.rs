//! What the text of a program says that its debug info leaves out: rows of line tables, and which variables are never assigned.
//!
//! Without optimization, a block of statements that ends with an `if`, a loop or a `switch` leaves a jump behind at its
//! brace: natively an instruction with a row, at which debuggers stop. In wasm the jump's target comes next, so that there is
//! neither instruction nor row; only the place is left, the `end` of a block. Which line it is stands in the text alone.
//!
//! [`tokens`] reads a file, [`statements`] finds the statements of a function in it, for which [`macros`] knows what macros stand for, and
//! [`joins`] lays them over the ends of blocks in the function's code. A row is added only where all of it agrees: every row of the function is where a token
//! begins, the row before and the row after the ends of blocks are where the text leads, and so is the number of ends.
//!
//! Unoptimized Rust has such jumps behind each `if` without an `else`; [`rust`] finds them by the branch to the `end`.
//!
//! [`assigned`] and [`rust`] look for what assigns the variables of a function, for those that the compiler has lost on the way.

mod assigned;
mod joins;
mod macros;
mod rust;
mod statements;
mod tokens;

use crate::address::WasmOffset;
use crate::guest::{GuestSources, Joins};
use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::guest_lines::{GuestRow, UnitLines, header};
use crate::lasting::{Asked, Callee};
use crate::scope::{DESCRIBES_CALLS, Entry, name_of, place_of, producer};
use assigned::{Callees, Macros};
pub(crate) use assigned::{Change, Changes};
use foldhash::{HashMap, HashMapExt, HashSet};
use gimli::{AttributeValue, UnitOffset, constants};
pub(crate) use joins::MissingRow;
use joins::{Code, Text, missing_rows};
use macros::Forms;
use rayon::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use tokens::{Lines, MAX_FUNCTION, Tokens};

/// A place in a file: line and column, as line tables count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) line: u32,
    /// In bytes, from 1.
    pub(crate) column: u32,
}

/// A source file that a line table names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// Its path: absolute, or relative to where it was compiled if that is not known.
    pub path: String,
    /// The MD5 sum of what it was compiled from, if the table has it.
    pub md5: Option<[u8; 16]>,
}

/// The names of the files that a source of C or C++ includes, as it has them.
#[must_use]
pub fn included_files(source: &[u8]) -> Vec<&[u8]> {
    Lines::new(source).map_or_else(Vec::new, |lines| lines.includes().collect())
}

/// The files that the line tables of units name whose texts can tell more.
pub(crate) fn source_files(dwarf: &GuestDwarf<'_>) -> Vec<SourceFile> {
    let mut found = BTreeSet::new();
    for unit in &dwarf.units {
        let mut entries = unit.entries();
        let Ok(Some(root)) = entries.next_dfs() else { continue };
        // What a skeleton unit was compiled from is said in another file.
        let is_skeleton = unit.dwo_id.is_some();
        let wanted = is_skeleton
            || (is_c(root) && may_be_unoptimized(unit))
            || language(root).is_some_and(|language| language == Language::Rust || has_location_lists(unit));
        let Some(header) = header(unit).filter(|_| wanted) else { continue };
        let first = u64::from(header.version() < 5);
        for (number, file) in (first..).zip(header.file_names()) {
            let Some(path) = path(dwarf, unit, number).filter(|_| embedded(dwarf, unit, file).is_none()) else {
                continue;
            };
            found.insert(SourceFile { path, md5: header.file_has_md5().then(|| *file.md5()) });
        }
    }
    found.into_iter().collect()
}

/// Is there a kind of entry for functions that were not optimized? (A few abbreviations tell what all entries would.)
fn may_be_unoptimized(unit: &Unit<'_>) -> bool {
    let kinds = (1..).map_while(|code| unit.abbreviations.get(code));
    kinds.filter(|kind| kind.tag() == constants::DW_TAG_subprogram).any(|kind| {
        let has = |name| kind.attributes().iter().any(|attribute| attribute.name() == name);
        (has(constants::DW_AT_low_pc) || has(constants::DW_AT_ranges)) && !DESCRIBES_CALLS.into_iter().any(has)
    })
}

/// Is it a unit that clang made of C or C++?
pub(crate) fn is_clang<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, root: &Entry<'a>) -> bool {
    is_c(root) && producer(dwarf, unit, root).is_some_and(|producer| producer.to_string_lossy().contains("clang"))
}

/// Do location lists tell where variables are?
fn has_location_lists(unit: &Unit<'_>) -> bool {
    let kinds = (1..).map_while(|code| unit.abbreviations.get(code));
    let is_list = |attribute: &gimli::AttributeSpecification| {
        attribute.name() == constants::DW_AT_location
            && matches!(
                attribute.form(),
                constants::DW_FORM_sec_offset | constants::DW_FORM_loclistx | constants::DW_FORM_data4
            )
    };
    kinds.flat_map(|kind| kind.attributes()).any(is_list)
}

/// Languages whose texts are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Cxx,
    Rust,
}

/// The language of a unit.
pub(crate) fn language(root: &Entry<'_>) -> Option<Language> {
    let Some(AttributeValue::Language(language)) = root.attr_value(constants::DW_AT_language) else { return None };
    match language {
        constants::DW_LANG_C89
        | constants::DW_LANG_C
        | constants::DW_LANG_C99
        | constants::DW_LANG_C11
        | constants::DW_LANG_C17 => Some(Language::C),
        constants::DW_LANG_C_plus_plus
        | constants::DW_LANG_C_plus_plus_03
        | constants::DW_LANG_C_plus_plus_11
        | constants::DW_LANG_C_plus_plus_14
        | constants::DW_LANG_C_plus_plus_17
        | constants::DW_LANG_C_plus_plus_20 => Some(Language::Cxx),
        constants::DW_LANG_Rust => Some(Language::Rust),
        _ => None,
    }
}

fn is_c(root: &Entry<'_>) -> bool {
    matches!(language(root), Some(Language::C | Language::Cxx))
}

/// The path of a file by its number in the unit's line table.
fn path<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, number: u64) -> Option<String> {
    let header = header(unit)?;
    let file = header.file(number)?;
    let text = |value: AttributeValue<Slice<'a>>| dwarf.line_sections(unit).attr_string(unit, value).ok();
    let name = text(file.path_name());
    // Directory 0 is where it was compiled.
    let directory = file.directory(header).filter(|_| file.directory_index() != 0).and_then(text);
    let mut path = String::new();
    for part in [unit.comp_dir, directory, name].into_iter().flatten() {
        let part = part.to_string_lossy();
        if part.starts_with('/') {
            path.clear();
        } else if !path.is_empty() && !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(&part);
    }
    Some(path).filter(|_| name.is_some())
}

/// The text of a file, if the line table holds it.
fn embedded<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, file: &gimli::FileEntry<Slice<'a>>) -> Option<&'a [u8]> {
    let text = dwarf.line_sections(unit).attr_string(unit, file.source()?).ok()?;
    Some(text.slice()).filter(|text| !text.is_empty())
}

fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// The sources that are what was compiled.
pub(crate) struct Originals<'t> {
    /// Path and lines, sorted by path.
    files: Vec<(&'t str, Arc<Lines<'t>>)>,
    /// Those that are included, and have no code: path and lines.
    headers: Vec<(&'t str, Arc<Lines<'t>>)>,
    joins: &'t (dyn Fn(usize) -> Vec<Joins> + Sync),
    behind_silent: &'t (dyn Fn(usize, WasmOffset) -> Option<WasmOffset> + Sync),
}

impl<'t> Originals<'t> {
    pub(crate) fn of(sources: &GuestSources<'t>) -> Originals<'t> {
        let files = sources.files.par_iter().enumerate().filter(|(position, _)| (sources.is_original)(*position));
        let files = files.filter_map(|(_, file)| Some((file.path, Arc::new(Lines::new(file.text)?)))).collect();
        let headers = sources.headers.par_iter();
        let headers = headers.filter_map(|file| Some((file.path, Arc::new(Lines::new(file.text)?)))).collect();
        Originals { files, headers, joins: sources.joins, behind_silent: sources.behind_silent }
    }

    /// Those of the headers that these texts include, directly or not.
    fn included(&self, texts: &Texts<'t>) -> Vec<&Lines<'t>> {
        let mut by_name: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (number, (path, _)) in self.headers.iter().enumerate() {
            by_name.entry(last_name(path.as_bytes())).or_default().push(number);
        }
        let mut found: Vec<&Lines<'t>> = Vec::new();
        if by_name.is_empty() {
            return found;
        }
        let mut is_found = vec![false; self.headers.len()];
        let mut open: Vec<&Lines<'t>> = texts.files.values().map(|text| &**text).collect();
        while let Some(text) = open.pop() {
            for name in text.includes() {
                // What comes before a name is where it is looked for.
                let is_it = |number: &&usize| {
                    let parts = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"." | b".." | b""));
                    let path = self.headers[**number].0.as_bytes().rsplit(|byte| *byte == b'/');
                    parts.rev().zip(path).all(|(part, of_path)| part == of_path)
                };
                for number in by_name.get(last_name(name)).into_iter().flatten().filter(is_it) {
                    if !std::mem::replace(&mut is_found[*number], true) {
                        found.push(&self.headers[*number].1);
                        open.push(&self.headers[*number].1);
                    }
                }
            }
        }
        found
    }

    /// The lines of a file by its number in the unit's line table.
    fn lines<'a: 't>(&self, dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, number: u64) -> Option<Arc<Lines<'t>>> {
        match embedded(dwarf, unit, header(unit)?.file(number)?) {
            Some(text) => Lines::new(text).map(Arc::new),
            None => {
                let path = path(dwarf, unit, number)?;
                let found = self.files.binary_search_by(|file| file.0.cmp(&path)).ok()?;
                Some(Arc::clone(&self.files[found].1))
            }
        }
    }
}

/// The lines of some files that have code, sorted.
fn executed(lines: &UnitLines, files: impl Iterator<Item = u32>) -> BTreeMap<u32, Vec<u32>> {
    let mut executed: BTreeMap<u32, Vec<u32>> = files.map(|file| (file, Vec::new())).collect();
    let rows = lines.functions().flat_map(|position| lines.function(position)).filter(|row| row.line != 0);
    // Rows of one file and line mostly follow one another.
    let mut last = None;
    for row in rows {
        if last.replace((row.file, row.line)) != Some((row.file, row.line)) {
            executed.get_mut(&row.file).into_iter().for_each(|lines| lines.push(row.line));
        }
    }
    for lines in executed.values_mut() {
        lines.sort_unstable();
        lines.dedup();
    }
    executed
}

/// The files of a unit that are at hand, as its line table numbers them.
pub(crate) struct Texts<'t> {
    files: BTreeMap<u64, Arc<Lines<'t>>>,
    /// How many lines of functions that may call themselves may still be looked at.
    budget: Cell<usize>,
}

/// How often each line may be looked at, to find out which functions call themselves.
const MAX_OVERLAP: usize = 16;

impl<'t> Texts<'t> {
    pub(crate) fn of<'a: 't>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, originals: &Originals<'t>) -> Texts<'t> {
        let Some(header) = header(unit) else { return Texts { files: BTreeMap::new(), budget: Cell::new(0) } };
        let first = u64::from(header.version() < 5);
        let numbers = (first..).zip(header.file_names()).map(|(number, _)| number);
        let read = |number| Some((number, originals.lines(dwarf, unit, number)?));
        let files: BTreeMap<u64, Arc<Lines<'t>>> = numbers.filter_map(read).collect();
        let lines: usize = files.values().map(|lines| lines.count()).sum();
        Texts { files, budget: Cell::new(lines.saturating_mul(MAX_OVERLAP)) }
    }

    /// What gives variables values, other than their first ones where that is all; `None` where it is not known, as of those that are
    /// declared in no file at hand.
    pub(crate) fn changes<'a>(
        &self,
        language: Language,
        lines: &UnitLines,
        asked: &[Asked<'a>],
        callees: impl Iterator<Item = Callee<'a>>,
    ) -> Vec<Option<Changes>> {
        let texts = &self.files;
        // Of each file, the functions with the variables, and which of those that are asked for they are.
        let mut files: BTreeMap<u64, BTreeMap<u32, Vec<usize>>> = BTreeMap::new();
        for (number, asked) in asked.iter().enumerate() {
            files.entry(asked.declaration.file).or_default().entry(asked.function).or_default().push(number);
        }
        let mut changes = vec![None; asked.len()];
        if language == Language::Rust {
            for (changes, asked) in changes.iter_mut().zip(asked) {
                let declaration = asked.declaration;
                let Some(text) = texts.get(&declaration.file) else { continue };
                let is_immutable = rust::is_immutable(text.line(declaration.line), declaration.name.slice());
                let in_loop = !rust::is_outermost(text, asked.function, declaration.line);
                *changes = is_immutable.then(|| Changes { in_loop, has_loops: true, ..Changes::default() });
            }
            return changes;
        }
        let executed = executed(lines, texts.keys().filter_map(|file| u32::try_from(*file).ok()));
        let mut by_name = Callees::new(language == Language::Cxx);
        callees.for_each(|it| by_name.add(it.name.slice(), it.takes_reference, it.takes_reference_last));
        let mut macros = Macros::default();
        texts.values().for_each(|text| macros.add(text, &by_name));
        for (file, functions) in files {
            let Some(text) = texts.get(&file) else { continue };
            let executed = u32::try_from(file).ok().and_then(|file| executed.get(&file)).map_or(&[][..], Vec::as_slice);
            let (lines, numbers): (Vec<u32>, Vec<Vec<usize>>) = functions.into_iter().unzip();
            let functions = lines.into_iter().zip(&numbers).map(|(line, numbers)| assigned::Function {
                line,
                variables: numbers.iter().map(|number| asked[*number].declaration).collect(),
            });
            let found = assigned::changes(text, &functions.collect::<Vec<_>>(), executed, &by_name, &macros);
            for (number, found) in numbers.into_iter().flatten().zip(found.into_iter().flatten()) {
                changes[number] = found;
            }
        }
        changes
    }

    /// Which of the functions of these names, which have no macros among them, each macro mentions.
    pub(crate) fn macros_with<'n>(&self, names: &HashSet<&'n [u8]>) -> HashMap<&'t [u8], Vec<&'n [u8]>> {
        let definitions = self.files.values().flat_map(|text| text.definitions());
        let mut found: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
        for definition in definitions {
            let mut mentioned = tokens::words(definition.body).filter_map(|word| names.get(word).copied()).peekable();
            if mentioned.peek().is_some() {
                found.entry(definition.name).or_default().extend(mentioned);
            }
        }
        found
    }

    /// The words of the text of a function, its own name among them; `None` where it is not at hand or too much.
    pub(crate) fn words_of<'a>(
        &self,
        dwarf: &GuestDwarf<'a>,
        unit: &Unit<'a>,
        function: UnitOffset,
    ) -> Option<impl Iterator<Item = &'t [u8]>> {
        let entry = unit.entry(function).ok()?;
        // What is called `operator()` calls itself by another name.
        plain_name(dwarf, unit, &entry)?;
        let (file, line) = place_of(unit, &entry)?;
        let text = self.files.get(&file)?;
        let rest = Some(self.budget.get()).filter(|rest| *rest > 0)?;
        let lines = text.function_lines(u32::try_from(line).ok()?);
        self.budget.set(rest.saturating_sub(lines.as_ref().map_or(MAX_FUNCTION, ExactSizeIterator::len)));
        Some(text.words(lines?))
    }
}

/// The name of a function without template arguments, if it is a word.
pub(crate) fn plain_name<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, function: &Entry<'a>) -> Option<&'a [u8]> {
    let name = name_of(dwarf, unit, function)?.slice().split(|byte| *byte == b'<').next()?;
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').then_some(name)
}

/// Adds the rows that are missing in `functions` (by position) of unoptimized Rust behind an `if`.
pub(crate) fn complete_rust<'a>(
    lines: &mut UnitLines,
    functions: &[usize],
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    originals: &Originals<'_>,
) {
    let found = in_each_file(files_of(lines, functions), dwarf, unit, originals, |file, text, functions| {
        let missing =
            |position: usize| rust::missing_rows(lines.function(position), file, text, &(originals.joins)(position));
        functions.into_iter().map(|position| (position, missing(position))).collect()
    });
    lines.add(found);
}

/// Adds the rows that are missing in `functions` (by position) where blocks end.
pub(crate) fn complete<'a>(
    lines: &mut UnitLines,
    functions: &[usize],
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    originals: &Originals<'_>,
) {
    let files = files_of(lines, functions);
    let executed = executed(lines, files.keys().copied());
    let texts = Texts::of(dwarf, unit, originals);
    let mut forms = Forms::default();
    texts.files.values().for_each(|text| forms.add(text));
    originals.included(&texts).into_iter().for_each(|text| forms.add(text));
    let found = in_each_file(files, dwarf, unit, originals, |file, text, functions| {
        let groups = groups(lines, file, functions);
        let limits = groups.iter().skip(1).map(|group| group.lines.start).chain([u32::MAX]);
        let groups: Vec<_> = groups.iter().zip(limits).collect();
        let complete = |(group, limit): (&Group, u32)| -> Vec<(usize, Vec<MissingRow>)> {
            let joins = |&position: &usize| (position, lines.function(position), (originals.joins)(position));
            let functions: Vec<_> = group.functions.iter().map(joins).collect();
            let Some(tokens) = Tokens::read(text, group.lines.clone(), limit, &executed[&file]) else {
                return Vec::new();
            };
            let text = Text { file, lines: text, tokens: &tokens, forms: &forms };
            let missing = |(position, rows, joins): (usize, &[GuestRow], Vec<Joins>)| {
                let behind_silent = |offset: WasmOffset| (originals.behind_silent)(position, offset);
                let code = Code { joins: &joins, behind_silent: &behind_silent };
                (position, missing_rows(rows, text, code))
            };
            functions.into_iter().map(missing).collect()
        };
        groups.into_par_iter().flat_map_iter(complete).collect()
    });
    lines.add(found);
}

/// The functions with code from each file.
fn files_of(lines: &UnitLines, functions: &[usize]) -> BTreeMap<u32, Vec<usize>> {
    let mut files: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for &position in functions {
        for row in lines.function(position).iter().filter(|row| row.line != 0) {
            let of_file = files.entry(row.file).or_default();
            if of_file.last() != Some(&position) {
                of_file.push(position);
            }
        }
    }
    files
}

/// The rows of functions that `find` misses in the files that are at hand.
fn in_each_file<'a>(
    files: BTreeMap<u32, Vec<usize>>,
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    originals: &Originals<'_>,
    find: impl Fn(u32, &Lines<'_>, Vec<usize>) -> Vec<(usize, Vec<MissingRow>)> + Sync,
) -> BTreeMap<usize, Vec<MissingRow>> {
    let found = files.into_par_iter().flat_map_iter(|(file, functions)| {
        let text = originals.lines(dwarf, unit, file.into());
        text.map_or_else(Vec::new, |text| find(file, &text, functions))
    });
    let mut missing: BTreeMap<usize, Vec<MissingRow>> = BTreeMap::new();
    for (position, rows) in found.collect::<Vec<_>>() {
        missing.entry(position).or_default().extend(rows);
    }
    missing
}

/// Functions that have to be looked at together, because their lines overlap: one was inlined into the others.
struct Group {
    lines: Range<u32>,
    functions: Vec<usize>,
}

/// The groups that `functions` with code from `file` form, sorted by their lines.
fn groups(lines: &UnitLines, file: u32, functions: Vec<usize>) -> Vec<Group> {
    let with_lines = functions.into_iter().filter_map(|position| {
        let rows = lines.function(position).iter().filter(|row| row.file == file && row.line != 0);
        let (first, last) = rows.fold((u32::MAX, 0), |(first, last), row| (first.min(row.line), last.max(row.line)));
        (first <= last).then(|| (first..last.saturating_add(1), position))
    });
    let mut functions: Vec<(Range<u32>, usize)> = with_lines.collect();
    functions.sort_unstable_by_key(|(lines, position)| (lines.start, *position));
    let mut groups: Vec<Group> = Vec::new();
    for (lines, position) in functions {
        match groups.last_mut().filter(|group| lines.start < group.lines.end) {
            Some(group) => {
                group.lines.end = group.lines.end.max(lines.end);
                group.functions.push(position);
            }
            None => groups.push(Group { lines, functions: vec![position] }),
        }
    }
    groups
}
