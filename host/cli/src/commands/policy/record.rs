//! The decisions of a log: those in its entries, with the requests behind their commitments, and those in the traces of calls.
//!
//! The log is opened to read, a page at a time, and closed while the decisions of a page are made again: a long replay
//! does not keep others from their calls. An export has commitments only; what is behind them is in a home.

use ringfence_model::content;
use ringfence_runtime::ledger::backend::ContentKey;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use ringfence_audit::verify;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::digest::Commitment;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::entry::Entry;
use ringfence_model::id::CallId;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::Trace;
use ringfence_model::outcome::TracedDecision;
use ringfence_model::outcome::one_line;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::policy::archive::Archive;
use ringfence_runtime::policy::replay::Recorded;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::RecordArgs;
use crate::error::CommandError;
use crate::home::Home;
use crate::policies;

/// Entries that are read at a time.
const PAGE: usize = 64;

/// Where decisions are read from.
#[derive(Debug)]
pub(super) struct Record {
    home: Option<Home>,
    export: Option<PathBuf>,
}

/// One recorded decision.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) about: About,
    pub(super) record: Recorded,
    /// What the policies were told, or why nobody knows any more.
    pub(super) request: Result<PolicyRequest, String>,
}

/// What a decision is about, for whoever reads of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct About {
    entry: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<CallId>,
    point: DecisionPoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "entry {} ({}, {})", self.entry, self.kind, self.point)?;
        if let Some(call) = &self.call {
            write!(f, " {call}")?;
        }
        for text in [&self.tool, &self.function, &self.principal].into_iter().flatten() {
            write!(f, " {}", one_line(text))?;
        }
        Ok(())
    }
}

impl Record {
    /// The log that was named, a home or an export; else that of this home.
    pub(super) fn open(named: Option<&Path>, home: Option<Home>) -> Result<Self, CommandError> {
        match named {
            Some(path) if path.is_dir() => Ok(Self { home: Some(Home::open_with_kept_log(path)?), export: None }),
            Some(path) => Ok(Self { home, export: Some(path.to_owned()) }),
            None => match home {
                Some(home) => Ok(Self { home: Some(Home::open_with_kept_log(home.folder())?), export: None }),
                None => Err(CommandError::no_record()),
            },
        }
    }

    /// What was in force where the log was written.
    pub(super) fn archive(&self) -> Result<Archive, CommandError> {
        self.home.as_ref().map(policies::archive).ok_or_else(CommandError::no_record)
    }

    /// Visits every decision that is wanted, in order.
    pub(super) fn for_each(
        &self,
        wanted: &RecordArgs,
        mut visit: impl FnMut(Decided) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let mut found = false;
        let visit = |decided| {
            found = true;
            visit(decided)
        };
        match &self.export {
            Some(export) => self.for_each_exported(export, wanted, visit)?,
            None => self.for_each_stored(wanted, visit)?,
        }
        match wanted.call {
            Some(call) if !found => Err(CommandError::no_decision_of(call)),
            _ => Ok(()),
        }
    }

    fn for_each_stored(
        &self,
        wanted: &RecordArgs,
        mut visit: impl FnMut(Decided) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let home = self.home.as_ref().ok_or_else(CommandError::no_record)?;
        let mut next = wanted.from.unwrap_or(0);
        loop {
            let ledger = home.ledger_read_only()?;
            let page = ledger.entries(next, PAGE)?;
            let mut decided = Vec::new();
            for stored in &page {
                next = stored.index.saturating_add(1);
                let entry = encoding::decode(&stored.bytes).map_err(|_| CommandError::no_entry(stored.index))?;
                decided.extend(decisions(&entry, wanted, Some(&ledger)));
            }
            drop(ledger);
            decided.into_iter().try_for_each(&mut visit)?;
            if page.is_empty() || wanted.to.is_some_and(|to| next > to) {
                return Ok(());
            }
        }
    }

