//! `ringfence policy eval`: one policy, one request.

use std::path::Path;

use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Verdict;
use ringfence_model::json;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::shown;

use crate::commands;
use crate::commands::policy::render;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::policies::Policies;

pub(super) fn run(
    engine: &Engine,
    home: Option<&Home>,
    name: &str,
    request: &Path,
    settings: Option<&str>,
    output: Output,
) -> Result<Exit, CommandError> {
    let request = read_request(request)?;
    let policy = evaluated(engine, home, name, settings)?;
    let ruling = policy.ask(&request);
    let denied = !matches!(ruling.verdict, Ok(Verdict::Permit(..)));
    if output.is_json() {
        output.json(&shown::ruled(&ruling));
    } else {
        render::print_ruling(&ruling, output);
    }
    Ok(if denied { Exit::Denied } else { Exit::Done })
}

/// A request from a file: JSON in the form that the record keeps.
pub(super) fn read_request(path: &Path) -> Result<PolicyRequest, CommandError> {
    let wrong = |why: String| CommandError::not_a_request(path, &why);
    let value = json::parse(&commands::read(path)?).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

fn evaluated(engine: &Engine, home: Option<&Home>, name: &str, settings: Option<&str>) -> Result<Policy, CommandError> {
    let policies = Policies::of(home);
    if settings.is_none() && !is_file(name) {
        return Ok(policies.load(engine, name)?.policy);
    }
    let settings = json::parse(settings.unwrap_or("{}").as_bytes())
        .map_err(|error| CommandError::command_line(format!("the settings are not JSON: {error}")))?;
    let component = if is_file(name) { commands::read(Path::new(name))?.into() } else { policies.component(name)? };
    Ok(Policy::load(engine, name, &component, &settings)?)
}

/// Names of policies are in kebab-case, so a dot means a file.
fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "wasm")
}
