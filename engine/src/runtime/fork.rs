//! A child that the host forks gets a copy of the linear memory that has an identity map.
//!
//! Such a memory lies in a file that is mapped twice, shared. A forked process would have the same file: parent and child
//! would write into each other's guest. So `fork` makes a copy of the file, and the child maps it in the place of the
//! original, at the same addresses and under the same descriptor.

use std::cell::RefCell;
use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Once, PoisonError, RwLock, RwLockReadGuard};

/// The descriptor of the file, as long as there is one.
static FILE: RwLock<Option<i32>> = RwLock::new(None);

thread_local! {
    /// Between the handlers of one call of `fork`.
    static FORKING: RefCell<Option<Forking>> = const { RefCell::new(None) };
}

struct Forking {
    copy: Option<Copy>,
    /// The child, which has no other threads, must not find a lock that one of them holds.
    _locked: RwLockReadGuard<'static, Option<i32>>,
}

struct Copy {
    file: OwnedFd,
    /// The descriptor of the original.
    original: i32,
    /// Where the original is mapped: addresses, protection, offset.
    places: Vec<(Range<usize>, i32, libc::off_t)>,
}

/// From now on `file` is what forked processes get a copy of.
pub fn watch(file: &OwnedFd) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the handlers take no arguments. In the child they make system calls only, and free memory, which the C
        // library allows there. Without memory for the list of handlers, children share the guest's memory.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
    *FILE.write().unwrap_or_else(PoisonError::into_inner) = Some(file.as_raw_fd());
}

/// There is no such file any more.
pub fn forget() {
    *FILE.write().unwrap_or_else(PoisonError::into_inner) = None;
}

extern "C" fn before() {
    let locked = FILE.read().unwrap_or_else(PoisonError::into_inner);
    // Without a copy the child shares the memory: nobody could be told here.
    let copy = locked.and_then(|original| Copy::of(original).ok());
    FORKING.set(Some(Forking { copy, _locked: locked }));
}

extern "C" fn in_parent() {
    FORKING.take();
}

extern "C" fn in_child() {
    if let Some(Forking { copy: Some(copy), _locked }) = FORKING.take() {
        copy.replace_original();
    }
}

impl Copy {
    fn of(original: i32) -> io::Result<Copy> {
        // SAFETY: `FILE`, which is locked, names an open descriptor: its owner takes it out before it closes it.
        let file = unsafe { BorrowedFd::borrow_raw(original) };
        // SAFETY: plain numbers, for which zero is a value.
        let mut status: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: a valid place for the answer.
        check(unsafe { libc::fstat(original, &mut status) })?;
        let copy = memory_file(c"wasm-memory")?;
        // SAFETY: our own descriptor.
        check(unsafe { libc::ftruncate(copy.as_raw_fd(), status.st_size) })?;
        copy_contents(file, &copy, status.st_size)?;
        Ok(Copy { file: copy, original, places: mappings_of(status.st_ino)? })
    }

    fn replace_original(self) {
        // SAFETY: `dup2` replaces the child's own descriptor; the mappings keep the original file until they are replaced.
        if unsafe { libc::dup2(self.file.as_raw_fd(), self.original) } < 0 {
            return;
        }
        for (range, protection, offset) in &self.places {
            let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE;
            // SAFETY: in the place of a mapping of the original, which held the same bytes.
            unsafe { libc::mmap(range.start as *mut _, range.len(), *protection, flags, self.original, *offset) };
        }
    }
}

/// A file in memory; its name is for those who look at the process.
pub fn memory_file(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string, and the call has no other requirement.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    check(fd)?;
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Copies what is not a hole.
fn copy_contents(from: BorrowedFd<'_>, to: &OwnedFd, size: libc::off_t) -> io::Result<()> {
    let mut at = 0;
    while at < size {
        // SAFETY: no pointers are passed, here and below.
        let start = unsafe { libc::lseek(from.as_raw_fd(), at, libc::SEEK_DATA) };
        if start < 0 {
            // Nothing but holes.
            return Ok(());
        }
        // SAFETY: as above.
        let end = unsafe { libc::lseek(from.as_raw_fd(), start, libc::SEEK_HOLE) };
        check(end)?;
        // SAFETY: as above.
        check(unsafe { libc::lseek(to.as_raw_fd(), start, libc::SEEK_SET) })?;
        let mut offset = start;
        while offset < end {
            // SAFETY: `offset` is a valid place for the new offset.
            let sent =
                unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), &mut offset, (end - offset) as usize) };
            if check(sent)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        at = end;
    }
    Ok(())
}

/// Where a file of this process's memory is mapped.
fn mappings_of(inode: libc::ino_t) -> io::Result<Vec<(Range<usize>, i32, libc::off_t)>> {
    let text = std::fs::read_to_string("/proc/self/maps")?;
    let inode = inode.to_string();
    let place = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [addresses, rights, offset, _, number, name, ..] = *fields else { return None };
        if number != inode || !name.starts_with("/memfd:wasm-memory") {
            return None;
        }
        let (start, end) = addresses.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let rights = [('r', libc::PROT_READ), ('w', libc::PROT_WRITE)]
            .map(|(letter, right)| if rights.contains(letter) { right } else { 0 });
        Some((number(start)?..number(end)?, rights[0] | rights[1], number(offset)? as libc::off_t))
    };
    Ok(text.lines().filter_map(place).collect())
}

fn check<N: PartialOrd + From<i8>>(result: N) -> io::Result<N> {
    if result < N::from(0) { Err(io::Error::last_os_error()) } else { Ok(result) }
}
