//! Recordings of a program that is stepped from `main` to its end, and their comparison.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{engine, package, programs, tool};

/// How a recording differs from the native one.
#[derive(Debug)]
pub struct Comparison {
    /// The stops of the native recording, several ones on one line counted once, and how many of them are met in order.
    pub stops: (usize, usize),
    /// The same of all stops.
    pub unfolded_stops: (usize, usize),
    /// The variables that the native recording shows at those stops, and how many of them read the same.
    pub values: (usize, usize),
    /// Stops that the native recording has not.
    pub extra_stops: usize,
    /// The table and the first differences, for people.
    pub table: String,
}

/// Steps a bundled program's wasm build in the engine's code and writes the recording to `out`.
///
/// # Panics
///
/// Panics if gdb is missing or the session fails.
pub fn record(source: &str, program: &str, level: u8, out: &Path) {
    drop(tool("gdb", "gdb"));
    let output = Command::new(package().join("gdb/jit.sh"))
        .arg(engine())
        .arg(level.to_string())
        .arg(source)
        .arg(format!("{program}.wasm"))
        .arg(out)
        .current_dir(programs())
        .output()
        .expect("a shell is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::metadata(out).is_ok_and(|it| it.len() > 0), "gdb wrote no recording");
}

/// Compares a recording with the native one.
///
/// # Panics
///
/// Panics if python3 is missing or a file is no recording.
pub fn compare(native: &Path, other: &Path) -> Comparison {
    drop(tool("python3", "python3"));
    let script = |mode: &str, other: String| {
        let output = Command::new("python3")
            .arg(package().join("gdb/compare.py"))
            .arg(mode)
            .arg(native)
            .arg(other)
            .output()
            .expect("python3 starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the script writes UTF-8")
    };
    let figures = script("json", other.display().to_string());
    let figure = |name: &str| -> usize {
        let at = figures.find(&format!("\"{name}\": ")).expect("the figure is there") + name.len() + 4;
        let digits: String = figures[at..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("the figure is a number")
    };
    Comparison {
        stops: (figure("native_stops"), figure("stops_met")),
        unfolded_stops: (figure("unfolded_native_stops"), figure("unfolded_stops_met")),
        values: (figure("native_values"), figure("values_equal")),
        extra_stops: figure("extra_stops"),
        table: script("table", format!("here={}", other.display())),
    }
}
