//! `jit-<pid>.dump`: code, lines and unwinding tables for `perf inject --jit`.
//!
//! The format is tools/perf/Documentation/jitdump-specification.txt. `perf record -k mono` must have been used, since
//! the time stamps are those of `CLOCK_MONOTONIC`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::{process, ptr};

use crate::{ProfiledFunction, ProfiledLine};

const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
const HEADER_SIZE: u32 = 40;
const EM_X86_64: u32 = 62;
const EM_AARCH64: u32 = 183;

const JIT_CODE_LOAD: u32 = 0;
const JIT_CODE_DEBUG_INFO: u32 = 2;
const JIT_CODE_UNWINDING_INFO: u32 = 4;

const PREFIX_SIZE: usize = 16;

/// One function's frame table, positioned for `perf`.
///
/// `perf inject` makes an ELF file of each function: its code, then at the next multiple of 8 `eh_frame`, then
/// `eh_frame_hdr`. Every pc-relative value in the two must hold in that layout.
#[derive(Debug, Clone, Copy)]
pub struct UnwindTable<'a> {
    /// CIE, FDE and terminator.
    pub eh_frame: &'a [u8],
    /// Its binary search table.
    pub eh_frame_hdr: &'a [u8],
}

/// The order of the fields of one record stream; independent of files and of the clock, so that it can be tested.
#[derive(Debug)]
struct Records<W> {
    out: W,
    pid: u32,
    next_index: u64,
}

impl<W: Write> Records<W> {
    fn start(mut out: W, pid: u32, time: u64) -> io::Result<Self> {
        let machine = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };
        for word in [MAGIC, VERSION, HEADER_SIZE, machine, 0, pid] {
            out.write_all(&word.to_ne_bytes())?;
        }
        out.write_all(&time.to_ne_bytes())?;
        out.write_all(&0u64.to_ne_bytes())?;
        Ok(Self { out, pid, next_index: 0 })
    }

    fn record(&mut self, id: u32, time: u64, body: &[&[u8]]) -> io::Result<()> {
        let size = PREFIX_SIZE + body.iter().map(|part| part.len()).sum::<usize>();
        let size = u32::try_from(size)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a jitdump record is limited to 4 GiB"))?;
        self.out.write_all(&id.to_ne_bytes())?;
        self.out.write_all(&size.to_ne_bytes())?;
        self.out.write_all(&time.to_ne_bytes())?;
        body.iter().try_for_each(|part| self.out.write_all(part))
    }

    /// Lines and unwinding go before the load record: `perf` attaches them to the next load.
    fn function(
        &mut self,
        function: &ProfiledFunction<'_>,
        unwind: Option<UnwindTable<'_>>,
        thread: u32,
        time: u64,
    ) -> io::Result<()> {
        if !function.lines.is_empty() {
            let mut rows = Vec::new();
            for ProfiledLine { address, file, line } in function.lines {
                rows.extend_from_slice(&address.to_ne_bytes());
                rows.extend_from_slice(&line.to_ne_bytes());
                rows.extend_from_slice(&0u32.to_ne_bytes());
                rows.extend(file.bytes().filter(|&byte| byte != 0));
                rows.push(0);
            }
            let count = function.lines.len() as u64;
            self.record(JIT_CODE_DEBUG_INFO, time, &[&function.address.to_ne_bytes(), &count.to_ne_bytes(), &rows])?;
        }
        if let Some(UnwindTable { eh_frame, eh_frame_hdr }) = unwind {
            let size = eh_frame.len() + eh_frame_hdr.len();
            // Nothing of the table is mapped in the process itself.
            let mapped_size = 0u64;
            let padding = [0u8; 7];
            self.record(
                JIT_CODE_UNWINDING_INFO,
                time,
                &[
                    &(size as u64).to_ne_bytes(),
                    &(eh_frame_hdr.len() as u64).to_ne_bytes(),
                    &mapped_size.to_ne_bytes(),
                    eh_frame,
                    eh_frame_hdr,
                    &padding[..size.next_multiple_of(8) - size],
                ],
            )?;
        }
        let index = self.next_index;
        self.next_index += 1;
        let mut name: Vec<u8> = function.name.bytes().filter(|&byte| byte != 0).collect();
        name.push(0);
        self.record(
            JIT_CODE_LOAD,
            time,
            &[
                &self.pid.to_ne_bytes(),
                &thread.to_ne_bytes(),
                &function.address.to_ne_bytes(),
                &function.address.to_ne_bytes(),
                &(function.code.len() as u64).to_ne_bytes(),
                &index.to_ne_bytes(),
                &name,
                function.code,
            ],
        )
    }
}

