//! Bundles as cosign writes them: a signature over a file, by a key that the operator trusts, checked without a network.
//!
//! What is checked: the form of the bundle, the digest that it names, and the signature over the very bytes, by the key of
//! the configuration. What is not: entries of a transparency log and timestamps, which say when something was signed and that others could
//! see it; they are neither needed nor believed. A bundle with a certificate instead of a key is refused: whom it names
//! would have to be asked of an authority that nobody has configured.

use std::fmt;

use ringfence_model::digest::Digest;
use ringfence_model::outcome::one_line;
use rustls::pki_types::SignatureVerificationAlgorithm;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use serde::Deserialize;
use sigstore_types::Bundle;
use sigstore_types::DerPublicKey;
use sigstore_types::HashAlgorithm;
use sigstore_types::SignatureContent;
use sigstore_types::bundle::VerificationMaterialContent;
use thiserror::Error;
use webpki::RawPublicKeyEntity;
use webpki::ring;

/// What a key may be, each kind with the one hash that cosign uses for it.
const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 3] =
    [ring::ECDSA_P256_SHA256, ring::ECDSA_P384_SHA384, ring::ED25519];

/// Why a bundle does not vouch for a file.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It vouches by something else than a key.
    #[error("{0}, where a signature by a key is needed")]
    Kind(&'static str),
    /// It is no bundle.
    #[error("not a bundle: {0}")]
    Malformed(String),
    /// It is about other bytes.
    #[error("it is for another file, with the digest `{0}`")]
    Other(String),
    /// The key did not make it.
    #[error("the key did not sign this file")]
    Signature,
}

/// A public key, as `cosign public-key` prints it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct CosignKey(Vec<u8>);

impl TryFrom<String> for CosignKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            |why: &dyn fmt::Display| format!("not a public key as cosign prints it: {}", one_line(&why.to_string()));
        let key = Self(DerPublicKey::from_pem(&text).map_err(|error| wrong(&error))?.as_bytes().to_vec());
        // Nothing was signed; what is asked is whether it is a key of a kind that could have.
        let is_of_kind =
            |algorithm| matches!(key.verify(algorithm, b"", b""), Err(webpki::Error::InvalidSignatureForPublicKey));
        if ALGORITHMS.into_iter().any(is_of_kind) {
            Ok(key)
        } else {
            Err(wrong(&"it is neither ECDSA P-256, P-384 nor Ed25519"))
        }
    }
}

impl CosignKey {
    /// Checks that a bundle vouches for a file.
    pub fn check(&self, bundle: &[u8], file: &[u8], digest: &Digest) -> Result<(), BundleError> {
        let malformed = |why: &dyn fmt::Display| BundleError::Malformed(one_line(&why.to_string()));
        let text = str::from_utf8(bundle).map_err(|error| malformed(&error))?;
        let bundle = Bundle::from_json(text).map_err(|error| malformed(&error))?;
        if !matches!(bundle.verification_material.content, VerificationMaterialContent::PublicKey(_)) {
            return Err(BundleError::Kind("it vouches by a certificate"));
        }
        let SignatureContent::MessageSignature(message) = bundle.content else {
            return Err(BundleError::Kind("it holds an attestation"));
        };
        if let Some(named) = message.message_digest
            && (named.algorithm != HashAlgorithm::Sha2256 || named.digest.as_bytes() != digest.as_bytes())
        {
            return Err(BundleError::Other(hex::encode(named.digest.as_bytes())));
        }
        let is_by = |algorithm| self.verify(algorithm, file, message.signature.as_bytes()).is_ok();
        if ALGORITHMS.into_iter().any(is_by) { Ok(()) } else { Err(BundleError::Signature) }
    }

    fn verify(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), webpki::Error> {
        let key = SubjectPublicKeyInfoDer::from(self.0.as_slice());
        RawPublicKeyEntity::try_from(&key)?.verify_signature(algorithm, message, signature)
    }
}
