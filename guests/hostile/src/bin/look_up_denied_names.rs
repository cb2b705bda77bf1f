//! Looks up each name it is given, none of which was granted: a query is a message to whoever answers it (NET-26).

use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::net::look_up;

fn main() -> ExitCode {
    if is_control() {
        return control(targets().iter().try_for_each(|name| {
            println!("found: {:?}", look_up(name)?);
            Ok::<_, hostile_network::net::Refusal>(())
        }));
    }
    let mut attempts = Attempts::default();
    for name in targets() {
        attempts.refused(&format!("look up {name}"), look_up(&name));
    }
    attempts.finish()
}
