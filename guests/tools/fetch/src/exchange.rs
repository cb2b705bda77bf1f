//! One request and its answer.

use crate::bindings::exports::ringfence::fetch::fetch::{Content, Error, Response};
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::error::{malformed, of_code, of_header, of_stream};
use crate::url::Url;
use crate::variable;

/// The largest body that is taken as an answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much is read at once, in bytes.
const READ_BYTES: u64 = 64 * 1024;
/// How much may be written at once, in bytes; the most that WASI's streams take.
const WRITE_BYTES: usize = 4096;

/// What is asked of a server.
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

/// Sends a request and waits for the whole answer.
pub fn send(request: Request) -> Result<Response, Error> {
    let bytes = request.body.clone();
    let outgoing = outgoing(request)?;
    let body = bytes.is_some().then(|| outgoing.body().map_err(malformed("body"))).transpose()?;
    let future = outgoing_handler::handle(outgoing, None).map_err(|code| of_code(&code))?;
    if let (Some(body), Some(bytes)) = (body, bytes) {
        write(body, &bytes)?;
    }
    answer(&wait(&future)?)
}

fn outgoing(request: Request) -> Result<OutgoingRequest, Error> {
    let header = |(name, value): (String, String)| Ok((name, variable::expand(&value)?.into_bytes()));
    let headers = request.headers.into_iter().map(header).collect::<Result<Vec<_>, Error>>()?;
    let outgoing = OutgoingRequest::new(Fields::from_list(&headers).map_err(of_header)?);
    outgoing.set_method(&request.method).map_err(malformed("method"))?;
    outgoing.set_scheme(Some(&request.url.scheme)).map_err(malformed("scheme"))?;
    outgoing.set_authority(Some(&request.url.authority)).map_err(malformed("server's name"))?;
    outgoing.set_path_with_query(Some(&request.url.path)).map_err(malformed("path"))?;
    Ok(outgoing)
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), Error> {
    let stream = body.write().map_err(malformed("body"))?;
    for part in bytes.chunks(WRITE_BYTES) {
        // A server may answer and close before it has read everything; its answer tells more than this would.
        if stream.blocking_write_and_flush(part).is_err() {
            return Ok(());
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|code| of_code(&code))
}

fn wait(future: &FutureIncomingResponse) -> Result<IncomingResponse, Error> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(of_code(&code)),
        Some(Err(())) | None => Err(Error::Protocol("there is no answer".to_owned())),
    }
}

fn answer(response: &IncomingResponse) -> Result<Response, Error> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let headers = response.headers().entries().iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let body = response.consume().map_err(malformed("answer"))?;
    let body = String::from_utf8(read(&body)?).map_or_else(|error| Content::Bytes(error.into_bytes()), Content::Text);
    Ok(Response { status: response.status(), headers, body })
}

fn read(body: &IncomingBody) -> Result<Vec<u8>, Error> {
    let stream = body.stream().map_err(malformed("answer"))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(part) => bytes.extend(part),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(error) => return Err(of_stream(&error)),
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(Error::TooLarge(format!("the answer has more than {ANSWER_BYTES_MAX} bytes")));
        }
    }
}
