//! The frame tables of what the suites compile, held against the code.

use artifact::{Artifact, FunctionRow};
use std::ops::AddAssign;
use wasmscope::Module;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    pub functions: usize,
    pub instructions: usize,
}

impl AddAssign for Frames {
    fn add_assign(&mut self, other: Frames) {
        self.functions += other.functions;
        self.instructions += other.instructions;
    }
}

/// Checks every row at every instruction of a module, or says which the first wrong one is.
pub fn check(module: &Module) -> Result<Frames, String> {
    let artifact = Artifact::parse(module.serialize()).map_err(|error| error.to_string())?;
    let layout = artifact.layout();
    let range = |row: FunctionRow| row.text.link_address()..row.text.link_address() + u64::from(row.size);
    let functions: Vec<_> = artifact.functions().iter().map(range).collect();
    let report = unwind::check::check(&unwind::check::Checked {
        text: artifact.text(),
        text_address: layout.text,
        functions: &functions,
        eh_frame: artifact.eh_frame(),
        eh_frame_address: layout.eh_frame,
        eh_frame_hdr: Some((artifact.eh_frame_hdr(), layout.eh_frame_hdr)),
        foreign: false,
    });
    match report.findings().next() {
        None => Ok(Frames { functions: report.functions, instructions: report.instructions }),
        Some(first) => Err(format!("frame table: {} findings, first {first}", report.findings().count())),
    }
}
