//! One call of a tool that is loaded, from the command line's words to a receipt: what `run` and `call` share.

use std::path::Path;
use std::sync::Arc;

use ringfence_audit::receipt::Receipt;
use ringfence_model::call::CallRequest;
use ringfence_model::call::IdempotencyKey;
use ringfence_model::call::Input;
use ringfence_model::capability::Asked;
use ringfence_model::capability::Ceiling;
use ringfence_model::decision::Claim;
use ringfence_model::id::CallId;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::HostCall;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::outcome::one_line;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::host::Host;
use ringfence_runtime::host::HostConfig;
use ringfence_runtime::host::HostParts;
use ringfence_runtime::pipeline::Admission;
use ringfence_runtime::pipeline::Attempt;
use ringfence_runtime::pipeline::Response;
use ringfence_runtime::pipeline::Unreached;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::sandbox::scratch;
use ringfence_runtime::toolbox::Tool;
use serde_json::Value;
use serde_json::json;

use crate::args::CallFlags;
use crate::commands;
use crate::egress;
use crate::error::CommandError;
use crate::error::Reached;
use crate::error::RingKey;
use crate::error::denial_hints;
use crate::error::reached_hints;
use crate::exit::Exit;
use crate::home::Home;
use crate::home::SystemClock;
use crate::output::Output;
use crate::policies;

/// A call that is to be made.
pub(super) struct Invocation<'a> {
    /// How the policies decided on loading the tool.
    pub(super) admission: Admission,
    /// What the tool may do, before any layer narrows it.
    pub(super) asked: Asked,
    pub(super) call: &'a CallFlags,
    /// The policies in force.
    pub(super) policies: PolicySet,
    pub(super) ring: Ring,
    /// What in the configuration sets the ring: a refusal says so.
    pub(super) ring_key: RingKey<'a>,
}

/// Makes a call, prints what came of it and says it in the exit code.
pub(super) fn invoke(
    home: &Home,
    engine: Engine,
    tool: &Tool,
    invocation: Invocation<'_>,
    output: Output,
) -> Result<Exit, CommandError> {
    let Invocation { admission, asked, call, policies, ring, ring_key } = invocation;
    // The log is opened after everything that takes time: while it is open, no other command can run.
    let more = policies::asked_too(&engine, home, &call.policy)?;
    let host = host(home, engine, policies, &asked.network.secrets, output)?;
    let given = asked.clone();
    let request = CallRequest { idempotency_key: key(call, tool)?, ..request(&host, call, ring, asked)? };
    let response = commands::block_on(async {
        host.settle_admission(admission).await?;
        Ok(host.call(tool, request, &more).await?)
    })?;
    let receipt = receipt(&host, &response, output)?;
    if let Some(path) = &call.receipt {
        let bytes = receipt.to_bytes().map_err(|error| CommandError::environment(error.to_string()))?;
        commands::write(path, &bytes)?;
    }
    let config = home.config_path();
    let hints = response.denial.as_ref().map(|denial| denial_hints(denial, ring, ring_key, home));
    let hints = hints.unwrap_or_default();
    let reached = Reached { asked: &given, config: &config, key: ring_key, ring };
    let reached = reached_hints(&response.refused, &reached);
    if output.is_json() {
        output.json(&rendered(&response, &receipt, &hints));
    } else {
        print(&response, &receipt, (&hints, &reached), output);
    }
    Ok(exit(&response.outcome))
}

/// Writes down that a call was wanted whose grant can't be had, as a server does that is asked for one.
pub(super) fn write_down(
    home: &Home,
    engine: Engine,
    tool: &Tool,
    invocation: Invocation<'_>,
    output: Output,
) -> Result<(), CommandError> {
    let Invocation { admission, asked, call, policies, ring, ring_key: _ } = invocation;
    let host = host(home, engine, policies, &[], output)?;
    let CallRequest { principal, session, function, input, .. } = request(&host, call, ring, asked)?;
    let (tool, why) = (tool.reference().clone(), Unreached::Grant);
    commands::block_on(async {
        host.settle_admission(admission).await?;
        Ok(host.refuse(Attempt { principal, ring, session, tool, function, input, why }).await?)
    })?;
    Ok(host.publish().map(drop)?)
}

