//! What an operation is about: handles turned into folders and files, paths into names that are held; and what speaks
//! against it.

use std::fs::File;
use std::sync::Arc;

use ringfence_model::capability::Access;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::io::Errno;
use wasmtime::component::Resource;
use wasmtime_wasi::OpenMode;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::filesystem::Dir;
use wasmtime_wasi::p2::FsError;
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::DescriptorFlags;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::bindings::filesystem::types::OpenFlags;
use wasmtime_wasi::p2::bindings::filesystem::types::PathFlags;
use wasmtime_wasi::runtime::spawn_blocking;

use crate::sandbox::filesystem::Folder;
use crate::sandbox::filesystem::View;
use crate::sandbox::filesystem::note;
use crate::sandbox::filesystem::refusal::Failure;
use crate::sandbox::filesystem::refusal::Refusal;
use crate::sandbox::filesystem::walk;
use crate::sandbox::filesystem::walk::Place;

/// A handle of the guest's.
pub(super) type Handle = Resource<Descriptor>;

/// What speaks against an operation on a name.
pub(super) type Judge = fn(&Folder, &Place) -> Result<(), Failure>;

/// An open folder, and which of the granted ones it lies in.
#[derive(Clone)]
pub(super) struct Base {
    pub(super) folder: Arc<Folder>,
    pub(super) dir: Dir,
}

/// An open file, and which of the granted folders it lies in.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) folder: Arc<Folder>,
    pub(super) file: Arc<File>,
}

/// A name, in a folder that is held while something is done to it.
pub(super) struct Named {
    pub(super) parent: Handle,
    pub(super) name: String,
}

