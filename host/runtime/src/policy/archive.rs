//! The archive: every policy that has been in force here, and its settings, by digest.
//!
//! ```text
//! archive/sha256-HEX.wasm    a component
//! archive/sha256-HEX.json    settings, canonical
//! ```
//!
//! An entry names the policies of its decision by digest, so a decision can be made again as long as what the digests
//! stand for is kept, whatever becomes of the configuration and of the files it names. A file is whole or not there, and
//! what is read back is hashed: a file that somebody changed is as good as gone. Nothing is ever removed here.

use std::fmt;
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
use ringfence_model::json;
use ringfence_model::limits;
use rustix::fs::OFlags;
use serde_json::Value;
use thiserror::Error;

use crate::policy::Policy;

/// Why the archive does not have something.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The bytes of a file are not those that its name says.
    #[error("the {kind} `{pinned}` in the archive was changed: it is `{found}`")]
    Changed {
        /// What it is.
        kind: Kind,
        /// What is there.
        found: Digest,
        /// What should be.
        pinned: Digest,
    },
    /// A file can't be read or written.
    #[error("`{path}` can't be used: {why}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        why: String,
    },
    /// It was never kept, or is gone.
    #[error("the {kind} `{digest}` is not in the archive")]
    Missing {
        /// What it is.
        kind: Kind,
        /// Its digest.
        digest: Digest,
    },
}

/// What a file of the archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A policy's component.
    Component,
    /// A policy's settings.
    Settings,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::Settings => "settings",
        })
    }
}

/// The archive of one home.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// The archive in a folder, which is made when something is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a policy that is put in force: its component and its settings. What is kept already is left alone.
    pub fn keep(&self, policy: &Policy, component: &[u8]) -> Result<(), ArchiveError> {
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        created.map_err(|error| file_error(&self.folder, &error))?;
        self.put(Kind::Component, &policy.reference().digest, component)?;
        self.put(Kind::Settings, &policy.reference().settings, policy.settings().as_bytes())
    }

    /// The component of a digest.
    pub fn component(&self, digest: &Digest) -> Result<Vec<u8>, ArchiveError> {
        self.get(Kind::Component, digest)
    }

    /// The settings of a digest.
    pub fn settings(&self, digest: &Digest) -> Result<Value, ArchiveError> {
        let bytes = self.get(Kind::Settings, digest)?;
        let path = self.path(Kind::Settings, digest);
        let wrong =
            |error: json::JsonError| ArchiveError::File { path: path.display().to_string(), why: error.to_string() };
        json::parse(&bytes).map_err(wrong)
    }

    fn put(&self, kind: Kind, digest: &Digest, bytes: &[u8]) -> Result<(), ArchiveError> {
        // What somebody damaged is written anew: these bytes have the digest.
        if self.get(kind, digest).is_ok() {
            return Ok(());
        }
        let path = self.path(kind, digest);
        let written = tempfile::NamedTempFile::new_in(&self.folder).and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&self.folder)?.sync_all()
        });
        written.map_err(|error| file_error(&path, &error))
    }

    fn get(&self, kind: Kind, pinned: &Digest) -> Result<Vec<u8>, ArchiveError> {
        let path = self.path(kind, pinned);
        let mut options = fs::OpenOptions::new();
        // Neither a link nor a pipe that somebody put there is followed or waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.read(true).custom_flags(i32::try_from(flags).unwrap_or_default());
        let mut bytes = Vec::new();
        let read =
            options.open(&path).and_then(|file| file.take(limits::COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ArchiveError::Missing { kind, digest: *pinned });
            }
            Err(error) => return Err(file_error(&path, &error)),
        }
        let found = Digest::of(&bytes);
        if found != *pinned {
            return Err(ArchiveError::Changed { kind, found, pinned: *pinned });
        }
        Ok(bytes)
    }

    fn path(&self, kind: Kind, digest: &Digest) -> PathBuf {
        let extension = match kind {
            Kind::Component => "wasm",
            Kind::Settings => "json",
        };
        self.folder.join(format!("sha256-{}.{extension}", hex::encode(digest.as_bytes())))
    }
}

fn file_error(path: &Path, error: &io::Error) -> ArchiveError {
    ArchiveError::File { path: path.display().to_string(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_file_is_as_good_as_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = Archive::new(folder.path().to_owned());
        let digest = Digest::of(b"{}");
        let missing = archive.settings(&digest).expect_err("nothing is kept");
        assert!(matches!(missing, ArchiveError::Missing { kind: Kind::Settings, .. }), "{missing}");
        archive.put(Kind::Settings, &digest, b"{}").expect("kept");
        assert_eq!(archive.settings(&digest).expect("settings"), serde_json::json!({}));
        let path = archive.path(Kind::Settings, &digest);
        for bad in [&b"{ }"[..], b"", b"{}\n"] {
            fs::write(&path, bad).expect("written");
            assert!(matches!(archive.settings(&digest), Err(ArchiveError::Changed { .. })));
            archive.put(Kind::Settings, &digest, b"{}").expect("kept again");
            assert_eq!(fs::read(&path).expect("the file"), b"{}");
        }
        std::os::unix::fs::symlink(&path, archive.path(Kind::Component, &digest)).expect("a link");
        assert!(matches!(archive.component(&digest), Err(ArchiveError::File { .. })));
    }
}
