//! What can only be shown inside one process: many calls at once, memory between calls, policies against an oracle.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use ringfence_audit::signer::Signer as _;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_model::call::CallRequest;
use ringfence_model::call::IdempotencyKey;
use ringfence_model::call::Input;
use ringfence_model::capability::Access;
use ringfence_model::capability::Asked;
use ringfence_model::capability::Ceiling;
use ringfence_model::capability::GuestPath;
use ringfence_model::capability::LimitCeiling;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::AskedSummary;
use ringfence_model::decision::CallSubject;
use ringfence_model::decision::FolderSummary;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::decision::Verdict;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Opened;
use ringfence_model::grant::Limits;
use ringfence_model::limits;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;
use ringfence_runtime::egress::Egress;
use ringfence_runtime::egress::EgressConfig;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::gate::Concurrency;
use ringfence_runtime::halt::Halt;
use ringfence_runtime::host::Host;
use ringfence_runtime::host::HostConfig;
use ringfence_runtime::host::HostParts;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::SystemRandom;
use ringfence_runtime::ledger::backend::memory::MemoryBackend;
use ringfence_runtime::pipeline::Response;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::sandbox::link::Imports;
use ringfence_runtime::sequencer::Sequencer;
use ringfence_runtime::toolbox::Tool;
use ringfence_runtime::toolbox::ToolFile;
use serde_json::json;

#[derive(Debug)]
struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_218_613_007)
    }
}

fn ring_default(engine: &Engine) -> Policy {
    let component = std::fs::read(ringfence_artifacts::POLICY_RING_DEFAULT).expect("the policy");
    Policy::load(engine, "ring-default", &component, &json!({})).expect("a policy")
}

fn host() -> Arc<Host> {
    host_with(Concurrency::default())
}

fn host_with(concurrency: Concurrency) -> Arc<Host> {
    host_of(HostConfig { concurrency, ..HostConfig::default() })
}

fn host_of(config: HostConfig) -> Arc<Host> {
    let engine = Engine::new().expect("an engine");
    let signer = Arc::new(SoftwareSigner::from_seed("test.example/log", &[7; 32]).expect("a signer"));
    let opened = Opened { host: "test".into(), key: signer.verifier().to_string(), origin: "test.example/log".into() };
    let (clock, random) = (Arc::new(StillClock), Arc::new(SystemRandom));
    let backend = Box::new(MemoryBackend::new());
    let ledger = Ledger::create(backend, opened, clock.clone(), random).expect("a ledger");
    let sequencer = Sequencer::open(&ledger, signer, None).expect("a sequencer");
    Arc::new(Host::new(HostParts {
        policies: PolicySet::new(vec![ring_default(&engine)]),
        engine,
        config,
        ledger,
        ledger_blocks: false,
        sequencer,
        egress: Arc::new(Egress::new(EgressConfig::default()).expect("a way out")),
        clock,
    }))
}

async fn tool(host: &Host, wat: &str) -> Arc<Tool> {
    let bytes = wat::parse_str(wat).expect("wat");
    let file = ToolFile { name: "test", bytes: &bytes, manifest: None, imports: Imports::Refuse };
    Arc::new(host.load(file, Ring::Sandbox).await.expect("a tool"))
}

fn request(host: &Host, function: &str) -> CallRequest {
    CallRequest {
        call: host.new_call_id().expect("an id"),
        principal: Principal::anonymous(),
        ring: Ring::Sandbox,
        session: None,
        function: Some(function.to_owned()),
        input: Input::default(),
        asked: Asked::default(),
        session_ceiling: Ceiling::default(),
        idempotency_key: None,
        claimed: Vec::new(),
    }
}

async fn call(host: &Host, tool: &Tool, request: CallRequest) -> Response {
    host.call(tool, request, &PolicySet::default()).await.expect("an answer")
}

/// A policy that says at each point what its settings tell it to.
fn scripted(host: &Host, settings: &serde_json::Value) -> Policy {
    let component = std::fs::read(ringfence_artifacts::HOSTILE_POLICY_SCRIPTED).expect("the policy");
    Policy::load(host.engine(), "scripted", &component, settings).expect("a policy")
}

