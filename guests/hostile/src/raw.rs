//! WASI's own calls, with the path handed over exactly as it is written.
//!
//! Rust's library and the C library below it look a path up among the granted folders first, and refuse or rewrite some
//! of them; an attacker would not go through either.

use std::fmt;

use wasi::{Errno, Fd, Filestat, Oflags, Rights};

/// The first handle that can be a granted folder.
const FOLDER_FIRST: Fd = 3;

/// What the host answered instead of doing it.
#[derive(Debug)]
pub struct Refusal(Option<Errno>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(errno) => write!(f, "{}", errno.name()),
            None => write!(f, "no such folder was granted"),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self(Some(errno))
    }
}

impl From<Refusal> for std::io::Error {
    fn from(refusal: Refusal) -> Self {
        Self::other(refusal.to_string())
    }
}

/// The outcome of a call.
pub type Outcome<T> = Result<T, Refusal>;

/// An open file or folder.
#[derive(Clone, Copy, Debug)]
pub struct Handle(Fd);

/// How to open something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open {
    /// With the right to write.
    pub write: bool,
    /// Made where it is missing.
    pub create: bool,
    /// Only where it is missing.
    pub exclusive: bool,
    /// Emptied.
    pub truncate: bool,
    /// Only if it is a folder.
    pub folder: bool,
}

/// The granted folder with this guest path.
pub fn granted(guest_path: &str) -> Outcome<Handle> {
    let mut handle = FOLDER_FIRST;
    while let Some(path) = granted_path(handle) {
        if path == guest_path {
            return Ok(Handle(handle));
        }
        handle += 1;
    }
    Err(Refusal(None))
}

fn granted_path(handle: Fd) -> Option<String> {
    // Each call is given a buffer of the length it was told to expect, which outlives it.
    unsafe {
        let prestat = wasi::fd_prestat_get(handle).ok()?;
        let mut name = vec![0; prestat.u.dir.pr_name_len];
        wasi::fd_prestat_dir_name(handle, name.as_mut_ptr(), name.len()).ok()?;
        String::from_utf8(name).ok()
    }
}

// The calls below are unsafe only because handles are plain numbers. A stale or wrong one is what some of the hostile
// programs are about: the host has to refuse it, and nothing in this program depends on it.
impl Handle {
    /// Opens something by its path from here, following links.
    pub fn open(self, path: &str, how: Open) -> Outcome<Handle> {
        let mut flags: Oflags = 0;
        let choices = [
            (how.create, wasi::OFLAGS_CREAT),
            (how.exclusive, wasi::OFLAGS_EXCL),
            (how.truncate, wasi::OFLAGS_TRUNC),
            (how.folder, wasi::OFLAGS_DIRECTORY),
        ];
        choices.iter().filter(|(chosen, _)| *chosen).for_each(|(_, flag)| flags |= flag);
        let rights: Rights =
            if how.write { wasi::RIGHTS_FD_READ | wasi::RIGHTS_FD_WRITE } else { wasi::RIGHTS_FD_READ };
        let follow = wasi::LOOKUPFLAGS_SYMLINK_FOLLOW;
        Ok(Handle(unsafe { wasi::path_open(self.0, follow, path, flags, rights, rights, 0) }?))
    }

    /// Gives the handle back.
    pub fn close(self) {
        // Nothing was written that a failure could lose.
        let _ = unsafe { wasi::fd_close(self.0) };
    }

    /// Looks at a path, following links.
    pub fn stat(self, path: &str) -> Outcome<Filestat> {
        Ok(unsafe { wasi::path_filestat_get(self.0, wasi::LOOKUPFLAGS_SYMLINK_FOLLOW, path) }?)
    }

    /// Looks at a path itself, even if it is a link.
    pub fn stat_link(self, path: &str) -> Outcome<Filestat> {
        Ok(unsafe { wasi::path_filestat_get(self.0, 0, path) }?)
    }

    /// Reads where a link leads.
    pub fn read_link(self, path: &str) -> Outcome<usize> {
        let mut buffer = [0; 4096];
        Ok(unsafe { wasi::path_readlink(self.0, path, buffer.as_mut_ptr(), buffer.len()) }?)
    }

    /// Makes a folder.
    pub fn make_folder(self, path: &str) -> Outcome<()> {
        Ok(unsafe { wasi::path_create_directory(self.0, path) }?)
    }

    /// Removes an empty folder.
    pub fn remove_folder(self, path: &str) -> Outcome<()> {
        Ok(unsafe { wasi::path_remove_directory(self.0, path) }?)
    }

    /// Removes a file or a link.
    pub fn remove_file(self, path: &str) -> Outcome<()> {
        Ok(unsafe { wasi::path_unlink_file(self.0, path) }?)
    }

    /// Renames, perhaps into another folder.
    pub fn rename(self, from: &str, folder: Handle, to: &str) -> Outcome<()> {
        Ok(unsafe { wasi::path_rename(self.0, from, folder.0, to) }?)
    }

    /// Makes a hard link, perhaps in another folder.
    pub fn hard_link(self, from: &str, folder: Handle, to: &str) -> Outcome<()> {
        Ok(unsafe { wasi::path_link(self.0, 0, from, folder.0, to) }?)
    }

    /// Makes a symbolic link with any content.
    pub fn symbolic_link(self, content: &str, path: &str) -> Outcome<()> {
        Ok(unsafe { wasi::path_symlink(content, self.0, path) }?)
    }

    /// Changes a path's times to the start of 1970.
    pub fn set_times(self, path: &str) -> Outcome<()> {
        let flags = wasi::FSTFLAGS_ATIM | wasi::FSTFLAGS_MTIM;
        Ok(unsafe { wasi::path_filestat_set_times(self.0, wasi::LOOKUPFLAGS_SYMLINK_FOLLOW, path, 0, 0, flags) }?)
    }

    /// Changes this file's own times to the start of 1970.
    pub fn set_own_times(self) -> Outcome<()> {
        Ok(unsafe { wasi::fd_filestat_set_times(self.0, 0, 0, wasi::FSTFLAGS_ATIM | wasi::FSTFLAGS_MTIM) }?)
    }

    /// Changes this file's size.
    pub fn set_size(self, bytes: u64) -> Outcome<()> {
        Ok(unsafe { wasi::fd_filestat_set_size(self.0, bytes) }?)
    }

    /// Writes to this file.
    pub fn write(self, bytes: &[u8]) -> Outcome<usize> {
        let parts = [wasi::Ciovec { buf: bytes.as_ptr(), buf_len: bytes.len() }];
        Ok(unsafe { wasi::fd_write(self.0, &parts) }?)
    }
}
