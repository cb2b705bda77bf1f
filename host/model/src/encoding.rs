//! The bytes of an entry: the only bytes that are hashed.
//!
//! An entry is one JSON object, canonical by RFC 8785: `body`, `index`, `kind`, `prev`, `time`, `v`, in that order and
//! without white space. [`decode`] is strict: what it accepts, [`encode`] gives back byte by byte, so an entry has one
//! spelling. Unknown kinds, fields and versions are refused.

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::digest::Digest;
use crate::entry::Body;
use crate::entry::Entry;
use crate::entry::FORMAT_VERSION;
use crate::limits;
use crate::time::Timestamp;

/// Why an entry can't be written.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// It is larger than an entry may be.
    #[error("an entry of {0} bytes is larger than {max}", max = limits::ENTRY_BYTES_MAX)]
    TooLarge(usize),
    /// It could not be serialised.
    #[error("the entry could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Why bytes are no entry.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Larger than an entry may be.
    #[error("{0} bytes are more than an entry may have ({max})", max = limits::ENTRY_BYTES_MAX)]
    TooLarge(usize),
    /// Not JSON, or not the JSON of an entry.
    #[error("not an entry: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Of a kind this version does not know.
    #[error("`{0}` is not a kind of entry that this version knows")]
    UnknownKind(String),
    /// Of a version this version does not know.
    #[error("version {0} of the format is not one that this version knows")]
    UnknownVersion(u64),
    /// An entry in another spelling than the canonical one.
    #[error("an entry, but not in its canonical form")]
    NotCanonical,
}

#[derive(Serialize)]
struct WireOut<'a> {
    body: &'a Body,
    index: u64,
    kind: &'static str,
    prev: Digest,
    time: Timestamp,
    v: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireIn<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
    index: u64,
    kind: &'a str,
    prev: Digest,
    time: Timestamp,
    v: u64,
}

