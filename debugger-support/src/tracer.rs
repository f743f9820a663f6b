//! Who traces this process.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The kind of the process that traces us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracer {
    /// Nobody does, or nobody that this process may know of.
    None,
    /// gdb or gdbserver.
    Gdb,
    /// lldb, lldb-server or debugserver.
    Lldb,
    /// Something else: strace, rr, a test.
    Other,
}

/// Finds out who traces this process at this moment.
///
/// Reads `/proc`; where that is not mounted the answer is [`Tracer::None`].
pub fn tracer() -> Tracer {
    tracer_in(Path::new("/proc"))
}

/// Runs `work`, and where somebody traces this process does not return before they took note that the threads which
/// `work` started and joined are gone (or a second has passed).
///
/// A joined thread is a zombie until its tracer waits for it. gdb 13, which meets one when the process goes on and
/// ends, may fail with "Couldn't get registers: No such process".
pub fn with_threads_seen_gone<T>(work: impl FnOnce() -> T) -> T {
    let threads = || fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if tracer() == Tracer::None {
        return work();
    }
    let before = threads();
    let result = work();
    let limit = Instant::now() + Duration::from_secs(1);
    while threads() > before && Instant::now() < limit {
        thread::sleep(Duration::from_micros(200));
    }
    result
}

fn tracer_in(proc: &Path) -> Tracer {
    let Some(pid) = fs::read_to_string(proc.join("self/status")).ok().as_deref().and_then(tracer_pid) else {
        return Tracer::None;
    };
    // `comm` can be changed by the process itself and is cut to 15 bytes; `exe` needs the right to trace. Take what
    // either says.
    let process = proc.join(pid.to_string());
    let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let exe = fs::read_link(process.join("exe")).unwrap_or_default();
    let exe = exe.file_name().unwrap_or_default().to_string_lossy();
    [comm.trim(), &exe].into_iter().map(by_name).find(|&kind| kind != Tracer::Other).unwrap_or(Tracer::Other)
}

fn tracer_pid(status: &str) -> Option<u32> {
    let pid = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    pid.trim().parse().ok().filter(|&pid| pid != 0)
}

fn by_name(name: &str) -> Tracer {
    if name.contains("lldb") || name.starts_with("debugserver") {
        Tracer::Lldb
    } else if name.contains("gdb") {
        Tracer::Gdb
    } else {
        Tracer::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc_with(tracer_pid: u32, comm: &str) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("self")).unwrap();
        fs::create_dir_all(proc.path().join("77")).unwrap();
        fs::write(proc.path().join("self/status"), format!("Name:\twasmscope\nTracerPid:\t{tracer_pid}\nUid:\t0\n"))
            .unwrap();
        fs::write(proc.path().join("77/comm"), comm).unwrap();
        proc
    }

    #[test]
    fn tracers_are_told_by_name() {
        for (comm, expected) in [
            ("gdb\n", Tracer::Gdb),
            ("gdbserver\n", Tracer::Gdb),
            ("x86_64-linux-gn\n", Tracer::Other),
            ("lldb-server-19.\n", Tracer::Lldb),
            ("strace\n", Tracer::Other),
        ] {
            assert_eq!(tracer_in(proc_with(77, comm).path()), expected, "{comm}");
        }
    }

    #[test]
    fn an_untraced_process_has_no_tracer() {
        assert_eq!(tracer_in(proc_with(0, "gdb\n").path()), Tracer::None);
        assert_eq!(tracer_in(Path::new("/nonexistent")), Tracer::None);
    }

    #[test]
    fn a_tracer_that_hides_is_other() {
        assert_eq!(tracer_in(proc_with(78, "gdb\n").path()), Tracer::Other);
    }
}
