//! What several policies cost, and what many rules in one do.

use serde_json::Value;
use serde_json::json;

use ringfence_model::decision::Answer;
use ringfence_model::decision::PolicyRequest;

use super::Bench;
use super::Row;
use super::interleave;
use super::text;
use crate::policy::Policy;
use crate::policy::PolicySet;

/// A set as an operator would write it: who may call what, with which arguments, where, when and how often.
const FIVE: [&str; 5] = ["allow-list", "argument-schema", "rate-limit", "ring-default", "time-window"];
const FEW_RULES: usize = 10;
const MANY_RULES: usize = 1_000;

impl Bench<'_> {
    /// Five policies asked one after the other, against one raw instance of one of them.
    pub(super) fn five_policies(&self) -> Result<Row, String> {
        let set = FIVE.map(|name| self.load(name, &settings_of(name))).into_iter().collect::<Result<Vec<_>, _>>()?;
        let set = PolicySet::new(set);
        let usage = json!([{ "scope": "principal" }]);
        let usage = serde_json::from_value(usage).map_err(text)?;
        let request = PolicyRequest { usage, ..Self::request() };
        // A set that denies could end early one day, and would be no measure then.
        if let Answer::Deny(reasons) = set.decide(&request).answer {
            return Err(format!("the five policies deny: {reasons:?}"));
        }
        let raw = self.policy.raw(&request);
        let mut failed = None;
        let (floor, measured) = interleave(
            self.plan.millis,
            || (),
            |()| failed = raw.run().err().or(failed.take()),
            |()| drop(set.decide(&request)),
        );
        failed.map_or(Ok(()), Err)?;
        let (floor, measured) = (floor.named("one raw instance and call"), measured.named("decision by five policies"));
        Ok(Row::of("five policies", floor, measured, Some(6.0)))
    }

    /// A thousand rules against ten: with a logarithm it would be three times as long, with a list a hundred times.
    pub(super) fn many_rules(&self, name: &'static str, row: &'static str) -> Result<Row, String> {
        let (few, many) = (self.load(name, &rules(name, FEW_RULES))?, self.load(name, &rules(name, MANY_RULES))?);
        let request = Self::request();
        let ask = |policy: &Policy, request: &PolicyRequest| drop(std::hint::black_box(policy.ask(request)));
        let (floor, measured) =
            interleave(self.plan.millis, || (), |()| ask(&few, &request), |()| ask(&many, &request));
        Ok(Row::of(row, floor.named("the same with 10 rules"), measured.named("decision by 1,000 rules"), Some(3.0)))
    }

    fn load(&self, name: &str, settings: &Value) -> Result<Policy, String> {
        let found = self.plan.policies.iter().find(|(policy, _)| *policy == name);
        let (_, component) = found.ok_or_else(|| format!("there is no policy `{name}`"))?;
        Policy::load(&self.engine, name, component, settings).map_err(text)
    }
}

fn settings_of(name: &str) -> Value {
    match name {
        "allow-list" | "argument-schema" => rules(name, FEW_RULES),
        "rate-limit" => {
            json!({ "permits": false, "limits": [{ "scope": "principal", "window": "minute", "calls": 1_000_000 }] })
        }
        "time-window" => json!({ "rules": [{ "tools": ["bench"], "windows": [{ "from": "00:00", "to": "24:00" }] }] }),
        _ => json!({}),
    }
}

/// So many rules, one of which is about what is asked, somewhere in the middle.
fn rules(name: &str, count: usize) -> Value {
    let rule = match name {
        "allow-list" => json!([{ "principals": ["agent:*", "operator:*", "service:*"], "rings": [2, 3] }]),
        _ => json!({ "additional-fields": true, "fields": { "/path": { "type": "string", "max-length": 40 } } }),
    };
    let others = (1..count).map(|number| (format!("tool-{number:04}/run"), rule.clone()));
    let asked = std::iter::once(("bench/describe".to_owned(), rule.clone()));
    json!({ "tools": others.chain(asked).collect::<serde_json::Map<_, _>>() })
}