/// The host of this command, alone with the log.
pub(super) fn host(
    home: &Home,
    engine: Engine,
    policies: PolicySet,
    secrets: &[String],
    output: Output,
) -> Result<Host, CommandError> {
    let config = home.config();
    let host_state = home.state_folders()?;
    let egress = Arc::new(egress::open(home, secrets)?);
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let scratch = home.scratch_path();
    // The log is held, so no other command of this home runs a call.
    let is_open = |session| ledger.session(session).is_ok_and(|found| found.is_some_and(|s| s.closed.is_none()));
    if let Err(error) = scratch::clear(&scratch, is_open) {
        output.note(&format!("warning: what calls have left that were cut off could not be removed: {error}"));
    }
    Ok(Host::new(HostParts {
        engine,
        config: HostConfig {
            operator: config.operator_ceiling(),
            rings: config.ring_configs(),
            concurrency: config.concurrency(),
            halt: home.halt(),
            host_state,
            scratch,
        },
        policies,
        ledger,
        // Memory is waited for by nobody.
        ledger_blocks: home.memory_log().is_none(),
        sequencer,
        egress,
        clock: Arc::new(SystemClock),
    }))
}

fn request(host: &Host, args: &CallFlags, ring: Ring, asked: Asked) -> Result<CallRequest, CommandError> {
    let principal = caller(host, args)?;
    call_request(args, (host.new_call_id()?, principal), ring, asked)
}

/// A call in the words of the command line, by somebody.
pub(super) fn call_request(
    args: &CallFlags,
    (call, principal): (CallId, Principal),
    ring: Ring,
    asked: Asked,
) -> Result<CallRequest, CommandError> {
    let claimed = args.claims.iter().map(|claim| Claim { name: claim.name.clone(), value: claim.value.clone() });
    Ok(CallRequest {
        call,
        principal,
        ring,
        session: args.session,
        function: args.function.clone(),
        input: input(args)?,
        asked,
        session_ceiling: Ceiling::default(),
        idempotency_key: None,
        claimed: claimed.collect(),
    })
}

/// The key that the call runs once under: one of the caller's own, or one that is made of its task and the step it is.
fn key(args: &CallFlags, tool: &Tool) -> Result<Option<IdempotencyKey>, CommandError> {
    if let Some(key) = &args.idempotency_key {
        return checked_key("--idempotency-key", key).map(Some);
    }
    let Some(task) = &args.task else { return Ok(None) };
    let named = || match tool.function(args.function.as_deref()) {
        Ok(function) => format!("{}/{}", tool.reference().name, function.name),
        // There is no such function, and the call will be refused for that.
        Err(_) => String::new(),
    };
    let (task, step) = (checked_key("--task", task)?, args.step.clone().unwrap_or_else(named));
    Ok(Some(IdempotencyKey::of_step(&task, &step)))
}

fn checked_key(flag: &str, text: &str) -> Result<IdempotencyKey, CommandError> {
    IdempotencyKey::new(text).map_err(|error| {
        CommandError::command_line(format!("`{flag}` can't be used: {}", one_line(&error.to_string())))
            .hint("the key is yours to choose: a UUID for each call that may be repeated, for example")
    })
}

/// Who calls: whose session it is, whom the command acts for, or who runs it.
fn caller(host: &Host, args: &CallFlags) -> Result<Principal, CommandError> {
    let Some(id) = args.session else { return commands::acting_for(args.principal.as_ref()) };
    match host.ledger().session(id)? {
        Some(session) => Ok(session.principal),
        None => commands::operator(),
    }
}

fn input(args: &CallFlags) -> Result<Input, CommandError> {
    if args.input.as_deref() == Some("-") && args.stdin.as_deref() == Some(Path::new("-")) {
        return Err(CommandError::command_line("`--input -` and `--stdin -` can't both read standard input")
            .hint("give one of the two as a file"));
    }
    let value = args.input.as_deref().map(json_input).transpose()?;
    let stdin = args.stdin.as_deref().map(|path| commands::read_input(path, limits::STDIN_BYTES_MAX)).transpose()?;
    Ok(Input { value, arguments: args.args.clone(), stdin: stdin.unwrap_or_default() })
}

