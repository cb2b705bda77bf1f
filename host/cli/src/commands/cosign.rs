//! `ringfence log cosign`: keep what witnesses have signed, beside the log's own signature.

use std::path::Path;

use ringfence_audit::note::Note;
use serde_json::json;

use crate::commands;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

/// Checks a cosigned checkpoint, and stores it in the place of the one without.
pub(super) fn run(home: &Home, path: &Path, output: Output) -> Result<Exit, CommandError> {
    let refused = |why: &str| CommandError::cosignature(path, why);
    let bytes = commands::read(path)?;
    let note = String::from_utf8(bytes).map_err(|_| refused("it is not text"))?;
    let parsed = Note::parse(&note).map_err(|error| refused(&error.to_string()))?;
    let mut names = Vec::new();
    for witness in &home.config().log.witnesses {
        if witness.cosigned(&parsed).map_err(|error| refused(&error.to_string()))?.is_some() {
            names.push(witness.name());
        }
    }
    if names.is_empty() {
        return Err(refused("no witness of `[log] witnesses` has cosigned it"));
    }
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let merged = sequencer.cosign(&ledger, &note, &home.config().log.witnesses)?;
    let merged = merged.ok_or_else(|| refused("it is no checkpoint of this log"))?;
    if output.is_json() {
        output.json(&json!({ "checkpoint": merged, "witnesses": names }));
    } else {
        output.line(&format!("cosigned by {}", names.join(", ")));
    }
    Ok(Exit::Done)
}
