//! Signers without a key of their own: known by a name that an authority has put into a certificate.
//!
//! Cosign calls it keyless. A key lives for minutes; an authority (Fulcio) certifies whom an issuer of identities knew its
//! holder as; a log (Rekor) shows when it was used. All of it lies in the bundle, and is verified offline against one file
//! that the operator has put there, sigstore's `trusted_root.json`. Nothing is fetched: a key of the authorities that is not
//! in that file is not trusted, and one that is stays trusted until the operator replaces the file.
//!
//! What has to hold: the certificate leads to the file's authorities at the time of signing and is for signing code; a
//! certificate log of the file has seen it; it names exactly this identity and this issuer, and the source that is asked for, if
//! one is; a log of the file has this very
//! signature and certificate as an entry, with a promise or a proof; that, or a timestamp authority of the file, says when, and it was
//! while the certificate was valid; and its key has signed the file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use sigstore_verify::Error;
use sigstore_verify::IdentityMatcher;
use sigstore_verify::VerificationPolicy;
use sigstore_verify::Verifier;
use sigstore_verify::crypto::FulcioCiClaims;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::bundle::VerificationMaterialContent;

use super::bundle;
use super::bundle::BundleError;
use super::provider;

/// Whom a certificate has to name, and who has to say so.
#[derive(Clone, Debug)]
pub struct Identity {
    name: IdentityMatcher,
    issuer: String,
    source: Source,
    trusted_root: PathBuf,
}

/// Of what a build was made whose identity signs. A workflow that others call has one name for all of them, so its name alone
/// does not say whose code it was run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The repository, as a URL. Missing: any.
    pub repository: Option<String>,
    /// The branch or the tag, as git names it. Missing: any.
    pub reference: Option<String>,
}

impl Source {
    fn check(&self) -> Result<(), String> {
        if let Some(repository) = self.repository.as_deref().filter(|text| !text.starts_with("https://")) {
            return Err(format!("the source repository `{}` is not a URL with `https://`", one_line(repository)));
        }
        if let Some(reference) = self.reference.as_deref().filter(|text| !text.starts_with("refs/")) {
            return Err(format!("the source ref `{}` does not begin with `refs/`", one_line(reference)));
        }
        Ok(())
    }

    /// What a certificate names otherwise, or does not name. Its claims count once it is verified.
    fn differs_from(&self, claims: &FulcioCiClaims) -> Option<String> {
        let compared = [
            ("source repository", &self.repository, &claims.source_repository_uri),
            ("source ref", &self.reference, &claims.source_repository_ref),
        ];
        let (what, wanted, named) =
            compared.into_iter().find(|(_, wanted, named)| wanted.is_some() && wanted != named)?;
        let wanted = wanted.as_deref().unwrap_or_default();
        let named = named.as_ref().map_or_else(|| "none".to_owned(), |named| format!("`{}`", one_line(named)));
        Some(format!("the certificate names {named} as its {what}, not `{wanted}`"))
    }
}

impl PartialEq for Identity {
    /// Whoever it is: the file says how that is known.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.issuer) == (&other.name, &other.issuer)
    }
}

impl Identity {
    /// An address or a URI, as a certificate names it, and the URL of its issuer.
    pub fn new(name: String, issuer: String, source: Source, trusted_root: PathBuf) -> Result<Self, String> {
        let shown = one_line(&name);
        let name = if name.contains("://") {
            IdentityMatcher::Uri(name)
        } else if name.contains('@') {
            IdentityMatcher::Email(name)
        } else {
            return Err(format!("the identity `{shown}` is neither a URI nor a mail address"));
        };
        if !issuer.starts_with("https://") {
            return Err(format!("the issuer `{}` is not a URL with `https://`", one_line(&issuer)));
        }
        if !trusted_root.is_absolute() {
            return Err(format!("the trusted root `{}` is not an absolute path", trusted_root.display()));
        }
        source.check()?;
        Ok(Self { name, issuer, source, trusted_root })
    }

    /// Checks that a bundle vouches for a file.
    pub fn check(&self, bundle: &[u8], file: &[u8], digest: &Digest) -> Result<(), BundleError> {
        let bundle = bundle::read(bundle, digest)?;
        if matches!(bundle.verification_material.content, VerificationMaterialContent::PublicKey(_)) {
            return Err(BundleError::Kind("it vouches by a key, where a certificate is needed"));
        }
        let root = trusted_root(&self.trusted_root)?;
        let policy = VerificationPolicy::new(self.name.clone(), self.issuer.clone());
        let shown = provider::with_file(file, || {
            let verifier = Verifier::new(&root).map_err(|error| unusable(&self.trusted_root, &error))?;
            verifier.verify(file, &bundle, &policy).map_err(|error| not_shown(&error))
        })?;
        // What the policy demands by default has to have been looked at, whatever a later library demands by default.
        let looked = [shown.certificate_verified(), shown.sct_verified(), shown.tlog_verified()];
        let claims = shown.certificate().map(|certificate| &certificate.ci_claims);
        let (true, true, Some(claims)) = (looked == [true; 3], shown.identity_policy_checked(), claims) else {
            return Err(BundleError::Identity("not everything that it shows was verified".to_owned()));
        };
        self.source.differs_from(claims).map_or(Ok(()), |why| Err(BundleError::Identity(why)))
    }
}

fn not_shown(error: &Error) -> BundleError {
    BundleError::Identity(one_line(error.to_string().trim_end_matches('.')))
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> BundleError {
    BundleError::TrustedRoot { path: path.display().to_string(), why: one_line(&why.to_string()) }
}

fn trusted_root(path: &Path) -> Result<TrustedRoot, BundleError> {
    let mut text = String::new();
    let max = limits::TRUSTED_ROOT_BYTES_MAX;
    let read = File::open(path).and_then(|file| file.take(max + 1).read_to_string(&mut text));
    read.map_err(|error| unusable(path, &error))?;
    if u64::try_from(text.len()).map_or(true, |length| length > max) {
        return Err(unusable(path, &format!("it is larger than {max} bytes")));
    }
    TrustedRoot::from_json(&text).map_err(|error| unusable(path, &error))
}
