//! File descriptors: whether enough are left for what can't do without.
//!
//! What drives asynchronous work takes some when it starts, and ends the process if it does not get them. So it is asked
//! first, and whoever starts it can say what is wrong.

use std::fs::File;
use std::io;

/// How many a runtime takes when it starts: a queue, a waker, the ends of its pipe of signals, and a copy of each.
const RUNTIME_NEEDS: usize = 8;

/// Whether a runtime can be started.
pub fn left_for_a_runtime() -> io::Result<()> {
    let first = File::open("/dev/null")?;
    let held: io::Result<Vec<File>> = (1..RUNTIME_NEEDS).map(|_| first.try_clone()).collect();
    held.map(drop)
}
