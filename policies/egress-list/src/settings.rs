//! The settings: what may leave.

use ringfence_policy_support::settings::{self, Members, Problems};
use ringfence_policy_support::types::SettingsProblem;

use crate::host::HostPattern;
use crate::rule::{HttpRule, SocketRule};

/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = r##"{
  "type": "object",
  "properties": {
    "http": {
      "description": "Requests that may leave: `GET,POST https://*.example.com/v1`. Missing: none.",
      "$ref": "#/$defs/rules"
    },
    "sockets": {
      "description": "Sockets that may be opened: `tcp://db.example.com:5432`. Missing: none.",
      "$ref": "#/$defs/rules"
    },
    "names": {
      "description": "Names that may be looked up: `*.example.com`. Missing: none.",
      "$ref": "#/$defs/rules"
    },
    "deny": {
      "description": "Hosts that nothing may leave for, whatever else is listed.",
      "$ref": "#/$defs/rules"
    },
    "requests-max": {
      "description": "Requests and connections of one call. Missing: as many as its grant allows.",
      "type": "integer",
      "minimum": 0,
      "maximum": 4294967295
    }
  },
  "additionalProperties": false,
  "$defs": {
    "rules": { "type": "array", "items": { "type": "string", "maxLength": 1024 }, "maxItems": 1000 }
  }
}"##;

const RULES_MAX: usize = 1_000;
const RULE_BYTES_MAX: usize = 1_024;

const HTTP_FORM: &str = "a rule like `GET,POST https://HOST[:PORT]/PATH`";
const SOCKET_FORM: &str = "a rule like `tcp://HOST:PORT`";
const HOST_FORM: &str = "a host in lower case as IDNA writes it, `*.` and one, a network, or `*`";

/// Settings that were found to make sense.
pub struct Settings {
    pub deny: Vec<HostPattern>,
    pub http: Vec<HttpRule>,
    pub names: Vec<HostPattern>,
    pub requests_max: Option<u32>,
    pub sockets: Vec<SocketRule>,
}

impl Settings {
    /// Reads settings, or lists what is wrong with them.
    pub fn parse(text: &str) -> Result<Self, Vec<SettingsProblem>> {
        settings::read(text, |place, problems| {
            let members = place.object(&["deny", "http", "names", "requests-max", "sockets"], problems)?;
            let max = members.optional("requests-max", |place| place.integer(0..=i64::from(u32::MAX), problems));
            Some(Self {
                deny: rules(&members, "deny", HOST_FORM, HostPattern::parse, problems),
                http: rules(&members, "http", HTTP_FORM, HttpRule::parse, problems),
                names: rules(&members, "names", HOST_FORM, HostPattern::parse, problems),
                requests_max: max.and_then(|max| u32::try_from(max).ok()),
                sockets: rules(&members, "sockets", SOCKET_FORM, SocketRule::parse, problems),
            })
        })
    }
}

fn rules<T>(
    members: &Members<'_>,
    key: &str,
    form: &str,
    parse: fn(&str) -> Option<T>,
    problems: &mut Problems,
) -> Vec<T> {
    let bounded = |text: &str| (text.len() <= RULE_BYTES_MAX).then(|| parse(text)).flatten();
    let list = members.optional(key, |place| {
        place.list(0..=RULES_MAX, problems, |place, problems| place.parsed(form, problems, bounded))
    });
    list.unwrap_or_default()
}
