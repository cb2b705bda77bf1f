//! The queue: where entries get their link, and where calls wait for the disk together.
//!
//! A writer adds its entries to the batch that waits and then waits for its round. Whoever finds nobody at the disk
//! commits the whole batch, for everybody who is in it: one sync for all who wait. Only this module moves the head of
//! the chain, and only this module writes to the backend.
//!
//! Who waits on a thread of its own may be the one at the disk. Who must not block files its page and waits as a task: a
//! *driver*, one job on a thread that may block, commits for all of these until nothing waits. What was filed is committed
//! whatever becomes of who waits for it.
//!
//! Locks: `line` and `door` are never held together, so that the next batch can form while one is being synced.

mod page;
mod pen;

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use ringfence_audit::chain::Head;
use ringfence_model::time::Clock;
use tokio::runtime::Handle;
use tokio::sync::SetOnce;

use crate::lease::HostLease;
use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::error::LedgerError;
use crate::ledger::queue::pen::Inside;

pub(super) use page::Page;
pub(crate) use pen::Pen;

/// Locks, whoever panicked before: nothing that is kept behind these locks is ever left half changed.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is let go when what was written is durable, or is known not to be.
type Held = Box<dyn fmt::Debug + Send>;

/// The result of one commit, for everybody who waits for it.
#[derive(Debug, Default)]
struct Round(SetOnce<Result<(), LedgerError>>);

impl Round {
    fn settle(&self, result: Result<(), LedgerError>) {
        // A round is settled by whoever took it out of the line, and once.
        let _ = self.0.set(result);
    }
}

/// What is in the queue, and not to be acted on before it is durable.
#[derive(Debug)]
#[must_use = "nothing may be answered that is not durable"]
pub(crate) struct Filed<T> {
    written: T,
    /// None if there was nothing to write.
    round: Option<Arc<Round>>,
}

impl<T> Filed<T> {
    /// Something that needs nothing written.
    pub(in crate::ledger) const fn at_once(written: T) -> Self {
        Self { written, round: None }
    }

    /// Waits, as a task, until it is durable.
    pub(crate) async fn durable(self) -> Result<T, LedgerError> {
        if let Some(round) = self.round {
            round.0.wait().await.clone()?;
        }
        Ok(self.written)
    }
}

/// The batch that waits, and the chain up to its end.
#[derive(Debug)]
struct Line {
    /// Where the chain ends on disk.
    durable: Head,
    /// Where it ends with all that waits.
    head: Head,
    batch: Batch,
    held: Vec<Held>,
    /// Somebody has put something into the batch.
    waits: bool,
    round: Arc<Round>,
    /// Somebody is at the disk.
    busy: bool,
    /// A driver has been asked for, and has not started.
    is_called: bool,
    /// Where drivers run, if somebody waits as a task.
    runtime: Option<Handle>,
}

impl Line {
    fn of(durable: Head) -> Self {
        Self {
            durable,
            head: durable,
            batch: Batch::default(),
            held: Vec::new(),
            waits: false,
            round: Arc::default(),
            busy: false,
            is_called: false,
            runtime: None,
        }
    }

    fn add<T>(
        &mut self,
        clock: Arc<dyn Clock>,
        write: impl FnOnce(&mut Page) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut page = Page { clock, head: self.head, time: None, batch: Batch::default(), held: Vec::new() };
        let written = write(&mut page)?;
        let Page { head, batch, held, .. } = page;
        self.head = head;
        self.batch.absorb(batch);
        self.held.extend(held);
        self.waits = true;
        Ok(written)
    }

    /// What waits fails: it is linked to entries that are not there.
    fn fail(&mut self, error: &LedgerError) {
        self.head = self.durable;
        self.batch = Batch::default();
        self.waits = false;
        mem::take(&mut self.round).settle(Err(error.clone()));
        self.held.clear();
    }
}

/// The backend, and whether it can still be believed.
struct Door {
    backend: Box<dyn Backend>,
    is_shared: bool,
    /// Whether others may have written what this host has not looked at yet.
    is_stale: bool,
    stopped: Option<BackendError>,
}

impl Door {
    fn commit(&mut self, batch: Batch) -> Result<(), LedgerError> {
        self.check()?;
        // Durability: unless the backend says what became of the batch, what is on disk is not known any more, and a
        // sync that failed once would report success the next time for bytes that were dropped (CR-23). Only reading
        // the disk anew can tell. It is set before, for a backend that panics says nothing.
        self.stopped = Some(panicked());
        let result = self.backend.commit(batch);
        self.stopped = result.as_ref().err().filter(|error| !self.goes_on_after(error)).cloned();
        Ok(result?)
    }

    /// A log that is shared is read anew whenever the pen is taken, and with a connection the pen is lost.
    fn goes_on_after(&self, error: &BackendError) -> bool {
        error.leaves_nothing() || (self.is_shared && matches!(error, BackendError::Lost(_) | BackendError::InUse))
    }

    fn check(&self) -> Result<(), LedgerError> {
        match &self.stopped {
            Some(error) => Err(LedgerError::Stopped(error.clone())),
            None => Ok(()),
        }
    }
}

/// What is said of a commit that came to no end.
fn panicked() -> BackendError {
    BackendError::Other("it panicked during a commit".to_owned())
}

/// One turn at the disk. When it is over, and a panic ends it too, everybody who waits is told.
struct Turn<'a> {
    queue: &'a Queue,
    round: Arc<Round>,
    held: Vec<Held>,
    /// Where the chain ends with the batch.
    head: Head,
    result: Result<(), LedgerError>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = lock(&self.queue.line);
        line.busy = false;
        match &self.result {
            Ok(()) => line.durable = self.head,
            Err(error) => line.fail(error),
        }
        self.held.clear();
        self.round.settle(self.result.clone());
        self.queue.turned.notify_all();
    }
}

