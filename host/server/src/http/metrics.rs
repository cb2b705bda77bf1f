//! Numbers: how many requests and calls there were, how they ended and how long they took, and how much there is of what is
//! bounded.
//!
//! Labels are words of ours: routes, statuses, kinds of outcome. Nothing that a caller chose stands in one, so nobody can
//! make there be more of them. There is one set of rows; `/metrics` shows them, and a collector may be told of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;
use ringfence_model::outcome::OutcomeKind;

use crate::service::Fate;

/// The forms that there are of the text, as media types: `OpenMetrics`, and what was there before it.
pub(super) const OPEN: &str = "application/openmetrics-text";
pub(super) const PLAIN: &str = "text/plain";

/// Seconds that divide the requests: from what nothing takes to what no ring allows.
pub(crate) const BUCKETS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0, 600.0];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Number {
    /// What answers.
    BuildInfo,
    /// Calls that were made.
    Calls,
    /// Calls that were not looked at.
    CallsTurnedAway,
    /// Calls that run, or wait to.
    CallsUnderway,
    /// Connections that there are.
    Connections,
    /// How long answering took.
    RequestDuration,
    /// Requests that were answered.
    Requests,
    /// Requests that are worked on.
    RequestsUnderway,
    /// Spans for a collector.
    Spans,
    /// Answers that are sent as they come about.
    Streams,
    /// Connections that were to be encrypted.
    TlsHandshakes,
}

impl Number {
    /// Its name, without those of this program, of its unit and of what becomes of it elsewhere.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BuildInfo => "build_info",
            Self::Calls => "calls",
            Self::CallsTurnedAway => "calls_turned_away",
            Self::CallsUnderway => "calls_underway",
            Self::Connections => "http_connections",
            Self::RequestDuration => "http_request_duration",
            Self::Requests => "http_requests",
            Self::RequestsUnderway => "http_requests_underway",
            Self::Spans => "telemetry_spans",
            Self::Streams => "http_streams",
            Self::TlsHandshakes => "tls_handshakes",
        }
    }

    /// What it is.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::BuildInfo => "What answers: its version",
            Self::Calls => "Calls that were made, by how they ended",
            Self::CallsTurnedAway => "Calls that were not looked at, for too many of their principal's were refused",
            Self::CallsUnderway => "Calls that run or wait for a place now, what is only written down included",
            Self::Connections => "Connections that there are now",
            Self::RequestDuration => "How long answering took",
            Self::Requests => "Requests that were answered",
            Self::RequestsUnderway => "Requests that are worked on now, which have been read",
            Self::Spans => "Spans that a collector was to be told of, by what became of them",
            Self::Streams => "Answers that are sent as they come about now",
            Self::TlsHandshakes => "Connections that were to be encrypted, by what became of that",
        }
    }
}

/// Labels, in an order that is the same for each number.
type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// A value of a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// How many.
    Count(u64),
    /// How many there are now.
    Level(u64),
    /// How many, and of which size.
    Spread(Spread),
}

/// How many there were of which size.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    /// All sizes together.
    pub(crate) sum: f64,
    /// How many there were up to each bound and above the one before, and above the last.
    pub(crate) buckets: [u64; BUCKETS.len() + 1],
}

impl Spread {
    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn add(&mut self, size: f64) {
        self.sum += size;
        let at = BUCKETS.iter().position(|bound| size <= *bound).unwrap_or(BUCKETS.len());
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
    }
}

/// A number with its labels and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// What is counted.
    pub(crate) number: Number,
    /// Of which kind.
    pub(crate) labels: Labels,
    /// How many.
    pub(crate) value: Value,
}

/// What became of agreeing on TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    Done,
    Failed,
    Slow,
}

/// What became of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spans {
    /// There was no room in the queue: of a call, however many it would have had, one.
    Dropped,
    /// The collector did not take them.
    Refused,
    /// The collector has taken them.
    Sent,
}

/// The numbers of one server.
#[derive(Default)]
pub struct Metrics {
    rows: Arc<Rows>,
}

/// Says how much there is of something now.
type Level = Box<dyn Fn() -> usize + Send + Sync>;

