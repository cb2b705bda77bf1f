//! Files that are read whole: each within a bound, for whoever wrote one must not decide how much memory a command takes.
//!
//! A pipe that somebody put in the place of a file is not waited for, and a device ends where the bound does.

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// A file's bytes. One that is larger can't be read.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let bytes = read_start(path, bytes_max)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max) {
        return Ok(bytes);
    }
    Err(io::Error::other(format!("it is larger than {bytes_max} bytes")))
}

/// A file's text. One that is larger can't be read.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read(path, bytes_max)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// What a file begins with: of one that is larger a byte more than it may have, by which whoever judges it knows.
pub fn read_start(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_read_beyond_its_bound() {
        // MAL-04
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        for (length, fits) in [(0, true), (8, true), (9, false), (1 << 40, false)] {
            fs::File::create(&path).and_then(|file| file.set_len(length)).expect("a file");
            assert_eq!(read(&path, 8).is_ok(), fits, "{length}");
            assert_eq!(read_start(&path, 8).expect("its beginning").len() as u64, length.min(9));
        }
        assert!(read(Path::new("/dev/zero"), 8).is_err());
        assert_eq!(read(&folder.path().join("none"), 8).expect_err("no file").kind(), io::ErrorKind::NotFound);
        fs::write(&path, [0xff]).expect("a file");
        assert!(read_text(&path, 8).is_err());
    }
}
