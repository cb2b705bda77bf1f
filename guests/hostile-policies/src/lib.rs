//! What the hostile policies share: a policy that is honest about everything but its verdict.
//!
//! One file in `examples/` is one misbehaviour. [`hostile_policy!`] makes a policy of a function from a request to a
//! verdict.

pub use ringfence_policy_support as support;
use ringfence_policy_support::types::{DecisionPoint, Description};

/// Exports a policy that answers every request with what the expression, a function, says.
#[macro_export]
macro_rules! hostile_policy {
    ($name:literal, $evaluate:expr) => {
        struct Hostile;

        impl $crate::support::Guest for Hostile {
            fn describe() -> $crate::support::types::Description {
                $crate::description($name)
            }

            fn validate_settings(_settings: String) -> Result<(), Vec<$crate::support::types::SettingsProblem>> {
                Ok(())
            }

            fn evaluate(
                _settings: String,
                request: $crate::support::types::Request,
            ) -> $crate::support::types::Verdict {
                let evaluate: fn(&$crate::support::types::Request) -> $crate::support::types::Verdict = $evaluate;
                evaluate(&request)
            }
        }

        $crate::support::export!(Hostile with_types_in $crate::support::bindings);
    };
}

/// A plausible description.
pub fn description(name: &str) -> Description {
    Description {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        summary: "Misbehaves on purpose.".to_owned(),
        points: vec![DecisionPoint::Call],
        settings_schema: r#"{"type":"object"}"#.to_owned(),
    }
}
