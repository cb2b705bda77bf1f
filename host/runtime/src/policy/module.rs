//! One policy: a component without imports, loaded once and asked in a fresh instance every time.
//!
//! A fresh instance remembers nothing, fuel and memory are bounded, and nothing can be imported: so the same request
//! bytes get the same verdict, on any machine, in any order. Whatever the guest does instead of answering is a
//! [`PolicyFault`], and a fault denies.

use std::fmt;

use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::PolicyFault;
use ringfence_model::decision::PolicyRef;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::PolicyScope;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::Verdict;
use ringfence_model::digest::Digest;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use rustix::io::Errno;
use serde_json::Value;
use thiserror::Error;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime::Store;
use wasmtime::Trap;
use wasmtime::component::Linker;

use crate::engine::CompileError;
use crate::engine::Engine;
use crate::policy::guest;
use crate::sandbox::limits::Limiter;
use crate::toolbox::compile_schema;

/// Why a component is not put in force as a policy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It is no component, or not one the engine takes.
    #[error("policy `{name}` is not a component that can be loaded: {why}")]
    NotAComponent {
        /// The policy.
        name: String,
        /// What the engine says.
        why: String,
    },
    /// It can't be compiled within its limits, or at all.
    #[error("policy `{name}` can't be compiled: {source}")]
    Compile {
        /// The policy.
        name: String,
        /// What stood in the way.
        source: CompileError,
    },
    /// It imports something.
    #[error("policy `{name}` imports `{import}`: a policy imports nothing, so that it decides the same everywhere")]
    HasImport {
        /// The policy.
        name: String,
        /// Its first import.
        import: String,
    },
    /// It does not export the policy interface in a version this host knows.
    #[error("component `{name}` is not a policy of `ringfence:policy@0.1`: {why}")]
    NotAPolicy {
        /// The component.
        name: String,
        /// What is missing.
        why: String,
    },
    /// It faulted when asked to describe itself or to check its settings.
    #[error("policy `{name}` failed before it was put in force: {fault}")]
    Faulty {
        /// The policy.
        name: String,
        /// What it did.
        fault: PolicyFault,
    },
    /// There is no request it would be asked about.
    #[error("policy `{name}` would never be asked: {why}")]
    NeverAsked {
        /// The policy.
        name: String,
        /// What it wants, and what is left of that.
        why: String,
    },
    /// Its settings don't fit its schema, or it refuses them.
    #[error("the settings of policy `{name}` are wrong at `{pointer}`: {text}")]
    BadSettings {
        /// The policy.
        name: String,
        /// JSON Pointer into the settings.
        pointer: String,
        /// What is wrong.
        text: String,
    },
}

/// What a policy says of itself.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PolicyDescription {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub summary: String,
    /// Where it wants to be asked.
    pub points: Vec<DecisionPoint>,
    /// JSON Schema of its settings.
    pub settings_schema: Value,
}

/// A policy with its settings, ready to be asked.
#[derive(Clone)]
pub struct Policy {
    reference: PolicyRef,
    description: PolicyDescription,
    settings: String,
    scope: PolicyScope,
    /// Whether its permit counts; see [`Self::in_addition`].
    may_permit: bool,
    engine: Engine,
    pre: guest::PolicyPre<Limiter>,
}

impl Policy {
    /// Loads a policy and checks its settings with it.
    pub fn load(engine: &Engine, name: &str, component: &[u8], settings: &Value) -> Result<Self, PolicyError> {
        let digest = Digest::of(component);
        let pre = link(engine, name, &digest, component)?;
        let reference = PolicyRef { name: name.to_owned(), digest, settings: Digest::of_nothing() };
        let description = describe(engine, &pre, name)?;
        let policy = Self {
            reference,
            description,
            settings: String::new(),
            scope: PolicyScope::default(),
            may_permit: true,
            engine: engine.clone(),
            pre,
        };
        policy.with_settings(settings)
    }

    /// The same policy with other settings, which it checks; it is not compiled again.
    pub fn with_settings(&self, settings: &Value) -> Result<Self, PolicyError> {
        let settings = String::from_utf8(json::canonical(settings)).unwrap_or_default();
        let reference = PolicyRef { settings: Digest::of(settings.as_bytes()), ..self.reference.clone() };
        let policy = Self { reference, settings, ..self.clone() };
        policy.check_settings()?;
        Ok(policy)
    }

    /// What a policy component says of itself, whatever settings it needs.
    pub fn describe(engine: &Engine, name: &str, component: &[u8]) -> Result<PolicyDescription, PolicyError> {
        describe(engine, &link(engine, name, &Digest::of(component), component)?, name)
    }

    /// The policy as one that is asked in addition to those in force: it can forbid and narrow, not permit.
    #[must_use]
    pub fn in_addition(self) -> Self {
        Self { may_permit: false, ..self }
    }

