//! Capabilities: what a call may ask for, and the ceilings that bound it.
//!
//! A [`Ceiling`] is one layer's upper bound. In every field, *missing* means "this layer does not narrow" and *empty*
//! means "nothing". Ceilings are partially ordered: [`Ceiling::covers`] is the order, [`Ceiling::intersect`] its
//! greatest lower bound; the tests hold both to that. [`Asked`] is what one call asks for; it grants nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::limits;

/// How much of a folder is opened. The order is that of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Names and contents can be read.
    Read,
    /// Names and contents can be read and changed.
    ReadWrite,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::ReadWrite => "read-write",
        })
    }
}

/// Why a path can't stand in a grant.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// It does not start at the root, or walks up.
    #[error("`{0}` is not an absolute path without `.`, `..` and empty parts")]
    NotNormal(String),
    /// It holds something that some system reads in its own way.
    #[error("`{0}` holds a character or a name that no folder in a grant may have")]
    NotPortable(String),
    /// It is too long.
    #[error("a path of {0} bytes is longer than {max}", max = limits::PATH_BYTES_MAX)]
    TooLong(usize),
}

/// An absolute path as the guest sees it: `/` or parts behind `/`, with no `.`, no `..`, nothing empty, no control
/// character, backslash or device name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GuestPath(String);

impl GuestPath {
    /// Checks a path.
    pub fn new(path: &str) -> Result<Self, PathError> {
        if path.len() > limits::PATH_BYTES_MAX {
            return Err(PathError::TooLong(path.len()));
        }
        let not_normal = || PathError::NotNormal(path.escape_debug().to_string());
        let parts = path.strip_prefix('/').ok_or_else(not_normal)?;
        if !parts.is_empty() && parts.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(not_normal());
        }
        if !parts.split('/').all(is_portable) {
            return Err(PathError::NotPortable(path.escape_debug().to_string()));
        }
        Ok(Self(path.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this path or lies under it, part by part.
    pub fn contains(&self, other: &Self) -> bool {
        contains(&self.0, &other.0)
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for GuestPath {
    type Error = PathError;

    fn try_from(path: String) -> Result<Self, PathError> {
        Self::new(&path)
    }
}

impl From<GuestPath> for String {
    fn from(path: GuestPath) -> Self {
        path.0
    }
}

/// Whether the absolute path `inner` is `outer` or lies under it, part by part. Both are normal: no `.`, no `..`.
pub fn contains(outer: &str, inner: &str) -> bool {
    let outer = outer.trim_end_matches('/');
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// FS-15: names that mean a device, a stream or another name somewhere, refused on every system alike.
fn is_portable(part: &str) -> bool {
    const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    let stem = part.split('.').next().unwrap_or_default().to_uppercase();
    let numbered = (stem.starts_with("COM") || stem.starts_with("LPT"))
        && stem.chars().count() == 4
        && stem.ends_with(|c: char| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³' | '⁰'));
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    !numbered && !DEVICES.contains(&stem.as_str()) && !part.contains(odd) && !part.ends_with([' ', '.'])
}

/// A folder of the host under the path the guest sees it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// How much of it is opened.
    pub access: Access,
    /// Where the guest sees it.
    pub guest: GuestPath,
    /// Where it is: absolute, links resolved.
    pub host: String,
}

/// What one call asks for. Limits that are missing are left to the ceilings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Folders.
    pub folders: Vec<Folder>,
    /// Environment variables and their values.
    pub environment: BTreeMap<String, String>,
    /// Limits lower than the ceilings'.
    pub limits: LimitCeiling,
}

/// The most a layer allows with any folder. The order is that of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilesystemCeiling {
    /// No folder at all.
    #[default]
    None,
    /// Folders to read from.
    Read,
    /// Folders to read from and write to.
    ReadWrite,
}

impl FilesystemCeiling {
    /// The access that this allows, if any.
    pub fn access(self) -> Option<Access> {
        match self {
            Self::None => None,
            Self::Read => Some(Access::Read),
            Self::ReadWrite => Some(Access::ReadWrite),
        }
    }
}

impl fmt::Display for FilesystemCeiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Read => "read",
            Self::ReadWrite => "read-write",
        })
    }
}

