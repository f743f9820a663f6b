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

/// Steps a bundled program's wasm build in the engine's code and writes the recording to `out`. `settings` are environment
/// variables of `record.sh`.
///
/// # Panics
///
/// Panics if the debugger is missing or the session fails.
pub fn record(source: &str, program: &str, level: u8, settings: &[(&str, &str)], out: &Path) {
    match settings.contains(&("DEBUGGER", "lldb")) {
        true => drop(tool("lldb-19", "lldb-19")),
        false => drop(tool("gdb", "gdb")),
    }
    let output = Command::new(package().join("gdb/jit.sh"))
        .arg(engine())
        .arg(level.to_string())
        .arg(source)
        .arg(format!("{program}.wasm"))
        .arg(out)
        .envs(settings.iter().copied())
        .current_dir(programs())
        .output()
        .expect("a shell is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::metadata(out).is_ok_and(|it| it.len() > 0), "the debugger wrote no recording");
}

/// Steps every build of `source` at both levels beside the native recording, which lies beside the source. `settings` are environment
/// variables of `record.sh`; 95 % of the native values are the least, and these percentages of the stops and of the stops that are counted
/// singly where a line is stopped at more than once.
///
/// # Panics
///
/// Panics if there is less.
pub fn assert_like_native(source: &str, builds: &[&str], settings: &[(&str, &str)], (stops, unfolded): (usize, usize)) {
    let scratch = tempfile::tempdir().expect("a directory can be made");
    let is_lldb = settings.contains(&("DEBUGGER", "lldb"));
    let native = programs().join(source).with_file_name(if is_lldb { "native-lldb.json" } else { "native.json" });
    let mut failures = Vec::new();
    for build in builds {
        for level in [0, 2] {
            let out = scratch.path().join("recording.json");
            record(source, build, level, settings, &out);
            let comparison = compare(&native, &out);
            println!("{build} at level {level}\n{}", comparison.table);
            assert!(comparison.stops.0 > 50 && comparison.values.0 > 100, "the native recording is empty");
            let enough = |(all, good): (usize, usize), percent| good * 100 >= all * percent;
            if !enough(comparison.stops, stops)
                || !enough(comparison.unfolded_stops, unfolded)
                || !enough(comparison.values, 95)
                || comparison.extra_stops * 20 > comparison.stops.0
            {
                failures.push(format!("{build} at level {level}\n{}", comparison.table));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
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
