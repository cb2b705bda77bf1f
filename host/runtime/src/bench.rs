//! Each part against its floor, interleaved in one process.
//!
//! A figure alone says more about the machine than about the code, so every row is a ratio: what we do over the least
//! that could be done, both timed in turn, so that a machine that slows down slows both. Nothing here asserts a time.

pub mod endurance;
pub mod history;
mod network;
mod policies;
mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use ringfence_audit::chain::Head;
use ringfence_audit::signer::Signer as _;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_audit::tree::Tree;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_model::call::CallRequest;
use ringfence_model::call::Input;
use ringfence_model::capability::Asked;
use ringfence_model::capability::Ceiling;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::AskedSummary;
use ringfence_model::decision::CallSubject;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Opened;
use ringfence_model::grant::Grant;
use ringfence_model::grant::Limits;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;
use serde::Serialize;

use crate::egress::Egress;
use crate::engine::Engine;
use crate::host::Host;
use crate::host::HostConfig;
use crate::host::HostParts;
use crate::ledger::Ledger;
use crate::ledger::SystemRandom;
use crate::ledger::backend::Backend;
use crate::ledger::backend::memory::MemoryBackend;
use crate::policy::Policy;
use crate::policy::PolicySet;
use crate::sandbox;
use crate::sandbox::FileReads;
use crate::sandbox::Interrupt;
use crate::sandbox::Room;
use crate::sandbox::link::Imports;
use crate::sequencer::Sequencer;
use crate::toolbox::Tool;
use crate::toolbox::ToolFile;

/// Bytes of the file that is read.
const FILE_BYTES: usize = 1024 * 1024;

/// What is measured, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Milliseconds for each row.
    pub millis: u64,
    /// What rows there are.
    pub parts: &'a [Part],
    /// Entries of the log that is verified.
    pub entries: u64,
    /// The built-in policies, each by its name.
    pub policies: &'a [(&'static str, &'static [u8])],
}

impl<'a> Plan<'a> {
    /// `ring-default`: judged by in one row, and called as a typed tool in others.
    fn ring_default(&self) -> Result<&'a [u8], String> {
        let found = self.policies.iter().find(|(name, _)| *name == "ring-default");
        found.map(|(_, component)| *component).ok_or_else(|| "there is no `ring-default`".to_owned())
    }
}

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Decisions of policies.
    Policies,
    /// Calls in memory.
    Calls,
    /// Calls recorded on disk.
    Record,
    /// A log appended to and verified.
    Log,
    /// Requests over HTTP.
    Network,
    /// Granted files.
    Files,
}

impl Part {
    /// All of them, in the order they are measured.
    pub const ALL: &[Self] = &[Self::Policies, Self::Calls, Self::Record, Self::Log, Self::Network, Self::Files];

    /// The part of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|part| part.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policies => "policies",
            Self::Calls => "calls",
            Self::Record => "record",
            Self::Log => "log",
            Self::Network => "network",
            Self::Files => "files",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Policies => "policy decisions against raw instances",
            Self::Calls => "calls in memory against raw instances",
            Self::Record => "durable calls against fdatasync",
            Self::Log => "appending and verifying against SHA-256",
            Self::Network => "requests against a bare client",
            Self::Files => "reading a granted file against wasmtime-wasi alone",
        }
    }
}

/// How long something took, over many runs.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// What it is.
    pub what: &'static str,
    /// Nanoseconds at the median.
    pub median_ns: u64,
    /// Nanoseconds at the 99th percentile.
    pub p99_ns: u64,
    /// How often it was run.
    pub runs: usize,
}

/// One row: something against its floor.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What is measured.
    pub name: &'static str,
    /// The least that could be done.
    pub floor: Timing,
    /// What we do.
    pub measured: Timing,
    /// The ratio of the medians: of times, or for a bandwidth its inverse.
    pub ratio: f64,
    /// What is aimed at.
    pub target: String,
    /// Whether it was reached in this run.
    pub met: bool,
}

/// Everything that was measured, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The processor, as the system names it.
    pub processor: String,
    /// Processors this process may use.
    pub processors: usize,
    /// The kernel.
    pub kernel: String,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Measures what the plan names; `progress` is told what comes next.
