//! The settings: for which functions, and what each field has to be.

use regex_lite::{Regex, RegexBuilder};
use ringfence_policy_support::settings::{self, Place, Problems};
use ringfence_policy_support::table;
use ringfence_policy_support::types::SettingsProblem;
use serde_json::{Number, Value};

use crate::field::{Entity, Field, Kind};

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = include_str!("settings.schema.json");

const PATTERN_BYTES_MAX: usize = 1_024;
const PATTERN_MEMORY_BYTES_MAX: usize = 1 << 20;
const LISTED_MAX: usize = 1_000;
const LENGTH_MAX: i64 = 1 << 32;

const KINDS: [(&str, Kind); 7] = [
    ("array", Kind::Array),
    ("boolean", Kind::Boolean),
    ("integer", Kind::Integer),
    ("null", Kind::Null),
    ("number", Kind::Number),
    ("object", Kind::Object),
    ("string", Kind::String),
];

const ITEM_KEYS: [&str; 7] = ["enum", "max-length", "maximum", "min-length", "minimum", "pattern", "type"];

/// What the input of a function has to be.
pub struct Rules {
    /// Whether the input may have fields that are not named.
    pub additional_fields: bool,
    /// What the call is about.
    pub entity: Option<Entity>,
    /// Fields, each by the JSON Pointer to it.
    pub fields: Vec<(String, Field)>,
}

impl Rules {
    /// The JSON Pointers of all fields that are named.
    pub fn named(&self) -> Vec<&str> {
        let entity = self.entity.iter().map(|entity| entity.field.as_str());
        self.fields.iter().map(|(pointer, _)| pointer.as_str()).chain(entity).collect()
    }
}

/// Checks settings before they are put in force.
pub fn check(text: &str) -> Result<(), Vec<SettingsProblem>> {
    settings::read(text, |place, problems| {
        table::check(place, problems, |place, problems| drop(rules(place, problems)));
        Some(())
    })
}

/// Reads one entry.
pub fn rules(place: &Place<'_>, problems: &mut Problems) -> Option<Rules> {
    let members = place.object(&["additional-fields", "entity", "fields"], problems)?;
    let additional_fields = members.optional("additional-fields", |place| place.boolean(problems)).unwrap_or(true);
    let entity = members.optional("entity", |place| entity(place, problems));
    let fields = members.optional("fields", |place| fields(place, problems)).unwrap_or_default();
    Some(Rules { additional_fields, entity, fields })
}

fn entity(place: &Place<'_>, problems: &mut Problems) -> Option<Entity> {
    let members = place.object(&["field", "pattern"], problems)?;
    let field = members.required("field", problems).and_then(|place| place.parsed("a JSON Pointer", problems, pointer));
    let pattern = members.required("pattern", problems).and_then(|place| pattern(&place, problems));
    Some(Entity { field: field?, pattern: pattern? })
}

fn fields(place: &Place<'_>, problems: &mut Problems) -> Option<Vec<(String, Field)>> {
    let mut fields = Vec::new();
    for (key, place) in place.members(problems)?.all() {
        if pointer(key).is_none() {
            place.wrong::<()>(problems, "the key is not a JSON Pointer");
        }
        fields.extend(field(&place, problems).map(|field| (key.to_owned(), field)));
    }
    Some(fields)
}

fn field(place: &Place<'_>, problems: &mut Problems) -> Option<Field> {
    let members = place.object(&[&ITEM_KEYS[..], &["items", "required"][..]].concat(), problems)?;
    let items = members.optional("items", |place| {
        place.object(&ITEM_KEYS, problems)?;
        value(place, problems)
    });
    let required = members.optional("required", |place| place.boolean(problems)).unwrap_or(false);
    Some(Field { items: items.map(Box::new), required, ..value(place, problems)? })
}

/// What can be said of a field and of each item alike.
fn value(place: &Place<'_>, problems: &mut Problems) -> Option<Field> {
    let members = place.members(problems)?;
    let field = Field {
        allowed: members.optional("enum", |place| place.list(1..=LISTED_MAX, problems, scalar)),
        items: None,
        kind: members.optional("type", |place| place.word(&KINDS, problems)),
        length_max: members.optional("max-length", |place| length(place, problems)),
        length_min: members.optional("min-length", |place| length(place, problems)),
        maximum: members.optional("maximum", |place| number(place, problems)),
        minimum: members.optional("minimum", |place| number(place, problems)),
        pattern: members.optional("pattern", |place| pattern(place, problems)),
        required: false,
    };
    Some(field)
}

fn scalar(place: &Place<'_>, problems: &mut Problems) -> Option<Value> {
    if place.value.is_array() || place.value.is_object() {
        return place.wrong(problems, "this can be no list and no object");
    }
    Some(place.value.clone())
}

fn length(place: &Place<'_>, problems: &mut Problems) -> Option<usize> {
    place.integer(0..=LENGTH_MAX, problems).map(|length| usize::try_from(length).unwrap_or(usize::MAX))
}

fn number(place: &Place<'_>, problems: &mut Problems) -> Option<Number> {
    match place.value {
        Value::Number(number) => Some(number.clone()),
        _ => place.wrong(problems, "this has to be a number"),
    }
}

/// A pattern that a whole text has to match. It is read by itself first, so that it can't close what we put around it.
fn pattern(place: &Place<'_>, problems: &mut Problems) -> Option<Regex> {
    let text = place.text(problems)?;
    let compile = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_MEMORY_BYTES_MAX).build();
    if text.len() > PATTERN_BYTES_MAX {
        return place.wrong(problems, format!("this is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    match compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z"))) {
        Ok(pattern) => Some(pattern),
        Err(error) => place.wrong(problems, format!("this is no regular expression: {error}")),
    }
}

fn pointer(text: &str) -> Option<String> {
    let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.starts_with('/') && escapes_are_whole).then(|| text.to_owned())
}