/// The canonical bytes of an entry.
pub fn encode(entry: &Entry) -> Result<Vec<u8>, EncodeError> {
    let Entry { body, index, prev, time } = entry;
    let wire = WireOut { body, index: *index, kind: body.kind(), prev: *prev, time: *time, v: FORMAT_VERSION };
    let mut bytes = Vec::with_capacity(1024);
    serde_json::to_writer(&mut bytes, &wire)?;
    if bytes.len() > limits::ENTRY_BYTES_MAX {
        return Err(EncodeError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// The entry that `bytes` are the canonical bytes of.
pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
    if bytes.len() > limits::ENTRY_BYTES_MAX {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    let wire: WireIn<'_> = serde_json::from_slice(bytes)?;
    if wire.v != FORMAT_VERSION {
        return Err(DecodeError::UnknownVersion(wire.v));
    }
    let body = wire.body.get();
    let body = match wire.kind {
        "answered" => Body::Answered(serde_json::from_str(body)?),
        "approved" => Body::Approved(serde_json::from_str(body)?),
        "begun" => Body::Begun(serde_json::from_str(body)?),
        "decided" => Body::Decided(serde_json::from_str(body)?),
        "elevated" => Body::Elevated(serde_json::from_str(body)?),
        "finished" => Body::Finished(serde_json::from_str(body)?),
        "halted" => Body::Halted(serde_json::from_str(body)?),
        "held" => Body::Held(serde_json::from_str(body)?),
        "opened" => Body::Opened(serde_json::from_str(body)?),
        "refused" => Body::Refused(serde_json::from_str(body)?),
        "rejected" => Body::Rejected(serde_json::from_str(body)?),
        "resumed" => Body::Resumed(serde_json::from_str(body)?),
        "rotated" => Body::Rotated(serde_json::from_str(body)?),
        "session-closed" => Body::SessionClosed(serde_json::from_str(body)?),
        "session-opened" => Body::SessionOpened(serde_json::from_str(body)?),
        "removed" => Body::Removed(serde_json::from_str(body)?),
        "settled" => Body::Settled(serde_json::from_str(body)?),
        other => return Err(DecodeError::UnknownKind(other.chars().take(64).collect())),
    };
    let entry = Entry { body, index: wire.index, prev: wire.prev, time: wire.time };
    match encode(&entry) {
        Ok(again) if again == bytes => Ok(entry),
        _ => Err(DecodeError::NotCanonical),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Ceiling;
    use crate::capability::Source;
    use crate::content::ContentName;
    use crate::decision::DecisionPoint;
    use crate::digest::Nonce;
    use crate::entry::Answered;
    use crate::entry::ApprovalAnswer;
    use crate::entry::Begun;
    use crate::entry::Decided;
    use crate::entry::DecisionRecord;
    use crate::entry::EffectState;
    use crate::entry::Elevated;
    use crate::entry::Finished;
    use crate::entry::HaltChange;
    use crate::entry::Held;
    use crate::entry::Opened;
    use crate::entry::Refused;
    use crate::entry::Removed;
    use crate::entry::RemovedContent;
    use crate::entry::Rotated;
    use crate::entry::RulingRecord;
    use crate::entry::SessionClosed;
    use crate::entry::SessionOpened;
    use crate::entry::Settled;
    use crate::entry::Settlement;
    use crate::entry::Stage;
    use crate::entry::Used;
    use crate::entry::VerdictKind;
    use crate::grant::Layer;
    use crate::grant::Limits;
    use crate::grant::Reach;
    use crate::id::ApprovalId;
    use crate::id::CallId;
    use crate::id::SessionId;
    use crate::json;
    use crate::outcome::OutcomeKind;
    use crate::principal::Principal;
    use crate::ring::Ring;
    use crate::tool::Effect;
    use crate::tool::ToolRef;

    fn decision() -> DecisionRecord {
        let ruling = RulingRecord {
            digest: Digest::of(b"policy"),
            fuel: 1234,
            name: "ring-default".into(),
            reasons: vec!["within-ring".into()],
            settings: Digest::of(b"{}"),
            verdict: VerdictKind::Permit,
        };
        let request = Nonce::from_random([3; 16]).commit(b"request");
        DecisionRecord { allowed: true, policy_set: Digest::of(b"set"), request, rulings: vec![ruling] }
    }

    fn principal() -> Principal {
        "agent:claims".parse().expect("a principal")
    }

    fn tool() -> ToolRef {
        ToolRef { digest: Digest::of(b"tool"), name: "files".into() }
    }

    fn bodies() -> Vec<Body> {
        let commitment = Nonce::from_random([1; 16]).commit(b"content");
        let call = CallId::from_random([7; 16]);
        let session = Some(SessionId::from_random([8; 16]));
        let limits =
            Limits { files: 6, fuel: 1, handles: 2, memory_bytes: 3, output_bytes: 4, wall_ms: 5, write_bytes: 7 };
        let begun = Begun {
            admission: Some(decision()),
            approval: Some(ApprovalId::from_random([9; 16])),
            call,
            decision: decision(),
            effect: Effect::Reads,
            function: "read \"é\"\n".into(),
            grant: commitment,
            idempotency_key: Some(Digest::of(b"key")),
            input: commitment,
            limits,
            principal: principal(),
            reach: Reach::Reads,
            ring: Ring::Sandbox,
            session,
            tool: tool(),
        };
        let finished = Finished {
            begun: 1,
            call,
            code: "returned".into(),
            decision: Some(decision()),
            effect: EffectState::Committed,
            outcome: OutcomeKind::Returned,
            output: commitment,
            redacted: 2,
            trace: commitment,
            used: Used { fuel: 9, memory_bytes: 8, output_bytes: 7, wall_ms: 6 },
        };
        let refused = Refused {
            admission: Some(decision()),
            call,
            code: "denied.policy".into(),
            decision: Some(decision()),
            function: "write".into(),
            input: commitment,
            layer: Some(Layer::Ring),
            principal: principal(),
            ring: Ring::Sandbox,
            session: None,
            stage: Stage::Decide,
            tool: tool(),
        };
        let opened = Opened { host: "ringfence 0.1.0".into(), key: "k+1+a".into(), origin: "example.com/log".into() };
        vec![
            Body::Opened(opened),
            Body::Begun(Box::new(begun)),
            Body::Finished(Box::new(finished)),
            Body::Refused(Box::new(refused)),
        ]
        .into_iter()
        .chain(bodies_about_the_log())
        .chain(later_bodies())
        .collect()
    }

    fn bodies_about_the_log() -> [Body; 2] {
        let removed = Removed {
            by: "privacy \"desk\"".into(),
            contents: vec![
                RemovedContent { entry: 1, name: ContentName::Input },
                RemovedContent { entry: 2, name: ContentName::Output },
            ],
            principal: principal(),
            reason: "asked for".into(),
        };
        let rotated = Rotated {
            new: "k+2+b".into(),
            new_signature: "bmV3".into(),
            old: "k+1+a".into(),
            old_signature: "b2xk".into(),
        };
        [Body::Removed(Box::new(removed)), Body::Rotated(Box::new(rotated))]
    }

    /// Every other kind, with everything that may be missing.
    fn later_bodies() -> Vec<Body> {
        let commitment = Nonce::from_random([1; 16]).commit(b"content");
        let (call, session) = (CallId::from_random([7; 16]), SessionId::from_random([8; 16]));
        let approval = ApprovalId::from_random([9; 16]);
        let time = Timestamp::from_millis(1_795_218_613_007);
        let answer = ApprovalAnswer { approval, by: principal(), held: 3, reason: Some(commitment) };
        vec![
            Body::Answered(Box::new(Answered {
                answer: 2,
                call,
                decision: decision(),
                function: "read".into(),
                input: commitment,
                principal: principal(),
                ring: Ring::Sandbox,
                session: Some(session),
                tool: tool(),
            })),
            Body::Approved(answer.clone()),
            Body::Rejected(answer),
            Body::Held(Box::new(Held {
                approval,
                binding: Digest::of(b"binding"),
                call: Some(call),
                decision: decision(),
                expires: time,
                function: Some("write".into()),
                input: Some(commitment),
                point: DecisionPoint::Call,
                principal: principal(),
                ring: Ring::Standard,
                session: Some(session),
                tool: Some(tool()),
            })),
            Body::Decided(Box::new(Decided {
                decision: decision(),
                point: DecisionPoint::Admit,
                principal: principal(),
                redacted: 1,
                ring: Ring::Sandbox,
                session: Some(session),
                tool: Some(tool()),
            })),
            Body::Elevated(Box::new(Elevated {
                approval: Some(approval),
                decision: decision(),
                from: Ring::Sandbox,
                principal: principal(),
                session,
                to: Ring::Standard,
                until: time,
            })),
            Body::SessionOpened(SessionOpened {
                allow: Some(vec!["files/*".parse().expect("a pattern")]),
                by: principal(),
                ceiling: Some(Box::new(Ceiling { clock: Some(Source::Fixed), ..Ring::Sandbox.ceiling() })),
                name: "nightly".into(),
                principal: principal(),
                ring: Ring::Sandbox,
                session,
            }),
            Body::SessionClosed(SessionClosed { by: principal(), session }),
            Body::Halted(HaltChange { by: principal(), reason: commitment }),
            Body::Resumed(HaltChange { by: principal(), reason: commitment }),
            Body::Settled(Settled {
                by: principal(),
                call,
                finished: 2,
                how: Settlement::NotExecuted,
                reason: commitment,
            }),
        ]
    }

    fn entries() -> Vec<Entry> {
        let time = Timestamp::from_millis(1_795_218_613_007);
        let of = |(index, body)| Entry { body, index, prev: Digest::of(b"prev"), time };
        (0..).zip(bodies()).map(of).collect()
    }

    #[test]
    fn encoding_is_canonical_json() {
        for entry in entries() {
            let bytes = encode(&entry).expect("bytes");
            let value = json::parse(&bytes).expect("JSON");
            assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&json::canonical(&value)));
            assert_eq!(bytes, serde_json_canonicalizer::to_vec(&value).expect("JSON"));
        }
    }

    #[test]
    fn decoding_gives_the_entry_back() {
        for entry in entries() {
            assert_eq!(decode(&encode(&entry).expect("bytes")).expect("an entry"), entry);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for entry in entries() {
            let text = String::from_utf8(encode(&entry).expect("bytes")).expect("UTF-8");
            for other in [
                format!(" {text}"),
                format!("{text}\n"),
                text.replace("\"v\":1", "\"v\":2"),
                text.replace("\"v\":1", "\"v\":1,\"w\":1"),
                text.replace("\"v\":1", "\"v\":1.0"),
                text.replace("\"kind\":\"", "\"kind\":\"x"),
                text.replace("\"body\":{", "\"body\":{\"aa\":1,"),
                text.replace("\"index\":", "\"index\":-"),
                text.replace("sha256:", "SHA256:"),
                text[..text.len() - 1].to_owned(),
            ] {
                assert!(other != text && decode(other.as_bytes()).is_err(), "{other}");
            }
        }
    }

    #[test]
    fn every_single_byte_counts() {
        // AUD-13: an edited entry is another entry or none, never the same one.
        for entry in entries() {
            let bytes = encode(&entry).expect("bytes");
            for position in 0..bytes.len() {
                for bit in 0..8 {
                    let mut edited = bytes.clone();
                    edited[position] ^= 1 << bit;
                    assert!(decode(&edited).map_or(true, |other| other != entry));
                }
            }
        }
    }
}
