//! Reading files of which a person says what they are.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// As many bytes tell what a file is.
pub const FILE_START: u64 = 4;
/// What is no file on a disk may never end.
const MOST_FROM_PIPES: u64 = 1 << 30;

/// What is in a file, if `may_be` says of its first [`FILE_START`] bytes that it is of use, else only these bytes.
///
/// # Errors
///
/// As reading files; also where a pipe or device has more than 1 GiB.
pub fn read_file(path: &Path, may_be: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(FILE_START).read_to_end(&mut bytes)?;
    if !may_be(&bytes) {
        return Ok(bytes);
    }
    if file.metadata()?.is_file() {
        file.read_to_end(&mut bytes)?;
    } else if (&mut file).take(MOST_FROM_PIPES).read_to_end(&mut bytes)? as u64 == MOST_FROM_PIPES {
        return Err(io::Error::other("it has more than 1 GiB"));
    }
    Ok(bytes)
}
