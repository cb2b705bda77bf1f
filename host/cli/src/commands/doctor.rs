//! `ringfence doctor`: does this home, and this machine, do its work?

use std::path::Path;
use std::time::Duration;

use ringfence_model::outcome::one_line;
use ringfence_model::time::Clock as _;
use ringfence_runtime::descriptors;
use ringfence_runtime::engine::child;
use ringfence_runtime::sequencer::HeadPlace;
use ringfence_server::http::Server;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use serde_json::json;

use crate::commands;
use crate::commands::admit::to_look_at;
use crate::commands::serve;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::home::SystemClock;
use crate::log::head;
use crate::log::store::LogStore;
use crate::output::Output;
use crate::policies::Policies;
use crate::telemetry::Reporting;
use crate::tls;
use crate::tls::Clients;
use crate::tokens;
use crate::tools;
use crate::tools::store::Store;

/// One thing that was looked at.
struct Check {
    name: &'static str,
    result: Result<String, CommandError>,
}

pub fn run(folder: &Path, output: Output) -> Result<Exit, CommandError> {
    let home = Home::open(folder)?;
    let checks = [
        Check { name: "engine", result: engine(&home) },
        Check { name: "compiler", result: compiler(&home) },
        Check { name: "kernel", result: kernel(&home) },
        Check { name: "keys", result: keys(&home) },
        Check { name: "policies", result: policies(&home) },
        Check { name: "tools", result: tools(&home) },
        Check { name: "store", result: store(&home) },
        Check { name: "head", result: head(&home) },
        Check { name: "log", result: log(&home, output) },
        Check { name: "disk", result: disk(&home) },
        Check { name: "server", result: server(&home) },
        Check { name: "tls", result: tls(&home) },
        Check { name: "telemetry", result: telemetry(&home) },
    ];
    let failed = checks.iter().filter(|check| check.result.is_err()).count();
    if output.is_json() {
        let shown = |check: &Check| match &check.result {
            Ok(text) => json!({ "check": check.name, "ok": true, "text": text }),
            Err(error) => json!({ "check": check.name, "ok": false, "text": error.message, "hints": error.hints }),
        };
        output.json(&checks.iter().map(shown).collect::<Vec<_>>());
    } else {
        for Check { name, result } in &checks {
            match result {
                Ok(text) => output.line(&format!("ok      {name:<9} {text}")),
                Err(error) => {
                    output.line(&format!("FAILED  {name:<9} {}", error.message));
                    output.hints(&error.hints);
                }
            }
        }
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Environment })
}

fn engine(home: &Home) -> Result<String, CommandError> {
    home.engine()?;
    Ok("wasmtime 48.0.8, pooling allocator".to_owned())
}

/// Compiles the smallest component there is, past the cache.
fn compiler(home: &Home) -> Result<String, CommandError> {
    commands::compile::try_out(home.config().compile_limits())?;
    let reach = if child::kernel_can_confine() { "no file, no TCP" } else { "this kernel has no Landlock" };
    Ok(format!("a process of its own: {reach}"))
}

/// Folders are opened with a call that older kernels, and some containers, do not have.
fn kernel(home: &Home) -> Result<String, CommandError> {
    let folder = std::fs::File::open(home.folder()).map_err(|error| CommandError::file(home.folder(), &error))?;
    let (flags, stay) = (OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::BENEATH);
    rustix::fs::openat2(&folder, ".", flags, Mode::empty(), stay).map_err(|error| {
        CommandError::environment(format!("this kernel can't open files the way folders are granted: {error}"))
            .hint("`openat2` is needed: Linux 5.6 or newer, and a container that does not forbid it")
    })?;
    let landlock =
        if child::kernel_can_confine() { "has Landlock" } else { "no Landlock: the compiler has limits only" };
    Ok(format!("openat2 works, {landlock}"))
}

fn keys(home: &Home) -> Result<String, CommandError> {
    Ok(format!("checkpoints are signed by {}", home.verifier()?))
}

fn policies(home: &Home) -> Result<String, CommandError> {
    let set = Policies::of(Some(home)).set(&home.engine()?)?;
    if set.policies().is_empty() {
        return Err(CommandError::environment("no policy is in force, so nothing is permitted")
            .hint("put one in force: [policies.ring-default]"));
    }
    let names: Vec<_> = set.policies().iter().map(|policy| policy.reference().name.as_str()).collect();
    Ok(format!("in force: {}", names.join(", ")))
}

/// Loads every registered tool: each is checked against its pins, and may be loaded.
fn tools(home: &Home) -> Result<String, CommandError> {
    let (engine, tables) = (home.engine()?, &home.config().tools);
    let (policies, operator) = (Policies::of(Some(home)).set(&engine)?, commands::operator()?);
    for (name, table) in tables {
        tools::load(home, &engine, name, to_look_at(&policies, &operator, table.ring))?;
    }
    let left = Store::open(home.tools_path())?.left_over(tables.values())?.len();
    let left = if left == 0 { String::new() } else { format!("; {left} files that no registration names") };
    Ok(format!("{} registered, each as it was registered{left}", tables.len()))
}

