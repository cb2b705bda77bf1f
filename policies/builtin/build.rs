//! Builds the policies that come with Ringfence, and lists them for `include_bytes!`.

use std::fmt::Write as _;
use std::process::ExitCode;

use ringfence_guest_build::{Crate, GuestBuild, GuestBuildError, Target};

/// Folders of `policies/` and the policies' names, in alphabetical order.
const POLICIES: &[&str] = &[
    "allow-list", //
    "argument-schema",
    "cedar",
    "egress-list",
    "path-scope",
    "prompt-guard",
    "quality-gate",
    "rate-limit",
    "rego",
    "ring-default",
    "secret-scan",
    "time-window",
];

/// What others are measured against.
const EMPTY: &str = "policies/empty";

fn main() -> ExitCode {
    ringfence_guest_build::run(build)
}

fn build(guests: &GuestBuild) -> Result<(), GuestBuildError> {
    guests.watch("policies/support");
    for component in guests.crates(Target::Policy, &[Crate::library(EMPTY)])? {
        let path = component.display().to_string();
        guests.write_source("empty.rs", &format!("include_bytes!({path:?})\n"))?;
    }
    let mut source = "&[\n".to_owned();
    for name in POLICIES {
        let folder = format!("policies/{name}");
        // Each on its own: built together, the features that one needs of a library would be in all of them.
        for component in guests.crates(Target::Policy, &[Crate::library(&folder)])? {
            let path = component.display().to_string();
            // Writing to a `String` can't fail.
            let _ = writeln!(source, "    BuiltinPolicy {{ name: {name:?}, component: include_bytes!({path:?}) }},");
        }
    }
    source.push_str("]\n");
    guests.write_source("policies.rs", &source)
}
