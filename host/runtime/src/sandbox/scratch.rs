//! Scratch folders: a call's own, empty and gone when it ends; or a session's own, gone when that is closed.
//!
//! They lie in one private folder of the host's (0700), each under a name of its own, so that nothing is found there by
//! the next call even before it is removed (FS-25). What a crash left is removed before the next call runs: whoever does
//! that must be alone, as the holder of the log is.

use std::fs;
use std::fs::DirBuilder;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use ringfence_model::capability::Access;
use ringfence_model::capability::Folder;
use ringfence_model::capability::GuestPath;
use ringfence_model::id::SessionId;
use tempfile::TempDir;
use thiserror::Error;

/// A scratch folder can't be made or removed.
#[derive(Debug, Error)]
#[error("the scratch folders in `{place}` can't be used: {why}")]
pub struct ScratchError {
    place: String,
    why: String,
}

/// What the names of sessions' folders start with.
const SESSION_PREFIX: &str = "session-";

/// A folder of one call's own, which is removed when this is dropped, or of a session's, which is not.
/// [`Scratch::remove`] does it without holding up others.
#[derive(Debug)]
pub struct Scratch {
    /// Set if it is the call's own.
    folder: Option<TempDir>,
    host: String,
}

impl Scratch {
    /// Makes an empty folder in `place`.
    pub async fn create(place: PathBuf) -> Result<Self, ScratchError> {
        let shown = place.clone();
        let made = tokio::task::spawn_blocking(move || Self::make(&place)).await;
        made.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())).map_err(|error| failed(&shown, &error))
    }

    fn make(place: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(place)?;
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("call-").permissions(private).tempdir_in(place.canonicalize()?)?;
        let host = folder.path().to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
        Ok(Self { folder: Some(folder), host })
    }

    /// The folder of a session in `place`: made by its first call that wants one, and kept for the next.
    pub async fn of_session(place: PathBuf, session: SessionId) -> Result<Self, ScratchError> {
        let shown = place.clone();
        let made = tokio::task::spawn_blocking(move || {
            let folder = session_folder(&place, session);
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let host = folder.canonicalize()?.into_os_string().into_string();
            Ok(Self { folder: None, host: host.map_err(|_| io::ErrorKind::InvalidFilename)? })
        });
        made.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())).map_err(|error| failed(&shown, &error))
    }

    /// The folder as a call is given it. The call's own quota bounds it.
    pub(super) fn folder(&self, guest: &GuestPath) -> Folder {
        Folder {
            access: Access::ReadWrite,
            bytes_max: None,
            deny: Vec::new(),
            files_max: None,
            guest: guest.clone(),
            host: self.host.clone(),
        }
    }

    /// Removes it, on a thread that may block.
    pub async fn remove(self) {
        // A failure leaves the folder to `clear`: no later call can see it.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now is removed by `clear`.
        if let Some(folder) = &self.folder {
            let _ = remove_tree(folder.path());
        }
    }
}

/// Removes the folder of a session that is closed.
pub fn clear_session(place: &Path, session: SessionId) -> Result<(), ScratchError> {
    match remove_tree(&session_folder(place, session)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(place, &error)),
        _ => Ok(()),
    }
}

fn session_folder(place: &Path, session: SessionId) -> PathBuf {
    place.join(format!("{SESSION_PREFIX}{session}"))
}

/// Removes what calls have left that were cut off, and what sessions have that are not open. The caller is the only one
/// who runs calls.
pub fn clear(place: &Path, is_open: impl Fn(SessionId) -> bool) -> Result<(), ScratchError> {
    let entries = match entries(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(place, &error)),
    };
    let left_over = entries.iter().filter(|left| !session(left).is_some_and(&is_open));
    left_over.into_iter().try_for_each(|left| remove(left)).map_err(|error| failed(place, &error))
}

/// The session whose folder this is.
fn session(folder: &Path) -> Option<SessionId> {
    folder.file_name()?.to_str()?.strip_prefix(SESSION_PREFIX)?.parse().ok()
}

fn failed(place: &Path, error: &io::Error) -> ScratchError {
    ScratchError { place: place.display().to_string(), why: error.to_string() }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { remove_tree(path) } else { fs::remove_file(path) }
}

/// Removes a folder however deep it is: what lies two levels down is lifted to the first, so neither the stack nor the
/// number of open files grows with the depth (FS-19).
fn remove_tree(top: &Path) -> io::Result<()> {
    let mut lifted = 0_u64;
    loop {
        let level = entries(top)?;
        if level.is_empty() {
            return fs::remove_dir(top);
        }
        for path in level {
            if !path.symlink_metadata()?.is_dir() {
                fs::remove_file(path)?;
                continue;
            }
            for below in entries(&path)? {
                if below.symlink_metadata()?.is_dir() {
                    lift(top, &below, &mut lifted)?;
                } else {
                    fs::remove_file(below)?;
                }
            }
            fs::remove_dir(path)?;
        }
    }
}

/// Moves a folder to the first level, under a name that nothing has there.
fn lift(top: &Path, folder: &Path, lifted: &mut u64) -> io::Result<()> {
    loop {
        *lifted += 1;
        let target = top.join(format!("lifted-{lifted}"));
        if target.symlink_metadata().is_err() {
            return fs::rename(folder, target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder inside a folder, this often, with a file in the last; made without a long path.
    fn deep(top: &Path, levels: usize) {
        fs::write(top.join("file"), "x").expect("a file");
        for level in 0..levels {
            let outer = top.join(format!("outer-{level}"));
            fs::create_dir(&outer).expect("a folder");
            let inside = entries(top).expect("entries");
            for path in inside.iter().filter(|path| **path != outer) {
                fs::rename(path, outer.join("lifted-1")).expect("moved");
            }
        }
    }

    #[test]
    fn deep_trees_are_removed() {
        // FS-19, FS-25
        let place = tempfile::tempdir().expect("a folder");
        let left = place.path().join("call-left");
        fs::create_dir(&left).expect("a folder");
        deep(&left, 5_000);
        fs::write(place.path().join("stray"), "x").expect("a file");
        clear(place.path(), |_| false).expect("cleared");
        assert!(entries(place.path()).expect("entries").is_empty());
        clear(&place.path().join("missing"), |_| false).expect("nothing to clear");
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        // FS-25
        let (place, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::write(outside.path().join("canary"), "unharmed").expect("a file");
        let left = place.path().join("call-left");
        fs::create_dir_all(left.join("sub")).expect("a folder");
        for link in [left.join("out"), left.join("sub/out"), place.path().join("out")] {
            std::os::unix::fs::symlink(outside.path(), link).expect("a link");
        }
        clear(place.path(), |_| false).expect("cleared");
        assert!(outside.path().join("canary").exists() && entries(place.path()).expect("entries").is_empty());
    }

    #[tokio::test]
    async fn scratch_is_private_and_goes() {
        // FS-25
        let place = tempfile::tempdir().expect("a folder");
        let scratch = Scratch::create(place.path().join("scratch")).await.expect("a scratch folder");
        let path = Path::new(&scratch.host).to_owned();
        assert_eq!(path.metadata().expect("a folder").permissions().mode() & 0o777, 0o700);
        fs::write(path.join("marker"), "x").expect("a file");
        scratch.remove().await;
        assert!(!path.exists());
    }
}
