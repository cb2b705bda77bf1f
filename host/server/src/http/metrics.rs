//! Numbers: how many requests and calls there were, how they ended and how long they took.
//!
//! Labels are words of ours: routes, statuses, kinds of outcome. Nothing that a caller chose stands in one, so nobody can
//! make there be more of them.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use ringfence_model::outcome::Outcome;

/// Seconds that divide the requests: from what nothing takes to what no ring allows.
const BUCKETS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0, 600.0];

/// The numbers of one server.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter<u64, AtomicU64>>,
    seconds: Family<Routed, Histogram>,
    calls: Family<Ended, Counter<u64, AtomicU64>>,
    handshakes: Family<Shaken, Counter<u64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shaken {
    outcome: &'static str,
}

/// What became of agreeing on TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    Done,
    Failed,
    Slow,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ringfence");
        let requests = Family::default();
        let seconds = Family::<Routed, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let calls = Family::default();
        let handshakes = Family::default();
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register("http_request_seconds", "How long answering took", seconds.clone());
        registry.register("calls", "Calls that were made, by how they ended", calls.clone());
        registry.register("tls_handshakes", "Connections that were to be encrypted", handshakes.clone());
        Self { registry, requests, seconds, calls, handshakes }
    }
}

impl Metrics {
    pub(super) fn answered(&self, route: &'static str, status: StatusCode, took: Duration) {
        self.requests.get_or_create(&Request { route, status: status.as_u16() }).inc();
        self.seconds.get_or_create(&Routed { route }).observe(took.as_secs_f64());
    }

    pub(super) fn called(&self, outcome: &Outcome) {
        let kind = serde_json::to_value(outcome.kind).unwrap_or_default();
        let outcome = kind.as_str().unwrap_or_default().to_owned();
        self.calls.get_or_create(&Ended { outcome }).inc();
    }

    pub(super) fn shaken(&self, outcome: Handshake) {
        let outcome = match outcome {
            Handshake::Done => "done",
            Handshake::Failed => "failed",
            Handshake::Slow => "slow",
        };
        self.handshakes.get_or_create(&Shaken { outcome }).inc();
    }

    /// All of them, in the text form of `OpenMetrics`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into memory fails for no reason that could be told to whoever asks.
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::default();
        metrics.answered("call", StatusCode::OK, Duration::from_millis(2));
        metrics.called(&Outcome::returned(None));
        metrics.shaken(Handshake::Slow);
        let text = metrics.text();
        for line in [
            "ringfence_http_requests_total{route=\"call\",status=\"200\"} 1",
            "ringfence_http_request_seconds_count{route=\"call\"} 1",
            "ringfence_calls_total{outcome=\"returned\"} 1",
            "ringfence_tls_handshakes_total{outcome=\"slow\"} 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
