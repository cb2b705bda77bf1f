//! Who vouches for a tool: its signature, checked against the signers that the operator trusts.
//!
//! A signature that is there has to be good and of somebody who is trusted; a tool from a registry has to have one. It is
//! kept with the tool and checked at each load: taking a signer out of the configuration takes out what it signed.

use std::collections::BTreeMap;
use std::path::Path;

use ringfence_audit::note::NoteError;
use ringfence_audit::note::Verifier;
use ringfence_audit::statement::Statement;
use ringfence_audit::statement::StatementError;
use ringfence_model::digest::Digest;
use thiserror::Error;

use crate::commands;
use crate::config;
use crate::config::tools::Credential;
use crate::config::tools::Name;
use crate::config::tools::SignerTable;
use crate::error::CommandError;
use crate::tools::bundle::BundleError;

/// What stands for nobody in a tool's table.
pub const NOBODY: &str = "none";

/// Why a tool's signature does not vouch for it.
#[derive(Debug, Error)]
pub enum SignatureError {
    /// It is no statement, or its signature does not fit.
    #[error("its signature is not good: {0}")]
    Bad(String),
    /// There is none, and there has to be.
    #[error("nobody has signed it")]
    Missing,
    /// It is about something else.
    #[error("its signature is for another {what}: `{signed}`, not `{found}`")]
    Other { what: &'static str, signed: String, found: String },
    /// What the operator knows the signer by can't be used.
    #[error("{0}")]
    Trust(BundleError),
    /// The signer is not one that the operator trusts.
    #[error("it is signed by nobody in [signers]: {0}")]
    Untrusted(String),
}

impl SignatureError {
    /// The same, with the name of the signature that is not good.
    pub fn of(self, signature: &str) -> Self {
        match self {
            Self::Bad(why) => Self::Bad(format!("`{signature}`: {why}")),
            other => other,
        }
    }
}

/// The files of a tool, as a signature is about them.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The component.
    pub bytes: &'a [u8],
    pub component: Digest,
    pub manifest: Option<Digest>,
    /// A signed note, or a bundle of cosign's: the signer says which.
    pub signature: &'a [u8],
}

/// The signer that vouches for a tool, and the name that it gives it.
pub fn signer(tool: Signed<'_>, signers: &BTreeMap<Name, SignerTable>) -> Result<(Name, String), SignatureError> {
    let mut untrusted = "the configuration names no signer".to_owned();
    for (name, table) in signers {
        // A bundle names nobody, so it is never looked at without a name.
        let Credential::Note(key) = &table.credential else { continue };
        match opened(tool, key) {
            Ok(statement) => return Ok((name.clone(), statement.name)),
            Err(SignatureError::Untrusted(why)) => untrusted = why,
            Err(error) => return Err(error),
        }
    }
    Err(SignatureError::Untrusted(untrusted))
}

/// Who has signed a file, by the note that lies beside it. What is only run needs none, and one that is not good says nothing.
pub fn beside(
    path: &Path,
    tool: Signed<'_>,
    signers: &BTreeMap<Name, SignerTable>,
) -> Result<Vec<String>, CommandError> {
    let note = commands::read_if_there(&commands::signature_beside(path))?;
    let found = note.and_then(|note| signer(Signed { signature: &note, ..tool }, signers).ok());
    Ok(found.map(|(signer, _)| signer.to_string()).into_iter().collect())
}

/// Checks that one signer vouches for a tool.
pub fn check(tool: Signed<'_>, by: &Name, signers: &BTreeMap<Name, SignerTable>) -> Result<(), SignatureError> {
    let table = signers.get(by).ok_or_else(|| SignatureError::Untrusted(format!("`{by}` is not there any more")))?;
    let Signed { bytes, component, signature, .. } = tool;
    match &table.credential {
        Credential::Identity(identity) => bundled(tool, identity.check(signature, bytes, &component)),
        Credential::Key(key) => bundled(tool, key.check(signature, bytes, &component)),
        Credential::Note(key) => opened(tool, key).map(drop),
    }
}

/// A bundle vouches for one file, so a tool with a manifest beside it is more than it vouches for.
fn bundled(tool: Signed<'_>, checked: Result<(), BundleError>) -> Result<(), SignatureError> {
    checked.map_err(|error| match error {
        error @ BundleError::TrustedRoot { .. } => SignatureError::Trust(error),
        error => SignatureError::Bad(error.to_string()),
    })?;
    match tool.manifest {
        None => Ok(()),
        Some(found) => {
            let (signed, found) = (NOBODY.to_owned(), found.to_string());
            Err(SignatureError::Other { what: "manifest", signed, found })
        }
    }
}

fn opened(tool: Signed<'_>, by: &Verifier) -> Result<Statement, SignatureError> {
    let bad = |why: &dyn std::fmt::Display| SignatureError::Bad(why.to_string());
    let note = str::from_utf8(tool.signature).map_err(|error| {
        bad(&format!("not a signed note at line {}: {error}", config::line_at(tool.signature, error.valid_up_to())))
    })?;
    let statement = match Statement::open(note, by) {
        Ok(statement) => statement,
        Err(StatementError::Note(NoteError::UnknownKey(names))) => {
            return Err(SignatureError::Untrusted(format!("it names {names}")));
        }
        Err(error) => return Err(bad(&error)),
    };
    let shown = |digest: Option<Digest>| digest.map_or_else(|| NOBODY.to_owned(), |digest| digest.to_string());
    for (what, signed, found) in [
        ("component", Some(statement.component), Some(tool.component)),
        ("manifest", statement.manifest, tool.manifest),
    ] {
        if signed != found {
            return Err(SignatureError::Other { what, signed: shown(signed), found: shown(found) });
        }
    }
    Ok(statement)
}
