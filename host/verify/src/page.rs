//! A bundle as a page: the calls in their order, and what of it is proven.
//!
//! The page is one file without scripts, links or anything that is fetched. Names, inputs and outputs come from guests:
//! every text goes through [`text`], which leaves no character that could act on the page or on its reader. The page
//! shows what was found when it was made; it proves nothing itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use ringfence_audit::bundle::Bundle;
use ringfence_audit::bundle::Subject;
use ringfence_audit::verify::Finding;
use ringfence_audit::verify::Report;
use ringfence_audit::verify::Severity;
use ringfence_model::content::ContentName;
use ringfence_model::content::commitments;
use ringfence_model::entry::Begun;
use ringfence_model::entry::Body;
use ringfence_model::entry::DecisionRecord;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Entry;
use ringfence_model::entry::Finished;
use ringfence_model::entry::Opened;
use ringfence_model::entry::Refused;
use ringfence_model::entry::Removed;
use ringfence_model::entry::RemovedContent;
use ringfence_model::entry::VerdictKind;
use ringfence_model::limits;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::outcome::is_unprintable;
use serde::Serialize;
use serde_json::Value;

const STYLE: &str = include_str!("page.css");

/// How something is to be taken.
#[derive(Clone, Copy)]
enum Mood {
    Bad,
    Good,
    Soft,
    Warn,
}

impl Mood {
    fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Good => "good",
            Self::Soft => "soft",
            Self::Warn => "warn",
        }
    }
}

/// What the page is made of.
struct Page<'a> {
    bundle: &'a Bundle,
    report: &'a Report,
    /// Ends of calls, by the entries that begin them.
    ends: BTreeMap<u64, &'a Entry>,
    removals: BTreeMap<RemovedContent, &'a Removed>,
}

/// The page, well-formed as XML too.
pub(crate) fn page(bundle: &Bundle, report: &Report) -> String {
    let title = text(&match bundle.subject {
        Subject::Call(call) => call.to_string(),
        Subject::Range { from, to } => format!("Entries {from} to {to}"),
        Subject::Session(session) => session.to_string(),
    });
    let (head, findings) = (head(bundle, report, &title), findings(report));
    let items = Page { bundle, report, ends: ends(bundle), removals: bundle.removals() }.items();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"referrer\" content=\"no-referrer\"/>\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{head}{findings}{items}</body>\n</html>\n"
    )
}

impl Page<'_> {
    /// The timeline, as far as a page may be long.
    fn items(&self) -> String {
        let mut items = String::new();
        let mut entries = self.bundle.entries.iter();
        while items.len() < limits::PAGE_BYTES_MAX
            && let Some(proven) = entries.next()
        {
            items.extend(self.item(&proven.entry));
        }
        let cut = match entries.len() {
            0 => String::new(),
            rest => format!("<p class=\"warn\">The page ends here: {rest} entries more are in the bundle.</p>\n"),
        };
        format!("<ol>\n{items}</ol>\n{cut}")
    }

    /// A point of the timeline. The end of a call is shown with its beginning.
    fn item(&self, entry: &Entry) -> Option<String> {
        let end = match &entry.body {
            Body::Begun(_) => self.ends.get(&entry.index).copied(),
            Body::Finished(finished) if is_shown_with_beginning(self.bundle, finished) => return None,
            _ => None,
        };
        let (mood, card) = card(&entry.body, end);
        let mut contents = String::new();
        let mut proofs = String::new();
        for entry in [entry].into_iter().chain(end) {
            contents.extend(commitments(&entry.body).into_iter().map(|(name, _)| self.content(entry.index, name)));
            proofs.push_str(&proof(self.report, entry.index));
        }
        let (time, mood) = (entry.time, mood.class());
        Some(format!(
            "<li class=\"{mood}\"><article style=\"color: var(--ink)\">\n<time>{time}</time>\n{card}\
             <p>{proofs}</p>\n{contents}</article></li>\n"
        ))
    }

    fn content(&self, index: u64, name: ContentName) -> String {
        let Some(content) = self.bundle.content(index, name) else {
            let why = match self.removals.get(&RemovedContent { entry: index, name }) {
                Some(removed) => format!("removed from the log for {}: {}", removed.by, removed.reason),
                None => "not here: left out, or removed from the log".to_owned(),
            };
            return format!("<p class=\"soft\">{name}: {}</p>\n", text(&why));
        };
        let (shown, is_whole) = pretty(&content.text);
        let cut = if is_whole { "" } else { "<p class=\"warn\">The rest is in the bundle.</p>\n" };
        format!("<details><summary>{name}</summary>\n<pre>{}</pre>\n{cut}</details>\n", text(&shown))
    }
}

