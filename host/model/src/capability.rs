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

use crate::egress::HostPattern;
use crate::egress::HttpRule;
use crate::egress::Network;
use crate::egress::NetworkCeiling;
use crate::egress::Rule;
use crate::egress::SocketRule;
use crate::glob::Glob;
use crate::limits;
use crate::time::Timestamp;

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
    /// The most bytes that a call may add to it. None: as many as it may add to all its folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// What in it stays closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Glob>,
    /// The most files, folders and links that a call may create in it. None: as many as in all its folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_max: Option<u64>,
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
    /// What may be reached over the network.
    pub network: NetworkAsked,
    /// The time that the call's clocks show all along; without it, they are real.
    pub clock: Option<Timestamp>,
    /// What the call's random bytes are made from; without it, they are random.
    pub seed: Option<u64>,
    /// Limits lower than the ceilings'.
    pub limits: LimitCeiling,
    /// Where the guest sees an empty folder of the call's own, which is gone when the call ends.
    pub scratch: Option<GuestPath>,
}

/// What one call asks to reach over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NetworkAsked {
    /// Addresses that are not public, and that names may lead to all the same.
    pub addresses: Vec<Network>,
    /// Requests over HTTP.
    pub http: Vec<HttpRule>,
    /// Names that may be looked up.
    pub names: Vec<HostPattern>,
    /// Secrets, by name. Where each may be sent is the operator's to say.
    pub secrets: Vec<String>,
    /// Sockets.
    pub sockets: Vec<SocketRule>,
}

impl NetworkAsked {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where clocks and random bytes come from. The order is that of power: what is real tells more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// From the call itself: the same each time it is made.
    Fixed,
    /// From the world.
    Real,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::Real => "real",
        })
    }
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

/// One layer's upper bound. A missing field does not narrow; an empty list allows nothing. Written, it is canonical: its
/// fields are in alphabetical order, and what does not narrow is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Ceiling {
    /// Networks that addresses which are not public must lie within.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<Network>>,
    /// Where time may come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Source>,
    /// Environment variables that may be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<String>>,
    /// The most that may be done with any folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<FilesystemCeiling>,
    /// Host folders that folders must be or lie under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folders: Option<Vec<String>>,
    /// Rules that rules for requests must lie within.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Vec<HttpRule>>,
    /// Limits.
    #[serde(skip_serializing_if = "LimitCeiling::is_open")]
    pub limits: LimitCeiling,
    /// Patterns that names to look up must lie within.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<HostPattern>>,
    /// How wide the network is opened at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkCeiling>,
    /// Where random bytes may come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<Source>,
    /// Secrets that may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// Rules that rules for sockets must lie within.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sockets: Option<Vec<SocketRule>>,
}

/// Upper bounds on what a call may use. A missing one does not narrow, and is left out where it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitCeiling {
    /// Connections open at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Files, folders and links created in all folders together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Units of fuel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Open handles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handles: Option<u64>,
    /// Bytes of memory and tables, all of them together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Bytes of standard output, of standard error and of the returned value, each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Bytes received over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_bytes: Option<u64>,
    /// Requests, connections and name lookups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Bytes sent over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_bytes: Option<u64>,
    /// Milliseconds of wall-clock time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// Bytes added to all folders together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_bytes: Option<u64>,
}

impl Ceiling {
    /// Whether it narrows nothing.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether everything `other` allows is allowed by this.
    pub fn covers(&self, other: &Self) -> bool {
        covers_value(self.filesystem, other.filesystem)
            && covers_list(self.folders.as_deref(), other.folders.as_deref(), |mine, theirs| contains(mine, theirs))
            && covers_rules(self.environment.as_deref(), other.environment.as_deref())
            && covers_value(self.network, other.network)
            && covers_rules(self.http.as_deref(), other.http.as_deref())
            && covers_rules(self.sockets.as_deref(), other.sockets.as_deref())
            && covers_rules(self.names.as_deref(), other.names.as_deref())
            && covers_rules(self.addresses.as_deref(), other.addresses.as_deref())
            && covers_rules(self.secrets.as_deref(), other.secrets.as_deref())
            && covers_value(self.clock, other.clock)
            && covers_value(self.random, other.random)
            && self.limits.covers(&other.limits)
    }

    /// The most that both allow.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            filesystem: lower(self.filesystem, other.filesystem),
            folders: meet_lists(self.folders.as_deref(), other.folders.as_deref(), |one, other| {
                let inner = if contains(one, other) { other } else { one };
                (contains(one, inner) && contains(other, inner)).then(|| inner.clone())
            }),
            environment: meet_rules(self.environment.as_deref(), other.environment.as_deref()),
            network: lower(self.network, other.network),
            http: meet_rules(self.http.as_deref(), other.http.as_deref()),
            sockets: meet_rules(self.sockets.as_deref(), other.sockets.as_deref()),
            names: meet_rules(self.names.as_deref(), other.names.as_deref()),
            addresses: meet_rules(self.addresses.as_deref(), other.addresses.as_deref()),
            secrets: meet_rules(self.secrets.as_deref(), other.secrets.as_deref()),
            clock: lower(self.clock, other.clock),
            random: lower(self.random, other.random),
            limits: self.limits.intersect(&other.limits),
        }
    }
}

