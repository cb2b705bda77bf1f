//! Room: how much of the server its callers take up, each for themselves and all together.
//!
//! A principal that has its share gets no more, however much is free: whoever holds one token can't shut out whoever holds
//! another. A body takes the bytes that have come, not those that were announced, so that nobody holds room by promising
//! to send something. Nothing waits here: what does not fit is refused at once. Who a principal is, others decide.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use ringfence_model::limits;
use ringfence_model::principal::Principal;

use crate::http::metrics::Metrics;
use crate::http::metrics::Number;
use crate::service::Kept;

/// There is no room, for a principal or for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The room of a server.
#[derive(Debug)]
pub(super) struct Room {
    taken: Mutex<Taken>,
    streams_max: usize,
}

#[derive(Debug, Default)]
struct Taken {
    /// Requests that are worked on.
    worked_on: usize,
    /// Bytes of bodies.
    bytes: usize,
    /// Bytes of what bodies become once they are read.
    values: usize,
    /// Answers that are sent as they come about.
    streams: usize,
    by: HashMap<Principal, Share>,
}

/// What one principal has taken.
#[derive(Debug, Default)]
struct Share {
    /// Requests that are read or worked on.
    requests: usize,
    bytes: usize,
    values: usize,
    streams: usize,
}

/// The place of a request. What it has taken is free once it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    principal: Principal,
    bytes: usize,
    values: usize,
    is_worked_on: bool,
}

/// The place of an answer that is sent as it comes about: it outlives its request.
#[derive(Debug)]
pub(super) struct StreamPlace {
    room: Arc<Room>,
    principal: Principal,
}

impl Kept for Place {}

impl Room {
    /// Room for so many streams, and for everything else as much as there is by default.
    pub(super) fn new(streams_max: usize) -> Self {
        Self { taken: Mutex::default(), streams_max }
    }

    /// Has it be told how much of it is taken.
    pub(super) fn tell(self: &Arc<Self>, metrics: &Metrics) {
        let (requests, streams) = (Arc::clone(self), Arc::clone(self));
        metrics.watch(Number::RequestsUnderway, move || requests.taken().worked_on);
        metrics.watch(Number::Streams, move || streams.taken().streams);
    }

    /// A place for a request that is about to be read.
    pub(super) fn place(self: &Arc<Self>, principal: &Principal) -> Result<Place, Full> {
        let mut taken = self.taken();
        let share = taken.by.entry(principal.clone()).or_default();
        if share.requests >= limits::HTTP_REQUESTS_PER_PRINCIPAL_MAX {
            return Err(Full);
        }
        share.requests += 1;
        Ok(Place { room: Arc::clone(self), principal: principal.clone(), bytes: 0, values: 0, is_worked_on: false })
    }

