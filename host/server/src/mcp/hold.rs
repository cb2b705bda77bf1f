//! Held calls: whoever sits at the client is told, and says when it makes sense to ask again.
//!
//! What a client says approves nothing: it may be the agent who says it. Somebody approves where approvals are given, and
//! the call is judged anew; all that is won is that the agent need not come again. A no ends this call, as an entry, and
//! leaves the question to whoever may answer it.
//!
//! Versions up to 2025 have the server ask in between, on the connection that the call came on: on lines that is done. From
//! 2026 on the question is the answer, and the client makes the call again with what was said. Nothing is kept for it here, so
//! that works over HTTP, whichever server it comes back to.

use std::time::Duration;

use ringfence_model::limits;
use ringfence_runtime::ledger::approvals::Approval;
use rmcp::model::CallToolRequestParams;
use rmcp::model::ClientResult;
use rmcp::model::ElicitationAction;
use rmcp::model::ElicitationCapability;
use rmcp::model::InputRequest;
use rmcp::model::InputRequiredResult;
use rmcp::model::ProtocolVersion;
use rmcp::model::ServerRequest;
use rmcp::service::PeerRequestOptions;
use serde_json::Value;
use serde_json::json;

use crate::mcp::Context;

/// What whoever was asked about a call says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    No,
    Nothing,
    Yes,
}

/// Asks whoever sits at the client whether a call was approved that is held; nobody says anything, where it asks no one.
pub(super) async fn ask(context: &Context, held: &Approval) -> Said {
    let can_ask = context.peer.peer_info().is_some_and(|client| {
        // Later versions have no requests from a server.
        client.capabilities.elicitation.as_ref().is_some_and(takes_forms)
            && client.protocol_version != ProtocolVersion::V_2026_07_28
    });
    if !can_ask {
        return Said::Nothing;
    }
    let Ok(question) = serde_json::from_value::<ServerRequest>(question(held)) else { return Said::Nothing };
    let options = PeerRequestOptions::no_options();
    let Ok(mut asked) = context.peer.send_cancellable_request(question, options).await else { return Said::Nothing };
    let why = tokio::select! {
        said = &mut asked.rx => return heard(&said),
        () = tokio::time::sleep(Duration::from_millis(limits::ELICITATION_MS_MAX)) => "nobody has answered in time",
        () = context.ct.cancelled() => "the call was given up",
    };
    // Somebody still looks at the question. Where the client is gone, nobody does.
    let end = Duration::from_millis(limits::ELICITATION_END_MS_MAX);
    let _ = tokio::time::timeout(end, asked.cancel(Some(why.to_owned()))).await;
    Said::Nothing
}

/// The name of the question in an answer that is one.
const QUESTION: &str = "approval";

/// The question as an answer, for a client that knows how to come back with what was said. It is asked once: a call that
/// comes back is judged as it then is.
pub(super) fn as_answer(
    context: &Context,
    params: &CallToolRequestParams,
    held: &Approval,
) -> Option<InputRequiredResult> {
    let is_known = context.protocol_version() == Some(ProtocolVersion::V_2026_07_28);
    let client = context.client_capabilities()?;
    let can_ask = client.elicitation.as_ref().is_some_and(takes_forms);
    if !is_known || !can_ask || params.input_responses.is_some() {
        return None;
    }
    let question: InputRequest = serde_json::from_value(question(held)).ok()?;
    Some(InputRequiredResult::from_input_requests([(QUESTION.to_owned(), question)].into()))
}

/// Whether a call comes back with a no: then it is not made.
pub(super) fn is_declined(params: &CallToolRequestParams) -> bool {
    let said = params.input_responses.as_ref().and_then(|said| said.get(QUESTION));
    said.is_some_and(|said| said.get("action").and_then(Value::as_str) != Some("accept"))
}

/// Whether a client shows forms: it says so, or says nothing of what it shows, which was all there was to say once.
fn takes_forms(elicitation: &ElicitationCapability) -> bool {
    elicitation.form.is_some() || elicitation.url.is_none()
}

fn heard<E, F>(said: &Result<Result<ClientResult, E>, F>) -> Said {
    match said {
        Ok(Ok(ClientResult::ElicitResult(said))) if said.action == ElicitationAction::Accept => Said::Yes,
        Ok(Ok(ClientResult::ElicitResult(_))) => Said::No,
        _ => Said::Nothing,
    }
}

fn question(held: &Approval) -> Value {
    let id = held.approval;
    let message = format!(
        "a person has to approve this call first, as `{id}`: have it approved, then accept to go on. \
         Accepting approves nothing by itself; declining ends this call and is put on record."
    );
    let schema = json!({ "type": "object", "properties": {} });
    let params = json!({ "mode": "form", "message": message, "requestedSchema": schema });
    json!({ "method": "elicitation/create", "params": params })
}
