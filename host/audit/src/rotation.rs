//! Rotations: one key of a log hands over to the next.
//!
//! A rotation is an entry that both keys have signed, over the log's name, the entry's place and the hash of the entry
//! before, so that neither side can be made up and none can be moved. Whoever trusts one key of the [`KeyChain`] so
//! follows it to the others. Each key vouches for the sizes it was in force at and for no other: an old key that leaks
//! signs nothing new, and nothing else in the place of what it handed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_model::entry::Opened;
use ringfence_model::entry::Rotated;
use ringfence_model::limits::LOG_KEYS_MAX;
use thiserror::Error;

use crate::chain::Head;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::OpenError;
use crate::note::KeyError;
use crate::note::Note;
use crate::note::Verifier;
use crate::signer::SignError;
use crate::signer::Signer;

/// The first line of what is signed: it keeps rotations apart from checkpoints and statements.
const HEADER: &str = "ringfence key rotation v1";

/// Why an entry rotates no key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RotationError {
    /// The new key is no key.
    #[error("the new key: {0}")]
    Key(#[from] KeyError),
    /// The new key has been one of this log's before, or goes by another name.
    #[error("`{0}` can't be the log's next key: one is new, and has the name of the one before")]
    New(String),
    /// It is not the key in force that hands over.
    #[error("it replaces `{found}`, but the key in force is `{wanted}`")]
    Old {
        /// The key in force.
        wanted: String,
        /// What it says.
        found: String,
    },
    /// One of the two has not signed.
    #[error("the {0} key has not signed it")]
    Signature(&'static str),
    /// More keys than a log may have.
    #[error("a log has at most {max} keys, one after the other", max = LOG_KEYS_MAX)]
    TooMany,
}

/// The keys of a log, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChain {
    origin: String,
    first: Verifier,
    /// The entries that rotated, each with the key that came into force with it.
    rotations: Vec<(u64, Verifier)>,
}

/// The rotation to be written where the log `origin` ends, signed by both keys.
///
/// ```
/// use ringfence_audit::chain::Head;
/// use ringfence_audit::rotation;
/// use ringfence_audit::rotation::KeyChain;
/// use ringfence_audit::signer::Signer;
/// use ringfence_audit::signer::SoftwareSigner;
/// use ringfence_model::digest::Digest;
/// use ringfence_model::entry::Opened;
///
/// let old = SoftwareSigner::from_seed("log", &[1; 32]).unwrap();
/// let new = SoftwareSigner::from_seed("log", &[2; 32]).unwrap();
/// let opened = Opened { host: "ringfence".into(), key: old.verifier().to_string(), origin: "log".into() };
/// let mut keys = KeyChain::new(&opened).unwrap();
/// let end = Head { next_index: 7, hash: Digest::of(b"entry 6") };
/// keys.rotate(&end, &rotation::sign("log", &end, &old, &new).unwrap()).unwrap();
/// assert_eq!((keys.at(7), keys.at(8)), (old.verifier(), new.verifier()));
/// ```
pub fn sign(origin: &str, end: &Head, old: &dyn Signer, new: &dyn Signer) -> Result<Rotated, SignError> {
    let text = text(origin, end, old.verifier(), new.verifier());
    let signature = |signer: &dyn Signer| Ok(STANDARD.encode(signer.sign(text.as_bytes())?));
    Ok(Rotated {
        new: new.verifier().to_string(),
        new_signature: signature(new)?,
        old: old.verifier().to_string(),
        old_signature: signature(old)?,
    })
}

/// What both keys sign. No part of it can hold a line break: an origin is a checkpoint's line, a key's name has no space.
fn text(origin: &str, end: &Head, old: &Verifier, new: &Verifier) -> String {
    let Head { next_index, hash } = end;
    format!("{HEADER}\norigin {origin}\nindex {next_index}\nprev {hash}\nold {old}\nnew {new}\n")
}

