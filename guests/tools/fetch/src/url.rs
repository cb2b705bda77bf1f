//! Takes a URL apart into what a request is made of. Whether the parts make sense is for the host to say.

use crate::bindings::exports::ringfence::fetch::fetch::Error;
use crate::bindings::wasi::http::types::Scheme;

/// Where a request goes.
pub struct Url {
    /// How to speak to the server.
    pub scheme: Scheme,
    /// The server's name and port.
    pub authority: String,
    /// What is asked for there; begins with `/`.
    pub path: String,
}

impl Url {
    /// Reads a URL; what comes after `#` stays here.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| Error::Denied(format!("`{text}` is not a whole URL")))?;
        let sent = rest.split('#').next().unwrap_or_default();
        let (authority, path) = sent.split_at(sent.find(['/', '?']).unwrap_or(sent.len()));
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme: named(scheme), authority: authority.to_owned(), path: format!("{slash}{path}") })
    }
}

fn named(scheme: &str) -> Scheme {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}
