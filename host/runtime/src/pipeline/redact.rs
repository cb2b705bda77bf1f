//! Redactions: what policies want taken out of a result or a transcript.
//!
//! Every pointer is meant for the value as the policies saw it. So values and parts of strings go first, which move
//! nothing, and members and elements last, from the back to the front. What can't be carried out is an error, and the
//! whole is withheld then; what is not there any more is carried out already.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ringfence_model::decision::RedactedPart;
use ringfence_model::decision::Redaction;
use serde_json::Value;

/// What stands in the place of what was taken out.
const REDACTED: &str = "[redacted]";

/// A redaction that can't be carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotRedacted;

/// Carries redactions out.
pub(super) fn apply(value: &mut Value, redactions: &[Redaction]) -> Result<(), NotRedacted> {
    let (mut spans, mut members) = (BTreeMap::<&str, Vec<(u32, u32)>>::new(), Vec::new());
    for Redaction { part, pointer } in redactions {
        match part {
            RedactedPart::Spans(found) => spans.entry(pointer).or_default().extend(found),
            RedactedPart::Value | RedactedPart::Member => {}
        }
    }
    for (pointer, found) in spans {
        cut(value, pointer, found)?;
    }
    for Redaction { part, pointer } in redactions {
        match part {
            RedactedPart::Value => replace(value, pointer),
            RedactedPart::Member => members.push(tokens(pointer)?),
            RedactedPart::Spans(_) => {}
        }
    }
    members.sort_by_cached_key(|tokens| Reverse(tokens.iter().map(|token| order(token)).collect::<Vec<_>>()));
    members.dedup();
    members.iter().try_for_each(|tokens| take_out(value, tokens))
}

fn replace(value: &mut Value, pointer: &str) {
    if let Some(found) = value.pointer_mut(pointer) {
        *found = REDACTED.into();
    }
}

/// Cuts ranges of bytes out of a string; those that touch or overlap become one.
fn cut(value: &mut Value, pointer: &str, mut spans: Vec<(u32, u32)>) -> Result<(), NotRedacted> {
    let Some(found) = value.pointer_mut(pointer) else { return Ok(()) };
    let Value::String(text) = found else { return Err(NotRedacted) };
    spans.sort_unstable();
    let (mut kept, mut end) = (String::new(), 0);
    for (start, stop) in spans {
        let (start, stop) = (position(start)?, position(stop)?);
        if start > end || (start == 0 && kept.is_empty()) {
            kept.push_str(text.get(end..start).ok_or(NotRedacted)?);
            kept.push_str(REDACTED);
        }
        text.get(start..stop).ok_or(NotRedacted)?;
        end = end.max(stop);
    }
    kept.push_str(text.get(end..).ok_or(NotRedacted)?);
    *text = kept;
    Ok(())
}

fn position(byte: u32) -> Result<usize, NotRedacted> {
    usize::try_from(byte).map_err(|_| NotRedacted)
}

fn take_out(value: &mut Value, tokens: &[String]) -> Result<(), NotRedacted> {
    // The whole can't be taken out of itself.
    let (last, path) = tokens.split_last().ok_or(NotRedacted)?;
    let mut place = value;
    for token in path {
        let next = match place {
            Value::Object(members) => members.get_mut(token),
            Value::Array(items) => index(token).and_then(|index| items.get_mut(index)),
            _ => None,
        };
        let Some(next) = next else { return Ok(()) };
        place = next;
    }
    match place {
        Value::Object(members) => drop(members.remove(last)),
        Value::Array(items) => {
            if let Some(index) = index(last).filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
    Ok(())
}

/// RFC 6901: no sign, no leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    plain.then(|| token.parse().ok()).flatten()
}

/// Numbers by their value, so that of two elements the later one is taken out first.
fn order(token: &str) -> (Option<usize>, String) {
    (index(token), token.to_owned())
}

fn tokens(pointer: &str) -> Result<Vec<String>, NotRedacted> {
    let rest = pointer.strip_prefix('/').ok_or(NotRedacted)?;
    Ok(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redaction(pointer: &str, part: RedactedPart) -> Redaction {
        Redaction { part, pointer: pointer.to_owned() }
    }

    fn applied(value: Value, redactions: &[Redaction]) -> Result<Value, NotRedacted> {
        let mut value = value;
        apply(&mut value, redactions).map(|()| value)
    }

    #[test]
    fn parts_are_taken_out() {
        use RedactedPart::Member;
        use RedactedPart::Spans;
        use RedactedPart::Value as Whole;
        let list = || json!({ "a": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"] });
        for (value, redactions, wanted) in [
            (json!({"a": {"b": 1}}), vec![redaction("/a/b", Whole)], json!({"a": {"b": "[redacted]"}})),
            (json!({"a": 1}), vec![redaction("/b", Whole), redaction("/a/b/c", Member)], json!({"a": 1})),
            (json!({"a": "key=abc!"}), vec![redaction("/a", Spans(vec![(4, 7)]))], json!({"a": "key=[redacted]!"})),
            (json!({"a": "abc"}), vec![redaction("/a", Spans(vec![(0, 3)]))], json!({"a": "[redacted]"})),
            (
                json!({"a": "abcdef"}),
                vec![redaction("/a", Spans(vec![(0, 2), (4, 5)])), redaction("/a", Spans(vec![(1, 3)]))],
                json!({"a": "[redacted]d[redacted]f"}),
            ),
            (json!({"a~/b": 1, "c": 2}), vec![redaction("/a~0~1b", Member)], json!({"c": 2})),
            (
                list(),
                vec![redaction("/a/2", Member), redaction("/a/10", Member), redaction("/a/2", Member)],
                json!({ "a": ["0", "1", "3", "4", "5", "6", "7", "8", "9"] }),
            ),
            (
                json!([{"x": [1, 2]}, {"x": [3]}]),
                vec![redaction("/0/x/0", Member), redaction("/0", Member), redaction("/1/x/0", Whole)],
                json!([{"x": ["[redacted]"]}]),
            ),
        ] {
            assert_eq!(applied(value, &redactions), Ok(wanted), "{redactions:?}");
        }
    }

    #[test]
    fn what_can_not_be_done_is_an_error() {
        for (value, redaction) in [
            (json!({"a": 5}), redaction("/a", RedactedPart::Spans(vec![(0, 1)]))),
            (json!({"a": "x"}), redaction("/a", RedactedPart::Spans(vec![(0, 2)]))),
            (json!({"a": "é"}), redaction("/a", RedactedPart::Spans(vec![(0, 1)]))),
            (json!({"a": "é"}), redaction("/a", RedactedPart::Spans(vec![(1, 2)]))),
            (json!({"a": 1}), redaction("", RedactedPart::Member)),
        ] {
            assert_eq!(applied(value, std::slice::from_ref(&redaction)), Err(NotRedacted), "{redaction:?}");
        }
    }
}
