//! `ringfence policy`: list, test and ask policies. Nothing here runs a tool or writes to the log.

use std::path::Path;
use std::path::PathBuf;

use ringfence_model::decision::Narrowing;
use ringfence_model::decision::Obligation;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Reason;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::Verdict;
use ringfence_model::digest::Digest;
use ringfence_model::json;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::policy::Policy;
use ringfence_runtime::policy::PolicyDescription;
use ringfence_runtime::policy::cases::CaseResult;
use ringfence_runtime::policy::cases::Cases;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::args::PolicyCommand;
use crate::commands;
use crate::commands::inspect::announce_compilation;
use crate::config::Config;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub fn run(home: Option<&Path>, command: PolicyCommand, output: Output) -> Result<Exit, CommandError> {
    // Policies can be tested without a home; with one, its configuration and cache are used.
    let home = home.filter(|folder| folder.join("keys").exists()).map(Home::open).transpose()?;
    let engine = match &home {
        Some(home) => home.engine()?,
        None => commands::compile::engine_without_home()?,
    };
    match command {
        PolicyCommand::List => list(&engine, home.as_ref(), output),
        PolicyCommand::Test { dir, component } => test(&engine, &dir, component, output),
        PolicyCommand::Eval { name, request, settings } => {
            eval(&engine, home.as_ref(), &name, &request, settings.as_deref(), output)
        }
    }
}

fn list(engine: &Engine, home: Option<&Home>, output: Output) -> Result<Exit, CommandError> {
    let config = home.map_or_else(Config::default, |home| home.config().clone());
    let folder = home.map_or(Path::new("."), Home::folder);
    let in_force = |name: &str| match &config.policies {
        None => name == "ring-default",
        Some(tables) => tables.contains_key(name),
    };
    let builtin = ringfence_policies::ALL.iter().map(|policy| policy.name.to_owned());
    let configured = config.policies.iter().flatten().map(|(name, _)| name.clone());
    let mut names: Vec<String> = builtin.chain(configured).collect();
    names.sort();
    names.dedup();
    let mut rows = Vec::new();
    for name in names {
        let component = component(folder, &config, &name)?;
        announce_compilation(engine, &name, &component, output);
        // One that is not configured may need settings it does not have yet.
        let description = Policy::describe(engine, &name, &component)?;
        let digest = Digest::of(&component);
        rows.push(Row { in_force: in_force(&name), configured_name: name, digest, description });
    }
    if output.is_json() {
        output.json(&rows);
        return Ok(Exit::Done);
    }
    for Row { in_force, configured_name, digest, description } in &rows {
        let mark = if *in_force { "in force" } else { "        " };
        output.line(&format!("{mark}  {configured_name}  {digest}"));
        output.line(&format!("          {}", description.summary));
        output.line(&format!("          settings {}", description.settings_schema));
    }
    Ok(Exit::Done)
}

/// A policy as it is listed.
#[derive(Serialize)]
struct Row {
    in_force: bool,
    configured_name: String,
    digest: Digest,
    #[serde(flatten)]
    description: PolicyDescription,
}

fn component(folder: &Path, config: &Config, name: &str) -> Result<Vec<u8>, CommandError> {
    match config.policies.as_ref().and_then(|tables| tables.get(name)?.component.clone()) {
        Some(path) => commands::read(&folder.join(path)),
        None => Ok(commands::builtin(name)?.to_vec()),
    }
}

fn test(engine: &Engine, dir: &Path, component: Option<PathBuf>, output: Output) -> Result<Exit, CommandError> {
    let path = dir.join("cases.toml");
    let text = String::from_utf8_lossy(&commands::read(&path)?).into_owned();
    let cases = Cases::parse(&text).map_err(|error| {
        CommandError::environment(format!(
            "`{}` is not a table of cases: {}",
            path.display(),
            first_line(&error.to_string())
        ))
        .hint("each row is `[[cases]]` with `name`, `expect` and what the request says")
    })?;
    let (name, bytes) = tested(&cases, dir, component)?;
    let results = cases.run(engine, &name, &bytes)?;
    let failed = results.iter().filter(|result| !result.passed).count();
    if output.is_json() {
        output.json(&json!({ "policy": name, "digest": Digest::of(&bytes), "failed": failed, "cases": results }));
    } else {
        for result in &results {
            print_case(result, output);
        }
        output.line(&format!(
            "{} passed, {failed} failed  ({name} {})",
            results.len() - failed,
            Digest::of(&bytes).short()
        ));
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::ToolFailed })
}

fn print_case(result: &CaseResult, output: Output) {
    if result.passed {
        output.line(&format!("ok      {}  ({} fuel)", result.name, result.fuel));
    } else {
        output.line(&format!("FAILED  {}", result.name));
        output.line(&format!("          expected {}", result.expected));
        output.line(&format!("          got      {}", result.actual));
    }
}

/// The policy whose cases these are: the one named on the command line, else by the table, else by the folder.
fn tested(cases: &Cases, dir: &Path, component: Option<PathBuf>) -> Result<(String, Vec<u8>), CommandError> {
    let folder_name = || {
        let resolved = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        resolved.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let name = cases.policy.clone().unwrap_or_else(folder_name);
    let file = component.or_else(|| cases.component.as_ref().map(|component| dir.join(component)));
    let bytes = match file {
        Some(file) => commands::read(&file)?,
        None => commands::builtin(&name)?.to_vec(),
    };
    Ok((name, bytes))
}

fn first_line(text: &str) -> String {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::trim).collect::<Vec<_>>().join(" ")
}

