//! Events: the log as it grows, to whoever may see it, from wherever they left off.
//!
//! An event is an entry, and its id the entry's index, so nothing is lost between two connections and nothing is kept for
//! anybody: the log is what waits. Scope `audit` sees every entry; scope `call` those of its own principal. No host is held
//! while there is nothing to send: others use the log, too.

use std::sync::Arc;
use std::time::Duration;

use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::id::CallId;
use ringfence_model::limits;
use ringfence_model::principal::Principal;
use ringfence_runtime::host::Host;
use tokio::time::Instant;

use crate::http::Problem;
use crate::http::Server;
use crate::http::inbound::Handled;
use crate::http::inbound::failed;
use crate::http::inbound::held;
use crate::http::inbound::number;
use crate::http::inbound::number_in;
use crate::http::inbound::on_host;
use crate::http::inbound::one_header;
use crate::http::log;
use crate::http::routes::Admitted;
use crate::http::stream;
use crate::http::stream::Feed;
use crate::http::stream::Gone;
use crate::http::token::AnyOf;
use crate::http::token::Holder;
use crate::http::token::Scope;

/// The header that says which event was the last to be seen.
const LAST: &str = "last-event-id";
/// Who may see events at all.
pub(super) const SEES: AnyOf = AnyOf(&[Scope::Audit, Scope::Call]);

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
}

pub(super) async fn events(admitted: Admitted) -> Handled {
    let holder = held(&admitted)?.clone();
    let last = one_header(&admitted, LAST)?.map(|text| {
        let last = number(text).and_then(|last| last.checked_add(1));
        last.ok_or_else(|| Problem::bad(format!("`{LAST}` is not the id of an event")))
    });
    let from = match last {
        Some(next) => Some(next?),
        None => number_in(&admitted, log::FROM)?,
    };
    let entries = on_host(&admitted, |host| Ok(host.ledger().len())).await?;
    if from.is_some_and(|from| from > entries) {
        return Err(Problem::bad(format!(
            "the log has {entries} entries: nothing can be seen after what is not there"
        )));
    }
    let server = Arc::clone(&admitted.server);
    let (feed, response) = stream::open(&server, &holder.principal)?;
    tokio::spawn(async move {
        // Whoever is gone comes again, and says where they were.
        let _ = follow(&server, &holder, from.unwrap_or(entries), &feed).await;
    });
    Ok(response)
}

/// Sends entries from an index on, until nobody reads, the token is taken back, or the stream has lasted long enough.
async fn follow(server: &Arc<Server>, holder: &Holder, mut next: u64, feed: &Feed) -> Result<(), Gone> {
    let ends = Instant::now() + Duration::from_millis(limits::HTTP_STREAM_MS_MAX);
    let (mut grown, mut running) = (server.service().grown(), server.service().running());
    let mut spoken = Instant::now();
    feed.comment().await?;
    while server.knows(holder) && Instant::now() < ends {
        grown.mark_unchanged();
        let is_busy = *running.borrow_and_update() > 0;
        // What can't be read now is read later; the operator has been told.
        if let Ok(Part { events, next: after }) = part(server, holder, next).await {
            let is_more = after > next;
            next = after;
            for Event { index, kind, text } in events {
                feed.send(Some(index), kind, &text).await?;
                spoken = Instant::now();
            }
            if is_more {
                continue;
            }
        }
        if spoken.elapsed() >= Duration::from_millis(limits::STREAM_SILENCE_MS_MAX) {
            feed.comment().await?;
            spoken = Instant::now();
        }
        // What others write is seen by looking, and so is that a call has begun: until it ends the log is open anyway.
        let poll = if is_busy { limits::EVENTS_BUSY_POLL_MS } else { limits::EVENTS_POLL_MS };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(poll)) => {}
            // The senders are in the service, which is held here.
            _ = grown.changed() => {}
            _ = running.changed() => {}
            () = feed.gone() => return Err(Gone),
            () = server.service().stopped() => return Ok(()),
        }
    }
    Ok(())
}

async fn part(server: &Arc<Server>, holder: &Holder, from: u64) -> Result<Part, Problem> {
    let (host, holder) = (server.service().host().await?, holder.clone());
    let read = tokio::task::spawn_blocking(move || {
        let entries = log::read(&host, from, limits::EVENTS_READ_MAX)?;
        let next = from.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        let events = entries.into_iter().filter_map(|entry| {
            let body = encoding::decode(&entry.bytes).ok()?.body;
            let is_seen = holder.may(Scope::Audit) || whose(&host, &body).as_ref() == Some(&holder.principal);
            let text = String::from_utf8(entry.bytes).ok().filter(|_| is_seen)?;
            Some(Event { index: entry.index, kind: body.kind(), text })
        });
        Ok(Part { events: events.collect(), next })
    });
    read.await.unwrap_or_else(|_| Err(failed()))
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
