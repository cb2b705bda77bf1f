//! Fixtures for tests of the ledger and of what stands on it: seeded randomness, a clock that stands, calls to make.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use ringfence_audit::signer::Signer as _;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_audit::verify::Report;
use ringfence_model::call::IdempotencyKey;
use ringfence_model::capability::Ceiling;
use ringfence_model::decision::ApprovalDemand;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::digest::Digest;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Opened;
use ringfence_model::entry::RulingRecord;
use ringfence_model::entry::Stage;
use ringfence_model::entry::Used;
use ringfence_model::entry::VerdictKind;
use ringfence_model::grant::Limits;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::Trace;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::principal::PrincipalPattern;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;

use crate::ledger::Begin;
use crate::ledger::Begun;
use crate::ledger::DecisionDraft;
use crate::ledger::Ending;
use crate::ledger::Intent;
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::Random;
use crate::ledger::Recorded;
use crate::ledger::RefusalDraft;
use crate::ledger::approvals::HoldDraft;
use crate::ledger::backend::Backend;
use crate::ledger::backend::StoredEntry;
use crate::ledger::random::RandomError;
use crate::ledger::sessions::SessionDraft;

/// A clock that moves by a second each time it is asked, forwards or backwards.
#[derive(Debug)]
pub(crate) struct SteppingClock {
    millis: AtomicU64,
    backwards: bool,
}

impl SteppingClock {
    pub(crate) fn new(backwards: bool) -> Arc<Self> {
        Arc::new(Self { millis: AtomicU64::new(1_795_218_613_000), backwards })
    }
}

impl Clock for SteppingClock {
    fn now(&self) -> Timestamp {
        let step = if self.backwards { 1000_u64.wrapping_neg() } else { 1000 };
        Timestamp::from_millis(self.millis.fetch_add(step, Ordering::Relaxed))
    }
}

