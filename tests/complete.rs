//! Receipts that start pending: what they say before there is a proof, and what completes them.

use std::fs;

use ringfence_artifacts::TOOL_ECHO;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::ringfence;

/// A home with a receipt that was handed out while no checkpoint could be signed: its head could not be held.
fn pending(home: &Home) -> String {
    let lock = home.path().join("log.head.lock");
    fs::remove_file(&lock).expect("the lock");
    fs::create_dir(&lock).expect("a folder in its place");
    let path = home.folder("receipts").join("pending.json").display().to_string();
    let run = ["run", TOOL_ECHO, "string", "--input", r#"{"value":"kept"}"#, "--receipt", &path];
    home.run(run).code(0).says("so the receipt is pending");
    fs::remove_dir(&lock).expect("the folder");
    path
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a receipt")).expect("JSON")
}

#[test]
fn pending_receipt_is_completed_from_the_log() {
    let home = Home::new();
    let path = pending(&home);
    let receipt = read(&path);
    assert!(receipt["proof"].is_null() && receipt["checkpoint"].is_null());
    let told = home.run(["receipt", "verify", &path]);
    told.code(5).says("ringfence receipt complete");
    assert!(told.text().contains("[pending]") && told.text().contains("NOT INTACT"), "{}", told.text());
    let whole = home.run(["receipt", "complete", &path]).code(0).json();
    // It is the same receipt, with what was missing.
    for name in ["entry", "index", "openings", "v"] {
        assert_eq!(whole[name], receipt[name], "{name}");
    }
    let file = home.file("whole.json", whole.to_string()).display().to_string();
    home.run(["receipt", "verify", &file]).code(0);
    // Completing what is whole already changes nothing that matters.
    let again = home.run(["receipt", "complete", &file]).code(0).json();
    home.run(["receipt", "verify", home.file("again.json", again.to_string()).to_str().expect("text")]).code(0);
    home.is_well();
}

#[test]
fn pending_receipt_is_completed_from_what_is_published() {
    // AUD-16: by somebody who has neither the home nor its log.
    let home = Home::new();
    let www = home.folder("www").display().to_string();
    home.run(["log", "publish", "--to", &www]).code(0);
    let path = pending(&home);
    let key = home.entries()[0]["body"]["key"].as_str().expect("a key").to_owned();
    let none = home.folder("none");
    let args = ["receipt", "complete", &path, "--published", &www, "--key", &key];
    let early = ringfence(&none, args, b"");
    early.code(1).fails_well().says("not published yet");
    home.run(["log", "publish", "--to", &www]).code(0);
    let whole = ringfence(&none, args, b"").code(0).stdout.clone();
    let file = home.file("whole.json", whole).display().to_string();
    ringfence(&none, ["receipt", "verify", &file, "--key", &key], b"").code(0);
    let other = Home::new().entries()[0]["body"]["key"].as_str().expect("a key").to_owned();
    let args = ["receipt", "complete", &path, "--published", &www, "--key", &other];
    ringfence(&none, args, b"").code(5).fails_well();
    ringfence(&none, ["receipt", "complete", &path, "--published", &www], b"").code(1).fails_well().says("--key");
}

#[test]
fn receipt_of_another_entry_is_not_completed() {
    // AUD-06, AUD-10: the entry that was promised is not the one that is there, or is not there at all.
    let home = Home::new();
    let path = pending(&home);
    let www = home.folder("www").display().to_string();
    home.run(["log", "publish", "--to", &www]).code(0);
    let mut forged = read(&path);
    forged["entry"]["body"]["code"] = json!("trapped");
    let mut beyond = read(&path);
    beyond["index"] = json!(77);
    beyond["entry"]["index"] = json!(77);
    for (receipt, in_log, published) in [(forged, 5, 5), (beyond, 5, 1)] {
        let file = home.file("other.json", receipt.to_string()).display().to_string();
        let message = home.refuses(["receipt", "complete", &file], in_log);
        assert!(message.contains("where the receipt has entry"), "{message}");
        home.refuses(["receipt", "complete", &file, "--published", &www], published);
    }
    home.run(["receipt", "complete", &path]).code(0);
}
