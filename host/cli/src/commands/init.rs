//! `ringfence init`: keys, an empty log, a commented configuration.

use std::path::Path;

use serde_json::json;

use crate::args::InitArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub fn run(folder: &Path, args: &InitArgs, output: Output) -> Result<Exit, CommandError> {
    let home = Home::init(folder, args.origin.as_deref())?;
    let key = home.verifier()?.to_string();
    if output.is_json() {
        output.json(&json!({ "home": home.folder(), "key": key }));
    } else {
        output.line(&format!("home  {}", home.folder().display()));
        output.line(&format!("key   {key}"));
        output.note("hint: give the key to whoever will verify this log; it is public");
    }
    Ok(Exit::Done)
}
