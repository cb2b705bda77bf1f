//! What the verifier has to know of an entry, read as fast as it can be hashed.
//!
//! Canonical bytes leave no choice: the fields of a kind stand in one order, without white space. [`quick`] walks along
//! that one form and checks every byte of it. It accepts a part of what [`decode`] accepts and finds the same facts;
//! whatever it does not recognise, such as an escape in a string, is left to [`decode`], which alone decides that bytes
//! are no entry. So a field it does not know costs time and never an answer.

use ringfence_model::digest::Digest;
use ringfence_model::encoding::DecodeError;
use ringfence_model::encoding::decode;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Opened;
use ringfence_model::entry::Removed;
use ringfence_model::entry::Rotated;
use ringfence_model::id::CallId;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::time::Timestamp;

/// What an entry says about its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) index: u64,
    pub(crate) prev: Digest,
    pub(crate) time: Timestamp,
    pub(crate) what: What,
}

/// What an entry says about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Begun(CallId),
    Finished {
        begun: u64,
        call: CallId,
        effect: EffectState,
    },
    Opened(Box<Opened>),
    /// It begins, ends and settles nothing.
    Other,
    /// What was removed, by the last entry that held any of it, in words.
    Removed {
        last: u64,
        what: String,
    },
    Rotated(Box<Rotated>),
    Settled {
        call: CallId,
        finished: u64,
    },
}

/// Reads an entry strictly.
pub(crate) fn facts(bytes: &[u8]) -> Result<Facts, DecodeError> {
    if let Some(facts) = quick(bytes) {
        return Ok(facts);
    }
    let entry = decode(bytes)?;
    let what = what(entry.body);
    Ok(Facts { index: entry.index, prev: entry.prev, time: entry.time, what })
}

fn what(body: Body) -> What {
    match body {
        Body::Begun(begun) => What::Begun(begun.call),
        Body::Finished(finished) => {
            What::Finished { begun: finished.begun, call: finished.call, effect: finished.effect }
        }
        Body::Opened(opened) => What::Opened(Box::new(opened)),
        Body::Removed(removed) => removed_of(&removed),
        Body::Rotated(rotated) => What::Rotated(rotated),
        Body::Settled(settled) => What::Settled { call: settled.call, finished: settled.finished },
        _ => What::Other,
    }
}

/// Contents of so many entries are named, and the rest is counted.
const REMOVED_SHOWN: usize = 4;

fn removed_of(removed: &Removed) -> What {
    let Removed { by, contents, reason, .. } = removed;
    let last = contents.iter().map(|content| content.entry).max().unwrap_or(u64::MAX);
    let mut what: Vec<_> = contents
        .iter()
        .take(REMOVED_SHOWN)
        .map(|content| format!("`{}` of entry {}", content.name, content.entry))
        .collect();
    what.extend(contents.len().checked_sub(REMOVED_SHOWN + 1).map(|rest| format!("{} more", rest + 1)));
    let (by, reason) = (one_line(by), one_line(reason));
    What::Removed { last, what: format!("{}, for `{by}`: `{reason}`", what.join(", ")) }
}

fn quick(bytes: &[u8]) -> Option<Facts> {
    if bytes.len() > limits::ENTRY_BYTES_MAX {
        return None;
    }
    let mut scan = Scan(bytes);
    scan.text(b"{\"body\":{")?;
    let (what, kind) = match scan.0 {
        [b'"', b'b', ..] => (scan.finished()?, b"finished".as_slice()),
        _ => scan.begun_or_refused()?,
    };
    scan.text(b"},\"index\":")?;
    let index = scan.number()?;
    scan.text(b",\"kind\":\"")?;
    scan.text(kind)?;
    scan.text(b"\",\"prev\":\"")?;
    let prev = Digest::from_bytes(scan.digest()?);
    scan.text(b"\",\"time\":\"")?;
    let time = scan.time()?;
    scan.text(b"\",\"v\":1}")?;
    scan.0.is_empty().then_some(Facts { index, prev, time, what })
}

