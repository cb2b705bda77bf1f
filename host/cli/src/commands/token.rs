//! `ringfence token`: make tokens for the server, list who holds one, take one back.

use ringfence_model::ring::Ring;
use ringfence_server::http::peer::Name as CertificateName;
use ringfence_server::http::token::Credential;
use ringfence_server::http::token::Holder;
use serde_json::Value;
use serde_json::json;

use crate::args::TokenCommand;
use crate::config::tools::Name;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::tokens;
use crate::tokens::Rights;

pub fn run(home: &Home, command: TokenCommand, output: Output) -> Result<Exit, CommandError> {
    match command {
        TokenCommand::New { name, principal, ring, scopes, certificate } => {
            let ring = ring.map(Ring::try_from).transpose();
            let ring = ring.map_err(|error| CommandError::command_line(error.to_string()))?;
            let rights = Rights { principal, ring, scopes };
            match certificate {
                Some(certificate) => know(home, &name, &certificate, rights, output)?,
                None => make(home, &name, rights, output)?,
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
                    let known = match &holder.credential {
                        Credential::Certificate(certificate) => format!("  {certificate}"),
                        Credential::Token(_) => String::new(),
                    };
                    output.line(&format!("{name}  {}  {}{ring}{known}", holder.principal, scopes.join(",")));
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

fn make(home: &Home, name: &Name, rights: Rights, output: Output) -> Result<(), CommandError> {
    let token = tokens::make(home, name, rights)?;
    if output.is_json() {
        output.json(&json!({ "name": name, "token": token }));
    } else {
        output.line(&token);
        output.note("note: it is shown once and kept nowhere; a server that runs knows it after SIGHUP");
    }
    Ok(())
}

/// There is nothing to be kept to oneself here: who has the certificate's key gets in.
fn know(
    home: &Home,
    name: &Name,
    certificate: &CertificateName,
    rights: Rights,
    output: Output,
) -> Result<(), CommandError> {
    tokens::keep(home, name, Credential::Certificate(certificate.clone()), rights)?;
    if output.is_json() {
        output.json(&json!({ "name": name, "certificate": certificate }));
    } else {
        output.line(&format!("{name}  {certificate}"));
        output.note("note: there is no token; a server that runs knows the certificate after SIGHUP");
    }
    Ok(())
}

fn row(name: &Name, holder: &Holder) -> Value {
    let Holder { credential, principal, ring, scopes } = holder;
    let (known_by, shown) = match credential {
        Credential::Certificate(certificate) => ("certificate", certificate.to_string()),
        Credential::Token(digest) => ("digest", digest.to_string()),
    };
    json!({ "name": name, "principal": principal, "ring": ring, "scopes": scopes, known_by: shown })
}