/// One layer's upper bound. A missing field does not narrow; an empty list allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Ceiling {
    /// The most that may be done with any folder.
    pub filesystem: Option<FilesystemCeiling>,
    /// Host folders that folders must be or lie under.
    pub folders: Option<Vec<String>>,
    /// Environment variables that may be set.
    pub environment: Option<Vec<String>>,
    /// Limits.
    pub limits: LimitCeiling,
}

/// Upper bounds on what a call may use. A missing one does not narrow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitCeiling {
    /// Bytes of memory and tables, all of them together.
    pub memory_bytes: Option<u64>,
    /// Units of fuel.
    pub fuel: Option<u64>,
    /// Milliseconds of wall-clock time.
    pub wall_ms: Option<u64>,
    /// Bytes of standard output, of standard error and of the returned value, each.
    pub output_bytes: Option<u64>,
    /// Open handles.
    pub handles: Option<u64>,
}

impl Ceiling {
    /// Whether everything `other` allows is allowed by this.
    pub fn covers(&self, other: &Self) -> bool {
        self.filesystem.is_none_or(|mine| other.filesystem.is_some_and(|theirs| theirs <= mine))
            && covers_list(self.folders.as_deref(), other.folders.as_deref(), contains)
            && covers_list(self.environment.as_deref(), other.environment.as_deref(), |mine, theirs| mine == theirs)
            && self.limits.covers(&other.limits)
    }

    /// The most that both allow.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            filesystem: lower(self.filesystem, other.filesystem),
            folders: intersect_lists(self.folders.as_deref(), other.folders.as_deref(), contains),
            environment: intersect_lists(self.environment.as_deref(), other.environment.as_deref(), |mine, theirs| {
                mine == theirs
            }),
            limits: self.limits.intersect(&other.limits),
        }
    }
}

impl LimitCeiling {
    /// Whether every bound of `other` is at least as low.
    pub fn covers(&self, other: &Self) -> bool {
        self.pairs(other).into_iter().all(|(mine, theirs)| mine.is_none_or(|m| theirs.is_some_and(|t| t <= m)))
    }

    /// The lower of each two bounds.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            memory_bytes: lower(self.memory_bytes, other.memory_bytes),
            fuel: lower(self.fuel, other.fuel),
            wall_ms: lower(self.wall_ms, other.wall_ms),
            output_bytes: lower(self.output_bytes, other.output_bytes),
            handles: lower(self.handles, other.handles),
        }
    }

    fn pairs(&self, other: &Self) -> [(Option<u64>, Option<u64>); 5] {
        [
            (self.memory_bytes, other.memory_bytes),
            (self.fuel, other.fuel),
            (self.wall_ms, other.wall_ms),
            (self.output_bytes, other.output_bytes),
            (self.handles, other.handles),
        ]
    }
}

/// The lower of two bounds, where a missing one does not narrow.
pub(crate) fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn covers_list(mine: Option<&[String]>, theirs: Option<&[String]>, covers: fn(&str, &str) -> bool) -> bool {
    let Some(mine) = mine else { return true };
    theirs.is_some_and(|theirs| theirs.iter().all(|t| mine.iter().any(|m| covers(m, t))))
}