    /// A place for an answer that is sent as it comes about.
    pub(super) fn stream(self: &Arc<Self>, principal: &Principal) -> Result<StreamPlace, Full> {
        let mut taken = self.taken();
        let (all, own) = (taken.streams, (self.streams_max / limits::HTTP_STREAMS_PER_PRINCIPAL_SHARE).max(1));
        let share = taken.by.entry(principal.clone()).or_default();
        if all >= self.streams_max || share.streams >= own {
            taken.forget(principal);
            return Err(Full);
        }
        share.streams += 1;
        taken.streams += 1;
        Ok(StreamPlace { room: Arc::clone(self), principal: principal.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing between two steps of a change can fail, so the numbers are right whoever panicked elsewhere.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes bytes that have come.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Full> {
        let mut taken = self.room.taken();
        let all = taken.bytes.saturating_add(bytes);
        let share = taken.by.entry(self.principal.clone()).or_default();
        let own = share.bytes.saturating_add(bytes);
        if all > limits::HTTP_BODIES_BYTES_MAX || own > limits::HTTP_BODIES_BYTES_PER_PRINCIPAL_MAX {
            return Err(Full);
        }
        share.bytes = own;
        taken.bytes = all;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes what a body becomes once it is read as JSON. A text that is next to nothing can take a hundred times as much.
    pub(super) fn take_values(&mut self, body: &[u8]) -> Result<(), Full> {
        let values = values_bytes(body);
        let mut taken = self.room.taken();
        let all = taken.values.saturating_add(values);
        let share = taken.by.entry(self.principal.clone()).or_default();
        let own = share.values.saturating_add(values);
        if all > limits::HTTP_VALUES_BYTES_MAX || own > limits::HTTP_VALUES_BYTES_PER_PRINCIPAL_MAX {
            return Err(Full);
        }
        share.values = own;
        taken.values = all;
        self.values += values;
        Ok(())
    }

    /// Takes a place among the requests that are worked on: this one has been read.
    pub(super) fn work(&mut self) -> Result<(), Full> {
        let mut taken = self.room.taken();
        if !self.is_worked_on && taken.worked_on >= limits::HTTP_REQUESTS_MAX {
            return Err(Full);
        }
        taken.worked_on += usize::from(!self.is_worked_on);
        self.is_worked_on = true;
        Ok(())
    }
}

/// What a body can become at most: before each value but the first stands one of these, wherever else they stand. Of more
/// values than a document may have nothing is kept.
fn values_bytes(body: &[u8]) -> usize {
    let values = 1 + body.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count();
    let values = values.min(limits::JSON_VALUES_MAX);
    body.len().saturating_add(values.saturating_mul(limits::JSON_VALUE_BYTES))
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.bytes = taken.bytes.saturating_sub(self.bytes);
        taken.values = taken.values.saturating_sub(self.values);
        taken.worked_on = taken.worked_on.saturating_sub(usize::from(self.is_worked_on));
        if let Some(share) = taken.by.get_mut(&self.principal) {
            share.bytes = share.bytes.saturating_sub(self.bytes);
            share.values = share.values.saturating_sub(self.values);
            share.requests = share.requests.saturating_sub(1);
        }
        taken.forget(&self.principal);
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.streams = taken.streams.saturating_sub(1);
        if let Some(share) = taken.by.get_mut(&self.principal) {
            share.streams = share.streams.saturating_sub(1);
        }
        taken.forget(&self.principal);
    }
}

impl Taken {
    /// Forgets a principal that has nothing any more.
    fn forget(&mut self, principal: &Principal) {
        if self.by.get(principal).is_some_and(|share| share.requests == 0 && share.streams == 0) {
            self.by.remove(principal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: usize) -> Principal {
        format!("agent:a{number}").parse().expect("a principal")
    }

    #[test]
    fn principal_gets_its_share_only() {
        let room = Arc::new(Room::new(limits::HTTP_STREAMS_MAX));
        let max = limits::HTTP_REQUESTS_PER_PRINCIPAL_MAX;
        let mut held: Vec<_> = (0..max).map(|_| room.place(&agent(0)).expect("a place")).collect();
        assert!(room.place(&agent(0)).is_err());
        assert!(room.place(&agent(1)).is_ok());
        held.pop();
        let mut place = room.place(&agent(0)).expect("a place");
        place.take(limits::HTTP_BODIES_BYTES_PER_PRINCIPAL_MAX).expect("room");
        assert_eq!(place.take(1), Err(Full));
        assert_eq!(held[0].take(1), Err(Full));
        assert_eq!(room.place(&agent(1)).expect("a place").take(1), Ok(()));
        drop(place);
        assert_eq!(held[0].take(1), Ok(()));
        drop(held);
        let taken = room.taken();
        assert!(taken.by.is_empty() && taken.bytes == 0 && taken.worked_on == 0, "{taken:?}");
    }

    #[test]
    fn values_are_counted_before_they_are_made() {
        // MAL-05
        let room = Arc::new(Room::new(limits::HTTP_STREAMS_MAX));
        let many = "[[],".repeat(limits::JSON_VALUES_MAX).into_bytes();
        let each = many.len() + limits::JSON_VALUES_MAX * limits::JSON_VALUE_BYTES;
        let mut held: Vec<_> = (0..limits::HTTP_VALUES_BYTES_PER_PRINCIPAL_MAX / each)
            .map(|_| {
                let mut place = room.place(&agent(0)).expect("a place");
                place.take_values(&many).expect("room");
                place
            })
            .collect();
        let mut next = room.place(&agent(0)).expect("a place");
        assert_eq!((next.take_values(&many), held.is_empty()), (Err(Full), false));
        assert_eq!(room.place(&agent(1)).expect("a place").take_values(&many), Ok(()));
        held.pop();
        assert_eq!(next.take_values(&many), Ok(()));
        drop((held, next));
        assert_eq!(room.taken().values, 0);
    }

    #[test]
    fn streams_have_a_share_of_their_own() {
        let room = Arc::new(Room::new(limits::HTTP_STREAMS_MAX));
        let held: Vec<_> = (0..limits::HTTP_STREAMS_PER_PRINCIPAL_MAX).map(|_| room.stream(&agent(0))).collect();
        assert!(held.iter().all(Result::is_ok) && room.stream(&agent(0)).is_err());
        assert!(room.place(&agent(0)).is_ok() && room.stream(&agent(1)).is_ok());
        let count = limits::HTTP_STREAMS_MAX / limits::HTTP_STREAMS_PER_PRINCIPAL_MAX;
        let others = (1..count).flat_map(|number| (0..limits::HTTP_STREAMS_PER_PRINCIPAL_MAX).map(move |_| number));
        let others: Vec<_> = others.map(|number| room.stream(&agent(number)).expect("a place")).collect();
        assert!(room.stream(&agent(count)).is_err());
        drop((held, others));
        let taken = room.taken();
        assert!(taken.by.is_empty() && taken.streams == 0, "{taken:?}");
    }

    #[test]
    fn all_together_have_a_bound() {
        let room = Arc::new(Room::new(limits::HTTP_STREAMS_MAX));
        let principals = limits::HTTP_REQUESTS_MAX / limits::HTTP_REQUESTS_PER_PRINCIPAL_MAX;
        let mut held = Vec::new();
        for place in 0..limits::HTTP_REQUESTS_MAX {
            let mut place = room.place(&agent(place % principals)).expect("a place");
            place.work().expect("room");
            held.push(place);
        }
        for place in held.iter_mut().take(principals) {
            place.take(limits::HTTP_BODIES_BYTES_PER_PRINCIPAL_MAX).expect("room");
        }
        // Whoever comes now can still be read, of which nothing is kept.
        let mut late = room.place(&agent(principals)).expect("a place");
        assert_eq!((late.take(1), late.work()), (Err(Full), Err(Full)));
        drop(held);
        assert_eq!((late.take(1), late.work(), late.work()), (Ok(()), Ok(()), Ok(())));
        assert_eq!(room.taken().worked_on, 1);
    }
}
