//! Sends to a granted address without end (NET-20), and says how much of it went. The first argument is `tcp` or
//! `udp`.

use std::net::SocketAddr;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::net::{Connection, Datagrams, Outcome, any_like};

/// What fits into one call of the host, and into one datagram.
const PIECE: [u8; 4096] = [b'x'; 4096];
/// More than anybody needs: 64 MiB.
const PIECES: usize = 16 * 1024;
/// What the permitted twin sends: 1 MiB.
const PERMITTED_PIECES: usize = 256;

fn main() -> ExitCode {
    let [way, address] = &targets()[..] else { return ExitCode::FAILURE };
    let Ok(address) = address.parse() else { return ExitCode::FAILURE };
    if is_control() {
        return control(send(way, address, PERMITTED_PIECES));
    }
    let mut attempts = Attempts::default();
    attempts.refused(&format!("64 MiB over {way}"), send(way, address, PIECES));
    attempts.finish()
}

fn send(way: &str, to: SocketAddr, pieces: usize) -> Outcome<()> {
    let mut sent = 0;
    let outcome = if way == "tcp" { over_tcp(to, pieces, &mut sent) } else { over_udp(to, pieces, &mut sent) };
    println!("sent: {sent}");
    outcome
}

fn over_tcp(to: SocketAddr, pieces: usize, sent: &mut usize) -> Outcome<()> {
    let connection = Connection::open(to)?;
    for _ in 0..pieces {
        connection.send(&PIECE)?;
        *sent += PIECE.len();
    }
    Ok(())
}

fn over_udp(to: SocketAddr, pieces: usize, sent: &mut usize) -> Outcome<()> {
    let udp = Datagrams::open(any_like(to), Some(to))?;
    for _ in 0..pieces {
        udp.send(&PIECE, None)?;
        *sent += PIECE.len();
    }
    Ok(())
}