    /// The policy as one that is asked within a scope only. A scope in which it would never be asked is refused.
    pub fn within(self, scope: PolicyScope) -> Result<Self, PolicyError> {
        let never = |why: String| PolicyError::NeverAsked { name: self.reference.name.clone(), why };
        scope.check().map_err(|error| never(error.to_string()))?;
        if scope.reaches(&self.description.points).is_empty() {
            let wanted = listed(&self.description.points);
            let why = if wanted.is_empty() {
                "it does not say at which points".to_owned()
            } else {
                format!("it wants to be asked at {wanted}, and its scope leaves nothing of that")
            };
            return Err(never(why));
        }
        Ok(Self { scope, ..self })
    }

    /// The points it is asked at: those it wants, within its scope.
    pub fn points(&self) -> Vec<DecisionPoint> {
        self.scope.reaches(&self.description.points)
    }

    /// Whether it is asked about a request.
    pub fn is_asked(&self, request: &PolicyRequest) -> bool {
        self.description.points.contains(&request.point()) && self.scope.covers(request)
    }

    /// Where it is asked.
    pub fn scope(&self) -> &PolicyScope {
        &self.scope
    }

    /// Its settings, canonical JSON.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Its name, digest and settings.
    pub fn reference(&self) -> &PolicyRef {
        &self.reference
    }

    /// What it says of itself.
    pub fn description(&self) -> &PolicyDescription {
        &self.description
    }

    /// The least that asking it could be: what [`crate::bench`] measures us against.
    pub(crate) fn raw(&self, request: &PolicyRequest) -> RawCall<'_> {
        RawCall { policy: self, request: guest::request(request) }
    }

    /// Asks it, in a fresh instance.
    pub fn ask(&self, request: &PolicyRequest) -> Ruling {
        let mut store = store(&self.engine);
        let verdict = self.evaluate(&mut store, request);
        Ruling { policy: self.reference.clone(), verdict, fuel: fuel_used(&store), may_permit: self.may_permit }
    }

    fn evaluate(&self, store: &mut Store<Limiter>, request: &PolicyRequest) -> Result<Verdict, PolicyFault> {
        let answer = self.pre.instantiate(&mut *store).and_then(|instance| {
            let interface = instance.ringfence_policy_judge();
            interface.call_evaluate(&mut *store, &self.settings, &guest::request(request))
        });
        let verdict = answer.map_err(|error| fault(store, &error))?;
        // A guest may be refused memory and answer all the same; what it would have said with more, nobody knows.
        if store.data().was_refused() {
            return Err(PolicyFault::OutOfMemory);
        }
        guest::verdict(verdict).map_err(|why| PolicyFault::BadReply(one_line(&why)))
    }

    /// The policy's own words come first, they say more; where it faults or forgets to look, its schema still holds.
    fn check_settings(&self) -> Result<(), PolicyError> {
        let own = self.validate_settings();
        if !matches!(own, Err(PolicyError::BadSettings { .. })) {
            check_schema(&self.reference.name, &self.description, &self.settings)?;
        }
        own
    }

    fn validate_settings(&self) -> Result<(), PolicyError> {
        let name = self.reference.name.clone();
        let mut store = store(&self.engine);
        let answer = self
            .pre
            .instantiate(&mut store)
            .and_then(|instance| instance.ringfence_policy_judge().call_validate_settings(&mut store, &self.settings));
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(problems)) => {
                let guest::SettingsProblem { pointer, text } = problems.into_iter().next().unwrap_or_else(|| {
                    guest::SettingsProblem { pointer: String::new(), text: "the policy does not say what".to_owned() }
                });
                Err(PolicyError::BadSettings { name, pointer: one_line(&pointer), text: one_line(&text) })
            }
            Err(error) => Err(PolicyError::Faulty { name, fault: fault(&store, &error) }),
        }
    }
}

/// A fresh store, an instance and one typed call: no limiter, no translation, no check of the reply.
pub(crate) struct RawCall<'p> {
    policy: &'p Policy,
    request: guest::Request,
}

impl RawCall<'_> {
    /// Asks it.
    pub(crate) fn run(&self) -> Result<(), String> {
        self.call(|store, judge| judge.call_evaluate(store, &self.policy.settings, &self.request).map(drop))
    }

    /// Has it describe itself.
    pub(crate) fn describe(&self) -> Result<(), String> {
        self.call(|store, judge| judge.call_describe(store).map(drop))
    }

    fn call(
        &self,
        call: impl FnOnce(&mut Store<Limiter>, &guest::Judge) -> wasmtime::Result<()>,
    ) -> Result<(), String> {
        let mut store = Store::new(self.policy.engine.wasmtime(), Limiter::new(0));
        let called = store.set_fuel(limits::POLICY_FUEL_MAX).and_then(|()| {
            let instance = self.policy.pre.instantiate(&mut store)?;
            call(&mut store, instance.ringfence_policy_judge())
        });
        called.map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("reference", &self.reference).finish_non_exhaustive()
    }
}

fn listed(points: &[DecisionPoint]) -> String {
    points.iter().map(|point| format!("`{point}`")).collect::<Vec<_>>().join(", ")
}

