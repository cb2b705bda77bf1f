//! Calls the host with whatever values it is told to, and goes on whatever the host says.

#[allow(missing_docs, reason = "the WIT has the documentation")]
mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../wit/deps/io.wit",
            "../../wit/deps/clocks.wit",
            "../../wit/deps/random.wit",
            "../../wit/deps/filesystem.wit",
            "../../wit/deps/sockets.wit",
            "../../wit/deps/cli.wit",
            "../../wit/deps/http.wit",
            "wit",
        ],
        world: "ringfence:probe/guest",
        generate_all,
    });
}

mod files;
mod network;

use bindings::exports::ringfence::probe::probe::{Guest, Operation};
use bindings::wasi::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use bindings::wasi::random::random::get_random_bytes;

struct Probe;

bindings::export!(Probe with_types_in bindings);

impl Guest for Probe {
    fn run(operations: Vec<Operation>) -> u32 {
        let done = operations.into_iter().filter_map(carry_out).count();
        u32::try_from(done).unwrap_or(u32::MAX)
    }
}

/// Nothing, if the host said no.
fn carry_out(operation: Operation) -> Option<()> {
    match operation {
        Operation::Open(opening) => files::open(&opening),
        Operation::Stat(path) => files::stat(&path),
        Operation::ReadLink(path) => files::read_link(&path),
        Operation::MakeFolder(path) => files::make_folder(&path),
        Operation::RemoveFolder(path) => files::remove_folder(&path),
        Operation::RemoveFile(path) => files::remove_file(&path),
        Operation::Rename(paths) => files::rename(&paths),
        Operation::Link(paths) => files::link(&paths),
        Operation::Symlink(paths) => files::symlink(&paths),
        Operation::List(path) => files::list(&path),
        Operation::Read(place) => files::read(&place),
        Operation::Write(place) => files::write(&place),
        Operation::WriteStream(place) => files::write_stream(&place),
        Operation::SetSize(place) => files::set_size(&place),
        Operation::SetTimes(place) => files::set_times(&place),
        Operation::Advise(place) => files::advise(&place),
        Operation::Send(request) => network::send(request),
        Operation::LookUp(name) => network::look_up(&name),
        Operation::ConnectTcp(end) => network::connect_tcp(&end),
        Operation::SendUdp(end) => network::send_udp(&end),
        Operation::Random(length) => (!get_random_bytes(length).is_empty()).then_some(()),
        Operation::ReadStream(place) => files::read_stream(&place),
        Operation::Append(place) => files::append(&place),
        Operation::WriteZeroes(place) => files::write_zeroes(&place),
        Operation::Splice(place) => files::splice(&place),
        Operation::Hash(place) => files::hash(&place),
        Operation::Wait(nanoseconds) => wait(nanoseconds),
        Operation::Tune(number) => network::tune(number),
    }
}

/// Only asks: who waits for a time that never comes is stopped, and nothing else would be tried.
fn wait(nanoseconds: u64) -> Option<()> {
    let passed = [subscribe_duration(nanoseconds), subscribe_instant(nanoseconds)].map(|time| time.ready());
    passed.contains(&true).then_some(())
}
