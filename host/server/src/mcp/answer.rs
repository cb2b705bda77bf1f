//! A response as the result of a tool call: what an agent reads, what its client checks, and where it is on record.
//!
//! A refusal, a failure of the tool or of the host is a result with `isError`, in lines that say what was wrong and what
//! to do; errors of the protocol are for faults of the protocol.

use ringfence_model::limits;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::outcome::one_line;
use ringfence_runtime::pipeline::Response;
use ringfence_runtime::toolbox::Function;
use rmcp::model::CallToolResult;
use rmcp::model::ContentBlock;
use rmcp::model::MetaObject;
use serde_json::Value;
use serde_json::json;

use crate::advice;
use crate::mcp::describe::Form;
use crate::mcp::describe::META;
use crate::service::ServiceError;

/// The result that a response is.
pub(super) fn result(response: &Response, function: &Function, form: Form) -> CallToolResult {
    let mut meta = recorded(response);
    if response.outcome.kind == OutcomeKind::Returned {
        let structured = form.result(&response.outcome);
        let mut result = CallToolResult::success(content(&response.outcome, structured.as_ref(), form));
        result.structured_content = structured;
        return noted(result, meta);
    }
    let advice = advice::of(response, function);
    let message = advice::message(response);
    meta.insert(format!("{META}error"), error(&response.outcome, &message, &advice));
    let mut lines = vec![format!("{message} [{}]", response.outcome.code())];
    let refused = response.refused.iter().take(limits::REFUSED_SHOWN_MAX);
    lines.extend(
        refused.map(|call| format!("refused during the call: {}", call.detail.as_deref().unwrap_or(&call.import))),
    );
    lines.extend(advice);
    let mut blocks = vec![ContentBlock::text(lines.join("\n"))];
    blocks.extend(outputs(&response.outcome));
    noted(CallToolResult::error(blocks), meta)
}

/// The result of a call that could not be made.
pub(super) fn not_made(error: ServiceError) -> CallToolResult {
    let value = error.retry_after_ms().map(|retry_after_ms| json!({ "retry_after_ms": retry_after_ms }));
    stopped(error.code(), &error.to_string(), &advice::of_failure(error), value)
}

/// The result of a call whose arguments are not those of its function: it can be made again, so it is no fault of the
/// protocol.
pub(super) fn bad_arguments(why: &str) -> CallToolResult {
    stopped("caller.bad-input", why, "nothing has run: correct the arguments, then call it again", None)
}

/// The result of a call that comes with a no to a question that nobody was asked.
pub(super) fn not_asked() -> CallToolResult {
    let why = "this call waits for nobody's approval, so there is nothing to decline";
    stopped("caller.bad-input", why, "nothing has run: to make the call, leave out `inputResponses`", None)
}

fn stopped(code: &str, message: &str, advice: &str, value: Option<Value>) -> CallToolResult {
    let message = one_line(message);
    let mut meta = MetaObject::new();
    let mut error = json!({ "code": code, "message": message, "hints": [advice] });
    if let (Some(value), Value::Object(fields)) = (value, &mut error) {
        fields.insert("value".to_owned(), value);
    }
    meta.insert(format!("{META}error"), error);
    let text = format!("{message} [{code}]\n{advice}");
    noted(CallToolResult::error(vec![ContentBlock::text(text)]), meta)
}

fn noted(mut result: CallToolResult, meta: MetaObject) -> CallToolResult {
    result.meta = Some(meta);
    result
}

/// Where a response is on record.
pub(super) fn recorded(response: &Response) -> MetaObject {
    let mut meta = MetaObject::new();
    meta.insert(format!("{META}call"), json!(response.call));
    meta.insert(format!("{META}entry"), json!(response.recorded.index));
    meta.insert(format!("{META}hash"), json!(response.recorded.hash));
    meta
}

/// What clients show a model: the value as it is, and what the guest wrote.
fn content(outcome: &Outcome, structured: Option<&Value>, form: Form) -> Vec<ContentBlock> {
    if form == Form::Command {
        let blocks: Vec<_> = outputs(outcome).collect();
        return if blocks.is_empty() { vec![ContentBlock::text("done, without any output")] } else { blocks };
    }
    let text = match (&outcome.value, structured) {
        (Some(Value::String(text)), _) => text.clone(),
        (Some(value), _) => value.to_string(),
        (None, _) => "done; this function returns nothing".to_owned(),
    };
    [ContentBlock::text(text)].into_iter().chain(outputs(outcome)).collect()
}

fn outputs(outcome: &Outcome) -> impl Iterator<Item = ContentBlock> {
    let named = [("standard output", &outcome.stdout), ("standard error", &outcome.stderr)];
    let written = named.into_iter().filter_map(|(name, output)| Some((name, output.as_ref()?)));
    written.filter(|(_, output)| !output.0.is_empty()).map(|(name, output)| match str::from_utf8(&output.0) {
        Ok(text) => ContentBlock::text(format!("{name}:\n{text}")),
        Err(_) => ContentBlock::text(format!("{name}: {}", json!(output))),
    })
}

fn error(outcome: &Outcome, message: &str, advice: &[String]) -> Value {
    let mut error = json!({ "code": outcome.code(), "kind": outcome.kind, "message": message, "hints": advice });
    let value = outcome.error.as_ref().and_then(|error| error.value.as_ref());
    if let (Some(value), Value::Object(fields)) = (value, &mut error) {
        fields.insert("value".to_owned(), value.clone());
    }
    error
}
