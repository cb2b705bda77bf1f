//! Gets from and posts to web servers.
//!
//! It makes no decisions about what may be reached: it asks for any URL, once, and reports what comes of it. It
//! follows no redirect, so that each address is one that its caller asked for.

mod error;
mod exchange;
mod url;
mod variable;

#[allow(missing_docs, reason = "the WIT has the documentation")]
mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/io.wit",
            "../../../wit/deps/clocks.wit",
            "../../../wit/deps/random.wit",
            "../../../wit/deps/filesystem.wit",
            "../../../wit/deps/sockets.wit",
            "../../../wit/deps/cli.wit",
            "../../../wit/deps/http.wit",
            "wit",
        ],
        world: "ringfence:fetch/tool",
        generate_all,
    });
}

use bindings::exports::ringfence::fetch::fetch::{Content, Error, Guest, Response};
use bindings::wasi::http::types::Method;

use crate::exchange::Request;
use crate::url::Url;

struct Fetch;

bindings::export!(Fetch with_types_in bindings);

impl Guest for Fetch {
    fn get(url: String, headers: Option<Vec<(String, String)>>) -> Result<Response, Error> {
        let headers = headers.unwrap_or_default();
        exchange::send(Request { method: Method::Get, url: Url::parse(&url)?, headers, body: None })
    }

    fn post(
        url: String,
        headers: Option<Vec<(String, String)>>,
        body: Content,
        content_type: String,
    ) -> Result<Response, Error> {
        let bytes = match body {
            Content::Text(text) => text.into_bytes(),
            Content::Bytes(bytes) => bytes,
        };
        let mut headers = headers.unwrap_or_default();
        headers.push(("content-type".to_owned(), content_type));
        headers.push(("content-length".to_owned(), bytes.len().to_string()));
        exchange::send(Request { method: Method::Post, url: Url::parse(&url)?, headers, body: Some(bytes) })
    }
}
