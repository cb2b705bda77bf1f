//! Messages of JSON-RPC: what is one, and what is wrong with what is none.
//!
//! Whatever carries them, they are judged here before the protocol's library sees them; it sees none that it could read in
//! another way.

use ringfence_model::limits;
use rmcp::RoleServer;
use rmcp::model::ErrorData;
use rmcp::model::RequestId;
use rmcp::service::RxJsonRpcMessage;
use serde_json::Value;
use serde_json::json;

/// What a client sends.
pub(crate) type Received = RxJsonRpcMessage<RoleServer>;

/// What is wrong with something that is no message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// The id that an answer has, if it could be told.
    pub(crate) id: Option<RequestId>,
    /// What is wrong.
    pub(crate) error: Box<ErrorData>,
    /// Whether it would be a notification: on a connection nothing is answered to one.
    pub(crate) is_notification: bool,
}

/// The message that a value is, and the id it wants an answer under.
pub(crate) fn read(value: Value) -> Result<(Received, Option<RequestId>), Fault> {
    let wrong = |id: Option<RequestId>, why: &str| Fault::of(id, ErrorData::invalid_request(why.to_owned(), None));
    let Value::Object(fields) = &value else {
        let why =
            if value.is_array() { "batches are not taken: one message at a time" } else { "a message is an object" };
        return Err(wrong(None, why));
    };
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(wrong(None, "`jsonrpc` is not `2.0`"));
    }
    let id = match fields.get("id").map(id_of) {
        None => None,
        Some(Some(id)) => Some(id),
        Some(None) => return Err(wrong(None, "`id` is neither a short text nor an integer")),
    };
    let is_call = fields.contains_key("method");
    if is_call && !fields.get("method").is_some_and(Value::is_string) {
        return Err(wrong(id, "`method` is not a text"));
    }
    let is_notification = is_call && id.is_none();
    if fields.get("params").is_some_and(|params| !params.is_object()) {
        let is_notification = !is_call || is_notification;
        return Err(Fault {
            is_notification,
            ..Fault::of(id, ErrorData::invalid_params("`params` is not an object", None))
        });
    }
    if fields.get("params").and_then(|params| params.get("_meta")).is_some_and(|meta| !has_token(meta)) {
        let why = "`progressToken` is neither a short text nor an integer";
        return Err(Fault { is_notification, ..Fault::of(id, ErrorData::invalid_params(why, None)) });
    }
    match (serde_json::from_value(value), id) {
        (Ok(message), id) => Ok((message, id.filter(|_| is_call))),
        (Err(_), Some(id)) => Err(wrong(Some(id), "the message is neither a request nor an answer")),
        (Err(_), None) => {
            let why = "the message is neither a request, nor a notification, nor an answer";
            Err(Fault { is_notification, ..wrong(None, why) })
        }
    }
}

/// The answer to what is no message, or is none that is taken: with an id, also if there is none to be told.
pub(crate) fn refusal(id: Option<&RequestId>, error: &ErrorData) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

impl Fault {
    fn of(id: Option<RequestId>, error: ErrorData) -> Self {
        Self { id, error: Box::new(error), is_notification: false }
    }
}

/// Whether what progress is told under can be what it is for, or is not there.
fn has_token(meta: &Value) -> bool {
    meta.get("progressToken").is_none_or(|token| token.is_null() || id_of(token).is_some())
}

fn id_of(value: &Value) -> Option<RequestId> {
    match value {
        Value::String(text) if text.len() <= limits::MESSAGE_ID_BYTES_MAX => {
            Some(RequestId::String(text.as_str().into()))
        }
        Value::Number(number) => number.as_i64().map(RequestId::Number),
        _ => None,
    }
}
