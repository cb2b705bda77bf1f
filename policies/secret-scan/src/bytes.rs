//! What each byte can be part of, in one table: one look-up for each byte of a body is what scanning costs.

/// `A` to `Z`.
pub const UPPER: u8 = 1;
/// `a` to `z`.
pub const LOWER: u8 = 2;
/// `0` to `9`.
pub const DIGIT: u8 = 4;
/// `-`.
pub const DASH: u8 = 8;
/// `_`.
pub const UNDERSCORE: u8 = 16;
/// `+` and `/`.
pub const BASE64: u8 = 32;
/// `.`.
pub const DOT: u8 = 64;
/// Bytes that a rule starts at.
pub const ANCHOR: u8 = 128;

/// Letters and digits.
pub const ALPHANUMERIC: u8 = UPPER | LOWER | DIGIT;
/// What tokens in URLs are written with.
pub const URL_SAFE: u8 = ALPHANUMERIC | DASH | UNDERSCORE;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class(byte as u8);
        byte += 1;
    }
    classes
}

const fn class(byte: u8) -> u8 {
    match byte {
        b'A' | b'J' => UPPER | ANCHOR,
        b'B'..=b'Z' => UPPER,
        b'a'..=b'z' => LOWER,
        b'0'..=b'9' => DIGIT,
        b'-' => DASH | ANCHOR,
        b'_' => UNDERSCORE | ANCHOR,
        b'+' | b'/' => BASE64,
        b'.' => DOT,
        b':' | b'=' => ANCHOR,
        _ => 0,
    }
}

/// Whether a byte is in one of the classes.
pub fn is(byte: u8, classes: u8) -> bool {
    CLASSES[usize::from(byte)] & classes != 0
}

/// The first byte from `from` on that is in one of the classes.
pub fn find(text: &[u8], from: usize, classes: u8) -> Option<usize> {
    let rest = text.get(from..)?;
    // Eight at a time: this loop is most of what a body costs.
    let skipped = rest.chunks_exact(8).take_while(|eight| any(eight) & classes == 0).count() * 8;
    let tail = rest.get(skipped..)?;
    tail.iter().position(|byte| is(*byte, classes)).map(|at| from + skipped + at)
}

/// Every class that one of eight bytes is in.
fn any(eight: &[u8]) -> u8 {
    let [a, b, c, d, e, f, g, h] = *eight else { return u8::MAX };
    let of = |byte: u8| CLASSES[usize::from(byte)];
    of(a) | of(b) | of(c) | of(d) | of(e) | of(f) | of(g) | of(h)
}

/// Where the run of bytes of these classes ends that begins at `from`.
pub fn run(text: &[u8], from: usize, classes: u8) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| !is(*byte, classes)).unwrap_or(rest.len())
}

/// Where the run of bytes of these classes begins that ends before `to`.
pub fn run_back(text: &[u8], to: usize, classes: u8) -> usize {
    let before = text.get(..to).unwrap_or_default();
    before.iter().rposition(|byte| !is(*byte, classes)).map_or(0, |at| at + 1)
}
