//! Signed notes (C2SP signed-note): a text, and lines that say who signed it.
//!
//! A text means nothing until [`Note::open`] has found a signature of a key the caller trusts. Signatures of keys it
//! does not know are ignored, since witnesses may add theirs; a wrong signature of a key it knows refuses the note.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use ringfence_model::digest::Digest;
use ringfence_model::limits::CHECKPOINT_BYTES_MAX;
use thiserror::Error;

use crate::signer::SignError;
use crate::signer::Signer;

/// The type of key, in its text and in what its id is made of.
const ED25519: u8 = 0x01;
/// What a signature line starts with.
const MARK: &str = "\u{2014} ";
/// Signature lines of one note.
const SIGNATURES_MAX: usize = 100;

/// Why a text is no verifier key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// The id is another one than name and key have.
    #[error("key `{name}` says its id is `{found}`, but it is `{wanted}`")]
    Id {
        /// The key's name.
        name: String,
        /// What it should say.
        wanted: String,
        /// What it says.
        found: String,
    },
    /// Not of the form of a key.
    #[error("`{0}` is not a verifier key of the form `name+id+base64`")]
    Malformed(String),
    /// A name nobody may have.
    #[error("`{0}` can't name a key: it must have no white space and no `+`")]
    Name(String),
    /// A point of low order, or none: a signature under it proves nothing.
    #[error("the public key of `{0}` is not a point that can be trusted")]
    Weak(String),
}

/// Why a note can't be trusted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoteError {
    /// Not of the form of a signed note.
    #[error("not a signed note at line {line}: {why}")]
    Malformed {
        /// Where it is not.
        line: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// No signature of a key that the caller knows.
    #[error("none of the given keys has signed the note, which names {0}")]
    UnknownKey(String),
    /// The signature of a known key does not fit.
    #[error("the signature of `{0}` does not fit the note")]
    WrongSignature(String),
}