/// Bytes that follow from a seed alone.
#[derive(Debug)]
pub(crate) struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let mut state = self.0.lock().expect("a seed");
        for chunk in bytes.chunks_mut(32) {
            *state += 1;
            let digest = Digest::of(&state.to_be_bytes());
            chunk.copy_from_slice(&digest.as_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

pub(crate) const ORIGIN: &str = "example.org/log";

pub(crate) fn signer() -> Arc<SoftwareSigner> {
    Arc::new(SoftwareSigner::from_seed(ORIGIN, &[7; 32]).expect("a signer"))
}

pub(crate) fn opened() -> Opened {
    Opened { host: "ringfence 0.1.0".into(), key: signer().verifier().to_string(), origin: ORIGIN.into() }
}

/// All entries, and that they are one whole chain under the last checkpoint, if there is one.
pub(crate) fn verified(ledger: &Ledger) -> Vec<StoredEntry> {
    let entries = ledger.entries(0, usize::MAX).expect("entries");
    let report = report(ledger, &entries);
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(report.entries, ledger.len());
    entries
}

pub(crate) fn report(ledger: &Ledger, entries: &[StoredEntry]) -> Report {
    let checkpoint = ledger.read(|backend| backend.latest_checkpoint()).expect("a checkpoint");
    // Without a checkpoint there is nothing that a key could vouch for.
    let keys = checkpoint.iter().map(|_| signer().verifier().clone()).collect();
    let mut check = LogCheck::new(Options { keys });
    if let Some(checkpoint) = checkpoint {
        check.checkpoint(&checkpoint.note);
    }
    for entry in entries {
        check.entry_with_hash(&entry.bytes, &entry.hash);
    }
    check.finish()
}

pub(crate) fn create(backend: impl Backend + 'static) -> Ledger {
    Ledger::create(Box::new(backend), opened(), SteppingClock::new(false), SeededRandom::new(0)).expect("a new log")
}

pub(crate) fn open(backend: impl Backend + 'static) -> Ledger {
    try_open(backend).expect("a log")
}

pub(crate) fn try_open(backend: impl Backend + 'static) -> Result<Ledger, LedgerError> {
    Ledger::open(Box::new(backend), SteppingClock::new(false), SeededRandom::new(1 << 32))
}

pub(crate) fn call(number: u64) -> CallId {
    let bytes = Digest::of(&number.to_be_bytes());
    CallId::from_random(*bytes.as_bytes().first_chunk().expect("16 bytes"))
}

pub(crate) fn principal(name: &str) -> Principal {
    format!("agent:{name}").parse().expect("a principal")
}

pub(crate) fn tool(name: &str) -> ToolRef {
    ToolRef { digest: Digest::of(name.as_bytes()), name: name.into() }
}

pub(crate) fn decision(allowed: bool) -> DecisionDraft {
    let verdict = if allowed { VerdictKind::Permit } else { VerdictKind::Forbid };
    let ruling = RulingRecord {
        digest: Digest::of(b"policy"),
        fuel: 1234,
        name: "ring-default".into(),
        reasons: vec!["within-ring".into()],
        settings: Digest::of(b"{}"),
        verdict,
    };
    let request = b"{\"function\":\"f\"}".to_vec();
    DecisionDraft { allowed, keeps_request: true, policy_set: Digest::of(b"set"), request, rulings: vec![ruling] }
}

/// A call of `agent:a` to `files`, on the number as its input, that reaches as far as said.
pub(crate) fn intent(number: u64, reach: Reach) -> Intent {
    Intent {
        admission: None,
        approval: None,
        call: call(number),
        caps: Vec::new(),
        decision: decision(true),
        effect: Effect::Unknown,
        function: "f".into(),
        grant: b"{}".to_vec(),
        reachable: ringfence_model::digest::Digest::ZERO,
        idempotency_key: None,
        idempotent: false,
        input: format!("{{\"function\":\"f\",\"value\":{number}}}").into_bytes(),
        keep: None,
        limits: Limits { files: 0, fuel: 1, handles: 2, memory_bytes: 3, output_bytes: 4, wall_ms: 5, write_bytes: 0 },
        principal: principal("a"),
        reach,
        ring: Ring::Standard,
        session: Some(SessionId::from_random([8; 16])),
        tool: tool("files"),
    }
}

/// The same call under a key; the input is that of the key, so calls under one key are the same call.
pub(crate) fn keyed(number: u64, reach: Reach, key: &str) -> Intent {
    let input = format!("{{\"function\":\"f\",\"value\":\"{key}\"}}").into_bytes();
    Intent { idempotency_key: Some(IdempotencyKey::new(key).expect("a key")), input, ..intent(number, reach) }
}

pub(crate) fn ending(effect: EffectState, value: &str) -> Ending {
    let outcome = Outcome::returned(Some(value.into()));
    Ending::of(&outcome, effect, &Trace::default(), Used { fuel: 9, ..Used::default() })
}

pub(crate) fn refusal(number: u64) -> RefusalDraft {
    RefusalDraft {
        admission: None,
        call: call(number),
        code: "denied.policy".into(),
        decision: Some(decision(false)),
        function: "f".into(),
        input: b"{}".to_vec(),
        layer: None,
        principal: principal("a"),
        ring: Ring::Sandbox,
        session: None,
        stage: Stage::Decide,
        tool: tool("files"),
    }
}

/// Begins a call that must be free to run.
pub(crate) fn begin(ledger: &Ledger, intent: Intent) -> Begun {
    match ledger.begin(intent) {
        Ok(Begin::Begun(begun)) => begun,
        other => panic!("the call may not run: {other:?}"),
    }
}

/// Makes a whole call that commits.
pub(crate) fn make(ledger: &Ledger, intent: Intent) -> Recorded {
    let begun = begin(ledger, intent);
    ledger.finish(begun, ending(EffectState::Committed, "done")).expect("an ending")
}

/// A session that somebody opens.
pub(crate) fn session(name: &str, whose: &Principal) -> SessionDraft {
    SessionDraft {
        allow: None,
        ceiling: Ceiling::default(),
        name: name.to_owned(),
        principal: whose.clone(),
        ring: Ring::Sandbox,
    }
}

/// A question of `agent:a` to any operator, bound to the number, that waits for so long.
pub(crate) fn question(number: u64, valid_ms: u64) -> HoldDraft {
    let by = vec![PrincipalPattern::Every(PrincipalKind::Operator)];
    HoldDraft {
        binding: Digest::of(&number.to_be_bytes()),
        call: None,
        decision: decision(true),
        demands: vec![ApprovalDemand { by, reason: "x".into(), valid_ms }],
        function: None,
        input: None,
        point: DecisionPoint::Elevate,
        principal: principal("a"),
        ring: Ring::Sandbox,
        session: None,
        tool: None,
    }
}
