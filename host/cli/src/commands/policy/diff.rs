//! `ringfence policy diff`: which recorded decisions another set of policies would change.

use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::diff;
use ringfence_runtime::policy::diff::Change;
use serde::Serialize;

use crate::args::PolicyDiffArgs;
use crate::commands::policy::progress::Progress;
use crate::commands::policy::record::About;
use crate::commands::policy::record::Decided;
use crate::commands::policy::record::Record;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::policies::Policies;

/// What another set would change.
#[derive(Debug, Default, Serialize)]
struct Report {
    decisions: u64,
    unchanged: u64,
    /// Allowed, and would be denied.
    denied: u64,
    /// Denied, and would be allowed.
    allowed: u64,
    /// Allowed, and would be under other conditions.
    otherwise: u64,
    impossible: u64,
    changes: Vec<Row>,
    omitted: u64,
}

/// A decision that would be another one, or can't be compared.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    about: About,
    #[serde(flatten)]
    change: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impossible: Option<String>,
}

pub(super) fn run(
    engine: &Engine,
    home: Option<Home>,
    args: &PolicyDiffArgs,
    output: Output,
) -> Result<Exit, CommandError> {
    let (from, to) = match args.sets.as_slice() {
        [from, to] => (Policies::read(from)?, Policies::read(to)?),
        [to] => (Policies::of(home.as_ref()), Policies::read(to)?),
        _ => return Err(CommandError::command_line("one or two sets are compared")),
    };
    let (from, to) = (from.set(engine)?, to.set(engine)?);
    let log = Record::open(args.record.log.as_deref(), home)?;
    let (mut report, mut progress) = (Report::default(), Progress::new(output));
    log.for_each(&args.record, |Decided { about, request, .. }| {
        match request {
            Ok(request) => report.add(about, diff::change(&from.decide(&request), &to.decide(&request))),
            Err(why) => report.add_impossible(about, &why),
        }
        progress.tell(|| format!("{} decisions compared", report.decisions));
        Ok(())
    })?;
    if output.is_json() {
        output.json(&report);
    } else {
        print(&report, output);
    }
    Ok(report.exit())
}

impl Report {
    fn add(&mut self, about: About, change: Option<Change>) {
        self.decisions += 1;
        let Some(change) = change else {
            self.unchanged += 1;
            return;
        };
        match (change.from, change.to) {
            (_, "denied") => self.denied += 1,
            ("denied", _) => self.allowed += 1,
            _ => self.otherwise += 1,
        }
        self.list(Row { about, change: Some(change), impossible: None });
    }

    fn add_impossible(&mut self, about: About, why: &str) {
        self.decisions += 1;
        self.impossible += 1;
        self.list(Row { about, change: None, impossible: Some(one_line(why)) });
    }

    fn list(&mut self, row: Row) {
        if self.changes.len() < limits::DECISIONS_LISTED_MAX {
            self.changes.push(row);
        } else {
            self.omitted += 1;
        }
    }

    /// May the other set take this one's place unseen? A no is a denial.
    fn exit(&self) -> Exit {
        match (self.denied + self.allowed + self.otherwise, self.impossible) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Environment,
            _ => Exit::Denied,
        }
    }
}

fn print(report: &Report, output: Output) {
    for Row { about, change, impossible } in &report.changes {
        if let Some(Change { from, to, by }) = change {
            output.line(&format!("CHANGES     {about}: {from} → {to}, by {}", one_line(&by.join("; "))));
        }
        if let Some(why) = impossible {
            output.line(&format!("IMPOSSIBLE  {about}: {why}"));
        }
    }
    let Report { decisions, unchanged, denied, allowed, otherwise, impossible, omitted, .. } = report;
    if *omitted > 0 {
        output.line(&format!("            and {omitted} more"));
    }
    output.line(&format!(
        "{decisions} decisions: {unchanged} unchanged, {denied} would be denied, {allowed} would be allowed, \
         {otherwise} allowed otherwise, {impossible} impossible"
    ));
}
