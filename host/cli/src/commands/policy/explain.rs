//! `ringfence policy explain`: what the set in force would say, and what would be left of what is asked.
//!
//! Nothing is run, granted or written down: no tool, no entry, no receipt. The log is opened to read alone, for what was
//! used lately.

use std::path::Path;

use ringfence_model::capability::Asked;
use ringfence_model::decision::Answer;
use ringfence_model::decision::Usage;
use ringfence_model::grant::Layer;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock as _;
use ringfence_model::time::Timestamp;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::ledger::usage::Counted;
use ringfence_runtime::pipeline::Denial;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::policy::explain;
use ringfence_runtime::policy::explain::Bounds;
use ringfence_runtime::policy::explain::Explained;
use ringfence_runtime::policy::shown;
use ringfence_runtime::toolbox::Tool;
use serde_json::Value;
use serde_json::json;

use crate::args::CallFlags;
use crate::args::ExplainArgs;
use crate::commands;
use crate::commands::admit::to_look_at;
use crate::commands::invoke::call_request;
use crate::commands::policy::eval::read_request;
use crate::commands::policy::render;
use crate::config::tools::Name;
use crate::error::CommandError;
use crate::error::RingKey;
use crate::error::denial_hints;
use crate::exit::Exit;
use crate::home::Home;
use crate::home::SystemClock;
use crate::output::Output;
use crate::policies::Policies;
use crate::tools;

/// A tool as it would be called: its ring, and what it asks for.
struct Target {
    tool: Tool,
    ring: Ring,
    asked: Asked,
    /// The name it is registered by.
    registered: Option<Name>,
}

pub(super) fn run(
    engine: &Engine,
    home: Option<&Home>,
    args: &ExplainArgs,
    output: Output,
) -> Result<Exit, CommandError> {
    let policies = Policies::of(home);
    let more = args.policy.iter().map(|name| Ok(policies.load(engine, name)?.policy));
    let set = policies.set(engine)?.with(more.collect::<Result<_, CommandError>>()?);
    if let Some(path) = &args.request {
        let request = read_request(path)?;
        let decision = set.decide(&request);
        return Ok(show(&set, &Explained { request, decision, grant: None }, &[], output));
    }
    let home = home.ok_or_else(CommandError::no_home_to_explain)?;
    let principal = args.principal.clone().map_or_else(commands::operator, Ok)?;
    let target = target(engine, home, (args, &set, &principal), output)?;
    let call = CallFlags {
        function: args.function.clone(),
        input: args.input.clone(),
        stdin: args.stdin.clone(),
        policy: Vec::new(),
        idempotency_key: None,
        task: None,
        step: None,
        principal: None,
        session: None,
        claims: Vec::new(),
        receipt: None,
        args: args.args.clone(),
    };
    let call_id = CallId::from_random([0; 16]);
    let request = call_request(&call, (call_id, principal), target.ring, target.asked.clone())?;
    let now = SystemClock.now();
    let usage = usage(home, &target.tool, &request.principal, now)?;
    let bounds = Bounds { usage, ..bounds(home, &target)? };
    let explained = explain::explain(&set, &target.tool, (&request, now), &bounds)?;
    let hints = hints(&explained, home, &target);
    Ok(show(&set, &explained, &hints, output))
}

/// Loads the tool, if the policies let it in: nothing of it is called before they are asked.
fn target(
    engine: &Engine,
    home: &Home,
    (args, set, principal): (&ExplainArgs, &PolicySet, &Principal),
    output: Output,
) -> Result<Target, CommandError> {
    let name = args.tool.as_deref().unwrap_or_default();
    let let_in = |ring: Ring| to_look_at(set, principal, ring);
    let registered = name.parse::<Name>().ok().filter(|name| home.config().tools.contains_key(name));
    let Some(registered) = registered else {
        let ring = commands::run::ring(home, args.ring)?;
        let asked = commands::run::asked(&args.asked)?;
        let place = (ring, &asked.network);
        let (tool, ()) = commands::run::load((engine, home), Path::new(name), place, output, let_in(ring))?;
        return Ok(Target { tool, ring, asked, registered: None });
    };
    if args.ring.is_some() || commands::run::asked(&args.asked)? != Asked::default() {
        return Err(CommandError::granted_by_table(&registered));
    }
    let table = tools::table(home, &registered)?;
    let tool = tools::load(home, engine, &registered, let_in(table.ring))?;
    let asked = tools::asked(&registered, &table.grant)?;
    Ok(Target { tool, ring: table.ring, asked, registered: Some(registered) })
}

