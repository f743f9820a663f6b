//! The command line's arguments.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Parser, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  wasm-objdump -h program.wasm               sections of a module
  wasm-objdump -x -j Import program.wasm     one section in detail
  wasm-objdump -d program.wasm               wasm instructions
  wasm-objdump -d program.elf                native code with wasm offsets and source lines
  wasm-objdump --explain -f main program.elf native code, operators, source, frame rows and live variables of one function
  wasm-objdump --frames program.elf          where the caller's registers are, at every instruction
  wasm-objdump --verify program.elf          frame table held against the code, DWARF and tables checked
  wasm-objdump --json --traps program.elf    any view for a program
  wasm-objdump --statistics program.elf      sizes, and how much of the code and of the variables is described
  wasm-objdump --coverage program.wasm program.elf    how much of what the module's DWARF locates the native one does
  wasm-objdump --diff old.elf new.elf        what changed between two builds";

/// Inspects wasm modules, compiled artifacts and other ELF files.
#[derive(Clone, Debug, Parser)]
#[command(name = "wasm-objdump", version, disable_help_flag = true, after_help = EXAMPLES, max_term_width = 110)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args([
    "headers", "details", "disassemble", "full_contents", "reloc", "frames", "dwarf", "verify", "traps", "stack_maps",
    "addrmap", "homes", "explain", "diff", "losses", "wat", "statistics", "coverage",
]))]
pub struct Arguments {
    /// The files to show
    #[arg(value_name = "FILE", required_unless_present = "diff")]
    pub files: Vec<PathBuf>,

    /// Sections (and for ELF files the program headers)
    #[arg(short = 'h', long)]
    pub headers: bool,

    /// What is in the sections
    #[arg(short = 'x', long)]
    pub details: bool,

    /// Instructions: of wasm modules wasm, of artifacts and ELF files native with wasm offsets and source lines
    #[arg(short = 'd', long)]
    pub disassemble: bool,

    /// Raw contents of the sections
    #[arg(short = 's', long)]
    pub full_contents: bool,

    /// Only this section (may be given several times)
    #[arg(short = 'j', long, value_name = "SECTION")]
    pub section: Vec<String>,

    /// Relocations; together with -d inline
    #[arg(short = 'r', long)]
    pub reloc: bool,

    /// Frame table: the CFA and the place of each register, row by row
    #[arg(long)]
    pub frames: bool,

    /// Debug information entries, line rows and location lists
    #[arg(long)]
    pub dwarf: bool,

    /// Check the frame table against the code, the DWARF and the tables; status 1 if anything is wrong
    #[arg(long)]
    pub verify: bool,

    /// Instructions that trap, and why
    #[arg(long)]
    pub traps: bool,

    /// Where references are at each safepoint
    #[arg(long)]
    pub stack_maps: bool,

    /// Native code to wasm operators
    #[arg(long)]
    pub addrmap: bool,

    /// Wasm locals that live in the frame
    #[arg(long)]
    pub homes: bool,

    /// Debug info that could not be translated, by kind and count
    #[arg(long)]
    pub losses: bool,

    /// Native code, wasm operators, source, frame rows and live variables in one view
    #[arg(long)]
    pub explain: bool,

    /// The text format of the module, or of the module in an artifact
    #[arg(long)]
    pub wat: bool,

    /// Sizes, and how much of the code and of the variables is described
    #[arg(long)]
    pub statistics: bool,

    /// Where the DWARF of MODULE, from which the artifact was compiled, locates variables: how often does the artifact?
    #[arg(long, value_name = "MODULE")]
    pub coverage: Option<PathBuf>,

    /// With -d: the same as --explain
    #[arg(long, requires = "disassemble")]
    pub all: bool,

    /// Compare two files function by function
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with = "files")]
    pub diff: Option<Vec<PathBuf>>,

    /// Only this function, by name (also demangled or a part of it) or by wasm index
    #[arg(short = 'f', long, value_name = "NAME|INDEX")]
    pub function: Option<String>,

    /// Print the views as JSON, one object a file
    #[arg(long)]
    pub json: bool,

    /// Offsets of wasm instructions relative to the code section (as in DWARF) instead of the file
    #[arg(long)]
    pub section_offsets: bool,

    /// Print mangled names as they are
    #[arg(long)]
    pub no_demangle: bool,

    /// How native instructions are written
    #[arg(long, value_enum, default_value = "intel")]
    pub syntax: Syntax,

    /// Colour the output; without it, on terminals only
    #[arg(long, value_name = "YES|NO", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_missing_value = "yes")]
    pub colour: Option<bool>,

    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
}

/// How native instructions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Syntax {
    /// `mov rax, [rsp+8]`
    Intel,
    /// `mov 8(%rsp),%rax`
    Att,
}

impl Arguments {
    /// Was this section asked for, or none in particular?
    pub fn wants_section(&self, name: &str) -> bool {
        self.section.is_empty() || self.section.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    }
}
