//! `ringfence policy list`: what there is, what of it is in force, and where each is asked.

use ringfence_model::decision::DecisionPoint;
use ringfence_model::decision::PolicyScope;
use ringfence_model::digest::Digest;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicyDescription;
use serde::Serialize;

use crate::commands::inspect::announce_compilation;
use crate::config::policies::PolicyTable;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::policies::Policies;

/// What is listed.
#[derive(Serialize)]
struct Listing {
    /// What identifies the set in force; every entry with a decision names it.
    policy_set: Digest,
    policies: Vec<Row>,
}

/// A policy as it is listed.
#[derive(Serialize)]
struct Row {
    in_force: bool,
    configured_name: String,
    digest: Digest,
    /// Where it is asked, if it is in force.
    asked_at: Vec<DecisionPoint>,
    scope: PolicyScope,
    #[serde(flatten)]
    description: PolicyDescription,
}

pub(super) fn run(engine: &Engine, policies: &Policies, output: Output) -> Result<Exit, CommandError> {
    // A set that can't be put in force has no digest: what is wrong with it is the answer.
    let policy_set = policies.set(engine)?.digest();
    let builtin = ringfence_policies::ALL.iter().map(|policy| policy.name);
    let mut names: Vec<&str> = builtin.chain(policies.configured()).collect();
    names.sort_unstable();
    names.dedup();
    let rows = names.into_iter().map(|name| row(engine, policies, name, output)).collect::<Result<_, _>>()?;
    let listing = Listing { policy_set, policies: rows };
    if output.is_json() {
        output.json(&listing);
    } else {
        print(&listing, output);
    }
    Ok(Exit::Done)
}

/// What a policy says of itself; one that is not configured may need settings it does not have yet.
fn row(engine: &Engine, policies: &Policies, name: &str, output: Output) -> Result<Row, CommandError> {
    let component = policies.component(name)?;
    announce_compilation(engine, name, &component, output);
    let description = Policy::describe(engine, name, &component)?;
    let in_force = policies.in_force().contains(&name);
    let scope = policies.table(name).map(PolicyTable::scope).unwrap_or_default();
    let asked_at = if in_force { scope.reaches(&description.points) } else { Vec::new() };
    Ok(Row { in_force, configured_name: name.to_owned(), digest: Digest::of(&component), asked_at, scope, description })
}

fn print(listing: &Listing, output: Output) {
    for Row { in_force, configured_name, digest, asked_at, scope, description } in &listing.policies {
        let mark = if *in_force { "in force" } else { "        " };
        output.line(&format!("{mark}  {configured_name}  {digest}"));
        output.line(&format!("          {}", description.summary));
        output.line(&format!("          settings {}", description.settings_schema));
        if *in_force {
            output.line(&format!("          asked at {}{}", listed(asked_at), within(scope)));
        } else {
            output.line(&format!("          wants {}", listed(&description.points)));
        }
    }
    output.line(&format!("set       {}", listing.policy_set));
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What else a scope says, after the points.
fn within(scope: &PolicyScope) -> String {
    let part = |what: &str, items: Option<String>| items.map(|items| format!("; {what} {items}")).unwrap_or_default();
    part("rings", scope.rings.as_deref().map(listed))
        + &part("tools", scope.tools.as_deref().map(listed))
        + &part("principals", scope.principals.as_deref().map(listed))
}
