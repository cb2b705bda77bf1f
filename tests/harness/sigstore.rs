//! A sigstore of the tests' own: who certifies identities, who logs certificates, who logs and stamps signatures, and the bundles
//! that come of it. Nothing of it is on a network.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::CustomExtension;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::PublicKeyData as _;
use rcgen::SanType;
use rcgen::SigningKey as _;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use super::stamp::Stamps;

/// Noon of the one day that certificates are valid for.
pub const SIGNED_AT: u64 = 1_709_380_800;
const NOT_BEFORE: (i32, u8, u8) = (2024, 3, 2);
const NOT_AFTER: (i32, u8, u8) = (2024, 3, 3);

/// Where an issuer's name stands in a certificate.
const ISSUER: [u64; 9] = [1, 3, 6, 1, 4, 1, 57264, 1, 8];
/// Where what certificate logs have promised stands in a certificate.
const PROMISES: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

/// An authority, and the logs of certificates and of signatures.
pub struct Sigstore {
    authority: CertifiedIssuer<'static, KeyPair>,
    certificates: KeyPair,
    signatures: KeyPair,
    stamps: Stamps,
}

/// Who signs, and what is odd about it.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// A URI or an address.
    pub identity: &'a str,
    pub issuer: &'a str,
    pub at: u64,
    /// Whether a log has promised to show the certificate.
    pub is_promised: bool,
    /// Whether the certificate is for signing code, and not for servers.
    pub is_for_code: bool,
    /// The repository and the ref that it was built from, if the certificate names them.
    pub source: Option<(&'a str, &'a str)>,
}

impl<'a> Signer<'a> {
    /// Somebody about whom nothing is odd.
    pub fn new(identity: &'a str, issuer: &'a str) -> Self {
        Self { identity, issuer, at: SIGNED_AT, is_promised: true, is_for_code: true, source: None }
    }
}

