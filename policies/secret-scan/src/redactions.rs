//! What is taken out: spans of strings, whole values where spans can't be named, and more than that when it is too much.
//!
//! The host takes a reply of bounded size. A body with more secrets than fit loses the members they are in.

use std::collections::BTreeMap;

use ringfence_policy_support::types::{Reason, RedactedPart, Redaction, Span};
use ringfence_policy_support::{quoted, reason};

use crate::scan::Finding;
use crate::walk::{Place, Step};

/// Redactions of one reply.
const REDACTIONS_MAX: usize = 1_000;
/// Spans of one reply.
const SPANS_MAX: usize = 4_000;
/// Bytes of one pointer.
const POINTER_BYTES_MAX: usize = 1_024;
/// Bytes of all pointers of one reply.
const POINTERS_BYTES_MAX: usize = 64 * 1024;

/// What was found, and what is to be taken out for it.
#[derive(Debug, Default)]
pub struct Redactions<'s> {
    parts: BTreeMap<String, RedactedPart>,
    found: BTreeMap<&'s str, Found>,
    spans: usize,
    pointers_bytes: usize,
    /// Whether whole members of the body are taken out, because it was too much.
    is_coarse: bool,
}

/// How many a rule found, and the member of the body that the first is in.
#[derive(Debug)]
struct Found {
    count: usize,
    member: String,
}

impl<'s> Redactions<'s> {
    /// Takes out these parts of the string at a place.
    pub fn spans(&mut self, found: &[Finding<'s>], place: Place<'_, '_>) {
        found.iter().for_each(|finding| self.count(finding.rule, place));
        let (pointer, is_whole) = pointer(self.within(place));
        let spans = if is_whole { merged(found) } else { None };
        self.spans += spans.as_ref().map_or(0, Vec::len);
        self.insert(pointer, spans.map_or(RedactedPart::Value, RedactedPart::Spans));
    }

    /// Takes out the value at a place.
    pub fn value(&mut self, rule: &'s str, place: Place<'_, '_>) {
        self.count(rule, place);
        self.insert(pointer(self.within(place)).0, RedactedPart::Value);
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether what is to be taken out is the body itself.
    pub fn is_everything(&self) -> bool {
        self.parts.contains_key("")
    }

    /// A reason for each rule that found something. The member is one of the few that a body has: a pointer could
    /// repeat a secret.
    pub fn reasons(&self) -> Vec<Reason> {
        let reason = |(rule, found): (&&str, &Found)| {
            let Found { count, member } = found;
            let text = format!("the rule `{rule}` found {count}, the first of them in {}", quoted(member));
            reason(&format!("secret-{rule}"), text)
        };
        self.found.iter().map(reason).collect()
    }

    /// What is to be taken out. Nothing is named that lies in a value that goes as a whole.
    pub fn into_list(self) -> Vec<Redaction> {
        let goes = |pointer: &str| matches!(self.parts.get(pointer), Some(RedactedPart::Value));
        let is_inside = |pointer: &str| pointer.match_indices('/').any(|(at, _)| goes(&pointer[..at]));
        let left = self.parts.iter().filter(|(pointer, _)| !is_inside(pointer));
        left.map(|(pointer, part)| Redaction { pointer: pointer.clone(), part: part.clone() }).collect()
    }

    fn count(&mut self, rule: &'s str, place: Place<'_, '_>) {
        let member = || match place.first() {
            Some(Step::Key(key)) => key.chars().take(POINTER_BYTES_MAX).collect(),
            _ => "body".to_owned(),
        };
        self.found.entry(rule).or_insert_with(|| Found { count: 0, member: member() }).count += 1;
    }

    fn within<'p, 'b>(&self, place: Place<'p, 'b>) -> Place<'p, 'b> {
        if self.is_coarse { &place[..place.len().min(1)] } else { place }
    }

    fn insert(&mut self, pointer: String, part: RedactedPart) {
        self.pointers_bytes += pointer.len();
        match part {
            // A value that goes as a whole needs no spans.
            RedactedPart::Spans(_) => drop(self.parts.entry(pointer).or_insert(part)),
            RedactedPart::Value | RedactedPart::Member => drop(self.parts.insert(pointer, part)),
        }
        let is_too_much =
            self.parts.len() > REDACTIONS_MAX || self.spans > SPANS_MAX || self.pointers_bytes > POINTERS_BYTES_MAX;
        if is_too_much && !self.is_coarse {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        let member = |pointer: &str| match pointer.match_indices('/').nth(1) {
            Some((end, _)) => pointer[..end].to_owned(),
            None => pointer.to_owned(),
        };
        self.parts = self.parts.keys().map(|pointer| (member(pointer), RedactedPart::Value)).collect();
        self.is_coarse = true;
    }
}

/// The JSON Pointer to a place, or to as much of it as has room; and whether that is all of it.
fn pointer(place: Place<'_, '_>) -> (String, bool) {
    let mut pointer = String::new();
    for step in place {
        let before = pointer.len();
        pointer.push('/');
        match step {
            Step::Index(index) => pointer.push_str(&index.to_string()),
            Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
        }
        if pointer.len() > POINTER_BYTES_MAX {
            pointer.truncate(before);
            return (pointer, false);
        }
    }
    (pointer, true)
}

/// Spans in order and apart from each other; none if they are too many, or lie where no span can point to.
fn merged(found: &[Finding<'_>]) -> Option<Vec<Span>> {
    let mut spans: Vec<Span> = Vec::new();
    for finding in found {
        let (start, end) = (u32::try_from(finding.start).ok()?, u32::try_from(finding.end).ok()?);
        match spans.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => spans.push(Span { start, end }),
        }
    }
    (spans.len() <= SPANS_MAX).then_some(spans)
}
