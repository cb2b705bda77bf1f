//! Calls that were refused: what would have let them through. Whoever follows a hint should look first; each says so.

use std::path::Path;

use ringfence_model::decision::DenialReason;
use ringfence_model::outcome::one_line;
use ringfence_model::ring::Ring;
use ringfence_runtime::pipeline::CallFailure;
use ringfence_runtime::pipeline::Denial;
use ringfence_runtime::toolbox::InputProblem;

use crate::config::tools::Name;
use crate::error::CommandError;
use crate::error::layers;
use crate::error::listed;
use crate::exit::Exit;
use crate::home::Home;

/// What in the configuration sets the ring of a call.
#[derive(Clone, Copy, Debug)]
pub enum RingKey<'a> {
    /// `[run] ring`, unless `--ring` is given.
    Run,
    /// `ring` of a registered tool.
    Tool(&'a str),
}

impl RingKey<'_> {
    pub(super) fn hints(self, ring: Ring, config: &Path) -> Vec<String> {
        let config = config.display();
        let (review, table) = match self {
            Self::Run => (
                format!(
                    "review first, then allow it for this call with `--ring {ring}`, or for every call in `{config}`:"
                ),
                "[run]".to_owned(),
            ),
            Self::Tool(name) => (format!("review first, then allow it in `{config}`:"), format!("[tools.{name}]")),
        };
        vec![review, format!("    {table}"), format!("    ring = {ring}")]
    }
}

/// What would have let a refused call through. Whoever follows it should look first: that is said each time.
pub fn denial_hints(denial: &Denial, ring: Ring, key: RingKey<'_>, home: &Home) -> Vec<String> {
    let config = &home.config_path();
    match denial {
        Denial::Caller(_) | Denial::Input(InputProblem::Unsupported { .. }) => Vec::new(),
        Denial::Input(InputProblem::NoKeyField { .. }) => {
            vec!["give the field, or a key of your own with `--idempotency-key`".to_owned()]
        }
        Denial::Function(error) => vec![format!("it has {}", listed(&error.available))],
        Denial::Input(InputProblem::Schema { .. }) => {
            vec!["`ringfence inspect FILE` shows the schema of every function".to_owned()]
        }
        Denial::Input(InputProblem::WrongKind { .. }) => {
            vec!["give a function `--input JSON`; give a command `-- ARGS` and `--stdin FILE`".to_owned()]
        }
        Denial::Busy(busy) => vec![
            format!("try again after {} ms; nothing has run", busy.retry_after_ms),
            format!(
                "`{}` may have lowered how many calls run at the same time, under [limits] or [rings.{ring}]",
                config.display()
            ),
        ],
        Denial::Held(approval) => vec![
            format!(
                "`ringfence approve {}`, by somebody else than who asks; then make the same call again",
                approval.approval
            ),
            "`ringfence approvals` lists what waits".to_owned(),
        ],
        Denial::Rejected(_) => {
            vec!["what was rejected stays so: another input, grant or policy set makes another question".to_owned()]
        }
        Denial::Capped(capped) => vec![
            format!("try again after {} ms at the latest; nothing has run", capped.retry_after_ms),
            "a policy in force sets this cap: `ringfence policy list`".to_owned(),
        ],
        Denial::Obligation(_) => {
            vec!["narrow where the policy is asked, or what it demands, under [policies]".to_owned()]
        }
        Denial::Halted => vec![
            "`ringfence resume --reason …` lets calls run again; `ringfence log show` says who halted it".to_owned(),
        ],
        Denial::Session(_) => vec!["`ringfence session list` shows what is open, and in which ring".to_owned()],
        Denial::Key { code: "denied.effect-unknown", .. } => vec![
            "find out what it did, then say so: `ringfence ledger settle CALL --committed`, or `--not-executed`"
                .to_owned(),
            "`ringfence ledger list --unknown` lists what waits for that".to_owned(),
        ],
        Denial::Key { .. } => vec!["another `--idempotency-key` makes another call".to_owned()],
        Denial::Policy(reasons) => {
            // Two reasons often have one way out: it is said once.
            let mut ways_out: Vec<Vec<String>> = Vec::new();
            for way_out in reasons.iter().map(|reason| policy_hints(reason, ring, key, config)) {
                if !ways_out.contains(&way_out) {
                    ways_out.push(way_out);
                }
            }
            ways_out.concat()
        }
        Denial::Layer(refusal) => layers::hints(refusal, ring, key, home),
        Denial::Unreached(_) => vec!["`ringfence tool list` shows what is registered".to_owned()],
    }
}

fn policy_hints(reason: &DenialReason, ring: Ring, key: RingKey<'_>, path: &Path) -> Vec<String> {
    let config = path.display();
    let more_privileged = Ring::ALL.into_iter().rev().find(|other| other.number() < ring.number());
    match (reason.reason.code.as_str(), more_privileged) {
        ("ring-not-privileged-enough" | "folder-not-read-only", Some(other)) => key.hints(other, path),
        ("no-permit", _) => vec![
            format!("review first, then put a policy that permits it in force in `{config}`:"),
            "    [policies.ring-default]".to_owned(),
        ],
        ("path-outside-scope", _) => vec![
            format!("review first, then widen the policy's settings in `{config}`:"),
            "    [policies.path-scope]".to_owned(),
            "    settings = { roots = [\"/FOLDER\"] }".to_owned(),
        ],
        _ => match &reason.policy {
            Some(policy) => vec![format!("the policy is configured in `{config}` under [policies.{policy}]")],
            None => Vec::new(),
        },
    }
}

impl CommandError {
    /// Flags that grant, for a tool whose grant stands in its table.
    pub fn granted_by_table(name: &Name) -> Self {
        Self::command_line(format!("tool `{name}` is registered: its ring and its grant stand in its table"))
            .hint("leave the flags out, or name the component's file instead")
    }
}

impl From<CallFailure> for CommandError {
    fn from(error: CallFailure) -> Self {
        match error {
            CallFailure::Ledger(error) => error.into(),
            other => Self { exit: Exit::Internal, ..Self::environment(one_line(&other.to_string())) },
        }
    }
}