impl KeyChain {
    /// The chain of a log that begins with this entry.
    pub fn new(opened: &Opened) -> Result<Self, KeyError> {
        Ok(Self { origin: opened.origin.clone(), first: opened.key.parse()?, rotations: Vec::new() })
    }

    /// Takes in the rotation that was written where the log then ended; the entries are taken in in order. An error leaves
    /// the chain as it was.
    pub fn rotate(&mut self, end: &Head, rotated: &Rotated) -> Result<(), RotationError> {
        if self.rotations.len().saturating_add(1) >= LOG_KEYS_MAX {
            return Err(RotationError::TooMany);
        }
        let old = self.newest();
        if rotated.old != old.to_string() {
            return Err(RotationError::Old { wanted: old.to_string(), found: shown(&rotated.old) });
        }
        let new: Verifier = rotated.new.parse()?;
        if self.holds(&new) || new.name() != old.name() {
            return Err(RotationError::New(new.to_string()));
        }
        let text = text(&self.origin, end, old, &new);
        let signed = |key: &Verifier, signature: &str| {
            let bytes = STANDARD.decode(signature).ok().and_then(|bytes| bytes.try_into().ok());
            bytes.is_some_and(|bytes: [u8; 64]| key.verify(text.as_bytes(), &bytes))
        };
        if !signed(old, &rotated.old_signature) {
            return Err(RotationError::Signature("old"));
        }
        if !signed(&new, &rotated.new_signature) {
            return Err(RotationError::Signature("new"));
        }
        self.rotations.push((end.next_index, new));
        Ok(())
    }

    /// The key that signs checkpoints over `size` entries: a rotation counts for those that cover it.
    pub fn at(&self, size: u64) -> &Verifier {
        let covered = self.rotations.iter().rev().find(|(index, _)| *index < size);
        covered.map_or(&self.first, |(_, key)| key)
    }

    /// The key in force.
    pub fn newest(&self) -> &Verifier {
        self.rotations.last().map_or(&self.first, |(_, key)| key)
    }

    /// All of them, the first of them first.
    pub fn keys(&self) -> impl Iterator<Item = &Verifier> {
        [&self.first].into_iter().chain(self.rotations.iter().map(|(_, key)| key))
    }

    /// The checkpoint in a signed note, if it is this log's and the key of that size has signed it.
    pub fn open(&self, note: &str) -> Result<Checkpoint, OpenError> {
        // Which key has to have signed follows from what the text says; it is checked with that very key.
        let claimed: Checkpoint = Note::parse(note)?.untrusted_text().parse()?;
        Checkpoint::open(note, std::slice::from_ref(self.at(claimed.size)))
    }

    /// The smallest size that the key in force may sign.
    pub fn since(&self) -> u64 {
        self.rotations.last().map_or(0, |(index, _)| index.saturating_add(1))
    }

    /// Whether a key was ever one of the log's.
    pub fn holds(&self, key: &Verifier) -> bool {
        self.keys().any(|known| known == key)
    }
}

