//! A run that is watched: what happens in a call, sent as it happens.
//!
//! Until the tool runs nothing is sent, so a call that does not run is the same problem with the same status as without a
//! stream. Whoever goes away takes nothing with them: the call goes on, and is found by its key or its id. Whoever reads too
//! slowly is told so, and gets the end of it, in which everything stands.

use std::pin::Pin;
use std::sync::Arc;

use ringfence_model::limits;
use ringfence_model::outcome::Output;
use ringfence_runtime::pipeline::Response as CallResponse;
use ringfence_runtime::sandbox::Contact;
use ringfence_runtime::sandbox::Interrupt;
use ringfence_runtime::sandbox::Sight;
use ringfence_runtime::sandbox::Sights;
use ringfence_runtime::sandbox::watch;
use serde_json::Value;
use serde_json::json;

use crate::catalogue::Offer;
use crate::http::Problem;
use crate::http::accept;
use crate::http::api::CallShown;
use crate::http::api::called;
use crate::http::api::came_of;
use crate::http::inbound::Handled;
use crate::http::inbound::held;
use crate::http::routes::Admitted;
use crate::http::stream;
use crate::http::stream::EVENTS;
use crate::http::stream::Feed;
use crate::http::stream::Gone;
use crate::http::unread::Waits;
use crate::service::Seat;
use crate::service::ServiceError;
use crate::service::Wish;

type Made = Pin<Box<dyn Future<Output = Result<CallResponse, ServiceError>> + Send>>;

/// Whether a request would rather have events than the answer as a whole.
pub(super) fn is_wanted(admitted: &Admitted) -> bool {
    let gladly = |kind| accept::weight(&admitted.headers, kind);
    gladly(EVENTS) > gladly("application/json")
}

pub(super) async fn streamed(admitted: &Admitted, seat: Seat, wish: Wish, offer: Offer) -> Handled {
    let (feed, response) = stream::open(&admitted.server, held(admitted)?, admitted.peer.as_ref())?;
    let (watcher, mut sights) = watch(limits::SIGHTS_BYTES_MAX);
    let contact = Contact { interrupt: Interrupt::never(), watcher: Some(watcher) };
    let service = Arc::clone(admitted.server.service());
    let mut made: Made = Box::pin(async move { service.call(&seat, Wish { contact, ..wish }).await });
    let first = tokio::select! {
        biased;
        first = sights.next() => first,
        response = &mut made => return called(&response?, &offer),
    };
    if first.is_none() {
        // It did not run, or not now: an answer that is on record has nothing to watch.
        return called(&made.await?, &offer);
    }
    tokio::spawn(async move {
        // Nobody reads any more, or nobody may; the call goes on by itself.
        tokio::select! {
            _ = tell(&feed, first, sights, made, &offer) => {}
            () = feed.over() => {}
        }
    });
    Ok(response)
}

async fn tell(
    feed: &Feed,
    first: Option<Sight>,
    mut sights: Sights,
    mut made: Made,
    offer: &Offer,
) -> Result<(), Gone> {
    // The end of it, which may be large, waits for what comes before: nothing else of the call is kept meanwhile.
    let mut last = None;
    let mut next = first;
    while let Some(sight) = next {
        let (name, shown) = shown(sight);
        feed.send(None, name, &shown.to_string()).await?;
        next = tokio::select! {
            biased;
            next = sights.next() => next,
            made = &mut made, if last.is_none() => {
                last = Some(ending(feed, made, offer));
                sights.next().await
            }
        };
    }
    if sights.is_behind() {
        let why = json!({ "detail": "this was read too slowly for all of it to be shown; the end has everything" });
        feed.send(None, "behind", &why.to_string()).await?;
    }
    let last = match last {
        Some(last) => last,
        None => ending(feed, made.await, offer),
    };
    feed.write(last).await
}

fn ending(feed: &Feed, made: Result<CallResponse, ServiceError>, offer: &Offer) -> Waits {
    match made.map_err(Problem::from).and_then(|response| came_of(&response, offer)) {
        Ok(shown) => feed.later("finished", &end(&shown)),
        Err(problem) => feed.later("problem", &problem.fields().to_string()),
    }
}

fn end(shown: &CallShown) -> String {
    // Made of strings and values: serialising it can't fail.
    serde_json::to_string(shown).unwrap_or_default()
}

fn shown(sight: Sight) -> (&'static str, Value) {
    match sight {
        Sight::Called(call) => ("host-call", json!(call)),
        Sight::Started { call, begun } => ("started", json!({ "call": call, "entry": begun })),
        Sight::Stderr(bytes) => ("stderr", json!({ "data": Output(bytes) })),
        Sight::Stdout(bytes) => ("stdout", json!({ "data": Output(bytes) })),
    }
}