fn card(body: &Body, end: Option<&Entry>) -> (Mood, String) {
    match body {
        Body::Begun(begun) => call(begun, end),
        Body::Finished(finished) => (
            outcome_mood(finished),
            format!("<h2>The end of {}</h2>\n{}", text(&finished.call.to_string()), ending(finished)),
        ),
        Body::Opened(opened) => (Mood::Soft, opening(opened)),
        Body::Refused(refused) => (Mood::Bad, refusal(refused)),
        Body::Removed(removed) => (Mood::Warn, removal(removed)),
        other => (Mood::Soft, plain(other)),
    }
}

/// What the page is about, and the verdict.
fn head(bundle: &Bundle, report: &Report, title: &str) -> String {
    let (mood, verdict) = if report.is_intact() {
        (Mood::Good, "Intact: every entry shown here is proven under the signed checkpoint.")
    } else {
        (Mood::Bad, "Does not verify: don't rely on what this page shows.")
    };
    let mut lines = bundle.checkpoint.lines();
    let (origin, size) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let facts = facts(&[
        ("Log", text(origin)),
        ("Key", code(&bundle.key)),
        ("Checkpoint", text(&format!("over {size} entries"))),
        ("Here", text(&format!("entries: {}, contents: {}", bundle.entries.len(), bundle.contents.len()))),
    ]);
    format!("<header>\n<h1>{title}</h1>\n<p class=\"verdict {}\">{verdict}</p>\n{facts}</header>\n", mood.class())
}

fn findings(report: &Report) -> String {
    let line = |Finding { severity, kind, index, text: what }: &Finding| {
        let mood = match severity {
            Severity::Failure => Mood::Bad,
            Severity::Warning => Mood::Warn,
            Severity::Info => Mood::Soft,
        };
        let at = index.map(|index| format!("entry {index}: ")).unwrap_or_default();
        format!("<li class=\"{}\">{}{} [{kind}]</li>\n", mood.class(), at, text(what))
    };
    let lines: String = report.findings.iter().map(line).collect();
    if lines.is_empty() {
        lines
    } else {
        format!("<section>\n<h2>What was found</h2>\n<ul>\n{lines}</ul>\n</section>\n")
    }
}

/// Ends of calls, by the entries that begin them.
fn ends(bundle: &Bundle) -> BTreeMap<u64, &Entry> {
    let entries = bundle.entries.iter().map(|proven| &proven.entry);
    let end = |entry: &Entry| match &entry.body {
        Body::Finished(finished) if is_shown_with_beginning(bundle, finished) => Some(finished.begun),
        _ => None,
    };
    entries.filter_map(|entry| Some((end(entry)?, entry))).collect()
}

fn is_shown_with_beginning(bundle: &Bundle, finished: &Finished) -> bool {
    let begun = bundle.entry(finished.begun).map(|entry| &entry.body);
    matches!(begun, Some(Body::Begun(begun)) if begun.call == finished.call)
}

fn call(begun: &Begun, end: Option<&Entry>) -> (Mood, String) {
    let Begun { call, function, tool, ring, principal, effect, reach, limits, session, .. } = begun;
    let title = format!("<h2>{} · {}</h2>\n", text(&tool.name), text(function));
    let mut rows = vec![
        ("Call", code(&call.to_string())),
        ("Caller", text(&format!("{principal}, in ring {ring}"))),
        ("Tool", code(&tool.digest.to_string())),
        ("Effect", text(&format!("says of itself: {effect}"))),
    ];
    rows.extend(session.map(|session| ("Session", code(&session.to_string()))));
    rows.push(("Decision", decision(&begun.decision)));
    let (memory, wall) = (bytes(limits.memory_bytes), limits.wall_ms);
    rows.push(("Grant", text(&format!("reaches: {}; up to {} fuel, {memory}, {wall} ms", word(reach), limits.fuel))));
    let card = title + &facts(&rows);
    match end.map(|entry| &entry.body) {
        Some(Body::Finished(finished)) => (outcome_mood(finished), card + &ending(finished)),
        _ => (Mood::Warn, card + "<p class=\"warn\">Its end is not here.</p>\n"),
    }
}