fn json_input(text: &str) -> Result<Value, CommandError> {
    let bytes = match text.strip_prefix('@') {
        Some(path) => commands::read_input(Path::new(path), limits::INPUT_BYTES_MAX)?,
        None if text == "-" => commands::read_input(Path::new("-"), limits::INPUT_BYTES_MAX)?,
        None => text.as_bytes().to_vec(),
    };
    json::parse(&bytes).map_err(|error| {
        CommandError::command_line(format!("the input is not JSON that can be read in one way: {error}"))
            .hint("`--input` takes JSON, `@FILE`, or `-` for standard input")
    })
}

/// The receipt, under a checkpoint signed now. The call is recorded already: if no checkpoint can be signed, the receipt
/// is pending, and that is said. The pending one is made first, for nothing can be read from a log whose write failed.
fn receipt(host: &Host, response: &Response, output: Output) -> Result<Receipt, CommandError> {
    let mut receipt = host.receipt(response.recorded.index)?;
    match host.publish() {
        Ok(_) => receipt = host.receipt(response.recorded.index)?,
        Err(error) => {
            let error = one_line(&error.to_string());
            output.note(&format!("warning: no checkpoint could be signed, so the receipt is pending: {error}"));
        }
    }
    if let Some(opening) = response.recorded.output {
        receipt = receipt.with_opening("output", &opening.nonce);
    }
    if let Some(opening) = response.recorded.input.filter(|_| response.denial.is_some()) {
        receipt = receipt.with_opening("input", &opening.nonce);
    }
    Ok(receipt)
}

fn rendered(response: &Response, receipt: &Receipt, hints: &[String]) -> Value {
    let mut outcome = json!(response.outcome);
    if let (false, Some(Value::Object(error))) = (hints.is_empty(), outcome.get_mut("error")) {
        error.insert("hints".to_owned(), json!(hints));
    }
    let mut answer = json!({ "call": response.call, "outcome": outcome, "receipt": receipt });
    if let (false, Value::Object(answer)) = (response.refused.is_empty(), &mut answer) {
        answer.insert("refused".to_owned(), json!(response.refused));
    }
    answer
}

fn print(response: &Response, receipt: &Receipt, (hints, reached): (&[String], &[String]), output: Output) {
    let outcome = &response.outcome;
    if let Some(stdout) = &outcome.stdout {
        output.guest_bytes(&stdout.0);
    }
    if let Some(stderr) = &outcome.stderr {
        output.guest_errors(&stderr.0);
    }
    match &outcome.value {
        Some(Value::String(text)) => output.guest_bytes(format!("{text}\n").as_bytes()),
        Some(value) => output.line(&serde_json::to_string_pretty(value).unwrap_or_default()),
        None => {}
    }
    if let Some(error) = &outcome.error {
        let what = match outcome.kind {
            OutcomeKind::Denied if !outcome.code().starts_with("caller.") => "denied",
            OutcomeKind::Cancelled => "cancelled",
            _ => "error",
        };
        output.note(&format!("{what}: {} [{}]", error.message, error.code));
        output.hints(hints);
    }
    for refused in &response.refused {
        output.note(&format!("refused during the call: {}", shown(refused)));
    }
    output.hints(reached);
    let covered = match receipt.size {
        Some(size) => format!("under a signed checkpoint of {size} entries"),
        None => "pending: no checkpoint covers it yet".to_owned(),
    };
    let recorded = &response.recorded;
    output.note(&format!("receipt: entry {} {}, {covered}", recorded.index, recorded.hash));
}

fn shown(refused: &HostCall) -> String {
    match &refused.detail {
        Some(detail) => format!("{detail} [{}]", refused.import),
        None => refused.import.clone(),
    }
}

fn exit(outcome: &Outcome) -> Exit {
    match outcome.kind {
        OutcomeKind::Returned => Exit::Done,
        OutcomeKind::Denied if outcome.code().starts_with("caller.") => Exit::CommandLine,
        OutcomeKind::Denied => Exit::Denied,
        OutcomeKind::Cancelled => Exit::Environment,
        OutcomeKind::Limit | OutcomeKind::ToolError | OutcomeKind::Trapped => Exit::ToolFailed,
    }
}
