//! Forbids a call outside its days and hours.
//!
//! The time is the host's, in the request. Hours are those of a fixed offset from UTC: there is no time zone here, and no
//! summer time. Inside its hours a call is not this policy's concern.

mod moment;
mod settings;

use ringfence_policy_support::settings::not_valid;
use ringfence_policy_support::types::{DecisionPoint, Description, Reason, Request, SettingsProblem, Verdict};
use ringfence_policy_support::{Guest, call, objected, quoted, reason};

use crate::moment::Moment;
use crate::settings::{Rule, SETTINGS_SCHEMA, Settings};

struct TimeWindow;

ringfence_policy_support::export!(TimeWindow with_types_in ringfence_policy_support::bindings);

impl Guest for TimeWindow {
    fn describe() -> Description {
        Description {
            name: "time-window".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Forbids a call outside the days and hours that are set for its tool and effect.".to_owned(),
            points: vec![DecisionPoint::Call],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        Settings::parse(&settings).map(drop)
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        let Some(call) = call(&request) else { return Verdict::Abstain };
        let Ok(settings) = Settings::parse(&settings) else { return not_valid() };
        let moment = Moment::new(request.time_ms, settings.offset_minutes);
        let closed = settings.rules.iter().filter(|rule| rule.is_for(call) && !rule.is_open(moment));
        objected(closed.map(|rule| outside(rule, moment, &call.tool.name)).collect()).unwrap_or(Verdict::Abstain)
    }
}

fn outside(rule: &Rule, moment: Moment, tool: &str) -> Reason {
    let hours: Vec<_> = rule.windows.iter().take(3).map(ToString::to_string).collect();
    let more = if rule.windows.len() > hours.len() { " and others" } else { "" };
    let text = format!("it is {moment}, and {} is called {}{more} only", quoted(tool), hours.join(", "));
    reason("outside-window", text)
}
