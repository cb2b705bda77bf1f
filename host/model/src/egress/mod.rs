//! Egress: what a call may reach over a network, as rules.
//!
//! A rule is one line of text, in the configuration, on the command line and in the record alike. Rules of a kind are
//! partially ordered ([`Rule::covers`]) and any two have a greatest lower bound or nothing in common ([`Rule::meet`]); the
//! tests hold every kind to that. A rule speaks of names as IDNA writes them and of paths that are already
//! normal, so deciding never has to interpret anything twice. This module resolves nothing and connects nowhere.

mod address;
mod host;
mod http;
mod socket;

pub use crate::egress::address::AddressKind;
pub use crate::egress::address::kind;
pub use crate::egress::host::Host;
pub use crate::egress::host::HostError;
pub use crate::egress::host::HostPattern;
pub use crate::egress::host::Name;
pub use crate::egress::host::Network;
pub use crate::egress::http::HttpRule;
pub use crate::egress::http::HttpTarget;
pub use crate::egress::http::Methods;
pub use crate::egress::http::Scheme;
pub use crate::egress::http::UrlPath;
pub use crate::egress::socket::PortRange;
pub use crate::egress::socket::Protocol;
pub use crate::egress::socket::SocketRule;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serializer;
use thiserror::Error;

/// Why a rule can't be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RuleError {
    /// Its host is no host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// It names a method that no rule can allow, or no method.
    #[error("`{0}` is not a method that a rule can allow")]
    Method(String),
    /// It is not made of the parts a rule has.
    #[error("`{text}` is not written as `{wanted}`")]
    Form {
        /// The rule.
        text: String,
        /// How a rule of this kind is written.
        wanted: &'static str,
    },
    /// Its path is not one path.
    #[error("`{0}` is not a path without `.`, `..`, query and escaped separators")]
    Path(String),
    /// Its port is no port.
    #[error("`{0}` is neither a port from 1 to 65535, nor a range of them, nor `*`")]
    Port(String),
    /// It is too long.
    #[error("a rule of {0} bytes is longer than {max}", max = crate::limits::RULE_BYTES_MAX)]
    TooLong(usize),
}

/// A set of things that a grant may hold, described by one line.
pub trait Rule: Sized {
    /// Whether everything `other` allows is allowed by this.
    fn covers(&self, other: &Self) -> bool;

    /// The most that both allow; nothing if they have nothing in common.
    fn meet(&self, other: &Self) -> Option<Self>;
}

/// A name of something: covered by itself alone.
impl Rule for String {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        nested(self, other)
    }
}

/// The smaller of two, where one holds the other or they have nothing in common.
pub(crate) fn nested<T: Rule + Clone>(one: &T, other: &T) -> Option<T> {
    if one.covers(other) { Some(other.clone()) } else { other.covers(one).then(|| one.clone()) }
}

/// How wide a layer opens the network. The order is that of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkCeiling {
    /// No network at all.
    #[default]
    None,
    /// Hosts and networks that a rule names one by one; no `*`.
    Named,
    /// Whatever the rules say.
    Any,
}

impl std::fmt::Display for NetworkCeiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Named => "named",
            Self::Any => "any",
        })
    }
}

/// Rules are text wherever they are written.
pub(crate) mod text {
    use super::Deserialize;
    use super::Deserializer;
    use super::Serializer;

    /// Writes a rule as its line.
    pub(crate) fn serialize<T: std::fmt::Display, S: Serializer>(rule: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(rule)
    }

    /// Reads a rule from its line.
    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Implements serde for a type through its line.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::egress::text::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::egress::text::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// A text that stands in an error: short, and in one line.
pub(crate) fn quoted(text: &str) -> String {
    crate::outcome::one_line(text)
}

#[cfg(test)]
pub(crate) mod tests;
