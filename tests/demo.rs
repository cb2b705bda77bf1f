//! The demonstration claims nothing that is not so: it is run as it is, and every claim is looked for in what it prints.

use std::path::Path;
use std::process::Command;

#[test]
fn demonstration_shows_what_it_claims() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guests = Path::new(ringfence_artifacts::TOOL_FILES).ancestors().nth(2).expect("the guests' folder");
    let output = Command::new("bash")
        .arg(root.join("scripts/demo.sh"))
        .env("RINGFENCE_DEMO_BINARY", env!("CARGO_BIN_EXE_ringfence"))
        .env("RINGFENCE_DEMO_GUESTS", guests)
        .output()
        .expect("bash runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    for claim in [
        // The answer is about this repository's own documents, and there is a receipt that verifies.
        "\"path\": \"/docs/",
        "first answer after",
        "intact: 1 entries, 3 under a signed checkpoint",
        // The attacks were contained: one outside its folder, one beyond its time.
        "contained: ",
        // The log verifies; the copy does not, and the entry that was edited is named.
        "finished  call_",
        "refused   call_",
        "FAILED   entry 2: ",
        "NOT INTACT",
    ] {
        assert!(stdout.contains(claim), "`{claim}` is not in:\n{stdout}\n{stderr}");
    }
    for claim in ["receipt: entry 2 ", "ring-not-privileged-enough", "    ring = 2", "[tool.limit.time]"] {
        assert!(stderr.contains(claim), "`{claim}` is not in:\n{stderr}");
    }
    assert!(!stdout.contains("escaped"), "{stdout}");
}
