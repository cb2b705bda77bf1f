//! Tools: what a component offers, and what its manifest asks for.
//!
//! A tool is named by the digest of its file; the name beside it is for people. Asking grants nothing: a
//! [`Manifest`] is a ceiling its author puts on the tool, one layer among those that [`crate::grant`] narrows by.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::capability::Ceiling;
use crate::capability::FilesystemCeiling;
use crate::digest::Digest;
use crate::egress::HostPattern;
use crate::egress::HttpRule;
use crate::egress::Network;
use crate::egress::SocketRule;
use crate::ring::Ring;

/// A tool, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolRef {
    /// SHA-256 of the component file as it was given.
    pub digest: Digest,
    /// The name the operator knows it by.
    pub name: String,
}

/// The three shapes of component that are tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Exports `wasi:cli/run`.
    Command,
    /// Exports `ringfence:tool/tool`, which describes its functions at run time.
    Described,
    /// Exports plain functions.
    Typed,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "command",
            Self::Described => "described",
            Self::Typed => "typed",
        })
    }
}

/// What a function may do to the world, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Changes the host itself.
    Administrative,
    /// Changes something that can't be put back.
    External,
    /// Computes from its input alone.
    None,
    /// Reads what it was granted and changes nothing.
    Reads,
    /// Nobody has said. The grant still bounds what it can do.
    #[default]
    Unknown,
    /// Changes something that can be put back.
    Writes,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Administrative => "administrative",
            Self::External => "external",
            Self::None => "none",
            Self::Reads => "reads",
            Self::Unknown => "unknown",
            Self::Writes => "writes",
        })
    }
}

impl Effect {
    /// The least privileged ring a function with this effect may run in. A function of unknown effect may run in the
    /// sandbox: that ring's ceiling holds it to reading, whatever it would like to do.
    pub const fn required_ring(self) -> Ring {
        match self {
            Self::Administrative => Ring::Root,
            Self::External => Ring::Privileged,
            Self::Writes => Ring::Standard,
            Self::None | Self::Reads | Self::Unknown => Ring::Sandbox,
        }
    }

    /// Whether treating a function as of this effect is at least as strict as treating it as of the other.
    pub const fn is_as_strict_as(self, other: Self) -> bool {
        self.strictness() >= other.strictness()
    }

    const fn strictness(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Reads => 1,
            Self::Unknown => 2,
            Self::Writes => 3,
            Self::External => 4,
            Self::Administrative => 5,
        }
    }
}

/// What a tool's author says of it: TOML beside the component, or embedded in it as the custom section
/// `ringfence:manifest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// The tool's name, in kebab-case.
    pub name: String,
    /// The tool's own version (semantic versioning).
    pub version: String,
    /// What it is for, in a sentence or two.
    #[serde(default)]
    pub description: String,
    /// The most it will ever ask for.
    #[serde(default)]
    pub capabilities: ManifestCapabilities,
    /// What is known of its functions, by name.
    #[serde(default)]
    pub functions: BTreeMap<String, ManifestFunction>,
}

/// The capabilities a manifest asks for. What is missing is not asked for: it is nothing, not everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ManifestCapabilities {
    /// The most it does with any folder.
    #[serde(default)]
    pub filesystem: FilesystemCeiling,
    /// The environment variables it reads.
    #[serde(default)]
    pub environment: Vec<String>,
    /// Requests it sends over HTTP.
    #[serde(default)]
    pub http: Vec<HttpRule>,
    /// Sockets it opens.
    #[serde(default)]
    pub sockets: Vec<SocketRule>,
    /// Names it looks up.
    #[serde(default)]
    pub names: Vec<HostPattern>,
    /// Addresses that are not public, and that it goes to.
    #[serde(default)]
    pub addresses: Vec<Network>,
    /// Secrets it sends; [`ANY_SECRET`] among them is whichever it is granted.
    #[serde(default)]
    pub secrets: Vec<String>,
}

/// In a manifest, every secret: a tool that only carries them knows no names. No secret can be called this.
pub const ANY_SECRET: &str = "*";

/// What a manifest says of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ManifestFunction {
    /// What it does, in a sentence or two.
    #[serde(default)]
    pub description: String,
    /// What it may do to the world.
    #[serde(default)]
    pub effect: Effect,
    /// Whether calling it twice with the same input does no more than calling it once.
    #[serde(default)]
    pub idempotent: bool,
    /// The fields of its input that say which call it is, as JSON Pointers: a call without an idempotency key gets one
    /// that is made from them.
    #[serde(default)]
    pub id_from: Vec<String>,
    /// The function of the same tool that tells what became of a call of this one.
    #[serde(default)]
    pub reconcile: Option<String>,
}

/// The variable that holds the key a tool can pass on: the same whenever a call is made again under its idempotency key.
/// Only a manifest that asks for the variable gets it.
pub const CALL_KEY: &str = "RINGFENCE_CALL_KEY";

impl Manifest {
    /// The manifest as a layer that narrows grants.
    pub fn ceiling(&self) -> Ceiling {
        let asked = self.capabilities.clone();
        let takes_any_secret = asked.secrets.iter().any(|name| name == ANY_SECRET);
        Ceiling {
            filesystem: Some(asked.filesystem),
            environment: Some(asked.environment),
            http: Some(asked.http),
            sockets: Some(asked.sockets),
            names: Some(asked.names),
            addresses: Some(asked.addresses),
            secrets: (!takes_any_secret).then_some(asked.secrets),
            ..Ceiling::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_ring_follows_the_table() {
        for (effect, ring) in [
            (Effect::Administrative, 0),
            (Effect::External, 1),
            (Effect::Writes, 2),
            (Effect::Reads, 3),
            (Effect::None, 3),
            (Effect::Unknown, 3),
        ] {
            assert_eq!(effect.required_ring().number(), ring, "{effect:?}");
        }
    }

    #[test]
    fn stricter_effects_never_need_less() {
        let all =
            [Effect::None, Effect::Reads, Effect::Unknown, Effect::Writes, Effect::External, Effect::Administrative];
        for (index, one) in all.into_iter().enumerate() {
            for (other_index, other) in all.into_iter().enumerate() {
                assert_eq!(one.is_as_strict_as(other), index >= other_index, "{one:?} {other:?}");
                let reaches = one.required_ring().reaches(other.required_ring());
                assert!(!one.is_as_strict_as(other) || reaches, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn manifest_that_asks_nothing_allows_nothing() {
        let ceiling = Manifest::default().ceiling();
        assert_eq!(ceiling.filesystem, Some(FilesystemCeiling::None));
        assert_eq!(ceiling.environment, Some(Vec::new()));
        assert_eq!((ceiling.http, ceiling.sockets), (Some(Vec::new()), Some(Vec::new())));
        assert_eq!(
            (ceiling.names, ceiling.addresses, ceiling.secrets),
            (Some(Vec::new()), Some(Vec::new()), Some(Vec::new()))
        );
    }

    #[test]
    fn any_secret_is_written_as_a_star() {
        let ceiling = |secrets: &[&str]| {
            let secrets = secrets.iter().map(|name| (*name).to_owned()).collect();
            let capabilities = ManifestCapabilities { secrets, ..ManifestCapabilities::default() };
            Manifest { capabilities, ..Manifest::default() }.ceiling().secrets
        };
        assert_eq!(ceiling(&["A", "*"]), None);
        assert_eq!(ceiling(&["A", "B*"]), Some(vec!["A".to_owned(), "B*".to_owned()]));
    }
}
