//! File descriptors: whether enough are left for what can't do without, and how many a process may have.
//!
//! What drives asynchronous work takes some when it starts, and ends the process if it does not get them. So it is asked
//! first, and whoever starts it can say what is wrong. Whoever lets strangers connect takes as many as the system lets it
//! have, and keeps some back, for a call needs its own (CR-33).

use std::fs::File;
use std::io;

use ringfence_model::limits;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

/// How many a runtime takes when it starts: a queue, a waker, the ends of its pipe of signals, and a copy of each.
const RUNTIME_NEEDS: usize = 8;

/// Whether a runtime can be started.
pub fn left_for_a_runtime() -> io::Result<()> {
    let first = File::open("/dev/null")?;
    let held: io::Result<Vec<File>> = (1..RUNTIME_NEEDS).map(|_| first.try_clone()).collect();
    held.map(drop)
}

/// How many this process can be let have.
pub fn most() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Has this process be let have as many as it can. Says how many that are.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Where that is refused, what it has already is what it has.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many of so many may be other people's connections.
pub fn for_connections(descriptors: u64) -> usize {
    let free = descriptors.saturating_sub(limits::DESCRIPTORS_KEPT).max(descriptors / 2);
    usize::try_from(free).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_some_to_calls() {
        // CR-33, MAL-07
        for (descriptors, connections) in [(0, 0), (256, 128), (1_024, 512), (4_096, 2_048), (20_000, 17_952)] {
            assert_eq!(for_connections(descriptors), connections, "{descriptors}");
        }
    }
}
