//! Run: a fresh store and instance from a grant and an input, and every ending turned into an [`Outcome`].
//!
//! The sandbox never sees a principal, a ring or a policy: it gets a grant and bytes. What a guest does wrong is never
//! an `Err`: that means the host itself could not open a granted folder or had no instance left.

mod filesystem;
mod fs;
mod guest;
mod interrupt;
pub mod limits;
pub mod link;
mod network;
mod output;
pub mod scratch;
mod sources;
mod state;
mod variables;
mod watch;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::call::Input;
use ringfence_model::entry::Used;
use ringfence_model::grant::Grant;
use ringfence_model::json;
use ringfence_model::limits as maxima;
use ringfence_model::outcome::LimitKind;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::Trace;
use ringfence_model::outcome::one_line;
use rustix::io::Errno;
use thiserror::Error;
use tokio::time::error::Elapsed;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime::Store;
use wasmtime::Trap;
use wasmtime::component::Instance;
use wasmtime::component::InstancePre;
use wasmtime::component::ResourceTableError;
use wasmtime::component::Val;
use wasmtime_wasi::I32Exit;

use crate::egress::CallEgressError;
use crate::egress::Egress;
use crate::egress::Judge;
use crate::egress::Placeholders;
pub(crate) use crate::sandbox::filesystem::FileReads;
pub use crate::sandbox::filesystem::closes;
pub(crate) use crate::sandbox::guest::Described;
pub(crate) use crate::sandbox::guest::exports::ringfence::tool::tool as described;
pub use crate::sandbox::interrupt::Interrupt;
pub use crate::sandbox::interrupt::Interrupter;
pub use crate::sandbox::interrupt::interrupt;
use crate::sandbox::link::NotGranted;
use crate::sandbox::output::OutputLimitReached;
use crate::sandbox::scratch::Scratch;
use crate::sandbox::scratch::ScratchError;
pub use crate::sandbox::state::State;
pub use crate::sandbox::watch::Contact;
pub use crate::sandbox::watch::Sight;
pub use crate::sandbox::watch::Sights;
pub use crate::sandbox::watch::Watcher;
pub use crate::sandbox::watch::watch;
use crate::toolbox::Function;
use crate::toolbox::Target;
use crate::toolbox::Tool;
use crate::toolbox::value;
use crate::toolbox::value::Returned;

/// The host could not run the tool; nothing of it has run.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// Every instance is in use. Trying again later may help.
    #[error("every one of the {max} instances is in use", max = maxima::INSTANCES_MAX)]
    Busy,
    /// A granted folder can't be opened.
    #[error(transparent)]
    Folder(#[from] fs::FolderError),
    /// What is granted of the network can't be set up.
    #[error(transparent)]
    Egress(#[from] CallEgressError),
    /// The call's own folder can't be made.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The system refused what an instance needs.
    #[error("the system could not make room for an instance: {0}")]
    System(Errno),
    /// The engine refused a setting: a bug of ours.
    #[error("the store could not be set up: {0}")]
    Store(String),
}

/// What a run left.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// What the guest asked of the host and was refused.
    pub trace: Trace,
    /// What it used.
    pub used: Used,
}

/// What a call runs in.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// What it may do.
    pub grant: &'a Grant,
    /// The folder behind the grant's scratch path.
    pub scratch: Option<&'a Scratch>,
    /// The way out to a network.
    pub egress: &'a Arc<Egress>,
    /// Whoever is asked before anything leaves.
    pub judge: Option<&'a Arc<dyn Judge>>,
    /// Whoever called may stop it.
    pub interrupt: &'a Interrupt,
    /// Whoever called may watch it.
    pub watcher: Option<&'a Watcher>,
}

