//! The command line as a user meets it: what it prints and how it ends.

mod debug;
mod debug_info;
mod errors;
mod executable;
mod programs;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The program under test.
fn wasmscope() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmscope"));
    command.stdin(Stdio::null());
    command
}

/// Runs it with these arguments.
fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    Ended::of(wasmscope().args(arguments).output().expect("the program starts"))
}

/// What a process left behind.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Ended {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
        Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Ended well, having said this and nothing else.
    #[track_caller]
    fn says(&self, stdout: &str) {
        assert_eq!((self.status, self.stdout.as_str(), self.stderr.as_str()), (Some(0), stdout, ""));
    }
}

/// A bundled program of the whole-system tests.
fn bundled(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/programs").join(name)
}

/// A folder with files in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path.
    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("the file is written");
        path
    }
}
