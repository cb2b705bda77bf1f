//! A layer's no, and what that layer would have to say for it to be a yes.
//!
//! Where the layer is written down, and how, is not known here: a setting is a key with its value.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::capability::Asked;
use crate::capability::Ceiling;
use crate::capability::Folder;
use crate::capability::GuestPath;
use crate::capability::LimitCeiling;
use crate::capability::NetworkAsked;
use crate::capability::Source;
use crate::egress::HostPattern;
use crate::egress::HttpRule;
use crate::egress::Network;
use crate::egress::SocketRule;
use crate::grant::Grant;

/// Who bounds a grant, in the order the layers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The host itself: what is refused to everybody.
    Host,
    /// The tool's manifest: what its author asks for.
    Manifest,
    /// The operator's configuration.
    Operator,
    /// The ring the call runs in.
    Ring,
    /// The session the call belongs to.
    Session,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Manifest => "manifest",
            Self::Operator => "operator",
            Self::Ring => "ring",
            Self::Session => "session",
        })
    }
}

/// A capability that was asked for and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An address that is not public, for names to lead to.
    Address(Network),
    /// A clock.
    Clock(Source),
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// A folder, with this access.
    Folder(Folder),
    /// Folders that can't be granted together: the same guest path twice, or one tree both to read and to write.
    FolderPair(Folder, Folder),
    /// Requests over HTTP.
    Http(HttpRule),
    /// A limit above the ceiling.
    Limit {
        /// Its name, as in the configuration.
        name: &'static str,
        /// What was asked for.
        value: u64,
    },
    /// Names to look up.
    Name(HostPattern),
    /// Random bytes.
    Random(Source),
    /// A folder of the call's own, at this guest path.
    Scratch(GuestPath),
    /// A secret, by name.
    Secret(String),
    /// Sockets.
    Socket(SocketRule),
    /// More folders than any grant holds.
    TooManyFolders(usize),
    /// More rules of one kind than any grant holds.
    TooManyRules(usize),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |folder: &Folder| format!("`{}` as `{}` ({})", folder.host, folder.guest, folder.access);
        match self {
            Self::Address(network) => write!(f, "address `{network}`"),
            Self::Clock(source) => write!(f, "a {source} clock"),
            Self::Environment { name } => write!(f, "environment variable `{name}`"),
            Self::Folder(folder) => write!(f, "folder {}", shown(folder)),
            Self::FolderPair(one, other) => write!(f, "folder {} together with {}", shown(one), shown(other)),
            Self::Http(rule) => write!(f, "requests `{rule}`"),
            Self::Limit { name, value } => write!(f, "`{name}` of {value}"),
            Self::Name(pattern) => write!(f, "looking up `{pattern}`"),
            Self::Random(Source::Fixed) => f.write_str("seeded random bytes"),
            Self::Random(Source::Real) => f.write_str("real random bytes"),
            Self::Scratch(guest) => write!(f, "a scratch folder as `{guest}`"),
            Self::Secret(name) => write!(f, "secret `{}`", crate::outcome::one_line(name)),
            Self::Socket(rule) => write!(f, "sockets `{rule}`"),
            Self::TooManyFolders(count) => write!(f, "{count} folders"),
            Self::TooManyRules(count) => write!(f, "{count} rules of one kind"),
        }
    }
}

/// What a layer says no to: what was asked, and the nearest it would allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who refused.
    pub layer: Layer,
    /// What was asked for.
    pub wanted: Wanted,
    /// The nearest that the layer allows, in a few words.
    pub nearest: String,
    /// What of the layer's own settings would let it allow this. None: nothing would.
    pub allowed_by: Vec<Setting>,
}

/// One key of a ceiling, with the value that it would have to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whether it is one of the limits, which stand in a table of their own.
    pub is_limit: bool,
    /// The key.
    pub key: &'static str,
    /// Its value: of a list, all that is on it, and what was asked for.
    pub value: Value,
}

impl Refusal {
    pub(super) fn new(layer: Layer, wanted: Wanted, nearest: impl Into<String>) -> Box<Self> {
        Box::new(Self { layer, wanted, nearest: nearest.into(), allowed_by: Vec::new() })
    }

