//! Numbers as OTLP has them: those that `/metrics` shows, made from the same rows.

use std::time::SystemTime;

use crate::http::metrics::Row;
use crate::http::metrics::Value;
use crate::telemetry::now;
use crate::telemetry::otlp::Attribute;
use crate::telemetry::otlp::CUMULATIVE;
use crate::telemetry::otlp::Count;
use crate::telemetry::otlp::Data;
use crate::telemetry::otlp::Metric;
use crate::telemetry::otlp::Nanos;
use crate::telemetry::otlp::Spread;
use crate::telemetry::otlp::Whole;

/// The rows as metrics, counted since a time.
pub(super) fn metrics(rows: &[Row], since: SystemTime) -> Vec<Metric> {
    let (start_time_unix_nano, time_unix_nano) = (Nanos(since), Nanos(now()));
    let mut metrics: Vec<Metric> = Vec::new();
    for row in rows {
        let attributes = row.labels.iter().map(|(key, value)| Attribute::text(key, value.clone())).collect();
        let is_same = metrics.last().is_some_and(|metric| metric.description == row.number.help());
        if !is_same {
            metrics.push(empty(row));
        }
        let Some(metric) = metrics.last_mut() else { continue };
        match (&mut metric.data, &row.value) {
            (Data::Gauge { data_points }, Value::Level(count))
            | (Data::Sum { data_points, .. }, Value::Count(count)) => {
                let as_int = Whole(*count);
                data_points.push(Count { attributes, start_time_unix_nano, time_unix_nano, as_int });
            }
            (Data::Histogram { data_points, .. }, Value::Spread(spread)) => data_points.push(Spread {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count: Whole(spread.count()),
                sum: spread.sum,
                bucket_counts: spread.buckets.iter().copied().map(Whole).collect(),
                explicit_bounds: crate::http::metrics::BUCKETS.to_vec(),
            }),
            // A number is counted, a level or spread, always the same.
            _ => {}
        }
    }
    metrics
}

fn empty(row: &Row) -> Metric {
    let (unit, data) = match &row.value {
        Value::Count(_) => {
            ("1", Data::Sum { data_points: Vec::new(), aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        Value::Level(_) => ("1", Data::Gauge { data_points: Vec::new() }),
        Value::Spread(_) => ("s", Data::Histogram { data_points: Vec::new(), aggregation_temporality: CUMULATIVE }),
    };
    Metric { name: format!("ringfence.{}", row.number.name()), description: row.number.help(), unit, data }
}