/// The host reads the schema itself: a policy that forgets to look at its settings gets none that don't fit.
fn check_schema(name: &str, description: &PolicyDescription, settings: &str) -> Result<(), PolicyError> {
    let schema = String::from_utf8(json::canonical(&description.settings_schema)).unwrap_or_default();
    let (_, validator) = compile_schema(&schema).map_err(|why| PolicyError::Faulty {
        name: name.to_owned(),
        fault: PolicyFault::BadReply(format!("as for its settings, {why}")),
    })?;
    let settings = json::parse(settings.as_bytes()).map_err(|error| PolicyError::BadSettings {
        name: name.to_owned(),
        pointer: String::new(),
        text: error.to_string(),
    })?;
    validator.check_at_pointer(&settings).map_err(|(pointer, text)| PolicyError::BadSettings {
        name: name.to_owned(),
        pointer: one_line(&pointer),
        text,
    })
}

fn link(engine: &Engine, name: &str, digest: &Digest, bytes: &[u8]) -> Result<guest::PolicyPre<Limiter>, PolicyError> {
    let not_a_component = |why: String| PolicyError::NotAComponent { name: name.to_owned(), why };
    if !crate::engine::is_component(bytes) {
        return Err(not_a_component("it does not start like a WebAssembly component".to_owned()));
    }
    let component = engine.compile(digest, bytes).map_err(|error| match error {
        CompileError::Invalid(why) => not_a_component(why),
        source => PolicyError::Compile { name: name.to_owned(), source },
    })?;
    if let Some((import, _)) = component.component_type().imports(engine.wasmtime()).next() {
        return Err(PolicyError::HasImport { name: name.to_owned(), import: one_line(import) });
    }
    let other = component.component_type().exports(engine.wasmtime()).find_map(|(export, _)| {
        export.strip_prefix("ringfence:policy/judge@").filter(|version| !version.starts_with("0.1.")).map(one_line)
    });
    let not_a_policy = |error: wasmtime::Error| PolicyError::NotAPolicy {
        name: name.to_owned(),
        why: match &other {
            Some(version) => format!("it is one of version `{version}`"),
            None => one_line(&error.root_cause().to_string()),
        },
    };
    // The linker is empty and stays so: there is nothing a policy could be linked with.
    let pre = Linker::new(engine.wasmtime()).instantiate_pre(&component).map_err(not_a_policy)?;
    guest::PolicyPre::new(pre).map_err(not_a_policy)
}

fn describe(engine: &Engine, pre: &guest::PolicyPre<Limiter>, name: &str) -> Result<PolicyDescription, PolicyError> {
    let faulty = |fault| PolicyError::Faulty { name: name.to_owned(), fault };
    let mut store = store(engine);
    // The types of the exports are compared when there is an instance: what is no fault of running it, is that.
    let instance = pre.instantiate(&mut store).map_err(|error| match fault(&store, &error) {
        PolicyFault::BadReply(why) => PolicyError::NotAPolicy { name: name.to_owned(), why },
        other => faulty(other),
    })?;
    let described =
        instance.ringfence_policy_judge().call_describe(&mut store).map_err(|error| faulty(fault(&store, &error)))?;
    let settings_schema = json::parse(described.settings_schema.as_bytes())
        .map_err(|error| faulty(PolicyFault::BadReply(format!("its settings schema is not JSON: {error}"))))?;
    Ok(PolicyDescription {
        name: one_line(&described.name),
        version: one_line(&described.version),
        summary: one_line(&described.summary),
        points: guest::points(&described.points),
        settings_schema,
    })
}

/// A store for one question: bounded fuel, bounded memory, a bounded reply.
fn store(engine: &Engine) -> Store<Limiter> {
    let mut store = Store::new(engine.wasmtime(), Limiter::new(limits::POLICY_MEMORY_BYTES_MAX));
    store.limiter(|limiter| limiter);
    store.set_hostcall_fuel(usize::try_from(limits::POLICY_REPLY_BYTES_MAX).unwrap_or(usize::MAX));
    // Fuel is on in the engine's settings; were it off, the store would refuse and the budget stay at nothing.
    let _ = store.set_fuel(limits::POLICY_FUEL_MAX);
    store
}

fn fuel_used(store: &Store<Limiter>) -> u64 {
    store.get_fuel().map_or(limits::POLICY_FUEL_MAX, |left| limits::POLICY_FUEL_MAX.saturating_sub(left))
}

fn fault(store: &Store<Limiter>, error: &wasmtime::Error) -> PolicyFault {
    if store.data().was_refused() {
        return PolicyFault::OutOfMemory;
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return PolicyFault::Unavailable("every instance is in use; try again".to_owned());
    }
    if let Some(errno) = error.downcast_ref::<Errno>() {
        return PolicyFault::Unavailable(errno.to_string());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => PolicyFault::OutOfFuel,
        Some(trap) => PolicyFault::Trapped(one_line(&trap.to_string())),
        None => PolicyFault::BadReply(one_line(&error.root_cause().to_string())),
    }
}
