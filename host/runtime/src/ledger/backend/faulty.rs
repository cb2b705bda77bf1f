//! Backends for tests: one that is kept when its ledger is gone, counts what it is asked, and fails when told to.
//!
//! It polices its user as well: after a commit that failed for good, a question is a bug in whoever asks.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::mpsc::Receiver;

use ringfence_model::digest::Digest;
use ringfence_model::id::CallId;
use ringfence_model::principal::Principal;

use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::FactKind;
use crate::ledger::backend::StoredCheckpoint;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;

/// How a commit fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The batch is not there.
    Failed(BackendError),
    /// The batch is there, and the writer is told that it is not.
    FailedButPersisted,
    /// The backend panics: a bug of its own.
    Panicked,
}

#[derive(Debug)]
struct Disk {
    inner: Box<dyn Backend>,
    fault: Option<(u64, Fault)>,
    question_fault: Option<(u64, BackendError)>,
    scrub_fault: Option<Fault>,
    hold: Option<Receiver<()>>,
    stopped: bool,
    commits: u64,
    questions: Mutex<u64>,
    facts_read: Mutex<u64>,
    batches: Vec<Batch>,
}

/// A disk that outlives who writes to it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct FaultyBackend(Arc<Mutex<Disk>>);

impl FaultyBackend {
    pub(crate) fn new(inner: impl Backend + 'static) -> Self {
        let inner = Box::new(inner);
        let (questions, facts_read) = (Mutex::default(), Mutex::default());
        let disk = Disk {
            inner,
            fault: None,
            question_fault: None,
            scrub_fault: None,
            hold: None,
            stopped: false,
            commits: 0,
            questions,
            facts_read,
            batches: Vec::new(),
        };
        Self(Arc::new(Mutex::new(disk)))
    }

    /// The `nth` commit from now on fails, counted from 0.
    pub(crate) fn fail(&self, nth: u64, fault: Fault) {
        let mut disk = self.disk();
        disk.fault = Some((disk.commits + nth, fault));
    }

    /// The `nth` question from now on fails, counted from 0. A question persists nothing, so it fails in one way.
    pub(crate) fn fail_question(&self, nth: u64, error: BackendError) {
        let asked = self.counts().1;
        self.disk().question_fault = Some((asked + nth, error));
    }

    /// The next scrub fails.
    pub(crate) fn fail_scrub(&self, fault: Fault) {
        self.disk().scrub_fault = Some(fault);
    }

    /// The next commit waits until the other end is dropped.
    pub(crate) fn hold(&self, until: Receiver<()>) {
        self.disk().hold = Some(until);
    }

    /// As after a restart: the fault is gone and the disk may be asked again.
    pub(crate) fn restart(&self) -> Self {
        let mut disk = self.disk();
        disk.fault = None;
        disk.question_fault = None;
        disk.scrub_fault = None;
        disk.stopped = false;
        drop(disk);
        self.clone()
    }

    /// How many commits and how many questions there have been.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let disk = self.disk();
        let questions = *disk.questions.lock().expect("a count");
        (disk.commits, questions)
    }

    /// How many facts were handed out.
    pub(crate) fn facts_read(&self) -> u64 {
        *self.disk().facts_read.lock().expect("a count")
    }

    /// What has been committed, in order.
    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.disk().batches.clone()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("a disk")
    }

    fn ask<T>(&self, question: impl FnOnce(&dyn Backend) -> Result<T, BackendError>) -> Result<T, BackendError> {
        let disk = self.disk();
        assert!(!disk.stopped, "the backend was asked something after a commit had failed");
        let mut asked = disk.questions.lock().expect("a count");
        let due = disk.question_fault.clone().filter(|(nth, _)| *nth == *asked);
        *asked += 1;
        match due {
            Some((_, error)) => Err(error),
            None => question(disk.inner.as_ref()),
        }
    }
}

