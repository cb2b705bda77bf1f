//! A process that may have few file descriptors: it does its work, or ends with an error, and nothing in between.

use std::process::Command;

use ringfence_artifacts::TOOL_ECHO;
use ringfence_artifacts::TOOL_FILES;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::command;
use crate::harness::finish;
use crate::harness::postgres::Database;

/// The loader itself opens files; below this it ends the process before any of it is ours.
const LOADER_NEEDS: u32 = 4;
const CALL: [&str; 5] = ["run", TOOL_ECHO, "string", "--input", r#"{"value":"hi"}"#];

/// The binary, where no descriptor may have a number from this on.
fn limited(home: &Home, descriptors: u32, args: &[&str]) -> Ran {
    let plain = command(&home.path(), args);
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &descriptors.to_string()]);
    limited.arg(plain.get_program()).args(plain.get_args());
    limited.env_clear().env("RINGFENCE_HOME", home.path()).env("PATH", "/usr/bin:/bin");
    finish(limited, b"")
}

/// Runs commands under every limit, and says how many did their work and how many ended with an error.
fn counted(home: &Home, commands: &[&[&str]]) -> (usize, usize) {
    let (mut done, mut refused) = (0, 0);
    for descriptors in LOADER_NEEDS..=40 {
        for args in commands {
            let ran = limited(home, descriptors, args);
            match ran.code {
                0 => done += 1,
                // Whoever opens files for a tool was refused one: that is its answer, and on record.
                4 => {
                    assert!(
                        ran.stderr.contains("(os error 24)") || ran.stderr.contains("(os error 29)"),
                        "{descriptors}: {ran:?}"
                    );
                    refused += 1;
                }
                1 => {
                    assert!(ran.stderr.contains("error: ") || ran.text().contains("FAILED"), "{descriptors}: {ran:?}");
                    assert!(ran.stderr.contains("hint: ") || ran.text().contains("hint: "), "{descriptors}: {ran:?}");
                    refused += 1;
                }
                code => panic!("exit {code} of `{args:?}` with {descriptors} descriptors: {ran:?}"),
            }
            assert!(!ran.stderr.contains("a bug in ringfence"), "{descriptors} {args:?}: {}", ran.stderr);
        }
    }
    (done, refused)
}

#[test]
fn few_descriptors_end_in_an_error() {
    // CR-33
    let home = Home::new();
    home.run(CALL).code(0);
    let work = home.folder("work");
    let dir = format!("{}::/work:rw", work.display());
    let input = r#"{"path":"/work/a","content":"x"}"#;
    let write = ["run", TOOL_FILES, "write", "--ring", "2", "--input", input, "--dir", &dir];
    home.run(write).code(0);
    let commands: [&[&str]; 7] = [
        &CALL,
        &write,
        &["inspect", TOOL_ECHO],
        &["log", "verify"],
        &["log", "checkpoint"],
        &["session", "list"],
        &["mcp"],
    ];
    let (done, refused) = counted(&home, &commands);
    println!("{done} did their work, {refused} ended with an error");
    assert!(done > 0 && refused > 0, "{done} {refused}");
    // A call that has begun has ended, and nothing was left half done.
    let entries = home.entries();
    let kinds = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!(kinds("begun"), kinds("finished"));
    home.is_well();
}

#[test]
fn few_descriptors_reach_no_database_half() {
    // CR-33: the log and its head are in databases, and a connection takes descriptors too.
    let (store, heads) = (Database::new(), Database::new());
    let home = Home::made_with(&["--store", &store.url(), "--head", &heads.url()]);
    home.run(CALL).code(0);
    let (done, refused) = counted(&home, &[&CALL, &["log", "verify"]]);
    assert!(done > 0 && refused > 0, "{done} {refused}");
    home.is_well();
}

#[test]
fn home_is_made_or_refused() {
    // CR-33
    let mut made = 0;
    for descriptors in LOADER_NEEDS..=40 {
        let home = Home::none();
        let ran = limited(&home, descriptors, &["init"]);
        if ran.code == 0 {
            made += 1;
            home.run(["log", "verify"]).code(0);
        } else {
            ran.code(1).fails_well();
        }
    }
    assert!(made > 0);
}

#[test]
fn no_descriptor_at_all_is_the_loaders_to_refuse() {
    // CR-33: what the twins above begin with is the least there can be.
    let ran = limited(&Home::new(), LOADER_NEEDS - 1, &["--version"]);
    ran.code(127).says("error while loading shared libraries");
    limited(&Home::new(), LOADER_NEEDS, &["--version"]).code(0);
}
