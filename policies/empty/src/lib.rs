//! Abstains, whatever it is asked: what asking costs when there is nothing to decide. It is measured against and never
//! in force.

use ringfence_policy_support::Guest;
use ringfence_policy_support::types::{DecisionPoint, Description, Request, SettingsProblem, Verdict};

struct Empty;

ringfence_policy_support::export!(Empty with_types_in ringfence_policy_support::bindings);

impl Guest for Empty {
    fn describe() -> Description {
        Description {
            name: "empty".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Abstains.".to_owned(),
            points: vec![DecisionPoint::Call],
            settings_schema: "{}".to_owned(),
        }
    }

    fn validate_settings(_settings: String) -> Result<(), Vec<SettingsProblem>> {
        Ok(())
    }

    fn evaluate(_settings: String, _request: Request) -> Verdict {
        Verdict::Abstain
    }
}
