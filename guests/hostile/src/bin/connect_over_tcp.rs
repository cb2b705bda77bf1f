//! Connects over TCP to each address it is given, none of which was granted, directly and from a bound socket (NET-01,
//! NET-04, NET-05).

use std::net::SocketAddr;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::net::{Connection, any_like, connect_from};

fn main() -> ExitCode {
    let addresses: Result<Vec<SocketAddr>, _> = targets().iter().map(|address| address.parse()).collect();
    let Ok(addresses) = addresses else { return ExitCode::FAILURE };
    if is_control() {
        let exchange = |to: &SocketAddr| Connection::open(*to)?.exchange(b"GET / HTTP/1.0\r\n\r\n").map(drop);
        return control(addresses.iter().try_for_each(exchange));
    }
    let mut attempts = Attempts::default();
    for address in addresses {
        attempts.refused(&format!("connect to {address}"), Connection::open(address));
        attempts.refused(&format!("bind and connect to {address}"), connect_from(any_like(address), address));
    }
    attempts.finish()
}
