//! The settings: Cedar's policies, the schema they are checked against, and the entities they know.

use std::collections::BTreeSet;
use std::error::Error;

use cedar_policy::{Entities, Policy, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use ringfence_policy_support::types::SettingsProblem;
use ringfence_policy_support::{is_code, member, one_line, problem, quoted};
use serde_json::{Map, Value};

use crate::verdict::{self, ID, REASON};

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "policies": {
      "description": "Policies in Cedar's syntax.",
      "type": "string"
    },
    "schema": {
      "description": "The schema that the policies and entities have to fit: Cedar's syntax, or its JSON.",
      "type": ["string", "object"]
    },
    "entities": {
      "description": "Entities in Cedar's JSON: who is in which group, which tool has which attributes.",
      "type": "array",
      "default": []
    }
  },
  "required": ["policies"],
  "additionalProperties": false
}"#;

const POLICIES: &str = "/policies";
const SCHEMA: &str = "/schema";
const ENTITIES: &str = "/entities";

/// Settings that could be read.
#[derive(Debug)]
pub struct Settings {
    /// What decides.
    pub policies: PolicySet,
    /// What the policies know besides the request. With a schema, its groups of actions are among them.
    pub entities: Entities,
    schema: Option<Schema>,
}

impl Settings {
    /// Reads settings, or lists what can't be read in them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        let mut members = match serde_json::from_str(text) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(vec![problem("", "the settings have to be an object")]),
            Err(error) => return Err(vec![problem("", format!("the settings are not JSON: {error}"))]),
        };
        let policies = policies(members.remove("policies"));
        let schema = schema(members.remove("schema"));
        let entities = entities(members.remove("entities"), schema.as_ref().ok().and_then(Option::as_ref));
        match (policies, schema, entities, unknown(&members)) {
            (Ok(policies), Ok(schema), Ok(entities), unknown) if unknown.is_empty() => {
                Ok(Self { policies, entities, schema })
            }
            (policies, schema, entities, mut problems) => {
                problems.extend(policies.err().unwrap_or_default());
                problems.extend(schema.err());
                problems.extend(entities.err());
                Err(problems)
            }
        }
    }

    /// What is wrong with settings that can be read: all that would be found out too late.
    pub fn problems(&self) -> Vec<SettingsProblem> {
        let mut problems: Vec<_> = self.policies.policies().flat_map(annotations).collect();
        problems.extend(repeated(&self.policies));
        if self.policies.templates().next().is_some() {
            problems.push(problem(POLICIES, "a template can't be used: there is nothing to fill its slots with"));
        }
        if let Some(schema) = &self.schema {
            let result = Validator::new(schema.clone()).validate(&self.policies, ValidationMode::Strict);
            problems.extend(result.validation_errors().map(|error| problem(POLICIES, one_line(&error.to_string()))));
        }
        problems.sort_by(|a, b| (&a.pointer, &a.text).cmp(&(&b.pointer, &b.text)));
        problems
    }
}

fn policies(value: Option<Value>) -> Result<PolicySet, Vec<SettingsProblem>> {
    let Some(Value::String(text)) = value else {
        return Err(vec![problem(POLICIES, "`policies` has to be text in Cedar's syntax")]);
    };
    text.parse::<PolicySet>().map_err(|errors| {
        errors.iter().map(|error| problem(POLICIES, one_line(&format!("{}{error}", place(error, &text))))).collect()
    })
}

fn schema(value: Option<Value>) -> Result<Option<Schema>, SettingsProblem> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => match Schema::from_cedarschema_str(&text) {
            Ok((schema, _)) => Ok(Some(schema)),
            Err(error) => Err(problem(SCHEMA, one_line(&format!("{}{}", place(&error, &text), chain(&error))))),
        },
        Some(value @ Value::Object(_)) => {
            Schema::from_json_value(value).map(Some).map_err(|error| problem(SCHEMA, one_line(&chain(&error))))
        }
        Some(_) => Err(problem(SCHEMA, "`schema` has to be text in Cedar's syntax, or an object")),
    }
}

fn entities(value: Option<Value>, schema: Option<&Schema>) -> Result<Entities, SettingsProblem> {
    let value = value.unwrap_or_else(|| Value::Array(Vec::new()));
    if !value.is_array() {
        return Err(problem(ENTITIES, "`entities` has to be a list"));
    }
    Entities::from_json_value(value, schema).map_err(|error| problem(ENTITIES, one_line(&chain(&error))))
}

/// Annotations become codes and texts of reasons, so they have to be such.
fn annotations(policy: &Policy) -> Vec<SettingsProblem> {
    let mut problems = Vec::new();
    for (key, value) in policy.annotations() {
        if key == ID && !is_code(value) {
            problems.push(format!("{} is not an id in kebab-case of at most 64 characters", quoted(value)));
        }
        if key == REASON && one_line(value) != value {
            problems.push(format!("the reason {} is not one line of at most 512 bytes", quoted(value)));
        }
    }
    problems.into_iter().map(|text| problem(POLICIES, text)).collect()
}

fn repeated(policies: &PolicySet) -> Vec<SettingsProblem> {
    let mut known = BTreeSet::new();
    let ids = policies.policies().map(verdict::code);
    let repeated: BTreeSet<_> = ids.filter(|id| !known.insert(id.clone())).collect();
    repeated.iter().map(|id| problem(POLICIES, format!("the id {} stands for two policies", quoted(id)))).collect()
}

fn unknown(members: &Map<String, Value>) -> Vec<SettingsProblem> {
    members.keys().map(|key| problem(member("", key), "there is no such setting")).collect()
}

/// Where in a text an error is, if it knows.
fn place(error: &dyn Diagnostic, text: &str) -> String {
    let offset = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    offset.and_then(|offset| text.get(..offset)).map_or_else(String::new, |before| {
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("line {}, column {column}: ", before.matches('\n').count() + 1)
    })
}

/// An error and what it comes from: Cedar's outermost errors often say only what was being done.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
