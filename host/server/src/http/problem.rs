//! Problems: what went wrong, as RFC 9457 has it, with a code that does not change.
//!
//! The status says whose turn it is: 4xx the caller's, 5xx the host's. The code is that of the outcome where there is
//! one, so that the same refusal is called the same wherever it is met.

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use ringfence_model::limits;
use serde_json::Value;
use serde_json::json;

use crate::http::Response;
use crate::http::respond;
use crate::service::ServiceError;

/// A request that is not answered with what it asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    /// More that is known of it.
    more: Vec<(&'static str, Value)>,
    retry_after_ms: Option<u64>,
    /// What it is done with instead.
    methods: Vec<Method>,
}

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            more: Vec::new(),
            retry_after_ms: None,
            methods: Vec::new(),
        }
    }

    /// The request is not one.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "caller.bad-request", detail)
    }

    /// There is no such thing, or none that may be seen.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "caller.not-found", "there is nothing here")
    }

    /// There is no such function, or none that may be called.
    pub fn unknown_function() -> Self {
        let why = "there is no such function that can be called";
        Self::new(StatusCode::NOT_FOUND, "caller.unknown-function", why)
    }

    /// There is no token, or none that is known.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "caller.unauthorized",
            "a bearer token or a certificate that is known is needed",
        )
    }

    /// It is not done with that method, but with one of these.
    pub fn method(methods: &[Method]) -> Self {
        let why = "this is not done with that method";
        Self { methods: methods.to_vec(), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "caller.method", why) }
    }

    /// Not now.
    pub fn busy(detail: impl Into<String>, retry_after_ms: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "host.busy", detail).retry(retry_after_ms)
    }

    /// Something more that is known of it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.push((name, value));
        self
    }

    /// After how long it makes sense to come again.
    #[must_use]
    pub fn retry(mut self, after_ms: u64) -> Self {
        self.retry_after_ms = Some(after_ms);
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let status = match error {
            ServiceError::Grant | ServiceError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ServiceError::Host => StatusCode::INTERNAL_SERVER_ERROR,
            ServiceError::Denied { .. } | ServiceError::InVain { .. } => StatusCode::TOO_MANY_REQUESTS,
        };
        let retry_after_ms = error.retry_after_ms();
        Self { retry_after_ms, ..Self::new(status, error.code(), error.to_string()) }
    }
}

impl Problem {
    /// It, as its reader gets it.
    pub fn fields(&self) -> Value {
        let Self { status, code, detail, more, .. } = self;
        let title = status.canonical_reason().unwrap_or_default();
        let mut fields = json!({ "title": title, "status": status.as_u16(), "code": code, "detail": detail });
        if let Value::Object(fields) = &mut fields {
            fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        }
        fields
    }

    /// As bytes.
    pub fn into_response(self) -> Response {
        let fields = self.fields();
        let Self { status, retry_after_ms, methods, .. } = self;
        let mut response = respond(status, "application/problem+json", fields.to_string());
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if !methods.is_empty() {
            let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            headers.extend(HeaderValue::try_from(allowed).ok().map(|allowed| (header::ALLOW, allowed)));
        }
        // What can't be had now is looked for now and then.
        let soon = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(limits::READY_RETRY_MS);
        if let Some(after_ms) = retry_after_ms.or(soon) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after_ms.div_ceil(1_000).max(1)));
        }
        response
    }
}
