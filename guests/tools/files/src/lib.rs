//! Lists, reads, searches and writes text files.
//!
//! It makes no decisions about what may be touched: it asks for any path and reports what the system says. Every
//! answer is bounded and in a fixed order, so that the same folder gives the same answer.

mod error;
mod search;

#[allow(missing_docs, reason = "the WIT has the documentation")]
mod bindings {
    wit_bindgen::generate!({ path: "wit" });
}

use std::fs::{self, DirEntry, FileType, Metadata};
use std::time::UNIX_EPOCH;

use bindings::exports::ringfence::files::files::{Details, Entry, Error, Guest, Kind, Matches};

use crate::error::at;

/// The largest file that is read, in bytes.
const READ_BYTES_MAX: u64 = 1024 * 1024;
/// The most entries that a folder is listed with.
const ENTRIES_MAX: usize = 10_000;

struct Files;

bindings::export!(Files with_types_in bindings);

impl Guest for Files {
    fn list(path: String) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for found in fs::read_dir(&path).map_err(at(&path))? {
            if entries.len() == ENTRIES_MAX {
                return Err(Error::Failed(format!("`{path}` has more than {ENTRIES_MAX} entries")));
            }
            entries.push(entry(&found.map_err(at(&path))?, &path)?);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn read(path: String) -> Result<String, Error> {
        let metadata = fs::metadata(&path).map_err(at(&path))?;
        if metadata.is_dir() {
            return Err(Error::WrongKind(path));
        }
        if metadata.len() > READ_BYTES_MAX {
            return Err(Error::TooLarge(metadata.len()));
        }
        let bytes = fs::read(&path).map_err(at(&path))?;
        String::from_utf8(bytes).map_err(|_| Error::NotText(path))
    }

    fn stat(path: String) -> Result<Details, Error> {
        let metadata = fs::metadata(&path).map_err(at(&path))?;
        Ok(Details { kind: kind(metadata.file_type()), size: size(&metadata), modified_ms: modified_ms(&metadata) })
    }

    fn grep(path: String, pattern: String) -> Result<Matches, Error> {
        search::grep(&path, &pattern)
    }

    fn write(path: String, content: String) -> Result<u64, Error> {
        fs::write(&path, &content).map_err(at(&path))?;
        Ok(content.len() as u64)
    }
}

fn entry(found: &DirEntry, folder: &str) -> Result<Entry, Error> {
    let file_type = found.file_type().map_err(at(folder))?;
    // A file that disappears while its folder is listed has no size.
    let size = if file_type.is_file() { found.metadata().map_or(0, |metadata| metadata.len()) } else { 0 };
    Ok(Entry { name: found.file_name().to_string_lossy().into_owned(), kind: kind(file_type), size })
}

fn kind(file_type: FileType) -> Kind {
    match file_type {
        file_type if file_type.is_file() => Kind::File,
        file_type if file_type.is_dir() => Kind::Folder,
        file_type if file_type.is_symlink() => Kind::Link,
        _ => Kind::Other,
    }
}

fn size(metadata: &Metadata) -> u64 {
    if metadata.is_file() { metadata.len() } else { 0 }
}

fn modified_ms(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}
