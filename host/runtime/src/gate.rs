//! The gate: how many calls run at the same time, and who waits.
//!
//! A call takes a place before its intent is written and gives it back when its outcome is, so nothing is on record as
//! begun that only waits. Places are counted for the host, for the ring, for the tool and for the principal; whoever
//! finds one of them full waits, a bounded number a ring and for a bounded time, and then hears that the host is busy
//! (RES-08). A principal has a share of each ring: all its places but one, and half of those that wait.
//!
//! Each ring has a queue. A place that comes free goes to the first that it fits, from the most privileged ring to the
//! least and from the oldest to the newest, past those whose own bound is still full: a flood in one ring, at one tool
//! or by one principal holds up nobody else (CON-07). Two calls that differ in nothing run in the order they came.
//!
//! The gate knows nothing of grants, and decides nothing about whether a call may run at all.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use thiserror::Error;
use tokio::sync::oneshot;

/// How many calls run at the same time, and how many wait for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Calls of this host.
    pub calls: u32,
    /// Calls in each ring, by its number.
    pub calls_per_ring: [u32; 4],
    /// Calls of one tool.
    pub calls_per_tool: u32,
    /// Calls of one principal.
    pub calls_per_principal: u32,
    /// Calls that wait, in each ring.
    pub queued_per_ring: u32,
    /// Milliseconds that a call waits.
    pub queue_wait_ms: u64,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            calls: limits::CONCURRENT_CALLS,
            calls_per_ring: limits::CONCURRENT_CALLS_PER_RING,
            calls_per_tool: limits::CONCURRENT_CALLS_PER_TOOL,
            calls_per_principal: limits::CONCURRENT_CALLS_PER_PRINCIPAL,
            queued_per_ring: limits::QUEUED_CALLS_PER_RING_MAX,
            queue_wait_ms: limits::QUEUE_WAIT_MS_MAX,
        }
    }
}

/// The host has no place for a call now. Nothing is wrong with the call.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the host is busy: {full} runs no more than {max} calls at the same time, and {why}")]
pub struct Busy {
    /// What has no place left.
    pub full: Full,
    /// How many places it has.
    pub max: u32,
    /// Why the call does not wait any longer.
    pub why: Gone,
    /// After how many milliseconds it makes sense to try again.
    pub retry_after_ms: u64,
}

/// What has no place left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The host.
    Host,
    /// The caller's ring.
    Ring(Ring),
    /// The tool.
    Tool,
    /// The caller's principal.
    Principal,
    /// What the caller's principal may take of its ring.
    Share(Ring),
}

/// Why a call does not wait, or not any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// As many wait as may.
    QueueFull,
    /// It has waited as long as it may.
    WaitOver,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("it"),
            Self::Ring(ring) => write!(f, "ring {ring}"),
            Self::Tool => f.write_str("this tool"),
            Self::Principal => f.write_str("this principal"),
            Self::Share(ring) => write!(f, "this principal's share of ring {ring}"),
        }
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "no more may wait",
            Self::WaitOver => "the turn of this one did not come in time",
        })
    }
}

/// What a call is counted by.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) ring: Ring,
    pub(crate) tool: Digest,
    pub(crate) principal: Principal,
}

impl Caller {
    fn share(&self) -> (Ring, Principal) {
        (self.ring, self.principal.clone())
    }
}

/// The gate.
pub(crate) struct Gate {
    concurrency: Concurrency,
    state: Mutex<State>,
}

/// A place at the gate: a call runs, or waits, as long as it has one. Dropping it gives it back, whenever that
/// happens.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    caller: Caller,
    /// Tells it from others that wait.
    ticket: u64,
}

impl Gate {
    pub(crate) fn new(concurrency: Concurrency) -> Arc<Self> {
        Arc::new(Self { concurrency, state: Mutex::default() })
    }

    /// Takes a place, now or as soon as one comes free.
    pub(crate) async fn enter(self: &Arc<Self>, caller: Caller) -> Result<Place, Busy> {
        let (place, turn) = self.arrive(caller)?;
        let Some(turn) = turn else { return Ok(place) };
        let wait = Duration::from_millis(self.concurrency.queue_wait_ms);
        match tokio::time::timeout(wait, turn).await {
            Ok(Ok(())) => Ok(place),
            // The place is dropped, and with it what may have come free at this very moment.
            _ => Err(self.busy(&place.caller, Gone::WaitOver)),
        }
    }

