//! Functions of registered tools by name, as whoever opens a session lists what may be called in it.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use thiserror::Error;

use crate::limits;
use crate::outcome::one_line;

/// A function of a registered tool, or every one: `files/stat`, `files/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionPattern {
    tool: String,
    /// Every function, if it is none in particular.
    function: Option<String>,
}

/// What names no function of a tool.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not `TOOL/FUNCTION` or `TOOL/*`")]
pub struct FunctionPatternError(String);

impl FunctionPattern {
    /// Whether a function is meant.
    pub fn covers(&self, tool: &str, function: &str) -> bool {
        self.tool == tool && self.function.as_ref().is_none_or(|name| name == function)
    }
}

impl FromStr for FunctionPattern {
    type Err = FunctionPatternError;

    fn from_str(text: &str) -> Result<Self, FunctionPatternError> {
        // A tool's name has no slash; a function's may have, where it is told by its interface.
        let parts = text.split_once('/').filter(|(tool, function)| is_tool(tool) && is_function(function));
        let (tool, function) = parts.ok_or_else(|| FunctionPatternError(one_line(text)))?;
        Ok(Self { tool: tool.to_owned(), function: (function != "*").then(|| function.to_owned()) })
    }
}

fn is_tool(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    (1..=limits::TOOL_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

fn is_function(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_graphic() && !matches!(c, b'*' | b'\\' | b'"');
    name == "*" || ((1..=limits::NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits))
}

impl fmt::Display for FunctionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tool, self.function.as_deref().unwrap_or("*"))
    }
}

impl Serialize for FunctionPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FunctionPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_they_name() {
        // AGT-04
        for (pattern, tool, function, covers) in [
            ("files/stat", "files", "stat", true),
            ("files/stat", "files", "write", false),
            ("files/stat", "other", "stat", false),
            ("files/*", "files", "write", true),
            ("files/*", "files2", "write", false),
            ("sum/docs:adder/add@0.1.0.add", "sum", "docs:adder/add@0.1.0.add", true),
        ] {
            let parsed: FunctionPattern = pattern.parse().expect(pattern);
            assert_eq!((parsed.covers(tool, function), parsed.to_string()), (covers, pattern.to_owned()), "{pattern}");
        }
    }

    #[test]
    fn what_names_no_function_is_refused() {
        // POL-09: nothing stands for every tool, and no part of a name for more than itself.
        let long = format!("files/{}", "x".repeat(limits::NAME_BYTES_MAX + 1));
        for text in
            ["", "files", "/stat", "files/", "*/stat", "*", "files/st*", "files/a b", "a b/c", "files/\u{e9}", &long]
        {
            assert!(text.parse::<FunctionPattern>().is_err(), "{text}");
        }
    }
}