fn ending(finished: &Finished) -> String {
    let Finished { code: reason, effect, outcome, used, .. } = finished;
    let mood = outcome_mood(finished).class();
    let outcome = format!("<span class=\"chip {mood}\">{}</span> {}", text(&word(outcome)), code(reason));
    let cost = format!(
        "{} fuel, {} of memory, {} of output, {} ms",
        used.fuel,
        bytes(used.memory_bytes),
        bytes(used.output_bytes),
        used.wall_ms
    );
    facts(&[("Outcome", outcome), ("Effect on the world", text(&word(effect))), ("Cost", text(&cost))])
}

fn outcome_mood(finished: &Finished) -> Mood {
    match finished.outcome {
        _ if finished.effect == EffectState::Unknown => Mood::Bad,
        OutcomeKind::Returned => Mood::Good,
        OutcomeKind::ToolError | OutcomeKind::Cancelled => Mood::Warn,
        OutcomeKind::Denied | OutcomeKind::Limit | OutcomeKind::Trapped => Mood::Bad,
    }
}

fn refusal(refused: &Refused) -> String {
    let Refused { call, code: reason, function, tool, ring, principal, stage, layer, session, .. } = refused;
    let layer = layer.map(|layer| format!(", by the layer {layer}")).unwrap_or_default();
    let why =
        format!("<span class=\"chip bad\">refused</span> {} at {}{}", code(reason), text(&word(stage)), text(&layer));
    let mut rows = vec![
        ("Call", code(&call.to_string())),
        ("Caller", text(&format!("{principal}, in ring {ring}"))),
        ("Tool", code(&tool.digest.to_string())),
    ];
    rows.extend(session.map(|session| ("Session", code(&session.to_string()))));
    rows.extend(refused.decision.as_ref().map(|record| ("Decision", decision(record))));
    rows.push(("Outcome", why));
    format!("<h2>{} · {}</h2>\n{}", text(&tool.name), text(function), facts(&rows))
}

fn opening(opened: &Opened) -> String {
    let rows = [("Origin", text(&opened.origin)), ("Host", text(&opened.host)), ("Key", code(&opened.key))];
    format!("<h2>The log was opened</h2>\n{}", facts(&rows))
}

fn removal(removed: &Removed) -> String {
    let Removed { by, contents, principal, reason } = removed;
    let what: Vec<_> = contents.iter().map(|content| format!("{} of entry {}", content.name, content.entry)).collect();
    let rows = [
        ("What", text(&what.join(", "))),
        ("For", text(by)),
        ("Why", text(reason)),
        ("By", text(&principal.to_string())),
    ];
    format!("<h2>Contents were removed</h2>\n{}", facts(&rows))
}

/// What has no form of its own: its kind and its fields.
fn plain(body: &Body) -> String {
    let fields = serde_json::to_string_pretty(body).unwrap_or_default();
    format!("<h2>{}</h2>\n<pre>{}</pre>\n", text(body.kind()), text(&fields))
}

/// How the policies decided, and what each of them said.
fn decision(record: &DecisionRecord) -> String {
    let mut shown = if record.allowed { chip(Mood::Good, "allowed") } else { chip(Mood::Bad, "not allowed") };
    for ruling in &record.rulings {
        let mood = match ruling.verdict {
            VerdictKind::Permit => Mood::Good,
            VerdictKind::Abstain => Mood::Soft,
            VerdictKind::Fault | VerdictKind::Forbid => Mood::Bad,
        };
        let said = format!("{}: {} {}", ruling.name, word(&ruling.verdict), ruling.reasons.join(", "));
        let _ = write!(shown, " {}", chip(mood, &said));
    }
    let _ = write!(shown, "<br/>policy set {}", code(&record.policy_set.to_string()));
    shown
}