/// Runs a function of a tool in a room. `input` has been checked against the function's schema.
pub async fn run(tool: &Tool, function: &Function, input: &Input, room: &Room<'_>) -> Result<Run, SandboxError> {
    let grant = room.grant;
    let mut arguments = vec![tool.reference().name.clone()];
    arguments.extend_from_slice(&input.arguments);
    let state = State::new(room, &arguments, &input.stdin)?;
    let mut store = store(tool.pre(), state, grant)?;
    let wall = Duration::from_millis(grant.limits().wall_ms);
    let started = Instant::now();
    // Dropping the future on time-out also abandons a host call that blocks; fuel alone would not notice one.
    let ended = tokio::select! {
        biased;
        () = room.interrupt.wait() => None,
        ended = tokio::time::timeout(wall, invoke(&mut store, tool, function, input)) => Some(ended),
    };
    let elapsed = started.elapsed();
    let outcome = match ended {
        None => Outcome::cancelled(room.interrupt.why()),
        Some(ended) => ran(ended, &store, grant, function)?,
    };
    Ok(conclude(store, grant, function, outcome, elapsed))
}

/// What came of a run that was left to go on: to its end, or to the end of its time.
fn ran(
    ended: Result<wasmtime::Result<Outcome>, Elapsed>,
    store: &Store<State>,
    grant: &Grant,
    function: &Function,
) -> Result<Outcome, SandboxError> {
    Ok(match ended {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) if error.is::<PoolConcurrencyLimitError>() => return Err(SandboxError::Busy),
        Ok(Err(error)) => match error.downcast_ref::<Errno>() {
            Some(errno) => refused(store, grant, *errno)?,
            None => ending(store, grant, function, &error),
        },
        Err(_) => Outcome::limit(LimitKind::Time, &format!("{} ms", grant.limits().wall_ms)),
    })
}

/// What the system refuses the host is no fault of the tool's (CR-29). Nothing of one has run that has used no fuel.
fn refused(store: &Store<State>, grant: &Grant, errno: Errno) -> Result<Outcome, SandboxError> {
    let error = SandboxError::System(errno);
    if store.get_fuel().is_ok_and(|left| left == grant.limits().fuel) {
        return Err(error);
    }
    Ok(Outcome::cancelled(&error.to_string()))
}

/// Runs a function and keeps everything that running it took: what a sandbox costs as long as it is open.
pub(crate) async fn hold(tool: &Tool, function: &Function, grant: &Grant) -> Result<impl Sized + use<>, SandboxError> {
    let (egress, interrupt) = (Egress::closed(), Interrupt::never());
    let room = Room { grant, scratch: None, egress: &egress, judge: None, interrupt: &interrupt, watcher: None };
    let mut store = store(tool.pre(), State::new(&room, &[], &[])?, grant)?;
    match invoke(&mut store, tool, function, &Input::default()).await {
        Ok(_) => Ok(store),
        Err(error) if error.is::<PoolConcurrencyLimitError>() => Err(SandboxError::Busy),
        Err(error) => Err(SandboxError::Store(format!("{error:#}"))),
    }
}

/// Asks a described tool what it offers, with nothing granted.
pub(crate) async fn describe(pre: &InstancePre<State>, grant: &Grant) -> Result<described::Description, String> {
    let (egress, interrupt) = (Egress::closed(), Interrupt::never());
    let room = Room { grant, scratch: None, egress: &egress, judge: None, interrupt: &interrupt, watcher: None };
    let state = State::new(&room, &[], &[]).map_err(|error| error.to_string())?;
    let mut store = store(pre, state, grant).map_err(|error| error.to_string())?;
    let wall = Duration::from_millis(grant.limits().wall_ms);
    let asked = async {
        let instance = pre.instantiate_async(&mut store).await?;
        let tool = Described::new(&mut store, &instance)?;
        tool.ringfence_tool_tool().call_describe(&mut store).await
    };
    match tokio::time::timeout(wall, asked).await {
        Ok(Ok(description)) => Ok(description),
        Ok(Err(error)) => Err(one_line(&error.root_cause().to_string())),
        Err(_) => Err(format!("it took longer than {} ms", grant.limits().wall_ms)),
    }
}

