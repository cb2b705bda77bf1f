//! Spans: what is told of one call. Everything that leaves about a call is made in [`Called::spans`].
//!
//! A call is `execute_tool NAME`, after the conventions for generative AI; below it stand the steps of the pipeline that
//! take time. What could not be tried, and is on record as that, is one without steps; where it is of nothing that there
//! is, it has no name either. What a caller or a tool has written is in none of them: a name is one of the catalogue's, a
//! code one of ours.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use ringfence_model::digest::Digest;
use ringfence_model::id::CallId;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::ring::Ring;
use ringfence_runtime::pipeline::Response;
use ringfence_runtime::pipeline::Taken;

use crate::catalogue::Offer;
use crate::http::metrics::kind_name;
use crate::service::ServiceError;
use crate::telemetry::now;
use crate::telemetry::otlp::Attribute;
use crate::telemetry::otlp::INTERNAL;
use crate::telemetry::otlp::Nanos;
use crate::telemetry::otlp::Span;
use crate::telemetry::otlp::Status;
use crate::telemetry::trace::Parent;

/// What a call is, by the conventions.
const OPERATION: &str = "execute_tool";

/// A call that has begun, as far as it is told of.
#[derive(Clone, Debug)]
pub struct Begun {
    /// None, if nothing was called that there is for whoever calls.
    tool: Option<(String, Digest)>,
    ring: Ring,
    parent: Option<Parent>,
    at: SystemTime,
    since: Instant,
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub(super) struct Called {
    begun: Begun,
    took: Duration,
    steps: Vec<Taken>,
    made: Option<Made>,
    /// The code of what went wrong.
    error: Option<String>,
}

/// Where a call that was made is on record, and how it ended.
#[derive(Clone, Copy, Debug)]
struct Made {
    call: CallId,
    entry: u64,
    kind: OutcomeKind,
}

impl Begun {
    /// A call that begins now, of something that is offered.
    pub(crate) fn now(offer: &Offer, parent: Option<Parent>) -> Self {
        let (name, registered) = (offer.known_name().to_owned(), offer.registered());
        let tool = Some((name, registered.tool.reference().digest));
        Self { tool, ..Self::of_nothing(registered.ring, parent) }
    }

    /// An attempt at something that is not there for whoever makes it, now.
    pub(crate) fn of_nothing(ring: Ring, parent: Option<Parent>) -> Self {
        Self { tool: None, ring, parent, at: now(), since: Instant::now() }
    }

    pub(super) fn ended(self, made: &Result<Response, ServiceError>) -> Called {
        let took = self.since.elapsed();
        match made {
            Ok(response) => {
                let (outcome, steps) = (&response.outcome, response.steps.clone());
                let error = (outcome.kind != OutcomeKind::Returned).then(|| outcome.code().to_owned());
                let made = Made { call: response.call, entry: response.recorded.index, kind: outcome.kind };
                Called { begun: self, took, steps, made: Some(made), error }
            }
            Err(failed) => {
                Called { begun: self, took, steps: Vec::new(), made: None, error: Some(failed.code().to_owned()) }
            }
        }
    }
}

impl Called {
    /// In how many spans it is told of.
    pub(super) fn len(&self) -> usize {
        1 + self.steps.len()
    }

    /// What leaves about it; `random` makes ids.
    pub(super) fn spans(&self, random: &mut impl FnMut() -> [u8; 16]) -> Vec<Span> {
        let (trace, parent) = match self.begun.parent {
            Some(Parent { trace, span }) => (trace, Some(hex::encode(span))),
            None => (random(), None),
        };
        let trace_id = hex::encode(trace);
        let mut drawn = |parent_span_id: Option<String>, name: String, began: Instant, took: Duration| {
            let [id @ .., _, _, _, _, _, _, _, _] = random();
            // By one clock from where the other stood when the call began: nothing ends before it has begun.
            let start = self.begun.at + began.saturating_duration_since(self.begun.since);
            Span {
                trace_id: trace_id.clone(),
                span_id: hex::encode(id),
                parent_span_id,
                name,
                kind: INTERNAL,
                start_time_unix_nano: Nanos(start),
                end_time_unix_nano: Nanos(start + took),
                attributes: Vec::new(),
                status: Status::default(),
            }
        };
        let tool = self.begun.tool.as_ref();
        let name = tool.map_or_else(|| OPERATION.to_owned(), |(name, _)| format!("{OPERATION} {name}"));
        let mut whole = drawn(parent, name, self.begun.since, self.took);
        whole.attributes = self.attributes();
        whole.status = if self.error.is_some() { Status::WRONG } else { Status::default() };
        let own = whole.span_id.clone();
        let steps = self
            .steps
            .iter()
            .map(|taken| drawn(Some(own.clone()), taken.step.name().to_owned(), taken.began, taken.took));
        let steps: Vec<_> = steps.collect();
        std::iter::once(whole).chain(steps).collect()
    }

    fn attributes(&self) -> Vec<Attribute> {
        let Begun { tool, ring, .. } = &self.begun;
        let mut attributes = vec![Attribute::text("gen_ai.operation.name", OPERATION)];
        if let Some((name, digest)) = tool {
            attributes.push(Attribute::text("gen_ai.tool.name", name));
            attributes.push(Attribute::text("ringfence.tool.digest", digest.to_string()));
        }
        attributes.push(Attribute::number("ringfence.ring", u64::from(ring.number())));
        if let Some(Made { call, entry, kind }) = &self.made {
            attributes.push(Attribute::text("gen_ai.tool.call.id", call.to_string()));
            attributes.push(Attribute::number("ringfence.entry", *entry));
            attributes.push(Attribute::text("ringfence.outcome", kind_name(*kind)));
        }
        attributes.extend(self.error.as_ref().map(|code| Attribute::text("error.type", code)));
        attributes
    }
}

#[cfg(test)]
impl Begun {
    /// One of nothing that there is.
    pub(super) fn sample() -> Self {
        Self { tool: Some(("sample".to_owned(), Digest::ZERO)), ..Self::of_nothing(Ring::Sandbox, None) }
    }
}
