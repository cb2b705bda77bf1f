//! Hides a second request or header in a first: lengths that contradict each other or the body, line ends in names and
//! values, folded lines (NET-15).
//!
//! The argument is a granted URL that answers with the request it got.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::Request;

const BODY: &[u8] = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";

/// A header's name and value.
type Header = (&'static str, &'static [u8]);

const LENGTHS: [&[Header]; 16] = [
    &[("content-length", b"0"), ("content-length", b"42")],
    &[("content-length", b"42"), ("content-length", b"0")],
    &[("content-length", b"40"), ("Content-Length", b"40")],
    &[("content-length", b"40, 40")],
    &[("content-length", b"40;0")],
    &[("content-length", b"+40")],
    &[("content-length", b"-40")],
    &[("content-length", b"0x28")],
    &[("content-length", b"4 0")],
    &[("content-length", b"040")],
    &[("content-length", b"")],
    &[("content-length", b"0")],
    &[("content-length", b"5")],
    &[("content-length", b"4000")],
    &[("content-length", b"99999999999999999999999")],
    &[("content-length", b"40"), ("transfer-encoding", b"chunked")],
];

const LINES: [Header; 14] = [
    ("x-a", b"1\r\nx-smuggled: 1"),
    ("x-a", b"1\nx-smuggled: 1"),
    ("x-a", b"1\rx-smuggled: 1"),
    ("x-a", b"1\r\n x-smuggled: 1"),
    ("x-a", b"1\r\n\r\nGET /smuggled HTTP/1.1"),
    ("x-a", b"1\0x-smuggled: 1"),
    ("x-a\r\nx-smuggled", b"1"),
    ("x-a\nx-smuggled", b"1"),
    ("x-a: 1\r\nx-smuggled", b"1"),
    ("x-smuggled:", b"1"),
    ("x-smuggled ", b"1"),
    ("x smuggled", b"1"),
    ("", b"x-smuggled"),
    ("x-smuggled\u{e9}", b"1"),
];

fn main() -> ExitCode {
    let [url] = &targets()[..] else { return ExitCode::FAILURE };
    let post = Request::post(url, BODY);
    if is_control() {
        return control(permitted(&post));
    }
    let mut attempts = Attempts::default();
    for headers in LENGTHS {
        attempt(&mut attempts, headers.iter().fold(post.clone(), |post, (name, value)| post.header(name, value)));
    }
    for (name, value) in LINES {
        attempt(&mut attempts, post.clone().header(name, value));
        attempt(&mut attempts, Request::get(url).header(name, value));
    }
    // A body where nobody expects one.
    attempt(&mut attempts, Request { body: Some(BODY.to_vec()), ..Request::get(url) }.header("content-length", b"0"));
    attempts.finish()
}

fn permitted(post: &Request) -> Result<(), String> {
    let length = BODY.len().to_string();
    let sent = post.clone().header("content-length", length.as_bytes()).send();
    let echo = sent.and_then(|answer| answer.text()).map_err(|error| error.to_string())?;
    if is_one_request(&echo) { Ok(()) } else { Err(echo) }
}

fn attempt(attempts: &mut Attempts, request: Request) {
    let what = format!("send {:?}", request.headers.iter().map(text).collect::<Vec<_>>());
    match request.send().and_then(|answer| answer.text()) {
        Ok(echo) if is_one_request(&echo) => attempts.contained(&what, "sent as one request"),
        Ok(_) => attempts.escaped(&what),
        Err(error) => attempts.contained(&what, &error.to_string()),
    }
}

fn text((name, value): &(String, Vec<u8>)) -> (String, String) {
    (name.clone(), String::from_utf8_lossy(value).into_owned())
}

/// Whether what arrived has one reading: no header that was not set, and one way to tell where it ends that is right.
fn is_one_request(echo: &str) -> bool {
    let Some((head, body)) = echo.split_once("\r\n\r\n") else { return false };
    let values = |wanted: &str| -> Vec<&str> {
        let pairs = head.lines().filter_map(|line| line.split_once(':'));
        pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).collect()
    };
    let ends_well = match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => body.is_empty(),
        ([length], []) => *length == body.len().to_string(),
        ([], ["chunked"]) => true,
        _ => false,
    };
    ends_well && !head.to_ascii_lowercase().contains("smuggled")
}
