//! Revocation lists: what authorities say of certificates of theirs that end before their time.
//!
//! Lists come as bytes and are parsed, all of them, before any is in force; whether an authority has signed one is found out with
//! each certificate that it speaks of. Of two lists by one authority only one would be asked, so there is one of each. A list
//! whose own time is over says nothing: nobody of whom it would have to speak is believed. This module fetches nothing.

use std::collections::HashSet;
use std::time::Duration;

use ringfence_model::time::Timestamp;
use rustls::pki_types::CertificateRevocationListDer;
use webpki::CertRevocationList;
use webpki::OwnedCertRevocationList;

/// Universal types of DER.
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Lists that can be asked. None of them: nobody is asked whether a certificate was revoked.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Vec<CertificateRevocationListDer<'static>>);

impl Revocations {
    /// These lists; in words, why they can't be asked.
    pub fn new(lists: Vec<CertificateRevocationListDer<'static>>) -> Result<Self, String> {
        let mut known = HashSet::new();
        for list in &lists {
            let read =
                CertRevocationList::from(OwnedCertRevocationList::from_der(list).map_err(|why| why.to_string())?);
            if !known.insert((read.issuer().to_vec(), read.issuing_distribution_point().map(<[u8]>::to_vec))) {
                return Err("there are two lists of one authority, and only one of them would be asked".to_owned());
            }
        }
        Ok(Self(lists))
    }

    /// When the first of them is no longer good, since 1970; none, if there is none of which that can be read.
    pub fn end(&self) -> Option<Duration> {
        self.0.iter().filter_map(|list| next_update(list)).min()
    }

    pub(super) fn into_lists(self) -> Vec<CertificateRevocationListDer<'static>> {
        self.0
    }
}

/// When a list is to be replaced (RFC 5280, 5.1), of one that was parsed: the library that asks it keeps that to itself.
fn next_update(list: &[u8]) -> Option<Duration> {
    let (list, _) = element(list, &[SEQUENCE])?;
    let (signed, _) = element(list, &[SEQUENCE])?;
    let (_version, rest) = element(signed, &[INTEGER])?;
    let (_algorithm, rest) = element(rest, &[SEQUENCE])?;
    let (_issuer, rest) = element(rest, &[SEQUENCE])?;
    let (_this_update, rest) = element(rest, &[UTC_TIME, GENERALIZED_TIME])?;
    let (next_update, _) = element(rest, &[UTC_TIME, GENERALIZED_TIME])?;
    time(next_update)
}

/// The content of the first element, which is of one of these types, and what comes after it.
fn element<'d>(bytes: &'d [u8], types: &[u8]) -> Option<(&'d [u8], &'d [u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0x00..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (long, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (long.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length).filter(|_| types.contains(first))
}

/// `YYMMDDHHMMSSZ`, of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time(text: &[u8]) -> Option<Duration> {
    let text = str::from_utf8(text).ok()?.strip_suffix('Z').filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    let century = match text.len() {
        12 if text < "50" => "20",
        12 => "19",
        14 => "",
        _ => return None,
    };
    let digits = format!("{century}{text}");
    let part = |from: usize, to: usize| digits.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let time: Timestamp = format!("{year}-{month}-{day}T{hour}:{minute}:{second}.000Z").parse().ok()?;
    Some(Duration::from_millis(time.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_list_is_read() {
        let short = |content: &[u8], kind: u8| [&[kind, u8::try_from(content.len()).expect("short")], content].concat();
        let list = |this: (&str, u8), next: (&str, u8)| {
            let parts = [short(&[1], INTEGER), short(&[], SEQUENCE), short(&[], SEQUENCE)].concat();
            let times = [this, next].map(|(text, kind)| short(text.as_bytes(), kind)).concat();
            short(&short(&[parts, times].concat(), SEQUENCE), SEQUENCE)
        };
        let seconds =
            |next, kind| next_update(&list(("250101000000Z", UTC_TIME), (next, kind))).map(|end| end.as_secs());
        for (next, kind, wanted) in [
            ("700101000001Z", UTC_TIME, Some(1)),
            ("491231235959Z", UTC_TIME, Some(2_524_607_999)),
            ("20380119031407Z", GENERALIZED_TIME, Some(0x7fff_ffff)),
            ("491231235959", UTC_TIME, None),
            ("49123123595Z", UTC_TIME, None),
            ("20381319031407Z", GENERALIZED_TIME, None),
            ("2038011903140-Z", GENERALIZED_TIME, None),
            ("700101000001Z", INTEGER, None),
        ] {
            assert_eq!(seconds(next, kind), wanted, "{next}");
        }
        // Whatever is cut off, or announces more than there is, has no end.
        let whole = list(("250101000000Z", UTC_TIME), ("260101000000Z", UTC_TIME));
        for length in 0..whole.len() {
            assert_eq!(next_update(&whole[..length]), None, "{length}");
        }
        for long in
            [&[0x30, 0x80][..], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x82]]
        {
            assert_eq!(element(long, &[SEQUENCE]), None);
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bytes in [&b""[..], b"\x30\x00", &[0x30; 64], &[0xff; 4096]] {
            assert!(Revocations::new(vec![CertificateRevocationListDer::from(bytes.to_vec())]).is_err());
        }
        assert_eq!(Revocations::new(Vec::new()).expect("nothing").end(), None);
    }
}
