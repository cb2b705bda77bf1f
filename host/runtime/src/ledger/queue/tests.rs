//! Tests of the queue: rounds, faults in the middle of one, tasks and threads together, and the pen.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ringfence_model::digest::Digest;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::entry::Opened;
use ringfence_model::time::Timestamp;

use super::*;
use crate::ledger::backend::MemoryBackend;
use crate::ledger::backend::StoredEntry;
use crate::ledger::backend::faulty::Fault;
use crate::ledger::backend::faulty::FaultyBackend;

/// A clock that stands still.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

/// A clock that is a millisecond on whenever somebody looks.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1, SeqCst))
    }
}

#[test]
fn no_entry_is_older_than_the_last() {
    // CLK-01
    let disk = FaultyBackend::new(MemoryBackend::new());
    let queue = Arc::new(Queue::new(Box::new(disk.clone()), Head::empty(), Arc::new(Ticking::default())));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|number| drop(append(&queue, number))));
        }
    });
    let entries = queue.read(|backend| backend.entries(0, 400)).expect("entries");
    let times = entries.iter().map(|entry| encoding::decode(&entry.bytes).expect("an entry").time);
    assert!(times.clone().is_sorted() && times.count() == 400);
}

fn body(number: u64) -> Body {
    Body::Opened(Opened { host: number.to_string(), key: String::new(), origin: String::new() })
}

fn append(queue: &Arc<Queue>, number: u64) -> Result<u64, LedgerError> {
    queue.append(|page| Ok(page.entry(body(number))?.0))
}

/// Fills the queue while the disk is busy with the first entry, and then lets it go: what each writer was told.
fn crowd(disk: &FaultyBackend, queue: &Arc<Queue>, writers: usize) -> Vec<Result<u64, LedgerError>> {
    let answers = try_crowd(disk, queue, writers).into_iter();
    answers.map(|answer| answer.expect("an answer")).collect()
}

/// The same; a writer that panicked was told nothing.
fn try_crowd(disk: &FaultyBackend, queue: &Arc<Queue>, writers: usize) -> Vec<Option<Result<u64, LedgerError>>> {
    let (release, until) = mpsc::channel::<()>();
    disk.hold(until);
    thread::scope(|scope| {
        let first = scope.spawn(|| append(queue, 0));
        while !lock(&queue.line).busy {
            thread::sleep(Duration::from_millis(1));
        }
        let others: Vec<_> = (0..writers).map(|_| scope.spawn(|| append(queue, 1))).collect();
        while lock(&queue.line).batch.entries.len() < writers {
            thread::sleep(Duration::from_millis(1));
        }
        drop(release);
        [first].into_iter().chain(others).map(|thread| thread.join().ok()).collect()
    })
}

#[test]
fn those_who_wait_share_one_commit() {
    let disk = FaultyBackend::new(MemoryBackend::new());
    let queue = Arc::new(Queue::new(Box::new(disk.clone()), Head::empty(), Arc::new(Stopped)));
    let mut told: Vec<_> = crowd(&disk, &queue, 15).into_iter().map(|told| told.expect("an index")).collect();
    told.sort_unstable();
    assert_eq!(told, (0..16).collect::<Vec<_>>());
    assert_eq!(disk.counts().0, 2);
    assert_eq!(queue.durable().next_index, 16);
}

#[test]
fn those_behind_a_failure_fail_with_it() {
    // CON-05
    for fault in [Fault::Failed(BackendError::DiskFull), Fault::FailedButPersisted] {
        let disk = FaultyBackend::new(MemoryBackend::new());
        let queue = Arc::new(Queue::new(Box::new(disk.clone()), Head::empty(), Arc::new(Stopped)));
        disk.fail(0, fault.clone());
        assert!(crowd(&disk, &queue, 7).iter().all(Result::is_err));
        assert_eq!((disk.counts().0, queue.durable().next_index), (1, 0));
        let goes_on = fault != Fault::FailedButPersisted;
        assert_eq!(append(&queue, 9).is_ok(), goes_on);
    }
}

#[test]
fn panic_at_the_disk_stops_the_log() {
    // CON-04, CON-06, CR-23: nobody waits for ever, and nothing is written after what may or may not be there.
    let disk = FaultyBackend::new(MemoryBackend::new());
    let queue = Arc::new(Queue::new(Box::new(disk.clone()), Head::empty(), Arc::new(Stopped)));
    disk.fail(0, Fault::Panicked);
    let told = try_crowd(&disk, &queue, 7);
    assert!(told[0].is_none(), "the first writer was at the disk");
    for told in &told[1..] {
        let wanted = |error: &BackendError| matches!(error, BackendError::Other(why) if why.contains("panicked"));
        assert!(matches!(told, Some(Err(LedgerError::Storage(error))) if wanted(error)), "{told:?}");
    }
    assert!(matches!(append(&queue, 9), Err(LedgerError::Stopped(BackendError::Other(_)))));
    assert!(matches!(queue.commit_aside(Batch::default()), Err(LedgerError::Stopped(_))));
    assert!(matches!(queue.read(|disk| disk.head()), Err(LedgerError::Stopped(_))));
    assert_eq!((disk.counts().0, queue.durable().next_index), (1, 0));
}

