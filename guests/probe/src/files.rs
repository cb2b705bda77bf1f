//! Files, through the first granted folder.

use crate::bindings::exports::ringfence::probe::probe::{Opening, Paths, Place};
use crate::bindings::wasi::cli::stdout::get_stdout;
use crate::bindings::wasi::clocks::wall_clock::Datetime;
use crate::bindings::wasi::filesystem::preopens::get_directories;
use crate::bindings::wasi::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, NewTimestamp, OpenFlags, PathFlags,
};

/// Bytes written at most: what is tried is where, not how much.
const LENGTH_MAX: u64 = 64 * 1024;

fn root() -> Option<Descriptor> {
    get_directories().into_iter().next().map(|(folder, _)| folder)
}

fn file(path: &str) -> Option<Descriptor> {
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    root()?.open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::CREATE, flags).ok()
}

pub fn open(opening: &Opening) -> Option<()> {
    let path_flags = PathFlags::from_bits_truncate(opening.path_flags);
    let open_flags = OpenFlags::from_bits_truncate(opening.open_flags);
    let flags = DescriptorFlags::from_bits_truncate(opening.descriptor_flags);
    root()?.open_at(path_flags, &opening.path, open_flags, flags).ok().map(drop)
}

pub fn stat(path: &str) -> Option<()> {
    root()?.stat_at(PathFlags::SYMLINK_FOLLOW, path).ok().map(drop)
}

pub fn read_link(path: &str) -> Option<()> {
    root()?.readlink_at(path).ok().map(drop)
}

pub fn make_folder(path: &str) -> Option<()> {
    root()?.create_directory_at(path).ok()
}

pub fn remove_folder(path: &str) -> Option<()> {
    root()?.remove_directory_at(path).ok()
}

pub fn remove_file(path: &str) -> Option<()> {
    root()?.unlink_file_at(path).ok()
}

pub fn rename(paths: &Paths) -> Option<()> {
    root()?.rename_at(&paths.old, &root()?, &paths.new).ok()
}

pub fn link(paths: &Paths) -> Option<()> {
    root()?.link_at(PathFlags::empty(), &paths.old, &root()?, &paths.new).ok()
}

pub fn symlink(paths: &Paths) -> Option<()> {
    root()?.symlink_at(&paths.old, &paths.new).ok()
}

pub fn list(path: &str) -> Option<()> {
    let folder = root()?.open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::DIRECTORY, DescriptorFlags::READ).ok()?;
    let entries = folder.read_directory().ok()?;
    while entries.read_directory_entry().ok()?.is_some() {}
    Some(())
}

pub fn read(place: &Place) -> Option<()> {
    file(&place.path)?.read(place.length, place.offset).ok().map(drop)
}

pub fn write(place: &Place) -> Option<()> {
    file(&place.path)?.write(&zeros(place.length), place.offset).ok().map(drop)
}

pub fn write_stream(place: &Place) -> Option<()> {
    let file = file(&place.path)?;
    let stream = file.write_via_stream(place.offset).ok()?;
    stream.blocking_write_and_flush(zeros(place.length).get(..4096).unwrap_or(&[0])).ok()
}

pub fn set_size(place: &Place) -> Option<()> {
    file(&place.path)?.set_size(place.offset).ok()
}

pub fn set_times(place: &Place) -> Option<()> {
    let nanoseconds = u32::try_from(place.length).unwrap_or(u32::MAX);
    let time = || NewTimestamp::Timestamp(Datetime { seconds: place.offset, nanoseconds });
    root()?.set_times_at(PathFlags::empty(), &place.path, time(), time()).ok()
}

pub fn advise(place: &Place) -> Option<()> {
    file(&place.path)?.advise(place.offset, place.length, Advice::WillNeed).ok()
}

pub fn read_stream(place: &Place) -> Option<()> {
    let stream = file(&place.path)?.read_via_stream(place.offset).ok()?;
    let read = stream.blocking_read(place.length).ok();
    stream.blocking_skip(place.length).ok();
    read.map(drop)
}

pub fn append(place: &Place) -> Option<()> {
    let stream = file(&place.path)?.append_via_stream().ok()?;
    let zeros = zeros(place.length);
    // More than the host has said it takes, too.
    let _ = stream.write(&zeros);
    stream.blocking_flush().ok()
}

pub fn write_zeroes(place: &Place) -> Option<()> {
    let stream = file(&place.path)?.write_via_stream(place.offset).ok()?;
    let asked = stream.write_zeroes(place.length).ok();
    stream.blocking_write_zeroes_and_flush(place.length).ok().or(asked)
}

pub fn splice(place: &Place) -> Option<()> {
    let from = file(&place.path)?.read_via_stream(place.offset).ok()?;
    let to = get_stdout();
    let copied = to.splice(&from, place.length).ok();
    to.blocking_splice(&from, place.length).ok().or(copied).map(drop)
}

pub fn hash(place: &Place) -> Option<()> {
    let nanoseconds = u32::try_from(place.length).unwrap_or(u32::MAX);
    let time = || NewTimestamp::Timestamp(Datetime { seconds: place.offset, nanoseconds });
    let _ = file(&place.path)?.set_times(time(), time());
    root()?.metadata_hash_at(PathFlags::SYMLINK_FOLLOW, &place.path).ok().map(drop)
}

fn zeros(length: u64) -> Vec<u8> {
    vec![0; usize::try_from(length.min(LENGTH_MAX)).unwrap_or(0)]
}
