//! Whole-system tests of wasmscope: what they share.
//!
//! In: a bundled program's name and the commands that a person would type. Out: the debugger's answers. The engine's
//! command line is built by cargo when the first test asks for it; `WASMSCOPE` names another one.
//!
//! A tool that is missing fails the test that needs it, and says which package has it.

mod module;
mod place;
mod process;
mod recording;
mod session;

pub use module::{Section, module, sections};
pub use place::{at, line};
pub use process::{Process, core_of, free_port, run_for, wait_for_listener, wait_until};
pub use recording::{Comparison, assert_like_native, compare, record};
pub use session::{Answers, Session, assert_in_order, everything_said, gdb_calls_functions, normalized};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// The folder of this package.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the bundled programs. Paths in their debug information are relative to it.
pub fn programs() -> PathBuf {
    package().join("programs")
}

/// Compiles a module with debug info; it must succeed.
pub fn compile(module: &Path, options: &[&str], artifact: &Path) {
    let output = Command::new(engine())
        .args(["compile", "-g"])
        .args(options)
        .arg(module)
        .arg("-o")
        .arg(artifact)
        .output()
        .expect("the engine starts");
    assert!(output.status.success(), "{}: {}", module.display(), String::from_utf8_lossy(&output.stderr));
}

/// The command line under test: `$WASMSCOPE`, or a release build of this workspace, made now if it is out of date.
pub fn engine() -> &'static Path {
    static ENGINE: OnceLock<PathBuf> = OnceLock::new();
    ENGINE.get_or_init(|| {
        if let Some(path) = std::env::var_os("WASMSCOPE") {
            return path.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let workspace = package().parent().expect("the package lies in the workspace");
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--release", "-p", "wasmscope", "--bin", "wasmscope"])
            .current_dir(workspace)
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the engine does not build");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
        workspace.join(target).join("release/wasmscope")
    })
}

/// A command of a tool that the tests need, checked to be installed.
///
/// # Panics
///
/// Panics with the package to install if the tool is missing.
pub fn tool(name: &str, package: &str) -> Command {
    // Asked once for each tool, since to start some takes a while.
    static FOUND: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !FOUND.lock().expect("no panic holds it").contains(name) {
        let says = |option: &&str| Command::new(name).arg(option).output().is_ok_and(|it| it.status.success());
        let found = ["--version", "-V"].iter().any(says);
        assert!(found, "{name} is needed by this test and missing: apt-get install {package}");
        FOUND.lock().expect("no panic holds it").insert(name.to_owned());
    }
    Command::new(name)
}
