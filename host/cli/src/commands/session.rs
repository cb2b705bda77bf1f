//! `ringfence session`: a principal in a ring, opened and closed by an operator, elevated by the policies.

use std::path::Path;

use ringfence_model::capability::Ceiling;
use ringfence_model::function_pattern::FunctionPattern;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock as _;
use ringfence_runtime::ledger::Ledger;
use ringfence_runtime::ledger::listed::Whose;
use ringfence_runtime::ledger::sessions::Session;
use ringfence_runtime::ledger::sessions::SessionDraft;
use ringfence_runtime::pipeline::Elevated;
use ringfence_runtime::sandbox::scratch;
use serde_json::Value;
use serde_json::json;

use crate::args::SessionCommand;
use crate::commands;
use crate::commands::invoke::host;
use crate::config;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::home::SystemClock;
use crate::output::Output;
use crate::policies;

/// Sessions that are read at a time.
const PAGE: usize = 256;

pub fn run(home: &Home, command: SessionCommand, output: Output) -> Result<Exit, CommandError> {
    match command {
        SessionCommand::Open { name, principal, ring, within, allow } => {
            let principal = commands::acting_for(principal.as_ref())?;
            let ceiling = within.as_deref().map(ceiling).transpose()?.unwrap_or_default();
            let (allow, name, ring) = (allowed(allow)?, checked_name(&name)?, numbered(ring)?);
            let draft = SessionDraft { allow, ceiling, name, principal, ring };
            let (ledger, sequencer) = commands::open_log(home, output)?;
            let session = ledger.open_session(draft, &commands::operator()?)?;
            sequencer.publish(&ledger)?;
            show(&session, output);
            Ok(Exit::Done)
        }
        SessionCommand::List { all } => list(home, all, output),
        SessionCommand::Show { id } => {
            let session = home.ledger_read_only()?.session(id)?;
            let unknown = || CommandError::command_line(format!("there is no session `{id}`"));
            show(&session.ok_or_else(|| unknown().hint("`ringfence session list --all` has them"))?, output);
            Ok(Exit::Done)
        }
        SessionCommand::Close { id } => {
            let (ledger, sequencer) = commands::open_log(home, output)?;
            let session = ledger.close_session(id, &commands::operator()?)?;
            sequencer.publish(&ledger)?;
            if let Err(error) = scratch::clear_session(&home.scratch_path(), id) {
                output.note(&format!("warning: its scratch folder could not be removed: {error}"));
            }
            show(&session, output);
            Ok(Exit::Done)
        }
        SessionCommand::Elevate { id, ring, duration, reason } => {
            let ring = numbered(ring)?;
            let engine = home.engine()?;
            let policies = policies::put_in_force(&engine, home)?;
            let host = host(home, engine, policies, &[], output)?;
            let session = host.ledger().open_session_by(id)?;
            let asked = host.elevate(session, ring, duration.millis, one_line(&reason));
            let elevated = commands::block_on(async { Ok(asked.await?) })?;
            host.publish()?;
            print_elevated(&elevated, output)
        }
    }
}

fn list(home: &Home, all: bool, output: Output) -> Result<Exit, CommandError> {
    let ledger = home.ledger_read_only()?;
    let mut sessions = if all { ledger.sessions()? } else { open(&ledger)? };
    sessions.sort_by_key(|session| session.opened);
    if output.is_json() {
        output.json(&sessions.iter().map(rendered).collect::<Vec<_>>());
    } else {
        for session in &sessions {
            output.line(&line(session));
        }
    }
    Ok(Exit::Done)
}

/// What is open, whatever has been closed.
fn open(ledger: &Ledger) -> Result<Vec<Session>, CommandError> {
    let mut sessions = Vec::new();
    loop {
        let page = ledger.open_sessions(Whose::All, sessions.last(), PAGE)?;
        if page.is_empty() {
            return Ok(sessions);
        }
        sessions.extend(page);
    }
}

fn print_elevated(elevated: &Elevated, output: Output) -> Result<Exit, CommandError> {
    match elevated {
        Elevated::Granted(session) => {
            show(session, output);
            Ok(Exit::Done)
        }
        Elevated::Denied(why) => Err(CommandError::denied("denied.policy", why).hint(
            "`ringfence policy list` shows who is asked at `elevate`; an operator's own calls choose their ring",
        )),
        Elevated::Held(approval) => {
            let id = approval.approval;
            Err(CommandError::denied(
                "denied.approval",
                &format!("approval `{id}` is needed until {}", approval.expires),
            )
            .hint(format!("`ringfence approve {id}`, by somebody else than who asks; then ask again")))
        }
        Elevated::Rejected(approval) => {
            Err(CommandError::denied("denied.rejected", &format!("approval `{}` was rejected", approval.approval))
                .hint("another ring or another time is another question"))
        }
    }
}

/// What a file says that a session's calls are bound by, in the words of `[operator]`.
fn ceiling(path: &Path) -> Result<Ceiling, CommandError> {
    let bytes = commands::read_input(path, limits::SESSION_CEILING_BYTES_MAX)?;
    let wrong = |(line, why): (usize, String)| CommandError::ceiling(path, line, &why);
    let text = str::from_utf8(&bytes)
        .map_err(|error| wrong((config::line_at(&bytes, error.valid_up_to()), error.to_string())))?;
    let ceiling: Ceiling = config::from_toml(text).map_err(wrong)?;
    config::check_folders(ceiling.folders.iter().flatten())
        .map_err(|(key, why)| wrong((config::line_of(text, &key), why)))?;
    Ok(ceiling)
}

/// What a session is held to; everything may be called in one that is held to nothing.
fn allowed(allow: Vec<FunctionPattern>) -> Result<Option<Vec<FunctionPattern>>, CommandError> {
    let max = limits::SESSION_FUNCTIONS_MAX;
    if allow.len() > max {
        return Err(CommandError::command_line(format!("`--allow` stands there more than {max} times"))
            .hint("`TOOL/*` means all functions of a tool"));
    }
    Ok(Some(allow).filter(|allow| !allow.is_empty()))
}

fn checked_name(name: &str) -> Result<String, CommandError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > limits::NAME_BYTES_MAX || !name.chars().all(fits) {
        return Err(CommandError::command_line(format!("`{}` is not a name for a session", one_line(name)))
            .hint("write ASCII letters, digits, `.`, `_` and `-`"));
    }
    Ok(name.to_owned())
}

fn numbered(ring: u8) -> Result<Ring, CommandError> {
    Ring::try_from(ring).map_err(|error| CommandError::command_line(error.to_string()))
}

fn show(session: &Session, output: Output) {
    if output.is_json() {
        output.json(&rendered(session));
    } else {
        output.line(&line(session));
    }
}

fn line(session: &Session) -> String {
    let Session { session: id, name, principal, opened, .. } = session;
    let ring = session.ring_at(SystemClock.now());
    let state = match (session.closed, session.elevated.filter(|_| ring != session.ring)) {
        (Some(closed), _) => format!("closed {closed}"),
        (None, Some(elevation)) => format!("elevated until {}", elevation.until),
        (None, None) => "open".to_owned(),
    };
    format!("{id}  {name}  {principal}  ring {ring}  opened {opened}  {state}")
}

fn rendered(session: &Session) -> Value {
    json!({
        "session": session.session,
        "name": session.name,
        "principal": session.principal,
        "allow": session.allow,
        "ceiling": session.ceiling,
        "ring": session.ring_at(SystemClock.now()),
        "opened": session.opened,
        "closed": session.closed,
        "elevated": session.elevated,
    })
}
