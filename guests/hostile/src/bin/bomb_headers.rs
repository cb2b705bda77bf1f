//! Makes a request whose head is enormous (NET-17). The first argument says which part of it: `fields`, `values`,
//! `value`, `name`, `url` or `authority`; the second is a granted URL. A host may refuse with an error or end the program.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{Fields, Outcome, Request};

/// More fields than anybody needs.
const FIELDS: usize = 1_000_000;
/// A value longer than anybody needs, in bytes.
const VALUE_BYTES: usize = 10 * 1024 * 1024;
/// A URL longer than anybody needs, in bytes.
const URL_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    let [part, url] = &targets()[..] else { return ExitCode::FAILURE };
    if is_control() {
        return control(Request::get(url).header(part, b"short").send().map(drop));
    }
    let mut attempts = Attempts::default();
    attempts.refused(&format!("send enormous {part}"), bomb(part, Request::get(url)));
    attempts.finish()
}

fn bomb(part: &str, request: Request) -> Outcome<()> {
    let fields = Fields::new();
    let request = match part {
        "fields" => {
            (0..FIELDS).try_for_each(|number| fields.append(&format!("x-{number}"), b"x"))?;
            request
        }
        "values" => {
            (0..FIELDS).try_for_each(|_| fields.append("x", b"x"))?;
            request
        }
        "value" => {
            fields.append("x", &vec![b'x'; VALUE_BYTES])?;
            request
        }
        "name" => {
            fields.append(&"x".repeat(VALUE_BYTES), b"x")?;
            request
        }
        "url" => Request { path: Some(format!("/{}", "x".repeat(URL_BYTES))), ..request },
        _ => Request { authority: Some("x".repeat(URL_BYTES)), ..request },
    };
    request.send_with(fields).map(drop)
}
