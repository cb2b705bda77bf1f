//! Interrupt: a caller's word that a call need not go on, an operator's that nothing does, or that the host may not any more.
//!
//! It says when and nothing else: what became of the call is for the outcome to say, and what of its effect is known for
//! the record.

use std::sync::Arc;

use tokio::sync::watch;

use crate::halt::Halt;
use crate::lease::HostLease;

/// Makes an [`Interrupt`] be raised. Dropping it never does.
#[derive(Debug)]
pub struct Interrupter(watch::Sender<bool>);

/// Whether a call is to stop. Every copy is of the same call.
#[derive(Clone, Debug)]
pub struct Interrupt {
    raised: watch::Receiver<bool>,
    /// One that can't be raised keeps its own other end, so that waiting for it has no special case.
    _never: Option<Arc<watch::Sender<bool>>>,
    /// What else raises it.
    halt: Halt,
    lease: HostLease,
}

/// An interrupt, and what raises it.
pub fn interrupt() -> (Interrupter, Interrupt) {
    let (raise, raised) = watch::channel(false);
    (Interrupter(raise), Interrupt { raised, _never: None, halt: Halt::default(), lease: HostLease::default() })
}

impl Interrupter {
    /// Whether it is the one that raises an interrupt.
    pub fn raises(&self, interrupt: &Interrupt) -> bool {
        self.0.subscribe().same_channel(&interrupt.raised)
    }

    /// Has the call stop, as soon as it can.
    pub fn raise(&self) {
        self.0.send_replace(true);
    }
}

impl Interrupt {
    /// One that nobody can raise.
    pub fn never() -> Self {
        let (raise, raised) = watch::channel(false);
        Self { raised, _never: Some(Arc::new(raise)), halt: Halt::default(), lease: HostLease::default() }
    }

    /// One that is raised when the host is halted, as well.
    #[must_use]
    pub(crate) fn or_halted(self, halt: Halt) -> Self {
        Self { halt, ..self }
    }

    /// One that is raised when the host's lease is over, as well.
    #[must_use]
    pub(crate) fn or_overdue(self, lease: HostLease) -> Self {
        Self { lease, ..self }
    }

    /// Whether it has been raised.
    pub fn is_raised(&self) -> bool {
        *self.raised.borrow() || self.lease.is_over() || self.halt.is_on()
    }

    /// In words, for whoever waits for the call.
    pub fn why(&self) -> &'static str {
        match () {
            () if self.halt.is_on() => "an operator halted the host",
            () if self.lease.is_over() => {
                "the host could not renew its lease on its calls, and another may take them over"
            }
            () => "the caller stopped the call",
        }
    }

    /// Ends when it is raised; never, if nobody is left to do that.
    pub async fn wait(&self) {
        tokio::select! {
            biased;
            // First, for it is looked at whenever anything is.
            () = self.lease.wait() => {}
            () = self.raised_by_caller() => {}
            () = self.halt.wait() => {}
        }
    }

    async fn raised_by_caller(&self) {
        if self.raised.clone().wait_for(|raised| *raised).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn ends(interrupt: &Interrupt) -> bool {
        tokio::time::timeout(Duration::from_millis(20), interrupt.wait()).await.is_ok()
    }

    #[tokio::test]
    async fn only_raising_it_raises_it() {
        let (raise, raised) = interrupt();
        assert!(!ends(&raised).await && !raised.is_raised());
        let copy = raised.clone();
        raise.raise();
        assert!(ends(&raised).await && ends(&copy).await && copy.is_raised());
        let (dropped, left) = interrupt();
        drop(dropped);
        assert!(!ends(&left).await && !ends(&Interrupt::never()).await);
    }
}