pub async fn run(plan: &Plan<'_>, progress: impl Fn(&str)) -> Result<Report, String> {
    let bench = Bench::new(plan).await?;
    let mut rows = Vec::new();
    for (number, part) in plan.parts.iter().enumerate() {
        progress(&format!("{}/{} {}", number + 1, plan.parts.len(), part.about()));
        rows.extend(Box::pin(bench.part(*part)).await?);
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Report { processor: processor(), processors, kernel: kernel(), rows })
}

struct Bench<'p> {
    plan: &'p Plan<'p>,
    engine: Engine,
    policy: Policy,
    tool: Tool,
}

#[derive(Debug)]
struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_218_613_007)
    }
}

impl<'p> Bench<'p> {
    async fn new(plan: &'p Plan<'p>) -> Result<Self, String> {
        let (engine, component) = (Engine::new().map_err(text)?, plan.ring_default()?);
        let policy = Policy::load(&engine, "ring-default", component, &serde_json::json!({})).map_err(text)?;
        let file = ToolFile { name: "bench", bytes: component, manifest: None, imports: Imports::Refuse };
        let tool = Tool::load(&engine, file).await.map_err(text)?;
        Ok(Self { plan, engine, policy, tool })
    }

    async fn part(&self, part: Part) -> Result<Vec<Row>, String> {
        Ok(match part {
            Part::Policies => vec![
                self.decision()?,
                self.five_policies()?,
                self.many_rules("allow-list", "1,000 allow-list rules")?,
                self.many_rules("argument-schema", "1,000 argument-schema rules")?,
            ],
            Part::Calls => vec![self.sandboxed_call().await?, self.governed_call().await?],
            Part::Record => vec![self.pure_call().await?, self.blind_call().await?, self.many_callers().await?],
            Part::Log => vec![self.append()?, self.verify()?],
            Part::Network => vec![
                network::row("request of 1 KiB", self.plan.millis, 1024).await?,
                network::row("request of 1 MiB", self.plan.millis, 1024 * 1024).await?,
            ],
            Part::Files => vec![self.file_read().await?],
        })
    }

    fn decision(&self) -> Result<Row, String> {
        let set = PolicySet::new(vec![self.policy.clone()]);
        let request = Self::request();
        let raw = self.policy.raw(&request);
        let mut failed = None;
        let (floor, measured) = interleave(
            self.plan.millis,
            || (),
            |()| failed = raw.run().err().or(failed.take()),
            |()| drop(set.decide(&request)),
        );
        failed.map_or(Ok(()), Err)?;
        Ok(Row::of("decision", floor.named("raw instance and call"), measured.named("policy decision"), Some(2.5)))
    }

    async fn sandboxed_call(&self) -> Result<Row, String> {
        let raw = self.policy.raw(&Self::request());
        let function = self.tool.function(Some("describe")).map_err(text)?;
        let (input, grant, egress) = (Input::default(), Grant::nothing(Self::limits()), Egress::closed());
        let interrupt = Interrupt::never();
        let room =
            Room { grant: &grant, scratch: None, egress: &egress, judge: None, interrupt: &interrupt, watcher: None };
        let run = || async { sandbox::run(&self.tool, function, &input, &room).await.map(drop).map_err(text) };
        let (floor, measured) = interleave_async(self.plan.millis, || raw.describe(), run).await?;
        let (floor, measured) = (floor.named("raw instance and call"), measured.named("the same under a grant"));
        Ok(Row::of("sandboxed call", floor, measured, Some(2.0)))
    }

    async fn governed_call(&self) -> Result<Row, String> {
        let host = self.host(Box::new(MemoryBackend::new()), false)?;
        let raw = self.policy.raw(&Self::request());
        let two_raw = || raw.run().and_then(|()| raw.run());
        let (floor, measured) = interleave_async(self.plan.millis, two_raw, || self.call(&host)).await?;
        let (floor, measured) = (floor.named("two raw instances and calls"), measured.named("governed call in memory"));
        Ok(Row::of("governed call", floor, measured, Some(5.0)))
    }

