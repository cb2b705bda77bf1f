//! `[tools.NAME]` and `[signers.NAME]`: what is registered, under which pins, with which grant.
//!
//! `ringfence tool add` writes the pins and never a grant; a grant is an operator's own words.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ringfence_audit::note::Verifier;
use ringfence_model::capability::GuestPath;
use ringfence_model::capability::LimitCeiling;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::digest::Digest;
use ringfence_model::egress::HostPattern;
use ringfence_model::egress::HttpRule;
use ringfence_model::egress::Network;
use ringfence_model::egress::SocketRule;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::Effect;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;

use crate::args::DirArg;
use crate::tools::bundle::CosignKey;
use crate::tools::identity::Identity;
use crate::tools::identity::Source;

/// The name of a tool or a signer: ASCII in kebab-case, so that no two names look alike (ART-08).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kebab = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=limits::TOOL_NAME_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(kebab) && !text.starts_with('-') && !text.ends_with('-') {
            return Ok(Self(text.to_owned()));
        }
        let max = limits::TOOL_NAME_BYTES_MAX;
        Err(format!("`{}` is not a name: at most {max} small letters, digits and `-` inside", one_line(text)))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A registered tool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ToolTable {
    /// Where it came from: for people, nothing is loaded from there.
    pub source: String,
    /// The digest of the component's file.
    pub digest: Digest,
    /// The digest of the manifest that lay beside it, if it has none inside.
    pub manifest_digest: Option<Digest>,
    /// The digest of what it says of itself.
    pub description_digest: Digest,
    /// Who vouches for it: one of `[signers]`, or `none`.
    pub signer: Name,
    /// The digest of its signature, if it has a signer.
    pub signature_digest: Option<Digest>,
    #[serde(default)]
    pub ring: Ring,
    #[serde(default)]
    pub grant: GrantTable,
    /// Functions that are treated as of a stricter effect than their author says.
    #[serde(default)]
    pub effects: BTreeMap<String, Effect>,
}

/// What a registered tool may do at each call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GrantTable {
    pub folders: Vec<GrantedFolder>,
    pub environment: BTreeMap<String, ValueSource>,
    /// An empty folder of each call's own, under this guest path.
    pub scratch: Option<GuestPath>,
    pub http: Vec<HttpRule>,
    pub sockets: Vec<SocketRule>,
    pub names: Vec<HostPattern>,
    pub addresses: Vec<Network>,
    pub secrets: Vec<String>,
    /// The time that its clocks show all along.
    pub clock: Option<Timestamp>,
    /// What its random bytes are made from.
    pub seed: Option<u64>,
    pub limits: LimitCeiling,
}

impl GrantTable {
    /// What it may reach over the network.
    pub fn network(&self) -> NetworkAsked {
        NetworkAsked {
            addresses: self.addresses.clone(),
            http: self.http.clone(),
            names: self.names.clone(),
            secrets: self.secrets.clone(),
            sockets: self.sockets.clone(),
        }
    }
}

/// `/HOST::/GUEST[:ro|rw]`, as `--dir` takes it, but absolute.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct GrantedFolder(pub DirArg);

impl TryFrom<String> for GrantedFolder {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let dir: DirArg = text.parse().map_err(|why| format!("folder `{}`: {why}", one_line(&text)))?;
        if !dir.host.is_absolute() {
            return Err(format!("folder `{}`: `{}` is not an absolute path", one_line(&text), dir.host.display()));
        }
        Ok(Self(dir))
    }
}

/// Where a variable's value comes from, each time it is needed.
#[derive(Clone, Debug)]
pub enum ValueSource {
    /// A variable of the host's own environment.
    Env(String),
    /// A file, whose last line end is left out.
    File(PathBuf),
    /// The configuration itself.
    Text(String),
}

impl<'de> Deserialize<'de> for ValueSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Reference(BTreeMap<String, String>),
        }
        let wrong = "a value is a text, `{ env = \"NAME\" }` or `{ file = \"/PATH\" }`";
        let written = Written::deserialize(deserializer).map_err(|_| serde::de::Error::custom(wrong))?;
        let reference = match written {
            Written::Text(text) => return Ok(Self::Text(text)),
            Written::Reference(reference) => reference,
        };
        match reference.iter().collect::<Vec<_>>()[..] {
            [(kind, name)] if kind == "env" && !name.is_empty() => Ok(Self::Env(name.clone())),
            [(kind, path)] if kind == "file" && path.starts_with('/') => Ok(Self::File(path.into())),
            _ => Err(serde::de::Error::custom(wrong)),
        }
    }
}

/// Somebody whose signature is trusted, or was.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "WrittenSigner")]
pub struct SignerTable {
    pub credential: Credential,
    /// The file that says by whom certificates are made, if it is known by what these name.
    pub trusted_root: Option<PathBuf>,
    /// Why nothing is loaded any more that they have signed, in the operator's words.
    pub revoked: Option<Reason>,
}

/// What a signer is known by.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// What certificates in bundles of cosign's name.
    Identity(Identity),
    /// The key of bundles of cosign's.
    Key(CosignKey),
    /// The key of notes that `ringfence sign` makes.
    Note(Verifier),
}

impl Credential {
    /// Whether whoever has one has the other: a key is the same under any name that notes give it.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Note(one), Self::Note(other)) => key_of(one) == key_of(other),
            _ => self == other,
        }
    }
}

/// What stands behind the name, and the digest that the name is a part of.
fn key_of(verifier: &Verifier) -> Option<String> {
    verifier.to_string().splitn(3, '+').nth(2).map(str::to_owned)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenSigner {
    key: Option<SignerKey>,
    cosign_key: Option<CosignKey>,
    identity: Option<String>,
    issuer: Option<String>,
    trusted_root: Option<PathBuf>,
    source_repository: Option<String>,
    source_ref: Option<String>,
    revoked: Option<Reason>,
}

impl TryFrom<WrittenSigner> for SignerTable {
    type Error = String;

    fn try_from(written: WrittenSigner) -> Result<Self, String> {
        let WrittenSigner { key, cosign_key, identity, issuer, trusted_root, source_repository, source_ref, revoked } =
            written;
        let source = Source { repository: source_repository, reference: source_ref };
        if identity.is_none() && source != Source::default() {
            return Err("a source is compared with what a certificate names: it stands beside an `identity`".to_owned());
        }
        let file = trusted_root.clone();
        let credential = match (key, cosign_key, identity, issuer, trusted_root) {
            (Some(key), None, None, None, None) => Credential::Note(key.0),
            (None, Some(key), None, None, None) => Credential::Key(key),
            (None, None, Some(name), Some(issuer), Some(root)) => {
                Credential::Identity(Identity::new(name, issuer, source, root)?)
            }
            _ => {
                let wanted = "one key, `key` or `cosign-key`, or one `identity` with its `issuer` and a `trusted-root`";
                return Err(format!("a signer has {wanted}"));
            }
        };
        Ok(Self { credential, trusted_root: file, revoked })
    }
}

/// Why something is revoked, in a line of the operator's.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Reason(String);

impl Reason {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let max = limits::REASON_TEXT_BYTES_MAX;
        if text.trim().is_empty() || text.len() > max || text.chars().any(char::is_control) {
            return Err(format!("a reason is one line of at most {max} bytes"));
        }
        Ok(Self(text))
    }
}

/// A verifier key, as `ringfence key new` prints it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct SignerKey(Verifier);

impl TryFrom<String> for SignerKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: ringfence_audit::note::KeyError| error.to_string())
    }
}
