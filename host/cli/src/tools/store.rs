//! The store of registered tools: files under the names of their digests, and nothing else.
//!
//! ```text
//! tools/sha256-HEX.wasm    a component
//! tools/sha256-HEX.toml    a manifest that lay beside one
//! tools/sha256-HEX.sig     a signature
//! ```
//!
//! A file is whole or not there: it is written under another name, synced, and renamed. What no registration names is
//! left over from a command that was cut off; it is never loaded, and the next `tool add` removes it.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use ringfence_model::digest::Digest;
use ringfence_model::limits;
use rustix::fs::FlockOperation;
use rustix::fs::OFlags;
use thiserror::Error;

use crate::config::tools::ToolTable;

/// Why the store can't be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The bytes of a file are not those that its name says.
    #[error("its {kind} was changed: it is `{found}`, but `{pinned}` is pinned")]
    Changed { kind: Kind, found: Digest, pinned: Digest },
    /// A file can't be read or written.
    #[error("`{path}` can't be used: {why}")]
    File { path: String, why: String },
}

/// What a file of the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Component,
    Manifest,
    Signature,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::Manifest => "manifest",
            Self::Signature => "signature",
        })
    }
}

/// The store of one home.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

/// The right to change what is registered; one command at a time has it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock is let go when the file is closed")] File);

impl Store {
    /// Opens the store; a home that was made before there was one gets it now.
    pub fn open(folder: PathBuf) -> Result<Self, StoreError> {
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        created.map_err(|error| file_error(&folder, &error))?;
        Ok(Self { folder })
    }

    /// Waits for the right to change what is registered.
    pub fn lock(&self) -> Result<Lock, StoreError> {
        let folder = File::open(&self.folder).map_err(|error| file_error(&self.folder, &error))?;
        let locked = rustix::fs::flock(&folder, FlockOperation::LockExclusive);
        locked.map_err(|error| file_error(&self.folder, &error.into()))?;
        Ok(Lock(folder))
    }

    /// Keeps bytes under their digest.
    pub fn put(&self, kind: Kind, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.folder.join(file_name(kind, &digest));
        let written = tempfile::NamedTempFile::new_in(&self.folder).and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&self.folder)?.sync_all()
        });
        written.map_err(|error| file_error(&path, &error))?;
        Ok(digest)
    }

    /// The bytes under a digest. They are read once and checked in memory: what is returned is what was hashed (ART-01).
    pub fn get(&self, kind: Kind, pinned: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.folder.join(file_name(kind, pinned));
        let mut options = fs::OpenOptions::new();
        // Neither a link nor a pipe that somebody put there is followed or waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.read(true).custom_flags(i32::try_from(flags).unwrap_or_default());
        let mut bytes = Vec::new();
        let read =
            options.open(&path).and_then(|file| file.take(limits::COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes));
        read.map_err(|error| file_error(&path, &error))?;
        let found = Digest::of(&bytes);
        if found != *pinned {
            return Err(StoreError::Changed { kind, found, pinned: *pinned });
        }
        Ok(bytes)
    }

    /// Files that no registration names, sorted.
    pub fn left_over<'a>(&self, tables: impl Iterator<Item = &'a ToolTable>) -> Result<Vec<PathBuf>, StoreError> {
        let named: Vec<String> = tables.flat_map(file_names).collect();
        let read = |error: io::Error| file_error(&self.folder, &error);
        let mut left = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            if !named.iter().any(|name| entry.file_name() == name.as_str()) {
                left.push(entry.path());
            }
        }
        left.sort();
        Ok(left)
    }

    /// Removes what no registration names. Needs the lock: a file that another command is about to name would go too.
    pub fn clean<'a>(&self, tables: impl Iterator<Item = &'a ToolTable>, _: &Lock) -> Result<Vec<PathBuf>, StoreError> {
        let left = self.left_over(tables)?;
        for path in &left {
            fs::remove_file(path).map_err(|error| file_error(path, &error))?;
        }
        Ok(left)
    }
}

fn file_names(table: &ToolTable) -> Vec<String> {
    let manifest = table.manifest_digest.map(|digest| file_name(Kind::Manifest, &digest));
    let signature = table.signature_digest.map(|digest| file_name(Kind::Signature, &digest));
    [Some(file_name(Kind::Component, &table.digest)), manifest, signature].into_iter().flatten().collect()
}

fn file_name(kind: Kind, digest: &Digest) -> String {
    let extension = match kind {
        Kind::Component => "wasm",
        Kind::Manifest => "toml",
        Kind::Signature => "sig",
    };
    format!("sha256-{}.{extension}", hex::encode(digest.as_bytes()))
}

fn file_error(path: &Path, error: &io::Error) -> StoreError {
    StoreError::File { path: path.display().to_string(), why: error.to_string() }
}
