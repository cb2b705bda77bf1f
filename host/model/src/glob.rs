//! Patterns of names that stay closed inside a folder that is opened.
//!
//! A [`Glob`] is a checked text and matches nothing by itself: the sandbox does that, on the path of the object that was
//! really reached. The form is small on purpose, so that nobody has to guess what a pattern closes.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::limits;

/// Why a text is no pattern.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GlobError {
    /// It is not relative to the folder, part by part.
    #[error("`{0}` is not a relative path without `.`, `..` and empty parts")]
    NotRelative(String),
    /// It holds a character that is none of a pattern.
    #[error("`{0}` holds a character that no pattern may have: printable ASCII but for `[`, `]`, `{{`, `}}` and `\\`")]
    OddCharacter(String),
    /// `**` is only part of a part.
    #[error("in `{0}`, `**` does not stand by itself between slashes")]
    StarsInPart(String),
    /// It is too long.
    #[error("a pattern of {0} bytes is longer than {max}", max = limits::GLOB_BYTES_MAX)]
    TooLong(usize),
}

/// A pattern of paths below a folder: parts between slashes, in which `*` stands for any characters, `?` for one, and a
/// part `**` for any folders. One without a slash holds in every folder below. What a pattern matches is closed, and so
/// is all that lies under it. Upper and lower case are one.
///
/// A pattern is ASCII: two spellings of one accented letter can be one file or two, depending on the file system, and a
/// pattern must not close one of them only. `*` and `?` stand for such letters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

impl Glob {
    /// Checks a pattern.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        if pattern.len() > limits::GLOB_BYTES_MAX {
            return Err(GlobError::TooLong(pattern.len()));
        }
        let shown = || pattern.escape_debug().to_string();
        if pattern.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(GlobError::NotRelative(shown()));
        }
        let odd = |c: char| !(c == ' ' || c.is_ascii_graphic()) || matches!(c, '[' | ']' | '{' | '}' | '\\');
        if pattern.contains(odd) {
            return Err(GlobError::OddCharacter(shown()));
        }
        if pattern.split('/').any(|part| part.contains("**") && part != "**") {
            return Err(GlobError::StarsInPart(shown()));
        }
        Ok(Self(pattern.to_owned()))
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Glob {
    type Error = GlobError;

    fn try_from(pattern: String) -> Result<Self, GlobError> {
        Self::new(&pattern)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_one_plain_form() {
        // FS-17
        for pattern in ["*.key", ".env", "private", "a/b", "a/**/b", "**/x", "**", "a b?", "!x"] {
            assert_eq!(Glob::new(pattern).expect(pattern).as_str(), pattern);
        }
        for pattern in
            ["", "/a", "a/", "a//b", "./a", "../a", "a/..", "a**", "**b/c", "[ab]", "{a,b}", "a\\b", "é", "a\0", "a\n"]
        {
            assert!(Glob::new(pattern).is_err(), "{pattern:?}");
        }
        assert!(Glob::new(&"a".repeat(limits::GLOB_BYTES_MAX + 1)).is_err());
    }
}
