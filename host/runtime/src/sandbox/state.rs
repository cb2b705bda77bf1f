//! What a store holds for one call: its WASI context, its handles, its limiter and its trace.
//!
//! Built from the grant and the input, and from nothing else: no inherited stream, variable, argument or socket.

use std::fmt;

use ringfence_model::grant::Grant;
use ringfence_model::limits;
use ringfence_model::outcome::Trace;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::WasiCtxView;
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;

use crate::sandbox::fs;
use crate::sandbox::fs::FolderError;
use crate::sandbox::limits::Limiter;
use crate::sandbox::output::CappedOutput;

/// What a store holds for one call.
pub struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) limiter: Limiter,
    pub(super) trace: Trace,
    pub(super) stdout: CappedOutput,
    pub(super) stderr: CappedOutput,
}

impl State {
    /// The state for a call with this grant. `arguments` start with the program's name.
    pub(super) fn new(grant: &Grant, arguments: &[String], stdin: &[u8]) -> Result<Self, FolderError> {
        let limits = grant.limits();
        let stdout = CappedOutput::new(limits.output_bytes);
        let stderr = CappedOutput::new(limits.output_bytes);
        let mut builder = WasiCtxBuilder::new();
        builder
            .args(arguments)
            .stdin(MemoryInputPipe::new(stdin.to_vec()))
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .max_random_size(limits::RANDOM_BYTES_MAX)
            // A file operation that blocks must not block the thread that watches the deadline.
            .allow_blocking_current_thread(false)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        for (name, value) in grant.environment() {
            builder.env(name, value);
        }
        fs::preopen(&mut builder, grant.folders())?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(limits.handles).unwrap_or(usize::MAX));
        let limiter = Limiter::new(limits.memory_bytes);
        Ok(Self { wasi: builder.build(), table, limiter, trace: Trace::default(), stdout, stderr })
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
