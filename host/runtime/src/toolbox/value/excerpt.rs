//! The start of a value or a place, as an error repeats it. Trust boundary: the text is the caller's or the guest's.

use std::io;

use serde_json::Value;

/// The start of a value's JSON, in backticks.
pub(super) fn shown(value: &Value) -> String {
    let mut head = Head(Vec::new());
    // Fails where the head is full; `cut` marks that.
    let _ = serde_json::to_writer(&mut head, value);
    let text = head.0.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    format!("`{}`", cut(text))
}

pub(super) fn place(pointer: &str) -> String {
    if pointer.is_empty() { "in the input as a whole".to_owned() } else { format!("at `{}`", cut(pointer)) }
}

/// Trust boundary: the text is the caller's or the guest's, and is shown on terminals and in logs.
pub(super) fn cut(text: &str) -> String {
    let (head, tail) = text.split_at(text.floor_char_boundary(SHOWN_BYTES_MAX));
    let mut clean = String::new();
    for character in head.chars() {
        if is_misleading(character) {
            clean.extend(character.escape_unicode());
        } else {
            clean.push(character);
        }
    }
    if !tail.is_empty() {
        clean.push('…');
    }
    clean
}

/// Whether a character moves the cursor, ends the line or turns the direction of the text.
fn is_misleading(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Keeps the first bytes written to it, a few more than are shown, and ends the writing there.
struct Head(Vec<u8>);

impl io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (SHOWN_BYTES_MAX + 8).saturating_sub(self.0.len());
        self.0.extend(bytes.iter().take(room));
        Ok(bytes.len().min(room))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a value, a key or a pointer that an error message repeats.
pub(super) const SHOWN_BYTES_MAX: usize = 80;
