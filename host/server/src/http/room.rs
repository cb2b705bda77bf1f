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

/// There is no room, for a principal or for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The room of a server.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// Requests that are worked on.
    worked_on: usize,
    /// Bytes of bodies.
    bytes: usize,
    by: HashMap<Principal, Share>,
}

/// What one principal has taken.
#[derive(Debug, Default)]
struct Share {
    /// Requests that are read or worked on.
    requests: usize,
    bytes: usize,
}

/// The place of a request. What it has taken is free once it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    principal: Principal,
    bytes: usize,
    is_worked_on: bool,
}

impl Room {
    /// A place for a request that is about to be read.
    pub(super) fn place(self: &Arc<Self>, principal: &Principal) -> Result<Place, Full> {
        let mut taken = self.taken();
        let share = taken.by.entry(principal.clone()).or_default();
        if share.requests >= limits::HTTP_REQUESTS_PER_PRINCIPAL_MAX {
            return Err(Full);
        }
        share.requests += 1;
        Ok(Place { room: Arc::clone(self), principal: principal.clone(), bytes: 0, is_worked_on: false })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing between two steps of a change can fail, so the numbers are right whoever panicked elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.bytes = taken.bytes.saturating_sub(self.bytes);
        taken.worked_on = taken.worked_on.saturating_sub(usize::from(self.is_worked_on));
        if let Some(share) = taken.by.get_mut(&self.principal) {
            share.bytes = share.bytes.saturating_sub(self.bytes);
            share.requests = share.requests.saturating_sub(1);
            if share.requests == 0 {
                taken.by.remove(&self.principal);
            }
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
        let room = Arc::new(Room::default());
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
    fn all_together_have_a_bound() {
        let room = Arc::new(Room::default());
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
