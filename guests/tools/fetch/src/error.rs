//! Says what WASI's many errors mean to somebody who asked for a URL.

use crate::bindings::exports::ringfence::fetch::fetch::Error;
use crate::bindings::wasi::http::types::{ErrorCode, HeaderError, http_error_code};
use crate::bindings::wasi::io::streams::StreamError;

/// What an exchange failed of.
pub fn of_code(code: &ErrorCode) -> Error {
    let text = format!("{code:?}").replace("ErrorCode::", "");
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited | ErrorCode::ConnectionLimitReached => {
            Error::Denied(text)
        }
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => Error::Dns(text),
        ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTerminated => Error::Connect(text),
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            Error::Tls(text)
        }
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Error::Timeout(text),
        ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_)
        | ErrorCode::HttpResponseBodySize(_) => Error::TooLarge(text),
        _ => Error::Protocol(text),
    }
}

/// Why a header was not taken.
pub fn of_header(error: HeaderError) -> Error {
    match error {
        HeaderError::Forbidden => Error::Denied("a header is the host's to set".to_owned()),
        HeaderError::InvalidSyntax | HeaderError::Immutable => Error::Protocol("a header is malformed".to_owned()),
    }
}

/// Why a body broke off.
pub fn of_stream(error: &StreamError) -> Error {
    match error {
        StreamError::Closed => Error::Connect("the server closed the connection".to_owned()),
        StreamError::LastOperationFailed(error) => match http_error_code(error) {
            Some(code) => of_code(&code),
            None => Error::Connect(error.to_debug_string()),
        },
    }
}

/// A part of a request that is not what it should be.
pub fn malformed(part: &'static str) -> impl Fn(()) -> Error {
    move |()| Error::Protocol(format!("the {part} is malformed"))
}
