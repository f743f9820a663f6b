//! The traced process: ptrace(2), and its memory through /proc.
#![allow(unsafe_code, reason = "ptrace has no safe interface")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::{c_int, c_void, pid_t, user_regs_struct};

/// Why a thread of the process has stopped.
pub enum Stop {
    /// It has ended.
    Gone,
    /// A signal is about to be delivered.
    Signal(c_int),
    /// Something about tracing itself, as the start of a thread.
    Event,
}

/// A traced process.
pub struct Tracee {
    pub pid: pid_t,
    memory: File,
}

fn check(result: i64) -> io::Result<i64> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

fn ptrace(request: libc::c_uint, tid: pid_t, address: usize, data: usize) -> io::Result<i64> {
    // SAFETY: of the requests used here, those that write memory of this process are given, in
    // `data`, the address of a value of the type they write, which outlives the call.
    check(unsafe { libc::ptrace(request, tid, address as *mut c_void, data as *mut c_void) })
}

impl Tracee {
    /// Starts the program, stopped at its first instruction.
    pub fn start(command: &mut Command) -> io::Result<Tracee> {
        // SAFETY: the closure runs between fork and exec and makes one system call, which is
        // async-signal-safe and touches no memory.
        unsafe {
            command.pre_exec(|| ptrace(libc::PTRACE_TRACEME, 0, 0, 0).map(|_| ()));
        }
        let child = command.spawn()?;
        let pid = child.id() as pid_t;
        let mut tracee = Tracee { pid, memory: OpenOptions::new().read(true).open("/dev/null")? };
        tracee.wait()?;
        let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACECLONE;
        ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options as usize)?;
        // Opened after exec: the file keeps to the address space it was opened for.
        tracee.memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        Ok(tracee)
    }

    /// Waits for any thread to stop.
    pub fn wait(&self) -> io::Result<(pid_t, Stop)> {
        let mut status = 0;
        // SAFETY: `status` is valid for writes during the call.
        let tid = check(unsafe { libc::waitpid(-1, &mut status, libc::__WALL) }.into())? as pid_t;
        let stop = if !libc::WIFSTOPPED(status) {
            Stop::Gone
        } else if status >> 16 != 0 {
            Stop::Event
        } else {
            Stop::Signal(libc::WSTOPSIG(status))
        };
        Ok((tid, stop))
    }

    pub fn registers(&self, tid: pid_t) -> io::Result<user_regs_struct> {
        // SAFETY: the type is plain numbers, for which zero is valid.
        let mut registers: user_regs_struct = unsafe { std::mem::zeroed() };
        ptrace(libc::PTRACE_GETREGS, tid, 0, &raw mut registers as usize)?;
        Ok(registers)
    }

    pub fn set_registers(&self, tid: pid_t, registers: &user_regs_struct) -> io::Result<()> {
        ptrace(libc::PTRACE_SETREGS, tid, 0, &raw const *registers as usize).map(|_| ())
    }

    /// Executes one instruction, or with a signal enters its handler.
    pub fn step(&self, tid: pid_t) -> io::Result<()> {
        ptrace(libc::PTRACE_SINGLESTEP, tid, 0, 0).map(|_| ())
    }

    pub fn go_on(&self, tid: pid_t, signal: c_int) -> io::Result<()> {
        ptrace(libc::PTRACE_CONT, tid, 0, signal as usize).map(|_| ())
    }

    pub fn kill(&self) {
        // SAFETY: sends a signal to a process that is our child and not yet waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    pub fn read(&self, address: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.memory.read_exact_at(bytes, address)
    }

    /// As many bytes as can be read.
    pub fn read_some(&self, address: u64, bytes: &mut [u8]) -> usize {
        self.memory.read_at(bytes, address).unwrap_or(0)
    }

    pub fn read_word(&self, address: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, address)
    }
}