    /// Runs at once, or joins its queue; then there is a turn to wait for.
    fn arrive(self: &Arc<Self>, caller: Caller) -> Result<(Place, Option<oneshot::Receiver<()>>), Busy> {
        let mut state = self.state();
        state.tickets += 1;
        let ticket = state.tickets;
        let turn = if state.full(&caller, &self.concurrency).is_none() {
            state.start(&caller);
            None
        } else if state.is_queue_full(&caller, &self.concurrency) {
            drop(state);
            return Err(self.busy(&caller, Gone::QueueFull));
        } else {
            let (turn, called_up) = oneshot::channel();
            state.queue(caller.ring).push_back(Waiting { caller: caller.clone(), ticket, turn });
            Some(called_up)
        };
        drop(state);
        Ok((Place { gate: Arc::clone(self), caller, ticket }, turn))
    }

    fn busy(&self, caller: &Caller, why: Gone) -> Busy {
        let concurrency = &self.concurrency;
        // If it came free meanwhile, the ring is as good an answer as any.
        let full = self.state().full(caller, concurrency).unwrap_or(Full::Ring(caller.ring));
        let retry_after_ms = limits::RETRY_AFTER_MS;
        Busy { full, max: concurrency.places(full), why, retry_after_ms }
    }

    fn leave(&self, caller: &Caller, ticket: u64) {
        let mut state = self.state();
        if !state.stop_waiting(caller.ring, ticket) {
            state.stop(caller);
            state.call_up(&self.concurrency);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below panics while it holds the lock; if it did, the counts would still be those of a step that
        // ended.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave(&self.caller, self.ticket);
    }
}

impl Concurrency {
    fn places(&self, full: Full) -> u32 {
        match full {
            Full::Host => self.calls,
            Full::Ring(ring) => self.calls_per_ring.get(usize::from(ring.number())).copied().unwrap_or_default(),
            // The last place is for somebody else, unless there is only one.
            Full::Share(ring) => self.places(Full::Ring(ring)).saturating_sub(1).max(1),
            Full::Tool => self.calls_per_tool,
            Full::Principal => self.calls_per_principal,
        }
    }
}

/// What runs and what waits. Counts that are zero are not kept, so nothing here grows with the past.
#[derive(Default)]
struct State {
    running: u32,
    rings: HashMap<Ring, u32>,
    tools: HashMap<Digest, u32>,
    principals: HashMap<Principal, u32>,
    shares: HashMap<(Ring, Principal), u32>,
    queues: HashMap<Ring, VecDeque<Waiting>>,
    /// How many have come so far; the newest has this number.
    tickets: u64,
}

struct Waiting {
    caller: Caller,
    ticket: u64,
    turn: oneshot::Sender<()>,
}

impl State {
    /// What has no place left for this call: the narrowest first, since that is what its caller can do something
    /// about.
    fn full(&self, caller: &Caller, concurrency: &Concurrency) -> Option<Full> {
        let of_ring = Full::Ring(caller.ring);
        [
            (Full::Principal, self.principals.get(&caller.principal).copied().unwrap_or_default()),
            (Full::Share(caller.ring), self.shares.get(&caller.share()).copied().unwrap_or_default()),
            (Full::Tool, self.tools.get(&caller.tool).copied().unwrap_or_default()),
            (of_ring, self.rings.get(&caller.ring).copied().unwrap_or_default()),
            (Full::Host, self.running),
        ]
        .into_iter()
        .find_map(|(full, running)| (running >= concurrency.places(full)).then_some(full))
    }

    fn start(&mut self, caller: &Caller) {
        self.running = self.running.saturating_add(1);
        up(&mut self.rings, caller.ring);
        up(&mut self.tools, caller.tool);
        up(&mut self.principals, caller.principal.clone());
        up(&mut self.shares, caller.share());
    }

    fn stop(&mut self, caller: &Caller) {
        self.running = self.running.saturating_sub(1);
        down(&mut self.rings, &caller.ring);
        down(&mut self.tools, &caller.tool);
        down(&mut self.principals, &caller.principal);
        down(&mut self.shares, &caller.share());
    }

    fn queue(&mut self, ring: Ring) -> &mut VecDeque<Waiting> {
        self.queues.entry(ring).or_default()
    }

