//! From a path of the guest's to an object, and to where that object really is.
//!
//! The kernel walks (`openat2`), beneath the handle the guest named and never out of it. What is reached is held by a
//! handle that can't be read, written or blocked on, and is asked where it is: patterns are compared with that, not with
//! what the guest wrote, so no link, `..`, spelling or exchange of folders gets around one. What is done afterwards is
//! done to that handle, or to one name in a folder held by such a handle.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::fstat;
use rustix::fs::openat;
use rustix::fs::openat2;
use rustix::fs::readlinkat;
use rustix::fs::statat;
use rustix::io::Errno;

use crate::sandbox::filesystem::Folder;
use crate::sandbox::filesystem::refusal::Failure;
use crate::sandbox::filesystem::refusal::Refusal;

/// How often a walk is tried again that a change beside it disturbed.
const TRIES_MAX: usize = 32;

/// An object of a folder, held without being opened.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) handle: OwnedFd,
    /// Where it is, relative to the folder; empty for the folder itself.
    pub(super) path: String,
    pub(super) kind: FileType,
}

/// A name in a folder: where something is made, moved or removed, whether it is there or not.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) parent: OwnedFd,
    pub(super) name: String,
    /// Where it is, relative to the folder that was granted.
    pub(super) path: String,
}

/// Something that was opened, and where it is.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) path: String,
    pub(super) kind: FileType,
}

/// Looks up what is at a path, seen from `base`. `last` is `NOFOLLOW` where a link at its end is meant itself. What is
/// closed and missing is refused like what is closed and there.
pub(super) fn find(folder: &Folder, base: &impl AsFd, path: &str, last: OFlags) -> Result<Found, Failure> {
    match reach(folder, base, path, last) {
        Err(failure) if is_missing(&failure) && !folder.deny.is_empty() => match place(folder, base, path) {
            Err(closed @ Failure::Refused(_)) => Err(closed),
            _ => Err(failure),
        },
        reached => reached,
    }
}

fn reach(folder: &Folder, base: &impl AsFd, path: &str, last: OFlags) -> Result<Found, Failure> {
    let handle = beneath(base, path, OFlags::PATH | OFlags::CLOEXEC | (last & OFlags::NOFOLLOW))?;
    let path = folder.locate(&handle)?;
    let stat = fstat(&handle)?;
    if stat.st_nlink == 0 {
        return Err(Errno::NOENT.into());
    }
    if folder.deny.closes(&path) {
        return Err(Refusal::Denied.into());
    }
    Ok(Found { handle, path, kind: FileType::from_raw_mode(stat.st_mode) })
}

/// The name that a path ends in, and the folder it is in, seen from `base`.
pub(super) fn place(folder: &Folder, base: &impl AsFd, path: &str) -> Result<Place, Failure> {
    let trimmed = path.trim_end_matches('/');
    let (parent, name) = match trimmed.rsplit_once('/') {
        Some((parent, name)) => (if parent.is_empty() { "/" } else { parent }, name),
        None if trimmed.is_empty() && !path.is_empty() => return Err(Refusal::Outside.into()),
        None => (".", trimmed),
    };
    match name {
        "" => return Err(Errno::NOENT.into()),
        "." => return Err(Errno::INVAL.into()),
        ".." => return Err(Refusal::Outside.into()),
        _ => {}
    }
    let parent = beneath(base, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
    let within = folder.locate(&parent)?;
    let place = Place { parent, name: name.to_owned(), path: joined(&within, name) };
    if folder.deny.closes(&place.path) {
        return Err(Refusal::Denied.into());
    }
    let names_folder = trimmed.len() < path.len();
    match place.kind()? {
        Some(kind) if names_folder && kind != FileType::Directory => Err(Errno::NOTDIR.into()),
        _ => Ok(place),
    }
}

/// Opens what is at a path, seen from `base`, or makes it.
pub(super) fn open(folder: &Folder, base: &impl AsFd, path: &str, wanted: OFlags) -> Result<Opened, Failure> {
    let last = if wanted.contains(OFlags::EXCL) { OFlags::NOFOLLOW } else { wanted };
    for _ in 0..TRIES_MAX {
        match find(folder, base, path, last) {
            Ok(_) if wanted.contains(OFlags::CREATE | OFlags::EXCL) => return Err(Errno::EXIST.into()),
            Ok(found) => return reopen(found, wanted),
            Err(failure) if !is_missing(&failure) => return Err(failure),
            Err(missing) if !wanted.contains(OFlags::CREATE) => return Err(missing),
            Err(_) if path.ends_with('/') => return Err(Errno::ISDIR.into()),
            Err(_) => {
                let place = place(folder, base, path)?;
                match create(folder, &place, wanted) {
                    // Somebody else made it just now. A link that leads nowhere is never written through.
                    Err(Failure::System(error)) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                    made => return made.map(|file| Opened { file, path: place.path, kind: FileType::RegularFile }),
                }
            }
        }
    }
    Err(Errno::NOENT.into())
}

/// The same folder as a handle that can be read: one that was granted can only be walked from.
pub(super) fn readable(folder: &impl AsFd) -> Result<OwnedFd, Errno> {
    openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens the very object that was found. Pipes, devices and sockets are never opened: to open one is to act on it.
fn reopen(found: Found, wanted: OFlags) -> Result<Opened, Failure> {
    let Found { handle, path, kind } = found;
    match kind {
        FileType::RegularFile if wanted.contains(OFlags::DIRECTORY) => return Err(Errno::NOTDIR.into()),
        FileType::RegularFile | FileType::Directory => {}
        FileType::Symlink => return Err(Errno::LOOP.into()),
        _ => return Err(Refusal::Special.into()),
    }
    let flags = wanted - (OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW);
    let file = openat(CWD, own_name(&handle), flags | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Opened { file: file.into(), path, kind })
}

fn create(folder: &Folder, place: &Place, wanted: OFlags) -> Result<File, Failure> {
    folder.quota.charge_file()?;
    let flags = wanted | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&place.parent, &place.name, flags, Mode::from_raw_mode(0o666)) {
        Ok(file) => Ok(file.into()),
        Err(errno) => {
            folder.quota.uncharge_file();
            Err(errno.into())
        }
    }
}

fn is_missing(failure: &Failure) -> bool {
    matches!(failure, Failure::System(error) if error.kind() == std::io::ErrorKind::NotFound)
}

impl Place {
    /// What stands at this name, if anything does.
    pub(super) fn kind(&self) -> Result<Option<FileType>, Failure> {
        match statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Folder {
    /// Where an object is, relative to this folder. What is no longer in it is refused.
    pub(super) fn locate(&self, handle: &impl AsFd) -> Result<String, Failure> {
        let (root, path) = (real_path(&self.root)?, real_path(handle)?);
        let relative = Path::new(OsStr::from_bytes(&path)).strip_prefix(OsStr::from_bytes(&root));
        let relative = relative.map_err(|_| Refusal::Outside)?;
        Ok(relative.to_string_lossy().into_owned())
    }
}

/// Walks from a handle, and never above it.
fn beneath(base: &impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Failure> {
    for _ in 0..TRIES_MAX {
        match openat2(base, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::XDEV) => return Err(Refusal::Outside.into()),
            walked => return Ok(walked?),
        }
    }
    Err(Errno::BUSY.into())
}

fn real_path(handle: &impl AsFd) -> Result<Vec<u8>, Errno> {
    Ok(readlinkat(CWD, own_name(handle), Vec::new())?.into_bytes())
}

/// The name by which the system knows an open handle.
fn own_name(handle: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd())
}

/// A path and a name in it.
pub(super) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}
