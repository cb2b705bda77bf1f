//! The settings: which functions, and for whom.

use ringfence_policy_support::ring_number;
use ringfence_policy_support::settings::{self, Place, Problems};
use ringfence_policy_support::table;
use ringfence_policy_support::types::{Principal, PrincipalKind, Request, SettingsProblem};

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "tools": {
      "description": "Who may call what, by TOOL/FUNCTION. A tool is a name, a digest or *; a function is a name or *.",
      "type": "object",
      "propertyNames": {
        "maxLength": 513,
        "pattern": "^(\\*|[A-Za-z0-9._-]+|sha256:[0-9a-f]{64})/[!#-\\[\\]-~]+$"
      },
      "additionalProperties": {
        "description": "A call is permitted if one of these covers it.",
        "type": "array",
        "minItems": 1,
        "maxItems": 64,
        "items": {
          "type": "object",
          "properties": {
            "principals": {
              "description": "KIND:NAME, or KIND:* for every one of a kind: agent, operator or service. Missing: everyone.",
              "type": "array",
              "items": { "type": "string", "maxLength": 265, "pattern": "^(agent|operator|service):(\\*|[A-Za-z0-9._-]+)$" },
              "minItems": 1,
              "maxItems": 1000
            },
            "sessions": {
              "description": "Names of sessions; one that ends in * is the beginning of names. Missing: with or without a session.",
              "type": "array",
              "items": { "type": "string", "pattern": "^[^*]*\\*?$", "minLength": 1, "maxLength": 256 },
              "minItems": 1,
              "maxItems": 1000
            },
            "rings": {
              "description": "Rings that the call may run in. Missing: every ring.",
              "type": "array",
              "items": { "type": "integer", "minimum": 0, "maximum": 3 },
              "minItems": 1,
              "maxItems": 4
            }
          },
          "additionalProperties": false
        }
      }
    }
  },
  "required": ["tools"],
  "additionalProperties": false
}"#;

const ITEMS_MAX: usize = 1_000;
const WHO_MAX: usize = 64;
const TEXT_CHARS_MAX: usize = 256;

const KINDS: [(&str, PrincipalKind); 3] =
    [("agent", PrincipalKind::Agent), ("operator", PrincipalKind::Operator), ("service", PrincipalKind::Service)];

/// Who may call: whoever is in each of these lists. A list that is missing holds everyone.
pub struct Who {
    principals: Option<Vec<PrincipalPattern>>,
    sessions: Option<Vec<String>>,
    rings: Option<Vec<i64>>,
}

/// Checks settings before they are put in force.
pub fn check(text: &str) -> Result<(), Vec<SettingsProblem>> {
    settings::read(text, |place, problems| {
        table::check(place, problems, |place, problems| drop(list(place, problems)));
        Some(())
    })
}

impl Who {
    /// Reads the value that a text begins with.
    pub fn read(text: &str) -> Option<Vec<Self>> {
        table::value(text, list)
    }

    /// Whether the caller is one of them.
    pub fn covers(&self, request: &Request) -> bool {
        let session = request.session.as_ref();
        let among = |patterns: &Vec<String>| session.is_some_and(|session| has_name(patterns, &session.name));
        self.principals.as_ref().is_none_or(|list| list.iter().any(|pattern| pattern.covers(&request.principal)))
            && self.sessions.as_ref().is_none_or(among)
            && self.rings.as_ref().is_none_or(|rings| rings.contains(&i64::from(ring_number(request.ring))))
    }
}

fn list(place: &Place<'_>, problems: &mut Problems) -> Option<Vec<Who>> {
    place.list(1..=WHO_MAX, problems, who)
}

fn who(place: &Place<'_>, problems: &mut Problems) -> Option<Who> {
    let members = place.object(&["principals", "sessions", "rings"], problems)?;
    Some(Who {
        principals: members.optional("principals", |place| place.list(1..=ITEMS_MAX, problems, principal)),
        sessions: members.optional("sessions", |place| place.list(1..=ITEMS_MAX, problems, session)),
        rings: members
            .optional("rings", |place| place.list(1..=4, problems, |place, problems| place.integer(0..=3, problems))),
    })
}

/// One principal, or every one of a kind.
struct PrincipalPattern {
    kind: PrincipalKind,
    name: Option<String>,
}

impl PrincipalPattern {
    fn covers(&self, principal: &Principal) -> bool {
        self.kind == principal.kind && self.name.as_ref().is_none_or(|name| *name == principal.name)
    }
}

fn principal(place: &Place<'_>, problems: &mut Problems) -> Option<PrincipalPattern> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = |text: &str| (1..=TEXT_CHARS_MAX).contains(&text.len()) && text.bytes().all(known);
    place.parsed("`KIND:NAME` or `KIND:*`, of `agent`, `operator` or `service`", problems, |text| {
        let (kind, name) = text.split_once(':')?;
        let kind = KINDS.iter().find(|(word, _)| *word == kind)?.1;
        let name = (name != "*").then_some(name);
        name.is_none_or(is_name).then(|| PrincipalPattern { kind, name: name.map(str::to_owned) })
    })
}

fn session(place: &Place<'_>, problems: &mut Problems) -> Option<String> {
    place.parsed("the name of a session, or the beginning of one with `*` behind it", problems, |text| {
        let inner = text.strip_suffix('*').unwrap_or(text);
        let fits = !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX && !inner.contains('*');
        fits.then(|| text.to_owned())
    })
}

fn has_name(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    })
}
