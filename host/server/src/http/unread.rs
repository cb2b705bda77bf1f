//! Unread: answers that wait for their reader, bounded in bytes.
//!
//! An answer may be many megabytes, and whoever takes a byte now and then is served for as long as that lasts. So what is
//! large is handed on in small pieces, and what is left of it is counted, for each principal and for all. Who has more of
//! it than their share loses what has waited longest, and the connection with that: it is on record, and can be asked for
//! again. Nobody else loses anything, and nobody is refused what they have come for now.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::SizeHint;
use ringfence_model::limits;
use ringfence_model::principal::Principal;

use crate::http::Response;

/// What waits for its reader, of all answers.
#[derive(Debug, Default)]
pub(super) struct Unread(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Oldest first.
    parts: BTreeMap<u64, Part>,
    next: u64,
}

/// A part of an answer.
#[derive(Debug)]
struct Part {
    principal: Principal,
    /// Its size when it came: its memory is kept as a whole.
    bytes: usize,
    rest: Rest,
}

/// What is left; none, if its room was wanted.
type Rest = Arc<Mutex<Option<Bytes>>>;

impl Unread {
    /// The same answer, counted for as long as it is not read.
    pub(super) fn count(self: &Arc<Self>, principal: Principal, response: Response) -> Response {
        response.map(|body| Counted { body, unread: Arc::clone(self), principal, waits: None }.boxed_unsync())
    }

    /// What is to be sent to somebody, counted from now on if it is large.
    pub(super) fn wait(self: &Arc<Self>, principal: &Principal, bytes: Bytes) -> Waits {
        if bytes.len() > limits::HTTP_PIECE_BYTES {
            Waits::Large(self.hold(principal, bytes))
        } else {
            Waits::Small(bytes)
        }
    }

    /// Takes room for a part, from whatever has waited longest.
    fn hold(self: &Arc<Self>, principal: &Principal, bytes: Bytes) -> Held {
        let (length, rest) = (bytes.len(), Rest::new(Mutex::new(Some(bytes))));
        let mut waiting = self.waiting();
        waiting.make_room(limits::HTTP_UNREAD_BYTES_PER_PRINCIPAL_MAX, length, |part| part.principal == *principal);
        waiting.make_room(limits::HTTP_UNREAD_BYTES_MAX, length, |_| true);
        let id = waiting.next;
        waiting.next = id.wrapping_add(1);
        waiting.parts.insert(id, Part { principal: principal.clone(), bytes: length, rest: Arc::clone(&rest) });
        Held { unread: Arc::clone(self), id, rest }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Drops parts of a kind, the oldest first, until so many bytes more are within what they may have.
    fn make_room(&mut self, bytes_max: usize, more: usize, is_of: impl Fn(&Part) -> bool) {
        loop {
            let mut of_kind = self.parts.iter().filter(|(_, part)| is_of(part)).peekable();
            let oldest = of_kind.peek().map(|(id, _)| **id);
            let taken = of_kind.fold(more, |taken, (_, part)| taken.saturating_add(part.bytes));
            let Some(oldest) = oldest.filter(|_| taken > bytes_max) else { return };
            if let Some(part) = self.parts.remove(&oldest) {
                *left(&part.rest) = None;
            }
        }
    }
}

fn left(rest: &Rest) -> MutexGuard<'_, Option<Bytes>> {
    rest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to be sent to somebody.
#[derive(Debug)]
pub(super) enum Waits {
    /// It is handed on piece by piece, and may be gone.
    Large(Held),
    /// It is handed on as a whole.
    Small(Bytes),
}

impl Waits {
    /// The next piece; none at the end. An error, if what is left was dropped.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Large(held) => held.next(),
            Self::Small(bytes) => Ok(Some(mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Large(held) => held.length(),
            Self::Small(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        }
    }
}

/// A part that is handed on.
#[derive(Debug)]
pub(super) struct Held {
    unread: Arc<Unread>,
    id: u64,
    rest: Rest,
}

impl Held {
    /// The next piece; none at the end. An error, if what is left was dropped.
    fn next(&self) -> io::Result<Option<Bytes>> {
        let mut rest = left(&self.rest);
        let rest = rest.as_mut().ok_or(io::ErrorKind::TimedOut)?;
        let piece = rest.split_to(rest.len().min(limits::HTTP_PIECE_BYTES));
        // A piece of the same memory would keep all of it.
        Ok((!piece.is_empty()).then(|| Bytes::copy_from_slice(&piece)))
    }

