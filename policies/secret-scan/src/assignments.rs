//! Secrets that are known by their name: `password = …` in text, members of objects, and passwords in URLs.

use crate::bytes::{self, ALPHANUMERIC, DASH, DOT, UNDERSCORE};
use crate::scan::Finding;

/// What the names of secrets end in, without dashes, underscores and capitals.
const NAMES: [&[u8]; 18] = [
    b"accesskey",
    b"accesstoken",
    b"apikey",
    b"apitoken",
    b"authorization",
    b"authtoken",
    b"bearertoken",
    b"encryptionkey",
    b"idtoken",
    b"passphrase",
    b"passwd",
    b"password",
    b"privatekey",
    b"pwd",
    b"refreshtoken",
    b"secret",
    b"secretkey",
    b"sessiontoken",
];

/// What people write where a secret would stand.
const PLACEHOLDERS: [&[u8]; 4] = [b"undefined", b"[redacted]", b"required", b"optional"];
const PLACEHOLDER_BRACKETS: [(&[u8], &[u8]); 4] = [(b"${", b"}"), (b"$(", b")"), (b"{{", b"}}"), (b"<", b">")];
const PLACEHOLDER_BYTES_MAX: usize = 64;

const NAME_BYTES_MAX: usize = 64;
const GAP_BYTES_MAX: usize = 8;
/// Shorter values are taken for words.
const VALUE_BYTES_MIN: usize = 6;
const USERINFO_BYTES_MAX: usize = 1_024;

/// Whether this is what secrets are called.
pub fn names_secret(name: &str) -> bool {
    ends_like_name(name.as_bytes()) && is_name(name.as_bytes())
}

/// Whether a member of that name could have this as its secret.
pub fn is_value(value: &str) -> bool {
    value.len() >= VALUE_BYTES_MIN && !is_placeholder(value.as_bytes())
}

/// A secret that is assigned at an `=` or `:`, or the password of a URL whose scheme ends there.
pub fn at(text: &[u8], at: usize, anchor: u8) -> Option<Finding<'static>> {
    if anchor == b':' && text.get(at + 1..at + 3) == Some(b"//") {
        return url_password(text, at + 3);
    }
    let name = name_before(text, at)?;
    if !is_name(name) {
        return None;
    }
    let (start, end) = value_after(text, at + 1, name)?;
    let value = text.get(start..end)?;
    let is_secret = value.len() >= VALUE_BYTES_MIN && !is_placeholder(value);
    is_secret.then_some(Finding { rule: "password", start, end })
}

/// The password of `user:password@`.
fn url_password(text: &[u8], from: usize) -> Option<Finding<'static>> {
    let rest = text.get(from..)?;
    let ends =
        |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>');
    let window = rest.get(..rest.len().min(USERINFO_BYTES_MAX))?;
    let authority = window.split(ends).next()?;
    let userinfo = authority.get(..authority.iter().rposition(|byte| *byte == b'@')?)?;
    let colon = userinfo.iter().position(|byte| *byte == b':')?;
    let (start, end) = (from + colon + 1, from + userinfo.len());
    let is_secret = end > start && !is_placeholder(text.get(start..end)?);
    is_secret.then_some(Finding { rule: "url-password", start, end })
}

fn name_before(text: &[u8], at: usize) -> Option<&[u8]> {
    let from = at.saturating_sub(NAME_BYTES_MAX + GAP_BYTES_MAX);
    let before = text.get(from..at)?;
    let before = trim_end(before, |byte| matches!(byte, b' ' | b'\t'));
    let before = trim_end(before, |byte| matches!(byte, b'"' | b'\'' | b'`' | b'\\'));
    if !ends_like_name(before) {
        return None;
    }
    let start = bytes::run_back(before, before.len(), ALPHANUMERIC | DASH | UNDERSCORE | DOT);
    before.get(start..)
}

/// Nearly every name is none of a secret, and its last letter says so.
fn ends_like_name(name: &[u8]) -> bool {
    matches!(name.last().map(u8::to_ascii_lowercase), Some(b'd' | b'e' | b'n' | b't' | b'y'))
}

fn trim_end(text: &[u8], is_gap: fn(u8) -> bool) -> &[u8] {
    let mut end = text.len();
    while end > 0 && text.len() - end < GAP_BYTES_MAX && is_gap(text[end - 1]) {
        end -= 1;
    }
    &text[..end]
}

fn is_name(name: &[u8]) -> bool {
    let name = &name[name.len().saturating_sub(NAME_BYTES_MAX)..];
    let plain: Vec<u8> =
        name.iter().filter(|byte| bytes::is(**byte, ALPHANUMERIC)).map(u8::to_ascii_lowercase).collect();
    NAMES.iter().any(|known| plain.ends_with(known))
}

/// Where the assigned value begins and ends.
fn value_after(text: &[u8], from: usize, name: &[u8]) -> Option<(usize, usize)> {
    let mut at = skip(text, from, |byte| matches!(byte, b'=' | b':' | b'>'));
    at = skip(text, at, |byte| matches!(byte, b' ' | b'\t'));
    at = skip(text, at, |byte| byte == b'\\');
    let quote = text.get(at).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    let start = at + usize::from(quote.is_some());
    // `PWD=/root` says where a shell is.
    if name.to_ascii_lowercase().ends_with(b"pwd") && text.get(start) == Some(&b'/') {
        return None;
    }
    let is_header = is_authorization(name);
    let rest = text.get(start..)?;
    let ends = |byte: &u8| match quote {
        Some(quote) => *byte == quote || matches!(byte, b'\n' | b'\\'),
        None if is_header => matches!(byte, b'\n' | b'\r' | b'"' | b'\''),
        None => byte.is_ascii_whitespace() || b"\"'`,;&".contains(byte),
    };
    let end = start + rest.iter().position(ends).unwrap_or(rest.len());
    Some((if is_header { after_scheme(text, start, end) } else { start }, end))
}

fn skip(text: &[u8], from: usize, is_gap: fn(u8) -> bool) -> usize {
    let mut at = from;
    while at - from < GAP_BYTES_MAX && text.get(at).copied().is_some_and(is_gap) {
        at += 1;
    }
    at
}

fn is_authorization(name: &[u8]) -> bool {
    name.len() >= 13 && name[name.len() - 13..].eq_ignore_ascii_case(b"authorization")
}

/// Behind the scheme of an `Authorization` header: `Basic `, `Bearer `.
fn after_scheme(text: &[u8], start: usize, end: usize) -> usize {
    let scheme = bytes::run(text, start, ALPHANUMERIC | DASH);
    if scheme > start && scheme < end && text[scheme] == b' ' { scheme + 1 } else { start }
}

fn is_placeholder(value: &[u8]) -> bool {
    let Some(first) = value.first().filter(|_| value.len() <= PLACEHOLDER_BYTES_MAX) else { return false };
    value.iter().all(|byte| byte == first)
        || PLACEHOLDERS.iter().any(|known| value.eq_ignore_ascii_case(known))
        || PLACEHOLDER_BRACKETS.iter().any(|(open, close)| value.starts_with(open) && value.ends_with(close))
}