/// A public key with the name it signs under. Printed and parsed as `name+id+base64`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl Verifier {
    /// A key by its name and its 32 bytes.
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name(name.to_owned()));
        }
        let key = VerifyingKey::from_bytes(public_key).ok().filter(|key| !key.is_weak());
        let key = key.ok_or_else(|| KeyError::Weak(name.to_owned()))?;
        Ok(Self { name: name.to_owned(), id: key_id(name, public_key), key })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of the digest of name, type and key: what tells keys of one name apart.
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether `signature` is this key's over `message`. Strict: one message and key, one set of valid bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn made(&self, line: &SignatureLine) -> bool {
        self.name == line.name && self.id == line.id
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(typed))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Verifier {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed(text.chars().take(256).collect());
        let (name, rest) = text.split_once('+').ok_or_else(malformed)?;
        let (id, key) = rest.split_once('+').ok_or_else(malformed)?;
        let typed = STANDARD.decode(key).map_err(|_| malformed())?;
        let key: &[u8; 32] = match typed.split_first() {
            Some((&ED25519, key)) => key.try_into().map_err(|_| malformed())?,
            _ => return Err(malformed()),
        };
        let verifier = Self::new(name, key)?;
        let wanted = hex::encode(verifier.id);
        if wanted != id {
            return Err(KeyError::Id { name: verifier.name, wanted, found: id.to_owned() });
        }
        Ok(verifier)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn key_id(name: &str, public_key: &[u8; 32]) -> [u8; 4] {
    let digest = Digest::of_parts(&[name.as_bytes(), b"\n", &[ED25519], public_key]);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// A text with signatures, none of them checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Reads a note without trusting it.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let malformed = |line, why| NoteError::Malformed { line, why };
        if note.len() > CHECKPOINT_BYTES_MAX {
            return Err(malformed(1, "it is larger than a checkpoint may be"));
        }
        let line_at = |offset| note.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        if let Some(offset) = note.bytes().position(|byte| byte < 0x20 && byte != b'\n') {
            return Err(malformed(line_at(offset), "it has control characters"));
        }
        let last = || line_at(note.len().saturating_sub(1));
        // The last blank line: the text may have some of its own.
        let (text, lines) = note.rsplit_once("\n\n").ok_or_else(|| malformed(last(), "it has no blank line"))?;
        let lines = lines.strip_suffix('\n').ok_or_else(|| malformed(last(), "its last line has no end"))?;
        let first = line_at(text.len()) + 2;
        let mut signatures = Vec::new();
        for (line, signature) in (first..).zip(lines.split('\n')) {
            if signatures.len() == SIGNATURES_MAX {
                return Err(malformed(line, "it has too many signatures"));
            }
            let read = parse_signature(signature);
            signatures.push(read.ok_or_else(|| malformed(line, "a signature line is not `\u{2014} name base64`"))?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The text, once one of `keys` has signed it and none of their signatures is wrong.
    ///
    /// ```
    /// use ringfence_audit::note::Note;
    /// use ringfence_audit::note::sign;
    /// use ringfence_audit::signer::Signer;
    /// use ringfence_audit::signer::SoftwareSigner;
    ///
    /// let signer = SoftwareSigner::from_seed("example.org/log", &[7; 32]).unwrap();
    /// let note = sign("hello\n", &[&signer]).unwrap();
    /// assert_eq!(Note::parse(&note).unwrap().open(&[signer.verifier().clone()]), Ok("hello\n"));
    /// ```
    pub fn open(&self, keys: &[Verifier]) -> Result<&str, NoteError> {
        let mut known = false;
        for line in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.made(line)) else { continue };
            let fits = |bytes: &[u8; 64]| key.verify(self.text.as_bytes(), bytes);
            if !line.signature.as_slice().try_into().is_ok_and(fits) {
                return Err(NoteError::WrongSignature(key.name.clone()));
            }
            known = true;
        }
        if known { Ok(&self.text) } else { Err(NoteError::UnknownKey(self.names())) }
    }

    /// The text, which nobody vouches for.
    pub fn untrusted_text(&self) -> &str {
        &self.text
    }

    /// The signatures under a name and an id, whatever kind of key that is.
    pub(crate) fn signatures_by(&self, name: &str, id: [u8; 4]) -> impl Iterator<Item = &[u8]> {
        let made = move |line: &&SignatureLine| line.name == name && line.id == id;
        self.signatures.iter().filter(made).map(|line| line.signature.as_slice())
    }

    fn names(&self) -> String {
        let named = |line: &SignatureLine| format!("`{}+{}`", line.name, hex::encode(line.id));
        self.signatures.iter().map(named).collect::<Vec<_>>().join(", ")
    }
}

fn parse_signature(line: &str) -> Option<SignatureLine> {
    let (name, encoded) = line.strip_prefix(MARK)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    let is_whole = is_name(name) && !signature.is_empty();
    is_whole.then(|| SignatureLine { name: name.to_owned(), id: *id, signature: signature.to_vec() })
}

/// Signs a text, which ends with a line break: a signed note.
pub fn sign(text: &str, signers: &[&dyn Signer]) -> Result<String, SignError> {
    let mut note = format!("{text}\n");
    for signer in signers {
        let signature = signer.sign(text.as_bytes())?;
        let verifier = signer.verifier();
        let encoded = STANDARD.encode([verifier.id.as_slice(), &signature].concat());
        note.extend([MARK, &verifier.name, " ", &encoded, "\n"]);
    }
    match Note::parse(&note) {
        Ok(parsed) if parsed.text == text => Ok(note),
        _ => Err(SignError::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::SoftwareSigner;

    /// The example of the C2SP signed-note specification.
    const C2SP_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const C2SP_NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    /// The key of Go's checksum database.
    const GO_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

    fn key(text: &str) -> Verifier {
        text.parse().expect(text)
    }

    fn signer(name: &str, seed: u8) -> SoftwareSigner {
        SoftwareSigner::from_seed(name, &[seed; 32]).expect("a signer")
    }

    fn open(note: &str, keys: &[Verifier]) -> Result<String, NoteError> {
        Note::parse(note)?.open(keys).map(str::to_owned)
    }

    #[test]
    fn published_example_opens() {
        assert_eq!(open(C2SP_NOTE, &[key(C2SP_KEY)]), Ok("This is an example message.\n".to_owned()));
    }

    #[test]
    fn malformed_notes_are_named_by_line() {
        let good = sign("one\ntwo\n", &[&signer("log", 1)]).expect("a note");
        let many = good.lines().last().expect("a signature").to_owned() + "\n";
        for (note, wanted) in [
            (String::new(), 1),
            ("one".to_owned(), 1),
            ("one\ntwo\n".to_owned(), 2),
            (good.trim_end().to_owned(), 4),
            (good.replace("two", "t\two"), 2),
            (good.replace("log ", "log"), 4),
            (good.replace(MARK, "- "), 4),
            (format!("{good}{MARK}b !\n"), 5),
            (format!("{good}\n"), 5),
            (format!("{good}{}", many.repeat(SIGNATURES_MAX)), 4 + SIGNATURES_MAX),
        ] {
            match Note::parse(&note) {
                Err(NoteError::Malformed { line, .. }) => assert_eq!(line, wanted, "{note:?}"),
                other => panic!("{note:?}: {other:?}"),
            }
        }
        assert!(Note::parse(&good).is_ok());
    }

    #[test]
    fn published_keys_print_unchanged() {
        for text in [C2SP_KEY, GO_KEY] {
            assert_eq!(key(text).to_string(), text);
        }
        assert_eq!(hex::encode(key(GO_KEY).id()), "033de0ae");
    }

    #[test]
    fn other_spellings_of_key_are_refused() {
        for text in [
            C2SP_KEY.replace("530d903a", "530d903b"),
            C2SP_KEY.replace("530d903a", "530D903A"),
            C2SP_KEY.replace("example.com/foo", "example.com/fo"),
            C2SP_KEY.replace("+Aek", "+Bek"),
            C2SP_KEY.replace("foo+", "f oo+"),
            format!("{C2SP_KEY}="),
            format!("{C2SP_KEY}\n"),
            C2SP_KEY.replacen('+', "", 1),
            String::new(),
        ] {
            assert!(text.parse::<Verifier>().is_err(), "{text}");
        }
    }

    #[test]
    fn low_order_keys_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        let order_eight =
            hex::decode("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05").expect("digits");
        for weak in [[0; 32], one, order_eight.try_into().expect("32 bytes")] {
            assert_eq!(Verifier::new("a", &weak), Err(KeyError::Weak("a".to_owned())));
        }
    }

    #[test]
    fn unknown_signatures_are_ignored() {
        let (ours, witness) = (signer("log", 1), signer("witness", 2));
        let note = sign("text\n", &[&witness, &ours]).expect("a note");
        for keys in [vec![ours.verifier().clone()], vec![ours.verifier().clone(), witness.verifier().clone()]] {
            assert_eq!(open(&note, &keys), Ok("text\n".to_owned()));
        }
        let stranger = signer("log", 3);
        assert!(matches!(open(&note, &[stranger.verifier().clone()]), Err(NoteError::UnknownKey(_))));
        assert!(matches!(open(&note, &[]), Err(NoteError::UnknownKey(_))));
    }

    #[test]
    fn wrong_signature_of_known_key_refuses() {
        let (ours, witness) = (signer("log", 1), signer("witness", 2));
        let note = sign("text\n", &[&ours, &witness]).expect("a note");
        let other = sign("texT\n", &[&witness]).expect("a note");
        let line = |note: &str| note.lines().last().expect("a line").to_owned();
        let swapped = note.replace(&line(&note), &line(&other));
        let keys = [ours.verifier().clone(), witness.verifier().clone()];
        assert_eq!(open(&swapped, &keys), Err(NoteError::WrongSignature("witness".to_owned())));
        assert!(open(&swapped, &keys[..1]).is_ok());
    }

    #[test]
    fn every_bit_of_note_counts() {
        let keys = [key(C2SP_KEY)];
        for position in 0..C2SP_NOTE.len() {
            for bit in 0..8 {
                let mut bytes = C2SP_NOTE.as_bytes().to_vec();
                bytes[position] ^= 1 << bit;
                let opened = String::from_utf8(bytes).is_ok_and(|note| open(&note, &keys).is_ok());
                assert!(!opened, "bit {bit} of byte {position}");
            }
        }
    }

    #[test]
    fn malformed_notes_are_refused() {
        let long = format!("{}\n{C2SP_NOTE}", "x".repeat(CHECKPOINT_BYTES_MAX));
        let crowded = format!("{C2SP_NOTE}{}", C2SP_NOTE.lines().last().expect("a line").to_owned().repeat(101));
        let nameless = "text\n\n\u{2014} a\n";
        let short = "text\n\n\u{2014} a AAAA\n";
        for note in ["", "text\n", "text\n\n", nameless, short, "text\n\n- a AAAAAAA=\n", &long, &crowded] {
            assert!(Note::parse(note).is_err(), "{note}");
        }
        assert!(Note::parse(C2SP_NOTE.trim_end()).is_err());
        assert!(Note::parse(&C2SP_NOTE.replace("example m", "example\rm")).is_err());
    }

    #[test]
    fn ambiguous_text_is_not_signed() {
        let signer = signer("log", 1);
        for text in ["", "text", "te\rxt\n"] {
            assert!(sign(text, &[&signer]).is_err(), "{text:?}");
        }
        assert!(sign("text\n", &[]).is_err());
        for text in ["one\n\ntwo\n", "text\n\n", "\u{2014} log AAAA\n"] {
            assert_eq!(
                open(&sign(text, &[&signer]).expect("a note"), &[signer.verifier().clone()]).as_deref(),
                Ok(text)
            );
        }
    }
}
