//! One request to a shop and its answer.

use std::env;

use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;

/// The largest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How much may be written at once, in bytes; the most that WASI's streams take.
const WRITE_BYTES: usize = 4096;
/// The variable with the key of this call: the same whenever the call is made again.
const KEY: &str = "RINGFENCE_CALL_KEY";

/// What a shop answered.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Asks a shop, and passes the key of this call on if there is one.
pub fn ask(method: Method, shop: &str, path: &str, item: Option<String>) -> Result<Answer, String> {
    let (scheme, authority) = match shop.split_once("://") {
        Some(("https", authority)) => (Scheme::Https, authority),
        Some(("http", authority)) => (Scheme::Http, authority),
        _ => return Err(format!("`{shop}` is no shop's address")),
    };
    let key = env::var(KEY).ok().map(|key| ("idempotency-key".to_owned(), key.into_bytes()));
    let length = item.as_ref().map(|item| ("content-length".to_owned(), item.len().to_string().into_bytes()));
    let headers: Vec<_> = key.into_iter().chain(length).collect();
    let request = OutgoingRequest::new(Fields::from_list(&headers).map_err(|_| "a header is malformed")?);
    request.set_method(&method).map_err(malformed("method"))?;
    request.set_scheme(Some(&scheme)).map_err(malformed("scheme"))?;
    request.set_authority(Some(authority)).map_err(malformed("shop's name"))?;
    request.set_path_with_query(Some(path)).map_err(malformed("order's name"))?;
    let body = item.is_some().then(|| request.body().map_err(malformed("body"))).transpose()?;
    let future = outgoing_handler::handle(request, None).map_err(of_code)?;
    if let (Some(body), Some(item)) = (body, item) {
        write(body, item.as_bytes())?;
    }
    let response = wait(&future)?;
    Ok(Answer { status: response.status(), body: read(&response)? })
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), String> {
    let stream = body.write().map_err(malformed("body"))?;
    for part in bytes.chunks(WRITE_BYTES) {
        stream.blocking_write_and_flush(part).map_err(|_| "the shop stopped listening")?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(of_code)
}

fn wait(future: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(answer)) => answer.map_err(of_code),
        Some(Err(())) | None => Err("there is no answer".to_owned()),
    }
}

fn read(response: &IncomingResponse) -> Result<String, String> {
    let body: IncomingBody = response.consume().map_err(malformed("answer"))?;
    let stream = body.stream().map_err(malformed("answer"))?;
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX {
        match stream.blocking_read(4096) {
            Ok(part) => bytes.extend(part),
            Err(StreamError::Closed) => {
                return String::from_utf8(bytes).map_err(|_| "the answer is no text".to_owned());
            }
            Err(StreamError::LastOperationFailed(_)) => return Err("the answer broke off".to_owned()),
        }
    }
    Err("the answer is too long".to_owned())
}

fn malformed(part: &'static str) -> impl Fn(()) -> String {
    move |()| format!("the {part} is malformed")
}

fn of_code(code: ErrorCode) -> String {
    format!("the shop can't be reached: {code:?}")
}