/// The bodies of the entries of a kind.
fn bodies(host: &Host, kind: &str) -> Vec<serde_json::Value> {
    let entries = host.ledger().entries(0, usize::MAX).expect("entries");
    let parsed = entries.iter().map(|entry| serde_json::from_slice(&entry.bytes).expect("JSON"));
    parsed.filter(|entry: &serde_json::Value| entry["kind"] == kind).map(|mut entry| entry["body"].take()).collect()
}

/// Makes the same call this often at once.
async fn together(host: &Arc<Host>, tool: &Arc<Tool>, count: usize) -> Vec<Response> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let (host, tool) = (Arc::clone(host), Arc::clone(tool));
            tokio::spawn(async move { call(&host, &tool, request(&host, "scribble")).await })
        })
        .collect();
    let mut responses = Vec::new();
    for call in calls {
        responses.push(call.await.expect("a response"));
    }
    responses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approval_is_used_once_among_many() {
    // POL-16, POL-22
    let host = host();
    let tool = tool(&host, SCRIBBLER).await;
    let demand = json!({ "is": "approve", "by": ["operator:*"], "valid-ms": 60_000, "reason": "x" });
    host.put_in_force(PolicySet::new(vec![scripted(&host, &json!({ "call": [demand] }))]));
    assert!(together(&host, &tool, 20).await.iter().all(|response| response.denial.is_some()));
    let asked = host.ledger().approvals().expect("approvals");
    assert_eq!((asked.len(), bodies(&host, "held").len()), (1, 1));
    let operator: Principal = "operator:ada".parse().expect("a principal");
    host.ledger().answer(asked[0].approval, &operator, true, None).expect("approved");
    let ran = together(&host, &tool, 20).await.iter().filter(|response| response.denial.is_none()).count();
    assert_eq!((ran, bodies(&host, "begun").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cap_holds_among_calls_together() {
    // AGT-08
    let host = host();
    let tool = tool(&host, SCRIBBLER).await;
    let cap = json!({ "is": "cap", "scope": "tool", "unit": "calls", "window": "hour", "at-most": 5 });
    host.put_in_force(PolicySet::new(vec![scripted(&host, &json!({ "call": [cap] }))]));
    let responses = together(&host, &tool, 20).await;
    let ran = responses.iter().filter(|response| response.denial.is_none()).count();
    assert_eq!((ran, bodies(&host, "begun").len(), bodies(&host, "refused").len()), (5, 5, 15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn set_is_replaced_in_one_step() {
    // POL-12, POL-18
    let host = host();
    let tool = tool(&host, SCRIBBLER).await;
    let sets = [1, 2].map(|version| {
        let settings = json!({ "call": "permit", "result": "permit", "version": version });
        PolicySet::new(vec![scripted(&host, &settings)])
    });
    let digests = sets.each_ref().map(|set| json!(set.digest()));
    host.put_in_force(sets[0].clone());
    let calling = {
        let (host, tool) = (Arc::clone(&host), Arc::clone(&tool));
        tokio::spawn(async move {
            for _ in 0..10 {
                together(&host, &tool, 4).await;
            }
        })
    };
    while !calling.is_finished() {
        for set in &sets {
            host.put_in_force(set.clone());
            tokio::task::yield_now().await;
        }
    }
    calling.await.expect("every call");
    // A set that can't be loaded never gets here: what is in force stays.
    let component = std::fs::read(ringfence_artifacts::POLICY_RING_DEFAULT).expect("the policy");
    assert!(Policy::load(host.engine(), "ring-default", &component, &json!({ "unknown": 1 })).is_err());
    assert!(digests.contains(&json!(host.policies().digest())));
    let (begun, finished) = (bodies(&host, "begun"), bodies(&host, "finished"));
    assert_eq!((begun.len(), finished.len()), (40, 40));
    for end in &finished {
        let start = begun.iter().find(|begun| begun["call"] == end["call"]).expect("its beginning");
        let (before, after) = (&start["decision"]["policy_set"], &end["decision"]["policy_set"]);
        assert!(before == after && digests.contains(before), "{before} {after}");
    }
}

/// Touches a mebibyte of memory and answers how many of its bytes were not zero before.
const SCRIBBLER: &str = r#"(component
  (core module $m
    (memory (export "memory") 16)
    (func (export "scribble") (result i32) (local $at i32) (local $dirty i32)
      (loop $next
        (if (i32.load8_u (local.get $at)) (then (local.set $dirty (i32.add (local.get $dirty) (i32.const 1)))))
        (i32.store8 (local.get $at) (i32.const 0xa5))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 1048576))))
      (local.get $dirty)))
  (core instance $i (instantiate $m))
  (func (export "scribble") (result u32) (canon lift (core func $i "scribble"))))"#;

const SPINNER: &str = r#"(component
  (core module $m (func (export "spin") (loop $forever (br $forever))))
  (core instance $i (instantiate $m))
  (func (export "spin") (canon lift (core func $i "spin"))))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halt_stops_what_runs_and_waits() {
    // POL-17
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("halted");
    let concurrency = Concurrency { calls: 1, ..Concurrency::default() };
    let host = host_of(HostConfig { concurrency, halt: Halt::by_file(&file), ..HostConfig::default() });
    let (spinner, scribbler) = (tool(&host, SPINNER).await, tool(&host, SCRIBBLER).await);
    let calling = |tool: &Arc<Tool>, function: &'static str| {
        let (host, tool) = (Arc::clone(&host), Arc::clone(tool));
        tokio::spawn(async move { call(&host, &tool, request(&host, function)).await })
    };
    let runs = calling(&spinner, "spin");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let waits = calling(&scribbler, "scribble");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!runs.is_finished() && !waits.is_finished(), "the one runs, the other waits for its place");

    let started = Instant::now();
    std::fs::write(&file, "").expect("the file");
    let (ran, waited) = (runs.await.expect("an answer"), waits.await.expect("an answer"));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(ran.outcome.kind, OutcomeKind::Cancelled);
    assert!(ran.outcome.error.expect("why").message.contains("halted"));
    assert_eq!(waited.outcome.code(), "denied.halted");
    assert_eq!(call(&host, &scribbler, request(&host, "scribble")).await.outcome.code(), "denied.halted");
    // Of what waited and what came later nothing began.
    assert_eq!((bodies(&host, "begun").len(), bodies(&host, "refused").len()), (1, 2));
    assert_eq!(bodies(&host, "refused")[0]["stage"], "begin");

    // The control: without the file everything runs again.
    std::fs::remove_file(&file).expect("it was there");
    assert_eq!(call(&host, &scribbler, request(&host, "scribble")).await.outcome.kind, OutcomeKind::Returned);
}

