//! Interrupt: a caller's word that a call need not go on, an operator's that nothing does, or that the host may not any more, or
//! is to stop.
//!
//! It says when and nothing else: what became of the call is for the outcome to say, and what of its effect is known for
//! the record.

use std::sync::Arc;

use tokio::sync::watch;

use crate::halt::Halt;
use crate::lease::HostLease;

/// Makes an [`Interrupt`] be raised. Dropping it never does.
#[derive(Debug)]
pub struct Interrupter(watch::Sender<Option<Raiser>>);

/// Who has a call stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raiser {
    Caller,
    Host,
}

/// Whether a call is to stop. Every copy is of the same call.
#[derive(Clone, Debug)]
pub struct Interrupt {
    raised: watch::Receiver<Option<Raiser>>,
    /// One that can't be raised keeps its own other end, so that waiting for it has no special case.
    _never: Option<Arc<watch::Sender<Option<Raiser>>>>,
    /// What else raises it.
    halt: Halt,
    lease: HostLease,
}

/// An interrupt, and what raises it.
pub fn interrupt() -> (Interrupter, Interrupt) {
    let (raise, raised) = watch::channel(None);
    (Interrupter(raise), Interrupt { raised, _never: None, halt: Halt::default(), lease: HostLease::default() })
}

impl Interrupter {
    /// Whether it is the one that raises an interrupt.
    pub fn raises(&self, interrupt: &Interrupt) -> bool {
        self.0.subscribe().same_channel(&interrupt.raised)
    }

    /// Has the call stop, as soon as it can, for its caller does not want it any more.
    pub fn raise(&self) {
        self.raise_by(Raiser::Caller);
    }

    /// The same, for the host is to stop.
    pub fn raise_for_host(&self) {
        self.raise_by(Raiser::Host);
    }

    /// Whoever comes first is who did it.
    fn raise_by(&self, raiser: Raiser) {
        self.0.send_if_modified(|raised| {
            let is_first = raised.is_none();
            *raised = raised.or(Some(raiser));
            is_first
        });
    }
}

impl Interrupt {
    /// One that nobody can raise.
    pub fn never() -> Self {
        let (raise, raised) = watch::channel(None);
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
        self.raised.borrow().is_some() || self.lease.is_over() || self.halt.is_on()
    }

    /// In words, for whoever waits for the call.
    pub fn why(&self) -> &'static str {
        match () {
            () if self.halt.is_on() => "an operator halted the host",
            () if self.lease.is_over() => {
                "the host could not renew its lease on its calls, and another may take them over"
            }
            () if *self.raised.borrow() == Some(Raiser::Host) => "the host was told to stop",
            () => "the caller stopped the call",
        }
    }

    /// Ends when it is raised; never, if nobody is left to do that.
    pub async fn wait(&self) {
        tokio::select! {
            biased;
            // First, for it is looked at whenever anything is.
            () = self.lease.wait() => {}
            () = self.raised() => {}
            () = self.halt.wait() => {}
        }
    }

    async fn raised(&self) {
        if self.raised.clone().wait_for(Option::is_some).await.is_err() {
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

    #[test]
    fn first_to_raise_it_is_named() {
        for (is_host_first, why) in [(false, "the caller stopped the call"), (true, "the host was told to stop")] {
            let (raise, raised) = interrupt();
            let in_order: [fn(&Interrupter); 2] = [Interrupter::raise_for_host, Interrupter::raise];
            let (first, second) = if is_host_first { (0, 1) } else { (1, 0) };
            in_order[first](&raise);
            in_order[second](&raise);
            assert_eq!((raised.is_raised(), raised.why()), (true, why));
        }
    }
}
