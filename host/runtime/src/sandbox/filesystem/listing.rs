//! A folder's entries, read a few at a time: a listing takes the same memory whatever the folder holds (FS-20).

use std::collections::VecDeque;
use std::fs::File;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::statat;
use rustix::io::Errno;
use wasmtime_wasi::p2::bindings::filesystem::types::DescriptorType;
use wasmtime_wasi::p2::bindings::filesystem::types::DirectoryEntry;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::runtime::spawn_blocking;

use std::sync::Arc;

use crate::sandbox::filesystem::Folder;
use crate::sandbox::filesystem::refusal::Failure;
use crate::sandbox::filesystem::walk::joined;
use crate::sandbox::filesystem::walk::readable;

/// Entries read at a time.
const ENTRIES_AT_ONCE: usize = 256;

type Entry = Result<DirectoryEntry, ErrorCode>;

/// What is left of a listing. What is closed is left out.
pub(super) struct Listing {
    unread: Option<Unread>,
    read: VecDeque<Entry>,
}

struct Unread {
    dir: Dir,
    folder: Arc<Folder>,
    path: String,
}

impl Listing {
    /// A listing of an open folder from its start.
    pub(super) fn new(folder: Arc<Folder>, opened: &File) -> Result<Self, Failure> {
        let path = folder.locate(opened)?;
        let dir = Dir::new(readable(opened)?)?;
        Ok(Self { unread: Some(Unread { dir, folder, path }), read: VecDeque::new() })
    }

    /// The next entry; none at the end.
    pub(super) async fn next(&mut self) -> Option<Entry> {
        while self.read.is_empty() {
            let unread = self.unread.take()?;
            let (read, unread) = spawn_blocking(move || unread.read_some()).await;
            (self.read, self.unread) = (read, unread);
        }
        self.read.pop_front()
    }
}

impl Unread {
    /// Reads some entries; none of itself is left at the end.
    fn read_some(mut self) -> (VecDeque<Entry>, Option<Self>) {
        let mut read = VecDeque::with_capacity(ENTRIES_AT_ONCE);
        for _ in 0..ENTRIES_AT_ONCE {
            match self.dir.read() {
                None => return (read, None),
                Some(Err(errno)) => {
                    read.push_back(Err(Failure::from(errno).code()));
                    return (read, None);
                }
                Some(Ok(entry)) => read.extend(self.shown(&entry)),
            }
        }
        (read, Some(self))
    }

    fn shown(&self, entry: &rustix::fs::DirEntry) -> Option<Entry> {
        let Ok(name) = entry.file_name().to_str() else { return Some(Err(ErrorCode::IllegalByteSequence)) };
        if matches!(name, "." | "..") || self.folder.deny.closes(&joined(&self.path, name)) {
            return None;
        }
        match self.kind(entry) {
            Ok(kind) => Some(Ok(DirectoryEntry { type_: shown_kind(kind), name: name.to_owned() })),
            // It was removed while the folder was read.
            Err(Errno::NOENT) => None,
            Err(errno) => Some(Err(Failure::from(errno).code())),
        }
    }

    fn kind(&self, entry: &rustix::fs::DirEntry) -> Result<FileType, Errno> {
        match entry.file_type() {
            FileType::Unknown => {
                let stat = statat(self.dir.fd()?, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(FileType::from_raw_mode(stat.st_mode))
            }
            kind => Ok(kind),
        }
    }
}

fn shown_kind(kind: FileType) -> DescriptorType {
    match kind {
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::Directory => DescriptorType::Directory,
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Symlink => DescriptorType::SymbolicLink,
        _ => DescriptorType::Unknown,
    }
}