#[tokio::test]
async fn session_narrows_its_calls() {
    let host = host();
    let tool = tool(&host, SCRIBBLER).await;
    let limits = LimitCeiling { fuel: Some(1_000), ..LimitCeiling::default() };
    let session_ceiling = Ceiling { environment: Some(Vec::new()), limits, ..Ceiling::default() };
    let narrowed =
        |asked| CallRequest { asked, session_ceiling: session_ceiling.clone(), ..request(&host, "scribble") };
    let response = call(&host, &tool, narrowed(Asked::default())).await;
    assert_eq!(response.outcome.code(), "tool.limit.fuel");
    let asked = Asked { environment: [("A".to_owned(), "b".to_owned())].into(), ..Asked::default() };
    assert_eq!(call(&host, &tool, narrowed(asked.clone())).await.outcome.code(), "denied.session");
    let open = CallRequest { asked, ..request(&host, "scribble") };
    assert_eq!(call(&host, &tool, open).await.outcome.code(), "returned");
}

#[tokio::test]
async fn instance_finds_nothing_of_another() {
    // RES-14
    let host = host();
    let tool = tool(&host, SCRIBBLER).await;
    for _ in 0..50 {
        let response = call(&host, &tool, request(&host, "scribble")).await;
        assert_eq!(response.outcome.value, Some(json!(0)));
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    statm.split(' ').nth(1).expect("resident pages").parse::<u64>().expect("a number") * 4096
}

#[tokio::test]
async fn memory_returns_to_its_baseline() {
    // RES-05, U2
    let host = host();
    let tool = tool(&host, SCRIBBLER).await;
    for _ in 0..100 {
        call(&host, &tool, request(&host, "scribble")).await;
    }
    let before = resident_bytes();
    for _ in 0..1_000 {
        call(&host, &tool, request(&host, "scribble")).await;
    }
    // The record in memory grows by a few kilobytes a call; what a thousand times a mebibyte would leave is far above.
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < 64 * limits::MIB, "{growth}");
}

