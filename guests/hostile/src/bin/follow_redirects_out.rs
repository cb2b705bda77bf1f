//! Goes wherever it is redirected, with credentials, up to a hundred times (NET-13). The arguments are granted URLs that
//! lead to what was not granted. `contained` means that a hop was refused, `escaped` that it got to the end.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::{Outcome, Request};

const HOPS_MAX: usize = 100;

fn main() -> ExitCode {
    if is_control() {
        return control(targets().iter().try_for_each(|url| follow(url).map(drop)));
    }
    let mut attempts = Attempts::default();
    for url in targets() {
        match follow(&url) {
            Ok(status) if (300..400).contains(&status) => attempts.contained(&format!("follow {url}"), "no end"),
            result => attempts.refused(&format!("follow {url}"), result),
        }
    }
    attempts.finish()
}

/// The last status code.
fn follow(url: &str) -> Outcome<u16> {
    let mut url = url.to_owned();
    let mut status = 0;
    for _ in 0..HOPS_MAX {
        let answer = Request::get(&url).header("authorization", b"Bearer of-the-tool").send()?;
        status = answer.status();
        let Some(location) = answer.header("location").filter(|_| (300..400).contains(&status)) else { break };
        println!("redirected: {status} {location}");
        url = location;
    }
    Ok(status)
}