impl Backend for FaultyBackend {
    fn is_shared(&self) -> bool {
        self.disk().inner.is_shared()
    }

    fn take_pen(&mut self) -> Result<bool, BackendError> {
        self.disk().inner.take_pen()
    }

    fn give_pen(&mut self) -> Result<(), BackendError> {
        self.disk().inner.give_pen()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), BackendError> {
        let mut disk = self.disk();
        if let Some(until) = disk.hold.take() {
            let _ = until.recv();
        }
        assert!(!disk.stopped, "the backend was asked to commit after a commit had failed");
        let due = disk.fault.clone().filter(|(nth, _)| *nth == disk.commits);
        disk.commits += 1;
        match due {
            None => {
                disk.batches.push(batch.clone());
                disk.inner.commit(batch)
            }
            Some((_, Fault::Failed(error))) => {
                disk.stopped = !error.leaves_nothing();
                Err(error)
            }
            Some((_, Fault::FailedButPersisted)) => {
                disk.stopped = true;
                disk.inner.commit(batch)?;
                Err(BackendError::Io("the sync failed".into()))
            }
            Some((_, Fault::Panicked)) => {
                disk.stopped = true;
                drop(disk);
                panic!("the backend was told to panic");
            }
        }
    }

    fn scrub(&mut self) -> Result<(), BackendError> {
        let mut disk = self.disk();
        match disk.scrub_fault.take() {
            None => disk.inner.scrub(),
            Some(Fault::Failed(error)) => Err(error),
            Some(Fault::FailedButPersisted) => {
                disk.inner.scrub()?;
                Err(BackendError::Io("the sync failed".into()))
            }
            Some(Fault::Panicked) => panic!("the backend was told to panic"),
        }
    }

    fn head(&self) -> Result<Option<StoredEntry>, BackendError> {
        self.ask(|inner| inner.head())
    }

    fn entry(&self, index: u64) -> Result<Option<StoredEntry>, BackendError> {
        self.ask(|inner| inner.entry(index))
    }

    fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, BackendError> {
        self.ask(|inner| inner.entries(from, limit))
    }

    fn content(&self, key: &ContentKey) -> Result<Option<StoredContent>, BackendError> {
        self.ask(|inner| inner.content(key))
    }

    fn content_length(&self, key: &ContentKey) -> Result<Option<u64>, BackendError> {
        self.ask(|inner| inner.content_length(key))
    }

    fn call(&self, call: &CallId) -> Result<Option<CallRow>, BackendError> {
        self.ask(|inner| inner.call(call))
    }

    fn call_by_key(&self, principal: &Principal, key: &Digest) -> Result<Option<CallRow>, BackendError> {
        self.ask(|inner| inner.call_by_key(principal, key))
    }

    fn open_calls(&self) -> Result<Vec<CallRow>, BackendError> {
        self.ask(|inner| inner.open_calls())
    }

    fn unknown_calls(&self, from: u64, limit: usize) -> Result<Vec<CallRow>, BackendError> {
        self.ask(|inner| inner.unknown_calls(from, limit))
    }

    fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Vec<u8>>, BackendError> {
        let found = self.ask(|backend| backend.fact(kind, key))?;
        *self.disk().facts_read.lock().expect("a count") += u64::from(found.is_some());
        Ok(found)
    }

    fn facts(&self, kind: FactKind, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, BackendError> {
        let found = self.ask(|backend| backend.facts(kind, after, limit))?;
        *self.disk().facts_read.lock().expect("a count") += super::length(found.len());
        Ok(found)
    }

    fn node(&self, level: u32, index: u64) -> Result<Option<Digest>, BackendError> {
        self.ask(|inner| inner.node(level, index))
    }

    fn latest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, BackendError> {
        self.ask(|inner| inner.latest_checkpoint())
    }

    fn checkpoint_covering(&self, size: u64) -> Result<Option<StoredCheckpoint>, BackendError> {
        self.ask(|inner| inner.checkpoint_covering(size))
    }
}
