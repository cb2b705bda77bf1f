//! The head of a log in a `PostgreSQL` database: its newest checkpoint, in a second place.
//!
//! Owns one table, `ringfence_heads.heads`, with a row for each log by its origin, and the connection to it, on a thread of
//! its own. What replaces a head is one statement that compares and swaps, so of two who have seen the same one only one
//! gets its own in. A lock of the server's keeps them from signing at the same time besides; it goes with the connection.
//! What a head says is not this module's to judge.

use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits::CHECKPOINT_BYTES_MAX;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;
use tokio_postgres::Row;

use crate::descriptors;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::postgres::Access;
use crate::ledger::backend::postgres::column;
use crate::ledger::backend::postgres::connect::connect;
use crate::ledger::backend::postgres::link::Params;
use crate::ledger::backend::postgres::link::Purpose;
use crate::ledger::backend::postgres::link::Session;
use crate::ledger::backend::postgres::link::WORK_TIME;
use crate::ledger::backend::postgres::link::in_time;
use crate::ledger::backend::postgres::link::no_runtime;
use crate::ledger::backend::postgres::schema;
use crate::ledger::backend::postgres::sql;

/// How long to wait for another process to let go of the head. Holding it takes milliseconds.
const HELD_WAIT: Duration = Duration::from_secs(10);

enum Work {
    /// Finds out whether its server answers.
    Reach,
    /// Waits until nobody else replaces it, and reads it.
    Hold,
    Read,
    Release,
    Swap {
        from: Option<String>,
        to: String,
    },
}

enum Answer {
    Done,
    Note(Option<String>),
    /// Whether it still said what it was taken to say, and says the new note now.
    IsSwapped(bool),
}

struct Job {
    work: Work,
    answer: SyncSender<Result<Answer, BackendError>>,
}

/// The head of one log. It connects when it is asked something.
#[derive(Debug)]
pub struct HeadRow {
    jobs: Option<UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The head of one log, while nobody else replaces it.
#[derive(Debug)]
pub struct HeldRow<'a> {
    row: &'a HeadRow,
}

impl HeadRow {
    /// The head of the log of this origin.
    pub fn new(access: Access, origin: &str) -> Result<Self, BackendError> {
        // CR-33: tokio panics where it finds none.
        let spare = descriptors::left_for_a_runtime();
        let runtime = spare.and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
        let runtime = runtime.map_err(|error| no_runtime(&error))?;
        let (jobs, queue) = unbounded_channel();
        let worker = Worker { access, origin: origin.to_owned(), session: None };
        let thread = thread::Builder::new().name("head-postgres".to_owned());
        let thread = thread.spawn(move || worker.serve(&runtime, queue));
        let thread = thread.map_err(|error| BackendError::Io(format!("no thread can be had: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// What it says; none if there is none.
    pub fn read(&self) -> Result<Option<String>, BackendError> {
        self.note(Work::Read)
    }

    /// Finds out whether its server answers, and connects anew if it has gone away.
    pub fn reach(&self) -> Result<(), BackendError> {
        self.work(Work::Reach).map(drop)
    }

    /// Waits until nobody else replaces it: what it says then.
    pub fn hold(&self) -> Result<(HeldRow<'_>, Option<String>), BackendError> {
        // Ownership: whatever comes of it, what was taken is let go of.
        let held = HeldRow { row: self };
        let note = self.note(Work::Hold)?;
        Ok((held, note))
    }

    fn note(&self, work: Work) -> Result<Option<String>, BackendError> {
        match self.work(work)? {
            Answer::Note(note) => Ok(note),
            Answer::Done | Answer::IsSwapped(_) => Err(ended()),
        }
    }

    fn work(&self, work: Work) -> Result<Answer, BackendError> {
        let (answer, answered) = sync_channel(1);
        match self.jobs.as_ref().map(|jobs| jobs.send(Job { work, answer })) {
            Some(Ok(())) => answered.recv().unwrap_or_else(|_| Err(ended())),
            _ => Err(ended()),
        }
    }
}

impl HeldRow<'_> {
    /// As if it were held.
    #[cfg(test)]
    pub(crate) fn without_lock(row: &HeadRow) -> HeldRow<'_> {
        HeldRow { row }
    }

    /// Replaces it, if it still says `from`. Whether it did.
    pub fn swap(&self, from: Option<&str>, to: &str) -> Result<bool, BackendError> {
        let work = Work::Swap { from: from.map(str::to_owned), to: to.to_owned() };
        Ok(matches!(self.row.work(work)?, Answer::IsSwapped(true)))
    }
}

impl Drop for HeldRow<'_> {
    fn drop(&mut self) {
        // If it fails, the connection is gone, and the lock with it.
        let _ = self.row.work(Work::Release);
    }
}

impl Drop for HeadRow {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ended() -> BackendError {
    BackendError::Other("the thread of its connection has ended".to_owned())
}

struct Worker {
    access: Access,
    origin: String,
    session: Option<Session>,
}

impl Worker {
    fn serve(mut self, runtime: &Runtime, mut queue: UnboundedReceiver<Job>) {
        runtime.block_on(async {
            while let Some(Job { work, answer }) = queue.recv().await {
                let done = in_time(WORK_TIME, self.done(work)).await;
                if done.is_err() {
                    // A connection that failed once is not asked again, and what it held is let go of.
                    self.leave().await;
                }
                let _ = answer.send(done);
            }
            self.leave().await;
        });
    }

