//! The settings: modules, data, and the rule whose value is the verdict.

use regorus::{Engine, Value as Term};
use ringfence_policy_support::types::SettingsProblem;
use ringfence_policy_support::{member, one_line, problem};
use serde_json::{Map, Value};

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "modules": {
      "description": "Modules in Rego (version 1), by the names that messages call them.",
      "type": "object",
      "additionalProperties": { "type": "string" },
      "minProperties": 1
    },
    "data": {
      "description": "What the modules find under `data`, beside their own rules.",
      "type": "object",
      "default": {}
    },
    "query": {
      "description": "The rule whose value is the verdict.",
      "type": "string",
      "default": "data.ringfence.verdict"
    }
  },
  "required": ["modules"],
  "additionalProperties": false
}"#;

const QUERY_DEFAULT: &str = "data.ringfence.verdict";
const MODULES: &str = "/modules";
const DATA: &str = "/data";
const QUERY: &str = "/query";
/// What the engine says of a query that is the path of no rule, and of a function that it does not have.
const NO_RULE: &str = "not a valid rule path";
const NO_FUNCTION: &str = "could not find function";

/// Settings that could be read: an engine that has them, and the rule to ask it for.
#[derive(Clone, Debug)]
pub struct Settings {
    engine: Engine,
    query: String,
}

impl Settings {
    /// Reads settings, or lists what can't be read in them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        let mut members = match serde_json::from_str(text) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(vec![problem("", "the settings have to be an object")]),
            Err(error) => return Err(vec![problem("", format!("the settings are not JSON: {error}"))]),
        };
        let mut engine = Engine::new();
        let mut problems = add_modules(&mut engine, members.remove("modules"));
        problems.extend(add_data(&mut engine, members.remove("data")));
        let query = query(members.remove("query")).unwrap_or_else(|problem| {
            problems.push(problem);
            String::new()
        });
        problems.extend(unknown(&members));
        if problems.is_empty() { Ok(Self { engine, query }) } else { Err(problems) }
    }

    /// Finds what is wrong with modules that can be read: what can't be prepared, a query that leads nowhere, functions
    /// that don't exist. The engine looks for a function when it comes to it, so the rule is asked for without a
    /// request; what goes wrong there for want of one is nobody's mistake.
    pub fn check(mut self) -> Result<(), Vec<SettingsProblem>> {
        let wrong = |pointer, text: &str| Err(vec![problem(pointer, said(text))]);
        if let Err(error) = self.engine.compile_with_entrypoint(&self.query.as_str().into()) {
            let text = error.to_string();
            return wrong(if text.contains(NO_RULE) { QUERY } else { MODULES }, &format!("{}: {text}", self.query));
        }
        self.engine.set_input(Term::new_object());
        match self.engine.eval_rule(self.query.clone()).map_err(|error| error.to_string()) {
            Err(text) if text.contains(NO_RULE) => wrong(QUERY, &format!("{}: {text}", self.query)),
            Err(text) if text.contains(NO_FUNCTION) => wrong(MODULES, &text),
            _ => Ok(()),
        }
    }

    /// The value of the rule for this input.
    pub fn evaluate(mut self, input: Term) -> Result<Term, String> {
        self.engine.set_strict_builtin_errors(true);
        self.engine.set_input(input);
        self.engine.eval_rule(self.query).map_err(|error| said(&error.to_string()))
    }
}

fn add_modules(engine: &mut Engine, value: Option<Value>) -> Vec<SettingsProblem> {
    let Some(Value::Object(modules)) = value.filter(|value| *value != Value::Object(Map::new())) else {
        return vec![problem(MODULES, "`modules` has to be an object with at least one module")];
    };
    let add = |(name, text): (String, Value)| {
        let Value::String(text) = text else {
            return Some(problem(member(MODULES, &name), "a module has to be text in Rego"));
        };
        let error = engine.add_policy(name.clone(), text).err()?;
        Some(problem(member(MODULES, &name), said(&error.to_string())))
    };
    modules.into_iter().filter_map(add).collect()
}

fn add_data(engine: &mut Engine, value: Option<Value>) -> Option<SettingsProblem> {
    match value {
        None => None,
        Some(value @ Value::Object(_)) => {
            let error = engine.add_data(Term::from(value)).err()?;
            Some(problem(DATA, said(&error.to_string())))
        }
        Some(_) => Some(problem(DATA, "`data` has to be an object")),
    }
}

fn query(value: Option<Value>) -> Result<String, SettingsProblem> {
    match value {
        None => Ok(QUERY_DEFAULT.to_owned()),
        Some(Value::String(query)) => Ok(query),
        Some(_) => Err(problem(QUERY, "`query` has to be the path of a rule, like `data.ringfence.verdict`")),
    }
}

fn unknown(members: &Map<String, Value>) -> Vec<SettingsProblem> {
    members.keys().map(|key| problem(member("", key), "there is no such setting")).collect()
}

/// An error of the engine on one line. It draws where in the source it is; the numbers are enough.
fn said(error: &str) -> String {
    let drawn = |line: &&str| !line.trim_start().trim_start_matches(char::is_numeric).trim_start().starts_with('|');
    one_line(&error.lines().filter(drawn).collect::<Vec<_>>().join(" "))
}
