//! Held calls: whoever sits at the client is told, and says when it makes sense to ask again.
//!
//! What a client says approves nothing: it may be the agent who says it. Somebody approves where approvals are given, and
//! the call is judged anew; all that is won is that the agent need not come again.

use std::time::Duration;

use ringfence_model::limits;
use ringfence_runtime::ledger::approvals::Approval;
use rmcp::model::ClientResult;
use rmcp::model::ElicitationAction;
use rmcp::model::ProtocolVersion;
use rmcp::model::ServerRequest;
use serde_json::json;

use crate::mcp::Context;

/// Whether somebody says that a call was approved that is held; nobody does, where the client asks no one.
pub(super) async fn is_approved(context: &Context, held: &Approval) -> bool {
    let can_ask = context.peer.peer_info().is_some_and(|client| {
        // Later versions have no requests from a server.
        client.capabilities.elicitation.is_some() && client.protocol_version != ProtocolVersion::V_2026_07_28
    });
    let Some(question) = question(held).filter(|_| can_ask) else { return false };
    let patience = Duration::from_millis(limits::ELICITATION_MS_MAX);
    let asked = tokio::select! {
        asked = tokio::time::timeout(patience, context.peer.send_request(question)) => asked,
        () = context.ct.cancelled() => return false,
    };
    matches!(asked, Ok(Ok(ClientResult::ElicitResult(said))) if said.action == ElicitationAction::Accept)
}

fn question(held: &Approval) -> Option<ServerRequest> {
    let id = held.approval;
    let message = format!(
        "a person has to approve this call first, as `{id}`: have it approved, then accept to go on. \
         Accepting approves nothing by itself; declining leaves the call as it is."
    );
    let schema = json!({ "type": "object", "properties": {} });
    let params = json!({ "mode": "form", "message": message, "requestedSchema": schema });
    serde_json::from_value(json!({ "method": "elicitation/create", "params": params })).ok()
}