/// Whether somebody could get in, if there were a server, and how many at a time. A home that nobody is let into needs none.
fn server(home: &Home) -> Result<String, CommandError> {
    let config = &home.config().server;
    if tokens::read(home)?.is_empty() {
        return Ok("nobody has a token: `ringfence token new` makes one".to_owned());
    }
    let (listen, _) = serve::ways_in(home, None)?;
    let (most, wanted) = (descriptors::most(), Server::connections_wanted(config.streams_max()));
    let connections = descriptors::for_connections(most).min(wanted);
    if connections < wanted {
        let why = format!("this process can have {most} file descriptors: a server holds {connections} connections");
        return Err(CommandError::environment(format!("{why}, and not {wanted}"))
            .hint("let it have more: `LimitNOFILE=` of its unit, or `ulimit -Hn`"));
    }
    Ok(format!("{listen}, up to {connections} connections"))
}

/// Opens the log's store and looks at nothing in it.
fn store(home: &Home) -> Result<String, CommandError> {
    let store = LogStore::of(home)?;
    store.open_read_only()?;
    Ok(match (&store, store.address()) {
        (_, Some(address)) => format!("{address}, {}", address.server.privacy()),
        (LogStore::Memory(..), None) => "memory: empty at each start, and gone with each process".to_owned(),
        (_, None) => "a file in the home".to_owned(),
    })
}

/// Reads the head, wherever it is. Whether the log has all that it covers is looked at next.
fn head(home: &Home) -> Result<String, CommandError> {
    if home.memory_log().is_some() {
        return Ok("none: a log in memory has no head".to_owned());
    }
    let place = head::place(home)?;
    if head::read(home)?.is_none() {
        return Err(CommandError::environment(format!("`{place}` holds no head of this log")).hint(
            "if it was not you who removed it, look for it before you go on; `ringfence log checkpoint` writes one",
        ));
    }
    Ok(match &place {
        HeadPlace::Database(access) => format!("{place}, {}", access.address.server.privacy()),
        HeadPlace::File(path) if path.starts_with(home.folder()) => "a file in the home".to_owned(),
        HeadPlace::File(_) => format!("{place}, a file elsewhere"),
    })
}

fn log(home: &Home, output: Output) -> Result<String, CommandError> {
    let (ledger, _) = commands::open_log(home, output)?;
    Ok(format!("{} entries, not behind its head", ledger.len()))
}

/// Writes and syncs a file: what every call will need.
fn disk(home: &Home) -> Result<String, CommandError> {
    use std::io::Write as _;
    let path = home.folder().join(format!("doctor-{}", std::process::id()));
    let written = std::fs::File::create_new(&path).and_then(|mut file| {
        file.write_all(b"can this home be written?")?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&path);
    written.and(removed).map_err(|error| {
        CommandError::environment(format!("the home can't be written: {error}"))
            .hint("nothing runs that can't be written down: free space, or make the home writable")
    })?;
    Ok("a file was written and synced".to_owned())
}

/// Reads what the server would show for itself, and whom it would believe. Whether anybody believes it, a client has to say.
fn tls(home: &Home) -> Result<String, CommandError> {
    let Some(table) = &home.config().server.tls else {
        return Ok("none: the server speaks HTTP in the clear".to_owned());
    };
    let (shown, clients) = (tls::shown(home, table)?, Clients::read(home, table)?);
    clients.believed(home, table)?;
    let now = Duration::from_millis(SystemClock.now().as_millis());
    let clients = match (&clients.roots, clients.revocations.end()) {
        (None, _) => "no client is asked for one".to_owned(),
        (Some(_), None) => "client authorities can be read".to_owned(),
        (Some(_), Some(end)) => {
            format!(
                "client authorities can be read, revocation lists are good for {} days",
                tls::days(end.saturating_sub(now))
            )
        }
    };
    let left = match shown.expires() {
        Some(expires) if expires < now => {
            let path = home.folder().join(&table.certificate);
            return Err(CommandError::tls_expired(&path, tls::days(now.saturating_sub(expires))));
        }
        Some(expires) => format!("good for {} days", tls::days(expires.saturating_sub(now))),
        None => "good until a time that can't be read".to_owned(),
    };
    Ok(format!("the certificate is {left}, and has its key; {clients}"))
}

/// Puts together what a collector would be told with. Nobody is told of anything.
fn telemetry(home: &Home) -> Result<String, CommandError> {
    Reporting::of(home)?;
    Ok(match &home.config().telemetry.endpoint {
        Some(endpoint) => format!("goes to `{}`, which was not asked", one_line(endpoint)),
        None => "none: nobody is told of calls".to_owned(),
    })
}
