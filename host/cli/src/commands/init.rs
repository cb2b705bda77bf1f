//! `ringfence init`: keys, an empty log, a commented configuration.

use std::path::Path;
use std::path::PathBuf;

use ringfence_model::principal::Principal;
use ringfence_runtime::ledger::backend::postgres::address::Address;
use ringfence_runtime::ledger::backend::postgres::address::AddressError;
use ringfence_server::http::token::Scope;
use serde_json::json;

use crate::args::InitArgs;
use crate::config::HeadConfig;
use crate::config::LogConfig;
use crate::config::StoreConfig;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::tokens;
use crate::tokens::Rights;

/// What the token is called that is made with the home.
const FIRST_TOKEN: &str = "first";

pub fn run(folder: &Path, args: &InitArgs, output: Output) -> Result<Exit, CommandError> {
    let store_password_file = args.store_password_file.as_deref().map(absolute).transpose()?;
    let store_roots = args.store_roots.as_deref().map(absolute).transpose()?;
    let store = args.store.as_deref().map(store).transpose()?;
    let head_password_file = args.head_password_file.as_deref().map(absolute).transpose()?;
    let head_roots = args.head_roots.as_deref().map(absolute).transpose()?;
    let head = args.head.as_deref().map(head_place).transpose()?;
    let store = LogConfig { store, store_password_file, store_roots, ..LogConfig::default() };
    let log = LogConfig { head, head_password_file, head_roots, ..store };
    log.check().map_err(|(_, why)| CommandError::store_address(&why))?;
    let home = Home::init(folder, args.origin.as_deref(), log)?;
    let key = home.verifier()?.to_string();
    let token = args.token.clone().map(|principal| first_token(&home, principal)).transpose()?;
    if output.is_json() {
        output.json(&match token {
            Some(token) => json!({ "home": home.folder(), "key": key, "token": token }),
            None => json!({ "home": home.folder(), "key": key }),
        });
    } else {
        output.line(&format!("home  {}", home.folder().display()));
        if let Some(store) = &home.config().log.store {
            output.line(&format!("log   {store}"));
        }
        if let Some(head) = &home.config().log.head {
            output.line(&format!("head  {head}"));
        }
        output.line(&format!("key   {key}"));
        if let Some(StoreConfig::Memory) = &home.config().log.store {
            output.note("note: what is called is in memory, under keys of its own; the home's log is there for when that line is taken out");
        }
        if let Some(token) = &token {
            output.line(&format!("token {token}"));
            output.note("note: the token is shown once and kept nowhere");
        }
        output.note("hint: give the key to whoever will verify this log; it is public");
    }
    Ok(Exit::Done)
}

/// A token that lets its holder call tools, and nothing else.
fn first_token(home: &Home, principal: Principal) -> Result<String, CommandError> {
    let name = FIRST_TOKEN.parse().map_err(CommandError::command_line)?;
    tokens::make(home, &name, Rights { principal, ring: None, scopes: vec![Scope::Call] })
}

/// What holds the log, or why it is nothing that does.
fn store(text: &str) -> Result<StoreConfig, CommandError> {
    text.parse().map_err(|error: AddressError| CommandError::store_address(&error.to_string()))
}

/// The address, or why it is none. It is not repeated: somebody may have put a password into it.
pub(super) fn address(text: &str) -> Result<Address, CommandError> {
    text.parse().map_err(|error: AddressError| CommandError::store_address(&error.to_string()))
}

/// A file that is not there yet, in a folder that is, or a database.
fn head_place(text: &str) -> Result<HeadConfig, CommandError> {
    match text.parse() {
        Ok(HeadConfig::File(path)) => {
            std::path::absolute(&path).map(HeadConfig::File).map_err(|error| CommandError::file(&path, &error))
        }
        Ok(database) => Ok(database),
        Err(error) => Err(CommandError::head_address(&error.to_string())),
    }
}

/// The configuration is read from the home, wherever the command was given.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    path.canonicalize().map_err(|error| CommandError::file(path, &error))
}
