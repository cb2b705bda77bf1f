//! Bundles as cosign writes them: a signature over a file, by a key or an identity that the operator trusts, checked without a
//! network.
//!
//! Here is what all of them have in common, their form and the digest that they name, and those by a key of the configuration: its
//! signature over the very bytes. Of these, entries of a transparency log and timestamps are neither needed nor believed. Those
//! with a certificate are [`super::identity`]'s.

use std::fmt;

use ringfence_model::digest::Digest;
use ringfence_model::outcome::one_line;
use rustls::pki_types::SignatureVerificationAlgorithm;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use serde::Deserialize;
use sigstore_verify::types::Bundle;
use sigstore_verify::types::DerPublicKey;
use sigstore_verify::types::HashAlgorithm;
use sigstore_verify::types::SignatureContent;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use thiserror::Error;
use webpki::RawPublicKeyEntity;
use webpki::ring;

/// What a key may be, each kind with the one hash that cosign uses for it.
const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 3] =
    [ring::ECDSA_P256_SHA256, ring::ECDSA_P384_SHA384, ring::ED25519];

/// Why a bundle does not vouch for a file.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It does not show that whoever is trusted has signed the file.
    #[error("it does not show who signed: {0}")]
    Identity(String),
    /// It vouches by something else.
    #[error("{0}")]
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
    /// What the operator trusts can't be used.
    #[error("the trusted root `{path}` can't be used: {why}")]
    TrustedRoot { path: String, why: String },
}

/// A public key, as `cosign public-key` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
        let bundle = read(bundle, digest)?;
        if !matches!(bundle.verification_material.content, VerificationMaterialContent::PublicKey(_)) {
            return Err(BundleError::Kind("it vouches by a certificate, where a key is needed"));
        }
        let SignatureContent::MessageSignature(message) = bundle.content else { return Err(ATTESTATION) };
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

const ATTESTATION: BundleError =
    BundleError::Kind("it holds an attestation, where a signature over the file is needed");

/// Reads a bundle that holds a signature, and that names no other digest than that of the file it is to vouch for.
pub(super) fn read(bundle: &[u8], digest: &Digest) -> Result<Bundle, BundleError> {
    let malformed = |why: &dyn fmt::Display| BundleError::Malformed(one_line(&why.to_string()));
    let text = str::from_utf8(bundle).map_err(|error| malformed(&error))?;
    let bundle = Bundle::from_json(text).map_err(|error| malformed(&error))?;
    let SignatureContent::MessageSignature(message) = &bundle.content else { return Err(ATTESTATION) };
    if let Some(named) = &message.message_digest
        && (named.algorithm != HashAlgorithm::Sha2256 || named.digest.as_bytes() != digest.as_bytes())
    {
        return Err(BundleError::Other(hex::encode(named.digest.as_bytes())));
    }
    Ok(bundle)
}