    fn append(&self) -> Result<Row, String> {
        let log = sample_log(1_000)?;
        let bodies: Vec<_> =
            log.iter().map(|bytes| ringfence_model::encoding::decode(bytes)).collect::<Result<_, _>>().map_err(text)?;
        let (mut head, mut tree) = (Head::empty(), Tree::new());
        let mut both = log.iter().zip(&bodies).cycle();
        let (floor, measured) = interleave(
            self.plan.millis,
            // Making the body is the caller's work, so it is not timed.
            || both.next().map(|(bytes, entry)| (bytes, entry.body.clone(), entry.time)),
            |next| {
                std::hint::black_box(next.as_ref().map(|(bytes, ..)| Digest::of(bytes)));
            },
            |next| {
                if let Some(Ok((_, hash))) = next.map(|(_, body, time)| head.append(body, time)) {
                    tree.push(hash);
                }
            },
        );
        Ok(Row::of(
            "append",
            floor.named("SHA-256 of the entry"),
            measured.named("encode, link, hash, tree"),
            Some(4.0),
        ))
    }

    fn verify(&self) -> Result<Row, String> {
        let log = sample_log(self.plan.entries)?;
        let (floor, measured) = interleave(
            self.plan.millis.max(1_000),
            || (),
            |()| {
                for bytes in &log {
                    std::hint::black_box(Digest::of(bytes));
                }
            },
            |()| {
                let mut check = LogCheck::new(Options::default());
                for bytes in &log {
                    check.entry(bytes);
                }
                drop(std::hint::black_box(check.finish()));
            },
        );
        let (floor, measured) = (floor.named("SHA-256 of every entry"), measured.named("verify every entry"));
        let bandwidth = ratio(floor.median_ns, measured.median_ns);
        Ok(Row {
            name: "verify",
            ratio: bandwidth,
            met: bandwidth >= 0.5,
            target: "≥ 0.5× of the bandwidth".to_owned(),
            floor,
            measured,
        })
    }

    async fn file_read(&self) -> Result<Row, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        std::fs::write(folder.path().join("file"), vec![1; FILE_BYTES]).map_err(text)?;
        let mut reads = FileReads::new(folder.path())?;
        let (mut floor, mut measured) = (Samples::default(), Samples::default());
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(self.plan.millis) || floor.0.len() < 30 {
            let one = Instant::now();
            let plain = reads.plain("file").await?;
            floor.push(one.elapsed());
            let other = Instant::now();
            let guarded = reads.guarded("file").await?;
            measured.push(other.elapsed());
            if (plain, guarded) != (FILE_BYTES, FILE_BYTES) {
                return Err("the file was not read whole".to_owned());
            }
        }
        let (floor, measured) = (floor.named("1 MiB by wasmtime-wasi"), measured.named("1 MiB of a granted folder"));
        Ok(Row::of("file read", floor, measured, Some(1.15)))
    }

    async fn call(&self, host: &Host) -> Result<(), String> {
        call(host, &self.tool, Ring::Sandbox, Asked::default()).await
    }

    fn host(&self, backend: Box<dyn Backend>, ledger_blocks: bool) -> Result<Host, String> {
        self.host_of(created(backend)?, HostConfig::default(), ledger_blocks)
    }

    fn host_of(&self, ledger: Ledger, config: HostConfig, ledger_blocks: bool) -> Result<Host, String> {
        let sequencer = Sequencer::open(&ledger, signer()?, None).map_err(text)?;
        Ok(Host::new(HostParts {
            engine: self.engine.clone(),
            config,
            policies: PolicySet::new(vec![self.policy.clone()]),
            ledger,
            ledger_blocks,
            sequencer,
            egress: Egress::closed(),
            clock: Arc::new(StillClock),
        }))
    }

    fn limits() -> Limits {
        Limits::from_bounds(&Ring::Sandbox.ceiling().limits)
    }

    fn request() -> PolicyRequest {
        let limits = Self::limits();
        PolicyRequest {
            claimed: Vec::new(),
            principal: Principal::anonymous(),
            ring: Ring::Sandbox,
            session: None,
            subject: Subject::Call(Box::new(CallSubject {
                arguments: Vec::new(),
                asked: AskedSummary {
                    environment: Vec::new(),
                    folders: Vec::new(),
                    limits,
                    network: NetworkAsked::default(),
                },
                effect: Effect::Reads,
                function: "describe".to_owned(),
                input: "{}".to_owned(),
                required_ring: Ring::Sandbox,
                stdin_bytes: 0,
                stdin_digest: Digest::of_nothing(),
                tool: ToolRef { digest: Digest::ZERO, name: "bench".to_owned() },
            })),
            time_ms: 0,
            usage: Vec::new(),
        }
    }
}

