//! Explain: what the policies would say to a call, and what would be left of what it asks for.
//!
//! The same request goes to the same set, and the same layers are applied; nothing is begun, written down or run. So
//! nothing is granted either: what comes out is an answer, not a permission.

use ringfence_model::call::CallRequest;
use ringfence_model::capability::Ceiling;
use ringfence_model::decision::Answer;
use ringfence_model::decision::AskedSummary;
use ringfence_model::decision::CallSubject;
use ringfence_model::decision::Decision;
use ringfence_model::decision::FolderSummary;
use ringfence_model::decision::PolicyRequest;
use ringfence_model::decision::Subject;
use ringfence_model::decision::Usage;
use ringfence_model::digest::Digest;
use ringfence_model::grant::Grant;
use ringfence_model::grant::Layer;
use ringfence_model::grant::Limits;
use ringfence_model::grant::Refusal;
use ringfence_model::json;
use ringfence_model::time::Timestamp;
use thiserror::Error;

use crate::policy::PolicySet;
use crate::toolbox::Function;
use crate::toolbox::FunctionError;
use crate::toolbox::InputProblem;
use crate::toolbox::Tool;
use crate::toolbox::repeat;

/// Why no policy would be asked.
#[derive(Debug, Error)]
pub enum NotAsked {
    /// The call is none.
    #[error("{0}")]
    Caller(String),
    /// The function is not there.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// The input does not fit.
    #[error(transparent)]
    Input(#[from] InputProblem),
}

/// What bounds a call, whatever the policies say.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The layers, in the order they are asked.
    pub layers: Vec<(Layer, Ceiling)>,
    /// Folders that are never granted.
    pub host_state: Vec<String>,
    /// The ceiling of the ring.
    pub ring: Ceiling,
    /// What was used lately.
    pub usage: Vec<Usage>,
}

/// What would be decided, and what would come of it.
#[derive(Debug)]
pub struct Explained {
    /// What the policies would be told.
    pub request: PolicyRequest,
    /// What they would say.
    pub decision: Decision,
    /// What would be granted, or which layer refuses; none if the policies deny.
    pub grant: Option<Result<Grant, Box<Refusal>>>,
}

/// Explains a call of a tool at a time.
pub fn explain(
    set: &PolicySet,
    tool: &Tool,
    (call, now): (&CallRequest, Timestamp),
    bounds: &Bounds,
) -> Result<Explained, NotAsked> {
    call.check().map_err(|error| NotAsked::Caller(error.to_string()))?;
    let function = tool.function(call.function.as_deref())?;
    function.check_input(&call.input)?;
    let mut call = call.clone();
    repeat::name(&mut call, tool, function)?;
    let request = PolicyRequest {
        claimed: call.claimed.clone(),
        principal: call.principal.clone(),
        ring: call.ring,
        session: None,
        subject: Subject::Call(Box::new(subject(tool, function, &call, &bounds.ring))),
        time_ms: now.as_millis(),
        usage: bounds.usage.clone(),
    };
    let decision = set.decide(&request);
    let grant = match &decision.answer {
        Answer::Allow(obligations) => {
            let granted = Grant::narrow(&call.asked, &bounds.layers, &bounds.host_state);
            Some(granted.map(|grant| obligations.narrowings.iter().fold(grant, Grant::attenuate)))
        }
        Answer::Deny(_) => None,
    };
    Ok(Explained { request, decision, grant })
}

fn subject(tool: &Tool, function: &Function, call: &CallRequest, ring: &Ceiling) -> CallSubject {
    let folders = call.asked.folders.iter();
    let bounds = ring.limits.intersect(&call.asked.limits);
    let input = call.input.value.as_ref().map_or_else(|| b"{}".to_vec(), json::canonical);
    CallSubject {
        arguments: call.input.arguments.clone(),
        asked: AskedSummary {
            environment: call.asked.environment.keys().cloned().collect(),
            folders: folders
                .map(|folder| FolderSummary { access: folder.access, guest_path: folder.guest.clone() })
                .collect(),
            limits: Limits::from_bounds(&bounds),
            network: call.asked.network.clone(),
        },
        effect: function.effect,
        function: function.name.clone(),
        input: String::from_utf8(input).unwrap_or_default(),
        required_ring: function.effect.required_ring(),
        stdin_bytes: u64::try_from(call.input.stdin.len()).unwrap_or(u64::MAX),
        stdin_digest: Digest::of(&call.input.stdin),
        tool: tool.reference().clone(),
    }
}
