//! `[registries."HOST"]`: credentials, from a file that is named and from nowhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::config::Config;
use crate::error::CommandError;
use crate::home;

/// A registry that needs credentials.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistryTable {
    /// A file of the form of Docker's `config.json`, readable by its owner alone.
    pub credentials: PathBuf,
}

/// What is read of such a file; the rest is other programs'.
#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: String,
}

impl Config {
    /// What to say to a registry: nothing, unless its table names a file.
    pub fn registry_auth(&self, host: &str) -> Result<RegistryAuth, CommandError> {
        let Some(table) = self.registries.get(host) else { return Ok(RegistryAuth::Anonymous) };
        let path = &table.credentials;
        let text = home::read_key(path)?;
        let wrong = || CommandError::credentials(path, host);
        // What is wrong there may be a secret, so the line is all that is said of it.
        let credentials: Credentials =
            serde_json::from_str(&text).map_err(|error| CommandError::credentials_file(path, error.line(), host))?;
        let (user, password) = credentials.auths.get(host).and_then(pair).ok_or_else(wrong)?;
        Ok(RegistryAuth::Basic(user, password))
    }
}

fn pair(auth: &Auth) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(&auth.auth).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
