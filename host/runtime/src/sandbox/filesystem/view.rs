//! The interfaces of `wasi:filesystem`, operation by operation: look up, judge, hand on.

use rustix::fs::FileType;
use wasmtime::component::Resource;
use wasmtime_wasi::OpenMode;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::filesystem::Dir;
use wasmtime_wasi::filesystem::File;
use wasmtime_wasi::p2::DynInputStream;
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi::p2::FsError;
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types;
use wasmtime_wasi::p2::bindings::filesystem::types::Advice;
use wasmtime_wasi::p2::bindings::filesystem::types::DescriptorFlags;
use wasmtime_wasi::p2::bindings::filesystem::types::DescriptorStat;
use wasmtime_wasi::p2::bindings::filesystem::types::DescriptorType;
use wasmtime_wasi::p2::bindings::filesystem::types::DirectoryEntry;
use wasmtime_wasi::p2::bindings::filesystem::types::DirectoryEntryStream;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::HostDirectoryEntryStream;
use wasmtime_wasi::p2::bindings::filesystem::types::MetadataHashValue;
use wasmtime_wasi::p2::bindings::filesystem::types::NewTimestamp;
use wasmtime_wasi::p2::bindings::filesystem::types::OpenFlags;
use wasmtime_wasi::p2::bindings::filesystem::types::PathFlags;
use wasmtime_wasi::runtime::spawn_blocking;

use crate::sandbox::filesystem::View;
use crate::sandbox::filesystem::listing::Listing;
use crate::sandbox::filesystem::lookup;
use crate::sandbox::filesystem::lookup::Base;
use crate::sandbox::filesystem::lookup::Handle;
use crate::sandbox::filesystem::lookup::last;
use crate::sandbox::filesystem::note;
use crate::sandbox::filesystem::refusal::Failure;
use crate::sandbox::filesystem::refusal::QuotaReached;
use crate::sandbox::filesystem::stream::Position;
use crate::sandbox::filesystem::stream::QuotaStream;
use crate::sandbox::filesystem::walk;

impl preopens::Host for View<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Handle, String)>> {
        let opened = preopens::Host::get_directories(&mut self.wasi)?;
        for (handle, guest) in &opened {
            if let Some(index) = self.own.folders.iter().position(|folder| folder.guest.as_str() == guest) {
                self.own.handles.insert(handle.rep(), index);
            }
        }
        Ok(opened)
    }
}

impl types::Host for View<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        types::Host::convert_error_code(&mut self.wasi, error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        if self.wasi.table.get(&error)?.is::<QuotaReached>() {
            return Ok(Some(ErrorCode::Quota));
        }
        types::Host::filesystem_error_code(&mut self.wasi, error)
    }
}

