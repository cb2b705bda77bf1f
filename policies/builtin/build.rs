//! Builds the policies that come with Ringfence, and lists them for `include_bytes!`.

use std::fmt::Write as _;
use std::process::ExitCode;

use ringfence_guest_build::{Crate, GuestBuild, GuestBuildError, Target};

/// Folders of `policies/` and the policies' names, in alphabetical order.
const POLICIES: [&str; 2] = ["path-scope", "ring-default"];

fn main() -> ExitCode {
    ringfence_guest_build::run(build)
}

fn build(guests: &GuestBuild) -> Result<(), GuestBuildError> {
    guests.watch("policies/support");
    let folders = POLICIES.map(|name| format!("policies/{name}"));
    let components = guests.crates(Target::Policy, &folders.each_ref().map(|folder| Crate::library(folder)))?;
    let mut source = "&[\n".to_owned();
    for (name, component) in POLICIES.iter().zip(components) {
        let path = component.display().to_string();
        // Writing to a `String` can't fail.
        let _ = writeln!(source, "    BuiltinPolicy {{ name: {name:?}, component: include_bytes!({path:?}) }},");
    }
    source.push_str("]\n");
    guests.write_source("policies.rs", &source)
}
