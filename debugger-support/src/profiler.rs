//! Telling a profiler of code, in whichever of the formats the person asked for.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use crate::ProfiledFunction;
use crate::jitdump::{JitDump, UnwindTable};
use crate::perf_map;

/// What is written for profilers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// `/tmp/perf-<pid>.map`: names only; read by `perf report` and samply as it is.
    PerfMap,
    /// `jit-<pid>.dump` in this directory: code, lines and unwinding tables; read by `perf inject --jit` and samply.
    JitDump(PathBuf),
}

/// An open file for profilers.
#[derive(Debug)]
pub struct Profiler(Format);

#[derive(Debug)]
enum Format {
    PerfMap(File),
    JitDump(JitDump),
}

impl Profiler {
    /// Creates the file.
    pub fn create(profile: &Profile) -> io::Result<Profiler> {
        let format = match profile {
            Profile::PerfMap => {
                let path = perf_map::path(process::id());
                // The name can be guessed: a link that somebody else has put there is not followed.
                let _ = std::fs::remove_file(&path);
                Format::PerfMap(OpenOptions::new().append(true).create_new(true).open(path)?)
            }
            Profile::JitDump(directory) => Format::JitDump(JitDump::create(directory)?),
        };
        Ok(Profiler(format))
    }

    /// Are lines and unwinding tables of use?
    pub fn wants_details(&self) -> bool {
        matches!(self.0, Format::JitDump(_))
    }

    /// The jitdump's path, if it is one.
    pub fn dump_path(&self) -> Option<&Path> {
        match &self.0 {
            Format::PerfMap(_) => None,
            Format::JitDump(dump) => Some(dump.path()),
        }
    }

    /// Adds functions, each with its frame table if there is one; to be called before they run.
    pub fn add<'a>(
        &mut self,
        functions: impl IntoIterator<Item = (ProfiledFunction<'a>, Option<UnwindTable<'a>>)>,
    ) -> io::Result<()> {
        match &mut self.0 {
            Format::PerfMap(file) => {
                let mut text = Vec::new();
                perf_map::write(&mut text, functions.into_iter().map(|(function, _)| function))?;
                file.write_all(&text)
            }
            Format::JitDump(dump) => {
                for (function, unwind) in functions {
                    dump.function(&function, unwind)?;
                }
                dump.flush()
            }
        }
    }
}
