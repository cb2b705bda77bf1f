//! From nothing to a component that runs: `ringfence new`, `ringfence build`, and what each refuses.

use std::path::Path;
use std::process::Command;

use crate::harness;
use crate::harness::Home;
use crate::harness::Ran;

/// Set to build with componentize-py and componentize-js as well: they come from registries, and take minutes.
const OTHER_LANGUAGES: &str = "RINGFENCE_TEST_LANGUAGES";

/// Runs the binary as somebody does who has compilers: with this process's environment. Crates are not fetched anew.
fn ringfence(home: &Home, folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.current_dir(folder).env("RINGFENCE_HOME", home.path()).env("CARGO_NET_OFFLINE", "true").args(args);
    harness::finish(command, b"")
}

/// Makes a policy, builds it and runs its cases.
#[track_caller]
fn policy_builds_and_passes(home: &Home, folder: &Path, language: &str) {
    let name = format!("quiet-{language}");
    ringfence(home, folder, &["new", "policy", &name, "--lang", language]).code(0);
    if language == "javascript" {
        let mut install = Command::new("npm");
        install.current_dir(folder.join(&name)).args(["install", "--no-audit", "--no-fund"]);
        harness::finish(install, b"").code(0);
    }
    let built = ringfence(home, folder, &["build", &name, "--format", "json"]);
    built.code(0);
    assert_eq!((built.json()["kind"].as_str(), built.json()["name"].as_str()), (Some("policy"), Some(name.as_str())));
    let tested = ringfence(home, folder, &["policy", "test", &name]);
    tested.code(0);
    assert!(tested.text().contains("4 passed, 0 failed"), "{}", tested.text());
}

#[test]
fn new_policy_builds_and_passes() {
    let home = Home::new();
    let folder = home.folder("work");
    policy_builds_and_passes(&home, &folder, "rust");
    stubs_take_the_place_of_wasi(&home, &folder);

    // What does not compile leaves the component that is there as it is, and says so.
    let component = folder.join("quiet-rust/quiet-rust.wasm");
    let before = std::fs::read(&component).expect("the component");
    std::fs::write(folder.join("quiet-rust/src/lib.rs"), "fn broken(").expect("the source");
    ringfence(&home, &folder, &["build", "quiet-rust"]).code(1).says("`cargo` failed");
    assert_eq!(std::fs::read(&component).expect("the component"), before);

    // What compiles and is no policy is not left behind either.
    std::fs::write(folder.join("quiet-rust/src/lib.rs"), "").expect("the source");
    let refused = ringfence(&home, &folder, &["build", "quiet-rust"]);
    refused.code(1).says("is not a policy");
    assert_eq!(std::fs::read(&component).expect("the component"), before);
}

