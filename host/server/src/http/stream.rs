//! Streams: answers that are sent as they come about (server-sent events).
//!
//! What waits for its reader is a few events, each of a bounded size, and counted where it is large ([`super::unread`]); whoever takes nothing is hung up on by the listener.
//! A stream has a place of its own for as long as anything is done for it, for its request has been answered by then. It
//! ends with its token and with its certificate, after an hour at most, and when the server stops, however slowly it is read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::body::Frame;
use ringfence_model::limits;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::http::Problem;
use crate::http::Response;
use crate::http::Server;
use crate::http::peer::Peer;
use crate::http::respond;
use crate::http::room::StreamPlace;
use crate::http::token::Holder;
use crate::http::unread::Waits;

/// The media type of a stream of events.
pub(super) const EVENTS: &str = "text/event-stream";

/// Nobody reads any more, or nobody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// Where the events of a stream go.
#[derive(Debug)]
pub(super) struct Feed {
    events: mpsc::Sender<Waits>,
    server: Arc<Server>,
    holder: Holder,
    peer: Option<Arc<Peer>>,
    ends: Instant,
    _place: Arc<StreamPlace>,
}

/// The body of a stream.
#[derive(Debug)]
struct Frames {
    events: mpsc::Receiver<Waits>,
    /// The event that is handed on.
    current: Option<Waits>,
    _place: Arc<StreamPlace>,
}

/// A stream, and the answer that it is.
pub(super) fn open(
    server: &Arc<Server>,
    holder: &Holder,
    peer: Option<&Arc<Peer>>,
) -> Result<(Feed, Response), Problem> {
    let busy = |_| Problem::busy("as many streams are open as there is room for", limits::RETRY_AFTER_MS);
    // Whichever of the two is gone first, the other still costs something.
    let place = Arc::new(server.room.stream(&holder.principal).map_err(busy)?);
    let (feed, events) = mpsc::channel(limits::STREAM_EVENTS_QUEUED_MAX);
    let mut response = respond(StatusCode::OK, EVENTS, Bytes::new());
    *response.body_mut() = Frames { events, current: None, _place: Arc::clone(&place) }.boxed_unsync();
    // A proxy that collects an answer before it hands it on would collect this one for ever.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let ends = Instant::now() + Duration::from_millis(limits::HTTP_STREAM_MS_MAX);
    let (server, holder, peer) = (Arc::clone(server), holder.clone(), peer.cloned());
    let feed = Feed { events: feed, server, holder, peer, ends, _place: place };
    Ok((feed, response))
}

impl Feed {
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Whether somebody reads, and still may.
    pub(super) fn is_open(&self) -> bool {
        let is_believed = || self.peer.as_ref().is_none_or(|peer| self.server.believes(peer));
        !self.events.is_closed() && Instant::now() < self.ends && self.server.knows(&self.holder) && is_believed()
    }

    /// Ends when nobody reads any more, or nobody may.
    pub(super) async fn over(&self) {
        while self.is_open() {
            tokio::select! {
                () = self.events.closed() => return,
                () = a_while() => {}
            }
        }
    }

    /// Sends an event, as soon as there is room for it. `data` is one line.
    pub(super) async fn send(&self, id: Option<u64>, name: &str, data: &str) -> Result<(), Gone> {
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        self.write(self.waits(format!("{id}event: {name}\ndata: {data}\n\n"))).await
    }

    /// An event that others come before: it is counted among what waits from now on.
    pub(super) fn later(&self, name: &str, data: &str) -> Waits {
        self.waits(format!("event: {name}\ndata: {data}\n\n"))
    }

    fn waits(&self, text: String) -> Waits {
        self.server.unread.wait(&self.holder.principal, text.into())
    }

    /// Sends what says nothing, and finds out whether somebody is there.
    pub(super) async fn comment(&self) -> Result<(), Gone> {
        self.write(self.waits(":\n\n".to_owned())).await
    }

    /// Sends what has waited for it.
    pub(super) async fn write(&self, event: Waits) -> Result<(), Gone> {
        if !self.is_open() {
            return Err(Gone);
        }
        let mut sent = std::pin::pin!(self.events.send(event));
        loop {
            tokio::select! {
                biased;
                sent = &mut sent => return sent.map_err(|_| Gone),
                () = a_while() => {}
            }
            // A reader that takes a byte now and then keeps nothing open that is over.
            if !self.is_open() || self.server.service().is_stopped() {
                return Err(Gone);
            }
        }
    }
}

async fn a_while() {
    tokio::time::sleep(Duration::from_millis(limits::STREAM_CHECK_MS)).await;
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match self.current.as_mut().map(Waits::next).transpose()? {
                Some(Some(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Some(None) => self.current = None,
                None => {}
            }
            let Some(event) = ready!(self.events.poll_recv(context)) else { return Poll::Ready(None) };
            self.current = Some(event);
        }
    }
}
