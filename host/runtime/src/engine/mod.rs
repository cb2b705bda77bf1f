//! The one WebAssembly engine of the process: its settings, and how components are compiled for it.
//!
//! Everything that hardens the compiler and the allocator stands in [`settings`]; nothing else in the project
//! configures wasmtime. Compiling is slow and its input untrusted, so a compiled component is kept in a [`cache`] that
//! can't be poisoned. The engine knows nothing of tools, policies or calls.

pub mod cache;

use std::fmt;

use ringfence_model::digest::Digest;
use ringfence_model::limits;
use thiserror::Error;
use wasmtime::Config;
use wasmtime::Enabled;
use wasmtime::InstanceAllocationStrategy;
use wasmtime::PoolingAllocationConfig;
use wasmtime::component::Component;

use crate::engine::cache::Cache;

/// The engine could not be set up: the machine or the platform lacks something.
#[derive(Debug, Error)]
#[error("the WebAssembly engine could not be set up: {0}")]
pub struct EngineError(String);

/// A component the engine won't take.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct CompileError(String);

/// The engine. One a process: objects of two engines don't mix.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    cache: Option<std::sync::Arc<Cache>>,
}

impl Engine {
    /// An engine that keeps nothing between processes.
    pub fn new() -> Result<Self, EngineError> {
        let inner = wasmtime::Engine::new(&settings()).map_err(|error| EngineError(format!("{error:#}")))?;
        Ok(Self { inner, cache: None })
    }

    /// The same engine, keeping what it compiles in `cache`.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Self { cache: Some(std::sync::Arc::new(cache)), ..self }
    }

    /// Compiles a component, or finds it in the cache. `bytes` are a component, of which `digest` is the SHA-256.
    pub fn compile(&self, digest: &Digest, bytes: &[u8]) -> Result<Component, CompileError> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.load(&self.inner, digest)) {
            return Ok(component);
        }
        let component = Component::new(&self.inner, bytes).map_err(|error| CompileError(root_cause(&error)))?;
        if let Some(cache) = &self.cache {
            cache.store(&self.inner, digest, &component);
        }
        Ok(component)
    }

    /// Whether a compiled form of this component is at hand, so that nobody has to wait.
    pub fn is_compiled(&self, digest: &Digest) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.holds(&self.inner, digest))
    }

    /// wasmtime's own engine, for stores and linkers.
    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// The innermost error is the one that names what is wrong; those around it say which crate was busy.
fn root_cause(error: &wasmtime::Error) -> String {
    ringfence_model::outcome::one_line(&error.root_cause().to_string())
}

/// Every setting that untrusted code depends on. What is off is off on purpose: each proposal is attack surface, and
/// most of the engine's security advisories sat in one of these.
fn settings() -> Config {
    let mut config = Config::new();
    config
        // Without component-model async there is no async-lifted export, stream or future to mishandle, and a call is
        // several times cheaper.
        .concurrency_support(false)
        .wasm_component_model(true)
        .wasm_simd(true)
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_extended_const(true)
        .shared_memory(false)
        // The same bytes in, the same bits out, on any machine: policies are replayed years later.
        .cranelift_nan_canonicalization(true)
        // Fuel bounds work exactly and the same way everywhere; tools also yield by it, so a deadline is noticed.
        .consume_fuel(true)
        .max_wasm_stack(limits::STACK_BYTES_MAX)
        .async_stack_size(limits::ASYNC_STACK_BYTES)
        .async_stack_zeroing(true)
        // Function names in a guest's backtrace are the guest's own text; a bounded number of frames is enough.
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8))
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    config
}

/// What the pool holds: enough for every instance at once, and not a byte between two of them.
fn pool() -> PoolingAllocationConfig {
    let per_component = limits::CORE_INSTANCES_PER_COMPONENT_MAX;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits::INSTANCES_MAX)
        .total_core_instances(limits::INSTANCES_MAX * 8)
        .total_memories(limits::INSTANCES_MAX * 2)
        .total_tables(limits::INSTANCES_MAX * 8)
        .total_stacks(limits::INSTANCES_MAX)
        .max_core_instances_per_component(per_component)
        .max_memories_per_component(per_component)
        .max_tables_per_component(per_component)
        .max_memory_size(usize::try_from(1024 * limits::MIB).unwrap_or(usize::MAX))
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        // Pages that a guest wrote are cleared in place up to here instead of being given back and faulted in again.
        .linear_memory_keep_resident(2 * 1024 * 1024)
        .table_keep_resident(64 * 1024)
        // Only pages that were written are cleared, where the kernel can tell which.
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_proposals_are_refused() {
        // MAL-03, RES-16, CM-06
        let engine = Engine::new().expect("an engine");
        for (proposal, wat) in [
            ("threads", "(component (core module (memory 1 1 shared)))"),
            ("memory64", "(component (core module (memory i64 1)))"),
            ("multi-memory", "(component (core module (memory 1) (memory 1)))"),
            ("tail calls", "(component (core module (func $f return_call $f)))"),
            ("gc", "(component (core module (type (struct (field i32)))))"),
            ("exceptions", "(component (core module (tag)))"),
            (
                "relaxed simd",
                "(component (core module (func (param v128 v128 v128) (result v128)
                local.get 0 local.get 1 local.get 2 i8x16.relaxed_laneselect)))",
            ),
            ("component async", "(component (import \"f\" (func async)))"),
        ] {
            let bytes = wat::parse_str(wat).expect(proposal);
            assert!(engine.compile(&Digest::of(&bytes), &bytes).is_err(), "{proposal}");
        }
        let plain = wat::parse_str("(component (core module (memory 1)))").expect("wat");
        assert!(engine.compile(&Digest::of(&plain), &plain).is_ok());
    }
}