    /// Whether no more may wait in a ring, or no more of this principal.
    fn is_queue_full(&mut self, caller: &Caller, concurrency: &Concurrency) -> bool {
        let (most, queue) = (to_usize(concurrency.queued_per_ring), self.queue(caller.ring));
        let of_principal = queue.iter().filter(|waiting| waiting.caller.principal == caller.principal);
        queue.len() >= most || of_principal.count() >= most.div_ceil(2)
    }

    /// Whether it was waiting: then it waits no more.
    fn stop_waiting(&mut self, ring: Ring, ticket: u64) -> bool {
        let queue = self.queue(ring);
        let Some(index) = queue.iter().position(|waiting| waiting.ticket == ticket) else { return false };
        queue.remove(index).is_some()
    }

    /// Lets everyone run who can, in the order of rings and then of arrival.
    fn call_up(&mut self, concurrency: &Concurrency) {
        for ring in Ring::ALL {
            let mut blocked = VecDeque::new();
            for waiting in std::mem::take(self.queue(ring)) {
                if self.full(&waiting.caller, concurrency).is_some() {
                    blocked.push_back(waiting);
                    continue;
                }
                self.start(&waiting.caller);
                // Whoever is not there any more gives the place back itself, as it is dropped.
                let _ = waiting.turn.send(());
            }
            *self.queue(ring) = blocked;
        }
    }
}

fn up<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

fn down<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(key);
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use ringfence_model::principal::PrincipalKind;

    use super::*;

    const ROOMY: Concurrency = Concurrency {
        calls: 100,
        calls_per_ring: [100; 4],
        calls_per_tool: 100,
        calls_per_principal: 100,
        queued_per_ring: 1_000,
        queue_wait_ms: 60_000,
    };

    fn caller(ring: Ring, tool: &str, name: &str) -> Caller {
        let principal = Principal::new(PrincipalKind::Agent, name).expect("a principal");
        Caller { ring, tool: Digest::of(tool.as_bytes()), principal }
    }

    fn one() -> Caller {
        caller(Ring::Sandbox, "tool", "one")
    }

