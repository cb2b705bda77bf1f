//! Digests of messages: what the host knows of the last transcript.

use sha2::{Digest as _, Sha256};

/// The first of the known digests whose message is not among these any more, in the order they had.
pub fn first_dropped(known: &[String], messages: &[&str]) -> Option<usize> {
    let mut present = messages.iter();
    known.iter().position(|known| !present.any(|message| is_digest(known, message)))
}

fn is_digest(known: &str, message: &str) -> bool {
    let Some(known) = known.strip_prefix("sha256:") else { return false };
    let digest = Sha256::digest(message.as_bytes());
    let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    digest.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]).eq(known.chars().map(Some))
}
