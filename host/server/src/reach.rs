//! Reach: what somebody can call now, and when that may be something else.
//!
//! It is looked at for what is listed and for what is there for whom; whether a call may run is decided elsewhere, each time.

use std::sync::Arc;

use ringfence_model::function_pattern::FunctionPattern;
use ringfence_model::ring::Ring;
use tokio::sync::watch;

use crate::catalogue::Offer;
use crate::service::Seat;
use crate::service::Service;

/// What may make a list of what can be called another one: other tools, or another session.
#[derive(Debug)]
pub struct Changes {
    changed: watch::Receiver<u64>,
    /// For a seat in a session: of no other is anything in the log.
    grown: Option<watch::Receiver<u64>>,
    reach: Option<Reach>,
}

impl Changes {
    /// Changes of what a seat can call, from now on.
    pub fn of(service: &Service, seat: &Seat) -> Self {
        Self { changed: service.changed(), grown: seat.session.map(|_| service.grown()), reach: None }
    }

    /// Ends when what a seat can call may be something else than it was. A session that others have changed is looked at
    /// when the log has grown. Can be given up at any time.
    pub async fn next(&mut self, service: &Service, seat: &Seat) {
        loop {
            if seat.session.is_some()
                && let Ok(reach) = service.reach(seat).await
            {
                let before = self.reach.replace(reach.clone());
                if before.is_some_and(|before| before != reach) {
                    return;
                }
            }
            tokio::select! {
                // The sender is in the service: there is always somebody left to say so.
                _ = self.changed.changed() => return,
                () = grows(self.grown.as_mut()) => {}
            }
        }
    }
}

/// Ends when the log has grown, for somebody who wants to know.
async fn grows(grown: Option<&mut watch::Receiver<u64>>) {
    match grown {
        Some(grown) => {
            let _ = grown.changed().await;
        }
        None => std::future::pending().await,
    }
}

/// What a seat can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: its session is not open.
    Nothing,
    /// What is within all of these bounds; one that is missing bounds nothing.
    Within {
        /// Each has to reach it.
        rings: [Option<Ring>; 2],
        /// What its session allows.
        allow: Option<Arc<[FunctionPattern]>>,
    },
}

impl Reach {
    /// Whether something that is offered is within it.
    pub fn covers(&self, offer: &Offer) -> bool {
        match self {
            Self::Nothing => false,
            Self::Within { rings, allow } => {
                rings.iter().all(|ring| offer.is_within(*ring))
                    && allow.as_ref().is_none_or(|allow| allow.iter().any(|pattern| offer.is_covered_by(pattern)))
            }
        }
    }
}
