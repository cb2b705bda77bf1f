//! Uses methods that were not granted, or are none: tunnels, other spellings, a request hidden in a method (NET-14).
//!
//! The argument is a URL that is granted for `GET` alone.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{Method, Request};

const OTHERS: [&str; 18] = [
    "CONNECT",
    "connect",
    "Connect",
    "TRACE",
    "TRACK",
    "POST",
    "post",
    "get",
    "Get",
    "PRI",
    "PROPFIND",
    "X",
    "",
    " GET",
    "GET ",
    "GET /secret HTTP/1.1\r\nhost: x\r\n\r\nGET",
    "GET\r\n",
    "GET\0",
];

fn main() -> ExitCode {
    let [url] = &targets()[..] else { return ExitCode::FAILURE };
    if is_control() {
        return control(Request::get(url).send().map(drop));
    }
    let mut attempts = Attempts::default();
    let named = [
        Method::Connect,
        Method::Delete,
        Method::Head,
        Method::Options,
        Method::Patch,
        Method::Post,
        Method::Put,
        Method::Trace,
    ];
    for method in named.into_iter().chain(OTHERS.map(|name| Method::Other(name.to_owned()))) {
        let what = format!("use {method:?}");
        attempts.refused(&what, Request { method, ..Request::get(url) }.send());
    }
    attempts.finish()
}
