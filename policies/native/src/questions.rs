//! What is asked: the same request as the host has it and as a policy gets it, and the same rules in both languages.

use ringfence_model::capability::NetworkAsked;
use ringfence_model::decision::AskedSummary;
use ringfence_model::decision::CallSubject;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::digest::Digest;
use ringfence_model::grant::Limits;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;
use ringfence_model::tool::ToolRef;
use ringfence_policy_support::types;
use serde_json::Value;
use serde_json::json;

const AMOUNT_MAX: u64 = 1_000;

/// Somebody wants to pay.
pub struct Question {
    /// As the host has it.
    pub request: PolicyRequest,
    /// As a policy gets it.
    pub native: types::Request,
}

/// The question about a payment of so much by the agent in the middle of those that may pay.
pub fn payment(amount: u64, rules: usize) -> Result<Question, String> {
    let principal: Principal = format!("agent:{}", agent(rules / 2)).parse().map_err(|error| format!("{error}"))?;
    let input = json!({ "amount": amount, "to": "somebody" }).to_string();
    let limits = Limits::from_bounds(&Ring::Standard.ceiling().limits);
    let native = types::Request {
        principal: types::Principal { kind: types::PrincipalKind::Agent, name: agent(rules / 2) },
        ring: types::Ring::Standard,
        session: None,
        time_ms: 0,
        subject: types::Subject::Call(types::Call {
            tool: types::Tool { name: "bank".to_owned(), digest: Digest::ZERO.to_string() },
            function: "pay".to_owned(),
            effect: types::Effect::Reads,
            required_ring: types::Ring::Sandbox,
            input: input.clone(),
            arguments: Vec::new(),
            stdin_bytes: 0,
            stdin_digest: Digest::of_nothing().to_string(),
            asked: types::Capabilities {
                folders: Vec::new(),
                environment: Vec::new(),
                limits: types::Limits {
                    memory_bytes: limits.memory_bytes,
                    fuel: limits.fuel,
                    wall_ms: limits.wall_ms,
                    output_bytes: limits.output_bytes,
                    handles: u32::try_from(limits.handles).unwrap_or(u32::MAX),
                },
                network: types::Network {
                    http: Vec::new(),
                    sockets: Vec::new(),
                    names: Vec::new(),
                    addresses: Vec::new(),
                    secrets: Vec::new(),
                },
            },
        }),
        usage: Vec::new(),
        claimed: Vec::new(),
    };
    let request = PolicyRequest {
        claimed: Vec::new(),
        principal,
        ring: Ring::Standard,
        session: None,
        subject: Subject::Call(Box::new(CallSubject {
            arguments: Vec::new(),
            asked: AskedSummary {
                environment: Vec::new(),
                folders: Vec::new(),
                limits,
                network: NetworkAsked::default(),
            },
            effect: Effect::Reads,
            function: "pay".to_owned(),
            input,
            required_ring: Ring::Sandbox,
            stdin_bytes: 0,
            stdin_digest: Digest::of_nothing(),
            tool: ToolRef { digest: Digest::ZERO, name: "bank".to_owned() },
        })),
        time_ms: 0,
        usage: Vec::new(),
    };
    Ok(Question { request, native })
}

/// So many agents may pay, and none of them more than the most: as settings of `cedar`.
pub fn cedar(rules: usize) -> Value {
    let permits = (0..rules).map(|number| {
        let name = agent(number);
        format!("permit (principal == Agent::\"{name}\", action == Action::\"call\", resource) when {{ context.function == \"pay\" }};\n")
    });
    let forbid = format!(
        "forbid (principal, action == Action::\"call\", resource) when {{ context.function == \"pay\" && context.input.amount > {AMOUNT_MAX} }};\n"
    );
    json!({ "policies": permits.chain([forbid]).collect::<String>() })
}

/// The same as settings of `rego`.
pub fn rego(rules: usize) -> Value {
    let permits = (0..rules).map(|number| {
        let name = agent(number);
        format!("permitted if {{ input.principal == \"agent:{name}\"; input.subject.call.function == \"pay\" }}\n")
    });
    let rest = format!(
        "package ringfence\n\
         objections contains {{\"code\": \"too-much\", \"text\": \"too much\"}} if {{\n\
             input.subject.call.function == \"pay\"\n\
             input.subject.call.input.amount > {AMOUNT_MAX}\n\
         }}\n\
         verdict := {{\"verdict\": \"forbid\", \"reasons\": objections}} if count(objections) > 0\n\
         verdict := \"permit\" if {{ count(objections) == 0; permitted }}\n"
    );
    let module: String = [rest].into_iter().chain(permits).collect();
    json!({ "modules": { "payments": module } })
}

fn agent(number: usize) -> String {
    format!("agent-{number:03}")
}
