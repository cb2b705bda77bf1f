//! A published log in a folder, fetched from where it is published by whatever fetches files.
//!
//! Whoever sent it chose what lies in it: only plain files are read, and none beyond what a tile may have.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;

use ringfence_audit::tiles::Tile;
use ringfence_audit::tiles::Tiles;
use ringfence_model::limits::CHECKPOINT_BYTES_MAX;

/// The name of the checkpoint beside the tiles.
const CHECKPOINT: &str = "checkpoint";

/// A folder with a checkpoint, and tiles at their paths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folder<'a>(pub(crate) &'a Path);

impl Folder<'_> {
    /// The checkpoint, as a signed note; none if it is not there.
    pub(crate) fn checkpoint(&self) -> io::Result<Option<String>> {
        let bytes = read(&self.0.join(CHECKPOINT), CHECKPOINT_BYTES_MAX)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}

impl Tiles for Folder<'_> {
    type Error = io::Error;

    fn read(&self, tile: &Tile) -> io::Result<Option<Vec<u8>>> {
        read(&self.0.join(tile.to_string()), tile.bytes_max())
    }
}

/// Reads a file of at most so many bytes; none if there is no such file.
pub(crate) fn read(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.is_file() {
        // A pipe keeps whoever opens it waiting.
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    let longer = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(longer).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::Error::other(format!("it is larger than {bytes_max} bytes")));
    }
    Ok(Some(bytes))
}
