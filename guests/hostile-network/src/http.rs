//! WASI's HTTP, with every part of a request handed over exactly as it is written.
//!
//! A client library would check a URL and put headers in order before the host sees them; an attacker would not go
//! through one.

use std::fmt;

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../wit/deps/io.wit",
            "../../wit/deps/clocks.wit",
            "../../wit/deps/random.wit",
            "../../wit/deps/filesystem.wit",
            "../../wit/deps/sockets.wit",
            "../../wit/deps/cli.wit",
            "../../wit/deps/http.wit",
        ],
        inline: "
            package ringfence:hostile-http;
            world http {
                import wasi:http/outgoing-handler@0.2.12;
            }
        ",
        world: "ringfence:hostile-http/http",
        generate_all,
    });
}

pub use bindings::wasi::http::types::{Fields, Method, Scheme};

use bindings::wasi::http::outgoing_handler;
use bindings::wasi::http::types::{
    ErrorCode, FutureIncomingResponse, HeaderError, IncomingBody, IncomingResponse, OutgoingBody, OutgoingRequest,
    RequestOptions, http_error_code,
};
use bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};

/// Headers that say how messages travel, through whom, or that they are others than they seem: not for a tool to say.
pub const FORBIDDEN: [&str; 26] = [
    "connection",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "proxy-features",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-by",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// How much is read at once, in bytes.
const READ_BYTES: u64 = 64 * 1024;
/// How much WASI's streams take at once, in bytes.
const WRITE_BYTES: usize = 4096;

/// What the host answered instead of doing it.
#[derive(Clone, Debug)]
pub struct Refusal(String);

/// The outcome of a call.
pub type Outcome<T> = Result<T, Refusal>;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self(format!("{code:?}"))
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self(format!("header {error:?}"))
    }
}

impl From<StreamError> for Refusal {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed => Self("closed".to_owned()),
            StreamError::LastOperationFailed(error) => match http_error_code(&error) {
                Some(code) => code.into(),
                None => Self(error.to_debug_string()),
            },
        }
    }
}

fn no(part: &'static str) -> impl Fn(()) -> Refusal {
    move |()| Refusal(format!("no such {part}"))
}

/// A request as it is written.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub scheme: Option<Scheme>,
    pub authority: Option<String>,
    pub path: Option<String>,
    pub headers: Vec<(String, Vec<u8>)>,
    /// None for a request without one.
    pub body: Option<Vec<u8>>,
    pub trailers: Vec<(String, Vec<u8>)>,
    /// For connecting, for the first byte and between bytes, in nanoseconds.
    pub timeouts: Option<u64>,
}

impl Request {
    /// Asks for a URL, which is cut at the first `://` and the next `/` whatever it looks like.
    pub fn get(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").or_else(|| url.split_once(':')).unwrap_or(("http", url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Self {
            method: Method::Get,
            scheme: Some(named(scheme)),
            authority: Some(authority.to_owned()),
            path: Some(if path.is_empty() { "/" } else { path }.to_owned()),
            headers: Vec::new(),
            body: None,
            trailers: Vec::new(),
            timeouts: None,
        }
    }

    /// Posts to a URL.
    pub fn post(url: &str, body: &[u8]) -> Self {
        Self { method: Method::Post, body: Some(body.to_vec()), ..Self::get(url) }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_vec()));
        self
    }

    /// Sends it all and waits for the head of the answer.
    pub fn send(&self) -> Outcome<Answer> {
        self.send_with(Fields::from_list(&self.headers)?)
    }

    /// The same with headers that were made in another way.
    pub fn send_with(&self, headers: Fields) -> Outcome<Answer> {
        let mut sent = self.start(headers)?;
        sent.write(self.body.as_deref().unwrap_or_default())?;
        sent.finish(&self.trailers)?.answer()
    }

    /// Begins to send it; its body is still to be written.
    pub fn start(&self, headers: Fields) -> Outcome<Sending> {
        let request = OutgoingRequest::new(headers);
        request.set_method(&self.method).map_err(no("method"))?;
        request.set_scheme(self.scheme.as_ref()).map_err(no("scheme"))?;
        request.set_authority(self.authority.as_deref()).map_err(no("authority"))?;
        request.set_path_with_query(self.path.as_deref()).map_err(no("path"))?;
        let body = self.body.is_some().then(|| request.body().map_err(no("body"))).transpose()?;
        let future = outgoing_handler::handle(request, self.options()?)?;
        let stream = body.as_ref().map(|body| body.write().map_err(no("body"))).transpose()?;
        Ok(Sending { stream, body, future: Sent(future) })
    }

    fn options(&self) -> Outcome<Option<RequestOptions>> {
        let Some(timeout) = self.timeouts else { return Ok(None) };
        let options = RequestOptions::new();
        options.set_connect_timeout(Some(timeout)).map_err(no("timeout"))?;
        options.set_first_byte_timeout(Some(timeout)).map_err(no("timeout"))?;
        options.set_between_bytes_timeout(Some(timeout)).map_err(no("timeout"))?;
        Ok(Some(options))
    }
}

fn named(scheme: &str) -> Scheme {
    match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}

/// A request whose body is being written. The stream goes before the body it belongs to.
pub struct Sending {
    stream: Option<OutputStream>,
    body: Option<OutgoingBody>,
    future: Sent,
}

impl Sending {
    /// Writes more of the body.
    pub fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        bytes.chunks(WRITE_BYTES).try_for_each(|part| Ok(stream.blocking_write_and_flush(part)?))
    }

    /// Ends the body.
    pub fn finish(self, trailers: &[(String, Vec<u8>)]) -> Outcome<Sent> {
        let Self { stream, body, future } = self;
        drop(stream);
        let trailers = if trailers.is_empty() { None } else { Some(Fields::from_list(trailers)?) };
        if let Some(body) = body {
            OutgoingBody::finish(body, trailers)?;
        }
        Ok(future)
    }
}

/// A request that is on its way.
pub struct Sent(FutureIncomingResponse);

impl Sent {
    /// Waits for the head of the answer.
    pub fn answer(self) -> Outcome<Answer> {
        self.0.subscribe().block();
        let response = self.0.get().ok_or(Refusal("not ready".to_owned()))?.map_err(no("answer"))??;
        Ok(Answer { response })
    }
}

/// An answer, of which the body is still to be read.
pub struct Answer {
    response: IncomingResponse,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.response.status()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        let values = self.response.headers().get(name);
        Some(String::from_utf8_lossy(values.first()?).into_owned())
    }

    /// The body.
    pub fn body(self) -> Outcome<Body> {
        let body = self.response.consume().map_err(no("body"))?;
        let stream = body.stream().map_err(no("body"))?;
        Ok(Body { stream, _body: body, _response: self.response })
    }

    /// The whole body as text.
    pub fn text(self) -> Outcome<String> {
        let mut body = self.body()?;
        let mut bytes = Vec::new();
        while let Some(part) = body.read()? {
            bytes.extend(part);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The body of an answer. Each part goes before what it belongs to.
pub struct Body {
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

impl Body {
    /// Waits for the next part; none at the end.
    pub fn read(&mut self) -> Outcome<Option<Vec<u8>>> {
        match self.stream.blocking_read(READ_BYTES) {
            Ok(part) => Ok(Some(part)),
            Err(StreamError::Closed) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
