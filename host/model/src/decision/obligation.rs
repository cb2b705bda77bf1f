//! The conditions of a permit: what the host has to do for a yes to stand.

use serde::Deserialize;
use serde::Serialize;

use crate::capability::Access;
use crate::capability::GuestPath;
use crate::egress::HostPattern;
use crate::egress::HttpRule;
use crate::egress::Network;
use crate::egress::SocketRule;
use crate::principal::Principal;
use crate::principal::PrincipalPattern;

/// A condition on a permit: the host carries it out, or denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obligation {
    /// Ask somebody first.
    Approve(ApprovalDemand),
    /// Keep the answer.
    Cache(CacheDemand),
    /// Count and refuse.
    Cap(Cap),
    /// Something by name that this host does not know.
    Named(String),
    /// Shrink the grant.
    Narrow(Narrowing),
    /// Take something out.
    Redact(Vec<Redaction>),
}

impl Obligation {
    /// Its name, as policies and people write it.
    pub fn name(&self) -> &str {
        match self {
            Self::Approve(_) => "approve",
            Self::Cache(_) => "cache",
            Self::Cap(_) => "cap",
            Self::Named(name) => name,
            Self::Narrow(_) => "narrow",
            Self::Redact(_) => "redact",
        }
    }
}

/// Every obligation of every permit of one decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obligations {
    /// All of them have to be met, each by the same somebody.
    pub approvals: Vec<ApprovalDemand>,
    /// For the shortest time that is demanded, and shared if all of them say so.
    pub cache: Option<CacheDemand>,
    /// All of them hold.
    pub caps: Vec<Cap>,
    /// All of them are applied.
    pub narrowings: Vec<Narrowing>,
    /// All of them are carried out.
    pub redactions: Vec<Redaction>,
}

impl Obligations {
    pub(super) fn add(&mut self, obligation: &Obligation) {
        match obligation {
            Obligation::Approve(demand) => self.approvals.push(demand.clone()),
            Obligation::Cache(demand) => self.cache = Some(self.cache.map_or(*demand, |known| known.meet(*demand))),
            Obligation::Cap(cap) => self.caps.push(*cap),
            // Not carried out anywhere: a decision with one denies.
            Obligation::Named(_) => {}
            Obligation::Narrow(narrowing) => self.narrowings.push(narrowing.clone()),
            Obligation::Redact(redactions) => self.redactions.extend(redactions.iter().cloned()),
        }
    }
}

/// Bounds that a permit puts on the grant. What is missing stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Folders keep at most this access.
    pub access: Option<Access>,
    /// Only what lies under these guest paths stays granted.
    pub folders: Option<Vec<GuestPath>>,
    /// Only these environment variables stay granted.
    pub environment: Option<Vec<String>>,
    /// Only what lies within these rules for requests stays granted.
    pub http: Option<Vec<HttpRule>>,
    /// Only what lies within these rules for sockets stays granted.
    pub sockets: Option<Vec<SocketRule>>,
    /// Only names within these patterns can still be looked up.
    pub names: Option<Vec<HostPattern>>,
    /// Only addresses within these networks stay granted.
    pub addresses: Option<Vec<Network>>,
    /// Only these secrets stay granted.
    pub secrets: Option<Vec<String>>,
    /// At most this many bytes of memory.
    pub memory_bytes: Option<u64>,
    /// At most this much fuel.
    pub fuel: Option<u64>,
    /// At most this many milliseconds.
    pub wall_ms: Option<u64>,
}

/// Something that is taken out of a result or a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Redaction {
    /// What becomes of it.
    pub part: RedactedPart,
    /// JSON Pointer (RFC 6901).
    pub pointer: String,
}

/// What becomes of a redacted value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedactedPart {
    /// The member or element is taken out.
    Member,
    /// These ranges of bytes of the string become `[redacted]`: in order, none overlapping.
    Spans(Vec<(u32, u32)>),
    /// The value becomes `"[redacted]"`.
    Value,
}

/// Somebody has to say yes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ApprovalDemand {
    /// Who may.
    pub by: Vec<PrincipalPattern>,
    /// One line for whoever decides.
    pub reason: String,
    /// For how many milliseconds the question stands, and then the yes.
    pub valid_ms: u64,
}

impl ApprovalDemand {
    /// Whether somebody may say yes to what `requester` asks: never the requester.
    pub fn accepts(&self, approver: &Principal, requester: &Principal) -> bool {
        approver != requester && self.by.iter().any(|pattern| pattern.covers(approver))
    }
}

/// The answer is kept and handed out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheDemand {
    /// Whether every principal gets it, rather than the one who called.
    pub shared: bool,
    /// For how many milliseconds.
    pub valid_ms: u64,
}

impl CacheDemand {
    fn meet(self, other: Self) -> Self {
        Self { shared: self.shared && other.shared, valid_ms: self.valid_ms.min(other.valid_ms) }
    }
}

/// At most this much within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cap {
    /// How much.
    pub at_most: u64,
    /// What is counted together.
    pub scope: CountScope,
    /// What is counted.
    pub unit: Unit,
    /// Within which time.
    pub window: Window,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountScope {
    /// Every call of this host.
    Host,
    /// The principal's calls.
    Principal,
    /// The principal's calls of the tool.
    PrincipalTool,
    /// The session's calls.
    Session,
    /// The tool's calls, by whomever.
    Tool,
}

impl CountScope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Host, Self::Principal, Self::PrincipalTool, Self::Session, Self::Tool];
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Calls.
    Calls,
    /// Units of fuel.
    Fuel,
    /// Milliseconds of wall-clock time.
    WallMs,
}

/// Windows that are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// The last day.
    Day,
    /// The last hour.
    Hour,
    /// The last minute.
    Minute,
}

impl Window {
    /// Every window, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How long it is.
    pub const fn length_ms(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}