impl LimitCeiling {
    fn is_open(&self) -> bool {
        *self == Self::default()
    }

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
            sent_bytes: lower(self.sent_bytes, other.sent_bytes),
            received_bytes: lower(self.received_bytes, other.received_bytes),
            requests: lower(self.requests, other.requests),
            connections: lower(self.connections, other.connections),
            write_bytes: lower(self.write_bytes, other.write_bytes),
            files: lower(self.files, other.files),
        }
    }

    fn pairs(&self, other: &Self) -> [(Option<u64>, Option<u64>); 11] {
        [
            (self.memory_bytes, other.memory_bytes),
            (self.fuel, other.fuel),
            (self.wall_ms, other.wall_ms),
            (self.output_bytes, other.output_bytes),
            (self.handles, other.handles),
            (self.sent_bytes, other.sent_bytes),
            (self.received_bytes, other.received_bytes),
            (self.requests, other.requests),
            (self.connections, other.connections),
            (self.write_bytes, other.write_bytes),
            (self.files, other.files),
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

fn covers_value<T: Ord>(mine: Option<T>, theirs: Option<T>) -> bool {
    mine.is_none_or(|mine| theirs.is_some_and(|theirs| theirs <= mine))
}

fn covers_rules<T: Rule>(mine: Option<&[T]>, theirs: Option<&[T]>) -> bool {
    covers_list(mine, theirs, T::covers)
}

fn covers_list<T>(mine: Option<&[T]>, theirs: Option<&[T]>, covers: fn(&T, &T) -> bool) -> bool {
    let Some(mine) = mine else { return true };
    theirs.is_some_and(|theirs| theirs.iter().all(|t| mine.iter().any(|m| covers(m, t))))
}

fn meet_rules<T: Rule + Clone + PartialEq>(one: Option<&[T]>, other: Option<&[T]>) -> Option<Vec<T>> {
    meet_lists(one, other, T::meet)
}

/// What each two of two lists have in common, each once.
fn meet_lists<T: Clone + PartialEq>(
    one: Option<&[T]>,
    other: Option<&[T]>,
    meet: fn(&T, &T) -> Option<T>,
) -> Option<Vec<T>> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other).map(<[T]>::to_vec) };
    let mut both = Vec::new();
    for common in one.iter().flat_map(|one| other.iter().filter_map(move |other| meet(one, other))) {
        if !both.contains(&common) {
            both.push(common);
        }
    }
    Some(both)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::egress::tests::http_rule;

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
            network: Some(NetworkCeiling::None),
            http: Some(Vec::new()),
            sockets: Some(Vec::new()),
            names: Some(Vec::new()),
            addresses: Some(Vec::new()),
            secrets: Some(Vec::new()),
            clock: Some(Source::Fixed),
            random: Some(Source::Fixed),
            limits: LimitCeiling::default(),
        };
        assert!(open.covers(&closed));
        assert!(!closed.covers(&open));
        assert_eq!(open.intersect(&closed), closed);
        assert!(open.is_open() && !closed.is_open());
    }

    #[test]
    fn written_ceilings_are_canonical() {
        let limits = r#"{"connections":1,"files":2,"fuel":3,"handles":4,"memory-bytes":5,"output-bytes":6,"received-bytes":7,"requests":8,"sent-bytes":9,"wall-ms":10,"write-bytes":11}"#;
        let all = format!(
            r#"{{"addresses":["10.0.0.0/8"],"clock":"fixed","environment":["A"],"filesystem":"read","folders":["/a"],"http":["GET https://a.test/"],"limits":{limits},"names":["a.test"],"network":"any","random":"real","secrets":["A"],"sockets":["tcp://a.test:1"]}}"#
        );
        for text in ["{}", r#"{"http":[]}"#, &all] {
            let ceiling: Ceiling = serde_json::from_str(text).expect("a ceiling");
            assert_eq!(serde_json::to_string(&ceiling).expect("text"), text);
            assert_eq!(crate::json::canonical(&serde_json::json!(ceiling)), text.as_bytes());
        }
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
        let limits = (limit(), limit(), limit(), limit(), limit(), limit(), limit()).prop_map(
            |(memory_bytes, fuel, wall_ms, output_bytes, handles, write_bytes, files)| LimitCeiling {
                connections: output_bytes,
                files,
                fuel,
                handles,
                memory_bytes,
                output_bytes,
                received_bytes: fuel,
                requests: wall_ms,
                sent_bytes: memory_bytes,
                wall_ms,
                write_bytes,
            },
        );
        let lists = (
            prop::option::of(prop::collection::vec(folder, 0..3)),
            prop::option::of(prop::collection::vec(name, 0..3)),
        );
        (filesystem, lists, limits, any_network()).prop_map(|(filesystem, (folders, environment), limits, network)| {
            Ceiling { environment, filesystem, folders, limits, ..network }
        })
    }

    fn any_network() -> impl Strategy<Value = Ceiling> {
        let width = prop_oneof![Just(NetworkCeiling::None), Just(NetworkCeiling::Named), Just(NetworkCeiling::Any)];
        let source = || prop::option::of(prop_oneof![Just(Source::Fixed), Just(Source::Real)]);
        let parsed = |text: &str| text.parse().expect("an address");
        let address = prop::sample::select(vec!["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"]).prop_map(parsed);
        let pattern = prop::sample::select(vec!["*", "*.b", "a.b"]).prop_map(|text| text.parse().expect("a pattern"));
        let socket = prop::sample::select(vec!["tcp://*:*", "tcp://a.b:80", "udp://*.b:53", "tcp://a.b:1-100"])
            .prop_map(|text| text.parse().expect("a rule"));
        let list = |rule| prop::option::of(prop::collection::vec(rule, 0..3));
        let names = prop::option::of(prop::collection::vec(pattern, 0..3));
        let sockets = prop::option::of(prop::collection::vec(socket, 0..3));
        let addresses = prop::option::of(prop::collection::vec(address, 0..3));
        (prop::option::of(width), list(http_rule()), sockets, names, addresses, source(), source()).prop_map(
            |(network, http, sockets, names, addresses, clock, random)| Ceiling {
                addresses,
                clock,
                http,
                names,
                network,
                random,
                sockets,
                ..Ceiling::default()
            },
        )
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
