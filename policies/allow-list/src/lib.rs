//! Permits the functions that are listed, to whom they are listed for, and forbids every other.
//!
//! A list can be long: it is never read as a whole once it is in force (see `ringfence_policy_support::table`). What the
//! caller claims, and what the input says, is not its concern.

mod settings;

use ringfence_policy_support::settings::not_valid;
use ringfence_policy_support::table::{Table, keys};
use ringfence_policy_support::types::{Call, DecisionPoint, Description, Request, SettingsProblem, Verdict};
use ringfence_policy_support::{Guest, call, forbid, permit, quoted, reason};

use crate::settings::{SETTINGS_SCHEMA, Who, check};

struct AllowList;

ringfence_policy_support::export!(AllowList with_types_in ringfence_policy_support::bindings);

impl Guest for AllowList {
    fn describe() -> Description {
        Description {
            name: "allow-list".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Permits the functions that are listed, to the principals, sessions and rings they are listed \
                      for, and forbids every other."
                .to_owned(),
            points: vec![DecisionPoint::Call],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        check(&settings)
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        let Some(call) = call(&request) else { return Verdict::Abstain };
        let Some(table) = Table::of(&settings) else { return not_valid() };
        let listed: Vec<_> = keys(&call.tool, &call.function).iter().filter_map(|key| table.get(key)).collect();
        match listed.iter().map(|text| Who::read(text)).collect::<Option<Vec<_>>>() {
            Some(lists) => judge(&lists, &request, call),
            None => not_valid(),
        }
    }
}

fn judge(lists: &[Vec<Who>], request: &Request, call: &Call) -> Verdict {
    let (tool, function) = (quoted(&call.tool.name), quoted(&call.function));
    if lists.is_empty() {
        return forbid(reason("not-in-allow-list", format!("function {function} of {tool} is not listed")));
    }
    if lists.iter().flatten().any(|who| who.covers(request)) {
        return permit(reason("in-allow-list", format!("function {function} of {tool} is listed")), Vec::new());
    }
    let text = format!("function {function} of {tool} is listed, but not for this principal, session and ring");
    forbid(reason("not-listed-for-caller", text))
}
