//! Builds every guest and writes a path constant for each.
//!
//! Hostile guests are found by their source files, so none can be forgotten here.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use ringfence_guest_build::{Crate, GuestBuild, GuestBuildError, Target, constant_name, path_constant};

const TOOLS: [&str; 5] =
    ["guests/tools/echo", "guests/tools/fetch", "guests/tools/files", "guests/tools/orders", "guests/tools/table"];
const TOOL_IN_C: &str = "guests/tools/lines";
const POLICIES: [&str; 2] = ["policies/path-scope", "policies/ring-default"];
/// Calls the host with any values: what fuzzing drives.
const PROBE: &str = "guests/probe";
const HOSTILE: &str = "guests/hostile";
const HOSTILE_POLICIES: &str = "guests/hostile-policies";
/// Hostile policies that need what only WASI has.
const POLICIES_WITH_IMPORTS: [&str; 1] = ["imports_clock"];

fn main() -> ExitCode {
    ringfence_guest_build::run(build)
}

fn build(guests: &GuestBuild) -> Result<(), GuestBuildError> {
    guests.watch("policies/support");
    guests.watch("guests/hostile-network");
    let hostile = guests.programs("guests/hostile/src/bin")?;
    let hostile_policies = guests.programs("guests/hostile-policies/examples")?;

    let (mut of_tools, mut of_policies) = (Vec::new(), Vec::new());
    of_tools.extend(TOOLS.map(|folder| Guest::new("TOOL", Crate::library(folder))));
    of_tools.push(Guest::new("GUEST", Crate::library(PROBE)));
    of_policies.extend(POLICIES.map(|folder| Guest::new("POLICY", Crate::library(folder))));
    of_tools.extend(hostile.iter().map(|name| Guest::new("HOSTILE", Crate::bin(HOSTILE, "hostile", name))));
    for name in &hostile_policies {
        let list = if POLICIES_WITH_IMPORTS.contains(&name.as_str()) { &mut of_tools } else { &mut of_policies };
        list.push(Guest::new("HOSTILE_POLICY", Crate::example(HOSTILE_POLICIES, "hostile-policies", name)));
    }

    let mut source = path_constant("TOOL_LINES", "The tool `lines`.", &guests.c_command(TOOL_IN_C)?);
    source += &constants(guests, Target::Tool, &of_tools)?;
    source += &constants(guests, Target::Policy, &of_policies)?;
    source += &for_each("for_each_hostile", "hostile guest", &hostile);
    source += &for_each("for_each_hostile_policy", "hostile policy", &hostile_policies);
    guests.write_source("artifacts.rs", &source)
}

/// A guest and the family that its constant's name begins with.
struct Guest<'a> {
    family: &'static str,
    source: Crate<'a>,
}

impl<'a> Guest<'a> {
    fn new(family: &'static str, source: Crate<'a>) -> Self {
        Self { family, source }
    }

    fn constant(&self, component: &Path) -> String {
        let name = self.source.name();
        let family = self.family.to_lowercase().replace('_', " ");
        path_constant(
            &format!("{}_{}", self.family, constant_name(name)),
            &format!("The {family} `{name}`."),
            component,
        )
    }
}

fn constants(guests: &GuestBuild, target: Target, list: &[Guest<'_>]) -> Result<String, GuestBuildError> {
    let crates: Vec<_> = list.iter().map(|guest| guest.source).collect();
    let components = guests.crates(target, &crates)?;
    Ok(list.iter().zip(&components).map(|(guest, component)| guest.constant(component)).collect())
}

/// Source of a macro that calls another one with each name.
fn for_each(name: &str, what: &str, guests: &[String]) -> String {
    let mut source = format!("/// Calls a macro once for every {what}, with its name as an identifier.\n");
    // Writing to a `String` can't fail.
    let _ = writeln!(source, "#[macro_export]\nmacro_rules! {name} {{\n    ($check:ident) => {{");
    for guest in guests {
        let _ = writeln!(source, "        $check!({guest});");
    }
    source + "    };\n}\n"
}
