//! Linear memory a second time, at the host addresses that equal the wasm addresses.
//!
//! A pointer that the guest keeps in 4 bytes is then a valid host address, and a debugger follows it by itself. The memory
//! lies in a file without a name (`memfd_create`), which both places map shared.

use super::fork;
use super::mmap::page_size;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the identity map is and is not.
#[derive(Clone, Debug, Default)]
pub struct IdentityMapState {
    /// The memory's addresses.
    pub wanted: Range<u64>,
    /// The parts that are mapped.
    pub mapped: Vec<Range<u64>>,
    /// The parts that are not, and why.
    pub missing: Vec<(Range<u64>, MissingReason)>,
}

/// Why a part of the identity map is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissingReason {
    /// Below the lowest address that the kernel lets a process map.
    PageZero {
        /// That address, `vm.mmap_min_addr`.
        lowest: u64,
    },
    /// Something else of the host process is mapped there.
    Taken,
    /// Another instance has the map.
    OwnedByAnother,
    /// The kernel refused.
    Refused(String),
}

impl IdentityMapState {
    /// Does the map belong to this memory, whatever parts of it are missing?
    pub(crate) fn is_ours(&self) -> bool {
        !self.missing.iter().any(|(_, reason)| *reason == MissingReason::OwnedByAnother)
    }
}

impl fmt::Display for IdentityMapState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identity map of {:#x}..{:#x}: ", self.wanted.start, self.wanted.end)?;
        if self.mapped.is_empty() {
            f.write_str("nothing mapped")?;
        }
        for (i, range) in self.mapped.iter().enumerate() {
            write!(f, "{}{:#x}..{:#x}", if i == 0 { "mapped " } else { ", " }, range.start, range.end)?;
        }
        for (range, reason) in &self.missing {
            write!(f, "; missing {:#x}..{:#x}: ", range.start, range.end)?;
            match reason {
                MissingReason::PageZero { lowest } => write!(
                    f,
                    "the kernel maps nothing below vm.mmap_min_addr ({lowest:#x}); link with \
                     --global-base={lowest} or -z stack-size={lowest} and --stack-first, or lower the sysctl"
                )?,
                MissingReason::Taken => f.write_str("taken by another mapping of this process")?,
                MissingReason::OwnedByAnother => f.write_str("another instance of this process has the map")?,
                MissingReason::Refused(why) => f.write_str(why)?,
            }
        }
        Ok(())
    }
}

/// Whether an [`IdentityMap`] exists.
static OWNED: AtomicBool = AtomicBool::new(false);

/// The file behind a memory, and its mappings at the low addresses.
#[derive(Debug)]
pub struct IdentityMap {
    file: OwnedFd,
    len: usize,
    /// Address space from 0 up to here is ours alone; 0 where only the memory's own size was free.
    reserved: usize,
    state: IdentityMapState,
}

impl IdentityMap {
    /// The map of a memory that is empty so far; an error if another memory has one.
    pub fn new() -> Result<IdentityMap, MissingReason> {
        if OWNED.swap(true, Ordering::AcqRel) {
            return Err(MissingReason::OwnedByAnother);
        }
        let file = match fork::memory_file(c"wasm-memory") {
            Ok(file) => file,
            Err(error) => {
                OWNED.store(false, Ordering::Release);
                return Err(MissingReason::Refused(format!("memfd_create: {error}")));
            }
        };
        fork::watch(&file);
        Ok(IdentityMap { file, len: 0, reserved: 0, state: IdentityMapState::default() })
    }

    /// The file.
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Where the map is.
    pub fn state(&self) -> &IdentityMapState {
        &self.state
    }

