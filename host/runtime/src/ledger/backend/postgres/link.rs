//! The connection to a server, on a thread of its own.
//!
//! The ledger is synchronous and may be asked on any thread, one that drives other work among them, so the runtime that
//! the connection needs lives where nobody else's does. Work goes there one piece at a time and each gets an answer, or
//! the end of its time. Whatever fails in a way that leaves open what became of it ends the connection: the next piece
//! of work makes a new one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;
use tokio_postgres::Client;
use tokio_postgres::Row;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use crate::descriptors;
use crate::lease::HostLease;
use crate::lease::Moment;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::postgres::Access;
use crate::ledger::backend::postgres::column;
use crate::ledger::backend::postgres::connect::connect;
use crate::ledger::backend::postgres::error::failed;
use crate::ledger::backend::postgres::schema;
use crate::ledger::backend::postgres::sql;
use crate::ledger::backend::postgres::write::Place;
use crate::ledger::backend::postgres::write::write;

/// How long a piece of work may take, and one that writes a whole table anew.
pub(super) const WORK_TIME: Duration = Duration::from_secs(30);
const SCRUB_TIME: Duration = Duration::from_hours(1);
/// How long to wait for the pen; somebody who stopped with it loses it before that.
const PEN_WAIT: Duration = Duration::from_secs(20);
/// After how long without work the lease is renewed; it lasts some times as long.
const RENEW_TIME: Duration = Duration::from_secs(2);
/// How long to wait for the server to hear that the connection ends.
const GOODBYE_TIME: Duration = Duration::from_secs(2);

/// What a statement is given.
pub(super) type Param = Box<dyn ToSql + Send + Sync>;
pub(super) type Params = Vec<Param>;

/// What a log is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To make it.
    Create,
    /// To read it, and to change nothing.
    Read,
    /// To append to it.
    Write,
}

/// A piece of work.
pub(super) enum Work {
    /// Makes a batch durable that goes on from the entry before `next`.
    Commit { batch: Box<Batch>, next: u64 },
    /// Gives the pen back.
    GivePen,
    /// Asks something.
    Rows { sql: &'static str, params: Params },
    /// Rewrites what held contents.
    Scrub,
    /// Takes over the calls of hosts that are gone.
    TakeOver,
    /// Waits for the pen.
    TakePen,
}

/// What came of a piece of work.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was done.
    Done,
    /// What was asked for.
    Rows(Vec<Row>),
    /// The pen was taken. Whether anybody else has written since it was had last.
    Pen { is_news: bool },
}

struct Job {
    work: Work,
    answer: SyncSender<Result<Answer, BackendError>>,
}

/// A thread with a connection.
#[derive(Debug)]
pub(super) struct Link {
    jobs: Option<UnboundedSender<Job>>,
    lease: HostLease,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Connects, and finds a log of a schema that this version knows, or makes one.
    pub(super) fn open(access: Access, purpose: Purpose) -> Result<Self, BackendError> {
        let (jobs, queue) = unbounded_channel();
        let (opened, answer) = sync_channel(1);
        let lease = HostLease::default();
        let access = Arc::new(access);
        let worker = Worker { access, purpose, session: None, has_read: false, epoch: None, lease: lease.clone() };
        // CR-33: tokio panics where it finds none.
        descriptors::left_for_a_runtime().map_err(|error| no_runtime(&error))?;
        let body = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = opened.send(Err(no_runtime(&error)));
                    return;
                }
            };
            runtime.block_on(serve(worker, opened, queue));
        };
        let thread = thread::Builder::new().name("ledger-postgres".to_owned()).spawn(body);
        let thread = thread.map_err(|error| BackendError::Io(format!("no thread can be had: {error}")))?;
        let link = Self { jobs: Some(jobs), lease, thread: Some(thread) };
        answer.recv().unwrap_or_else(|_| Err(ended()))?;
        Ok(link)
    }

    /// The lease of this host on what it has begun.
    pub(super) fn lease(&self) -> HostLease {
        self.lease.clone()
    }

    /// Has a piece of work done.
    pub(super) fn work(&self, work: Work) -> Result<Answer, BackendError> {
        let (answer, answered) = sync_channel(1);
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(Job { work, answer }));
        match sent {
            Some(Ok(())) => answered.recv().unwrap_or_else(|_| Err(ended())),
            _ => Err(ended()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // Ownership: the server has let go of what the connection held when the thread has ended.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) fn no_runtime(error: &io::Error) -> BackendError {
    BackendError::Io(format!("no connection to its database can be begun: {error}"))
}

fn ended() -> BackendError {
    BackendError::Other("the thread of its connection has ended".to_owned())
}

async fn serve(mut worker: Worker, opened: SyncSender<Result<(), BackendError>>, mut queue: UnboundedReceiver<Job>) {
    let first = in_time(WORK_TIME, worker.session()).await.map(|_| ());
    let failed = first.is_err();
    let _ = opened.send(first);
    if failed {
        return;
    }
    if worker.purpose == Purpose::Create {
        worker.purpose = Purpose::Write;
    }
    let mut due = Instant::now() + RENEW_TIME;
    loop {
        match tokio::time::timeout_at(due.into(), queue.recv()).await {
            Ok(Some(Job { work, answer })) => {
                let _ = answer.send(worker.answer(work).await);
            }
            Ok(None) => break,
            Err(_) => {}
        }
        // However much there is to do: a host that works is there.
        if Instant::now() >= due {
            worker.renew().await;
            due = Instant::now() + RENEW_TIME;
        }
    }
    worker.give_up().await;
    worker.leave().await;
}

pub(super) async fn in_time<T>(
    time: Duration,
    work: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    let late = || BackendError::Lost(format!("it did not answer within {} seconds", time.as_secs()));
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(late()))
}

