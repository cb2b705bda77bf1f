//! What a store holds for one call: its WASI context, its handles, its limiter and its trace.
//!
//! Built from the grant and the input, and from nothing else: no inherited stream, variable, argument or socket.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ringfence_model::limits;
use ringfence_model::outcome::Trace;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::WasiCtxView;
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::sockets::WasiSocketsCtxView;
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::WasiHttpCtxView;
use wasmtime_wasi_http::WasiHttpView;

use crate::egress::CallEgress;
use crate::egress::Hooks;
use crate::sandbox::Room;
use crate::sandbox::SandboxError;
use crate::sandbox::Sight;
use crate::sandbox::filesystem::Filesystem;
use crate::sandbox::fs;
use crate::sandbox::limits::Limiter;
use crate::sandbox::network;
use crate::sandbox::network::meter::OpenSockets;
use crate::sandbox::output::CappedOutput;
use crate::sandbox::sources;
use crate::sandbox::watch::WatchedTrace;

/// What a store holds for one call.
pub struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    filesystem: Filesystem,
    pub(super) limiter: Limiter,
    pub(super) trace: WatchedTrace,
    pub(super) stdout: CappedOutput,
    pub(super) stderr: CappedOutput,
    hooks: Hooks,
    http: WasiHttpCtx,
    open_sockets: OpenSockets,
    variables: BTreeMap<String, String>,
}

impl State {
    /// The state for a call in this room. `arguments` start with the program's name.
    pub(super) fn new(room: &Room<'_>, arguments: &[String], stdin: &[u8]) -> Result<Self, SandboxError> {
        let Room { grant, scratch, egress, judge, watcher, .. } = room;
        let egress = egress.call(grant.network(), judge.cloned())?;
        if let Some(watcher) = watcher {
            egress.show(Arc::new((*watcher).clone()));
        }
        let limits = grant.limits();
        let stdout =
            CappedOutput::new(limits.output_bytes, watcher.map(|watcher| (watcher.clone(), Sight::Stdout as _)));
        let stderr =
            CappedOutput::new(limits.output_bytes, watcher.map(|watcher| (watcher.clone(), Sight::Stderr as _)));
        let mut builder = WasiCtxBuilder::new();
        builder
            .args(arguments)
            .stdin(MemoryInputPipe::new(stdin.to_vec()))
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .max_random_size(limits::RANDOM_BYTES_MAX)
            // A file operation that blocks must not block the thread that watches the deadline.
            .allow_blocking_current_thread(false);
        // A variable that is to hold a placeholder holds nothing else.
        let mut variables = grant.environment().clone();
        let placeholders = egress.placeholders().variables();
        variables.extend(placeholders.map(|(name, placeholder)| (name.to_owned(), placeholder.to_owned())));
        for (name, value) in &variables {
            builder.env(name, value);
        }
        network::open(&mut builder, &egress);
        sources::fix(&mut builder, grant.clock(), grant.seed());
        let mut folders = grant.folders().to_vec();
        folders.extend(scratch.zip(grant.scratch()).map(|(scratch, guest)| scratch.folder(guest)));
        let roots = fs::preopen(&mut builder, &folders)?;
        let filesystem = Filesystem::new(&folders, roots, limits)?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(limits.handles).unwrap_or(usize::MAX));
        let limiter = Limiter::new(limits.memory_bytes);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits::FIELDS_BYTES_MAX);
        let (wasi, hooks, open_sockets) = (builder.build(), Hooks(egress), OpenSockets::default());
        Ok(Self {
            wasi,
            table,
            filesystem,
            limiter,
            trace: WatchedTrace::new(watcher.cloned()),
            stdout,
            stderr,
            hooks,
            http,
            open_sockets,
            variables,
        })
    }

    /// What was granted of variables; of secrets, their placeholders.
    pub(super) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The call's way out.
    pub(super) fn egress(&self) -> &CallEgress {
        &self.hooks.0
    }

    /// What the filesystem's interfaces work on.
    pub(super) fn filesystem_parts(&mut self) -> (WasiFilesystemCtxView<'_>, &mut Filesystem, &mut WatchedTrace) {
        let wasi = WasiFilesystemCtxView { ctx: self.wasi.filesystem(), table: &mut self.table };
        (wasi, &mut self.filesystem, &mut self.trace)
    }

    /// What the sockets' interfaces work on.
    pub(super) fn socket_parts(&mut self) -> (WasiSocketsCtxView<'_>, &mut OpenSockets) {
        (WasiSocketsCtxView { ctx: self.wasi.sockets(), table: &mut self.table }, &mut self.open_sockets)
    }

    /// The trace, complete.
    pub(super) fn take_trace(&mut self) -> Trace {
        self.filesystem.settle(&mut self.trace);
        let network = self.hooks.0.take_trace();
        self.trace.take_with(network)
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("limiter", &self.limiter).field("trace", &self.trace).finish_non_exhaustive()
    }
}