fn signer() -> Result<Arc<SoftwareSigner>, String> {
    Ok(Arc::new(SoftwareSigner::from_seed("bench.example/log", &[7; 32]).map_err(text)?))
}

fn opened() -> Result<Opened, String> {
    let key = signer()?.verifier().to_string();
    Ok(Opened { host: "bench".to_owned(), key, origin: "bench.example/log".to_owned() })
}

fn created(backend: Box<dyn Backend>) -> Result<Ledger, String> {
    Ledger::create(backend, opened()?, Arc::new(StillClock), Arc::new(SystemRandom)).map_err(text)
}

async fn call(host: &Host, tool: &Tool, ring: Ring, asked: Asked) -> Result<(), String> {
    let request = CallRequest {
        call: host.new_call_id().map_err(text)?,
        principal: Principal::anonymous(),
        ring,
        session: None,
        function: Some("describe".to_owned()),
        input: Input::default(),
        asked,
        idempotency_key: None,
        session_ceiling: Ceiling::default(),
        claimed: Vec::new(),
    };
    let response = host.call(tool, request, &PolicySet::default()).await.map_err(text)?;
    match response.outcome.error {
        None => Ok(()),
        Some(error) => Err(error.message),
    }
}

/// A log of pure calls as they are really written: an opening, then begun and finished in turn.
fn sample_log(entries: u64) -> Result<Vec<Vec<u8>>, String> {
    sample::log(entries).map_err(|error| error.to_string())
}

mod sample {
    //! Entries of the size and kind a real log has.

    use ringfence_model::digest::Nonce;
    use ringfence_model::encoding::EncodeError;
    use ringfence_model::entry::Begun;
    use ringfence_model::entry::Body;
    use ringfence_model::entry::DecisionRecord;
    use ringfence_model::entry::EffectState;
    use ringfence_model::entry::Finished;
    use ringfence_model::entry::RulingRecord;
    use ringfence_model::entry::Used;
    use ringfence_model::entry::VerdictKind;
    use ringfence_model::grant::Reach;
    use ringfence_model::id::CallId;
    use ringfence_model::outcome::OutcomeKind;

    use super::Digest;
    use super::Effect;
    use super::Head;
    use super::Limits;
    use super::Opened;
    use super::Principal;
    use super::Ring;
    use super::Timestamp;
    use super::ToolRef;

    /// Behind every input.
    pub(super) const NONCE: [u8; 16] = [1; 16];

    pub(super) fn log(entries: u64) -> Result<Vec<Vec<u8>>, EncodeError> {
        let mut head = Head::empty();
        let mut log = Vec::new();
        for index in 0..entries {
            let time = Timestamp::from_millis(1_795_218_613_007 + index);
            let body = match index {
                0 => Body::Opened(Opened {
                    host: "bench".to_owned(),
                    key: "bench.example/log+00000000+AA==".to_owned(),
                    origin: "bench.example/log".to_owned(),
                }),
                index => body(index),
            };
            log.push(head.append(body, time)?.0);
        }
        Ok(log)
    }

    /// What stands at an index after the first: a call is begun, or the one before has ended.
    pub(super) fn body(index: u64) -> Body {
        if index % 2 == 1 { Body::Begun(Box::new(begun(index))) } else { Body::Finished(Box::new(finished(index))) }
    }

    /// The call that was begun at an index.
    pub(super) fn call(begun: u64) -> CallId {
        let digest = Digest::of(&begun.to_be_bytes());
        let random = digest.as_bytes().first_chunk().copied().unwrap_or_default();
        CallId::from_random(random)
    }

    fn begun(index: u64) -> Begun {
        let commitment = Nonce::from_random(NONCE).commit(&index.to_be_bytes());
        let ruling = RulingRecord {
            digest: Digest::of(b"policy"),
            fuel: 4_321,
            name: "ring-default".to_owned(),
            reasons: vec!["within-ring".to_owned()],
            settings: Digest::of(b"{}"),
            verdict: VerdictKind::Permit,
        };
        Begun {
            admission: None,
            approval: None,
            call: call(index),
            decision: DecisionRecord {
                allowed: true,
                policy_set: Digest::of(b"set"),
                request: commitment,
                rulings: vec![ruling],
            },
            effect: Effect::Reads,
            function: "describe".to_owned(),
            grant: commitment,
            idempotency_key: None,
            input: commitment,
            limits: Limits::from_bounds(&Ring::Sandbox.ceiling().limits),
            principal: Principal::anonymous(),
            reach: Reach::Nothing,
            ring: Ring::Sandbox,
            session: None,
            tool: ToolRef { digest: Digest::of(b"tool"), name: "bench".to_owned() },
        }
    }

