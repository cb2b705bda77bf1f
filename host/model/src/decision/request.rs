//! What a policy is told, at each point.
//!
//! Everything in a request but `claimed` and `claimed_reason` is known by the host. Its canonical JSON is what the
//! record commits to, and what a decision can be made again from.

use serde::Deserialize;
use serde::Serialize;

use crate::capability::Access;
use crate::capability::GuestPath;
use crate::capability::NetworkAsked;
use crate::decision::CountScope;
use crate::decision::DecisionPoint;
use crate::digest::Digest;
use crate::entry::Used;
use crate::grant::Limits;
use crate::id::CallId;
use crate::id::SessionId;
use crate::outcome::OutcomeKind;
use crate::principal::Principal;
use crate::ring::Ring;
use crate::tool::Effect;
use crate::tool::ToolRef;

/// Everything a policy is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyRequest {
    /// What the caller says of itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claimed: Vec<Claim>,
    /// The authenticated actor.
    pub principal: Principal,
    /// The ring the call would run in.
    pub ring: Ring,
    /// The session, if the call belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSummary>,
    /// What is to be decided on.
    pub subject: Subject,
    /// The host's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// What was used lately, at the point *call*.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<Usage>,
}

impl PolicyRequest {
    /// The point it is asked at.
    pub fn point(&self) -> DecisionPoint {
        self.subject.point()
    }
}

/// What is to be decided on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A component that would be loaded.
    Admit(Box<ComponentSubject>),
    /// A call that would run.
    Call(Box<CallSubject>),
    /// A request that would leave.
    Egress(Box<OutgoingSubject>),
    /// A move to a more privileged ring.
    Elevate(Box<ElevationSubject>),
    /// What would be handed back.
    Result(Box<AnswerSubject>),
    /// The messages of an agent.
    Transcript(Box<TranscriptSubject>),
}

impl Subject {
    /// The point it is decided at.
    pub fn point(&self) -> DecisionPoint {
        match self {
            Self::Admit(_) => DecisionPoint::Admit,
            Self::Call(_) => DecisionPoint::Call,
            Self::Egress(_) => DecisionPoint::Egress,
            Self::Elevate(_) => DecisionPoint::Elevate,
            Self::Result(_) => DecisionPoint::Result,
            Self::Transcript(_) => DecisionPoint::Transcript,
        }
    }

    /// The component it is about, if it is about one.
    pub fn tool(&self) -> Option<&ToolRef> {
        match self {
            Self::Admit(subject) => Some(&subject.tool),
            Self::Call(subject) => Some(&subject.tool),
            Self::Egress(subject) => Some(&subject.tool),
            Self::Result(subject) => Some(&subject.tool),
            Self::Elevate(_) | Self::Transcript(_) => None,
        }
    }
}

/// A component that would be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ComponentSubject {
    /// Its size.
    pub bytes: u64,
    /// What it imports.
    #[serde(default)]
    pub imports: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// How it was named in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Names of the trusted signers whose signatures were checked.
    #[serde(default)]
    pub signers: Vec<String>,
    /// The component.
    pub tool: ToolRef,
}

/// Where a component comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A file that was named on the command line.
    File,
    /// What the operator registered earlier, unchanged since.
    Registered,
    /// A registry, over a network.
    Registry,
}

/// A call that would run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CallSubject {
    /// The arguments of a command.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// The capabilities asked for.
    pub asked: AskedSummary,
    /// What the function may do to the world.
    #[serde(default)]
    pub effect: Effect,
    /// The function.
    pub function: String,
    /// The input, canonical JSON.
    pub input: String,
    /// The least privileged ring that the effect may run in.
    pub required_ring: Ring,
    /// Bytes of the standard input.
    #[serde(default)]
    pub stdin_bytes: u64,
    /// SHA-256 of the standard input.
    #[serde(default = "Digest::of_nothing")]
    pub stdin_digest: Digest,
    /// The component.
    pub tool: ToolRef,
}

