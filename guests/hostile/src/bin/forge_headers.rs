//! Sets headers that say how messages travel and through whom, each in several spellings and by every call that sets
//! one (NET-12, NET-14, NET-16).
//!
//! The argument is a granted URL that answers with the request it got: a header that was left out did not get through.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{FORBIDDEN, Fields, Outcome, Request};

/// What would show in the answer.
const FORGED: &[u8] = b"forged.test";

type Way = (&'static str, fn(&str) -> Outcome<Fields>);

const WAYS: [Way; 5] = [
    ("list", |name| Ok(Fields::from_list(&[(name.to_owned(), FORGED.to_vec())])?)),
    ("set", |name| {
        let fields = Fields::new();
        fields.set(name, &[FORGED.to_vec()])?;
        Ok(fields)
    }),
    ("append", |name| {
        let fields = Fields::new();
        fields.append(name, FORGED)?;
        Ok(fields)
    }),
    ("append after set", |name| {
        let fields = Fields::new();
        fields.set("accept", &[b"text/plain".to_vec()])?;
        // A first value that is refused may leave something behind for the second.
        let _ = fields.set(name, &[b"first".to_vec()]);
        fields.append(name, FORGED)?;
        Ok(fields)
    }),
    ("append to a copy", |name| {
        let fields = Fields::from_list(&[("accept".to_owned(), b"text/plain".to_vec())])?.clone();
        fields.append(name, FORGED)?;
        Ok(fields)
    }),
];

fn main() -> ExitCode {
    let [url] = &targets()[..] else { return ExitCode::FAILURE };
    if is_control() {
        return control(permitted(url));
    }
    let mut attempts = Attempts::default();
    for name in FORBIDDEN.iter().flat_map(|name| spellings(name)) {
        for (way, make) in WAYS {
            let what = format!("{way} `{name}`");
            match make(&name).and_then(|fields| Request::get(url).send_with(fields)?.text()) {
                Ok(echo) if echo.contains("forged.test") => attempts.escaped(&what),
                Ok(_) => attempts.contained(&what, "left out"),
                Err(error) => attempts.contained(&what, &error.to_string()),
            }
        }
    }
    attempts.finish()
}

/// A header that is nobody's business but the tool's arrives.
fn permitted(url: &str) -> Result<(), String> {
    let sent = Request::get(url).header("X-Harmless", FORGED).send();
    let echo = sent.and_then(|answer| answer.text()).map_err(|error| error.to_string())?;
    if echo.contains("forged.test") { Ok(()) } else { Err(echo) }
}

fn spellings(name: &str) -> [String; 5] {
    let mut first = name.to_owned();
    first[..1].make_ascii_uppercase();
    [name.to_owned(), name.to_uppercase(), first, format!("{name} "), format!(" {name}")]
}