    fn length(&self) -> u64 {
        left(&self.rest).as_ref().map_or(0, |rest| u64::try_from(rest.len()).unwrap_or(u64::MAX))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.unread.waiting().parts.remove(&self.id);
    }
}

/// A body that is counted as far as it is large.
struct Counted<B> {
    body: B,
    unread: Arc<Unread>,
    principal: Principal,
    waits: Option<Waits>,
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match self.waits.as_mut().map(Waits::next).transpose()? {
                Some(Some(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Some(None) => self.waits = None,
                None => {}
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => self.waits = Some(self.unread.wait(&self.principal, data)),
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waits.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, waiting) = (self.body.size_hint(), self.waits.as_ref().map_or(0, Waits::length));
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(waiting));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(waiting));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    const OWN: usize = limits::HTTP_UNREAD_BYTES_PER_PRINCIPAL_MAX;

    fn agent(number: usize) -> Principal {
        format!("agent:a{number}").parse().expect("a principal")
    }

    fn kept(held: &Held) -> bool {
        left(&held.rest).is_some()
    }

    #[test]
    fn oldest_of_who_has_most_goes_first() {
        // MAL-09
        let unread = Arc::new(Unread::default());
        let large = Bytes::from(vec![0; OWN / 2]);
        let other = unread.hold(&agent(1), large.clone());
        let held = [0, 1, 2].map(|_| unread.hold(&agent(0), large.clone()));
        assert_eq!((held.each_ref().map(kept), kept(&other)), ([false, true, true], true));
        // What is read makes room.
        let [_first, second, _third] = held;
        drop(second);
        let next = unread.hold(&agent(0), large.clone());
        assert!(kept(&next));
        // One that is more than a share of its own is alone.
        let whole = unread.hold(&agent(0), Bytes::from(vec![0; OWN + 1]));
        assert!(kept(&whole) && !kept(&next) && kept(&other));
        // All of them together have a bound: the oldest goes, whose ever it is.
        let many: Vec<_> = (2..10).map(|number| unread.hold(&agent(number), large.clone())).collect();
        assert!(!kept(&other) && many.iter().all(kept));
        let all: usize = unread.waiting().parts.values().map(|part| part.bytes).sum();
        assert!(all <= limits::HTTP_UNREAD_BYTES_MAX, "{all}");
        drop((other, next, whole, many));
        assert!(unread.waiting().parts.is_empty(), "what is gone is counted");
    }

    #[tokio::test]
    async fn counted_body_is_the_same_body() {
        for length in [0, 1, limits::HTTP_PIECE_BYTES, limits::HTTP_PIECE_BYTES + 1, 5 * limits::HTTP_PIECE_BYTES] {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("a byte")).collect();
            let unread = Arc::new(Unread::default());
            let body = Full::new(Bytes::from(bytes.clone())).map_err(|never| match never {}).boxed_unsync();
            let counted = unread.count(agent(0), http::Response::new(body)).into_body();
            assert_eq!(counted.size_hint().exact(), u64::try_from(length).ok());
            assert_eq!(counted.collect().await.expect("a body").to_bytes(), bytes);
            assert!(unread.waiting().parts.is_empty());
        }
    }

    #[tokio::test]
    async fn body_without_its_rest_ends_in_an_error() {
        let unread = Arc::new(Unread::default());
        let body = Full::new(Bytes::from(vec![7; OWN])).map_err(|never| match never {}).boxed_unsync();
        let mut counted = unread.count(agent(0), http::Response::new(body)).into_body();
        counted.frame().await.expect("a piece").expect("no error");
        let _newer = unread.hold(&agent(0), Bytes::from(vec![0; OWN]));
        let error = counted.frame().await.expect("an end").expect_err("an error");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
