//! Witnesses (C2SP tlog-cosignature): others who have seen that a checkpoint continues those before it.
//!
//! A witness signs the text of a checkpoint together with the time, under a key of a kind of its own. What a host signs
//! for one reader alone has no such cosignature. This checks Ed25519 cosignatures, `cosignature/v1`; when one was made is
//! the witness's to say, and orders nothing.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_model::digest::Digest;

use crate::finding::Finding;
use crate::finding::Kind;
use crate::finding::Report;
use crate::finding::Severity;
use crate::note::KeyError;
use crate::note::Note;
use crate::note::NoteError;
use crate::note::Verifier;

/// The type of key, in its text and in what its id is made of.
const COSIGNATURE: u8 = 0x04;
/// The largest time that a cosignature may bear, in seconds.
const SECONDS_MAX: u64 = i64::MAX.unsigned_abs();

/// A witness's key, with its name. Printed and parsed as `name+id+base64`.
#[derive(Clone, PartialEq, Eq)]
pub struct Witness {
    /// The same name and bytes; its id is that of another type of key, so it is never printed.
    key: Verifier,
    public_key: [u8; 32],
    id: [u8; 4],
}

impl Witness {
    /// A key by its name and its 32 bytes.
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        let key = Verifier::new(name, public_key)?;
        let digest = Digest::of_parts(&[name.as_bytes(), b"\n", &[COSIGNATURE], public_key]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        Ok(Self { key, public_key: *public_key, id: [a, b, c, d] })
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// When it cosigned a note, in seconds since 1970; none if it did not. A cosignature of its that does not fit refuses
    /// the note.
    ///
    /// ```
    /// use ringfence_audit::note::Note;
    /// use ringfence_audit::witness::Witness;
    ///
    /// let witness: Witness =
    ///     "witness.example.org/w1+33f915cc+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY".parse().unwrap();
    /// let note = "log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u{2014} log AAAAAAA=\n";
    /// assert_eq!(witness.cosigned(&Note::parse(note).unwrap()), Ok(None));
    /// ```
    pub fn cosigned(&self, note: &Note) -> Result<Option<u64>, NoteError> {
        let mut last = None;
        for signature in note.signatures_by(self.name(), self.id) {
            let time = self.check(note, signature).ok_or_else(|| NoteError::WrongSignature(self.name().to_owned()))?;
            last = last.max(Some(time));
        }
        Ok(last)
    }

    /// The time of a cosignature that fits.
    fn check(&self, note: &Note, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk::<8>()?;
        let time = Some(u64::from_be_bytes(*time)).filter(|time| *time <= SECONDS_MAX)?;
        let message = format!("cosignature/v1\ntime {time}\n{}", note.untrusted_text());
        self.key.verify(message.as_bytes(), signature.try_into().ok()?).then_some(time)
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[COSIGNATURE], self.public_key.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name(), hex::encode(self.id), STANDARD.encode(typed))
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Witness {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed(text.chars().take(256).collect());
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let typed = STANDARD.decode(key).map_err(|_| malformed())?;
        let key: &[u8; 32] = match typed.split_first() {
            Some((&COSIGNATURE, key)) => key.try_into().map_err(|_| malformed())?,
            _ => return Err(malformed()),
        };
        let witness = Self::new(name, key)?;
        let wanted = hex::encode(witness.id);
        if wanted != id {
            return Err(KeyError::Id { name: name.to_owned(), wanted, found: id.to_owned() });
        }
        Ok(witness)
    }
}

/// Demands that each of these has cosigned the checkpoint that a report rests on: what is missing becomes a finding of it.
pub fn demand(note: &str, witnesses: &[Witness], report: &mut Report) {
    for witness in witnesses {
        let name = witness.name();
        let missing = || (Kind::Unwitnessed, format!("witness `{name}` has not cosigned the checkpoint"));
        let (kind, text) = match Note::parse(note).and_then(|note| witness.cosigned(&note)) {
            Ok(Some(_)) => continue,
            Ok(None) => missing(),
            Err(error) => (Kind::from(&error), format!("the checkpoint: {error}")),
        };
        report.push(Finding { severity: Severity::Failure, kind, index: None, text });
        report.vouched = 0;
    }
}

/// A note with what these witnesses have signed of another one over the same text, each line once: none if the texts
/// differ, or there is no room. A line of anybody else stays out, for it could be one that a reader refuses the note for.
pub fn merge(note: &str, other: &str, witnesses: &[Witness]) -> Option<String> {
    let (text, _) = note.rsplit_once("\n\n")?;
    let (other_text, lines) = other.rsplit_once("\n\n")?;
    if text != other_text {
        return None;
    }
    let fits = |line: &&str| {
        let alone = Note::parse(&format!("{text}\n\n{line}\n"));
        alone.is_ok_and(|alone| witnesses.iter().any(|witness| matches!(witness.cosigned(&alone), Ok(Some(_)))))
    };
    let mut merged = note.to_owned();
    for line in lines.lines().filter(fits) {
        if !merged.lines().any(|known| known == line) {
            merged.extend([line, "\n"]);
        }
    }
    Note::parse(&merged).ok().map(|_| merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    // Made once, with OpenSSL: the log's key has the seed 01…, the witness's 09….
    const TEXT: &str = "example.org/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    const LOG: &str = "example.org/log+8f13f9e4+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
    const LOG_LINE: &str = "\u{2014} example.org/log \
        jxP55GAuvfjHHpzb96OgaiATrcte5D1g7dgyjskiw9u1vBJa1Tk9dL27BS4OIKNM5BQ9weUDOy6xhOnjaxGwuEE01w0=\n";
    const WITNESS: &str = "witness.example.org/w1+33f915cc+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";
    const WITNESS_LINE: &str = "\u{2014} witness.example.org/w1 \
        M/kVzAAAAABkGFDL41aFMwyj2eGuUkMq5tiR4g5cBiNrhm4geDG1DbWVUUyiu60Dt4ZDTiycMnKn1eV3WkXJrYeqAF73f2nliUN2Cg==\n";

    fn witness() -> Witness {
        WITNESS.parse().expect("a witness")
    }

    fn cosigned(note: &str) -> Result<Option<u64>, NoteError> {
        witness().cosigned(&Note::parse(note)?)
    }

    #[test]
    fn golden_cosignature_is_accepted() {
        // AUD-09
        let note = format!("{TEXT}\n{LOG_LINE}{WITNESS_LINE}");
        assert_eq!(cosigned(&note), Ok(Some(1_679_315_147)));
        assert_eq!(cosigned(&format!("{TEXT}\n{LOG_LINE}")), Ok(None));
        // The log's own signature stands beside it, untouched by what it does not know.
        assert!(Checkpoint::open(&note, &[LOG.parse().expect("a key")]).is_ok());
        assert_eq!(witness().to_string(), WITNESS);
    }

    #[test]
    fn every_bit_of_cosignature_counts() {
        // AUD-09: the time as well.
        let encoded = WITNESS_LINE.trim_end().rsplit(' ').next().expect("base64");
        let bytes = STANDARD.decode(encoded).expect("base64");
        for position in 4..bytes.len() {
            for bit in 0..8 {
                let mut edited = bytes.clone();
                edited[position] ^= 1 << bit;
                let line = WITNESS_LINE.replace(encoded, &STANDARD.encode(edited));
                let refused = cosigned(&format!("{TEXT}\n{LOG_LINE}{line}"));
                assert_eq!(refused, Err(NoteError::WrongSignature(witness().name().to_owned())), "{position} {bit}");
            }
        }
        let other = TEXT.replace("\n0\n", "\n1\n");
        assert!(cosigned(&format!("{other}\n{WITNESS_LINE}")).is_err());
    }

    #[test]
    fn log_key_is_no_witness() {
        // A checkpoint's signature does not pass for a cosignature, nor the other way round.
        assert!(LOG.parse::<Witness>().is_err() && WITNESS.parse::<Verifier>().is_err());
        for text in [WITNESS.replace("33f915cc", "33f915cd"), WITNESS.replace("+BP0X", "+AP0X"), format!("{WITNESS}=")]
        {
            assert!(text.parse::<Witness>().is_err(), "{text}");
        }
        let Ok(log) = LOG.parse::<Verifier>() else { panic!("a key") };
        assert!(Note::parse(&format!("{TEXT}\n{WITNESS_LINE}")).expect("a note").open(&[log]).is_err());
    }

    #[test]
    fn lines_are_merged_once() {
        let (plain, both) = (format!("{TEXT}\n{LOG_LINE}"), format!("{TEXT}\n{LOG_LINE}{WITNESS_LINE}"));
        let merged = |note: &str, other: &str| merge(note, other, &[witness()]);
        assert_eq!(merged(&plain, &both).as_ref(), Some(&both));
        assert_eq!(merged(&plain, &format!("{TEXT}\n{WITNESS_LINE}{WITNESS_LINE}")).as_ref(), Some(&both));
        assert_eq!(merged(&both, &both).as_ref(), Some(&both));
        let other = TEXT.replace("\n0\n", "\n1\n");
        assert_eq!(merged(&plain, &format!("{other}\n{WITNESS_LINE}")), None);
        assert_eq!(merged(&plain, "no note"), None);
    }

    #[test]
    fn lines_of_strangers_are_not_merged() {
        // AUD-09: one in the name of somebody's witness would refuse the note to whoever demands that witness.
        let plain = format!("{TEXT}\n{LOG_LINE}");
        let forged = WITNESS_LINE.replace("M/kVzAAAAABk", "M/kVzAAAAABl");
        for line in [WITNESS_LINE, &forged, "nonsense\n"] {
            let witnesses: &[Witness] = if line == WITNESS_LINE { &[] } else { &[witness()] };
            assert_eq!(merge(&plain, &format!("{TEXT}\n{line}"), witnesses).as_ref(), Some(&plain), "{line}");
        }
    }
}
