//! Events: the log as it grows, to whoever may see it, from wherever they left off.
//!
//! An event is an entry, and its id the entry's index, so nothing is lost between two connections and nothing is kept for
//! anybody: the log is what waits. Scope `audit` sees every entry; scope `call` those of its own principal. No host is held
//! while there is nothing to send: others use the log, too.

use std::time::Duration;

use http::StatusCode;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::id::CallId;
use ringfence_model::limits;
use ringfence_model::outcome::Output;
use ringfence_model::principal::Principal;
use ringfence_runtime::host::Host;
use ringfence_runtime::ledger::backend::StoredEntry;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::http::Problem;
use crate::http::accept;
use crate::http::inbound::Handled;
use crate::http::inbound::held;
use crate::http::inbound::number;
use crate::http::inbound::number_in;
use crate::http::inbound::on_host;
use crate::http::inbound::one_header;
use crate::http::log;
use crate::http::routes::Admitted;
use crate::http::stream;
use crate::http::stream::EVENTS;
use crate::http::stream::Feed;
use crate::http::stream::Gone;
use crate::http::token::AnyOf;
use crate::http::token::Holder;
use crate::http::token::Scope;
use crate::service;

/// The header that says which event was the last to be seen.
const LAST: &str = "last-event-id";
/// Who may see events at all.
pub(super) const SEES: AnyOf = AnyOf(&[Scope::Audit, Scope::Call]);

/// What an entry is called that can't be read, which one of a later version can't be.
const UNKNOWN: &str = "unknown";

/// An entry that is sent.
struct Event {
    index: u64,
    kind: &'static str,
    text: String,
}

/// A part of the log, as somebody may see it.
struct Part {
    events: Vec<Event>,
    /// The first entry after it.
    next: u64,
    is_more: bool,
}

/// Somebody who follows the log.
struct Follower {
    feed: Feed,
    next: u64,
    grown: watch::Receiver<u64>,
    /// When something was said last.
    spoken: Instant,
}

/// When somebody who follows the log reads on.
#[derive(Clone, Copy)]
enum Then {
    After(Duration),
    Grown,
}

pub(super) async fn events(admitted: Admitted) -> Handled {
    if accept::weight(&admitted.headers, EVENTS) == 0 {
        let why = format!("nothing else is sent than `{EVENTS}`, which `accept` does not name");
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "caller.accept", why));
    }
    let last = one_header(&admitted, LAST)?.map(|text| {
        let last = number(text).and_then(|last| last.checked_add(1));
        last.ok_or_else(|| Problem::bad(format!("`{LAST}` is not the id of an event")))
    });
    let from = match last {
        Some(next) => Some(next?),
        None => number_in(&admitted, log::FROM)?,
    };
    let entries = on_host(&admitted, |host| Ok(service::entries(host))).await?;
    if from.is_some_and(|from| from > entries) {
        return Err(Problem::bad(format!(
            "the log has {entries} entries: nothing can be seen after what is not there"
        )));
    }
    let (feed, response) = stream::open(&admitted.server, held(&admitted)?, admitted.peer.as_ref())?;
    let grown = admitted.server.service().grown();
    let follower = Follower { feed, next: from.unwrap_or(entries), grown, spoken: Instant::now() };
    tokio::spawn(async move {
        // Whoever is gone comes again, and says where they were.
        let _ = follower.follow().await;
    });
    Ok(response)
}

