//! Says at each point what its settings say: the policy that tests of the host make others out of. Settings are an
//! object with a member for each point it answers at: `"permit"`, `"forbid"`, `"abstain"`, or a list of obligations to
//! permit under. It is honest, and lives here because nobody else should want it.

use ringfence_policy_support as support;
use serde_json::Value;
use support::types::{
    Approval, Cache, Cap, DecisionPoint, Description, NamedObligation, Obligation, Permission, RedactedPart, Redaction,
    Request, Scope, SettingsProblem, Span, Subject, Unit, Verdict, Window,
};
use support::{Guest, problem, reason, unchanged};

struct Scripted;

support::export!(Scripted with_types_in support::bindings);

impl Guest for Scripted {
    fn describe() -> Description {
        use DecisionPoint::{Admit, Call, Egress, Elevate, Result, Transcript};
        Description {
            name: "scripted".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Says at each point what its settings say.".to_owned(),
            points: vec![Admit, Call, Egress, Result, Elevate, Transcript],
            settings_schema: r#"{"type":"object"}"#.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        match serde_json::from_str::<Value>(&settings) {
            Ok(Value::Object(_)) => Ok(()),
            _ => Err(vec![problem("", "an object is wanted")]),
        }
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        let point = match &request.subject {
            Subject::Admit(_) => "admit",
            Subject::Call(_) => "call",
            Subject::Egress(_) => "egress",
            Subject::Result(_) => "result",
            Subject::Elevate(_) => "elevate",
            Subject::Transcript(_) => "transcript",
        };
        let settings: Value = serde_json::from_str(&settings).expect("settings");
        let why = || vec![reason("scripted", "as the settings say")];
        match &settings[point] {
            Value::Null => Verdict::Abstain,
            Value::String(word) if word == "permit" => {
                Verdict::Permit(Permission { reasons: why(), obligations: Vec::new() })
            }
            Value::String(word) if word == "abstain" => Verdict::Abstain,
            Value::Array(obligations) => {
                let obligations = obligations.iter().map(obligation).collect();
                Verdict::Permit(Permission { reasons: why(), obligations })
            }
            _ => Verdict::Forbid(why()),
        }
    }
}

fn obligation(value: &Value) -> Obligation {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| value[key].as_u64().unwrap_or_default();
    match value["is"].as_str().unwrap_or_default() {
        "narrow" => {
            let mut narrowing = unchanged();
            narrowing.fuel = value["fuel"].as_u64();
            Obligation::Narrow(narrowing)
        }
        "redact" => Obligation::Redact(vec![Redaction { pointer: text("pointer"), part: part(&value["part"]) }]),
        "approve" => Obligation::Approve(Approval {
            by: value["by"].as_array().into_iter().flatten().filter_map(|by| Some(by.as_str()?.to_owned())).collect(),
            valid_ms: number("valid-ms"),
            reason: text("reason"),
        }),
        "cap" => Obligation::Cap(Cap {
            scope: match text("scope").as_str() {
                "host" => Scope::Host,
                "session" => Scope::Session,
                "tool" => Scope::Tool,
                "principal-tool" => Scope::PrincipalTool,
                _ => Scope::Principal,
            },
            unit: match text("unit").as_str() {
                "fuel" => Unit::Fuel,
                "wall-ms" => Unit::WallMs,
                _ => Unit::Calls,
            },
            window: match text("window").as_str() {
                "minute" => Window::Minute,
                "hour" => Window::Hour,
                _ => Window::Day,
            },
            at_most: number("at-most"),
        }),
        "cache" => {
            let shared = value["shared"].as_bool().unwrap_or_default();
            Obligation::Cache(Cache { valid_ms: number("valid-ms"), shared })
        }
        other => Obligation::Named(NamedObligation { name: other.to_owned(), parameters: "{}".to_owned() }),
    }
}

fn part(value: &Value) -> RedactedPart {
    match value {
        Value::String(word) if word == "member" => RedactedPart::Member,
        Value::Array(spans) => {
            let number = |value: &Value| u32::try_from(value.as_u64().unwrap_or_default()).unwrap_or_default();
            let span = |span: &Value| Span { start: number(&span[0]), end: number(&span[1]) };
            RedactedPart::Spans(spans.iter().map(span).collect())
        }
        _ => RedactedPart::Value,
    }
}
