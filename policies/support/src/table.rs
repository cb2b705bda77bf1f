//! Rules by tool and function, found without reading all of them.
//!
//! Settings arrive as text with every decision. To parse a thousand rules for the one that matters would cost a
//! thousand rules each time. So the rules are an object, `{"tools":{"TOOL/FUNCTION":…}}`; canonical JSON has its keys in
//! order, and a text in order is searched by halves.
//!
//! The search lands anywhere, and has to know a key when it comes by one. A quote behind a comma is no part of a string,
//! for there it would have a backslash before it. What it opens, if a colon follows the string, is a key; and no other
//! key of the settings has the form of a [`Key`]: a policy's own words have no slash, and JSON Pointers begin with one.

use core::cmp::Ordering;

use serde::Deserialize as _;
use serde_json::Value;

use crate::settings::{self, Place, Problems};
use crate::types::Tool;

/// What stands for every tool, and for every function.
const EVERY: &str = "*";

const DIGEST_PREFIX: &str = "sha256:";
const DIGEST_DIGITS: usize = 64;
const NAME_BYTES_MAX: usize = 256;

/// In so few bytes it is cheaper to look at each than to halve them further.
const LOOKED_THROUGH_BYTES: usize = 1_024;

/// What a key of the table has to be, for a problem's text.
const KEY_FORM: &str = "`TOOL/FUNCTION`, where a tool is a name, a digest or `*`, and a function a name or `*`";

/// The rules of settings that were accepted before.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// What is between the braces.
    body: &'a str,
}

impl<'a> Table<'a> {
    /// Finds the table in canonical settings that have nothing else.
    pub fn of(settings: &'a str) -> Option<Self> {
        settings.strip_prefix(r#"{"tools":{"#)?.strip_suffix("}}").map(|body| Self { body })
    }

    /// What stands under a key: a text that begins with the value, and goes on behind it.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        // If the key is there, it begins at `low` or behind it, and before `high`.
        let (mut low, mut high) = (0, self.body.len());
        while high - low > LOOKED_THROUGH_BYTES {
            let middle = low + (high - low) / 2;
            let Some(found) = self.first_key(middle, high) else {
                high = middle;
                continue;
            };
            match found.text.cmp(key) {
                Ordering::Less => low = found.value,
                Ordering::Equal => return self.body.get(found.value..),
                Ordering::Greater => high = middle,
            }
        }
        self.look_through(low, high, key)
    }

    /// What stands under a key that begins here or behind it, and before the end.
    fn look_through(&self, from: usize, end: usize, key: &str) -> Option<&'a str> {
        let quotes = (from..end).filter(|index| self.body.as_bytes().get(*index) == Some(&b'"'));
        quotes.filter(|quote| self.may_open_key(*quote)).find_map(|quote| {
            let rest = self.body.get(quote + 1..)?.strip_prefix(key)?.strip_prefix("\":")?;
            is_key(key).then_some(rest)
        })
    }

    /// Whether a quote here is no part of a string.
    fn may_open_key(&self, quote: usize) -> bool {
        let before = quote.checked_sub(1).and_then(|before| self.body.as_bytes().get(before));
        before.is_none_or(|byte| *byte == b',')
    }

    /// The first key of the table that begins here or behind it, and before the end.
    fn first_key(&self, from: usize, end: usize) -> Option<Found<'a>> {
        let bytes = self.body.as_bytes().get(from..end)?;
        let quotes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'"');
        quotes.map(|(index, _)| from + index).find_map(|quote| self.key_at(quote))
    }

    fn key_at(&self, quote: usize) -> Option<Found<'a>> {
        if !self.may_open_key(quote) {
            return None;
        }
        let rest = self.body.get(quote + 1..)?;
        let length = rest.bytes().position(|byte| !is_function_byte(byte))?;
        let (text, behind) = rest.split_at_checked(length)?;
        (behind.starts_with("\":") && is_key(text)).then_some(Found { text, value: quote + length + 3 })
    }
}

/// Reads the value that a text begins with, as [`Table::get`] finds it.
pub fn value<T>(text: &str, read: impl FnOnce(&Place<'_>, &mut Problems) -> Option<T>) -> Option<T> {
    let value = Value::deserialize(&mut serde_json::Deserializer::from_str(text)).ok()?;
    settings::of(&value, read).ok()
}

/// A key in the text.
struct Found<'a> {
    text: &'a str,
    /// Where its value begins.
    value: usize,
}

/// The keys that speak of a function of a tool: the digest, the name and every tool, the function and every function.
///
/// A name that can't stand in a key is left out, so that a file called `files/read`, or like somebody's digest, is not
/// taken for what it looks like.
pub fn keys(tool: &Tool, function: &str) -> Vec<String> {
    let tools = [Some(tool.digest.as_str()).filter(|text| is_digest(text)), plain_name(&tool.name), Some(EVERY)];
    let mut keys = Vec::new();
    for tool in tools.into_iter().flatten() {
        keys.extend(is_function(function).then(|| format!("{tool}/{function}")));
        keys.push(format!("{tool}/{EVERY}"));
    }
    keys
}

/// Checks the table of settings that are about to be put in force, and each value in it.
pub fn check(settings: &Place<'_>, problems: &mut Problems, mut value: impl FnMut(&Place<'_>, &mut Problems)) {
    let Some(members) = settings.object(&["tools"], problems) else { return };
    let Some(tools) = members.required("tools", problems) else { return };
    let Some(tools) = tools.members(problems) else { return };
    for (key, place) in tools.all() {
        if !is_key(key) {
            place.wrong::<()>(problems, format!("the key is not {KEY_FORM}"));
        }
        value(&place, problems);
    }
}

/// A tool in a list of tools: a name, or a digest.
pub fn tool(place: &Place<'_>, problems: &mut Problems) -> Option<String> {
    let fits = |text: &str| plain_name(text).is_some() || is_digest(text);
    place.parsed("a tool's name or digest", problems, |text| fits(text).then(|| text.to_owned()))
}

/// Whether a list names a tool. A digest is never compared with a name.
pub fn names(list: &[String], tool: &Tool) -> bool {
    let is_meant = |wanted: &String| if is_digest(wanted) { *wanted == tool.digest } else { *wanted == tool.name };
    list.iter().any(is_meant)
}

fn is_key(text: &str) -> bool {
    let Some((tool, function)) = text.split_once('/') else { return false };
    (tool == EVERY || plain_name(tool).is_some() || is_digest(tool)) && is_function(function)
}

/// The names that can be listed: letters, digits, `.`, `_` and `-`, all of ASCII.
fn plain_name(text: &str) -> Option<&str> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(known)).then_some(text)
}

fn is_digest(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(DIGEST_PREFIX).is_some_and(|digits| digits.len() == DIGEST_DIGITS && digits.bytes().all(is_digit))
}

fn is_function(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_function_byte)
}

/// Nothing that JSON would escape.
fn is_function_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')
}
