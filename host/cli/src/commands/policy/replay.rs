//! `ringfence policy replay`: every recorded decision, made again from digests alone.

use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::replay::Difference;
use ringfence_runtime::policy::replay::Replay;
use ringfence_runtime::policy::replay::Replayed;
use serde::Serialize;

use crate::args::RecordArgs;
use crate::commands::policy::progress::Progress;
use crate::commands::policy::record::About;
use crate::commands::policy::record::Decided;
use crate::commands::policy::record::Record;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

/// What came of a replay.
#[derive(Debug, Default, Serialize)]
struct Report {
    decisions: u64,
    reproduced: u64,
    differing: u64,
    impossible: u64,
    /// Those that were not reproduced.
    entries: Vec<Row>,
    omitted: u64,
}

/// A decision that was not reproduced.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    about: About,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impossible: Option<String>,
}

pub(super) fn run(
    engine: &Engine,
    home: Option<Home>,
    args: &RecordArgs,
    output: Output,
) -> Result<Exit, CommandError> {
    let log = Record::open(args.log.as_deref(), home)?;
    let archive = log.archive()?;
    let (mut replay, mut report) = (Replay::new(engine, &archive), Report::default());
    let mut progress = Progress::new(output);
    log.for_each(args, |Decided { about, record, request }| {
        let replayed = match request {
            Ok(request) => replay.replay(&record, &request),
            Err(why) => Replayed::Impossible(why),
        };
        report.add(about, replayed);
        progress.tell(|| format!("{} decisions made again", report.decisions));
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
    fn add(&mut self, about: About, replayed: Replayed) {
        self.decisions += 1;
        let row = match replayed {
            Replayed::Reproduced => {
                self.reproduced += 1;
                return;
            }
            Replayed::Differing(differences) => {
                self.differing += 1;
                Row { about, differences, impossible: None }
            }
            Replayed::Impossible(why) => {
                self.impossible += 1;
                Row { about, differences: Vec::new(), impossible: Some(one_line(&why)) }
            }
        };
        if self.entries.len() < limits::DECISIONS_LISTED_MAX {
            self.entries.push(row);
        } else {
            self.omitted += 1;
        }
    }

    /// Evidence that does not hold, what is missing to check it, or neither.
    fn exit(&self) -> Exit {
        match (self.differing, self.impossible) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Environment,
            _ => Exit::Evidence,
        }
    }
}

fn print(report: &Report, output: Output) {
    for Row { about, differences, impossible } in &report.entries {
        for difference in differences {
            output.line(&format!("DIFFERS     {about}: {difference}"));
        }
        if let Some(why) = impossible {
            output.line(&format!("IMPOSSIBLE  {about}: {why}"));
        }
    }
    let Report { decisions, reproduced, differing, impossible, omitted, .. } = report;
    if *omitted > 0 {
        output.line(&format!("            and {omitted} more"));
    }
    output.line(&format!(
        "{decisions} decisions: {reproduced} reproduced, {differing} differing, {impossible} impossible"
    ));
}