    pub(super) fn allowed_by(mut self: Box<Self>, key: &'static str, value: impl Serialize) -> Box<Self> {
        self.allowed_by.push(Setting { is_limit: false, key, value: json!(value) });
        self
    }

    pub(super) fn allowed_by_limit(mut self: Box<Self>, key: &'static str, value: u64) -> Box<Self> {
        self.allowed_by.push(Setting { is_limit: true, key, value: json!(value) });
        self
    }

    /// By a list that has one thing more on it.
    pub(super) fn allowed_by_list<T: Serialize>(
        self: Box<Self>,
        key: &'static str,
        list: &[T],
        more: &impl Serialize,
    ) -> Box<Self> {
        let value: Vec<Value> = list.iter().map(|one| json!(one)).chain([json!(more)]).collect();
        self.allowed_by(key, value)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was asked for, but the {} layer allows {}", self.wanted, self.layer, self.nearest)
    }
}

impl std::error::Error for Refusal {}

impl Wanted {
    /// Whether a ceiling leaves room for this. What no ceiling is asked about has room in none.
    pub fn fits(&self, ceiling: &Ceiling) -> bool {
        let layers = [(Layer::Ring, ceiling.clone())];
        self.alone().is_some_and(|asked| Grant::narrow(&asked, &layers, &[]).is_ok())
    }

    /// The same, asked for by itself. What is not asked for of clocks and random bytes is real.
    fn alone(&self) -> Option<Asked> {
        let nothing = Asked::default();
        let network = |network| Some(Asked { network, ..Asked::default() });
        let none = NetworkAsked::default();
        match self {
            Self::Address(address) => network(NetworkAsked { addresses: vec![*address], ..none }),
            Self::Clock(_) | Self::Random(_) => Some(nothing),
            Self::Environment { name } => {
                Some(Asked { environment: [(name.clone(), String::new())].into(), ..nothing })
            }
            Self::Folder(folder) => Some(Asked { folders: vec![folder.clone()], ..nothing }),
            Self::FolderPair(..) | Self::TooManyFolders(_) | Self::TooManyRules(_) => None,
            Self::Http(rule) => network(NetworkAsked { http: vec![rule.clone()], ..none }),
            Self::Limit { name, value } => Some(Asked { limits: limit(name, *value)?, ..nothing }),
            Self::Name(pattern) => network(NetworkAsked { names: vec![pattern.clone()], ..none }),
            Self::Scratch(guest) => Some(Asked { scratch: Some(guest.clone()), ..nothing }),
            Self::Secret(name) => network(NetworkAsked { secrets: vec![name.clone()], ..none }),
            Self::Socket(rule) => network(NetworkAsked { sockets: vec![rule.clone()], ..none }),
        }
    }
}

