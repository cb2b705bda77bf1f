//! Traces of others (W3C Trace Context): where a call stands in one, as its caller says.
//!
//! It is believed in nothing but where a span is drawn. Whether a caller wants to be seen is not asked: a flag of theirs
//! hides no call. `tracestate` and baggage are not read.

use std::str::FromStr;

/// Where it is said, in a header or in `_meta`.
pub const TRACEPARENT: &str = "traceparent";

/// A span of somebody else's, under which a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub(super) trace: [u8; 16],
    /// The span in it.
    pub(super) span: [u8; 8],
}

/// A text that names no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAParent;

impl FromStr for Parent {
    type Err = NotAParent;

    fn from_str(text: &str) -> Result<Self, NotAParent> {
        // Version, trace, span and flags: a later version may say more behind them (API-15).
        let (head, more) = text.split_at_checked(55).ok_or(NotAParent)?;
        let mut parts = head.split('-');
        let mut part = || parts.next().ok_or(NotAParent);
        let (version, trace, span) = (hex::<1>(part()?)?, hex::<16>(part()?)?, hex::<8>(part()?)?);
        hex::<1>(part()?)?;
        let fits = match version {
            [0] => more.is_empty(),
            [0xff] => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        if !fits || parts.next().is_some() || trace == [0; 16] || span == [0; 8] {
            return Err(NotAParent);
        }
        Ok(Self { trace, span })
    }
}

/// Bytes in hexadecimal, in lower case.
fn hex<const N: usize>(text: &str) -> Result<[u8; N], NotAParent> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let mut bytes = [0; N];
    let read = ::hex::decode_to_slice(text, &mut bytes);
    if is_lower && read.is_ok() { Ok(bytes) } else { Err(NotAParent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_have_one_form() {
        // API-15
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent: Parent = good.parse().expect("a parent");
        assert_eq!((parent.trace[0], parent.span[7]), (0x4b, 0xb7));
        for same in
            [good.replace("-01", "-00"), good.replacen("00", "01", 1), format!("{}-more", good.replacen("00", "cc", 1))]
        {
            assert_eq!(same.parse(), Ok(parent), "{same}");
        }
        for wrong in [
            String::new(),
            good.to_uppercase(),
            format!("{good}-more"),
            format!(" {good}"),
            format!("{good} "),
            good.replacen("00", "ff", 1),
            good.replace('-', "_"),
            good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            good.replace("00f067aa0ba902b7", "00f067aa0ba902b"),
            good.replace("4bf9", "4bg9"),
            good.replace("4bf9", "ä4b"),
            format!("{}more", good.replacen("00", "cc", 1)),
            "0".repeat(100_000),
            "ä".repeat(40),
        ] {
            assert_eq!(wrong.parse::<Parent>(), Err(NotAParent), "{wrong}");
        }
    }
}