    /// Tries to get all addresses from 0 to `len`. Compiled code may then use the map as its memory, with the base 0, so
    /// that debuggers see one address for each byte. It needs CAP_SYS_RAWIO where `vm.mmap_min_addr` is not 0.
    pub fn reserve_all(&mut self, len: usize) -> bool {
        debug_assert!(self.len == 0 && self.reserved == 0, "before anything is mapped");
        // Debuggers read anonymous memory past its protection, as zeros: a wild pointer would look like a good one. What
        // lies behind the end of a file cannot be read at all.
        let Ok(nothing) = fork::memory_file(c"guest-guard") else { return false };
        // SAFETY: MAP_FIXED_NOREPLACE leaves existing mappings alone; a mapping that lands elsewhere is undone.
        let result = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_NONE,
                libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE,
                nothing.as_raw_fd(),
                0,
            )
        };
        if result == libc::MAP_FAILED {
            return false;
        }
        if !result.is_null() {
            // SAFETY: a mapping that we have just made and nobody knows.
            unsafe { libc::munmap(result, len) };
            return false;
        }
        // SAFETY: just mapped.
        unsafe { super::mmap::leave_out_of_core_files(result, len) };
        self.reserved = len;
        true
    }

    /// Can compiled code use the map as its memory?
    pub fn is_whole(&self) -> bool {
        self.reserved != 0
    }

    /// Makes the file `len` bytes long (whole pages) and maps what is new. A missing part of the map is
    /// not an error but noted, unless compiled code uses the map ([`Self::is_whole`]).
    pub fn grow(&mut self, len: usize) -> io::Result<()> {
        // SAFETY: the descriptor is ours.
        if unsafe { libc::ftruncate(self.file.as_raw_fd(), len as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let new = self.len..len;
        if self.is_whole() {
            // Compiled code uses what is mapped here.
            debug_assert!(len <= self.reserved, "the memory grows within its capacity");
            if !new.is_empty() {
                self.map_with(new, libc::MAP_FIXED)?;
            }
        } else {
            self.map(new);
        }
        self.len = len;
        self.state.wanted = 0..len as u64;
        Ok(())
    }

    fn map(&mut self, range: Range<usize>) {
        let lowest = lowest_mappable();
        let mut start = range.start;
        if start < lowest {
            // It takes CAP_SYS_RAWIO. The very first page is worth it: linkers put data and string literals at 1024.
            // Null pointers of the host then no longer fault, which is why the map is for debugging only and compiled
            // code checks for null instead of relying on a fault.
            let end = lowest.min(range.end);
            if self.map_exactly(start..end).is_err() {
                self.note_missing(start..end, MissingReason::PageZero { lowest: lowest as u64 });
            }
            start = end;
        }
        if start >= range.end {
            return;
        }
        match self.map_exactly(start..range.end) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => self.map_gaps(start..range.end),
            Err(error) => self.note_missing(start..range.end, MissingReason::Refused(error.to_string())),
        }
    }

    /// Maps the free parts of a range.
    fn map_gaps(&mut self, range: Range<usize>) {
        let mut at = range.start;
        for taken in taken_ranges() {
            if taken.end <= at {
                continue;
            }
            if taken.start >= range.end {
                break;
            }
            self.map_gap(at..taken.start);
            self.note_missing(taken.start.max(at)..taken.end.min(range.end), MissingReason::Taken);
            at = taken.end.min(range.end);
        }
        self.map_gap(at..range.end);
    }

    fn map_gap(&mut self, gap: Range<usize>) {
        if gap.start < gap.end
            && let Err(error) = self.map_exactly(gap.clone())
        {
            let taken = error.raw_os_error() == Some(libc::EEXIST);
            let reason = if taken { MissingReason::Taken } else { MissingReason::Refused(error.to_string()) };
            self.note_missing(gap, reason);
        }
    }

    fn map_exactly(&mut self, range: Range<usize>) -> io::Result<()> {
        self.map_with(range, libc::MAP_FIXED_NOREPLACE)
    }

    fn map_with(&mut self, range: Range<usize>, placement: libc::c_int) -> io::Result<()> {
        debug_assert!(placement != libc::MAP_FIXED || range.end <= self.reserved, "only what is ours is replaced");
        // SAFETY: MAP_FIXED is used inside our own reservation. MAP_FIXED_NOREPLACE leaves existing mappings alone;
        // kernels before 4.17 don't know it and take the address as a hint; then the mapping is elsewhere and is undone.
        let result = unsafe {
            libc::mmap(
                range.start as *mut libc::c_void,
                range.len(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | placement | libc::MAP_NORESERVE,
                self.file.as_raw_fd(),
                range.start as libc::off_t,
            )
        };
        if result == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        if result as usize != range.start {
            // SAFETY: a mapping that we have just made and nobody knows.
            unsafe { libc::munmap(result, range.len()) };
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        let (start, end) = (range.start as u64, range.end as u64);
        match self.state.mapped.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.state.mapped.push(start..end),
        }
        Ok(())
    }

    fn note_missing(&mut self, range: Range<usize>, reason: MissingReason) {
        let (start, end) = (range.start as u64, range.end as u64);
        match self.state.missing.last_mut() {
            Some((last, why)) if last.end == start && *why == reason => last.end = end,
            _ => self.state.missing.push((start..end, reason)),
        }
    }
}

impl Drop for IdentityMap {
    fn drop(&mut self) {
        fork::forget();
        if self.reserved != 0 {
            // SAFETY: our own reservation with all that was mapped into it; its user, the memory, is gone.
            unsafe { libc::munmap(std::ptr::null_mut(), self.reserved) };
            OWNED.store(false, Ordering::Release);
            return;
        }
        for range in &self.state.mapped {
            // SAFETY: our own mappings; compiled code does not know of them, and debuggers must bear memory that goes.
            unsafe { libc::munmap(range.start as *mut libc::c_void, (range.end - range.start) as usize) };
        }
        OWNED.store(false, Ordering::Release);
    }
}

/// Maps the page at `address`, which belongs to the guard of a memory without an identity map, from a file whose name
/// debuggers know. Without it nothing but their list of memories is incomplete.
pub fn mark(address: *mut u8, offset: usize) {
    static FILE: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let Some(file) = FILE.get_or_init(|| fork::memory_file(c"guest-memory").ok()) else { return };
    // SAFETY: replaces a page without access by another.
    unsafe {
        libc::mmap(
            address.cast(),
            page_size(),
            libc::PROT_NONE,
            libc::MAP_SHARED | libc::MAP_FIXED,
            file.as_raw_fd(),
            offset as libc::off_t,
        )
    };
}

/// `vm.mmap_min_addr`, at least a page.
fn lowest_mappable() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/mmap_min_addr").unwrap_or_default();
    text.trim().parse().unwrap_or(64 << 10).max(page_size())
}

