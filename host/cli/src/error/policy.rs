//! Policies: the set in force, their cases, and what is asked of them without a call.

use std::path::Path;

use ringfence_model::digest::Digest;
use ringfence_model::id::CallId;
use ringfence_model::outcome::one_line;
use ringfence_runtime::policy::PolicyError;
use ringfence_runtime::policy::archive::ArchiveError;
use ringfence_runtime::policy::cases::CaseResult;
use ringfence_runtime::policy::explain::NotAsked;

use crate::error::CommandError;
use crate::error::listed;

impl CommandError {
    /// A policy that is neither built in nor configured with a component.
    pub fn unknown_policy(name: &str, builtin: &[String]) -> Self {
        let builtin = listed(builtin);
        Self::environment(format!("there is no policy `{}`", one_line(name)))
            .code("host.policy")
            .hint(format!("built in are {builtin}; others have a `component` in the configuration under [policies]"))
    }

    /// POL-12: a policy whose component is not the one that is pinned.
    pub fn other_policy(name: &str, actual: &Digest, pinned: &Digest) -> Self {
        Self::environment(format!("policy `{name}` is `{actual}`, but `{pinned}` is pinned"))
            .code("host.policy")
            .hint("review the new component, then pin its digest")
    }

    /// A table of cases that can't be run.
    pub fn bad_cases(path: &Path, why: &str) -> Self {
        let why = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        Self::environment(format!("`{}` is not a table of cases: {why}", path.display()))
            .code("host.policy-cases")
            .hint("each row is `[[cases]]` with `name`, `expect` and what the request says")
    }

    /// A policy that does not do what its own cases say.
    pub fn failed_cases(name: &str, failed: usize, first: &CaseResult, path: &Path) -> Self {
        let CaseResult { name: case, expected, actual, .. } = first;
        let case = one_line(case);
        Self::environment(format!(
            "policy `{name}` fails {failed} of its own cases, the first is `{case}`: expected {expected}, got {actual}"
        ))
        .code("host.policy-cases")
        .hint(format!("`ringfence policy test {}` shows all of them", path.parent().unwrap_or(path).display()))
        .hint("nothing is permitted until every policy in force passes, or its `cases` are taken out")
    }

    /// A file that is no policy request.
    pub fn not_a_request(path: &Path, why: &str) -> Self {
        Self::command_line(format!("`{}` is not a policy request: {}", path.display(), one_line(why)))
            .hint("docs/FORMAT.md shows a request; the record of every call holds one")
    }

    /// A command about recorded decisions, where there is no record.
    pub fn no_record() -> Self {
        Self::environment("there is no home with a record of decisions")
            .code("host.not-initialised")
            .hint("name one with `--home DIR`, or another's with `--log DIR`")
    }

    /// An explanation that needs a configuration.
    pub fn no_home_to_explain() -> Self {
        Self::environment("there is no home whose configuration could be explained")
            .code("host.not-initialised")
            .hint("create one with `ringfence init`, or name one with `--home DIR`")
    }

    /// A call that has no recorded decision.
    pub fn no_decision_of(call: CallId) -> Self {
        Self::command_line(format!("no entry that was looked at has a decision on `{call}`"))
            .hint("`ringfence log show` lists calls; a call that was not admitted was never decided on")
    }
}

impl From<PolicyError> for CommandError {
    fn from(error: PolicyError) -> Self {
        if let PolicyError::Compile { source, .. } = &error {
            return Self::compile(&error, source);
        }
        let message = one_line(&error.to_string());
        let hint = match error {
            PolicyError::BadSettings { .. } => "`ringfence policy list` shows the settings each policy takes",
            PolicyError::NeverAsked { .. } => {
                "`ringfence policy list` shows the points a policy wants; what is about no tool is not within `tools`"
            }
            PolicyError::NotAPolicy { .. } => {
                "build it against the `policy.wit` of this host: a policy exports `ringfence:policy/judge@0.1`"
            }
            PolicyError::HasImport { .. } => "build it for `wasm32-unknown-unknown`, without a WASI adapter",
            _ => "a policy is a component of the world `policy` in wit/policy",
        };
        Self::environment(message).code("host.policy").hint(hint)
    }
}

impl From<NotAsked> for CommandError {
    fn from(error: NotAsked) -> Self {
        Self::command_line(one_line(&error.to_string()))
            .code("caller.not-asked")
            .hint("no policy is asked about this; `ringfence inspect FILE` shows functions and their schemas")
    }
}

impl From<ArchiveError> for CommandError {
    fn from(error: ArchiveError) -> Self {
        Self::environment(one_line(&error.to_string()))
            .code("host.policy-archive")
            .hint("what has been in force is kept in the home's folder `archive`: check who may use it")
    }
}