/// More at the same time than the pool of instances has.
const NO_GATE: Concurrency = Concurrency {
    calls: u32::MAX,
    calls_per_ring: [u32::MAX; 4],
    calls_per_tool: u32::MAX,
    calls_per_principal: u32::MAX,
    queued_per_ring: 0,
    queue_wait_ms: 0,
};

fn spin_for(host: &Host, wall_ms: u64) -> CallRequest {
    let limits = LimitCeiling { wall_ms: Some(wall_ms), ..LimitCeiling::default() };
    CallRequest { asked: Asked { limits, ..Asked::default() }, ..request(host, "spin") }
}

/// So many calls of a tool that spins for so long, all at once.
fn flood(host: &Arc<Host>, spinner: &Arc<Tool>, calls: u32, wall_ms: u64) -> Vec<tokio::task::JoinHandle<Response>> {
    let one = |_| {
        let (host, spinner) = (Arc::clone(host), Arc::clone(spinner));
        tokio::spawn(async move { call(&host, &spinner, spin_for(&host, wall_ms)).await })
    };
    (0..calls).map(one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exhausted_pool_says_busy_and_recovers() {
    // RES-08
    let host = host_with(NO_GATE);
    let tool = tool(&host, SPINNER).await;
    let mut codes = Vec::new();
    for call in flood(&host, &tool, limits::INSTANCES_MAX + 16, 3_000) {
        codes.push(call.await.expect("no panic").outcome.code().to_owned());
    }
    let count = |code: &str| codes.iter().filter(|other| *other == code).count();
    assert!(count("tool.limit.time") > 0 && count("host.busy") + count("denied.policy-fault") > 0, "{codes:?}");
    assert_eq!(count("tool.limit.time") + count("host.busy") + count("denied.policy-fault"), codes.len(), "{codes:?}");
    let scribbler = self::tool(&host, SCRIBBLER).await;
    let response = call(&host, &scribbler, request(&host, "scribble")).await;
    assert_eq!(response.outcome.kind, OutcomeKind::Returned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_ring_says_when_to_return() {
    // RES-08: of one principal three run, twenty wait, and the rest hear at once that they may try again.
    let host = host_with(Concurrency { queued_per_ring: 40, queue_wait_ms: 60_000, ..Concurrency::default() });
    let spinner = tool(&host, SPINNER).await;
    let started = std::time::Instant::now();
    let (mut ran, mut busy) = (0, 0);
    for call in flood(&host, &spinner, 60, 100) {
        let response = call.await.expect("no panic");
        match response.outcome.code() {
            "tool.limit.time" => ran += 1,
            "host.busy" => {
                let error = response.outcome.error.as_ref().expect("an error");
                assert_eq!(error.value, Some(json!({ "retry_after_ms": limits::RETRY_AFTER_MS })));
                assert!(error.message.contains("share of ring 3 runs no more than 3 calls"), "{}", error.message);
                assert_eq!(response.outcome.kind, OutcomeKind::Cancelled);
                busy += 1;
            }
            code => panic!("{code}"),
        }
    }
    assert!((23..60).contains(&ran) && ran + busy == 60, "{ran} {busy}");
    // Three at a time: eight rounds at least.
    assert!(started.elapsed() >= Duration::from_millis(800), "{:?}", started.elapsed());
    // Each ended once: two entries for each that ran, one for each that did not, and nothing begun that waited.
    assert_eq!(host.ledger().len(), 1 + 2 * ran + busy);
    let scribbler = tool(&host, SCRIBBLER).await;
    let response = call(&host, &scribbler, request(&host, "scribble")).await;
    assert_eq!(response.outcome.kind, OutcomeKind::Returned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_ends_and_is_recorded() {
    // RES-08
    let host = host_with(Concurrency { queue_wait_ms: 50, ..Concurrency::default() });
    let spinner = tool(&host, SPINNER).await;
    let running = flood(&host, &spinner, 3, 1_500);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let response = call(&host, &spinner, spin_for(&host, 1_500)).await;
    assert_eq!(response.outcome.code(), "host.busy");
    let entry = host.receipt(response.recorded.index).expect("a receipt");
    let entry: serde_json::Value = serde_json::from_slice(&entry.to_bytes().expect("bytes")).expect("JSON");
    assert_eq!((&entry["entry"]["kind"], &entry["entry"]["body"]["code"]), (&json!("refused"), &json!("host.busy")));
    for call in running {
        assert_eq!(call.await.expect("no panic").outcome.code(), "tool.limit.time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flooded_ring_leaves_others_alone() {
    // CON-07: a principal has all it may have of ring 3, and of its queue; a call in ring 2 runs, and somebody else's in ring 3.
    let host = host_with(Concurrency { queued_per_ring: 60, ..Concurrency::default() });
    let (spinner, scribbler) = (tool(&host, SPINNER).await, tool(&host, SCRIBBLER).await);
    let flood = flood(&host, &spinner, 32, 100);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = std::time::Instant::now();
    let request = request(&host, "scribble");
    let principal = Principal::new(PrincipalKind::Agent, "somebody-else").expect("a principal");
    for request in [CallRequest { ring: Ring::Standard, ..request.clone() }, CallRequest { principal, ..request }] {
        assert_eq!(call(&host, &scribbler, request).await.outcome.kind, OutcomeKind::Returned);
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(flood.iter().any(|call| !call.is_finished()), "the flood was to last");
    for call in flood {
        assert_eq!(call.await.expect("no panic").outcome.code(), "tool.limit.time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_callers_with_one_key_run_once() {
    // IDM-01
    let host = host();
    let tool = tool(&host, SCRIBBLER).await;
    let mut running = Vec::new();
    for _ in 0..100 {
        let (host, tool) = (Arc::clone(&host), Arc::clone(&tool));
        running.push(tokio::spawn(async move {
            let idempotency_key = Some(IdempotencyKey::new("once").expect("a key"));
            call(&host, &tool, CallRequest { idempotency_key, ..request(&host, "scribble") }).await
        }));
    }
    let mut indexes = std::collections::BTreeSet::new();
    for call in running {
        let response = call.await.expect("no panic");
        match response.outcome.code() {
            "returned" => drop(indexes.insert(response.recorded.index)),
            code => assert_eq!(code, "denied.in-progress"),
        }
    }
    assert_eq!(indexes.len(), 1, "{indexes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_tools_leave_room_for_others() {
    // CON-09: two guests that never yield by themselves, on two threads.
    let host = host_with(NO_GATE);
    let (spinner, scribbler) = (tool(&host, SPINNER).await, tool(&host, SCRIBBLER).await);
    let mut spinning = Vec::new();
    for _ in 0..2 {
        let (host, spinner) = (Arc::clone(&host), Arc::clone(&spinner));
        spinning.push(tokio::spawn(async move {
            let limits = LimitCeiling { wall_ms: Some(2_000), ..LimitCeiling::default() };
            let asked = Asked { limits, ..Asked::default() };
            call(&host, &spinner, CallRequest { asked, ..request(&host, "spin") }).await
        }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let response = call(&host, &scribbler, request(&host, "scribble")).await;
    assert_eq!(response.outcome.kind, OutcomeKind::Returned);
    assert!(spinning.iter().any(|spinner| !spinner.is_finished()), "the tools were to spin meanwhile");
    for spinner in spinning {
        assert_eq!(spinner.await.expect("no panic").outcome.code(), "tool.limit.time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn narrow_gate_lets_everyone_through() {
    // CON-09: one place for all; tools that spin give it up at their deadline, and the next in turn has it.
    let host = host_with(Concurrency { calls: 1, queue_wait_ms: 60_000, ..Concurrency::default() });
    let (spinner, scribbler) = (tool(&host, SPINNER).await, tool(&host, SCRIBBLER).await);
    let started = std::time::Instant::now();
    let spinning = flood(&host, &spinner, 3, 200);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let response = call(&host, &scribbler, request(&host, "scribble")).await;
    assert_eq!(response.outcome.kind, OutcomeKind::Returned);
    for call in spinning {
        assert_eq!(call.await.expect("no panic").outcome.code(), "tool.limit.time");
    }
    let took = started.elapsed();
    assert!((Duration::from_millis(600)..Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_answer_needs_no_place() {
    let host = host_with(Concurrency { calls: 1, queued_per_ring: 0, ..Concurrency::default() });
    let (spinner, scribbler) = (tool(&host, SPINNER).await, tool(&host, SCRIBBLER).await);
    let keyed = |key: &str| {
        let idempotency_key = Some(IdempotencyKey::new(key).expect("a key"));
        CallRequest { idempotency_key, ..request(&host, "scribble") }
    };
    let first = call(&host, &scribbler, keyed("once")).await;
    let running = flood(&host, &spinner, 1, 1_500);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let again = call(&host, &scribbler, keyed("once")).await;
    assert_eq!((again.outcome.kind, again.recorded.index), (OutcomeKind::Returned, first.recorded.index));
    for new in [keyed("other"), request(&host, "scribble")] {
        assert_eq!(call(&host, &scribbler, new).await.outcome.code(), "host.busy");
    }
    // A key of another's is no way in: a principal has its own.
    let stranger =
        CallRequest { principal: Principal::new(PrincipalKind::Agent, "other").expect("a principal"), ..keyed("once") };
    assert_eq!(call(&host, &scribbler, stranger).await.outcome.code(), "host.busy");
    for call in running {
        assert_eq!(call.await.expect("no panic").outcome.code(), "tool.limit.time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_call_gives_its_instance_back() {
    // CM-03
    let host = host();
    let (spinner, scribbler) = (tool(&host, SPINNER).await, tool(&host, SCRIBBLER).await);
    for round in 0..2 * limits::INSTANCES_MAX {
        let dropped = call(&host, &spinner, request(&host, "spin"));
        let given_up = tokio::time::timeout(Duration::from_micros(u64::from(round % 40) * 100), dropped).await;
        assert!(given_up.is_err());
    }
    let response = call(&host, &scribbler, request(&host, "scribble")).await;
    assert_eq!(response.outcome.kind, OutcomeKind::Returned);
}

/// A small generator: the same requests every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

fn random_request(dice: &mut Dice) -> PolicyRequest {
    let effects =
        [Effect::Administrative, Effect::External, Effect::None, Effect::Reads, Effect::Unknown, Effect::Writes];
    let effect = dice.pick(&effects);
    let folder = |access| FolderSummary { access, guest_path: GuestPath::new("/work").expect("a path") };
    let accesses = [Access::Read, Access::ReadWrite];
    let folders = (0..dice.roll(3)).map(|_| folder(dice.pick(&accesses))).collect();
    let kind = dice.pick(&[PrincipalKind::Agent, PrincipalKind::Operator, PrincipalKind::Service]);
    PolicyRequest {
        claimed: Vec::new(),
        principal: Principal::new(kind, "someone").expect("a principal"),
        ring: dice.pick(&Ring::ALL),
        session: None,
        subject: Subject::Call(Box::new(CallSubject {
            arguments: Vec::new(),
            asked: AskedSummary {
                environment: Vec::new(),
                folders,
                limits: Limits::from_bounds(&LimitCeiling::default()),
                network: NetworkAsked::default(),
            },
            effect,
            function: "f".into(),
            input: "{}".into(),
            required_ring: effect.required_ring(),
            stdin_bytes: 0,
            stdin_digest: Digest::of_nothing(),
            tool: ToolRef { digest: Digest::ZERO, name: "t".into() },
        })),
        time_ms: 0,
        usage: Vec::new(),
    }
}

/// The ring rules, said a second time and in another way.
fn oracle_permits(request: &PolicyRequest) -> bool {
    let Subject::Call(call) = &request.subject else { return false };
    let privileged_enough = request.ring.number() <= call.required_ring.number();
    let root_is_operator = request.ring != Ring::Root || request.principal.kind() == PrincipalKind::Operator;
    let sandbox_reads =
        request.ring != Ring::Sandbox || call.asked.folders.iter().all(|folder| folder.access == Access::Read);
    privileged_enough && root_is_operator && sandbox_reads
}

#[test]
fn ring_policy_agrees_with_an_oracle() {
    // POL-20
    let policy = ring_default(&Engine::new().expect("an engine"));
    let mut dice = Dice(42);
    let (mut permitted, mut forbidden) = (0, 0);
    for _ in 0..5_000 {
        let request = random_request(&mut dice);
        let ruling = policy.ask(&request);
        match ruling.verdict {
            Ok(Verdict::Permit(..)) if oracle_permits(&request) => permitted += 1,
            Ok(Verdict::Forbid(_)) if !oracle_permits(&request) => forbidden += 1,
            other => panic!("{request:?}: {other:?}"),
        }
    }
    assert!(permitted > 500 && forbidden > 500, "{permitted} {forbidden}");
}
