//! Makes thousands of requests in one call (NET-24), and says how many were answered. The first argument is `one-by-one`,
//! `at-once` or `unread`, which keeps every answer; the second is a granted URL.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{Fields, Outcome, Request};

/// More than anybody needs.
const REQUESTS: usize = 2_000;

fn main() -> ExitCode {
    let [way, url] = &targets()[..] else { return ExitCode::FAILURE };
    if is_control() {
        return control(Request::get(url).send().map(drop));
    }
    let mut attempts = Attempts::default();
    let (answered, refused) = match way.as_str() {
        "one-by-one" => one_by_one(url),
        "at-once" => at_once(url),
        _ => unread(url),
    };
    println!("answered: {answered}");
    match refused {
        Some(why) => attempts.contained(&format!("{REQUESTS} requests {way}"), &why),
        None => attempts.escaped(&format!("{REQUESTS} requests {way}")),
    }
    attempts.finish()
}

fn one_by_one(url: &str) -> (usize, Option<String>) {
    count((0..REQUESTS).map(|_| Request::get(url).send()?.text().map(drop)))
}

fn at_once(url: &str) -> (usize, Option<String>) {
    let sent: Vec<_> = (0..REQUESTS).map(|_| Request::get(url).start(Fields::new())).collect();
    count(sent.into_iter().map(|sending| sending?.finish(&[])?.answer()?.text().map(drop)))
}

fn unread(url: &str) -> (usize, Option<String>) {
    let mut kept = Vec::new();
    count((0..REQUESTS).map(|_| {
        kept.push(Request::get(url).send()?);
        Ok(())
    }))
}

/// How many were answered, and why the first of the others was not.
fn count(answers: impl Iterator<Item = Outcome<()>>) -> (usize, Option<String>) {
    let (mut answered, mut refused) = (0, None);
    for answer in answers {
        match answer {
            Ok(()) => answered += 1,
            Err(error) => refused = refused.or(Some(error.to_string())),
        }
    }
    (answered, refused)
}
