//! Secrets: a guest holds a placeholder, and the value takes its place on the way out, where the operator allows it.
//!
//! A placeholder is worth nothing: it is random, made for one call, and means something in one place alone, a header that the operator
//! named, in a request over TLS to a host that the operator named. Anywhere else in the head of a request it
//! ends the request. A value that comes back, in whatever the guest puts out, is turned into its placeholder again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use http::HeaderValue;
use http::Request;
use ringfence_model::egress::HostPattern;
use ringfence_model::egress::HttpTarget;
use ringfence_model::egress::Scheme;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::egress::CallEgressError;
use crate::egress::Refusal;

/// What a placeholder starts with.
const PREFIX: &str = "rfsec_";

/// A secret, and where it may be sent.
#[derive(Clone)]
pub struct Secret {
    /// Headers it may stand in, in lower case.
    pub headers: Vec<String>,
    /// Hosts it may be sent to.
    pub hosts: Vec<HostPattern>,
    /// The secret itself.
    pub value: Zeroizing<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("headers", &self.headers).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// The placeholders of one call.
pub(crate) struct Placeholders(Vec<Placeholder>);

struct Placeholder {
    name: String,
    secret: Secret,
    text: String,
}

impl Placeholders {
    pub(super) fn new(secrets: &BTreeMap<String, Secret>, names: &[String]) -> Result<Self, CallEgressError> {
        let placeholder = |name: &String| {
            let secret = secrets.get(name).ok_or_else(|| CallEgressError::UnknownSecret(name.clone()))?.clone();
            let mut bytes = [0; 20];
            getrandom::fill(&mut bytes).map_err(|_| CallEgressError::NoRandomness)?;
            Ok(Placeholder { name: name.clone(), secret, text: format!("{PREFIX}{}", hex::encode(bytes)) })
        };
        names.iter().map(placeholder).collect::<Result<_, _>>().map(Self)
    }

    /// What the guest is given: a name and a placeholder each.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|placeholder| (placeholder.name.as_str(), placeholder.text.as_str()))
    }

    /// The secrets whose placeholders stand in headers, by name.
    pub(super) fn named_in(&self, headers: &http::HeaderMap) -> Vec<String> {
        let stands = |text: &str| headers.values().any(|value| contains(value.as_bytes(), text.as_bytes()));
        self.0.iter().filter(|placeholder| stands(&placeholder.text)).map(|p| p.name.clone()).collect()
    }

    /// Puts values in the place of placeholders, or refuses a request that carries one elsewhere.
    pub(super) fn fill<B>(&self, request: &mut Request<B>, target: &HttpTarget) -> Result<(), Refusal> {
        for placeholder in &self.0 {
            let refuse = || Refusal::Secret(placeholder.name.clone());
            // A host's name is lower-case by now, and so is a placeholder.
            let elsewhere = format!("{} {} {}", request.uri(), request.method(), target.host);
            let in_a_name = request.headers().keys().any(|name| name.as_str().contains(&placeholder.text));
            if elsewhere.contains(&placeholder.text) || in_a_name {
                return Err(refuse());
            }
            for (name, value) in request.headers_mut() {
                if !contains(value.as_bytes(), placeholder.text.as_bytes()) {
                    continue;
                }
                let secret = &placeholder.secret;
                let is_allowed = target.scheme == Scheme::Https
                    && secret.headers.iter().any(|header| header == name.as_str())
                    && secret.hosts.iter().any(|host| host.matches(&target.host));
                if !is_allowed {
                    return Err(refuse());
                }
                let text = value.to_str().map_err(|_| refuse())?;
                let filled = Zeroizing::new(text.replace(&placeholder.text, &secret.value));
                *value = HeaderValue::from_str(&filled).map_err(|_| refuse())?;
                value.set_sensitive(true);
            }
        }
        Ok(())
    }

    /// Bytes with every secret turned into its placeholder.
    pub(crate) fn redact(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.0.iter().fold(bytes, |bytes, placeholder| {
            replace(bytes, placeholder.secret.value.as_bytes(), placeholder.text.as_bytes())
        })
    }

