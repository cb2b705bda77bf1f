//! The head as a file.
//!
//! Owns how it is read, locked and replaced: whoever replaces it has the lock beside it.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits::CHECKPOINT_BYTES_MAX;

use crate::sequencer::SequencerError;

/// How long to wait for another process to let go of the head, and how often to look. Holding it takes milliseconds.
const HELD_WAIT: Duration = Duration::from_secs(10);
const HELD_PAUSE: Duration = Duration::from_millis(5);

/// The head file of a log.
#[derive(Debug)]
pub(super) struct HeadFile {
    path: PathBuf,
}

impl HeadFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What it says; none if there is none.
    pub(super) fn read(&self) -> Result<Option<String>, SequencerError> {
        read(&self.path).map_err(|error| self.failed(&error))
    }

    /// Waits until nobody else replaces it. The lock goes with the handle.
    pub(super) fn lock(&self) -> Result<File, SequencerError> {
        lock(&self.lock_path()).map_err(|error| self.failed(&error))
    }

    /// Replaces it, if it still says `from`. To be asked by whoever has the lock.
    pub(super) fn swap(&self, from: Option<&str>, to: &str) -> Result<(), SequencerError> {
        if self.read()?.as_deref() != from {
            return Err(self.refused("it was replaced by somebody who did not hold it"));
        }
        write(&self.path, to).map_err(|error| self.failed(&error))
    }

    /// It can't be believed.
    pub(super) fn refused(&self, why: impl Into<String>) -> SequencerError {
        SequencerError::HeadFile { path: self.path.display().to_string(), why: why.into() }
    }

    /// The lock is a file of its own, for the head itself is replaced, and the lock would go with it.
    fn lock_path(&self) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".lock");
        path.into()
    }

    fn failed(&self, error: &io::Error) -> SequencerError {
        self.refused(match error.kind() {
            io::ErrorKind::NotFound => "its folder does not exist".to_owned(),
            io::ErrorKind::StorageFull => "the disk is full".to_owned(),
            io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".to_owned(),
            io::ErrorKind::WouldBlock => "another process holds it".to_owned(),
            _ => error.to_string(),
        })
    }
}

fn lock(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if started.elapsed() < HELD_WAIT => std::thread::sleep(HELD_PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.is_file() {
        // A pipe would keep every command waiting.
        return Err(io::Error::other("it is no plain file"));
    }
    let file = File::open(path)?;
    let mut note = String::new();
    let bytes_max = u64::try_from(CHECKPOINT_BYTES_MAX).unwrap_or(u64::MAX);
    if file.take(bytes_max.saturating_add(1)).read_to_string(&mut note)? > CHECKPOINT_BYTES_MAX {
        return Err(io::Error::other("it is larger than a checkpoint may be"));
    }
    Ok(Some(note))
}

/// Whatever happens, the old one or the new one is there, and never half of one (CR-27).
fn write(path: &Path, note: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".head-").tempfile_in(folder)?;
    file.write_all(note.as_bytes())?;
    // Durability: the bytes before the name, and the name before anybody is told.
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}
