//! What the library that reads bundles computes with: the one implementation of curves that TLS rests on, and SHA-2.
//!
//! The library asks whether a key has signed a digest, and `ring` only ever says whether it has signed bytes. The digests in
//! question are those of the file that a bundle is for, so a verification has that file at hand: a digest that is the
//! file's stands for its bytes, and any other was signed by nobody. Keys and signatures are never made here.

use std::cell::RefCell;
use std::rc::Rc;

use rustls::pki_types::SignatureVerificationAlgorithm;
use sha2::Digest as _;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;
use sigstore_verify::crypto::CryptoProvider;
use sigstore_verify::crypto::HashContext;
use sigstore_verify::crypto::SigningScheme;
use sigstore_verify::crypto::error::Error;
use sigstore_verify::crypto::error::Result;
use sigstore_verify::crypto::install_default_provider;
use sigstore_verify::types::HashAlgorithm;
use webpki::ring;

thread_local! {
    /// The file that this thread verifies a bundle of.
    static FILE: RefCell<Option<Rc<[u8]>>> = const { RefCell::new(None) };
}

/// Does the work of verifying a bundle, with the file that it is for at hand.
pub(super) fn with_file<T>(file: &[u8], work: impl FnOnce() -> T) -> T {
    // It is refused if it is there already, which is as good.
    let _ = install_default_provider(&Ring);
    FILE.set(Some(file.into()));
    let done = work();
    FILE.set(None);
    done
}

#[derive(Debug)]
struct Ring;

impl CryptoProvider for Ring {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        match algorithm {
            HashAlgorithm::Sha2256 => Ok(Box::new(Hash(Sha256::new()))),
            HashAlgorithm::Sha2384 => Ok(Box::new(Hash(Sha384::new()))),
            HashAlgorithm::Sha2512 => Ok(Box::new(Hash(Sha512::new()))),
            other => Err(Error::UnsupportedAlgorithm(other.to_string())),
        }
    }

    fn verify_raw(&self, scheme: SigningScheme, key: &[u8], data: &[u8], signature: &[u8]) -> Result<()> {
        let verified = algorithm(scheme)?.verify_signature(key, data, signature);
        verified.map_err(|_| Error::Verification("the signature does not fit".to_owned()))
    }

    fn verify_prehashed(&self, scheme: SigningScheme, key: &[u8], digest: &[u8], signature: &[u8]) -> Result<()> {
        let other = || Error::Verification("the digest is not that of the file".to_owned());
        let hashed = scheme.hash_algorithm().ok_or_else(other)?;
        let file = FILE.with_borrow(Clone::clone).ok_or_else(other)?;
        let mut hash = self.hash(hashed)?;
        hash.update(&file);
        if hash.finalize() != digest {
            return Err(other());
        }
        self.verify_raw(scheme, key, &file, signature)
    }
}

fn algorithm(scheme: SigningScheme) -> Result<&'static dyn SignatureVerificationAlgorithm> {
    Ok(match scheme {
        SigningScheme::EcdsaP256Sha256 => ring::ECDSA_P256_SHA256,
        SigningScheme::EcdsaP256Sha384 => ring::ECDSA_P256_SHA384,
        SigningScheme::EcdsaP384Sha256 => ring::ECDSA_P384_SHA256,
        SigningScheme::EcdsaP384Sha384 => ring::ECDSA_P384_SHA384,
        SigningScheme::Ed25519 => ring::ED25519,
        SigningScheme::RsaPkcs1Sha256 => ring::RSA_PKCS1_2048_8192_SHA256,
        SigningScheme::RsaPkcs1Sha384 => ring::RSA_PKCS1_2048_8192_SHA384,
        SigningScheme::RsaPkcs1Sha512 => ring::RSA_PKCS1_2048_8192_SHA512,
        SigningScheme::RsaPssSha256 => ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        SigningScheme::RsaPssSha384 => ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        SigningScheme::RsaPssSha512 => ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        other => return Err(Error::UnsupportedAlgorithm(other.name().to_owned())),
    })
}

struct Hash<D>(D);

impl<D: sha2::Digest + Send> HashContext for Hash<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use rcgen::PublicKeyData as _;
    use rcgen::SigningKey as _;

    use super::*;

    #[test]
    fn digest_of_another_file_is_refused() {
        // ART-05
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let signature = key.sign(b"file").expect("a signature");
        let verify = |digest: &[u8], signature: &[u8]| {
            Ring.verify_prehashed(SigningScheme::EcdsaP256Sha256, key.der_bytes(), digest, signature).is_ok()
        };
        let (digest, other) = (Sha256::digest(b"file"), Sha256::digest(b"other"));
        assert!(with_file(b"file", || verify(&digest, &signature)));
        assert!(!with_file(b"file", || verify(&other, &signature)));
        assert!(!with_file(b"other", || verify(&digest, &signature)));
        assert!(!with_file(b"other", || verify(&other, &signature)));
        assert!(!with_file(b"file", || verify(&digest, &signature[1..])));
        assert!(!verify(&digest, &signature), "no file is at hand");
    }

    #[test]
    fn schemes_without_a_digest_are_refused() {
        for scheme in [SigningScheme::Ed25519, SigningScheme::MlDsa65] {
            assert!(with_file(b"file", || Ring.verify_prehashed(scheme, b"", b"", b"")).is_err());
        }
        assert!(Ring.verify_raw(SigningScheme::MlDsa65, b"", b"", b"").is_err());
    }
}
