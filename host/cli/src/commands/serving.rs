//! What a server is put together from: registered tools, loaded once, and a host that is open while it is needed.
//!
//! One process at a time holds a log. A server that runs for days must not keep an operator from approving, or another
//! agent's server from its calls, so [`SharedLog`] opens the log for a call and lets it go soon after the last one. What is
//! recorded is under a signed checkpoint by then.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_runtime::engine::Engine;
use ringfence_runtime::host::Host;
use ringfence_runtime::pipeline::Admission;
use ringfence_runtime::policy::PolicySet;
use ringfence_runtime::sandbox::scratch;
use ringfence_server::catalogue::Catalogue;
use ringfence_server::catalogue::Grants;
use ringfence_server::catalogue::Registered;
use ringfence_server::http::token::Tokens;
use ringfence_server::service::Hosts;
use ringfence_server::service::Service;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::commands;
use crate::commands::admit::admit;
use crate::commands::invoke;
use crate::config::tools::Name;
use crate::config::tools::ToolTable;
use crate::error::CommandError;
use crate::home::Home;
use crate::output::Output;
use crate::policies;
use crate::tokens;
use crate::tools;

/// A service, and the log behind it.
pub(super) struct Serving {
    pub(super) service: Arc<Service>,
    pub(super) log: Arc<SharedLog>,
}

/// Loads the registered tools and puts a service together. A tool that was named has to load; of the others, those that
/// do are offered, and the operator is told of the rest.
pub(super) fn open(home: Home, named: &[Name], output: Output) -> Result<Serving, CommandError> {
    output.notes_never_wait();
    commands::tell_of_memory(&home, output)?;
    let engine = home.engine()?;
    let (settings, catalogue) = read(home, &engine, Wanted { named, needed: named }, output)?;
    let settings = RwLock::new(Arc::new(settings));
    let log = Arc::new(SharedLog { engine, settings, named: named.to_vec(), output, open: Mutex::default() });
    let notes = Arc::new(move |text: &str| output.note(&one_line(text)));
    let service = Service::new(catalogue, Arc::<SharedLog>::clone(&log), notes);
    Ok(Serving { service: Arc::new(service), log })
}

/// The tools that are to be offered.
struct Wanted<'a> {
    /// These; all, if none is named.
    named: &'a [Name],
    /// Nothing is offered unless these are.
    needed: &'a [Name],
}

