//! Signers: what puts a checkpoint under a key.
//!
//! A trait, so that a key can live elsewhere: in a module, a card, another process. [`SoftwareSigner`] holds it in
//! memory, wipes it when dropped and never prints it.

use std::fmt;

use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use thiserror::Error;

use crate::note::KeyError;
use crate::note::Verifier;

/// Why a text was not signed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignError {
    /// The key could not be used.
    #[error("the key could not sign: {0}")]
    Key(String),
    /// A text that a note can't carry without ambiguity, or a note that nobody would sign.
    #[error("the text can't be signed: it must end with a line break and have a signer")]
    Text,
}

/// Signs. An implementor's signature must verify under the key it says it has: the caller publishes it unseen.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public key, with its name.
    fn verifier(&self) -> &Verifier;

    /// The Ed25519 signature of `message`.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// A key held in memory.
pub struct SoftwareSigner {
    /// Wiped when dropped.
    key: SigningKey,
    verifier: Verifier,
}

impl SoftwareSigner {
    /// The key that a 32-byte seed stands for. The caller wipes its own copy of the seed.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let verifier = Verifier::new(name, key.verifying_key().as_bytes())?;
        Ok(Self { key, verifier })
    }
}

impl Signer for SoftwareSigner {
    fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.key.sign(message).to_bytes())
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_of_rfc_8032() {
        // RFC 8032, 7.1, test 1
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").expect("digits");
        let signer = SoftwareSigner::from_seed("a", &seed.try_into().expect("32 bytes")).expect("a signer");
        let wanted = concat!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
        let signature = signer.sign(b"").expect("a signature");
        assert_eq!(hex::encode(signature), wanted);
        assert!(signer.verifier().verify(b"", &signature));
        assert!(!signer.verifier().verify(b"x", &signature));
    }

    #[test]
    fn secret_is_never_printed() {
        let seed = [0xab; 32];
        let signer = SoftwareSigner::from_seed("log", &seed).expect("a signer");
        let printed = format!("{signer:?} {signer:#?}");
        assert!(printed.contains("log+") && !printed.contains(&hex::encode(seed)) && !printed.contains("171"));
    }

    #[test]
    fn name_of_signer_is_checked() {
        for name in ["", "a b", "a+b", "a\n"] {
            assert_eq!(SoftwareSigner::from_seed(name, &[1; 32]).err(), Some(KeyError::Name(name.to_owned())));
        }
    }
}
