//! Admit: is this call one that can be decided at all?
//!
//! The tool is pinned, the function exists, the input fits its schema. What does not is refused here, before any policy
//! sees it, so that policy and tool read the very same bytes (POL-07, POL-10). This module grants nothing.

use ringfence_model::call::CallRequest;
use ringfence_model::entry::Stage;
use ringfence_model::ring::Ring;
use ringfence_model::tool::Effect;

use crate::pipeline::Denial;
use crate::pipeline::Stop;
use crate::toolbox::Function;
use crate::toolbox::Tool;

/// A call whose tool, function and input fit together.
#[derive(Debug)]
pub(crate) struct AdmittedCall<'t> {
    pub(crate) request: CallRequest,
    pub(crate) tool: &'t Tool,
    pub(crate) function: &'t Function,
    /// The input's canonical bytes: what is recorded, what a policy sees, what an idempotency key stands for.
    pub(crate) input: Vec<u8>,
}

impl AdmittedCall<'_> {
    pub(crate) fn effect(&self) -> Effect {
        self.function.effect
    }

    pub(crate) fn required_ring(&self) -> Ring {
        self.function.effect.required_ring()
    }
}

/// Admits a call, or refuses it to its caller.
pub(crate) fn admit(request: CallRequest, tool: &Tool) -> Result<AdmittedCall<'_>, Stop> {
    let refuse = |request: &CallRequest, denial| Stop::refused(request, tool, None, Stage::Admit, denial);
    if let Err(error) = request.check() {
        return Err(refuse(&request, Denial::Caller(error.to_string())));
    }
    let function = match tool.function(request.function.as_deref()) {
        Ok(function) => function,
        Err(error) => return Err(refuse(&request, Denial::Function(error))),
    };
    if let Err(problem) = function.check_input(&request.input) {
        return Err(Stop::refused(&request, tool, Some(function), Stage::Admit, Denial::Input(problem)));
    }
    let input = request.input.canonical(&function.name);
    Ok(AdmittedCall { request, tool, function, input })
}
