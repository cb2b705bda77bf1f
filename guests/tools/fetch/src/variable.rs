//! Puts variables of the environment into headers, as in `Bearer ${API_TOKEN}`.
//!
//! Whoever writes the input names a secret and need not know it; what the variable holds is a placeholder, and the
//! host puts the secret in its place on the way out.

use std::env;

use crate::bindings::exports::ringfence::fetch::fetch::Error;

/// A value with every `${NAME}` replaced.
pub fn expand(value: &str) -> Result<String, Error> {
    let mut parts = value.split("${");
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').ok_or_else(|| Error::Denied("a `${` without its `}`".to_owned()))?;
        expanded += &env::var(name).map_err(|_| Error::Denied(format!("variable `{name}` was not granted")))?;
        expanded += rest;
    }
    Ok(expanded)
}
