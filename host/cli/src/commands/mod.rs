//! The commands, one file each: arguments in, data out, an exit code.

mod admit;
mod approval;
mod backup;
mod bench;
mod build;
mod bundle;
mod call;
pub mod compile;
mod complete;
mod cosign;
mod diff;
mod doctor;
mod extension;
mod halt;
mod init;
mod inspect;
mod invoke;
mod ledger;
mod log;
mod mcp;
mod new;
mod policy;
mod prune;
mod publish;
mod push;
mod receipt;
mod redact;
mod rotate;
mod run;
mod serve;
mod serving;
mod session;
mod sign;
mod token;
mod tool;
mod transcript;

use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use ringfence_audit::bundle::BundleError;
use ringfence_model::capability::Folder;
use ringfence_model::capability::NetworkAsked;
use ringfence_model::limits;
use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::ring::Ring;
use ringfence_runtime::descriptors;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::recovery;
use ringfence_runtime::sandbox::link::Imports;
use ringfence_runtime::sequencer;
use ringfence_runtime::sequencer::HeadPlace;
use ringfence_runtime::sequencer::HeadState;
use ringfence_runtime::sequencer::Sequencer;

use crate::args::Args;
use crate::args::Command;
use crate::args::DirArg;
use crate::args::KeyCommand;
use crate::error::CommandError;
use crate::error::memory_log_hints;
use crate::exit::Exit;
use crate::home;
use crate::home::Home;
use crate::log::head;
use crate::log::memory::MemoryLog;
use crate::output::Output;

pub use crate::commands::inspect::manifest_beside;
pub use crate::commands::sign::beside as signature_beside;

/// Runs a command.
pub fn run(args: Args, output: Output) -> Result<Exit, CommandError> {
    let folder = || home::folder(args.home.as_deref());
    let kept = || Home::open_with_kept_log(&folder()?);
    match args.command {
        Command::Init(init) => init::run(&folder()?, &init, output),
        Command::Doctor => doctor::run(&folder()?, output),
        Command::Inspect(inspect) => inspect::run(folder().ok().as_deref(), &inspect, output),
        Command::Run(run) => run::run(&Home::open(&folder()?)?, &run, output),
        Command::Call(call) => call::run(&Home::open(&folder()?)?, &call, output),
        Command::Tool(tool) => tool::run(&Home::open(&folder()?)?, tool, output),
        Command::Serve(serve) => serve::run(Home::open(&folder()?)?, &serve, output),
        Command::Token(token) => token::run(&Home::open(&folder()?)?, token, output),
        Command::Mcp(mcp) => mcp::run(Home::open(&folder()?)?, &mcp, output),
        Command::Build(build) => build::run(folder().ok().as_deref(), &build, output),
        Command::New(new) => new::run(new, output),
        Command::Sign(sign) => sign::sign(&sign, output),
        Command::Push(push) => push::run(folder().ok().as_deref(), &push, output),
        Command::Key(KeyCommand::New { name, file }) => sign::key(&name, &file, output),
        Command::Key(KeyCommand::Rotate) => rotate::run(&kept()?, output),
        Command::Policy(policy) => policy::run(folder().ok().as_deref(), policy, output),
        Command::Session(session) => session::run(&kept()?, session, output),
        Command::Approvals { all } => approval::list(&kept()?, all, output),
        Command::Approve(answer) => approval::answer(&kept()?, &answer, true, output),
        Command::Reject(answer) => approval::answer(&kept()?, &answer, false, output),
        Command::Transcript(transcript) => transcript::run(&Home::open(&folder()?)?, transcript, output),
        Command::Halt(args) => halt::halt(&folder()?, &args, output),
        Command::Resume(args) => halt::resume(&Home::open(&folder()?)?, &args, output),
        Command::Ledger(ledger) => ledger::run(&kept()?, &ledger, output),
        Command::Log(log) => log::run(folder().ok().as_deref(), log, output),
        Command::Receipt(receipt) => receipt::run(folder().ok().as_deref(), receipt, output),
        Command::Bundle(bundle) => bundle::run(&kept()?, &bundle, output),
        Command::Backup(args) => backup::backup(&kept()?, &args, output),
        Command::Restore(args) => backup::restore(&args, &folder()?, output),
        Command::Diff(diff) => diff::run(args.home.as_deref(), &diff, output),
        Command::Bench(bench) => bench::run(&bench, output),
        Command::Compile(compile) => compile::run(&compile),
    }
}