#[derive(Default)]
struct Rows {
    counted: Mutex<BTreeMap<(Number, Labels), Value>>,
    levels: Mutex<BTreeMap<Number, Level>>,
}

impl Rows {
    fn counted(&self) -> MutexGuard<'_, BTreeMap<(Number, Labels), Value>> {
        // Each change is one step.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn levels(&self) -> MutexGuard<'_, BTreeMap<Number, Level>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All rows, those of a number side by side.
    fn all(&self) -> Vec<Row> {
        let version = ("version", Cow::Borrowed(env!("CARGO_PKG_VERSION")));
        let mut rows = vec![Row { number: Number::BuildInfo, labels: vec![version], value: Value::Level(1) }];
        for ((number, labels), value) in &*self.counted() {
            rows.push(Row { number: *number, labels: labels.clone(), value: value.clone() });
        }
        for (number, level) in &*self.levels() {
            let value = Value::Level(u64::try_from(level()).unwrap_or(u64::MAX));
            rows.push(Row { number: *number, labels: Labels::new(), value });
        }
        rows.sort_by_key(|row| row.number);
        rows
    }
}

impl Metrics {
    pub(super) fn answered(&self, route: &'static str, status: StatusCode, took: Duration) {
        let routed = ("route", Cow::Borrowed(route));
        let status = ("status", Cow::Owned(status.as_str().to_owned()));
        self.add(Number::Requests, vec![routed.clone(), status], 1);
        let mut rows = self.rows.counted();
        let row = rows.entry((Number::RequestDuration, vec![routed])).or_insert(Value::Spread(Spread::default()));
        if let Value::Spread(spread) = row {
            spread.add(took.as_secs_f64());
        }
    }

    /// Counts a call by what became of it.
    pub fn called(&self, fate: Fate<'_>) {
        match fate {
            Fate::Ended(outcome) => self.add(Number::Calls, vec![("outcome", kind_name(outcome.kind).into())], 1),
            Fate::TurnedAway(code) => self.add(Number::CallsTurnedAway, vec![("code", code.into())], 1),
        }
    }

    pub(super) fn shaken(&self, outcome: Handshake) {
        let outcome = match outcome {
            Handshake::Done => "done",
            Handshake::Failed => "failed",
            Handshake::Slow => "slow",
        };
        self.add(Number::TlsHandshakes, vec![("outcome", outcome.into())], 1);
    }

    pub(crate) fn told(&self, fate: Spans, spans: u64) {
        let fate = match fate {
            Spans::Dropped => "dropped",
            Spans::Refused => "refused",
            Spans::Sent => "sent",
        };
        self.add(Number::Spans, vec![("fate", fate.into())], spans);
    }

    /// Has somebody say how much there is of something, whenever anybody wants to know, instead of whoever has said so before.
    pub(super) fn watch(&self, number: Number, level: impl Fn() -> usize + Send + Sync + 'static) {
        self.rows.levels().insert(number, Box::new(level));
    }

    /// All of them.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.rows.all()
    }

    /// All of them, in the text form of `OpenMetrics`.
    pub fn text(&self) -> String {
        let mut registry = Registry::with_prefix("ringfence");
        registry.register_collector(Box::new(Arc::clone(&self.rows)));
        let mut text = String::new();
        // Writing into memory fails for no reason that could be told to whoever asks.
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }

    /// All of them, in the text form that older readers know (0.0.4).
    pub(super) fn plain_text(&self) -> String {
        plain(&self.text())
    }

    fn add(&self, number: Number, labels: Labels, more: u64) {
        if let Value::Count(count) = self.rows.counted().entry((number, labels)).or_insert(Value::Count(0)) {
            *count = count.saturating_add(more);
        }
    }
}

impl Collector for Rows {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let rows = self.all();
        for group in rows.chunk_by(|one, other| one.number == other.number) {
            let Some(Row { number, value, .. }) = group.first() else { continue };
            let kind = match value {
                Value::Count(_) => MetricType::Counter,
                Value::Level(_) => MetricType::Gauge,
                Value::Spread(_) => MetricType::Histogram,
            };
            // What is spread is time.
            let unit = matches!(value, Value::Spread(_)).then_some(Unit::Seconds);
            let mut encoder = encoder.encode_descriptor(number.name(), number.help(), unit.as_ref(), kind)?;
            for Row { labels, value, .. } in group {
                if labels.is_empty() {
                    encode_value(&mut encoder, value)?;
                } else {
                    encode_value(&mut encoder.encode_family(labels)?, value)?;
                }
            }
        }
        Ok(())
    }
}

