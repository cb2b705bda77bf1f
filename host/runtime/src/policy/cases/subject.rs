//! What a row of a table asks about: a call, unless it has a table of another point.

use ringfence_model::decision::AnswerSubject;
use ringfence_model::decision::AskedSummary;
use ringfence_model::decision::CallSubject;
use ringfence_model::decision::ComponentSubject;
use ringfence_model::decision::ElevationSubject;
use ringfence_model::decision::Origin;
use ringfence_model::decision::OutgoingKind;
use ringfence_model::decision::OutgoingSubject;
use ringfence_model::decision::Subject;
use ringfence_model::decision::TranscriptSubject;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Used;
use ringfence_model::grant::Limits;
use ringfence_model::id::CallId;
use ringfence_model::json;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::ring::Ring;
use ringfence_model::tool::ToolRef;
use serde::Deserialize;
use serde_json::Value;

use crate::policy::cases::Case;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct AdmitCase {
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    imports: Vec<String>,
    #[serde(default = "from_a_file")]
    origin: Origin,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    signers: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EgressCase {
    #[serde(default)]
    before: u32,
    #[serde(default)]
    headers: Vec<String>,
    host: String,
    #[serde(default = "over_http")]
    kind: OutgoingKind,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    query: String,
    #[serde(default)]
    scheme: String,
    #[serde(default)]
    secrets: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ElevateCase {
    #[serde(default)]
    claimed_reason: String,
    #[serde(default)]
    current: Ring,
    #[serde(default)]
    duration_ms: u64,
    wanted: Ring,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ResultCase {
    body: Value,
    #[serde(default = "it_returned")]
    kind: OutcomeKind,
    #[serde(default)]
    mismatch: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TranscriptCase {
    messages: Value,
    /// Messages of the last transcript; their digests are what the policy sees.
    #[serde(default)]
    known: Vec<Value>,
}

fn from_a_file() -> Origin {
    Origin::File
}

fn over_http() -> OutgoingKind {
    OutgoingKind::Http
}

fn it_returned() -> OutcomeKind {
    OutcomeKind::Returned
}

impl Case {
    /// What it is about.
    pub(super) fn subject(&self) -> Subject {
        if let Some(admit) = &self.admit {
            Subject::Admit(Box::new(self.component(admit)))
        } else if let Some(egress) = &self.egress {
            Subject::Egress(Box::new(self.outgoing(egress)))
        } else if let Some(elevate) = &self.elevate {
            Subject::Elevate(Box::new(elevate.subject()))
        } else if let Some(result) = &self.result {
            Subject::Result(Box::new(self.answer(result)))
        } else if let Some(transcript) = &self.transcript {
            Subject::Transcript(Box::new(transcript.subject()))
        } else {
            Subject::Call(Box::new(self.call()))
        }
    }

    fn tool(&self) -> ToolRef {
        ToolRef { digest: Digest::of(self.tool.as_bytes()), name: self.tool.clone() }
    }

    fn call(&self) -> CallSubject {
        CallSubject {
            arguments: self.arguments.clone(),
            asked: AskedSummary {
                environment: self.environment.clone(),
                folders: self.folders.clone(),
                limits: Limits::from_bounds(&self.ring.ceiling().limits),
                network: self.network.clone(),
            },
            effect: self.effect,
            function: self.function.clone(),
            input: canonical(&self.input),
            required_ring: self.required_ring.unwrap_or_else(|| self.effect.required_ring()),
            stdin_bytes: 0,
            stdin_digest: Digest::of_nothing(),
            tool: self.tool(),
        }
    }

    fn component(&self, admit: &AdmitCase) -> ComponentSubject {
        ComponentSubject {
            bytes: admit.bytes,
            imports: admit.imports.clone(),
            origin: admit.origin,
            reference: admit.reference.clone(),
            signers: admit.signers.clone(),
            tool: self.tool(),
        }
    }

    fn outgoing(&self, egress: &EgressCase) -> OutgoingSubject {
        OutgoingSubject {
            before: egress.before,
            call: CallId::from_random([0; 16]),
            function: self.function.clone(),
            headers: egress.headers.clone(),
            host: egress.host.clone(),
            kind: egress.kind,
            method: egress.method.clone(),
            path: egress.path.clone(),
            port: egress.port,
            query: egress.query.clone(),
            scheme: egress.scheme.clone(),
            secrets: egress.secrets.clone(),
            tool: self.tool(),
        }
    }

    fn answer(&self, answer: &ResultCase) -> AnswerSubject {
        AnswerSubject {
            body: canonical(&answer.body),
            call: CallId::from_random([0; 16]),
            effect: self.effect,
            function: self.function.clone(),
            kind: answer.kind,
            mismatch: answer.mismatch.clone(),
            tool: self.tool(),
            used: Used::default(),
        }
    }
}

impl ElevateCase {
    fn subject(&self) -> ElevationSubject {
        ElevationSubject {
            claimed_reason: self.claimed_reason.clone(),
            current: self.current,
            duration_ms: self.duration_ms,
            wanted: self.wanted,
        }
    }
}

impl TranscriptCase {
    fn subject(&self) -> TranscriptSubject {
        let known = self.known.iter().map(|message| Digest::of(&json::canonical(message))).collect();
        TranscriptSubject { known, messages: canonical(&self.messages) }
    }
}

fn canonical(value: &Value) -> String {
    String::from_utf8(json::canonical(value)).unwrap_or_default()
}