    fn finished(index: u64) -> Finished {
        let commitment = Nonce::from_random([2; 16]).commit(&index.to_be_bytes());
        Finished {
            begun: index - 1,
            call: call(index - 1),
            code: "returned".to_owned(),
            decision: None,
            effect: EffectState::Committed,
            outcome: OutcomeKind::Returned,
            output: commitment,
            redacted: 0,
            trace: commitment,
            used: Used { fuel: 12_345, memory_bytes: 1_114_112, output_bytes: 512, wall_ms: 0 },
        }
    }
}

/// Times of one thing.
#[derive(Default)]
struct Samples(Vec<u64>);

impl Samples {
    fn named(mut self, what: &'static str) -> Timing {
        self.0.sort_unstable();
        let at = |part: usize| self.0.get((self.0.len().saturating_sub(1)) * part / 100).copied().unwrap_or_default();
        Timing { what, median_ns: at(50), p99_ns: at(99), runs: self.0.len() }
    }

    fn push(&mut self, elapsed: Duration) {
        self.0.push(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Row {
    fn of(name: &'static str, floor: Timing, measured: Timing, at_most: Option<f64>) -> Self {
        let ratio = ratio(measured.median_ns, floor.median_ns);
        let target = at_most.map_or_else(|| "reported".to_owned(), |at_most| format!("≤ {at_most}×"));
        Self { name, ratio, met: at_most.is_none_or(|at_most| ratio <= at_most), target, floor, measured }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of times is printed with two decimals")]
fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other.max(1) as f64
}

/// Runs two things in turn, one run each at a time, until the time is up; each at least thirty times.
fn interleave<T>(
    millis: u64,
    mut prepare: impl FnMut() -> T,
    mut floor: impl FnMut(&T),
    mut measured: impl FnMut(T),
) -> (Samples, Samples) {
    let mut samples = (Samples::default(), Samples::default());
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(millis) || samples.0.0.len() < 30 {
        let prepared = prepare();
        let one = Instant::now();
        floor(&prepared);
        samples.0.push(one.elapsed());
        let other = Instant::now();
        measured(prepared);
        samples.1.push(other.elapsed());
    }
    samples
}

async fn interleave_async<F: Future<Output = Result<(), String>>>(
    millis: u64,
    mut floor: impl FnMut() -> Result<(), String>,
    mut measured: impl FnMut() -> F,
) -> Result<(Samples, Samples), String> {
    let mut samples = (Samples::default(), Samples::default());
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(millis) || samples.0.0.len() < 30 {
        let one = Instant::now();
        floor()?;
        samples.0.push(one.elapsed());
        let other = Instant::now();
        measured().await?;
        samples.1.push(other.elapsed());
    }
    Ok(samples)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} processors, {}", self.processor, self.processors, self.kernel)?;
        writeln!(
            f,
            "{:<28} {:>8}  {:<32} {:>12} {:>12} {:>12} {:>12}",
            "", "ratio", "target", "floor p50", "p99", "ours p50", "p99"
        )?;
        for Row { name, floor, measured, ratio, target, met } in &self.rows {
            let target = format!("{target}{}", if *met { "" } else { "  MISSED" });
            let times = [floor.median_ns, floor.p99_ns, measured.median_ns, measured.p99_ns];
            let times = times.map(|nanos| format!("{:>12}", duration(nanos))).join(" ");
            writeln!(f, "{name:<28} {ratio:>7.2}×  {target:<32} {times}")?;
        }
        writeln!(f)?;
        for Row { name, floor, measured, .. } in &self.rows {
            writeln!(
                f,
                "{name}: {} ({} runs) over {} ({} runs)",
                measured.what, measured.runs, floor.what, floor.runs
            )?;
        }
        Ok(())
    }
}

fn duration(nanos: u64) -> String {
    format!("{:.1?}", Duration::from_nanos(nanos))
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim())
}
