//! Asks for every URL it is given, none of which was granted: denied addresses in every spelling, names that lead to
//! them, ports, schemes and names that only look like granted ones (NET-03 to NET-09, NET-22, NET-25, NET-27).

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::http::Request;

fn main() -> ExitCode {
    if is_control() {
        return control(targets().iter().try_for_each(|url| Request::get(url).send()?.text().map(drop)));
    }
    let mut attempts = Attempts::default();
    for url in targets() {
        attempts.refused(&format!("fetch {url}"), Request::get(&url).send());
    }
    attempts.finish()
}
