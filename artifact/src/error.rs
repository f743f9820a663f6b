//! What can be wrong with an artifact.

use crate::{CodeOffset, Machine};

/// The input of an [`ArtifactBuilder`](crate::ArtifactBuilder) contradicts itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Text is addressed with 31 bits.
    #[error("the text is {0} bytes long; an artifact holds less than 2 GiB")]
    TextTooLarge(usize),
    /// A function lies outside of the text.
    #[error("function {name} ({offset:#x}, {size:#x} bytes) lies outside of the text")]
    FunctionOutsideText {
        /// Its symbol.
        name: String,
        /// Its text offset.
        offset: u32,
        /// Its size in bytes.
        size: u32,
    },
    /// Two functions share code.
    #[error("functions {first} and {second} overlap")]
    FunctionsOverlap {
        /// The one that starts first.
        first: String,
        /// The one that starts inside the first.
        second: String,
    },
    /// Two functions have the same kind and index.
    #[error("function {0} occurs twice")]
    DuplicateFunction(String),
    /// A row points outside of its function.
    #[error("{table} of function {name}: offset {offset:?} lies outside of its {size:#x} bytes")]
    OffsetOutsideFunction {
        /// What the row is.
        table: &'static str,
        /// The function's symbol.
        name: String,
        /// The row's offset.
        offset: CodeOffset,
        /// The function's size in bytes.
        size: u32,
    },
    /// A relocation does not fit its section.
    #[error("relocation of {size} bytes at {section}+{offset:#x}: {reason}")]
    BadRelocation {
        /// The debug section.
        section: String,
        /// The offset in it.
        offset: u32,
        /// The relocated word's size in bytes.
        size: u8,
        /// What is wrong.
        reason: &'static str,
    },
    /// A debug section does not have a name that starts with `.debug_`, or has it twice.
    #[error("{0:?} is not usable as the name of a debug section")]
    BadDebugSectionName(String),
    /// A symbol lies outside of the text.
    #[error("symbol {0} lies outside of the text")]
    SymbolOutsideText(String),
    /// A table has more rows than 32 bits can count.
    #[error("{0} has too many rows")]
    TableTooLarge(&'static str),
    /// What was written does not open again: the input breaks a rule of the format that only its reader knows.
    #[error("the input makes an artifact that cannot be read back: {0}")]
    Unreadable(#[from] ArtifactError),
    /// The ELF writer refused.
    #[error("cannot write the ELF file: {0}")]
    Elf(#[from] object::write::Error),
}

/// A file is not an artifact, or is a damaged one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file is not a little-endian ELF64 file, or its structure is broken.
    #[error("not a readable ELF64 file: {0}")]
    Elf(#[from] object::read::Error),
    /// The machine is not one of [`Machine`].
    #[error("unknown ELF machine {0}")]
    UnknownMachine(u16),
    /// An ELF file, but not one of ours.
    #[error("an ELF file without a {0} section: not an artifact of wasmscope")]
    NotAnArtifact(&'static str),
    /// A section is missing.
    #[error("section {0} is missing")]
    MissingSection(&'static str),
    /// Written by another version of this crate.
    #[error("artifact format version {found}; this build reads version {expected}")]
    WrongVersion {
        /// The file's version.
        found: u32,
        /// The version this crate reads.
        expected: u32,
    },
    /// A section has an impossible size or header.
    #[error("section {section}: {reason}")]
    BadSection {
        /// Its name.
        section: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A row of a table is impossible.
    #[error("section {section}, row {row} (file offset {file_offset:#x}): {reason}")]
    BadRow {
        /// The table's section.
        section: &'static str,
        /// The row's number.
        row: usize,
        /// Where the row lies in the file.
        file_offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A section is not linked where [`LinkLayout`](crate::LinkLayout) says.
    #[error("section {section} is linked at {found:#x} instead of {expected:#x}")]
    WrongAddress {
        /// Its name.
        section: &'static str,
        /// Its `sh_addr`.
        found: u64,
        /// Where the layout places it.
        expected: u64,
    },
    /// The bytes are not the ones that were written.
    #[error("the content hash does not match: the file was changed after it was written")]
    HashMismatch,
    /// A relocated address does not fit the word it belongs in.
    #[error("relocation at {section}+{offset:#x}: {value:#x} does not fit {size} bytes")]
    RelocationOverflow {
        /// The debug section.
        section: String,
        /// The offset in it.
        offset: u32,
        /// The relocated value.
        value: u64,
        /// The size of the word in bytes.
        size: u8,
    },
    /// A module's debug info cannot be put into one image with that of others; alone it can be shown.
    #[error("cannot be joined with other modules: {0}")]
    NotJoinable(&'static str),
    /// A module's debug info cannot be read.
    #[error("cannot be joined with other modules: unreadable debug info: {0}")]
    Unreadable(#[from] gimli::Error),
    /// The image for the debugger could not be written.
    #[error("cannot write the image for {machine:?}: {source}")]
    Image {
        /// The machine.
        machine: Machine,
        /// Why.
        source: object::write::Error,
    },
}
