//! The file table of a unit's line number program.

use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::guest_lines::header;
use gimli::write::{FileId, FileInfo, LineProgram, LineString};
use gimli::{AttributeValue, Encoding, LineEncoding};
use std::collections::HashMap;

/// The header of the output's line number program, with the guest's files, and the number of each.
pub(crate) struct Files {
    /// `None` where the unit has no lines.
    pub(crate) header: Option<LineProgram>,
    /// By the guest's number.
    numbers: Vec<Option<u32>>,
}

impl Files {
    /// The number in the output of the file that the guest numbers `index`.
    pub(crate) fn number(&self, index: u64) -> Option<u32> {
        usize::try_from(index).ok().and_then(|index| self.numbers.get(index)).copied().flatten()
    }
}

/// A name that a line table can hold: not empty, no zero byte.
fn line_string(bytes: &[u8]) -> LineString {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    LineString::String(if bytes.is_empty() { b"?".to_vec() } else { bytes.to_vec() })
}

/// Copies the directories and files of the unit's line number program.
pub(crate) fn files<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, encoding: Encoding) -> Files {
    let Some(header) = header(unit) else {
        return Files { header: None, numbers: Vec::new() };
    };
    let text = |value: AttributeValue<Slice<'a>>| -> LineString {
        line_string(dwarf.line_sections(unit).attr_string(unit, value).map_or(&b"?"[..], |slice| slice.slice()))
    };
    let comp_dir = line_string(unit.comp_dir.map_or(&b"."[..], |dir| dir.slice()));
    let version = header.version();
    // Directory 0 is the compilation directory: implied before version 5, listed since.
    let primary = header.file(if version >= 5 { 0 } else { 1 });
    let primary_name = match (primary, unit.name) {
        (Some(file), _) => text(file.path_name()),
        (None, Some(name)) => line_string(name.slice()),
        (None, None) => line_string(b"?"),
    };
    let primary_dir =
        primary.filter(|file| file.directory_index() != 0).and_then(|file| file.directory(header)).map(text);
    let line_encoding = LineEncoding::default();
    let mut program =
        LineProgram::new(encoding, line_encoding, comp_dir.clone(), primary_dir, primary_name.clone(), None);
    program.file_has_md5 = header.file_has_md5();
    program.file_has_source = header.file_has_source();
    program.file_has_size = header.file_has_size();
    program.file_has_timestamp = header.file_has_timestamp();
    let mut ids = Vec::new();
    if version < 5 {
        // File numbers begin at 1; some producers use 0 for the unit's own file.
        ids.push(None);
    }
    for file in header.file_names() {
        let directory = if file.directory_index() == 0 {
            program.default_directory()
        } else {
            match file.directory(header) {
                Some(directory) => {
                    let directory = text(directory);
                    program.add_directory(directory)
                }
                None => program.default_directory(),
            }
        };
        let source = file.source().map(|source| {
            let bytes = dwarf.line_sections(unit).attr_string(unit, source).map_or(&b""[..], |slice| slice.slice());
            LineString::String(bytes.to_vec())
        });
        let information = FileInfo {
            timestamp: file.timestamp(),
            size: file.size(),
            md5: *file.md5(),
            source: if header.file_has_source() {
                Some(source.unwrap_or_else(|| LineString::String(Vec::new())))
            } else {
                None
            },
        };
        ids.push(Some(program.add_file(text(file.path_name()), directory, Some(information))));
    }
    if version < 5 {
        ids[0] = ids.get(1).copied().flatten();
    }
    let first = u32::from(encoding.version < 5);
    let positions: HashMap<FileId, u32> = program.files().zip(first..).map(|(file, number)| (file.0, number)).collect();
    let numbers = ids.into_iter().map(|id: Option<FileId>| positions.get(&id?).copied()).collect();
    Files { header: Some(program), numbers }
}
