//! `ringfence transcript`: an agent's messages, judged before they go on to a model.

use std::path::Path;

use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock as _;
use serde_json::Value;
use serde_json::json;

use crate::args::TranscriptCommand;
use crate::commands;
use crate::commands::invoke::host;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::home::SystemClock;
use crate::output::Output;
use crate::policies;

pub fn run(home: &Home, command: TranscriptCommand, output: Output) -> Result<Exit, CommandError> {
    let TranscriptCommand::Check { file, session } = command;
    let messages = messages(&file)?;
    let engine = home.engine()?;
    let policies = policies::put_in_force(&engine, home)?;
    let host = host(home, engine, policies, &[], output)?;
    let session = session.map(|id| host.ledger().open_session_by(id)).transpose()?;
    let (principal, ring) = match &session {
        Some(session) => (session.principal.clone(), session.ring_at(SystemClock.now())),
        None => (commands::operator()?, Ring::Sandbox),
    };
    let judged = host.check_transcript(session, principal, ring, messages);
    let checked = commands::block_on(async { Ok(judged.await?) })?;
    host.publish()?;
    match checked.messages {
        Err(why) => Err(CommandError::denied("denied.policy", &why)
            .hint("a policy at the point `transcript` has to permit it; `prompt-guard` is one")),
        Ok(messages) if output.is_json() => {
            output.json(&json!({ "messages": messages, "redacted": checked.redacted, "entry": checked.index }));
            Ok(Exit::Done)
        }
        Ok(messages) => {
            output.line(&String::from_utf8_lossy(&json::canonical(&messages)));
            let redacted = checked.redacted;
            output.note(&format!("recorded: entry {}, {redacted} redactions carried out", checked.index));
            Ok(Exit::Done)
        }
    }
}

fn messages(file: &Path) -> Result<Value, CommandError> {
    let bytes = commands::read_input(file, limits::TRANSCRIPT_BYTES_MAX)?;
    let wrong = |why: String| {
        CommandError::command_line(format!("`{}` is not a transcript: {why}", file.display()))
            .hint("a transcript is a JSON array of messages, each an object")
    };
    match json::parse_within(&bytes, limits::JSON_RECORDED_VALUES_MAX).map_err(|error| wrong(error.to_string()))? {
        Value::Array(messages) if messages.iter().all(Value::is_object) => Ok(Value::Array(messages)),
        _ => Err(wrong("it is no array of objects".to_owned())),
    }
}