/// Loads what a home's configuration names.
fn read(
    home: Home,
    engine: &Engine,
    Wanted { named, needed }: Wanted<'_>,
    output: Output,
) -> Result<(Settings, Catalogue), CommandError> {
    let policies = policies::put_in_force(engine, &home)?;
    let all = || home.config().tools.keys().cloned().collect();
    let wanted = if named.is_empty() { all() } else { named.to_vec() };
    let (mut registered, mut admissions) = (Vec::new(), Vec::new());
    for name in &wanted {
        match load(&home, engine, &policies, name, output) {
            Ok((tool, admission)) => {
                registered.push(tool);
                admissions.push(admission);
            }
            Err(error) if !needed.contains(name) => {
                output.note(&format!("warning: `{name}` is not offered: {}", error.message));
                output.hints(&error.hints);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((Settings { home, policies, admissions }, Catalogue::new(registered)))
}

/// Signs what is left to sign and lets the log go, at the end of a server.
pub(super) async fn let_go(log: Arc<SharedLog>) -> Result<(), CommandError> {
    let tended = tokio::task::spawn_blocking(move || log.tend()).await;
    tended.map_err(|_| CommandError::environment("the host is shutting down"))
}

/// Ends when somebody wants this process to end, and says so.
pub(super) fn asked_to_stop(output: Output) -> Result<impl Future<Output = ()>, CommandError> {
    let (mut terminate, mut interrupt) = (listen_for(SignalKind::terminate())?, listen_for(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        output.note("note: asked to stop: nothing new is taken, and what runs is let end");
    })
}

pub(super) fn listen_for(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind).map_err(|error| CommandError::environment(format!("signals can't be had: {error}")))
}

/// Something that is read anew when the server is told to, by its name.
pub(super) type Reading = (&'static str, Box<dyn Fn() -> Result<(), CommandError> + Send + Sync>);

/// Reads `first` anew whenever it is told to, and then policies and tools: of each, what can't be used leaves what was.
pub(super) async fn reload(log: Arc<SharedLog>, service: Arc<Service>, mut hang_up: Signal, first: Vec<Reading>) {
    let (output, first) = (log.output, Arc::new(first));
    while hang_up.recv().await.is_some() {
        let (log, service, first) = (Arc::clone(&log), Arc::clone(&service), Arc::clone(&first));
        let reloaded = tokio::task::spawn_blocking(move || {
            for (what, read) in &*first {
                tell(what, read(), output);
            }
            let read = log.reload().map(|catalogue| service.put_catalogue(catalogue));
            if read.is_err() {
                // No fault in a policy keeps a tool that was revoked.
                log.withdraw(&service);
            }
            tell("policies and tools", read, output);
        });
        if reloaded.await.is_err() {
            output.note("warning: not everything was read anew: the host is shutting down");
        }
    }
}

fn tell(what: &str, read: Result<(), CommandError>, output: Output) {
    match read {
        Ok(()) => output.note(&format!("note: {what} were read anew")),
        Err(error) => {
            output.note(&format!("warning: {what} were not read anew, and stay: {}", error.message));
            output.hints(&error.hints);
        }
    }
}

fn load(
    home: &Home,
    engine: &Engine,
    policies: &PolicySet,
    name: &Name,
    output: Output,
) -> Result<(Registered, Admission), CommandError> {
    let table = tools::table(home, name)?;
    let mut admission = None;
    let tool = tools::load(home, engine, name, |arrival| {
        admission = Some(admit(home, policies, arrival, table.ring, output)?);
        Ok(())
    })?;
    let admission = admission.ok_or_else(|| CommandError::environment("the tool was loaded without being admitted"))?;
    let registered =
        Registered { tool, ring: table.ring, is_networked: is_networked(table), grants: grants(name, table) };
    Ok((registered, admission))
}

fn is_networked(table: &ToolTable) -> bool {
    let grant = &table.grant;
    !grant.http.is_empty() || !grant.sockets.is_empty() || !grant.names.is_empty()
}

fn grants(name: &Name, table: &ToolTable) -> Grants {
    let (name, grant) = (name.clone(), table.grant.clone());
    if grant.folders.is_empty()
        && grant.environment.is_empty()
        && let Ok(asked) = tools::asked(&name, &grant)
    {
        return Grants::Fixed(Box::new(asked));
    }
    Grants::Sought(Arc::new(move || tools::asked(&name, &grant).map_err(|error| error.message)))
}

/// Tells a host how the policies decided on what is offered. That was admitted, so nothing is written here.
fn settle(host: &Host, admissions: &[Admission]) -> Result<(), CommandError> {
    tokio::runtime::Handle::current().block_on(async {
        for admission in admissions {
            host.settle_admission(admission.clone()).await?;
        }
        Ok(())
    })
}

/// The host of a server, open while a call needs it.
#[derive(Debug)]
pub(super) struct SharedLog {
    engine: Engine,
    settings: RwLock<Arc<Settings>>,
    /// The tools that are offered; all, if none is named.
    named: Vec<Name>,
    output: Output,
    open: Mutex<Option<Open>>,
}

/// What a host is opened with.
#[derive(Debug)]
struct Settings {
    home: Home,
    policies: PolicySet,
    admissions: Vec<Admission>,
}

/// A host that is open.
#[derive(Debug)]
struct Open {
    host: Arc<Host>,
    /// When, and at how many entries, a checkpoint was signed last.
    published: (Instant, u64),
}

impl Hosts for SharedLog {
    fn lend_now(&self) -> Option<Arc<Host>> {
        let open = self.open.try_lock().ok()?;
        open.as_ref().map(|open| Arc::clone(&open.host))
    }

    fn is_halted(&self) -> bool {
        self.settings().home.halt().is_on()
    }

    fn lend(&self) -> Result<Arc<Host>, String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_ref() {
            return Ok(Arc::clone(&open.host));
        }
        let host = Arc::new(self.open_host().map_err(|error| error.message)?);
        // What was written and not signed, or did not get into the head, is due.
        *open = Some(Open { host: Arc::clone(&host), published: (Instant::now(), host.covered()) });
        Ok(host)
    }
}

impl SharedLog {
    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn open_host(&self) -> Result<Host, CommandError> {
        let settings = self.settings();
        let Settings { home, policies, admissions } = &*settings;
        let secrets = home.config().tools.values().flat_map(|table| table.grant.secrets.iter().cloned());
        let secrets: Vec<_> = secrets.collect();
        let host = invoke::host(home, self.engine.clone(), policies.clone(), &secrets, self.output)?;
        settle(&host, admissions)?;
        Ok(host)
    }

    /// Reads the tokens anew, and nothing else: no fault in a configuration keeps one that was revoked.
    pub(super) fn tokens(&self) -> Result<Tokens, CommandError> {
        tokens::known(&self.settings().home)
    }

    /// The home, as it was opened or read anew last.
    pub(super) fn with_home<T>(&self, read: impl FnOnce(&Home) -> T) -> T {
        read(&self.settings().home)
    }

    /// Reads policies and tools anew, and puts the policies in force: a call that has begun keeps those it has.
    pub(super) fn reload(&self) -> Result<Catalogue, CommandError> {
        let home = self.settings().home.read_anew()?;
        // One that does not load any more is not offered any more, whoever named it: it may have been revoked.
        let (settings, catalogue) = read(home, &self.engine, Wanted { named: &self.named, needed: &[] }, self.output)?;
        // The log is neither opened nor let go in between.
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_ref() {
            // What can fail comes first: then nothing is in force that is not settled.
            settle(&open.host, &settings.admissions)?;
            open.host.put_in_force(settings.policies.clone());
        }
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        Ok(catalogue)
    }

    /// Offers no more what the configuration revokes, as far as that can be read, and changes nothing else.
    fn withdraw(&self, service: &Service) {
        let Ok(home) = Home::open(self.settings().home.folder()) else { return };
        let (config, told) = (home.config(), RefCell::new(BTreeSet::new()));
        let is_revoked = |registered: &Registered| {
            let reference = registered.tool.reference();
            let table = config.tools.iter().find(|(name, _)| name.as_str() == reference.name).map(|(_, table)| table);
            let signer = table.filter(|table| table.signature_digest.is_some()).map(|table| table.signer.to_string());
            let signers: Vec<_> = signer.into_iter().collect();
            let why = config.revocation(&reference.digest, &signers);
            if let Some(why) = &why
                && told.borrow_mut().insert(reference.name.clone())
            {
                self.output.note(&format!("warning: `{}` is not offered any more: {}", reference.name, one_line(why)));
            }
            why.is_some()
        };
        // It is asked for each function of a tool.
        service.put_catalogue(service.catalogue().without(is_revoked));
    }

    /// Lets the log go whenever nothing uses it, and signs a checkpoint now and then while something does.
    pub(super) async fn mind(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(limits::LOG_LINGER_MS)).await;
            let log = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || log.tend()).await;
        }
    }

    /// Signs what there is to sign, and lets the log go if nothing uses it.
    pub(super) fn tend(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Open { host, published: (when, at) }) = open.as_mut() else { return };
        // Nobody else can take it while the lock is held.
        let is_idle = Arc::strong_count(host) == 1;
        let entries = host.ledger().len();
        let is_due = is_idle || when.elapsed() >= Duration::from_millis(limits::CHECKPOINT_MS);
        if is_due && entries > *at {
            match host.publish() {
                Ok(_) => (*when, *at) = (Instant::now(), entries),
                Err(error) => {
                    let error = one_line(&error.to_string());
                    self.output.note(&format!("warning: no checkpoint could be signed: {error}"));
                }
            }
        }
        if is_idle {
            self.clear_scratch(host);
            *open = None;
        }
    }

    /// Removes the folders of sessions that were closed. No call runs, here or anywhere: the log is held, and idle.
    fn clear_scratch(&self, host: &Host) {
        let ledger = host.ledger();
        // One that can't be told is left for the next time.
        let is_open = |id| ledger.session(id).map_or(true, |found| found.is_some_and(|it| it.closed.is_none()));
        if let Err(error) = scratch::clear(&self.settings().home.scratch_path(), is_open) {
            let error = one_line(&error.to_string());
            self.output.note(&format!("warning: the scratch folders of closed sessions could not be removed: {error}"));
        }
    }
}