/// An open jitdump of this process.
#[derive(Debug)]
pub struct JitDump {
    records: Records<BufWriter<File>>,
    path: PathBuf,
    marker: Marker,
}

impl JitDump {
    /// Creates `jit-<pid>.dump` in a directory and maps its first page executable: `perf record` notes the file by
    /// that mapping.
    pub fn create(directory: &Path) -> io::Result<Self> {
        let pid = process::id();
        let path = directory.join(format!("jit-{pid}.dump"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        let marker = Marker::map(&file)?;
        let mut records = Records::start(BufWriter::new(file), pid, now()?)?;
        records.out.flush()?;
        Ok(Self { records, path, marker })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The page whose mapping `perf record` noted; of interest to tests only.
    pub fn marker_address(&self) -> usize {
        self.marker.address as usize
    }

    /// Adds one function, with its lines and, if there is one, its frame table; call before the function first runs.
    pub fn function(&mut self, function: &ProfiledFunction<'_>, unwind: Option<UnwindTable<'_>>) -> io::Result<()> {
        self.records.function(function, unwind, thread_id(), now()?)
    }

    /// Hands everything that was added to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.records.out.flush()
    }
}

#[derive(Debug)]
struct Marker {
    address: *mut libc::c_void,
    size: usize,
}

// SAFETY: the page is never read or written, only mapped and unmapped; which thread does that does not matter.
unsafe impl Send for Marker {}
// SAFETY: as above; a shared marker gives out only its address.
unsafe impl Sync for Marker {}

impl Marker {
    fn map(file: &File) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        // SAFETY: `sysconf` has no preconditions.
        let size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing.
        let address = unsafe {
            libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { address, size })
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        // SAFETY: `address` and `size` are those of the mapping made in `map`; nothing else refers to it.
        unsafe { libc::munmap(self.address, self.size) };
    }
}

fn now() -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

fn thread_id() -> u32 {
    // SAFETY: `gettid` has no preconditions.
    (unsafe { libc::syscall(libc::SYS_gettid) }) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a dump into (id, body), by the lengths alone.
    fn split(dump: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |at: usize| u32::from_ne_bytes(dump[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(8)), (MAGIC, 40));
        let mut at = word(8) as usize;
        let mut records = Vec::new();
        while at < dump.len() {
            let size = word(at + 4) as usize;
            records.push((word(at), dump[at + 16..at + size].to_vec()));
            at += size;
        }
        records
    }

    #[test]
    fn lines_and_unwinding_precede_their_code() {
        let lines = [ProfiledLine { address: 0x5000, file: "list.c", line: 12 }];
        let function = ProfiledFunction { name: "sum", address: 0x5000, code: &[0xc3], lines: &lines };
        let table = UnwindTable { eh_frame: &[1; 13], eh_frame_hdr: &[2; 20] };
        let mut records = Records::start(Vec::new(), 42, 7).unwrap();
        records.function(&function, Some(table), 43, 8).unwrap();
        records.function(&ProfiledFunction { lines: &[], ..function }, None, 43, 9).unwrap();
        let split = split(&records.out);
        let ids: Vec<u32> = split.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [JIT_CODE_DEBUG_INFO, JIT_CODE_UNWINDING_INFO, JIT_CODE_LOAD, JIT_CODE_LOAD]);
        assert_eq!(split[0].1.len(), 16 + 16 + "list.c\0".len());
        assert_eq!(split[1].1.len(), 24 + 40);
        let load = &split[2].1;
        assert_eq!(&load[40..], b"sum\0\xc3");
        assert_eq!(&split[3].1[32..40], &1u64.to_ne_bytes(), "each load has its own index");
    }

    #[test]
    fn a_dump_marks_itself_by_an_executable_mapping() {
        let directory = tempfile::tempdir().unwrap();
        let dump = JitDump::create(directory.path()).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps
            .lines()
            .find(|line| line.ends_with(dump.path().file_name().unwrap().to_str().unwrap()))
            .expect("the dump is mapped");
        assert!(line.starts_with(&format!("{:x}-", dump.marker_address())), "{line}");
        assert!(line.contains("r-xp"), "{line}");
    }
}
