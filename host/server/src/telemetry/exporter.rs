//! The exporter: takes calls from the queue, sends them in batches, and numbers now and then.
//!
//! Nobody waits for it. A collector that does not answer is asked again, later and later, and what it never takes is
//! counted and dropped; meanwhile the queue fills up, and what finds it full is dropped as well. The operator is told
//! when that begins and when it is over, and not each time.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use bytes::Bytes;
use ringfence_model::limits;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::http::metrics::Metrics;
use crate::http::metrics::Spans;
use crate::service::Notes;
use crate::telemetry::collector::Collector;
use crate::telemetry::collector::Refused;
use crate::telemetry::metric;
use crate::telemetry::now;
use crate::telemetry::otlp::Attribute;
use crate::telemetry::otlp::Request;
use crate::telemetry::otlp::Resource;
use crate::telemetry::otlp::ResourceMetrics;
use crate::telemetry::otlp::ResourceSpans;
use crate::telemetry::otlp::SCOPE;
use crate::telemetry::otlp::ScopeMetrics;
use crate::telemetry::otlp::ScopeSpans;
use crate::telemetry::span::Called;

/// Sends what there is to a collector.
pub(super) struct Exporter {
    collector: Collector,
    resource: Resource,
    metrics: Arc<Metrics>,
    notes: Notes,
    since: SystemTime,
    /// Whether the collector took nothing the last time.
    is_failing: bool,
}

impl Exporter {
    pub(super) fn new(collector: Collector, service: &str, metrics: Arc<Metrics>, notes: Notes) -> Self {
        let attributes = vec![
            Attribute::text("service.name", service),
            Attribute::text("service.version", env!("CARGO_PKG_VERSION")),
            Attribute::text("service.instance.id", hex::encode(random())),
        ];
        let resource = Resource { attributes };
        Self { collector, resource, metrics, notes, since: now(), is_failing: false }
    }

    /// Sends until the end has come and nothing is left.
    pub(super) async fn run(mut self, mut called: mpsc::Receiver<Called>, mut ending: watch::Receiver<bool>) {
        let every = Duration::from_millis(limits::TELEMETRY_METRICS_MS);
        let mut due = Instant::now() + every;
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                taken = called.recv_many(&mut batch, limits::TELEMETRY_BATCH_CALLS_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    gather(&mut called, &mut batch, &mut ending).await;
                    self.tell(&batch, &mut ending).await;
                }
                () = tokio::time::sleep_until(due) => {}
                () = over(&mut ending) => break,
            }
            if Instant::now() >= due {
                self.count(&mut ending).await;
                due = Instant::now() + every;
            }
        }
        self.count(&mut ending).await;
    }

    async fn tell(&mut self, batch: &[Called], ending: &mut watch::Receiver<bool>) {
        let spans = batch.iter().flat_map(|called| called.spans(&mut random)).collect();
        let (resource, scope_spans) = (self.resource.clone(), [ScopeSpans { scope: SCOPE, spans }]);
        let request = Request::ResourceSpans([ResourceSpans { resource, scope_spans }]);
        let spans = batch.iter().map(Called::len).sum::<usize>() as u64;
        match self.deliver("/v1/traces", &request, ending).await {
            Some(refused) => {
                let refused = refused.min(spans);
                self.metrics.told(Spans::Sent, spans - refused);
                self.metrics.told(Spans::Refused, refused);
            }
            None => self.metrics.told(Spans::Refused, spans),
        }
    }

    async fn count(&mut self, ending: &mut watch::Receiver<bool>) {
        let metrics = metric::metrics(&self.metrics.rows(), self.since);
        let (resource, scope_metrics) = (self.resource.clone(), [ScopeMetrics { scope: SCOPE, metrics }]);
        let request = Request::ResourceMetrics([ResourceMetrics { resource, scope_metrics }]);
        // They are counted from the start: what is not taken now is in what comes next.
        self.deliver("/v1/metrics", &request, ending).await;
    }

    /// Sends something until it is taken, or there is no use in it. How much of it was not taken.
    async fn deliver(&mut self, path: &str, request: &Request, ending: &mut watch::Receiver<bool>) -> Option<u64> {
        // Made of texts and numbers: serialising it can't fail.
        let body = Bytes::from(serde_json::to_vec(request).unwrap_or_default());
        let mut pause = Duration::from_millis(limits::TELEMETRY_RETRY_MS);
        for _ in 1..limits::TELEMETRY_TRIES_MAX {
            match self.collector.post(path, body.clone()).await {
                Ok(refused) => return Some(self.took(refused)),
                Err(Refused::ForGood(why)) => {
                    self.failed(&why);
                    return None;
                }
                Err(Refused::ForNow(why)) => self.failed(&why),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = over(ending) => break,
            }
            pause *= 2;
        }
        match self.collector.post(path, body).await {
            Ok(refused) => Some(self.took(refused)),
            Err(refused) => {
                self.failed(&refused.to_string());
                None
            }
        }
    }

    fn took(&mut self, refused: u64) -> u64 {
        if std::mem::take(&mut self.is_failing) {
            (self.notes)("note: the collector of telemetry takes what it is told again");
        }
        refused
    }

    fn failed(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            (self.notes)(&format!("warning: the collector of telemetry takes nothing: {why}; calls go on"));
        }
    }
}

/// Waits a moment for more of the same, so that a burst of calls is one request.
async fn gather(called: &mut mpsc::Receiver<Called>, batch: &mut Vec<Called>, ending: &mut watch::Receiver<bool>) {
    let until = Instant::now() + Duration::from_millis(limits::TELEMETRY_BATCH_MS);
    while batch.len() < limits::TELEMETRY_BATCH_CALLS_MAX {
        let room = limits::TELEMETRY_BATCH_CALLS_MAX - batch.len();
        tokio::select! {
            biased;
            taken = called.recv_many(batch, room) => {
                if taken == 0 {
                    return;
                }
            }
            () = tokio::time::sleep_until(until) => return,
            () = over(ending) => return,
        }
    }
}

/// Ends when the server is at its end.
async fn over(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|is_over| *is_over).await;
}

/// An id. Without randomness there is none to be had, and a collector takes no span without one.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
