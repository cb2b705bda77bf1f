//! Answers questions about CSV files in the granted folders; a tool that describes its own functions.
//!
//! This file is the boundary: JSON comes in, one of the functions answers, JSON goes out. The functions themselves are
//! in `functions`, reading tables is in `table`.

mod describe;
mod functions;
mod table;

#[allow(missing_docs, reason = "the WIT has the documentation")]
mod bindings {
    // The package's other world mentions WASI, so all of it has to be there to be read.
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/io.wit",
            "../../../wit/deps/clocks.wit",
            "../../../wit/deps/random.wit",
            "../../../wit/deps/filesystem.wit",
            "../../../wit/deps/sockets.wit",
            "../../../wit/deps/cli.wit",
            "../../../wit/tool",
        ],
        world: "ringfence:tool/described",
    });
}

use bindings::exports::ringfence::tool::tool::{Description, Failure, Guest};
use serde::Serialize;
use serde::de::DeserializeOwned;

struct Table;

bindings::export!(Table with_types_in bindings);

impl Guest for Table {
    fn describe() -> Description {
        describe::description()
    }

    fn call(function: String, input: String) -> Result<String, Failure> {
        match function.as_str() {
            "count" => answer(&input, functions::count),
            "group-by" => answer(&input, functions::group_by),
            "mean" => answer(&input, functions::mean),
            "quantiles" => answer(&input, functions::quantiles),
            _ => Err(Failure::InvalidInput(format!("there is no function `{function}`"))),
        }
    }
}

/// Calls a function with its input read from JSON, and writes its answer as JSON.
fn answer<I: DeserializeOwned, O: Serialize>(
    input: &str,
    function: fn(I) -> Result<O, Failure>,
) -> Result<String, Failure> {
    let input = serde_json::from_str(input).map_err(|error| Failure::InvalidInput(error.to_string()))?;
    serde_json::to_string(&function(input)?).map_err(|error| Failure::Failed(error.to_string()))
}