/// What is mapped in this process, by address.
fn taken_ranges() -> Vec<Range<usize>> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let range = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    };
    text.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// The map is one for the process.
    static ONE: Mutex<()> = Mutex::new(());

    #[test]
    fn low_addresses_show_the_file_and_grow_with_it() {
        let _one = ONE.lock().unwrap();
        let mut map = IdentityMap::new().unwrap();
        assert_eq!(IdentityMap::new().unwrap_err(), MissingReason::OwnedByAnother);
        map.grow(4 << 20).unwrap();
        let address = 1 << 20;
        assert!(map.state().mapped.iter().any(|range| range.contains(&address)), "{}", map.state());
        let written = b"visible";
        // SAFETY: the file is ours.
        let n = unsafe {
            libc::pwrite(map.file().as_raw_fd(), written.as_ptr().cast(), written.len(), address as libc::off_t)
        };
        assert_eq!(n, 7);
        // SAFETY: mapped, as the state says.
        assert_eq!(unsafe { *(address as *const [u8; 7]) }, *written);
        map.grow(8 << 20).unwrap();
        assert_eq!(map.state().wanted, 0..8 << 20);
        // SAFETY: mapped, as the state says.
        assert_eq!(unsafe { *((7 << 20) as *const u8) }, 0);
        drop(map);
        drop(IdentityMap::new().unwrap());
    }

    #[test]
    fn what_is_taken_stays_and_is_reported() {
        let _one = ONE.lock().unwrap();
        let (at, len) = (0x30_0000_usize, 0x2000);
        // SAFETY: does not replace anything.
        let taken = unsafe {
            libc::mmap(
                at as *mut libc::c_void,
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
        assert_eq!(taken as usize, at);
        // SAFETY: just mapped.
        unsafe { *(at as *mut u8) = 7 };
        let mut map = IdentityMap::new().unwrap();
        map.grow(8 << 20).unwrap();
        // SAFETY: mapped above, and the map may not have replaced it.
        assert_eq!(unsafe { *(at as *const u8) }, 7);
        let (at, len) = (at as u64, len as u64);
        assert!(map.state().missing.contains(&(at..at + len, MissingReason::Taken)), "{}", map.state());
        assert!(map.state().mapped.iter().any(|range| range.end == at));
        assert!(map.state().mapped.iter().any(|range| range.start == at + len));
        drop(map);
        // SAFETY: our own mapping.
        unsafe { libc::munmap(taken, len as usize) };
    }
}