/// A driver that has been asked for. If it is never started, for the runtime ends, those who wait for it are told.
struct Driver {
    queue: Arc<Queue>,
    has_started: bool,
}

impl Driver {
    fn run(mut self) {
        self.has_started = true;
        let mut line = lock(&self.queue.line);
        line.is_called = false;
        // A thread that came first hands on what waits when it is done.
        while line.waits && !line.busy {
            line = self.queue.turn(line);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.has_started {
            return;
        }
        let mut line = lock(&self.queue.line);
        line.is_called = false;
        if !line.busy {
            line.fail(&LedgerError::ShuttingDown);
            self.queue.turned.notify_all();
        }
    }
}

/// The queue.
pub(super) struct Queue {
    clock: Arc<dyn Clock>,
    line: Mutex<Line>,
    turned: Condvar,
    door: Mutex<Door>,
    is_shared: bool,
    inside: Mutex<Inside>,
    moved: Condvar,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("durable", &self.durable()).finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue before a backend whose chain ends at `head`.
    pub(super) fn new(backend: Box<dyn Backend>, head: Head, clock: Arc<dyn Clock>) -> Self {
        let is_shared = backend.is_shared();
        Self {
            clock,
            line: Mutex::new(Line::of(head)),
            turned: Condvar::new(),
            door: Mutex::new(Door { backend, is_shared, is_stale: false, stopped: None }),
            is_shared,
            inside: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    /// Whether other hosts write to the log as well.
    pub(super) const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// This host's lease on what it has begun.
    pub(super) fn host_lease(&self) -> HostLease {
        lock(&self.door).backend.host_lease()
    }

    /// Takes over the calls of hosts that are gone.
    pub(super) fn take_over(&self) -> Result<(), LedgerError> {
        let mut door = lock(&self.door);
        door.check()?;
        Ok(door.backend.take_over()?)
    }

    /// Where the chain ends on disk.
    pub(super) fn durable(&self) -> Head {
        lock(&self.line).durable
    }

    /// Asks the backend something.
    pub(super) fn read<T>(
        &self,
        question: impl FnOnce(&dyn Backend) -> Result<T, BackendError>,
    ) -> Result<T, LedgerError> {
        let door = lock(&self.door);
        door.check()?;
        Ok(question(door.backend.as_ref())?)
    }

    /// Commits what is no entry: nodes of the tree, a checkpoint.
    pub(super) fn commit_aside(&self, batch: Batch) -> Result<(), LedgerError> {
        if !batch.entries.is_empty() {
            return Err(LedgerError::Misuse("an entry was written past the chain"));
        }
        lock(&self.door).commit(batch)
    }

    /// Has the backend see to what was removed.
    pub(super) fn scrub(&self) -> Result<(), LedgerError> {
        let mut door = lock(&self.door);
        door.check()?;
        Ok(door.backend.scrub()?)
    }

    /// Adds what `write` puts on its page, and returns when that is durable. If `write` fails, nothing is added.
    pub(super) fn append<T>(
        self: &Arc<Self>,
        write: impl FnOnce(&mut Page) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut line = lock(&self.line);
        let written = line.add(Arc::clone(&self.clock), write)?;
        let round = Arc::clone(&line.round);
        self.wait(line, &round)?;
        Ok(written)
    }

    /// The same without waiting; outside of a runtime, where nobody would commit it otherwise, it waits.
    pub(super) fn file<T>(
        self: &Arc<Self>,
        write: impl FnOnce(&mut Page) -> Result<T, LedgerError>,
    ) -> Result<Filed<T>, LedgerError> {
        let Ok(runtime) = Handle::try_current() else { return self.append(write).map(Filed::at_once) };
        let mut line = lock(&self.line);
        let written = line.add(Arc::clone(&self.clock), write)?;
        line.runtime = Some(runtime);
        let round = Some(Arc::clone(&line.round));
        self.call_driver(line);
        Ok(Filed { written, round })
    }

    /// Sees to it that what waits is committed, also if nobody waits for it on a thread.
    fn call_driver(self: &Arc<Self>, mut line: MutexGuard<'_, Line>) {
        if !line.waits || line.busy || line.is_called {
            return;
        }
        let Some(runtime) = line.runtime.clone() else { return };
        line.is_called = true;
        drop(line);
        let driver = Driver { queue: Arc::clone(self), has_started: false };
        drop(runtime.spawn_blocking(|| driver.run()));
    }

    fn wait<'a>(self: &'a Arc<Self>, mut line: MutexGuard<'a, Line>, round: &Round) -> Result<(), LedgerError> {
        loop {
            if let Some(result) = round.0.get() {
                return result.clone();
            }
            if line.busy {
                line = self.turned.wait(line).unwrap_or_else(PoisonError::into_inner);
            } else {
                self.call_driver(self.turn(line));
                line = lock(&self.line);
            }
        }
    }

    /// Commits the batch that waits.
    fn turn<'a>(&'a self, mut line: MutexGuard<'a, Line>) -> MutexGuard<'a, Line> {
        (line.busy, line.waits) = (true, false);
        let (batch, held, round) = (mem::take(&mut line.batch), mem::take(&mut line.held), mem::take(&mut line.round));
        let mut turn = Turn { queue: self, round, held, head: line.head, result: Err(panicked().into()) };
        drop(line);
        turn.result = lock(&self.door).commit(batch);
        drop(turn);
        lock(&self.line)
    }
}

#[cfg(test)]
mod tests;