fn intersect_lists(
    one: Option<&[String]>,
    other: Option<&[String]>,
    covers: fn(&str, &str) -> bool,
) -> Option<Vec<String>> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other).map(<[String]>::to_vec) };
    let within = |items: &[String], bounds: &[String]| -> Vec<String> {
        items.iter().filter(|item| bounds.iter().any(|bound| covers(bound, item))).cloned().collect()
    };
    let mut both = within(one, other);
    both.extend(within(other, one));
    both.sort();
    both.dedup();
    Some(both)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odd_guest_paths_are_refused() {
        // FS-15, FS-16
        for path in [
            "",
            "docs",
            "/docs/",
            "//docs",
            "/a/../b",
            "/a/./b",
            "/..",
            "/a\0b",
            "/a\\b",
            "/COM1",
            "/com¹.txt",
            "/NUL.txt",
            "/LPT⁰",
            "/f::$DATA",
            "/a.",
            "/a ",
            "/conin$",
            "/a\u{7f}",
        ] {
            assert!(GuestPath::new(path).is_err(), "{path:?}");
        }
        assert!(GuestPath::new(&format!("/{}", "a".repeat(65_536))).is_err());
        for path in ["/", "/docs", "/a/b.c", "/.hidden", "/common", "/été"] {
            assert!(GuestPath::new(path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn containment_goes_by_parts() {
        for (outer, inner, wanted) in [
            ("/docs", "/docs", true),
            ("/docs", "/docs/a", true),
            ("/docs", "/docs-evil", false),
            ("/docs/a", "/docs", false),
            ("/", "/anything", true),
            ("/", "/", true),
        ] {
            assert_eq!(contains(outer, inner), wanted, "{outer} {inner}");
        }
    }

    #[test]
    fn missing_does_not_narrow_but_empty_does() {
        let open = Ceiling::default();
        let closed = Ceiling {
            filesystem: Some(FilesystemCeiling::None),
            folders: Some(Vec::new()),
            environment: Some(Vec::new()),
            limits: LimitCeiling::default(),
        };
        assert!(open.covers(&closed));
        assert!(!closed.covers(&open));
        assert_eq!(open.intersect(&closed), closed);
    }

    fn any_ceiling() -> impl Strategy<Value = Ceiling> {
        let filesystem = prop::option::of(prop_oneof![
            Just(FilesystemCeiling::None),
            Just(FilesystemCeiling::Read),
            Just(FilesystemCeiling::ReadWrite)
        ]);
        let folder = prop::sample::select(vec!["/", "/a", "/a/b", "/a/b/c", "/ab", "/b"]).prop_map(str::to_owned);
        let name = prop::sample::select(vec!["A", "B", "C"]).prop_map(str::to_owned);
        let limit = || prop::option::of(0u64..4);
        let limits = (limit(), limit(), limit(), limit(), limit()).prop_map(|(a, b, c, d, e)| LimitCeiling {
            memory_bytes: a,
            fuel: b,
            wall_ms: c,
            output_bytes: d,
            handles: e,
        });
        let lists = (
            prop::option::of(prop::collection::vec(folder, 0..3)),
            prop::option::of(prop::collection::vec(name, 0..3)),
        );
        (filesystem, lists, limits).prop_map(|(filesystem, (folders, environment), limits)| Ceiling {
            filesystem,
            folders,
            environment,
            limits,
        })
    }

    fn same(one: &Ceiling, other: &Ceiling) -> bool {
        one.covers(other) && other.covers(one)
    }

    proptest! {
        #[test]
        fn covers_is_a_partial_order(a in any_ceiling(), b in any_ceiling(), c in any_ceiling()) {
            prop_assert!(a.covers(&a));
            if a.covers(&b) && b.covers(&c) {
                prop_assert!(a.covers(&c));
            }
        }

        #[test]
        fn intersection_is_the_greatest_lower_bound(a in any_ceiling(), b in any_ceiling(), c in any_ceiling()) {
            let both = a.intersect(&b);
            prop_assert!(a.covers(&both) && b.covers(&both));
            if a.covers(&c) && b.covers(&c) {
                prop_assert!(both.covers(&c));
            }
        }

        #[test]
        fn intersection_ignores_order(a in any_ceiling(), b in any_ceiling(), c in any_ceiling()) {
            prop_assert!(same(&a.intersect(&b), &b.intersect(&a)));
            prop_assert!(same(&a.intersect(&b).intersect(&c), &a.intersect(&b.intersect(&c))));
            prop_assert!(same(&a.intersect(&a), &a));
        }
    }
}