fn limit(name: &str, value: u64) -> Option<LimitCeiling> {
    serde_json::from_value(json!({ name: value })).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Access;
    use crate::capability::Folder;
    use crate::capability::GuestPath;
    use crate::ring::Ring;

    /// One of each thing that a ceiling is asked about, and what closes it there.
    fn closed() -> Vec<(Asked, Value)> {
        let path = |text| GuestPath::new(text).expect("a path");
        let folder = |bytes_max| Asked {
            folders: vec![Folder {
                access: Access::ReadWrite,
                bytes_max,
                deny: Vec::new(),
                files_max: None,
                guest: path("/work"),
                host: "/srv/work".to_owned(),
            }],
            ..Asked::default()
        };
        let network =
            |rules: Value| Asked { network: serde_json::from_value(rules).expect("rules"), ..Asked::default() };
        let limits =
            |limits: Value| Asked { limits: serde_json::from_value(limits).expect("limits"), ..Asked::default() };
        let any = network(json!({ "names": ["*.b.test"] }));
        let mut closed = vec![
            (folder(None), json!({ "filesystem": "none" })),
            (folder(None), json!({ "filesystem": "read" })),
            (folder(None), json!({ "folders": [] })),
            (folder(None), json!({ "folders": ["/srv/works", "/tmp"] })),
            (folder(Some(9)), json!({ "limits": { "write-bytes": 8 } })),
            (network(json!({ "http": ["GET https://a.test/"] })), json!({ "network": "none" })),
            (network(json!({ "http": ["GET https://a.test/"] })), json!({ "http": [] })),
            (network(json!({ "http": ["GET https://a.test/"] })), json!({ "http": ["POST https://a.test/"] })),
            (network(json!({ "sockets": ["tcp://a.test:1"] })), json!({ "network": "none" })),
            (network(json!({ "sockets": ["tcp://a.test:1"] })), json!({ "sockets": [] })),
            (network(json!({ "sockets": ["tcp://a.test:1"] })), json!({ "sockets": ["udp://a.test:1"] })),
            (any.clone(), json!({ "network": "none" })),
            (any.clone(), json!({ "network": "named" })),
            (any.clone(), json!({ "names": [] })),
            (any, json!({ "names": ["a.b.test"] })),
            (network(json!({ "addresses": ["10.0.0.0/8"] })), json!({ "network": "none" })),
            (network(json!({ "addresses": ["10.0.0.0/8"] })), json!({ "addresses": [] })),
            (network(json!({ "addresses": ["10.0.0.0/8"] })), json!({ "addresses": ["10.1.0.0/16"] })),
            (network(json!({ "secrets": ["A"] })), json!({ "network": "none" })),
            (network(json!({ "secrets": ["A"] })), json!({ "secrets": [] })),
            (network(json!({ "secrets": ["A"] })), json!({ "secrets": ["B"] })),
            (
                Asked { environment: [("A".to_owned(), String::new())].into(), ..Asked::default() },
                json!({ "environment": [] }),
            ),
            (
                Asked { environment: [("A".to_owned(), String::new())].into(), ..Asked::default() },
                json!({ "environment": ["B"] }),
            ),
            (Asked { seed: Some(1), ..Asked::default() }, json!({ "clock": "fixed" })),
            (
                Asked { clock: Some(crate::time::Timestamp::from_millis(0)), ..Asked::default() },
                json!({ "random": "fixed" }),
            ),
            (Asked { scratch: Some(path("/tmp")), ..Asked::default() }, json!({ "limits": { "files": 0 } })),
            (
                Asked { scratch: Some(path("/tmp")), ..Asked::default() },
                json!({ "limits": { "files": 0, "write-bytes": 0 } }),
            ),
        ];
        let names = json!(Ring::Root.ceiling().limits);
        for name in names.as_object().expect("limits").keys() {
            closed.push((limits(json!({ name: 2 })), json!({ "limits": { name: 1 } })));
        }
        closed
    }

    fn ceiling(settings: &Value) -> Ceiling {
        serde_json::from_value(settings.clone()).expect("a ceiling")
    }

    #[test]
    fn what_would_allow_it_does() {
        for layer in [Layer::Manifest, Layer::Operator, Layer::Ring, Layer::Session] {
            for (asked, mut settings) in closed() {
                let refused = Grant::narrow(&asked, &[(layer, ceiling(&settings))], &[]).expect_err("a refusal");
                assert_eq!(refused.layer, layer);
                assert!(!refused.wanted.fits(&ceiling(&settings)), "{refused}");
                for Setting { is_limit, key, value } in &refused.allowed_by {
                    let table = if *is_limit { &mut settings["limits"] } else { &mut settings };
                    table[key] = value.clone();
                }
                Grant::narrow(&asked, &[(layer, ceiling(&settings))], &[])
                    .unwrap_or_else(|left| panic!("{refused}: {left}"));
                assert!(refused.wanted.fits(&ceiling(&settings)), "{refused}");
            }
        }
    }

    #[test]
    fn missing_key_narrows_nothing_at_any_layer() {
        for layer in [Layer::Manifest, Layer::Operator, Layer::Ring, Layer::Session] {
            for (asked, _) in closed() {
                assert!(Grant::narrow(&asked, &[(layer, Ceiling::default())], &[]).is_ok(), "{asked:?}");
            }
        }
    }

    #[test]
    fn lists_keep_what_was_on_them() {
        let settings = json!({ "secrets": ["B", "C"] });
        let network = NetworkAsked { secrets: vec!["A".to_owned()], ..NetworkAsked::default() };
        let asked = Asked { network, ..Asked::default() };
        let refused = Grant::narrow(&asked, &[(Layer::Operator, ceiling(&settings))], &[]).expect_err("a refusal");
        assert_eq!(refused.allowed_by[0].value, json!(["B", "C", "A"]));
    }
}
