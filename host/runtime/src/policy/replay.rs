//! Replay: a recorded decision is made again, from digests alone.
//!
//! An entry says which components were asked, with which settings, about which request, and what each of them said. The
//! archive has what the digests stand for, so each can be asked again and has to say the same: verdict, codes and fuel.
//! Nothing of the configuration is read, so a decision of years ago is judged by what was in force then. What can't be
//! asked again is named, and never taken for agreement.

use std::collections::HashMap;
use std::fmt;

use ringfence_model::decision::Answer;
use ringfence_model::decision::Decision;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Ruling;
use ringfence_model::digest::Digest;
use ringfence_model::entry::DecisionRecord;
use ringfence_model::entry::RulingRecord;
use ringfence_model::entry::VerdictKind;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use serde::Serialize;

use crate::engine::Engine;
use crate::policy::Policy;
use crate::policy::archive::Archive;
use crate::policy::cases::said;
use crate::policy::cases::word;

/// The code of a fault that is the host's, and so is not repeated.
const UNAVAILABLE: &str = "policy-unavailable";

/// What a decision was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Whether it allowed.
    pub allowed: bool,
    /// What each policy said.
    pub rulings: Vec<RulingRecord>,
}

impl From<&DecisionRecord> for Recorded {
    fn from(DecisionRecord { allowed, rulings, .. }: &DecisionRecord) -> Self {
        Self { allowed: *allowed, rulings: rulings.clone() }
    }
}

/// What came of making a decision again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Somebody says something else.
    Differing(Vec<Difference>),
    /// It can't be made again: why.
    Impossible(String),
    /// Everybody says what is recorded.
    Reproduced,
}

/// What is otherwise than recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The policy; none if it is the combined answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What is recorded.
    pub recorded: String,
    /// What comes of it now.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, recorded, now } = self;
        match policy {
            Some(policy) => write!(f, "policy `{}`: recorded {recorded}, now {now}", one_line(policy)),
            None => write!(f, "the decision: recorded {recorded}, now {now}"),
        }
    }
}

/// Makes decisions again, and keeps the policies it has loaded for that.
#[derive(Debug)]
pub struct Replay<'a> {
    engine: &'a Engine,
    archive: &'a Archive,
    loaded: HashMap<(Digest, Digest), Result<Policy, String>>,
}

impl<'a> Replay<'a> {
    /// A replay from an archive.
    pub fn new(engine: &'a Engine, archive: &'a Archive) -> Self {
        Self { engine, archive, loaded: HashMap::new() }
    }

    /// Makes one decision again.
    pub fn replay(&mut self, record: &Recorded, request: &PolicyRequest) -> Replayed {
        let (mut rulings, mut differences) = (Vec::new(), Vec::new());
        for ruling in &record.rulings {
            if ruling.reasons.iter().any(|code| code == UNAVAILABLE) {
                return Replayed::Impossible(format!("policy `{}` had no instance then", one_line(&ruling.name)));
            }
            match self.policy(ruling) {
                Ok(policy) => {
                    let again = policy.ask(request);
                    differences.extend(difference(ruling, &again));
                    rulings.push(again);
                }
                Err(why) => return Replayed::Impossible(why.clone()),
            }
        }
        differences.extend(combined(record, request, rulings));
        if differences.is_empty() { Replayed::Reproduced } else { Replayed::Differing(differences) }
    }

    fn policy(&mut self, ruling: &RulingRecord) -> Result<&Policy, &String> {
        let key = (ruling.digest, ruling.settings);
        // More policies than this at a time have no decision in common; those that come back are loaded anew.
        if self.loaded.len() >= limits::REPLAY_POLICIES_MAX && !self.loaded.contains_key(&key) {
            self.loaded.clear();
        }
        let (engine, archive) = (self.engine, self.archive);
        self.loaded.entry(key).or_insert_with(|| load(engine, archive, ruling)).as_ref()
    }
}

fn load(engine: &Engine, archive: &Archive, ruling: &RulingRecord) -> Result<Policy, String> {
    let name = one_line(&ruling.name);
    let why =
        |error: &dyn fmt::Display| format!("policy `{name}` can't be asked again: {}", one_line(&error.to_string()));
    let component = archive.component(&ruling.digest).map_err(|error| why(&error))?;
    let settings = archive.settings(&ruling.settings).map_err(|error| why(&error))?;
    Policy::load(engine, &name, &component, &settings).map_err(|error| why(&error))
}

fn difference(recorded: &RulingRecord, again: &Ruling) -> Option<Difference> {
    let (verdict, mut reasons) = said(&again.verdict);
    reasons.truncate(limits::REASONS_RECORDED_MAX);
    if (verdict, &reasons, again.fuel) == (recorded.verdict, &recorded.reasons, recorded.fuel) {
        return None;
    }
    Some(Difference {
        policy: Some(recorded.name.clone()),
        recorded: shown(recorded.verdict, &recorded.reasons, recorded.fuel),
        now: shown(verdict, &reasons, again.fuel),
    })
}

fn shown(verdict: VerdictKind, reasons: &[String], fuel: u64) -> String {
    let verdict = word(verdict);
    let codes = if reasons.is_empty() { String::new() } else { format!(" ({})", one_line(&reasons.join(", "))) };
    format!("{verdict}{codes} in {fuel} fuel")
}

/// What was allowed must follow from what was said. The other way round nothing follows: an entry does not tell which
/// policies were asked in addition, and the permit of one of those does not count.
fn combined(record: &Recorded, request: &PolicyRequest, rulings: Vec<Ruling>) -> Option<Difference> {
    let Answer::Deny(reasons) = Decision::combine(request.point(), rulings).answer else { return None };
    let codes: Vec<_> = reasons.iter().map(|reason| reason.reason.code.as_str()).collect();
    let now = format!("denied ({})", codes.join(", "));
    record.allowed.then(|| Difference { policy: None, recorded: "allowed".to_owned(), now })
}
