//! Address space.

use std::io;
use std::ptr;

/// The size of a page of the host.
pub fn page_size() -> usize {
    // Not rustix, which reads the process's auxiliary vector itself: under valgrind that leads nowhere.
    // SAFETY: asks for a constant.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// `bytes` rounded up to whole pages; `None` if that does not fit.
pub fn round_up_to_page(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(page_size())
}

/// A range of address space that is unmapped when it is dropped.
#[derive(Debug)]
pub struct Mapping {
    base: *mut u8,
    len: usize,
}

// SAFETY: a mapping is not bound to a thread; who accesses its bytes is its owner's affair.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` only gives out the address and changes protection.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Address space without access. `len` is rounded up to whole pages.
    pub fn reserve(len: usize) -> io::Result<Mapping> {
        let len = round_up_to_page(len).ok_or(io::ErrorKind::OutOfMemory)?;
        if len == 0 {
            return Ok(Mapping { base: ptr::dangling_mut(), len: 0 });
        }
        // SAFETY: a fresh private mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is ours, and its contents do not change.
        unsafe { leave_out_of_core_files(base, len) };
        Ok(Mapping { base: base.cast(), len })
    }

    /// Reserves `len` bytes at a multiple of `align`, a power of two of at least a page.
    pub fn reserve_aligned(len: usize, align: usize) -> io::Result<Mapping> {
        let len = round_up_to_page(len).ok_or(io::ErrorKind::OutOfMemory)?;
        let larger = Mapping::reserve(len.checked_add(align).ok_or(io::ErrorKind::OutOfMemory)?)?;
        let start = larger.base as usize;
        let aligned = start.next_multiple_of(align);
        let (before, after) = (aligned - start, start + larger.len - (aligned + len));
        let kept = Mapping { base: larger.base.wrapping_add(before), len };
        std::mem::forget(larger);
        for (part, size) in [(start, before), (aligned + len, after)] {
            if size != 0 {
                // SAFETY: a part of our own reservation that `kept` leaves out, and that nobody has used.
                unsafe { libc::munmap(part as *mut libc::c_void, size) };
            }
        }
        Ok(kept)
    }

    pub fn base(&self) -> *mut u8 {
        self.base
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Replaces `[start, start + len)` by pages of a file, shared, with or without access.
    ///
    /// # Safety
    ///
    /// Nothing may refer to the old contents of the range.
    pub unsafe fn map_file(
        &self,
        start: usize,
        len: usize,
        file: &impl std::os::fd::AsRawFd,
        file_offset: usize,
        protection: libc::c_int,
    ) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "the range lies in the mapping");
        // SAFETY: the range lies in this mapping, and the caller promises that its contents are not used.
        let result = unsafe {
            libc::mmap(
                self.base.add(start).cast(),
                len,
                protection,
                libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                file_offset as libc::off_t,
            )
        };
        if result == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes `[start, start + len)` readable and writable.
    pub fn make_accessible(&self, start: usize, len: usize) -> io::Result<()> {
        self.protect(start, len, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Makes `[start, start + len)` readable and executable.
    pub fn make_executable(&self, start: usize, len: usize) -> io::Result<()> {
        self.protect(start, len, libc::PROT_READ | libc::PROT_EXEC)
    }

    /// Makes `[start, start + len)` read-only.
    pub fn make_read_only(&self, start: usize, len: usize) -> io::Result<()> {
        self.protect(start, len, libc::PROT_READ)
    }

    /// Gives the memory of `[start, start + len)` back and leaves address space without access.
    ///
    /// # Safety
    ///
    /// Nothing may refer to the contents of the range.
    pub unsafe fn release(&self, start: usize, len: usize) {
        if len == 0 {
            return;
        }
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "the range lies in the mapping");
        // SAFETY: the range lies in this mapping, and the caller promises that its contents are not used.
        unsafe {
            let start = self.base.add(start).cast();
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
            if libc::mmap(start, len, libc::PROT_NONE, flags, -1, 0) != libc::MAP_FAILED {
                leave_out_of_core_files(start, len);
            }
        }
    }

    fn protect(&self, start: usize, len: usize, protection: libc::c_int) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "the range lies in the mapping");
        // SAFETY: the range lies in this mapping. Code and tables are only protected once they are written (`code.rs`), and
        // memory only gains access.
        let result = unsafe {
            let start = self.base.add(start).cast();
            libc::madvise(start, len, libc::MADV_DODUMP);
            libc::mprotect(start, len, protection)
        };
        if result != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Address space that is only reserved has nothing to show, and gdb's `generate-core-file` would write all of it.
///
/// # Safety
///
/// The range must be mapped, and the caller's.
pub unsafe fn leave_out_of_core_files(start: *mut libc::c_void, len: usize) {
    // A kernel that refuses writes larger core files.
    // SAFETY: the caller's promise; no contents change.
    unsafe { libc::madvise(start, len, libc::MADV_DONTDUMP) };
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: `base` and `len` are those of our own mapping, and no reference into it outlives its owner.
            let result = unsafe { libc::munmap(self.base.cast(), self.len) };
            debug_assert_eq!(result, 0, "unmapping one's own mapping succeeds");
        }
    }
}
