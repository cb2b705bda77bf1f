//! What each ring may do, as `ring-default` and the ceilings have it.

use crate::harness::Home;
use crate::harness::policies::in_force;
use crate::harness::policies::kinds;
use crate::harness::policies::read;
use crate::harness::policies::request;
use crate::harness::policies::rulings;
use crate::harness::policies::write;
use crate::harness::policies::written;

const FILES: &str = ringfence_artifacts::TOOL_FILES;

#[test]
fn sandbox_may_not_write() {
    let home = Home::new();
    let dir = format!("{}::/out", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"x"}"#;
    let args = ["run", FILES, "write", "--input", input, "--dir", &dir];
    let ran = home.run(args);
    ran.code(3).says("needs ring `2` and the call has ring `3`").says("[denied.policy]");
    ran.says("hint: review first").says("--ring 2").says("    [run]\n    ring = 2\n");
    assert_eq!(written(&home), 0);
    // The lines of the hint are the lines that allow it.
    home.configure("[run]\nring = 2\n");
    home.run(args).code(4).says("not-permitted");
    let dir = format!("{dir}:rw");
    home.run(["run", FILES, "write", "--input", input, "--dir", &dir]).code(0);
    assert_eq!(written(&home), 1);
}

#[test]
fn sandbox_has_no_writable_folder() {
    let home = Home::new();
    home.file("out/a.txt", "kept");
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let (ran, value) = read(&home, "/out/a.txt", &["--dir", &dir]);
    ran.code(3);
    let body = &value["receipt"]["entry"]["body"];
    assert_eq!(rulings(body), ["ring-default forbid folder-not-read-only"]);
    // Without the policy's rule, the ring's ceiling still refuses it.
    home.configure(&in_force("hostile", ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS));
    let (ran, value) = read(&home, "/out/a.txt", &["--dir", &dir]);
    ran.code(3);
    assert_eq!(value["outcome"]["error"]["code"], "denied.ring");
    let body = &value["receipt"]["entry"]["body"];
    assert_eq!((&body["stage"], &body["layer"]), (&"narrow".into(), &"ring".into()));
    assert_eq!(rulings(body), ["hostile permit permitted"]);
}

#[test]
fn standard_ring_may_write() {
    let home = Home::new();
    write(&home, &[]).0.code(0);
    assert_eq!(written(&home), 1);
    assert_eq!(home.entries()[1]["body"]["ring"], 2);
    home.is_well();
}

#[test]
fn read_only_folder_stays_so_in_every_ring() {
    for ring in ["2", "1", "0"] {
        let home = Home::new();
        home.file("out/a.txt", "kept");
        let dir = format!("{}::/out:ro", home.folder("out").display());
        let input = r#"{"path":"/out/a.txt","content":"lost"}"#;
        let (ran, value) = home.call(FILES, &["write", "--ring", ring, "--input", input, "--dir", &dir]);
        ran.code(4);
        assert_eq!(value["outcome"]["kind"], "tool_error");
        assert_eq!(value["outcome"]["error"]["value"]["not-permitted"], "/out/a.txt");
        assert_eq!(std::fs::read_to_string(home.folder("out").join("a.txt")).expect("the file"), "kept");
    }
}

#[test]
fn root_ring_is_for_operators() {
    // Whoever runs the command operates the host; that an agent may not is asked of the policy itself.
    let home = Home::new();
    let (ran, _) = write(&home, &["--ring", "0"]);
    assert_eq!(ran.code, 2, "a ring is given once");
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"x"}"#;
    home.call(FILES, &["write", "--ring", "0", "--input", input, "--dir", &dir]).0.code(0);
    let principal = home.entries()[1]["body"]["principal"].as_str().expect("a principal").to_owned();
    assert!(principal.starts_with("operator:uid-"), "{principal}");

    let asked = |principal: &str| {
        let file = home.file("request.json", request(0, "administrative", principal).to_string());
        let file = file.display().to_string();
        home.run(["policy", "eval", "ring-default", "--request", &file, "--format", "json"])
    };
    asked("operator:ada").code(0);
    for principal in ["agent:operator", "service:ci"] {
        let answer = asked(principal).code(3).json();
        assert_eq!(answer["reasons"][0]["code"], "root-is-for-operators");
    }
}

#[test]
fn ring_that_is_none_is_refused() {
    let home = Home::new();
    for ring in ["4", "-1", "256", "root", ""] {
        home.run(["run", FILES, "list", "--ring", ring]).code(2);
    }
    assert_eq!(kinds(&home), ["opened"]);
}