fn store(pre: &InstancePre<State>, state: State, grant: &Grant) -> Result<Store<State>, SandboxError> {
    let limits = grant.limits();
    let broken = |error: wasmtime::Error| SandboxError::Store(format!("{error:#}"));
    let mut store = Store::new(pre.engine(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(usize::try_from(maxima::HOST_CALL_BYTES_MAX).unwrap_or(usize::MAX));
    store.set_max_component_handles(usize::try_from(limits.handles).unwrap_or(usize::MAX));
    store.set_fuel(limits.fuel).map_err(broken)?;
    store.fuel_async_yield_interval(Some(maxima::FUEL_YIELD_INTERVAL)).map_err(broken)?;
    Ok(store)
}

async fn invoke(
    store: &mut Store<State>,
    tool: &Tool,
    function: &Function,
    input: &Input,
) -> wasmtime::Result<Outcome> {
    let instance = tool.pre().instantiate_async(&mut *store).await?;
    match &function.target {
        Target::Run(export) => {
            let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, export)?;
            let (ended,) = run.call_async(&mut *store, ()).await?;
            Ok(exited(i32::from(ended.is_err())))
        }
        Target::Described => call_described(store, &instance, function, input).await,
        Target::Export(export) => {
            let called = instance.get_func(&mut *store, export).ok_or_else(|| {
                wasmtime::Error::msg(format!("`{}` is not among the component's exports", function.name))
            })?;
            let ty = called.ty(&*store);
            let empty = serde_json::json!({});
            let arguments = match value::arguments(&ty, input.value.as_ref().unwrap_or(&empty)) {
                Ok(arguments) => arguments,
                // The session has checked this very input; the types are those of the same component.
                Err(error) => return Ok(Outcome::denied("caller.bad-input", &error.to_string())),
            };
            let mut results = vec![Val::Bool(false); ty.results().len()];
            called.call_async(&mut *store, &arguments, &mut results).await?;
            Ok(match value::returned(&ty, &results) {
                Ok(Returned::Value(value)) => Outcome::returned(value),
                Ok(Returned::Error(value)) => tool_error(value),
                Err(error) => bad_value(&error.to_string()),
            })
        }
    }
}

async fn call_described(
    store: &mut Store<State>,
    instance: &Instance,
    function: &Function,
    input: &Input,
) -> wasmtime::Result<Outcome> {
    let tool = Described::new(&mut *store, instance)?;
    let empty = serde_json::json!({});
    let text = String::from_utf8(json::canonical(input.value.as_ref().unwrap_or(&empty))).unwrap_or_default();
    let answer = tool.ringfence_tool_tool().call_call(&mut *store, &function.name, &text).await?;
    Ok(match answer {
        // Before it is read: reading takes time that no deadline bounds.
        Ok(text) if text.len() > store.data().stdout.bytes_max() => too_much_output(store.data().stdout.bytes_max()),
        Ok(text) => match json::parse(text.as_bytes()) {
            Ok(value) => match function.check_output(&value) {
                Ok(()) => Outcome::returned(Some(value)),
                Err(why) => bad_value(&format!("what the tool returned does not fit its own schema: {why}")),
            },
            Err(error) => bad_value(&format!("what the tool returned is not JSON: {error}")),
        },
        Err(failure) => {
            let (kind, text) = match failure {
                described::Failure::InvalidInput(text) => ("invalid-input", text),
                described::Failure::Unavailable(text) => ("unavailable", text),
                described::Failure::Failed(text) => ("failed", text),
            };
            Outcome::tool_error(one_line(&text), Some(serde_json::json!({ kind: text })))
        }
    })
}

/// Turns an error that came out of a guest into what it says about the guest.
fn ending(store: &Store<State>, grant: &Grant, function: &Function, error: &wasmtime::Error) -> Outcome {
    let limits = grant.limits();
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return match function.target {
            Target::Run(_) => exited(exit.0),
            _ => Outcome::trapped(&format!("the tool exited with code {} instead of returning", exit.0)),
        };
    }
    if let Some(NotGranted(import)) = error.downcast_ref::<NotGranted>() {
        return Outcome::denied("denied.capability", &format!("the tool called `{import}`, which is not granted"));
    }
    if error.is::<OutputLimitReached>() {
        return too_much_output(limits.output_bytes);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Outcome::limit(LimitKind::Fuel, &format!("{} units", limits.fuel)),
        Some(Trap::StackOverflow) => {
            return Outcome::limit(LimitKind::Stack, &format!("{} bytes", maxima::STACK_BYTES_MAX));
        }
        // A guest that is refused memory aborts by a trap of its own making.
        _ if store.data().limiter.was_refused() => {
            return Outcome::limit(LimitKind::Memory, &format!("{} bytes", limits.memory_bytes));
        }
        Some(trap) => return Outcome::trapped(&one_line(&trap.to_string())),
        None => {}
    }
    let cause = error.root_cause().to_string();
    if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full))
        || cause.contains("handle limit exceeded")
    {
        return Outcome::limit(LimitKind::Handles, &limits.handles.to_string());
    }
    if cause.contains("fuel allocated for hostcalls") {
        return Outcome::limit(LimitKind::HostCall, &format!("{} bytes", maxima::HOST_CALL_BYTES_MAX));
    }
    Outcome::trapped(&one_line(&cause))
}