impl Sigstore {
    /// One that nobody trusts who was not told to.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        Self { authority, certificates: key(), signatures: key(), stamps: Stamps::new() }
    }

    /// What an operator trusts it by.
    pub fn trusted_root(&self) -> Value {
        let since = json!({ "start": "2020-01-01T00:00:00Z" });
        let log = |key: &KeyPair| {
            json!([{
                "baseUrl": "https://log.test",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.subject_public_key_info()),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": since,
                },
                "logId": { "keyId": STANDARD.encode(id(key)) },
            }])
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": log(&self.signatures),
            "certificateAuthorities": [{
                "subject": { "organization": "test", "commonName": "test" },
                "uri": "https://authority.test",
                "certChain": { "certificates": [{ "rawBytes": STANDARD.encode(self.authority.der()) }] },
                "validFor": since,
            }],
            "ctlogs": log(&self.certificates),
            "timestampAuthorities": [self.stamps.trusted()],
        })
    }

    /// A bundle as `cosign sign-blob --bundle BUNDLE` writes it for somebody without a key.
    pub fn bundle(&self, file: &[u8], signer: Signer<'_>) -> Value {
        let key = key();
        let (certificate, signature) = (self.certificate(&key, signer), key.sign(file).expect("a signature"));
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": STANDARD.encode(&certificate) },
                "tlogEntries": [self.entry(file, &signature, &certificate, signer.at)],
            },
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(file)) },
                "signature": STANDARD.encode(signature),
            },
        })
    }

    /// The same as newer versions write it: the log (Rekor v2) says no time and promises nothing, a stamp says when.
    pub fn stamped_bundle(&self, file: &[u8], signer: Signer<'_>) -> Value {
        let key = key();
        let (certificate, signature) = (self.certificate(&key, signer), key.sign(file).expect("a signature"));
        let body = json!({
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": { "hashedRekordV002": {
                "data": { "algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(file)) },
                "signature": {
                    "content": STANDARD.encode(&signature),
                    "verifier": {
                        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                        "x509Certificate": { "rawBytes": STANDARD.encode(&certificate) },
                    },
                },
            } },
        })
        .to_string();
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": STANDARD.encode(&certificate) },
                "tlogEntries": [{
                    "logIndex": "1",
                    "logId": { "keyId": STANDARD.encode(id(&self.signatures)) },
                    "kindVersion": { "kind": "hashedrekord", "version": "0.0.2" },
                    "inclusionProof": self.proof(body.as_bytes()),
                    "canonicalizedBody": STANDARD.encode(&body),
                }],
                "timestampVerificationData": { "rfc3161Timestamps": [self.stamp(&signature, signer.at)] },
            },
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(file)) },
                "signature": STANDARD.encode(&signature),
            },
        })
    }

    /// A stamp as it stands in a bundle.
    pub fn stamp(&self, seen: &[u8], at: u64) -> Value {
        json!({ "signedTimestamp": STANDARD.encode(self.stamps.stamp(seen, at)) })
    }

    fn certificate(&self, key: &KeyPair, signer: Signer<'_>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        let name = signer.identity.try_into().expect("ASCII");
        params.subject_alt_names =
            vec![if signer.identity.contains("://") { SanType::URI(name) } else { SanType::Rfc822Name(name) }];
        params.not_before = rcgen::date_time_ymd(NOT_BEFORE.0, NOT_BEFORE.1, NOT_BEFORE.2);
        params.not_after = rcgen::date_time_ymd(NOT_AFTER.0, NOT_AFTER.1, NOT_AFTER.2);
        params.serial_number = Some(7_u64.into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let (code, servers) = (ExtendedKeyUsagePurpose::CodeSigning, ExtendedKeyUsagePurpose::ServerAuth);
        params.extended_key_usages = vec![if signer.is_for_code { code } else { servers }];
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&ISSUER, element(0x0c, signer.issuer.as_bytes()))];
        for (oid, text) in signer.source.into_iter().flat_map(|(repository, r#ref)| [(12, repository), (14, r#ref)]) {
            let oid = [1, 3, 6, 1, 4, 1, 57264, 1, oid];
            let claim = CustomExtension::from_oid_content(&oid, element(0x0c, text.as_bytes()));
            params.custom_extensions.push(claim);
        }
        let made = |params: &CertificateParams| {
            params.signed_by(key, &self.authority).expect("a certificate").der().as_ref().to_vec()
        };
        let without = made(&params);
        if !signer.is_promised {
            return without;
        }
        let promise = element(0x04, &self.promise(first(content(&without)), signer.at * 1000));
        params.custom_extensions.push(CustomExtension::from_oid_content(&PROMISES, promise));
        made(&params)
    }

    /// A list of one promise, about what stands in a certificate without it (RFC 6962, 3.2 and 3.3).
    fn promise(&self, certificate: &[u8], at_ms: u64) -> Vec<u8> {
        let issuer = Sha256::digest(self.authority.key().subject_public_key_info());
        let signed = [
            &[0, 0][..],
            &at_ms.to_be_bytes(),
            &[0, 1],
            &issuer,
            &u32::try_from(certificate.len()).expect("a length").to_be_bytes()[1..],
            certificate,
            &[0, 0],
        ]
        .concat();
        let signature = self.certificates.sign(&signed).expect("a signature");
        let promise =
            [&[0][..], &id(&self.certificates), &at_ms.to_be_bytes(), &[0, 0, 4, 3], &counted(&signature)].concat();
        counted(&counted(&promise))
    }

    /// The second of three entries of a log, with a promise and a proof.
    fn entry(&self, file: &[u8], signature: &[u8], certificate: &[u8], at: u64) -> Value {
        let pem = super::tls::pem("CERTIFICATE", certificate);
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": hex(&Sha256::digest(file)) } },
                "signature": { "content": STANDARD.encode(signature), "publicKey": { "content": STANDARD.encode(pem) } },
            },
        })
        .to_string();
        let log_id = id(&self.signatures);
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{at},"logID":"{}","logIndex":1}}"#,
            STANDARD.encode(&body),
            hex(&log_id)
        );
        json!({
            "logIndex": "1",
            "logId": { "keyId": STANDARD.encode(log_id) },
            "kindVersion": { "kind": "hashedrekord", "version": "0.0.1" },
            "integratedTime": at.to_string(),
            "inclusionPromise": {
                "signedEntryTimestamp": STANDARD.encode(self.signatures.sign(promised.as_bytes()).expect("a signature")),
            },
            "inclusionProof": self.proof(body.as_bytes()),
            "canonicalizedBody": STANDARD.encode(&body),
        })
    }

    /// That something is the second of three entries.
    fn proof(&self, body: &[u8]) -> Value {
        let [before, after] = [leaf(b"before"), leaf(b"after")];
        let root = node(&node(&before, &leaf(body)), &after);
        let note = format!("log.test - 1\n3\n{}\n", STANDARD.encode(root));
        let signature = self.signatures.sign(note.as_bytes()).expect("a signature");
        let signed = [&id(&self.signatures)[..4], &signature].concat();
        json!({
            "logIndex": "1",
            "rootHash": STANDARD.encode(root),
            "treeSize": "3",
            "hashes": [STANDARD.encode(before), STANDARD.encode(after)],
            "checkpoint": { "envelope": format!("{note}\n\u{2014} log.test {}\n", STANDARD.encode(signed)) },
        })
    }
}

pub(super) fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key")
}

/// What a log is known by.
fn id(key: &KeyPair) -> [u8; 32] {
    Sha256::digest(key.subject_public_key_info()).into()
}

fn leaf(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest([&[0], bytes].concat()).into()
}

fn node(left: &[u8], right: &[u8]) -> [u8; 32] {
    Sha256::digest([&[1], left, right].concat()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Bytes with their number before them.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).expect("a length").to_be_bytes()[..], bytes].concat()
}

/// An element of DER.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).expect("a length").to_be_bytes();
    let length = match (high, low) {
        (0, 0..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), content].concat()
}

/// Bytes of an element of DER before its content, and of that.
fn lengths(der: &[u8]) -> (usize, usize) {
    match der[1] {
        0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
        0x81 => (3, usize::from(der[2])),
        short => (2, usize::from(short)),
    }
}

pub(super) fn content(der: &[u8]) -> &[u8] {
    &der[lengths(der).0..]
}

pub(super) fn first(der: &[u8]) -> &[u8] {
    let (before, content) = lengths(der);
    &der[..before + content]
}
