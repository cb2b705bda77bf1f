//! Sends datagrams to each address it is given, none of which was granted: connected and not, and after it had been
//! connected elsewhere (NET-02). With the argument `control` the first is one where it may, and answers.

use std::net::SocketAddr;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::net::{Datagrams, Outcome, any_like};

fn main() -> ExitCode {
    let addresses: Result<Vec<SocketAddr>, _> = targets().iter().map(|address| address.parse()).collect();
    let Ok(addresses) = addresses else { return ExitCode::FAILURE };
    if is_control() {
        return control(addresses.iter().try_for_each(|to| ask(*to)));
    }
    let mut attempts = Attempts::default();
    for to in addresses.iter().copied() {
        let from = any_like(to);
        attempts
            .refused(&format!("send to {to}"), Datagrams::open(from, None).and_then(|udp| udp.send(b"x", Some(to))));
        attempts.refused(
            &format!("connect to {to} and send"),
            Datagrams::open(from, Some(to)).and_then(|udp| udp.send(b"x", None)),
        );
        for first in addresses.iter().copied().filter(|first| first.is_ipv4() == to.is_ipv4()) {
            attempts.refused(
                &format!("connect to {first}, then to {to}, and send"),
                Datagrams::reconnect(from, first, to).and_then(|udp| udp.send(b"x", None)),
            );
            attempts.refused(
                &format!("connect to {first} and send to {to}"),
                Datagrams::open(from, Some(first)).and_then(|udp| udp.send(b"x", Some(to))),
            );
        }
    }
    attempts.finish()
}

fn ask(to: SocketAddr) -> Outcome<()> {
    let udp = Datagrams::open(any_like(to), Some(to))?;
    udp.send(b"x", None)?;
    udp.receive().map(drop)
}