/// Threads that work for a command that makes one call; one that serves has as many as there are processors, if those are more.
const THREADS: usize = 2;

/// Runs async work to its end. What still blocks on a file when the work is done is left behind: a guest must not be
/// able to keep the command from ending (FS-14).
pub fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    block_on_threads(THREADS, work)
}

/// The same on all processors: for work that serves many.
pub fn serve_on_all<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    block_on_threads(std::thread::available_parallelism().map_or(THREADS, usize::from).max(THREADS), work)
}

fn block_on_threads<T>(threads: usize, work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    // CR-33: tokio panics where it finds none.
    descriptors::left_for_a_runtime().map_err(|error| CommandError::no_descriptors(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::environment(format!("threads can't be started: {error}")))?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Reads a file, whole, if it is no larger than anything this command reads may be.
pub fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    let bytes_max = limits::COMPONENT_BYTES_MAX;
    read_bounded(path, bytes_max)?.ok_or_else(|| {
        CommandError::environment(format!("`{}` is larger than {bytes_max} bytes", path.display()))
            .hint("nothing larger is read, whatever it holds")
    })
}

/// Reads a bundle: the one file that may be larger than a component.
fn read_bundle(path: &Path) -> Result<Vec<u8>, CommandError> {
    let bytes_max = limits::BUNDLE_BYTES_MAX;
    read_bounded(path, bytes_max)?.ok_or_else(|| CommandError::bundle(&BundleError::TooLarge))
}

/// Reads a file, if there is one by this name; one that is there and can't be read is an error.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, CommandError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => read(path).map(Some),
    }
}

/// Reads a bundle of cosign's.
pub fn read_cosign_bundle(path: &Path) -> Result<Vec<u8>, CommandError> {
    let bytes_max = limits::COSIGN_BUNDLE_BYTES_MAX;
    read_bounded(path, bytes_max)?.ok_or_else(|| {
        CommandError::environment(format!("`{}` is larger than {bytes_max} bytes", path.display()))
            .hint("a bundle is a few kilobytes; this is something else")
    })
}

/// Reads what goes into a call: too much of it is the caller's mistake.
fn read_input(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CommandError> {
    read_bounded(path, bytes_max)?.ok_or_else(|| {
        CommandError::command_line(format!("`{}` is larger than {bytes_max} bytes", path.display()))
            .hint("put large data into a folder and open it with `--dir`")
    })
}

/// Reads a file, or standard input for `-`; none if there is more than the limit: a device has no end.
fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, CommandError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(bytes_max + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| CommandError::file(path, &error))?;
    Ok(u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max).then_some(bytes))
}

/// Writes a file that is not there yet, for its owner alone.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| CommandError::file(path, &error))
}

/// Writes a file under its name in one step. What the name stood for before is replaced, not written through: a link that
/// somebody left there leads nowhere.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(drop).map_err(|error| CommandError::file(path, &error))
}

/// Links are resolved here, once: what the grant names is where the folder really is.
pub fn folder(dir: &DirArg) -> Result<Folder, CommandError> {
    let host: PathBuf = dir.host.canonicalize().map_err(|error| CommandError::file(&dir.host, &error))?;
    if !host.is_dir() {
        return Err(CommandError::environment(format!("`{}` is not a folder", dir.host.display()))
            .hint("`--dir` opens folders; put the file into one"));
    }
    let host = host.into_os_string().into_string().map_err(|_| CommandError::not_text(&dir.host))?;
    Ok(Folder {
        access: dir.access,
        bytes_max: dir.bytes,
        deny: dir.deny.clone(),
        files_max: dir.files,
        guest: dir.guest.clone(),
        host,
    })
}

