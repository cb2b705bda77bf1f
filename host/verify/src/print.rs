//! The answer, for people and for programs. What comes from the file is shown, never obeyed.

use std::io;
use std::io::Write as _;

use ringfence_audit::tiles;
use ringfence_audit::verify::Report;
use ringfence_model::json;
use ringfence_model::outcome::is_unprintable;
use serde::Serialize;

use crate::UNREADABLE;
use crate::evidence::Evidence;
use crate::evidence::Form;

/// A line for each finding, then the verdict.
pub(crate) fn human(evidence: &Evidence) -> String {
    let lines = evidence.report.lines();
    lines.iter().flat_map(|line| [shown(line), "\n".to_owned()]).collect()
}

/// One object.
pub(crate) fn json(evidence: &Evidence) -> String {
    #[derive(Serialize)]
    struct Shown<'r> {
        form: Form,
        intact: bool,
        #[serde(flatten)]
        report: &'r Report,
    }
    let Evidence { form, report, .. } = evidence;
    let shown = Shown { form: *form, intact: report.is_intact(), report };
    let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
    json::escaped(&text) + "\n"
}

/// Prints an answer, and gives the exit code: what could not be printed was not answered.
pub(crate) fn answer(text: &str, exit: u8) -> u8 {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(_) if exit == crate::INTACT => UNREADABLE,
        _ => exit,
    }
}

/// A line for each tile of a published log of so many entries.
pub(crate) fn tiles(entries: u64) -> u8 {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let written = tiles::between(0, entries).try_for_each(|tile| writeln!(stdout, "{tile}"));
    if written.and_then(|()| stdout.flush()).is_ok() { crate::INTACT } else { UNREADABLE }
}

/// What was found, for whoever waits for something else on standard output.
pub(crate) fn refusal(evidence: &Evidence, exit: u8) -> u8 {
    // Nobody is left to tell if this fails.
    let _ = io::stderr().write_all(human(evidence).as_bytes());
    exit
}

/// Says what went wrong, and the way out.
pub(crate) fn error(why: &str, hint: &str) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr(), "error: {}\nhint: {hint}", shown(why));
}

/// Text in one line, with what would move or hide others written out.
fn shown(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line
}
