//! The switch that stops everything: `ringfence halt`, `ringfence resume`, and what the record says of them.

use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts::TOOL_ECHO;
use serde_json::Value;

use crate::harness;
use crate::harness::Home;
use crate::record::effect;
use crate::record::effects;
use crate::record::owned;
use crate::record::rw;
use crate::record::wait_for;

const REASON: &str = "a tool does what it should not";

fn halt(home: &Home) -> u64 {
    let halted = home.run(["halt", "--reason", REASON, "--format", "json"]).code(0).json();
    assert_eq!(halted["halted"], true);
    halted["entry"].as_u64().expect("an entry")
}

fn kinds(home: &Home) -> Vec<String> {
    home.entries().iter().map(|entry| entry["kind"].as_str().expect("a kind").to_owned()).collect()
}

/// A call that has had its effect, and runs until it is stopped.
fn running(home: &Home) -> Child {
    let (tool, work) = (effect(home, "(loop $l (br $l))"), home.folder("work"));
    let args = owned(&["run", &tool, "--ring", "2", "--timeout", "60", "--dir", &rw(&work)]);
    let mut command = harness::command(&home.path(), args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the binary runs");
    wait_for(|| effects(&work) == 1);
    child
}

#[test]
fn nothing_starts_while_it_is_halted() {
    // POL-17
    let home = Home::new();
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let entry = halt(&home);
    assert!(home.refuses(["run", TOOL_ECHO, "nothing"], 3).contains("halted"));
    let refused = home.run(["run", TOOL_ECHO, "nothing"]);
    refused.code(3).says("`ringfence resume --reason …` lets calls run again");
    home.run(["log", "verify"]).code(0);

    home.run(["resume", "--reason", "it was nothing"]).code(0);
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let entries = home.entries();
    let index = usize::try_from(entry).expect("an index");
    assert_eq!(entries[index]["body"]["by"].as_str().map(|by| by.starts_with("operator:")), Some(true));
    let after: Vec<_> = kinds(&home).split_off(index);
    assert_eq!(after, ["halted", "refused", "refused", "refused", "resumed", "begun", "finished"]);
    let shown = home.run(["log", "show"]);
    assert!(shown.text().contains("halted"), "{}", shown.text());
    // Nothing is halted any more, so there is nothing to resume.
    assert!(home.refuses(["resume", "--reason", "again"], 1).contains("not halted"));
    home.is_well();
}

#[test]
fn what_runs_is_stopped_and_recorded() {
    // AGT-11, POL-17
    let home = Home::new();
    let child = running(&home);
    let started = Instant::now();
    halt(&home);
    let ended = child.wait_with_output().expect("it ends");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_ne!(ended.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("an operator halted the host"), "{ended:?}");
    // The call's end comes before the entry that says why, and its effect is not known: it could write.
    let entries = home.entries();
    let [.., begun, finished, halted] = &entries[..] else { panic!("{entries:?}") };
    let of = |entry: &Value| entry["kind"].as_str().map(ToOwned::to_owned);
    assert_eq!([begun, finished, halted].map(of), ["begun", "finished", "halted"].map(|kind| Some(kind.to_owned())));
    assert_eq!((&finished["body"]["outcome"], &finished["body"]["effect"]), (&"cancelled".into(), &"unknown".into()));
    home.run(["resume", "--reason", "looked at it"]).code(0);
    home.is_well();
}

#[test]
fn host_that_can_not_record_halts_all_the_same() {
    // POL-17: a configuration that can't be read, and a log that is gone.
    let home = Home::new();
    home.configure("this is no configuration");
    home.run(["halt", "--reason", REASON]).code(1).says("halted: nothing starts");
    home.configure("[policies.ring-default]\n");
    home.run(["run", TOOL_ECHO, "nothing"]).code(3).says("halted");
    // A home that is none is not halted.
    let nowhere = home.folder("nowhere");
    harness::ringfence(&nowhere, ["halt", "--reason", REASON], b"").code(1);
    assert!(!nowhere.join("halted").exists());
}
