//! The one WebAssembly engine of the process: its settings, and how components are compiled for it.
//!
//! Everything that hardens the compiler and the allocator stands in [`settings`]; nothing else in the project
//! configures wasmtime. Compiling is slow and its input untrusted: what is too much is refused before ([`bounds`]), a
//! [`compiler`] in a process of its own does the work, and that of [`lift`], and a compiled component is kept in a [`cache`]
//! that can't be poisoned. The engine knows nothing of tools, policies or calls.

mod bounds;
pub mod cache;
pub mod child;
pub mod compiler;
mod lift;
pub(crate) mod sections;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ringfence_model::digest::Digest;
use ringfence_model::limits;
use thiserror::Error;
use wasmtime::Config;
use wasmtime::Enabled;
use wasmtime::InstanceAllocationStrategy;
use wasmtime::PoolingAllocationConfig;
use wasmtime::component::Component;

pub use crate::engine::bounds::Excess;
use crate::engine::cache::Cache;
use crate::engine::compiler::Compiler;
use crate::engine::lift::Form;
pub use crate::engine::lift::LiftError;
pub(crate) use crate::engine::lift::is_component;

/// The engine could not be set up: the machine or the platform lacks something.
#[derive(Debug, Error)]
#[error("the WebAssembly engine could not be set up: {0}")]
pub struct EngineError(String);

/// A component the engine won't take.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// It is not a component, or one that uses what is switched off.
    #[error("{0}")]
    Invalid(String),
    /// It has too much of something, whatever that would take.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// Compiling it takes too much memory.
    #[error("it needs more than {mebibytes} MiB of memory to be compiled")]
    Memory {
        /// What it may take.
        mebibytes: u64,
    },
    /// Compiling it takes too much processor time.
    #[error("it needs more than {seconds} s of processor time to be compiled")]
    Cpu {
        /// What it may take.
        seconds: u64,
    },
    /// Compiling it takes too much wall-clock time.
    #[error("it takes longer than {wall_ms} ms to be compiled")]
    Time {
        /// What it may take.
        wall_ms: u64,
    },
    /// Its native code is too large.
    #[error("it compiles to more than {bytes_max} bytes")]
    Code {
        /// How large it may be.
        bytes_max: u64,
    },
    /// The compiler recurses too deeply over it.
    #[error("it is nested too deeply to be compiled")]
    Stack,
    /// The compiler did not survive it.
    #[error("the compiler did not survive it: {0}")]
    Crashed(String),
    /// The compiler could not be started, or has failed on its own account.
    #[error("the compiler does not work: {0}")]
    Compiler(String),
}

/// The engine. One a process: objects of two engines don't mix.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    cache: Option<Arc<Cache>>,
    compiler: Option<Arc<Compiler>>,
}

impl Engine {
    /// An engine that keeps nothing between processes and compiles in this one: for components that are trusted not to
    /// take for ever.
    pub fn new() -> Result<Self, EngineError> {
        let mut settings = settings();
        settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        let inner = wasmtime::Engine::new(&settings).map_err(|error| EngineError(format!("{error:#}")))?;
        Ok(Self { inner, cache: None, compiler: None })
    }

    /// The same engine, keeping what it compiles in `cache`.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Self { cache: Some(Arc::new(cache)), ..self }
    }

    /// The same engine, having `compiler` compile for it.
    #[must_use]
    pub fn with_compiler(self, compiler: Compiler) -> Self {
        Self { compiler: Some(Arc::new(compiler)), ..self }
    }

    /// The component that a file holds or can be lifted to.
    pub fn lift<'a>(&self, file: &'a [u8]) -> Result<Cow<'a, [u8]>, LiftError> {
        match (lift::form(file)?, &self.compiler) {
            (Form::Component, _) => Ok(Cow::Borrowed(file)),
            (Form::Module, None) => lift::encode(file).map(Cow::Owned),
            (Form::Module, Some(compiler)) => match compiler.lift(file) {
                Ok(component) if is_component(&component) => Ok(Cow::Owned(component)),
                Ok(_) => {
                    let why = "what it was lifted to is no component".to_owned();
                    Err(LiftError::Compiler(CompileError::Compiler(why)))
                }
                Err(CompileError::Invalid(why)) => Err(LiftError::Module(why)),
                Err(error) => Err(LiftError::Compiler(error)),
            },
        }
    }

    /// Compiles a component, or finds it in the cache. `bytes` are a component, of which `digest` is the SHA-256.
    pub fn compile(&self, digest: &Digest, bytes: &[u8]) -> Result<Component, CompileError> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.load(&self.inner, digest)) {
            return Ok(component);
        }
        bounds::check(bytes)?;
        let code = match &self.compiler {
            Some(compiler) => compiler.compile(bytes)?,
            None => precompile(&self.inner, bytes)?,
        };
        let unfit = || CompileError::Compiler("what it compiled does not fit this engine".to_owned());
        let component = deserialize(&self.inner, &code).ok_or_else(unfit)?;
        if let Some(cache) = &self.cache {
            cache.store(&self.inner, digest, &code);
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
        f.debug_struct("Engine").field("cache", &self.cache).field("compiler", &self.compiler).finish_non_exhaustive()
    }
}

/// An engine that compiles for [`Engine`] and holds no instance: it reserves no memory for any.
fn compiling_engine() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(&settings())
}

fn precompile(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    engine.precompile_component(bytes).map_err(|error| CompileError::Invalid(root_cause(&error)))
}

#[expect(unsafe_code, reason = "loading native code is unsafe in its nature")]
fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: these bytes are what the compiler of this very engine's settings has just returned, in this process or
    // in the child that does nothing else; or the cache has checked their MAC, so that this was so at an earlier time.
    unsafe { Component::deserialize(engine, code) }.ok()
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
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8));
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
        .async_stack_keep_resident(32 * 1024)
        // Only pages that were written are cleared, where the kernel can tell which.
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_the_compiling_engine_fits() {
        let engine = Engine::new().expect("an engine");
        let bytes = wat::parse_str("(component (core module (memory 1) (func (export \"f\"))))").expect("wat");
        let code = precompile(&compiling_engine().expect("an engine"), &bytes).expect("native code");
        assert!(deserialize(engine.wasmtime(), &code).is_some());
        // Code for other settings is refused, not run.
        let mut other = settings();
        other.consume_fuel(false);
        let other = wasmtime::Engine::new(&other).expect("an engine");
        let code = precompile(&other, &bytes).expect("native code");
        assert!(deserialize(engine.wasmtime(), &code).is_none());
    }

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
