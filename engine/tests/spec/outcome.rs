//! What came of a file, and the table of all of them.

use crate::frames::Frames;
use std::collections::BTreeMap;
use std::fmt;

/// What came of one file.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Assertions that held.
    pub passed: usize,
    /// Assertions that newer versions of the specification took back: they call a module invalid that is valid now.
    pub superseded: usize,
    /// Directives that need a module which was refused.
    pub skipped: usize,
    /// Why the first refused module was refused.
    pub refused: Option<String>,
    /// What went wrong, each with its line.
    pub failures: Vec<String>,
    /// What was held against the frame tables.
    pub frames: Frames,
}

impl Outcome {
    /// Adds what came of a part of the file that ran on its own.
    pub fn add(&mut self, part: Outcome) {
        self.passed += part.passed;
        self.superseded += part.superseded;
        self.skipped += part.skipped;
        self.refused = self.refused.take().or(part.refused);
        self.failures.extend(part.failures);
        self.frames += part.frames;
    }
}

/// Sums by suite.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<String, Sums>);

#[derive(Debug, Default)]
struct Sums {
    files: usize,
    refused_files: usize,
    passed: usize,
    superseded: usize,
    skipped: usize,
    failed: usize,
    frames: Frames,
}

impl Table {
    pub fn add(&mut self, suite: &str, outcome: &Outcome) {
        let sums = self.0.entry(suite.to_owned()).or_default();
        sums.files += 1;
        sums.refused_files += usize::from(outcome.refused.is_some());
        sums.passed += outcome.passed;
        sums.superseded += outcome.superseded;
        sums.skipped += outcome.skipped;
        sums.failed += outcome.failures.len();
        sums.frames += outcome.frames;
    }

    /// Functions and instructions of which the rows were checked.
    pub fn frames(&self) -> Frames {
        let mut all = Frames::default();
        self.0.values().for_each(|sums| all += sums.frames);
        all
    }

    /// How many assertions held.
    pub fn assertions(&self) -> usize {
        self.0.values().map(|sums| sums.passed).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<40} {:>6} {:>8} {:>8} {:>11} {:>8} {:>7} {:>10} {:>13}",
            "suite", "files", "refused", "passed", "superseded", "skipped", "failed", "functions", "instructions"
        )?;
        for (suite, sums) in &self.0 {
            writeln!(
                f,
                "{suite:<40} {:>6} {:>8} {:>8} {:>11} {:>8} {:>7} {:>10} {:>13}",
                sums.files,
                sums.refused_files,
                sums.passed,
                sums.superseded,
                sums.skipped,
                sums.failed,
                sums.frames.functions,
                sums.frames.instructions
            )?;
        }
        Ok(())
    }
}