impl View<'_> {
    pub(super) fn base(&self, handle: &Handle) -> FsResult<Base> {
        match self.wasi.table.get(handle)? {
            Descriptor::Dir(dir) => Ok(Base { dir: dir.clone(), folder: self.folder(handle)? }),
            Descriptor::File(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    pub(super) fn target(&self, handle: &Handle) -> FsResult<Target> {
        match self.wasi.table.get(handle)? {
            Descriptor::File(file) => Ok(Target { file: Arc::clone(&file.file), folder: self.folder(handle)? }),
            Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor.into()),
        }
    }

    pub(super) fn folder(&self, handle: &Handle) -> FsResult<Arc<Folder>> {
        let index = self.own.handles.get(&handle.rep());
        let folder = index.and_then(|index| self.own.folders.get(*index));
        folder.cloned().ok_or_else(|| ErrorCode::BadDescriptor.into())
    }

    /// What a path leads to, as a handle for a moment. It is held, and can be asked about, but not read.
    pub(super) async fn held(&mut self, operation: &str, base: &Base, path: String, last: OFlags) -> FsResult<Handle> {
        let (looked, asked) = (base.clone(), path.clone());
        let found = spawn_blocking(move || walk::find(&looked.folder, &looked.dir.dir, &path, last)).await;
        let found = self.told(operation, || base.shown(&asked), found)?;
        let file = File::from(found.handle);
        let file = wasmtime_wasi::filesystem::File::new(file, base.dir.perms, OpenMode::empty(), false);
        Ok(self.wasi.table.push(Descriptor::File(file))?)
    }

    /// A name that something is to be done to. `judge` has the last word.
    pub(super) async fn named(&mut self, operation: &str, base: &Base, path: String, judge: Judge) -> FsResult<Named> {
        let (looked, asked) = (base.clone(), path.clone());
        let placed = spawn_blocking(move || {
            let place = walk::place(&looked.folder, &looked.dir.dir, &path)?;
            judge(&looked.folder, &place)?;
            Ok(place)
        });
        let place = self.told(operation, || base.shown(&asked), placed.await)?;
        self.hold(base, place)
    }

    /// Holds the folder of a name for as long as something is done to it.
    pub(super) fn hold(&mut self, base: &Base, place: Place) -> FsResult<Named> {
        let mut dir = base.dir.clone();
        dir.dir = Arc::new(File::from(place.parent));
        Ok(Named { parent: self.wasi.table.push(Descriptor::Dir(dir))?, name: place.name })
    }

    pub(super) fn release(&mut self, held: Handle) -> FsResult<()> {
        self.wasi.table.delete(held)?;
        Ok(())
    }

    /// What the guest is told of a failure; a refusal goes into the trace, with the guest's path.
    pub(super) fn told<T>(
        &mut self,
        operation: &str,
        shown: impl FnOnce() -> String,
        result: Result<T, Failure>,
    ) -> FsResult<T> {
        result.map_err(|failure| {
            if let Failure::Refused(refusal) = &failure {
                self.own.settle(self.trace);
                note(self.trace, operation, &format!("{}: {refusal}", shown()), false);
            }
            FsError::from(failure.code())
        })
    }
}

impl Named {
    /// The folder of the name, to hand on.
    pub(super) fn parent(&self) -> Handle {
        Resource::new_borrow(self.parent.rep())
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }
}

impl Folder {
    pub(super) fn must_write(&self) -> Result<(), Failure> {
        if self.access == Access::Read { Err(Refusal::ReadOnly.into()) } else { Ok(()) }
    }

    /// The guest's path of something in this folder.
    pub(super) fn shown(&self, path: &str) -> String {
        match (self.guest.as_str().trim_end_matches('/'), path) {
            ("", path) => format!("/{path}"),
            (guest, "") => guest.to_owned(),
            (guest, path) => format!("{guest}/{path}"),
        }
    }
}

impl Base {
    /// The guest's path of what it asked for, as it asked for it.
    pub(super) fn shown(&self, path: &str) -> String {
        let here = self.folder.locate(&*self.dir.dir).unwrap_or_default();
        self.folder.shown(&walk::joined(&here, path))
    }
}

impl Target {
    /// The guest's path of the file, wherever it is by now.
    pub(super) fn shown(&self) -> String {
        self.folder.shown(&self.folder.locate(&*self.file).unwrap_or_default())
    }
}

/// A name that may be there or not.
pub(super) fn any(folder: &Folder, _: &Place) -> Result<(), Failure> {
    folder.must_write()
}

/// A name that is about to be made is charged; one that is there fails by itself.
pub(super) fn new(folder: &Folder, place: &Place) -> Result<(), Failure> {
    folder.must_write()?;
    if place.kind()?.is_some() { Err(Errno::EXIST.into()) } else { folder.quota.charge_file() }
}

/// Where patterns close something, folders stay where they are: what is closed in one would get another path with it.
pub(super) fn movable(folder: &Folder, place: &Place) -> Result<(), Failure> {
    folder.must_write()?;
    let moves = !folder.deny.is_empty() && place.kind()? == Some(FileType::Directory);
    if moves { Err(Refusal::Moves.into()) } else { Ok(()) }
}

/// One folder, in which names may be changed. Between two, quotas and patterns could be got around.
pub(super) fn same_folder(one: &Base, other: &Base) -> Result<(), Failure> {
    one.folder.must_write()?;
    other.folder.must_write()?;
    if Arc::ptr_eq(&one.folder, &other.folder) { Ok(()) } else { Err(Refusal::OtherFolder.into()) }
}

/// Whether a link at the end of a path is meant itself.
pub(super) fn last(flags: PathFlags) -> OFlags {
    if flags.contains(PathFlags::SYMLINK_FOLLOW) { OFlags::empty() } else { OFlags::NOFOLLOW }
}

/// What the system is asked for, as wasmtime-wasi would ask: a file that is made or emptied is written, and what is not
/// written is read.
pub(super) fn wanted(last: OFlags, open: OpenFlags, flags: DescriptorFlags) -> Result<(OFlags, OpenMode), ErrorCode> {
    use DescriptorFlags as D;
    if flags.intersects(D::FILE_INTEGRITY_SYNC | D::DATA_INTEGRITY_SYNC | D::REQUESTED_WRITE_SYNC) {
        return Err(ErrorCode::Unsupported);
    }
    let makes = OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE;
    if open.contains(OpenFlags::DIRECTORY) && open.intersects(makes) {
        return Err(ErrorCode::Invalid);
    }
    let writes = flags.contains(D::WRITE) || open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
    let reads = flags.contains(D::READ) || !flags.contains(D::WRITE);
    let (access, mode) = match (reads, writes) {
        (true, true) => (OFlags::RDWR, OpenMode::READ | OpenMode::WRITE),
        (false, true) => (OFlags::WRONLY, OpenMode::WRITE),
        _ => (OFlags::RDONLY, OpenMode::READ),
    };
    let mut wanted = access | last;
    wanted.set(OFlags::CREATE, open.contains(OpenFlags::CREATE));
    wanted.set(OFlags::EXCL, open.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE));
    wanted.set(OFlags::TRUNC, open.contains(OpenFlags::TRUNCATE));
    wanted.set(OFlags::DIRECTORY, open.contains(OpenFlags::DIRECTORY));
    Ok((wanted, mode))
}