fn encode_value(encoder: &mut MetricEncoder<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Count(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
        Value::Level(level) => encoder.encode_gauge(level),
        Value::Spread(spread) => {
            let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(spread.buckets).collect();
            encoder.encode_histogram::<NoLabelSet>(spread.sum, spread.count(), &buckets, None)
        }
    }
}

/// `OpenMetrics` as it was written before: a counter goes by the name of its value, and units and the end are not told.
fn plain(open: &str) -> String {
    let kinds = open.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters: BTreeSet<_> = kinds.filter_map(|kind| kind.strip_suffix(" counter")).collect();
    let lines = open.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT "));
    let lines = lines.map(|line| match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
        ["#", what, name, rest] if counters.contains(name) => format!("# {what} {name}_total {rest}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// The name of a kind of outcome, as the record has it.
pub(crate) fn kind_name(kind: OutcomeKind) -> String {
    let kind = serde_json::to_value(kind).unwrap_or_default();
    kind.as_str().unwrap_or_default().to_owned()
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ringfence_model::outcome::Outcome;

    use super::*;

    fn counted() -> Metrics {
        let metrics = Metrics::default();
        metrics.answered("call", StatusCode::OK, Duration::from_millis(2));
        metrics.answered("call", StatusCode::OK, Duration::from_hours(1));
        metrics.called(Fate::Ended(&Outcome::returned(None)));
        metrics.called(Fate::TurnedAway("denied.too-many"));
        metrics.shaken(Handshake::Slow);
        metrics.told(Spans::Dropped, 3);
        metrics.watch(Number::Streams, || 9);
        metrics.watch(Number::Streams, || 2);
        metrics
    }

    #[test]
    fn older_readers_get_their_format() {
        let text = counted().plain_text();
        let version = env!("CARGO_PKG_VERSION");
        for line in [
            "# TYPE ringfence_http_requests_total counter",
            "ringfence_http_requests_total{route=\"call\",status=\"200\"} 2",
            "# TYPE ringfence_http_request_duration_seconds histogram",
            "ringfence_http_request_duration_seconds_bucket{le=\"+Inf\",route=\"call\"} 2",
            "# TYPE ringfence_http_streams gauge",
            &format!("ringfence_build_info{{version=\"{version}\"}} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("# UNIT") && !text.contains("# EOF") && text.ends_with('\n'), "{text}");
        // Each comment is of a value that goes by that name.
        for kind in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, _) = kind.split_once(' ').expect("a name and a kind");
            assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
        }
    }

    #[test]
    fn what_is_counted_is_shown() {
        let text = counted().text();
        for line in [
            "# TYPE ringfence_http_requests counter",
            "ringfence_http_requests_total{route=\"call\",status=\"200\"} 2",
            "# UNIT ringfence_http_request_duration_seconds seconds",
            "ringfence_http_request_duration_seconds_count{route=\"call\"} 2",
            "ringfence_http_request_duration_seconds_bucket{le=\"0.001\",route=\"call\"} 0",
            "ringfence_http_request_duration_seconds_bucket{le=\"0.003\",route=\"call\"} 1",
            "ringfence_http_request_duration_seconds_bucket{le=\"600.0\",route=\"call\"} 1",
            "ringfence_http_request_duration_seconds_bucket{le=\"+Inf\",route=\"call\"} 2",
            "# TYPE ringfence_http_streams gauge",
            "ringfence_http_streams 2",
            "ringfence_calls_total{outcome=\"returned\"} 1",
            "ringfence_calls_turned_away_total{code=\"denied.too-many\"} 1",
            "ringfence_tls_handshakes_total{outcome=\"slow\"} 1",
            "ringfence_telemetry_spans_total{fate=\"dropped\"} 3",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
