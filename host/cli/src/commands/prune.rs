//! `ringfence log prune`: remove contents that are older, or more, than `[log.retention]` keeps.
//!
//! Entries stay, all of them. The oldest contents go first; those of calls that have not ended stay until they have, and
//! those of questions as long as they can be answered and the answer used.

use ringfence_model::content;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::entry::RemovedContent;
use ringfence_model::time::Clock as _;
use ringfence_model::time::Timestamp;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::Removal;
use ringfence_runtime::ledger::approvals::ApprovalState;
use ringfence_runtime::ledger::backend::CallState;
use ringfence_runtime::ledger::backend::ContentKey;
use serde_json::json;

use crate::commands;
use crate::commands::log::for_each_entry;
use crate::commands::redact;
use crate::config::RetentionConfig;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::home::SystemClock;
use crate::output::Output;

/// Who is said to have asked for it.
const BY: &str = "[log.retention]";
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A content that is there.
#[derive(Clone, Copy, Debug)]
struct Kept {
    content: RemovedContent,
    time: Timestamp,
    bytes: u64,
}

pub fn run(home: &Home, dry_run: bool, output: Output) -> Result<Exit, CommandError> {
    let retention = &home.config().log.retention;
    if retention.is_unbounded() {
        return Err(CommandError::no_retention(&home.config_path()));
    }
    let now = SystemClock.now();
    if dry_run {
        let kept = kept(&home.ledger_read_only()?, now)?;
        show(&due(&kept, retention, now), &kept, output);
        return Ok(Exit::Done);
    }
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let due = due(&kept(&ledger, now)?, retention, now);
    let contents = due.iter().map(|kept| kept.content).collect();
    let removal =
        Removal { by: BY.to_owned(), contents, principal: commands::operator()?, reason: retention.to_string() };
    let removed = ledger.remove(removal)?;
    sequencer.publish(&ledger)?;
    redact::report(&removed, output);
    Ok(Exit::Done)
}

fn show(due: &[Kept], kept: &[Kept], output: Output) {
    let sum = |kept: &[Kept]| kept.iter().map(|kept| kept.bytes).sum::<u64>();
    let (due_bytes, kept_bytes) = (sum(due), sum(kept));
    if output.is_json() {
        let contents: Vec<_> = due.iter().map(|kept| kept.content).collect();
        output.json(&json!({ "would_remove": contents, "bytes": due_bytes, "bytes_there": kept_bytes }));
        return;
    }
    for Kept { content: RemovedContent { entry, name }, time, bytes } in due {
        output.line(&format!("would remove  `{name}` of entry {entry}, {time}, {bytes} bytes"));
    }
    output.line(&format!("contents: {} of {}, bytes: {due_bytes} of {kept_bytes}", due.len(), kept.len()));
}

/// Every content that is there, oldest first.
fn kept(ledger: &Ledger, now: Timestamp) -> Result<Vec<Kept>, CommandError> {
    let mut kept = Vec::new();
    for_each_entry(ledger, 0, |stored| {
        let Ok(entry) = encoding::decode(&stored.bytes) else { return Ok(true) };
        if is_needed(ledger, &entry.body, now)? {
            return Ok(true);
        }
        for (name, commitment) in content::commitments(&entry.body) {
            let bytes = ledger.content_length(&ContentKey { entry: entry.index, name, commitment })?;
            let content = RemovedContent { entry: entry.index, name };
            kept.extend(bytes.map(|bytes| Kept { content, time: entry.time, bytes }));
        }
        Ok(true)
    })?;
    Ok(kept)
}

/// Whether somebody still works with what an entry commits to: a call that has not ended, or whoever is asked for an
/// approval, and has to see of what.
fn is_needed(ledger: &Ledger, body: &Body, now: Timestamp) -> Result<bool, CommandError> {
    match body {
        Body::Begun(begun) => {
            let state = ledger.find(&begun.call)?.map(|row| row.state);
            Ok(matches!(state, Some(CallState::Begun { .. })))
        }
        Body::Held(held) => {
            let approval = ledger.approval(held.approval)?;
            let waits = |state| matches!(state, ApprovalState::Pending | ApprovalState::Approved { .. });
            Ok(approval.is_some_and(|approval| !approval.is_expired(now) && waits(approval.state)))
        }
        _ => Ok(false),
    }
}

/// What is too old, and of the rest the oldest, until what is left is not too much.
fn due(kept: &[Kept], retention: &RetentionConfig, now: Timestamp) -> Vec<Kept> {
    let age = |kept: &Kept| now.as_millis().saturating_sub(kept.time.as_millis());
    let too_old = |kept: &Kept| retention.max_age_days.is_some_and(|days| age(kept) > days.saturating_mul(DAY_MS));
    let mut left: u64 = kept.iter().filter(|kept| !too_old(kept)).map(|kept| kept.bytes).sum();
    let mut due = Vec::new();
    for content in kept {
        let is_old = too_old(content);
        if is_old || retention.max_bytes.is_some_and(|bytes| left > bytes) {
            left = left.saturating_sub(if is_old { 0 } else { content.bytes });
            due.push(*content);
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use ringfence_model::content::ContentName;

    use super::*;

    #[test]
    fn oldest_go_until_both_limits_hold() {
        let kept: Vec<_> = (0..10)
            .map(|entry| Kept {
                content: RemovedContent { entry, name: ContentName::Input },
                time: Timestamp::from_millis(entry * DAY_MS),
                bytes: 10,
            })
            .collect();
        let now = Timestamp::from_millis(10 * DAY_MS);
        for (max_age_days, max_bytes, wanted) in [
            (Some(100), Some(100), 0),
            (Some(5), None, 5),
            (None, Some(35), 7),
            (Some(5), Some(35), 7),
            (Some(3), Some(95), 7),
            (None, Some(0), 10),
            (Some(u64::MAX), None, 0),
            (Some(0), None, 10),
        ] {
            let retention = RetentionConfig { max_age_days, max_bytes };
            let due = due(&kept, &retention, now);
            let entries: Vec<_> = due.iter().map(|kept| kept.content.entry).collect();
            assert_eq!(entries, (0..wanted).collect::<Vec<_>>(), "{max_age_days:?} {max_bytes:?}");
        }
    }
}
