//! A published log: a folder of tiles and a checkpoint, for any web server to hand out.
//!
//! What is under `tile/` is written once and never again; only the checkpoint is replaced, and it comes last. Nothing
//! that is read here is believed: the checkpoint's signature and the hashes are the audit crate's to check.

use std::fmt;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use ringfence_audit::tiles::Tile;
use ringfence_audit::tiles::Tiles;
use ringfence_model::limits::CHECKPOINT_BYTES_MAX;
use thiserror::Error;

use crate::files;

/// A web server reads what is published, whoever it runs as.
const FILE_MODE: u32 = 0o644;

/// Why a published log can't be read, or not be added to.
#[derive(Debug, Error)]
pub enum PublishedError {
    /// A file can't be read or written.
    #[error("`{path}` can't be used: {why}")]
    File { path: String, why: String },
    /// What is there is not a part of this log.
    #[error("`{folder}` holds another log, or another history of this one: {why}")]
    Foreign { folder: String, why: String },
    /// A tile does not hold what it must.
    #[error("what is published in `{folder}` is damaged: {why}")]
    Damaged { folder: String, why: String },
}

/// The folder of a published log.
#[derive(Debug)]
pub struct Published<'a> {
    folder: &'a Path,
}

impl<'a> Published<'a> {
    /// The folder, which may be empty or not there yet.
    pub const fn new(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// The checkpoint, as a signed note.
    pub fn checkpoint(&self) -> Result<Option<String>, PublishedError> {
        let path = self.checkpoint_path();
        let bytes = read(&path, CHECKPOINT_BYTES_MAX).map_err(|error| file_error(&path, &error))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Writes a tile, if it is not there: whether it was written. One that is there and is another is left as it is.
    pub fn add(&self, tile: &Tile, bytes: &[u8]) -> Result<bool, PublishedError> {
        let path = self.path(tile);
        match self.read(tile).map_err(|error| file_error(&path, &error))? {
            Some(found) if found == bytes => Ok(false),
            Some(_) => Err(self.foreign(format!("`{tile}` is there, and is not what this log has there"))),
            None => {
                let written = write(&path, bytes, |file| file.persist_noclobber(&path));
                written.map_err(|error| file_error(&path, &error))?;
                Ok(true)
            }
        }
    }

    /// Puts the checkpoint in place of the one before, once everything it covers has reached the disk.
    pub fn set_checkpoint(&self, note: &str) -> Result<(), PublishedError> {
        let path = self.checkpoint_path();
        // Durability: the tiles, with their names, before the checkpoint that promises them.
        let synced = File::open(self.folder).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
        let written = synced.and_then(|()| write(&path, note.as_bytes(), |file| file.persist(&path)));
        written.map_err(|error| file_error(&path, &error))
    }

    /// Removes the partial forms of a tile that is full now; who looks for one finds the full one.
    pub fn drop_partial(&self, tile: &Tile) -> Result<(), PublishedError> {
        let path = self.folder.join(tile.partial_folder());
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(&path, &error)),
            _ => Ok(()),
        }
    }

    /// What is here is not of this log.
    pub fn foreign(&self, why: impl Into<String>) -> PublishedError {
        PublishedError::Foreign { folder: self.folder.display().to_string(), why: why.into() }
    }

    /// What is here is not what it must be.
    pub fn damaged(&self, why: impl fmt::Display) -> PublishedError {
        PublishedError::Damaged { folder: self.folder.display().to_string(), why: why.to_string() }
    }

    fn path(&self, tile: &Tile) -> PathBuf {
        self.folder.join(tile.to_string())
    }

    fn checkpoint_path(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }
}

impl Tiles for Published<'_> {
    type Error = io::Error;

    fn read(&self, tile: &Tile) -> io::Result<Option<Vec<u8>>> {
        read(&self.path(tile), tile.bytes_max())
    }
}

/// Reads a file of at most so many bytes; none if there is no such file.
fn read(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    match files::read(path, u64::try_from(bytes_max).unwrap_or(u64::MAX)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Writes a file under another name first: under its own it is whole, or not there.
fn write(
    path: &Path,
    bytes: &[u8],
    persist: impl FnOnce(tempfile::NamedTempFile) -> Result<File, tempfile::PersistError>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mode = fs::Permissions::from_mode(FILE_MODE);
    let mut file = tempfile::Builder::new().prefix(".tile-").permissions(mode).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    persist(file).map_err(|error| error.error)?;
    Ok(())
}

fn file_error(path: &Path, error: &io::Error) -> PublishedError {
    PublishedError::File { path: path.display().to_string(), why: error.to_string() }
}