/// Says over a connection of its own that a host is there, for as long as something else keeps the one that it has: the lease
/// is shorter than a piece of work may take, and what runs meanwhile has nothing to do with that.
async fn keep_heard_of(access: Arc<Access>, epoch: Option<i64>, lease: HostLease) -> Infallible {
    let mut kept: Option<Session> = None;
    loop {
        tokio::time::sleep(RENEW_TIME).await;
        let Some(epoch) = epoch else { continue };
        let known = kept.take();
        let renewed = in_time(WORK_TIME, async {
            let mut session = match known {
                Some(session) if !session.is_closed() => session,
                _ => {
                    let session = connect(&access).await?;
                    session.execute_plainly(sql::SETTINGS).await?;
                    session
                }
            };
            session.renew(epoch, &lease).await?;
            Ok(session)
        });
        kept = renewed.await.ok();
    }
}

struct Worker {
    access: Arc<Access>,
    purpose: Purpose,
    session: Option<Session>,
    /// Whether there was a session to read.
    has_read: bool,
    /// What this host has entered as. It is for good: a host that was taken over does not come back as another.
    epoch: Option<i64>,
    /// What others are told of it, who run calls.
    lease: HostLease,
}

impl Worker {
    async fn answer(&mut self, work: Work) -> Result<Answer, BackendError> {
        let time = if matches!(work, Work::Scrub) { SCRUB_TIME } else { WORK_TIME };
        let is_commit = matches!(work, Work::Commit { .. });
        // IDM-06: others' calls are not stopped because one of them has much to write down.
        let heard_of = keep_heard_of(Arc::clone(&self.access), self.epoch, self.lease.clone());
        let answer = tokio::select! {
            biased;
            answer = in_time(time, Box::pin(self.done(work))) => answer,
            never = heard_of => match never {},
        };
        if answer.as_ref().is_err_and(|error| !(is_commit && error.leaves_nothing())) {
            // A connection that failed once is not asked again: what it was at is not known. A batch that left nothing was
            // undone as a whole; whatever else fails may leave the pen behind.
            self.leave().await;
        }
        answer
    }

    async fn done(&mut self, work: Work) -> Result<Answer, BackendError> {
        match work {
            Work::Commit { batch, next } => {
                let (session, epoch) = self.with_pen()?;
                let batches = write(session, &batch, Place { next, epoch }).await?;
                session.seen = Some(batches);
                Ok(Answer::Done)
            }
            Work::GivePen => {
                let (session, _) = self.with_pen()?;
                session.has_pen = false;
                session.execute_plainly(sql::GIVE_PEN).await.map(|()| Answer::Done)
            }
            Work::Rows { sql, params } => self.session().await?.rows(sql, &params).await.map(Answer::Rows),
            Work::Scrub => self.scrub().await.map(|()| Answer::Done),
            Work::TakeOver => self.with_pen()?.0.execute_plainly(sql::TAKE_OVER).await.map(|()| Answer::Done),
            Work::TakePen => {
                let was_there = self.session.is_some();
                match self.take_pen().await {
                    // The connection ended since the last call, and nothing was asked of it that could be in doubt.
                    Err(BackendError::Lost(_)) if was_there => {
                        self.leave().await;
                        self.take_pen().await
                    }
                    taken => taken,
                }
            }
        }
    }

    async fn take_pen(&mut self) -> Result<Answer, BackendError> {
        if self.purpose == Purpose::Read {
            return Err(BackendError::ReadOnly);
        }
        let (entered, lease) = (self.epoch, self.lease.clone());
        let session = self.session().await?;
        let started = Instant::now();
        loop {
            match session.execute_plainly(sql::TAKE_PEN).await {
                Err(BackendError::InUse) if started.elapsed() < PEN_WAIT => {}
                result => break result?,
            }
            // Whoever waits is there.
            if let Some(epoch) = entered {
                session.renew(epoch, &lease).await?;
            }
        }
        session.has_pen = true;
        let epoch = match entered {
            None => session.enter(&lease).await?,
            Some(epoch) => session.renew(epoch, &lease).await?,
        };
        let batches = session.number(sql::BATCHES, &[]).await?;
        let is_news = session.seen.is_none() || session.seen != batches;
        session.seen = batches;
        self.epoch = Some(epoch.ok_or(BackendError::Fenced)?);
        Ok(Answer::Pen { is_news })
    }

