//! Cases: what a policy's author says it must decide, as a table in `cases.toml`.
//!
//! The same rows run on the command line (`ringfence policy test`) and in the project's own tests. A case that does
//! not say something gets a sensible value, so that a row shows only what it is about.

pub mod bench;
pub mod coverage;
pub mod shuffle;
mod subject;

use std::collections::BTreeMap;

use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::Claim;
use ringfence_model::decision::FolderSummary;
use ringfence_model::decision::Obligation;
use ringfence_model::decision::PolicyFault;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Reason;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::SessionSummary;
use ringfence_model::decision::Usage;
use ringfence_model::decision::Verdict;
use ringfence_model::entry::VerdictKind;
use ringfence_model::id::SessionId;
use ringfence_model::limits;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::engine::Engine;
use crate::policy::Policy;
use crate::policy::PolicyError;
use crate::policy::cases::subject::AdmitCase;
use crate::policy::cases::subject::EgressCase;
use crate::policy::cases::subject::ElevateCase;
use crate::policy::cases::subject::ResultCase;
use crate::policy::cases::subject::TranscriptCase;

/// Why a table of cases can't be run.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct CasesError(String);

/// A policy's cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cases {
    /// The policy they are for: a built-in one by name.
    #[serde(default)]
    pub policy: Option<String>,
    /// The policy they are for: a component file, relative to the table.
    #[serde(default)]
    pub component: Option<String>,
    /// Settings of every case that has none of its own.
    #[serde(default = "no_settings")]
    pub settings: Value,
    /// The rows.
    pub cases: Vec<Case>,
}

