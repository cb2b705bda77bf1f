//! What the tool says of itself.

use crate::bindings::exports::ringfence::tool::tool::{Description, Effect, Function};

const PATH: &str = r#""path":{"description":"Path of a CSV file whose first line names its columns.","type":"string"}"#;
const COLUMN: &str = r#""column":{"description":"Name of a column.","type":"string"}"#;
const Q: &str = r#""q":{"description":"Which quantiles, each from 0 to 1.","type":"array","items":{"type":"number","minimum":0,"maximum":1},"minItems":1,"maxItems":100}"#;

const ROWS: &str = r#""rows":{"description":"Number of rows, without the first line.","type":"integer","minimum":0}"#;
const COLUMNS: &str =
    r#""columns":{"description":"The columns' names, in order.","type":"array","items":{"type":"string"}}"#;
const GROUPS: &str = r#""groups":{"description":"The values, in order, and how many rows have each.","type":"array","items":{"type":"object","properties":{"value":{"type":"string"},"rows":{"type":"integer","minimum":1}},"required":["value","rows"],"additionalProperties":false}}"#;
const MEAN: &str = r#""mean":{"description":"The arithmetic mean.","type":"number"}"#;
const QUANTILES: &str = r#""quantiles":{"description":"The quantiles, in the order they were asked for, interpolated between neighbours.","type":"array","items":{"type":"object","properties":{"q":{"type":"number"},"value":{"type":"number"}},"required":["q","value"],"additionalProperties":false}}"#;

/// The tool and its functions.
pub fn description() -> Description {
    Description {
        summary: "Answers questions about CSV files in the granted folders.".to_owned(),
        functions: vec![
            function("count", "Counts the rows of a table and names its columns.", &[PATH], &[ROWS, COLUMNS]),
            function("group-by", "Counts the rows for each value of a column.", &[PATH, COLUMN], &[GROUPS]),
            function("mean", "Computes the mean of a column of numbers.", &[PATH, COLUMN], &[MEAN, ROWS]),
            function(
                "quantiles",
                "Computes quantiles of a column of numbers; 0.5 is the median.",
                &[PATH, COLUMN, Q],
                &[QUANTILES, ROWS],
            ),
        ],
    }
}

fn function(name: &str, description: &str, input: &[&str], output: &[&str]) -> Function {
    Function {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema: object(input),
        output_schema: Some(object(output)),
        effect: Effect::Reads,
        idempotent: true,
    }
}

/// JSON Schema of an object with these properties, all of them required, and no other.
fn object(properties: &[&str]) -> String {
    let names: Vec<_> = properties.iter().filter_map(|property| property.split(':').next()).collect();
    format!(
        r#"{{"type":"object","properties":{{{}}},"required":[{}],"additionalProperties":false}}"#,
        properties.join(","),
        names.join(","),
    )
}