/// What becomes of imports that nothing grants, in a ring and under what is asked.
pub fn imports(home: &Home, ring: Ring, asked: &NetworkAsked) -> Imports {
    let is_strict = home.config().ring_configs().get(usize::from(ring.number())).is_some_and(|r| r.strict_imports);
    if is_strict {
        Imports::Strict { http: !asked.http.is_empty(), sockets: !asked.sockets.is_empty() || !asked.names.is_empty() }
    } else {
        Imports::Refuse
    }
}

/// The log, to show what is proven of it: nothing that a head which hosts and copies share does not say (AUD-08, AUD-24). A
/// checkpoint that is stored and did not get there may be one of two of its size; it gets there now, or is refused.
fn log_to_prove(home: &Home, output: Output) -> Result<Ledger, CommandError> {
    let (place, ledger) = (head::place(home)?, home.ledger_read_only()?);
    if matches!(place, HeadPlace::File(_)) {
        return Ok(ledger);
    }
    // What others publish meanwhile looks like a log that was put back: then it is looked at again, with the log held.
    let covered = match sequencer::check_head(&ledger, place) {
        Ok(HeadState::Covers { size }) => Some(size),
        Ok(HeadState::Missing) | Err(_) => None,
    };
    let note = sequencer::prove_all(&ledger, &[])?.map(|proven| proven.checkpoint);
    let stored = note.and_then(|note| sequencer::open_checkpoint(&ledger, &note).ok()).map(|stored| stored.size);
    if covered.is_some() && stored <= covered {
        return Ok(ledger);
    }
    drop(ledger);
    let (ledger, sequencer) = open_log(home, output)?;
    sequencer.publish(&ledger)?;
    drop(ledger);
    Ok(home.ledger_read_only()?)
}

/// Opens the log to write to it, settles what an earlier process left open, and checks it against its head.
fn open_log(home: &Home, output: Output) -> Result<(Ledger, Sequencer), CommandError> {
    let ledger = home.ledger()?;
    let signer = home.signer_of(sequencer::keys(&ledger)?.newest())?;
    tell_of_memory(home, output)?;
    // A log in memory can't be put back behind its own back, and a head of it would outlive it.
    let head = if home.memory_log().is_some() { None } else { Some(head::place(home)?) };
    let sequencer = Sequencer::open(&ledger, Arc::new(signer), head.clone())?;
    if let (Some(head), HeadState::Missing) = (head, sequencer.head_at_open()) {
        output.note("warning: the log's head is missing, so nothing would tell if the log had been rolled back");
        output.note(&format!("hint: if it was not you who removed `{head}`, look for it before you go on"));
    }
    for settled in recovery::settle(&ledger)? {
        output.note(&format!(
            "note: `{}` was cut off; it is settled by entry {}",
            settled.recorded.call, settled.recorded.index
        ));
    }
    Ok((ledger, sequencer))
}

/// Says of a log in memory that it is one: once in a process.
fn tell_of_memory(home: &Home, output: Output) -> Result<(), CommandError> {
    if home.memory_log().is_some_and(MemoryLog::is_news) {
        let key = home.verifier()?;
        output.note(&format!(
            "warning: the log is in memory: it begins empty, its own key `{key}` signs it, and it is gone when this process ends"
        ));
        output.hints(&memory_log_hints(&home.config_path()));
    }
    Ok(())
}

/// Whoever runs this command operates the host; the system's own number for them can't be set like a variable.
fn operator() -> Result<Principal, CommandError> {
    let user = format!("uid-{}", rustix::process::getuid().as_raw());
    Principal::new(PrincipalKind::Operator, &user).map_err(|error| CommandError::environment(error.to_string()))
}

/// Whom an operator may act for: an agent or a service, never another operator.
fn acting_for(principal: Option<&Principal>) -> Result<Principal, CommandError> {
    match principal {
        None => operator(),
        Some(principal) if principal.kind() == PrincipalKind::Operator => Err(CommandError::command_line(format!(
            "`--as {principal}` names an operator, and those act for themselves"
        ))
        .hint("name an agent or a service: `--as agent:NAME`")),
        Some(principal) => Ok(principal.clone()),
    }
}
