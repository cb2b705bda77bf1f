//! `ringfence token`: make tokens for the server, list who holds one, take one back.

use ringfence_model::ring::Ring;
use serde_json::Value;
use serde_json::json;

use crate::args::TokenCommand;
use crate::config::tools::Name;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::tokens;
use ringfence_server::http::token::Holder;

pub fn run(home: &Home, command: TokenCommand, output: Output) -> Result<Exit, CommandError> {
    match command {
        TokenCommand::New { name, principal, ring, scopes } => {
            let ring = ring.map(Ring::try_from).transpose();
            let ring = ring.map_err(|error| CommandError::command_line(error.to_string()))?;
            let token = tokens::make(home, &name, principal, ring, scopes)?;
            if output.is_json() {
                output.json(&json!({ "name": name, "token": token }));
            } else {
                output.line(&token);
                output.note("note: it is shown once and kept nowhere; a server that runs knows it after SIGHUP");
            }
        }
        TokenCommand::List => {
            let holders = tokens::read(home)?;
            if output.is_json() {
                output.json(&holders.iter().map(|(name, holder)| row(name, holder)).collect::<Vec<_>>());
            } else {
                for (name, holder) in &holders {
                    let scopes: Vec<_> = holder.scopes.iter().map(ToString::to_string).collect();
                    let ring = holder.ring.map(|ring| format!("  ring {ring}")).unwrap_or_default();
                    output.line(&format!("{name}  {}  {}{ring}", holder.principal, scopes.join(",")));
                }
            }
        }
        TokenCommand::Revoke { name } => {
            tokens::revoke(home, &name)?;
            if output.is_json() {
                output.json(&json!({ "revoked": name }));
            } else {
                output.line(&format!("revoked  {name}"));
                output.note("note: a server that runs forgets it after SIGHUP");
            }
        }
    }
    Ok(Exit::Done)
}

fn row(name: &Name, holder: &Holder) -> Value {
    let Holder { digest, principal, ring, scopes } = holder;
    json!({ "name": name, "principal": principal, "ring": ring, "scopes": scopes, "digest": digest })
}
