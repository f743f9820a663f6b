//! `/tmp/perf-<pid>.map`: names for addresses, the simplest thing that `perf report` reads.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::ProfiledFunction;

/// Where `perf` looks for the map of a process.
pub fn path(pid: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/perf-{pid}.map"))
}

/// Writes one line a function: address and size in hex, then the name (tools/perf/Documentation/jit-interface.txt).
///
/// A name may hold spaces; line breaks in it, which would forge a second entry, become spaces.
pub fn write<'a>(out: &mut impl Write, functions: impl IntoIterator<Item = ProfiledFunction<'a>>) -> io::Result<()> {
    for function in functions {
        let name = function.name.replace(['\n', '\r'], " ");
        writeln!(out, "{:x} {:x} {}", function.address, function.code.len(), name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_function() {
        let mut out = Vec::new();
        let function = |name| ProfiledFunction { name, address: 0x1000, code: &[0x90; 17], lines: &[] };
        write(&mut out, [function("list_sum"), function("evil\n0 ff name")]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "1000 11 list_sum\n1000 11 evil 0 ff name\n");
    }
}