/// What stands where a key should, short enough to be repeated.
fn shown(key: &str) -> String {
    key.chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use ringfence_model::digest::Digest;

    use super::*;
    use crate::signer::SoftwareSigner;

    const ORIGIN: &str = "example.org/log";

    fn signer(seed: u8) -> SoftwareSigner {
        SoftwareSigner::from_seed(ORIGIN, &[seed; 32]).expect("a signer")
    }

    fn chain() -> KeyChain {
        let key = signer(1).verifier().to_string();
        KeyChain::new(&Opened { host: "x".into(), key, origin: ORIGIN.into() }).expect("a chain")
    }

    fn end(index: u64) -> Head {
        Head { next_index: index, hash: Digest::of(b"the entry before") }
    }

    fn rotated(index: u64, old: u8, new: u8) -> Rotated {
        sign(ORIGIN, &end(index), &signer(old), &signer(new)).expect("a rotation")
    }

    #[test]
    fn signed_bytes_are_those_of_the_format() {
        // Written once: another implementation must come to the same bytes.
        let wanted = concat!(
            "ringfence key rotation v1\n",
            "origin example.org/log\n",
            "index 7\n",
            "prev sha256:7e6cdbc4c5534a27574aca4fc8970435debb0354dac651401163448fb1d98feb\n",
            "old example.org/log+OLD\n",
            "new example.org/log+NEW\n",
        );
        let (old, new) = (signer(1), signer(2));
        let text = text(ORIGIN, &end(7), old.verifier(), new.verifier());
        let shortened = text
            .replace(&old.verifier().to_string(), "example.org/log+OLD")
            .replace(&new.verifier().to_string(), "example.org/log+NEW");
        assert_eq!(shortened, wanted);
        let made = rotated(7, 1, 2);
        assert_eq!(made.old_signature, OLD_SIGNATURE);
        assert_eq!(made.new_signature, NEW_SIGNATURE);
    }

    const OLD_SIGNATURE: &str =
        "XPQj6s1XXq1RgSjNqsPOxDZq+5qNAJasHrmftAzAt56fQsjQW/jQRHls3xWpsukQstq2c2q22Kr8Mh5pwZ1RCg==";
    const NEW_SIGNATURE: &str =
        "XaC5uFj8gspTKH13I0XVNOmDnviiioDeQRjuw/lXECOsN7g1K00OvOdGFHcaz0pje0PIUPNKsQvTppjrcKpoAA==";

    #[test]
    fn each_key_has_its_sizes() {
        // AUD-11
        let mut keys = chain();
        keys.rotate(&end(5), &rotated(5, 1, 2)).expect("a rotation");
        keys.rotate(&end(6), &rotated(6, 2, 3)).expect("a rotation");
        for (size, seed) in [(0, 1), (5, 1), (6, 2), (7, 3), (u64::MAX, 3)] {
            assert_eq!(keys.at(size), signer(seed).verifier(), "{size}");
        }
        assert_eq!((keys.newest(), keys.since()), (signer(3).verifier(), 7));
        assert!(keys.holds(signer(1).verifier()) && !keys.holds(signer(4).verifier()));
    }

    #[test]
    fn forged_rotations_are_refused() {
        // AUD-11
        let whole = rotated(5, 1, 2);
        let other = rotated(5, 1, 3);
        let stranger = SoftwareSigner::from_seed("other", &[2; 32]).expect("a signer");
        let elsewhere = Head { hash: Digest::ZERO, ..end(5) };
        for (what, at, forged) in [
            ("old key alone", end(5), Rotated { new_signature: whole.old_signature.clone(), ..whole.clone() }),
            ("new key alone", end(5), Rotated { old_signature: whole.new_signature.clone(), ..whole.clone() }),
            ("no signature", end(5), Rotated { new_signature: String::new(), ..whole.clone() }),
            ("another place", end(6), whole.clone()),
            ("another history", elsewhere, whole.clone()),
            ("another log", end(5), sign("other", &end(5), &signer(1), &signer(2)).expect("a rotation")),
            ("another new key", end(5), Rotated { new: other.new.clone(), ..whole.clone() }),
            ("its signatures swapped in", end(5), Rotated { new: whole.new.clone(), ..other }),
            ("a key not in force", end(5), rotated(5, 4, 2)),
            ("itself", end(5), rotated(5, 1, 1)),
            ("another name", end(5), sign(ORIGIN, &end(5), &signer(1), &stranger).expect("a rotation")),
            ("no key", end(5), Rotated { new: "x".into(), ..whole.clone() }),
        ] {
            let mut keys = chain();
            assert!(keys.rotate(&at, &forged).is_err(), "{what}");
            assert_eq!(keys, chain(), "{what}");
        }
        let mut keys = chain();
        keys.rotate(&end(5), &whole).expect("a rotation");
        // An old key never comes back.
        assert!(matches!(keys.rotate(&end(6), &rotated(6, 2, 1)), Err(RotationError::New(_))));
    }
}
