//! `ringfence token`: make tokens for the server, list who holds one, take one back.

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
        TokenCommand::New { name, principal, scopes } => {
            let token = tokens::make(home, &name, principal, scopes)?;
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
                    output.line(&format!("{name}  {}  {}", holder.principal, scopes.join(",")));
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
    json!({ "name": name, "principal": holder.principal, "scopes": holder.scopes, "digest": holder.digest })
}
