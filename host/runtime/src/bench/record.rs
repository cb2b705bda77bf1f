//! What a record on disk costs: calls against the syncs that they wait for, alone and many at the same time.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::capability::Access;
use ringfence_model::capability::Asked;
use ringfence_model::capability::Folder;
use ringfence_model::capability::GuestPath;
use ringfence_model::ring::Ring;
use tokio::task::JoinSet;

use super::Bench;
use super::Row;
use super::Samples;
use super::interleave_async;
use super::ratio;
use super::text;
use crate::gate::Concurrency;
use crate::host::Host;
use crate::host::HostConfig;
use crate::ledger::backend::sqlite::SqliteBackend;
use crate::toolbox::Tool;

/// Bytes that a floor writes for each record.
const RECORD_BYTES: usize = 4_096;
/// Callers at the same time.
pub(super) const CALLERS: u32 = 64;

impl Bench<'_> {
    /// A call that touches nothing: intent and outcome share one commit.
    pub(super) async fn pure_call(&self) -> Result<Row, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        let host = self.durable_host(folder.path())?;
        let mut file = File::create(folder.path().join("floor")).map_err(text)?;
        let sync = move || records(&mut file, 1).map_err(text);
        let (floor, measured) = interleave_async(self.plan.millis, sync, || self.call(&host)).await?;
        let (floor, measured) = (floor.named("append and fdatasync"), measured.named("durable pure call"));
        Ok(Row::of("durable pure call", floor, measured, Some(1.3)))
    }

    /// A call that may write: its intent is durable before it runs, so there are two commits.
    pub(super) async fn blind_call(&self) -> Result<Row, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        let host = self.durable_host(folder.path())?;
        let asked = writable(folder.path())?;
        let mut file = File::create(folder.path().join("floor")).map_err(text)?;
        let sync = move || records(&mut file, 1).and_then(|()| records(&mut file, 1)).map_err(text);
        let call = || super::call(&host, &self.tool, Ring::Standard, asked.clone());
        let (floor, measured) = interleave_async(self.plan.millis, sync, call).await?;
        let (floor, measured) = (floor.named("two appends and fdatasyncs"), measured.named("durable blind call"));
        Ok(Row::of("durable blind call", floor, measured, Some(1.2)))
    }

    /// So many callers at once, each with a pure call, against a loop that writes as many records and syncs once.
    pub(super) async fn many_callers(&self) -> Result<Row, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        let (host, tool) = (Arc::new(self.durable_host(folder.path())?), Arc::new(self.tool.clone()));
        let mut file = File::create(folder.path().join("floor")).map_err(text)?;
        let (mut floor, mut measured) = (Samples::default(), Samples::default());
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(self.plan.millis) || floor.0.len() < 30 {
            let one = Instant::now();
            records(&mut file, CALLERS).map_err(text)?;
            floor.push(one.elapsed());
            let other = Instant::now();
            Self::crowd(&host, &tool).await?;
            measured.push(other.elapsed());
        }
        let (floor, measured) = (floor.named("64 appends, one fdatasync"), measured.named("64 durable calls at once"));
        let rate = ratio(floor.median_ns, measured.median_ns);
        let (met, target) = (rate >= 0.5, "≥ 0.5× of the rate".to_owned());
        Ok(Row { name: "64 callers", ratio: rate, met, target, floor, measured })
    }

    async fn crowd(host: &Arc<Host>, tool: &Arc<Tool>) -> Result<(), String> {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (host, tool) = (Arc::clone(host), Arc::clone(tool));
            callers.spawn(async move { super::call(&host, &tool, Ring::Sandbox, Asked::default()).await });
        }
        while let Some(ended) = callers.join_next().await {
            ended.map_err(text).flatten()?;
        }
        Ok(())
    }

    /// A host whose log is on disk, with a place for every caller.
    pub(super) fn durable_host(&self, folder: &Path) -> Result<Host, String> {
        let backend = SqliteBackend::create(&folder.join("log.sqlite")).map_err(text)?;
        let places = Concurrency {
            calls: CALLERS,
            // A principal has all places of a ring but one.
            calls_per_ring: [CALLERS + 1; 4],
            calls_per_tool: CALLERS,
            calls_per_principal: CALLERS,
            ..Concurrency::default()
        };
        let config = HostConfig { concurrency: places, ..HostConfig::default() };
        self.host_of(super::created(Box::new(backend))?, config, true)
    }
}

/// Appends so many records to a file, and waits until they are on disk.
fn records(file: &mut File, count: u32) -> io::Result<()> {
    for _ in 0..count {
        file.write_all(&[0; RECORD_BYTES])?;
    }
    file.sync_data()
}

/// A folder that may be written to: what a call does with it nobody can tell from outside.
fn writable(folder: &Path) -> Result<Asked, String> {
    let host = folder.canonicalize().map_err(text)?.to_str().ok_or("its path is no text")?.to_owned();
    let guest = GuestPath::new("/data").map_err(text)?;
    let deny = Vec::new();
    let folder = Folder { access: Access::ReadWrite, bytes_max: None, deny, files_max: None, guest, host };
    Ok(Asked { folders: vec![folder], ..Asked::default() })
}