/// The bytes not read yet. Every step reads one thing, or gives up.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn finished(&mut self) -> Option<What> {
        self.text(b"\"begun\":")?;
        let begun = self.number()?;
        self.text(b",\"call\":\"call_")?;
        let call = CallId::from_random(self.hex()?);
        self.text(b"\",\"code\":")?;
        self.string()?;
        self.text(b",\"effect\":")?;
        let effect = self.effect()?;
        self.text(b",\"outcome\":")?;
        self.one_of(&["\"returned\"", "\"cancelled\"", "\"denied\"", "\"limit\"", "\"tool_error\"", "\"trapped\""])?;
        self.text(b",\"output\":\"")?;
        self.digest()?;
        self.text(b"\",\"trace\":\"")?;
        self.digest()?;
        self.text(b"\",\"used\":{\"fuel\":")?;
        self.number()?;
        for name in [b",\"memory_bytes\":".as_slice(), b",\"output_bytes\":", b",\"wall_ms\":"] {
            self.text(name)?;
            self.number()?;
        }
        self.text(b"}")?;
        Some(What::Finished { begun, call, effect })
    }

    fn effect(&mut self) -> Option<EffectState> {
        let words: [(&[u8], _); 3] = [
            (b"\"committed\"", EffectState::Committed),
            (b"\"aborted\"", EffectState::Aborted),
            (b"\"unknown\"", EffectState::Unknown),
        ];
        words.into_iter().find_map(|(word, effect)| self.text(word).map(|()| effect))
    }

    fn begun_or_refused(&mut self) -> Option<(What, &'static [u8])> {
        self.text(b"\"call\":\"call_")?;
        let call = CallId::from_random(self.hex()?);
        self.text(b"\",")?;
        if self.text(b"\"code\":").is_some() {
            self.refused()?;
            return Some((What::Other, b"refused"));
        }
        self.begun()?;
        Some((What::Begun(call), b"begun"))
    }

    fn begun(&mut self) -> Option<()> {
        self.decision()?;
        self.text(b",\"effect\":")?;
        let effects = ["\"reads\"", "\"writes\"", "\"unknown\"", "\"none\"", "\"external\"", "\"administrative\""];
        self.one_of(&effects)?;
        self.text(b",\"function\":")?;
        self.string()?;
        self.text(b",\"grant\":\"")?;
        self.digest()?;
        if self.text(b"\",\"idempotency_key\":\"").is_some() {
            self.digest()?;
        }
        self.text(b"\",\"input\":\"")?;
        self.digest()?;
        self.text(b"\",\"limits\":{")?;
        if self.text(b"\"files\":").is_some() {
            self.positive()?;
            self.text(b",")?;
        }
        self.text(b"\"fuel\":")?;
        self.number()?;
        for name in [b",\"handles\":".as_slice(), b",\"memory_bytes\":", b",\"output_bytes\":", b",\"wall_ms\":"] {
            self.text(name)?;
            self.number()?;
        }
        if self.text(b",\"write_bytes\":").is_some() {
            self.positive()?;
        }
        self.text(b"},\"principal\":")?;
        self.principal()?;
        self.text(b",\"reach\":")?;
        self.one_of(&["\"reads\"", "\"writes\"", "\"nothing\""])?;
        self.ring_session_then(b",\"tool\":{")?;
        self.tool()
    }

    fn refused(&mut self) -> Option<()> {
        self.string()?;
        self.text(b",")?;
        if self.0.starts_with(b"\"decision\"") {
            self.decision()?;
            self.text(b",")?;
        }
        self.text(b"\"function\":")?;
        self.string()?;
        self.text(b",\"input\":\"")?;
        self.digest()?;
        self.text(b"\"")?;
        if self.text(b",\"layer\":").is_some() {
            self.one_of(&["\"ring\"", "\"manifest\"", "\"operator\"", "\"host\"", "\"session\""])?;
        }
        self.text(b",\"principal\":")?;
        self.principal()?;
        self.ring_session_then(b",\"stage\":")?;
        self.one_of(&["\"decide\"", "\"narrow\"", "\"admit\"", "\"begin\""])?;
        self.text(b",\"tool\":{")?;
        self.tool()
    }

    fn decision(&mut self) -> Option<()> {
        self.text(b"\"decision\":{\"allowed\":")?;
        self.one_of(&["true", "false"])?;
        self.text(b",\"policy_set\":\"")?;
        self.digest()?;
        self.text(b"\",\"request\":\"")?;
        self.digest()?;
        self.text(b"\",\"rulings\":")?;
        self.list(Self::ruling)?;
        self.text(b"}")
    }

    fn ruling(&mut self) -> Option<()> {
        self.text(b"{\"digest\":\"")?;
        self.digest()?;
        self.text(b"\",\"fuel\":")?;
        self.number()?;
        self.text(b",\"name\":")?;
        self.string()?;
        self.text(b",\"reasons\":")?;
        self.list(Self::string)?;
        self.text(b",\"settings\":\"")?;
        self.digest()?;
        self.text(b"\",\"verdict\":")?;
        self.one_of(&["\"permit\"", "\"abstain\"", "\"forbid\"", "\"fault\""])?;
        self.text(b"}")
    }

    fn tool(&mut self) -> Option<()> {
        self.text(b"\"digest\":\"")?;
        self.digest()?;
        self.text(b"\",\"name\":")?;
        self.string()?;
        self.text(b"}")
    }

    fn ring_session_then(&mut self, next: &[u8]) -> Option<()> {
        self.text(b",\"ring\":")?;
        self.one_of(&["3", "2", "1", "0"])?;
        if self.text(b",\"session\":\"ses_").is_some() {
            self.hex::<16>()?;
            self.text(b"\"")?;
        }
        self.text(next)
    }

    fn principal(&mut self) -> Option<()> {
        self.one_of(&["\"agent:", "\"operator:", "\"service:"])?;
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let length = self.0.iter().take_while(|byte| known(byte)).count();
        let fits = (1..=limits::PRINCIPAL_NAME_BYTES_MAX).contains(&length);
        self.0 = self.0.get(length..).filter(|_| fits)?;
        self.text(b"\"")
    }

    fn list(&mut self, item: fn(&mut Self) -> Option<()>) -> Option<()> {
        self.text(b"[")?;
        if self.text(b"]").is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            if self.text(b",").is_none() {
                return self.text(b"]");
            }
        }
    }

    fn text(&mut self, wanted: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(wanted)?;
        Some(())
    }

    fn one_of(&mut self, wanted: &[&str]) -> Option<()> {
        wanted.iter().find_map(|wanted| self.text(wanted.as_bytes()))
    }

    /// A string of printable ASCII without escapes: those have more than one spelling, and [`decode`] knows the one.
    fn string(&mut self) -> Option<()> {
        self.text(b"\"")?;
        let plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\');
        let length = self.0.iter().take_while(|byte| plain(byte)).count();
        self.0 = self.0.get(length..)?;
        self.text(b"\"")
    }

    /// A count of what is left out where there is none.
    fn positive(&mut self) -> Option<u64> {
        self.number().filter(|count| *count > 0)
    }

    fn number(&mut self) -> Option<u64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        if length == 0 || (length > 1 && digits.first() == Some(&b'0')) {
            return None;
        }
        self.0 = rest;
        let step = |number: u64, digit: &u8| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        digits.iter().try_fold(0, step)
    }

    fn digest(&mut self) -> Option<[u8; 32]> {
        self.text(b"sha256:")?;
        self.hex()
    }

    fn hex<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (digits, rest) = self.0.split_at_checked(2 * N)?;
        let mut bytes = [0; N];
        let mut wrong = 0;
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(digit);
            wrong |= high | low;
            *byte = high << 4 | low;
        }
        self.0 = rest;
        (wrong < 16).then_some(bytes)
    }

    fn fixed<const N: usize>(&mut self) -> Option<u64> {
        let (digits, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        let step = |number: u64, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'));
        digits.iter().try_fold(0, step)
    }

    /// `2026-01-31T23:59:59.999Z`, of a day that exists, from 1970 to the last time that the model writes.
    fn time(&mut self) -> Option<Timestamp> {
        let year = self.fixed::<4>()?;
        self.text(b"-")?;
        let month = self.fixed::<2>()?;
        self.text(b"-")?;
        let day = self.fixed::<2>()?;
        self.text(b"T")?;
        let hour = self.fixed::<2>()?;
        self.text(b":")?;
        let minute = self.fixed::<2>()?;
        self.text(b":")?;
        let second = self.fixed::<2>()?;
        self.text(b".")?;
        let milli = self.fixed::<3>()?;
        self.text(b"Z")?;
        let exists = year >= 1970 && (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
        if !exists || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_before_year(year) - days_before_year(1970)
            + (1..month).map(|month| days_of_month(year, month)).sum::<u64>()
            + (day - 1);
        let millis = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milli;
        // Later times are moved to the last one by the model, so what would be read is not what is written.
        Some(Timestamp::from_millis(millis)).filter(|time| time.as_millis() == millis)
    }
}

/// The value of a lower-case hexadecimal digit; more than 15 for any other byte.
const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => 0xf0,
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar before a year that is not 0.
const fn days_before_year(year: u64) -> u64 {
    let before = year - 1;
    before * 365 + before / 4 - before / 100 + before / 400
}

#[cfg(test)]
#[path = "../tests/sample/mod.rs"]
mod sample;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ringfence_model::encoding::encode;
    use ringfence_model::entry::Entry;

    use super::*;

    fn entries() -> Vec<Vec<u8>> {
        let of = |(index, body)| Entry { body, index, prev: Digest::of(b"prev"), time: sample::time(index) };
        let entries = (0..).zip(sample::bodies(12, "key")).map(of);
        entries.map(|entry| encode(&entry).expect("bytes")).collect()
    }

    /// What [`decode`] finds.
    fn slow(bytes: &[u8]) -> Option<Facts> {
        let entry = decode(bytes).ok()?;
        Some(Facts { index: entry.index, prev: entry.prev, time: entry.time, what: what(entry.body) })
    }

    fn agree(bytes: &[u8]) {
        let quick = quick(bytes);
        assert!(quick.is_none() || quick == slow(bytes), "{}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn usual_entries_are_read_quickly() {
        for bytes in &entries()[1..] {
            let quick = quick(bytes).expect("an entry without escapes");
            assert_eq!(Some(quick), slow(bytes));
        }
    }

    #[test]
    fn quick_never_accepts_more() {
        // AUD-13, AUD-22: every single-bit change, every cut, every byte put in.
        for bytes in entries().iter().take(7) {
            for position in 0..bytes.len() {
                for bit in 0..8 {
                    let mut edited = bytes.clone();
                    edited[position] ^= 1 << bit;
                    agree(&edited);
                }
                agree(&bytes[..position]);
                for byte in *b" 0e\"" {
                    let mut edited = bytes.clone();
                    edited.insert(position, byte);
                    agree(&edited);
                    edited.remove(position + 1);
                    agree(&edited);
                }
            }
        }
    }

    #[test]
    fn odd_values_are_read_alike() {
        let text = String::from_utf8(entries()[1].clone()).expect("UTF-8");
        for (from, to) in [
            ("\"fuel\":20001", "\"fuel\":18446744073709551615"),
            ("\"fuel\":20001", "\"fuel\":18446744073709551616"),
            ("\"fuel\":20001", "\"fuel\":020001"),
            ("\"fuel\":20001", "\"fuel\":-0"),
            ("\"fuel\":20001", "\"fuel\":1e3"),
            ("agent:claims-7", "agent:"),
            ("agent:claims-7", "robot:x"),
            ("agent:claims-7", "agent:a\u{e9}"),
            ("agent:claims-7", &format!("agent:{}", "a".repeat(256))),
            ("agent:claims-7", &format!("agent:{}", "a".repeat(257))),
            ("\"name\":\"files\"", "\"name\":\"f\\u0041\""),
            ("\"name\":\"files\"", "\"name\":\"f\u{7f}\u{e9}\""),
            ("\"name\":\"files\"", "\"name\":\"\""),
            ("[\"within-ring\"]", "[]"),
            ("[\"within-ring\"]", "[\"a\",\"b\"]"),
            ("[\"within-ring\"]", "[\"a\",]"),
            ("\"ring\":3", "\"ring\":4"),
            ("\"ring\":3", "\"ring\":33"),
            ("\"kind\":\"begun\"", "\"kind\":\"finished\""),
            ("\"v\":1}", "\"v\":1}\n"),
        ] {
            let edited = text.replace(from, to);
            assert_ne!(edited, text, "{from}");
            agree(edited.as_bytes());
        }
    }

    #[test]
    fn quotas_are_read_alike() {
        let text = String::from_utf8(entries()[1].clone()).expect("UTF-8");
        for (files, bytes, is_quick) in [
            ("\"files\":9,", ",\"write_bytes\":9", true),
            ("", ",\"write_bytes\":9", true),
            ("\"files\":9,", "", true),
            ("\"files\":0,", "", false),
            ("", ",\"write_bytes\":0", false),
            ("\"files\":9,\"files\":9,", "", false),
        ] {
            let edited = text
                .replace("\"limits\":{\"fuel\"", &format!("\"limits\":{{{files}\"fuel\""))
                .replace("\"wall_ms\":30000}", &format!("\"wall_ms\":30000{bytes}}}"));
            assert_eq!(quick(edited.as_bytes()).is_some(), is_quick, "{files} {bytes}");
            agree(edited.as_bytes());
        }
    }

    #[test]
    fn last_times_are_read_alike() {
        let text = String::from_utf8(entries()[2].clone()).expect("UTF-8");
        for (time, is_quick) in [
            ("9999-12-30T21:59:59.998Z", true),
            ("9999-12-30T21:59:59.999Z", true),
            ("9999-12-30T22:00:00.000Z", false),
            ("9999-12-30T22:00:00.999Z", false),
            ("9999-12-30T22:00:01.000Z", false),
            ("9999-12-31T00:00:00.000Z", false),
            ("9999-12-31T23:59:59.999Z", false),
        ] {
            let edited = text.replace(&sample::time(2).to_string(), time);
            assert_eq!(quick(edited.as_bytes()).is_some(), is_quick, "{time}");
            agree(edited.as_bytes());
        }
    }

    #[test]
    fn largest_entry_is_read_alike() {
        let text = String::from_utf8(entries()[1].clone()).expect("UTF-8");
        for excess in [0, 1] {
            let filler = "x".repeat(limits::ENTRY_BYTES_MAX - text.len() + excess);
            let grown = text.replace("\"within-ring\"", &format!("\"within-ring{filler}\""));
            assert_eq!(facts(grown.as_bytes()).is_ok(), excess == 0);
            agree(grown.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn times_are_read_alike(year in 1960u64..2110, month in 0u64..14, day in 0u64..33, rest in (0u64..25, 0u64..62, 0u64..62)) {
            let (hour, minute, second) = rest;
            let text = String::from_utf8(entries()[2].clone()).expect("UTF-8");
            let time = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.250Z");
            let old = sample::time(2).to_string();
            let edited = text.replace(&old, &time);
            let slow = slow(edited.as_bytes());
            prop_assert_eq!(quick(edited.as_bytes()), slow);
        }

        #[test]
        fn far_times_are_read_alike(millis in 0..=Timestamp::from_millis(u64::MAX).as_millis()) {
            let text = String::from_utf8(entries()[2].clone()).expect("UTF-8");
            let edited = text.replace(&sample::time(2).to_string(), &Timestamp::from_millis(millis).to_string());
            prop_assert_eq!(quick(edited.as_bytes()).map(|facts| facts.time.as_millis()), Some(millis));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(facts(&bytes).is_err());
        }
    }
}
