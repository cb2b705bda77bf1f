//! Cases: what a policy's author says it must decide, as a table in `cases.toml`.
//!
//! The same rows run on the command line (`ringfence policy test`) and in the project's own tests. A case that does
//! not say something gets a sensible value, so that a row shows only what it is about.

use std::collections::BTreeMap;

use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::AskedSummary;
use ringfence_model::decision::Claim;
use ringfence_model::decision::FolderSummary;
use ringfence_model::decision::PolicyFault;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Reason;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::Verdict;
use ringfence_model::digest::Digest;
use ringfence_model::entry::VerdictKind;
use ringfence_model::grant::Limits;
use ringfence_model::json;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::engine::Engine;
use crate::policy::Policy;
use crate::policy::PolicyError;

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

/// One row: a request, and what must come of it.
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
    #[serde(default = "Principal::anonymous", deserialize_with = "principal")]
    principal: Principal,
    #[serde(default)]
    ring: Ring,
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
    /// What it asks to reach over the network.
    #[serde(default)]
    network: NetworkAsked,
    #[serde(default)]
    environment: Vec<String>,
    #[serde(default)]
    claimed: BTreeMap<String, String>,
    #[serde(default)]
    time_ms: u64,
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
        Ok(cases)
    }

    /// Runs every case against a policy component.
    pub fn run(&self, engine: &Engine, name: &str, component: &[u8]) -> Result<Vec<CaseResult>, PolicyError> {
        let mut loaded: Vec<(Value, Policy)> = Vec::new();
        let mut results = Vec::new();
        for case in &self.cases {
            let settings = case.settings.as_ref().unwrap_or(&self.settings);
            if !loaded.iter().any(|(known, _)| known == settings) {
                loaded.push((settings.clone(), Policy::load(engine, name, component, settings)?));
            }
            if let Some((_, policy)) = loaded.iter().find(|(known, _)| known == settings) {
                results.push(case.judge(&policy.ask(&case.request())));
            }
        }
        Ok(results)
    }
}

impl Case {
    /// The request that the row stands for.
    pub fn request(&self) -> PolicyRequest {
        PolicyRequest {
            arguments: self.arguments.clone(),
            asked: AskedSummary {
                environment: self.environment.clone(),
                folders: self.folders.clone(),
                limits: Limits::from_bounds(&self.ring.ceiling().limits),
                network: self.network.clone(),
            },
            claimed: self.claimed.iter().map(|(n, v)| Claim { name: n.clone(), value: v.clone() }).collect(),
            effect: self.effect,
            function: self.function.clone(),
            input: String::from_utf8(json::canonical(&self.input)).unwrap_or_default(),
            principal: self.principal.clone(),
            required_ring: self.required_ring.unwrap_or_else(|| self.effect.required_ring()),
            ring: self.ring,
            session: None,
            stdin_bytes: 0,
            stdin_digest: Digest::of_nothing(),
            time_ms: self.time_ms,
            tool: ToolRef { digest: Digest::of(self.tool.as_bytes()), name: self.tool.clone() },
        }
    }

    fn judge(&self, ruling: &Ruling) -> CaseResult {
        let (kind, mut codes) = said(&ruling.verdict);
        codes.sort();
        let mut wanted = self.reasons.clone();
        if let Some(wanted) = &mut wanted {
            wanted.sort();
        }
        CaseResult {
            name: self.name.clone(),
            passed: kind == self.expect && wanted.as_ref().is_none_or(|wanted| *wanted == codes),
            expected: shown(self.expect, wanted.as_deref().unwrap_or_default()),
            actual: shown(kind, &codes),
            fuel: ruling.fuel,
        }
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

fn shown(kind: VerdictKind, codes: &[String]) -> String {
    let kind = match kind {
        VerdictKind::Abstain => "abstain",
        VerdictKind::Fault => "fault",
        VerdictKind::Forbid => "forbid",
        VerdictKind::Permit => "permit",
    };
    if codes.is_empty() { kind.to_owned() } else { format!("{kind} ({})", codes.join(", ")) }
}