/// The layers that would bound the call, as they bound a real one.
fn bounds(home: &Home, target: &Target) -> Result<Bounds, CommandError> {
    let config = home.config();
    let rings = config.ring_configs();
    let lowered = rings.get(usize::from(target.ring.number())).map(|ring| &ring.ceiling);
    let ring = lowered.map_or_else(|| target.ring.ceiling(), |lowered| target.ring.ceiling().intersect(lowered));
    let manifest = target.tool.manifest().map(|manifest| (Layer::Manifest, manifest.ceiling()));
    let others = [(Layer::Operator, config.operator_ceiling()), (Layer::Ring, ring.clone())];
    let layers = manifest.into_iter().chain(others).collect();
    Ok(Bounds { layers, host_state: home.state_folders()?, ring, usage: Vec::new() })
}

/// What the record counts of calls like this one.
fn usage(home: &Home, tool: &Tool, principal: &Principal, now: Timestamp) -> Result<Vec<Usage>, CommandError> {
    let tool = tool.reference().digest;
    let counted = Counted { principal: principal.clone(), session: None, tool };
    Ok(home.ledger_read_only()?.usage(&counted, now)?)
}

/// What would let it through, as a refused call would be told.
fn hints(explained: &Explained, home: &Home, target: &Target) -> Vec<String> {
    let denial = match (&explained.decision.answer, &explained.grant) {
        (Answer::Deny(reasons), _) => Denial::Policy(reasons.clone()),
        (_, Some(Err(refusal))) => Denial::Layer(refusal.clone()),
        _ => return Vec::new(),
    };
    let key = target.registered.as_ref().map_or(RingKey::Run, |name| RingKey::Tool(name.as_str()));
    denial_hints(&denial, target.ring, key, home)
}

fn show(set: &PolicySet, explained: &Explained, hints: &[String], output: Output) -> Exit {
    if output.is_json() {
        let mut shown = shown::explained(set, explained);
        if let Value::Object(fields) = &mut shown {
            fields.insert("hints".to_owned(), json!(hints));
        }
        output.json(&shown);
    } else {
        print(set, explained, output);
        output.hints(hints);
    }
    let is_allowed = matches!(explained.decision.answer, Answer::Allow(_));
    if is_allowed && !matches!(explained.grant, Some(Err(_))) { Exit::Done } else { Exit::Denied }
}

fn print(set: &PolicySet, explained: &Explained, output: Output) {
    let Explained { request, decision, grant } = explained;
    output.line(&format!("point    {}", request.point()));
    for ruling in &decision.rulings {
        let addition = if ruling.may_permit { "" } else { "  (in addition: its permit does not count)" };
        output.line(&format!("policy   {}{addition}", ruling.policy.name));
        render::print_ruling(ruling, output);
    }
    for name in shown::not_asked(set, request) {
        output.line(&format!("policy   {name}  (not asked: another point, or outside its scope)"));
    }
    match &decision.answer {
        Answer::Allow(_) => output.line("decision allowed"),
        Answer::Deny(reasons) => {
            output.line("decision denied");
            for denial in reasons {
                let by = denial.policy.as_deref().unwrap_or("the rule of combination");
                output.line(&format!("because  {by}: {} ({})", denial.reason.text, denial.reason.code));
            }
        }
    }
    match grant {
        Some(Ok(grant)) => output.line(&format!("grant    {}", json!(grant))),
        Some(Err(refusal)) => output.line(&format!("refused  by {}: {refusal}", refusal.layer)),
        None => {}
    }
    output.line(&format!("set      {}", set.digest()));
}
