//! The record, checked by anyone.
//!
//! An entry's [`hash`] links it into a [`chain`] and is a leaf of a Merkle [`tree`]; a [`proof`] shows that a leaf
//! belongs to a root; a [`checkpoint`] states size and root, and a [`signer`] puts it under a signed [`note`];
//! by a [`rotation`] one key hands over to the next. A
//! [`receipt`] carries one entry with its proof, a [`bundle`] everything about a call or a session; an [`extension`] shows
//! that a log goes on from what it was; [`tiles`] are tree and entries as files for any web server, and [`published`] checks
//! them; [`verify`] reads a whole log and says what is wrong with it, and where.
//!
//! Deliberately absent: files, sockets, clocks and randomness. Whoever checks a log brings its bytes and the keys to
//! trust; the answer depends on nothing else.
//!
//! ```
//! use ringfence_audit::verify::Kind;
//! use ringfence_audit::verify::LogCheck;
//! use ringfence_audit::verify::Options;
//!
//! let mut check = LogCheck::new(Options::default());
//! check.entry(b"{}");
//! let report = check.finish();
//! assert!(!report.is_intact());
//! assert_eq!(report.findings[0].kind, Kind::Malformed);
//! assert_eq!(report.findings[0].index, Some(0));
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod bundle;
pub mod chain;
pub mod checkpoint;
pub mod extension;
pub mod hash;
pub mod note;
pub mod proof;
pub mod published;
pub mod receipt;
pub mod rotation;
pub mod signer;
pub mod statement;
pub mod tiles;
pub mod tree;
pub mod verify;
pub mod witness;

mod anchor;
mod calls;
mod finding;
mod scan;
