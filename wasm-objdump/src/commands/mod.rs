//! One file a view.

pub mod address_map;
pub mod contents;
pub mod coverage;
pub mod details;
pub mod diff;
pub mod disassemble;
pub mod dwarf;
pub mod explain;
pub mod frames;
pub mod headers;
pub mod homes;
pub mod losses;
pub mod relocations;
pub mod stack_maps;
pub mod statistics;
pub mod traps;
pub mod verify;
pub mod wat;

use anyhow::{Result, bail};

use crate::Arguments;
use crate::input::Input;
use crate::native::Native;
use crate::output::Output;

/// A view of one file.
pub type View = fn(&Input<'_>, &Arguments, &mut Output<'_>) -> Result<()>;

/// The views that were asked for, in the order they are shown.
pub fn views(arguments: &Arguments) -> Vec<View> {
    let explain = arguments.explain || arguments.all;
    let all: [(bool, View); 17] = [
        (arguments.headers, headers::run),
        (arguments.details, details::run),
        (arguments.disassemble && !explain, disassemble::run),
        (explain, explain::run),
        (arguments.full_contents, contents::run),
        (arguments.reloc && !arguments.disassemble, relocations::run),
        (arguments.frames, frames::run),
        (arguments.addrmap, address_map::run),
        (arguments.homes, homes::run),
        (arguments.traps, traps::run),
        (arguments.stack_maps, stack_maps::run),
        (arguments.dwarf, dwarf::run),
        (arguments.losses, losses::run),
        (arguments.wat, wat::run),
        (arguments.statistics, statistics::run),
        (arguments.coverage.is_some(), coverage::run),
        (arguments.verify, verify::run),
    ];
    all.into_iter().filter(|(wanted, _)| *wanted).map(|(_, view)| view).collect()
}

/// The native code of a file, for views that only make sense there.
fn native<'i, 'a>(input: &'i Input<'a>, view: &str) -> Result<&'i Native<'a>> {
    match input {
        Input::Native(native) => Ok(native),
        Input::Wasm(_) => bail!("{view} is a view of native code; this is a wasm module (compile it first)"),
    }
}

/// The artifact, for views of what only an artifact has.
fn artifact<'i, 'a>(input: &'i Input<'a>, view: &str) -> Result<(&'i Native<'a>, &'i artifact::Artifact<'a>)> {
    let native = native(input, view)?;
    match &native.artifact {
        Some(artifact) => Ok((native, artifact)),
        None => bail!("{view} is a view of compiled artifacts; this is another kind of ELF file"),
    }
}