#[test]
fn panic_aside_stops_the_log() {
    let disk = FaultyBackend::new(MemoryBackend::new());
    let queue = Arc::new(Queue::new(Box::new(disk.clone()), Head::empty(), Arc::new(Stopped)));
    disk.fail(0, Fault::Panicked);
    let aside = thread::scope(|scope| scope.spawn(|| queue.commit_aside(Batch::default())).join());
    assert!(aside.is_err());
    assert!(matches!(append(&queue, 9), Err(LedgerError::Stopped(_))));
    assert_eq!(disk.counts().0, 1);
}

/// An entry, filed, that keeps `held` until it is durable.
fn file(queue: &Arc<Queue>, held: Arc<()>) -> Filed<u64> {
    let filed = queue.file(|page| {
        page.hold(held);
        Ok(page.entry(body(0))?.0)
    });
    filed.expect("a page")
}

#[tokio::test]
async fn tasks_that_wait_share_one_commit() {
    let disk = FaultyBackend::new(MemoryBackend::new());
    let queue = Arc::new(Queue::new(Box::new(disk.clone()), Head::empty(), Arc::new(Stopped)));
    let (release, until) = mpsc::channel::<()>();
    disk.hold(until);
    let first = file(&queue, Arc::default());
    while !lock(&queue.line).busy {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (0..15).map(|_| file(&queue, Arc::default())).collect();
    // A thread waits with them, and gets an answer of its own.
    let thread = thread::spawn({
        let queue = Arc::clone(&queue);
        move || append(&queue, 1)
    });
    while lock(&queue.line).batch.entries.len() < 16 {
        tokio::task::yield_now().await;
    }
    drop(release);
    assert_eq!(first.durable().await.expect("an index"), 0);
    for (other, wanted) in others.into_iter().zip(1..) {
        assert_eq!(other.durable().await.expect("an index"), wanted);
    }
    assert_eq!(thread.join().expect("an end").expect("an index"), 16);
    assert_eq!((disk.counts().0, queue.durable().next_index), (2, 17));
}

#[tokio::test]
async fn filed_is_committed_though_nobody_waits() {
    let queue = Arc::new(Queue::new(Box::new(MemoryBackend::new()), Head::empty(), Arc::new(Stopped)));
    let held = Arc::new(());
    let (release, until) = mpsc::channel::<()>();
    let disk = FaultyBackend::new(MemoryBackend::new());
    disk.hold(until);
    let slow = Arc::new(Queue::new(Box::new(disk), Head::empty(), Arc::new(Stopped)));
    drop(file(&queue, Arc::default()));
    drop(file(&slow, Arc::clone(&held)));
    assert_eq!(Arc::strong_count(&held), 2, "what is not durable keeps what it holds");
    drop(release);
    for queue in [&queue, &slow] {
        while queue.durable().next_index < 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    // The turn that made it durable lets go within the same lock.
    assert_eq!((lock(&slow.line).busy, Arc::strong_count(&held)), (false, 1));
}

#[tokio::test]
async fn tasks_behind_a_failure_fail_with_it() {
    for fault in [Fault::Failed(BackendError::DiskFull), Fault::FailedButPersisted, Fault::Panicked] {
        let disk = FaultyBackend::new(MemoryBackend::new());
        let queue = Arc::new(Queue::new(Box::new(disk.clone()), Head::empty(), Arc::new(Stopped)));
        disk.fail(0, fault.clone());
        let (release, until) = mpsc::channel::<()>();
        disk.hold(until);
        let first = file(&queue, Arc::default());
        while !lock(&queue.line).busy {
            tokio::task::yield_now().await;
        }
        let held = Arc::new(());
        let behind = file(&queue, Arc::clone(&held));
        drop(release);
        assert!(first.durable().await.is_err() && behind.durable().await.is_err(), "{fault:?}");
        assert_eq!((Arc::strong_count(&held), queue.durable().next_index), (1, 0), "{fault:?}");
        let goes_on = matches!(fault, Fault::Failed(_));
        assert_eq!(file(&queue, Arc::default()).durable().await.is_ok(), goes_on, "{fault:?}");
    }
}

#[test]
fn runtime_that_ends_leaves_nobody_waiting() {
    let queue = Arc::new(Queue::new(Box::new(MemoryBackend::new()), Head::empty(), Arc::new(Stopped)));
    let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let gone = runtime();
    let handle = gone.handle().clone();
    gone.shutdown_background();
    let filed = {
        let _within = handle.enter();
        file(&queue, Arc::default())
    };
    let ended = runtime().block_on(filed.durable());
    assert!(matches!(ended, Err(LedgerError::ShuttingDown)), "{ended:?}");
    assert_eq!(append(&queue, 1).expect("an index"), 0, "nothing of it is in the chain");
}

#[test]
fn entry_never_goes_past_the_chain() {
    let queue = Arc::new(Queue::new(Box::new(MemoryBackend::new()), Head::empty(), Arc::new(Stopped)));
    let stray = StoredEntry { index: 0, hash: Digest::ZERO, bytes: Vec::new() };
    let batch = Batch { entries: vec![stray], ..Batch::default() };
    assert!(matches!(queue.commit_aside(batch), Err(LedgerError::Misuse(_))));
}
