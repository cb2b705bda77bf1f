//! Forbids a call when too much was used lately, and has the host count where its own look comes too early.
//!
//! The counters in a request are those of the moment it was made: calls that come together all see room for one. So a
//! permit carries each limit as a cap, which the host enforces exactly. A cap can only stand on a permit, and one permit
//! is enough for a call; whether this policy gives any is therefore for the operator to say, and there is no default.

mod settings;

use ringfence_policy_support::settings::not_valid;
use ringfence_policy_support::types::{
    Cap, Count, DecisionPoint, Description, Obligation, Reason, Request, SettingsProblem, Unit, Usage, Verdict, Window,
};
use ringfence_policy_support::{Guest, call, objected, permit, reason};

use crate::settings::{Limit, SETTINGS_SCHEMA, Settings, scope_word};

struct RateLimit;

ringfence_policy_support::export!(RateLimit with_types_in ringfence_policy_support::bindings);

impl Guest for RateLimit {
    fn describe() -> Description {
        Description {
            name: "rate-limit".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Forbids a call when its principal, session or tool used too much lately; if it permits, it has \
                      the host hold every limit exactly."
                .to_owned(),
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
        let limits: Vec<_> = settings.limits.iter().filter(|limit| limit.is_for(&call.tool)).collect();
        let objections = limits.iter().filter_map(|limit| objection(limit, &request.usage)).collect();
        objected(objections).unwrap_or_else(|| within(&settings, &limits))
    }
}

/// No limit was reached: a permit with every cap, if it is for this policy to permit. A call without limits is not its
/// concern.
fn within(settings: &Settings, limits: &[&Limit]) -> Verdict {
    if !settings.permits || limits.is_empty() {
        return Verdict::Abstain;
    }
    let caps = limits.iter().map(|limit| {
        let Limit { scope, unit, window, at_most, .. } = **limit;
        Obligation::Cap(Cap { scope, unit, window, at_most })
    });
    permit(reason("within-rate", "no limit on what was used lately is reached"), caps.collect())
}

fn objection(limit: &Limit, usage: &[Usage]) -> Option<Reason> {
    let scope = scope_word(limit.scope);
    let Some(usage) = usage.iter().find(|usage| usage.scope == limit.scope) else {
        let text = format!("nothing is known of what was used within scope `{scope}`");
        return Some(reason("usage-unknown", text));
    };
    let used = used(limit.unit, window(limit.window, usage));
    // This call is not counted yet, and one that begins with nothing left would only be cut off.
    (used >= limit.at_most).then(|| {
        let (at_most, unit) = (limit.at_most, unit_words(limit.unit));
        let (within, again) = window_words(limit.window);
        let text = format!("{used} of {at_most} {unit} {within} are used within scope `{scope}`; try again {again}");
        reason("rate-exceeded", text)
    })
}

fn window(window: Window, usage: &Usage) -> &Count {
    match window {
        Window::Minute => &usage.minute,
        Window::Hour => &usage.hour,
        Window::Day => &usage.day,
    }
}

fn used(unit: Unit, count: &Count) -> u64 {
    match unit {
        Unit::Calls => count.calls,
        Unit::Fuel => count.fuel,
        Unit::WallMs => count.wall_ms,
    }
}

fn unit_words(unit: Unit) -> &'static str {
    match unit {
        Unit::Calls => "calls",
        Unit::Fuel => "units of fuel",
        Unit::WallMs => "milliseconds",
    }
}

fn window_words(window: Window) -> (&'static str, &'static str) {
    match window {
        Window::Minute => ("a minute", "in a minute"),
        Window::Hour => ("an hour", "in an hour"),
        Window::Day => ("a day", "in a day"),
    }
}
