//! `ringfence key rotate`: the log goes on under a new key.
//!
//! The new key lies beside the old one until the log says that it is in force. Then it takes the old one's place, which
//! is gone with that: what is cut off in between is finished by whoever opens the log next.

use std::sync::Arc;

use ringfence_audit::signer::Signer as _;
use serde_json::json;

use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

pub(super) fn run(home: &Home, output: Output) -> Result<Exit, CommandError> {
    let (ledger, mut sequencer) = commands::open_log(home, output)?;
    let old = home.verifier()?;
    let signer = home.next_signer(old.name())?;
    let new = signer.verifier().clone();
    sequencer.rotate(&ledger, Arc::new(signer))?;
    home.adopt_next_signer()?;
    let index = ledger.len().saturating_sub(1);
    if output.is_json() {
        output.json(&json!({ "index": index, "new": new.to_string(), "old": old.to_string() }));
    } else {
        output.line(&format!("rotated  by entry {index}"));
        output.line(&format!("old      {old}"));
        output.line(&format!("new      {new}"));
        output.note("hint: give the new key to whoever verifies this log; who has the old one is led to it by the log");
    }
    Ok(Exit::Done)
}