    /// Lets every task that can go on do so.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn is_empty(gate: &Gate) -> bool {
        let state = gate.state();
        let counts = [state.rings.len(), state.tools.len(), state.principals.len(), state.shares.len()];
        state.running == 0 && counts == [0; 4] && state.queues.values().all(VecDeque::is_empty)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn hundred_callers_share_two_places() {
        // RES-08
        use std::sync::atomic::AtomicU32;
        use std::sync::atomic::Ordering;
        let gate = Gate::new(Concurrency { calls_per_ring: [3; 4], ..ROOMY });
        let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let calls = (0..100).map(|_| {
            let (gate, running, most) = (Arc::clone(&gate), Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(async move {
                let _place = gate.enter(one()).await.expect("a place");
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
                running.fetch_sub(1, Ordering::SeqCst);
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.expect("no panic");
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert!(is_empty(&gate));
    }

    #[tokio::test]
    async fn each_bound_holds_by_itself() {
        let other = caller(Ring::Standard, "other", "two");
        for (concurrency, full, free) in [
            (Concurrency { calls: 1, ..ROOMY }, Full::Host, None),
            (Concurrency { calls_per_ring: [1; 4], ..ROOMY }, Full::Share(Ring::Sandbox), Some(other.clone())),
            (Concurrency { calls_per_tool: 1, ..ROOMY }, Full::Tool, Some(other.clone())),
            (Concurrency { calls_per_principal: 1, ..ROOMY }, Full::Principal, Some(other.clone())),
        ] {
            let gate = Gate::new(Concurrency { queue_wait_ms: 1, ..concurrency });
            let _held = gate.enter(one()).await.expect("a place");
            let busy = gate.enter(one()).await.expect_err("it is full");
            assert_eq!((busy.full, busy.max, busy.why), (full, 1, Gone::WaitOver));
            assert_eq!(gate.enter(other.clone()).await.is_ok(), free.is_some(), "{full}");
        }
    }

    #[tokio::test]
    async fn full_queue_answers_at_once() {
        // RES-08
        let gate = Gate::new(Concurrency { calls_per_ring: [1; 4], queued_per_ring: 1, ..ROOMY });
        let held = gate.enter(one()).await.expect("a place");
        let first = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(one()).await.map(drop) }
        });
        settle().await;
        let busy = gate.enter(one()).await.expect_err("the queue is full");
        assert_eq!((busy.why, busy.retry_after_ms), (Gone::QueueFull, limits::RETRY_AFTER_MS));
        drop(held);
        assert_eq!(first.await.expect("no panic"), Ok(()));
        assert!(is_empty(&gate));
    }

    #[tokio::test]
    async fn equal_calls_run_as_they_came() {
        let gate = Gate::new(Concurrency { calls: 1, ..ROOMY });
        let held = gate.enter(one()).await.expect("a place");
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut calls = Vec::new();
        for number in 0..10 {
            let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
            calls.push(tokio::spawn(async move {
                let _place = gate.enter(one()).await.expect("a place");
                order.lock().expect("the order").push(number);
            }));
            settle().await;
        }
        drop(held);
        for call in calls {
            call.await.expect("no panic");
        }
        assert_eq!(*order.lock().expect("the order"), (0..10).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn flood_holds_up_nobody_else() {
        // CON-07: one principal floods one ring; others of the ring and of every other ring find their places.
        let gate = Gate::new(Concurrency { calls: 4, calls_per_principal: 2, queued_per_ring: 100, ..ROOMY });
        let flood: Vec<_> = (0..50)
            .map(|_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move {
                    let _place = gate.enter(one()).await;
                    std::future::pending::<()>().await;
                })
            })
            .collect();
        settle().await;
        for (ring, name) in [(Ring::Sandbox, "two"), (Ring::Standard, "three"), (Ring::Privileged, "four")] {
            let entered = tokio::time::timeout(Duration::from_secs(5), gate.enter(caller(ring, "tool", name))).await;
            assert!(entered.is_ok_and(|entered| entered.is_ok()), "{name}");
        }
        for call in flood {
            call.abort();
            let _ = call.await;
        }
        assert!(is_empty(&gate));
    }

    #[tokio::test]
    async fn one_principal_fills_no_ring() {
        // CON-07: neither all its places, nor all who may wait for one.
        let gate = Gate::new(Concurrency { calls_per_ring: [3; 4], queued_per_ring: 4, ..ROOMY });
        let _held = [gate.enter(one()).await.expect("a place"), gate.enter(one()).await.expect("a place")];
        let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(enter(Arc::clone(&gate), one()))).collect();
        settle().await;
        let busy = gate.enter(one()).await.expect_err("no more of it may wait");
        assert_eq!((busy.full, busy.max, busy.why), (Full::Share(Ring::Sandbox), 2, Gone::QueueFull));
        let other = caller(Ring::Sandbox, "tool", "two");
        let place = gate.enter(other.clone()).await.expect("a place");
        let third = tokio::spawn(enter(Arc::clone(&gate), other.clone()));
        settle().await;
        drop(place);
        // Whoever came first has its share already, so the place goes past it.
        assert_eq!(third.await.expect("no panic"), Ok(()));
        for call in waiting {
            call.abort();
        }
    }

    async fn enter(gate: Arc<Gate>, caller: Caller) -> Result<(), Busy> {
        gate.enter(caller).await.map(drop)
    }

    #[tokio::test]
    async fn free_place_goes_to_the_most_privileged() {
        // CON-07
        let gate = Gate::new(Concurrency { calls: 1, ..ROOMY });
        let held = gate.enter(one()).await.expect("a place");
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut calls = Vec::new();
        for ring in [Ring::Sandbox, Ring::Standard, Ring::Privileged, Ring::Root] {
            let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
            calls.push(tokio::spawn(async move {
                let _place = gate.enter(caller(ring, "tool", "one")).await.expect("a place");
                order.lock().expect("the order").push(ring);
            }));
            settle().await;
        }
        drop(held);
        for call in calls {
            call.await.expect("no panic");
        }
        assert_eq!(*order.lock().expect("the order"), Ring::ALL);
    }

    #[tokio::test]
    async fn dropped_waiter_leaves_no_trace() {
        // CM-03: given up while it waits, and given up when its turn has come and it does not know yet.
        let gate = Gate::new(Concurrency { calls: 1, ..ROOMY });
        let held = gate.enter(one()).await.expect("a place");
        let given_up = tokio::time::timeout(Duration::from_millis(1), gate.enter(one())).await;
        assert!(given_up.is_err() && gate.state().queue(Ring::Sandbox).is_empty());
        let mut called_up = Box::pin(gate.enter(one()));
        assert!(tokio::time::timeout(Duration::from_millis(1), called_up.as_mut()).await.is_err());
        drop(held);
        assert_eq!(gate.state().running, 1);
        drop(called_up);
        assert!(is_empty(&gate));
        assert!(gate.enter(one()).await.is_ok());
    }
}
