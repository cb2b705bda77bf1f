//! Bodies of a realistic log, the same for every run: an opening, then calls that begin and finish, and refusals.

#![allow(dead_code, unreachable_pub, reason = "each test that includes this uses a part of it")]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::entry::Begun;
use ringfence_model::entry::Body;
use ringfence_model::entry::DecisionRecord;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Finished;
use ringfence_model::entry::Opened;
use ringfence_model::entry::Refused;
use ringfence_model::entry::RulingRecord;
use ringfence_model::entry::Stage;
use ringfence_model::entry::Used;
use ringfence_model::entry::VerdictKind;
use ringfence_model::grant::Layer;
use ringfence_model::grant::Limits;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;

pub const ORIGIN: &str = "example.org/ringfence";
pub const INPUT_NONCE: Nonce = Nonce::from_random([1; 16]);
pub const OUTPUT_NONCE: Nonce = Nonce::from_random([2; 16]);

/// Half a second between entries.
pub fn time(index: u64) -> Timestamp {
    Timestamp::from_millis(1_795_218_613_007 + index * 500)
}

/// Entry `index` of the log: an opening, then in each five two calls that begin and finish, and one that is refused.
pub fn body(index: u64, key: &str) -> Body {
    match index {
        0 => Body::Opened(Opened { host: "ringfence 0.1.0".into(), key: key.to_owned(), origin: ORIGIN.into() }),
        _ => match (index - 1) % 5 {
            0 | 2 => begun(index),
            1 | 3 => finished(index - 1),
            _ => refused(index),
        },
    }
}

pub fn bodies(count: u64, key: &str) -> Vec<Body> {
    (0..count).map(|index| body(index, key)).collect()
}

fn call(index: u64) -> CallId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    CallId::from_random(bytes)
}

fn principal() -> Principal {
    "agent:claims-7".parse().expect("a principal")
}

fn tool() -> ToolRef {
    ToolRef { digest: Digest::of(b"tool"), name: "files".into() }
}

fn decision(index: u64) -> DecisionRecord {
    let ruling = |name: &str, verdict, reasons: &[&str]| RulingRecord {
        digest: Digest::of(name.as_bytes()),
        fuel: 20_000 + index,
        name: name.to_owned(),
        reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        settings: Digest::of(b"{}"),
        verdict,
    };
    DecisionRecord {
        allowed: !index.is_multiple_of(5),
        policy_set: Digest::of(b"set"),
        request: Nonce::from_random([3; 16]).commit(&index.to_be_bytes()),
        rulings: vec![
            ruling("ring-default", VerdictKind::Permit, &["within-ring"]),
            ruling("spend", VerdictKind::Abstain, &[]),
        ],
    }
}

fn begun(index: u64) -> Body {
    Body::Begun(Box::new(Begun {
        admission: None,
        approval: None,
        call: call(index),
        decision: decision(index),
        effect: Effect::Reads,
        function: "ringfence:files/read@0.1.0#read-text".into(),
        grant: Nonce::from_random([4; 16]).commit(b"grant"),
        idempotency_key: (index % 2 == 1).then(|| Digest::of(&index.to_be_bytes())),
        input: INPUT_NONCE.commit(b"input"),
        limits: Limits {
            files: 0,
            fuel: 10_000_000_000,
            handles: 64,
            memory_bytes: 268_435_456,
            output_bytes: 1_048_576,
            wall_ms: 30_000,
            write_bytes: 0,
        },
        principal: principal(),
        reach: Reach::Reads,
        ring: Ring::Sandbox,
        session: (!index.is_multiple_of(3)).then(|| SessionId::from_random([8; 16])),
        tool: tool(),
    }))
}

fn finished(begun: u64) -> Body {
    Body::Finished(Box::new(Finished {
        begun,
        call: call(begun),
        code: "returned".into(),
        decision: None,
        effect: EffectState::Committed,
        outcome: OutcomeKind::Returned,
        output: OUTPUT_NONCE.commit(b"output"),
        redacted: 0,
        trace: Nonce::from_random([5; 16]).commit(b"trace"),
        used: Used { fuel: 123_456_789, memory_bytes: 1_114_112, output_bytes: 512, wall_ms: 17 },
    }))
}

fn refused(index: u64) -> Body {
    Body::Refused(Box::new(Refused {
        admission: None,
        call: call(index),
        code: "denied.policy".into(),
        decision: (index % 2 == 1).then(|| decision(index)),
        function: "ringfence:files/write@0.1.0#write-text".into(),
        input: INPUT_NONCE.commit(b"input"),
        layer: index.is_multiple_of(2).then_some(Layer::Ring),
        principal: principal(),
        ring: Ring::Sandbox,
        session: None,
        stage: Stage::Decide,
        tool: tool(),
    }))
}
