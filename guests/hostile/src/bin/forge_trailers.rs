//! Sets as trailers what it may not set as headers (NET-16).
//!
//! The argument is a granted URL that answers with the request it got.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{FORBIDDEN, Request};

/// Trailers that would change what was said in the head (RFC 9110, 6.5.1).
const OF_THE_HEAD: [&str; 3] = ["authorization", "content-length", "content-type"];

fn main() -> ExitCode {
    let [url] = &targets()[..] else { return ExitCode::FAILURE };
    if is_control() {
        return control(Request::post(url, b"body").send().map(drop));
    }
    let mut attempts = Attempts::default();
    for name in FORBIDDEN.into_iter().chain(OF_THE_HEAD).flat_map(|name| [name.to_owned(), name.to_uppercase()]) {
        let request =
            Request { trailers: vec![(name.clone(), b"forged.test".to_vec())], ..Request::post(url, b"body") };
        match request.send().and_then(|answer| answer.text()) {
            Ok(echo) if echo.contains("forged.test") => attempts.escaped(&format!("trailer `{name}`")),
            Ok(_) => attempts.contained(&format!("trailer `{name}`"), "left out"),
            Err(error) => attempts.contained(&format!("trailer `{name}`"), &error.to_string()),
        }
    }
    attempts.finish()
}
