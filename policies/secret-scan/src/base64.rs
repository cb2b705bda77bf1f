//! Base64 as the host writes bytes: standard alphabet, padded.

/// The fewest characters that can hold a secret.
const CHARS_MIN: usize = 16;

/// In no alphabet.
const NONE: u8 = 64;

static SEXTETS: [u8; 256] = sextets();

const fn sextets() -> [u8; 256] {
    let mut sextets = [NONE; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut index = 0;
    while index < alphabet.len() {
        sextets[alphabet[index] as usize] = index as u8;
        index += 1;
    }
    sextets
}

/// The bytes of a text that is base64 from end to end, and long enough to matter.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if text.len() < CHARS_MIN || !text.len().is_multiple_of(4) {
        return None;
    }
    // What begins like base64 for this long mostly is: only then is room made for it.
    text[..CHARS_MIN - 2].iter().all(|character| SEXTETS[usize::from(*character)] != NONE).then_some(())?;
    let padding = text.iter().rev().take(2).take_while(|character| **character == b'=').count();
    let mut bytes = vec![0; text.len() / 4 * 3];
    let last = text.len() / 4 - 1;
    for (index, (quad, triple)) in text.chunks_exact(4).zip(bytes.chunks_exact_mut(3)).enumerate() {
        let padding = if index == last { padding } else { 0 };
        triple.copy_from_slice(&whole(quad, padding)?);
    }
    bytes.truncate(bytes.len() - padding);
    Some(bytes)
}

fn whole(quad: &[u8], padding: usize) -> Option<[u8; 3]> {
    let [a, b, c, d] = *quad else { return None };
    let sextet = |character: u8, is_padding: bool| if is_padding { 0 } else { SEXTETS[usize::from(character)] };
    let (a, b) = (sextet(a, false), sextet(b, false));
    let (c, d) = (sextet(c, padding == 2), sextet(d, padding >= 1));
    ((a | b | c | d) < NONE).then_some([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d])
}