    /// Text with every secret turned into its placeholder.
    pub(crate) fn redact_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.0.iter().fold(Cow::Borrowed(text), |text, placeholder| {
            if !placeholder.secret.value.is_empty() && text.contains(&**placeholder.secret.value) {
                Cow::Owned(text.replace(&**placeholder.secret.value, &placeholder.text))
            } else {
                text
            }
        })
    }

    /// A value with every secret in a text of it turned into its placeholder.
    pub(crate) fn redact_value(&self, value: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        match value {
            Value::String(text) => {
                if let Cow::Owned(redacted) = self.redact_text(text) {
                    *text = redacted;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_value(item)),
            Value::Object(fields) => {
                let old = std::mem::take(fields);
                for (key, mut value) in old {
                    self.redact_value(&mut value);
                    fields.insert(self.redact_text(&key).into_owned(), value);
                }
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|placeholder| &placeholder.name)).finish()
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn replace(bytes: Vec<u8>, wanted: &[u8], with: &[u8]) -> Vec<u8> {
    if wanted.is_empty() || !contains(&bytes, wanted) {
        return bytes;
    }
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(wanted) {
            replaced.extend_from_slice(with);
            rest = after;
        } else {
            replaced.push(*first);
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::target;

    fn placeholders() -> Placeholders {
        let secret = Secret {
            headers: vec!["authorization".to_owned()],
            hosts: vec!["api.example.com".parse().expect("a pattern")],
            value: Zeroizing::new("s3cr3t-value".to_owned()),
        };
        Placeholders::new(&[("TOKEN".to_owned(), secret)].into(), &["TOKEN".to_owned()]).expect("placeholders")
    }

    fn sent(uri: &str, header: &str, value: &str, placeholders: &Placeholders) -> Result<String, Refusal> {
        let request = Request::builder().uri(uri).header(header, value).body(()).expect("a request");
        let target = target::parse(&request)?;
        let mut request = target::rewrite(request, &target)?;
        placeholders.fill(&mut request, &target)?;
        Ok(request.headers().get(header).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned())
    }

    #[test]
    fn value_is_filled_in_one_place() {
        let placeholders = placeholders();
        let text = placeholders.variables().next().expect("a placeholder").1.to_owned();
        let bearer = format!("Bearer {text}");
        let allowed = sent("https://api.example.com/", "Authorization", &bearer, &placeholders);
        assert_eq!(allowed.as_deref(), Ok("Bearer s3cr3t-value"));
        let refused = Err(Refusal::Secret("TOKEN".to_owned()));
        for (uri, header) in [
            ("https://evil.example/", "authorization"),
            ("http://api.example.com/", "authorization"),
            ("https://api.example.com/", "x-note"),
        ] {
            assert_eq!(sent(uri, header, &bearer, &placeholders), refused, "{uri} {header}");
        }
        assert_eq!(sent(&format!("https://api.example.com/?{text}"), "x", "y", &placeholders), refused);
        assert_eq!(
            sent(&format!("https://{}.example/", text.replace('_', "-")), "x", "y", &placeholders).as_deref(),
            Ok("y")
        );
        assert_eq!(sent("https://api.example.com/", "x", "y", &placeholders).as_deref(), Ok("y"));
    }

    #[test]
    fn value_never_comes_back() {
        let placeholders = placeholders();
        let mut value = serde_json::json!({ "a": ["is s3cr3t-value."], "s3cr3t-value": 1 });
        placeholders.redact_value(&mut value);
        let bytes = placeholders.redact(b"\xffs3cr3t-values3cr3t-value".to_vec());
        assert!(!value.to_string().contains("s3cr3t-value") && !contains(&bytes, b"s3cr3t"));
        assert!(bytes.starts_with(b"\xffrfsec_"));
        assert!(!format!("{placeholders:?}").contains("s3cr3t"));
    }

    #[test]
    fn unknown_secret_is_refused() {
        let refused = Placeholders::new(&BTreeMap::new(), &["TOKEN".to_owned()]).expect_err("a refusal");
        assert_eq!(refused, CallEgressError::UnknownSecret("TOKEN".to_owned()));
    }
}