impl HostDescriptor for View<'_> {
    async fn open_at(
        &mut self,
        handle: Handle,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Handle> {
        let base = self.base(&handle)?;
        let (wanted, mode) = lookup::wanted(last(path_flags), open_flags, flags)?;
        let writes = mode.contains(OpenMode::WRITE);
        let (looked, asked) = (base.clone(), path.clone());
        let opened = spawn_blocking(move || {
            if writes {
                looked.folder.must_write()?;
            }
            walk::open(&looked.folder, &looked.dir.dir, &path, wanted)
        });
        let opened = self.told("descriptor.open-at", || base.shown(&asked), opened.await)?;
        let what = if writes { "write" } else { "read" };
        note(self.trace, "descriptor.open-at", &format!("{}: {what}", base.folder.shown(&opened.path)), true);
        let perms = base.dir.perms;
        let inside = self.wasi.table.push(match opened.kind {
            FileType::Directory => Descriptor::Dir(Dir::new(opened.file, perms, mode, false)),
            _ => Descriptor::File(File::new(opened.file, perms, mode, false)),
        })?;
        if let Some(index) = self.own.handles.get(&handle.rep()).copied() {
            self.own.handles.insert(inside.rep(), index);
        }
        Ok(inside)
    }

    fn drop(&mut self, handle: Handle) -> wasmtime::Result<()> {
        self.own.handles.remove(&handle.rep());
        HostDescriptor::drop(&mut self.wasi, handle)
    }

    // Looking: the object that was found is asked, whatever its path means by then.

    async fn stat_at(&mut self, handle: Handle, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        let base = self.base(&handle)?;
        let held = self.held("descriptor.stat-at", &base, path, last(flags)).await?;
        let stat = self.wasi.stat(Resource::new_borrow(held.rep())).await;
        self.release(held)?;
        stat
    }

    async fn metadata_hash_at(
        &mut self,
        handle: Handle,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let base = self.base(&handle)?;
        let held = self.held("descriptor.metadata-hash-at", &base, path, last(flags)).await?;
        let hash = self.wasi.metadata_hash(Resource::new_borrow(held.rep())).await;
        self.release(held)?;
        hash
    }

    async fn readlink_at(&mut self, handle: Handle, path: String) -> FsResult<String> {
        let base = self.base(&handle)?;
        let named = self.named("descriptor.readlink-at", &base, path, |_, _| Ok(())).await?;
        let link = self.wasi.readlink_at(named.parent(), named.name()).await;
        self.release(named.parent)?;
        link
    }

    async fn read_directory(&mut self, handle: Handle) -> FsResult<Resource<DirectoryEntryStream>> {
        let Base { folder, dir } = self.base(&handle)?;
        let listing = spawn_blocking(move || Listing::new(folder, &dir.dir)).await;
        let listing = self.wasi.table.push(listing.map_err(|failure| failure.code())?)?;
        // The guest's type of handle; the table knows what it really holds.
        Ok(Resource::new_own(listing.rep()))
    }

    // Changing names: one name, in a folder that is held.

    async fn create_directory_at(&mut self, handle: Handle, path: String) -> FsResult<()> {
        let base = self.base(&handle)?;
        let named = self.named("descriptor.create-directory-at", &base, path, lookup::new).await?;
        let made = self.wasi.create_directory_at(named.parent(), named.name()).await;
        self.release(named.parent)?;
        made
    }

    async fn symlink_at(&mut self, handle: Handle, content: String, path: String) -> FsResult<()> {
        let base = self.base(&handle)?;
        let named = self.named("descriptor.symlink-at", &base, path, lookup::new).await?;
        let made = self.wasi.symlink_at(named.parent(), content, named.name()).await;
        self.release(named.parent)?;
        made
    }

    async fn unlink_file_at(&mut self, handle: Handle, path: String) -> FsResult<()> {
        let base = self.base(&handle)?;
        let named = self.named("descriptor.unlink-file-at", &base, path, lookup::any).await?;
        let removed = self.wasi.unlink_file_at(named.parent(), named.name()).await;
        self.release(named.parent)?;
        removed
    }

    async fn remove_directory_at(&mut self, handle: Handle, path: String) -> FsResult<()> {
        let base = self.base(&handle)?;
        let named = self.named("descriptor.remove-directory-at", &base, path, lookup::any).await?;
        let removed = self.wasi.remove_directory_at(named.parent(), named.name()).await;
        self.release(named.parent)?;
        removed
    }

    async fn rename_at(&mut self, from: Handle, path: String, to: Handle, new_path: String) -> FsResult<()> {
        const NAME: &str = "descriptor.rename-at";
        let (old, new) = (self.base(&from)?, self.base(&to)?);
        self.told(NAME, || old.shown(&path), lookup::same_folder(&old, &new))?;
        let old = self.named(NAME, &old, path, lookup::movable).await?;
        let new = self.named(NAME, &new, new_path, lookup::any).await?;
        let moved = self.wasi.rename_at(old.parent(), old.name(), new.parent(), new.name()).await;
        self.release(old.parent)?;
        self.release(new.parent)?;
        moved
    }

    async fn link_at(
        &mut self,
        from: Handle,
        flags: PathFlags,
        path: String,
        to: Handle,
        new_path: String,
    ) -> FsResult<()> {
        const NAME: &str = "descriptor.link-at";
        let (old, new) = (self.base(&from)?, self.base(&to)?);
        self.told(NAME, || old.shown(&path), lookup::same_folder(&old, &new))?;
        let old = self.named(NAME, &old, path, lookup::any).await?;
        let new = self.named(NAME, &new, new_path, lookup::new).await?;
        let linked = self.wasi.link_at(old.parent(), flags, old.name(), new.parent(), new.name()).await;
        self.release(old.parent)?;
        self.release(new.parent)?;
        linked
    }

    async fn set_times_at(
        &mut self,
        handle: Handle,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let base = self.base(&handle)?;
        let (looked, asked) = (base.clone(), path.clone());
        let placed = spawn_blocking(move || {
            looked.folder.must_write()?;
            let found = walk::find(&looked.folder, &looked.dir.dir, &path, last(flags))?;
            // The granted folder itself stands at no name in it.
            let is_root = found.path.is_empty();
            let place = || walk::place(&looked.folder, &looked.folder.root, &found.path);
            (!is_root).then(place).transpose()
        });
        let placed = self.told("descriptor.set-times-at", || base.shown(&asked), placed.await)?;
        let Some(place) = placed else { return self.set_times(handle, accessed, modified).await };
        let named = self.hold(&base, place)?;
        let set = self.wasi.set_times_at(named.parent(), PathFlags::empty(), named.name(), accessed, modified).await;
        self.release(named.parent)?;
        set
    }

    // Changing contents: charged first.

    async fn set_size(&mut self, handle: Handle, size: u64) -> FsResult<()> {
        let target = self.target(&handle)?;
        let charging = target.clone();
        let charged = spawn_blocking(move || {
            charging.folder.must_write()?;
            charging.folder.quota.charge_size(&charging.file, size)
        });
        self.told("descriptor.set-size", || target.shown(), charged.await)?;
        self.wasi.set_size(handle, size).await
    }

    async fn write(&mut self, handle: Handle, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let target = self.target(&handle)?;
        let charging = target.clone();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let charged = spawn_blocking(move || {
            charging.folder.must_write()?;
            charging.folder.quota.charge_write(&charging.file, Some(offset), length)
        });
        self.told("descriptor.write", || target.shown(), charged.await)?;
        self.wasi.write(handle, bytes, offset).await
    }

    fn write_via_stream(&mut self, handle: Handle, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        self.stream("descriptor.write-via-stream", &handle, Position::At(offset))
    }

    fn append_via_stream(&mut self, handle: Handle) -> FsResult<Resource<DynOutputStream>> {
        self.stream("descriptor.append-via-stream", &handle, Position::End)
    }

    async fn set_times(&mut self, handle: Handle, accessed: NewTimestamp, modified: NewTimestamp) -> FsResult<()> {
        let folder = self.folder(&handle)?;
        self.told("descriptor.set-times", || folder.shown(""), folder.must_write())?;
        let Descriptor::Dir(dir) = self.wasi.table.get(&handle)?.clone() else {
            return self.wasi.set_times(handle, accessed, modified).await;
        };
        let perms = dir.perms;
        let opened =
            spawn_blocking(move || walk::readable(&dir.dir)).await.map_err(|errno| Failure::from(errno).code())?;
        let held = self.wasi.table.push(Descriptor::File(File::new(opened.into(), perms, OpenMode::READ, false)))?;
        let set = self.wasi.set_times(Resource::new_borrow(held.rep()), accessed, modified).await;
        self.release(held)?;
        set
    }

    // What a handle may do once it is open is decided: these are handed on as they are.

    async fn advise(&mut self, handle: Handle, offset: u64, length: u64, advice: Advice) -> FsResult<()> {
        self.wasi.advise(handle, offset, length, advice).await
    }

    async fn sync_data(&mut self, handle: Handle) -> FsResult<()> {
        self.wasi.sync_data(handle).await
    }

    async fn sync(&mut self, handle: Handle) -> FsResult<()> {
        self.wasi.sync(handle).await
    }

    async fn get_flags(&mut self, handle: Handle) -> FsResult<DescriptorFlags> {
        self.wasi.get_flags(handle).await
    }

    async fn get_type(&mut self, handle: Handle) -> FsResult<DescriptorType> {
        self.wasi.get_type(handle).await
    }

    async fn stat(&mut self, handle: Handle) -> FsResult<DescriptorStat> {
        self.wasi.stat(handle).await
    }

    async fn read(&mut self, handle: Handle, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        self.wasi.read(handle, length, offset).await
    }

    fn read_via_stream(&mut self, handle: Handle, offset: u64) -> FsResult<Resource<DynInputStream>> {
        self.wasi.read_via_stream(handle, offset)
    }

    async fn is_same_object(&mut self, one: Handle, other: Handle) -> wasmtime::Result<bool> {
        self.wasi.is_same_object(one, other).await
    }

    async fn metadata_hash(&mut self, handle: Handle) -> FsResult<MetadataHashValue> {
        self.wasi.metadata_hash(handle).await
    }
}

impl View<'_> {
    fn stream(&mut self, operation: &str, handle: &Handle, position: Position) -> FsResult<Resource<DynOutputStream>> {
        let target = self.target(handle)?;
        self.told(operation, || target.shown(), target.folder.must_write())?;
        let stream: DynOutputStream = Box::new(QuotaStream::new(target, position, self.own.late.clone()));
        Ok(self.wasi.table.push(stream)?)
    }
}

impl HostDirectoryEntryStream for View<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let listing = self.wasi.table.get_mut(&Resource::<Listing>::new_borrow(stream.rep()))?;
        Ok(listing.next().await.transpose()?)
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.wasi.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}
