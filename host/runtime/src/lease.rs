//! The lease: whether this host may still act on what it has begun in a log that several hosts share.
//!
//! Whoever keeps the log says when it was renewed; whoever runs calls asks. It is measured by a clock of this machine that
//! goes on while the process is stopped and the machine asleep, from before the renewal was asked for, so it never ends
//! later here than at the log's server. A little before that it counts as over: stopping takes time, too.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use ringfence_model::limits::HOST_LEASE_MARGIN_MS;
use ringfence_model::limits::HOST_LEASE_MS;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use tokio::sync::Notify;

/// It was taken away, for good.
const LOST: u64 = 0;
/// Nobody can take it away: nobody else has the log.
const ENDLESS: u64 = u64::MAX;

/// A moment of the machine's clock that nobody sets and that never stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
        Self(seconds.unwrap_or_default().saturating_mul(1000).saturating_add(nanos.unwrap_or_default() / 1_000_000))
    }
}

/// A host's lease on the calls it has begun. Every copy is of the same lease.
#[derive(Clone, Debug)]
pub struct HostLease {
    /// When it is over, in milliseconds of the clock.
    ends: Arc<AtomicU64>,
    /// Wakes whoever waits when it is lost: its time may be far from over here, whatever the server's clock did.
    lost: Arc<Notify>,
}

impl Default for HostLease {
    /// That of a host that has its log to itself.
    fn default() -> Self {
        Self { ends: Arc::new(AtomicU64::new(ENDLESS)), lost: Arc::default() }
    }
}

impl HostLease {
    /// It was renewed, and this was before anybody was asked to.
    pub(crate) fn renewed(&self, asked: Moment) {
        let ends = asked.0.saturating_add(HOST_LEASE_MS - HOST_LEASE_MARGIN_MS);
        // What was lost stays lost, and no answer that comes late shortens it.
        let _ = self.ends.fetch_update(Ordering::AcqRel, Ordering::Acquire, |known| match known {
            LOST => None,
            ENDLESS => Some(ends),
            known => Some(known.max(ends)),
        });
    }

    /// Another host has taken over.
    pub(crate) fn lose(&self) {
        self.ends.store(LOST, Ordering::Release);
        self.lost.notify_waiters();
    }

    /// Whether another host may have taken over, or may do so at any moment.
    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Ends when it is over. It looks whenever it is polled, and not only when its time has come: a process that was stopped
    /// finds out before anything else that is polled after it.
    pub(crate) async fn wait(&self) {
        let mut later = pin!(self.slept());
        std::future::poll_fn(|context| {
            if self.is_over() {
                return Poll::Ready(());
            }
            later.as_mut().poll(context)
        })
        .await;
    }

    async fn slept(&self) {
        loop {
            // Before it is looked at: what is told from here on is not missed.
            let lost = self.lost.notified();
            match self.left() {
                Some(left) if left.is_zero() => return,
                Some(left) => tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    () = lost => {}
                },
                None => lost.await,
            }
        }
    }

    /// How long it is left; none if it never ends.
    fn left(&self) -> Option<Duration> {
        match self.ends.load(Ordering::Acquire) {
            ENDLESS => None,
            LOST => Some(Duration::ZERO),
            ends => Some(Duration::from_millis(ends.saturating_sub(Moment::now().0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(millis: u64) -> Moment {
        Moment(Moment::now().0 - millis)
    }

    #[test]
    fn lease_ends_unless_it_is_renewed() {
        // IDM-06
        let lease = HostLease::default();
        assert!(!lease.is_over(), "nobody else has the log");
        lease.renewed(ago(HOST_LEASE_MS - HOST_LEASE_MARGIN_MS));
        assert!(lease.is_over());
        lease.renewed(ago(0));
        assert!(!lease.is_over());
        lease.renewed(ago(HOST_LEASE_MS));
        assert!(!lease.is_over(), "an older answer that comes late takes nothing away");
        let copy = lease.clone();
        copy.lose();
        lease.renewed(ago(0));
        assert!(lease.is_over() && copy.is_over(), "what was taken over does not come back");
    }

    #[tokio::test]
    async fn waiting_ends_when_it_is_over() {
        let ends = |lease: HostLease| async move {
            tokio::time::timeout(Duration::from_millis(300), lease.wait()).await.is_ok()
        };
        assert!(!ends(HostLease::default()).await);
        let lease = HostLease::default();
        lease.renewed(ago(HOST_LEASE_MS - HOST_LEASE_MARGIN_MS - 100));
        assert!(ends(lease.clone()).await);
        lease.renewed(ago(0));
        assert!(!ends(lease.clone()).await);
        let lost = lease.clone();
        let waiting = tokio::spawn(async move { lost.wait().await });
        tokio::task::yield_now().await;
        lease.lose();
        assert!(ends(lease).await);
        // Whoever slept when it was lost is woken: its time would have been over much later.
        let woken = tokio::time::timeout(Duration::from_secs(1), waiting).await;
        woken.expect("it sleeps on").expect("an end");
    }

    #[tokio::test]
    async fn loss_is_noticed_at_the_next_poll() {
        // IDM-06: whoever is woken by something else finds out first.
        let lease = HostLease::default();
        lease.renewed(ago(0));
        let mut went_on = 0;
        let ended = async {
            tokio::select! {
                biased;
                () = lease.wait() => {}
                () = async {
                    loop {
                        went_on += 1;
                        if went_on == 3 {
                            lease.lose();
                        }
                        tokio::task::yield_now().await;
                    }
                } => {}
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("it is noticed");
        assert_eq!(went_on, 3);
    }
}
