//! One message, in either of the usual styles: tool calls beside the content, or as blocks of it.

use serde_json::{Map, Value};

/// A message that has the shape of one.
#[derive(Debug)]
pub struct Message<'m> {
    pub role: &'m str,
    pub calls: Vec<ToolCall<'m>>,
    pub results: Vec<ToolResult<'m>>,
    /// Pointers to what a library left behind when it parsed an answer.
    pub artifacts: Vec<String>,
}

/// A tool call, as an element of `tool_calls` or a block `tool_use`.
#[derive(Debug)]
pub struct ToolCall<'m> {
    /// Within the message.
    pub pointer: String,
    pub id: Option<&'m str>,
    /// What is called with which arguments; not known of a block.
    pub function: Option<&'m Value>,
    /// Pointer to an `index` other than 0: a piece of a stream rather than a call.
    pub index: Option<String>,
    /// Pointer to `parsed_arguments`.
    pub artifact: Option<String>,
}

/// A tool's result, as a message of its own or a block `tool_result`.
#[derive(Debug)]
pub struct ToolResult<'m> {
    /// Within the message; empty for the message itself.
    pub pointer: String,
    pub id: Option<&'m str>,
}

/// Why a message can't be read: one line that names what has the wrong type.
pub type Malformed = &'static str;

impl<'m> Message<'m> {
    /// Reads a message.
    pub fn read(value: &'m Value) -> Result<Self, Malformed> {
        let message = value.as_object().ok_or("is no object")?;
        let role = text(message, "role")?.unwrap_or_default();
        let mut read = Self { role, calls: Vec::new(), results: Vec::new(), artifacts: Vec::new() };
        read.artifacts.extend(message.contains_key("parsed").then(|| "/parsed".to_owned()));
        read.blocks(message)?;
        read.tool_calls(message)?;
        if role == "tool" {
            read.results.insert(0, ToolResult { pointer: String::new(), id: text(message, "tool_call_id")? });
        }
        Ok(read)
    }

    fn blocks(&mut self, message: &'m Map<String, Value>) -> Result<(), Malformed> {
        let blocks = match message.get("content") {
            None | Some(Value::Null | Value::String(_)) => return Ok(()),
            Some(Value::Array(blocks)) => blocks,
            Some(_) => return Err("has a `content` that is neither text nor a list"),
        };
        for (index, block) in blocks.iter().enumerate() {
            let block = block.as_object().ok_or("has a block of content that is no object")?;
            let pointer = format!("/content/{index}");
            match text(block, "type")? {
                Some("tool_use") => self.calls.push(ToolCall {
                    pointer,
                    id: text(block, "id")?,
                    function: None,
                    index: None,
                    artifact: None,
                }),
                Some("tool_result") => self.results.push(ToolResult { pointer, id: text(block, "tool_use_id")? }),
                _ => self.artifacts.extend(block.contains_key("parsed").then(|| format!("{pointer}/parsed"))),
            }
        }
        Ok(())
    }

    fn tool_calls(&mut self, message: &'m Map<String, Value>) -> Result<(), Malformed> {
        let calls = match message.get("tool_calls") {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(calls)) => calls,
            Some(_) => return Err("has `tool_calls` that are no list"),
        };
        for (index, call) in calls.iter().enumerate() {
            let call = call.as_object().ok_or("has a tool call that is no object")?;
            let pointer = format!("/tool_calls/{index}");
            let is_piece = call.get("index").is_some_and(|index| index.as_u64() != Some(0));
            let function = call.get("function");
            let is_parsed = function.is_some_and(|function| function.get("parsed_arguments").is_some());
            self.calls.push(ToolCall {
                id: text(call, "id")?,
                function,
                index: is_piece.then(|| format!("{pointer}/index")),
                artifact: is_parsed.then(|| format!("{pointer}/function/parsed_arguments")),
                pointer,
            });
        }
        Ok(())
    }
}

/// A member that is text if it is there; nothing if it is missing, `null` or empty.
fn text<'m>(members: &'m Map<String, Value>, key: &str) -> Result<Option<&'m str>, Malformed> {
    match members.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err("has a `role`, `type` or id that is no text"),
    }
}
