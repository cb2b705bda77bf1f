//! OTLP as JSON: the messages of the protocol, as far as any of ours is sent.
//!
//! Field by field after the mapping of protocol buffers to JSON: names in camel case, ids in hexadecimal, whole numbers of
//! 64 bits as text, enumerations as numbers.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Serialize;

/// A value of `SpanKind`: something that happens within this host.
pub(super) const INTERNAL: u8 = 1;
/// A value of `StatusCode`.
const ERROR: u8 = 2;
/// A value of `AggregationTemporality`: since the start.
pub(super) const CUMULATIVE: u8 = 2;

/// What a collector is sent, under the name of its field.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Request {
    /// To `/v1/metrics`.
    ResourceMetrics([ResourceMetrics; 1]),
    /// To `/v1/traces`.
    ResourceSpans([ResourceSpans; 1]),
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResourceMetrics {
    pub(super) resource: Resource,
    pub(super) scope_metrics: [ScopeMetrics; 1],
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResourceSpans {
    pub(super) resource: Resource,
    pub(super) scope_spans: [ScopeSpans; 1],
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Resource {
    pub(super) attributes: Vec<Attribute>,
}

/// Who has made the spans or numbers.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Scope {
    name: &'static str,
    version: &'static str,
}

/// This program.
pub(super) const SCOPE: Scope = Scope { name: "ringfence", version: env!("CARGO_PKG_VERSION") };

#[derive(Clone, Debug, Serialize)]
pub(super) struct ScopeMetrics {
    pub(super) scope: Scope,
    pub(super) metrics: Vec<Metric>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ScopeSpans {
    pub(super) scope: Scope,
    pub(super) spans: Vec<Span>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "these are the words of the protocol")]
pub(super) struct Span {
    pub(super) trace_id: String,
    pub(super) span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_span_id: Option<String>,
    pub(super) name: String,
    pub(super) kind: u8,
    pub(super) start_time_unix_nano: Nanos,
    pub(super) end_time_unix_nano: Nanos,
    pub(super) attributes: Vec<Attribute>,
    pub(super) status: Status,
}

/// Whether what a span tells of went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

impl Status {
    /// It did not.
    pub(super) const WRONG: Self = Self { code: Some(ERROR) };
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) description: &'static str,
    pub(super) unit: &'static str,
    #[serde(flatten)]
    pub(super) data: Data,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Data {
    #[serde(rename_all = "camelCase")]
    Gauge { data_points: Vec<Count> },
    #[serde(rename_all = "camelCase")]
    Histogram { data_points: Vec<Spread>, aggregation_temporality: u8 },
    #[serde(rename_all = "camelCase")]
    Sum { data_points: Vec<Count>, aggregation_temporality: u8, is_monotonic: bool },
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Count {
    pub(super) attributes: Vec<Attribute>,
    pub(super) start_time_unix_nano: Nanos,
    pub(super) time_unix_nano: Nanos,
    pub(super) as_int: Whole,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spread {
    pub(super) attributes: Vec<Attribute>,
    pub(super) start_time_unix_nano: Nanos,
    pub(super) time_unix_nano: Nanos,
    pub(super) count: Whole,
    pub(super) sum: f64,
    pub(super) bucket_counts: Vec<Whole>,
    pub(super) explicit_bounds: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Attribute {
    key: &'static str,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Value {
    IntValue(Whole),
    StringValue(String),
}

impl Attribute {
    pub(super) fn text(key: &'static str, value: impl Into<String>) -> Self {
        Self { key, value: Value::StringValue(value.into()) }
    }

    pub(super) fn number(key: &'static str, value: u64) -> Self {
        Self { key, value: Value::IntValue(Whole(value)) }
    }
}

/// A whole number of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole(pub(super) u64);

impl Serialize for Whole {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A time, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nanos(pub(super) SystemTime);

impl Serialize for Nanos {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos())
    }
}
