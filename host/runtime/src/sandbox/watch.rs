//! Watch: what can be seen of a call while it runs, by whoever has made it.
//!
//! Whoever watches gets what there is room for, and is told if that was not all. Nothing here waits: who watches can
//! neither slow a guest down nor stop it. What may be shown, others decide; what came of the call is not told here.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use ringfence_model::id::CallId;
use ringfence_model::outcome::HostCall;
use ringfence_model::outcome::Trace;
use ringfence_model::outcome::one_line;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

use crate::egress::Onlooker;
use crate::sandbox::Interrupt;

/// Bytes that each sight takes beside what it shows.
const SIGHT_BYTES: usize = 128;

/// Something that happened in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The guest asked something of the host.
    Called(HostCall),
    /// The guest begins to run, and this is how the call is found later.
    Started {
        /// The call.
        call: CallId,
        /// The entry that tells of its intent, if that is written already.
        begun: Option<u64>,
    },
    /// The guest wrote to standard error.
    Stderr(Vec<u8>),
    /// The guest wrote to standard output.
    Stdout(Vec<u8>),
}

/// Tells of a call. Every copy is of the same call.
#[derive(Clone, Debug)]
pub struct Watcher {
    sights: mpsc::UnboundedSender<(Sight, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    is_behind: Arc<AtomicBool>,
    /// Whether anything is told of that the guest makes.
    shows_all: bool,
}

/// What there is to see of a call; it ends with the call.
#[derive(Debug)]
pub struct Sights {
    sights: mpsc::UnboundedReceiver<(Sight, OwnedSemaphorePermit)>,
    is_behind: Arc<AtomicBool>,
}

/// How whoever has made a call stays in touch with it.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Has it stop.
    pub interrupt: Interrupt,
    /// Is told of it.
    pub watcher: Option<Watcher>,
}

impl Contact {
    /// By nothing.
    pub fn none() -> Self {
        Self { interrupt: Interrupt::never(), watcher: None }
    }
}

/// A watcher, and what it sees, of which no more than `bytes_max` wait to be looked at.
pub fn watch(bytes_max: usize) -> (Watcher, Sights) {
    let (sender, sights) = mpsc::unbounded_channel();
    let is_behind = Arc::new(AtomicBool::new(false));
    let room = Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS)));
    let watcher = Watcher { sights: sender, room, is_behind: Arc::clone(&is_behind), shows_all: true };
    (watcher, Sights { sights, is_behind })
}

impl Watcher {
    /// One that tells nothing of what the guest makes: neither its output nor what it asks for.
    #[must_use]
    pub fn without_output(self) -> Self {
        Self { shows_all: false, ..self }
    }

    /// Tells of something, if there is room. Once something was left out, so is the rest.
    pub(crate) fn tell(&self, sight: Sight) {
        if (!self.shows_all && !matches!(sight, Sight::Started { .. })) || self.is_behind.load(Ordering::Relaxed) {
            return;
        }
        let bytes = u32::try_from(sight.bytes()).unwrap_or(u32::MAX);
        match Arc::clone(&self.room).try_acquire_many_owned(bytes) {
            // Nobody may be looking any more.
            Ok(place) => drop(self.sights.send((sight, place))),
            Err(_) => self.is_behind.store(true, Ordering::Relaxed),
        }
    }
}

impl Onlooker for Watcher {
    fn sees(&self, call: HostCall) {
        self.tell(Sight::Called(call));
    }
}

impl Sights {
    /// What happened next; none once the call has ended, and nothing is left to look at.
    pub async fn next(&mut self) -> Option<Sight> {
        self.sights.recv().await.map(|(sight, _)| sight)
    }

    /// Whether something was left out, for want of room.
    pub fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }
}

impl Sight {
    fn bytes(&self) -> usize {
        let shown = match self {
            Self::Called(HostCall { detail, import, .. }) => import.len() + detail.as_ref().map_or(0, String::len),
            Self::Started { .. } => 0,
            Self::Stderr(bytes) | Self::Stdout(bytes) => bytes.len(),
        };
        shown.saturating_add(SIGHT_BYTES)
    }
}

/// A trace of which whoever watches is told as it grows.
#[derive(Debug, Default)]
pub(super) struct WatchedTrace {
    trace: Trace,
    watcher: Option<Watcher>,
}

impl WatchedTrace {
    pub(super) fn new(watcher: Option<Watcher>) -> Self {
        Self { trace: Trace::default(), watcher }
    }

    pub(super) fn push(&mut self, import: String, allowed: bool) {
        self.push_with(import, None, allowed);
    }

    pub(super) fn push_with(&mut self, import: String, detail: Option<&str>, allowed: bool) {
        if let Some(watcher) = &self.watcher {
            watcher.sees(HostCall { allowed, detail: detail.map(one_line), import: import.clone() });
        }
        self.trace.push_with(import, detail, allowed);
    }

    /// The trace, with what was noted elsewhere, and told of there.
    pub(super) fn take_with(&mut self, elsewhere: Trace) -> Trace {
        self.trace.append(elsewhere);
        std::mem::take(&mut self.trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Sight {
        Sight::Started { call: CallId::from_random([1; 16]), begun: Some(1) }
    }

    fn written(length: usize) -> Sight {
        Sight::Stdout(vec![b'x'; length])
    }

    #[tokio::test]
    async fn whoever_falls_behind_sees_no_more() {
        // MAL-09
        let (watcher, mut sights) = watch(1_000);
        for _ in 0..1_000 {
            watcher.tell(written(400));
        }
        assert_eq!((sights.next().await, sights.is_behind()), (Some(written(400)), true));
        // There is room again, and a gap: what comes after it would be misread.
        watcher.tell(started());
        drop(watcher);
        assert_eq!(sights.next().await, None);
    }

    #[tokio::test]
    async fn whoever_keeps_up_sees_all() {
        let (watcher, mut sights) = watch(1_000);
        for length in 0..800 {
            watcher.tell(written(length));
            assert_eq!(sights.next().await, Some(written(length)));
        }
        let narrow = watcher.without_output();
        narrow.tell(written(1));
        narrow.sees(HostCall { allowed: true, detail: None, import: String::new() });
        narrow.tell(started());
        assert_eq!(sights.next().await, Some(started()));
        drop(sights);
        narrow.tell(started());
    }
}
