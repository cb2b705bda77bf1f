//! One approval, as whoever may answer it has to see it: who asks, for what, under which grant, why, and with what input.
//!
//! An approver who can't see the input would approve of a name. It is shown to scope `approve` alone, and of these to whom the
//! policies name for it, and not to whoever asks: for everybody else it is not there (API-04). It is the canonical text
//! that the approval is bound to; what hides or reorders text is written out, and a text that is cut says so. Nothing is
//! read that is not what the entry of the question commits to.

use ringfence_model::content::ContentName;
use ringfence_model::digest::Commitment;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::id::ApprovalId;
use ringfence_model::limits;
use ringfence_model::outcome::is_unprintable;
use ringfence_model::principal::Principal;
use ringfence_runtime::host::Host;
use ringfence_runtime::ledger::approvals::Approval;
use ringfence_runtime::ledger::backend::ContentKey;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::http::Problem;
use crate::http::inbound::Handled;
use crate::http::inbound::answer;
use crate::http::inbound::failed;
use crate::http::inbound::held;
use crate::http::inbound::id;
use crate::http::inbound::on_host;
use crate::http::routes::Admitted;

/// What waits for an answer, or had one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ApprovalShown {
    /// The question, as it is listed: who asks, in which session and ring, for which tool and function, what the policies
    /// demand and why, until when, and what has become of it.
    approval: Value,
    /// What the call asks to be granted, as the policies were shown it; at another point, what they were shown of that.
    asked: Option<Value>,
    /// What callers say of themselves: nobody has checked it.
    claimed: Option<Value>,
    /// The input; none where the question is not about a call.
    input: Option<InputShown>,
}

/// An input.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InputShown {
    /// What the entry of the question has for it.
    commitment: Value,
    /// Canonical JSON; none once it has been removed from the log.
    text: Option<String>,
    /// How many bytes it has.
    bytes: Option<usize>,
    /// Whether it goes on behind what is shown.
    is_cut: bool,
}

pub(super) async fn show(admitted: Admitted) -> Handled {
    let (id, by): (ApprovalId, Principal) = (id(&admitted)?, held(&admitted)?.principal.clone());
    on_host(&admitted, move |host| {
        let found = host.ledger().approval(id).map_err(|_| failed())?;
        let approval = found.filter(|approval| approval.accepts(&by)).ok_or_else(Problem::not_found)?;
        Ok(answer(&shown(host, &approval)?))
    })
    .await
}

fn shown(host: &Host, approval: &Approval) -> Result<ApprovalShown, Problem> {
    let stored = host.ledger().entry(approval.held).map_err(|_| failed())?.ok_or_else(failed)?;
    let Body::Held(held) = encoding::decode(&stored.bytes).map_err(|_| failed())?.body else { return Err(failed()) };
    // Trust boundary: the row says where the entry is, and the entry what is asked.
    if (held.approval, held.binding) != (approval.approval, approval.binding) {
        return Err(failed());
    }
    let request = content(host, approval, ContentName::Request, held.decision.request)?
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let subject = request.as_ref().and_then(|request| request.get("subject"));
    let asked = subject.map(|subject| subject.pointer("/call/asked").unwrap_or(subject)).cloned();
    let claimed = request.as_ref().and_then(|request| request.get("claimed")).cloned();
    let input = held.input.map(|commitment| input(host, approval, commitment)).transpose()?;
    Ok(ApprovalShown { approval: json!(approval), asked, claimed, input })
}

fn input(host: &Host, approval: &Approval, commitment: Commitment) -> Result<InputShown, Problem> {
    let bytes = content(host, approval, ContentName::Input, commitment)?;
    let text = bytes.as_deref().map(readable);
    let is_cut = bytes.as_ref().is_some_and(|bytes| bytes.len() > limits::APPROVAL_INPUT_BYTES_MAX);
    Ok(InputShown { commitment: json!(commitment), text, bytes: bytes.as_ref().map(Vec::len), is_cut })
}

fn content(
    host: &Host,
    approval: &Approval,
    name: ContentName,
    commitment: Commitment,
) -> Result<Option<Vec<u8>>, Problem> {
    let key = ContentKey { entry: approval.held, name, commitment };
    let found = host.ledger().content(&key).map_err(|_| failed())?;
    Ok(found.map(|content| content.bytes))
}

/// The start of canonical JSON, still JSON of the same value if it is all there: such characters stand in its strings only.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::new();
    for character in text.get(..text.floor_char_boundary(limits::APPROVAL_INPUT_BYTES_MAX)).unwrap_or_default().chars()
    {
        if is_unprintable(character) {
            let mut units = [0; 2];
            shown.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_as_what_was_meant() {
        let value = json!({ "a": "x\u{202e}y\u{200b}z\u{e0041}\n\"ü" });
        let shown = readable(&ringfence_model::json::canonical(&value));
        assert!(!shown.chars().any(is_unprintable), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), value);
        let long = readable("ü".repeat(limits::APPROVAL_INPUT_BYTES_MAX).as_bytes());
        assert_eq!(long.len(), limits::APPROVAL_INPUT_BYTES_MAX);
    }
}
