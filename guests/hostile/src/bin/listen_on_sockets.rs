//! Waits for others to connect: binds and listens on each address it is given, none of which was granted (NET-01).

use std::net::SocketAddr;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::net::{Connection, bind_tcp, bind_udp, listen};

fn main() -> ExitCode {
    let addresses: Result<Vec<SocketAddr>, _> = targets().iter().map(|address| address.parse()).collect();
    let Ok(addresses) = addresses else { return ExitCode::FAILURE };
    if is_control() {
        return control(addresses.iter().try_for_each(|to| Connection::open(*to).map(drop)));
    }
    let mut attempts = Attempts::default();
    for address in addresses {
        attempts.refused(&format!("bind TCP to {address}"), bind_tcp(address));
        attempts.refused(&format!("bind UDP to {address}"), bind_udp(address));
        attempts.refused(&format!("listen on {address}"), listen(address));
    }
    attempts.finish()
}
