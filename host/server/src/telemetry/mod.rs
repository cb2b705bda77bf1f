//! Telemetry: what a collector is told of this host's calls and numbers (`OpenTelemetry`, OTLP over HTTP).
//!
//! ```text
//! Service::call → Telemetry::called → queue → exporter (batches, tries again, gives up) → collector → post
//! ```
//!
//! What leaves is written down in one place, [`span`]: names of tools, ids, codes and times. No input, no output, no
//! message, no principal, no secret. A call never waits for any of this: there is a queue of a bounded length, and what
//! finds it full is counted and gone. What a caller says of the trace that it belongs to is passed on and believed in
//! nothing else.

mod collector;
mod exporter;
mod metric;
mod otlp;
mod span;
pub mod trace;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use ringfence_model::limits;
use ringfence_runtime::pipeline::Response;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use crate::telemetry::collector::Collector;
pub use crate::telemetry::collector::CollectorError;
use crate::telemetry::exporter::Exporter;
pub use crate::telemetry::span::Begun;
use crate::telemetry::span::Called;

use crate::http::metrics::Metrics;
use crate::http::metrics::Spans;
use crate::service::Notes;
use crate::service::ServiceError;

/// The time that a collector is told. Nothing is decided by it.
#[expect(clippy::disallowed_methods, reason = "what is told of here has its own time beside the log's")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Where calls are told of.
pub struct Telemetry {
    queue: mpsc::Sender<Called>,
    metrics: Arc<Metrics>,
    end: watch::Sender<bool>,
}

/// What sends it, to be waited for at the end.
#[derive(Debug)]
pub struct Sending {
    exporter: JoinHandle<()>,
    telemetry: Arc<Telemetry>,
}

impl Telemetry {
    /// Begins to tell a collector of calls, and of numbers now and then. `service` is what the host calls itself there.
    pub fn start(collector: Collector, service: &str, metrics: Arc<Metrics>, notes: Notes) -> (Arc<Self>, Sending) {
        let (queue, called) = mpsc::channel(limits::TELEMETRY_CALLS_QUEUED_MAX);
        let (end, ending) = watch::channel(false);
        let exporter = Exporter::new(collector, service, Arc::clone(&metrics), notes);
        let exporter = tokio::spawn(exporter.run(called, ending));
        let telemetry = Arc::new(Self { queue, metrics, end });
        (Arc::clone(&telemetry), Sending { exporter, telemetry })
    }

    /// Tells of a call that has ended.
    pub(crate) fn called(&self, begun: Begun, made: &Result<Response, ServiceError>) {
        if self.queue.try_send(begun.ended(made)).is_err() {
            self.metrics.told(Spans::Dropped, 1);
        }
    }
}

impl Sending {
    /// Sends what is left, as far as that takes no longer than `TELEMETRY_END_MS_MAX`.
    pub async fn end(self) {
        self.telemetry.end.send_replace(true);
        let time = Duration::from_millis(limits::TELEMETRY_END_MS_MAX);
        let abort = self.exporter.abort_handle();
        if tokio::time::timeout(time, self.exporter).await.is_err() {
            abort.abort();
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_finds_the_queue_full_is_counted() {
        // A collector that takes connections and never answers.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", silent.local_addr().expect("an address"));
        let collector = Collector::new(&address, "", rustls::RootCertStore::empty()).expect("a collector");
        let metrics = Arc::new(Metrics::default());
        let notes: Notes = Arc::new(|_| {});
        let (telemetry, sending) = Telemetry::start(collector, "test", Arc::clone(&metrics), notes);
        let room = limits::TELEMETRY_CALLS_QUEUED_MAX + limits::TELEMETRY_BATCH_CALLS_MAX;
        let (surplus, started) = (100, std::time::Instant::now());
        for _ in 0..room + surplus {
            telemetry.called(Begun::sample(), &Err(ServiceError::Host));
        }
        assert!(started.elapsed() < Duration::from_secs(5), "somebody waited");
        let text = metrics.text();
        let dropped =
            text.lines().find_map(|line| line.strip_prefix("ringfence_telemetry_spans_total{fate=\"dropped\"} "));
        let dropped: usize = dropped.and_then(|dropped| dropped.parse().ok()).expect("a count");
        // The exporter may have taken a batch by then, or none.
        assert!((surplus..=surplus + limits::TELEMETRY_BATCH_CALLS_MAX).contains(&dropped), "{dropped}");
        let started = std::time::Instant::now();
        sending.end().await;
        assert!(started.elapsed() < Duration::from_millis(limits::TELEMETRY_END_MS_MAX + 2_000));
    }
}
