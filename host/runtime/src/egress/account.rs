//! What one call has used of its network limits, over all its connections.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use ringfence_model::grant::NetworkLimits;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// Counts, and says no at the limit.
#[derive(Debug)]
pub(super) struct Account {
    connections: Arc<Semaphore>,
    limits: NetworkLimits,
    received_bytes: AtomicU64,
    requests: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Account {
    pub(super) fn new(limits: NetworkLimits) -> Self {
        let connections = usize::try_from(limits.connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            connections: Arc::new(Semaphore::new(connections)),
            limits,
            received_bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
        }
    }

    /// Counts a request, a connection or a lookup; whether there was one left.
    pub(super) fn request(&self) -> bool {
        take(&self.requests, 1, self.limits.requests)
    }

    /// How many were counted before the one that was counted last.
    pub(super) fn made_before(&self) -> u64 {
        self.requests.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// A connection, held as long as the permit is; none if as many as allowed are open.
    pub(super) fn connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// Counts bytes before they are sent; whether they were left.
    pub(super) fn send(&self, bytes: usize) -> bool {
        take(&self.sent_bytes, bytes, self.limits.sent_bytes)
    }

    /// Bytes that could still be sent.
    pub(super) fn sendable(&self) -> u64 {
        self.limits.sent_bytes.saturating_sub(self.sent_bytes.load(Ordering::Relaxed))
    }

    /// Takes back bytes that were counted and then not sent.
    pub(super) fn take_back(&self, bytes: usize) {
        self.sent_bytes.fetch_sub(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts bytes before the guest gets them; whether they were left.
    pub(super) fn receive(&self, bytes: usize) -> bool {
        take(&self.received_bytes, bytes, self.limits.received_bytes)
    }

    /// Bytes that could still be received.
    pub(super) fn receivable(&self) -> u64 {
        self.limits.received_bytes.saturating_sub(self.received_bytes.load(Ordering::Relaxed))
    }

    /// What was used, in one line; nothing if nothing was.
    pub(super) fn summary(&self) -> Option<String> {
        let [requests, sent, received] =
            [&self.requests, &self.sent_bytes, &self.received_bytes].map(|count| count.load(Ordering::Relaxed));
        (requests > 0).then(|| format!("{requests} requests, {sent} bytes sent, {received} bytes received"))
    }
}

/// Adds to a count unless that would exceed the limit.
fn take(count: &AtomicU64, amount: usize, max: u64) -> bool {
    let amount = u64::try_from(amount).unwrap_or(u64::MAX);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(amount).filter(|used| *used <= max))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_over_all_connections() {
        // NET-20, NET-24
        let limits = NetworkLimits { connections: 1, received_bytes: 10, requests: 2, sent_bytes: 10 };
        let account = Account::new(limits);
        assert!(account.send(6) && !account.send(5) && account.send(4) && !account.send(1));
        account.take_back(4);
        assert!(account.sendable() == 4 && account.send(4) && account.sendable() == 0);
        assert!(account.receive(10) && !account.receive(1) && account.receivable() == 0);
        assert!(account.request() && account.request() && !account.request());
        let held = account.connection();
        assert!(held.is_some() && account.connection().is_none());
        drop(held);
        assert!(account.connection().is_some());
        assert!(!account.send(usize::MAX));
    }
}
