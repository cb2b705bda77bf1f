//! Remarks of a server on standard error: nobody who writes one waits for whoever should read it (OUT-08).
//!
//! A command writes its remarks itself. A server hands them to a thread, over a queue of bounded length: while nobody reads,
//! what there is no room for is lost, and counted, and the count is told as soon as somebody reads again. No call, and no
//! other remark, waits for that.

use std::io;
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits;

/// Where remarks go once there is a thread for them.
static QUEUE: OnceLock<SyncSender<String>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);
static WAITING: AtomicU64 = AtomicU64::new(0);

/// Has remarks written by a thread of their own from now on. `lost` says how many there was no room for.
pub fn start(lost: impl Fn(u64) -> String + Send + 'static) {
    let (queue, remarks) = mpsc::sync_channel(limits::REMARKS_WAITING_MAX);
    // Without a thread they are written as by a command.
    let started = std::thread::Builder::new().name("remarks".to_owned()).spawn(move || write_all(&remarks, &lost));
    if started.is_ok() {
        let _ = QUEUE.set(queue);
    }
}

/// Writes a line, or has it written. What can't be written is nobody's to hear of.
pub fn write(line: String) {
    let Some(queue) = QUEUE.get() else {
        let _ = writeln!(io::stderr(), "{line}");
        return;
    };
    WAITING.fetch_add(1, Ordering::AcqRel);
    if queue.try_send(line).is_err() {
        WAITING.fetch_sub(1, Ordering::AcqRel);
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until everything is written, though not for long: a process that ends does not wait for its reader either.
pub fn flush() {
    let until = Instant::now() + Duration::from_millis(limits::REMARKS_FLUSH_MS_MAX);
    while WAITING.load(Ordering::Acquire) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn write_all(remarks: &Receiver<String>, lost: &dyn Fn(u64) -> String) {
    for line in remarks {
        let _ = writeln!(io::stderr(), "{line}");
        // Whatever found no room found none while this line waited for its reader.
        let missing = LOST.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = writeln!(io::stderr(), "{}", lost(missing));
        }
        WAITING.fetch_sub(1, Ordering::AcqRel);
    }
}
