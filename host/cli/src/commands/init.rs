//! `ringfence init`: keys, an empty log, a commented configuration.

use std::path::Path;
use std::path::PathBuf;

use ringfence_runtime::ledger::backend::postgres::address::Address;
use ringfence_runtime::ledger::backend::postgres::address::AddressError;
use serde_json::json;

use crate::args::InitArgs;
use crate::config::LogConfig;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub fn run(folder: &Path, args: &InitArgs, output: Output) -> Result<Exit, CommandError> {
    let store_password_file = args.store_password_file.as_deref().map(absolute).transpose()?;
    let store_roots = args.store_roots.as_deref().map(absolute).transpose()?;
    let store = args.store.as_deref().map(address).transpose()?;
    let log = LogConfig { store, store_password_file, store_roots, ..LogConfig::default() };
    let home = Home::init(folder, args.origin.as_deref(), log)?;
    let key = home.verifier()?.to_string();
    if output.is_json() {
        output.json(&json!({ "home": home.folder(), "key": key }));
    } else {
        output.line(&format!("home  {}", home.folder().display()));
        if let Some(store) = &home.config().log.store {
            output.line(&format!("log   {store}"));
        }
        output.line(&format!("key   {key}"));
        output.note("hint: give the key to whoever will verify this log; it is public");
    }
    Ok(Exit::Done)
}

/// The address, or why it is none. It is not repeated: somebody may have put a password into it.
fn address(text: &str) -> Result<Address, CommandError> {
    text.parse().map_err(|error: AddressError| CommandError::store_address(&error.to_string()))
}

/// The configuration is read from the home, wherever the command was given.
fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    path.canonicalize().map_err(|error| CommandError::file(path, &error))
}