impl Follower {
    /// Sends entries until nobody reads any more or may, or the server stops.
    async fn follow(mut self) -> Result<(), Gone> {
        self.comment().await?;
        // For whoever has left, or may see nothing any more, nothing is read.
        while self.feed.is_open() && !self.feed.server().service().is_stopped() {
            self.grown.mark_unchanged();
            let then = self.send_part().await?;
            self.rest(then).await?;
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<Then, Gone> {
        let Some(Part { events, next, is_more }) = part(&self.feed, self.next).await else {
            // What can't be read now is read later: somebody else may have the log.
            return Ok(Then::After(Duration::from_millis(limits::EVENTS_POLL_MS)));
        };
        let is_shown = !events.is_empty();
        for Event { index, kind, text } in events {
            self.feed.send(Some(index), kind, &text).await?;
            self.spoken = Instant::now();
        }
        self.next = next;
        Ok(match (is_more, is_shown) {
            (false, _) => Then::Grown,
            (true, true) => Then::After(Duration::ZERO),
            // A log of others' is gone through no faster than others can use it.
            (true, false) => Then::After(Duration::from_millis(limits::EVENTS_PAUSE_MS)),
        })
    }

    /// Ends when it is time to read on. What others write is noticed for all streams at once.
    async fn rest(&mut self, then: Then) -> Result<(), Gone> {
        let silence = Duration::from_millis(limits::STREAM_SILENCE_MS_MAX);
        loop {
            if self.spoken.elapsed() >= silence {
                self.comment().await?;
            }
            tokio::select! {
                () = due(then, &mut self.grown) => return Ok(()),
                () = tokio::time::sleep_until(self.spoken + silence) => {}
                () = self.feed.over() => return Err(Gone),
                () = self.feed.server().service().stopped() => return Err(Gone),
            }
        }
    }

    async fn comment(&mut self) -> Result<(), Gone> {
        self.spoken = Instant::now();
        self.feed.comment().await
    }
}

async fn due(then: Then, grown: &mut watch::Receiver<u64>) {
    match then {
        Then::After(pause) => tokio::time::sleep(pause).await,
        // The sender is in the service, which the stream holds.
        Then::Grown => {
            let _ = grown.changed().await;
        }
    }
}

async fn part(feed: &Feed, from: u64) -> Option<Part> {
    let holder = feed.holder().clone();
    let read = feed.server().service().read(move |host| {
        let entries = log::read(host, from, limits::EVENTS_READ_MAX).ok()?;
        let next = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        // A full part may have been the last one.
        let is_more = next > from && host.ledger().entry(next).ok()?.is_some();
        let events = entries.into_iter().filter_map(|entry| event(host, &holder, entry)).collect();
        Some(Part { events, next, is_more })
    });
    read.await.flatten()
}

/// An entry as an event, if somebody may see it.
fn event(host: &Host, holder: &Holder, entry: StoredEntry) -> Option<Event> {
    let body = encoding::decode(&entry.bytes).ok().map(|entry| entry.body);
    let whose = || body.as_ref().and_then(|body| whose(host, body));
    if !holder.may(Scope::Audit) && whose().as_ref() != Some(&holder.principal) {
        return None;
    }
    let kind = body.as_ref().map_or(UNKNOWN, Body::kind);
    Some(Event { index: entry.index, kind, text: line(entry.bytes) })
}

/// An entry on one line: as it is recorded, unless it could be taken for more than one line of the stream.
fn line(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(['\n', '\r']) => text,
        Ok(text) => json!(text).to_string(),
        Err(error) => json!(Output(error.into_bytes())).to_string(),
    }
}

/// Whom an entry is about; nobody, if it is about the log itself.
fn whose(host: &Host, body: &Body) -> Option<Principal> {
    let of_call = |call: &CallId| Some(host.ledger().find(call).ok()??.principal);
    match body {
        Body::Answered(answered) => Some(answered.principal.clone()),
        Body::Approved(answer) | Body::Rejected(answer) => {
            Some(host.ledger().approval(answer.approval).ok()??.principal)
        }
        Body::Begun(begun) => Some(begun.principal.clone()),
        Body::Decided(decided) => Some(decided.principal.clone()),
        Body::Elevated(elevated) => Some(elevated.principal.clone()),
        Body::Finished(finished) => of_call(&finished.call),
        Body::Held(held) => Some(held.principal.clone()),
        Body::Halted(_) | Body::Opened(_) | Body::Removed(_) | Body::Resumed(_) | Body::Rotated(_) => None,
        Body::Refused(refused) => Some(refused.principal.clone()),
        Body::SessionClosed(closed) => Some(host.ledger().session(closed.session).ok()??.principal),
        Body::SessionOpened(opened) => Some(opened.principal.clone()),
        Body::Settled(settled) => of_call(&settled.call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_entry_is_two_events() {
        // OUT-02: one that can't be read is sent all the same, and says nothing beside itself.
        assert_eq!(line(b"{\"v\":9}".to_vec()), "{\"v\":9}");
        for bytes in [&b"a\n\nevent: begun\ndata: {}"[..], b"a\rdata: {}", b"\xff\n"] {
            let line = line(bytes.to_vec());
            assert!(!line.contains(['\n', '\r']), "{line}");
            serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
        }
    }
}
