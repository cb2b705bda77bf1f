//! What a guest is refused, and what failed by itself: two things, as only the first is in the trace.

use std::fmt;
use std::io;

use rustix::io::Errno;
use thiserror::Error;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

/// Why the host does not do what a guest asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A pattern of the grant closes it.
    Denied,
    /// A folder that has something closed in it would move, and what is closed with it.
    Moves,
    /// It would get from one granted folder into another.
    OtherFolder,
    /// The path leads out of the folder.
    Outside,
    /// More bytes than the quota has left.
    QuotaBytes,
    /// More files than the quota has left.
    QuotaFiles,
    /// The folder is granted to read.
    ReadOnly,
    /// It is a pipe, a device or a socket.
    Special,
}

impl Refusal {
    fn code(self) -> ErrorCode {
        match self {
            // What a program expects between two disks: it copies instead.
            Self::OtherFolder => ErrorCode::CrossDevice,
            Self::QuotaBytes | Self::QuotaFiles => ErrorCode::Quota,
            _ => ErrorCode::NotPermitted,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "closed by a pattern of the grant",
            Self::Moves => "a folder does not move where patterns close something",
            Self::OtherFolder => "nothing gets from one granted folder into another by a name",
            Self::Outside => "outside of the folder",
            Self::QuotaBytes => "more bytes than the quota has left",
            Self::QuotaFiles => "more files than the quota has left",
            Self::ReadOnly => "granted to read only",
            Self::Special => "a pipe, a device or a socket",
        })
    }
}

/// Why an operation came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The host refused it.
    Refused(Refusal),
    /// The system could not do it.
    System(io::Error),
}

impl Failure {
    /// What the guest is told.
    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refusal) => refusal.code(),
            // `open` does not wait for whoever holds a lease on the file.
            Self::System(error) if error.kind() == io::ErrorKind::WouldBlock => ErrorCode::WouldBlock,
            Self::System(error) => error.into(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::System(errno.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// A stream that ran into a quota: the error a guest asks the meaning of.
#[derive(Clone, Copy, Debug, Error)]
#[error("{}", Refusal::QuotaBytes)]
pub(super) struct QuotaReached;
