//! What stays behind: memory after very many calls, and memory of sandboxes that are all open at once.
//!
//! A ratio says nothing about a leak, so these are sizes, as the kernel counts them: of memory that no file stands
//! behind. They take minutes and are asked for by name.

use std::fmt;
use std::sync::Arc;

use ringfence_model::capability::Asked;
use ringfence_model::grant::Grant;
use ringfence_model::ring::Ring;
use serde::Serialize;
use tokio::task::JoinSet;

use super::Bench;
use super::Plan;
use super::text;
use crate::host::Host;
use crate::ledger::backend::sqlite::SqliteBackend;
use crate::sandbox;
use crate::toolbox::Tool;

/// Calls between two looks: each ends with a checkpoint over them.
const CALLS_PER_ROUND: u64 = 2_000;
/// Rounds after which every cache is as full as it gets.
const ROUNDS_WARM: u64 = 10;
/// Callers at the same time.
const CALLERS: u64 = 8;

/// Memory over very many calls, each recorded on disk.
#[derive(Clone, Debug, Serialize)]
pub struct Soak {
    /// Calls, the first rounds included.
    pub calls: u64,
    /// Seconds it took.
    pub seconds: u64,
    /// Bytes resident after the first rounds.
    pub resident_warm: u64,
    /// The most bytes resident at any look after that.
    pub resident_peak: u64,
    /// Bytes resident at the end.
    pub resident_end: u64,
}

/// Memory of sandboxes that are open at the same time.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// Sandboxes.
    pub sandboxes: u64,
    /// Bytes resident before the first.
    pub resident_before: u64,
    /// Bytes resident with all of them.
    pub resident_with: u64,
    /// Bytes of address space with all of them.
    pub reserved: u64,
}

/// Makes so many calls, under a policy and recorded on disk, and looks at memory in between.
pub async fn soak(plan: &Plan<'_>, calls: u64, progress: impl Fn(&str)) -> Result<Soak, String> {
    let bench = Bench::new(plan).await?;
    let folder = tempfile::tempdir().map_err(text)?;
    let backend = SqliteBackend::create(&folder.path().join("log.sqlite")).map_err(text)?;
    let host = Arc::new(bench.host(Box::new(backend), true)?);
    let tool = Arc::new(bench.tool);
    let started = std::time::Instant::now();
    let rounds = calls.div_ceil(CALLS_PER_ROUND).max(ROUNDS_WARM + 1);
    let (mut warm, mut peak) = (0, 0);
    for done in 1..=rounds {
        round(&host, &tool).await?;
        host.publish().map_err(text)?;
        let resident = memory()?.resident;
        if done == ROUNDS_WARM {
            (warm, peak) = (resident, resident);
        }
        peak = peak.max(resident);
        if done % 50 == 0 {
            progress(&format!("{} calls, {} resident", done * CALLS_PER_ROUND, Bytes(resident)));
        }
    }
    Ok(Soak {
        calls: rounds * CALLS_PER_ROUND,
        seconds: started.elapsed().as_secs(),
        resident_warm: warm,
        resident_peak: peak,
        resident_end: memory()?.resident,
    })
}

async fn round(host: &Arc<Host>, tool: &Arc<Tool>) -> Result<(), String> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (host, tool) = (Arc::clone(host), Arc::clone(tool));
        callers.spawn(async move {
            for _ in 0..CALLS_PER_ROUND / CALLERS {
                super::call(&host, &tool, Ring::Standard, Asked::default()).await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.map_err(text).flatten()?;
    }
    Ok(())
}

/// Opens so many sandboxes, has each of them called once, and looks at memory while all of them are there.
pub async fn held(plan: &Plan<'_>, sandboxes: u64) -> Result<Held, String> {
    let bench = Bench::new(plan).await?;
    let function = bench.tool.function(Some("describe")).map_err(text)?;
    let grant = Grant::nothing(Bench::limits());
    // The first one fills what all of them share.
    drop(sandbox::hold(&bench.tool, function, &grant).await.map_err(text)?);
    let before = memory()?.resident;
    let mut open = Vec::new();
    for _ in 0..sandboxes {
        open.push(sandbox::hold(&bench.tool, function, &grant).await.map_err(text)?);
    }
    let with = memory()?;
    drop(open);
    Ok(Held { sandboxes, resident_before: before, resident_with: with.resident, reserved: with.reserved })
}

pub(super) struct Memory {
    reserved: u64,
    pub(super) resident: u64,
}

/// As the kernel counts it: pages of files, such as this program's own, come and go with what else the machine does.
pub(super) fn memory() -> Result<Memory, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(text)?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1_024)
    };
    let missing = || "the kernel does not say how much memory there is".to_owned();
    Ok(Memory { reserved: bytes("VmSize:").ok_or_else(missing)?, resident: bytes("RssAnon:").ok_or_else(missing)? })
}

pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    #[expect(clippy::cast_precision_loss, reason = "printed with two decimals")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} MiB", self.0 as f64 / (1024.0 * 1024.0))
    }
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, seconds, resident_warm, resident_peak, resident_end } = self;
        let (warm, end, peak) = (Bytes(*resident_warm), Bytes(*resident_end), Bytes(*resident_peak));
        let drift = Bytes(resident_end.saturating_sub(*resident_warm));
        write!(
            f,
            "{calls} calls in {seconds} s: {warm} resident when warm, {end} at the end, {peak} at most; {drift} more"
        )
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sandboxes, resident_before, resident_with, reserved } = self;
        let each = resident_with.saturating_sub(*resident_before) / (*sandboxes).max(1) / 1024;
        let (before, with) = (Bytes(*resident_before), Bytes(*resident_with));
        let reserved = reserved / (1 << 30);
        write!(f, "{sandboxes} sandboxes open: {before} resident before, {with} with them, {each} KiB each; ")?;
        write!(f, "{reserved} GiB of address space")
    }
}
