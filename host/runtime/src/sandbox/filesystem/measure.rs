//! One file, read through the interfaces of this module and through wasmtime-wasi's own: for `bench`, and without a guest,
//! whose own work would make both look alike.

use std::fmt::Display;
use std::path::Path;

use ringfence_model::capability::Access;
use ringfence_model::capability::Asked;
use ringfence_model::capability::Folder;
use ringfence_model::capability::GuestPath;
use ringfence_model::grant::Grant;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::DescriptorFlags;
use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::OpenFlags;
use wasmtime_wasi::p2::bindings::filesystem::types::PathFlags;

use crate::egress::Egress;
use crate::sandbox::Interrupt;
use crate::sandbox::Room;
use crate::sandbox::filesystem::view;
use crate::sandbox::state::State;

/// Bytes asked for at once: the most that wasmtime-wasi reads.
const READ_BYTES: u64 = 64 * 1024;

/// A call's state with one folder, and nobody who uses it.
#[derive(Debug)]
pub(crate) struct FileReads(State);

impl FileReads {
    /// Opens a folder to read, as a call would be granted it, with a pattern to look after.
    pub(crate) fn new(folder: &Path) -> Result<Self, String> {
        let folder = Folder {
            access: Access::Read,
            bytes_max: None,
            deny: vec![ringfence_model::glob::Glob::new("*.key").map_err(text)?],
            files_max: None,
            guest: GuestPath::new("/docs").map_err(text)?,
            host: folder.canonicalize().map_err(text)?.display().to_string(),
        };
        let asked = Asked { folders: vec![folder], ..Asked::default() };
        let grant = Grant::narrow(&asked, &[], &[]).map_err(text)?;
        let (egress, interrupt) = (Egress::closed(), Interrupt::never());
        let room =
            Room { grant: &grant, scratch: None, egress: &egress, judge: None, interrupt: &interrupt, watcher: None };
        let state = State::new(&room, &[], &[]).map_err(text)?;
        Ok(Self(state))
    }

    /// Reads a file as a guest does.
    pub(crate) async fn guarded(&mut self, name: &str) -> Result<usize, String> {
        read(&mut view(&mut self.0), name).await
    }

    /// Reads it by wasmtime-wasi alone.
    pub(crate) async fn plain(&mut self, name: &str) -> Result<usize, String> {
        read(&mut self.0.filesystem_parts().0, name).await
    }
}

async fn read<V: preopens::Host + HostDescriptor>(view: &mut V, name: &str) -> Result<usize, String> {
    let (folder, _) = view.get_directories().map_err(text)?.pop().ok_or("no folder is open")?;
    let here = || Resource::new_borrow(folder.rep());
    let (follow, how) = (PathFlags::SYMLINK_FOLLOW, DescriptorFlags::READ);
    let file = view.open_at(here(), follow, name.to_owned(), OpenFlags::empty(), how).await.map_err(text)?;
    let mut length = 0;
    loop {
        let offset = u64::try_from(length).map_err(text)?;
        let (bytes, is_end) = view.read(Resource::new_borrow(file.rep()), READ_BYTES, offset).await.map_err(text)?;
        length += std::hint::black_box(bytes).len();
        if is_end {
            break;
        }
    }
    HostDescriptor::drop(view, file).map_err(text)?;
    HostDescriptor::drop(view, folder).map_err(text)?;
    Ok(length)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
