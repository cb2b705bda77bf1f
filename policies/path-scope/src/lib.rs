//! Keeps the paths in a call's input under given folders.
//!
//! It reads paths as the guest would write them and compares them by component, byte for byte; it never sees a file,
//! so what a path really leads to stays the sandbox's business. Its permit therefore comes with an obligation that
//! takes away every folder outside the roots. A call without any path is not its concern.

mod path;
mod settings;

use ringfence_policy_support::types::{
    DecisionPoint, Description, Folder, Narrowing, Obligation, Reason, Request, SettingsProblem, Verdict,
};
use ringfence_policy_support::{Guest, call, permit, quoted, reason, unchanged};
use serde_json::Value;

use crate::path::GuestPath;
use crate::settings::{SETTINGS_SCHEMA, Settings};

struct PathScope;

ringfence_policy_support::export!(PathScope with_types_in ringfence_policy_support::bindings);

impl Guest for PathScope {
    fn describe() -> Description {
        Description {
            name: "path-scope".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Permits a call whose path arguments all lie under one of the given folders, and takes away \
                      every other folder."
                .to_owned(),
            points: vec![DecisionPoint::Call],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        Settings::parse(&settings).map(|_| ())
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        let Ok(settings) = Settings::parse(&settings) else {
            return Verdict::Forbid(vec![reason("settings-not-valid", "the settings are not those of this policy")]);
        };
        let Some(call) = call(&request) else { return Verdict::Abstain };
        let Ok(input) = serde_json::from_str(&call.input) else {
            return Verdict::Forbid(vec![reason("input-not-readable", "the input is not JSON, or nested too deeply")]);
        };
        judge(&settings, &input, &call.asked.folders)
    }
}

fn judge(settings: &Settings, input: &Value, folders: &[Folder]) -> Verdict {
    let found: Vec<_> =
        settings.arguments.iter().filter_map(|pointer| Some((pointer, input.pointer(pointer)?))).collect();
    let objections: Vec<_> = found.iter().filter_map(|(pointer, value)| objection(settings, pointer, value)).collect();
    if !objections.is_empty() {
        return Verdict::Forbid(objections);
    }
    if found.is_empty() {
        return judge_folders(settings, folders);
    }
    let roots = settings.roots.iter().map(GuestPath::to_string).collect();
    let narrowing = Narrowing { folders: Some(roots), ..unchanged() };
    permit(reason("path-in-scope", "every path is under a permitted folder"), vec![Obligation::Narrow(narrowing)])
}

/// Without a path in the input, as for a command, nothing says which folder will be used: each must be in scope itself.
fn judge_folders(settings: &Settings, folders: &[Folder]) -> Verdict {
    let outside = folders.iter().find(|folder| !is_inside(settings, &folder.guest_path));
    outside.map_or(Verdict::Abstain, |folder| {
        let text =
            format!("folder {} is under no permitted one, and no path says what it is for", quoted(&folder.guest_path));
        Verdict::Forbid(vec![reason("folder-outside-scope", text)])
    })
}

fn is_inside(settings: &Settings, path: &str) -> bool {
    GuestPath::parse(path).is_some_and(|path| settings.roots.iter().any(|root| path.is_under(root)))
}

fn objection(settings: &Settings, pointer: &str, value: &Value) -> Option<Reason> {
    let Value::String(text) = value else {
        return Some(reason("path-not-text", format!("{} in the input is not text", quoted(pointer))));
    };
    (!is_inside(settings, text))
        .then(|| reason("path-outside-scope", format!("{} is under no permitted folder", quoted(text))))
}
