//! Says what the system's errors mean to somebody who asked for a path.

use std::io::{self, ErrorKind};

use crate::bindings::exports::ringfence::files::files::Error;

/// Error numbers of WASI (preview 1): not permitted, and outside what the folder's handle allows.
const PERM: i32 = 63;
const NOTCAPABLE: i32 = 76;

/// Makes an error at this path of what the system says.
pub fn at(path: &str) -> impl Fn(io::Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::NotFound => Error::NotFound(path.to_owned()),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::NotPermitted(path.to_owned()),
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => Error::WrongKind(path.to_owned()),
        _ if matches!(error.raw_os_error(), Some(PERM | NOTCAPABLE)) => Error::NotPermitted(path.to_owned()),
        // Rust's library words its own error where no granted folder is on the way to the path.
        _ if error.get_ref().is_some() => Error::NotPermitted(path.to_owned()),
        _ => Error::Failed(format!("`{path}`: {error}")),
    }
}
