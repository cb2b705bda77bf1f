//! The path of a URL, as long as it is one path to every reader.

/// Absolute, without query, its escapes undone; no part of it is `.` or `..`, and no escape hid a separator.
#[derive(Clone, Debug)]
pub struct UrlPath(Vec<u8>);

impl UrlPath {
    /// Reads the path of a rule, as it is written in a URL.
    pub fn of_rule(text: &str) -> Option<Self> {
        let plain = |byte: u8| {
            byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
        };
        if text.bytes().all(plain) { Self::new(text) } else { None }
    }

    /// Reads the path of a request, whether its escapes were undone before or not.
    pub fn new(text: &str) -> Option<Self> {
        let is_odd = |character: char| character.is_control() || matches!(character, '\\' | '?' | '#');
        if !text.starts_with('/') || text.contains(is_odd) {
            return None;
        }
        let path = decode(text)?;
        // Some servers take what follows `;` for a parameter and drop it before they walk the path.
        let is_step = |part: &[u8]| {
            let name = part.split(|byte| *byte == b';').next().unwrap_or_default();
            name == b"." || name == b".."
        };
        // Two slashes at the start would be a host to some readers.
        let is_plain = !path.split(|byte| *byte == b'/').any(is_step) && !path.starts_with(b"//");
        is_plain.then_some(Self(path))
    }

    /// Whether the other is this path or lies under it, part by part.
    pub fn contains(&self, other: &Self) -> bool {
        let length = self.0.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let rest = self.0.get(..length).and_then(|mine| other.0.strip_prefix(mine));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

/// The path with its escapes undone; nothing if one is broken, or hides a separator, a control character or an escape.
fn decode(path: &str) -> Option<Vec<u8>> {
    let mut parts = path.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)? {
            b'%' | b'/' | b'\\' | 0..=0x1f | 0x7f => return None,
            byte => decoded.push(byte),
        }
        decoded.extend_from_slice(rest.as_bytes());
    }
    Some(decoded)
}
