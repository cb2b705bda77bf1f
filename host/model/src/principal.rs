//! Who acts.
//!
//! A principal is authenticated before it gets here; this module only gives it a shape: a kind and a name, never a
//! bare string. The name's alphabet is small, so that two principals can't look alike in a log.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use thiserror::Error;

use crate::limits::PRINCIPAL_NAME_BYTES_MAX;

/// Text that names no principal.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a principal: write `agent:`, `operator:` or `service:` and a name of ASCII letters, digits, `.`, `_`, `-`"
)]
pub struct PrincipalError(String);

/// What kind of actor a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// A program acting by itself.
    Agent,
    /// A person who operates the host.
    Operator,
    /// Another system.
    Service,
}

impl PrincipalKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Service => "service",
        }
    }
}

/// The authenticated actor behind a call. Printed and serialised as `kind:name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    kind: PrincipalKind,
    name: String,
}

impl Principal {
    /// A principal of a kind, by an authenticated name: 1 to 256 bytes of ASCII letters, digits, `.`, `_`, `-`.
    pub fn new(kind: PrincipalKind, name: &str) -> Result<Self, PrincipalError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > PRINCIPAL_NAME_BYTES_MAX || !name.bytes().all(known) {
            return Err(PrincipalError(format!("{}:{name}", kind.as_str())));
        }
        Ok(Self { kind, name: name.to_owned() })
    }

    /// An agent nobody has named: what a policy's case stands for when it does not say who calls.
    pub fn anonymous() -> Self {
        Self { kind: PrincipalKind::Agent, name: "anonymous".to_owned() }
    }

    /// The host itself: what settles a call by what the call's own tool has found.
    pub fn host() -> Self {
        Self { kind: PrincipalKind::Service, name: "ringfence".to_owned() }
    }

    /// What kind of actor it is.
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// Its name, without the kind.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

impl FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        let wrong = || PrincipalError(text.to_owned());
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        let kind = match kind {
            "agent" => PrincipalKind::Agent,
            "operator" => PrincipalKind::Operator,
            "service" => PrincipalKind::Service,
            _ => return Err(wrong()),
        };
        Self::new(kind, name)
    }
}

/// One principal, or every one of a kind: `operator:alice`, `operator:*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalPattern {
    /// This one.
    One(Principal),
    /// Every one of the kind.
    Every(PrincipalKind),
}

impl PrincipalPattern {
    /// Whether a principal is meant.
    pub fn covers(&self, principal: &Principal) -> bool {
        match self {
            Self::One(one) => one == principal,
            Self::Every(kind) => *kind == principal.kind,
        }
    }
}

impl fmt::Display for PrincipalPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => one.fmt(f),
            Self::Every(kind) => write!(f, "{}:*", kind.as_str()),
        }
    }
}

impl FromStr for PrincipalPattern {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        let Some(kind) = text.strip_suffix(":*") else { return text.parse().map(Self::One) };
        // Any name will do to have the kind read.
        let any: Principal = format!("{kind}:any").parse().map_err(|_| PrincipalError(text.to_owned()))?;
        Ok(Self::Every(any.kind))
    }
}

impl Serialize for PrincipalPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PrincipalPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookalike_names_are_refused() {
        for text in ["agent:", "agent:a b", "agent:a\n", "agent:аgent", "robot:x", "agent", "operator:a/b"] {
            assert!(text.parse::<Principal>().is_err(), "{text}");
        }
        assert_eq!("agent:claims-7".parse::<Principal>().map(|p| p.to_string()), Ok("agent:claims-7".into()));
    }
}
