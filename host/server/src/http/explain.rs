//! What the policies would say to a call: the answer that `ringfence policy explain` gives, over HTTP.
//!
//! Nothing is begun, written down or run. That is why it is for operators and auditors: whoever calls could look for what
//! the policies let through, and nothing would tell of it. Where folders lie on the host is not said (API-13).

use http::StatusCode;
use ringfence_model::call::CallRequest;
use ringfence_model::call::Input;
use ringfence_model::capability::Ceiling;
use ringfence_model::id::CallId;
use ringfence_model::outcome::one_line;
use ringfence_model::principal::Principal;
use ringfence_runtime::policy::shown;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::advice;
use crate::http::Problem;
use crate::http::inbound::Handled;
use crate::http::inbound::answer;
use crate::http::inbound::body;
use crate::http::inbound::failed;
use crate::http::inbound::held;
use crate::http::inbound::on_host;
use crate::http::routes::Admitted;
use crate::service::ServiceError;

/// A call that nobody makes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainBody {
    /// The name that the tool is registered by.
    tool: String,
    /// The function; not needed for a command or where there is only one.
    function: Option<String>,
    /// The function's input.
    input: Option<Value>,
    /// Arguments of a command.
    #[serde(default)]
    arguments: Vec<String>,
    /// Standard input of a command.
    #[serde(default)]
    stdin: String,
    /// Who would call, if not the token's holder.
    principal: Option<String>,
}

pub(super) async fn explain(admitted: Admitted) -> Handled {
    let ExplainBody { tool, function, input, arguments, stdin, principal } = body(&admitted)?;
    let principal = match principal {
        None => held(&admitted)?.principal.clone(),
        Some(text) => text.parse::<Principal>().map_err(|error| Problem::bad(one_line(&error.to_string())))?,
    };
    let catalogue = admitted.server.service().catalogue();
    let offer = catalogue.function(&tool, function.as_deref()).cloned().ok_or_else(Problem::unknown_function)?;
    on_host(&admitted, move |host| {
        let registered = offer.registered();
        let call = CallRequest {
            call: CallId::from_random([0; 16]),
            principal,
            ring: registered.ring,
            session: None,
            function: offer.function().map(|function| function.name.clone()),
            input: Input { value: input, arguments, stdin: stdin.into_bytes() },
            asked: registered.grants.seek().map_err(|_| ServiceError::Grant)?,
            session_ceiling: Ceiling::default(),
            idempotency_key: None,
            claimed: Vec::new(),
        };
        let explained = host.explain(&registered.tool, &call).map_err(|_| failed())?.map_err(|why| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "caller.not-asked", one_line(&why.to_string()))
        })?;
        let mut shown = shown::explained(&explained.set, &explained.explained);
        if let Some(folders) = shown.pointer_mut("/grant/folders").and_then(Value::as_array_mut) {
            for folder in folders.iter_mut().filter_map(Value::as_object_mut) {
                folder.remove("host");
            }
        }
        if let (Some(Err(refusal)), Some(message)) = (&explained.explained.grant, shown.pointer_mut("/refused/message"))
        {
            *message = json!(advice::of_layer(refusal));
        }
        Ok(answer(&shown))
    })
    .await
}