/// Capabilities as a policy sees them: no host path and no value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AskedSummary {
    /// Names of environment variables.
    #[serde(default)]
    pub environment: Vec<String>,
    /// Folders.
    #[serde(default)]
    pub folders: Vec<FolderSummary>,
    /// Limits.
    pub limits: Limits,
    /// What would be reached over the network.
    #[serde(default, skip_serializing_if = "NetworkAsked::is_empty")]
    pub network: NetworkAsked,
}

/// A folder as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FolderSummary {
    /// How much of it is opened.
    pub access: Access,
    /// Where the guest sees it.
    pub guest_path: GuestPath,
}

/// A request that would leave. Its grant covers it already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OutgoingSubject {
    /// How many requests and connections this call has made before.
    pub before: u32,
    /// The call it belongs to.
    pub call: CallId,
    /// The function that runs.
    pub function: String,
    /// Names of the headers the guest set, in lower case, sorted.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The host in its decided spelling.
    pub host: String,
    /// What would leave.
    pub kind: OutgoingKind,
    /// The method of an HTTP request.
    #[serde(default)]
    pub method: String,
    /// The path with its escapes undone.
    #[serde(default)]
    pub path: String,
    /// The port; 0 for a lookup.
    pub port: u16,
    /// The query as it would be sent.
    #[serde(default)]
    pub query: String,
    /// `http`, `https`, or nothing.
    #[serde(default)]
    pub scheme: String,
    /// Names of the secrets that would be put in.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The component.
    pub tool: ToolRef,
}

/// What leaves a call for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutgoingKind {
    /// A request over HTTP.
    Http,
    /// The lookup of a name.
    Lookup,
    /// A TCP connection.
    Tcp,
    /// UDP datagrams to one peer.
    Udp,
}

/// What would be handed back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AnswerSubject {
    /// The outcome, canonical JSON.
    pub body: String,
    /// The call it ends.
    pub call: CallId,
    /// What the function may do to the world.
    #[serde(default)]
    pub effect: Effect,
    /// The function that ran.
    pub function: String,
    /// How it ended.
    pub kind: OutcomeKind,
    /// What of the outcome does not fit the function's output schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<String>,
    /// The component.
    pub tool: ToolRef,
    /// What the call used.
    #[serde(default)]
    pub used: Used,
}

/// A session's move to a more privileged ring for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ElevationSubject {
    /// The reason the caller gives.
    #[serde(default)]
    pub claimed_reason: String,
    /// The ring it has.
    pub current: Ring,
    /// For how long.
    pub duration_ms: u64,
    /// The ring it asks for.
    pub wanted: Ring,
}

/// The messages of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TranscriptSubject {
    /// SHA-256 of the canonical JSON of each message of the session's last transcript, in order.
    #[serde(default)]
    pub known: Vec<Digest>,
    /// The messages, canonical JSON: an array of objects.
    pub messages: String,
}

/// The session a call belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SessionSummary {
    /// Its id.
    pub id: SessionId,
    /// The name its operator gave it.
    pub name: String,
    /// When it was opened, in milliseconds since 1970.
    pub opened_ms: u64,
    /// The ring it has now.
    pub ring: Ring,
}

/// What was used lately by everything that is counted together. This call is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Usage {
    /// Within a day.
    #[serde(default)]
    pub day: Count,
    /// Within an hour.
    #[serde(default)]
    pub hour: Count,
    /// Within a minute.
    #[serde(default)]
    pub minute: Count,
    /// What is counted together.
    pub scope: CountScope,
}

/// What was used within a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Count {
    /// Calls that were begun.
    pub calls: u64,
    /// Fuel of calls that ended.
    pub fuel: u64,
    /// Milliseconds of calls that ended.
    pub wall_ms: u64,
}

/// Something the caller says and the host can't vouch for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What it is about.
    pub name: String,
    /// What the caller says.
    pub value: String,
}