fn too_much_output(bytes_max: impl std::fmt::Display) -> Outcome {
    Outcome::limit(LimitKind::Output, &format!("{bytes_max} bytes"))
}

fn exited(code: i32) -> Outcome {
    let outcome = match code {
        0 => Outcome::returned(None),
        code => Outcome::tool_error(format!("the tool exited with code {code}"), None),
    };
    Outcome { exit_code: Some(code), ..outcome }
}

fn tool_error(value: Option<serde_json::Value>) -> Outcome {
    let message = match &value {
        Some(serde_json::Value::String(text)) => one_line(text),
        Some(value) => one_line(&value.to_string()),
        None => "the tool returned an error without a value".to_owned(),
    };
    Outcome::tool_error(message, value)
}

fn bad_value(why: &str) -> Outcome {
    let mut outcome = Outcome::tool_error(one_line(why), None);
    if let Some(error) = &mut outcome.error {
        "tool.bad-value".clone_into(&mut error.code);
    }
    outcome
}

/// Collects what the store holds, bounds the returned value, and lets the store go.
fn conclude(store: Store<State>, grant: &Grant, function: &Function, outcome: Outcome, elapsed: Duration) -> Run {
    let limits = grant.limits();
    let fuel = store.get_fuel().map_or(limits.fuel, |left| limits.fuel.saturating_sub(left));
    let mut state = store.into_data();
    let secrets = state.egress().placeholders();
    let outcome = redacted(outcome, secrets);
    let (stdout, stderr) = (secrets.redact(state.stdout.take()), secrets.redact(state.stderr.take()));
    let trace = state.take_trace();
    // A value is output whether it comes as a result or as an error.
    let values = [outcome.value.as_ref(), outcome.error.as_ref().and_then(|error| error.value.as_ref())];
    let value_bytes: usize = values.into_iter().flatten().map(|value| json::canonical(value).len()).sum();
    let bytes = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let outcome = if bytes(value_bytes) > limits.output_bytes { too_much_output(limits.output_bytes) } else { outcome };
    let used = Used {
        fuel,
        memory_bytes: state.limiter.bytes_peak(),
        output_bytes: bytes(value_bytes + stdout.len() + stderr.len()),
        wall_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    };
    let is_command = matches!(function.target, Target::Run(_));
    Run { outcome: outcome.with_output(stdout, stderr, is_command), trace, used }
}

/// A secret that came back to the guest does not leave with what it puts out (SEC-05, OUT-04).
fn redacted(mut outcome: Outcome, secrets: &Placeholders) -> Outcome {
    if let Some(value) = &mut outcome.value {
        secrets.redact_value(value);
    }
    if let Some(error) = &mut outcome.error {
        error.message = secrets.redact_text(&error.message).into_owned();
        if let Some(value) = &mut error.value {
            secrets.redact_value(value);
        }
    }
    outcome
}