    async fn done(&mut self, work: Work) -> Result<Answer, BackendError> {
        match work {
            Work::Reach => {
                let was_there = self.session.is_some();
                let read = match self.read().await {
                    Err(BackendError::Lost(_)) if was_there => {
                        self.leave().await;
                        self.read().await
                    }
                    read => read,
                };
                read.map(|_| Answer::Done)
            }
            Work::Hold => {
                let was_there = self.session.is_some();
                let held = match self.hold().await {
                    // The connection ended since the last time, and nothing was asked of it that could be in doubt.
                    Err(BackendError::Lost(_)) if was_there => {
                        self.leave().await;
                        self.hold().await
                    }
                    held => held,
                };
                held.map(Answer::Note)
            }
            Work::Read => self.read().await.map(Answer::Note),
            Work::Release => self.release().await.map(|()| Answer::Done),
            Work::Swap { from, to } => self.swap(from, to).await.map(Answer::IsSwapped),
        }
    }

    async fn hold(&mut self) -> Result<Option<String>, BackendError> {
        let origin = self.origin.clone();
        let session = self.session().await?;
        session.execute_plainly(sql::MAKE_HEADS).await?;
        session.execute_plainly(sql::MIND_SILENCE).await?;
        let started = Instant::now();
        loop {
            match session.rows(sql::HOLD_HEAD, &[Box::new(origin.clone())]).await {
                Err(BackendError::InUse) if started.elapsed() < HELD_WAIT => {}
                held => {
                    held?;
                    break;
                }
            }
        }
        self.read().await
    }

    async fn read(&mut self) -> Result<Option<String>, BackendError> {
        let bytes_max = i32::try_from(CHECKPOINT_BYTES_MAX).unwrap_or(i32::MAX);
        let params: Params = vec![Box::new(self.origin.clone()), Box::new(bytes_max)];
        let session = self.session().await?;
        let has_heads = session.rows(sql::HAS_HEADS, &[]).await?;
        if !has_heads.first().map_or(Ok(false), |row| column(row, 0))? {
            return Ok(None);
        }
        session.rows(sql::HEAD, &params).await?.first().map(note_of).transpose()
    }

    async fn swap(&mut self, from: Option<String>, to: String) -> Result<bool, BackendError> {
        let mut params: Params = vec![Box::new(self.origin.clone()), Box::new(sql::HEADS_VERSION), Box::new(to)];
        // The lock has gone with the session that took it, and so has the right to replace anything.
        let session = self.session.as_mut().filter(|session| !session.is_closed());
        let session = session.ok_or_else(|| BackendError::Lost("its connection has ended".to_owned()))?;
        let swapped = match from {
            None => session.rows(sql::PUT_HEAD, &params).await?,
            Some(from) => {
                params.push(Box::new(from));
                session.rows(sql::SWAP_HEAD, &params).await?
            }
        };
        Ok(!swapped.is_empty())
    }

    async fn release(&mut self) -> Result<(), BackendError> {
        let Some(session) = self.session.as_mut() else { return Ok(()) };
        session.rows(sql::RELEASE_HEAD, &[Box::new(self.origin.clone())]).await?;
        session.execute_plainly(sql::ALLOW_SILENCE).await
    }

    async fn session(&mut self) -> Result<&mut Session, BackendError> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            self.session = None;
            let mut session = connect(&self.access).await?;
            session.execute_plainly(sql::SETTINGS).await?;
            schema::check_server(&mut session, Purpose::Write, &self.access).await?;
            self.session = Some(session);
        }
        self.session.as_mut().ok_or_else(ended)
    }

    async fn leave(&mut self) {
        if let Some(session) = self.session.take() {
            session.leave().await;
        }
    }
}

fn note_of(row: &Row) -> Result<String, BackendError> {
    let version = column::<i64>(row, 0)?;
    if version != sql::HEADS_VERSION {
        let known = sql::HEADS_VERSION;
        return Err(BackendError::Other(format!("it has version `{version}`, and this host knows version `{known}`")));
    }
    column::<Option<String>>(row, 1)?
        .ok_or_else(|| BackendError::Corrupt("it is larger than a checkpoint may be".to_owned()))
}