    fn for_each_exported(
        &self,
        export: &Path,
        wanted: &RecordArgs,
        mut visit: impl FnMut(Decided) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let unreadable = |error: std::io::Error| CommandError::file(export, &error);
        let mut reader = BufReader::new(File::open(export).map_err(unreadable)?);
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            let mut page = Vec::new();
            while page.len() < PAGE {
                if !verify::read_line(&mut reader, &mut line).map_err(unreadable)? {
                    break;
                }
                page.push(encoding::decode(&line).map_err(|_| CommandError::no_entry(number))?);
                number += 1;
            }
            if page.is_empty() {
                return Ok(());
            }
            let ledger = self.home.as_ref().map(Home::ledger_read_only).transpose()?;
            let page = page.iter().flat_map(|entry| decisions(entry, wanted, ledger.as_ref()));
            let decided: Vec<_> = page.collect();
            drop(ledger);
            decided.into_iter().try_for_each(&mut visit)?;
        }
    }
}

/// The decisions of an entry, if they are wanted.
fn decisions(entry: &Entry, wanted: &RecordArgs, ledger: Option<&Ledger>) -> Vec<Decided> {
    let Entry { body, index, .. } = entry;
    let call = body.call();
    let is_within = wanted.from.is_none_or(|from| *index >= from) && wanted.to.is_none_or(|to| *index <= to);
    if !is_within || wanted.call.is_some_and(|wanted| call != Some(wanted)) {
        return Vec::new();
    }
    let decided = |point: DecisionPoint, record: Recorded, request: Result<PolicyRequest, String>| {
        let about = About { entry: *index, kind: body.kind(), call, point, ..about(request.as_ref().ok()) };
        Decided { about, record, request }
    };
    let in_entry = body
        .decisions()
        .into_iter()
        .map(|(point, record)| decided(point, record.into(), behind(entry, record.request, "request", ledger)));
    let Body::Finished(finished) = body else { return in_entry.collect() };
    // What the policies said while the tool ran comes before what they said of its result.
    let mut found: Vec<_> = match behind::<Trace>(entry, finished.trace, "trace", ledger) {
        Ok(trace) => trace
            .decisions
            .into_iter()
            .map(|TracedDecision { allowed, request, rulings, .. }| {
                decided(request.point(), Recorded { allowed, rulings }, Ok(request))
            })
            .collect(),
        Err(why) => vec![decided(DecisionPoint::Egress, Recorded { allowed: false, rulings: Vec::new() }, Err(why))],
    };
    found.extend(in_entry);
    found
}

/// What is behind a commitment of an entry. Content that is another one is as good as none.
fn behind<T: DeserializeOwned>(
    entry: &Entry,
    commitment: Commitment,
    what: &str,
    ledger: Option<&Ledger>,
) -> Result<T, String> {
    let ledger = ledger.ok_or_else(|| format!("an export has no {what}: name the home with `--home DIR`"))?;
    let name = content::commitments(&entry.body).into_iter().find(|(_, other)| *other == commitment);
    let content = name.map(|(name, _)| ledger.content(&ContentKey { entry: entry.index, name, commitment }));
    let content = content.transpose().map_err(|error| format!("its {what} can't be read: {error}"))?.flatten();
    let content =
        content.ok_or_else(|| format!("its {what} is not in the log: it was removed, or this is another home"))?;
    let unreadable = |error: &dyn std::fmt::Display| format!("its {what} is none of this version: {error}");
    let value =
        json::parse_within(&content.bytes, limits::JSON_RECORDED_VALUES_MAX).map_err(|error| unreadable(&error))?;
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

/// What the policies were told it is about.
fn about(request: Option<&PolicyRequest>) -> About {
    let function = request.and_then(|request| match &request.subject {
        Subject::Call(subject) => Some(subject.function.clone()),
        Subject::Egress(subject) => Some(subject.function.clone()),
        Subject::Result(subject) => Some(subject.function.clone()),
        Subject::Admit(_) | Subject::Elevate(_) | Subject::Transcript(_) => None,
    });
    About {
        entry: 0,
        kind: "",
        call: None,
        point: DecisionPoint::Call,
        tool: request.and_then(|request| Some(request.subject.tool()?.name.clone())),
        function,
        principal: request.map(|request| request.principal.to_string()),
    }
}
