//! Canonical JSON (RFC 8785), as the host writes it, read without a tree: large bodies cost little, and what is repeated
//! is repeated to the byte.
//!
//! There is no white space in it. Whether a number is one is left to whoever parses it.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// Where the quote is that ends a string whose text begins at `from`.
pub fn string_end(json: &str, from: usize) -> Option<usize> {
    let bytes = json.as_bytes();
    let mut at = from;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// The text of a string, from what stands between its quotes.
pub fn unescaped(raw: &str) -> Option<Cow<'_, str>> {
    let Some(first) = memchr(b'\\', raw.as_bytes()) else { return Some(Cow::Borrowed(raw)) };
    let mut text = String::with_capacity(raw.len());
    let (mut from, mut next) = (0, Some(first));
    while let Some(gap) = next {
        text.push_str(raw.get(from..from + gap)?);
        let rest = raw.get(from + gap + 1..)?;
        let (character, length) = escape(rest)?;
        text.push(character);
        from += gap + 1 + length;
        next = memchr(b'\\', raw.as_bytes().get(from..)?);
    }
    text.push_str(raw.get(from..)?);
    Some(Cow::Owned(text))
}

/// The character behind a backslash, and the bytes that it takes there.
fn escape(rest: &str) -> Option<(char, usize)> {
    let character = match rest.as_bytes().first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        // Only control characters are written so; half of a pair is none.
        b'u' => return Some((char::from_u32(u32::from_str_radix(rest.get(1..5)?, 16).ok()?)?, 5)),
        _ => return None,
    };
    Some((character, 1))
}

/// The elements of an array, each exactly as it is written.
pub fn elements(array: &str) -> Option<Vec<&str>> {
    let inner = array.strip_prefix('[')?.strip_suffix(']')?;
    let (mut elements, mut depth, mut start, mut at) = (Vec::new(), 0_usize, 0, 0);
    while let Some(byte) = inner.as_bytes().get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => at = string_end(inner, at + 1)?,
            b',' if depth == 0 => {
                elements.push(inner.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if !inner.is_empty() {
        elements.push(inner.get(start..)?);
    }
    (depth == 0).then_some(elements)
}
