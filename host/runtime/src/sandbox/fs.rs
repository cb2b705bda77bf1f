//! Grant to preopens: the only file that names wasmtime's permission types.
//!
//! A folder is opened once, by the path that was resolved when the grant was written, and what was opened is asked where
//! it is: a folder that now is somewhere else is refused (FS-13), and nothing is looked up by path after that. What the
//! guest does inside is for `filesystem` to judge.

use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use ringfence_model::capability::Access;
use ringfence_model::capability::Folder;
use ringfence_model::capability::GuestPath;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::open;
use thiserror::Error;
use wasmtime_wasi::FsPerms;
use wasmtime_wasi::WasiCtxBuilder;

/// A granted folder can't be opened.
#[derive(Debug, Error)]
#[error("the folder behind `{guest}` can't be opened for the tool: {why}")]
pub struct FolderError {
    /// The guest's name for it: what is said of a call reaches whoever made it (API-13).
    guest: GuestPath,
    why: String,
}

impl FolderError {
    /// Why a folder that can be opened can't be granted as it is asked for.
    pub(super) fn new(folder: &Folder, why: String) -> Self {
        Self { guest: folder.guest.clone(), why }
    }
}

/// Opens each granted folder for the guest. The handles lead to the same folders, in the same order.
pub(super) fn preopen(builder: &mut WasiCtxBuilder, folders: &[Folder]) -> Result<Vec<OwnedFd>, FolderError> {
    folders.iter().map(|folder| preopen_one(builder, folder)).collect()
}

fn preopen_one(builder: &mut WasiCtxBuilder, folder: &Folder) -> Result<OwnedFd, FolderError> {
    let refuse = |why: String| FolderError::new(folder, why);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = open(&folder.host, flags, Mode::empty()).map_err(|error| refuse(error.to_string()))?;
    let opened = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let is_at = std::fs::read_link(&opened).map_err(|error| refuse(error.to_string()))?;
    if is_at != Path::new(&folder.host) {
        return Err(refuse("it has been replaced by a link since it was granted".to_owned()));
    }
    builder
        .preopened_dir(&opened, folder.guest.as_str(), permissions(folder.access))
        .map_err(|error| refuse(error.root_cause().to_string()))?;
    Ok(handle)
}

fn permissions(access: Access) -> FsPerms {
    match access {
        Access::Read => FsPerms::ReadOnly,
        Access::ReadWrite => FsPerms::ReadWrite,
    }
}