fn eval(
    engine: &Engine,
    home: Option<&Home>,
    name: &str,
    request: &Path,
    settings: Option<&str>,
    output: Output,
) -> Result<Exit, CommandError> {
    let bytes = commands::read(request)?;
    let wrong = |why: String| {
        CommandError::command_line(format!("`{}` is not a policy request: {why}", request.display()))
            .hint("docs/FORMAT.md shows a request; the record of every call holds one")
    };
    let value = json::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    let request: PolicyRequest = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    let policy = evaluated(engine, home, name, settings)?;
    let ruling = policy.ask(&request);
    let denied = !matches!(ruling.verdict, Ok(Verdict::Permit(..)));
    if output.is_json() {
        output.json(&ruled(&ruling));
    } else {
        print_ruling(&ruling, output);
    }
    Ok(if denied { Exit::Denied } else { Exit::Done })
}

fn evaluated(engine: &Engine, home: Option<&Home>, name: &str, settings: Option<&str>) -> Result<Policy, CommandError> {
    let config = home.map_or_else(Config::default, |home| home.config().clone());
    let folder = home.map_or(Path::new("."), Home::folder);
    if settings.is_none() && !is_file(name) {
        return commands::named_policy(engine, folder, &config, name);
    }
    let settings = json::parse(settings.unwrap_or("{}").as_bytes())
        .map_err(|error| CommandError::command_line(format!("the settings are not JSON: {error}")))?;
    let configured = config.policies.as_ref().and_then(|tables| tables.get(name)?.component.clone());
    let component = match (is_file(name), configured) {
        (true, _) => commands::read(Path::new(name))?,
        (false, Some(path)) => commands::read(&folder.join(path))?,
        (false, None) => commands::builtin(name)?.to_vec(),
    };
    Ok(Policy::load(engine, name, &component, &settings)?)
}

/// Names of policies are in kebab-case, so a dot means a file.
fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "wasm")
}

fn ruled(ruling: &Ruling) -> Value {
    let (verdict, reasons, obligations, fault) = match &ruling.verdict {
        Ok(Verdict::Abstain) => ("abstain", json!([]), json!([]), Value::Null),
        Ok(Verdict::Forbid(reasons)) => ("forbid", json!(reasons), json!([]), Value::Null),
        Ok(Verdict::Permit(reasons, obligations)) => {
            let shown: Vec<_> = obligations.iter().map(obligation).collect();
            ("permit", json!(reasons), json!(shown), Value::Null)
        }
        Err(fault) => ("fault", json!([]), json!([]), json!({ "code": fault.code(), "text": fault.to_string() })),
    };
    json!({
        "policy": ruling.policy.name,
        "digest": ruling.policy.digest,
        "settings": ruling.policy.settings,
        "verdict": verdict,
        "reasons": reasons,
        "obligations": obligations,
        "fault": fault,
        "fuel": ruling.fuel,
    })
}

fn obligation(obligation: &Obligation) -> Value {
    let name = obligation.name();
    match obligation {
        Obligation::Named(name) => json!({ "name": name, "known": false }),
        Obligation::Approve(demand) => {
            json!({ "name": name, "by": demand.by, "reason": demand.reason, "valid_ms": demand.valid_ms })
        }
        Obligation::Cache(demand) => json!({ "name": name, "shared": demand.shared, "valid_ms": demand.valid_ms }),
        Obligation::Cap(cap) => json!({
            "name": name,
            "at_most": cap.at_most,
            "scope": cap.scope,
            "unit": cap.unit,
            "window": cap.window,
        }),
        Obligation::Redact(redactions) => json!({ "name": name, "redactions": redactions }),
        Obligation::Narrow(narrowing) => narrowed(narrowing),
    }
}

/// A narrowing: only what it says something about.
fn narrowed(narrowing: &Narrowing) -> Value {
    let all = [
        ("access", narrowing.access.map(|access| json!(access))),
        ("folders", narrowing.folders.as_ref().map(|folders| json!(folders))),
        ("environment", narrowing.environment.as_ref().map(|names| json!(names))),
        ("http", narrowing.http.as_ref().map(|rules| json!(texts(rules)))),
        ("sockets", narrowing.sockets.as_ref().map(|rules| json!(texts(rules)))),
        ("names", narrowing.names.as_ref().map(|rules| json!(texts(rules)))),
        ("addresses", narrowing.addresses.as_ref().map(|rules| json!(texts(rules)))),
        ("secrets", narrowing.secrets.as_ref().map(|names| json!(names))),
        ("memory_bytes", narrowing.memory_bytes.map(|bytes| json!(bytes))),
        ("fuel", narrowing.fuel.map(|fuel| json!(fuel))),
        ("wall_ms", narrowing.wall_ms.map(|ms| json!(ms))),
    ];
    let said = all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(std::iter::once(("name".to_owned(), json!("narrow"))).chain(said).collect())
}

fn texts<T: std::fmt::Display>(rules: &[T]) -> Vec<String> {
    rules.iter().map(ToString::to_string).collect()
}

fn print_ruling(ruling: &Ruling, output: Output) {
    let (verdict, reasons, obligations): (_, &[Reason], &[Obligation]) = match &ruling.verdict {
        Ok(Verdict::Abstain) => ("abstain", &[], &[]),
        Ok(Verdict::Forbid(reasons)) => ("forbid", reasons, &[]),
        Ok(Verdict::Permit(reasons, obligations)) => ("permit", reasons, obligations),
        Err(_) => ("fault", &[], &[]),
    };
    output.line(&format!("verdict  {verdict}"));
    for Reason { code, text } in reasons {
        output.line(&format!("reason   {code}: {text}"));
    }
    for condition in obligations {
        output.line(&format!("must     {}", obligation(condition)));
    }
    if let Err(fault) = &ruling.verdict {
        output.line(&format!("fault    {fault}"));
    }
    output.line(&format!("fuel     {}", ruling.fuel));
}
