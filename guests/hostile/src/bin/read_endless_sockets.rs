//! Reads from a granted address whatever it sends, for as long as it does (NET-19), and says how much that was. The first
//! argument is `tcp` or `udp`.

use std::net::SocketAddr;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::net::{Connection, Datagrams, Outcome, any_like};

/// More than anybody needs.
const BYTES: usize = 64 * 1024 * 1024;
/// What the permitted twin waits for.
const PERMITTED_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    let [way, address] = &targets()[..] else { return ExitCode::FAILURE };
    let Ok(address) = address.parse() else { return ExitCode::FAILURE };
    if is_control() {
        return control(read(way, address, PERMITTED_BYTES));
    }
    let mut attempts = Attempts::default();
    attempts.refused(&format!("64 MiB over {way}"), read(way, address, BYTES));
    attempts.finish()
}

fn read(way: &str, from: SocketAddr, bytes: usize) -> Outcome<()> {
    let mut read = 0;
    let outcome = if way == "tcp" { over_tcp(from, bytes, &mut read) } else { over_udp(from, bytes, &mut read) };
    println!("read: {read}");
    outcome
}

fn over_tcp(from: SocketAddr, bytes: usize, read: &mut usize) -> Outcome<()> {
    let connection = Connection::open(from)?;
    connection.send(b"GET / HTTP/1.0\r\n\r\n")?;
    while *read < bytes {
        *read += connection.receive(64 * 1024)?.len();
    }
    Ok(())
}

fn over_udp(from: SocketAddr, bytes: usize, read: &mut usize) -> Outcome<()> {
    let udp = Datagrams::open(any_like(from), Some(from))?;
    udp.send(b"x", None)?;
    while *read < bytes {
        *read += udp.receive()?.len();
    }
    Ok(())
}
