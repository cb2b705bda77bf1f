//! Opens sockets and keeps them, connected or not (NET-24), and says how many it had. The first argument is `tcp`, `udp`
//! or `unconnected`; the second is a granted address.

use std::net::SocketAddr;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control, targets};
use hostile_network::net::{Connection, Datagrams, Outcome, TcpSocket, any_like, unconnected};

/// More than anybody needs.
const SOCKETS: usize = 100;
/// What the permitted twin keeps at a time.
const PERMITTED_SOCKETS: usize = 4;

fn main() -> ExitCode {
    let [way, address] = &targets()[..] else { return ExitCode::FAILURE };
    let Ok(address) = address.parse() else { return ExitCode::FAILURE };
    if is_control() {
        // As many as it likes, but not at the same time.
        return control((0..SOCKETS / PERMITTED_SOCKETS).try_for_each(|_| {
            let mut kept = Vec::new();
            (0..PERMITTED_SOCKETS).try_for_each(|_| open(way, address, &mut kept))
        }));
    }
    let mut attempts = Attempts::default();
    let mut kept = Vec::new();
    let hoarded = (0..SOCKETS).try_for_each(|_| open(way, address, &mut kept));
    println!("kept: {}", kept.len());
    attempts.refused(&format!("{SOCKETS} sockets over {way}"), hoarded);
    attempts.finish()
}

fn open(way: &str, to: SocketAddr, kept: &mut Vec<Kept>) -> Outcome<()> {
    kept.push(match way {
        "tcp" => Kept::Connection(Connection::open(to)?),
        "udp" => Kept::Datagrams(Datagrams::open(any_like(to), Some(to))?),
        _ => Kept::Unconnected(unconnected(to)?),
    });
    Ok(())
}

/// What holds a socket open.
#[expect(dead_code, reason = "they are only kept")]
enum Kept {
    Connection(Connection),
    Datagrams(Datagrams),
    Unconnected(TcpSocket),
}
