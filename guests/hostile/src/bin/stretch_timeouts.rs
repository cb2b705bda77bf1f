//! Asks for timeouts of no time and of centuries (NET-18). The arguments are nanoseconds and granted URLs, the servers
//! of which never answer, or never end to.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::Request;

fn main() -> ExitCode {
    let targets = targets();
    let [nanoseconds, urls @ ..] = &targets[..] else { return ExitCode::FAILURE };
    let timeouts = nanoseconds.parse().ok();
    let ask = |url: &String| Request { timeouts, ..Request::get(url) }.send()?.text();
    if is_control() {
        return control(urls.iter().try_for_each(|url| ask(url).map(drop)));
    }
    let mut attempts = Attempts::default();
    for url in urls {
        println!("reached: {url}");
        attempts.refused(&format!("wait {nanoseconds} ns for {url}"), ask(url));
    }
    attempts.finish()
}