/// What became of the proof of an entry.
fn proof(report: &Report, index: u64) -> String {
    let is_wrong = report.failures().any(|finding| finding.index == Some(index));
    match (is_wrong, report.is_intact()) {
        (true, _) => chip(Mood::Bad, &format!("entry {index}: does not verify")),
        (false, true) => chip(Mood::Good, &format!("entry {index}: proven")),
        (false, false) => chip(Mood::Warn, &format!("entry {index}: nothing found, in a bundle that does not verify")),
    }
}

/// A content over several lines, as far as a page shows it, and whether that is all. Indenting can make it much longer.
fn pretty(content: &str) -> (String, bool) {
    let mut room = Room(Vec::new());
    let is_indented = content.len() <= limits::PAGE_CONTENT_BYTES_MAX
        && serde_json::from_str::<Value>(content)
            .is_ok_and(|value| serde_json::to_writer_pretty(&mut room, &value).is_ok());
    if is_indented && let Ok(indented) = String::from_utf8(room.0) {
        return (indented, true);
    }
    let end = content.floor_char_boundary(limits::PAGE_CONTENT_BYTES_MAX);
    (content.get(..end).unwrap_or_default().to_owned(), end == content.len())
}

/// Takes as many bytes as a page shows of one content, and fails beyond.
struct Room(Vec<u8>);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > limits::PAGE_CONTENT_BYTES_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A list of names and what stands for them, which is markup already.
fn facts(rows: &[(&str, String)]) -> String {
    let rows = rows.iter().flat_map(|(name, value)| ["<dt>", name, "</dt><dd>", value, "</dd>\n"]);
    format!("<dl>\n{}</dl>\n", rows.collect::<String>())
}

fn chip(mood: Mood, what: &str) -> String {
    format!("<span class=\"chip {}\">{}</span> ", mood.class(), text(what.trim_end()))
}

fn code(what: &str) -> String {
    format!("<code>{}</code>", text(what))
}

/// Text as markup: nothing in it is a tag, a reference or a quote, and what is not for printing is written out (OUT-02).
fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            // XML has no spelling for these two.
            '\u{fffe}' | '\u{ffff}' => escaped.extend(c.escape_unicode()),
            _ if is_unprintable(c) => escaped.extend(c.escape_unicode()),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// The word that something is written down as.
fn word(what: &impl Serialize) -> String {
    match serde_json::to_value(what) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} bytes"),
        1024..1_048_576 => format!("{} KiB", count / 1024),
        _ => format!("{} MiB", count / limits::MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        // OUT-02, OUT-06
        for (raw, wanted) in [
            ("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("&lt;", "&amp;lt;"),
            ("a\u{1b}[2J\u{202e}b\u{0}", "a\\u{1b}[2J\\u{202e}b\\u{0}"),
            ("]]>\u{ffff}", "]]&gt;\\u{ffff}"),
            ("é\nb", "é\nb"),
        ] {
            assert_eq!(text(raw), wanted);
        }
    }

    #[test]
    fn contents_are_cut_before_they_grow() {
        // MAL-04: a text of this depth would be 30 times as long with one value a line.
        let deep = format!("{}{}{}", "[".repeat(60), vec!["0"; 20_000].join(","), "]".repeat(60));
        let long = "\u{e9}".repeat(limits::PAGE_CONTENT_BYTES_MAX);
        for (content, wanted) in [
            ("{\"a\":1}", ("{\n  \"a\": 1\n}", true)),
            ("no JSON", ("no JSON", true)),
            (&deep, (deep.as_str(), true)),
            (&long, (&long[..limits::PAGE_CONTENT_BYTES_MAX], false)),
        ] {
            let (shown, is_whole) = pretty(content);
            assert_eq!((shown.as_str(), is_whole), wanted);
        }
    }

    #[test]
    fn style_fetches_and_closes_nothing() {
        for forbidden in ["<", "&", "url(", "@import", "http"] {
            assert!(!STYLE.contains(forbidden), "{forbidden}");
        }
    }
}
