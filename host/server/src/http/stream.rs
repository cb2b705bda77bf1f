//! Streams: answers that are sent as they come about (server-sent events).
//!
//! What waits for its reader is a few events, each of a bounded size; whoever takes nothing is hung up on by the listener.
//! A stream has a place of its own for as long as it lasts, for its request has been answered by then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::body::Frame;
use ringfence_model::limits;
use ringfence_model::principal::Principal;
use tokio::sync::mpsc;

use crate::http::Problem;
use crate::http::Response;
use crate::http::Server;
use crate::http::respond;
use crate::http::room::StreamPlace;

/// The media type of a stream of events.
pub(super) const EVENTS: &str = "text/event-stream";

/// Nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// Where the events of a stream go.
#[derive(Debug)]
pub(super) struct Feed(mpsc::Sender<Bytes>);

/// The body of a stream.
#[derive(Debug)]
struct Frames {
    events: mpsc::Receiver<Bytes>,
    _place: StreamPlace,
}

/// A stream, and the answer that it is.
pub(super) fn open(server: &Arc<Server>, principal: &Principal) -> Result<(Feed, Response), Problem> {
    let busy = |_| Problem::busy("as many streams are open as there is room for", limits::RETRY_AFTER_MS);
    let place = server.room.stream(principal).map_err(busy)?;
    let (feed, events) = mpsc::channel(limits::STREAM_EVENTS_QUEUED_MAX);
    let mut response = respond(StatusCode::OK, EVENTS, Bytes::new());
    *response.body_mut() = Frames { events, _place: place }.boxed_unsync();
    // A proxy that collects an answer before it hands it on would collect this one for ever.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((Feed(feed), response))
}

impl Feed {
    /// Sends an event, as soon as there is room for it. `data` is one line.
    pub(super) async fn send(&self, id: Option<u64>, name: &str, data: &str) -> Result<(), Gone> {
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        self.write(format!("{id}event: {name}\ndata: {data}\n\n")).await
    }

    /// Sends what says nothing, and finds out whether somebody is there.
    pub(super) async fn comment(&self) -> Result<(), Gone> {
        self.write(":\n\n".to_owned()).await
    }

    /// Ends when nobody reads any more.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }

    async fn write(&self, text: String) -> Result<(), Gone> {
        self.0.send(text.into()).await.map_err(|_| Gone)
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.events.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