    /// Has the table of contents written anew, over a connection of its own: it may take long, and this host is there all
    /// the while.
    async fn scrub(&mut self) -> Result<(), BackendError> {
        let other = connect(&self.access).await?;
        other.execute_plainly(sql::SETTINGS).await?;
        let mut scrubbed = std::pin::pin!(other.execute_plainly(sql::SCRUB));
        loop {
            tokio::select! {
                done = &mut scrubbed => return done,
                () = tokio::time::sleep(RENEW_TIME) => self.renew().await,
            }
        }
    }

    /// The session, if it has the pen. One that has taken the place of another does not.
    fn with_pen(&mut self) -> Result<(&mut Session, i64), BackendError> {
        let session = self.session.as_mut().filter(|session| session.has_pen && !session.is_closed());
        session.zip(self.epoch).ok_or_else(|| BackendError::Lost("and the pen is lost with it".to_owned()))
    }

    /// Says that this host is there, so that nobody takes over its calls. If it can't be said, taking the pen tells.
    async fn renew(&mut self) {
        if let Some(epoch) = self.epoch {
            let lease = self.lease.clone();
            let renewed = in_time(WORK_TIME, async { self.session().await?.renew(epoch, &lease).await });
            if renewed.await.is_err() {
                self.leave().await;
            }
        }
    }

    /// Says that nobody need wait for this host.
    async fn give_up(&mut self) {
        if let (Some(epoch), Some(session)) = (self.epoch, self.session.as_mut()) {
            let _ = in_time(GOODBYE_TIME, session.rows(sql::GIVE_UP, &[Box::new(epoch)])).await;
        }
    }

    /// The session there is, or a new one.
    async fn session(&mut self) -> Result<&mut Session, BackendError> {
        if self.session.as_ref().is_none_or(Session::is_closed) {
            self.session = None;
            if self.purpose == Purpose::Read && std::mem::replace(&mut self.has_read, true) {
                return Err(BackendError::Lost("what was read of it was as of another moment".to_owned()));
            }
            let mut session = connect(&self.access).await?;
            schema::prepare(&mut session, self.purpose, &self.access).await?;
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

/// One connection, and the statements that it knows.
pub(super) struct Session {
    client: Client,
    driver: tokio::task::JoinHandle<()>,
    statements: HashMap<&'static str, Statement>,
    /// Whether nobody else writes.
    has_pen: bool,
    /// How many batches the log had when this host looked or wrote last, over this connection. Another may lead to a server
    /// that has lost some.
    seen: Option<i64>,
}

impl Session {
    pub(super) fn new(client: Client, driver: tokio::task::JoinHandle<()>) -> Self {
        Self { client, driver, statements: HashMap::new(), has_pen: false, seen: None }
    }

    /// Whether nothing can be asked any more.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Ends the connection, and with it whatever the server holds for it.
    pub(super) async fn leave(self) {
        drop(self.client);
        let _ = tokio::time::timeout(GOODBYE_TIME, self.driver).await;
    }

    /// Asks something, or does something, with parameters.
    pub(super) async fn rows(&mut self, sql: &'static str, params: &[Param]) -> Result<Vec<Row>, BackendError> {
        let statement = self.statement(sql).await?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| -> &(dyn ToSql + Sync) { &**param }).collect();
        self.client.query(&statement, &params).await.map_err(|error| failed(&error))
    }

    /// The number in the first column of the first row.
    async fn number(&mut self, sql: &'static str, params: &[Param]) -> Result<Option<i64>, BackendError> {
        self.rows(sql, params).await?.first().map(|row| column(row, 0)).transpose()
    }

    /// Enters as a host: the epoch it has from now on.
    async fn enter(&mut self, lease: &HostLease) -> Result<Option<i64>, BackendError> {
        let asked = Moment::now();
        let epoch = self.number(sql::ENTER, &[]).await?;
        lease.renewed(asked);
        Ok(epoch)
    }

    /// Says that a host is there; none if it was taken over.
    async fn renew(&mut self, epoch: i64, lease: &HostLease) -> Result<Option<i64>, BackendError> {
        let asked = Moment::now();
        let renewed = self.number(sql::RENEW, &[Box::new(epoch)]).await?;
        match renewed {
            Some(_) => lease.renewed(asked),
            None => lease.lose(),
        }
        Ok(renewed)
    }

    /// Does something without parameters, as it stands.
    pub(super) async fn execute_plainly(&self, sql: &str) -> Result<(), BackendError> {
        self.client.batch_execute(sql).await.map_err(|error| failed(&error))
    }

    async fn statement(&mut self, sql: &'static str) -> Result<Statement, BackendError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(|error| failed(&error))?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}
