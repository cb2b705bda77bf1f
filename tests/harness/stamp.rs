//! A timestamp authority of the tests' own (RFC 3161): it says when it has seen a signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::SigningKey as _;
use ringfence_model::time::Timestamp;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use super::sigstore::content;
use super::sigstore::element;
use super::sigstore::first;
use super::sigstore::key;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTETS: u8 = 0x04;
const INTEGER: u8 = 0x02;
const FIRST: u8 = 0xa0;

/// Object identifiers, as they are written.
const SHA256: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const SIGNED_DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const CONTENT_TYPE: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const TST_INFO: &[u8] = &[0x06, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const POLICY: &[u8] = &[0x06, 3, 0x2a, 3, 4];

/// An authority whose one key stamps.
pub struct Stamps {
    root: CertifiedIssuer<'static, KeyPair>,
    leaf: Vec<u8>,
    key: KeyPair,
}

impl Stamps {
    /// One that nobody trusts who was not told to.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let (mut params, key) = (CertificateParams::default(), key());
        params.serial_number = Some(9_u64.into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
        let leaf = params.signed_by(&key, &root).expect("a certificate").der().as_ref().to_vec();
        Self { root, leaf, key }
    }

    /// What an operator trusts it by.
    pub fn trusted(&self) -> Value {
        let certificate = |der: &[u8]| json!({ "rawBytes": STANDARD.encode(der) });
        json!({
            "subject": { "organization": "test", "commonName": "stamps" },
            "uri": "https://stamps.test",
            "certChain": { "certificates": [certificate(&self.leaf), certificate(self.root.der())] },
            "validFor": { "start": "2020-01-01T00:00:00Z" },
        })
    }

    /// That it has seen something at a time, in seconds.
    pub fn stamp(&self, seen: &[u8], at: u64) -> Vec<u8> {
        let sha256 = element(SEQUENCE, SHA256);
        let imprint = element(SEQUENCE, &[&sha256[..], &element(OCTETS, &Sha256::digest(seen))].concat());
        let info = [element(INTEGER, &[1]), POLICY.to_vec(), imprint, element(INTEGER, &[7]), element(0x18, &time(at))];
        let info = element(SEQUENCE, &info.concat());
        let attribute = |name: &[u8], value: &[u8]| element(SEQUENCE, &[name, &element(SET, value)].concat());
        let attributes =
            [attribute(CONTENT_TYPE, TST_INFO), attribute(MESSAGE_DIGEST, &element(OCTETS, &Sha256::digest(&info)))]
                .concat();
        let signature = self.key.sign(&element(SET, &attributes)).expect("a signature");
        let by_leaf = [
            element(INTEGER, &[1]),
            element(SEQUENCE, &[issuer(&self.leaf), &element(INTEGER, &[9])].concat()),
            sha256.clone(),
            element(FIRST, &attributes),
            element(SEQUENCE, ECDSA_WITH_SHA256),
            element(OCTETS, &signature),
        ]
        .concat();
        let contained = element(SEQUENCE, &[TST_INFO, &element(FIRST, &element(OCTETS, &info))].concat());
        let signed =
            [element(INTEGER, &[3]), element(SET, &sha256), contained, element(SET, &element(SEQUENCE, &by_leaf))]
                .concat();
        let token = element(SEQUENCE, &[SIGNED_DATA, &element(FIRST, &element(SEQUENCE, &signed))].concat());
        let granted = element(SEQUENCE, &element(INTEGER, &[0]));
        element(SEQUENCE, &[granted, token].concat())
    }
}

/// A time as ASN.1 generalises it.
fn time(at: u64) -> Vec<u8> {
    let written = Timestamp::from_millis(at * 1000).to_string();
    let digits = written.bytes().filter(u8::is_ascii_digit).take(14);
    digits.chain([b'Z']).collect()
}

/// Who has made a certificate: behind its version, its number and its algorithm.
fn issuer(certificate: &[u8]) -> &[u8] {
    let mut rest = content(first(content(certificate)));
    for _ in 0..3 {
        rest = &rest[first(rest).len()..];
    }
    first(rest)
}