/// A policy that asks what is around it traps where there is nothing, and is told the same each time by stubs.
#[track_caller]
fn stubs_take_the_place_of_wasi(home: &Home, folder: &Path) {
    let source = folder.join("quiet-rust/src/lib.rs");
    let plain = std::fs::read_to_string(&source).expect("the source");
    let curious = plain.replace(r#""the function is on the list""#, "&surroundings()") + SURROUNDINGS;
    std::fs::write(&source, curious).expect("the source");

    // Control: without WASI there is no clock to be asked, and the one row that asks it fails.
    ringfence(home, folder, &["build", "quiet-rust"]).code(0);
    let failed = ringfence(home, folder, &["policy", "test", "quiet-rust"]);
    assert!(failed.code(4).text().contains("3 passed, 1 failed"), "{}", failed.text());

    ringfence(home, folder, &["build", "quiet-rust", "--stub-wasi"]).code(0);
    let passed = ringfence(home, folder, &["policy", "test", "quiet-rust"]);
    assert!(passed.code(0).text().contains("4 passed, 0 failed"), "{}", passed.text());
    ringfence(home, folder, &["policy", "test", "quiet-rust", "--shuffle"]).code(0);
    std::fs::write(&source, plain).expect("the source");
}

/// What a policy finds around it; the text of its reason, so that asking in another order has to give the same.
const SURROUNDINGS: &str = r#"
fn surroundings() -> String {
    use std::hash::{BuildHasher, RandomState};
    use std::time::{Instant, SystemTime};

    assert_eq!(SystemTime::now(), SystemTime::UNIX_EPOCH);
    assert!(Instant::now().elapsed().is_zero());
    assert_eq!(std::env::args().count() + std::env::vars().count(), 0);
    assert!(std::fs::read_dir("/").is_err() && std::fs::write("/here", "x").is_err());
    eprintln!("nobody reads this");
    format!("drawn: {}", RandomState::new().hash_one(1))
}
"#;

#[test]
fn new_tool_builds_and_runs() {
    let home = Home::new();
    let folder = home.folder("work");
    ringfence(&home, &folder, &["new", "tool", "count-lines", "--dir", "tool"]).code(0);
    ringfence(&home, &folder, &["build", "tool", "--stub-wasi"]).code(1).says("hint: leave `--stub-wasi` out");
    ringfence(&home, &folder, &["build", "tool", "--out", "count.wasm"]).code(0);
    home.file("docs/a.txt", "one\ntwo\n");
    let dir = format!("{}::/docs", home.folder("docs").display());
    let ran = ringfence(&home, &folder, &["run", "count.wasm", "--input", r#"{"path":"/docs/a.txt"}"#, "--dir", &dir]);
    ran.code(0);
    assert_eq!(ran.text().lines().next(), Some("2"));
    // The manifest and the WIT's comments are inside.
    let seen = ringfence(&home, &folder, &["inspect", "count.wasm"]);
    assert!(seen.code(0).text().contains("Counts the lines of a file."), "{}", seen.text());
    assert!(seen.text().contains("reads"), "{}", seen.text());
}

#[test]
fn other_languages_build_where_asked_for() {
    if std::env::var_os(OTHER_LANGUAGES).is_none() {
        return;
    }
    let home = Home::new();
    let folder = home.folder("work");
    policy_builds_and_passes(&home, &folder, "python");
    policy_builds_and_passes(&home, &folder, "javascript");
}

#[test]
fn folder_that_holds_something_is_left_alone() {
    let home = Home::new();
    let kept = home.file("mine/notes.txt", "mine");
    let folder = kept.parent().expect("a folder").display().to_string();
    home.refuses(["new", "policy", "quiet", "--dir", &folder], 1);
    home.refuses(["new", "tool", "quiet", "--dir", &folder], 1);
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 1);
    assert_eq!(std::fs::read_to_string(&kept).expect("the file"), "mine");
}

#[test]
fn names_that_no_package_has_are_refused() {
    let home = Home::new();
    for name in ["Quiet", "quiet hours", "../quiet", "-quiet", "7-quiet", ""] {
        let ran = home.run(["new", "policy", &format!("--dir={}", home.folder("new").display()), "--", name]);
        ran.code(2);
    }
    home.refuses(["new", "tool", "quiet", "--lang", "python"], 2);
    assert_eq!(std::fs::read_dir(home.folder("new")).expect("the folder").count(), 0);
}

#[test]
fn what_cannot_be_built_is_named() {
    let home = Home::new();
    let build = |name: &str| home.refuses(["build", &home.folder(name).display().to_string()], 1);
    assert!(build("empty").contains("holds none of `Cargo.toml`"));
    home.file("workspace/Cargo.toml", "[workspace]\n");
    assert!(build("workspace").contains("not the manifest of a package"));
    home.file("python/app.py", "");
    assert!(build("python").contains("declares no world"));
    home.file("python/wit/a.wit", "package a:b;\nworld one {}\nworld two {}\n");
    assert!(build("python").contains("more than one world"));
    home.file("javascript/app.js", "");
    home.file("javascript/wit/a.wit", "package a:b;\nworld one {}\n");
    let javascript = build("javascript");
    assert!(javascript.contains("`node` is not installed") || javascript.contains("componentize-js"), "{javascript}");
    home.refuses(["build", "/nowhere"], 1);
}