/// One row: a request, and what must come of it. It is about a call, unless it has the table of another point.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// What it shows, in a few words.
    pub name: String,
    /// The verdict wanted.
    pub expect: VerdictKind,
    /// The codes of the reasons wanted, in any order; unchecked if missing.
    #[serde(default)]
    pub reasons: Option<Vec<String>>,
    /// Settings of this case.
    #[serde(default)]
    pub settings: Option<Value>,
    /// The names of the obligations wanted, in any order; unchecked if missing.
    #[serde(default)]
    pub obligations: Option<Vec<String>>,
    /// The pointers wanted redacted, in any order; unchecked if missing.
    #[serde(default)]
    pub redacted: Option<Vec<String>>,
    #[serde(default = "Principal::anonymous", deserialize_with = "principal")]
    principal: Principal,
    #[serde(default)]
    ring: Ring,
    #[serde(default)]
    session: Option<CaseSession>,
    #[serde(default)]
    claimed: BTreeMap<String, String>,
    #[serde(default)]
    time_ms: u64,
    #[serde(default)]
    usage: Vec<Usage>,
    #[serde(default = "any_tool")]
    tool: String,
    #[serde(default = "any_function")]
    function: String,
    #[serde(default)]
    effect: Effect,
    #[serde(default)]
    required_ring: Option<Ring>,
    #[serde(default = "no_settings")]
    input: Value,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    folders: Vec<FolderSummary>,
    #[serde(default)]
    network: NetworkAsked,
    #[serde(default)]
    environment: Vec<String>,
    /// Set in a row about the point of this name; so are the next four.
    #[serde(default)]
    admit: Option<AdmitCase>,
    #[serde(default)]
    egress: Option<EgressCase>,
    #[serde(default)]
    elevate: Option<ElevateCase>,
    #[serde(default)]
    result: Option<ResultCase>,
    #[serde(default)]
    transcript: Option<TranscriptCase>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CaseSession {
    name: String,
    #[serde(default)]
    ring: Ring,
    #[serde(default)]
    opened_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CasePrincipal {
    kind: PrincipalKind,
    name: String,
}

fn principal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Principal, D::Error> {
    let CasePrincipal { kind, name } = CasePrincipal::deserialize(deserializer)?;
    Principal::new(kind, &name).map_err(serde::de::Error::custom)
}

/// What came of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// The case.
    pub name: String,
    /// Whether the policy said what it must.
    pub passed: bool,
    /// What it must say.
    pub expected: String,
    /// What it said.
    pub actual: String,
    /// Fuel it used.
    pub fuel: u64,
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

fn any_tool() -> String {
    "tool".to_owned()
}

fn any_function() -> String {
    "run".to_owned()
}

impl Cases {
    /// Reads a table.
    pub fn parse(text: &str) -> Result<Self, CasesError> {
        let cases: Self = toml::from_str(text).map_err(|error| CasesError(error.to_string().trim_end().to_owned()))?;
        if cases.cases.is_empty() {
            return Err(CasesError("the table has no `[[cases]]`".to_owned()));
        }
        if cases.cases.len() > limits::CASES_MAX {
            let (count, max) = (cases.cases.len(), limits::CASES_MAX);
            return Err(CasesError(format!("{count} cases are more than {max}")));
        }
        Ok(cases)
    }

    /// The cases with the policy they are for, loaded once for each settings.
    pub fn load(&self, engine: &Engine, name: &str, component: &[u8]) -> Result<LoadedCases, PolicyError> {
        let mut policies: Vec<(Value, Policy)> = Vec::new();
        let mut rows = Vec::new();
        for case in &self.cases {
            let settings = case.settings.as_ref().unwrap_or(&self.settings);
            let known = policies.iter().find(|(known, _)| known == settings).map(|(_, policy)| policy.clone());
            let policy = if let Some(policy) = known {
                policy
            } else {
                // A large component is compiled once, not once for each row that has settings of its own.
                let policy = match policies.first() {
                    Some((_, first)) => first.with_settings(settings)?,
                    None => Policy::load(engine, name, component, settings)?,
                };
                policies.push((settings.clone(), policy.clone()));
                policy
            };
            rows.push(LoadedCase { case: case.clone(), policy, request: case.request() });
        }
        Ok(LoadedCases { rows })
    }

    /// Runs every case against a policy component.
    pub fn run(&self, engine: &Engine, name: &str, component: &[u8]) -> Result<Vec<CaseResult>, PolicyError> {
        Ok(self.load(engine, name, component)?.run())
    }
}

/// Cases that are ready to be asked.
#[derive(Debug)]
pub struct LoadedCases {
    rows: Vec<LoadedCase>,
}

/// One case, the policy with its settings, and the request it stands for.
#[derive(Debug)]
struct LoadedCase {
    case: Case,
    policy: Policy,
    request: PolicyRequest,
}

impl LoadedCases {
    /// Runs every case, in order.
    pub fn run(&self) -> Vec<CaseResult> {
        self.rows.iter().map(|row| row.case.judge(&row.policy.ask(&row.request))).collect()
    }
}

impl CaseSession {
    fn summary(&self) -> SessionSummary {
        let id = SessionId::from_random([0; 16]);
        SessionSummary { id, name: self.name.clone(), opened_ms: self.opened_ms, ring: self.ring }
    }
}

impl Case {
    /// The request that the row stands for.
    pub fn request(&self) -> PolicyRequest {
        PolicyRequest {
            claimed: self.claimed.iter().map(|(n, v)| Claim { name: n.clone(), value: v.clone() }).collect(),
            principal: self.principal.clone(),
            ring: self.ring,
            session: self.session.as_ref().map(CaseSession::summary),
            subject: self.subject(),
            time_ms: self.time_ms,
            usage: self.usage.clone(),
        }
    }

    fn judge(&self, ruling: &Ruling) -> CaseResult {
        let (kind, codes) = said(&ruling.verdict);
        let obligations = match &ruling.verdict {
            Ok(Verdict::Permit(_, obligations)) => obligations.as_slice(),
            _ => &[],
        };
        let names: Vec<_> = obligations.iter().map(|obligation| obligation.name().to_owned()).collect();
        let pointers: Vec<_> = obligations.iter().flat_map(redacted).collect();
        let said = [Said::new("", codes), Said::new("must", names), Said::new("redacts", pointers)];
        let wanted = [&self.reasons, &self.obligations, &self.redacted];
        let fits = |(said, wanted): (&Said, &Option<Vec<String>>)| wanted.as_ref().is_none_or(|w| said.fits(w));
        let checked = said.iter().zip(wanted).filter_map(|(said, wanted)| Some(said.with(wanted.clone()?)));
        CaseResult {
            name: self.name.clone(),
            passed: kind == self.expect && said.iter().zip(wanted).all(fits),
            expected: shown(self.expect, checked),
            actual: shown(kind, said.iter().cloned()),
            fuel: ruling.fuel,
        }
    }
}

fn redacted(obligation: &Obligation) -> Vec<String> {
    match obligation {
        Obligation::Redact(redactions) => redactions.iter().map(|redaction| redaction.pointer.clone()).collect(),
        _ => Vec::new(),
    }
}

/// One list of what a policy said, in order.
#[derive(Clone)]
struct Said {
    what: &'static str,
    list: Vec<String>,
}

impl Said {
    fn new(what: &'static str, mut list: Vec<String>) -> Self {
        list.sort();
        Self { what, list }
    }

    fn with(&self, list: Vec<String>) -> Self {
        Self::new(self.what, list)
    }

    fn fits(&self, wanted: &[String]) -> bool {
        self.list == self.with(wanted.to_vec()).list
    }
}

/// A verdict's kind and the codes of its reasons: what is compared, and what is written down.
pub(crate) fn said(verdict: &Result<Verdict, PolicyFault>) -> (VerdictKind, Vec<String>) {
    let codes = |reasons: &[Reason]| reasons.iter().map(|reason| reason.code.clone()).collect();
    match verdict {
        Ok(Verdict::Abstain) => (VerdictKind::Abstain, Vec::new()),
        Ok(Verdict::Forbid(reasons)) => (VerdictKind::Forbid, codes(reasons)),
        Ok(Verdict::Permit(reasons, _)) => (VerdictKind::Permit, codes(reasons)),
        Err(fault) => (VerdictKind::Fault, vec![fault.code().to_owned()]),
    }
}

/// A verdict's kind in a word.
pub(crate) fn word(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Abstain => "abstain",
        VerdictKind::Fault => "fault",
        VerdictKind::Forbid => "forbid",
        VerdictKind::Permit => "permit",
    }
}

fn shown(kind: VerdictKind, said: impl Iterator<Item = Said>) -> String {
    let mut text = word(kind).to_owned();
    for Said { what, list } in said.filter(|said| !said.list.is_empty()) {
        let gap = if what.is_empty() { "" } else { " " };
        text = format!("{text} ({what}{gap}{})", list.join(", "));
    }
    text
}
